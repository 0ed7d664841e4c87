"""Tables of text and of HTML: numbers with common decimals, lines of 80 characters."""

from collections.abc import Iterable
from html import escape

import numpy as np
import pandas as pd

WIDTH = 80
# Names are not cut below this.
SHORTEST = 8
SMALLEST_P = 2e-16


def aligned(values: pd.Series) -> list[str]:
    """Format a column with common decimals: five digits of the largest, two of the least."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes):
        return ["" if np.isnan(v) else f"{v:g}" for v in values]
    digits = np.floor(np.log10([sizes.max(), sizes.min()]))
    decimals = int(max(4 - digits[0], 1 - digits[1], 0))
    form = f".{decimals}f" if decimals <= 8 and digits[0] < 12 else ".4e"
    return ["" if np.isnan(v) else format(v, form) for v in values]


def degrees_of_freedom(values: pd.Series) -> list[str]:
    return ["" if np.isnan(v) else f"{v:.1f}" if v < 1e6 else f"{v:.3g}" for v in values]


def p_values(values: pd.Series) -> list[str]:
    return ["" if np.isnan(v) else _p_value(v) for v in values]


def _p_value(p: float) -> str:
    if p < SMALLEST_P:
        return f"<{SMALLEST_P:g}"
    return f"{p:.4f}" if p >= 1e-3 else f"{p:.1e}"


def lines(rows: list[list[str]], names: int) -> str:
    """Align: the first `names` columns, of words, to the left, and numbers to the right.

    Names are cut where a line would be longer than WIDTH.
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    while sum(widths) + 2 * len(widths) - 1 > WIDTH and max(widths[:names]) > SHORTEST:
        widths[int(np.argmax(widths[:names]))] -= 1
    return "\n".join(
        " "
        + "  ".join(
            shortened(cell, width).ljust(width) if k < names else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def shortened(name: str, width: int) -> str:
    """Cut a name out in its middle."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def filled(parts: Iterable[str], between: str = "   ") -> str:
    """Put parts on lines of WIDTH, unbroken."""
    out = [""]
    for part in (shortened(part, WIDTH) for part in parts):
        space = " " if out[-1].endswith(",") else between
        longer = f"{out[-1]}{space}{part}" if out[-1] else part
        if out[-1] and len(longer) > WIDTH:
            out.append(part)
        else:
            out[-1] = longer
    return "\n".join(line.rstrip() for line in out)


def html_table(rows: list[list[str]], names: int) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>"
        + "".join(
            f"<{'th' if k < names else 'td'}>{escape(cell)}</{'th' if k < names else 'td'}>"
            for k, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
