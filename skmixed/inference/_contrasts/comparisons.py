"""Comparisons of marginal means and slopes, adjusted to their number."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from skmixed._fitted.checks import check_level, chosen
from skmixed._fitted.runtime import seed_sequence
from skmixed.inference._contrasts.adjusted import adjusted_statistics, adjustment_remark
from skmixed.inference._contrasts.adjustment import ADJUSTMENTS, ADJUSTMENTS_OF_R, Adjustment
from skmixed.inference._contrasts.methods import ContrastMethod
from skmixed.inference._contrasts.request import Compared, Request, marginal_table, remarks_of
from skmixed.inference._marginal.marginal_table import MarginalTable
from skmixed.typing import AdjustmentName

AUTO = "auto"


class Comparisons(MarginalTable):
    """Comparisons of means or of slopes, as `comparisons` returns them.

    A DataFrame with a row for each comparison: ``contrast``, the columns of the variables
    within which cells are compared, ``estimate``, ``std_error``, ``df``, ``t``, ``p_value``,
    ``lower`` and ``upper``.
    """


def comparisons(
    means: Any,
    method: Any = "pairwise",
    *,
    adjust: AdjustmentName | None = "auto",
    by: str | Sequence[str] | None = None,
    level: float = 0.95,
    reference: Any = None,
    reverse: bool = False,
    random_state: Any = 0,
) -> Comparisons:
    """Compare marginal means or slopes, adjusted to the number of comparisons.

    R's emmeans has the same as ``contrast`` and ``pairs``.

    Parameters
    ----------
    means : MarginalMeans, MarginalSlopes or Comparisons
        What `marginal_means`, `marginal_slopes` or `comparisons` has returned. Comparisons of
        comparisons are differences of differences, the contrasts of an interaction.
    method : str, mapping or matrix, default="pairwise"
        What is compared:

        - "pairwise": all pairs, the first less the second;
        - "trt.vs.ctrl": each less a control, `reference`;
        - "consecutive": each less the one before it;
        - "eff" and "del.eff": each less the mean of all, or of all others;
        - "mean_chg": the mean of those after each place less that of those before it;
        - "helmert": each times the number of those before it, less the sum of these;
        - "poly": orthogonal polynomials of equidistant values, to the sixth degree;
        - a mapping from names to weights, for each a sequence with a number for each mean, or a
          mapping from means to numbers, where what is not named is 0;
        - a matrix of shape (n_comparisons, n_means), or a DataFrame with names in its index
          and means in its columns.

        A mean is named by its label, or by its value, or by several as a tuple or a mapping
        from variables to values.
    adjust : str or None, default="auto"
        How p values and intervals are adjusted to the number of comparisons: "tukey" for all
        pairs, "dunnettx" and "dunnett" for differences from a control, "mvt", "holm",
        "bonferroni", "sidak", "scheffe", "fdr_bh", or None. "auto": emmeans' choice for the
        method, "tukey", "dunnettx", "mvt", "fdr_bh", "mvt", None and None in the order above;
        None for weights. Names of R are heard, too: "fdr" and "BH", "none".
    by : str or list of str, default=None
        Variables within whose values means are compared, and to whose number of comparisons
        the adjustment is. None: those of `means`. An empty list: all are compared.
    level : float, default=0.95
        Confidence level of the intervals, which hold together for those of one family.
    reference : object, default=None
        The control of "trt.vs.ctrl": a label, a value, or several as a tuple or a mapping from
        variables to values. None: the first.
    reverse : bool, default=False
        Whether to turn differences of two means round.
    random_state : int, RandomState, Generator or None, default=0
        For "mvt" and "dunnett", whose p values are drawn.

    Returns
    -------
    Comparisons
        A DataFrame with a row for each comparison: ``contrast``, the variables of `by`,
        ``estimate``, ``std_error``, ``df``, ``t``, ``p_value``, ``lower``, ``upper``. Of a
        generalized model ``z`` in place of ``t``. Of means on the scale of the response whose
        link is a logarithm or a logit ``ratio`` or ``odds_ratio`` in place of ``estimate``.
        NaN, with a remark, where the data do not determine a comparison.

    Raises
    ------
    TypeError
        If `means` is a plain DataFrame, as it is after rounding or selecting.
    ValueError
        If a name, a mean or the number of weights does not fit, or if an adjustment is for
        other comparisons.

    See Also
    --------
    effect_sizes : Comparisons in units of a standard deviation.
    joint_tests : Tests of all comparisons at once.
    contrast : Tests of any combinations of the fixed effects.

    Notes
    -----
    Of m comparisons of a family that are adjusted together, with p values p and tests t of
    df degrees of freedom, each by its own df:

    - "bonferroni" m p, "sidak" 1 − (1 − p)ᵐ, "holm" [1]_ and "fdr_bh" [2]_ by steps, the
      last for the rate of false discoveries;
    - "tukey": the studentized range, exact for independent means of one variance [3]_;
    - "mvt": the largest of correlated t, exact for any comparisons whose degrees of freedom
      are alike. "dunnett" is the same, and "dunnettx" emmeans' approximation of it;
    - "scheffe": an F distribution, for all comparisons that there are in as many dimensions.

    Intervals by steps are Bonferroni's. Comparisons that the data do not determine count.

    "mvt" is one integral where correlations are products, as those of differences from one
    control of independent means [4]_. Else it averages over directions that are drawn until p
    values have a standard error of 4e-5, or of 4e-4 of larger ones, for twenty means in half a
    second; with thirty and more it stays at some 1e-4. emmeans
    takes df as a whole number in it, and finds the quantiles of "tukey" and "dunnettx" to
    1e-4 and 5e-4; else the numbers are the same. It replaces "tukey" by "sidak" where it does
    not apply, which here is an error.

    References
    ----------
    .. [1] Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scand. J.
       Stat. 6, 65–70.
    .. [2] Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate: a
       practical and powerful approach to multiple testing. J. R. Stat. Soc. B 57, 289–300,
       doi:10.1111/j.2517-6161.1995.tb02031.x.
    .. [3] Hsu, J. C. (1996). Multiple Comparisons: Theory and Methods. Chapman & Hall,
       London.
    .. [4] Dunnett, C. W. (1955). A multiple comparison procedure for comparing several
       treatments with a control. J. Am. Stat. Assoc. 50, 1096–1121,
       doi:10.1080/01621459.1955.10501294.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_machines
    >>> from skmixed.inference import comparisons, marginal_means
    >>> model = lmer("score ~ Machine + (1 | Worker)", load_machines().frame)
    >>> means = marginal_means(model, "Machine")
    >>> comparisons(means)
    Pairwise comparisons of Machine
     contrast  estimate  std_error  df       t  p_value   lower   upper
     A - B        -7.97       1.05  46   -7.56   <0.001  -10.52   -5.41
     A - C       -13.92       1.05  46  -13.21   <0.001  -16.47  -11.36
     B - C        -5.95       1.05  46   -5.65   <0.001   -8.50   -3.40
    t tests with Satterthwaite's degrees of freedom; 95 % confidence intervals.
    P values and intervals are adjusted by Tukey's method for comparing 3 means.
    >>> half = {"A against both": {"A": 1, "B": -0.5, "C": -0.5}}
    >>> comparisons(means, half)[["contrast", "estimate", "std_error"]].round(2)
             contrast  estimate  std_error
    0  A against both    -10.94       0.91
    """
    table, level = marginal_table(means), check_level(level)
    request = Request.of(method, reference, reverse=reverse)
    adjustment = adjustment_of(adjust, request.method)
    seed = seed_sequence(random_state)
    found = request.compared(table, by, level)
    statistics = adjusted_statistics(found, adjustment, seed)
    frame = pd.concat([found.estimates.cells, _on_scale(found, statistics)], axis=1)
    remarks = *remarks_of(found, level), adjustment_remark(found, adjustment)
    return Comparisons.from_estimates(frame, found.title, remarks, found.estimates, found.scale)


def adjustment_of(adjust: Any, method: ContrastMethod | None) -> Adjustment | None:
    """Return the adjustment of a name, or of a method the usual one; None for none."""
    adjust = chosen("adjust", adjust, (AUTO, *ADJUSTMENTS, None), ADJUSTMENTS_OF_R)
    if adjust == AUTO:
        adjust = None if method is None else method.adjust
    if adjust is None:
        return None
    found = ADJUSTMENTS[adjust]
    if found.needs and (method is None or method.name != found.needs):
        raise ValueError(
            f"adjust={adjust!r} is for method={found.needs!r} alone. For other comparisons "
            "take 'mvt', which is exact for any, or 'holm'."
        )
    return found


def _on_scale(found: Compared, statistics: pd.DataFrame) -> pd.DataFrame:
    """Return the statistics as they are shown: ratios on the scale of the response."""
    back = found.scale.back
    if back is not None:
        ratios = {
            name: back.ratio(statistics[name].to_numpy()) for name in ("estimate", "lower", "upper")
        }
        error = ratios["estimate"] * statistics["std_error"]
        statistics = statistics.assign(std_error=error, **ratios)
        statistics = statistics.rename(columns={"estimate": back.ratio_name})
    if found.estimates.tests.is_generalized:
        statistics = statistics.rename(columns={"t": "z"})
    return statistics
