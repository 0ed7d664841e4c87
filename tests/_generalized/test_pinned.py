"""Models under a constraint: exact derivatives along it, and steps that keep it."""

import numpy as np
import pytest
from generalized_models import random_generalized
from numpy.testing import assert_allclose

from skmixed._estimation.search import trust_region_search
from skmixed._generalized.objective import (
    GeneralizedChart,
    LaplaceObjective,
    QuadratureObjective,
)
from skmixed._generalized.pinned import HeldCombination, HeldVariance, PinnedObjective
from skmixed._model.structures import STRUCTURES

FAMILIES = [("binomial", "logit"), ("poisson", "log"), ("negative_binomial", "log")]
# Of sixth order
DIFFERENCES = np.array([-1.0, 9.0, -45.0, 0.0, 45.0, -9.0, 1.0]) / 60.0
SECOND = np.array([2.0, -27.0, 270.0, -490.0, 270.0, -27.0, 2.0]) / 180.0


def parameters(case, seed):
    rng, system = np.random.default_rng(seed), case.layout.system
    terms = []
    for structure, size in zip(system.structures, system.sizes, strict=True):
        theta = rng.uniform(0.3, 0.9, structure.n_theta(size))
        terms.append(structure.lam(theta, size))
    rest = 0.2 * rng.normal(size=system.n_fixed + system.n_shape)
    return (*terms, rest)


def objectives(case):
    system = case.layout.system
    yield LaplaceObjective(system)
    if len(system.layout.system.factors) == 1 and system.family.name == "binomial":
        yield QuadratureObjective(system, 15)


def constraints(case, lam, seed):
    rng, system = np.random.default_rng(seed), case.layout.system
    row = rng.normal(size=system.n_fixed + system.n_shape)
    yield HeldCombination(row, 0.3)
    for term, size in enumerate(system.sizes):
        yield HeldVariance(term, rng.normal(size=size), 0.7)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical", "ar1"])
@pytest.mark.parametrize("shape", [(12,), (12, 5)])
@pytest.mark.parametrize("family", FAMILIES)
def test_models_under_a_constraint_have_exact_derivatives(family, shape, structure):
    case = random_generalized(3, family, shape)
    terms = list(case.model.terms)
    terms[0] = type(terms[0])(0, terms[0].columns, STRUCTURES[structure])
    case = type(case)(case.given, type(case.model)(case.model.fixed, tuple(terms), reml=False))
    start = parameters(case, 5)
    for objective in objectives(case):
        for constraint in constraints(case, start, 6):
            pinned = PinnedObjective(objective, constraint)
            lam = constraint.restored(GeneralizedChart.of(objective.system, start).lam)
            value = pinned.evaluate(lam)
            assert np.isfinite(value)
            point = pinned.point(value, is_slow=False)
            step = np.random.default_rng(7).normal(size=len(point.gradient))
            h = 2e-3
            found = []
            for k in range(-3, 4):
                at = point.chart.moved(k * h * step)
                assert constraint.holds(at)
                found.append(pinned.evaluate(at))
            slope = DIFFERENCES @ found / h
            bend = SECOND @ found / h**2
            size = np.abs(point.gradient * step).sum() + 1.0
            # Rounding of the criterion, some 1e-12, over h and h²; the quadrature's nodes are
            # held while it is differentiated twice, and ar1's scale is no straight line
            assert_allclose(point.gradient @ step, slope, atol=1e-7 * size)
            curved = step @ point.hessian @ step
            loose = 1e-3 if isinstance(objective, QuadratureObjective) else 1e-5
            if structure != "ar1":
                assert_allclose(curved, bend, atol=loose * (abs(bend) + size))


def test_the_multiplier_is_the_slope_of_the_least_deviance():
    case = random_generalized(8, ("poisson", "log"), (12,))
    system = case.layout.system
    start, row = parameters(case, 1), np.array([0.3, 1.0])

    def least(sd):
        objective = PinnedObjective(LaplaceObjective(system), HeldVariance(0, row, sd))
        begin = objective.constraint.restored(GeneralizedChart.of(system, start).lam)
        end = trust_region_search(objective, begin, tol=1e-12, max_iter=100)
        objective.evaluate(end.lam)
        assert objective.constraint.holds(end.lam)
        return end.value, 2.0 * sd * objective.multiplier(end.lam)

    h = 1e-2
    values = [least(0.6 + k * h)[0] for k in range(-3, 4)]
    # What the searches leave, 1e-12, over h
    assert_allclose(least(0.6)[1], DIFFERENCES @ values / h, rtol=1e-6)
