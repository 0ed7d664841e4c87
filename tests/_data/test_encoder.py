import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skmixed import RandomEffect
from skmixed._data.encoder import plan
from skmixed._data.grouping_factor import Metadata
from skmixed._data.table import open_table

NONE = Metadata({})
FRAME = pd.DataFrame(
    {
        "school": ["s2", "s1", "s2", "s1", "s2", "s1"],
        "ses": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0],
        "class": [2, 1, 1, 1, 2, 2],
        "sex": [0, 1, 0, 1, 1, 0],
    }
)
Y = np.arange(6.0)


def planned(X, effects, fixed=None, metadata=NONE, *, fit_intercept=True):
    return plan(open_table(X), metadata, effects, fixed, fit_intercept=fit_intercept)


def learned(X, effects, fixed=None, metadata=NONE, weights=None):
    return planned(X, effects, fixed, metadata).learn(open_table(X), metadata, Y, weights)


@pytest.mark.parametrize(
    "X",
    [
        FRAME,
        FRAME.convert_dtypes(),
        FRAME.convert_dtypes(dtype_backend="pyarrow"),
        FRAME.astype({"school": "category"}),
        FRAME.set_axis(list("aabbcc")),
        pl.DataFrame(FRAME.to_dict("list")),
        pa.table(FRAME.to_dict("list")),
        FRAME.to_numpy(dtype=object),
    ],
    ids=["pandas", "nullable", "arrow", "category", "index", "polars", "pyarrow", "objects"],
)
def test_every_table_gives_the_same_arrays(X):
    encoder, design = learned(X, [RandomEffect(0, slopes=1)], fixed=[1, -1])
    assert_array_equal(np.array(design.columns), [FRAME["ses"], FRAME["sex"]])
    assert_array_equal(design.factors[0].codes, [1, 0, 1, 0, 1, 0])
    assert design.factors[0].columns == (0, 1)
    assert list(encoder.factors[0].index) == ["s1", "s2"]
    assert design.responses[0] is Y
    assert design.weights is None


def test_names_are_those_of_the_frame_or_of_positions():
    effects = [RandomEffect(0, slopes=1)]
    named = planned(FRAME, effects)
    assert named.fixed_names == ("(Intercept)", "ses", "class", "sex")
    assert named.factors[0].name == "school"
    assert named.coefficient_names(named.terms[0]) == ["(Intercept)", "ses"]
    nameless = planned(FRAME.to_numpy(dtype=object), effects)
    assert nameless.fixed_names == ("(Intercept)", "x1", "x2", "x3")
    assert nameless.factors[0].name == "x0"


@pytest.mark.parametrize("group", ["school", 0, -4])
@pytest.mark.parametrize("slope", ["ses", 1, -3])
def test_names_and_positions_mean_the_same(group, slope):
    expected = planned(FRAME, [RandomEffect("school", "ses")])
    assert planned(FRAME, [RandomEffect(group, slope)]) == expected


def test_integers_are_positions_also_where_they_are_names():
    encoder = planned(FRAME.set_axis([3, 2, 1, 0], axis=1), [RandomEffect(0)])
    assert encoder.numeric == (1, 2, 3)
    assert encoder.factors[0].name == "x0"


@pytest.mark.parametrize(
    ("fixed", "numeric", "positions"),
    [
        (None, (1, 2, 3), (0, 1, 2, 3)),
        ([], (1,), (0,)),
        ("sex", (1, 3), (0, 2)),
        (["sex", "ses"], (1, 3), (0, 1, 2)),
        ([-1, "sex"], (1, 3), (0, 2)),
        (["class"], (1, 2), (0, 2)),
    ],
)
def test_fixed_columns_in_the_order_of_the_table(fixed, numeric, positions):
    encoder = planned(FRAME, [RandomEffect("school", "ses")], fixed)
    assert encoder.numeric == numeric
    assert encoder.fixed == positions
    without = planned(FRAME, [RandomEffect("school", "ses")], fixed, fit_intercept=False)
    assert without.fixed == positions[1:]


def test_a_grouping_column_can_be_a_fixed_effect_too():
    encoder = planned(FRAME, [RandomEffect("class")], fixed=["class", "ses"])
    assert encoder.fixed_names == ("(Intercept)", "ses", "class")


def test_terms_on_one_factor_share_it():
    effects = [RandomEffect("school", "sex"), RandomEffect(0, "ses", intercept=False)]
    encoder, design = learned(FRAME, effects, fixed=[])
    assert len(encoder.factors) == len(design.factors) == 1
    assert [t.columns for t in encoder.terms] == [(0, 2), (1,)]
    assert [encoder.coefficient_names(t) for t in encoder.terms] == [
        ["(Intercept)", "sex"],
        ["ses"],
    ]
    assert design.factors[0].columns == (0, 1, 2)


def test_interactions():
    encoder, design = learned(FRAME, [RandomEffect(("school", "class"))])
    factor = encoder.factors[0]
    assert factor.name == "school:class"
    assert factor.n_levels == 4
    assert list(factor.index) == [("s1", 1), ("s1", 2), ("s2", 1), ("s2", 2)]
    assert factor.index.names == ["school", "class"]
    assert_array_equal(design.factors[0].codes, [3, 0, 2, 0, 3, 1])
    assert encoder.fixed_names == ("(Intercept)", "ses", "sex")


def test_interactions_have_the_combinations_that_occur():
    rows = FRAME.iloc[[0, 1, 3, 4]].reset_index(drop=True)
    encoder, _ = planned(rows, [RandomEffect(("school", "class"))]).learn(
        open_table(rows), NONE, Y[:4], None
    )
    factor = encoder.factors[0]
    assert list(factor.index) == [("s1", 1), ("s2", 2)]
    # s2:1 and s1:2 did not occur, s3 and class 7 are unknown, None is missing.
    new = pd.DataFrame(
        {
            "school": ["s2", "s2", "s1", "s3", None, "s1", "s1"],
            "ses": 0.0,
            "class": [2, 1, 2, 2, 1, 7, 1],
            "sex": 0,
        }
    )
    assert_array_equal(factor.codes(open_table(new), NONE), [1, -1, -1, -1, -1, -1, 0])


def test_an_unknown_label_is_no_other_combination():
    encoder, _ = learned(FRAME, [RandomEffect(("school", "class"))])
    new = FRAME.iloc[:3].assign(school=["s2", "s3", "s1"], **{"class": [7, 2, None]})
    assert_array_equal(encoder.factors[0].codes(open_table(new), NONE), -1)


def test_labels_of_an_interaction_are_not_joined_as_text():
    X = pd.DataFrame({"a": ["x:y", "x"], "b": ["z", "y:z"]})
    encoder, design = planned(X, [RandomEffect(("a", "b"))]).learn(open_table(X), NONE, Y[:2], None)
    assert encoder.factors[0].n_levels == 2
    assert design.factors[0].codes[0] != design.factors[0].codes[1]


def test_interaction_of_categories_keeps_their_order():
    X = FRAME.assign(school=pd.Categorical(FRAME["school"], categories=["s2", "s1", "s0"]))
    encoder, _ = learned(X, [RandomEffect(("school", "class"))])
    assert list(encoder.factors[0].index) == [("s2", 1), ("s2", 2), ("s1", 1), ("s1", 2)]


def test_metadata_columns():
    metadata = Metadata({"town": pd.Series(list("bbaabb"))})
    effects = [RandomEffect("town"), RandomEffect(("school", "town"))]
    encoder, design = learned(FRAME, effects, metadata=metadata)
    assert encoder.uses_metadata
    assert [f.name for f in encoder.factors] == ["town", "school:town"]
    assert_array_equal(design.factors[0].codes, [1, 1, 0, 0, 1, 1])
    assert_array_equal(design.factors[1].codes, [3, 1, 2, 0, 3, 1])
    assert encoder.fixed_names == ("(Intercept)", "ses", "class", "sex")
    assert not planned(FRAME, [RandomEffect("school")]).uses_metadata


def test_metadata_rows():
    metadata = Metadata({"a": np.array([1, 2, 3]), "b": pd.Series(list("xyz"))})
    kept = metadata.rows(np.array([True, False, True]))
    assert {name: list(column) for name, column in kept.columns.items()} == {
        "a": [1, 3],
        "b": ["x", "z"],
    }


@pytest.mark.parametrize(
    ("effect", "fixed", "message"),
    [
        ("subjct", None, r"Grouping column 'subjct' is not a column of X\. X has columns 'school'"),
        (9, None, r"Grouping column 9 is not a position in X, which has 4 columns"),
        (-5, None, r"Grouping column -5 is not a position in X"),
        (("school", "subjct"), None, "Grouping column 'subjct' is not a column of X"),
        ("school", "age", "Fixed-effects column 'age' is not a column of X"),
        ("school", [4], "Fixed-effects column 4 is not a position in X"),
        (RandomEffect("school", "age"), None, "Slope column 'age' is not a column of X"),
        (RandomEffect("school", -9), None, "Slope column -9 is not a position in X"),
        (RandomEffect("school", ["ses", 1]), None, r"'ses' is named twice in slopes=\['ses', 1\]"),
        (RandomEffect("school", [1, -3]), None, r"'ses' is named twice in slopes=\[1, -3\]"),
        ("school", ["ses", "ses"], r"Column 'ses' is named twice in fixed=\['ses', 'ses'\]"),
    ],
)
def test_columns_that_are_not_there(effect, fixed, message):
    effect = effect if isinstance(effect, RandomEffect) else RandomEffect(effect)
    with pytest.raises(ValueError, match=message):
        planned(FRAME, [effect], fixed)


@pytest.mark.parametrize("fixed", [1.5, [None], True])
def test_fixed_of_a_wrong_kind(fixed):
    with pytest.raises(TypeError, match=r"fixed=.* must name columns of X"):
        planned(FRAME, [RandomEffect("school")], fixed)


@pytest.mark.parametrize(
    ("effect", "fixed", "what"),
    [
        (RandomEffect("g"), None, "Grouping column 'g'"),
        (RandomEffect(0), "ses", "Fixed-effects column 'ses'"),
        (RandomEffect(0, "ses"), None, "Slope column 'ses'"),
    ],
)
def test_names_without_names(effect, fixed, what):
    message = rf"{what} is named, but X has no column names\. Pass a DataFrame.*set_output"
    with pytest.raises(ValueError, match=message):
        planned(FRAME.to_numpy(dtype=object), [effect], fixed)


def test_a_duplicated_name_is_ambiguous():
    X = pd.concat([FRAME, FRAME[["school"]]], axis=1)
    with pytest.raises(ValueError, match="Grouping column 'school' is the name of 2 columns of X"):
        planned(X, [RandomEffect("school")])


def test_a_name_both_in_the_table_and_in_metadata():
    metadata = Metadata({"school": FRAME["school"]})
    with pytest.raises(ValueError, match="'school' is both in X and in `groups`"):
        planned(FRAME, [RandomEffect("school")], metadata=metadata)


@pytest.mark.parametrize("groups", ["school", ("class", "school"), ("school", "class")])
def test_missing_labels(groups):
    X = FRAME.assign(school=FRAME["school"].where([True, False, True, False, False, True]))
    message = r"Grouping factor 'school' has 3 missing values \(first at row 1\)\. Drop those rows"
    with pytest.raises(ValueError, match=message):
        learned(X, [RandomEffect(groups)])
