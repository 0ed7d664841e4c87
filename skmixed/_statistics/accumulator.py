"""Rows into cross-products, in one pass and in memory for one block of them."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import Frame
from skmixed._statistics.grouped_products import PairProducts
from skmixed._statistics.row_block import reduced

# Rows gathered at a time. The buffer of a block stays small beside the data.
BLOCK_ROWS = 131_072


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
                self._reduce(design.rows(slice(start, stop)))
            else:
                stop = min(start + step - self._waiting.n_rows, design.n_rows)
                self._waiting.put(design.rows(slice(start, stop)), step)
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
        sums, self._is_own = self._sums, False
        return replace(sums, pairs=tuple(p.joined(p.frames(sums)) for p in self._pairs))

    def _flush(self) -> None:
        if self._waiting.n_rows:
            self._reduce(self._waiting.taken())

    def _reduce(self, design: Design) -> None:
        # A block with fewer rows than levels would spend its time on empty levels.
        step = _block_rows(design)
        rows = min(step, design.n_rows)
        if len(self._table) < rows:
            self._table = np.empty((rows, design.n_columns + len(design.responses)))
        # Squares that overflow are found in the result, where they can be named.
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, design.n_rows, step):
                block = design.rows(slice(start, start + step))
                self._take(reduced(block, self._sums, self._table[: block.n_rows]))
                self._is_own = True

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


def _block_rows(design: Design) -> int:
    """Rows of a block: some, and at least as many as a factor has coefficients."""
    return max(BLOCK_ROWS, *(f.n_levels * len(f.columns) for f in design.factors), 0)
