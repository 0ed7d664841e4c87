"""The statistics of all rows but those of a fold, for each fold, from one pass over the rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._statistics.frame import Frame
from skmixed._statistics.responses import ResponseFrame
from skmixed._typing import IntArray

Part = TypeVar("Part")
Sum = TypeVar("Sum")


@dataclass(frozen=True)
class FoldPart:
    """The statistics of the rows of one fold, over the levels that they have.

    Attributes
    ----------
    stats : CrossProducts
    levels : tuple of (q,) arrays
        Their numbers among all levels of each factor.
    """

    stats: CrossProducts
    levels: tuple[IntArray, ...]

    @staticmethod
    def of(design: Design) -> "FoldPart":
        """Reduce rows, over the levels that occur."""
        levels, factors = [], []
        for factor in design.factors:
            # The levels that occur, numbered in their order
            occurs = np.zeros(factor.n_levels, dtype=bool)
            occurs[factor.codes] = True
            number = np.cumsum(occurs) - 1
            levels.append(np.flatnonzero(occurs))
            own = replace(factor, codes=number[factor.codes], n_levels=len(levels[-1]))
            factors.append(own)
        stats = accumulate(replace(design, factors=tuple(factors)))
        return FoldPart(stats, tuple(levels))

    def among(self, n_levels: Sequence[int]) -> CrossProducts:
        """Return the sums over all levels; those without rows have zeros."""
        return self.stats.aligned(self.levels, n_levels)


@dataclass(frozen=True)
class FoldParts:
    """The statistics of each of some folds, which are all rows together.

    Attributes
    ----------
    parts : tuple of FoldPart
    n_levels : tuple of int
        Levels of each factor.
    """

    parts: tuple[FoldPart, ...]
    n_levels: tuple[int, ...]

    def total(self) -> CrossProducts:
        """Return the sums over all rows."""
        return self._plus(self.parts, None)

    def without_each(self) -> Iterator[CrossProducts]:
        """Yield the sums over all rows but those of each fold, in their order.

        By `sums_without_each`.
        """
        return map(around_means, sums_without_each(self.parts, self._plus))

    def _plus(self, parts: Sequence[FoldPart], others: CrossProducts | None) -> CrossProducts:
        out = parts[0].among(self.n_levels)
        for own in parts[1:]:
            out = out.plus(own.among(self.n_levels), overwrite=True)
        return out if others is None else out.plus(others)


def sums_without_each(
    parts: Sequence[Part], plus: Callable[[Sequence[Part], Sum | None], Sum]
) -> Iterator[Sum]:
    """Yield the sum of all parts but each, in their order, of two parts or more.

    `plus` adds some parts, and to a sum if there is one. No sum is taken back by a
    difference: K parts cost K log₂K additions, and memory for log₂K of the sums at a time.
    """
    return _without_each_half(parts, None, plus)


def _without_each_half(
    parts: Sequence[Part], others: Sum | None, plus: Callable[[Sequence[Part], Sum | None], Sum]
) -> Iterator[Sum]:
    """Yield the sum of `others` and all parts but one, for each of them."""
    if len(parts) == 1:
        assert others is not None, "a single part is all"
        yield others
        return
    # What is left without a part of one half has the other half
    half = len(parts) // 2
    first, second = parts[:half], parts[half:]
    yield from _without_each_half(first, plus(second, others), plus)
    yield from _without_each_half(second, plus(first, others), plus)


def around_means(stats: CrossProducts) -> CrossProducts:
    """Return the sums around the means of their rows, as a pass over these has them.

    Where columns or responses stand in a frame with a regression it stays.
    """
    if not stats.has_plain_frame:
        return stats
    center = stats.mean
    center[0] = 0.0
    moved = stats.reframed(Frame(center))
    return moved.with_responses_in(ResponseFrame(stats.response_moments.mean))
