"""Linear models without each level of a grouping factor, from the rows of the fit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._estimation.fit import Estimate
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.fitting import fit_statistics
from skmixed._fitted.messages import dropped
from skmixed._fitted.prediction_rows import GivenRows
from skmixed._fitted.sufficient_statistics import SufficientStatistics, of_levels_with_rows
from skmixed._folds.products import FoldParts
from skmixed._model.terms import Model
from skmixed._statistics.design import Design
from skmixed._statistics.row_sums import RowSums
from skmixed._typing import FloatArray, Message

# How far products of the same rows may be apart, relative to the lengths of their columns: text
# files keep seven digits at least.
SAME_SUMS = 1e-6


class Way(Protocol):
    """A way from the statistics without a group to estimates."""

    def __call__(self, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
        """Return the estimates, and what they have to say."""


@dataclass(frozen=True)
class FitRows:
    """The rows of the fit, as plain arrays; with the encoder that has their levels."""

    encoder: Encoder
    design: Design
    names: Any
    n_features: int

    @staticmethod
    def of(rows: GivenRows, y: Any, sample_weight: Any) -> "FitRows":
        response, offset = rows.response(y), None
        if rows.frame is not None:
            offset = rows.frame.offset()
        response = response if offset is None else response - offset
        weights = rows.weights(sample_weight)
        # Where all weights are 1 there are none, as in fit
        given = None if rows.fitted.stats.unweighted is None else weights
        encoder, design = rows.fitted.encoder.learn(rows.table, rows.metadata, response, given)
        _check_is_fit(rows.fitted, encoder, design)
        return FitRows(encoder, design, rows.table.names, rows.table.n_columns)

    def without_each(self, k: int) -> Iterator[SufficientStatistics]:
        """Yield the statistics without each level of factor k."""
        codes = self.design.factors[k].codes
        ends = np.cumsum(np.bincount(codes))[:-1]
        rows = np.split(np.argsort(codes, kind="stable"), ends)
        parts = tuple(kernel.fold_part(self.design.picked(own)) for own in rows)
        n_levels = tuple(f.n_levels for f in self.design.factors)
        for stats in FoldParts(parts, n_levels).without_each():
            yield of_levels_with_rows(self.encoder, stats, self.names, self.n_features)


def _check_is_fit(fitted: FittedModel, encoder: Encoder, design: Design) -> None:
    """Refuse rows that are not those of the fit, by their number in each group."""
    advice = "Give the rows that the model was fitted to, with their weights."
    if design.n_rows != fitted.n_rows:
        raise ValueError(
            f"X has {design.n_rows} rows of positive weight, but the fit had {fitted.n_rows}. "
            + advice
        )
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
    if not _have_same_sums(fitted.stats, kernel.accumulate(design)):
        raise ValueError(
            "X, y and the weights have other sums of products than those of the fit. " + advice
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


def _refit(regressor: Any, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
    estimate, _, messages = fit_statistics(
        regressor, given, before=None, may_wait=False, is_again=True
    )
    return estimate, messages


def _held(fitted: FittedModel, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
    """Hold all variances, σ² too."""
    whole = fitted.solution
    estimate = kernel.estimate_at(given.products, _model(fitted, given), fitted.estimate)
    own = estimate.solution
    root = own.fixed_root * (whole.sigma / own.sigma)
    held = replace(estimate, solution=replace(own, fixed_root=root, sigma=whole.sigma))
    return held, _lost(fitted, held, given)


def _stepped(fitted: FittedModel, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
    model = _model(fitted, given)
    stepped = kernel.estimate_after_step(given.products, model, fitted.estimate)
    return stepped, _lost(fitted, stepped, given)


def _lost(fitted: FittedModel, own: Estimate, given: SufficientStatistics) -> list[Message]:
    """Name the columns that depend on others, where all rows tell more of them apart."""
    is_same = own.solution.kept == fitted.solution.kept
    return [] if is_same else list(dropped(own, given.encoder))


def _model(fitted: FittedModel, given: SufficientStatistics) -> Model:
    model = given.encoder.model(reml=fitted.solution.reml)
    validation.check_memory(given.encoder, given.products, model)
    return model


# By the name of `theta`: of the regressor, whose parameters a fit has, and of the fit.
WAYS: dict[str, Callable[[Any, FittedModel], Way]] = {
    "refit": lambda regressor, _: partial(_refit, regressor),
    "fixed": lambda _, fitted: partial(_held, fitted),
    "one_step": lambda _, fitted: partial(_stepped, fitted),
}
