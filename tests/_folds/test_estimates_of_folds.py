"""Estimates without each of many folds: held, after one step, and of a search, by dense algebra."""

from dataclasses import replace

import numpy as np
import pytest
from dense_folds import FoldCase, fold_case
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._derivatives.trust_region import second_order
from skmixed._estimation.fit import examined, fit_system
from skmixed._folds.estimates_of_folds import after_step, estimate_folds
from skmixed._folds.held_theta import estimate_after_step
from skmixed._folds.theta_of_folds import at_one_tau, first_gradient
from skmixed._folds.whole_groups import whole_groups_of
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign
from skmixed.exceptions import FitStatus

OPTIONS = [
    {},
    {"reml": False},
    {"structure": "diag"},
    {"structure": "spherical"},
    {"slopes": 2, "structure": "diag", "q": 60, "n_folds": 60},
    {"q": 60, "n_folds": 20},
    {"kind": "weights"},
]


def fitted(**options):
    """A case with its estimates from all rows, and the groups there."""
    case = fold_case(7, **{"q": 30, "n_folds": 30, **options})
    found = fit_system(examined(case.stats, case.model), tol=1e-12, max_iter=100)
    assert found.status is FitStatus.CONVERGED
    groups = whole_groups_of(
        case.stats, case.model, case.fold_of_level, case.totals, found, are_rows_predicted=False
    )
    return case, found, groups


def dense_derivatives(case, number, lam):
    """∂d/∂τ and the average information without a fold, of the user's Σ = Σ_i τ_i D_i."""
    dense = case.without(number)
    at, ((z, q),) = dense.at([lam]), dense.terms
    directions = case.model.terms[0].structure.directions(len(lam))
    slopes = [z @ np.kron(np.eye(q), d) @ z.T for d in directions]
    p, y = at["P"], dense.y
    py, sigma2 = p @ y, at["sigma"] ** 2
    squares = np.array([py @ s @ py for s in slopes])
    traces = [np.trace((p if dense.reml else at["V_inv"]) @ s) for s in slopes]
    columns = np.stack([s @ py for s in slopes])
    information = columns @ p @ columns.T - np.outer(squares, squares) / (y @ py)
    return np.array(traces) - squares / sigma2, information / sigma2


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
def test_the_step_is_that_of_dense_derivatives(options):
    """In the user's coordinates, where the search has those of the columns as they are."""
    case, found, groups = fitted(**options)
    system = groups.system
    ((_, term),) = system.terms
    chart = groups.parameters.chart(tuple(t.search_lam for t in found.solution.terms))
    own = after_step(groups, chart)
    directions = term.term.structure.directions(term.size)
    squares = np.einsum("iab,iab->i", directions, directions)
    lam = found.solution.terms[0].lam
    n_sure = 0
    for number in np.flatnonzero(own.are_sure)[::8]:
        gradient, information = dense_derivatives(case, number, lam)
        # D of the search are TDT' of the user, whose derivatives are combinations of others
        unit = system.weight_unit
        moved = term.to_user @ directions @ term.to_user.T / unit
        change = np.einsum("iab,jab->ij", moved, directions) / squares
        assert_allclose(np.tensordot(change, directions, axes=1), moved, atol=1e-12)
        gradient, information = change @ gradient, change @ information @ change.T
        point = second_order(chart, 0.0, gradient, information, information)
        end = chart.moved(point.step(np.inf)[0])
        tau = chart.structures[0].coordinates(end[0] @ end[0].T)
        # Rounding of dense inverses, beside a step of a tenth
        assert_allclose(own.tau[number], tau, rtol=1e-8, atol=1e-10)
        n_sure += 1
    assert n_sure >= 2


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
def test_fits_after_the_step_are_those_of_the_other_rows(options):
    case, found, groups = fitted(**options)
    own = estimate_folds(groups, found, "one_step")
    number = int(np.flatnonzero(own.are_sure)[0])
    rows = np.flatnonzero(case.fold != number)
    factor = case.design.factors[0]
    levels, codes = np.unique(factor.codes[rows], return_inverse=True)
    design = case.design.picked(rows)
    design = replace(
        design, factors=(replace(design.factors[0], codes=codes, n_levels=len(levels)),)
    )
    alone = estimate_after_step(accumulate(design), case.model, found, groups.system)
    fixed = own.deleted.beta @ groups.to_user.T + groups.offset
    # The polynomial of all rows has twelve digits
    assert_allclose(fixed[number], alone.solution.fixed, rtol=1e-9, atol=1e-9)
    scale = own.deleted.residual_squares[number] / groups.dof[number]
    assert_allclose(scale * groups.system.weight_unit, alone.solution.sigma**2, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
def test_a_search_ends_where_the_gradient_of_the_other_rows_is_0(options):
    case, found, groups = fitted(**options)
    own = estimate_folds(groups, found, "refit")
    assert own.are_sure.mean() > 0.4
    ((_, term),) = groups.system.terms
    for number in np.flatnonzero(own.are_sure)[::15]:
        (search,) = groups.lam(own.tau[number])
        lam = term.to_user @ search / np.sqrt(groups.system.weight_unit)
        gradient, information = dense_derivatives(case, number, lam)
        step = np.linalg.lstsq(information, gradient, rcond=1e-12)[0]
        size = np.abs(term.term.structure.coordinates(lam @ lam.T)).max()
        # A step of 1e-10 is none; dense inverses have some more rounding
        assert np.abs(step).max() < 1e-7 * size


def test_gradients_of_all_folds_are_those_of_the_other_rows():
    case, found, groups = fitted(structure="diag")
    ((_, term),) = groups.system.terms
    own = first_gradient(groups, at_one_tau(groups, (found.solution.terms[0].search_lam,)))
    for number in range(0, 30, 7):
        gradient, _ = dense_derivatives(case, number, found.solution.terms[0].lam)
        scale = np.square(np.diagonal(term.to_user)) / groups.system.weight_unit
        assert_allclose(own[number], gradient * scale, rtol=1e-8, atol=1e-8)


def test_held_estimates_are_sure_and_at_one_tau():
    _, found, groups = fitted()
    own = estimate_folds(groups, found, "fixed")
    assert own.are_sure.all()
    assert_array_equal(own.tau, np.broadcast_to(own.tau[0], own.tau.shape))


@pytest.mark.parametrize("theta", ["refit", "one_step"])
def test_singular_estimates_are_left_to_fits(theta):
    _, found, groups = fitted()
    term = replace(found.solution.terms[0], search_lam=np.diag([1.0, 0.0]))
    singular = replace(found, solution=replace(found.solution, terms=(term,)))
    assert not estimate_folds(groups, singular, theta).are_sure.any()


def test_steps_that_are_long_are_left_to_fits():
    """From far off, where the model of the criterion has no minimum within reach."""
    _, found, groups = fitted(structure="spherical")
    chart = groups.parameters.chart((50.0 * found.solution.terms[0].search_lam,))
    assert not after_step(groups, chart).are_sure.any()


def test_a_fold_that_turns_the_order_of_two_optima_is_left_to_a_fit():
    """Effects of equal variances that are not: the criterion has a valley for each of them."""
    rng = np.random.default_rng(36)
    codes = np.repeat(np.arange(30), 5)
    x = 3.0 + rng.normal(size=150)
    y = rng.normal(size=150) + 1.6 * (x - 3.0) * rng.normal(size=30)[codes]
    y += np.where(codes == 3, 10.0, 0.0)
    design = Design((x,), (y,), None, (FactorDesign(codes, 30, (0, 1)),))
    model = Model((0, 1), (Term(0, (0, 1), STRUCTURES["spherical"]),), reml=True)
    case = FoldCase(design, model, np.arange(30), np.eye(2), accumulate(design))
    found = fit_system(examined(case.stats, model), tol=1e-10, max_iter=100)
    folds = case.fold_of_level, case.totals
    groups = whole_groups_of(case.stats, model, *folds, found, are_rows_predicted=False)
    own = estimate_folds(groups, found, "refit")
    assert_array_equal(np.flatnonzero(~own.are_sure), [3])
    # Where its search has ended, and elsewhere
    values = [case.without(3).criterion([own * np.eye(2)]) for own in (found.solution.theta, 0.3)]
    assert values[1] < values[0]
