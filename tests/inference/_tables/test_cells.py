import numpy as np
import pandas as pd
import pytest

from skmixed.inference._tables.cells import cells_of
from skmixed.inference._tables.number_formats import Precision

FRAME = pd.DataFrame(
    {"estimate": [251.405, 10.467], "std_error": [6.8246, 1.546], "p_value": [1e-9, 0.5]},
    index=["(Intercept)", "Days"],
)


def cells(frame, kinds=None, precision=None, **options):
    return cells_of(frame, kinds or {}, precision or Precision(), **options)


def test_estimates_have_the_digits_of_their_errors():
    assert cells(FRAME).rows == [
        ("(Intercept)", "251.41", "6.82", "<0.001"),
        ("Days", "10.47", "1.55", "0.500"),
    ]
    # Also where the errors are not among the columns written
    assert cells(FRAME, chosen=[0]).rows == [("(Intercept)", "251.41"), ("Days", "10.47")]


def test_estimates_without_errors_have_the_digits_of_their_intervals():
    frame = pd.DataFrame({"estimate": [24.740512], "lower": [15.5], "upper": [39.25]})
    assert cells(frame).rows == [("24.74", "15.50", "39.25")]
    assert cells(frame[["estimate"]]).rows == [("24.741",)]  # five digits


def test_infinite_limits_say_nothing_of_precision():
    frame = pd.DataFrame({"estimate": [0.123456], "lower": [0.0], "upper": [np.inf]})
    assert cells(frame).rows == [("0.12346", "0", "∞")]


def test_labels_of_rows_are_shown_unless_they_are_numbers_alone():
    labeled = pd.DataFrame({"group": ["a", "b"], "mean": [1.0, 2.0]})
    assert cells(labeled).rows == [("a", "1"), ("b", "2")]
    assert cells(labeled).n_names == 1
    assert cells(labeled, index=True).rows == [("0", "a", "1"), ("1", "b", "2")]
    assert cells(labeled[["mean"]]).rows == [("0", "1"), ("1", "2")]
    assert cells(labeled[["mean"]][:1]).rows == [("1",)]
    assert cells(FRAME, index=False).rows[0] == ("251.41", "6.82", "<0.001")


def test_outer_labels_are_written_where_they_change():
    index = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "y")], names=["g", "h"])
    found = cells(pd.DataFrame({"mean": [1.0, 2.0, 3.0]}, index=index))
    assert [row[:2] for row in found.rows] == [("a", "x"), ("", "y"), ("b", "y")]
    assert [column.name for column in found.columns] == ["g", "h", "mean"]
    assert found.n_names == 2


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([("a", 1), ("b", 2)], ["a:1", "b:2"]),
        ([0.5, 1.0], ["0.5", "1.0"]),
        ([20.0, 40.0], ["20", "40"]),
        (pd.to_datetime(["2024-01-01", "2024-01-08"]), ["2024-01-01", "2024-01-08"]),
        (pd.Categorical(["low", None]), ["low", ""]),
        ([True, False], ["True", "False"]),
        ([7, 8], ["7", "8"]),
        (["two\nlines", "tab\t"], ["two\\nlines", "tab\\t"]),
        (["a", "a "], ["a", "a\\x20"]),
        (pd.array([1, None], dtype="Int64"), ["1", ""]),
    ],
)
def test_labels(values, shown):
    frame = pd.DataFrame({"level": values, "mean": [1.0, 2.0]})
    found = cells(frame).columns[0]
    assert list(found.cells) == shown
    assert found.is_text


def test_numbers_that_are_missing_in_columns_with_a_mask():
    frame = pd.DataFrame({"p_value": pd.array([0.5, None], dtype="Float64")}, index=["a", "b"])
    assert cells(frame).rows == [("a", "0.500"), ("b", "–")]


def test_columns_of_the_user_are_what_the_table_says():
    frame = pd.DataFrame({"t": [0.0, 1.5], "F": [2.0, 3.0], "mean": [1.25, 2.0]})
    found = cells(frame, {"t": "label", "F": "number"})
    assert found.rows == [("0.0", "2", "1.25"), ("1.5", "3", "2.00")]


def test_headings_stand_in_one_line_and_apart():
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a\nb", "x", "x "])
    found = cells(frame).columns
    assert [column.name for column in found] == ["a\\nb", "x", "x\\x20"]
    assert [column.kind.heading for column in found] == ["a\\nb", "x", "x\\x20"]


def test_two_columns_of_one_name():
    frame = pd.DataFrame([[1.0, 0.5]], columns=["p_value", "p_value"])
    assert cells(frame).rows == [("1.000", "0.500")]


def test_many_rows_are_cut():
    frame = pd.DataFrame({"level": np.arange(100), "p_value": np.arange(100) / 100})
    found = cells(frame, most=(60, 5))
    assert [row[0] for row in found.rows] == ["0", "1", "2", "…", "98", "99"]
    assert found.cut == "5 of 100 rows are shown."
    assert cells(frame, most=(100, 5)).cut == ""
    assert cells(frame, most=(3, 3)).n_shown == 3
    assert len(cells(frame).rows) == 100


def test_a_table_without_rows():
    found = cells(FRAME[:0])
    assert found.rows == []
    assert [column.name for column in found.columns] == ["", "estimate", "std_error", "p_value"]
