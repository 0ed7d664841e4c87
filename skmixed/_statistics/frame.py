"""The frame of cross-products: what rows are turned to before they are multiplied.

A row d becomes the row e with d − c = eE. The center c takes the columns' means off
them, and the unit upper triangular E takes off each column its regression on what is
left of the columns before it, where it nearly depends on these. Both are exactly
known, and undone where the columns themselves are asked for (docs/mathematics.md,
"Columns that are nearly dependent").
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri, dtrtrs

from skmixed._typing import FloatArray, FrameChange, IntArray

# Singular values, as shares of the largest, up to which those of the columns of X at
# unit length count as zero.
RANK_TOLERANCE = 1e-9
# Relative change of the columns by which one becomes a combination of those before
# it, up to which that is the rounding of their values and of some hundred operations.
ROUNDING = 1e-13
# The same change above which products keep 12 of 16 digits of what is left of a
# column, so that no regression has to be taken off.
RESOLVED = 1e-2
# Where one is, it is off all columns below this, so that it stays good for more rows.
REGRESSED = 1e-1
# Rows reduced at a time to their triangular factor.
STRIPE_ROWS = 4_096


@dataclass(frozen=True)
class Frame:
    """A center and a regression.

    Attributes
    ----------
    center : (m,) array
        c, 0 for the ones.
    regression : (m, m) array or None
        E, unit upper triangular: the coefficients of column j on what is left of
        the columns before it are above its diagonal. None for the identity.
    """

    center: FloatArray
    regression: FloatArray | None = None

    def is_same(self, other: "Frame") -> bool:
        has_center = self.center is other.center or np.array_equal(self.center, other.center)
        return has_center and self.has_regression_of(other)

    def has_regression_of(self, other: "Frame") -> bool:
        mine, its = self.regression, other.regression
        if mine is None or its is None:
            return mine is its
        return mine is its or np.array_equal(mine, its)

    def in_frame(self, rows: FloatArray) -> FloatArray:
        """Turn rows d − c to rows e."""
        return rows if self.regression is None else residuals(rows, self.regression)

    def coefficients(self, of_columns: FloatArray) -> FloatArray:
        """Turn coefficients of the columns d − c to those of the columns e."""
        return of_columns if self.regression is None else self.regression @ of_columns

    def of_columns(self, coefficients: FloatArray) -> FloatArray:
        """Turn coefficients of the columns e to those of the columns d − c."""
        if self.regression is None:
            return coefficients
        return solve_upper(self.regression, coefficients, is_unit=True)

    def change_to(self, other: "Frame") -> FrameChange:
        """Return M and s with which rows of this frame, times M, less s, are in the other."""
        shift = other.in_frame(other.center - self.center)
        if self.has_regression_of(other):
            return None, shift
        return other.in_frame(self.coefficients(np.eye(len(shift)))), shift

    def of_own_columns(self, columns: tuple[int, ...], regression: FloatArray | None) -> FloatArray:
        """Return M with f = eM the rows of some columns in a frame of their own, (k, r).

        d_O − c_O = fE_O of the columns O, with E_O the `regression`.
        """
        own = self.coefficients(np.eye(len(self.center)))[:, list(columns)]
        return own if regression is None else residuals(own, regression)

    def lengths(self, raw: FloatArray) -> FloatArray:
        """Return what each column e is a difference of, from lengths of the columns, (m,)."""
        if self.regression is None:
            return raw
        combinations = residuals(np.eye(len(raw)), self.regression)
        return np.asarray(np.linalg.norm(raw[:, None] * combinations, axis=0))


def residuals(rows: FloatArray, regression: FloatArray) -> FloatArray:
    """Return rows e of rows eE.

    By substitution, column by column: eE differs from the rows by no more than the
    rounding of their own values, however large the coefficients of the columns are.
    """
    return solve_upper(regression, rows.T, is_transposed=True, is_unit=True).T


def solve_upper(
    triangle: FloatArray, right: FloatArray, *, is_transposed: bool = False, is_unit: bool = False
) -> FloatArray:
    """Solve Rx = b or R'x = b, R upper triangular, by LAPACK without a check of the numbers.

    Raises
    ------
    numpy.linalg.LinAlgError
        If R has a zero on its diagonal.
    """
    if not right.size:
        return right
    solved, info = dtrtrs(triangle, right, trans=int(is_transposed), unitdiag=int(is_unit))
    if info:
        raise np.linalg.LinAlgError(f"The triangle has a zero at place {info - 1} of its diagonal.")
    return np.asarray(solved)


@dataclass(frozen=True)
class Orthogonalized:
    """Columns one by one, each less its regression on the independent ones before it.

    Attributes
    ----------
    kept : tuple of int
        Positions of the first linearly independent columns, in order.
    regression : (m, m) array or None
        E. Nothing is taken off columns that are far from those before them; None
        where all are.
    """

    kept: tuple[int, ...]
    regression: FloatArray | None


def orthogonalize(factor: FloatArray, spreads: FloatArray, raw: FloatArray) -> Orthogonalized:
    """Find the independent columns and E from a triangular factor of the rows.

    A column is independent if it raises the rank of the columns up to it: the number
    of singular values above `RANK_TOLERANCE`. It is not where changes of the columns
    by `ROUNDING` make it a combination of those before it. With e_j = Σ_i d_i T_ij
    what is left of column j, such a change is ‖e_j‖ / ‖D T_j‖ of their lengths D; its
    inverses are the norms of the columns of R⁻¹, and so bound the singular values.
    By Gram and Schmidt, twice.

    Parameters
    ----------
    factor : (k, m) array
        Its columns have the products of those of the data; the first row is what
        they have along the ones.
    spreads, raw : (m,) arrays
        Lengths of the columns around their means, and as they are.
    """
    m = factor.shape[1]
    norms = _norms(factor)
    unit = np.where(norms > 0, norms, 1.0)
    scaled, spreads = factor / unit, np.where(spreads > 0, spreads, unit) / unit
    singular = _SingularValues(scaled / spreads)
    basis, of_basis, of_left = (np.zeros((m, n)) for n in (len(factor), m, m))
    regression, inverse_squares = np.eye(m), 0.0
    kept: list[int] = []
    for j, identity in enumerate(np.eye(m)):
        k = len(kept)
        # Gram and Schmidt: e_j = x_j − Σ_k (b_k'x_j) b_k, and T_j with it
        rest, along = _less_projection(scaled[:, j], basis[:k])
        combination = identity - along @ of_basis[:k]
        left = float(np.linalg.norm(rest))
        # A column near the others is regressed on them: E_j takes what they explain.
        if norms[j] > 0 and left <= REGRESSED * np.linalg.norm(combination):
            regression[:, j] += along @ of_left[:k] * (unit[j] / unit)
            along = np.zeros(k)
        if left <= ROUNDING * np.linalg.norm(raw / unit * combination):
            continue
        # ‖D T_j‖ / ‖e_j‖, a column of R⁻¹, whose norms bound the singular values
        change = float(np.linalg.norm(spreads * combination)) / left
        if singular.are_raised(j, k, inverse_squares + change**2):
            basis[k], of_basis[k] = rest / left, combination / left
            of_left[k] = (identity - along @ of_left[:k]) / left
            inverse_squares += change**2
            kept.append(j)
    is_identity = np.array_equal(regression, np.eye(m))
    return Orthogonalized(tuple(kept), None if is_identity else regression)


class _SingularValues:
    """The singular values of columns that come one by one."""

    def __init__(self, columns: FloatArray) -> None:
        self._columns = columns
        self._limit = RANK_TOLERANCE * max(float(np.linalg.norm(columns[1:], 2)), 1.0)

    def are_raised(self, column: int, rank: int, inverse_squares: float) -> bool:
        """Whether more than `rank` of them are not zero with a further column.

        They are without a look where the squares of R⁻¹ add up to so little. A column that
        depends on those before it counts with them: what they hardly tell apart, it may.
        """
        if inverse_squares * self._limit**2 < 1.0:
            return True
        values = np.linalg.svd(self._columns[:, : column + 1], compute_uv=False)
        return int((values > self._limit).sum()) > rank


def _less_projection(column: FloatArray, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what is left of a column outside of a span, and its part along the basis."""
    first = basis @ column
    rest = column - first @ basis
    second = basis @ rest
    return rest - second @ basis, first + second


@dataclass(frozen=True)
class Resolution:
    """How far columns are from each other, from L⁻¹ of their products LL' at unit length.

    The change of the columns by which one becomes a combination of those before it,
    δ_j as in `orthogonalize`, is the inverse norm of row j of L⁻¹.

    Attributes
    ----------
    counted : (n,) array of int
        Columns that have more than rounding.
    lengths : (n,) array
        Theirs.
    inverse : (n, n) array or None
        L⁻¹, lower triangular; None where the products are singular.
    """

    counted: IntArray
    lengths: FloatArray
    inverse: FloatArray | None

    @staticmethod
    def of(gram: FloatArray, nothing: FloatArray) -> "Resolution":
        """Factor the products; columns whose squares are at most `nothing`, (m,), do not count."""
        squares = np.diagonal(gram)
        counted = np.flatnonzero(squares > nothing)
        lengths = np.sqrt(squares[counted])
        if not len(counted):
            return Resolution(counted, lengths, np.empty((0, 0)))
        if len(counted) < len(gram):
            gram = gram[np.ix_(counted, counted)]
        chol, info = dpotrf(gram / lengths / lengths[:, None], lower=True)
        if info:
            return Resolution(counted, lengths, None)
        return Resolution(counted, lengths, dtrtri(chol, lower=True)[0])

    @property
    def is_good(self) -> bool:
        """Whether the products tell each column from those before it: all δ_j ≥ `RESOLVED`."""
        if self.inverse is None:
            return False
        return bool((np.square(self.inverse).sum(axis=1) * RESOLVED**2 <= 1.0).all())


def semidefinite_factor(gram: FloatArray) -> FloatArray:
    """Return R, upper triangular, with R'R the products; zeros where nothing is left."""
    squares = np.diagonal(gram)
    lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
    scaled = gram / lengths / lengths[:, None]
    chol, info = dpotrf(scaled)
    if not info:
        return np.asarray(chol * lengths)
    out, rounding = np.zeros_like(gram), len(gram) * np.finfo(float).eps
    for j in range(len(gram)):
        rest = scaled[j] - out[:j, j] @ out[:j]
        if rest[j] > rounding:
            out[j, j:] = rest[j:] / np.sqrt(rest[j])
    return out * lengths


def factor_of_rows(rows: FloatArray) -> FloatArray:
    """Return R of a QR of many rows, (m, m)."""
    out = np.zeros((rows.shape[1],) * 2)
    for start in range(0, len(rows), STRIPE_ROWS):
        out = added_factors(out, rows[start : start + STRIPE_ROWS])
    return out


def added_factors(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return R of the rows of both, the first of which is square."""
    return np.asarray(np.linalg.qr(np.concatenate([first, second]), mode="r"))


def _norms(columns: FloatArray) -> FloatArray:
    """Lengths of columns whose squares may leave the range of numbers."""
    largest = np.abs(columns).max(axis=0, initial=0.0)
    unit = np.where(largest > 0, largest, 1.0)
    return np.asarray(unit * np.linalg.norm(columns / unit, axis=0))
