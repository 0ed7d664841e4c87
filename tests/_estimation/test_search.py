"""The search: the optimum on random designs, and models that strain it."""

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracle import DenseModel
from simulate import random_case

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._derivatives.criterion import Derivatives, derivatives, lay_out
from skmixed._derivatives.parameters import Parameters
from skmixed._derivatives.trust_region import absolute, second_order, trust_region_step
from skmixed._equations.cholesky import factorize
from skmixed._estimation.fit import examined, fit_system
from skmixed._fitted.runtime import single_threaded_blas
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import FitStatus, SingularFitWarning
from skmixed.inference import convergence

seeds = st.integers(0, 10**6)


def fitted(case):
    return fit_system(examined(case.stats, case.model), tol=1e-12, max_iter=300)


def at_the_end(stats, model, solution):
    """The factorization at the solution, made again."""
    system, likelihood = lay_out(stats, model)
    return factorize(system, tuple(t.search_lam for t in solution.terms)), likelihood


def gradient_conditions(factorization, likelihood):
    """ΛG = 0 and G ⪰ 0 where Λ has no rank, term by term, in the search's scale."""
    d = derivatives(factorization, likelihood)
    worst = 0.0
    for factor, term in factorization.system.terms:
        own = d.gradient[factor.entries].reshape((factor.n_columns,) * 2)
        own = term.to_factor_columns.T @ own @ term.to_factor_columns
        lam, basis = term.term.structure.chart(factorization.lam[term.index])
        slope = np.einsum("iab,ab->i", basis, 2 * own @ lam)
        bend = np.einsum("iab,ac,jcb->ij", basis, own, basis)
        empty = ~lam.any(axis=0)
        free = np.array([b.any(axis=0)[empty].any() for b in basis], dtype=bool)
        worst = max(worst, np.abs(slope).max())
        if free.any():
            worst = max(worst, -np.linalg.eigvalsh(bend[np.ix_(free, free)])[0])
    return worst


@pytest.mark.slow
@given(seed=seeds, n_terms=st.integers(1, 4))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_end_is_a_minimum(seed, n_terms):
    case = random_case(seed, n_terms=n_terms, reml=True)
    result = fitted(case)
    if result.status is FitStatus.CONVERGED:
        # First and second order, against a curvature of 1 to 1000 per unit of Λ.
        assert gradient_conditions(*at_the_end(case.stats, case.model, result.solution)) < 1e-3


@pytest.mark.slow
@given(seed=seeds)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_no_start_of_a_general_optimizer_ends_lower(seed):
    # Models whose criterion has one minimum even in so few rows; a common variance of
    # unlike columns, or random effects in place of a fixed intercept, can have several.
    case = random_case(seed, reml=True, structure="full", intercept=True)
    result = fitted(case)
    if result.status is not FitStatus.CONVERGED or result.findings.spanned:
        return
    structures = [t.structure for t in case.model.terms]
    sizes = [len(t.columns) for t in case.model.terms]
    theta = result.solution.theta
    rng = np.random.default_rng(seed)
    starts = [theta + 0.05 * rng.normal(size=len(theta)) for _ in range(2)]
    best = case.oracle.minimum(sizes, structures, starts)
    # Local searches around the end; the criterion is exact to 1e-9 on both sides.
    assert result.solution.criterion <= best + 1e-6


@pytest.mark.slow
def test_two_factors_with_eight_correlated_coefficients_each():
    X, y, slopes = psycholinguistics(np.random.default_rng(0))
    effects = [RandomEffect("subject", slopes), RandomEffect("item", slopes)]
    model = MixedLinearRegressor(effects)
    with pytest.warns(SingularFitWarning):
        model.fit(X, y)
    assert model.converged_
    assert len(model.theta_) == 72
    assert model.n_factorizations_ <= 40
    end = at_the_end(
        model._model.stats, model._model.encoder.model(reml=True), model._model.estimate.solution
    )
    assert gradient_conditions(*end) < 1e-2
    # 72 parameters: L-BFGS-B with the exact gradient from around the end and from
    # afar finds nothing lower by more than 1e-4.
    laid_out = lay_out(model._model.stats, model._model.encoder.model(reml=True))
    with single_threaded_blas():
        found = [lbfgs(*laid_out, np.random.default_rng(k), s) for k, s in enumerate([0.1, 1.0])]
    assert model.criterion_ <= min(found) + 1e-4


def psycholinguistics(rng):
    """56 subjects × 32 items, three factors within, all effects correlated."""
    subject, item = np.repeat(np.arange(56), 32), np.tile(np.arange(32), 56)
    cell = (subject + item) % 8
    a, b, c = (((cell >> k) & 1) - 0.5 for k in range(3))
    Z = np.column_stack([a, b, c, 2 * a * b, 2 * a * c, 2 * b * c, 4 * a * b * c])
    F = np.column_stack([np.ones(len(Z)), Z])
    by_subject = rng.normal(size=(56, 4)) @ rng.normal(size=(4, 8)) * 0.5
    by_item = rng.normal(size=(32, 3)) @ rng.normal(size=(3, 8)) * 0.3
    y = 5 + Z @ rng.normal(size=7) + (F * (by_subject[subject] + by_item[item])).sum(axis=1)
    X = pd.DataFrame(Z, columns=[f"c{k}" for k in range(7)])
    return X.assign(subject=subject, item=item), y + rng.normal(size=len(y)), list(X.columns)


def lbfgs(system, likelihood, rng, scale):
    """Minimize over the lower triangles of all Λ from a random start."""
    terms = [t for _, t in system.terms]
    sizes = [t.term.structure.n_theta(t.size) for t in terms]

    def split(theta):
        parts = np.split(theta, np.cumsum(sizes)[:-1])
        return tuple(t.term.structure.lam(p, t.size) for t, p in zip(terms, parts, strict=True))

    def value(theta):
        lam = split(theta)
        factorization = factorize(system, lam)
        d, slopes = derivatives(factorization, likelihood), []
        for (factor, term), own in zip(system.terms, lam, strict=True):
            g = d.gradient[factor.entries].reshape((factor.n_columns,) * 2)
            full = 2 * term.to_factor_columns.T @ g @ term.to_factor_columns @ own
            columns, rows = np.triu_indices(term.size)
            slopes.append(full[rows, columns])
        return likelihood.value(factorization), np.concatenate(slopes)

    start = np.concatenate([t.term.structure.theta(np.eye(t.size)) for t in terms])
    start = start * 0.3 + scale * 0.3 * rng.normal(size=len(start))
    options = {"maxiter": 300, "maxfun": 400, "ftol": 1e-13}
    return scipy.optimize.minimize(value, start, jac=True, method="L-BFGS-B", options=options).fun


def step_within(gradient, hessian, radius):
    values, vectors = np.linalg.eigh(hessian)
    step, inside = trust_region_step(values, vectors.T @ gradient, radius)
    return vectors @ step, inside


@given(seed=seeds, n=st.integers(1, 6), radius=st.floats(0.01, 100))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_trust_region_step_is_the_best_within_the_radius(seed, n, radius):
    rng = np.random.default_rng(seed)
    hessian = rng.normal(size=(n, n))
    hessian = hessian + hessian.T
    gradient = rng.normal(size=n) * rng.integers(0, 2, n)
    step, inside = step_within(gradient, hessian, radius)
    assert np.linalg.norm(step) <= radius * (1 + 1e-9)

    def model(x):
        return gradient @ x + 0.5 * x @ hessian @ x

    for _ in range(30):
        other = rng.normal(size=n)
        other *= radius * rng.uniform() ** (1 / n) / np.linalg.norm(other)
        assert model(step) <= model(other) + 1e-7 * (1 + abs(model(other)))
    if inside:
        assert_allclose(hessian @ step, -gradient, atol=1e-6 * (1 + np.abs(gradient).max()))


def test_a_variance_leaves_zero_when_the_data_ask_for_it():
    case = random_case(4, structure="full", reml=True)
    system, likelihood = case.laid_out
    size = system.terms[0][1].size
    lam = np.zeros((size, size))
    factorization = factorize(system, (lam,))
    parameters = Parameters.of(system)
    d = derivatives(factorization, likelihood).along(parameters.entries)
    value, chart = likelihood.value(factorization), parameters.chart((lam,))
    point = second_order(chart, value, d.gradient, d.information, d.information)
    # The slope in Λ is zero there, the curvature is the sign of ∂d/∂Σ.
    assert not point.gradient.any()
    assert np.linalg.eigvalsh(point.hessian)[0] < 0
    step, _, _ = point.step(1.0)
    assert likelihood.value(factorize(system, point.chart.moved(0.1 * step))) < point.value


def test_absolute_values_of_a_matrix_in_blocks_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    matrix, places = np.zeros((100, 100)), rng.permutation(100)
    for own in np.split(places, [1, 30, 70]):
        block = rng.normal(size=(len(own), len(own)))
        matrix[np.ix_(own, own)] = block + block.T
    values, vectors = np.linalg.eigh(matrix)
    expected = (vectors * np.abs(values)) @ vectors.T
    # The rounding of eigenvalues of up to some 20.
    assert_allclose(absolute(matrix), expected, rtol=0, atol=1e-12)


def test_derivatives_along_many_directions_are_those_along_few():
    rng = np.random.default_rng(0)
    d = Derivatives(rng.normal(size=200), rng.normal(size=(200, 200)))
    d = Derivatives(d.gradient, d.information + d.information.T)
    directions = np.where(rng.uniform(size=(100, 200)) < 0.05, rng.normal(size=(100, 200)), 0.0)
    found, parts = d.along(directions), [d.along(part) for part in np.split(directions, 2)]
    # Sums of some ten products of numbers of order 1.
    close = {"rtol": 0, "atol": 1e-12}
    assert_allclose(found.gradient, np.concatenate([own.gradient for own in parts]), **close)
    assert_allclose(found.information[:50, :50], parts[0].information, **close)
    assert_allclose(found.information, directions @ d.information @ directions.T, **close)


def test_max_iter_counts_steps_and_says_that_it_stopped():
    case = random_case(12, structure="full", reml=False)
    result = fit_system(examined(case.stats, case.model), tol=1e-12, max_iter=1)
    assert result.n_iter == 1
    assert result.status is FitStatus.MAX_ITER


def test_trust_region_step_near_the_hard_case_keeps_its_radius():
    step, inside = step_within(np.array([1e-12, 1.0]), np.diag([-1.0, 1.0]), 5.0)
    assert not inside
    assert np.linalg.norm(step) == pytest.approx(5.0, rel=1e-9)


def test_trust_region_step_where_the_values_dwarf_the_radius():
    """The bracket of the shift is then lost to rounding; from a search that went astray."""
    values = np.array([2.77054633e108, 9.31521824e124, 1.05761757e125])
    gradient = np.array([8.51196791, 41.9858568, 4.14329358e64])
    step, inside = step_within(gradient, np.diag(values), 1.1463004305561247e-158)
    assert not inside
    assert np.linalg.norm(step) <= 1.1463004305561247e-158 * (1 + 1e-12)


@pytest.mark.parametrize(("method", "sizes"), [("ml", [3, 3, 3, 3]), ("reml", [1, 8, 1, 5])])
def test_the_better_of_two_optima_is_found(method, sizes):
    # x varies with the groups, so that the moments give a variance of 0, where the
    # criterion has a minimum; a lower one is inside.
    x, y, codes = two_optima(sizes, method)
    model = MixedLinearRegressor("g", method=method)
    model.fit(pd.DataFrame({"x": x, "g": codes}), y)
    oracle = DenseModel(
        np.column_stack([np.ones(len(y)), x]),
        y,
        [(codes, len(sizes), np.ones((len(y), 1)))],
        reml=method == "reml",
    )
    grid = [oracle.at([np.array([[t]])])["criterion"] for t in np.linspace(0, 6, 61)]
    minima = [k for k in range(1, 60) if grid[k] < min(grid[k - 1], grid[k + 1])]
    assert grid[0] < grid[1]
    assert len(minima) == 1
    assert grid[minima[0]] < grid[0] - 0.5
    assert model.criterion_ <= grid[minima[0]]
    assert not model.singular_
    # The estimates are those of the optimum that is kept.
    at = oracle.at([np.array([[model.theta_[0]]])])
    assert_allclose(model.criterion_, at["criterion"], atol=1e-8)
    assert_allclose(model.random_effects_["g"]["(Intercept)"], at["effects"][0][:, 0], atol=1e-6)


def test_the_estimates_at_a_variance_of_zero_outlive_the_second_search():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(6), 5)
    X = pd.DataFrame({"x": rng.normal(size=30), "g": codes, "h": np.tile(np.arange(5), 6)})
    y = 3.0 * rng.normal(size=6)[codes] + rng.normal(size=30)
    y -= pd.Series(y).groupby(X["h"]).transform("mean").to_numpy()  # nothing between levels of h
    with pytest.warns(SingularFitWarning, match="'h'"):
        both = MixedLinearRegressor(["g", "h"]).fit(X, y)
    alone = MixedLinearRegressor("g").fit(X[["x", "g"]], y)
    assert_allclose(both.criterion_, alone.criterion_, rtol=1e-10)
    assert_allclose(both.random_effects_["g"], alone.random_effects_["g"], atol=1e-6)


@pytest.mark.parametrize(("covariance", "seed"), [("full", 541), ("diag", 728)])
def test_a_better_optimum_than_a_singular_one_is_found(covariance, seed):
    # A correlation of ±1, or one variance of 0 beside another: one search ends there.
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(4), 6), rng.normal(size=24)
    b = rng.standard_t(2, size=(4, 2))
    y = b[g, 0] + b[g, 1] * x + rng.normal(size=24)
    model = MixedLinearRegressor("g", random_slopes="x", covariance=covariance, method="ml")
    model.fit(pd.DataFrame({"x": x, "g": g}), y)
    design = np.column_stack([np.ones(24), x])
    oracle = DenseModel(design, y, [(g, 4, design)], reml=False)

    def deviance(theta):
        entries = [theta[0], 0, *theta[1:]] if covariance == "full" else [theta[0], 0, 0, theta[1]]
        return oracle.at([np.reshape(entries, (2, 2))])["criterion"]

    starts = rng.exponential(size=(5, 3 if covariance == "full" else 2))
    ends = [scipy.optimize.minimize(deviance, s, method="Nelder-Mead").fun for s in starts]
    assert model.criterion_ <= min(ends) + 1e-6
    assert not model.singular_


def test_the_second_search_is_reported(capsys):
    # Slopes without variance in four groups: the covariance ends without full rank.
    x = np.tile([1.0, 2.0, 4.0], 4)
    y = x + np.repeat([1.0, -1.0, 3.0, 0.0], 3) + np.tile([0.1, -0.2, 0.1], 4)
    X = pd.DataFrame({"x": x, "g": np.repeat(np.arange(4), 3)})
    with pytest.warns(SingularFitWarning):
        MixedLinearRegressor("g", random_slopes="x", verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    (place,) = (k for k, line in enumerate(lines) if "repeated from another start" in line)
    assert lines[place + 1].startswith("[skmixed] step 1: ")


def two_optima(sizes, method):
    """Rows with two optima of the likelihood; one seed in hundreds gives such."""
    rng = np.random.default_rng({"ml": 1672, "reml": 37}[method])
    codes = np.repeat(np.arange(len(sizes)), sizes)
    effects = rng.standard_t(1.5, size=len(sizes))
    y = effects[codes] + rng.normal(size=len(codes))
    x = rng.normal(size=len(codes)) + 2 * rng.normal(size=len(sizes))[codes]
    return x, y, codes


@pytest.mark.parametrize(("method", "optimum"), [("reml", 1828.33997539), ("ml", 1831.00096804)])
def test_intercepts_far_from_zero_without_a_fixed_one(method, optimum):
    # Reaction ~ 0 + Days + (Days | Subject): the effects are far from mean 0, which the
    # average information makes too much of; each step gains nearly as much as the last.
    # Optima of lme4 1.1-31.
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor(
        "Subject", random_slopes="Days", fit_intercept=False, method=method
    ).fit(X, y)
    assert model.converged_
    assert model.criterion_ <= optimum + 1e-6
    assert model.n_iter_ <= 100


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_groups", [25, 250])
def test_a_search_of_one_factor_ends_at_the_optimum(n_groups, seed):
    """By the dense factor, and by the blocked one of larger systems."""
    rng = np.random.default_rng(seed)
    n = 8 * n_groups
    X = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, n_groups, n)})
    effects = rng.normal(size=(n_groups, 2)) * [1.0, 0.5]
    y = effects[X["g"], 0] + effects[X["g"], 1] * X["x"] + rng.normal(size=n)
    model = MixedLinearRegressor("g", random_slopes="x", fixed=["x"]).fit(X, y)
    # Half the square of the distance in standard errors, which a Newton step squares again:
    # steps by average information alone end at 1e-12.
    assert convergence(model).expected_gain < 1e-15
