"""Models of the correlation of one subject's residuals.

A further model is a further class here and an entry in `CORRELATIONS`, for which the
tests of this file then run too.

Parameters φ are unbounded. Correlations are φ/√(1 + φ²), and those of compound symmetry
and of distances logistic functions, as in R's mmrm: standard errors by Kenward and
Roger's method with second derivatives depend on the scale of the parameters.
"""

from typing import Protocol

import numpy as np
from scipy.special import expit, log_expit, logit

from skmixed._model.time_points import (
    SHRINK_START,
    START_WITHIN,
    ResidualMoments,
    TimePoints,
    bounded,
    is_positive,
    nth_root,
    positive,
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
    is_heterogeneous : bool
        Whether each visit has a standard deviation of its own in any case.
    """

    name: str
    time: str
    is_heterogeneous: bool

    def count(self, m: int, steps: int) -> int:
        """Count the parameters for m visits that are at most `steps` steps apart."""

    def matrix(self, phi: FloatArray, places: TimePoints, m: int) -> tuple[FloatArray, FloatArray]:
        """Return C, (b, n, n), and its derivatives, (c, b, n, n)."""

    def curvature(
        self, phi: FloatArray, places: TimePoints, m: int, weights: FloatArray
    ) -> FloatArray:
        """Return Σ W ∂²C/∂φ∂φ' over all entries, for weights (b, n, n); (c, c)."""

    def mixture(self, phi: FloatArray, places: TimePoints, m: int, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²C/∂φ_i∂φ_j, for symmetric w, (c, c); (b, n, n)."""

    def start(self, moments: ResidualMoments, steps: IntArray) -> FloatArray:
        """Return parameters to start from; `steps` between the visits, (m, m)."""

    def weakened(self, phi: FloatArray, m: int, share: float) -> FloatArray:
        """Return parameters of correlations that are about a share of these."""

    def shown(self, phi: FloatArray, m: int) -> dict[str, float]:
        """Return the parameters as they are shown, by name."""


class _OfVisits:
    """Models whose C is that of all visits, at a subject's own."""

    time = "order"
    is_heterogeneous = False

    def full(self, phi: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
        """Return C of all visits, (m, m), and its derivatives, (c, m, m)."""
        raise NotImplementedError

    def full_curvature(self, phi: FloatArray, weights: FloatArray) -> FloatArray:
        """Return Σ W ∂²C/∂φ∂φ' for weights W of all visits, (m, m); (c, c)."""
        raise NotImplementedError

    def full_mixture(self, phi: FloatArray, m: int, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²C/∂φ_i∂φ_j of all visits, (m, m)."""
        raise NotImplementedError

    def matrix(self, phi: FloatArray, places: TimePoints, m: int) -> tuple[FloatArray, FloatArray]:
        value, first = self.full(phi, m)
        return places.taken(value), places.taken(first)

    def curvature(
        self, phi: FloatArray, places: TimePoints, m: int, weights: FloatArray
    ) -> FloatArray:
        return self.full_curvature(phi, places.laid(weights, m))

    def mixture(self, phi: FloatArray, places: TimePoints, m: int, pairs: FloatArray) -> FloatArray:
        return places.taken(self.full_mixture(phi, m, pairs))


class _OfDistance:
    """Models whose C is a function of the distance in time, with one parameter."""

    time = "distance"
    is_heterogeneous = False

    def count(self, _m: int, _steps: int) -> int:
        return 1

    def along(self, phi: float, distance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the correlation at distances, and its derivatives."""
        raise NotImplementedError

    def matrix(self, phi: FloatArray, places: TimePoints, _m: int) -> tuple[FloatArray, FloatArray]:
        value, first, _ = self.along(float(phi[0]), places.distance)
        return value, first[None]

    def curvature(
        self, phi: FloatArray, places: TimePoints, _m: int, weights: FloatArray
    ) -> FloatArray:
        second = self.along(float(phi[0]), places.distance)[2]
        return np.array([[np.vdot(second, weights)]])

    def mixture(
        self, phi: FloatArray, places: TimePoints, _m: int, pairs: FloatArray
    ) -> FloatArray:
        return np.asarray(pairs[0, 0] * self.along(float(phi[0]), places.distance)[2])


class Independent:
    """C = I."""

    name = "independent"
    time = "none"
    is_heterogeneous = False

    def count(self, _m: int, _steps: int) -> int:
        return 0

    def matrix(
        self, _phi: FloatArray, places: TimePoints, _m: int
    ) -> tuple[FloatArray, FloatArray]:
        out = np.broadcast_to(np.eye(places.shape[1]), places.shape)
        return out, np.empty((0, *places.shape))

    def curvature(
        self, _phi: FloatArray, _places: TimePoints, _m: int, _weights: FloatArray
    ) -> FloatArray:
        return np.empty((0, 0))

    def mixture(
        self, _phi: FloatArray, places: TimePoints, _m: int, _pairs: FloatArray
    ) -> FloatArray:
        return np.zeros(places.shape)

    def start(self, _moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        return np.empty(0)

    def weakened(self, phi: FloatArray, _m: int, _share: float) -> FloatArray:
        return phi

    def shown(self, _phi: FloatArray, _m: int) -> dict[str, float]:
        return {}


class CompoundSymmetry:
    """One correlation ρ for all pairs, on (−1/(m − 1), 1)."""

    name = "compound_symmetry"
    time = "none"
    is_heterogeneous = False

    def count(self, _m: int, _steps: int) -> int:
        return 1

    def _rho(self, phi: FloatArray, m: int) -> tuple[float, float, float]:
        """Return ρ and its derivatives."""
        share, width = float(expit(phi[0])), 1.0 + 1.0 / max(m - 1, 1)
        slope = share * (1.0 - share)
        return width * share + 1.0 - width, width * slope, width * slope * (1.0 - 2.0 * share)

    def matrix(self, phi: FloatArray, places: TimePoints, m: int) -> tuple[FloatArray, FloatArray]:
        rho, slope, _ = self._rho(phi, m)
        off = np.broadcast_to(1.0 - np.eye(places.shape[1]), places.shape)
        return 1.0 - off + rho * off, slope * off[None]

    def curvature(
        self, phi: FloatArray, places: TimePoints, m: int, weights: FloatArray
    ) -> FloatArray:
        off = 1.0 - np.eye(places.shape[1])
        return np.array([[self._rho(phi, m)[2] * float((weights * off).sum())]])

    def mixture(self, phi: FloatArray, places: TimePoints, m: int, pairs: FloatArray) -> FloatArray:
        off = 1.0 - np.eye(places.shape[1])
        return np.broadcast_to(pairs[0, 0] * self._rho(phi, m)[2] * off, places.shape)

    def start(self, moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        m = len(moments.covariance)
        width = 1.0 + 1.0 / max(m - 1, 1)
        share = (moments.neighbor - 1.0 + width) / width
        return logit(np.clip([share], START_WITHIN, 1.0 - START_WITHIN))

    def weakened(self, phi: FloatArray, m: int, share: float) -> FloatArray:
        width = 1.0 + 1.0 / max(m - 1, 1)
        return logit(np.array([(share * self._rho(phi, m)[0] - 1.0 + width) / width]))

    def shown(self, phi: FloatArray, m: int) -> dict[str, float]:
        return {"corr": self._rho(phi, m)[0]}


class Autoregressive(_OfDistance):
    """ρ^k at k steps; ρ may be negative."""

    name = "ar1"
    time = "steps"

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


class Exponential(_OfDistance):
    """ρ^t at distance t, 0 < ρ < 1: SAS's ``sp(exp)``, nlme's ``corCAR1``."""

    name = "exponential"
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
        return np.array([-np.log(np.expm1(min(-log_rho, 600.0)))])

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        log_rho = np.log(share) + log_expit(phi)
        return log_rho - np.log1p(-np.exp(log_rho))

    def shown(self, phi: FloatArray, _m: int) -> dict[str, float]:
        log_rho = -float(np.logaddexp(0.0, -phi[0]))
        return {"corr": float(np.exp(log_rho)), "range": (-1.0 / log_rho) ** (1.0 / self.exponent)}


class Gaussian(Exponential):
    """ρ^(t²) at distance t: SAS's ``sp(gau)``."""

    name = "gaussian"
    exponent = 2.0


class Toeplitz:
    """A correlation for each number of steps."""

    name = "toeplitz"
    time = "steps"
    is_heterogeneous = False

    def count(self, _m: int, steps: int) -> int:
        return steps

    def matrix(self, phi: FloatArray, places: TimePoints, _m: int) -> tuple[FloatArray, FloatArray]:
        rho, slope, _ = bounded(phi)
        lag = np.rint(places.distance).astype(int)
        first = (lag == np.arange(1, len(phi) + 1)[:, None, None, None]).astype(float)
        return np.concatenate([[1.0], rho])[lag], slope[:, None, None, None] * first

    def curvature(
        self, phi: FloatArray, places: TimePoints, _m: int, weights: FloatArray
    ) -> FloatArray:
        lag = np.rint(places.distance).astype(int)
        sums = np.bincount(lag.ravel(), np.ravel(weights), len(phi) + 1)[1:]
        return np.diag(bounded(phi)[2] * sums)

    def mixture(
        self, phi: FloatArray, places: TimePoints, _m: int, pairs: FloatArray
    ) -> FloatArray:
        lag = np.rint(places.distance).astype(int)
        return np.concatenate([[0.0], np.diagonal(pairs) * bounded(phi)[2]])[lag]

    def start(self, moments: ResidualMoments, steps: IntArray) -> FloatArray:
        rho = np.zeros(int(steps.max()))
        of_lags = moments.mean_correlation(steps)
        rho[: len(of_lags)] = of_lags
        places = np.concatenate([[1.0], rho])
        shrinkage = 1.0
        while not is_positive(places[steps] * shrinkage ** (steps > 0)):
            shrinkage *= SHRINK_START
        return unbounded(rho * shrinkage)

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        return unbounded(share * bounded(phi)[0])

    def shown(self, phi: FloatArray, _m: int) -> dict[str, float]:
        return {f"corr({k})": float(rho) for k, rho in enumerate(bounded(phi)[0], start=1)}


class AnteDependence(_OfVisits):
    """C_ab is the product of the correlations of neighboring visits between a and b."""

    name = "ante_dependence"

    def count(self, m: int, _steps: int) -> int:
        return m - 1

    def _factors(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ρ_k, or 1, of each pair of visits, and if step k lies between; (m−1, m, m)."""
        m, k = len(rho) + 1, np.arange(len(rho))[:, None, None]
        visit = np.arange(m)
        low, high = np.minimum.outer(visit, visit), np.maximum.outer(visit, visit)
        inside = (low <= k) & (k < high)
        return np.where(inside, rho[:, None, None], 1.0), inside

    def full(self, phi: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
        rho, slope, _ = bounded(phi)
        factors, inside = self._factors(rho)
        # Products of all factors but one: none is divided by.
        without = np.where(np.eye(m - 1, dtype=bool)[:, :, None, None], 1.0, factors)
        return factors.prod(axis=0), without.prod(axis=1) * inside * slope[:, None, None]

    def _second(self, phi: FloatArray) -> FloatArray:
        """Return the second derivatives of C of all visits, (c, c, m, m)."""
        rho, slope, bend = bounded(phi)
        factors, inside = self._factors(rho)
        pair, k = np.eye(len(phi), dtype=bool), np.arange(len(phi))
        # Products of all factors but two, or but one where it is the same twice
        left_out = (pair[:, None, :] | pair[None, :, :])[..., None, None]
        second = np.where(left_out, 1.0, factors).prod(axis=2) * (inside[:, None] & inside)
        own = second[k, k] * bend[:, None, None]
        second = second * np.outer(slope, slope)[:, :, None, None]
        second[k, k] = own
        return second

    def full_curvature(self, phi: FloatArray, weights: FloatArray) -> FloatArray:
        return np.asarray(np.tensordot(self._second(phi), weights, 2))

    def full_mixture(self, phi: FloatArray, _m: int, pairs: FloatArray) -> FloatArray:
        return np.asarray(np.tensordot(pairs, self._second(phi), 2))

    def start(self, moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        return unbounded(np.diagonal(moments.correlation, 1))

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        return unbounded(share * bounded(phi)[0])

    def shown(self, phi: FloatArray, m: int) -> dict[str, float]:
        rho = bounded(phi)[0]
        return {f"corr({k},{k + 1})": float(rho[k - 1]) for k in range(1, m)}


class Unstructured(_OfVisits):
    """Any covariance: C = LL' with a unit lower triangular L, whose rows φ fill.

    The standard deviations s are those of each visit given the visits before it.
    """

    name = "unstructured"
    is_heterogeneous = True

    def count(self, m: int, _steps: int) -> int:
        return m * (m - 1) // 2

    def full(self, phi: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
        rows, columns = np.tril_indices(m, -1)
        lower = np.eye(m)
        lower[rows, columns] = phi
        # E_ij L' + L E_ji
        half = np.zeros((len(phi), m, m))
        half[np.arange(len(phi)), rows] = lower[:, columns].T
        return lower @ lower.T, half + half.transpose(0, 2, 1)

    # ∂²C/∂φ_ij∂φ_kl = E_ik + E_ki where j = l, else 0.

    def full_curvature(self, _phi: FloatArray, weights: FloatArray) -> FloatArray:
        rows, columns = np.tril_indices(len(weights), -1)
        both = weights + weights.T
        return both[np.ix_(rows, rows)] * (columns[:, None] == columns)

    def full_mixture(self, _phi: FloatArray, m: int, pairs: FloatArray) -> FloatArray:
        rows, columns = np.tril_indices(m, -1)
        i, j = np.nonzero(columns[:, None] == columns)
        sums = np.bincount(rows[i] * m + rows[j], pairs[i, j], m * m).reshape(m, m)
        return sums + sums.T

    def start(self, moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        lower = np.linalg.cholesky(positive(moments.covariance))
        rows, columns = np.tril_indices(len(lower), -1)
        return (lower / np.diagonal(lower)[:, None])[rows, columns]

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        return share * phi

    def shown(self, phi: FloatArray, m: int) -> dict[str, float]:
        covariance = self.full(phi, m)[0]
        rows, columns = np.tril_indices(m, -1)
        sd = np.sqrt(np.diagonal(covariance))
        names = zip(columns + 1, rows + 1, strict=True)
        # The standard deviations cancel in the correlations.
        values = covariance[rows, columns] / (sd[rows] * sd[columns])
        return {f"corr({a},{b})": float(v) for (a, b), v in zip(names, values, strict=True)}


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
