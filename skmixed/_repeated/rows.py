"""Rows of a model with a covariance of the residuals: what the kernel is given beside sums."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.sparse as sp

from skmixed._derivatives.precision import between
from skmixed._model.residual import Residual
from skmixed._model.time_points import TimePoints
from skmixed._statistics.design import Design, SubjectDesign
from skmixed._typing import BoolArray, FloatArray, IntArray
from skmixed._uncertainty.draws import SubjectRows


@dataclass(frozen=True)
class RepeatedRows:
    """Rows whose residuals are correlated within subjects.

    Attributes
    ----------
    columns : (n, k) array
        The numeric columns, in the order of the statistics.
    response : (n,) array
    weights : (n,) array
    levels : (n, f) array of int
        Each row's level of each grouping factor.
    subject : (n,) array of int
        Whose residuals are correlated.
    visit : (n,) array of int
        The number of the row's time among the labels of times; 0 without times.
    stratum : (n,) array of int
    size : (n,) array of int
        The number of what its standard deviation is a power of, among these; 0 without.
    """

    columns: FloatArray
    response: FloatArray
    weights: FloatArray
    levels: IntArray
    subject: IntArray
    visit: IntArray
    stratum: IntArray
    size: IntArray

    @property
    def n_rows(self) -> int:
        return len(self.response)

    @staticmethod
    def of(design: Design) -> "RepeatedRows":
        """Take the rows of a design that knows subjects."""
        subjects, n = design.subjects, design.n_rows
        assert subjects is not None
        levels = [factor.codes for factor in design.factors]
        return RepeatedRows(
            columns=np.stack([*design.columns], axis=1) if design.columns else np.empty((n, 0)),
            response=design.responses[0],
            weights=np.ones(n) if design.weights is None else design.weights,
            levels=np.stack(levels, axis=1) if levels else np.empty((n, 0), dtype=np.intp),
            **vars(subjects),
        )

    def renumbered(self, levels: Sequence[IntArray], subjects: SubjectDesign) -> "RepeatedRows":
        """Return the rows with other numbers of the levels of factors, and other subjects."""
        columns = [place[own] for place, own in zip(levels, self.levels.T, strict=True)]
        return replace(
            self,
            levels=np.stack(columns, axis=1) if columns else self.levels,
            **vars(subjects),
        )

    def between_within(self, fixed: Sequence[int]) -> FloatArray:
        """Return the degrees of freedom of columns by where they vary; 0 is the intercept.

        Of a column that is constant within subjects their number less that of such columns
        and the intercept; of others, and the intercept, the rows less the subjects and the
        number of such others (Schluchter and Elashoff, 1990, J. Stat. Comput. Simul. 37).
        """
        first = np.zeros(int(self.subject.max()) + 1, dtype=np.intp)
        first[self.subject] = np.arange(self.n_rows)
        # Whether some row differs from its subject's last one
        varies = (self.columns != self.columns[first[self.subject]]).any(axis=0)
        is_within = np.array([bool(varies[k - 1]) if k else False for k in fixed])
        is_one = np.array([k == 0 for k in fixed])
        n_subjects = len(np.unique(self.subject))
        between = n_subjects - int((~is_within).sum())
        within = self.n_rows - n_subjects - int(is_within.sum())
        return np.where(is_within | is_one, within, between).astype(float)

    @property
    def subjects(self) -> SubjectDesign:
        return SubjectDesign(self.subject, self.visit, self.stratum, self.size)

    @staticmethod
    def joined(parts: Sequence["RepeatedRows"]) -> "RepeatedRows":
        """Return the rows of parts whose levels have one numbering."""
        names = [own.name for own in fields(RepeatedRows)]
        return RepeatedRows(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))

    def taken(self, rows: IntArray | slice) -> "RepeatedRows":
        """Return some of the rows."""
        return RepeatedRows(*(getattr(self, own.name)[rows] for own in fields(self)))


# Relative difference of sizes up to which they are one size.
ONE_SIZE = 1e-6


@dataclass(frozen=True)
class Timeline:
    """What the labels of times are in a structure.

    Attributes
    ----------
    rank : (q,) array of int
        The visit of each label.
    position : (q,) array
        Its time in steps, or as a number.
    steps : (m,) array of int
        The times of the visits in steps.
    has_times : bool
    origin, unit : float
        The number at position 0, and the one at position 1 less that.
    """

    rank: IntArray
    position: FloatArray
    steps: IntArray
    has_times: bool = True
    origin: float = 0.0
    unit: float = 1.0

    @staticmethod
    def without_times() -> "Timeline":
        one = np.zeros(1, dtype=np.intp)
        return Timeline(one, np.zeros(1), one, has_times=False)

    @staticmethod
    def of_visits(order: IntArray, steps: IntArray) -> "Timeline":
        """Return times in an order, each a visit; positions are their steps."""
        rank = np.empty(len(order), dtype=np.intp)
        rank[order] = np.arange(len(order))
        return Timeline(rank, steps[rank].astype(float), steps)

    @staticmethod
    def of_numbers(values: FloatArray) -> "Timeline":
        """Return times that are numbers, and no visits."""
        return Timeline(np.zeros(len(values), dtype=np.intp), values, np.zeros(1, int))

    def places(self, visit: IntArray) -> TimePoints:
        """Return the places of labels of times, (…, n), of sizes of 1."""
        return TimePoints(self.rank[visit], self.position[visit], np.zeros(visit.shape))


@dataclass(frozen=True)
class RepeatedDesign:
    """Rows with their places in time, and the model of the residuals' covariance.

    Attributes
    ----------
    rows : RepeatedRows
    timeline : Timeline
    residual : Residual
    log_sizes : (n,) array
        The logarithm of what the standard deviation of each row is a power of; else 0.
    has_fitted_sizes : bool
        Whether that is the fitted value.
    """

    rows: RepeatedRows
    timeline: Timeline
    residual: Residual
    log_sizes: FloatArray
    has_fitted_sizes: bool = False

    @property
    def strata_of_one_size(self) -> IntArray:
        """Strata in which no power of the sizes is told apart from a factor."""
        low, high = (
            np.full(self.residual.n_strata, np.inf),
            np.full(self.residual.n_strata, -np.inf),
        )
        np.minimum.at(low, self.rows.stratum, self.log_sizes)
        np.maximum.at(high, self.rows.stratum, self.log_sizes)
        return np.flatnonzero(high - low <= ONE_SIZE)

    @property
    def places(self) -> TimePoints:
        """Of all rows, (n,); without times the visit is the row's number in its subject."""
        if self.timeline.has_times:
            return replace(self.timeline.places(self.rows.visit), covariate=self.log_sizes)
        order = np.argsort(self.rows.subject, kind="stable")
        counts = np.bincount(self.rows.subject)
        number = np.empty(self.rows.n_rows, dtype=np.intp)
        number[order] = np.arange(self.rows.n_rows) - np.repeat(np.cumsum(counts) - counts, counts)
        number = np.minimum(number, self.residual.m - 1)
        return TimePoints(number, number.astype(float), self.log_sizes)


@dataclass(frozen=True)
class LaidRows:
    """The rows in the units of the search.

    Attributes
    ----------
    wide : (n, k) array
        Outer Z, X and y.
    terms : tuple of ((n, s) array, (n,) array of int)
        Z of each term, and the level of each row.
    subject, visit, stratum : (n,) arrays of int
    position, covariate : (n,) arrays
    """

    wide: FloatArray
    terms: tuple[tuple[FloatArray, IntArray], ...]
    subject: IntArray
    visit: IntArray
    stratum: IntArray
    position: FloatArray
    covariate: FloatArray

    def places(self, rows: IntArray) -> TimePoints:
        """Return where some rows lie in time, of the shape of their numbers."""
        return TimePoints(self.visit[rows], self.position[rows], self.covariate[rows])

    @property
    def subjects(self) -> SubjectRows:
        """The rows by their subjects; without correlations each may have several strata."""
        places = self.places(np.arange(len(self.subject))[:, None])
        return SubjectRows(self.subject, self.stratum, places)


@dataclass(frozen=True)
class RowsBeside:
    """Rows to predict beside those of a group of blocks.

    Attributes
    ----------
    block : (m,) array of int
        The block of each row.
    subject, stratum : (m,) arrays of int
        The subject is −1 where the residual does not count.
    places : TimePoints
        Of shape (m, 1).
    terms : tuple of ((m, s) array, (m,) array of int)
        Z of each term, and the level of each row, −1 where unknown.
    """

    block: IntArray
    subject: IntArray
    stratum: IntArray
    places: TimePoints
    terms: tuple[tuple[FloatArray, IntArray], ...]

    def taken(self, rows: IntArray | slice) -> "RowsBeside":
        """Return some of the rows."""
        terms = tuple((columns[rows], levels[rows]) for columns, levels in self.terms)
        own = self.block[rows], self.subject[rows], self.stratum[rows]
        return RowsBeside(*own, self.places.taken_rows(rows), terms)


@dataclass(frozen=True)
class InnerRows:
    """Random effects inside of blocks: Z, (n, q·s), Σ, and the number of each row's level.

    Levels of one block have different numbers.
    """

    index: int
    columns: FloatArray
    levels: IntArray
    number: IntArray
    covariance: FloatArray

    @property
    def design(self) -> sp.csr_array:
        n, s = self.columns.shape
        places = self.levels[:, None] * s + np.arange(s)
        rows = np.repeat(np.arange(n), s)
        return sp.csr_array((self.columns.ravel(), (rows, places.ravel())))

    def times(self, columns: FloatArray) -> FloatArray:
        """Return ZΣZ' times columns, (n, k)."""
        sums = np.asarray(self.design.T @ columns)
        of_levels = sums.reshape(-1, len(self.covariance), columns.shape[1])
        return np.asarray(self.design @ (self.covariance @ of_levels).reshape(sums.shape))


def next_to(rows: RowsBeside, laid: LaidRows, known: IntArray) -> tuple[IntArray, BoolArray]:
    """Return the neighbors of rows in time among the known ones, and if there are; (m, 2)."""
    times = np.concatenate([laid.position[known], rows.places.position[:, 0]])
    rank = np.unique(times, return_inverse=True)[1]
    n_times, n = int(rank.max()) + 1, len(known)
    cells = laid.subject[known] * np.int64(n_times) + rank[:n]
    order = np.argsort(cells, kind="stable")
    after = np.searchsorted(cells[order], rows.subject * np.int64(n_times) + rank[n:])
    both = np.stack([after - 1, after], axis=1)
    is_inside = (both >= 0) & (both < n)
    found = order[np.clip(both, 0, n - 1)]
    return found, is_inside & (laid.subject[known[found]] == rows.subject[:, None])


def weights_beside(
    rows: RowsBeside, laid: LaidRows, known: IntArray, residual: Residual, phi: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the neighbors of rows among known ones, (m, 2), α of these, and α'Rα.

    The covariances of a row's residual with those of its subject are Rα.
    """
    at, has = next_to(rows, laid, known)
    # The neighbor before, the row itself, and the neighbor after
    parts = zip(laid.places(known[at]).parts, rows.places.parts, strict=True)
    places = TimePoints(*(np.insert(old, [1], new, axis=1) for old, new in parts))
    weights, explained = np.zeros(at.shape), np.zeros(len(at))
    for which, own in residual.by_stratum(phi, rows.stratum):
        found = between(residual, own, places.taken_rows(which), has[which])
        weights[which], explained[which] = found
    return at, weights, explained


def log_sizes(values: FloatArray) -> FloatArray:
    """Return the logarithms of the absolute values of fitted values.

    Raises
    ------
    ValueError
        If one is 0, of which a standard deviation is no power.
    """
    if not values.all():
        raise ValueError(
            f"The fitted value of row {int(np.argmin(values != 0.0))} is 0, of which no power is a "
            "variance. Name a column in power=, or leave power='fitted(.)' out."
        )
    return np.asarray(np.log(np.abs(values)))
