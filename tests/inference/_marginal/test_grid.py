import copy
import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from skmixed import MixedLinearRegressor, glmer, lmer
from skmixed.datasets import load_cake
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference._marginal.grid import GridRequest, ReferenceGrid, reference_of

RNG = np.random.default_rng(11)
N = 160
DATA = pd.DataFrame(
    {
        "f": RNG.choice(["a", "b", "c"], N),
        "flag": RNG.integers(2, size=N) == 1,
        "k": RNG.choice([1, 2, 5], N),
        "two": RNG.choice([0.0, 3.0], N),
        "x": RNG.normal(5.0, 1.0, N),
        "e": RNG.uniform(1, 3, N),
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N) % 4, "D"),
        "s": RNG.normal(size=N),
        "g": np.arange(N) % 10,
    }
).assign(y=lambda d: d["g"] + d["g"] * 7 % 10 * d["s"] + RNG.normal(size=N))
MODEL = lmer(
    "y ~ f * x + flag + factor(k) + two + offset(np.log(e)) + (1 + s | g)", DATA.drop(columns="day")
)


def grid_of(variables=(), by=None, at=None, model=MODEL):
    return ReferenceGrid.of(reference_of(model), GridRequest.of(variables, by, at))


def test_the_grid_has_all_levels_and_means_of_numbers():
    grid = grid_of("f", "k")
    values = {own.name: own.values.tolist() for own in grid.axes}
    assert values.pop("x") == [pytest.approx(DATA["x"].mean(), rel=1e-14)]
    assert values == {
        "f": ["a", "b", "c"],
        "k": [1.0, 2.0, 5.0],
        "flag": [False, True],
        "two": [0.0, 3.0],
    }
    assert grid.averaged == ["flag", "two"] or set(grid.averaged) == {"flag", "two"}
    assert grid.has_mean_offset
    assert len(grid.cells) == 36


def test_the_first_variable_varies_fastest():
    cells = grid_of(["f", "two"], "flag").target_cells
    expected = [(f, t, g) for g, t, f in itertools.product([False, True], [0.0, 3.0], "abc")]
    assert list(cells.itertuples(index=False, name=None)) == expected
    assert list(cells.columns) == ["f", "two", "flag"]


def test_targets_of_the_cells_are_in_the_order_of_the_targets():
    grid = grid_of(["two", "f"], "flag")
    first = grid.cells.iloc[:: len(grid.cells) // grid.n_targets].reset_index(drop=True)
    pd.testing.assert_frame_equal(first[["two", "f", "flag"]], grid.target_cells)


def test_values_are_as_given_in_their_order():
    at = {"f": ["c", "a"], "x": [2, 9.5], "two": 1, "k": 5, "flag": True}
    grid = grid_of(["x", "f"], at=at)
    assert grid.target_cells.to_dict("list") == {
        "x": [2.0, 9.5, 2.0, 9.5],
        "f": ["c", "c", "a", "a"],
    }
    assert grid.averaged == []
    assert set(map(tuple, grid.cells[["two", "k", "flag"]].to_numpy().tolist())) == {(1, 5, True)}


def test_offsets_are_at_their_mean_unless_one_of_their_columns_is_given():
    np.testing.assert_allclose(grid_of("f").offset, np.log(DATA["e"]).mean(), rtol=1e-14)
    given = grid_of("f", at={"e": 2.0})
    np.testing.assert_allclose(given.offset, np.log(2.0), rtol=1e-15)
    assert not given.has_mean_offset


def test_random_variables_count_where_they_are_asked_for():
    asked = GridRequest(("f",), (), {}, has_random=True)
    assert "s" in {own.name for own in ReferenceGrid.of(reference_of(MODEL), asked).others}
    assert "s" not in {own.name for own in grid_of("f").others}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"variables": "F"}, "variables names 'F', which is no variable .* Do you mean 'f'"),
        ({"variables": "f", "by": "nothing"}, "by names 'nothing', .* Its variables are 'f', 'x'"),
        ({"at": {"z": 1}}, "at names 'z', which is no variable"),
        ({"variables": "g"}, "variables names 'g', which is a grouping factor with random"),
        ({"variables": "s"}, "variables names 's', which has random coefficients alone"),
        ({"variables": "x"}, "'x' is numeric, from .* and has no levels to take means at"),
        ({"variables": "f", "by": "f"}, "'f' is in `variables` and in `by`"),
        ({"variables": ["f", "f"]}, "names a variable twice"),
        ({"variables": "f", "at": {"f": ["a", "d"]}}, "at\\['f'\\] has 'd', which is no level"),
        ({"variables": "k", "at": {"k": 3}}, "at\\['k'\\] has 3, which is no level"),
        ({"at": {"f": ["a", "a"]}}, "has a value twice"),
        ({"at": {"x": [1, 1.0]}}, "has a value twice"),
        ({"at": {"x": []}}, "at\\['x'\\] is empty"),
        ({"at": {"x": "high"}}, "is no list of finite numbers, and 'x' is numeric"),
        ({"at": {"x": np.nan}}, "is no list of finite numbers"),
        ({"at": {"x": range(10_000)}}, "has 360,000 cells, and 10,000 are the most. .*'f' 3"),
    ],
)
def test_what_is_not_known_is_said(asked, message):
    with pytest.raises(ValueError, match=message):
        grid_of(**asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"variables": 3}, "variables=3 does not name variables"),
        ({"variables": ["f", 3]}, "does not name variables"),
        ({"at": ["f"]}, "Give a mapping from variables to values"),
    ],
)
def test_other_kinds_are_refused(asked, message):
    with pytest.raises(TypeError, match=message):
        grid_of(**asked)


def test_a_column_that_a_function_mends_needs_a_value():
    data = DATA.assign(x=np.where(DATA["x"] > 6, np.inf, DATA["x"]))
    model = lmer("y ~ f + np.minimum(x, 6) + (1 | g)", data)
    with pytest.raises(ValueError, match="'x' has infinite values, and no mean"):
        grid_of("f", model=model)
    assert grid_of("f", at={"x": 5}, model=pickle.loads(pickle.dumps(model))).rows.shape == (3, 4)


def days_since(day):
    return (day - pd.Timestamp("2020-01-01")).dt.days


def test_dates_need_a_value():
    context = {"days_since": days_since}
    model = lmer("y ~ f + days_since(day) + (1 | g)", DATA, context=context)
    with pytest.raises(ValueError, match="'day' holds dates, which have no mean here"):
        grid_of("f", model=model)
    grid = grid_of("f", at={"day": DATA["day"].iloc[1]}, model=model)
    assert grid.cells["day"].unique().tolist() == [DATA["day"].iloc[1]]


def test_dates_as_a_factor_are_at_values_that_are_given():
    model = lmer("y ~ f + C(day) + (1 | g)", DATA)
    days = sorted(DATA["day"].unique())
    grid = grid_of("day", at={"day": days[:2]}, model=model)
    assert grid.target_cells["day"].tolist() == days[:2]
    assert grid.rows.shape == (6, 6)


def test_a_model_without_a_formula_is_told_what_to_do():
    X = load_cake().frame
    plain = MixedLinearRegressor("replicate", fixed=["temp"]).fit(X, X["angle"])
    with pytest.raises(TypeError, match=r"MixedLinearRegressor by columns.*skmixed\.lmer"):
        reference_of(plain)
    with pytest.raises(TypeError, match="model is of type LinearRegression"):
        reference_of(LinearRegression())


def test_a_slim_copy_is_refused():
    with pytest.raises(ValueError, match="slim copy"):
        reference_of(MODEL.slim())


def test_a_model_saved_without_values_is_to_be_fitted_again():
    older = copy.copy(MODEL)
    state = older.__getstate__()
    del state["_fit"]["frame"]["observed"]
    again = type(MODEL).__new__(type(MODEL))
    again.__setstate__(state)
    np.testing.assert_array_equal(again.predict(DATA), MODEL.predict(DATA))
    with pytest.raises(ValueError, match="Fit it again"):
        reference_of(again)


def test_a_model_of_an_intercept_has_one_cell():
    grid = grid_of([], model=lmer("y ~ 1 + (1 | g)", DATA))
    np.testing.assert_array_equal(grid.rows, [[1.0]])
    assert grid.target_cells.shape == (1, 0)


def test_a_model_of_no_fixed_effects_has_no_variables():
    with pytest.raises(ValueError, match=r"no variable of the fixed part\. It has none"):
        grid_of("f", model=lmer("y ~ 1 + (1 | g)", DATA))


def test_columns_that_were_dropped_are_in_the_rows():
    data = DATA[~((DATA["f"] == "a") & DATA["flag"])]
    with pytest.warns(RankDeficiencyWarning):
        model = lmer("y ~ f * flag + (1 | g)", data)
    assert grid_of(["f", "flag"], model=model).rows.shape == (6, 6)


def test_a_generalized_model_has_a_grid_too():
    counts = DATA.assign(y=RNG.poisson(2 + DATA["g"]))
    assert grid_of("f", model=glmer("y ~ f + x + (1 | g)", counts, "poisson")).rows.shape == (3, 4)


def test_dates_may_be_text():
    data = load_cake().frame
    data["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(data["temp"], "D")

    def days(column):
        return (column - pd.Timestamp("2020-01-01")).dt.days

    model = lmer("angle ~ days(day) + (1 | recipe:replicate)", data, context={"days": days})
    formula = reference_of(model)
    grid = ReferenceGrid.of(formula, GridRequest.of("day", None, {"day": "2020-07-19"}))
    np.testing.assert_array_equal(grid.rows, [[1.0, 200.0]])
    with pytest.raises(ValueError, match=r"at\['day'\]=\['soon'\] is no list of dates"):
        ReferenceGrid.of(formula, GridRequest.of("day", None, {"day": "soon"}))
