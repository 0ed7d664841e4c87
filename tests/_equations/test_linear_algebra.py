"""Cells in the core, and matrices of LAPACK, against NumPy's dense ones."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmixed._equations import linear_algebra
from skmixed._equations.linear_algebra import cholesky_lower, inverse_of_cholesky


@pytest.mark.parametrize("n", [0, 1, 7, 9, 30])
def test_the_inverse_by_squares_is_symmetric(n, monkeypatch):
    """Of fewer and more rows than a square has, and of several squares."""
    monkeypatch.setattr(linear_algebra, "SQUARE", 8)
    root = np.random.default_rng(n).normal(size=(n, n))
    matrix = root @ root.T + n * np.eye(n)
    kept = matrix.copy()
    chol = cholesky_lower(matrix)
    assert_allclose(chol, np.linalg.cholesky(matrix), atol=1e-12)
    inverse = inverse_of_cholesky(chol)
    assert_allclose(inverse @ kept, np.eye(n), atol=1e-12)
    np.testing.assert_array_equal(inverse, inverse.T)
    np.testing.assert_array_equal(matrix, kept)
    assert_allclose(cholesky_lower(matrix, is_kept=False), chol, atol=1e-12)


def test_matrices_that_are_not_positive_definite_have_no_factor():
    with pytest.raises(np.linalg.LinAlgError):
        cholesky_lower(np.array([[1.0, 2.0], [2.0, 1.0]]))
