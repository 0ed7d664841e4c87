import itertools

import numpy as np
import pandas as pd
import pytest

from skmixed import lmer
from skmixed.inference._marginal.averaging import (
    WEIGHTS,
    averaged,
    averaging_weights,
    counts_of,
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
