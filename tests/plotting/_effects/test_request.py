import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmixed import glmer, lmer
from skmixed.datasets import load_cbpp, load_orthodont
from skmixed.formula import FormulaRegressor
from skmixed.inference import marginal_means
from skmixed.plotting._effects.request import EffectsRequest


@pytest.fixture(scope="module")
def data():
    out = load_orthodont().frame
    return out.assign(late=(out["age"] > 10).astype(float))


@pytest.fixture(scope="module")
def model(data):
    return lmer("np.log(distance) ~ age * Sex + late + (1 | Subject)", data)


def test_numeric_columns_are_lines_and_numbers_of_two_values_none(model):
    for name, at, is_line in [
        ("age", None, True),
        ("Sex", None, False),
        ("late", None, False),
        ("late", {"late": [0, 0.5, 1]}, True),
        ("unknown", None, False),
    ]:
        assert EffectsRequest.of(model, name, None, at).is_line == is_line
    assert_array_equal(
        EffectsRequest.of(model, "age", None, None).grid_values["age"], np.linspace(8, 14, 50)
    )
    given = {"late": 1}
    asked = EffectsRequest.of(model, "age", "Sex", given)
    assert asked.variables == ("age", "Sex")
    assert set(asked.grid_values) == {"late", "age"}
    assert given == {"late": 1}


def test_number_of_variables(model):
    with pytest.raises(ValueError, match=r"variables=\[\] names no variable"):
        EffectsRequest.of(model, [], None, None)
    with pytest.raises(ValueError, match="name 4 variables, and a figure has three at most"):
        EffectsRequest.of(model, ["a", "b"], ["c", "d"], None)


def test_names_of_scales(model):
    asked = EffectsRequest.of(model, "age", None, None)
    assert asked.mean_name("response") == "distance"
    assert asked.mean_name("link") == "np.log(distance)"
    assert asked.slope_name("age") == "change of np.log(distance) per unit of age"


def test_data_are_on_the_scale_of_the_means(model, data):
    asked = EffectsRequest.of(model, "age", "Sex", None)
    table = marginal_means(model, asked.variables, at=asked.grid_values)
    for scale, expected in ("response", data["distance"]), ("link", np.log(data["distance"])):
        found = asked.data(data, None, scale, table)
        # There and back by the logarithm.
        assert_allclose(found["response"], expected, rtol=1e-14)
        assert_array_equal(found["age"], data["age"])
        assert_array_equal(found["Sex"], data["Sex"])


def test_rows_of_levels_that_are_not_shown_have_no_place(model, data):
    at = {"Sex": "Male", "late": [0.2, 0.9]}
    asked = EffectsRequest.of(model, "Sex", "late", at)
    table = marginal_means(model, asked.variables, at=at)
    found = asked.data(data, None, "link", table)
    assert_array_equal(found["Sex"].isna(), data["Sex"] == "Female")
    assert_array_equal(found["late"], np.where(data["late"] > 0, 0.9, 0.2))
    pd.testing.assert_index_equal(found.index, data.index)


def test_proportions_counts_and_responses_given(data):
    herds = load_cbpp().frame
    model = glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, "binomial")
    asked = EffectsRequest.of(model, "period", None, None)
    assert asked.mean_name("population") == "proportion of incidence"
    table = marginal_means(model, "period", scale="population")
    found = asked.data(herds, None, "population", table)
    assert_array_equal(found["response"], herds["incidence"] / herds["size"])
    # A formula without a response takes it beside the rows, and leaves missing ones out.
    free = FormulaRegressor("~ age + (1 | Subject)", na_action="drop")
    data = data.assign(age=data["age"].where(data.index != 3))
    free.fit(data, data["distance"])
    asked = EffectsRequest.of(free, "age", None, None)
    assert asked.mean_name("response") == "response"
    table = marginal_means(free, "age", at=asked.grid_values)
    found = asked.data(data, data["distance"], "response", table)
    assert_array_equal(found["response"], data["distance"].drop(3))
    assert_array_equal(found.index, data.index.drop(3))


def test_dots_are_moved_to_the_mean_offset_where_the_means_are():
    herds = load_cbpp().frame
    formula = "incidence ~ period + offset(log(size)) + (1 | herd)"
    model = glmer(formula, herds, "poisson")
    asked = EffectsRequest.of(model, "period", None, None)
    found = asked.data(herds, None, "response", marginal_means(model, "period"))
    log_size = np.log(herds["size"])
    expected = herds["incidence"] * np.exp(log_size.mean() - log_size)
    # A product of five numbers.
    assert_allclose(found["response"], expected, rtol=1e-13)
    assert asked.label("response", has_dots=True) == "incidence (at the mean offset)"
    # Along the variable of the offset dots are where the means are.
    asked = EffectsRequest.of(model, "size", None, None)
    table = marginal_means(model, "size", at=asked.grid_values)
    assert_array_equal(asked.data(herds, None, "response", table)["response"], herds["incidence"])
    assert asked.label("response", has_dots=True) == "incidence"


def test_dots_of_an_identity_link_are_moved_by_sums_and_of_others_stay(data):
    model = lmer("np.log(distance) ~ Sex + offset(0.05 * age) + (1 | Subject)", data)
    asked = EffectsRequest.of(model, "Sex", None, None)
    table = marginal_means(model, "Sex")
    moved = 0.05 * (data["age"].mean() - data["age"])
    on_log = np.log(data["distance"]) + moved
    for scale, expected in ("link", on_log), ("response", np.exp(on_log)):
        found = asked.data(data, None, scale, table)["response"]
        # A sum, and the logarithm there and back.
        assert_allclose(found, expected, rtol=1e-13)
    herds = load_cbpp().frame
    formula = "cbind(incidence, size - incidence) ~ period + offset(log(size)) + (1 | herd)"
    model = glmer(formula, herds, "binomial")
    asked = EffectsRequest.of(model, "period", None, None)
    found = asked.data(herds, None, "response", marginal_means(model, "period"))["response"]
    assert_array_equal(found, herds["incidence"] / herds["size"])
    name = "proportion of incidence"
    assert asked.label("response", has_dots=False) == f"{name} (at the mean offset)"
    own = f"{name} (means at the mean offset, dots at their own)"
    assert asked.label("response", has_dots=True) == own
