"""The table of the fixed effects, their covariance, and tests of linear combinations of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import fitted
from skmixed._typing import FloatArray
from skmixed.exceptions import NotEstimableWarning, warn
from skmixed.inference._fixed_tests import FixedTests, open_tests
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import Ddf, Robust


def coefficient_table(
    model: Any, ddf: Ddf | None = None, *, level: float = 0.95, robust: Robust | None = None
) -> ResultTable:
    """Tabulate the fixed effects with t tests and confidence intervals.

    Parameters
    ----------
    model : MixedLinearRegressor, generalized model or Pipeline
        The fitted model.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        Degrees of freedom of t: Satterthwaite's (as lmerTest), Kenward and
        Roger's with their standard errors (as pbkrtest; for REML fits), n less
        the rank of X, or infinitely many. None: Satterthwaite's, without groups
        the residual ones, which are exact then, and normal tests and intervals
        with a warning if the iterative solver fitted the model.
        Of models with a residual covariance also "kenward-roger-linear" and
        "between-within". Tests of generalized models are normal.
    level : float, default=0.95
        The confidence level of the intervals.
    robust : {"CR0", "CR2", "CR3"}, default=None
        Standard errors by the residuals of whole subjects, of models with a residual
        covariance: right also where the covariance is not, with Bell and McCaffrey's
        degrees of freedom. "CR2" is the choice with few subjects.

    Returns
    -------
    ResultTable
        A row for each fixed effect, the intercept first; NaN for dropped columns.
        Columns: ``estimate``, ``std_error`` (scale of y per unit of the column),
        ``df``, ``t``, ``p_value`` (two-sided), ``lower``, ``upper``. Of a generalized
        model ``z`` for ``df`` and ``t``, on the scale of the link.

    Raises
    ------
    ValueError
        If `ddf` or `level` is not among its choices, for Kenward and Roger's method
        after maximum likelihood, or for degrees of freedom in a generalized model.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.

    See Also
    --------
    contrast : Tests of combinations of the fixed effects.
    anova : Tests of several columns at once.
    confidence_intervals : Intervals of the variances too, also by profiles.

    Notes
    -----
    Satterthwaite's degrees of freedom use the observed information on the
    variances [1]_, Kenward and Roger's the expected one [2]_. Both are read off the
    cross-products and cost a few factorizations, whatever the number of rows. At a
    variance of 0 they differ: Satterthwaite's method drops the variance from the
    model, Kenward and Roger's keeps it.

    References
    ----------
    .. [1] Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest
       package: tests in linear mixed effects models. J. Stat. Softw. 82(13), 1–26,
       doi:10.18637/jss.v082.i13.
    .. [2] Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed
       effects from restricted maximum likelihood. Biometrics 53, 983–997,
       doi:10.2307/2533558.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import coefficient_table
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> coefficient_table(model, "kenward-roger")[["estimate", "std_error", "df", "t"]].round(3)
                 estimate  std_error    df       t
    (Intercept)   251.405      6.825  17.0  36.838
    Days           10.467      1.546  17.0   6.771
    """
    level = validation.check_level(level)
    tests = open_tests(model, ddf, robust)
    table = tests.t_table(np.eye(len(tests.names)), list(tests.names), level)
    return ResultTable.of(table, "Fixed effects", [tests.remark(level)])


def vcov(model: Any, *, adjusted: bool = False, robust: Robust | None = None) -> ResultTable:
    """Return the covariance matrix of the estimated fixed effects.

    Parameters
    ----------
    model : MixedLinearRegressor, generalized model or Pipeline
        The fitted model.
    adjusted : bool, default=False
        Whether to correct it for the estimation of the variances; for REML fits.
    robust : {"CR0", "CR2", "CR3"}, default=None
        A sandwich estimate in its place, as in `coefficient_table`.

    Returns
    -------
    ResultTable
        The matrix σ²(X'V⁻¹X)⁻¹, rows and columns by fixed effect; NaN for dropped
        columns. Of a generalized model that of β in the inverse of the observed
        information on all parameters, which is exact.

    Raises
    ------
    ValueError
        For `adjusted` after maximum likelihood, or of a generalized model.

    See Also
    --------
    coefficient_table : Standard errors, the roots of its diagonal, and tests.

    Notes
    -----
    The correction is Kenward and Roger's [1]_, for the bias of the estimate and for
    the error of the variances in it. In balanced designs both may be 0. Without it
    the matrix is at hand; it costs a few factorizations.

    References
    ----------
    .. [1] Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed
       effects from restricted maximum likelihood. Biometrics 53, 983–997,
       doi:10.2307/2533558.

    Examples
    --------
    With four subjects, the last of them on five of ten days, the correction shows:

    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import vcov
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> model = model.fit(X[:35], y[:35])
    >>> vcov(model).round(1)
                 (Intercept)  Days
    (Intercept)        553.1 -37.2
    Days               -37.2  33.5
    >>> vcov(model, adjusted=True).round(1)
                 (Intercept)  Days
    (Intercept)        557.9 -40.1
    Days               -40.1  35.2
    """
    validation.check_flag("adjusted", adjusted)
    view = fitted(model, has_family=True)
    if view.is_generalized and adjusted:
        raise ValueError(
            "adjusted=True corrects for the estimation of the variances by REML; the covariance "
            "matrix of a generalized model has all parameters' information. Leave it out."
        )
    if robust is not None:
        covariance = open_tests(model, None, robust).covariance
    elif adjusted:
        covariance = open_tests(model, "kenward-roger").covariance
    else:
        covariance = view.solution.fixed_covariance
    names = list(view.encoder.fixed_names)
    kept = list(view.solution.kept)
    out = np.full((len(names), len(names)), np.nan)
    out[np.ix_(kept, kept)] = covariance
    table = pd.DataFrame(out, index=names, columns=names)
    remarks = [f"{robust}, from the residuals of whole subjects."] if robust else []
    remarks += ["Corrected for the estimation of the variances."] if adjusted else []
    title = "Covariance matrix of the fixed effects"
    return ResultTable.of(table, title, remarks, dict.fromkeys(names, "number"))


def contrast(
    model: Any,
    L: Any,
    ddf: Ddf | None = None,
    *,
    joint: bool | None = None,
    level: float = 0.95,
    robust: Robust | None = None,
) -> ResultTable:
    """Test linear combinations of the fixed effects, Lβ = 0.

    Parameters
    ----------
    model : MixedLinearRegressor, generalized model or Pipeline
        The fitted model.
    L : array-like, DataFrame, Series, mapping or list of mappings
        One combination, of shape (n_fixed_effects,), or several, one a row, of
        shape (n_combinations, n_fixed_effects), in the order of
        ``fixed_effects_``; by name as a DataFrame or Series, or as mappings from
        fixed effects to weights, where what is not named is 0.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        The method for the degrees of freedom, as in `coefficient_table`; of models with a
        residual covariance also "kenward-roger-linear" and "between-within".
    joint : bool, default=None
        Whether to test all rows at once by F. None: where there are several.
    level : float, default=0.95
        Confidence level of the intervals of t tests.
    robust : {"CR0", "CR2", "CR3"}, default=None
        The kind of robust standard errors, as in `coefficient_table`. It tests at most as
        many rows at once as there are subjects less one.

    Returns
    -------
    ResultTable
        For t tests a row for each combination with the columns of
        `coefficient_table`; for the F test one row with ``df_num``,
        ``df_den``, ``F``, ``p_value``. F has as many degrees of freedom in the numerator
        as L has independent rows. NaN, with a
        `skmixed.exceptions.NotEstimableWarning`, for what the data do not determine
        because of dropped columns: combinations that are none of the rows of X. Of a
        generalized model Wald's z, and for several rows ``chi2``, ``df``, ``p_value``.

    Raises
    ------
    ValueError
        If L does not fit the model, or is 0.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.

    See Also
    --------
    coefficient_table : A test of each fixed effect by itself.
    anova : F tests of groups of columns, by name.

    Notes
    -----
    The denominator's degrees of freedom of several combinations are those of [1]_
    for Satterthwaite, as in lmerTest [2]_, and those of [3]_ with their scale of F
    for Kenward and Roger. The former depend somewhat on how a hypothesis is divided
    into rows, F and the latter do not. Costs what `coefficient_table` does.

    References
    ----------
    .. [1] Fai, A. H.-T. and Cornelius, P. L. (1996). Approximate F-tests of multiple
       degree of freedom hypotheses in generalized least squares analyses of
       unbalanced split-plot experiments. J. Stat. Comput. Simul. 54, 363–378,
       doi:10.1080/00949659608811740.
    .. [2] Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest
       package: tests in linear mixed effects models. J. Stat. Softw. 82(13), 1–26,
       doi:10.18637/jss.v082.i13.
    .. [3] Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed
       effects from restricted maximum likelihood. Biometrics 53, 983–997,
       doi:10.2307/2533558.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import contrast
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> contrast(model, {"(Intercept)": 1, "Days": 5})[["estimate", "lower", "upper"]].round(2)
       estimate   lower   upper
    0    303.74  283.53  323.96
    """
    level = validation.check_level(level)
    tests = open_tests(model, ddf, robust)
    rows, index = _combinations(L, tests)
    if joint is None:
        joint = len(rows) > 1
    validation.check_flag("joint", joint)
    undetermined = tests.undetermined(rows)
    is_determined: NDArray[np.bool_] = np.asarray(~undetermined.any(axis=1))
    if not is_determined.all():
        _warn_not_estimable(tests, undetermined, index)
    title = "Linear combinations of the fixed effects"
    if joint:
        table = tests.f_table({"joint": rows if is_determined.all() else rows[:0]})
        return ResultTable.of(table, f"{title}, at once", [tests.remark(is_joint=True)])
    table = tests.t_table(rows, index, level)
    table = table.where(pd.Series(is_determined, index=index), axis=0)
    return ResultTable.of(table, title, [tests.remark(level)])


def _warn_not_estimable(
    tests: FixedTests, undetermined: NDArray[np.bool_], index: list[Any] | range
) -> None:
    """Say which rows of L the data do not determine, and because of which columns."""
    assert tests.dependence is not None
    rows = [index[k] for k in np.flatnonzero(undetermined.any(axis=1))]
    dropped = np.array(tests.dependence.dropped)[undetermined.any(axis=0)]
    names = ", ".join(repr(tests.names[k]) for k in dropped)
    warn(
        f"The data do not determine {'row' if len(rows) == 1 else 'rows'} "
        f"{', '.join(map(repr, rows))} of L, which are combinations of no rows of X. They depend "
        f"on which columns were dropped in fit as linearly dependent, here {names}; their tests "
        "are NaN. Give L the weights of means or of differences of means, or fit without those "
        "columns.",
        NotEstimableWarning,
    )


def _combinations(L: Any, tests: FixedTests) -> tuple[FloatArray, list[Any] | range]:
    """Return L as a matrix over all fixed effects, and the labels of its rows."""
    index: list[Any] | None = None
    if isinstance(L, pd.DataFrame):
        index, L = list(L.index), [_named(row) for _, row in L.iterrows()]
    if isinstance(L, Mapping | pd.Series):
        L = [L]
    if isinstance(L, list | tuple) and L and all(isinstance(row, Mapping | pd.Series) for row in L):
        L = [_by_name(_named(row), tests) for row in L]
    try:
        rows = np.atleast_2d(np.asarray(L, dtype=float))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"L={L!r} is no matrix of numbers. Give one weight for each of the "
            f"{len(tests.names)} fixed effects, or a mapping by name."
        ) from error
    if rows.ndim != 2 or rows.shape[1] != len(tests.names):
        raise ValueError(
            f"L has shape {np.shape(L)}, but the model has {len(tests.names)} fixed effects: "
            f"{', '.join(map(repr, tests.names))}. Give one weight for each, or a mapping by name."
        )
    if not np.isfinite(rows).all():
        raise ValueError("L has weights that are NaN or infinite. Give finite ones.")
    if not rows.any(axis=1).all():
        raise ValueError("L has a row of zeros, which tests nothing. Leave it out.")
    return rows, range(len(rows)) if index is None else index


def _named(row: Mapping[str, float] | pd.Series) -> Mapping[str, float]:
    if isinstance(row, pd.Series):
        if not row.index.is_unique:
            name = row.index[row.index.duplicated()][0]
            raise ValueError(f"L names {name!r} twice. Give each fixed effect one weight.")
        return dict(row)
    return row


def _by_name(row: Mapping[str, float], tests: FixedTests) -> FloatArray:
    out = np.zeros(len(tests.names))
    for name, weight in row.items():
        if name not in tests.names:
            raise ValueError(
                f"L names {name!r}, which is not a fixed effect. The model has "
                f"{', '.join(map(repr, tests.names))}."
            )
        if tests.names.count(name) > 1:  # a column of X has the name of the intercept
            raise ValueError(f"L names {name!r}, which is a column and the intercept. Rename it.")
        try:
            out[tests.names.index(name)] = float(weight)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"L gives {name!r} the weight {weight!r}, which is no number. Give one."
            ) from error
    return out
