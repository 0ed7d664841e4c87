"""What the displays share: axes, colors, labels, and the choice of what is shown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skmixed._data.encoder import INTERCEPT, Encoder
from skmixed._data.parameters import items_of
from skmixed._fitted.fitted_model import FittedModel, formula_of
from skmixed._fitted.results import factor_names
from skmixed._typing import FloatArray

# Of the palette of Okabe and Ito, which color-blind readers tell apart.
BLUE, ORANGE, YELLOW = "#0072B2", "#D55E00", "#E69F00"
# Of several values, one each.
COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", YELLOW, "#56B4E9")
DARK, GRAY, LIGHT = "#404040", "#8C8C8C", "#D9D9D9"
LINE = {"color": GRAY, "linewidth": 0.8, "zorder": 1}

LABEL_LENGTH = 30
# Width of a letter as a share of the size of the type, a little above the mean.
LETTER = 0.6
# Points of type; below the least, labels are left out.
TITLE_SIZE, LABEL_SIZE, LEAST_LABEL_SIZE, LINE_HEIGHT = 10.0, 8.0, 5.5, 1.25
# Where a label may stand beside its point: right or left, and how many lines off.
LABEL_PLACES = [(side, lift) for lift in (0, 1, -1, 2, -2, 3, -3, 4) for side in (1, -1)]
# From here on marks are small and pale, and are pixels in a PDF.
MANY = 200


def require_matplotlib(caller: str) -> None:
    """Say how to get matplotlib, before any work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed. Install it with "
            "`pip install matplotlib`."
        ) from error


def single_axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    """Return the axes given, or those of a new figure."""
    return panels(ax, 1, size=size)[0]


def panels(
    ax: Any, n: int, *, n_columns: int | None = None, size: tuple[float, float] | None = None
) -> NDArray[Any]:
    """Return n axes: new ones, those given, or parts of the place of a single one.

    `size` is that of a new figure, in inches.
    """
    if isinstance(ax, list | tuple | np.ndarray):
        given = np.asarray(ax, dtype=object).ravel()
        if len(given) != n:
            raise ValueError(
                f"ax has {len(given)} axes, but the plot has {n} panels. Give {n}, one to divide, "
                "or none."
            )
        for own in given:
            _check_axes(own, f"ax has {own!r}, which")
        return given
    if ax is not None:
        _check_axes(ax, f"ax={ax!r}")
    if ax is not None and n == 1:
        return _array([ax])
    n_columns = n_columns or n
    shape = -(-n // n_columns), n_columns
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(*shape)
    else:
        figure, grid = ax.figure, _place_of(ax).subgridspec(*shape)
    return _array([figure.add_subplot(grid[divmod(k, n_columns)]) for k in range(n)])


def _check_axes(ax: Any, what: str) -> None:
    if not hasattr(ax, "get_figure"):
        raise TypeError(
            f"{what} is of type {type(ax).__name__}. Give axes of matplotlib, a list of them, or "
            "none."
        )


def _place_of(ax: Any) -> Any:
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            "ax is not part of a grid, so that it cannot be divided into panels. Give one of "
            "plt.subplots, or an array of axes."
        )
    ax.set_axis_off()
    return place


def _array(axes: Sequence[Any]) -> NDArray[Any]:
    out = np.empty(len(axes), dtype=object)
    out[:] = axes
    return out


def finish(ax: Any, *, x: str = "", y: str = "", title: str = "") -> None:
    """Name the axes and take the frame's upper and right side away."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRAY)
    ax.tick_params(color=GRAY, labelsize="small")
    box = ax.get_window_extent()
    unit = ax.figure.dpi / 72
    if x:
        ax.set_xlabel(_wrapped(x, box.width / unit))
    if y:
        ax.set_ylabel(_wrapped(y, box.height / unit))
    if title:
        ax.set_title(_wrapped(title, box.width / unit), fontsize=TITLE_SIZE)


def _wrapped(text: str, room: float) -> str:
    """Break text into lines of so many points, and shorten words that are longer."""
    most = max(int(room / (LETTER * TITLE_SIZE)), 8)
    lines = [
        line
        for part in text.split("\n")
        for line in textwrap.wrap(part, most, break_long_words=False, break_on_hyphens=False)
    ]
    return literal("\n".join(shortened(line, most) for line in lines))


def literal(text: str) -> str:
    """Keep matplotlib from reading mathematics into names."""
    return text.replace("$", r"\$")


def shortened(text: str, length: int) -> str:
    """Keep the beginning and the end of a text that is too long."""
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1].rstrip()}…{text[-tail:].lstrip()}"


def labels_of(levels: Iterable[Any], length: int = LABEL_LENGTH) -> list[str]:
    """Write levels; long ones without the end that all have, then without the middle."""
    texts = [" : ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in levels]
    texts = [text.removesuffix(" 00:00:00") for text in texts]  # of a date
    if len(texts) > 1 and max(map(len, texts)) > length:
        ends = zip(*(text[::-1] for text in texts), strict=False)
        common = len(list(takewhile(lambda letters: len(set(letters)) == 1, ends)))
        if common > 1:
            texts = [f"{text[:-common]}…" for text in texts]
    return [literal(shortened(text, length)) for text in texts]


def level_axis(ax: Any, levels: Sequence[Any], group: str, *, named: bool = True) -> None:
    """Put levels on the vertical axis at 0, 1 …, or their number where labels do not fit."""
    n = len(levels)
    ax.set_ylim(-0.8, n - 0.2)
    ax.set_yticks([])
    if not named:
        return
    height = ax.get_window_extent().height * 72 / ax.figure.dpi
    size = min(LABEL_SIZE, height / (n * LINE_HEIGHT))
    if size < LEAST_LABEL_SIZE:
        ax.set_ylabel(literal(f"{group} ({n:,} levels, sorted)"))
        return
    ax.set_yticks(np.arange(n), labels_of(levels))
    ax.tick_params(axis="y", labelsize=size, length=0)
    ax.set_ylabel(literal(group))


def level_ticks(ax: Any, levels: Iterable[Any], group: str) -> str:
    """Name levels at 0, 1 … on the horizontal axis, across or upright, where they have room.

    Return what the axis is called: the group, with the number of levels that are not named.
    """
    texts = labels_of(levels, 16)
    n = len(texts)
    room = ax.get_window_extent().width * 72 / ax.figure.dpi / max(n, 1)
    longest = max(map(len, texts), default=0)
    is_across = (LETTER * longest + 0.5) * LABEL_SIZE <= room
    size = LABEL_SIZE if is_across else min(LABEL_SIZE, room / LINE_HEIGHT)
    if size < LEAST_LABEL_SIZE:
        ax.set_xticks([])
        return f"{group} ({n:,} levels)"
    ax.set_xticks(np.arange(n), texts, rotation=0 if is_across else 90, fontsize=size)
    return group


def name_points(ax: Any, points: FloatArray, texts: Sequence[str], *, up: NDArray[Any]) -> None:
    """Write texts beside points, (n, 2), that do not cover each other nor these points.

    Right of a point or left of it, else some lines off, with a line that leads there: first
    upwards where `up`, (n,), says so. A text without room is left out.
    """
    ax.figure.draw_without_rendering()  # the places of axes that lay themselves out
    at, unit = ax.transData.transform(points), ax.figure.dpi / 72
    box, height = ax.get_window_extent(), LINE_HEIGHT * LABEL_SIZE
    taken = [(x - 2.0, y - 2.0, x + 2.0, y + 2.0) for x, y in at]
    for k, text in enumerate(texts):
        width = LETTER * len(text) * LABEL_SIZE + 4.0
        others = taken[:k] + taken[k + 1 :]
        for side, lift in LABEL_PLACES:
            start = (4.0 if side > 0 else -4.0 - width, height * (lift if up[k] else -lift))
            low = at[k] + np.array([start[0], start[1] - height / 2]) * unit
            high = low + np.array([width, height]) * unit
            if low[0] < box.x0 or high[0] > box.x1 or low[1] < box.y0 or high[1] > box.y1:
                continue
            if any(_overlap((*low, *high), other) for other in others):
                continue
            lead = {"arrowstyle": "-", "color": GRAY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
            ax.annotate(
                text,
                points[k],
                (4.0 * side, start[1]),
                textcoords="offset points",
                fontsize=LABEL_SIZE,
                color=DARK,
                va="center",
                ha="left" if side > 0 else "right",
                arrowprops=lead if lift else None,
            )
            taken.append((*low, *high))
            break


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether boxes, each (left, low, right, high), have a part in common."""
    across = one[0] < other[2] and other[0] < one[2]
    return bool(across and one[1] < other[3] and other[1] < one[3])


def dots(ax: Any, x: ArrayLike, y: ArrayLike, **changes: Any) -> Any:
    """Scatter points whose size and depth fall with their number."""
    n = int(np.size(x))
    many = n > MANY
    style = {
        "s": 20.0 if not many else float(np.clip(20.0 * MANY / n, 4.0, 12.0)),
        "alpha": 0.85 if not many else float(np.clip(3.0 * MANY / n, 0.15, 0.6)),
        "linewidths": 0.0,
        "color": BLUE,
        "rasterized": n > 10 * MANY,
    }
    return ax.scatter(x, y, **(style | changes))


def thin(n: int) -> float:
    """Width of lines, one a level."""
    return 1.2 if n <= MANY // 4 else float(np.clip(1.2 * MANY / 4 / n, 0.3, 1.2))


def name_of(y: Any) -> str:
    """Name a response, by its own name if it has one."""
    name = y.name if isinstance(y, pd.Series) else None
    return "y" if name is None else str(name)


def per(name: str, response: str) -> str:
    """Return the unit of a coefficient."""
    return f"units of {response}" if name == INTERCEPT else f"units of {response} per unit"


def scale_name(model: Any, view: FittedModel) -> str:
    """Name what the linear predictor of a model is: its response, or the link of that."""
    by_formula = formula_of(model)
    name = (None if by_formula is None else by_formula._frame.response_name) or "y"
    return f"{view.family.link_name} of {name}" if view.is_generalized else name


def choose_group(encoder: Encoder, group: str | None) -> int:
    """Return the position of a factor by its name, the first for None.

    Raises
    ------
    ValueError
        If there is none of that name, or none at all.
    """
    names = factor_names(encoder)
    if not names:
        raise ValueError(
            "The model has no grouping factor, so that there are no random effects to show. Name "
            "grouping columns in `groups`, or write (1 | g) in the formula."
            + " ResidualCorrelationDisplay shows what rows of one subject have in common."
            * (encoder.subjects is not None)
        )
    if group is None:
        return 0
    if group not in names:
        raise ValueError(
            f"group={group!r} is not a grouping factor of the model. It has "
            f"{', '.join(map(repr, names))}."
        )
    return names.index(group)


def coefficients(encoder: Encoder, k: int) -> list[str]:
    """Name the coefficients of a factor's levels, in the order of its terms."""
    own = [term for term in encoder.terms if term.factor == k]
    return [name for term in own for name in encoder.coefficient_names(term)]


def choose_names(encoder: Encoder, k: int, name: str | Sequence[str] | None) -> list[str]:
    """Return the coefficients named, all for None.

    Raises
    ------
    ValueError
        If the factor does not have one.
    """
    known = coefficients(encoder, k)
    if name is None:
        return known
    wanted = (name,) if isinstance(name, str) else items_of(name, "name")
    if not wanted:
        raise ValueError(f"name={name!r} names no coefficient. Use None for all.")
    for one in wanted:
        if not (isinstance(one, str) and one in known):
            raise ValueError(
                f"name={one!r} is not a coefficient of {encoder.factors[k].name!r}. It has "
                f"{', '.join(map(repr, known))}."
            )
    return list(dict.fromkeys(wanted))
