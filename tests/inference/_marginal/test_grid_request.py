import numpy as np
import pytest

from skmixed.inference._marginal.grid_request import GridRequest


def test_variables_of_by_stand_behind_the_others_and_values_are_lists():
    found = GridRequest.of("a", ["b", "c"], {"a": 1, "b": "x", "c": (2, 3)})
    assert (found.targets, found.by, found.variables) == (("a", "b", "c"), ("b", "c"), ["a"])
    assert found.at == {"a": [1], "b": ["x"], "c": [2, 3]}
    assert GridRequest.of(None, None, None) == GridRequest((), (), {})


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (("a", "a", None), ValueError, "'a' is in `variables` and in `by`"),
        ((["a", "a"], None, None), ValueError, "names a variable twice"),
        ((3, None, None), TypeError, "variables=3 does not name variables"),
        (("a", None, [1]), TypeError, "at=\\[1\\] is of type list"),
        (("a", None, {"a": []}), ValueError, "at\\['a'\\] is empty"),
    ],
)
def test_messages_before_anything_is_known_of_the_model(given, kind, said):
    with pytest.raises(kind, match=said):
        GridRequest.of(*given)


def test_single_values_in_an_array_are_values_and_mappings_are_none():
    assert GridRequest.of("f", None, {"x": np.array(2.0)}).at == {"x": [2.0]}
    with pytest.raises(TypeError, match=r"at\['x'\]=\{1: 2\} is a mapping"):
        GridRequest.of("f", None, {"x": {1: 2}})
