"""The way to predict rows out of fold that `cv` asks for."""

import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from sklearn import model_selection
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from skmixed._data.parameters import items_of
from skmixed._data.table import Table, shown
from skmixed._estimators.folds import checked_folds
from skmixed._fitted import checks as validation
from skmixed._typing import IntArray
from skmixed.compose._features import telling_column
from skmixed.compose._out_of_fold import NAMED, Folds, Learner, OutOfBag, OutOfFold, has_bag
from skmixed.exceptions import warn

# As scikit-learn's.
N_FOLDS = 5
# Divisions into folds for linear effects, of whose estimates the median is taken: an odd number, of
# which one is the median, and the fewest that tell how much the estimates depend on the folds.
N_DIVISIONS = 3


def check_cv(cv: Any, regressor: Any, linear: Any) -> None:
    """Refuse what is no way to predict rows out of fold, or none for this regressor."""
    if isinstance(cv, str):
        validation.check_choice("cv", cv, ("auto", *NAMED))
        if cv in NAMED:
            NAMED[cv].check(regressor)
            if linear is not None:
                raise ValueError(
                    f"linear={linear!r} needs folds of whole groups, and cv={cv!r} has none. Give "
                    "cv='auto', a number, or a splitter of groups such as GroupKFold(5)."
                )
    elif isinstance(cv, bool) or not isinstance(cv, numbers.Integral | Iterable):
        if not hasattr(cv, "split"):
            raise TypeError(
                f"cv={cv!r} is of type {type(cv).__name__}. Give 'auto', 'oob', 'in_sample', a "
                "number of folds, a splitter, or a list of folds."
            )
    elif isinstance(cv, numbers.Integral) and cv < 2:
        raise ValueError(f"cv={cv!r} folds are too few to train on the others. Give 2 or more.")


def out_of_fold(
    estimator: Any, learner: Learner, codes: list[IntArray], kept: IntArray | None, y: Any
) -> OutOfFold:
    """Return the way to predict rows that `cv` asks for.

    `codes` have each row's level of each factor, (n,), and `kept` what folds that are drawn
    keep whole, None for rows.
    """
    cv, n_rows = estimator.cv, learner.n_rows
    if isinstance(cv, str) and cv in NAMED:
        named: OutOfFold = NAMED[cv](learner)
        return named
    if is_drawn(cv):
        if isinstance(cv, str) and kept is None and _is_bare_bag(learner):
            return OutOfBag(learner)
        return Folds.of(learner, folds(cv, n_rows, kept, estimator.random_state), codes)
    given = cv if hasattr(cv, "split") else items_of(cv, "cv", is_kept=True)
    splitter = model_selection.check_cv(given)
    groups = codes[0] if codes and _takes_groups(splitter) else None
    try:
        splits = list(splitter.split(learner.X, y, groups))
    except ValueError as error:
        raise ValueError(f"cv={cv!r} does not divide the rows: {error}") from error
    return Folds.of(learner, list(checked_folds(splits, n_rows)), codes)


def divisions(
    estimator: Any,
    learned: OutOfFold,
    codes: list[IntArray],
    kept: IntArray | None,
) -> list[OutOfFold]:
    """Return the divisions into folds of groups for linear effects: some, or the one given.

    Raises
    ------
    ValueError
        If it is given, and keeps the groups of no factor whole.
    """
    if not is_drawn(estimator.cv):
        if codes and not learned.kept_whole:
            raise ValueError(
                f"linear={estimator.linear!r} needs folds of whole groups, and those of "
                f"cv={shown(estimator.cv)} have rows of the same groups to train on and to "
                "predict. Give cv='auto', a number, or a splitter of groups such as GroupKFold(5)."
            )
        return [learned]
    if kept is None and codes:
        kept = codes[0]
    rng = check_random_state(estimator.random_state)
    learner = learned.learner
    drawn = (folds(estimator.cv, learner.n_rows, kept, rng) for _ in range(N_DIVISIONS))
    return [Folds.of(learner, splits, codes) for splits in drawn]


def is_drawn(cv: Any) -> bool:
    """Whether folds are drawn here, by their number; "oob" and "in_sample" have none."""
    return cv not in NAMED if isinstance(cv, str) else isinstance(cv, numbers.Integral)


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
    cv: Any, n_rows: int, kept: IntArray | None, seed: Any
) -> list[tuple[IntArray, IntArray]]:
    """Return folds of rows, or of whole groups of rows of the same number, (n,)."""
    n = int(cv) if isinstance(cv, numbers.Integral) else N_FOLDS
    n_groups = 0 if kept is None else len(np.unique(kept))
    if n_groups > 1:
        splitter: Any = GroupKFold(min(n, n_groups), shuffle=True, random_state=seed)
    elif n > n_rows:
        raise ValueError(
            f"cv={cv!r} takes {n} folds, more than there are samples (n_samples={n_rows}). Give "
            "cv a number of 2 or more that is not larger."
        )
    else:
        splitter = KFold(n, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((n_rows, 1)), groups=kept))


def kept_together(
    table: Table, positions: Sequence[int], codes: list[IntArray], names: Sequence[str]
) -> IntArray | None:
    """Return which rows folds must not part, (n,), None for folds of rows.

    Those of one level of a factor that a column of the regressor tells apart, or of levels
    of several such factors that have rows in common: a regressor has no part in the effects
    of a row if no row that it is trained on is connected with it. Where nearly all rows are
    connected, the levels of the first factor alone are kept, of which there is a warning.

    Parameters
    ----------
    table : Table
    positions : sequence of int
        The columns of the regressor.
    codes : list of (n,) arrays of int
        Each factor's level of each row.
    names : sequence of str
        The factors.
    """
    kept, by, parted = None, "", []
    for own, name in zip(codes, names, strict=True):
        column = telling_column(table, positions, own)
        if column is None:
            continue
        if kept is None:
            kept, by = own, name
            continue
        joined = _connected(kept, own)
        if _may_be_left_out(joined, kept, own):
            kept, by = joined, f"{by} × {name}"
        else:
            parted.append((name, table.label(column)))
    for name, label in parted:
        warn(
            f"Column {label!r} is constant within the groups of {name!r} and tells them apart, but "
            f"folds keep the groups of {by!r} whole, which cross those of {name!r}. `regressor` "
            f"learns effects of {name!r}, whose variance becomes too small. Give cv a list of "
            f"folds that leave out groups of both, or keep {label!r} from `regressor`.",
            UserWarning,
        )
    return kept


def _connected(first: IntArray, second: IntArray) -> IntArray:
    """Return the number of each row's component of the graph of levels that meet in rows, (n,)."""
    n_first = first.max() + 1
    n = n_first + second.max() + 1
    meets = sp.coo_array((np.ones(len(first)), (first, n_first + second)), shape=(n, n))
    _, component = connected_components(meets, directed=False)
    return np.asarray(np.unique(component[first], return_inverse=True)[1])


def _may_be_left_out(joined: IntArray, *parts: IntArray) -> bool:
    """Whether folds of joined groups leave rows to train on.

    They do as those of a factor do that has the other one's levels within its own. Otherwise
    the largest group leaves half of the rows at least, as the fewest folds, two, do.
    """
    sizes = np.bincount(joined)
    if len(sizes) > 1 and len(sizes) in [len(np.unique(own)) for own in parts]:
        return True
    return bool(2 * sizes.max() <= len(joined))
