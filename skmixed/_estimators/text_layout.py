"""Tables of text and of HTML: numbers with common decimals, lines of 80 characters."""

from collections.abc import Iterable
from html import escape
from textwrap import wrap

import numpy as np
import pandas as pd

WIDTH = 80
# Names are not cut below this.
SHORTEST = 8
SMALLEST_P = 2e-16
# Powers of ten between the numbers of a column with common decimals.
MOST_DECADES = 6


def aligned(values: pd.Series) -> list[str]:
    """Format a column with common decimals: five digits of the largest, two of the least.

    Of numbers too far apart for that, each has five.
    """
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes):
        return ["" if np.isnan(v) else f"{v:g}" for v in values]
    digits = np.floor(np.log10([sizes.max(), sizes.min()]))
    decimals = int(max(4 - digits[0], 1 - digits[1], 0))
    is_wide = decimals > 8 or digits[0] >= 12 or digits[0] - digits[1] > MOST_DECADES
    form = ".4e" if is_wide else f".{decimals}f"
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

    Names are cut where a line would be longer than WIDTH; those that would look alike
    stand whole on lines of their own, above their numbers.
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    while sum(widths) + 2 * len(widths) - 1 > WIDTH and max(widths[:names]) > SHORTEST:
        widths[int(np.argmax(widths[:names]))] -= 1
    alike = [_alike([row[k] for row in rows], widths[k]) for k in range(names)]
    out = []
    for row in rows:
        cells = row
        if any(cell in own for cell, own in zip(row, alike, strict=False)):
            whole = "  ".join(cell for cell in row[:names] if cell)
            out += [f" {part}" for part in wrap(whole, WIDTH - 1)]
            cells = [*(names * [""]), *row[names:]]
        shown = (
            shortened(cell, width).ljust(width) if k < names else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        out.append(f" {'  '.join(shown)}".rstrip())
    return "\n".join(out)


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


def paragraph(units: Iterable[Iterable[str]]) -> str:
    """Put units of parts on one line, or where that is too short each on lines of its own."""
    units = [list(unit) for unit in units]
    together = filled(part for unit in units for part in unit)
    return together if "\n" not in together else "\n".join(filled(unit) for unit in units)


# Selectors within a summary, and what they set. No colors but the page's own, which dark
# themes change, and one that is seen on both.
_RULES = {
    "p": "width: 0; min-width: 100%; margin: 0.3em 0",
    ".facts span": "display: inline-block",
    ".note": "padding-left: 0.7em; border-left: 0.2em solid #d55e00; box-sizing: border-box",
    ".status": "opacity: 0.75",
    "table": (
        "width: 100%; margin: 1.1em 0; table-layout: auto; font-size: inherit; color: inherit; "
        "font-variant-numeric: tabular-nums; border: 0; border-collapse: collapse; "
        "border-top: 0.13em solid; border-bottom: 0.13em solid"
    ),
    "caption": (
        "caption-side: top; padding: 0 0 0.4em; text-align: left; font-size: inherit; "
        "font-weight: bold; color: inherit"
    ),
    "caption span": "font-weight: normal; opacity: 0.75",
    "thead": "border: 0; border-bottom: 0.07em solid",
    "tr:nth-child(n)": "background: none; border: 0",
    "tr > *": (
        "padding: 0.2em 0 0.2em 1.4em; border: 0; background: none; color: inherit; "
        "text-align: right; vertical-align: baseline; font-weight: normal; white-space: nowrap"
    ),
    "thead tr > *": "vertical-align: bottom; font-style: italic",
    "tr > [colspan]": "text-align: center",
    "tr > .name": (
        "min-width: 5.5em; text-align: left; white-space: normal; overflow-wrap: anywhere"
    ),
    "tr > :first-child": "padding-left: 0.2em",
    "tr > :last-child": "padding-right: 0.2em",
}
# Twice the class, against the rules of notebooks for tables.
_SCOPED = "\n".join(f".skmixed-summary.skmixed-summary {k} {{{v}}}" for k, v in _RULES.items())
STYLE = (
    "<style>.skmixed-summary {width: fit-content; min-width: min(42em, 100%); "
    f"line-height: 1.4}}\n{_SCOPED}</style>"
)
_NAME = ' class="name"'


def html_table(rows: list[list[str]], names: int, title: str, remark: str = "") -> str:
    """Set a table with rules above, below and under its head, whose last cell may span several."""
    above = f"{escape(title)} <span>{escape(remark)}</span>" if remark else escape(title)
    rest = len(rows[-1]) - len(rows[0]) + 1
    head = "".join(
        f'<th scope="col"{_NAME if k < names else ""}'
        f"{f' colspan={rest}' if k + 1 == len(rows[0]) and rest > 1 else ''}>{escape(cell)}</th>"
        for k, cell in enumerate(rows[0])
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row"{_NAME}>{escape(cell)}</th>'
            if k < names
            else f"<td>{escape(with_minus(cell))}</td>"
            for k, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows[1:]
    )
    return (
        f"<table><caption>{above}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def html_paragraph(units: Iterable[Iterable[str]]) -> str:
    """Put units of parts on a line, or where that is too short further ones on the next."""
    shown = []
    for unit in units:
        # A wide space is wide also where a page takes the style away; inside, it begins no line.
        parts = [escape(part if part.endswith(",") else f"{part}\N{EM SPACE}") for part in unit]
        shown.append(f"<span>{' '.join(f'<span>{part}</span>' for part in parts)}</span>")
    return f'<p class="facts">{" ".join(shown)}</p>'


def with_minus(cell: str) -> str:
    """Write the sign of a number as a minus, which is as wide as a digit."""
    return "\N{MINUS SIGN}" + cell[1:] if cell.startswith("-") else cell
