"""Influence of whole subjects."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed.inference._tables.table import ResultTable


def subject_influence(model: Any) -> ResultTable:
    """Influence of each subject: what leaving out all of its rows changes.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted with a residual covariance that names subjects.

    Returns
    -------
    ResultTable
        One row for each subject, by its label. Columns

        n_rows
            Rows of the subject in the fit.
        leverage
            The trace of its part of the hat matrix, how far the means of its rows follow
            its responses; the sum over the subjects is the rank of X.
        cooks_distance
            (β̂₍ᵢ₎ − β̂)'X'V⁻¹X(β̂₍ᵢ₎ − β̂)/p, with β̂₍ᵢ₎ of all other subjects.
        change_<name>
            For each fixed effect: the estimate without the subject less that with it, on
            the scale of the effect; 0 for columns that were dropped.

    Raises
    ------
    ValueError
        If the model has no residual covariance with subjects, or these are not
        independent of each other.
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    influence : The same of single rows.
    group_influence : Of groups of models with independent residuals.
    skmixed.inference.coefficient_table : Robust standard errors, ``robust="CR3"``, are
        made of these changes.

    Notes
    -----
    The changes are exact with the covariances held ([1]_, [2]_): with V of a subject's rows,
    their residuals e = y − Xβ̂ and H = X(ΣX'V⁻¹X)⁻¹X'V⁻¹ of them, −(ΣX'V⁻¹X)⁻¹X'V⁻¹(I − H)⁻¹e.
    They leave out what a subject alone determines.

    References
    ----------
    .. [1] Christensen, R., Pearson, L. M. and Johnson, W. (1992). Case-deletion diagnostics
       for mixed models. Technometrics 34, 38–45, doi:10.1080/00401706.1992.10485231.
    .. [2] Preisser, J. S. and Qaqish, B. F. (1996). Deletion diagnostics for generalised
       estimating equations. Biometrika 83, 551–562, doi:10.1093/biomet/83.3.551.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor, ResidualCovariance
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import subject_influence
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    >>> model = MixedLinearRegressor(residual=residual).fit(X, y)
    >>> subject_influence(model).nlargest(2, "cooks_distance").round(3).T
    Subject                 309     337
    n_rows               10.000  10.000
    leverage              0.111   0.111
    cooks_distance        0.204   0.184
    change_(Intercept)    2.340  -2.983
    change_Days           0.513  -0.374
    """
    opened = fitted(model)
    columns = opened.encoder.subjects
    if columns is None or columns.subject is None:
        raise ValueError(
            "The model names no subjects, of which the influence is. Fit it with "
            "residual=ResidualCovariance(..., subject=...), or use influence for single rows."
        )
    found = kernel.cluster_influence(_independent(opened).repeated)
    fixed = np.zeros((len(found.n_rows), len(opened.model.fixed)))
    fixed[:, list(opened.solution.kept)] = found.changes
    own = {
        "n_rows": found.n_rows,
        "leverage": found.leverage,
        "cooks_distance": found.distance,
    }
    names = zip(opened.encoder.fixed_names, fixed.T, strict=True)
    own |= {f"change_{name}": change for name, change in names}
    table = pd.DataFrame(own, index=columns.subject.index[found.subject]).sort_index()
    return ResultTable.of(
        table, "Influence of subjects", ["The covariances are those of all rows."]
    )


def _independent(opened: FittedModel) -> FittedModel:
    """Refuse subjects that have random effects in common."""
    encoder, rows = opened.encoder, opened.rows
    assert rows is not None
    for factor, levels in zip(encoder.factors, rows.levels.T, strict=True):
        of_level = pd.Series(rows.subject).groupby(levels).nunique()
        if (of_level > 1).any():
            raise ValueError(
                f"Subjects share levels of {factor.name!r}, so that they are not independent of "
                "each other and none can be left out by itself. Use influence for single rows, or "
                f"leave {factor.name!r} out of `groups`."
            )
    return opened
