"""What holds for every kind of parameter."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skmixed import MixedLinearRegressor, MixedNegativeBinomialRegressor
from skmixed._fitted.fitted_model import fitted
from skmixed._generalized.profile import GeneralizedProfiler
from skmixed._uncertainty.profile import Profiler
from skmixed.datasets import load_sleepstudy
from skmixed.inference import confidence_intervals
from skmixed.inference._bootstrap import bootstrap
from skmixed.inference._parameters import COMPONENTS, FAMILY_KINDS, KINDS, parameters

RISE = float(stats.chi2.ppf(0.95, 1))


def linear():
    X, y = load_sleepstudy(return_X_y=True)
    weights = 4.0 + np.arange(len(y)) % 3  # counted in another unit inside
    model = MixedLinearRegressor("Subject", random_slopes="Days", method="ml")
    return model.fit(X, y, sample_weight=weights)


def generalized():
    rng = np.random.default_rng(4)
    X = pd.DataFrame({"x": rng.normal(size=600), "g": rng.integers(0, 40, 600)})
    effects = rng.normal(size=(2, 40))[:, X["g"]]
    eta = 0.5 + 0.7 * effects[0] + (0.3 + 0.4 * effects[1]) * X["x"]
    y = rng.poisson(np.exp(eta) * rng.gamma(3, 1 / 3, 600))
    return MixedNegativeBinomialRegressor("g", random_slopes="x").fit(X, y)


MODELS = {"linear": (linear, KINDS), "generalized": (generalized, FAMILY_KINDS)}
CASES = [(name, component) for name, (_, kinds) in MODELS.items() for component in kinds]
each_kind = pytest.mark.parametrize(("name", "component"), CASES)


@cache
def model_of(name):
    return MODELS[name][0]()


@cache
def profiler_of(name):
    view = opened(model_of(name))
    if view.is_generalized:
        return GeneralizedProfiler.of(view.generalized)
    return Profiler.of(view.stats, view.model)


@cache
def intervals_of(name, method):
    return confidence_intervals(model_of(name), method, n_samples=20, random_state=0)


# Refits to rows take as long as fits.
N_DRAWS = {"linear": 100, "generalized": 40}


@cache
def draws_of(name):
    return bootstrap(model_of(name), N_DRAWS[name], random_state=0, n_jobs=None)


def opened(model):
    return fitted(model, has_family=True)


@pytest.mark.parametrize("name", MODELS)
def test_all_kinds_occur(name):
    found = {row.component for row in parameters(opened(model_of(name)), COMPONENTS)}
    assert found == set(MODELS[name][1])


@each_kind
def test_the_target_s_best_is_the_estimate_by_maximum_likelihood(name, component):
    model, profiler = model_of(name), profiler_of(name)
    for row in parameters(opened(model), (component,)):
        best = row.of_target(profiler, np.array([row.target(profiler).best]))
        # The search ends where a step gains 1e-12 of the deviance: 1e-6 of an error.
        assert_allclose(best, row.estimate, rtol=1e-5)


@each_kind
def test_limits_hold_the_estimate_by_every_method(name, component):
    for method in ("wald", "profile", "bootstrap"):
        table = intervals_of(name, method).query("component == @component")
        assert (table["lower"] < table["estimate"]).all()
        assert (table["estimate"] < table["upper"]).all()


@each_kind
def test_limits_of_the_profile_hold_its_best_and_a_falling_target_is_told(name, component):
    model, profiler = model_of(name), profiler_of(name)
    for row in parameters(opened(model), (component,)):
        target = row.target(profiler)
        limits = np.array(row.profile_limits(profiler, RISE))
        inside = row.of_target(profiler, np.array([target.best]))
        assert limits[0] < inside < limits[1]
        steps = np.array([target.best - 1e-3, target.best + 1e-3])
        rising = np.diff(row.of_target(profiler, steps))[0] > 0
        assert rising != row.falls


@pytest.mark.slow
@each_kind
def test_draws_scatter_around_the_estimate(name, component):
    model = model_of(name)
    draws = draws_of(name)
    for row in parameters(opened(model), (component,)):
        values = row.values(draws)
        assert values.shape == (N_DRAWS[name],)
        centered = values - row.estimate
        # Three standard errors of the mean, and the downward bias of ML.
        assert abs(np.nanmean(centered)) < 0.6 * np.nanstd(centered)
