"""How fitted values follow responses, against refits to responses that differ a little."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._fitted.fitted_model import fitted
from skmixed._uncertainty.fitted_values import FittedValues
from skmixed.exceptions import SingularFitWarning


def simulated(seed, *, sd=(2.0, 1.5), n=36, corr=0.3):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"x": rng.normal(size=n), "g": np.arange(n) % 6, "h": rng.integers(0, 4, n)})
    slopes = corr * (effects := rng.normal(size=6)) + np.sqrt(1 - corr**2) * rng.normal(size=6)
    y = 2.0 + X["x"] + sd[0] * effects[X["g"]] + sd[1] * slopes[X["g"]] * X["x"]
    return X, y + 1.5 * rng.normal(size=4)[X["h"]] + rng.normal(size=n)


MODELS = {
    "intercept": "g",
    "full": RandomEffect("g", ["x"]),
    "diag": RandomEffect("g", ["x"], covariance="diag"),
    "spherical": RandomEffect("g", ["x"], covariance="spherical"),
    "compound_symmetry": RandomEffect("g", ["x"], covariance="compound_symmetry"),
    "ar1": RandomEffect("g", ["x"], covariance="ar1"),
    "crossed": [RandomEffect("g", ["x"], covariance="diag"), "h"],
}


def divergence(model, X, y, weights, step=1e-3):
    """Σ ∂ŷ_i/∂y_i by central differences of refits."""
    total = 0.0
    for i in range(len(y)):
        ends = []
        for h in (step, -step):
            moved = y.copy()
            moved.iloc[i] += h
            ends.append(model.fit(X, moved, sample_weight=weights).predict(X.iloc[[i]])[0])
        total += (ends[0] - ends[1]) / (2.0 * step)
    return total


def values_of(model):
    return FittedValues.of(fitted(model).relative)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    # Directions that are constant, and such that are not; two factors. "diag" is below, at the
    # boundary.
    [("intercept", "reml"), ("full", "ml"), ("ar1", "ml"), ("crossed", "reml")],
)
def test_the_derivative_is_that_of_refits(name, method):
    X, y = simulated(3, n=24)
    weights = np.random.default_rng(2).uniform(0.5, 2.0, len(y)) if name != "full" else None
    model = MixedLinearRegressor(MODELS[name], fixed=["x"], method=method, tol=1e-14)
    own = values_of(model.fit(X, y, sample_weight=weights))
    assert not model.singular_
    # Third derivatives times h² = 1e-6, and the end of the searches over h
    np.testing.assert_allclose(own.df, divergence(model, X, y, weights), rtol=2e-5)
    assert own.df > own.df_held


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sd", "corr", "name"), [((1.0, 0.0), 0.0, "diag"), ((2.0, 0.5), 1.0, "full")]
)
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_what_is_at_the_boundary_stays_there(sd, corr, name):
    seed = next(k for k in range(60) if _is_at_boundary(*simulated(k, sd=sd, corr=corr), name))
    X, y = simulated(seed, sd=sd, corr=corr)
    model = MixedLinearRegressor(MODELS[name], fixed=["x"], tol=1e-14)
    own = values_of(model.fit(X, y))
    np.testing.assert_allclose(own.df, divergence(model, X, y, None), rtol=2e-5)


def _is_at_boundary(X, y, name):
    """Whether one coefficient, or combination of them, has no variance, and another one has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model = MixedLinearRegressor(MODELS[name], fixed=["x"]).fit(X, y)
    return model.singular_ and model.theta_[0] > 0.3


def test_a_model_without_a_variance_is_the_smaller_model():
    seed = next(k for k in range(60) if _is_at_boundary(*simulated(k, sd=(1.0, 0.0)), "diag"))
    X, y = simulated(seed, sd=(1.0, 0.0))
    own = []
    for effect in ("intercept", "diag"):
        model = MixedLinearRegressor(MODELS[effect], fixed=["x"], tol=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            own.append(values_of(model.fit(X, y)))
    # Two searches with one optimum
    np.testing.assert_allclose(own[1].df, own[0].df, rtol=1e-6)
    np.testing.assert_allclose(own[1].residual_squares, own[0].residual_squares, rtol=1e-6)


def test_without_random_effects_it_is_the_rank_of_x():
    X, y = simulated(4)
    model = MixedLinearRegressor(fixed=["x"]).fit(X, y)
    own = values_of(model)
    assert own.df == own.df_held == 2.0
    squares = np.square(y - model.predict(X)).sum()
    np.testing.assert_allclose(own.residual_squares, squares, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_units_change_nothing(scale):
    X, y = simulated(1)
    own = [
        values_of(MixedLinearRegressor(MODELS["full"], fixed=["x"], tol=1e-13).fit(frame, target))
        for frame, target in ((X, y), (X.assign(x=scale * X["x"] + 3.0 * scale), y * scale))
    ]
    # The optimum to the root of the criterion's rounding
    np.testing.assert_allclose(own[1].df, own[0].df, rtol=1e-6)
