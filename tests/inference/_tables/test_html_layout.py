import pytest

from skmixed.inference._tables.html_layout import STYLE, html_paragraph, html_table, with_minus

ROWS = [["", "estimate"], ["a<b", "-1.5"]]


def test_cells_are_escaped_and_numbers_have_a_minus():
    found = html_table(ROWS, 1, "A & B", "(c)")
    assert "<caption>A &amp; B <span>(c)</span></caption>" in found
    assert '<th scope="row" class="name">a&lt;b</th><td>\N{MINUS SIGN}1.5</td>' in found


def test_the_last_heading_spans_what_is_left():
    assert '<th scope="col" colspan=2>b</th>' in html_table([["a", "b"], ["x", "1", "2"]], 1, "")


def test_units_of_a_paragraph_stay_together():
    found = html_paragraph([["a,", "b"], ["c"]])
    assert found.count("<span>") == 5
    assert "<span>a,</span> <span>b\N{EM SPACE}</span>" in found


@pytest.mark.parametrize(("cell", "shown"), [("-1", "\N{MINUS SIGN}1"), ("1e-3", "1e-3"), ("", "")])
def test_a_sign_is_a_minus(cell, shown):
    assert with_minus(cell) == shown


def test_the_style_is_for_one_class_alone():
    rules = STYLE.partition("<style>")[2].partition("</style>")[0]
    assert all(line.startswith(".skmixed-summary") for line in rules.splitlines())
