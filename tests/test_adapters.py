"""Fitted models in marginaleffects, where it is installed (the optional extra ``ecosystem``)."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor, ResidualCovariance, glmer, lmer, mmrm
from skmixed.adapters import covariance_by, to_marginaleffects
from skmixed.datasets import load_cake, load_cbpp, load_sleepstudy
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference import coefficient_table, marginal_means, marginal_slopes, vcov

CAKE = load_cake().frame
CBPP = load_cbpp().frame
# marginaleffects differentiates numerically.
NUMERICALLY = {"rtol": 1e-5}


@pytest.fixture
def effects():
    return pytest.importorskip("marginaleffects")


@pytest.fixture(scope="module")
def cake():
    return lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)


@pytest.fixture(scope="module")
def herds():
    return glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", CBPP, family="binomial"
    )


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch, cake):
    from skmixed import adapters

    adapters._marginaleffects_class.cache_clear()
    monkeypatch.setitem(sys.modules, "marginaleffects.classes", None)
    with pytest.raises(ImportError, match=r"pip install 'skmixed\[ecosystem\]'"):
        to_marginaleffects(cake, CAKE)


def test_covariances_by_name():
    X, y = load_sleepstudy(return_X_y=True)
    X["double"] = 2.0 * X["Days"]
    with pytest.warns(RankDeficiencyWarning, match="double"):
        model = MixedLinearRegressor("Subject").fit(X, y)
    found, expected = covariance_by(model, True), vcov(model).to_numpy()
    assert_allclose(found[:2, :2], expected[:2, :2])
    assert not found[2].any()
    adjusted = covariance_by(model, "kenward-roger")
    assert_allclose(adjusted[:2, :2], vcov(model, adjusted=True).to_numpy()[:2, :2])


def test_means_over_a_grid(effects, cake):
    datagrid = pytest.importorskip("marginaleffects.datagrid").datagrid
    adapted = to_marginaleffects(cake, CAKE)
    grid = datagrid(adapted, recipe=["A", "B", "C"], temp=[180.0])
    found = effects.predictions(adapted, newdata=grid)
    expected = marginal_means(cake, "recipe", at={"temp": 180.0}, ddf="normal")
    assert_allclose(found["estimate"], expected["mean"], rtol=1e-12)
    assert_allclose(found["std_error"], expected["std_error"], **NUMERICALLY)
    assert_allclose(found["conf_low"], expected["lower"], **NUMERICALLY)


def test_slopes(effects, cake):
    adapted = to_marginaleffects(cake, CAKE)
    # Its own step is too short where a coefficient is small, and errs by half here.
    found = effects.avg_slopes(adapted, variables="temp", by="recipe", eps_vcov=1e-3)
    expected = marginal_slopes(cake, "temp", "recipe", ddf="normal")
    assert_allclose(found["estimate"], expected["slope"], **NUMERICALLY)
    assert_allclose(found["std_error"], expected["std_error"], **NUMERICALLY)


def test_hypotheses_are_wald_s(effects, cake):
    found = effects.hypotheses(to_marginaleffects(cake, CAKE))
    expected = coefficient_table(cake, "normal")
    assert_allclose(found["estimate"], expected["estimate"], rtol=1e-12)
    assert_allclose(found["std_error"], expected["std_error"], **NUMERICALLY)


def test_other_covariances(effects):
    data = (
        load_sleepstudy()
        .frame[:60]
        .assign(treated=lambda own: (own["Subject"].astype(int) % 2).astype(float))
    )
    residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    model = lmer("Reaction ~ Days", data, residual=residual)
    adapted = to_marginaleffects(model, data)
    for kind, options in (("kenward-roger", {"adjusted": True}), ("CR2", {"robust": "CR2"})):
        found = effects.hypotheses(adapted, vcov=kind)
        expected = np.sqrt(np.diagonal(vcov(model, **options)))
        assert_allclose(found["std_error"], expected, **NUMERICALLY)
    assert "std_error" not in effects.avg_predictions(adapted, vcov=False).columns


@pytest.mark.parametrize("scale", ["link", "response", "population"])
def test_scales_of_proportions(effects, herds, scale):
    found = effects.avg_predictions(to_marginaleffects(herds, CBPP, scale=scale), by="period")
    expected = marginal_means(herds, "period", scale=scale)
    assert_allclose(found["estimate"], expected["mean"], rtol=1e-10)
    if scale != "population":  # which counts the error of the variances too
        assert_allclose(found["std_error"], expected["std_error"], **NUMERICALLY)


def test_offsets_and_levels_that_are_numbers(effects):
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {
            "year": np.tile([1995, 1996, 1997], 40),
            "exposure": rng.uniform(1.0, 3.0, 120),
            "other": np.tile(["1995", "b"], 60),
            "g": np.repeat(np.arange(12), 10),
        }
    )
    data["y"] = rng.poisson(data["exposure"] * np.exp(0.3 * rng.normal(size=12)[data["g"]]))
    formula = "y ~ factor(year) + other + offset(np.log(exposure)) + (1 | g)"
    model = glmer(formula, data, family="poisson")
    adapted = to_marginaleffects(model, data)
    found = effects.predictions(adapted)["estimate"]
    assert_allclose(found, model.predict(data, include="fixed"), rtol=1e-12)
    shown = effects.avg_comparisons(adapted, variables="year")
    assert shown.shape[0] == 2


def test_undetermined_rows_have_no_prediction(effects):
    data = CAKE[(CAKE["recipe"] != "C") | (CAKE["temp"] > 200)].assign(
        hot=lambda own: np.where(own["temp"] > 200, "yes", "no")
    )
    with pytest.warns(RankDeficiencyWarning):
        model = lmer("angle ~ recipe * hot + (1 | replicate)", data)
    adapted = to_marginaleffects(model, data)
    exog = adapted.rows.exog(pd.DataFrame({"recipe": ["A", "C"], "hot": ["no", "no"]}))
    np.testing.assert_array_equal(np.isnan(adapted.rows.predict(adapted.coef, exog)), [False, True])


def test_a_model_by_columns_is_refused(effects):
    X, y = load_sleepstudy(return_X_y=True)
    with pytest.raises(TypeError, match="Fit it by a formula"):
        to_marginaleffects(MixedLinearRegressor("Subject").fit(X, y), X)


def test_rows_without_a_column_and_unknown_scales_are_refused(effects, cake):
    with pytest.raises(ValueError, match="temp"):
        to_marginaleffects(cake, CAKE.drop(columns="temp"))
    with pytest.raises(ValueError, match="scale='probability'"):
        to_marginaleffects(cake, CAKE, scale="probability")


def test_a_model_of_visits(effects):
    data = load_sleepstudy().frame
    model = mmrm("Reaction ~ factor(Days) + us(Days | Subject)", data[data["Days"] < 4])
    adapted = to_marginaleffects(model, data[data["Days"] < 4])
    found = effects.avg_predictions(adapted, by="Days")
    expected = marginal_means(model, "Days", ddf="normal")
    assert_allclose(found["estimate"], expected["mean"], rtol=1e-12)
