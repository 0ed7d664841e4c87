"""What may be asked of a table that is written, and where it is written to."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

MOST_DIGITS = 15


def refuse_arguments(name: str, given: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse arguments that a form of a table does not have, such as those of pandas.

    `own`: the arguments of the method, as annotated.
    """
    for argument in given:
        known = ", ".join(key for key in own if key not in ("return", "of_pandas"))
        raise TypeError(
            f"{name} has no argument {argument!r}. It has {known}. For the form of pandas, with "
            f"its arguments, use pd.DataFrame(table).{name}(...)."
        )


def check_digits(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}={value!r} is of type {type(value).__name__}. Give an integer.")
    if not least <= value <= MOST_DIGITS:
        raise ValueError(f"{name}={value!r} is not from {least} to {MOST_DIGITS}.")


def check_text(name: str, value: Any) -> None:
    if not isinstance(value, str | None):
        raise TypeError(
            f"{name}={value!r} is of type {type(value).__name__}. Give text, or None for what is "
            "usual."
        )


def written(text: str, buf: Any) -> str | None:
    """Return text, or write it where it is to go."""
    if buf is None:
        return text
    if hasattr(buf, "write"):
        buf.write(text)
    elif isinstance(buf, str | PathLike):
        Path(buf).write_text(f"{text.rstrip()}\n", encoding="utf-8")
    else:
        raise TypeError(
            f"buf={buf!r} is of type {type(buf).__name__}. Give a path, an open file, or None for "
            "the text itself."
        )
    return None
