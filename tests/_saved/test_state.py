"""What is saved of a fitted model: plain arrays and lists that later versions read."""

import copy
import importlib.util
import json
import pickle
import pickletools
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import saved_models
from hostile import check_hostile_states
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skmixed import AllExcept, MixedEffectEncoder, MixedLinearRegressor, RandomEffect
from skmixed._fitted.fitted_model import fitted
from skmixed._saved.form import FORMAT, PARTS, pack, unpack
from skmixed.formula import FormulaRegressor

GOLDEN = Path(__file__).parents[1] / "golden"


def _make():
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _make()
CASES = make.cases()
OTHERS = make.others()
VERSIONS = sorted(path.name for path in GOLDEN.iterdir() if (path / "expected.json").exists())


@pytest.fixture(scope="module")
def fits():
    return {n: clone(model).fit(X, y, **more) for n, (model, X, y, more) in CASES.items()}


class TestGolden:
    """Files made by earlier versions."""

    def test_there_are_some(self):
        assert "0.2.0" in VERSIONS

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", CASES)
    def test_estimates_and_predictions(self, version, name):
        expected = json.loads((GOLDEN / version / "expected.json").read_text())
        if name not in expected:
            pytest.skip(f"not among the cases of {version}")
        model = pickle.loads((GOLDEN / version / f"{name}.pickle").read_bytes())
        found, expected = make.observed(model, *CASES[name][1::2]), expected[name]
        # The same operations on the same numbers; JSON keeps all digits.
        for key in ("predictions", "criterion", "sigma", "bic"):
            assert_allclose(found[key], expected[key], rtol=1e-14)
        assert found["fixed"] == expected["fixed"]
        assert found["effects"] == expected["effects"]

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", CASES)
    def test_statistics_and_a_new_fit(self, version, name):
        path = GOLDEN / version / f"{name}.pickle"
        if not path.exists():
            pytest.skip(f"not among the cases of {version}")
        model = pickle.loads(path.read_bytes())
        found = fitted(model)
        assert found.stats.n_rows == len(CASES[name][1])
        if found.encoder.terms:
            # Two ways to the same number, at a condition of some 1e4.
            factorization = found.factorization
            sigma2 = found.likelihood.sigma_squared(factorization)
            sigma = np.sqrt(sigma2 * factorization.system.weight_unit)
            assert sigma == pytest.approx(model.sigma_, rel=1e-10)
        _, X, y, more = CASES[name]
        # Other versions of the search may stop elsewhere within its tolerance.
        before = model.criterion_
        assert model.fit(X, y, **more).criterion_ == pytest.approx(before, abs=1e-8)

    @pytest.mark.parametrize("version", VERSIONS)
    def test_slim(self, version):
        model = pickle.loads((GOLDEN / version / "slim.pickle").read_bytes())
        expected = json.loads((GOLDEN / version / "expected.json").read_text())["text"]
        assert_allclose(model.predict(CASES["text"][1]), expected["predictions"], rtol=1e-14)

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", OTHERS)
    def test_other_classes(self, version, name):
        _, numbers = OTHERS[name]
        expected = json.loads((GOLDEN / version / "expected.json").read_text())[name]
        model = pickle.loads((GOLDEN / version / f"{name}.pickle").read_bytes())
        # Functions of the formula, and the search, by other versions of NumPy.
        assert_allclose(numbers(model), expected, rtol=1e-12)

    @pytest.mark.parametrize("version", VERSIONS)
    def test_coefficients_are_in_the_form_of_this_version(self, version):
        model = pickle.loads((GOLDEN / version / "text.pickle").read_bytes())
        assert model.coef_.shape == (model.n_features_in_,)


def saved_classes(data):
    """Modules and names of the classes that a pickle names."""
    texts, found = [], set()
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in ("SHORT_BINUNICODE", "BINUNICODE"):
            texts.append(argument)
        if operation.name == "STACK_GLOBAL":
            found.add(".".join(texts[-2:]))
    return found


class TestPickle:
    @pytest.mark.parametrize("name", [name for name in CASES if name != "effects"])
    def test_no_classes_but_the_estimator_and_arrays(self, fits, name):
        classes = saved_classes(pickle.dumps(fits[name], protocol=4))
        own = {c for c in classes if not c.startswith("numpy") and c != "ndarray.dtype"}
        assert own == {"skmixed.MixedLinearRegressor"}

    @pytest.mark.parametrize("name", CASES)
    @pytest.mark.parametrize("how", ["pickle", "joblib", "copy", "deepcopy"])
    def test_nothing_is_lost(self, fits, name, how, tmp_path):
        model = fits[name]
        other = {
            "pickle": lambda: pickle.loads(pickle.dumps(model)),
            "joblib": lambda: joblib.load(joblib.dump(model, tmp_path / "m")[0]),
            "copy": lambda: copy.copy(model),
            "deepcopy": lambda: copy.deepcopy(model),
        }[how]()
        arguments = CASES[name][1::2]
        assert make.observed(other, *arguments) == make.observed(model, *arguments)
        assert set(vars(other)) == set(vars(model))
        assert same(fitted(other).encoder, fitted(model).encoder)
        assert same(fitted(other).stats, fitted(model).stats)
        assert same(other._model.estimate, model._model.estimate)

    def test_before_fit(self):
        model = pickle.loads(pickle.dumps(MixedLinearRegressor("g", tol=0.5)))
        assert vars(model) == vars(MixedLinearRegressor("g", tol=0.5))

    def test_size(self):
        """At most 3 times the bytes of the BLUPs and the sums over groups."""
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(10_000), 3)
        X = pd.DataFrame(rng.normal(size=(30_000, 10))).add_prefix("x")
        y = rng.normal(size=10_000)[groups] + rng.normal(size=30_000)
        for labels in (groups, pd.Series(groups).map("customer {:05d}".format)):
            model = MixedLinearRegressor("g").fit(X.assign(g=labels), y)
            factor, term = model._model.stats.factors[0], model._model.estimate.solution.terms[0]
            numbers = term.effects.nbytes + factor.sums.nbytes + factor.counts.nbytes
            assert len(pickle.dumps(model)) < 1.3 * numbers
            assert len(pickle.dumps(model.slim())) < 0.3 * numbers

    def test_a_later_format_is_refused(self, fits):
        state = fits["text"].__getstate__()
        state["_fit"]["format"] = FORMAT + 1
        message = rf"saved in format {FORMAT + 1}, by a later version.* up to {FORMAT}\. Update"
        with pytest.raises(ValueError, match=message):
            MixedLinearRegressor().__setstate__(state)


def same(a, b):
    """Whether packed forms agree, to the bit and in their types."""
    return _equal(pack(a), pack(b))


def _equal(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


class TestState:
    @pytest.mark.parametrize(
        "labels",
        [
            ["a", "", "äöü", "日本語", "a\0", "\ud800", "🙂"],
            [1, "1", (1, 2)],
            [(1, 2), (3, 4)],
            [2**70, 1],
        ],
        ids=str,
    )
    def test_labels_of_any_kind(self, labels):
        before = np.fromiter(labels, dtype=object, count=len(labels))
        after = unpack(pack(before))
        assert after.dtype == object
        assert after.tolist() == labels

    def test_text_is_one_piece(self):
        labels = np.array([f"customer {k}" for k in range(1000)], dtype=object)
        packed = pack(labels)
        assert {type(part) for key, part in packed.items() if key != "is"} == {np.ndarray}

    def test_a_field_that_is_not_there_takes_its_default(self, fits):
        state = pack(fits["text"]._model.stats)
        del state["pairs"], state["unweighted"]
        found = unpack(state)
        assert (found.pairs, found.unweighted) == ((), None)

    def test_what_has_no_form_is_refused(self):
        with pytest.raises(TypeError, match="Series has no form in a saved model"):
            pack((1, pd.Series([1])))

    def test_every_part_has_a_name_of_its_own(self):
        assert len(set(PARTS.values())) == len(PARTS)


class TestSkops:
    """Nothing has to be trusted but the estimator, and RandomEffect where it is a parameter."""

    @pytest.mark.parametrize("name", CASES)
    def test_round_trip(self, fits, name):
        sio = pytest.importorskip("skops.io")
        model = fits[name]
        data = sio.dumps(model)
        trusted = sio.get_untrusted_types(data=data)
        effects = ["skmixed.RandomEffect"] if name == "effects" else []
        assert sorted(trusted) == ["skmixed.MixedLinearRegressor", *effects]
        loaded = sio.loads(data, trusted=trusted)
        arguments = CASES[name][1::2]
        assert make.observed(loaded, *arguments) == make.observed(model, *arguments)
        assert same(loaded._model.stats, model._model.stats)

    def test_pipeline(self):
        sio = pytest.importorskip("skops.io")
        X, y = CASES["text"][1:3]
        columns = make_column_transformer((StandardScaler(), ["Days"]), remainder="passthrough")
        pipeline = make_pipeline(columns, MixedLinearRegressor(-1)).fit(X, y)
        data = sio.dumps(pipeline)
        loaded = sio.loads(data, trusted=sio.get_untrusted_types(data=data))
        assert_array_equal(loaded.predict(X), pipeline.predict(X))


class TestSlim:
    @pytest.mark.parametrize("name", CASES)
    def test_predicts_and_shows_the_same(self, fits, name):
        model, arguments = fits[name], CASES[name][1::2]
        slim = model.slim()
        assert isinstance(slim, MixedLinearRegressor)
        assert make.observed(slim, *arguments) == make.observed(model, *arguments)
        found, expected = slim.summary(), model.summary()
        pd.testing.assert_frame_equal(found.random, expected.random)
        shared = ["Estimate", "Std. Error", "t value"]
        pd.testing.assert_frame_equal(found.fixed[shared], expected.fixed[shared])
        assert "a slim copy keeps no statistics" in str(found)
        again = pickle.loads(pickle.dumps(slim))
        assert make.observed(again, *arguments) == make.observed(model, *arguments)

    def test_the_original_stays_whole(self, fits):
        fits["text"].slim()
        assert fitted(fits["text"]).stats.n_rows == 180

    def test_offers_no_inference(self, fits):
        slim = fits["text"].slim()
        for model in (slim, make_pipeline(slim), slim.slim(), pickle.loads(pickle.dumps(slim))):
            with pytest.raises(ValueError, match=r"is a slim copy, which predicts but keeps no"):
                fitted(model)

    def test_fits_again(self, fits):
        _, X, y, _ = CASES["text"]
        slim = fits["text"].slim().fit(X, y)
        assert same(fitted(slim).stats, fits["text"]._model.stats)

    def test_before_fit(self):
        with pytest.raises(NotFittedError):
            MixedLinearRegressor().slim()

    def test_holds_arrays_of_the_size_of_the_levels(self, fits):
        assert "cross-products" in str(fits["text"].__getstate__())
        assert "cross-products" not in str(fits["text"].slim().__getstate__())


def test_a_subclass_with_state_of_its_own():
    class Noted(MixedLinearRegressor):
        pass

    _, X, y, _ = CASES["text"]
    model = Noted("Subject").fit(X, y)
    model.note_ = {"made": "here"}
    other = copy.deepcopy(model)
    assert type(other) is type(model.slim()) is Noted
    assert other.note_ == model.slim().note_ == {"made": "here"}


def test_parameters_that_are_random_effects():
    model = MixedLinearRegressor([RandomEffect(("a", "b"), slopes=["x"], covariance="diag")])
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()


# ---- files that were damaged, or made to do damage ---------------------------

rng = np.random.default_rng(0)
CROSSED = pd.DataFrame({"x": rng.normal(size=60), "g": np.arange(60) % 10, "h": np.arange(60) % 7})
CROSSED["y"] = CROSSED.x + rng.normal(size=10)[CROSSED.g] + rng.normal(size=7)[CROSSED.h]
CROSSED["y"] += rng.normal(size=60)


def saved():
    model = MixedLinearRegressor([RandomEffect("g", slopes="x"), "h"])
    return model.fit(CROSSED[["x", "g", "h"]], CROSSED["y"]).__getstate__()


def places(value, path=()):
    """Yield the path of each array and each list of a state."""
    if isinstance(value, np.ndarray | list):
        yield path
    items = dict(enumerate(value)) if isinstance(value, list) else value
    for key, item in items.items() if isinstance(items, dict) else ():
        yield from places(item, (*path, key))


def with_changed(state, path, change):
    state = copy.deepcopy(state)
    holder = state["_fit"]
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = change(holder[path[-1]])
    return state


def loaded(state):
    model = MixedLinearRegressor.__new__(MixedLinearRegressor)
    model.__setstate__(state)
    return model


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_damaged_parts_are_refused():
    state = saved()
    paths = list(places(state["_fit"]))
    assert len(paths) > 40
    # The labels of a level may be any, and what the data left open is a list of any length.
    free = ("labels", "findings", "spanned", "undetermined", "theta", "sources")
    for path in paths:
        if not set(path) & set(free):
            with pytest.raises(ValueError, match="The saved model is damaged"):
                loaded(with_changed(state, path, lambda value: value[:-1] if len(value) else [1]))


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize(
    ("path", "change"),
    [
        (("model", "products", "pairs", 0, "matrix", "indices"), lambda v: v + np.int32(2**30)),
        (("model", "products", "pairs", 0, "matrix", "indices"), lambda v: v - np.int32(2**30)),
        (("model", "products", "pairs", 0, "matrix", "indptr"), lambda v: v[::-1].copy()),
        (("model", "products", "pairs", 0, "matrix", "data"), lambda v: v.astype(object)),
        (("model", "products", "pairs", 0, "matrix", "shape"), lambda v: [v[0], v[1] + 1]),
        (("model", "products", "pairs", 0, "first"), lambda _: 7),
        (("model", "products", "total"), lambda v: v.astype(np.float32).astype(object)),
        (("model", "products", "factors", 0, "counts"), lambda v: v.astype(float)),
        (("model", "encoder", "numeric"), lambda _: [10**9]),
        (("model", "encoder", "numeric"), lambda _: [-1]),
        (("model", "encoder", "fixed"), lambda _: [0, 0]),
        (("model", "encoder", "terms", 0, "factor"), lambda _: 2),
        (("model", "encoder", "terms", 0, "columns"), lambda _: [0, 9]),
        (
            ("model", "encoder", "terms", 0, "structure"),
            lambda _: {"is": "structure", "name": "other"},
        ),
        (("model", "encoder", "factors", 0), lambda _: None),
        (("model", "encoder", "factors", 0, "levels", 0, "labels"), lambda v: v[:, None]),
        (("model", "encoder", "factors", 0, "cells"), lambda _: np.array([10**6])),
        (("model", "estimate", "solution", "terms", 0, "effects"), lambda v: v.tolist()),
        (("model", "estimate", "solution"), lambda _: {"is": "encoder"}),
        (("model", "estimate", "status"), lambda _: {"is": "status", "name": "other"}),
        (
            (
                "model",
                "estimate",
            ),
            lambda _: {"is": "nothing"},
        ),
        (
            (
                "model",
                "estimate",
            ),
            lambda _: None,
        ),
        (
            (
                "model",
                "products",
            ),
            lambda _: [1, 2],
        ),
    ],
)
def test_crafted_parts_are_refused(path, change):
    with pytest.raises(ValueError, match="The saved model is damaged"):
        loaded(with_changed(saved(), path, change))


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {3: 1},
        {"n_features_in_": 3},
        {"n_features_in_": 3, "feature_names_in_": np.array(["x"], dtype=object), "_fit": {}},
        {"_fit": None, "n_features_in_": 3},
        {"_fit": {}},
        {"_fit": {"format": "1"}},
        {"_fit": 5},
    ],
    ids=str,
)
def test_what_is_no_state_is_refused(state):
    for kind in (MixedLinearRegressor, MixedEffectEncoder, FormulaRegressor):
        with pytest.raises(ValueError, match="The saved model is damaged"):
            kind.__new__(kind).__setstate__(state)


def test_parts_come_from_what_is_checked():
    for kind in (MixedLinearRegressor, MixedEffectEncoder, FormulaRegressor):
        model = kind.__new__(kind)
        model.__setstate__(dict.fromkeys(kind._parts, 5))
        with pytest.raises(NotFittedError):
            check_is_fitted(model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what comes of other numbers
def test_hostile_states():
    X, y = CROSSED[["x", "g", "h"]], CROSSED["y"]
    model = MixedLinearRegressor([RandomEffect("g", slopes="x"), ("g", "h")]).fit(X, y, 1 + X["h"])
    check_hostile_states(model, lambda other: other.predict(X[:5], return_std=True), 0.1)
    encoder = MixedEffectEncoder().fit(X[["g", "h"]].mask(X[["g", "h"]] == 2), y)
    check_hostile_states(encoder, lambda other: other.transform(X[["g", "h"]]), 0.1)
    stats = MixedLinearRegressor("g").statistics(X[["x", "g"]], y)
    refit = MixedLinearRegressor("g").fit_statistics
    check_hostile_states(stats, lambda other: (repr(other), other + other, refit(other)), 0.1)


def use_of(rows):
    """What is done with a saved model: predictions, with all that they need, and a summary."""

    def use(model):
        model.predict(rows)
        if isinstance(model, MixedLinearRegressor):
            model.predict(rows[:5], return_std=True)
            model.sample_y(rows[:5])
        str(model.summary())

    return use


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what comes of other numbers
@pytest.mark.parametrize("name", saved_models.MODELS)
def test_hostile_states_of_models(name):
    model = saved_models.MODELS[name]()
    check_hostile_states(model, use_of(saved_models.rows_of(model)), 0.01)


def test_statistics_are_plain():
    X, y = CROSSED[["x", "g", "h"]], CROSSED["y"]
    model = MixedLinearRegressor(["g", "h"])
    stats = model.statistics(X, y)
    own = {c for c in saved_classes(pickle.dumps(stats, protocol=4)) if c.startswith("skmixed")}
    assert own == {"skmixed.SufficientStatistics"}
    other = pickle.loads(pickle.dumps(stats))
    assert repr(other) == repr(stats)
    assert model.fit_statistics(other).criterion_ == model.fit_statistics(stats).criterion_
    state = stats.__getstate__()
    with pytest.raises(ValueError, match="by a later version"):
        other.__setstate__(state | {"format": FORMAT + 1})


def test_skops_loads_statistics_and_parameters():
    sio = pytest.importorskip("skops.io")
    X, y = CROSSED[["x", "g", "h"]], CROSSED["y"]
    model = MixedLinearRegressor("g", fixed=AllExcept(["h"]))
    for value in (model.statistics(X, y), model.fit(X, y)):
        data = sio.dumps(value)
        types = sio.get_untrusted_types(data=data)
        assert set(types) <= {f"skmixed.{type(value).__name__}", "skmixed.AllExcept"}
        loaded = sio.loads(data, trusted=types)
        assert repr(loaded) == repr(value)
        assert_equal(loaded.__getstate__(), value.__getstate__())
