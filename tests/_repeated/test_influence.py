"""Leverages, and what leaving rows or subjects out changes, against P in full and other fits."""

import numpy as np
import pandas as pd
import pytest
from repeated_models import dense_of, fitted_model, simulated

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance
from skmixed.diagnostics import (
    cooks_distance,
    influence,
    leverage,
    residuals,
    subject_influence,
)
from skmixed.inference import coefficient_table

SLOPES = RandomEffect("subject", "x", intercept=False)
GROUPS = {
    "none": None,
    "outer": "rater",
    "inner": SLOPES,
    "both": ["rater", SLOPES],
    # Pairs of subjects in one block, whose levels are two
    "nested": [SLOPES, RandomEffect("pair", "z")],
}


@pytest.fixture(scope="module")
def frame():
    frame = simulated(5, n_subjects=40)
    rng = np.random.default_rng(0)
    frame = frame.assign(pair=frame["subject"] // 2, z=rng.normal(size=len(frame)))
    slopes, pairs = 2.0 * rng.normal(size=(2, 40))
    y = frame["y"] + slopes[frame["subject"]] * frame["x"] + 2.0 * frame["rater"]
    return frame.assign(y=y + (1 + frame["z"]) * pairs[frame["pair"]])


@pytest.fixture(scope="module", params=GROUPS)
def model(request, frame):
    return fitted_model(frame, "ar1", groups=GROUPS[request.param], weighted=True)


def features(frame):
    return frame.drop(columns=["y", "weight"])


def residual_covariance(model):
    """R of the rows of the fit, in the units of the search."""
    laid, factor = model._model.repeated.layout.laid, model._model.repeated.factor
    dense = dense_of(model, (*(0.0 * lam for lam in factor.lam[:-1]), factor.phi))
    assert len(laid.subject) == len(dense.V)
    return dense.V


def test_leverages_are_the_diagonal_of_the_hat_matrix(model, frame):
    dense, R = dense_of(model), residual_covariance(model)
    hat = np.eye(len(R)) - R @ dense.P
    found = leverage(model, features(frame), sample_weight=frame["weight"])
    np.testing.assert_allclose(found, np.diagonal(hat), atol=1e-10)


def test_standardized_residuals_have_the_variance_1(model, frame):
    dense, R = dense_of(model), residual_covariance(model)
    layout, rows = model._model.repeated.layout, (features(frame), frame["y"])
    variance = layout.residual_scale**2 * np.diagonal(R @ dense.P @ R)
    error = residuals(model, *rows) * np.sqrt(frame["weight"])
    expected = layout.residual_scale * R @ dense.P @ dense.y
    np.testing.assert_allclose(error, expected, atol=1e-8)
    found = residuals(model, *rows, "standardized", sample_weight=frame["weight"])
    np.testing.assert_allclose(found, error / np.sqrt(variance), rtol=1e-8)


def without(dense, rows):
    """β̂ without some rows, in the units of the search."""
    kept = np.setdiff1d(np.arange(len(dense.y)), rows)
    X, V = dense.X[kept], np.linalg.inv(dense.V[np.ix_(kept, kept)])
    return np.linalg.solve(X.T @ V @ X, X.T @ V @ dense.y[kept])


def test_changes_are_those_of_fits_without_a_row(model, frame):
    dense, layout = dense_of(model), model._model.repeated.layout
    found = influence(model, features(frame), frame["y"], sample_weight=frame["weight"])
    information = np.linalg.inv(dense.covariance)
    for k in (0, 7, 31):
        change = without(dense, [k]) - dense.beta
        expected = layout.scale * layout.basis @ change
        np.testing.assert_allclose(found.filter(like="change").iloc[k], expected, atol=1e-8)
        distance = change @ information @ change / len(change)
        assert found["cooks_distance"].iloc[k] == pytest.approx(distance, rel=1e-7)
    np.testing.assert_array_equal(
        found["cooks_distance"],
        cooks_distance(model, features(frame), frame["y"], sample_weight=frame["weight"]),
    )


@pytest.mark.parametrize("groups", [None, SLOPES])
def test_changes_of_subjects_are_those_of_fits_without_them(frame, groups):
    model = fitted_model(frame, "unstructured", groups=groups, weighted=True)
    dense, layout = dense_of(model), model._model.repeated.layout
    found = subject_influence(model)
    information = np.linalg.inv(dense.covariance)
    subject = frame["subject"].to_numpy()
    hat = dense.X @ dense.covariance @ dense.X.T @ dense.V_inv
    for label in found.index[[0, 9, 39]]:
        own = np.flatnonzero(subject == label)
        change = without(dense, own) - dense.beta
        expected = layout.scale * layout.basis @ change
        np.testing.assert_allclose(found.filter(like="change").loc[label], expected, atol=1e-8)
        distance = change @ information @ change / len(change)
        assert found.loc[label, "cooks_distance"] == pytest.approx(distance, rel=1e-7)
        assert found.loc[label, "leverage"] == pytest.approx(np.trace(hat[np.ix_(own, own)]))
        assert found.loc[label, "n_rows"] == len(own)
    assert found["leverage"].sum() == pytest.approx(4)
    # CR3's covariance is the sum of their squares.
    squares = (found.filter(like="change") ** 2).sum()
    errors = coefficient_table(model, robust="CR3")["std_error"]
    np.testing.assert_allclose(errors, np.sqrt(squares), rtol=1e-8)


def test_rows_are_found_by_subject_and_time(frame):
    model = fitted_model(frame, "ar1")
    every = influence(model, features(frame), frame["y"])
    some = frame.sample(20, random_state=1)
    pd.testing.assert_frame_equal(
        influence(model, features(some), some["y"]), every.loc[some.index], rtol=1e-10
    )
    with pytest.raises(ValueError, match="Row 0 of X is not a row of the fit"):
        leverage(model, features(some).assign(time=[0, 9, *some["time"][2:]]).iloc[1:3])


def test_rows_without_times_are_those_in_their_order(frame):
    residual = ResidualCovariance("compound_symmetry", subject="subject")
    model = MixedLinearRegressor(fixed=["x", "time"], residual=residual)
    weights = np.where(frame.index == 3, 0.0, 1.0)
    model.fit(features(frame), frame["y"], sample_weight=weights)
    found = leverage(model, features(frame), sample_weight=weights)
    assert found[3] == 0.0
    assert found.sum() == pytest.approx(3)
    with pytest.raises(ValueError, match="Row 0 of X is not a row of the fit"):
        leverage(model, features(frame)[:50], sample_weight=weights[:50])
    with pytest.raises(ValueError, match="is not a row of the fit"):
        leverage(model, features(frame)[::-1], sample_weight=weights[::-1])


def test_independent_residuals_have_the_leverages_of_the_linear_model(frame):
    weights = frame["weight"]
    residual = ResidualCovariance("independent")
    with_rows = MixedLinearRegressor(["rater", SLOPES], fixed=["x", "arm"], residual=residual)
    plain = MixedLinearRegressor(["rater", SLOPES], fixed=["x", "arm"])
    tables = []
    for model in (with_rows, plain):
        model.fit(features(frame), frame["y"], sample_weight=weights)
        tables.append(influence(model, features(frame), frame["y"], sample_weight=weights))
    # Both are at the optimum to the root of what a step would gain; Cook's distances differ:
    # the linear model's counts its random effects too.
    columns = [c for c in tables[0] if c != "cooks_distance"]
    pd.testing.assert_frame_equal(tables[0][columns], tables[1][columns], rtol=1e-4, atol=1e-5)


def test_subjects_that_share_effects_are_not_left_out(frame):
    with pytest.raises(ValueError, match="Subjects share levels of 'rater'"):
        subject_influence(fitted_model(frame, "ar1", groups="rater"))
    with pytest.raises(ValueError, match="names no subjects"):
        subject_influence(
            MixedLinearRegressor("rater", fixed=["x"]).fit(features(frame), frame["y"])
        )


def test_leverages_of_a_long_series():
    # A matrix of the rows would take 3 GB.
    rng = np.random.default_rng(0)
    n = 20_000
    X = pd.DataFrame({"x": rng.normal(size=n), "subject": 1, "time": np.sort(rng.uniform(0, n, n))})
    residual = ResidualCovariance("exponential", subject="subject", time="time")
    y = X["x"] + rng.normal(size=n)
    model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, y)
    found = leverage(model, X)
    # tr(∂ŷ/∂y) is the number of fixed effects
    assert found.sum() == pytest.approx(2.0, rel=1e-6)
    assert np.abs(cooks_distance(model, X, y)).max() < 1.0
