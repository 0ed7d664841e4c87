"""What follows a fit of a model with a residual covariance, and what there is not."""

import numpy as np
import pytest
from repeated_models import fitted_model, simulated

from skmixed import MixedLinearRegressor, ResidualCovariance, mmrm
from skmixed.diagnostics import leverage, residuals
from skmixed.exceptions import RefitWarning
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
    vcov,
)


@pytest.fixture(scope="module")
def frame():
    return simulated(7, n_subjects=60)


@pytest.fixture(scope="module")
def model(frame):
    return fitted_model(frame, "ar1", groups="rater")


@pytest.mark.parametrize(
    "function", [confidence_intervals, profile, convergence, icc, r2, random_effects_table]
)
def test_what_knows_no_residual_covariance_says_so(model, function):
    with pytest.raises(ValueError, match="not there for models with a residual covariance"):
        function(model)


def test_methods_that_know_none_say_so(model, frame):
    X = frame.drop(columns=["y", "weight"])
    for call in (
        lambda: model.sample_y(X),
        lambda: leverage(model, X),
    ):
        with pytest.raises(ValueError, match="not there for models with a residual covariance"):
            call()


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
