"""Tests of the random-effects terms of one model, each by the model without it."""

from dataclasses import replace
from typing import Any

from skmixed._fitted.checks import check_flag
from skmixed.inference._comparison.comparable import open_models, warn_of_unfinished
from skmixed.inference._comparison.likelihood_ratio import WHOLE, deletion_table, ratio_test
from skmixed.inference._comparison.nesting import mixture
from skmixed.inference._comparison.reductions import reductions
from skmixed.inference._tables.table import ResultTable


def random_effects_tests(
    model: Any, *, reduce_terms: bool = True, boundary: bool = True
) -> ResultTable:
    """Test each random-effects term by the likelihood of the model without it.

    A term with slopes loses one of these at a time: (x | g) is tested against (1 | g),
    as in lmerTest's ``ranova``.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        The fitted model, with random effects.
    reduce_terms : bool, default=True
        Whether a term loses its slopes first. False: it is left out as a whole.
    boundary : bool, default=True
        Whether p values heed that a variance of 0 lies on the boundary of its range, as
        in `likelihood_ratio_test`. False: plain χ², the p values of lmerTest.

    Returns
    -------
    ResultTable
        A row for the model itself, ``<none>``, and one for each model that has less, named by
        what that is: ``(1 | g)``, ``x in (1 + x | g)``. Columns:

        n_parameters
            Rank of X, entries of θ, and σ or a shape.
        log_likelihood, aic
            Of each model, by the method of the fit: restricted under REML.
        statistic
            By how much −2 log-likelihood is higher without it.
        df
            By how much ``n_parameters`` is lower.
        p_value
            Probability of a statistic at least as large without it.
        reference
            The distribution of the statistic there: ``½χ²(0) + ½χ²(1)``.

    Raises
    ------
    ValueError
        If the model has no random effects, reproduces y, or is a slim copy; and of a
        generalized model whose rows were too many to hold, in a saved copy.
    MemoryError
        If the equations of crossed factors have no room.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the search of a smaller model did not converge.

    See Also
    --------
    likelihood_ratio_test : Tests of any nested models.
    confidence_intervals : Profiles of the standard deviations.

    Notes
    -----
    Each smaller model is fitted, by the method of the fit, to the sums of products that
    the fit has kept, or of a generalized model and of one with a residual covariance to its
    rows: nothing has to be given again. The fixed effects stay, so that restricted
    likelihoods compare [1]_. A model of the iterative solver is fitted again by the exact
    one, which may take minutes.

    Slopes that belong to one summand of a formula go together, such as the columns of a
    factor, and before those that it contains: of ``(x * z | g)`` the interaction alone is
    tested. Of ``(0 + f | g)`` with a factor f, which is the model (f | g), what is left is
    (1 | g); (0 + x | g) with a number x is left out. Independent coefficients, as in
    ``(x || g)``, are left out one by one, the intercept too. Terms with any other
    covariance go as a whole.

    With one variance less the distribution is ½χ²(d − 1) + ½χ²(d), with d ``df``: half of
    lmerTest's p value where d = 1. With several it depends on the data; χ²(d) is then an upper
    bound, and the reference says ``conservative``. A large p value is no reason to leave out
    what the design has.

    References
    ----------
    .. [1] Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest
       package: tests in linear mixed effects models. J. Stat. Softw. 82(13), 1–26,
       doi:10.18637/jss.v082.i13.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import random_effects_tests
    >>> model = lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
    >>> table = random_effects_tests(model)
    >>> table[["n_parameters", "statistic", "df", "reference"]].round(2)
                                  n_parameters  statistic   df        reference
    <none>                                   6        NaN  NaN
    Days in (1 + Days | Subject)             4      42.84  2.0  ½χ²(1) + ½χ²(2)
    >>> f"{table['p_value'].iloc[1]:.3g}"
    '2.79e-10'
    """
    check_flag("reduce_terms", reduce_terms)
    check_flag("boundary", boundary)
    (whole,) = open_models({"the model": model})
    encoder, reml = whole.fitted.encoder, whole.solution.reml
    if not encoder.terms:
        raise ValueError(
            "The model has no random effects to test. Name grouping columns in `groups`, or write "
            "(1 | g) in the formula."
        )
    if whole.fitted.is_iterative:
        # Its criterion has the error of random signs, larger than differences that matter
        whole = whole.refitted(reml=reml)
    smaller, tests = [], []
    for own in reductions(model, encoder, reduce_terms=reduce_terms):
        less = replace(encoder, terms=own.terms)
        null = whole.refitted(less, reml=reml, name=f"the model without {own.label}")
        df = whole.solution.n_parameters - null.solution.n_parameters
        tests.append(ratio_test(null, whole, mixture(df, own.n_boundary if boundary else 0)))
        smaller.append(replace(null, name=own.label))
    warn_of_unfinished(smaller)
    table = deletion_table(whole, smaller, tests)
    remarks = *_remarks(boundary), whole.remark
    return ResultTable.of(table, "Likelihood-ratio tests of the random effects", remarks)


def _remarks(boundary: bool) -> tuple[str, ...]:
    rows = f"Each row is the model without what it names; {WHOLE} is the model itself."
    if boundary:
        return rows, "The p values heed that variances of 0 are on the boundary of their range."
    return rows, "The p values are of χ² distributions, without regard to the boundary."
