"""Predictive distributions of new responses: a family over normal linear predictors.

The linear predictor of a row has the variance z'Tz + j'Vj, T the covariance of the effects given
the data and the parameters, V that of the parameters, and j the derivative of η̂ by these, by the
modes too; and z'Σz for new levels.

With η ~ N(m, v) and P(Y ≤ y | η) falling in η from 1 to 0, as of all families here,

    P(Y ≤ y) = Φ((a − m)/√v) + ∫_a^b P(Y ≤ y | η) φ((η − m)/√v)/√v dη

where P(Y ≤ y | η) is 1 before a and 0 behind b to rounding. Between them one of the two factors
varies as fast as the whole, so that one rule of Gauss and Legendre does for all v. P(Y ≤ y | η)
is a beta or gamma distribution function in a function of η, which gives a and b.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.special as special
from scipy import stats as distributions

from skmixed._data.encoder import Encoder
from skmixed._fitted import kernel
from skmixed._fitted.prediction_rows import SLAB_ROWS, GivenRows, working_fit
from skmixed._generalized.optimum import EstimateSlopes
from skmixed._generalized_estimators.predicting import joint_variance
from skmixed._model.binomial import LINKS
from skmixed._model.family import Family
from skmixed._typing import BoolArray, FloatArray, IntArray
from skmixed.exceptions import UnknownLevelsWarning

# The nodes and weights of the rule on (−1, 1).
NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)
# The probability that is rounding, and the standard deviations of η within which the rest lies.
EDGE, REACH = 1e-13, 8.0
# The least variance of η, beside which that of any response is as good as alone.
LEAST = 1e-20
# Relative errors of quantiles of what is measured, and of counts too large to be told apart.
EXACT, LOST = 1e-9, 1e-12
# The mean from which quantiles of Poisson's distribution are taken from their expansion.
LARGE = 1e9
# Steps of a bisection at most: as many as a floating-point number has bits, and its exponent.
MOST_STEPS = 1100


class ResponseQuantiles(Protocol):
    """Quantiles of a response given η, and of η given the response, by the name of a family.

    Attributes
    ----------
    is_whole : bool
        Whether the response, times the number of trials, is a count.
    """

    is_whole: bool

    def given_eta(self, p: float, own: "NewResponses", eta: FloatArray) -> FloatArray:
        """Return the p quantile of the response times the trials, (n,)."""

    def of_eta(self, p: float, own: "NewResponses", y: FloatArray) -> FloatArray:
        """Return the η at which P(Y ≤ y | η) = 1 − p, (n,)."""

    def excess(self, own: "NewResponses", mean: FloatArray) -> FloatArray:
        """Return how much more a response varies than one of the same mean at a known η, (n,)."""


class _OfBinomial:
    is_whole = True

    def given_eta(self, p: float, own: "NewResponses", eta: FloatArray) -> FloatArray:
        return np.asarray(distributions.binom.ppf(p, own.trials, own.family.mean(eta)))

    def of_eta(self, p: float, own: "NewResponses", y: FloatArray) -> FloatArray:
        # P(Y ≤ k) = P(B ≥ μ) of B ~ Beta(k + 1, n − k); all n are never exceeded
        others = own.trials - y
        share = special.betaincinv(y + 1.0, np.maximum(others, 1.0), p)
        with np.errstate(divide="ignore"):
            eta = LINKS[own.family.link_name].link(np.asarray(share, dtype=float))
        return np.where(others > 0.0, eta, np.inf)

    def excess(self, own: "NewResponses", mean: FloatArray) -> FloatArray:  # noqa: ARG002
        return np.zeros(len(own.eta))  # of 0 and 1 the mean says all


class _OfPoisson:
    is_whole = True

    def given_eta(self, p: float, own: "NewResponses", eta: FloatArray) -> FloatArray:
        mean, z = own.family.mean(eta), special.ndtri(p)
        exact = distributions.poisson.ppf(p, np.minimum(mean, LARGE))
        # Cornish and Fisher's expansion, which errs by 1/√μ
        near = np.floor(mean + z * np.sqrt(mean) + (z**2 - 1.0) / 6.0)
        return np.where(mean < LARGE, exact, near)

    def of_eta(self, p: float, own: "NewResponses", y: FloatArray) -> FloatArray:  # noqa: ARG002
        # P(Y ≤ k) = P(G ≥ μ) of G ~ Gamma(k + 1)
        return np.asarray(np.log(special.gammaincinv(y + 1.0, p)))

    def excess(self, own: "NewResponses", mean: FloatArray) -> FloatArray:
        return mean**2 * np.expm1(own.variance)


class _OfNegativeBinomial:
    is_whole = True

    def given_eta(self, p: float, own: "NewResponses", eta: FloatArray) -> FloatArray:
        return np.asarray(
            distributions.nbinom.ppf(p, np.exp(own.phi), special.expit(own.phi - eta))
        )

    def of_eta(self, p: float, own: "NewResponses", y: FloatArray) -> FloatArray:
        # P(Y ≤ k) = P(B ≥ μ/(μ + α)) of B ~ Beta(k + 1, α)
        with np.errstate(divide="ignore"):
            return own.phi + special.logit(special.betaincinv(y + 1.0, np.exp(own.phi), p))

    def excess(self, own: "NewResponses", mean: FloatArray) -> FloatArray:
        return mean**2 * np.expm1(own.variance) * (1.0 + np.exp(-own.phi))


class _OfGamma:
    is_whole = False

    def given_eta(self, p: float, own: "NewResponses", eta: FloatArray) -> FloatArray:
        alpha = np.exp(own.phi)
        return np.asarray(special.gammaincinv(alpha, p) * own.family.mean(eta) / alpha)

    def of_eta(self, p: float, own: "NewResponses", y: FloatArray) -> FloatArray:
        # P(Y ≤ y) = P(αy/G ≥ μ) of G ~ Gamma(α)
        with np.errstate(divide="ignore"):
            return own.phi + np.log(y) - np.log(special.gammainccinv(np.exp(own.phi), p))

    def excess(self, own: "NewResponses", mean: FloatArray) -> FloatArray:
        return mean**2 * np.expm1(own.variance) * (1.0 + np.exp(-own.phi))


QUANTILES: dict[str, ResponseQuantiles] = {
    "binomial": _OfBinomial(),
    "poisson": _OfPoisson(),
    "negative_binomial": _OfNegativeBinomial(),
    "gamma": _OfGamma(),
}


@dataclass(frozen=True)
class NewResponses:
    """New responses whose linear predictors are normal.

    Attributes
    ----------
    family : Family
    phi : float
    eta, variance : (n,) arrays
        Of the normal distribution.
    trials : (n,) array
        Of which a response is the mean.
    """

    family: Family
    phi: float
    eta: FloatArray
    variance: FloatArray
    trials: FloatArray

    @staticmethod
    def of(
        rows: GivenRows, offset: FloatArray, trials: FloatArray, *, is_new: bool
    ) -> "NewResponses":
        """Take rows given to a fitted model.

        With `is_new` they are at new levels of the factors that are not included, too.
        """
        own = rows.fitted.solution.family
        assert own is not None
        eta = rows.expected() + offset
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnknownLevelsWarning)  # of what has been told
            variance = variance_of_rows(rows, is_new=is_new)
        return NewResponses(rows.fitted.family, own.phi, eta, variance, trials)

    @property
    def _given(self) -> ResponseQuantiles:
        return QUANTILES[self.family.name]

    def sd(self) -> FloatArray:
        """Return standard deviations of responses of one trial, (n,)."""
        mean = self.family.averaged(self.eta, self.variance)
        own = self.family.variance(mean, self.phi)
        with np.errstate(over="ignore"):
            return np.sqrt(own + self._given.excess(self, mean))

    def quantile(self, p: float) -> FloatArray:
        """Return the p quantile of each response, of counts the least that has it, (n,)."""
        low, high = self._bracket(p)
        pending = np.arange(len(low))
        for _ in range(MOST_STEPS):
            pending = pending[self._is_open(low[pending], high[pending])]
            if not len(pending):
                break
            own, middle = self._taken(pending), self._middle(low[pending], high[pending])
            reaches = own.cdf(middle) >= p
            high[pending[reaches]] = middle[reaches]
            low[pending[~reaches]] = middle[~reaches] + self._given.is_whole
        return high / self.trials

    def cdf(self, y: FloatArray) -> FloatArray:
        """Return P(Y ≤ y), y times the trials, (n,)."""
        sd, given = np.sqrt(np.maximum(self.variance, LEAST)), self._given
        # All in z = (η − m)/√v
        ends = [(given.of_eta(p, self, y) - self.eta) / sd for p in (EDGE, 1.0 - EDGE)]
        a, b = np.clip(ends, -REACH, REACH)
        half, share = (b - a) / 2.0, np.zeros(len(y))
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            z = a + (1.0 + node) * half
            eta = self.eta + z * sd
            _, above = self.family.tails(y / self.trials, eta, self.phi, self.trials)
            share += weight * (1.0 - above) * np.exp(-0.5 * z**2)
        return special.ndtr(a) + share * half / np.sqrt(2.0 * np.pi)

    def _bracket(self, p: float) -> tuple[FloatArray, FloatArray]:
        """Return bounds of a quantile: half of the probability is that of η, half that of y."""
        sd, ends = np.sqrt(self.variance), []
        for q, sign in ((0.5 * p, -1.0), (1.0 - 0.5 * (1.0 - p), 1.0)):
            eta = self.eta + special.ndtri(q) * sd
            found = self._given.given_eta(q, self, eta)
            ends.append(found + sign if self._given.is_whole else found * (1.0 + sign * EXACT))
        most = self.trials if self.family.name == "binomial" else np.inf
        return np.maximum(ends[0], 0.0), np.minimum(ends[1], most)

    def _is_open(self, low: FloatArray, high: FloatArray) -> BoolArray:
        with np.errstate(invalid="ignore"):
            return np.asarray(high - low > (LOST if self._given.is_whole else EXACT) * high)

    def _middle(self, low: FloatArray, high: FloatArray) -> FloatArray:
        if self._given.is_whole:
            return np.floor(low + (high - low) / 2.0)
        return np.sqrt(low) * np.sqrt(high)

    def _taken(self, rows: IntArray) -> "NewResponses":
        own = self.eta[rows], self.variance[rows], self.trials[rows]
        return NewResponses(self.family, self.phi, *own)


def variance_of_rows(rows: GivenRows, *, is_new: bool) -> FloatArray:
    """Return Var(η) = z'Tz + j'Vj + z'Σz of each row, (n,), the last one of new levels."""
    view, n = rows.fitted, rows.n_rows
    encoder, slopes = view.encoder, kernel.estimate_slopes(view.generalized)
    columns = (np.ones(n), *(np.asarray(c, float) for c in encoder.numeric_columns(rows.table)))
    codes = [rows.codes(k) for k in range(len(encoder.factors))]
    out = np.zeros(n)
    for start in range(0, n, SLAB_ROWS):
        at = slice(start, start + SLAB_ROWS)
        own = [codes_of[at] for codes_of in codes]
        out[at] = (_moved(encoder, slopes, [c[at] for c in columns], own) ** 2).sum(axis=1)
    if any((own >= 0).any() for own in codes):
        out += joint_variance(replace(rows, fitted=working_fit(view)))
    for term, estimate in zip(encoder.terms, view.solution.terms, strict=True):
        unknown = np.flatnonzero(codes[term.factor] < 0)
        if is_new or term.factor in rows.included:
            z = np.stack([columns[c][unknown] for c in term.columns], axis=1)
            out[unknown] += (np.einsum("ns,sr->nr", z, estimate.lam) ** 2).sum(axis=1)
    return out


def _moved(
    encoder: Encoder, slopes: EstimateSlopes, columns: list[FloatArray], codes: list[IntArray]
) -> FloatArray:
    """Return what η̂ of rows moves by along each direction of the parameters, (n, d)."""
    out = np.zeros((len(columns[0]), slopes.fixed.shape[1]))
    # One by one, and not by a matrix product: a row is the same among others
    for column, own in zip(encoder.fixed, slopes.fixed, strict=True):
        out += columns[column][:, None] * own
    for term, effects in zip(encoder.terms, slopes.effects, strict=True):
        known = np.flatnonzero(codes[term.factor] >= 0)
        levels = codes[term.factor][known]
        for column, own in zip(term.columns, effects, strict=True):
            out[known] += columns[column][known, None] * own[levels]
    return out
