"""Effects of new groups, and of groups with new rows, without a new fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import _num_samples

from skmixed._data.encoder import Encoder, EncoderUnion
from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import open_prediction_metadata, weights_not_labels
from skmixed._data.table import open_checked
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted, served
from skmixed._fitted.messages import FEW_ROWS
from skmixed._fitted.runtime import ForkedLock
from skmixed._fitted.subject_checks import check_further_rows
from skmixed._repeated.rows import RepeatedRows
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._typing import IntArray

E = TypeVar("E")

# An update builds on the one before. A child process forked meanwhile has no other thread.
one_at_a_time = ForkedLock()


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

    The random effects become those that the rows of the fit and all rows
    given here determine, at the fit's fixed effects and variances.
    `predict` and `random_effects_` know them; calls add up.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Further rows, none of which the fit has seen, with the columns of
        `fit`. Groups may be new in any factor.
    y : array-like of shape (n_samples,)
        The response of each sample.
    sample_weight : array-like of shape (n_samples,), default=None
        Precision weights, in the unit of those of `fit`; None: all 1.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    MixedLinearRegressor
        The estimator itself. A failure leaves it as it was.

    Raises
    ------
    ValueError
        If the model has no random effects, X does not match that of `fit`,
        there are no rows, or a group, a number or a response is missing.

    See Also
    --------
    skmixed.MixedLinearRegressor.partial_fit : Estimates everything anew.

    Notes
    -----
    Solves (Λ'Z'WZΛ + I)u = Λ'Z'W(y − Xβ̂), b̂ = Λu, over all rows, through
    their cross-products: the equations of [1]_, the fixed effects given.
    A nested model changes within the outermost groups that have new rows,
    a crossed one wherever groups are connected. A new group's effect is its
    mean residual, shrunken as one of the fit's would be.

    Fixed effects, variances, the criterion and every statistic of the fit
    stay what they were: rows given here are not part of it. `fit` and
    `partial_fit` forget them. Nothing here notices a population that has
    changed: refit when the new rows are many.

    Costs the new rows, and a pass over the groups. Calls from several threads
    take turns, so that none is lost.

    References
    ----------
    .. [1] Henderson, C. R. (1975). Best linear unbiased estimation and prediction
       under a selection model. Biometrics 31, 423–447, doi:10.2307/2529430.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> known = X["Subject"] != "372"
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> model = model.fit(X[known], y[known])
    >>> last = X[X["Subject"] == "372"].tail(1)
    >>> model.predict(last).round(1)
    array([344.3])
    >>> first = X[X["Subject"] == "372"].head(3)
    >>> model.update_groups(first, y[first.index]).predict(last).round(1)
    array([368.5])
    """
    own: Any = self
    at_fit = fitted(own)
    check_random_effects(at_fit.encoder)
    with one_at_a_time:
        before = served(own)
        encoder, stats, rows = _with_rows(own, before, X, y, sample_weight, groups)
        validation.check_range(encoder, stats)
        if rows is not None:
            own._model = _with_repeated(at_fit, encoder, stats, rows)
            return self
        validation.check_memory(encoder, stats, at_fit.model)
        solution = kernel.updated(at_fit.solution, at_fit.model, at_fit.stats, stats)
        own._model = at_fit.with_rows(encoder, stats, solution)
    return self


def _with_repeated(
    at_fit: FittedModel, encoder: Encoder, stats: CrossProducts, rows: RepeatedRows
) -> FittedModel:
    """Return the fit with all rows of a model with a residual covariance."""
    assert encoder.subjects is not None
    assert at_fit.encoder.subjects is not None
    encoder = replace(encoder, subjects=encoder.subjects.after(at_fit.encoder.subjects))
    if at_fit.solution.residual is None:
        raise ValueError(FEW_ROWS)
    check_further_rows(encoder, at_fit.solution.residual, rows)
    model = at_fit.with_rows(encoder, stats, at_fit.solution, rows)
    solution = kernel.repeated_effects(model.repeated, at_fit.solution)
    return at_fit.with_rows(encoder, stats, solution, rows)


def check_random_effects(encoder: Encoder) -> None:
    """Refuse a model that has no groups."""
    if not encoder.all_factors:
        raise ValueError(
            "The model has no random effects (groups=None), and so no groups to update. Name "
            "grouping columns in `groups`, or refit to all rows."
        )


def _with_rows(
    estimator: Any, before: FittedModel, X: Any, y: Any, sample_weight: Any, groups: Any
) -> tuple[Encoder, CrossProducts, RepeatedRows | None]:
    """Return the labels, the sums and, if kept, the rows of all, the further ones included."""
    check_has_rows(X)
    table = open_checked(X, estimator, reset=False)
    response = validation.check_response(y, table.n_rows, estimator)
    weights = validation.check_weights(sample_weight, table.n_rows)
    metadata = open_all_metadata(before.encoder, groups, table.n_rows)
    part, design = before.encoder.learn(table, metadata, response, weights)
    union = EncoderUnion.of(before.encoder)
    places = union.take(part)
    stats = products_with(before, design, places, union)
    n = len(design.factors)
    rows, encoder = before.rows, before.encoder.with_levels_of(union.joined())
    if rows is not None and part.subjects is not None and design.subjects is not None:
        subjects = part.subjects.renumbered(design.subjects, places[n:])
        further = RepeatedRows.of(design).renumbered(places[:n], subjects)
        rows = RepeatedRows.joined([rows, further])
    return encoder, stats, rows


def products_with(
    before: FittedModel, design: Design, places: Sequence[IntArray], union: EncoderUnion
) -> CrossProducts:
    """Return the sums of the rows before and of further ones, with the levels of both."""
    # Squares that overflow are found in the result, where they can be named.
    with np.errstate(over="ignore", invalid="ignore"):
        n = len(design.factors)
        return kernel.with_rows(before.stats, design, places[:n], union.n_levels)


def check_has_rows(X: Any) -> None:
    """Refuse no rows."""
    if _num_samples(X) == 0:
        raise ValueError(
            "X has no rows, from which update_groups could learn. Call it with rows only; without "
            "new ones the effects are what they were."
        )


def open_all_metadata(encoder: Encoder, groups: Any, n_rows: int) -> Metadata:
    """Open the grouping columns given beside X, of all factors."""
    if groups is None and encoder.uses_metadata:
        names = [s.name for f in encoder.factors for s in f.sources if s.position is None]
        raise ValueError(
            f"The model was fitted with groups beside X ({', '.join(map(repr, names))}): pass "
            "groups= with the new rows too."
        )
    included = tuple(range(len(encoder.factors)))
    return open_prediction_metadata(groups, n_rows, encoder, included)
