"""Models for repeated measures in the words of R's mmrm."""

import pickle

import numpy as np
import pytest
from repeated_models import simulated

from skmixed import MixedLinearRegressor, ResidualCovariance, lmer, mmrm


@pytest.fixture(scope="module")
def frame():
    own = simulated(2, n_subjects=40).drop(columns="weight")
    return own.assign(
        visit=("V" + own["time"].astype(str)).astype("category"),
        arm=np.where(own["arm"] == 1, "TRT", "PBO"),
    )


WORDS = {
    "us(visit | subject)": ResidualCovariance("unstructured", subject="subject", time="visit"),
    "ar1h( visit|subject )": ResidualCovariance(
        "ar1", subject="subject", time="visit", heterogeneous=True
    ),
    "toep(visit | arm / subject)": ResidualCovariance(
        "toeplitz", subject="subject", time="visit", by="arm"
    ),
    "sp_exp(`time` | subject)": ResidualCovariance("exponential", subject="subject", time="time"),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_covariance_in_mmrms_words_is_a_residual_covariance(frame, word):
    model = mmrm(f"y ~ x + arm * time + {word}", frame)
    assert model.residual == WORDS[word]
    beside = lmer("y ~ x + arm * time", frame, residual=WORDS[word])
    assert model.criterion_ == beside.criterion_
    first = mmrm(f"y ~ {word} + x + arm * time", frame)
    assert first.criterion_ == pytest.approx(model.criterion_, abs=1e-9)


def test_the_columns_are_those_of_the_regressor(frame):
    own = frame.assign(treated=(frame["arm"] == "TRT") * 1.0)
    own["both"] = own["treated"] * own["time"]
    by_formula = mmrm("y ~ x + arm * time + us(visit | subject)", frame)
    residual = WORDS["us(visit | subject)"]
    fixed = ["x", "treated", "time", "both"]
    own, y = own.drop(columns="y"), own["y"]
    model = MixedLinearRegressor(fixed=fixed, residual=residual).fit(own, y)
    assert by_formula.criterion_ == pytest.approx(model.criterion_, abs=1e-8)
    np.testing.assert_allclose(by_formula.predict(frame), model.predict(own), rtol=1e-8)
    np.testing.assert_allclose(
        by_formula.predict(frame[["x", "arm", "time"]], include="fixed"),
        model.predict(own, include="fixed"),
        rtol=1e-8,
    )


def test_random_effects_stand_beside_it(frame):
    model = mmrm("y ~ x + time + (1 | rater) + ar1(visit | subject)", frame)
    assert list(model.random_effects_) == ["rater"]
    assert "ar1 within subject (40) in visit" in str(model.summary())
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(copy.predict(frame), model.predict(frame), rtol=1e-12)


def test_rows_with_missing_values_are_left_out(frame):
    own = frame.assign(y=frame["y"].where(frame.index > 2))
    model = mmrm("y ~ x + us(visit | subject)", own)
    assert model.n_dropped_ == 3
    assert model.criterion_ == mmrm("y ~ x + us(visit | subject)", frame[3:]).criterion_


def test_an_intercept_alone(frame):
    model = mmrm("y ~ us(visit | subject)", frame)
    assert list(model.fixed_effects_.index) == ["(Intercept)"]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x", "no term of the residuals' covariance"),
        ("y ~ us(visit | subject) + ar1(visit | subject)", "more than one term"),
        ("y ~ ar1(time, x | subject)", "is of one column"),
        ("y ~ x - us(visit | subject)", r"joined by \+"),
        ("y ~ x + us(factor(visit) | subject)", r"us\(…\) is none .* factor\(visit\) be a column"),
        ("y ~ x + ar1h(visit || subject)", r"ar1h\(…\) is none of .* one \| and"),
        ("y ~ x + us(visit | subject", r"us\(…\) is none of .* a closing parenthesis"),
    ],
)
def test_formulas_that_are_none(frame, formula, message):
    with pytest.raises(ValueError, match=message):
        mmrm(formula, frame)
    with pytest.raises(TypeError, match="formula is of type"):
        mmrm(None, frame)


def test_a_second_covariance_is_refused(frame):
    with pytest.raises(ValueError, match="is a second covariance of the residuals beside"):
        mmrm("y ~ x + us(visit | subject)", frame, residual=ResidualCovariance("independent"))


def test_columns_beside_a_formula_are_named(frame):
    residual = ResidualCovariance("ar1", subject=4, time="time")
    with pytest.raises(TypeError, match="names a column by position"):
        lmer("y ~ x", frame, residual=residual)


def test_responses_are_drawn_with_the_offset(frame):
    data = frame.assign(z=np.linspace(0, 1, len(frame)))
    model = mmrm("y ~ arm + visit + offset(10 * z) + us(visit | subject)", data)
    rows = data.head(12)
    found = model.sample_y(rows, 3, 5, effects="new")
    plain = model.regressor_.sample_y(model.model_matrix(rows), 3, 5, effects="new")
    np.testing.assert_array_equal(found, plain + 10 * rows[["z"]].to_numpy())
