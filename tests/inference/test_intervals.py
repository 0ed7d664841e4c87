import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from reference_fits import Reference
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._fitted.fitted_model import fitted
from skmixed._uncertainty.profile import Profiler
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import ExactFitWarning, RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import coefficient_table, confidence_intervals
from skmixed.inference._intervals import _warn_unless_found
from skmixed.inference._parameters import KINDS, Sigma, exponential_limits, parameters


@pytest.fixture(scope="module")
def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)


def rows(table, component):
    return table[table["component"] == component]


def test_the_table_has_every_parameter(sleepstudy):
    table = confidence_intervals(sleepstudy)
    assert list(table.columns) == ["component", "group", "name", "estimate", "lower", "upper"]
    expected = [
        ("sd", "Subject", "(Intercept)"),
        ("sd", "Subject", "Days"),
        ("corr", "Subject", "(Intercept), Days"),
        ("sigma", "residual", ""),
        ("fixed", "", "(Intercept)"),
        ("fixed", "", "Days"),
    ]
    assert list(table.iloc[:, :3].itertuples(index=False, name=None)) == expected
    components = sleepstudy.variance_components_
    assert_allclose(rows(table, "sd")["estimate"], components["sd"][:2])
    assert rows(table, "corr")["estimate"].item() == pytest.approx(components["corr"][1])


def test_wald_intervals(sleepstudy):
    table = confidence_intervals(sleepstudy, ddf="kenward-roger", level=0.9)
    expected = coefficient_table(sleepstudy, "kenward-roger", level=0.9)
    fixed = rows(table, "fixed")
    assert_allclose(fixed[["lower", "upper"]], expected[["lower", "upper"]])
    # nlme: intervals(lme(Reaction ~ Days, sleepstudy, ~ Days | Subject), which = "var-cov"),
    # whose approximation to the information is numerical (3 digits).
    table = confidence_intervals(sleepstudy)
    sd = rows(table, "sd")
    assert_allclose(np.sqrt(sd["lower"] * sd["upper"]), sd["estimate"])
    sigma = rows(table, "sigma")
    assert_allclose(sigma[["lower", "upper"]].iloc[0], [22.80, 28.73], rtol=2e-3)


@pytest.mark.parametrize("component", ["sd", "corr", "sigma", "fixed"])
def test_components_are_chosen(sleepstudy, component):
    table = confidence_intervals(sleepstudy, components=component)
    assert set(table["component"]) == {component}


def test_a_variance_of_zero_has_a_one_sided_profile():
    with pytest.warns(SingularFitWarning):
        model = Reference("dyestuff2", "one_way", "ml").fitted()
    wald = rows(confidence_intervals(model), "sd")
    assert wald["lower"].item() == 0.0
    assert np.isnan(wald["upper"].item())
    profile = rows(confidence_intervals(model, "profile"), "sd")
    assert profile["lower"].item() == 0.0
    assert 0 < profile["upper"].item() < 5


def test_a_correlation_is_open_where_an_sd_may_be_zero():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60), "g": np.arange(60) % 10})
    y = frame["x"] + rng.normal(size=10)[frame["g"]] + rng.normal(size=60)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("g", random_slopes="x").fit(frame, y)
    table = confidence_intervals(model, "profile", components="corr")
    assert table[["lower", "upper"]].iloc[0].tolist() == [-1.0, 1.0]


def test_profiles_after_reml_are_those_of_the_likelihood():
    a, b = (Reference("sleepstudy", "random_slope", m).fitted() for m in ("reml", "ml"))
    limits = ["lower", "upper"]
    # Both searches end within 1e-8 of the optimum.
    first, second = (confidence_intervals(m, "profile")[limits] for m in (a, b))
    assert_allclose(first, second, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
def test_other_structures(covariance):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=200), "g": np.arange(200) % 20})
    effects = rng.normal(size=(2, 20))[:, frame["g"]]
    y = effects[0] + (1 + effects[1]) * frame["x"] + rng.normal(size=200)
    model = MixedLinearRegressor("g", random_slopes="x", covariance=covariance).fit(frame, y)
    for method in ("wald", "profile"):
        table = confidence_intervals(model, method)
        assert not len(rows(table, "corr"))
        assert (table["lower"] < table["estimate"]).all()
        assert (table["estimate"] < table["upper"]).all()
        if covariance == "spherical":  # one variance, told twice
            assert_allclose(*rows(table, "sd")[["lower", "upper"]].to_numpy(), rtol=1e-6)


def test_least_squares_and_dropped_columns():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=30)}).assign(b=lambda d: 2 * d["a"])
    y = X["a"] + rng.normal(size=30)
    with pytest.warns(RankDeficiencyWarning):
        model = MixedLinearRegressor().fit(X, y)
    for method in ("wald", "profile"):
        table = confidence_intervals(model, method).set_index("name")
        assert table.loc["b", ["estimate", "lower", "upper"]].isna().all()
        assert table.loc["a", "lower"] < 1 < table.loc["a", "upper"]
    # The profile of σ, from χ²: −2 log L = n log σ² + r²/σ².
    ml = MixedLinearRegressor(method="ml").fit(X[["a"]], y)
    sigma = rows(confidence_intervals(ml, "profile"), "sigma")
    for limit in sigma[["lower", "upper"]].iloc[0]:
        ratio = ml.sigma_**2 / limit**2
        assert 30 * (ratio - 1 - np.log(ratio)) == pytest.approx(3.841459, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_columns_do_not_matter(scale):
    X, y = load_sleepstudy(return_X_y=True)
    plain = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    other = X.assign(Days=X["Days"] * scale)
    scaled = MixedLinearRegressor("Subject", random_slopes="Days").fit(other, y)
    for method in ("wald", "profile"):
        a, b = (confidence_intervals(m, method) for m in (plain, scaled))
        is_slope = (a["name"] == "Days") & (a["component"] != "corr")
        unit = np.where(is_slope, scale, 1.0)[:, None]
        limits = ["lower", "upper"]
        # Limits of profiles are found to 5e-7 of a width.
        assert_allclose(a[limits], b[limits] * unit, rtol=1e-5, atol=1e-5)


def test_several_terms_and_weights():
    reference = Reference("penicillin", "crossed", "reml")
    frame = reference.X()
    weights = np.random.default_rng(0).uniform(1e-3, 3e-3, len(frame))
    model = MixedLinearRegressor([RandomEffect("plate"), RandomEffect("sample")])
    model.fit(frame, reference.y, sample_weight=weights)
    again = MixedLinearRegressor(["plate", "sample"]).fit(
        frame, reference.y, sample_weight=1e4 * weights
    )
    for method in ("wald", "profile"):
        a, b = (confidence_intervals(m, method) for m in (model, again))
        limits = ["lower", "upper"]
        # All weights times c: σ times √c, nothing else.
        unit = np.where(a["component"] == "sigma", 100.0, 1.0)[:, None]
        assert_allclose(a[limits] * unit, b[limits], rtol=1e-5)


@pytest.mark.slow
def test_the_bootstrap_is_reproducible_and_about_right(sleepstudy):
    once, again = (
        confidence_intervals(sleepstudy, "bootstrap", n_samples=20, random_state=0)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(once, again)
    first = confidence_intervals(sleepstudy, "bootstrap", n_samples=400, random_state=0)
    wald = confidence_intervals(sleepstudy, ddf="normal")
    fixed = rows(wald, "fixed")
    # Percentiles of 400 samples: their ends have a Monte Carlo sd of 0.13 standard errors.
    error = (fixed["upper"] - fixed["lower"]) / 3.92
    assert (np.abs(rows(first, "fixed")["lower"] - fixed["lower"]) < 0.5 * error).all()
    assert (np.abs(rows(first, "fixed")["upper"] - fixed["upper"]) < 0.5 * error).all()


def test_messages(sleepstudy):
    with pytest.raises(ValueError, match="method='likelihood' is not known"):
        confidence_intervals(sleepstudy, "likelihood")
    with pytest.raises(ValueError, match="level=0 is not positive"):
        confidence_intervals(sleepstudy, level=0)
    with pytest.raises(ValueError, match="components='beta' is not known"):
        confidence_intervals(sleepstudy, components=["beta"])
    frame = pd.DataFrame({"g": np.repeat(["a", "b", "c"], 4)})
    with pytest.warns(ExactFitWarning):
        exact = MixedLinearRegressor("g").fit(frame, np.repeat([1.0, 2.0, 4.0], 4))
    for method in ("profile", "bootstrap"):
        with pytest.raises(ValueError, match="reproduces y exactly"):
            confidence_intervals(exact, method)


def test_a_limit_that_a_profile_does_not_reach_is_named(sleepstudy):
    parameter_rows = list(parameters(fitted(sleepstudy), tuple(KINDS)))
    table = pd.DataFrame({"lower": [0.0] * 6, "upper": [1.0] * 6})
    _warn_unless_found(parameter_rows, table)
    table.loc[[2, 3], "upper"] = np.nan
    message = "could not be followed to it: corr Subject \\(Intercept\\), Days; sigma residual\\."
    with pytest.warns(ConvergenceWarning, match=message):
        _warn_unless_found(parameter_rows, table)


@pytest.mark.parametrize(
    ("parameter", "value"), [("ddf", "satterwait"), ("n_samples", 0), ("level", 95)]
)
def test_a_wrong_parameter_is_refused_whether_the_method_uses_it_or_not(
    sleepstudy, parameter, value
):
    for method in ("wald", "profile", "bootstrap"):
        with pytest.raises((ValueError, TypeError), match=f"{parameter}="):
            confidence_intervals(sleepstudy, method, **{parameter: value})


def test_wald_limits_of_an_sd_that_is_not_determined_overflow_to_infinity():
    assert exponential_limits(1e-3, 1e4) == (0.0, np.inf)


def _sloped(seed, shift=0.0, scale=1.0):
    """A table with a slope x, as shift + scale·x, and y."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(20), 8), rng.normal(size=160)
    effects = rng.normal(size=(20, 2)) @ np.array([[1.0, 0.3], [0.0, 0.7]])
    y = 1 + 2 * x + effects[g, 0] + effects[g, 1] * x + rng.normal(size=160)
    return pd.DataFrame({"x": shift + scale * x, "g": g}), y


def _profile_limits(X, y):
    model = MixedLinearRegressor("g", random_slopes="x").fit(X, y)
    table = confidence_intervals(model, "profile", components=["sd", "sigma", "fixed"])
    return table[["lower", "upper"]].to_numpy()


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_profile_limits_follow_the_scale_of_a_slope(scale):
    plain, scaled = (_profile_limits(*_sloped(1, scale=s)) for s in (1.0, scale))
    units = np.array([1, scale, 1, 1, scale])[:, None]  # of the slope: its sd, its fixed effect
    # The last of Newton's steps leaves 1e-6 of a width.
    assert_allclose(units * scaled, plain, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_profile_limits_are_those_of_a_slope_far_from_0(seed):
    """The intercept is that at x = 0: the slope over 1e8 sd's of x."""
    plain, far = (_profile_limits(*_sloped(seed, shift=s)) for s in (0.0, 1e8))
    # Of x itself, eight digits are left; the last of Newton's steps leaves 1e-6 of a width.
    assert_allclose(far[[1, 2, 4]], plain[[1, 2, 4]], rtol=1e-5)
    assert_allclose(far[0], 1e8 * plain[1], rtol=1e-5)
    assert_allclose(far[3], -1e8 * plain[4, ::-1], rtol=1e-5)


def test_a_correlation_that_its_columns_leave_no_digits_says_so(sleepstudy):
    parameter_rows = list(parameters(fitted(sleepstudy), ("corr", "sigma")))
    parameter_rows[0] = replace(parameter_rows[0], estimate=-1.0)
    table = pd.DataFrame({"lower": [np.nan] * 2, "upper": [1.0] * 2})
    with pytest.warns(ConvergenceWarning) as caught:
        _warn_unless_found(parameter_rows, table)
    message, other = sorted(str(own.message) for own in caught)
    assert "±1 to all digits that its columns leave it: corr Subject (Intercept), Days. " in message
    assert "several maxima" not in message
    assert "could not be followed to it: sigma residual. " in other


def test_nearly_equal_slopes_have_limits_but_for_their_correlation():
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(20), 8), rng.normal(size=160)
    other = x + 1e-6 * rng.normal(size=160)
    effects = rng.normal(size=(2, 20))
    y = x + effects[0][g] + 3e5 * effects[1][g] * (other - x) + rng.normal(size=160)
    frame = pd.DataFrame({"x": x, "other": other, "g": g})
    model = MixedLinearRegressor("g", random_slopes=["x", "other"], fixed=["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model.fit(frame, y)
    table = confidence_intervals(model, "profile", components=["sd", "sigma", "fixed"])
    assert table[["lower", "upper"]].notna().all(axis=None)
    # Either slope is the difference over 1e-6, to the digits that their sum adds.
    assert_allclose(table["upper"][1], table["upper"][2], rtol=1e-5)


class OneEnd:
    """A profile whose upper end only searches from several starts find."""

    best, bounds = 0.0, (-np.inf, np.inf)

    def __init__(self, profiler):
        self.jump = 0.0 if profiler.is_thorough else 10.0

    def guess(self, errors):
        return errors

    def at(self, value):
        return value**2 + self.jump * (value > 1.0), 2 * value

    def checked(self, value, found):
        return found

    def at_bound(self, value):
        return np.inf


def test_where_an_end_is_missing_the_searches_are_repeated(sleepstudy):
    view = fitted(sleepstudy)
    profiler = replace(Profiler.of(view.stats, view.model), is_doubtful=False)
    profiler = replace(profiler, solution=replace(profiler.solution, criterion=0.0))

    class Row(Sigma):
        def target(self, profiler):
            return OneEnd(profiler)

    _, ends = Row("", "", 0.0).profile_ends(profiler, 3.0)
    # The last of Newton's steps, exact for a parabola.
    assert ends == pytest.approx((-np.sqrt(3), np.sqrt(3)), rel=1e-12)
