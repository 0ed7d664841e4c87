"""The columns F_ab = Z_a ρ_b of all factors, projected: F'PF and what comes with it.

For a response v, ρ = Z'V⁻¹v, so that F_ab is V_abV⁻¹v with V_ab = Z E_ab Z'. With
y − Xβ̂ for v, F'PF is the average information (Gilmour, Thompson and Cullis, 1995,
Biometrics 51, equation 7); with the columns of X it is what Kenward and Roger
(1997, Biometrics 53) call Q_ij − P_iΦP_j.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.elimination import EliminatedStage
from skmixed._equations.layout import FactorLayout
from skmixed._equations.linear_algebra import to_slabs
from skmixed._equations.selected_inverse import CoreInverse, Inverse
from skmixed._equations.system import System
from skmixed._model.chart import Span
from skmixed._typing import FloatArray

# Columns of the only factor up to which tr(PV_abPV_cd) costs little beside F'PF.
FEW_COLUMNS = 5


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
    def residual(factorization: CholeskyFactor) -> "Responses":
        """Return y − Xβ̂, which gives ρ = Z'V⁻¹(y − Xβ̂)."""
        has_outer = factorization.system.factors[-1].outer.stop > 0
        outer = factorization.effects().outer if has_outer else np.empty(0)
        return Responses(np.append(-factorization.beta, 1.0)[None], outer[:, None])

    @staticmethod
    def fixed(inverse: CoreInverse) -> "Responses":
        """Return the columns of X; G_cX = −(their effects) G_XX, where G has the columns of X."""
        p, chol = inverse.factorization.system.n_fixed, inverse.factorization.fixed.root
        return Responses(np.eye(p, p + 1), -inverse.selected.to_fixed @ chol @ chol.T)


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
    twice : `expected` and `sandwich` of `Projection`
    """

    trace: FloatArray
    outer: FloatArray
    within: FloatArray
    to_outer: FloatArray
    to_fixed: FloatArray
    rho: FloatArray
    twice: tuple[FloatArray | None, FloatArray | None]


def project_stage(
    system: System,
    done: EliminatedStage,
    k: int,
    responses: Responses,
    inverse: CoreInverse | None = None,
    *,
    is_twice: bool = False,
) -> Projected:
    """Project the columns of stage k; without an inverse the trace is not P's."""
    stage, r, p = done.stage, system.factors[k].n_columns, system.n_fixed
    c = len(responses.weights)
    trace, outer = np.zeros((r, r)), np.zeros((r * c, r * c))
    within, cross = np.zeros((r, r, r * c, r * c)), np.zeros((r, p, r * c))
    root = np.zeros((p, p))
    if inverse is not None and inverse.has_fixed:
        # Its square is G_XX; the triangle keeps the columns' scales apart.
        root = inverse.factorization.fixed.inverse_root.T
    later = None if inverse is None else inverse.along[k]
    cells = _CellSums.of(done, later, responses.outer)
    combine = np.zeros((c, stage.products.shape[2]))
    combine[:, stage.fixed] = responses.weights
    sums, rhos = (_ExpectedSums(r, root) if is_twice else _TraceSums(r, root)), []
    for i, part in enumerate(done.gls_slabs()):
        zvz, zvx, rho = part[:, stage.random], part[:, stage.fixed[:-1]], np.matmul(combine, part)
        if cells.matrices:
            rho = rho - cells.residual[i]
        if cells.matrices and inverse is not None:
            both = zvx.reshape(r, -1) @ cells.to_fixed[i].reshape(r, -1).T
            trace -= both + both.T
        rhos.append(rho)
        flat = rho.reshape(r * c, -1)
        outer += flat @ flat.T
        within += np.matmul(zvz[:, :, None] * flat, flat.T)
        cross += np.matmul(zvx, flat.T)
        sums.add(zvz, part[:, stage.fixed])
    rho = np.concatenate(rhos, axis=2)[:, :, : stage.n_levels]
    size = r * r * c
    return Projected(
        trace=sums.trace + trace - cells.trace,
        outer=outer.reshape(r, c, r, c),
        within=within.reshape(r, r, r * c, r * c).transpose(0, 2, 1, 3).reshape(size, size),
        to_outer=cells.times(rho, stage.cells.width),
        to_fixed=cross.transpose(1, 0, 2).reshape(p, size),
        rho=rho,
        twice=sums.twice(),
    )


def has_expected(system: System) -> bool:
    """Whether the expected information comes with the projection: of one factor of few columns."""
    is_one = len(system.stages) == len(system.factors) == 1
    return is_one and system.factors[0].n_columns <= FEW_COLUMNS


class _TraceSums:
    """Σ_j Z'V⁻¹Z − H'H, H = R_x⁻¹X'V⁻¹Z, over the levels of a stage."""

    def __init__(self, r: int, root: FloatArray) -> None:
        self.trace, self.root = np.zeros((r, r)), root

    def add(self, own: FloatArray, beside: FloatArray) -> None:
        """Take in Z'V⁻¹Z, (r, r, b), and Z'V⁻¹[X y], (r, p + 1, b), of some levels."""
        flat = np.matmul(self.root, beside[:, :-1]).reshape(len(own), -1)
        self.trace += own.sum(axis=2) - flat @ flat.T

    def twice(self) -> tuple[FloatArray | None, FloatArray | None]:
        """Return `expected` and `sandwich` of `Projection`, if they were asked for."""
        return None, None


class _ExpectedSums(_TraceSums):
    """Sums for tr(PV_iPV_j) = Σ_j [tr(AEAF) − tr(OEAF) − tr(OFAE)] + tr(Σ HEH' Σ HFH').

    Of two directions E and F of the only factor's Σ, with A = Z'V⁻¹Z of a level and O = H'H.
    """

    def __init__(self, r: int, root: FloatArray) -> None:
        super().__init__(r, root)
        self.pairs, m = np.zeros((r * r, r * r)), len(root) + 1
        self.between = np.zeros((r * m, r * m))

    def add(self, own: FloatArray, beside: FloatArray) -> None:
        half = np.matmul(self.root, beside[:, :-1])
        taken = np.einsum("axb,cxb->acb", half, half)
        left = own - taken
        self.trace += left.sum(axis=2)
        # (A − O)(A − O)' − OO', entry by entry
        self.pairs += _gram(left, len(self.pairs)) - _gram(taken, len(self.pairs))
        self.between += _gram(beside, len(self.between))

    def twice(self) -> tuple[FloatArray, FloatArray]:
        r, m = len(self.trace), len(self.root) + 1
        # Of E_bc and F_da the pairs of entries ab and cd, of E_ab and F_cd what is between levels
        within = self.pairs.reshape(r, r, r, r).transpose(1, 2, 3, 0).reshape(r * r, -1)
        crossed = self.between.reshape(r, m, r, m).transpose(0, 2, 1, 3).reshape(-1, m, m)
        between = (self.root @ crossed[:, :-1, :-1] @ self.root.T).reshape(r * r, -1)
        return within + between @ between.T, crossed.reshape(r * r, -1)


def _gram(columns: FloatArray, n: int) -> FloatArray:
    flat = columns.reshape(n, -1)
    return flat @ flat.T


@dataclass(frozen=True)
class _CellSums:
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
        done: EliminatedStage, inverse: Inverse | None, outer_effects: FloatArray
    ) -> "_CellSums":
        k, r, _, b = done.products.shape
        if not len(done.stage.cells):
            return _CellSums((), np.empty(0), np.empty(0), np.zeros((r, r)))
        values = done.gls_cells()
        matrices = tuple(map(done.stage.cells.with_values, values))
        residual = to_slabs(np.stack([(m @ outer_effects).T for m in matrices]), k, b)
        if inverse is None:
            return _CellSums(matrices, residual, np.empty(0), np.zeros((r, r)))
        # A'G_cX and Σ_j A'G_ccA for A = Z_c'V_1⁻¹Z, at the core and at the chain
        to_fixed = np.stack([(m @ inverse.to_fixed).T for m in matrices])
        trace = np.zeros((r, r))
        if len(inverse.core):
            trace += inverse.quadratic(done, values)
        if inverse.chain is not None:
            for i, left in enumerate(matrices):
                weighted = left @ inverse.chain
                for j, right in enumerate(matrices):
                    trace[i, j] += weighted.multiply(right).sum()
        return _CellSums(matrices, residual, to_slabs(to_fixed, k, b), trace)

    def times(self, rho: FloatArray, width: int) -> FloatArray:
        """Return Z_c'V_1⁻¹F_ab, (n_outer, r²c)."""
        r, c, q = rho.shape
        if not self.matrices:
            return np.zeros((width, r * r * c))
        flat = rho.reshape(r * c, q).T
        return np.stack([m.T @ flat for m in self.matrices], axis=1).reshape(width, r * r * c)


@dataclass(frozen=True)
class Projection:
    """Sums over levels for c responses, over the n entries of all factors.

    Attributes
    ----------
    trace : (n,) array
        Σ_j (Z'PZ)_jj.
    outer : (n, c, c) array
        Σ_j ρ_jρ_j': v'V⁻¹V_abV⁻¹v.
    products : (n·c, n·c) array
        F'PF; the response runs fastest.
    expected : (n, n) array or None
        tr(PV_abPV_cd), as a form in symmetric directions, where that is asked for.
    sandwich : (n, (p + 1)²) array or None
        [X y]'V⁻¹V_abV⁻¹[X y], likewise.
    """

    trace: FloatArray
    outer: FloatArray
    products: FloatArray
    expected: FloatArray | None = None
    sandwich: FloatArray | None = None


def project(inverse: CoreInverse, responses: Responses, *, is_twice: bool = False) -> Projection:
    """Project the columns of all factors; `is_twice`: with `expected`, of a system that has it."""
    factorization = inverse.factorization
    system, c = factorization.system, len(responses.weights)
    columns = _Columns(factorization, c)
    traces, outers = [np.empty(0)], []
    twice: tuple[FloatArray | None, FloatArray | None] = None, None
    # ρ and F'V_1⁻¹F of each stage, of which the next one is then taken out
    for k in range(len(system.stages)):
        done = factorization.stages[k]
        part = project_stage(system, done, k, responses, inverse, is_twice=is_twice)
        columns.eliminate(k, part)
        traces.append(part.trace.ravel())
        outers.append(_by_entry(part.outer))
        twice = part.twice
    # ρ = S_c[−b̂; weights] of the factors in the core
    for factor in system.core_factors:
        effects = responses.outer[system.n_chain :]
        rho = of_core_factor(factorization, factor, effects, responses.weights)
        columns.add_core(factor, rho)
        outers.append(_by_entry(np.tensordot(rho, rho, ((0,), (0,)))))
    traces.append(inverse.traces())
    products = columns.projected(inverse)
    return Projection(np.concatenate(traces), np.concatenate(outers), products, *twice)


def _by_entry(outer: FloatArray) -> FloatArray:
    """Turn (r, c, r, c) to (r², c, c)."""
    r, c, _, _ = outer.shape
    return outer.transpose(0, 2, 1, 3).reshape(r * r, c, c)


class _Columns:
    """The columns of the factors so far, as the stages are eliminated.

    products is F'V_1⁻¹F, outer and fixed are Z_c'V_1⁻¹F and X'V_1⁻¹F, with V_1 the
    covariance of the stages so far; columns of later factors are still zero.
    """

    def __init__(self, factorization: CholeskyFactor, n_responses: int) -> None:
        system = factorization.system
        size = system.factors[-1].entries.stop * n_responses
        self.factorization = factorization
        self.n_responses = n_responses
        self.products = np.zeros((size, size))
        self.outer = np.zeros((system.factors[-1].outer.stop, size))
        self.fixed = np.zeros((system.n_fixed, size))
        self.core: list[tuple[FactorLayout, FloatArray]] = []

    def _of(self, factor: FactorLayout) -> slice:
        own = factor.entries
        return slice(own.start * self.n_responses, own.stop * self.n_responses)

    def eliminate(self, k: int, part: Projected) -> None:
        """Take the stage out of the columns before it; add its own."""
        own = self._of(self.factorization.system.factors[k])
        if k:
            self._take(k, part)
        self.products[own, own] = part.within
        self.outer[:, own] += part.to_outer
        self.fixed[:, own] += part.to_fixed

    def _take(self, k: int, part: Projected) -> None:
        done, place = self.factorization.stages[k], self.factorization.system.factors[k]
        own, q, r = self._of(place), place.n_levels, place.n_columns
        n = own.start
        # v = Z'V_1⁻¹F at the stage, (r, n, q), and w = L⁻¹Λ'v
        here = self.outer[place.outer, :n].reshape(q, r, n).transpose(1, 2, 0)
        half = done.half_solve(here)
        # F'V⁻¹F loses w'w; the stage's own columns have ρ'(v − Z'ZΛL⁻ᵀw) with them
        flat = half.transpose(1, 0, 2).reshape(n, -1)
        self.products[:n, :n] -= flat @ flat.T
        crossed = np.einsum("bxq,anq->abxn", part.rho, done.gls_columns(here, half))
        self.products[own, :n] = crossed.reshape(-1, n)
        self.products[:n, own] = self.products[own, :n].T
        done.take_later(half, self.outer[:, :n], self.fixed[:, :n])

    def add_core(self, factor: FactorLayout, rho: FloatArray) -> None:
        """Add the columns of a factor in the core, (q, r, c) residuals ρ."""
        self.core.append((factor, rho))
        schur, n = self.factorization.schur[:-1, factor.core], self.factorization.system.n_core
        own, (q, r, _) = self._of(factor), rho.shape
        # SF_ab by one product, for which S is not copied to another order: ρ_b at the rows of a
        placed = np.zeros((q, r, r, rho[0].size))
        placed[:, np.arange(r), np.arange(r)] = rho.reshape(q, 1, -1)
        rhs = schur @ placed.reshape(q * r, -1)
        self.outer[self.factorization.system.n_chain :, own] = rhs[:n]
        self.fixed[:, own] = rhs[n:]
        outer = self.outer[factor.outer].reshape(q, r, -1)
        rows = np.einsum("qbx,qan->abxn", rho, outer).reshape(-1, outer.shape[2])
        self.products[own] = rows
        self.products[:, own] = rows.T

    def projected(self, inverse: CoreInverse) -> FloatArray:
        """Return F'PF, with the inverse of the core and X."""
        chain = self.factorization.system.n_chain
        # F'PF = F'V_1⁻¹F − F'V_1⁻¹[Z_c X] G [Z_c X]'V_1⁻¹F
        rhs = np.concatenate([self.outer[chain:], self.fixed])
        solved = inverse.whole @ rhs
        out = self.products - rhs.T @ solved
        for factor, rho in self.core:
            span, own = self.factorization.spans.get(factor.entries.start), self._of(factor)
            # In the span of Λ ρ'Z'P without that difference
            if span is not None:
                left = None
                if span.null is not None:
                    left = inverse.residual(factor).T @ rhs
                projected = in_core_span(span, solved[factor.core], left)
                rows = np.einsum("qbx,qan->abxn", rho, projected).reshape(-1, len(out))
                out[own], out[:, own] = rows, rows.T
        return out


def of_core_factor(
    factorization: CholeskyFactor, factor: FactorLayout, effects: FloatArray, weights: FloatArray
) -> FloatArray:
    """Return ρ = Z'V⁻¹ of a factor in the core, (q, r, c).

    Of c responses with weights as in `Responses`, (c, p + 1), and effects in the
    core, (q_core, c).
    """
    span = factorization.spans.get(factor.entries.start)
    if span is not None and span.null is None:
        return in_core_span(span, effects[factor.core], None)
    left = factorization.schur[factor.core] @ np.concatenate([-effects, weights.T])
    left = left.reshape(factor.n_levels, factor.n_columns, -1)
    return left if span is None else in_core_span(span, effects[factor.core], left)


def in_core_span(span: Span, solved: FloatArray, left: FloatArray | None) -> FloatArray:
    """Return Z'P of a factor in the core applied to something, (q, r, n), by `span`.

    `solved` are its effects, and `left` the difference Z'V_1⁻¹ less what they take.
    """
    r = len(span.precision)
    out = np.matmul(span.precision, solved.reshape(len(solved) // r, r, -1))
    if span.null is not None and left is not None:
        out += np.matmul(span.null, left.reshape(out.shape))
    return out
