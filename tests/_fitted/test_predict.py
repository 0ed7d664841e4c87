"""Predictions: a row's is the same to the bit in any company and from any table."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from skmixed import MixedLinearRegressor
from skmixed._data.row_sums import NARROWEST, weighted_sum
from skmixed._data.table import open_table
from skmixed.diagnostics import residuals

N, P = 3_000, 7
RNG = np.random.default_rng(0)
NAMES = [f"x{j}" for j in range(P)]
VALUES = RNG.normal(size=(N, P)) * 10.0 ** RNG.integers(-3, 4, P)
GROUPS = RNG.integers(0, 50, N)
Y = VALUES @ (RNG.normal(size=P) / VALUES.std(axis=0)) + RNG.normal(size=50)[GROUPS]
Y = Y + RNG.normal(size=50)[GROUPS] * VALUES[:, 1] / VALUES[:, 1].std() + RNG.normal(size=N)
ARRAY = np.column_stack([VALUES, GROUPS])
FRAME = pd.DataFrame(VALUES, columns=NAMES).assign(g=GROUPS)

TABLES = {
    "frame": FRAME,
    "frame of columns": pd.DataFrame({name: FRAME[name].to_numpy(copy=True) for name in FRAME}),
    "text": FRAME.assign(g=FRAME["g"].astype(str)),
    "category": FRAME.assign(g=FRAME["g"].astype("category")),
    "nullable": FRAME.convert_dtypes(),
    "array": ARRAY,
    "array by columns": np.asfortranarray(ARRAY),
    "objects": ARRAY.astype(object),
    "sparse": sp.csr_array(ARRAY),
}


@pytest.fixture(scope="module")
def fits():
    model = MixedLinearRegressor(-1, random_slopes=[1])
    return {name: _copy(model).fit(X, Y) for name, X in TABLES.items()}


def _copy(model):
    return MixedLinearRegressor(**model.get_params())


def take(X, rows):
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


@pytest.mark.parametrize("kind", TABLES)
def test_a_row_alone_and_in_any_company(fits, kind):
    X, model = TABLES[kind], fits[kind]
    together = model.predict(X)
    rng = np.random.default_rng(1)
    for size in (1, 2, 3, 7, 8, 9, 511, 512, 513, N):
        rows = rng.integers(0, N, size)
        assert_array_equal(model.predict(take(X, rows)), together[rows])


@pytest.mark.parametrize("kind", [kind for kind in TABLES if kind != "text"])
def test_every_table_predicts_the_same_bits(fits, kind):
    """Fitted to one array, whose columns have no names that would have to match."""
    X = TABLES[kind]
    if isinstance(X, pd.DataFrame):
        X = X.set_axis(range(P + 1), axis=1)
    assert_array_equal(fits["array"].predict(X), fits["array"].predict(ARRAY))


@pytest.mark.parametrize("bad", [None, np.nan, "new", -1])
def test_one_bad_label_in_many_changes_no_other_prediction(bad):
    """Whether it makes the column one of floats, of objects or none of these."""
    model = MixedLinearRegressor("g", random_slopes=["x1"]).fit(FRAME, Y)
    expected = model.predict(FRAME)
    labels = FRAME["g"].astype(object)
    labels.iloc[1234] = bad
    found = model.predict(FRAME.assign(g=labels))
    assert_array_equal(np.delete(found, 1234), np.delete(expected, 1234))
    assert found[1234] == model.predict(FRAME.iloc[[1234]], include="fixed")[0]
    if isinstance(bad, float):
        assert_array_equal(model.predict(FRAME.assign(g=labels.astype(float))), found)


@pytest.mark.parametrize("n_columns", [0, 1, 2, 30, 600])
@pytest.mark.parametrize("n_rows", [1, 2, NARROWEST - 1, NARROWEST, 40, 1_000])
def test_sums_add_the_columns_one_after_the_other(n_columns, n_rows):
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(n_rows, 1 + n_columns)), rng.normal(size=n_columns)
    expected = np.zeros(n_rows)
    for column, weight in zip(X.T, weights, strict=False):
        expected += weight * column
    positions, names = range(n_columns), [f"x{j}" for j in range(n_columns)]
    for table in (X, np.asfortranarray(X), X.astype(object), sp.csr_array(X), pd.DataFrame(X)):
        found = weighted_sum(open_table(table), positions, names, weights)
        assert found.dtype == np.float64
        assert_array_equal(found, expected)


def test_columns_that_are_not_side_by_side():
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(100, 6)), np.array([1.0, 2.0, 4.0])
    for table in (X, sp.csc_array(X), pd.DataFrame(X)):
        found = weighted_sum(open_table(table), (0, 2, 5), ("x0", "x2", "x5"), weights)
        assert_array_equal(found, X[:, 0] + 2.0 * X[:, 2] + 4.0 * X[:, 5])


class TestSinglePrecision:
    """float32 is taken as it is and accumulated in float64."""

    def test_fit_and_predict(self):
        single = FRAME.astype(dict.fromkeys(NAMES, np.float32))
        double = single.astype(dict.fromkeys(NAMES, np.float64))
        model = MixedLinearRegressor("g", random_slopes="x1")
        found, expected = _copy(model).fit(single, Y), _copy(model).fit(double, Y)
        assert found.criterion_ == expected.criterion_
        assert_array_equal(found.predict(single), expected.predict(double))
        assert found.predict(single).dtype == np.float64

    def test_arrays(self):
        single = ARRAY.astype(np.float32)
        model = MixedLinearRegressor(-1, random_slopes=1).fit(single, Y.astype(np.float32))
        double = single.astype(np.float64)
        expected = MixedLinearRegressor(-1, random_slopes=1)
        expected.fit(double, Y.astype(np.float32).astype(np.float64))
        assert model.criterion_ == expected.criterion_
        assert_array_equal(model.predict(single), expected.predict(double))

    def test_sums_keep_the_digits_of_double_precision(self):
        """1 + 1e-9 · row is lost in single precision."""
        X = np.ones((1_000, 2), dtype=np.float32)
        found = weighted_sum(open_table(X), (0, 1), ("x0", "x1"), np.array([1.0, 1e-9]))
        assert_allclose(found, 1.0 + 1e-9, rtol=1e-15)


@pytest.mark.parametrize("how", ["read-only", "mapped", "mapped frame"])
def test_arrays_that_cannot_be_written_to(how, tmp_path):
    X, y = ARRAY.copy(), Y.copy()
    if how != "read-only":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    X.flags.writeable = y.flags.writeable = False
    table = pd.DataFrame(X, copy=False) if how == "mapped frame" else X
    model = MixedLinearRegressor(-1, random_slopes=1).fit(table, y, np.full(N, 2.0))
    expected = MixedLinearRegressor(-1, random_slopes=1).fit(ARRAY, Y, np.full(N, 2.0))
    assert_array_equal(model.predict(table), expected.predict(ARRAY))


def test_read_only_sparse_parts():
    X = sp.csr_array(ARRAY)
    for part in (X.data, X.indices, X.indptr):
        part.flags.writeable = False
    model = MixedLinearRegressor(-1).fit(X, Y)
    assert_array_equal(model.predict(X), MixedLinearRegressor(-1).fit(ARRAY, Y).predict(ARRAY))


@pytest.mark.parametrize("include", ["all", "fixed"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["frame", "array", "sparse", "polars"])
def test_numbers_that_are_missing_or_infinite(kind, value, include):
    X = FRAME.copy()
    X.loc[17, "x3"] = value
    X = {
        "frame": X,
        "array": X.to_numpy(),
        "sparse": sp.csr_array(X.to_numpy()),
        "polars": pl.DataFrame(X.to_dict("list")),
    }[kind]
    model = MixedLinearRegressor(-1).fit(FRAME if kind in ("frame", "polars") else ARRAY, Y)
    word = "NaN" if np.isnan(value) else "infinity"
    with pytest.raises(ValueError, match=rf"'x3' contains {word} \(1 such values, first at row 17"):
        model.predict(X, include=include)


def test_a_prediction_that_overflows_is_one():
    X = FRAME.copy()
    X.loc[3, ["x0", "x1"]] = 1e308
    model = MixedLinearRegressor("g").fit(FRAME, Y * 1e3)
    assert not np.isfinite(model.predict(X)[3])
    assert np.isfinite(np.delete(model.predict(X), 3)).all()


def test_grouping_columns_without_effect_need_not_be_there(fits):
    model = MixedLinearRegressor(["g", ("g", "h")], fixed=["x0", "h"])
    frame = FRAME[["x0", "g"]].assign(h=RNG.integers(0, 3, N))[["g", "x0", "h"]]
    model.fit(frame, Y)
    fixed, own = model.predict(frame, include="fixed"), model.predict(frame, include=["g"])
    assert_array_equal(model.predict(frame[["x0", "h"]], include="fixed"), fixed)
    assert_array_equal(model.predict(frame[["x0", "h"]], include=[]), fixed)
    assert_array_equal(model.predict(pl.from_pandas(frame[["x0", "h"]]), include="fixed"), fixed)
    marginal = residuals(model, frame[["x0", "h"]], Y, kind="marginal")
    assert_array_equal(marginal, Y - fixed)
    assert_array_equal(model.predict(frame, include=["g"]), own)
    # What has an effect is needed, and what is there is in the order of fit.
    for X, include in (
        (frame[["x0", "h"]], "all"),
        (frame[["x0", "h"]], ["g"]),
        (frame[["g", "x0"]], "fixed"),
        (frame[["h", "x0"]], "fixed"),
        (frame[["x0", "h"]].assign(new=1.0), "fixed"),
    ):
        with pytest.raises(ValueError, match="The feature names should match"):
            model.predict(X, include=include)
    with pytest.raises(ValueError, match="X has 7 features, but MixedLinearRegressor is expect"):
        fits["array"].predict(ARRAY[:, :7], include="fixed")
