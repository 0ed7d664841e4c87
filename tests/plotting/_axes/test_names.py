"""What axes are called: by the formula, by y, by the fit."""

import pickle
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
    glmer,
    lmer,
    plotting,
)
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import SingularFitWarning


@pytest.fixture(autouse=True)
def _figures():
    matplotlib.use("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def sleepstudy():
    return load_sleepstudy(return_X_y=True)


@pytest.fixture(scope="module")
def model(sleepstudy):
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(*sleepstudy)


def axis_names(display):
    axes = list(getattr(display, "axes_", [])) or [display.ax_]
    return [[s.replace("\n", " ") for s in (ax.get_xlabel(), ax.get_ylabel())] for ax in axes]


def test_units_are_those_of_the_response(sleepstudy):
    data = sleepstudy[0].assign(y=sleepstudy[1].to_numpy(), n=np.arange(len(sleepstudy[0])) % 7)
    model = lmer("log(y) ~ Days + (Days | Subject)", data)
    units = ["log(y)", "log(y) per unit of Days"]
    shown = plotting.RandomEffectsDisplay.from_estimator(model)
    assert [x for x, _ in axis_names(shown)] == [f"{own} (95 % interval)" for own in units]
    for kind in plotting.RandomEffectsPairsDisplay, plotting.ShrinkageDisplay:
        assert axis_names(kind.from_estimator(model)) == [[f"(Intercept) of {units[0]}", units[1]]]
    # Effects of a generalized model are on the scale of the link.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        counts = glmer("n ~ Days + (1 | Subject)", data, "poisson")
    shown = plotting.RandomEffectsDisplay.from_estimator(counts)
    assert axis_names(shown)[0][0] == "log of n (95 % interval)"
    shown = plotting.VarianceDecompositionDisplay.from_estimator(counts)
    assert axis_names(shown)[0][0] == "share of the variance of log of n (%)"


def test_the_response_is_called_as_in_the_fit(model, sleepstudy):
    X, y = sleepstudy
    assert y.name == "Reaction"
    chunks = MixedLinearRegressor("Subject", random_slopes="Days").fit_chunks([(X, y)])
    first = MixedLinearRegressor("Subject", random_slopes="Days").partial_fit(X[:90], y[:90])
    first.partial_fit(X[90:], y[90:].to_numpy())
    loaded = pickle.loads(pickle.dumps(model))
    plain = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    plain.fit(X, y.to_numpy())
    for own, name in [
        (model, y.name),
        (chunks, y.name),
        (first, y.name),
        (loaded, y.name),
        (plain, "y"),
    ]:
        shown = plotting.ShrinkageDisplay.from_estimator(own)
        assert axis_names(shown) == [[f"(Intercept) of {name}", f"{name} per unit of Days"]]
    # What is given beside the model says it, too.
    shown = plotting.ResidualsDisplay.from_estimator(plain, X, y, kind="conditional")
    names = ["fitted value of Reaction", "conditional residual of Reaction"]
    assert axis_names(shown)[0] == names
    shown = plotting.ResidualsDisplay.from_estimator(model, X, y.to_numpy(), kind="conditional")
    assert axis_names(shown)[0] == names
    lines = plotting.FittedLinesDisplay.from_estimator(model, X, y.to_numpy(), max_levels=2)
    assert lines.y_name == "Reaction"


def test_probabilities_and_rates_are_called_so():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=120), "g": np.arange(120) % 10})
    use = pd.Series(np.where(X["x"] + rng.logistic(size=120) > 0, "yes", "no"), name="use")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        classes = MixedLogisticClassifier("g").fit(X, use)
        counts = MixedPoissonRegressor("g").fit(
            X, (use == "yes").astype(int), exposure=np.ones(120)
        )
    lines = plotting.FittedLinesDisplay.from_estimator
    assert lines(classes, X, use, max_levels=2).y_name == "P(use = yes)"
    shown = lines(counts, X, (use == "yes").astype(int), exposure=np.ones(120), max_levels=2)
    assert shown.y_name == "use per unit of exposure"
    shown = plotting.ResidualsDisplay.from_estimator(classes, X, use, panels="fitted")
    assert axis_names(shown)[0][0] == "fitted value of P(use = yes)"


def test_standardized_slopes_are_said(sleepstudy):
    X, y = sleepstudy
    for step, unit in [(StandardScaler(), "standard deviation"), ("passthrough", "unit")]:
        columns = make_column_transformer((step, ["Days"]), remainder="passthrough")
        columns.set_output(transform="pandas")
        name = columns.fit(X).get_feature_names_out()[0]
        model = MixedLinearRegressor("remainder__Subject", random_slopes=[name])
        shown = plotting.ShrinkageDisplay.from_estimator(make_pipeline(columns, model).fit(X, y))
        assert axis_names(shown)[0][1] == f"Reaction per {unit} of Days"
