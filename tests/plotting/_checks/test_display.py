import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor, ResidualCovariance, lmer
from skmixed.datasets import load_cake, load_penicillin, load_sleepstudy
from skmixed.diagnostics import cooks_distance, residuals
from skmixed.plotting import ModelChecksDisplay, check_model


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def titles(display):
    return [panel.get_title().split("\n")[0].split(":")[0] for panel in display.axes_]


def test_all_panels():
    data = load_cake().frame
    model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", data)
    display = check_model(model, data)
    assert len(display.axes_) == 6
    names = ["Linearity", "Homogeneity", "Normal residuals", "Normal effects", "Influence"]
    assert titles(display) == [*names, "Collinearity"]
    # Each has room on one line.
    assert not any("\n" in panel.get_title() for panel in display.axes_)
    assert_allclose(display.rows["residual"], residuals(model, data, kind="standardized"))
    assert_allclose(display.rows["cooks_distance"], cooks_distance(model, data))
    assert display.figure_.get_supxlabel() == "\n".join(display.words)
    assert display.axes_[0].get_ylabel() == "standardized residual"
    # recipe has two columns, whose vif is the square of what one column has.
    shown = display.axes_[-1].collections[-1].get_offsets()[:, 0]
    assert_allclose(shown, display.inflation["vif"] ** (1 / display.inflation["n_columns"]))


def test_panels_that_a_model_has():
    X, y = load_sleepstudy(return_X_y=True)
    plain = check_model(MixedLinearRegressor().fit(X[["Days"]], y), X[["Days"]], y)
    assert plain.effects is None
    assert plain.inflation is None
    assert len(plain.axes_) == 4
    own = ResidualCovariance("ar1", subject="Subject", time="Days")
    repeated = MixedLinearRegressor(residual=own, fixed=["Days"]).fit(X, y)
    display = check_model(repeated, X, y)
    assert "cooks_distance" not in display.rows
    assert_allclose(display.rows["residual"], residuals(repeated, X, y, "normalized"))
    assert display.axes_[0].get_ylabel() == "normalized residual"


def test_effects_of_several_coefficients_have_a_color_each():
    X, y = load_penicillin(return_X_y=True)
    display = check_model(MixedLinearRegressor(["plate", "sample"]).fit(X, y), X, y)
    panel = display.axes_[3]
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == ["plate: (Intercept)", "sample: (Intercept)"]


def test_given_axes():
    data = load_sleepstudy().frame
    model = lmer("Reaction ~ Days + (Days | Subject)", data)
    figure, ax = plt.subplots()
    display = check_model(model, data, ax=ax)
    assert display.figure_ is figure
    assert figure.get_supxlabel() == ""
    with pytest.raises(ValueError, match="ax has 2 axes, but the plot has 5 panels"):
        display.plot(plt.subplots(1, 2)[1])


def test_the_same_figure_again():
    data = load_sleepstudy().frame
    model = lmer("Reaction ~ Days + (Days | Subject)", data)
    first = ModelChecksDisplay.from_estimator(model, data)
    again = first.plot()
    assert len(again.axes_) == 5
    pd.testing.assert_frame_equal(again.rows, first.rows)


def test_rows_that_are_not_those_of_the_model():
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject").fit(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        check_model(model, X.rename(columns={"Days": "days"}), y)
