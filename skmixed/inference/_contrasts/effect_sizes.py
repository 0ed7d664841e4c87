"""Effect sizes: comparisons in units of a standard deviation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as distributions

from skmixed._fitted.checks import check_level
from skmixed.inference._contrasts.comparisons import Comparisons
from skmixed.inference._contrasts.request import Request, marginal_table, remarks_on
from skmixed.inference._contrasts.standardizer import Standardizer
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import StandardizerName


def effect_sizes(
    means: Any,
    method: Any = None,
    *,
    sigma: StandardizerName | float | Mapping[Any, float] | Sequence[float] = "residual",
    df: float | Mapping[Any, float] | Sequence[float] | None = None,
    by: str | Sequence[str] | None = None,
    level: float = 0.95,
    reference: Any = None,
    reverse: bool = False,
) -> ResultTable:
    """Return comparisons of marginal means in units of a standard deviation.

    Differences divided by a standard deviation σ of the model, as Cohen's d, with errors and
    intervals that count the error of σ. R's emmeans has them as eff_size.

    Parameters
    ----------
    means : MarginalMeans, MarginalSlopes or Comparisons
        What `marginal_means`, `marginal_slopes` or `comparisons` has returned.
    method : str, mapping or matrix, default=None
        What is compared, as in `comparisons`. None: all pairs of means or slopes; of
        comparisons these themselves.
    sigma : {"residual", "total"}, float, mapping or list, default="residual"
        "residual": the standard deviation of the residuals, of a row of weight 1; of a
        covariance of the residuals with a standard deviation for each visit or stratum that of
        each comparison, which is then by the visit or stratum. "total":
        the root of the sum of all variances, those of the random effects too. Or a number, or
        one for each value of `by`, in their order or by a mapping from values.
    df : float, mapping or list, default=None
        The degrees of freedom of `sigma`: its error is σ/√(2 df). None: those by the fit. A
        number needs its own; np.inf is that of one without error.
    by : str or list of str, default=None
        Variables within whose values means are compared. None: those of `means`.
    level : float, default=0.95
        Confidence level of the intervals.
    reference : object, default=None
        The control of ``method="trt.vs.ctrl"``, as in `comparisons`.
    reverse : bool, default=False
        Whether to turn differences of two cells round, as in `comparisons`.

    Returns
    -------
    ResultTable
        A row for each comparison: ``contrast``, the columns of the variables within which
        cells are compared, ``effect_size``, ``std_error``, ``df`` of the comparison,
        ``lower``, ``upper``. Intervals are not adjusted for the number of comparisons.

    Raises
    ------
    TypeError
        If `means` is a plain DataFrame, as it is after rounding or selecting.
    ValueError
        If the model has no such standard deviation: it is generalized, or the standard
        deviations of its residuals differ within a comparison; or if a number comes without `df`.

    See Also
    --------
    comparisons : The comparisons themselves, with tests.
    variance_decomposition : The variances that "total" is the sum of.

    Notes
    -----
    Which standard deviation is right depends on the question. "total" is that of single
    responses in the population, so that effect sizes of a design with repeated measures are
    those of one with a measurement a subject [1]_; take it to compare studies. "residual" is
    that of responses of one subject, item or class around their own mean: it says how large
    the effect is beside the noise within them, and depends on how often and how exactly was
    measured. With random slopes the variance depends on the row, and "total" has its mean
    over the rows, as `variance_decomposition`. On the scale of a function of the response,
    such as ``np.log(y)``, effect sizes are on that scale.

    With d = δ/σ the variance is Var(δ̂)/σ² + d²/(2 df), since that of log σ̂ is 1/(2 df)
    [2]_. By default df = 2 v²/Var(v̂) of the variance v = σ², from the observed information on
    the variances. Intervals are d ± t × error, t with the degrees of freedom of the
    comparison. emmeans takes in their place the least of those of the means; and where means
    have different signs, its errors (1.8.4) count the error of σ at other sizes than d.

    References
    ----------
    .. [1] Westfall, J., Kenny, D. A. and Judd, C. M. (2014). Statistical power and optimal
       design in experiments in which samples of participants respond to samples of stimuli.
       J. Exp. Psychol. Gen. 143, 2020–2045, doi:10.1037/xge0000014.
    .. [2] Hedges, L. V. (2007). Effect sizes in cluster-randomized designs. J. Educ. Behav.
       Stat. 32, 341–370, doi:10.3102/1076998606298043.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_machines
    >>> from skmixed.inference import effect_sizes, marginal_means
    >>> model = lmer("score ~ Machine + (1 | Worker)", load_machines().frame)
    >>> means = marginal_means(model, "Machine")
    >>> effect_sizes(means, sigma="total")
    Effect sizes: pairwise comparisons of Machine
     contrast  effect_size  std_error  df   lower   upper
     A - B          -1.319      0.362  46  -2.048  -0.590
     A - C          -2.304      0.581  46  -3.474  -1.134
     B - C          -0.985      0.294  46  -1.577  -0.393
    In units of the total standard deviation, 6.04, of 8.641 degrees of freedom.
    95 % confidence intervals, not adjusted.
    """
    table, level = marginal_table(means), check_level(level)
    if method is None and isinstance(table, Comparisons):
        own, title = table.estimates, table.title
    else:
        request = Request.of("pairwise" if method is None else method, reference, reverse=reverse)
        found = request.compared(table, by, level, has_ratios=False)
        own, title = found.estimates, found.title
    unit = Standardizer.of(sigma, df, own.model, own.cells[list(own.by)])
    cells = own.cells if own.of_differences is None else own.of_differences
    frame = pd.concat([cells, _sizes(own.statistics, unit, level)], axis=1)
    title = f"Effect sizes: {title[0].lower()}{title[1:]}"
    intervals = f"{100 * level:g} % confidence intervals, not adjusted."
    said = [*remarks_on(own), unit.remark, intervals]
    return ResultTable.of(frame, title, said, dict.fromkeys(own.cells.columns, "label"))


def _sizes(found: pd.DataFrame, unit: Standardizer, level: float) -> pd.DataFrame:
    """Return d = δ/σ, with the delta method's errors."""
    d = found["estimate"] / unit.sd
    error = np.sqrt((found["std_error"] / unit.sd) ** 2 + d**2 / (2.0 * unit.df))
    half = distributions.t.ppf(0.5 + level / 2.0, found["df"]) * error
    columns = {"effect_size": d, "std_error": error, "df": found["df"]}
    return pd.DataFrame({**columns, "lower": d - half, "upper": d + half})
