"""Tolerances: over n draws the mean of a response of standard deviation s has the error s/√n;
five of these errors, of which none is expected beyond among some hundred rows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed._generalized_estimators.predicting import family_of
from skmixed.exceptions import SingularFitWarning

N = 2000
MODELS = {
    "binomial": MixedBinomialRegressor,
    "bernoulli": MixedLogisticClassifier,
    "poisson": MixedPoissonRegressor,
    "negative_binomial": MixedNegativeBinomialRegressor,
    "gamma": MixedGammaRegressor,
}


def rows(seed=0, n=400, q=12):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, q, n)})


def fitted(name, seed=0):
    rng, X = np.random.default_rng(seed), rows(seed)
    effects = rng.normal(size=(2, 12))[:, X["g"]]
    eta = 0.4 + 1.2 * effects[0] + (0.5 + 0.4 * effects[1]) * X["x"].to_numpy()
    trials = rng.integers(1, 9, len(X)) if name == "binomial" else None
    share = 1 / (1 + np.exp(-eta))
    y = {
        "binomial": lambda: rng.binomial(trials, share) / trials,
        "bernoulli": lambda: np.where(rng.random(len(X)) < share, "yes", "no"),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "negative_binomial": lambda: rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, len(X))),
        "gamma": lambda: np.exp(eta) * rng.gamma(3.0, 1 / 3, len(X)),
    }[name]()
    return MODELS[name]("g", random_slopes="x").fit(X, y, sample_weight=trials)


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return request.param, fitted(request.param)


def numbers(samples):
    return (samples == "yes") * 1.0 if samples.dtype.kind == "U" else samples


def test_new_groups_have_the_mean_over_their_distribution(case):
    _, model = case
    X = rows(3, 20)
    pair = pd.DataFrame({"x": 0.0, "g": [1000, 1000]})
    samples = numbers(model.sample_y(pd.concat([X, pair]), N, effects="new"))
    samples, pairs = samples[:20], samples[20:]
    unknown = X.assign(g=X["g"] + 100)
    few = numbers(model.sample_y(unknown, 20, effects="new"))
    assert_array_equal(few, numbers(model.sample_y(X, 20, effects="new")))
    is_class = hasattr(model, "predict_proba")
    mean = model.predict_proba(unknown)[:, 1] if is_class else model.predict(unknown)
    assert (np.abs(samples.mean(axis=1) - mean) < 5.0 * samples.std(axis=1) / np.sqrt(N)).all()
    # Rows of one group go together, and those of two do not
    same = X["g"].to_numpy()[:, None] == X["g"].to_numpy()
    others = np.corrcoef(stats.rankdata(samples, axis=1))[~same]
    assert np.abs(others).max() < 5.0 / np.sqrt(N)
    assert np.corrcoef(stats.rankdata(pairs, axis=1))[0, 1] > 4.0 / np.sqrt(N)


def test_known_groups_are_drawn_given_their_data(case):
    name, model = case
    X = rows(3, 20)
    # The density of the draws is compared with integrals in tests/_generalized/test_draws.py
    samples = numbers(model.sample_y(X, N // 16))
    # The mean response of other draws of (b, β)
    own, family = model._model.solution.family, family_of(model._model)
    from skmixed._fitted.kernel import generalized_deviation

    rng, n = np.random.default_rng(5), 100
    z = np.column_stack([np.ones(20), X["x"]])
    codes = model._model.encoder.factors[0].index.get_indexer(X["g"])
    center = z @ model.fixed_effects_ + (z * model.random_effects_["g"].to_numpy()[codes]).sum(1)
    draws = [generalized_deviation(model._model.generalized, rng) for _ in range(n)]
    moved = [z @ one.fixed + (z * one.effects[0][:, codes].T).sum(axis=1) for one in draws]
    means = np.array([family.mean(center + one) for one in moved])
    errors = np.hypot(samples.std(axis=1) / np.sqrt(N // 16), means.std(axis=0) / np.sqrt(n))
    assert (np.abs(samples.mean(axis=1) - means.mean(axis=0)) < 5.0 * errors).all()
    # β̂ has an error, whose square alone moves the mean over b
    is_class, options = hasattr(model, "predict_proba"), {"effects": "mean"}
    mean = model.predict_proba(X, **options)[:, 1] if is_class else model.predict(X, **options)
    assert_allclose(means.mean(axis=0), mean, rtol=0.1)
    assert own.has_shape == (name in ("negative_binomial", "gamma"))


def test_same_seed_same_samples(case):
    _, model = case
    X = rows(7, 30).assign(g=lambda X: X["g"] + 6)  # half of the groups are new
    for effects in ("conditional", "new"):
        samples = model.sample_y(X, 5, 3, effects=effects)
        assert samples.shape == (30, 5)
        assert_array_equal(samples, model.sample_y(X, 5, 3, effects=effects))
        assert_array_equal(samples[:, :2], model.sample_y(X, 2, 3, effects=effects))
        assert_array_equal(samples[:11], model.sample_y(X[:11], 5, 3, effects=effects))
        assert (samples != model.sample_y(X, 5, 4, effects=effects)).any()
        own = model.sample_y(X, effects=effects)
        assert_array_equal(own, model.sample_y(X, 1, 0, effects=effects))


def test_classes_are_drawn_as_labels(case):
    name, model = case
    samples = model.sample_y(rows(3), 3)
    if name == "bernoulli":
        assert set(np.unique(samples)) == set(model.classes_)
        return
    assert samples.dtype == float
    is_whole = (samples == np.rint(samples)).all()
    assert is_whole == (name != "gamma")


def test_proportions_are_of_the_trials_given():
    model = fitted("binomial")
    trials = np.arange(1, 31)
    samples = model.sample_y(rows(3, 30), 20, sample_weight=trials)
    assert_allclose(samples * trials[:, None], np.rint(samples * trials[:, None]), atol=1e-12)
    # Many trials of a new group vary by its effects alone, a single one as a coin does
    many = model.sample_y(rows(3, 30), 500, sample_weight=np.full(30, 400), effects="new")
    assert (many.std(axis=1) < model.sample_y(rows(3, 30), 500, effects="new").std(axis=1)).all()
    for wrong in (trials - 1, trials / 2):
        with pytest.raises(ValueError, match="which is no number of trials"):
            model.sample_y(rows(3, 30), sample_weight=wrong)


def test_counts_are_proportional_to_the_exposure():
    model = fitted("poisson")
    X = rows(3, 20)
    many = model.sample_y(X, N, exposure=np.full(20, 50.0), effects="new")
    one = model.sample_y(X, N, effects="new")
    errors = many.std(axis=1) / 50 + one.std(axis=1)
    assert (np.abs(many.mean(axis=1) / 50 - one.mean(axis=1)) < 5 * errors / np.sqrt(N)).all()
    with pytest.raises(ValueError, match="exposure is not positive at row 0"):
        model.sample_y(X, exposure=np.zeros(20))


def test_counts_beyond_all_whole_numbers_are_refused():
    model = fitted("poisson")
    with pytest.raises(ValueError, match=r"A count with the mean exp\(.* cannot be drawn"):
        model.sample_y(pd.DataFrame({"x": [5000.0], "g": [1]}))


def test_fixed_effects_that_nothing_bounds_are_not_drawn():
    X = rows(3, 200, 20)
    with pytest.warns(UserWarning, match="no finite coefficient is the best"):
        model = MixedLogisticClassifier("g").fit(X, X["x"] > 0)
    with pytest.raises(ValueError, match="the data do not bound them"):
        model.sample_y(X, 20)
    assert (model.sample_y(X, effects="new")[:, 0] == (X["x"] > 0)).mean() > 0.9


def test_unknown_groups_are_refused_where_the_model_says_so():
    model = fitted("gamma").set_params(handle_unknown="error")
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        model.sample_y(rows(3).assign(g=77))
    assert model.sample_y(rows(3).assign(g=77), effects="new").shape == (400, 1)
    with pytest.raises(ValueError, match="effects='mode' is not known"):
        model.sample_y(rows(3), effects="mode")


def test_without_variance_and_without_groups():
    X = rows(0)
    y = np.random.default_rng(1).poisson(2.0, 400)
    with pytest.warns(SingularFitWarning):
        model = MixedPoissonRegressor("g").fit(X, y)
    assert abs(model.sample_y(X, 100).mean() - 2.0) < 0.2
    alone = MixedPoissonRegressor().fit(X[["x"]], y)
    assert abs(alone.sample_y(X[["x"]], 100, effects="new").mean() - 2.0) < 0.2
