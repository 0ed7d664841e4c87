"""Training and test rows of each split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skmixed._data.table import shown
from skmixed._typing import BoolArray, IntArray


@dataclass(frozen=True)
class Splits:
    """Training and test rows of each split.

    Attributes
    ----------
    n_rows : int
    fold : (n,) array of int or None
        The fold of each row, where the test rows of all splits are all rows once, and the
        training rows of each are all others.
    pairs : sequence of pairs of arrays of int
        Training and test rows; empty where `fold` says.
    counts : (n,) array of bool or None
        Whether a row counts in a fit, as one of weight 0 does not; None: all do.
    """

    n_rows: int
    fold: IntArray | None
    pairs: Sequence[tuple[IntArray, IntArray]] = ()
    counts: BoolArray | None = None

    @staticmethod
    def of(
        pairs: Iterable[tuple[Any, Any]], n_rows: int, counts: BoolArray | None = None
    ) -> "Splits":
        """Take the splits of a splitter."""
        found = [_pair(own, number, n_rows) for number, own in enumerate(pairs)]
        if not found:
            raise ValueError("cv has no splits. Give a splitter of two folds or more.")
        tested = np.concatenate([test for _, test in found])
        fold = np.zeros(n_rows, dtype=np.intp)
        fold[tested] = np.repeat(np.arange(len(found)), [len(test) for _, test in found])
        splits = Splits(n_rows, fold, counts=counts)
        is_partition = len(found) > 1 and (np.bincount(tested, minlength=n_rows) == 1).all()
        if is_partition and all(_is_rest(fold, k, train) for k, (train, _) in enumerate(found)):
            return splits
        return Splits(n_rows, None, found, counts)

    @cached_property
    def sizes(self) -> IntArray:
        """Test rows of each split, (K,)."""
        if self.fold is not None:
            return np.bincount(self.fold)
        return np.array([len(test) for _, test in self.pairs])

    @cached_property
    def by_fold(self) -> tuple[IntArray, IntArray]:
        """Rows in the order of their folds, (n,), and where each fold starts, (K + 1,)."""
        assert self.fold is not None
        # Sixteen bits are sorted by their digits
        keys = self.fold.astype(np.uint16) if len(self) < 2**16 else self.fold
        return np.argsort(keys, kind="stable"), self._bounds

    @cached_property
    def tested(self) -> tuple[IntArray, IntArray]:
        """The test rows of all splits, one behind the other, (N,), and their splits."""
        if self.fold is not None:
            order, _ = self.by_fold
            return order, self.fold[order]
        tests = [test for _, test in self.pairs]
        return np.concatenate(tests), np.repeat(np.arange(len(tests)), list(map(len, tests)))

    @cached_property
    def _bounds(self) -> IntArray:
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @property
    def n_tested(self) -> int:
        """Test rows of all splits, N."""
        return int(self._bounds[-1])

    @property
    def n_single_rows(self) -> int:
        """Splits that predict one row."""
        return int((self.sizes == 1).sum())

    def place(self, number: int) -> slice:
        """Return where the rows of a split are among the `tested` ones."""
        return slice(int(self._bounds[number]), int(self._bounds[number + 1]))

    def __len__(self) -> int:
        return len(self.sizes)

    def test(self, number: int) -> IntArray:
        """Return the rows that a split predicts, in ascending order where folds say."""
        if self.fold is None:
            return self.pairs[number][1]
        order, starts = self.by_fold
        return order[starts[number] : starts[number + 1]]

    def train(self, number: int) -> IntArray:
        """Return the rows that a split trains on."""
        if self.fold is None:
            return self.pairs[number][0]
        return np.flatnonzero(self.fold != number)

    def are_known(self, codes: IntArray) -> BoolArray:
        """Whether the level of each of the `tested` rows is one of its training rows, (N,).

        Of those that count, since the others are not in the fit.
        """
        rows, _ = self.tested
        if self.fold is None:
            pairs = [(codes[test], codes[self._counting(train)]) for train, test in self.pairs]
            return np.concatenate([np.isin(*own) for own in pairs])
        last, has_two = self._folds_of_levels(codes)
        at, level = self.fold[rows], codes[rows]
        return has_two[level] | ((last[level] >= 0) & (last[level] != at))

    def _folds_of_levels(self, codes: IntArray) -> tuple[IntArray, BoolArray]:
        """Return a fold with rows of each level that count, or −1, and whether there are two."""
        # The last row of each level shows its fold; a row of another fold shows that there are two
        assert self.fold is not None
        own, fold = codes, self.fold
        if self.counts is not None:
            own, fold = own[self.counts], fold[self.counts]
        n_levels = int(codes.max()) + 1
        last, has_two = np.full(n_levels, -1), np.zeros(n_levels, dtype=bool)
        last[own] = fold
        has_two[own[last[own] != fold]] = True
        return last, has_two

    def _counting(self, rows: IntArray) -> IntArray:
        """Return those rows that count in a fit."""
        return rows if self.counts is None else rows[self.counts[rows]]

    def of_counting(self) -> "Splits":
        """Return the splits of the rows that count, among which these are numbered."""
        if self.counts is None:
            return self
        numbers, n_rows = np.cumsum(self.counts) - 1, int(self.counts.sum())
        if self.fold is not None:
            folds, fold = np.unique(self.fold[self.counts], return_inverse=True)
            if len(folds) > 1:
                return Splits(n_rows, fold)
        pairs = (
            (numbers[self._counting(self.train(k))], numbers[self._counting(self.test(k))])
            for k in range(len(self))
        )
        return Splits.of((own for own in pairs if len(own[1])), n_rows)

    def share_known(self, codes: IntArray) -> float:
        """Return the share of the predicted rows whose level is known, over all splits."""
        if self.fold is None or self.counts is not None:
            return float(self.are_known(codes).mean())
        _, has_two = self._folds_of_levels(codes)
        return float(has_two[codes].mean()) if has_two.any() else 0.0

    def first_row(self, codes: IntArray, *, known: bool) -> tuple[int, int]:
        """Return the first split, and its first row, whose level is known, or is not."""
        rows, split = self.tested
        at = int(np.argmax(self.are_known(codes) == known))
        return int(split[at]), int(rows[at])


def _pair(own: Any, number: int, n_rows: int) -> tuple[IntArray, IntArray]:
    """Return the numbers of the training and of the test rows of a split."""
    try:
        train, test = own
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Split {number} of cv is {shown(own)}. Give a pair: its training and its test rows."
        ) from error
    train, test = (
        _numbers(rows, part, number, n_rows) for rows, part in ((train, "training"), (test, "test"))
    )
    is_test = np.zeros(n_rows, dtype=bool)
    is_test[test] = True
    if (seen := is_test[train]).any():
        raise ValueError(
            f"Split {number} of cv has row {train[np.argmax(seen)]} in its training rows and in "
            "its test rows. Leave it out of one of them: how a row is predicted that the fit has "
            "seen says nothing of new ones."
        )
    return train, test


def _numbers(rows: Any, part: str, number: int, n_rows: int) -> IntArray:
    """Return the numbers of rows that are given by numbers, from the end too, or by a mask."""
    given = np.asarray(rows)
    if given.size == 0 or (given.dtype == bool and not given.any()):
        raise ValueError(f"Split {number} of cv has no {part} rows.")
    try:
        found = np.arange(n_rows)[given]
    except IndexError as error:
        raise ValueError(
            f"The {part} rows of split {number} of cv are {shown(rows)}, which are not rows of X "
            f"({error}). Give numbers from 0 to {n_rows - 1}, or a mask of {n_rows} rows."
        ) from error
    if found.ndim != 1:
        raise ValueError(
            f"The {part} rows of split {number} of cv are of shape {given.shape}. Give them in "
            "one dimension."
        )
    return np.asarray(found)


def _is_rest(fold: IntArray, number: int, train: IntArray) -> bool:
    """Whether training rows are all rows of the other folds."""
    n_others = len(fold) - np.count_nonzero(fold == number)
    return len(train) == n_others and not (fold[train] == number).any() and _are_distinct(train)


def _are_distinct(rows: IntArray) -> bool:
    return bool((np.diff(rows) > 0).all()) or len(np.unique(rows)) == len(rows)
