import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracle import DenseModel
from simulate import Case, random_case

from skmixed import MixedLinearRegressor
from skmixed._derivatives.criterion import derivatives
from skmixed._equations import system
from skmixed._equations.cholesky import factorize, zero_lam
from skmixed._estimation.solution import solve
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.design import Design, FactorDesign

seeds = st.integers(0, 10**6)


@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_estimates_at_any_factor_are_the_oracle_s(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    lams = case.lams(np.random.default_rng(seed))
    solution = solve(case.factorized(lams), case.likelihood, case.model)
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
    monkeypatch.setattr(system, "SLAB_LEVELS", 2)
    monkeypatch.setattr(system, "SLAB_NUMBERS", 1)
    sliced = case.factorized(lams)
    assert len(sliced.stages[0].chol) > 1
    value = case.likelihood.value
    assert_allclose(value(sliced), value(whole), rtol=1e-14)
    effects = [solve(f, case.likelihood, case.model).terms[0].effects for f in (whole, sliced)]
    assert_allclose(effects[1], effects[0], rtol=1e-10, atol=1e-12)


def test_arrays_given_up_are_reused_and_the_result_is_the_same():
    case = random_case(5)
    system, value = case.system, case.likelihood.value
    size = system.terms[0][1].size
    first = factorize(system, (np.eye(size),))
    fresh = factorize(system, (2 * np.eye(size),))
    again = factorize(system, (2 * np.eye(size),), reuse=first)
    assert again.stages[0].half is first.stages[0].half
    assert_allclose(again.stages[0].half, fresh.stages[0].half, rtol=0, atol=0)
    assert value(again) == value(fresh)
    zero = factorize(system, zero_lam(system))
    assert value(factorize(system, (2 * np.eye(size),), reuse=zero)) == value(fresh)


def nested_case(seed):
    """Three nested factors, the outer ones with slopes, and a crossed one."""
    rng = np.random.default_rng(seed)
    n, inner = 160, rng.permutation(np.r_[np.arange(24), rng.integers(0, 24, 136)])
    codes = [inner, inner // 3, inner // 12, rng.integers(0, 5, n)]
    columns = rng.normal(size=(n, 2))
    columns[::7] = 0.0  # products that are exactly zero keep their place
    own = [(0,), (0, 1), (0, 1, 2), (0, 2)]
    full = np.column_stack([np.ones(n), columns])
    y = columns[:, 0] + sum(rng.normal(size=24)[c] for c in codes) + rng.normal(size=n)
    factors = tuple(FactorDesign(c, int(c.max()) + 1, o) for c, o in zip(codes, own, strict=True))
    terms = tuple(Term(k, o, STRUCTURES["full"]) for k, o in enumerate(own))
    dense = [(c, f.n_levels, full[:, list(f.columns)]) for c, f in zip(codes, factors, strict=True)]
    return Case(
        Design(tuple(columns.T), (y,), None, factors),
        Model((0, 1), terms, reml=True),
        DenseModel(full[:, :2], y, dense),
        full,
    )


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_a_chain_of_three_beside_a_crossed_factor(seed):
    case = nested_case(seed)
    rng = np.random.default_rng(seed)
    lams = case.lams(rng)
    factorization = case.factorized(lams)
    assert [f.n_levels for f in factorization.system.factors] == [24, 8, 2, 5]
    assert [f.core is None for f in factorization.system.factors] == [True, True, True, False]
    value = case.likelihood.value(factorization)
    assert value == pytest.approx(case.oracle.criterion(lams), abs=1e-8)
    # The gradient against central differences of the oracle, exact to about 1e-7.
    d = derivatives(factorization, case.likelihood)
    for k, (factor, term) in enumerate(factorization.system.terms):
        direction = np.zeros_like(lams[k])
        direction[0, 0] = 1e-5
        change = [
            case.oracle.criterion(
                [lam + s * direction if i == k else lam for i, lam in enumerate(lams)]
            )
            for s in (1, -1)
        ]
        g = d.gradient[factor.entries].reshape((factor.n_columns,) * 2)
        back = term.to_factor_columns @ np.linalg.inv(term.to_user)
        slope = 2 * (back.T @ g @ back @ lams[k])[0, 0]
        assert slope == pytest.approx((change[0] - change[1]) / 2e-5, rel=1e-5, abs=1e-4)


def test_columns_of_effects_are_counted_by_their_pivots():
    """Four groups of three rows; a slope that one group does not have, and one that is 1."""
    group = np.repeat(np.arange(4), 3)
    x = np.where(group == 2, 0.0, np.tile([-1.0, 0.0, 1.0], 4))
    X = pd.DataFrame({"x": x, "g": group})
    model = MixedLinearRegressor("g", random_slopes="x", fixed=[])
    y = np.random.default_rng(0).normal(size=12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model.fit(X, y)._model.system
    free = factorize(fitted, (1e6 * np.eye(2),))
    # Pivots of 1e6 and more leave 1e-12.
    assert free.effect_columns() == pytest.approx(7.0, abs=1e-9)
    assert factorize(fitted, (np.zeros((2, 2)),)).effect_columns() == 0.0
