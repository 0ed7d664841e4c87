import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from simulate import random_case

from skmixed import _blocks
from skmixed._blocks import assemble
from skmixed._criterion import criterion
from skmixed._factorize import factorize, zero_lam
from skmixed._solution import solve

seeds = st.integers(0, 10**6)


@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_estimates_at_any_factor_are_the_oracle_s(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    lams = case.lams(np.random.default_rng(seed))
    solution = solve(case.factorized(lams), case.model)
    dense = case.oracle.at(lams)
    # Two exact computations: rounding, times the condition of X (some hundreds).
    assert_allclose(solution.fixed, dense["beta"], rtol=1e-8, atol=1e-8)
    assert_allclose(solution.sigma, dense["sigma"], rtol=1e-9)
    assert_allclose(solution.fixed_covariance, dense["vcov"], rtol=1e-7, atol=1e-10)
    for term, effects in zip(solution.terms, dense["effects"], strict=True):
        assert_allclose(term.effects.T, effects, rtol=1e-7, atol=1e-7)


def test_slabs_do_not_show(monkeypatch):
    case = random_case(11, structure="full", n_terms=3)
    lams = case.lams(np.random.default_rng(0))
    whole = case.factorized(lams)
    monkeypatch.setattr(_blocks, "SLAB_LEVELS", 2)
    monkeypatch.setattr(_blocks, "SLAB_NUMBERS", 1)
    sliced = case.factorized(lams)
    assert len(sliced.chol) > 1
    assert_allclose(criterion(sliced), criterion(whole), rtol=1e-14)
    effects = [solve(f, case.model).terms[0].effects for f in (whole, sliced)]
    assert_allclose(effects[1], effects[0], rtol=1e-10, atol=1e-12)


def test_arrays_given_up_are_reused_and_the_result_is_the_same():
    case = random_case(5)
    blocks = assemble(case.stats, case.model)
    size = blocks.terms[0][1].size
    first = factorize(blocks, (np.eye(size),))
    fresh = factorize(blocks, (2 * np.eye(size),))
    again = factorize(blocks, (2 * np.eye(size),), reuse=first)
    assert again.half is first.half
    assert_allclose(again.half, fresh.half, rtol=0, atol=0)
    assert criterion(again) == criterion(fresh)
    zero = factorize(blocks, zero_lam(blocks))
    assert criterion(factorize(blocks, (2 * np.eye(size),), reuse=zero)) == criterion(fresh)
