"""Transformations of the data that change the estimates in a known way.

Tolerances: a fit and its transform are two searches on one function, whose
values carry rounding errors of some 1e-12 for the 30 to 60 rows here. Where the
function is flat to second order, that leaves an error of about its square root,
1e-6, in the variance components, and in the predictions, which move with them,
as a share of the standard deviation of y; a factor of 10 is left for directions
in which the likelihood is flat. Fits at the boundary are part of the tests.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor

pytestmark = pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")

CRITERION = 1e-8
PREDICTION = 1e-5

seeds = st.integers(0, 10**6)
signs = st.sampled_from([-1.0, 1.0])
scales = st.builds(lambda sign, power: sign * 10.0**power, signs, st.floats(-3, 3))
shifts = st.floats(-1e3, 1e3)
# The same examples in every run: a failure is a change of the code.
examples = settings(max_examples=25, deadline=None, derandomize=True)
few_examples = settings(examples, max_examples=10)


@dataclass(frozen=True)
class Case:
    """One random data set, and the model to fit to it."""

    X: pd.DataFrame
    y: np.ndarray
    weights: np.ndarray | None
    parameters: dict

    def fit(self, X=None, y=None, weights=None, **parameters):
        return MixedLinearRegressor("g", **{**self.parameters, **parameters}).fit(
            self.X if X is None else X,
            self.y if y is None else y,
            self.weights if weights is None else weights,
        )

    @property
    def is_reml(self):
        return self.parameters["method"] == "reml"


def random_case(seed, covariances=("full", "diag", "spherical")):
    """4 to 8 groups of 5 to 9 rows, two columns with fixed effects, up to two slopes."""
    rng = np.random.default_rng(seed)
    q = int(rng.integers(4, 9))
    codes = rng.permutation(np.repeat(np.arange(q), rng.integers(5, 10, q)))
    n = len(codes)
    X = pd.DataFrame({"x": rng.normal(1, 2, n), "z": rng.uniform(0, 1, n), "g": codes})
    sd = rng.choice([0.0, 0.5, 2.0], 2)
    b = rng.normal(size=(2, q)) * sd[:, None]
    y = 3 + X["x"] - X["z"] + b[0, codes] + b[1, codes] * X["x"] + rng.normal(size=n)
    return Case(
        X=X,
        y=y.to_numpy(),
        weights=rng.uniform(0.3, 3, n) if rng.integers(2) else None,
        parameters={
            "random_slopes": [None, "x", ["x", "z"]][rng.integers(3)],
            "covariance": str(rng.choice(covariances)),
            "method": str(rng.choice(["reml", "ml"])),
        },
    )


def assert_same_predictions(found, expected, case):
    assert_allclose(found, expected, atol=PREDICTION * np.std(case.y))


def assert_same_criterion(model, expected, change=0.0):
    assert model.criterion_ - change == pytest.approx(expected.criterion_, abs=CRITERION)


@pytest.mark.slow
@given(seed=seeds, a=shifts, c=scales)
@examples
def test_linear_maps_of_the_response(seed, a, c):
    case = random_case(seed)
    model = case.fit()
    mapped = case.fit(y=a + c * case.y)
    assert_same_predictions((mapped.predict(case.X) - a) / c, model.predict(case.X), case)
    assert_allclose(mapped.sigma_, abs(c) * model.sigma_, rtol=PREDICTION)
    dof = len(case.y) - (3 if case.is_reml else 0)
    assert_same_criterion(mapped, model, 2 * dof * np.log(abs(c)))
    assert mapped.singular_ == model.singular_


@pytest.mark.slow
@given(seed=seeds, c=scales)
@examples
def test_scale_of_a_slope_column(seed, c):
    case = random_case(seed, ["full", "diag"])
    model = case.fit()
    scaled = case.X.assign(x=c * case.X["x"])
    fitted = case.fit(scaled)
    assert_same_predictions(fitted.predict(scaled), model.predict(case.X), case)
    # |X'V⁻¹X| is c² as large.
    assert_same_criterion(fitted, model, 2 * np.log(abs(c)) if case.is_reml else 0.0)
    errors = model.summary().fixed["Std. Error"]
    assert_allclose(c * fitted.coef_[0], model.coef_[0], atol=PREDICTION * errors["x"])


@pytest.mark.slow
@given(seed=seeds, a=shifts)
@examples
def test_shift_of_a_slope_column(seed, a):
    case = random_case(seed, ["full"])
    model = case.fit()
    shifted = case.X.assign(x=case.X["x"] + a)
    fitted = case.fit(shifted)
    assert_same_predictions(fitted.predict(shifted), model.predict(case.X), case)
    assert_same_criterion(fitted, model)
    assert fitted.singular_ == model.singular_


@given(seed=seeds)
@examples
def test_order_of_the_rows(seed):
    case = random_case(seed)
    model = case.fit()
    order = np.random.default_rng(seed).permutation(len(case.y))
    weights = None if case.weights is None else case.weights[order]
    fitted = case.fit(case.X.iloc[order], case.y[order], weights)
    assert_same_predictions(fitted.predict(case.X), model.predict(case.X), case)
    assert_same_criterion(fitted, model)


LABELS = {
    "reversed": lambda codes: -codes,
    "text": lambda codes: np.array(list("dbacfhge"))[codes],
    "mixed": lambda codes: np.array(["b", 1, (2, 3), "a", "1", 7.5, b"x", False], dtype=object)[
        codes
    ],
    "large": lambda codes: 9007199254740992 + codes,
    "dates": lambda codes: np.array("2020-01-01", dtype="M8[D]") + codes % 7 * 31 + codes // 7,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LABELS)
@given(seed=seeds)
@few_examples
def test_names_of_the_labels(kind, seed):
    case = random_case(seed)
    codes = case.X["g"].to_numpy()
    labels = pd.Series(LABELS[kind](codes))
    model, fitted = case.fit(), case.fit(case.X.assign(g=labels))
    assert_same_predictions(fitted.predict(case.X.assign(g=labels)), model.predict(case.X), case)
    assert_same_criterion(fitted, model)
    effects, expected = fitted.random_effects_["g"], model.random_effects_["g"]
    where = effects.index.get_indexer(labels)
    tolerance = PREDICTION * np.std(case.y)
    assert_allclose(effects.to_numpy()[where], expected.loc[codes], atol=tolerance)


@pytest.mark.slow
@given(seed=seeds, order=st.permutations(["x", "z", "g"]))
@examples
def test_order_of_the_columns(seed, order):
    case = random_case(seed)
    model = case.fit()
    slopes = case.parameters["random_slopes"]
    swapped = slopes[::-1] if isinstance(slopes, list) else slopes
    fitted = case.fit(case.X[order], random_slopes=swapped)
    assert_same_predictions(fitted.predict(case.X[order]), model.predict(case.X), case)
    assert_same_criterion(fitted, model)
    assert list(fitted.fixed_effects_.index[1:]) == [name for name in order if name != "g"]
    names = list(model.fixed_effects_.index)
    errors = model.summary().fixed["Std. Error"]
    difference = fitted.fixed_effects_[names] - model.fixed_effects_
    assert_allclose(difference / errors, 0.0, atol=PREDICTION)


@pytest.mark.slow
@given(seed=seeds, c=st.floats(0.01, 100))
@examples
def test_scale_of_the_weights(seed, c):
    case = random_case(seed)
    weights = np.ones(len(case.y)) if case.weights is None else case.weights
    model, fitted = case.fit(weights=weights), case.fit(weights=c * weights)
    assert_same_predictions(fitted.predict(case.X), model.predict(case.X), case)
    assert_same_criterion(fitted, model)
    assert_allclose(fitted.sigma_, np.sqrt(c) * model.sigma_, rtol=PREDICTION)
