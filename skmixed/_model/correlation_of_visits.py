"""Models of correlations that are given by the matrix C of all visits."""

import numpy as np

from skmixed._model.time_points import (
    CorrelationTraits,
    ResidualMoments,
    RowPlaces,
    bounded,
    positive,
    unbounded,
)
from skmixed._typing import BoolArray, FloatArray, IntArray


class _OfVisits(CorrelationTraits):
    """Models whose C is that of all visits, at a subject's own."""

    time = "order"

    def full(self, phi: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
        """Return C of all visits, (m, m), and its derivatives, (c, m, m)."""
        raise NotImplementedError

    def full_curvature(self, phi: FloatArray, weights: FloatArray) -> FloatArray:
        """Return Σ W ∂²C/∂φ∂φ' for weights W of all visits, (m, m); (c, c)."""
        raise NotImplementedError

    def full_mixture(self, phi: FloatArray, m: int, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²C/∂φ_i∂φ_j of all visits, (m, m)."""
        raise NotImplementedError

    def matrix(self, phi: FloatArray, places: RowPlaces, m: int) -> tuple[FloatArray, FloatArray]:
        value, first = self.full(phi, m)
        return places.taken(value), places.taken(first)

    def curvature(
        self, phi: FloatArray, places: RowPlaces, m: int, weights: FloatArray
    ) -> FloatArray:
        return self.full_curvature(phi, places.laid(weights, m))

    def mixture(self, phi: FloatArray, places: RowPlaces, m: int, pairs: FloatArray) -> FloatArray:
        return places.taken(self.full_mixture(phi, m, pairs))


class AnteDependence(_OfVisits):
    """C_ab is the product of the correlations of neighboring visits between a and b."""

    name = "ante_dependence"
    is_markov = True
    most_times = 60
    contained_in = ("unstructured",)

    def count(self, m: int, _steps: int) -> int:
        return m - 1

    def _factors(self, rho: FloatArray) -> tuple[FloatArray, BoolArray]:
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

    def shown_slopes(self, phi: FloatArray, _m: int) -> FloatArray:
        return np.diag(bounded(phi)[1])


class Unstructured(_OfVisits):
    """Any covariance: C = LL' with a unit lower triangular L, whose rows φ fill.

    The standard deviations s are those of each visit given the visits before it.
    """

    name = "unstructured"
    is_heterogeneous = True
    is_any = True
    absorbs_intercept = True
    most_times = 40

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
        return np.asarray(both[np.ix_(rows, rows)] * (columns[:, None] == columns))

    def full_mixture(self, _phi: FloatArray, m: int, pairs: FloatArray) -> FloatArray:
        rows, columns = np.tril_indices(m, -1)
        i, j = np.nonzero(columns[:, None] == columns)
        sums = np.zeros((m, m))
        np.add.at(sums, (rows[i], rows[j]), pairs[i, j])
        return sums + sums.T

    def start(self, moments: ResidualMoments, _steps: IntArray) -> FloatArray:
        lower = np.linalg.cholesky(positive(moments.covariance))
        rows, columns = np.tril_indices(len(lower), -1)
        return (lower / np.diagonal(lower)[:, None])[rows, columns]

    def weakened(self, phi: FloatArray, _m: int, share: float) -> FloatArray:
        return share * phi

    def to_end(self, phi: FloatArray) -> FloatArray:
        return np.full(phi.shape, np.inf)

    def shown(self, phi: FloatArray, m: int) -> dict[str, float]:
        covariance = self.full(phi, m)[0]
        rows, columns = np.tril_indices(m, -1)
        sd = np.sqrt(np.diagonal(covariance))
        names = zip(columns + 1, rows + 1, strict=True)
        # The standard deviations cancel in the correlations.
        values = covariance[rows, columns] / (sd[rows] * sd[columns])
        return {f"corr({a},{b})": float(v) for (a, b), v in zip(names, values, strict=True)}

    def shown_slopes(self, phi: FloatArray, m: int) -> FloatArray:
        covariance, first = self.full(phi, m)
        rows, columns = np.tril_indices(m, -1)
        # ∂r_ab = ∂C_ab/(s_a s_b) − ½ r_ab (∂C_aa/C_aa + ∂C_bb/C_bb)
        own = np.diagonal(covariance)
        relative = np.diagonal(first, axis1=1, axis2=2) / own
        size = np.sqrt(own[rows] * own[columns])
        half = 0.5 * covariance[rows, columns] * (relative[:, rows] + relative[:, columns])
        return np.asarray((first[:, rows, columns] - half) / size).T
