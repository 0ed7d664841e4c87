import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_array_equal

from skmixed.plotting._effects.drawing import (
    COLORS,
    EffectColumns,
    colors_of,
    draw_effects_panel,
    values_of,
    written,
)

mpl.use("agg")


@pytest.fixture
def ax():
    figure, own = plt.subplots()
    yield own
    figure.canvas.draw()
    plt.close(figure)


def table(levels):
    mean = np.arange(float(len(levels)))
    return pd.DataFrame({"g": levels, "mean": mean, "lower": mean - 1, "upper": mean + 1})


def test_colors_are_distinct_however_many():
    assert colors_of(2) == list(COLORS[:2])
    assert len(set(colors_of(12))) == 12


def test_numbers_are_written_short():
    assert written([175.0, 0.25, "a", True]) == ["175", "0.25", "a", "True"]


def test_means_that_are_not_there_are_not_drawn(ax):
    own = table(["a", "b", "c"])
    own.loc[1, ["mean", "lower", "upper"]] = np.nan
    columns = EffectColumns("g", "", "mean", False)
    draw_effects_panel(ax, columns, own, None, (values_of(own, "g"), [None]))
    assert_array_equal(ax.containers[0].lines[0].get_ydata(), [0.0, np.nan, 2.0])
    assert_array_equal(ax.get_xticks(), [0, 1, 2])


def test_rows_without_a_level_have_no_dot(ax):
    own = table(["a", "b"])
    data = pd.DataFrame({"g": ["a", np.nan, "b"], "response": [1.0, 7.0, 3.0]})
    columns = EffectColumns("g", "", "mean", False)
    draw_effects_panel(ax, columns, own, data, (values_of(own, "g"), [None]))
    place = np.asarray(ax.collections[0].get_offsets().filled(np.nan))[:, 0]
    assert_array_equal(np.isnan(place), [False, True, False])


def test_long_names_of_categories_are_turned(ax):
    for levels, turned in ["abc", 0.0], [[f"a rather long name {k}" for k in range(8)], 40.0]:
        own = table(list(levels))
        columns = EffectColumns("g", "", "mean", False)
        draw_effects_panel(ax, columns, own, None, (values_of(own, "g"), [None]))
        assert {label.get_rotation() for label in ax.get_xticklabels()} == {turned}


def test_colors_of_a_category_lie_beside_each_other(ax):
    own = pd.concat([table(["a", "b"]).assign(c=c) for c in ("x", "y", "z")], ignore_index=True)
    columns = EffectColumns("g", "c", "mean", False)
    draw_effects_panel(ax, columns, own, None, (["a", "b"], ["x", "y", "z"]))
    place = [container.lines[0].get_xdata() for container in ax.containers]
    np.testing.assert_allclose(np.mean(place, axis=0), [0.0, 1.0], atol=1e-15)
    assert place[0][0] < place[1][0] < place[2][0] < place[0][1]


def test_counts_over_a_numeric_column_are_spread_and_colors_lie_beside_each_other(ax):
    own = table(["a", "a", "b", "b"]).assign(x=[3, 5, 3, 5])
    n = np.arange(80)
    data = pd.DataFrame({"g": np.where(n % 2 < 1, "a", "b"), "x": 3 + n // 40 * 2})
    data["response"] = n % 4 // 2.0
    columns = EffectColumns("x", "g", "mean", True)
    values = [values_of(own, name) for name in ("x", "g")]
    draw_effects_panel(ax, columns, own, data, values)
    dots = [c for c in ax.collections if isinstance(c, mpl.collections.PathCollection)]
    for k, level in enumerate("ab"):
        away = np.asarray(dots[k].get_offsets())[:, 0] - data.loc[data["g"] == level, "x"]
        # Half of the distance of the values, 2, and a side for each color.
        assert (np.abs(away) < 1.0).all()
        assert (np.sign(away) == 2 * k - 1).all()
    # Dots of which most have a place of their own stay there.
    ax.clear()
    draw_effects_panel(ax, columns, own, data.assign(response=n / 7), values)
    dots = [c for c in ax.collections if isinstance(c, mpl.collections.PathCollection)]
    assert_array_equal(np.asarray(dots[1].get_offsets())[:, 0], data.loc[data["g"] == "b", "x"])
