"""Intervals of predictions: standard errors of glmmTMB, and what the ends are made of.

The numbers of glmmTMB 1.1 are those of predict(type="link", se.fit=TRUE), to 1e-5 of themselves:
what its optimizer leaves.
"""

import numpy as np
import pandas as pd
import pytest
from generalized_models import frame_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    glmer,
)
from skmixed.exceptions import NotEstimableWarning

QUANTILE = stats.norm.ppf(0.975)


def cbpp():
    frame = frame_of("cbpp")
    X = pd.DataFrame({f"period{k}": (frame["period"] == f"{k}") * 1.0 for k in (2, 3, 4)})
    X["herd"] = frame["herd"]
    y = frame["incidence"] / frame["size"]
    model = MixedBinomialRegressor("herd").fit(X, y, sample_weight=frame["size"])
    return model, X, "logit"


def sleep():
    frame = frame_of("sleepstudy_gamma")
    model = MixedGammaRegressor("Subject", random_slopes="Days")
    X = frame[["Days", "Subject"]]
    return model.fit(X, frame["Reaction"]), X, "log"


def ticks():
    frame = frame_of("grouseticks")
    X = pd.DataFrame({f"y{k}": (frame["YEAR"].astype(str) == f"{k}") * 1.0 for k in (96, 97)})
    X = X.assign(height=frame["cHEIGHT"], brood=frame["BROOD"], location=frame["LOCATION"])
    return MixedNegativeBinomialRegressor(["brood", "location"]).fit(X, frame["TICKS"]), X, "log"


# Rows, their η̂ and its standard error, and those of the fixed part.
GLMMTMB = {
    cbpp: (
        [0, 1, 19, 55],
        [-0.80851227, -1.80084456, -1.79880110, -3.50932257],
        [0.37833013, 0.43020006, 0.41756835, 0.55980808],
        [0.23247205, 0.31021398, 0.23247205, 0.43007195],
    ),
    sleep: (
        [0, 9, 54, 179],
        [5.54969098, 6.08386326, 5.70369061, 5.91832681],
        [0.04293923, 0.04491612, 0.02490546, 0.04391322],
        [0.02627629, 0.04493603, 0.02919849, 0.04493603],
    ),
    ticks: (
        [0, 99, 249, 402],
        [-0.44329393, -1.45630354, 2.33669843, 0.14745005],
        [0.71298804, 0.73431018, 0.22227706, 0.58890200],
        [0.19510136, 0.27022287, 0.20832282, 0.21151551],
    ),
}


def on_link(link, mean):
    return np.log(mean / (1.0 - mean)) if link == "logit" else np.log(mean)


@pytest.mark.parametrize("make", GLMMTMB, ids=lambda make: make.__name__)
def test_intervals_of_means_have_the_errors_of_glmmtmb(make):
    (model, X, link), (rows, eta, error, of_fixed) = make(), GLMMTMB[make]
    ends = on_link(link, model.predict_interval(X.iloc[rows], of="mean"))
    assert_allclose(ends.mean(axis=1), eta, rtol=1e-5)
    assert_allclose(np.diff(ends)[:, 0] / (2.0 * QUANTILE), error, rtol=1e-5)
    ends = on_link(link, model.predict_interval(X.iloc[rows], of="mean", include="fixed"))
    assert_allclose(np.diff(ends)[:, 0] / (2.0 * QUANTILE), of_fixed, rtol=1e-5)
    # New groups have the variance of the effects beside that of the fixed part
    groups = model.groups if isinstance(model.groups, list) else [model.groups]
    new = X.iloc[rows].assign(**dict.fromkeys(groups, "new"))
    ends = on_link(link, model.predict_interval(new, of="mean", level=0.8))
    z = np.column_stack([np.ones(len(rows)), X.iloc[rows, 0]])
    between = sum(
        np.einsum("ns,st,nt->n", z[:, : len(cov)], cov.to_numpy(), z[:, : len(cov)])
        for cov in model.covariances_.values()
    )
    expected = np.sqrt(np.square(of_fixed) + between)
    assert_allclose(np.diff(ends)[:, 0] / (2.0 * stats.norm.ppf(0.9)), expected, rtol=1e-5)


def simulated(name, n=300):
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 30, n)})
    eta = 0.4 + 0.5 * X["x"] + 0.8 * rng.normal(size=30)[X["g"]]
    y = rng.poisson(np.exp(eta)) if name == "poisson" else rng.random(n) < 1 / (1 + np.exp(-eta))
    return X, np.asarray(y) * 1.0


def test_intervals_of_counts_hold_their_share_of_draws():
    X, y = simulated("poisson")
    model = MixedPoissonRegressor("g").fit(X, y)
    rows = X[:20].assign(g=lambda own: np.where(own["x"] > 0, own["g"], 99))
    ends = model.predict_interval(rows, level=0.8)
    assert_array_equal(ends, np.rint(ends))
    n = 500
    drawn = model.sample_y(rows, n)
    # At most a tenth lies on either side; draws have the error √(0.09/n), and take the
    # variances as they are estimated
    slack = 5.0 * np.sqrt(0.09 / n) + 0.01
    for outside in (drawn < ends[:, :1], drawn > ends[:, 1:]):
        assert (outside.mean(axis=1) < 0.1 + slack).all()
    # With the ends themselves it is at least that
    for outside in (drawn <= ends[:, :1], drawn >= ends[:, 1:]):
        assert (outside.mean(axis=1) > 0.1 - slack).all()
    mean, sd = model.predict(rows, return_std=True)
    assert_array_equal(mean, model.predict(rows))
    assert_allclose(sd, drawn.std(axis=1), rtol=0.25)


def test_an_exposure_multiplies_means_and_is_asked_for():
    X, y = simulated("poisson")
    exposure = np.full(300, 4.0)
    model = MixedPoissonRegressor("g").fit(X, y, exposure=exposure)
    rates = model.predict_interval(X[:5], of="mean")
    assert_allclose(model.predict_interval(X[:5], of="mean", exposure=exposure[:5]), 4 * rates)
    with pytest.raises(ValueError, match="exposure=None, but the model was fitted with"):
        model.predict_interval(X[:5])
    own = MixedPoissonRegressor("g").fit(X, y)
    expected = own.predict_interval(X[:5])
    # The same model, of two searches
    assert_array_equal(model.predict_interval(X[:5], exposure=exposure[:5]), expected)
    _, sd = model.predict(X[:5], exposure=exposure[:5], return_std=True)
    assert_allclose(sd, own.predict(X[:5], return_std=True)[1], rtol=1e-5)


def test_factors_that_are_not_included_are_new_for_an_observation_alone():
    model, X, _ = ticks()
    rows = X[:8].drop(columns="location")
    only = model.predict_interval(rows, of="mean", include=["brood"])
    assert_array_equal(
        only, model.predict_interval(rows.assign(location="?"), of="mean", include=["brood"])
    )
    new = model.predict_interval(rows.assign(location="?"), of="mean")
    assert (np.diff(new) > np.diff(only)).all()
    observed = model.predict_interval(rows, include=["brood"])
    assert_array_equal(observed, model.predict_interval(rows.assign(location="?")))
    assert_array_equal(model.predict_interval(rows[:1], include=["brood"]), observed[:1])


def test_classes_have_intervals_of_their_probability():
    X, y = simulated("logit")
    model = MixedLogisticClassifier("g", quadrature=9).fit(X, np.where(y > 0, "yes", "no"))
    ends = model.predict_interval(X)
    share = model.predict_proba(X)[:, 1]
    assert ((ends[:, 0] < share) & (share < ends[:, 1])).all()
    with pytest.raises(ValueError, match="of='observation' is there for numbers, and a class is"):
        model.predict_interval(X, of="observation")
    with pytest.raises(ValueError, match="of='both' is not known"):
        model.predict_interval(X, of="both")
    # The same likelihood as proportions of single trials
    alike = MixedBinomialRegressor("g", quadrature=9).fit(X, y)
    assert_allclose(alike.predict_interval(X, of="mean"), ends, rtol=1e-7)


def test_proportions_ask_for_trials():
    model, X, _ = cbpp()
    with pytest.raises(ValueError, match="needs the number of trials of each row"):
        model.predict_interval(X)
    ends = model.predict_interval(X, sample_weight=np.full(len(X), 12))
    assert_allclose(12 * ends, np.rint(12 * ends), atol=1e-12)
    assert ((ends >= 0.0) & (ends <= 1.0)).all()
    _, sd = model.predict(X.assign(herd="new"), return_std=True)
    mean = model.predict(X.assign(herd="new"))
    assert sd.shape == mean.shape


def test_groups_with_further_rows_have_narrower_intervals():
    X, y = simulated("poisson")
    is_first = X["g"].to_numpy() < 29
    model = MixedPoissonRegressor("g").fit(X[is_first], y[is_first])
    before = model.predict_interval(X, of="mean")
    model.update_groups(X[~is_first], y[~is_first])
    after = model.predict_interval(X, of="mean")
    # Other groups keep theirs, to what two orders of sums differ by
    assert_allclose(after[is_first], before[is_first], rtol=1e-7)
    assert (np.diff(after)[~is_first] < 0.8 * np.diff(before)[~is_first]).all()
    whole = MixedPoissonRegressor("g").fit(X, y).predict_interval(X, of="mean")
    assert_allclose(np.diff(after)[~is_first], np.diff(whole)[~is_first], rtol=0.2)


def test_models_without_groups_have_those_of_the_fixed_part():
    X, y = simulated("poisson")
    model = MixedPoissonRegressor(fixed=["x"]).fit(X[["x"]], y)
    ends = np.log(model.predict_interval(X[["x"]], of="mean"))
    from skmixed.inference import vcov

    z = np.column_stack([np.ones(len(X)), X["x"]])
    expected = np.sqrt(np.einsum("np,pq,nq->n", z, vcov(model).to_numpy(), z))
    assert_allclose(np.diff(ends)[:, 0] / (2.0 * QUANTILE), expected, rtol=1e-9)


def test_what_is_not_determined_has_no_interval():
    X, y = simulated("poisson")
    X = X.assign(twice=2.0 * X["x"])
    with pytest.warns(UserWarning, match="depend"):
        model = MixedPoissonRegressor("g").fit(X, y)
    with pytest.warns(NotEstimableWarning):
        ends = model.predict_interval(X[:2].assign(twice=[2.0 * X["x"][0], 50.0]))
    assert np.isfinite(ends[0]).all()
    assert np.isnan(ends[1]).all()
    with pytest.warns(NotEstimableWarning) as told:
        _, sd = model.predict(X[:2].assign(twice=50.0), return_std=True)
    assert len(told) == 1
    assert np.isnan(sd).all()


def test_what_is_asked_for_is_checked():
    X, y = simulated("poisson")
    model = MixedPoissonRegressor("g").fit(X, y)
    for level in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match="level="):
            model.predict_interval(X, level=level)
    with pytest.raises((TypeError, ValueError), match="return_std="):
        model.predict(X, return_std="yes")
    model.set_params(handle_unknown="error")
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        model.predict_interval(X.assign(g=77))
    with pytest.raises(ValueError, match=r"slim|statistics"):
        model.slim().predict_interval(X)


def test_formulas_have_them():
    X, y = simulated("poisson")
    t = np.linspace(1.0, 3.0, len(X))
    frame = X.assign(n=y, t=t)
    by_formula = glmer("n ~ x + offset(np.log(t)) + (1 | g)", frame, family="poisson")
    model = MixedPoissonRegressor("g").fit(X, y, exposure=t)
    for of in ("mean", "observation"):
        found = by_formula.predict_interval(frame[:9], of=of, level=0.9)
        expected = model.predict_interval(X[:9], of=of, level=0.9, exposure=t[:9])
        # Two searches of one model
        assert_allclose(found, expected, rtol=1e-6)
    found, expected = (
        by_formula.predict(frame[:9], return_std=True),
        model.predict(X[:9], exposure=t[:9], return_std=True),
    )
    assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="ddf='normal': intervals of generalized models"):
        by_formula.predict_interval(frame, ddf="normal")


def test_formulas_of_proportions_know_their_trials():
    frame = frame_of("cbpp").assign(rest=lambda own: own["size"] - own["incidence"])
    model = glmer("cbind(incidence, rest) ~ period + (1 | herd)", frame, family="binomial")
    ends = model.predict_interval(frame[:6])
    counts = ends * frame["size"].to_numpy()[:6, None]
    assert_allclose(counts, np.rint(counts), atol=1e-9)
    X, y = simulated("logit")
    rows = X.assign(sick=np.where(y > 0, "yes", "no"))
    classes = glmer("sick ~ x + (1 | g)", rows, family="binomial")
    assert classes.predict_interval(rows[:6], of="mean").shape == (6, 2)
    with pytest.raises(ValueError, match="a class is none"):
        classes.predict_interval(rows[:6])
