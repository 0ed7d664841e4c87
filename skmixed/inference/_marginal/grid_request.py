"""Which variables a table of means or slopes is over, and where, as users ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._data.table import shown


@dataclass(frozen=True)
class GridRequest:
    """Which variables a table is over, as the user gives them.

    Attributes
    ----------
    targets : tuple of str
        The variables, and those of `by` behind them.
    by : tuple of str
    at : dict of str to list
        Values that are given.
    has_random : bool
        Whether the variables of the random effects count, too.
    column : str
        The numeric variable that a slope is by, if any.
    """

    targets: tuple[str, ...]
    by: tuple[str, ...]
    at: Mapping[str, list[Any]]
    has_random: bool = False
    column: str = ""

    @property
    def variables(self) -> list[str]:
        return [name for name in self.targets if name not in self.by]

    @staticmethod
    def of(variables: Any, by: Any, at: Any) -> "GridRequest":
        """Read the arguments, before anything is known of the model."""
        own, within = _names("variables", variables), _names("by", by)
        both = [name for name in own if name in within]
        if both:
            raise ValueError(
                f"{both[0]!r} is in `variables` and in `by`. Leave it out of one: `by` has a table "
                "for each of its values."
            )
        if at is not None and not isinstance(at, Mapping):
            raise TypeError(
                f"at={at!r} is of type {type(at).__name__}. Give a mapping from variables to "
                "values, such as {'age': [20, 40]}."
            )
        given = {str(name): _listed(name, values) for name, values in (at or {}).items()}
        return GridRequest((*own, *within), within, given)


def _names(what: str, given: Any) -> tuple[str, ...]:
    """Read one name or several."""
    if given is None:
        return ()
    listed = [given] if isinstance(given, str) else given
    is_list = isinstance(listed, Sequence | pd.Index | np.ndarray)
    if not (is_list and all(isinstance(name, str) for name in listed)):
        raise TypeError(
            f"{what}={given!r} does not name variables. Give a name, or a list of names."
        )
    names = tuple(map(str, listed))
    if len(set(names)) < len(names):
        raise ValueError(f"{what}={given!r} names a variable twice. Leave one out.")
    return names


def _listed(name: Any, given: Any) -> list[Any]:
    """Return the values that `at` gives a variable."""
    if isinstance(given, Mapping):
        raise TypeError(
            f"at[{name!r}]={shown(given)} is a mapping. Give a value, or a list of values."
        )
    if isinstance(given, np.ndarray) and given.ndim == 0:
        return [given.item()]
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        return [given]
    listed = list(given)
    if not listed:
        raise ValueError(f"at[{name!r}] is empty. Give one value or more, or leave it out.")
    return listed
