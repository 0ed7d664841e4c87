"""The estimates of a fit that reproduces y, which have digits that its Λ takes away."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.exceptions import ExactFitWarning

# Each group and item has as many rows as the others or not, which counts for nothing.
GROUPS, ITEMS, ROWS = 12, 7, 300


def data(seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "g": rng.integers(0, GROUPS, ROWS),
            "h": rng.integers(0, ITEMS, ROWS),
            "x": 5.0 + rng.normal(size=ROWS),
        }
    )
    return X, rng.normal(size=(GROUPS, 2)), rng.normal(size=ITEMS), rng.uniform(0.5, 2.0, ROWS)


def fit(groups, X, y, weights=None, **parameters):
    with pytest.warns(ExactFitWarning):
        return MixedLinearRegressor(groups, fixed=["x"], **parameters).fit(X, y, weights)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_effects_of_an_exact_fit(seed, is_weighted, method):
    """Those of y = Xβ + Zb with the shortest b: the effects of each factor add up to 0."""
    X, of_g, of_h, weights = data(seed)
    weights = weights if is_weighted else None
    intercepts, slopes = of_g.T - of_g.mean(axis=0)[:, None]
    items = of_h - of_h.mean()
    g, h, x = X["g"].to_numpy(), X["h"].to_numpy(), X["x"].to_numpy()
    # What rounding leaves at Λ = 10, and of crossed effects at 1000; at the fit's Λ it is 1e-3.
    close = {"rtol": 0, "atol": 1e-10}
    line = 3.0 + 2.0 * x

    y = line + intercepts[g]
    model = fit("g", X, y, weights, method=method)
    assert_allclose(model.fixed_effects_, [3.0, 2.0], **close)
    assert_allclose(model.random_effects_["g"]["(Intercept)"], intercepts, **close)
    assert_allclose(model.predict(X), y, rtol=1e-12)

    y = line + intercepts[g] + slopes[g] * x
    model = fit(RandomEffect("g", slopes=["x"]), X, y, weights, method=method)
    assert_allclose(model.fixed_effects_, [3.0, 2.0], **close)
    assert_allclose(model.random_effects_["g"], np.column_stack([intercepts, slopes]), **close)
    assert_allclose(model.predict(X), y, rtol=1e-12)

    y = line + intercepts[g] + items[h]
    model = fit(["g", "h"], X, y, weights, method=method)
    assert_allclose(model.fixed_effects_, [3.0, 2.0], **close)
    assert_allclose(model.random_effects_["h"]["(Intercept)"], items, rtol=0, atol=1e-9)
    assert_allclose(model.predict(X), y, rtol=1e-12)


@pytest.mark.parametrize("share", [1e-2, 1e-4])
def test_what_the_rows_hardly_determine_is_fitted_too(share):
    """Slopes of a column that hardly varies within groups, with large effects."""
    X, of_g, _, _ = data(0)
    X["x"] = X["g"] / GROUPS + share * X["x"]
    y = 3.0 + X["x"] + (of_g[X["g"]] * np.column_stack([np.ones(ROWS), X["x"]])).sum(axis=1)
    model = fit(RandomEffect("g", slopes=["x"]), X, y)
    assert_allclose(model.predict(X), y, rtol=1e-10)


def test_without_fixed_effects():
    X, of_g, _, _ = data(1)
    y = of_g[X["g"], 0]
    with pytest.warns(ExactFitWarning):
        model = MixedLinearRegressor("g", fixed=[], fit_intercept=False).fit(X, y)
    assert_allclose(model.predict(X), y, rtol=1e-12)
