"""Factors that are nested in others, and averages over cells that keep them within their own."""

from collections.abc import Collection, Sequence
from itertools import permutations

import numpy as np

from skmixed._typing import BoolArray, FloatArray, IntArray, Nesting
from skmixed.inference._marginal.grid import ReferenceGrid


def nested_factors(grid: ReferenceGrid) -> dict[str, list[str]]:
    """Return the factors each of whose levels occurs with one level of others: within which.

    Of two factors that are one by other names neither is within the other.
    """
    columns = _codes(grid)
    sizes = {name: len(own) for name, own in grid.formula.observed.levels.items()}
    names = [own.name for own in grid.axes if grid.formula.is_factor(own.name)]
    found: dict[str, list[str]] = {}
    for inner, outer in permutations(names, 2):
        pairs = len(np.unique(columns[inner] * sizes[outer] + columns[outer]))
        if pairs == sizes[inner] > sizes[outer] > 1:
            found.setdefault(inner, []).append(outer)
    return found


def nesting_of(grid: ReferenceGrid) -> dict[str, dict[str, BoolArray]]:
    """Return which of the levels in a grid are in which of those of other factors."""
    levels, codes = grid.formula.observed.levels, _codes(grid)
    places = {own.name: own.positions for own in grid.axes if own.positions is not None}
    found: dict[str, dict[str, BoolArray]] = {}
    for inner, outers in nested_factors(grid).items():
        found[inner] = {}
        for outer in outers:
            pairs = np.zeros((len(levels[inner]), len(levels[outer])), dtype=bool)
            pairs[codes[inner], codes[outer]] = True
            found[inner][outer] = pairs[np.ix_(places[inner], places[outer])]
    return found


def within_by_formula(grid: ReferenceGrid) -> dict[str, list[str]]:
    """Return the variables without a main effect in the formula, and what they are within.

    As of R's formulas: a variable is coded in full beside another one if what the term is without
    it is not in the formula; f is within h in h + f:h, and of f:h alone neither is.
    """
    terms = set(grid.formula.interactions)
    names = [own.name for own in grid.axes if len(own.values) > 1]
    found: dict[str, set[str]] = {}
    for name in names:
        own = [term for term in terms if name in term]
        if frozenset({name}) in terms or not own:
            continue
        own = [term for term in own if term - {name} in terms] or own
        outer = [{n for n in term - {name} if term - {n} not in terms} & {*names} for term in own]
        least = [one for one in outer if not any(other < one for other in outer)]
        if any(least):
            found[name] = set().union(*least)
    for name, outers in found.items():
        found[name] = outers.union(*(found.get(outer, ()) for outer in outers))
    return {
        name: [own for own in names if own in outers]
        for name, outers in found.items()
        if name not in outers
    }


def _codes(grid: ReferenceGrid) -> dict[str, IntArray]:
    """Return the position among the values of each factor, in each combination of rows."""
    observed = grid.formula.observed
    return dict(zip(observed.levels, observed.codes.T, strict=True))


def nested_shares(
    names: Sequence[str],
    shape: Sequence[int],
    nesting: Nesting,
    targets: Collection[str],
    *,
    alike: bool = True,
) -> FloatArray:
    """Return 1 for cells whose nested factors are within the levels of their own, else 0.

    `names`: the axes of the cells, of the lengths `shape`. `nesting`: of each factor and each that
    it is nested in, which levels are in which, (n_inner, n_outer). Cells of the targets
    themselves stay. `alike`: whether the levels of a factor that is averaged over count alike
    within one combination of all that it is nested in; then it is 1 by their number.
    """
    out = np.ones(tuple(shape))
    for inner, outers in nesting.items():
        is_in = np.ones(tuple(shape))
        for outer, pairs in outers.items():
            if not {inner, outer} <= set(targets):
                is_in = is_in * _mask(list(names), inner, outer, pairs)
        if alike and inner not in targets:
            n = is_in.sum(axis=list(names).index(inner), keepdims=True)
            is_in = is_in / np.maximum(n, 1.0)
        out *= is_in
    return out


def _mask(names: list[str], inner: str, outer: str, pairs: BoolArray) -> FloatArray:
    """Return 1 for levels of two factors that are in each other, over the cells."""
    first, second = names.index(inner), names.index(outer)
    shape = [1] * len(names)
    shape[first], shape[second] = pairs.shape
    own = pairs if first < second else pairs.T
    return own.astype(float).reshape(shape)
