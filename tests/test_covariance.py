import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._covariance import STRUCTURES, lower_factor


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_theta_and_factor_are_inverse(structure, size):
    theta = np.abs(np.random.default_rng(0).normal(size=structure.n_theta(size)))
    lam = structure.lam(theta, size)
    assert_allclose(lam, np.tril(lam))
    assert_allclose(structure.theta(lam), theta, rtol=1e-14)


def test_theta_of_full_is_in_the_order_of_lme4():
    lam = STRUCTURES["full"].lam(np.arange(1.0, 7.0), 3)
    assert_array_equal(lam, [[1, 0, 0], [2, 4, 0], [3, 5, 6]])


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_chart_keeps_the_covariance_and_spans_its_directions(structure, size):
    rng = np.random.default_rng(1)
    lam = structure.lam(rng.normal(size=structure.n_theta(size)), size)
    canonical, basis = structure.chart(lam)
    assert_allclose(canonical @ canonical.T, lam @ lam.T, atol=1e-14)
    assert len(basis) == structure.n_theta(size)
    directions = np.einsum("iab,cb->iac", basis, canonical)
    flat = (directions + directions.transpose(0, 2, 1)).reshape(len(basis), -1)
    assert np.linalg.matrix_rank(flat) == len(basis)


def test_chart_of_a_singular_factor_has_exact_zero_columns_last_and_frees_them():
    full = STRUCTURES["full"]
    root = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.5, 0.0, 3.0]])
    canonical, basis = full.chart(root)
    assert_array_equal(canonical[:, 2], 0.0)
    assert_allclose(canonical @ canonical.T, root @ root.T, atol=1e-14)
    # The zero column can grow in the direction that the other columns miss.
    null = np.linalg.svd(canonical.T)[2][-1]
    reach = max(abs(null @ b[:, 2]) for b in basis)
    assert reach > 0.1


def test_lower_factor_keeps_a_rank_deficiency_exact():
    lam = np.array([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0], [-1.0, 1.0, 0.0]])
    rotated = lam @ np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1.0]])
    lower = lower_factor(rotated)
    assert_allclose(lower @ lower.T, lam @ lam.T, atol=1e-13)
    assert_allclose(lower, np.tril(lower))
    assert lower[2, 2] == 0.0
    assert (np.diagonal(lower) >= 0).all()
