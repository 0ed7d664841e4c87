"""Quantiles of a sample against those of the normal distribution."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from skmixed.plotting._axes import DARK, GRAY, LIGHT, dots

FloatArray = NDArray[np.float64]


def normal_quantiles(n: int) -> FloatArray:
    """Return normal quantiles of n ordered values, (n,).

    At (i − 3/8)/(n + 1/4) (Blom, 1958, Statistical Estimates and Transformed
    Beta-Variables).
    """
    return np.asarray(norm.ppf((np.arange(1, n + 1) - 0.375) / (n + 0.25)))


def envelope(n: int, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Return pointwise limits of n ordered independent standard normal values.

    The share below the i-th of n is distributed as Beta(i, n + 1 − i).
    """
    i = np.arange(1, n + 1)
    low, high = (norm.ppf(beta.ppf(p, i, n + 1 - i)) for p in (0.5 - level / 2, 0.5 + level / 2))
    return np.asarray(low), np.asarray(high)


def quantile_plot(ax: Any, values: FloatArray, *, center: float, scale: float) -> None:
    """Plot ordered values, the line center + scale·z and the envelope around it."""
    if not len(values):
        place = {"xycoords": "axes fraction", "ha": "center", "va": "center"}
        ax.annotate("all variances are 0", (0.5, 0.5), color=DARK, **place)
        return
    ordered, z = np.sort(values), normal_quantiles(len(values))
    low, high = envelope(len(values))
    band = {"color": LIGHT, "alpha": 0.6, "linewidth": 0.0, "zorder": 0}
    ax.fill_between(z, center + scale * low, center + scale * high, **band)
    ax.plot(z, center + scale * z, color=GRAY, linewidth=0.9, zorder=1)
    dots(ax, z, ordered, zorder=3, alpha=0.85)
