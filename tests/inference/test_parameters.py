"""What holds for every kind of parameter."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skmixed import MixedLinearRegressor
from skmixed._fitted.fitted_model import fitted
from skmixed._uncertainty.profile import Profiler
from skmixed.datasets import load_sleepstudy
from skmixed.inference import confidence_intervals
from skmixed.inference._bootstrap import bootstrap
from skmixed.inference._parameters import KINDS, parameters

each_kind = pytest.mark.parametrize("component", KINDS)
RISE = float(stats.chi2.ppf(0.95, 1))


@pytest.fixture(scope="module")
def model():
    X, y = load_sleepstudy(return_X_y=True)
    weights = 4.0 + np.arange(len(y)) % 3  # counted in another unit inside
    model = MixedLinearRegressor("Subject", random_slopes="Days", method="ml")
    return model.fit(X, y, sample_weight=weights)


@pytest.fixture(scope="module")
def profiler(model):
    return Profiler.of(fitted(model).stats, fitted(model).model)


def test_all_kinds_occur(model):
    assert {row.component for row in parameters(fitted(model), tuple(KINDS))} == set(KINDS)


@each_kind
def test_the_target_s_best_is_the_estimate_by_maximum_likelihood(model, profiler, component):
    for row in parameters(fitted(model), (component,)):
        best = row.of_target(profiler, np.array([row.target(profiler).best]))
        # The search ends where a step gains 1e-12 of the deviance: 1e-6 of an error.
        assert_allclose(best, row.estimate, rtol=1e-5)


@each_kind
def test_limits_hold_the_estimate_by_every_method(model, component):
    for method in ("wald", "profile", "bootstrap"):
        table = confidence_intervals(
            model, method, components=component, n_samples=60, random_state=0
        )
        assert (table["lower"] < table["estimate"]).all()
        assert (table["estimate"] < table["upper"]).all()


@each_kind
def test_limits_of_the_profile_hold_its_best_and_a_falling_target_is_told(
    model, profiler, component
):
    for row in parameters(fitted(model), (component,)):
        target = row.target(profiler)
        limits = np.array(row.profile_limits(profiler, RISE))
        inside = row.of_target(profiler, np.array([target.best]))
        assert limits[0] < inside < limits[1]
        steps = np.array([target.best - 1e-3, target.best + 1e-3])
        rising = np.diff(row.of_target(profiler, steps))[0] > 0
        assert rising != row.falls


@pytest.mark.slow
@each_kind
def test_draws_scatter_around_the_estimate(model, component):
    draws = bootstrap(model, 200, random_state=0, n_jobs=None)
    for row in parameters(fitted(model), (component,)):
        values = row.values(draws)
        assert values.shape == (200,)
        centered = values - row.estimate
        # Three standard errors of the mean, and the downward bias of ML.
        assert abs(np.nanmean(centered)) < 0.6 * np.nanstd(centered)
