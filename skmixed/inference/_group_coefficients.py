"""The coefficients of each group: fixed effects and random effects together."""

from typing import Any

import pandas as pd

from skmixed._fitted.fitted_model import regressor_of
from skmixed.inference._tables.table import ResultTable


def coefficients_by_group(model: Any) -> dict[str, ResultTable]:
    """Add the random effects of each group to the fixed effects.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        The fitted model; a slim copy will do.

    Returns
    -------
    dict of str to ResultTable
        For each grouping factor, a key of ``random_effects_``, a frame of shape (n_levels,
        n_coefficients) with the levels as rows. Columns: the fixed effects, as in
        ``fixed_effects_``, then the slopes of the factor that have none. On the scale of y per
        unit of the column, or of a generalized model of the link.

    Raises
    ------
    TypeError
        If `model` is no regressor of this package.
    ValueError
        If it has no random effects.

    See Also
    --------
    random_effects_table : The random effects, with standard errors.
    skmixed.plotting.ShrinkageDisplay : Coefficients of each group, from its own rows and from all.

    Notes
    -----
    As R's ``coef``. A coefficient without a random effect is the same for all levels. The
    fixed effect of a slope that has none is 0, its mean over the groups, so that its column
    holds the random effects themselves; R has such columns first, and those of all factors
    in each frame. A column that was dropped as linearly dependent has 0. With several factors
    each frame has the fixed effects once: for the prediction of a row add up the fixed
    effects and the random effects of all factors, not these frames. Rows given to
    ``update_groups`` count.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import coefficients_by_group
    >>> model = lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
    >>> coefficients_by_group(model)["Subject"].head(3).round(2)
             (Intercept)    Days
    Subject
    308               253.66  19.67
    309               211.01   1.85
    310               212.44   5.02
    """
    own = regressor_of(model)
    fixed = own.fixed_effects_
    if not own.random_effects_:
        raise ValueError(
            "The model has no random effects, so that fixed_effects_ has the coefficients of all "
            "groups. Name grouping columns in `groups`, or write (1 | g) in the formula."
        )
    return {
        group: _of_factor(fixed, group, own.random_effects_[group]) for group in own.random_effects_
    }


def _of_factor(fixed: pd.Series, group: str, effects: pd.DataFrame) -> ResultTable:
    names = list(dict.fromkeys([*fixed.index, *effects.columns]))
    coefficients = effects.reindex(columns=names, fill_value=0.0)
    coefficients += fixed.reindex(names, fill_value=0.0)
    # The user's names, whatever they mean in other tables
    kinds = dict.fromkeys(names, "number")
    title = f"Coefficients by {group}: fixed and random effects"
    return ResultTable.of(coefficients, title, kinds=kinds)
