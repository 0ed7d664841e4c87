"""The family of proportions, by link: probabilities of a success, their logarithms and averages.

Each link gives a(η) = −log μ(η) and b(η) = −log(1 − μ(η)) with their derivatives, of which
the likelihood of a proportion y is made: −log p = y·a + (1 − y)·b per trial.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.special as special

from skmixed._typing import BoolArray, FloatArray

# From here on log(1 − Φ) is taken from its asymptotic series; the term left out is below 1e-11.
FAR = 16.0
# Hazard φ/(1 − Φ) at x, less x, in odd powers of 1/x: the asymptotic series of Mills' ratio.
HAZARD = (1.0, -2.0, 10.0, -74.0, 706.0, -8162.0, 110410.0, -1708394.0, 29752066.0)
# t below which t/(eᵗ − 1) − 1 + t is taken from its series: t/2 + t²/12 − t⁴/720 + t⁶/30240.
SMALL = 0.05
# A ratio below which log(1 + u) − u/(1 + u) is taken from its series, to 1e-15.
SMALL_RATIO = 0.03
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

    def working_residual(self, eta: FloatArray, y: FloatArray) -> FloatArray:
        """Return −s/W of the derivatives s and W of −log p, by limits where both are 0, (n,)."""

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

    def working_residual(self, eta: FloatArray, y: FloatArray) -> FloatArray:
        # y/μ − (1 − y)/(1 − μ)
        near = np.clip(eta, -LARGEST, LARGEST)
        return np.asarray(y * (1.0 + np.exp(-near)) - (1.0 - y) * (1.0 + np.exp(near)))

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(special.expit(eta))

    def link(self, mean: FloatArray) -> FloatArray:
        return np.asarray(special.logit(mean))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return averaged(self, eta, variance)


def log_bend(u: FloatArray, log_rise: FloatArray) -> FloatArray:
    """Return log(1 + u) − u/(1 + u), given the logarithm; of a small u by its series."""
    small = np.minimum(u, SMALL_RATIO)
    series = sum((-1.0) ** k * (k - 1) / k * small**k for k in range(2, 12))
    return np.where(u < SMALL_RATIO, series, log_rise - u / (1.0 + u))


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

    def working_residual(self, eta: FloatArray, y: FloatArray) -> FloatArray:
        # Of y = 1 and of y = 0 the hazard g divides g' = g(g − x)
        return ratio_of_both(self, eta, y, 1.0 / _excess(-eta), -1.0 / _excess(eta))

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(special.ndtr(eta))

    def link(self, mean: FloatArray) -> FloatArray:
        return np.asarray(special.ndtri(mean))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.mean(eta / np.sqrt(1.0 + variance))


def _excess(x: FloatArray) -> FloatArray:
    """Return g − x of the hazard g = φ/(1 − Φ), (n,)."""
    near = np.minimum(x, FAR)
    out = np.sqrt(2.0 / np.pi) / special.erfcx(near / np.sqrt(2.0)) - near
    far = np.flatnonzero(x > FAR)
    powers = 2.0 * np.arange(len(HAZARD)) + 1.0
    out[far] = (np.array(HAZARD)[:, None] * x[far] ** -powers[:, None]).sum(axis=0)
    return np.asarray(out)


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
        t = np.exp(np.clip(eta, -LARGEST, LARGEST))
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

    def working_residual(self, eta: FloatArray, y: FloatArray) -> FloatArray:
        # Of y = 1 it is 1/s, with s = t − 1 + t/(eᵗ − 1), and of y = 0 it is −1
        t = np.exp(np.clip(eta, -LARGEST, LARGEST))
        of_exp = -np.expm1(-t)
        small = np.minimum(t, SMALL)
        series = small / 2.0 + small**2 / 12.0 - small**4 / 720.0 + small**6 / 30240.0
        s = np.where(t < SMALL, series, t - 1.0 + t * np.exp(-t) / of_exp)
        return ratio_of_both(self, eta, y, 1.0 / s, np.full(len(eta), -1.0))

    def mean(self, eta: FloatArray) -> FloatArray:
        return np.asarray(-np.expm1(-np.exp(np.minimum(eta, LARGEST))))

    def link(self, mean: FloatArray) -> FloatArray:
        return np.asarray(np.log(-np.log1p(-mean)))

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return averaged(self, eta, variance)


def ratio_of_both(
    link: BinaryLink, eta: FloatArray, y: FloatArray, of_success: FloatArray, of_failure: FloatArray
) -> FloatArray:
    """Return −s/W, which is given for y = 1 and for y = 0, (n,)."""
    _, slope, weight = link.logs(eta, y, 2)
    with np.errstate(all="ignore"):
        of_mixed = -slope / weight
    return np.where(y == 1.0, of_success, np.where(y == 0.0, of_failure, of_mixed))


def averaged(link: BinaryLink, eta: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the mean of μ over N(η, variance), by the trapezoidal rule.

    For functions that are analytic in a strip |Im η| < d its error is about
    exp(−2πd/h) with h its step in η, and exp(−2π²/h²) with h in standard deviations
    (Trefethen and Weideman, 2014, SIAM Review 56, theorem 5.1).
    """
    sd, out = np.sqrt(variance), np.zeros(len(eta))
    nodes = trapezoidal_nodes(link, sd)
    weights = np.exp(-0.5 * nodes**2)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        out += weight * link.mean(eta + node * sd)
    return out


def trapezoidal_nodes(link: BinaryLink, sd: FloatArray, step: float = STEP) -> FloatArray:
    """Return nodes of the rule, in standard deviations, that are `step` apart at most."""
    largest = float(sd.max(initial=0.0))
    longest = 2.0 * np.pi * link.strip / 30.0  # exp(−30) is below 1e-13
    step = min(step, longest / largest) if largest else step
    n = int(np.ceil(REACH / step))
    return np.asarray(step * np.arange(-n, n + 1))


LINKS: dict[str, BinaryLink] = {own.name: own for own in (LogitLink(), ProbitLink(), CloglogLink())}


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


class WithoutDispersion:
    """A base for families that have no shape: of η alone, with −log p linear in y but for c(y)."""

    has_dispersion = False
    limit = limit_name = ""
    exact_phi = np.inf

    def dispersion(self, y: FloatArray, eta: FloatArray, phi: float) -> DispersionDerivatives:
        return DispersionDerivatives(np.zeros((4, len(y))), np.zeros((3, len(y))))

    def shape_moments(self, y: FloatArray, mean: FloatArray, weights: FloatArray) -> FloatArray:
        return np.zeros(2)

    def shape_by(self, moments: FloatArray) -> float:
        return 0.0


@dataclass(frozen=True)
class Binomial(WithoutDispersion):
    """Proportions y of w trials."""

    link: BinaryLink
    name = "binomial"
    of_trials, is_counted = True, False
    domain = "proportions between 0 and 1"

    @property
    def link_name(self) -> str:
        return self.link.name

    def is_valid(self, y: FloatArray) -> BoolArray:
        return np.asarray((y >= 0.0) & (y <= 1.0))

    def derivatives(self, y: FloatArray, eta: FloatArray, phi: float, order: int) -> FloatArray:
        return self.link.logs(eta, y, order)

    def constant(self, y: FloatArray, weights: FloatArray) -> float:
        mixed = (y > 0.0) & (y < 1.0)
        w, successes = weights[mixed], weights[mixed] * y[mixed]
        of_each = special.gammaln(successes + 1.0) + special.gammaln(w - successes + 1.0)
        return float((of_each - special.gammaln(w + 1.0)).sum())

    def working_residual(self, y: FloatArray, eta: FloatArray, phi: float) -> FloatArray:
        return self.link.working_residual(eta, y)

    def mean(self, eta: FloatArray) -> FloatArray:
        return self.link.mean(eta)

    def averaged(self, eta: FloatArray, variance: FloatArray) -> FloatArray:
        return self.link.averaged(eta, variance)

    def variance(self, mean: FloatArray, phi: float) -> FloatArray:
        return np.asarray(mean * (1.0 - mean))

    def latent_variance(self, phi: float, mean: Callable[[], float]) -> float:
        return self.link.latent_variance

    def saturated(self, y: FloatArray, phi: float) -> FloatArray:
        return np.asarray(-special.xlogy(y, y) - special.xlogy(1.0 - y, 1.0 - y))

    def tails(
        self, y: FloatArray, eta: FloatArray, phi: float, trials: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        # P(Y > k) = I_μ(k + 1, n − k), with the digits of μ and of 1 − μ
        count, failure = np.rint(trials * y), np.exp(-self.link.logs(eta, 0.0 * eta, 0)[0])
        others = trials - count
        below = special.betainc(others + 1.0, np.maximum(count, 1.0), failure)
        above = special.betainc(count + 1.0, np.maximum(others, 1.0), self.mean(eta))
        return np.where(count > 0.0, below, 0.0), np.where(others > 0.0, above, 0.0)

    def start(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        return self.link.link((y + 0.5) / 2.0)

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, phi: float, weights: FloatArray
    ) -> FloatArray:
        trials = np.rint(weights).astype(np.int64)
        return np.asarray(rng.binomial(trials, self.mean(eta)) / np.maximum(trials, 1))
