import numpy as np
import pandas as pd
import pytest

from skmixed.inference._contrasts.families import check_by, families

CELLS = pd.DataFrame(
    {"dose": [1.0, 2.5, 1.0, 2.5], "sex": ["f", "f", "m", "m"], "low-fat": [True] * 4}
)


def test_families_follow_the_first_appearance_of_their_values():
    cells = CELLS.iloc[[2, 0, 1, 3]].reset_index(drop=True)
    found = families(cells, ("sex",))
    assert [own.within["sex"].tolist() for own in found] == [["m"], ["f"]]
    np.testing.assert_array_equal(found[0].places, [0, 3])
    np.testing.assert_array_equal(found[1].places, [1, 2])
    assert list(found[0].cells) == ["dose", "low-fat"]


def test_families_may_be_of_different_sizes_and_within_several_variables():
    found = families(CELLS.drop(3), ("sex", "low-fat"))
    assert [len(own.cells) for own in found] == [2, 1]
    assert list(found[0].within) == ["sex", "low-fat"]


def test_without_by_there_is_one_family():
    (own,) = families(CELLS, ())
    assert len(own.cells) == 4
    assert own.within.shape == (1, 0)


def test_labels_have_values_and_names_of_numbers():
    (own,) = families(CELLS, ())
    assert own.labels == ["dose1 f True", "dose2.5 f True", "dose1 m True", "dose2.5 m True"]


def test_labels_of_levels_that_are_numbers_have_their_name_as_in_emmeans():
    (own,) = families(pd.DataFrame({"visit": ["1", "2"]}), ())
    assert own.labels == ["visit1", "visit2"]
    (own,) = families(pd.DataFrame({"visit": ["1", "last"]}), ())
    assert own.labels == ["1", "last"]


def test_labels_with_signs_stand_in_parentheses_as_in_emmeans():
    (own,) = families(pd.DataFrame({"diet": ["low-fat", "none", "a/b", "a - b"]}), ())
    assert own.labels == ["(low-fat)", "none", "(a/b)", "(a - b)"]
    assert own.place("low-fat", "reference") == 0


@pytest.mark.parametrize(
    "cell",
    ["dose2.5 m", {"sex": "m", "dose": 2.5}, (2.5, "m"), [2.5, "m"]],
)
def test_cells_are_found_by_label_and_by_values(cell):
    (own,) = families(CELLS.drop(columns="low-fat"), ())
    assert own.place(cell, "reference") == 3


def test_cells_of_one_variable_are_found_by_its_value():
    (own,) = families(pd.DataFrame({"dose": [1.0, 2.5]}), ())
    assert own.place(2.5, "reference") == own.place("dose2.5", "reference") == 1


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("z", "reference='z' names no cell. Choose one of 'dose1 f', 'dose2.5 f', 'dose1 m'"),
        ({"sex": "m"}, "reference={'sex': 'm'} names several cells"),
        ((1.0,), "reference=\\(1.0,\\) names no cell"),
        ({"age": 1.0}, "names no cell"),
        (2.5, "reference=2.5 names no cell"),
    ],
)
def test_other_cells_are_refused(cell, problem):
    (own,) = families(CELLS.drop(columns="low-fat"), ())
    with pytest.raises(ValueError, match=problem):
        own.place(cell, "reference")


def test_by_is_one_name_or_several():
    assert check_by("a", ["a", "b"]) == ("a",)
    assert check_by(["b", "b"], ["a", "b", "c"]) == ("b",)
    assert check_by((), ["a"]) == check_by([], []) == ()


@pytest.mark.parametrize(
    ("by", "error", "problem"),
    [
        (3, TypeError, "by=3 is no variable. Give its name, or a list of names."),
        (["a", 3], TypeError, "by=\\['a', 3\\] is no variable"),
        ("z", ValueError, "by='z' names 'z', which is no variable of the table. It has 'a'"),
        (["a", "b"], ValueError, "are all variables of the table, 'a', 'b': nothing is left"),
    ],
)
def test_other_by_is_refused(by, error, problem):
    with pytest.raises(error, match=problem):
        check_by(by, ["a", "b"])


def test_what_is_missing_and_arrays_are_no_cells():
    (own,) = families(CELLS[["sex"]].drop_duplicates(), ())
    with pytest.raises(ValueError, match="reference=<NA> names no cell"):
        own.place(pd.NA, "reference")
    with pytest.raises(ValueError, match="names no cell"):
        own.place((pd.NA,), "reference")
    with pytest.raises(TypeError, match=r"reference=array\(.*is of type ndarray. Name one cell"):
        own.place(np.array(["f", "m"]), "reference")
