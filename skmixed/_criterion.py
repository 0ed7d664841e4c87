"""The profiled criterion, its gradient and its average information.

Derivatives are taken with respect to the entries of the relative covariance
Σ_k = Λ_kΛ_k' of each factor, in the coordinates of its columns; the search takes
them on to its own parameters. With P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ and
ρ_k = Z_k'V⁻¹(y − Xβ̂), per level j,

    ∂d/∂Σ_k = Σ_j [ (Z_k'PZ_k)_jj − ρ_j ρ_j' / σ̂² ]                 (REML; ML: V⁻¹ for P)

and the average information of two directions S, T is that of Gilmour, Thompson
and Cullis (1995, Biometrics 51, equation 7), with σ² profiled out:

    ( F_S'P F_T − ∇r²_S ∇r²_T / r² ) / σ̂²,    F_S = Z S ρ,    ∇r²_S = −Σ_j ρ_j'Sρ_j

Everything is read off the factor. With V_1 the covariance of the stages of the
chain so far, S = [Z_c X]'V_1⁻¹[Z_c X] the Schur complement and G its inverse with
the random effects shrunken, A'PB = A'V_1⁻¹B − A'V_1⁻¹[Z_c X] G [Z_c X]'V_1⁻¹B.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._blocks import FactorTerms
from skmixed._effects import effects
from skmixed._factorize import Factorization
from skmixed._inverse import Inverse, core_inverse, without_fixed
from skmixed._project import Projected, project_stage
from skmixed._slabs import levels_first, solve_levels

FloatArray = NDArray[np.float64]

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
    has_outer = blocks.factors[-1].outer.stop > 0
    outer_effects = effects(factorization).outer if has_outer else np.empty(0)
    columns = _Columns(factorization)
    traces, outers = [], []
    for k in range(len(blocks.stages)):
        part = project_stage(factorization, k, selected, outer_effects)
        columns.eliminate(k, part)
        traces.append(part.trace)
        outers.append(part.outer)
    for factor in blocks.core_factors:
        rho = _core_residual(factorization, factor)
        columns.add_core(factor, rho)
        traces.append(_core_trace(factorization, factor, trace_inverse))
        outers.append(rho.T @ rho)
    trace, outer = (np.concatenate([m.ravel() for m in parts]) for parts in (traces, outers))
    products = columns.projected(inverse)
    products -= np.outer(outer, outer) / factorization.residual_squares
    return Derivatives(trace - outer / sigma2, products / sigma2)


class _Columns:
    """The columns F_ab = Z_a ρ_b of all factors, as the stages are eliminated.

    products is F'V_1⁻¹F, outer and fixed are Z_c'V_1⁻¹F and X'V_1⁻¹F, with V_1 the
    covariance of the stages so far; columns of later factors are still zero.
    """

    def __init__(self, factorization: Factorization) -> None:
        blocks = factorization.blocks
        size = blocks.factors[-1].entries.stop
        self.factorization = factorization
        self.products = np.zeros((size, size))
        self.outer = np.zeros((blocks.factors[-1].outer.stop, size))
        self.fixed = np.zeros((blocks.n_fixed, size))

    def eliminate(self, k: int, part: Projected) -> None:
        """Take the stage out of the columns before it; add its own."""
        own = self.factorization.blocks.factors[k].entries
        if k:
            self._take(k, part)
        self.products[own, own] = part.within
        self.outer[:, own] += part.to_outer
        self.fixed[:, own] += part.to_fixed

    def _take(self, k: int, part: Projected) -> None:
        blocks, done = self.factorization.blocks, self.factorization.stages[k]
        place, stage = blocks.factors[k], blocks.stages[k]
        q, r, n = place.n_levels, place.n_columns, place.entries.start
        here = self.outer[place.outer, :n].reshape(q, r, n).transpose(1, 2, 0)  # r, n, q
        _, s, _, _ = done.chol.shape
        half = np.tensordot(place.lam(self.factorization.lam).T, here, 1)
        chol = done.chol.transpose(1, 2, 0, 3).reshape(s, s, -1)[:, :, :q]
        solve_levels(chol, half)
        flat = half.transpose(1, 0, 2).reshape(n, -1)
        self.products[:n, :n] -= flat @ flat.T
        of_columns = levels_first(done.half, q)  # s, q, m
        whitened = here - np.einsum("sqa,snq->anq", of_columns[:, :, stage.random], half)
        crossed = np.einsum("bq,anq->abn", part.rho, whitened).reshape(r * r, n)
        self.products[place.entries, :n] = crossed
        self.products[:n, place.entries] = crossed.T
        self.fixed[:, :n] -= np.einsum("sqx,snq->xn", of_columns[:, :, stage.fixed[:-1]], half)
        for values, columns in zip(done.cell_half, half, strict=True):
            self.outer[:, :n] -= stage.with_values(values).T @ columns.T

    def add_core(self, factor: FactorTerms, rho: FloatArray) -> None:
        """Add the columns of a factor in the core, (q, r) residuals ρ."""
        schur, n = self.factorization.schur[:-1, factor.core], self.factorization.blocks.n_core
        rhs = np.einsum("nqa,qb->nab", schur.reshape(len(schur), *rho.shape), rho, optimize=True)
        rhs = rhs.reshape(len(schur), -1)
        self.outer[self.factorization.blocks.n_chain :, factor.entries] = rhs[:n]
        self.fixed[:, factor.entries] = rhs[n:]
        own = self.outer[factor.outer].reshape(*rho.shape, -1)
        rows = np.einsum("qb,qan->abn", rho, own).reshape(-1, own.shape[2])
        self.products[factor.entries] = rows
        self.products[:, factor.entries] = rows.T

    def projected(self, inverse: FloatArray) -> FloatArray:
        """Return F'PF, with the inverse of the core and X."""
        chain = self.factorization.blocks.n_chain
        rhs = np.concatenate([self.outer[chain:], self.fixed])
        return self.products - rhs.T @ (inverse @ rhs)


def _core_residual(factorization: Factorization, factor: FactorTerms) -> FloatArray:
    """Return ρ of a factor in the core, (q, r)."""
    rho = factorization.schur[factor.core] @ factorization.residual_weights
    return rho.reshape(factor.n_levels, factor.n_columns)


def _core_trace(
    factorization: Factorization, factor: FactorTerms, inverse: FloatArray
) -> FloatArray:
    """Σ_j (Z'PZ)_jj of a factor in the core, (r, r)."""
    q, r = factor.n_levels, factor.n_columns
    schur = factorization.schur[:-1, factor.core]
    lam, own = factor.lam(factorization.lam), _level_sum(schur[factor.core], q)
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
