import itertools

import numpy as np
import pandas as pd
import pytest

from skmixed import lmer
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference import marginal_means
from skmixed.inference._marginal.averaging import (
    WEIGHTS,
    averaged,
    averaging_weights,
    counts_of,
    nested_factors,
)
from skmixed.inference._marginal.grid import ReferenceGrid, reference_of
from skmixed.inference._marginal.grid_request import GridRequest

RNG = np.random.default_rng(4)
N = 90
DATA = pd.DataFrame(
    {
        "f": RNG.choice(["a", "b", "c"], N, p=[0.6, 0.3, 0.1]),
        "h": RNG.choice(["u", "v"], N, p=[0.8, 0.2]),
        "k": RNG.choice([1, 2, 5], N),
        "two": RNG.choice([0.0, 3.0], N),
        "x": RNG.normal(size=N),
        "w": RNG.choice([0.5, 1.0, 2.0], N),
        "g": np.arange(N) % 9,
    }
).assign(y=lambda d: d["g"] + RNG.normal(size=N))
DATA = DATA[~((DATA["f"] == "c") & (DATA["h"] == "v"))]
MODEL = lmer("y ~ f + h + factor(k) + two + x + (1 | g)", DATA, weights="w")


def grid_of(variables, at=None):
    return ReferenceGrid.of(reference_of(MODEL), GridRequest.of(variables, None, at))


def by_hand(grid, weights, rows=DATA):
    """The shares of the cells in each average, cell by cell."""
    targets = [own.name for own in grid.targets]
    others = [own.name for own in grid.others if len(own.values) > 1 and own.name != "x"]
    counted = [n for n in (*targets, *others) if n != "x"]

    def count(cell):
        own = np.all([rows[n] == cell[n] for n in counted], axis=0)
        return rows["w"][own].sum()

    cells = grid.cells.to_dict("records")
    in_grid = rows[np.all([rows[n].isin(grid.cells[n]) for n in counted], axis=0)]

    def weight(cell):
        if weights == "equal":
            return 1.0
        if weights in ("cells", "flat"):
            return count(cell) if weights == "cells" else float(count(cell) > 0)
        own = [in_grid[n] == cell[n] for n in others]
        if weights == "proportional":
            return in_grid["w"][np.all(own, axis=0)].sum()
        return np.prod([in_grid["w"][k].sum() for k in own])

    found = np.array([weight(cell) for cell in cells]).reshape(grid.n_targets, -1)
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("variables", "at"),
    [
        (["f"], None),
        (["h", "k"], None),
        (["k"], {"f": ["b", "a"]}),
        (["h"], {"k": [5, 1], "x": [0.0, 1.0]}),
    ],
)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_shares_are_those_of_rows_counted_by_hand(variables, at, weights):
    grid = grid_of(variables, at)
    found = averaging_weights(grid, weights)
    np.testing.assert_allclose(found, by_hand(grid, weights), rtol=1e-13)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)


def test_counts_add_up_to_the_weights_of_all_rows():
    assert counts_of(grid_of(["f"])).sum() == pytest.approx(DATA["w"].sum(), rel=1e-14)


def test_numbers_that_are_given_are_not_counted():
    grid = grid_of(["f"], {"two": [0.0, 1.5]})
    counts = counts_of(grid).reshape(grid.n_targets, -1)
    for level, own in zip("abc", counts, strict=True):
        # Each of the two values has all rows of the level
        assert own.sum() == pytest.approx(2 * DATA["w"][DATA["f"] == level].sum())


@pytest.mark.parametrize("weights", ["cells", "flat"])
def test_an_average_over_no_rows_is_nan(weights):
    shares = averaging_weights(grid_of(["f", "h"]), weights)
    is_empty = [f == "c" and h == "v" for h, f in itertools.product("uv", "abc")]
    np.testing.assert_array_equal(np.isnan(shares).all(axis=1), is_empty)
    np.testing.assert_array_equal(np.isnan(shares).any(axis=1), is_empty)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_cell_by_itself_needs_no_rows(weights):
    grid = grid_of(["f", "h", "k", "two"])
    np.testing.assert_array_equal(averaging_weights(grid, weights), np.ones((36, 1)))


def test_where_no_row_is_all_values_count_alike():
    grid = grid_of(["x"], {"f": "c", "h": "v", "x": [0.0, 1.0]})
    for weights in WEIGHTS:
        np.testing.assert_allclose(averaging_weights(grid, weights), 1 / 6, rtol=1e-15)


def test_averages_are_sums_of_shares():
    shares, values = RNG.dirichlet([1, 1, 1], 4), RNG.normal(size=(12, 2))
    expected = [shares[k] @ values[3 * k : 3 * k + 3] for k in range(4)]
    np.testing.assert_allclose(averaged(shares, values), expected, rtol=1e-13)
    np.testing.assert_allclose(averaged(shares, values[:, 0]), np.array(expected)[:, 0], rtol=1e-13)


def nested_data():
    """Three levels of f, with two, three and four levels of c within, and halves of c within c."""
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"f": rng.choice(["a", "b", "c"], 240), "h": rng.choice(["u", "v"], 240)})
    size = data["f"].map({"a": 2, "b": 3, "c": 4})
    data["c"] = data["f"] + (rng.integers(100, size=240) % size).astype(str)
    data["d"] = data["c"] + rng.choice(["x", "y"], 240)
    data["same"] = data["f"] + "!"
    data["x"] = rng.normal(size=240)
    effects = dict(zip(sorted(data["d"].unique()), rng.normal(size=30), strict=False))
    return data.assign(g=np.arange(240) % 9, y=data["d"].map(effects) + rng.normal(size=240))


NESTED = nested_data().assign(y=lambda d: d["y"] + d["g"])


@pytest.fixture(scope="module")
def nested_model():
    with pytest.warns(RankDeficiencyWarning):
        return lmer("y ~ f + c + d + same + h + x + (1 | g)", NESTED)


def test_nested_factors_are_found(nested_model):
    grid = ReferenceGrid.of(reference_of(nested_model), GridRequest.of("h", None, None))
    own = {name: set(outers) for name, outers in nested_factors(grid).items()}
    assert own == {"c": {"f", "same"}, "d": {"c", "f", "same"}}


@pytest.mark.parametrize("variables", [["f"], ["h"], ["c"], ["f", "h"], []])
def test_levels_within_a_level_count_alike(nested_model, variables):
    asked = GridRequest.of(variables, None, {"same": ["a!", "b!", "c!"]})
    grid = ReferenceGrid.of(reference_of(nested_model), asked)
    shares = averaging_weights(grid, "equal")
    cells = grid.cells.assign(
        share=shares.ravel(), target=np.arange(len(grid.cells)) // shares.shape[1]
    )
    there = cells["share"] > 0
    # The cells that count are those whose nested levels occur together
    seen = set(map(tuple, NESTED[["f", "same", "c", "d"]].drop_duplicates().to_numpy()))
    found = set(map(tuple, cells.loc[there, ["f", "same", "c", "d"]].to_numpy()))
    assert found == seen
    for _, own in cells[there].groupby("target"):
        # Each level within the same level of the outer ones has the same share
        for outer, inner in (("f", "c"), ("c", "d")):
            sums = own.groupby([outer, inner])["share"].sum()
            spread = sums.groupby(outer).agg(["min", "max"])
            np.testing.assert_allclose(spread["min"], spread["max"], rtol=1e-12)
        f = own.groupby("f")["share"].sum()
        np.testing.assert_allclose(f, 1.0 / len(f), rtol=1e-12)


def test_nested_levels_count_by_their_rows(nested_model):
    asked = GridRequest.of(["f"], None, None)
    grid = ReferenceGrid.of(reference_of(nested_model), asked)
    cells = grid.cells.assign(share=averaging_weights(grid, "proportional").ravel())
    for level, own in cells.groupby("f"):
        rows = NESTED[NESTED["f"] == level]
        found = own.groupby("d")["share"].sum()
        expected = rows["d"].value_counts(normalize=True).reindex(found.index, fill_value=0.0)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_means_of_nested_designs_are_determined(nested_model):
    found = marginal_means(nested_model, "f")
    assert found["mean"].notna().all()
    assert "c is nested in f and same." in found.remarks[0]
    # Of the cells within the level, alike
    within = NESTED[["f", "same", "c", "d"]].drop_duplicates()
    cells = within.merge(NESTED[["h"]].drop_duplicates(), how="cross")
    cells = cells.assign(x=NESTED["x"].mean(), g=0)
    cells["fit"] = nested_model.predict(cells, include="fixed")
    expected = cells.groupby(["f", "c"])["fit"].mean().groupby("f").mean()
    np.testing.assert_allclose(found["mean"], expected, rtol=1e-11)
