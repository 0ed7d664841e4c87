"""Scores by name, and functions in the place of scores."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.metrics import make_scorer, mean_squared_error, r2_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.model_selection import MixedLinearRegressorCV, cross_validate, log_predictive_density


def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor("Subject", random_slopes="Days"), X, y


def of_two(y, predicted):
    return 0.0


@pytest.mark.parametrize(
    ("function", "name"),
    [(r2_score, "r2_score"), (mean_squared_error, "mean_squared_error"), (of_two, "of_two")],
)
def test_a_metric_is_no_score(function, name):
    model, X, y = sleepstudy()
    message = rf"scoring={name} is no function of .* sklearn.metrics.make_scorer\({name}\), with"
    for scoring in (function, {"own": function}):
        with pytest.raises(ValueError, match=message):
            cross_validate(model, X, y, scoring=scoring)
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressorCV("Subject", scoring=function).fit(X, y)
    if function is not of_two:
        found = cross_validate(model, X, y, scoring={"own": make_scorer(function), "r2": "r2"})
        assert np.isfinite(found["test_own"]).all()


@pytest.mark.parametrize("function", [lambda *given: 0.0, lambda m, X, y, weights=None: 0.0])
def test_functions_of_an_estimator(function):
    model, X, y = sleepstudy()
    assert_array_equal(cross_validate(model, X, y, scoring=function)["test_score"], np.zeros(5))


def test_both_names_of_the_density():
    model, X, y = sleepstudy()
    names = ["neg_log_predictive_density", "log_predictive_density"]
    found = cross_validate(model, X, y, scoring=names)
    assert_array_equal(*[found[f"test_{name}"] for name in names])
    for scoring in (*names, log_predictive_density):
        own = cross_validate(model, X, y, scoring=scoring)["test_score"]
        assert_array_equal(own, found[f"test_{names[0]}"])
        chosen = MixedLinearRegressorCV("Subject", random_slopes="Days", scoring=scoring).fit(X, y)
        assert_allclose(chosen.best_score_, own.mean(), rtol=1e-12)
    with pytest.raises(ValueError, match="which LinearRegression does not have"):
        cross_validate(LinearRegression(), X[["Days"]], y, scoring=names[1])


@pytest.mark.parametrize("has_routing", [False, True])
def test_the_density_of_a_pipeline_is_that_of_its_last_step(has_routing):
    model, X, y = sleepstudy()
    steps = make_pipeline("passthrough", make_pipeline(FunctionTransformer(), model))
    asked = {"cv": GroupKFold(3), "groups": X["Subject"], "scoring": ["log_predictive_density"]}
    with sklearn.config_context(enable_metadata_routing=has_routing):
        found = cross_validate(steps, X, y, **asked)["test_log_predictive_density"]
        fitted = steps.fit(X, y)
        one = log_predictive_density(fitted, X, y)
    expected = cross_validate(model, X, y, **asked)["test_log_predictive_density"]
    # θ of fits to rows, and from sums of them
    assert_allclose(found, expected, rtol=1e-9)
    assert_allclose(one, log_predictive_density(model.fit(X, y), X, y), rtol=1e-12)
    assert "test_neg_log_predictive_density" in cross_validate(steps, X, y)


@pytest.mark.parametrize("last", [BayesianRidge(), GaussianProcessRegressor(alpha=1.0)])
def test_the_density_of_other_estimators(last):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    y = X["a"].to_numpy() + rng.normal(size=60)
    model = make_pipeline(StandardScaler(), last)
    splits = [(np.arange(40), np.arange(40, 60))]
    found = cross_validate(model, X, y, cv=splits, scoring="log_predictive_density")
    mean, sd = model.fit(X[:40], y[:40]).predict(X[40:], return_std=True)
    logs = -0.5 * ((y[40:] - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
    assert_allclose(found["test_score"], logs.mean(), rtol=1e-12)


def test_names_are_given_once():
    model, X, y = sleepstudy()
    with pytest.raises(ValueError, match="scoring has 'r2' more than once"):
        cross_validate(model, X, y, scoring=["r2", "neg_mean_squared_error", "r2"])
