"""From numbers of folds, splitters and lists to splits."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.model_selection import cross_validate as sk_cross_validate

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.model_selection import MixedLinearRegressorCV, cross_validate, fit_conformalize
from skmixed.model_selection._splits.groups import groups_of
from skmixed.model_selection._splits.splitters import HAS_STABLE_ORDER, splits_of


def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor("Subject", random_slopes="Days"), X, y


def each_function(model, X, y, cv):
    """Fit by all functions that take `cv`."""
    cross_validate(model, X, y, cv=cv)
    MixedLinearRegressorCV(**model.get_params(), cv=cv).fit(X, y)
    fit_conformalize(model, X, y, cv=cv)


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_known_groups_are_known(seed):
    """Where some rows have weight 0, those that are predicted are known by the others."""
    rng = np.random.default_rng(seed)
    n = 80
    X = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 20, n)})
    weights = np.where(rng.random(n) < 0.5, 0.0, 1.0)
    groups = groups_of([MixedLinearRegressor("g")], X, None, weights)
    splits = splits_of(3, "known_groups", X, np.zeros(n), groups)
    assert splits.are_known(groups.codes).all()
    counts = np.bincount(groups.codes, weights)
    tested = np.isin(np.arange(n), splits.tested[0])
    # All are predicted but for the only row that counts of a group, and groups without one
    stays = (counts[groups.codes] == 0) | ((counts[groups.codes] == 1) & (weights > 0))
    assert_array_equal(tested, ~stays)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("as_splitter", [False, True])
def test_folds_of_whole_groups_are_those_of_group_k_fold(seed, as_splitter):
    rng = np.random.default_rng(seed)
    n_folds = int(rng.integers(2, 12))
    # From many of one size to one group with most of the rows
    sizes = rng.geometric(rng.choice([0.02, 0.3, 1.0]), rng.integers(n_folds, 80))
    sizes[0] *= rng.choice([1, 1000])
    X = pd.DataFrame({"g": rng.permutation(np.repeat(np.arange(len(sizes)), sizes))})
    groups = groups_of([MixedLinearRegressor("g")], X, None, None)
    cv = GroupKFold(n_folds)
    found = splits_of(cv if as_splitter else n_folds, None, X, np.zeros(len(X)), groups)
    expected = [test for _, test in cv.split(X, None, X["g"])]
    if HAS_STABLE_ORDER:
        for k, test in enumerate(expected):
            assert_array_equal(found.test(k), test)
    assert sorted(found.sizes) == sorted(map(len, expected))
    assert found.share_known(groups.codes) == 0


def test_without_groups_a_number_is_that_of_scikit_learns_folds():
    _, X, y = sleepstudy()
    days = X[["Days"]]
    for model in (MixedLinearRegressor(), LinearRegression()):
        for cv in (None, 4):
            found = cross_validate(model, days, y, cv=cv, scoring=["r2"])
            expected = sk_cross_validate(LinearRegression(), days, y, cv=cv, scoring=["r2"])
            # Least squares by other routes, of condition about 10
            np.testing.assert_allclose(found["test_r2"], expected["test_r2"], rtol=1e-10)
            assert found.question == "new rows; the model has no groups"
    long = y > 300
    found = cross_validate(LogisticRegression(), days, long, cv=3, return_predictions=True)
    expected = cross_val_predict(LogisticRegression(), days, long, cv=StratifiedKFold(3))
    assert_array_equal(found["predictions"], expected)
    chosen = MixedLinearRegressorCV(cv=4, scoring="r2").fit(days, y).cv_results_
    expected = sk_cross_validate(LinearRegression(), days, y, cv=4, scoring="r2")["test_score"]
    found = [chosen[f"split{k}_test_score"][0] for k in range(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    own = fit_conformalize(MixedLinearRegressor(), days, y, cv=4)._model.calibrations[0]
    assert_array_equal(np.bincount(own.fold), [45] * 4)


@pytest.mark.parametrize("cv", [5, GroupKFold(5), KFold(5, shuffle=True, random_state=0)], ids=str)
def test_functions_ask_the_same_question(cv):
    model, X, y = sleepstudy()
    question = cross_validate(model, X, y, cv=cv, scoring="r2").question
    chosen = MixedLinearRegressorCV(**model.get_params(), cv=cv).fit(X, y)
    assert chosen.cv_results_.question == question
    calibrations = fit_conformalize(model, X, y, cv=cv)._model.calibrations
    new = question == "new groups of 'Subject'"
    assert calibrations[0].new == (new,)
    assert len(calibrations) == (2 if cv == 5 else 1)  # a number serves both


class Returns:
    def __init__(self, value):
        self.value = value

    def split(self, X, y, groups):
        return self.value

    def __repr__(self):
        return "Mine()"


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (Returns(None), r"split of cv=Mine\(\) returns None, which is no list of splits"),
        (Returns([]), "cv has no splits"),
        (Returns([None]), "Split 0 of cv is None. Give a pair"),
        (Returns([([], [1])]), "Split 0 of cv has no training rows"),
        (Returns([([1], [])]), "Split 0 of cv has no test rows"),
        (Returns([(range(90), range(80, 180))]), "Split 0 of cv has row 80 in its training rows"),
        (LeaveOneGroupOut, r"cv is the class LeaveOneGroupOut. Give an instance of it"),
        (lambda: 5, "cv=<function .* is no way to split rows"),
        (1, "cv=1 is no number of folds"),
    ],
    ids=lambda own: getattr(own, "__name__", str(own)),  # no addresses in memory
)
def test_what_is_no_way_to_split_is_refused_by_all(cv, message):
    model, X, y = sleepstudy()
    for call in (
        lambda: cross_validate(model, X, y, cv=cv),
        lambda: MixedLinearRegressorCV("Subject", cv=cv).fit(X, y),
        lambda: fit_conformalize(model, X, y, cv=cv),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()
