"""A frame of results with a title, remarks, and forms to read and to print."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import pandas as pd

from skmixed._fitted.checks import check_flag
from skmixed.inference._tables.cells import ShownTable, cells_of
from skmixed.inference._tables.exports import Caption, ExportedTable, html_of, markdown_of
from skmixed.inference._tables.latex_form import latex_of
from skmixed.inference._tables.number_formats import Precision
from skmixed.inference._tables.options import check_digits, check_text, refuse_arguments, written
from skmixed.inference._tables.text_form import n_blocks, text_of


class ResultTable(ExportedTable):
    """A table of results: a DataFrame in full precision that reads as in a paper.

    The functions of `skmixed.inference` return it. It prints in lines of 80 characters, or of
    as many as pandas' option ``display.width`` says, and in notebooks as HTML; `to_markdown`,
    `to_latex`, `to_html` and `to_great_tables` write the same numbers.
    Estimates have the digits that their standard errors support, and small p values are
    written as ``<0.001``. Its values are not rounded: all of pandas works with them.

    Attributes
    ----------
    title : str
        What the table holds.
    remarks : tuple of str
        What a reader must know beside it, such as the degrees of freedom, a sentence each.

    See Also
    --------
    coefficient_table : Makes one.

    Notes
    -----
    What pandas makes of a table is a plain frame, such as ``table.loc[rows]``, ``table.round(3)``
    or ``table[["estimate"]]``, which the title may not describe; a copy is a table.
    ``table.to_string()`` has all digits that pandas shows.

    A standard error has three digits, or four where those of other rows would have one decimal
    more, and its estimate and limits end with it. Columns whose names are known, such as ``t`` or
    ``df``, have the form of their kind; other columns have five digits.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import coefficient_table
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> table = coefficient_table(model)
    >>> table
    Fixed effects
                 estimate  std_error  df      t  p_value   lower   upper
    (Intercept)    251.41       6.82  17  36.84   <0.001  237.01  265.80
    Days            10.47       1.55  17   6.77   <0.001    7.21   13.73
    t tests with Satterthwaite's degrees of freedom; 95 % confidence intervals.
    >>> round(float(table.loc["Days", "estimate"]), 6)
    10.467286
    """

    title: str = ""
    remarks: tuple[str, ...] = ()
    # Kinds of columns with names of the user's, which may mean something else here.
    column_kinds: Mapping[object, str] = {}
    _metadata: ClassVar[list[str]] = ["title", "remarks", "column_kinds"]

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        title: str,
        remarks: Iterable[str] = (),
        kinds: Mapping[object, str] | None = None,
    ) -> Self:
        """Give a frame a title.

        Parameters
        ----------
        frame : DataFrame
            The results, in full precision.
        title : str
            What they are.
        remarks : list of str, default=()
            What a reader must know beside them, a sentence each.
        kinds : mapping, default=None
            What columns hold whose names mean something else here, such as "label" of a
            column ``t`` of the user's.

        Returns
        -------
        ResultTable
            The frame, which is not copied.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmixed.inference import ResultTable
        >>> frame = pd.DataFrame({"estimate": [1.2345], "std_error": [0.1234]}, index=["a"])
        >>> ResultTable.of(frame, "Effects")
        Effects
             estimate  std_error
         a      1.234      0.123
        """
        table = cls(frame)
        table.title, table.remarks = title, tuple(remarks)
        table.column_kinds = dict(kinds or {})
        return table

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def copy(self, deep: bool = True) -> Self:  # type: ignore[misc]
        """Copy the table, with its title.

        Parameters
        ----------
        deep : bool, default=True
            Whether to copy the values too; a shallow copy is a plain frame.

        Returns
        -------
        ResultTable
            Or a DataFrame, which shares the values.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmixed.inference import ResultTable
        >>> table = ResultTable.of(pd.DataFrame({"estimate": [1.0]}), "Effects")
        >>> table.copy().title
        'Effects'
        """
        made = super().copy(deep)
        # A shallow one is pandas' own, on its way to another frame.
        return self._titled(made) if deep else made

    def __copy__(self, deep: bool = False) -> Self:
        return self._titled(super().copy(deep))

    def _titled(self, frame: pd.DataFrame) -> Self:
        made = type(self)(frame)
        for name in self._metadata:
            setattr(made, name, getattr(self, name))
        return made

    def __repr__(self) -> str:
        shown = self._shown()
        n = n_blocks(shown)
        if n > 1 and shown.n_shown > 1:
            shown = self._shown(n)
        return text_of(shown, self.title, self.remarks)

    def _repr_html_(self) -> str:
        return html_of(self._shown(), Caption(self.title, self.remarks))

    def _shown(self, n_blocks: int = 1) -> ShownTable:
        """Return the cells that are looked at: as many rows as pandas shows.

        Of a table in several blocks, fewer: twice as many lines at most.
        """
        most, least = (pd.get_option(f"display.{name}_rows") for name in ("max", "min"))
        if most and n_blocks > 1:
            most = min(most, max(2 * most // n_blocks, 2))
        cut = (most, min(least or most, most)) if most else None
        return cells_of(self, self.column_kinds, Precision(), most=cut)

    def to_markdown(  # type: ignore[override]
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
        """Write the table in Markdown, as a pipe table.

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
        >>> print(anova(model).to_markdown(columns=["F", "p_value"], caption="", remarks=False))
        |             |   *F* |    *p* |
        | :---------- | ----: | -----: |
        | recipe      |  0.10 |  0.909 |
        | temp        | 94.16 | <0.001 |
        | recipe:temp |  0.04 |  0.959 |
        """
        refuse_arguments("to_markdown", of_pandas, self.to_markdown.__annotations__)
        cells = self._cells(digits, p_digits, columns, index)
        return written(markdown_of(cells, self._caption(caption, remarks)), buf)

    def to_latex(  # type: ignore[override]
        self,
        buf: Any = None,
        *,
        digits: int | None = None,
        p_digits: int = 3,
        columns: Iterable[Any] | None = None,
        index: bool | None = None,
        caption: str | None = None,
        remarks: bool = True,
        label: str | None = None,
        position: str | None = None,
        **of_pandas: Any,
    ) -> str | Any:
        r"""Write the table in LaTeX, with the rules of the package booktabs.

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
            The caption. None: `title`; an empty one leaves it out.
        remarks : bool, default=True
            Whether to write `remarks` below.
        label : str, default=None
            What ``\ref`` refers to.
        position : str, default=None
            Where LaTeX may put the table, such as ``"ht"``.
        **of_pandas : object
            Refused: the arguments of pandas' own form.

        Returns
        -------
        str or None
            The text, if `buf` is None: a ``table`` with its caption, or without caption,
            remarks and label a ``tabular`` alone.

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
        >>> print(anova(model).to_latex(columns=["F", "p_value"], caption="", remarks=False))
        \begin{tabular}{lrr}
        \toprule
         & $F$ & $p$ \\
        \midrule
        recipe & 0.10 & 0.909 \\
        temp & 94.16 & $<$0.001 \\
        recipe:temp & 0.04 & 0.959 \\
        \bottomrule
        \end{tabular}
        """
        refuse_arguments("to_latex", of_pandas, self.to_latex.__annotations__)
        for name, value in (("label", label), ("position", position)):
            check_text(name, value)
        cells = self._cells(digits, p_digits, columns, index)
        around = replace(
            self._caption(caption, remarks), label=label or "", position=position or ""
        )
        return written(latex_of(cells, around), buf)

    def _cells(
        self,
        digits: int | None,
        p_digits: int,
        columns: Iterable[Any] | None,
        index: bool | None,
    ) -> ShownTable:
        """Return all rows, in the digits that are asked for."""
        if digits is not None:
            check_digits("digits", digits, least=0)
        check_digits("p_digits", p_digits, least=1)
        if index is not None:
            check_flag("index", index)
        chosen = None if columns is None else self._positions(columns)
        precision = Precision(digits, p_digits)
        return cells_of(self, self.column_kinds, precision, index=index, chosen=chosen)

    def _positions(self, columns: Iterable[Any]) -> list[int]:
        """Return where columns are."""
        listed = [columns] if isinstance(columns, str) else list(columns)
        known = list(self.columns)
        for name in listed:
            if name not in known:
                raise ValueError(
                    f"columns names {name!r}, which the table does not have. It has "
                    f"{', '.join(map(repr, known))}."
                )
        return [k for name in listed for k, own in enumerate(known) if own == name]

    def _caption(self, caption: str | None, remarks: bool) -> Caption:
        check_text("caption", caption)
        check_flag("remarks", remarks)
        title = self.title if caption is None else caption
        return Caption(title, self.remarks if remarks else ())
