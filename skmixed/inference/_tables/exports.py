"""A table of results in HTML and Markdown, and as a table of great_tables."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from skmixed.inference._tables.cells import ShownColumn, ShownTable
from skmixed.inference._tables.html_layout import STYLE, html_number, html_table
from skmixed.inference._tables.options import refuse_arguments, written

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


class ExportedTable(pd.DataFrame):
    """What a table of results writes of itself in HTML, and makes of great_tables."""

    def _cells(
        self,
        digits: int | None,
        p_digits: int,
        columns: Iterable[Any] | None,
        index: bool | None,
    ) -> ShownTable:
        """Return all rows, in the digits that are asked for."""
        raise NotImplementedError

    def _caption(self, caption: str | None, remarks: bool) -> Caption:
        raise NotImplementedError

    def to_html(  # type: ignore[override]
        self,
        buf: Any = None,
        *,
        digits: int | None = None,
        p_digits: int = 3,
        columns: Iterable[Any] | None = None,
        index: bool | None = None,
        caption: str | None = None,
        remarks: bool = True,
        **of_pandas: Any,
    ) -> str | Any:
        """Write the table in HTML, as notebooks show it.

        Parameters
        ----------
        buf : str, path or file, default=None
            Where to write; None returns the text.
        digits : int, default=None
            Decimals of all numbers but p values, degrees of freedom and counts. None: as
            many as their standard errors support.
        p_digits : int, default=3
            Decimals of p values.
        columns : list of str, default=None
            The columns to write, in this order; None: all. Columns of labels without which rows
            would look alike are kept.
        index : bool, default=None
            Whether to write the labels of the rows. None: unless they are numbers from 0.
        caption : str, default=None
            The line above. None: `title`; an empty one leaves the line out.
        remarks : bool, default=True
            Whether to write `remarks` below.
        **of_pandas : object
            Refused: the arguments of pandas' own form.

        Returns
        -------
        str or None
            The text, if `buf` is None.

        Raises
        ------
        ValueError
            If `columns` names a column that is not there, or digits are out of range.
        TypeError
            If an argument is of another kind, or one of pandas.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_cake
        >>> from skmixed.inference import anova
        >>> model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
        >>> "<td>&lt;0.001</td>" in anova(model).to_html()
        True
        """
        refuse_arguments("to_html", of_pandas, self.to_html.__annotations__)
        cells = self._cells(digits, p_digits, columns, index)
        return written(html_of(cells, self._caption(caption, remarks)), buf)

    def to_great_tables(
        self,
        *,
        digits: int | None = None,
        p_digits: int = 3,
        columns: Iterable[Any] | None = None,
        index: bool | None = None,
        caption: str | None = None,
        remarks: bool = True,
    ) -> Any:
        """Make a table of the package great_tables.

        Parameters
        ----------
        digits : int, default=None
            Decimals of all numbers but p values, degrees of freedom and counts. None: as
            many as their standard errors support.
        p_digits : int, default=3
            Decimals of p values.
        columns : list of str, default=None
            The columns to show, in this order; None: all. Columns of labels without which rows
            would look alike are kept.
        index : bool, default=None
            Whether to show the labels of the rows. None: unless they are numbers from 0.
        caption : str, default=None
            The header. None: `title`; an empty one leaves it out.
        remarks : bool, default=True
            Whether to show `remarks` below.

        Returns
        -------
        great_tables.GT
            Its cells are text, written as in the other forms.

        Raises
        ------
        ImportError
            If great_tables is not installed.
        ValueError
            If `columns` names a column that is not there, or digits are out of range.
        TypeError
            If an argument is of another kind.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_cake
        >>> from skmixed.inference import anova
        >>> model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
        >>> anova(model).to_great_tables(digits=1).as_raw_html()  # doctest: +SKIP
        """
        cells = self._cells(digits, p_digits, columns, index)
        return great_table_of(cells, self._caption(caption, remarks))


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
