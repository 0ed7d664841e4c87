"""Warnings by class, and the line that they are about."""

import sys
import warnings

from skmixed._fit_status import FitStatus

__all__ = [
    "ExactFitWarning",
    "ExtrapolationWarning",
    "FitStatus",
    "IdentifiabilityWarning",
    "InfiniteIntervalsWarning",
    "NormalIntervalsWarning",
    "NotEstimableWarning",
    "RankDeficiencyWarning",
    "RefitWarning",
    "SingularFitWarning",
    "UndeterminedError",
    "UnknownLevelsWarning",
]
FitStatus.__module__ = __name__


class UndeterminedError(ValueError):
    """The rows do not determine the variances of the model.

    Other rows may: `skmixed.MixedLinearRegressor.partial_fit` waits for them, with a
    warning.

    See Also
    --------
    IdentifiabilityWarning : The data probably do not, or do not yet.

    Examples
    --------
    On the first day every subject has one row, whose deviation from the line may
    as well be the subject's as the residual:

    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> first = X["Days"] == 0
    >>> MixedLinearRegressor("Subject", fixed=[]).fit(X[first], y[first])
    Traceback (most recent call last):
        ...
    skmixed.exceptions.UndeterminedError: Grouping factor 'Subject' has 18 levels for 18 samples;
    its random intercept cannot be told apart from the residual. Group by a coarser factor.
    """


class SingularFitWarning(UserWarning):
    """An estimated covariance matrix is singular, of random effects or residuals.

    A variance of 0, or a correlation at an end of what it may be, such as -1 or 1. The
    estimates are the optimum all the same; the model may be richer than the data support.

    See Also
    --------
    skmixed.inference.singularity : Which combinations of effects have no variance.

    Examples
    --------
    Where a variance of 0 is no surprise, silence the warning and look at
    ``singular_``; where it should not pass unseen, make an error of it.

    >>> import warnings
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_dyestuff2
    >>> from skmixed.exceptions import SingularFitWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", SingularFitWarning)
    ...     MixedLinearRegressor("Batch").fit(*load_dyestuff2(return_X_y=True))
    Traceback (most recent call last):
        ...
    skmixed.exceptions.SingularFitWarning: The estimated variance of '(Intercept)'
    within 'Batch' is 0. The groups do not differ beyond the residual variance.
    """


class RankDeficiencyWarning(UserWarning):
    """Some fixed-effects columns depend linearly on the columns before them.

    Their coefficients are 0; the predictions do not depend on which columns of
    a dependent set stay.

    See Also
    --------
    skmixed.MixedLinearRegressor : Its parameter `fixed` names the columns to use.

    Examples
    --------
    >>> import warnings
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.exceptions import RankDeficiencyWarning
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> both = X.assign(hours=24 * X["Days"])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", RankDeficiencyWarning)
    ...     model = MixedLinearRegressor("Subject").fit(both, y)
    >>> print(caught[0].message)
    Fixed-effects column 'hours' depends linearly on the intercept and the columns
    before it; its coefficient is set to 0. Leave it out of `fixed`.
    >>> model.coef_.round(3)
    array([10.467,  0.   ,  0.   ])
    """


class ExactFitWarning(UserWarning):
    """The model reproduces ``y``, so that nothing is left for the residual.

    The variances are then those where the search stopped, and there are no tests
    and no likelihood to compare. Mostly a column of X determines y.

    See Also
    --------
    FitStatus : The status of such a fit is ``EXACT_FIT``.

    Examples
    --------
    >>> import warnings
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.exceptions import ExactFitWarning
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> seconds = X.assign(seconds=y / 1000)     # the response in another unit
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", ExactFitWarning)
    ...     MixedLinearRegressor("Subject").fit(seconds, y).status_
    'The model reproduces y: the residual variance is 0 to rounding.'
    """


class IdentifiabilityWarning(UserWarning):
    """The data probably do not determine every variance component.

    See Also
    --------
    UndeterminedError : The data certainly do not.
    skmixed.inference.convergence : How well the estimates are determined.

    Examples
    --------
    Rows that come one day after the other: the first two days do not tell the
    subjects' lines from the residuals, with the third they do.

    >>> import warnings
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> for day in range(3):
    ...     rows = X["Days"] == day
    ...     with warnings.catch_warnings(record=True) as caught:
    ...         warnings.simplefilter("always")
    ...         model = model.partial_fit(X[rows], y[rows])
    ...     print(day, "waits for rows" if caught else model.status_)
    0 waits for rows
    1 waits for rows
    2 The search for the variance components converged.
    """


class NormalIntervalsWarning(UserWarning):
    """Tests and intervals are normal, since those of t would take too long.

    The iterative solver fitted the model, without the factorization that
    Satterthwaite's degrees of freedom need, and no `ddf` was given. With hundreds
    of groups the two distributions hardly differ.

    See Also
    --------
    skmixed.inference.coefficient_table : Its parameter `ddf`.

    Examples
    --------
    >>> import warnings
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_penicillin
    >>> from skmixed.exceptions import NormalIntervalsWarning
    >>> X, y = load_penicillin(return_X_y=True)
    >>> model = MixedLinearRegressor(["plate", "sample"], solver="iterative").fit(X, y)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", NormalIntervalsWarning)
    ...     intervals = model.predict_interval(X[:1])
    >>> len(caught)
    1
    """


class InfiniteIntervalsWarning(UserWarning):
    """Conformal intervals are infinite: there are too few groups.

    Of K groups none may be as far off as a new one with probability 1/(K + 1): at level
    1 − α it takes 1/α − 1 groups, 19 at 0.95; of rows of known groups it takes as many rows. The
    warning says how many there are, and how many it takes.

    See Also
    --------
    skmixed.model_selection.fit_conformalize : Calibrates a model.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import fit_conformalize
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = fit_conformalize(MixedLinearRegressor("Subject", random_slopes="Days"), X, y)
    >>> row = X[:1].assign(Subject="new")     # beside 18 known ones
    >>> model.predict_interval(row, method="conformal", level=0.9).round(0)
    array([[179., 325.]])
    """


class NotEstimableWarning(UserWarning):
    """The data do not determine what is predicted or tested.

    Columns were dropped in ``fit`` as linearly dependent, and the combination of
    fixed effects that is asked for is none of the rows of X, nor a combination of
    them, such as the mean of a cell that was never observed. Its estimate depends on
    which columns were dropped; its standard error, interval and test are NaN.

    Or a method gives an effect no degrees of freedom, so that its interval and test are.

    See Also
    --------
    RankDeficiencyWarning : The warning of the fit that drops columns.
    skmixed.inference.anova : Tests of what can be tested, also with empty cells.

    Examples
    --------
    No plot of this field trial has the second variety with the second dose:

    >>> import warnings
    >>> import pandas as pd
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.exceptions import NotEstimableWarning, RankDeficiencyWarning
    >>> plots = pd.DataFrame({"block": list("aabbccdd"), "variety": [0, 0, 1, 0] * 2,
    ...                       "dose": [0, 1, 0, 0, 0, 1, 0, 1]})
    >>> plots["both"] = plots["variety"] * plots["dose"]
    >>> tons = [4.1, 5.0, 3.7, 4.4, 4.3, 5.4, 3.2, 4.7]
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", RankDeficiencyWarning)
    ...     model = MixedLinearRegressor("block").fit(plots, tons)
    >>> cells = pd.DataFrame({"block": "new", "variety": 1, "dose": [0, 1], "both": [0, 1]})
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", NotEstimableWarning)
    ...     intervals = model.predict_interval(cells, of="mean")
    >>> len(caught), intervals.round(1)
    (1, array([[2.5, 4.5],
           [nan, nan]]))
    """


class RefitWarning(UserWarning):
    """Models were fitted again by maximum likelihood in order to be compared.

    Restricted likelihoods of different fixed effects are of different data. The
    models given stay as they are.

    See Also
    --------
    skmixed.inference.likelihood_ratio_test : Compares two nested models.
    skmixed.inference.compare : Compares any by AIC and BIC.

    Examples
    --------
    Models of ``method="ml"`` are compared as they are, without a warning:

    >>> import warnings
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.exceptions import RefitWarning
    >>> from skmixed.inference import likelihood_ratio_test
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> for method in ("reml", "ml"):
    ...     null = MixedLinearRegressor("Subject", fixed=[], method=method).fit(X, y)
    ...     model = MixedLinearRegressor("Subject", method=method).fit(X, y)
    ...     with warnings.catch_warnings(record=True) as caught:
    ...         warnings.simplefilter("always", RefitWarning)
    ...         table = likelihood_ratio_test(null, model)
    ...     print(method, table["statistic"].iloc[1].round(2), len(caught), "warnings")
    reml 116.46 1 warnings
    ml 116.46 0 warnings
    """


class UnknownLevelsWarning(UserWarning):
    """No label of a grouping column in ``predict`` was known from ``fit``.

    Labels of another kind, such as numbers where `fit` had text, match none. The
    predictions are then those for new groups.

    See Also
    --------
    skmixed.MixedLinearRegressor.predict : What unknown groups are predicted.

    Examples
    --------
    >>> import warnings
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.exceptions import UnknownLevelsWarning
    >>> X, y = load_sleepstudy(return_X_y=True)     # labels such as "308"
    >>> model = MixedLinearRegressor("Subject").fit(X, y)
    >>> read_anew = X.assign(Subject=X["Subject"].astype(int))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", UnknownLevelsWarning)
    ...     model.predict(read_anew)
    Traceback (most recent call last):
        ...
    skmixed.exceptions.UnknownLevelsWarning: No label of grouping column 'Subject'
    is known: they are numbers (such as 308), but in fit they were text (such as
    308). Convert the column to what it was.
    """


class ExtrapolationWarning(UserWarning):
    """Splines ``bs(…)`` of a formula have values beyond their boundary knots.

    Their polynomials go on there, as in R. Natural splines ``ns(…)`` go on in straight
    lines, without a warning.

    See Also
    --------
    skmixed.formula.FormulaRegressor : The functions of formulas.

    Examples
    --------
    >>> import warnings
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.exceptions import ExtrapolationWarning
    >>> data = load_sleepstudy().frame
    >>> model = lmer("Reaction ~ bs(Days, df=4) + (1 | Subject)", data)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", ExtrapolationWarning)
    ...     model.predict(data.head(1).assign(Days=14)).round(0)
    array([630.])
    """


# scikit-learn's wrappers and tools stand between a user and a method, too, a property that is
# computed once runs below functools, and code of a formula, which has no name, in formulaic.
_LIBRARIES = ("skmixed", "sklearn", "functools", "formulaic", "")


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line that has called this package, however deep inside it this is."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _library_of(frame.f_globals) in _LIBRARIES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _library_of(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
