"""Inference from a fitted model: tests, intervals, comparisons, variance shares.

Every function takes a fitted `MixedLinearRegressor`, or a Pipeline that ends in
one, and reads the cross-products that the fit has kept: no rows are needed. Most take
fitted generalized models too, which keep their rows.
"""

from skmixed.inference._coefficients import coefficient_table, contrast, vcov
from skmixed.inference._comparison.compare import compare, conditional_aic
from skmixed.inference._comparison.likelihood_ratio import likelihood_ratio_test
from skmixed.inference._comparison.random_terms import random_effects_tests
from skmixed.inference._contrasts.comparisons import comparisons
from skmixed.inference._contrasts.effect_sizes import effect_sizes
from skmixed.inference._convergence import convergence, singularity
from skmixed.inference._group_coefficients import coefficients_by_group
from skmixed.inference._intervals import confidence_intervals
from skmixed.inference._marginal.means import marginal_means
from skmixed.inference._marginal.slopes import marginal_slopes
from skmixed.inference._profile import profile
from skmixed.inference._random_effects import random_effects_table
from skmixed.inference._report.report import ModelReport, report
from skmixed.inference._tables.series import ResultSeries
from skmixed.inference._tables.table import ResultTable
from skmixed.inference._terms.anova import anova
from skmixed.inference._terms.drop1 import drop1
from skmixed.inference._terms.joint import joint_tests
from skmixed.inference._variance import icc, r2, variance_decomposition

for _cls in (ModelReport, ResultSeries, ResultTable):
    _cls.__module__ = __name__

__all__ = [
    "ModelReport",
    "ResultSeries",
    "ResultTable",
    "anova",
    "coefficient_table",
    "coefficients_by_group",
    "compare",
    "comparisons",
    "conditional_aic",
    "confidence_intervals",
    "contrast",
    "convergence",
    "drop1",
    "effect_sizes",
    "icc",
    "joint_tests",
    "likelihood_ratio_test",
    "marginal_means",
    "marginal_slopes",
    "profile",
    "r2",
    "random_effects_table",
    "random_effects_tests",
    "report",
    "singularity",
    "variance_decomposition",
    "vcov",
]
