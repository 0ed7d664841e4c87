"""The cross-products of one model, laid out for the factorizations of a search.

`assemble` picks from the statistics what a model uses, in the order of a `Layout`. Arrays
over levels have the levels last, so that the algebra of the small matrices (r × r per
level) runs in long vectors, without a loop over levels. The core is one dense matrix, or,
for the iterative engine, sparse ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmixed._equations.layout import Cells, FactorLayout, Layout, pair_matrix
from skmixed._equations.linear_algebra import CellSquares
from skmixed._model.terms import Model
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.rank import WorkingColumns, residual_floor, working_columns
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class Crossed:
    """Products of the columns of the factors in the core, where they stay sparse.

    Attributes
    ----------
    own : tuple of (q, r, r) arrays
        Within each level of each factor.
    matrix : sparse (q_core, q_core) array
        All of them.
    fixed : (q_core, p + 1) array
        With X and y.
    """

    own: tuple[FloatArray, ...]
    matrix: sp.csr_array
    fixed: FloatArray


def dense_core(
    stats: CrossProducts,
    factors: list[int],
    total: FloatArray,
    columns: WorkingColumns,
) -> FloatArray:
    """Lay out the dense matrix of what is not eliminated; `total` are X's and y's products."""
    if not factors:
        return total
    sizes = [stats.factors[k].sums[:, :, 0].size for k in factors]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    n = int(starts[-1])
    core = np.zeros((n + len(total),) * 2)
    core[n:, n:] = total
    for i, k in enumerate(factors):
        # Z_k'WZ_k, Z_k'W[X y], and Z_k'WZ_j of the factors before
        rows = slice(starts[i], starts[i + 1])
        core[rows, rows] = diagonal_of_blocks(stats.own_products(k))
        core[rows, n:] = columns.levels(stats, k).reshape(sizes[i], -1)
        core[n:, rows] = core[rows, n:].T
        for j in range(i):
            others = slice(starts[j], starts[j + 1])
            core[rows, others] = pair_matrix(stats, k, factors[j]).toarray()
            core[others, rows] = core[rows, others].T
    return core


def sparse_core(stats: CrossProducts, factors: list[int], columns: WorkingColumns) -> Crossed:
    """Lay out what is not eliminated, sparse."""
    own, p = tuple(map(stats.own_products, factors)), columns.n_columns
    fixed = [columns.levels(stats, k).reshape(-1, p) for k in factors]
    rows = [
        [
            sparse_diagonal(own[i]) if i == j else pair_matrix(stats, k, factors[j])
            for j in range(len(factors))
        ]
        for i, k in enumerate(factors)
    ]
    matrix = sp.csr_array(sp.block_array(rows, format="csr")) if rows else sp.csr_array((0, 0))
    return Crossed(own, matrix, np.concatenate([np.empty((0, p)), *fixed]))


def sparse_diagonal(blocks: FloatArray) -> sp.csr_array:
    """Lay small matrices, (q, r, s), along the diagonal."""
    q, r, s = blocks.shape
    parts = (np.ascontiguousarray(blocks), np.arange(q), np.arange(q + 1))
    return sp.bsr_array(parts, shape=(q * r, q * s)).tocsr()


def diagonal_of_blocks(blocks: FloatArray) -> FloatArray:
    """Lay small matrices, (q, r, r), along the diagonal of a dense one."""
    q, r, _ = blocks.shape
    out = np.zeros((q, r, q, r))
    out[np.arange(q), :, np.arange(q)] = blocks
    return out.reshape(q * r, q * r)


# Numbers of a slab of levels, 512 KB, and its least levels, a vector worth a call.
SLAB_NUMBERS, SLAB_LEVELS = 65_536, 64


@dataclass(frozen=True)
class Stage:
    """The products of one factor that is eliminated.

    Attributes
    ----------
    products : (k, r, m, b) array
        Per-level products of the factor's r columns with m columns, in k slabs
        of b levels; the last one is filled up with zeros.
    random, fixed : (r,) and (p + 1,) arrays of int
        Where among the m columns the factor's own are, and X's and y's.
    cells : Cells
        Which outer columns meet each level.
    values : (r, n_cells) array
        The products there, in the order of the cells.
    """

    products: FloatArray
    random: IntArray
    fixed: IntArray
    cells: Cells
    values: FloatArray

    @property
    def n_levels(self) -> int:
        return self.cells.n_levels

    @cached_property
    def squares(self) -> CellSquares | None:
        """The products of the cells with each other, where these are kept."""
        return self.cells.core.squares(self.values)


@dataclass(frozen=True)
class System:
    """The matrix [Z X y]'W[Z X y] of one model.

    Attributes
    ----------
    core : (q_core + p + 1,) * 2 array
        Products of the columns of the factors not eliminated, of the
        independent columns of X, and of y; of X and y alone where `crossed`.
    kept : tuple of int
        Positions, among the model's fixed effects, of the independent ones.
    center : (p + 1,) array
        What was subtracted from these columns and from y.
    regression : (p + 1, p + 1) array or None
        E, unit upper triangular, of what was taken off them then: X − c = X̃E_X and
        y − c_y = ỹ + X̃γ, with γ above the last column's 1. None for the identity.
    layout : Layout
    stages : tuple of Stage
        The chain that is eliminated, inner factors first.
    n_rows : int
    weight_unit : float
        What the weights are counted in.
    crossed : Crossed or None
        The factors not eliminated, for the iterative engine.
    """

    core: FloatArray
    kept: tuple[int, ...]
    center: FloatArray
    layout: Layout
    stages: tuple[Stage, ...]
    n_rows: int
    weight_unit: float = 1.0
    crossed: Crossed | None = None
    regression: FloatArray | None = None

    @property
    def factors(self) -> tuple[FactorLayout, ...]:
        """Those of the stages first, then those of the core."""
        return self.layout.factors

    @property
    def n_theta(self) -> int:
        """Free parameters of the terms' covariances."""
        return sum(t.term.structure.n_theta(t.size) for _, t in self.terms)

    @property
    def is_sparse(self) -> bool:
        """Whether the core is sparse, for the iterative engine."""
        return self.crossed is not None

    @property
    def n_fixed(self) -> int:
        return len(self.kept)

    @property
    def fixed_products(self) -> FloatArray:
        """[X y]'W[X y], (p + 1,) * 2."""
        return self.core[self.n_core :, self.n_core :]

    @property
    def response_squares(self) -> float:
        """Y'Wy."""
        return float(self.core[-1, -1])

    @property
    def floor(self) -> float:
        """The least residual sum of squares of y around the center of the data.

        That center is not 0 only beside an intercept, which is the first column of X.
        """
        products, center = self.fixed_products, float(self.center[-1])
        squares = self.response_squares
        if not center:
            return residual_floor(squares, squares)
        weight, total = float(products[0, 0]), float(products[0, -1])
        raw = squares + center * (2.0 * total + center * weight)
        return residual_floor(raw, squares - total**2 / weight)

    @property
    def n_core(self) -> int:
        """Columns of random effects in the dense core."""
        return len(self.core) - self.n_fixed - 1

    @property
    def n_chain(self) -> int:
        """Outer columns that belong to stages; those of the core follow."""
        return self.factors[len(self.stages) - 1].outer.stop if self.stages else 0

    @property
    def spherical_places(self) -> list[slice]:
        """Places of the core's factors among its random effects in the coordinates of Λ."""
        sizes = [f.n_levels * sum(t.size for t in f.terms) for f in self.core_factors]
        stops = np.cumsum(sizes)
        return [slice(stop - n, stop) for n, stop in zip(sizes, stops, strict=True)]

    @property
    def n_spherical(self) -> int:
        """Columns of the core's random effects in the coordinates of Λ."""
        places = self.spherical_places
        return places[-1].stop if places else 0

    @property
    def core_factors(self) -> tuple[FactorLayout, ...]:
        return self.layout.core_factors

    @property
    def terms(self) -> list[tuple[FactorLayout, TermCoordinates]]:
        """All terms with their factors, in the model's order."""
        pairs = [(f, t) for f in self.factors for t in f.terms]
        return sorted(pairs, key=lambda pair: pair[1].index)

    def level_products(self, k: int) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield factor k's products with itself and with X and y, level by level.

        (r, r, b) and (r, p + 1, b) for slabs of levels that are eliminated, else for all
        levels at once.
        """
        place = self.factors[k]
        q, r, at = place.n_levels, place.n_columns, place.core
        if at is None:
            stage = self.stages[k]
            for slab in stage.products:
                yield slab[:, stage.random], slab[:, stage.fixed]
        elif self.crossed is not None:
            own = self.crossed.own[k - len(self.stages)].transpose(1, 2, 0)
            yield own, self.crossed.fixed[at].reshape(q, r, -1).transpose(1, 2, 0)
        else:
            # Z_k'W[Z_c X y], of which a level with itself is a diagonal block
            rows = self.core[at].reshape(q, r, -1).transpose(1, 2, 0)
            own = rows[:, at].reshape(r, q, r, q)[:, np.arange(q), :, np.arange(q)]
            yield own.transpose(1, 2, 0), rows[:, self.n_core :]

    def full(self) -> tuple[FloatArray, list[int]]:
        """Lay out one dense matrix: factor by factor, level by level, then X and y.

        Returned with the first row of each factor, and that of X.
        """
        sizes = [f.n_levels * f.n_columns for f in self.factors]
        starts = [0, *np.cumsum(sizes).tolist()]
        n_random, n_stages = starts[-1], len(self.stages)
        size = n_random + self.n_fixed + 1
        out = np.zeros((size, size))
        for k, stage in enumerate(self.stages):
            q, r = self.factors[k].n_levels, self.factors[k].n_columns
            rows, width = slice(starts[k], starts[k + 1]), stage.products.shape[2]
            products = stage.products.transpose(0, 3, 1, 2).reshape(-1, r, width)[:q]
            # Z'WZ of a stage is block-diagonal; Z'W[X y] is full.
            levels = np.arange(q)
            own = out[rows, rows].reshape(q, r, q, r)
            own[levels, :, levels] = products[:, :, stage.random]
            out[rows, n_random:] = products[:, :, stage.fixed].reshape(q * r, -1)
            out[n_random:, rows] = out[rows, n_random:].T
            if len(stage.cells):
                # With later factors it has the cells.
                at = starts[k] + stage.cells.rows * r + np.arange(r)[:, None]
                beyond = sizes[0] + stage.cells.columns
                out[at, beyond] = stage.values
                out[beyond, at] = stage.values
        core = starts[n_stages]
        out[core:, core:] = self.core
        return out, starts

    def pair_cells(self, k: int, j: int) -> tuple[Any, Any, FloatArray]:
        """Return the cells of factors k < j: levels of each, and products (n, r_k, r_j)."""
        first, second = self.factors[k], self.factors[j]
        size = first.n_columns, second.n_columns
        if first.core is None:
            stage = self.stages[k]
            own = [stage.cells.with_values(values)[:, second.outer] for values in stage.values]
            # Rows coefficient by coefficient, turned to level by level
            order = np.arange(size[0] * first.n_levels).reshape(size[0], -1).T.ravel()
            matrix = sp.csr_array(sp.csr_array(sp.vstack(own))[order])
        elif self.crossed is not None:
            columns = np.arange(self.crossed.matrix.shape[1])[second.core]
            matrix = sp.csr_array(self.crossed.matrix[first.core][:, columns])
        else:
            matrix = sp.csr_array(self.core[first.core, second.core])
        cells = matrix.tobsr(size)
        levels = np.repeat(np.arange(cells.indptr.size - 1), np.diff(cells.indptr))
        return levels, cells.indices, cells.data


def assemble(
    stats: CrossProducts,
    model: Model,
    like: CrossProducts | None = None,
    *,
    is_sparse: bool = False,
    layout: Layout | None = None,
) -> tuple[System, float]:
    """Lay out what `model` uses of the statistics; decide the rank of X.

    Returned with the smallest residual sum of squares that means anything.

    `like` are statistics in the same frame, from which to take the unit of the
    weights, the columns of X and y, and the terms' coordinates. With `is_sparse`
    the largest factor alone is eliminated, and the core stays sparse, for the
    iterative engine. `layout` is that of another system of the same frame, levels and
    cells, if there is one: its order, places and coordinates of terms are taken over.
    """
    unit = weight_unit(stats if like is None else like)
    stats = stats.in_units(unit)
    like = stats if like is None else like
    columns = working_columns(like, model)
    total = columns.total(stats)
    if layout is None:
        layout = Layout.of(stats, like, model, is_sparse=is_sparse)
    core = [factor.position for factor in layout.core_factors]
    # [Z X y]'W[Z X y]: the core by itself, and each stage with what comes after it
    system = System(
        core=total if is_sparse else dense_core(stats, core, total, columns),
        kept=columns.kept,
        center=columns.center,
        regression=columns.regression,
        layout=layout,
        stages=tuple(_stage(stats, layout, k, columns) for k in range(layout.n_stages)),
        n_rows=stats.n_rows,
        weight_unit=unit,
        crossed=sparse_core(stats, core, columns) if is_sparse else None,
    )
    return system, columns.floor(stats, float(total[-1, -1]))


def weight_unit(stats: CrossProducts) -> float:
    """Return the power of 4 nearest to the mean weight: Λ is of order 1 in that unit."""
    mean = stats.sum_weights / stats.n_rows
    return float(4.0 ** np.round(np.log2(mean) / 2.0)) if 0 < mean < np.inf else 1.0


def _stage(stats: CrossProducts, layout: Layout, at: int, columns: WorkingColumns) -> Stage:
    """Take in the products of stage `at`, with X and y and with the factors after it."""
    k = layout.factors[at].position
    factor = stats.factors[k]
    own, used = list(factor.columns), list(columns.fixed.used)
    if columns.fixed.change_from(stats) is None:
        needed = list(dict.fromkeys([*own, *used]))
        parts = [factor.sums[:, :, c] for c in needed]
        random, fixed = ([needed.index(c) for c in part] for part in (own, used))
    else:
        # X is not as in the statistics, the factor's own columns still are.
        both = [stats.own_products(k), columns.fixed_levels(stats, k)]
        parts = [own[:, :, c] for own in both for c in range(own.shape[2])]
        random, fixed = list(range(len(own))), list(range(len(own), len(own) + len(used)))
    products = _in_slabs([*parts, columns.response_levels(stats, k)[:, :, 0]])
    fixed.append(products.shape[2] - 1)
    values = layout.values(stats, at)
    return Stage(products, np.array(random), np.array(fixed), layout.cells[at], values)


def _in_slabs(columns: list[FloatArray]) -> FloatArray:
    """Lay the products with some columns, (q, r) each, in slabs with the levels last."""
    (q, r), m = columns[0].shape, len(columns)
    size = min(max(SLAB_NUMBERS // (r * m), SLAB_LEVELS), q)
    out = np.zeros((-(-q // size), r, m, size))
    for slab, start in zip(out, range(0, q, size), strict=True):
        for j, column in enumerate(columns):
            part = column[start : start + size].T
            slab[:, j, : part.shape[1]] = part
    return out
