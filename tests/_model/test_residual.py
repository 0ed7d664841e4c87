"""Residual covariances of standard deviations, correlations and strata: derivatives, scales."""

import numpy as np
import pytest
from scipy.special import logit

from skmixed._model.correlation import CORRELATIONS
from skmixed._model.residual import VARIANCES, Residual
from skmixed._model.time_points import Neighbors, TimePoints

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


def test_correlations_of_pairs_are_those_of_the_covariance(residual, places):
    phi = np.random.default_rng(0).normal(size=residual.n_own)
    first, second = np.triu_indices(3, 1)
    covariance = residual.evaluate(phi, places).value
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    expected = (covariance / (sd[:, :, None] * sd[:, None, :]))[:, first, second].ravel()
    rows = 3 * np.arange(len(VISITS))[:, None]
    single = TimePoints(*(part.reshape(-1, 1) for part in places.parts))
    pairs = Neighbors.of(single, (rows + first).ravel(), (rows + second).ravel())
    np.testing.assert_allclose(residual.correlation_of(phi, pairs), expected, atol=1e-14)


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


@pytest.mark.parametrize("name", CORRELATIONS)
def test_a_shared_correlation_has_its_parameters_once(name, variance, places):
    own = Residual(CORRELATIONS[name], variance, np.arange(4), 3, has_shared_correlation=True)
    n_corr = own.n_own - own.n_variances
    assert own.n_free == 3 * own.n_variances + n_corr
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(3, own.n_own))
    phi[:, own.n_variances :] = phi[0, own.n_variances :]
    coordinates = own.coordinates(phi.ravel())
    assert coordinates.size == own.n_free == coordinates.is_free.sum()
    step = rng.normal(size=own.n_free)
    moved = coordinates.moved(step).reshape(3, -1)
    assert np.ptp(moved[:, own.n_variances :], axis=0).max(initial=0.0) < 1e-14
    np.testing.assert_allclose(coordinates.step_to(moved.ravel()), step, atol=1e-13)
    first = differences(coordinates.moved, np.zeros(own.n_free))
    np.testing.assert_allclose(coordinates.jacobian, first, atol=DIFFERENCE)
    assert not coordinates.curvature(rng.normal(size=own.n_phi)).any()


@pytest.fixture
def any_covariance():
    return Residual(CORRELATIONS["unstructured"], VARIANCES["visits"], np.arange(4), 2)


def test_coordinates_of_any_covariance_are_a_cholesky_factor(any_covariance):
    rng = np.random.default_rng(0)
    phi = 0.5 * rng.normal(size=any_covariance.n_phi)
    own = any_covariance.coordinates(phi)
    gradient = rng.normal(size=len(phi))
    steps = 1e-5 * np.eye(len(phi))
    # Rows of ∂φ/∂M, and Σ g ∂²φ/∂M∂M' of the same map from another point
    first = np.array([(own.moved(h) - own.moved(-h)) / 2e-5 for h in steps])
    np.testing.assert_allclose(own.jacobian, first, atol=DIFFERENCE)
    moved = [any_covariance.coordinates(own.moved(h)).jacobian @ gradient for h in steps]
    back = [any_covariance.coordinates(own.moved(-h)).jacobian @ gradient for h in steps]
    second = (np.array(moved) - np.array(back)) / 2e-5
    np.testing.assert_allclose(own.curvature(gradient), second, atol=10 * DIFFERENCE)


def test_steps_lead_where_they_say(any_covariance, residual):
    for model in (any_covariance, residual):
        rng = np.random.default_rng(1)
        phi = 0.5 * rng.normal(size=model.n_phi)
        own, step = model.coordinates(phi), 0.1 * rng.normal(size=model.n_phi)
        np.testing.assert_allclose(own.moved(0.0 * step), phi, atol=1e-14)
        np.testing.assert_allclose(own.step_to(own.moved(step)), step, atol=1e-12)
        assert own.is_free.all()


def test_a_diagonal_entry_next_to_0_is_no_parameter(any_covariance):
    phi = np.zeros(any_covariance.n_phi)
    phi[1], phi[4] = np.log(1e-4), 1e4  # M₂₂ is 1e-4 beside M₂₁ of 1
    free = any_covariance.coordinates(phi).is_free
    assert not free[1]
    assert free.sum() == len(free) - 1


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_weakened_correlations_are_smaller(residual, share):
    rng = np.random.default_rng(0)
    phi = rng.normal(size=residual.n_phi)
    weakened = residual.weakened(phi, share)
    for stratum in range(residual.n_strata):
        before, after = (own[residual.of_stratum(stratum)] for own in (phi, weakened))
        # The variances stay
        assert (residual.split(before)[0] == residual.split(after)[0]).all()
        sizes = [
            np.linalg.norm(
                [
                    value
                    for name, value in residual.correlation.shown(own, residual.m).items()
                    if name.startswith("corr")
                ]
            )
            for own in (residual.split(before)[1], residual.split(after)[1])
        ]
        # Of an unstructured covariance a single one may grow, as all of them shrink.
        assert sizes[1] < sizes[0] or sizes[0] == 0.0


@pytest.mark.parametrize("rho", [-0.45, -0.34, -0.3, -0.1, 0.5])
def test_compound_symmetry_is_of_so_many_rows(rho):
    model, m = CORRELATIONS["compound_symmetry"], 3
    width = 1.0 + 1.0 / (m - 1)
    phi = logit(np.array([(rho - 1.0 + width) / width]))
    assert model.shown(phi, m)["corr"] == pytest.approx(rho)
    for n in range(m, 14):
        places = TimePoints(np.zeros((1, n), dtype=int), np.zeros((1, n)), np.zeros((1, n)))
        least = np.linalg.eigvalsh(model.matrix(phi, places, m)[0][0])[0]
        assert (least > 1e-12) == (n <= model.most_rows(phi, m)), n
