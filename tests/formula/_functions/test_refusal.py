"""Arguments of functions are taken where they are what they are for."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skmixed.formula._functions.refusal import FunctionError, numbers_of, truth, whole_number


def test_whole_numbers():
    assert whole_number("f", "k", np.int64(3), 1) == whole_number("f", "k", 3.0, 1) == 3
    for value in (True, 0, 2.5, np.nan, np.inf, "3", None, [3]):
        with pytest.raises(FunctionError, match=r"^k=.* in f\(…\): give a whole number from 1 on"):
            whole_number("f", "k", value, 1)


def test_truths():
    assert truth("f", "k", np.bool_(True)) is True
    with pytest.raises(FunctionError, match=r"k=1 in f\(…\): give True or False"):
        truth("f", "k", 1)


def test_a_column_is_not_shown_as_an_argument():
    with pytest.raises(
        FunctionError, match=r"^k=\(a column\) in f\(…\): give a whole number from 1"
    ):
        whole_number("f", "k", pd.Series([1, 2]), 1)


def test_numbers():
    assert_array_equal(numbers_of("f", pd.Series([True, False])), [1.0, 0.0])
    assert_array_equal(numbers_of("f", np.ones((2, 1))), [1.0, 1.0])
    with pytest.raises(FunctionError, match="of one column"):
        numbers_of("f", np.ones((2, 2)))
    with pytest.raises(FunctionError, match="has values such as 'b'"):
        numbers_of("f", pd.Series(["b", "a"], dtype="category"))
    assert FunctionError("f", "what").function == "f"
