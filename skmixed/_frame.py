"""The frame of cross-products: what rows are moved by before they are multiplied.

A row d becomes (d − c) T. The center c takes the columns' means off them, and the
unit upper triangular T takes off each column its regression on the columns before
it, where these leave little of it. Both are affine, exactly known, and undone where
the columns themselves are asked for (docs/mathematics.md, "Columns that are nearly
dependent").
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Relative change of the columns by which one becomes a combination of those before
# it, up to which it counts as one.
RANK_TOLERANCE = 1e-9
# The same for columns as far from zero as they are: the rounding of their values,
# and of a few hundred operations with them.
ROUNDING = 1e-13
# The same change above which products keep 12 of 16 digits of what is left of a
# column, so that no transform is needed.
RESOLVED = 1e-2
# A transform takes on the columns below this, so that it stays good for more rows.
TRANSFORMED = 1e-1
# Rows reduced at a time to their triangular factor.
STRIPE_ROWS = 4_096


@dataclass(frozen=True)
class Frame:
    """A center and a transform.

    Attributes
    ----------
    center : (m,) array
        c, 0 for the ones.
    transform : (m, m) array or None
        T, unit upper triangular; None for the identity.
    """

    center: FloatArray
    transform: FloatArray | None = None

    def is_same(self, other: "Frame") -> bool:
        return np.array_equal(self.center, other.center) and self.has_transform_of(other)

    def has_transform_of(self, other: "Frame") -> bool:
        mine, its = self.transform, other.transform
        if mine is None or its is None:
            return mine is its
        return mine is its or np.array_equal(mine, its)

    @property
    def inverse(self) -> FloatArray | None:
        """T⁻¹: d − c is a row in the frame times it."""
        if self.transform is None:
            return None
        identity = np.eye(len(self.center))
        return np.asarray(
            scipy.linalg.solve_triangular(self.transform, identity, unit_diagonal=True)
        )

    def lengths(self, raw: FloatArray) -> FloatArray:
        """What each column in the frame is a difference of: ‖D T_j‖ for lengths D, (m,)."""
        if self.transform is None:
            return raw
        return np.asarray(np.sqrt(np.square(raw[:, None] * self.transform).sum(axis=0)))

    def applied(self, rows: FloatArray) -> FloatArray:
        """Multiply rows by T."""
        return rows if self.transform is None else rows @ self.transform

    def coefficients(self, of_columns: FloatArray) -> FloatArray:
        """Turn coefficients of the columns d − c to those of the columns in the frame."""
        inverse = self.inverse
        return of_columns if inverse is None else inverse @ of_columns

    def change_to(self, other: "Frame") -> tuple[FloatArray | None, FloatArray]:
        """Return M and s with which rows of this frame, times M, less s, are in the other."""
        shift = other.applied(other.center - self.center)
        if self.has_transform_of(other):
            return None, shift
        inverse = self.inverse
        return other.applied(np.eye(len(shift)) if inverse is None else inverse), shift


@dataclass(frozen=True)
class Orthogonalized:
    """Columns one by one, each less its regression on the independent ones before it.

    Attributes
    ----------
    kept : tuple of int
        Positions of the first linearly independent columns, in order.
    transform : (m, m) array or None
        T. Columns that are far from those before them stay as they are; None where
        all do.
    """

    kept: tuple[int, ...]
    transform: FloatArray | None


def orthogonalize(factor: FloatArray, spreads: FloatArray, raw: FloatArray) -> Orthogonalized:
    """Find the independent columns and T from a triangular factor of the rows.

    With e_j = Σ_i d_i T_ij what is left of column j, changes of the columns by
    ‖e_j‖ / ‖D T_j‖ of their lengths D make it a combination of those before it: the
    least singular value of the first j columns, to a factor below √j. It is one up
    to `RANK_TOLERANCE` for D the `spreads`, and up to `ROUNDING` for D the `raw`
    lengths. By Gram and Schmidt, twice.

    Parameters
    ----------
    factor : (k, m) array
        Its columns have the products of those of the data.
    spreads, raw : (m,) arrays
        Lengths of the columns around their means, and as they are.
    """
    m = factor.shape[1]
    norms = _norms(factor)
    unit = np.where(norms > 0, norms, 1.0)
    scaled = factor / unit
    limits = np.array([RANK_TOLERANCE * spreads, ROUNDING * raw]) / unit
    basis, of_basis = np.zeros((m, len(factor))), np.zeros((m, m))
    transform, is_near = np.eye(m), np.zeros(m, dtype=bool)
    kept: list[int] = []
    for j in range(m):
        rest, of_rest = scaled[:, j].copy(), np.zeros(m)
        of_rest[j] = 1.0
        done, of_done = basis[: len(kept)], of_basis[: len(kept)]
        for _ in range(2):
            along = done @ rest
            rest -= along @ done
            of_rest -= along @ of_done
        left = float(np.linalg.norm(rest))
        is_near[j] = norms[j] > 0 and left <= TRANSFORMED * np.linalg.norm(of_rest)
        transform[:, j] = of_rest * (unit[j] / unit)
        if left > np.linalg.norm(limits * of_rest, axis=1).max():
            basis[len(kept)], of_basis[len(kept)] = rest / left, of_rest / left
            kept.append(j)
    transform[:, ~is_near] = np.eye(m)[:, ~is_near]
    return Orthogonalized(tuple(kept), transform if is_near.any() else None)


def is_resolved(gram: FloatArray, nothing: FloatArray) -> bool:
    """Whether the products of some columns tell each from those before it.

    Its changes by `RESOLVED` of the columns' lengths, as in `orthogonalize`, are the
    inverse norms of the columns of R⁻¹. Columns whose squares are at most `nothing`,
    (m,), do not count. Products that overflowed tell nothing; they are refused later.
    """
    squares = np.diagonal(gram)
    if not np.isfinite(gram).all():
        return True
    counted = np.flatnonzero(squares > nothing)
    lengths = np.sqrt(squares[counted])
    scaled = gram[np.ix_(counted, counted)] / lengths / lengths[:, None]
    try:
        chol = np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        return False
    inverse, _ = scipy.linalg.lapack.dtrtri(chol, lower=True)
    return bool((np.square(inverse).sum(axis=1) * RESOLVED**2 <= 1.0).all())


def semidefinite_factor(gram: FloatArray) -> FloatArray:
    """Return R, upper triangular, with R'R the products; zeros where nothing is left."""
    squares = np.diagonal(gram)
    lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
    scaled = gram / lengths / lengths[:, None]
    try:
        return np.asarray(np.linalg.cholesky(scaled).T * lengths)
    except np.linalg.LinAlgError:
        pass
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
