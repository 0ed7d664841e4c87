"""The fit of MixedEffectsRegressor: the turns, and what stays."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from skmixed._data.encoder import column_positions
from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import open_metadata, own_name_of
from skmixed._data.parameters import as_columns
from skmixed._data.table import Table, open_checked
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import LOGGER, printer
from skmixed._typing import FloatArray, IntArray
from skmixed.compose._alternation import Settled, alternate
from skmixed.compose._checks import (
    check_finite,
    check_parameters,
    check_text,
    refusal,
    weight_params,
)
from skmixed.compose._effect_rows import EffectRows
from skmixed.compose._features import Features
from skmixed.compose._folds import check_cv, divisions, is_drawn, kept_together, out_of_fold
from skmixed.compose._linear_part import fit_linear_part, linear_columns, slopes_of
from skmixed.compose._out_of_fold import Learner, OutOfFold
from skmixed.exceptions import warn


def fit(
    self: Any, X: Any, y: Any, weights: Any, groups: Any, params: Mapping[str, Any] | None
) -> None:
    """Fit; `params` are what the regressor's fit is routed, None without routing."""
    check_parameters(self)
    check_cv(self.cv, self.regressor, self.linear)
    table = open_checked(X, self, y, reset=True)
    response = validation.check_response(y, table.n_rows, type(self).__name__)
    weights = validation.check_weights(weights, table.n_rows)
    mixed = mixed_model_of(self)
    mixed._response_name = own_name_of(y)
    rows = EffectRows.of(mixed, table, response, weights, groups)
    grouping = _grouping_positions(rows)
    linear = _linear_positions(self.linear, table, grouping)
    if self.keep_groups:
        check_text(self, table, grouping)
    features = Features.without(table, {*linear, *(() if self.keep_groups else grouping)})
    check_finite(self.regressor, table, features.positions)
    rows.check()
    params = weight_params(self.regressor, weights) if params is None else params
    refused = partial(refusal, response=response)
    learner = Learner(self.regressor, features.of(X, table), table.n_rows, params, refused)
    codes, kept = _level_codes(rows, table, groups), None
    if is_drawn(self.cv):
        names = [factor.name for factor in rows.given.encoder.factors]
        kept = kept_together(table, features.positions, codes, names)
    learned = out_of_fold(self, learner, codes, kept, y)
    if learned.kept_whole:
        rows.check_memory()
    n_fits = 0
    if linear:
        folds, given = divisions(self, learned, codes, kept), (response, weights, groups)
        models = [fit_linear_part(rows, table, linear, division, *given) for division in folds]
        self._linear, self.linear_models_ = linear, models
        n_fits = (1 + len(linear)) * sum(division.n_fits for division in folds)
        response = response - linear_columns(table, linear) @ slopes_of(models)
    _publish(self, rows, learned, response, features, weights)
    self.n_regressor_fits_ = n_fits + self.n_iter_ * learned.n_fits + 1


def mixed_model_of(estimator: Any) -> MixedLinearRegressor:
    """Return the linear model of the effects, which knows the columns of X and no more."""
    mixed = MixedLinearRegressor(
        estimator.groups,
        random_slopes=estimator.random_slopes,
        fixed=[],
        covariance=estimator.covariance,
        method=estimator.method,
        handle_unknown=estimator.handle_unknown,
        random_state=estimator.random_state,
    )
    mixed.n_features_in_ = estimator.n_features_in_
    if hasattr(estimator, "feature_names_in_"):
        mixed.feature_names_in_ = estimator.feature_names_in_
    return mixed


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
    """Return each factor's level of each row, (n,).

    A row of weight 0 whose level has no other rows than such, and so none, is alone in one.
    """
    encoder, metadata = rows.given.encoder, Metadata({})
    if encoder.uses_metadata:
        metadata = open_metadata(groups, table.n_rows, is_named=False)
    pairs = [(factor.codes(table, metadata), factor.n_levels) for factor in encoder.factors]
    own = np.arange(table.n_rows)
    return [np.where(codes < 0, n_levels + own, codes) for codes, n_levels in pairs]


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
    if learned.kept_whole:
        # f̂ has seen the groups that f̂₋ has not: known groups are predicted by both f̂ and b̂
        target = response - settled.effects
        fitted = learned.learner.predicted(estimator.regressor_, np.arange(len(target)), target)
        rows.predict_effects(response - fitted)
    estimator.mixed_model_, estimator._positions = rows.mixed, list(features.positions)
    estimator.n_iter_, estimator.converged_ = settled.n_iter, settled.has_settled
    estimator.out_of_fold_r2_ = float(
        r2_score(response, settled.predictions, sample_weight=weights)
    )
    ended = "settled" if settled.has_settled else "not settled"
    LOGGER.info("%s: %s; %d turns", type(estimator).__name__, ended, settled.n_iter)
    _say_how_it_ended(settled, tol)


def _say_how_it_ended(settled: Settled, tol: float) -> None:
    """Warn of turns that have not settled."""
    if settled.has_settled:
        return
    moves = f"the effects still move by {settled.change:.2g} residual standard deviations"
    if settled.has_diverged:
        warn(
            f"After {settled.n_iter} turns {moves}, more than in the turn before: the turns lead "
            "away from a result. Give a regressor that smooths more, such as with larger leaves "
            "or a stronger penalty, or folds of whole groups, such as cv=GroupKFold(5), of which "
            "there is one turn.",
            ConvergenceWarning,
        )
    else:
        warn(
            f"After {settled.n_iter} turns {moves}, more than tol={tol:g}. Raise max_iter, or tol.",
            ConvergenceWarning,
        )
