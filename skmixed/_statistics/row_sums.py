"""Products of the columns over all rows, and the frame that keeps their digits."""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skmixed._statistics.frame import (
    RANK_TOLERANCE,
    ROUNDING,
    Frame,
    Resolution,
    added_factors,
    orthogonalize,
    semidefinite_factor,
)
from skmixed._statistics.responses import (
    ResponseFrame,
    ResponseProducts,
    ResponseRows,
    are_resolved,
    regression_on,
)
from skmixed._typing import FloatArray

# A column whose centered sum of squares is below this share of its raw one is constant.
CONSTANT_SHARE = ROUNDING**2
# The largest sum of squares: they are multiplied with each other, which doubles the exponent.
LARGEST_SQUARE = 1e150


@dataclass(frozen=True)
class ColumnMoments:
    """Sums of m columns d over rows of weights w.

    Attributes
    ----------
    center : (m,) array
        c.
    sums, squares : (m,) arrays
        Σ w (d − c) and Σ w (d − c)².
    weight : float
        Σ w.
    """

    center: FloatArray
    sums: FloatArray
    squares: FloatArray
    weight: float

    @property
    def mean(self) -> FloatArray:
        return self.center + self.sums / self.weight

    @property
    def raw_squares(self) -> FloatArray:
        """Sum of squares of each column as it is, (m,)."""
        raw = self.squares + self.center * (2.0 * self.sums + self.center * self.weight)
        return np.asarray(np.maximum(raw, 0.0))

    @property
    def centered_squares(self) -> FloatArray:
        """Sum of squares of each column around its mean, (m,); 0 for a constant."""
        squares = self.squares - self.sums**2 / self.weight
        return np.where(squares <= CONSTANT_SHARE * self.raw_squares, 0.0, squares)

    @property
    def have_drifted(self) -> NDArray[np.bool_]:
        """Whose center is more than one standard deviation off the mean, (m,)."""
        offset = self.sums / self.weight
        squares, mean = offset**2, self.center + offset
        variance = self.squares / self.weight - squares
        return np.asarray(squares > np.maximum(variance, CONSTANT_SHARE * mean**2))


@dataclass(frozen=True)
class RowSums:
    """Products of the columns of a design, and of its responses, over all rows.

    Attributes
    ----------
    n_rows : int
    sum_log_weights : float
    center : (k,) array
        What was subtracted from each column of the design; 0 for the ones.
    total : (k, k) array
        Σ w ee'.
    responses : ResponseProducts
    unweighted : (k, k) array or None
        Σ ee' without the weights, which no fit uses, but averages over rows; None
        where all weights are 1, for `total`.
    regression : (k, k) array or None
        E, unit upper triangular; None for the identity, e = d − c.
    """

    n_rows: int
    sum_log_weights: float
    center: FloatArray
    total: FloatArray
    responses: ResponseProducts
    unweighted: FloatArray | None = None
    regression: FloatArray | None = None

    @property
    def frame(self) -> Frame:
        return Frame(self.center, self.regression)

    @property
    def sum_weights(self) -> float:
        return float(self.total[0, 0])

    @property
    def sum_of_rows(self) -> FloatArray:
        """Σ ee' over the rows, each counted once, (k, k)."""
        return self.total if self.unweighted is None else self.unweighted

    @property
    def of_columns(self) -> FloatArray:
        """Σ w (d − c)(d − c)', of the columns themselves, (k, k)."""
        own = self.regression
        return self.total if own is None else own.T @ self.total @ own

    @property
    def moments(self) -> ColumnMoments:
        """Means and squares of the columns of the design; of the ones around 0."""
        total = self.of_columns
        return ColumnMoments(self.center, total[0], np.diagonal(total), self.sum_weights)

    @property
    def response_moments(self) -> ColumnMoments:
        """Means and squares of the responses."""
        own = self.responses
        plain = own.total.moved(self.total, own.regression)
        return ColumnMoments(own.center, plain.with_columns[0], plain.squares, self.sum_weights)

    @property
    def norms(self) -> FloatArray:
        """Roots of the sums of squares of the columns and the responses, around 0, (k + R,)."""
        parts = (self.moments, self.response_moments)
        squares = np.concatenate([own.squares for own in parts])
        centers = np.concatenate([own.center for own in parts])
        # Not squared again: the square of a small center is 0.
        return np.asarray(np.sqrt(squares) + np.abs(centers) * np.sqrt(self.sum_weights))

    @property
    def mean(self) -> FloatArray:
        """Weighted mean of each column, (k,); 1 for the ones."""
        return self.moments.mean

    @property
    def raw_squares(self) -> FloatArray:
        """Weighted sum of squares of each column as it is, (k,)."""
        return self.moments.raw_squares

    @property
    def centered_squares(self) -> FloatArray:
        """Weighted sum of squares of each column around its mean, (k,)."""
        return self.moments.centered_squares

    @property
    def rounding(self) -> FloatArray:
        """The squares that rounding leaves of each column e, (k,)."""
        return np.asarray((ROUNDING * self.frame.lengths(np.sqrt(self.raw_squares))) ** 2)

    @property
    def vanished(self) -> NDArray[np.bool_]:
        """Which columns have nothing left but rounding, (k,)."""
        return np.asarray(np.diagonal(self.total) <= self.rounding)

    @property
    def independent(self) -> NDArray[np.bool_]:
        """Which columns e have more than rounding, and are no combinations of others, (k,)."""
        spreads = np.sqrt(self.centered_squares)
        spreads[0] = np.sqrt(self.sum_weights)
        near = RANK_TOLERANCE * self.frame.lengths(spreads)
        return np.asarray(np.diagonal(self.total) > np.maximum(near**2, self.rounding))

    @property
    def has_drifted(self) -> bool:
        """Whether a center is more than one standard deviation off the mean."""
        of_columns, of_responses = self.moments.have_drifted, self.response_moments.have_drifted
        return bool(of_columns[1:].any() or of_responses.any())

    def resolved(self) -> tuple[bool, NDArray[np.bool_]]:
        """Whether the products keep the digits of the columns, and of each response, (R,).

        Products that overflowed tell nothing; they are refused later.
        """
        own = self.responses
        if not np.isfinite(self.total).all():
            return True, np.ones(own.n_responses, dtype=bool)
        columns = Resolution.of(self.total, self.rounding)
        raw = self.response_moments.raw_squares
        if own.regression is not None:
            raw = raw + self.raw_squares @ self.frame.of_columns(own.regression) ** 2
        return columns.is_good, are_resolved(columns, own.total, ROUNDING**2 * raw)

    @property
    def basis(self) -> "RowBasis":
        """An orthonormal basis of the rows, from the Cholesky factor of their products."""
        return RowBasis(self, semidefinite_factor(self.total))

    def factor_around(self, center: FloatArray) -> FloatArray:
        """Return R, with R'R the products of rows d − center, (k, k)."""
        return self.basis.columns_around(center)

    def counted_once(self) -> "RowSums":
        """Return the sums over all rows without their weights."""
        return replace(
            self.over_rows(),
            sum_log_weights=0.0,
            total=self.sum_of_rows,
            responses=replace(self.responses, total=self.responses.sum_of_rows, unweighted=None),
            unweighted=None,
        )

    def over_rows(self) -> "RowSums":
        """Return the sums over all rows alone."""
        return RowSums(**{field.name: getattr(self, field.name) for field in fields(RowSums)})

    def reframed(self, frame: Frame) -> Self:
        """Return the same sums in another frame of the design, where the responses stay u."""
        if self.frame.is_same(frame):
            return self
        change, shift = self.frame.change_to(frame)
        plain = self.unweighted
        return replace(
            self,
            center=frame.center,
            regression=frame.regression,
            total=_moved(self.total, change, shift),
            responses=self.responses.beside(self.frame, frame),
            unweighted=None if plain is None else _moved(plain, change, shift),
        )

    def with_responses_in(self, frame: ResponseFrame) -> Self:
        """Return the same sums with the responses in another frame."""
        own, plain = self.responses, self.responses.unweighted
        delta = own.frame.change_to(frame, len(self.center))
        if delta is None:
            return self
        moved = ResponseProducts(
            frame.center,
            frame.regression,
            own.total.moved(self.total, delta),
            None if plain is None else plain.moved(self.sum_of_rows, delta),
        )
        return replace(self, responses=moved)

    def around_zero(self) -> "RowSums":
        """Return the products of the columns and responses as they are, over all rows."""
        nowhere = np.zeros_like(self.center), np.zeros_like(self.responses.center)
        plain = self.over_rows().reframed(Frame(nowhere[0]))
        return plain.with_responses_in(ResponseFrame(nowhere[1]))

    def plus_rows(self, other: "RowSums") -> Self:
        """Add the sums over further rows, in the same frame."""
        plain = None
        if self.unweighted is not None or other.unweighted is not None:
            plain = self.sum_of_rows + other.sum_of_rows
        return replace(
            self,
            n_rows=self.n_rows + other.n_rows,
            sum_log_weights=self.sum_log_weights + other.sum_log_weights,
            total=self.total + other.total,
            responses=self.responses.plus(other.responses),
            unweighted=plain,
        )


@dataclass(frozen=True)
class RowBasis:
    """The columns and responses in an orthonormal basis of rows.

    They have the digits of a QR of the rows.

    Attributes
    ----------
    sums : RowSums
    factor : (k, k) array
        R, upper triangular, with R'R the products of the rows e.
    """

    sums: RowSums
    factor: FloatArray

    def columns_around(self, center: FloatArray) -> FloatArray:
        """Return the coordinates of the columns d − center: RE, its first row moved, (k, k)."""
        factor, frame = self.factor, self.sums.frame
        columns = factor if frame.regression is None else factor @ frame.regression
        return columns + np.outer(factor[:, 0], frame.center - center)

    def responses_around(self, center: FloatArray) -> ResponseRows:
        """Return those of the responses around a center."""
        own = self.sums.responses
        rows = ResponseRows.of(self.factor, own.total)
        delta = own.frame.change_to(ResponseFrame(center), len(self.factor))
        return rows if delta is None else rows.plus_columns(self.factor, delta)


def _moved(total: FloatArray, change: FloatArray | None, shift: FloatArray) -> FloatArray:
    """Move the sums over all rows e to e'M − s."""
    if change is not None:
        total = change.T @ total @ change
        total = (total + total.T) / 2.0
    out = total - np.outer(total[0], shift)
    out -= np.outer(shift, out[0])
    return out


def common_frame(a: RowSums, b: RowSums) -> Frame:
    """Return a frame of the design that serves the rows of both.

    Without a regression where that keeps the digits, or with that of `a`; else with
    one for all rows, from both sides' triangular factors.
    """
    center = a.center
    together = _together(a, b, Frame(center))
    # The mean of all rows, where one side's is far from the other's
    if together.moments.have_drifted[1:].any():
        center = _pooled_center(a.moments, b.moments)
        center[0] = 0.0
        together = _together(a, b, Frame(center))
    if together.resolved()[0]:
        return Frame(center)
    kept = Frame(center, a.regression)
    if a.regression is not None and _together(a, b, kept).resolved()[0]:
        return kept
    # R'R = R_a'R_a + R_b'R_b, and E from R
    factor = added_factors(a.factor_around(center), b.factor_around(center))
    spreads = np.sqrt(np.square(factor).sum(axis=0))
    return Frame(center, orthogonalize(factor, spreads, np.sqrt(together.raw_squares)).regression)


def _together(a: RowSums, b: RowSums, frame: Frame) -> RowSums:
    return a.reframed(frame).plus_rows(b.reframed(frame))


def _pooled_center(a: ColumnMoments, b: ColumnMoments) -> FloatArray:
    """Return the mean over the rows of both, (m,).

    To draw it off the center of `a` by a standard deviation, `b` needs more weight than
    `a`: along a sum of many parts the center, and with it all levels, moves a logarithmic
    number of times.
    """
    return (a.weight * a.mean + b.weight * b.mean) / (a.weight + b.weight)


def common_response_frame(a: RowSums, b: RowSums) -> ResponseFrame:
    """Return a frame of the responses that serves the rows of both; see `common_frame`.

    The frame of the design is already the same.
    """
    own = a.responses
    center, regression = own.center, np.zeros_like(own.total.with_columns)
    together = _responses_together(a, b, ResponseFrame(center))
    drifted = together.response_moments.have_drifted
    # The mean of all rows, where one side's is far from the other's
    if drifted.any():
        center = np.where(drifted, _pooled_center(a.response_moments, b.response_moments), center)
        together = _responses_together(a, b, ResponseFrame(center))
    near = ~together.resolved()[1]
    if near.any() and own.regression is not None:
        regression[:, near] = own.regression[:, near]
        near = ~_responses_together(a, b, ResponseFrame(center, regression)).resolved()[1]
    # γ by least squares on the triangular factors of both sides, one below the other
    if near.any():
        bases = [a.basis, b.basis]
        columns = np.concatenate([own.factor for own in bases])
        rows = np.concatenate([own.responses_around(center).along for own in bases])
        regression[:, near] = regression_on(columns, rows[:, near], together.independent)
    return ResponseFrame(center, regression if regression.any() else None)


def _responses_together(a: RowSums, b: RowSums, frame: ResponseFrame) -> RowSums:
    return a.with_responses_in(frame).plus_rows(b.with_responses_in(frame))
