"""Draws of models with a residual covariance, against their distribution from V in full.

Tolerances: over n draws the mean of a response with standard deviation s has the error s/√n, and
an entry of a covariance matrix at most √2 s²/√n. Five of these errors, and seeds are fixed.
"""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from repeated_models import fitted_model, simulated
from scipy.signal import lfilter

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance

N = 1000
ERRORS = 5.0 / np.sqrt(N)
GROUPS = {
    "none": [],
    "outer": ["rater"],
    "inner": [RandomEffect("subject", "x", covariance="diag")],
    "both": ["rater", RandomEffect("subject", "x", intercept=False)],
}
each_model = pytest.mark.parametrize("groups", GROUPS)


@pytest.fixture(scope="module")
def frame():
    data = simulated(11, n_subjects=40)
    rng = np.random.default_rng(1)
    own = rng.normal(size=(2, 40))[:, data["subject"]]
    y = data["y"] + own[0] + own[1] * data["x"] + 2.0 * data["rater"]
    return data.assign(y=y)


def features(frame):
    return frame.drop(columns=["y", "weight"])


def asked(frame):
    """Rows of the fit, later ones of the same and other subjects, and new subjects; mixed."""
    fit, later = frame.iloc[:6], frame.iloc[3:9].assign(time=[7, 8, 7, 9, 7, 8], x=0.3)
    new = frame.iloc[:5].assign(subject=[100, 101, 100, 101, 100], time=[2, 0, 1, 3, 0])
    again = later.iloc[:3].assign(time=[10, 11, 12])
    out = pd.concat([fit, later, new, again]).sample(frac=1, random_state=0)
    return features(out).reset_index(drop=True)


def check_moments(samples, mean, covariance):
    sd = np.sqrt(np.diagonal(covariance))
    assert (np.abs(samples.mean(axis=1) - mean) < ERRORS * sd).all()
    off = np.abs(np.cov(samples) - covariance)
    assert (off < ERRORS * np.sqrt(2) * np.outer(sd, sd)).all()


def covariances(model, rows, of_trajectory, power=1):
    """Covariance of effects and residuals of rows of weight 1; residuals of one trajectory."""
    components = model.variance_components_.set_index(["group", "name"])
    own = components.loc[("residual", "")]
    lag = np.abs(rows["time"].to_numpy()[:, None] - rows["time"].to_numpy())
    residual = (
        own["variance"] * own["corr"] ** (lag**power) * (of_trajectory[:, None] == of_trajectory)
    )
    effects, columns = np.zeros_like(residual), rows.assign(**{"(Intercept)": 1.0})
    for group, name in components.index[:-1]:
        z = columns[name].to_numpy(dtype=float)
        same = rows[group].to_numpy()[:, None] == rows[group].to_numpy()
        effects += components.loc[(group, name), "variance"] * np.outer(z, z) * same
    return effects, residual


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "structure"), list(zip(GROUPS, ["ar1", "gaussian"] * 2, strict=True))
)
def test_known_subjects_are_drawn_given_the_data(frame, structure, groups):
    model = fitted_model(frame, structure, groups=GROUPS[groups] or None, weighted=True)
    new, n = asked(frame), len(frame)
    rows = pd.concat([features(frame), new], ignore_index=True)
    # Times of the fit are measured again; other times go on with the residuals of the fit
    is_fit = rows["time"] < 5
    is_again = is_fit & (rows.index >= n)
    trajectory = rows["subject"].to_numpy() + 1000 * is_again.to_numpy()
    power = 2 if structure == "gaussian" else 1
    effects, residual = covariances(model, rows, trajectory, power)
    weights = np.random.default_rng(2).uniform(0.5, 2.0, len(new))
    root = 1.0 / np.sqrt(np.append(frame["weight"], weights))
    V = effects + residual * np.outer(root, root)
    D = np.column_stack([np.ones(len(rows)), rows[["x", "arm", "time"]]])
    inverse = np.linalg.inv(V[:n, :n])
    of_beta = np.linalg.inv(D[:n].T @ inverse @ D[:n])
    beta = of_beta @ D[:n].T @ inverse @ frame["y"]
    seen = V[n:, :n] @ inverse
    left = D[n:] - seen @ D[:n]
    mean = D[n:] @ beta + seen @ (frame["y"] - D[:n] @ beta)
    covariance = V[n:, n:] - seen @ V[:n, n:] + left @ of_beta @ left.T
    samples = model.sample_y(new, N, sample_weight=weights)
    check_moments(samples, mean, covariance)


@pytest.mark.slow
@each_model
def test_new_subjects_are_drawn_as_the_model_says(frame, groups):
    model, new = fitted_model(frame, "ar1", groups=GROUPS[groups] or None), asked(frame)
    effects, residual = covariances(model, new, new["subject"].to_numpy())
    samples = model.sample_y(new, N, effects="new")
    check_moments(samples, model.predict(new, include="fixed"), effects + residual)


@pytest.mark.parametrize("structure", ["unstructured", "ante_dependence", "toeplitz"])
def test_strata_have_covariances_of_their_own(frame, structure):
    model = fitted_model(frame, structure, by="arm")
    new = pd.DataFrame({"subject": np.repeat([500, 501], 4), "time": [3, 1, 0, 2] * 2, "x": 0.0})
    new["arm"], new["rater"] = np.repeat([0, 1], 4), 0
    new = new[features(frame).columns]
    covariance = np.zeros((8, 8))
    for arm in (0, 1):
        own = slice(4 * arm, 4 * arm + 4)
        times = new["time"][own]
        covariance[own, own] = model.residual_covariance_.loc[arm].loc[times, times]
    samples = model.sample_y(new, N, effects="new")
    check_moments(samples, model.predict(new, include="fixed"), covariance)


@pytest.mark.parametrize("effects", ["conditional", "new"])
def test_same_seed_same_samples(frame, effects):
    model, new = fitted_model(frame, "ar1", groups=GROUPS["both"]), asked(frame)
    samples = model.sample_y(new, 5, 3, effects=effects)
    assert_array_equal(samples, model.sample_y(new, 5, 3, effects=effects))
    assert_array_equal(samples[:, :2], model.sample_y(new, 2, 3, effects=effects))
    assert not np.isin(samples, model.sample_y(new, 5, 4, effects=effects)).any()


def test_further_rows_of_update_groups_count(frame):
    early = frame["time"] < 3
    model = fitted_model(frame[early], "ar1", groups="rater")
    model.update_groups(features(frame[~early]), frame.loc[~early, "y"])
    new = features(frame[~early]).head(8).assign(time=5)
    mean, sd = model.predict(new, return_std=True)
    samples = model.sample_y(new, N)
    assert (np.abs(samples.mean(axis=1) - mean) < ERRORS * sd).all()
    assert_allclose(samples.std(axis=1), sd, rtol=ERRORS)


def test_rows_at_one_time_are_one_residual(frame):
    model = fitted_model(frame, "exponential")
    row = features(frame).iloc[:1].assign(time=9)
    samples = model.sample_y(pd.concat([row, row]), 3)
    assert_allclose(samples[0], samples[1], rtol=1e-14)


def test_a_long_series():
    # A matrix over its rows would have 10⁹ entries.
    n = 32_000
    rng = np.random.default_rng(0)
    at = rng.permutation(2 * n)[:n]
    frame = pd.DataFrame({"subject": 0, "time": at * 1.0})
    frame.loc[:9, "subject"] = 1
    y = lfilter([1.0], [1.0, -0.5], rng.normal(size=2 * n))[at]
    residual = ResidualCovariance("exponential", subject="subject", time="time")
    model = MixedLinearRegressor(fixed=[], residual=residual).fit(frame, y)
    samples = model.sample_y(frame, 2, effects="new")
    assert samples.std() == pytest.approx(model.sigma_, rel=0.02)
    between = model.sample_y(frame.assign(time=frame["time"] + 0.5), 2)
    assert between.std() == pytest.approx(model.sigma_, rel=0.02)


def test_variances_alone(frame):
    residual = ResidualCovariance("independent", by="arm")
    model = MixedLinearRegressor("rater", fixed=["x", "arm", "time"], residual=residual)
    model.fit(features(frame), frame["y"])
    new = features(frame).head(10)
    mean, sd = model.predict(new, return_std=True)
    samples = model.sample_y(new, N)
    assert (np.abs(samples.mean(axis=1) - mean) < ERRORS * sd).all()
    assert_allclose(samples.std(axis=1), sd, rtol=ERRORS)


def test_more_rows_than_a_negative_correlation_allows():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 3))
    noise -= 0.95 * noise.mean(axis=1, keepdims=True)
    frame = pd.DataFrame({"subject": np.repeat(np.arange(60), 3)})
    residual = ResidualCovariance("compound_symmetry", subject="subject")
    model = MixedLinearRegressor(fixed=[], residual=residual).fit(frame, noise.ravel())
    assert model.sample_y(frame, effects="new").shape == (180, 1)
    with pytest.raises(ValueError, match="no covariance for the times of some subject"):
        model.sample_y(pd.DataFrame({"subject": [0] * 5}), effects="new")
