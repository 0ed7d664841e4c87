import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal

from skmixed import MixedLinearRegressor, glmer, lmer
from skmixed.datasets import load_cake, load_orthodont, load_sleepstudy, load_toenail
from skmixed.inference import marginal_means, marginal_slopes
from skmixed.plotting import EffectsDisplay

mpl.use("agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cake():
    data = load_cake().frame
    return lmer("angle ~ recipe * temp + (1 | recipe:replicate)", data), data


@pytest.fixture(scope="module")
def growth():
    data = load_orthodont().frame
    return lmer("distance ~ age * Sex + (age | Subject)", data), data


def bars(ax):
    """Return place, estimate, lower and upper of each error bar, as drawn."""
    out = []
    for container in ax.containers:
        x, y = container.lines[0].get_data()
        segments = np.array(container.lines[2][0].get_segments())
        out.append(np.column_stack([x, y, segments[:, 0, 1], segments[:, 1, 1]]))
    return out


def dots_of(ax):
    own = [c for c in ax.collections if isinstance(c, mpl.collections.PathCollection)]
    return [np.asarray(one.get_offsets()) for one in own]


def legend_of(display):
    (legend,) = display.figure_.legends
    return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]


def test_factor_has_points_with_the_intervals_of_the_means(cake):
    model, _ = cake
    display = EffectsDisplay.from_estimator(model, "recipe", level=0.9, ddf="kenward-roger")
    expected = marginal_means(model, "recipe", level=0.9, ddf="kenward-roger")
    pd.testing.assert_frame_equal(display.table, expected)
    (drawn,) = bars(display.axes_[0])
    # The lengths of error bars are added to the means again.
    assert_allclose(drawn[:, 1:], expected[["mean", "lower", "upper"]], rtol=1e-14)
    assert_array_equal(drawn[:, 0], [0, 1, 2])
    ax = display.axes_[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["A", "B", "C"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("recipe", "angle")
    assert display.data is None
    assert not display.figure_.legends


def test_numeric_column_has_a_line_over_its_range_with_a_band(growth):
    model, data = growth
    display = EffectsDisplay.from_estimator(model, "age", by="Sex", X=data)
    at = {"age": np.linspace(8.0, 14.0, 50)}
    pd.testing.assert_frame_equal(display.table, marginal_means(model, ["age", "Sex"], at=at))
    ax = display.axes_[0]
    bands = [c for c in ax.collections if isinstance(c, mpl.collections.PolyCollection)]
    for sex, line, band, own in zip(["Female", "Male"], ax.lines, bands, dots_of(ax), strict=True):
        table = display.table[display.table["Sex"] == sex]
        assert_array_equal(line.get_xydata(), table[["age", "mean"]])
        vertices = band.get_paths()[0].vertices
        for age, lower, upper in table[["age", "lower", "upper"]].to_numpy():
            here = vertices[vertices[:, 0] == age, 1]
            assert_array_equal([here.min(), here.max()], [lower, upper])
        rows = data[data["Sex"] == sex]
        assert_array_equal(own, rows[["age", "distance"]])
    assert legend_of(display) == ("Sex", ["Female", "Male"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "distance")


def test_three_variables_have_colors_and_panels(cake):
    model, data = cake
    at = {"temp": [175, 225]}
    display = EffectsDisplay.from_estimator(model, "temp", ["recipe"], X=data)
    assert legend_of(display) == ("recipe", ["A", "B", "C"])
    rng = np.random.default_rng(0)
    data = data.assign(oven=rng.choice(["old", "new"], len(data)))
    model = lmer("angle ~ recipe * temp + oven + (1 | recipe:replicate)", data)
    display = EffectsDisplay.from_estimator(model, "oven", ["temp", "recipe"], at=at, X=data)
    pd.testing.assert_frame_equal(
        display.table, marginal_means(model, ["oven", "temp", "recipe"], at=at)
    )
    assert [ax.get_title() for ax in display.axes_] == [f"recipe = {r}" for r in "ABC"]
    assert [ax.get_ylabel() for ax in display.axes_] == ["angle", "", ""]
    assert legend_of(display) == ("temp", ["175", "225"])
    assert len({ax.get_ylim() for ax in display.axes_}) == 1
    for recipe, ax in zip("ABC", display.axes_, strict=True):
        own = display.table[display.table["recipe"] == recipe]
        for temp, drawn in zip(at["temp"], bars(ax), strict=True):
            assert_array_equal(drawn[:, 1], own.loc[own["temp"] == temp, "mean"])
        rows = data[data["recipe"] == recipe]
        assert sum(map(len, dots_of(ax))) == len(rows)
        # In the colors by the nearest temperature, around their own oven; 200 goes with 175.
        for k, is_own in enumerate([rows["temp"] <= 200, rows["temp"] > 200]):
            own = rows[is_own]
            place = own["oven"].map({"new": 0.0, "old": 1.0}) + (k - 0.5) * 0.25
            assert_array_equal(dots_of(ax)[k][:, 1], own["angle"])
            assert np.abs(dots_of(ax)[k][:, 0] - place).max() < 0.1


def test_dots_of_a_factor_lie_around_its_place(cake):
    model, data = cake
    ax = EffectsDisplay.from_estimator(model, "recipe", X=data).axes_[0]
    (drawn,) = dots_of(ax)
    place = data["recipe"].map({"A": 0.0, "B": 1.0, "C": 2.0})
    assert_array_equal(drawn[:, 1], data["angle"])
    assert np.abs(drawn[:, 0] - place).max() < 0.1
    assert len(np.unique(drawn[:, 0])) == len(data)


def test_spline_and_values_given():
    data = load_sleepstudy().frame
    model = lmer("Reaction ~ ns(Days, 3) + (Days | Subject)", data)
    ax = EffectsDisplay.from_estimator(model, "Days").axes_[0]
    assert ax.lines[0].get_marker() in ("", "None")
    display = EffectsDisplay.from_estimator(model, "Days", at={"Days": [6, 0, 3]})
    (line,) = display.axes_[0].lines
    assert line.get_marker() == "o"
    assert_array_equal(line.get_xdata(), [0, 3, 6])
    assert_array_equal(line.get_ydata(), display.table["mean"].to_numpy()[[1, 2, 0]])
    single = EffectsDisplay.from_estimator(model, "Days", at={"Days": 3}).axes_[0]
    assert bars(single)[0].shape == (1, 4)


def test_classes_on_their_scales():
    data = load_toenail().frame
    data["arm"] = np.where(data["treated"] > 0, "treated", "control")
    model = glmer("severe ~ arm * visit + (1 | patient)", data, "binomial")
    display = EffectsDisplay.from_estimator(model, "arm", at={"visit": 1}, X=data)
    expected = marginal_means(model, "arm", at={"visit": 1}, scale="response")
    pd.testing.assert_frame_equal(display.table, expected)
    assert display.y_name == "P(severe = 1)"
    (drawn,) = dots_of(display.axes_[0])
    assert_allclose(drawn[:, 1], data["severe"], atol=0.03)
    assert len(np.unique(drawn[:, 1])) == len(data)
    link = EffectsDisplay.from_estimator(model, "visit", by="arm", scale="link")
    assert link.y_name == "logit of severe"
    with pytest.raises(ValueError, match=r"scale='link' is that of the logit.*Leave X out"):
        EffectsDisplay.from_estimator(model, "visit", X=data, scale="link")


def test_slopes(growth):
    model, _ = growth
    display = EffectsDisplay.from_slopes(model, "age", by="Sex")
    pd.testing.assert_frame_equal(display.table, marginal_slopes(model, "age", "Sex"))
    ax = display.axes_[0]
    assert ax.get_ylabel().replace("\n", " ") == "change of distance per unit of age"
    (drawn,) = bars(ax)
    assert_allclose(drawn[:, 1:], display.table[["slope", "lower", "upper"]], rtol=1e-14)
    assert ax.lines[0].get_ydata() == [0.0, 0.0]
    single = EffectsDisplay.from_slopes(model, "age")
    assert_array_equal(bars(single.axes_[0])[0][:, 1], marginal_slopes(model, "age")["slope"])
    data = load_sleepstudy().frame
    curved = lmer("Reaction ~ poly(Days, 2) + (Days | Subject)", data)
    along = EffectsDisplay.from_slopes(curved, "Days", by="Days")
    at = {"Days": np.linspace(0.0, 9.0, 50)}
    expected = marginal_slopes(curved, "Days", "Days", at=at)
    pd.testing.assert_frame_equal(along.table, expected)
    assert_array_equal(along.axes_[0].lines[-1].get_ydata(), expected["slope"])


def test_on_axes_given(growth):
    model, _ = growth
    display = EffectsDisplay.from_estimator(model, "age", ["Sex"])
    figure, (left, right) = plt.subplots(1, 2)
    assert display.plot(right) is display
    assert display.figure_ is figure
    assert list(display.axes_) == [right]
    assert right.get_legend().get_title().get_text() == "Sex"
    assert not left.has_data()
    with pytest.raises(ValueError, match="ax has 2 axes, but the plot has 1 panels"):
        display.plot([left, right])
    figure.canvas.draw()  # warnings are errors


def test_models_and_names_that_have_no_effects(growth):
    model, _ = growth
    X, y = load_sleepstudy(return_X_y=True)
    with pytest.raises(TypeError, match=r"MixedLinearRegressor by columns.*skmixed\.lmer"):
        EffectsDisplay.from_estimator(MixedLinearRegressor("Subject").fit(X, y), "Days")
    with pytest.raises(ValueError, match="names 'sex', which is no variable"):
        EffectsDisplay.from_estimator(model, "age", by="sex")
    with pytest.raises(ValueError, match="'age' is numeric, from 8 to 14"):
        EffectsDisplay.from_estimator(model, "Sex", by="age")
    with pytest.raises(TypeError, match=r"variables=.*does not name variables"):
        EffectsDisplay.from_estimator(model, 3)
    with pytest.raises(TypeError, match="at=3 is of type int"):
        EffectsDisplay.from_estimator(model, "age", at=3)


def test_without_matplotlib(growth, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for of in (EffectsDisplay.from_estimator, EffectsDisplay.from_slopes):
        with pytest.raises(ImportError, match=rf"{of.__name__} needs matplotlib"):
            of(growth[0], "age")


def test_what_is_no_axes_in_a_list_is_refused():
    model = lmer("angle ~ recipe + (1 | recipe:replicate)", load_cake().frame)
    with pytest.raises(TypeError, match=r"ax has 1, which is of type int. Give axes"):
        EffectsDisplay.from_estimator(model, "recipe", ax=[1])
