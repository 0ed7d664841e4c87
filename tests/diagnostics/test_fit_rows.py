"""Rows of the fit, given again: those of others are told by their sums, in each way to ask."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import (
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
    ResidualCovariance,
    lmer,
)
from skmixed.datasets import load_sleepstudy
from skmixed.diagnostics import cooks_distance, group_influence, influence, leverage, residuals

CALLS = {
    "influence": influence,
    "Cook's distance": cooks_distance,
    "standardized residuals": lambda model, X, y, **given: residuals(
        model, X, y, "standardized", **given
    ),
    "influence of groups": lambda model, X, y, **given: group_influence(
        model, X, y, theta="fixed", **given
    ),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
each_of_rows = pytest.mark.parametrize("call", [influence, cooks_distance])


@pytest.fixture(scope="module")
def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 180)
    model = MixedLinearRegressor("Subject", random_slopes="Days")
    return model.fit(X, y, sample_weight=weights), X, y, weights


@each_call
def test_rows_of_the_fit_in_any_order_and_to_seven_digits(call, sleepstudy):
    model, X, y, weights = sleepstudy
    turned = np.random.default_rng(1).permutation(180)
    expected = np.asarray(call(model, X, y, sample_weight=weights))
    rows = X.iloc[turned], y.iloc[turned]
    found = np.asarray(call(model, *rows, sample_weight=weights[turned]))
    if len(found) == 180:
        found = found[np.argsort(turned)]
    assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    short = np.array([float(f"{own:.6e}") for own in y])
    call(model, X, short, sample_weight=np.round(weights, 6))


@each_call
def test_other_rows_are_refused(call, sleepstudy):
    model, X, y, weights = sleepstudy
    with pytest.raises(ValueError, match=r"X has 170 rows .* the fit had 180\. .*all rows that"):
        call(model, X[10:], y[10:], sample_weight=weights[10:])
    other = X.assign(Subject=X["Subject"].replace("308", "nobody"))
    with pytest.raises(ValueError, match="levels of 'Subject' in X are not those of the fit"):
        call(model, other, y, sample_weight=weights)
    other = X.assign(Subject=X["Subject"].where(np.arange(180) != 0, "309"))
    with pytest.raises(ValueError, match="other numbers of rows by 'Subject'"):
        call(model, other, y, sample_weight=weights)
    message = "X, y and the weights have other sums of products than those of the fit"
    for rows, response, own in (
        (X, y + np.eye(180)[7], weights),
        (X.assign(Days=X["Days"].to_numpy()[::-1]), y, weights),
        (X, y, np.roll(weights, 1)),
        (X, y, np.ones(180)),
    ):
        with pytest.raises(ValueError, match=message):
            call(model, rows, response, sample_weight=own)


@each_call
def test_labels_of_groups_of_one_size_that_changed_places_are_refused(call, sleepstudy):
    """All sums over all rows stay, and all numbers of rows; those over each group do not."""
    model, X, y, weights = sleepstudy
    names = {"308": "309", "309": "308"}
    swapped = X.assign(Subject=[names.get(own, own) for own in X["Subject"]])
    with pytest.raises(ValueError, match="have other sums of products"):
        call(model, swapped, y, sample_weight=weights)


def test_constant_slopes_within_groups_are_told_by_their_values():
    """A slope whose column is at its mean in a group leaves nothing there but rounding."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"g": np.repeat(np.arange(8), 6), "x": rng.normal(size=48) + 1e3})
    X.loc[X["g"] == 3, "x"] = 1e3
    y = rng.normal(size=48) + rng.normal(size=8)[X["g"]]
    model = MixedLinearRegressor("g", random_slopes="x").fit(X, y)
    assert len(influence(model, X.assign(x=X["x"] + 1e-10), y)) == 48
    with pytest.raises(ValueError, match="have other sums of products"):
        influence(model, X.assign(x=X["x"] + 1e-3 * (X["g"] == 3)), y)


@each_call
def test_the_frame_of_a_formula_with_an_offset(call):
    X, y = load_sleepstudy(return_X_y=True)
    frame = X.assign(Reaction=y, known=np.sin(np.arange(180.0)))
    model = lmer("Reaction ~ Days + offset(known) + (1 | Subject)", frame)
    call(model, frame, None)
    with pytest.raises(ValueError, match="have other sums of products"):
        call(model, frame.assign(known=frame["known"][::-1].to_numpy()), None)


def test_leverages_and_other_residuals_are_of_any_rows(sleepstudy):
    model, X, y, weights = sleepstudy
    given = {"sample_weight": weights}
    whole = leverage(model, X, **given)
    assert_allclose(leverage(model, X[:9], sample_weight=weights[:9]), whole[:9], rtol=1e-10)
    for kind in ("conditional", "marginal", "pearson", "normalized"):
        every = residuals(model, X, y, kind, **given)
        part = residuals(model, X[:9], y[:9], kind, sample_weight=weights[:9])
        assert_allclose(part, every[:9])
    with pytest.raises(ValueError, match="Choose another kind for other rows"):
        residuals(model, X[:9], y[:9], "standardized", sample_weight=weights[:9])


@each_of_rows
def test_rows_of_subjects_are_told_by_their_values(call):
    X, y = load_sleepstudy(return_X_y=True)
    residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    model = MixedLinearRegressor(fixed=["Days"], residual=residual).fit(X, y)
    whole = np.asarray(call(model, X, y))
    assert_allclose(np.asarray(call(model, X[50:60], y[50:60])), whole[50:60], rtol=1e-10)
    with pytest.raises(ValueError, match=r"Row 3 of X has other values, or another response"):
        call(model, X[50:60], y[50:60] + 1e-2 * (np.arange(10) == 3))
    other = X.assign(z=1.0 * np.arange(180))
    model = MixedLinearRegressor(fixed=["Days", "z"], residual=residual).fit(other, y)
    with pytest.raises(ValueError, match="Row 8 of X has other values"):
        call(model, other.assign(z=other["z"] + 0.5 * (np.arange(180) == 8)), y)


def counts(seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"g": np.arange(120) % 10, "x": rng.normal(size=120)})
    days = rng.uniform(1.0, 9.0, 120)
    y = rng.poisson(days * np.exp(0.3 * X["x"] + 0.5 * rng.normal(size=10)[X["g"]]))
    return X, y, days


@each_of_rows
def test_counts_of_other_rows_are_refused_and_other_exposures(call):
    X, y, days = counts()
    model = MixedPoissonRegressor("g").fit(X, y, exposure=days)
    turned = np.random.default_rng(1).permutation(120)
    found = np.asarray(call(model, X.iloc[turned], y[turned], exposure=days[turned]))
    expected = np.asarray(call(model, X, y, exposure=days))[turned]
    assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    with pytest.raises(ValueError, match="X has 100 rows of positive weight, but the fit had 120"):
        call(model, X[:100], y[:100], exposure=days[:100])
    with pytest.raises(ValueError, match="have other sums of products"):
        call(model, X, y[::-1], exposure=days)
    with pytest.raises(ValueError, match="exposure has other sums than that of the fit"):
        call(model, X, y, exposure=days[::-1])
    # A leverage is there of any row
    part = leverage(model, X[:9], y[:9], exposure=days[:9])
    assert_allclose(part, leverage(model, X, y, exposure=days)[:9], rtol=1e-10)


@each_of_rows
def test_classes_of_other_rows_are_refused(call):
    X, y, _ = counts()
    labels = np.where(y > np.median(y), "many", "few")
    weights = np.arange(120) % 4
    model = MixedLogisticClassifier("g").fit(X, labels, sample_weight=weights)
    call(model, X, labels, sample_weight=weights)
    with pytest.raises(ValueError, match="have other sums of products"):
        call(model, X, labels[::-1], sample_weight=weights)
