"""Estimates at a given Λ are those of generalized least squares; one step is the search's."""

import numpy as np

from skmixed import MixedLinearRegressor
from skmixed._fitted.fitting import estimate_at
from skmixed._folds.held_theta import estimate_after_step
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


def test_one_step_is_that_of_average_information():
    """Of one variance: δ = −g/h of Λ, with g = ∂d/∂λ and h by the average information."""
    X, y = load_sleepstudy(return_X_y=True)
    full = MixedLinearRegressor("Subject", tol=1e-12).fit(X, y)
    known = (X["Subject"] != "308").to_numpy()
    part = MixedLinearRegressor("Subject")
    part.n_features_in_, part.feature_names_in_ = 2, np.array(X.columns, dtype=object)
    stats = part.statistics(X[known], y[known])
    model = stats.encoder.model(reml=True)
    like = full._model.estimate, full._model.system
    found = estimate_after_step(stats.products, model, *like).solution
    own, days = X["Subject"][known].to_numpy(), X["Days"][known].to_numpy(float)
    rows, lam = np.column_stack([np.ones(len(days)), days]), float(full.theta_[0])
    within = 1.0 * (own[:, None] == own)
    inverse = np.linalg.inv(np.eye(len(days)) + lam**2 * within)
    solved = inverse @ rows
    P = inverse - solved @ np.linalg.solve(rows.T @ solved, solved.T)
    py = P @ y[known].to_numpy()
    squares, slope = y[known] @ py, py @ within @ py
    sigma2 = squares / (len(days) - 2)
    # d' in τ = λ², AI with σ² profiled out, and both in λ
    gradient = np.trace(P @ within) - slope / sigma2
    information = (py @ within @ P @ within @ py - slope**2 / squares) / sigma2
    step = -2 * lam * gradient / (4 * lam**2 * information + 2 * gradient)
    # Rounding of dense inverses with a condition number of 1e2
    np.testing.assert_allclose(found.theta, [lam + step], rtol=1e-10)
