"""Modes of the effects of all rows, against SciPy's minimum of the penalized likelihood."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from generalized_models import frame_of
from numpy.testing import assert_allclose, assert_array_equal

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    RandomEffect,
)
from skmixed._fitted.fitted_model import fitted
from skmixed.inference import coefficient_table, random_effects_table

MODELS = {
    "binomial": MixedBinomialRegressor,
    "bernoulli": MixedLogisticClassifier,
    "poisson": MixedPoissonRegressor,
    "negative_binomial": MixedNegativeBinomialRegressor,
    "gamma": MixedGammaRegressor,
}
GROUPS = [RandomEffect("g", slopes="x"), RandomEffect("h")]


def rows(name, seed, n, first=0):
    """X, y, and the weights of proportions; some groups are new from `first` on."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "x": 3.0 + rng.normal(size=n),
            "g": rng.integers(first, first + 14, n),
            "h": rng.choice(list("abcdef"), n),
        }
    )
    effects = np.random.default_rng(0).normal(size=(3, 40))
    of_groups = effects[:2, X["g"]]
    eta = 0.5 + 0.7 * of_groups[0] + (0.3 + 0.4 * of_groups[1]) * (X["x"] - 3.0)
    eta += 0.8 * effects[2][X["h"].map("abcdef".index)]
    share = 1 / (1 + np.exp(-eta))
    trials = rng.integers(1, 9, n)
    y = {
        "binomial": lambda: rng.binomial(trials, share) / trials,
        "bernoulli": lambda: np.where(rng.random(n) < share, "yes", "no"),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "negative_binomial": lambda: rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, n)),
        "gamma": lambda: np.exp(eta) * rng.gamma(3.0, 1 / 3, n),
    }[name]()
    return X, np.asarray(y), trials if name == "binomial" else None


def fit_of(name):
    X, y, weights = rows(name, 1, 500)
    return MODELS[name](GROUPS, fixed=["x"]).fit(X, y, sample_weight=weights)


def dense_modes(model, X, y, weights):
    """The modes of all rows by SciPy, and their covariance, level by level of each factor."""
    opened = model._model
    solution, family = opened.solution, opened.family
    y = (y == "yes") * 1.0 if y.dtype.kind == "U" else y
    weights = np.ones(len(y)) if weights is None else weights
    base = np.column_stack([np.ones(len(X)), X["x"]]) @ solution.fixed
    parts, phi = [], solution.family.phi
    for term, own, column in zip(opened.encoder.terms, solution.terms, ("g", "h"), strict=True):
        factor = opened.encoder.factors[term.factor]
        codes = factor.index.get_indexer(X[column])
        z = np.column_stack([np.ones(len(X)), X["x"]])[:, : len(own.lam)]
        part = np.zeros((len(X), factor.n_levels, len(own.lam)))
        part[np.arange(len(X)), codes] = z @ own.lam
        parts.append(part.reshape(len(X), -1))
    a = np.concatenate(parts, axis=1)

    def derivatives(u, order):
        return weights * family.derivatives(y, base + a @ u, phi, order)

    def curvature(u):
        return a.T @ (derivatives(u, 2)[2][:, None] * a) + np.eye(len(u))

    u = scipy.optimize.minimize(
        lambda u: derivatives(u, 0)[0].sum() + 0.5 * u @ u,
        np.zeros(a.shape[1]),
        jac=lambda u: a.T @ derivatives(u, 1)[1] + u,
        hess=curvature,
        method="trust-exact",
    ).x
    for _ in range(3):
        u = u - np.linalg.solve(curvature(u), a.T @ derivatives(u, 1)[1] + u)
    inverse, out, start = np.linalg.inv(curvature(u)), [], 0
    for part, own in zip(parts, solution.terms, strict=True):
        stop, s = start + part.shape[1], len(own.lam)
        effects = u[start:stop].reshape(-1, s) @ own.lam.T
        blocks = inverse[start:stop, start:stop].reshape(len(effects), s, len(effects), s)
        errors = np.sqrt(np.einsum("ab,qbqc,ac->qa", own.lam, blocks, own.lam, optimize=True))
        out.append((effects, errors))
        start = stop
    return out


@pytest.fixture(scope="module", params=MODELS)
def updated(request):
    """The model, and all rows."""
    name, model = request.param, fit_of(request.param)
    first, further = rows(name, 1, 500), rows(name, 2, 90, first=9)
    model.update_groups(*further[:2], sample_weight=further[2])
    X = pd.concat([first[0], further[0]], ignore_index=True)
    y = np.concatenate([first[1], further[1]])
    weights = None if first[2] is None else np.concatenate([first[2], further[2]])
    return name, model, X, y, weights


def test_effects_are_the_modes_of_all_rows(updated):
    _, model, X, y, weights = updated
    table = random_effects_table(model).set_index("group")
    for group, (effects, errors) in zip("gh", dense_modes(model, X, y, weights), strict=True):
        # Newton's method leaves 1e-9 of an error
        assert_allclose(model.random_effects_[group], effects, atol=1e-7)
        assert_allclose(table.loc[group, "estimate"], effects.ravel(), atol=1e-7)
        assert_allclose(table.loc[group, "std_error"], errors.ravel(), rtol=1e-6)
    assert len(model.random_effects_["g"]) == 23


def test_predictions_and_draws_know_the_new_effects(updated):
    name, model, *_ = updated
    X = pd.DataFrame({"x": [3.0, 3.0], "g": [21, 99], "h": ["a", "z"]})
    is_class = name == "bernoulli"
    found = model.predict_proba(X)[:, 1] if is_class else model.predict(X)
    before = fit_of(name)
    old = before.predict_proba(X)[:, 1] if is_class else before.predict(X)
    assert abs(found[0] - old[0]) > 1e-3
    assert_allclose(found[1], old[1], rtol=1e-10)
    one = MODELS[name]("g", fixed=["x"]).fit(*rows(name, 1, 500))
    one.update_groups(*rows(name, 2, 90, first=9))
    mean = one.predict_proba(X, effects="mean") if is_class else one.predict(X, effects="mean")
    assert np.isfinite(mean).all()
    samples = model.sample_y(X, 200)
    share = (samples == "yes").mean(axis=1) if is_class else samples.mean(axis=1)
    # Draws of a group of few rows are wide
    assert_allclose(share[0], found[0], rtol=0.5)


def test_the_fit_stays_what_it_was(updated):
    name, model, *_ = updated
    before = fit_of(name)
    for attribute in ("coef_", "intercept_", "theta_", "criterion_", "aic_", "bic_"):
        assert_array_equal(getattr(model, attribute), getattr(before, attribute))
    assert str(model.summary()) == str(before.summary())
    pd.testing.assert_frame_equal(coefficient_table(model), coefficient_table(before))
    assert fitted(model, has_family=True).stats.n_rows == 500


def test_calls_in_parts_add_up_and_are_saved(updated):
    name, model, *_ = updated
    other, (X, y, weights) = fit_of(name), rows(name, 2, 90, first=9)
    for part in (slice(0, 30), slice(30, 90)):
        own = None if weights is None else weights[part]
        other.update_groups(X[part], y[part], sample_weight=own)
        other = pickle.loads(pickle.dumps(other))
    for group in "gh":
        order = model.random_effects_[group].index
        assert_allclose(
            other.random_effects_[group].loc[order], model.random_effects_[group], atol=1e-9
        )
    table = random_effects_table(other)
    assert_allclose(table["std_error"].sum(), random_effects_table(model)["std_error"].sum())


def test_exposures_and_weights_count():
    rng = np.random.default_rng(0)
    X = np.repeat(np.arange(20), 5)[:, None]
    y = rng.poisson(rng.gamma(3, 1, 20)[X[:, 0]] * 2.0)
    model = MixedPoissonRegressor(0).fit(X, y, exposure=np.full(100, 2.0))
    twin = MixedPoissonRegressor(0).fit(X, y, exposure=np.full(100, 2.0))
    model.update_groups([[30], [30]], [4, 6], exposure=[1.0, 3.0], sample_weight=[1, 2])
    twin.update_groups([[30]] * 3, [4, 6, 6], exposure=[1.0, 3.0, 3.0])
    assert_allclose(model.predict([[30]]), twin.predict([[30]]), rtol=1e-9)


def test_what_makes_no_update_is_refused_and_changes_nothing():
    model = fit_of("bernoulli")
    X, y, _ = rows("bernoulli", 2, 20, first=9)
    before = model.random_effects_["g"].copy()
    with pytest.raises(ValueError, match="'maybe' at row 0, which is no class of the fit"):
        model.update_groups(X, np.where(np.arange(20) == 0, "maybe", y))
    with pytest.raises(ValueError, match="X has no rows"):
        model.update_groups(X[:0], y[:0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.update_groups(X, y[:5])
    with pytest.raises(ValueError, match="It takes counts"):
        fit_of("poisson").update_groups(X, np.full(20, -1.0))
    pd.testing.assert_frame_equal(model.random_effects_["g"], before)
    alone = MixedPoissonRegressor().fit(X[["x"]], np.arange(20))
    with pytest.raises(ValueError, match="The model has no random effects"):
        alone.update_groups(X[["x"]], np.arange(20))


def test_errors_of_effects_are_those_of_glmer():
    frame = frame_of("cbpp")
    X = pd.get_dummies(frame["period"], dtype=float)[["2", "3", "4"]].assign(herd=frame["herd"])
    y, size = frame["incidence"] / frame["size"], frame["size"]
    model = MixedBinomialRegressor("herd").fit(X, y, sample_weight=size)
    table = random_effects_table(model).set_index("level").loc[list("12345")]
    # Those of ranef with condVar = TRUE
    modes = [0.589618228, -0.299099694, 0.405855552, 0.039016126, -0.190292682]
    errors = [0.348223005, 0.365493934, 0.297286994, 0.416306544, 0.350340049]
    # What the search of glmer has left
    assert_allclose(table["estimate"], modes, atol=5e-4)
    assert_allclose(table["std_error"], errors, atol=5e-4)
