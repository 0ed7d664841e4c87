"""The rows of the fit, given again: laid out as in the fit, and refused where they are others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import GivenRows
from skmixed._fitted.sufficient_statistics import SufficientStatistics, of_levels_with_rows
from skmixed._folds.products import FoldParts
from skmixed._folds.totals import FoldTotals
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._statistics.row_sums import RowSums
from skmixed._typing import FloatArray, IntArray

# How far products of the same rows may be apart, relative to the lengths of their columns: text
# files keep seven digits at least.
SAME_SUMS = 1e-6
ADVICE = "Give the rows that the model was fitted to, with their weights."


@dataclass(frozen=True)
class FitRows:
    """The rows of the fit, as plain arrays; with the encoder that has their levels.

    Attributes
    ----------
    encoder : Encoder
    design : Design
        Of rows of positive weight.
    stats : CrossProducts
        Their sums.
    names : array of str or None
    n_features : int
    """

    encoder: Encoder
    design: Design
    stats: CrossProducts
    names: Any
    n_features: int

    @staticmethod
    def of(rows: GivenRows, y: Any, sample_weight: Any) -> "FitRows":
        """Lay out rows of a model with independent residuals.

        Raises
        ------
        ValueError
            If they are not those of the fit, by their number in each group and their sums.
        """
        response, offset = rows.response(y), None
        if rows.frame is not None:
            offset = rows.frame.offset()
        response = response if offset is None else response - offset
        weights = rows.weights(sample_weight)
        # Where all weights are 1 there are none, as in fit
        given = None if rows.fitted.stats.unweighted is None else weights
        encoder, design = rows.fitted.encoder.learn(rows.table, rows.metadata, response, given)
        _check_counts(rows.fitted, encoder, design)
        stats = kernel.accumulate(design)
        if not _have_same_sums(rows.fitted.stats, stats):
            raise ValueError(
                "X, y and the weights have other sums of products than those of the fit. " + ADVICE
            )
        return FitRows(encoder, design, stats, rows.table.names, rows.table.n_columns)

    @property
    def given(self) -> SufficientStatistics:
        """The statistics of all rows."""
        return self._with_levels(self.stats)

    def counts(self, k: int) -> IntArray:
        """Return the rows of each level of factor k, (q,)."""
        return np.bincount(self.design.factors[k].codes)

    def without_each(self, k: int) -> Iterator[SufficientStatistics]:
        """Yield the statistics without each level of factor k."""
        codes = self.design.factors[k].codes
        rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(self.counts(k))[:-1])
        parts = tuple(kernel.fold_part(self.design.picked(own)) for own in rows)
        n_levels = tuple(f.n_levels for f in self.design.factors)
        for stats in FoldParts(parts, n_levels).without_each():
            yield self._with_levels(stats)

    def without(self, k: int, level: int) -> SufficientStatistics:
        """Return the statistics without one level of factor k, by a pass over the other rows."""
        others = np.flatnonzero(self.design.factors[k].codes != level)
        return self._with_levels(kernel.accumulate(self.design.picked(others)))

    def totals(self) -> FoldTotals:
        """Return the sums over the rows of each level of the only factor."""
        (factor,) = self.design.factors
        return kernel.fold_totals(self.design, factor.codes, factor.n_levels, self.stats)

    def _with_levels(self, stats: CrossProducts) -> SufficientStatistics:
        return of_levels_with_rows(self.encoder, stats, self.names, self.n_features)


def _check_counts(fitted: FittedModel, encoder: Encoder, design: Design) -> None:
    """Refuse rows that are not those of the fit, by their number in each group."""
    if design.n_rows != fitted.n_rows:
        raise ValueError(
            f"X has {design.n_rows} rows of positive weight, but the fit had {fitted.n_rows}. "
            + ADVICE
        )
    pairs = zip(fitted.encoder.factors, encoder.factors, strict=True)
    for k, (known, own) in enumerate(pairs):
        counts = np.bincount(design.factors[k].codes)
        places = known.index.get_indexer(own.index)
        if len(own.index) != len(known.index) or (places < 0).any():
            raise ValueError(
                f"The levels of {known.name!r} in X are not those of the fit. {ADVICE}"
            )
        if (fitted.stats.factors[k].counts[places] != counts).any():
            raise ValueError(
                f"X has other numbers of rows by {known.name!r} than the fit. {ADVICE}"
            )


def _have_same_sums(known: RowSums, own: RowSums) -> bool:
    """Whether rows have the products of the fit, to rounding of their numbers."""
    moved = own.over_rows().reframed(known.frame).with_responses_in(known.responses.frame)
    raw = np.concatenate([known.raw_squares, known.response_moments.raw_squares])
    mine, its = _joined(known), _joined(moved)
    # Relative to the lengths of the columns around their centers, and a little of their own
    lengths = np.sqrt(np.diagonal(mine)) + SAME_SUMS * np.sqrt(raw)
    return bool((np.abs(mine - its) <= SAME_SUMS * np.outer(lengths, lengths)).all())


def _joined(sums: RowSums) -> FloatArray:
    """Return the products of the columns and the responses, in one matrix."""
    own = sums.responses.total
    squares = np.diag(own.squares)
    return np.block([[sums.total, own.with_columns], [own.with_columns.T, squares]])
