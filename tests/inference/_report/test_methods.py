import numpy as np
import pandas as pd
import pytest

from skmixed import (
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
    __version__,
    glmer,
    lmer,
)
from skmixed.datasets import load_cake, load_cbpp, load_orthodont, load_sleepstudy
from skmixed.inference import report

X, Y = load_sleepstudy(return_X_y=True, as_frame=True)
SLEEP = load_sleepstudy().frame


def methods(model, **options):
    return list(report(model, **options).methods)


def test_a_linear_mixed_model_by_a_formula():
    assert methods(lmer("Reaction ~ Days + (Days | Subject)", SLEEP)) == [
        "The response was modeled by a linear mixed model, Reaction ~ Days + (Days | Subject), "
        f"fitted by restricted maximum likelihood (REML) with skmixed {__version__}.",
        "There were 180 rows and 18 levels of Subject.",
        "Random effects were intercepts and slopes of Days by Subject (correlated).",
        "Coefficients have t tests with Satterthwaite's degrees of freedom, and confidence "
        "intervals (CI) of level 95 %.",
    ]


def test_columns_without_a_formula():
    model = MixedLinearRegressor("Subject", method="ml").fit(X, Y)
    first = methods(model)[0]
    assert "a linear mixed model with an intercept and a fixed effect of Days, fitted" in first
    assert "fitted by maximum likelihood with" in first
    model = MixedLinearRegressor(fixed=[], fit_intercept=True).fit(X[["Days"]], Y)
    assert "with an intercept, fitted by ordinary least squares" in methods(model)[0]
    wide = X[["Days"]].assign(**{f"x{k}": np.arange(180) ** k % (k + 7.0) for k in range(1, 8)})
    assert (
        "with an intercept and 8 fixed effects, fitted"
        in methods(MixedLinearRegressor().fit(wide, Y))[0]
    )
    model = MixedLinearRegressor(fit_intercept=False).fit(wide[["Days", "x1"]], Y)
    assert "a linear model with fixed effects of Days and x1, fitted" in methods(model)[0]
    assert methods(model)[1] == "There were 180 rows."


@pytest.mark.parametrize(
    ("covariance", "said"),
    [
        ("full", "correlated"),
        ("diag", "independent of each other"),
        ("spherical", "independent of each other with one variance"),
        ("compound_symmetry", "with covariance compound_symmetry"),
    ],
)
def test_covariances_of_random_effects(covariance, said):
    model = MixedLinearRegressor("Subject", random_slopes="Days", covariance=covariance)
    found = methods(model.fit(X, Y))[2]
    assert found == f"Random effects were intercepts and slopes of Days by Subject ({said})."


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_several_random_terms():
    rng = np.random.default_rng(0)
    table = X.assign(half=np.tile(["a", "b"], 90), z=rng.normal(size=180))
    groups = [RandomEffect("Subject"), RandomEffect("Subject", ["z"], intercept=False), "half"]
    model = MixedLinearRegressor(groups, fixed=["Days"]).fit(table, Y)
    assert methods(model)[1:3] == [
        "There were 180 rows, 18 levels of Subject and 2 levels of half.",
        "Random effects were intercepts by Subject, slopes of z by Subject and intercepts by half.",
    ]


def test_weighted_rows_and_rows_left_out():
    weights = np.linspace(0.5, 2, 180)
    model = MixedLinearRegressor("Subject").fit(X, Y, sample_weight=weights)
    assert methods(model)[1] == "There were 180 weighted rows and 18 levels of Subject."
    frame = SLEEP.astype({"Days": float})
    frame.loc[:2, "Days"] = np.nan
    model = lmer("Reaction ~ Days + (1 | Subject)", frame, na_action="drop")
    assert methods(model)[1] == (
        "There were 177 rows and 18 levels of Subject, without 3 rows of missing values."
    )


def test_repeated_measures():
    X, y = load_orthodont(return_X_y=True)
    residual = ResidualCovariance("ar1", subject="Subject", time="age")
    found = methods(MixedLinearRegressor(fixed=["age"], residual=residual).fit(X, y), robust="CR2")
    assert "by a linear model for repeated measures with an intercept" in found[0]
    assert found[1] == "There were 108 rows and 27 levels of Subject."
    assert found[2:] == [
        "The covariance of the residuals was ar1 within Subject (27) in age, 2 parameters.",
        "Coefficients have CR2 standard errors by subjects, Bell and McCaffrey's degrees of "
        "freedom, and confidence intervals (CI) of level 95 %.",
    ]


@pytest.mark.parametrize(
    ("options", "coefficients", "terms"),
    [
        ({}, "t tests with Satterthwaite's", "F tests with Satterthwaite's degrees of freedom"),
        (
            {"ddf": "kenward-roger", "level": 0.9},
            "Kenward and Roger's standard errors",
            "F tests with Kenward and Roger's scale and degrees of freedom",
        ),
        ({"ddf": "normal"}, "normal tests,", "F tests with infinite degrees of freedom"),
    ],
)
def test_methods_of_tests(options, coefficients, terms):
    model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", load_cake().frame)
    *_, own, joint = methods(model, **options)
    assert own.startswith(f"Coefficients have {coefficients}")
    assert own.endswith(f"of level {'90' if 'level' in options else '95'} %.")
    assert joint.startswith(f"Terms have {terms}")
    assert joint.endswith(", type III.")


def test_binomial():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    first, *_, own, joint = methods(glmer(formula, load_cbpp().frame, "binomial"))
    assert first.startswith("The response was modeled by a generalized linear mixed model with a")
    assert f"a binomial distribution and a logit link, {formula}, fitted by maximum" in first
    assert "likelihood (Laplace's approximation) with skmixed" in first
    assert own.startswith("Coefficients have Wald z tests, and")
    assert joint == "Terms have Wald χ² tests, type III."


def classes(n=200):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(np.arange(n // 10), 10)})
    eta = table["x"] + rng.normal(size=n // 10)[table["g"]]
    return table, np.where(rng.random(n) < 1 / (1 + np.exp(-eta)), "yes", "no")


def test_classes():
    table, y = classes()
    assert methods(MixedLogisticClassifier("g").fit(table, y))[0].startswith(
        "The probability of class yes was modeled by a generalized linear mixed model"
    )
    model = glmer("y ~ x + (1 | g)", table.assign(y=y), "binomial", quadrature=5)
    assert methods(model)[0].startswith("The probability of y = yes was modeled by")
    assert "(adaptive quadrature at 5 nodes)" in methods(model)[0]


def test_counts_and_positive_responses():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60)})
    exposure = rng.uniform(1, 5, 60)
    y = rng.poisson(exposure * np.exp(0.3 * table["x"]))
    model = MixedPoissonRegressor().fit(table, y, exposure=exposure)
    assert methods(model)[0] == (
        "The response was modeled by a generalized linear model with a Poisson distribution, a log "
        "link and an offset, with an intercept and a fixed effect of x, fitted by maximum "
        f"likelihood with skmixed {__version__}."
    )
    model = MixedGammaRegressor().fit(table, rng.gamma(3, 1, 60))
    assert "with a gamma distribution and a log link, with an intercept" in methods(model)[0]
