from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from skmixed import RandomEffect
from skmixed._data.parameters import as_columns
from skmixed._data.random_effect import parse_groups


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("g", "g"),
        (2, 2),
        (-1, -1),
        (np.int64(2), 2),
        (("a", "b"), ("a", "b")),
        (["a", np.int32(1)], ("a", 1)),
        (("a",), "a"),
    ],
)
def test_groups_are_coerced(groups, expected):
    found = RandomEffect(groups).groups
    assert found == expected
    parts = found if isinstance(found, tuple) else (found,)
    assert {type(part) for part in parts} <= {str, int}


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [
        ((), ()),
        ("x", ("x",)),
        (3, (3,)),
        (["x", np.int64(1)], ("x", 1)),
        ((name for name in "xy"), ("x", "y")),
        (np.array(["x", "y"]), ("x", "y")),
        (pd.Index([1, 2]), (1, 2)),
    ],
)
def test_slopes_are_coerced_to_a_tuple(slopes, expected):
    assert RandomEffect("g", slopes).slopes == expected


@pytest.mark.parametrize("name", ["groups", "slopes", "intercept", "covariance", "other"])
def test_frozen(name):
    with pytest.raises(FrozenInstanceError):
        setattr(RandomEffect("g"), name, "x")


@pytest.mark.parametrize(
    "effect",
    [
        RandomEffect("g"),
        RandomEffect(("a", 1)),
        RandomEffect(0, "x", intercept=False),
        RandomEffect("g", ["x", -1], covariance="diag"),
    ],
)
def test_repr_makes_the_same_effect(effect):
    assert eval(repr(effect)) == effect


def test_repr_leaves_defaults_out():
    assert repr(RandomEffect("g")) == "RandomEffect('g')"
    assert (
        repr(RandomEffect("g", "x", intercept=False, covariance="diag"))
        == "RandomEffect('g', slopes=('x',), intercept=False, covariance='diag')"
    )


def test_equality_and_hash():
    effect = RandomEffect("g", ["x"])
    same = RandomEffect(["g"], "x")
    assert effect == same
    assert hash(effect) == hash(same)
    others = {
        RandomEffect("h", "x"),
        RandomEffect("g"),
        RandomEffect("g", "x", intercept=False),
        RandomEffect("g", "x", covariance="full"),
    }
    assert effect not in others
    assert len(others) == 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([True],), TypeError, r"groups=\[True\] must name columns"),
        ((True,), TypeError, "groups must name columns .* got True of type bool"),
        ((1.5,), TypeError, "groups must name columns .* got 1.5 of type float"),
        ((None,), TypeError, "groups must name columns .* got None of type NoneType"),
        (((),), ValueError, r"groups=\(\) names no column"),
        ((("a", "a"),), ValueError, r"Column 'a' is named twice in groups=\['a', 'a'\]"),
        (("g", None), TypeError, "slopes=None must name columns"),
        (("g", [1.0]), TypeError, r"slopes=\[1.0\] must name columns"),
        (("g", True), TypeError, "slopes=True must name columns"),
        (("g", ["x", "x"]), ValueError, r"Column 'x' is named twice in slopes=\['x', 'x'\]"),
        (("g", [1, np.int64(1)]), ValueError, r"Column 1 is named twice in slopes=\[1, 1\]"),
    ],
)
def test_bad_columns(arguments, error, message):
    with pytest.raises(error, match=message):
        RandomEffect(*arguments)


def test_no_coefficient():
    with pytest.raises(ValueError, match=r"RandomEffect\('g'\) has no coefficient"):
        RandomEffect("g", intercept=False)


@pytest.mark.parametrize("covariance", ["Full", 1, ["full"], ""])
def test_unknown_covariance_of_an_effect(covariance):
    with pytest.raises(
        ValueError, match=r"is not known\. Choose one of 'full', 'diag', 'spherical'"
    ):
        RandomEffect("g", covariance=covariance)


def effect(groups, slopes=(), covariance="full", **options):
    return RandomEffect(groups, slopes, covariance=covariance, **options)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("a", [effect("a")]),
        (0, [effect(0)]),
        (np.int64(-1), [effect(-1)]),
        (["a"], [effect("a")]),
        (["a", 1], [effect("a"), effect(1)]),
        ([("a", "b")], [effect(("a", "b"))]),
        (["a", ("a", "b")], [effect("a"), effect(("a", "b"))]),
        (RandomEffect("a", "x"), [effect("a", "x")]),
        ([RandomEffect("a", "x", covariance="diag"), "b"], [effect("a", "x", "diag"), effect("b")]),
        (None, []),
    ],
)
def test_forms_of_groups(groups, expected):
    assert parse_groups(groups, None, "full") == tuple(expected)


def test_metadata_columns_are_factors_where_the_constructor_names_none():
    assert parse_groups(None, None, "diag", ["a", "b"]) == (
        effect("a", covariance="diag"),
        effect("b", covariance="diag"),
    )
    assert parse_groups("c", None, "full", ["a", "b"]) == (effect("c"),)


@pytest.mark.parametrize("slopes", ["x", ["x"], ("x",)])
@pytest.mark.parametrize("groups", ["a", ["a"]])
def test_random_slopes_are_shorthand(groups, slopes):
    assert parse_groups(groups, slopes, "diag") == (effect("a", "x", "diag"),)


def test_random_slopes_of_metadata_and_interactions():
    assert parse_groups(None, "x", "full", ["a"]) == (effect("a", "x"),)
    assert parse_groups([("a", "b")], "x", "full") == (effect(("a", "b"), "x"),)


@pytest.mark.parametrize("own", [None, "full", "diag", "spherical"])
@pytest.mark.parametrize("intercept", [True, False])
def test_an_effect_keeps_its_own_covariance(own, intercept):
    given = RandomEffect("a", ["x", "y"], intercept=intercept, covariance=own)
    found = parse_groups(given, None, "spherical")
    assert found == (effect("a", ("x", "y"), own or "spherical", intercept=intercept),)


@pytest.mark.parametrize(
    "labels", [np.array([1, 2]), pd.Series([1, 2]), {"a": 1}, {"a"}, b"a", 1.5, True]
)
def test_labels_in_place_of_names(labels):
    name = type(labels).__name__
    message = rf"got {name}. Give labels to fit\(X, y, groups=labels\)"
    with pytest.raises(TypeError, match=message):
        parse_groups(labels, None, "full")


def test_a_bare_tuple_is_offered_both_meanings():
    message = (
        r"groups=\('a', 'b'\) is ambiguous. Write \['a', 'b'\] for crossed or nested .*"
        r"\[\('a', 'b'\)\] for the interaction"
    )
    with pytest.raises(ValueError, match=message):
        parse_groups(("a", "b"), None, "full")


@pytest.mark.parametrize(
    ("groups", "slopes", "error", "message"),
    [
        ([], None, ValueError, r"groups=\[\] names no grouping factor. Use groups=None"),
        ([()], None, ValueError, r"groups=\(\) names no column"),
        ([1.5], None, TypeError, "got 1.5 of type float"),
        ([np.array([1])], None, TypeError, r"got array\(\[1\]\) of type ndarray"),
        (None, "x", ValueError, r"random_slopes=\['x'\] needs a grouping factor"),
        (["a", "b"], "x", ValueError, r"random_slopes=\['x'\] is shorthand for one .* there are 2"),
        (RandomEffect("a"), "x", ValueError, r"\['x'\] and a RandomEffect exclude each other"),
        ([RandomEffect("a")], "x", ValueError, r"\['x'\] and a RandomEffect exclude each other"),
        ("a", 1.5, TypeError, "random_slopes=1.5 must name columns"),
        ("a", True, TypeError, "random_slopes=True must name columns"),
        ("a", [None], TypeError, r"random_slopes=\[None\] must name columns"),
        ("a", ["x", "x"], ValueError, r"Column 'x' is named twice in random_slopes="),
    ],
)
def test_bad_parameters(groups, slopes, error, message):
    with pytest.raises(error, match=message):
        parse_groups(groups, slopes, "full")


@pytest.mark.parametrize("covariance", ["unstructured", None, 3])
def test_unknown_covariance(covariance):
    with pytest.raises(ValueError, match=f"covariance={covariance!r} is not known. Choose one of"):
        parse_groups("a", None, covariance)


def test_columns_of_a_one_dimensional_array():
    assert as_columns(np.array([2, 0]), "fixed") == (2, 0)
