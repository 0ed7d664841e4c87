"""The panels of a figure of effects: points with error bars, or a line with its band."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._typing import FloatArray
from skmixed.plotting._axes.labels import labels_of
from skmixed.plotting._axes.style import COLORS, DASHES, GRAY, MARKERS, dots

# Values of a line up to which each has a mark.
MOST_MARKS = 10
# Share of the place of a category that its colors take, and the most that one takes.
SHARE, WIDEST = 0.7, 0.25
# Letters of labels on a panel from which on they are turned, per inch of its width.
LETTERS = 9.0
PALE = 0.25
# Responses of two values, such as classes, are spread by so much of their difference.
SPREAD = 0.03


@dataclass(frozen=True)
class EffectColumns:
    """Which columns of a table a panel shows.

    Attributes
    ----------
    x, color : str
        "" for none.
    estimate : str
    is_line : bool
        Whether x is numeric.
    """

    x: str
    color: str
    estimate: str
    is_line: bool


def values_of(table: pd.DataFrame, name: str) -> list[Any]:
    """Return the values of a variable in their order, one without a name for none."""
    return list(table[name].unique()) if name else [None]


def written(values: list[Any]) -> list[str]:
    """Write values, numbers without digits that say nothing."""
    return labels_of([f"{own:g}" if isinstance(own, float) else own for own in values])


def rows_at(table: pd.DataFrame, name: str, value: Any) -> pd.DataFrame:
    return table[table[name] == value] if name else table


def colors_of(n: int) -> list[Any]:
    """Return so many colors, of a scale from blue to yellow where they are many."""
    if n <= len(COLORS):
        return list(COLORS[:n])
    import matplotlib as mpl

    return [mpl.colormaps["viridis"](share) for share in np.linspace(0.0, 0.92, n)]


def draw_effects_panel(
    ax: Any, columns: EffectColumns, table: pd.DataFrame, data: pd.DataFrame | None, values: Any
) -> None:
    """Draw the effects at one value of the variable of the panels.

    `values`: those of x and of the colors in the whole figure.
    """
    x_values, color_values = values
    n = len(color_values)
    width = min(WIDEST, SHARE / n)
    chance = np.random.default_rng(0)
    # Of a line a dot has its own place, but where dots would lie on each other.
    room = (_room_of_piles(data, columns, x_values) / n) if columns.is_line else width
    for k, (value, color) in enumerate(zip(color_values, colors_of(n), strict=True)):
        own = rows_at(table, columns.color, value)
        shift = k - (n - 1) / 2.0
        place = _places(own, columns, x_values)
        place = place if columns.is_line else place + shift * width
        if data is not None:
            rows = rows_at(data, columns.color, value)
            at = _places(rows, columns, x_values)
            if room > 0.0:
                at = at + (shift + chance.uniform(-0.3, 0.3, len(at))) * room
            response = _told_apart(rows["response"].to_numpy(), chance)
            dots(ax, at, response, color=color, alpha=PALE, zorder=1)
        label = written([value])[0] if columns.color else None
        form = {"marker": MARKERS[k % len(MARKERS)], "linestyle": DASHES[k % len(DASHES)]}
        _draw_one(ax, columns, place, own, {"color": color, "label": label, **form})
    if not columns.is_line:
        _name_categories(ax, columns, x_values)


def _room_of_piles(data: pd.DataFrame | None, columns: EffectColumns, x_values: Any) -> float:
    """Return the width over which dots of a numeric x are spread; 0 where few share a place.

    It is a share of the least distance between two values of x.
    """
    if data is None or not len(data):
        return 0.0
    at = _places(data, columns, x_values)
    if at.dtype.kind not in "iuf":
        return 0.0
    places = pd.DataFrame({"x": at, "y": data["response"].to_numpy()}).dropna()
    values = np.unique(places["x"])
    is_piled = 2 * len(places.drop_duplicates()) < len(places)
    return SHARE * float(np.diff(values).min()) if is_piled and len(values) > 1 else 0.0


def _told_apart(response: FloatArray, chance: np.random.Generator) -> FloatArray:
    """Spread responses of but two values, of which all dots would lie on each other."""
    both = np.unique(response)
    if len(both) != 2:
        return response
    width = SPREAD * (both[1] - both[0])
    return np.asarray(response + chance.uniform(-width, width, len(response)))


def _places(rows: pd.DataFrame, columns: EffectColumns, x_values: list[Any]) -> NDArray[Any]:
    """Return where rows are on the horizontal axis; NaN where they have no place."""
    if columns.is_line:
        return np.asarray(rows[columns.x])
    if not columns.x:
        return np.zeros(len(rows))
    at: FloatArray = pd.Index(x_values).get_indexer(pd.Index(rows[columns.x])).astype(float)
    return np.where(at < 0.0, np.nan, at)


def _draw_one(
    ax: Any, columns: EffectColumns, place: Any, own: pd.DataFrame, style: dict[str, Any]
) -> None:
    """Draw the effects of one color."""
    estimate, lower, upper = (own[name].to_numpy() for name in (columns.estimate, "lower", "upper"))
    if columns.is_line and len(own) > 1:
        order = np.argsort(place)
        place, estimate, lower, upper = (a[order] for a in (place, estimate, lower, upper))
        style = style if len(own) <= MOST_MARKS else style | {"marker": ""}
        ax.fill_between(place, lower, upper, color=style["color"], alpha=0.18, linewidth=0.0)
        ax.plot(place, estimate, linewidth=1.6, markersize=4.0, zorder=3, **style)
        return
    error = np.stack([estimate - lower, upper - estimate])
    form = {"markersize": 5.0, "elinewidth": 1.4, "capsize": 0.0, "zorder": 3, "linestyle": ""}
    ax.errorbar(place, estimate, error, **(style | form))


def _name_categories(ax: Any, columns: EffectColumns, x_values: list[Any]) -> None:
    labels = written(x_values) if columns.x else [""]
    inches = ax.get_window_extent().width / ax.figure.dpi
    is_turned = sum(len(label) + 2 for label in labels) > LETTERS * inches
    turned = {"rotation": 40.0, "ha": "right", "rotation_mode": "anchor"} if is_turned else {}
    ax.set_xticks(np.arange(len(labels)), labels, **turned)
    ax.set_xlim(-0.5, len(labels) - 0.5)
    ax.tick_params(axis="x", length=0)


def zero_line(ax: Any) -> None:
    ax.axhline(0.0, color=GRAY, linewidth=0.8, zorder=0)
