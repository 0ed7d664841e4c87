"""The tables of all functions: their titles, and that they say what their values are."""

import numpy as np
import pandas as pd
import pytest
from printed_numbers import assert_cells_say_the_values

from skmixed import MixedLinearRegressor, ResidualCovariance, glmer, lmer
from skmixed.datasets import load_cake, load_cbpp, load_orthodont, load_sleepstudy
from skmixed.inference import (
    ResultTable,
    anova,
    coefficient_table,
    coefficients_by_group,
    compare,
    confidence_intervals,
    contrast,
    drop1,
    likelihood_ratio_test,
    marginal_means,
    profile,
    random_effects_table,
    random_effects_tests,
    singularity,
    variance_decomposition,
    vcov,
)


def linear():
    return lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)


def least_squares():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor(fixed=["Days"]).fit(X, y)


def repeated():
    X, y = load_orthodont(return_X_y=True)
    residual = ResidualCovariance("ar1", subject="Subject", time="age")
    return MixedLinearRegressor(fixed=["age"], residual=residual).fit(X, y)


def binomial():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return glmer(formula, load_cbpp().frame, "binomial")


@pytest.fixture(scope="module", params=[linear, least_squares, repeated, binomial])
def model(request):
    return request.param()


FUNCTIONS = [
    coefficient_table,
    vcov,
    anova,
    drop1,
    confidence_intervals,
    random_effects_table,
    variance_decomposition,
    singularity,
    lambda model: contrast(model, np.eye(len(model.fixed_effects_)), joint=False),
    lambda model: contrast(model, np.eye(len(model.fixed_effects_)), joint=True),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_returns_a_table_that_says_its_values(model, function):
    table = function(model)
    assert type(table) is ResultTable
    assert table.title
    assert all(remark.endswith(".") for remark in table.remarks)
    assert max(map(len, repr(table).splitlines())) <= 80
    assert_cells_say_the_values(table)
    assert len(table.to_latex().splitlines()) > len(table)
    assert len(table.to_markdown().splitlines()) > len(table)


@pytest.mark.parametrize("fit", [linear, binomial])
def test_tables_of_random_effects(fit):
    model = fit()
    (coefficients,) = coefficients_by_group(model).values()
    for table in (random_effects_tests(model), coefficients):
        assert type(table) is ResultTable
        assert max(map(len, repr(table).splitlines())) <= 80
        assert_cells_say_the_values(table)


def two_models():
    X, y = load_sleepstudy(return_X_y=True)
    first = MixedLinearRegressor("Subject").fit(X, y)
    return first, MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)


@pytest.mark.parametrize("function", [compare, likelihood_ratio_test])
def test_tables_of_two_models(function):
    table = function(*two_models())
    assert type(table) is ResultTable
    assert table.remarks == ("By restricted maximum likelihood; 180 samples.",)
    assert max(map(len, repr(table).splitlines())) <= 80
    assert_cells_say_the_values(table)


def test_profiles():
    table = profile(two_models()[0], components="sigma")
    assert table.title == "Likelihood profiles"
    assert_cells_say_the_values(table)


@pytest.mark.parametrize(
    ("options", "remark"),
    [
        ({}, "t tests with Satterthwaite's degrees of freedom; 95 % confidence intervals."),
        (
            {"ddf": "kenward-roger", "level": 0.9},
            "Kenward and Roger's standard errors and degrees of freedom; 90 % confidence "
            "intervals.",
        ),
        ({"ddf": "normal", "level": 0.999}, "Normal tests; 99.9 % confidence intervals."),
    ],
)
def test_remarks_of_coefficients(options, remark):
    assert coefficient_table(two_models()[0], **options).remarks == (remark,)


def test_remarks_of_robust_errors():
    said = "CR2 standard errors by subjects, Bell and McCaffrey's degrees of freedom"
    assert coefficient_table(repeated(), robust="CR2").remarks[0].startswith(said)
    said = "F tests with the CR2 covariance by subjects."
    assert anova(repeated(), robust="CR2").remarks == (said,)
    assert vcov(repeated(), robust="CR2").remarks == ("CR2, from the residuals of whole subjects.",)


def test_remarks_of_generalized_models():
    model = binomial()
    scale = "on the scale of the link (logit)"
    said = f"Wald z tests {scale}; 95 % confidence intervals."
    assert coefficient_table(model).remarks == (said,)
    assert anova(model).remarks == (f"Wald χ² tests {scale}.",)
    assert variance_decomposition(model).remarks == ("On the scale of the link (logit).",)


def test_titles_of_tests_of_terms():
    assert anova(linear(), type=2).title == "Tests of terms, type 2"
    assert anova(least_squares()).title == "Tests of columns"
    said = "F tests with Kenward and Roger's scale and degrees of freedom."
    assert anova(linear(), ddf="kenward-roger").remarks == (said,)


def test_variables_with_names_of_results_are_labels():
    frame = load_cake().frame.rename(columns={"recipe": "F", "temp": "t"})
    model = lmer("angle ~ F * t + (1 | F:replicate)", frame)
    table = marginal_means(model, ["F", "t"], at={"t": [175, 200.5]})
    assert repr(table).splitlines()[1].split()[:3] == ["F", "t", "mean"]
    assert repr(table).splitlines()[3].split()[:2] == ["B", "175.0"]
    assert_cells_say_the_values(table)


def test_columns_with_names_of_results_are_columns_of_the_user():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(50, 2)), columns=["p_value", "t"])
    table = vcov(MixedLinearRegressor().fit(X, rng.normal(size=50)))
    assert "<" not in repr(table)
    assert_cells_say_the_values(table)
