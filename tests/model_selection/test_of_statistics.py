"""Cross-validation of parts that are given as statistics is that of their rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LinearRegression

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.exceptions import NotEstimableWarning
from skmixed.model_selection import cross_validate, cross_validate_statistics

SCORES = ["r2", "neg_mean_squared_error", "neg_root_mean_squared_error"]


def make_rows(seed=0, n=400):
    rng = np.random.default_rng(seed)
    group, item = rng.integers(0, 20, n), rng.integers(0, 9, n)
    values = rng.normal(size=(n, 2)) + 5.0
    y = values @ [1.0, -1.0] + rng.normal(size=20)[group] + rng.normal(size=9)[item]
    y += rng.normal(size=20)[group] * (values[:, 0] - 5.0) + rng.normal(size=n)
    X = pd.DataFrame(values, columns=list("ab")).assign(group=group, item=item)
    return X, y, rng


MODELS = {
    "intercept": MixedLinearRegressor("group", fixed=["a", "b"]),
    "slope": MixedLinearRegressor("group", random_slopes="a", fixed=["a", "b"]),
    "no intercept": MixedLinearRegressor("group", fixed=["a"], fit_intercept=False),
    "crossed": MixedLinearRegressor([RandomEffect("group", "a"), "item"], fixed=["a", "b"]),
    "two terms": MixedLinearRegressor(
        [RandomEffect("group"), RandomEffect("group", "b", intercept=False)], fixed=["a"]
    ),
    "none": MixedLinearRegressor(fixed=["a", "b"]),
}


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize("kind", ["rows", "groups"])
@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_the_rows(name, kind):
    X, y, rng = make_rows()
    fold = rng.integers(0, 4, len(y)) if kind == "rows" else X["group"].to_numpy() % 4
    model = MODELS[name]
    folds = [model.statistics(X[fold == k], y[fold == k]) for k in range(4)]
    found = cross_validate_statistics(model, folds, scoring=SCORES)
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    expected = cross_validate(model, X, y, cv=splits, scoring=SCORES)
    for score in SCORES:
        # The searches start from other sums, and end 1e-8 of a parameter apart
        assert_allclose(found[f"test_{score}"], expected[f"test_{score}"], rtol=1e-8)
    if name != "none":
        assert found.question == expected.question


def test_weights():
    """Scores are weighted, by what the sums are weighted by."""
    X, y, rng = make_rows()
    weights, model = rng.uniform(0.5, 2.0, len(y)), MODELS["slope"]
    fold = rng.integers(0, 2, len(y))
    own = [fold == 0, fold == 1]
    folds = [model.statistics(X[rows], y[rows], weights[rows]) for rows in own]
    found = cross_validate_statistics(model, folds)
    for k in range(2):
        fitted = MixedLinearRegressor("group", random_slopes="a", fixed=["a", "b"])
        fitted.fit(X[own[1 - k]], y[own[1 - k]], weights[own[1 - k]])
        left = np.average((y - fitted.predict(X))[own[k]] ** 2, weights=weights[own[k]])
        assert_allclose(found["test_neg_mean_squared_error"][k], -left, rtol=1e-9)
        score = fitted.score(X[own[k]], y[own[k]], weights[own[k]])
        assert_allclose(found["test_r2"][k], score, rtol=1e-9)


def test_a_grid():
    X, y, _ = make_rows()
    model = MODELS["slope"]
    fold = X["group"].to_numpy() % 3
    folds = [model.statistics(X[fold == k], y[fold == k]) for k in range(3)]
    grid = {"method": ["reml", "ml"], "covariance": ["full", "diag"]}
    found = cross_validate_statistics(model, folds, param_grid=grid, scoring="r2")
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    expected = cross_validate(model, X, y, cv=splits, param_grid=grid, scoring="r2")
    assert set(found) == set(expected)
    assert_allclose(found["mean_test_score"], expected["mean_test_score"], rtol=1e-8)


def test_messages():
    X, y, _ = make_rows()
    model = MODELS["slope"]
    folds = [model.statistics(X[:200], y[:200]), model.statistics(X[200:], y[200:])]
    with pytest.raises(ValueError, match="scoring='neg_mean_absolute_error' is no function of"):
        cross_validate_statistics(model, folds, scoring=["neg_mean_absolute_error"])
    with pytest.raises(ValueError, match="There are 1 folds"):
        cross_validate_statistics(model, folds[:1])
    with pytest.raises(TypeError, match="Fold 1 is of type int"):
        cross_validate_statistics(model, [folds[0], 3])
    with pytest.raises(TypeError, match="model is of type LinearRegression"):
        cross_validate_statistics(LinearRegression(), folds)
    other = MODELS["intercept"].statistics(X[200:], y[200:])
    with pytest.raises(ValueError, match="statistics"):
        cross_validate_statistics(model, [folds[0], other])
    with pytest.raises(ValueError, match="has no score"):
        cross_validate_statistics(model, folds, scoring=[])
    with pytest.raises(TypeError, match=r"folds=.* is of type SufficientStatistics. Give a list"):
        cross_validate_statistics(model, folds[0])


def test_folds_from_an_iterator():
    X, y, _ = make_rows()
    model = MODELS["slope"]
    folds = [model.statistics(X[own], y[own]) for own in (slice(200), slice(200, None))]
    found, expected = (cross_validate_statistics(model, own) for own in (iter(folds), folds))
    assert_array_equal(found["test_r2"], expected["test_r2"])


def test_the_share_of_known_rows_is_over_rows():
    X, y, rng = make_rows()
    model = MixedLinearRegressor("group", fixed=["a", "b"])
    # Groups from 15 on in one small fold, the others in two large ones
    fold = np.where(X["group"] >= 15, 2, rng.integers(0, 2, len(y)))
    folds = [model.statistics(X[fold == k], y[fold == k]) for k in range(3)]
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    found = cross_validate_statistics(model, folds)
    assert found.question == cross_validate(model, X, y, cv=splits, scoring="r2").question


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning")
@pytest.mark.parametrize("kind", ["labels", "shifted"])
def test_rows_that_the_others_do_not_determine(kind):
    X, y, _ = make_rows()
    X = X.assign(u=(X["a"] > 5).astype(float), v=(X["b"] > 5).astype(float))
    fold = X["group"].to_numpy() % 3
    X.loc[fold > 0, "v"] *= 1 - X.loc[fold > 0, "u"]  # both are 1 in fold 0 alone
    X["uv"] = X["u"] * X["v"]
    if kind == "shifted":
        X[["u", "v", "uv"]] = 1e6 + 1e3 * X[["u", "v", "uv"]]
    model = MixedLinearRegressor("group", fixed=["u", "v", "uv"])
    folds = [model.statistics(X[fold == k], y[fold == k]) for k in range(3)]
    n = (fold == 0).sum()
    message = rf"In 1 of 3 fits: The data of fit .* the mean of some of the {n} rows .*: 'uv'\.$"
    with pytest.warns(NotEstimableWarning, match=message) as caught:
        cross_validate_statistics(model, folds)
    assert len([own for own in caught if own.category is NotEstimableWarning]) == 1
    # Where the others drop the column, too, their rows are determined
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotEstimableWarning)
        cross_validate_statistics(model, folds[1:])


def test_groups_that_the_others_do_not_have():
    X, y, rng = make_rows()
    model = clone(MODELS["intercept"]).set_params(handle_unknown="error")
    fold = np.where(X["group"] == 7, 0, rng.integers(0, 3, len(y)))
    folds = [model.statistics(X[fold == k], y[fold == k]) for k in range(3)]
    n = (X["group"] == 7).sum()
    message = (
        "The predictions of 1 of 3 fits failed, and their scores are NaN. The first, without "
        f"fold 0: {n} rows have a level of grouping factor 'group' that was not seen in fit"
    )
    with pytest.warns(FitFailedWarning, match=message):
        found = cross_validate_statistics(model, folds)
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    with pytest.warns(FitFailedWarning, match="The predictions of 1 of 3 fits failed"):
        expected = cross_validate(model, X, y, cv=splits, scoring=["r2"])
    assert_allclose(found["test_r2"], expected["test_r2"], rtol=1e-8)
    assert np.isnan(found["test_r2"][0])
    whole = [model.statistics(X[own], y[own]) for own in (X["group"] < 9, X["group"] >= 9)]
    with pytest.raises(ValueError, match="Use handle_unknown='population' to predict them"):
        cross_validate_statistics(model, whole)
