"""Residuals of a fitted model: leverages, influence, and correlation in time.

Functions of a fitted model and of rows: X and y are given again. Influences, Cook's distances
and standardized residuals are of the rows of the fit, with the same weights, and refuse others;
leverages and all other residuals are there of any rows. Of a model by a formula the frame
suffices: it holds the response and the weights that are named.
"""

from skmixed.diagnostics._collinearity import variance_inflation
from skmixed.diagnostics._correlation import residual_correlation
from skmixed.diagnostics._groups import group_influence
from skmixed.diagnostics._influence import cooks_distance, influence, leverage
from skmixed.diagnostics._overdispersion import overdispersion_test
from skmixed.diagnostics._residuals import residuals
from skmixed.diagnostics._subjects import subject_influence

__all__ = [
    "cooks_distance",
    "group_influence",
    "influence",
    "leverage",
    "overdispersion_test",
    "residual_correlation",
    "residuals",
    "subject_influence",
    "variance_inflation",
]
