"""The grouping factors of a model on some rows, and the groups that a split may leave out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmixed._data.encoder import plan
from skmixed._data.labels import learn_levels
from skmixed._data.metadata import open_metadata
from skmixed._data.parameters import items_of
from skmixed._data.random_effect import RandomEffect, parse_groups
from skmixed._data.table import open_table
from skmixed._fitted.fitted_model import last_step
from skmixed._typing import IntArray


@dataclass(frozen=True)
class Groups:
    """Labels of rows, as numbers.

    Attributes
    ----------
    factors : dict of str to (n,) array of int
        The model's grouping factors.
    name : str
        Of the groups that may be left out.
    codes : (n,) array of int or None
        None where nobody has said which.
    why : str
        Why there are none.
    are_seen : bool
        Whether the factors of all models are known before a fit: not those of a formula, and
        of columns that the steps of a Pipeline make.
    """

    factors: dict[str, IntArray]
    name: str
    codes: IntArray | None
    why: str = ""
    are_seen: bool = True

    def required(self) -> IntArray:
        """Return the groups that may be left out.

        Raises
        ------
        ValueError
            If there are none.
        """
        if self.codes is None:
            raise ValueError(
                f"groups=None, and {self.why}. Give `groups` the label of each row whose group is "
                "left out as a whole, or cv a splitter that needs no groups."
            )
        return self.codes


def groups_of(models: Sequence[Any], X: Any, groups: Any) -> Groups:
    """Return the factors of some models, and the groups to leave out.

    These are the ones given, or the outermost factor of all models.
    """
    own = [_factors_of(model, X) for model in models]
    factors = {name: codes for found in own for name, codes in (found or {}).items()}
    are_seen = all(found is not None for found in own)
    if groups is not None:
        given = _given(groups, open_table(X).n_rows)
        name = _outermost(given)
        if name is None:
            names = " and ".join(map(repr, given))
            raise ValueError(
                f"The columns {names} of groups are crossed, so that nothing says whose groups are "
                "left out. Give the column of these alone."
            )
        return Groups(factors or given, name, given[name])
    if not are_seen:
        why = "the grouping columns of the model are not known before it is fitted"
        return Groups(factors, "", None, why, are_seen=False)
    if not factors:
        return Groups(factors, "", None, "the model names no grouping column of X")
    name = _outermost(factors)
    if name is not None:
        return Groups(factors, name, factors[name])
    names = " and ".join(map(repr, factors))
    return Groups(factors, "", None, f"the factors {names} of the model are crossed")


def _outermost(factors: dict[str, IntArray]) -> str | None:
    """Return the factor in whose levels those of all others are nested; None without one."""
    for name, codes in factors.items():
        if all(_is_nested(inner, codes) for inner in factors.values()):
            return name
    return None


def beside(models: Sequence[Any], X: Any, groups: Any) -> Any:
    """Return the groups that `fit` and `predict` are given: those whose columns no model names.

    Nor is one of them a column of X, where it would be twice.
    """
    named = [getattr(last_step(model), "groups", "") for model in models]
    if groups is None or any(own is not None for own in named):
        return None
    table = open_table(X)
    columns = open_metadata(groups, table.n_rows, is_named=False).columns
    return None if set(columns) & set(table.names or ()) else groups


def _factors_of(model: Any, X: Any) -> dict[str, IntArray] | None:
    """Return the levels of the factors that a model names; None where that is not known yet."""
    last = last_step(model)
    named, candidates = getattr(last, "groups", None), getattr(last, "candidates", None)
    if hasattr(last, "formula") or "groups" in _names_in(candidates):
        return None
    if named is None:
        return {}
    table = open_table(X)
    metadata = open_metadata(None, table.n_rows, is_named=True)
    effects = parse_groups(named, None, "full", [])
    try:
        plain = [RandomEffect(own.groups, covariance="full") for own in effects]
        encoder = plan(table, metadata, plain, [], fit_intercept=True)
    except ValueError:
        if last is model:
            raise
        return None  # what the steps of a Pipeline make is not known before they are fitted
    return {f.name: f.learn(table, metadata)[1] for f in encoder.factors}


def _names_in(candidates: Any) -> set[str]:
    """Return the parameters in which candidates differ."""
    if candidates is None:
        return set()
    grids = [candidates] if isinstance(candidates, Mapping) else items_of(candidates, "candidates")
    return {name for grid in grids for name in grid}


def _given(groups: Any, n_rows: int) -> dict[str, IntArray]:
    """Return the levels of labels given beside X, by the names of their columns."""
    columns = open_metadata(groups, n_rows, is_named=False).columns
    out = {name: learn_levels(column, name)[1] for name, column in columns.items()}
    for codes in out.values():
        if (codes < 0).any():
            raise ValueError(
                f"groups has a missing label at row {int(np.argmax(codes < 0))}. Leave that row "
                "out, or give it a label."
            )
    return out


def _is_nested(inner: IntArray, outer: IntArray) -> bool:
    """Whether each level of one factor occurs with one level of another."""
    if inner is outer:
        return True
    pairs = np.unique(inner * (np.int64(outer.max()) + 1) + outer)
    return len(pairs) == len(np.unique(inner))
