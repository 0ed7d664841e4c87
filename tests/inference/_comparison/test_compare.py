"""Likelihood-ratio tests and information criteria of fitted models."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from reference_fits import ROOT, Reference, load, read_frame, references
from scipy.stats import chi2
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.exceptions import RankDeficiencyWarning, RefitWarning, SingularFitWarning
from skmixed.inference import compare, likelihood_ratio_test

FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]
WIDE = X.assign(z=np.random.default_rng(0).normal(size=len(X)), night=X["Days"].isin([5, 6]) * 1.0)
SUBJECT = [RandomEffect("Subject")]


def fit(groups="Subject", X=X, y=Y, weights=None, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return MixedLinearRegressor(groups, **parameters).fit(X, y, weights)


def lrt(model0, model1, **options):
    """The alternative's row of a test that says nothing."""
    return likelihood_ratio_test(model0, model1, **options).loc["alternative"]


INTERCEPT = fit()
SLOPE = fit(random_slopes="Days")
DIAG = fit(random_slopes="Days", covariance="diag")
SPHERICAL = fit(random_slopes="Days", covariance="spherical")
LEAST_SQUARES = fit(None, fixed=["Days"])

# --- against R ---

RANOVA = [
    r
    for r in references(single_factor=True) + references(single_factor=False)
    if r.method == "reml" and r.fit.get("ranova")
]


def reduced(reference, row):
    """The model of one row of lmerTest's ranova: a term less, or its slopes."""
    row = row.replace(" ", "")
    terms = []
    for term in reference.terms:
        slopes = [c for c in term["columns"] if c != "(Intercept)"]
        group = tuple(term["group"].split(":"))
        if row == f"(1|{term['group']})" and not slopes:
            continue
        if "in(" in row and slopes:  # "Days in (Days | Subject)"
            if row.endswith(f"in(0+{slopes[0]}|{term['group']})") and len(slopes) == 1:
                continue
            slopes, intercept = [], True
        else:
            intercept = len(slopes) < len(term["columns"])
        terms.append(RandomEffect(group, slopes, intercept=intercept))
    model = MixedLinearRegressor(terms or None, fixed=reference.fixed_columns)
    return model.fit(reference.X(), reference.y, reference.weights)


@pytest.mark.parametrize("reference", RANOVA, ids=str)
def test_restricted_likelihoods_of_random_effects(reference):
    table = reference.fit["ranova"]
    model = fit_quietly(reference)
    # The cells (0 + Machine | Worker) contain (1 | Worker), if not by name.
    by_name = reference.model != "random_machine_cells"
    for row, expected in list(zip(table["rows"], table["values"], strict=True))[1:]:
        found = likelihood_ratio_test(
            reduced(reference, row), model, boundary=False, check_nested=by_name
        )
        assert_agrees(found, table["values"][0], expected)
        assert (found["method"] == "reml").all()


def assert_agrees(found, larger, smaller):
    """Compare with rows of npar, logLik, AIC, LRT, Df, p."""
    assert list(found["n_parameters"]) == [smaller[0], larger[0]]
    # Optima on both sides: criteria to 1e-6 (tests/test_reference.py), a p value
    # to half of that relatively.
    assert_allclose(found["log_likelihood"], [smaller[1], larger[1]], atol=1e-6)
    assert_allclose(found["criterion"], -2 * found["log_likelihood"])
    assert_allclose(found["statistic"].iloc[1], smaller[3], atol=2e-6)
    assert found["df"].iloc[1] == smaller[4]
    assert_allclose(found["p_value"].iloc[1], smaller[5], rtol=2e-6)


def fit_quietly(reference):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return reference.fitted()


def test_there_are_comparisons():
    assert len(RANOVA) >= 25
    assert {r.dataset for r in RANOVA} >= {"sleepstudy_weighted", "dyestuff2", "penicillin"}
    assert len(COMPARISONS) >= 10


COMPARISONS = [
    pytest.param(path.stem, comparison, id=f"{path.stem}-{k}")
    for path in sorted((ROOT / "fits").glob("*.json"))
    for k, comparison in enumerate(load(path.stem).get("comparisons", []))
]
# Special cases that names do not show: a numeric column and the dummies of its
# values; (1 | a) + (1 | a:b) and (b | a).
NESTED_BEYOND_NAMES = {("numeric", "treatment"), ("worker_machine", "random_machine")}


@pytest.mark.parametrize(("dataset", "comparison"), COMPARISONS)
def test_comparisons_by_maximum_likelihood(dataset, comparison):
    ids, rows = comparison["models"], comparison["values"]
    models = [fit_quietly(Reference(dataset, id_, "ml")) for id_ in ids]
    table = compare(*models, names=ids)
    expected = np.array(rows, dtype=float)
    found = table.loc[ids, ["n_parameters", "aic", "bic", "log_likelihood"]]
    assert_allclose(found, expected[:, :4], atol=2e-6)  # as above
    assert list(table["aic"]) == sorted(table["aic"])
    for k in range(1, len(ids)):
        by_name = (ids[k - 1], ids[k]) not in NESTED_BEYOND_NAMES
        result = lrt(models[k - 1], models[k], boundary=False, check_nested=by_name)
        assert_allclose(result["statistic"], expected[k, 5], atol=2e-6)
        assert result["df"] == expected[k, 6]
        assert_allclose(result["p_value"], expected[k, 7], rtol=2e-6)


# --- the reference distribution ---

CASES = {
    "a lone variance": (LEAST_SQUARES, INTERCEPT, [0, 1]),
    "from one to two coefficients": (INTERCEPT, SLOPE, [1, 2]),
    "one more under diag": (INTERCEPT, DIAG, [0, 1]),
    "a common variance": (LEAST_SQUARES, SPHERICAL, [0, 1]),
    "a further covariance": (DIAG, SLOPE, [1]),
    "unequal variances": (SPHERICAL, DIAG, [1]),
    "any covariance": (SPHERICAL, SLOPE, [2]),
    "two variances": (LEAST_SQUARES, DIAG, [2]),
    "two variances and a covariance": (LEAST_SQUARES, SLOPE, [3]),
}


@pytest.mark.parametrize("case", CASES)
def test_reference_distribution(case):
    null, alternative, degrees = CASES[case]
    result = lrt(null, alternative)
    statistic = null.criterion_ - alternative.criterion_
    half = "½" if len(degrees) == 2 else ""
    words = " + ".join(f"{half}χ²({df})" for df in degrees)
    assert result["reference"] == words + (", conservative" if case.startswith("two") else "")
    assert result["df"] == degrees[-1]
    tails = [chi2.sf(statistic, df) if df else 0.0 for df in degrees]
    # The criteria have 1e-11 of rounding, times the slope of log sf, at most 1/2.
    assert_allclose(result["p_value"], np.mean(tails), rtol=1e-9)
    plain = lrt(null, alternative, boundary=False)
    assert plain["reference"] == f"χ²({degrees[-1]})"
    assert_allclose(plain["p_value"], chi2.sf(statistic, degrees[-1]), rtol=1e-9)


def test_three_coefficients():
    columns = ["Days", "z"]
    two = fit([RandomEffect("Subject", "Days")], WIDE, fixed=columns)
    three = fit([RandomEffect("Subject", columns)], WIDE, fixed=columns)
    assert lrt(two, three)["reference"] == "½χ²(2) + ½χ²(3)"
    # (1 | g) + (0 + Days | g) in (1 + Days + z | g): one variance, three covariances.
    apart = fit([RandomEffect("Subject", "Days", covariance="diag")], WIDE, fixed=columns)
    assert lrt(apart, three)["reference"] == "½χ²(3) + ½χ²(4)"
    spherical = fit([RandomEffect("Subject", "Days", covariance="spherical")], WIDE, fixed=columns)
    assert lrt(spherical, three)["reference"] == "½χ²(4) + ½χ²(5)"


def test_fixed_effects_shift_both_components():
    small = fit(X=WIDE, fixed=["Days"], method="ml")
    fixed = fit(X=WIDE, method="ml")
    both = fit(X=WIDE, random_slopes="Days", method="ml")
    assert lrt(small, fixed)["reference"] == "χ²(2)"
    result = lrt(small, both)
    assert result["reference"] == "½χ²(3) + ½χ²(4)"
    t = small.criterion_ - both.criterion_
    # Rounding of the criteria, as above.
    assert_allclose(result["p_value"], (chi2.sf(t, 3) + chi2.sf(t, 4)) / 2, rtol=1e-9)


def test_several_factors_and_terms():
    frame = read_frame("pastes")
    data = {"X": frame[["batch", "cask"]], "y": frame["strength"]}
    batch = fit("batch", fixed=[], **data)
    nested = fit(["batch", ("batch", "cask")], fixed=[], **data)
    reverse = fit([("cask", "batch"), "batch"], fixed=[], **data)
    assert lrt(batch, nested)["reference"] == "½χ²(0) + ½χ²(1)"
    assert_allclose(lrt(batch, reverse)["p_value"], lrt(batch, nested)["p_value"], rtol=1e-9)
    apart = fit([*SUBJECT, RandomEffect("Subject", "Days", intercept=False)])
    assert lrt(INTERCEPT, apart)["reference"] == "½χ²(0) + ½χ²(1)"
    assert lrt(apart, SLOPE)["reference"] == "χ²(1)"


def test_variance_of_zero_has_p_value_1():
    frame = read_frame("dyestuff2")
    data = {"X": frame[["Batch"]], "y": frame["Yield"]}
    result = lrt(fit(None, fixed=[], **data), fit("Batch", **data))
    assert (result["statistic"], result["p_value"]) == (0.0, 1.0)
    assert lrt(fit(None, fixed=[], **data), fit("Batch", **data), boundary=False)["p_value"] == 1.0


@pytest.mark.slow
def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(3)
    group, x = np.repeat(np.arange(50), 6), rng.normal(size=300)
    frame = pd.DataFrame({"x": x, "group": group})
    p = []
    for _ in range(120):
        y = rng.normal(size=50)[group] + rng.normal(size=300)
        pair = fit("group", frame, y), fit("group", frame, y, random_slopes="x")
        p.append(lrt(*pair)["p_value"])
    # 0.4 with a standard error of 0.045; plain χ²(2) would give 0.29.
    assert np.mean(np.array(p) < 0.4) == pytest.approx(0.4, abs=0.09)


# --- the table ---


def test_order_of_arguments():
    table, swapped = (
        likelihood_ratio_test(INTERCEPT, SLOPE),
        likelihood_ratio_test(SLOPE, INTERCEPT),
    )
    assert list(table["model"]) == ["model0", "model1"]
    assert list(swapped["model"]) == ["model1", "model0"]
    pd.testing.assert_frame_equal(table.drop(columns="model"), swapped.drop(columns="model"))


def test_table_of_a_test():
    table = likelihood_ratio_test(INTERCEPT, SLOPE)
    assert list(table.index) == ["null", "alternative"]
    assert list(table.columns) == [
        *("model", "method", "n_parameters", "aic", "bic", "log_likelihood", "criterion"),
        *("statistic", "df", "p_value", "reference"),
    ]
    assert_allclose(table["log_likelihood"], [INTERCEPT.log_likelihood_, SLOPE.log_likelihood_])
    assert table.loc["null", ["statistic", "df", "p_value"]].isna().all()
    assert table.loc["null", "reference"] == ""


def test_table_of_a_comparison():
    table = compare(INTERCEPT, SLOPE, LEAST_SQUARES)
    assert list(table.index) == ["model1", "model0", "model2"]
    assert list(table.columns) == [
        *("method", "n_parameters", "log_likelihood", "aic", "bic", "delta_aic", "weight")
    ]
    models = [SLOPE, INTERCEPT, LEAST_SQUARES]
    assert_allclose(table["aic"], [m.aic_ for m in models])
    assert_allclose(table["bic"], [m.bic_ for m in models])
    assert_allclose(table["delta_aic"], table["aic"] - SLOPE.aic_)
    assert table["weight"].sum() == pytest.approx(1.0)
    ratio = np.exp((INTERCEPT.aic_ - LEAST_SQUARES.aic_) / 2)
    assert_allclose(table["weight"].iloc[2] / table["weight"].iloc[1], ratio, rtol=1e-9)


def test_names_of_a_comparison():
    table = compare({"slope": SLOPE, "intercept": INTERCEPT})
    assert list(table.index) == ["slope", "intercept"]
    pd.testing.assert_frame_equal(compare(INTERCEPT, SLOPE, names=["intercept", "slope"]), table)


def test_equal_criteria_stay_in_order():
    assert list(compare(SLOPE, SLOPE, SLOPE).index) == ["model0", "model1", "model2"]


def test_pipelines():
    scaler = ColumnTransformer(
        [("scale", StandardScaler(), ["Days"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    estimators = [
        MixedLinearRegressor("Subject", random_slopes=slopes, method="ml")
        for slopes in (None, "Days")
    ]
    pipelines = [make_pipeline(scaler, e).fit(X, Y) for e in estimators]
    plain = [clone(e).fit(X, Y) for e in estimators]
    result, expected = lrt(*pipelines), lrt(*plain)
    assert result["reference"] == expected["reference"]
    # A full covariance does not know its columns' origin and scale: two optima.
    assert_allclose(result["statistic"], expected["statistic"], atol=1e-8)
    # Scaled beside raw: the name is the same, but not the column.
    assert_refuses("column 'Days' has other", likelihood_ratio_test, pipelines[0], plain[1])
    mixed = lrt(pipelines[0], plain[1], check_nested=False)
    assert_allclose(mixed["p_value"], expected["p_value"], rtol=1e-8)


# --- refits by maximum likelihood ---


def refit_warning(function, *models, **options):
    """What a function gives, of one RefitWarning; and its words."""
    with pytest.warns(RefitWarning) as record:
        result = function(*models, **options)
    assert [r.category for r in record] == [RefitWarning]
    assert record[0].filename == __file__  # it points at the user's line, the one above
    return result, str(record[0].message)


def test_different_fixed_effects_are_compared_by_maximum_likelihood():
    null, alternative = fit(fixed=[]), SLOPE
    before = alternative.criterion_
    table, words = refit_warning(likelihood_ratio_test, null, alternative)
    assert words == (
        "Refitted by maximum likelihood for the comparison: model0, model1, since restricted "
        "likelihoods of different fixed effects cannot be compared. Fit with method='ml' to avoid "
        "the refit."
    )
    by_ml = likelihood_ratio_test(
        fit(fixed=[], method="ml"), fit(random_slopes="Days", method="ml")
    )
    pd.testing.assert_frame_equal(table, by_ml)
    assert alternative.criterion_ == before
    assert alternative.summary().title.endswith("REML")


@pytest.mark.parametrize("order", [1, -1])
def test_one_fit_by_reml_and_one_by_ml(order):
    pair = [INTERCEPT, fit(random_slopes="Days", method="ml")][::order]
    table, words = refit_warning(likelihood_ratio_test, *pair)
    name = "model0" if order == 1 else "model1"
    assert f"comparison: {name}, since a restricted likelihood cannot be compared with" in words
    assert list(table["method"]) == ["ml", "ml"]
    assert_allclose(table["log_likelihood"].iloc[0], fit(method="ml").log_likelihood_)


def test_comparison_refits_by_the_same_rule():
    compare(INTERCEPT, SLOPE)  # one X: restricted likelihoods
    smaller = fit(fixed=[], method="ml")
    table, words = refit_warning(compare, INTERCEPT, smaller, SLOPE, names=["a", "b", "c"])
    assert "comparison: a, c, since a restricted" in words
    expected = compare(fit(method="ml"), smaller, fit(random_slopes="Days", method="ml"))
    assert_allclose(table["aic"], expected["aic"], rtol=1e-13)  # the same arithmetic
    assert (table["method"] == "ml").all()


def test_a_scaled_column_is_another_x_under_reml():
    # Days / 10 adds 2 log 10 to the REML criterion and nothing to the likelihood.
    scaled = fit(X=X.assign(Days=X["Days"] / 10))
    table, _ = refit_warning(compare, INTERCEPT, scaled)
    assert_allclose(table["delta_aic"], 0.0, atol=1e-9)  # rounding of the criterion


def test_dropped_columns_are_no_fixed_effects():
    twice = X.assign(twice=2 * X["Days"])
    assert lrt(INTERCEPT, fit(X=twice, random_slopes="Days"))["method"] == "reml"
    # A column that the alternative drops is still in the span of its X.
    last = fit(X=twice, fixed=["twice"], method="ml")
    rich = fit(X=twice, random_slopes="Days", method="ml")
    assert lrt(last, rich)["reference"] == "½χ²(1) + ½χ²(2)"


def test_refit_that_does_not_converge():
    model = fit(random_slopes="Days").set_params(max_iter=1, tol=1e-15)
    with pytest.warns(RefitWarning), pytest.warns(ConvergenceWarning) as record:
        likelihood_ratio_test(fit(fixed=[]), model)
    words = [str(r.message) for r in record]
    assert len(words) == 2
    assert words[1] == (
        "The refit of model1 by maximum likelihood did not converge in 1 steps. Raise max_iter."
    )
    assert {r.filename for r in record} == {__file__}


# --- messages ---


def assert_refuses(message, function, *models, error=ValueError, **options):
    with pytest.raises(error, match=re.escape(message)):
        function(*models, **options)


W = np.linspace(0.5, 2.0, len(X))
OTHER_ROWS = {
    "the number of samples is 180 and 179": {"X": X[1:], "y": Y[1:]},
    "the sum of y is 53731.42": {"y": Y + np.eye(1, len(Y))[0]},
    "the sum of squares of y around its mean is": {"y": Y.mean() + 1.1 * (Y - Y.mean())},
    "the sum of the logarithms of the weights is 0 and": {"weights": W},
    "the sum of the weights is 180 and": {"weights": np.r_[2.0, 0.5, np.ones(178)]},
}


@pytest.mark.parametrize("message", OTHER_ROWS)
@pytest.mark.parametrize("function", [likelihood_ratio_test, compare])
def test_models_on_different_rows(function, message):
    other = fit(**OTHER_ROWS[message])
    message = f"model0 and model1 are fitted to different rows: {message}"
    assert_refuses(message, function, SLOPE, other)


def test_weights_in_another_order():
    other = fit(weights=np.r_[W[1], W[0], W[2:]])
    model = fit(weights=W, random_slopes="Days")
    assert_refuses("rows: the weighted sum of y is", likelihood_ratio_test, model, other)


def test_rows_are_told_apart_far_from_zero_and_permuted_rows_are_the_same():
    far = Y + 1e8
    order = np.random.default_rng(1).permutation(len(X))
    null = fit(y=far)
    same = fit(X=X.iloc[order], y=far.iloc[order], random_slopes="Days")
    assert lrt(null, same)["statistic"] > 40
    changed = far.to_numpy().copy()
    changed[0] += 1.0
    other = fit(y=changed, random_slopes="Days")
    assert_refuses("different rows: the sum of y", likelihood_ratio_test, null, other)


def test_equal_numbers_of_parameters():
    assert_refuses(
        "model0 and model1 have 4 parameters each, so that neither is a special case of the other. "
        "Use `compare`.",
        *(likelihood_ratio_test, INTERCEPT, SPHERICAL),
    )


NOT_NESTED = {
    "model1 does not contain the fixed effect of 'night' of model0": (
        fit(X=WIDE, fixed=["night"]),
        fit(X=WIDE, fixed=["Days", "z"]),
    ),
    "model1 does not contain the covariance of '(Intercept)' within 'Subject' of model0": (
        INTERCEPT,
        fit([RandomEffect("Subject", ["Days", "z"], intercept=False)], WIDE, fixed=["Days"]),
    ),
    "the covariance of 'Days', 'z' within 'Subject' (spherical) of model0": (
        fit(
            [RandomEffect("Subject", ["Days", "z"], intercept=False, covariance="spherical")],
            WIDE,
            fixed=["Days"],
        ),
        fit([RandomEffect("Subject", "Days")], WIDE, fixed=["Days"]),
    ),
    "column 'Days' has other values in model0 than in model1": (
        fit(X=X.assign(Days=X["Days"] / 10)),
        SLOPE,
    ),
    "column 'Subject' has other values in model0 than in model1": (
        fit(X=X.assign(Subject=X["Subject"].astype(int) % 7)),
        SLOPE,
    ),
}


@pytest.mark.parametrize("message", NOT_NESTED)
def test_models_that_are_not_nested(message):
    null, alternative = NOT_NESTED[message]
    if "does not contain the cov" in message:
        message = f"model0 is not seen to be a special case of model1: {message}"
    assert_refuses(message, likelihood_ratio_test, null, alternative)
    assert_refuses(
        "Use `compare`, or check_nested=False if you know that the models are nested.",
        *(likelihood_ratio_test, null, alternative),
    )
    # The names follow the arguments.
    swapped = message.replace("model0", "m").replace("model1", "model0").replace(" m ", " model1 ")
    if message.startswith("column"):
        assert_refuses(swapped, likelihood_ratio_test, alternative, null)


def test_models_nested_beyond_names():
    days = pd.get_dummies(X["Days"].astype(int), prefix="day", drop_first=True, dtype=float)
    numeric = fit(method="ml")
    dummies = fit(X=days.assign(Subject=X["Subject"]), method="ml")
    result = lrt(numeric, dummies, check_nested=False)
    assert (result["df"], result["reference"]) == (8, "χ²(8)")


def test_a_larger_model_that_fits_worse():
    noise = fit([RandomEffect("Subject", "z")], WIDE, fixed=["Days"])
    assert_refuses(
        "model1 has more parameters than model0, but a lower log-likelihood (-891.59 "
        "against -879.575): the models are not nested, or a search has not converged.",
        *(likelihood_ratio_test, SPHERICAL, noise),
        check_nested=False,
    )


def test_exact_fits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact = fit(y=2.0 * X["Days"], random_slopes="Days")
        other = fit(y=2.0 * X["Days"], fixed=[])
    assert_refuses(
        "model1 reproduces y, so that its likelihood has no maximum to compare",
        *(likelihood_ratio_test, other, exact),
    )


def test_kinds_of_arguments():
    assert_refuses(
        "model is of type int. Give a fitted", likelihood_ratio_test, SLOPE, 3, error=TypeError
    )
    unfitted = MixedLinearRegressor("Subject")
    assert_refuses("not fitted", compare, SLOPE, unfitted, error=NotFittedError)
    assert_refuses(
        "boundary='no' is of type str. Give True or False.",
        *(likelihood_ratio_test, SLOPE, INTERCEPT),
        error=TypeError,
        boundary="no",
    )
    assert_refuses(
        "check_nested=1 is of type int.",
        *(likelihood_ratio_test, SLOPE, INTERCEPT),
        error=TypeError,
        check_nested=1,
    )


def test_names_that_do_not_fit():
    assert_refuses("names=['a'] has 1 names for 2 models.", compare, SLOPE, SLOPE, names=["a"])
    assert_refuses("names=['a', 'a'] has a name twice.", compare, SLOPE, SLOPE, names=["a", "a"])
    assert_refuses("names=['a'] has no use beside a mapping", compare, {"b": SLOPE}, names=["a"])
    assert_refuses("compare needs at least two models, got 1. Give", compare, SLOPE)
    for models in ([SLOPE, INTERCEPT], (SLOPE, INTERCEPT)):
        kind = type(models).__name__
        message = f"compare takes models one by one, not as a {kind}. Write compare(first, second)"
        for more in ({}, {"names": ["a", "b"]}):
            assert_refuses(message, compare, models, error=TypeError, **more)
    with pytest.raises(TypeError, match=r"compare takes one mapping of names to models alone"):
        compare({"slope": SLOPE}, SLOPE)
    assert_refuses("compare needs at least two models, got 0.", compare)
