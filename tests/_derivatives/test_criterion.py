from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from reference_fits import Reference
from simulate import random_case

from skmixed._derivatives.criterion import derivatives, lay_out
from skmixed._derivatives.moments import moments
from skmixed._equations.cholesky import factorize
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.tangents import expected_information
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign

seeds = st.integers(0, 10**6)


def directions(case, system, rng):
    """A random direction of Σ for each term: the user's, and over all entries."""
    user, moved = [], []
    for factor, term in system.terms:
        s = rng.normal(size=(term.size, term.size))
        back = term.to_factor_columns @ np.linalg.inv(term.to_user)
        entries = np.zeros(system.factors[-1].entries.stop)
        entries[factor.entries] = (back @ (s + s.T) @ back.T).ravel()
        user.append(s + s.T)
        moved.append(entries)
    z = case.oracle.terms
    v = [own @ np.kron(np.eye(q), s) @ own.T for (own, q), s in zip(z, user, strict=True)]
    return v, np.array(moved)


def test_dyestuff_at_a_fixed_theta():
    frame = Reference("dyestuff", "one_way", "ml").frame
    codes = np.unique(frame["Batch"], return_inverse=True)[1]
    design = Design((), (frame["Yield"].to_numpy(float),), None, (FactorDesign(codes, 6, (0,)),))
    model = Model((0,), (Term(0, (0,), STRUCTURES["full"]),), reml=False)
    system, likelihood = lay_out(accumulate(design), model)
    value = likelihood.value(factorize(system, (np.array([[0.713]]),)))
    # lme4's deviance at this θ, to all digits; 1e-10 is rounding of 30 rows.
    assert value == pytest.approx(327.34216280954615, abs=1e-10)


@pytest.mark.slow
@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_criterion_is_the_oracle_s(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    lams = case.lams(np.random.default_rng(seed))
    found = case.likelihood.value(case.factorized(lams))
    # Rounding of determinants and sums of squares over some 50 rows.
    assert found == pytest.approx(case.oracle.criterion(lams), abs=1e-9)


@given(seed=seeds, n_terms=st.integers(1, 4), singular=st.booleans())
@settings(max_examples=150, deadline=None)
def test_derivatives_are_the_oracle_s(seed, n_terms, singular):
    case = random_case(seed, n_terms=n_terms)
    rng = np.random.default_rng(seed)
    lams = case.lams(rng)
    if singular:
        lams[-1][:, -1] = 0.0
    factorization = case.factorized(lams)
    dense = case.oracle.at(lams)
    v, moved = directions(case, factorization.system, rng)
    p, y, sigma2 = dense["P"], case.oracle.y, dense["sigma"] ** 2
    trace = p if case.model.reml else dense["V_inv"]
    slope = np.array([-y @ p @ a @ p @ y for a in v])
    gradient = np.array([np.trace(trace @ a) for a in v]) + slope / sigma2
    average = np.array([[y @ p @ a @ p @ b @ p @ y for a in v] for b in v])
    average = (average - np.outer(slope, slope) / (y @ p @ y)) / sigma2
    found = derivatives(factorization, case.likelihood)
    # Both sides are exact; what remains is rounding in the inverse of V.
    assert_allclose(moved @ found.gradient, gradient, atol=1e-7 * np.abs(gradient).max())
    size = np.abs(average).max()
    assert_allclose(moved @ found.information @ moved.T, average, atol=1e-7 * size)


@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_moments_are_the_oracle_s(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    zero = [0 * lam for lam in case.lams(np.random.default_rng(0))]
    factorization = case.factorized(zero)
    dense = case.oracle.at(zero)
    v, moved = directions(case, factorization.system, np.random.default_rng(seed))
    found, p, y = moments(factorization), dense["P"], case.oracle.y
    w = np.diag(case.oracle.weights)
    expected = {
        "zz": [np.trace(w @ a) for a in v],
        "zpz": [np.trace(p @ a) for a in v],
        "outer": [y @ p @ a @ p @ y for a in v],
    }
    for name, values in expected.items():
        size = np.abs(values).max()
        assert_allclose(moved @ getattr(found, name), values, atol=1e-9 * size, err_msg=name)
    for name, q in (("raw", w), ("information", p)):
        values = np.array([[np.trace(q @ a @ q @ b) for a in v] for b in v])
        ours = moved @ getattr(found, name) @ moved.T
        assert_allclose(ours, values, atol=1e-9 * np.abs(values).max(), err_msg=name)


def test_rescaling_a_fixed_column_moves_the_reml_criterion_by_its_log():
    case = random_case(8, reml=True)
    columns = list(case.design.columns)
    columns[1] = 10 * columns[1]
    scaled = replace(case.design, columns=tuple(columns))
    model = Model(case.model.fixed, (), reml=True)
    laid_out = [lay_out(accumulate(d), model) for d in (case.design, scaled)]
    values = [likelihood.value(factorize(b, ())) for b, likelihood in laid_out]
    assert values[1] - values[0] == pytest.approx(2 * np.log(10), abs=1e-11)


@pytest.mark.slow
@given(seed=seeds, n_terms=st.integers(1, 4), singular=st.booleans())
@settings(max_examples=200, deadline=None)
def test_expected_information_is_the_oracle_s(seed, n_terms, singular):
    case = random_case(seed, n_terms=n_terms)
    rng = np.random.default_rng(seed)
    lams = case.lams(rng)
    if singular:
        lams[-1][:, -1] = 0.0
    factorization = case.factorized(lams)
    system = factorization.system
    dense = case.oracle.at(lams)
    v, moved = directions(case, system, rng)
    trace = dense["P"] if case.model.reml else dense["V_inv"]
    expected = np.array([[np.trace(trace @ a @ trace @ b) for a in v] for b in v])
    by_factor, order = [], []
    for f in system.factors:
        r = f.n_columns
        order += [t.index for t in f.terms]
        by_factor.append(np.stack([moved[t.index, f.entries].reshape(r, r) for t in f.terms]))
    inverse = CoreInverse.of(factorization, has_fixed=case.model.reml)
    found = expected_information(inverse, tuple(by_factor))
    # Both sides are exact; what remains is rounding in the inverse of V.
    expected = expected[np.ix_(order, order)]
    assert_allclose(found.information, expected, atol=1e-7 * np.abs(expected).max())
    solved = dense["V_inv"] @ (case.oracle.X - system.center[:-1])
    fixed = np.array([solved.T @ v[k] @ solved for k in order])
    assert_allclose(found.fixed, fixed, atol=1e-7 * np.abs(fixed).max())


@pytest.mark.parametrize("reml", [False, True])
def test_the_criterion_is_the_least_over_the_residual_variance(reml):
    case = random_case(3, reml=reml, n_terms=2)
    likelihood = case.likelihood
    factor = case.factorized(case.lams(np.random.default_rng(3)))
    sigma2 = likelihood.sigma_squared(factor)
    assert likelihood.value_at(factor, sigma2) == pytest.approx(likelihood.value(factor), rel=1e-14)
    for share in (0.9, 1.1):
        assert likelihood.value_at(factor, share * sigma2) > likelihood.value(factor)
    assert likelihood.value_at(factor, np.inf) == np.inf


def test_squares_below_the_floor_are_those_of_an_exact_fit():
    case = random_case(3)
    factor = case.factorized(case.lams(np.random.default_rng(3)))
    assert not case.likelihood.is_exact_fit(factor)
    below = replace(factor, residual_squares=-1e-30)
    assert case.likelihood.is_exact_fit(below)
    assert case.likelihood.residual_squares(below) == case.likelihood.floor > 0
