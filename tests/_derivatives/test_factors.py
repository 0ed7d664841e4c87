"""Every way to factor the equations of a model against the same model computed from V in full."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from simulate import random_case

from skmixed._derivatives.dense_factor import factorize_dense
from skmixed._derivatives.dense_system import DenseSystem
from skmixed._derivatives.lanczos import LogDeterminant
from skmixed._equations.cholesky import factorize
from skmixed._equations.conjugate_gradients import CoreOperator, IterativeFactor
from skmixed._equations.system import assemble
from skmixed._estimation.solution import centered_to_user, solve, user_effects


def by_cholesky(case, search):
    return factorize(case.system, search(case.system))


def by_one_dense_matrix(case, search):
    return factorize_dense(DenseSystem.of(case.system), search(case.system))


def by_conjugate_gradients(case, search):
    system, _ = assemble(case.stats, case.model, is_sparse=True)
    operator = CoreOperator.of(system, search(system))
    factor = IterativeFactor.of(operator, tol=1e-13, max_iter=1000, start=None)
    # What Lanczos' process estimates is tested beside it.
    matrix = operator.times(np.eye(operator.size))
    return factor.with_log_determinant(LogDeterminant(np.linalg.slogdet(matrix)[1], 0.0, 1.0))


FACTORS = {
    "Cholesky": by_cholesky,
    "dense": by_one_dense_matrix,
    "iterative": by_conjugate_gradients,
}
# Rounding of an inverse of V, and of solves to 1e-13 of systems of some condition 1e4.
CLOSE = {"Cholesky": 1e-9, "dense": 1e-9, "iterative": 1e-6}


def case_of(seed):
    return random_case(seed, n_terms=1 + seed % 4)


def is_left_a_core(seed):
    """Whether there is more than one factor: else nothing is left to iterate on."""
    return len({term.factor for term in case_of(seed).model.terms}) > 1


CASES = [
    (name, seed, singular)
    for name in FACTORS
    for seed in range(12)
    for singular in (False, True)
    if name != "iterative" or is_left_a_core(seed)
]


@pytest.fixture(params=CASES, ids=str)
def at(request):
    """A name, a case, the factor at a random Λ, and what the oracle says there."""
    name, seed, singular = request.param
    case = case_of(seed)
    lams = case.lams(np.random.default_rng(seed))
    if singular:
        lams[-1][:, -1] = 0.0

    def search(system):
        pairs = zip(system.terms, lams, strict=True)
        return tuple(np.linalg.solve(t.to_user, lam) for (_, t), lam in pairs)

    return name, case, FACTORS[name](case, search), case.oracle.at(lams)


def test_the_likelihood(at):
    name, case, factor, dense = at
    value = case.likelihood.value(factor)
    # The oracle's X is not centered, of which |X'X| and so the criterion knows nothing.
    assert value == pytest.approx(dense["criterion"], rel=1e-8, abs=1e-7)
    sigma2 = case.likelihood.sigma_squared(factor) * factor.system.weight_unit
    assert sigma2 == pytest.approx(dense["sigma"] ** 2, rel=100 * CLOSE[name])


def test_fixed_effects_and_their_covariance(at):
    name, case, factor, dense = at
    to_user, offset = centered_to_user(factor.system, case.model)
    sd = np.sqrt(np.diagonal(dense["vcov"]))
    assert_allclose(
        (to_user @ factor.beta + offset) / sd, dense["beta"] / sd, atol=100 * CLOSE[name]
    )
    root = to_user @ factor.fixed.inverse_root
    found = case.likelihood.sigma_squared(factor) * root @ root.T
    scale = np.outer(sd, sd)
    assert_allclose(found / scale, dense["vcov"] / scale, atol=100 * CLOSE[name])
    inverse = np.linalg.inv(factor.fixed.products)
    assert_allclose(
        inverse,
        factor.fixed.inverse_root @ factor.fixed.inverse_root.T,
        atol=1e-9 * np.abs(inverse).max(),
    )


def test_random_effects(at):
    name, _, factor, dense = at
    found = user_effects(factor.system, factor.lam, factor.effects().spherical)
    scale = max(np.abs(own).max() for own in dense["effects"])
    for own, expected in zip(found, dense["effects"], strict=True):
        assert_allclose(own.T, expected, atol=100 * CLOSE[name] * scale)


def test_effects_of_outer_columns_are_those_of_the_spherical_ones(at):
    _, _, factor, _ = at
    effects, start = factor.effects(), 0
    for layout, own in list(zip(factor.system.factors, effects.spherical, strict=True))[1:]:
        expected = (layout.lam(factor.lam) @ own).T.ravel()
        found = effects.outer[start : start + len(expected)]
        assert_allclose(found, expected, atol=1e-9 * max(np.abs(expected).max(), 1e-300))
        start += len(expected)
    assert_allclose(effects.fixed, factor.beta)


def test_what_a_fit_reports_is_read_off_any_of_them(at):
    name, case, factor, dense = at
    solution = solve(factor, case.likelihood, case.model)
    assert solution.criterion == case.likelihood.value(factor)
    assert solution.sigma == pytest.approx(dense["sigma"], rel=100 * CLOSE[name])
    assert len(solution.terms) == len(case.model.terms)
