"""A table of results in HTML and Markdown, and as a table of great_tables."""

import re
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from skmixed.inference._tables.cells import ShownColumn, ShownTable
from skmixed.inference._tables.html_layout import STYLE, html_number, html_table

# What Markdown takes for marks of its own: in GitHub's, Pandoc's and MyST's.
_MARKED = re.compile(r"([\\`*_|$~^]|<(?=[A-Za-z/!?])|\](?=[(\[]))")


@dataclass(frozen=True)
class Caption:
    """What is written around a table.

    Attributes
    ----------
    title : str
        Above; empty for nothing.
    remarks : tuple of str
        Below, a sentence each.
    label : str
        What LaTeX refers to the table by.
    position : str
        Where LaTeX may put it.
    """

    title: str
    remarks: tuple[str, ...]
    label: str = ""
    position: str = ""


def html_of(cells: ShownTable, caption: Caption) -> str:
    """Return a table in the manner of the summary's, in the colors of the page."""
    rows = list(zip(*([column.name, *column.lined_up] for column in cells.columns), strict=True))
    words = [k for k, column in enumerate(cells.columns) if column.is_text]
    below = [*([cells.cut] if cells.cut else []), *caption.remarks]
    notes = "".join(f'<p class="status">{escape(text)}</p>' for text in below)
    table = html_table(rows, cells.n_names, caption.title, words=words)
    wide = "max-width: 100%; overflow-x: auto"
    return f'<div class="skmixed-summary" style="{wide}">{STYLE}{table}{notes}</div>'


def markdown_of(cells: ShownTable, caption: Caption) -> str:
    """Return a pipe table, with the title in bold above and the remarks below."""
    columns = [_markdown_column(column) for column in cells.columns]
    lines = ["".join(f"| {cell} " for cell in row) + "|" for row in zip(*columns, strict=True)]
    above = [f"**{in_markdown(caption.title)}**"] if caption.title else []
    return "\n\n".join([*above, "\n".join(lines), *map(in_markdown, caption.remarks)])


def _markdown_column(column: ShownColumn) -> list[str]:
    """Return heading, rule and cells of one width."""
    heading = in_markdown(column.kind.heading)
    heading = f"*{heading}*" if column.kind.is_symbol else heading
    cells = [in_markdown(cell) if column.is_text else cell for cell in column.lined_up]
    width = max(3, len(heading), *map(len, cells))
    rule = (width - 1) * "-"
    if column.is_text:
        return [heading.ljust(width), f":{rule}", *(cell.ljust(width) for cell in cells)]
    return [heading.rjust(width), f"{rule}:", *(cell.rjust(width) for cell in cells)]


def in_markdown(text: str) -> str:
    return _MARKED.sub(r"\\\1", text)


def great_table_of(cells: ShownTable, caption: Caption) -> Any:
    """Return a table of great_tables, whose cells are text."""
    module = _great_tables()
    columns = {f"c{k}": column for k, column in enumerate(cells.columns)}
    words = [name for name, column in columns.items() if column.is_text]
    frame = pd.DataFrame({name: _great_cells(column) for name, column in columns.items()})
    table = module.GT(frame, rowname_col=words[0] if cells.n_names == 1 else None)
    table = table.cols_label({name: _great_heading(c, module) for name, c in columns.items()})
    table = table.cols_align("right", [name for name in columns if name not in words])
    table = table.cols_align("left", words)
    if caption.title:
        table = table.tab_header(caption.title)
    for remark in caption.remarks:
        table = table.tab_source_note(remark)
    return table


def _great_cells(column: ShownColumn) -> list[str]:
    own = column.lined_up
    return own if column.is_text else [html_number(cell) for cell in own]


def _great_heading(column: ShownColumn, module: Any) -> Any:
    kind = column.kind
    return module.html(f"<em>{escape(kind.heading)}</em>") if kind.is_symbol else kind.heading


def _great_tables() -> Any:
    try:
        import great_tables
    except ImportError as error:
        raise ImportError(
            "to_great_tables needs great_tables, which is not installed. Install it: pip install "
            "great-tables. to_markdown and to_latex need nothing further."
        ) from error
    return great_tables
