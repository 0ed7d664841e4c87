"""Sparse X: the same numbers as from the dense one, which is never made."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from skmixed import MixedLinearRegressor
from skmixed._data.table import SparseColumn, by_columns, numeric_column, open_table, sparse_column

FORMATS = ["csr_array", "csc_array", "coo_array", "lil_array", "csr_matrix", "csc_matrix"]


def scattered(rng, n_rows, n_columns, density):
    size = int(density * n_rows * n_columns)
    at = rng.integers(0, n_rows, size), rng.integers(0, n_columns, size)
    return sp.csr_array(sp.coo_array((rng.uniform(size=size), at), (n_rows, n_columns)))


def simulated(n_rows=600, n_columns=12):
    """Indicators and numbers, most of them 0, and groups from 3 on in the last column."""
    rng = np.random.default_rng(0)
    X = scattered(rng, n_rows, n_columns, 0.2)
    groups = rng.integers(3, 40, n_rows)
    y = X @ rng.normal(size=n_columns) + rng.normal(size=40)[groups] + rng.normal(size=n_rows)
    y += 4.0 * rng.normal(size=40)[groups] * X[:, [2]].toarray()[:, 0]
    return sp.hstack([X, sp.csr_array(groups[:, None].astype(float))], format="csr"), y


SPARSE, Y = simulated()
DENSE = SPARSE.toarray()
N = len(Y)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("weights", [None, np.arange(N) % 3.0], ids=["equal", "some 0"])
def test_the_same_bits_as_from_the_dense_array(kind, weights):
    X = getattr(sp, kind)(SPARSE)
    model = MixedLinearRegressor(-1, random_slopes=[2], fixed=range(10))
    dense = MixedLinearRegressor(-1, random_slopes=[2], fixed=range(10)).fit(DENSE, Y, weights)
    model.fit(X, Y, weights)
    assert model.criterion_ == dense.criterion_
    assert_array_equal(model.coef_, dense.coef_)
    assert_array_equal(model.predict(X), dense.predict(DENSE))
    assert model.score(X, Y) == dense.score(DENSE, Y)


def test_labels_beside_it():
    X, groups = SPARSE[:, :-1], DENSE[:, -1].astype(int).astype(str)
    model = MixedLinearRegressor().fit(X, Y, groups=groups)
    dense = MixedLinearRegressor().fit(DENSE[:, :-1], Y, groups=groups)
    assert_array_equal(model.predict(X, groups=groups), dense.predict(DENSE[:, :-1], groups=groups))


def test_a_group_that_is_not_stored():
    """Label 0 of a sparse grouping column is a label as any other."""
    X = sp.csr_array(np.where(DENSE == 3.0, 0.0, DENSE))
    model = MixedLinearRegressor(-1).fit(X, Y)
    assert 0 in model.random_effects_["x12"].index
    assert model.criterion_ == MixedLinearRegressor(-1).fit(X.toarray(), Y).criterion_


def test_a_frame_of_sparse_columns():
    frame = pd.DataFrame.sparse.from_spmatrix(SPARSE[:, :-1]).add_prefix("x")
    frame["g"] = DENSE[:, -1].astype(int)
    model = MixedLinearRegressor("g", random_slopes="x2").fit(frame, Y)
    dense = MixedLinearRegressor(-1, random_slopes=2).fit(DENSE, Y)
    assert model.criterion_ == dense.criterion_
    assert_array_equal(model.predict(frame), dense.predict(DENSE))


@pytest.mark.parametrize("method", ["fit", "predict"])
def test_values_that_are_missing(method):
    X = sp.lil_array(SPARSE)
    X[5, 1] = np.nan
    model = MixedLinearRegressor(-1).fit(SPARSE, Y)
    arguments = (X, Y) if method == "fit" else (X,)
    message = r"Column 'x1' contains NaN \(1 such values, first at row 5\)"
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(*arguments)


def test_entries_in_any_order_and_more_than_once():
    rows, columns = np.array([2, 0, 2, 1]), np.array([0, 1, 0, 1])
    matrix = sp.csr_array(sp.coo_array((np.array([1.0, 2.0, 3.0, 4.0]), (rows, columns)), (3, 2)))
    loose = sp.csc_array((np.array([1.0, 3.0, 4.0, 2.0]), [2, 2, 1, 0], [0, 2, 4]), shape=(3, 2))
    before = loose.copy()
    for j in range(2):
        found = np.asarray(sparse_column(by_columns(loose), j))
        assert_array_equal(found, matrix.toarray()[:, j])
    assert_array_equal(loose.indices, before.indices)
    assert_array_equal(loose.data, before.data)


def test_a_column_is_its_array_under_slices_masks_and_numbers():
    column = numeric_column(open_table(SPARSE).get(4), "x4")
    assert isinstance(column, SparseColumn)
    expected, mask = DENSE[:, 4], np.arange(N) % 7 < 3
    assert len(column) == N
    numbers = np.random.default_rng(0).permutation(N)[: N // 3]
    for rows in (slice(None), slice(13, 200), slice(500, 10_000), slice(0, 0), mask, numbers):
        assert_array_equal(np.asarray(column[rows]), expected[rows])
    assert_array_equal(np.asarray(column[100:300][50:60]), expected[150:160])
    assert_array_equal(np.asarray(column[100:300][mask[100:300]]), expected[100:300][mask[100:300]])
    some = numbers[numbers < 200]
    assert_array_equal(np.asarray(column[100:300][some]), expected[100:300][some])
    assert_array_equal(np.asarray(column[mask][5:50]), expected[mask][5:50])
    with pytest.raises(ValueError, match="only by a copy"):
        np.asarray(column, copy=False) if np.__version__ >= "2" else column.__array__(copy=False)


@pytest.mark.parametrize("step", ["fit", "predict"])
def test_it_is_not_made_dense(step):
    """The pass has one block of rows in memory, a prediction some vectors."""
    n_rows, n_columns = 400_000, 40
    rng = np.random.default_rng(0)
    X = scattered(rng, n_rows, n_columns, 0.01)
    groups = rng.integers(0, 100, n_rows)
    y = rng.normal(size=100)[groups] + rng.normal(size=n_rows)
    model = MixedLinearRegressor().fit(X, y, groups=groups)
    tracemalloc.start()
    try:
        model.fit(X, y, groups=groups) if step == "fit" else model.predict(X, groups=groups)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (0.7 if step == "fit" else 0.3) * 8 * n_rows * n_columns
