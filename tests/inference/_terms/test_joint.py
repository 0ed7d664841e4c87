import numpy as np
import pandas as pd
import pytest
from emmeans_reference import MODELS, fitted
from random_families import means_of_case, number, recorded

from skmixed import glmer, lmer
from skmixed.datasets import load_cake, load_machines, load_orthodont, load_toenail
from skmixed.inference import (
    anova,
    coefficient_table,
    comparisons,
    contrast,
    joint_tests,
    marginal_means,
    marginal_slopes,
)
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._terms.crossed import CrossedCells
from skmixed.inference._terms.term_grid import grid_of_terms

CAKE = load_cake().frame
CASES = recorded()["families"]
# emmeans writes F with 3 decimals
ROUNDED = 5.0001e-4
LINEAR = {"satterthwaite": "satterthwaite", "residual": "residual", "normal": None}


def listed(value):
    return value if isinstance(value, list) else [value]


def f_of(table):
    """F, and its degrees of freedom in the numerator, also of Wald's χ²."""
    if "F" in table:
        return table["F"].to_numpy(), table["df_num"].to_numpy()
    return (table["chi2"] / table["df"]).to_numpy(), table["df"].to_numpy()


@pytest.mark.parametrize("name", MODELS)
def test_terms_are_those_of_emmeans(name):
    for ddf, expected in MODELS[name]["joint_tests"].items():
        if ddf not in LINEAR:
            continue  # emmeans leaves out the scale of Kenward and Roger's F
        terms = listed(expected["model term"])
        table = joint_tests(fitted(name), ddf=LINEAR[ddf]).set_index("term")
        rest = table.drop(index=terms)
        # What the data do not determine has no row in emmeans
        assert rest["p_value"].isna().all()
        f, df = f_of(table.loc[terms])
        np.testing.assert_array_equal(df, listed(expected["df1"]))
        rounding = np.full(len(f), ROUNDED)
        if terms[-1] == "(confounded)":  # of the difference of two sums of squares
            rounding[-1] *= (2 * df.sum() - df[-1]) / df[-1]
        assert (np.abs(f - listed(expected["F.ratio"])) <= rounding).all()


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name]["joint_tests_by"]])
def test_terms_within_values_are_those_of_emmeans(name):
    for by, expected in MODELS[name]["joint_tests_by"].items():
        ddf = LINEAR[next(iter(MODELS[name]["joint_tests"]))]
        table = joint_tests(fitted(name), by, ddf=ddf).set_index(["term", by])
        rows = list(zip(expected["model term"], map(str, expected[by]), strict=True))
        table.index = table.index.map(lambda key: (key[0], str(key[1])))
        f, df = f_of(table.loc[rows])
        np.testing.assert_array_equal(df, expected["df1"])
        np.testing.assert_allclose(f, expected["F.ratio"], atol=ROUNDED)


@pytest.mark.parametrize("k", range(len(CASES)))
def test_random_families_at_once_are_those_of_emmeans(k):
    expected = CASES[k]["joint"]
    differences = comparisons(means_of_case(CASES[k]), "consecutive")
    table = joint_tests(differences)
    np.testing.assert_array_equal(table["df_num"], number(expected["df1"]))
    np.testing.assert_allclose(table["F"], number(expected["F.ratio"]), atol=ROUNDED)


def test_factors_alone_have_type_3():
    model = lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", CAKE.iloc[::2])
    for ddf in ("satterthwaite", "kenward-roger"):
        table = joint_tests(model, ddf=ddf).set_index("term")
        expected = anova(model, ddf=ddf)
        assert list(table.index) == list(expected.index)
        columns = ["df_num", "F"]
        np.testing.assert_allclose(table[columns], expected[columns], rtol=1e-8)
        # Of F tests of several rows they depend a little on the rows
        np.testing.assert_allclose(table["df_den"], expected["df_den"], rtol=0.02)


def test_a_numeric_column_is_tested_around_its_mean():
    data = load_orthodont().frame
    model = lmer("distance ~ age * Sex + (age | Subject)", data)
    table = joint_tests(model).set_index("term")
    centered = data.assign(age=data["age"] - data["age"].mean())
    expected = anova(lmer("distance ~ age * Sex + (age | Subject)", centered))
    # Two fits, whose variances have half the digits of the criterion
    np.testing.assert_allclose(table["F"], expected["F"], rtol=1e-5)
    assert joint_tests(model).remarks[0] == "At the mean ± 1: age."


def test_values_are_those_of_at():
    model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)
    table = joint_tests(model, at={"temp": [175, 225], "recipe": ["A", "C"]}).set_index("term")
    slopes = {"temp": 1, "recipe[T.C]:temp": 0.5}
    np.testing.assert_allclose(table.loc["temp", "F"], contrast(model, slopes)["t"][0] ** 2)
    fixed = joint_tests(model, at={"temp": 200})
    assert fixed["term"].tolist() == ["recipe"]


def test_means_have_the_terms_of_their_cells():
    model = lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", CAKE)
    expected = joint_tests(model)
    means = marginal_means(model, ["temperature", "recipe"])
    table = joint_tests(means).set_index("term")
    assert list(table.index) == ["temperature", "recipe", "temperature:recipe"]
    order = [1, 0, 2]
    np.testing.assert_allclose(table["F"], expected["F"].to_numpy()[order], rtol=1e-9)
    one = joint_tests(marginal_means(model, "recipe"))
    np.testing.assert_allclose(one["F"], expected["F"][0], rtol=1e-9)


def test_interactions_that_are_not_in_the_model_are_not_tested():
    model = lmer("angle ~ recipe + temperature + (1 | recipe:replicate)", CAKE)
    assert joint_tests(model)["term"].tolist() == ["recipe", "temperature"]


def test_all_means_are_zero():
    model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", CAKE)
    means = marginal_means(model, "recipe")
    table = joint_tests(means, hypothesis="zero")
    tests = open_tests(model, None)
    expected = tests.f_table({0: means.estimates.rows})
    np.testing.assert_allclose(table["F"], expected["F"], rtol=1e-9)
    assert table["df_num"][0] == 3
    assert "term" not in table


def test_offsets_count_in_means_that_are_zero():
    own = MODELS["mmmec"]
    model = fitted("mmmec")
    means = marginal_means(model, "nation", at={"expected": 10})
    table = joint_tests(means, hypothesis="zero")
    values = means.estimates.statistics["estimate"].to_numpy()
    rows = means.estimates.rows
    covariance = rows @ open_tests(model, None).covariance @ rows.T
    chi2 = values @ np.linalg.solve(covariance, values)
    assert own["family"] == "poisson"
    assert means.estimates.offset.all()
    np.testing.assert_allclose(table["chi2"], chi2, rtol=1e-9)


def test_pairs_are_as_many_as_are_independent():
    model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", CAKE)
    means = marginal_means(model, "recipe")
    table = joint_tests(comparisons(means))
    assert table["df_num"].tolist() == [2]
    np.testing.assert_allclose(table["F"], joint_tests(means)["F"], rtol=1e-9)


def test_degrees_of_freedom_are_of_the_hypothesis_and_not_of_its_rows():
    """Of a model, its means, comparisons of any kind and any order or coding of levels."""
    frame = load_machines().frame.iloc[3:]
    again = frame.assign(Machine=pd.Categorical(frame["Machine"], ["B", "C", "A"]))
    found = []
    for data in (frame, again):
        model = lmer("score ~ Machine + (Machine | Worker)", data)
        means = marginal_means(model, "Machine")
        methods = "pairwise", "consecutive", "trt.vs.ctrl"
        tables = [comparisons(means, method) for method in methods]
        own = [joint_tests(table)["df_den"][0] for table in (model, means, *tables)]
        np.testing.assert_allclose(own, own[0], rtol=1e-9)  # rounding
        found.append(own[0])
    # Two fits, whose variances have half the digits of the criterion
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_what_the_data_do_not_determine_is_said():
    table = joint_tests(fitted("cake_empty"))
    own = table.set_index("term")
    assert np.isnan(own.loc["recipe", "F"])
    assert own.loc["recipe", "df_num"] == 0
    assert "Of 2 differences of recipe the data determine none." in table.remarks
    words = "Of 5 differences of temperature the data determine 3, which are tested."
    assert words in table.remarks


def test_what_is_in_no_term_is_independent_of_the_terms():
    """The sum of squares of all differences is that of the terms and of what is beside them."""
    model = fitted("cake_empty")
    grid, _ = grid_of_terms(model, None, None, None, None)
    known = grid.rows[grid.is_estimable]
    whole = grid.tests.f_table({0: np.diff(known, axis=0)}).loc[0]
    effects = CrossedCells.of(grid).effects({}).values()
    rows = [grid.tests.estimable_weights(own) @ own for own in effects]
    terms = grid.tests.f_table({0: np.concatenate(rows)}).loc[0]
    rest = joint_tests(model).set_index("term").loc["(confounded)"]
    assert [whole["df_num"], terms["df_num"], rest["df_num"]] == [15, 11, 4]
    total = terms["F"] * 11 + rest["F"] * 4
    np.testing.assert_allclose(total, whole["F"] * 15, rtol=1e-8)


@pytest.mark.parametrize("name", ["at", "ddf", "robust"])
def test_what_a_table_was_made_by_is_refused(name):
    means = means_of_case(CASES[0])
    with pytest.raises(ValueError, match=f"{name}='x' is for a model: a table has it from"):
        joint_tests(means, **{name: "x"})


def test_other_arguments_are_refused():
    model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", CAKE)
    with pytest.raises(ValueError, match="hypothesis='none' is not known"):
        joint_tests(model, hypothesis="none")
    with pytest.raises(ValueError, match="by names 'oven', which is no variable"):
        joint_tests(model, "oven")
    with pytest.raises(ValueError, match="at names 'oven', which is no variable"):
        joint_tests(model, at={"oven": 3})
    with pytest.raises(ValueError, match="The fixed part has no variable but those of `by`"):
        joint_tests(model, ["recipe", "temp"], at={"temp": [175, 225]})
    with pytest.raises(ValueError, match="'temp' is numeric, from 175 to 225, and has no levels"):
        joint_tests(model, "temp")
    renamed = lmer("angle ~ F + temp + (1 | F:replicate)", CAKE.rename(columns={"recipe": "F"}))
    with pytest.raises(ValueError, match="'F' is a variable, and a column of the table too"):
        joint_tests(renamed, "F")
    with pytest.raises(TypeError, match="means is a plain DataFrame"):
        joint_tests(marginal_means(model, "recipe").round(1))


def on_the_response(name):
    """Slopes by two levels or more that are no linear functions of the fixed effects."""
    if name == "linear":
        model = lmer("log(distance) ~ age * Sex + (age | Subject)", load_orthodont().frame)
        return marginal_slopes(model, "age", "Sex", scale="response")
    model = glmer("severe ~ treated * visit + (1 | patient)", load_toenail().frame, "binomial")
    return marginal_slopes(model, "visit", "treated", scale="response")


@pytest.mark.parametrize("name", ["linear", "binomial"])
def test_slopes_of_the_response_are_tested_by_their_differences(name):
    table = on_the_response(name)
    found, differences = joint_tests(table).iloc[0], comparisons(table, adjust=None).iloc[0]
    statistic, own = ("F", "t") if name == "linear" else ("chi2", "z")
    assert found[statistic] == pytest.approx(differences[own] ** 2, rel=1e-9)
    assert found["p_value"] == pytest.approx(differences["p_value"], rel=1e-7)
    again = joint_tests(comparisons(table))
    assert found[statistic] == pytest.approx(again[statistic].item(), rel=1e-9)
    if name == "linear":
        assert found["df_den"] == pytest.approx(differences["df"], rel=1e-9)


def test_a_table_of_means_counts_what_is_added_to_them():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 5), "x": rng.normal(size=150)})
    data["n"] = rng.poisson(np.exp(0.4 * data["x"] + rng.normal(size=30)[data["g"]]))
    model = glmer("n ~ x + offset(0.7 * x) + (1 | g)", data, "poisson")
    means = marginal_means(model, "x", at={"x": [0.0, 1.0]})
    z = comparisons(means, adjust=None)["z"].item()
    assert joint_tests(means)["chi2"].item() == pytest.approx(z**2, rel=1e-9)
    # The term itself is tested without the offset
    term = joint_tests(model)["chi2"].item()
    assert term == pytest.approx(coefficient_table(model).loc["x", "z"] ** 2, rel=1e-9)
