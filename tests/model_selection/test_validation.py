"""Scores of candidates are ranked as scikit-learn's GridSearchCV ranks them."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, KFold

from skmixed.model_selection import cross_validate


class Scores(RegressorMixin, BaseEstimator):
    """Has the score that it is told to."""

    def __init__(self, value=0.0):
        self.value = value

    def fit(self, X, y):
        if self.value == "fails":
            raise ValueError("no fit")
        return self

    def predict(self, X):
        return np.zeros(len(X))


def own_score(estimator, X, y):
    return estimator.value


@pytest.mark.parametrize(
    "values",
    [
        [0.1, np.nan, 0.3, 0.1, -np.inf],
        [np.nan, np.inf, 0.0],
        [np.nan, np.nan],
        ["fails", 1.0, np.nan, 2.0],
    ],
    ids=str,
)
def test_ranks(values):
    X, y, cv = np.zeros((6, 1)), np.arange(6.0), KFold(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        found = cross_validate(
            Scores(), X, y, cv=cv, param_grid={"value": values}, scoring={"own": own_score}
        )
    search = GridSearchCV(
        Scores(), {"value": values}, cv=cv, scoring={"own": own_score}, refit=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = search.fit(X, y).cv_results_
    assert_array_equal(found["rank_test_own"], expected["rank_test_own"])
    assert_array_equal(found["mean_test_own"], expected["mean_test_own"])
    if not all(own is np.nan for own in values):
        has_none = [own in ("fails", -np.inf) or own is np.nan for own in values]
        others = found["rank_test_own"][~np.array(has_none)]
        assert others.max() < found["rank_test_own"][has_none].min()
