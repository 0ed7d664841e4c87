"""Rows laid out in independent blocks, and blocks in patterns or chains.

A block is a subject with the levels of grouping factors that have few rows in common
with it. Blocks of one number of rows, whose times, strata and Z are the same, have one
covariance, and their products are added up where that takes less room than the rows.
Where there are many such patterns and the residuals are of Markov type, the rows of a
subject are a chain.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from skmixed._derivatives.precision import PrecisionClasses
from skmixed._model.residual import Residual
from skmixed._model.time_points import RowPairs, numbered
from skmixed._repeated.blocks import (
    BlockIndex,
    BlockProducts,
    BlockTerm,
    RowProducts,
    Stratum,
    SummedProducts,
)
from skmixed._repeated.chains import (
    ChainProducts,
    ChainRows,
    ChainStratum,
    ChainTerm,
    SingleChains,
    SummedChains,
)
from skmixed._repeated.explicit import ExplicitBlocks
from skmixed._repeated.likelihood import Blocks
from skmixed._repeated.markov import MarkovBlocks
from skmixed._repeated.rows import LaidRows
from skmixed._typing import BoolArray, FloatArray, IntArray

# Rows of a block up to which a grouping factor is taken into it, unless the blocks are as
# large without it: its n³ operations are then fewer than those of dense outer effects.
MOST_ROWS = 64
# Random effects of a block of chains up to which a grouping factor is taken into it.
MOST_EFFECTS = 8
# Numbers of one matrix over the blocks of a group, and of its derivatives.
SLAB = 2**18
# Numbers of the rows of chains, and of their derivatives, that are worked on together.
CHAIN_SLAB = 2**20
# Times the room of the rows that sums of products may take.
ROOM = 4.0
# Operations on matrices in the time of one on the rows of chains.
QUICKER = 8.0


@dataclass(frozen=True)
class InnerTerm:
    """A random-effects term inside of blocks.

    Attributes
    ----------
    index : int
        Position among the model's terms.
    directions : (d, s, s) array
        Those of Σ.
    place : slice
        Places of its τ among the parameters.
    """

    index: int
    directions: FloatArray
    place: slice


@dataclass(frozen=True)
class BlockLayout:
    """What the rows are laid out by.

    Attributes
    ----------
    laid : LaidRows
    residual : Residual
    terms : tuple of InnerTerm
    first_phi : int
        The place of the first φ among the parameters.
    """

    laid: LaidRows
    residual: Residual
    terms: tuple[InnerTerm, ...]
    first_phi: int

    def blocks(self, codes: IntArray) -> Iterator[Blocks]:
        """Lay out the blocks of rows."""
        chains = []
        for rows in index_blocks(codes, self.laid):
            patterns = self._patterns(rows)
            if patterns is None and self.residual.is_markov:
                chains.append(rows)
            else:
                yield from self.explicit(rows, patterns)
        if chains:
            yield from self.chains(chains)

    @property
    def _n_directions(self) -> int:
        return self.residual.n_own + sum(len(t.directions) for t in self.terms)

    def _patterns(self, rows: IntArray) -> tuple[IntArray, IntArray] | None:
        """Return the pattern of each block, (N, n), and the first of each; None for many."""
        (n_blocks, n), k = rows.shape, self.laid.wide.shape[1]
        most = ROOM * n_blocks / (n * k)
        if self.residual.is_markov:
            most = min(most, QUICKER * n_blocks / n**2)
        if most < 1.0:
            return None
        found = find_patterns(rows, self.laid, [t.index for t in self.terms])
        return found if len(found[1]) <= most else None

    def explicit(
        self, rows: IntArray, patterns: tuple[IntArray, IntArray] | None
    ) -> Iterator[ExplicitBlocks]:
        """Lay out blocks of one size, (N, n), in patterns, or each by itself."""
        n_blocks, n = rows.shape
        number = firsts = np.arange(n_blocks)
        if patterns is not None:
            number, firsts = patterns
            order = np.argsort(number, kind="stable")
            rows, number = rows[order], number[order]
        # Slabs of patterns, whose matrices have room
        step = max(SLAB // (n * n * (self._n_directions + 2)), 1)
        for start in range(0, len(firsts), step):
            stop = min(start + step, len(firsts))
            low, high = np.searchsorted(number, [start, stop])
            own, pattern = rows[low:high], number[low:high] - start
            counts = np.bincount(pattern)
            starts = np.cumsum(counts) - counts
            products: BlockProducts = (
                RowProducts(self.laid.wide[own])
                if patterns is None
                else SummedProducts.of(self.laid.wide, own, starts.tolist())
            )
            index = BlockIndex(own, pattern)
            yield self._group(index, own[starts], counts, products)

    def _group(
        self, index: BlockIndex, rows: IntArray, counts: IntArray, products: BlockProducts
    ) -> ExplicitBlocks:
        """Lay out patterns, of rows (b, n)."""
        laid, terms = self.laid, []
        for t in self.terms:
            columns, levels = laid.terms[t.index]
            same = _same(levels[rows])
            terms.append(BlockTerm(t.index, columns[rows], t.directions, t.place, same))
        # R is block-diagonal over the subjects of a block, each in its stratum
        subjects, strata = _same(laid.subject[rows]), []
        for number in np.unique(laid.stratum[rows]):
            own = laid.stratum[rows] == number
            pairs = own[:, :, None] & own[:, None, :]
            mask = pairs if subjects is None else pairs & subjects
            whole = None if mask.all() else mask
            strata.append(Stratum(self._place(int(number)), int(number), whole))
        places = laid.places(rows)
        return ExplicitBlocks(
            index, places, counts.astype(float), tuple(terms), tuple(strata), products
        )

    def _place(self, stratum: int) -> slice:
        own = self.residual.of_stratum(stratum)
        return slice(self.first_phi + own.start, self.first_phi + own.stop)

    def chains(self, parts: Sequence[IntArray]) -> Iterator[MarkovBlocks]:
        """Lay out blocks of some sizes, (N, n), as chains: those of one stratum together."""
        rows = np.concatenate([own.ravel() for own in parts])
        sizes = np.concatenate([np.full(len(own), own.shape[1]) for own in parts])
        starts, strata = np.cumsum(sizes) - sizes, self.laid.stratum[rows]
        low, high = np.minimum.reduceat(strata, starts), np.maximum.reduceat(strata, starts)
        key = np.where(low == high, low, -1)
        for number in np.unique(key):
            which = key == number
            own, of_blocks = rows[np.repeat(which, sizes)], sizes[which]
            # Slabs of rows, whose derivatives have room
            ends = np.cumsum(of_blocks)
            slab = (ends - 1) * (self._n_directions + self.laid.wide.shape[1]) // CHAIN_SLAB
            for k in np.unique(slab):
                part = slab == k
                stop = ends[part][-1]
                start = stop - int(of_blocks[part].sum())
                yield self._markov(own[start:stop], of_blocks[part])

    def _markov(self, rows: IntArray, sizes: IntArray) -> MarkovBlocks:
        """Lay out chains of blocks of some sizes."""
        laid, residual = self.laid, self.residual
        block = np.repeat(np.arange(len(sizes)), sizes)
        terms, effects = self._chain_effects(rows, block)
        subject, is_ordered = laid.subject[rows], residual.correlation.time == "order"
        has_next = (subject[1:] == subject[:-1]) & residual.is_correlated
        earlier = np.flatnonzero(has_next)
        # Classes of rows by what s is a function of, of pairs by what r is one of too
        keys: list[FloatArray | IntArray] = [laid.stratum[rows], laid.covariate[rows]]
        if is_ordered or residual.variance.is_of_visits:
            keys.append(laid.visit[rows])
        pair_keys = [own[earlier + side] for own in keys for side in (0, 1)]
        if not is_ordered:
            pair_keys.append(np.diff(laid.position[rows])[earlier])
        row_class, first = numbered(keys, len(rows))
        pair_class, first_pair = numbered(pair_keys, len(earlier))
        chains = ChainRows(
            np.ascontiguousarray(laid.wide[rows].T),
            effects,
            block,
            np.cumsum(sizes) - sizes,
            earlier,
            row_class,
            pair_class,
            len(first),
            len(first_pair),
        )
        strata = self._chain_strata(chains, rows[first], rows[earlier[first_pair, None] + [0, 1]])
        n_numbers = (len(first) + 3 * len(first_pair)) * chains.width
        room = ROOM * (chains.wide.size + effects.size)
        products: ChainProducts = (
            SummedChains.of(chains) if n_numbers <= room else SingleChains(chains)
        )
        return MarkovBlocks(rows, chains, products, terms, strata)

    def _chain_strata(
        self, chains: ChainRows, rows: IntArray, pairs: IntArray
    ) -> tuple[ChainStratum, ...]:
        """Return the strata of classes, of which there are a row, (r,), and a pair, (c, 2)."""
        laid, out = self.laid, []
        of_rows, of_pairs = np.bincount(chains.row_class), np.bincount(chains.pair_class)
        r, c = len(rows), len(pairs)
        # Entries of the stratum's rows, then three of each of its pairs
        for number in np.unique(laid.stratum[rows]):
            own = np.flatnonzero(laid.stratum[rows] == number)
            both = np.flatnonzero(laid.stratum[pairs[:, 0]] == number)
            classes = PrecisionClasses(
                self.residual,
                laid.places(rows[own, None]),
                RowPairs(*laid.places(pairs[both]).parts),
                of_rows[own].astype(float),
                of_pairs[both].astype(float),
            )
            entries = np.concatenate([own, *(r + k * c + both for k in range(3))])
            is_only = len(entries) == r + 3 * c
            place, which = self._place(int(number)), slice(r + 3 * c) if is_only else entries
            out.append(ChainStratum(place, int(number), classes, which))
        return tuple(out)

    def _chain_effects(
        self, rows: IntArray, block: IntArray
    ) -> tuple[tuple[ChainTerm, ...], FloatArray]:
        """Return the terms inside of blocks, and their columns of Z, (q, n)."""
        numbers, start, places = [], 0, []
        for t in self.terms:
            columns, levels = self.laid.terms[t.index]
            number, most = _numbers_in_blocks(levels[rows], block)
            places.append(slice(start, start + most * columns.shape[1]))
            numbers.append(number)
            start = places[-1].stop
        effects, terms = np.zeros((start, len(rows))), []
        for t, number, place in zip(self.terms, numbers, places, strict=True):
            columns, levels = self.laid.terms[t.index]
            size = columns.shape[1]
            first = place.start + number[levels[rows]] * size
            for k, column in enumerate(columns[rows].T):
                effects[first + k, np.arange(len(rows))] = column
            # I ⊗ D over the levels of a block, among all columns
            matrices = np.zeros((len(t.directions), start, start))
            eye = np.eye((place.stop - place.start) // size)
            matrices[:, place, place] = [np.kron(eye, own) for own in t.directions]
            terms.append(ChainTerm(t.index, place, size, matrices, t.place, number))
        return tuple(terms), effects


def block_codes(
    subject: IntArray, levels: IntArray, sizes: Sequence[int], *, is_markov: bool
) -> tuple[IntArray, tuple[bool, ...]]:
    """Return each row's block, and which factors' levels are inside of blocks.

    `sizes` are the coefficients of a level of each factor. Factors are taken in by their
    number of levels, the largest first, while blocks stay small: chains in their effects,
    others in their rows.
    """
    codes, inside = subject, [False] * levels.shape[1]
    for k in np.argsort(-levels.max(axis=0, initial=0), kind="stable"):
        if not sizes[k]:  # no term is on it
            continue
        joined = _joined(codes, levels[:, k])
        most = int(np.bincount(joined).max())
        is_small = most <= max(MOST_ROWS, int(np.bincount(codes).max()))
        # Chains have no n³ operations, but q of a block's effects for each row
        if is_markov and not is_small and joined.max() > 0:
            taken = [own for own in range(len(sizes)) if inside[own] or own == k]
            counts = [_numbers_in_blocks(levels[:, own], joined)[1] for own in taken]
            is_small = (
                sum(n * sizes[own] for n, own in zip(counts, taken, strict=True)) <= MOST_EFFECTS
            )
        if is_small:
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


def _same(codes: IntArray) -> BoolArray | None:
    """Return which pairs of rows have one code, (b, n, n); None where all of a block have."""
    if (codes == codes[:, :1]).all():
        return None
    return codes[:, :, None] == codes[:, None, :]


def find_patterns(rows: IntArray, laid: LaidRows, inner: list[int]) -> tuple[IntArray, IntArray]:
    """Return the number of each block's pattern, and the first block of each pattern."""
    keys: list[FloatArray | IntArray] = [laid.visit, laid.position, laid.covariate, laid.stratum]
    keys += [column for index in inner for column in laid.terms[index][0].T]
    columns = [column for key in keys if np.ptp(key) > 0 for column in key[rows].T]
    for codes in (laid.subject, *(laid.terms[index][1] for index in inner)):
        local = codes[rows]
        if (local != local[:, :1]).any():
            columns += list((local[:, :, None] == local[:, None, :]).argmax(axis=2).T)
    return numbered(columns, len(rows))


def _numbers_in_blocks(levels: IntArray, block: IntArray) -> tuple[IntArray, int]:
    """Return of each level which one of its block it is, and the most levels of a block."""
    n_levels = int(levels.max()) + 1
    found = np.unique(block * np.int64(n_levels) + levels)
    counts = np.bincount(found // n_levels)
    out = np.zeros(n_levels, dtype=np.intp)
    out[found % n_levels] = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
    return out, int(counts.max())
