import re

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from skmixed import (
    MixedBinomialRegressor,
    MixedLinearRegressor,
    MixedPoissonRegressor,
    ResidualCovariance,
    glmer,
    lmer,
)
from skmixed.datasets import (
    load_cbpp,
    load_dyestuff2,
    load_orthodont,
    load_penicillin,
    load_sleepstudy,
)
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import icc, r2, report

X, Y = load_sleepstudy(return_X_y=True, as_frame=True)


def results(model):
    return list(report(model).results)


def test_standard_deviations_correlations_and_shares():
    assert results(MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y))[2:] == [
        "The standard deviations were 24.74 for intercepts and 5.92 for slopes of Days by Subject "
        "(correlation 0.066); 25.59 for the residuals.",
        "The intraclass correlation was 0.722 for Subject, and Nakagawa and Schielzeth's R² was "
        "0.279 for the fixed effects (marginal) and 0.799 with the random ones (conditional).",
    ]


def test_several_groups():
    model = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", load_penicillin().frame)
    found = results(model)
    assert found[1] == (
        "The standard deviations were 0.847 for intercepts by plate; 1.932 for intercepts by "
        "sample; 0.550 for the residuals."
    )
    shares = [*icc(model), *r2(model)]
    assert re.findall(r"\d\.\d{3}", found[2]) == [f"{share:.3f}" for share in shares]
    assert "0.785 for sample and 0.936 in total" in found[2]


def test_least_squares():
    model = MixedLinearRegressor(fixed=["Days"]).fit(X, Y)
    assert results(model)[2:] == [
        "The standard deviation was 47.71 for the residuals.",
        "The fixed effects' share of the variance, R², was 0.285.",
    ]


def test_residuals_with_a_covariance():
    X, y = load_orthodont(return_X_y=True)
    residual = ResidualCovariance("ar1", subject="Subject", time="age")
    found = results(MixedLinearRegressor(fixed=["age"], residual=residual).fit(X, y))
    assert found[2] == "The standard deviation was 2.571 for the residuals (correlation 0.698)."
    residual = ResidualCovariance("unstructured", subject="Subject", time="age")
    model = MixedLinearRegressor(fixed=["age"], residual=residual).fit(X, y)
    sd = np.sqrt(np.diagonal(model.residual_covariance_))
    assert (
        f"{sd.min():.3f} to {sd.max():.3f} for the residuals (correlations 0." in results(model)[2]
    )


def test_many_effects_are_counted():
    rng = np.random.default_rng(0)
    names = [f"x{k}" for k in range(6)]
    frame = pd.DataFrame(rng.normal(size=(900, 6)), columns=names)
    frame["g"] = np.repeat(np.arange(60), 15)
    effects = rng.normal(size=(60, 7))[frame["g"]]
    y = (effects * np.column_stack([np.ones(900), frame[names]])).sum(axis=1)
    model = MixedLinearRegressor("g", random_slopes=names, fixed=[])
    found = results(model.fit(frame, y + rng.normal(size=900)))[1]
    assert re.search(r" \d\.\d+ to \d\.\d+ for 7 effects by g \(correlations -0\.\d+ to 0\.", found)


def test_a_shape_and_a_generalized_model():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(20), 10)
    y = rng.poisson(rng.gamma(2, 2, 200) * np.exp(rng.normal(0, 0.5, 20))[g])
    frame = pd.DataFrame({"g": g, "y": y})
    model = glmer("y ~ 1 + (1 | g)", frame, "negative_binomial")
    found = results(model)
    assert re.match(r"The standard deviation was 0\.\d+ for intercepts by g\.", found[1])
    assert found[2] == f"The shape was {model.shape_:.3f}."


def test_a_singular_fit_is_said():
    with pytest.warns(SingularFitWarning):
        model = lmer("Yield ~ 1 + (1 | Batch)", load_dyestuff2().frame)
    assert results(model)[-1] == "The fit is singular: the variance of intercepts by Batch is 0."


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (1, "the effects by g have a correlation of -1 or 1"),
        (2, "a combination of the effects by g has variance 0"),
    ],
)
def test_a_singular_covariance_is_said(n, said):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 8)
    table = pd.DataFrame(rng.normal(size=(96, n)), columns=["x", "z"][:n]).assign(g=g)
    y = rng.normal(size=12)[g] * (1 + table["x"]) + rng.normal(size=96)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("g", random_slopes=["x", "z"][:n]).fit(table, y)
    assert results(model)[-1] == f"The fit is singular: {said}."


def test_a_fit_that_did_not_converge_is_said():
    model = MixedBinomialRegressor("herd", max_iter=1)
    frame = load_cbpp().frame
    trials = frame["size"].to_numpy(float)
    with pytest.warns(ConvergenceWarning):
        model.fit(frame[["herd"]], frame["incidence"] / trials, sample_weight=trials)
    assert not model.converged_
    assert "was stopped before it converged" in results(model)[-1]


def test_dropped_columns_are_said():
    with pytest.warns(RankDeficiencyWarning):
        model = MixedLinearRegressor("Subject").fit(X.assign(two=2.0 * X["Days"]), Y)
    assert results(model)[-1] == "Without an estimate, as a sum of other columns: two."


def test_no_shares_where_they_need_rows_that_are_not_held():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=300), "g": np.repeat(np.arange(30), 10)})
    table["y"] = rng.poisson(np.exp(rng.normal(0, 0.5, 30)[table["g"]]))
    model = MixedPoissonRegressor("g").fit(table[["x", "g"]], table["y"])
    assert "intraclass" in results(model)[-1]
    chunks = [table[:150], table[150:]]
    model = MixedPoissonRegressor("g").fit_chunks(chunks, target="y", max_held_rows=10)
    assert results(model)[-1].startswith("The standard deviation was 0.")


def test_binomial_shares():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    model = glmer(formula, load_cbpp().frame, "binomial")
    assert f"correlation was {icc(model)['herd']:.3f} for herd" in results(model)[-1]
