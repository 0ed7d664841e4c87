"""Coordinates of all terms' covariances together."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._model.chart import Chart, block_diagonal, consecutive
from skmixed._model.structures import STRUCTURES

STRUCTURES_OF_TERMS = tuple(STRUCTURES[name] for name in ("full", "diag", "spherical", "full"))
SIZES = (2, 3, 2, 1)


def random_chart(seed):
    rng = np.random.default_rng(seed)
    pairs = zip(STRUCTURES_OF_TERMS, SIZES, strict=True)
    return Chart.of(
        STRUCTURES_OF_TERMS,
        tuple(s.lam(np.abs(rng.normal(size=s.n_theta(size))), size) for s, size in pairs),
    )


def tau_at(chart, step):
    return Chart.of(chart.structures, chart.moved(step)).tau


@pytest.mark.parametrize("seed", range(3))
def test_jacobian_and_curvature_are_derivatives_of_tau(seed):
    chart, rng = random_chart(seed), np.random.default_rng(seed)
    n = chart.places[-1].stop
    step, gradient = rng.normal(size=n), rng.normal(size=len(chart.tau))
    assert_allclose(tau_at(chart, np.zeros(n)), chart.tau, atol=1e-14)
    # τ is quadratic in δ: its differences are exact but for rounding.
    up, down = tau_at(chart, 0.5 * step), tau_at(chart, -0.5 * step)
    assert_allclose(up - down, step @ chart.jacobian, atol=1e-13)
    second = 4.0 * (up + down - 2.0 * chart.tau)
    assert gradient @ second == pytest.approx(step @ chart.curvature(gradient) @ step, abs=1e-11)


def test_a_step_is_found_again_from_its_end():
    chart = random_chart(0)
    step = np.random.default_rng(1).normal(size=chart.places[-1].stop)
    assert_allclose(chart.step_to(chart.moved(step)), step, atol=1e-13)


def test_what_a_step_shrinks_much_vanishes_and_all_else_is_as_it_is():
    chart = random_chart(2)
    after = tuple(0.9 * lam for lam in chart.lam)
    assert chart.vanished(after) is after
    shrunken = (0.1 * chart.lam[0], *after[1:])
    found = chart.vanished(shrunken)
    assert not found[0].any()
    for own, other in zip(found[1:], after[1:], strict=True):
        assert own is other


def test_matrices_along_the_diagonal():
    found = block_diagonal([np.ones((1, 2)), np.full((2, 1), 2.0)])
    assert_array_equal(found, [[1, 1, 0], [0, 0, 2], [0, 0, 2]])
    assert block_diagonal([]).shape == (0, 0)
    assert consecutive([2, 1]) == (slice(0, 2), slice(2, 3))
