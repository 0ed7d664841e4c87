"""Tridiagonal matrices against NumPy's dense ones."""

import numpy as np
import pytest

from skmixed._equations.linear_algebra import Tridiagonal


def dense(matrix):
    return np.diag(matrix.diagonal) + np.diag(matrix.off, 1) + np.diag(matrix.off, -1)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_products_and_solutions(n):
    rng = np.random.default_rng(n)
    matrix = Tridiagonal(3.0 + rng.random(n), rng.normal(size=n - 1))
    columns = rng.normal(size=(4, n))
    np.testing.assert_allclose(matrix.times(columns), columns @ dense(matrix), rtol=1e-12)
    # Each row of what is a column here
    found = matrix.solve(columns)
    np.testing.assert_allclose(found @ dense(matrix), columns, rtol=1e-12, atol=1e-12)


def test_matrices_that_are_not_positive_definite_have_no_solutions():
    with pytest.raises(np.linalg.LinAlgError):
        Tridiagonal(np.ones(3), np.full(2, 2.0)).solve(np.ones((1, 3)))
