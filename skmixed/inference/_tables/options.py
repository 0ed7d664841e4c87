"""What may be asked of a table that is written, and where it is written to."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

MOST_DIGITS = 15


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
