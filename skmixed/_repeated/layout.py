"""Rows laid out in independent blocks, and blocks in patterns.

A block is a subject with the levels of grouping factors that have few rows in common
with it. Blocks of one number of rows, whose times, strata and Z are the same, have one
covariance, and their products are added up where that takes less room than the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from skmixed._model.residual import Residual
from skmixed._model.time_points import TimePoints
from skmixed._repeated.blocks import BlockGroup, BlockTerm, Stratum
from skmixed._repeated.products import BlockProducts, RowProducts, SummedProducts
from skmixed._typing import BoolArray, FloatArray, IntArray

# Rows of a block up to which a grouping factor is taken into it, unless the blocks are as
# large without it: its n³ operations are then fewer than those of dense outer effects.
MOST_ROWS = 64
# Numbers of one matrix over the blocks of a group, and of its derivatives.
SLAB = 2**18
# Times the room of the rows that sums of products may take.
ROOM = 4.0


@dataclass(frozen=True)
class LaidRows:
    """The rows in the units of the search.

    Attributes
    ----------
    wide : (n, k) array
        Outer Z, X and y.
    terms : tuple of ((n, s) array, (n,) array of int)
        Z of each term, and the level of each row.
    subject, visit, stratum : (n,) arrays of int
    position, covariate : (n,) arrays
    """

    wide: FloatArray
    terms: tuple[tuple[FloatArray, IntArray], ...]
    subject: IntArray
    visit: IntArray
    stratum: IntArray
    position: FloatArray
    covariate: FloatArray


@dataclass(frozen=True)
class BlockIndex:
    """Which rows the blocks of a group are.

    Attributes
    ----------
    rows : (N, n) array of int
    pattern : (N,) array of int
        Which of the group's patterns each block has.
    """

    rows: IntArray
    pattern: IntArray


def block_codes(subject: IntArray, levels: IntArray) -> tuple[IntArray, tuple[bool, ...]]:
    """Return each row's block, and which factors' levels are inside of blocks.

    Factors are taken in by their number of levels, the largest first.
    """
    codes, inside = subject, [False] * levels.shape[1]
    for k in np.argsort(-levels.max(axis=0, initial=0), kind="stable"):
        joined = _joined(codes, levels[:, k])
        most = int(np.bincount(joined).max())
        if most <= max(MOST_ROWS, int(np.bincount(codes).max())):
            codes, inside[k] = joined, True
    return codes, tuple(inside)


def _joined(first: IntArray, second: IntArray) -> IntArray:
    """Return the connected components of the graph of two codes, per row."""
    q, r = int(first.max()) + 1, int(second.max()) + 1
    ones = np.ones(len(first), dtype=bool)
    graph = sp.coo_array((ones, (first, q + second)), shape=(q + r, q + r))
    return np.asarray(connected_components(graph, directed=False)[1][first])


def index_blocks(codes: IntArray, laid: LaidRows) -> Iterator[IntArray]:
    """Return the rows of the blocks of each size, in order of time, (N, n)."""
    keys = (np.arange(len(codes)), laid.visit, laid.position, laid.subject, codes)
    order = np.lexsort(keys)
    counts = np.bincount(codes)
    counts = counts[counts > 0]
    starts = np.cumsum(counts) - counts
    for n in np.unique(counts):
        yield order[starts[counts == n][:, None] + np.arange(n)]


def group_blocks(
    rows: IntArray,
    laid: LaidRows,
    residual: Residual,
    terms: tuple[tuple[int, FloatArray, slice], ...],
    first_phi: int,
) -> Iterator[tuple[BlockGroup, BlockIndex]]:
    """Lay out blocks of one size, (N, n); `terms` are the inner ones' index, D_i and place."""
    # Patterns: the same times, strata, subjects and Z; then blocks pattern by pattern.
    inverse, firsts = _patterns(rows, laid, [index for index, _, _ in terms])
    n_blocks, n = rows.shape
    k = laid.wide.shape[1]
    is_summed = len(firsts) * n * n * k * k <= ROOM * n_blocks * n * k
    if is_summed:
        order = np.argsort(inverse, kind="stable")
        rows, inverse = rows[order], inverse[order]
    else:
        inverse, firsts = np.arange(n_blocks), np.arange(n_blocks)
    # Slabs of patterns, whose matrices have room
    d = residual.n_own + sum(len(matrices) for _, matrices, _ in terms)
    step = max(SLAB // (n * n * (d + 2)), 1)
    for start in range(0, len(firsts), step):
        stop = min(start + step, len(firsts))
        low, high = np.searchsorted(inverse, [start, stop])
        own, pattern = rows[low:high], inverse[low:high] - start
        counts = np.bincount(pattern)
        starts = np.cumsum(counts) - counts
        products: BlockProducts = (
            SummedProducts.of(laid.wide, own, starts.tolist())
            if is_summed
            else RowProducts(laid.wide[own])
        )
        group = _group(own[starts], counts, laid, residual, terms, first_phi, products)
        yield group, BlockIndex(own, pattern)


def _group(
    rows: IntArray,
    counts: IntArray,
    laid: LaidRows,
    residual: Residual,
    terms: tuple[tuple[int, FloatArray, slice], ...],
    first_phi: int,
    products: BlockProducts,
) -> BlockGroup:
    """Lay out patterns, (b, n)."""
    of_terms = []
    for index, matrices, place in terms:
        columns, levels = laid.terms[index]
        same = _same(levels[rows])
        of_terms.append(BlockTerm(index, columns[rows], matrices, place, same))
    # R is block-diagonal over the subjects of a block, each in its stratum
    subjects, strata = _same(laid.subject[rows]), []
    for number in np.unique(laid.stratum[rows]):
        own = laid.stratum[rows] == number
        pairs = own[:, :, None] & own[:, None, :]
        mask = pairs if subjects is None else pairs & subjects
        place = residual.of_stratum(int(number))
        place = slice(first_phi + place.start, first_phi + place.stop)
        strata.append(Stratum(place, int(number), None if mask.all() else mask))
    places = TimePoints(laid.visit[rows], laid.position[rows], laid.covariate[rows])
    return BlockGroup(places, counts.astype(float), tuple(of_terms), tuple(strata), products)


def _same(codes: IntArray) -> BoolArray | None:
    """Return which pairs of rows have one code, (b, n, n); None where all of a block have."""
    if (codes == codes[:, :1]).all():
        return None
    return codes[:, :, None] == codes[:, None, :]


def _patterns(rows: IntArray, laid: LaidRows, inner: list[int]) -> tuple[IntArray, IntArray]:
    """Return the number of each block's pattern, and the first block of each pattern."""
    keys: list[FloatArray | IntArray] = [laid.visit, laid.position, laid.covariate, laid.stratum]
    keys += [column for index in inner for column in laid.terms[index][0].T]
    columns = [column for key in keys if np.ptp(key) > 0 for column in key[rows].T]
    for codes in (laid.subject, *(laid.terms[index][1] for index in inner)):
        local = codes[rows]
        if (local != local[:, :1]).any():
            columns += list((local[:, :, None] == local[:, None, :]).argmax(axis=2).T)
    number = np.zeros(len(rows), dtype=np.int64)
    firsts = np.zeros(1, dtype=np.int64)
    # Each column of what the blocks hold refines the numbers of those before.
    for column in columns:
        if np.ptp(column) > 0:
            own = np.unique(column, return_inverse=True)[1]
            number = number * (int(own.max()) + 1) + own
            _, firsts, number = np.unique(number, return_index=True, return_inverse=True)
    return number, firsts
