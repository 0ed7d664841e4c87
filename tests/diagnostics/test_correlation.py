"""Correlations of residuals by lag, against sums over all pairs."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from repeated_models import STRUCTURES, fitted_model, simulated

from skmixed import MixedLinearRegressor, ResidualCovariance, mmrm
from skmixed.diagnostics import residual_correlation, residuals
from skmixed.inference import coefficient_table


@pytest.fixture(scope="module")
def frame():
    return simulated(4, n_subjects=100, n_times=6)


def features(frame):
    return frame.drop(columns=["y", "weight"])


def direct(frame, own, lag_of, model_of):
    """Sums over all pairs of rows of a subject, by lag."""
    table = {}
    for _, rows in frame.groupby("subject"):
        for i, a in enumerate(rows.index):
            for b in rows.index[:i]:
                lag = lag_of(abs(frame["time"][a] - frame["time"][b]))
                parts = 1.0, own[a] * own[b], (own[a] - own[b]) ** 2 / 2, model_of(a, b)
                table[lag] = table.get(lag, 0.0) + np.array(parts)
    rows = np.array([table[lag] for lag in sorted(table)])
    count, square = rows[:, :1], np.mean(own**2)
    means = rows[:, 1:] / count
    return rows[:, 0], means[:, 0] / square, means[:, 1] / square, means[:, 2]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_they_are_means_over_pairs(frame, structure):
    model = fitted_model(frame, structure, by="arm", heterogeneous=True, weighted=True)
    found = residual_correlation(model, features(frame), frame["y"], sample_weight=frame["weight"])
    R = model.residual_covariance_
    sd = {arm: np.sqrt(np.diagonal(R.loc[arm])) for arm in (0, 1)}
    arm, time = frame["arm"], frame["time"]
    error = residuals(model, features(frame), frame["y"]) * np.sqrt(frame["weight"])
    own = error / [sd[a][t] for a, t in zip(arm, time, strict=True)]

    def correlation(a, b):
        k, s, t = arm[a], time[a], time[b]
        return R.loc[k].loc[s, t] / (sd[k][s] * sd[k][t])

    pairs, values, half, rho = direct(frame, own, lambda lag: lag, correlation)
    assert list(found["lag"]) == [1, 2, 3, 4, 5]
    assert list(found["pairs"]) == list(pairs)
    assert_allclose(found["correlation"], values, rtol=1e-9)
    assert_allclose(found["semivariance"], half, rtol=1e-9)
    # Correlations near 0 keep the digits of 1.
    assert_allclose(found["model"], rho, rtol=1e-9, atol=1e-12)
    assert_allclose(found["model_semivariance"], 1 - rho, rtol=1e-9)


def test_normalized_residuals_have_no_correlation_left(frame):
    model = fitted_model(frame, "unstructured")
    found = residual_correlation(model, features(frame), frame["y"], kind="normalized")
    assert (found["model"] == 0).all()
    # 1/√n from n pairs, with some thirty pairs at the longest lag
    assert (found["correlation"].abs() < 4 / np.sqrt(found["pairs"])).all()


def test_independent_residuals_at_times_that_are_named(frame):
    model = MixedLinearRegressor("subject", fixed=["x"]).fit(features(frame), frame["y"])
    named = {"subject": "subject", "time": "time"}
    found = residual_correlation(model, features(frame), frame["y"], **named)
    own = residuals(model, features(frame), frame["y"]) / model.sigma_
    pairs, values, *_ = direct(frame, own, lambda lag: lag, lambda *_: 0.0)
    assert list(found["pairs"]) == list(pairs)
    assert_allclose(found["correlation"], values, rtol=1e-9)
    with pytest.raises(ValueError, match="subject=None, but the model has no residual covariance"):
        residual_correlation(model, features(frame), frame["y"], time="time")
    with pytest.raises(ValueError, match="time='day' is not a column of X"):
        residual_correlation(model, features(frame), frame["y"], subject="subject", time="day")
    data = features(frame).assign(day=frame["time"].astype(str))
    model.fit(data.drop(columns="day").assign(day=0.0), frame["y"])
    with pytest.raises(ValueError, match="time='day' is no column of numbers"):
        residual_correlation(model, data.assign(day="a"), frame["y"], subject="subject", time="day")


def test_irregular_times_are_binned(frame):
    rng = np.random.default_rng(0)
    data = frame.assign(time=rng.uniform(0, 9, len(frame)))
    model = fitted_model(data, "exponential")
    found = residual_correlation(model, features(data), data["y"], bins=6)
    span = data.groupby("subject")["time"].agg(np.ptp).max()
    edges = np.linspace(0, span / 2, 7)
    pairs = direct(data, data["y"], lambda lag: np.searchsorted(edges, lag), lambda *_: 0.0)[0]
    assert list(found["pairs"]) == list(pairs[:6])
    assert found["lag"].is_monotonic_increasing
    assert len(residual_correlation(model, features(data), data["y"])) == 15
    by_edges = residual_correlation(model, features(data), data["y"], bins=edges)
    pd.testing.assert_frame_equal(by_edges, found)


def test_a_long_series_has_its_first_steps():
    n = 3000
    frame = pd.DataFrame({"subject": 0, "time": 0.5 * np.arange(n)})
    y = np.convolve(np.random.default_rng(0).normal(size=n), [1, 1], "same")
    model = MixedLinearRegressor(fixed=[]).fit(frame, y)
    found = residual_correlation(model, frame, y, subject="subject", time="time")
    assert_allclose(found["lag"], 0.5 * np.arange(1, 21))
    # A moving average of two has the correlation ½ at one step, known to 1/√n.
    assert_allclose(found["correlation"], [0.5, *19 * [0.0]], atol=4 / np.sqrt(n))


def test_rows_that_a_formula_leaves_out(frame):
    data = frame.assign(visit="V" + frame["time"].astype(str))
    data.loc[3, "y"] = np.nan
    model = mmrm("y ~ x + visit + us(visit | subject)", data)
    found = residual_correlation(model, data)
    assert found["pairs"].sum() < residual_correlation(model, data.fillna(0.0))["pairs"].sum()
    assert list(found["lag"]) == [1, 2, 3, 4, 5]


def test_subjects_with_single_rows_have_no_pairs(frame):
    first = frame.drop_duplicates("subject")
    model = MixedLinearRegressor(fixed=["x"]).fit(features(first), first["y"])
    with pytest.raises(ValueError, match="No subject has rows at two times"):
        residual_correlation(model, features(first), first["y"], subject="subject", time="time")


def test_lags_of_text_are_refused_where_its_order_is_not_known(frame):
    data = frame.assign(visit="V" + (9 + frame["time"]).astype(str))
    model = mmrm("y ~ x + us(visit | subject)", data)
    with pytest.raises(
        ValueError, match=r"order is V10, V11, V12, V13 .*the lag of residuals depends"
    ):
        residual_correlation(model, data)
    ordered = data.assign(visit=pd.Categorical(data["visit"], [f"V{9 + k}" for k in range(6)]))
    found = residual_correlation(mmrm("y ~ x + us(visit | subject)", ordered), ordered)
    by_number = residual_correlation(
        fitted_model(frame, "unstructured"), features(frame), frame["y"]
    )
    assert list(found["pairs"]) == list(by_number["pairs"])


def test_a_long_irregular_series_takes_some_neighbors_of_each_row():
    rng = np.random.default_rng(0)
    n = 4000
    X = pd.DataFrame({"x": rng.normal(size=n), "subject": 1, "time": rng.uniform(0, n, n)})
    order, gap = np.argsort(X["time"]), np.diff(np.sort(X["time"]))
    error = np.empty(n)
    error[order[0]] = rng.normal()
    for k in range(1, n):
        r = 0.8 ** gap[k - 1]
        error[order[k]] = r * error[order[k - 1]] + np.sqrt(1 - r**2) * rng.normal()
    residual = ResidualCovariance("exponential", subject="subject", time="time")
    model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, X["x"] + error)
    found = residual_correlation(model, X, X["x"] + error)
    assert len(found) == 15
    # 200 rows lie within 200 units or so
    assert found["lag"].iloc[-1] == pytest.approx(193, rel=0.1)
    assert found["pairs"].sum() == pytest.approx(200 * n, rel=0.1)
    # Whole bins of the model's correlation
    assert found["model"].iloc[0] > 5 * found["model"].iloc[1]


def test_a_covariance_at_thousands_of_times_is_not_shown():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=1500), "subject": 1, "time": np.arange(1500)})
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, rng.normal(size=1500))
    with pytest.raises(AttributeError, match="at 1,500 times have no matrix"):
        _ = model.residual_covariance_
    with pytest.raises(ValueError, match="all rows are of one"):
        coefficient_table(model, robust="CR2")
