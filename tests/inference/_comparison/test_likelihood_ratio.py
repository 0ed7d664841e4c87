"""Likelihood-ratio tests of more than two models; those of two are beside `compare`."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from reference_fits import ROOT, Reference, load, read_frame

from skmixed import MixedLinearRegressor, MixedPoissonRegressor, lmer, mmrm
from skmixed.datasets import load_machines, load_orthodont
from skmixed.exceptions import RefitWarning, SingularFitWarning
from skmixed.inference import anova, compare, likelihood_ratio_test

FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]
MEAN = MixedLinearRegressor("Subject", fixed=[]).fit(X, Y)
INTERCEPT = MixedLinearRegressor("Subject").fit(X, Y)
SLOPE = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y)
LEAST_SQUARES = MixedLinearRegressor(fixed=["Days"]).fit(X, Y)

COMPARISONS = [
    (path.stem, comparison)
    for path in sorted((ROOT / "fits").glob("*.json"))
    for comparison in load(path.stem).get("comparisons", [])
    if len(comparison["models"]) > 2
]


@pytest.mark.parametrize(("dataset", "comparison"), COMPARISONS)
def test_tables_of_lme4(dataset, comparison):
    """R's anova(m0, m1, m2), of fits by maximum likelihood."""
    names = comparison["models"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        models = [Reference(dataset, own, "ml").fitted() for own in names]
    table = likelihood_ratio_test(
        *models[::-1], boundary=False, check_nested=False, names=names[::-1]
    )
    assert list(table.index) == names
    expected = np.array(comparison["values"], dtype=float)
    columns = ["n_parameters", "aic", "bic", "log_likelihood", "criterion", "statistic", "df"]
    # The criteria at lme4's optima, refined by Newton steps, are within 1e-6 of the lowest
    assert_allclose(table[columns], expected[:, :7], atol=2e-6)
    assert_allclose(table["p_value"], expected[:, 7], rtol=2e-6)


def test_there_are_comparisons_of_three():
    assert len(COMPARISONS) >= 3


def test_each_model_is_tested_against_the_one_before():
    names = ["least squares", "intercept", "slope"]
    table = likelihood_ratio_test(
        SLOPE, LEAST_SQUARES, INTERCEPT, names=["slope", "least squares", "intercept"]
    )
    assert list(table.index) == names
    assert list(table["reference"]) == ["", "½χ²(0) + ½χ²(1)", "½χ²(1) + ½χ²(2)"]
    pairs = [(LEAST_SQUARES, INTERCEPT), (INTERCEPT, SLOPE)]
    for row, (null, alternative) in zip(names[1:], pairs, strict=True):
        own = likelihood_ratio_test(null, alternative)
        for place, name in (("null", names[names.index(row) - 1]), ("alternative", row)):
            shared = [c for c in table if place == "alternative" or c in ("aic", "bic", "method")]
            pd.testing.assert_series_equal(
                own.loc[place, shared], table.loc[name, shared], check_names=False
            )
    assert list(likelihood_ratio_test(SLOPE, LEAST_SQUARES, INTERCEPT).index) == [
        *("model1", "model2", "model0")
    ]


def test_criteria_are_those_of_the_fits():
    table = likelihood_ratio_test(LEAST_SQUARES, INTERCEPT, SLOPE)
    models = [LEAST_SQUARES, INTERCEPT, SLOPE]
    assert_allclose(table["aic"], [m.aic_ for m in models], rtol=1e-12)
    assert_allclose(table["bic"], [m.bic_ for m in models], rtol=1e-12)


def test_all_are_refitted_where_one_differs_in_its_fixed_effects():
    with pytest.warns(RefitWarning, match="model0, model1, model2, since restricted"):
        table = likelihood_ratio_test(MEAN, INTERCEPT, SLOPE)
    assert set(table["method"]) == {"ml"}
    by_ml = [
        MixedLinearRegressor("Subject", method="ml", **own).fit(X, Y)
        for own in ({"fixed": []}, {}, {"random_slopes": "Days"})
    ]
    # The criteria at two ends of searches
    assert_allclose(table["criterion"], [m.criterion_ for m in by_ml], rtol=1e-11)


def test_messages_name_the_models():
    names = ["first", "second", "third"]
    with pytest.raises(ValueError, match="first and third have 4 parameters each"):
        likelihood_ratio_test(INTERCEPT, SLOPE, INTERCEPT, names=names)
    for wrong, why in ((["a", "b"], "has 2 names for 3 models"), (["a", "a", "b"], "a name twice")):
        with pytest.raises(ValueError, match=why):
            likelihood_ratio_test(LEAST_SQUARES, INTERCEPT, SLOPE, names=wrong)
    with pytest.raises(ValueError, match="likelihood_ratio_test needs at least two models, got 1"):
        likelihood_ratio_test(INTERCEPT)
    other = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[:150], Y[:150])
    with pytest.raises(ValueError, match="first and third are fitted to different rows: the numb"):
        likelihood_ratio_test(LEAST_SQUARES, INTERCEPT, other, names=names)
    changed = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y + X["Days"])
    with pytest.raises(ValueError, match="model0 and model2 are fitted to different rows: the sum"):
        likelihood_ratio_test(LEAST_SQUARES, INTERCEPT, changed)
    counts = MixedPoissonRegressor("Subject").fit(X, Y.round())
    with pytest.raises(ValueError, match="different distributions of y, normal and poisson"):
        likelihood_ratio_test(LEAST_SQUARES, INTERCEPT, counts)
    renamed = FRAME.rename(columns={"Days": "night"})[["night", "Subject"]]
    unlike = MixedLinearRegressor("Subject", random_slopes="night").fit(renamed, Y)
    with pytest.raises(ValueError, match="model1 is not seen to be a special case of model2"):
        likelihood_ratio_test(LEAST_SQUARES, INTERCEPT, unlike)


def test_models_may_be_given_by_name_and_formulas_stand_below():
    frame = X.assign(Reaction=Y)
    named = {
        "slope": lmer("Reaction ~ Days + (Days | Subject)", frame),
        "intercept": lmer("Reaction ~ Days + (1 | Subject)", frame),
    }
    table = likelihood_ratio_test(named)
    assert list(table["model"]) == ["intercept", "slope"]
    listed = likelihood_ratio_test(*named.values(), names=list(named))
    pd.testing.assert_frame_equal(table, listed)
    pd.testing.assert_frame_equal(table, anova(named))
    for text in (str(table), str(compare(named))):
        below = " ".join(text.split())
        for name, model in named.items():
            assert f"{name}: {model.formula}" in below
    with pytest.raises(ValueError, match="type=2 is for the tests of one model"):
        anova(named, type=2)


def test_formulas_of_models_for_repeated_measures_say_the_covariance():
    frame = load_orthodont().frame
    models = [mmrm(f"distance ~ Sex + {own}(age | Subject)", frame) for own in ("ar1", "us")]
    text = " ".join(str(likelihood_ratio_test(*models)).split())
    assert "model0: distance ~ Sex; residuals: ar1 within Subject (27) in age, 2 param" in text


def test_a_factor_that_is_coded_otherwise_is_named():
    frame = load_machines().frame
    null = lmer("score ~ Machine + (1 | Worker)", frame)
    alternative = lmer("score ~ relevel(Machine, 'B') + (Machine | Worker)", frame)
    with pytest.raises(ValueError, match="not seen to be a special case") as error:
        likelihood_ratio_test(null, alternative)
    assert "reference category" not in str(error.value)  # another name
    other = frame.assign(Machine=pd.Categorical(frame["Machine"], ["B", "A", "C"]))
    alternative = lmer("score ~ Machine + (Machine | Worker)", other)
    with pytest.raises(ValueError, match="'Machine' may have another coding or reference categ"):
        likelihood_ratio_test(null, alternative)
