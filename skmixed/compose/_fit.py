"""The fit of MixedEffectsRegressor: what is checked first, the turns, and what stays."""

import numbers
from collections.abc import Iterable, Mapping
from inspect import Parameter, signature
from typing import Any

import numpy as np
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import has_fit_parameter

from skmixed._data.encoder import column_positions
from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import open_metadata
from skmixed._data.parameters import as_columns, items_of
from skmixed._data.table import Table, numeric_column, open_checked, shown
from skmixed._estimators.folds import checked_folds
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import printer
from skmixed._fitted.runtime import check_seed
from skmixed._typing import FloatArray, IntArray
from skmixed.compose._alternation import alternate
from skmixed.compose._effect_rows import EffectRows
from skmixed.compose._features import Features, varies_between_alone
from skmixed.compose._linear_part import combined, fit_linear_part, linear_columns
from skmixed.compose._out_of_fold import (
    FEWEST_TREES,
    Folds,
    InSample,
    Learner,
    OutOfBag,
    OutOfFold,
    has_bag,
)
from skmixed.exceptions import warn

CV = ("auto", "oob", "in_sample")
N_FOLDS = 5
# Divisions into folds for linear effects, of whose estimates the median is taken.
N_DIVISIONS = 3


def check_parameters(estimator: Any) -> None:
    """Check what needs no data."""
    validation.check_choice("method", estimator.method, validation.METHODS)
    validation.check_choice("handle_unknown", estimator.handle_unknown, validation.UNKNOWN)
    validation.check_flag("keep_groups", estimator.keep_groups)
    validation.check_number("tol", estimator.tol)
    validation.check_number("max_iter", estimator.max_iter, integral=True)
    validation.check_verbose(estimator.verbose)
    check_seed(estimator.random_state)
    check_regressor(estimator.regressor)
    _check_cv(estimator.cv, estimator.regressor)


def check_regressor(regressor: Any) -> None:
    """Refuse what is no regressor.

    Raises
    ------
    TypeError
        If it is a class, or lacks a method.
    ValueError
        If it is a classifier, or another kind of estimator.
    """
    found = shown(regressor)
    if isinstance(regressor, type):
        raise TypeError(f"regressor={found} is a class. Give an instance of it.")
    missing = [
        name for name in ("fit", "predict", "get_params") if not hasattr(type(regressor), name)
    ]
    if missing:
        raise TypeError(
            f"regressor={found} has no method {missing[0]!r}. Give a regressor of scikit-learn, "
            "such as HistGradientBoostingRegressor()."
        )
    if is_classifier(regressor):
        raise ValueError(
            f"regressor={found} is a classifier. Give a regressor; for classes of groups there is "
            "MixedLogisticClassifier."
        )
    if not is_regressor(regressor):
        raise ValueError(f"regressor={found} is no regressor. Give one that predicts numbers.")


def _check_cv(cv: Any, regressor: Any) -> None:
    if isinstance(cv, str):
        validation.check_choice("cv", cv, CV)
        if cv == "oob" and not has_bag(regressor):
            raise ValueError(
                "cv='oob', but `regressor` does not draw samples of the rows for at least "
                f"{FEWEST_TREES} trees, so that rows have none whose sample lacks them. Give a "
                f"forest with bootstrap=True and n_estimators of {FEWEST_TREES} or more, or a "
                "number of folds."
            )
    elif isinstance(cv, bool) or not isinstance(cv, numbers.Integral | Iterable):
        if not hasattr(cv, "split"):
            raise TypeError(
                f"cv={cv!r} is of type {type(cv).__name__}. Give 'auto', 'oob', 'in_sample', a "
                "number of folds, a splitter, or a list of folds."
            )
    elif isinstance(cv, numbers.Integral) and cv < 2:
        raise ValueError(f"cv={cv!r} folds are too few to train on the others. Give 2 or more.")


def fit(
    self: Any, X: Any, y: Any, weights: Any, groups: Any, params: Mapping[str, Any] | None
) -> None:
    """Fit; `params` are what the regressor's fit is routed, None without routing."""
    check_parameters(self)
    mixed = mixed_model_of(self)
    table = open_checked(X, mixed, y, reset=True)
    response = validation.check_response(y, table.n_rows, type(self).__name__)
    weights = validation.check_weights(weights, table.n_rows)
    _check_finite(self.regressor, table)
    rows = EffectRows.of(mixed, table, response, weights, groups)
    grouping = _grouping_positions(rows)
    linear = _linear_positions(self.linear, table, grouping)
    if self.keep_groups:
        _check_text(self, table, grouping)
    features = Features.without(table, {*linear, *(() if self.keep_groups else grouping)})
    params = _weight_params(self.regressor, weights) if params is None else params
    learner = Learner(self.regressor, features.of(X, table), params)
    codes = _level_codes(rows, table, groups)
    learned = out_of_fold(self, learner, table, features, codes, y)
    self.n_regressor_fits_ = 0
    if linear:
        rng = check_random_state(self.random_state)
        divided = [
            Folds.of(learner, _folds(self, table.n_rows, codes, y, rng), codes)
            for _ in range(N_DIVISIONS)
        ]
        given = response, weights, groups
        models = [fit_linear_part(rows, table, linear, own, *given) for own in divided]
        self._linear, self.linear_models_ = linear, models
        self._slopes = combined(models)["estimate"].to_numpy()
        self.n_regressor_fits_ = (1 + len(linear)) * sum(own.n_fits for own in divided)
        response = response - linear_columns(table, linear) @ self._slopes
    _publish(self, rows, learned, response, features, weights)


def mixed_model_of(estimator: Any) -> MixedLinearRegressor:
    """Return the unfitted linear model of the effects."""
    return MixedLinearRegressor(
        estimator.groups,
        random_slopes=estimator.random_slopes,
        fixed=[],
        covariance=estimator.covariance,
        method=estimator.method,
        handle_unknown=estimator.handle_unknown,
        random_state=estimator.random_state,
    )


def _linear_positions(linear: Any, table: Table, grouping: set[int]) -> list[int]:
    """Return where the linear columns are."""
    if linear is None:
        return []
    positions = column_positions(table, as_columns(linear, "linear", is_kept=True), "linear")
    for j in positions:
        if j in grouping:
            raise ValueError(
                f"Column {table.label(j)!r} of linear={linear!r} is a grouping column. Take it out."
            )
    return positions


def _grouping_positions(rows: EffectRows) -> set[int]:
    sources = (s for factor in rows.given.encoder.factors for s in factor.sources)
    return {s.position for s in sources if s.position is not None}


def _check_finite(regressor: Any, table: Table) -> None:
    """Refuse columns with missing numbers for a regressor of scikit-learn that would.

    What is made of several estimators may fill them in.
    """
    is_own = type(regressor).__module__.startswith("sklearn.")
    parts = regressor.get_params(deep=False).values()
    if not is_own or get_tags(regressor).input_tags.allow_nan or isinstance(regressor, Pipeline):
        return
    if any(hasattr(part, "fit") for part in parts):
        return
    for j in range(table.n_columns):
        column = table.get(j)
        if is_numeric_dtype(column.dtype):
            numeric_column(column, table.label(j))


def _check_text(estimator: Any, table: Table, grouping: set[int]) -> None:
    """Refuse grouping columns of text for a regressor that takes numbers."""
    tags = get_tags(estimator.regressor).input_tags
    if isinstance(estimator.regressor, Pipeline) or tags.categorical or tags.string:
        return
    for j in sorted(grouping):
        column = table.get(j)
        if not (is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype)):
            raise ValueError(
                f"keep_groups=True hands grouping column {table.label(j)!r} (dtype {column.dtype}) "
                f"to `regressor`, and {type(estimator.regressor).__name__} takes numbers alone. "
                "Give a Pipeline that encodes it, or keep_groups=False."
            )


def _weight_params(regressor: Any, weights: FloatArray | None) -> dict[str, Any]:
    """Return the weights under the name by which the regressor's fit takes them."""
    if weights is None:
        return {}
    prefix, own = "", regressor
    while isinstance(own, Pipeline):
        name, own = own.steps[-1]
        prefix += f"{name}__"
    if not (has_fit_parameter(own, "sample_weight") or _hands_on(own)):
        raise ValueError(
            f"sample_weight is given, but {type(own).__name__}.fit, of `regressor`, takes none. "
            "Leave it out, or give another regressor."
        )
    return {f"{prefix}sample_weight": weights}


def _hands_on(regressor: Any) -> bool:
    """Whether a regressor's fit takes any argument, to hand it to another's."""
    kinds = {p.kind for p in signature(regressor.fit).parameters.values()}
    return Parameter.VAR_KEYWORD in kinds


def _level_codes(rows: EffectRows, table: Table, groups: Any) -> list[IntArray]:
    """Return each factor's level of each row, (n,); those of rows of weight 0 alone are one."""
    encoder, metadata = rows.given.encoder, Metadata({})
    if encoder.uses_metadata:
        metadata = open_metadata(groups, table.n_rows, is_named=False)
    codes = [factor.codes(table, metadata) for factor in encoder.factors]
    return [
        np.where(own < 0, f.n_levels, own) for own, f in zip(codes, encoder.factors, strict=True)
    ]


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
    if isinstance(cv, str) and cv == "in_sample":
        return InSample(learner)
    if isinstance(cv, str) and cv == "oob":
        return OutOfBag(learner)
    if isinstance(cv, str | numbers.Integral):
        leaky = [own for own in codes if varies_between_alone(table, features.positions, own)]
        if isinstance(cv, str) and not leaky and _is_bare_bag(learner):
            return OutOfBag(learner)
        return Folds.of(learner, _folds(estimator, n_rows, leaky, y, estimator.random_state), codes)
    if not hasattr(cv, "split"):
        cv = items_of(cv, "cv", is_kept=True)
    splitter = check_cv(cv)
    own = codes[0] if codes and _takes_groups(splitter) else None
    splits = list(checked_folds(splitter.split(learner.X, y, own), n_rows))
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


def _folds(
    estimator: Any, n_rows: int, codes: list[IntArray], y: Any, seed: Any
) -> list[tuple[IntArray, IntArray]]:
    """Return folds of rows, or of the levels of the first of some factors."""
    n = int(estimator.cv) if isinstance(estimator.cv, numbers.Integral) else N_FOLDS
    n_levels = len(np.unique(codes[0])) if codes else 0
    if n_levels > 1:
        splitter: Any = GroupKFold(min(n, n_levels), shuffle=True, random_state=seed)
    else:
        splitter = KFold(n, shuffle=True, random_state=seed)
    rows = np.zeros((n_rows, 1))
    return list(splitter.split(rows, y, codes[0] if codes else None))


def _publish(
    estimator: Any,
    rows: EffectRows,
    learned: OutOfFold,
    response: FloatArray,
    features: Features,
    weights: FloatArray | None,
) -> None:
    """Take turns, fit what stays, and set the attributes that show it."""
    report = printer(estimator.verbose)
    tol, max_iter = float(estimator.tol), int(estimator.max_iter)
    settled = alternate(rows, learned, response, tol=tol, max_iter=max_iter, report=report)
    estimator.regressor_ = learned.learner.fitted(response - settled.effects)
    rows.fit(response - settled.predictions)
    if learned.keeps_groups_whole:
        # f̂ has seen the groups that f̂₋ has not: known groups are predicted by both f̂ and b̂
        fitted = learned.learner.predicted(estimator.regressor_, np.arange(len(response)))
        rows.predict_effects(response - fitted)
    estimator.mixed_model_, estimator._positions = rows.mixed, list(features.positions)
    estimator.n_features_in_ = rows.mixed.n_features_in_
    if hasattr(rows.mixed, "feature_names_in_"):
        estimator.feature_names_in_ = rows.mixed.feature_names_in_
    estimator.n_iter_, estimator.converged_ = settled.n_iter, settled.has_settled
    estimator.n_regressor_fits_ += settled.n_iter * learned.n_fits + 1
    estimator.out_of_fold_r2_ = float(
        r2_score(response, settled.predictions, sample_weight=weights)
    )
    if not estimator.converged_:
        warn(
            f"After {max_iter} turns the effects still move by {settled.change:.2g} residual "
            f"standard deviations, more than tol={tol:g}. Raise max_iter, or tol.",
            ConvergenceWarning,
        )
