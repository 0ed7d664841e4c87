import numpy as np
import pandas as pd
import pytest
from emmeans_reference import MODELS, fitted
from random_families import means_of, means_of_case, number, recorded

from skmixed import lmer
from skmixed.datasets import load_machines
from skmixed.exceptions import NotEstimableWarning
from skmixed.inference import comparisons, marginal_means, marginal_slopes
from skmixed.inference._contrasts.adjustment import ADJUSTMENTS
from skmixed.inference._contrasts.comparisons import Comparisons

CASES = recorded()["families"]
# emmeans' names of methods, and of adjustments
METHODS = {
    "pairwise": {"method": "pairwise"},
    "reversed": {"method": "pairwise", "reverse": True},
    "control": {"method": "trt.vs.ctrl"},
    "consecutive": {"method": "consecutive"},
    "consecutive_reversed": {"method": "consecutive", "reverse": True},
    "eff": {"method": "eff"},
    "poly": {"method": "poly"},
    "custom": {},
}
OF_EMMEANS = {"fdr": "fdr_bh", "none": None}
# Limits in standard errors: emmeans finds quantiles to these (5e-4 for dunnettx, which it takes
# from qtukey where that is near).
LIMITS = {"tukey": 1e-4, "dunnettx": 1e-3}
# Quantiles of t, of which SciPy 1.13 has ten digits
OF_T = 1e-9


def assert_near(found, expected, error, atol):
    """Up to a share of a standard error, and missing where it is."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    difference = ((found - expected) / error).dropna()
    assert (difference.abs() <= atol).all()


def compared(case, name, adjust):
    options = dict(METHODS[name])
    if name == "control":
        options["reference"] = "abcdefgh"[case["reference"] - 1]
    if name == "custom":
        options["method"] = dict(zip(["one", "two"], case["custom"], strict=True))
    return comparisons(means_of_case(case), adjust=OF_EMMEANS.get(adjust, adjust), **options)


@pytest.mark.parametrize("k", range(len(CASES)))
@pytest.mark.parametrize("name", METHODS)
def test_comparisons_of_random_families_are_emmeans(k, name):
    own = CASES[k]["methods"][name]
    expected = own["columns"]
    found = compared(CASES[k], name, None)
    assert found["contrast"].tolist() == np.atleast_1d(expected["contrast"]).tolist()
    error = number(expected["std_error"])
    # R writes 15 digits
    np.testing.assert_allclose(found["std_error"], error, rtol=1e-12)
    np.testing.assert_allclose(found["df"], number(expected["df"]), rtol=1e-12)
    assert_near(found["estimate"], number(expected["estimate"]), error, 1e-11)
    for adjust, adjusted in own["adjust"].items():
        found = compared(CASES[k], name, adjust)
        # R's ptukey has an error of 1e-8 or so
        np.testing.assert_allclose(found["p_value"], number(adjusted["p_value"]), atol=1e-7)
        for side in ("lower", "upper"):
            assert_near(found[side], number(adjusted[side]), error, LIMITS.get(adjust, OF_T))


@pytest.mark.parametrize("k", [k for k in range(len(CASES)) if CASES[k]["n_b"] > 1])
def test_differences_of_differences_are_emmeans(k):
    means, expected = means_of_case(CASES[k]), CASES[k]["methods"]["twice"]["columns"]
    found = comparisons(comparisons(means), by="contrast", adjust=None)
    assert found.columns[:2].tolist() == ["contrast1", "contrast"]
    for name in ("contrast1", "contrast"):
        assert found[name].tolist() == np.atleast_1d(expected[name]).tolist()
    error = number(expected["std_error"])
    np.testing.assert_allclose(found["std_error"], error, rtol=1e-12)
    assert_near(found["estimate"], number(expected["estimate"]), error, 1e-11)


# Of models of the reference data: emmeans' words for ours
WORDS = {"pairwise": "pairwise", "trt.vs.ctrl": "trt.vs.ctrl", "consec": "consecutive"}
# Slopes of functions of a column are difference quotients in emmeans, of 1e-3 of its range.
ROUGH = {"sleepstudy_curves"}
# emmeans' residual degrees of freedom take off the parameters of the correlations, too.
OTHER_DF = {"fev", "orthodont_gls"}


def asked(name):
    """Each table of a model that emmeans compares, with what it has found."""
    own = MODELS[name]
    for kind, function in (("means", marginal_means), ("slopes", marginal_slopes)):
        for question in own[kind]:
            if "comparisons" not in question or (kind == "slopes" and name in ROUGH):
                continue
            options = {key: question[key] or None for key in ("variables", "by", "at")}
            options |= {"ddf": question["ddf"], "weights": question["weights"]}
            if kind == "means":
                options["scale"] = question["scale"]
            else:
                options["column"] = question["column"]
            yield function(fitted(name), **options), question["comparisons"]


def array(values):
    return np.array([np.nan if v in (None, "Inf") else v for v in np.atleast_1d(values)], float)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.NotEstimableWarning")
@pytest.mark.parametrize("name", MODELS)
def test_comparisons_of_models_are_emmeans(name):
    for k, (table, expected) in enumerate(asked(name)):
        for word, own in expected.items():
            columns = own["columns"]
            found = comparisons(table, WORDS[word], adjust=None)
            assert found["contrast"].tolist() == np.atleast_1d(columns["contrast"]).tolist()
            ratio = found.scale.back.ratio_name if found.scale.back else "estimate"
            t = found["z" if "z" in found else "t"]
            error = array(columns["std_error"])
            # Two optima and their information, each to about 1e-7 of a standard error
            np.testing.assert_allclose(found["std_error"], error, rtol=1e-6)
            assert_near(found[ratio], array(columns["estimate"]), error, 1e-6)
            np.testing.assert_allclose(t, array(columns["t"]), atol=1e-6, rtol=1e-6)
            if name not in OTHER_DF:
                if "z" not in found:
                    np.testing.assert_allclose(found["df"], array(columns["df"]), rtol=2e-6)
                # An adjustment reads t, df and their correlations: one word of each table
                if word == [*expected][k % len(expected)]:
                    _check_adjusted(table, word, own["adjust"], error)


def _check_adjusted(table, word, adjusted, error):
    for adjust, expected in adjusted.items():
        found = comparisons(table, WORDS[word], adjust=OF_EMMEANS.get(adjust, adjust))
        p = array(expected["p_value"])
        if adjust == "mvt":
            # mvtnorm's error, and its whole degrees of freedom; emmeans has no p value where
            # another comparison is missing
            is_known = ~np.isnan(p)
            np.testing.assert_allclose(found["p_value"][is_known], p[is_known], atol=1e-3)
            continue
        # Where one is missing emmeans' Tukey takes df to be whole numbers
        rounding = 3e-6 if adjust == "tukey" and np.isnan(p).any() else 1e-6
        np.testing.assert_allclose(found["p_value"], p, atol=rounding)
        for side in ("lower", "upper"):
            assert_near(found[side], array(expected[side]), error, LIMITS.get(adjust, 2e-6))


def test_of_a_generalized_model_on_its_three_scales():
    model = fitted("toenail")
    how = {"variables": "treated", "at": {"visit": 4}}
    link, response, population = (
        comparisons(marginal_means(model, **how, scale=scale))
        for scale in ("link", "response", "population")
    )
    ratio = np.exp(link[["estimate", "lower", "upper"]].to_numpy())
    columns = ["odds_ratio", "lower", "upper"]
    np.testing.assert_allclose(response[columns], ratio)
    np.testing.assert_allclose(response["std_error"], ratio[:, 0] * link["std_error"])
    np.testing.assert_allclose(response["p_value"], link["p_value"])
    assert response["contrast"].tolist() == ["treated0 / treated1"]
    words = "Transformed back from differences on the scale of the link (logit)."
    assert response.remarks[0] == words
    means = marginal_means(model, **how, scale="population")["mean"]
    np.testing.assert_allclose(population["estimate"], means[0] - means[1])
    assert population["contrast"].tolist() == ["treated0 - treated1"]
    assert population.remarks[-1].startswith("Normal tests; 95 %")


def test_comparisons_of_ratios_are_ratios():
    model = fitted("toenail")
    means = marginal_means(model, "treated", "visit", at={"visit": [1, 7]}, scale="response")
    found = comparisons(comparisons(means), by=())
    expected = "(treated0 / treated1 visit1) / (treated0 / treated1 visit7)"
    assert found["contrast"].tolist() == [expected]
    ratios = comparisons(means)["odds_ratio"]
    np.testing.assert_allclose(found["odds_ratio"], ratios[0] / ratios[1])


def test_differences_on_a_transformed_scale_say_so():
    """The way back of -1/y makes no ratios of differences, as emmeans' note says."""
    data = load_machines().frame
    model = lmer("-100 / score ~ Machine + (1 | Worker)", data)
    found = comparisons(marginal_means(model, "Machine", scale="response"))
    assert found.remarks[0] == "On the scale of -100 / score."
    assert found["contrast"][0] == "A - B"
    expected = comparisons(marginal_means(model, "Machine"))
    np.testing.assert_array_equal(found["estimate"], expected["estimate"])


def test_weights_without_the_sum_0_stay_on_the_scale_of_the_link():
    means = marginal_means(fitted("epil"), "trt", scale="response")
    found = comparisons(means, {"mean": [0.5, 0.5]})
    np.testing.assert_allclose(found["estimate"], np.log(means["mean"]).mean())
    assert found.scale.back is None


def test_what_the_data_do_not_determine_is_nan_and_named():
    model = fitted("cake_empty")
    with pytest.warns(NotEstimableWarning, match="do not determine"):
        means = marginal_means(model, "temperature", by="recipe")
    found = comparisons(means, "consecutive", adjust="holm")
    missing = found[found["estimate"].isna()]
    assert missing["contrast"].tolist() == [
        "temperature185 - temperature175", "temperature225 - temperature215",
    ]  # fmt: skip
    assert missing[["std_error", "df", "t", "p_value", "lower", "upper"]].isna().all(axis=None)
    words = "temperature185 - temperature175, A; temperature225 - temperature215, C."
    assert f"The data do not determine {words}" in found.remarks


def test_means_of_no_rows_are_not_compared():
    rows = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    means = means_of(rows, [1.0, 2.0, 3.0], np.eye(3), 3)
    own = means.estimates
    gone = np.array([[np.nan] * 3, *rows[1:]])
    means.estimates = type(own)(own.cells, gone, own.offset, own.tests)
    found = comparisons(means)
    assert found["estimate"].isna().tolist() == [True, True, False]
    assert found["p_value"].isna().tolist() == [True, True, False]


def test_the_table_says_what_it_is():
    means = marginal_means(fitted("cake"), "recipe", by="temperature")
    found = comparisons(means)
    assert found.title == "Pairwise comparisons of recipe, by temperature"
    words = "by Tukey's method for comparing 3 means in each temperature."
    assert found.remarks[-1] == f"P values and intervals are adjusted {words}"
    assert found.remarks[-2] == (
        "t tests with Satterthwaite's degrees of freedom; 95 % confidence intervals."
    )
    assert isinstance(found, Comparisons)
    assert type(found.round(2)) is pd.DataFrame
    heading = found.to_latex(columns=["contrast", "p_value"], caption="", remarks=False)
    assert "\nContrast & temperature & $p$ " in heading


@pytest.mark.parametrize(
    ("adjust", "words"),
    [
        (None, "P values and intervals are not adjusted for 3 comparisons."),
        ("holm", "P values are adjusted by Holm's method for 3 comparisons, intervals by Bonf"),
        ("mvt", "P values and intervals are adjusted by the multivariate t distribution for 3"),
        ("scheffe", "P values and intervals are adjusted by Scheffé's method for 3 comparisons."),
    ],
)
def test_the_adjustment_is_named(adjust, words):
    means = marginal_means(fitted("cake"), "recipe")
    assert comparisons(means, adjust=adjust).remarks[-1].startswith(words)


def test_slopes_are_called_so():
    slopes = marginal_slopes(fitted("cake_covariate"), "temp", "recipe")
    found = comparisons(slopes)
    assert found.remarks[-1].endswith("for comparing 3 slopes.")
    assert comparisons(found).remarks[-1].endswith("for comparing 3 estimates.")


def test_of_two_means_there_is_nothing_to_adjust():
    means = marginal_means(fitted("orthodont"), "Sex")
    assert comparisons(means).remarks[-1].startswith("t tests")


@pytest.mark.parametrize(
    ("method", "adjust"),
    [
        ("pairwise", "tukey"),
        ("trt.vs.ctrl", "dunnettx"),
        ("consecutive", "mvt"),
        ("eff", "fdr_bh"),
        ("poly", None),
        ({"c": [1, -1, 0]}, None),
    ],
)
def test_the_usual_adjustments_are_those_of_emmeans(method, adjust):
    means = marginal_means(fitted("cake"), "recipe")
    usual, named = comparisons(means, method), comparisons(means, method, adjust=adjust)
    pd.testing.assert_frame_equal(usual, named)


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"method": "consec"}, {"method": "consecutive"}),
        ({"method": "Tukey"}, {"method": "pairwise"}),
        ({"method": "dunnett"}, {"method": "trt.vs.ctrl"}),
        ({"adjust": "BH"}, {"adjust": "fdr_bh"}),
        ({"adjust": "fdr"}, {"adjust": "fdr_bh"}),
        ({"adjust": "none"}, {"adjust": None}),
        ({"adjust": "Bonferroni"}, {"adjust": "bonferroni"}),
    ],
)
def test_words_of_emmeans_are_heard(options, same):
    means = means_of(np.eye(4), [1.0, 2.0, 4.0, 3.0], np.eye(4), 4)
    found, expected = comparisons(means, **options), comparisons(means, **same)
    pd.testing.assert_frame_equal(found, expected)
    assert found.remarks == expected.remarks


def test_a_seed_repeats_what_is_drawn():
    means = marginal_means(fitted("three_factors"), "ward")
    first, again, other = (
        comparisons(means, adjust="mvt", random_state=seed)["p_value"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_allclose(first, other, atol=2e-4)  # of standard errors of 4e-5


def test_intervals_have_the_level_of_the_call():
    means = marginal_means(fitted("cake"), "recipe", level=0.5)
    wide, narrow = comparisons(means), comparisons(means, level=0.5)
    assert (wide["upper"] > narrow["upper"]).all()
    assert "50 % confidence" in narrow.remarks[-2]


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        (
            {"adjust": "hommel"},
            ValueError,
            "adjust='hommel' is not known. Choose one of 'auto', 'tukey'",
        ),
        (
            {"method": "eff", "adjust": "tukey"},
            ValueError,
            "adjust='tukey' is for method='pairwise' alone. For other comparisons take 'mvt'",
        ),
        ({"adjust": "dunnett"}, ValueError, "adjust='dunnett' is for method='trt.vs.ctrl' alone"),
        ({"method": [[1, -1, 0]], "adjust": "tukey"}, ValueError, "is for method='pairwise' alone"),
        ({"level": 95}, ValueError, "level=95 is not between 0 and 1"),
        ({"by": "oven"}, ValueError, "by='oven' names 'oven', which is no variable of the table"),
        ({"by": "recipe"}, ValueError, "by='recipe' are all variables of the table"),
        ({"random_state": "x"}, TypeError, "random_state='x' is no seed"),
        ({"method": "trt.vs.ctrl", "reference": "D"}, ValueError, "reference='D' names no cell"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, problem):
    means = marginal_means(fitted("cake"), "recipe")
    with pytest.raises(error, match=problem):
        comparisons(means, **options)


def test_variables_and_columns_have_names_of_their_own():
    data = load_machines().frame.rename(columns={"Worker": "t"}).assign(contrast="x")
    data.loc[::2, "contrast"] = "y"
    model = lmer("score ~ Machine * contrast + t + (1 | Machine:t)", data)
    means = marginal_means(model, "Machine", by="contrast")
    assert list(comparisons(means))[:2] == ["contrast1", "contrast"]
    means = marginal_means(model, "Machine", by="t")
    with pytest.raises(ValueError, match="'t' is a variable, and a column of the table too"):
        comparisons(means)


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_every_adjustment_is_taken(name):
    means = marginal_means(fitted("cake"), "recipe")
    found = comparisons(means, ADJUSTMENTS[name].needs or "pairwise", adjust=name)
    assert found["p_value"].between(0.0, 1.0).all()
