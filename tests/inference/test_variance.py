"""ICC, R² and shares of variance."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from reference_fits import read_frame, references
from sklearn.pipeline import make_pipeline

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import icc, r2, variance_decomposition

ALL = references(single_factor=True) + references(single_factor=False)
# insight 0.19 takes slopes without their term's intercept for nothing, or in part.
WRONG_IN_R = {"uncorrelated", "random_machine_cells"}
NAKAGAWA = [r for r in ALL if r.fit.get("nakagawa") and r.model not in WRONG_IN_R]
INTERCEPTS = [r for r in ALL if r.fit.get("icc_by_group") and not r.slopes]
FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]


def fit(groups="Subject", X=X, y=Y, weights=None, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MixedLinearRegressor(groups, **parameters).fit(X, y, weights)


def fit_reference(reference):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return reference.fitted()


@pytest.mark.parametrize("reference", NAKAGAWA, ids=str)
def test_variances_of_nakagawa(reference):
    expected, model = reference.fit["nakagawa"], fit_reference(reference)
    table = variance_decomposition(model)
    variance = table["variance"]
    # Variances of two optima (tests/test_reference.py).
    tolerance = {"rtol": 1e-6, "atol": 1e-9}
    assert_allclose(variance["fixed"], expected["var_fixed"], **tolerance)
    assert_allclose(variance.iloc[1:-1].sum(), expected["var_random"], **tolerance)
    assert_allclose(variance["residual"], expected["var_residual"], **tolerance)
    assert_allclose(table["sd"] ** 2, variance)
    assert table["share"].sum() == pytest.approx(1.0)
    found = [*r2(model), icc(model).iloc[-1], icc(model, adjusted=False).iloc[-1]]
    keys = ["r2_marginal", "r2_conditional", "icc_adjusted", "icc_unadjusted"]
    assert_allclose(found, [expected[k] for k in keys], **tolerance)


@pytest.mark.parametrize("reference", INTERCEPTS, ids=str)
def test_icc_by_group(reference):
    expected, found = reference.fit["icc_by_group"], icc(fit_reference(reference))
    assert_allclose(found[expected["group"]], expected["icc"], rtol=1e-6)
    assert ("total" in found) == (len(expected["group"]) > 1)


def test_there_are_references():
    assert len(NAKAGAWA) >= 50
    assert len(INTERCEPTS) >= 40
    assert {r.dataset for r in NAKAGAWA} >= {"sleepstudy_weighted", "sleepstudy_rank_deficient"}
    assert {r.model for r in ALL} >= WRONG_IN_R


def test_students_in_schools():
    frame = read_frame("toy_schools")
    model = fit("school", frame[["school"]], frame["score"])
    between = model.covariances_["school"].iloc[0, 0]
    share = icc(model)
    assert share.name == "icc"
    assert share.to_dict() == {
        "school": pytest.approx(between / (between + model.sigma_**2), rel=1e-12)
    }
    # Without fixed effects but the intercept, no variance is theirs.
    assert_allclose(icc(model, adjusted=False), share)
    assert r2(model)["marginal"] == 0.0


def dense_variances(model, X, factors):
    """The definitions, over rows: var(Xβ̂), and the mean of z'Σz, by factor."""
    fixed = np.var(model.predict(X, include="fixed"), ddof=1)
    random = []
    for factor in factors:
        sigma = model.covariances_[factor]
        columns = [np.ones(len(X)) if n == "(Intercept)" else X[n] for n in sigma.index]
        z = np.column_stack(columns)
        random.append(np.mean(np.einsum("ij,jk,ik->i", z, sigma, z)))
    return [fixed, *random, model.sigma_**2]


RNG = np.random.default_rng(5)
MANY = pd.DataFrame(
    {
        "a": RNG.normal(3.0, 2.0, 240),
        "b": RNG.normal(size=240),
        "g": RNG.integers(0, 15, 240),
        "h": RNG.integers(0, 8, 240),
    }
)
MANY_Y = (
    MANY["a"]
    + RNG.normal(size=15)[MANY["g"]] * (1 + MANY["b"])
    + RNG.normal(size=8)[MANY["h"]]
    + RNG.normal(size=240)
)
WEIGHTS = RNG.uniform(0.2, 3.0, 240)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("covariance", ["full", "diag", "spherical"])
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("intercept", [True, False])
def test_definitions(covariance, weights, method, intercept):
    terms = [RandomEffect("g", ["a", "b"]), RandomEffect("h", "b", intercept=False)]
    model = fit(
        terms,
        MANY,
        MANY_Y,
        weights,
        covariance=covariance,
        method=method,
        fit_intercept=intercept,
    )
    table = variance_decomposition(model)
    assert list(table.index) == ["fixed", "g", "h", "residual"]
    # Sums over 240 rows in another order.
    assert_allclose(table["variance"], dense_variances(model, MANY, ["g", "h"]), rtol=1e-10)
    share = table["share"]
    assert_allclose(icc(model, adjusted=False), [share["g"], share["h"], share["g"] + share["h"]])
    assert list(icc(model).index) == ["g", "h", "total"]
    assert_allclose(icc(model)["g"], share["g"] / (1 - share["fixed"]))
    assert_allclose(r2(model), [share["fixed"], 1 - share["residual"]])


def test_two_terms_of_one_factor_count_together():
    apart = fit([RandomEffect("g"), RandomEffect("g", "b", intercept=False)], MANY, MANY_Y)
    diag = fit([RandomEffect("g", "b", covariance="diag")], MANY, MANY_Y)
    # Two searches for one optimum, whose variances have half its digits.
    assert_allclose(icc(apart), icc(diag), rtol=1e-6)
    assert list(icc(apart).index) == ["g"]


@pytest.mark.parametrize("dataset", ["sleepstudy", "sleepstudy_unbalanced"])
def test_slopes_without_correlation(dataset):
    frame = read_frame(dataset).dropna()
    data = {"X": frame[["Days", "Subject"]], "y": frame["Reaction"]}
    model = fit(**data, random_slopes="Days", covariance="diag")
    dense = dense_variances(model, data["X"], ["Subject"])
    # Sums over the rows in another order.
    assert_allclose(variance_decomposition(model)["variance"], dense, rtol=1e-10)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_cells_are_the_same_model(method):
    one, cells = (
        next(r for r in ALL if r.model == name and r.method == method)
        for name in ("random_machine", "random_machine_cells")
    )
    found = variance_decomposition(fit_reference(cells))["variance"]
    # One model in two parametrizations, of which R gives the first right.
    assert_allclose(found["Worker"], one.fit["nakagawa"]["var_random"], rtol=1e-6)


@settings(deadline=None, max_examples=20)
@given(
    shift=st.floats(-1e6, 1e6),
    scale=st.floats(1e-6, 1e6),
    y_scale=st.floats(1e-6, 1e6),
    y_shift=st.floats(-1e4, 1e4),
)
def test_shares_do_not_depend_on_units(shift, scale, y_scale, y_shift):
    expected = variance_decomposition(fit(random_slopes="Days"))
    model = fit(
        X=X.assign(Days=shift * scale + scale * X["Days"]),
        y=y_scale * (Y + y_shift),
        random_slopes="Days",
    )
    found = variance_decomposition(model)
    # A column at 1e6 times its spread keeps ten digits; a variance, half the
    # digits of the optimum's criterion.
    assert_allclose(found["share"], expected["share"], rtol=1e-6)
    assert_allclose(found["variance"], y_scale**2 * expected["variance"], rtol=1e-6)


def test_unix_time():
    time = X.assign(Days=1.6e9 + 86_400 * X["Days"])
    expected = icc(fit(random_slopes="Days"))
    assert_allclose(icc(fit(X=time, random_slopes="Days")), expected, rtol=1e-6)  # as above


def test_all_weights_times_a_number():
    model, other = fit(weights=np.ones(180)), fit(weights=np.full(180, 4.0))
    before, after = (variance_decomposition(m)["variance"] for m in (model, other))
    assert_allclose(after[["fixed", "Subject"]], before[["fixed", "Subject"]], rtol=1e-9)
    # σ² is the variance of a row of weight 1.
    assert_allclose(after["residual"], 4 * before["residual"], rtol=1e-9)


def test_rows_of_weight_zero_do_not_count():
    weights = np.r_[np.zeros(30), np.linspace(0.5, 2.0, 150)]
    expected = variance_decomposition(fit(X=X[30:], y=Y[30:], weights=weights[30:]))
    pd.testing.assert_frame_equal(variance_decomposition(fit(weights=weights)), expected)


def test_variance_of_zero():
    frame = read_frame("dyestuff2")
    model = fit("Batch", frame[["Batch"]], frame["Yield"])
    assert icc(model).to_dict() == {"Batch": 0.0}
    assert icc(model, adjusted=False).to_dict() == {"Batch": 0.0}
    assert r2(model).to_dict() == {"marginal": 0.0, "conditional": 0.0}


def test_least_squares():
    model = fit(None, fixed=["Days"])
    fitted, table = model.predict(X), variance_decomposition(model)
    assert list(table.index) == ["fixed", "residual"]
    assert_allclose(table["variance"], [np.var(fitted, ddof=1), model.sigma_**2])
    assert r2(model)["marginal"] == r2(model)["conditional"] == table["share"]["fixed"]
    message = "The model has no grouping factor (groups=None is ordinary least squares)"
    with pytest.raises(ValueError, match=re.escape(message)):
        icc(model)


@pytest.mark.parametrize("y", [np.ones(180), np.zeros(180), 2.0 * X["Days"].to_numpy()])
@pytest.mark.parametrize("groups", [None, "Subject"])
def test_exact_fits_are_finite(y, groups):
    table = variance_decomposition(fit(groups, y=y, fixed=["Days"]))
    assert np.isfinite(table.to_numpy()).all()
    assert (table.to_numpy() >= 0).all()


def test_one_row():
    table = variance_decomposition(fit(None, np.ones((1, 1)), [3.0]))
    assert np.isfinite(table.to_numpy()).all()
    assert table.loc["fixed", "variance"] == 0.0


def test_dropped_columns_change_nothing():
    twice = X.assign(twice=2 * X["Days"])[["Days", "twice", "Subject"]]
    expected = variance_decomposition(fit())
    # The same columns at other places of the sums.
    assert_allclose(variance_decomposition(fit(X=twice)), expected, rtol=1e-10)


def test_names_that_recur():
    names = {"Subject": "fixed"}
    table = variance_decomposition(fit("fixed", X.rename(columns=names)))
    assert list(table.index) == ["fixed", "fixed", "residual"]
    expected = icc(fit())["Subject"]
    assert icc(fit("fixed", X.rename(columns=names))).to_dict() == {"fixed": expected}


@pytest.mark.parametrize("function", [icc, r2, variance_decomposition])
def test_what_they_take(function):
    pipeline = make_pipeline(fit())
    assert_allclose(function(pipeline), function(fit()))
    with pytest.raises(TypeError, match=r"model is of type DataFrame\. Give a fitted"):
        function(X)
