"""Texts of figures: levels on an axis, names beside points, and names that fit their place."""

import textwrap
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmixed._typing import FloatArray
from skmixed.plotting._axes.style import GRAY, ink

LABEL_LENGTH = 30
# Width of a letter as a share of the size of the type, a little above the mean.
LETTER = 0.6
# Points of type; below the least, labels are left out.
TITLE_SIZE, LABEL_SIZE, LEAST_LABEL_SIZE, LINE_HEIGHT = 10.0, 8.0, 5.5, 1.25
# How many of many levels are named at each end, and the length of the lines that lead to them.
EXTREMES, LEAD = 5, 10.0
# Inches of the least and the highest panel of levels, and of one of which most have no name.
LEAST_HEIGHT, MOST_HEIGHT, UNNAMED_HEIGHT = 2.8, 12.0, 6.0
# Inches of the title, the horizontal axis and its name.
AROUND = 1.1
# Where a label may stand beside its point: right or left, and how many lines off.
LABEL_PLACES = [(side, lift) for lift in (0, 1, -1, 2, -2, 3, -3, 4) for side in (1, -1)]


def wrapped(text: str, room: float) -> str:
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


def height_of(levels: Sequence[Any]) -> float:
    """Return the inches of a panel in which levels are named, all of them if that may be."""
    most = MOST_HEIGHT - AROUND
    if len(levels) * LINE_HEIGHT * LEAST_LABEL_SIZE / 72 > most:
        return UNNAMED_HEIGHT
    height = AROUND + 1.05 * len(levels) * LINE_HEIGHT * LABEL_SIZE / 72
    return float(np.clip(height, LEAST_HEIGHT, MOST_HEIGHT))


def width_of(levels: Sequence[Any]) -> float:
    """Return the inches that the names of levels take beside an axis."""
    return LETTER * LABEL_SIZE * max(map(len, labels_of(levels)), default=0) / 72


def level_axis(ax: Any, levels: Sequence[Any], group: str) -> None:
    """Put levels on the vertical axis at 0, 1 …; the extreme ones alone where room is scarce."""
    n = len(levels)
    ax.set_ylim(-0.8, n - 0.2)
    height = ax.get_window_extent().height * 72 / ax.figure.dpi
    size = min(LABEL_SIZE, height / (n * LINE_HEIGHT))
    if size >= LEAST_LABEL_SIZE:
        ax.set_yticks(np.arange(n), labels_of(levels))
        ax.tick_params(axis="y", labelsize=size, length=0)
        ax.set_ylabel(wrapped(group, height))
        return
    ax.set_ylabel(wrapped(f"{group} ({n:,} levels, sorted)", height))
    _name_extremes(ax, levels, height)


def _name_extremes(ax: Any, levels: Sequence[Any], height: float) -> None:
    """Name the highest and the lowest of many levels, with lines that lead to their places."""
    from matplotlib.lines import Line2D

    n, line = len(levels), 1.1 * LINE_HEIGHT * LABEL_SIZE
    most = min(EXTREMES, int(0.4 * height / line))
    step = max(n * line / height, 1.0)  # levels from one name to the next
    shift = step * np.arange(most)
    low, high = np.arange(most), n - 1.0 - np.arange(most)
    at = np.concatenate([low, high])
    ticks = np.concatenate([shift, n - 1.0 - shift])
    named = [*levels[:most], *levels[::-1][:most]]
    ax.set_yticks(ticks, labels_of(named))
    ax.tick_params(axis="y", labelsize=LABEL_SIZE, length=0, pad=LEAD + 2.0)
    start = -LEAD * ax.figure.dpi / 72 / ax.get_window_extent().width
    style: dict[str, Any] = {"color": GRAY, "linewidth": 0.5, "clip_on": False}
    for tick, own in zip(ticks, at, strict=True):
        where = ax.get_yaxis_transform()
        ax.add_artist(Line2D([start, 0.0], [tick, own], transform=where, **style))


def whole_numbers(axis: Any) -> None:
    """Put no ticks between whole numbers on an axis, unless it holds fewer than two of them."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def are_whole(values: ArrayLike) -> bool:
    """Whether values are whole numbers, missing ones aside, and no mere indicators of few."""
    found = np.asarray(values)
    if found.dtype.kind not in "iuf":
        return False
    found = found[np.isfinite(found)]
    return len(found) > 0 and bool(np.ptp(found) >= 3 and (found == np.round(found)).all())


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
                color=ink(ax),
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
