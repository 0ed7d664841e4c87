import numpy as np
import pytest
import scipy.stats
from _equations.test_cholesky import nested_case
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracle import DenseModel, design_of_term
from simulate import Case, random_case

from skmixed._derivatives.criterion import lay_out
from skmixed._equations import system
from skmixed._equations.cholesky import factorize, zero_lam
from skmixed._estimation.solution import solve
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign
from skmixed._uncertainty.draws import Simulator

seeds = st.integers(0, 10**6)


def slopes_in_single_rows(scale=1.0, weights=None, intercept=True):
    """Slopes of two columns in levels of 1, 2, 3 … rows, and a crossed factor."""
    rng = np.random.default_rng(7)
    codes = np.repeat(np.arange(8), [1, 1, 2, 2, 3, 4, 8, 9])
    other = rng.integers(0, 3, len(codes))
    columns = rng.normal(size=(len(codes), 2)) * scale + 2 * scale
    y = rng.normal(size=len(codes)) + rng.normal(size=8)[codes] + columns[:, 0] / scale
    terms = (Term(0, (0, 1, 2), STRUCTURES["full"]), Term(1, (0, 2), STRUCTURES["diag"]))
    factors = (FactorDesign(codes, 8, (0, 1, 2)), FactorDesign(other, 3, (0, 2)))
    fixed = (0, 1, 2) if intercept else (1, 2)
    full = np.column_stack([np.ones(len(codes)), columns])
    dense = [
        (c, f.n_levels, full[:, t.columns])
        for c, f, t in zip((codes, other), factors, terms, strict=True)
    ]
    return Case(
        Design(tuple(columns.T), (y,), weights, factors),
        Model(fixed, terms, reml=True),
        DenseModel(full[:, fixed], y, dense, weights),
        full,
    )


CASES = {
    "one": lambda seed: random_case(seed),
    "two terms": lambda seed: random_case(seed, n_terms=2),
    "four terms": lambda seed: random_case(seed, n_terms=4),
    "three nested, one crossed": nested_case,
    "single rows": lambda seed: slopes_in_single_rows(intercept=bool(seed % 2)),
}
cases = st.sampled_from(list(CASES))


def dense_columns(case, system):
    """[Z X] with the columns of the blocks, and the rows' weights in their unit."""
    columns = case.columns
    centered = columns - case.stats.center
    places = [case.design.factors[f.terms[0].term.factor] for f in system.factors]
    zs = [design_of_term(f.codes, f.n_levels, centered[:, list(f.columns)]) for f in places]
    X = columns[:, [case.model.fixed[k] for k in system.kept]] - system.center[:-1]
    weights = np.ones(len(X)) if case.design.weights is None else case.design.weights
    return np.column_stack([*zs, X]), weights / system.weight_unit


def gathered(system, stages, of_core):
    """Products of all columns with y, in the order of `dense_columns`."""
    parts = []
    for factor, own in zip(system.factors, stages, strict=False):
        parts.append(
            own.transpose(0, 2, 1).reshape(-1, factor.n_columns)[: factor.n_levels].ravel()
        )
    return np.concatenate([*parts, of_core])


def of_response(system):
    """The products of a draw with y: those with all columns, and with itself."""
    stages = [s.products[:, :, s.fixed[-1]] for s in system.stages]
    return gathered(system, stages, system.core[:-1, -1]), system.core[-1, -1]


def at_any_factor(case, seed):
    return case.factorized(case.lams(np.random.default_rng(seed)))


@given(seed=seeds, name=cases)
@settings(max_examples=30, deadline=None)
def test_a_draw_is_the_statistics_of_rows(seed, name):
    """Rows with the products drawn give the same blocks, fit and floor."""
    case = CASES[name](seed)
    factorization = at_any_factor(case, seed)
    simulator = Simulator.of(factorization, case.likelihood)
    drawn, likelihood = simulator.draw(np.random.default_rng(seed))
    dense, weights = dense_columns(case, drawn)
    rows = rows_of(drawn, dense, weights) + drawn.center[-1]
    again = accumulate(case.design.with_responses(rows))
    system, of_rows = lay_out(again, case.model)
    expected = factorize(system, factorization.lam)
    actual = factorize(drawn, factorization.lam)
    # The rows solve singular normal equations, at the cost of half of the digits at worst.
    value = of_rows.value(expected)
    assert likelihood.value(actual) == pytest.approx(value, abs=1e-6)
    assert likelihood.floor == pytest.approx(of_rows.floor, rel=1e-6)
    first = solve(actual, likelihood, case.model)
    second = solve(expected, of_rows, case.model)
    assert_allclose(first.fixed, second.fixed, rtol=1e-6, atol=1e-6)
    assert first.sigma == pytest.approx(second.sigma, rel=1e-6)
    for one, two in zip(first.terms, second.terms, strict=True):
        assert_allclose(one.effects, two.effects, rtol=1e-6, atol=1e-6)


def rows_of(drawn, dense, weights):
    """A response around its center with the products of a draw."""
    products, squares = of_response(drawn)
    half = np.sqrt(weights)[:, None] * dense
    u, s, vt = np.linalg.svd(half, full_matrices=True)
    rank = np.linalg.matrix_rank(half)
    along = u[:, :rank] @ ((vt[:rank] @ products) / s[:rank])
    rest = squares - along @ along
    assert rest >= -1e-9 * squares
    out = along.copy()
    if rank < len(half):
        out += np.sqrt(max(rest, 0.0)) * u[:, rank]
    else:
        assert rest == pytest.approx(0.0, abs=1e-9 * squares)
    return out / np.sqrt(weights)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_mean_and_covariance_of_the_model(name):
    case = CASES[name](3)
    factorization = at_any_factor(case, 5)
    simulator, system = Simulator.of(factorization, case.likelihood), factorization.system
    dense, weights = dense_columns(case, system)
    lams = [t.to_user @ factorization.lam[t.index] for _, t in system.terms]
    noise = case.oracle.covariance([lam / np.sqrt(system.weight_unit) for lam in lams])
    sigma2 = case.likelihood.sigma_squared(factorization)
    noise *= sigma2 * system.weight_unit
    half = weights[:, None] * dense
    mean = half.T @ (dense[:, dense.shape[1] - system.n_fixed :] @ factorization.beta)
    values, vectors = np.linalg.eigh(half.T @ noise @ half)
    values, vectors = (m[..., -simulator.root.rank :] for m in (values, vectors))
    n = 1000
    rng = np.random.default_rng(0)
    products, squares = zip(*(of_response(simulator.draw(rng)[0]) for _ in range(n)), strict=True)
    white = (np.array(products) - mean) @ vectors / np.sqrt(values)
    # Standard errors of means, variances and covariances of n standard normals are
    # 1/√n, √(2/n) and 1/√n; some hundreds of them stay within five.
    assert np.abs(white.mean(axis=0)).max() < 5 / np.sqrt(n)
    assert np.abs(np.cov(white.T) - np.eye(len(values))).max() < 5 * np.sqrt(2 / n)
    # What [Z X] leaves of y'Wy is σ²χ² with n − rank degrees of freedom.
    inverse = np.linalg.pinv(half.T @ dense, rcond=1e-11, hermitian=True)
    rest = np.array(squares) - np.einsum("ni,ij,nj->n", products, inverse, products)
    dof = len(dense) - simulator.root.rank
    if dof:
        chi2 = scipy.stats.chi2(dof, scale=sigma2)
        assert scipy.stats.kstest(rest, chi2.cdf).pvalue > 1e-3
        assert abs(np.corrcoef(rest, white.T)[0, 1:]).max() < 5 / np.sqrt(n)
    else:
        assert np.abs(rest).max() < 1e-9 * max(squares)


def test_weights_in_any_unit_give_the_same_draw():
    weights = np.random.default_rng(0).uniform(0.5, 1.9, 30)
    solutions = []
    for unit in (1.0, 4.0**9):  # a power of 4, in which weights are counted exactly
        case = slopes_in_single_rows(weights=weights * unit)
        system = case.system
        factorization = factorize(system, tuple(np.eye(t.size) for _, t in system.terms))
        simulator = Simulator.of(factorization, case.likelihood)
        drawn, likelihood = simulator.draw(np.random.default_rng(1))
        solutions.append(solve(factorize(drawn, factorization.lam), likelihood, case.model))
    assert_allclose(solutions[1].fixed, solutions[0].fixed, rtol=1e-12)
    assert solutions[1].sigma == pytest.approx(solutions[0].sigma * 2.0**9, rel=1e-12)


def test_slabs_do_not_show(monkeypatch):
    case = nested_case(1)
    draws = []
    for _ in range(2):
        simulator = Simulator.of(at_any_factor(case, 0), case.likelihood)
        rank = simulator.root.rank
        own = [np.ones((f.n_columns, f.n_levels)) for f in simulator.root.system.factors]
        v = simulator.root.times(own, simulator.beta)
        draws.append((rank, gathered(simulator.root.system, *simulator.root.transposed(v))))
        monkeypatch.setattr(system, "SLAB_LEVELS", 5)
        monkeypatch.setattr(system, "SLAB_NUMBERS", 1)
    assert len(simulator.root.stages[0].half) > 1
    assert draws[0][0] == draws[1][0]
    assert_allclose(draws[1][1], draws[0][1], rtol=1e-10, atol=1e-10)


def test_without_groups_least_squares_is_redrawn():
    case = random_case(4, intercept=True)
    model = Model(case.model.fixed, (), reml=True)
    system, likelihood = lay_out(case.stats, model)
    simulator = Simulator.of(factorize(system, zero_lam(system)), likelihood)
    assert simulator.root.rank == 3
    drawn, _ = simulator.draw(np.random.default_rng(0))
    assert factorize(drawn, ()).residual_squares < drawn.core[-1, -1]


def test_more_rows_than_rank_is_no_need():
    """Every row its own level: [Z X] spans all, nothing is left for χ²."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(4), 2)
    factors = (FactorDesign(codes, 4, (0, 1)),)
    design = Design((rng.normal(size=8),), (rng.normal(size=8),), None, factors)
    model = Model((0,), (Term(0, (0, 1), STRUCTURES["full"]),), reml=False)
    system, likelihood = lay_out(accumulate(design), model)
    simulator = Simulator.of(factorize(system, (np.eye(2),)), likelihood)
    assert simulator.root.rank == 8
    assert np.isfinite(simulator.draw(rng)[0].core).all()


def test_what_is_drawn_does_not_touch_the_data():
    case = nested_case(0)
    factorization = at_any_factor(case, 0)
    value = case.likelihood.value
    before = value(factorize(factorization.system, factorization.lam))
    Simulator.of(factorization, case.likelihood).draw(np.random.default_rng(0))
    assert value(factorize(factorization.system, factorization.lam)) == before
