"""Scores of all splits at once, from sums over the rows of each."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skmixed._typing import FloatArray, IntArray

DENSITY = "neg_log_predictive_density"


def _mean(values: FloatArray, split: IntArray, n_splits: int) -> FloatArray:
    """Return the mean over the rows of each split, (K,)."""
    sums, counts = np.bincount(split, values, n_splits), np.bincount(split, minlength=n_splits)
    return np.asarray(sums / counts)


def _r2(y: FloatArray, mean: FloatArray, _sd: Any, split: IntArray, n: int) -> FloatArray:
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)²; NaN of a single row, and where y is constant 1 or 0."""
    left = _mean((y - mean) ** 2, split, n)
    total = _mean((y - _mean(y, split, n)[split]) ** 2, split, n)
    return _r2_of_squares(left, total, np.bincount(split, minlength=n))


def _r2_of_squares(left: FloatArray, around_mean: FloatArray, counts: IntArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(around_mean > 0, 1.0 - left / around_mean, np.where(left > 0, 0.0, 1.0))
    return np.where(counts > 1, found, np.nan)


def _squared(y: FloatArray, mean: FloatArray, _sd: Any, split: IntArray, n: int) -> FloatArray:
    return -_mean((y - mean) ** 2, split, n)


def _root(y: FloatArray, mean: FloatArray, _sd: Any, split: IntArray, n: int) -> FloatArray:
    return -np.sqrt(_mean((y - mean) ** 2, split, n))


def _absolute(y: FloatArray, mean: FloatArray, _sd: Any, split: IntArray, n: int) -> FloatArray:
    return -_mean(np.abs(y - mean), split, n)


def _density(y: FloatArray, mean: FloatArray, sd: Any, split: IntArray, n: int) -> FloatArray:
    """Mean of log N(y; ŷ, s²)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = -0.5 * ((y - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2.0 * np.pi)
    return _mean(logs, split, n)


# From y, ŷ and its standard deviation of all rows, their splits and K to the K scores.
BY_SPLIT: dict[str, Callable[[FloatArray, FloatArray, Any, IntArray, int], FloatArray]] = {
    "r2": _r2,
    "neg_mean_squared_error": _squared,
    "neg_root_mean_squared_error": _root,
    "neg_mean_absolute_error": _absolute,
    DENSITY: _density,
}
# From Σ (y − ŷ)², Σ (y − ȳ)² and the number of rows of K splits to the K scores.
OF_SQUARES: dict[str, Callable[[FloatArray, FloatArray, IntArray], FloatArray]] = {
    "r2": _r2_of_squares,
    "neg_mean_squared_error": lambda left, _, counts: -left / counts,
    "neg_root_mean_squared_error": lambda left, _, counts: -np.sqrt(left / counts),
}
