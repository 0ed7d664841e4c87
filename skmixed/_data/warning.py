"""Warnings, at the line of the user's that they are about."""

import sys
import warnings

# scikit-learn's wrappers and tools stand between a user and a method, too, and a property
# that is computed once runs below functools.
_LIBRARIES = ("skmixed", "sklearn", "functools")


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line that has called this package, however deep inside it this is."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _library_of(frame.f_globals) in _LIBRARIES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _library_of(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
