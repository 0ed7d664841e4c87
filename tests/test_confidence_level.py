"""Intervals of all estimators take their level by either of its two names."""

import inspect

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import LinearRegression

import skmixed
from skmixed import (
    MixedBinomialRegressor,
    MixedEffectsRegressor,
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
    glmer,
    lmer,
)
from skmixed.model_selection import MixedLinearRegressorCV


def rows():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 8)
    X = pd.DataFrame({"x": rng.normal(size=96), "group": group})
    eta = 0.3 * X["x"] + 0.7 * rng.normal(size=12)[group]
    return X, eta, rng


X, ETA, RNG = rows()
NORMAL = ETA + RNG.normal(size=96)
COUNTS = RNG.poisson(np.exp(ETA)).astype(float)
SHARES = RNG.binomial(10, 1 / (1 + np.exp(-ETA))) / 10.0
CLASSES = np.where(RNG.uniform(size=96) < 1 / (1 + np.exp(-ETA)), "yes", "no")
TRIALS = np.full(96, 10.0)
FRAME = X.assign(y=NORMAL, n=COUNTS)

MODELS = {
    "linear": lambda: MixedLinearRegressor("group").fit(X, NORMAL),
    "chosen": lambda: MixedLinearRegressorCV("group").fit(X, NORMAL),
    "any": lambda: MixedEffectsRegressor(LinearRegression(), "group").fit(X, NORMAL),
    "gamma": lambda: MixedGammaRegressor("group").fit(X, np.exp(NORMAL)),
    "counts": lambda: MixedPoissonRegressor("group").fit(X, COUNTS),
    "shares": lambda: MixedBinomialRegressor("group").fit(X, SHARES, sample_weight=TRIALS),
    "classes": lambda: MixedLogisticClassifier("group").fit(X, CLASSES),
    "formula": lambda: lmer("y ~ x + (1 | group)", FRAME),
    "counts by formula": lambda: glmer("n ~ x + (1 | group)", FRAME, "poisson"),
}


@pytest.mark.parametrize("name", MODELS)
def test_both_names(name):
    model = MODELS[name]()
    asked = {"sample_weight": TRIALS[:5]} if name == "shares" else {}
    usual, own, other, both = (
        model.predict_interval(FRAME[:5] if "formula" in name else X[:5], **asked, **level)
        for level in (
            {},
            {"level": 0.5},
            {"confidence_level": 0.5},
            {"level": 0.5, "confidence_level": 0.5},
        )
    )
    assert_array_equal(own, other)
    assert_array_equal(own, both)
    assert (np.diff(usual) > np.diff(own)).any()
    given = FRAME[:5] if "formula" in name else X[:5]
    with pytest.raises(ValueError, match="two names of one thing"):
        model.predict_interval(given, **asked, level=0.9, confidence_level=0.5)
    with pytest.raises(ValueError, match="confidence_level=95 is not between 0 and 1"):
        model.predict_interval(given, **asked, confidence_level=95)


def test_all_estimators_with_intervals_are_tested():
    named = [getattr(skmixed, name) for name in skmixed.__all__]
    classes = {own for own in named if inspect.isclass(own) and hasattr(own, "predict_interval")}
    assert all(
        {"level", "confidence_level"} <= set(inspect.signature(own.predict_interval).parameters)
        for own in classes
    )
    assert len(classes) >= 7


def test_each_kind_of_response_is_named_in_the_help_of_fit():
    text = inspect.getdoc(MixedBinomialRegressor.fit)
    assert "The share of the trials of each sample that succeed" in text
    assert "The number of trials of each sample" in text
    assert "Positive responses" not in text
    assert "Positive responses" in inspect.getdoc(MixedGammaRegressor.fit)
