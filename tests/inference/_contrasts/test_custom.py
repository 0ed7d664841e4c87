import numpy as np
import pandas as pd
import pytest

from skmixed.inference._contrasts.custom import custom_weights
from skmixed.inference._contrasts.families import families

FAMILY = families(pd.DataFrame({"diet": ["x", "y", "z"]}), ())[0]


@pytest.mark.parametrize(
    "method",
    [
        {"first": [1, -0.5, -0.5], "second": [0, 1, -1]},
        {"first": {"x": 1, "y": -0.5, "z": -0.5}, "second": pd.Series({"z": -1, "y": 1})},
        pd.DataFrame([[1, -0.5, -0.5], [0, 1, -1]], ["first", "second"], ["x", "y", "z"]),
        pd.DataFrame([[1, -0.5, -0.5], [0, 1, -1]], ["first", "second"]),
        pd.DataFrame([[-0.5, -0.5, 1], [-1, 1, 0]], ["first", "second"], ["z", "y", "x"]),
    ],
)
def test_weights_by_name(method):
    found = custom_weights(method, FAMILY)
    assert found.labels == ("first", "second")
    np.testing.assert_array_equal(found.rows, [[1, -0.5, -0.5], [0, 1, -1]])


@pytest.mark.parametrize("method", [[[1, -1, 0]], np.array([[1.0, -1.0, 0.0]]), [1, -1, 0]])
def test_a_matrix_has_names_by_number(method):
    found = custom_weights(method, FAMILY)
    assert found.labels == ("c1",)
    np.testing.assert_array_equal(found.rows, [[1, -1, 0]])


@pytest.mark.parametrize(("rows", "expected"), [([[1, -1, 0]], True), ([[0.5, 0.5, 0]], False)])
def test_whether_all_have_the_sum_0(rows, expected):
    assert custom_weights(rows, FAMILY).are_contrasts is expected


@pytest.mark.parametrize(
    ("method", "error", "problem"),
    [
        (3.0, TypeError, "method=3.0 is no comparison. Give the name of a method, or weights"),
        ([["x"]], ValueError, "is no comparison"),
        ({}, ValueError, "The method has no comparison"),
        ({"c": [1, -1]}, ValueError, r"method\['c'\] has weights of shape \(2,\), .* 3 cells: 'x'"),
        ({"c": [1, -1, np.nan]}, ValueError, r"method\['c'\] has weights that are NaN or infinite"),
        ({"c": [0, 0, 0]}, ValueError, r"method\['c'\] has only zeros"),
        ({"c": "xy"}, ValueError, r"method\['c'\]='xy' are no weights"),
        (
            {"c": {"x": "one"}},
            ValueError,
            r"method\['c'\] has the weight 'one', which is no number",
        ),
        ({"c": {"w": 1}}, ValueError, r"method\['c'\]='w' names no cell. Choose one of 'x'"),
        (pd.DataFrame(np.eye(3)[:2], ["c", "c"]), ValueError, "one name twice among its rows"),
    ],
)
def test_other_weights_are_refused(method, error, problem):
    with pytest.raises(error, match=problem):
        custom_weights(method, FAMILY)


def test_a_column_that_is_there_twice_is_refused():
    method = pd.DataFrame([[1, -1, 5]], ["first"], ["x", "y", "y"])
    with pytest.raises(ValueError, match="The method has the column 'y' twice"):
        custom_weights(method, FAMILY)
