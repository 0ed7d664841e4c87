"""Small systems as one dense matrix: the blocked factor's criterion and its derivatives."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from simulate import random_case

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._derivatives.criterion import lay_out
from skmixed._derivatives.dense_factor import (
    dense_values,
    factorize_dense,
    project_dense,
    second_order_dense,
)
from skmixed._derivatives.dense_system import DenseSystem, is_small
from skmixed._derivatives.pinned import Profiled
from skmixed._equations.cholesky import factorize
from skmixed._estimation.start import free_lam, variance_within
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign

seeds = st.integers(0, 10**6)


def systems(seed, n_terms, scale=1.0):
    """A random model at a random Λ: blocks, likelihood, the dense system, and Λ."""
    case = random_case(seed, n_terms=n_terms)
    system, likelihood = case.laid_out
    rng = np.random.default_rng(seed)
    lams = tuple(
        t.term.structure.lam(scale * rng.normal(size=t.term.structure.n_theta(t.size)), t.size)
        for _, t in system.terms
    )
    return system, likelihood, DenseSystem.of(system), lams


@given(seed=seeds, n_terms=st.integers(1, 4), power=st.sampled_from([-2, 0, 2]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_criterion_and_derivatives_of_the_blocked_factor(seed, n_terms, power):
    system, likelihood, dense, lams = systems(seed, n_terms, 10.0**power)
    assert is_small(system)
    blocked, factor = factorize(system, lams), factorize_dense(dense, lams)
    value = likelihood.value(blocked)
    assert likelihood.value(factor) == pytest.approx(value, rel=1e-10)
    projections = project_dense(factor, likelihood)
    point = second_order_dense(factor, likelihood, projections, is_exact=True)
    reference = Profiled(likelihood).point(blocked, value, is_slow=True)
    for own, other in zip(point.lam, reference.lam, strict=True):
        assert_allclose(own, other, rtol=1e-12, atol=1e-14)
    # Both are exact to rounding, but that the blocked ones are differences of what is larger
    # by the squares of the strengths: of 600 models 1e-4 is left off at strengths of 100.
    close = 5e-4 if power == 2 else 1e-9
    for own, other in ((point.gradient, reference.gradient), (point.hessian, reference.hessian)):
        assert_allclose(own, other, rtol=0, atol=close * max(np.abs(other).max(), 1e-3))


@given(seed=seeds, n_terms=st.integers(1, 4), reml=st.booleans())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_values_of_a_batch_are_those_of_one_by_one(seed, n_terms, reml):
    """Of Λ that differ in one term, from 0 to a thousandfold, with others that are 0 or not."""
    case = random_case(seed, n_terms=n_terms, reml=reml)
    system, likelihood = case.laid_out
    rng = np.random.default_rng(seed)
    lams = [rng.normal(size=(t.size, t.size)) * rng.integers(0, 2) for _, t in system.terms]
    k = int(rng.integers(n_terms))
    along = [(*lams[:k], c * lams[k], *lams[k + 1 :]) for c in (0.0, 1e-3, 1.0, 30.0)]
    found = dense_values(DenseSystem.of(system), k, along)
    for own, lam in zip(found, along, strict=True):
        one = factorize_dense(DenseSystem.of(system), lam)
        assert own.lam is lam
        # Rounding of pivots up to the squares of strengths of 30.
        assert likelihood.value(own) == pytest.approx(likelihood.value(one), rel=1e-9, abs=1e-9)


@given(seed=seeds)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_zero_variances_have_derivatives_too(seed):
    _, likelihood, dense, lams = systems(seed, 3)
    lams = (np.zeros_like(lams[0]), *lams[1:])
    factor = factorize_dense(dense, lams)
    projections = project_dense(factor, likelihood)
    point = second_order_dense(factor, likelihood, projections, is_exact=True)
    assert point.is_usable
    # Along Λ_0 the criterion is even: no slope, and the curvature of Λ → ΛΛ' alone.
    count = len(point.chart.basis[0])
    assert_allclose(point.gradient[:count], 0.0, atol=1e-12)
    step = np.zeros(len(point.gradient))
    step[:count] = 1e-3 / np.sqrt(count)
    moved = likelihood.value(factorize_dense(dense, point.chart.moved(step)))
    # The next term is of fourth order, 1e-12 times the information.
    expected = likelihood.value(factor) - point.decrease(step)
    assert moved == pytest.approx(expected, abs=1e-4 * abs(point.decrease(step)) + 1e-9)


@pytest.mark.parametrize("n_levels", [20, 90])
@pytest.mark.parametrize("far", [0.0, 1.1])
def test_columns_of_zeros_take_no_degrees_of_freedom(far, n_levels):
    """A slope that is 0 in all rows of some levels, by the dense factor and by the blocked one."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(n_levels), 3)
    x = np.where(codes % 2, far + rng.normal(size=len(codes)), 0.0)
    y = rng.normal(size=len(codes))
    factors = (FactorDesign(codes, n_levels, (0, 1)),)
    stats = accumulate(Design((x,), (y,), None, factors))
    model = Model((0, 1), (Term(0, (0, 1), STRUCTURES["diag"]),), reml=True)
    system, likelihood = lay_out(stats, model)
    z = np.eye(n_levels)[codes]
    columns = np.column_stack([z, z * x[:, None]])
    left = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    rank = np.linalg.matrix_rank(columns)
    assert rank == n_levels + n_levels // 2
    expected = left @ left / (len(y) - rank)
    assert DenseSystem.of(system).variance_within() == pytest.approx(expected, rel=1e-6)
    # β counts beside the levels whose columns it is in the span of, so that it is a little more
    free = factorize(system, free_lam(system))
    assert expected <= variance_within(free, likelihood) < 1.1 * expected


@given(seed=seeds, n_terms=st.integers(1, 3))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_residual_variance_where_levels_are_fixed(seed, n_terms):
    _, _, dense, _ = systems(seed, n_terms)
    lengths = np.sqrt(np.diagonal(dense.products))
    scaled = dense.products / np.outer(lengths, lengths)
    columns, y = scaled[:-1, :-1], scaled[:-1, -1]
    squares = lengths[-1] ** 2 * (1.0 - y @ np.linalg.pinv(columns, rcond=1e-10) @ y)
    rank = np.linalg.matrix_rank(columns, tol=1e-10 * np.linalg.norm(columns, 2))
    dof = dense.system.n_rows - rank
    expected = squares / dof if dof > 0 else 0.0
    # Dependent columns keep a share of 1e-10 of their squares.
    assert dense.variance_within() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_columns_that_a_level_does_not_have_are_not_counted():
    """Of three levels of a factor one group has two: 11 means of cells of 4 groups."""
    rng = np.random.default_rng(3)
    group, cell = np.repeat(np.arange(4), 9), np.tile(np.arange(3), 12)
    cell = np.where((group == 2) & (cell == 1), 0, cell)
    X = pd.DataFrame({f"c{k}": (cell == k).astype(float) for k in range(3)} | {"g": group})
    y = rng.normal(size=36)
    term = RandomEffect("g", ["c0", "c1", "c2"], intercept=False)
    model = MixedLinearRegressor(term, fixed=[]).fit(X, y)
    within = y - pd.Series(y).groupby([group, cell]).transform("mean")
    dense = DenseSystem.of(model._model.system)
    assert dense.variance_within() == pytest.approx((within**2).sum() / (36 - 11), rel=1e-9)
