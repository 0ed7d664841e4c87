import numpy as np
import pytest
from _uncertainty.test_draws import (
    CASES,
    cases,
    dense_columns,
    gathered,
    seeds,
    slopes_in_single_rows,
)
from hypothesis import given, settings
from numpy.testing import assert_allclose

from skmixed._equations.products import Root, semidefinite_root


@given(seed=seeds, name=cases)
@settings(max_examples=30, deadline=None)
def test_the_root_is_one_of_the_products_and_has_their_rank(seed, name):
    case = CASES[name](seed)
    system = case.system
    root = Root.of(system)
    dense, weights = dense_columns(case, system)
    assert root.rank == np.linalg.matrix_rank(dense)
    products = dense.T @ (weights[:, None] * dense)
    lengths = np.sqrt(np.diagonal(products))
    for i, unit in enumerate(np.eye(len(products))):
        cuts = np.cumsum([f.n_levels * f.n_columns for f in system.factors])
        *effects, beta = np.split(unit, cuts)
        own = [
            e.reshape(f.n_levels, f.n_columns).T
            for e, f in zip(effects, system.factors, strict=True)
        ]
        column = gathered(system, *root.transposed(root.times(own, beta)))
        # Rounding of sums over some hundred rows, on the columns' own scales.
        assert_allclose(column, products[i], rtol=0, atol=1e-13 * (lengths * lengths[i]).max())


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_rank_does_not_depend_on_units(scale):
    one, other = slopes_in_single_rows(), slopes_in_single_rows(scale)
    ranks = [Root.of(c.system).rank for c in (one, other)]
    assert ranks[0] == ranks[1]


def test_semidefinite_root_of_nothing_and_of_zeros():
    assert semidefinite_root(np.empty((0, 0)), np.empty(0)).shape == (0, 0)
    # What rounding leaves of a column that other columns have taken.
    left = np.full((1, 1), 1e-17)
    assert semidefinite_root(left, np.ones(1)).shape == (0, 1)
