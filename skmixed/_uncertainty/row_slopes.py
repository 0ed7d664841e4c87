"""Derivatives of the variances of rows by the variance parameters.

For a row z of [Z X], c = TC⁻¹T'z solves the mixed-model equations with right-hand
side z, and z'c is the variance of its prediction error over σ². The weights of a
best linear unbiased prediction are optimal, so that a change of Σ counts at fixed
weights only (the envelope theorem):

    ∂(z'c)/∂τ_i = Σ_j t_j'D_i t_j,    t = z_b − (Kc)_b,    K = [Z X]'W[Z X]

over the levels j of the factor of D_i. No Σ is inverted. Along the chain, with the
matrices of `tangents` and v what a row has at a stage, the levels where v = 0
are summed up by the tangent of D_i:

    t = B'v − Cc_rest where v ≠ 0; elsewhere −Cc_rest, of which the sum over levels is −c'Dc
    c = Tv − Jc_rest,  of an earlier direction  c'Dc = (Tv)'D(Tv) + 2(Tv)'Yc_rest + c_rest'Dc_rest

with the tangents of the rest on the right. What is left is a quadratic form of
what a row has at the core and X, one matrix for each direction.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from skmixed._derivatives.information import factor_directions
from skmixed._derivatives.tangents import SchurTangent, StageRows, StageTangent
from skmixed._equations.cholesky import Factorization
from skmixed._equations.layout import FactorLayout
from skmixed._equations.selected_inverse import core_inverse
from skmixed._equations.system import Blocks
from skmixed._typing import FloatArray, IntArray
from skmixed._uncertainty.row_variance import DesignRows, as_sparse, joined, row_parts


@dataclass(frozen=True)
class RowSlopes:
    """What the derivatives of rows need, at one Λ.

    Attributes
    ----------
    blocks : Blocks
    stages : tuple of _Stage
    inverse : (q_core + p,) * 2 array
        G of the core and X.
    quadratics : list of (q_core + p,) * 2 arrays
        One for each direction.
    """

    blocks: Blocks
    stages: "tuple[_Stage, ...]"
    inverse: FloatArray
    quadratics: list[FloatArray]

    @staticmethod
    def of(factorization: Factorization) -> "RowSlopes":
        """Costs a factorization for each direction, and holds a core for each."""
        blocks, directions = factorization.blocks, factor_directions(factorization.blocks)
        stages: list[_Stage] = []
        tangents: list[SchurTangent] = []
        for k in range(len(blocks.stages)):
            sums = StageTangent.of(factorization, k)
            stages.append(_Stage.of(sums, directions[k], tangents))
            tangents = sums.beyond(tangents, directions[k])
        inverse = core_inverse(factorization)
        quadratics = [-inverse @ tangent.core @ inverse for tangent in tangents]
        schur = factorization.schur[:-1, :-1]
        for factor, own in zip(blocks.core_factors, directions[len(stages) :], strict=True):
            quadratics += _of_core_factor(schur, inverse, factor, own)
        return RowSlopes(blocks, tuple(stages), inverse, quadratics)

    def of_rows(self, rows: DesignRows) -> FloatArray:
        """Return ∂(z'TC⁻¹T'z)/∂τ, (n, d), part by part of the rows.

        Costs per row the number of its entries times the order of the core and X,
        for each direction; per level that occurs, the same times its cells.
        """
        out = np.empty((len(rows.fixed), len(self.quadratics)))
        for part in row_parts(rows, self.blocks, len(self.inverse)):
            out[part] = self._of_part(rows.part(part))
        return out

    def _of_part(self, rows: DesignRows) -> FloatArray:
        touched, rest = self._forward(rows)
        out = np.empty((len(rows.fixed), len(self.quadratics)))
        for i, matrix in enumerate(self.quadratics):
            out[:, i] = rest.quadratic(matrix)
        solved = _Solved(self.blocks, rest.times(self.inverse), {})
        for k in reversed(range(len(self.stages))):
            stage, here = self.stages[k], touched[k]
            solved.effects[k] = here, stage.add_slopes(out, here, stage.later(here, solved))
        return out

    def _forward(self, rows: DesignRows) -> "tuple[list[_Touched], _Rest]":
        """Eliminate the stages: what a row has at each, and at the core and X."""
        n_stages, places = len(self.stages), self.blocks.factors
        left = [[_entries(factor)] for factor in rows.factors[:n_stages]]
        fixed, taken = rows.fixed.copy(), []
        for k, stage in enumerate(self.stages):
            here = _Touched.of(left[k], places[k])
            for g in range(k + 1, n_stages):
                left[g].append(stage.passed_to(places[g], here))
            selected = here.by_row(len(fixed))
            fixed -= selected @ _weighted(stage.sums.j.fixed, here)
            taken.append((selected, here, stage.core_cells))
        own = joined([*rows.factors[n_stages:], sp.csr_array((len(fixed), 0))])
        return [t for _, t, _ in taken], _Rest.of(own, fixed, taken)


def _of_core_factor(
    schur: FloatArray, inverse: FloatArray, factor: FactorLayout, directions: FloatArray
) -> list[FloatArray]:
    """Σ_j t_j'D_i t_j of a factor in the core, as matrices of the row there."""
    residual = -(schur[factor.core] @ inverse)
    place = np.arange(len(inverse))[factor.core]
    residual[np.arange(len(place)), place] += 1.0
    by_level = residual.reshape(factor.n_levels, factor.n_columns, -1)
    return [residual.T @ np.matmul(d, by_level).reshape(residual.shape) for d in directions]


@dataclass(frozen=True)
class _Touched:
    """Levels of one stage at which rows have entries, sorted by row and level.

    row, level : (m,) arrays; keys : (m,), row · q + level; values : (r, m)
    """

    row: IntArray
    level: IntArray
    keys: IntArray
    values: FloatArray

    @staticmethod
    def of(parts: "list[tuple[IntArray, IntArray, FloatArray]]", place: FactorLayout) -> "_Touched":
        """Sum up entries given by row and by column of the factor."""
        q, r = place.n_levels, place.n_columns
        row, column, value = (np.concatenate(p) for p in zip(*parts, strict=True))
        keys, at = np.unique(row * q + column // r, return_inverse=True)
        m = len(keys)
        values = _sums(column % r * m + at, value, r * m)
        return _Touched(keys // q, keys % q, keys, values.reshape(r, m))

    def by_row(self, n: int) -> sp.csr_array:
        """Return the matrix that sums up over a row's levels, (n, m)."""
        starts = np.searchsorted(self.row, np.arange(n + 1))
        m = len(self.row)
        return sp.csr_array((np.ones(m), np.arange(m), starts), shape=(n, m))


def _entries(factor: sp.csr_array) -> tuple[IntArray, IntArray, FloatArray]:
    row = np.repeat(np.arange(factor.shape[0]), np.diff(factor.indptr))
    return row, factor.indices.astype(np.intp), factor.data


@dataclass(frozen=True)
class _Cells:
    """The cells of touched levels, and c there.

    touched : (e,), which of the touched levels; cell : (e,); effects : (e,);
    fixed : (m, p), c at X for each touched level
    """

    touched: IntArray
    cell: IntArray
    effects: FloatArray
    fixed: FloatArray

    def times(self, rows: StageRows, here: _Touched) -> FloatArray:
        """Multiply the stage's rows by c of the rest, at each touched level, (r, m)."""
        m = len(here.level)
        out = np.zeros((len(rows.cells), m))
        for row, cells, fixed in zip(out, rows.cells, rows.fixed, strict=True):
            row += _sums(self.touched, cells[self.cell] * self.effects, m)
            for own, effect in zip(fixed[here.level].T, self.fixed.T, strict=True):
                row += own * effect
        return out


@dataclass(frozen=True)
class _Solved:
    """c of what remains: at the core and X, (n, q_core + p), and at touched levels."""

    blocks: Blocks
    core: FloatArray
    effects: dict[int, tuple[_Touched, FloatArray]]

    def at(self, row: IntArray, column: IntArray) -> FloatArray:
        """Look c up at rows and outer columns."""
        out = np.empty(len(row))
        in_core = column >= self.blocks.n_chain
        out[in_core] = self.core[row[in_core], column[in_core] - self.blocks.n_chain]
        for k, (here, effects) in self.effects.items():
            place = self.blocks.factors[k]
            inside = (column >= place.outer.start) & (column < place.outer.stop)
            own = column[inside] - place.outer.start
            keys = row[inside] * place.n_levels + own // place.n_columns
            out[inside] = effects[own % place.n_columns, np.searchsorted(here.keys, keys)]
        return out


@dataclass(frozen=True)
class _Stage:
    """One stage: its matrices, its own directions, and D and Y of those before.

    core_cells : sparse (q·r, q_core), J at the core.
    """

    sums: StageTangent
    directions: FloatArray
    earlier: list[tuple[FloatArray, StageRows]]
    core_cells: sp.csr_array

    @staticmethod
    def of(sums: StageTangent, directions: FloatArray, tangents: list[SchurTangent]) -> "_Stage":
        stage, (r, _, q) = sums.j.stage, sums.t.shape
        rows = stage.rows * r + np.arange(r)[:, None]
        cells = sp.coo_array(
            (sums.j.cells.ravel(), (rows.ravel(), np.tile(stage.cells.indices, r))),
            shape=(q * r, stage.cells.shape[1]),
        ).tocsr()
        n_chain = sums.factorization.blocks.n_chain
        return _Stage(sums, directions, sums.met_by(tangents), cells[:, n_chain:])

    def passed_to(
        self, place: FactorLayout, here: _Touched
    ) -> tuple[IntArray, IntArray, FloatArray]:
        """Return −J'v at a later stage: its level there has all the columns, also where J = 0."""
        at, cell = self._expanded(here)
        column = self.sums.j.stage.cells.indices[cell].astype(np.intp)
        inside = (column >= place.outer.start) & (column < place.outer.stop)
        at, cell, column = at[inside], cell[inside], column[inside] - place.outer.start
        value = np.zeros(len(at))
        for j, v in zip(self.sums.j.cells, here.values, strict=True):
            value -= j[cell] * v[at]
        return here.row[at], column, value

    def _expanded(self, here: _Touched) -> tuple[IntArray, IntArray]:
        """Return the cells of the touched levels, and whose they are."""
        starts = self.sums.j.stage.cells.indptr.astype(np.intp)
        first, counts = starts[here.level], np.diff(starts)[here.level]
        at = np.repeat(np.arange(len(first)), counts)
        before = np.cumsum(counts) - counts
        return at, np.arange(len(at)) + (first - before)[at]

    def later(self, here: _Touched, solved: _Solved) -> _Cells:
        at, cell = self._expanded(here)
        column = self.sums.j.stage.cells.indices[cell].astype(np.intp)
        fixed = solved.core[here.row, solved.blocks.n_core :]
        return _Cells(at, cell, solved.at(here.row[at], column), fixed)

    def add_slopes(self, out: FloatArray, here: _Touched, cells: _Cells) -> FloatArray:
        """Add to (n, d) slopes what the touched levels do; return c there, (r, m)."""
        sums, n = self.sums, len(self.earlier)
        selected = here.by_row(len(out))
        elsewhere = cells.times(sums.c, here)
        t = _product(sums.b.transpose(1, 0, 2), here) - elsewhere
        for i, direction in enumerate(self.directions):
            own = _bilinear(direction[:, :, None], t) - _bilinear(direction[:, :, None], elsewhere)
            out[:, n + i] += selected @ own
        effect = _product(sums.t, here)
        for i, (tangent, rows) in enumerate(self.earlier):
            both = _bilinear(tangent[:, :, here.level], effect)
            for own, other in zip(effect, cells.times(rows, here), strict=True):
                both += 2.0 * own * other
            out[:, i] -= selected @ both
        return effect - cells.times(sums.j, here)


def _product(matrices: FloatArray, here: _Touched) -> FloatArray:
    """Multiply v by the (r, r, q) matrix of its level, (r, m)."""
    out = np.zeros(here.values.shape)
    for row, own in zip(out, matrices, strict=True):
        for matrix, v in zip(own, here.values, strict=True):
            row += matrix[here.level] * v
    return out


def _weighted(rows: FloatArray, here: _Touched) -> FloatArray:
    """Return Σ_a v_a times the rows of its level, (r, q, p) to (m, p)."""
    out = np.zeros((len(here.level), rows.shape[2]))
    for own, v in zip(rows, here.values, strict=True):
        out += own[here.level] * v[:, None]
    return out


def _sums(index: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Sum values up by index, in their order; of none NumPy makes integers."""
    return np.bincount(index, values, minlength=n).astype(np.float64, copy=False)


def _bilinear(matrix: FloatArray, values: FloatArray) -> FloatArray:
    """Return v'Mv for (r, m) values and (r, r, m) matrices, (m,)."""
    out = np.zeros(values.shape[1])
    for left, row in zip(values, matrix, strict=True):
        for right, own in zip(values, row, strict=True):
            out += own * left * right
    return out


@dataclass(frozen=True)
class _Rest:
    """What rows have at the core and X, v_0 − Σ_k J_k'v_k.

    own : sparse (n, q_core), v_0 at the core; fixed : (n, p), v at X; taken : for
    each stage its v, sparse (n, s), and J at the core for the s columns; core : sparse
    (n, q_core), v at the core.
    """

    own: sp.csr_array
    fixed: FloatArray
    taken: tuple[tuple[sp.csr_array, sp.csr_array], ...]
    core: sp.coo_array

    @staticmethod
    def of(
        own: sp.csr_array,
        fixed: FloatArray,
        taken: "list[tuple[sp.csr_array, _Touched, sp.csr_array]]",
    ) -> "_Rest":
        if not own.shape[1]:
            return _Rest(own, fixed, (), own.tocoo())
        pairs = tuple(_compact(*part) for part in taken)
        core = own
        for left, right in pairs:
            core = sp.csr_array(core - left @ right)
        core.sort_indices()  # the order of summation, whatever the rows beside are
        return _Rest(own, fixed, pairs, core.tocoo())

    def times(self, matrix: FloatArray) -> FloatArray:
        """Multiply by a matrix over the core and X, (n, q_core + p).

        Sparse rows are multiplied one by one, the J of a level once.
        """
        n = self.own.shape[1]
        out = np.asarray(as_sparse(self.fixed) @ matrix[n:])
        if n:
            out += self.own @ matrix[:n]
            for left, right in self.taken:
                out -= left @ np.asarray(right @ matrix[:n])
        return out

    def quadratic(self, matrix: FloatArray) -> FloatArray:
        """v'Mv, (n,)."""
        half, n = self.times(matrix), self.own.shape[1]
        row, column = self.core.row.astype(np.intp), self.core.col
        out = _sums(row, half[row, column] * self.core.data, len(half))
        for left, right in zip(half[:, n:].T, self.fixed.T, strict=True):
            out += left * right
        return out


def _compact(
    selected: sp.csr_array, here: _Touched, cells: sp.csr_array
) -> tuple[sp.csr_array, sp.csr_array]:
    """Return v over the columns of the levels that occur, and J there."""
    r = len(here.values)
    levels, at = np.unique(here.level, return_inverse=True)
    columns = (at[:, None] * r + np.arange(r)).ravel()
    shape = (selected.shape[0], len(levels) * r)
    left = sp.csr_array((here.values.T.ravel(), columns, selected.indptr * r), shape=shape)
    return left, cells[(levels[:, None] * r + np.arange(r)).ravel()]
