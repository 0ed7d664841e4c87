"""Validation of models of grouped data: cross-validation, and the choice of a model by it."""

from skmixed.model_selection._conformal.fitting import fit_conformalize
from skmixed.model_selection._cross_validate import cross_validate
from skmixed.model_selection._of_statistics import cross_validate_statistics
from skmixed.model_selection._questions import both_questions
from skmixed.model_selection._scoring import log_predictive_density
from skmixed.model_selection._search.regressor import MixedLinearRegressorCV
from skmixed.model_selection._validation import Validation

__all__ = [
    "MixedLinearRegressorCV",
    "Validation",
    "both_questions",
    "cross_validate",
    "cross_validate_statistics",
    "fit_conformalize",
    "log_predictive_density",
]

# Saved models and messages name the class by its public path.
MixedLinearRegressorCV.__module__ = __name__
