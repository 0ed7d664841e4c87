import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.special as special
from emmeans_reference import FOLDER, MODELS, columns_of, fitted

from skmixed import glmer, lmer
from skmixed.datasets import load_cake, load_orthodont, load_toenail
from skmixed.exceptions import NotEstimableWarning, RankDeficiencyWarning
from skmixed.inference import comparisons, contrast, marginal_means, marginal_slopes, vcov
from skmixed.inference._marginal.marginal_table import MarginalSlopes

TABLES = [(name, k) for name, own in MODELS.items() for k in range(len(own["slopes"]))]
ORTHODONT = load_orthodont().frame


@pytest.mark.parametrize(("name", "k"), TABLES)
def test_tables_are_those_of_emmeans(name, k):
    own, asked = MODELS[name], MODELS[name]["slopes"][k]
    how = {"at": asked["at"] or None, "ddf": asked["ddf"]}
    found = marginal_slopes(fitted(name), asked["column"], asked["variables"], asked["by"], **how)
    expected = columns_of(asked["columns"])
    # lme4's optimum leaves 1e-7 of the standard errors; emtrends' difference of a curve, to one
    # side, errs by 1e-7 of the range times the bend, and rounds to 1e-9
    tolerance = 3e-6 if name == "sleepstudy_curves" else 1e-6
    error = expected["std_error"].max()
    columns = ["slope", "std_error"]
    if own["correlation"] is None:  # emmeans' degrees of freedom of gls are others
        columns += ["lower", "upper"]
    for column in columns:
        np.testing.assert_allclose(
            found[column], expected[column], rtol=tolerance, atol=tolerance * error, err_msg=column
        )
    if own["correlation"] is None and not own["family"]:
        np.testing.assert_allclose(found["df"], expected["df"], rtol=4e-6)  # numerical derivatives
        np.testing.assert_allclose(found["p_value"], expected["p_value"], rtol=1e-4, atol=1e-12)
    if own["family"]:
        np.testing.assert_allclose(found["z"], expected["t"], rtol=tolerance, atol=tolerance)


def test_a_slope_is_a_contrast():
    model = lmer("distance ~ age * Sex + (age | Subject)", ORTHODONT)
    found = marginal_slopes(model, "age", "Sex", ddf="kenward-roger", level=0.8)
    L = [{"age": 1}, {"age": 1, "age:Sex[T.Male]": 1}]
    expected = contrast(model, L, "kenward-roger", joint=False, level=0.8)
    for column in ("std_error", "df", "t", "p_value", "lower", "upper"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-13)
    assert found["Sex"].tolist() == ["Female", "Male"]


def test_slopes_are_differences_of_means():
    model = lmer("distance ~ poly(age, 3) * Sex + (1 | Subject)", ORTHODONT)
    h = 1e-4
    at = {"age": [10 - h, 10 + h]}
    means = marginal_means(model, "Sex", by="age", at=at)["mean"].to_numpy().reshape(2, 2)
    found = marginal_slopes(model, "age", "Sex", at={"age": 10})
    # h² of the third derivative, and rounding of means over h
    np.testing.assert_allclose(found["slope"], (means[1] - means[0]) / (2 * h), rtol=1e-7)


def test_one_slope_over_all_averages():
    model = lmer("distance ~ age * Sex + (1 | Subject)", ORTHODONT)
    each = marginal_slopes(model, "age", "Sex")["slope"]
    assert marginal_slopes(model, "age")["slope"].item() == pytest.approx(each.mean(), rel=1e-13)
    shares = ORTHODONT["Sex"].value_counts(normalize=True)[["Female", "Male"]].to_numpy()
    weighted = marginal_slopes(model, "age", weights="proportional")["slope"].item()
    assert weighted == pytest.approx(shares @ each.to_numpy(), rel=1e-13)


def test_the_table_says_what_it_is():
    model = lmer("distance ~ age * Sex + (1 | Subject)", ORTHODONT)
    found = marginal_slopes(model, "age", "Sex")
    assert type(found) is MarginalSlopes
    assert found.title == "Slopes by age for each Sex"
    assert marginal_slopes(model, "age").title == "Slopes by age"
    assert marginal_slopes(model, "age", by="Sex").title == "Slopes by age, by Sex"
    assert found.remarks[-1].startswith("t tests with Satterthwaite's")
    assert not found.estimates.offset.any()
    generalized = marginal_slopes(fitted("toenail"), "visit", "treated")
    assert "z" in generalized
    assert "t" not in generalized
    assert "scale of the link (logit)" in generalized.remarks[-1]


def test_offsets_have_slopes():
    data = ORTHODONT.assign(moved=ORTHODONT["distance"] - np.log(ORTHODONT["age"]))
    plain = lmer("moved ~ age + Sex + (1 | Subject)", data)
    model = lmer("distance ~ age + Sex + offset(np.log(age)) + (1 | Subject)", data)
    at = {"at": {"age": [8, 14]}}
    found, base = (marginal_slopes(own, "age", "age", **at) for own in (model, plain))
    # A difference quotient of the logarithm
    np.testing.assert_allclose(found["slope"], base["slope"] + [1 / 8, 1 / 14], rtol=1e-9)
    np.testing.assert_allclose(found["std_error"], base["std_error"], rtol=1e-12)


def test_slopes_that_the_data_do_not_determine_are_named():
    data = load_cake().frame
    data = data[(data["recipe"] != "C") | (data["temp"] == 175)]
    with pytest.warns(RankDeficiencyWarning):
        model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", data)
    with pytest.warns(NotEstimableWarning, match="determine the slopes at recipe='C'"):
        found = marginal_slopes(model, "temp", "recipe")
    assert found["slope"].isna().tolist() == [False, False, True]
    with pytest.warns(NotEstimableWarning, match="determine the slopes at the mean over all"):
        marginal_slopes(model, "temp")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("Sex", "column='Sex' is a factor in the formula, which has no slope"),
        ("Age", "column names 'Age', which is no variable .* Do you mean 'age'"),
        ("Subject", "column names 'Subject', which is a grouping factor"),
        ("k", "column='k' is a factor"),
    ],
)
def test_what_has_no_slope_is_refused(column, message):
    data = ORTHODONT.assign(k=np.arange(len(ORTHODONT)) % 3)
    model = lmer("distance ~ age * Sex + factor(k) + (1 | Subject)", data)
    with pytest.raises(ValueError, match=message):
        marginal_slopes(model, column)


def test_a_slope_is_by_one_column():
    model = lmer("distance ~ age * Sex + (1 | Subject)", ORTHODONT)
    with pytest.raises(TypeError, match="Name one numeric column"):
        marginal_slopes(model, ["age"])


def days_since(day):
    return (day - pd.Timestamp("2020-01-01")).dt.days


def test_dates_have_no_slope():
    data = ORTHODONT.assign(day=pd.Timestamp("2020-01-01") + pd.to_timedelta(ORTHODONT["age"], "D"))
    context = {"days_since": days_since}
    model = lmer("distance ~ days_since(day) + (1 | Subject)", data, context=context)
    with pytest.raises(ValueError, match="column='day' holds dates"):
        marginal_slopes(model, "day")


def test_numbers_of_two_values_have_slopes():
    model = fitted("sleepstudy_two_values")
    found = marginal_slopes(model, "trt", at={"Days": 0})
    b = model.fixed_effects_["trt"]
    assert found["slope"].item() == pytest.approx(b, rel=1e-13)


def test_interactions_are_named_where_slopes_vary_with_them():
    data = load_orthodont().frame.assign(late=lambda own: np.where(own["age"] > 10, "l", "e"))
    plain = lmer("distance ~ Sex * late + age + (1 | Subject)", data)
    # The means of Sex vary with late, the slope does not.
    averaged = "Averaged over late; each combination counts alike."
    assert marginal_slopes(plain, "age", "Sex").remarks[0] == averaged
    crossed = lmer("distance ~ Sex + late * age + (1 | Subject)", data)
    found = marginal_slopes(crossed, "age", "Sex").remarks[0]
    assert found == f"{averaged} The model has interactions with late."


RESPONSE = json.loads((FOLDER / "emmeans/response_slopes.json").read_text())


@cache
def of_response(name):
    if name == "cake":
        return lmer(RESPONSE[name]["formula"], load_cake().frame)
    return glmer(RESPONSE[name]["formula"], load_toenail().frame, "binomial")


@pytest.mark.parametrize(
    ("name", "column", "factor", "at"),
    [("cake", "temp", "recipe", 180), ("toenail", "visit", "treated", 2)],
)
def test_slopes_of_the_response_are_emmeans(name, column, factor, at):
    own = RESPONSE[name]
    found = marginal_slopes(of_response(name), column, factor, at={column: at}, scale="response")
    # Extrapolated difference quotients; glmmTMB's search ends 1e-4 of the estimates away
    rtol = {"cake": 5e-5, "toenail": 3e-4}[name]
    np.testing.assert_allclose(found["slope"], own["slopes"]["slope"], rtol=rtol)
    np.testing.assert_allclose(found["std_error"], own["slopes"]["SE"], rtol=rtol)
    pairs = comparisons(found, adjust=None)
    np.testing.assert_allclose(pairs["estimate"], own["pairs"]["estimate"], rtol=10 * rtol)
    np.testing.assert_allclose(pairs["std_error"], own["pairs"]["SE"], rtol=rtol)
    for table in (found, pairs):
        assert "Slopes of the response, at effects of 0; errors by the delta" in str(table)
        assert "scale of the link" not in str(table)


def test_slopes_of_the_response_by_the_delta_method():
    """Of the logistic function, averaged over cells: μ' = μ(1 − μ) and μ'' = μ'(1 − 2μ)."""
    model = of_response("toenail")
    visits = [0.0, 3.0, 6.0]
    found = marginal_slopes(model, "visit", "treated", at={"visit": visits}, scale="response")
    beta, V = model.fixed_effects_.to_numpy(), vcov(model)
    for k in range(2):
        x = np.array([[1.0, k, v, k * v] for v in visits])
        by_visit = np.array([[0.0, 0.0, 1.0, k]] * 3)
        mean = special.expit(x @ beta)
        first = mean * (1.0 - mean)
        second = first * (1.0 - 2.0 * mean)
        slope = by_visit @ beta
        moves = ((second * slope)[:, None] * x + first[:, None] * by_visit).mean(axis=0)
        assert found["slope"][k] == pytest.approx((first * slope).mean(), rel=1e-12)
        assert found["std_error"][k] == pytest.approx(np.sqrt(moves @ V @ moves), rel=1e-10)


def test_a_response_as_it_is_has_one_scale():
    model = lmer("distance ~ age * Sex + (1 | Subject)", ORTHODONT)
    link, response = (marginal_slopes(model, "age", "Sex", scale=s) for s in ("link", "response"))
    pd.testing.assert_frame_equal(link, response)
    with pytest.raises(ValueError, match="scale='population' is not known"):
        marginal_slopes(model, "age", scale="population")
