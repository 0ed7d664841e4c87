"""Tests of the terms of a model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skmixed._data.table import shown
from skmixed._fitted import kernel
from skmixed._fitted.checks import chosen
from skmixed._fitted.fitted_model import fitted, formula_terms
from skmixed._typing import FloatArray
from skmixed.exceptions import warn
from skmixed.inference._comparison.likelihood_ratio import likelihood_ratio_test
from skmixed.inference._fixed_tests import FixedTests, open_tests
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import Robust, TypeOfTest

TYPES = (1, 2, 3)


def anova(
    model: Any,
    terms: Any = None,
    ddf: Any = None,
    *models: Any,
    type: TypeOfTest = 3,  # noqa: A002
    robust: Robust | None = None,
) -> ResultTable:
    """Test the terms of a model by F, or several models by their likelihoods.

    ``anova(model)`` tests the terms of one model: those of a formula by hypotheses of
    type I, II or III, which do not depend on how its factors are coded; groups of
    columns by whether all their fixed effects are 0. ``anova(model0, model1, …)`` is
    `likelihood_ratio_test` of nested models.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        The fitted model. Or a mapping of names to several.
    terms : mapping of str to list of str, or estimator, default=None
        Term → its columns, to be tested as they are. None: the terms of the model's
        formula; without one, every column is a term. Or a second model.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        The method for the degrees of freedom, as in `coefficient_table`; of models with a
        residual covariance also "kenward-roger-linear" and "between-within". Or a third
        model.
    *models : estimators or Pipelines
        Further ones, beside a second and a third.
    type : {1, 2, 3}, default=3
        Type of hypothesis: 1, each term after those before it; 2, after all that do
        not contain it; 3, with categories counted alike whatever their numbers of
        rows. Columns that are tested as they are have type 3 alone: each term with
        all others in the model.
    robust : {"CR0", "CR2", "CR3"}, default=None
        The kind of robust covariance of the fixed effects, as in `coefficient_table`. It
        tests at most as many effects at once as there are subjects less one.

    Returns
    -------
    ResultTable
        A row for each term: ``sum_sq``, ``mean_sq``, ``df_num``, ``df_den``, ``F``,
        ``p_value``, without the squares of a model with a residual covariance; or of a
        generalized model Wald's ``chi2``, ``df``, ``p_value``. Of a term
        some of whose effects the data do not determine, the others are tested, with
        fewer ``df_num``; where none is determined, the row is NaN. A model without
        terms has an empty table, and brings a warning. Of several models the table of
        `likelihood_ratio_test`.

    Raises
    ------
    ValueError
        If a term names a column without a fixed effect, or `type` is not among its
        choices, or with several models is not left out, as `ddf` and `robust`; and
        what `likelihood_ratio_test` raises.
    TypeError
        If `terms` is neither a mapping nor a model, or a term does not name columns.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.

    See Also
    --------
    contrast : Tests of any combinations of the fixed effects.
    drop1 : Tests of the terms that may be left out.
    random_effects_tests : Tests of the random-effects terms.
    likelihood_ratio_test : Tests of nested models, with its options.

    Notes
    -----
    The hypotheses of a formula's terms are estimable functions of the model with an
    indicator for each category and combination [1]_: with any coding, also without an
    intercept, and with combinations that were not observed, they are those of SAS,
    and with lmerTest's exceptions those of lmerTest [2]_ (see the user guide). A
    term contains another if it has all its factors, further categorical ones, and the
    same numeric ones. Of a linear model types I and II count each row once, also with
    weights, as lmerTest does. Of a generalized model they are by the information on the fixed
    effects, the inverse of `vcov`, as ``car::Anova(type = 2)`` [3]_, where ``f:x`` contains
    the factor ``f`` too. The rows of a hypothesis of a linear model are those that lmerTest has
    with R's default coding: the degrees of freedom of `contrast` depend on them a little.

    ``mean_sq`` is Wald's statistic by ``df_num`` times σ², the residual variance of a row
    of weight 1, and ``sum_sq`` that times ``df_num``, as in lmerTest: in a balanced design
    without groups they are the classical sums of squares. F is their ratio to σ², by Kenward
    and Roger's method times its scale.

    Columns without a formula, and those of `terms`, are tested as they are. With
    interactions that is the type III of SAS only if categorical columns are coded with
    contrasts that sum to 0 and all combinations were observed; with indicator
    (treatment) coding it is the test at the reference category. Dropped columns do not
    count.

    References
    ----------
    .. [1] Goodnight, J. H. (1978). Tests of hypotheses in fixed effects linear models.
       SAS Technical Report R-101, SAS Institute, Cary.
    .. [2] Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest
       package: tests in linear mixed effects models. J. Stat. Softw. 82(13), 1–26,
       doi:10.18637/jss.v082.i13.
    .. [3] Fox, J. and Weisberg, S. (2019). An R Companion to Applied Regression, 3rd ed.
       Sage, Thousand Oaks.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor, lmer
    >>> from skmixed.datasets import load_cake
    >>> from skmixed.inference import anova
    >>> model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
    >>> anova(model)
    Tests of terms, type 3
                  sum_sq  mean_sq  df_num  df_den      F  p_value
     recipe          4.0     2.00       2   254.0   0.10    0.909
     temp         1966.7  1966.71       1   222.0  94.16   <0.001
     recipe:temp     1.7     0.87       2   222.0   0.04    0.959
    F tests with Satterthwaite's degrees of freedom.

    Columns as they are:

    >>> import pandas as pd
    >>> from skmixed.datasets import load_machines
    >>> X, y = load_machines(return_X_y=True)
    >>> X = pd.get_dummies(X, columns=["Machine"], drop_first=True, dtype=float)
    >>> plain = MixedLinearRegressor("Worker").fit(X, y)
    >>> anova(plain, {"Machine": ["Machine_B", "Machine_C"]}, "kenward-roger").round(2)
              sum_sq  mean_sq  df_num  df_den     F  p_value
    Machine  1755.26   877.63       2    46.0  87.8      0.0

    Several models:

    >>> smaller = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", load_cake().frame)
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # both are fitted again, by maximum likelihood
    ...     table = anova(smaller, model)
    >>> table[["n_parameters", "aic", "statistic", "df", "p_value"]].round(3)
                 n_parameters       aic  statistic   df  p_value
    null                    6  1708.158        NaN  NaN      NaN
    alternative             8  1712.073      0.084  2.0    0.959
    """
    type = chosen("type", type, TYPES, {"I": 1, "II": 2, "III": 3})  # noqa: A001
    if isinstance(model, Mapping) and terms is None:
        _check_one_model_alone(type, ddf, robust)
        return likelihood_ratio_test(model)
    if isinstance(terms, BaseEstimator):
        _check_one_model_alone(type, ddf, robust)
        further = models if ddf is None else (ddf, *models)
        return likelihood_ratio_test(model, terms, *further)
    if models or isinstance(ddf, BaseEstimator):
        raise TypeError(
            f"anova was given terms={shown(terms)} and models behind them. Give the models one by "
            "one, anova(model0, model1, model2), or one model and what to test of it."
        )
    coded = formula_terms(model) if terms is None else None
    if coded is None and type != 3:
        raise ValueError(
            f"type={type} needs the terms of a formula, and columns are tested as they are, each "
            "term with all others in the model. Fit the model by lmer, or compare nested models "
            "with likelihood_ratio_test."
        )
    tests = open_tests(model, ddf, robust)
    if coded is None:
        rows = rows_of_columns(terms, tests)
    elif all(term.is_intercept for term in coded):
        rows = {}
    else:
        root, own = _root(model, tests), tests.is_generalized
        rows = kernel.hypotheses(coded, root, type, by_information=own)
    if terms is None and not rows:
        warn_of_no_terms(tests)
    title = "Tests of columns" if coded is None else f"Tests of terms, type {type}"
    table = tests.f_table(rows, has_squares=True)
    aliased = [name for name, own in rows.items() if not len(own)]
    return ResultTable.of(table, title, [tests.remark(is_joint=True), *_of_aliased(aliased)])


def _of_aliased(terms: Sequence[str]) -> list[str]:
    """Say why terms have no test: nothing of them is left beside the others."""
    if not terms:
        return []
    names = ", ".join(map(repr, terms))
    return [
        f"Without a test, as the other terms leave nothing of them to be estimated: {names}. Leave "
        "one of the terms that say the same out of the formula."
    ]


def _root(model: Any, tests: FixedTests) -> FloatArray:
    """Return R by which types I and II leave terms out: R'R is X'X, or the information."""
    if tests.is_generalized:
        return kernel.root_of_information(tests.basis, tests.dependence)
    view = fitted(model)
    return kernel.root_of_rows(view.stats, view.model, tests.kept)


def _check_one_model_alone(kind: int, ddf: Any, robust: str | None) -> None:
    """Refuse, beside several models, what tests the terms of one."""
    own = {"type": kind if kind != 3 else None, "robust": robust}
    own["ddf"] = None if isinstance(ddf, BaseEstimator) else ddf
    for name, value in own.items():
        if value is not None:
            raise ValueError(
                f"{name}={value!r} is for the tests of one model, and several were given, which "
                "their likelihoods compare. Leave it out, or call anova for each model."
            )


def warn_of_no_terms(tests: FixedTests) -> None:
    own = "the intercept alone, which coefficient_table tests" if tests.has_intercept else "empty"
    warn(
        f"The model has no terms to test, so that the table is empty: its fixed part is {own}.",
        UserWarning,
    )


def rows_of_columns(
    terms: Mapping[str, str | Sequence[str]] | None, tests: FixedTests
) -> dict[str, FloatArray]:
    """Return L of each term of columns, without those that were dropped."""
    identity = np.eye(len(tests.names))
    kept = [name for k, name in enumerate(tests.names) if k in tests.kept]
    rows = {}
    for term, columns in columns_of_terms(terms, tests).items():
        for name in columns:
            if name not in tests.names:
                raise ValueError(
                    f"terms[{term!r}] names {name!r}, which has no fixed effect. The model has "
                    f"{', '.join(map(repr, tests.names))}."
                )
        rows[term] = identity[[tests.names.index(name) for name in columns if name in kept]]
    return rows


def columns_of_terms(
    terms: Mapping[str, str | Sequence[str]] | None, tests: FixedTests
) -> dict[str, list[str]]:
    if terms is None:
        slopes = tests.names[1:] if tests.has_intercept else tests.names
        return {name: [name] for name in slopes}
    if not isinstance(terms, Mapping):
        raise TypeError(
            f"terms={shown(terms)} is of type {terms.__class__.__name__}. Give a mapping from "
            "terms to columns; degrees of freedom are chosen by `ddf`."
        )
    return {term: _columns(term, columns) for term, columns in terms.items()}


def _columns(term: str, columns: Any) -> list[str]:
    """Return the columns of a term, one or several."""
    is_list = isinstance(columns, Iterable) and not isinstance(columns, str)
    listed = list(columns) if is_list else [columns]
    if not all(isinstance(name, str) for name in listed):
        raise TypeError(
            f"terms[{term!r}]={columns!r} does not name columns. Give the name of one, or a list "
            "of names."
        )
    return listed
