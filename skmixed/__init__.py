"""Linear and generalized linear mixed models as scikit-learn estimators."""

from skmixed._data.random_effect import AllExcept, RandomEffect, ResidualCovariance
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._estimators.target_encoder import MixedEffectEncoder
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._generalized_estimators.classifier import MixedLogisticClassifier
from skmixed._generalized_estimators.counts import (
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed._generalized_estimators.means import MixedBinomialRegressor, MixedGammaRegressor
from skmixed.compose import MixedEffectsRegressor
from skmixed.formula import glmer, lmer, mmrm

__all__ = [
    "AllExcept",
    "MixedBinomialRegressor",
    "MixedEffectEncoder",
    "MixedEffectsRegressor",
    "MixedGammaRegressor",
    "MixedLinearRegressor",
    "MixedLogisticClassifier",
    "MixedNegativeBinomialRegressor",
    "MixedPoissonRegressor",
    "RandomEffect",
    "ResidualCovariance",
    "SufficientStatistics",
    "glmer",
    "lmer",
    "mmrm",
]
__version__ = "0.2.0"

# Saved models and messages name the classes by their public path.
for _cls in (
    AllExcept,
    MixedBinomialRegressor,
    MixedEffectEncoder,
    MixedEffectsRegressor,
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
    SufficientStatistics,
):
    _cls.__module__ = __name__
