"""Criteria by which a model is chosen among candidates that are fitted to all rows, by name."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from skmixed._typing import FloatArray
from skmixed.exceptions import RefitWarning
from skmixed.inference import conditional_aic
from skmixed.inference._comparison.comparable import comparable, open_models

CV = "cv"
# What messages call them.
TITLES = {"aic": "AIC", "bic": "BIC", "conditional_aic": "conditional AIC"}


def _information(name: str, models: Mapping[str, Any]) -> tuple[FloatArray, str]:
    """Return a criterion of each model, and by which likelihoods, in words.

    Restricted likelihoods compare models with the same fixed part; where one differs, all
    are fitted by maximum likelihood.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RefitWarning)
        contenders = comparable(open_models(models))
    solutions = [own.solution for own in contenders]
    penalty = 2.0 if name == "aic" else np.log(contenders[0].fitted.n_rows)
    values = np.array([own.criterion + penalty * own.n_parameters for own in solutions])
    method = "restricted" if solutions[0].reml else "ordinary"
    return values, f"{TITLES[name]} by {method} likelihoods of all rows"


def _conditional(models: Mapping[str, Any]) -> tuple[FloatArray, str]:
    """Return the conditional AIC of each model, fitted by whichever method."""
    values = [conditional_aic(own)["caic"] for own in models.values()]
    return np.array(values), "conditional AIC of all rows"


# From models, fitted to the same rows, by name.
CRITERIA: Mapping[str, Callable[[Mapping[str, Any]], tuple[FloatArray, str]]] = {
    "aic": partial(_information, "aic"),
    "bic": partial(_information, "bic"),
    "conditional_aic": _conditional,
}
