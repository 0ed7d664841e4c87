"""Splits of the rows, and which question a split by groups asks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from skmixed._data.parameters import items_of
from skmixed._data.table import shown
from skmixed._typing import IntArray
from skmixed.model_selection._groups import Groups

QUESTIONS = ("new_groups", "known_groups")
N_FOLDS = 5


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
    """

    n_rows: int
    fold: IntArray | None
    pairs: Sequence[tuple[IntArray, IntArray]] = ()

    @staticmethod
    def of(pairs: Iterable[tuple[Any, Any]], n_rows: int) -> "Splits":
        """Take the splits of a splitter."""
        found = [_pair(own, number, n_rows) for number, own in enumerate(pairs)]
        if not found:
            raise ValueError("cv has no splits. Give a splitter of two folds or more.")
        tested = np.concatenate([test for _, test in found])
        fold = np.zeros(n_rows, dtype=np.intp)
        fold[tested] = np.repeat(np.arange(len(found)), [len(test) for _, test in found])
        splits = Splits(n_rows, fold)
        is_partition = len(found) > 1 and (np.bincount(tested, minlength=n_rows) == 1).all()
        if is_partition and all(_is_rest(fold, k, train) for k, (train, _) in enumerate(found)):
            return splits
        return Splits(n_rows, None, found)

    @cached_property
    def by_fold(self) -> tuple[IntArray, IntArray]:
        """Rows in the order of their folds, (n,), and where each fold starts, (K + 1,)."""
        assert self.fold is not None
        sizes = np.bincount(self.fold)
        # Sixteen bits are sorted by their digits
        keys = self.fold.astype(np.uint16) if len(sizes) < 2**16 else self.fold
        return np.argsort(keys, kind="stable"), np.concatenate([[0], np.cumsum(sizes)])

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
        sizes = np.bincount(self.tested[1], minlength=len(self))
        return np.concatenate([[0], np.cumsum(sizes)])

    def place(self, number: int) -> slice:
        """Return where the rows of a split are among the `tested` ones."""
        return slice(int(self._bounds[number]), int(self._bounds[number + 1]))

    def __len__(self) -> int:
        return len(self.pairs) if self.fold is None else len(self.by_fold[1]) - 1

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

    def are_known(self, codes: IntArray) -> NDArray[np.bool_]:
        """Whether the level of each of the `tested` rows is one of its training rows, (N,)."""
        rows, _ = self.tested
        if self.fold is None:
            pairs = [(codes[test], codes[train]) for train, test in self.pairs]
            return np.concatenate([np.isin(*own) for own in pairs])
        # The last row of each level shows its fold; a row of another fold shows that there are two
        n_levels = int(codes.max()) + 1
        last, has_two = np.zeros(n_levels, dtype=np.intp), np.zeros(n_levels, dtype=bool)
        last[codes] = self.fold
        has_two[codes[last[codes] != self.fold]] = True
        return has_two[codes[rows]]

    def share_known(self, codes: IntArray) -> float:
        """Return the share of the predicted rows whose level is known, over all splits."""
        return float(self.are_known(codes).mean())

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
    return _numbers(train, "training", number, n_rows), _numbers(test, "test", number, n_rows)


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


def splits_of(cv: Any, question: str | None, X: Any, y: Any, groups: Groups, n_rows: int) -> Splits:
    """Return the splits that `cv` makes.

    None stands for five folds: of whole groups, or of rows of each group where the question
    is of known ones.
    """
    _check_cv(cv)
    if cv is None or isinstance(cv, int | np.integer):
        n = N_FOLDS if cv is None else int(cv)
        if question == "known_groups":
            return _within_groups(groups.required(), n)
        cv = _of_whole_groups(n, groups.required(), is_given=cv is not None)
    if type(cv) is LeaveOneGroupOut:
        # One look at each row, where scikit-learn takes one for each group
        fold = np.unique(groups.required(), return_inverse=True)[1]
        _check_several(int(fold.max()) + 1)
        return Splits(n_rows, fold)
    if not hasattr(cv, "split"):
        return Splits.of(items_of(cv, "cv", is_kept=True), n_rows)
    return Splits.of(_split(cv, X, y, groups), n_rows)


def _check_cv(cv: Any) -> None:
    """Refuse what is no number of folds, no splitter and no list."""
    if isinstance(cv, bool | float | str | bytes | type):
        raise TypeError(
            f"cv={shown(cv)} is no way to split rows. Give a number of folds, a splitter such as "
            "GroupKFold(5), or a list of pairs of training and test rows."
        )
    if isinstance(cv, int | np.integer) and cv < 2:
        raise ValueError(f"cv={cv} is no number of folds. Give 2 or more.")


def _check_several(n_groups: int) -> None:
    if n_groups == 1:
        raise ValueError("All rows are of one group, so that none is left to train on.")


def _of_whole_groups(n: int, codes: IntArray, *, is_given: bool) -> GroupKFold:
    """Return a splitter into folds of whole groups, as many as there are groups at most."""
    n_groups = len(np.unique(codes))
    _check_several(n_groups)
    if is_given and n > n_groups:
        raise ValueError(
            f"{n} folds are more than there are groups ({n_groups}). Give at most {n_groups}."
        )
    return GroupKFold(min(n, n_groups))


def _within_groups(codes: IntArray, n_splits: int) -> Splits:
    """Return splits for which each group deals its rows, in random order, to the folds in turn.

    A group of one row stays in training, so that all that are predicted are known.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    own = codes[order]
    # The first fold of a group is drawn, so that small ones spread over all
    first = rng.integers(0, n_splits, len(sizes))
    fold = np.empty(len(codes), dtype=np.intp)
    fold[order] = (first[own] + np.arange(len(codes)) - starts[own]) % n_splits
    is_alone = sizes[codes] == 1
    if not is_alone.any() and (np.bincount(fold, minlength=n_splits) > 0).all():
        return Splits(len(codes), fold)
    fold[is_alone] = -1
    folds = [k for k in range(n_splits) if (fold == k).any()]
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in folds]
    if not pairs:
        raise ValueError(
            "Each group has one row, so that none is known where a row of it is predicted. Ask for "
            "question='new_groups'."
        )
    return Splits(len(codes), None, pairs)


def _split(splitter: Any, X: Any, y: Any, groups: Groups) -> Any:
    """Split by groups where the splitter reads them; some others would warn of them."""
    reads = True
    if hasattr(splitter, "get_metadata_routing"):
        reads = bool(splitter.get_metadata_routing().split.requests.get("groups", False))
    return splitter.split(X, y, groups.required() if reads else None)


def check_question(question: str | None, splits: Splits, groups: Groups) -> None:
    """Refuse splits that answer another question than was asked.

    Raises
    ------
    ValueError
        If a group is in training and in test where new groups are asked for, or in test
        alone where known groups are.
    """
    if question is None:
        return
    name, codes = groups.name, groups.required()
    share = splits.share_known(codes)
    if question == "new_groups" and share > 0:
        number, row = splits.first_row(codes, known=True)
        raise ValueError(
            f"question='new_groups', but split {number} trains on rows of the group of {name!r} "
            f"that its test row {row} is of. Give cv a splitter that keeps groups whole, such as "
            "GroupKFold, or ask for question='known_groups'."
        )
    if question == "known_groups" and share < 1:
        number, row = splits.first_row(codes, known=False)
        raise ValueError(
            f"question='known_groups', but test row {row} of split {number} is of a group of "
            f"{name!r} without training rows. Give cv a splitter that leaves rows of each group, "
            "such as StratifiedKFold on the labels of the groups, or ask for question='new_groups'."
        )


def in_words(splits: Splits, factors: Mapping[str, IntArray]) -> str:
    """Return which question the splits ask of each grouping factor."""
    return in_words_of({name: splits.share_known(codes) for name, codes in factors.items()})


def in_words_of(shares: Mapping[str, float]) -> str:
    """Return the question by the share of predicted rows whose level of each factor is known."""
    if not shares:
        return "new rows; the model has no groups"
    return "; ".join(_asked(name, share) for name, share in shares.items())


def _asked(name: str, share: float) -> str:
    if share == 0:
        return f"new groups of {name!r}"
    if share == 1:
        return f"new rows of known groups of {name!r}"
    return f"new rows of known groups of {name!r} ({share:.0%}) and new groups ({1 - share:.0%})"
