import numpy as np
import pandas as pd
import pytest

from skmixed.inference._tables.text_layout import aligned, filled, lines


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([251.4051, 10.4673], ["251.41", "10.47"]),
        ([251.4051, 0.0104673], ["251.405", "0.010"]),
        ([1000000251.4, 10.4673], ["1.0000e+09", "1.0467e+01"]),
        ([-3692046.97, 4.3e-7], ["-3.6920e+06", "4.3000e-07"]),
        ([612.09, 0.0], ["612.09", "0.00"]),
        ([612.09, -0.0], ["612.09", "0.00"]),
        ([-0.0, np.nan], ["0", ""]),
        ([612.09, -0.0000123], ["6.1209e+02", "-1.2300e-05"]),
        ([612.09, -0.01, 0.4], ["612.090", "-0.010", "0.400"]),
    ],
)
def test_decimals_of_a_column(values, expected):
    assert aligned(pd.Series(values)) == expected


def test_names_without_room_stand_whole_above_their_numbers():
    rows = [["Group", "Name", "SD"], ["g", f"{'a' * 90}1{'b' * 90}", "1.0"]]
    rows += [["", f"{'a' * 90}2{'b' * 90}", "2.0"], ["h", "short", "3.0"]]
    found = lines(rows, names=2)
    assert f"g{'a' * 90}1{'b' * 90}1.0{'a' * 90}2{'b' * 90}2.0hshort3.0" in "".join(found.split())
    assert max(map(len, found.splitlines())) <= 80
    assert [line.split()[-1] for line in found.splitlines()[-2:]] == ["2.0", "3.0"]


def test_names_of_several_words_go_on_below_where_two_lines_are_enough():
    numbers = ["0.12345678"] * 4
    rows = [
        ["contrast", *numbers],
        ["Cognitive therapy - Waiting list", *numbers],
        ["A - B", *numbers],
    ]
    assert lines(rows, names=1).splitlines()[1:] == [
        f" Cognitive therapy - Waiting    {'  0.12345678' * 4}",
        "   list",
        f" A - B{' ' * 26}{'  0.12345678' * 4}",
    ]
    # A word that has no room puts all names above
    rows[2][0] = "treatment[T.Waiting]:visit[T.2]:x"
    assert lines(rows, names=1).splitlines()[1::2] == [f" {row[0]}" for row in rows[1:]]


def test_lines_are_as_wide_as_those_of_pandas():
    words = 60 * ["word"]
    rows = [["", "x"], [" ".join(words), "1"]]
    for width, most in (80, 80), (120, 120), (10, 40), (None, 80):
        with pd.option_context("display.width", width):
            for text in filled(words, " "), lines(rows, 1):
                longest = max(map(len, text.splitlines()))
                # A word more has no room.
                assert most - 6 < longest <= most
