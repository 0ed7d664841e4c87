import pandas as pd
import pytest

from skmixed.inference._report.wording import (
    SPACE,
    as_html,
    as_markdown,
    as_text,
    code,
    counted,
    equal,
    in_lines,
    listed,
    name_of,
    percent,
    shown,
    symbol,
)
from skmixed.inference._tables.number_formats import Precision

SENTENCE = f"The effect of a_b in {code('y ~ a*b')} was -1.5 ({equal(symbol('p'), '<0.001')})."


def test_forms_of_a_sentence():
    text = "The effect of a_b in y ~ a*b was -1.5 (p < 0.001)."
    assert as_text(SENTENCE).replace(SPACE, " ") == text
    assert as_markdown(SENTENCE).replace(SPACE, " ") == (
        r"The effect of a\_b in `y ~ a*b` was -1.5 (*p* < 0.001)."
    )
    assert as_html(SENTENCE).replace(SPACE, " ") == (
        "The effect of a_b in <code>y ~ a*b</code> was \N{MINUS SIGN}1.5 (<em>p</em> &lt; 0.001)."
    )


def test_html_and_code_are_escaped():
    assert as_html(f"{code('a < b')} <b> & {symbol('<')}") == (
        "<code>a &lt; b</code> &lt;b&gt; &amp; <em>&lt;</em>"
    )
    assert as_markdown(code("`a b` + c")) == "```a b` + c``"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("1.5 to -2", "1.5 to \N{MINUS SIGN}2"),
        ("from -∞", "from \N{MINUS SIGN}∞"),
        ("(CI -1 to 2)", "(CI \N{MINUS SIGN}1 to 2)"),
        ("x-1", "x-1"),
        ("2024-01-08", "2024-01-08"),
        ("f(x)-2", "f(x)-2"),
    ],
)
def test_signs_of_numbers_are_minuses_in_html(text, html):
    assert as_html(text) == html


def test_names_stand_in_one_line_without_marks():
    assert name_of("a\nb\t c\x02\x0e") == "a b c"
    assert as_text(code("y ~ \n x")) == "y ~ x"
    assert name_of(3) == "3"


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")],
)
def test_lists(words, text):
    assert listed(words) == text


def test_numbers_of_things():
    assert counted(1, "row") == "1 row"
    assert counted(1234, "row") == "1,234 rows"
    assert percent(0.999).replace(SPACE, " ") == "99.9 %"


def test_a_number_stays_with_what_it_is_of():
    lines = in_lines("x" * 76 + " " + equal("p", "0.042")).splitlines()
    assert lines == ["x" * 76, "p = 0.042"]


def test_numbers_are_those_of_the_table():
    frame = pd.DataFrame({"estimate": [251.405], "std_error": [6.8246], "p_value": [1e-5]})
    (found,) = shown(frame, Precision())
    assert found == {"estimate": "251.41", "std_error": "6.82", "p_value": "<0.001"}
