"""Fits of smaller models to what a fit has kept, against fits to the rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import (
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
)
from skmixed._fitted import checks
from skmixed.inference._comparison.comparable import open_models

N = 200


def rows():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(5.0, 2.0, (N, 3)), columns=["x", "z", "v"])
    frame["g"], frame["h"] = np.arange(N) % 20, rng.integers(0, 7, N)
    frame["t"] = np.arange(N) // 20
    eta = 0.2 * frame["x"] + rng.normal(size=20)[frame["g"]] + 0.3 * rng.normal(size=7)[frame["h"]]
    y = eta + rng.normal(size=N)
    return frame, y, rng.poisson(np.exp(0.4 * eta))


FRAME, Y, COUNT = rows()
EFFECTS = [RandomEffect("g", ["x", "z"]), RandomEffect("h", ["v"])]
LESS = [RandomEffect("g", ["z"])]
MODELS = {
    "reml": (MixedLinearRegressor, {"method": "reml"}, Y),
    "ml": (MixedLinearRegressor, {"method": "ml"}, Y),
    "ar1": (
        MixedLinearRegressor,
        {"residual": ResidualCovariance("ar1", subject="g", time="t")},
        Y,
    ),
    "poisson": (MixedPoissonRegressor, {}, COUNT),
    "gamma": (MixedGammaRegressor, {}, np.exp(0.3 * Y)),
}


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_fewer_terms_slopes_and_columns(kind):
    """As many sums, or rows, as of the fit; a factor and slopes that no term has are not used."""
    make, parameters, y = MODELS[kind]
    fixed, subject = ["x", "v"], [] if kind != "ar1" else ["t"]
    table = FRAME[["x", "z", "v", "g", "h", *subject]]
    whole = make(EFFECTS, fixed=fixed, **parameters).fit(table, y)
    expected = make(LESS, fixed=["v"], **parameters).fit(table.drop(columns="h"), y)
    (own,) = open_models({"the model": whole})
    encoder = own.fitted.encoder
    at = {name: k for k, name in enumerate(encoder.names, start=1)}
    (of_g, _) = encoder.terms
    less = replace(encoder, terms=(replace(of_g, columns=(0, at["z"])),), fixed=(0, at["v"]))
    found = own.refitted(less, reml=own.solution.reml, name="smaller")
    assert found.name == "smaller"
    assert found.kept_names == {"(Intercept)", "v"}
    assert found.solution.n_parameters == whole_parameters(expected)
    # Ends of two searches: the criterion to its rounding, estimates to its root
    assert_allclose(found.solution.criterion, expected.criterion_, rtol=1e-10)
    assert_allclose(found.solution.fixed, expected.fixed_effects_, rtol=1e-5, atol=1e-6)
    assert own.fitted.encoder is encoder


def whole_parameters(model):
    return round((model.aic_ - model.criterion_) / 2)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_the_same_model_by_another_method():
    whole = MixedLinearRegressor(EFFECTS, fixed=["x"]).fit(FRAME, Y)
    (own,) = open_models({"the model": whole})
    found = own.refitted(reml=False)
    expected = MixedLinearRegressor(EFFECTS, fixed=["x"], method="ml").fit(FRAME, Y)
    assert (own.method, found.method, found.name) == ("reml", "ml", "the model")
    assert_allclose(found.solution.criterion, expected.criterion_, rtol=1e-11)


def test_equations_without_room_are_refused(monkeypatch):
    whole = MixedLinearRegressor(["g", "h"], fixed=["x"]).fit(FRAME, Y)
    (own,) = open_models({"the model": whole})
    monkeypatch.setattr(checks, "_physical_memory", lambda: 1e3)
    with pytest.raises(MemoryError, match="leave a dense matrix of order"):
        own.refitted(reml=False)
