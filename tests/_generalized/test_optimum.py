"""A deviation is linear in the numbers drawn: unit vectors in their place give its root."""

from dataclasses import replace

import numpy as np
import pytest
from generalized_models import random_generalized
from numpy.testing import assert_allclose

from skmixed._generalized.optimum import GeneralizedModel, SearchEnd, generalized_deviation


class UnitNoise:
    """In the place of a generator: one 1 among the numbers drawn, at `position`."""

    def __init__(self, position):
        self.position, self.n_drawn = position, 0

    def standard_normal(self, shape):
        out = np.zeros(shape)
        at = self.position - self.n_drawn
        if 0 <= at < out.size:
            out.flat[at] = 1.0
        self.n_drawn += out.size
        return out


def joint_covariance(case, solution, weights):
    """Of (b, β): the inverse of [Z X]'W[Z X] + diag(Σ⁻¹, 0), in the user's columns."""
    oracle, lams = case.oracle, [term.lam for term in solution.terms]
    rooted = np.concatenate([oracle.root(lams), oracle.x], axis=1)
    c = rooted.T @ (weights[:, None] * rooted)
    n = rooted.shape[1] - oracle.x.shape[1]
    c[np.arange(n), np.arange(n)] += 1.0
    back, start = np.eye(len(c)), 0
    for (_, _, q), lam in zip(oracle.terms, lams, strict=True):
        for _ in range(q):
            stop = start + len(lam)
            back[start:stop, start:stop] = lam
            start = stop
    return back @ np.linalg.solve(c, back.T)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical", "compound_symmetry"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "family", [("binomial", "logit"), ("poisson", "log"), ("negative_binomial", "log")]
)
def test_deviations_have_the_covariance_of_the_mixed_model_equations(family, nested, structure):
    case = random_generalized(4, family, nested=nested, structure=structure)
    solution = case.fit().solution
    own = GeneralizedModel.of(case.stats, case.model, case.given, solution)
    counter = UnitNoise(-1)
    generalized_deviation(own, counter)
    rows = []
    for position in range(counter.n_drawn):
        draw = generalized_deviation(own, UnitNoise(position))
        rows.append(np.concatenate([*(e.T.ravel() for e in draw.effects), draw.fixed]))
    root = np.array(rows).T
    oracle, phi = case.oracle, solution.family.phi
    eta = oracle.offset + oracle.x @ solution.fixed
    for (z, codes, _), term in zip(oracle.terms, solution.terms, strict=True):
        eta = eta + (z * term.effects[:, codes].T).sum(axis=1)
    weights = oracle.minus_log_density(eta, phi, 2)[2]
    expected = joint_covariance(case, solution, weights)
    # Two exact computations, of which one has the columns as they are
    assert_allclose(root @ root.T, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


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
