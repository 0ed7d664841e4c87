"""Models of correlations: their matrices, and derivatives, against definitions and differences."""

import numpy as np
import pytest
from oracle_repeated import correlation_matrix

from skmixed._model.correlation import CORRELATIONS
from skmixed._model.time_points import ResidualMoments, TimePoints, bounded

M = 5
STEPS = np.array([0, 1, 2, 4, 5])
VISITS = np.array([[0, 1, 3], [1, 2, 4], [0, 2, 3], [2, 3, 4]])
# Central differences: the square of the step, 1e-5, and rounding over it.
DIFFERENCE = 1e-7


def time_points():
    return TimePoints(VISITS, STEPS[VISITS].astype(float), np.zeros(VISITS.shape))


def parameters(model, seed=0):
    return 0.4 * np.random.default_rng(seed).normal(size=model.count(M, STEPS[-1]))


@pytest.fixture(params=CORRELATIONS.values(), ids=lambda model: model.name)
def model(request):
    return request.param


def differences(function, phi):
    steps = 1e-5 * np.eye(len(phi))
    found = [(function(phi + step) - function(phi - step)) / 2e-5 for step in steps]
    return np.array(found).reshape(len(phi), *np.shape(function(phi)))


def test_the_matrix_is_that_of_the_definition(model):
    if model.name in ("independent", "unstructured"):
        pytest.skip("they have no correlations on a scale of their own")
    phi = parameters(model)
    shown = model.shown(phi, M)
    rho = [value for name, value in shown.items() if name.startswith("corr")]
    places = time_points()
    times = places.visit if model.time == "order" else places.position
    found, _ = model.matrix(phi, places, M)
    for own, t in zip(found, times, strict=True):
        np.testing.assert_allclose(own, correlation_matrix(model.name, rho, t), atol=1e-14)


def test_an_unstructured_matrix_is_any():
    model = CORRELATIONS["unstructured"]
    rng = np.random.default_rng(0)
    wanted = np.cov(rng.normal(size=(M, 20)))
    lower = np.linalg.cholesky(wanted)
    sd = np.diagonal(lower)
    rows, columns = np.tril_indices(M, -1)
    phi = (lower / sd[:, None])[rows, columns]
    every = TimePoints(np.arange(M)[None], np.arange(M)[None] * 1.0, np.zeros((1, M)))
    matrix = model.matrix(phi, every, M)[0][0]
    np.testing.assert_allclose(np.outer(sd, sd) * matrix, wanted, atol=1e-13)
    correlation = np.corrcoef(rng.normal(size=(M, 3)))  # not this one
    shown = model.shown(phi, M)
    assert correlation.shape == (M, M)
    assert shown["corr(1,2)"] == pytest.approx(wanted[0, 1] / np.sqrt(wanted[0, 0] * wanted[1, 1]))


def test_derivatives_are_those_of_differences(model):
    phi, places = parameters(model, 1), time_points()
    rng = np.random.default_rng(2)
    weights = rng.normal(size=places.shape)
    weights = weights + weights.transpose(0, 2, 1)
    pairs = rng.normal(size=(len(phi), len(phi)))
    pairs = pairs + pairs.T
    first = differences(lambda p: model.matrix(p, places, M)[0], phi)
    second = differences(lambda p: model.matrix(p, places, M)[1], phi)
    np.testing.assert_allclose(model.matrix(phi, places, M)[1], first, atol=DIFFERENCE)
    curvature = model.curvature(phi, places, M, weights)
    np.testing.assert_allclose(curvature, np.tensordot(second, weights, 3), atol=DIFFERENCE)
    mixture = model.mixture(phi, places, M, pairs)
    np.testing.assert_allclose(mixture, np.tensordot(pairs, second, 2), atol=DIFFERENCE)


def test_compound_symmetry_reaches_its_lower_bound():
    model = CORRELATIONS["compound_symmetry"]
    assert model.shown(np.array([-30.0]), M)["corr"] == pytest.approx(-1 / (M - 1), abs=1e-12)
    assert model.shown(np.array([30.0]), M)["corr"] == pytest.approx(1.0, abs=1e-12)


def test_an_autoregression_may_be_negative():
    model, phi = CORRELATIONS["ar1"], np.array([-1.0])
    rho = bounded(phi)[0][0]
    matrix = model.matrix(phi, time_points(), M)[0]
    assert matrix[0, 0, 1] == pytest.approx(rho)
    assert matrix[0, 0, 2] == pytest.approx(rho**4)


def test_a_start_is_a_covariance(model):
    rng = np.random.default_rng(3)
    residuals = rng.normal(size=(30, M)).cumsum(axis=1)
    covariance = residuals.T @ residuals / 30
    moments = ResidualMoments(covariance, np.full((M, M), 30.0), 1.2, 0.7)
    phi = model.start(moments, STEPS)
    assert phi.shape == (model.count(M, STEPS[-1]),)
    every = TimePoints(np.arange(M)[None], STEPS[None] * 1.0, np.zeros((1, M)))
    assert np.linalg.eigvalsh(model.matrix(phi, every, M)[0][0])[0] > 0
