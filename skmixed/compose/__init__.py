"""Mixed models around any regressor of scikit-learn."""

from skmixed.compose._regressor import MixedEffectsRegressor

__all__ = ["MixedEffectsRegressor"]
