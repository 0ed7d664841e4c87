"""One factor of the chain eliminated: its rows of the triangular factor, and substitution in them.

With M = Λ'Z'ZΛ + I = LL' per level and H = L⁻¹Λ'Z'[Z_c X y], Z_c the columns of what is
eliminated later, the rows of one stage in the transposed factor are [L'  H]. Substitution
is, with v what a right side has at the stage,

    R⁻¹:   w = L⁻¹Λ'v,   and H'w is taken from what it has later
    R⁻ᵀ:   u = L⁻ᵀ(w − H_X β − H_c b_c)

(docs/mathematics.md, "The blocked Cholesky factor"). A right side has one value per
level, (k, s, b) in slabs, or dense columns, (r, n, q); `row_substitution` has sparse rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._equations.linear_algebra import (
    CellSquares,
    cholesky_levels,
    levels_first,
    levels_last,
    solve_levels,
    solve_levels_transposed,
)
from skmixed._equations.system import Stage
from skmixed._model.chart import Span
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class FactorRows:
    """The rows H of a triangular factor that one stage of the chain has.

    Attributes
    ----------
    stage : Stage
    half : (k, s, m, b) array
        H at every column of the stage's products, in k slabs of b levels.
    cell_half : (s, n_cells) array
        H at the outer columns, in the order of the cells.
    gram : (m, m) array
        H'H of the columns of the products, over all levels.
    """

    stage: Stage
    half: FloatArray
    cell_half: FloatArray
    gram: FloatArray

    @cached_property
    def at_outer(self) -> tuple[sp.csr_array, ...]:
        """H at the outer columns, (q, n_outer) for each of the s rows; none without cells."""
        if not len(self.stage.cells):
            return ()
        return tuple(self.stage.cells.with_values(values) for values in self.cell_half)

    @property
    def at_fixed(self) -> FloatArray:
        """H at X and y, (s, q, p + 1)."""
        return levels_first(self.half[:, :, self.stage.fixed], self.stage.n_levels)

    def less_later(self, white: FloatArray, outer: FloatArray, beta: FloatArray) -> FloatArray:
        """Return w − H_X β − H_c b_c for one value per level and row, (k, s, b)."""
        weights = np.zeros(self.half.shape[2])
        weights[self.stage.fixed[:-1]] = beta
        out = white - np.matmul(weights, self.half)
        for j, at_outer in enumerate(self.at_outer):
            own = np.zeros(out[:, j].size)
            own[: self.stage.n_levels] = at_outer @ outer
            out[:, j] -= own.reshape(out[:, j].shape)
        return np.asarray(out)

    def take_squares(self, core: FloatArray) -> None:
        """Subtract H_c'H_c from the random effects of the core."""
        self.stage.cells.core.take(core, self.cell_half)

    def take_later(self, half: FloatArray, outer: FloatArray, fixed: FloatArray) -> None:
        """Subtract H_c'w and H_X'w from (n_outer, n) and (p, n) columns, w of (s, n, q)."""
        fixed -= np.einsum("sqx,snq->xn", self.at_fixed[:, :, :-1], half)
        for at_outer, columns in zip(self.at_outer, half, strict=False):
            outer -= at_outer.T @ columns.T


@dataclass(frozen=True)
class EliminatedStage(FactorRows):
    """One stage of the chain, eliminated.

    Attributes
    ----------
    lam : (r, s) array
        Λ of the factor's columns.
    products, values : arrays
        Those of the `Stage`, less what the stages before have taken.
    chol : (k, s, s, b) array
        L, lower triangular, in k slabs of b levels.
    logdet : float
        log|M|.
    """

    lam: FloatArray
    products: FloatArray
    values: FloatArray
    chol: FloatArray
    logdet: float

    @property
    def buffers(self) -> tuple[FloatArray, FloatArray]:
        """The arrays of H and L, for another elimination of the stage to write over."""
        return self.half, self.chol

    @property
    def n_levels(self) -> int:
        return self.stage.n_levels

    @property
    def chol_levels(self) -> FloatArray:
        """L with the levels last, (s, s, q)."""
        return levels_last(self.chol, self.n_levels)

    @property
    def root(self) -> FloatArray:
        """L⁻¹Λ' per level, (s, r, q); its square is ΛM⁻¹Λ'."""
        root = np.repeat(self.lam.T[:, :, None], self.n_levels, axis=2)
        solve_levels(self.chol_levels, root)
        return root

    @property
    def white_response(self) -> FloatArray:
        """H_y, (k, s, b)."""
        return self.half[:, :, self.stage.fixed[-1]]

    @property
    def squares(self) -> CellSquares | None:
        """Products of the cells with each other, of a stage of one column that is the first."""
        return self.stage.squares if self.values is self.stage.values else None

    def take_squares(self, core: FloatArray) -> None:
        squares = self.squares
        if squares is None:
            super().take_squares(core)
        else:  # H_c'H_c = Σ_j ω_j v_jv_j', ω = ΛM⁻¹Λ'
            squares.pairs.subtract(core, squares.weighted(np.square(self.root).sum(axis=(0, 1))))

    def half_solve(self, columns: FloatArray) -> FloatArray:
        """Return w = L⁻¹Λ'v of (r, n, q) columns, (s, n, q)."""
        half = np.tensordot(self.lam.T, columns, 1)
        solve_levels(self.chol_levels, half)
        return half

    def effects(self, white: FloatArray, beta: FloatArray, outer: FloatArray) -> FloatArray:
        """Solve L'u = w − H_Xβ − H_c b_c, (s, q), for one value per level; w = H_y for û."""
        by_row = self.less_later(white, outer, beta).transpose(1, 0, 2)
        solve_levels_transposed(self.chol.transpose(1, 2, 0, 3), by_row)
        return np.asarray(by_row.reshape(len(by_row), -1)[:, : self.n_levels])

    def inverse(self, within: FloatArray) -> FloatArray:
        """Return the diagonal blocks of the inverse of the whole, (s, s, q), in units of u.

        L⁻ᵀ(I + L⁻¹Λ'NΛL⁻ᵀ)L⁻¹ from N = S_cGS_c', (r, r, q), with G the inverse of what
        is later and S_c the stage's products with it.
        """
        s = self.lam.shape[1]
        solved = np.repeat(np.eye(s)[:, :, None], self.n_levels, axis=2)
        solve_levels(self.chol_levels, solved)
        root = np.einsum("ra,saq->srq", self.lam, solved)
        # Two products each: a search for their order takes longer than these
        middle = np.einsum("scq,tcq->stq", np.einsum("srq,rcq->scq", root, within), root)
        middle[np.arange(s), np.arange(s)] += 1.0
        half = np.einsum("saq,stq->atq", solved, middle)
        return np.asarray(np.einsum("atq,tbq->abq", half, solved))

    def gls_slabs(self) -> Iterable[FloatArray]:
        """Yield Z'V_1⁻¹[Z X y] = Z'[…] − (L⁻¹Λ'Z'Z)'(L⁻¹Λ'Z'[…]), slab by slab, (r, m, b)."""
        parts = zip(self.products, self.half, strict=True)
        return (_less(products, half, half[:, self.stage.random]) for products, half in parts)

    def gls_cells(self) -> FloatArray:
        """Return Z'V_1⁻¹Z_c in the order of the cells, (r, n_cells)."""
        own = self.at_cells(self.half[:, :, self.stage.random])
        return _less(self.values, self.cell_half, own)

    def gls_products(self) -> tuple[FloatArray, FloatArray]:
        """Return Σ_j Z_j'V_1⁻¹Z_j, (r, r), and Z'V_1⁻¹X of each level, (q, r, p)."""
        left = levels_last(np.stack(list(self.gls_slabs())), self.n_levels)
        own = left[:, self.stage.random].sum(axis=2)
        return own, left[:, self.stage.fixed[:-1]].transpose(2, 0, 1)

    def gls_times(self, columns: FloatArray) -> FloatArray:
        """Return Z'V_1⁻¹Z_c times (n_outer, m) columns, level by level, (q, r, m)."""
        matrices = map(self.stage.cells.with_values, self.gls_cells())
        return np.stack([own @ columns for own in matrices], axis=1)

    def gls_columns(self, columns: FloatArray, half: FloatArray) -> FloatArray:
        """Return v − (L⁻¹Λ'Z'Z)'w of (r, n, q) columns and their w, (s, n, q)."""
        to_own = levels_first(self.half[:, :, self.stage.random], self.n_levels)
        return np.asarray(columns - np.einsum("sqa,snq->anq", to_own, half))

    def residual_map(self) -> FloatArray:
        """Return B = I − ΛM⁻¹Λ'Z'Z per level, (r, r, q)."""
        root, own = self.root, self.at_levels(self.stage.random)
        covariances = np.einsum("saq,sbq->abq", root, root)
        out = -np.einsum("abq,bcq->acq", covariances, own)
        out[np.arange(len(out)), np.arange(len(out))] += 1.0
        return np.asarray(out)

    def at_levels(self, columns: NDArray[np.intp]) -> FloatArray:
        """Return the products with some columns, (r, columns, q)."""
        return levels_last(self.products[:, :, columns], self.n_levels)

    def at_cells(self, slabs: FloatArray) -> FloatArray:
        """Repeat small matrices of the levels, (k, s, r, b), at their cells: (s, r, n_cells)."""
        k, s, r, b = slabs.shape
        return slabs.transpose(1, 2, 0, 3).reshape(s, r, k * b)[:, :, self.stage.cells.rows]

    def in_span(self) -> "EliminatedStage":
        """Return the stage with Z'V_1⁻¹ taken without a difference in the span of Λ."""
        return SpannedStage.of(self)


@dataclass(frozen=True)
class ZeroStage(EliminatedStage):
    """A stage with Λ = 0, of which nothing is taken: L = I, H = 0 and V_1⁻¹ = W."""

    @staticmethod
    def of(stage: Stage, products: FloatArray, values: FloatArray, lam: FloatArray) -> "ZeroStage":
        (k, _, m, b), s = products.shape, lam.shape[1]
        return ZeroStage(
            stage=stage,
            half=np.zeros((k, s, m, b)),  # pages of zeros are not touched
            cell_half=np.zeros((s, values.shape[1])),
            gram=np.zeros((m, m)),
            lam=lam,
            products=products,
            values=values,
            chol=np.broadcast_to(np.eye(s)[:, :, None], (k, s, s, b)),
            logdet=0.0,
        )

    @property
    def buffers(self) -> tuple[FloatArray, FloatArray]:
        return self.half, np.empty(self.chol.shape)

    def gls_slabs(self) -> Iterable[FloatArray]:
        return self.products

    def gls_cells(self) -> FloatArray:
        return self.values.copy()

    def gls_products(self) -> tuple[FloatArray, FloatArray]:
        """Return Σ_j Z_j'V_1⁻¹Z_j, (r, r), and Z'V_1⁻¹X of each level, (q, r, p)."""
        left = levels_last(np.stack(list(self.gls_slabs())), self.n_levels)
        own = left[:, self.stage.random].sum(axis=2)
        return own, left[:, self.stage.fixed[:-1]].transpose(2, 0, 1)

    def gls_times(self, columns: FloatArray) -> FloatArray:
        """Return Z'V_1⁻¹Z_c times (n_outer, m) columns, level by level, (q, r, m)."""
        matrices = map(self.stage.cells.with_values, self.gls_cells())
        return np.stack([own @ columns for own in matrices], axis=1)

    def gls_columns(self, columns: FloatArray, half: FloatArray) -> FloatArray:  # noqa: ARG002
        return columns

    def in_span(self) -> EliminatedStage:
        return self


@dataclass(frozen=True)
class SpannedStage(EliminatedStage):
    """A stage whose Z'V_1⁻¹ has no difference in the span of Λ (`Span`).

    Attributes
    ----------
    span : Span
    slabs : tuple of (r, m, b) arrays
        Z'V_1⁻¹[Z X y].
    cell_gls : (r, n_cells) array
        Z'V_1⁻¹Z_c in the order of the cells.
    """

    span: Span
    slabs: tuple[FloatArray, ...]
    cell_gls: FloatArray

    @staticmethod
    def of(done: EliminatedStage) -> "SpannedStage":
        span = Span.of(done.lam)
        own = done.half[:, :, : len(done.stage.random)]  # the factor's columns come first there
        levels = zip(done.products, done.half, own, done.chol, strict=True)
        at_cells = done.at_cells(own), done.at_cells(done.chol)
        return SpannedStage(
            **{f.name: getattr(done, f.name) for f in fields(EliminatedStage)},
            span=span,
            slabs=tuple(_in_span(span, *level) for level in levels),
            cell_gls=_in_span(span, done.values, done.cell_half, *at_cells),
        )

    def gls_slabs(self) -> Iterable[FloatArray]:
        return self.slabs

    def gls_cells(self) -> FloatArray:
        return self.cell_gls

    def gls_products(self) -> tuple[FloatArray, FloatArray]:
        """Return Σ_j Z_j'V_1⁻¹Z_j, (r, r), and Z'V_1⁻¹X of each level, (q, r, p)."""
        left = levels_last(np.stack(list(self.gls_slabs())), self.n_levels)
        own = left[:, self.stage.random].sum(axis=2)
        return own, left[:, self.stage.fixed[:-1]].transpose(2, 0, 1)

    def gls_times(self, columns: FloatArray) -> FloatArray:
        """Return Z'V_1⁻¹Z_c times (n_outer, m) columns, level by level, (q, r, m)."""
        matrices = map(self.stage.cells.with_values, self.gls_cells())
        return np.stack([own @ columns for own in matrices], axis=1)

    def gls_columns(self, columns: FloatArray, half: FloatArray) -> FloatArray:
        own = levels_last(self.half[:, :, self.stage.random], self.n_levels)
        return _in_span(self.span, columns, half, own, self.chol_levels)

    def residual_map(self) -> FloatArray:
        """Return B, of which T(ΛΛ')⁺ is the part in the span of Λ, T = ΛM⁻¹Λ'."""
        root = self.root
        inside = np.einsum("saq,sbq,bc->acq", root, root, self.span.precision, optimize=True)
        if self.span.null is None:
            return np.asarray(inside)
        return np.asarray(np.einsum("abq,bc->acq", super().residual_map(), self.span.null) + inside)


def _less(products: FloatArray, half: FloatArray, own: FloatArray) -> FloatArray:
    """Z'[…] − (L⁻¹Λ'Z'Z)'(L⁻¹Λ'Z'[…]); `own` is L⁻¹Λ'Z'Z, (s, r, b)."""
    out = products.copy()
    for effect, to_own in zip(half, own, strict=True):
        for row, column in zip(out, to_own, strict=True):
            row -= column * effect
    return out


def _in_span(
    span: Span, products: FloatArray, half: FloatArray, own: FloatArray, chol: FloatArray
) -> FloatArray:
    """Return the same by `span`, Λ⁺'L⁻ᵀ(L⁻¹Λ'Z'[…]) and what is outside; from L too, (s, s, b)."""
    effect = half.copy()
    solve_levels_transposed(chol, effect)
    out = _product(span.inverse, effect)
    if span.null is not None:
        out += np.tensordot(span.null, _less(products, half, own), 1)
    return out


def _product(small: FloatArray, rows: FloatArray) -> FloatArray:
    """Multiply (s, …) rows by a small matrix; by a diagonal one, the usual, in place."""
    diagonal = np.diagonal(small)
    if np.count_nonzero(small) > np.count_nonzero(diagonal):
        return np.tensordot(small, rows, 1)
    for row, own in zip(rows, diagonal, strict=True):
        row *= own
    return rows


def eliminate(
    stage: Stage,
    products: FloatArray,
    values: FloatArray,
    lam: FloatArray,
    reuse: EliminatedStage | None = None,
) -> EliminatedStage:
    """Eliminate a factor's effects, slab by slab of levels.

    Costs q·(r·s·m + s²·m + s·m²) multiplications, in vectors over the levels.
    """
    if not lam.any():
        return ZeroStage.of(stage, products, values, lam)
    (k, r, m, b), s = products.shape, lam.shape[1]
    shapes = (k, s, m, b), (k, s, s, b)
    half, chol = tuple(map(np.empty, shapes)) if reuse is None else reuse.buffers
    gram, logdet, diagonal = np.zeros((m, m)), 0.0, np.arange(s)
    for own, part, lower in zip(products, half, chol, strict=True):
        # Λ'Z'[Z X y], and M = Λ'Z'ZΛ + I = LL'
        np.matmul(lam.T, own.reshape(r, m * b), out=part.reshape(s, m * b))
        lower[:] = np.matmul(lam.T, part[:, stage.random])
        lower[diagonal, diagonal] += 1.0
        cholesky_levels(lower)
        # H = L⁻¹Λ'Z'[Z X y], and the sums over levels H'H and log|M|
        solve_levels(lower, part)
        gram += np.matmul(part, part.transpose(0, 2, 1)).sum(axis=0)
        logdet += 2.0 * float(np.log(lower[diagonal, diagonal]).sum())
    cell_half = _eliminate_cells(stage.cells.rows, lam.T @ values, chol)
    return EliminatedStage(stage, half, cell_half, gram, lam, products, values, chol, logdet)


def _eliminate_cells(rows: NDArray[np.intp], half: FloatArray, chol: FloatArray) -> FloatArray:
    """Overwrite Λ'Z'Z_c, (s, n_cells), by L⁻¹Λ'Z'Z_c."""
    for j in range(len(half)):
        for i in range(j):
            half[j] -= chol[:, j, i].ravel()[rows] * half[i]
        half[j] /= chol[:, j, j].ravel()[rows]
    return half
