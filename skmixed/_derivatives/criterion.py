"""The profiled criterion, its gradient and its average information.

Derivatives are taken with respect to the entries of the relative covariance
Σ_k = Λ_kΛ_k' of each factor, in the coordinates of its columns; the search takes
them on to its own parameters. With P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ and
ρ_k = Z_k'V⁻¹(y − Xβ̂), per level j,

    ∂d/∂Σ_k = Σ_j [ (Z_k'PZ_k)_jj − ρ_j ρ_j' / σ̂² ]                 (REML; ML: V⁻¹ for P)

and the average information of two directions S, T is that of Gilmour, Thompson
and Cullis (1995, Biometrics 51, equation 7), with σ² profiled out:

    ( F_S'P F_T − ∇r²_S ∇r²_T / r² ) / σ̂²,    F_S = Z S ρ,    ∇r²_S = −Σ_j ρ_j'Sρ_j

Both are derived in docs/mathematics.md, "The gradient" and the section after it.
Everything is read off the factor. With V_1 the covariance of the stages of the
chain so far, S = [Z_c X]'V_1⁻¹[Z_c X] the Schur complement and G its inverse with
the random effects shrunken, A'PB = A'V_1⁻¹B − A'V_1⁻¹[Z_c X] G [Z_c X]'V_1⁻¹B.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.level_products import Responses
from skmixed._derivatives.working_variates import project
from skmixed._equations.cholesky import Factorization
from skmixed._equations.layout import FactorLayout
from skmixed._equations.selected_inverse import Inverse, core_inverse, core_residual, without_fixed
from skmixed._typing import FloatArray

# Least share of the information on a random effect that lies in its own rows
# for which a difference from 1 is taken: four digits of sixteen are lost.
RESOLVED = 1e-4


@dataclass(frozen=True)
class Derivatives:
    """First and second derivatives in the entries of Σ, factor by factor.

    Attributes
    ----------
    gradient : (n,) array
        ∂d/∂Σ_k, each row by row.
    information : (n, n) array
        Average information of the directions E_ab.
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
    """Differentiate the criterion; costs one to three factorizations."""
    blocks, sigma2 = factorization.blocks, factorization.sigma_squared
    inverse = core_inverse(factorization)
    trace_inverse = inverse if blocks.reml else without_fixed(inverse, blocks.n_core)
    selected = Inverse.of(factorization, trace_inverse)
    found = project(factorization, selected, Responses.residual(factorization), inverse)
    trace = np.concatenate([found.trace, core_traces(factorization, trace_inverse)])
    outer = found.outer[:, 0, 0]
    products = found.products - np.outer(outer, outer) / factorization.residual_squares
    return Derivatives(trace - outer / sigma2, products / sigma2)


def core_traces(factorization: Factorization, inverse: FloatArray) -> FloatArray:
    """Return Σ_j (Z'PZ)_jj of the factors in the core, each row by row."""
    parts = [_core_trace(factorization, f, inverse) for f in factorization.blocks.core_factors]
    return np.concatenate([np.empty(0), *(part.ravel() for part in parts)])


def _core_trace(
    factorization: Factorization, factor: FactorLayout, inverse: FloatArray
) -> FloatArray:
    """Σ_j (Z'PZ)_jj of a factor in the core, (r, r)."""
    q, r = factor.n_levels, factor.n_columns
    schur = factorization.schur[:-1, factor.core]
    lam, own = factor.lam(factorization.lam), _level_sum(schur[factor.core], q)
    span = factorization.spans.get(factor.entries.start)
    if span is not None:
        solved = inverse[factor.core].reshape(q, r, -1)
        taken = np.einsum("qan,nqb->ab", solved, schur.reshape(-1, q, r), optimize=True)
        out = span.precision @ taken
        if span.null is not None:
            left = core_residual(factorization, inverse, factor)
            parts = (m.reshape(-1, q, r) for m in (left, schur))
            out += span.null @ np.einsum("nqa,nqb->ab", *parts, optimize=True)
        return np.asarray(out)
    if lam.shape[0] == lam.shape[1] and _resolves(lam, own / q):
        # Λ'Z'PZΛ = I − (RR')⁻¹ at the factor's effects
        root = np.linalg.inv(lam)
        shrunken = root @ _level_sum(inverse[factor.core, factor.core], q) @ root.T
        return root.T @ (q * np.eye(r) - shrunken) @ root
    parts = (m.reshape(-1, q, r) for m in (schur, inverse @ schur))
    return np.asarray(own - np.einsum("nqa,nqb->ab", *parts, optimize=True))


def _level_sum(matrix: FloatArray, q: int) -> FloatArray:
    """Sum the diagonal blocks of a (q·r, q·r) matrix, (r, r)."""
    r = len(matrix) // q
    return np.asarray(np.einsum("qaqb->ab", matrix.reshape(q, r, q, r)))


def _resolves(lam: FloatArray, products: FloatArray) -> bool:
    """Whether I − (RR')⁻¹ keeps its digits, being about Λ'SΛ where that is small."""
    return float(np.linalg.eigvalsh(lam.T @ products @ lam)[0]) > RESOLVED
