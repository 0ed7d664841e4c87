"""Mixed models by lme4's formulas, on formulaic (``pip install 'skmixed[formula]'``)."""

from skmixed.formula._fits import glmer, lmer, mmrm
from skmixed.formula._regressor import FormulaRegressor

__all__ = ["FormulaRegressor", "glmer", "lmer", "mmrm"]

# Saved models name the class by its public path.
FormulaRegressor.__module__ = __name__
