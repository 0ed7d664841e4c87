"""Estimates at an end of what a structure allows, and likelihoods without a maximum."""

import warnings

import numpy as np
import pandas as pd
import pytest
from repeated_models import STRUCTURES, fitted_model, simulated
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, ResidualCovariance
from skmixed.exceptions import SingularFitWarning
from skmixed.inference import coefficient_table, confidence_intervals, convergence

# Few rows by arm whose optimum has a correlation at an end.
AT_END = {
    "ar1": (1, "subject"),
    "compound_symmetry": (5, None),
    "toeplitz": (8, None),
    "ante_dependence": (10, None),
}


@pytest.fixture(params=AT_END)
def at_end(request):
    seed, groups = AT_END[request.param]
    frame = simulated(seed, n_subjects=8, n_times=3, missing=0.3)
    with pytest.warns(SingularFitWarning, match=f"covariance {request.param!r} of the residuals"):
        model = fitted_model(frame, request.param, groups=groups, by="arm")
    return frame, model


def test_a_correlation_at_an_end_is_said_and_has_no_error(at_end):
    frame, model = at_end
    assert model.converged_
    assert model.singular_
    assert "in stratum 1 of" in str(model.summary()).replace("\n", " ")
    found = confidence_intervals(model, components=["sigma", "corr"])
    ends = found[(found["component"] == "corr") & (found["estimate"].abs() > 0.4999)]
    # None, or of lag 2 the one that lag 1 leaves it
    assert (ends["upper"] - ends["lower"]).fillna(0.0).min() < 1e-6
    assert found.loc[found["component"] == "sigma", "lower"].notna().all()
    assert convergence(model).is_optimum
    table = coefficient_table(model)
    assert (table["std_error"] > 0).all()
    assert (table["df"] > 0.1).all()
    X = frame.drop(columns=["y", "weight"])
    every = (
        X.drop_duplicates("subject")
        .drop(columns="time")
        .merge(X[["time"]].drop_duplicates(), "cross")
    )
    sd = model.predict(every[X.columns], return_std=True)[1]
    assert (sd >= 0).all()


def levels(ratio):
    """Twenty subjects whose levels differ by much more than their rows."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"id": np.repeat(np.arange(20), 4), "t": np.tile(np.arange(4.0), 20)})
    X["x"] = rng.normal(size=80)
    return X, np.repeat(rng.normal(size=20), 4) + rng.normal(size=80) / ratio


@pytest.mark.parametrize("structure", ["compound_symmetry", "toeplitz", "ar1"])
def test_a_correlation_next_to_1_that_rows_determine_is_no_end(structure):
    X, y = levels(1e3)
    residual = ResidualCovariance(structure, subject="id", time="t")
    model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, y)
    assert not model.singular_
    # Of 20 levels, whose mean is the intercept: 19
    assert coefficient_table(model)["df"].iloc[0] == pytest.approx(19.0, abs=0.1)


@pytest.mark.parametrize("structure", ["exponential", "gaussian"])
def test_no_correlation_is_the_least_of_some(structure):
    frame = simulated(0, n_subjects=40, missing=0.0)
    frame["y"] = np.where(frame["time"] % 2, -1.0, 1.0) * frame["y"]
    with pytest.warns(SingularFitWarning, match=f"is 0, the least that '{structure}' allows"):
        model = fitted_model(frame, structure)
    assert model.singular_
    free = fitted_model(frame, "independent")
    assert model.criterion_ == pytest.approx(free.criterion_, abs=1e-6)
    np.testing.assert_allclose(
        coefficient_table(model), coefficient_table(free), rtol=1e-5, atol=1e-12
    )


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s != "unstructured"])
def test_levels_without_errors_have_no_maximum(structure):
    X, y = levels(np.inf)
    residual = ResidualCovariance(structure, subject="id", time="t")
    with pytest.warns(ConvergenceWarning, match="the likelihood may have no maximum"):
        model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, y)
    assert not model.converged_


@pytest.mark.parametrize("seed", range(8))
def test_a_toeplitz_covariance_is_one_of_all_visits(seed):
    # Two or three of six visits each, of which no subject has all
    frame = simulated(seed, n_subjects=24, n_times=6, missing=0.0)
    order = np.random.default_rng(seed).random(len(frame))
    frame = frame[pd.Series(order).groupby(frame["subject"]).rank() <= 2 + (frame["subject"] % 2)]
    with pytest.warns(SingularFitWarning, match="covariance 'toeplitz' of the residuals is"):
        model = fitted_model(frame.reset_index(drop=True), "toeplitz")
    values = np.linalg.eigvalsh(model.residual_covariance_)
    assert values[0] > -1e-12 * values[-1]


@pytest.mark.parametrize("structure", ["gaussian", "exponential", "ar1"])
@pytest.mark.parametrize("seed", [53, 94, 104, 153, 212, 219])
def test_few_rows_at_odd_times_are_not_above_independent_ones(structure, seed):
    # Of which some are so near each other that they are told from the others
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"id": np.arange(24) % 10, "x": rng.normal(size=24)})
    steps = 1 + rng.integers(0, 40, size=24)
    X["t"] = pd.Series(steps).groupby(X["id"]).cumsum() * (1.0 if structure == "ar1" else 0.1)
    y = X["x"] + rng.normal(size=24)
    free = MixedLinearRegressor(fixed=["x"]).fit(X, y)
    residual = ResidualCovariance(structure, subject="id", time="t")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, y)
    # Without correlations left it is that criterion, to the search's tolerance.
    assert model.criterion_ < free.criterion_ + 1e-5


UNBOUNDED = {
    "power": {"structure": "independent", "power": "v"},
    "power in arms": {"structure": "independent", "power": "v", "by": "arm"},
    "arms": {"structure": "independent", "by": "arm"},
    "times": {"structure": "independent", "time": "t", "heterogeneous": True},
    "power of correlated": {"structure": "exponential", "time": "t", "power": "v"},
    "correlated times": {
        "structure": "compound_symmetry",
        "time": "t",
        "heterogeneous": True,
    },
} | {
    name: {"structure": name, "time": "t"}
    for name in ("toeplitz", "gaussian", "exponential", "ar1", "compound_symmetry", "unstructured")
}


@pytest.mark.parametrize("kind", UNBOUNDED)
@pytest.mark.parametrize("seed", [2, 7])
def test_few_rows_that_fixed_effects_reproduce_have_no_maximum(kind, seed):
    # Ten rows of five pairs, and six fixed effects: those of a small variance fit to rounding
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(10, 5)), columns=list("abcde"))
    X["id"], X["t"] = np.repeat(np.arange(5), 2), np.tile([0.0, 1.0], 5)
    X["arm"], X["v"] = np.where(X["id"] % 2, "x", "y"), np.exp(rng.normal(size=10))
    y = X["a"] + rng.normal(size=10)
    y += 3.0 * rng.normal(size=5)[X["id"]]
    residual = ResidualCovariance(subject="id", **UNBOUNDED[kind])
    model = MixedLinearRegressor(fixed=list("abcde"), residual=residual, method="ml")
    with pytest.warns(ConvergenceWarning, match="the likelihood may have no maximum"):
        model.fit(X, y)
    assert not model.converged_
    # Its logarithms are of variances that doubles tell from 0
    assert -400.0 < model.criterion_ < 0.0
    assert (coefficient_table(model)["std_error"] >= 0).all()
