"""Predictive distributions, against sums over fine grids of the linear predictor."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skmixed._generalized_estimators.predictive import QUANTILES, NewResponses
from skmixed._model.family import FAMILIES

ETA, VARIANCE = (
    a.ravel() for a in np.meshgrid([-3.0, 0.5, 3.0, 6.0], [1e-8, 1e-3, 0.05, 1.0, 9.0])
)
PROBABILITIES = (0.025, 0.6, 0.975)


def new_responses(key, phi=0.8):
    family, is_binomial = FAMILIES[key], key[0] == "binomial"
    eta = np.minimum(ETA, 3.0) if is_binomial else ETA
    trials = np.full(len(eta), 7.0) if is_binomial else np.ones(len(eta))
    return NewResponses(family, phi, eta, VARIANCE, trials)


def on_grid(own, function, n=20001, reach=9.0):
    """The mean of a function of η, (n, m), over each normal distribution."""
    steps = np.linspace(-reach, reach, n)
    weights = stats.norm.pdf(steps)
    out = []
    for i, (eta, variance) in enumerate(zip(own.eta, own.variance, strict=True)):
        out.append(weights @ function(i, eta + np.sqrt(variance) * steps) / weights.sum())
    return np.array(out)


def test_every_family_has_quantiles():
    assert set(QUANTILES) == {name for name, _ in FAMILIES}


@pytest.mark.parametrize("key", FAMILIES, ids="-".join)
@pytest.mark.parametrize("p", PROBABILITIES)
def test_probabilities_and_quantiles(key, p):
    own = new_responses(key)
    y = np.rint(own.quantile(p) * own.trials) if QUANTILES[key[0]].is_whole else own.quantile(p)

    def below(i, eta):
        ones = np.ones(len(eta))
        above = own.family.tails(ones * y[i] / own.trials[i], eta, 0.8, ones * own.trials[i])[1]
        return 1.0 - above

    # The grid's own error, where the response says more of η than its steps
    assert_allclose(own.cdf(y), on_grid(own, below), atol=1e-8)
    if not QUANTILES[key[0]].is_whole:
        # Quantiles to 1e-9 of themselves
        assert_allclose(own.cdf(y), p, atol=1e-8)
        return
    assert (own.cdf(y) >= p).all()
    assert ((y == 0.0) | (own.cdf(np.maximum(y - 1.0, 0.0)) < p)).all()


@pytest.mark.parametrize("key", FAMILIES, ids="-".join)
def test_standard_deviations(key):
    own = new_responses(key)
    own = NewResponses(own.family, own.phi, own.eta, np.minimum(own.variance, 1.0), own.trials)
    mean = on_grid(own, lambda _, eta: own.family.mean(eta))
    squares = on_grid(own, lambda _, eta: own.family.mean(eta) ** 2)
    within = on_grid(own, lambda _, eta: own.family.variance(own.family.mean(eta), 0.8))
    # Differences of squares, and 1 − μ of a μ next to 1
    assert_allclose(own.sd() ** 2, within + squares - mean**2, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("key", FAMILIES, ids="-".join)
def test_a_known_linear_predictor(key):
    own = new_responses(key)
    own = NewResponses(own.family, own.phi, own.eta, np.zeros(len(own.eta)), own.trials)
    expected = QUANTILES[key[0]].given_eta(0.9, own, own.eta) / own.trials
    # 1e-9 of a quantile of what is measured
    assert_allclose(own.quantile(0.9), expected, rtol=2e-9)


@pytest.mark.parametrize("eta", [22.0, 30.0, 60.0])
def test_large_counts_have_ends(eta):
    family, one = FAMILIES["poisson", "log"], np.ones(1)
    for p in (0.025, 0.975):
        own = NewResponses(family, 0.0, eta * one, 0.04 * one, one)
        expected = np.exp(eta + 0.2 * stats.norm.ppf(p))
        # What the counts vary beside their means adds 1/μ to a variance of 0.04
        assert_allclose(own.quantile(p), expected, rtol=1e-7)
        own = NewResponses(family, 0.0, eta * one, 0.0 * one, one)
        expected = np.exp(eta) + stats.norm.ppf(p) * np.exp(eta / 2.0)
        # The skewness moves a quantile by (z² − 1)/6, and large ones are found to 1e-12
        assert_allclose(own.quantile(p), expected, atol=1.0, rtol=1e-12)
