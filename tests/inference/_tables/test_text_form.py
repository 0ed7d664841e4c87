import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmixed.inference._tables.cells import cells_of
from skmixed.inference._tables.number_formats import Precision
from skmixed.inference._tables.text_form import text_of, unique

FRAME = pd.DataFrame(
    {
        "estimate": [251.405, 0.10467],
        "std_error": [6.8246, 0.01546],
        "df": [17.0, 170.25],
        "t": [36.84, 6.77],
        "p_value": [1e-9, 0.5],
        "lower": [237.0, -0.0765],
        "upper": [265.8, 0.2093],
    },
    index=["(Intercept)", "Days"],
)


def text(frame, title="", remarks=(), most=None):
    return text_of(cells_of(frame, {}, Precision(), most=most), title, remarks)


def test_a_table_has_a_title_aligned_columns_and_remarks():
    assert text(FRAME, "Fixed effects", ["One.", "Two."]).splitlines() == [
        "Fixed effects",
        "              estimate  std_error     df      t  p_value     lower     upper",
        " (Intercept)  251.41       6.82     17.0  36.84   <0.001  237.00    265.80",
        " Days           0.1047     0.0155  170.2   6.77    0.500   -0.0765    0.2093",
        "One.",
        "Two.",
    ]


def wide(n_columns, name="change_{k}", rows=("a", "b")):
    names = [name.format(k=k) for k in range(n_columns)]
    return pd.DataFrame(np.full((len(rows), n_columns), 0.12345), index=rows, columns=names)


@pytest.mark.parametrize("n_columns", [3, 8, 30])
@pytest.mark.parametrize("name", ["c{k}", "change_of_a_column_whose_name_goes_on_and_on_{k}"])
@pytest.mark.parametrize("length", [1, 30, 200])
def test_no_line_is_longer_than_80(n_columns, name, length):
    rows = [f"{'r' * length}1", f"{'r' * length}2"]
    found = text(wide(n_columns, name, rows), "T" * 90, ["word " * 40])
    assert max(map(len, found.splitlines())) <= 80
    # Each number is there
    assert found.count("0.12345") == 2 * n_columns


def test_columns_without_room_are_below_with_the_names_of_the_rows():
    lines = text(wide(10)).splitlines()
    assert [line.split()[0] for line in lines] == ["change_0", "a", "b", "change_7", "a", "b"]


def test_ends_of_an_interval_stay_together():
    frame = pd.concat([wide(6), FRAME.set_index(wide(6).index)[["lower", "upper"]]], axis=1)
    heads = [line.split() for line in text(frame).splitlines() if "change" in line or "low" in line]
    assert heads == [[f"change_{k}" for k in range(6)], ["lower", "upper"]]


def test_words_that_are_no_names_are_to_the_left_and_cut():
    frame = FRAME[["p_value"]].assign(reference=["½χ²(1)", "x" * 60])
    head, first, second = text(frame).splitlines()
    assert first.index("½") == head.index("reference")
    assert "…" in second


def test_names_stay_unique():
    long = [f"{'a' * 40}{k}{'b' * 40}" for k in range(3)]
    found = unique([*long, "short", "short", "c" * 60])
    assert len(set(found[:3])) == 3
    assert found[3:5] == ["short", "short"]
    assert max(map(len, found)) <= 40 + 2
    rows = pd.DataFrame({"p_value": [0.1, 0.2, 0.3]}, index=long)
    shown = "".join(text(rows).split())
    assert all(name in shown for name in long)


def test_rows_that_are_left_out_are_told():
    frame = pd.DataFrame({"p_value": np.linspace(0, 1, 99)}, index=[f"r{k}" for k in range(99)])
    lines = text(frame, "Title", ["A remark."], most=(60, 4)).splitlines()
    assert [line.split()[0] for line in lines[2:7]] == ["r0", "r1", "…", "r97", "r98"]
    assert lines[7:] == ["4 of 99 rows are shown.", "A remark."]


def test_tables_without_rows_and_without_columns():
    assert text(FRAME[:0], "Title").splitlines()[1].split() == list(FRAME.columns)
    assert text(pd.DataFrame(index=["a"]), "Title").split() == ["Title", "a"]
    assert text(pd.DataFrame(), "Title").split() == ["Title"]


words = st.text("abc wxy_[]:", min_size=1, max_size=90).filter(str.strip)


@pytest.mark.slow
@given(
    st.lists(words, min_size=1, max_size=5, unique=True),
    st.lists(words, min_size=1, max_size=9, unique=True),
    st.floats(-1e12, 1e12),
)
def test_any_names_have_room(rows, columns, value):
    frame = pd.DataFrame(value, index=rows, columns=columns)
    found = text(frame)
    assert max(map(len, found.splitlines())) <= 80
    (own,) = {c for column in cells_of(frame, {}, Precision()).columns[1:] for c in column.cells}
    assert sum(line.count(own) for line in found.splitlines()) >= frame.size
