"""Predictions by the parameters as they are now, and what the model of the effects is good for."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold

from skmixed import MixedEffectsRegressor, MixedLinearRegressor
from skmixed.diagnostics import cooks_distance, influence, leverage, residuals
from skmixed.inference import confidence_intervals, random_effects_table


def made(n=120, n_groups=12):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    X["g"] = np.arange(n) % n_groups
    return X, X["a"] + 2 * rng.normal(size=n_groups)[X["g"]] + rng.normal(size=n)


def test_unknown_groups_are_treated_as_the_parameter_says_now():
    X, y = made()
    model = MixedEffectsRegressor(Ridge(), "g").fit(X, y)
    new, kept = X.assign(g=99), model.mixed_model_
    before = model.predict(new), model.predict_interval(new)
    model.set_params(handle_unknown="error")
    for ask in (model.predict, model.predict_interval, lambda X: model.predict(X, return_std=True)):
        with pytest.raises(ValueError, match="120 rows have a level of grouping factor 'g'"):
            ask(new)
    # Groups to learn are new, whatever is done with unknown ones.
    model.update_groups(new[:5], y[:5])
    assert np.isfinite(model.predict(new)).all()
    model.set_params(handle_unknown="population").fit(X, y)
    np.testing.assert_array_equal(model.predict(new), before[0])
    np.testing.assert_array_equal(model.predict_interval(new), before[1])
    assert kept.handle_unknown == "population"
    with pytest.raises(ValueError, match="handle_unknown='other' is not known"):
        model.set_params(handle_unknown="other").predict(X)


def test_columns_that_are_not_those_of_the_fit_are_refused_in_the_words_of_the_estimator():
    X, y = made()
    array = X.to_numpy()
    model = MixedEffectsRegressor(Ridge(), 2).fit(array, y)
    for ask in (model.predict, model.predict_interval, lambda X: model.update_groups(X, y)):
        with pytest.raises(ValueError, match="2 features, but MixedEffectsRegressor"):
            ask(array[:, :2])
    model = MixedEffectsRegressor(Ridge(), "g").fit(X, y)
    with pytest.raises(ValueError, match="same order"):
        model.predict(X[["b", "a", "g"]])
    fixed = model.predict(X[["a", "b"]], include="fixed")
    np.testing.assert_array_equal(fixed, model.predict(X, include="fixed"))


def test_after_folds_of_whole_groups_too_the_model_of_the_effects_is_one_of_its_own_rows():
    X, y = made()
    X["c"] = np.random.default_rng(1).normal(size=12)[X["g"]]
    model = MixedEffectsRegressor(LinearRegression(), "g").fit(X, y)
    mixed, rest = model.mixed_model_, y.to_numpy().copy()
    W = X[["a", "b", "c"]].to_numpy()
    for train, test in GroupKFold(5, shuffle=True, random_state=0).split(W, groups=X["g"]):
        rest[test] -= LinearRegression().fit(W[train], y[train]).predict(W[test])
    plain = MixedLinearRegressor("g", fixed=[]).fit(X, rest)
    # One fit starts where the one of the turn ended, the other anew: the search's tolerance.
    np.testing.assert_allclose(leverage(mixed, X), leverage(plain, X), rtol=1e-6)
    pd.testing.assert_frame_equal(
        confidence_intervals(mixed, method="wald"),
        confidence_intervals(plain, method="wald"),
        rtol=1e-5,
    )
    widths = [np.diff(own.predict_interval(X), axis=1) for own in (mixed, plain)]
    np.testing.assert_allclose(*widths, rtol=1e-5)
    # The effects are those that predictions add: of what the regressor of all rows leaves.
    left = y - model.regressor_.predict(X[["a", "b", "c"]])
    effects = random_effects_table(mixed)
    np.testing.assert_array_equal(effects["estimate"], model.random_effects_["g"]["(Intercept)"])
    expected = y - model.predict(X)
    # The same sums in another order, of numbers near 1.
    np.testing.assert_allclose(residuals(mixed, X, left), expected, atol=1e-12)
    assert np.isfinite(cooks_distance(mixed, X, left)).all()
    assert np.isfinite(influence(mixed, X, left).to_numpy()).all()
    model.update_groups(X[:5], y[:5])
    with pytest.raises(ValueError, match="update_groups has given the model"):
        leverage(mixed, X)
