"""Targets of the encoder that are classes or counts: encodings by generalized mixed models."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from skmixed import MixedEffectEncoder, MixedLogisticClassifier, MixedPoissonRegressor

# Optima of the same function, found to a few roundings of the criterion.
OPTIMUM = 1e-6
# glmer and glmmTMB themselves differ by this much.
R_DIGITS = 5e-6


def of_r():
    """Rows whose fits by R are kept below."""
    place = np.arange(60)
    codes = place % 7
    codes[50:] = 0
    mixed = place * 37 + codes * codes * 11
    return codes[:, None], (mixed % 29 < 6 + 2 * codes).astype(int), mixed % (2 + codes)


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 12, 400)
    eta = rng.normal(size=12)[codes]
    X = pd.DataFrame({"a": [f"level {c}" for c in codes], "b": codes // 3})
    return X, rng.random(400) < 1 / (1 + np.exp(0.5 - eta)), rng.poisson(np.exp(eta / 2))


# coef() of glmer(y ~ 1 + (1 | g), family) of lme4 1.1.31 with tolPwrss = 1e-12; fixef(), θ.
GLMER = {
    "binary": (
        [
            -0.7972733973,
            -0.7537815053,
            -0.6498398058,
            -0.4435335281,
            -0.5464491259,
            -0.6498398058,
            -0.3410115355,
        ],
        -0.6001271341,
        0.3520174605,
    ),
    "count": (
        [
            -0.47639328385,
            0.01468735192,
            0.30258591121,
            0.66935051156,
            0.73074631558,
            1.54324271979,
            1.04250067415,
        ],
        0.5189247644,
        0.6759546390,
    ),
}


@pytest.mark.parametrize("kind", GLMER)
def test_encodings_are_those_of_glmer(kind):
    X, classes, counts = of_r()
    y = {"binary": classes, "count": counts}[kind]
    encoder = MixedEffectEncoder(target_type=kind).fit(X, y)
    levels, mean, sd = GLMER[kind]
    assert_allclose(encoder.encodings_[0], levels, rtol=0, atol=R_DIGITS)
    assert_allclose(encoder.intercept_[0], mean, rtol=0, atol=R_DIGITS)
    p = 1 / (1 + np.exp(-mean))
    information = {"binary": p * (1 - p), "count": np.exp(mean)}[kind]
    assert_allclose(1 / (encoder.smooth_[0] * information), sd**2, rtol=1e-4)


@pytest.mark.parametrize("kind", ["binary", "count"])
def test_an_encoding_is_the_linear_predictor_of_the_mixed_model(data, kind):
    X, classes, counts = data
    estimator, y = {
        "binary": (MixedLogisticClassifier, classes),
        "count": (MixedPoissonRegressor, counts),
    }[kind]
    encoder = MixedEffectEncoder(target_type=kind).fit(X, y)
    for j, column in enumerate(X):
        model = estimator(column).fit(X[[column]], y)
        effects = model.random_effects_[column]
        own = model.intercept_ + effects.loc[encoder.categories_[j]].to_numpy()[:, 0]
        assert_allclose(encoder.encodings_[j], own, rtol=0, atol=OPTIMUM)
        assert_allclose(encoder.intercept_[j], model.intercept_, rtol=0, atol=OPTIMUM)
    assert encoder.target_type_ == kind
    assert encoder.target_mean_ == pytest.approx(y.mean(), rel=1e-14)


def test_two_classes_however_they_are_given(data):
    X, y, _ = data
    X = X.iloc[:, :1]
    expected = MixedEffectEncoder(target_type="binary", cv=2).fit_transform(X, y)
    text = np.where(y, "yes", "no")
    targets = [y, y.astype(int), y.astype(float), np.where(y, 5, -3), text, text.tolist()]
    targets += [pd.Categorical(text), pd.Series(y, dtype="boolean"), pd.Series(text)]
    for kind, target in [*itertools.product(["auto"], targets), ("binary", text)]:
        encoder = MixedEffectEncoder(target_type=kind, cv=2)
        assert_array_equal(encoder.fit_transform(X, target), expected)
        assert encoder.target_type_ == "binary"
        assert_array_equal(encoder.classes_, np.unique(np.asarray(target)))


def test_every_row_is_encoded_by_a_fit_on_the_other_folds(data):
    X, y, _ = data
    cv = StratifiedKFold(5, shuffle=True, random_state=0)
    encoded = MixedEffectEncoder().fit_transform(X, y)
    for train, test in cv.split(X, y):
        other = MixedEffectEncoder().fit(X.iloc[train], y[train])
        assert_allclose(encoded[test], other.transform(X.iloc[test]), rtol=1e-9)


def test_several_classes_are_encoded_each_against_the_rest(data):
    X, _, counts = data
    labels = np.array(["red", "green", "blue"])[np.minimum(counts, 2)]
    encoder = MixedEffectEncoder(cv=2)
    encoded = encoder.fit_transform(X, labels)
    theirs = TargetEncoder().fit(X, labels)
    assert encoder.target_type_ == theirs.target_type_
    assert_array_equal(encoder.classes_, theirs.classes_)
    assert_allclose(encoder.target_mean_, theirs.target_mean_, rtol=1e-14)
    names = theirs.get_feature_names_out()
    assert_array_equal(encoder.get_feature_names_out(), names)
    assert [len(own) for own in encoder.encodings_] == [len(own) for own in theirs.encodings_]
    assert encoded.shape == encoder.transform(X).shape == theirs.transform(X).shape
    for k, label in enumerate(encoder.classes_):
        own = MixedEffectEncoder().fit(X, labels == label)
        assert_allclose(encoder.transform(X)[:, k::3], own.transform(X), rtol=1e-12)
    frame = encoder.set_output(transform="pandas").transform(X)
    assert_array_equal(frame.columns, names)
    whole = MixedEffectEncoder(target_type="multiclass").fit(X, np.minimum(counts, 2))
    assert_array_equal(whole.classes_, [0, 1, 2])


def test_unknown_and_unfitted(data):
    X, y, _ = data
    X = X.assign(one=1, each=np.arange(400))
    encoder = MixedEffectEncoder().fit(X, y)
    new = pd.DataFrame({"a": [None], "b": [99], "one": [2], "each": [1]})
    assert_array_equal(encoder.transform(new)[0], encoder.intercept_)
    assert_allclose(encoder.intercept_[2:], np.log(y.mean() / (1 - y.mean())), rtol=1e-12)
    assert_array_equal(encoder.smooth_[2:], np.inf)
    with_missing = X[["a"]].mask(X["a"] == "level 3")
    filled = MixedEffectEncoder().fit(with_missing, y)
    assert_allclose(filled.encodings_[0][-1], encoder.transform(X)[X["a"] == "level 3", 0][0])


def test_listed_categories_that_have_no_rows_get_the_intercept(data):
    X, y, _ = data
    encoder = MixedEffectEncoder([["new", "level 1", "level 2", "level 3"]]).fit(X[["a"]], y)
    keep = X["a"].isin(["level 1", "level 2", "level 3"])
    alone = MixedEffectEncoder().fit(X.loc[keep, ["a"]], y[keep])
    assert encoder.encodings_[0][0] == encoder.intercept_[0]
    assert_allclose(encoder.encodings_[0][1:], alone.encodings_[0], rtol=OPTIMUM)


def test_categories_that_tell_the_classes_apart_are_said():
    X, y = np.repeat(np.arange(10), 6)[:, None], np.repeat(np.arange(10) % 2, 6)
    with pytest.warns(ConvergenceWarning, match="Every category of column 'x0' has rows of one"):
        encoder = MixedEffectEncoder().fit(X, y)
    assert ((encoder.encodings_[0] > 0) == (np.arange(10) % 2 == 1)).all()


@pytest.mark.parametrize("kind", ["binary", "count"])
def test_a_fold_without_a_class(kind):
    X, y = np.repeat([0, 1, 2], 4)[:, None], np.array([0] * 6 + [1] * 6)
    cv = [(np.arange(6), np.arange(6, 12)), (np.arange(6, 12), np.arange(6))]
    with pytest.raises(ValueError, match="A fold of cv has training rows with"):
        MixedEffectEncoder(target_type=kind, cv=cv).fit_transform(X, y)


@pytest.mark.parametrize("labels", [2, 3])
def test_copies(data, labels):
    X, _, counts = data
    y = np.array(["u", "v", "w"])[np.minimum(counts, labels - 1)]
    fitted = MixedEffectEncoder().fit(X, y)
    copy = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copy.transform(X), fitted.transform(X))
    assert_array_equal(copy.get_feature_names_out(), fitted.get_feature_names_out())
    assert clone(fitted).get_params() == fitted.get_params()
    state = fitted.__getstate__()
    with pytest.raises(ValueError, match="The saved model is damaged"):
        MixedEffectEncoder().__setstate__({**state, "encodings_": state["encodings_"][:-1]})


def test_a_search_over_types_in_a_pipeline(data):
    X, y, _ = data
    columns = make_column_transformer((MixedEffectEncoder(cv=2), ["a", "b"]))
    model = make_pipeline(columns, LogisticRegression())
    grid = {"columntransformer__mixedeffectencoder__target_type": ["binary", "continuous"]}
    search = GridSearchCV(model, grid, cv=2, scoring="neg_log_loss").fit(X, np.where(y, "y", "n"))
    assert search.best_score_ > -0.66


def test_refitting_forgets_the_classes(data):
    X, y, counts = data
    encoder = MixedEffectEncoder().fit(X, y)
    assert encoder.fit(X, counts).classes_ is None
    assert list(encoder.get_feature_names_out()) == ["a", "b"]
