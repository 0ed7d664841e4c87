"""Tolerances: two exact computations differ by rounding times the condition of V and of
the uncentered X, of which the oracle forms inverses (some thousands)."""

import numpy as np
import pytest
from _equations.test_row_substitution import any_rows, dense_rows, kernel_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from simulate import random_case

from skmixed._equations import row_substitution
from skmixed._uncertainty.row_slopes import RowSlopes

seeds = st.integers(0, 10**6)


def dense_slopes(case, factorization, lams, dense):
    """∂(variance of the prediction error / σ²)/∂τ, by the weights of the predictor."""
    oracle = case.oracle
    at = oracle.at(lams)
    z = np.column_stack([z for z, _ in oracle.terms])
    pairs = list(zip(oracle.terms, lams, strict=True))
    sigma = [np.kron(np.eye(q), lam @ lam.T) for (_, q), lam in pairs]
    z_sigma = np.column_stack([z @ s for (z, _), s in zip(oracle.terms, sigma, strict=True)])
    q = z.shape[1]
    z_b, x = dense[:, :q], dense[:, q:]
    v_inv, X = at["V_inv"], oracle.X
    gls = np.linalg.solve(X.T @ v_inv @ X, X.T @ v_inv)
    weights = z_b @ z_sigma.T @ v_inv
    weights = weights + (x - weights @ X) @ gls
    t = z_b - weights @ z
    starts = np.cumsum([0, *(z.shape[1] for z, _ in oracle.terms)])
    columns = []
    for _, term in factorization.system.terms:
        own = t[:, starts[term.index] : starts[term.index + 1]].reshape(len(t), -1, term.size)
        for direction in term.term.structure.directions(term.size):
            user = term.to_user @ direction @ term.to_user.T
            columns.append(np.einsum("nqa,ab,nqb->n", own, user, own))
    return np.column_stack(columns)


def check(case, lams, codes, columns):
    factorization = case.factorized(lams)
    rows = kernel_rows(case, factorization.system, codes, columns)
    found = RowSlopes.of(factorization).of_rows(rows)
    expected = dense_slopes(case, factorization, lams, dense_rows(case, codes, columns))
    assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())


@pytest.mark.slow
@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_rows_of_any_levels_have_the_oracle_s_slopes(seed, n_terms):
    case, rng = random_case(seed, n_terms=n_terms), np.random.default_rng(seed)
    check(case, case.lams(rng), *any_rows(case, rng))


@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_singular_factors(seed, n_terms):
    case, rng = random_case(seed, n_terms=n_terms), np.random.default_rng(seed)
    # Each term in turn without variance, or of rank one.
    lams = case.lams(rng)
    drop = int(rng.integers(n_terms))
    lams = [lam * (k != drop) * (np.arange(len(lam)) < 1) for k, lam in enumerate(lams)]
    check(case, lams, *any_rows(case, rng))


def test_the_oracle_s_slopes_are_derivatives():
    case, rng = random_case(5, n_terms=3, structure="full"), np.random.default_rng(5)
    lams = case.lams(rng)
    codes, columns = any_rows(case, rng)
    factorization, dense = case.factorized(lams), dense_rows(case, codes, columns)
    expected = dense_slopes(case, factorization, lams, dense)
    step, i = 1e-5, 0

    def variance(k, change):
        moved = list(lams)
        moved[k] = np.linalg.cholesky(lams[k] @ lams[k].T + change)
        return np.einsum("ij,jk,ik->i", dense, case.oracle.joint_covariance(moved), dense)

    for _, term in factorization.system.terms:
        for direction in term.term.structure.directions(term.size):
            change = step * term.to_user @ direction @ term.to_user.T
            slope = (variance(term.index, change) - variance(term.index, -change)) / (2 * step)
            # A central difference: rounding over the step.
            assert_allclose(slope, expected[:, i], rtol=1e-4, atol=1e-6 * np.abs(expected).max())
            i += 1


# A chain and a core, one stage and a core, a chain alone, one factor.
@pytest.mark.parametrize("seed", [1, 4, 13, 9])
def test_a_row_s_slopes_do_not_depend_on_the_others(seed, monkeypatch):
    case, rng = random_case(seed, n_terms=3), np.random.default_rng(seed)
    factorization = case.factorized(case.lams(rng))
    slopes = RowSlopes.of(factorization)
    rows = kernel_rows(case, factorization.system, *any_rows(case, rng))
    whole = slopes.of_rows(rows)
    alone = [slopes.of_rows(rows.part(slice(i, i + 1)))[0] for i in range(40)]
    assert (np.array(alone) == whole).all()
    monkeypatch.setattr(row_substitution, "PART_NUMBERS", 100)
    assert (slopes.of_rows(rows) == whole).all()


def test_no_rows():
    case = random_case(2, n_terms=2)
    factorization = case.factorized(case.lams(np.random.default_rng(0)))
    codes = [f.codes[:0] for f in case.design.factors]
    none = kernel_rows(case, factorization.system, codes, case.columns[:0])
    slopes = RowSlopes.of(factorization)
    assert slopes.of_rows(none).shape == (0, len(slopes.quadratics))
