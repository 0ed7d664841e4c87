"""Generalized models of rows in chunks, of a source that is read again, and of further rows."""

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
from skmixed._data.table import open_checked, open_table
from skmixed._estimators.updating import (
    check_has_rows,
    check_random_effects,
    one_at_a_time,
    open_all_metadata,
    products_with,
)
from skmixed._estimators.weights import weights_not_labels
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted, served
from skmixed._fitted.fitting import committed
from skmixed._fitted.messages import speaking
from skmixed._fitted.reader import Intake
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._generalized.pooling import RowPool
from skmixed._generalized.rows import GeneralizedRows
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
    ordered. Rows that are equal but for the response are pooled on the way, so that
    data of few different rows may be of any size. Grouping columns are columns of X;
    their levels are learned on the way, and come in order of appearance.

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
        The most rows to hold once equal ones are pooled; each takes some 600 bytes.

    Returns
    -------
    GeneralizedEstimator
        The estimator itself. A failure, also of the source, leaves it as it was.

    Raises
    ------
    ValueError, TypeError
        As in `fit`, with the number of the chunk; the first is chunk 0. Or if the source
        can be read once only. An error of the source passes through, with a note that
        says where.
    MemoryError
        If the rows to hold are more than `max_held_rows`.

    Notes
    -----
    Rows that are equal in X, groups and exposure are one row with the sum of the weights
    and, of classes, proportions and Poisson's counts, the mean of the response; other
    responses need to be equal too. Where no two rows are equal, as with a column of
    measurements, all of them are held.

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
    read, reader = open_source(source, columns.target), estimator._reader()
    pool = RowPool(reader.family, int(max_held_rows))
    with speaking(generalized_words()):
        statistics = _read(estimator, read(), columns, reader, pool)
        is_reversed = reader.finish(estimator)
        rows = _held(pool, statistics, is_reversed=is_reversed)
        encoder = statistics.encoder
        estimator.n_features_in_ = statistics.n_features
        if statistics.feature_names is not None:
            estimator.feature_names_in_ = np.asarray(statistics.feature_names, dtype=object)
        n_levels = [factor.n_levels for factor in encoder.factors]
        own = [encoder.factor_columns(k) for k in range(len(n_levels))]
        fit_rows(estimator, statistics, rows.design(reader.family, n_levels, own), rows)


def _read(
    estimator: Any, chunks: Any, columns: ChunkColumns, reader: TargetReader, pool: RowPool
) -> SufficientStatistics:
    """Read the chunks: their statistics, and their rows to the pool."""
    intake = Intake(specification(estimator), type(estimator).__name__)
    with progress_bar(estimator.verbose) as show:
        for number, chunk in numbered(chunks):
            with named(f"chunk {number} (counted from 0)"):
                X, y, sample_weight, exposure = columns.split(chunk)
                if not (has_rows(X) or has_rows(y)):
                    continue
                table = open_table(X, estimator)
                part, n = f"chunk {number}", table.n_rows
                target = reader.read(y, sample_weight, exposure, n, part=part)
                design = intake.take(table, target.response, target.weights, None)
                if design is not None:
                    pool.add(target.beside(design, reader.family))
            show(table.n_rows, intake.n_levels)
    return intake.statistics()


def _held(pool: RowPool, statistics: SufficientStatistics, *, is_reversed: bool) -> GeneralizedRows:
    """Return the pooled rows, of which the response is 1 − y if `is_reversed`."""
    rows = pool.rows()
    if rows is None:
        raise MemoryError(
            f"Of the {statistics.n_rows} rows more than max_held_rows={pool.most} remain where "
            "equal ones are pooled. Round columns of X to fewer different values, leave out those "
            "that the model does not need, or raise max_held_rows."
        )
    return replace(rows, response=1.0 - rows.response) if is_reversed else rows


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
    assert before.family_rows is not None
    rows = GeneralizedRows.joined([before.family_rows, further])
    return before.encoder.with_levels_of(union.joined()), stats, rows
