"""Linear mixed-effects models as a scikit-learn estimator."""

from skmixed._regressor import MixedLinearRegressor
from skmixed._statistics import SufficientStatistics
from skmixed._target_encoding import MixedEffectEncoder
from skmixed._terms import AllExcept, RandomEffect
from skmixed.formula import lmer

__all__ = [
    "AllExcept",
    "MixedEffectEncoder",
    "MixedLinearRegressor",
    "RandomEffect",
    "SufficientStatistics",
    "lmer",
]
__version__ = "0.1.0"
