"""Fits in one call: `lmer` and `glmer` in lme4's words, `mmrm` in those of R's mmrm."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skmixed._data.random_effect import ResidualCovariance
from skmixed.formula._families import FAMILIES_OF_R, check_family
from skmixed.formula._regressor import FormulaRegressor
from skmixed.formula._syntax import error_at
from skmixed.typing import GlmerFamily, LinkOfFamily, NaAction, Quadrature, ResidualStructure

# R mmrm's words: the structure, and whether each visit has a variance of its own.
STRUCTURES_OF_MMRM: dict[str, tuple[ResidualStructure, bool]] = {
    "us": ("unstructured", False),
    "cs": ("compound_symmetry", False),
    "csh": ("compound_symmetry", True),
    "ar1": ("ar1", False),
    "ar1h": ("ar1", True),
    "toep": ("toeplitz", False),
    "toeph": ("toeplitz", True),
    "ad": ("ante_dependence", False),
    "adh": ("ante_dependence", True),
    "sp_exp": ("exponential", False),
    "sp_gau": ("gaussian", False),
}
# Those of distances, also of places with two coordinates.
OF_PLACES, OR_PLACES = ("sp_exp", "sp_gau"), ", or two of coordinates"
NAME_OR_QUOTED = r"(?:`[^`]+`|[^\W\d][\w.]*)"
BEGUN = re.compile(rf"(?<![\w.])({'|'.join(STRUCTURES_OF_MMRM)})\s*\(")
COVARIANCE = re.compile(
    rf"{BEGUN.pattern}\s*([^|()]*?)\s*\|\s*"
    rf"(?:({NAME_OR_QUOTED})\s*/\s*)?({NAME_OR_QUOTED})\s*\)"
)


def lmer(
    formula: str,
    data: Any,
    REML: bool = True,
    weights: str | ArrayLike | None = None,
    offset: str | None = None,
    na_action: NaAction = "error",
    **parameters: Any,
) -> FormulaRegressor:
    """Fit a linear mixed model given by lme4's formula.

    Parameters
    ----------
    formula : str
        As in lme4; see `skmixed.formula.FormulaRegressor`.
    data : frame of shape (n_samples, n_columns)
        Rows with the columns that the formula names (pandas, polars, pyarrow).
    REML : bool, default=True
        Whether by restricted maximum likelihood, or by maximum likelihood.
    weights : str or array-like of shape (n_samples,), default=None
        Precision weights: a column, an expression of columns, or the numbers.
    offset : str, default=None
        A column, or an expression of columns, that is added to the predictions with a
        coefficient of 1, beside the formula's ``offset(…)``.
    na_action : {"error", "drop"}, default="error"
        What to do with rows that have a missing value in a column that the model
        names: refuse them, or leave them out.
    **parameters : dict
        Further parameters of `skmixed.formula.FormulaRegressor`.

    Returns
    -------
    FormulaRegressor
        Fitted. Its `predict` takes frames like `data`.

    Raises
    ------
    ImportError
        If formulaic is not installed.
    ValueError
        If the formula or the data make no model; in the formula with the place.
    TypeError
        If `REML` is neither True nor False, or `method` is given beside it.

    See Also
    --------
    skmixed.formula.FormulaRegressor : The estimator, and what formulas may say.
    skmixed.MixedLinearRegressor : The same models by the names of columns.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_sleepstudy
    >>> frame = load_sleepstudy(as_frame=True).frame
    >>> model = lmer("Reaction ~ Days + (Days | Subject)", frame)
    >>> model.fixed_effects_.round(4)
    (Intercept)    251.4051
    Days            10.4673
    dtype: float64
    >>> model.predict(frame.iloc[:2]).round(3)
    array([253.664, 273.33 ])
    """
    if not isinstance(REML, bool | np.bool_):
        raise TypeError(f"REML={REML!r} is of type {type(REML).__name__}. Give True or False.")
    if "method" in parameters:
        raise TypeError("lmer takes REML=True or REML=False in place of `method`.")
    named = weights if isinstance(weights, str) else None
    model = FormulaRegressor(
        formula,
        method="reml" if REML else "ml",
        weights=named,
        offset=offset,
        na_action=na_action,
        **parameters,
    )
    return model._fit(data, None, None if named is not None else weights)


def glmer(
    formula: str,
    data: Any,
    family: GlmerFamily,
    link: LinkOfFamily | None = None,
    quadrature: Quadrature = 1,
    weights: str | ArrayLike | None = None,
    offset: str | None = None,
    na_action: NaAction = "error",
    **parameters: Any,
) -> FormulaRegressor:
    """Fit a generalized linear mixed model given by lme4's formula.

    Parameters
    ----------
    formula : str
        As in lme4; see `skmixed.formula.FormulaRegressor`. The response of a binomial
        model is ``cbind(successes, failures)``, a proportion with `weights` as numbers
        of trials, or of two classes: 0 and 1, booleans, or two labels. The second label
        in the order of the categories, else sorted as Python sorts, is the success.
    data : frame of shape (n_samples, n_columns)
        Rows with the columns that the formula names (pandas, polars, pyarrow).
    family : {"binomial", "poisson", "nbinom2", "Gamma"}
        The distribution of the response; "negative_binomial" and "gamma" are other
        names of the last two.
    link : str, default=None
        The link: "logit", "probit" or "cloglog" of a binomial model, and "log" of
        others. None: "logit" or "log".
    quadrature : int or "auto", default=1
        Nodes of adaptive Gauss–Hermite quadrature for each random coefficient, lme4's
        nAGQ, for one grouping factor of at most three coefficients; 1 is Laplace's
        approximation. "auto" takes more and more until the log-likelihood is stable to
        1e-6.
    weights : str or array-like of shape (n_samples,), default=None
        Numbers of trials, or how often each row counts: a column, an expression of
        columns, or the numbers.
    offset : str, default=None
        A column, or an expression of columns, that is added to the linear predictor,
        beside the formula's ``offset(…)``, such as "np.log(days)" of an exposure.
    na_action : {"error", "drop"}, default="error"
        What to do with rows that have a missing value in a column that the model
        names: refuse them, or leave them out.
    **parameters : dict
        Further parameters of `skmixed.formula.FormulaRegressor`.

    Returns
    -------
    FormulaRegressor
        Fitted. Its `predict` takes frames like `data` and returns means of the
        response, of classes the probability of the second; these have `classes_`,
        `predict_proba` and `decision_function` too.

    Raises
    ------
    ImportError
        If formulaic is not installed.
    ValueError
        If the formula or the data make no model; in the formula with the place.
        If the response has more labels than two.
    TypeError
        If a parameter is of the wrong kind, or one of R's with another name here.

    See Also
    --------
    lmer : Linear mixed models.
    skmixed.MixedLogisticClassifier : Two classes by the names of columns.
    skmixed.MixedPoissonRegressor : Counts by the names of columns.

    Notes
    -----
    The likelihood is that of R's glmmTMB, and with the logit and the log link glmer's.
    glmer predicts a group that was not seen at an effect of 0, as ``predict(rows,
    include="fixed")`` does here; the prediction without it is the mean over groups.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmixed import glmer
    >>> data = pd.DataFrame({"late": [0, 1] * 4, "herd": list("aabbccdd")})
    >>> data["sick"], data["well"] = [9, 4, 2, 0, 7, 3, 1, 1], [5, 8, 14, 20, 2, 14, 20, 13]
    >>> model = glmer("cbind(sick, well) ~ late + (1 | herd)", data, "binomial")
    >>> model.fixed_effects_.round(2)
    (Intercept)   -0.79
    late          -1.70
    dtype: float64
    """
    check_family(family, FAMILIES_OF_R)
    if "nAGQ" in parameters:
        raise TypeError(f"nAGQ={parameters['nAGQ']!r} is `quadrature` here.")
    for name in {"method", "REML"} & set(parameters):
        raise TypeError(f"glmer takes no `{name}`: generalized models are by maximum likelihood.")
    if "exposure" in parameters:
        raise TypeError("glmer takes an exposure as offset(log(exposure)) in the formula.")
    if "sample_weight" in parameters:
        raise TypeError("glmer takes weights, and numbers of trials, as `weights`.")
    named = weights if isinstance(weights, str) else None
    model = FormulaRegressor(
        formula,
        family=FAMILIES_OF_R[family],
        link=link,
        quadrature=quadrature,
        weights=named,
        offset=offset,
        na_action=na_action,
        **parameters,
    )
    return model._fit(data, None, None if named is not None else weights)


def mmrm(
    formula: str,
    data: Any,
    reml: bool = True,
    weights: str | ArrayLike | None = None,
    na_action: NaAction = "drop",
    **parameters: Any,
) -> FormulaRegressor:
    """Fit a model for repeated measures given by R mmrm's formula.

    Parameters
    ----------
    formula : str
        ``response ~ fixed + covariance(visit | subject)``, or ``(visit | group /
        subject)`` for a covariance in each group. The covariance is one of ``us``,
        ``cs``, ``csh``, ``ar1``, ``ar1h``, ``toep``, ``toeph``, ``ad``, ``adh``,
        ``sp_exp``, ``sp_gau``; the last two are also of the distances of places, as in
        ``sp_exp(x, y | subject)``. Random effects may stand beside it, as in `lmer`.
    data : frame of shape (n_samples, n_columns)
        Rows with the columns that the formula names (pandas, polars, pyarrow).
    reml : bool, default=True
        Whether by restricted maximum likelihood, or by maximum likelihood.
    weights : str or array-like of shape (n_samples,), default=None
        Precision weights: a column, an expression of columns, or the numbers.
    na_action : {"drop", "error"}, default="drop"
        What to do with rows that have a missing value in a column that the model
        names: leave them out, as R does, or refuse them.
    **parameters : dict
        Further parameters of `skmixed.formula.FormulaRegressor`.

    Returns
    -------
    FormulaRegressor
        Fitted. Its `predict` takes frames like `data`.

    Raises
    ------
    ImportError
        If formulaic is not installed.
    ValueError
        If the formula or the data make no model; in the formula with the place. If
        `residual` is given beside it.
    TypeError
        If `reml` is neither True nor False.

    See Also
    --------
    skmixed.ResidualCovariance : The covariances, and what they mean.
    skmixed.inference.coefficient_table : Tests, also by Kenward and Roger's method.
    lmer : Models of random effects alone.

    Notes
    -----
    Visits are the labels of a column in their order: numbers, or pandas categories.
    "kenward-roger" is mmrm's method of this name, with the second derivatives of V;
    "kenward-roger-linear" leaves them out, as SAS does for ``type=un``.

    Examples
    --------
    >>> from skmixed import mmrm
    >>> from skmixed.datasets import load_sleepstudy
    >>> data = load_sleepstudy().frame
    >>> model = mmrm("Reaction ~ Days + ar1(Days | Subject)", data)
    >>> model.fixed_effects_.round(3)
    (Intercept)    253.738
    Days            10.467
    dtype: float64
    """
    if not isinstance(reml, bool | np.bool_):
        raise TypeError(f"reml={reml!r} is of type {type(reml).__name__}. Give True or False.")
    rest, residual = split_covariance(formula)
    if "residual" in parameters:
        raise ValueError(
            f"residual={parameters['residual']!r} is a second covariance of the residuals beside "
            f"the formula's {residual!r}. Leave it out, or the formula's with lmer(…, residual=…)."
        )
    given = {"residual": residual, "na_action": na_action, **parameters}
    return lmer(rest, data, reml, weights, **given)


def split_covariance(formula: str) -> tuple[str, ResidualCovariance]:
    """Split the term of the residuals' covariance off a formula in R mmrm's words.

    Raises
    ------
    TypeError
        If the formula is no string.
    ValueError
        If there is not one such term, with the place.
    """
    if not isinstance(formula, str):
        raise TypeError(
            f"formula is of type {type(formula).__name__}. Give a string, such as "
            "'y ~ arm * visit + us(visit | patient)'."
        )
    found = _covariance_of(formula)
    word, _, by, subject = found.groups()
    times = _times_of(formula, found)
    structure, heterogeneous = STRUCTURES_OF_MMRM[word]
    residual = ResidualCovariance(
        structure,
        subject=subject.strip("`"),
        time=times,
        by=None if by is None else by.strip("`"),
        heterogeneous=heterogeneous,
    )
    before, after = formula[: found.start()].rstrip(), formula[found.end() :].lstrip()
    if not before.endswith(("+", "~")) or (after and not after.startswith("+")):
        raise error_at(
            formula, found.start(), "The covariance is joined by +, and by nothing else."
        )
    rest = before.removesuffix("+") + " " + after.removeprefix("+" if before.endswith("~") else "")
    rest = rest.rstrip()
    return (rest + " 1" if rest.endswith("~") else rest), residual


def _covariance_of(formula: str) -> re.Match[str]:
    """Return the one term of the residuals' covariance."""
    found = list(COVARIANCE.finditer(formula))
    if len(found) == 1:
        return found[0]
    if not found and (begun := BEGUN.search(formula)):
        raise error_at(
            formula,
            begun.start(),
            f"{begun[1]}(…) is none of the residuals' covariance. Write {begun[1]}(visit | "
            "patient) with names of columns, one | and a closing parenthesis; let an expression "
            "such as factor(visit) be a column of the data.",
        )
    known = ", ".join(f"{word}(…)" for word in STRUCTURES_OF_MMRM)
    what = "no term" if not found else "more than one term"
    raise error_at(
        formula,
        found[1].start() if found else len(formula),
        f"The formula has {what} of the residuals' covariance. Write one, such as "
        f"us(visit | patient) or us(visit | arm / patient), of {known}.",
    )


def _times_of(formula: str, found: re.Match[str]) -> list[str]:
    """Return the columns of times of the covariance: one, or two coordinates of places."""
    word, visit, _, subject = found.groups()
    times = [name.strip() for name in visit.split(",")]
    most = 2 if word in OF_PLACES else 1
    if len(times) > most or not all(re.fullmatch(NAME_OR_QUOTED, name) for name in times):
        raise error_at(
            formula,
            found.start(2),
            f"{word}(…) is of one column of visits or times{OR_PLACES * (most > 1)}. Name it: "
            f"{word}(visit | {subject}).",
        )
    return [name.strip("`") for name in times]
