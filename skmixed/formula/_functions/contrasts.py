"""Codings of factors by name, for columns: what `contrasts` asks of a formula's factors."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from skmixed.formula._columns import NamedRows, kind_of
from skmixed.formula._syntax import GROUPING

# R's, and differences of each level from the one before.
CODINGS = ("treatment", "sum", "helmert", "poly", "SAS", "diff")
OF_R = "R"
ORDERED = "poly"


def codings_of(contrasts: Any, rows: NamedRows) -> dict[str, str]:
    """Return the coding of each column whose factors have another one than indicators.

    Parameters
    ----------
    contrasts : None, str or mapping of str to str
        "R" for polynomials of ordered factors.
    rows : NamedRows

    Raises
    ------
    ValueError
        If a column is not there, a coding is unknown, or polynomials are asked of a factor
        without an order.
    TypeError
        If it is something else.
    """
    if contrasts is None:
        return {}
    if isinstance(contrasts, str) and contrasts == OF_R:
        return {n: ORDERED for k, n in enumerate(rows.names) if _is_ordered(rows.table.get(k))}
    if not isinstance(contrasts, Mapping):
        raise (ValueError if isinstance(contrasts, str) else TypeError)(
            f"contrasts={contrasts!r}: give 'R' for R's codings, where ordered factors are "
            "polynomials, or codings by column, such as {'f': 'sum'}."
        )
    return {
        column: _coding(column, own, rows)
        for own, column in ((own, _column(name, rows)) for name, own in contrasts.items())
    }


def check_used(contrasts: Any, used: Mapping[str, str]) -> None:
    """Refuse codings of columns that the formula has no factor of."""
    if isinstance(contrasts, Mapping):
        for name in map(_named, contrasts):
            if name not in used:
                raise ValueError(
                    f"contrasts names {name!r}, of which the formula makes no factor that has no "
                    "coding of its own. Leave it out, or write its coding into the formula, as in "
                    f"C({name}, contr.sum)."
                )


def _named(name: Any) -> Any:
    """Return the column of a factor, which R names as it is written: ``factor(k)``."""
    found = GROUPING.fullmatch(name) if isinstance(name, str) else None
    return next(own for own in found.groups()[1:] if own) if found and found[1] else name


def _column(given: Any, rows: NamedRows) -> str:
    name = given if given in rows.names else _named(given)
    if name in rows.names:
        return str(name)
    listed = ", ".join(map(repr, rows.names[:10])) + ", …" * (len(rows.names) > 10)
    raise ValueError(f"contrasts names {name!r}, which is not a column of the data: {listed}.")


def _coding(name: str, given: Any, rows: NamedRows) -> str:
    coding = given.removeprefix("contr.") if isinstance(given, str) else given
    if coding not in CODINGS:
        listed = ", ".join(map(repr, CODINGS))
        raise ValueError(
            f"contrasts={{{name!r}: {given!r}}} is none of {listed}. Write another coding into the "
            f"formula, as in C({name}, contr.custom(…))."
        )
    column = rows.column(name)
    if coding == ORDERED and kind_of(column, name) == "labels" and not _is_ordered(column):
        raise ValueError(
            f"contrasts={{{name!r}: {given!r}}} takes the categories for equal steps, and column "
            f"{name!r} has no order. Make it one by pandas.Categorical(…, categories=[…], "
            "ordered=True)."
        )
    return str(coding)


def _is_ordered(column: Any) -> bool:
    dtype = getattr(column, "dtype", None)
    return isinstance(dtype, pd.CategoricalDtype) and bool(dtype.ordered)
