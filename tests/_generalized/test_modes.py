"""The mode of the random effects, from wherever it is looked for."""

from dataclasses import replace

import numpy as np
import pytest
from generalized_models import random_generalized
from numpy.testing import assert_allclose

from skmixed._generalized.modes import Expansion, LinearPredictor, _penalized, find_mode
from skmixed._generalized.objective import LaplaceObjective


def predictor(system, lam, random):
    scores = system.scores_of(lam, np.full(system.n_random, random))
    return LinearPredictor.of(system, lam, np.zeros(system.n_fixed), scores)


@pytest.mark.parametrize("random", [-3.0, 0.0, 3.0, 30.0])
def test_the_mode_does_not_depend_on_the_start(random):
    system = random_generalized(5, ("poisson", "log"), (12,), slope=False).layout.system
    lam = (np.eye(1),)
    found = find_mode(system, lam, 0.0, predictor(system, lam, random))
    expected = find_mode(system, lam, 0.0, predictor(system, lam, 0.5))
    assert_allclose(found.value, expected.value, rtol=1e-12)
    assert_allclose(found.effects.random, expected.effects.random, atol=1e-8)


def test_a_mode_that_is_not_reached_is_no_mode():
    """Newton's steps go down an exponential by 1 each."""
    system = random_generalized(5, ("poisson", "log"), (12,), slope=False).layout.system
    lam = (1e3 * np.eye(1),)
    far = predictor(system, lam, 600.0)
    assert np.isfinite(Expansion.of(system, far, 0.0, has_fixed=False).loss)
    with np.errstate(all="ignore"), pytest.raises(np.linalg.LinAlgError):
        find_mode(system, lam, 0.0, far)


def test_a_penalty_of_rounding_is_no_value():
    """b'Σ⁻¹b is not negative, but where b and the scores have no digits left."""
    system = random_generalized(5, ("poisson", "log"), (12,), slope=False).layout.system
    effects = predictor(system, (np.eye(1),), 0.5)
    sums = Expansion.of(system, effects, 0.0, has_fixed=False)
    assert_allclose(_penalized(effects, sums), sums.loss + 0.5 * 12 * 0.5**2)
    assert _penalized(replace(effects, random=-effects.random), sums) == np.inf


def test_a_mode_is_taken_up_again():
    system = random_generalized(5, ("poisson", "log"), (12,), slope=False).layout.system
    objective, point = LaplaceObjective(system), (np.eye(1), np.zeros(system.n_fixed))
    value, mode = objective.evaluate(point), objective.mode
    objective.evaluate((2.0 * np.eye(1), np.zeros(system.n_fixed)))
    assert objective.mode is not mode
    objective.resume(point, mode)
    assert objective.mode is mode
    assert objective.value == value
    assert objective.evaluate(point) == value
