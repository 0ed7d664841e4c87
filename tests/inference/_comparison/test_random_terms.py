"""Tests of random-effects terms: lmerTest's ranova, and the same by fits of the smaller models."""

import warnings

import numpy as np
import pandas as pd
import pytest
import reference_terms
from numpy.testing import assert_allclose
from scipy.stats import chi2
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from skmixed import (
    MixedLinearRegressor,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
    glmer,
    lmer,
)
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import ExactFitWarning
from skmixed.inference import likelihood_ratio_test, random_effects_tests
from skmixed.inference._tables.table import ResultTable

pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning"),
]
SLEEP = load_sleepstudy().frame
X, Y = SLEEP[["Days", "Subject"]], SLEEP["Reaction"]


def plain(label):
    """A label without its blanks and its intercept, the columns of its factor sorted."""
    what, _, term = label.replace(" ", "").rpartition("in(")
    coefficients, bar, group = term.strip("()").partition("|")
    coefficients = coefficients.removeprefix("1+").removeprefix("0+")
    group = ":".join(sorted(group.strip("|)").split(":")))
    return what if bar and what else coefficients, group


@pytest.mark.parametrize("kind", ["ranova", "ranova_of_terms"])
@pytest.mark.parametrize("model", reference_terms.RECORDED)
def test_tables_of_lmertest(model, kind):
    recorded, fit = reference_terms.RECORDED[model][kind], reference_terms.fitted(model)
    found = random_effects_tests(fit, reduce_terms=kind == "ranova", boundary=False)
    names = {plain(name): name for name in found.index}
    assert len(names) == len(found) == len(recorded["terms"])
    found = found.loc[[names[plain(term)] for term in recorded["terms"]]]
    numbers = {k: reference_terms.numbers(recorded, k) for k in recorded if k != "terms"}
    assert list(found["n_parameters"]) == list(numbers["n_parameters"])
    assert_allclose(found["df"], numbers["df"])
    # lme4's fits end within 1e-9 of the criterion's minimum, and ranova's are not refined
    assert_allclose(found["statistic"], numbers["statistic"], rtol=1e-7, atol=2e-8)
    if model != "cake/ordered":  # R's polynomials change the criterion by a constant
        assert_allclose(found["log_likelihood"], numbers["log_likelihood"], rtol=1e-9)
        assert_allclose(found["aic"], numbers["aic"], rtol=1e-9)
    # Of a variance of 0 R has a statistic of 1e-12, whose p value is 1 less its root
    assert_allclose(found["p_value"], numbers["p_value"], rtol=0, atol=1e-6)


def by_fits(whole, smaller, **options):
    """The same tests of models that are fitted to the rows."""
    tests = [likelihood_ratio_test(own, whole, check_nested=False, **options) for own in smaller]
    return pd.concat([own.loc[["alternative"]] for own in tests])


def assert_same(table, expected, *, has_reference=True):
    assert list(table["df"].iloc[1:]) == list(expected["df"])
    # Differences of criteria, each to the rounding of a search's end
    assert_allclose(table["statistic"].iloc[1:], expected["statistic"], rtol=1e-8, atol=1e-8)
    if has_reference:
        assert list(table["reference"].iloc[1:]) == list(expected["reference"])
        assert_allclose(table["p_value"].iloc[1:], expected["p_value"], rtol=1e-7, atol=1e-15)


def rows(seed=0, n=240):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    frame["f"] = rng.choice(list("abc"), n)
    frame["g"], frame["h"] = rng.integers(0, 15, n), rng.integers(0, 8, n)
    effects = rng.normal(size=(15, 3)) * [1.0, 0.6, 0.4]
    own = effects[frame["g"]]
    eta = own[:, 0] + own[:, 1] * frame["x"] + own[:, 2] * (frame["f"] == "b")
    eta += 0.7 * rng.normal(size=8)[frame["h"]] + 0.3 * frame["x"]
    frame["y"] = eta + rng.normal(size=n)
    frame["count"] = rng.poisson(np.exp(0.4 * eta))
    return frame


CASES = {
    "(x + z | g) + (1 | h)": {
        "x in (1 + x + z | g)": "(z | g) + (1 | h)",
        "z in (1 + x + z | g)": "(x | g) + (1 | h)",
        "(1 | h)": "(x + z | g)",
    },
    "(x * f | g)": {"x:f in (1 + x + f + x:f | g)": "(x + f | g)"},
    "(0 + f + x | g)": {
        "f in (0 + f + x | g)": "(0 + x | g)",
        "x in (0 + f + x | g)": "(0 + f | g)",
    },
    "(0 + f | g) + (1 | h)": {"f in (0 + f | g)": "(1 | g) + (1 | h)", "(1 | h)": "(0 + f | g)"},
    "(0 + poly(x, 2) | g)": {"(0 + poly(x, 2) | g)": ""},
    "(poly(x, 2) | g)": {"poly(x, 2) in (1 + poly(x, 2) | g)": "(1 | g)"},
    "(x || g)": {"(1 | g)": "(0 + x | g)", "(0 + x | g)": "(1 | g)"},
    "diag(1 + x + z | g)": {
        "(Intercept) in (1 + x + z || g)": "diag(0 + x + z | g)",
        "x in (1 + x + z || g)": "diag(1 + z | g)",
        "z in (1 + x + z || g)": "diag(1 + x | g)",
    },
    "(1 | g) + (0 + f | g)": {"(1 | g)": "(0 + f | g)", "f in (0 + f | g)": "(1 | g)"},
    "cs(0 + f | g, hom=TRUE) + (1 | h)": {
        "(0 + f | g), compound_symmetry": "(1 | h)",
        "(1 | h)": "cs(0 + f | g, hom=TRUE)",
    },
}


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.IdentifiabilityWarning")
@pytest.mark.parametrize("random", CASES)
def test_what_is_left_is_the_model_of_another_formula(random):
    frame = rows()
    whole = lmer(f"y ~ x + f + {random}", frame)
    formulas = {label: f"y ~ x + f + {own}" for label, own in CASES[random].items()}
    smaller = {label: lmer(own.rstrip(" +"), frame) for label, own in formulas.items()}
    table = random_effects_tests(whole)
    assert list(table.index) == ["<none>", *smaller]
    expected = by_fits(whole, smaller.values())
    # By names alone cells of a factor do not have an intercept, and the mixture is not seen
    assert_same(table, expected, has_reference="0 + f" not in random)


def test_cells_of_two_categories_have_one_more_variance():
    frame = rows()
    frame = frame[frame["f"] != "c"]
    cells, contrasts = (lmer(f"y ~ f + ({own} | g)", frame) for own in ("0 + f", "f"))
    tables = [random_effects_tests(own) for own in (cells, contrasts)]
    assert list(tables[0]["reference"]) == list(tables[1]["reference"]) == ["", "½χ²(1) + ½χ²(2)"]
    assert_allclose(tables[0]["p_value"], tables[1]["p_value"], rtol=1e-6)


def test_p_values_with_and_without_the_boundary():
    model = lmer("y ~ x + (x | g) + (1 | h)", rows())
    mixed, plain_ = random_effects_tests(model), random_effects_tests(model, boundary=False)
    statistic = mixed["statistic"].to_numpy()[1:]
    assert list(plain_["reference"]) == ["", "χ²(2)", "χ²(1)"]
    assert_allclose(plain_["p_value"].iloc[1:], chi2.sf(statistic, [2, 1]), rtol=1e-10)
    halves = 0.5 * (chi2.sf(statistic, [1, 0]) + chi2.sf(statistic, [2, 1]))
    halves[1] = 0.5 * chi2.sf(statistic[1], 1)  # χ²(0) is 0
    assert_allclose(mixed["p_value"].iloc[1:], halves, rtol=1e-10)
    whole = random_effects_tests(model, reduce_terms=False)
    assert list(whole["reference"]) == ["", "χ²(3), conservative", "½χ²(0) + ½χ²(1)"]


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_columns_of_arrays_without_a_formula(method):
    frame = rows()
    table = frame[["x", "z", "g", "h"]]
    effects = [RandomEffect("g", ["x", "z"]), RandomEffect("h", covariance="diag")]
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(frame))
    whole = MixedLinearRegressor(effects, fixed=["x"], method=method)
    whole.fit(table, frame["y"], sample_weight=weights)
    left = [[RandomEffect("g", ["z"]), "h"], [RandomEffect("g", ["x"]), "h"], effects[:1]]
    smaller = [
        MixedLinearRegressor(own, fixed=["x"], method=method).fit(table, frame["y"], weights)
        for own in left
    ]
    found = random_effects_tests(make_pipeline(whole))
    assert list(found.index) == [
        *("<none>", "x in (1 + x + z | g)", "z in (1 + x + z | g)", "(1 | h)")
    ]
    assert found.remarks[-1].startswith(f"By {'restricted ' * (method == 'reml')}maximum")
    assert_same(found, by_fits(whole, smaller))


def test_columns_far_from_zero_that_nearly_depend_on_each_other():
    """In the frame of such columns those of a smaller model are no columns of the statistics."""
    frame = rows()
    frame["far"] = 1.6e9 + 86400.0 * frame["x"]
    frame["near"] = frame["far"] + 1e-2 * frame["z"]
    whole = lmer("y ~ far + near + (far + z | g) + (near | h)", frame)
    smaller = [
        lmer(f"y ~ far + near + {own}", frame)
        for own in ("(z | g) + (near | h)", "(far | g) + (near | h)", "(far + z | g) + (1 | h)")
    ]
    table = random_effects_tests(whole)
    expected = by_fits(whole, smaller)
    # near has 8 digits of what far leaves of it
    assert_allclose(table["statistic"].iloc[1:], expected["statistic"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("residual", ["ar1", "independent"])
def test_beside_a_residual_covariance(residual):
    frame = rows().sort_values("g", kind="stable")
    frame["t"] = frame.groupby("g").cumcount()
    own = ResidualCovariance(residual, subject="g", time="t")
    whole = lmer("y ~ x + (x + z | g) + (1 | h)", frame, residual=own)
    smaller = [
        lmer(f"y ~ x + {random}", frame, residual=own)
        for random in ("(z | g) + (1 | h)", "(x | g) + (1 | h)", "(x + z | g)")
    ]
    table = random_effects_tests(whole)
    assert list(table.index[1:]) == ["x in (1 + x + z | g)", "z in (1 + x + z | g)", "(1 | h)"]
    assert_same(table, by_fits(whole, smaller))
    without = random_effects_tests(lmer("y ~ x + (1 | h)", frame, residual=own))
    none = lmer("y ~ x", frame, residual=own)
    assert_same(without, by_fits(lmer("y ~ x + (1 | h)", frame, residual=own), [none]))


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_of_counts(family):
    frame = rows()
    whole = glmer("count ~ x + (x | g) + (1 | h)", frame, family)
    smaller = [glmer(f"count ~ x + {own}", frame, family) for own in ("(1|g) + (1|h)", "(x|g)")]
    table = random_effects_tests(whole)
    assert list(table.index[1:]) == ["x in (1 + x | g)", "(1 | h)"]
    assert_same(table, by_fits(whole, smaller))
    lone = glmer("count ~ x + (1 | g)", frame, family, quadrature=9)
    none = glmer("count ~ x", frame, family)
    assert_same(random_effects_tests(lone), by_fits(lone, [none]))


def test_rows_that_came_after_the_fit_do_not_count():
    frame = rows()
    model = MixedLinearRegressor("g", random_slopes="x").fit(frame[["x", "g"]], frame["y"])
    before = random_effects_tests(model)
    model.update_groups(frame[["x", "g"]].head(20), frame["y"].head(20))
    pd.testing.assert_frame_equal(random_effects_tests(model), before)


def test_a_table_that_says_what_it_is():
    table = random_effects_tests(lmer("Reaction ~ Days + (Days | Subject)", SLEEP))
    assert isinstance(table, ResultTable)
    assert table.title == "Likelihood-ratio tests of the random effects"
    assert "<none> is the model itself" in table.remarks[0]
    assert "boundary" in table.remarks[1]
    assert list(table) == [
        *("n_parameters", "log_likelihood", "aic", "statistic", "df", "p_value", "reference")
    ]


def test_a_model_of_the_iterative_solver_is_fitted_by_the_exact_one():
    frame = rows()
    table, groups = frame[["x", "g", "h"]], ["g", "h"]
    iterative = MixedLinearRegressor(groups, solver="iterative").fit(table, frame["y"])
    exact = MixedLinearRegressor(groups).fit(table, frame["y"])
    found, expected = random_effects_tests(iterative), random_effects_tests(exact)
    assert_allclose(found["log_likelihood"], expected["log_likelihood"], rtol=1e-12)


def test_models_without_such_tests():
    least_squares = MixedLinearRegressor(fixed=["Days"]).fit(X, Y)
    with pytest.raises(ValueError, match=r"no random effects to test. Name grouping columns"):
        random_effects_tests(least_squares)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExactFitWarning)
        exact = MixedLinearRegressor("Subject").fit(X, X["Days"])
    with pytest.raises(ValueError, match="the model reproduces y"):
        random_effects_tests(exact)
    fitted = MixedLinearRegressor("Subject").fit(X, Y)
    with pytest.raises(ValueError, match="slim copy"):
        random_effects_tests(fitted.slim())
    for name in ("reduce_terms", "boundary"):
        with pytest.raises(TypeError, match=f"{name}='no'"):
            random_effects_tests(fitted, **{name: "no"})


def test_a_refit_that_does_not_converge_is_told():
    frame = rows()
    model = MixedLinearRegressor([RandomEffect("g", ["x"]), "h"])
    model.fit(frame[["x", "g", "h"]], frame["y"])
    model.max_iter = 1
    with pytest.warns(ConvergenceWarning, match=r"refit of .* by restricted maximum likelihood"):
        random_effects_tests(model)


def test_rows_that_a_saved_copy_has_not_are_asked_for():
    frame = rows()
    chunks = [(frame[["x", "g"]], frame["count"])]
    model = MixedPoissonRegressor("g").fit_chunks(lambda: iter(chunks), max_held_rows=10)
    expected = random_effects_tests(MixedPoissonRegressor("g").fit(*chunks[0]))
    assert_same(random_effects_tests(model), expected.iloc[1:])
