"""Without further rows nothing may change; with them, tests/_estimators/test_updating.py."""

import numpy as np
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case

from skmixed._estimation.solution import solve
from skmixed._uncertainty.effects_update import updated


@given(seed=st.integers(0, 10**6), n_terms=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_the_fit_s_own_rows_give_its_own_effects(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    factorization = case.factorized(case.lams(np.random.default_rng(seed)))
    solution = solve(factorization, case.likelihood, case.model)
    again = updated(solution, case.model, case.stats, case.stats)
    for before, after in zip(solution.terms, again.terms, strict=True):
        # Rounding of β̂ on its way to the user's columns and back.
        scale = np.abs(before.effects).max(initial=0.0)
        assert_allclose(after.effects, before.effects, rtol=0, atol=1e-10 * scale)
        assert_array_equal(after.lam, before.lam)


@given(seed=st.integers(0, 10**6), n_terms=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_a_factor_with_its_own_fixed_part_is_itself(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    factorization = case.factorized(case.lams(np.random.default_rng(seed)))
    same = factorization.with_fixed_of(factorization)
    assert_array_equal(same.chol_core, factorization.chol_core)
    assert_array_equal(same.solution, factorization.solution)
    assert same.residual_squares == factorization.residual_squares


def test_twice_the_rows_are_twice_the_evidence():
    case = random_case(4, n_terms=2, weighted=False)
    lams = case.lams(np.random.default_rng(4))
    solution = solve(case.factorized(lams), case.likelihood, case.model)
    doubled = updated(solution, case.model, case.stats, case.stats + case.stats)
    z = np.column_stack([z for z, _ in case.oracle.terms])
    pairs = zip(case.oracle.terms, lams, strict=True)
    covariance = scipy.linalg.block_diag(*(np.kron(np.eye(q), a @ a.T) for (_, q), a in pairs))
    v = z @ covariance @ z.T + 0.5 * np.eye(len(z))  # each row seen twice
    residual = case.oracle.y - case.oracle.X @ solution.fixed
    expected = covariance @ z.T @ np.linalg.solve(v, residual)
    found = np.concatenate([term.effects.T.ravel() for term in doubled.terms])
    # Two exact computations; rounding, times the condition of V.
    assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
