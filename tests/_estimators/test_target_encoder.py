"""MixedEffectEncoder: scikit-learn's contract, no leak, labels of every kind, messages."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

import skmixed._estimators.one_way
from skmixed import MixedEffectEncoder, MixedLinearRegressor
from skmixed.datasets import load_penicillin
from skmixed.exceptions import UnknownLevelsWarning

# Optima of the same function, found to a few roundings of the criterion.
OPTIMUM = 1e-6


# Among the data of the checks are classes that one column tells apart: the size of the encoding is
# then that of the rows of the fit, of which `fit_transform` has others. Pipelines are no matter of
# classes, and take thirty fits. All of these pass below with a target of numbers.
NOT_OF_CLASSES = {
    "check_transformer_general": "fit_transform encodes by fits on the other folds, as it should",
    "check_transformer_data_not_an_array": "fit_transform encodes by fits on the other folds",
    "check_pipeline_consistency": "it is the same whatever the target is",
}


@pytest.mark.filterwarnings("ignore:Every category of column")
@parametrize_with_checks([MixedEffectEncoder(cv=2)])  # the fewest fits
def test_scikit_learn_checks_of_classes(estimator, check):
    if check.func.__name__ in NOT_OF_CLASSES:
        pytest.skip(NOT_OF_CLASSES[check.func.__name__])
    check(estimator)


@parametrize_with_checks(
    [
        MixedEffectEncoder(target_type="continuous"),
        MixedEffectEncoder(target_type="continuous", method="ml", cv=3),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def simulate(seed=0, n=120, q=8):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(q), rng.integers(0, q, n - q)])
    y = 2.0 * rng.normal(size=q)[codes] + rng.normal(size=n)
    return codes, y


@pytest.fixture
def data():
    codes, y = simulate()
    return pd.DataFrame({"a": [f"level {c}" for c in codes], "b": codes // 2}), y


@pytest.fixture
def fitted(data):
    return MixedEffectEncoder().fit(*data)


# What it computes.


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_an_encoding_is_the_prediction_of_the_mixed_model(data, method):
    X, y = data
    encoder = MixedEffectEncoder(method=method).fit(X, y)
    encoded = encoder.transform(X)
    for j, column in enumerate(X.columns):
        model = MixedLinearRegressor(column, method=method).fit(X[[column]], y)
        assert_allclose(encoded[:, j], model.predict(X[[column]]), rtol=OPTIMUM)
        assert_allclose(encoder.intercept_[j], model.intercept_, rtol=OPTIMUM)
        variances = model.variance_components_["variance"]
        assert_allclose(encoder.smooth_[j], variances[1] / variances[0], rtol=1e-5)


def test_it_is_target_encoding_with_estimated_smoothing(data):
    """TargetEncoder shrinks towards the mean of the rows: the same with levels of one size."""
    X, y = load_penicillin(return_X_y=True)
    X = X[["sample"]]
    ours = MixedEffectEncoder().fit(X, y)
    theirs = TargetEncoder(smooth=ours.smooth_[0], target_type="continuous").fit(X, y)
    assert_allclose(ours.encodings_[0], theirs.encodings_[0], rtol=1e-10)
    assert_array_equal(ours.categories_[0], theirs.categories_[0])
    assert ours.target_mean_ == pytest.approx(theirs.target_mean_, rel=1e-14)


def test_every_row_is_encoded_by_a_fit_on_the_other_folds(data):
    X, y = data
    cv = KFold(4, shuffle=True, random_state=1)
    encoded = MixedEffectEncoder(cv=cv).fit_transform(X, y)
    for train, test in cv.split(X):
        other = MixedEffectEncoder().fit(X.iloc[train], y[train])
        # Another code of the same levels: sums in the same order.
        assert_allclose(encoded[test], other.transform(X.iloc[test]), rtol=1e-12)


def test_no_row_sees_a_target_of_its_fold(data):
    X, y = data
    cv = [(np.arange(40, 120), np.arange(40)), (np.arange(40), np.arange(40, 120))]
    encoder = MixedEffectEncoder(cv=cv)
    before = encoder.fit_transform(X, y)
    y[:40] = 1e9 * y[:40][::-1]
    after = encoder.fit_transform(X, y)
    assert_array_equal(before[:40], after[:40])
    assert (before[40:] != after[40:]).all()


def test_a_category_of_noise_explains_nothing_after_fit_transform():
    """The trap that cross-fitting avoids: categories of two rows, y without structure."""
    y = np.random.default_rng(0).normal(size=1000)
    X = (np.arange(1000) % 500)[:, None]
    encoded = MixedEffectEncoder().fit_transform(X, y)[:, 0]
    # Four standard errors of a correlation of nothing.
    assert abs(np.corrcoef(encoded, y)[0, 1]) < 4 / 1000**0.5


def test_fit_transform_learns_what_fit_does_and_encodes_otherwise(data, fitted):
    X, y = data
    encoder = MixedEffectEncoder()
    encoded = encoder.fit_transform(X, y)
    assert (encoded != fitted.transform(X)).all()
    for ours, theirs in zip(encoder.encodings_, fitted.encodings_, strict=True):
        assert_array_equal(ours, theirs)
    assert_array_equal(encoder.transform(X), fitted.transform(X))


def test_same_input_gives_the_same_output(data):
    encoded = [MixedEffectEncoder().fit_transform(*data) for _ in range(2)]
    assert_array_equal(*encoded)


def test_columns_do_not_depend_on_each_other(data):
    X, y = data
    both = MixedEffectEncoder().fit_transform(X, y)
    alone = MixedEffectEncoder().fit_transform(X[["b"]], y)
    assert_array_equal(both[:, [1]], alone)


def test_attributes(data, fitted):
    X, y = data
    assert [list(c) for c in fitted.categories_] == [sorted(set(X["a"])), [0, 1, 2, 3]]
    assert [e.shape for e in fitted.encodings_] == [(8,), (4,)]
    assert fitted.smooth_.shape == fitted.intercept_.shape == (2,)
    assert fitted.target_mean_ == pytest.approx(y.mean(), rel=1e-14)
    assert fitted.n_features_in_ == 2
    assert list(fitted.feature_names_in_) == ["a", "b"]
    assert list(fitted.get_feature_names_out()) == ["a", "b"]


# Rows and columns without an estimate of their own.


def test_unknown_categories_get_the_intercept(data, fitted):
    X, _ = data
    new = pd.DataFrame({"a": ["level 0", "new", None], "b": [7, 0, 1]})
    encoded = fitted.transform(new)
    assert_array_equal(encoded[1:, 0], fitted.intercept_[0])
    assert encoded[0, 1] == fitted.intercept_[1]
    assert encoded[0, 0] == fitted.transform(X[:1].assign(a="level 0"))[0, 0]


def test_a_category_that_is_not_in_the_training_rows_of_a_fold():
    codes, y = simulate()
    codes[5] = 99
    encoder = MixedEffectEncoder(
        cv=[(np.arange(60), np.arange(60, 120)), (np.arange(60, 120), np.arange(60))]
    )
    encoded = encoder.fit_transform(codes[:, None], y)
    other = MixedEffectEncoder().fit(codes[60:, None], y[60:])
    assert encoded[5, 0] == pytest.approx(other.intercept_[0], rel=1e-12)


@pytest.mark.parametrize("column", [[1] * 6, [1, 2, 3, 4, 5, 6], [None] * 6], ids=str)
def test_columns_that_cannot_be_fitted_get_the_mean(column):
    X, y = pd.DataFrame({"a": column}), np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    encoder = MixedEffectEncoder(cv=KFold(2)).fit(X, y)
    assert encoder.smooth_[0] == np.inf
    assert_array_equal(encoder.transform(X)[:, 0], encoder.target_mean_)
    assert encoder.transform(pd.DataFrame({"a": [77]}))[0, 0] == encoder.target_mean_
    encoded = encoder.fit_transform(X, y)[:, 0]
    assert_allclose(encoded, np.repeat([y[3:].mean(), y[:3].mean()], 3), rtol=1e-14)


def test_one_row():
    assert MixedEffectEncoder().fit([["a"]], [3.0]).transform([["b"]]) == 3.0


# Labels of every kind.


def _tuples(codes):
    return np.fromiter([(c, "x") for c in codes.tolist()], dtype=object, count=len(codes))


KINDS = {
    "text": lambda c: [f"k{v}" for v in c],
    "string": lambda c: pd.array([f"k{v}" for v in c], dtype="string"),
    "pyarrow text": lambda c: pd.array([f"k{v}" for v in c], dtype="string[pyarrow]"),
    "category": lambda c: pd.Categorical([f"k{v}" for v in c]),
    "int": lambda c: c,
    "int8": lambda c: c.astype("int8"),
    "Int64": lambda c: pd.array(c, dtype="Int64"),
    "large int": lambda c: c + 2**60,
    "uint64": lambda c: c.astype(np.uint64) + np.uint64(2**63),
    "float": lambda c: c + 0.5,
    "date": lambda c: pd.Timestamp("2020") + pd.to_timedelta(c, "D"),
    "date with zone": lambda c: pd.Timestamp("2020", tz="UTC") + pd.to_timedelta(c, "D"),
    "duration": lambda c: pd.to_timedelta(c, "D"),
    "period": lambda c: pd.period_range("2020", periods=8, freq="D")[c],
    "tuple": _tuples,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_labels(kind):
    codes, y = simulate()
    X = pd.DataFrame({"a": KINDS[kind](codes)})
    encoder = MixedEffectEncoder()
    encoded = encoder.fit_transform(X, y)
    assert_array_equal(encoded, MixedEffectEncoder().fit_transform(codes[:, None], y))
    assert list(encoder.categories_[0]) == sorted(set(X["a"]))
    listed = MixedEffectEncoder(encoder.categories_)
    assert_array_equal(listed.fit_transform(X, y), encoded)
    assert_array_equal(listed.transform(X), encoder.transform(X))
    copy = pickle.loads(pickle.dumps(encoder))
    assert_array_equal(copy.transform(X), encoder.transform(X))


@pytest.mark.parametrize("kind", KINDS)
def test_missing_is_a_category(kind):
    codes, y = simulate()
    y[codes == 3] += 10.0
    X = pd.DataFrame({"a": KINDS[kind](codes)})
    X = X.astype(object) if X["a"].dtype.kind in "iu" else X
    X.loc[codes == 3, "a"] = None
    encoder = MixedEffectEncoder()
    encoded = encoder.fit_transform(X, y)
    categories = encoder.categories_[0]
    assert len(categories) == 8
    assert pd.isna(categories[-1])
    # Named last instead of in its place: sums in another order.
    assert_allclose(encoded, MixedEffectEncoder().fit_transform(codes[:, None], y), rtol=1e-10)
    assert_array_equal(encoder.transform(X)[codes == 3], encoder.encodings_[0][-1])
    listed = MixedEffectEncoder([categories])
    assert_array_equal(listed.fit_transform(X, y), encoded)


def test_all_missing_values_are_one_category():
    X = pd.DataFrame({"a": pd.Series([None, np.nan, pd.NA, pd.NaT, "a", "a"], dtype=object)})
    encoder = MixedEffectEncoder(target_type="continuous").fit(X, [1.0, 1.0, 1.0, 1.0, 5.0, 5.0])
    assert encoder.categories_[0][0] == "a"
    assert_array_equal(encoder.encodings_[0], [5.0, 1.0])
    assert_array_equal(encoder.transform(X)[:4, 0], 1.0)


def test_missing_that_fit_has_not_seen_is_unknown(fitted):
    assert fitted.transform(pd.DataFrame({"a": [None], "b": [0]}))[0, 0] == fitted.intercept_[0]


@pytest.mark.parametrize("kind", ["text", "category", "int", "large int", "float"])
@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "arrow"])
def test_other_frames(kind, convert):
    codes, y = simulate()
    X = pd.DataFrame({"a": KINDS[kind](codes)})
    X = X.astype("Int64") if "int" in kind else X
    X.loc[codes == 3, "a"] = None
    ours, theirs = MixedEffectEncoder(), MixedEffectEncoder()
    assert_array_equal(ours.fit_transform(convert(X), y), theirs.fit_transform(X, y))
    assert_array_equal(ours.transform(convert(X)), theirs.transform(X))


def test_a_list_keeps_its_numbers():
    X = [["a", 1], ["b", 2], ["a", 1], ["b", 10]] * 3
    encoder = MixedEffectEncoder().fit(X, np.arange(12.0))
    assert list(encoder.categories_[1]) == [1, 2, 10]
    assert_array_equal(encoder.transform(X), encoder.transform(pd.DataFrame(X).to_numpy()))


def test_categories_in_the_order_of_a_pandas_column():
    X = pd.DataFrame({"a": pd.Categorical(list("abab"), categories=["b", "unused", "a"])})
    assert list(MixedEffectEncoder().fit(X, [1, 2, 3, 4]).categories_[0]) == ["b", "a"]


def test_rows_of_categories_not_listed_take_no_part():
    codes, y = simulate()
    keep = codes < 5
    listed = MixedEffectEncoder([[4, 3, 2, 1, 0, 77]]).fit(codes[:, None], y)
    alone = MixedEffectEncoder().fit(codes[keep, None], y[keep])
    assert_allclose(listed.encodings_[0][:5], alone.encodings_[0][::-1], rtol=OPTIMUM)
    assert listed.encodings_[0][5] == listed.intercept_[0]
    assert_array_equal(listed.transform(codes[~keep, None]), listed.intercept_[0])
    assert listed.target_mean_ == pytest.approx(y.mean(), rel=1e-14)


def test_labels_of_another_kind_warn(fitted):
    with pytest.warns(UnknownLevelsWarning, match="No label of grouping column 'b' is known") as w:
        fitted.transform(pd.DataFrame({"a": ["level 0"], "b": ["0"]}))
    assert w[0].filename == __file__


# Targets.


def test_two_values_are_numbers_and_two_labels_0_and_1_where_the_target_is_continuous():
    codes, y = simulate()
    X, positive = codes[:, None], y > 0

    def encoded(target):
        return MixedEffectEncoder(target_type="continuous").fit_transform(X, target)

    expected = encoded(positive.astype(float))
    assert 0 < expected.min() < expected.max() < 1
    text = np.where(positive, "yes", "no")
    for target in (positive, positive.astype(int), text, text.tolist(), pd.Categorical(text)):
        assert_array_equal(encoded(target), expected)
    scaled = encoded(np.where(positive, 5.0, 3.0))
    assert_allclose(scaled, 3 + 2 * expected, rtol=1e-6)


def test_whole_numbers_are_numbers():
    codes, y = simulate()
    counts = np.round(3 * y).astype(int)
    X = codes[:, None]
    assert_array_equal(
        MixedEffectEncoder().fit_transform(X, counts),
        MixedEffectEncoder().fit_transform(X, counts.astype(float)),
    )


# Folds.


def test_folds_of_an_integer():
    codes, y = simulate()
    X = codes[:, None]
    cases = ((y, KFold, (5, None, np.int64(5))), (y > 1, StratifiedKFold, (5,)))
    for target, kind, numbers in cases:
        cv = kind(5, shuffle=True, random_state=0)
        expected = MixedEffectEncoder(cv=cv).fit_transform(X, target)
        for number in numbers:
            assert_array_equal(MixedEffectEncoder(cv=number).fit_transform(X, target), expected)


def test_folds_of_an_iterable(data):
    cv = KFold(3)
    expected = MixedEffectEncoder(cv=cv).fit_transform(*data)
    splits = [(train.tolist(), test.tolist()) for train, test in cv.split(*data)]
    assert_array_equal(MixedEffectEncoder(cv=splits).fit_transform(*data), expected)
    every = np.arange(120)
    masks = [(np.isin(every, train), np.isin(every, test)) for train, test in cv.split(*data)]
    assert_array_equal(MixedEffectEncoder(cv=masks).fit_transform(*data), expected)


def test_training_rows_are_those_of_the_splitter(data):
    """Rows may belong to neither side, such as those too near in time."""
    X, y = data
    cv = [(np.arange(50), np.arange(60, 120)), (np.arange(70, 120), np.arange(60))]
    encoded = MixedEffectEncoder(cv=cv).fit_transform(X, y)
    other = MixedEffectEncoder().fit(X[70:], y[70:])
    assert_allclose(encoded[:60], other.transform(X[:60]), rtol=1e-12)


def test_one_row_a_fold():
    codes, y = simulate(n=24, q=4)
    encoded = MixedEffectEncoder(cv=LeaveOneOut()).fit_transform(codes[:, None], y)
    other = MixedEffectEncoder().fit(codes[1:, None], y[1:])
    assert encoded[0, 0] == pytest.approx(other.transform(codes[:1, None])[0, 0], rel=1e-12)


def test_metadata_for_the_splitter():
    codes, y = simulate()
    X, groups = codes[:, None], np.arange(120) % 6
    expected = MixedEffectEncoder(cv=list(GroupKFold(3).split(X, y, groups))).fit_transform(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        encoder = MixedEffectEncoder(cv=GroupKFold(3).set_split_request(groups=True))
        assert_array_equal(encoder.fit_transform(X, y, groups=groups), expected)
        assert_array_equal(MixedEffectEncoder().fit(X, y).transform(X)[:, 0].shape, (120,))


# scikit-learn's tools.


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(data, library):
    X, y = data
    encoder = MixedEffectEncoder().set_output(transform=library)
    for frame in (encoder.fit_transform(X, y), encoder.transform(X)):
        assert type(frame).__module__.startswith(library)
        assert list(frame.columns) == ["a", "b"]
    assert_array_equal(encoder.fit_transform(X, y), MixedEffectEncoder().fit_transform(X, y))


def test_clone_and_pickle(data, fitted):
    assert clone(fitted).get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        clone(fitted).transform(data[0])
    copy = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copy.transform(data[0]), fitted.transform(data[0]))


def test_pickle_is_small():
    codes, y = simulate(n=20_000, q=5_000)
    fitted = MixedEffectEncoder().fit(codes[:, None], y)
    # Two numbers of 8 bytes a category, the label and its encoding, and no rows.
    assert len(pickle.dumps(fitted)) < 5_000 * 16 + 3_000


def test_pipelines(data):
    X, y = data
    X = X.assign(x=np.random.default_rng(1).normal(size=len(y)))
    encode = make_column_transformer((MixedEffectEncoder(), ["a", "b"]), remainder="passthrough")
    model = make_pipeline(encode, Ridge())
    scores = cross_val_score(model, X, y, cv=KFold(4, shuffle=True, random_state=0))
    assert scores.mean() > 0.5
    grid = {"columntransformer__mixedeffectencoder__method": ["reml", "ml"]}
    search = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert search.predict(X[:3]).shape == (3,)


def test_a_classifier_after_it(data):
    X, y = data
    model = make_pipeline(MixedEffectEncoder(), LogisticRegression())
    model.fit(X, np.where(y > 0, "high", "low"))
    assert model.score(X, np.where(y > 0, "high", "low")) > 0.7


def test_a_failed_fit_changes_nothing(data, fitted):
    X, y = data
    before = pickle.dumps(fitted)
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.fit(X[["b"]], np.full(len(y), np.nan))
    fitted.cv = ShuffleSplit(2)
    with pytest.raises(ValueError, match="partition the rows"):
        fitted.fit_transform(X[["b"]], y)
    fitted.cv = 5
    assert pickle.dumps(fitted) == before


# Messages.


def fails(match, X=None, y=None, error=ValueError, **parameters):
    codes, target = simulate()
    X = codes[:, None] if X is None else X
    with pytest.raises(error, match=match):
        MixedEffectEncoder(**parameters).fit_transform(X, target if y is None else y)


def test_messages_about_parameters():
    fails("method='REML' is not known. Choose one of 'reml', 'ml'", method="REML")
    fails("categories='all' is not known. Choose one of 'auto'", categories="all")
    fails("categories=5 is of type int. Give 'auto', or a list", categories=5, error=TypeError)
    fails("categories lists 2 columns, but X has 1", categories=[[1], [2]])
    fails("column 'x0' are 'ab', of type str", categories=["ab"], error=TypeError)
    fails("column 'x0' list 1 more than once", categories=[[1, 2, 1]])
    fails("column 'x0' list None more than once", categories=[[1, None, np.nan]])


def test_a_sparse_matrix_is_refused(data, fitted):
    X = sp.csr_array(np.eye(4, 2))
    for call in (lambda: MixedEffectEncoder().fit(X, np.arange(4.0)), lambda: fitted.transform(X)):
        with pytest.raises(TypeError, match="Sparse data was passed"):
            call()


def test_messages_about_the_target():
    for kind, rule in (
        ("continuous", "takes numbers or two classes"),
        ("count", "takes numbers or two classes"),
        ("binary", "takes two"),
    ):
        message = f"has 3 classes \\(such as 'a'\\), where target_type='{kind}' {rule}"
        fails(message, y=list("abc") * 40, target_type=kind)
    fails("has the class 'a' alone", y=["a"] * 120)
    fails("has the class '3.0' alone", y=[3.0] * 120, target_type="binary")
    fails("has 1 negative values \\(first at row 0: -1\\)", y=[-1, *[2] * 119], target_type="count")
    fails("All counts of the target y are 0", y=[0] * 120, target_type="count")
    fails("target_type='classes' is not known", target_type="classes")
    fails("inconsistent numbers of samples: 120 and 60", y=list("ab") * 30)
    fails("has 40 missing labels \\(first at row 2\\)", y=["a", "b", None] * 40)
    fails("so large that their sum overflows \\(the largest is 1.5e\\+308", y=[1.5e308] * 120)


def test_messages_about_folds(data):
    rows = np.arange(120)
    fails("contain each row once, but contain row 0 2 times", cv=[(rows[60:], rows[:60])] * 2)
    fails("no training rows, or some of its test rows", cv=[(rows, rows)])
    fails("no training rows, or some of its test rows", cv=[([], rows)])
    with pytest.raises(ValueError, match="was given 'groups' for the splitter without metadata"):
        MixedEffectEncoder(cv=GroupKFold(2)).fit_transform(*data, groups=rows)


def test_a_search_that_does_not_converge_says_so(data, monkeypatch):
    monkeypatch.setattr(skmixed._estimators.one_way, "MAX_ITER", 1)
    with pytest.warns(ConvergenceWarning, match="of column 'a' did not converge;") as record:
        MixedEffectEncoder().fit(data[0][["a"]], data[1])
    assert record[0].filename == __file__


class TestSaved:
    def test_with_one_type_to_trust(self, data, fitted):
        sio = pytest.importorskip("skops.io")
        X, _ = data
        saved = sio.dumps(fitted)
        assert sio.get_untrusted_types(data=saved) == ["skmixed.MixedEffectEncoder"]
        loaded = sio.loads(saved, trusted=["skmixed.MixedEffectEncoder"])
        assert_array_equal(loaded.transform(X), fitted.transform(X))

    @pytest.mark.parametrize(
        "change",
        [
            lambda parts: parts[:-1],
            lambda _: None,
            lambda parts: [{"is": "encoder"}, *parts[1:]],
            lambda parts: [{**parts[0], "levels": None}, *parts[1:]],
        ],
    )
    def test_damaged(self, fitted, change):
        state = fitted.__getstate__()
        state["_fit"] = {**state["_fit"], "categories": change(state["_fit"]["categories"])}
        with pytest.raises(ValueError, match="The saved model is damaged"):
            MixedEffectEncoder().__setstate__(state)


@pytest.mark.parametrize("cv", [["ab"], [(np.array([0.5]), np.array([1]))]])
def test_folds_that_are_no_rows(data, cv):
    with pytest.raises(ValueError, match=r"cv has the fold .*, which is no pair of arrays"):
        MixedEffectEncoder(cv=cv).fit_transform(*data)


def test_parameters_that_a_fit_would_use_up(data):
    X, y = data
    with pytest.raises(TypeError, match="cv is of type generator, which the first fit would"):
        MixedEffectEncoder(cv=KFold(3).split(X)).fit_transform(X, y)
    for labels, message in (({"a", "b"}, "no list in an order"), (iter("ab"), "would use up")):
        with pytest.raises(TypeError, match=message):
            MixedEffectEncoder([labels] * X.shape[1]).fit(X, y)
