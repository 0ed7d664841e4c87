"""The way to predict rows out of fold that `cv` asks for."""

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn import model_selection
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import Pipeline

from skmixed._data.parameters import items_of
from skmixed._data.table import Table
from skmixed._estimators.folds import checked_folds
from skmixed._fitted import checks as validation
from skmixed._typing import IntArray
from skmixed.compose._features import Features, varies_between_alone
from skmixed.compose._out_of_fold import NAMED, Folds, Learner, OutOfBag, OutOfFold, has_bag

# As scikit-learn's.
N_FOLDS = 5


def check_cv(cv: Any, regressor: Any) -> None:
    """Refuse what is no way to predict rows out of fold, or none for this regressor."""
    if isinstance(cv, str):
        validation.check_choice("cv", cv, ("auto", *NAMED))
        if cv in NAMED:
            NAMED[cv].check(regressor)
    elif isinstance(cv, bool) or not isinstance(cv, numbers.Integral | Iterable):
        if not hasattr(cv, "split"):
            raise TypeError(
                f"cv={cv!r} is of type {type(cv).__name__}. Give 'auto', 'oob', 'in_sample', a "
                "number of folds, a splitter, or a list of folds."
            )
    elif isinstance(cv, numbers.Integral) and cv < 2:
        raise ValueError(f"cv={cv!r} folds are too few to train on the others. Give 2 or more.")


def out_of_fold(
    estimator: Any,
    learner: Learner,
    table: Table,
    features: Features,
    codes: list[IntArray],
    y: Any,
) -> OutOfFold:
    """Return the way to predict rows that `cv` asks for."""
    cv, n_rows = estimator.cv, table.n_rows
    if isinstance(cv, str) and cv in NAMED:
        named: OutOfFold = NAMED[cv](learner)
        return named
    if isinstance(cv, str | numbers.Integral):
        leaky = [f for f in codes if varies_between_alone(table, features.positions, f)]
        if isinstance(cv, str) and not leaky and _is_bare_bag(learner):
            return OutOfBag(learner)
        return Folds.of(learner, folds(cv, n_rows, leaky, estimator.random_state), codes)
    if not hasattr(cv, "split"):
        cv = items_of(cv, "cv", is_kept=True)
    splitter = model_selection.check_cv(cv)
    groups = codes[0] if codes and _takes_groups(splitter) else None
    splits = list(checked_folds(splitter.split(learner.X, y, groups), n_rows))
    return Folds.of(learner, splits, codes)


def _is_bare_bag(learner: Learner) -> bool:
    """Whether trees alone decide, without steps before that may read y, and without weights.

    Weights are chances to be in the sample of a tree.
    """
    regressor = learner.regressor
    return not isinstance(regressor, Pipeline) and not learner.params and has_bag(regressor)


def _takes_groups(splitter: Any) -> bool:
    """Whether a splitter reads groups; those of scikit-learn warn where they do not."""
    if not hasattr(splitter, "get_metadata_routing"):
        return True
    return bool(splitter.get_metadata_routing().split.requests.get("groups", False))


def folds(
    cv: Any, n_rows: int, codes: list[IntArray], seed: Any
) -> list[tuple[IntArray, IntArray]]:
    """Return folds of rows, or of the levels of the first of some factors."""
    n = int(cv) if isinstance(cv, numbers.Integral) else N_FOLDS
    n_levels = len(np.unique(codes[0])) if codes else 0
    if n_levels > 1:
        splitter: Any = GroupKFold(min(n, n_levels), shuffle=True, random_state=seed)
    else:
        splitter = KFold(n, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((n_rows, 1)), groups=codes[0] if codes else None))
