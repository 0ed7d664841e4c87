"""What is given beside X: the name of y, which the fit keeps."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from skmixed import (
    MixedEffectsRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
)
from skmixed._data.metadata import own_name_of
from skmixed.model_selection import MixedLinearRegressorCV


@pytest.mark.parametrize(
    ("y", "name"),
    [
        (pd.Series([1.0], name="reaction"), "reaction"),
        (pd.DataFrame({"reaction": [1.0]}), "reaction"),
        (pl.Series("reaction", [1.0]), "reaction"),
        (pd.Series([1.0], name=0), None),
        (pd.Series([1.0], name=""), None),
        (pd.DataFrame(index=[0]), None),
        (np.array([1.0]), None),
        ([1.0], None),
    ],
)
def test_the_name_that_a_response_has(y, name):
    assert own_name_of(y) == name


@pytest.mark.parametrize(
    "model",
    [
        MixedLinearRegressor("g"),
        MixedLinearRegressorCV("g", criterion="aic"),
        MixedPoissonRegressor("g"),
        MixedLogisticClassifier("g"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_fit_keeps_the_name_of_its_response(model):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=120), "g": np.arange(120) % 12})
    effects = rng.normal(size=12)[X["g"]]
    y = pd.Series(rng.poisson(np.exp(0.5 * effects + 0.3 * rng.normal(size=120))), name="visits")
    y = (y > 0).astype(int) if isinstance(model, MixedLogisticClassifier) else y
    model.fit(X, y)
    assert model._response_name == "visits"
    assert pickle.loads(pickle.dumps(model))._response_name == "visits"
    # A new fit forgets it.
    assert model.fit(X, y.to_numpy())._response_name is None


def test_parts_and_regressors_keep_it_too():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=120), "g": np.arange(120) % 12})
    y = pd.Series(X["x"] + rng.normal(size=12)[X["g"]] + rng.normal(size=120), name="sales")
    parts = MixedLinearRegressor("g").fit_chunks([(X[:60], y[:60]), (X[60:], y[60:])])
    assert parts._response_name == "sales"
    batches = MixedLinearRegressor("g").partial_fit(X[:60], y[:60])
    assert batches.partial_fit(X[60:], y[60:].to_numpy())._response_name == "sales"
    assert batches.slim()._response_name == "sales"
    found = MixedEffectsRegressor(LinearRegression(), "g").fit(X, y)
    assert found.mixed_model_._response_name == "sales"
