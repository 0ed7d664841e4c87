"""Averages over the cells of a grid, by the weights that the cells have.

Further weights are an entry of `WEIGHTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from skmixed._typing import BoolArray, FloatArray
from skmixed.inference._marginal.grid import ReferenceGrid


def _equal(counts: FloatArray) -> FloatArray:
    return np.ones_like(counts)


def _proportional(counts: FloatArray) -> FloatArray:
    """Weight each combination of what is averaged over by its rows in all targets."""
    return np.asarray(np.broadcast_to(counts.sum(axis=0), counts.shape))


def _outer(counts: FloatArray) -> FloatArray:
    """Weight each value of what is averaged over by its rows, as if these were independent."""
    total = counts.sum(axis=0)
    out = np.ones_like(total)
    for axis in range(total.ndim):
        others = tuple(k for k in range(total.ndim) if k != axis)
        out = out * total.sum(axis=others, keepdims=True)
    return np.asarray(np.broadcast_to(out, counts.shape))


def _cells(counts: FloatArray) -> FloatArray:
    return counts


def _flat(counts: FloatArray) -> FloatArray:
    return np.asarray(counts > 0.0, dtype=float)


@dataclass(frozen=True)
class AveragingWeights:
    """How the cells of an average count, as emmeans names it.

    Attributes
    ----------
    name : str
    of : callable
        From the weights of the rows in each cell, (targets, values of each other variable), to
        those of the averages.
    description : str
        What a remark says of the combinations that are averaged over.
    by_cell : bool
        Whether rows count in the cells that they are in, so that nested factors need no care.
    alike : bool
        Whether nested levels within one level of another factor count alike.
    """

    name: str
    of: Callable[[FloatArray], FloatArray]
    description: str
    by_cell: bool = False
    alike: bool = False


WEIGHTS = {
    own.name: own
    for own in (
        AveragingWeights("equal", _equal, "each combination counts alike", alike=True),
        AveragingWeights(
            "proportional", _proportional, "each combination counts by the weights of its rows"
        ),
        AveragingWeights("outer", _outer, "each value counts by the weights of its rows"),
        AveragingWeights(
            "cells",
            _cells,
            "combinations count by the weights of their rows in each cell",
            by_cell=True,
        ),
        AveragingWeights("flat", _flat, "those with rows count alike", by_cell=True),
    )
}


def counts_of(grid: ReferenceGrid) -> FloatArray:
    """Return the weights of the rows of the fit in each cell, in the shape of the grid.

    A cell has those with its values of the counted variables, whatever its others are.
    """
    observed, axes = grid.formula.observed, grid.axes
    columns = list(observed.levels)
    place = np.zeros(len(observed.codes), dtype=np.intp)
    is_in, spread = np.ones(len(place), dtype=bool), []
    for own in axes:
        spread.append(1 if own.positions is None else len(own.positions))
        if own.positions is None:
            continue
        # Position among the values of the fit → that in the grid
        lookup = np.full(len(observed.levels[own.name]), -1)
        lookup[own.positions] = np.arange(len(own.positions))
        codes = lookup[observed.codes[:, columns.index(own.name)]]
        is_in &= codes >= 0
        place = place * len(own.positions) + codes
    size = int(np.prod(spread, dtype=int))
    sums = np.bincount(place[is_in], observed.weights[is_in], minlength=size)
    return np.asarray(np.broadcast_to(sums.reshape(spread), grid.shape), dtype=float)


def nested_factors(grid: ReferenceGrid) -> dict[str, list[str]]:
    """Return the factors each of whose levels occurs with one level of others: within which.

    Of two factors that are one by other names neither is within the other.
    """
    observed = grid.formula.observed
    columns = {name: observed.codes[:, k] for k, name in enumerate(observed.levels)}
    sizes = {name: len(observed.levels[name]) for name in columns}
    names = [own.name for own in grid.axes if grid.formula.is_factor(own.name)]
    found: dict[str, list[str]] = {}
    for inner, outer in permutations(names, 2):
        pairs = len(np.unique(columns[inner] * sizes[outer] + columns[outer]))
        if pairs == sizes[inner] > sizes[outer] > 1:
            found.setdefault(inner, []).append(outer)
    return found


def within_factors(grid: ReferenceGrid, *, alike: bool) -> FloatArray:
    """Return 1 for cells whose nested factors are within the levels of their own, else 0.

    `alike`: whether the levels within one level, if averaged over, count alike; then it is 1 by
    their number. In the shape of the grid.
    """
    out = np.ones(grid.shape)
    axis = {own.name: k for k, own in enumerate(grid.axes)}
    targets = {own.name for own in grid.targets}
    for inner, outers in nested_factors(grid).items():
        # Cells of the table itself stay
        outers = [name for name in outers if not {inner, name} <= targets]
        is_in = np.ones(grid.shape)
        for outer in outers:
            pairs = observed_pairs(grid, inner, outer)
            is_in = is_in * spread(pairs, (axis[inner], axis[outer]), is_in.ndim)
        if alike and outers and inner not in targets:
            n = is_in.sum(axis=axis[inner], keepdims=True)
            is_in = is_in / np.where(n > 0.0, n, 1.0)
        out *= is_in
    return out


def observed_pairs(grid: ReferenceGrid, inner: str, outer: str) -> BoolArray:
    """Return which values of two factors of the grid rows have together, (n_inner, n_outer)."""
    observed, names = grid.formula.observed, (inner, outer)
    columns = list(observed.levels)
    pairs = np.zeros([len(observed.levels[name]) for name in names], dtype=bool)
    pairs[tuple(observed.codes[:, columns.index(name)] for name in names)] = True
    at = {own.name: own.positions for own in grid.axes}
    return np.asarray(pairs[np.ix_(*(at[name] for name in names))])


def spread(pairs: BoolArray, axes: tuple[int, int], n_axes: int) -> FloatArray:
    """Lay a table of two factors along their axes, to be multiplied with all cells."""
    shape = [1] * n_axes
    for axis, n in zip(axes, pairs.shape, strict=True):
        shape[axis] = n
    own = pairs if axes[0] < axes[1] else pairs.T
    return own.astype(float).reshape(shape)


def averaging_weights(grid: ReferenceGrid, weights: str) -> FloatArray:
    """Return the shares of the cells in each average, (k, n_cells / k), each row of sum 1.

    Of nested factors the levels within those of the others count. A row without any rows of
    the fit, where these count, is NaN; of a single cell it is 1.
    """
    if not grid.averaged:
        return np.ones((grid.n_targets, 1))
    counts = counts_of(grid).reshape(grid.n_targets, *grid.shape[len(grid.targets) :])
    if not counts.any():  # values that no row has: each counts alike
        counts = np.ones_like(counts)
    kind = WEIGHTS[weights]
    own = kind.of(counts).reshape(grid.n_targets, -1)
    if not kind.by_cell:
        own = own * within_factors(grid, alike=kind.alike).reshape(own.shape)
    with np.errstate(invalid="ignore"):
        return np.asarray(own / own.sum(axis=1, keepdims=True))


def averaged(shares: FloatArray, values: FloatArray) -> FloatArray:
    """Return the averages of what the cells have, (n_cells, …) to (k, …)."""
    k, m = shares.shape
    return np.asarray(np.einsum("km,km...->k...", shares, values.reshape(k, m, *values.shape[1:])))
