"""A frame of results with a title, remarks and what it was computed from."""

from collections.abc import Callable
from typing import Self

import pandas as pd


class ResultTable(pd.DataFrame):
    """A frame of results, in full precision, that says what it is.

    What pandas makes of it, such as ``table.round(3)`` or ``table[["estimate"]]``, is a plain
    frame.

    Attributes
    ----------
    title : str
        What the table holds.
    remarks : tuple of str
        What a reader must know beside it, a sentence each.
    """

    title: str
    remarks: tuple[str, ...]
    _metadata = ["title", "remarks"]  # noqa: RUF012  # pandas' name and type

    @classmethod
    def of(cls, frame: pd.DataFrame, title: str, remarks: tuple[str, ...] = ()) -> Self:
        """Return a frame with a title."""
        table = cls(frame)
        table.title, table.remarks = title, remarks
        return table

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame
