"""Numbers of a table as a paper prints them, by what they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from skmixed._typing import FloatArray
from skmixed.inference._tables.text_layout import aligned

NONE, INFINITE = "–", "∞"
# Digits of a standard error. Those of its estimate end where they do.
ERROR_DIGITS = 3
# More decimals, or digits before the point, are written as powers of ten.
MOST_DECIMALS, MOST_INTEGRAL, HUGE_DIGITS = 8, 10, 5
STATISTIC_DECIMALS, SHARE_DECIMALS, P_DECIMALS = 2, 3, 3
# Degrees of freedom that are integers but for rounding.
INTEGRAL = 1e-5
# Decimals up to which numbers that were given are shown as they are.
GIVEN_DECIMALS = 4


@dataclass(frozen=True)
class Precision:
    """How many digits are shown.

    Attributes
    ----------
    digits : int or None
        Decimals of all numbers but p values, degrees of freedom and counts; None: by what
        they are.
    p_digits : int
        Decimals of p values.
    places : tuple of int, or None
        Decimals of the estimates, row by row; None where nothing says how precise they are.
    """

    digits: int | None = None
    p_digits: int = P_DECIMALS
    places: tuple[int, ...] | None = None


def places_of(errors: FloatArray) -> tuple[int, ...] | None:
    """Return the decimals down to which standard errors have three digits, row by row.

    Rows that differ by one decimal have the larger number all. A row without an error has
    the most of the others.
    """
    is_known = np.isfinite(errors) & (errors > 0)
    if not is_known.any():
        return None
    places = np.zeros(len(errors), dtype=int)
    places[is_known] = ERROR_DIGITS - 1 - exponents(errors[is_known])
    most = places[is_known].max()
    places[~is_known] = most
    if most - places.min() <= 1:
        places[:] = most
    return tuple(places.tolist())


def exponents(values: FloatArray) -> np.ndarray:
    """Return the powers of ten of the first digits; of 0 that of 1."""
    sizes = np.abs(values)
    return np.floor(np.log10(np.where(sizes > 0, sizes, 1.0))).astype(int)


def with_decimals(value: float, decimals: int) -> str:
    """Write a number with decimals, or as a power of ten to the same place; no −0.00."""
    if not np.isfinite(value):
        return NONE if np.isnan(value) else f"{'-' if value < 0 else ''}{INFINITE}"
    own = int(exponents(np.array([value]))[0])
    if decimals <= MOST_DECIMALS and own < MOST_INTEGRAL:
        text = f"{value:.{max(decimals, 0)}f}"
        return text.removeprefix("-") if float(text) == 0 else text
    return f"{value:.{min(max(own + decimals, 0), 16)}e}" if value else "0"


def estimates(values: FloatArray, precision: Precision) -> list[str]:
    """Write estimates and their standard errors, to the digits that these support."""
    if precision.digits is not None:
        return [with_decimals(v, precision.digits) for v in values]
    if precision.places is None:
        return numbers(values, precision)
    return [with_decimals(v, d) for v, d in zip(values, precision.places, strict=True)]


def numbers(values: FloatArray, precision: Precision) -> list[str]:
    """Write numbers with common decimals; those with few decimals as they are."""
    if precision.digits is not None:
        return [with_decimals(v, precision.digits) for v in values]
    finite = values[np.isfinite(values)]
    for decimals in range(GIVEN_DECIMALS + 1):
        if (np.abs(finite) < 10.0**MOST_INTEGRAL).all() and (
            np.array([float(f"{v:.{decimals}f}") for v in finite]) == finite
        ).all():
            return [with_decimals(v, decimals) for v in values]
    shown = aligned(pd.Series(np.where(np.isfinite(values), values, np.nan)))
    return [text or with_decimals(v, 0) for text, v in zip(shown, values, strict=True)]


def statistics(values: FloatArray, precision: Precision) -> list[str]:
    """Write values of test statistics and of criteria; of huge ones, five digits."""
    decimals = STATISTIC_DECIMALS if precision.digits is None else precision.digits
    most = HUGE_DIGITS - 1 - exponents(np.where(np.isfinite(values), values, 0.0))
    is_huge = most < HUGE_DIGITS - 1 - MOST_INTEGRAL
    places = np.where(is_huge, most, decimals).tolist()
    return [with_decimals(v, d) for v, d in zip(values, places, strict=True)]


def degrees(values: FloatArray, _: Precision) -> list[str]:
    """Write degrees of freedom with one decimal, or with none where all are integers."""
    finite = values[np.isfinite(values)]
    is_integral = (np.abs(finite - np.round(finite)) <= INTEGRAL).all()
    return [with_decimals(v, 0 if is_integral else 1) for v in values]


def counts(values: FloatArray, _: Precision) -> list[str]:
    """Write counts; one that is an average with its decimals."""
    return numbers(values, Precision())


def p_values(values: FloatArray, precision: Precision) -> list[str]:
    """Write p values; one that is less than the last decimal says so."""
    least = 10.0**-precision.p_digits
    return [
        _less_than(precision.p_digits) if v < least else with_decimals(v, precision.p_digits)
        for v in values
    ]


def shares(values: FloatArray, precision: Precision) -> list[str]:
    """Write shares of a whole; what is more than 0 is not rounded to it."""
    decimals = _of_shares(precision)
    shown = [with_decimals(v, decimals) for v in values]
    is_lost = [v > 0 and float(text) == 0 for v, text in zip(values, shown, strict=True)]
    pairs = zip(shown, is_lost, strict=True)
    return [_less_than(decimals) if lost else text for text, lost in pairs]


def correlations(values: FloatArray, precision: Precision) -> list[str]:
    return [with_decimals(v, _of_shares(precision)) for v in values]


def _of_shares(precision: Precision) -> int:
    return SHARE_DECIMALS if precision.digits is None else precision.digits


def _less_than(decimals: int) -> str:
    return f"<{10.0**-decimals:.{decimals}f}"


FORMATS: dict[str, Callable[[FloatArray, Precision], list[str]]] = {
    "estimate": estimates,
    "error": estimates,
    "df": degrees,
    "statistic": statistics,
    "p_value": p_values,
    "count": counts,
    "share": shares,
    "correlation": correlations,
    "number": numbers,
}


def pointed(cells: Sequence[str]) -> list[str]:
    """Fill cells up with spaces so that their decimal points stand below each other."""
    is_plain = ["e" not in cell and cell[-1:].isdigit() for cell in cells]
    behind = [len(cell.partition(".")[1] + cell.partition(".")[2]) for cell in cells]
    most = max((n for n, plain in zip(behind, is_plain, strict=True) if plain), default=0)
    return [
        cell + (most - n) * " " if plain else cell
        for cell, n, plain in zip(cells, behind, is_plain, strict=True)
    ]
