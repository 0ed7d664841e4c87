"""What follows a fit of a model with a residual covariance, and what there is not."""

import numpy as np
import pandas as pd
import pytest
from repeated_models import STRUCTURES, dense_of, fitted_model, simulated
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance, mmrm
from skmixed._model.residual import shown_parameters
from skmixed.datasets import load_sleepstudy
from skmixed.diagnostics import residuals
from skmixed.exceptions import NotEstimableWarning, RefitWarning, SingularFitWarning
from skmixed.inference import (
    coefficient_table,
    compare,
    confidence_intervals,
    convergence,
    icc,
    likelihood_ratio_test,
    profile,
    r2,
    random_effects_table,
    singularity,
    variance_decomposition,
    vcov,
)


@pytest.fixture(scope="module")
def frame():
    return simulated(7, n_subjects=60)


@pytest.fixture(scope="module")
def model(frame):
    return fitted_model(frame, "ar1", groups="rater")


def test_profile_limits_are_refused(model):
    with pytest.raises(ValueError, match="There are no likelihood profiles"):
        confidence_intervals(model, "profile")
    with pytest.raises(ValueError, match="There are no likelihood profiles"):
        profile(model)


@pytest.mark.slow
def test_the_bootstrap(frame):
    data = frame.assign(y=frame["y"] + 2.0 * frame["rater"])
    model = fitted_model(data, "exponential", groups="rater", by="arm")
    table = confidence_intervals(model, "bootstrap", n_samples=60, random_state=3)
    wald = confidence_intervals(model)
    pd.testing.assert_frame_equal(table.iloc[:, :4], wald.iloc[:, :4])
    assert (table["lower"] < table["estimate"]).all()
    assert (table["estimate"] < table["upper"]).all()
    # Widths over 60 draws are known to some 20 %; those of one sd of three raters are not.
    known = table["component"] != "sd"
    width = (table["upper"] - table["lower"]) / (wald["upper"] - wald["lower"])
    assert width[known].between(0.5, 1.5).all()


# Rows of a rater are in all blocks; slopes of subjects are inside of them.
OF_TERMS = {"none": None, "outer": "rater", "inner": RandomEffect("subject", "x", intercept=False)}


@pytest.mark.parametrize("groups", OF_TERMS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_wald_limits_are_those_of_the_information(frame, structure, groups):
    rng = np.random.default_rng(0)
    slopes = 3.0 * rng.normal(size=60)[frame["subject"]]
    y = frame["y"] + 2.0 * frame["rater"] + slopes * frame["x"]
    model = fitted_model(frame.assign(y=y), structure, groups=OF_TERMS[groups], weighted=True)
    repeated = model._model.repeated
    layout, n = repeated.layout, repeated.layout.system.residual.n_phi
    *terms, phi = repeated.factor.lam
    dense = dense_of(model)
    errors = 2 * np.linalg.inv(dense.observed)
    residual = layout.system.residual

    def shown(theta):
        """Standard deviations and correlations as functions of (τ, φ)."""
        out, start = [], 0
        for t, lam in zip(layout.terms, terms, strict=True):
            directions = t.term.structure.directions(len(lam))
            own = np.tensordot(theta[start : start + len(directions)], directions, 1)
            start += len(directions)
            user = layout.scale**2 * t.to_user @ own @ t.to_user.T
            out += list(np.log(np.diagonal(user)) / 2)
        own = residual.scaled(theta[-n:], layout.residual_scale)
        for found in shown_parameters(residual, own):
            is_corr = found.component == "corr"
            out.append(np.arctanh(found.value) if is_corr else np.log(found.value))
        return np.array(out)

    pairs = zip(layout.terms, terms, strict=True)
    tau = [t.term.structure.coordinates(lam @ lam.T) for t, lam in pairs]
    theta = np.concatenate([*tau, phi])
    steps = 1e-5 * np.diag(np.maximum(np.abs(theta), 0.1))
    slopes = [(shown(theta + h) - shown(theta - h)) / (2 * h.max()) for h in steps]
    slopes = np.array(slopes).T
    half = 1.959963984540054 * np.sqrt(np.einsum("ki,ij,kj->k", slopes, errors, slopes))
    table = confidence_intervals(model, components=["sd", "sigma", "corr", "range"])
    is_corr = (table["component"] == "corr").to_numpy()
    for name, sign in (("lower", -1), ("upper", 1)):
        end = shown(theta) + sign * half
        expected = np.where(is_corr, np.tanh(end), np.exp(end))
        # Differences of slopes have seven digits.
        np.testing.assert_allclose(table[name], expected, rtol=1e-5)


def test_wald_limits_of_an_autoregression_are_those_of_nlme():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    table = confidence_intervals(MixedLinearRegressor(residual=residual).fit(X, y))
    # intervals(gls(Reaction ~ Days, correlation = corAR1(form = ~ Days | Subject))) of nlme
    # 3.1, whose derivatives are differences
    expected = [[40.59755967, 60.39112801], [0.6995488939, 0.8693829365]]
    np.testing.assert_allclose(table[["lower", "upper"]][:2], expected, rtol=5e-5)
    assert list(table["component"]) == ["sigma", "corr", "fixed", "fixed"]


def test_parameters_have_the_names_of_times_and_strata(frame):
    data = frame.assign(
        visit="V" + frame["time"].astype(str), sex=frame["arm"].map({0: "f", 1: "m"})
    )
    model = mmrm("y ~ x + visit + us(visit | sex / subject)", data)
    table = confidence_intervals(model, components=["sigma", "corr"])
    assert list(table["name"][:5]) == ["f:V0", "f:V1", "f:V2", "f:V3", "f:V0, V1"]
    assert len(table) == 20
    covariance = model.residual_covariance_.loc["m"]
    sd = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(table["estimate"][10:14], sd, rtol=1e-12)
    last = table["estimate"].iloc[-1]
    assert last == pytest.approx(covariance.iloc[2, 3] / (sd[2] * sd[3]), rel=1e-12)
    lags = confidence_intervals(fitted_model(frame, "toeplitz"), components=["corr"])
    assert list(lags["name"]) == ["lag 1", "lag 2", "lag 3"]


def test_a_power_has_an_interval(frame):
    residual = ResidualCovariance("independent", power="size")
    data = frame.drop(columns=["y", "weight"]).assign(size=frame["time"] + 1)
    model = MixedLinearRegressor(fixed=["x", "arm", "time"], residual=residual)
    table = confidence_intervals(model.fit(data, frame["y"]), components=["power"])
    phi, dense = model._model.repeated.factor.phi, dense_of(model)
    half = 1.959963984540054 * np.sqrt(2 * np.linalg.inv(dense.observed)[1, 1])
    np.testing.assert_allclose(table[["lower", "upper"]], [[phi[1] - half, phi[1] + half]])


def test_shares_of_the_variance_have_the_mean_of_the_residuals_one(frame):
    model = fitted_model(frame, "unstructured", groups="rater", weighted=True)
    covariance = model.residual_covariance_
    residual = np.diagonal(covariance.loc[frame["time"], frame["time"]]).mean()
    rater = model.variance_components_["variance"][0]
    X = frame.drop(columns=["y", "weight"])
    fixed = np.var(model.predict(X, include="fixed"), ddof=1)
    found = variance_decomposition(model)["variance"]
    np.testing.assert_allclose(found, [fixed, rater, residual], rtol=1e-9)
    assert icc(model)["rater"] == pytest.approx(rater / (rater + residual))
    shares = np.array([fixed, fixed + rater]) / (fixed + rater + residual)
    np.testing.assert_allclose(r2(model), shares, rtol=1e-9)


def test_there_is_no_intraclass_correlation_without_groups(frame):
    with pytest.raises(ValueError, match="their residual covariance"):
        icc(fitted_model(frame, "ar1"))


@pytest.mark.parametrize("groups", ["outer", "inner", "both"])
def test_standard_errors_of_random_effects(frame, groups):
    both = {**OF_TERMS, "both": ["rater", RandomEffect("subject", "x", covariance="diag")]}
    rng = np.random.default_rng(1)
    own = 3.0 * rng.normal(size=(2, 60))[:, frame["subject"]]
    y = frame["y"] + 2.0 * frame["rater"] + own[0] + own[1] * frame["x"]
    structure = "toeplitz" if groups == "outer" else "ar1"
    model = fitted_model(frame.assign(y=y), structure, groups=both[groups], weighted=True)
    dense, layout = dense_of(model), model._model.repeated.layout
    table, start = random_effects_table(model).set_index(["group", "level", "name"]), 0
    for t, lam in zip(layout.terms, model._model.repeated.factor.lam, strict=False):
        columns, levels = layout.laid.terms[t.index]
        Z = (levels[:, None] == np.arange(levels.max() + 1))[:, :, None] * columns[:, None, :]
        sigma = lam @ lam.T
        seen = np.einsum("nqa,nm,mqb->qab", Z, dense.V_inv, Z, optimize=True)
        covariance = sigma - sigma @ seen @ sigma
        user = layout.scale**2 * t.to_user @ covariance @ t.to_user.T
        factor = model._model.encoder.factors[t.term.factor]
        for k, name in enumerate(model._model.encoder.coefficient_names(t.term)):
            found = table.xs((factor.name, name), level=("group", "name"))
            np.testing.assert_allclose(found["std_error"], np.sqrt(user[:, k, k]), rtol=1e-8)
            effects = model.random_effects_[factor.name][name]
            np.testing.assert_allclose(found["estimate"], effects, rtol=1e-12)
            start += 1
    assert start == len(model.variance_components_) - 1


@pytest.mark.parametrize("structure", ["ar1", "unstructured"])
def test_convergence_is_checked_anew(frame, structure):
    y = frame["y"] + 2.0 * frame["rater"]
    model = fitted_model(frame.assign(y=y), structure, groups="rater")
    found = convergence(model)
    assert found.is_optimum
    assert found.is_determined
    assert found.boundary["rank"].to_list() == [1]
    assert len(found.eigenvalues) == 1 + model._model.repeated.layout.system.residual.n_phi
    with pytest.warns(ConvergenceWarning):
        early = MixedLinearRegressor("rater", fixed=["x"], residual=model.residual, max_iter=1).fit(
            frame.drop(columns=["y", "weight"]), y
        )
    found = convergence(early)
    assert not found.is_stationary
    assert found.elsewhere > 1e-3


def test_an_effect_without_variance_is_at_the_boundary():
    frame = simulated(8, n_subjects=40)
    frame["y"] = np.random.default_rng(1).normal(size=len(frame))
    with pytest.warns(SingularFitWarning):
        model = fitted_model(frame, "ar1", groups="rater")
    found = convergence(model)
    assert found.is_stationary
    assert found.boundary.loc[0, "rank"] == 0
    assert found.boundary.loc[0, "slope"] > 0
    assert (random_effects_table(model)["std_error"] == 0).all()


def test_singularity_is_in_units_of_the_residual_standard_deviation(frame):
    model = fitted_model(frame, "ar1", groups="rater")
    found = singularity(model)
    sd = model.variance_components_["sd"][0] / model.sigma_
    assert found.loc[0, "sd"] == pytest.approx(sd)
    assert not found.loc[0, "is_zero"]


def test_a_slim_copy_predicts_effects(model, frame):
    X, slim = frame.drop(columns=["y", "weight"]), model.slim()
    for include in ("fixed", ["rater"]):
        np.testing.assert_array_equal(
            slim.predict(X, include=include), model.predict(X, include=include)
        )
    with pytest.raises(ValueError, match="is a slim copy"):
        slim.predict(X)


def test_normalized_residuals_are_independent_ones(frame):
    model = fitted_model(frame, "unstructured")
    X, own = frame.drop(columns=["y", "weight"]), model.residual_covariance_
    found = residuals(model, X, frame["y"], "normalized")
    conditional = residuals(model, X, frame["y"])
    np.testing.assert_allclose(
        conditional, frame["y"] - model.predict(X, include="fixed"), atol=1e-12
    )
    for subject in frame["subject"].unique()[:5]:
        rows = frame.index[frame["subject"] == subject]
        rows = rows[np.argsort(frame["time"][rows])]
        times = frame["time"][rows]
        root = np.linalg.cholesky(own.loc[times, times])
        np.testing.assert_allclose(
            found[rows], np.linalg.solve(root, conditional[rows]), atol=1e-10
        )


def test_structures_are_compared(frame):
    small, large = fitted_model(frame, "ar1"), fitted_model(frame, "unstructured")
    table = likelihood_ratio_test(small, large)
    assert table.loc["alternative", "df"] == 8
    assert table.loc["alternative", "reference"] == "χ²(8)"
    statistic = small.criterion_ - large.criterion_
    assert table.loc["alternative", "statistic"] == pytest.approx(statistic)
    other = fitted_model(frame, "compound_symmetry", heterogeneous=True)
    with pytest.raises(ValueError, match="does not contain the residual covariance"):
        likelihood_ratio_test(fitted_model(frame, "ar1"), other)
    assert len(compare(small, large, other)) == 3


def test_models_by_reml_are_compared_by_ml(frame):
    by_ml = fitted_model(frame, "ar1", method="ml")
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    smaller = MixedLinearRegressor(fixed=["x"], residual=residual)
    smaller.fit(frame.drop(columns=["y", "weight"]), frame["y"])
    with pytest.warns(RefitWarning):
        table = likelihood_ratio_test(smaller, fitted_model(frame, "ar1"))
    assert table.loc["alternative", "criterion"] == pytest.approx(by_ml.criterion_, abs=1e-7)


def test_the_covariance_of_the_coefficients(frame):
    model = fitted_model(frame, "ar1")
    for adjusted, ddf in ((False, "satterthwaite"), (True, "kenward-roger")):
        errors = np.sqrt(np.diag(vcov(model, adjusted=adjusted)))
        np.testing.assert_allclose(coefficient_table(model, ddf)["std_error"], errors, rtol=1e-10)


def test_no_correlation_is_the_boundary_of_distances(frame):
    X = frame.drop(columns=["y", "weight"])
    null = MixedLinearRegressor(fixed=["x", "arm", "time"]).fit(X, frame["y"])
    table = likelihood_ratio_test(null, fitted_model(frame, "exponential"))
    assert table.loc["alternative", "reference"] == "½χ²(0) + ½χ²(1)"
    table = likelihood_ratio_test(null, fitted_model(frame, "ar1"))
    assert table.loc["alternative", "reference"] == "χ²(1)"


def test_intervals_of_the_population_need_no_subjects(frame):
    data = frame.assign(visit=("V" + frame["time"].astype(str)))
    model = mmrm("y ~ x + visit + us(visit | subject)", data)
    rows = data[["x", "visit"]][:4]
    interval = model.predict_interval(rows, of="mean", include="fixed")
    np.testing.assert_allclose(interval.mean(axis=1), model.predict(rows, include="fixed"))
    wider = model.predict_interval(rows, include="fixed")
    assert (np.diff(wider) > np.diff(interval)).all()


def test_effects_without_between_within_degrees_of_freedom():
    rng = np.random.default_rng(0)
    subject, time = np.divmod(np.arange(20), 5)
    frame = pd.DataFrame({"subject": subject, "time": time})
    frame[["a", "b", "c"]] = rng.normal(size=(4, 3))[subject]
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    model = MixedLinearRegressor(residual=residual).fit(frame, rng.normal(size=20))
    with pytest.warns(NotEstimableWarning, match="leaves 'a', 'b', 'c' no degrees of freedom"):
        table = coefficient_table(model, "between-within")
    assert table.loc[["a", "b", "c"], ["p_value", "lower", "upper"]].isna().all(axis=None)
    assert table.loc["time", "p_value"] > 0
