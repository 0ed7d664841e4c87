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


def factor_at(case, lam):
    blocks = assemble(case.stats, case.model)
    return factorize(blocks, (np.linalg.solve(blocks.factor.terms[0].to_user, lam),))


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_estimates_at_any_factor_are_the_oracle_s(seed):
    case = random_case(seed)
    lam = case.lam(np.random.default_rng(seed))
    solution = solve(factor_at(case, lam), case.model)
    dense = case.oracle.at([lam])
    # Two exact computations: rounding, times the condition of X (some hundreds).
    assert_allclose(solution.fixed, dense["beta"], rtol=1e-9, atol=1e-9)
    assert_allclose(solution.sigma, dense["sigma"], rtol=1e-10)
    assert_allclose(solution.fixed_covariance, dense["vcov"], rtol=1e-8, atol=1e-12)
    assert_allclose(solution.terms[0].effects.T, dense["effects"][0], rtol=1e-8, atol=1e-9)


def test_slabs_do_not_show(monkeypatch):
    case = random_case(11, structure="full")
    lam = case.lam(np.random.default_rng(0))
    whole = factor_at(case, lam)
    monkeypatch.setattr(_blocks, "SLAB_LEVELS", 2)
    monkeypatch.setattr(_blocks, "SLAB_NUMBERS", 1)
    sliced = factor_at(case, lam)
    assert len(sliced.chol) > 1
    assert_allclose(criterion(sliced), criterion(whole), rtol=1e-14)
    effects = [solve(f, case.model).terms[0].effects for f in (whole, sliced)]
    assert_allclose(effects[1], effects[0], rtol=1e-12)


def test_arrays_given_up_are_reused_and_the_result_is_the_same():
    case = random_case(5)
    blocks = assemble(case.stats, case.model)
    size = blocks.factor.terms[0].size
    first = factorize(blocks, (np.eye(size),))
    fresh = factorize(blocks, (2 * np.eye(size),))
    again = factorize(blocks, (2 * np.eye(size),), reuse=first)
    assert again.half is first.half
    assert_allclose(again.half, fresh.half, rtol=0, atol=0)
    assert criterion(again) == criterion(fresh)
    zero = factorize(blocks, zero_lam(blocks))
    assert criterion(factorize(blocks, (2 * np.eye(size),), reuse=zero)) == criterion(fresh)
