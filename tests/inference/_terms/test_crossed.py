import numpy as np
import pandas as pd
import pytest
from random_families import means_of

from skmixed.inference._terms.crossed import CrossedCells

ROWS = np.random.default_rng(0).normal(size=(6, 4))


def estimates(rows, n_a, n_b):
    return means_of(rows, np.zeros(rows.shape[1]), np.eye(rows.shape[1]), n_a, n_b).estimates


def crossed(rows=ROWS, n_a=3, n_b=2):
    return CrossedCells.of(estimates(rows, n_a, n_b))


def test_main_effects_are_differences_of_means():
    means = (ROWS[:3] + ROWS[3:]) / 2  # a varies fastest
    np.testing.assert_allclose(crossed().effect(["a"], {}), np.diff(means, axis=0))
    found = crossed().effect(["b"], {})
    np.testing.assert_allclose(found[0], ROWS[3:].mean(axis=0) - ROWS[:3].mean(axis=0))


def test_interactions_are_differences_of_differences():
    found = crossed().effect(["a", "b"], {})
    np.testing.assert_allclose(found, np.diff(ROWS[3:], axis=0) - np.diff(ROWS[:3], axis=0))


def test_within_a_value_of_another():
    found = crossed().effects({"b": 1})
    assert list(found) == ["a"]
    np.testing.assert_allclose(found["a"], np.diff(ROWS[3:], axis=0))
    np.testing.assert_allclose(crossed().differences({"b": 1}), np.diff(ROWS[3:], axis=0))


def test_any_order_of_the_cells():
    own, order = estimates(ROWS, 3, 2), [4, 0, 2, 3, 1, 5]
    cells = own.cells.iloc[order].reset_index(drop=True)
    shuffled = CrossedCells.of(type(own)(cells, own.rows[order], np.zeros(6), own.tests))
    # Levels in the order of their appearance: b, a, c and B, A
    np.testing.assert_allclose(shuffled.effect(["b"], {}), -crossed().effect(["b"], {}))
    np.testing.assert_allclose(shuffled.rows[1, 1], crossed().rows[0, 0])


def test_effects_that_are_not_there_have_no_rows():
    a, b = np.array([1.0, 2.0, 4.0]) / 3.0, np.array([0.1, 0.7])
    additive = np.column_stack([np.tile(a, 2), np.repeat(b, 3)])
    assert list(crossed(additive).effects({})) == ["a", "b"]
    assert list(crossed(additive[:, :1]).effects({})) == ["a"]
    assert list(crossed().effects({})) == ["a", "b", "a:b"]


def test_all_differences_of_cells():
    assert crossed().differences({}).shape == (5, 4)


def test_combinations_that_are_missing_are_refused():
    own = estimates(ROWS, 3, 2)
    some = type(own)(own.cells.head(5), own.rows[:5], np.zeros(5), own.tests)
    with pytest.raises(ValueError, match="The table has 5 of 6 combinations of 'a', 'b'"):
        CrossedCells.of(some)


def test_values_may_be_of_any_kind():
    own = estimates(ROWS, 3, 2)
    cells = pd.DataFrame({"a": pd.Categorical(["x", "y", "z"] * 2), "b": [0.5] * 3 + [1.0] * 3})
    found = CrossedCells.of(type(own)(cells, ROWS, np.zeros(6), own.tests))
    assert found.rows.shape == (3, 2, 4)


# Of the classes p to t three are in the school A, and two in B; beside them a factor c of two
# levels.
PAIRS = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]], dtype=bool)
NESTED = np.random.default_rng(1).normal(size=(5, 2, 2, 3))
SCHOOLS = CrossedCells(("class", "school", "c"), NESTED, {"class": {"school": PAIRS}})
OF_A, OF_B = NESTED[[0, 2, 4], 0], NESTED[[1, 3], 1]


def test_nested_factors_are_averaged_over_within_their_own():
    np.testing.assert_allclose(
        SCHOOLS.effect(["school"], {})[0], OF_B.mean(axis=(0, 1)) - OF_A.mean(axis=(0, 1))
    )
    # Each school counts alike, whatever its number of classes
    of_c = (np.diff(OF_A.mean(axis=0), axis=0) + np.diff(OF_B.mean(axis=0), axis=0)) / 2.0
    np.testing.assert_allclose(SCHOOLS.effect(["c"], {}), of_c)


def test_nested_factors_have_effects_within_their_own():
    found = SCHOOLS.effect(["class", "school"], {})
    expected = [*np.diff(OF_A.mean(axis=1), axis=0), *np.diff(OF_B.mean(axis=1), axis=0)]
    np.testing.assert_allclose(found, expected)
    found = SCHOOLS.effect(["class", "school", "c"], {})
    expected = [np.diff(np.diff(own, axis=0), axis=1).reshape(-1, 3) for own in (OF_A, OF_B)]
    np.testing.assert_allclose(found, np.concatenate(expected))


def test_nested_factors_are_terms_with_what_they_are_nested_in():
    assert list(SCHOOLS.effects({})) == [
        "school", "c", "class:school", "school:c", "class:school:c",
    ]  # fmt: skip
    within = SCHOOLS.effects({"school": 1})
    assert list(within) == ["class", "c", "class:c"]
    np.testing.assert_allclose(within["class"], np.diff(OF_B.mean(axis=1), axis=0))


def test_differences_of_nested_factors_are_those_of_cells_that_may_be_there():
    assert SCHOOLS.differences({}).shape == (9, 3)
    assert SCHOOLS.differences({"school": 0}).shape == (5, 3)
