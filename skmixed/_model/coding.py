"""The terms of a formula, whatever their factors are coded by: indicators and codings.

Each term has a column for each combination of the categories of its factors, times
its numeric columns: the overparametrized model of SAS, D. A coding says how the
columns of the model are made of them, X = DB, block by block.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._typing import FloatArray

INTERCEPT = "1"


@dataclass(frozen=True)
class Axis:
    """One factor of a term.

    Attributes
    ----------
    name : str
    size : int
        Its categories, or its numeric columns.
    has_categories : bool
    """

    name: str
    size: int
    has_categories: bool


@dataclass(frozen=True)
class ModelTerm:
    """One term of the fixed part.

    Attributes
    ----------
    name : str
        As the formula has it.
    axes : tuple of Axis
        The first varies fastest among the indicators. The intercept has none.
    coding : (n_indicators, n_columns) array
        The term's block of B: its columns of the model as sums of its indicators.
    """

    name: str
    axes: tuple[Axis, ...]
    coding: FloatArray

    @property
    def is_intercept(self) -> bool:
        return not self.axes and self.n_indicators == 1

    @property
    def categories(self) -> frozenset[str]:
        return frozenset(axis.name for axis in self.axes if axis.has_categories)

    @property
    def numeric(self) -> frozenset[str]:
        return frozenset(axis.name for axis in self.axes if not axis.has_categories)

    @property
    def n_indicators(self) -> int:
        return len(self.coding)

    def contains(self, other: "ModelTerm") -> bool:
        """Whether the other is part of this one, as SAS has it: the same numeric columns."""
        return self.numeric == other.numeric and self.categories > other.categories

    def has_all_of(self, other: "ModelTerm") -> bool:
        """Whether it has all variables of the other and more, factors or numeric, as car has it."""
        mine, its = ((t.categories, t.numeric) for t in (self, other))
        return mine != its and all(a >= b for a, b in zip(mine, its, strict=True))

    def places(self, name: str) -> NDArray[np.intp]:
        """Return the place of each indicator along an axis, (n_indicators,)."""
        sizes = [axis.size for axis in self.axes]
        at = [axis.name for axis in self.axes].index(name)
        return np.arange(self.n_indicators) // int(np.prod(sizes[:at])) % sizes[at]

    def numeric_places(self) -> list[tuple[int, ...]]:
        """Return the place of each indicator along its numeric axes, sorted by name."""
        along = [self.places(name).tolist() for name in sorted(self.numeric)]
        return list(zip(*along, strict=True)) if along else [()] * self.n_indicators


@dataclass(frozen=True)
class Coding:
    """The coding of a factor's categories, as of a `formulaic` ContrastsState.

    Attributes
    ----------
    full, reduced : sparse (n_categories, n_columns) array
        Beside no constant, and beside one.
    """

    full: sp.csr_array
    reduced: sp.csr_array

    @staticmethod
    def of(contrasts: Any) -> "Coding":
        matrices = (
            contrasts.get_coding_matrix(reduced_rank=is_reduced, sparse=True)
            for is_reduced in (False, True)
        )
        return Coding(*(sp.csr_array(matrix, dtype=np.float64) for matrix in matrices))

    def get_coding_matrix(self, reduced_rank: bool = True) -> FloatArray:
        """Return the matrix, (n_categories, n_columns), by formulaic's name of it."""
        return np.asarray((self.reduced if reduced_rank else self.full).toarray())


def terms_of_spec(spec: Any, written: Callable[[Any], str] = str) -> tuple[ModelTerm, ...]:
    """Read the terms off what formulaic has learned, a `formulaic.ModelSpec`.

    `written` gives the name of one of its terms.
    """
    codings = {factor.expr: state for factor, state in spec.factor_contrasts.items()}
    return tuple(
        ModelTerm(INTERCEPT, (), np.ones((1, 1)))
        if str(term) == INTERCEPT
        else _term(written(term), [_CodedPart.of(own) for own in scoped], list(columns), codings)
        for term, scoped, columns in spec.structure
    )


@dataclass(frozen=True)
class _CodedPart:
    """A product of factors, each with all its columns or with one less.

    formulaic makes a term of several, where the terms before it do not span its margins.
    """

    is_reduced: Mapping[str, bool]
    scale: float

    @staticmethod
    def of(scoped: Any) -> "_CodedPart":
        return _CodedPart({f.factor.expr: bool(f.reduced) for f in scoped.factors}, scoped.scale)


def _term(
    name: str, parts: Sequence[_CodedPart], columns: Sequence[str], codings: Mapping[str, Any]
) -> ModelTerm:
    if not parts:  # the terms before it span it
        return ModelTerm(name, (), np.empty((0, 0)))
    uses: dict[str, list[bool]] = {}
    for part in sorted(parts, key=lambda part: len(part.is_reduced), reverse=True):
        for factor, is_reduced in part.is_reduced.items():
            uses.setdefault(factor, []).append(is_reduced)
    spanning = [f for f, own in uses.items() if f in codings and _spans(codings[f], set(own))]
    others = [f for f in uses if f not in spanning]
    if any(len(uses[f]) < len(parts) or len(set(uses[f])) > 1 for f in others):
        # Columns that are no product: tested as they are.
        return ModelTerm(name, (Axis(name, len(columns), False),), np.eye(len(columns)))
    sizes = {f: _matrix(codings[f], uses[f][0]).shape[1] for f in others if f in codings}
    n_coded = sum(_n_coded(part, codings) for part in parts)
    sizes |= _numeric_sizes([f for f in others if f not in sizes], columns, n_coded)
    sizes |= {f: len(_matrix(codings[f], True)) for f in spanning}
    axes = tuple(Axis(f, sizes[f], f in spanning) for f in uses)
    blocks = [np.empty((int(np.prod(list(sizes.values()))), 0))]
    blocks += [_coding(part, axes, codings) for part in parts]
    return ModelTerm(name, axes, np.concatenate(blocks, axis=1))


def _n_coded(part: _CodedPart, codings: Mapping[str, Any]) -> int:
    """Count the columns of a part but for its numeric factors."""
    own = [_matrix(codings[f], k).shape[1] for f, k in part.is_reduced.items() if f in codings]
    return int(np.prod(own))


def _coding(part: _CodedPart, axes: Sequence[Axis], codings: Mapping[str, Any]) -> FloatArray:
    """Return a part's columns as sums of the term's indicators."""
    out = np.full((1, 1), float(part.scale))
    for axis in axes:
        if not axis.has_categories:
            own = np.eye(axis.size)
        elif axis.name in part.is_reduced:
            own = _matrix(codings[axis.name], part.is_reduced[axis.name])
        else:
            own = np.ones((axis.size, 1))
        out = np.kron(own, out)  # the first factor varies fastest
    return out


def _matrix(state: Any, is_reduced: bool) -> FloatArray:
    """Return the coding of a factor's categories, (n_categories, n_columns)."""
    return np.asarray(state.get_coding_matrix(reduced_rank=is_reduced), dtype=np.float64)


def _spans(state: Any, uses: set[bool]) -> bool:
    """Whether a coding, with the constant where reduced, makes all functions of categories."""
    for is_reduced in uses:
        matrix = _matrix(state, is_reduced)
        columns = np.column_stack([np.ones((len(matrix), int(is_reduced))), matrix])
        if np.linalg.matrix_rank(columns) < len(matrix):
            return False
    return True


def _numeric_sizes(factors: Sequence[str], columns: Sequence[str], n_coded: int) -> dict[str, int]:
    """Return the columns of each numeric factor of a term, of n_coded columns without them.

    Several are told apart by the names of columns: ``poly(x, 2)[1]:poly(z, 3)[2]``.
    """
    if len(factors) == 1:
        return {factors[0]: len(columns) // max(n_coded, 1)}
    out = {}
    for factor in factors:
        found = [re.findall(re.escape(factor) + r"\[[^\]]*\]", name) for name in columns]
        out[factor] = max(len({match for own in found for match in own}), 1)
    return out
