"""Inference from a fitted model: tests, intervals, comparisons, variance shares.

Every function takes a fitted `MixedLinearRegressor`, or a Pipeline that ends in
one, and reads the cross-products that the fit has kept: no rows are needed. Most take
fitted generalized models too, which keep their rows.
"""

from skmixed.inference._coefficients import coefficient_table, contrast, vcov
from skmixed.inference._comparison.compare import compare, conditional_aic
from skmixed.inference._comparison.likelihood_ratio import likelihood_ratio_test
from skmixed.inference._convergence import convergence, singularity
from skmixed.inference._intervals import confidence_intervals
from skmixed.inference._profile import profile
from skmixed.inference._random_effects import (
    icc,
    r2,
    random_effects_table,
    variance_decomposition,
)
from skmixed.inference._tables.table import ResultTable
from skmixed.inference._terms.anova import anova

ResultTable.__module__ = __name__

__all__ = [
    "ResultTable",
    "anova",
    "coefficient_table",
    "compare",
    "conditional_aic",
    "confidence_intervals",
    "contrast",
    "convergence",
    "icc",
    "likelihood_ratio_test",
    "profile",
    "r2",
    "random_effects_table",
    "singularity",
    "variance_decomposition",
    "vcov",
]
