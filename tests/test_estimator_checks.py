"""scikit-learn's own checks of an estimator, with and without a grouping column."""

import numpy as np
import pytest
from reference_fits import read_frame
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmixed import MixedLinearRegressor

WEIGHTS = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)
REASON = "weights are precisions as in lme4: doubling a weight is not repeating a row"

GROUPED = [
    MixedLinearRegressor(groups=-1),
    MixedLinearRegressor(groups=-1, random_slopes=[0]),
]

# The checks make up data without regard to what a model needs of them.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{warning}")
    for warning in (
        # 15 rows of 30 columns, and constant columns.
        "skmixed.exceptions.RankDeficiencyWarning",
        "skmixed.exceptions.NotEstimableWarning",
        # The same, and a y that is a function of X.
        "skmixed.exceptions.ExactFitWarning",
        # Groups drawn at random, so that they do not differ.
        "skmixed.exceptions.SingularFitWarning",
    )
] + [
    # A last column of measurements, which stands for the grouping column.
    pytest.mark.filterwarnings("ignore:The labels of grouping column:UserWarning"),
]


def expected_failures(_estimator):
    return dict.fromkeys(WEIGHTS, REASON)


@parametrize_with_checks([MixedLinearRegressor()])
def test_least_squares(estimator, check):
    check(estimator)


@parametrize_with_checks(GROUPED, expected_failed_checks=expected_failures)
def test_grouped(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", WEIGHTS)
@pytest.mark.parametrize("estimator", GROUPED, ids=str)
def test_the_exemption_is_needed(estimator, check):
    # The check gives the repeated rows more samples than the weighted ones, which
    # are too few for its nine columns here.
    with pytest.raises(ValueError, match="9 samples do not suffice"):
        getattr(estimator_checks, check)("MixedLinearRegressor", clone(estimator))


def test_missing_groups_are_no_missing_numbers():
    """The check of NaN and infinity does not apply to a grouping column: see its predictions."""
    check = estimator_checks.check_estimators_nan_inf
    check("MixedLinearRegressor", MixedLinearRegressor(groups=-1))  # it damages the first column
    with pytest.raises(AssertionError, match="doesn't check for NaN and inf"):
        check("MixedLinearRegressor", MixedLinearRegressor(groups=0))
    X = np.array([[1.0, 2], [1, 3], [2, 1], [2, 5], [3, 1], [3, 0.5]])
    y = np.array([1, 2.5, 3, 4, 5, 6.5])
    model = MixedLinearRegressor(0).fit(X, y)
    assert model.predict([[np.nan, 2]]) == model.predict([[7, 2]])
    infinite = np.column_stack([np.where(X[:, 0] == 3, np.inf, X[:, 0]), X[:, 1]])
    for call in (lambda: model.fit(infinite, y), lambda: model.predict(infinite)):
        with pytest.raises(ValueError, match="Grouping column 'x0' contains infinity"):
            call()


def test_doubling_a_weight_is_not_repeating_a_row():
    """The reason for the exemption, in numbers of lme4."""
    frame = read_frame("sleepstudy")
    weights = 1 + np.arange(len(frame)) % 2
    rows = np.repeat(np.arange(len(frame)), weights)
    model = MixedLinearRegressor("Subject", method="ml")
    X, y = frame[["Days", "Subject"]], frame["Reaction"]
    weighted = model.fit(X, y, sample_weight=weights)
    repeated = clone(model).fit(X.iloc[rows], y.iloc[rows])
    # lme4's values have two decimals.
    assert _deviations(weighted) == pytest.approx((37.25, 36.83), abs=0.005)
    assert _deviations(repeated) == pytest.approx((29.87, 37.27), abs=0.005)


def _deviations(model):
    return model.sigma_, np.sqrt(model.covariances_["Subject"].iloc[0, 0])
