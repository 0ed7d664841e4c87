"""Sums over the rows of each fold, in the frame of all rows."""

import numpy as np
import pytest
from dense_folds import fold_case
from numpy.testing import assert_allclose

from skmixed._statistics.accumulator import accumulate


@pytest.mark.parametrize("kind", ["", "weights", "collinear", "no intercept"])
def test_folds_add_up_to_all_rows_and_leave_the_others(kind):
    case = fold_case(1, kind=kind, n_folds=5)
    totals, stats, k = case.totals, case.stats, 4
    assert (stats.regression is None) == (kind != "collinear")
    whole = np.block(
        [
            [stats.total, stats.responses.total.with_columns],
            [stats.responses.total.with_columns.T, np.diag(stats.responses.total.squares)],
        ]
    )
    # Sums in another order
    scale = np.sqrt(np.outer(np.diagonal(whole), np.diagonal(whole)))
    assert_allclose(totals.products.sum(axis=0) / scale, whole / scale, atol=1e-12)
    assert totals.counts.sum() == stats.n_rows
    assert_allclose(totals.log_weights.sum(), stats.sum_log_weights)
    for number in range(5):
        others = np.flatnonzero(case.fold_of_level != number)
        own = totals.without(stats, number, others)
        rows = np.flatnonzero(case.fold != number)
        design = case.design.picked(rows)
        expected = accumulate(design).in_frame_of(own)
        assert own.n_rows == len(rows)
        assert_allclose(own.sum_log_weights, expected.sum_log_weights)
        raw = np.sqrt(np.diagonal(whole)[:k])
        assert_allclose(
            own.total / np.outer(raw, raw), expected.total / np.outer(raw, raw), atol=1e-11
        )
        products = expected.factors[0].products[others]
        assert_allclose(own.factors[0].products, products, atol=1e-9 * np.abs(products).max())
