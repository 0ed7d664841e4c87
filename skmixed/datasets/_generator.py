"""Simulated grouped data, with the truth on request."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import Bunch, check_random_state

from skmixed._data.parameters import items_of
from skmixed._typing import FloatArray


def make_mixed_regression(
    n_samples: int = 100,
    n_features: int = 2,
    *,
    n_groups: int | Sequence[int] = 10,
    n_random_slopes: int = 0,
    intercept_sd: float = 1.0,
    slope_sd: float = 0.5,
    noise: float = 1.0,
    bias: float = 0.0,
    unbalanced: float = 0.0,
    correlation: float = 0.0,
    coef: bool = False,
    as_frame: bool = True,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[Any, ...]:
    """Generate a regression problem with random effects of groups.

    The features are standard normal, the fixed coefficients uniform on
    (-2, 2). Every factor has a normal random intercept per level, the first
    factor also normal random slopes of the first features.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows.
    n_features : int, default=2
        Number of features x0, x1, …, all with a fixed effect; may be 0.
    n_groups : int or sequence of int, default=10
        Number of levels of the factor "group"; or, for a sequence, of the
        crossed factors "group0", "group1", ….
    n_random_slopes : int, default=0
        How many features, from x0 on, have a slope that varies between the
        levels of the first factor.
    intercept_sd : float, default=1.0
        Standard deviation of the random intercepts of each factor.
    slope_sd : float, default=0.5
        Standard deviation of each random slope around its fixed coefficient.
    noise : float, default=1.0
        Standard deviation of the residuals.
    bias : float, default=0.0
        Fixed intercept.
    unbalanced : float, default=0.0
        In [0, 1). 0 makes groups as equal in size as possible, values towards
        1 ever more unequal; see Notes.
    correlation : float, default=0.0
        Correlation of the intercept with each slope of the first factor, at
        most ``1 / sqrt(n_random_slopes)`` in absolute value; slopes are
        uncorrelated with one another.
    coef : bool, default=False
        Whether to return the truth too.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns float arrays.
    random_state : int, RandomState instance or None, default=None
        An int makes the result reproducible.

    Returns
    -------
    X : DataFrame or ndarray of shape (n_samples, n_features + n_factors)
        The features, then the group labels: integers from 0 (whole floats in
        the array).
    y : Series or ndarray of shape (n_samples,)
        The response of each sample.
    truth : Bunch
        Only if ``coef=True``: ``coef`` of shape (n_features,); ``bias``;
        ``random_effects``, factor → array of shape (n_levels, 1 +
        n_random_slopes), or (n_levels, 1) after the first factor;
        ``covariances``, factor → covariance matrix of one level's effects;
        and ``intercept_sd``, ``slope_sd``, ``noise``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    TypeError
        If a parameter is not a number of the right kind.

    See Also
    --------
    load_schools : Simulated data small enough to follow by hand.
    skmixed.MixedLinearRegressor.sample_y : Draws from a fitted model.

    Notes
    -----
    Each level gets one row (where there are rows enough); the others go to
    level j in proportion to ``(j + 1) ** (-unbalanced / (1 - unbalanced))``,
    rounded by largest remainder: 0.5 is Zipf's law. Level 0 is the largest.
    Rows come in random order, independently for each factor. The cost is
    O(n_samples · (n_features + n_factors)) time and memory.

    Examples
    --------
    >>> from skmixed.datasets import make_mixed_regression
    >>> X, y = make_mixed_regression(n_samples=60, n_groups=[6, 4], random_state=0)
    >>> list(X.columns)
    ['x0', 'x1', 'group0', 'group1']
    >>> X["group1"].value_counts().sort_index().to_list()
    [15, 15, 15, 15]
    >>> X, y = make_mixed_regression(n_samples=60, n_groups=4, unbalanced=0.5, random_state=0)
    >>> X["group"].value_counts().sort_index().to_list()
    [28, 14, 10, 8]
    """
    _check_counts(n_samples, n_features, n_random_slopes)
    _check_reals(intercept_sd, slope_sd, noise, bias, unbalanced)
    _check_correlation(correlation, n_random_slopes)
    levels = _check_groups(n_groups)

    rng = check_random_state(random_state)
    features = rng.standard_normal((n_samples, n_features))
    beta = rng.uniform(-2.0, 2.0, n_features)
    slopes = [n_random_slopes] + [0] * (len(levels) - 1)
    codes, effects, covariances = {}, {}, {}
    y = bias + features @ beta + noise * rng.standard_normal(n_samples)
    for (name, n_levels), n_slopes in zip(levels.items(), slopes, strict=True):
        root = _covariance_root(intercept_sd, slope_sd, correlation, n_slopes)
        codes[name] = _draw_codes(rng, n_samples, n_levels, unbalanced)
        effects[name] = rng.standard_normal((n_levels, 1 + n_slopes)) @ root.T
        covariances[name] = root @ root.T
        y += _contribution(effects[name][codes[name]], features[:, :n_slopes])

    X, response = _frames(features, codes, y) if as_frame else _arrays(features, codes, y)
    if not coef:
        return X, response
    truth = Bunch(
        coef=beta,
        bias=bias,
        random_effects=effects,
        covariances=covariances,
        intercept_sd=intercept_sd,
        slope_sd=slope_sd,
        noise=noise,
    )
    return X, response, truth


def _covariance_root(
    intercept_sd: float, slope_sd: float, correlation: float, n_slopes: int
) -> FloatArray:
    """Root R of shape (1 + n_slopes, 1 + n_slopes): RR' is the covariance.

    The slopes are independent, the intercept is their sum times the correlation
    and a remainder of its own: R = [[i √(1 - qρ²), iρ … iρ], [0, sI]].
    """
    root = np.diag(np.full(1 + n_slopes, slope_sd))
    root[0, 1:] = intercept_sd * correlation
    root[0, 0] = intercept_sd * math.sqrt(max(0.0, 1.0 - n_slopes * correlation**2))
    return root


def _draw_codes(
    rng: np.random.RandomState, n_samples: int, n_levels: int, unbalanced: float
) -> NDArray[np.int64]:
    sizes = _group_sizes(n_samples, n_levels, unbalanced)
    return rng.permutation(np.repeat(np.arange(n_levels), sizes))


def _group_sizes(n_samples: int, n_levels: int, unbalanced: float) -> NDArray[np.int64]:
    """Rows of each level, (n_levels,): the law in the generator's Notes."""
    first = int(n_samples >= n_levels)
    weights = np.arange(1.0, n_levels + 1) ** (-unbalanced / (1 - unbalanced))
    quotas = (n_samples - first * n_levels) * (weights / weights.sum())
    sizes = first + np.floor(quotas).astype(np.int64)
    by_remainder = np.argsort(np.floor(quotas) - quotas, kind="stable")
    sizes[by_remainder[: n_samples - sizes.sum()]] += 1
    return sizes


def _contribution(effects: FloatArray, features: FloatArray) -> FloatArray:
    """Return b₀ + Σ b_k x_k of each row, (n_samples,)."""
    return effects[:, 0] + np.einsum("ij,ij->i", effects[:, 1:], features)


def _frames(
    features: FloatArray, codes: dict[str, NDArray[np.int64]], y: FloatArray
) -> tuple[pd.DataFrame, pd.Series]:
    names = [f"x{k}" for k in range(features.shape[1])]
    X = pd.DataFrame(features, columns=names).assign(**codes)
    return X, pd.Series(y, name="y")


def _arrays(
    features: FloatArray, codes: dict[str, NDArray[np.int64]], y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    return np.column_stack([features, *codes.values()]), y


def _check_counts(n_samples: int, n_features: int, n_random_slopes: int) -> None:
    _check_count("n_samples", n_samples, 1)
    _check_count("n_features", n_features, 0)
    _check_count("n_random_slopes", n_random_slopes, 0)
    if n_random_slopes > n_features:
        raise ValueError(
            f"n_random_slopes={n_random_slopes} is more than n_features={n_features}. "
            "Only features have slopes; ask for fewer slopes or more features."
        )


def _check_groups(n_groups: int | Sequence[int]) -> dict[str, int]:
    """Levels of each factor by name."""
    if isinstance(n_groups, Integral):
        _check_count("n_groups", n_groups, 1)
        return {"group": int(n_groups)}
    if not np.iterable(n_groups):
        raise TypeError(f"n_groups={n_groups!r} must be an int or a sequence of ints.")
    levels = {f"group{k}": n_levels for k, n_levels in enumerate(items_of(n_groups, "n_groups"))}
    if not levels:
        raise ValueError(f"n_groups={n_groups!r} has no factor. Give at least one number.")
    for k, n_levels in enumerate(levels.values()):
        _check_count(f"n_groups[{k}]", n_levels, 1)
    return levels


def _check_reals(
    intercept_sd: float, slope_sd: float, noise: float, bias: float, unbalanced: float
) -> None:
    deviations = {"intercept_sd": intercept_sd, "slope_sd": slope_sd, "noise": noise}
    for name, value in deviations.items():
        _check_finite(name, value)
        if value < 0:
            raise ValueError(f"{name}={value!r} is negative. Give a standard deviation, 0 or more.")
    _check_finite("bias", bias)
    _check_finite("unbalanced", unbalanced)
    if not 0 <= unbalanced < 1:
        raise ValueError(
            f"unbalanced={unbalanced!r} is outside [0, 1). Give 0 for groups of equal size, "
            "or a number below 1 for unequal ones."
        )


def _check_correlation(correlation: float, n_random_slopes: int) -> None:
    _check_finite("correlation", correlation)
    if correlation != 0 and n_random_slopes == 0:
        raise ValueError(
            f"correlation={correlation!r} is between intercept and slopes, and there are no "
            "slopes. Set n_random_slopes, or leave the correlation at 0."
        )
    # The slack lets 1 / sqrt(n) pass, whose square is off by a rounding error or two.
    if n_random_slopes * correlation**2 > 1 + 1e-12:
        bound = 1 / math.sqrt(n_random_slopes)
        raise ValueError(
            f"correlation={correlation!r} leaves no positive semidefinite covariance with "
            f"n_random_slopes={n_random_slopes}. Give at most {bound:.6g} in absolute value."
        )


def _check_count(name: str, value: Any, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}={value!r} is not an integer. Give one, {minimum} or more.")
    if int(value) < minimum:
        raise ValueError(f"{name}={value!r} is too small. Give {minimum} or more.")


def _check_finite(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={value!r} is not a number. Give a finite number.")
    if not math.isfinite(value):
        raise ValueError(f"{name}={value!r} is not finite. Give a finite number.")
