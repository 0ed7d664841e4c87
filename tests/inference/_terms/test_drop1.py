"""Tests of terms that are left out: drop1 of lmerTest, glmmTMB and glmer, and smaller fits."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import reference_terms
from numpy.testing import assert_allclose
from reference_fits import ROOT
from scipy import stats

from skmixed import (
    MixedLinearRegressor,
    MixedPoissonRegressor,
    ResidualCovariance,
    glmer,
    lmer,
)
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference import anova, contrast, drop1, likelihood_ratio_test
from skmixed.inference._tables.table import ResultTable

pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning"),
]
GENERALIZED = json.loads((ROOT / "anova" / "generalized.json").read_text())["models"]
CASES = [
    (model, ddf)
    for model, record in reference_terms.RECORDED.items()
    for ddf in record.get("drop1", {})
]


@pytest.mark.parametrize(("model", "ddf"), CASES)
def test_tables_of_lmertest(model, ddf):
    record, fit = reference_terms.RECORDED[model], reference_terms.fitted(model)
    recorded = record["drop1"][ddf]
    found = drop1(fit, None, ddf)
    assert len(found) == len(recorded["terms"])
    found = reference_terms.in_order(found, recorded["terms"])
    if record["data"] == "sleepstudy_rank_deficient":  # columns that say the same
        assert found.drop(columns="df_num").isna().all(axis=None)
        assert recorded["F"] == [None, None]
        assert list(found["df_num"]) == [0, 0]
    else:
        reference_terms.assert_is_table(found, recorded, fit.sigma_)


def frame_of(record):
    frame = pd.read_csv(ROOT / "generalized" / "data" / f"{record['data']}.csv")
    return frame.astype(dict.fromkeys(record["factors"], "category"))


@pytest.mark.parametrize("name", GENERALIZED)
def test_tables_of_glmmtmb_and_glmer(name):
    record = GENERALIZED[name]
    family = {"nbinom2": "negative_binomial", "Gamma": "gamma"}.get(
        record["family"], record["family"]
    )
    found = drop1(glmer(record["formula"], frame_of(record), family))
    for program, tolerance in (("glmmTMB", 1e-6), ("glmer", 1e-3)):
        recorded = record.get(program)
        if recorded is None:
            continue
        order = [next(k for k in found.index if same(k, term)) for term in recorded["terms"]]
        table = found.loc[order]
        numbers = {k: reference_terms.numbers(recorded, k) for k in recorded if k != "terms"}
        assert_allclose(table["df"], numbers["df"])
        # glmmTMB's search ends within 1e-8 of the likelihood's maximum, glmer's modes within 1e-4
        # of it, and glmer has a scale of its own for gamma and negative binomial responses.
        assert_allclose(table["aic"], numbers["aic"], rtol=tolerance)
        assert_allclose(table["statistic"], numbers["statistic"], rtol=tolerance)
        assert_allclose(table["p_value"], numbers["p_value"], rtol=0, atol=tolerance)


def same(first, second):
    return frozenset(first.split(":")) == frozenset(second.split(":"))


def rows(seed=0, n=200):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(2.0, 1.0, n), "z": rng.normal(size=n)})
    frame["a"], frame["b"] = rng.choice(list("pqr"), n), rng.choice(list("uv"), n)
    frame["g"] = rng.integers(0, 14, n)
    eta = 0.4 * frame["x"] + (frame["a"] == "q") * 0.5 * frame["x"] + 0.3 * (frame["b"] == "v")
    eta += 0.6 * rng.normal(size=14)[frame["g"]]
    frame["y"] = eta + rng.normal(size=n)
    frame["count"] = rng.poisson(np.exp(eta - 1.0))
    return frame


# Formula → the terms that may go, and the formulas without them
SMALLER = {
    "a * b + x": {"x": "a * b", "a:b": "a + b + x"},
    "a * x + z": {"z": "a * x", "a:x": "a + x + z"},
    "a * b * x": {"a:b:x": "(a + b + x) ** 2"},
    "a + a:b": {"a:b": "a"},
    "x + I(x ** 2)": {"x": "I(x ** 2)", "I(x ** 2)": "x"},
    "0 + a + b + x": {"a": "0 + b + x", "b": "0 + a + x", "x": "0 + a + b"},
    "0 + a": {"a": "0"},
    "0 + a + x": {"a": "0 + x", "x": "0 + a"},
    "poly(x, 2) + a": {"poly(x, 2)": "a", "a": "poly(x, 2)"},
}


@pytest.mark.parametrize("terms", SMALLER)
def test_terms_that_may_go_and_what_is_left(terms):
    """Without groups F is the one of two residual sums of squares."""
    frame = rows()
    whole = lmer(f"y ~ {terms} + (1 | g)", frame)
    table = drop1(whole)
    assert list(table.index) == list(SMALLER[terms])
    # Of V at its estimates: squares of generalized least squares
    half = np.linalg.cholesky(np.eye(len(frame)) + whole.theta_[0] ** 2 * same_group(frame))
    y = np.linalg.solve(half, frame["y"])
    full = np.linalg.solve(half, matrix_of(terms, frame))
    for name, formula in SMALLER[terms].items():
        less = np.linalg.solve(half, matrix_of(formula, frame))
        q = np.linalg.matrix_rank(full) - rank(less)
        gain = squares(less, y) - squares(full, y)
        assert table.loc[name, "df_num"] == q
        # Differences of sums of squares of some 200
        assert_allclose(table.loc[name, "sum_sq"], gain, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("terms", ["a * b + x", "a * x + z", "b + z + a:x", "a * b * x"])
def test_they_are_those_of_type_two_and_of_the_last_term_by_type_one(terms):
    model = lmer(f"y ~ {terms} + (1 | g)", rows())
    table, last = drop1(model), anova(model, type=1).iloc[-1]
    for kind in (2, 3):
        expected = anova(model, type=kind).loc[table.index, ["df_num", "F"]]
        # F does not depend on how a hypothesis is divided into rows
        assert_allclose(table[["df_num", "F"]], expected, rtol=1e-9)
    assert_allclose(table.loc[last.name, ["df_num", "F"]], last[["df_num", "F"]], rtol=1e-9)


def same_group(frame):
    return np.equal.outer(frame["g"].to_numpy(), frame["g"].to_numpy()) * 1.0


def rank(matrix):
    return np.linalg.matrix_rank(matrix) if matrix.size else 0


def matrix_of(formula, frame):
    """The columns of a fixed part, by the formula alone."""
    if formula == "0":
        return np.zeros((len(frame), 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        model = lmer(f"y ~ {formula} + (1 | g)", frame)
    columns = model.model_matrix(frame)[
        list(model.fixed_effects_.index.drop("(Intercept)", errors="ignore"))
    ]
    has_intercept = "(Intercept)" in model.fixed_effects_
    return np.column_stack([np.ones((len(frame), int(has_intercept))), columns])


def squares(columns, y):
    rest = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return rest @ rest


@pytest.mark.parametrize("terms", SMALLER)
def test_generalized_models_without_a_term_are_those_of_other_formulas(terms):
    frame = rows()
    whole = glmer(f"count ~ {terms} + (1 | g)", frame, "poisson")
    table = drop1(whole)
    assert list(table.index) == ["<none>", *SMALLER[terms]]
    assert table.loc["<none>", "aic"] == pytest.approx(whole.aic_, rel=1e-12)
    for name, formula in SMALLER[terms].items():
        null = glmer(f"count ~ {formula} + (1 | g)", frame, "poisson")
        expected = likelihood_ratio_test(null, whole, check_nested=False).loc["alternative"]
        assert table.loc[name, "df"] == expected["df"]
        assert table.loc[name, "reference"] == f"χ²({expected['df']:.0f})"
        # The rounding of the ends of two searches
        assert_allclose(table.loc[name, "statistic"], expected["statistic"], rtol=1e-7, atol=1e-8)
        p_value = stats.chi2.sf(table.loc[name, "statistic"], expected["df"])
        assert_allclose(table.loc[name, "p_value"], p_value, rtol=1e-12)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_empty_cells(ddf):
    """The interaction has fewer rows of L than columns of formulaic, as in type II."""
    frame = rows()
    frame = frame[~((frame["a"] == "q") & (frame["b"] == "v"))]
    for terms in ("a * b + x", "C(a, contr.sum) * b + x"):
        model = lmer(f"y ~ {terms} + (1 | g)", frame)
        found, expected = drop1(model, None, ddf), anova(model, None, ddf, type=2)
        assert list(found["df_num"]) == [1, 1]
        # One row of L each: the same by any division
        assert_allclose(found, expected.loc[found.index], rtol=1e-8)
    model = glmer("count ~ a * b + x + (1 | g)", frame, "poisson")
    assert list(drop1(model)["df"].iloc[1:]) == [1, 1]


def test_rows_of_a_hypothesis_are_those_of_lmertest():
    """Its degrees of freedom depend on them: the columns of the term as they are coded."""
    frame = rows()
    model = lmer("y ~ a * x + (x | g)", frame)
    names = [name for name in model.fixed_effects_.index if ":" in name]
    expected = contrast(model, [{name: 1.0} for name in names])
    assert_allclose(drop1(model)[list(expected)], expected, rtol=1e-10)


def test_a_choice_of_terms():
    frame = rows()
    model = lmer("y ~ a * b + x + z + (1 | g)", frame)
    whole = drop1(model)
    chosen = pd.DataFrame(drop1(model, ["a:b", "z"]))
    pd.testing.assert_frame_equal(chosen, whole.loc[["z", "a:b"]])
    pd.testing.assert_frame_equal(pd.DataFrame(drop1(model, "x")), whole.loc[["x"]])
    count = glmer("count ~ a * b + x + (1 | g)", frame, "poisson")
    assert list(drop1(count, ["x"]).index) == ["<none>", "x"]
    with pytest.raises(ValueError, match=r"'a', which is part of 'a:b' and cannot be left out"):
        drop1(model, ["x", "a"])
    with pytest.raises(ValueError, match=r"'w', which is no term of the formula. .*'z', 'a:b'"):
        drop1(model, ["w"])
    for wrong in (model, 3, [1], {"a": 3}):
        with pytest.raises(TypeError, match=r"terms.*does not name"):
            drop1(model, wrong)


def test_columns_without_a_formula():
    frame = rows()
    table = pd.get_dummies(frame[["x", "z", "a", "g"]], columns=["a"], drop_first=True, dtype=float)
    plain = MixedLinearRegressor("g").fit(table, frame["y"])
    assert list(drop1(plain).index) == ["x", "z", "a_q", "a_r"]
    terms = {"a": ["a_q", "a_r"], "x": "x"}
    found = pd.DataFrame(drop1(plain, terms))
    pd.testing.assert_frame_equal(found, pd.DataFrame(anova(plain, terms)))
    by_formula = lmer("y ~ x + z + a + (1 | g)", frame)
    assert_allclose(drop1(plain, terms).loc["a"], drop1(by_formula).loc["a"], rtol=1e-6)
    count = MixedPoissonRegressor("g").fit(table, frame["count"])
    expected = drop1(glmer("count ~ x + z + a + (1 | g)", frame, "poisson"))
    found = drop1(count, terms)
    assert list(found.index) == ["<none>", "a", "x"]
    assert_allclose(found["aic"], expected.loc[found.index, "aic"], rtol=1e-10)
    with pytest.raises(ValueError, match=r"names 'w', which has no fixed effect"):
        drop1(count, {"w": ["w"]})


def test_of_a_generalized_model_a_column_that_others_make_adds_nothing():
    frame = rows().assign(twice=lambda d: 2.0 * d["x"])
    table = drop1(glmer("count ~ x + twice + z + (1 | g)", frame, "poisson"))
    assert table.loc[["x", "twice"], ["statistic", "df", "p_value"]].isna().all(axis=None)
    assert table.loc["z", "df"] == 1
    assert table.loc["x", "log_likelihood"] == pytest.approx(table.loc["<none>", "log_likelihood"])


def test_columns_that_do_not_make_what_is_left():
    """Without an intercept b:z has the columns of two categories where a:z has all of its own."""
    frame = rows()
    formula = "count ~ 0 + a:z + b:z + (1 | g)"
    model = glmer(formula, frame, "poisson")
    with pytest.raises(ValueError, match=r"without 'a:z' is not made of the other columns"):
        drop1(model)
    assert list(drop1(model, ["b:z"])["df"].iloc[1:]) == [1]
    linear = lmer(formula.replace("count", "y"), frame)
    assert list(drop1(linear)["df_num"]) == [2, 1]


def test_with_a_residual_covariance():
    frame = rows().sort_values("g", kind="stable")
    frame["t"] = frame.groupby("g").cumcount()
    residual = ResidualCovariance("ar1", subject="g", time="t")
    model = lmer("y ~ a * x + z", frame, residual=residual)
    for options in ({}, {"ddf": "kenward-roger"}, {"robust": "CR2"}):
        table = drop1(model, **options)
        assert list(table) == ["df_num", "df_den", "F", "p_value"]
        expected = anova(model, type=3, **options).loc[list(table.index)]
        # Nothing contains them: one hypothesis by any type, and F does not depend on its rows
        assert_allclose(table["F"], expected["F"], rtol=1e-8)


def test_a_table_that_says_what_it_is():
    frame = rows()
    tables = [
        drop1(lmer("y ~ a + x + (1 | g)", frame)),
        drop1(glmer("count ~ a + x + (1 | g)", frame, "poisson")),
    ]
    assert all(isinstance(own, ResultTable) for own in tables)
    assert tables[0].title == tables[1].title == "Tests of single terms that are left out"
    assert tables[0].remarks == ("F tests with Satterthwaite's degrees of freedom.",)
    assert "<none> is the model itself" in tables[1].remarks[0]


def test_models_without_terms():
    frame = rows()
    for model in (
        lmer("y ~ 1 + (1 | g)", frame),
        MixedLinearRegressor("g", fixed=[]).fit(frame[["x", "g"]], frame["y"]),
    ):
        with pytest.warns(UserWarning, match="no terms to test"):
            assert drop1(model).empty
    with pytest.warns(UserWarning, match="no terms to test"):
        table = drop1(glmer("count ~ 1 + (1 | g)", frame, "poisson"))
    assert list(table.index) == ["<none>"]


def test_methods_that_do_not_fit():
    frame = rows()
    with pytest.raises(ValueError, match="Kenward and Roger's method needs a REML fit"):
        drop1(lmer("y ~ x + (1 | g)", frame, REML=False), ddf="kenward-roger")
    with pytest.raises(ValueError, match="the tests of a generalized model are normal"):
        drop1(glmer("count ~ x + (1 | g)", frame, "poisson"), ddf="satterthwaite")
