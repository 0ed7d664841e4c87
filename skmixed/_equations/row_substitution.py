"""Sparse rows of [Z X], and substitution of them through the factor.

With C the mixed-model matrix of [ZΛ X], T = blockdiag(Λ, I) and C = RR', a row z of [Z X],
which need not occur in the data, is taken through the stages to R⁻¹T'z: of its entries v
at a stage, w = L⁻¹Λ'v is left, and H'w is taken from its entries at the later columns. The
way back gives c = TC⁻¹T'z, where it is asked for. Rows meet sparse factors only, so that
what comes of a row is the same to the bit whatever the other rows are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.conjugate_gradients import IterativeFactor
from skmixed._equations.elimination import EliminatedStage
from skmixed._equations.layout import DesignRows, FactorLayout, as_sparse, joined
from skmixed._equations.linear_algebra import with_data
from skmixed._equations.system import Stage, System, sparse_diagonal
from skmixed._typing import FloatArray, IntArray

PART_NUMBERS = 2**22  # of a dense array over a part of the rows: 32 MB


def row_parts(rows: DesignRows, system: System, width: int) -> Iterator[IntArray | slice]:
    """Cut the rows, those of one level next to each other where that saves work.

    A dense array over a part has `width` columns.
    """
    n, n_stages, step = len(rows.fixed), len(system.stages), max(1, PART_NUMBERS // max(width, 16))
    order = None
    if system.n_core and n_stages and n > step:
        order = np.lexsort([_first_columns(f) for f in rows.factors[:n_stages]])
    for start in range(0, n, step):
        part = slice(start, start + step)
        yield part if order is None else order[part]


def _first_columns(matrix: sp.csr_array) -> IntArray:
    """First column of each row, −1 where it is empty."""
    starts = matrix.indptr[:-1]
    columns = np.append(matrix.indices, -1)[starts]
    return np.where(np.diff(matrix.indptr) > 0, columns, -1)


@dataclass(frozen=True)
class SparseStage:
    """The rows of one stage in the factor, as sparse matrices.

    root : (q·r, q·s), ΛL⁻ᵀ; chain, core : (q·s, …), H at the later stages and at the core;
    fixed : (q·s, p), H_X.
    """

    root: sp.csr_array
    chain: sp.csr_array
    core: sp.csr_array
    fixed: FloatArray

    @staticmethod
    def of(done: EliminatedStage, n_chain: int) -> "SparseStage":
        stage, q, s = done.stage, done.n_levels, done.lam.shape[1]
        rows = stage.cells.rows * s + np.arange(s)[:, None]
        cells = sp.coo_array(
            (done.cell_half.ravel(), (rows.ravel(), np.tile(stage.cells.columns, s))),
            shape=(q * s, stage.cells.width),
        ).tocsr()
        return SparseStage(
            root=sparse_diagonal(done.root.transpose(2, 1, 0)),
            chain=cells[:, :n_chain],
            core=cells[:, n_chain:],
            fixed=done.at_fixed[:, :, :-1].transpose(1, 0, 2).reshape(q * s, -1),
        )


@dataclass(frozen=True)
class WhiteRows:
    """The w of some rows at one stage, over the columns of the levels that occur.

    white : sparse (n, m); core : sparse (m, q_core), H there at the core.
    """

    white: sp.csr_array
    core: sp.csr_array

    @staticmethod
    def of(white: sp.csr_array, core: sp.csr_array) -> "WhiteRows":
        # The product over all columns would be as large as levels × core.
        used, at = np.unique(white.indices, return_inverse=True)
        shape = (white.shape[0], len(used))
        return WhiteRows(sp.csr_array((white.data, at, white.indptr), shape=shape), core[used])


@dataclass(frozen=True)
class SubstitutedRows:
    """What R⁻¹T' leaves of rows at the stages, and has left of them at the core and X.

    Attributes
    ----------
    values : tuple of sparse (n, q·r) arrays
        What the rows have at each stage when it is reached, v.
    squares : (n,) array
        ‖w‖² over all stages.
    own : sparse (n, q_core) array
        The rows' own entries at the core.
    white : tuple of WhiteRows
        w of each stage that takes something from the core.
    fixed : (n, p) array
        What is left at X.
    """

    values: tuple[sp.csr_array, ...]
    squares: FloatArray
    own: sp.csr_array
    white: tuple[WhiteRows, ...]
    fixed: FloatArray

    @cached_property
    def at_core(self) -> sp.coo_array:
        """What is left at the core, v = own − Σ wH, (n, q_core)."""
        core = self.own
        for part in self.white:
            core = sp.csr_array(core - part.white @ part.core)
        core.sort_indices()  # the order of summation, whatever the rows beside are
        return core.tocoo()

    @cached_property
    def _own(self) -> sp.csr_array:
        fixed = as_sparse(self.fixed)
        return joined([self.own, fixed]) if self.own.shape[1] else fixed

    def times(self, matrix: FloatArray) -> FloatArray:
        """Multiply what is left by a matrix over the core and X, (n, q_core + p), row by row."""
        out = np.asarray(self._own @ matrix)
        for part in self.white:
            out -= part.white @ np.asarray(part.core @ matrix[: self.own.shape[1]])
        return out

    def quadratic(self, matrix: FloatArray) -> FloatArray:
        """Return v'Mv for what is left at the core and X, (n,)."""
        half, n = self.times(matrix), self.own.shape[1]
        row, column = self.at_core.row.astype(np.intp), self.at_core.col
        out = sums_by(row, half[row, column] * self.at_core.data, len(half))
        for left, right in zip(half[:, n:].T, self.fixed.T, strict=True):
            out += left * right
        return out


def sums_by(index: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Sum values up by index, in their order; of none NumPy makes integers."""
    return np.bincount(index, values, minlength=n).astype(np.float64, copy=False)


@dataclass(frozen=True)
class TouchedLevels:
    """Levels of one stage that rows meet, sorted by row and level.

    stage : Stage; row, level : (m,) arrays; keys : (m,), row · q + level; values : (r, m),
    what the rows have there; met : (e,), a touched level for each of its cells; cell :
    (e,), which cells of the stage these are
    """

    stage: Stage
    row: IntArray
    level: IntArray
    keys: IntArray
    values: FloatArray
    met: IntArray
    cell: IntArray

    @staticmethod
    def of(
        rows: sp.csr_array, factor: FactorLayout, stage: Stage, inner: "list[TouchedLevels]"
    ) -> "TouchedLevels":
        """Take in rows over the columns of the factor, (n, q·r).

        A level that one of an inner stage's meets is there, also where a row has 0 at it.
        """
        q, r = factor.n_levels, factor.n_columns
        row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        entries = row * q + rows.indices.astype(np.intp) // r
        touched = np.concatenate([entries, *(t.keys_in(factor) for t in inner)])
        keys, at = np.unique(touched, return_inverse=True)
        m, level, at = len(keys), keys % q, at[: len(entries)]
        values = sums_by(rows.indices.astype(np.intp) % r * m + at, rows.data, r * m)
        # The cells of a level lie side by side.
        starts = stage.cells.starts.astype(np.intp)
        first, counts = starts[level], np.diff(starts)[level]
        met, before = np.repeat(np.arange(m), counts), np.cumsum(counts) - counts
        cell = np.arange(len(met)) + (first - before)[met]
        return TouchedLevels(stage, keys // q, level, keys, values.reshape(r, m), met, cell)

    @property
    def column(self) -> IntArray:
        """The outer columns of the cells, (e,)."""
        return self.stage.cells.columns[self.cell].astype(np.intp)

    def keys_in(self, factor: FactorLayout) -> IntArray:
        """Return row · q + level of a later factor's levels that these meet."""
        column = self.column
        inside = (column >= factor.outer.start) & (column < factor.outer.stop)
        level = (column[inside] - factor.outer.start) // factor.n_columns
        return self.row[self.met[inside]] * factor.n_levels + level

    def by_row(self, n: int) -> sp.csr_array:
        """Return the matrix that sums up over a row's levels, (n, m)."""
        starts = np.searchsorted(self.row, np.arange(n + 1))
        m = len(self.row)
        return sp.csr_array((np.ones(m), np.arange(m), starts), shape=(n, m))

    def times(self, matrices: FloatArray, values: FloatArray) -> FloatArray:
        """Multiply (r, m) values by the matrices of their levels, (s, r, q) to (s, m)."""
        out = np.zeros((len(matrices), len(self.level)))
        for row, own in zip(out, matrices, strict=True):
            for matrix, v in zip(own, values, strict=True):
                row += matrix[self.level] * v
        return out


@dataclass(frozen=True)
class LaterSolution:
    """The solution c at what touched levels of a stage meet: at their cells, and at X.

    here : TouchedLevels; effects : (e,), c at the cells; fixed : (m, p), c at X
    """

    here: TouchedLevels
    effects: FloatArray
    fixed: FloatArray

    def times(self, cells: FloatArray, fixed: FloatArray) -> FloatArray:
        """Multiply rows of the stage, (r, n_cells) and (r, q, p), by c there: (r, m)."""
        here, m = self.here, len(self.here.level)
        out = np.zeros((len(cells), m))
        for row, own, of_fixed in zip(out, cells, fixed, strict=True):
            row += sums_by(here.met, own[here.cell] * self.effects, m)
            for column, effect in zip(of_fixed[here.level].T, self.fixed.T, strict=True):
                row += column * effect
        return out


@dataclass
class BackSubstitution:
    """c = TC⁻¹T'z of rows z, from the last stage back, at the levels that they touch.

    Attributes
    ----------
    factorization : CholeskyFactor
    core : (n, q_core + p) array
        c at the core and X.
    effects : dict
        Of each stage solved so far the touched levels, and c there, (r, m).
    """

    factorization: CholeskyFactor
    core: FloatArray
    effects: dict[int, tuple[TouchedLevels, FloatArray]] = field(default_factory=dict)

    def later(self, here: TouchedLevels) -> LaterSolution:
        """Look c up at what touched levels of a stage meet."""
        system, row, column = self.factorization.system, here.row[here.met], here.column
        effects, in_core = np.empty(len(row)), column >= system.n_chain
        effects[in_core] = self.core[row[in_core], column[in_core] - system.n_chain]
        for k, (there, solved) in self.effects.items():
            place = system.factors[k]
            inside = (column >= place.outer.start) & (column < place.outer.stop)
            level, own = np.divmod(column[inside] - place.outer.start, place.n_columns)
            keys = row[inside] * place.n_levels + level
            effects[inside] = solved[own, np.searchsorted(there.keys, keys)]
        fixed = self.core[here.row, self.core.shape[1] - system.n_fixed :]
        return LaterSolution(here, effects, fixed)

    def solve(self, k: int, later: LaterSolution) -> None:
        """Take in c = ΛL⁻ᵀ(w − Hc) at the touched levels of stage k, (r, m)."""
        if k == 0:  # nothing meets it
            return
        done, here = self.factorization.stages[k], later.here
        root = done.root
        white = here.times(root, here.values)
        white -= later.times(done.cell_half, done.at_fixed[:, :, :-1])
        self.effects[k] = here, here.times(root.transpose(1, 0, 2), white)


@dataclass(frozen=True)
class RowVariance:
    """Variances of rows, relative to the σ² of the factor.

    Attributes
    ----------
    given_fixed : (n,) array
        z_b'ΛM⁻¹Λ'z_b: that of the random part, were β known.
    at_fixed : (n, p) array
        a = R_x⁻¹(x − X'V⁻¹ZΛΛ'z_b), where R_xR_x' = X'V⁻¹X. Its square is what not
        knowing β adds. For row i of the data X'V⁻¹e_i = w_i R_x a.
    """

    given_fixed: FloatArray
    at_fixed: FloatArray

    @property
    def total(self) -> FloatArray:
        """z'TC⁻¹T'z, (n,)."""
        return self.given_fixed + _squares(self.at_fixed)


@dataclass(frozen=True)
class RowSubstitution:
    """The stages of a factor, laid out for rows.

    Attributes
    ----------
    system : System
    stages : tuple of SparseStage or None
        None where Λ = 0.
    """

    system: System
    stages: tuple[SparseStage | None, ...]

    @staticmethod
    def of(factor: CholeskyFactor | IterativeFactor) -> "RowSubstitution":
        """Costs the size of the stages."""
        n_chain, stages = factor.system.n_chain, factor.stages
        laid_out = (SparseStage.of(done, n_chain) if done.lam.any() else None for done in stages)
        return RowSubstitution(factor.system, tuple(laid_out))

    def substituted(self, rows: DesignRows) -> SubstitutedRows:
        """Take rows through the stages."""
        n_stages, n, system = len(self.stages), len(rows.fixed), self.system
        squares, fixed = np.zeros(n), rows.fixed.copy()
        left = joined([*rows.factors[1:n_stages], sp.csr_array((n, 0))])
        values, taken = [], []
        for k, stage in enumerate(self.stages):
            own = left[:, system.factors[k].outer] if k else rows.factors[0]
            values.append(own)
            if stage is None:
                continue
            # w = L⁻¹Λ'v, and v_X − H_X'w, v_c − H_c'w
            white = own @ stage.root
            squares += with_data(white, np.square(white.data)) @ np.ones(white.shape[1])
            fixed -= white @ stage.fixed
            if k + 1 < n_stages:
                left = sp.csr_array(left - white @ stage.chain)
                left.sort_indices()  # the order of summation, whatever the rows beside are
            if stage.core.shape[1]:
                taken.append(WhiteRows.of(white, stage.core))
        core = joined([*rows.factors[n_stages:], sp.csr_array((n, 0))])
        return SubstitutedRows(tuple(values), squares, core, tuple(taken), fixed)

    def touched(self, found: SubstitutedRows) -> list[TouchedLevels]:
        """Return the levels of each stage that rows meet."""
        out: list[TouchedLevels] = []
        system = self.system
        for values, factor, stage in zip(found.values, system.factors, system.stages, strict=False):
            out.append(TouchedLevels.of(values, factor, stage, out))
        return out


@dataclass(frozen=True)
class RowSolver:
    """The factor at one Λ, laid out for rows.

    Attributes
    ----------
    factorization : CholeskyFactor
    substitution : RowSubstitution
    """

    factorization: CholeskyFactor
    substitution: RowSubstitution

    @staticmethod
    def of(factorization: CholeskyFactor) -> "RowSolver":
        """Costs the size of the factor."""
        return RowSolver(factorization, RowSubstitution.of(factorization))

    def variance(self, rows: DesignRows) -> RowVariance:
        """Return ‖R⁻¹T'z‖² of each row, part by part of the rows.

        A part holds a dense array of 32 MB. Costs per row the order of the core and X
        times the number of entries; per level that occurs, the same times its cells.
        Nothing is inverted per row, a singular Λ is no exception, and a sum of squares
        has no cancellation.
        """
        (n, p), s = rows.fixed.shape, self.factorization.n_spherical
        given, at_fixed = np.empty(n), np.empty((n, p))
        for part in row_parts(rows, self.factorization.system, s + p):
            found = self.substitution.substituted(rows.part(part))
            dense = found.times(self.factorization.inverse_root)
            given[part] = found.squares + _squares(dense[:, :s])
            at_fixed[part] = dense[:, s:]
        return RowVariance(given, at_fixed)


def _squares(rows: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))
