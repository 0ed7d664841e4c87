"""Families of distributions: the likelihood of a response given its linear predictor η.

A family gives −log p(y | η, φ), with φ the logarithm of its shape where it has one, and
the derivatives of that which Laplace's approximation and its own derivatives need. A
further family is a further class and an entry of `FAMILIES`, for which the tests of this
file then run too.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.special as special

from skmixed._model.binomial import LARGEST, LINKS, BinaryLink
from skmixed._typing import BoolArray, FloatArray

# From this shape on differences of log Γ are taken from Stirling's series; its first term
# left out is below 1e-16 there.
LARGE_SHAPE = 30.0
# The logarithm of a shape beyond which a family is its limit to all digits of a variance.
FARTHEST = 14.0
# Coefficients of 1/x, 1/x³, … in log Γ(x) − (x − ½) log x + x − ½ log 2π.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
# Logarithm of the shape of Gamma at which y varies by 5e-5 of its mean.
EXACT = 20.0
# Largest shape that an estimate starts from.
MOST_SHAPE = 1e3


@dataclass(frozen=True)
class DispersionDerivatives:
    """Derivatives of −log p by φ, each (n,) a row.

    Attributes
    ----------
    first : (4, n) array
        ∂/∂φ of −log p and of its first three derivatives in η.
    second : (3, n) array
        ∂²/∂φ² of −log p and of its first two derivatives in η.
    """

    first: FloatArray
    second: FloatArray


class Family(Protocol):
    """A distribution of the response, with its link.

    Attributes
    ----------
    name : str
    link_name : str
    has_dispersion : bool
        Whether it has a shape exp φ, to be estimated.
    domain : str
        What responses may be, in the words of a message.
    exact_phi : float
        φ from which on the model reproduces y; infinite where a limit of φ is no such.
    """

    @property
    def name(self) -> str: ...

    @property
    def link_name(self) -> str: ...

    @property
    def has_dispersion(self) -> bool: ...

    @property
    def domain(self) -> str: ...

    @property
    def limit(self) -> str:
        """What the family is with a shape beyond `FARTHEST`, in a sentence; "" without a limit."""

    @property
    def exact_phi(self) -> float: ...

    def is_valid(self, y: FloatArray) -> BoolArray:
        """Whether each response is in the domain, (n,)."""

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        """Return −log p, without `constant`, and its derivatives in η: (order + 1, n)."""

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:
        """Return the derivatives by φ."""

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        """Return what the sum of −w log p has that depends on y and w alone."""

    def mean(self, eta: FloatArray) -> FloatArray:
        """Return the mean of the response."""

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        """Return the mean of the response over N(η, variance)."""

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        """Return the variance of a response of weight 1."""

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return η to start from, of each response alone, (n,)."""

    def start_phi(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> float:
        """Return φ to start from, by moments; 0 where there is none."""

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, phi: float, weights: FloatArray
    ) -> FloatArray:
        """Draw responses."""


class WithoutDispersion:
    """A base for families that have no shape: of η alone, with −log p linear in y but for c(y)."""

    has_dispersion = False
    limit = ""
    exact_phi = np.inf

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:  # noqa: ARG002
        return DispersionDerivatives(np.zeros((4, len(y))), np.zeros((3, len(y))))

    def start_phi(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> float:  # noqa: ARG002
        return 0.0


class LogLink:
    """A base for families of positive means μ = exp η."""

    link_name = "log"

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(np.exp(np.minimum(eta, LARGEST)))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.mean(eta + variance / 2.0)


@dataclass(frozen=True)
class Binomial(WithoutDispersion):
    """Proportions y of w trials."""

    link: BinaryLink
    name = "binomial"
    domain = "proportions between 0 and 1"

    @property
    def link_name(self) -> str:
        return self.link.name

    def is_valid(self, y: FloatArray) -> BoolArray:
        return np.asarray((y >= 0.0) & (y <= 1.0))

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:  # noqa: ARG002
        return self.link.logs(eta, y, order)

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        mixed = (y > 0.0) & (y < 1.0)
        w, successes = weights[mixed], weights[mixed] * y[mixed]
        of_each = special.gammaln(successes + 1.0) + special.gammaln(w - successes + 1.0)
        return float((of_each - special.gammaln(w + 1.0)).sum())

    def mean(self, eta: FloatArray) -> FloatArray:
        return self.link.mean(eta)

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.link.averaged(eta, variance)

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:  # noqa: ARG002
        return mean * (1.0 - mean)

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        return self.link.link((weights * y + 0.5) / (weights + 1.0))

    def draw(
        self,
        rng: np.random.Generator,
        eta: FloatArray,
        phi: float,  # noqa: ARG002
        weights: FloatArray,
    ) -> FloatArray:
        trials = np.rint(weights).astype(np.int64)
        return np.asarray(rng.binomial(trials, self.mean(eta)) / np.maximum(trials, 1))


@dataclass(frozen=True)
class Poisson(LogLink, WithoutDispersion):
    """Counts whose variance is their mean."""

    name = "poisson"
    domain = "counts: 0 or more"

    def is_valid(self, y: FloatArray) -> BoolArray:
        return np.asarray(y >= 0.0)

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:  # noqa: ARG002
        out = np.empty((order + 1, len(eta)))
        np.exp(np.minimum(eta, LARGEST), out=out[-1])
        out[:-1] = out[-1]
        out[0] -= y * eta
        if order:
            out[1] -= y
        return out

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        return float(weights @ special.gammaln(y + 1.0))

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:  # noqa: ARG002
        return mean

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        level = float(weights @ y) / max(float(weights.sum()), 1e-300)
        return np.asarray(np.log((y + max(level, 1e-2)) / 2.0))

    def draw(
        self,
        rng: np.random.Generator,
        eta: FloatArray,
        phi: float,  # noqa: ARG002
        weights: FloatArray,  # noqa: ARG002
    ) -> FloatArray:
        return rng.poisson(self.mean(eta)).astype(float)


@dataclass(frozen=True)
class NegativeBinomial(LogLink):
    """Counts of variance μ + μ²/θ, θ = exp φ."""

    name = "negative_binomial"
    has_dispersion = True
    exact_phi = np.inf
    domain = "counts: 0 or more"
    limit = (
        "The counts vary no more than Poisson's, so that the shape has no finite estimate. Use "
        "MixedPoissonRegressor."
    )

    def is_valid(self, y: FloatArray) -> BoolArray:
        return np.asarray(y >= 0.0)

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        # With π = μ/(μ + θ): −log p = y(φ − η) + (y + θ) log(1 + e^(η − φ)) + log Γ's
        theta, total = np.exp(phi), y + np.exp(phi)
        out = LINKS["logit"].logs(eta - phi, np.zeros(len(y)), order)
        out *= total
        out[0] -= y * (eta - phi) + log_gamma_rise(theta, y)[0]
        if order:
            out[1] -= y
        return out

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:
        theta, total = np.exp(phi), y + np.exp(phi)
        # s = log(1 + e^ζ), ζ = η − φ, with derivatives π, v, v₃, v₄
        s = LINKS["logit"].logs(eta - phi, np.zeros(len(y)), 4)
        _, slope, curvature = log_gamma_rise(theta, y)
        first = theta * s[:4] - total * s[1:]
        first[0] += y - theta * slope
        second = theta * s[:3] - 2.0 * theta * s[1:4] + total * s[2:]
        second[0] -= theta * slope + theta**2 * curvature
        return DispersionDerivatives(first, second)

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        return float(weights @ special.gammaln(y + 1.0))

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        return mean + mean**2 * np.exp(-phi)

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        return Poisson().start(y, weights)

    def start_phi(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> float:
        # Σ w((y − μ)² − μ) estimates Σ w μ²/θ
        excess = float(weights @ ((y - mean) ** 2 - mean))
        squares = float(weights @ mean**2)
        return float(np.log(squares / max(excess, squares / MOST_SHAPE)))

    def draw(
        self,
        rng: np.random.Generator,
        eta: FloatArray,
        phi: float,
        weights: FloatArray,  # noqa: ARG002
    ) -> FloatArray:
        theta = np.exp(phi)
        rate = self.mean(eta) * rng.gamma(theta, 1.0 / theta, len(eta))
        return rng.poisson(rate).astype(float)


def log_gamma_rise(theta: float, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log Γ(θ + y) − log Γ(θ), and its first two derivatives in θ.

    Of a large θ by Stirling's series, where the difference of two would be rounding.
    """
    if theta < LARGE_SHAPE:
        x = theta + y
        return (
            special.gammaln(x) - special.gammaln(theta),
            special.psi(x) - special.psi(theta),
            special.polygamma(1, x) - special.polygamma(1, theta),
        )
    # (x − ½) log x − x less the same at θ; then Σ c_k (x^−k − θ^−k)
    x, ratio = theta + y, np.log1p(y / theta)
    value = (x - 0.5) * ratio + y * np.log(theta) - y
    slope = ratio - 0.5 * (1.0 / x - 1.0 / theta)
    curvature = (1.0 / x - 1.0 / theta) + 0.5 * (1.0 / x**2 - 1.0 / theta**2)
    for k, c in enumerate(STIRLING):
        m = 2 * k + 1
        value = value + c * (x**-m - theta**-m)
        slope = slope - m * c * (x ** -(m + 1) - theta ** -(m + 1))
        curvature = curvature + m * (m + 1) * c * (x ** -(m + 2) - theta ** -(m + 2))
    return value, slope, curvature


@dataclass(frozen=True)
class Gamma(LogLink):
    """Positive responses of variance μ²/ν, ν = exp φ."""

    name = "gamma"
    has_dispersion = True
    limit = ""
    exact_phi = EXACT
    domain = "positive numbers"

    def is_valid(self, y: FloatArray) -> BoolArray:
        return np.asarray(y > 0.0)

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        # With r = y/μ: −log p = ν(r − 1 − log r) + log y + [log Γ(ν) − ν log ν + ν]
        nu, out = np.exp(phi), np.empty((order + 1, len(y)))
        ratio = y * np.exp(np.minimum(-eta, LARGEST))
        signs = np.resize([1.0, -1.0], order + 1)[:, None]
        out[:] = nu * signs * ratio
        out[0] += nu * (eta - np.log(y) - 1.0) + _shape_terms(phi)[0]
        if order:
            out[1] += nu
        return out

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:
        # ν multiplies all but the terms of the shape alone
        value, slope, curvature = _shape_terms(phi)
        first = self.derivatives(y, eta, phi, 3)
        first[0] -= value
        second = first[:3].copy()
        first[0] += slope
        second[0] += curvature
        return DispersionDerivatives(first, second)

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        return float(weights @ np.log(y))

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        return mean**2 * np.exp(-phi)

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:  # noqa: ARG002
        return np.asarray(np.log(y))

    def start_phi(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> float:
        squares = float(weights @ (y / mean - 1.0) ** 2) / float(weights.sum())
        return float(-np.log(max(squares, 1e-12)))

    def draw(
        self,
        rng: np.random.Generator,
        eta: FloatArray,
        phi: float,
        weights: FloatArray,  # noqa: ARG002
    ) -> FloatArray:
        nu = np.exp(phi)
        return self.mean(eta) * rng.gamma(nu, 1.0 / nu, len(eta))


def _shape_terms(phi: float) -> tuple[float, float, float]:
    """Return log Γ(ν) − ν log ν + ν, and its first two derivatives in φ = log ν."""
    nu = float(np.exp(phi))
    if nu < LARGE_SHAPE:
        psi, trigamma = float(special.psi(nu)), float(special.polygamma(1, nu))
        value = float(special.gammaln(nu)) - nu * phi + nu
        slope = nu * (psi - phi)
        return value, slope, slope + nu**2 * trigamma - nu
    # −½ log ν + ½ log 2π + Σ c_k ν^−k
    powers = [(2 * k + 1, c * nu ** -(2 * k + 1)) for k, c in enumerate(STIRLING)]
    value = 0.5 * (np.log(2.0 * np.pi) - phi) + sum(own for _, own in powers)
    slope = -0.5 - sum(m * own for m, own in powers)
    return value, slope, sum(m * m * own for m, own in powers)


_FAMILIES: tuple[Family, ...] = (
    *(Binomial(link) for link in LINKS.values()),
    Poisson(),
    NegativeBinomial(),
    Gamma(),
)
# By name and link.
FAMILIES = {(own.name, own.link_name): own for own in _FAMILIES}
