"""Tables of HTML, in the colors of the page around them."""

from collections.abc import Collection, Iterable, Sequence
from html import escape

from skmixed.inference._tables.name_forms import with_names_apart

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
        "min-width: 5.5em; text-align: left; white-space: pre-wrap; overflow-wrap: anywhere"
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


def html_table(
    rows: Sequence[Sequence[str]],
    names: int,
    title: str,
    remark: str = "",
    words: Collection[int] = (),
) -> str:
    """Set a table with rules above, below and under its head, whose last cell may span several.

    The first `names` columns are of names, those at the positions `words` of words, and all
    others of numbers.
    """
    rows = with_names_apart(rows, names)
    above = f"{escape(title)} <span>{escape(remark)}</span>" if remark else escape(title)
    rest = len(rows[-1]) - len(rows[0]) + 1
    is_name = [k < names or k in words for k in range(len(rows[-1]))]
    head = "".join(
        f'<th scope="col"{_NAME if is_name[k] else ""}'
        f"{f' colspan={rest}' if k + 1 == len(rows[0]) and rest > 1 else ''}>{escape(cell)}</th>"
        for k, cell in enumerate(rows[0])
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, k < names, is_name[k]) for k, cell in enumerate(row))}</tr>"
        for row in rows[1:]
    )
    return (
        f"<table><caption>{above}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _cell(cell: str, is_head: bool, is_name: bool) -> str:
    if is_head:
        return f'<th scope="row"{_NAME}>{escape(cell)}</th>'
    return f"<td{_NAME}>{escape(cell)}</td>" if is_name else f"<td>{escape(html_number(cell))}</td>"


def html_number(cell: str) -> str:
    """Write a number with a minus, and spaces behind it as wide as what they stand for."""
    own = cell.rstrip()
    n_behind = len(cell) - len(own)
    has_point = n_behind > 0 and "." not in own
    return (
        with_minus(own)
        + "\N{PUNCTUATION SPACE}" * has_point
        + "\N{FIGURE SPACE}" * (n_behind - has_point)
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
