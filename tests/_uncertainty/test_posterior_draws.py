"""A deviation is linear in the numbers drawn: unit vectors in their place give its root."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case
from unit_noise import UnitNoise

from skmixed._uncertainty.draws import draw_deviation


def root(case, factorization):
    """The map from all numbers drawn to (b, β) − (b̂, β̂)."""
    rows, position, counter = [], 0, UnitNoise(-1)
    sigma = np.sqrt(case.likelihood.sigma_squared(factorization))
    draw_deviation(factorization, case.model, sigma, counter)
    for position in range(counter.n_drawn):
        draw = draw_deviation(factorization, case.model, sigma, UnitNoise(position))
        rows.append(np.concatenate([*(e.T.ravel() for e in draw.effects), draw.fixed]))
    return np.array(rows).T


@given(seed=st.integers(0, 10**6), n_terms=st.integers(1, 4), is_singular=st.booleans())
@settings(max_examples=60, deadline=None)
def test_covariance_is_the_joint_one(seed, n_terms, is_singular):
    case = random_case(seed, n_terms=n_terms)
    lams = case.lams(np.random.default_rng(seed))
    if is_singular:
        lams[0] = lams[0] * (np.arange(len(lams[0])) < 1)
    factorization = case.factorized(lams)
    found = root(case, factorization)
    sigma2 = case.likelihood.sigma_squared(factorization)
    expected = sigma2 * case.oracle.joint_covariance(lams)
    # Two exact computations: rounding, times the condition of C on uncentered columns.
    assert_allclose(found @ found.T, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("n_terms", [1, 3])
def test_without_variance_the_fixed_effects_alone_deviate(n_terms):
    case = random_case(3, n_terms=n_terms)
    lams = [np.zeros((len(t.columns),) * 2) for t in case.model.terms]
    draw = draw_deviation(case.factorized(lams), case.model, 1.0, np.random.default_rng(0))
    assert all((own == 0.0).all() for own in draw.effects)
    assert draw.fixed.all()


def test_same_seed_same_bits():
    case = random_case(11, n_terms=3)
    factorization = case.factorized(case.lams(np.random.default_rng(1)))
    one, two = (
        draw_deviation(factorization, case.model, 1.0, np.random.default_rng(7)) for _ in range(2)
    )
    assert_array_equal(one.fixed, two.fixed)
    for a, b in zip(one.effects, two.effects, strict=True):
        assert_array_equal(a, b)
