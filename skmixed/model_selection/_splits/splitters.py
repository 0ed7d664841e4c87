"""From a number of folds, a splitter or a list of pairs to splits of the rows."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import sklearn
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, check_cv

from skmixed._data.parameters import items_of
from skmixed._data.table import shown
from skmixed._typing import BoolArray, IntArray
from skmixed.model_selection._splits.groups import Groups
from skmixed.model_selection._splits.splits import Splits

N_FOLDS = 5
# Whether `GroupKFold` deals groups of one size in a fixed order, as it does from 1.9 on.
HAS_STABLE_ORDER = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9)


def splits_of(
    cv: Any,
    question: str | None,
    X: Any,
    y: Any,
    groups: Groups,
    *,
    n_folds: int = N_FOLDS,
    has_classes: bool = False,
) -> Splits:
    """Return the splits that `cv` makes.

    A number is that of folds of whole groups, or where the question is of known groups of rows
    of each group; where there are no groups, of rows, as scikit-learn makes them. None stands for
    `n_folds`, or for as many as there are groups.
    """
    _check_cv(cv)
    if cv is None or isinstance(cv, int | np.integer):
        n = n_folds if cv is None else int(cv)
        if question == "known_groups":
            return _within_groups(groups.required(), n, groups.counts)
        if question is None and groups.are_none:
            cv = check_cv(n, y, classifier=has_classes)
        else:
            return _of_whole_groups(n, groups, is_given=cv is not None)
    if type(cv) is LeaveOneGroupOut:
        # One look at each row, where scikit-learn takes one for each group
        is_group = np.bincount(groups.required()) > 0
        _check_several(int(is_group.sum()))
        return Splits(groups.n_rows, _at_levels(is_group, groups), counts=groups.counts)
    if type(cv) is GroupKFold and HAS_STABLE_ORDER and not cv.shuffle:
        n_groups = int((np.bincount(groups.required()) > 0).sum())
        if cv.n_splits <= n_groups:
            return _of_whole_groups(cv.n_splits, groups, is_given=True)
    pairs = _split(cv, X, y, groups) if hasattr(cv, "split") else items_of(cv, "cv", is_kept=True)
    return Splits.of(pairs, groups.n_rows, groups.counts)


def _check_cv(cv: Any) -> None:
    """Refuse what is no number of folds, no splitter and no list."""
    if isinstance(cv, type):
        raise TypeError(
            f"cv is the class {cv.__name__}. Give an instance of it, such as {cv.__name__}()."
        )
    is_way = cv is None or isinstance(cv, int | np.integer | Iterable) or hasattr(cv, "split")
    if isinstance(cv, bool | float | str | bytes) or not is_way:
        raise TypeError(
            f"cv={shown(cv)} is no way to split rows. Give a number of folds, a splitter such as "
            "GroupKFold(5), or a list of pairs of training and test rows."
        )
    if isinstance(cv, int | np.integer) and cv < 2:
        raise ValueError(f"cv={cv} is no number of folds. Give 2 or more.")


def _check_several(n_groups: int) -> None:
    if n_groups == 1:
        raise ValueError("All rows are of one group, so that none is left to train on.")


def _of_whole_groups(n: int, groups: Groups, *, is_given: bool) -> Splits:
    """Return folds of whole groups, as many as there are groups at most.

    Those of scikit-learn's `GroupKFold`, which looks at each row once for each fold: the largest
    group first, each to the fold with fewest rows.
    """
    sizes = np.bincount(groups.required())
    n_groups = int((sizes > 0).sum())
    _check_several(n_groups)
    if is_given and n > n_groups:
        raise ValueError(
            f"{n} folds are more than there are groups ({n_groups}). Give at most {n_groups}."
        )
    fold = np.zeros(len(sizes), dtype=np.intp)
    fold[sizes > 0] = _dealt(sizes[sizes > 0], min(n, n_groups))
    return Splits(groups.n_rows, fold[groups.required()], counts=groups.counts)


def _at_levels(is_group: BoolArray, groups: Groups) -> IntArray:
    """Return the number of each row's group among those that have rows."""
    return np.asarray((np.cumsum(is_group) - 1)[groups.required()])


def _dealt(sizes: IntArray, n_folds: int) -> IntArray:
    """Deal groups to folds, the largest first, each to the fold with fewest rows so far.

    Groups of one size are dealt together.
    """
    order = np.argsort(sizes, kind="stable")[::-1]
    starts = np.flatnonzero(np.diff(sizes[order], prepend=-1))
    fold, loads = np.empty(len(sizes), dtype=np.intp), np.zeros(n_folds, dtype=np.int64)
    for own in np.split(order, starts[1:]):
        size = int(sizes[own[0]])
        fold[own] = _lightest(loads, size, len(own))
        loads += size * np.bincount(fold[own], minlength=n_folds)
    return fold


def _lightest(loads: IntArray, size: int, n: int) -> IntArray:
    """Return the folds of n groups of one size, each the first one of the lightest, (n,)."""
    # No fold that has a group is above the level that water would have, but by that group
    ordered = np.sort(loads)
    level = ((size * n + np.cumsum(ordered)) / np.arange(1, len(loads) + 1)).min()
    counts = np.maximum(np.ceil((level - loads) / size).astype(np.int64) + 1, 0)
    fold = np.repeat(np.arange(len(loads)), counts)
    before = np.arange(len(fold)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(fold[np.lexsort((fold, loads[fold] + size * before))[:n]])


def _within_groups(codes: IntArray, n_splits: int, counts: BoolArray | None) -> Splits:
    """Return splits for which each group deals its rows, in random order, to the folds in turn.

    A group's only row that counts in a fit stays in training, and so do all of a group without
    one, so that all that are predicted are known.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(codes))
    is_idle = np.zeros(len(codes), dtype=bool) if counts is None else ~counts
    # Rows of each group side by side, those that count first: two of them are in two folds
    order = order[np.lexsort((is_idle[order], codes[order]))]
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    own = codes[order]
    # The first fold of a group is drawn, so that small ones spread over all
    first = rng.integers(0, n_splits, len(sizes))
    fold = np.empty(len(codes), dtype=np.intp)
    fold[order] = (first[own] + np.arange(len(codes)) - starts[own]) % n_splits
    n_counting = np.bincount(codes[~is_idle], minlength=len(sizes))[codes]
    stays = (n_counting == 0) | ((n_counting == 1) & ~is_idle)
    if not stays.any() and (np.bincount(fold, minlength=n_splits) > 0).all():
        return Splits(len(codes), fold, counts=counts)
    fold[stays] = -1
    folds = [k for k in range(n_splits) if (fold == k).any()]
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in folds]
    if not pairs:
        raise ValueError(
            "Each group has one row, so that none is known where a row of it is predicted. Ask for "
            "question='new_groups'."
        )
    return Splits(len(codes), None, pairs, counts)


def _split(splitter: Any, X: Any, y: Any, groups: Groups) -> Any:
    """Split by groups where the splitter reads them; some others would warn of them."""
    reads = True
    if hasattr(splitter, "get_metadata_routing"):
        reads = bool(splitter.get_metadata_routing().split.requests.get("groups", False))
    pairs = splitter.split(X, y, groups.required() if reads else None)
    if not isinstance(pairs, Iterable):
        raise TypeError(
            f"The method split of cv={shown(splitter)} returns {shown(pairs)}, which is no list of "
            "splits. Let it yield pairs of training and test rows."
        )
    return pairs
