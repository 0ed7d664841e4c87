"""Tables of text: numbers with common decimals, names, and lines of one width."""

from collections.abc import Iterable
from itertools import zip_longest
from textwrap import wrap

import numpy as np
import pandas as pd

from skmixed.inference._tables.name_forms import told_apart, with_names_apart

# Letters on a line where pandas has no other number, and the least that are of use.
WIDTH, LEAST_WIDTH = 80, 40
# Columns of names have at least this width; names go on below by this indent, on so many lines.
SHORTEST, INDENT, MOST_LINES = 8, "  ", 2
SMALLEST_P = 2e-16
# Powers of ten between the numbers of a column with common decimals.
MOST_DECADES = 6


def line_width() -> int:
    """Return how many letters a line has: as many as pandas' option display.width says."""
    return max(pd.get_option("display.width") or WIDTH, LEAST_WIDTH)


def aligned(values: pd.Series) -> list[str]:
    """Format a column with common decimals: five digits of the largest, two of the least.

    Of numbers too far apart for that, each has five.
    """
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes):
        return ["" if np.isnan(v) else f"{v + 0.0:g}" for v in values]
    digits = np.floor(np.log10([sizes.max(), sizes.min()]))
    decimals = int(max(4 - digits[0], 1 - digits[1], 0))
    is_wide = decimals > 8 or digits[0] >= 12 or digits[0] - digits[1] > MOST_DECADES
    form = ".4e" if is_wide else f".{decimals}f"
    # −0.0 has no sign here.
    return ["" if np.isnan(v) else format(v + 0.0, form) for v in values]


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

    No name is cut. Where a line would be longer than `line_width`, names go on below if two
    lines are enough for all; else those without room stand on lines of their own, above their
    numbers.
    """
    rows, most = with_names_apart(rows, names), line_width()
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    while sum(widths) + 2 * len(widths) - 1 > most and max(widths[:names], default=0) > SHORTEST:
        widths[int(np.argmax(widths[:names]))] -= 1
    parts = [[_on_lines(row[k], widths[k]) for k in range(names)] for row in rows]
    is_enough = all(len(own) <= MOST_LINES for row in parts for own in row)
    out = []
    for row, own in zip(rows, parts, strict=True):
        if not is_enough and any(len(part) > 1 for part in own):
            whole = "  ".join(cell for cell in row[:names] if cell)
            out += [f" {part}" for part in wrap(whole, most - 1)]
            own = names * [[""]]
        numbers = [[cell.rjust(width)] for cell, width in zip(row, widths, strict=True)]
        for cells in zip_longest(*own, *numbers[names:], fillvalue=""):
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            out.append(f" {'  '.join(padded)}".rstrip())
    return "\n".join(out)


def _on_lines(name: str, width: int) -> list[str]:
    """Break a name between its words; with a word that has no room, into too many lines."""
    if len(name) <= width:
        return [name]
    parts = wrap(name, width, subsequent_indent=INDENT, break_long_words=False)
    return parts if max(map(len, parts)) <= width else [*parts, *MOST_LINES * [""]]


def _alike(names: Iterable[str], width: int) -> set[str]:
    """Return the names that are cut to the same as another one."""
    known: dict[str, set[str]] = {}
    for name in names:
        known.setdefault(shortened(name, width), set()).add(name)
    return {name for own in known.values() if len(own) > 1 for name in own}


def shortened(name: str, width: int) -> str:
    """Cut a name out in its middle."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def shortened_apart(names: Iterable[str], width: int) -> list[str]:
    """Cut names out in their middle, but for those that would look alike."""
    listed = list(names)
    own = told_apart(listed)
    whole = _alike(own.values(), width)
    return [own[n] if own[n] in whole else shortened(own[n], width) for n in listed]


def filled(parts: Iterable[str], between: str = "   ") -> str:
    """Put parts on lines of `line_width`, unbroken."""
    out, most = [""], line_width()
    for part in (shortened(part, most) for part in parts):
        space = " " if out[-1].endswith(",") else between
        longer = f"{out[-1]}{space}{part}" if out[-1] else part
        if out[-1] and len(longer) > most:
            out.append(part)
        else:
            out[-1] = longer
    return "\n".join(line.rstrip() for line in out)


def paragraph(units: Iterable[Iterable[str]]) -> str:
    """Put units of parts on one line, or where that is too short each on lines of its own."""
    units = [list(unit) for unit in units]
    together = filled(part for unit in units for part in unit)
    return together if "\n" not in together else "\n".join(filled(unit) for unit in units)
