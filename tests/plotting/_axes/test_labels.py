"""Texts of figures: names of levels where they have room, whole numbers, long names."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skmixed import MixedLinearRegressor, plotting
from skmixed.plotting._axes.labels import are_whole, labels_of


@pytest.fixture(autouse=True)
def _figures():
    matplotlib.use("agg")
    yield
    plt.close("all")


def test_the_extreme_ones_of_many_levels_are_named():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=6000), "g": np.arange(6000) % 800})
    b = rng.normal(size=(2, 800))[:, X["g"]]
    y = b[0] + b[1] * X["x"] + rng.normal(size=6000)
    model = MixedLinearRegressor("g", random_slopes="x").fit(X, y)
    display = plotting.RandomEffectsDisplay.from_estimator(model)
    display.figure_.draw_without_rendering()
    for ax, order in zip(display.axes_, display.order_.values(), strict=True):
        named = [*order[:5], *order[-1:-6:-1]]
        assert [text.get_text() for text in ax.get_yticklabels()] == list(map(str, named))
        # Lines lead from the names to the levels.
        leads = np.array([line.get_ydata() for line in ax.lines[1:]])
        assert_array_equal(leads[:, 0], ax.get_yticks())
        assert_array_equal(leads[:, 1], [*range(5), *range(799, 794, -1)])
        boxes = [text.get_window_extent() for text in ax.get_yticklabels()]
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert [ax.get_ylabel() for ax in display.axes_] == ["g (800 levels, sorted)", ""]
    residuals_of = plotting.ResidualsDisplay.from_estimator(model, X, y, panels="group")
    assert len(residuals_of.axes_[0].get_yticklabels()) == 10
    assert len(plotting.FittedLinesDisplay.from_estimator(model, X, y).axes_) == 20
    display = plotting.ShrinkageDisplay.from_estimator(model)
    beyond = (display.no_pooling < [display.ax_.get_xlim()[0], display.ax_.get_ylim()[0]]) | (
        display.no_pooling > [display.ax_.get_xlim()[1], display.ax_.get_ylim()[1]]
    )
    text = f"{beyond.any(axis=1).sum()} own fits beyond the axes"
    assert [t.get_text() for t in display.ax_.texts] == [text]


@pytest.mark.parametrize("n", [3, 18, 90])
def test_figures_grow_with_the_levels_that_they_name(n):
    table = pd.DataFrame({"group": "g", "level": np.arange(n), "name": "(Intercept)"})
    table = table.assign(estimate=1.0 * np.arange(n), lower=-1.0, upper=1.0 * n)
    display = plotting.RandomEffectsDisplay(effects=table, level=0.95).plot()
    display.figure_.draw_without_rendering()
    (ax,) = display.axes_
    labels = ax.get_yticklabels()
    assert [text.get_text() for text in labels] == list(map(str, range(n)))
    boxes = [text.get_window_extent() for text in labels]
    # Digits leave a part of the height of their line free.
    assert not any(a.y0 > b.y0 and a.y0 < b.y0 + 0.7 * b.height for a in boxes for b in boxes)
    height = display.figure_.get_size_inches()[1]
    assert {3: height < 3.0, 18: 3.0 < height < 5.0, 90: 10.0 < height <= 12.0}[n]


def test_rows_and_counts_have_whole_ticks():
    rows = pd.DataFrame({"cooks_distance": [0.1, 0.2, 0.4]})
    ax = plotting.InfluenceDisplay(influence=rows, quantity="cooks_distance").plot().ax_
    assert {0.0, 1.0, 2.0} <= {*ax.get_xticks()}
    assert (ax.get_xticks() % 1 == 0).all()
    data = pd.DataFrame({"level": 1, "x": [0.0, 2.0, 3.0, 3.0], "y": [0.0, 1.0, 3.0, 2.0]})
    lines = pd.DataFrame({"level": 1, "x": [0.0, 3.0], "fitted": [0.2, 2.4], "population": 1.3})
    names = {"x_name": "x", "y_name": "y", "group": "g"}
    (ax,) = plotting.FittedLinesDisplay(data=data, lines=lines, **names).plot().axes_
    for ticks in (ax.get_xticks(), ax.get_yticks()):
        assert (ticks % 1 == 0).all()


def test_long_labels_stay_apart():
    names = [f"The elementary school of the city district no. {i} (public)" for i in range(12)]
    labels = labels_of(names, 24)
    assert max(map(len, labels)) <= 24
    assert len(set(labels)) == 12
    assert labels_of(["a", 3, ("b", 4)]) == ["a", "3", "b : 4"]
    assert labels_of(pd.DatetimeIndex(["2020-01-31"])) == ["2020-01-31"]
    assert labels_of(["$a$"]) == [r"\$a\$"]


@pytest.mark.parametrize(
    ("values", "whole"),
    [
        ([0, 4], True),
        ([0.0, np.nan, 3.0], True),
        ([0.0, 1.0], False),  # an indicator, whose mean is between
        ([0.0, 3.5], False),
        ([np.nan, np.nan], False),
        (["a", "b"], False),
        (np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]"), False),
    ],
)
def test_whole_numbers_are_counts(values, whole):
    assert are_whole(values) is whole
