"""Estimates at a given Λ are those of generalized least squares."""

import numpy as np

from skmixed import MixedLinearRegressor
from skmixed._fitted.fitting import estimate_at
from skmixed.datasets import load_sleepstudy


def test_estimates_at_the_theta_of_all_rows():
    X, y = load_sleepstudy(return_X_y=True)
    full = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    known = X["Subject"] != "308"
    part = MixedLinearRegressor("Subject", random_slopes="Days")
    part.n_features_in_, part.feature_names_in_ = 2, np.array(X.columns, dtype=object)
    estimate_at(part, part.statistics(X[known], y[known]), full._model.estimate)
    # β̂ = (X'V⁻¹X)⁻¹X'V⁻¹y with V = I + ZΛΛ'Z' of the rows
    own, days = X["Subject"][known].to_numpy(), X["Days"][known].to_numpy(float)
    rows = np.column_stack([np.ones(len(days)), days])
    lam = np.array([[full.theta_[0], 0.0], full.theta_[1:]])
    within = rows @ lam @ lam.T @ rows.T * (own[:, None] == own)
    solved = np.linalg.solve(np.eye(len(days)) + within, np.column_stack([rows, y[known]]))
    beta = np.linalg.solve(rows.T @ solved[:, :2], rows.T @ solved[:, 2])
    left = y[known].to_numpy() - rows @ beta
    sigma2 = left @ (solved[:, 2] - solved[:, :2] @ beta) / (len(days) - 2)
    # Rounding of a solve with a condition number of 1e4
    np.testing.assert_allclose(part.fixed_effects_, beta, rtol=1e-11)
    np.testing.assert_allclose(part.sigma_, np.sqrt(sigma2), rtol=1e-11)
    np.testing.assert_allclose(part.theta_, full.theta_, rtol=1e-13)
    of_308 = part.random_effects_["Subject"]
    assert "308" not in of_308.index
