"""What is saved of a model by a formula: text, numbers and arrays."""

import copy
import pickle
import warnings

import formulaic
import numpy as np
import pandas as pd
import pytest
from hostile import check_hostile_states
from numpy.testing import assert_array_equal

from skmixed import glmer, lmer
from skmixed.formula import FormulaRegressor
from skmixed.formula._saved import packed_frame
from skmixed.inference import anova

CLASSES = ["skmixed.MixedLinearRegressor", "skmixed.RandomEffect"]
OWN = "skmixed.formula.FormulaRegressor"


def make_data(n=150):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.uniform(0, 1, n),
            "z": rng.normal(size=n),
            "f": rng.choice(list("abc"), n),
            "k": rng.integers(0, 3, n),
            "b": rng.random(n) < 0.5,
            "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 4, n), unit="D"),
            "g": rng.integers(0, 9, n),
            "h": rng.integers(0, 7, n),
            "w": rng.uniform(1, 2, n),
            "n·1": rng.normal(size=n),
        }
    )
    sizes = np.where(frame["z"] > 0, "high", "low")
    frame["size"] = pd.Categorical(sizes, ["low", "high"], ordered=True)
    frame["bins"] = pd.cut(frame["x"], 3)
    noise = 0.3 * rng.normal(size=9)[frame["g"]] + 0.3 * rng.normal(size=n)
    return frame.assign(y=np.exp(frame["x"] + noise))


DATA = make_data()
FORMULAS = {
    "poly": ("y ~ poly(x, 2) + C(f, contr.sum) * b + (x | g)", {"weights": "w", "offset": "z * 2"}),
    "dot": ("np.log(y) ~ . - w - k - day - bins - size + offset(z) + (1 | g/h)", {}),
    "splines": ("y ~ bs(x, df=4) + cr(z, df=4) + hashed(f, levels=3) + (0 + f | g)", {}),
    "numbers": ("y ~ factor(k) * f + center(x):scale(z) + (1 | h) + (x || g)", {}),
    "custom": ("y ~ f:b + C(f, contr.custom([[1, 0], [0, 1], [-1, -1]])) + (1 | g)", {}),
    "contrasts": (
        "y ~ C(f, contr.poly) + C(k, contr.helmert) + C(f, contr.SAS):x + (1 | factor(g))",
        {},
    ),
    "dates": ("y ~ C(day) + `n·1` + (1 | g)", {"weights": "w + 1"}),
    "no columns": ("y ~ 0 + (1 | g)", {}),
    "R": (
        "y ~ ns(x, df=3, Boundary.knots=c(0, 1)) + poly(z, 2, raw=TRUE) + relevel(f, ref='b') "
        "+ relevel(factor(k), 2) + size + (scale(x) | g)",
        {"contrasts": "R"},
    ),
    "codings": ("y ~ f * factor(k) + (f | g)", {"contrasts": {"f": "sum", "k": "poly"}}),
    "intercept": ("y ~ 1 + (1 | g)", {"REML": False}),
}


def fitted(name):
    formula, more = FORMULAS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of models that suit these data badly
        return lmer(formula, DATA, **more)


def observed(model):
    out = [model.predict(DATA), *model.predict(DATA, return_std=True), model.score(DATA)]
    columns = model.model_matrix(DATA)
    out += [columns.drop(columns=["g", "h", "factor(g)"], errors="ignore").to_numpy(float)]
    out += [np.array(list(columns)), model.feature_names_in_, np.array(list(model.terms_))]
    return [*out, np.array(str(model.summary())), model.n_dropped_]


def assert_same(model, expected):
    for found, own in zip(observed(model), observed(expected), strict=True):
        assert_array_equal(found, own)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMULAS)
def test_skops_trusts_no_type_of_formulaic(name):
    sio = pytest.importorskip("skops.io")
    model = fitted(name)
    data = sio.dumps(model)
    trusted = sio.get_untrusted_types(data=data)
    assert sorted(trusted) == [*CLASSES, OWN]
    loaded = sio.loads(data, trusted=trusted)
    assert_same(loaded, model)
    if model.terms_:
        pd.testing.assert_frame_equal(anova(loaded), anova(model))
    assert packed_frame(loaded._frame).keys() == packed_frame(model._frame).keys()


@pytest.mark.parametrize("name", ["poly", "dot", "dates"])
def test_pickles_and_copies(name):
    model = fitted(name)
    saved = pickle.dumps(model)
    assert b"formulaic" not in saved
    for other in (pickle.loads(saved), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same(other, model)
        assert vars(other).keys() == vars(model).keys()


def test_labels_that_are_intervals():
    model = lmer("y ~ bins + (1 | g)", DATA)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(DATA), model.predict(DATA))


def test_before_fit():
    model = FormulaRegressor("y ~ x + (1 | g)", weights="w")
    assert vars(pickle.loads(pickle.dumps(model))) == vars(model)


def test_a_response_given_beside_the_data():
    model = FormulaRegressor("~ x + (1 | g)").fit(DATA, DATA["y"])
    other = pickle.loads(pickle.dumps(model))
    assert other.score(DATA, DATA["y"]) == model.score(DATA, DATA["y"])
    with pytest.raises(ValueError, match="y=None, and the formula names no response"):
        other.score(DATA)


def doubled(x):
    return 2 * x


def test_functions_of_the_context_are_those_of_the_fit():
    model = lmer("y ~ double(x) + (1 | g)", DATA, context={"double": doubled})
    expected = model.predict(DATA)
    model.set_params(context={"double": np.abs})
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(DATA), expected)


class Kept:
    """What a transformation of the user's keeps."""


def test_a_transformation_that_keeps_an_object_is_not_saved():
    @formulaic.transforms.stateful_transform
    def keeping(x, _state=None):
        _state["kept"] = Kept()
        return x

    model = lmer("y ~ keeping(x) + (1 | g)", DATA, context={"keeping": keeping})
    with pytest.raises(TypeError, match="Kept has no form in a saved model"):
        pickle.dumps(model)


def test_predictions_leave_the_state_as_it_was():
    model = fitted("poly")
    before = pickle.dumps(packed_frame(model._frame))
    model.predict(DATA.head(3))
    with pytest.raises(ValueError, match="which was not there in fit"):
        model.predict(DATA.assign(f="other"))
    assert pickle.dumps(packed_frame(model._frame)) == before


def changed(state, path, value):
    state = copy.deepcopy(state)
    holder = state
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return state


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("_fit",), None),
        (("_fit", "frame"), None),
        (("_fit", "context"), [1]),
        (("_fit", "frame", "formula"), "y ~ other(x) + (1 | g)"),
        (("_fit", "frame", "formula"), "y ~ ((x"),
        (("_fit", "frame", "formula"), "y ~ x + (1 | g)"),
        (("_fit", "frame", "weights"), "w("),
        (("_fit", "frame", "columns"), ["x", "x"]),
        (("_fit", "frame", "columns"), ["x"]),
        (("_fit", "frame", "codings"), {"f": "other"}),
        (("_fit", "frame", "codings"), ["f"]),
        (("_fit", "frame", "parts"), []),
        (("_fit", "frame", "parts", 0, "codes", 0), "__import__('os').getpid()"),
        (("_fit", "frame", "parts", 0, "terms", 1, "products", 0, "factors", 0), "open('x')"),
        (("_fit", "frame", "parts", 0, "terms", 1, "products", 0, "scale"), np.inf),
        (("_fit", "frame", "parts", 0, "transforms"), [1]),
        (("_fit", "frame", "kinds", "booleans"), ["other"]),
        (("regressor_",), "regressor"),
        (("n_dropped_",), -1),
        (("n_features_in_",), "3"),
    ],
    ids=str,
)
def test_crafted_states_are_refused(path, value):
    state = fitted("poly").__getstate__()
    with pytest.raises(ValueError, match="The saved model is damaged"):
        FormulaRegressor.__new__(FormulaRegressor).__setstate__(changed(state, path, value))


def test_the_regressor_of_another_formula_is_refused():
    state = fitted("poly").__getstate__()
    state["regressor_"] = fitted("intercept").regressor_
    with pytest.raises(ValueError, match="The saved model is damaged: its columns do not fit"):
        FormulaRegressor.__new__(FormulaRegressor).__setstate__(state)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what comes of other numbers
def test_hostile_states():
    model = lmer("y ~ poly(x, 2) + C(f, contr.sum) + b + (1 | g)", DATA, weights="w")
    check_hostile_states(model, lambda other: other.predict(DATA.head(5), return_std=True), 0.06)


@pytest.mark.parametrize("dtype", [bool, "boolean"])
def test_classes_that_are_booleans(dtype):
    data = DATA.assign(is_high=(DATA["y"] > DATA["y"].median()).astype(dtype))
    model = glmer("is_high ~ x + (1 | g)", data, "binomial")
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(data), model.predict(data))
