"""Correlations by the distance of places in the plane, against nlme and V in full."""

import json
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from repeated_models import dense_of, fitted_model, simulated

from skmixed import MixedLinearRegressor, ResidualCovariance, mmrm
from skmixed.diagnostics import residual_correlation
from skmixed.formula import FormulaRegressor
from skmixed.inference import coefficient_table, confidence_intervals

ROOT = Path(__file__).parents[1] / "reference" / "residual"
PLACES = ("latitude", "longitude")


@cache
def fits():
    found = json.loads((ROOT / "places.json").read_text())
    return {(own["id"], fit["method"].lower()): fit for own in found for fit in own["fits"]}


@pytest.mark.parametrize(("name", "method"), fits())
def test_nlme(name, method):
    structure, subject = name.split("_")
    column = {"block": "Block", "field": "field"}[subject]
    residual = ResidualCovariance(structure, subject=column, time=PLACES)
    wheat, fit = pd.read_csv(ROOT / "data" / "wheat.csv"), fits()[name, method]
    model = FormulaRegressor("yield ~ variety", method=method, residual=residual).fit(wheat)
    # nlme stops where its parameters change by 1e-7 or so.
    assert model.log_likelihood_ == pytest.approx(fit["logLik"], abs=1e-9)
    table = coefficient_table(model, "normal")
    assert np.abs((table["estimate"] - fit["beta"]) / fit["se"]).max() < 1e-6
    row, power = model.variance_components_.iloc[-1], 2 if structure == "gaussian" else 1
    assert row["sd"] == pytest.approx(fit["sigma"], rel=1e-6)
    assert row["corr"] == pytest.approx(np.exp(-1.0 / fit["range"] ** power), abs=1e-6)


def in_plane(seed=0, n_subjects=12):
    """Rows of subjects at places, with what they have been."""
    frame = simulated(seed, n_subjects=n_subjects, n_times=8)
    rng = np.random.default_rng(seed)
    return frame.assign(east=rng.uniform(0, 4, len(frame)), north=rng.uniform(0, 4, len(frame)))


def fitted_in_plane(frame, structure="exponential", groups=None, **columns):
    return fitted_model(frame, structure, groups=groups, time=("east", "north"), **columns)


@pytest.mark.parametrize("groups", [None, "rater", ["subject", "rater"]], ids=str)
@pytest.mark.parametrize("structure", ["exponential", "gaussian"])
def test_the_likelihood_and_its_derivatives(structure, groups):
    frame = in_plane()
    model = fitted_in_plane(frame, structure, groups, by="arm")
    dense = dense_of(model)
    constant = model._model.repeated.factor.system.constant
    assert model.criterion_ == pytest.approx(dense.criterion + constant, abs=1e-8)
    place = frame["east"] + 1j * frame["north"]
    phi = model._model.solution.residual.phi[0]
    # Of the first row and another of its subject, by the definition
    own = np.flatnonzero(frame["subject"] == frame["subject"][0])[:2]
    apart = abs(place[own[0]] - place[own[1]])
    rho = (1.0 / (1.0 + np.exp(-phi[1]))) ** apart ** (2 if structure == "gaussian" else 1)
    covariances = model.residual_covariance_.loc[0]
    labels = [tuple(frame.loc[k, ["east", "north"]]) for k in own]
    found = covariances.loc[labels[0], labels[1]]
    assert np.asarray(found).item() == pytest.approx(np.exp(2 * phi[0]) * rho, rel=1e-10)


def test_places_on_a_line_are_times():
    frame = in_plane().assign(zero=0.0)
    line = fitted_model(frame, "exponential", groups="rater", time="east")
    plane = fitted_model(frame, "exponential", groups="rater", time=("east", "zero"))
    assert plane.criterion_ == pytest.approx(line.criterion_, abs=1e-8)
    new = frame.drop(columns=["y", "weight"])[:9].assign(east=5.5)
    for of in ("mean", "observation"):
        wanted = line.predict_interval(new, of=of)
        # As far as the searches end at the same parameters
        np.testing.assert_allclose(plane.predict_interval(new, of=of), wanted, rtol=1e-4)


def test_places_that_were_not_seen():
    frame = in_plane()
    model = fitted_in_plane(frame)
    X = frame.drop(columns=["y", "weight"])
    new = X[:7].assign(north=X["north"] + 0.3)
    place, other = (own["east"].to_numpy() + 1j * own["north"] for own in (X, new))
    row = model.variance_components_.iloc[-1]
    rho, variance = row["corr"], row["variance"]
    same, beside = (
        own["subject"].to_numpy()[:, None] == X["subject"].to_numpy() for own in (X, new)
    )
    V = variance * rho ** np.abs(place.to_numpy()[:, None] - place.to_numpy()) * same
    C = variance * rho ** np.abs(other.to_numpy()[:, None] - place.to_numpy()) * beside
    design, ahead = (
        np.column_stack([np.ones(len(own)), own[["x", "arm", "time"]]]) for own in (X, new)
    )
    inverse = np.linalg.inv(V)
    of_beta = np.linalg.inv(design.T @ inverse @ design)
    beta = of_beta @ design.T @ inverse @ frame["y"]
    wanted = ahead @ beta + C @ inverse @ (frame["y"] - design @ beta)
    mean, sd = model.predict(new, return_std=True)
    np.testing.assert_allclose(mean, wanted, rtol=1e-9)
    left = ahead - C @ inverse @ design
    square = variance - np.einsum("ij,jk,ik->i", C, inverse, C)
    square += np.einsum("ip,pq,iq->i", left, of_beta, left)
    np.testing.assert_allclose(sd, np.sqrt(square), rtol=1e-9)
    draws = model.sample_y(new, 4000)
    # Four standard errors of a mean and of a standard deviation of 4000 draws
    assert np.abs((draws.mean(axis=1) - mean) / sd).max() < 4 / np.sqrt(4000)
    np.testing.assert_allclose(draws.std(axis=1), sd, rtol=4 / np.sqrt(8000))
    copy = pickle.loads(pickle.dumps(model))
    # Rounding: arrays that are read may lie in another order in memory
    np.testing.assert_allclose(copy.predict(new), mean, rtol=1e-12)


def test_further_places_of_known_subjects():
    frame = in_plane()
    X = frame.drop(columns=["y", "weight"])
    whole = fitted_in_plane(frame, groups="rater")
    model = fitted_in_plane(frame[6:], groups="rater").update_groups(X[:6], frame["y"][:6])
    new = X[:9].assign(east=2.0)
    # The fits differ by the six rows; the rest is the same
    assert np.abs(model.predict(new) - whole.predict(new)).max() < 0.5
    again = fitted_in_plane(frame[6:], groups="rater")
    assert np.abs(model.predict(new) - again.predict(new)).max() > 0.01


def test_what_is_shown_of_places():
    frame = in_plane()
    model = fitted_in_plane(frame)
    X = frame.drop(columns=["y", "weight"])
    assert "exponential within subject (12) in east:north" in str(model.summary())
    table = confidence_intervals(model, components=["sigma", "corr"])
    assert list(table["component"]) == ["sigma", "corr"]
    found = residual_correlation(model, X, frame["y"])
    rho = model.variance_components_["corr"].iloc[-1]
    np.testing.assert_allclose(found["model"], rho ** found["lag"], rtol=0.02)
    # Up to half of the largest extent of a subject, every pair counts
    codes, place = frame["subject"].to_numpy(), (frame["east"] + 1j * frame["north"]).to_numpy()
    pairs = np.triu(codes[:, None] == codes, 1) & (np.abs(place[:, None] - place) < 2.0)
    found = residual_correlation(model, X, frame["y"], bins=[0.0, 1.0, 2.0])
    assert found["pairs"].sum() == pairs.sum()


def test_a_formula_of_mmrm():
    frame = in_plane()
    model = mmrm("y ~ x + arm + time + sp_exp(east, north | subject)", frame)
    assert model.criterion_ == pytest.approx(fitted_in_plane(frame).criterion_, abs=1e-8)
    with pytest.raises(ValueError, match="is of one column of visits or times"):
        mmrm("y ~ x + ar1(east, north | subject)", frame)


@pytest.mark.parametrize(
    ("structure", "more"),
    [("ar1", {}), ("unstructured", {}), ("exponential", {"heterogeneous": True})],
)
def test_structures_that_are_none_of_places(structure, more):
    with pytest.raises(ValueError, match="are coordinates of places, of which"):
        ResidualCovariance(structure, subject="subject", time=("east", "north"), **more)


def test_columns_that_are_no_places():
    frame = in_plane()
    with pytest.raises(ValueError, match="'east' has labels such as 'a', but places"):
        fitted_in_plane(frame.assign(east="a"))
    with pytest.raises(ValueError, match=r"places that are .* apart on average"):
        fitted_in_plane(frame.assign(east=frame["east"] * 1e9))
    twice = frame.assign(east=1.0, north=2.0)
    with pytest.raises(ValueError, match=r"two rows at 'east:north' = \(1, 2\)"):
        fitted_in_plane(twice)
    residual = ResidualCovariance("exponential", subject="subject", time=("east", "north"))
    assert "time=('east', 'north')" in repr(residual)
    model = MixedLinearRegressor(fixed=["x"], residual=residual)
    assert model.fit(frame.drop(columns="y"), frame["y"]).converged_
