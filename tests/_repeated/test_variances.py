"""Variances by a power, and by strata with one correlation, against nlme and V in full."""

import json
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from repeated_models import dense_of, fitted_model, simulated
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, ResidualCovariance
from skmixed._repeated.small_sample import repeated_satterthwaite
from skmixed.diagnostics import residuals
from skmixed.formula import FormulaRegressor
from skmixed.inference import coefficient_table, confidence_intervals, likelihood_ratio_test

ROOT = Path(__file__).parents[1] / "reference" / "residual"
DIALYZER = "rate ~ (pressure + I(pressure**2)) * QB"
GROWTH = "distance ~ age * Sex"
FILTER = {"subject": "Subject", "time": "k"}
MODELS = {
    "dialyzer_ar1_power": (DIALYZER, ResidualCovariance("ar1", **FILTER, power="pressure")),
    "dialyzer_power_fitted": (DIALYZER, ResidualCovariance("independent", power="fitted(.)")),
    "dialyzer_ar1_power_fitted": (DIALYZER, ResidualCovariance("ar1", **FILTER, power="fitted(.)")),
    "orthodont_int_power_fitted": (
        f"{GROWTH} + (1 | Subject)",
        ResidualCovariance("independent", power="fitted(.)"),
    ),
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
    # Its fitted values settle less well where variances are a power of them.
    assert model.log_likelihood_ == pytest.approx(fit["logLik_first"], abs=1e-4)
    table = coefficient_table(model, "normal")
    distance = (table["estimate"] - fit["beta"]["values"]) / table["std_error"]
    assert np.abs(distance).max() < 2e-5
    components = model.variance_components_
    if fit["correlation"]:
        assert components["corr"].iloc[0] == pytest.approx(fit["correlation"][0], abs=1e-5)
    if "power" in fit["variance"]:
        residual = components.iloc[-1]
        assert residual["power"] == pytest.approx(fit["variance"]["power"], abs=1e-5)
        assert residual["sd"] == pytest.approx(fit["sigma"], rel=1e-5)
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


BY_MEAN = ResidualCovariance("independent", power="fitted(.)")
AR1_BY_MEAN = ResidualCovariance("ar1", subject="subject", time="time", power="fitted(.)")


def growing(seed=0, n_subjects=30):
    """Rows of a mean far from 0, by which the standard deviation grows."""
    frame = simulated(seed, n_subjects=n_subjects).drop(columns=["weight", "y"])
    rng = np.random.default_rng(seed)
    mean = 8 + 2 * frame["x"].abs() + frame["time"] + rng.normal(size=n_subjects)[frame["subject"]]
    return frame, mean + 0.1 * mean**0.8 * rng.normal(size=len(frame))


def by_mean(groups="subject", residual=BY_MEAN, **parameters):
    return MixedLinearRegressor(groups, fixed=["x", "time"], residual=residual, **parameters)


@pytest.mark.parametrize("residual", [BY_MEAN, AR1_BY_MEAN], ids=["independent", "ar1"])
@pytest.mark.parametrize("groups", [None, "subject", ["subject", "rater"]], ids=str)
def test_variances_are_a_power_of_the_fitted_values_of_the_fit(groups, residual):
    X, y = growing()
    model = by_mean(groups, residual).fit(X, y)
    # The fit settles to a relative change of 1e-9.
    fitted = y - residuals(model, X, y)
    own = model._model.repeated
    np.testing.assert_allclose(own.design.log_sizes, np.log(fitted), atol=2e-9)
    np.testing.assert_allclose(own.fitted_values, fitted, rtol=1e-10)
    # At these sizes it is at the optimum: that of a column with them
    sized = X.assign(size=fitted)
    other = by_mean(groups, residual.set_params(power="size")).fit(sized, y)
    assert other.criterion_ == pytest.approx(model.criterion_, abs=1e-7)
    np.testing.assert_allclose(other.coef_[:2], model.coef_[:2], rtol=1e-6)


@pytest.mark.parametrize("residual", [BY_MEAN, AR1_BY_MEAN], ids=["independent", "ar1"])
def test_rows_to_predict_have_the_variance_of_their_own_mean(residual):
    X, y = growing()
    model = by_mean(residual=residual).fit(X, y)
    variance, power = model.variance_components_.iloc[-1][["variance", "power"]]
    rows = X[:3].assign(x=[0.0, 4.0, 8.0], time=9, subject=[0, 1, 99])
    mean = model.predict(rows, include=["subject"])
    size = np.abs(mean) ** (2 * power)
    of_mean, of_row = (
        np.diff(model.predict_interval(rows, of=own, ddf="normal"))[:, 0]
        for own in ("mean", "observation")
    )
    excess = (of_row**2 - of_mean**2) / (2 * 1.959963984540054) ** 2
    # At six steps of "ar1" or more little is left of what the residuals of the fit say
    corr = model.variance_components_.get("corr", pd.Series([0.0])).fillna(0.0).iloc[-1]
    np.testing.assert_allclose(excess, variance * size, rtol=1e-9 + 10 * abs(corr) ** 6)
    # Normalized residuals are of variance 1 by the same
    error = residuals(model, X, y, "normalized")
    assert np.std(error) == pytest.approx(1.0, abs=0.15)
    if residual is BY_MEAN:
        size = np.abs(y - residuals(model, X, y)) ** power
        np.testing.assert_allclose(error, residuals(model, X, y) / size / np.sqrt(variance))


def test_draws_have_the_variance_of_their_mean():
    X, y = growing()
    model = by_mean(None).fit(X, y)
    many = X.iloc[np.zeros(20000, dtype=int)].assign(x=10.0, subject=1000 + np.arange(20000))
    sigma, power = model.variance_components_.iloc[-1][["sd", "power"]]
    mean = float(model.predict(many[:1])[0])
    # Four standard errors of a standard deviation of 20,000 draws
    found = model.sample_y(many, effects="new").std()
    assert found == pytest.approx(sigma * mean**power, rel=0.02)
    # The effect of a new group moves the mean, and the mean the variance
    model = by_mean(residual=BY_MEAN).fit(X, y + 3 * np.sin(X["subject"]))
    (tau, _), (sigma, power) = model.variance_components_[["sd", "power"]].to_numpy()
    mean = float(model.predict(many[:1], include="fixed")[0])
    means = mean + tau * np.random.default_rng(0).normal(size=20000)
    wanted = np.sqrt(tau**2 + sigma**2 * np.mean(np.abs(means) ** (2 * power)))
    assert model.sample_y(many, effects="new").std() == pytest.approx(wanted, rel=0.02)


def test_chunks_and_saved_models_are_the_fit():
    X, y = growing()
    model = by_mean().fit(X, y)
    chunks = [(X[k::3], y[k::3]) for k in range(3)]
    found = by_mean().fit_chunks(chunks)
    assert found.criterion_ == pytest.approx(model.criterion_, abs=1e-7)
    copy = pickle.loads(pickle.dumps(model))
    for of in ("mean", "observation"):
        wanted = model.predict_interval(X, of=of)
        np.testing.assert_allclose(copy.predict_interval(X, of=of), wanted, rtol=1e-12)
    assert "with σ·|fitted|^δ, δ = " in str(copy.summary())
    slim = model.slim()
    np.testing.assert_array_equal(slim.predict(X), model.predict(X))
    assert len(pickle.dumps(slim)) < 0.5 * len(pickle.dumps(model))


def two_valleys():
    """Rows whose fits, given the sizes of each other, have a variance of 0 and one above."""
    rng = np.random.default_rng(1138)
    n_subjects, n_times = int(rng.integers(12, 40)), int(rng.integers(4, 8))
    subject, time = np.divmod(np.arange(n_subjects * n_times), n_times)
    x, delta = rng.uniform(0, 4, len(subject)), rng.uniform(0.2, 1.2)
    effects, _ = rng.normal(0, 1, n_subjects), rng.normal(0, 0.2, n_subjects)
    mean = 6 + 2 * x + 0.3 * time + effects[subject]
    z = rng.normal(size=(n_subjects, n_times))
    for k in range(1, n_times):
        z[:, k] = 0.5 * z[:, k - 1] + np.sqrt(0.75) * z[:, k]
    frame = pd.DataFrame({"x": x, "time": time, "subject": subject})
    frame["y"] = mean + 0.2 * np.abs(mean) ** delta * z.ravel()
    return frame[rng.random(len(frame)) < 0.9]


def test_fits_between_two_valleys_settle():
    frame = two_valleys()
    X = frame.drop(columns="y")
    model = by_mean(residual=AR1_BY_MEAN).fit(X, frame["y"])
    assert model.converged_
    # nlme 3.1 ends in the other valley, at the variance 0, with -233.7313.
    assert model.log_likelihood_ > -233.59


def test_fits_that_do_not_settle_say_so():
    X, y = growing()
    with pytest.warns(ConvergenceWarning, match="a power of its own fitted values did not settle"):
        by_mean(max_iter=2).fit(X, y)


def test_what_fitted_values_cannot_have():
    X, y = growing()
    model = by_mean().fit(X, y)
    with pytest.raises(ValueError, match="a power of the fitted values, which further rows"):
        model.update_groups(X[:3], y[:3])
    with pytest.raises(ValueError, match="of which an offset is no part"):
        FormulaRegressor("y ~ x + offset(time)", residual=BY_MEAN).fit(X.assign(y=y))
    line = MixedLinearRegressor(fixed=["x"], fit_intercept=False, residual=BY_MEAN)
    with pytest.raises(ValueError, match="The fitted value of row 3 is 0"):
        line.fit(X.assign(x=X["x"].where(X.index != 3, 0.0)), y)
