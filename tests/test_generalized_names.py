"""Every public function with every generalized model: it works, or says that it is not there."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    diagnostics,
    inference,
    plotting,
)

MODULES = (inference, diagnostics, plotting)
# But for the classes of what functions return
NAMES = [
    (module, name)
    for module in MODULES
    for name in module.__all__
    if name == name.lower() or name.endswith("Display")
]
# What is there for linear models alone.
REFUSED = {
    *("conditional_aic", "group_influence", "residual_correlation", "subject_influence"),
    "ResidualCorrelationDisplay",
}
# What takes models by a formula, and what takes a table of marginal means: the models here are
# by columns.
BY_FORMULA = {"marginal_means", "marginal_slopes", "joint_tests", "EffectsDisplay"}
OF_MEANS = {"comparisons", "effect_sizes"}
# Of single trials, and of a shape that describes the variance, there is no overdispersion.
NO_TEST = {MixedLogisticClassifier, MixedGammaRegressor}
MODELS = (
    MixedBinomialRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
    MixedNegativeBinomialRegressor,
    MixedGammaRegressor,
)


def simulated(cls):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=400), "g": rng.integers(0, 20, 400)})
    effects = 0.8 * rng.normal(size=(2, 20))[:, X["g"]]
    eta = 0.5 + effects[0] + (0.4 + effects[1]) * X["x"]
    mean, share = np.exp(eta), 1 / (1 + np.exp(-eta))
    weights = np.full(400, 5) if cls is MixedBinomialRegressor else None
    y = {
        MixedBinomialRegressor: lambda: rng.binomial(5, share) / 5,
        MixedLogisticClassifier: lambda: rng.random(400) < share,
        MixedPoissonRegressor: lambda: rng.poisson(mean),
        MixedNegativeBinomialRegressor: lambda: rng.poisson(mean * rng.gamma(2.0, 0.5, 400)),
        MixedGammaRegressor: lambda: mean * rng.gamma(3.0, 1 / 3, 400),
    }[cls]()
    return X, np.asarray(y), weights


@pytest.fixture(scope="module", params=MODELS, ids=lambda cls: cls.__name__)
def case(request):
    X, y, weights = simulated(request.param)
    model = request.param("g", random_slopes="x").fit(X, y, sample_weight=weights)
    smaller = request.param("g", fixed=[]).fit(X, y, sample_weight=weights)
    return model, smaller, X, y, weights


def called(name, function, case):
    """Call a function with what it asks for."""
    model, smaller, X, y, weights = case
    given = {"X": X, "y": y, "sample_weight": weights, "L": {"x": 1.0}, "components": "fixed"}
    given |= {"variables": "x", "column": "x"}
    parameters = inspect.signature(function).parameters
    if name in ("compare", "likelihood_ratio_test"):
        return function(smaller, model)
    if name in ("profile", "ProfileDisplay"):  # of two coefficients, and a fit at each value
        model = smaller
    return function(model, **{key: own for key, own in given.items() if key in parameters})


# They draw what `profile` and `check_model` compute, which is there for all models.
DRAWN_ONCE = {"ProfileDisplay", "ModelChecksDisplay"}


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _, name in NAMES])
def test_each_name_works_or_says_that_it_is_not_there(module, name, case):
    if name in DRAWN_ONCE and type(case[0]) is not MixedLogisticClassifier:
        pytest.skip("drawn for one model")
    function = getattr(module, name)
    function = getattr(function, "from_estimator", function)
    if name in REFUSED:
        with pytest.raises(ValueError, match="What was called is for linear mixed models"):
            called(name, function, case)
    elif name in BY_FORMULA:
        with pytest.raises(TypeError, match="Fit it by a formula"):
            called(name, function, case)
    elif name in OF_MEANS:
        with pytest.raises(TypeError, match="marginal_means"):
            called(name, function, case)
    elif name == "variance_inflation":
        with pytest.raises(ValueError, match="collinearity is between two terms or more"):
            called(name, function, case)
    elif name == "overdispersion_test" and type(case[0]) in NO_TEST:
        with pytest.raises(ValueError, match=r"estimates the variance|one trial with two outcomes"):
            called(name, function, case)
    else:
        with plt.rc_context({"backend": "agg"}):
            assert called(name, function, case) is not None
        plt.close("all")
