"""The conditional AIC, against dense algebra and the numbers of cAIC4."""

import json
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference_fits import ROOT, read_frame

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance, lmer
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import ExactFitWarning, SingularFitWarning
from skmixed.inference import conditional_aic

CAIC = json.loads((ROOT / "influence" / "caic.json").read_text())
GROUPS = {
    "(Days | Subject)": RandomEffect("Subject", ["Days"]),
    "(1 | Subject)": "Subject",
    "(1 | batch) + (1 | sample)": ["batch", "sample"],
    "(1 | plate) + (1 | sample)": ["plate", "sample"],
    "(1 | Batch)": "Batch",
}
EFFECTS = {"Days": ["Days"], "age * Sex": ["age", "Female", "age:Female"], "1": []}


def fit_of_caic(reference):
    """Return X, y, weights and the fit of a reference."""
    frame = read_frame(reference["dataset"]).copy()
    if reference["dataset"] == "orthodont":
        frame["Female"] = 1.0 * (frame["Sex"] == "Female")
        frame["age:Female"] = frame["age"] * frame["Female"]
    response, terms = reference["formula"].split(" ~ ")
    fixed, groups = terms.split(" + (", 1)
    method = "reml" if reference["reml"] else "ml"
    model = MixedLinearRegressor(
        GROUPS[f"({groups}"], fixed=EFFECTS[fixed], method=method, tol=1e-12
    )
    X, weights = frame.drop(columns=[response]), frame.get("w")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model.fit(X, frame[response], sample_weight=weights)
    return X, frame[response].to_numpy(), weights, model


def dense_df(X, y, model, *, share):
    """Degrees of freedom by dense algebra: Greven and Kneib's B and C.

    `share`: how much counts of the part of ∂θ̂/∂y by which σ² follows y.
    """
    n, fixed = len(y), np.column_stack([np.ones(len(y)), *(X[c] for c in model.fixed)])
    covariance, directions = np.eye(n), []
    for group, matrix in model.covariances_.items():
        own = X[group].to_numpy()
        same = 1.0 * (own[:, None] == own)
        columns = np.column_stack([np.ones(n), *(X[c] for c in matrix.columns[1:])])
        covariance += same * (columns @ (matrix / model.sigma_**2) @ columns.T)
        for i, j in zip(*np.tril_indices(len(matrix)), strict=True):
            unit = np.zeros(matrix.shape)
            unit[i, j] = unit[j, i] = 1.0
            directions.append(same * (columns @ unit @ columns.T))
    inverse = np.linalg.inv(covariance)
    solved = inverse @ fixed
    A = inverse - solved @ np.linalg.solve(fixed.T @ solved, solved.T)
    e = A @ y
    T, dof = (A, n - fixed.shape[1]) if model.method == "reml" else (inverse, n)
    squares, slopes = float(y @ e), np.array([e @ w @ e for w in directions])
    B = np.array([[e @ w @ A @ v @ e for v in directions] for w in directions])
    traces = [[np.sum((T @ w) * (T @ v).T) for v in directions] for w in directions]
    B -= squares / (2 * dof) * np.array(traces) + np.outer(slopes, slopes) / (2 * squares)
    C = np.array(
        [A @ w @ e - share * s / squares * e for w, s in zip(directions, slopes, strict=True)]
    )
    rows = np.array([A @ w @ e for w in directions])
    return n - np.trace(A) + np.sum(np.linalg.solve(B, C) * rows) + 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "reference", CAIC, ids=[f"{r['dataset']}-{r['formula']}-{r['reml']}" for r in CAIC]
)
def test_conditional_aic(reference):
    X, y, weights, model = fit_of_caic(reference)
    own = conditional_aic(model)
    # lme4's optimum is that of a search without derivatives
    assert_allclose(own["log_likelihood"], reference["log_likelihood"], rtol=1e-7)
    assert_allclose(own["caic"], -2 * own["log_likelihood"] + 2 * own["df"], rtol=1e-14)
    if reference["dataset"] == "dyestuff2":  # a variance of 0: nothing but the mean and σ
        assert_allclose(own["df"], 2.0, rtol=1e-12)
    elif weights is None:
        # The whole derivative; cAIC4 halves the part of it that σ² has
        assert_allclose(own["df"], dense_df(X, y, model, share=1.0), rtol=1e-8)
        assert_allclose(reference["df"], dense_df(X, y, model, share=0.5), rtol=1e-6)
        as_in_r = conditional_aic(model, convention="cAIC4")
        assert_allclose(as_in_r["df"], reference["df"], rtol=1e-6)
        assert_allclose(as_in_r["caic"], reference["caic"], rtol=1e-7)


def test_conditional_aic_of_the_documented_examples():
    """Near the numbers of cAIC4, 1711.62, 1767.12 and 266.21, which has the larger df."""
    X, y = load_sleepstudy(return_X_y=True)
    slopes = conditional_aic(MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y))
    assert_allclose(slopes, [-824.5070, 31.2535, 30.0221, 1711.5209], rtol=2e-6)
    intercept = conditional_aic(MixedLinearRegressor("Subject").fit(X, y))
    assert_allclose(intercept["caic"], 1767.1045, rtol=1e-7)
    weighted = MixedLinearRegressor("Subject").fit(X, y, sample_weight=np.full(180, 7.0))
    # All weights times a number is another unit of σ
    assert_allclose(conditional_aic(weighted), intercept, rtol=1e-6)
    by_formula = lmer("Reaction ~ Days + (1 | Subject)", X.assign(Reaction=y))
    assert_allclose(conditional_aic(by_formula), intercept, rtol=1e-6)


def test_conditional_aic_of_the_package_in_r():
    X, y = load_sleepstudy(return_X_y=True)
    for slopes, published in (("Days", 1711.62), (None, 1767.12)):
        model = MixedLinearRegressor("Subject", random_slopes=slopes).fit(X, y)
        assert round(conditional_aic(model, convention="cAIC4")["caic"], 2) == published
    with pytest.raises(ValueError, match="convention"):
        conditional_aic(model, convention="r")


def test_conditional_aic_says_what_it_is_not_for():
    X, y = load_sleepstudy(return_X_y=True)
    residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    with pytest.raises(ValueError, match="independent residuals"):
        conditional_aic(MixedLinearRegressor(residual=residual).fit(X, y))
    with pytest.warns(ExactFitWarning):
        exact = MixedLinearRegressor("Subject").fit(X, 3.0 + 2.0 * X["Days"])
    with pytest.raises(ValueError, match="reproduces y"):
        conditional_aic(exact)
