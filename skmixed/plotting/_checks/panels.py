"""The panels of the checks of a model."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._typing import FloatArray
from skmixed.plotting._axes.labels import labels_of, literal, shortened
from skmixed.plotting._axes.names import fitted_name
from skmixed.plotting._axes.places import finish
from skmixed.plotting._axes.style import (
    BLUE,
    COLORS,
    GRAY,
    LINE,
    MARKERS,
    ORANGE,
    YELLOW,
    dots,
    ink,
)
from skmixed.plotting._influence import InfluenceDisplay
from skmixed.plotting._quantiles import normal_quantiles, quantile_plot

# E √|z| of a standard normal z: 2^¼ Γ(¾)/√π
ROOT_OF_NORMAL = 0.8221789586624
# Rows of a bin whose mean is shown, and bins at most.
BIN, MOST_BINS = 20, 20
# Variance inflation factors beyond which collinearity is moderate and high, as performance says.
MODERATE, HIGH = 5.0, 10.0


def binned_means(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means of x and of y in bins of x of equal counts, two arrays (n_bins,)."""
    n_bins = min(len(x) // BIN, MOST_BINS)
    if n_bins < 2 or len(np.unique(x)) <= n_bins:
        levels, at = np.unique(x, return_inverse=True)
        if len(levels) > MOST_BINS:
            return np.empty(0), np.empty(0)
    else:
        edges = np.quantile(x, np.linspace(0.0, 1.0, n_bins + 1)[1:-1])
        at = np.searchsorted(edges, x, side="right")
    counts = np.bincount(at)
    some = counts > 0
    with np.errstate(invalid="ignore"):
        means = [np.bincount(at, values) / counts for values in (x, y)]
    return means[0][some], means[1][some]


def draw_linearity(ax: Any, rows: pd.DataFrame, kind: str, y_name: str) -> None:
    """Residuals against fitted values, whose mean is 0 everywhere where the model holds."""
    x, y = rows["fitted"].to_numpy(), rows["residual"].to_numpy()
    ax.axhline(0.0, **LINE)
    dots(ax, x, y)
    ax.plot(*binned_means(x, y), color=ORANGE, linewidth=1.5, zorder=4)
    finish(
        ax, x=fitted_name(y_name), y=f"{kind} residual", title="Linearity: the line is flat at 0"
    )


def draw_homogeneity(ax: Any, rows: pd.DataFrame, kind: str, y_name: str) -> None:
    """Roots of the absolute residuals, whose mean is the same everywhere."""
    x, y = rows["fitted"].to_numpy(), np.sqrt(np.abs(rows["residual"].to_numpy()))
    ax.axhline(ROOT_OF_NORMAL, **LINE)
    dots(ax, x, y)
    ax.plot(*binned_means(x, y), color=ORANGE, linewidth=1.5, zorder=4)
    ax.set_ylim(bottom=0.0)
    finish(
        ax, x=fitted_name(y_name), y=f"√|{kind} residual|", title="Homogeneity: the line is flat"
    )


def draw_residuals(ax: Any, rows: pd.DataFrame, kind: str) -> None:
    """Residuals against normal quantiles."""
    quantile_plot(ax, rows["residual"].to_numpy(), center=0.0, scale=1.0)
    finish(
        ax,
        x="normal quantile",
        y=f"{kind} residual",
        title="Normal residuals: on the line",
    )


def draw_effects(ax: Any, effects: pd.DataFrame) -> None:
    """Standardized random effects against normal quantiles, a color for each coefficient."""
    known = effects.dropna(subset=["standardized"])
    kinds = list(dict.fromkeys(zip(known["group"], known["name"], strict=True)))
    if len(kinds) == 1:
        quantile_plot(ax, known["standardized"].to_numpy(), center=0.0, scale=1.0)
    for k, (group, name) in enumerate(kinds if len(kinds) > 1 else []):
        own = known[(known["group"] == group) & (known["name"] == name)]["standardized"]
        color = COLORS[k % len(COLORS)]
        parts = (name,) if len({own for own, _ in kinds}) == 1 else (group, name)
        label = literal(": ".join(shortened(part, 30 // len(parts)) for part in parts))
        style = {"color": color, "marker": MARKERS[(k + k // len(COLORS)) % len(MARKERS)]}
        dots(ax, normal_quantiles(len(own)), np.sort(own), label=label, **style)
    if len(kinds) > 1:
        ax.axline((0.0, 0.0), slope=1.0, **LINE)
        ax.legend(fontsize="x-small", frameon=False, loc="upper left")
    if not kinds:
        place = {"xycoords": "axes fraction", "ha": "center", "va": "center"}
        ax.annotate("all variances are 0", (0.5, 0.5), color=ink(ax), **place)
    finish(
        ax,
        x="normal quantile",
        y="standardized effect",
        title="Normal effects: on the line",
    )


def draw_influence(ax: Any, shown: InfluenceDisplay) -> None:
    """Cook's distances of the rows, with the largest named."""
    shown.plot(ax, n_labels=3)
    finish(ax, title="Influence: no dot far above the others")


def draw_inflation(ax: Any, inflation: pd.DataFrame) -> None:
    """Squares of the factors of the standard errors: vif^(1/n_columns), the VIF of one column."""
    values = inflation["error_factor"].to_numpy() ** 2
    place = np.arange(len(values))[::-1]
    colors = np.where(values > HIGH, ORANGE, np.where(values > MODERATE, YELLOW, BLUE))
    for limit in (MODERATE, HIGH):
        ax.axvline(limit, color=GRAY, linewidth=0.8, linestyle=":")
    ax.hlines(place, 1.0, values, color=GRAY, linewidth=0.8)
    ax.scatter(values, place, color=colors, s=24.0, zorder=3)
    ax.set_xscale("log")
    ax.set_xlim(0.9, max(12.0, 1.2 * float(np.nanmax(values))))
    ticks = [1.0, 2.0, 5.0, 10.0, *([100.0] if np.nanmax(values) > 50.0 else [])]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_yticks(place, labels_of(inflation.index, 22))
    ax.set_ylim(-0.8, len(values) - 0.2)
    finish(ax, x="variance inflation factor, per column", title="Collinearity: below 5")
