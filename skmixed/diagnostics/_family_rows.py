"""Rows with responses, given to a fitted generalized model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from skmixed._fitted.fitted_model import regressor_of
from skmixed._fitted.messages import speaking
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._generalized.system import working
from skmixed._generalized_estimators.reading import (
    check_exposure_given,
    generalized_words,
    log_exposure,
)
from skmixed._model.family import Family
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class FamilyRows:
    """Rows at their linear predictors, with responses as the likelihood takes them.

    Attributes
    ----------
    given : GivenRows
    phi : float
    response, eta, weights : (n,) arrays
        Effects of unknown groups are 0 in η.
    trials : (n,) array
        Of how many outcomes each response is the mean.
    offset : (n,) array
        What is known of η.
    """

    given: GivenRows
    phi: float
    response: FloatArray
    eta: FloatArray
    weights: FloatArray
    trials: FloatArray
    offset: FloatArray

    @property
    def family(self) -> Family:
        return self.given.fitted.family

    @property
    def n_outcomes(self) -> float:
        """Of how many responses the rows are, the weights counted."""
        has_trials = self.trials > 0.0
        shares = np.divide(self.weights, self.trials, out=self.weights.copy(), where=has_trials)
        return float(shares[has_trials].sum())

    @property
    def error(self) -> FloatArray:
        """The responses less their means, (n,)."""
        return self.response - self.family.mean(self.eta)

    def working(self) -> tuple[FloatArray, FloatArray]:
        """Return −s/W, by which a row asks η to change, and W = w ∂²(−log p)/∂η², (n,) each."""
        residual, own = working(self.family, self.response, self.eta, self.phi)
        return residual, self.weights * own

    def deviance_residuals(self) -> FloatArray:
        """Return sign(y − μ)√d, with d twice the log-likelihood that a mean of y gains, (n,)."""
        own = self.family.derivatives(self.response, self.eta, self.phi, 0)[0]
        gain = own - self.family.saturated(self.response, self.phi)
        deviance = 2.0 * self.weights * np.maximum(gain, 0.0)
        return np.asarray(np.sign(self.error) * np.sqrt(deviance))

    def pearson_residuals(self) -> FloatArray:
        """Return √w(y − μ)/√V(μ), (n,)."""
        variance = self.family.variance(self.family.mean(self.eta), self.phi)
        out = np.sqrt(self.weights) * self.error
        return np.asarray(np.divide(out, np.sqrt(variance), out=out, where=variance > 0.0))

    def quantile_residuals(self, rng: np.random.Generator) -> FloatArray:
        """Return Φ⁻¹ of a uniform number between P(Y < y) and P(Y ≤ y), (n,)."""
        below, above = self.family.tails(self.response, self.eta, self.phi, self.trials)
        share, at = rng.random(len(below)), 1.0 - below - above
        # By the smaller tail, which has its digits
        lower, upper = below + share * at, above + (1.0 - share) * at
        return np.where(lower < upper, ndtri(lower), -ndtri(upper))


def open_family_rows(
    model: Any,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    exposure: Any = None,
    needs_weights: bool = True,
) -> FamilyRows:
    """Open rows for a fitted generalized model, or a Pipeline that ends in one.

    `needs_weights`: whether weights that the fit had are needed again.
    """
    estimator = regressor_of(model)
    given = open_rows(model, X, groups, has_family=True)
    own = given.fitted.solution.family
    assert own is not None
    if given.frame is not None:
        y = given.response(y)
    elif y is None:
        given.response(y)  # which says what is missing
    response = estimator._response(y, given.n_rows)
    check_exposure(estimator, given, exposure)
    offset = log_exposure(exposure, given.n_rows)
    eta = given.expected() + offset
    of_formula = None if given.frame is None else given.frame.offset()
    offset = offset if of_formula is None else offset + of_formula
    weights = np.ones(given.n_rows)
    if needs_weights:
        with speaking(generalized_words()):
            weights = given.weights(sample_weight)
    trials = weights if estimator._has_trials else np.ones(given.n_rows)
    return FamilyRows(given, own.phi, response, eta, weights, trials, offset)


def check_linear_exposure(exposure: Any) -> None:
    """Refuse an exposure beside a linear model."""
    if exposure is not None:
        raise ValueError("exposure= is for counts, and the model is linear. Leave it out.")


def check_exposure(estimator: Any, given: GivenRows, exposure: Any) -> None:
    """Refuse an exposure of what is not counted, and none where the fit had one."""
    if exposure is not None and not estimator._has_exposure:
        raise ValueError(
            f"exposure= is for counts, and the model is a {type(estimator).__name__}. Leave it out."
        )
    if given.frame is None or given.frame.offset() is None:
        check_exposure_given(given.fitted, exposure)
