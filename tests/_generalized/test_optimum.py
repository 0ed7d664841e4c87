"""What is known of a fit at its optimum, against differences of the likelihood."""

from dataclasses import replace

import numpy as np
import pytest
from generalized_models import random_generalized
from numpy.testing import assert_allclose

from skmixed._estimation.solution import user_effects
from skmixed._generalized.objective import GeneralizedChart, LaplaceObjective
from skmixed._generalized.optimum import EstimateSlopes, GeneralizedModel, SearchEnd


@pytest.mark.parametrize("n_nodes", [1, 7])
def test_the_slope_off_the_boundary_is_that_of_the_likelihood(n_nodes):
    case = random_generalized(2, ("poisson", "log"), shape=(12,))
    solution = case.fit(n_nodes=n_nodes).solution
    own = GeneralizedModel.of(case.stats, case.model, case.given, solution)
    # The same parameters with a variance of 0 along some direction
    direction = np.array([0.6, 0.8])
    lam = np.stack([direction, np.zeros(2)], axis=1)
    at = replace(own, lam=(lam, own.lam[-1]))
    null = np.array([0.8, -0.6])
    slope = null @ at.slopes()[0] @ null

    def value(variance):
        moved = np.stack([direction, np.sqrt(variance) * null], axis=1)
        objective = own.objective_of(own.layout.system)
        return objective.evaluate((moved, own.lam[-1]))

    h = 1e-4
    by_difference = (4.0 * value(h) - value(2.0 * h) - 3.0 * value(0.0)) / (2.0 * h)
    # One-sided differences of second order: h² times third derivatives, and rounding over h
    assert_allclose(slope, by_difference, rtol=1e-4)


def test_an_end_that_is_not_the_best_one_is_told():
    case = random_generalized(2, ("poisson", "log"), shape=(12,))
    solution = case.fit().solution
    own = GeneralizedModel.of(case.stats, case.model, case.given, solution)
    assert SearchEnd.of(own).elsewhere < 1e-8
    away = replace(own, lam=(1.2 * own.lam[0], own.lam[-1]))
    found = SearchEnd.of(away)
    assert_allclose(found.elsewhere, away.point.value - solution.criterion, rtol=1e-6)
    assert np.abs(found.gradient).max() > 0.1


def test_starts_without_digits_are_no_error_beside_a_fit():
    case = random_generalized(2, ("poisson", "log"), shape=(12,))
    solution = case.fit().solution
    design = case.given.design
    lost = replace(case.given, design=design.with_responses(1e290 * design.responses[0]))
    own = GeneralizedModel.of(case.stats, case.model, lost, solution)
    assert own.lowest_elsewhere() == np.inf


def effects_at(own, lam):
    """β and the modes in the user's columns at some parameters, one array."""
    objective = LaplaceObjective(own.layout.system)
    objective.evaluate(lam)
    mode = objective.mode
    fixed = own.layout.basis @ own.layout.system.split(lam[-1])[0]
    parts = user_effects(own.layout.system.layout.system, mode.lam, mode.factor.effects().spherical)
    # Σ of each term beside them
    roots = [t.to_user @ own for t, own in zip(own.layout.terms, lam, strict=False)]
    covariances = [root @ root.T for root in roots]
    return np.concatenate([fixed, *(part.ravel() for part in (*parts, *covariances))])


@pytest.mark.parametrize(("shape", "n_nodes"), [((12,), 1), ((12,), 7), ((12, 5), 1)])
def test_estimates_move_with_the_parameters(shape, n_nodes):
    case = random_generalized(2, ("negative_binomial", "log"), shape=shape)
    solution = case.fit(n_nodes=n_nodes).solution
    own = GeneralizedModel.of(case.stats, case.model, case.given, solution)
    slopes = EstimateSlopes.of(own)
    chart = GeneralizedChart.of(own.layout.system, own.lam)
    values, vectors = np.linalg.eigh(own.covariance)
    assert_allclose(
        slopes.fixed @ slopes.fixed.T,
        own.layout.basis @ own.fixed_covariance @ own.layout.basis.T,
        rtol=1e-10,
    )
    for a, (value, vector) in enumerate(zip(values, vectors.T, strict=True)):
        step = np.sqrt(value) * vector
        moves = [own[..., a].ravel() for own in slopes.effects]
        moves += [own[a].ravel() for own in slopes.covariances]
        found = np.concatenate([slopes.fixed[:, a], *moves])
        h = 1e-3
        ahead, back = (effects_at(own, chart.moved(sign * h * step)) for sign in (1.0, -1.0))
        # Central differences: h² of third derivatives, and rounding over h
        assert_allclose((ahead - back) / (2.0 * h), found, atol=1e-5 * np.abs(found).max())
