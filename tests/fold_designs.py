"""Designs with three factors, and when two statistics are the same."""

import numpy as np

from skmixed._statistics.design import Design, FactorDesign


def make_design(rng, n=60, *, weighted=False):
    columns = tuple(rng.normal(size=(3, n)) + 5.0)
    response = (rng.normal(size=n) + columns[0],)
    weights = rng.uniform(0.5, 2.0, n) if weighted else None
    factors = (
        FactorDesign(rng.integers(0, 6, n), 6, (0, 1)),
        FactorDesign(rng.integers(0, 4, n), 4, (0, 2, 3)),
        FactorDesign(rng.integers(0, 3, n), 3, (0,)),
    )
    return Design(columns, response, weights, factors)


def assert_same_sums(found, expected):
    """Compare in the frame of the one; the rounding of both is of order 1e-15 of a sum."""
    found = found.in_frame_of(expected)
    close = {"rtol": 1e-11, "atol": 1e-11}
    assert found.n_rows == expected.n_rows
    np.testing.assert_allclose(found.sum_log_weights, expected.sum_log_weights, **close)
    np.testing.assert_allclose(found.total, expected.total, **close)
    np.testing.assert_allclose(found.sum_of_rows, expected.sum_of_rows, **close)
    for name in ("with_columns", "squares"):
        own = (getattr(stats.responses.total, name) for stats in (found, expected))
        np.testing.assert_allclose(*own, **close)
        own = (getattr(stats.responses.sum_of_rows, name) for stats in (found, expected))
        np.testing.assert_allclose(*own, **close)
    for mine, its in zip(found.factors, expected.factors, strict=True):
        assert mine.columns == its.columns
        np.testing.assert_array_equal(mine.counts, its.counts)
        np.testing.assert_allclose(mine.products, its.products, **close)
    for mine, its in zip(found.pairs, expected.pairs, strict=True):
        assert (mine.first, mine.second) == (its.first, its.second)
        assert mine.matrix.nnz == its.matrix.nnz
        np.testing.assert_allclose(mine.matrix.toarray(), its.matrix.toarray(), **close)
