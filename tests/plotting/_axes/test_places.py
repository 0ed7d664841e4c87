"""Axes of displays: how panels stand beside and below each other."""

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from skmixed import plotting
from skmixed.plotting._axes.places import columns_of, triangle


@pytest.fixture(autouse=True)
def _figures():
    matplotlib.use("agg")
    yield
    plt.close("all")


def test_panels_wrap_at_four_columns():
    names = [f"x{k}" for k in range(7)]
    table = pd.DataFrame([("g", j, own, 1.0, 0.0, 2.0, 0.3) for own in names for j in range(5)])
    table.columns = ["group", "level", "name", "estimate", "lower", "upper", "standardized"]
    kinds = [
        plotting.RandomEffectsDisplay(effects=table, level=0.95),
        plotting.RandomEffectsQQDisplay(effects=table),
    ]
    for display in kinds:
        places = [ax.get_subplotspec() for ax in display.plot().axes_]
        assert [own.rowspan.start for own in places] == [0, 0, 0, 0, 1, 1, 1]
        assert [own.colspan.start for own in places] == [0, 1, 2, 3, 0, 1, 2]


def test_lines_of_panels_are_of_equal_length():
    assert [columns_of(n) for n in range(1, 10)] == [1, 2, 3, 4, 3, 3, 4, 4, 3]


def test_a_triangle_has_the_order_of_the_pairs():
    # Of four coefficients: lines are the second ones, columns the first.
    assert triangle(3) == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (2, 2)]
