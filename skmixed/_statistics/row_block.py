"""One block of rows, laid out in a frame and reduced to its cross-products."""

from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import Frame, factor_of_rows, orthogonalize, residuals
from skmixed._statistics.grouped_products import (
    FactorProducts,
    PairProducts,
    own_regression,
    sorted_rows,
)
from skmixed._statistics.responses import (
    ResponseFrame,
    ResponseProducts,
    ResponseTotals,
    regression_on,
)
from skmixed._statistics.row_sums import RowSums
from skmixed._typing import FloatArray, IntArray

# A stripe of a block stays in the second-level cache while its columns are laid in.
STRIPE_ROWS = 4_096
# Rows to lay side by side before they are multiplied, by the number of columns: BLAS takes
# four columns at a time, and up to twice as long for a number that is no multiple of it.
FOLDS = {2: 2, 3: 4, 5: 2, 6: 2, 7: 2}
# Parts of the rows up to which these are sorted by their parts.
FEW_PARTS = 64
# Rows that are multiplied in the time that one product more takes.
PIECE_COST = 12


def reduced(
    design: Design,
    known: CrossProducts | None,
    table: FloatArray,
    parts: "PartProducts | None" = None,
) -> CrossProducts:
    """Reduce one block in the frame of the sums so far, or in one of its own.

    That is where the known frame loses digits of all rows together. `table` is
    overwritten: first writes to fresh memory would cost as much as the arithmetic. `parts`
    takes in the products of the rows of each part, which are in that frame if it is plain.
    """
    centers = _means(design) if known is None else _centers(known)
    sums = _gathered(design, *centers, table, parts)
    if known is not None and sums.has_drifted:
        return reduced(design, None, table, parts)
    # e'We in a frame that keeps digits
    if known is None:
        sums = _in_own_frame(sums, design.weights, table)
        own = tuple(own_regression(sums, f.columns) for f in design.factors)
    else:
        sums = _in_frame(sums, known.frame, known.responses.frame, design.weights, table)
        own = known.own_regressions
        if not _are_resolved(known, known.over_rows().plus_rows(sums)):
            return reduced(design, None, table, parts)
    # Z' of each factor, of rows f; then Z'We of each level, and Z_f'WZ_g of each pair of factors
    z = [
        indicators(f, own_rows(table, sums.frame, f, e))
        for f, e in zip(design.factors, own, strict=True)
    ]
    return CrossProducts(
        **vars(sums),
        factors=tuple(
            _factor_block(f, e, own_z, table, len(design.responses))
            for f, e, own_z in zip(design.factors, own, z, strict=True)
        ),
        pairs=tuple(
            PairProducts(f, g, _cell_products(z[f], z[g], design.factors[f], design.factors[g]))
            for f, g in combinations(range(len(z)), 2)
        ),
    )


def _are_resolved(known: CrossProducts, sums: RowSums) -> bool:
    """Whether the frames of known statistics serve the sums of more rows."""
    is_good, are_good = sums.resolved()
    if not is_good or not are_good.all():
        return False
    return all(own_regression(sums, f.columns, f.regression) is f.regression for f in known.factors)


def own_rows(
    table: FloatArray, frame: Frame, factor: FactorDesign, regression: FloatArray | None
) -> FloatArray:
    """Return a factor's rows f in a frame of their own, (n, r).

    From rows e of the design, the first columns of a table.
    """
    if frame.regression is None:
        return np.take(table, factor.columns, axis=1)  # in the order of the rows
    return table[:, : len(frame.center)] @ frame.of_own_columns(factor.columns, regression)


def _means(design: Design) -> tuple[FloatArray, FloatArray]:
    """Return the means of the columns, 0 for the ones, and of the responses."""
    columns = (*design.columns, *design.responses)
    means = [np.average(own, weights=design.weights) for own in columns]
    n = len(design.columns)
    return np.array([0.0, *means[:n]]), np.array(means[n:])


def _centers(known: CrossProducts) -> tuple[FloatArray, FloatArray]:
    return known.center, known.responses.center


def _gathered(
    design: Design,
    center: FloatArray,
    response_center: FloatArray,
    table: FloatArray,
    parts: "PartProducts | None",
) -> RowSums:
    """Lay the centered columns and responses, times √w, side by side; return their products."""
    columns, weights = [*design.columns, *design.responses], design.weights
    around = [*center[1:], *response_center]
    table[:, 0] = 1.0
    total = _Products(*table.shape) if parts is None else parts.begun()
    plain = _Products(*table.shape)
    root = None if weights is None else np.sqrt(weights)[:, None]
    # √w(1, x − c, y − c_y), and the sums of its products, stripe by stripe
    for start in range(0, len(table), STRIPE_ROWS):
        part = slice(start, start + STRIPE_ROWS)
        stripe = table[part]
        for position, column in enumerate(columns, start=1):
            np.subtract(column[part], around[position - 1], out=stripe[:, position])
        if root is not None:
            plain.add(stripe)
            stripe *= root[part]
        total.add(stripe)
    log_weights = 0.0 if weights is None else float(np.log(weights).sum())
    unweighted = None if weights is None else plain.sum()
    frames = Frame(center), ResponseFrame(response_center)
    return _row_sums(design.n_rows, log_weights, *frames, total.sum(), unweighted)


class _Products:
    """Σ rr' of rows r of m numbers, which come in parts.

    Some rows side by side are one wide row, whose products have those of its rows on the
    diagonal (`FOLDS`).
    """

    def __init__(self, n: int, m: int) -> None:
        self._m, self._fold = m, FOLDS.get(m, 1) if n > STRIPE_ROWS else 1
        self._wide = np.zeros((m * self._fold,) * 2)
        self._rest = np.zeros((m, m))

    def add(self, rows: FloatArray) -> None:
        n = len(rows) // self._fold * self._fold
        wide, rest = rows[:n].reshape(-1, len(self._wide)), rows[n:]
        self._wide += wide.T @ wide
        if len(rest):
            self._rest += rest.T @ rest

    def sum(self) -> FloatArray:
        if self._fold == 1:
            return self._wide
        parts = self._wide.reshape(self._fold, self._m, self._fold, self._m)
        return np.einsum("iaib->ab", parts) + self._rest


class PartProducts(_Products):
    """Σ rr' of the rows of each of a few parts, which lie among each other in some blocks.

    Rows are sorted by their parts while they are in the cache.

    Attributes
    ----------
    of_parts : (F, m, m) array
        Of the rows since the last block has begun.
    """

    def __init__(self, part: IntArray, n_parts: int, m: int) -> None:
        # Small numbers are sorted by their digits
        self._part = part.astype(np.uint8)
        self.of_parts = np.zeros((n_parts, m, m))
        self._sorted = np.empty((STRIPE_ROWS, m))
        self._start = self._next = 0

    def begun(self) -> "PartProducts":
        """Begin a block, or begin the last one anew."""
        self._next = self._start
        self.of_parts[:] = 0.0
        return self

    def ended(self) -> FloatArray:
        """End a block; return Σ rr' part by part, which the next block overwrites."""
        self._start = self._next
        return self.of_parts

    def add(self, rows: FloatArray) -> None:
        part = self._part[self._next : self._next + len(rows)]
        self._next += len(rows)
        order = np.argsort(part, kind="stable")
        stops = np.cumsum(np.bincount(part, minlength=len(self.of_parts))).tolist()
        np.take(rows, order, axis=0, out=self._sorted[: len(rows)], mode="clip")
        # Σ rr' of the rows of each part, which follow each other
        for own, start, stop in zip(self.of_parts, [0, *stops], stops, strict=False):
            found = self._sorted[start:stop]
            own += found.T @ found

    def sum(self) -> FloatArray:
        return np.asarray(self.of_parts.sum(axis=0))


def sorted_products(rows: FloatArray, part: IntArray) -> tuple[IntArray, FloatArray]:
    """Return the parts that occur among rows r, (F,), and Σ rr' of each, (F, m, m).

    The rows of a part are cut into pieces of one length, filled up with zeros, which are
    multiplied together.
    """
    sizes, m = np.bincount(part), rows.shape[1]
    found = np.flatnonzero(sizes)
    sizes = sizes[found]
    length = _length_of_pieces(sizes)
    n_pieces = -(-sizes // length)
    first = np.cumsum(n_pieces) - n_pieces
    # The rows part by part, each from the start of a piece on; sixteen bits sort by their digits
    order = np.argsort(part.astype(np.uint16) if found[-1] < 2**16 else part, kind="stable")
    is_filled = np.zeros(int(n_pieces.sum()) * length, dtype=bool)
    is_filled[np.repeat(first * length, sizes) + runs(sizes)] = True
    source = np.zeros(len(is_filled), dtype=np.intp)
    source[is_filled] = order
    pieces = np.take(rows, source, axis=0)
    pieces[~is_filled] = 0.0
    pieces = pieces.reshape(-1, length, m)
    # R'R of each piece, and their sums part by part: half of them to the other, again and again
    products = np.matmul(pieces.transpose(0, 2, 1), pieces)
    while (n_pieces > 1).any():
        kept = (n_pieces + 1) // 2
        moved = n_pieces - kept
        to = np.repeat(first, moved) + runs(moved)
        products[to] += products[to + np.repeat(kept, moved)]
        n_pieces = kept
    return found, products[first]


def _length_of_pieces(sizes: IntArray) -> int:
    """Return the length of pieces that costs least: rows to multiply, and pieces."""
    lengths = np.unique([*(2 ** np.arange(9)), int(np.ceil(sizes.mean())), min(sizes.max(), 256)])
    costs = [(-(-sizes // own)).sum() * (own + PIECE_COST) for own in lengths]
    return int(lengths[np.argmin(costs)])


def runs(sizes: IntArray) -> IntArray:
    """Return 0, 1, … of each of some runs, one behind the other."""
    return np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _row_sums(
    n_rows: int,
    sum_log_weights: float,
    frame: Frame,
    of_responses: ResponseFrame,
    total: FloatArray,
    unweighted: FloatArray | None,
) -> RowSums:
    """Tell the products of the columns from those of the responses, which stand behind them."""
    k = len(frame.center)
    plain = None if unweighted is None else _totals(unweighted, k)
    # [X'WX X'Wy; y'WX y'Wy], taken apart at the k columns of X
    return RowSums(
        n_rows=n_rows,
        sum_log_weights=sum_log_weights,
        center=frame.center,
        regression=frame.regression,
        total=total[:k, :k],
        responses=ResponseProducts(
            of_responses.center, of_responses.regression, _totals(total, k), plain
        ),
        unweighted=None if unweighted is None else unweighted[:k, :k],
    )


def _totals(total: FloatArray, k: int) -> ResponseTotals:
    return ResponseTotals(total[:k, k:], np.diagonal(total)[k:])


def _in_own_frame(sums: RowSums, weights: FloatArray | None, table: FloatArray) -> RowSums:
    """Take off the centered columns, and then the responses, the regressions that they ask for."""
    k, own = len(sums.center), sums.responses.frame
    is_good, are_good = sums.resolved()
    # E of the columns, from the triangular factor of the rows
    if not is_good:
        factor = factor_of_rows(table[:, :k])
        spreads = np.sqrt(np.square(factor).sum(axis=0))
        regression = orthogonalize(factor, spreads, np.sqrt(sums.raw_squares)).regression
        sums = _in_frame(sums, Frame(sums.center, regression), own, weights, table)
        are_good = sums.resolved()[1]
    # γ of the responses that are near the columns
    if not are_good.all():
        factor, gamma = factor_of_rows(table), np.zeros((k, len(are_good)))
        near = factor[:, k:][:, ~are_good]
        gamma[:, ~are_good] = regression_on(factor[:, :k], near, sums.independent)
        sums = _in_frame(sums, sums.frame, ResponseFrame(own.center, gamma), weights, table)
    return sums


def _in_frame(
    sums: RowSums,
    frame: Frame,
    of_responses: ResponseFrame,
    weights: FloatArray | None,
    table: FloatArray,
) -> RowSums:
    """Take off centered columns and responses their regressions, row by row; multiply them."""
    k = len(sums.center)
    regression = None if sums.frame.has_regression_of(frame) else frame.regression
    gamma = of_responses.regression
    if regression is None and gamma is None:
        return sums
    total, plain = _Products(*table.shape), _Products(*table.shape)
    # x − c = eE, y − c_y = u + eγ: rows e and u in the place of the centered ones
    for start in range(0, len(table), STRIPE_ROWS):
        part = slice(start, start + STRIPE_ROWS)
        stripe = table[part]
        if regression is not None:
            stripe[:, :k] = residuals(stripe[:, :k], regression)
        if gamma is not None:
            stripe[:, k:] -= stripe[:, :k] @ gamma
        total.add(stripe)
        if weights is not None:
            plain.add(stripe / np.sqrt(weights[part])[:, None])
    unweighted, log_weights = None if weights is None else plain.sum(), sums.sum_log_weights
    return _row_sums(sums.n_rows, log_weights, frame, of_responses, total.sum(), unweighted)


def indicators(factor: FactorDesign, own: FloatArray) -> sp.csc_array:
    """Z' of one factor, (q·r, n), from its rows, (n, r): a row of them is a column of it."""
    n, r = own.shape
    index: Any = np.int32 if max(factor.n_levels, n) * r < 2**31 else np.int64
    indices, starts = np.empty((n, r), dtype=index), np.arange(0, n * r + 1, r, dtype=index)
    np.multiply(factor.codes, r, out=indices[:, 0], casting="unsafe")
    for a in range(1, r):
        np.add(indices[:, 0], a, out=indices[:, a])
    return sp.csc_array((own.ravel(), indices.ravel(), starts), shape=(factor.n_levels * r, n))


def _factor_block(
    factor: FactorDesign,
    regression: FloatArray | None,
    z: sp.csc_array,
    table: FloatArray,
    n_responses: int,
) -> FactorProducts:
    """Sum the products per level, as a sparse (q·r, n) times a dense (n, k + R)."""
    shape = factor.n_levels, len(factor.columns), table.shape[1]
    return FactorProducts(
        columns=factor.columns,
        products=np.asarray(z @ table).reshape(shape),
        n_responses=n_responses,
        counts=np.bincount(factor.codes, minlength=factor.n_levels),
        regression=regression,
    )


def _cell_products(
    first: sp.csc_array, second: sp.csc_array, f: FactorDesign, g: FactorDesign
) -> sp.csr_array:
    """Multiply Z_f' and Z_g; every cell that occurs with all its entries, zeros too."""
    size = len(f.columns), len(g.columns)
    product = sp.csr_array(first.tocsr() @ second.T)
    return sorted_rows(product if size == (1, 1) else product.tobsr(size).tocsr())
