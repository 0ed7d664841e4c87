"""The covariance of the residuals: standard deviations, correlations and strata.

The covariance of the residuals of one subject at times a and b is

    R_ab = s_a s_b C_ab,    log s_a = Σ_k ℓ_ak φ_k,

with a model of C (`correlation`) and one of the standard deviations s, linear in its
parameters on the log scale. Each stratum has parameters of its own. A further model of
s is an entry of `VARIANCES`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._model.correlation import CorrelationModel, Unstructured
from skmixed._model.time_points import ResidualMoments, TimePoints, positive
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class Variance:
    """A model of the standard deviations s of the rows.

    Attributes
    ----------
    name : str
    count : callable
        From the number of visits to that of parameters.
    exponents : callable
        From places and the number of visits to ℓ, (v, b, n).
    levels : callable
        From the number of visits to what log c adds to the parameters if all s are
        multiplied by c.
    """

    name: str
    count: Callable[[int], int]
    exponents: Callable[[TimePoints, int], FloatArray]
    levels: Callable[[int], FloatArray]


def _of_visits(places: TimePoints, m: int) -> FloatArray:
    return (places.visit == np.arange(m)[:, None, None]).astype(float)


def _of_power(places: TimePoints, m: int) -> FloatArray:  # noqa: ARG001
    return np.stack([np.ones(places.visit.shape), places.covariate])


VARIANCES = {
    own.name: own
    for own in (
        Variance(
            "constant",
            lambda _: 1,
            lambda places, _: np.ones((1, *places.visit.shape)),
            lambda _: np.ones(1),
        ),
        Variance("visits", lambda m: m, _of_visits, np.ones),
        Variance("power", lambda _: 2, _of_power, lambda _: np.array([1.0, 0.0])),
    )
}


@dataclass(frozen=True)
class Residual:
    """The covariance of the residuals of one subject, in each stratum.

    Attributes
    ----------
    correlation : CorrelationModel
    variance : Variance
    steps : (m,) array of int
        The time of each visit in steps; m is the number of visits, or without times that
        of the rows of the largest subject.
    n_strata : int
    """

    correlation: CorrelationModel
    variance: Variance
    steps: IntArray
    n_strata: int

    @property
    def m(self) -> int:
        return len(self.steps)

    @property
    def n_variances(self) -> int:
        """Parameters of the standard deviations of one stratum."""
        return self.variance.count(self.m)

    @property
    def n_own(self) -> int:
        """Parameters of one stratum."""
        last = int(self.steps[-1]) if len(self.steps) else 0
        return self.n_variances + self.correlation.count(self.m, last)

    @property
    def n_phi(self) -> int:
        return self.n_own * self.n_strata

    @property
    def is_of_visits(self) -> bool:
        """Whether R of a subject depends on nothing but its visits."""
        return self.correlation.time in ("order", "steps") and self.variance.name != "power"

    @property
    def all_visits(self) -> TimePoints:
        """A subject with all visits."""
        zeros = np.zeros((1, self.m))
        return TimePoints(np.arange(self.m)[None], self.steps[None].astype(float), zeros)

    def of_stratum(self, stratum: int) -> slice:
        """Return the places of a stratum's parameters."""
        return slice(stratum * self.n_own, (stratum + 1) * self.n_own)

    def split(self, own: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the parameters of the standard deviations, and those of C."""
        return own[: self.n_variances], own[self.n_variances :]

    def evaluate(self, own: FloatArray, places: TimePoints) -> "ResidualAt":
        """Return R of subjects at one stratum's parameters, with what its derivatives need."""
        of_sd, of_corr = self.split(own)
        row = self.variance.exponents(places, self.m)
        log_sd = np.tensordot(of_sd, row, 1)
        sizes = np.exp(log_sd[:, :, None] + log_sd[:, None, :])
        matrix, slopes = self.correlation.matrix(of_corr, places, self.m)
        return ResidualAt(self, places, of_corr, row, sizes, sizes * matrix, slopes)

    def scaled(self, phi: FloatArray, factor: float) -> FloatArray:
        """Return the parameters with which all standard deviations are multiplied."""
        own = np.zeros(self.n_own)
        own[: self.n_variances] = np.log(factor) * self.variance.levels(self.m)
        return phi + np.tile(own, self.n_strata)

    def start(self, moments: ResidualMoments) -> FloatArray:
        """Return parameters of one stratum to start from, by the moments of its residuals."""
        steps = np.abs(self.steps[:, None] - self.steps)
        of_corr = self.correlation.start(moments, steps)
        sd = moments.sd
        if self.correlation.name == Unstructured.name:
            sd = np.diagonal(np.linalg.cholesky(positive(moments.covariance)))
        if self.variance.name != "visits":
            counts = np.diagonal(moments.counts)
            sd = np.sqrt(np.average(sd**2, weights=np.maximum(counts, 1e-300)))
        of_sd = np.zeros(self.n_variances)
        of_sd[: np.size(sd)] = np.log(sd)
        return np.concatenate([of_sd, of_corr])


@dataclass(frozen=True)
class ResidualAt:
    """R of some subjects at the parameters of their stratum.

    Attributes
    ----------
    residual : Residual
    places : TimePoints
    of_corr : (c,) array
    row : (v, b, n) array
        ℓ.
    sizes : (b, n, n) array
        s_a s_b.
    value : (b, n, n) array
        R.
    slopes : (c, b, n, n) array
        ∂C/∂φ.
    """

    residual: Residual
    places: TimePoints
    of_corr: FloatArray
    row: FloatArray
    sizes: FloatArray
    value: FloatArray
    slopes: FloatArray

    @property
    def exponents(self) -> FloatArray:
        """∂ log(s_a s_b)/∂φ_k = ℓ_ak + ℓ_bk, (v, b, n, n)."""
        return self.row[:, :, :, None] + self.row[:, :, None, :]

    @property
    def first(self) -> FloatArray:
        """∂R/∂φ of the stratum, (d, b, n, n)."""
        return np.concatenate([self.exponents * self.value, self.sizes * self.slopes])

    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return Σ W ∂²R/∂φ∂φ' over all entries for symmetric weights, (b, n, n); (d, d)."""
        # ℓ_k ℓ_l R of two standard deviations, ℓ_k ss'∂C of one, ss'∂²C of none
        v, exponents = len(self.row), self.exponents.reshape(len(self.row), -1)
        weighted, entries = exponents * np.ravel(weights * self.value), self.value.size
        slopes = self.slopes.reshape(len(self.slopes), entries)
        mixed = (exponents * np.ravel(weights * self.sizes)) @ slopes.T
        out = np.empty((v + len(self.slopes),) * 2)
        out[:v, :v], out[:v, v:], out[v:, :v] = weighted @ exponents.T, mixed, mixed.T
        out[v:, v:] = self.residual.correlation.curvature(
            self.of_corr, self.places, self.residual.m, weights * self.sizes
        )
        return out

    def mixture(self, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²R/∂φ_i∂φ_j for symmetric w, (d, d); (b, n, n)."""
        v, exponents = len(self.row), self.exponents
        of_sds = np.einsum("kbxy,kbxy->bxy", np.tensordot(pairs[:v, :v], exponents, 1), exponents)
        mixed = np.tensordot(pairs[:v, v:], self.slopes, 1)
        of_both = 2.0 * np.einsum("kbxy,kbxy->bxy", exponents, mixed)
        of_corr = self.residual.correlation.mixture(
            self.of_corr, self.places, self.residual.m, pairs[v:, v:]
        )
        return np.asarray(of_sds * self.value + self.sizes * (of_both + of_corr))
