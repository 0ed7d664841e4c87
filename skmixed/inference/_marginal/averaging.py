"""Averages over the cells of a grid, by the weights that the cells have.

Further weights are an entry of `WEIGHTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._typing import FloatArray
from skmixed.inference._marginal.grid import ReferenceGrid
from skmixed.inference._marginal.nesting import nested_shares, nesting_of


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
        names, targets = [own.name for own in grid.axes], {own.name for own in grid.targets}
        within = nested_shares(names, grid.shape, nesting_of(grid), targets, alike=kind.alike)
        own = own * within.reshape(own.shape)
    with np.errstate(invalid="ignore"):
        return np.asarray(own / own.sum(axis=1, keepdims=True))


def averaged(shares: FloatArray, values: FloatArray) -> FloatArray:
    """Return the averages of what the cells have, (n_cells, …) to (k, …)."""
    k, m = shares.shape
    return np.asarray(np.einsum("km,km...->k...", shares, values.reshape(k, m, *values.shape[1:])))
