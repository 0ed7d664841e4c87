"""fit_chunks, partial_fit: the same as fit on all rows, whatever the parts."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._estimators.incremental import _of_chunks
from skmixed._statistics import accumulator
from skmixed._statistics.frame import Frame
from skmixed.datasets import load_penicillin
from skmixed.exceptions import (
    ExactFitWarning,
    IdentifiabilityWarning,
    SingularFitWarning,
    UndeterminedError,
)

# Of a statistic, criterion or β at full rank: sums of the same numbers in another
# order, through a factorization of condition up to some 1e5.
SAME = 1e-10
MODELS = {
    "one": "g",
    "crossed": ["g", "h"],
    "nested": ["g", ("g", "h")],
    "three ways": ["g", ("g", "h", "k")],
    "slopes": [RandomEffect("g", slopes="x"), RandomEffect("h", slopes="z", intercept=False)],
    "none": None,
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks so small that a few rows fill them."""
    monkeypatch.setattr(accumulator, "BLOCK_ROWS", 16)


def rows(seed, n=None):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(80, 200)) if n is None else n
    X = pd.DataFrame(
        {
            "x": rng.normal(3, 2, n),
            "z": rng.normal(100, 1, n),
            "g": rng.integers(0, 9, n),
            "h": np.array(list("abcdefgh"))[rng.integers(0, 8, n)],
            "k": rng.integers(0, 2, n).astype(float),
        }
    )
    effects = rng.normal(size=(3, 9))
    h = np.unique(X["h"], return_inverse=True)[1]
    y = X["x"] + 2 * effects[0, X["g"]] + 2 * effects[1, h] + effects[2, X["g"]] * X["x"]
    return X, (y + rng.normal(size=n)).to_numpy(), rng.uniform(0.3, 3, n)


def parts(n, seed):
    """Any order of the rows, in up to twelve parts, some of them empty."""
    rng = np.random.default_rng(seed)
    return np.array_split(rng.permutation(n), np.sort(rng.integers(0, n, rng.integers(0, 12))))


def chunks(X, y, weights, cuts):
    for cut in cuts:
        yield (X.iloc[cut], y[cut]) if weights is None else (X.iloc[cut], y[cut], weights[cut])


def as_in(model, other):
    """The statistics of `other` with the levels and the center of `model`."""
    factors = model._model.encoder.factors
    places = [
        f.index.get_indexer(g.index)
        for f, g in zip(factors, other._model.encoder.factors, strict=True)
    ]
    stats = other._model.stats.aligned(places, [f.n_levels for f in factors])
    return stats.in_frame_of(model._model.stats)


def assert_same_statistics(model, other):
    own, found = model._model.stats, as_in(model, other)
    scale = np.abs(own.total).max()
    assert found.n_rows == own.n_rows
    assert_allclose(found.total, own.total, atol=SAME * scale, rtol=0)
    of_y, expected = found.responses.total, own.responses.total
    scale = max(scale, expected.squares[0])
    assert_allclose(of_y.with_columns, expected.with_columns, atol=SAME * scale, rtol=0)
    assert_allclose(of_y.squares, expected.squares, atol=SAME * scale, rtol=0)
    assert_allclose(found.sum_log_weights, own.sum_log_weights, atol=SAME * own.n_rows)
    for f, g in zip(found.factors, own.factors, strict=True):
        assert_array_equal(f.counts, g.counts)
        assert_allclose(f.sums, g.sums, atol=SAME * scale, rtol=0)
        assert_allclose(f.responses, g.responses, atol=SAME * scale, rtol=0)
    for p, q in zip(found.pairs, own.pairs, strict=True):
        assert_array_equal(p.matrix.indptr, q.matrix.indptr)
        assert_array_equal(p.matrix.indices, q.matrix.indices)
        assert_allclose(p.matrix.data, q.matrix.data, atol=SAME * scale, rtol=0)
    assert (found.unweighted is None) == (own.unweighted is None)
    if own.unweighted is not None:
        assert_allclose(
            found.unweighted, own.unweighted, atol=SAME * np.abs(own.unweighted).max(), rtol=0
        )


def assert_same_fit(model, other, tolerance=SAME):
    assert other.criterion_ == pytest.approx(model.criterion_, rel=SAME)
    errors = np.sqrt(np.diag(model._model.estimate.solution.fixed_covariance))
    # In standard errors: an estimate near 0 has no digits of its own.
    found, expected = other.fixed_effects_ / errors, model.fixed_effects_ / errors
    assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
@given(seed=st.integers(0, 10**6), weighted=st.booleans(), method=st.sampled_from(["reml", "ml"]))
@settings(max_examples=8, deadline=None)
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.IdentifiabilityWarning")
def test_any_partition_and_order(kind, seed, weighted, method):
    X, y, weights = rows(seed)
    weights = weights if weighted else None
    model = MixedLinearRegressor(MODELS[kind], fixed=["x", "z"], method=method).fit(X, y, weights)
    before, accumulator.BLOCK_ROWS = accumulator.BLOCK_ROWS, 16
    try:
        other = clone(model).fit_chunks(chunks(X, y, weights, parts(len(y), seed)))
    finally:
        accumulator.BLOCK_ROWS = before
    assert_same_statistics(model, other)
    # The search ends where the criterion's digits do, at 2e-15 of it: θ is then known to the
    # root, 5e-8 of a standard error, and one step more or less is rounding. With slopes or
    # several factors the criterion can be flatter still.
    assert_same_fit(model, other, {"none": SAME, "one": 1e-7}.get(kind, 1e-5))
    assert_array_equal(other.feature_names_in_, model.feature_names_in_)
    assert other.n_features_in_ == 5


def test_one_chunk_is_fit_bit_by_bit():
    X, y, weights = rows(0)
    for groups in ("g", ["g", ("g", "h")]):
        model = MixedLinearRegressor(groups, fixed=["x", "z"])
        one, other = clone(model).fit(X, y, weights), clone(model).fit_chunks([(X, y, weights)])
        assert one.criterion_ == other.criterion_
        assert_array_equal(one.predict(X), other.predict(X))


def test_levels_come_in_order_of_appearance():
    X, y, _ = rows(1, 100)
    X["h"] = ["b", "a", "b", "a"] * 5 + ["d", "c", "a", "b"] * 20
    model = MixedLinearRegressor(["h", ("h", "k")], fixed="x")
    model.fit_chunks([(X[:20], y[:20]), (X[20:], y[20:])])
    assert list(model.random_effects_["h"].index) == ["a", "b", "c", "d"]
    # Known combinations are found although their order is none.
    effects = model.random_effects_["h:k"]["(Intercept)"]
    expected = X["x"] * model.coef_[0] + model.intercept_
    expected += model.random_effects_["h"]["(Intercept)"].loc[X["h"]].to_numpy()
    expected += effects.loc[pd.MultiIndex.from_frame(X[["h", "k"]])].to_numpy()
    assert_allclose(model.predict(X), expected, rtol=1e-12)


def test_a_thousand_chunks_far_from_zero(small_blocks):
    rng = np.random.default_rng(0)
    n = 10_000
    x, g = 1e8 + rng.normal(size=n), rng.integers(0, 3, n)
    x[:10] = 0.0  # of no weight to speak of, and unlike all others
    weights = np.ones(n)
    weights[:10] = 1e-12
    X, y = np.column_stack([x, g]), x - 1e8 + rng.normal(size=n)
    cuts = [slice(start, start + 10) for start in range(0, n, 10)]
    model = MixedLinearRegressor(1, random_slopes=0)
    stats = _of_chunks(model, ((X[cut], y[cut], weights[cut]) for cut in cuts)).products
    mean = np.average(x, weights=weights)
    expected = (weights * (x - mean) ** 2).sum()
    assert_allclose(stats.mean[1], mean, rtol=1e-15)
    assert_allclose(stats.centered_squares[1], expected, rtol=1e-8)
    centered = stats.reframed(Frame(stats.mean - [1, 0]))
    for j in range(3):
        expected = (weights * (x - stats.mean[1]) ** 2)[g == j].sum()
        assert_allclose(centered.factors[0].sums[j, 1, 1], expected, rtol=1e-8)


def test_a_chunk_may_be_overwritten_by_the_next():
    X, y, weights = rows(2, 60)
    A = X[["x", "z", "g"]].to_numpy()

    def overwritten():
        buffer, responses, precisions = np.empty((20, 3)), np.empty(20), np.empty(20)
        for start in range(0, 60, 20):
            buffer[:], responses[:] = A[start : start + 20], y[start : start + 20]
            precisions[:] = weights[start : start + 20]
            yield buffer, responses, precisions

    model = MixedLinearRegressor(2)
    other = clone(model).fit_chunks(overwritten())
    assert_same_statistics(model.fit(A, y, weights), other)


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.to_numpy(dtype=object),
        lambda X: pl.DataFrame(X.to_dict("list")),
        lambda X: pa.table(X.to_dict("list")),
        lambda X: pa.RecordBatch.from_pydict(X.to_dict("list")),
    ],
    ids=["objects", "polars", "pyarrow", "record batch"],
)
def test_any_table(convert):
    X, y, _ = rows(3)
    model = MixedLinearRegressor([2, 3], fixed=[0, 1])
    whole = clone(model).fit(X, y)
    half = [(convert(X[:50]), pa.array(y[:50])), (convert(X[50:]), y[50:])]
    assert_same_statistics(whole, clone(model).fit_chunks(half))


def test_columns_are_matched_by_name():
    X, y, _ = rows(4)
    model = MixedLinearRegressor("g", fixed=["x", "z"])
    swapped = [(X[:40], y[:40]), (X.loc[40:, ["h", "z", "k", "g", "x"]], y[40:])]
    assert_same_statistics(clone(model).fit(X, y), clone(model).fit_chunks(swapped))


def test_weights_in_some_chunks_only():
    X, y, weights = rows(5)
    weights[:50] = 1.0
    model = MixedLinearRegressor(["g", "h"], fixed=["x", "z"])
    whole = clone(model).fit(X, y, weights)
    half = [(X[:50], y[:50]), (X[50:], y[50:], weights[50:])]
    assert_same_statistics(whole, clone(model).fit_chunks(half))
    # Rows of weight 0 are left out, with their levels, also where all of a chunk are.
    none = (X[:50].assign(g=-1), y[:50], np.zeros(50))
    other = clone(model).fit_chunks([none, *half])
    assert_same_statistics(whole, other)
    assert_same_statistics(whole, clone(model).fit_chunks([half[0], none, half[1]]))


LABELS = {
    "integers, then floats": [np.array([1, 2, 3]), np.array([0.5, 1.0, 2.0])],
    "floats, then integers": [np.array([0.5, 1.0, 2.0]), np.array([1, 2, 3])],
    "large integers": [
        np.array([2**53, 2**53 + 1, 1]),
        np.array([0.5, 2**53, 1.0], dtype=object),
    ],
    "units of dates": [
        np.array(["2020-01-01", "2020-01-02", "2020-01-03"], dtype="M8[s]"),
        np.array(["2020-01-02", "2020-01-05", "2020-01-01"], dtype="M8[ns]"),
    ],
    "mixed": [np.array(["a", 1, (1, 2)], dtype=object), np.array([1, 2, 3])],
    "tuples": [
        pd.Series([(1, 2), (3, 4), (5, 6)]).to_numpy(),
        pd.Series([(3, 4), (7, 8), (5, 6)]).to_numpy(),
    ],
    "missing elsewhere": [pd.array([1, 2, 3], dtype="Int64"), pd.array([3, 4, 5], dtype="Int64")],
    "categories": [
        pd.Categorical(["b", "a", "c"], ["b", "a", "c"]),
        pd.Categorical(["d", "a", "d"]),
    ],
}


@pytest.mark.parametrize("kind", LABELS)
def test_equal_labels_are_one_in_all_chunks(kind):
    X, y, _ = rows(6, 60)
    own = [
        pd.Series(pd.concat([pd.Series(labels)] * 10, ignore_index=True)) for labels in LABELS[kind]
    ]
    distinct = list(dict.fromkeys(x for labels in own for x in labels))
    codes = np.array([distinct.index(x) for labels in own for x in labels])
    halves = [
        (
            X[part][["x"]].assign(g=labels.to_numpy() if kind != "categories" else labels.array),
            y[part],
        )
        for part, labels in zip((slice(0, 30), slice(30, 60)), own, strict=True)
    ]
    model = MixedLinearRegressor("g")
    found = _of_chunks(model, iter(halves))
    expected = model.statistics(X[["x"]].assign(g=codes), y)
    assert list(found.encoder.factors[0].index) == sorted(
        distinct, key=lambda x: list(found.encoder.factors[0].index).index(x)
    )
    places = [[distinct.index(x) for x in found.encoder.factors[0].index]]
    assert found.n_levels == {"g": len(distinct)}
    same = found.products.aligned(np.array(places), [len(distinct)])
    assert_array_equal(same.factors[0].counts, expected.products.factors[0].counts)


def test_empty_chunks_are_skipped():
    X, y, _ = rows(7)
    model = MixedLinearRegressor("g", fixed="x")
    empty = (X[:0], y[:0])
    halves = [empty, (X[:50], y[:50]), empty, (X[50:], y[50:]), empty]
    assert_same_statistics(clone(model).fit(X, y), clone(model).fit_chunks(halves))
    arrow = pa.table(X[:0])
    assert_same_statistics(clone(model).fit(X, y), clone(model).fit_chunks([(arrow, []), (X, y)]))


def broken(number, change, n_chunks=40):
    """Chunks of which one is changed."""
    X, y, _ = rows(8, 20 * n_chunks)
    for k in range(n_chunks):
        part = slice(20 * k, 20 * k + 20)
        chunk = (X[part].reset_index(drop=True), y[part].copy())
        yield change(*chunk) if k == number else chunk


def with_nan(X, y):
    return X.assign(x=np.r_[X["x"][:5], np.nan, X["x"][6:]]), y


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            with_nan,
            ValueError,
            r"In chunk 37 \(counted from 0\): Column 'x' contains NaN \(1 such values, first at "
            r"row 5\)",
        ),
        (lambda X, y: (X, y[:-1]), ValueError, "In chunk 37 .*: X and y have inconsistent"),
        (
            lambda X, y: (X.drop(columns="x").assign(w=1), y),
            ValueError,
            "In chunk 37 .*: X has other columns than the rows before: it lacks 'x' and has 'w' "
            "besides",
        ),
        (
            lambda X, y: (pd.concat([X, X[["x"]]], axis=1), y),
            ValueError,
            "it has some of them more than once",
        ),
        (
            lambda X, y: (X.to_numpy(), y),
            ValueError,
            "In chunk 37 .*: X has no column names, but the rows before had",
        ),
        (
            lambda X, y: (X.assign(g=X["g"].astype(str)), y),
            ValueError,
            r"In chunk 37 .*: The labels of grouping column 'g' are text \(such as 0\), but in the "
            r"rows before they were numbers \(such as 0\)",
        ),
        (
            lambda X, y: (X.assign(g=pd.Timestamp("2020-01-01")), y),
            ValueError,
            "column 'g' are dates",
        ),
        (
            lambda X, y: (X.assign(g=[None, *X["g"][1:]]), y),
            ValueError,
            r"In chunk 37 .*: Grouping factor 'g' has 1 missing value \(first at row 0\)",
        ),
        (lambda X, y: X, TypeError, "In chunk 37 .*: the chunk is of type DataFrame"),
        (lambda X, y: (X,), ValueError, "In chunk 37 .*: the chunk has 1 parts"),
        (
            lambda X, y: (X, y, -np.ones(20)),
            ValueError,
            "In chunk 37 .*: sample_weight is negative",
        ),
    ],
)
def test_a_bad_chunk_is_named_and_changes_nothing(change, error, message):
    model = MixedLinearRegressor("g", fixed=["x", "z"])
    with pytest.raises(error, match=message):
        model.fit_chunks(broken(37, change))
    assert set(vars(model)) == set(model.get_params())
    model.fit(*rows(0)[:2])
    state = dict(vars(model))
    with pytest.raises(error, match=message):
        model.fit_chunks(broken(37, change))
    assert vars(model) == state
    assert all(vars(model)[name] is value for name, value in state.items())


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, UnicodeDecodeError])
def test_a_failing_source_says_where_and_changes_nothing(error):
    arguments = ("utf-8", b"", 0, 1, "bad") if error is UnicodeDecodeError else ("disk",)

    def source():
        yield from broken(None, None, 3)
        raise error(*arguments)

    model = MixedLinearRegressor("g", fixed=["x", "z"])
    with pytest.raises(error) as caught:
        model.fit_chunks(source())
    assert caught.value.__notes__ == ["This happened while chunk 3 was read, counted from 0."]
    with pytest.raises(NotFittedError):
        model.summary()


def test_other_errors_in_a_chunk_keep_their_type():
    class Broken:
        shape = (3, 2)
        column_names = ("x", "g")

        def __getitem__(self, name):
            raise KeyError(name)

    with pytest.raises(KeyError) as caught:
        MixedLinearRegressor("g").fit_chunks([(Broken(), [1.0, 2.0, 3.0])])
    assert caught.value.__notes__ == ["This happened in chunk 0 (counted from 0)."]


def test_other_numbers_of_unnamed_columns():
    X, y, _ = rows(9, 40)
    A = X[["x", "z", "g"]].to_numpy()
    with pytest.raises(
        ValueError, match=r"In chunk 1 .*: X has 2 columns, but the rows before had"
    ):
        MixedLinearRegressor(0).fit_chunks([(A, y), (A[:, :2], y)])
    with pytest.raises(ValueError, match="X has column names, but the rows before had none"):
        MixedLinearRegressor(0).fit_chunks([(A, y), (X[["x", "z", "g"]], y)])


def test_no_chunks_and_no_source():
    X, y, _ = rows(0)
    model = MixedLinearRegressor("g")
    for nothing in ([], iter(()), [(X[:0], y[:0])], [(X, y, np.zeros(len(y)))]):
        with pytest.raises(ValueError, match="There are no rows of positive weight"):
            model.fit_chunks(nothing)
    for source in (X, 3, None):
        with pytest.raises(TypeError, match=r"chunks is of type .*Give an iterable of"):
            model.fit_chunks(source)


def test_the_whole_is_checked_like_fit():
    X, y, _ = rows(10)
    model = MixedLinearRegressor("g", fixed="x")
    with pytest.raises(ValueError, match="has a single level in"):
        model.fit_chunks([(X.assign(g=1), y)] * 2)
    unique = [(X.assign(g=np.arange(len(X)) + k * len(X)), y) for k in range(2)]
    with pytest.raises(UndeterminedError, match="cannot be told apart from the residual"):
        model.fit_chunks(unique)
    twice = X[["x", "g"]].assign(same=-X["g"])
    halves = [(twice[:50], y[:50]), (twice[50:], y[50:])]
    with pytest.raises(UndeterminedError, match="'g' and 'same' group the samples in the same way"):
        MixedLinearRegressor(["g", "same"]).fit_chunks(halves)
    with pytest.raises(ValueError, match="method='REML' is not known"):
        MixedLinearRegressor("g", method="REML").fit_chunks([(X, y)])


def test_progress(capsys, monkeypatch):
    X, y, _ = rows(11)
    model = MixedLinearRegressor(["g", "h"], fixed="x", verbose=1)
    model.fit_chunks([(X[:50], y[:50]), (X[50:], y[50:])])
    shown = capsys.readouterr()
    assert "groups=9 × 8" in shown.err
    assert "rows" in shown.err
    assert "[skmixed] step 1" in shown.out
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"tqdm, which is not installed. .*pip install tqdm"):
        model.fit_chunks([(X, y)])


# partial_fit


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.IdentifiabilityWarning")
def test_partial_fit_is_fit_on_all_rows(kind, weighted, small_blocks):
    X, y, weights = rows(20, 240)
    weights = weights if weighted else np.ones(240)
    model = MixedLinearRegressor(MODELS[kind], fixed=["x", "z"])
    whole = clone(model).fit(X, y, weights)
    starts = [
        model,
        clone(model).fit(X[:60], y[:60], weights[:60]),
        clone(model).fit_chunks([(X[:60], y[:60], weights[:60])]),
    ]
    for k, other in enumerate(starts):
        for start in range(60 * (k > 0), 240, 60):
            part = slice(start, start + 60)
            assert other.partial_fit(X[part], y[part], weights[part]) is other
        assert_same_statistics(whole, other)
        # Two searches from different starts: each stops where the criterion's last
        # digits, some 1e-12 of it, do not tell more.
        assert other.criterion_ == pytest.approx(whole.criterion_, abs=1e-9)
        assert_allclose(other.predict(X), whole.predict(X), atol=1e-5 * np.std(y))


def test_partial_fit_starts_where_it_was():
    X, y, _ = rows(30, 3000)
    model = MixedLinearRegressor(["g", ("g", "h")], random_slopes=None, fixed=["x", "z"])
    cold = clone(model).fit(X, y).n_iter_
    model.fit(X[:2990], y[:2990]).partial_fit(X[2990:], y[2990:])
    assert model.n_iter_ < cold


def test_partial_fit_does_not_touch_a_copy():
    X, y, _ = rows(21)
    model = MixedLinearRegressor(["g", "h"], fixed="x").fit(X, y)
    stats, sums = model._model.stats, model._model.stats.factors[0].sums.copy()
    model.partial_fit(X, y)
    assert_array_equal(stats.factors[0].sums, sums)
    assert model._model.stats.n_rows == 2 * len(y)


def test_partial_fit_waits_for_rows_that_determine_the_variances():
    X, y, _ = rows(22, 40)
    X["g"] = np.tile(np.arange(10), 4)
    model = MixedLinearRegressor("g", fixed="x")
    with pytest.warns(IdentifiabilityWarning) as caught:
        model.partial_fit(X[:10], y[:10])
    assert len(caught) == 1
    assert "The rows so far do not determine the variances" in str(caught[0].message)
    assert "10 levels for 10 samples" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert not model.converged_
    assert model.theta_ == 0
    ols = MixedLinearRegressor(fixed="x").fit(X[:10], y[:10])
    assert_allclose(model.predict(X), ols.predict(X), rtol=1e-12)
    assert "do not determine" in model.status_
    assert "Subject" not in str(model.summary())
    model.partial_fit(X[10:], y[10:])
    assert_same_fit(clone(model).fit(X, y), model)
    assert model.converged_


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.NotEstimableWarning")
@pytest.mark.parametrize("n", [1, 2, 3])
def test_partial_fit_from_the_first_row_on(n):
    X, y, _ = rows(23, 120)
    model = MixedLinearRegressor(["g", "h"], fixed=["x", "z"])
    with pytest.warns(IdentifiabilityWarning, match="do not determine the variances"):
        model.partial_fit(X[:n], y[:n])
    assert np.isfinite(model.predict(X)).all()
    model.partial_fit(X[n:], y[n:])
    assert_same_fit(clone(model).fit(X, y), model)


def test_partial_fit_leaves_a_boundary():
    X, y, _ = rows(24, 400)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=400)
    model = MixedLinearRegressor("g", fixed="x")
    with pytest.warns(SingularFitWarning):
        model.partial_fit(
            X[:100], noise[:100] - pd.Series(noise[:100]).groupby(X["g"]).transform("mean")[:100]
        )
    assert model.theta_ == 0
    model.partial_fit(X[100:], y[100:])
    assert model.theta_ > 0.1


def test_partial_fit_after_other_parameters():
    X, y, _ = rows(25)
    model = MixedLinearRegressor("g", random_slopes="x", fixed="x").fit(X[:80], y[:80])
    model.set_params(method="ml", covariance="diag", fit_intercept=True, tol=1e-13)
    model.partial_fit(X[80:], y[80:])
    assert_same_fit(clone(model).fit(X, y), model, 1e-6)
    state = dict(vars(model))
    for change in ({"groups": "h"}, {"random_slopes": "z"}, {"fixed": ["x", "z"]}):
        other = clone(model).fit(X, y).set_params(**change)
        with pytest.raises(ValueError, match="The statistics are of numeric columns 'x' and"):
            other.partial_fit(X, y)
    assert vars(model) == state


def test_partial_fit_refuses_other_columns_as_scikit_learn_does():
    X, y, _ = rows(26)
    model = MixedLinearRegressor("g", fixed="x").partial_fit(X, y)
    state = dict(vars(model))
    with pytest.raises(ValueError, match="The feature names should match"):
        model.partial_fit(X.iloc[:, ::-1], y)
    with pytest.raises(ValueError, match="The feature names should match"):
        model.partial_fit(X.assign(new=1), y)
    with pytest.raises(ValueError, match="Column 'x' contains NaN"):
        model.partial_fit(*with_nan(X, y))
    with pytest.raises(ValueError, match="all are 0"):
        model.partial_fit(X, y, np.zeros(len(y)))
    with pytest.raises(ValueError, match="are text"):
        model.partial_fit(X.assign(g="a"), y)
    assert vars(model) == state


def test_partial_fit_with_metadata():
    X, y, _ = rows(27)
    plain, labels = X[["x", "z"]], X["g"]
    model = MixedLinearRegressor().partial_fit(plain[:60], y[:60], groups=labels[:60])
    model.partial_fit(plain[60:], y[60:], groups=labels[60:])
    whole = MixedLinearRegressor().fit(plain, y, groups=labels)
    assert_same_statistics(whole, model)
    with pytest.raises(ValueError, match="grouping factors none"):
        model.partial_fit(plain, y)


def test_partial_fit_asks_for_no_groups_where_they_are_named():
    assert MixedLinearRegressor("g").get_metadata_routing().partial_fit.requests["groups"] is False
    assert MixedLinearRegressor().get_metadata_routing().partial_fit.requests["groups"] is None


def test_partial_fit_reaches_an_exact_fit():
    X, y, _ = rows(28)
    model = MixedLinearRegressor("g", fixed="x").fit(X, y)
    exact = MixedLinearRegressor("g", fixed="x")
    with pytest.warns(ExactFitWarning):
        exact.partial_fit(X, 2 * X["x"])
    exact.partial_fit(X, y)
    assert exact._model.stats.n_rows == 2 * model._model.stats.n_rows


def test_crossed_factors_of_lme4_in_chunks():
    X, y = load_penicillin(return_X_y=True)
    model = MixedLinearRegressor(["plate", "sample"])
    model.fit_chunks((X[i : i + 7], y[i : i + 7]) for i in range(0, len(y), 7))
    # lme4's REML criterion, printed with six digits after the point.
    assert model.criterion_ == pytest.approx(330.860589, abs=1e-5)
