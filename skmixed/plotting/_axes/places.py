"""Axes of displays: new ones, those given, or parts of one, and how they are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed.plotting._axes.labels import TITLE_SIZE, wrapped
from skmixed.plotting._axes.style import GRAY


def require_matplotlib(caller: str) -> None:
    """Say how to get matplotlib, before any work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed. Install it with "
            "`pip install matplotlib`."
        ) from error


# Inches of names of levels for which axes have room before they are laid out.
SPARE = 0.7
# Panels beside each other.
MOST_COLUMNS = 4


def columns_of(n: int) -> int:
    """Return how many of n panels stand beside each other: at most four, lines of equal length."""
    return -(-n // -(-n // MOST_COLUMNS))


def single_axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    """Return the axes given, or those of a new figure."""
    return panels(ax, 1, size=size)[0]


def panels(
    ax: Any,
    n: int,
    *,
    n_columns: int | None = None,
    size: tuple[float, float] | None = None,
    cells: Sequence[tuple[int, int]] | None = None,
) -> NDArray[Any]:
    """Return n axes: new ones, those given, or parts of the place of a single one.

    `size` is that of a new figure, in inches; `cells` are the line and the column of each panel,
    where they do not fill one line after the other.
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
    if cells is None:
        cells = [divmod(k, n_columns) for k in range(n)]
    shape = 1 + max(line for line, _ in cells), n_columns
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(*shape)
    else:
        figure, grid = ax.figure, _place_of(ax).subgridspec(*shape)
    return _array([figure.add_subplot(grid[cell]) for cell in cells])


def triangle(side: int) -> list[tuple[int, int]]:
    """Return line and column of the panels of pairs: (0, 1), (0, 2) …, and so on."""
    return [(line, column) for column in range(side) for line in range(column, side)]


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


def finish(ax: Any, *, x: str = "", y: str = "", title: str = "", beside: float = 0.0) -> None:
    """Name the axes and take the frame's upper and right side away.

    `beside`: inches that names of levels will take of the width.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRAY)
    ax.tick_params(color=GRAY, labelsize="small")
    box, unit = ax.get_window_extent(), ax.figure.dpi / 72
    width = box.width / unit - 72 * max(beside - SPARE, 0.0)
    if x:
        ax.set_xlabel(wrapped(x, width))
    if y:
        ax.set_ylabel(wrapped(y, box.height / unit))
    if title:
        ax.set_title(wrapped(title, width), fontsize=TITLE_SIZE)
