"""Predictions keep their type, and a score that fails takes nothing else with it."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_val_predict
from sklearn.model_selection import cross_validate as sk_cross_validate

from skmixed import MixedLinearRegressor, MixedLogisticClassifier
from skmixed.datasets import load_sleepstudy
from skmixed.model_selection import MixedLinearRegressorCV, cross_validate

ONES = np.array([2**53 + 1, 2**53])  # which floats do not tell apart


def classes(labels):
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 8)
    x = rng.normal(size=len(group))
    is_one = x + rng.normal(size=20)[group] + rng.logistic(size=len(x)) > 0
    return pd.DataFrame({"x": x, "group": group}), np.array(labels)[is_one.astype(int)]


@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["no", "maybe"], ONES], ids=str)
@pytest.mark.parametrize("model", [MixedLogisticClassifier("group"), LogisticRegression()])
def test_predicted_classes_are_those_of_scikit_learn(model, labels):
    X, y = classes(labels)
    asked = {"cv": GroupKFold(4), "groups": X["group"]}
    found = cross_validate(model, X, y, **asked, scoring="accuracy", return_predictions=True)
    expected = cross_val_predict(model, X, y, **asked)
    assert_array_equal(found["predictions"], expected)
    assert found["predictions"].dtype == expected.dtype
    # A grid has one row a candidate
    grid = {"fit_intercept": [True, False]}
    found = cross_validate(
        model, X, y, **asked, param_grid=grid, scoring="accuracy", return_predictions=True
    )["predictions"]
    assert found.shape == (2, len(y))
    assert found.dtype == expected.dtype
    assert_array_equal(found[0], expected)


def test_rows_without_a_predicted_class_have_none():
    X, y = classes([0, 1])
    splits = list(GroupKFold(4).split(X, y, X["group"]))[:3]
    left_out = np.setdiff1d(np.arange(len(y)), np.concatenate([test for _, test in splits]))
    found = cross_validate(
        LogisticRegression(), X, y, cv=splits, groups=X["group"], return_predictions=True
    )["predictions"]
    assert found.dtype == object
    assert all(own is None for own in found[left_out])
    assert {type(own) for own in np.delete(found, left_out)} == {int}


class Fails(RegressorMixin, BaseEstimator):
    """Predicts whole numbers, and fails where a group is in the test rows."""

    def __init__(self, fit_at=None, predict_at=None, deviations_at=None):
        self.fit_at = fit_at
        self.predict_at = predict_at
        self.deviations_at = deviations_at

    def fit(self, X, y):
        if self.fit_at is not None and self.fit_at not in set(X["group"]):
            raise RuntimeError("no fit")
        return self

    def predict(self, X, return_std=False):
        if self.predict_at in set(X["group"]):
            raise KeyError("no prediction")
        if return_std and self.deviations_at in set(X["group"]):
            raise ValueError("no deviations")
        return (np.arange(len(X)), np.ones(len(X))) if return_std else np.arange(len(X))


def rows():
    X, _ = classes([0, 1])
    return X, np.random.default_rng(0).normal(size=len(X))


def test_failed_fits_and_failed_predictions_are_told_apart():
    X, y = rows()
    groups = X["group"]
    asked = {"cv": LeaveOneGroupOut(), "groups": groups}
    expected = cross_validate(Fails(), X, y, **asked)
    grid = {"fit_at": [None, 3], "predict_at": [None, 5]}
    message = (
        r"^2 of 80 fits failed, and the predictions of 2 others, and their scores are NaN\. The "
        r"first, of candidate 1 \(fit_at=None, predict_at=5\) without split 5 \(row 40 and others\)"
        r": KeyError: 'no prediction'. 2 failed otherwise, the first, of candidate 2 "
        r"\(fit_at=3, predict_at=None\) without split 3 .*: RuntimeError: no fit$"
    )
    with pytest.warns(FitFailedWarning, match=message) as caught:
        found = cross_validate(Fails(), X, y, **asked, param_grid=grid, return_predictions=True)
    assert len(caught) == 1
    nothing = [[], [5], [3], [3, 5]]
    for name in ("r2", "neg_mean_squared_error", "neg_log_predictive_density"):
        scores = np.array([found[f"split{k}_test_{name}"] for k in range(20)]).T
        for own, left_out in zip(scores, nothing, strict=True):
            assert_array_equal(np.flatnonzero(np.isnan(own)), left_out)
            other = expected[f"test_{name}"].copy()
            other[left_out] = np.nan
            assert_array_equal(own, other)
    assert [own is None for own in found["predictions"][3]] == groups.isin([3, 5]).tolist()


def test_deviations_that_fail_leave_the_other_scores():
    X, y = rows()
    asked = {"cv": LeaveOneGroupOut(), "groups": X["group"]}
    message = (
        "^The score 'neg_log_predictive_density' cannot be computed for 1 of 20 fits, and is NaN "
        r"there\. The first, without split 7 \(row 56 and others\): no deviations$"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        found = cross_validate(Fails(deviations_at=7), X, y, **asked)
    assert len(caught) == 1
    expected = cross_validate(Fails(), X, y, **asked)
    assert_array_equal(found["test_r2"], expected["test_r2"])
    is_nan = np.isnan(found["test_neg_log_predictive_density"])
    assert_array_equal(np.flatnonzero(is_nan), [7])


def below_zero(estimator, X, y):
    if (np.asarray(y) < -40).any():
        raise IndexError("too low")
    return np.array([1.0])


@pytest.mark.parametrize("name", ["own", "neg_mean_squared_log_error"])
def test_a_score_that_fails_leaves_the_others(name):
    model = MixedLinearRegressor("Subject")
    X, y = load_sleepstudy(return_X_y=True)
    y = y - 250.0  # below -1 for some subjects, of which there is no logarithm
    scoring = {"r2": "r2", name: below_zero if name == "own" else name}
    cv = GroupKFold(9)
    with pytest.warns(UserWarning, match=f"The score '{name}' cannot be computed for") as caught:
        found = cross_validate(model, X, y, cv=cv, scoring=scoring)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="Scoring failed"):
        expected = sk_cross_validate(model, X, y, cv=cv, groups=X["Subject"], scoring=scoring)
    for own in scoring:
        # θ to about ten digits
        assert_allclose(found[f"test_{own}"], expected[f"test_{own}"], rtol=1e-8)
    assert 0 < np.isnan(found[f"test_{name}"]).sum() < 9
    assert not np.isnan(found["test_r2"]).any()


def test_scores_that_fail_everywhere_are_an_error():
    model = MixedLinearRegressor("Subject")
    X, y = load_sleepstudy(return_X_y=True)

    def fails(estimator, X, y):
        raise KeyError("nothing")

    message = (
        r"^The score 'fails' cannot be computed for 5 of 5 fits\. The first, without split 0 .*: "
        "KeyError: 'nothing'$"
    )
    with pytest.raises(ValueError, match=message):
        cross_validate(model, X, y, scoring=fails)
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressorCV("Subject", scoring=fails).fit(X, y)
    with pytest.raises(ValueError, match="The score 'own' cannot be computed for 5 of 5 fits"):
        cross_validate(model, X, y, scoring={"own": fails})
    # One that works is an answer
    with pytest.warns(UserWarning, match="The score 'own' cannot be computed for 5 of 5 fits"):
        found = cross_validate(model, X, y, scoring={"own": fails, "r2": "r2"})
    assert np.isfinite(found["test_r2"]).all()


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), np.array([0.5]), True, 1])
def test_what_counts_as_one_number(value):
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject")
    found = cross_validate(model, X, y, cv=2, scoring=lambda *_: value)
    assert_array_equal(found["test_score"], float(np.ravel(value)[0]))


@pytest.mark.parametrize("value", [None, "a", {"a": 1.0}, np.ones(2), [1.0]])
def test_what_is_no_number_is_refused_at_once(value):
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject")
    with pytest.raises(TypeError, match=r"The function of 'own' in .* one number"):
        cross_validate(model, X, y, scoring={"own": lambda *_: value, "r2": "r2"})
