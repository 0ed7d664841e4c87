from dataclasses import replace

import numpy as np
import pytest
from generalized_models import random_generalized
from numpy.testing import assert_allclose

from skmixed._equations.changes import RowLayout
from skmixed._equations.products import products_times
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.modes import start_of
from skmixed._generalized.objective import GeneralizedChart, LaplaceObjective
from skmixed._generalized.rows import GeneralizedDesign, SlabLayout
from skmixed._model.family import FAMILIES

SHAPES = [((), False), ((12,), False), ((12, 5), False), ((24, 6, 3), True), ((10, 4, 3), False)]
# Weights of the central difference of eighth order.
CENTRAL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
STEP = 4e-3


def point(case, seed, *, zero=False):
    """Λ, γ and φ in the search's coordinates."""
    system, rng = case.layout.system, np.random.default_rng(seed)
    terms = [np.tril(0.4 * rng.normal(size=(k, k))) + 0.5 * np.eye(k) for k in system.sizes]
    if zero and terms:
        terms[-1] = np.zeros_like(terms[-1])
        terms[0][:, -1] = 0.0
    rest = 2.0 * rng.normal(size=system.n_fixed)
    return (*terms, np.append(rest, 0.5) if system.n_shape else rest)


def case_of(family, shape, *, nested=False):
    return random_generalized(5, family, shape, nested=nested, slope=bool(shape))


@pytest.mark.parametrize("family", FAMILIES, ids=map(str, FAMILIES))
@pytest.mark.parametrize(("shape", "nested"), SHAPES[1:])
def test_the_value_is_the_oracle_s(family, shape, nested):
    case = case_of(family, shape, nested=nested)
    for zero in (False, True):
        lam = point(case, 2, zero=zero)
        system = case.layout.system
        gamma, phi = system.split(lam[-1])
        user = [t.to_user @ own for t, own in zip(case.layout.terms, lam[:-1], strict=True)]
        expected = case.oracle.criterion(user, case.layout.basis @ gamma, phi)
        assert_allclose(LaplaceObjective(system).evaluate(lam), expected, rtol=1e-11)


# Each family with every other shape, and each shape with every other family
ALTERNATE = [
    (family, *shape)
    for i, family in enumerate(FAMILIES)
    for j, shape in enumerate(SHAPES)
    if (i + j) % 2 == 0
]
# Each family once, with random effects, and one without, where a family is one of several
ONCE = [(family, *SHAPES[1 + i % (len(SHAPES) - 1)]) for i, family in enumerate(FAMILIES)]
ONCE.append((next(iter(FAMILIES)), *SHAPES[0]))


@pytest.mark.parametrize(("family", "shape", "nested"), ALTERNATE, ids=str)
def test_derivatives_are_those_of_the_value(family, shape, nested):
    case = case_of(family, shape, nested=nested)
    objective, lam = LaplaceObjective(case.layout.system), point(case, 3)
    objective.evaluate(lam)
    chart = GeneralizedChart.of(objective.system, lam)
    found = LaplaceDerivatives(objective.mode)
    model = objective.point(objective.value, is_slow=True)
    # Along two directions of all coordinates: a wrong entry is in the slope of each
    directions = np.random.default_rng(4).normal(size=(2, len(model.gradient)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    slopes, bends = np.zeros(2), np.zeros_like(directions)
    for k, one in enumerate(directions):
        for m, weight in CENTRAL.items():
            for sign in (1.0, -1.0):
                at = chart.moved(sign * m * STEP * one)
                slopes[k] += sign * weight * objective.evaluate(at) / STEP
                own = LaplaceDerivatives(objective.mode)
                # The gradient in δ there, by the chart's coordinates around the point
                jacobian = jacobian_at(chart, at)
                bends[k] += sign * weight * (jacobian @ own.gradient) / STEP
    scale = np.abs(model.gradient).max()
    assert_allclose(directions @ model.gradient, slopes, atol=1e-8 * scale)
    assert_allclose(directions @ model.hessian, bends, atol=1e-8 * np.abs(model.hessian).max())
    assert_allclose(found.hessian, found.hessian.T)
    assert_allclose(model.hessian, model.hessian.T)


def jacobian_at(chart, lam):
    """∂(τ, γ, φ)/∂δ at another point of the chart, whose Λ is linear in δ."""
    terms, rest = chart.terms, len(chart.rest)
    parts = []
    for structure, own, basis in zip(terms.structures, lam[:-1], terms.basis, strict=True):
        steps = basis @ own.T
        parts.append(structure.coordinates(steps + steps.transpose(0, 2, 1)))
    parts.append(np.eye(rest))
    out = np.zeros((sum(len(p) for p in parts), sum(p.shape[1] for p in parts)))
    i = j = 0
    for p in parts:
        out[i : i + len(p), j : j + p.shape[1]] = p
        i, j = i + len(p), j + p.shape[1]
    return out


@pytest.mark.parametrize("shape", [(12,), (12, 5)])
def test_derivatives_at_a_boundary_are_those_in_the_covariance(shape):
    """At Λ = 0 the gradient in τ is the slope of the value in a variance."""
    case = random_generalized(6, ("binomial", "logit"), shape, slope=False)
    objective, lam = LaplaceObjective(case.layout.system), point(case, 4)
    lam = (*(0.0 * own for own in lam[:-1]), lam[-1])
    at_zero = objective.evaluate(lam)
    gradient = LaplaceDerivatives(objective.mode).gradient
    for k in range(len(shape)):
        values = []
        for tau in (1e-4, 2e-4, 3e-4):  # one-sided, of third order
            terms = [np.sqrt(tau) * np.eye(1) if j == k else own for j, own in enumerate(lam[:-1])]
            values.append(objective.evaluate((*terms, lam[-1])) - at_zero)
        expected = (3.0 * values[0] - 1.5 * values[1] + values[2] / 3.0) / 1e-4
        assert_allclose(gradient[k], expected, rtol=1e-5)


class Slabs:
    """The rows of a case in several parts, which are laid out anew each time."""

    is_held = False

    def __init__(self, case, n_slabs):
        given = case.given
        design, like = given.design, case.examined.at_zero
        cuts = np.linspace(0, design.n_rows, n_slabs + 1).astype(int)
        places = map(slice, cuts[:-1], cuts[1:])
        self.parts = [
            GeneralizedDesign(design.rows(own), given.offset[own], given.family) for own in places
        ]
        self.layout = SlabLayout(like, case.model, case.stats.center, RowLayout.of(like.system))
        self.n_passes = 0

    def slabs(self):
        self.n_passes += 1
        return map(self.layout.slab, self.parts)


@pytest.mark.parametrize(("family", "shape", "nested"), ONCE, ids=str)
def test_slabs_of_rows_add_up(family, shape, nested):
    case = case_of(family, shape, nested=nested)
    system, lam = case.layout.system, point(case, 6)
    in_slabs = replace(system, source=Slabs(case, 7))
    whole, parts = LaplaceObjective(system), LaplaceObjective(in_slabs)
    # Sums of the same numbers in another order, at modes as close as Newton's method ends
    assert_allclose(parts.evaluate(lam), whole.evaluate(lam), rtol=1e-11)
    expected, found = (LaplaceDerivatives(own.mode) for own in (whole, parts))
    before = in_slabs.source.n_passes
    for name in ("gradient", "hessian", "approximate", "metric", "of_scores"):
        own = getattr(expected, name)
        size = np.abs(own).max(initial=0.0)
        assert_allclose(getattr(found, name), own, rtol=1e-9, atol=1e-9 * size)
    assert in_slabs.source.n_passes == before + 2
    starts = [start_of(own, 1.0)[0] for own in (system, in_slabs)]
    for own, other in zip(*starts, strict=True):
        # A start needs no more digits than the step at which its search for the mode ends
        assert_allclose(own, other, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(("shape", "nested"), SHAPES[1:])
def test_products_of_a_layout_times_columns_are_those_by_rows(shape, nested):
    rng = np.random.default_rng(0)
    case = case_of(("poisson", "log"), shape, nested=nested)
    (slab,) = case.layout.system.source.slabs()
    weights, columns = rng.uniform(1, 2, slab.n_rows), rng.normal(size=(slab.rows.n_random, 3))
    found = products_times(slab.rows.weighted(weights), columns)
    by_rows = [slab.rows.transposed(weights * slab.rows.times(own)) for own in columns.T]
    assert_allclose(found, np.stack(by_rows, axis=1), rtol=1e-12, atol=1e-12)


def test_the_mode_is_predicted_from_that_nearby():
    case = case_of(("poisson", "log"), (12, 5))
    objective, lam = LaplaceObjective(case.layout.system), point(case, 5)
    objective.point(objective.evaluate(lam), is_slow=True)
    errors, (slab,) = [], objective.system.source.slabs()
    for size in (1e-2, 1e-3):
        near = (*((1 + size) * own for own in lam[:-1]), lam[-1] + size)
        start = next(objective._starts(near[:-1], near[-1], near))
        objective.evaluate(near)
        errors.append(np.abs(start.eta(slab) - objective.mode.effects.eta(slab)).max())
    assert errors[1] < 0.02 * errors[0]  # of second order in the step
