"""Leverages of rows, and what leaving a row out changes, by the kind of the model."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._equations.row_substitution import RowVariance
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import GivenRows, working_fit
from skmixed._repeated.prediction import RowInfluence
from skmixed._typing import FloatArray, IntArray
from skmixed.diagnostics._fit_rows import places_in_fit

# Below this, 1 − h is rounding: h is a sum of squares of the order of 1, which
# carries some 1e-16 times the condition of the scaled system.
LEAST_REST = 1e-10


class Influence(Protocol):
    """What rows of the fit are to it, given their conditional residuals e, (n,)."""

    @property
    def leverage(self) -> FloatArray:
        """∂ŷ_i/∂y_i, (n,)."""

    def standardized(self, error: FloatArray) -> FloatArray:
        """Return e over its standard deviation, (n,)."""

    def cooks_distance(self, error: FloatArray) -> FloatArray:
        """Return Cook's distances, (n,)."""

    def changes(self, error: FloatArray) -> FloatArray:
        """Return β̂ without each row less β̂, in the user's columns; (n_fixed, n)."""


def row_influence(rows: GivenRows, weights: FloatArray, what: str, instead: str = "") -> Influence:
    """Return what rows are to the fit; refuse a model to which rows were given after it.

    `what` is asked for, in words; `instead` what else there is. Of a generalized model
    `weights` are the working ones, and residuals are working residuals.
    """
    check_has_no_further_rows(rows.fitted, what, instead)
    if rows.fitted.is_generalized:
        rows = replace(rows, fitted=working_fit(rows.fitted))
    if not rows.fitted.is_repeated:
        variance = kernel.row_variance(rows.fitted.factorization, rows.design())
        return _OfIndependent(rows, weights, variance)
    found = kernel.row_influence(rows.fitted.repeated_predictor)
    return _OfCorrelated(rows, weights, found, places_in_fit(rows, weights))


def check_has_no_further_rows(fitted: FittedModel, what: str, instead: str = "") -> None:
    """Refuse a model to which rows were given after its fit."""
    if fitted.has_further_rows:
        raise ValueError(
            f"The {what} say how a fit follows its own rows, and update_groups has given the model "
            f"rows that are not part of its fit: {instead}fit the model to all rows."
        )


@dataclass(frozen=True)
class _OfIndependent:
    """Rows with independent residuals of one variance."""

    rows: GivenRows
    weights: FloatArray
    variance: RowVariance

    @cached_property
    def leverage(self) -> FloatArray:
        unit = self.rows.fitted.factorization.system.weight_unit
        return self.weights / unit * self.variance.total

    @property
    def _rest(self) -> FloatArray:
        """1 − h, NaN where it is rounding."""
        rest = 1.0 - self.leverage
        return np.where(rest > LEAST_REST, rest, np.nan)

    def standardized(self, error: FloatArray) -> FloatArray:
        sigma = self.rows.fitted.solution.sigma
        return _divided(np.sqrt(self.weights) * error, sigma * np.sqrt(self._rest))

    def cooks_distance(self, error: FloatArray) -> FloatArray:
        solution = self.rows.fitted.solution
        shift = np.sqrt(self.weights) * error / self._rest
        squares = np.square(_divided(shift, solution.sigma))
        return _divided(squares * self.leverage, len(solution.kept))

    def changes(self, error: FloatArray) -> FloatArray:
        """Return −w R_x⁻ᵀ a e/(1 − h).

        With a = R_x⁻¹x'', X'V⁻¹ε = w R_x a and so (X'V⁻¹X)⁻¹X'V⁻¹ε = w R_x⁻ᵀ a.
        """
        opened = self.rows.fitted
        at, shift = opened.factorization, self.weights * error / self._rest
        changes = kernel.fixed_changes(at, opened.model, self.variance.at_fixed)
        out = np.zeros((len(opened.model.fixed), self.rows.n_rows))
        out[list(opened.solution.kept)] = -changes * (shift / at.system.weight_unit)
        return out


@dataclass(frozen=True)
class _OfCorrelated:
    """Rows of a model with a residual covariance.

    Attributes
    ----------
    rows : GivenRows
    weights : (n,) array
    found : RowInfluence
        Of the rows of the fit.
    place : (n,) array of int
        Which of these each row is; −1 for one of weight 0.
    """

    rows: GivenRows
    weights: FloatArray
    found: RowInfluence
    place: IntArray

    def _taken(self, values: FloatArray) -> FloatArray:
        """Return values of the rows; 0 for those of weight 0."""
        return np.where(self.place < 0, 0.0, values[..., self.place])

    @property
    def leverage(self) -> FloatArray:
        return self._taken(self.found.leverage)

    def standardized(self, error: FloatArray) -> FloatArray:
        sd = np.where(self.place < 0, 1.0, self.found.sd[self.place])
        return np.sqrt(self.weights) * error / sd

    def cooks_distance(self, error: FloatArray) -> FloatArray:  # noqa: ARG002
        return self._taken(self.found.distance)

    def changes(self, error: FloatArray) -> FloatArray:  # noqa: ARG002
        opened = self.rows.fitted
        out = np.zeros((len(opened.model.fixed), self.rows.n_rows))
        out[list(opened.solution.kept)] = self._taken(self.found.changes)
        return out


def _divided(values: FloatArray, by: FloatArray | float) -> FloatArray:
    """Divide, NaN by 0: there is nothing to compare with."""
    by = np.asarray(by, dtype=np.float64)
    return values / np.where(by > 0.0, by, np.nan)
