"""Tests of linear combinations of the fixed effects."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed import _validation as validation
from skmixed._fitted import terms_of
from skmixed._fixed_tests import Tests, open_tests

FloatArray = NDArray[np.float64]


def contrast(
    model: Any,
    L: Any,
    ddf: str = "satterthwaite",
    *,
    joint: bool | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Test linear combinations of the fixed effects, Lβ = 0.

    Parameters
    ----------
    model : MixedLinearRegressor or Pipeline
        Fitted.
    L : array-like, DataFrame, Series, mapping or list of mappings
        One combination, of shape (n_fixed_effects,), or several, one a row, of
        shape (n_combinations, n_fixed_effects), in the order of
        ``fixed_effects_``; by name as a DataFrame or Series, or as mappings from
        fixed effects to weights, where what is not named is 0.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default="satterthwaite"
        As in `coefficient_table`.
    joint : bool, default=None
        Whether to test all rows at once by F. None: where there are several.
    level : float, default=0.95
        Confidence level of the intervals of t tests.

    Returns
    -------
    DataFrame
        For t tests a row for each combination with the columns of
        `coefficient_table`; for the F test one row with ``F``, ``df_num``,
        ``df_den``, ``p_value``. F has as many degrees of freedom in the numerator
        as L has independent rows.

    Raises
    ------
    ValueError
        If L does not fit the model, is 0, or involves a dropped column.

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
    tests = open_tests(model, ddf)
    rows, index = _combinations(L, tests)
    if joint is None:
        joint = len(rows) > 1
    validation.check_flag("joint", joint)
    return tests.f_table({"joint": rows}) if joint else tests.t_table(rows, index, level)


def anova(
    model: Any,
    terms: Mapping[str, str | Sequence[str]] | None = None,
    ddf: str = "satterthwaite",
    *,
    type: int = 3,  # noqa: A002
) -> pd.DataFrame:
    """Test groups of columns by F: whether all their fixed effects are 0.

    Parameters
    ----------
    model : MixedLinearRegressor or Pipeline
        Fitted.
    terms : mapping of str to list of str, default=None
        Term → its columns of X. None: the terms of the model's formula; without
        one, every column is a term.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default="satterthwaite"
        As in `coefficient_table`.
    type : {3}, default=3
        Type of hypothesis: each term is tested with all others in the model.

    Returns
    -------
    DataFrame
        A row for each term: ``F``, ``df_num``, ``df_den``, ``p_value``. Dropped
        columns do not count; a term of dropped columns alone is NaN.

    Raises
    ------
    ValueError
        If a term names a column without a fixed effect, or `type` is not 3.
    TypeError
        If `terms` is no mapping, or a term does not name columns.

    See Also
    --------
    contrast : Tests of any combinations of the fixed effects.
    likelihood_ratio_test : Tests of nested models, also of random effects.

    Notes
    -----
    The hypotheses are about the columns as they are. With interactions they are
    those of SAS's and lmerTest's type III only if categorical columns are coded
    with contrasts that sum to 0 over the categories; with indicator (treatment)
    coding, the test of a main effect is then that at the reference category.

    The degrees of freedom are those of `contrast` [1]_.

    References
    ----------
    .. [1] Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest
       package: tests in linear mixed effects models. J. Stat. Softw. 82(13), 1–26,
       doi:10.18637/jss.v082.i13.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_machines
    >>> from skmixed.inference import anova
    >>> X, y = load_machines(return_X_y=True)
    >>> X = pd.get_dummies(X, columns=["Machine"], drop_first=True, dtype=float)
    >>> model = MixedLinearRegressor("Worker").fit(X, y)
    >>> anova(model, {"Machine": ["Machine_B", "Machine_C"]}, "kenward-roger").round(2)
                F  df_num  df_den  p_value
    Machine  87.8       2    46.0      0.0
    """
    if type != 3:
        raise ValueError(
            f"type={type!r} is not known. Only type 3 is offered; for sequential tests compare "
            "nested models with likelihood_ratio_test."
        )
    tests = open_tests(model, ddf)
    identity = np.eye(len(tests.names))
    kept = [name for k, name in enumerate(tests.names) if k in tests.kept]
    rows = {}
    for term, columns in _terms(terms_of(model) if terms is None else terms, tests).items():
        for name in columns:
            if name not in tests.names:
                raise ValueError(
                    f"terms[{term!r}] names {name!r}, which has no fixed effect. The model has "
                    f"{', '.join(map(repr, tests.names))}."
                )
        rows[term] = identity[[tests.names.index(name) for name in columns if name in kept]]
    return tests.f_table(rows)


def _terms(terms: Mapping[str, str | Sequence[str]] | None, tests: Tests) -> dict[str, list[str]]:
    if terms is None:
        slopes = tests.names[1:] if tests.has_intercept else tests.names
        return {name: [name] for name in slopes}
    if not isinstance(terms, Mapping):
        raise TypeError(
            f"terms={terms!r} is of type {terms.__class__.__name__}. Give a mapping from terms to "
            "columns; degrees of freedom are chosen by `ddf`."
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


def _combinations(L: Any, tests: Tests) -> tuple[FloatArray, list[Any]]:
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
    for k, name in enumerate(tests.names):
        if k not in tests.kept and rows[:, k].any():
            raise ValueError(
                f"L involves {name!r}, which was dropped as linearly dependent on the columns "
                "before it. Take it out of L or out of the model."
            )
    return rows, list(range(len(rows))) if index is None else index


def _named(row: Mapping[str, float] | pd.Series) -> Mapping[str, float]:
    if isinstance(row, pd.Series):
        if not row.index.is_unique:
            name = row.index[row.index.duplicated()][0]
            raise ValueError(f"L names {name!r} twice. Give each fixed effect one weight.")
        return dict(row)
    return row


def _by_name(row: Mapping[str, float], tests: Tests) -> FloatArray:
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
