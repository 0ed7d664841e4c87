"""Fitting to rows that come in parts: chunks, batches, statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from skmixed._data.chunks import has_rows, named, numbered, opened, progress_bar
from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import own_name_of, weights_not_labels
from skmixed._data.table import Table, open_checked, open_table
from skmixed._fitted.checks import check_parameters, check_terms
from skmixed._fitted.fitting import committed, estimate_from, specification
from skmixed._fitted.reader import Intake
from skmixed._fitted.sufficient_statistics import SufficientStatistics, check_same_columns

E = TypeVar("E")


def fit_chunks(self: E, chunks: Iterable[Any]) -> E:
    """Fit to rows that come chunk by chunk, in one pass.

    The estimates are those of `fit` on all rows together, however they are
    cut and ordered. Grouping columns are columns of X; their levels are
    learned on the way, and come in order of appearance.

    Parameters
    ----------
    chunks : iterable of (X, y) or (X, y, sample_weight)
        Each is read once, and may be dropped or overwritten when the next
        one is asked for. Columns are matched by name, where X has names.
        Chunks without rows are skipped.

    Returns
    -------
    MixedLinearRegressor
        The estimator itself. A failure, also of the source, leaves it as it
        was.

    Raises
    ------
    ValueError, TypeError
        As in `fit`, with the number of the chunk; the first is chunk 0. An
        error of the source passes through, with a note that says where.

    See Also
    --------
    partial_fit : Adds rows to those seen, with estimates after each call.
    statistics : Reduces rows without a fit, for sums over machines.
    skmixed.distributed.fit_dask : The same over a Dask dataframe.

    Notes
    -----
    Costs per chunk what its own rows cost, however many groups and chunks
    there are, and memory for the statistics, some three times, and for as
    many rows as there are groups. With ``verbose=1`` tqdm shows the rows
    and groups seen.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> chunks = ((X[i : i + 50], y[i : i + 50]) for i in range(0, 180, 50))
    >>> model = MixedLinearRegressor("Subject", random_slopes=["Days"])
    >>> round(model.fit_chunks(chunks).criterion_, 4)
    1743.6283
    """
    return committed(self, lambda own: _commit(own, _of_chunks(own, chunks)))


@weights_not_labels
def partial_fit(
    self: E,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    groups: Any = None,
) -> E:
    """Add rows to those seen, and estimate anew.

    Starts empty, or continues after `fit`, `fit_chunks`, `fit_statistics`
    or `partial_fit`; the estimates are those of `fit` on all rows so far.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Further rows, with the columns of those before.
    y : array-like of shape (n_samples,)
        The response of each sample.
    sample_weight : array-like of shape (n_samples,), default=None
        The precision weight of each sample.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns that are given beside X.

    Returns
    -------
    MixedLinearRegressor
        The estimator itself. A failure leaves it as it was.

    Raises
    ------
    ValueError, TypeError
        As in `fit`, or if the columns are not those of the rows before.

    Warns
    -----
    IdentifiabilityWarning
        While the rows do not determine the variances, such as when each has
        a group of its own: they are kept, variances are 0, and `converged_`
        is False.

    See Also
    --------
    fit_chunks : One fit to all chunks, at the end.
    update_groups : New rows for the groups' effects alone.

    Notes
    -----
    Costs what the new rows and the number of groups cost, whatever the
    number of rows before. The search starts from the variances before.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes=["Days"])
    >>> model = model.fit(X[:100], y[:100]).partial_fit(X[100:], y[100:])
    >>> round(model.criterion_, 4)
    1743.6283
    """
    before = vars(self)
    return committed(self, lambda own: _add(own, before, X, y, sample_weight, groups))


@weights_not_labels
def statistics(
    self: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    groups: Any = None,
) -> SufficientStatistics:
    """Reduce rows to what a fit reads of them, without a fit.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Numeric and grouping columns, as in `fit`.
    y : array-like of shape (n_samples,)
        The response of each sample.
    sample_weight : array-like of shape (n_samples,), default=None
        The precision weight of each sample.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns that are given beside X.

    Returns
    -------
    SufficientStatistics
        They add by ``+``, also where the rows may not leave their machine.
        The estimator does not change.

    Raises
    ------
    ValueError, TypeError
        As in `fit`.

    See Also
    --------
    fit_statistics : Fits to them.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_pastes
    >>> X, y = load_pastes(return_X_y=True)
    >>> stats = MixedLinearRegressor(["batch", "sample"], fixed=[]).statistics(X, y)
    >>> stats.n_rows, stats.n_levels
    (60, {'batch': 10, 'sample': 30})
    """
    check_parameters(self)
    intake = Intake(specification(self), type(self).__name__)
    intake.add(open_table(X, self), y, sample_weight, groups, is_last=True)
    return intake.statistics()


def fit_statistics(self: E, stats: SufficientStatistics) -> E:
    """Fit to statistics of rows, which need not be at hand.

    Parameters
    ----------
    stats : SufficientStatistics
        Of all rows: a sum of what `statistics` has made of them with the
        same `groups`, `random_slopes` and `fixed`.

    Returns
    -------
    MixedLinearRegressor
        The estimator itself. A failure leaves it as it was.

    Raises
    ------
    ValueError
        If the statistics lack what the parameters ask for, or make no model.
    TypeError
        If `stats` is of another type.

    See Also
    --------
    statistics : Makes them of rows.

    Notes
    -----
    Costs what a fit costs after its pass over the rows.

    Examples
    --------
    Two sites sum up their rows; where the sums meet, a model is fitted to them
    by REML, and then by maximum likelihood:

    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> stats = model.statistics(X[:70], y[:70]) + model.statistics(X[70:], y[70:])
    >>> round(model.fit_statistics(stats).criterion_, 4)
    1743.6283
    >>> round(model.set_params(method="ml").fit_statistics(stats).criterion_, 4)
    1751.9393
    """
    if not isinstance(stats, SufficientStatistics):
        raise TypeError(
            f"stats is of type {type(stats).__name__}. Give SufficientStatistics, as "
            "`statistics` makes them of rows."
        )
    return committed(self, lambda own: _commit(own, _adapted(own, stats)))


def _of_chunks(model: Any, chunks: Iterable[Any]) -> SufficientStatistics:
    check_parameters(model)
    intake = Intake(specification(model), type(model).__name__)
    with progress_bar(model.verbose) as show:
        for number, chunk in numbered(chunks):
            with named(f"chunk {number} (counted from 0)"):
                X, y, sample_weight = opened(chunk)
                if not has_rows(X):
                    continue
                table = open_table(X, model)
                intake.add(table, y, sample_weight, None)
                model._response_name = own_name_of(y)
            show(table.n_rows, intake.n_levels)
    return intake.statistics()


def _add(
    model: Any, before: dict[str, Any], X: Any, y: Any, sample_weight: Any, groups: Any
) -> None:
    """Fit a model to further rows beside those that it had before, if any."""
    model.__dict__.update(before)
    check_parameters(model)
    is_first = "_model" not in vars(model)
    table = open_checked(X, model, y, reset=is_first)
    known = None if is_first else _known(model, table)
    intake = Intake(specification(model), type(model).__name__, known)
    intake.add(table, y, sample_weight, groups, is_last=True)
    stats = intake.statistics()
    if is_first:
        model._response_name = own_name_of(y)
    estimate_from(model, stats, may_wait=True)


def _commit(model: Any, stats: SufficientStatistics) -> None:
    model.n_features_in_ = stats.n_features
    if stats.feature_names is not None:
        model.feature_names_in_ = np.asarray(stats.feature_names, dtype=object)
    estimate_from(model, stats)


def _adapted(model: Any, stats: SufficientStatistics) -> SufficientStatistics:
    """Give statistics the terms that this estimator's parameters ask for."""
    check_parameters(model)
    table = Table(_no_column, stats.feature_names, stats.n_rows, stats.n_features)
    sources = [s for factor in stats.encoder.factors for s in factor.sources]
    metadata = Metadata({s.name: () for s in sources if s.position is None})
    # A selector has chosen when the rows were there.
    is_known = callable(model.fixed) or model.residual is not None
    chosen = _chosen(stats) if is_known else None
    planned = specification(model).plan(table, metadata, chosen)
    check_terms(planned)
    check_same_columns(stats.encoder, planned)
    return replace(stats, encoder=planned.with_levels_of(stats.encoder))


def _known(model: Any, table: Table) -> SufficientStatistics:
    """Open what was fitted; that `table` has its columns is checked."""
    fit = model._model.at_fit
    return SufficientStatistics(fit.encoder, fit.stats, table.names, table.n_columns, fit.rows)


def _chosen(stats: SufficientStatistics) -> list[int]:
    """Return the positions of the columns with a fixed effect."""
    encoder = stats.encoder
    return [encoder.numeric[c - 1] for c in encoder.fixed if c]


def _no_column(_position: int) -> Any:
    raise LookupError("Statistics have no rows.")
