import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from simulate import random_case

from skmixed._equations.selected_inverse import level_covariances


def expected(case, lams):
    """The diagonal blocks of the oracle's covariance given β, term by term."""
    dense = case.oracle.joint_covariance(lams, given_fixed=True)
    start = 0
    for (_, q), lam in zip(case.oracle.terms, lams, strict=True):
        s = len(lam)
        own = slice(start, start + q * s)
        yield np.einsum("qaqb->qab", dense[own, own].reshape(q, s, q, s))
        start = own.stop


@given(seed=st.integers(0, 10**6), n_terms=st.integers(1, 4), is_singular=st.booleans())
@settings(max_examples=100, deadline=None)
def test_blocks_are_the_oracle_s(seed, n_terms, is_singular):
    case = random_case(seed, n_terms=n_terms)
    lams = case.lams(np.random.default_rng(seed))
    if is_singular:
        lams[0] = lams[0] * (np.arange(len(lams[0])) < 1)
    found = level_covariances(case.factorized(lams))
    for own, wanted in zip(found, expected(case, lams), strict=True):
        # Two exact computations: rounding, times the condition of M.
        assert_allclose(own, wanted, rtol=1e-8, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("n_terms", [1, 2, 3])
def test_no_variance(n_terms):
    case = random_case(8, n_terms=n_terms)
    lams = [np.zeros((len(t.columns),) * 2) for t in case.model.terms]
    assert all((own == 0.0).all() for own in level_covariances(case.factorized(lams)))
