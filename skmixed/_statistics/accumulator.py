"""Rows into cross-products, in one pass and in memory for one block of them."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._statistics.cross_products import (
    CrossProducts,
    FactorProducts,
    has_drifted,
    is_resolving,
)
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import factor_of_rows, orthogonalize, residuals
from skmixed._statistics.pair_products import PairProducts, sorted_rows
from skmixed._typing import FloatArray

# Rows gathered at a time. The buffer of a block stays small beside the data; a
# stripe of it stays in the second-level cache while its columns are laid in.
BLOCK_ROWS = 131_072
STRIPE_ROWS = 4_096


def accumulate(design: Design) -> CrossProducts:
    """Reduce a set of rows to its cross-products.

    Costs n·m² / 2 multiplications in BLAS and n·r·m per factor in a sparse
    product; besides the result, memory for one block of rows.
    """
    accumulator = Accumulator()
    accumulator.add_last(design)
    return accumulator.products()


class Accumulator:
    """Sums of rows that come in parts, over levels that grow in number.

    The parts number the levels alike, new ones behind those known before. Rows
    wait until there are as many as the levels have coefficients, so that what
    costs as much as there are levels is shared by as many rows: a part costs
    its own size, however many parts and levels there are.

    Parameters
    ----------
    stats : CrossProducts or None
        To continue from; it does not change.
    """

    def __init__(self, stats: CrossProducts | None = None) -> None:
        self._sums: CrossProducts | None = None
        self._is_own = False
        self._pairs: list[_GrowingPair] = []
        self._waiting = _Waiting()
        self._table = np.empty((0, 0))
        if stats is not None:
            self._take(stats)

    def add(self, design: Design) -> None:
        """Take in rows, whose arrays may change afterwards."""
        step, start = _block_rows(design), 0
        while start < design.n_rows:
            left = design.n_rows - start
            if left >= step and not self._waiting.n_rows:
                stop = start + left // step * step
                self._reduce(_rows(design, slice(start, stop)))
            else:
                stop = min(start + step - self._waiting.n_rows, design.n_rows)
                self._waiting.put(_rows(design, slice(start, stop)), step)
            if self._waiting.n_rows == step:
                self._flush()
            start = stop

    def add_last(self, design: Design) -> None:
        """Take in rows at once, without a copy of them."""
        self._flush()
        self._reduce(design)

    def products(self) -> CrossProducts:
        """Return the cross-products of all rows taken in, at least one."""
        self._flush()
        if self._sums is None:
            raise ValueError("No rows were added.")
        center, self._is_own = self._sums.center, False
        return replace(self._sums, pairs=tuple(p.joined(center) for p in self._pairs))

    def _flush(self) -> None:
        if self._waiting.n_rows:
            self._reduce(self._waiting.taken())

    def _reduce(self, design: Design) -> None:
        # A block with fewer rows than levels would spend its time on empty levels.
        step = _block_rows(design)
        rows = min(step, design.n_rows)
        if len(self._table) < rows:
            self._table = np.empty((rows, design.n_columns))
        # Squares that overflow are found in the result, where they can be named.
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, design.n_rows, step):
                self._take(_block(design, slice(start, start + step), self._sums, self._table))
                self._is_own = True

    def _take(self, stats: CrossProducts) -> None:
        sums = replace(stats, pairs=())
        if self._sums is None:
            self._sums = sums
            columns = [f.columns for f in stats.factors]
            self._pairs = [_GrowingPair((columns[p.first], columns[p.second])) for p in stats.pairs]
        else:
            self._sums = self._sums.plus(sums, overwrite=self._is_own)
        for own, pair in zip(self._pairs, stats.pairs, strict=True):
            own.add(stats.center, pair)


class _Waiting:
    """Rows that wait for others, in arrays that are used again."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.is_weighted = False
        self.arrays: list[NDArray[Any]] = []
        self.factors: tuple[FactorDesign, ...] = ()

    def put(self, design: Design, capacity: int) -> None:
        weights = 1.0 if design.weights is None else design.weights
        columns = (design.y, *design.columns)
        codes = [factor.codes for factor in design.factors]
        held = len(self.arrays[0]) if self.arrays else 0
        if held < capacity:  # by half at least: the capacity may grow with every part
            types = [np.float64] * (1 + len(columns)) + [np.intp] * len(codes)
            self._enlarge([np.empty(max(capacity, held * 3 // 2), dtype=kind) for kind in types])
        rows = slice(self.n_rows, self.n_rows + design.n_rows)
        for array, part in zip(self.arrays, (weights, *columns, *codes), strict=True):
            array[rows] = part
        self.n_rows = rows.stop
        self.is_weighted = self.is_weighted or design.weights is not None
        self.factors = design.factors  # the latest knows all levels

    def taken(self) -> Design:
        """Return the rows, of which none waits any more; the next ones overwrite them."""
        weights, y, *rest = (array[: self.n_rows] for array in self.arrays)
        n = len(rest) - len(self.factors)
        factors = tuple(replace(f, codes=c) for f, c in zip(self.factors, rest[n:], strict=True))
        design = Design(tuple(rest[:n]), y, weights if self.is_weighted else None, factors)
        self.n_rows, self.is_weighted = 0, False
        return design

    def _enlarge(self, arrays: list[NDArray[Any]]) -> None:
        for new, old in zip(arrays, self.arrays, strict=False):
            new[: self.n_rows] = old[: self.n_rows]
        self.arrays = arrays


class _GrowingPair:
    """Cells of two factors, in runs that are joined when they are of like size.

    A new run is small beside all cells seen: adding it to them each time would
    cost a pass over them. So each cell is joined a logarithmic number of times.
    """

    def __init__(self, columns: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
        self.columns = columns
        self.runs: list[tuple[FloatArray, PairProducts]] = []

    def add(self, center: FloatArray, pair: PairProducts) -> None:
        self.runs.append((center, pair))
        while len(self.runs) > 1 and self._size(-2) <= 2 * self._size(-1):
            self._join_last(self.runs[-2][0])

    def joined(self, center: FloatArray) -> PairProducts:
        while len(self.runs) > 1:
            self._join_last(center)
        return self._around(center, self.runs[0])

    def _size(self, position: int) -> int:
        return int(self.runs[position][1].matrix.nnz)

    def _join_last(self, center: FloatArray) -> None:
        last, before = self.runs.pop(), self.runs.pop()
        self.runs.append((center, self._around(center, before) + self._around(center, last)))

    def _around(self, center: FloatArray, run: tuple[FloatArray, PairProducts]) -> PairProducts:
        shift = center - run[0]
        first, second = (shift[list(columns)] for columns in self.columns)
        if not first.any() and not second.any():
            return run[1]
        return run[1].shifted((first, second), (len(first), len(second)))


def _block_rows(design: Design) -> int:
    """Rows of a block: some, and at least as many as a factor has coefficients."""
    return max(BLOCK_ROWS, *(f.n_levels * len(f.columns) for f in design.factors), 0)


def _rows(design: Design, rows: slice) -> Design:
    return Design(
        tuple(column[rows] for column in design.columns),
        design.y[rows],
        None if design.weights is None else design.weights[rows],
        tuple(replace(f, codes=f.codes[rows]) for f in design.factors),
    )


def _block(
    design: Design, rows: slice, known: CrossProducts | None, table: FloatArray
) -> CrossProducts:
    """Reduce one block in the frame of the sums so far, or in one of its own.

    That is where the known frame loses digits of all rows together. `table` is
    overwritten: first writes to fresh memory would cost as much as the arithmetic.
    """
    weights = None if design.weights is None else design.weights[rows]
    around = _block_mean(design, rows, weights) if known is None else known.center
    table = table[: len(design.y[rows])]
    total, unweighted = _gather(design, rows, weights, around, table)
    stats = CrossProducts(
        n_rows=len(table),
        sum_log_weights=0.0 if weights is None else float(np.log(weights).sum()),
        center=around,
        total=total,
        factors=(),
        unweighted=unweighted,
    )
    if known is not None and has_drifted(stats):
        return _block(design, rows, None, table)
    raw = stats.raw_squares
    z = [_indicators(f, rows, table) for f in design.factors]
    regression = _own_regression(stats, raw, table) if known is None else known.regression
    stats = _in_frame(stats, regression, weights, table)
    if known is not None and not is_resolving(
        known.total + stats.total, known.frame, known.raw_squares + raw
    ):
        return _block(design, rows, None, table)
    return replace(
        stats,
        factors=tuple(
            _factor_block(f, rows, own, table) for f, own in zip(design.factors, z, strict=True)
        ),
        pairs=tuple(
            PairProducts(f, g, _cell_products(z[f], z[g], design.factors[f], design.factors[g]))
            for f, g in combinations(range(len(z)), 2)
        ),
    )


def _own_regression(stats: CrossProducts, raw: FloatArray, table: FloatArray) -> FloatArray | None:
    """Return the regression that a block asks for, of squares `raw` of its columns."""
    if is_resolving(stats.total, stats.frame, raw):
        return None
    factor = factor_of_rows(table)
    spreads = np.sqrt(np.square(factor).sum(axis=0))
    return orthogonalize(factor, spreads, np.sqrt(raw)).regression


def _in_frame(
    stats: CrossProducts,
    regression: FloatArray | None,
    weights: FloatArray | None,
    table: FloatArray,
) -> CrossProducts:
    """Take off centered columns their regression, row by row; take their products."""
    if regression is None:
        return stats
    total = np.zeros_like(stats.total)
    unweighted = None if weights is None else np.zeros_like(total)
    for start in range(0, len(table), STRIPE_ROWS):
        part = slice(start, start + STRIPE_ROWS)
        stripe = residuals(table[part], regression)
        table[part] = stripe
        total += stripe.T @ stripe
        if weights is not None and unweighted is not None:
            stripe /= np.sqrt(weights[part])[:, None]
            unweighted += stripe.T @ stripe
    return replace(stats, total=total, unweighted=unweighted, regression=regression)


def _block_mean(design: Design, rows: slice, weights: FloatArray | None) -> FloatArray:
    columns = (*design.columns, design.y)
    return np.array([0.0, *(np.average(column[rows], weights=weights) for column in columns)])


def _gather(
    design: Design,
    rows: slice,
    weights: FloatArray | None,
    center: FloatArray,
    table: FloatArray,
) -> tuple[FloatArray, FloatArray | None]:
    """Lay the centered columns, times √w, side by side; return their products, weighted and not."""
    columns = [column[rows] for column in (*design.columns, design.y)]
    table[:, 0] = 1.0
    total = np.zeros((table.shape[1],) * 2)
    root = None if weights is None else np.sqrt(weights)[:, None]
    unweighted = None if weights is None else np.zeros_like(total)
    for start in range(0, len(table), STRIPE_ROWS):
        part = slice(start, start + STRIPE_ROWS)
        stripe = table[part]
        for position, column in enumerate(columns, start=1):
            np.subtract(column[part], center[position], out=stripe[:, position])
        if root is not None and unweighted is not None:
            unweighted += stripe.T @ stripe
            stripe *= root[part]
        total += stripe.T @ stripe
    return total, unweighted


def _indicators(factor: FactorDesign, rows: slice, table: FloatArray) -> sp.csc_array:
    """Z' of one factor, (q·r, n): a row of the data is a column of it."""
    codes, (n, r) = factor.codes[rows], (len(table), len(factor.columns))
    index: Any = np.int32 if max(factor.n_levels, n) * r < 2**31 else np.int64
    indices = codes.astype(index)[:, None] * r + np.arange(r, dtype=index)
    starts = np.arange(0, n * r + 1, r, dtype=index)
    parts = (table[:, list(factor.columns)].ravel(), indices.ravel(), starts)
    return sp.csc_array(parts, shape=(factor.n_levels * r, n))


def _factor_block(
    factor: FactorDesign, rows: slice, z: sp.csc_array, table: FloatArray
) -> FactorProducts:
    """Sum the products per level, as a sparse (q·r, n) times a dense (n, m)."""
    shape = (factor.n_levels, len(factor.columns), table.shape[1])
    return FactorProducts(
        columns=factor.columns,
        sums=np.asarray(z @ table).reshape(shape),
        counts=np.bincount(factor.codes[rows], minlength=factor.n_levels),
    )


def _cell_products(
    first: sp.csc_array, second: sp.csc_array, f: FactorDesign, g: FactorDesign
) -> sp.csr_array:
    """Multiply Z_f' and Z_g; every cell that occurs with all its entries, zeros too."""
    size = len(f.columns), len(g.columns)
    product = sp.csr_array(first.tocsr() @ second.T)
    return sorted_rows(product if size == (1, 1) else product.tobsr(size).tocsr())
