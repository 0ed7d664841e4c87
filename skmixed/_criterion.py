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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._blocks import FactorBlock
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
    """Differentiate the criterion; costs about twice the factorization itself."""
    factor = factorization.blocks.factor
    assert factor is not None
    zvz, rho, half_x = _projections(factorization, factor)
    sigma2 = factorization.sigma_squared
    outer = rho @ rho.T
    gradient = _trace_over_levels(zvz, factor) - outer / sigma2
    if factorization.blocks.reml:
        gradient = gradient - np.einsum("apq,bpq->ab", half_x, half_x, optimize=True)
    information = _quadratic(zvz, rho, half_x)
    information -= np.multiply.outer(outer, outer) / factorization.residual_squares
    return Derivatives(gradient, information / sigma2)


def whiten(factorization: Factorization, factor: FactorBlock) -> FloatArray:
    """Return Z'V⁻¹[Z X y] = Z'[…] − (L⁻¹Λ'Z'Z)'(L⁻¹Λ'Z'[…]), (r, m, q)."""
    half = factorization.half
    out = factor.products.copy()
    for effect in half:
        for row, own in zip(out, factor.random, strict=True):
            row -= effect[own] * effect
    return out


def _solve_fixed(factorization: Factorization, zvx: FloatArray) -> FloatArray:
    """Return Z'V⁻¹X R_X⁻ᵀ, (r, p, q), so that Z'PZ = Z'V⁻¹Z − of it its square."""
    r, p, q = zvx.shape
    columns = zvx.transpose(1, 0, 2).reshape(p, r * q)
    return solve_lower(factorization.chol_x, columns).reshape(p, r, q).transpose(1, 0, 2)


def _trace_over_levels(zvz: FloatArray, factor: FactorBlock) -> FloatArray:
    if factor.multiplicity is None:
        return np.asarray(zvz.sum(axis=2))
    return np.asarray(zvz @ factor.multiplicity)


def effect_products(factorization: Factorization) -> tuple[FloatArray, FloatArray]:
    """Return Σ_j (Z'PZ)_jj, with REML's P, and Σ_j ρ_jρ_j', both (r, r)."""
    factor = factorization.blocks.factor
    assert factor is not None
    zvz, rho, half_x = _projections(factorization, factor)
    trace = _trace_over_levels(zvz, factor) - np.einsum("apq,bpq->ab", half_x, half_x)
    return trace, rho @ rho.T


def _projections(
    factorization: Factorization, factor: FactorBlock
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Z'V⁻¹Z, ρ and Z'V⁻¹X R_X⁻ᵀ per level: (r, r, q), (r, q), (r, p, q)."""
    p = factorization.blocks.n_fixed
    inverse_products = whiten(factorization, factor)  # Z'V⁻¹[Z X y]
    zvx = inverse_products[:, factor.fixed[:p]]
    rho = inverse_products[:, factor.fixed[p]] - np.einsum("rpq,p->rq", zvx, factorization.beta)
    return inverse_products[:, factor.random], rho, _solve_fixed(factorization, zvx)


def _quadratic(zvz: FloatArray, rho: FloatArray, half_x: FloatArray) -> FloatArray:
    """F'PF for the directions E_ab and E_cd: F_ab = Z_a ρ_b, (r, r, r, r)."""
    r, q = rho.shape
    outer = (rho[:, None] * rho).reshape(r * r, q)
    within = (zvz.reshape(r * r, q) @ outer.T).reshape(r, r, r, r)  # a, c, b, d
    absorbed = (half_x.reshape(-1, q) @ rho.T).reshape(r, -1, r)  # a, p, b
    between = np.einsum("apb,cpd->abcd", absorbed, absorbed, optimize=True)
    return np.asarray(within.transpose(0, 2, 1, 3) - between)


def expected_information(factorization: Factorization) -> FloatArray:
    """Return tr(P Z E_ab Z' P Z E_cd Z'), with REML's P, (r, r, r, r).

    Twice the expected information of REML in the entries of Σ (Kenward and
    Roger, 1997, Biometrics 53, section 2). Costs q·r²·(r² + p²).
    """
    factor = factorization.blocks.factor
    assert factor is not None
    zvz, _, half_x = _projections(factorization, factor)
    r, p, q = half_x.shape
    own = np.einsum("apq,bpq->abq", half_x, half_x)
    diagonal = (zvz - own).reshape(r * r, q)
    between = own.reshape(r * r, q)
    # Σ_j over one level: (K − O)(K − O)' − O O'; over pairs of levels: N N'.
    within = (diagonal @ diagonal.T - between @ between.T).reshape(r, r, r, r)
    flat = half_x.reshape(r * p, q)
    pairs = (flat @ flat.T).reshape(r, p, r, p)
    across = np.einsum("axdy,bxcy->abcd", pairs, pairs, optimize=True)
    return np.asarray((within + across).transpose(1, 2, 3, 0))
