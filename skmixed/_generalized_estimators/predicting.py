"""Predictions of generalized models: means, also over effects not seen, and new responses."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import open_prediction_metadata
from skmixed._data.row_sums import raw_column
from skmixed._data.table import Table
from skmixed._estimators.sampling import EFFECTS as DRAWN_EFFECTS
from skmixed._estimators.sampling import MeanSampler
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.messages import speaking
from skmixed._fitted.prediction_rows import (
    GivenRows,
    estimable_rows,
    linear_predictor,
    open_features,
    open_rows,
    working_fit,
)
from skmixed._fitted.runtime import seed_sequence, spawned
from skmixed._generalized.quadrature import NODES_OF_MEANS, ConditionalEffects
from skmixed._generalized_estimators.reading import generalized_words
from skmixed._model.family import FAMILIES, Family
from skmixed._typing import BoolArray, FloatArray, IntArray
from skmixed.exceptions import UnknownLevelsWarning
from skmixed.typing import SampledEffects

# What stands for the effects of a known group: their mode given the data, or their distribution.
EFFECTS = ("mode", "mean")


@dataclass(frozen=True)
class LinearRows:
    """Linear predictors of rows that are normal by the effects of groups.

    Attributes
    ----------
    family : Family
    eta : (n,) array
    variance : (n,) array
        0 where all effects are given.
    known : KnownRows or None
        Rows over whose effects given the data the mean is taken by nodes.
    """

    family: Family
    eta: FloatArray
    variance: FloatArray
    known: "KnownRows | None" = None

    def mean(self) -> FloatArray:
        """Return the expected responses."""
        out = self.family.mean(self.eta)
        spread = np.flatnonzero(self.variance)
        if len(spread):
            out[spread] = self.family.averaged(self.eta[spread], self.variance[spread])
        if self.known is not None:
            out[self.known.rows] = self.known.mean(self.family, self.eta[self.known.rows])
        return out

    @property
    def is_averaged(self) -> BoolArray:
        """Whether the mean of a row is one over effects, and not that at given ones, (n,)."""
        out = self.variance > 0.0
        if self.known is not None:
            out[self.known.rows] = True
        return out


@dataclass(frozen=True)
class KnownRows:
    """Rows of known groups, with the distribution of the effects of these.

    Attributes
    ----------
    effects : ConditionalEffects
    rows : (m,) array of int
    codes : (m,) array of int
        The level of each.
    columns : (m, s) array
        Those of the term.
    """

    effects: ConditionalEffects
    rows: IntArray
    codes: IntArray
    columns: FloatArray

    def mean(self, family: Family, eta: FloatArray) -> FloatArray:
        """Return Σ p_k μ(η + z'(b_k − b̂)) for η at the mode, (m,)."""
        out = np.zeros(len(self.rows))
        for share, moved in self.effects.nodes():
            away = np.einsum("ns,ns->n", self.columns, moved[self.codes])
            out += share[self.codes] * family.mean(eta + away)
        return out

    def taken(self, chosen: BoolArray) -> "KnownRows":
        """Return some of the rows."""
        own = self.rows[chosen], self.codes[chosen], self.columns[chosen]
        return KnownRows(self.effects, *own)

    def log_mean(self, logs: Callable[[FloatArray], FloatArray], eta: FloatArray) -> FloatArray:
        """Return log Σ p_k exp f(η + z'(b_k − b̂)), (…, m), of f by `logs`.

        η, (n,), is that of all rows at the mode.
        """
        eta = eta[self.rows]
        out = np.full_like(logs(eta), -np.inf)
        if not len(eta):
            return out
        for share, moved in self.effects.nodes():
            away = np.einsum("ns,ns->n", self.columns, moved[self.codes])
            with np.errstate(divide="ignore"):
                own = np.log(share[self.codes])
            np.logaddexp(out, own + logs(eta + away), out=out)
        return out


def family_of(model: FittedModel) -> Family:
    own = model.solution.family
    assert own is not None
    return FAMILIES[own.family, own.link]


def linear_rows(
    estimator: Any, X: Any, groups: Any, include: Any, effects: str, offset: Any = None
) -> LinearRows:
    """Open X as in fit; `offset` makes of the number of rows what is added to η."""
    check_is_fitted(estimator)
    validation.check_choice("handle_unknown", estimator.handle_unknown, validation.UNKNOWN)
    validation.check_choice("effects", effects, EFFECTS)
    model: FittedModel = estimator._model
    encoder, solution = model.encoder, model.solution
    included = validation.check_include(include, encoder)
    table = open_features(estimator, X, encoder, included)
    metadata = open_prediction_metadata(groups, table.n_rows, encoder, included)
    is_strict = estimator.handle_unknown == "error"
    with speaking(generalized_words()):
        rows = encoder, solution, table, metadata, included
        eta = linear_predictor(*rows, raise_unknown=is_strict)
    is_estimable = estimable_rows(encoder, solution, table)
    if offset is not None:
        eta = eta + offset(table.n_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownLevelsWarning)  # of what has been told
        variance = _variance(model, table, metadata, included)
    known = None
    if effects == "mean" and encoder.terms:
        _check_holds_rows(model)
        if has_nodes(model):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnknownLevelsWarning)
                known = _known_rows(model, table, metadata, included)
        else:
            index = pd.RangeIndex(table.n_rows)
            given = GivenRows(
                working_fit(model), table, metadata, included, index, False, is_estimable, None
            )
            variance += joint_variance(given)
    return LinearRows(family_of(model), eta, variance, known)


def has_nodes(model: FittedModel) -> bool:
    """Return whether the effects of a group given its data are known by quadrature."""
    size = sum(len(term.columns) for term in model.encoder.terms)
    return len(model.encoder.factors) == 1 and size in NODES_OF_MEANS


def _check_holds_rows(model: FittedModel) -> None:
    """Refuse the distribution of effects given rows that are not there."""
    if model.family_rows is None:
        raise ValueError(
            "effects='mean' needs the rows of the fit, which this model does not hold: it is a "
            "slim copy, or they were more than max_held_rows of fit_chunks. Use effects='mode', "
            "or a model that holds its rows."
        )


def _known_rows(
    model: FittedModel, table: Table, metadata: Metadata, included: tuple[int, ...]
) -> KnownRows | None:
    """Return the rows of known groups of a model with one grouping factor, if it counts."""
    if not included:
        return None
    codes = model.encoder.factors[0].codes(table, metadata)
    rows = np.flatnonzero(codes >= 0)
    own = [_columns(model, table, term.columns, rows) for term in model.encoder.terms]
    effects = ConditionalEffects(model.generalized.found.mode)
    return KnownRows(effects, rows, codes[rows], np.concatenate(own, axis=1))


def _variance(
    model: FittedModel, table: Table, metadata: Metadata, included: tuple[int, ...]
) -> FloatArray:
    """Return z'Σz of each included group that is unknown, (n,)."""
    encoder, out = model.encoder, np.zeros(table.n_rows)
    for k in included:
        rows = np.flatnonzero(encoder.factors[k].codes(table, metadata) < 0)
        for term, estimate in zip(encoder.terms, model.solution.terms, strict=True):
            if term.factor == k and len(rows):
                z = _columns(model, table, term.columns, rows)
                out[rows] += ((z @ estimate.lam) ** 2).sum(axis=1)
    return out


def joint_variance(rows: GivenRows) -> FloatArray:
    """Return z'Tz of the known groups' effects given the data, of all terms together, (n,)."""
    at = rows.fitted.factorization
    return kernel.row_variance(at, rows.design()).given_fixed / at.system.weight_unit


def _columns(model: FittedModel, table: Table, columns: tuple[int, ...], rows: Any) -> FloatArray:
    """Return the columns of a term, of some rows."""
    encoder, out = model.encoder, np.ones((len(rows), len(columns)))
    for j, column in enumerate(columns):
        if column:
            position, name = encoder.numeric[column - 1], encoder.names[column - 1]
            out[:, j] = np.asarray(raw_column(table, position, name))[rows]
    return out


def sample_y(
    self: Any,
    X: Any,
    n_samples: int = 1,
    random_state: Any = 0,
    *,
    effects: SampledEffects = "conditional",
    groups: Any = None,
) -> NDArray[Any]:
    """Draw new responses for the rows of X.

    Parameters
    ----------
    X : frame or array-like of shape (n_rows, n_features)
        Samples with the columns that `fit` was given.
    n_samples : int, default=1
        The number of responses that are drawn for each row.
    random_state : int, RandomState, Generator or None, default=0
        An int gives the same samples at each call.
    effects : {"conditional", "new"}, default="conditional"
        "conditional" draws the effects of known groups, and the fixed
        effects, given the data; those of unknown groups from N(0, Σ). Of one
        grouping factor with at most three coefficients the effects have their exact
        distribution given the fixed ones, else a normal one by Laplace's
        approximation, which is off where groups have few rows.
        "new" draws all groups from N(0, Σ), as if none were known, around
        the estimated fixed effects.
    groups : array-like of shape (n_rows,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    ndarray of shape (n_rows, n_samples)
        Responses as `fit` takes them: labels of classes, or numbers. Within a sample,
        rows of one group share its effect, of an unknown group too; rows whose group is
        missing have one each.

    Raises
    ------
    ValueError
        If a parameter or X is not as above, or a group is unknown and
        ``handle_unknown="error"``, with "conditional".
    TypeError
        If a parameter is of the wrong kind.

    See Also
    --------
    skmixed.inference.confidence_intervals : Parametric bootstrap intervals.

    Notes
    -----
    "conditional" draws β from a normal distribution around its estimate, b given β and
    the data, and the response given both. With one grouping factor of at most three
    coefficients β has the inverse of the exact Hessian, and b is drawn from its
    density by rejection, in about twenty passes over the rows for each sample. With
    others, and where the rows are not held, (b, β) is normal around the modes with the
    covariance of the mixed-model equations at the weights of the mode. "new" is the
    parametric bootstrap, lme4's ``simulate(use.u = FALSE)``. In both, the variances,
    and the shape of the distribution, are taken as estimated.

    Sample j depends on `random_state` and j alone, and the responses of some first rows
    do not depend on the rows behind them.

    Examples
    --------
    >>> from skmixed import MixedGammaRegressor
    >>> X, y = [[1], [1], [1], [2], [2], [2]], [9.0, 12.0, 8.0, 2.0, 3.0, 1.0]
    >>> model = MixedGammaRegressor(0).fit(X, y)
    >>> model.sample_y([[1], [2]], 100).mean(axis=1).round(1)
    array([9.6, 2.2])
    """
    found = sampled(self, X, DrawSettings(n_samples, random_state, effects), groups=groups)
    return np.asarray(self._labels(found))


@dataclass(frozen=True)
class DrawSettings:
    """How many responses are drawn, by which numbers, and of which groups, as in `sample_y`."""

    n_samples: int
    random_state: Any
    effects: str


def sampled(
    estimator: Any,
    X: Any,
    settings: DrawSettings,
    *,
    groups: Any = None,
    offset: Callable[[int], FloatArray] | None = None,
    trials: Any = None,
) -> FloatArray:
    """Draw responses as the likelihood takes them, (n, n_samples).

    `offset` makes of the number of rows what is added to η.
    """
    check_is_fitted(estimator)
    validation.check_choice("effects", settings.effects, DRAWN_EFFECTS)
    rows = open_rows(estimator, X, groups, has_family=True)
    validation.check_draws(settings.n_samples, rows.n_rows)
    given = np.zeros(rows.n_rows) if offset is None else offset(rows.n_rows)
    own, family = rows.fitted.solution.family, rows.fitted.family
    assert own is not None
    counts = trials_of(estimator, trials, rows.n_rows)
    sampler = MeanSampler.of(rows, is_conditional=settings.effects == "conditional")
    out = np.empty((settings.n_samples, rows.n_rows))
    seeds = spawned(seed_sequence(settings.random_state), settings.n_samples)
    for sample, seed in zip(out, seeds, strict=True):
        known, noise, *new = sampler.streams(seed)
        sample[:] = given
        sampler.add_means(sample, sampler.known(known), new)
        try:
            sample[:] = family.draw(noise, sample, own.phi, counts)
        except ValueError as error:
            raise ValueError(
                f"A count with the mean exp({sample.max():.4g}) cannot be drawn: the effects that "
                "were drawn lead beyond all whole numbers. Check the variances of the model, and "
                "whether X is in the range of the rows of fit."
            ) from error
    return out.T


def trials_of(estimator: Any, trials: Any, n_rows: int) -> FloatArray:
    """Return the number of trials of each row, 1 where none is given, (n,)."""
    if trials is None:
        return np.ones(n_rows)
    if not estimator._has_trials:
        raise ValueError(
            f"sample_weight is for numbers of trials, of which a {type(estimator).__name__} has "
            "none. Leave it out."
        )
    with speaking(generalized_words()):
        counts = validation.check_weights(trials, n_rows)
    assert counts is not None
    is_whole = (counts == np.rint(counts)) & (counts > 0.0)
    if not is_whole.all():
        row = int(np.argmin(is_whole))
        raise ValueError(
            f"sample_weight is {counts[row]:g} at row {row}, which is no number of trials. Give "
            "whole numbers above 0."
        )
    return counts
