"""Tests of terms: lmerTest's and SAS's tables, the same by any coding."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference_terms
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.exceptions import NotFittedError

from skmixed import MixedLinearRegressor, ResidualCovariance, glmer, lmer
from skmixed.datasets import load_cake
from skmixed.exceptions import RefitWarning
from skmixed.formula import FormulaRegressor
from skmixed.inference import anova, contrast, likelihood_ratio_test

pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning"),
]
RECORDED = json.loads((Path(__file__).parents[2] / "reference/anova/carrots.json").read_text())
COLUMNS = ["F", "df_num", "df_den", "p_value"]


@cache
def carrots():
    consumers, products = (pd.DataFrame(RECORDED[name]) for name in ("consumers", "products"))
    scores = pd.Series([score for row in RECORDED["preference"] for score in row])
    frame = consumers.merge(products, how="cross")
    return frame.assign(Preference=pd.to_numeric(scores.where(scores != ".")))


@cache
def fit_carrots(model):
    formula = RECORDED["fits"][model]["formula"]
    used = [name for name in carrots() if re.search(rf"\b{name}\b", formula)]
    return lmer(formula, carrots()[used].dropna())


def in_order(table, terms):
    """The rows of the terms, whatever the order of the factors in their names."""
    names = {frozenset(name.split(":")): name for name in table.index}
    return table.loc[[names[frozenset(term.split(":"))] for term in terms], COLUMNS]


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("model", RECORDED["fits"])
def test_tables_of_lmertest(model, ddf, kind):
    recorded = RECORDED["fits"][model]["tables"][ddf][str(kind)]
    expected = pd.DataFrame({name: np.atleast_1d(v) for name, v in recorded.items()})
    found = in_order(anova(fit_carrots(model), None, ddf, type=kind), expected["terms"])
    assert list(found["df_num"]) == list(expected["df_num"])
    # lme4 stops within 4e-7 of the criterion's minimum, which leaves the root of it in θ.
    assert_allclose(found, expected[COLUMNS].to_numpy(dtype=float), rtol=3e-4, atol=1e-6)


GENERALIZED = json.loads(
    (Path(__file__).parents[2] / "reference/anova/generalized.json").read_text()
)["models"]


@pytest.mark.parametrize("name", ["epil", "clinics", "clinics_gamma"])
def test_type_two_of_generalized_models_is_that_of_car(name):
    """Terms that others contain are tested by the information, as by car::Anova."""
    record = GENERALIZED[name]
    path = Path(__file__).parents[2] / "reference/generalized/data" / f"{record['data']}.csv"
    frame = pd.read_csv(path).astype(dict.fromkeys(record["factors"], "category"))
    family = {"Gamma": "gamma"}.get(record["family"], record["family"])
    found = anova(glmer(record["formula"], frame, family), type=2)
    by_name = {frozenset(term.split(":")): row for term, row in found.iterrows()}
    expected = pd.DataFrame(record["car"])
    rows = [by_name[frozenset(term.split(":"))] for term in expected["terms"]]
    assert [row["df"] for row in rows] == list(expected["df"])
    # glmmTMB's search ends within 1e-8 of the likelihood's maximum, the root of it in the variances
    columns = ["chi2", "p_value"]
    numbers = np.array([row[columns] for row in rows], dtype=float)
    assert_allclose(numbers, expected[columns].to_numpy(), rtol=3e-4, atol=1e-6)


def test_type_two_by_the_information_with_a_dropped_column():
    """A column that says the same as another changes no hypothesis of the others."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.choice(list("pq"), 300), "b": rng.choice(list("uv"), 300)})
    frame["x"] = rng.normal(2000.0, 1.0, 300)
    frame["g"], frame["twice"] = rng.integers(0, 15, 300), 2.0 * frame["x"]
    frame["y"] = rng.poisson(np.exp(0.3 * (frame["a"] == "p") + 0.1 * (frame["x"] - 2000.0)))
    formula = "y ~ a * b + x + (1 | g)"
    plain = anova(glmer(formula, frame, "poisson"), type=2)
    more = anova(glmer(formula.replace(" x", " x + twice"), frame, "poisson"), type=2)
    # Of x 1,000 standard deviations from 0
    assert_allclose(more.loc[["a", "b", "a:b"]], plain.loc[["a", "b", "a:b"]], rtol=1e-6)


TABLES = [
    (model, ddf, kind)
    for model, record in reference_terms.RECORDED.items()
    for ddf, tables in record.get("anova", {}).items()
    for kind in tables
    # Dropped columns: lmerTest's tables are empty
    if tables[kind]["terms"] and record["data"] != "sleepstudy_rank_deficient"
]


def test_there_are_tables():
    models = {model for model, *_ in TABLES}
    assert len(models) >= 30
    assert {"cake_empty_cell", "orthodont_weights", "cake/ordered", "kr_covariates"} <= models


@pytest.mark.parametrize(("model", "ddf", "kind"), TABLES)
def test_sums_of_squares_of_lmertest(model, ddf, kind):
    record, fit = reference_terms.RECORDED[model], reference_terms.fitted(model)
    recorded = record["anova"][ddf][kind]
    found = reference_terms.in_order(anova(fit, None, ddf, type=int(kind)), recorded["terms"])
    assert list(found) == ["sum_sq", "mean_sq", "df_num", "df_den", "F", "p_value"]
    reference_terms.assert_is_table(found, recorded, fit.sigma_)


def test_type_two_of_sas():
    """Goodnight's example with a random factor; PROC MIXED, as in lmerTest's tests."""
    frame = pd.DataFrame(
        {
            "a": [*"1112222212"],
            "b": [*"1121222221"],
            "f": [*"1212121212"],
            "y": [12.0, 14, 11, 20, 17, 23, 35, 46, 15, 16],
        }
    )
    for formula in ("y ~ a * b + (1 | f)", "y ~ C(b, contr.sum) * C(a, contr.helmert) + (1 | f)"):
        found = anova(lmer(formula, frame), type=2)
        values = found["F"].sort_values(ascending=False)
        assert_allclose(values, [3.90131, 1.32753, 0.99565], rtol=1e-5)  # as printed


def design(rng, n=90):
    """Unbalanced rows in 8 of 9 cells, a further factor, and a covariate."""
    frame = pd.DataFrame({name: rng.choice(list(levels), n) for name, levels in LEVELS.items()})
    frame = frame[~((frame["a"] == "r") & (frame["b"] == "w"))]
    frame["x"] = rng.normal(3.0, 1.0, len(frame))
    frame["g"] = rng.integers(0, 12, len(frame)).astype(str)
    effects = rng.normal(size=12)[frame["g"].astype(int)]
    means = (frame["a"] == "q") + (frame["b"] == "v") * (frame["a"] == "p") + frame["x"]
    frame["y"] = means + effects + rng.normal(size=len(frame))
    return frame


LEVELS = {"a": "pqr", "b": "uvw", "c": "kl"}
OWN = np.array([[1.0, 0.3], [-2.0, 1.0], [0.5, 4.0]])
CODINGS = ["contr.sum", "contr.helmert", "contr.poly", "contr.treatment('{last}')", "own"]


def coded(formula, coding):
    def replace(match):
        name = match[0]
        chosen = "contr.helmert" if coding == "own" and name == "c" else coding
        return f"C({name}, {chosen.format(last=LEVELS[name][-1])})"

    return re.sub(r"\b[abc]\b", replace, formula)


@pytest.mark.slow
@pytest.mark.parametrize(
    "terms",
    ["a * b", "a * b * c", "a * b + c + x", "a * b * x", "a + a:b", "a:b + x:a", "a * c * x"],
)
def test_no_coding_changes_a_test(terms):
    frame = design(np.random.default_rng(len(terms)))
    random = "(1 | g) + (0 + x | g)"
    # Where a factor has all its columns, formulaic takes no more than the coding has.
    codings = CODINGS if terms.startswith("a *") else CODINGS[:-1]
    plain, *others = [
        lmer(f"y ~ {own} + {random}", frame, context={"own": OWN})
        for own in (terms, *(coded(terms, coding) for coding in codings))
    ]
    # Each method with every other type: over the terms all pairs occur
    methods = ["satterthwaite", "kenward-roger", "satterthwaite", "kenward-roger"]
    for ddf, kind in zip(methods[terms.count("*") % 2 :], (1, 2, 3), strict=False):
        expected = anova(plain, None, ddf, type=kind)
        assert expected["F"].notna().all()
        for model in others:
            found = anova(model, None, ddf, type=kind)
            assert list(found["df_num"]) == list(expected["df_num"])
            # The optimum is that of another criterion, by a constant: to the tolerance.
            assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("terms", ["a * b", "a * b * c", "a * b + c + x"])
def test_interactions_are_the_same_without_an_intercept(terms):
    """The first factor has all its columns then; of the rest of the terms nothing changes."""
    frame = design(np.random.default_rng(3))
    expected = anova(lmer(f"y ~ {terms} + (1 | g)", frame))
    found = anova(lmer(f"y ~ 0 + {terms} + (1 | g)", frame))
    assert_allclose(found, expected, rtol=1e-5)
    means = anova(lmer("y ~ 0 + a + (1 | g)", frame))
    assert means["df_num"].item() == 3  # whether all means are 0


def residual_squares(columns, y):
    fitted = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return float(((y - fitted) ** 2).sum())


@pytest.mark.parametrize("kind", [1, 2])
def test_sums_of_squares_of_nested_models(kind):
    """Without groups, F of types I and II compares two models by least squares."""
    frame = design(np.random.default_rng(8))
    columns = {t: pd.get_dummies(frame[t], dtype=float).to_numpy() for t in "abc"}
    columns["x"] = frame[["x"]].to_numpy()
    columns["a:b"] = (columns["a"][:, :, None] * columns["b"][:, None]).reshape(len(frame), -1)
    columns["a:x"] = columns["a"] * columns["x"]
    names = list(columns)
    within = {"a": ["a:b"], "b": ["a:b"], "x": ["a:x"]}
    model = lmer(
        "y ~ C(a, contr.sum) * C(b, own) + c + x + C(a, contr.sum):x", frame, context={"own": OWN}
    )
    y, ones = frame["y"].to_numpy(), np.ones((len(frame), 1))
    everything = np.column_stack([ones, *columns.values()])
    df = len(frame) - np.linalg.matrix_rank(everything)
    table = anova(model, None, "residual", type=kind)
    table.index = [re.sub(r"C\((\w),[^)]*\)", r"\1", name) for name in table.index]
    order = [name.split(":") for name in table.index]
    order = [next(n for n in names if set(n.split(":")) == set(own)) for own in order]
    for k, name in enumerate(order):
        if kind == 1:
            others = order[:k]
        else:
            others = [n for n in names if n != name and n not in within.get(name, [])]
        small = np.column_stack([ones, *(columns[n] for n in others)])
        large = np.column_stack([small, columns[name]])
        q = np.linalg.matrix_rank(large) - np.linalg.matrix_rank(small)
        gain = residual_squares(small, y) - residual_squares(large, y)
        f = gain / q / (residual_squares(everything, y) / df)
        # Both are rounded to some 1e-10.
        expected = [gain, gain / q, q, df, f, stats.f.sf(f, q, df)]
        assert_allclose(table.iloc[k], expected, rtol=1e-8)


def test_weights_do_not_count_rows():
    """lmerTest 3.1-3; types I and II take the numbers of rows, not of weights."""
    rows = [(a, b, i) for a in "pqr" for b in "uvw" for i in range(1, 6)]
    frame = pd.DataFrame(rows, columns=["a", "b", "i"])
    frame = frame[~((frame["a"] == "r") & (frame["b"] == "w"))]
    frame = frame[~((frame["a"] == "p") & (frame["i"] > 3))]
    k = np.arange(1, len(frame) + 1)
    frame = frame.assign(g=k % 7, x=k * 7 % 11, w=1 + k * 5 % 4)
    steep = 0.5 * frame["x"] * (frame["b"] == "v")
    frame["y"] = k * k * 3 % 17 + 2 * (frame["a"] == "q") + k % 7 + steep
    model = lmer("y ~ a * b + x + (1 | g)", frame, weights="w")
    expected = {
        1: {"a": 0.53874, "b": 2.40362, "x": 0.63735, "a:b": 0.38115},
        2: {"a": 0.90759, "b": 2.35343, "x": 0.63600, "a:b": 0.38115},
        3: {"a": 0.95871, "b": 2.63119, "x": 0.63600, "a:b": 0.38115},
    }
    for kind, values in expected.items():
        found = anova(model, type=kind)
        assert_allclose(found["F"][list(values)], list(values.values()), atol=5e-6)  # as printed
        assert_allclose(found["df_den"], 25.0)


def test_what_nothing_determines_is_nan():
    """Cells in two parts that no row connects: main effects are compared within them."""
    rng = np.random.default_rng(0)
    cells = [("p", "u"), ("p", "v"), ("q", "u"), ("q", "v"), ("r", "w")]
    frame = pd.DataFrame([cells[k] for k in rng.integers(0, 5, 80)], columns=["a", "b"])
    frame["g"], frame["y"] = rng.integers(0, 8, 80), rng.normal(size=80)
    for terms in ("a * b", "C(a, contr.sum) * C(b, contr.sum)"):
        found = anova(lmer(f"y ~ {terms} + (1 | g)", frame))
        assert list(found["df_num"]) == [1, 1, 1]
    alone = frame[frame["a"] != "q"]
    model = lmer("y ~ a + b + (1 | g)", alone[alone["b"] != "v"])
    for kind, expected in ((1, [1, 0]), (2, [0, 0]), (3, [0, 0])):
        found = anova(model, type=kind)
        assert list(found["df_num"]) == expected
        assert (found["F"].isna() == (found["df_num"] == 0)).all()
        untested = ", ".join(map(repr, found.index[found["df_num"] == 0]))
        below = " ".join(str(found).split())
        assert f"leave nothing of them to be estimated: {untested}. Leave one" in below


def test_numbers_far_from_zero():
    """Seconds since 1970 over a day, in their own unit."""
    frame = design(np.random.default_rng(5))
    near = anova(lmer("y ~ a * x + (1 | g)", frame), type=2)
    far = frame.assign(x=1.6e9 + 86400.0 * frame["x"])
    found = anova(lmer("y ~ a * x + (1 | g)", far), type=2)
    assert_allclose(found.loc["a:x"], near.loc["a:x"], rtol=1e-4)
    # A p-value of 1e-14 shows ten times the rounding.
    assert_allclose(found.loc["x"], near.loc["x"], rtol=1e-4)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_columns_that_nearly_depend_on_each_other(kind, ddf):
    """Less x and in units of its own, a column that agrees with x to 8 digits is any other."""
    frame = design(np.random.default_rng(11)).assign(z=lambda d: d["x"] + 5e-9 * d["y"] ** 2)
    frame["rest"] = (frame["z"] - frame["x"]) / 5e-9
    expected = anova(lmer("y ~ x + rest + a + (1 | g)", frame), None, ddf, type=kind)
    found = anova(lmer("y ~ x + z + a + (1 | g)", frame), None, ddf, type=kind)
    # 8 of 16 digits of what is left of the column are its rounding.
    assert_allclose(found.loc[["z", "a"]], expected.loc[["rest", "a"]], rtol=1e-5)


def test_terms_have_the_names_of_the_formula():
    frame = design(np.random.default_rng(8)).assign(flag=lambda d: d["x"] > 0.3)
    expected = anova(lmer("y ~ a * x + log(x + 9) + flag:x + (1 | g)", frame))
    names = {"a": "a:1", "x": "1", "flag": "the flag"}
    other = "y ~ `a:1` * `1` + log(`1` + 9) + `the flag`:`1` + (1 | g)"
    found = anova(lmer(other, frame.rename(columns=names)))
    assert list(expected.index) == ["a", "x", "log(x + 9)", "a:x", "flag:x"]
    assert list(found.index) == ["`a:1`", "1", "log(`1` + 9)", "`a:1`:1", "the flag:1"]
    assert_allclose(found, expected, rtol=1e-9)


def test_several_numeric_columns_in_a_term():
    frame = design(np.random.default_rng(6)).assign(z=lambda d: d["x"] ** 2 - d["x"].mean())
    by_columns = anova(lmer("y ~ a * (poly(x, 2) + poly(z, 2):b) + (1 | g)", frame))
    other = lmer(
        "y ~ C(a, contr.sum) * (poly(x, 2) + poly(z, 2):C(b, contr.helmert)) + (1 | g)", frame
    )
    assert_allclose(anova(other), by_columns, rtol=1e-5)


def test_a_coding_with_fewer_columns_than_categories_is_tested_as_it_is():
    frame = design(np.random.default_rng(7))
    frame["line"] = frame["a"].map({"p": -1.0, "q": 0.0, "r": 1.0})
    expected = anova(lmer("y ~ line * b + (1 | g)", frame))
    model = lmer("y ~ C(a, [[-1], [0], [1]]) * b + (1 | g)", frame)
    assert_allclose(anova(model), expected, rtol=1e-5)


def test_types():
    frame = design(np.random.default_rng(9))
    model = lmer("y ~ a + (1 | g)", frame)
    pd.testing.assert_frame_equal(anova(model, type="II"), anova(model, type=2))
    for wrong in (0, 4, "IV", None, True, 2.5):
        with pytest.raises(ValueError, match=r"type=.* is not known. Choose one of 1, 2, 3"):
            anova(model, type=wrong)
    plain = MixedLinearRegressor("g").fit(frame[["x", "g"]], frame["y"])
    for fitted, terms in ((plain, None), (model, {"a": "a[T.q]"})):
        with pytest.raises(ValueError, match="type=1 needs the terms of a formula"):
            anova(fitted, terms, type=1)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_a_model_without_terms_has_an_empty_table_and_says_so():
    frame = design(np.random.default_rng(9))
    rows, y = frame[["x", "g"]], frame["y"]
    intercept = [
        lmer("y ~ 1 + (1 | g)", frame),
        MixedLinearRegressor("g", fixed=[]).fit(rows, y),
    ]
    nothing = [
        lmer("y ~ 0 + (1 | g)", frame),
        MixedLinearRegressor("g", fixed=[], fit_intercept=False).fit(rows, y),
    ]
    for models, own in ((intercept, "the intercept alone, which"), (nothing, "empty")):
        for model in models:
            with pytest.warns(UserWarning, match=f"no terms to test.*its fixed part is {own}"):
                table = anova(model)
            assert table.empty
            assert list(table) == ["sum_sq", "mean_sq", "df_num", "df_den", "F", "p_value"]


def test_several_models_are_compared_by_their_likelihoods():
    frame = design(np.random.default_rng(9))
    formulas = ["y ~ a + (1 | g)", "y ~ a + b + (1 | g)", "y ~ a * b + (1 | g)"]
    models = [lmer(own, frame, REML=False) for own in formulas]
    for own in (models[:2], models, models[::-1]):
        pd.testing.assert_frame_equal(anova(*own), likelihood_ratio_test(*own))
    with pytest.warns(RefitWarning, match="model0, model1"):
        anova(lmer(formulas[0], frame), lmer(formulas[1], frame))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ddf": "kenward-roger"}, "ddf='kenward-roger' is for the tests of one model"),
        ({"type": 2}, "type=2 is for the tests of one model"),
        ({"robust": "CR2"}, "robust='CR2' is for the tests of one model"),
    ],
)
def test_options_of_one_model_beside_several(options, message):
    frame = design(np.random.default_rng(9))
    small, large = lmer("y ~ a + (1 | g)", frame), lmer("y ~ a + b + (1 | g)", frame)
    with pytest.raises(ValueError, match=message):
        anova(small, large, **options)
    with pytest.raises(TypeError, match=r"terms=\{.*\} and models behind them. Give the models"):
        anova(small, {"a": "a[T.q]"}, "satterthwaite", large)


def test_squares_are_of_one_residual_variance():
    """A residual covariance has none; a joint contrast has F alone."""
    frame = design(np.random.default_rng(9))
    frame["t"] = frame.groupby("g").cumcount()
    residual = ResidualCovariance("ar1", subject="g", time="t")
    table = anova(lmer("y ~ a + x", frame, residual=residual))
    assert list(table) == ["df_num", "df_den", "F", "p_value"]
    plain = lmer("y ~ a + x + (1 | g)", frame)
    found = contrast(plain, [{"a[T.q]": 1}, {"a[T.r]": 1}])
    assert list(found) == ["df_num", "df_den", "F", "p_value"]
    assert_allclose(found.loc["joint"], anova(plain).loc["a", list(found)], rtol=1e-12)
    # Kenward and Roger's scale is F's alone: mean_sq / σ² is Wald's statistic by its df
    found = anova(plain, ddf="kenward-roger")
    assert (found["mean_sq"] / plain.sigma_**2 >= found["F"] * (1 - 1e-12)).all()
    assert_allclose(found["sum_sq"], found["mean_sq"] * found["df_num"], rtol=1e-15)


def test_models_before_their_fit_frames_and_models_in_the_place_of_ddf_are_refused():
    with pytest.raises(NotFittedError, match="This FormulaRegressor instance is not fitted yet"):
        anova(FormulaRegressor("angle ~ recipe + (1 | replicate)"))
    model = lmer("angle ~ recipe + (1 | recipe:replicate)", load_cake().frame)
    with pytest.raises(TypeError, match=r"is of type DataFrame. Give a mapping") as refused:
        anova(model, load_cake().frame)
    assert "\n" not in str(refused.value)
    with pytest.raises(TypeError, match="anova was given terms=None and models behind them"):
        anova(model, None, model)
