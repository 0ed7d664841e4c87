"""Warnings by class, and how a fit can end."""

from enum import Enum

__all__ = [
    "ExactFitWarning",
    "FitStatus",
    "IdentifiabilityWarning",
    "RankDeficiencyWarning",
    "RefitWarning",
    "SingularFitWarning",
    "UndeterminedError",
    "UnknownLevelsWarning",
]


class UndeterminedError(ValueError):
    """The rows do not determine the variances of the model.

    Other rows may: `partial_fit` waits for them, with a warning.
    """


class SingularFitWarning(UserWarning):
    """An estimated covariance matrix of random effects is singular.

    A variance of 0, or a correlation of -1 or 1. The estimates are the optimum
    all the same; the model may be richer than the data support.
    """


class RankDeficiencyWarning(UserWarning):
    """Some fixed-effects columns depend linearly on the columns before them."""


class ExactFitWarning(UserWarning):
    """The model reproduces ``y``, so that nothing is left for the residual."""


class IdentifiabilityWarning(UserWarning):
    """The data probably do not determine every variance component."""


class RefitWarning(UserWarning):
    """Models were fitted again by maximum likelihood in order to be compared."""


class UnknownLevelsWarning(UserWarning):
    """No label of a grouping column in ``predict`` was known from ``fit``."""


class FitStatus(Enum):
    """How the search for the variance components ended."""

    LEAST_SQUARES = "No random effects: the estimates are those of least squares."
    CONVERGED = "The search for the variance components converged."
    EXACT_FIT = "The model reproduces y: the residual variance is 0 to rounding."
    UNDETERMINED = "The rows do not determine the variances; the estimates are at variances of 0."
    MAX_ITER = "The search stopped at max_iter before it converged."
