import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from reference_fits import read_frame

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance, lmer
from skmixed.datasets import load_penicillin
from skmixed.exceptions import ExactFitWarning, RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import coefficient_table, confidence_intervals, icc, r2

FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]


def summary(X=X, y=Y, groups="Subject", **parameters):
    return MixedLinearRegressor(groups, **parameters).fit(X, y).summary()


def words(text):
    return [line.split() for line in str(text).splitlines()]


def test_numbers_of_sleepstudy():
    found = words(summary(random_slopes="Days"))
    # lme4's numbers as `summary()` prints them there, and more digits here.
    assert ["Linear", "mixed", "model", "fitted", "by", "REML"] in found
    assert [
        *("REML", "criterion:", "1743.6283", "logLik:", "-871.8141"),
        *("AIC:", "1755.628", "BIC:", "1774.786"),
    ] in found
    assert ["Subject", "(Intercept)", "612.09", "24.740"] in found
    assert ["Days", "35.07", "5.922", "0.066"] in found
    assert ["residual", "654.94", "25.592"] in found
    assert ["Samples:", "180", "Levels:", "Subject", "18"] in found
    assert ["(Intercept)", "251.41", "6.8246", "17.0", "36.838", "<2e-16"] in found
    assert ["Days", "10.47", "1.5458", "17.0", "6.771", "3.3e-06"] in found
    # performance 0.10.2 has 0.722 (icc), 0.279 and 0.799 (r2_nakagawa).
    assert ["ICC:", "Subject", "0.722", "R²:", "marginal", "0.279", "conditional", "0.799"] in found


def test_maximum_likelihood_has_a_deviance():
    text = str(summary(random_slopes="Days", method="ml"))
    assert "fitted by maximum likelihood" in text
    assert "deviance: 1751.9393   logLik: -875.9697   AIC: 1763.939   BIC: 1783.097" in text
    assert "REML" not in text


def test_least_squares_says_so():
    found = summary(X[["Days"]], groups=None)
    assert str(found).startswith("Ordinary least squares (groups=None: no random effects)")
    assert "Levels" not in str(found)
    assert list(found.fixed["df"]) == [178.0, 178.0]
    assert "Fixed effects (t tests with the residual degrees of freedom):" in str(found)
    assert str(found).endswith("Residual standard deviation: 47.715   R²: 0.285")
    assert "ICC" not in str(found)
    for shown in (str(found), found._repr_html_()):
        assert "Random effects" not in shown


@pytest.mark.parametrize("slopes", [None, "Days"])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e9])
def test_fits_in_80_columns(slopes, scale):
    text = str(summary(y=scale * Y, random_slopes=slopes))
    assert max(map(len, text.splitlines())) <= 80


def test_columns_are_aligned():
    lines = str(summary(random_slopes="Days")).splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("Fixed effects"))
    table = lines[start + 1 : start + 4]
    assert len({len(line) for line in table}) == 1
    points = [[k for k, c in enumerate(line) if c == "."] for line in table[1:]]
    # All but the p values, whose exponents differ.
    assert points[0][:4] == points[1][:4]


def test_attributes_are_the_numbers():
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y)
    found = model.summary()
    pd.testing.assert_frame_equal(found.random, model.variance_components_)
    assert list(found.fixed["Estimate"]) == list(model.fixed_effects_)
    t = found.fixed["Estimate"] / found.fixed["Std. Error"]
    np.testing.assert_array_equal(found.fixed["t value"], t)
    assert repr(found) == str(found)


def test_level_counts_of_an_interaction():
    table = X.assign(half=X["Days"] < 5)
    text = str(summary(table, groups=[("Subject", "half")]))
    assert "Samples: 180   Levels: Subject:half 36" in text


def test_correlations_of_three_coefficients_are_a_triangle():
    table = X.assign(z=np.random.default_rng(0).normal(size=len(X)))
    text = summary(table, random_slopes=["Days", "z"])
    found = words(text)
    assert ["Days", "35.93", "5.994", "0.054"] in found
    assert ["z", "31.14", "5.581", "0.344", "-0.293"] in found
    lines = str(text).splitlines()
    rows = [line for line in lines if line.endswith(("0.054", "-0.293"))]
    assert rows[0].index("0.054") == rows[1].index("0.344")


def test_a_correlation_that_is_not_defined_leaves_its_place_empty():
    """There is none with a coefficient whose variance is 0."""
    table = X.assign(z=np.random.default_rng(0).normal(size=len(X)))
    found = summary(table, random_slopes=["Days", "z"])
    without = found.random.assign(corr=found.random["corr"].where(found.random["name"] != "z"))
    assert "0.344" in str(found)
    assert "0.344" not in str(replace(found, random=without))
    for shown in (found, replace(found, random=without)):
        head, *rows = str(shown).partition("Random effects:\n")[2].splitlines()[:4]
        assert rows[2].endswith(" -0.293")
        assert len(rows[2]) == len(head) + len(" -0.293")


def test_parts_that_have_no_room_stay_together():
    table, y = load_penicillin(return_X_y=True)
    long = table.rename(columns={"sample": "a sample of penicillin, as it was prepared and kept"})
    text = str(summary(long, y, groups=list(long.columns)))
    assert "\nR²: marginal 0.000   conditional 0.936\n" in text
    assert "Samples: 144\nLevels: plate 24, " in text


def test_no_column_of_correlations_without_any():
    assert "Corr" in str(summary(random_slopes="Days"))
    assert "Corr" not in str(summary(random_slopes="Days", covariance="diag"))
    assert "Corr" not in str(summary())


def test_notes():
    frame = read_frame("dyestuff2")
    with pytest.warns(SingularFitWarning):
        singular = summary(frame[["Batch"]], frame["Yield"], groups="Batch")
    assert "The estimated variance of '(Intercept)' within 'Batch' is 0." in str(singular)
    assert "The search for the variance components converged." in str(singular)
    with pytest.warns(RankDeficiencyWarning):
        deficient = summary(X.assign(one=1.0, two=2.0))
    assert "Fixed-effects columns 'one', 'two' depend linearly" in str(deficient)
    assert np.isnan(deficient.fixed.loc["one", "Std. Error"])
    assert ["one", "0.0000"] in words(deficient) or ["one", "0.00"] in words(deficient)


def test_degrees_of_freedom_are_those_of_the_coefficient_table():
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y)
    for ddf in ("satterthwaite", "kenward-roger", "residual", "normal"):
        found, expected = model.summary(ddf), coefficient_table(model, ddf)
        np.testing.assert_array_equal(found.fixed["df"], expected["df"])
        np.testing.assert_array_equal(found.fixed["Pr(>|t|)"], expected["p_value"])
        np.testing.assert_array_equal(found.fixed["Std. Error"], expected["std_error"])
    pd.testing.assert_series_equal(model.summary().icc, icc(model))
    pd.testing.assert_series_equal(model.summary().r2, r2(model))
    with pytest.raises(ValueError, match="ddf='none' is not known"):
        model.summary("none")


def test_an_exact_fit_has_no_degrees_of_freedom():
    with pytest.warns(ExactFitWarning):
        found = summary(y=X["Days"] * 2.0 + 1.0)
    assert list(found.fixed.columns) == ["Estimate", "Std. Error", "t value"]
    assert "No degrees of freedom and p values: the residual variance is 0" in str(found)
    assert str(found).count("The model reproduces y") == 1


def test_names_with_a_meaning_are_quoted():
    table = X.rename(columns={"Days": "(Intercept)", "Subject": "residual"})
    found = words(summary(table, groups="residual"))
    assert next(w for w in found if w[0:1] == ["`(Intercept)`"])[:2] == ["`(Intercept)`", "10.47"]
    assert found[[w[0:1] for w in found].index(["`residual`"])][1] == "(Intercept)"
    assert sum(w[0:1] == ["residual"] for w in found) == 1


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_long_names_and_many_terms_fit_in_80_columns():
    rng = np.random.default_rng(1)
    long = "a_column_whose_name_goes_on_and_on_until_no_line_of_eighty_characters_holds_it_"
    slopes = [f"{long}{k}" for k in range(5)]
    table = X.assign(**{name: rng.normal(size=len(X)) for name in slopes})
    table["a group with a long name that takes the whole of the line, or more of it"] = (
        rng.integers(0, 9, len(X))
    )
    effects = [RandomEffect("Subject", slopes), table.columns[-1]]
    found = summary(table, 1e9 * Y, groups=effects)
    assert max(map(len, str(found).splitlines())) <= 80
    assert "…" in str(found)
    assert "More correlations: variance_components_." in str(found)
    html = found._repr_html_()
    assert "…" not in html.partition("ICC")[0].partition("Random")[2]
    assert all(name in html for name in slopes)


def test_a_formula_is_shown():
    model = lmer("Reaction ~ Days + (Days | Subject)", FRAME)
    assert "Formula: Reaction ~ Days + (Days | Subject)" in str(model.summary())
    assert "<code>Reaction ~ Days + (Days | Subject)</code>" in model.summary()._repr_html_()


def test_where_the_factorization_has_no_room(monkeypatch):
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y)
    monkeypatch.setattr("skmixed._fitted.checks._physical_memory", lambda: 0.0)
    assert "their factorization has no room in memory" in str(model.summary())
    with pytest.raises(MemoryError):
        model.summary("satterthwaite")


class Page(HTMLParser):
    """Collects the tags and the cells, and checks that tags are closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_has_the_cells_of_the_text():
    found = summary(random_slopes="Days")
    page = Page(found._repr_html_())
    for cell in ("Subject", "(Intercept)", "612.09", "25.592", "36.838", found.title, "3.3e-06"):
        assert cell in page.text
    assert page.tags.count("table") == 2
    assert page.tags.count("tr") == 4 + 3
    assert [text for text in page.text if text.startswith("(t tests")] == [f"({found.tests})"]
    assert "ICC: Subject 0.722\N{EM SPACE}" in page.text


def test_html_has_correlations_in_cells_of_their_own():
    table = X.assign(z=np.random.default_rng(0).normal(size=len(X)))
    found = summary(table, random_slopes=["Days", "z"])._repr_html_()
    assert '<th scope="col" colspan=2>Corr</th>' in found
    assert "<td>0.344</td><td>\N{MINUS SIGN}0.293</td>" in found
    assert "colspan" not in summary(random_slopes="Days")._repr_html_().partition("<table>")[2]


def test_html_keeps_the_colors_of_the_page():
    """Names of colors, backgrounds and so on would be wrong in a dark theme or in a light one."""
    rules = summary()._repr_html_().partition("<style>")[2].partition("</style>")[0]
    found = re.findall(r"(?:color|background): *([^;}]*)", rules)
    assert set(found) == {"inherit", "none"}
    assert re.findall("#[0-9a-f]+", rules) == ["#d55e00"]  # the bar beside a note, read on both
    assert all(".skmixed-summary" in rule for rule in re.findall(r"[^{}]+(?={)", rules))


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_html_tells_notes_from_the_end_of_the_search():
    frame = read_frame("dyestuff2")
    html = summary(frame[["Batch"]], frame["Yield"], groups="Batch")._repr_html_()
    assert '<p class="note">The estimated variance of' in html
    assert '<p class="status">The search for the variance components converged.' in html


def test_html_escapes_labels():
    evil = "<script>alert('x')</script>&amp;"
    table = X.rename(columns={"Days": evil, "Subject": f"g{evil}"})
    found = summary(table, groups=f"g{evil}", random_slopes=evil)
    html = found._repr_html_()
    page = Page(html)
    assert "script" not in page.tags
    assert {evil, f"g{evil}"} <= set(page.text)
    assert evil in str(found)


def test_names_that_would_be_cut_alike_stand_whole():
    rng = np.random.default_rng(0)
    long = ["a very long category indeed old", "a very long category indeed new", "another"]
    frame = FRAME.assign(cond=rng.choice(long, 180), f=rng.choice(list("abc"), 180))
    model = lmer("Reaction ~ C(cond, contr.sum) * C(f, contr.sum) + (1 | Subject)", frame)
    shown = str(model.summary())
    assert max(map(len, shown.splitlines())) <= 80
    unbroken = " ".join(shown.split())
    # A name that is cut is like no other; the rest is there in full.
    for name in model.fixed_effects_.index:
        if ":" in name:
            assert name in unbroken, name
    labels = [line.split("  ")[0] for line in shown.splitlines() if "…" in line]
    assert len(set(labels)) == len(labels)


def residual_model(structure, n_times=4, **columns):
    """A fit to subjects of some sites at many times."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(90, n_times)).cumsum(axis=1).ravel()
    frame = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(90), n_times),
            "week": np.tile(2.0 * np.arange(n_times), 90),
            "site": np.repeat(np.arange(90) % 30, n_times),
        }
    )
    residual = ResidualCovariance(structure, subject="subject", time="week", **columns)
    return MixedLinearRegressor(fixed=["week"], residual=residual).fit(frame, noise)


def test_names_of_a_formula_stay_apart_in_text_and_html():
    label = np.array(["a  b", "a b", "a\nb", "a\xa0b", "A"])[np.arange(len(FRAME)) % 5]
    formula = (
        "Reaction ~ f + ns(Days, knots=[2.5, 5.25], boundary_knots=[-1.25, 10.75]) "
        "+ (scale(Days) || Subject)"
    )
    found = lmer(formula, FRAME.assign(f=label)).summary()
    expected = [r"f[T.a\nb]", r"f[T.a \x20b]", "f[T.a b]", r"f[T.a\xa0b]"]  # beside A
    text, html = str(found), found._repr_html_()
    assert max(map(len, text.splitlines())) <= 80
    assert all(text.count(name) == html.count(name) == 1 for name in expected)
    # Whole, on lines of their own above their numbers
    assert len({line for line in text.splitlines() if re.search(r"\[\d\]$", line)}) == 3
    assert not coefficient_table(lmer(formula, FRAME.assign(f=label))).index.has_duplicates


def test_correlations_of_residuals_at_few_times():
    found = residual_model("ante_dependence").summary()
    assert "Residuals: ante_dependence within subject (90) in week, 4 parameters" in str(found)
    (matrix,) = found.correlations.values()
    own = residual_model("ante_dependence").residual_covariance_
    sd = np.sqrt(np.diagonal(own))
    np.testing.assert_allclose(matrix, own / np.outer(sd, sd))
    assert f"{matrix.iloc[2, 0]:.3f}" in str(found)
    assert f"{matrix.iloc[2, 0]:.3f}" in found._repr_html_()


def test_correlations_of_residuals_at_many_times_are_by_lag():
    model = residual_model("ar1", 12)
    found = model.summary()
    rho = model.variance_components_["corr"].iloc[-1]
    (by_lag,) = found.correlations.values()
    np.testing.assert_allclose(by_lag.iloc[0], rho ** np.arange(1, 9))
    assert list(by_lag.columns) == [str(2 * k) for k in range(1, 9)]
    assert "Residual correlation by lag in week:" in str(found)
    # The whole time is 22.
    (by_lag,) = residual_model("exponential", 12).summary().correlations.values()
    assert list(by_lag.columns[[0, -1]]) == ["2.75", "22"]
    assert not residual_model("ante_dependence", 12).summary().correlations


def test_many_strata_are_cut():
    assert not residual_model("compound_symmetry").summary().correlations
    found = residual_model("ar1", by="site").summary()
    text = " ".join(str(found).split())
    assert "within subject (90) in week by site (30), 60 parameters" in text
    assert "10 more variances: variance_components_." in str(found)
    assert "10 more variances" in found._repr_html_()
    assert len(found.correlations) == 6
    assert len(found.random) == 30
    assert max(map(len, str(found).splitlines())) <= 80


def test_dates_of_residuals_are_days():
    frame = pd.DataFrame({"subject": np.repeat(np.arange(30), 3), "day": np.tile([0, 7, 14], 30)})
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["day"], "D")
    y = np.random.default_rng(0).normal(size=(30, 3)).cumsum(axis=1).ravel()
    residual = ResidualCovariance("unstructured", subject="subject", time="day")
    model = MixedLinearRegressor(fixed=[], residual=residual).fit(frame, y)
    days = ["2024-01-01", "2024-01-08", "2024-01-15"]
    (matrix,) = model.summary().correlations.values()
    assert list(matrix.columns) == days
    assert list(model.variance_components_["name"]) == days
    table = confidence_intervals(model, components=["sigma", "corr"])
    assert list(table["name"][2:4]) == ["2024-01-15", "2024-01-01, 2024-01-08"]
    assert max(map(len, str(model.summary()).splitlines())) <= 80
