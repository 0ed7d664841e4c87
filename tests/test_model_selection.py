"""Cross-validation, searches and inspection with the grouping column in X.

Results are compared with loops written out. The same rows in the same order give
the same bits, so most comparisons are exact.
"""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import read_frame
from sklearn.base import clone
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)

from skmixed import MixedLinearRegressor, RandomEffect

SPLITTERS = [
    GroupKFold(5),
    LeaveOneGroupOut(),
    KFold(4, shuffle=True, random_state=0),
]
by_splitter = pytest.mark.parametrize("cv", SPLITTERS, ids=lambda cv: type(cv).__name__)


@pytest.fixture
def sleep():
    """Unbalanced, so that generalized and ordinary least squares differ."""
    frame = read_frame("sleepstudy_unbalanced")
    return frame[["Subject", "Days"]], frame["Reaction"]


@pytest.fixture
def model():
    return MixedLinearRegressor("Subject", random_slopes="Days")


@pytest.fixture
def sites():
    """Sites with intercepts and slopes of dose, and an id column without meaning."""
    rng = np.random.default_rng(3)
    site = np.repeat(np.arange(12), 10)
    dose = rng.uniform(0, 4, size=120)
    X = pd.DataFrame(
        {
            "site": np.array([f"site {k:02}" for k in site]),
            "ward": np.array(list("abcdef"))[rng.integers(0, 6, size=120)],
            "id": rng.permutation(120),
            "dose": dose,
        }
    )
    y = 1.5 * dose + rng.normal(scale=4, size=12)[site] + rng.normal(size=12)[site] * dose
    return X, pd.Series(y + rng.normal(size=120), name="y")


def groups_for(cv, X):
    """What the splitter asks for; KFold warns of groups that it ignores."""
    return None if isinstance(cv, KFold) else X["Subject"]


def folds(model, X, y, cv, groups):
    """Fit on each training part; yield the model, the test rows and their truth."""
    for train, test in cv.split(X, y, groups):
        yield clone(model).fit(X.iloc[train], y.iloc[train]), test, X.iloc[test], y.iloc[test]


@by_splitter
class TestAgainstLoops:
    def test_cross_val_score(self, sleep, model, cv):
        X, y = sleep
        scores = cross_val_score(model, X, y, groups=groups_for(cv, X), cv=cv)
        expected = [
            r2_score(truth, fitted.predict(part))
            for fitted, _, part, truth in folds(model, X, y, cv, groups_for(cv, X))
        ]
        assert_array_equal(scores, expected)

    def test_cross_validate(self, sleep, model, cv):
        X, y = sleep
        scoring = {"r2": "r2", "error": "neg_mean_absolute_error"}
        found = cross_validate(
            model, X, y, groups=groups_for(cv, X), cv=cv, scoring=scoring, return_estimator=True
        )
        loop = list(folds(model, X, y, cv, groups_for(cv, X)))
        for key, metric, sign in (("r2", r2_score, 1), ("error", mean_absolute_error, -1)):
            expected = [
                sign * metric(truth, fitted.predict(part)) for fitted, _, part, truth in loop
            ]
            assert_array_equal(found[f"test_{key}"], expected)
        criteria = [fitted.criterion_ for fitted in found["estimator"]]
        assert_array_equal(criteria, [fitted.criterion_ for fitted, *_ in loop])

    def test_cross_val_predict(self, sleep, model, cv):
        X, y = sleep
        found = cross_val_predict(model, X, y, groups=groups_for(cv, X), cv=cv)
        expected = np.full(len(y), np.nan)
        for fitted, test, part, _ in folds(model, X, y, cv, groups_for(cv, X)):
            expected[test] = fitted.predict(part)
        assert_array_equal(found, expected)


@pytest.mark.parametrize("cv", SPLITTERS[:2], ids=lambda cv: type(cv).__name__)
def test_groups_held_out_get_the_fixed_effects(sleep, model, cv):
    X, y = sleep
    found = cross_val_predict(model, X, y, groups=groups_for(cv, X), cv=cv)
    for fitted, test, part, _ in folds(model, X, y, cv, groups_for(cv, X)):
        assert_array_equal(found[test], fitted.predict(part, include="fixed"))
        assert_allclose(
            found[test],
            fitted.intercept_ + fitted.fixed_effects_["Days"] * part["Days"],
            rtol=1e-14,
        )


def test_groups_seen_get_their_effects(sleep, model):
    X, y = sleep
    cv = SPLITTERS[2]
    found = cross_val_predict(model, X, y, cv=cv)
    population = np.full(len(y), np.nan)
    for fitted, test, part, _ in folds(model, X, y, cv, None):
        population[test] = fitted.predict(part, include="fixed")
    # The subjects' effects halve the squared error, and more.
    assert ((y - found) ** 2).sum() < 0.5 * ((y - population) ** 2).sum()


def test_one_row_of_a_group_left_in_training():
    """Its effect is the shrunken residual of that row."""
    frame = read_frame("sleepstudy")
    X, y = frame[["Subject", "Days"]], frame["Reaction"]
    own = np.flatnonzero(X["Subject"] == "308")
    cv = [(np.setdiff1d(np.arange(len(y)), own[1:]), own[1:])]
    result = cross_validate(
        MixedLinearRegressor("Subject"), X, y, cv=cv, return_estimator=True, return_indices=True
    )
    fitted = result["estimator"][0]
    variance = fitted.covariances_["Subject"].iloc[0, 0]
    residual = y[own[0]] - fitted.predict(X.iloc[own[:1]], include="fixed")[0]
    effect = residual * variance / (variance + fitted.sigma_**2)
    # Rounding of a few sums over 171 rows.
    assert fitted.random_effects_["Subject"].loc["308"].item() == pytest.approx(effect, rel=1e-9)
    population = fitted.predict(X.iloc[own[1:]], include="fixed")
    assert_allclose(fitted.predict(X.iloc[own[1:]]), population + effect, rtol=1e-9)
    assert np.isfinite(result["test_score"]).all()


def test_a_single_group_left_in_training_is_named(sleep, model):
    X, y = sleep
    own = np.flatnonzero(X["Subject"] == "308")
    cv = [(own, np.setdiff1d(np.arange(len(y)), own))]
    with pytest.raises(ValueError, match="'Subject' has a single level in"):
        cross_val_score(model, X, y, cv=cv, error_score="raise")


def test_handle_unknown_error_reaches_the_search(sleep):
    X, y = sleep
    model = MixedLinearRegressor("Subject", handle_unknown="error")
    with pytest.raises(ValueError, match="was not seen in fit"):
        cross_val_score(model, X, y, groups=X["Subject"], cv=GroupKFold(5), error_score="raise")
    assert np.isfinite(cross_val_score(model, X, y, cv=SPLITTERS[2])).all()


def test_polars_frame(sleep, model):
    X, y = sleep
    other = pl.DataFrame({name: X[name].to_list() for name in X})
    cv = SPLITTERS[2]
    scores = cross_val_score(model, other, y.to_numpy(), cv=cv)
    assert_allclose(scores, cross_val_score(model, X, y, cv=cv), rtol=1e-10)


def test_groups_given_to_the_splitter_only_is_least_squares(sleep, model):
    """The classic mistake: without `groups` in the constructor nothing is grouped."""
    X, y = sleep
    days, groups, cv = X[["Days"]], X["Subject"], GroupKFold(5)
    scores = cross_val_score(MixedLinearRegressor(), days, y, groups=groups, cv=cv)
    expected = cross_val_score(LinearRegression(), days, y, groups=groups, cv=cv)
    # Cross-products here, an orthogonal decomposition there.
    assert_allclose(scores, expected, rtol=1e-9)
    mixed = cross_val_score(model, X, y, groups=groups, cv=cv)
    assert np.abs(mixed - scores).min() > 1e-4
    status = MixedLinearRegressor().fit(days, y).status_
    assert "least squares" in status


GRIDS = {
    "method": {"method": ["reml", "ml"], "random_slopes": ["dose"]},
    "groups": {"groups": [None, "ward", "site"]},
    "random effects": {"groups": [RandomEffect("site"), [RandomEffect("site", "dose")], "site"]},
    "random_slopes": {"random_slopes": [None, ["dose"]]},
    "covariance": {"random_slopes": ["dose"], "covariance": ["full", "diag", "spherical"]},
    "several": [
        {"groups": [None]},
        {"groups": ["site"], "random_slopes": [None, "dose"], "method": ["reml", "ml"]},
    ],
}


# Wards do not differ, and their variance may be estimated as 0.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_grid_search(sites, grid):
    X, y = sites
    cv = KFold(3, shuffle=True, random_state=1)
    search = GridSearchCV(
        MixedLinearRegressor("site", fixed="dose"), grid, cv=cv, error_score="raise"
    ).fit(X, y)
    results = search.cv_results_
    for i, parameters in enumerate(results["params"]):
        model = clone(search.estimator).set_params(**parameters)
        assert_array_equal(
            [results[f"split{k}_test_score"][i] for k in range(3)],
            cross_val_score(model, X, y, cv=cv),
        )
    assert search.best_score_ == results["mean_test_score"].max()
    refitted = clone(search.estimator).set_params(**search.best_params_).fit(X, y)
    assert_array_equal(search.predict(X), refitted.predict(X))
    assert list(search.best_estimator_.fixed_effects_.index) == ["(Intercept)", "dose"]


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_grid_search_finds_the_groups_and_the_slope(sites):
    X, y = sites
    model = MixedLinearRegressor("site", fixed="dose")
    cv = KFold(3, shuffle=True, random_state=1)
    assert _best(model, GRIDS["groups"], cv, X, y) == {"groups": "site"}
    assert _best(model, GRIDS["random_slopes"], cv, X, y) == {"random_slopes": ["dose"]}


def _best(model, grid, cv, X, y):
    return GridSearchCV(model, grid, cv=cv, error_score="raise").fit(X, y).best_params_


def test_grid_search_in_processes(sites):
    X, y = sites
    one, two = (
        GridSearchCV(
            MixedLinearRegressor("site", fixed="dose"),
            GRIDS["several"],
            cv=GroupKFold(3),
            n_jobs=n_jobs,
            error_score="raise",
        ).fit(X, y, groups=X["site"])
        for n_jobs in (1, 2)
    )
    scores = one.cv_results_["mean_test_score"]
    # Memory may be laid out otherwise in another process: a few roundings.
    assert_allclose(two.cv_results_["mean_test_score"], scores, rtol=1e-9)
    assert two.best_params_ == one.best_params_
    assert_allclose(two.predict(X), one.predict(X), rtol=1e-9)


def test_an_id_column_that_is_not_fixed_is_no_feature(sites):
    X, y = sites
    model = MixedLinearRegressor("site", fixed="dose")
    expected = cross_val_score(model, X[["site", "dose"]], y)
    assert_array_equal(cross_val_score(model, X, y), expected)
    with pytest.raises(ValueError, match=r"Column 'ward' .* is not numeric"):
        MixedLinearRegressor("site").fit(X, y)


@pytest.mark.parametrize("container", ["frame", "objects"])
def test_permutation_importance(sites, container):
    X, y = sites
    site, slope, dose = ("site", "dose", "dose") if container == "frame" else (0, 3, 3)
    if container == "objects":
        X = X.to_numpy(dtype=object)
    model = MixedLinearRegressor(site, random_slopes=slope, fixed=dose).fit(X, y)
    found = permutation_importance(model, X, y, n_repeats=3, random_state=0)
    importance = dict(zip(("site", "ward", "id", "dose"), found.importances_mean, strict=True))
    assert importance["site"] > 0.5
    assert importance["dose"] > 0.1
    assert importance["ward"] == importance["id"] == 0.0


def test_learning_curve(sleep, model):
    X, y = sleep
    cv = GroupKFold(3)
    sizes, _, scores = learning_curve(
        model, X, y, groups=X["Subject"], cv=cv, train_sizes=[0.5, 1.0], error_score="raise"
    )
    assert scores.shape == (2, 3)
    full = [len(train) == sizes[1] for train, _ in cv.split(X, y, X["Subject"])]
    assert any(full)
    expected = cross_val_score(model, X, y, groups=X["Subject"], cv=cv)
    assert_array_equal(scores[1][full], expected[full])
