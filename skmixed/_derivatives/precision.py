"""The inverse of R where a row depends on those before it through the last of them alone.

With z = x/s, and r the correlation of a row with the one before it in time,

    x'R⁻¹x = Σ_t z_t² + Σ_t [f(z_{t−1}² + z_t²) − 2g z_{t−1}z_t],    f = r²/(1 − r²),
    log|R| = 2 Σ_t log s_t + Σ_t log(1 − r²),                        g = r/(1 − r²).

So R⁻¹ has entries of rows and of neighbors, and these derivatives, and rows and pairs of
neighbors with the same places share them: they are of one class.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from skmixed._model.residual import Residual
from skmixed._model.time_points import RowPairs, TimePoints
from skmixed._typing import BoolArray, FloatArray


@dataclass(frozen=True)
class PrecisionClasses:
    """The classes of the rows and of the neighbors of one stratum.

    Attributes
    ----------
    residual : Residual
    rows : TimePoints
        Of shape (r, 1).
    pairs : RowPairs
        Of c pairs, the earlier row first.
    row_counts, pair_counts : (r,) and (c,) arrays
        How many there are of each class.
    """

    residual: Residual
    rows: TimePoints
    pairs: RowPairs
    row_counts: FloatArray
    pair_counts: FloatArray

    def at(self, own: FloatArray) -> "PrecisionAt":
        """Evaluate at the parameters of the stratum; a LinAlgError where R is singular."""
        residual = self.residual
        of_sd, of_corr = residual.split(own)
        correlation, slopes = residual.correlation.matrix(of_corr, self.pairs, residual.m)
        if not (np.abs(correlation) < 1.0).all():
            raise np.linalg.LinAlgError("neighbors with a correlation of 1")
        return PrecisionAt(self, of_sd, of_corr, correlation, slopes)

    @cached_property
    def exponents(self) -> FloatArray:
        """∂ log of the scale of each entry by the parameters of s, (v, r + 3c)."""
        own, m = self.residual.variance.exponents, self.residual.m
        rows, pairs = own(self.rows, m)[:, :, 0], own(self.pairs, m)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        return -np.concatenate([2.0 * rows, 2.0 * first, 2.0 * second, first + second], axis=1)

    def of_entries(self, of_pairs: FloatArray) -> FloatArray:
        """Return values of pairs, (…, c), for each entry: 0 for those of rows, (…, r + 3c)."""
        zeros = np.zeros((*of_pairs.shape[:-1], len(self.row_counts)))
        return np.concatenate([zeros, of_pairs, of_pairs, of_pairs], axis=-1)

    def of_rows(self, values: FloatArray) -> FloatArray:
        """Return values of rows, (r,), among those of entries: 0 for pairs, (r + 3c,)."""
        return np.append(values, np.zeros(3 * len(self.pair_counts)))

    def of_pairs(self, of_entries: FloatArray) -> FloatArray:
        """Add up values of entries, (r + 3c,), over those of each pair, (c,)."""
        return of_entries[len(self.row_counts) :].reshape(3, -1).sum(axis=0)


@dataclass(frozen=True)
class PrecisionAt:
    """The entries of R⁻¹ in one stratum at its parameters, class by class.

    They are those of rows, 1/s²; then of pairs a, b those added to a's own, f/s_a², to
    b's own, f/s_b², and the one between them, −g/(s_a s_b).

    Attributes
    ----------
    classes : PrecisionClasses
    of_sd, of_corr : arrays
        The parameters.
    correlation : (c,) array
        r.
    slopes : (k, c) array
        ∂r by the parameters of C.
    """

    classes: PrecisionClasses
    of_sd: FloatArray
    of_corr: FloatArray
    correlation: FloatArray
    slopes: FloatArray

    @cached_property
    def _scale(self) -> FloatArray:
        return np.exp(self.of_sd @ self.classes.exponents)

    def _scaled(self, rows: float, f: FloatArray, g: FloatArray) -> FloatArray:
        """Return entries of f and g, (r + 3c,)."""
        of_rows = np.full(len(self.classes.row_counts), rows)
        return self._scale * np.concatenate([of_rows, f, f, -g])

    @cached_property
    def _left(self) -> FloatArray:
        """1 − r²."""
        return (1.0 - self.correlation) * (1.0 + self.correlation)

    @cached_property
    def value(self) -> FloatArray:
        """The entries, (r + 3c,)."""
        r, left = self.correlation, self._left
        return self._scaled(1.0, r**2 / left, r / left)

    @cached_property
    def _by_correlation(self) -> FloatArray:
        """Derivatives of the entries by r."""
        r, squares = self.correlation, self._left**2
        return self._scaled(0.0, 2.0 * r / squares, (1.0 + r**2) / squares)

    def _by_correlation_twice(self) -> FloatArray:
        r, cubes = self.correlation, self._left**3
        return self._scaled(0.0, (2.0 + 6.0 * r**2) / cubes, 2.0 * r * (3.0 + r**2) / cubes)

    @cached_property
    def by_correlations(self) -> FloatArray:
        """Derivatives of the entries by the parameters of C, (k, r + 3c)."""
        return self.classes.of_entries(self.slopes) * self._by_correlation

    @property
    def first(self) -> FloatArray:
        """Derivatives of the entries by all parameters, (d, r + 3c)."""
        return np.concatenate([self.classes.exponents * self.value, self.by_correlations])

    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return Σ_m w_m ∂²a_m/∂φ∂φ' over entries a, for weights (r + 3c,); (d, d)."""
        classes, exponents = self.classes, self.classes.exponents
        v, slopes = len(exponents), classes.of_entries(self.slopes)
        by_r = weights * self._by_correlation
        out = np.empty((v + len(slopes),) * 2)
        # e_k e_l a of two standard deviations, e_k ∂a of one, and of none a'' ∂r∂r' + a' ∂²r
        out[:v, :v] = (exponents * (weights * self.value)) @ exponents.T
        out[:v, v:] = mixed = (exponents * by_r) @ slopes.T
        out[v:, :v] = mixed.T
        out[v:, v:] = (slopes * (weights * self._by_correlation_twice())) @ slopes.T
        out[v:, v:] += self._curvature_of_correlations(classes.of_pairs(by_r))
        return out

    def _curvature_of_correlations(self, weights: FloatArray) -> FloatArray:
        """Return Σ w ∂²r/∂φ∂φ' for weights of pairs, (c,)."""
        residual = self.classes.residual
        return residual.correlation.curvature(self.of_corr, self.classes.pairs, residual.m, weights)

    def mixture(self, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²a/∂φ_i∂φ_j for symmetric w, (d, d); (r + 3c,)."""
        classes, residual, exponents = self.classes, self.classes.residual, self.classes.exponents
        v = len(exponents)
        # The terms of `curvature`, weighted
        of_sds = np.einsum("km,km->m", pairs[:v, :v] @ exponents, exponents)
        mixed = classes.of_entries(pairs[:v, v:] @ self.slopes)
        squares = np.einsum("kc,kc->c", pairs[v:, v:] @ self.slopes, self.slopes)
        bends = residual.correlation.mixture(self.of_corr, classes.pairs, residual.m, pairs[v:, v:])
        by_r = 2.0 * np.einsum("km,km->m", exponents, mixed) + classes.of_entries(bends)
        twice = classes.of_entries(squares) * self._by_correlation_twice()
        return np.asarray(of_sds * self.value + by_r * self._by_correlation + twice)

    @property
    def logdet(self) -> float:
        """Log|R| of all rows of the stratum."""
        rows = self.classes.exponents[:, : len(self.classes.row_counts)]
        of_rows = float(self.of_sd @ rows @ self.classes.row_counts)
        return float(self.classes.pair_counts @ np.log(self._left)) - of_rows

    @property
    def logdet_first(self) -> FloatArray:
        """Its derivatives, (d,)."""
        rows = self.classes.exponents[:, : len(self.classes.row_counts)]
        of_corr = self.slopes @ (-2.0 * self.classes.pair_counts * self.correlation / self._left)
        return np.concatenate([-rows @ self.classes.row_counts, of_corr])

    @property
    def logdet_second(self) -> FloatArray:
        """Its second derivatives, (d, d); those of standard deviations are 0."""
        r, left, counts = self.correlation, self._left, self.classes.pair_counts
        v = len(self.of_sd)
        out = np.zeros((v + len(self.slopes),) * 2)
        twice = -2.0 * counts * (1.0 + r**2) / left**2
        out[v:, v:] = (self.slopes * twice) @ self.slopes.T
        out[v:, v:] += self._curvature_of_correlations(-2.0 * counts * r / left)
        return out

    @property
    def row_variances(self) -> FloatArray:
        """s² of the classes of rows, (r,)."""
        return 1.0 / self._scale[: len(self.classes.row_counts)]


def between(
    residual: Residual, own: FloatArray, places: TimePoints, has: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return the weights α of the neighbors of rows, and α'Rα.

    Of places (m, 3): the neighbor before, the row, the neighbor after; `has`, (m, 2), is
    whether there are neighbors. All other rows of the subject have weights of 0. With
    correlations r and q of the row with either neighbor, whose own one is rq,

        α = s [r(1 − q²)/s_a, q(1 − r²)/s_b] / (1 − r²q²).
    """
    sd = residual.sd(own, places)
    pairs = (places.pairs_of(side, 1) for side in (0, 2))
    found = [residual.correlation_of(own, both) for both in pairs]
    r = np.where(has, np.stack(found, axis=1), 0.0)
    other = r[:, ::-1]
    left = 1.0 - (r * other) ** 2
    # A row at the times of two neighbors is the one before: its weight is 1.
    weights = r * (1.0 - other**2) / np.where(left > 0.0, left, 1.0)
    weights[left[:, 0] <= 0.0] = [1.0, 0.0]
    explained = (weights * r).sum(axis=1) * sd[:, 1] ** 2
    return weights * sd[:, 1:2] / sd[:, [0, 2]], explained


@dataclass(frozen=True)
class Tridiagonal:
    """A symmetric tridiagonal matrix.

    Attributes
    ----------
    diagonal : (n,) array
    off : (n − 1,) array
    """

    diagonal: FloatArray
    off: FloatArray

    def times(self, columns: FloatArray) -> FloatArray:
        """Return the products with columns, each of which is a row here, (k, n)."""
        out, part = np.empty(columns.shape), np.empty(len(self.off))
        # Column by column, in one place for what is added
        for own, column in zip(out, columns, strict=True):
            np.multiply(self.diagonal, column, out=own)
            own[:-1] += np.multiply(self.off, column[1:], out=part)
            own[1:] += np.multiply(self.off, column[:-1], out=part)
        return out

    @cached_property
    def _factor(self) -> tuple[FloatArray, FloatArray]:
        """LDL', as LAPACK has it; of one row, whose factor its wrapper refuses, beside a 1."""
        diagonal, off = self.diagonal, self.off
        if len(diagonal) == 1:
            diagonal, off = np.append(diagonal, 1.0), np.zeros(1)
        *factor, failed = scipy.linalg.lapack.dpttrf(diagonal, off)
        if failed:
            raise np.linalg.LinAlgError("The matrix is not positive definite.")
        return factor[0], factor[1]

    def solve(self, columns: FloatArray) -> FloatArray:
        """Return the products of the inverse with columns, (k, n), of a positive definite one.

        Raises
        ------
        numpy.linalg.LinAlgError
            If it is none to rounding.
        """
        n = columns.shape[1]
        padded = columns if n > 1 else np.repeat(columns, 2, axis=1)
        return np.asarray(scipy.linalg.lapack.dpttrs(*self._factor, padded.T)[0].T[:, :n])
