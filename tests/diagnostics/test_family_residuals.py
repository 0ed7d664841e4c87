"""Residuals of generalized models against R, the distributions themselves, and normality."""

import numpy as np
import pandas as pd
import pytest
from generalized_models import cbpp_model, epil_model, frame_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed.datasets import load_sleepstudy
from skmixed.diagnostics import overdispersion_test, residuals

KINDS = ("response", "pearson", "deviance", "quantile")
# R's residuals of the cbpp model by glmmTMB, the first six; those of the deviance by dev.resids
# of R's binomial() at its fitted values.
OF_R = {
    "response": [-0.165350471, 0.108251712, 0.318486846, -0.084028752, -0.018437622, -0.008024631],
    "pearson": [-1.339861422, 1.075125453, 2.879614286, -0.677264072, -0.239083487, -0.139529212],
    "deviance": [-1.438031644, 0.988742807, 2.356997060, -0.936858064, -0.243183973, -0.142422836],
}
MODELS = {
    "binomial": MixedBinomialRegressor,
    "bernoulli": MixedLogisticClassifier,
    "poisson": MixedPoissonRegressor,
    "negative_binomial": MixedNegativeBinomialRegressor,
    "gamma": MixedGammaRegressor,
}


def simulated(name, n=2000, q=40, seed=0):
    """A model with random intercepts fitted to what it is right for: model, X, y, weights."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, q, n)})
    eta = 0.4 + 0.5 * X["x"].to_numpy() + 0.7 * rng.normal(size=q)[X["g"]]
    weights = rng.integers(1, 9, n) if name == "binomial" else None
    mean = np.exp(eta)
    y = {
        "binomial": lambda: rng.binomial(weights, 1 / (1 + np.exp(-eta))) / weights,
        "bernoulli": lambda: np.where(rng.random(n) < 1 / (1 + np.exp(-eta)), "yes", "no"),
        "poisson": lambda: rng.poisson(mean),
        "negative_binomial": lambda: rng.poisson(mean * rng.gamma(2.0, 0.5, n)),
        "gamma": lambda: mean * rng.gamma(3.0, 1 / 3, n),
    }[name]()
    return MODELS[name]("g").fit(X, y, sample_weight=weights), X, y, weights


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return request.param, *simulated(request.param)


def distribution(name, model, mean, trials):
    """scipy's distribution of the responses, or of their number among the trials."""
    shape = getattr(model, "shape_", None)
    return {
        "binomial": lambda: stats.binom(trials, mean),
        "bernoulli": lambda: stats.bernoulli(mean),
        "poisson": lambda: stats.poisson(mean),
        "negative_binomial": lambda: stats.nbinom(shape, shape / (shape + mean)),
        "gamma": lambda: stats.gamma(shape, scale=mean / shape),
    }[name]()


@pytest.mark.parametrize("kind", OF_R)
def test_residuals_of_proportions_are_those_of_r(kind):
    frame = frame_of("cbpp")
    X = pd.get_dummies(frame["period"], dtype=float)[["2", "3", "4"]].assign(herd=frame["herd"])
    y, size = frame["incidence"] / frame["size"], frame["size"]
    model = MixedBinomialRegressor("herd").fit(X, y, sample_weight=size)
    found = residuals(model, X, y, kind, sample_weight=size)
    # What glmmTMB's search has left
    assert_allclose(found[:6], OF_R[kind], atol=2e-6)
    found = overdispersion_test(model, X, y, sample_weight=size)
    assert_allclose(found["chi2"], 63.07827376, rtol=1e-6)
    assert found["df"] == 51
    assert_allclose(found["ratio"], found["chi2"] / 51, rtol=1e-14)
    assert_allclose(found["p_value"], stats.chi2.sf(found["chi2"], 51), rtol=1e-12)


def test_residuals_are_what_the_distribution_says(case):
    name, model, X, y, weights = case
    mean = model.predict_proba(X)[:, 1] if name == "bernoulli" else model.predict(X)
    numbers = (y == "yes") * 1.0 if name == "bernoulli" else np.asarray(y, dtype=float)
    trials = np.ones(len(X)) if weights is None else weights
    own = distribution(name, model, mean, trials)
    found = {kind: residuals(model, X, y, kind, sample_weight=weights) for kind in KINDS}
    error = numbers - mean
    assert_allclose(found["response"], error, rtol=1e-9, atol=1e-12)
    assert_allclose(found["pearson"], trials * error / own.std(), rtol=1e-9, atol=1e-12)
    # Twice the log-likelihood that a mean of y gains; of a mean of 0, or of all, that is 1
    counts = np.rint(trials * numbers) if weights is not None else numbers
    best = distribution(name, model, np.clip(numbers, 1e-14, None), trials)
    log_p = (lambda d: d.logpdf(numbers)) if name == "gamma" else (lambda d: d.logpmf(counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        gained = log_p(best) - log_p(own)
    expected = np.sign(error) * np.sqrt(np.maximum(2.0 * gained, 0.0))
    # Differences of log-likelihoods have half their digits where the root is small
    assert_allclose(found["deviance"], expected, atol=1e-6)
    low, high = own.cdf(counts - (name != "gamma")), own.cdf(counts)
    shares = stats.norm.cdf(found["quantile"])
    assert (shares >= low - 1e-12).all()
    assert (shares <= high + 1e-12).all()


def test_quantile_residuals_are_normal_where_the_model_is_right(case):
    _, model, X, y, weights = case
    found = residuals(model, X, y, "quantile", sample_weight=weights)
    assert stats.kstest(found, "norm").pvalue > 0.05
    again = residuals(model, X, y, "quantile", sample_weight=weights)
    assert_array_equal(found, again)
    other = residuals(model, X, y, "quantile", sample_weight=weights, random_state=1)
    assert np.allclose(found, other, atol=1e-9) == (case[0] == "gamma")


def test_quantile_residuals_show_counts_that_vary_more():
    _, X, y, _ = simulated("negative_binomial")
    model = MixedPoissonRegressor("g").fit(X, y)
    assert stats.kstest(residuals(model, X, y, "quantile"), "norm").pvalue < 1e-6
    assert overdispersion_test(model, X, y)["p_value"] < 1e-6
    right = MixedNegativeBinomialRegressor("g").fit(X, y)
    assert overdispersion_test(right, X, y)["p_value"] > 0.05


def test_a_weight_counts_a_row_so_often():
    X, y, _ = epil_model()
    weights = np.arange(len(y)) % 3
    model = MixedPoissonRegressor("subject").fit(X, y, sample_weight=weights)
    found = overdispersion_test(model, X, y, sample_weight=weights)
    rows = np.repeat(np.arange(len(y)), weights)
    repeated = MixedPoissonRegressor("subject").fit(X.iloc[rows], y.iloc[rows])
    assert_allclose(found, overdispersion_test(repeated, X.iloc[rows], y.iloc[rows]), rtol=1e-7)
    assert not residuals(model, X, y, "pearson", sample_weight=weights)[weights == 0].any()
    with pytest.raises(ValueError, match="sample_weight=None, but the model was fitted with"):
        residuals(model, X, y)
    assert len(residuals(model, X, y, "response")) == len(y)


def test_an_exposure_is_part_of_the_mean():
    rng = np.random.default_rng(0)
    X, days = np.arange(60)[:, None] // 6, rng.uniform(1, 9, 60)
    y = rng.poisson(days * rng.gamma(2.0, 0.5, 10)[X[:, 0]])
    model = MixedPoissonRegressor(0).fit(X, y, exposure=days)
    expected = y - model.predict(X, exposure=days)
    assert_allclose(residuals(model, X, y, "response", exposure=days), expected, rtol=1e-10)
    with pytest.raises(ValueError, match="exposure=None, but the model was fitted with an"):
        residuals(model, X, y)


def test_what_there_is_no_test_for_is_refused(case):
    name, model, X, y, weights = case
    reason = {"bernoulli": "one trial with two outcomes", "gamma": "estimates the variance"}
    if name in reason:
        with pytest.raises(ValueError, match=reason[name]):
            overdispersion_test(model, X, y, sample_weight=weights)
    if name not in ("poisson", "negative_binomial"):
        with pytest.raises(ValueError, match="exposure= is for counts"):
            residuals(model, X, y, sample_weight=weights, exposure=np.ones(len(X)))
    with pytest.raises(ValueError, match="kind='marginal' is not known"):
        residuals(model, X, y, "marginal", sample_weight=weights)
    with pytest.raises(ValueError, match="only the formula of a model names a response"):
        residuals(model, X, sample_weight=weights)


def test_a_class_that_the_fit_does_not_know_is_named():
    rows, y, counts, model = cbpp_model()
    with pytest.raises(ValueError, match=r"2 at row 3, which is no class of the fit\. It has 0, 1"):
        residuals(model, rows, np.where(np.arange(len(y)) == 3, 2, y), sample_weight=counts)


def test_linear_models_have_residuals_of_their_own():
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject").fit(X, y)
    with pytest.raises(ValueError, match="exposure= is for counts, and the model is linear"):
        residuals(model, X, y, exposure=np.ones(len(y)))
    with pytest.raises(ValueError, match="A linear model estimates the variance"):
        overdispersion_test(model, X, y)
