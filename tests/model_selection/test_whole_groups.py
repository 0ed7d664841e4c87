"""All folds of whole groups at once: the fits without each, as by fits to the other rows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import model_selection as sk
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.exceptions import IdentifiabilityWarning, SingularFitWarning
from skmixed.model_selection import cross_validate

SCORES = ["r2", "neg_mean_squared_error", "neg_root_mean_squared_error", "neg_mean_absolute_error"]
# The search of a fit ends where a step gains less than its tolerance, 1e-8 of a parameter away.
CLOSE = {"rtol": 1e-8, "atol": 1e-8}
MODELS = {
    "intercept": MixedLinearRegressor("group"),
    "ml": MixedLinearRegressor("group", method="ml"),
    "slope": MixedLinearRegressor("group", random_slopes="a"),
    "diag": MixedLinearRegressor(RandomEffect("group", "a", covariance="diag")),
    "spherical": MixedLinearRegressor(RandomEffect("group", "a", covariance="spherical")),
    "compound symmetry": MixedLinearRegressor(
        RandomEffect("group", ["a", "b"], intercept=False, covariance="compound_symmetry")
    ),
    "two terms": MixedLinearRegressor(
        [RandomEffect("group"), RandomEffect("group", "b", intercept=False)]
    ),
    "no intercept": MixedLinearRegressor("group", fit_intercept=False),
    "one column": MixedLinearRegressor("group", fixed=["b"]),
}


def make_rows(seed=0, q=80, per=8, effects=(1.0, 0.7, 0.5), shift=3.0):
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(q), per))
    values = rng.normal(size=(len(group), 3)) + shift
    own = rng.normal(size=(q, 3)) * effects
    y = values @ [1.0, -1.0, 0.5] + rng.normal(size=len(group))
    y += own[group, 0] + own[group, 1] * values[:, 0] + own[group, 2] * values[:, 1]
    return pd.DataFrame(values, columns=list("abc")).assign(group=group), y


@pytest.fixture
def served(monkeypatch):
    """Count the candidates that are served, and the folds that are fitted one by one."""
    counts = {"candidates": 0, "alone": 0}
    # The class that is used, also where its module is imported again to be tested
    own = cross_validate.__globals__["whole_group_outcomes"].__globals__
    kind = own["WithoutWholeGroups"]
    outcomes, fitted = kind.outcome, kind._fitted

    def outcome(self, *args, **kwargs):
        found = outcomes(self, *args, **kwargs)
        counts["candidates"] += found is not None
        return found

    def alone(self, *args, **kwargs):
        counts["alone"] += 1
        return fitted(self, *args, **kwargs)

    monkeypatch.setattr(kind, "outcome", outcome)
    monkeypatch.setattr(kind, "_fitted", alone)
    return counts


def compare(model, X, y, cv, weights=None, every=6, **close):
    """Compare some of the splits with fits to their rows."""
    groups = X["group"]
    found = cross_validate(model, X, y, cv=cv, scoring=[*SCORES], sample_weight=weights)
    splits = list(cv.split(X, y, groups))[::every]
    params = None if weights is None else {"sample_weight": weights}
    expected = sk.cross_validate(model, X, y, cv=splits, scoring=SCORES, params=params)
    for name in SCORES:
        assert_allclose(found[f"test_{name}"][::every], expected[f"test_{name}"], **CLOSE | close)


@pytest.mark.parametrize("name", MODELS)
def test_equals_fits_to_the_other_rows(name, served):
    X, y = make_rows()
    compare(MODELS[name], X, y, LeaveOneGroupOut())
    assert served["candidates"] == 1
    assert served["alone"] <= 1


def test_folds_of_several_groups(served):
    X, y = make_rows(q=150)
    compare(MODELS["slope"], X, y, GroupKFold(70))
    assert served == {"candidates": 1, "alone": 0}


@pytest.mark.parametrize("weighted", [False, True])
def test_a_grid_of_structures_over_few_folds(weighted, served):
    """Each fold has a search of its own; all scores, and those of squares alone."""
    X, y = make_rows(q=200, per=4)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted else None
    grid = {
        "method": ["reml", "ml"],
        "random_slopes": [None, "a"],
        "fixed": [["a", "b", "c"], ["a"]],
    }
    density, cv = "neg_log_predictive_density", GroupKFold(4)
    given = {"cv": cv, "param_grid": grid, "sample_weight": weights}
    model = MixedLinearRegressor("group")
    found = cross_validate(model, X, y, scoring=SCORES[:3], **given)
    every = cross_validate(model, X, y, scoring=[*SCORES, density], **given)
    assert served == {"candidates": 16, "alone": 0}
    for k, params in enumerate(found["params"]):
        for split, (train, test) in enumerate(cv.split(X, y, X["group"])):
            own = clone(model).set_params(**params)
            own.fit(X.iloc[train], y[train], None if weights is None else weights[train])
            mean, sd = own.predict(X.iloc[test], return_std=True)
            at, left = f"split{split}_test_", y[test] - mean
            by_hand = np.mean(-0.5 * (left / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)))
            assert_allclose(every[at + density][k], by_hand, **CLOSE)
            assert_allclose(every[at + SCORES[3]][k], -np.abs(left).mean(), **CLOSE)
            for table in (found, every):
                assert_allclose(table[at + SCORES[1]][k], -np.mean(left**2), **CLOSE)
                r2 = 1.0 - np.sum(left**2) / np.sum((y[test] - y[test].mean()) ** 2)
                assert_allclose(table[at + SCORES[0]][k], r2, **CLOSE)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_few_folds_whose_optimum_may_be_another_one_are_fitted_alone(served):
    """One group far away gives a variance of slopes two optima, and effects are weak beside it."""
    X, y = make_rows(q=150, effects=(0.0, 0.1, 0.0), shift=0.0)
    y = np.where(X["group"] == 5, y + 20.0 * y.std(), y)
    for slopes in (RandomEffect("group", "a", intercept=False), RandomEffect("group", "a")):
        compare(MixedLinearRegressor(slopes, method="ml"), X, y, GroupKFold(5), every=1)
    assert served["candidates"] == 2
    assert served["alone"] > 0


def test_weights(served):
    X, y = make_rows()
    weights = 1e6 * np.random.default_rng(1).uniform(0.5, 2.0, len(y))
    compare(MODELS["slope"], X, y, LeaveOneGroupOut(), weights)
    assert served == {"candidates": 1, "alone": 1}


def test_columns_far_from_zero(served):
    X, y = make_rows()
    X = X.assign(a=1e4 * X["a"] + 1e6)
    compare(MODELS["slope"], X, y, LeaveOneGroupOut())
    assert served["candidates"] == 1


def test_groups_that_move_the_variances_far_are_fitted_alone(served):
    X, y = make_rows(q=70)
    y = np.where(X["group"] == 3, y + 30.0, y)
    compare(MODELS["intercept"], X, y, LeaveOneGroupOut(), every=1)
    assert served["candidates"] == 1
    assert 1 <= served["alone"] < 10


def test_a_fold_of_more_than_half_of_the_squares(served):
    X, y = make_rows(q=70)
    X = X.assign(a=np.where(X["group"] == 3, 1e3 * X["a"], X["a"]))
    compare(MODELS["intercept"], X, y, LeaveOneGroupOut(), every=1)
    assert served == {"candidates": 1, "alone": 1}


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_singular_fits(served):
    X, y = make_rows(effects=(0.0, 0.0, 0.0), seed=2)
    compare(MODELS["slope"], X, y, LeaveOneGroupOut())
    assert served["candidates"] == 1


@pytest.mark.filterwarnings(
    "ignore::skmixed.exceptions.RankDeficiencyWarning",
    "ignore::skmixed.exceptions.NotEstimableWarning",
)
def test_a_column_of_one_group(served):
    """Without that group the column is nothing, and is dropped as by a fit to the rows."""
    X, y = make_rows(q=70)
    X = X.assign(c=np.where(X["group"] == 3, X["c"], 0.0))
    compare(MODELS["intercept"], X, y, LeaveOneGroupOut(), every=1)
    assert served == {"candidates": 1, "alone": 1}


@pytest.mark.parametrize("theta", ["refit", "fixed"])
def test_density_and_predictions(theta, served):
    X, y = make_rows()
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(y))
    model, cv = MODELS["slope"], LeaveOneGroupOut()
    found = cross_validate(
        model, X, y, cv=cv, theta=theta, sample_weight=weights, return_predictions=True
    )
    assert served == {"candidates": 1, "alone": int(theta == "refit")}
    # The same by single fits, which fewer splits are
    few = list(cv.split(X, y, X["group"]))[::5]
    if theta == "fixed":
        expected = cross_validate(
            model, X, y, theta=theta, sample_weight=weights, return_predictions=True,
            cv=[*few, *([few[0]])],
        )  # fmt: skip
        for name in ("r2", "neg_log_predictive_density"):
            own = expected[f"test_{name}"][:-1]
            assert_allclose(found[f"test_{name}"][::5], own, rtol=1e-9)
        return
    for number, (train, test) in enumerate(few):
        own = clone(model).fit(X.iloc[train], y[train], weights[train])
        mean, sd = own.predict(X.iloc[test], return_std=True)
        assert_allclose(found["predictions"][test], mean, **CLOSE)
        density = np.mean(-0.5 * ((y[test] - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)))
        score = found["test_neg_log_predictive_density"][5 * number]
        assert_allclose(score, density, **CLOSE)


def test_a_grid_of_structures(served):
    X, y = make_rows()
    grid = {
        "groups": [None, RandomEffect("group"), RandomEffect("group", "a")],
        "fixed": [["a"], ["a", "b", "c"]],
    }
    cv = LeaveOneGroupOut()
    found = cross_validate(
        MixedLinearRegressor(), X, y, cv=cv, groups=X["group"], param_grid=grid, scoring=["r2"]
    )
    assert served["candidates"] == 4
    for k, params in enumerate(found["params"]):
        own = MixedLinearRegressor(**params)
        splits = list(cv.split(X, y, X["group"]))[::20]
        expected = sk.cross_validate(own, X, y, cv=splits, scoring=["r2"])["test_r2"]
        scores = [found[f"split{i}_test_r2"][k] for i in range(0, 80, 20)]
        assert_allclose(scores, expected, **CLOSE)


def test_one_row_of_a_group_has_no_r2():
    X, y = make_rows(q=70)
    lone = X["group"] == 5
    X, y = X[~lone | (lone.cumsum() == 1)], y[~lone | (lone.cumsum() == 1)]
    with pytest.warns(UndefinedMetricWarning, match="1 of 70 splits predict one row"):
        found = cross_validate(MODELS["intercept"], X, y, cv=LeaveOneGroupOut(), scoring=["r2"])
    assert_array_equal(np.isnan(found["test_r2"]), np.arange(70) == 5)


def test_other_scores_are_asked_fold_by_fold(served):
    X, y = make_rows(q=70)
    cv = LeaveOneGroupOut()
    name = "neg_median_absolute_error"
    found = cross_validate(MODELS["intercept"], X, y, cv=cv, scoring=name)["test_score"]
    splits = list(cv.split(X, y, X["group"]))[::10]
    expected = sk.cross_validate(MODELS["intercept"], X, y, cv=splits, scoring=name)["test_score"]
    assert_allclose(found[::10], expected, **CLOSE)
    assert served["candidates"] == 1


@pytest.mark.parametrize("theta", ["refit", "fixed"])
def test_new_groups_are_refused_where_they_are_to_be(theta):
    X, y = make_rows(q=70)
    model = MixedLinearRegressor("group", handle_unknown="error")
    with pytest.raises(ValueError, match=r"grouping factor 'group' .* not seen in fit"):
        cross_validate(model, X, y, cv=LeaveOneGroupOut(), theta=theta)


def test_fits_with_few_rows_say_so(served):
    """One group has most rows: without it there are no more than there are coefficients."""
    X, y = make_rows(q=70)
    last = X["group"] == 69
    rows = last | (X.groupby("group").cumcount() < 2)
    X, y = X[rows], (y + 3.0 * X["group"].to_numpy() % 7)[rows]
    with pytest.warns(IdentifiabilityWarning, match="In 1 of 70 fits: .* 69 levels, but .* 138 s"):
        cross_validate(MODELS["diag"], X, y, cv=LeaveOneGroupOut())
    assert served["candidates"] == 1
    assert served["alone"] < 70


def test_the_only_search_of_a_fixed_theta_is_heard(served):
    X, y = make_rows(effects=(0.0, 0.0, 0.0), seed=2)
    with pytest.warns(SingularFitWarning):
        cross_validate(MODELS["slope"], X, y, cv=LeaveOneGroupOut(), theta="fixed")
    assert served == {"candidates": 1, "alone": 0}


@pytest.mark.filterwarnings(
    "ignore::skmixed.exceptions.RankDeficiencyWarning",
    "ignore::skmixed.exceptions.NotEstimableWarning",
)
@pytest.mark.parametrize("seed", range(4))
def test_columns_that_one_group_tells_apart(seed):
    """Without it one of them is dropped, as by a fit to the rows; few of its squares are there."""
    rng = np.random.default_rng(seed)
    X, y = make_rows(seed, q=70, per=4, shift=0.0)
    X = X.assign(b=X["a"] + np.where(X["group"] == 3, rng.normal(size=len(y)), 0.0))
    cv = LeaveOneGroupOut()
    found = cross_validate(MODELS["intercept"], X, y, cv=cv, return_predictions=True)
    rest = X["group"] != 3
    expected = clone(MODELS["intercept"]).fit(X[rest], y[rest]).predict(X[~rest])
    assert_allclose(found["predictions"][~rest], expected, **CLOSE)


def test_variances_of_very_different_sizes():
    """A group far away raises one of them: all points around keep the other positive."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(70), rng.choice([2, 2, 5], 70))
    a, own = rng.normal(size=len(group)), rng.normal(size=(70, 2))
    y = a + own[group, 0] + own[group, 1] * a + rng.normal(size=len(group))
    X, y = pd.DataFrame({"a": a, "group": group}), y + np.where(group == 3, 1e3, 0.0)
    compare(MODELS["slope"], X, y, LeaveOneGroupOut(), every=20)
