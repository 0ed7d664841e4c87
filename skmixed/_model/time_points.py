"""Where residuals lie in time, what they say of a structure, and how correlations are bounded."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from skmixed._typing import BoolArray, FloatArray, IntArray

# Correlations that a search starts from lie within these of ±1.
START_WITHIN = 0.05
# Share by which correlations of a start shrink until they are those of a covariance.
SHRINK_START = 0.9
# Smallest eigenvalue of a start's covariance, as a share of its mean.
POSITIVE = 0.02
# Standard deviation of a row given others, as a share of its own one, that is 0 for inference.
BOUNDARY = 1e-3
# Share of the mean variance below which that of a visit is 0.
NO_VARIANCE = 1e-12


@dataclass(frozen=True)
class RowPlaces:
    """Where rows lie in time, b times n of them, and which entries of C they ask for.

    Attributes
    ----------
    visit : (b, n) array of int
        The number of each row's time among all times; 0 without times.
    position : (b, n) array
        The time, in steps of visits or as a number; of places in the plane x + iy.
    covariate : (b, n) array
        The logarithm of what a power of is the standard deviation; 0 without it.
    """

    visit: IntArray
    position: FloatArray
    covariate: FloatArray

    @property
    def parts(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """The visits, positions and covariates."""
        return self.visit, self.position, self.covariate

    def parts_at(self, which: Any) -> tuple[IntArray, FloatArray, FloatArray]:
        """Return the parts at an index."""
        return self.visit[which], self.position[which], self.covariate[which]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the entries."""
        raise NotImplementedError

    @property
    def identity(self) -> FloatArray:
        """Which entries are those of a row with itself."""
        raise NotImplementedError

    @property
    def distance(self) -> FloatArray:
        """|t_a − t_b| of each entry."""
        raise NotImplementedError

    def taken(self, of_visits: FloatArray) -> FloatArray:
        """Return the entries of (…, m, m) matrices over all visits, behind the first axes."""
        raise NotImplementedError

    def laid(self, entries: FloatArray, m: int) -> FloatArray:
        """Add up entries over all pairs of visits, (m, m)."""
        raise NotImplementedError


@dataclass(frozen=True)
class TimePoints(RowPlaces):
    """Subjects of n rows, with all entries of their matrices, (b, n, n)."""

    @property
    def shape(self) -> tuple[int, ...]:
        b, n = self.visit.shape
        return b, n, n

    @property
    def identity(self) -> FloatArray:
        return np.broadcast_to(np.eye(self.visit.shape[1]), self.shape)

    @cached_property
    def distance(self) -> FloatArray:
        return np.abs(self.position[:, :, None] - self.position[:, None, :])

    def taken(self, of_visits: FloatArray) -> FloatArray:
        return of_visits[..., self.visit[:, :, None], self.visit[:, None, :]]

    def laid(self, entries: FloatArray, m: int) -> FloatArray:
        cells = self.visit[:, :, None] * m + self.visit[:, None, :]
        sums: FloatArray = np.zeros(m * m)
        np.add.at(sums, cells.ravel(), entries.ravel())
        return sums.reshape(m, m)

    @property
    def without_visits(self) -> "TimePoints":
        """The same as of one visit."""
        return TimePoints(np.zeros_like(self.visit), self.position, self.covariate)

    def taken_rows(self, which: IntArray | BoolArray | slice) -> "TimePoints":
        """Return those of some subjects."""
        return TimePoints(*self.parts_at(which))

    def pairs_of(self, first: int, second: int) -> "RowPairs":
        """Return the pairs of two rows of each subject."""
        return RowPairs(*self.parts_at(np.s_[:, [first, second]]))

    def patterns(self) -> tuple[IntArray, IntArray]:
        """Return the number of each subject's pattern of times, and the first of each; (b,)."""
        return numbered([column for own in self.parts for column in own.T], len(self.visit))


def numbered(columns: Iterable[FloatArray | IntArray], n: int) -> tuple[IntArray, IntArray]:
    """Return the number of each of n rows of columns among the distinct ones, and these."""
    number = np.zeros(n, dtype=np.int64)
    firsts = np.zeros(min(n, 1), dtype=np.int64)
    # Each column refines the numbers of those before.
    for column in columns:
        if n and (column != column[0]).any():
            own = np.unique(column, return_inverse=True)[1]
            number = number * (int(own.max()) + 1) + own
            _, firsts, number = np.unique(number, return_index=True, return_inverse=True)
    return number, firsts


@dataclass(frozen=True)
class RowPairs(RowPlaces):
    """Pairs of rows, (c, 2), with the entry of each pair, (c,)."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.visit),)

    @property
    def identity(self) -> FloatArray:
        return np.zeros(self.shape)

    @cached_property
    def distance(self) -> FloatArray:
        return np.abs(self.position[:, 1] - self.position[:, 0])

    def taken(self, of_visits: FloatArray) -> FloatArray:
        return of_visits[..., self.visit[:, 0], self.visit[:, 1]]

    def laid(self, entries: FloatArray, m: int) -> FloatArray:
        sums: FloatArray = np.zeros((m, m))
        np.add.at(sums, (self.visit[:, 0], self.visit[:, 1]), entries)
        return sums

    def alone(self, side: int) -> TimePoints:
        """Return one row of each pair, as a subject of its own."""
        return TimePoints(*self.parts_at(np.s_[:, [side]]))

    @staticmethod
    def of(places: TimePoints, first: IntArray, second: IntArray) -> "RowPairs":
        """Return pairs of rows with single places, (n, 1)."""
        rows = np.stack([first, second], axis=1)
        return RowPairs(*places.parts_at((rows, 0)))

    @staticmethod
    def of_neighbors(places: TimePoints) -> "RowPairs":
        """Return those next to each other of rows in order of time, (b, n); subject by subject."""
        b, n = places.visit.shape
        subject = np.repeat(np.arange(b), n - 1)[:, None]
        first = np.tile(np.arange(n - 1), b)[:, None]
        return RowPairs(*places.parts_at((subject, first + np.arange(2))))


@dataclass(frozen=True)
class ResidualMoments:
    """What the residuals of least squares say of a structure.

    Attributes
    ----------
    covariance : (m, m) array
        Means of products of the residuals of two visits; those without any are 0. Where the
        structure asks for no visits it is that of all rows, (1, 1).
    counts : (m, m) array
        How many there are.
    gap, neighbor : float
        Mean distance of rows next to each other in time, and their correlation.
    """

    covariance: FloatArray
    counts: FloatArray
    gap: float
    neighbor: float

    @property
    def sd(self) -> FloatArray:
        """Of each visit, (m,)."""
        return np.sqrt(_variances(self.covariance))

    def uncorrelated(self, gap: float) -> "ResidualMoments":
        """Return the same of uncorrelated residuals, the nearest of which are a gap apart."""
        own = np.diag(np.diagonal(self.covariance))
        return replace(self, covariance=own, neighbor=0.0, gap=min(gap, self.gap))

    @property
    def correlation(self) -> FloatArray:
        return self.covariance / np.outer(self.sd, self.sd)

    def mean_correlation(self, lag: IntArray) -> FloatArray:
        """Return the mean correlation at each lag 1, 2, …, of the visits' lags, (m, m)."""
        off = lag > 0
        sums = np.bincount(lag[off], (self.correlation * self.counts)[off])
        counts = np.bincount(lag[off], self.counts[off])
        return (sums / np.maximum(counts, 1.0))[1:]


class CorrelationTraits:
    """What else is asked of a model of correlations, where it is not as most models are.

    Attributes
    ----------
    is_correlated : bool
        Whether there are correlations at all.
    is_heterogeneous : bool
        Whether each visit has a standard deviation of its own in any case.
    is_any : bool
        Whether any matrix is allowed, of which each pair of visits has an entry.
    is_by_lag : bool
        Whether each number of steps has a parameter of its own.
    is_markov : bool
        Whether a row depends on those before it through the last of them alone: the
        correlation of two rows is the product of those of the neighbors between them.
    is_positive : bool
        Whether correlations are no less than 0, at the end of what is allowed.
    has_any_time : bool
        Whether it says something of times that no row has.
    absorbs_intercept : bool
        Whether a random intercept of the same subjects is a part of it.
    most_times : int or None
        Times up to which it is searched for: derivatives are dense over pairs of its
        parameters.
    contained_in : tuple of str
        Models of which it is a special case, beside those with a variance for each visit.
    """

    is_correlated = True
    is_heterogeneous = False
    is_any = False
    is_by_lag = False
    is_markov = False
    is_positive = False
    has_any_time = False
    absorbs_intercept = False
    most_times: int | None = None
    contained_in: tuple[str, ...] = ()

    def most_rows(self, _phi: FloatArray, _m: int) -> float:
        """Return how many rows a subject may have: more have no such correlations."""
        return np.inf

    def to_end(self, phi: FloatArray) -> FloatArray:
        """Return how far coordinates of the search are from an end, if next to it, (c,).

        That of `ResidualCoordinates`; infinite of others.
        """
        # 1 − ρ² of ρ = φ/√(1 + φ²)
        return np.where(1.0 / (1.0 + phi**2) < BOUNDARY**2, np.abs(phi), np.inf)


def bounded(phi: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the correlations φ/√(1 + φ²), and their first and second derivatives."""
    root = np.sqrt(1.0 + phi**2)
    return phi / root, root**-3, -3.0 * phi * root**-5


def unbounded(rho: FloatArray | float) -> FloatArray:
    """Return the φ of correlations, kept off ±1."""
    rho = np.clip(np.atleast_1d(rho), START_WITHIN - 1.0, 1.0 - START_WITHIN)
    return np.asarray(rho / np.sqrt(1.0 - rho**2))


def power(rho: float, exponent: FloatArray) -> FloatArray:
    """Return ρ to whole exponents, also where ρ is negative or 0."""
    sign = 1.0 if rho >= 0 else np.where(exponent % 2 == 1, -1.0, 1.0)
    return np.asarray(sign * np.abs(rho) ** exponent)


def nth_root(rho: float, n: float) -> float:
    """Return r with rⁿ = |ρ| and the sign of ρ."""
    return float(np.sign(rho) * min(abs(rho), 1.0) ** (1.0 / max(n, 1.0)))


def is_positive(matrix: FloatArray) -> bool:
    """Whether a symmetric matrix is far enough from a singular one to start from."""
    least = float(np.linalg.eigvalsh(matrix)[0])
    return least > POSITIVE * float(np.trace(matrix)) / len(matrix)


def _variances(covariance: FloatArray) -> FloatArray:
    """Return those of visits, (m,); their mean where fixed effects fit a visit exactly."""
    own = np.diagonal(covariance)
    mean = max(float(own.mean()), np.finfo(float).tiny)
    return np.where(own > NO_VARIANCE * mean, own, mean)


def positive(covariance: FloatArray) -> FloatArray:
    """Shrink the covariances of a matrix until it is far enough from a singular one."""
    own = _variances(covariance)
    off, scale = covariance - np.diag(np.diagonal(covariance)), np.sqrt(own)
    while not is_positive(np.eye(len(own)) + off / np.outer(scale, scale)):
        off = SHRINK_START * off
    return np.asarray(np.diag(own) + off)
