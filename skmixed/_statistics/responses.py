"""Responses beside the design: their products with its columns, each in a frame of its own.

With the rows e of the design in its frame, a response y is multiplied as what its center
and its regression on the columns of the design leave of it,

    u = (y − c) − e'γ.

γ is 0 where y is far from the columns. Where it is near them, nothing of y is lost in the
products: c and γ are exactly known, and undone where y itself is asked for. The frame of
the design is the same for all responses, and that of a response its own affair.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._statistics.frame import RANK_TOLERANCE, RESOLVED, Frame, Resolution, solve_upper
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class ResponseFrame:
    """Centers of R responses, and their regressions on the k columns of the design.

    Attributes
    ----------
    center : (R,) array
        c.
    regression : (k, R) array or None
        γ, coefficients of the columns e; None where all are 0.
    """

    center: FloatArray
    regression: FloatArray | None = None

    def is_same(self, other: "ResponseFrame") -> bool:
        has_center = self.center is other.center or np.array_equal(self.center, other.center)
        mine, its = self.regression, other.regression
        if mine is None or its is None:
            return has_center and mine is its
        return has_center and (mine is its or np.array_equal(mine, its))

    def change_to(self, other: "ResponseFrame", k: int) -> FloatArray | None:
        """Return δ with which u + e'δ is u in the other frame, (k, R); None for 0.

        δ = γ − γ' beside (c − c') at the ones.
        """
        if self.is_same(other):
            return None
        out = np.zeros((k, len(self.center)))
        if self.regression is not None:
            out += self.regression
        if other.regression is not None:
            out -= other.regression
        out[0] += self.center - other.center
        return out

    def beside(self, old: Frame, new: Frame) -> "ResponseFrame":
        """Return the frame in which u stays as it is where the design moves to a new one.

        e'γ = (d − c)'E⁻¹γ = e*'E*E⁻¹γ + (c* − c)'E⁻¹γ.
        """
        if self.regression is None or old.is_same(new):
            return self
        of_columns = old.of_columns(self.regression)
        moved = self.center + (new.center - old.center) @ of_columns
        return ResponseFrame(moved, new.coefficients(of_columns))


@dataclass(frozen=True)
class ResponseTotals:
    """Products of the responses over all rows.

    Attributes
    ----------
    with_columns : (k, R) array
        Σ w eu.
    squares : (R,) array
        Σ w u².
    """

    with_columns: FloatArray
    squares: FloatArray

    def __add__(self, other: "ResponseTotals") -> "ResponseTotals":
        return ResponseTotals(self.with_columns + other.with_columns, self.squares + other.squares)

    @staticmethod
    def joined(parts: Sequence["ResponseTotals"]) -> "ResponseTotals":
        """Return the products of the responses of all parts."""
        return ResponseTotals(
            np.concatenate([own.with_columns for own in parts], axis=1),
            np.concatenate([own.squares for own in parts]),
        )

    def with_rows_moved(self, change: FloatArray | None, shift: FloatArray) -> "ResponseTotals":
        """Return the products with rows e'M − s."""
        out = self.with_columns if change is None else change.T @ self.with_columns
        return ResponseTotals(out - np.outer(shift, out[0]), self.squares)

    def moved(self, total: FloatArray, delta: FloatArray | None) -> "ResponseTotals":
        """Return the products of u + e'δ, from those of the columns, (k, k)."""
        if delta is None:
            return self
        along = total @ delta
        squares = self.squares + (delta * (2.0 * self.with_columns + along)).sum(axis=0)
        return ResponseTotals(self.with_columns + along, np.maximum(squares, 0.0))

    def picked(self, responses: IntArray) -> "ResponseTotals":
        return ResponseTotals(self.with_columns[:, responses], self.squares[responses])

    def in_units(self, unit: float) -> "ResponseTotals":
        return ResponseTotals(self.with_columns / unit, self.squares / unit)


@dataclass(frozen=True)
class ResponseProducts:
    """Products of R responses with the columns of a design and with themselves, over all rows.

    Attributes
    ----------
    center : (R,) array
    regression : (k, R) array or None
        Their frame, see `ResponseFrame`.
    total : ResponseTotals
    unweighted : ResponseTotals or None
        Without the weights; None where all are 1, for `total`.
    """

    center: FloatArray
    regression: FloatArray | None
    total: ResponseTotals
    unweighted: ResponseTotals | None = None

    @staticmethod
    def none(k: int) -> "ResponseProducts":
        """Return the products of no response with k columns."""
        nothing = ResponseTotals(np.empty((k, 0)), np.empty(0))
        return ResponseProducts(np.empty(0), None, nothing, nothing)

    @staticmethod
    def joined(parts: Sequence["ResponseProducts"]) -> "ResponseProducts":
        """Return the products of the responses of all parts."""
        regression, unweighted = None, None
        if any(own.regression is not None for own in parts):
            regression = np.concatenate([own.full_regression for own in parts], axis=1)
        if any(own.unweighted is not None for own in parts):
            unweighted = ResponseTotals.joined([own.sum_of_rows for own in parts])
        center = np.concatenate([own.center for own in parts])
        total = ResponseTotals.joined([own.total for own in parts])
        return ResponseProducts(center, regression, total, unweighted)

    @property
    def full_regression(self) -> FloatArray:
        """γ, (k, R), also where it is 0."""
        if self.regression is None:
            return np.zeros_like(self.total.with_columns)
        return self.regression

    @property
    def frame(self) -> ResponseFrame:
        return ResponseFrame(self.center, self.regression)

    @property
    def n_responses(self) -> int:
        return len(self.center)

    @property
    def sum_of_rows(self) -> ResponseTotals:
        """Products over the rows, each counted once."""
        return self.total if self.unweighted is None else self.unweighted

    def picked(self, responses: IntArray) -> "ResponseProducts":
        """Return some of the responses."""
        return ResponseProducts(
            self.center[responses],
            None if self.regression is None else self.regression[:, responses],
            self.total.picked(responses),
            None if self.unweighted is None else self.unweighted.picked(responses),
        )

    def beside(self, old: Frame, new: Frame) -> "ResponseProducts":
        """Return the same u beside a design in a new frame."""
        change, shift = old.change_to(new)
        frame, plain = self.frame.beside(old, new), self.unweighted
        return ResponseProducts(
            frame.center,
            frame.regression,
            self.total.with_rows_moved(change, shift),
            None if plain is None else plain.with_rows_moved(change, shift),
        )

    def plus(self, other: "ResponseProducts") -> "ResponseProducts":
        """Add the products of further rows in the same frame."""
        plain = None
        if self.unweighted is not None or other.unweighted is not None:
            plain = self.sum_of_rows + other.sum_of_rows
        return replace(self, total=self.total + other.total, unweighted=plain)


@dataclass(frozen=True)
class ResponseRows:
    """Responses in an orthonormal basis of rows, beside the columns of a design.

    Attributes
    ----------
    along : (k, R) array
        Their coordinates in the basis that the columns have.
    left : (R,) array
        Their length outside of its span.
    """

    along: FloatArray
    left: FloatArray

    @staticmethod
    def of(factor: FloatArray, total: ResponseTotals) -> "ResponseRows":
        """Read them off the products; `factor` is R of the columns e, upper triangular.

        R'a = Σ w eu by substitution, where rows of nothing are passed over.
        """
        pivots = np.flatnonzero(np.diagonal(factor) > 0)
        along = np.zeros_like(total.with_columns)
        own = factor if len(pivots) == len(factor) else factor[np.ix_(pivots, pivots)]
        along[pivots] = solve_upper(own, total.with_columns[pivots], is_transposed=True)
        left = total.squares - np.square(along).sum(axis=0)
        return ResponseRows(along, np.sqrt(np.maximum(left, 0.0)))

    @property
    def lengths(self) -> FloatArray:
        return np.sqrt(np.square(self.along).sum(axis=0) + self.left**2)

    def plus_columns(self, columns: FloatArray, coefficients: FloatArray) -> "ResponseRows":
        """Return u + e'γ, with the columns e in the same basis, (k, k)."""
        return ResponseRows(self.along + columns @ coefficients, self.left)


def are_resolved(
    columns: Resolution, total: ResponseTotals, nothing: FloatArray
) -> NDArray[np.bool_]:
    """Whether the products tell each response from the columns of the design, (R,).

    With l = L⁻¹X'y and x = L⁻ᵀl, the coefficients of columns at unit length, the change
    that makes y one of their combinations is δ, δ² = (y'y − l'l) / (y'y + x'x). Responses
    whose squares are at most `nothing`, (R,), do not count, nor those that overflowed.
    """
    squares, inverse = total.squares, columns.inverse
    if inverse is None:
        return squares <= nothing
    along = inverse @ (total.with_columns[columns.counted] / columns.lengths[:, None])
    left = squares - np.square(along).sum(axis=0)
    sizes = squares + np.square(inverse.T @ along).sum(axis=0)
    is_finite = np.isfinite(sizes)
    return (sizes * RESOLVED**2 <= left) | (squares <= nothing) | ~is_finite


def regression_on(
    columns: FloatArray, responses: FloatArray, used: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Return least-squares coefficients, (p, R), of responses, (n, R).

    Of columns, (n, p), that are dependent, as those of another frame's weights may be, the
    shortest of all that leave the same. Where only some columns are `used`, (p,), the
    others have coefficients of 0.
    """
    if used is not None:
        out = np.zeros((columns.shape[1], responses.shape[1]))
        out[used] = regression_on(columns[:, used], responses)
        return out
    lengths = np.linalg.norm(columns, axis=0)
    scaled = columns / lengths
    basis, triangle = np.linalg.qr(scaled)
    # A pivot is the distance of a column of unit length from the span of those before it.
    if (np.abs(np.diagonal(triangle)) <= RANK_TOLERANCE).any():
        found = np.linalg.lstsq(scaled, responses, rcond=RANK_TOLERANCE)[0]
        return np.asarray(found / lengths[:, None])
    return solve_upper(triangle, basis.T @ responses) / lengths[:, None]
