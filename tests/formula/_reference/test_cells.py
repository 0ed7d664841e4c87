import numpy as np
import pandas as pd
import pytest

from skmixed import lmer

RNG = np.random.default_rng(3)
N = 150
DATA = pd.DataFrame(
    {
        "f": RNG.choice(["a", "b", "c"], N),
        "flag": RNG.integers(2, size=N) == 1,
        "k": RNG.choice([1, 2, 5], N),
        "x": RNG.uniform(1, 9, N),
        "z": RNG.normal(size=N),
        "e": RNG.normal(size=N),
        "g": np.arange(N) % 10,
    }
).assign(y=lambda d: d["g"] + RNG.normal(size=N))
CELLS = pd.DataFrame(
    {
        "f": ["a", "b", "c", "c"],
        "flag": [True, False, True, False],
        "k": [1.0, 5.0, 2.0, 2.0],
        "x": [2.0, 3.5, 8.0, 5.0],
        "z": [0.0, -1.0, 2.0, 0.3],
        "e": [0.1, 0.2, 0.3, 0.4],
    }
)


def cells_of(fixed, **parameters):
    model = lmer(f"y ~ {fixed} + (1 | g)", DATA, **parameters)
    return model, model._reference


@pytest.mark.parametrize(
    "fixed", ["f * x + flag:z + factor(k)", "0 + f + poly(x, 2)", "f / z + np.log(x):flag"]
)
def test_rows_are_those_of_the_model_matrix(fixed):
    model, own = cells_of(fixed)
    matrix = model.model_matrix(CELLS.assign(g=0)).drop(columns="g")
    rows = own.rows(CELLS)
    if not fixed.startswith("0"):
        np.testing.assert_array_equal(rows[:, 0], 1.0)
        rows = rows[:, 1:]
    np.testing.assert_array_equal(rows, matrix)
    assert own.rows(CELLS).shape[1] == len(model.fixed_effects_)


# The derivative by x of the columns of each term, with the terms' own columns around it
SLOPES = {
    "x": lambda d: [np.ones(len(d))],
    "x:z": lambda d: [d["z"]],
    "f:x": lambda d: [d["f"] == level for level in "abc"],
    "flag:x:z": lambda d: [(~d["flag"]) * d["z"], d["flag"] * d["z"]],
    "np.log(x)": lambda d: [1 / d["x"]],
    "np.sqrt(x):z": lambda d: [0.5 * d["x"] ** -0.5 * d["z"]],
    "I(x ** 3)": lambda d: [3 * d["x"] ** 2],
    "np.exp(-x / 3)": lambda d: [-np.exp(-d["x"] / 3) / 3],
    "x:np.log(x)": lambda d: [np.log(d["x"]) + 1],
    "z": lambda d: [0.0 * d["x"]],
    "factor(k)": lambda d: [0.0 * d["x"]] * 3,
}


def columns_of(model, own, values, term):
    """Of values at all columns of X those of a term."""
    names = ["(Intercept)"] * own.frame.fixed.has_intercept + own.frame.fixed.names
    return values[:, [names.index(name) for name in model.terms_[term]]]


@pytest.mark.parametrize("term", SLOPES)
def test_slopes_are_derivatives_of_the_rows(term):
    model, own = cells_of(f"{'1' if term == 'x' else '0'} + {term} + z:e + x:e")
    found = own.slopes("x", CELLS)
    expected = np.column_stack([np.asarray(values) for values in SLOPES[term](CELLS)])
    if "np." in term or "I(" in term:
        # h² times a third derivative, and rounding over h: about eps^(2/3) = 4e-11
        own_rtol, own_atol = 1e-9, 1e-10
    else:
        own_rtol = own_atol = 0.0
    of_term = columns_of(model, own, found, term)
    np.testing.assert_allclose(of_term, expected, rtol=own_rtol, atol=own_atol)
    np.testing.assert_array_equal(columns_of(model, own, found, "z:e"), 0.0)
    np.testing.assert_array_equal(found[:, : own.frame.fixed.has_intercept], 0.0)


@pytest.mark.filterwarnings("ignore:Fixed-effects column")  # poly's first one is linear in t
def test_slopes_of_large_numbers_keep_their_digits():
    second = 1.6e9 + 3600.0 * np.arange(N)
    model = lmer("y ~ t + f:t + poly(t, 2) + (1 | g)", DATA.assign(t=second))
    rows, own = CELLS.assign(t=second[[0, 40, 80, N - 1]]), model._reference
    found = own.slopes("t", rows)
    np.testing.assert_array_equal(columns_of(model, own, found, "t"), 1.0)
    indicators = [[f == "b", f == "c"] for f in rows["f"]]
    np.testing.assert_array_equal(columns_of(model, own, found, "f:t"), indicators)
    # A function of t loses what t loses: 1.6e9 ε over a step of 6e-6 of the range
    first = columns_of(model, own, found, "poly(t, 2)")[:, 0]
    np.testing.assert_allclose(first, first.mean(), rtol=3e-7)


@pytest.mark.filterwarnings("ignore:Fixed-effects column")  # cr's columns add up to 1
@pytest.mark.parametrize("spline", ["bs(x, df=5)", "cr(x, df=4)"])
def test_slopes_at_the_ends_stay_within_what_a_spline_is_defined_on(spline):
    _, own = cells_of(f"{spline} + f")
    ends = CELLS.assign(x=[DATA["x"].min(), DATA["x"].max(), 4.0, DATA["x"].max()])
    found, h = own.slopes("x", ends), 1e-4
    inner = ends["x"] + np.array([h, -h, 0.0, -h])
    around = [own.rows(ends.assign(x=inner + step)) for step in (-h, h)]
    near = (around[1] - around[0]) / (2 * h)
    # Derivatives 1e-4 inside of the ends, where those of second order are below 10
    np.testing.assert_allclose(found, near, atol=2e-3)
    assert np.isfinite(found).all()


def test_offsets_are_taken_at_the_cells():
    _, own = cells_of("f + offset(np.log(x)) + offset(z)", offset="e")
    assert own.offsets == [["x"], ["z"], ["e"]]
    np.testing.assert_array_equal(own.offset(0, CELLS), np.log(CELLS["x"]))
    np.testing.assert_array_equal(own.offset(2, CELLS), CELLS["e"])
    np.testing.assert_allclose(own.offset_slopes("x", CELLS), 1 / CELLS["x"], rtol=1e-10)
    np.testing.assert_array_equal(own.offset_slopes("z", CELLS), 1.0)


def test_random_terms_have_rows_too():
    moved = DATA["y"] + DATA["g"] % 3 * DATA["x"] + DATA["k"] * np.where(DATA["flag"], 3.0, -1.0)
    moved += 5.0 * RNG.normal(size=3)[DATA["k"] // 2]
    model = lmer("y ~ f + (1 + x | g) + (0 + flag | k)", DATA.assign(y=moved))
    first, second = model._reference.random_rows(CELLS)
    np.testing.assert_array_equal(first, np.column_stack([np.ones(4), CELLS["x"]]))
    np.testing.assert_array_equal(second, np.column_stack([~CELLS["flag"], CELLS["flag"]]))
    assert model._reference.random == ["x", "flag"]
    assert model._reference.grouping == ["g", "k"]


def test_terms_name_the_columns_that_they_are_of():
    _, own = cells_of("f * x + np.log(x):flag + factor(k)")
    expected = [{"f"}, {"x"}, {"f", "x"}, {"x", "flag"}, {"k"}]
    assert sorted(map(sorted, own.interactions)) == sorted([[], *map(sorted, expected)])
    assert {name: own.is_factor(name) for name in own.fixed} == {
        "f": True,
        "x": False,
        "k": True,
        "flag": True,
    }
