"""Leverages and influence of generalized models: those of the linear model at the mode."""

import numpy as np
import pandas as pd
import pytest
from generalized_models import frame_of
from numpy.testing import assert_allclose

from skmixed import MixedBinomialRegressor, MixedNegativeBinomialRegressor, MixedPoissonRegressor
from skmixed.diagnostics import cooks_distance, influence, leverage

# R 4.2, lme4 1.1-31: glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp,
# binomial), with the sums of squares of CL and CR that hatvalues() takes, but by
# weights(type = "working"), and cooks.distance() with these.
LEVERAGES = [
    *(0.4102577053, 0.2546461775, 0.1902172744, 0.1055359270, 0.4290963370, 0.2056430642),
    *(0.2222471732, 0.4530070002, 0.2477521636, 0.2407548646, 0.2899111344, 0.3148538743),
]
TRACE = 13.28544149
DISTANCES = [
    *(0.52940999471, 0.13245578063, 0.60134263966, 0.01512622551, 0.01881354267, 0.00158617922),
]


@pytest.fixture(scope="module")
def cbpp():
    frame = frame_of("cbpp")
    X = pd.DataFrame({f"period{k}": (frame["period"] == f"{k}") * 1.0 for k in (2, 3, 4)})
    X["herd"] = frame["herd"]
    y, trials = frame["incidence"] / frame["size"], frame["size"]
    return MixedBinomialRegressor("herd").fit(X, y, sample_weight=trials), X, y, trials


def test_leverages_and_distances_are_those_of_lme4_at_the_working_weights(cbpp):
    model, X, y, trials = cbpp
    found = leverage(model, X, y, sample_weight=trials)
    # glmer's optimum is that of a search without derivatives
    assert_allclose(found[:12], LEVERAGES, rtol=1e-6)
    assert_allclose(found.sum(), TRACE, rtol=1e-6)
    distances = cooks_distance(model, X, y, sample_weight=trials)
    assert_allclose(distances[:6], DISTANCES, rtol=1e-6)


def test_one_step_changes_are_near_those_of_refits(cbpp):
    model, X, y, trials = cbpp
    found = influence(model, X, y, sample_weight=trials)
    for row in (1, 2):
        keep = np.arange(len(y)) != row
        twin = MixedBinomialRegressor("herd").fit(X[keep], y[keep], sample_weight=trials[keep])
        change = twin.fixed_effects_ - model.fixed_effects_
        own = found.filter(like="change_").iloc[row].to_numpy()
        # The variance moves too, and the likelihood is not quadratic
        assert_allclose(own, change, atol=0.12 * np.abs(change).max())


def negative_binomial():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=120), "g": rng.integers(0, 8, 120)})
    X["h"] = rng.integers(0, 5, 120)
    days = rng.uniform(1.0, 9.0, 120)
    effects = 0.7 * rng.normal(size=8)[X["g"]] + 0.9 * rng.normal(size=5)[X["h"]]
    mean = days * np.exp(0.4 * X["x"] + effects)
    y = rng.poisson(mean * rng.gamma(2.0, 0.5, 120))
    return X, y, days


def dense_equations(model, X, y, days):
    """[ZΛ X], the weights W and what each row asks η to change, of negative binomial counts."""
    labels = [model.random_effects_[name].index for name in ("g", "h")]
    indicators = [
        (X[name].to_numpy()[:, None] == own.to_numpy()).astype(float)
        for name, own in zip(("g", "h"), labels, strict=True)
    ]
    rooted = [sd * z for sd, z in zip(model.theta_, indicators, strict=True)]
    columns = np.column_stack([*rooted, np.ones(len(X)), X["x"]])
    mean, shape = model.predict(X, exposure=days), model.shape_
    # −log p has in η = log μ the derivatives (μ − y)s/(μ + s) and (y + s)μs/(μ + s)²
    slope = (mean - y) * shape / (mean + shape)
    weights = (y + shape) * mean * shape / (mean + shape) ** 2
    return columns, weights, -slope / weights


def test_leverages_and_changes_are_those_of_the_dense_equations():
    X, y, days = negative_binomial()
    model = MixedNegativeBinomialRegressor(["g", "h"]).fit(X, y, exposure=days)
    columns, weights, error = dense_equations(model, X, y, days)
    n_random = columns.shape[1] - 2
    penalty = np.diag(np.append(np.ones(n_random), np.zeros(2)))
    found = influence(model, X, y, exposure=days)
    inverse = np.linalg.inv(columns.T @ (weights[:, None] * columns) + penalty)
    hat = weights * np.einsum("ij,jk,ik->i", columns, inverse, columns)
    # Two exact computations; weights of the search's end
    assert_allclose(found["leverage"], hat, rtol=1e-7)
    assert_allclose(found["leverage"], leverage(model, X, y, exposure=days), rtol=1e-13)
    assert_allclose(found["residual"], y - model.predict(X, exposure=days), rtol=1e-9, atol=1e-9)
    # Without row i the equations C change by −W cc', and their right side by −W c e
    for i in (3, 50):
        c, w = columns[i], weights[i]
        without = np.linalg.inv(inverse) - w * np.outer(c, c)
        change = -np.linalg.solve(without, c * w * error[i])[-2:]
        own = found.filter(like="change_").to_numpy()[i]
        assert_allclose(own, change, rtol=1e-6)


def test_a_row_of_weight_0_has_no_leverage_and_a_response_is_needed():
    X, y, days = negative_binomial()
    weights = np.ones(120)
    weights[7] = 0.0
    model = MixedPoissonRegressor("g").fit(X, y, exposure=days, sample_weight=weights)
    found = influence(model, X, y, exposure=days, sample_weight=weights)
    assert found["leverage"][7] == found["cooks_distance"][7] == 0.0
    assert not found.filter(like="change_").loc[7].any()
    with pytest.raises(ValueError, match="y=None, but only the formula"):
        leverage(model, X, exposure=days, sample_weight=weights)
    with pytest.raises(ValueError, match="exposure=None, but the model was fitted with"):
        cooks_distance(model, X, y, sample_weight=weights)


def test_leverages_are_of_the_fit_and_not_of_rows_after_it():
    X, y, days = negative_binomial()
    model = MixedPoissonRegressor("g", fixed="x").fit(X[:100], y[:100], exposure=days[:100])
    model.update_groups(X[100:], y[100:], exposure=days[100:])
    with pytest.raises(ValueError, match="fit the model to all rows"):
        leverage(model, X, y, exposure=days)
