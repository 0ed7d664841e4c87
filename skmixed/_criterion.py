"""The profiled criterion, its gradient and its average information.

Derivatives are taken with respect to the entries of the relative covariance
Σ_k = Λ_kΛ_k' of each factor, in the coordinates of its columns; the search takes
them on to its own parameters. With P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ and
ρ_k = Z_k'V⁻¹(y − Xβ̂), per level j,

    ∂d/∂Σ_k = Σ_j [ (Z_k'PZ_k)_jj − ρ_j ρ_j' / σ̂² ]                 (REML; ML: V⁻¹ for P)

and the average information of two directions S, T is that of Gilmour, Thompson
and Cullis (1995, Biometrics 51, equation 7), with σ² profiled out:

    ( F_S'P F_T − ∇r²_S ∇r²_T / r² ) / σ̂²,    F_S = Z S ρ,    ∇r²_S = −Σ_j ρ_j'Sρ_j

Everything is read off the factor. With V_1 the covariance that the eliminated
factor leaves, S = [Z_c X]'V_1⁻¹[Z_c X] the Schur complement and G its inverse
with the core's random effects shrunken, A'PB = A'V_1⁻¹B − A'V_1⁻¹[Z_c X] G [Z_c X]'V_1⁻¹B.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._blocks import Eliminated, FactorTerms
from skmixed._factorize import Factorization, congruent, prefers_sparse, row_ranges

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


@dataclass(frozen=True)
class _Projected:
    """Sums over the levels of one factor, with V_1 in place of V.

    trace : (r, r), Σ_j (Z'PZ)_jj; outer : (r, r), Σ_j ρ_jρ_j'; rhs : (N, r, r),
    [Z_c X]'V_1⁻¹F_ab for the columns F_ab = Z_a ρ_b.
    """

    trace: FloatArray
    outer: FloatArray
    rhs: FloatArray


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
    trace_inverse = inverse if blocks.reml else _without_fixed(inverse, blocks.n_core)
    first, within = _project_first(factorization, trace_inverse)
    rest = [_project_core(factorization, f, trace_inverse) for f in blocks.core_factors]
    parts = [first, *rest]
    trace, outer = (
        np.concatenate([getattr(p, name).ravel() for p in parts]) for name in ("trace", "outer")
    )
    rhs = np.concatenate([p.rhs.reshape(len(inverse), p.trace.size) for p in parts], axis=1)
    products = _products(factorization, within, rhs)
    products -= rhs.T @ (inverse @ rhs) + np.outer(outer, outer) / factorization.residual_squares
    return Derivatives(trace - outer / sigma2, products / sigma2)


def core_inverse(factorization: Factorization) -> FloatArray:
    """Return G = [Λ_c 0; 0 I](RR')⁻¹[Λ_c 0; 0 I]' without y, (q_core + p,) * 2."""
    chol = factorization.chol_core
    if not len(chol):
        return chol
    lower, _ = scipy.linalg.lapack.dpotri(chol, lower=1)
    inverse = lower + lower.T  # dpotri leaves the zeros above the diagonal
    diagonal = np.arange(len(inverse))
    inverse[diagonal, diagonal] *= 0.5
    if not factorization.n_spherical:
        return np.asarray(inverse)
    return congruent(factorization.blocks, factorization.lam, inverse, transposed=False)


def _without_fixed(inverse: FloatArray, n: int) -> FloatArray:
    """Return the inverse of the core's random effects alone, 0 for X: ML's G."""
    out = np.zeros_like(inverse)
    if n:
        to_fixed = inverse[:n, n:]
        out[:n, :n] = inverse[:n, :n] - to_fixed @ np.linalg.solve(inverse[n:, n:], to_fixed.T)
    return out


def _products(factorization: Factorization, within: FloatArray, rhs: FloatArray) -> FloatArray:
    """F'V_1⁻¹F for the directions of all factors, (n, n)."""
    size = rhs.shape[1]
    out = np.zeros((size, size))
    first = factorization.blocks.factors[0].entries
    out[first, first] = within
    for factor in factorization.blocks.core_factors:
        rho = _core_residual(factorization, factor)
        own = rhs[factor.core].reshape(*rho.shape, size)
        rows = np.einsum("qb,qan->abn", rho, own).reshape(-1, size)
        out[factor.entries] = rows
        out[:, factor.entries] = rows.T
    return out


def _core_residual(factorization: Factorization, factor: FactorTerms) -> FloatArray:
    """Return ρ of a factor in the core, (q, r)."""
    rho = factorization.schur[factor.core] @ factorization.residual_weights
    return rho.reshape(factor.n_levels, factor.n_columns)


def _project_core(
    factorization: Factorization, factor: FactorTerms, inverse: FloatArray
) -> _Projected:
    """Project the columns of a factor in the core."""
    q, r = factor.n_levels, factor.n_columns
    schur = factorization.schur[:-1, factor.core]
    rho = _core_residual(factorization, factor)
    rhs = np.einsum("nqa,qb->nab", schur.reshape(-1, q, r), rho, optimize=True)
    lam, own = factor.lam(factorization.lam), _level_sum(schur[factor.core], q)
    if lam.shape[0] == lam.shape[1] and _resolves(lam, own / q):
        # Λ'Z'PZΛ = I − (RR')⁻¹ at the factor's effects
        root = np.linalg.inv(lam)
        shrunken = root @ _level_sum(inverse[factor.core, factor.core], q) @ root.T
        trace = root.T @ (q * np.eye(r) - shrunken) @ root
    else:
        trace = own - np.einsum(
            "nqa,nqb->ab", *(m.reshape(-1, q, r) for m in (schur, inverse @ schur)), optimize=True
        )
    return _Projected(trace, rho.T @ rho, rhs)


def _level_sum(matrix: FloatArray, q: int) -> FloatArray:
    """Sum the diagonal blocks of a (q·r, q·r) matrix, (r, r)."""
    r = len(matrix) // q
    return np.asarray(np.einsum("qaqb->ab", matrix.reshape(q, r, q, r)))


def _resolves(lam: FloatArray, products: FloatArray) -> bool:
    """Whether I − (RR')⁻¹ keeps its digits, being about Λ'SΛ where that is small."""
    return float(np.linalg.eigvalsh(lam.T @ products @ lam)[0]) > RESOLVED


def _project_first(
    factorization: Factorization, inverse: FloatArray
) -> tuple[_Projected, FloatArray]:
    """Project the columns of the eliminated factor; also Σ ρ_b ρ_d (Z'V_1⁻¹Z)_ac, (r², r²)."""
    blocks = factorization.blocks
    r, p, n = blocks.factors[0].n_columns, blocks.n_fixed, blocks.n_core
    trace, outer = np.zeros((r, r)), np.zeros((r, r))
    within, cross = np.zeros((r * r, r * r)), np.zeros((r, p, r))
    root = _square_root(inverse[n:, n:])
    cells = _Cells.of(factorization, inverse)
    rhos = []
    for k, whitened in enumerate(_whitened(factorization)):
        zvz, zvx, rho = _split(factorization, whitened)
        rho = rho - cells.residual[k] if n else rho
        rhos.append(rho)
        pairs = (rho[:, None] * rho).reshape(r * r, -1)
        outer += pairs.sum(axis=1).reshape(r, r)
        within += zvz.reshape(r * r, -1) @ pairs.T
        cross += np.matmul(zvx, rho.T)
        half = np.matmul(root, zvx).reshape(r, -1)
        trace += zvz.sum(axis=2) - half @ half.T
        if n:
            both = zvx.reshape(r, -1) @ cells.to_fixed[k].reshape(r, -1).T
            trace -= both + both.T
    rhs = np.concatenate([cells.times(rhos), cross.transpose(1, 0, 2)])
    within = within.reshape((r,) * 4).transpose(0, 2, 1, 3).reshape(r * r, r * r)
    return _Projected(trace - cells.trace, outer, rhs), within


def _split(
    factorization: Factorization, whitened: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Take Z'V_1⁻¹Z, Z'V_1⁻¹X and Z'V_1⁻¹(y − Xβ̂) out of a slab."""
    first = factorization.blocks.eliminated
    assert first is not None
    residual = np.zeros(whitened.shape[1])
    residual[first.fixed] = np.append(-factorization.beta, 1.0)
    rho = np.matmul(residual, whitened)
    return whitened[:, first.random], whitened[:, first.fixed[:-1]], rho


def _whitened(factorization: Factorization) -> Iterator[FloatArray]:
    """Yield Z'V_1⁻¹[Z X y] = Z'[…] − (L⁻¹Λ'Z'Z)'(L⁻¹Λ'Z'[…]), slab by slab, (r, m, b)."""
    first = factorization.blocks.eliminated
    assert first is not None
    for products, half in zip(first.products, factorization.half, strict=True):
        if not factorization.chol.flags.writeable:  # Λ = 0: V_1 is the weights alone
            yield products
            continue
        out = products.copy()
        for effect in half:
            for row, own in zip(out, first.random, strict=True):
                row -= effect[own] * effect
        yield out


def _square_root(matrix: FloatArray) -> FloatArray:
    """Return w with w'w the semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


@dataclass(frozen=True)
class _Cells:
    """What the cells Z'V_1⁻¹Z_c of the eliminated factor add to its sums.

    residual : slabs of (r, b), Z'V_1⁻¹Z_c b̂_c; to_fixed : slabs of (r, p, b),
    Z'V_1⁻¹Z_c G_cX; trace : (r, r), Σ_j Z'V_1⁻¹Z_c G_cc Z_c'V_1⁻¹Z.
    """

    matrices: tuple[sp.csr_array, ...]
    residual: FloatArray
    to_fixed: FloatArray
    trace: FloatArray

    @staticmethod
    def of(factorization: Factorization, inverse: FloatArray) -> "_Cells":
        blocks = factorization.blocks
        first, n, r = blocks.eliminated, blocks.n_core, blocks.factors[0].n_columns
        assert first is not None
        if not n:
            return _Cells((), np.empty(0), np.empty(0), np.zeros((r, r)))
        whitened = _whitened_cells(factorization, first)
        matrices = tuple(first.with_values(values) for values in whitened)
        effects = -factorization.residual_weights[:n]
        k, _, _, b = first.products.shape
        return _Cells(
            matrices,
            _to_slabs(np.stack([m @ effects for m in matrices])[:, None], k, b)[:, :, 0],
            _to_slabs(np.stack([(m @ inverse[:n, n:]).T for m in matrices]), k, b),
            _weighted_products(matrices, inverse[:n, :n]),
        )

    def times(self, rhos: list[FloatArray]) -> FloatArray:
        """Return Z_c'V_1⁻¹F_ab, (q_core, r, r)."""
        r = len(rhos[0])
        if not self.matrices:
            return np.empty((0, r, r))
        rho = np.concatenate(rhos, axis=1)[:, : self.matrices[0].shape[0]]
        return np.stack([m.T @ rho.T for m in self.matrices], axis=1)


def _whitened_cells(factorization: Factorization, first: Eliminated) -> FloatArray:
    """Return Z'V_1⁻¹Z_c in the order of the cells, (r, n_cells)."""
    out = first.values.copy()
    if factorization.chol.flags.writeable:
        half = factorization.half[:, :, first.random].transpose(1, 2, 0, 3)
        for effect, own in zip(factorization.cell_half, half, strict=True):
            for row, column in zip(out, own, strict=True):
                row -= column.ravel()[first.rows] * effect
    return out


def _weighted_products(matrices: tuple[sp.csr_array, ...], weights: FloatArray) -> FloatArray:
    """Return tr(m_a G m_b') for sparse matrices m, (r, r), by the cheaper product."""
    r = len(matrices)
    out = np.zeros((r, r))
    if prefers_sparse(matrices[0]):
        for i in range(r):
            for j in range(i + 1):
                product = (matrices[i].T @ matrices[j]).toarray()
                out[i, j] = out[j, i] = np.vdot(product, weights)
        return out
    for start, stop in row_ranges(matrices[0]):
        dense = np.stack([m[start:stop].toarray() for m in matrices])
        weighted = (dense.reshape(-1, len(weights)) @ weights).reshape(r, -1)
        out += weighted @ dense.reshape(r, -1).T
    return out


def _to_slabs(levels_last: FloatArray, k: int, b: int) -> FloatArray:
    """Turn (r, m, q) to slabs (k, r, m, b), filled up with zeros."""
    r, m, q = levels_last.shape
    out = np.zeros((r, m, k * b))
    out[:, :, :q] = levels_last
    return np.ascontiguousarray(out.reshape(r, m, k, b).transpose(2, 0, 1, 3))
