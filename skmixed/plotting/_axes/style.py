"""Colors, marks and lines of all displays."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Of the palette of Okabe and Ito, which color-blind readers tell apart.
BLUE, ORANGE, YELLOW = "#0072B2", "#D55E00", "#E69F00"
# Of several values, one each.
COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", YELLOW, "#56B4E9")
# So that they can be told apart without colors, too.
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
DARK, GRAY, LIGHT = "#404040", "#8C8C8C", "#D9D9D9"
LINE = {"color": GRAY, "linewidth": 0.8, "zorder": 1}

# From here on marks are small and pale, and are pixels in a PDF.
MANY = 200


def ink(ax: Any) -> Any:
    """Return the color of marks and texts that stands out from the background of axes."""
    return DARK if is_light(ax) else LIGHT


def shade(ax: Any) -> Any:
    """Return the color of areas behind marks, little off the background of axes."""
    return LIGHT if is_light(ax) else DARK


def is_light(ax: Any) -> bool:
    from matplotlib.colors import to_rgba

    red, green, blue, alpha = to_rgba(ax.get_facecolor())
    # Of a transparent background the page is taken for white
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    return bool(alpha * brightness + 1.0 - alpha > 0.5)


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


def faint(n: int) -> float:
    """Depth of lines, one a level, which would cover everything if they were many."""
    return float(np.clip(500.0 / max(n, 1), 0.03, 0.6))


def thin(n: int) -> float:
    """Width of lines, one a level."""
    return 1.2 if n <= MANY // 4 else float(np.clip(1.2 * MANY / 4 / n, 0.3, 1.2))
