"""Several numbers by name, which read as a row of a table."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import pandas as pd

from skmixed.inference._tables.table import ResultTable


class ResultSeries(pd.Series):
    """Numbers by name: a Series in full precision that reads as a row of a table.

    `skmixed.inference.icc`, `r2`, `conditional_aic` and
    `skmixed.diagnostics.overdispersion_test` return it.

    Attributes
    ----------
    title : str
        What the numbers are.
    remarks : tuple of str
        What a reader must know beside them, a sentence each.

    See Also
    --------
    ResultTable : A table, in the same manner.

    Notes
    -----
    What pandas makes of it is a plain Series, such as ``row.round(3)``.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import r2
    >>> row = r2(MixedLinearRegressor("Subject").fit(*load_sleepstudy(return_X_y=True)))
    >>> row
    R² of Nakagawa and Schielzeth
     marginal  conditional
        0.280        0.704
    >>> round(float(row["marginal"]), 6)
    0.279886
    """

    title: str = ""
    remarks: tuple[str, ...] = ()
    # What the numbers are, where their names do not say it.
    kinds: Mapping[object, str] = {}
    _metadata: ClassVar[list[str]] = ["_name", "title", "remarks", "kinds"]

    @classmethod
    def of(
        cls,
        numbers: "pd.Series[Any]",
        title: str,
        remarks: Iterable[str] = (),
        kind: str | None = None,
    ) -> Self:
        """Give a Series a title.

        Parameters
        ----------
        numbers : Series
            The results, in full precision.
        title : str
            What they are.
        remarks : list of str, default=()
            What a reader must know beside them, a sentence each.
        kind : str, default=None
            What all of them are, such as "share"; None: what their names say.

        Returns
        -------
        ResultSeries
            The numbers with their names.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmixed.inference import ResultSeries
        >>> ResultSeries.of(pd.Series({"df": 12.0, "p_value": 1e-6}), "A test")
        A test
         df  p_value
         12   <0.001
        """
        row = cls(numbers)
        row.title, row.remarks = title, tuple(remarks)
        row.kinds = {} if kind is None else dict.fromkeys(numbers.index, kind)
        return row

    @property
    def table(self) -> ResultTable:
        """The numbers as a table of one row, which exports."""
        frame = pd.DataFrame([self.to_numpy()], columns=self.index)
        return ResultTable.of(frame, self.title, self.remarks, self.kinds)

    @property
    def _constructor(self) -> Callable[..., "pd.Series[Any]"]:
        return pd.Series

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()
