"""Equal rows of a generalized model, counted as one row with the sum of their weights.

−w log p is linear in the weights w, so that rows equal in X, groups, offset and response are
one row of weight Σw. Where it is linear in the response too, as w successes and failures or
Poisson's counts are, rows that differ in y alone are one row with the mean Σwy/Σw; what y and
the weights alone have in the likelihood is summed before.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skmixed._generalized.rows import GeneralizedDesign, GeneralizedRows, RowTotals
from skmixed._model.family import Family
from skmixed._typing import IntArray

# Rows that are collected before they are pooled, at least.
LEAST_ROWS = 65_536
# Odd numbers of 64 bits by which hashes are mixed (Steele et al., 2014, SplitMix64).
MIXERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class RowPool:
    """Rows that come in parts, of which equal ones are pooled, up to a number.

    Parameters
    ----------
    family : Family
    most : int
        Rows to hold at most once equal ones are pooled.
    """

    def __init__(self, family: Family, most: int) -> None:
        self.family, self.most = family, most
        self.totals: RowTotals | None = None
        self.is_full = False
        self._parts: list[GeneralizedRows] = []
        self._n_rows = self._n_pooled = 0

    def add(self, given: GeneralizedDesign) -> None:
        """Take in rows, of which the levels are numbered as in the parts before."""
        own = given.totals
        self.totals = own if self.totals is None else self.totals.plus(own)
        if self.is_full:
            return
        self._parts.append(GeneralizedRows.of(given))
        self._n_rows += given.design.n_rows
        # Twice as many as were left the last time: a row is pooled twice on average
        if self._n_rows > max(2 * self._n_pooled, LEAST_ROWS):
            self._pool()

    def rows(self) -> GeneralizedRows | None:
        """Return the rows; None if they are more than those to hold, as `take_sample` has."""
        if not self.is_full:
            self._pool()
        if self.is_full or self.totals is None:
            return None
        return replace(self._parts[0], constant=self.totals.constant)

    def take_sample(self) -> GeneralizedRows:
        """Return those rows that came before they were too many to hold, and forget them."""
        sample, self._parts = self._parts[0].head(self.most), []
        return replace(sample, constant=0.0)

    def _pool(self) -> None:
        self._parts = [pooled(GeneralizedRows.joined(self._parts), self.family)]
        self._n_rows = self._n_pooled = len(self._parts[0].response)
        self.is_full = self._n_rows > self.most


def pooled(rows: GeneralizedRows, family: Family) -> GeneralizedRows:
    """Return one row for those that are equal, in the order of the first ones."""
    keys = [*rows.columns.T, rows.offset, *rows.levels.T]
    is_linear = not family.has_dispersion
    order, starts = equal_rows(keys if is_linear else [*keys, rows.response])
    if len(starts) == len(order):
        return rows
    # Σw and Σwy of the rows that are equal
    weights = np.ones(len(order)) if rows.weights is None else rows.weights
    counts = np.add.reduceat(weights[order], starts)
    response, first = rows.response[order[starts]], order[starts]
    if is_linear:
        sums = np.add.reduceat((weights * rows.response)[order], starts)
        response = np.clip(sums / counts, *_bounds(rows.response[order], starts))
    place = np.argsort(first)
    first = first[place]
    return replace(
        rows,
        columns=rows.columns[first],
        response=response[place],
        weights=counts[place],
        offset=rows.offset[first],
        levels=rows.levels[first],
    )


def _bounds(
    values: NDArray[np.float64], starts: IntArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the largest value of each run: no mean lies beyond, as rounding may."""
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def equal_rows(columns: Sequence[NDArray[np.float64] | IntArray]) -> tuple[IntArray, IntArray]:
    """Return an order in which equal rows follow each other, and where each of them starts.

    By their hashes: rows that are not equal stay apart whatever these are, and rows that are
    equal, of which another one of the same hash may come between, nearly always meet.
    """
    hashes = np.zeros(len(columns[0]), dtype=np.uint64)
    # h ← (h ⊕ bits)·m, with high bits mixed into low ones; 0 and −0 have the same bits
    for column in columns:
        bits = column + 0.0 if column.dtype.kind == "f" else column.astype(np.int64)
        hashes ^= np.ascontiguousarray(bits).view(np.uint64)
        for mixer in MIXERS:
            hashes *= mixer
            hashes ^= hashes >> np.uint64(29)
    order = np.argsort(hashes, kind="stable")
    differs = np.zeros(len(order), dtype=bool)
    differs[:1] = True
    for column in columns:
        own = column[order]
        differs[1:] |= own[1:] != own[:-1]
    return order, np.flatnonzero(differs)
