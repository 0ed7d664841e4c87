"""From a number of folds, a splitter or a list of pairs to splits of the rows."""

from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from skmixed._data.parameters import items_of
from skmixed._data.table import shown
from skmixed._typing import IntArray
from skmixed.model_selection._splits.groups import Groups
from skmixed.model_selection._splits.splits import Splits

N_FOLDS = 5


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
