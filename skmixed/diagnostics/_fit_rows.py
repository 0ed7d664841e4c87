"""The rows of the fit, given again: laid out as in the fit, and refused where they are others."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from skmixed.diagnostics._family_rows import FamilyRows

# How far products of the same rows may be apart, relative to the lengths of their columns: text
# files keep seven digits at least.
SAME_SUMS = 1e-6
ADVICE = "Give all rows that the model was fitted to, with their weights."


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
    def of(rows: GivenRows, y: Any, sample_weight: Any, advice: str = ADVICE) -> "FitRows":
        """Lay out rows of a linear model with independent residuals.

        Raises
        ------
        ValueError
            If they are not those of the fit, by their numbers in each group and their sums.
        """
        return FitRows.laid_out(rows, _response(rows, y), rows.weights(sample_weight), advice)

    @staticmethod
    def laid_out(
        rows: GivenRows, response: FloatArray, weights: FloatArray, advice: str = ADVICE
    ) -> "FitRows":
        """Lay out rows with the response that is in the sums of the fit."""
        known = rows.fitted.stats
        # Where all weights are 1 there are none, as in fit
        given = None if known.unweighted is None else weights
        encoder, design = rows.fitted.encoder.learn(rows.table, rows.metadata, response, given)
        places = _places_of_levels(rows.fitted, encoder, design, advice)
        stats = kernel.accumulate(design)
        if not _have_same_sums(known, stats, places):
            raise ValueError(
                f"X, y and the weights have other sums of products than those of the fit. {advice}"
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


def _response(rows: GivenRows, y: Any) -> FloatArray:
    """Return the response of a linear model less its offset, (n,)."""
    response, offset = rows.response(y), None if rows.frame is None else rows.frame.offset()
    return response if offset is None else response - offset


def _places_of_levels(
    fitted: FittedModel, encoder: Encoder, design: Design, advice: str
) -> list[IntArray]:
    """Return which level of the fit each level is, of each factor.

    Refuse rows that are not those of the fit, by their number in each group.
    """
    if design.n_rows != fitted.n_rows:
        raise ValueError(
            f"X has {design.n_rows} rows of positive weight, but the fit had {fitted.n_rows}. "
            + advice
        )
    out = []
    pairs = zip(fitted.encoder.factors, encoder.factors, strict=True)
    for k, (known, own) in enumerate(pairs):
        counts = np.bincount(design.factors[k].codes)
        places = known.index.get_indexer(own.index)
        if len(own.index) != len(known.index) or (places < 0).any():
            raise ValueError(
                f"The levels of {known.name!r} in X are not those of the fit. {advice}"
            )
        if (fitted.stats.factors[k].counts[places] != counts).any():
            raise ValueError(
                f"X has other numbers of rows by {known.name!r} than the fit. {advice}"
            )
        out.append(places)
    return out


def _have_same_sums(known: CrossProducts, own: CrossProducts, places: list[IntArray]) -> bool:
    """Whether rows have the products of the fit, to rounding of their numbers.

    Over all rows, and over those of each level: `places` are their numbers in the fit.
    """
    moved = replace(own, pairs=()).in_frame_of(replace(known, pairs=()))
    raw = np.concatenate([known.raw_squares, known.response_moments.raw_squares])
    mine, its = _joined(known), _joined(moved)
    # Relative to the lengths of the columns around their centers, and a little of their own
    lengths = np.sqrt(np.diagonal(mine)) + SAME_SUMS * np.sqrt(raw)
    if not (np.abs(mine - its) <= SAME_SUMS * np.outer(lengths, lengths)).all():
        return False
    return all(_are_same_by_level(known, moved, k, at, lengths) for k, at in enumerate(places))


def _are_same_by_level(
    known: CrossProducts, moved: CrossProducts, k: int, places: IntArray, lengths: FloatArray
) -> bool:
    """Whether rows have the products of the fit within each level of factor k."""
    factor, own = known.factors[k], moved.factors[k].products
    # |Σ_j w f e| ≤ |f_j||e|, of the level's columns f and all rows' e; f with some rounding
    squares = np.diagonal(known.own_products(k), axis1=1, axis2=2)[places]
    size = known.raw_squares[list(factor.columns)] / known.sum_weights
    of_level = np.sqrt(np.maximum(squares, 0.0))
    of_level += SAME_SUMS * np.sqrt(own[:, :1, 0] * size)
    most = SAME_SUMS * of_level[:, :, None] * lengths
    return bool((np.abs(factor.products[places] - own) <= most).all())


def _joined(sums: RowSums) -> FloatArray:
    """Return the products of the columns and the responses, in one matrix."""
    own = sums.responses.total
    squares = np.diag(own.squares)
    return np.block([[sums.total, own.with_columns], [own.with_columns.T, squares]])


def check_is_fit(rows: GivenRows, y: Any, sample_weight: Any, advice: str = ADVICE) -> None:
    """Refuse rows of a linear model that are not those of the fit.

    All of them, by their sums, where the residuals are independent: a fit keeps nothing else.
    With a residual covariance, of which the rows are kept, some will do.
    """
    if not rows.fitted.is_repeated:
        FitRows.of(rows, y, sample_weight, advice)
        return
    own = rows.fitted.repeated_predictor.model.design.rows
    place = places_in_fit(rows, rows.weights(sample_weight))
    given = np.column_stack([_response(rows, y), *rows.fitted.encoder.numeric_columns(rows.table)])
    known = np.column_stack([own.response, own.columns])
    is_other = np.abs(given - known[place]) > SAME_SUMS * np.abs(known).max(axis=0, initial=0.0)
    other = np.flatnonzero(is_other.any(axis=1) & (place >= 0))
    if len(other):
        raise ValueError(
            f"Row {other[0]} of X has other values, or another response, than the row of the fit "
            f"of its subject and time. {advice}"
        )


def places_in_fit(rows: GivenRows, weights: FloatArray) -> IntArray:
    """Return which row of the fit each row is, by subject and time or by the order of rows.

    Of a model with a residual covariance; −1 of a row of weight 0.

    Raises
    ------
    ValueError
        If one is not of the fit.
    """
    predictor, whole = rows.fitted.repeated_predictor, replace(rows, is_all=True)
    found, own = predictor.same(whole.new_rows()), predictor.model.design.rows
    kept = weights > 0
    if (found[kept] < 0).all() and np.count_nonzero(kept) == own.n_rows:
        numeric = rows.fitted.encoder.numeric_columns(rows.table)
        columns = np.stack([np.ones(rows.n_rows), *numeric], axis=1)[kept, 1:]
        is_same = (columns == own.columns).all(axis=1)
        found[kept] = np.where(is_same, np.arange(own.n_rows), -1)
    other = np.flatnonzero(kept & (found < 0))
    if len(other):
        raise ValueError(
            f"Row {other[0]} of X is not a row of the fit, of which leverages and influences are. "
            "Give the rows that the model was fitted to, in their order."
        )
    return np.where(kept, found, -1)


def check_is_family_fit(found: FamilyRows) -> None:
    """Refuse rows of a generalized model that are not those of the fit, by their sums."""
    FitRows.laid_out(found.given, found.response, found.weights)
    own = found.given.fitted.solution.family
    assert own is not None
    # Σ w o, Σ w o² and Σ w o y of what is known of η
    known, o = found.weights * found.offset, found.offset
    sums = np.array([known.sum(), known @ o, known @ found.response])
    if own.offsets[3] > 0.0 and (np.abs(sums - own.offsets[:3]) > SAME_SUMS * own.offsets[3]).any():
        raise ValueError(f"exposure has other sums than that of the fit. {ADVICE}")
