"""scikit-learn's own checks of MixedEffectsRegressor, with and without a grouping column."""

import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmixed import MixedEffectsRegressor

# The checks make up data without regard to what a model needs of them.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{warning}")
    for warning in (
        "skmixed.exceptions.RankDeficiencyWarning",
        "skmixed.exceptions.SingularFitWarning",
        "skmixed.exceptions.IdentifiabilityWarning",
        "skmixed.exceptions.ExactFitWarning",
        "sklearn.exceptions.ConvergenceWarning",
    )
] + [
    # A last column of measurements, which stands for the grouping column.
    pytest.mark.filterwarnings("ignore:The labels of grouping column:UserWarning"),
]

WEIGHTS = dict.fromkeys(
    (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ),
    "weights are precisions as in lme4: doubling a weight is not repeating a row",
)


@parametrize_with_checks(
    [
        MixedEffectsRegressor(LinearRegression(), cv=2),
        MixedEffectsRegressor(LinearRegression(), -1, cv=2),
        MixedEffectsRegressor(Ridge(), -1, cv=2),
        MixedEffectsRegressor(DecisionTreeRegressor(random_state=0), cv=2),
    ],
    expected_failed_checks=lambda own: WEIGHTS if isinstance(own.regressor, Ridge) else {},
)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)
