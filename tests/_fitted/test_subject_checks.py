"""What rows of subjects must be beside those of a fit, and before there is one."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hostile import reloaded
from repeated_models import simulated

from skmixed import MixedLinearRegressor, ResidualCovariance
from skmixed.diagnostics import subject_influence
from skmixed.exceptions import FitStatus, IdentifiabilityWarning, UndeterminedError
from skmixed.inference import coefficient_table


@pytest.fixture(scope="module")
def opposed():
    """Two rows of each subject, with errors of opposite signs."""
    rng = np.random.default_rng(0)
    subject, first = np.repeat(np.arange(40), 2), rng.normal(size=40)
    X = pd.DataFrame({"x": rng.normal(size=80), "subject": subject, "time": np.arange(80) % 2})
    error = np.stack([first, -first], axis=1).ravel() + 0.3 * rng.normal(size=80)
    return X.assign(group=subject % 8), X["x"] + error + rng.normal(size=8)[subject % 8]


@pytest.mark.parametrize("time", [None, "time"])
def test_a_negative_correlation_is_of_so_many_rows(opposed, time):
    X, y = opposed
    residual = ResidualCovariance("compound_symmetry", subject="subject", time=time)
    model = MixedLinearRegressor("group", fixed=["x"], residual=residual).fit(X, y)
    assert model.variance_components_["corr"].iloc[-1] < -0.5
    third = X[:1].assign(time=7)
    message = "Subject 0 of 'subject' would have 3 rows, .* possible among 2 rows at most"
    for use in (model.predict, model.predict_interval, lambda X: model.update_groups(X, y[:1])):
        with pytest.raises(ValueError, match=message):
            use(third)
    fixed = model.predict(third, include="fixed")
    np.testing.assert_array_equal(model.predict(X[:1], include="fixed"), fixed)
    new = third.assign(subject=999)
    assert np.isfinite(model.predict_interval(new)).all()
    # A subject with one row so far may have another
    part = MixedLinearRegressor("group", fixed=["x"], residual=residual).fit(X[1:], y[1:])
    updated = part.predict(X[:1])
    assert np.isfinite(updated).all()
    assert part.update_groups(X[:1], y[:1])._model.n_rows == 80


VISIT_BY_VISIT = {
    "unstructured": {},
    "toeplitz": {"heterogeneous": True},
    "ar1": {"by": "arm"},
    "exponential": {},
    "compound_symmetry": {},
}


@pytest.mark.parametrize("structure", VISIT_BY_VISIT)
def test_visits_may_come_one_by_one(structure):
    frame = simulated(0, n_subjects=40)
    residual = ResidualCovariance(
        structure, subject="subject", time="time", **VISIT_BY_VISIT[structure]
    )
    model = MixedLinearRegressor(fixed=["x"], residual=residual)
    X, y = frame.drop(columns="y"), frame["y"]
    first = X["time"] == 0
    with pytest.raises(UndeterminedError, match="has one row"):
        model.fit(X[first], y[first])
    with pytest.warns(IdentifiabilityWarning, match="do not determine the residual covariance: .*"):
        model.partial_fit(X[first], y[first])
    assert not model.converged_
    for time in (1, 2, 3):
        model.partial_fit(X[X["time"] == time], y[X["time"] == time])
    whole = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, y)
    # The search starts elsewhere, and ends within its tolerance
    assert model.criterion_ == pytest.approx(whole.criterion_, abs=1e-7)


@pytest.fixture(scope="module")
def waiting():
    """A model of the first visit, whose residuals are taken to be independent."""
    frame = simulated(0, n_subjects=40)
    frame = frame[frame["time"] == 0]
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    model = MixedLinearRegressor(fixed=["x"], residual=residual)
    with pytest.warns(IdentifiabilityWarning):
        model.partial_fit(frame.drop(columns="y"), frame["y"])
    return model, frame.drop(columns="y"), frame["y"]


def test_a_model_without_its_covariance_says_so(waiting):
    model, X, y = waiting
    message = "rows so far do not determine the residual covariance. Add further rows by partial_f"
    new = X[:1].assign(subject=999)
    for use in (
        lambda: model.predict_interval(X),
        lambda: model.predict(X, return_std=True),
        lambda: model.update_groups(new, y[:1]),
        lambda: coefficient_table(model, robust="CR2"),
        lambda: subject_influence(model),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    with pytest.raises(AttributeError, match="covariance: the rows do not determine it yet"):
        _ = model.residual_covariance_


def test_a_model_without_its_covariance_is_least_squares_and_saved(waiting):
    model, X, y = waiting
    plain = MixedLinearRegressor(fixed=["x"]).fit(X, y)
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-12)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="The saved model is damaged"):
        reloaded(model, ("model", "estimate", "status"), lambda _: FitStatus.CONVERGED)
