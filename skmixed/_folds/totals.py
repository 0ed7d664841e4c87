"""Products of all columns and the response over the rows of each of many folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skmixed._folds.products import around_means
from skmixed._folds.selection import of_levels
from skmixed._statistics.accumulator import accumulate_parts
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.framed_rows import BLOCK_ROWS
from skmixed._statistics.responses import ResponseTotals
from skmixed._statistics.row_block import indicators
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class FoldTotals:
    """Sums over the rows of each of F folds, in the frame of the statistics of all rows.

    Attributes
    ----------
    products : (F, k + 1, k + 1) array
        Σ w [e u]'[e u].
    counts, log_weights : (F,) arrays
        Rows, and Σ log w.
    """

    products: FloatArray
    counts: IntArray
    log_weights: FloatArray

    @staticmethod
    def of(design: Design, fold: IntArray, n_folds: int, like: CrossProducts) -> "FoldTotals":
        """Sum the products of rows in the frame of the statistics."""
        k = design.n_columns + 1
        center = np.append(like.center, like.responses.center)
        columns = (*design.columns, *design.responses)
        folds = FactorDesign(fold, n_folds, tuple(range(k)))
        products = np.zeros((n_folds * k, k))
        step = max(BLOCK_ROWS, n_folds * k)
        # Z'W[e u] block by block, with a row of Z the whole row [e u] at the place of its fold
        for start in range(0, design.n_rows, step):
            rows = slice(start, min(start + step, design.n_rows))
            table = np.empty((rows.stop - start, k))
            table[:, 0] = 1.0
            for j, column in enumerate(columns, start=1):
                np.subtract(column[rows], center[j], out=table[:, j])
            _turn(table, like)
            z = indicators(replace(folds, codes=fold[rows]), table)
            weights = design.weights
            products += z @ (table if weights is None else table * weights[rows, None])
        return _with_counts(products.reshape(n_folds, k, k), design, fold)

    @staticmethod
    def with_all_rows(
        design: Design, fold: IntArray, n_folds: int
    ) -> "tuple[CrossProducts, FoldTotals] | None":
        """Return the sums over all rows, and those over each fold, from one pass.

        None where the rows ask for a frame with a regression.
        """
        found = accumulate_parts(design, fold, n_folds)
        if found is None:
            return None
        return found.all_rows, _with_counts(found.products, design, fold)

    def without(self, stats: CrossProducts, number: int, levels: IntArray) -> CrossProducts:
        """Return the sums over all rows less those of a fold, which has no rows of some levels.

        The fold is a small part of the rows, so that the differences keep their digits. Sums
        that count each row once stay those of all rows; no fit or prediction reads them.
        """
        own, k = self.products[number], len(stats.center)
        responses = stats.responses
        total = ResponseTotals(
            responses.total.with_columns - own[:k, k:],
            responses.total.squares - own[k, k:],
        )
        # Σ w ee' and Σ w eu of the other rows; the levels that stay have all of theirs
        rest = replace(
            stats,
            n_rows=stats.n_rows - int(self.counts[number]),
            sum_log_weights=stats.sum_log_weights - float(self.log_weights[number]),
            total=stats.total - own[:k, :k],
            responses=replace(responses, total=total),
        )
        return around_means(of_levels(rest, [levels]))

    def of_columns(self, columns: Sequence[int]) -> "FoldTotals":
        """Return the sums of some columns, the ones first, and of the response."""
        own = [*columns, self.products.shape[1] - 1]
        if own == list(range(self.products.shape[1])):
            return self
        return replace(self, products=self.products[:, own][:, :, own])


def _with_counts(products: FloatArray, design: Design, fold: IntArray) -> FoldTotals:
    """Return sums with the numbers of rows, and of their weights."""
    n_folds = len(products)
    log_weights = np.zeros(n_folds)
    if design.weights is not None:
        log_weights += np.bincount(fold, np.log(design.weights), n_folds)
    return FoldTotals(products, np.bincount(fold, minlength=n_folds), log_weights)


def _turn(table: FloatArray, like: CrossProducts) -> None:
    """Turn rows [d − c, y − c] to [e u] of the frame of statistics, in place."""
    k, gamma = len(like.center), like.responses.regression
    # e = (d − c)E⁻¹, and u = (y − c) − e'γ
    if like.regression is not None:
        table[:, :k] = like.frame.in_frame(table[:, :k])
    if gamma is not None:
        table[:, k:] -= table[:, :k] @ gamma
