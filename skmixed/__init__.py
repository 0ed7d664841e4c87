"""Linear mixed-effects models as a scikit-learn estimator."""

from skmixed._regressor import MixedLinearRegressor
from skmixed._terms import RandomEffect

__all__ = ["MixedLinearRegressor", "RandomEffect"]
__version__ = "0.1.0"
