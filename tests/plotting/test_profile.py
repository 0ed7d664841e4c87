import matplotlib as mpl

mpl.use("agg")

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from skmixed import MixedLinearRegressor, MixedNegativeBinomialRegressor
from skmixed.datasets import load_dyestuff
from skmixed.exceptions import SingularFitWarning
from skmixed.inference import confidence_intervals, profile
from skmixed.plotting import ProfileDisplay


def test_a_shape_without_an_end_is_drawn_as_far_as_it_is_finite():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=120), "g": np.arange(120) % 12})
    y = rng.poisson(np.exp(0.5 * X["x"] + 0.7 * rng.normal(size=12)[X["g"]]))
    with pytest.warns(SingularFitWarning, match="no finite estimate"):
        model = MixedNegativeBinomialRegressor("g").fit(X, y)
    display = ProfileDisplay.from_estimator(model, components="shape", n_points=4)
    table = display.profile
    assert table["value"].is_monotonic_increasing
    assert table["value"].iloc[-1] == np.inf  # which is the estimate, and there is nothing beyond
    assert table["zeta"].iloc[-1] == 0.0
    assert (np.diff(table["zeta"]) > 0.0).all()
    assert (display.intervals["upper"] == np.inf).all()
    plt.close(display.figure_)


def test_a_bar_shows_how_far_profiles_are(capsys):
    model = MixedLinearRegressor("Batch").fit(*load_dyestuff(return_X_y=True))
    silent = ProfileDisplay.from_estimator(model, n_points=2)
    assert capsys.readouterr().err == ""
    display = ProfileDisplay.from_estimator(model, n_points=2, verbose=1)
    said = capsys.readouterr().err
    assert "profiles: 100%" in said
    assert "3/3" in said
    assert "intervals" not in said  # one bar for both
    pd.testing.assert_frame_equal(display.profile, silent.profile)
    pd.testing.assert_frame_equal(display.intervals, silent.intervals)
    confidence_intervals(model, "profile", components="sigma", verbose=1)
    assert "profile intervals: 100%" in capsys.readouterr().err
    with pytest.raises(TypeError, match="verbose='yes' is of type str"):
        profile(model, verbose="yes")
    # The intervals are named at the heights of their ends, in type that can be read.
    display.figure_.draw_without_rendering()
    (right,) = display.axes_[-1].child_axes
    labels = right.get_yticklabels()
    assert [own.get_text() for own in labels[4:]] == ["50 %", "80 %", "95 %", "99 %"]
    boxes = [own.get_window_extent() for own in labels]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert min(own.get_fontsize() for own in labels) >= 7.0
    plt.close("all")
