import pickle

import numpy as np
import pandas as pd
import pytest
from emmeans_reference import MODELS, columns_of, fitted
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed import ResidualCovariance, glmer, lmer, mmrm
from skmixed.datasets import load_cake, load_orthodont, load_sleepstudy
from skmixed.exceptions import NotEstimableWarning, RankDeficiencyWarning
from skmixed.formula import FormulaRegressor
from skmixed.inference import contrast, marginal_means
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.marginal_table import MarginalMeans

TABLES = [(name, k) for name, own in MODELS.items() for k in range(len(own["means"]))]
CAKE = load_cake().frame


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.NotEstimableWarning")  # as in R
@pytest.mark.parametrize(("name", "k"), TABLES)
def test_tables_are_those_of_emmeans(name, k):
    own, asked = MODELS[name], MODELS[name]["means"][k]
    variables = asked["variables"], asked["by"]
    how = {key: asked[key] for key in ("weights", "ddf", "scale")}
    found = marginal_means(fitted(name), *variables, at=asked["at"] or None, **how)
    expected = columns_of(asked["columns"])
    for variable in (*asked["variables"], *asked["by"]):
        values = [type(a)(b) for a, b in zip(found[variable], expected[variable], strict=True)]
        assert found[variable].tolist() == values
    # lme4's optimum leaves 1e-7 of the standard errors; a mean is told to a share of its own
    error = np.nanmax(expected["std_error"])
    columns = ["mean", "std_error"]
    if own["correlation"] is None:  # emmeans' degrees of freedom of gls are others
        columns += ["lower", "upper"]
    for column in columns:
        np.testing.assert_allclose(
            found[column], expected[column], rtol=1e-6, atol=1e-6 * error, err_msg=column
        )
    if own["family"]:
        assert np.isinf(found["df"]).all()
    elif own["correlation"] is None:
        # lmerTest's derivatives are numerical
        np.testing.assert_allclose(found["df"], expected["df"], rtol=4e-6)


def test_a_mean_is_an_average_of_predictions():
    model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)
    rows = pd.DataFrame({"recipe": list("ABC"), "temp": CAKE["temp"].mean()})
    predicted = model.predict(rows.assign(replicate="1"), include="fixed")
    np.testing.assert_allclose(marginal_means(model, "recipe")["mean"], predicted, rtol=1e-13)
    over_all = marginal_means(model, [])
    assert over_all["mean"].item() == pytest.approx(predicted.mean(), rel=1e-13)
    assert list(over_all.columns) == ["mean", "std_error", "df", "lower", "upper"]


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "residual", "normal"])
def test_a_mean_is_a_contrast(ddf):
    model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", CAKE)
    found = marginal_means(model, "recipe", ddf=ddf, level=0.9)
    L = {"(Intercept)": 1, "recipe[T.B]": 1, "temp": CAKE["temp"].mean()}
    expected = contrast(model, L, ddf, level=0.9).loc[0]
    for column in ("std_error", "df", "lower", "upper"):
        assert found.loc[1, column] == pytest.approx(expected[column], rel=1e-10)


def test_the_table_says_what_it_is():
    model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)
    found = marginal_means(model, "temp", at={"temp": [180, 200]})
    assert type(found) is MarginalMeans
    assert found.title == "Marginal means of temp"
    assert found.remarks == (
        "Averaged over recipe; each combination counts alike. The model has interactions with "
        "recipe.",
        "t tests with Satterthwaite's degrees of freedom; 95 % confidence intervals.",
    )
    by = marginal_means(model, "recipe", by="temp", at={"temp": 180}, ddf="normal", level=0.5)
    assert by.title == "Marginal means of recipe, by temp"
    assert by.remarks[-1] == "Normal tests; 50 % confidence intervals."
    assert marginal_means(model, "recipe").remarks[0] == "Held: temp at its mean, 200."
    estimates = found.estimates
    assert isinstance(estimates, LinearEstimates)
    assert (estimates.names, estimates.by, by.estimates.by) == (["temp"], (), ("temp",))
    np.testing.assert_array_equal(estimates.statistics["estimate"], found["mean"])


def test_a_table_survives_a_pickle():
    model = fitted("epil")
    found = marginal_means(model, "trt", scale="response")
    again = pickle.loads(pickle.dumps(found))
    assert again.scale.back.name == "log"
    pd.testing.assert_frame_equal(again.estimates.statistics, found.estimates.statistics)


def test_a_saved_model_has_the_same_means():
    model = fitted("three_factors")
    again = pickle.loads(pickle.dumps(model))
    how = {"by": "dose", "weights": "cells"}
    pd.testing.assert_frame_equal(
        marginal_means(again, "sex", **how), marginal_means(model, "sex", **how), rtol=1e-12
    )


def test_codings_and_references_do_not_count():
    plain = lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", CAKE)
    coded = lmer(
        "angle ~ C(recipe, contr.sum) * C(temperature, contr.helmert) + (1 | recipe:replicate)",
        CAKE,
    )
    for variables in ("recipe", ["recipe", "temperature"]):
        found, expected = (marginal_means(own, variables) for own in (coded, plain))
        for column in ("mean", "std_error", "df"):
            # The rounding of the fit
            np.testing.assert_allclose(found[column], expected[column], rtol=1e-8)


def test_cells_without_rows_are_named():
    model = fitted("cake_empty")
    with pytest.warns(NotEstimableWarning, match="temperature='175'; recipe='C', temp") as caught:
        found = marginal_means(model, ["recipe", "temperature"])
    assert "means" in str(caught[0].message)
    assert "columns that were dropped in fit" in str(caught[0].message)
    is_nan = found["mean"].isna()
    cells = found.loc[is_nan, ["recipe", "temperature"]].to_numpy().tolist()
    assert sorted(cells) == [["A", "175"], ["C", "225"]]
    assert found.loc[is_nan].isna().sum(axis=1).eq(5).all()
    with pytest.warns(
        NotEstimableWarning, match="not determine the means at recipe='A'; recipe='C'"
    ):
        marginal_means(model, "recipe")
    assert marginal_means(model, "recipe", weights="flat")["mean"].notna().all()


def test_without_the_interaction_empty_cells_have_means():
    own = MODELS["cake_empty"]
    data = CAKE.drop(columns=["temp"])
    for cell in own["empty"]:
        data = data[~np.all([data[k] == v for k, v in cell.items()], axis=0)]
    model = lmer("angle ~ recipe + temperature + (1 | recipe:replicate)", data)
    assert marginal_means(model, ["recipe", "temperature"])["mean"].notna().all()


def test_averages_over_no_rows_are_named():
    data = CAKE.assign(late=np.arange(len(CAKE)) % 7 > 2)
    data = data[(data["recipe"] != "C") | (data["temperature"] != "175")]
    model = lmer("angle ~ recipe + temperature + late + (1 | replicate)", data)
    with pytest.warns(NotEstimableWarning, match="No row of the fit is in recipe='C', temperat"):
        found = marginal_means(model, ["recipe", "temperature"], weights="cells")
    assert found["mean"].isna().sum() == 1
    assert marginal_means(model, ["recipe", "temperature"])["mean"].notna().all()


def test_where_the_formula_is_not_finite_is_said():
    model = lmer("angle ~ np.log(temp) + (1 | recipe:replicate)", CAKE)
    with pytest.warns(NotEstimableWarning, match="of the formula are not finite at temp=-1: there"):
        found = marginal_means(model, "temp", at={"temp": [-1, 200]})
    assert found["mean"].isna().tolist() == [True, False]


def test_offsets_count():
    data = CAKE.assign(shift=np.arange(len(CAKE)) % 4)
    model = lmer("angle ~ recipe + offset(shift) + (1 | recipe:replicate)", data)
    data["moved"] = data["angle"] - data["shift"]
    plain = lmer("moved ~ recipe + (1 | recipe:replicate)", data)
    mean, base = (marginal_means(own, "recipe")["mean"] for own in (model, plain))
    np.testing.assert_allclose(mean, base + data["shift"].mean(), rtol=1e-12)
    at = marginal_means(model, "recipe", at={"shift": 10})
    np.testing.assert_allclose(at["mean"], base + 10, rtol=1e-12)
    within = marginal_means(model, "recipe", by="shift", at={"shift": [0, 1]})
    np.testing.assert_allclose(within["mean"], [*base, *(base + 1)], rtol=1e-12)


def test_a_pipeline_has_the_means_of_its_model():
    def doubled(data):
        return data.assign(temp=2 * data["temp"])

    formula = "angle ~ recipe + temp + (1 | recipe:replicate)"
    pipeline = make_pipeline(FunctionTransformer(doubled), FormulaRegressor(formula)).fit(CAKE)
    found = marginal_means(pipeline, "recipe", at={"temp": 400})
    expected = marginal_means(lmer(formula, CAKE), "recipe", at={"temp": 200})
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-10)


@pytest.mark.parametrize("weights", ["proportional", "cells"])
def test_rows_of_weight_0_do_not_count(weights):
    data = CAKE.assign(w=np.where(np.arange(len(CAKE)) % 3, 1.0, 0.0))
    formula = "angle ~ recipe + temperature + temp:recipe + (1 | replicate)"
    with pytest.warns(RankDeficiencyWarning):
        found = marginal_means(lmer(formula, data, weights="w"), "recipe", weights=weights)
    with pytest.warns(RankDeficiencyWarning):
        left = lmer(formula, data[data["w"] > 0])
    expected = marginal_means(left, "recipe", weights=weights)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-8)


# As R's mmrm 0.3 prints them with emmeans, for the same model by REML
PRINTED = {
    "mean": [33.3, 37.1, 38.2, 41.9, 43.7, 46.8, 48.4, 52.8],
    "std_error": [0.755, 0.763, 0.612, 0.602, 0.462, 0.509, 1.189, 1.188],
    "df": [148, 143, 147, 143, 130, 130, 134, 133],
    "lower": [31.8, 35.6, 37.0, 40.7, 42.8, 45.7, 46.0, 50.4],
    "upper": [34.8, 38.6, 39.4, 43.1, 44.6, 47.8, 50.7, 55.1],
}


def test_visits_of_a_trial_have_the_numbers_of_mmrm():
    found = marginal_means(fitted("fev"), "ARMCD", by="AVISIT")
    for column, printed in PRINTED.items():
        digits = {"std_error": 3, "df": 0}.get(column, 1)
        np.testing.assert_array_equal(found[column].round(digits), printed)


def test_robust_errors_are_those_of_contrasts():
    model, L = fitted("fev"), None
    found = marginal_means(model, "ARMCD", robust="CR2")
    L = found.estimates.rows
    expected = contrast(model, L, joint=False, robust="CR2")
    for column in ("std_error", "df", "lower"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-12)
    assert "CR2" in found.remarks[-1]


def test_further_methods_of_degrees_of_freedom_are_there():
    data = load_orthodont().frame
    residual = ResidualCovariance("ar1", subject="Subject", time="age")
    model = lmer("distance ~ age * Sex", data, residual=residual)
    found = marginal_means(model, "Sex", ddf="between-within")
    expected = contrast(model, found.estimates.rows, "between-within", joint=False)
    assert found["df"].tolist() == expected["df"].tolist() == [79.0, 25.0]


def test_a_response_that_is_transformed_is_transformed_back():
    data = load_sleepstudy().frame
    model = lmer("np.sqrt(Reaction) ~ Days + (1 | Subject)", data)
    at = {"at": {"Days": [0, 9]}}
    link, back = (marginal_means(model, "Days", scale=own, **at) for own in ("link", "response"))
    np.testing.assert_allclose(back["mean"], link["mean"] ** 2, rtol=1e-14)
    np.testing.assert_allclose(back["std_error"], 2 * link["mean"] * link["std_error"], rtol=1e-14)
    np.testing.assert_allclose(back["upper"], link["upper"] ** 2, rtol=1e-14)
    assert link.remarks[0] == "On the scale of np.sqrt(Reaction)."
    assert back.remarks[0] == "Transformed back from np.sqrt(Reaction)."


def test_limits_of_a_falling_function_are_in_order():
    data = load_sleepstudy().frame
    model = lmer("I(1000 / Reaction) ~ Days + (1 | Subject)", data)
    found = marginal_means(model, "Days", at={"Days": [0, 9]}, scale="response")
    assert (found["lower"] < found["mean"]).all()
    assert (found["mean"] < found["upper"]).all()


def test_the_response_of_a_linear_model_is_on_its_scale():
    model = fitted("machines")
    link, response = (marginal_means(model, "Machine", scale=own) for own in ("link", "response"))
    pd.testing.assert_frame_equal(link, response)


def test_scales_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="scale='population' is for generalized models"):
        marginal_means(fitted("machines"), "Machine", scale="population")
    model = lmer("np.sin(angle) ~ recipe + (1 | replicate)", CAKE)
    with pytest.raises(ValueError, match="the way back to the scale of the response is not known"):
        marginal_means(model, "recipe", scale="response")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"weights": "rows"}, "weights='rows'"),
        ({"scale": "mean"}, "scale='mean'"),
        ({"level": 95}, "level=95"),
        ({"ddf": "kenward"}, "ddf='kenward'"),
    ],
)
def test_choices_are_checked(how, message):
    with pytest.raises(ValueError, match=message):
        marginal_means(fitted("machines"), "Machine", **how)


def test_a_variable_named_as_a_column_of_the_table_is_refused():
    model = lmer("angle ~ df + (1 | replicate)", CAKE.rename(columns={"recipe": "df"}))
    with pytest.raises(ValueError, match="'df' is a variable, and a column of the table too"):
        marginal_means(model, "df")


def test_generalized_models_have_normal_tests_alone():
    with pytest.raises(ValueError, match="ddf='satterthwaite' is for linear models"):
        marginal_means(fitted("cbpp"), "period", ddf="satterthwaite")
    found = marginal_means(fitted("cbpp"), "period")
    assert found.remarks == (
        "On the scale of the link (logit).",
        "95 % confidence intervals, found on the scale of the link (logit).",
    )


def test_fits_by_mmrm_and_glmer_are_models_by_a_formula():
    data = load_orthodont().frame.assign(visit=lambda d: d["age"].astype(str))
    model = mmrm("distance ~ Sex * visit + us(visit | Subject)", data)
    assert len(marginal_means(model, ["Sex", "visit"])) == 8
    counts = data.assign(n=lambda d: d["distance"].round() + (d["Subject"] == "M10") * 9)
    model = glmer("n ~ Sex + (1 | Subject)", counts, "poisson")
    assert len(marginal_means(model, "Sex")) == 2
