"""Logarithms of the probability of a success, and its averages, by link; what log Γ contributes.

Each link gives a(η) = −log μ(η) and b(η) = −log(1 − μ(η)) with their derivatives, of which
the likelihood of a proportion y is made: −log p = y·a + (1 − y)·b per trial.

log Γ stands in the likelihoods of families with a shape.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.special as special

from skmixed._typing import FloatArray

# From here on log(1 − Φ) is taken from its asymptotic series; the term left out is below 1e-11.
FAR = 16.0
# Hazard φ/(1 − Φ) at x, less x, in odd powers of 1/x: the asymptotic series of Mills' ratio.
HAZARD = (1.0, -2.0, 10.0, -74.0, 706.0, -8162.0, 110410.0, -1708394.0, 29752066.0)
# t below which t/(eᵗ − 1) − 1 + t is taken from its series: t/2 + t²/12 − t⁴/720 + t⁶/30240.
SMALL = 0.05
# From this shape on differences of log Γ are taken from Stirling's series; its first term
# left out is below 1e-16 there.
LARGE_SHAPE = 30.0
# Coefficients of 1/x, 1/x³, … in log Γ(x) − (x − ½) log x + x − ½ log 2π.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
# Largest η of which the exponential is taken.
LARGEST = 700.0
# Standard deviations on each side, and the longest step, of the rule for averages over a
# normal: what it leaves out and what it errs by are below 1e-13 each.
REACH, STEP = 8.0, 0.75


class BinaryLink(Protocol):
    """A link of binary responses.

    Attributes
    ----------
    name : str
    strip : float
        How far from the real line the mean is analytic, in η.
    latent_variance : float
        Of the distribution with the function μ: logistic, normal, or Gumbel's.
    """

    name: str
    strip: float
    latent_variance: float

    def logs(self, eta: FloatArray, y: FloatArray, order: int) -> FloatArray:
        """Return y·a + (1 − y)·b and its derivatives in η, (order + 1, n), order at most 4."""

    def mean(self, eta: FloatArray) -> FloatArray:
        """Return μ(η)."""

    def link(self, mean: FloatArray) -> FloatArray:
        """Return η(μ), 0 < μ < 1."""

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        """Return the mean of μ over N(η, variance)."""


@dataclass(frozen=True)
class LogitLink:
    """η = log(μ/(1 − μ))."""

    name = "logit"
    strip = np.pi
    latent_variance = np.pi**2 / 3.0

    def logs(self, eta: FloatArray, y: FloatArray, order: int) -> FloatArray:
        out = np.empty((order + 1, len(eta)))
        # e = exp(−|η|) and log(1 + exp η) = max(η, 0) + log(1 + e)
        e = np.abs(eta)
        np.exp(np.negative(e, out=e), out=e)
        np.log1p(e, out=out[0])
        out[0] += np.maximum(eta, 0.0) - y * eta  # 0 far out on the side of y
        if not order:
            return out
        # e/(1 + e) is μ where η < 0, else 1 − μ; and v = μ(1 − μ) = e/(1 + e)²
        larger = 1.0 / (1.0 + e)
        e *= larger
        # μ − y as the difference of 0 or 1 and y, which is 0 far out, and of what is left
        np.subtract(~np.signbit(eta), y, out=out[1])
        out[1] -= np.copysign(e, eta)
        if order > 1:
            np.multiply(larger, e, out=out[2])
        if order > 2:
            # 1 − 2μ
            np.multiply(out[2], np.copysign(2.0 * e - 1.0, -eta), out=out[3])
        if order > 3:
            np.multiply(out[2], 1.0 - 6.0 * out[2], out=out[4])
        return out

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(special.expit(eta))

    def link(self, mean: FloatArray) -> FloatArray:
        return np.asarray(special.logit(mean))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return averaged(self, eta, variance)


@dataclass(frozen=True)
class ProbitLink:
    """μ = Φ(η)."""

    name = "probit"
    strip = np.inf
    latent_variance = 1.0

    def logs(self, eta: FloatArray, y: FloatArray, order: int) -> FloatArray:
        failure = _log_survival(eta, order)
        # −log Φ(η) is −log(1 − Φ) at −η
        success = _log_survival(-eta, order)
        success[1::2] *= -1.0
        with np.errstate(invalid="ignore"):
            return np.asarray(y * success + (1.0 - y) * failure)

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(special.ndtr(eta))

    def link(self, mean: FloatArray) -> FloatArray:
        return np.asarray(special.ndtri(mean))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.mean(eta / np.sqrt(1.0 + variance))


def _log_survival(x: FloatArray, order: int) -> FloatArray:
    """Return −log(1 − Φ(x)) and its derivatives, (order + 1, n).

    The first one is the hazard g, and g' = g(g − x).
    """
    out = np.empty((5, len(x)))
    near = np.minimum(x, FAR)
    out[0] = -special.log_ndtr(-x)
    g = np.sqrt(2.0 / np.pi) / special.erfcx(near / np.sqrt(2.0))
    out[1] = g
    out[2] = g * (g - near)
    out[3] = out[2] * (g - near) + g * (out[2] - 1.0)
    out[4] = out[3] * (g - near) + 2.0 * out[2] * (out[2] - 1.0) + g * out[3]
    far = np.flatnonzero(x > FAR)
    if len(far):
        # g = x + Σ c_k x^−(2k+1), term by term
        own, powers = x[far], 2.0 * np.arange(len(HAZARD)) + 1.0
        terms = np.array(HAZARD)[:, None] * own ** -powers[:, None]
        for k in range(4):
            out[k + 1, far] = terms.sum(axis=0) + (own if k == 0 else float(k == 1))
            terms = -terms * (powers + k)[:, None] / own
    return out[: order + 1]


@dataclass(frozen=True)
class CloglogLink:
    """μ = 1 − exp(−exp η)."""

    name = "cloglog"
    strip = np.pi / 2.0
    latent_variance = np.pi**2 / 6.0

    def logs(self, eta: FloatArray, y: FloatArray, order: int) -> FloatArray:
        t = np.exp(np.minimum(eta, LARGEST))
        # At t of that size all derivatives of a are 0
        success = self._of_success(eta, np.minimum(t, LARGEST))[: order + 1]
        # b = exp η is all of its own derivatives
        return np.asarray(y * success + (1.0 - y) * t)

    def _of_success(self, eta: FloatArray, t: FloatArray) -> FloatArray:
        """Return −log(1 − exp(−t)) and its derivatives in η = log t, (5, n).

        The first one is −g with g = t/(eᵗ − 1), g' = −gs and s = g + t − 1.
        """
        out = np.empty((5, len(t)))
        of_exp = -np.expm1(-t)
        out[0] = -np.where(eta < -1.0, eta + np.log(of_exp / t), np.log(of_exp))
        g = t * np.exp(-t) / of_exp
        small = np.minimum(t, SMALL)
        # s, s' = t − gs and s'' = t + gs² − gs', of which little is left at small t
        series = [
            small / 2.0
            + small**2 / 12.0 * 2.0**k
            - small**4 / 720.0 * 4.0**k
            + small**6 / 30240.0 * 6.0**k
            for k in range(3)
        ]
        s = np.where(t < SMALL, series[0], g + t - 1.0)
        first = np.where(t < SMALL, series[1], t - g * s)
        second = np.where(t < SMALL, series[2], t + g * s**2 - g * first)
        out[1] = -g
        out[2] = g * s
        out[3] = g * (first - s**2)
        out[4] = g * (second - 3.0 * s * first + s**3)
        return out

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(-np.expm1(-np.exp(np.minimum(eta, LARGEST))))

    def link(self, mean: FloatArray) -> FloatArray:
        return np.asarray(np.log(-np.log1p(-mean)))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return averaged(self, eta, variance)


def averaged(link: BinaryLink, eta: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the mean of μ over N(η, variance), by the trapezoidal rule.

    For functions that are analytic in a strip |Im η| < d its error is about
    exp(−2πd/h) with h its step in η, and exp(−2π²/h²) with h in standard deviations
    (Trefethen and Weideman, 2014, SIAM Review 56, theorem 5.1).
    """
    sd = np.sqrt(variance)
    largest = float(sd.max(initial=0.0))
    longest = 2.0 * np.pi * link.strip / 30.0  # exp(−30) is below 1e-13
    step = min(STEP, longest / largest) if largest else STEP
    n = int(np.ceil(REACH / step))
    nodes = step * np.arange(-n, n + 1)
    weights = np.exp(-0.5 * nodes**2)
    out = np.zeros(len(eta))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        out += weight * link.mean(eta + node * sd)
    return out


LINKS: dict[str, BinaryLink] = {own.name: own for own in (LogitLink(), ProbitLink(), CloglogLink())}


def log_gamma_rise(alpha: float, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log Γ(α + y) − log Γ(α), and its first two derivatives in α.

    Of a large α by Stirling's series, where the difference of two would be rounding.
    """
    if alpha < LARGE_SHAPE:
        x = alpha + y
        return (
            special.gammaln(x) - special.gammaln(alpha),
            special.psi(x) - special.psi(alpha),
            special.polygamma(1, x) - special.polygamma(1, alpha),
        )
    # (x − ½) log x − x less the same at α; then Σ c_k (x^−k − α^−k)
    x, ratio = alpha + y, np.log1p(y / alpha)
    value = (x - 0.5) * ratio + y * np.log(alpha) - y
    slope = ratio - 0.5 * (1.0 / x - 1.0 / alpha)
    curvature = (1.0 / x - 1.0 / alpha) + 0.5 * (1.0 / x**2 - 1.0 / alpha**2)
    for k, c in enumerate(STIRLING):
        m = 2 * k + 1
        value = value + c * (x**-m - alpha**-m)
        slope = slope - m * c * (x ** -(m + 1) - alpha ** -(m + 1))
        curvature = curvature + m * (m + 1) * c * (x ** -(m + 2) - alpha ** -(m + 2))
    return value, slope, curvature


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
