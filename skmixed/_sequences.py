"""Parameters that are lists: taken once, in their order."""

from collections.abc import Iterator, Mapping
from typing import Any


def items_of(values: Any, parameter: str, *, is_kept: bool = False) -> tuple[Any, ...]:
    """Return the items of a list, an array or an index.

    Parameters
    ----------
    values : object
    parameter : str
        Its name, for messages.
    is_kept : bool, default=False
        Whether an estimator keeps it for further fits, for which an iterator that the
        first one has read would be empty.

    Raises
    ------
    TypeError
        If it cannot be iterated, has no order, or is used up by reading.
    """
    kind = type(values).__name__
    if isinstance(values, set | frozenset | Mapping):
        raise TypeError(
            f"{parameter}={values!r} is of type {kind}, which is no list in an order. Give a list."
        )
    if is_kept and isinstance(values, Iterator):
        raise TypeError(
            f"{parameter} is of type {kind}, which the first fit would use up. Give a list."
        )
    try:
        return tuple(values)
    except TypeError as error:
        raise TypeError(f"{parameter}={values!r} is of type {kind}. Give a list.") from error
