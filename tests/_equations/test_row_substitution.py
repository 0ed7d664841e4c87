"""Tolerances: two exact computations differ by rounding times the condition of C, of
which the oracle's inverse sees the uncentered columns (some thousands)."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracle import design_of_term
from simulate import random_case

from skmixed import MixedLinearRegressor
from skmixed._equations import row_substitution
from skmixed._equations.cholesky import factorize, zero_lam
from skmixed._equations.layout import DesignRows, factor_rows
from skmixed._equations.row_substitution import RowSolver
from skmixed._fitted.prediction_rows import open_rows
from skmixed.datasets import load_sleepstudy

seeds = st.integers(0, 10**6)


def kernel_rows(case, system, codes, columns):
    """Rows with levels `codes` and columns (1, x …), as the kernel takes them."""
    center = case.stats.center
    factors = []
    for factor in system.factors:
        k = factor.terms[0].term.factor
        own = list(case.design.factors[k].columns)
        factors.append(factor_rows(codes[k], columns[:, own] - center[own], factor.n_levels))
    fixed = columns[:, [case.model.fixed[i] for i in system.kept]] - system.center[:-1]
    return DesignRows(tuple(factors), fixed)


def dense_rows(case, codes, columns):
    """The same rows over the oracle's columns."""
    parts = []
    for term in case.model.terms:
        q, code = case.design.factors[term.factor].n_levels, codes[term.factor]
        z = design_of_term(np.maximum(code, 0), q, columns[:, list(term.columns)])
        parts.append(z * (code >= 0)[:, None])
    return np.column_stack([*parts, columns[:, list(case.model.fixed)]])


def any_rows(case, rng, n=40):
    """Rows of any combination of levels, unknown ones too, and any columns."""
    codes = [rng.integers(-1, f.n_levels, n) for f in case.design.factors]
    columns = np.column_stack([np.ones(n), rng.normal(size=(n, 3)) * 3])
    return codes, columns


def quadratic(rows, matrix):
    return np.einsum("ij,jk,ik->i", rows, matrix, rows)


def check(case, lams, codes, columns):
    factorization = case.factorized(lams)
    found = RowSolver.of(factorization).variance(
        kernel_rows(case, factorization.system, codes, columns)
    )
    dense = dense_rows(case, codes, columns)
    expected = quadratic(dense, case.oracle.joint_covariance(lams))
    scale = np.abs(expected).max()
    assert_allclose(found.total, expected, rtol=1e-7, atol=1e-9 * scale)
    given_beta = quadratic(dense, case.oracle.joint_covariance(lams, given_fixed=True))
    assert_allclose(found.given_fixed, given_beta, rtol=1e-7, atol=1e-9 * scale)
    return found


@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_rows_of_any_levels_have_the_oracle_s_variance(seed, n_terms):
    case, rng = random_case(seed, n_terms=n_terms), np.random.default_rng(seed)
    check(case, case.lams(rng), *any_rows(case, rng))


@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_singular_factors(seed, n_terms):
    case, rng = random_case(seed, n_terms=n_terms), np.random.default_rng(seed)
    # Each term in turn without variance, or of rank one.
    lams = case.lams(rng)
    drop = int(rng.integers(n_terms))
    lams[drop] = lams[drop] * 0.0
    lams = [lam if k == drop else lam * (np.arange(len(lam)) < 1) for k, lam in enumerate(lams)]
    check(case, lams, *any_rows(case, rng))


def test_no_variance_at_all_is_least_squares():
    case, rng = random_case(3, n_terms=3), np.random.default_rng(0)
    lams = [np.zeros((len(t.columns),) * 2) for t in case.model.terms]
    codes, columns = any_rows(case, rng)
    found = check(case, lams, codes, columns)
    assert (found.given_fixed == 0.0).all()
    X, weights = case.oracle.X, case.oracle.weights
    own = columns[:, list(case.model.fixed)]
    ordinary = quadratic(own, np.linalg.inv(X.T @ (weights[:, None] * X)))
    assert_allclose(found.total, ordinary, rtol=1e-9)


@given(seed=seeds, n_terms=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_at_fixed_is_the_row_of_the_weighted_design(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    lams = case.lams(np.random.default_rng(seed))
    factorization = case.factorized(lams)
    codes = [f.codes for f in case.design.factors]
    rows = kernel_rows(case, factorization.system, codes, case.columns)
    found = RowSolver.of(factorization).variance(rows).at_fixed @ factorization.fixed.root.T
    center = factorization.system.center[:-1]
    expected = case.oracle.at(lams)["V_inv"] @ (case.oracle.X - center)
    expected /= case.oracle.weights[:, None]
    assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


# A chain and a core, one stage and a core, a chain alone, one factor.
@pytest.mark.parametrize("seed", [1, 4, 13, 9])
def test_a_row_s_variance_does_not_depend_on_the_others(seed, monkeypatch):
    case, rng = random_case(seed, n_terms=3), np.random.default_rng(seed)
    factorization = case.factorized(case.lams(rng))
    solver = RowSolver.of(factorization)
    rows = kernel_rows(case, factorization.system, *any_rows(case, rng))
    whole = solver.variance(rows)
    alone = [solver.variance(rows.part(slice(i, i + 1))).total[0] for i in range(40)]
    assert (np.array(alone) == whole.total).all()
    monkeypatch.setattr(row_substitution, "PART_NUMBERS", 100)
    assert (solver.variance(rows).total == whole.total).all()


def test_no_rows_and_no_fixed_effects():
    case = random_case(2, n_terms=2)
    system = case.factorized(case.lams(np.random.default_rng(0))).system
    solver = RowSolver.of(factorize(system, zero_lam(system)))
    none = kernel_rows(case, system, [f.codes[:0] for f in case.design.factors], case.columns[:0])
    assert solver.variance(none).total.shape == (0,)


def test_a_new_subject_and_a_known_one():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    rows = pd.DataFrame({"Days": [0, 5], "Subject": ["308", "new"]})
    opened = open_rows(model, rows)
    factorization = opened.fitted.factorization
    relative = RowSolver.of(factorization).variance(opened.design()).total
    variance = opened.fitted.sigma_squared * relative
    # lme4's numbers, to the digits they are given in.
    assert np.sqrt(variance[0]) == pytest.approx(12.2548, abs=5e-5)
    z = np.array([1.0, 5.0])
    mean = variance[1] + z @ model.covariances_["Subject"].to_numpy() @ z
    assert np.sqrt(mean) == pytest.approx(40.9478, abs=5e-5)
    assert np.sqrt(mean + model.sigma_**2) == pytest.approx(48.2873, abs=5e-5)
    fixed = RowSolver.of(factorization).variance(open_rows(model, rows, include="fixed").design())
    assert fixed.total[1] == relative[1]
    assert (fixed.given_fixed == 0.0).all()
