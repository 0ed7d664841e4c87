"""Tests of the terms that may be left out of a model, each by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from skmixed._data.encoder import Encoder
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted, formula_terms
from skmixed._uncertainty.hypotheses import TermDeletion
from skmixed.inference._comparison.comparable import open_models, warn_of_unfinished
from skmixed.inference._comparison.likelihood_ratio import WHOLE, deletion_table, ratio_test
from skmixed.inference._comparison.nesting import mixture
from skmixed.inference._comparison.written import droppable, fixed_terms
from skmixed.inference._fixed_tests import FixedTests, open_tests
from skmixed.inference._tables.table import ResultTable
from skmixed.inference._terms.anova import columns_of_terms, rows_of_columns, warn_of_no_terms
from skmixed.typing import Ddf, Robust

TITLE = "Tests of single terms that are left out"


def drop1(
    model: Any,
    terms: Mapping[str, str | Sequence[str]] | Sequence[str] | None = None,
    ddf: Ddf | None = None,
    *,
    robust: Robust | None = None,
) -> ResultTable:
    """Test each term that may be left out of a model by itself.

    Those of a formula that no other term contains: of ``a * b + x`` these are ``a:b`` and
    ``x``. By F, without a further fit; of a generalized model by the ratio of likelihoods.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        The fitted model.
    terms : list of str, or mapping of str to list of str, default=None
        The terms of the formula to test; or term → its columns, as in `anova`. None: all
        that may be left out; without a formula, every column is a term.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        The method for the degrees of freedom of F, as in `coefficient_table`; of models with
        a residual covariance also "kenward-roger-linear" and "between-within".
    robust : {"CR0", "CR2", "CR3"}, default=None
        The kind of robust covariance of the fixed effects, as in `coefficient_table`.

    Returns
    -------
    ResultTable
        A row for each term, with the columns of `anova`. Of a generalized model a row for the
        model itself, ``<none>``, and one for each model without a term, with the columns of
        `random_effects_tests`. NaN for a term that adds nothing to the others.

    Raises
    ------
    ValueError
        If a term is none of the formula's or part of another one; if a column has no fixed
        effect; for `ddf` as in `anova`; or if a generalized model reproduces y, or the
        columns of the other terms, as they are coded, are not the model without one.
    TypeError
        If `terms` does not name terms or columns.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.
    sklearn.exceptions.ConvergenceWarning
        If the search of a generalized model without a term did not converge.

    See Also
    --------
    anova : Tests of all terms, also of those that others contain.
    random_effects_tests : Tests of the random-effects terms.

    Notes
    -----
    The hypothesis is that the other terms of the formula make the fixed part, as R's
    ``drop1`` has it: a term is part of another one if that is its product with more, also
    with numbers, so that of ``a * x`` neither ``a`` nor ``x`` is tested. In the table of
    `anova` it is the one of type II. F, its degrees of freedom and the squares are those of
    lmerTest [1]_; denominators of several degrees of freedom depend a little on the coding.
    Without an intercept lmerTest tests whether the columns of a term are 0, as long as none were
    dropped; here ``0 + a + b`` without ``a`` is ``0 + b``, where ``b`` has all its means.

    The likelihoods of a generalized model are those of fits to its rows without the term,
    by the quadrature of the fit, and the statistic is χ², as in lme4's ``drop1``.

    References
    ----------
    .. [1] Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest
       package: tests in linear mixed effects models. J. Stat. Softw. 82(13), 1–26,
       doi:10.18637/jss.v082.i13.

    Examples
    --------
    >>> from skmixed import glmer, lmer
    >>> from skmixed.datasets import load_cake, load_cbpp
    >>> from skmixed.inference import drop1
    >>> model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
    >>> drop1(model).round(3)
                 sum_sq  mean_sq  df_num  df_den      F  p_value
    recipe:temp   1.742    0.871       2   222.0  0.042    0.959
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> table = drop1(glmer(formula, load_cbpp().frame, "binomial"))
    >>> table[["n_parameters", "aic", "statistic", "df"]].round(2)
            n_parameters     aic  statistic   df
    <none>             5  194.05        NaN  NaN
    period             2  213.66      25.61  3.0
    """
    tests = open_tests(model, ddf, robust)
    deleted = _deletions(model, terms, tests)
    if terms is None and not deleted:
        warn_of_no_terms(tests)
    if tests.is_generalized:
        return _by_likelihoods(model, deleted)
    rows = {name: own.rows for name, own in deleted.items()}
    table = tests.f_table(rows, has_squares=True)
    return ResultTable.of(table, TITLE, [tests.remark(is_joint=True)])


def _deletions(model: Any, terms: Any, tests: FixedTests) -> dict[str, TermDeletion]:
    coded = formula_terms(model)
    if coded is None or isinstance(terms, Mapping):
        rows, columns = rows_of_columns(terms, tests), columns_of_terms(terms, tests)
        return {
            name: TermDeletion(
                rows[name], tuple(k for k, c in enumerate(tests.names) if c not in own)
            )
            for name, own in columns.items()
        }
    names = _chosen(model, terms)
    if not names:
        return {}
    view = fitted(model, has_family=True)
    root = kernel.root_of_rows(view.stats, view.model, tests.kept)
    return kernel.deletions(coded, names, root, tests.kept)


def _chosen(model: Any, terms: Any) -> list[str]:
    """Return the names of the terms of a formula that are to be left out, in its order."""
    written = fixed_terms(model)
    assert written is not None
    may_go = [own.coded.name for own in droppable(written)]
    if terms is None:
        return may_go
    asked = [terms] if isinstance(terms, str) else terms
    if not isinstance(asked, list | tuple) or not all(isinstance(own, str) for own in asked):
        raise TypeError(
            f"terms={terms!r} does not name terms. Give a list of names, such as "
            f"{may_go[:1]!r}, or a mapping from terms to columns."
        )
    for name in asked:
        own = next((own for own in written if own.coded.name == name), None)
        listed = ", ".join(map(repr, may_go))
        if own is None:
            raise ValueError(
                f"terms names {name!r}, which is no term of the formula. Terms that may be left "
                f"out are {listed}."
            )
        if name not in may_go:
            larger = next(other.coded.name for other in written if own.is_within(other))
            raise ValueError(
                f"terms names {name!r}, which is part of {larger!r} and cannot be left out before "
                f"it. Terms that may be left out are {listed}; anova tests all."
            )
    return [name for name in may_go if name in asked]


def _by_likelihoods(model: Any, deleted: Mapping[str, TermDeletion]) -> ResultTable:
    (whole,) = open_models({"the model": model})
    smaller, tests = [], []
    for name, own in deleted.items():
        less = _without(whole.fitted, name, own)
        null = whole.refitted(less, reml=False, name=f"the model without {name}")
        df = whole.solution.n_parameters - null.solution.n_parameters
        tests.append(ratio_test(null, whole, mixture(df, 0)) if df else None)
        smaller.append(replace(null, name=name))
    warn_of_unfinished(smaller)
    table = deletion_table(whole, smaller, tests)
    rows = f"Each row is the model without what it names; {WHOLE} is the model itself."
    return ResultTable.of(table, TITLE, (rows, whole.remark))


def _without(view: FittedModel, name: str, deletion: TermDeletion) -> Encoder:
    """Return the columns of the model without a term."""
    encoder = view.encoder
    if deletion.fixed is None:
        raise ValueError(
            f"The model without {name!r} is not made of the other columns as they are coded, "
            "without an intercept. Fit it by its formula, and use likelihood_ratio_test."
        )
    fixed = tuple(encoder.fixed[k] for k in deletion.fixed)
    return replace(encoder, fixed=(0, *fixed) if deletion.needs_intercept else fixed)
