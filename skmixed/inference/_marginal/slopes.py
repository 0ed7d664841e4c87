"""Marginal slopes: averages over a reference grid of a model's derivatives by a numeric column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import fitted
from skmixed._typing import FloatArray
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._marginal.averaging import WEIGHTS, averaged, averaging_weights
from skmixed.inference._marginal.grid import (
    FormulaColumns,
    ReferenceGrid,
    check_known,
    reference_of,
)
from skmixed.inference._marginal.grid_request import GridRequest
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.marginal_table import (
    MarginalSlopes,
    check_columns,
    remarks_on,
    title_of,
    warn_not_estimable,
)
from skmixed.inference._marginal.scale import (
    LINK,
    RESPONSE,
    SCALES_OF_R,
    BackTransformation,
    Scale,
    scale_of,
)
from skmixed.typing import AveragingWeights, Ddf, Robust, SlopeScale

SCALES = (LINK, RESPONSE)
ON_RESPONSE = "Slopes of the response, at effects of 0; errors by the delta method."
COLUMNS = ("slope", "std_error", "df", "t", "p_value", "lower", "upper")


def marginal_slopes(
    model: Any,
    column: str,
    variables: str | Sequence[str] | None = None,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    weights: AveragingWeights = "equal",
    scale: SlopeScale = "link",
    ddf: Ddf | None = None,
    robust: Robust | None = None,
    level: float = 0.95,
) -> MarginalSlopes:
    """Return slopes of a model by a numeric column, with tests and intervals.

    Derivatives of the linear predictor, or of the response, at the values of some variables,
    averaged over a grid of the values of all others. R's emtrends has the same.

    Parameters
    ----------
    model : FormulaRegressor or Pipeline
        A fitted model by a formula, as of `skmixed.lmer`, `skmixed.glmer` or `skmixed.mmrm`.
    column : str
        The numeric column of the data by which the derivative is taken.
    variables : str or list of str, default=None
        The columns at whose values, and combinations of these, there is a slope. None: one
        slope over all.
    by : str or list of str, default=None
        Further columns, within whose values comparisons are made.
    at : mapping of str to value or list, default=None
        Values of columns in place of the grid's, also of `column` where the slope is not
        the same everywhere.
    weights : {"equal", "proportional", "outer", "cells", "flat"}, default="equal"
        How the combinations of the other columns count, as in `marginal_means`.
    scale : {"link", "response"}, default="link"
        "link": slopes of the linear predictor; "response": of the response, as of
        probabilities, or of y where the response is a function such as ``np.log(y)``. These
        are at an effect of 0, and are averaged on the scale of the response.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        The method for the degrees of freedom, as in `coefficient_table`; of models with a
        residual covariance also "kenward-roger-linear" and "between-within".
    robust : {"CR0", "CR2", "CR3"}, default=None
        The kind of robust standard errors, as in `coefficient_table`.
    level : float, default=0.95
        Confidence level of the intervals.

    Returns
    -------
    MarginalSlopes
        A DataFrame with a row for each slope, the first variable fastest: the variables,
        ``slope`` in units of the linear predictor, or of the response, per unit of the column,
        ``std_error``, ``df``, ``t`` (of a generalized model ``z``) and ``p_value`` of the test
        against 0, ``lower``, ``upper``. NaN, with a
        `skmixed.exceptions.NotEstimableWarning`, where the data do not determine a slope.

    Raises
    ------
    TypeError
        If the model is by no formula, or `column` is no name.
    ValueError
        If `column` is no numeric column of the fixed part, or for what `marginal_means` raises.

    Warns
    -----
    skmixed.exceptions.NotEstimableWarning
        If the data do not determine some slopes.
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.

    See Also
    --------
    marginal_means : Means over the same grid, and what it is made of.

    Notes
    -----
    Of a term that has the column itself, as ``x`` or ``x:f``, the derivative is exact. Of a
    function of it, as ``np.log(x)``, ``poly(x, 2)`` or a spline, it is a difference quotient: of
    a parabola through three points 6e-6 of the range of the column apart, or of x where all
    values have one sign. In smooth functions its error is of the order of 1e-10 of the slope.
    The points lie between the least and the largest value of the fit.

    With h the way back from the linear predictor η to the response, the slope of the response
    is h'(η) dη/dx. Its standard error is by the delta method: with the fixed effects it moves
    by h''(η) (dη/dx) x + h'(η) dx/dx. So has ``emtrends(regrid = "response")``, with numerical
    derivatives.

    Costs what `marginal_means` does.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_orthodont
    >>> from skmixed.inference import marginal_slopes
    >>> data = load_orthodont().frame
    >>> model = lmer("distance ~ age * Sex + (age | Subject)", data)
    >>> marginal_slopes(model, "age", "Sex")
    Slopes by age for each Sex
     Sex      slope  std_error  df     t  p_value   lower   upper
     Female  0.4795     0.1037  25  4.62   <0.001  0.2659  0.6932
     Male    0.7844     0.0860  25  9.12   <0.001  0.6073  0.9615
    Held: age at its mean, 11.
    t tests with Satterthwaite's degrees of freedom; 95 % confidence intervals.
    """
    level = validation.check_level(level)
    weights = validation.chosen("weights", weights, WEIGHTS)
    scale = validation.chosen("scale", scale, SCALES, SCALES_OF_R)
    formula, asked = reference_of(model), GridRequest.of(variables, by, at)
    _check_column(formula, column)
    asked = replace(asked, column=column)
    view = fitted(model, has_family=True)
    back = scale_of(view, formula, scale).back
    grid = ReferenceGrid.of(formula, asked)
    check_columns(asked.targets, COLUMNS)
    tests, cells = open_tests(model, ddf, robust), grid.target_cells
    shares = averaging_weights(grid, weights)
    by_column = formula.slopes(column, grid.cells), formula.offset_slopes(column, grid.cells)
    said = remarks_on(grid, weights, averaged(shares, by_column[1]), column)
    if back is not None:
        by_column = _of_response(back, view.solution.fixed, (grid.rows, grid.offset), by_column)
    rows, offset = (averaged(shares, part) for part in by_column)
    on = "" if back is None else ON_RESPONSE
    tests = tests if back is None else replace(tests, link="")
    own = LinearEstimates(cells, rows, offset, tests, asked.by, level, said, view, on)
    warn_not_estimable(own, own.undetermined, "slopes", weights)
    found = own.statistics.rename(columns={"estimate": COLUMNS[0]})[list(COLUMNS)]
    frame = pd.concat([cells, found], axis=1)
    if tests.is_generalized:
        frame = frame.rename(columns={"t": "z"})
    title = title_of(f"Slopes by {column} for each", asked)
    remarks = [*own.said, tests.remark(level)]
    return MarginalSlopes.from_estimates(frame, title, remarks, own, Scale())


def _of_response(
    back: BackTransformation,
    fixed: FloatArray,
    at: tuple[FloatArray, FloatArray],
    by_column: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Return slopes of the response as linear functions L of β at its estimate, and the rest.

    `at`: rows x of X and offsets at the cells; `by_column`: their derivatives, all of them 0 in
    the columns that were dropped. With η_x the slope of η, that of h(η) is h'(η) η_x, of which
    the derivative by β is L = h''(η) η_x x + h'(η) x_x; the rest is what is left beside Lβ.
    """
    eta, slope = (rows @ fixed + offset for rows, offset in (at, by_column))
    first, second = back.slope(eta), back.bend(eta)
    own = (second * slope)[:, None] * at[0] + first[:, None] * by_column[0]
    return own, first * slope - own @ fixed


def _check_column(formula: FormulaColumns, column: Any) -> None:
    """Refuse what is no numeric column of the fixed part."""
    if not isinstance(column, str):
        raise TypeError(
            f"column={column!r} is of type {type(column).__name__}. Name one numeric column of the "
            "data."
        )
    check_known(formula, [column], "column")
    if formula.is_factor(column):
        raise ValueError(
            f"column={column!r} is a factor in the formula, which has no slope. Take its "
            "marginal_means, and their differences."
        )
    if formula.is_date(column):
        raise ValueError(
            f"column={column!r} holds dates, of which there is no derivative. Make a number of "
            "them before the fit, such as days since the first."
        )
