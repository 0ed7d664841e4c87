from datetime import date
from decimal import Decimal
from fractions import Fraction

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skmixed import MixedEffectEncoder, MixedLinearRegressor
from skmixed._data.labels import learn_levels
from skmixed._data.table import numeric_column, open_table

FRAME = pd.DataFrame({"x": [1.5, 2.0, -3.0], "g": ["a", "b", "a"], "n": [3, 1, 2]})

NAMED = {
    "pandas": FRAME,
    "pandas, other index": FRAME.set_axis([7, 7, 9]),
    "pandas, nullable": FRAME.convert_dtypes(),
    "pandas, pyarrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.DataFrame(FRAME.to_dict("list")),
    "pyarrow": pa.table(FRAME.to_dict("list")),
}
NAMELESS = {
    "pandas with integer names": FRAME.set_axis([2, 0, 1], axis=1),
    "pandas with mixed names": FRAME.set_axis(["x", 0, 1], axis=1),
    "object array": FRAME.to_numpy(dtype=object),
    "list of arrays": [np.array(row, dtype=object) for row in FRAME.to_numpy(dtype=object)],
}
ALL = {**NAMED, **NAMELESS}


def values(column):
    return np.asarray(column, dtype=object).tolist()


@pytest.mark.parametrize("source", ALL)
def test_columns_by_position(source):
    table = open_table(ALL[source])
    assert (table.n_rows, table.n_columns) == (3, 3)
    assert [values(table.get(j)) for j in range(3)] == [values(FRAME[c]) for c in FRAME]


@pytest.mark.parametrize("source", ALL)
def test_names(source):
    table = open_table(ALL[source])
    assert table.names == (tuple(FRAME.columns) if source in NAMED else None)
    expected = list(FRAME.columns) if source in NAMED else ["x0", "x1", "x2"]
    assert [table.label(j) for j in range(3)] == expected


@pytest.mark.parametrize("source", ALL)
def test_rows(source):
    table = open_table(ALL[source]).rows(np.array([True, False, True]))
    assert table.n_rows == 2
    assert values(table.get(1)) == ["a", "a"]
    assert_array_equal(numeric_column(table.get(2), "n"), [3.0, 2.0])


@pytest.mark.parametrize("source", ALL)
def test_numeric_columns(source):
    table = open_table(ALL[source])
    for j, name in ((0, "x"), (2, "n")):
        found = numeric_column(table.get(j), name)
        assert found.dtype == np.float64
        assert_array_equal(found, FRAME[name])
    with pytest.raises(ValueError, match=r"Column 'g' .* is not numeric"):
        numeric_column(table.get(1), "g")


def test_duplicated_names_keep_their_columns():
    table = open_table(pd.concat([FRAME, 2 * FRAME[["x"]]], axis=1))
    assert table.names == ("x", "g", "n", "x")
    assert values(table.get(3)) == [3.0, 4.0, -6.0]


def test_an_array_of_floats_is_not_copied():
    X = np.arange(6.0).reshape(3, 2)
    column = open_table(X).get(1)
    assert np.shares_memory(numeric_column(column, "x1"), X)


@pytest.mark.parametrize("empty", [FRAME.iloc[:0], pl.DataFrame(FRAME.iloc[:0].to_dict("list"))])
def test_no_rows(empty):
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        open_table(empty)


@pytest.mark.parametrize("empty", [FRAME[[]], np.empty((3, 0))])
def test_no_columns(empty):
    with pytest.raises(ValueError, match=r"Found array with 0 feature\(s\)"):
        open_table(empty)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 0, 2], dtype="Int64"),
        pd.Series([1, 0, 2], dtype="Float32"),
        pd.Series([1, 0, 2], dtype="int64[pyarrow]"),
        pd.Series([1, 0, 2], dtype="uint8"),
        np.array([1, 0, 2], dtype=np.float32),
        np.array([1, 0, 2], dtype=object),
        np.array([1, False, np.float32(2)], dtype=object),
        np.array([Decimal(1), 0, Fraction(4, 2)], dtype=object),
    ],
)
def test_kinds_of_numbers(column):
    found = numeric_column(column, "x")
    assert found.dtype == np.float64
    assert_array_equal(found, [1.0, 0.0, 2.0])


@pytest.mark.parametrize(
    "column",
    [
        np.array([True, False]),
        pd.Series([True, False]),
        pd.Series([True, False], dtype="boolean"),
        np.array([True, False], dtype=object),
    ],
)
def test_booleans_are_0_and_1(column):
    assert_array_equal(numeric_column(column, "x"), [1.0, 0.0])


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, np.nan, np.nan]),
        pd.Series([1, None, None], dtype="Int64"),
        pd.Series([1, None, None], dtype="double[pyarrow]"),
        pd.Series([True, None, None], dtype="boolean"),
        np.array([1, None, pd.NA], dtype=object),
    ],
)
def test_missing_numbers(column):
    message = r"Column 'x' contains NaN \(2 such values, first at row 1\)\. Impute or drop"
    with pytest.raises(ValueError, match=message):
        numeric_column(column, "x")


def test_infinite_numbers():
    message = r"Column 'x' contains infinity \(1 such values, first at row 2\)"
    with pytest.raises(ValueError, match=message):
        numeric_column(np.array([1.0, 0.0, -np.inf]), "x")


def test_finite_numbers_with_an_infinite_sum():
    column = np.array([1e308, 1e308])
    assert numeric_column(column, "x") is column


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        pytest.param(
            pd.Series(["m", "f"], dtype="str"),
            "str",
            marks=pytest.mark.skipif(
                pd.Series(["m"], dtype="str").dtype == object, reason="pandas 2: text is objects"
            ),
        ),
        (pd.Series(["m", "f"], dtype="string[pyarrow]"), "string"),
        (np.array(["m", "f"]), "<U1"),
        (pd.Series(pd.Categorical([1, 2])), "category"),
    ],
)
def test_columns_that_are_no_numbers(column, dtype):
    message = rf"Column 'sex' \(dtype {dtype}.*\) is not numeric\. Encode it first.* in `groups`"
    with pytest.raises(ValueError, match=message):
        numeric_column(column, "sex")


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (pd.Series(pd.to_datetime(["2020-01-01"])), "datetime64"),
        (pd.Series(pd.to_timedelta([1], unit="D")), "timedelta64"),
    ],
)
def test_times_are_no_numbers(column, dtype):
    message = rf"Column 'day' \(dtype {dtype}.*\) is not numeric\. Turn it into numbers.* days"
    with pytest.raises(ValueError, match=message):
        numeric_column(column, "day")


@pytest.mark.parametrize("text", ["m", b"m", "1.5"])
def test_objects_that_are_no_numbers(text):
    column = np.array([1.0, text, None], dtype=object)
    message = rf"Column 'sex' \(dtype object\) is not numeric: it holds {text!r}\. Encode it first"
    with pytest.raises(ValueError, match=message):
        numeric_column(column, "sex")


@pytest.mark.parametrize("value", [date(2020, 1, 2), pd.Timestamp("2020-01-02"), [1.0], {}])
def test_objects_of_other_kinds(value):
    column = np.array([1.0, None, value], dtype=object)
    message = (
        r"Column 'day' \(dtype object\) is not numeric: it holds .*must be a string or a number"
    )
    with pytest.raises(TypeError, match=message):
        numeric_column(column, "day")


@pytest.mark.parametrize("rows", [list, tuple])
def test_rows_of_numbers_and_text_stay_what_they_are(rows):
    table = open_table([rows(row) for row in ([1.5, "007"], [2, "8"])])
    assert values(table.get(0)) == [1.5, 2]
    assert values(table.get(1)) == ["007", "8"]
    assert_array_equal(numeric_column(table.get(0), "x0"), [1.5, 2.0])


def test_text_where_no_column_is_meant():
    with pytest.raises(ValueError, match=r"The response 'y' \(.*\) is not numeric\. Give numbers"):
        numeric_column(np.array(["a"]), "y", what="The response")


def test_complex_numbers():
    with pytest.raises(ValueError, match="Complex data not supported: column 'x' is complex"):
        numeric_column(np.array([1j]), "x")


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_large_integers_stay_apart_beside_nulls(kind):
    labels = [9007199254740992, 9007199254740993, None]
    X = pl.DataFrame({"g": labels}) if kind == "polars" else pa.table({"g": labels})
    assert open_table(X).get(0).tolist() == labels


@pytest.mark.parametrize("labels", [["a", None, "b"], [1, None, 9007199254740993]], ids=str)
def test_nulls_of_a_dictionary_of_pyarrow(labels):
    X = pa.table({"g": pa.array(labels).dictionary_encode()})
    levels, codes = learn_levels(open_table(X).get(0))
    assert list(levels.labels) == [labels[0], labels[2]]
    assert list(codes) == [0, -1, 1]


def test_an_enum_of_polars_keeps_its_order():
    X = pl.DataFrame({"g": pl.Series(["b", "a"], dtype=pl.Enum(["b", "a", "unused"]))})
    assert list(learn_levels(open_table(X).get(0))[0].labels) == ["b", "a"]


# ---- lists, masks and frames of other libraries -----------------------------

LARGE = 2**53 + 1


@pytest.mark.parametrize("rows", [[["b", LARGE], [1.0, 2]], [[1.0, LARGE], ["b", 2]]])
def test_values_of_lists_do_not_depend_on_each_other(rows):
    for X in (rows, tuple(map(tuple, rows))):
        table = open_table(X)
        assert [type(v) for v in values(table.get(0))] == [type(row[0]) for row in rows]
        assert values(table.get(1)) == [LARGE, 2]


def test_rows_of_floats_and_large_integers():
    X = [[i / 2 + 0.1, 2**53 + i // 3] for i in range(12)]
    assert len(learn_levels(open_table(X).get(1))[0]) == 4


MASK = np.array([False, True, False, True])
MASKED = np.ma.array([1.0, -9999.0, 2.0, 3.0], mask=MASK)


@pytest.mark.parametrize(
    "masked",
    [MASKED[:, None], np.ma.array(np.ones((4, 2)), mask=np.c_[MASK, MASK]), [*MASKED[:, None]]],
)
def test_masked_values_of_x(masked):
    with pytest.raises(ValueError, match=r"X has \d masked values \(first at row 1\)\. Drop those"):
        open_table(masked)
    assert open_table(np.ma.array(np.ones((4, 2)))).n_rows == 4


def test_masked_values_beside_x():
    X = np.arange(4.0)[:, None]
    model = MixedLinearRegressor()
    for arguments in ({"y": MASKED}, {"y": X[:, 0], "sample_weight": MASKED}, {"groups": MASKED}):
        (name, _), *_ = [item for item in arguments.items() if item[1] is MASKED]
        with pytest.raises(ValueError, match=f"{name} has 2 masked values"):
            model.fit(X, **{"y": X[:, 0], **arguments})
    model.fit(X, X[:, 0] + [0, 1, 0, 0])
    for arguments in ({"y": MASKED}, {"y": X[:, 0], "sample_weight": MASKED}):
        with pytest.raises(ValueError, match="has 2 masked values"):
            model.score(X, **arguments)
    for X_own, y in ((MASKED[:, None], X[:, 0]), (X, MASKED)):
        with pytest.raises(ValueError, match="has 2 masked values"):
            MixedEffectEncoder().fit(X_own, y)
    with pytest.raises(ValueError, match="has 2 masked values"):
        MixedEffectEncoder([MASKED]).fit(X, X[:, 0])


def batch(frame):
    return pa.RecordBatch.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("make", [batch, pa.Table.from_pandas, pl.from_pandas, pd.DataFrame])
def test_columns_are_those_of_the_fit_by_name(make):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=60), "z": rng.normal(size=60), "g": np.arange(60) % 6}
    )
    y = frame["x"] + frame["g"] + rng.normal(size=60)
    model = MixedLinearRegressor("g").fit(make(frame), y)
    assert list(model.feature_names_in_) == ["x", "z", "g"]
    other = make(frame[["z", "x", "g"]])
    calls = (model.predict, model.predict_interval, model.sample_y)
    for call in (*calls, lambda X: model.update_groups(X, y), lambda X: model.score(X, y)):
        with pytest.raises(ValueError, match="The feature names should match those that were"):
            call(other)
    np.testing.assert_array_equal(model.predict(make(frame)), model.predict(frame))


@pytest.mark.parametrize("make", [pd.DataFrame, batch])
@pytest.mark.parametrize("name", ["x", "g"])
def test_names_of_several_columns(make, name):
    frame = pd.DataFrame({"x": np.arange(9.0), "g": list("abc") * 3})
    twice = pd.concat([frame, frame[[name]]], axis=1)
    if make is batch:
        columns = [pa.array(frame[n]) for n in twice]
        twice = pa.RecordBatch.from_arrays(columns, list(twice))
    y = np.arange(9.0) % 4
    for fit in (
        MixedLinearRegressor("g").fit,
        MixedLinearRegressor("g").statistics,
        lambda X, y: MixedLinearRegressor("g").fit_chunks([(X, y)]),
        MixedEffectEncoder().fit,
    ):
        with pytest.raises(ValueError, match=f"'{name}' is the name of 2 columns of X"):
            fit(twice, y)


def test_times_keep_their_zone():
    times = pd.Series(pd.Timestamp("2020-01-01", tz="Asia/Tokyo") + pd.to_timedelta([0, 1], "D"))
    frame = pd.DataFrame({"t": times})
    for X in (pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        assert list(open_table(X).get(0)) == list(times)


def test_columns_of_records():
    with pytest.raises(TypeError, match=r"Column 'g' is of type Struct.*Take its fields apart"):
        open_table(pl.DataFrame({"g": [{"a": 1}, {"a": 2}]})).get(0)


def test_integers_of_polars_are_no_python_objects():
    assert open_table(pl.DataFrame({"n": [3, 1]})).get(0).dtype == np.int64
    assert values(open_table(pl.DataFrame({"n": [LARGE, None]})).get(0)) == [LARGE, None]


class Relation:
    """A table of another library, such as a query."""

    columns = ("x", "g")


def test_frames_that_are_not_in_memory():
    with pytest.raises(TypeError, match=r"X is a polars.*LazyFrame, .* Call \.collect\(\) first"):
        open_table(pl.from_pandas(FRAME).lazy())
    with pytest.raises(TypeError, match=r"Call \.compute\(\) .* or fit by skmixed.distributed"):
        open_table(dd.from_pandas(FRAME, npartitions=1))
    with pytest.raises(TypeError, match=r"Relation, whose columns .* frame of pandas, polars"):
        open_table(Relation())


@pytest.mark.parametrize(
    "value",
    [10**400, 10**5000, Fraction(10**400), Decimal("sNaN"), np.array([1.0, 2.0])],
    ids=["integer", "long", "fraction", "signaling", "array"],
)
@pytest.mark.parametrize("others", [1.0, 1, Decimal(1)])
def test_objects_beyond_the_range_of_floats(value, others):
    column = np.empty(5, dtype=object)
    column[:] = others
    column[3] = value
    with pytest.raises(ValueError, match=r"Column 'x' holds .* at row 3, which is no number") as e:
        numeric_column(column, "x")
    assert len(str(e.value)) < 200
