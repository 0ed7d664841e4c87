"""Residual covariances of standard deviations, correlations and strata: derivatives, scales."""

import numpy as np
import pytest

from skmixed._model.correlation import CORRELATIONS
from skmixed._model.residual import VARIANCES, Residual
from skmixed._model.time_points import TimePoints

VISITS = np.array([[0, 1, 3], [1, 2, 3], [0, 2, 3]])
DIFFERENCE = 1e-7


@pytest.fixture(params=VARIANCES)
def variance(request):
    return VARIANCES[request.param]


@pytest.fixture(params=CORRELATIONS)
def residual(request, variance):
    return Residual(CORRELATIONS[request.param], variance, np.arange(4), 2)


@pytest.fixture
def places():
    covariate = np.random.default_rng(1).normal(size=VISITS.shape)
    return TimePoints(VISITS, VISITS.astype(float), covariate)


def differences(function, phi):
    steps = 1e-5 * np.eye(len(phi))
    return np.array([(function(phi + h) - function(phi - h)) / 2e-5 for h in steps])


def test_derivatives_are_those_of_differences(residual, places):
    rng = np.random.default_rng(0)
    phi = 0.3 * rng.normal(size=residual.n_own)
    weights = rng.normal(size=places.shape)
    weights = weights + weights.transpose(0, 2, 1)
    pairs = rng.normal(size=(residual.n_own,) * 2)
    pairs = pairs + pairs.T
    at = residual.evaluate(phi, places)
    first = differences(lambda p: residual.evaluate(p, places).value, phi)
    second = differences(lambda p: residual.evaluate(p, places).first, phi)
    np.testing.assert_allclose(at.first, first, atol=DIFFERENCE)
    np.testing.assert_allclose(
        at.curvature(weights), np.tensordot(second, weights, 3), atol=10 * DIFFERENCE
    )
    np.testing.assert_allclose(
        at.mixture(pairs), np.tensordot(pairs, second, 2), atol=10 * DIFFERENCE
    )


def test_scaled_parameters_multiply_standard_deviations(residual, places):
    phi = 0.3 * np.random.default_rng(0).normal(size=residual.n_phi)
    scaled = residual.scaled(phi, 3.0)
    for stratum in range(2):
        own = residual.of_stratum(stratum)
        np.testing.assert_allclose(
            residual.evaluate(scaled[own], places).value,
            9.0 * residual.evaluate(phi[own], places).value,
            rtol=1e-13,
        )
