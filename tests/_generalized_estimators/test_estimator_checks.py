"""scikit-learn's own checks of the generalized estimators, with and without a grouping column."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmixed import (
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)

# The checks make up data without regard to what a model needs of them.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{warning}")
    for warning in (
        "skmixed.exceptions.RankDeficiencyWarning",
        "skmixed.exceptions.NotEstimableWarning",
        "skmixed.exceptions.SingularFitWarning",
        "skmixed.exceptions.IdentifiabilityWarning",
        "skmixed.exceptions.ExactFitWarning",
    )
] + [
    # A last column of measurements, which stands for the grouping column.
    pytest.mark.filterwarnings("ignore:The labels of grouping column:UserWarning"),
    # Classes that a line separates.
    pytest.mark.filterwarnings("ignore:Values of column"),
    pytest.mark.filterwarnings("ignore:All responses within each group"),
    # Responses that are measured, for regressors of counts.
    pytest.mark.filterwarnings("ignore:.*rows count a number that is not whole"),
]
WEIGHTS = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)
EXPECTED = {
    MixedLogisticClassifier: {
        False: {},
        True: {
            **dict.fromkeys(WEIGHTS, "nine samples for nine effects and a variance are refused"),
            "check_decision_proba_consistency": "a group for each sample is refused",
        },
    },
    MixedPoissonRegressor: {
        True: dict.fromkeys(WEIGHTS, "nine samples for nine effects and a variance are refused"),
    },
    MixedNegativeBinomialRegressor: {False: {}},
    MixedGammaRegressor: {False: {}},
}
# What groups change is the same for all regressors; of those of counts without groups, the negative
# binomial one has a parameter more.
ESTIMATORS = [
    MixedLogisticClassifier(),
    MixedNegativeBinomialRegressor(),
    MixedGammaRegressor(),
    MixedLogisticClassifier(-1),
    MixedPoissonRegressor(-1),
]


@parametrize_with_checks(
    ESTIMATORS,
    expected_failed_checks=lambda own: EXPECTED[type(own)][own.groups is not None],
)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)
