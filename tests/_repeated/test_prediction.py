"""Predictions by the covariance of residuals, against the conditional distribution from V."""

import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from repeated_models import fitted_model, simulated

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance
from skmixed.datasets import load_sleepstudy

AR1 = ResidualCovariance("ar1", subject="Subject", time="Days")
NEW = pd.DataFrame({"Days": [10, 12, 5], "Subject": ["308", "308", "new"]})


@pytest.fixture(scope="module")
def sleepstudy():
    return load_sleepstudy(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module", params=[None, "Subject", "slopes"])
def model(request, sleepstudy):
    groups = RandomEffect("Subject", "Days", covariance="diag")
    return MixedLinearRegressor(
        groups if request.param == "slopes" else request.param, residual=AR1
    ).fit(*sleepstudy)


def conditional(model, X, y, new):
    """Mean and standard deviation of new responses given y, β estimated from y."""
    rows, n = pd.concat([X, new], ignore_index=True), len(y)
    days, subject = rows["Days"].to_numpy(), rows["Subject"].astype(object).to_numpy()
    components = model.variance_components_.set_index(["group", "name"])
    own = components.loc[("residual", "")]
    V = own["variance"] * own["corr"] ** np.abs(days[:, None] - days)
    if ("Subject", "(Intercept)") in components.index:
        V += components.loc[("Subject", "(Intercept)"), "variance"]
    if ("Subject", "Days") in components.index:
        V += components.loc[("Subject", "Days"), "variance"] * np.outer(days, days)
    V *= subject[:, None] == subject
    D = np.column_stack([np.ones(len(days)), days])
    inverse = np.linalg.inv(V[:n, :n])
    of_beta = np.linalg.inv(D[:n].T @ inverse @ D[:n])
    beta = of_beta @ D[:n].T @ inverse @ y
    weights = V[n:, :n] @ inverse
    left = D[n:] - weights @ D[:n]
    mean = D[n:] @ beta + weights @ (y - D[:n] @ beta)
    return mean, np.sqrt(np.diag(V[n:, n:] - weights @ V[:n, n:] + left @ of_beta @ left.T))


def test_further_rows_of_a_subject_are_predicted_by_those_before(model, sleepstudy):
    X, y = sleepstudy
    mean, sd = conditional(model, X, y.to_numpy(), NEW)
    found = model.predict(NEW, return_std=True)
    np.testing.assert_allclose(found[0], mean, rtol=1e-10)
    np.testing.assert_allclose(found[1], sd, rtol=1e-9)
    np.testing.assert_array_equal(model.predict(NEW), found[0])


def test_a_row_of_the_fit_is_predicted_from_all_others(model, sleepstudy):
    X, y = sleepstudy
    mean, sd = model.predict(X, return_std=True)
    for k in (0, 5, 100):
        others = np.arange(len(y)) != k
        own = conditional(model, X[others], y.to_numpy()[others], X[k : k + 1])
        np.testing.assert_allclose((mean[k], sd[k]), np.ravel(own), rtol=1e-9)


def solved(matrix, right):
    """Solve for rows of fractions by elimination; where R is nearly singular floats would err."""
    rows = [[*a, *b] for a, b in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k, row in enumerate(rows):
            if k != i and row[i]:
                rows[k] = [v - row[i] * w for v, w in zip(row, rows[i], strict=True)]
    return np.array([row[len(rows) :] for row in rows], dtype=object)


@pytest.mark.filterwarnings("ignore:The estimated covariance")
def test_rows_predicted_from_others_whose_covariance_is_nearly_singular():
    frame = simulated(5, n_subjects=8, n_times=3, missing=0.3)
    model = fitted_model(frame, "compound_symmetry", by="arm")
    phi = model._model.solution.residual.phi
    # 1 + 2ρ = 3.4e-8 in one arm, whose only subject with three rows has R of this
    share = [Fraction(1 / (1 + float(np.exp(-own[1])))) for own in phi]
    rho = [Fraction(-1, 2) + Fraction(3, 2) * own for own in share]
    assert 0 < 1 + 2 * rho[1] < 1e-7
    variance = [Fraction(float(np.exp(2 * own[0]))) for own in phi]
    X, arm, subject = frame.drop(columns=["y", "weight"]), frame["arm"], frame["subject"]
    V = [
        [variance[a] * (1 if i == j else rho[a]) * int(own == other) for j, other in at]
        for i, (a, own) in enumerate(zip(arm, subject, strict=True))
        for at in [list(enumerate(subject))]
    ]
    columns = X[["x", "arm", "time"]].to_numpy(float)
    D = np.array([[Fraction(1), *map(Fraction, row)] for row in columns], dtype=object)
    y = np.array([[Fraction(v)] for v in frame["y"]], dtype=object)
    with_y = solved(V, np.hstack([D, y, np.array(np.eye(len(y), dtype=int), dtype=object)]))
    ViD, Viy, inverse = with_y[:, :4], with_y[:, 4:5], with_y[:, 5:]
    of_beta = solved(D.T @ ViD, ViD.T)
    P = inverse - ViD @ of_beta
    diagonal = np.array([float(P[i, i]) for i in range(len(y))])
    Py = Viy - ViD @ (of_beta @ y)
    mean = [float(y[i, 0] - Py[i, 0] / P[i, i]) for i in range(len(y))]
    found = model.predict(X, return_std=True)
    # A = R⁻¹ of 1e8 in units of P leaves eight digits
    np.testing.assert_allclose(found[1], 1 / np.sqrt(diagonal), rtol=1e-6)
    np.testing.assert_allclose(found[0], mean, rtol=1e-6)


def test_means_have_the_effects_and_no_residuals(model):
    fixed = model.predict(NEW, include="fixed")
    effects = model.predict(NEW, include=list(model.random_effects_))
    interval = model.predict_interval(NEW, of="mean")
    np.testing.assert_allclose(interval.mean(axis=1), effects)
    assert model.predict(NEW)[2] == pytest.approx(fixed[2])
    assert (model.predict(NEW)[:2] != effects[:2]).all()


def test_intervals_of_observations_have_the_predicted_sd(model):
    mean, sd = model.predict(NEW, return_std=True)
    interval = model.predict_interval(NEW, ddf="normal")
    np.testing.assert_allclose(interval.mean(axis=1), mean)
    np.testing.assert_allclose(np.diff(interval)[:, 0], 2 * 1.959963984540054 * sd)


def test_a_prediction_does_not_depend_on_other_rows(model):
    together = model.predict(NEW)
    alone = [model.predict(NEW[k : k + 1])[0] for k in range(len(NEW))]
    np.testing.assert_allclose(together, alone, rtol=1e-14)


@pytest.mark.parametrize("unit", [1.0, 40.0])
def test_outer_effects_and_weights(unit):
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "site": np.repeat(np.arange(4), 100),
            "subject": np.repeat(np.arange(100), 4),
            "visit": np.tile(np.arange(4), 100),
            "x": rng.normal(size=n),
        }
    )
    effect = 2 * rng.normal(size=4)
    y = frame["x"] + effect[frame["site"]] + rng.normal(size=(100, 4)).cumsum(axis=1).ravel()
    weights = unit * rng.uniform(0.5, 2, n)
    residual = ResidualCovariance("ar1", subject="subject", time="visit")
    model = MixedLinearRegressor("site", fixed=["x"], residual=residual)
    model.fit(frame, y, sample_weight=weights)
    # V in full, in the order of the rows
    own = model.variance_components_
    site, noise = own["variance"]
    rho = own["corr"].iloc[-1]
    rows = pd.concat([frame, frame[:1].assign(visit=4), frame[:1].assign(subject=-1, site=9)])
    root = 1 / np.sqrt(np.append(weights, [1, 1]))
    same = [rows[c].to_numpy()[:, None] == rows[c].to_numpy() for c in ("site", "subject")]
    lag = np.abs(rows["visit"].to_numpy()[:, None] - rows["visit"].to_numpy())
    V = site * same[0] + noise * same[1] * rho**lag * np.outer(root, root)
    D = np.column_stack([np.ones(n + 2), rows["x"]])
    inverse = np.linalg.inv(V[:n, :n])
    of_beta = np.linalg.inv(D[:n].T @ inverse @ D[:n])
    beta = of_beta @ D[:n].T @ inverse @ y
    c = V[n:, :n] @ inverse
    left = D[n:] - c @ D[:n]
    sd = np.sqrt(np.diag(V[n:, n:] - c @ V[:n, n:] + left @ of_beta @ left.T))
    found = model.predict(rows[n:], return_std=True)
    np.testing.assert_allclose(found[0], D[n:] @ beta + c @ (y - D[:n] @ beta), rtol=1e-9)
    np.testing.assert_allclose(found[1], sd, rtol=1e-8)


@pytest.mark.parametrize("groups", [None, RandomEffect("Subject", "Days", covariance="diag")])
def test_further_rows_are_learned_with_the_model_kept(groups, sleepstudy):
    X, y = sleepstudy
    is_new = X["Subject"] == "372"
    later = (X["Subject"] == "308") & (X["Days"] > 6)
    known, last = ~(is_new | later), (is_new | later) & (X["Days"] == 9)
    more = (is_new | later) & ~last
    model = MixedLinearRegressor(groups, residual=AR1).fit(X[known], y[known])
    fixed, components = model.fixed_effects_.copy(), model.variance_components_
    half, rest = X[more].index[:4], X[more].index[4:]
    model.update_groups(X.loc[half], y[half]).update_groups(X.loc[rest], y[rest])
    pd.testing.assert_series_equal(model.fixed_effects_, fixed)
    pd.testing.assert_frame_equal(model.variance_components_, components)
    # Given β̂ and its covariance of the fit, from V of all rows in full
    rows = pd.concat([X[known], X[more], X[last]])
    seen, of_fit = int((known | more).sum()), int(known.sum())
    days, subject = rows["Days"].to_numpy(), rows["Subject"].astype(object).to_numpy()
    own = components.set_index(["group", "name"])
    rho = own["corr"]["residual", ""]
    V = own["variance"]["residual", ""] * rho ** np.abs(days[:, None] - days)
    if groups is not None:
        V += own["variance"]["Subject", "(Intercept)"]
        V += own["variance"]["Subject", "Days"] * np.outer(days, days)
    V *= subject[:, None] == subject
    D = np.column_stack([np.ones(len(days)), days])
    response = np.concatenate([y[known], y[more]])
    weights = V[seen:, :seen] @ np.linalg.inv(V[:seen, :seen])
    mean = D[seen:] @ fixed + weights @ (response - D[:seen] @ fixed)
    first = D[:of_fit]
    of_beta = np.linalg.inv(first.T @ np.linalg.inv(V[:of_fit, :of_fit]) @ first)
    left = D[seen:] - weights @ D[:seen]
    given = V[seen:, seen:] - weights @ V[:seen, seen:]
    sd = np.sqrt(np.diag(given + left @ of_beta @ left.T))
    found = model.predict(X[last], return_std=True)
    np.testing.assert_allclose(found[0], mean, rtol=1e-9)
    np.testing.assert_allclose(found[1], sd, rtol=1e-9)


@pytest.mark.parametrize(
    ("residual", "match"),
    [
        (AR1.set_params(heterogeneous=True), "Time 9 of 'Days' was not seen .*'heterogeneous ar1'"),
        (AR1.set_params(structure="toeplitz"), "Time 9 of 'Days' was not seen .*'toeplitz' says"),
        (AR1.set_params(by="arm"), "Stratum 'c' of 'arm' was not seen in fit"),
    ],
)
def test_further_rows_without_parameters(residual, match, sleepstudy):
    X, y = sleepstudy
    early = X["Days"] < 9
    X = X.assign(arm=np.where(early, np.where(X["Subject"].astype(str) < "340", "a", "b"), "c"))
    model = MixedLinearRegressor(residual=residual, fixed=["Days"]).fit(X[early], y[early])
    with pytest.raises(ValueError, match=match):
        model.update_groups(X[~early], y[~early])
    assert model._model.before is None


@pytest.mark.parametrize("is_date", [False, True])
@pytest.mark.parametrize("structure", ["ar1", "exponential", "gaussian", "compound_symmetry"])
def test_times_of_further_rows_are_those_of_the_fit(structure, is_date, sleepstudy):
    X, y = sleepstudy
    start = pd.Timestamp("2020-01-01")
    day = start + pd.to_timedelta(X["Days"], unit="D") if is_date else X["Days"]
    X = X.assign(day=day, x=np.log1p(X["Days"]))
    # The fit sees every second day, two of the middle; the rest comes before, between and after.
    is_known = X["Days"].isin([3, 5, 7])
    is_new = X["Days"].isin([1, 9]) if structure == "ar1" else ~is_known & (X["Days"] != 8)
    residual = ResidualCovariance(structure, subject="Subject", time="day")
    model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X[is_known], y[is_known])
    own = model.variance_components_.iloc[-1]
    model.update_groups(X[is_new], y[is_new])
    model = pickle.loads(pickle.dumps(model))
    seen, last = is_known | is_new, X["Days"] == (1 if structure == "ar1" else 8)
    further = X[last & ~seen]
    rows = pd.concat([X[seen], further])
    days, subject = rows["Days"].to_numpy(float), rows["Subject"].astype(object).to_numpy()
    lag = np.abs(days[:, None] - days)
    power = {"ar1": lag / 2, "exponential": lag, "gaussian": lag**2, "compound_symmetry": lag > 0}
    V = own["variance"] * own["corr"] ** power[structure] * (subject[:, None] == subject)
    n, D = int(seen.sum()), np.column_stack([np.ones(len(rows)), rows["x"]])
    error = y[seen] - D[:n] @ model.fixed_effects_
    # Rows of the fit and the further ones, each from all others
    precision = np.linalg.inv(V[:n, :n])
    left_out = y[seen] - precision @ error / np.diag(precision)
    np.testing.assert_allclose(model.predict(X[seen]), left_out, rtol=1e-9)
    if structure == "ar1":  # all times are seen
        assert not len(further)
        return
    mean = D[n:] @ model.fixed_effects_ + V[n:, :n] @ precision @ error
    np.testing.assert_allclose(model.predict(further), mean, rtol=1e-9)


def test_strata_within_the_levels_of_a_random_effect():
    # Sites hold subjects of both arms; a known subject has its own arm's covariance.
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "site": np.repeat(np.arange(12), 12),
            "subject": np.repeat(np.arange(36), 4),
            "visit": np.tile(np.arange(4), 36),
            "arm": np.repeat(np.tile(["a", "b"], 18), 4),
        }
    )
    frame["x"] = rng.normal(size=len(frame))
    size = np.where(frame["arm"] == "a", 1.0, 3.0)
    y = frame["x"] + 4 * np.repeat(rng.normal(size=12), 12)
    y = y + size * rng.normal(size=(36, 4)).cumsum(axis=1).ravel()
    residual = ResidualCovariance("ar1", subject="subject", time="visit", by="arm")
    model = MixedLinearRegressor("site", fixed=["x"], residual=residual).fit(frame, y)
    own = model.variance_components_
    site, strata = own["variance"].iloc[0], own.iloc[1:]
    variance = dict(zip("ab", strata["variance"].dropna(), strict=True))
    rho = dict(zip("ab", strata["corr"].dropna(), strict=True))
    new = frame[:8].assign(visit=4)[3::4]
    rows = pd.concat([frame, new, new.assign(subject=[-1, -2])])
    n, arm = len(frame), rows["arm"].to_numpy()
    same = [rows[c].to_numpy()[:, None] == rows[c].to_numpy() for c in ("site", "subject")]
    lag = np.abs(rows["visit"].to_numpy()[:, None] - rows["visit"].to_numpy())
    scale = np.array([variance[a] for a in arm])[:, None]
    V = site * same[0] + same[1] * scale * np.array([rho[a] for a in arm])[:, None] ** lag
    D, inverse = np.column_stack([np.ones(len(rows)), rows["x"]]), np.linalg.inv(V[:n, :n])
    of_beta = np.linalg.inv(D[:n].T @ inverse @ D[:n])
    c = V[n:, :n] @ inverse
    left = D[n:] - c @ D[:n]
    sd = np.sqrt(np.diag(V[n:, n:] - c @ V[:n, n:] + left @ of_beta @ left.T))
    mean = D[n:] @ of_beta @ D[:n].T @ inverse @ y
    mean = mean + c @ (y - D[:n] @ of_beta @ D[:n].T @ inverse @ y)
    found = model.predict(rows[n:], return_std=True)
    np.testing.assert_allclose(found[0], mean, rtol=1e-9)
    np.testing.assert_allclose(found[1], sd, rtol=1e-8)
    # What a known subject is given beside does not change its covariance
    other = new.assign(arm=["b", "a"])
    np.testing.assert_array_equal(model.predict(other, return_std=True), [f[:2] for f in found])


def test_degrees_of_freedom_that_predictions_do_not_have(model):
    with pytest.raises(ValueError, match="ddf='satterthwaite' is no method for predictions by a"):
        model.predict_interval(NEW, ddf="satterthwaite")
