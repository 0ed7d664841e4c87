"""Variances by a power, and by strata with one correlation, against nlme and V in full."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from repeated_models import dense_of, fitted_model, simulated

from skmixed import ResidualCovariance
from skmixed._repeated.small_sample import repeated_satterthwaite
from skmixed.formula import FormulaRegressor
from skmixed.inference import coefficient_table, confidence_intervals, likelihood_ratio_test

ROOT = Path(__file__).parents[1] / "reference" / "residual"
DIALYZER = "rate ~ (pressure + I(pressure**2)) * QB"
GROWTH = "distance ~ age * Sex"
FILTER = {"subject": "Subject", "time": "k"}
MODELS = {
    "dialyzer_ar1_power": (DIALYZER, ResidualCovariance("ar1", **FILTER, power="pressure")),
    "orthodont_ar1_sexvar": (
        GROWTH,
        ResidualCovariance("ar1", **FILTER, by="Sex", shared_correlation=True),
    ),
    "orthodont_cs_sexvar": (
        GROWTH,
        ResidualCovariance("compound_symmetry", **FILTER, by="Sex", shared_correlation=True),
    ),
}


@cache
def fits():
    found = json.loads((ROOT / "variances.json").read_text())
    return {(own["id"], fit["method"].lower()): fit for own in found for fit in own["fits"]}


@cache
def frame_of(name):
    frame = pd.read_csv(ROOT / "data" / f"{name.split('_')[0]}.csv")
    if "QB" in frame:
        return frame.assign(QB=frame["QB"].astype(str))
    return frame.assign(Sex=pd.Categorical(frame["Sex"], ["Male", "Female"]))


def model_of(name, method):
    formula, residual = MODELS[name]
    return FormulaRegressor(formula, method=method, residual=residual).fit(frame_of(name))


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", MODELS)
def test_nlme(name, method):
    fit, model = fits()[name, method], model_of(name, method)
    # nlme stops where its own criterion is within 1e-6 of its optimum.
    assert model.log_likelihood_ == pytest.approx(fit["logLik_nlme"], abs=1e-6)
    table = coefficient_table(model, "normal")
    distance = (table["estimate"] - fit["beta"]["values"]) / table["std_error"]
    assert np.abs(distance).max() < 2e-5
    components = model.variance_components_
    assert components["corr"].iloc[0] == pytest.approx(fit["correlation"][0], abs=1e-5)
    if "power" in fit["variance"]:
        assert components["power"][0] == pytest.approx(fit["variance"]["power"], abs=1e-5)
        assert components["sd"][0] == pytest.approx(fit["sigma"], rel=1e-5)
    else:
        ratio = components["sd"][0] / components["sd"][1]
        assert ratio == pytest.approx(fit["variance"]["Male"], abs=1e-5)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("structure", ["toeplitz", "unstructured", "exponential"])
def test_strata_share_one_correlation(structure, method):
    frame = simulated(2, n_subjects=40)
    model = fitted_model(
        frame, structure, groups="rater", by="arm", shared_correlation=True, method=method
    )
    own = model._model.repeated
    residual, phi = own.design.residual, own.factor.phi.reshape(2, -1)
    np.testing.assert_array_equal(phi[0, residual.n_variances :], phi[1, residual.n_variances :])
    dense = dense_of(model)
    assert model.criterion_ == pytest.approx(dense.criterion + own.factor.system.constant, abs=1e-8)
    # In the coordinates: the variance of the raters, and φ with equal parameters once
    jacobian = np.zeros((1 + residual.n_free, 1 + residual.n_phi))
    jacobian[0, 0], jacobian[1:, 1:] = 1.0, residual.coordinates(own.factor.phi).jacobian
    slopes, curvature = jacobian @ dense.gradient, jacobian @ dense.observed @ jacobian.T
    # What a Newton step would gain of −2 log L: the search's tolerance is 1e-8
    assert slopes @ np.linalg.solve(curvature, slopes) < 1e-6
    covariances = [model.residual_covariance_.loc[arm].to_numpy() for arm in (0, 1)]
    corr = [c / np.sqrt(np.outer(np.diagonal(c), np.diagonal(c))) for c in covariances]
    np.testing.assert_allclose(corr[0], corr[1], atol=1e-12)
    # Satterthwaite's degrees of freedom by definition, in these coordinates
    errors = jacobian.T @ (2 * np.linalg.inv(curvature)) @ jacobian
    inner = [dense.covariance @ dense._inner(d) @ dense.covariance for d in dense.first]
    gradient = np.array([np.diagonal(own) for own in inner])
    variance = np.diagonal(dense.covariance)
    wanted = 2 * variance**2 / np.einsum("dk,de,ek->k", gradient, errors, gradient)
    found = repeated_satterthwaite(own).df(np.eye(len(variance)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_shared_correlation_lies_between_one_covariance_and_two():
    frame = simulated(2, n_subjects=40)
    one = fitted_model(frame, "ar1")
    tied = fitted_model(frame, "ar1", by="arm", shared_correlation=True)
    two = fitted_model(frame, "ar1", by="arm")
    assert one.criterion_ >= tied.criterion_ >= two.criterion_
    assert likelihood_ratio_test(one, tied)["df"].iloc[1] == 1
    assert likelihood_ratio_test(tied, two)["df"].iloc[1] == 1
    table = confidence_intervals(tied, components=["sigma", "corr"])
    assert sorted(table["component"]) == ["corr", "sigma", "sigma"]
    assert "ar1 within subject (40) in time variances by arm (2), 3 parameters" in str(
        tied.summary()
    ).replace("\n", " ")


def test_one_row_of_a_subject_in_a_stratum_has_the_correlation_of_the_others():
    frame = simulated(2, n_subjects=40, missing=0.0)
    frame = frame[(frame["arm"] == 0) | (frame["time"] == frame["subject"] % 4)]
    with pytest.raises(ValueError, match="has one row in stratum 1 of 'arm'"):
        fitted_model(frame, "ar1", by="arm")
    model = fitted_model(frame, "ar1", by="arm", shared_correlation=True)
    assert len(model.residual_covariance_) == 8
