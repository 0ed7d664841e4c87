"""Marginal means: averages of a model's predictions over the cells of a reference grid."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._marginal.averaging import WEIGHTS, averaged, averaging_weights
from skmixed.inference._marginal.grid import (
    FormulaColumns,
    ReferenceGrid,
    reference_of,
)
from skmixed.inference._marginal.grid_request import GridRequest
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.marginal_table import (
    MarginalMeans,
    check_columns,
    remarks_on,
    title_of,
    warn_not_estimable,
)
from skmixed.inference._marginal.population import in_any_cell, link_of, over_population
from skmixed.inference._marginal.scale import (
    POPULATION,
    SCALES,
    SCALES_OF_R,
    InverseLink,
    Scale,
    scale_of,
)
from skmixed.typing import AveragingWeights, Ddf, Robust, ScaleName

COLUMNS = ("mean", "std_error", "df", "lower", "upper")


def marginal_means(
    model: Any,
    variables: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: AveragingWeights = "equal",
    ddf: Ddf | None = None,
    robust: Robust | None = None,
    scale: ScaleName = "link",
    level: float = 0.95,
) -> MarginalMeans:
    """Return marginal means of a model by a formula, with errors and intervals.

    Means of the response at the values of some variables, for the population of all groups:
    averages of Xβ over a grid of the values of all other variables. R's emmeans has the same.

    Parameters
    ----------
    model : FormulaRegressor or Pipeline
        A fitted model by a formula, as of `skmixed.lmer`, `skmixed.glmer` or `skmixed.mmrm`.
    variables : str or list of str
        The columns of the data at whose values, and combinations of these, there is a mean.
        An empty list is one mean over all.
    by : str or list of str, default=None
        Further columns. The means are the same as in `variables`; comparisons of them are
        within each value of these.
    at : mapping of str to value or list, default=None
        Values of columns in place of the grid's: levels of factors, numbers.
    weights : {"equal", "proportional", "outer", "cells", "flat"}, default="equal"
        How the combinations of the other columns count in an average: alike; by the weights of
        their rows, or of those of each value as if the columns were independent; by the weights
        of the rows that are in each cell; or alike where there are any.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        The method for the degrees of freedom, as in `coefficient_table`; of models with a
        residual covariance also "kenward-roger-linear" and "between-within".
    robust : {"CR0", "CR2", "CR3"}, default=None
        The kind of robust standard errors, as in `coefficient_table`.
    scale : {"link", "response", "population"}, default="link"
        "link": that of the linear predictor. "response": the means and their limits on the
        scale of the link, or of a function such as ``np.log(y)`` of the response, transformed
        back; standard errors by the delta method. "population", for generalized models: means
        of the response over the distribution of the random effects.
    level : float, default=0.95
        Confidence level of the intervals.

    Returns
    -------
    MarginalMeans
        A DataFrame with a row for each mean, the first variable fastest: the variables,
        ``mean``, ``std_error``, ``df``, ``lower``, ``upper``. NaN, with a
        `skmixed.exceptions.NotEstimableWarning`, where the data do not determine a mean, such
        as that of a combination that was not observed in a model with interactions.

    Raises
    ------
    TypeError
        If the model is by no formula.
    ValueError
        If a variable or a level is not known, a numeric variable of the table has no values,
        or the grid has more than 10,000 cells.

    Warns
    -----
    skmixed.exceptions.NotEstimableWarning
        If the data do not determine some means.
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.

    See Also
    --------
    marginal_slopes : Slopes by a numeric column, over the same grid.
    contrast : Tests of any combinations of the fixed effects.

    Notes
    -----
    The grid [1]_ has all levels of factors, booleans, and numbers coded as factors; other
    numbers are at their mean over the rows of the fit, or at both values where there are but
    two. Rows of weight 0 do not count. An offset is at its mean over the rows unless
    `variables` or `at` name one of its columns. In the weights of cells a row counts its weight,
    of counts ``cbind(a, b)`` 1. A factor each of whose levels occurs with one level of another is
    nested in it: averages are over its levels within each level of the other.

    "population" integrates the inverse link over the normal distribution of z'b, b of a new
    group and z at the cell, exactly or to 1e-13, and averages over cells on the scale of the
    response. Its standard errors count those of the variances, too, by the information on all
    parameters; limits are found on the scale of the link. Where a grid averages over nothing,
    it is the marginal mean of a population-averaged model; "response" is the response of a
    group whose effects are 0.

    A model keeps for this the combinations of levels that were observed, and no rows. Costs
    what `coefficient_table` does, and the columns of X at each cell.

    References
    ----------
    .. [1] Searle, S. R., Speed, F. M. and Milliken, G. A. (1980). Population marginal means in
       the linear model: an alternative to least squares means. The American Statistician 34,
       216–221, doi:10.1080/00031305.1980.10483031.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_cake
    >>> from skmixed.inference import marginal_means
    >>> model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
    >>> marginal_means(model, "recipe")
    Marginal means of recipe
     recipe   mean  std_error  df  lower  upper
     A       33.12       1.74  42  29.62  36.63
     B       31.64       1.74  42  28.14  35.15
     C       31.60       1.74  42  28.09  35.11
    Held: temp at its mean, 200.
    t tests with Satterthwaite's degrees of freedom; 95 % confidence intervals.
    >>> means = marginal_means(model, "recipe", by="temp", at={"temp": [175, 225]})
    >>> means[["recipe", "temp", "mean"]].round(2)
      recipe   temp   mean
    0      A  175.0  29.28
    1      B  175.0  27.53
    2      C  175.0  27.70
    3      A  225.0  36.97
    4      B  225.0  35.76
    5      C  225.0  35.50

    Probabilities of patients with an effect of 0, and of all patients:

    >>> from skmixed import glmer
    >>> from skmixed.datasets import load_toenail
    >>> data = load_toenail().frame
    >>> model = glmer("severe ~ treated * visit + (1 | patient)", data, "binomial")
    >>> for scale in ("response", "population"):
    ...     means = marginal_means(model, "treated", at={"visit": 7}, scale=scale)
    ...     print(means["mean"].round(5).tolist())
    [0.00083, 0.00016]
    [0.0818, 0.04285]
    """
    level = validation.check_level(level)
    weights = validation.chosen("weights", weights, WEIGHTS)
    scale = validation.chosen("scale", scale, SCALES, SCALES_OF_R)
    formula, asked = reference_of(model), GridRequest.of(variables, by, at)
    view = fitted(model, has_family=True)
    own_scale = scale_of(view, formula, scale)
    if scale == POPULATION:
        asked = replace(asked, has_random=True)
    grid = ReferenceGrid.of(formula, asked)
    check_columns(asked.targets, COLUMNS)
    tests, cells = open_tests(model, ddf, robust), grid.target_cells
    shares = averaging_weights(grid, weights)
    rows, offset = averaged(shares, grid.rows), averaged(shares, grid.offset)
    on, said = _linear_remark(view, formula, own_scale), remarks_on(grid, weights, offset)
    own = LinearEstimates(cells, rows, offset, tests, asked.by, level, said, view, on)
    is_averaged = scale == POPULATION
    undetermined = in_any_cell(tests, grid, shares) if is_averaged else own.undetermined
    warn_not_estimable(own, undetermined, "means", weights)
    if is_averaged:
        own = over_population(view, grid, shares, own, undetermined)
    frame = pd.concat([cells, _on_scale(own, own_scale, view)], axis=1)
    remarks = [_scale_remark(own_scale, view) or on, *said, _tests_remark(own, view)]
    title = title_of("Marginal means of", asked)
    return MarginalMeans.from_estimates(frame, title, remarks, own, own_scale)


def _on_scale(own: LinearEstimates, scale: Scale, view: FittedModel) -> pd.DataFrame:
    """Return the columns of the means."""
    found = own.statistics.rename(columns={"estimate": COLUMNS[0]})[list(COLUMNS)]
    mean, error, _, lower, upper = (found[name].to_numpy() for name in COLUMNS)
    if scale.back is not None:
        error = error * np.abs(scale.back.slope(mean))
        mean, lower, upper = (scale.back.inverse(values) for values in (mean, lower, upper))
        lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
    elif scale.name == POPULATION:
        # Around η of the mean, where the limits stay within what means may be
        back = InverseLink(view.family)
        eta = link_of(view.family, mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            half = (upper - mean) / back.slope(eta)
            limits = back.inverse(eta - half), back.inverse(eta + half)
        # A mean that is 0 or 1 to all digits has no η
        lower, upper = (np.where(np.isinf(eta), mean, limit) for limit in limits)
    return found.assign(mean=mean, std_error=error, lower=lower, upper=upper)


def _scale_remark(scale: Scale, view: FittedModel) -> str:
    """Say from where the means were transformed back."""
    what = "the link " if view.is_generalized else ""
    return "" if scale.back is None else f"Transformed back from {what}{scale.back.name}."


def _linear_remark(view: FittedModel, formula: FormulaColumns, scale: Scale) -> str:
    """Say what the linear estimates are on, where that is not plain; else ""."""
    if scale.name == POPULATION:
        return "Means of the response over the random effects; errors count those of the variances."
    if view.is_generalized:
        return f"On the scale of the link ({view.family.link_name})."
    made = formula.response
    return f"On the scale of {made}." if made else ""


def _tests_remark(own: LinearEstimates, view: FittedModel) -> str:
    """Say by which method the degrees of freedom and the intervals are."""
    if not view.is_generalized:
        return own.tests.remark(own.level)
    link = view.family.link_name
    return f"{100.0 * own.level:g} % confidence intervals, found on the scale of the link ({link})."
