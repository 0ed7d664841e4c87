"""Generalized models of rows in chunks, of a source that is read again, and of further rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from skmixed._data.chunks import (
    ChunkColumns,
    has_rows,
    named,
    numbered,
    open_source,
    progress_bar,
)
from skmixed._data.encoder import Encoder, EncoderUnion
from skmixed._data.metadata import own_name_of, weights_not_labels
from skmixed._data.table import Table, open_checked, open_table
from skmixed._estimators.updating import (
    check_has_rows,
    check_random_effects,
    one_at_a_time,
    open_all_metadata,
    products_with,
)
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted, served
from skmixed._fitted.fitting import committed
from skmixed._fitted.messages import speaking
from skmixed._fitted.reader import Intake
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._generalized.pooling import RowPool
from skmixed._generalized.rows import GeneralizedDesign, GeneralizedRows, StreamedRows
from skmixed._generalized_estimators.reading import (
    ResponseToModel,
    TargetReader,
    check_parameters,
    fit_rows,
    generalized_words,
    log_exposure,
    specification,
)
from skmixed._statistics.cross_products import CrossProducts

E = TypeVar("E")

# Rows that a fit holds unless told otherwise: some 1.2 GB with few columns.
MOST_ROWS = 2_000_000
SAME = "Give a source that has the same rows each time that it is read."


def fit_chunks(
    self: E,
    source: Any,
    *,
    target: str | None = None,
    sample_weight: str | None = None,
    max_held_rows: int = MOST_ROWS,
) -> E:
    """Fit to rows that come chunk by chunk.

    The estimates are those of `fit` on all rows together, however they are cut and
    ordered. Equal rows are pooled on the way; if few remain they are held in memory,
    and else the rows are read again for each step of the search. Grouping columns are
    columns of X; their levels are learned on the way, and come in order of appearance.

    Parameters
    ----------
    source : str, path, data set, Dask dataframe, list or callable
        A Parquet file or folder, a ``pyarrow.dataset.Dataset``, a Dask dataframe, a list
        of chunks, or a function without arguments that returns a new iterator of chunks
        each time. Chunks are frames with the column `target`, or without `target` pairs
        (X, y) or (X, y, sample_weight); those without rows are skipped.
    target : str, default=None
        The column of the response, where chunks are frames; all columns that are not
        named here are those of X.
    sample_weight : str, default=None
        The column of sample weights.
    max_held_rows : int, default=2000000
        The most rows to hold in memory once equal ones are pooled; each takes some 600
        bytes. Where more remain the source is read again for each step.

    Returns
    -------
    GeneralizedEstimator
        The estimator itself. A failure, also of the source, leaves it as it was.

    Raises
    ------
    ValueError, TypeError
        As in `fit`, with the number of the chunk; the first is chunk 0. If the source
        can be read once only, or has other rows when it is read again. Of rows that are
        too many to hold, if `quadrature` is not 1. An error of the source passes
        through, with a note that says where.

    Notes
    -----
    Rows that are equal in X, groups and exposure are one row with the sum of the weights
    and, of classes, proportions and Poisson's counts, the mean of the response; other
    responses need to be equal too.

    Rows that are not held take memory for a chunk, and for the sums of a step: products
    of the columns over the rows of each group and of each two that meet. `n_passes_` says
    how often they were read.

    Examples
    --------
    >>> from skmixed import MixedLogisticClassifier
    >>> from skmixed.datasets import load_toenail
    >>> X, y = load_toenail(return_X_y=True)
    >>> chunks = [(X[i : i + 500], y[i : i + 500]) for i in range(0, len(X), 500)]
    >>> model = MixedLogisticClassifier("patient").fit_chunks(chunks)
    >>> round(model.log_likelihood_, 4) == round(model.fit(X, y).log_likelihood_, 4)
    True
    """
    columns = ChunkColumns(target, sample_weight)
    return committed(self, lambda own: fit_to_chunks(own, source, columns, max_held_rows))


def fit_to_chunks(estimator: Any, source: Any, columns: ChunkColumns, max_held_rows: int) -> None:
    """Fit an estimator to the rows of a source, and publish the results; warn last."""
    check_parameters(estimator)
    validation.check_number("max_held_rows", max_held_rows, integral=True)
    columns.check()
    chunked = ChunkedRows(estimator, open_source(source, columns.target), columns)
    pool = RowPool(chunked.reader.family, int(max_held_rows))
    with speaking(generalized_words()):
        statistics = chunked.learn(pool)
        estimator.n_features_in_ = statistics.n_features
        if statistics.feature_names is not None:
            estimator.feature_names_in_ = np.asarray(statistics.feature_names, dtype=object)
        encoder, rows = statistics.encoder, pool.rows()
        own = [encoder.factor_columns(k) for k in range(len(encoder.factors))]
        if rows is not None:
            rows = chunked.oriented(rows)
            n_levels = [factor.n_levels for factor in encoder.factors]
            fit_rows(estimator, statistics, rows.design(pool.family, n_levels, own), rows)
            return
        _check_streamed(estimator, statistics, pool)
        sample = chunked.oriented(pool.take_sample())
        n_levels = [int(codes.max()) + 1 for codes in sample.levels.T]
        given = sample.design(pool.family, n_levels, own)
        fit_rows(estimator, statistics, chunked.streamed(pool), None, given)


def _check_streamed(estimator: Any, statistics: SufficientStatistics, pool: RowPool) -> None:
    """Refuse what needs rows in memory."""
    if estimator.quadrature != 1:
        raise ValueError(
            f"quadrature={estimator.quadrature!r} needs the rows in memory, but of the "
            f"{statistics.n_rows} rows more than max_held_rows={pool.most} remain where equal ones "
            "are pooled. Use quadrature=1, Laplace's approximation, or raise max_held_rows."
        )


class ChunkedRows:
    """The rows of a source of chunks, which are read again and again.

    Parameters
    ----------
    estimator : GeneralizedEstimator
        Whose parameters say what of them is read.
    read : callable
        Returns the chunks, from the first one.
    columns : ChunkColumns
    """

    def __init__(
        self, estimator: Any, read: Callable[[], Iterable[Any]], columns: ChunkColumns
    ) -> None:
        self.estimator, self.columns, self._read = estimator, columns, read
        self.reader: TargetReader = estimator._reader()
        self.intake = Intake(specification(estimator), type(estimator).__name__)
        self.is_reversed = False

    def learn(self, pool: RowPool) -> SufficientStatistics:
        """Read the rows for the first time: their statistics, and the rows to the pool."""
        with progress_bar(self.estimator.verbose) as show:
            for where, table, target in self._chunks():
                with named(where):
                    design = self.intake.take(table, target.response, target.weights, None)
                    if design is not None:
                        pool.add(target.beside(design, self.reader.family))
                show(table.n_rows, self.intake.n_levels)
        statistics = self.intake.statistics()
        self.is_reversed = self.reader.finish(self.estimator)
        return statistics

    def oriented(self, rows: GeneralizedRows) -> GeneralizedRows:
        """Return rows whose proportions are of the second class."""
        return replace(rows, response=1.0 - rows.response) if self.is_reversed else rows

    def streamed(self, pool: RowPool) -> StreamedRows:
        """Return the rows as such that are read each time."""
        assert pool.totals is not None
        n_rows, n_levels = pool.totals.n_rows, self.intake.n_levels
        return StreamedRows(pool.family, pool.totals, lambda: self._again(n_rows, n_levels), 1)

    def _again(self, n_rows: int, n_levels: list[int]) -> Iterator[GeneralizedDesign]:
        """Read the rows again, which must be those of the first time."""
        n = 0
        for where, table, target in self._chunks():
            with named(where):
                design = self.intake.laid_out(table, target.response, target.weights, None)
                if self.intake.n_levels != n_levels:
                    raise ValueError(f"there are levels that were not there before. {SAME}")
            if design is not None:
                n += design.n_rows
                if self.is_reversed:
                    design = design.with_responses(1.0 - design.responses[0])
                yield target.beside(design, self.reader.family)
        if n != n_rows:
            raise ValueError(f"The source gave {n_rows} rows at first, and now {n}. {SAME}")

    def _chunks(self) -> Iterator[tuple[str, Table, ResponseToModel]]:
        """Go over the chunks that have rows: where each is, its columns of X, and its response."""
        for number, chunk in numbered(self._read()):
            where = f"chunk {number} (counted from 0)"
            with named(where):
                X, y, sample_weight, exposure = self.columns.split(chunk)
                if not (has_rows(X) or has_rows(y)):
                    continue
                table = open_table(X, self.estimator)
                self.estimator._response_name = own_name_of(y)
                part, n = f"chunk {number}", table.n_rows
                target = self.reader.read(y, sample_weight, exposure, n, part=part)
            yield where, table, target


@weights_not_labels
def update_groups(
    self: E,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    groups: Any = None,
) -> E:
    """Learn the effects of new or grown groups, with the model kept.

    The random effects become the modes that the rows of the fit and all rows given here
    determine, at the fit's fixed effects, variances and shape. Predictions and
    `random_effects_` know them; calls add up.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Further rows, none of which the fit has seen, with the columns of
        `fit`. Groups may be new in any factor.
    y : array-like of shape (n_samples,)
        The response of each sample, as in `fit`.
    sample_weight : array-like of shape (n_samples,), default=None
        How often each sample counts, or numbers of trials, as in `fit`.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    GeneralizedEstimator
        The estimator itself. A failure leaves it as it was.

    Raises
    ------
    ValueError
        If the model has no random effects, X does not match that of `fit`,
        there are no rows, or a group, a number or a response is missing or is none
        of the distribution's.

    Notes
    -----
    One search for the mode over all rows, as each evaluation of the likelihood in `fit`
    makes it. Fixed effects, variances, the criterion and every statistic of the fit stay
    what they were. `fit` forgets the rows given here.

    Examples
    --------
    A patient of whom nothing was known, and then three visits:

    >>> from skmixed import MixedLogisticClassifier
    >>> from skmixed.datasets import load_toenail
    >>> X, y = load_toenail(return_X_y=True)
    >>> own = X["patient"] == "11"
    >>> model = MixedLogisticClassifier("patient").fit(X[~own], y[~own])
    >>> last = X[own].tail(1)
    >>> model.predict_proba(last)[:, 1].round(3)
    array([0.052])
    >>> model.update_groups(X[own].head(3), y[own].head(3)).predict_proba(last)[:, 1].round(3)
    array([0.116])
    """
    update_with(self, X, y, sample_weight, groups, None)
    return self


def update_with(
    estimator: Any, X: Any, y: Any, sample_weight: Any, groups: Any, exposure: Any
) -> None:
    """Learn the modes of the effects from further rows."""
    at_fit = fitted(estimator, has_family=True)
    check_random_effects(at_fit.encoder)
    with one_at_a_time, speaking(generalized_words()):
        before = served(estimator, has_family=True)
        encoder, stats, rows = _with_rows(estimator, before, X, y, sample_weight, groups, exposure)
        validation.check_range(encoder, stats)
        validation.check_memory(encoder, stats, at_fit.model)
        model = at_fit.with_rows(encoder, stats, at_fit.solution, family_rows=rows)
        solution = kernel.generalized_effects(model.generalized, at_fit.solution)
        estimator._model = at_fit.with_rows(encoder, stats, solution, family_rows=rows)


def _with_rows(
    estimator: Any,
    before: FittedModel,
    X: Any,
    y: Any,
    sample_weight: Any,
    groups: Any,
    exposure: Any,
) -> tuple[Encoder, CrossProducts, GeneralizedRows]:
    """Return the labels, the sums and the rows of all, the further ones included."""
    check_has_rows(X)
    table = open_checked(X, estimator, reset=False)
    weights = validation.check_weights(sample_weight, table.n_rows)
    response = estimator._response(y, table.n_rows)
    target = ResponseToModel(response, weights, log_exposure(exposure, table.n_rows))
    metadata = open_all_metadata(before.encoder, groups, table.n_rows)
    part, design = before.encoder.learn(table, metadata, response, weights)
    union = EncoderUnion.of(before.encoder)
    places = union.take(part)
    stats = products_with(before, design, places, union)
    further = GeneralizedRows.of(target.beside(design, before.family)).renumbered(places)
    rows = GeneralizedRows.joined([before.held_rows, further])
    return before.encoder.with_levels_of(union.joined()), stats, rows
