"""Rows that are reduced again and again: with other weights, with other responses.

The rows stay in one frame, which was decided once, and know which coefficients and which
cells of two factors they belong to. So a further reduction costs its multiplications: no
levels are looked up, no patterns are found, no rank is decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import Frame, residuals
from skmixed._statistics.grouped_products import FactorProducts, PairProducts
from skmixed._statistics.responses import (
    ResponseFrame,
    ResponseProducts,
    ResponseTotals,
    regression_on,
)
from skmixed._statistics.row_block import indicators, own_rows
from skmixed._typing import FloatArray, IntArray, Regressions

# Rows that are weighted at a time: what is made of them stays in the cache.
BLOCK_ROWS = 32_768


@dataclass(frozen=True)
class CellPattern:
    """The cells of two factors: which of them occur, and which one each row belongs to.

    Attributes
    ----------
    cells : (n,) array
        Number of each row's cell, in the order of the first factor's levels and, within
        them, of the second's.
    places : (n_cells, r₁, r₂) array
        Where the products of each cell stand among the entries.
    indices, starts : arrays
        Columns of the entries of the sparse products, and where their rows start.
    shape : (q₁·r₁, q₂·r₂)
    """

    cells: IntArray
    places: IntArray
    indices: IntArray
    starts: IntArray
    shape: tuple[int, int]

    @staticmethod
    def of(first: FactorDesign, second: FactorDesign) -> "CellPattern":
        """Find the cells that occur, and number them.

        A level j of the first factor has r₁ rows of entries, each over its m cells: entry
        (a, b) of the ith of them stands at r₁r₂·s + r₂(a·m + i) + b, behind the s cells of
        the levels before.
        """
        r, s, q = len(first.columns), len(second.columns), second.n_levels
        # The pairs of levels that occur, level by level of the first factor
        found, cells = np.unique(first.codes * np.int64(q) + second.codes, return_inverse=True)
        levels, others = np.divmod(found, q)
        counts = np.bincount(levels, minlength=first.n_levels)
        before = (np.cumsum(counts) - counts)[levels]
        rank, m = np.arange(len(found)) - before, counts[levels]
        # r₁r₂·s + r₂(a·m + i) + b
        a, b = np.arange(r)[:, None], np.arange(s)
        before, rank, m = (own[:, None, None] for own in (before, rank, m))
        places = r * s * before + s * (a * m + rank) + b
        indices = np.empty(places.size, dtype=np.int64)
        indices[places] = others[:, None, None] * s + b
        starts = np.concatenate([[0], np.cumsum(np.repeat(counts * s, r))])
        return CellPattern(cells, places, indices, starts, (first.n_levels * r, q * s))

    def products(
        self, first: Sequence[FloatArray | float], second: Sequence[FloatArray | float]
    ) -> sp.csr_array:
        """Sum the products of r₁ columns and r₂ columns over the rows of each cell."""
        n_cells, values = len(self.places), np.empty(self.places.size)
        for a, x in enumerate(first):
            for b, z in enumerate(second):
                values[self.places[:, a, b]] = np.bincount(self.cells, x * z, n_cells)
        return sp.csr_array((values, self.indices, self.starts), shape=self.shape)


@dataclass(frozen=True)
class FramedBlock:
    """Some rows of a design in a frame.

    Attributes
    ----------
    place : slice
        Which rows of the design.
    rows : (b, k) array
        e.
    indicators : tuple of sparse (q·r, b) arrays
        Z' of each factor.
    """

    place: slice
    rows: FloatArray
    indicators: tuple[sp.csc_array, ...]

    @staticmethod
    def of(design: Design, place: slice, frame: Frame, own: Regressions) -> "FramedBlock":
        """Lay out rows; `own` are the regressions of the factors' columns."""
        part = design.rows(place)
        rows = np.empty((part.n_rows, part.n_columns))
        rows[:, 0] = 1.0
        for j, column in enumerate(part.columns, start=1):
            np.subtract(column, frame.center[j], out=rows[:, j])
        rows, factors = frame.in_frame(rows), zip(part.factors, own, strict=True)
        z = tuple(indicators(f, own_rows(rows, frame, f, e)) for f, e in factors)
        return FramedBlock(place, rows, z)


@dataclass(frozen=True)
class FramedRows:
    """The rows of a design in a frame.

    Attributes
    ----------
    design : Design
    frame : Frame
    own : tuple of (r, r) arrays or None
        Regressions of the factors' columns.
    blocks : tuple of FramedBlock
    total : (k, k) array
        Σ ee' over the rows, each counted once.
    cells : tuple of CellPattern
        Of each two factors, in the order (0, 1), (0, 2), (1, 2) …
    """

    design: Design
    frame: Frame
    own: Regressions
    blocks: tuple[FramedBlock, ...]
    total: FloatArray
    cells: tuple[CellPattern, ...]

    @staticmethod
    def of(design: Design, like: CrossProducts) -> "FramedRows":
        """Lay out rows in the frames of statistics, which may be theirs with any weights."""
        step = max(BLOCK_ROWS, *(f.n_levels * len(f.columns) for f in design.factors), 0)
        places = [slice(start, start + step) for start in range(0, design.n_rows, step)]
        frame, own = like.frame, like.own_regressions
        blocks = tuple(FramedBlock.of(design, place, frame, own) for place in places)
        total = sum(block.rows.T @ block.rows for block in blocks)
        cells = tuple(CellPattern.of(*pair) for pair in combinations(design.factors, 2))
        return FramedRows(design, frame, own, blocks, np.asarray(total), cells)

    def reweighted(self, weights: FloatArray, *responses: FloatArray) -> CrossProducts:
        """Return the products with other weights, which may be 0, and other responses.

        Those of the rows of positive weight; levels and cells without any have zeros.
        """
        counted = None if weights.all() else weights > 0
        total, levels = self._products(weights)
        logarithms = np.log(weights if counted is None else weights[counted])
        # Σ w ee' of all rows, of the levels and of the cells; y comes to them last.
        sums = CrossProducts(
            n_rows=len(logarithms),
            sum_log_weights=float(logarithms.sum()),
            center=self.frame.center,
            regression=self.frame.regression,
            total=total,
            responses=ResponseProducts.none(len(total)),
            factors=tuple(
                FactorProducts(f.columns, own, 0, _counts(f, counted), e)
                for f, own, e in zip(self.design.factors, levels, self.own, strict=True)
            ),
            pairs=self._pairs(weights),
            unweighted=self.total if counted is None else self._counted_once(counted),
        )
        return self._beside(sums, weights, responses)

    def with_responses(self, stats: CrossProducts, *responses: FloatArray) -> CrossProducts:
        """Return the statistics of these rows, in this frame, with other responses."""
        if not stats.frame.is_same(self.frame) or not _are_same(stats.own_regressions, self.own):
            raise ValueError("The statistics are in another frame than the rows.")
        return self._beside(stats, self.design.weights, responses)

    def _products(self, weights: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Return Σ w ee', (k, k), and Σ w fe' per level of each factor, (q, r, k)."""
        k = self.design.n_columns
        total, sums = np.zeros((k, k)), self._no_sums(k)
        for block in self.blocks:
            weighted = block.rows * weights[block.place, None]
            total += block.rows.T @ weighted
            for own, z in zip(sums, block.indicators, strict=True):
                own += z @ weighted
        return (total + total.T) / 2.0, self._by_level(sums)

    def _counted_once(self, counted: NDArray[np.bool_]) -> FloatArray:
        """Return Σ ee' over the rows that count, (k, k)."""
        total = np.zeros_like(self.total)
        for block in self.blocks:
            rows = block.rows[counted[block.place]]
            total += rows.T @ rows
        return total

    def _pairs(self, weights: FloatArray) -> tuple[PairProducts, ...]:
        """Return Σ w f_a f_b per cell of each two factors."""
        factors = zip(self.design.factors, self.own, strict=True)
        own = [self._own_columns(factor, e) for factor, e in factors]
        pairs = zip(combinations(range(len(own)), 2), self.cells, strict=True)
        return tuple(
            PairProducts(f, g, cells.products([weights * x for x in own[f]], own[g]))
            for (f, g), cells in pairs
        )

    def _own_columns(
        self, factor: FactorDesign, regression: FloatArray | None
    ) -> list[FloatArray | float]:
        """Return the columns f of a factor, (n,) each; 1 for the ones."""
        centered = [self._centered(c) for c in factor.columns]
        if regression is None:
            return centered
        rows = np.stack(np.broadcast_arrays(*centered), axis=1)
        return [1.0, *residuals(rows, regression).T[1:]]

    def _centered(self, column: int) -> FloatArray | float:
        """Return a column d − c; 1 for the ones."""
        return self.design.columns[column - 1] - self.frame.center[column] if column else 1.0

    def _no_sums(self, m: int) -> list[FloatArray]:
        """Return zeros to which products with m columns are added, (q·r, m) of each factor."""
        return [np.zeros((f.n_levels * len(f.columns), m)) for f in self.design.factors]

    def _by_level(self, sums: list[FloatArray]) -> list[FloatArray]:
        factors = zip(self.design.factors, sums, strict=True)
        return [own.reshape(f.n_levels, len(f.columns), -1) for f, own in factors]

    def _beside(
        self, stats: CrossProducts, weights: FloatArray | None, responses: tuple[FloatArray, ...]
    ) -> CrossProducts:
        """Put products with responses in the place of those of the statistics."""
        found = [self._products_with(stats, weights, y) for y in responses]
        levels = zip(*(own for _, own in found), strict=True)
        factors = zip(stats.factors, map(list, levels), strict=True)
        return replace(
            stats,
            responses=ResponseProducts.joined([own for own, _ in found]),
            factors=tuple(f.with_responses(np.concatenate(own, axis=2)) for f, own in factors),
        )

    def _products_with(
        self, stats: CrossProducts, weights: FloatArray | None, response: FloatArray
    ) -> tuple[ResponseProducts, list[FloatArray]]:
        """Return the products with one response, in total and per level of each factor.

        Where it is near the columns it is taken less its regression on them, row by row.
        """
        center = np.atleast_1d(np.average(response, weights=weights))
        own, levels = self._sums_with(weights, response, ResponseFrame(center))
        sums = replace(stats.over_rows(), responses=own)
        if not sums.resolved()[1][0]:
            basis = sums.basis
            along = basis.responses_around(center).along
            gamma = regression_on(basis.factor, along, sums.independent)
            own, levels = self._sums_with(weights, response, ResponseFrame(center, gamma))
        return own, levels

    def _sums_with(
        self, weights: FloatArray | None, response: FloatArray, frame: ResponseFrame
    ) -> tuple[ResponseProducts, list[FloatArray]]:
        """Return the products with u, (n,)."""
        levels = self._no_sums(1)
        total, plain = np.zeros((2, self.design.n_columns + 1))
        for block in self.blocks:
            # u = y − c − eγ, and e'Wu, u'Wu and Z'Wu of it
            left = response[block.place] - frame.center
            if frame.regression is not None:
                left -= block.rows @ frame.regression[:, 0]
            weighted = left
            if weights is not None:
                own = weights[block.place]
                weighted = own * left
                counted = np.where(own > 0, left, 0.0)
                plain += np.append(block.rows.T @ counted, left @ counted)
            total += np.append(block.rows.T @ weighted, left @ weighted)
            for sums, z in zip(levels, block.indicators, strict=True):
                sums[:, 0] += z @ weighted
        of_rows = None if weights is None else ResponseTotals(plain[:-1, None], plain[-1:])
        of_response = ResponseTotals(total[:-1, None], total[-1:])
        products = ResponseProducts(frame.center, frame.regression, of_response, of_rows)
        return products, self._by_level(levels)


def _are_same(mine: Regressions, its: Regressions) -> bool:
    return all(
        a is b or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(mine, its, strict=True)
    )


def _counts(factor: FactorDesign, counted: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    codes = factor.codes if counted is None else factor.codes[counted]
    return np.bincount(codes, minlength=factor.n_levels)
