"""What a formula takes columns for: booleans, objects, factors, names of every kind."""

import datetime
import keyword
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import INTERCEPT, read_frame

from skmixed import lmer
from skmixed.exceptions import RankDeficiencyWarning, UndeterminedError
from skmixed.formula import FormulaRegressor

SLEEP = read_frame("sleepstudy")
SLEEP = SLEEP.assign(late=SLEEP["Days"] > 4, even=SLEEP["Days"] % 2 == 0, k=SLEEP["Days"] % 3)
RNG = np.random.default_rng(0)
KINDS = {
    "bool": lambda c: c,
    "boolean": lambda c: c.astype("boolean"),
    "bool[pyarrow]": lambda c: c.astype("bool[pyarrow]"),
    "object": lambda c: c.astype(object),
    "numpy.bool": lambda c: pd.Series([np.bool_(v) for v in c], dtype=object),
}
# Criterion and fixed effects of lme4 1.1-31, R 4.2.2.
OF_LME4 = {
    "Reaction ~ late + (1 | Subject)": (
        1813.826638,
        {INTERCEPT: 271.630179, "late[T.True]": 53.755426},
    ),
    "Reaction ~ Days:late + (1 | Subject)": (
        1782.569317,
        {INTERCEPT: 254.486826, "Days:late[False]": 8.464167, "Days:late[True]": 10.159114},
    ),
    "Reaction ~ late / Days + (1 | Subject)": (
        1774.887676,
        {
            INTERCEPT: 255.131881,
            "late[T.True]": -6.128025,
            "late[False]:Days": 8.249149,
            "late[True]:Days": 10.911678,
        },
    ),
    "Reaction ~ late - 1 + (1 | Subject)": (
        1813.826638,
        {"late[False]": 271.630179, "late[True]": 325.385604},
    ),
    "Reaction ~ 0 + late + (1 | Subject)": (
        1813.826638,
        {"late[False]": 271.630179, "late[True]": 325.385604},
    ),
    "Reaction ~ Days + (0 + late | Subject)": (
        1749.703514,
        {INTERCEPT: 250.990481, "Days": 10.042212},
    ),
    "Reaction ~ I(late + even) + (1 | Subject)": (
        1873.852741,
        {INTERCEPT: 273.177893, "I(late + even)": 25.329999},
    ),
    "Reaction ~ I(late & even) + (1 | Subject)": (
        1882.177816,
        {INTERCEPT: 292.033894, "I(late & even)[T.True]": 32.369986},
    ),
    "Reaction ~ factor(k) * Days + (1 | Subject)": (
        1767.543222,
        {
            INTERCEPT: 253.900649,
            "factor(k)[T.1]": 0.561386,
            "factor(k)[T.2]": -9.787034,
            "Days": 10.392816,
            "factor(k)[T.1]:Days": -1.350345,
            "factor(k)[T.2]:Days": 1.485118,
        },
    ),
    "Reaction ~ as.factor(k) + (Days | Subject)": (
        1759.018859,
        {
            INTERCEPT: 260.135826,
            "as.factor(k)[T.1]": -5.109270,
            "as.factor(k)[T.2]": -2.092170,
        },
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("formula", OF_LME4)
def test_booleans_and_factors_are_those_of_lme4(formula, kind):
    frame = SLEEP.assign(late=KINDS[kind](SLEEP["late"]), even=KINDS[kind](SLEEP["even"]))
    model = lmer(formula, frame)
    criterion, effects = OF_LME4[formula]
    # As recorded, and lme4's search stops within 1e-4 of the optimum in the estimates.
    assert_allclose(model.criterion_, criterion, atol=2e-6)
    assert list(model.fixed_effects_.index) == list(effects)
    assert_allclose(model.fixed_effects_, list(effects.values()), atol=1e-3)
    assert_array_equal(model.predict(frame.head(3)), model.predict(frame)[:3])


@pytest.mark.parametrize("maker", [pl.from_pandas, pa.Table.from_pandas])
def test_booleans_of_other_packages(maker):
    formula = "Reaction ~ late / Days + (1 | Subject)"
    model = lmer(formula, maker(SLEEP))
    assert_allclose(model.criterion_, OF_LME4[formula][0], atol=2e-6)


@pytest.mark.parametrize(
    ("code", "numbers"),
    [
        ("I(late * Days)", SLEEP["late"] * SLEEP["Days"]),
        ("I(late - even)", SLEEP["late"].astype(int) - SLEEP["even"].astype(int)),
        ("I(-late)", -1.0 * SLEEP["late"]),
        ("np.exp(late)", np.exp(1.0 * SLEEP["late"])),
        ("I((Days > 2) + (Days > 5))", 1.0 * (SLEEP["Days"] > 2) + (SLEEP["Days"] > 5)),
        ("np.where(late & ~even, 2, 1)", 1.0 + (SLEEP["late"] & ~SLEEP["even"])),
        ("center(late)", SLEEP["late"] - SLEEP["late"].mean()),
    ],
)
def test_booleans_are_0_and_1_in_arithmetic(code, numbers):
    model = lmer(f"Reaction ~ {code} + (1 | Subject)", SLEEP)
    expected = lmer("Reaction ~ v + (1 | Subject)", SLEEP.assign(v=numbers))
    assert list(model.terms_) == [code]
    assert_allclose(model.criterion_, expected.criterion_, rtol=1e-12)  # rounding


def test_booleans_have_two_levels_whatever_occurs():
    model = lmer("Reaction ~ late * Days + (1 | Subject)", SLEEP)
    late = SLEEP[SLEEP["late"]]
    assert_array_equal(model.predict(late), model.predict(SLEEP)[SLEEP["late"]])
    assert_array_equal(model.predict(late.assign(late=1)), model.predict(late))
    with pytest.raises(ValueError, match="Column 'late' has the category 'True'"):
        model.predict(late.assign(late="True"))
    # lme4 drops the column too, with a message.
    with pytest.warns(RankDeficiencyWarning, match=r"'late\[T.True\]'.*out of the formula"):
        lmer("Reaction ~ late + Days + (1 | Subject)", late.reset_index(drop=True))


@pytest.mark.parametrize("kind", [Decimal, Fraction, np.float32, np.int8, int])
def test_objects_that_are_numbers(kind):
    frame = SLEEP.assign(Days=pd.Series([kind(v) for v in SLEEP["Days"]], dtype=object))
    model = lmer("Reaction ~ Days + I(Days ** 2):late + (1 | Subject)", frame)
    expected = lmer("Reaction ~ Days + I(Days ** 2):late + (1 | Subject)", SLEEP)
    assert model.criterion_ == expected.criterion_
    assert_array_equal(model.predict(frame), expected.predict(SLEEP))


def test_values_that_a_function_mends():
    frame = SLEEP.assign(x=np.where(SLEEP["Days"] == 3, np.inf, SLEEP["Days"]))
    model = lmer("Reaction ~ np.minimum(x, 3) + (1 | Subject)", frame)
    expected = lmer("Reaction ~ np.minimum(Days, 3) + (1 | Subject)", SLEEP)
    assert model.criterion_ == expected.criterion_
    with pytest.raises(ValueError, match="Column 'x' contains infinity"):
        lmer("Reaction ~ x + (1 | Subject)", frame)
    sparse = SLEEP.assign(late=SLEEP["late"].astype(pd.SparseDtype("float", 0.0)))
    found = lmer("Reaction ~ late + I(late * Days) + (1 | Subject)", sparse)
    dense = lmer("Reaction ~ late + I(late * Days) + (1 | Subject)", SLEEP.astype({"late": float}))
    assert found.criterion_ == dense.criterion_
    text = lmer("Reaction ~ np.where(Days > 4, 'b', 'a') + (1 | Subject)", SLEEP)
    assert_allclose(text.criterion_, OF_LME4["Reaction ~ late + (1 | Subject)"][0], atol=2e-6)


DAYS = pd.Timestamp(2020, 1, 1) + pd.to_timedelta(SLEEP["Days"], "D")


@pytest.mark.parametrize(
    "column",
    [
        DAYS,
        DAYS.dt.date,
        DAYS.dt.tz_localize("UTC"),
        DAYS.dt.to_period("D"),
        DAYS.dt.to_period("D").astype(object),
        DAYS - DAYS[0],
        (DAYS - DAYS[0]).astype(object),
        pd.Series([datetime.time(int(v)) for v in SLEEP["Days"]], dtype=object),
        DAYS.astype("timestamp[ns][pyarrow]"),
        DAYS.dt.date.astype("date32[pyarrow]"),
    ],
    ids=lambda c: f"{c.dtype} {type(c[0]).__name__}",
)
def test_dates_are_refused_by_name(column):
    with pytest.raises(ValueError, match=r"^Column 'when' holds dates or times\. Make a number"):
        lmer("Reaction ~ when + (1 | Subject)", SLEEP.assign(when=column))
    # As categories they are what the formula says.
    model = lmer("Reaction ~ factor(when) + (1 | Subject)", SLEEP.assign(when=column))
    assert len(model.fixed_effects_) == 10


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([*SLEEP["Days"][:-1], "9"], r"it holds '9' \(at row 179\), beside values such as 0"),
        ([*map(str, SLEEP["Days"][:-1]), 9], r"it holds 9 \(at row 179\), beside values such as"),
        ([*DAYS.dt.date[:-1], "a day"], r"it holds 'a day' \(at row 179\)\. Make all"),
    ],
)
def test_mixtures_are_refused_by_name(values, words):
    frame = SLEEP.assign(x=pd.Series(values, dtype=object))
    for formula in ("Reaction ~ x", "Reaction ~ x + (1 | Subject)", "Reaction ~ Days + (x | k)"):
        with pytest.raises(ValueError, match=f"Column 'x' is neither numbers nor labels: {words}"):
            lmer(formula, frame)


def test_what_is_no_label():
    with pytest.raises(TypeError, match="Column 'x' holds values of type list, which are neither"):
        lmer("Reaction ~ x + (1 | Subject)", SLEEP.assign(x=[[1]] * 180))


def test_numbers_in_fit_are_numbers_in_predict():
    model = lmer("Reaction ~ Days + (1 | Subject)", SLEEP)
    with pytest.raises(ValueError, match=r"'Days' .* holds labels, but in fit it held numbers"):
        model.predict(SLEEP.astype({"Days": str}))


@pytest.mark.parametrize("formula", ["Reaction ~ arm", "Reaction ~ arm * Days + (1 | Subject)"])
@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_a_factor_of_one_level_is_refused(formula, dtype):
    frame = SLEEP.assign(arm=pd.Series(["placebo"] * 180, dtype=dtype), one=1)
    with pytest.raises(ValueError, match="Factor 'arm' has one level in the data, 'placebo': a"):
        lmer(formula, frame)
    for term in ("factor(one)", "C(one)"):
        with pytest.raises(ValueError, match=r"Factor '.*\(one\)' has one level in the data, 1"):
            lmer(formula.replace("arm", term), frame)


NAMES = [
    *("1", "0", "-1", "True", "None", "class", "C", "I", "log", "np", "contr", "Sum", "scale"),
    *(
        "a b",
        "a\tb",
        "a\nb",
        "a\u00a0b",
        "x:y",
        "f[T.b]",
        "{x}",
        "µ",
        "ﬁ",
        "日本",
        "'",
        '"',
        "~",
        "|",
    ),
    *(
        "offset(z)",
        "factor(k)",
        "as.factor",
        "np.log(x)",
        "\\",
        "a\\1",
        "Intercept",
        "y",
        "ꓘ",
        "ꓘta",
        "erm",
    ),
]


OF_A_NAME = (
    "Reaction ~ {0}:late + np.log({0} + 1) + C(even, contr.sum) + I(Days ** 2) + center(Days) "
    "+ ({0} || Subject)"
)


@pytest.fixture(scope="module")
def of_x():
    frame = SLEEP.assign(x=np.random.default_rng(0).uniform(1, 2, 180))
    model = lmer(OF_A_NAME.format("x"), frame)
    return frame, model, model.predict(frame)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_reached(name, of_x):
    frame, expected, predicted = of_x
    frame = frame.rename(columns={"x": name})
    model = lmer(OF_A_NAME.format(f"`{name}`"), frame)
    assert model.criterion_ == expected.criterion_
    assert_array_equal(model.predict(frame), predicted)
    assert f"{name}:late[True]" in model.fixed_effects_.index
    assert f"np.log(`{name}` + 1)" in model.terms_
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(frame), predicted)


@pytest.mark.parametrize("name", ["C", "I", "log", "np", "scale", "contr", "Sum", "factor", "Q"])
def test_columns_do_not_hide_functions(name):
    frame = SLEEP.assign(**{name: RNG.normal(size=180)}).assign(x=lambda t: t[name])
    formula = (
        "Reaction ~ I(Days ** 2) + log(Days + 1) + np.sqrt(Days) + scale(Days) + C(k, Sum) "
        "+ factor(even) + {} + I({} * Days) + Q('{}') + (1 | Subject)"
    )
    with pytest.warns(RankDeficiencyWarning, match="Q"):
        model = lmer(formula.format(name, name, name), frame)
    with pytest.warns(RankDeficiencyWarning, match="Q"):
        expected = lmer(formula.format("x", "x", "x"), frame)
    assert model.criterion_ == expected.criterion_
    assert list(model.terms_) == [
        t.replace("x", name) if t in ("x", "I(x * Days)", "Q('x')") else t for t in expected.terms_
    ]


def test_keywords_as_names_of_factors_and_groups():
    for name in keyword.kwlist[:8]:
        frame = SLEEP.rename(columns={"Subject": name, "late": f"{name} "})
        model = lmer(f"Reaction ~ `{name} ` + (1 | `{name}`)", frame)
        assert_allclose(model.criterion_, 1813.826638, atol=2e-6)


def test_names_beside_the_formula_are_no_code():
    evil = "__import__('os').abort()"
    frame = SLEEP.assign(**{"Days*Days": np.linspace(1, 2, 180), evil: 1.0})
    plain = lmer("Reaction ~ Days + (1 | Subject)", frame, weights=frame["Days*Days"])
    named = lmer("Reaction ~ Days + (1 | Subject)", frame, weights="Days*Days")
    assert named.criterion_ == plain.criterion_
    lmer("Reaction ~ Days + (1 | Subject)", frame, weights=evil, offset=evil)
    lmer(f"Reaction ~ `{evil}`:Days + (1 | Subject)", frame)
    assert list(
        lmer(
            "Reaction ~ . + (1 | Subject)",
            frame[["Reaction", "Subject", evil, "Days"]].assign(**{evil: frame["Days*Days"]}),
        ).terms_
    ) == [evil, "Days"]


def test_names_that_are_no_strings():
    frame = SLEEP.assign(y=SLEEP["Reaction"]).rename(columns={"Days": 2001})
    expected = lmer("Reaction ~ Days + (1 | Subject)", SLEEP)
    model = lmer("y ~ `2001` + (1 | Subject)", frame)
    assert model.criterion_ == expected.criterion_
    both = pd.concat({"a": SLEEP[["Days", "Subject", "Reaction"]]}, axis=1)
    model = lmer("`('a', 'Reaction')` ~ `('a', 'Days')` + (1 | `('a', 'Subject')`)", both)
    assert model.criterion_ == expected.criterion_


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_factors_in_random_effects():
    expected = lmer("Reaction ~ Days + (1 | Subject) + (1 | Subject:k)", SLEEP)
    model = lmer("Reaction ~ Days + (1 | Subject / factor(k))", SLEEP)
    assert model.criterion_ == expected.criterion_
    assert list(model.random_effects_) == ["Subject", "Subject:factor(k)"]
    assert_array_equal(model.predict(SLEEP), expected.predict(SLEEP))
    slopes = lmer("Reaction ~ Days + (0 + factor(late) | Subject)", SLEEP)
    assert_allclose(slopes.criterion_, 1749.703514, atol=2e-6)  # lme4 1.1-31


def test_a_covariance_larger_than_the_data_is_refused_at_once():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"acc": rng.integers(0, 30, 3000), "seq": rng.integers(0, 400, 3000)})
    frame = frame.assign(y=rng.normal(size=3000), seq=frame["seq"].astype(str))
    words = r"of 399 coefficients within 'acc' has 79,800 parameters, but there are 3,000 samples"
    with pytest.raises(UndeterminedError, match=words):
        lmer("y ~ (seq | acc)", frame)


def test_columns_by_the_name_of_scikit_learn():
    X, y = SLEEP.drop(columns="Reaction"), SLEEP["Reaction"]
    model = FormulaRegressor("~ Days + (1 | Subject)").fit(X=X, y=y)
    assert_array_equal(model.predict(X=X), model.predict(X))
    assert model.score(X=X, y=y) == model.score(X, y)
    assert model.model_matrix(X=X).shape == (180, 2)
    assert model.predict_interval(X=X).shape == (180, 2)


def test_columns_are_taken_off_a_dot():
    frame = SLEEP[["Reaction", "Days", "Subject", "late"]].assign(x=RNG.normal(size=180))
    frame = frame.assign(**{"a b": RNG.normal(size=180), "1": RNG.normal(size=180)})
    whole = ["Days", "late", "x", "a b", "1"]
    for taken in ("x", "`x`", "`a b`", "`1`", "late - x", "Days:x"):
        model = lmer(f"Reaction ~ . - {taken} + (1 | Subject)", frame)
        names = taken.replace("`", "").split(" - ")
        assert list(model.terms_) == [name for name in whole if name not in names]
        assert set(model.feature_names_in_) == {*model.terms_, "Subject"}
    model = lmer("Reaction ~ .^2 - x:Days - late + (1 | Subject)", frame)
    assert "Days:a b" in model.terms_
    assert not {"late", "Days:x", "x:Days"} & set(model.terms_)


@pytest.mark.parametrize("dtype", [np.int64, "Int64", object])
def test_integers_that_doubles_merge_are_no_levels_of_a_factor(dtype):
    labels = pd.Series([2**53, 2**53 + 1, 5], dtype=dtype)
    data = SLEEP.assign(id=labels.iloc[np.arange(len(SLEEP)) % 3].array)
    with pytest.raises(ValueError, match=r"'id' is a factor .*such as 9007199254740992"):
        lmer("Reaction ~ factor(id) + (1 | Subject)", data)
    # As text they are three levels
    model = lmer("Reaction ~ id + (1 | Subject)", data.assign(id=data["id"].astype(str)))
    assert len(model.fixed_effects_) == 3
