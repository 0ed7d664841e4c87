import matplotlib as mpl

mpl.use("agg")

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from skmixed import MixedNegativeBinomialRegressor
from skmixed.exceptions import SingularFitWarning
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
