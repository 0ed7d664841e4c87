from dataclasses import replace

import numpy as np
import pytest
from generalized_models import (
    GeneralizedCase,
    random_generalized,
    reference,
    reference_case,
)
from numpy.testing import assert_allclose

from skmixed._generalized.fit import SearchSettings
from skmixed._generalized.objective import LaplaceObjective, QuadratureObjective
from skmixed._generalized.quadrature import AdaptiveQuadrature, NormalRule, log_averages
from skmixed._model.binomial import LINKS
from skmixed._model.chart import Chart
from skmixed._model.family import FAMILIES
from skmixed._model.structures import STRUCTURES
from skmixed.exceptions import FitStatus

# Weights of the central difference of eighth order.
CENTRAL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
STEP = 4e-3


def at(case, n, seed=0):
    """The objective at some Λ, γ and φ."""
    objective, rng = QuadratureObjective(case.layout.system, n), np.random.default_rng(seed)
    system = objective.system
    terms = [np.tril(0.4 * rng.normal(size=(k, k))) + 0.5 * np.eye(k) for k in system.sizes]
    rest = 2.0 * rng.normal(size=system.n_fixed)
    objective.evaluate((*terms, np.append(rest, [0.5] * system.n_shape)))
    return objective


def test_rules_have_the_moments_of_a_normal():
    for size in (1, 2, 3):
        rule = NormalRule.of(6, size)
        weights = np.exp(rule.log_weights - 0.5 * (rule.nodes**2).sum(axis=1))
        assert_allclose(weights.sum(), 1.0, rtol=1e-14)
        assert_allclose(rule.nodes.T @ (weights[:, None] * rule.nodes), np.eye(size), atol=1e-13)
        assert_allclose(weights @ rule.nodes**10, np.full(size, 945.0), rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES, ids=map(str, FAMILIES))
def test_one_node_is_laplace_and_many_are_the_integral(family):
    case = random_generalized(5, family, (8,), slope=False, n=80)
    objective = at(case, 1)
    laplace = LaplaceObjective(case.layout.system)
    assert_allclose(objective.value, laplace.evaluate(objective.lam), rtol=1e-13)
    objective = at(case, 60)
    gamma, phi = objective.system.split(objective.lam[-1])
    lam = case.layout.terms[0].to_user @ objective.lam[0]
    expected = case.oracle.integrated(lam, case.layout.basis @ gamma, phi)
    assert_allclose(objective.value, expected, rtol=1e-11)


@pytest.mark.parametrize("family", FAMILIES, ids=map(str, FAMILIES))
@pytest.mark.parametrize(("slope", "n"), [(False, 3), (True, 4), (True, 1)])
def test_the_gradient_is_that_of_the_sum(family, slope, n):
    case = random_generalized(5, family, (12,), slope=slope)
    objective = at(case, n)
    model = objective.point(objective.value, is_slow=False)
    directions = directions_of(model)
    expected = np.zeros(len(directions))
    for i, one in enumerate(directions):
        for m, weight in CENTRAL.items():
            for sign in (1.0, -1.0):
                value = objective.evaluate(model.chart.moved(sign * m * STEP * one))
                expected[i] += sign * weight * value / STEP
    scale = np.abs(model.gradient).max()
    assert_allclose(directions @ model.gradient, expected, atol=1e-9 * scale)


def directions_of(model):
    """Two directions of all coordinates: a wrong entry is in the slope of each."""
    found = np.random.default_rng(4).normal(size=(2, len(model.gradient)))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def gradients(objective, chart, lam):
    """The gradient in δ of a chart, at another point of it, where Λ is linear in δ."""
    objective.evaluate(lam)
    there = Chart(chart.terms.structures, lam[:-1], chart.terms.basis)
    own = AdaptiveQuadrature(replace(objective.mode, lam=lam[:-1]), objective.rule)
    return own.gradient(there)


@pytest.mark.parametrize(
    ("family", "slope", "n"),
    [*((family, False, 25) for family in FAMILIES), (("binomial", "logit"), True, 12)],
    ids=str,
)
def test_second_derivatives_are_those_of_the_integral(family, slope, n):
    case = random_generalized(5, family, (8,), slope=slope, n=80)
    objective = at(case, n)
    model = objective.point(objective.value, is_slow=False)
    directions = directions_of(model)
    expected = np.zeros_like(directions)
    for i, one in enumerate(directions):
        for m, weight in CENTRAL.items():
            for sign in (1.0, -1.0):
                lam = model.chart.moved(sign * m * STEP * one)
                expected[i] += sign * weight * gradients(objective, model.chart, lam) / STEP
    # What the nodes leave of the integral
    scale = np.abs(model.hessian).max()
    assert_allclose(directions @ model.hessian, expected, atol=1e-5 * scale)
    assert_allclose(model.hessian, model.hessian.T, atol=1e-9 * scale)


def test_second_derivatives_of_a_covariance_that_is_not_linear():
    case = random_generalized(5, ("poisson", "log"), (12,), slope=True)
    term = replace(case.model.terms[0], structure=STRUCTURES["ar1"])
    case = GeneralizedCase(case.given, replace(case.model, terms=(term,)))
    objective = QuadratureObjective(case.layout.system, 15)
    lam = term.structure.lam(np.array([0.7, 0.4]), 2)
    model = objective.point(objective.evaluate((lam, np.array([3.0, 1.0, -1.0]))), is_slow=False)
    for i, one in enumerate(np.eye(len(model.gradient))):
        values = [objective.evaluate(model.chart.moved(k * 0.02 * one)) for k in range(-3, 4)]
        # Central differences of sixth order
        slope = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60 @ values / 0.02
        bend = np.array([2, -27, 270, -490, 270, -27, 2]) / 180 @ values / 0.02**2
        assert_allclose(model.gradient[i], slope, rtol=1e-6)
        assert_allclose(model.hessian[i, i], bend, rtol=1e-4)


GLMER = [
    ("cbpp", "period", 10),
    ("cbpp", "period", 25),
    ("bacteria", "trt", 20),
    ("epil", "intercept", 10),
    ("verbagg", "subject", 15),
]


@pytest.mark.parametrize(("name", "model", "n"), GLMER)
def test_fits_are_those_of_glmer(name, model, n):
    solution = reference_case(name, model).fit(n_nodes=n).solution
    fits = next(m for m in reference(name)["models"] if m["id"] == model)["agq"]
    expected = next(fit for fit in fits if fit["nAGQ"] == n)
    assert solution.family.n_nodes == n
    # glmer's log-likelihood lacks a constant; its estimates come of a derivative-free search
    se = np.sqrt(np.diagonal(solution.fixed_covariance))
    assert (np.abs(solution.fixed - expected["fixef"]["values"]) < 1e-3 * se).all()
    assert_allclose(np.abs(solution.terms[0].lam[0, 0]), expected["theta"][0], rtol=1e-4)
    assert_allclose(se, expected["se_hessian"], rtol=1e-4)


def test_nodes_are_added_until_the_likelihood_is_stable():
    case = reference_case("cbpp", "period")
    found = case.fit(n_nodes=None)
    assert found.status is FitStatus.CONVERGED
    assert found.solution.family.n_nodes > 7
    assert_allclose(-0.5 * found.solution.criterion, -91.983369, atol=1e-6)
    more = case.fit(n_nodes=61).solution
    assert abs(more.criterion - found.solution.criterion) < 2e-6


@pytest.mark.parametrize(("link", "seed"), [("cloglog", 36), ("probit", 37)])
def test_far_optima_of_laplace_s_approximation_are_not_taken(link, seed):
    """Far out Laplace's approximation is higher, and the likelihood lower."""
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(20), 4)
    family = ("binomial", link)
    eta = 0.5 + 2.0 * rng.normal(size=20)[groups]
    y = (rng.random(80) < FAMILIES[family].mean(eta)).astype(float)
    case = GeneralizedCase.of([], [groups], [(0, (0,), "full")], y, family)
    found, best = case.fit(), case.fit(n_nodes=49)
    lam, likelihood = found.solution.terms[0].lam, best.solution.terms[0].lam
    assert 0.7 * likelihood < lam < likelihood
    # The other optimum, and its likelihood by quadrature
    far = LaplaceObjective(case.layout.system)
    start = np.linalg.solve(case.layout.basis, [4.0 * np.sign(found.solution.fixed[0])])
    end = SearchSettings(1e-10, 200).run(far, (3.0 * lam, start))
    assert end.value < found.solution.criterion - 3.0
    integral = QuadratureObjective(case.layout.system, 49)
    near = np.linalg.solve(case.layout.basis, found.solution.fixed)
    assert integral.evaluate(end.lam) > integral.evaluate((lam, near)) + 1.0


def test_a_likelihood_that_no_number_of_nodes_makes_stable_is_told():
    rng = np.random.default_rng(0)
    groups, x = np.repeat(np.arange(60), 12), rng.normal(size=720)
    eta = 30.0 * rng.normal(size=60)[groups] + 15.0 * x
    y = (rng.random(720) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    case = GeneralizedCase.of([x], [groups], [(0, (0,), "full")], y, ("binomial", "logit"))
    found = case.fit(n_nodes=None)
    fewer = case.fit(n_nodes=97)
    change = abs(found.solution.criterion - fewer.solution.criterion) / 2.0
    assert found.solution.family.n_nodes == 193
    assert found.solution.family.unstable > 1e-5
    # At one point, and at the optima of both
    assert_allclose(found.solution.family.unstable, change, rtol=0.5)


def test_a_variance_of_zero_has_no_error_by_quadrature():
    rng = np.random.default_rng(1)
    x, groups = rng.normal(size=400), np.repeat(np.arange(40), 10)
    y = (np.arange(400) % 2).astype(float)
    case = GeneralizedCase.of([x], [groups], [(0, (0,), "full")], y, ("binomial", "logit"))
    found, laplace = case.fit(n_nodes=9), case.fit()
    assert found.solution.terms[0].lam == 0.0
    assert_allclose(found.solution.criterion, laplace.solution.criterion, rtol=1e-12)


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("eta", [-60.0, -20.0, 0.5, 4.0, 25.0])
@pytest.mark.parametrize("sd", [0.3, 2.0, 12.0])
def test_logarithms_of_averages_keep_their_digits(name, eta, sd):
    # Equal steps are exact to rounding where they are a tenth of what the function changes in
    link, z = LINKS[name], np.linspace(-90.0, 90.0, 18001)
    found = log_averages(link, np.array([eta]), np.array([sd**2]))[:, 0]
    for own, y in zip(found, (0.0, 1.0), strict=True):
        logs = -link.logs(eta + sd * z, np.full(len(z), y), 0)[0] - 0.5 * z**2
        expected = np.logaddexp.reduce(logs) + np.log(z[1] - z[0]) - 0.5 * np.log(2.0 * np.pi)
        assert_allclose(own, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n_nodes", [1, 7])
@pytest.mark.parametrize(
    "structure", ["full", "heterogeneous_compound_symmetry", "heterogeneous_ar1"]
)
def test_a_correlation_of_minus_one_is_singular_in_every_structure(structure, n_nodes):
    rng = np.random.default_rng(0)
    groups, x, b = rng.integers(0, 12, 120), rng.normal(size=120), 0.7 * rng.normal(size=12)
    eta = 0.3 + 0.5 * x + b[groups]
    rng.random(120)
    y = rng.poisson(np.exp(eta)).astype(float)
    case = GeneralizedCase.of([x], [groups], [(0, (0, 1), structure)], y, ("poisson", "log"))
    term = case.fit(n_nodes=n_nodes).solution.terms[0]
    covariance = term.lam @ term.lam.T
    at_end = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) < -1.0 + 1e-9
    assert at_end
    assert term.is_singular
