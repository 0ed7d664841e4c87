import re
import sys

import numpy as np
import pandas as pd
import pytest

from skmixed.inference._tables.cells import cells_of
from skmixed.inference._tables.exports import Caption, great_table_of, html_of, markdown_of
from skmixed.inference._tables.number_formats import Precision

FRAME = pd.DataFrame(
    {
        "reference": ["½χ²(1)", "a<b>|c"],
        "estimate": [251.405, -0.10467],
        "std_error": [6.8246, 0.01546],
        "p_value": [1e-9, np.nan],
    },
    index=["(Intercept)", "x_1*y"],
)
CELLS = cells_of(FRAME, {}, Precision())
CAPTION = Caption("Effects of A_1 & B", ("t tests.", "<b>no tag</b>"))


def test_markdown():
    assert markdown_of(CELLS, CAPTION).splitlines() == [
        r"**Effects of A\_1 & B**",
        "",
        "|             | Reference | Estimate |     SE |    *p* |",
        "| :---------- | :-------- | -------: | -----: | -----: |",
        "| (Intercept) | ½χ²(1)    | 251.41   | 6.82   | <0.001 |",
        r"| x\_1\*y     | a\<b>\|c  |  -0.1047 | 0.0155 |      – |",
        "",
        "t tests.",
        "",
        r"\<b>no tag\</b>",
    ]
    assert markdown_of(CELLS, Caption("", ())).startswith("|  ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`a`", r"\`a\`"),
        ("recipe[T.B]:x", "recipe[T.B]:x"),
        ("p[1](a)", r"p[1\](a)"),
        ("$a$ ~b~ ^c^", r"\$a\$ \~b\~ \^c\^"),
        ("a\\b", r"a\\b"),
        ("1 < 2", "1 < 2"),
    ],
)
def test_marks_of_markdown_are_escaped(text, shown):
    cells = cells_of(pd.DataFrame({"p_value": [0.5]}, index=[text]), {}, Precision())
    assert f"| {shown} | " in markdown_of(cells, Caption("", ()))


def test_html_is_escaped_and_lines_points_up():
    html = html_of(CELLS, CAPTION)
    assert "<caption>Effects of A_1 &amp; B</caption>" in html
    assert '<p class="status">&lt;b&gt;no tag&lt;/b&gt;</p>' in html
    assert '<td class="name">a&lt;b&gt;|c</td>' in html
    assert "<td>251.41\N{FIGURE SPACE}\N{FIGURE SPACE}</td>" in html
    assert "<td>\N{MINUS SIGN}0.1047</td>" in html
    assert "<td>&lt;0.001</td><" in html
    assert re.findall(r'<th scope="row" class="name">(.*?)</th>', html) == list(FRAME.index)


def test_html_says_that_rows_are_left_out():
    cells = cells_of(pd.DataFrame({"p_value": np.zeros(99)}), {}, Precision(), most=(60, 4))
    html = html_of(cells, CAPTION)
    assert "4 of 99 rows are shown." in html
    assert html.count("<tr>") == 1 + 5


def test_a_number_without_a_point_has_room_for_one_in_html():
    frame = pd.DataFrame({"estimate": [1234.0, 1.5], "std_error": [2000.0, 0.25]})
    html = html_of(cells_of(frame, {}, Precision()), CAPTION)
    assert f"<td>1234\N{PUNCTUATION SPACE}{3 * chr(0x2007)}</td>" in html


@pytest.mark.slow
def test_great_tables_has_the_same_cells():
    pytest.importorskip("great_tables")
    html = great_table_of(CELLS, CAPTION).as_raw_html()
    assert re.findall(r'<th scope="row"[^>]*>(.*?)</th>', html) == list(FRAME.index)
    assert re.findall(r'<td headers[^>]*gt_left">(.*?)</td>', html) == ["½χ²(1)", "a&lt;b&gt;|c"]
    found = re.findall(r'<td headers[^>]*gt_right">(.*?)</td>', html)
    assert [cell.strip("\N{FIGURE SPACE}") for cell in found] == [
        *("251.41", "6.82", "&lt;0.001"),
        *("\N{MINUS SIGN}0.1047", "0.0155", "–"),
    ]
    assert "Effects of A_1 &amp; B" in html
    assert "<em>p</em>" in html
    assert html.count("gt_sourcenote") >= 2
    without = great_table_of(CELLS, Caption("", ())).as_raw_html()
    assert "gt_title" not in without.rpartition("</style>")[2]


def test_great_tables_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "great_tables", None)
    with pytest.raises(ImportError, match=r"needs great_tables, .* pip install great-tables"):
        great_table_of(CELLS, CAPTION)
