"""Profiles against the intervals that they give, and at the bounds of parameters."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_dyestuff2, load_sleepstudy
from skmixed.exceptions import ExactFitWarning, RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import confidence_intervals, profile

KEYS = ["component", "group", "name"]


@pytest.fixture(scope="module")
def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)


@pytest.mark.slow
def test_each_value_is_the_end_of_an_interval(sleepstudy):
    paths = profile(sleepstudy, n_points=2)
    assert list(paths.columns) == [*KEYS, "value", "zeta"]
    assert (paths.groupby(KEYS).size() == 5).all()
    for key, path in paths.groupby(KEYS, sort=False):
        assert path["value"].is_monotonic_increasing
        width = np.ptp(path["value"])
        assert path["zeta"].iloc[2] == 0.0
        for value, zeta in path.iloc[[0, 1, 3, 4]][["value", "zeta"]].to_numpy():
            level = 1 - 2 * norm.sf(abs(zeta))
            table = confidence_intervals(
                sleepstudy, "profile", level=level, components=key[0]
            ).set_index(KEYS)
            # The ends of intervals are found to 1e-6 of ζ².
            end = table.loc[key, "upper" if zeta > 0 else "lower"]
            assert end == pytest.approx(value, abs=2e-6 * width)


def test_zeta_at_the_ends(sleepstudy):
    ends = profile(sleepstudy, level=0.9).groupby(KEYS)["zeta"].agg(["min", "max"])
    z = norm.ppf(0.95)
    # ζ² is within 1e-6 of its target; repeated searches from elsewhere add as much.
    assert_allclose(ends, [[-z, z]] * 6, rtol=2e-6)


def test_a_variance_of_zero():
    X, y = load_dyestuff2(return_X_y=True)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("Batch").fit(X, y)
    path = profile(model, components="sd", n_points=4)
    assert path.iloc[0][["value", "zeta"]].tolist() == [0.0, 0.0]
    assert len(path) == 5
    assert path["zeta"].is_monotonic_increasing


def test_a_correlation_of_an_sd_that_may_be_zero():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60), "g": np.arange(60) % 10})
    y = frame["x"] + rng.normal(size=10)[frame["g"]] + rng.normal(size=60)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("g", random_slopes="x").fit(frame, y)
    path = profile(model, components="corr")
    assert path["value"].iloc[[0, -1]].tolist() == [-1.0, 1.0]
    # Never worse than without the slope, where there is no correlation.
    with pytest.warns(SingularFitWarning):
        full = MixedLinearRegressor("g", random_slopes="x", method="ml").fit(frame, y)
    plain = MixedLinearRegressor("g", method="ml").fit(frame, y)
    most = np.sqrt(plain.criterion_ - full.criterion_)
    # Roots of differences that are within 1e-8 of the optimum.
    assert path["zeta"].abs().max() <= most + 1e-4


def test_sigma_is_that_of_a_row_of_weight_one():
    X, y = load_sleepstudy(return_X_y=True)
    weights = np.full(len(y), 1e4)
    a = profile(MixedLinearRegressor("Subject").fit(X, y), n_points=2)
    model = MixedLinearRegressor("Subject").fit(X, y, sample_weight=weights)
    b = profile(model, n_points=2)
    unit = np.where(a["component"] == "sigma", 100.0, 1.0)
    # Searches stop 1e-8 above the least deviance.
    assert_allclose(a["value"] * unit, b["value"], rtol=1e-5)
    assert_allclose(a["zeta"], b["zeta"], atol=1e-5)


def test_dropped_columns_have_no_profile():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=30)}).assign(b=lambda d: 2 * d["a"])
    with pytest.warns(RankDeficiencyWarning):
        model = MixedLinearRegressor().fit(X, X["a"] + rng.normal(size=30))
    assert profile(model)["name"].unique().tolist() == ["", "(Intercept)", "a"]
    assert profile(model, components="corr").empty


def test_messages(sleepstudy):
    with pytest.raises(ValueError, match="components='beta' is not known"):
        profile(sleepstudy, components="beta")
    with pytest.raises(ValueError, match="level=1 is not between 0 and 1"):
        profile(sleepstudy, level=1)
    with pytest.raises(ValueError, match="n_points=0 is not positive"):
        profile(sleepstudy, n_points=0)
    frame = pd.DataFrame({"g": np.repeat(["a", "b", "c"], 4)})
    with pytest.warns(ExactFitWarning):
        exact = MixedLinearRegressor("g").fit(frame, np.repeat([1.0, 2.0, 4.0], 4))
    with pytest.raises(ValueError, match="reproduces y exactly, so that there is nothing"):
        profile(exact)
