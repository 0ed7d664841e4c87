import re
import warnings

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedGammaRegressor, MixedLinearRegressor, ResidualCovariance, glmer, lmer
from skmixed.datasets import load_cake, load_cbpp, load_orthodont, load_sleepstudy, load_toenail
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference import anova, coefficient_table, report

X, Y = load_sleepstudy(return_X_y=True, as_frame=True)
CAKE = load_cake().frame


def results(model, **options):
    return list(report(model, **options).results)


def test_a_coefficient():
    assert results(lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame))[:2] == [
        "The intercept was 251.41 (95 % CI 237.01 to 265.80).",
        "The coefficient of Days was 10.47 (95 % CI 7.21 to 13.73), t(17) = 6.77, p < 0.001.",
    ]


def test_terms_and_interactions_have_tests():
    model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)
    assert results(model)[1:4] == [
        "The test of the term recipe at temp = 0 was F(2, 254.0) = 0.10, p = 0.909.",
        "The test of the term temp was F(1, 222.0) = 94.16, p < 0.001.",
        "The test of the term recipe:temp was F(2, 222.0) = 0.04, p = 0.959.",
    ]


def test_a_column_in_an_interaction_has_the_test_of_its_term():
    """Its coefficient is that where the other column is 0."""
    model = lmer("distance ~ Sex * age + (1 | Subject)", load_orthodont().frame)
    found = results(model)
    assert found[1].startswith("The test of the term Sex at age = 0 was F(1, ")
    assert found[2].startswith("The test of the term age was F(1, ")
    assert found[3].startswith("The coefficient of Sex[T.Male]:age was ")


def test_the_numbers_are_those_of_the_tables():
    model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", CAKE)
    options = {"ddf": "kenward-roger", "level": 0.9}
    found = results(model, **options)
    row = coefficient_table(model, **options).loc["temp"]
    said = [float(x) for x in re.findall(r"-?\d+\.\d+", found[2])]
    expected = row[["estimate", "lower", "upper", "df", "t"]]
    np.testing.assert_allclose(said[:-1], expected, rtol=2e-3)  # three digits
    f = anova(model, ddf="kenward-roger").loc["recipe"]
    assert f"F({f['df_num']:.0f}, {f['df_den']:.0f}) = {f['F']:.2f}" in found[1]
    assert "90 % CI" in found[2]


def test_normal_tests_are_z():
    found = results(MixedLinearRegressor("Subject").fit(X, Y), ddf="normal")[1]
    assert re.search(r"z = 13\.02, p < 0\.001\.$", found)


def test_odds_ratios():
    model = glmer("severe ~ visit + (1 | patient)", load_toenail().frame, "binomial")
    table = coefficient_table(model)
    intercept, visit = results(model)[:2]
    assert intercept.endswith("), on the scale of the logit.")
    assert visit.startswith("The odds ratio of visit was ")
    said = [float(x) for x in re.findall(r"-?\d+\.\d+", visit)[:3]]
    expected = np.exp(table.loc["visit", ["estimate", "lower", "upper"]].to_numpy(float))
    np.testing.assert_allclose(said, expected, atol=5e-5)
    assert f"z = {table.loc['visit', 'z']:.2f}" in visit


def counts(n=200):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(np.arange(20), n // 20)})
    eta = 1 + 0.2 * frame["x"] + rng.normal(0, 0.3, 20)[frame["g"]]
    return frame.assign(y=rng.poisson(np.exp(eta)))


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
@pytest.mark.filterwarnings("ignore")  # a shape without bound
def test_rate_ratios(family):
    found = results(glmer("y ~ x + (1 | g)", counts(), family))
    assert found[0].endswith("), on the scale of the log.")
    assert found[1].startswith("The rate ratio of x was 1.")


def test_ratios_of_means():
    frame = counts()
    model = MixedGammaRegressor("g").fit(frame[["x", "g"]], frame["y"] + 0.5)
    assert results(model)[1].startswith("The ratio of means of x was 1.")


def test_other_links_have_coefficients():
    model = glmer("severe ~ visit + (1 | patient)", load_toenail().frame, "binomial", link="probit")
    assert results(model)[1].startswith("The coefficient of visit was -0.")


def test_chi_squared_tests():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    found = results(glmer(formula, load_cbpp().frame, "binomial"))
    assert found[1] == "The test of the term period was χ²(3) = 24.95, p < 0.001."


def test_many_terms_are_in_one_sentence():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(50, 6)), columns=list("abcdef"))
    model = MixedLinearRegressor().fit(table, rng.normal(size=50))
    found = results(model)
    assert found[1].startswith("The coefficient of a was ")
    assert found[1].count("; the coefficient of ") == 5
    assert found[1].count(" p = ") == 6
    few = MixedLinearRegressor().fit(table[list("abcd")], rng.normal(size=50))
    assert results(few)[4].startswith("The coefficient of d was ")


def test_robust_tests():
    X, y = load_orthodont(return_X_y=True)
    residual = ResidualCovariance("ar1", subject="Subject", time="age")
    model = MixedLinearRegressor(fixed=["age"], residual=residual).fit(X, y)
    row = coefficient_table(model, robust="CR2").loc["age"]
    assert f"t({row['df']:.0f}) = {row['t']:.2f}" in results(model, robust="CR2")[1]


def test_dropped_columns_and_terms_have_no_result():
    with pytest.warns(RankDeficiencyWarning):
        model = MixedLinearRegressor("Subject").fit(X.assign(two=2.0 * X["Days"]), Y)
    found = results(model)
    assert not any("two was" in sentence for sentence in found)
    frame = load_sleepstudy().frame
    with pytest.warns(RankDeficiencyWarning):
        model = lmer("Reaction ~ Days + I(2 * Days) + (1 | Subject)", frame)
    assert not any("I(2 * Days) was" in sentence for sentence in results(model))


def test_a_model_without_an_intercept():
    model = lmer("angle ~ 0 + recipe + (1 | recipe:replicate)", CAKE)
    assert results(model)[0].startswith("The test of the term recipe was F(3, ")


def test_no_word_of_significance():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts = [str(report(model)) for model in (glmer("y ~ x + (1 | g)", counts(), "poisson"),)]
    assert not any("significan" in text for text in texts)
