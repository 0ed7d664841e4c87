import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from printed_numbers import assert_says

from skmixed.inference._tables.number_formats import (
    FORMATS,
    Precision,
    places_of,
    pointed,
    with_decimals,
)

numbers = st.floats(allow_nan=True, allow_infinity=True)
moderate = st.floats(-1e9, 1e9)
columns = st.lists(numbers, min_size=1, max_size=6)


@given(numbers, st.integers(-12, 15))
def test_a_number_read_back_is_the_value_to_the_digits_shown(value, decimals):
    assert_says(with_decimals(value, decimals), value)


@given(moderate, st.integers(0, 8))
def test_decimals_are_those_asked_for(value, decimals):
    shown = with_decimals(value, decimals)
    assert len(shown.partition(".")[2]) == decimals
    assert "e" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["estimate", "error", "df", "statistic", "count", "number"])
@given(values=columns, digits=st.none() | st.integers(0, 6))
def test_columns_read_back_are_the_values(kind, values, digits):
    for cell, value in zip(FORMATS[kind](np.array(values), Precision(digits)), values, strict=True):
        assert_says(cell, value)


@given(st.lists(st.tuples(moderate, st.floats(1e-7, 1e7)), min_size=1, max_size=6))
def test_estimates_end_where_three_digits_of_their_errors_do(pairs):
    values, errors = (np.array(own) for own in zip(*pairs, strict=True))
    places = places_of(errors)
    assert places is not None
    precision = Precision(places=places)
    shown = FORMATS["error"](errors, precision)
    for error, cell, place in zip(errors, shown, places, strict=True):
        assert_says(cell, error)
        # Three significant digits, one more beside rows with a smaller error
        assert place in (2 - math.floor(math.log10(error)), 3 - math.floor(math.log10(error)))
    for value, cell in zip(values, FORMATS["estimate"](values, precision), strict=True):
        assert_says(cell, value)
    behind = {(len(c.partition(".")[2]), d) for c, d in zip(shown, places, strict=True) if d <= 8}
    assert all(n == max(d, 0) for n, d in behind)


def test_errors_that_are_unknown_have_the_decimals_of_the_others():
    assert places_of(np.array([0.0123, np.nan, 0.0, 5.0])) == (4, 4, 4, 2)
    # One decimal more or less: the same for all
    assert places_of(np.array([12.1, 2.3])) == (2, 2)
    assert places_of(np.array([np.nan, 0.0, np.inf])) is None


@given(st.floats(0, 1), st.integers(1, 8))
def test_no_p_value_is_rounded_to_0(p, p_digits):
    (cell,) = FORMATS["p_value"](np.array([p]), Precision(p_digits=p_digits))
    if cell.startswith("<"):
        assert p < float(cell[1:]) == 10.0**-p_digits
    else:
        assert_says(cell, p)
        assert float(cell) > 0
    assert len(cell.partition(".")[2]) == p_digits


@given(st.floats(0, 1), st.none() | st.integers(1, 8))
def test_no_share_that_there_is_is_rounded_to_0(share, digits):
    (cell,) = FORMATS["share"](np.array([share]), Precision(digits))
    if cell.startswith("<"):
        assert 0 < share < float(cell[1:])
    else:
        assert_says(cell, share)
        assert (float(cell) == 0) == (share == 0)


@pytest.mark.parametrize(
    ("kind", "values", "shown"),
    [
        (
            "p_value",
            [0.0, 0.00099, 0.001, 0.04951, 1.0, np.nan],
            "<0.001 <0.001 0.001 0.050 1.000 –",
        ),
        ("df", [17.0000001, 222.0], "17 222"),
        ("df", [17.04, 222.0, np.inf], "17.0 222.0 ∞"),
        ("statistic", [36.838, -0.001, 2.5e12, 9876543.21], "36.84 0.00 2.5000e+12 9876543.21"),
        ("count", [18.0, np.nan], "18 –"),
        ("count", [10.0, 10.5], "10.0 10.5"),
        ("share", [0.2787, 1e-9, 0.0, -0.1], "0.279 <0.001 0.000 -0.100"),
        ("correlation", [-0.0001, 1e-9, -0.4567], "0.000 0.000 -0.457"),
        ("number", [20.0, 40.0], "20 40"),
        ("number", [0.5, 1.25], "0.50 1.25"),
        ("number", [612.09041, 35.07171], "612.09 35.07"),
        ("number", [1e-9 / 3, np.inf, np.nan], "3.3333e-10 ∞ –"),
        ("number", [-0.0], "0"),
    ],
)
def test_forms_of_the_kinds(kind, values, shown):
    assert " ".join(FORMATS[kind](np.array(values), Precision())) == shown


def test_digits_that_are_asked_for():
    values, precision = np.array([251.405, -0.0004]), Precision(2, 2, (0, 0))
    for kind in ("estimate", "error", "statistic", "number", "share", "correlation"):
        assert FORMATS[kind](values, precision) == ["251.41", "0.00"] or kind == "share"
    assert FORMATS["df"](values, precision) == ["251.4", "0.0"]
    assert FORMATS["p_value"](np.array([0.004, 0.5]), precision) == ["<0.01", "0.50"]


@given(st.lists(moderate, min_size=1, max_size=6), st.lists(st.integers(0, 6), min_size=6))
def test_points_stand_below_each_other(values, decimals):
    cells = [with_decimals(v, d) for v, d in zip(values, decimals, strict=False)]
    found = pointed([*cells, "–", "1.5e-20"])
    assert [cell.rstrip() for cell in found] == [*cells, "–", "1.5e-20"]
    width = max(map(len, found))
    at = {c.rjust(width).index(".") for c in found[:-2] if "." in c}
    assert len(at) <= 1


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [(2.2e-8, 11, "2.200e-08"), (1.5e12, -7, "1.50000e+12"), (0.0, 20, "0"), (12.5, -3, "12")],
)
def test_numbers_of_any_size_are_short(value, decimals, shown):
    assert with_decimals(value, decimals) == shown
