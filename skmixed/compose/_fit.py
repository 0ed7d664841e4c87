"""The fit of MixedEffectsRegressor: the turns, and what stays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state

from skmixed._data.encoder import column_positions
from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import open_metadata
from skmixed._data.parameters import as_columns
from skmixed._data.table import Table, open_checked
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import printer
from skmixed._typing import FloatArray, IntArray
from skmixed.compose._alternation import alternate
from skmixed.compose._checks import check_finite, check_parameters, check_text, weight_params
from skmixed.compose._effect_rows import EffectRows
from skmixed.compose._features import Features
from skmixed.compose._folds import folds, out_of_fold
from skmixed.compose._linear_part import fit_linear_part, linear_columns, slopes_of
from skmixed.compose._out_of_fold import Folds, Learner, OutOfFold
from skmixed.exceptions import warn

# Divisions into folds for linear effects, of whose estimates the median is taken.
N_DIVISIONS = 3


def fit(
    self: Any, X: Any, y: Any, weights: Any, groups: Any, params: Mapping[str, Any] | None
) -> None:
    """Fit; `params` are what the regressor's fit is routed, None without routing."""
    check_parameters(self)
    mixed = mixed_model_of(self)
    table = open_checked(X, mixed, y, reset=True)
    response = validation.check_response(y, table.n_rows, type(self).__name__)
    weights = validation.check_weights(weights, table.n_rows)
    check_finite(self.regressor, table)
    rows = EffectRows.of(mixed, table, response, weights, groups)
    grouping = _grouping_positions(rows)
    linear = _linear_positions(self.linear, table, grouping)
    if self.keep_groups:
        check_text(self, table, grouping)
    features = Features.without(table, {*linear, *(() if self.keep_groups else grouping)})
    params = weight_params(self.regressor, weights) if params is None else params
    learner = Learner(self.regressor, features.of(X, table), params)
    codes = _level_codes(rows, table, groups)
    learned = out_of_fold(self, learner, table, features, codes, y)
    n_fits = 0
    if linear:
        rng = check_random_state(self.random_state)
        divisions = [
            Folds.of(learner, folds(self.cv, table.n_rows, codes, rng), codes)
            for _ in range(N_DIVISIONS)
        ]
        given = response, weights, groups
        models = [fit_linear_part(rows, table, linear, division, *given) for division in divisions]
        self._linear, self.linear_models_ = linear, models
        n_fits = (1 + len(linear)) * sum(division.n_fits for division in divisions)
        response = response - linear_columns(table, linear) @ slopes_of(models)
    _publish(self, rows, learned, response, features, weights)
    self.n_regressor_fits_ = n_fits + self.n_iter_ * learned.n_fits + 1


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


def _level_codes(rows: EffectRows, table: Table, groups: Any) -> list[IntArray]:
    """Return each factor's level of each row, (n,); those of rows of weight 0 alone are one."""
    encoder, metadata = rows.given.encoder, Metadata({})
    if encoder.uses_metadata:
        metadata = open_metadata(groups, table.n_rows, is_named=False)
    pairs = [(factor.codes(table, metadata), factor.n_levels) for factor in encoder.factors]
    return [np.where(codes < 0, n_levels, codes) for codes, n_levels in pairs]


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
    estimator.out_of_fold_r2_ = float(
        r2_score(response, settled.predictions, sample_weight=weights)
    )
    if not estimator.converged_:
        warn(
            f"After {max_iter} turns the effects still move by {settled.change:.2g} residual "
            f"standard deviations, more than tol={tol:g}. Raise max_iter, or tol.",
            ConvergenceWarning,
        )
