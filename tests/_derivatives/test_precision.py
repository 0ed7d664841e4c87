"""R⁻¹ of rows and their neighbors against the inverse of R in full, and differences of it."""

import numpy as np
import pytest

from skmixed._derivatives.precision import PrecisionClasses, Tridiagonal, between
from skmixed._model.correlation import CORRELATIONS
from skmixed._model.residual import VARIANCES, Residual
from skmixed._model.time_points import RowPairs, TimePoints

VISITS = np.array([[0, 1, 3, 4, 6]])
M = 7
MARKOV = [name for name, own in CORRELATIONS.items() if own.is_markov]


@pytest.fixture(params=VARIANCES)
def variance(request):
    return VARIANCES[request.param]


@pytest.fixture(params=MARKOV)
def residual(request, variance):
    return Residual(CORRELATIONS[request.param], variance, np.arange(M), 1)


@pytest.fixture
def places():
    covariate = np.random.default_rng(1).normal(size=VISITS.shape)
    return TimePoints(VISITS, VISITS.astype(float), covariate)


@pytest.fixture
def phi(residual):
    return 0.4 * np.random.default_rng(2).normal(size=residual.n_own)


def classes_of(residual, places):
    """Each row, and each pair, as a class of its own."""
    n = places.visit.shape[1]
    rows = TimePoints(*(own.T for own in places.parts))
    pairs = RowPairs.of_neighbors(places)
    if not residual.is_correlated:
        pairs = RowPairs(*(own[:0] for own in pairs.parts))
    return PrecisionClasses(residual, rows, pairs, np.ones(n), np.ones(len(pairs.visit)))


def matrix(entries, n):
    rows, parts = entries[:n], entries[n:].reshape(3, -1)
    out = np.diag(rows)
    for k, (first, second, both) in enumerate(parts.T):
        out[k : k + 2, k : k + 2] += [[first, both], [both, second]]
    return out


def differences(function, phi):
    steps = 1e-5 * np.eye(len(phi))
    return np.array([(function(phi + h) - function(phi - h)) / 2e-5 for h in steps])


@pytest.mark.parametrize("name", CORRELATIONS)
def test_models_of_markov_type_have_a_tridiagonal_inverse(name, places):
    residual = Residual(CORRELATIONS[name], VARIANCES["constant"], np.arange(M), 1)
    phi = 0.3 * np.random.default_rng(0).normal(size=residual.n_own)
    inverse = np.linalg.inv(residual.evaluate(phi, places).value[0])
    beyond = np.abs(np.triu(inverse, 2)).max()
    assert bool(beyond < 1e-12) is residual.correlation.is_markov


def test_entries_are_those_of_the_inverse(residual, places, phi):
    at = classes_of(residual, places).at(phi)
    value = residual.evaluate(phi, places).value[0]
    n = len(value)
    np.testing.assert_allclose(matrix(at.value, n), np.linalg.inv(value), rtol=1e-10, atol=1e-12)
    assert at.logdet == pytest.approx(np.linalg.slogdet(value)[1], rel=1e-12)
    np.testing.assert_allclose(at.row_variances, np.diagonal(value), rtol=1e-12)


def test_derivatives_are_those_of_differences(residual, places, phi):
    classes = classes_of(residual, places)
    at, rng = classes.at(phi), np.random.default_rng(3)
    second = differences(lambda p: classes.at(p).first, phi)
    weights, pairs = rng.normal(size=len(at.value)), rng.normal(size=(len(phi),) * 2)
    pairs = pairs + pairs.T
    # Differences lose half of the digits.
    near = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(at.first, differences(lambda p: classes.at(p).value, phi), **near)
    np.testing.assert_allclose(at.curvature(weights), second @ weights, **near)
    np.testing.assert_allclose(at.mixture(pairs), np.tensordot(pairs, second, 2), **near)
    np.testing.assert_allclose(
        at.logdet_first, differences(lambda p: classes.at(p).logdet, phi), **near
    )
    np.testing.assert_allclose(
        at.logdet_second, differences(lambda p: classes.at(p).logdet_first, phi), **near
    )


def test_neighbors_with_a_correlation_of_one_have_no_inverse(places):
    residual = Residual(CORRELATIONS["ar1"], VARIANCES["constant"], np.arange(M), 1)
    with pytest.raises(np.linalg.LinAlgError):
        classes_of(residual, places).at(np.array([0.0, 1e9]))


@pytest.mark.parametrize("visit", [2, 5, 1])
def test_weights_of_neighbors_are_those_of_all_rows(residual, places, phi, visit):
    # The row, and its neighbors among the others
    own = VISITS[0]
    after = int(np.searchsorted(own, visit))
    at = np.array([after - 1, after])
    value = np.insert(places.position[0], after, visit)
    of_all = TimePoints(
        np.insert(own, after, visit)[None],
        value[None],
        np.insert(places.covariate[0], after, 0.3)[None],
    )
    whole = residual.evaluate(phi, of_all).value[0]
    others = np.arange(len(whole)) != after
    r = whole[after, others]
    of_rows = TimePoints(*(v[:, [after - 1, after, after + 1]] for v in of_all.parts))
    has = np.array([[True, True]])
    weights, explained = between(residual, phi, of_rows, has)
    if visit == 1:  # the row after it is at the same time
        np.testing.assert_allclose(weights[0, 0], 0.0, atol=1e-12)
        return
    expected = np.linalg.solve(whole[np.ix_(others, others)], r)
    np.testing.assert_allclose(weights[0], expected[at], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.delete(expected, at), 0.0, atol=1e-12)
    assert explained[0] == pytest.approx(r @ expected, rel=1e-9, abs=1e-14)


def test_normalized_errors_are_those_of_a_cholesky_factor(residual, places, phi):
    errors = np.random.default_rng(4).normal(size=VISITS.shape)
    root = np.linalg.cholesky(residual.evaluate(phi, places).value[0])
    found = residual.normalized(phi, places, errors)
    np.testing.assert_allclose(found[0], np.linalg.solve(root, errors[0]), rtol=1e-10)


def dense(matrix):
    return np.diag(matrix.diagonal) + np.diag(matrix.off, 1) + np.diag(matrix.off, -1)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_products_and_solutions(n):
    rng = np.random.default_rng(n)
    matrix = Tridiagonal(3.0 + rng.random(n), rng.normal(size=n - 1))
    columns = rng.normal(size=(4, n))
    np.testing.assert_allclose(matrix.times(columns), columns @ dense(matrix), rtol=1e-12)
    # Each row of what is a column here
    found = matrix.solve(columns)
    np.testing.assert_allclose(found @ dense(matrix), columns, rtol=1e-12, atol=1e-12)


def test_matrices_that_are_not_positive_definite_have_no_solutions():
    with pytest.raises(np.linalg.LinAlgError):
        Tridiagonal(np.ones(3), np.full(2, 2.0)).solve(np.ones((1, 3)))
