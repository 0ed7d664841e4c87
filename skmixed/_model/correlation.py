"""Models of the correlation of one subject's residuals.

A further model is a further class here, or in `correlation_of_visits`, and an entry in
`CORRELATIONS`, for which the tests of this file then run too.

Parameters φ are unbounded. Correlations are φ/√(1 + φ²), and those of compound symmetry
and of distances logistic functions, as in R's mmrm: standard errors by Kenward and
Roger's method with second derivatives depend on the scale of the parameters.
"""

from typing import Protocol

import numpy as np
from scipy.special import expit, log_expit, logit

from skmixed._model.correlation_of_visits import AnteDependence, Unstructured
from skmixed._model.residual_coordinates import partial_autocorrelations
from skmixed._model.time_points import (
    BOUNDARY,
    SHRINK_START,
    START_WITHIN,
    CorrelationTraits,
    ResidualMoments,
    RowPlaces,
    bounded,
    is_positive,
    nth_root,
    power,
    unbounded,
)
from skmixed._typing import FloatArray, IntArray


class CorrelationModel(Protocol):
    """A model of the matrix C of one subject.

    Attributes
    ----------
    name : str
    time : str
        What it is a function of: "none", the "order" of visits, the "steps" between
        them, or the "distance" of times that are numbers.
    is_correlated, is_heterogeneous, … :
        Those of `CorrelationTraits`.
    """

    name: str
    time: str
    is_correlated: bool
    is_heterogeneous: bool
    is_any: bool
    is_by_lag: bool
    is_markov: bool
    is_positive: bool
    has_any_time: bool
    absorbs_intercept: bool

    @property
    def most_times(self) -> int | None:
        """That of `CorrelationTraits`."""

    @property
    def contained_in(self) -> tuple[str, ...]:
        """That of `CorrelationTraits`."""

    def count(self, m: int, steps: int) -> int:
        """Count the parameters for m visits that are at most `steps` steps apart."""

    def matrix(self, phi: FloatArray, places: RowPlaces, m: int) -> tuple[FloatArray, FloatArray]:
        """Return the entries of C that places ask for, and their derivatives, (c, …)."""

    def curvature(
        self, phi: FloatArray, places: RowPlaces, m: int, weights: FloatArray
    ) -> FloatArray:
        """Return Σ W ∂²C/∂φ∂φ' over these entries, for weights W of each; (c, c)."""

    def mixture(self, phi: FloatArray, places: RowPlaces, m: int, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²C/∂φ_i∂φ_j of these entries, for symmetric w, (c, c)."""

    def start(self, moments: ResidualMoments, steps: IntArray) -> FloatArray:
        """Return parameters to start from; `steps` are the times of the visits, (m,)."""

    def weakened(self, phi: FloatArray, m: int, share: float) -> FloatArray:
        """Return parameters of correlations that are about a share of these."""

    def most_rows(self, phi: FloatArray, m: int) -> float:
        """Return that of `CorrelationTraits`."""

    def to_end(self, phi: FloatArray) -> FloatArray:
        """Return that of `CorrelationTraits`."""

    def shown(self, phi: FloatArray, m: int) -> dict[str, float]:
        """Return the parameters as they are shown, by name."""

    def shown_slopes(self, phi: FloatArray, m: int) -> FloatArray:
        """Return the derivatives of these, in their order, (k, c)."""


class _OfDistance(CorrelationTraits):
    """Models whose C is a function of the distance in time, with one parameter."""

    time = "distance"
    is_markov = True
    has_any_time = True

    def count(self, _m: int, _steps: int) -> int:
        return 1

    def along(self, phi: float, distance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the correlation at distances, and its derivatives."""
        raise NotImplementedError

    def matrix(self, phi: FloatArray, places: RowPlaces, _m: int) -> tuple[FloatArray, FloatArray]:
        value, first, _ = self.along(float(phi[0]), places.distance)
        return value, first[None]

    def curvature(
        self, phi: FloatArray, places: RowPlaces, _m: int, weights: FloatArray
    ) -> FloatArray:
        second = self.along(float(phi[0]), places.distance)[2]
        return np.array([[np.vdot(second, weights)]])

    def mixture(self, phi: FloatArray, places: RowPlaces, _m: int, pairs: FloatArray) -> FloatArray:
        return np.asarray(pairs[0, 0] * self.along(float(phi[0]), places.distance)[2])


class Independent(CorrelationTraits):
    """C = I."""

    name = "independent"
    time = "none"
    is_markov = True
    is_correlated = False
    has_any_time = True

    def count(self, _m: int, _steps: int) -> int:
        return 0

    def matrix(self, _phi: FloatArray, places: RowPlaces, _m: int) -> tuple[FloatArray, FloatArray]:
        return places.identity, np.empty((0, *places.shape))

    def curvature(
        self, _phi: FloatArray, _places: RowPlaces, _m: int, _weights: FloatArray
    ) -> FloatArray:
        return np.empty((0, 0))

    def mixture(
        self, _phi: FloatArray, places: RowPlaces, _m: int, _pairs: FloatArray
    ) -> FloatArray:
        return np.zeros(places.shape)

    def start(self, _moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        return np.empty(0)

    def weakened(self, phi: FloatArray, _m: int, _share: float) -> FloatArray:
        return phi

    def shown(self, _phi: FloatArray, _m: int) -> dict[str, float]:
        return {}

    def shown_slopes(self, _phi: FloatArray, _m: int) -> FloatArray:
        return np.empty((0, 0))


class CompoundSymmetry(CorrelationTraits):
    """One correlation ρ for all pairs, on (−1/(m − 1), 1)."""

    name = "compound_symmetry"
    time = "none"
    has_any_time = True
    absorbs_intercept = True
    contained_in = ("toeplitz", "unstructured")

    def count(self, _m: int, _steps: int) -> int:
        return 1

    def _rho(self, phi: FloatArray, m: int) -> tuple[float, float, float]:
        """Return ρ and its derivatives."""
        share, width = float(expit(phi[0])), 1.0 + 1.0 / max(m - 1, 1)
        slope = share * (1.0 - share)
        return width * share + 1.0 - width, width * slope, width * slope * (1.0 - 2.0 * share)

    def matrix(self, phi: FloatArray, places: RowPlaces, m: int) -> tuple[FloatArray, FloatArray]:
        rho, slope, _ = self._rho(phi, m)
        off = 1.0 - places.identity
        return 1.0 - off + rho * off, slope * off[None]

    def curvature(
        self, phi: FloatArray, places: RowPlaces, m: int, weights: FloatArray
    ) -> FloatArray:
        off = 1.0 - places.identity
        return np.array([[self._rho(phi, m)[2] * float((weights * off).sum())]])

    def mixture(self, phi: FloatArray, places: RowPlaces, m: int, pairs: FloatArray) -> FloatArray:
        off = 1.0 - places.identity
        return np.asarray(pairs[0, 0] * self._rho(phi, m)[2] * off)

    def start(self, moments: ResidualMoments, steps: IntArray) -> FloatArray:
        m = len(steps)
        width = 1.0 + 1.0 / max(m - 1, 1)
        share = (moments.neighbor - 1.0 + width) / width
        return logit(np.clip([share], START_WITHIN, 1.0 - START_WITHIN))

    def weakened(self, phi: FloatArray, m: int, share: float) -> FloatArray:
        width = 1.0 + 1.0 / max(m - 1, 1)
        return logit(np.array([(share * self._rho(phi, m)[0] - 1.0 + width) / width]))

    def most_rows(self, phi: FloatArray, m: int) -> float:
        # ρ > −1/(n − 1)
        rho = self._rho(phi, m)[0]
        return np.inf if rho >= 0 else max(float(m), np.ceil(-1.0 / rho))

    def to_end(self, phi: FloatArray) -> FloatArray:
        return np.where(expit(-np.abs(phi)) < BOUNDARY**2, 1.0, np.inf)

    def shown(self, phi: FloatArray, m: int) -> dict[str, float]:
        return {"corr": self._rho(phi, m)[0]}

    def shown_slopes(self, phi: FloatArray, m: int) -> FloatArray:
        return np.array([[self._rho(phi, m)[1]]])


class Autoregressive(_OfDistance):
    """ρ^k at k steps; ρ may be negative."""

    name = "ar1"
    time = "steps"
    contained_in = ("toeplitz", "ante_dependence", "unstructured")

    def along(self, phi: float, distance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        rho, slope, bend = (float(own[0]) for own in bounded(np.array([phi])))
        # (ρ^k)' = kρ^(k−1)ρ', (ρ^k)'' = k(k−1)ρ^(k−2)ρ'² + kρ^(k−1)ρ''
        low, least = np.maximum(distance - 1.0, 0.0), np.maximum(distance - 2.0, 0.0)
        first = distance * power(rho, low)
        second = distance * (distance - 1.0) * power(rho, least)
        return power(rho, distance), slope * first, slope**2 * second + bend * first

    def start(self, moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        return unbounded(nth_root(moments.neighbor, moments.gap))

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        return unbounded(share * bounded(phi)[0])

    def shown(self, phi: FloatArray, _m: int) -> dict[str, float]:
        return {"corr": float(bounded(phi)[0][0])}

    def shown_slopes(self, phi: FloatArray, _m: int) -> FloatArray:
        return np.diag(bounded(phi)[1])


class Exponential(_OfDistance):
    """ρ^t at distance t, 0 < ρ < 1: SAS's ``sp(exp)``, nlme's ``corCAR1``."""

    name = "exponential"
    is_positive = True
    exponent = 1.0

    def along(self, phi: float, distance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        t = distance**self.exponent
        # log ρ = −log(1 + e^−φ), whose derivatives are 1 − ρ and −ρ(1 − ρ).
        rho = float(expit(phi))
        value = np.exp(-np.logaddexp(0.0, -phi) * t)
        slope = (1.0 - rho) * t
        return value, slope * value, (slope**2 - rho * slope) * value

    def start(self, moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        near = float(np.clip(moments.neighbor, START_WITHIN, 1.0 - START_WITHIN))
        # ρ = r^(1/gap), logit ρ = −log(1/ρ − 1)
        log_rho = np.log(near) / max(moments.gap, np.finfo(float).tiny) ** self.exponent
        return np.array([log_rho - np.log1p(-np.exp(log_rho))])

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        log_rho = np.log(share) + log_expit(phi)
        return log_rho - np.log1p(-np.exp(log_rho))

    def to_end(self, phi: FloatArray) -> FloatArray:
        # The unit of distances is any: of small ones ρ < 1e-300 is a correlation.
        return np.where(expit(-np.abs(phi)) < BOUNDARY**2, np.maximum(-phi, 1.0), np.inf)

    def shown(self, phi: FloatArray, _m: int) -> dict[str, float]:
        log_rho = -float(np.logaddexp(0.0, -phi[0]))
        return {"corr": float(np.exp(log_rho)), "range": (-1.0 / log_rho) ** (1.0 / self.exponent)}

    def shown_slopes(self, phi: FloatArray, m: int) -> FloatArray:
        # ∂ log ρ = 1 − ρ, ∂ log range = (1 − ρ)/(−e log ρ) for range = (−1/log ρ)^(1/e)
        rho, size = self.shown(phi, m).values()
        rest = float(expit(-phi[0]))
        of_range = rest / (self.exponent * float(np.logaddexp(0.0, -phi[0])))
        return np.array([[rho * rest], [size * of_range]])


class Gaussian(Exponential):
    """ρ^(t²) at distance t: SAS's ``sp(gau)``."""

    name = "gaussian"
    exponent = 2.0
    is_markov = False


class Toeplitz(CorrelationTraits):
    """A correlation for each number of steps, of a C of all of them that is positive definite."""

    name = "toeplitz"
    time = "steps"
    is_by_lag = True
    absorbs_intercept = True
    most_times = 120
    contained_in = ("unstructured",)

    def count(self, _m: int, steps: int) -> int:
        return steps

    def matrix(self, phi: FloatArray, places: RowPlaces, _m: int) -> tuple[FloatArray, FloatArray]:
        rho, slope, _ = bounded(phi)
        lag = np.rint(places.distance).astype(int)
        first = (lag == np.arange(1, len(phi) + 1)[:, None, None, None]).astype(float)
        return np.concatenate([[1.0], rho])[lag], slope[:, None, None, None] * first

    def curvature(
        self, phi: FloatArray, places: RowPlaces, _m: int, weights: FloatArray
    ) -> FloatArray:
        lag = np.rint(places.distance).astype(int)
        sums = np.bincount(lag.ravel(), np.ravel(weights), len(phi) + 1)[1:]
        return np.diag(bounded(phi)[2] * sums)

    def mixture(self, phi: FloatArray, places: RowPlaces, _m: int, pairs: FloatArray) -> FloatArray:
        lag = np.rint(places.distance).astype(int)
        return np.concatenate([[0.0], np.diagonal(pairs) * bounded(phi)[2]])[lag]

    def start(self, moments: ResidualMoments, steps: IntArray) -> FloatArray:
        lags = np.abs(steps[:, None] - steps)
        rho = np.zeros(int(lags.max()))
        of_lags = moments.mean_correlation(lags)
        rho[: len(of_lags)] = np.clip(of_lags, START_WITHIN - 1.0, 1.0 - START_WITHIN)
        places, every = np.concatenate([[1.0], rho]), np.arange(len(rho) + 1)
        every = np.abs(every[:, None] - every)
        shrinkage = 1.0
        while not is_positive(places[every] * shrinkage ** (every > 0)):
            shrinkage *= SHRINK_START
        return unbounded(rho * shrinkage)

    def to_end(self, phi: FloatArray) -> FloatArray:
        # The variance given k values before, Π(1 − π²), and u = π/√(1 − π²)
        pi = partial_autocorrelations(bounded(phi)[0])
        left = (1.0 - pi) * (1.0 + pi)
        size = np.maximum(np.abs(pi) / np.sqrt(left), 1.0)
        return np.where(np.cumprod(left) < BOUNDARY**2, size, np.inf)

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        return unbounded(share * bounded(phi)[0])

    def shown(self, phi: FloatArray, _m: int) -> dict[str, float]:
        return {f"corr({k})": float(rho) for k, rho in enumerate(bounded(phi)[0], start=1)}

    def shown_slopes(self, phi: FloatArray, _m: int) -> FloatArray:
        return np.diag(bounded(phi)[1])


CORRELATIONS: dict[str, CorrelationModel] = {
    model.name: model
    for model in (
        Independent(),
        CompoundSymmetry(),
        Autoregressive(),
        Exponential(),
        Gaussian(),
        Toeplitz(),
        AnteDependence(),
        Unstructured(),
    )
}
