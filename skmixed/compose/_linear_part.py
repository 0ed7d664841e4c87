"""Linear effects beside a regressor: what the other columns say of them is taken out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy import stats as distributions
from sklearn.base import clone

from skmixed._data.random_effect import RandomEffect
from skmixed._data.table import Table, numeric_column
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._fitted.fitting import estimate_from, specification
from skmixed._fitted.reader import Intake
from skmixed._typing import FloatArray
from skmixed.compose._effect_rows import EffectRows
from skmixed.compose._out_of_fold import OutOfFold
from skmixed.exceptions import UndeterminedError
from skmixed.inference import coefficient_table
from skmixed.typing import CovarianceName

# What rounding leaves of a column that others determine, in its standard deviations.
NOTHING = 1e-8


def linear_columns(table: Table, positions: Sequence[int]) -> FloatArray:
    """Return the columns, (n, p)."""
    columns = [np.asarray(numeric_column(table.get(j), table.label(j))) for j in positions]
    return np.stack(columns, axis=1)


def slopes_of(models: Sequence[MixedLinearRegressor]) -> FloatArray:
    """Return the linear effects by models of several divisions into folds: medians, (p,)."""
    return np.asarray(np.median([np.asarray(m.fixed_effects_)[1:] for m in models], axis=0))


def combined(models: Sequence[MixedLinearRegressor]) -> pd.DataFrame:
    """Return the table of the linear effects by models of several divisions into folds.

    The estimate is the median β̂ of the β̂ᵣ, and its variance the median of
    Var(β̂ᵣ) + (β̂ᵣ − β̂)², so that what depends on the folds counts, as in [1]_.

    Parameters
    ----------
    models : sequence of MixedLinearRegressor

    References
    ----------
    .. [1] Emmenegger, C. and Bühlmann, P. (2023). Plug-in machine learning for partially
       linear mixed-effects models with repeated measurements. Scand. J. Stat. 50(4),
       1553–1567, doi:10.1111/sjos.12639.
    """
    tables = [coefficient_table(model).iloc[1:] for model in models]
    estimates, errors, dfs = (
        np.array([np.asarray(own[name], dtype=np.float64) for own in tables])
        for name in ("estimate", "std_error", "df")
    )
    beta, df = np.median(estimates, axis=0), np.median(dfs, axis=0)
    error = np.sqrt(np.median(errors**2 + (estimates - beta) ** 2, axis=0))
    statistic, half = beta / error, error * distributions.t.ppf(0.975, df)
    found = {
        "estimate": beta,
        "std_error": error,
        "df": df,
        "t": statistic,
        "p_value": 2 * distributions.t.sf(np.abs(statistic), df),
        "lower": beta - half,
        "upper": beta + half,
    }
    return pd.DataFrame(found, index=tables[0].index)


def fit_linear_part(
    rows: EffectRows,
    table: Table,
    positions: Sequence[int],
    learned: OutOfFold,
    response: FloatArray,
    weights: FloatArray | None,
    groups: Any,
) -> MixedLinearRegressor:
    """Fit y − E[y|W] = (D − E[D|W])β + Zb + ε, the expectations out of fold [1]_.

    W are the columns of the regressor. β is estimated as by a linear mixed model; the
    errors of the expectations enter only by their products.

    Parameters
    ----------
    rows : EffectRows
        Which have the random effects.
    table : Table
    positions : sequence of int
        The columns D.
    learned : OutOfFold
        By folds of whole groups.
    response : (n,) array
    weights : (n,) array or None
    groups : object
        Grouping columns beside X.

    References
    ----------
    .. [1] Emmenegger, C. and Bühlmann, P. (2023). Plug-in machine learning for partially
       linear mixed-effects models with repeated measurements. Scand. J. Stat. 50(4),
       1553–1567, doi:10.1111/sjos.12639.
    """
    columns = linear_columns(table, positions)
    for j, own in zip(positions, columns.T, strict=True):
        if np.ptp(own) == 0:
            raise ValueError(
                f"Column {table.label(j)!r} of `linear` is constant ({own[0]:g}). Take it out."
            )
    rest = [own - learned.predictions(own) for own in columns.T]
    for j, own, left in zip(positions, columns.T, rest, strict=True):
        if np.std(left) <= NOTHING * np.std(own):
            raise UndeterminedError(
                f"The columns of `regressor` determine column {table.label(j)!r} of `linear`, so "
                "that it has no effect of its own. Take it out, or the columns that make it."
            )
    residual = response - learned.predictions(response)
    model = _by_position(rows)
    n = table.n_columns
    model.fixed = list(range(n, n + len(positions)))
    wider = _with_columns(table, positions, rest)
    model.n_features_in_, model.feature_names_in_ = wider.n_columns, np.array(wider.names, object)
    intake = Intake(specification(model), type(model).__name__)
    intake.add(wider, residual, weights, groups, is_last=True)
    estimate_from(model, intake.statistics())
    return model


def _with_columns(table: Table, positions: Sequence[int], rest: Sequence[FloatArray]) -> Table:
    """Put what is left of columns behind all others, under their names.

    Slopes that vary between groups keep the columns as they are.
    """
    n = table.n_columns
    names = [table.label(j) for j in range(n)]
    for j in positions:
        names[j] += " as given"
    return replace(
        table,
        get=lambda j: rest[j - n] if j >= n else table.get(j),
        names=(*names, *map(table.label, positions)),
        n_columns=n + len(positions),
        matrix=None,
    )


def _by_position(rows: EffectRows) -> MixedLinearRegressor:
    """Return the model of the effects, unfitted, with columns by their positions from the left."""
    encoder, model = rows.given.encoder, clone(rows.mixed)
    if model.groups is None:
        slopes = {encoder.numeric[c - 1] for term in encoder.terms for c in term.columns if c}
        return model.set_params(random_slopes=sorted(slopes) or None)
    effects = []
    for term in encoder.terms:
        sources = encoder.factors[term.factor].sources
        effects.append(
            RandomEffect(
                tuple(s.name if s.position is None else s.position for s in sources),
                slopes=[encoder.numeric[c - 1] for c in term.columns if c],
                intercept=0 in term.columns,
                covariance=cast(CovarianceName, term.structure.name),
            )
        )
    return model.set_params(groups=effects, random_slopes=None)
