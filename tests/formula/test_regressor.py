"""Formulas: lme4's models by their recorded formulas, R's columns, places of errors."""

import pickle
import sys
import warnings
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import INTERCEPT, load, read_frame, references
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skmixed
from skmixed import MixedLinearRegressor, RandomEffect, lmer
from skmixed.datasets import load_machines
from skmixed.diagnostics import influence, leverage, residuals
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning
from skmixed.formula import FormulaRegressor
from skmixed.formula._columns import NamedRows
from skmixed.formula._model_frame import Quantity
from skmixed.inference import (
    anova,
    coefficient_table,
    compare,
    confidence_intervals,
    contrast,
    convergence,
    icc,
    likelihood_ratio_test,
    r2,
    random_effects_table,
    vcov,
)

RNG = np.random.default_rng(5)
FRAME = read_frame("sleepstudy").assign(
    f=RNG.choice(list("abc"), 180),
    z=RNG.normal(size=180),
    w=RNG.uniform(0.5, 2.0, 180),
    k=RNG.integers(0, 8, 180),
)
K = FRAME["k"]
FRAME["a name"] = RNG.normal(size=180)
ALL = references(single_factor=True) + references(single_factor=False)


def r_frame(reference):
    """The data with R's order of categories; ordered factors as what the model takes them for."""
    frame = reference.frame.copy()
    for column in load(reference.dataset)["columns"]:
        if column.get("levels"):
            frame[column["name"]] = pd.Categorical(frame[column["name"]], column["levels"])
    return frame


def formula_of(reference):
    formula = reference.record["formula"]
    if (reference.dataset, reference.model) == ("cake", "ordered"):
        return formula.replace("* temperature", "* C(temperature, contr.poly)")
    return formula


@pytest.mark.parametrize("reference", ALL, ids=str)
def test_models_of_lme4_by_their_formulas(reference):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        frame = r_frame(reference)
        model = lmer(
            formula_of(reference),
            frame,
            REML=reference.method == "reml",
            weights=reference.record.get("weights"),
        )
    fit = reference.fit
    # As in test_reference: within 1e-6 of the best known optimum, estimates to its square root.
    assert_allclose(model.criterion_, reference.best_criterion, atol=1e-5)
    kept = list(model.regressor_._model.estimate.solution.kept)
    estimates = model.fixed_effects_.to_numpy()[kept]
    assert_allclose((estimates - fit["fixef"]["values"]) / fit["se"], 0.0, atol=1e-5)
    assert_allclose(model.sigma_, fit["sigma"], rtol=1e-4)
    predicted = frame.iloc[np.array(fit["predict"]["rows"]) - 1]
    response = formula_of(reference).split("~")[0].strip()
    found = model.predict(predicted.drop(columns=response))
    assert_allclose(found, fit["predict"]["conditional"], atol=1e-5 * model.sigma_)
    for case in fit["predict"]["new_levels"]:
        new = predicted.iloc[: len(case["values"])].assign(
            **dict.fromkeys(case["new_in"], "NEW_LEVEL")
        )
        if not set(case["new_in"]) & set(model._frame.variables):
            assert_allclose(model.predict(new), case["values"], atol=1e-5 * model.sigma_)


@pytest.mark.parametrize(
    ("dataset", "model"),
    [("cake", "numeric_additive"), ("machines", "worker"), ("machines", "worker_machine")],
)
def test_anova_knows_the_terms(dataset, model):
    reference = next(r for r in ALL if (r.dataset, r.model, r.method) == (dataset, model, "reml"))
    recorded = reference.fit["anova_type3_satterthwaite"]
    found = anova(lmer(reference.record["formula"], r_frame(reference)))
    values = pd.DataFrame(recorded["values"], recorded["rows"], recorded["columns"])
    names = {"F": "F value", "df_num": "NumDF", "df_den": "DenDF", "p_value": "Pr(>F)"}
    # lmerTest's degrees of freedom rest on numerical derivatives.
    for own, theirs in names.items():
        assert_allclose(found[own][values.index], values[theirs], rtol=1e-5)


def plain(random, *, fixed, fit_intercept=True):
    return partial(fit_plain, random, fixed=fixed, fit_intercept=fit_intercept)


def fit_plain(random, *, fixed, fit_intercept):
    """The same model without a formula, on dummies made here."""
    frame = FRAME
    table = frame.assign(fb=(frame["f"] == "b") * 1.0, fc=(frame["f"] == "c") * 1.0)
    table = table.assign(fa=(frame["f"] == "a") * 1.0, square=frame["Days"] ** 2)
    model = MixedLinearRegressor(random, fixed=fixed, fit_intercept=fit_intercept)
    return model.fit(table, frame["Reaction"])


S = "Subject"
SAME = {
    "Reaction ~ (1 | Subject)": plain([S], fixed=[]),
    "Reaction ~ 1 + (Days | Subject)": plain([RandomEffect(S, "Days")], fixed=[]),
    "Reaction ~ (1 | Subject) + Days": plain([S], fixed="Days"),
    "Reaction ~ 0 + Days + (1 | Subject)": plain([S], fixed="Days", fit_intercept=False),
    "Reaction ~ Days - 1 + (1 | Subject)": plain([S], fixed="Days", fit_intercept=False),
    "Reaction ~ Days + (0 + Days | Subject)": plain(
        [RandomEffect(S, "Days", intercept=False)], fixed="Days"
    ),
    "Reaction ~ Days + (Days + z || Subject)": plain(
        [RandomEffect(S, ["Days", "z"], covariance="diag")], fixed="Days"
    ),
    "Reaction ~ Days + (1 | Subject/f)": plain([S, (S, "f")], fixed="Days"),
    "Reaction ~ Days + (1 | Subject:f) + (1 | f)": plain([(S, "f"), "f"], fixed="Days"),
    "Reaction ~ f + Days + (Days | Subject)": plain(
        [RandomEffect(S, "Days")], fixed=["fb", "fc", "Days"]
    ),
    "Reaction ~ Days + (0 + f | Subject)": plain(
        [RandomEffect(S, ["fa", "fb", "fc"], intercept=False)], fixed="Days"
    ),
    # lme4's double bar does not split the columns of a factor, and codes them all.
    "Reaction ~ Days + (f || Subject)": plain(
        [S, RandomEffect(S, ["fa", "fb", "fc"], intercept=False)], fixed="Days"
    ),
    "Reaction ~ I(Days ** 2) + (1 | Subject)": plain([S], fixed="square"),
    "Reaction ~ `a name` + (`a name` || Subject)": plain(
        [RandomEffect(S, "a name", covariance="diag")], fixed="a name"
    ),
    "Reaction ~ k + (1 | k)": plain(["k"], fixed="k"),
    "`Reaction` ~ Days + (Days |\n `Subject`)": plain([RandomEffect(S, "Days")], fixed="Days"),
    "Reaction ~ Days": plain(None, fixed="Days"),
}


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize("formula", SAME)
def test_a_formula_is_its_plain_model(formula):
    found, expected = lmer(formula, FRAME), SAME[formula]()
    # One model, whose columns may come in another order: rounding.
    assert_allclose(found.criterion_, expected.criterion_, rtol=1e-9)
    assert_allclose(
        sorted(found.fixed_effects_), sorted(expected.fixed_effects_), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("Reaction ~ f*z", ["f[T.b]", "f[T.c]", "z", "f[T.b]:z", "f[T.c]:z"]),
        ("Reaction ~ z + C(f, contr.sum)", ["z", "C(f, contr.sum)[S.a]", "C(f, contr.sum)[S.b]"]),
        ("Reaction ~ poly(Days, 2)", ["poly(Days, 2)[1]", "poly(Days, 2)[2]"]),
        ("Reaction ~ (z + w)**2", ["z", "w", "z:w"]),
        ("Reaction ~ .", ["Days", "f[T.b]", "f[T.c]", "z", "w", "k", "a name"]),
        ("Reaction ~ np.where(f == 'a', 1, 0)", ["np.where(f == 'a', 1, 0)"]),
        ("Reaction ~ Q('a name') + log(w)", ["Q('a name')", "log(w)"]),
    ],
)
def test_names_of_columns(formula, names):
    model = lmer(f"{formula} + (1 | Subject)", FRAME)
    assert list(model.fixed_effects_.index) == [INTERCEPT, *names]


def test_polynomials_are_those_of_r():
    model = lmer("Reaction ~ poly(Days, 2) + (1 | Subject)", FRAME)
    # R 4.2.2, lme4 1.1.31.
    assert_allclose(model.fixed_effects_, [298.507892, 403.364168, 32.855788], rtol=1e-6)
    assert_allclose(model.criterion_, 1769.33263, atol=1e-5)


def test_transformations_keep_their_state():
    model = lmer("Reaction ~ center(Days) + poly(z, 2) + (center(Days) | Subject)", FRAME)
    all_rows = model.predict(FRAME)
    # Rounding: a polynomial's recursion works on whole columns.
    assert_allclose(model.predict(FRAME.iloc[5:9]), all_rows[5:9], rtol=1e-12)


def test_order_of_categories():
    ordered = pd.Categorical(FRAME["f"], ["c", "z", "a", "b"], ordered=True)
    model = lmer("Reaction ~ f + (1 | Subject)", FRAME.assign(f=ordered))
    assert list(model.fixed_effects_.index) == [INTERCEPT, "f[T.a]", "f[T.b]"]
    # In predict the order is that of fit.
    assert_array_equal(model.predict(FRAME), model.predict(FRAME.assign(f=ordered)))


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "int64", "uint32", "Int8", "float32", "float64"]
)
@pytest.mark.parametrize("term", ["I(k**2)", "I(k - 5)", "k:k2", "I(k**20)", "poly(k, 2)"])
def test_arithmetic_is_that_of_doubles(term, dtype):
    expected = lmer(f"Reaction ~ {term} + (1 | Subject)", FRAME.assign(k=17.0 * K, k2=17.0 * K))
    frame = FRAME.assign(k=(17 * K).astype(dtype), k2=(17 * K).astype(dtype))
    model = lmer(f"Reaction ~ {term} + (1 | Subject)", frame)
    assert model.criterion_ == expected.criterion_
    assert_array_equal(model.predict(frame), expected.predict(frame))
    rows = NamedRows.of(frame)
    assert Quantity.beside("k * k", rows, None).learned(rows).values(rows).max() == 119.0**2


def test_numbers_as_categories():
    model = lmer("Reaction ~ C(k) + (1 | Subject)", FRAME.assign(k=K.astype("int8")))
    assert list(model.fixed_effects_.index)[1:] == [f"C(k)[T.{k}]" for k in range(1, 8)]
    rows = FRAME.head(2).assign(k=[3.0, 11.0])
    assert_array_equal(model.predict(rows[:1]), model.predict(FRAME.head(1).assign(k=3)))
    # Not those of the first category.
    with pytest.raises(ValueError, match=r"no coefficient for the categories 11.*: they were not"):
        model.predict(rows)
    with pytest.raises(ValueError, match="or its levels leave them out"):
        lmer("Reaction ~ C(f, levels=['a', 'b']) + (1 | Subject)", FRAME)


@pytest.mark.parametrize(
    "formula",
    [
        "Reaction ~ Days + ((1 | Subject) + (0 + Days | Subject))",
        "Reaction ~ (Days + (Days || Subject))",
        "Reaction ~ (((1 | Subject)) + (Days + (0 + Days | Subject) + z)) - z",
    ],
)
def test_sums_in_parentheses(formula):
    model = lmer(formula, FRAME)
    assert list(model.fixed_effects_.index) == [INTERCEPT, "Days"]
    assert_allclose(model.criterion_, 1743.669293, atol=1e-6)  # lme4 1.1-31


def test_response_and_weights_are_expressions():
    model = lmer("np.log(Reaction) ~ Days + (1 | Subject)", FRAME, weights="1 / w")
    y, weights = np.log(FRAME["Reaction"]), 1 / FRAME["w"]
    expected = MixedLinearRegressor(S).fit(FRAME[["Days", S]], y, sample_weight=weights)
    assert_allclose(model.criterion_, expected.criterion_, rtol=1e-12)
    assert model.score(FRAME) == pytest.approx(expected.score(FRAME[["Days", S]], y))
    given = lmer("np.log(Reaction) ~ Days + (1 | Subject)", FRAME, weights=weights)
    assert given.criterion_ == model.criterion_
    beside = lmer("Reaction ~ . + (1 | Subject)", FRAME[["Reaction", "Days", S, "w"]], weights="w")
    assert list(beside.terms_) == ["Days"]


def test_names_in_the_context():
    model = lmer("Reaction ~ power(Days, p) + (1 | Subject)", FRAME, context={"power": pow, "p": 2})
    expected = SAME["Reaction ~ I(Days ** 2) + (1 | Subject)"]()
    assert_allclose(model.criterion_, expected.criterion_, rtol=1e-12)


def test_frames_of_other_packages():
    frame = FRAME.drop(columns="a name")
    formula = "Reaction ~ Days * f + (Days | Subject)"
    found, expected = lmer(formula, pl.from_pandas(frame)), lmer(formula, frame)
    assert found.criterion_ == expected.criterion_
    assert_array_equal(found.predict(pl.from_pandas(frame)), expected.predict(frame))


def test_every_function_takes_the_model():
    formula = "Reaction ~ Days + (Days | Subject)"
    model, X, y = lmer(formula, FRAME), FRAME[["Days", S]], FRAME["Reaction"]
    expected = MixedLinearRegressor(S, random_slopes="Days").fit(X, y)
    for function in (coefficient_table, vcov, icc, r2, random_effects_table, confidence_intervals):
        pd.testing.assert_frame_equal(
            pd.DataFrame(function(model)), pd.DataFrame(function(expected))
        )
    assert convergence(model).is_optimum
    assert contrast(model, {"Days": 1}).equals(contrast(expected, {"Days": 1}))
    assert_array_equal(residuals(model, FRAME, y), residuals(expected, X, y))
    assert_array_equal(leverage(model, FRAME), leverage(expected, X))
    pd.testing.assert_frame_equal(influence(model, FRAME, y), influence(expected, X, y))
    assert_array_equal(model.predict_interval(FRAME), expected.predict_interval(X))
    assert_array_equal(
        model.predict(FRAME, return_std=True)[1], expected.predict(X, return_std=True)[1]
    )
    days = FRAME[["Days"]]
    for include in ("fixed", []):
        population = {"of": "mean", "include": include}
        assert_array_equal(
            model.predict_interval(days, **population),
            expected.predict_interval(days, **population),
        )
    with pytest.raises(TypeError, match="include=3 is of type int"):
        model.predict(days, include=3)
    null = lmer("Reaction ~ Days + (1 | Subject)", FRAME)
    assert likelihood_ratio_test(null, model)["df"].iloc[1] == 2
    assert len(compare({"null": null, "slope": model})) == 2
    lines = str(model.summary()).splitlines()
    assert lines.pop(1) == f"Formula: {formula}"
    assert lines == str(expected.summary()).splitlines()


def test_anova_tests_the_terms_of_the_formula():
    model = lmer("Reaction ~ Days + f + (Days | Subject)", FRAME)
    found = anova(model)
    assert list(found.index) == ["f", "Days"] or list(found.index) == ["Days", "f"]
    assert list(found.loc[["Days", "f"], "df_num"]) == [1, 2]
    pipeline = make_pipeline(FunctionTransformer(), FormulaRegressor(model.formula)).fit(FRAME)
    pd.testing.assert_frame_equal(anova(pipeline), found)
    assert_array_equal(pipeline.predict(FRAME), model.predict(FRAME))
    y = FRAME["Reaction"]
    assert_array_equal(residuals(pipeline, FRAME, y), residuals(model, FRAME, y))
    by_name = anova(model, {"a term": ["f[T.b]"]})
    assert by_name.loc["a term", "df_num"] == 1


def test_the_tools_of_scikit_learn():
    model = FormulaRegressor("Reaction ~ Days + (Days | Subject)")
    again = clone(model.fit(FRAME))
    assert not hasattr(again, "regressor_")
    scores = cross_val_score(again, FRAME, FRAME["Reaction"], cv=3)
    assert np.isfinite(scores).all()
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(FRAME), model.predict(FRAME))
    assert list(model.feature_names_in_) == ["Days", S]
    assert "fixed_effects_" in dir(model)
    assert "fixed_effects_" not in dir(again)
    logs = TransformedTargetRegressor(
        FormulaRegressor("~ Days + (1 | Subject)"),
        func=np.log,
        inverse_func=np.exp,
        check_inverse=False,
    )
    logs.fit(FRAME, FRAME["Reaction"])
    of_logs = lmer("np.log(Reaction) ~ Days + (1 | Subject)", FRAME).predict(FRAME)
    assert_allclose(logs.predict(FRAME), np.exp(of_logs), rtol=1e-10)


def test_a_failure_changes_nothing():
    model = lmer("Reaction ~ Days + (1 | Subject)", FRAME)
    before = model.criterion_
    with pytest.raises(ValueError, match="missing"):
        model.fit(FRAME.assign(Days=np.nan))
    assert model.criterion_ == before


def test_unfitted():
    model = FormulaRegressor("Reaction ~ Days + (1 | Subject)")
    for call in (model.predict, model.model_matrix, lambda _: model.summary()):
        with pytest.raises(NotFittedError):
            call(FRAME)
    with pytest.raises(NotFittedError):
        coefficient_table(model)
    with pytest.raises(AttributeError, match="has no attribute 'coef_'"):
        _ = model.coef_


def test_new_groups_and_new_categories():
    model = lmer("Reaction ~ f + Days + (1 | Subject)", FRAME)
    new = FRAME.head(3).assign(Subject="new")
    assert_array_equal(model.predict(new), model.predict(FRAME.head(3), include="fixed"))
    missing = FRAME.head(3).assign(Subject=None)
    assert_array_equal(model.predict(missing), model.predict(new))
    with pytest.raises(
        ValueError, match=r"Column 'f' has the category 'q' \(first at row 0\), which"
    ):
        model.predict(FRAME.assign(f="q"))
    strict = lmer("Reaction ~ Days + (1 | Subject)", FRAME, handle_unknown="error")
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        strict.predict(new)


PLACES = [
    ("Reaction Days", 13, "has no ~"),
    ("Reaction ~", 10, "has nothing behind its ~"),
    ("Reaction ~ 1", 12, "has neither a column nor a group"),
    ("Reaction ~ Days ~ z", 16, "has a second ~"),
    ("(Reaction ~ Days)", 10, "has its ~ inside parentheses"),
    ("Reaction ~ z + (1 | Subject", 15, "has an unclosed parenthesis"),
    ("Reaction ~ z) + (1 | Subject)", 12, "has a ) that nothing opens"),
    ("Reaction ~ `z + (1 | Subject)", 11, "has an unclosed `"),
    ("Reaction ~ z | Subject", 13, "A bar belongs into a random-effects term"),
    ("Reaction ~ z * (1 | Subject)", 13, "is joined by +, and by nothing else"),
    ("Reaction ~ z + (1 | Subject) * z", 29, "is joined by +, and by nothing else"),
    ("Reaction ~ w:(z + (1 | Subject))", 21, "A random-effects term is inside parentheses"),
    ("Reaction ~ (z + (1 | Subject)):w", 19, "A random-effects term is inside parentheses"),
    ("Reaction ~ z %in% f + (1 | Subject)", 13, "has R's %in%. Write : for it"),
    ("Reaction ~ Days:z + `Days:z` + (1 | Subject)", 11, "makes two columns of the name 'Days:z'"),
    ("Reaction ~ Days:z + (`Days:z` | Subject)", 11, "makes two columns of the name 'Days:z'"),
    ("Reaction ~ day + (1 | Subject)", 11, "Column 'day' holds dates or times"),
    ("Reaction ~ z + (lag | Subject)", 16, "Column 'lag' holds dates or times"),
    ("Reaction ~ log(v.w) + (1 | Subject)", 15, "needs backticks: `v.w`"),
    ("Reaction ~ z + (1 | Subject | f)", 28, "has one bar: | or ||"),
    ("Reaction ~ z + ( | Subject)", 17, "has no coefficient"),
    ("Reaction ~ z + (0 | Subject)", 16, "has no coefficient"),
    ("Reaction ~ z + (1 | )", 20, "A grouping factor is a column"),
    ("Reaction ~ z + (1 | Subject/)", 28, "A grouping factor is a column"),
    ("Reaction ~ z + (1 | f + Subject)", 22, "Grouping factors are joined by : or /"),
    ("Reaction ~ zz + (1 | Subject)", 11, "'zz' is not a column of the data"),
    ("Reaction ~ z + (1 | Subjec)", 20, "'Subjec' is not a column of the data"),
    ("Reaction ~ z + I(Days^2)", 21, "Inside a function ^ is Python's exclusive or"),
    ("Reaction ~ z + offset(ww)", 22, "'ww' is not a column of the data"),
    ("Reaction ~ z - offset(w)", 13, "An offset is joined by +, and by nothing else"),
    ("Reaction ~ offset(w) * z", 21, "An offset is joined by +, and by nothing else"),
    ("Reaction ~ z + offset( )", 15, "The offset is empty"),
    ("offset(w) ~ z", 0, "An offset is a summand of the right-hand side"),
    ("Reaction ~ (offset(w) | Subject)", 12, "An offset is a summand of the right-hand side"),
    ("Reaction ~ z + (1 | f/f)", 22, "The grouping factor has 'f' twice"),
    ("Reaction ~ z + (1 | f:factor(f))", 22, "The grouping factor has 'f' twice"),
    ("Reaction ~ z + hettoep(1 + z | Subject)", 15, "hettoep(… | g) is a covariance that is not"),
    ("Reaction ~ z + us(1 + z | Subject, hom=TRUE)", 15, "us(… | g, hom=TRUE) is a covariance"),
    ("Reaction ~ z + rr(1 + z | Subject)", 15, "rr(… | g) is a covariance that is not here"),
    ("Reaction ~ z(2) + (1 | Subject)", 11, "'z' is no function here"),
    ("Reaction ~ z + sqrt(Days)", 15, "'sqrt' is no function here"),
    ("Reaction ~ Days + 3", 18, "cannot be read: Numeric literals"),
    ("Reaction ~ z + * w", 13, "cannot be read: Operator"),
    ("Reaction ~ w + (z + * w | Subject)", 18, "cannot be read: Operator"),
    ("Reaction ~ w + np.log(z + )", 15, "has Python that is none"),
    ("Reaction ~ w + poly(z, -1)", 15, "degree=-1 in poly"),
]


@pytest.mark.parametrize(("formula", "at", "words"), PLACES, ids=[p[0] for p in PLACES])
def test_errors_point_at_the_place(formula, at, words):
    names = {"Days:z": FRAME["w"], "Intercept": FRAME["w"], "v.w": FRAME["w"]}
    days = pd.to_timedelta(FRAME["Days"], "D")
    frame = FRAME.assign(day=pd.Timestamp(2020, 1, 1) + days, lag=days, **names)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        lmer(formula, frame)
    message, _, place = str(caught.value).partition("\n\n")
    assert words in message
    assert place == f"    {formula}\n    {' ' * at}^"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lmer(3, FRAME), TypeError, "formula is of type int"),
        (lambda: lmer("y ~ x", np.ones((3, 2))), TypeError, "without names of columns"),
        (lambda: lmer("Reaction ~ z", FRAME, REML="no"), TypeError, "REML='no' is of type str"),
        (lambda: lmer("Reaction ~ z", FRAME, method="ml"), TypeError, "in place of `method`"),
        (lambda: lmer("~ z", FRAME), ValueError, "names no response before its ~"),
        (lambda: lmer("poly(w, 2) ~ z", FRAME), ValueError, "gives 2 columns"),
        (lambda: lmer("f ~ z", FRAME), ValueError, "is not numeric"),
        (lambda: lmer("React ~ z", FRAME), ValueError, "'React' is not a column of the data"),
        (lambda: lmer("Reaction ~ z", FRAME, weights="v"), ValueError, "'v' is not a column"),
        (
            lambda: FormulaRegressor("Reaction ~ z", weights="w").fit(FRAME, sample_weight=1.0),
            ValueError,
            "weights='w' and sample_weight are both given",
        ),
        (
            lambda: FormulaRegressor("log(Reaction) ~ z").fit(FRAME, FRAME["Reaction"]),
            ValueError,
            "y is given, but the formula computes its response, 'log(Reaction)'",
        ),
        (
            lambda: lmer("Reaction ~ z", FRAME.assign(z=FRAME["z"].where(FRAME["k"] > 0))),
            ValueError,
            "Column 'z' contains missing values",
        ),
        (
            lambda: lmer("Reaction ~ f", FRAME.assign(f=FRAME["f"].where(FRAME["k"] > 0))),
            ValueError,
            "Column 'f' contains missing values",
        ),
        (lambda: lmer("Reaction ~ np.log(z)", FRAME), ValueError, "Column 'np.log(z)' contains"),
        (
            lambda: lmer("Reaction ~ z", pd.concat([FRAME, FRAME[["z"]]], axis=1)),
            ValueError,
            "'z' is the name of 2 columns of the data",
        ),
    ],
)
def test_messages(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_without_formulaic(monkeypatch):
    monkeypatch.setitem(sys.modules, "formulaic", None)
    with pytest.raises(ImportError, match="pip install formulaic"):
        lmer("Reaction ~ Days + (1 | Subject)", FRAME)
    assert skmixed.lmer is lmer


@pytest.mark.parametrize("kind", [str, object, "category"])
def test_text_where_numbers_were_leaves_the_model_as_it_was(kind):
    model = lmer("Reaction ~ Days + (1 | Subject)", read_frame("sleepstudy"))
    before = pickle.dumps(model)
    for days in (["2.5"], ["2.5", "1"]):
        rows = pd.DataFrame({"Days": days, "Subject": ["308"] * len(days)}).astype({"Days": kind})
        with pytest.raises(ValueError, match=r"Column 'Days' .* holds labels, but in fit it held"):
            model.predict(rows)
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("context", [1.5, "double", [("double", 2)]])
def test_a_context_that_is_no_mapping_is_refused(context):
    data = read_frame("sleepstudy")
    message = "context=.* is of type .*Give a mapping from names"
    with pytest.raises(TypeError, match=message):
        lmer("Reaction ~ Days + (1 | Subject)", data, context=context)


MACHINES = load_machines().frame


@pytest.mark.parametrize(
    ("term", "covariance"),
    [
        ("us(0 + Machine | Worker)", "full"),
        ("diag(0 + Machine | Worker)", "diag"),
        ("diag(0 + Machine | Worker, hom = TRUE)", "spherical"),
        ("cs(0 + Machine | Worker)", "heterogeneous_compound_symmetry"),
        ("cs(0 + Machine | Worker, hom=T)", "compound_symmetry"),
        ("homcs(0 + Machine | Worker)", "compound_symmetry"),
        ("ar1(0 + Machine | Worker)", "ar1"),
        ("ar1(0 + Machine | Worker, hom=FALSE)", "heterogeneous_ar1"),
        ("hetar1(0 + Machine | Worker)", "heterogeneous_ar1"),
        ("toep(0 + Machine | Worker)", "toeplitz"),
    ],
)
def test_lme4s_words_are_covariances(term, covariance):
    model = lmer(f"score ~ Machine + {term}", MACHINES)
    assert model.regressor_._model.encoder.terms[0].structure.name == covariance
    copy = pickle.loads(pickle.dumps(model))
    assert copy.criterion_ == model.criterion_
    assert copy.formula == model.formula


def test_two_effects_with_a_variance_each_and_a_correlation_have_any_covariance():
    wanted = lmer("Reaction ~ Days + (Days | Subject)", FRAME).criterion_
    for word in ("cs", "hetar1"):
        model = lmer(f"Reaction ~ Days + {word}(1 + Days | Subject)", FRAME)
        assert model.criterion_ == pytest.approx(wanted, abs=1e-8)


def test_compound_symmetry_is_a_factor_within_another():
    one = lmer("score ~ Machine + cs(0 + Machine | Worker, hom=TRUE)", MACHINES)
    two = lmer("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", MACHINES)
    assert one.criterion_ == pytest.approx(two.criterion_, abs=1e-9)
