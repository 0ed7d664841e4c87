"""The stochastic Lanczos log-determinant against the determinant itself."""

import warnings
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor
from skmixed._derivatives.criterion import lay_out
from skmixed._derivatives.lanczos import STEPS, log_determinant
from skmixed._derivatives.probing import Probes
from skmixed._equations.conjugate_gradients import CoreOperator


def operator_of(frame, scale):
    """The operator of crossed factors a and b with the same variance."""
    y = np.random.default_rng(0).normal(size=len(frame))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the fit, that only lays out the model
        given = MixedLinearRegressor(["a", "b"], solver="exact").fit(frame, y)._model
    system, _ = lay_out(given.stats, given.encoder.model(reml=True), is_sparse=True)
    return CoreOperator.of(system, tuple(scale * np.eye(1) for _ in system.terms))


def exact(operator):
    return np.linalg.slogdet(operator.times(np.eye(operator.size)))[1]


# Conditions of 1e6 and 1e10, of which the last takes more steps than are made.
@pytest.mark.parametrize(("n_levels", "n_rows", "scale"), [(100, 4, 1e3), (200, 2, 1e5)])
def test_the_error_tells_of_the_bias_of_the_quadrature(n_levels, n_rows, scale):
    """The levels of the factors are the edges of a path of rows."""
    a = np.repeat(np.arange(n_levels), n_rows)
    b = a + np.tile(np.r_[0, np.ones(n_rows - 1, int)], n_levels)
    operator = operator_of(pd.DataFrame({"a": a, "b": b}), scale)
    signs = (Probes.draw(operator.size, 32, seed).signs for seed in range(8))
    found = [log_determinant(operator, own) for own in signs]
    expected = exact(operator)
    off = np.array([(own.value - expected) / own.error for own in found])
    # The mean of eight numbers with a standard error of 1 each is beyond 1.1 once in 500
    # times; they were all of one sign with a mean of 1.6 to 3.9.
    assert abs(off.mean()) < 1.1


def test_no_more_steps_are_made_than_the_condition_asks_for():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.integers(0, 300, 6000), "b": rng.integers(0, 200, 6000)})
    operator, calls = operator_of(frame, 1.0), []

    class Counting(CoreOperator):
        def times(self, columns):
            calls.append(columns.shape)
            return super().times(columns)

    given = {field.name: getattr(operator, field.name) for field in fields(operator)}
    found = log_determinant(Counting(**given), Probes.draw(operator.size, 16, 0).signs)
    assert len(calls) <= STEPS
    assert abs(found.value - exact(operator)) < 4.0 * found.error


def test_without_variance_the_log_determinant_is_that_of_the_identity():
    """Of 64 signs the norm has no rounding: the bound itself would be an eigenvalue."""
    a = np.repeat(np.arange(64), 3)
    b = (a + np.arange(len(a)) % 5) % 64
    operator = operator_of(pd.DataFrame({"a": a, "b": b}), 0.0)
    found = log_determinant(operator, Probes.draw(operator.size, 8, 0).signs)
    assert_allclose((found.value, found.error), 0.0, atol=1e-9)
