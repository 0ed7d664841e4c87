"""The groups of a model on some rows, where rows of weight 0 do not count."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.model_selection._splits.groups import groups_of

ROWS = pd.DataFrame(
    {
        "x": np.arange(8.0),
        "class": ["a", "a", "b", "b", "c", "c", "d", None],
        "school": ["s", "s", "s", "s", "t", "t", "t", "t"],
    }
)
WEIGHTS = np.array([1, 1, 1, 1, 1, 1, 1, 0.0])


def model(*groups):
    return MixedLinearRegressor([*groups], fixed=["x"])


def test_rows_of_weight_0_may_have_no_label():
    found = groups_of([model("class")], ROWS, None, WEIGHTS)
    # They are of a group of their own
    assert_array_equal(found.codes, [0, 0, 1, 1, 2, 2, 3, 4])
    assert_array_equal(found.of_counting().codes, [0, 0, 1, 1, 2, 2, 3])
    with pytest.raises(ValueError, match=r"'class' has 1 missing value \(first at row 7\)"):
        groups_of([model("class")], ROWS, None, np.ones(8))
    weights = np.where(np.arange(8) == 1, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"'class' has 1 missing value \(first at row 7\)"):
        groups_of([model("class")], ROWS, None, weights)


def test_labels_beside_x():
    plain = MixedLinearRegressor()
    found = groups_of([plain], ROWS[["x"]], ROWS["class"], WEIGHTS)
    assert_array_equal(found.codes, [0, 0, 1, 1, 2, 2, 3, 4])
    for weights in (None, np.where(np.arange(8) == 1, 0.0, 1.0)):
        with pytest.raises(ValueError, match="groups has a missing label at row 7"):
            groups_of([plain], ROWS[["x"]], ROWS["class"], weights)


def test_interactions_and_the_outermost_factor():
    rows = ROWS.assign(
        room=[1, 2, 1, 2, 1, 2, 1, 2], school=[*"sssstt", None, "s"], **{"class": [*"aabbccda"]}
    )
    weights = np.array([1, 1, 1, 1, 1, 1, 0.0, 0.0])
    term = RandomEffect(["school", "room"])
    found = groups_of([model("school", term)], rows, None, weights)
    assert found.name == "school"
    assert found.factors["school:room"].max() == 4
    assert_array_equal(found.codes, [0, 0, 0, 0, 1, 1, 2, 0])
    # The last row would make class a one of two schools, and the factors crossed
    rows.loc[7, "school"] = "t"
    assert groups_of([model("school", "class")], rows, None, weights).name == "school"
    assert groups_of([model("school", "class")], rows[:6], None).name == "school"


def test_a_model_without_its_columns_leaves_the_others():
    found = groups_of([model("nobody"), model("school")], ROWS, None)
    assert list(found.factors) == ["school"]
    with pytest.raises(ValueError, match="'nobody' is not a column"):
        groups_of([model("nobody")], ROWS, None)


def test_whether_rows_are_grouped():
    plain = MixedLinearRegressor(fixed=["x"])
    assert groups_of([plain], ROWS, None).are_none
    assert not groups_of([plain], ROWS, ROWS["school"]).are_none
    assert not groups_of([plain, model("school")], ROWS, None).are_none
    crossed = groups_of([model("school", "x")], ROWS.assign(x=[1, 2] * 4), None)
    assert crossed.codes is None
    assert not crossed.are_none
