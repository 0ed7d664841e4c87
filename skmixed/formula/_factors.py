"""What a formula's functions make of columns, and the names of what comes out."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from skmixed.formula._code import AS_FACTOR, AS_NUMBER, AS_TERM
from skmixed.formula._syntax import error_at, place_of


def as_number(value: Any) -> Any:
    """Take booleans for 0 and 1."""
    return value.astype(np.float64) if getattr(value, "dtype", None) == np.bool_ else value


def as_term(value: Any) -> Any:
    """Take computed booleans and text for factors, as R does."""
    if hasattr(value, "__formulaic_metadata__") or getattr(value, "ndim", 0) != 1:
        return value
    if value.dtype == np.bool_:
        return pd.Series(pd.Categorical(np.asarray(value), categories=[False, True]))
    is_text = isinstance(value, np.ndarray) and value.dtype.kind in "UO"
    return pd.Series(value, dtype=object) if is_text else value


def factor(x: Any, levels: Any = None) -> Any:
    """Take a column for a factor, as R's function of this name does."""
    from formulaic.transforms import C

    return C(x, levels=None if levels is None else list(levels))


FUNCTIONS = {"factor": factor, AS_FACTOR: factor}
# Those that no formula names itself.
MARKED = {AS_NUMBER: as_number, AS_TERM: as_term}


def check_names(text: str, parts: Iterable[Any], grouping: Iterable[str]) -> None:
    """Refuse a formula that makes two columns of one name.

    `parts` are those of the formula, with the columns of each term.
    """
    owners: dict[str, frozenset[str]] = {name: frozenset({f"`{name}`"}) for name in grouping}
    for part in parts:
        for owner, names in part.owned:
            for name in names:
                if owners.setdefault(name, owner) != owner:
                    raise error_at(
                        text,
                        place_of(text, name),
                        f"The formula makes two columns of the name {name!r}. Rename the column "
                        "of the data.",
                    )
