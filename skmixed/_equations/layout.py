"""Which factors are eliminated, in which order, and where each lies.

One chain of nested factors, that with most columns, is eliminated level by level, the
inner ones first. What is left, the core, has the columns of the other factors and of X,
and y. The columns outside of a stage, those of later stages and of the core, are numbered
through; a sparse pattern of cells says which of them each level of the stage meets.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmixed._equations.linear_algebra import (
    CellPairs,
    CoreCells,
    DenseCells,
    SparseCells,
    with_data,
)
from skmixed._model.terms import Model
from skmixed._statistics.coordinates import TermCoordinates, term_coordinates
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, IntArray

# Multiplications of a dense symmetric product in the time of one of pairs of cells, and of
# a sparse product, on one core; products of cells from which on their places are not kept.
PAIR_COST, SPARSE_COST, MOST_PAIRS = 50, 200, 2**24


def pair_matrix(stats: CrossProducts, first: int, second: int) -> sp.csr_array:
    """Return the products of two factors' columns, (q₁·r₁, q₂·r₂)."""
    for pair in stats.pairs:
        if (pair.first, pair.second) == (first, second):
            return pair.matrix
    return pair_matrix(stats, second, first).T.tocsr()


@dataclass(frozen=True)
class FactorLayout:
    """The terms on one grouping factor.

    Attributes
    ----------
    position : int
        Of the factor among those of the statistics.
    n_levels, n_columns : int
        Levels q, and columns r of the factor.
    terms : tuple of TermCoordinates
    core : slice or None
        The factor's place in the core, level by level; None where eliminated.
    outer : slice
        Its place among the outer columns; empty for the first stage.
    entries : slice
        The place of its Σ, row by row, among the parameters of all factors.
    regression : (r, r) array or None
        E of the factor's columns, rows d − c = fE; None for the identity.
    columns : tuple of int
        The r columns of the statistics, which may be more than those of its terms; none for a
        system that is made from another one.
    """

    position: int
    n_levels: int
    n_columns: int
    terms: tuple[TermCoordinates, ...]
    core: slice | None
    outer: slice
    entries: slice
    regression: FloatArray | None = None
    columns: tuple[int, ...] = ()

    def take(self, matrix: FloatArray) -> FloatArray:
        """Take the factor's rows of the core, level by level: (q, r, m) of (q_core, m)."""
        return matrix[self.core].reshape(self.n_levels, self.n_columns, -1)

    def put(self, rows: FloatArray, n: int) -> FloatArray:
        """Lay (q·r, m) rows at the factor's place in the core, zeros elsewhere: (n, m)."""
        out = np.zeros((n, rows.shape[1]))
        out[self.core] = rows
        return out

    def lam(self, lam: tuple[FloatArray, ...]) -> FloatArray:
        """Join the terms' Λ to that of the factor's columns, (r, s)."""
        parts = [t.to_factor_columns @ lam[t.index] for t in self.terms]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Cells:
    """Which outer columns each level of a stage meets: a sparse pattern, row by row.

    Attributes
    ----------
    starts : (q + 1,) array of int
        Where the cells of each level begin, and the last ones end.
    columns, rows : (n_cells,) arrays of int
        Outer column and level of each cell.
    width : int
        All outer columns, n_outer.
    n_chain : int
        Those of later stages; the core's are behind them.
    """

    starts: IntArray
    columns: IntArray
    rows: IntArray
    width: int
    n_chain: int

    @staticmethod
    def of(starts: IntArray, columns: IntArray, width: int, n_chain: int = 0) -> "Cells":
        rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        return Cells(starts, columns, rows, width, n_chain)

    @staticmethod
    def none(n_levels: int, width: int) -> "Cells":
        """Return the pattern of a stage that meets nothing but X."""
        return Cells.of(np.zeros(n_levels + 1, np.intp), np.empty(0, np.intp), width)

    @property
    def n_levels(self) -> int:
        return len(self.starts) - 1

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def core(self) -> CoreCells:
        """Those in the core."""
        columns = self.columns - self.n_chain
        return core_cells(self.rows, columns, self.n_levels, self.width - self.n_chain)

    @cached_property
    def _pattern(self) -> sp.csr_array:
        parts = np.empty(len(self)), self.columns, self.starts
        return sp.csr_array(parts, shape=(self.n_levels, self.width))

    def with_values(self, values: FloatArray) -> sp.csr_array:
        """Return the cells holding values, (q, n_outer)."""
        return with_data(self._pattern, values)

    def find(self, rows: IntArray, columns: IntArray) -> IntArray:
        """Find cells by level and outer column."""
        keys = self.rows * self.width + self.columns
        return np.searchsorted(keys, rows.astype(np.intp) * self.width + columns)


def core_cells(rows: IntArray, columns: IntArray, n_levels: int, n_core: int) -> CoreCells:
    """Return cells, given row by row, in the way that costs least; columns below 0 do not count."""
    cells = np.flatnonzero(columns >= 0)
    rows, columns = rows[cells], columns[cells].astype(np.intp)
    per_level = np.bincount(rows).astype(float)
    products, dense = float(per_level @ per_level), n_levels * float(n_core) ** 2
    if PAIR_COST * products < dense and products < MOST_PAIRS:
        return CellPairs.of(cells, rows, columns, n_core)
    if SPARSE_COST * products < dense:
        return SparseCells.of(cells, rows, columns, (n_levels, n_core))
    return DenseCells(cells, rows, columns, n_levels, n_core)


@dataclass(frozen=True)
class Layout:
    """The order of a model's factors, and where each lies; the same for all of one pattern.

    Rows that have the same levels and cells, with other weights or another response, have
    the same layout.

    Attributes
    ----------
    factors : tuple of FactorLayout
        Those of the stages first, inner ones before outer, then those of the core.
    cells : tuple of Cells
        Of each stage.
    sources : tuple of (r, n_cells) arrays of int
        Where the value of each cell stands in the stage's products with later factors; none
        for a system that is made from another one.
    """

    factors: tuple[FactorLayout, ...]
    cells: tuple[Cells, ...]
    sources: tuple[IntArray, ...] = ()

    @staticmethod
    def of(stats: CrossProducts, like: CrossProducts, model: Model, *, is_sparse: bool) -> "Layout":
        """Lay out what a model uses; the terms' coordinates are those of `like`.

        With `is_sparse` the largest factor alone is eliminated.
        """
        chain, core = (sparse_order if is_sparse else elimination_order)(stats, model)
        factors = factor_layouts(stats, like, model, chain, core)
        n = len(chain)
        joined = [_join_cells(stats, factors, k, n) for k in range(n)]
        return Layout(factors, tuple(own for own, _ in joined), tuple(at for _, at in joined))

    @property
    def n_stages(self) -> int:
        return len(self.cells)

    @property
    def core_factors(self) -> tuple[FactorLayout, ...]:
        return self.factors[self.n_stages :]

    def stage_pairs(self, stats: CrossProducts, k: int) -> list[sp.csr_array]:
        """Return the products of stage k's columns with those of the factors after it."""
        return _pairs(stats, self.factors, k)

    def values(self, stats: CrossProducts, k: int) -> FloatArray:
        """Return the products at the cells of stage k, (r, n_cells)."""
        parts = self.stage_pairs(stats, k)
        if not parts:
            return np.empty(self.sources[k].shape)
        return np.asarray(np.concatenate([part.data for part in parts])[self.sources[k]])


def _pairs(stats: CrossProducts, factors: tuple[FactorLayout, ...], k: int) -> list[sp.csr_array]:
    own = factors[k].position
    return [pair_matrix(stats, own, later.position) for later in factors[k + 1 :]]


def _join_cells(
    stats: CrossProducts, factors: tuple[FactorLayout, ...], k: int, n_stages: int
) -> tuple[Cells, IntArray]:
    """Join the patterns of a stage's products, (q·r, …) each: cells, and their sources."""
    parts, (q, r) = _pairs(stats, factors, k), (factors[k].n_levels, factors[k].n_columns)
    width = factors[-1].outer.stop
    if not parts:
        return Cells.none(q, width), np.empty((r, 0), np.intp)
    stops = np.cumsum([part.nnz for part in parts])
    numbered = [
        sp.csr_array((np.arange(stop - part.nnz, stop), part.indices, part.indptr), part.shape)
        for part, stop in zip(parts, stops, strict=True)
    ]
    beside = sp.csr_array((q * r, width - sum(part.shape[1] for part in parts)))
    joined = sp.hstack([beside.astype(np.intp), *numbered], format="csr")
    joined.sort_indices()
    # The r rows of a level have the same cells.
    first = joined[::r]
    cells = Cells.of(first.indptr, first.indices, width, factors[n_stages - 1].outer.stop)
    return cells, np.stack([joined[a::r].data for a in range(r)])


def elimination_order(stats: CrossProducts, model: Model) -> tuple[list[int], list[int]]:
    """Return the factors of the chain to eliminate, inner first, and the others."""
    used = sorted({t.factor for t in model.terms})
    size = {k: stats.factors[k].sums[:, :, 0].size for k in used}
    chains = [_chain(stats, k, used) for k in used]
    chain = max(chains, key=lambda c: sum(size[k] for k in c), default=[])
    return chain, [k for k in used if k not in chain]


def sparse_order(stats: CrossProducts, model: Model) -> tuple[list[int], list[int]]:
    """Return the largest factor, and the others."""
    used = sorted({t.factor for t in model.terms})
    largest = max(used, key=lambda k: stats.factors[k].sums[:, :, 0].size)
    return [largest], [k for k in used if k != largest]


def _chain(stats: CrossProducts, inner: int, used: list[int]) -> list[int]:
    """Go from a factor outwards, each time to the finest factor it is nested in."""
    chain = [inner]
    while True:
        outside = [k for k in used if k not in chain and _is_nested(stats, chain[-1], k)]
        if not outside:
            return chain
        chain.append(max(outside, key=lambda k: len(stats.factors[k].counts)))


def _is_nested(stats: CrossProducts, inner: int, outer: int) -> bool:
    """Whether each level of one factor lies in a single level of another."""
    r = len(stats.factors[inner].columns), len(stats.factors[outer].columns)
    cells = pair_matrix(stats, inner, outer).nnz // (r[0] * r[1])
    return cells == len(stats.factors[inner].counts)


def factor_layouts(
    stats: CrossProducts,
    like: CrossProducts,
    model: Model,
    chain: list[int],
    core: list[int],
) -> tuple[FactorLayout, ...]:
    out: list[FactorLayout] = []
    outer = entries = in_core = 0
    for position, k in enumerate([*chain, *core]):
        factor = stats.factors[k]
        r, size = len(factor.columns), factor.sums[:, :, 0].size
        width = size if position else 0
        is_core = position >= len(chain)
        # A factor's q·r columns lie level by level, its r² entries of Σ row by row.
        out.append(
            FactorLayout(
                position=k,
                n_levels=len(factor.counts),
                n_columns=r,
                terms=term_coordinates(like, model.terms, k),
                core=slice(in_core, in_core + size) if is_core else None,
                outer=slice(outer, outer + width),
                entries=slice(entries, entries + r * r),
                regression=factor.regression,
                columns=factor.columns,
            )
        )
        in_core += size if is_core else 0
        outer += width
        entries += r * r
    return tuple(out)


@dataclass(frozen=True)
class DesignRows:
    """Rows of [Z X] in the coordinates of `System`.

    Attributes
    ----------
    factors : tuple of sparse (n, q·r) arrays
        In the order of the system; level by level the factor's columns, (1, x −
        center), in their frame. A row without entries has no effect of the factor.
    fixed : (n, p) array
        The kept columns of X, centered.
    """

    factors: tuple[sp.csr_array, ...]
    fixed: FloatArray

    def part(self, rows: IntArray | slice) -> "DesignRows":
        return DesignRows(tuple(f[rows] for f in self.factors), self.fixed[rows])

    def in_columns(self, bases: list[FloatArray], fixed: FloatArray) -> "DesignRows":
        """Return rows of [ZT XF]: T of each factor, (r, s), and F, (p, p)."""
        factors = []
        for own, base in zip(self.factors, bases, strict=True):
            if base.shape == (1, 1):
                factors.append(with_data(own, own.data * base.item()))
                continue
            q = own.shape[1] // len(base)
            parts = np.broadcast_to(base, (q, *base.shape)), np.arange(q), np.arange(q + 1)
            shape = (q * base.shape[0], q * base.shape[1])
            factors.append(own @ sp.bsr_array(parts, shape=shape).tocsr())
        return DesignRows(tuple(factors), as_sparse(self.fixed) @ fixed)


def factor_rows(codes: IntArray, values: FloatArray, n_levels: int) -> sp.csr_array:
    """Lay (n, r) values at the levels of the rows, none where the code is −1: (n, q·r)."""
    (n, r), known = values.shape, codes >= 0
    if not known.all():
        codes, values = codes[known], values[known]
    index: Any = np.int32 if max(n, n_levels) * r < 2**31 else np.int64
    columns = codes.astype(index)[:, None] * r + np.arange(r, dtype=index)
    starts = np.concatenate([[0], np.cumsum(known * r)]).astype(index)
    return sp.csr_array((values.ravel(), columns.ravel(), starts), shape=(n, n_levels * r))


def joined(parts: list[sp.csr_array]) -> sp.csr_array:
    return parts[0] if len(parts) == 1 else sp.csr_array(sp.hstack(parts, format="csr"))


def as_sparse(dense: FloatArray) -> sp.csr_array:
    """Keep all entries, so that rows are multiplied one by one."""
    n, p = dense.shape
    index: Any = np.int32 if n * max(p, 1) < 2**31 else np.int64
    columns, starts = np.tile(np.arange(p, dtype=index), n), np.arange(n + 1, dtype=index) * p
    return sp.csr_array((dense.ravel(), columns, starts), shape=(n, p))
