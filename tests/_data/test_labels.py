import datetime
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skmixed._data.labels import SMALL, ColumnLevels, learn_levels, shown_index
from skmixed.exceptions import UnknownLevelsWarning

# Both are one float: 2⁵³ is the first of its odd neighbors to be lost.
EVEN, ODD = 9007199254740992, 9007199254740993


def objects(*labels):
    out = np.empty(len(labels), dtype=object)
    out[:] = labels
    return pd.Series(out, dtype=object)


def days(*texts):
    return pd.to_datetime(pd.Series(texts))


COLUMNS = {
    # kind: column, levels in order, code of each row
    "object": (objects("b", "a", None, "b"), ["a", "b"], [1, 0, -1, 1]),
    "text": (pd.Series(["b", "a", None, "b"], dtype="str"), ["a", "b"], [1, 0, -1, 1]),
    "string[python]": (pd.Series(["b", None, "a"], dtype="string"), ["a", "b"], [1, -1, 0]),
    "string[pyarrow]": (
        pd.Series(["b", None, "a"], dtype="string[pyarrow]"),
        ["a", "b"],
        [1, -1, 0],
    ),
    "numpy text": (np.array(["b", "a"]), ["a", "b"], [1, 0]),
    "bytes": (np.array([b"b", b"a"]), [b"a", b"b"], [1, 0]),
    "int": (np.array([3, -1, 3]), [-1, 3], [1, 0, 1]),
    "int8": (np.array([3, -1, 3], dtype=np.int8), [-1, 3], [1, 0, 1]),
    "uint64": (np.array([3, 1], dtype=np.uint64), [1, 3], [1, 0]),
    "large uint64": (np.array([2**63 + 1, 1], dtype=np.uint64), [1, 2**63 + 1], [1, 0]),
    "larger than 64 bits": (objects(10**30, 1), [1, 10**30], [1, 0]),
    "Int64": (pd.Series([3, None, 1], dtype="Int64"), [1, 3], [1, -1, 0]),
    "int64[pyarrow]": (pd.Series([3, None, 1], dtype="int64[pyarrow]"), [1, 3], [1, -1, 0]),
    "whole floats": (pd.Series([3.0, np.nan, 1.0]), [1, 3], [1, -1, 0]),
    "floats": (pd.Series([3.0, np.nan, 1.5]), [1.5, 3.0], [1, -1, 0]),
    "float32": (np.array([3, 1.5], dtype=np.float32), [1.5, 3.0], [1, 0]),
    "bool": (np.array([True, False, True]), [False, True], [1, 0, 1]),
    "boolean": (pd.Series([True, None, False], dtype="boolean"), [False, True], [1, -1, 0]),
    "mixed": (objects("b", 1, "a", 1.0, None), ["b", 1, "a"], [0, 1, 2, 1, -1]),
    "tuples": (objects(("b", 1), ("a", 2), ("b", 1)), [("a", 2), ("b", 1)], [1, 0, 1]),
    "category": (
        pd.Series(pd.Categorical(["b", "a", None, "b"], categories=["z", "b", "a"])),
        ["b", "a"],
        [0, 1, -1, 0],
    ),
    "category of int": (
        pd.Series(pd.Categorical([1, 3, 1], categories=[3, 2, 1])),
        [3, 1],
        [1, 0, 1],
    ),
    "dates": (
        objects(datetime.date(2020, 1, 2), datetime.date(2020, 1, 1)),
        [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
        [1, 0],
    ),
    "datetime64": (
        days("2020-01-02", "2020-01-01", None),
        [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")],
        [1, 0, -1],
    ),
    "datetime64 with zone": (
        days("2020-01-02", "2020-01-01").dt.tz_localize("UTC"),
        [pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-02", tz="UTC")],
        [1, 0],
    ),
    "timedelta64": (
        pd.Series(pd.to_timedelta([2, 1], unit="h")),
        [pd.Timedelta(hours=1), pd.Timedelta(hours=2)],
        [1, 0],
    ),
    "period": (
        pd.Series(pd.period_range("2020-01", periods=2, freq="M")[::-1]),
        [pd.Period("2020-01", "M"), pd.Period("2020-02", "M")],
        [1, 0],
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_levels_and_codes(kind):
    column, levels, codes = COLUMNS[kind]
    learned, found = learn_levels(column)
    assert list(learned.index) == levels
    assert len(learned) == len(levels)
    assert_array_equal(found, codes)
    assert found.dtype == np.intp


@pytest.mark.parametrize("kind", COLUMNS)
def test_codes_of_the_same_column_and_of_its_parts(kind):
    column, _, codes = COLUMNS[kind]
    learned, _ = learn_levels(column)
    assert_array_equal(learned.codes(column, "g"), codes)
    for row in range(len(column)):
        assert_array_equal(learned.codes(column[row : row + 1], "g"), codes[row])


@pytest.mark.parametrize("kind", COLUMNS)
def test_pickling_keeps_the_labels_alone(kind):
    column, _, codes = COLUMNS[kind]
    learned, _ = learn_levels(column)
    assert_array_equal(learned.codes(column, "g"), codes)  # builds the index
    assert set(learned.__getstate__()) == {"labels"}
    copy = pickle.loads(pickle.dumps(learned))
    assert set(vars(copy)) == {"labels"}
    assert_array_equal(copy.codes(column, "g"), codes)


@pytest.mark.parametrize(
    "same",
    [
        np.array([308], dtype=np.int16),
        np.array([308], dtype=np.uint64),
        np.array([308.0]),
        np.array([308.0], dtype=np.float32),
        pd.Series([308], dtype="Int64"),
        pd.Series([308.0], dtype="Float64"),
        pd.Series([308], dtype="int64[pyarrow]"),
        pd.Series(pd.Categorical([308])),
        objects(308),
        objects(308.0),
        objects(np.int64(308)),
        objects(308, "other")[:1],
    ],
)
@pytest.mark.parametrize("learned_from", [np.array([309, 308]), np.array([309.0, 308.0])])
def test_equal_numbers_are_one_label(learned_from, same):
    learned, _ = learn_levels(learned_from)
    assert_array_equal(learned.codes(same, "g"), [0])


def test_equal_numbers_of_several_types_in_one_column():
    learned, codes = learn_levels(objects(308, 308.0, np.int64(308), np.float32(308), 309))
    assert_array_equal(learned.labels, [308, 309])
    assert_array_equal(codes, [0, 0, 0, 0, 1])


@pytest.mark.parametrize(
    "other",
    [objects("308"), pd.Series(["308"], dtype="str"), np.array(["308"]), objects(b"308")],
)
def test_text_is_not_a_number(other):
    learned, _ = learn_levels(np.array([308, 309]))
    with pytest.warns(UnknownLevelsWarning):
        assert_array_equal(learned.codes(other, "g"), [-1])


def test_numbers_and_text_in_one_column():
    learned, codes = learn_levels(objects("007", "7", 7, 7.0))
    assert list(learned.labels) == ["007", "7", 7]
    assert_array_equal(codes, [0, 1, 2, 2])
    assert_array_equal(learned.codes(np.array([7.0]), "g"), [2])
    assert_array_equal(learned.codes(np.array(["7", "007", "07"]), "g"), [1, 0, -1])


@pytest.mark.parametrize(
    "column",
    [
        np.array([ODD, EVEN]),
        objects(ODD, EVEN),
        objects(ODD, np.int64(EVEN)),
        objects(ODD, EVEN, "text")[:2],
        pd.Series([ODD, EVEN], dtype="Int64"),
        np.array([ODD, EVEN], dtype=np.uint64),
    ],
)
def test_large_integers_stay_apart(column):
    learned, codes = learn_levels(column)
    assert list(learned.labels) == [EVEN, ODD]
    assert_array_equal(codes, [1, 0])
    for same in (np.array([ODD]), objects(ODD), objects(ODD, "text")[:1]):
        assert_array_equal(learned.codes(same, "g"), [1])


@pytest.mark.parametrize(
    "floats",
    [
        np.array([1.0, float(ODD)]),
        np.array([-float(ODD)]),
        np.array([2.0**60], dtype=np.float32),
        objects(1.0, float(ODD)),
        objects("text", float(ODD)),
        pd.Series([1.0, float(ODD)], dtype="Float64"),
        pd.Series(pd.Categorical([1.0, float(ODD)])),
    ],
)
def test_floats_that_stand_for_several_integers(floats):
    message = r"'g' are floats of 2\*\*53 and more \(such as -?[\d.e+]+\) beside integers"
    own, _ = learn_levels(floats, "g")
    for column in (np.array([ODD, EVEN]), objects(ODD, "text")):
        learned, _ = learn_levels(column, "g")
        with pytest.raises(ValueError, match=message):
            learned.codes(floats, "g")
        with pytest.raises(ValueError, match=message):
            own.codes(column, "g")
    both = objects(*floats, ODD)
    with pytest.raises(ValueError, match=message):
        learn_levels(both, "g")
    # Beside integers that a float holds they are others, and among themselves what they are.
    small, _ = learn_levels(objects(1, 2, "text"), "g")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownLevelsWarning)
        assert small.codes(floats, "g")[-1] == -1
    assert_array_equal(np.sort(own.codes(floats, "g")), np.arange(len(floats)))


def test_floats_next_to_each_other():
    ids = 2**60 + np.arange(1_000)
    with pytest.raises(ValueError, match="as close to each other as floats can be: ids between"):
        learn_levels(ids.astype(float), "g")
    learned, _ = learn_levels(2.0**60 + 1e16 * np.arange(10), "g")
    assert len(learned) == 10


@pytest.mark.parametrize("column", [np.array([1.0, -np.inf]), objects("a", np.inf)])
def test_infinity_is_no_label(column):
    for take in (learn_levels, learn_levels(np.array([1, 2]))[0].codes):
        with pytest.raises(ValueError, match="Grouping column 'g' contains infinity"):
            take(column, "g")


@pytest.mark.parametrize("kind", [">i8", ">i4", ">u2", ">f8", ">f4"])
def test_byte_order_does_not_matter(kind):
    values = np.array([3, 1, 2, 1])
    expected, codes = learn_levels(values, "g")
    for column in (values.astype(kind), pd.Series(values.astype(kind))):
        learned, found = learn_levels(column, "g")
        assert_array_equal(learned.labels, expected.labels)
        assert_array_equal(found, codes)
        assert_array_equal(expected.codes(column, "g"), codes)


def test_labels_that_no_text_type_holds():
    learned, _ = learn_levels(objects("\ud800", "a"), "g")
    assert list(shown_index(learned.labels, "g")) == ["a", "\ud800"]


@pytest.mark.parametrize(
    ("column", "other"),
    [
        (days("2020-01-01", "2021-01-01"), pd.Series(["2020-01-01"])),
        (days("2020-01-01", "2021-01-01"), objects("2020")),
        (days("2020-01-01", "2021-01-01").dt.tz_localize("UTC"), days("2020-01-01")),
        (pd.Series(pd.period_range("2020-01", periods=2, freq="M")), objects("2020-01")),
        (pd.Series(pd.to_timedelta([1, 2], unit="D")), objects("1 days")),
    ],
)
def test_text_is_not_a_date(column, other):
    learned, _ = learn_levels(column)
    with pytest.warns(UnknownLevelsWarning):
        assert_array_equal(learned.codes(other, "g"), [-1])


@pytest.mark.parametrize(
    "same",
    [
        np.array(["2021-01-01"], dtype="datetime64[D]"),
        np.array(["2021-01-01"], dtype="datetime64[ns]"),
        objects(pd.Timestamp("2021-01-01")),
        objects(datetime.datetime(2021, 1, 1)),
        objects(pd.Timestamp("2021-01-01"), "text")[:1],
    ],
)
def test_dates_of_any_resolution_are_one_label(same):
    learned, _ = learn_levels(days("2020-01-01", "2021-01-01"))
    assert_array_equal(learned.codes(same, "g"), [1])


def test_a_row_s_level_does_not_depend_on_the_other_rows():
    learned, _ = learn_levels(np.array([1, 2]))
    column = objects(True, 2.0, "1", None, 1.5, np.int8(1), 10**20)
    together = learned.codes(column, "g")
    with pytest.warns(UnknownLevelsWarning):  # the row of text alone
        alone = [learned.codes(column[row : row + 1], "g")[0] for row in range(len(column))]
    assert_array_equal(together, alone)
    assert_array_equal(together, [0, 1, -1, -1, -1, 0, -1])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, np.datetime64("NaT")])
def test_missing_labels(missing):
    learned, codes = learn_levels(objects("b", missing, "a"))
    assert_array_equal(codes, [1, -1, 0])
    assert list(learned.labels) == ["a", "b"]
    assert_array_equal(learned.codes(objects(missing, "b"), "g"), [-1, 1])
    assert_array_equal(learned.codes(objects(missing), "g"), [-1])


def test_nothing_but_missing_labels():
    learned, codes = learn_levels(objects(None, np.nan))
    assert len(learned) == 0
    assert_array_equal(codes, [-1, -1])


@pytest.mark.parametrize("label", [["a"], {"a": 1}, {1}])
def test_unhashable_labels(label):
    message = f"cannot be hashed .*{type(label).__name__}.* argument must be a string or a number"
    with pytest.raises(TypeError, match=message):
        learn_levels(objects("a", label))


def test_unused_categories_are_no_levels_but_order_is_kept():
    column = pd.Series(pd.Categorical(list("bdb"), categories=list("dcba"), ordered=True))
    learned, codes = learn_levels(column)
    assert list(learned.labels) == ["d", "b"]
    assert_array_equal(codes, [1, 0, 1])
    reordered = column.cat.reorder_categories(list("abcd"))
    assert_array_equal(learned.codes(reordered, "g"), [1, 0, 1])
    assert_array_equal(learned.codes(column.astype(object), "g"), [1, 0, 1])


@pytest.mark.parametrize(
    ("column", "order"),
    [
        (objects("c", "a", "b"), ["a", "b", "c"]),
        (objects("10", "9", "1"), ["1", "10", "9"]),
        (np.array([10, 9, 1]), [1, 9, 10]),
        (objects("c", 1, "a"), ["c", 1, "a"]),  # no order among them: first appearance
        (objects(2, 1.5, 1), [1, 1.5, 2]),
    ],
)
def test_order_of_levels(column, order):
    assert list(learn_levels(column)[0].labels) == order


@given(
    low=st.integers(-(2**31), 2**31 - 8 * SMALL),
    span=st.integers(0, 4 * SMALL),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(["int32", "int64"]),
)
@settings(max_examples=50, deadline=None)
def test_table_of_narrow_integers_agrees_with_hashing(low, span, seed, dtype):
    rng = np.random.default_rng(seed)
    values = rng.integers(low, low + span, SMALL + 7, endpoint=True).astype(dtype)
    learned, codes = learn_levels(values)
    by_hash, expected = learn_levels(values.astype(object))
    assert_array_equal(learned.labels, by_hash.labels)
    assert learned.labels.dtype == np.int64
    assert_array_equal(codes, expected)
    assert_array_equal(learned.labels[codes], values)
    wider = np.arange(low - 2, low - 2 + SMALL)
    assert_array_equal(learned.codes(wider, "g"), learned.codes(wider.astype(object), "g"))


@pytest.mark.parametrize(
    ("column", "other", "message"),
    [
        (np.array([1, 2]), objects("1"), r"'g' is known: they are text \(such as 1\), but in fit"),
        (objects("a"), np.array([5]), r"numbers \(such as 5\), but in fit they were text"),
        (days("2020-01-01"), np.array([1]), "numbers .* but in fit they were dates"),
        (np.array([True]), np.array(["True"]), "text .* but in fit they were booleans"),
        (objects("a", 1), np.array([2]), "numbers .* but in fit they were objects"),
    ],
)
def test_labels_of_another_kind_are_warned_about_once(column, other, message):
    learned = learn_levels(column)[0]
    with pytest.warns(UnknownLevelsWarning, match=message) as record:
        learned.codes(other, "g")
    assert len(record) == 1


@pytest.mark.parametrize("other", [objects("b"), objects("a", 1), objects(None)])
def test_new_labels_of_the_same_kind_are_not_warned_about(other):
    assert learn_levels(objects("a", "c"))[0].codes(other, "g")[-1] == -1


def test_levels_have_a_length_and_an_index():
    levels = ColumnLevels(np.array([5, 7]))
    assert len(levels) == 2
    assert list(levels.index) == [5, 7]
