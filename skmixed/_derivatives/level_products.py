"""The columns of an eliminated factor, projected: its part of gradient and information."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import Factorization, prefers_sparse, row_ranges, solve_lower
from skmixed._equations.elimination import EliminatedStage
from skmixed._equations.level_algebra import to_slabs
from skmixed._equations.selected_inverse import Inverse
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class Responses:
    """What V⁻¹ is applied to: c combinations of X and y, and their own random effects.

    Attributes
    ----------
    weights : (c, p + 1) array
    outer : (n_outer, c) array
        Effects of the outer columns with these as responses.
    """

    weights: FloatArray
    outer: FloatArray

    @staticmethod
    def residual(factorization: Factorization) -> "Responses":
        """Return y − Xβ̂, which gives ρ = Z'V⁻¹(y − Xβ̂)."""
        has_outer = factorization.blocks.factors[-1].outer.stop > 0
        outer = factorization.effects().outer if has_outer else np.empty(0)
        return Responses(np.append(-factorization.beta, 1.0)[None], outer[:, None])

    @staticmethod
    def fixed(factorization: Factorization, inverse: Inverse) -> "Responses":
        """Return the columns of X; G_cX = −(their effects) G_XX, where G is REML's inverse."""
        chol = factorization.chol_x
        return Responses(np.eye(len(chol), len(chol) + 1), -inverse.to_fixed @ chol @ chol.T)


@dataclass(frozen=True)
class Projected:
    """Sums over the levels of one stage, with V_1 the covariance up to that stage.

    Attributes
    ----------
    trace : (r, r) array
        Σ_j (Z'PZ)_jj.
    outer : (r, c, r, c) array
        Σ_j ρ_jρ_j', for ρ = Z'V⁻¹ of the c responses.
    within : (r²c, r²c) array
        F'V_1⁻¹F for the columns F_ab = Z_a ρ_b.
    to_outer, to_fixed : (n_outer, r²c) and (p, r²c) arrays
        Z_c'V_1⁻¹F and X'V_1⁻¹F.
    rho : (r, c, q) array
    """

    trace: FloatArray
    outer: FloatArray
    within: FloatArray
    to_outer: FloatArray
    to_fixed: FloatArray
    rho: FloatArray


def project_stage(
    factorization: Factorization, k: int, inverse: Inverse, responses: Responses
) -> Projected:
    """Project the columns of stage k."""
    blocks, done = factorization.blocks, factorization.stages[k]
    stage, r, p = done.stage, blocks.factors[k].n_columns, blocks.n_fixed
    c = len(responses.weights)
    trace, outer = np.zeros((r, r)), np.zeros((r * c, r * c))
    within, cross = np.zeros((r, r, r * c, r * c)), np.zeros((r, p, r * c))
    root = np.zeros((p, p))
    if inverse.has_fixed:  # its square is G_XX; the triangle keeps the columns' scales apart
        root = solve_lower(factorization.chol_x, np.eye(p))
    cells = _Cells.of(done, inverse, responses.outer, blocks.n_chain)
    combine = np.zeros((c, stage.products.shape[2]))
    combine[:, stage.fixed] = responses.weights
    rhos = []
    for i, part in enumerate(done.gls_slabs()):
        zvz, zvx, rho = part[:, stage.random], part[:, stage.fixed[:-1]], np.matmul(combine, part)
        if cells.matrices:
            rho = rho - cells.residual[i]
            both = zvx.reshape(r, -1) @ cells.to_fixed[i].reshape(r, -1).T
            trace -= both + both.T
        rhos.append(rho)
        flat = rho.reshape(r * c, -1)
        outer += flat @ flat.T
        within += np.matmul(zvz[:, :, None] * flat, flat.T)
        cross += np.matmul(zvx, flat.T)
        half = np.matmul(root, zvx).reshape(r, -1)
        trace += zvz.sum(axis=2) - half @ half.T
    rho = np.concatenate(rhos, axis=2)[:, :, : stage.n_levels]
    size = r * r * c
    return Projected(
        trace=trace - cells.trace,
        outer=outer.reshape(r, c, r, c),
        within=within.reshape(r, r, r * c, r * c).transpose(0, 2, 1, 3).reshape(size, size),
        to_outer=cells.times(rho, stage.cells.shape[1]),
        to_fixed=cross.transpose(1, 0, 2).reshape(p, size),
        rho=rho,
    )


@dataclass(frozen=True)
class _Cells:
    """What the cells Z'V_1⁻¹Z_c of a stage add to its sums.

    residual : slabs of (r, c, b), Z'V_1⁻¹Z_c b̂_c; to_fixed : slabs of (r, p, b),
    Z'V_1⁻¹Z_c G_cX; trace : (r, r), Σ_j Z'V_1⁻¹Z_c G_cc Z_c'V_1⁻¹Z.
    """

    matrices: tuple[sp.csr_array, ...]
    residual: FloatArray
    to_fixed: FloatArray
    trace: FloatArray

    @staticmethod
    def of(
        done: EliminatedStage,
        inverse: Inverse,
        outer_effects: FloatArray,
        n_chain: int,
    ) -> "_Cells":
        k, r, _, b = done.products.shape
        if not len(done.stage.rows):
            return _Cells((), np.empty(0), np.empty(0), np.zeros((r, r)))
        matrices = tuple(map(done.stage.with_values, done.gls_cells()))
        to_fixed = np.stack([(m @ inverse.to_fixed).T for m in matrices])
        trace = _weighted_products([m[:, n_chain:] for m in matrices], inverse.core)
        if inverse.chain is not None:
            for i, left in enumerate(matrices):
                weighted = left @ inverse.chain
                for j, right in enumerate(matrices):
                    trace[i, j] += weighted.multiply(right).sum()
        return _Cells(
            matrices,
            to_slabs(np.stack([(m @ outer_effects).T for m in matrices]), k, b),
            to_slabs(to_fixed, k, b),
            trace,
        )

    def times(self, rho: FloatArray, width: int) -> FloatArray:
        """Return Z_c'V_1⁻¹F_ab, (n_outer, r²c)."""
        r, c, q = rho.shape
        if not self.matrices:
            return np.zeros((width, r * r * c))
        flat = rho.reshape(r * c, q).T
        return np.stack([m.T @ flat for m in self.matrices], axis=1).reshape(width, r * r * c)


def _weighted_products(matrices: list[sp.csr_array], weights: FloatArray) -> FloatArray:
    """Return tr(m_a G m_b') for sparse matrices m, (r, r), by the cheaper product."""
    r = len(matrices)
    out = np.zeros((r, r))
    if not len(weights):
        return out
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
