"""How far errors of fixed effects are inflated because their columns depend on each other."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import FittedModel, fitted, formula_of
from skmixed._typing import FloatArray
from skmixed.inference._tables.table import ResultTable


def variance_inflation(model: Any) -> pd.DataFrame:
    """Tabulate the variance inflation factors of the terms of the fixed part.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        The fitted model.

    Returns
    -------
    DataFrame
        A row for each term of the formula, or for each column of a model without one, but
        for the intercept. ``n_columns``, the number of its fixed effects; ``vif``, the
        generalized variance inflation factor; ``error_factor``, by what standard errors are
        larger than without the other terms, vif^(1/(2 n_columns)); ``tolerance``, 1/vif. NaN
        for a term all of whose columns were dropped.

    Raises
    ------
    ValueError
        If the model has fewer than two terms beside an intercept.

    See Also
    --------
    skmixed.plotting.check_model : These and other checks in one figure.
    skmixed.inference.vcov : The covariance matrix that they are read off.

    Notes
    -----
    With R the correlation matrix of the estimates without the intercept, and A the columns
    of a term, B the others: vif = det(R_AA) det(R_BB) / det(R) (Fox and Monette, 1992) [1]_, as in
    performance's ``check_collinearity`` of R. It does not depend on how the factor of a term
    is coded. Terms of an interaction that are not centered inflate each other, which is no
    fault of the data. Beyond 5, or an error_factor beyond about 2.2, the data tell little of
    the term that does not come from the others.

    References
    ----------
    .. [1] Fox, J. and Monette, G. (1992). Generalized collinearity diagnostics. J. Amer.
       Statist. Assoc. 87, 178–183, doi:10.1080/01621459.1992.10475190.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_cake
    >>> from skmixed.diagnostics import variance_inflation
    >>> model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
    >>> variance_inflation(model).round(2)
                 n_columns     vif  error_factor  tolerance
    recipe               2  133.41          3.40       0.01
    temp                 1    3.00          1.73       0.33
    recipe:temp          2  156.51          3.54       0.01
    """
    view = fitted(model, has_family=True)
    found = inflation_of(model, view)
    if found is None:
        terms = ", ".join(map(repr, _terms(model, view))) or "no term"
        beside = " beside the intercept" if view.model.has_intercept else " and no intercept"
        raise ValueError(
            f"The fixed part has {terms}{beside}, and collinearity is between two terms or more."
        )
    return found


def inflation_of(model: Any, view: FittedModel) -> ResultTable | None:
    """Return the variance inflation factors, or None of fewer than two terms."""
    terms = _terms(model, view)
    if len(terms) < 2:
        return None
    kept = list(view.solution.kept)
    names = [view.encoder.fixed_names[k] for k in kept]
    shown = [k for k in range(len(names)) if not (view.model.has_intercept and kept[k] == 0)]
    covariance = np.asarray(view.solution.fixed_covariance)[np.ix_(shown, shown)]
    sd = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sd, sd)
    at = {names[k]: i for i, k in enumerate(shown)}
    rows = {}
    for term, columns in terms.items():
        own = [at[name] for name in columns if name in at]
        vif = _inflation(correlation, own)
        with np.errstate(divide="ignore"):
            rows[term] = (len(own), vif, vif ** (0.5 / max(len(own), 1)), 1.0 / vif)
    labels = ["n_columns", "vif", "error_factor", "tolerance"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=labels)
    return ResultTable.of(table, "Variance inflation factors", _remarks(table))


def _remarks(table: pd.DataFrame) -> list[str]:
    """Say with what the factor of a term of several columns is compared."""
    if not (table["n_columns"] > 1).any():
        return []
    return [
        "Of a term with several columns vif is the generalized one, which grows with their number: "
        "compare error_factor² with 5."
    ]


def _terms(model: Any, view: FittedModel) -> dict[str, list[str]]:
    """Return the columns of each term of a formula, or each column as a term."""
    estimator = formula_of(model)
    if estimator is not None:
        return dict(estimator.terms_)
    names = view.encoder.fixed_names[1:] if view.model.has_intercept else view.encoder.fixed_names
    return {name: [name] for name in names}


def _inflation(correlation: FloatArray, own: list[int]) -> float:
    """Return |R_AA| |R_BB| / |R|, by logarithms of the determinants."""
    if not own:
        return float("nan")
    others = [k for k in range(len(correlation)) if k not in own]
    parts = (correlation[np.ix_(own, own)], correlation[np.ix_(others, others)], correlation)
    of_own, of_others, of_all = (float(np.linalg.slogdet(part)[1]) for part in parts)
    return float(np.exp(of_own + of_others - of_all))
