import numpy as np
import pandas as pd
import pytest
from random_families import means_of

from skmixed.inference._terms.crossed import CrossedCells


def crossed(rows, n_a, n_b, order=None):
    means = means_of(rows, np.zeros(rows.shape[1]), np.eye(rows.shape[1]), n_a, n_b)
    places = np.arange(n_a * n_b) if order is None else np.array(order)
    return CrossedCells.of(means.estimates, ["a", "b"], places)


ROWS = np.random.default_rng(0).normal(size=(6, 4))


def test_main_effects_are_differences_of_means():
    found = crossed(ROWS, 3, 2).effect(["a"])
    means = (ROWS[:3] + ROWS[3:]) / 2  # a varies fastest
    np.testing.assert_allclose(found, np.diff(means, axis=0))
    found = crossed(ROWS, 3, 2).effect(["b"])
    np.testing.assert_allclose(found[0], ROWS[3:].mean(axis=0) - ROWS[:3].mean(axis=0))


def test_interactions_are_differences_of_differences():
    found = crossed(ROWS, 3, 2).effect(["a", "b"])
    np.testing.assert_allclose(found, np.diff(ROWS[3:], axis=0) - np.diff(ROWS[:3], axis=0))


def test_any_order_of_the_cells():
    order = [4, 0, 2, 3, 1, 5]
    shuffled = crossed(ROWS, 3, 2, order)
    plain = crossed(ROWS, 3, 2)
    # Levels in the order of their appearance: b, a, c and B, A
    np.testing.assert_allclose(shuffled.effect(["b"]), -plain.effect(["b"]))
    np.testing.assert_allclose(shuffled.rows[1, 1], plain.rows[0, 0])


def test_effects_that_are_not_there_have_no_rows():
    a, b = np.array([1.0, 2.0, 4.0]) / 3.0, np.array([0.1, 0.7])
    additive = np.column_stack([np.tile(a, 2), np.repeat(b, 3)])
    assert list(crossed(additive, 3, 2).effects()) == ["a", "b"]
    assert list(crossed(additive[:, :1], 3, 2).effects()) == ["a"]
    assert list(crossed(ROWS, 3, 2).effects()) == ["a", "b", "a:b"]


def test_all_differences_of_cells():
    assert crossed(ROWS, 3, 2).differences().shape == (5, 4)


def test_combinations_that_are_missing_are_refused():
    with pytest.raises(ValueError, match="The table has 5 of 6 combinations of 'a', 'b'"):
        crossed(ROWS, 3, 2, range(5))


def test_values_may_be_of_any_kind():
    means = means_of(ROWS, np.zeros(4), np.eye(4), 3, 2)
    cells = pd.DataFrame({"a": pd.Categorical(["x", "y", "z"] * 2), "b": [0.5] * 3 + [1.0] * 3})
    own = type(means.estimates)(cells, ROWS, np.zeros(6), means.estimates.tests)
    found = CrossedCells.of(own, ["a", "b"], np.arange(6))
    assert found.rows.shape == (3, 2, 4)
