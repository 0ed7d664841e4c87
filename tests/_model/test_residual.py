"""Residual covariances of standard deviations, correlations and strata: derivatives, scales."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from skmixed._model.correlation import CORRELATIONS
from skmixed._model.residual import VARIANCES, Residual, shown_parameters
from skmixed._model.time_points import RowPairs, TimePoints

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
    pairs = RowPairs.of(single, (rows + first).ravel(), (rows + second).ravel())
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


def assert_curvature(residual, coordinates, gradient):
    """Compare Σ g ∂²φ with differences of ∂φ in the same coordinates from other points."""
    steps = 1e-5 * np.eye(coordinates.size)
    ends = [[residual.coordinates(coordinates.moved(h)) for h in (own, -own)] for own in steps]
    second = np.array([(up.jacobian - down.jacobian) @ gradient / 2e-5 for up, down in ends])
    np.testing.assert_allclose(coordinates.curvature(gradient), second, atol=10 * DIFFERENCE)


@pytest.mark.parametrize("name", CORRELATIONS)
def test_a_shared_correlation_has_its_parameters_once(name, variance, places):
    own = Residual(CORRELATIONS[name], variance, np.arange(4), 3, has_shared_correlation=True)
    n_corr = own.n_own - own.n_variances
    assert own.n_free == 3 * own.n_variances + n_corr
    rng = np.random.default_rng(0)
    phi = 0.3 * rng.normal(size=(3, own.n_own))
    phi[:, own.n_variances :] = phi[0, own.n_variances :]
    coordinates = own.coordinates(phi.ravel())
    assert coordinates.size == own.n_free == np.isinf(coordinates.to_end).sum()
    step = rng.normal(size=own.n_free)
    moved = coordinates.moved(step).reshape(3, -1)
    assert np.ptp(moved[:, own.n_variances :], axis=0).max(initial=0.0) < 1e-14
    np.testing.assert_allclose(coordinates.step_to(moved.ravel()), step, atol=1e-13)
    first = differences(coordinates.moved, np.zeros(own.n_free))
    np.testing.assert_allclose(coordinates.jacobian, first, atol=DIFFERENCE)
    assert_curvature(own, coordinates, rng.normal(size=own.n_phi))


@pytest.fixture
def any_covariance():
    return Residual(CORRELATIONS["unstructured"], VARIANCES["visits"], np.arange(4), 2)


def test_coordinates_of_any_covariance_are_a_cholesky_factor(any_covariance):
    rng = np.random.default_rng(0)
    phi = 0.5 * rng.normal(size=any_covariance.n_phi)
    own = any_covariance.coordinates(phi)
    steps = 1e-5 * np.eye(len(phi))
    first = np.array([(own.moved(h) - own.moved(-h)) / 2e-5 for h in steps])
    np.testing.assert_allclose(own.jacobian, first, atol=DIFFERENCE)
    assert_curvature(any_covariance, own, rng.normal(size=len(phi)))


def test_correlations_by_lag_are_those_of_a_covariance_of_all_steps(variance):
    gaps = np.array([0, 1, 5, 9])  # no visit at most steps
    residual = Residual(CORRELATIONS["toeplitz"], variance, gaps, 2)
    rng = np.random.default_rng(0)
    own = residual.coordinates(np.zeros(residual.n_phi))
    for size in (0.3, 1.0, 3.0):
        phi = own.moved(size * rng.normal(size=own.size))
        for stratum in range(2):
            of_corr = residual.split(phi[residual.of_stratum(stratum)])[1]
            rho = np.concatenate([[1.0], of_corr / np.sqrt(1.0 + of_corr**2)])
            steps = np.arange(10)
            matrix = rho[np.abs(steps[:, None] - steps)]
            # Of the smallest eigenvalue of a correlation matrix no more than 1e-15 is rounding.
            assert np.linalg.eigvalsh(matrix)[0] > -1e-14
        found = residual.coordinates(phi)
        if size < 2.0:
            np.testing.assert_allclose(own.moved(own.step_to(phi)), phi, rtol=1e-9)
            np.testing.assert_allclose(
                found.jacobian,
                differences(found.moved, np.zeros(found.size)),
                rtol=1e-5,
                atol=DIFFERENCE,
            )
            assert_curvature(residual, found, 0.1 * rng.normal(size=residual.n_phi))
    # Once a value is known from those before, the partial correlations behind are of no matter.
    sure = np.zeros(own.size)
    sure[residual.n_variances + 1] = 1e4
    free = np.isinf(residual.coordinates(own.moved(sure)).to_end)
    assert free[: residual.n_variances + 1].all()
    assert not free[residual.n_variances + 1 : residual.n_own].any()
    assert free[residual.n_own :].all()


def test_steps_lead_where_they_say(any_covariance, residual):
    for model in (any_covariance, residual):
        rng = np.random.default_rng(1)
        phi = 0.2 * rng.normal(size=model.n_phi)  # with correlations by lag that are possible
        own, step = model.coordinates(phi), 0.1 * rng.normal(size=model.n_phi)
        np.testing.assert_allclose(own.moved(0.0 * step), phi, atol=1e-14)
        np.testing.assert_allclose(own.step_to(own.moved(step)), step, atol=1e-12)
        assert np.isinf(own.to_end).all()


def test_a_diagonal_entry_next_to_0_is_next_to_its_end(any_covariance):
    phi = np.zeros(any_covariance.n_phi)
    phi[1], phi[4] = np.log(1e-4), 1e4  # M₂₂ is 1e-4 beside M₂₁ of 1
    to_end = any_covariance.coordinates(phi).to_end
    assert to_end[1] == pytest.approx(1e-4)
    assert np.isinf(to_end).sum() == len(to_end) - 1


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


GAPS = np.array([0, 1, 2, 4])


@pytest.fixture
def shown_residual(residual):
    """The same at times with a gap."""
    return replace(residual, steps=GAPS, n_strata=1)


@pytest.fixture
def own(shown_residual):
    return 0.3 * np.random.default_rng(5).normal(size=shown_residual.n_own) + 0.2


def shown_values(residual, own):
    return np.array([shown.value for shown in shown_parameters(residual, own)])


def test_slopes_of_what_is_shown_are_those_of_differences(shown_residual, own):
    steps = 1e-5 * np.eye(len(own))
    found = [
        (shown_values(shown_residual, own + h) - shown_values(shown_residual, own - h)) / 2e-5
        for h in steps
    ]
    slopes = np.array([shown.slope for shown in shown_parameters(shown_residual, own)])
    np.testing.assert_allclose(slopes, np.array(found).T, atol=DIFFERENCE)


def test_what_is_shown_is_the_covariance(shown_residual, own):
    covariance = shown_residual.evaluate(own, shown_residual.all_visits).value[0]
    sd = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sd, sd)
    for shown in shown_parameters(shown_residual, own):
        if shown.component == "sigma":
            k = shown.key[0] - 1 if shown.key else 0
            # A power of 1 is that at the covariate 0 of all visits.
            assert shown.value == pytest.approx(sd[k], rel=1e-14)
        if shown.component == "corr" and len(shown.key) == 2:
            a, b = shown.key
            assert shown.value == pytest.approx(correlation[a - 1, b - 1], abs=1e-14)
        if shown.component == "corr" and len(shown.key) < 2:
            lag = shown.key[0] if shown.key else 1
            pairs = np.argwhere(np.abs(GAPS[:, None] - GAPS) == lag)
            for a, b in pairs:
                assert shown.value == pytest.approx(correlation[a, b], abs=1e-14)
        if shown.component == "range":
            near = np.exp(-((1.0 / shown.value) ** shown_residual.correlation.exponent))
            assert near == pytest.approx(correlation[0, 1], rel=1e-13)
