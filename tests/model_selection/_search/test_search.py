"""A search goes on where a candidate is no model, and says what a perfect fit means."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import ExactFitWarning
from skmixed.model_selection import MixedLinearRegressorCV, cross_validate

CRITERIA = {"aic": "AIC", "bic": "BIC", "conditional_aic": "conditional AIC"}
X, Y = load_sleepstudy(return_X_y=True)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_candidate_that_reproduces_y(criterion):
    rows = X.assign(copy=2.0 * Y + 1.0)
    grid = {"fixed": [["Days"], ["copy", "Days"], [], ["copy"]]}
    model = MixedLinearRegressorCV("Subject", candidates=grid, criterion=criterion)
    title = CRITERIA[criterion]
    with pytest.warns(ExactFitWarning) as caught:
        model.fit(rows, Y)
    texts = [str(own.message) for own in caught]
    for text, k in zip(texts[:2], (1, 3), strict=True):
        assert text.startswith(f"Candidate {k} (fixed={grid['fixed'][k]}) reproduces y, so that ")
        assert f"its {title} is minus infinity, below that of any model that does not" in text
    assert texts[2].startswith("The model reproduces y")  # the chosen one
    assert len(texts) == 3
    # The others are compared as without it, and of two such the simpler one is chosen
    table = model.candidates_
    assert model.best_index_ == 3
    assert_array_equal(table["score"].to_numpy()[[1, 3]], np.inf)
    assert model.best_score_ == np.inf
    assert_array_equal(table["difference"].to_numpy()[[1, 3]], 0.0)
    assert_array_equal(table["difference"].to_numpy()[[0, 2]], -np.inf)
    assert_array_equal(table["rank"].to_numpy()[[1, 3]], 1)
    without = MixedLinearRegressorCV(
        "Subject", candidates={"fixed": [["Days"], []]}, criterion=criterion
    )
    expected = without.fit(rows, Y).candidates_["score"]
    assert_array_equal(table["score"].to_numpy()[[0, 2]], expected)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_as_many_coefficients_as_rows(criterion):
    """They reproduce any y, of which nothing can be learned."""
    rng = np.random.default_rng(0)
    rows, y = pd.DataFrame(rng.normal(size=(6, 5)), columns=list("abcde")), rng.normal(size=6)
    grid = {"fixed": [list("abcde"), ["a"]]}
    model = MixedLinearRegressorCV(candidates=grid, criterion=criterion)
    with pytest.warns(FitFailedWarning, match=rf"Candidate 0 .* it has no {CRITERIA[criterion]}"):
        model.fit(rows, y)
    assert model.best_params_ == {"fixed": ["a"]}
    assert_array_equal(np.isnan(model.candidates_["score"]), [True, False])
    assert_array_equal(model.candidates_["rank"], [2, 1])


IMPOSSIBLE = [
    ({"groups": [None, "Subject"]}, "groups=None", "needs a grouping factor"),
    ({"groups": ["nobody", "Subject"]}, "groups='nobody'", "'nobody' is not a column of X"),
    ({"fixed": [["nobody"], ["Days"]], "groups": ["Subject"]}, "fixed=['nobody']", "'nobody'"),
    ({"covariance": ["none", "full"], "groups": ["Subject"]}, "covariance='none'", "'none'"),
]


@pytest.mark.parametrize(("grid", "name", "reason"), IMPOSSIBLE)
@pytest.mark.parametrize("criterion", ["cv", "aic"])
def test_a_candidate_that_is_no_model_leaves_the_others(criterion, grid, name, reason):
    model = MixedLinearRegressorCV(random_slopes="Days", candidates=grid, criterion=criterion)
    with pytest.warns(FitFailedWarning) as caught:
        model.fit(X, Y)
    texts = [str(own.message) for own in caught]
    assert texts[0].startswith("1 of 2 candidates cannot be fitted to all rows, and are not chosen")
    assert len(texts) == 1 + (criterion == "cv")
    assert all(name in own and reason in own for own in texts)
    assert model.best_index_ == 1
    plain = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y)
    np.testing.assert_allclose(model.theta_, plain.theta_, rtol=1e-6)


@pytest.mark.parametrize(("grid", "name", "reason"), IMPOSSIBLE)
@pytest.mark.parametrize("theta", ["refit", "fixed"])
def test_in_a_cross_validation_too(grid, name, reason, theta):
    model = MixedLinearRegressor(random_slopes="Days")
    asked = {"cv": GroupKFold(3), "groups": X["Subject"], "theta": theta, "scoring": ["r2"]}
    with pytest.warns(FitFailedWarning) as caught:
        found = cross_validate(model, X, Y, param_grid=grid, **asked)
    (text,) = [str(own.message) for own in caught]
    assert text.startswith(
        "3 of 6 fits failed, and their scores are NaN. The first, of candidate 0"
    )
    assert name in text
    assert reason in text
    assert_array_equal(found["rank_test_r2"], [2, 1])
    expected = cross_validate(model.set_params(groups="Subject"), X, Y, **asked)["test_r2"]
    assert_array_equal([found[f"split{k}_test_r2"][1] for k in range(3)], expected)


def test_only_impossible_candidates():
    grid = {"groups": [None, "nobody"], "fixed": [["Days"]]}
    reason = r"\(fixed=\['Days'\], groups=None\).* needs a grouping factor"
    for criterion in ("cv", "aic"):
        model = MixedLinearRegressorCV(
            random_slopes="Days", candidates=grid, criterion=criterion, cv=KFold(3)
        )
        message = f"None of the 2 candidates can be fitted to all rows. The first {reason}"
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y)
    model = MixedLinearRegressor(random_slopes="Days")
    message = (
        f"All 6 fits failed. The first, of candidate 0 {reason}.* 3 failed otherwise, the first"
    )
    with pytest.raises(ValueError, match=message):
        cross_validate(model, X, Y, cv=KFold(3), param_grid=grid)
    # A single model's error is its own
    with pytest.raises(ValueError, match=r"^random_slopes=.* needs a grouping factor"):
        cross_validate(model, X, Y, cv=KFold(3))


def test_r2_of_single_rows_chooses_nothing():
    message = (
        "scoring='r2' is not defined for splits that predict one row, of which cv has 180 of 180: "
        "no candidate has a mean. Score by an error"
    )
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressorCV("Subject", scoring="r2", cv=LeaveOneOut()).fit(X, Y)
    chosen = MixedLinearRegressorCV("Subject", scoring="neg_mean_squared_error", cv=LeaveOneOut())
    assert np.isfinite(chosen.fit(X, Y).best_score_)


def test_a_score_that_no_candidate_has():
    model = MixedLinearRegressorCV("Subject", scoring=lambda *_: np.nan)
    message = (
        "No candidate has a score by the mean of '<lambda>' over 5 splits, which ask for new "
        "groups of 'Subject': each of the 1 fails in some split, or has no number there"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
