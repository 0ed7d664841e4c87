"""Rows into cross-products, in one pass and in memory for one block of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import Frame
from skmixed._statistics.grouped_products import FactorProducts, PairProducts
from skmixed._statistics.row_block import FEW_PARTS, PartProducts, reduced, sorted_products
from skmixed._typing import FloatArray, IntArray

# Rows gathered at a time. The buffer of a block stays small beside the data.
BLOCK_ROWS = 131_072
# Numbers of a block of rows of many parts.
BLOCK_NUMBERS = 6_000_000


def accumulate(design: Design) -> CrossProducts:
    """Reduce a set of rows to its cross-products.

    Costs n·m² / 2 multiplications in BLAS and n·r·m per factor in a sparse
    product; besides the result, memory for one block of rows.
    """
    accumulator = Accumulator()
    accumulator.add_last(design)
    return accumulator.products()


@dataclass(frozen=True)
class PartSums:
    """Sums over all rows, and over the rows of each of some parts.

    Attributes
    ----------
    all_rows : CrossProducts
    products : (F, k + R, k + R) array
        Σ w [e u]'[e u] of each part, in the frame of all rows.
    """

    all_rows: CrossProducts
    products: FloatArray


def accumulate_parts(design: Design, part: IntArray, n_parts: int) -> PartSums | None:
    """Reduce rows, and those of each of some parts of them, in one pass.

    None where the rows ask for a frame with a regression. Costs a sort of the rows: of few
    parts that of each stripe, of many that of all rows.
    """
    # A factor whose levels are the parts has its products among theirs
    are_levels = len(design.factors) == 1 and _are_parts(design.factors[0], part, n_parts)
    rows = replace(design, factors=()) if are_levels else design
    sums = _SumsOfParts(n_parts, design.n_columns + len(design.responses))
    # Of many parts a block is to have some rows of each
    least = BLOCK_ROWS if n_parts <= FEW_PARTS else max(BLOCK_ROWS, BLOCK_NUMBERS // sums.shape[1])
    accumulator = Accumulator(block_rows=least)
    (_add_few if n_parts <= FEW_PARTS else _add_many)(accumulator, rows, part, sums)
    found = accumulator.products()
    if not found.has_plain_frame:
        return None
    products = sums.around(np.append(found.center, found.responses.center))
    if are_levels:
        (factor,), n_responses = design.factors, len(design.responses)
        own = np.ascontiguousarray(products[:, list(factor.columns)])
        counts = np.bincount(part, minlength=n_parts)
        levels = FactorProducts(factor.columns, own, n_responses, counts)
        found = replace(found, factors=(levels,))
    return PartSums(found, products)


def _are_parts(factor: FactorDesign, part: IntArray, n_parts: int) -> bool:
    return factor.n_levels == n_parts and np.array_equal(factor.codes, part)


class _SumsOfParts:
    """Σ rr' of the rows of each part, in blocks that are around different centers."""

    def __init__(self, n_parts: int, m: int) -> None:
        self.shape = n_parts, m, m
        self.blocks: list[tuple[FloatArray, FloatArray]] = []

    def of(self, stats: CrossProducts) -> FloatArray:
        """Return the sums around the center of a block, to be added to."""
        center = np.append(stats.center, stats.responses.center)
        if not (self.blocks and np.array_equal(self.blocks[-1][0], center)):
            self.blocks.append((center, np.zeros(self.shape)))
        return self.blocks[-1][1]

    def around(self, center: FloatArray) -> FloatArray:
        """Return the sums of all blocks around one center, (F, m, m)."""
        out = np.zeros(self.shape)
        for own, sums in self.blocks:
            # Rows (1, d − c) are those around another center, less the difference
            change = np.eye(len(center))
            change[0] += own - center
            out += sums if np.array_equal(own, center) else change.T @ sums @ change
        return out


def _add_few(
    accumulator: "Accumulator", design: Design, part: IntArray, sums: _SumsOfParts
) -> None:
    """Add rows of a few parts, which are sorted stripe by stripe."""
    parts = PartProducts(part, *sums.shape[:2])

    def ended(stats: CrossProducts, _: FloatArray) -> None:
        np.add(own := sums.of(stats), parts.ended(), out=own)

    accumulator.add_last(design, parts, ended)


def _add_many(
    accumulator: "Accumulator", design: Design, part: IntArray, sums: _SumsOfParts
) -> None:
    """Add rows of many parts, which are sorted block by block."""
    start = 0

    def ended(stats: CrossProducts, table: FloatArray) -> None:
        nonlocal start
        found, products = sorted_products(table, part[start : start + len(table)])
        sums.of(stats)[found] += products
        start += len(table)

    accumulator.add_last(design, None, ended)


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
    block_rows : int or None
        Rows of a block, if the levels do not ask for more; None: `BLOCK_ROWS`.
    """

    def __init__(
        self, stats: CrossProducts | None = None, *, block_rows: int | None = None
    ) -> None:
        self._least_rows = BLOCK_ROWS if block_rows is None else block_rows
        self._sums: CrossProducts | None = None
        self._is_own = False
        self._pairs: list[_GrowingPair] = []
        self._waiting = _Waiting()
        self._table = np.empty((0, 0))
        if stats is not None:
            self._take(stats)

    def add(self, design: Design) -> None:
        """Take in rows, whose arrays may change afterwards."""
        step, start = self._block_rows(design), 0
        while start < design.n_rows:
            left = design.n_rows - start
            if left >= step and not self._waiting.n_rows:
                stop = start + left // step * step
                self._reduce(design.rows(slice(start, stop)))
            else:
                stop = min(start + step - self._waiting.n_rows, design.n_rows)
                self._waiting.put(design.rows(slice(start, stop)), step)
            if self._waiting.n_rows == step:
                self._flush()
            start = stop

    def add_last(
        self,
        design: Design,
        parts: PartProducts | None = None,
        ended: Callable[[CrossProducts, FloatArray], None] | None = None,
    ) -> None:
        """Take in rows at once, without a copy of them.

        `ended` is shown the sums of each block of rows, and its rows √w [e u].
        """
        self._flush()
        self._reduce(design, parts, ended)

    def products(self) -> CrossProducts:
        """Return the cross-products of all rows taken in, at least one."""
        self._flush()
        if self._sums is None:
            raise ValueError("No rows were added.")
        sums, self._is_own = self._sums, False
        return replace(sums, pairs=tuple(p.joined(p.frames(sums)) for p in self._pairs))

    def _flush(self) -> None:
        if self._waiting.n_rows:
            self._reduce(self._waiting.taken())

    def _reduce(
        self,
        design: Design,
        parts: PartProducts | None = None,
        ended: Callable[[CrossProducts, FloatArray], None] | None = None,
    ) -> None:
        # A block with fewer rows than levels would spend its time on empty levels.
        step = self._block_rows(design)
        rows = min(step, design.n_rows)
        if len(self._table) < rows:
            self._table = np.empty((rows, design.n_columns + len(design.responses)))
        # Squares that overflow are found in the result, where they can be named.
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, design.n_rows, step):
                block = design.rows(slice(start, start + step))
                table = self._table[: block.n_rows]
                stats = reduced(block, self._sums, table, parts)
                if ended is not None:
                    ended(stats, table)
                self._take(stats)
                self._is_own = True

    def _block_rows(self, design: Design) -> int:
        """Rows of a block: some, and at least as many as a factor has coefficients."""
        return max(self._least_rows, *(f.n_levels * len(f.columns) for f in design.factors), 0)

    def _take(self, stats: CrossProducts) -> None:
        sums = replace(stats, pairs=())
        if self._sums is None:
            self._sums = sums
            self._pairs = [_GrowingPair(p.first, p.second) for p in stats.pairs]
        elif sums.is_in_frame_of(self._sums):  # which was found to serve both
            self._sums = self._sums.plus_in_frame(sums, overwrite=self._is_own)
        else:
            self._sums = self._sums.plus(sums, overwrite=self._is_own)
        for own, pair in zip(self._pairs, stats.pairs, strict=True):
            own.add(own.frames(stats), pair)


class _Waiting:
    """Rows that wait for others, in arrays that are used again."""

    def __init__(self) -> None:
        self.n_rows = self.n_responses = 0
        self.is_weighted = False
        self.arrays: list[NDArray[Any]] = []
        self.factors: tuple[FactorDesign, ...] = ()

    def put(self, design: Design, capacity: int) -> None:
        weights = 1.0 if design.weights is None else design.weights
        columns = (*design.responses, *design.columns)
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
        self.n_responses = len(design.responses)

    def taken(self) -> Design:
        """Return the rows, of which none waits any more; the next ones overwrite them."""
        weights, *rest = (array[: self.n_rows] for array in self.arrays)
        n, m = self.n_responses, len(rest) - len(self.factors)
        factors = tuple(replace(f, codes=c) for f, c in zip(self.factors, rest[m:], strict=True))
        design = Design(
            columns=tuple(rest[n:m]),
            responses=tuple(rest[:n]),
            weights=weights if self.is_weighted else None,
            factors=factors,
        )
        self.n_rows, self.is_weighted = 0, False
        return design

    def _enlarge(self, arrays: list[NDArray[Any]]) -> None:
        for new, old in zip(arrays, self.arrays, strict=False):
            new[: self.n_rows] = old[: self.n_rows]
        self.arrays = arrays


# Those of the columns of two factors.
_Frames = tuple[Frame, Frame]


class _GrowingPair:
    """Cells of two factors, in runs that are joined when they are of like size.

    A new run is small beside all cells seen: adding it to them each time would
    cost a pass over them. So each cell is joined a logarithmic number of times.
    """

    def __init__(self, first: int, second: int) -> None:
        self.first, self.second = first, second
        self.runs: list[tuple[_Frames, PairProducts]] = []

    def frames(self, stats: CrossProducts) -> _Frames:
        """Return the frames of the two factors' columns."""
        first, second = (stats.factors[k].frame(stats.center) for k in (self.first, self.second))
        return first, second

    def add(self, frames: _Frames, pair: PairProducts) -> None:
        self.runs.append((frames, pair))
        while len(self.runs) > 1 and self._size(-2) <= 2 * self._size(-1):
            self._join_last(self.runs[-2][0])

    def joined(self, frames: _Frames) -> PairProducts:
        while len(self.runs) > 1:
            self._join_last(frames)
        return _in_frames(frames, self.runs[0])

    def _size(self, position: int) -> int:
        return int(self.runs[position][1].matrix.nnz)

    def _join_last(self, frames: _Frames) -> None:
        last, before = self.runs.pop(), self.runs.pop()
        self.runs.append((frames, _in_frames(frames, before) + _in_frames(frames, last)))


def _in_frames(frames: _Frames, run: tuple[_Frames, PairProducts]) -> PairProducts:
    first, second = (old.change_to(new) for old, new in zip(run[0], frames, strict=True))
    return run[1].moved(first, second)
