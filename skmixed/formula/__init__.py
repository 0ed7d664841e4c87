"""Mixed models by lme4's formulas, on formulaic (``pip install 'skmixed[formula]'``)."""

from skmixed.formula._regressor import FormulaRegressor, lmer

__all__ = ["FormulaRegressor", "lmer"]

# Saved models name the class by its public path.
FormulaRegressor.__module__ = __name__
