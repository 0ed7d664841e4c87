"""Predictions of generalized models: linear predictors, and means over effects not seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import open_prediction_metadata
from skmixed._data.row_sums import raw_column
from skmixed._data.table import Table
from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import estimable_rows, linear_predictor, open_features
from skmixed._model.family import FAMILIES, Family
from skmixed._typing import FloatArray

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
    """

    family: Family
    eta: FloatArray
    variance: FloatArray

    def mean(self) -> FloatArray:
        """Return the expected responses."""
        out = self.family.mean(self.eta)
        spread = np.flatnonzero(self.variance)
        if len(spread):
            out[spread] = self.family.averaged(self.eta[spread], self.variance[spread])
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
    _check_effects(model, effects)
    table = open_features(estimator, X, encoder, included)
    metadata = open_prediction_metadata(groups, table.n_rows, encoder, included)
    eta = linear_predictor(
        encoder,
        solution,
        table,
        metadata,
        included,
        raise_unknown=estimator.handle_unknown == "error",
    )
    estimable_rows(encoder, solution, table)
    if offset is not None:
        eta = eta + offset(table.n_rows)
    variance = _variance(model, table, metadata, included, is_mean=effects == "mean")
    return LinearRows(family_of(model), eta, variance)


def _check_effects(model: FittedModel, effects: str) -> None:
    """Refuse a distribution of the effects of several terms, whose covariance is not kept."""
    if effects == "mean" and len(model.encoder.terms) > 1:
        raise ValueError(
            f"effects='mean' is there for models with one random-effects term; this one has "
            f"{len(model.encoder.terms)}. Use effects='mode'."
        )


def _variance(
    model: FittedModel,
    table: Table,
    metadata: Metadata,
    included: tuple[int, ...],
    *,
    is_mean: bool,
) -> FloatArray:
    """Return z'Σz of each included group that is unknown; with `is_mean`, z'Cz of known ones."""
    encoder, solution = model.encoder, model.solution
    assert solution.family is not None
    out = np.zeros(table.n_rows)
    for k in included:
        codes = encoder.factors[k].codes(table, metadata)
        for i, (term, estimate) in enumerate(zip(encoder.terms, solution.terms, strict=True)):
            if term.factor != k:
                continue
            for is_known in (False, True)[: 1 + is_mean]:
                rows = np.flatnonzero((codes >= 0) == is_known)
                if not len(rows):
                    continue
                z = _columns(model, table, term.columns, rows)
                if is_known:
                    own = solution.family.covariances[i][codes[rows]]
                    out[rows] += np.einsum("na,nab,nb->n", z, own, z)
                else:
                    out[rows] += ((z @ estimate.lam) ** 2).sum(axis=1)
    return out


def _columns(model: FittedModel, table: Table, columns: tuple[int, ...], rows: Any) -> FloatArray:
    """Return the columns of a term, of some rows."""
    encoder, out = model.encoder, np.ones((len(rows), len(columns)))
    for j, column in enumerate(columns):
        if column:
            position, name = encoder.numeric[column - 1], encoder.names[column - 1]
            out[:, j] = np.asarray(raw_column(table, position, name))[rows]
    return out
