"""The mean over the effects of known groups, against sums over fine grids of them.

The trapezoidal rule converges geometrically: the grids are exact to 1e-9 and less.
"""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import (
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    RandomEffect,
)

LOSSES = {
    "logit": lambda y, eta, _: np.logaddexp(0.0, eta) - y * eta,
    "poisson": lambda y, eta, _: np.exp(eta) - y * eta,
    "negative": lambda y, eta, shape: (y + shape) * np.logaddexp(eta, np.log(shape)) - y * eta,
    "gamma": lambda y, eta, shape: shape * (eta + y * np.exp(-eta)),
}
MODELS = {
    "logit": MixedLogisticClassifier,
    "poisson": MixedPoissonRegressor,
    "negative": MixedNegativeBinomialRegressor,
    "gamma": MixedGammaRegressor,
}


def rows(name, n_groups=30, slope_sd=0.0):
    """Few rows a group, of which many say little: the density is far from normal."""
    rng = np.random.default_rng(4)
    X = pd.DataFrame({"g": np.repeat(np.arange(n_groups), 4), "x": rng.normal(size=4 * n_groups)})
    effects = rng.normal(size=(2, n_groups))[:, X["g"]]
    eta = -1.0 + (0.5 + slope_sd * effects[1]) * X["x"].to_numpy() + 2.0 * effects[0]
    share, mean = 1.0 / (1.0 + np.exp(-eta)), np.exp(eta)
    y = {
        "logit": lambda: (rng.random(len(X)) < share) * 1,
        "poisson": lambda: rng.poisson(mean),
        "negative": lambda: rng.poisson(mean * rng.gamma(1.0, 1.0, len(X))),
        "gamma": lambda: mean * rng.gamma(0.5, 2.0, len(X)),
    }[name]()
    return X, y


def mean_of(model, X, **options):
    is_class = hasattr(model, "predict_proba")
    return model.predict_proba(X, **options)[:, 1] if is_class else model.predict(X, **options)


def on_grid(name, model, X, y, columns, half_width=14.0, n=4001):
    """Return E[μ] of each row over a grid of b = Λu, of one or two coefficients."""
    size = len(columns)
    axes = np.meshgrid(*[np.linspace(-half_width, half_width, n)] * size, indexing="ij")
    u = np.stack(axes, axis=-1).reshape(-1, size)
    (cov,) = model.covariances_.values()
    b = u @ np.linalg.cholesky(cov.to_numpy()).T
    z = np.column_stack([np.ones(len(X)) if c == 1 else X[c] for c in columns])
    fixed = model.fixed_effects_["(Intercept)"] + model.fixed_effects_["x"] * X["x"].to_numpy()
    shape, out = getattr(model, "shape_", None), np.empty(len(X))
    for level in X["g"].unique():
        own = np.flatnonzero(X["g"] == level)
        eta = fixed[own, None] + z[own] @ b.T
        log = -LOSSES[name](y[own, None], eta, shape).sum(axis=0) - 0.5 * (u**2).sum(axis=1)
        weights = np.exp(log - log.max())
        mean = 1.0 / (1.0 + np.exp(-eta)) if name == "logit" else np.exp(eta)
        out[own] = mean @ weights / weights.sum()
    return out


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("quadrature", [1, 15])
def test_the_mean_is_that_over_the_exact_distribution(name, quadrature):
    X, y = rows(name)
    model = MODELS[name]("g", quadrature=quadrature).fit(X, y)
    expected = on_grid(name, model, X, y, [1])
    assert_allclose(mean_of(model, X, effects="mean"), expected, rtol=1e-6)


def test_known_groups_have_their_share_of_successes():
    X, y = rows("logit")
    model = MixedLogisticClassifier("g", quadrature="auto").fit(X, y)
    # Σ(y − E[μ|y]) = 0 is the likelihood's derivative in the intercept, at the optimum
    assert abs(mean_of(model, X, effects="mean").mean() - y.mean()) < 1e-6


def test_of_two_coefficients_in_one_term_or_two():
    X, y = rows("logit", 80, 2.0)
    model = MixedLogisticClassifier("g", random_slopes="x", covariance="diag", quadrature=9)
    model.fit(X, y)
    assert (model.variance_components_["sd"] > 0.1).all()
    expected = on_grid("logit", model, X, y, [1, "x"], 9.0, 241)
    assert_allclose(mean_of(model, X, effects="mean"), expected, rtol=1e-6)
    terms = [RandomEffect("g"), RandomEffect("g", slopes="x", intercept=False)]
    apart = MixedLogisticClassifier(terms, quadrature=9).fit(X, y)
    # The same model, of two searches
    assert_allclose(mean_of(apart, X, effects="mean"), expected, rtol=1e-4)


def test_of_groups_that_further_rows_have_made_known():
    X, y = rows("poisson")
    is_first = X["g"].to_numpy() < 25
    model = MixedPoissonRegressor("g").fit(X[is_first], y[is_first])
    unknown = model.predict(X, effects="mean")
    model.update_groups(X[~is_first], y[~is_first])
    found = model.predict(X, effects="mean")
    assert_allclose(found, on_grid("poisson", model, X, y, [1]), rtol=1e-6)
    assert_allclose(found[is_first], unknown[is_first], rtol=1e-9)
    # Unknown groups and effects that do not count are as at the mode
    for options in ({"include": "fixed"}, {}):
        new = X.assign(g=-1) if not options else X
        expected = model.predict(new, **options)
        assert_allclose(model.predict(new, effects="mean", **options), expected, rtol=1e-12)


def test_models_without_their_rows_say_so():
    X, y = rows("poisson")
    model = MixedPoissonRegressor("g").fit(X, y)
    parts = [X.assign(n=y)[:60], X.assign(n=y)[60:]]
    unheld = MixedPoissonRegressor("g").fit_chunks(parts, target="n", max_held_rows=10)
    for own in (model.slim(), unheld):
        with pytest.raises(ValueError, match="needs the rows of the fit"):
            own.predict(X, effects="mean")


def several_slopes(name, n_slopes, n_groups):
    rng = np.random.default_rng(7)
    X = pd.DataFrame({"g": np.repeat(np.arange(n_groups), 10)})
    for k in range(n_slopes):
        X[f"x{k}"] = rng.normal(size=len(X))
    z = np.column_stack([np.ones(len(X)), X.drop(columns="g")])
    effects = np.array([1.2, 0.7, 0.5, 0.5])[: n_slopes + 1] * rng.normal(
        size=(n_groups, n_slopes + 1)
    )
    eta = -0.5 + 0.4 * X["x0"] + np.einsum("ns,ns->n", z, effects[X["g"]])
    share = 1.0 / (1.0 + np.exp(-eta))
    y = rng.random(len(X)) < share if name == "logit" else rng.poisson(np.exp(eta))
    return X, z, np.asarray(y, dtype=int)


@pytest.mark.parametrize("name", ["logit", "poisson"])
def test_the_mean_over_three_coefficients_is_that_over_a_grid(name):
    X, z, y = several_slopes(name, 2, 60)
    model = MODELS[name]("g", random_slopes=["x0", "x1"], covariance="diag").fit(X, y)
    mean = mean_of(model, X, effects="mean")
    penalty = np.linalg.inv(model.covariances_["g"].to_numpy())
    modes, beta = model.random_effects_["g"].to_numpy(), model.fixed_effects_.to_numpy()
    # Around the mode, in units of the curvature there: e^(−32) at the ends where it is normal
    axis = np.linspace(-8.0, 8.0, 41)
    t = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    for level in range(3):
        own = np.flatnonzero(X["g"] == level)
        mu = mean_of(model, X.iloc[own])
        weight = mu * (1.0 - mu) if name == "logit" else mu
        curvature = (z[own] * weight[:, None]).T @ z[own] + penalty
        b = modes[level] + t @ np.linalg.inv(np.linalg.cholesky(curvature))
        eta = (z[own] @ beta)[:, None] + z[own] @ b.T
        log = -LOSSES[name](y[own, None], eta, None).sum(axis=0)
        log -= 0.5 * np.einsum("ki,ij,kj->k", b, penalty, b)
        weights = np.exp(log - log.max())
        of_rows = 1.0 / (1.0 + np.exp(-eta)) if name == "logit" else np.exp(eta)
        expected = of_rows @ weights / weights.sum()
        assert_allclose(mean[own], expected, rtol=1e-6)


def test_the_mean_over_four_coefficients_is_normal_by_laplace():
    X, z, y = several_slopes("poisson", 3, 30)
    model = MixedPoissonRegressor("g", random_slopes=["x0", "x1", "x2"], covariance="diag")
    model.fit(X, y)
    at_mode, mean = model.predict(X), model.predict(X, effects="mean")
    penalty = np.linalg.inv(model.covariances_["g"].to_numpy())
    for level in range(30):
        # exp(η + v/2) with v = z'(Z'WZ + Σ⁻¹)⁻¹z at W = μ
        own = np.flatnonzero(X["g"] == level)
        given = np.linalg.inv((z[own] * at_mode[own, None]).T @ z[own] + penalty)
        variance = np.einsum("ni,ij,nj->n", z[own], given, z[own])
        assert_allclose(mean[own], at_mode[own] * np.exp(variance / 2.0), rtol=1e-8)
    # Of a group that is not known all of Σ
    new = X[:5].assign(g=-1)
    variance = np.einsum("ni,ij,nj->n", z[:5], model.covariances_["g"].to_numpy(), z[:5])
    expected = model.predict(new, include="fixed") * np.exp(variance / 2.0)
    assert_allclose(model.predict(new, effects="mean"), expected, rtol=1e-10)
