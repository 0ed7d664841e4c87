"""The grouping factors of a model on some rows, and the groups that a split may leave out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmixed._data.encoder import plan
from skmixed._data.grouping_factor import GroupingFactor, Metadata
from skmixed._data.labels import learn_levels
from skmixed._data.metadata import open_metadata
from skmixed._data.parameters import items_of
from skmixed._data.random_effect import RandomEffect, parse_groups
from skmixed._data.table import Table, open_table
from skmixed._fitted.fitted_model import last_step
from skmixed._typing import BoolArray, IntArray


@dataclass(frozen=True)
class Groups:
    """Labels of rows, as numbers.

    Attributes
    ----------
    n_rows : int
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
    counts : (n,) array of bool or None
        Whether a row counts in a fit, as one of weight 0 does not; None: all do.
    """

    n_rows: int
    factors: dict[str, IntArray]
    name: str
    codes: IntArray | None
    why: str = ""
    are_seen: bool = True
    counts: BoolArray | None = None

    @property
    def are_none(self) -> bool:
        """Whether the rows are not grouped: no model names a column, and no labels were given."""
        return self.codes is None and self.are_seen and not self.factors

    @property
    def all_of_them(self) -> dict[str, IntArray]:
        """The factors, and the groups to leave out where these are none of them."""
        if self.codes is None or self.name in self.factors:
            return self.factors
        if any(_are_same(self.codes, codes) for codes in self.factors.values()):
            return self.factors
        return self.factors | {self.name: self.codes}

    def of_counting(self) -> "Groups":
        """Return those of the rows that count."""
        if self.counts is None:
            return self
        factors = {name: codes[self.counts] for name, codes in self.factors.items()}
        codes = None if self.codes is None else self.codes[self.counts]
        n_rows = int(self.counts.sum())
        return replace(self, n_rows=n_rows, factors=factors, codes=codes, counts=None)

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


def groups_of(models: Sequence[Any], X: Any, groups: Any, weights: Any = None) -> Groups:
    """Return the factors of some models, and the groups to leave out.

    These are the ones given, or the outermost factor of all models. A model whose columns X does
    not have is left to its fit, which says so; if there is no other, its error is raised.
    """
    n_rows = open_table(X).n_rows
    counts = None if weights is None else np.asarray(weights) != 0
    counts = None if counts is None or counts.all() else counts
    own = _factors_of_each(models, X, counts)
    factors = {name: codes for found in own for name, codes in (found or {}).items()}
    are_seen = all(found is not None for found in own)
    if groups is not None:
        given = _given(groups, n_rows, counts)
        name = _outermost(given, counts)
        if name is None:
            names = " and ".join(map(repr, given))
            raise ValueError(
                f"The columns {names} of groups are crossed, so that nothing says whose groups are "
                "left out. Give the column of these alone."
            )
        return Groups(n_rows, factors or given, name, given[name], counts=counts)
    name = _outermost(factors, counts) if are_seen else None
    if name is not None:
        return Groups(n_rows, factors, name, factors[name], counts=counts)
    why = _why_none(factors, are_seen=are_seen)
    return Groups(n_rows, factors, "", None, why, are_seen, counts)


def _why_none(factors: dict[str, IntArray], *, are_seen: bool) -> str:
    """Say why there are no groups to leave out."""
    if not are_seen:
        return "the grouping columns of the model are not known before it is fitted"
    if not factors:
        return "the model names no grouping column of X"
    return f"the factors {' and '.join(map(repr, factors))} of the model are crossed"


def _factors_of_each(
    models: Sequence[Any], X: Any, counts: BoolArray | None
) -> list[dict[str, IntArray] | None]:
    """Return the factors of those models whose columns X has."""
    found, errors = [], []
    known: dict[GroupingFactor, IntArray] = {}
    for model in models:
        try:
            found.append(_factors_of(model, X, counts, known))
        except (ValueError, TypeError) as error:
            errors.append(error)
    if errors and not found:
        raise errors[0]
    return found


def _outermost(factors: dict[str, IntArray], counts: BoolArray | None) -> str | None:
    """Return the factor in whose levels those of all others are nested; None without one."""
    if counts is not None:
        factors = {name: codes[counts] for name, codes in factors.items()}
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


def _factors_of(
    model: Any, X: Any, counts: BoolArray | None, known: dict[GroupingFactor, IntArray]
) -> dict[str, IntArray] | None:
    """Return the levels of the factors that a model names; None where that is not known yet.

    `known` are the levels of factors of other models, to which it adds its own.
    """
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
    for factor in encoder.factors:
        if factor not in known:
            known[factor] = _codes(factor, table, metadata, counts)
    return {factor.name: known[factor] for factor in encoder.factors}


def _codes(
    factor: GroupingFactor, table: Table, metadata: Metadata, counts: BoolArray | None
) -> IntArray:
    """Return the level of each row; rows of weight 0 without a label have one of their own."""
    if counts is None:
        return factor.learn(table, metadata)[1]
    labels = [learn_levels(s.column(table, metadata), s.name)[1] for s in factor.sources]
    has_label = np.min(labels, axis=0) >= 0
    keep = has_label | counts  # of others a missing label is refused
    own = factor.learn(table.rows(keep), metadata.rows(keep), np.flatnonzero(keep))[1]
    out = np.full(len(keep), own.max() + 1)
    out[keep] = own
    return out


def _names_in(candidates: Any) -> set[str]:
    """Return the parameters in which candidates differ."""
    if candidates is None:
        return set()
    grids = [candidates] if isinstance(candidates, Mapping) else items_of(candidates, "candidates")
    return {name for grid in grids for name in grid}


def _given(groups: Any, n_rows: int, counts: BoolArray | None) -> dict[str, IntArray]:
    """Return the levels of labels given beside X, by the names of their columns."""
    columns = open_metadata(groups, n_rows, is_named=False).columns
    out = {name: learn_levels(column, name)[1] for name, column in columns.items()}
    for codes in out.values():
        missing = codes < 0
        refused = missing if counts is None else missing & counts
        if refused.any():
            raise ValueError(
                f"groups has a missing label at row {int(np.argmax(refused))}. Leave that row "
                "out, or give it a label."
            )
        codes[missing] = codes.max() + 1
    return out


def _is_nested(inner: IntArray, outer: IntArray) -> bool:
    """Whether each level of one factor occurs with one level of another."""
    if inner is outer:
        return True
    pairs = np.unique(inner * (np.int64(outer.max()) + 1) + outer)
    return len(pairs) == len(np.unique(inner))


def _are_same(one: IntArray, other: IntArray) -> bool:
    """Whether rows are of one level of both factors or of none."""
    return _is_nested(one, other) and _is_nested(other, one)
