"""Families of distributions: the likelihood of a response given its linear predictor η.

A family gives −log p(y | η, φ), with φ the logarithm of its shape where it has one, and
the derivatives of that which Laplace's approximation and its own derivatives need. A
further family is a further class and an entry of `FAMILIES`, for which the tests of this
file then run too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.special as special

from skmixed._model.binomial import (
    LARGEST,
    LINKS,
    Binomial,
    DispersionDerivatives,
    WithoutDispersion,
    log_bend,
)
from skmixed._typing import BoolArray, FloatArray

# From this shape on differences of log Γ are taken from Stirling's series; its first term
# left out is below 1e-16 there.
LARGE_SHAPE = 30.0
# Coefficients of 1/x, 1/x³, … in log Γ(x) − (x − ½) log x + x − ½ log 2π.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
# The logarithm of a shape beyond which a family is its limit to all digits of a variance.
FARTHEST = 14.0
# Logarithm of the shape of Gamma at which y varies by 5e-5 of its mean.
EXACT = 20.0
# A mean of the log link that stands for 0, and the largest shape that an estimate starts from.
SMALLEST_MEAN, MOST_SHAPE = 1e-300, 1e3


class Family(Protocol):
    """A distribution of the response, with its link.

    Attributes
    ----------
    name : str
    link_name : str
    has_dispersion : bool
        Whether it has a shape exp φ, to be estimated.
    of_trials : bool
        Whether a response is the proportion of successes among trials.
    is_counted : bool
        Whether a response is a number of events.
    domain : str
        What responses may be, in the words of a message.
    limit, limit_name : str
        What the family is with a shape beyond `FARTHEST`, in a sentence, and the name of that
        family; "" without a limit.
    exact_phi : float
        φ from which on the model reproduces y; infinite where a limit of φ is no such.
    """

    name: str
    has_dispersion: bool
    of_trials: bool
    is_counted: bool
    domain: str
    limit: str
    limit_name: str
    exact_phi: float

    @property
    def link_name(self) -> str: ...

    def is_valid(self, y: FloatArray) -> BoolArray:
        """Whether each response is in the domain, (n,)."""

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        """Return −log p, without `constant`, and its derivatives in η: (order + 1, n)."""

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:
        """Return the derivatives by φ."""

    def working_residual(self, y: FloatArray, eta: FloatArray, phi: float) -> FloatArray:
        """Return −s/W of the first two derivatives, by limits where both are 0, (n,)."""

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        """Return what the sum of −w log p has that depends on y and w alone."""

    def mean(self, eta: FloatArray) -> FloatArray:
        """Return the mean of the response."""

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        """Return the mean of the response over N(η, variance)."""

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        """Return the variance of a response of weight 1."""

    def latent_variance(self, phi: float, mean: Callable[[], float]) -> float:
        """Return the variance of the distribution on the scale of the link.

        Of a binary link that of its latent variable; else log(1 + V(μ)/μ²), that of a
        log-normal variable with the mean and the variance of a response. `mean` finds μ.
        """

    def saturated(self, y: FloatArray, phi: float) -> FloatArray:
        """Return −log p, without `constant`, at a mean of y, (n,)."""

    def tails(
        self, y: FloatArray, eta: FloatArray, phi: float, trials: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the probabilities of less than y and of more, each (n,)."""

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return η to start from, of each response alone, (n,)."""

    def shape_moments(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> FloatArray:
        """Return two sums over rows, which add up, of which `shape_by` makes φ."""

    def shape_by(self, moments: FloatArray) -> float:
        """Return φ to start from; 0 where there is none."""

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, phi: float, weights: FloatArray
    ) -> FloatArray:
        """Draw responses, each the mean of w; the first do not depend on those behind them.

        Of a family with a shape w is 1.
        """


class LogLink:
    """A base for families of positive means μ = exp η."""

    link_name = "log"
    variance: Callable[[FloatArray, float], FloatArray]
    derivatives: Callable[[FloatArray, FloatArray, float, int], FloatArray]

    def saturated(self, y: FloatArray, phi: float) -> FloatArray:
        return self.derivatives(y, np.log(np.maximum(y, SMALLEST_MEAN)), phi, 0)[0]

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(np.exp(np.minimum(eta, LARGEST)))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.mean(eta + variance / 2.0)

    def latent_variance(self, phi: float, mean: Callable[[], float]) -> float:
        at = np.array([mean()])
        return float(np.log1p(self.variance(at, phi) / at**2)[0])


class Counts(LogLink):
    """A base for families of counts."""

    of_trials, is_counted = False, True
    domain = "counts: 0 or more"

    def is_valid(self, y: FloatArray) -> BoolArray:
        return np.asarray(y >= 0.0)

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        return float(weights @ special.gammaln(y + 1.0))


@dataclass(frozen=True)
class Poisson(Counts, WithoutDispersion):
    """Counts whose variance is their mean."""

    name = "poisson"

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        out = np.empty((order + 1, len(eta)))
        np.exp(np.minimum(eta, LARGEST), out=out[-1])
        out[:-1] = out[-1]
        out[0] -= y * eta
        if order:
            out[1] -= y
        return out

    def working_residual(self, y: FloatArray, eta: FloatArray, phi: float) -> FloatArray:
        # y/μ − 1
        return y * np.exp(np.clip(-eta, -LARGEST, LARGEST)) - 1.0

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        return mean

    def tails(
        self, y: FloatArray, eta: FloatArray, phi: float, trials: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        count, mean = np.floor(y), self.mean(eta)
        below = np.where(count > 0.0, special.pdtr(count - 1.0, mean), 0.0)
        return below, np.asarray(special.pdtrc(count, mean))

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        return np.log((y + max(float(np.average(y, weights=weights)), 1e-2)) / 2.0)

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, phi: float, weights: FloatArray
    ) -> FloatArray:
        return np.asarray(rng.poisson(weights * self.mean(eta)) / weights)


@dataclass(frozen=True)
class NegativeBinomial(Counts):
    """Counts of variance μ + μ²/α, α = exp φ."""

    name = "negative_binomial"
    has_dispersion = True
    exact_phi = np.inf
    limit_name = "poisson"
    limit = (
        "The counts vary no more than Poisson's, so that the shape has no finite estimate. Use "
        "MixedPoissonRegressor."
    )

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        # With π = μ/(μ + α): −log p = y(φ − η) + (y + α) log(1 + e^(η − φ)) + log Γ's
        alpha, total = np.exp(phi), y + np.exp(phi)
        out = LINKS["logit"].logs(eta - phi, np.zeros(len(y)), order)
        out *= total
        out[0] -= y * (eta - phi) + log_gamma_rise(alpha, y)[0]
        if order:
            out[1] -= y
        return out

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:
        alpha = float(np.exp(phi))
        # s = log(1 + e^ζ), ζ = η − φ, with derivatives π, v, v₃, v₄
        s, pi, v, v3, v4 = LINKS["logit"].logs(eta - phi, np.zeros(len(y)), 4)
        # h = s − π; what is of the size of y is taken off before α multiplies
        bend = log_bend(np.exp(np.minimum(eta - phi, LARGEST)), s)
        _, rest, curvature = log_gamma_rise(alpha, y)
        square, cube = alpha * pi**2, 2.0 * alpha * v * pi
        first = np.stack(
            [
                alpha * bend - y * pi + rest,
                square - y * v,
                cube - y * v3,
                cube * (2 - 3 * pi) - y * v4,
            ]
        )
        second = np.stack(
            [
                alpha * bend - square + y * v - curvature,
                square * (2 * pi - 1) + y * v3,
                cube * (3 * pi - 1) + y * v4,
            ]
        )
        return DispersionDerivatives(first, second)

    def working_residual(self, y: FloatArray, eta: FloatArray, phi: float) -> FloatArray:
        # [y/π − α/(1 − π)]/(y + α)
        alpha, ratio = np.exp(phi), np.exp(np.clip(eta - phi, -LARGEST, LARGEST))
        return (y * (1.0 + 1.0 / ratio) - alpha * (1.0 + ratio)) / (y + alpha)

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        return mean + mean**2 * np.exp(-phi)

    def tails(
        self, y: FloatArray, eta: FloatArray, phi: float, trials: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        # P(Y ≤ k) = I_π(α, k + 1) of π = α/(α + μ)
        count, alpha = np.floor(y), np.exp(phi)
        share, rest = special.expit(phi - eta), special.expit(eta - phi)
        below = special.betainc(alpha, np.maximum(count, 1.0), share)
        above = np.asarray(special.betainc(count + 1.0, alpha, rest), dtype=float)
        return np.where(count > 0.0, below, 0.0), above

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        return Poisson().start(y, weights)

    def shape_moments(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> FloatArray:
        # Σ w((y − μ)² − μ) estimates Σ w μ²/α
        return np.array([weights @ ((y - mean) ** 2 - mean), weights @ mean**2])

    def shape_by(self, moments: FloatArray) -> float:
        excess, squares = moments
        return float(np.log(squares / max(excess, squares / MOST_SHAPE)))

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, phi: float, weights: FloatArray
    ) -> FloatArray:
        return rng.negative_binomial(np.exp(phi), special.expit(phi - eta)).astype(float)


@dataclass(frozen=True)
class Gamma(LogLink):
    """Positive responses of variance μ²/α, α = exp φ."""

    name = "gamma"
    has_dispersion = True
    of_trials = is_counted = False
    limit = limit_name = ""
    exact_phi = EXACT
    domain = "positive numbers"

    def is_valid(self, y: FloatArray) -> BoolArray:
        return np.asarray(y > 0.0)

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        # With r = y/μ: −log p = α(r − 1 − log r) + log y + [log Γ(α) − α log α + α]
        alpha, out = np.exp(phi), np.empty((order + 1, len(y)))
        ratio = y * np.exp(np.minimum(-eta, LARGEST))
        signs = np.resize([1.0, -1.0], order + 1)[:, None]
        out[:] = alpha * signs * ratio
        out[0] += alpha * (eta - np.log(y) - 1.0) + shape_terms(phi)[0]
        if order:
            out[1] += alpha
        return out

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:
        # α multiplies all but the terms of the shape alone
        value, slope, curvature = shape_terms(phi)
        first = self.derivatives(y, eta, phi, 3)
        first[0] -= value
        second = first[:3].copy()
        first[0] += slope
        second[0] += curvature
        return DispersionDerivatives(first, second)

    def working_residual(self, y: FloatArray, eta: FloatArray, phi: float) -> FloatArray:
        # 1 − μ/y
        return 1.0 - np.exp(np.minimum(eta - np.log(y), LARGEST))

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        return float(weights @ np.log(y))

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        return mean**2 * np.exp(-phi)

    def latent_variance(self, phi: float, mean: Callable[[], float]) -> float:
        return float(np.log1p(np.exp(-phi)))  # V(μ)/μ² is the same at all means

    def tails(
        self, y: FloatArray, eta: FloatArray, phi: float, trials: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        alpha = np.exp(phi)
        scaled = alpha * y / self.mean(eta)
        return special.gammainc(alpha, scaled), special.gammaincc(alpha, scaled)

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        return np.log((y + float(np.average(y, weights=weights))) / 2.0)

    def shape_moments(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> FloatArray:
        return np.array([weights @ (y / mean - 1.0) ** 2, weights.sum()])

    def shape_by(self, moments: FloatArray) -> float:
        return float(-np.log(max(moments[0] / moments[1], 1e-12)))

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, phi: float, weights: FloatArray
    ) -> FloatArray:
        alpha = np.exp(phi)
        drawn = self.mean(eta) * rng.gamma(alpha, 1.0 / alpha, len(eta))
        return np.maximum(drawn, np.finfo(float).tiny)  # where a small shape rounds to 0


_ALL: tuple[Family, ...] = (*map(Binomial, LINKS.values()), Poisson(), NegativeBinomial(), Gamma())
# By name and link.
FAMILIES = {(own.name, own.link_name): own for own in _ALL}


def log_gamma_rise(alpha: float, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return r = log Γ(α + y) − log Γ(α), y − r' and r'', with the derivatives in log α.

    Of a large α, where r' is nearly y, by Stirling's series with the large terms taken off.
    """
    x = alpha + y
    if alpha < LARGE_SHAPE:
        first = alpha * (special.psi(x) - special.psi(alpha))
        second = alpha**2 * (special.polygamma(1, x) - special.polygamma(1, alpha))
        return special.gammaln(x) - special.gammaln(alpha), y - first, first + second
    # (x − ½) log x − x less the same at α; then Σ c_k (x^−k − α^−k)
    u, ratio = y / alpha, np.log1p(y / alpha)
    value = (x - 0.5) * ratio + y * np.log(alpha) - y
    # With h(u) = log(1 + u) − u/(1 + u): y − r' = α(yu/x − h) − y/2x, and r'' = αh − αy/2x²
    bend = log_bend(u, ratio)
    rest, second = alpha * (y * u / x - bend) - 0.5 * y / x, alpha * (bend - 0.5 * y / x**2)
    for k, c in enumerate(STIRLING):
        m = 2 * k + 1
        value = value + c * (x**-m - alpha**-m)
        once = m * c * alpha * (x ** -(m + 1) - alpha ** -(m + 1))
        rest = rest + once
        second = second - once
        second = second + m * (m + 1) * c * alpha**2 * (x ** -(m + 2) - alpha ** -(m + 2))
    return value, rest, second


def shape_terms(phi: float) -> tuple[float, float, float]:
    """Return log Γ(α) − α log α + α, and its first two derivatives in φ = log α."""
    alpha = float(np.exp(phi))
    if alpha < LARGE_SHAPE:
        psi, trigamma = float(special.psi(alpha)), float(special.polygamma(1, alpha))
        value = float(special.gammaln(alpha)) - alpha * phi + alpha
        slope = alpha * (psi - phi)
        return value, slope, slope + alpha**2 * trigamma - alpha
    # −½ log α + ½ log 2π + Σ c_k α^−k
    powers = [(2 * k + 1, c * alpha ** -(2 * k + 1)) for k, c in enumerate(STIRLING)]
    value = 0.5 * (np.log(2.0 * np.pi) - phi) + sum(own for _, own in powers)
    slope = -0.5 - sum(m * own for m, own in powers)
    return value, slope, sum(m * m * own for m, own in powers)
