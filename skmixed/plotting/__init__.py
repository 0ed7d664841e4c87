"""Displays of a fitted model, in scikit-learn's manner; they need matplotlib.

``Display.from_estimator(model, ...)`` computes and draws; the display keeps what it
draws, and ``plot(ax=...)`` draws it again. Every function takes a fitted
`MixedLinearRegressor`, or a Pipeline that ends in one, and all but
`ResidualCorrelationDisplay` a fitted generalized model.
"""

from skmixed.plotting._checks.display import ModelChecksDisplay, check_model
from skmixed.plotting._correlation import ResidualCorrelationDisplay
from skmixed.plotting._effects.display import EffectsDisplay
from skmixed.plotting._influence import InfluenceDisplay
from skmixed.plotting._lines import FittedLinesDisplay
from skmixed.plotting._pairs import RandomEffectsPairsDisplay
from skmixed.plotting._profile import ProfileDisplay
from skmixed.plotting._quantiles import RandomEffectsQQDisplay
from skmixed.plotting._random_effects import RandomEffectsDisplay
from skmixed.plotting._residuals import ResidualsDisplay
from skmixed.plotting._shrinkage import ShrinkageDisplay
from skmixed.plotting._variance import VarianceDecompositionDisplay

__all__ = [
    "EffectsDisplay",
    "FittedLinesDisplay",
    "InfluenceDisplay",
    "ModelChecksDisplay",
    "ProfileDisplay",
    "RandomEffectsDisplay",
    "RandomEffectsPairsDisplay",
    "RandomEffectsQQDisplay",
    "ResidualCorrelationDisplay",
    "ResidualsDisplay",
    "ShrinkageDisplay",
    "VarianceDecompositionDisplay",
    "check_model",
]
