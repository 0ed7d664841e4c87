"""The folds of cross-fitting: each row is in one test fold and leaves its training rows."""

import numbers
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils.metadata_routing import process_routing

from skmixed._data.parameters import items_of
from skmixed._typing import IntArray


def splitter_of(cv: Any, y: Any, strata: IntArray | None) -> tuple[Any, Any]:
    """Return the splitter, and the target as it wants it."""
    if cv is not None and not isinstance(cv, numbers.Integral):
        if not hasattr(cv, "split"):
            cv = items_of(cv, "cv", is_kept=True)
        return check_cv(cv), y
    kind = KFold if strata is None else StratifiedKFold
    return kind(5 if cv is None else cv, shuffle=True, random_state=0), strata


def split_parameters(estimator: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata for the splitter."""
    if params and not get_config()["enable_metadata_routing"]:
        raise ValueError(
            f"fit_transform was given {', '.join(map(repr, sorted(params)))} for the splitter "
            "without metadata routing. Enable it by "
            "sklearn.set_config(enable_metadata_routing=True), or pass the folds themselves: "
            "cv=list(splitter.split(X, y, groups))."
        )
    return dict(process_routing(estimator, "fit_transform", **params)["splitter"]["split"])


def checked_folds(
    splits: Iterable[tuple[Any, Any]], n_rows: int
) -> Iterator[tuple[IntArray, IntArray]]:
    """Check the folds one by one: each row in one test fold, and not in its training rows."""
    rows, times = np.arange(n_rows), np.zeros(n_rows, dtype=np.intp)
    for train, test in (_fold(split, rows) for split in splits):
        np.add.at(times, test, 1)
        is_test = np.zeros(n_rows, dtype=bool)
        is_test[test] = True
        if not len(train) or is_test[train].any():
            raise ValueError(
                "A fold of cv has no training rows, or some of its test rows among them. Pass a "
                "splitter with disjoint training and test rows as `cv`."
            )
        yield train, test
    if (times != 1).any():
        row = int(np.argmax(times != 1))
        raise ValueError(
            f"The test folds of cv must contain each row once, but contain row {row} "
            f"{times[row]} times. Pass a splitter whose test folds partition the rows, such as "
            "KFold, as `cv`."
        )


def _fold(split: Any, rows: IntArray) -> tuple[IntArray, IntArray]:
    try:
        train, test = split
        return rows[train], rows[test]
    except (IndexError, ValueError, TypeError) as error:
        raise ValueError(
            f"cv has the fold {split!r}, which is no pair of arrays of training and test rows "
            f"({error}). Pass a splitter, or such pairs, as `cv`."
        ) from error
