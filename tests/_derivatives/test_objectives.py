"""Second-order models of the criterion, for structures linear in their parameters or not."""

import numpy as np
import pytest
from simulate import random_case

from skmixed._derivatives.criterion import lay_out
from skmixed._derivatives.dense_factor import factorize_dense, project_dense, second_order_dense
from skmixed._derivatives.dense_system import DenseSystem
from skmixed._derivatives.objectives import AverageInformation, BlockedObjective, DenseObjective
from skmixed._derivatives.parameters import Parameters
from skmixed._derivatives.pinned import PinnedSd, PinnedSigma, Profiled
from skmixed._equations.cholesky import factorize, zero_lam
from skmixed._estimation.probed_objective import ProbedObjective
from skmixed._estimation.search import trust_region_search
from skmixed._model.structures import STRUCTURES, Autoregression
from skmixed.exceptions import FitStatus

seeds = pytest.mark.parametrize("seed", range(8))


@pytest.fixture(params=["full", "spherical", "ar1"])
def structure(request, monkeypatch):
    monkeypatch.setitem(STRUCTURES, "ar1", Autoregression())
    return request.param


def opened(structure, seed):
    """A random model at a random Λ: the case, the likelihood and the factor."""
    case = random_case(seed, n_terms=1 + seed % 3, structure=structure)
    theta = np.random.default_rng(seed)
    lams = [
        t.structure.lam(
            theta.uniform(0.2, 1.2, t.structure.n_theta(len(t.columns))), len(t.columns)
        )
        for t in case.model.terms
    ]
    return case, case.laid_out[1], case.factorized(lams)


def differences(value, step):
    """First and second derivative along a step, to fourth order."""
    d = [value(h * step) for h in (-2, -1, 0, 1, 2)]
    first = (8 * (d[3] - d[1]) - (d[4] - d[0])) / 12
    return first, (16 * (d[3] + d[1]) - (d[4] + d[0]) - 30 * d[2]) / 12


@seeds
def test_models_by_observed_information_are_exact(structure, seed):
    _, likelihood, at = opened(structure, seed)
    rng = np.random.default_rng(seed)
    row = rng.normal(size=len(at.lam[0]))
    pinned = PinnedSigma(likelihood, 1.3), PinnedSd(likelihood, 0.7, 0, row)
    for model in (Profiled(likelihood), *pinned):
        point = model.point(at, 0.0, is_slow=False)
        step = 1e-3 * rng.normal(size=len(point.gradient))

        def value(own, model=model, point=point):
            return model.value(factorize(at.system, point.chart.moved(own)))

        first, second = differences(value, step)
        # Differences of order h⁴; what is left is rounding of the criterion, 1e-12.
        scale = np.abs(point.gradient * step).sum()
        assert point.gradient @ step == pytest.approx(first, abs=1e-6 * scale + 1e-10)
        scale = np.abs(step) @ np.abs(point.hessian) @ np.abs(step)
        assert step @ point.hessian @ step == pytest.approx(second, abs=1e-4 * scale + 1e-10)
        assert np.linalg.eigvalsh(point.metric)[0] > -1e-8 * np.abs(point.metric).max()


@seeds
def test_observed_derivatives_of_one_factor_come_with_the_average_information(structure, seed):
    case = random_case(seed, n_terms=1, structure=structure)
    at = case.factorized(case.lams(np.random.default_rng(seed)))
    own = AverageInformation(case.laid_out[1], Parameters.of(at.system))
    found = own.point(at, 0.0, is_slow=True)
    expected = Profiled(case.laid_out[1]).point(at, 0.0, is_slow=True)
    for name in ("gradient", "hessian", "metric"):
        own, other = getattr(found, name), getattr(expected, name)
        # The same sums in another order
        assert own == pytest.approx(other, rel=1e-9, abs=1e-10 * np.abs(other).max()), name


@seeds
def test_the_dense_factor_gives_the_same_models(structure, seed):
    _, likelihood, at = opened(structure, seed)
    dense = factorize_dense(DenseSystem.of(at.system), at.lam)
    projections = project_dense(dense, likelihood)
    value = likelihood.value(at)
    models = {
        True: Profiled(likelihood),
        False: AverageInformation(likelihood, Parameters.of(at.system)),
    }
    for is_exact, model in models.items():
        found = second_order_dense(dense, likelihood, projections, is_exact=is_exact)
        point = model.point(at, value, is_slow=False)
        assert found.value == pytest.approx(value, rel=1e-10)
        for name in ("gradient", "hessian"):
            own, other = getattr(found, name), getattr(point, name)
            # Two exact computations, at a condition of some 1e4.
            assert own == pytest.approx(other, rel=1e-6, abs=1e-7 * np.abs(other).max())


def blocked(case):
    system, likelihood = case.laid_out
    model = AverageInformation(likelihood, Parameters.of(system))
    return BlockedObjective(factorize(system, zero_lam(system)), model)


def dense(case):
    system, likelihood = case.laid_out
    return DenseObjective(DenseSystem.of(system), likelihood)


def probed(case):
    system, likelihood = lay_out(case.stats, case.model, is_sparse=True)
    return ProbedObjective(system, likelihood, seed=0, max_iter=500)


every_objective = pytest.mark.parametrize("make", [blocked, dense, probed])


def crossed(seed):
    """A random model with crossed factors, and a Λ."""
    case = random_case(seed, n_terms=2)
    if len({t.factor for t in case.model.terms}) < 2:
        return crossed(seed + 100)
    return case, case.factorized(case.lams(np.random.default_rng(seed))).lam


@every_objective
@pytest.mark.parametrize("seed", range(3))
def test_an_objective_s_values_follow_its_models(make, seed):
    case, lam = crossed(seed)
    objective = make(case)
    value = objective.evaluate(lam)
    point = objective.point(value, is_slow=False)
    assert point.value == value
    step = np.random.default_rng(seed).normal(size=len(point.gradient))
    step *= 1e-3 / np.sqrt(step @ point.metric @ step)
    found = [objective.evaluate(point.chart.moved(h * step)) for h in (-1, 1)]
    # A central difference: off by the third power of the step; solves leave 1e-3 of a trace.
    slope = point.gradient @ step
    assert slope == pytest.approx((found[1] - found[0]) / 2, rel=2e-3, abs=2e-6)
    assert objective.noise(value) >= 0.0
    assert objective.resolution(value) >= 0.0


@every_objective
def test_an_objective_keeps_the_factor_at_its_latest_lam(make):
    case, lam = crossed(1)
    objective = make(case)
    value = objective.evaluate(lam)
    before = objective.n_factorizations
    assert before == 1
    assert objective.evaluate(lam) == value
    assert objective.n_factorizations == before
    assert not objective.is_exact_fit
    point = objective.point(value, is_slow=False)
    assert objective.evaluate(point.lam) == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert objective.describe(value)


@every_objective
def test_the_one_search_minimizes_each_objective(make):
    case, lam = crossed(2)
    objective = make(case)
    found = trust_region_search(objective, lam, tol=1e-10, max_iter=200)
    assert found.status is FitStatus.CONVERGED
    end = objective.point(objective.evaluate(found.lam), is_slow=False)
    step, _, is_interior = end.step(np.inf)
    assert is_interior
    # What is left to gain is nothing, or lost in the error of the model.
    assert end.decrease(step) <= max(1e-9, objective.noise(found.value), 1e-6)
