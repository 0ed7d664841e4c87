"""Rows given to a model by a formula: response, weights, offset, missing values, groups."""

import re
import warnings

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import read_frame
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed import MixedLinearRegressor, lmer
from skmixed.diagnostics import cooks_distance, influence, leverage, residuals
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning
from skmixed.formula import FormulaRegressor
from skmixed.plotting import FittedLinesDisplay, InfluenceDisplay, ResidualsDisplay

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


RNG = np.random.default_rng(3)
SLEEP = read_frame("sleepstudy")
SLEEP = SLEEP.assign(
    w=1 + SLEEP["Days"] / 10, late=SLEEP["Days"] > 4, f=RNG.choice(list("abc"), 180)
)
SLEEP["a b"] = SLEEP["w"]
FIRST = SLEEP.iloc[[0, 11]]


def test_offsets_are_those_of_lme4():
    formula = "Reaction ~ Days + offset(20 * Days) + offset(np.log(w)) + (1 | Subject)"
    model = lmer(formula, SLEEP)
    # lme4 1.1-31, R 4.2.2; its search ends within 1e-4 of the optimum in the estimates.
    assert_allclose(model.criterion_, 1786.482176, atol=2e-6)
    assert_allclose(model.fixed_effects_, [251.371815, -9.603365], atol=1e-4)
    assert_allclose(model.predict(FIRST), [292.155223, 184.014782], atol=1e-3)
    assert_allclose(model.predict(FIRST, include="fixed"), [251.371815, 261.863760], atol=1e-3)
    assert_allclose(residuals(model, FIRST), [-42.595223, 21.251018], atol=1e-3)
    assert_allclose(cooks_distance(model, SLEEP)[[0, 11]], [0.127430, 0.029768], atol=1e-5)
    in_logs = lmer("np.log(Reaction) ~ late + offset(Days / 50) + (Days | Subject)", SLEEP)
    assert_allclose(in_logs.criterion_, -298.535226, atol=2e-6)
    assert_allclose(in_logs.predict(FIRST), [5.556552, 5.355064], atol=1e-4)
    assert_allclose(residuals(in_logs, FIRST), [-0.036853, -0.030758], atol=1e-4)


@pytest.mark.parametrize("offset", ["20 * Days + np.log(w)", "known part"])
def test_offset_as_an_argument(offset):
    frame = SLEEP.assign(**{"known part": 20 * SLEEP["Days"] + np.log(SLEEP["w"])})
    formula = "Reaction ~ Days + (1 | Subject)"
    model = lmer(formula, frame, offset=offset)
    expected = lmer(f"{formula} + offset(20 * Days) + offset(log(w))", frame)
    assert_allclose(model.criterion_, expected.criterion_, rtol=1e-12)  # rounding
    for call in (
        lambda m: m.predict(frame),
        lambda m: m.predict_interval(frame)[:, 1],
        lambda m: m.predict(frame, return_std=True)[0],
        lambda m: residuals(m, frame, kind="standardized"),
        lambda m: influence(m, frame).to_numpy(),
        lambda m: ResidualsDisplay.from_estimator(m, frame).rows["fitted"],
    ):
        assert_allclose(call(model), call(expected), rtol=1e-8)
    assert model.score(frame) == pytest.approx(expected.score(frame))
    with pytest.raises(ValueError, match=r"'(Days|known part)' is not a column"):
        model.predict(frame.drop(columns=[offset if offset in frame else "Days"]))
    with pytest.raises(TypeError, match=r"offset is of type Series\. Name a column of the data"):
        lmer(formula, frame, offset=frame["w"])


def test_an_offset_is_no_column_of_the_dot():
    frame = SLEEP[["Reaction", "Days", "Subject", "w"]]
    model = lmer("Reaction ~ . + offset(w) + (1 | Subject)", frame)
    assert list(model.terms_) == ["Days"]


FORMULAS = {
    "np.log(Reaction) ~ Days * late + (1 | Subject)": lambda frame: np.log(frame["Reaction"]),
    "Reaction ~ Days + (1 | Subject)": lambda frame: frame["Reaction"],
    "`a b` ~ f + Reaction + (1 | Subject)": lambda frame: frame["a b"],
    "scale(Reaction) ~ Days + (1 | Subject)": lambda frame: (
        (frame["Reaction"] - SLEEP["Reaction"].mean()) / SLEEP["Reaction"].std()
    ),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("rows", [slice(None), slice(5, 25)])
def test_the_frame_has_the_response_of_the_formula(formula, rows):
    frame = SLEEP.iloc[rows]
    model, response = lmer(formula, SLEEP), FORMULAS[formula](frame)
    plain, X = model.regressor_, model.model_matrix(frame)
    for kind in ("conditional", "marginal", "pearson"):
        found, expected = residuals(model, frame, kind=kind), residuals(plain, X, response, kind)
        assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    if len(frame) == len(SLEEP):  # of all rows of the fit alone
        found = residuals(model, frame, kind="standardized")
        assert_allclose(found, residuals(plain, X, response, "standardized"), rtol=1e-8)
        assert_allclose(cooks_distance(model, frame), cooks_distance(plain, X, response), rtol=1e-7)
        found = influence(model, frame)
        assert_allclose(found, influence(plain, X, response), rtol=1e-6, atol=1e-12)
        InfluenceDisplay.from_estimator(model, frame)
    assert_allclose(residuals(model, pl.from_pandas(frame)), residuals(model, frame), rtol=1e-12)
    assert model.score(frame) == pytest.approx(plain.score(X, response))
    shown = FittedLinesDisplay.from_estimator(
        model, frame, x="Reaction" if "a b" in formula else None
    )
    assert shown.y_name == formula.split(" ~")[0]
    assert_allclose(sorted(shown.data["y"]), sorted(response))
    pipeline = make_pipeline(FunctionTransformer(), FormulaRegressor(formula)).fit(SLEEP)
    assert_array_equal(residuals(pipeline, frame), residuals(model, frame))


def test_a_raw_response_is_refused_where_the_formula_computes_one():
    model, y = lmer("np.log(Reaction) ~ Days + (1 | Subject)", SLEEP), SLEEP["Reaction"]
    for call in (
        residuals,
        cooks_distance,
        influence,
        ResidualsDisplay.from_estimator,
        InfluenceDisplay.from_estimator,
        FittedLinesDisplay.from_estimator,
        FormulaRegressor.score,
    ):
        with pytest.raises(
            ValueError, match=r"formula computes its response, 'np.log\(Reaction\)'"
        ):
            call(model, SLEEP, y)
    named = lmer("Reaction ~ Days + (1 | Subject)", SLEEP)
    assert_array_equal(residuals(named, SLEEP, y), residuals(named, SLEEP))
    nameless = FormulaRegressor("~ Days + (1 | Subject)").fit(SLEEP, y)
    assert_array_equal(residuals(nameless, SLEEP, y), residuals(named, SLEEP))
    with pytest.raises(ValueError, match="names no response before its ~"):
        residuals(nameless, SLEEP)
    plain = MixedLinearRegressor("Subject").fit(SLEEP[["Days", "Subject"]], y)
    with pytest.raises(ValueError, match="y=None, but only the formula of a model names"):
        residuals(plain, SLEEP[["Days", "Subject"]])


def test_the_frame_has_the_weights_that_the_model_names():
    formula = "Reaction ~ Days + (1 | Subject)"
    named, given = lmer(formula, SLEEP, weights="w"), lmer(formula, SLEEP, weights=SLEEP["w"])
    expected = leverage(given, SLEEP, sample_weight=SLEEP["w"])
    assert_array_equal(leverage(named, SLEEP), expected)
    assert_array_equal(leverage(named, SLEEP, sample_weight=SLEEP["w"]), expected)
    with pytest.raises(ValueError, match="the model was fitted with weights"):
        leverage(given, SLEEP)


HOLES = SLEEP.copy()
HOLES.loc[2, "Days"] = np.nan
HOLES.loc[[4, 39], "Reaction"] = np.nan
HOLES.loc[4, "w"] = np.nan
HOLES.loc[100, "f"] = None  # in no formula below


def test_rows_with_missing_values_can_be_left_out():
    formula = "Reaction ~ Days + (1 | Subject)"
    with pytest.raises(
        ValueError, match=r"^Column 'Days' contains missing values \(1, first at row 2\).*'drop'\.$"
    ):
        lmer(formula, HOLES)
    model = lmer(formula, HOLES, weights="w", na_action="drop")
    # lme4 1.1-31 with na.omit.
    assert_allclose(model.criterion_, 1764.760130, atol=2e-6)
    assert_allclose(model.fixed_effects_, [251.615540, 10.466939], atol=1e-4)
    assert model.n_dropped_ == 3
    assert "3 rows with missing values were left out (na_action='drop')." in str(model.summary())
    assert "Samples: 177" in str(model.summary())
    kept = HOLES.drop(index=[2, 4, 39])
    complete = lmer(formula, kept, weights="w")
    assert complete.criterion_ == model.criterion_
    assert complete.n_dropped_ == 0
    assert "left out" not in str(complete.summary())
    assert_array_equal(residuals(model, HOLES), residuals(complete, kept))
    assert influence(model, HOLES).equals(influence(complete, kept))
    assert model.score(HOLES) == complete.score(kept)
    shown = FittedLinesDisplay.from_estimator(model, HOLES)
    assert len(shown.data) == 177
    # A prediction needs its row; those of the rows left out are none.
    with pytest.raises(ValueError, match=r"'Days' contains missing values \(1, first at row 2\)"):
        model.predict(HOLES)


@pytest.mark.parametrize("maker", [lambda frame: frame, pl.from_pandas])
def test_missing_values_anywhere_in_the_formula(maker):
    for name in ("Reaction", "Days", "f", "Subject", "w"):
        frame = SLEEP.assign(**{name: SLEEP[name].where(SLEEP.index != 7)})
        model = FormulaRegressor(
            "np.log(Reaction) ~ poly(Days, 2) + f + offset(w) + (1 | Subject)", na_action="drop"
        )
        expected = model.fit(SLEEP.drop(index=7)).criterion_
        assert_allclose(model.fit(maker(frame)).criterion_, expected, rtol=1e-12)
        with pytest.raises(ValueError, match=f"Column '{name}' contains missing values"):
            model.set_params(na_action="error").fit(maker(frame))
    with pytest.raises(ValueError, match=r"None of the 180 rows is without missing values: 'f' in"):
        lmer("Reaction ~ f + Days", SLEEP.assign(f=None), na_action="drop")
    with pytest.raises(ValueError, match="na_action='omit' is not known"):
        lmer("Reaction ~ Days", SLEEP, na_action="omit")


def test_what_is_given_beside_the_frame_is_left_out_alike():
    y, weights = HOLES["Reaction"], SLEEP["w"]
    formula = "Reaction ~ Days + (1 | Subject)"
    model = FormulaRegressor(formula, na_action="drop").fit(HOLES, y, weights)
    kept = HOLES.drop(index=[2, 4, 39])
    expected = FormulaRegressor(formula).fit(kept, y[kept.index], weights[kept.index])
    assert model.criterion_ == expected.criterion_
    found = residuals(model, HOLES, kind="pearson", sample_weight=weights)
    assert_array_equal(
        found, residuals(expected, kept, kind="pearson", sample_weight=weights[kept.index])
    )


def test_fixed_predictions_need_no_groups():
    formula = "Reaction ~ Days + late + (Days | Subject) + (1 | f)"
    with pytest.warns(match="variance of '.Intercept.' within 'f' is 0"):
        model = lmer(formula, SLEEP)
    rows = SLEEP[["Days", "late"]]
    assert_array_equal(model.predict(rows, include="fixed"), model.predict(SLEEP, include="fixed"))
    only = SLEEP[["Days", "late", "Subject"]]
    expected = model.predict(SLEEP, include=["Subject"])
    assert_array_equal(model.predict(only, include=["Subject"]), expected)
    marginal = residuals(model, SLEEP.drop(columns=["Subject", "f"]), kind="marginal")
    assert_array_equal(marginal, residuals(model, SLEEP, kind="marginal"))
    with pytest.raises(ValueError, match="'Subject' is not a column of the data"):
        model.predict(rows)
    alone = lmer("Reaction ~ (1 | Subject)", SLEEP, handle_unknown="error")
    assert_array_equal(
        alone.predict(rows, include="fixed"), np.full(180, alone.fixed_effects_.iloc[0])
    )
    # A grouping column with a fixed effect is needed for that.
    with pytest.warns(match="variance of '.Intercept.' within 'Days' is 0"):
        days = lmer("Reaction ~ Days + (1 | Days) + (1 | Subject)", SLEEP)
    assert_array_equal(days.predict(rows, include="fixed"), days.predict(SLEEP, include="fixed"))


def test_messages_speak_of_the_formula():
    cases = {
        "np.log(x) ~ Days + (1 | Subject)": r"The response 'np\.log\(x\)' contains infinity",
        "Reaction ~ Days + (1 | one)": r"'one' has a single level .* Leave it out of the formula",
        "Reaction ~ . + (1 | Subject)": r"180 samples do not suffice .* fewer terms in the formula",
        "Reaction ~ Days + (1 | Subject) + (Days || Subject)": r"in one term; for the others write",
        "Reaction ~ Subject + (1 | Subject)": "fixed effects or out of the random effects",
    }
    frame = SLEEP.assign(x=SLEEP["Days"], one=1, id=[f"u{i}" for i in range(180)])
    for formula, words in cases.items():
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            lmer(formula, frame)
        assert re.search(words, str(caught.value)), str(caught.value)
    for twice in (
        lambda data: lmer("Reaction ~ Days + x + (1 | Subject)", data),
        FormulaRegressor("Reaction ~ Days + x + (1 | Subject)").fit,
    ):
        with pytest.warns(RankDeficiencyWarning, match="Leave it out of the formula") as caught:
            twice(frame)
        assert caught[0].filename == __file__
    with pytest.raises(TypeError, match=r"^The data are of type dict, without names of columns"):
        lmer("y ~ x", {"y": list(range(10**5)), "x": [1.0] * 10**5})
    with pytest.raises(ValueError, match="weights has 2 entries, expected 180"):
        lmer("Reaction ~ Days", SLEEP, weights=[1, 2])
    least_squares = str(lmer("Reaction ~ Days", SLEEP).summary())
    assert least_squares.startswith("Ordinary least squares (no random-effects term), REML")


def test_lines_of_formulas():
    for formula, x in {
        "Reaction ~ f * poly(Days, 2) + (1 | Subject)": "Days",
        "Reaction ~ f + late + np.sqrt(w) + (1 | Subject)": "w",
        "Reaction ~ w + (0 + f + I(Days ** 2) | Subject)": "Days",
    }.items():
        model = FormulaRegressor(formula)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            model.fit(SLEEP)
        for frame in (SLEEP, pl.from_pandas(SLEEP)):
            shown = FittedLinesDisplay.from_estimator(model, frame, levels=["308"])
            assert shown.x_name == x
        rows = SLEEP[SLEEP["Subject"] == "308"]
        at = shown.lines.iloc[[3]]
        value = at["x"].to_numpy()[0]
        # The mean of the predictions at this value.
        assert_allclose(at["fitted"], model.predict(rows.assign(**{x: value})).mean(), rtol=1e-10)
    with pytest.raises(ValueError, match="x='f' is a factor of the formula"):
        FittedLinesDisplay.from_estimator(model, SLEEP, x="f")
