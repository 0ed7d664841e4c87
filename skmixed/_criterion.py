"""The profiled criterion, its gradient and its average information.

Derivatives are taken with respect to the entries of the relative covariance
Σ = ΛΛ' of one level, in the coordinates of the factor's columns; the search
takes them on to its own parameters. With P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ and
ρ = Z'V⁻¹(y − Xβ̂), per level j,

    ∂d/∂Σ = Σ_j [ (Z'PZ)_jj − ρ_j ρ_j' / σ̂² ]                     (REML; ML: V⁻¹ for P)

and the average information of two directions S, T is that of Gilmour, Thompson
and Cullis (1995, Biometrics 51, equation 7), with σ² profiled out:

    ( F_S'P F_T − ∇r²_S ∇r²_T / r² ) / σ̂²,    F_S = Z S ρ,    ∇r²_S = −Σ_j ρ_j'Sρ_j
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._factorize import Factorization, solve_lower

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Derivatives:
    """First and second derivatives in the entries of Σ.

    Attributes
    ----------
    gradient : (r, r) array
        ∂d/∂Σ, symmetric.
    information : (r, r, r, r) array
        Average information of the directions E_ab and E_cd.
    """

    gradient: FloatArray
    information: FloatArray


def criterion(factorization: Factorization) -> float:
    """Return −2 log-likelihood (ML) or the REML criterion, in lme4's constants.

    Bates et al. (2015), equations 34 (ML) and 41 (REML), with prior weights.
    """
    blocks = factorization.blocks
    dof = max(blocks.dof, 1)
    value = factorization.logdet_z - blocks.sum_log_weights
    value += dof * (1.0 + np.log(2.0 * np.pi * factorization.residual_squares / dof))
    if blocks.reml:
        value += factorization.logdet_x
    return float(value)


def derivatives(factorization: Factorization) -> Derivatives:
    """Differentiate the criterion; costs about as much as the factorization."""
    sums = _sum_over_levels(factorization)
    sigma2 = factorization.sigma_squared
    gradient = sums.zvz - sums.outer / sigma2
    if factorization.blocks.reml:
        gradient = gradient - sums.absorbed
    between = np.einsum("apb,cpd->abcd", sums.cross, sums.cross, optimize=True)
    information = sums.within.transpose(0, 2, 1, 3) - between
    information -= np.multiply.outer(sums.outer, sums.outer) / factorization.residual_squares
    return Derivatives(gradient, information / sigma2)


@dataclass(frozen=True)
class Moments:
    """Second moments of the data under the model, with REML's P.

    Attributes
    ----------
    zpz, outer : (r, r) arrays
        Σ_j (Z'PZ)_jj and Σ_j ρ_jρ_j'.
    information : (r, r, r, r) array
        tr(P Z E_ab Z' P Z E_cd Z'), twice the expected information of REML in the
        entries of Σ (Kenward and Roger, 1997, Biometrics 53, section 2).
    """

    zpz: FloatArray
    outer: FloatArray
    information: FloatArray


def moments(factorization: Factorization) -> Moments:
    """Sum the second moments; costs q·r²·(r² + p²)."""
    r, p = factorization.blocks.grouping.n_random, factorization.blocks.n_fixed
    zpz, rho_sum = np.zeros((r, r)), np.zeros((r, r))
    within, pairs = np.zeros((r * r, r * r)), np.zeros((r * p, r * p))
    for zvz, rho, half_x in _projections(factorization):
        between = np.einsum("apq,bpq->abq", half_x, half_x).reshape(r * r, -1)
        diagonal = zvz.reshape(r * r, -1) - between
        zpz += diagonal.sum(axis=1).reshape(r, r)
        rho_sum += rho @ rho.T
        # One level with itself is in the pairs too, there as O O'.
        within += diagonal @ diagonal.T - between @ between.T
        flat = half_x.reshape(r * p, -1)
        pairs += flat @ flat.T
    n = pairs.reshape(r, p, r, p)
    across = np.einsum("axdy,bxcy->abcd", n, n, optimize=True)
    information = (within.reshape(r, r, r, r) + across).transpose(1, 2, 3, 0)
    return Moments(zpz, rho_sum, information)


@dataclass(frozen=True)
class _LevelSums:
    """Sums over levels of products of K = Z'V⁻¹Z, ρ and E = Z'V⁻¹X R_X⁻ᵀ.

    zvz and outer are ΣK and Σρρ', absorbed ΣEE', within Σ K_ac ρ_b ρ_d in the
    order a, c, b, d, and cross Σ E_ap ρ_b.
    """

    zvz: FloatArray
    outer: FloatArray
    absorbed: FloatArray
    within: FloatArray
    cross: FloatArray


def _sum_over_levels(factorization: Factorization) -> _LevelSums:
    r, p = factorization.blocks.grouping.n_random, factorization.blocks.n_fixed
    zvz_sum, outer_sum, absorbed = np.zeros((r, r)), np.zeros((r, r)), np.zeros((r, r))
    within, cross = np.zeros((r * r, r * r)), np.zeros((r * p, r))
    for zvz, rho, half_x in _projections(factorization):
        zvz_sum += zvz.sum(axis=2)
        outer = (rho[:, None] * rho).reshape(r * r, -1)
        outer_sum += outer.sum(axis=1).reshape(r, r)
        flat = half_x.reshape(r, -1)
        absorbed += flat @ flat.T
        within += zvz.reshape(r * r, -1) @ outer.T
        cross += half_x.reshape(r * p, -1) @ rho.T
    return _LevelSums(
        zvz_sum, outer_sum, absorbed, within.reshape(r, r, r, r), cross.reshape(r, p, r)
    )


def _projections(
    factorization: Factorization,
) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """Yield Z'V⁻¹Z, ρ and Z'V⁻¹X R_X⁻ᵀ, slab by slab of levels.

    Shapes (r, r, b), (r, b) and (r, p, b) for b levels.
    """
    factor = factorization.blocks.grouping
    p, m = factorization.blocks.n_fixed, factor.products.shape[2]
    is_zero = not any(lam.any() for lam in factorization.lam)
    residual, whiten_x = np.zeros(m), np.zeros((p, m))
    residual[factor.fixed] = np.append(-factorization.beta, 1.0)
    whiten_x[:, factor.fixed[:p]] = solve_lower(factorization.chol_x, np.eye(p))
    for products, half in zip(factor.products, factorization.half, strict=True):
        whitened = products if is_zero else _whiten(products, half, factor.random)
        rho = np.matmul(residual, whitened)
        yield whitened[:, factor.random], rho, np.matmul(whiten_x, whitened)


def _whiten(products: FloatArray, half: FloatArray, random: NDArray[np.intp]) -> FloatArray:
    """Return Z'V⁻¹[Z X y] = Z'[…] − (L⁻¹Λ'Z'Z)'(L⁻¹Λ'Z'[…]), (r, m, b)."""
    out = products.copy()
    for effect in half:
        for row, own in zip(out, random, strict=True):
            row -= effect[own] * effect
    return out
