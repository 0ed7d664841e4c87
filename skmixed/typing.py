"""Choices of parameters as types, for annotations: one alias for one choice.

A type checker knows by them which words a parameter takes. Registries of what the words
stand for are elsewhere; `tests/test_typing.py` holds both equal.
"""

from collections.abc import Sequence
from typing import Literal

__all__ = [
    "AdjustmentName",
    "AveragingWeights",
    "ConfidenceMethod",
    "ContrastName",
    "Convention",
    "CorrelatedResiduals",
    "CorrelationQuantity",
    "CovarianceName",
    "Criterion",
    "Ddf",
    "DdfOfPredictions",
    "Effects",
    "EncoderTargetType",
    "EstimationMethod",
    "Family",
    "GlmerFamily",
    "HandleUnknown",
    "Hypothesis",
    "Include",
    "IntervalMethod",
    "IntervalOf",
    "Link",
    "LinkOfFamily",
    "NaAction",
    "ParameterKind",
    "Quadrature",
    "Question",
    "RefitOrFixed",
    "ResidualKind",
    "ResidualPanel",
    "ResidualStructure",
    "Robust",
    "SampledEffects",
    "ScaleName",
    "SlopeScale",
    "Solver",
    "StandardizerName",
    "Theta",
    "TypeOfTest",
    "VarianceBars",
]

# Of estimators.
CovarianceName = Literal[
    "full",
    "diag",
    "spherical",
    "compound_symmetry",
    "heterogeneous_compound_symmetry",
    "ar1",
    "heterogeneous_ar1",
    "toeplitz",
]
ResidualStructure = Literal[
    "independent",
    "compound_symmetry",
    "ar1",
    "exponential",
    "gaussian",
    "toeplitz",
    "ante_dependence",
    "unstructured",
]
EstimationMethod = Literal["reml", "ml"]
Solver = Literal["auto", "exact", "iterative"]
HandleUnknown = Literal["population", "error"]
Family = Literal["binomial", "poisson", "negative_binomial", "gamma"]
GlmerFamily = Literal[Family, "nbinom2", "Gamma"]
Link = Literal["logit", "probit", "cloglog"]
LinkOfFamily = Literal["logit", "probit", "cloglog", "log"]
NaAction = Literal["error", "drop"]
Quadrature = int | Literal["auto"]
EncoderTargetType = Literal["auto", "continuous", "binary", "multiclass", "count"]

# Of predictions and samples.
Include = Literal["all", "fixed"] | str | Sequence[str]
Effects = Literal["mode", "mean"]
SampledEffects = Literal["conditional", "new"]
IntervalMethod = Literal["model", "conformal"]
IntervalOf = Literal["observation", "mean"]

# Of inference.
Ddf = Literal[
    "satterthwaite",
    "kenward-roger",
    "kenward-roger-linear",
    "residual",
    "between-within",
    "normal",
]
DdfOfPredictions = Literal["satterthwaite", "residual", "normal"]
Robust = Literal["CR0", "CR2", "CR3"]
TypeOfTest = Literal[1, 2, 3]
ConfidenceMethod = Literal["wald", "profile", "bootstrap"]
ParameterKind = Literal["sd", "corr", "sigma", "fixed", "range", "power", "shape"]
Convention = Literal["exact", "cAIC4"]
Hypothesis = Literal["equal", "zero"]
AveragingWeights = Literal["equal", "proportional", "outer", "cells", "flat"]
ScaleName = Literal["link", "response", "population"]
SlopeScale = Literal["link", "response"]
AdjustmentName = Literal[
    "auto",
    "tukey",
    "dunnettx",
    "dunnett",
    "holm",
    "bonferroni",
    "sidak",
    "scheffe",
    "fdr_bh",
    "mvt",
]
ContrastName = Literal[
    "pairwise", "trt.vs.ctrl", "consecutive", "eff", "del.eff", "mean_chg", "helmert", "poly"
]
StandardizerName = Literal["residual", "total"]

# Of diagnostics and displays.
ResidualKind = Literal[
    "conditional",
    "marginal",
    "pearson",
    "standardized",
    "normalized",
    "deviance",
    "response",
    "quantile",
]
CorrelatedResiduals = Literal["pearson", "normalized"]
CorrelationQuantity = Literal["correlation", "semivariogram"]
Theta = Literal["refit", "fixed", "one_step"]
RefitOrFixed = Literal["refit", "fixed"]
ResidualPanel = Literal["fitted", "qq", "group"]
VarianceBars = Literal["bars", "stacked"]

# Of validation and choice.
Question = Literal["new_groups", "known_groups"]
Criterion = Literal["cv", "aic", "bic", "conditional_aic"]
