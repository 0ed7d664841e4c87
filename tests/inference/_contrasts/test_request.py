import numpy as np
import pandas as pd
import pytest
from random_families import means_of

from skmixed.inference._contrasts.request import Request, marginal_table


def means(n_a=3, n_b=1):
    n = n_a * n_b
    rng = np.random.default_rng(1)
    return means_of(np.eye(n), rng.normal(size=n), np.diag(1.0 + np.arange(n)), n_a, n_b)


def request(method="pairwise", reference=None, reverse=False):
    return Request.of(method, reference, reverse=reverse)


def test_comparisons_lie_family_after_family():
    found = request("consecutive").compared(means(3, 2), None, 0.9)
    assert found.sizes == (2, 2)
    assert found.n_cells == (3, 3)
    expected = pd.DataFrame({"contrast": ["b - a", "c - b"] * 2, "b": ["A", "A", "B", "B"]})
    pd.testing.assert_frame_equal(found.estimates.cells, expected)
    np.testing.assert_array_equal(found.estimates.rows[2], [0, 0, 0, -1, 1, 0])
    assert found.estimates.by == ("b",)
    assert found.estimates.level == 0.9
    assert found.title == "Consecutive differences of a, by b"


def test_another_by_and_none():
    table = means(3, 2)
    found = request().compared(table, "a", 0.95)
    assert found.estimates.cells["contrast"].tolist() == ["A - B"] * 3
    np.testing.assert_array_equal(found.estimates.rows[1], [0, 1, 0, 0, -1, 0])
    every = request().compared(table, (), 0.95)
    assert every.sizes == (15,)
    assert every.estimates.cells["contrast"][0] == "a A - b A"


def test_families_whose_cells_are_mixed_in_the_table():
    table = means(2, 2)
    estimates = table.estimates
    order = [3, 0, 2, 1]
    cells = estimates.cells.iloc[order].reset_index(drop=True)
    mixed = means(2, 2)
    mixed.estimates = type(estimates)(
        cells, estimates.rows[order], np.zeros(4), estimates.tests, ("b",)
    )
    found = request().compared(mixed, None, 0.95)
    assert found.estimates.cells["contrast"].tolist() == ["b - a", "a - b"]
    np.testing.assert_array_equal(found.estimates.rows, [[0, 0, -1, 1], [1, -1, 0, 0]])


def test_weights_of_the_user():
    found = request({"mean of two": [0.5, 0.5, 0.0]}).compared(means(), None, 0.95)
    np.testing.assert_array_equal(found.estimates.rows, [[0.5, 0.5, 0.0]])
    assert found.title == "Comparisons of a"


def test_the_control_is_found_in_each_family():
    found = request("trt.vs.ctrl", reference="b").compared(means(3, 2), None, 0.95)
    assert found.estimates.cells["contrast"].tolist() == ["a - b", "c - b"] * 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"method": "all"}, "method='all' is not known. Choose one of 'pairwise', 'trt.vs.ctrl'"),
        ({"reference": "a"}, "reference='a' is the control of method='trt.vs.ctrl', and method="),
        ({"method": [[1, -1, 0]], "reference": "a"}, "reference='a' is the control"),
        ({"method": "eff", "reverse": True}, "reverse=True .* and method='eff' has others"),
        ({"method": [[1, -1, 0]], "reverse": True}, "reverse=True turns differences of two cells"),
    ],
)
def test_what_no_method_has_is_refused(change, problem):
    with pytest.raises(ValueError, match=problem):
        request(**change)


def test_reverse_is_true_or_false():
    with pytest.raises(TypeError, match="reverse='yes' is of type str"):
        request(reverse="yes")


def test_one_cell_is_not_compared():
    table = means(1, 2)
    with pytest.raises(ValueError, match="There is one cell, 'a', where several are compared"):
        request().compared(table, None, 0.95)


@pytest.mark.parametrize("frame", [means().round(2), means().head(2), means()[["a", "estimate"]]])
def test_frames_that_have_lost_what_they_are_of_are_refused(frame):
    with pytest.raises(TypeError, match="means is a plain DataFrame, as it is after rounding"):
        marginal_table(frame)


@pytest.mark.parametrize("other", [None, "means", np.eye(2)])
def test_what_is_no_table_is_refused(other):
    with pytest.raises(TypeError, match=r"is of type .* Give the table that marginal_means"):
        marginal_table(other)


CHANGES = {
    "drop": lambda table: table.drop(index=0, inplace=True),  # noqa: PD002
    "value": lambda table: table.__setitem__("estimate", 0.0),
    "order": lambda table: table.sort_values("a", ascending=False, inplace=True),  # noqa: PD002
    "name": lambda table: table.rename(columns={"a": "arm"}, inplace=True),  # noqa: PD002
}


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pandas 3.1
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_tables_that_were_changed_in_place_are_refused(change):
    table = means()
    change(table)
    with pytest.raises(ValueError, match="means is a table that was changed in place"):
        marginal_table(table)


def test_columns_beside_change_nothing():
    table = means()
    table["note"] = "seen"
    assert marginal_table(table) is table
    assert marginal_table(table.copy()).is_as_made
