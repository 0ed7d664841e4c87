"""The rank of X, read off its cross-products, and what rounding leaves of zero."""

import numpy as np
from numpy.typing import NDArray

from skmixed._crossprod import CONSTANT_SHARE, CrossProducts

FloatArray = NDArray[np.float64]

# Squared pivot, on columns of unit length, below which a column counts as a
# combination of the columns before it.
RANK_TOLERANCE = 1e-12
# Share of y'y (centered) that rounding leaves of a residual sum of squares of 0.
EXACT_FIT_SHARE = 1e-13


def independent_columns(
    gram: FloatArray, columns: list[int], raw_squares: FloatArray
) -> tuple[int, ...]:
    """Return the positions of the first linearly independent columns, in order.

    By the pivots of a Cholesky factorization of the scaled products; a column
    whose pivot is below `RANK_TOLERANCE` is passed over.
    """
    squares = np.diagonal(gram)[columns]
    norms = np.sqrt(np.where(squares > CONSTANT_SHARE * raw_squares[columns], squares, 0.0))
    safe = np.where(norms > 0, norms, 1.0)
    scaled = gram[np.ix_(columns, columns)] / np.outer(safe, safe)
    kept: list[int] = []
    rows = np.zeros((len(columns), len(columns)))  # of the factor, one a kept column
    for j in range(len(columns)):
        done = rows[: len(kept)]
        rest = scaled[j] - done[:, j] @ done
        if norms[j] > 0 and rest[j] > RANK_TOLERANCE:
            rows[len(kept)] = rest / np.sqrt(rest[j])
            kept.append(j)
    return tuple(kept)


def total_around(stats: CrossProducts, center: FloatArray) -> FloatArray:
    """Return the total cross-products around another center, (m, m)."""
    shift = center - stats.center
    total = stats.total - np.outer(stats.total[0], shift)
    return np.asarray(total - np.outer(shift, total[0]))


def raw_squares(stats: CrossProducts) -> FloatArray:
    """Return the weighted sum of squares of each column as it is, (m,)."""
    return np.diagonal(total_around(stats, np.zeros_like(stats.center)))


def residual_floor(raw: float, y_squares: float) -> float:
    """Return the residual sum of squares that rounding leaves of an exact fit.

    From the sums of squares of y as it is and around its center.
    """
    eps = np.finfo(float).eps
    rounding_of_y = raw * eps**2
    return max(EXACT_FIT_SHARE * y_squares, rounding_of_y, np.finfo(float).tiny)
