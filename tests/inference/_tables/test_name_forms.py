"""No two names of a table look alike."""

import random
import unicodedata

import pytest

from skmixed.inference._tables.html_layout import html_table
from skmixed.inference._tables.name_forms import told_apart, with_names_apart
from skmixed.inference._tables.text_layout import lines, shortened_apart


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b c", "f[T.é]", "سیب\u200cها"], ["a", "b c", "f[T.é]", "سیب\u200cها"]),
        (["a\nb", "a\tb", "a\xa0b"], [r"a\nb", r"a\tb", r"a\xa0b"]),
        (["a  b", "a b"], [r"a \x20b", "a b"]),
        (["a ", "a"], [r"a\x20", "a"]),
        (["é", "e\u0301"], [r"\xe9", r"e\u0301"]),
        (["a\u200bb", "ab"], [r"a\u200bb", "ab"]),
        (["µ", "μ"], [r"\xb5", r"\u03bc"]),
        (["a\nb", r"a\nb"], [r"a\nb", r"a\\nb"]),
        (["\udc80"], [r"\udc80"]),
    ],
)
def test_names(names, expected):
    found = told_apart(names)
    assert [found[name] for name in names] == expected


def test_random_names_stay_apart():
    rng = random.Random(0)
    letters = ["a", "é", "e\u0301", " ", "\xa0", "\n", "\\", "n", "\u200b", "²", "2", "\u00ad"]
    for _ in range(300):
        names = {"".join(rng.choices(letters, k=rng.randint(1, 5))) for _ in range(20)}
        shown = list(told_apart(names).values())
        assert len(set(shown)) == len(names)
        seen = ["".join(c for c in own if unicodedata.category(c) != "Cf") for own in shown]
        assert len({" ".join(unicodedata.normalize("NFKC", s).split()) for s in seen}) == len(names)
        assert all(c.isprintable() or unicodedata.category(c) == "Cf" for s in shown for c in s)


def test_tables_of_text_and_html():
    rows = [["", "SD"], ["a\nb", "1"], ["a  b", "2"], ["a b", "3"], ["a b", "4"]]
    assert with_names_apart(rows, 1)[1:] == [
        [r"a\nb", "1"],
        [r"a \x20b", "2"],
        ["a b", "3"],
        ["a b", "4"],
    ]
    assert lines(rows, 1).splitlines()[1:3] == [r" a\nb      1", r" a \x20b   2"]
    assert r"a \x20b</th>" in html_table(rows, 1, "Title")


def test_names_in_a_line():
    names = [f"{'a' * 50}{k}{'b' * 50}" for k in (1, 2)]
    assert shortened_apart([*names, "c" * 60], 20) == [*names, f"{'c' * 10}…{'c' * 9}"]
