"""What a function of a formula refuses, to be told with its place in the formula."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._typing import FloatArray


class FunctionError(ValueError):
    """What is wrong with the arguments of a function, and what to do.

    Parameters
    ----------
    function : str
        Its name, as formulas write it.
    message : str
    """

    def __init__(self, function: str, message: str) -> None:
        super().__init__(message)
        self.function = function


def shown(value: Any) -> str:
    """Return an argument as messages show it."""
    return "(a column)" if np.ndim(unwrapped(value)) and hasattr(value, "dtype") else repr(value)


def whole_number(function: str, name: str, value: Any, least: int) -> int:
    """Return an argument that is a whole number, of at least so much."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not float(value).is_integer() or value < least:
        raise FunctionError(
            function,
            f"{name}={shown(value)} in {function}(…): give a whole number from {least} on.",
        )
    return int(value)


def truth(function: str, name: str, value: Any) -> bool:
    """Return an argument that is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise FunctionError(
            function, f"{name}={shown(value)} in {function}(…): give True or False."
        )
    return bool(value)


def unwrapped(x: Any) -> Any:
    """Return what formulaic has wrapped."""
    return getattr(x, "__wrapped__", x)


def numbers_of(function: str, x: Any) -> FloatArray:
    """Return a column of numbers, (n,).

    Raises
    ------
    FunctionError
        If it holds no numbers, or is not one column.
    """
    given = unwrapped(x)
    if isinstance(getattr(given, "dtype", None), pd.CategoricalDtype):
        given = np.asarray(given, dtype=object)
    values = np.asarray(given)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise FunctionError(function, f"{function}(…) is of one column of numbers.")
    if values.dtype.kind not in "biuf":
        raise FunctionError(
            function,
            f"{function}(…) is of numbers, and has values such as {values[0]!r}. Make numbers of "
            "them in the data.",
        )
    return values.astype(np.float64)
