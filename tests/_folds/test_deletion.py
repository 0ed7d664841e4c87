"""Measures of what a deletion changes, against their formulas."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._folds.deletion import Deletion


def make():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(4, 3, 3)) + 3.0 * np.eye(3)
    return Deletion(rng.normal(size=3), np.tril(roots[0]), rng.normal(size=(3, 3)), roots[1:])


def test_measures_are_their_formulas():
    own = make()
    whole = own.root @ own.root.T
    for j, root in enumerate(own.roots):
        without, d = root @ root.T, own.beta - own.betas[j]
        # Rounding of solves with condition numbers below 100
        close = {"rtol": 1e-12}
        assert_allclose(own.changes[j], -d)
        assert_allclose(own.dfbetas[j], d / np.sqrt(np.diagonal(without)), **close)
        assert_allclose(own.cooks_distance[j], d @ np.linalg.solve(whole, d) / 3, **close)
        assert_allclose(own.mdffits[j], d @ np.linalg.solve(without, d) / 3, **close)
        ratio = np.linalg.det(without) / np.linalg.det(whole)
        assert_allclose(own.covratio[j], ratio, **close)
        trace = abs(np.trace(np.linalg.solve(whole, without)) - 3)
        assert_allclose(own.covtrace[j], trace, **close)


def test_what_is_not_known_is_nan_and_nothing_else():
    own = make()
    expected = own.mdffits
    own.betas[1], own.roots[1], own.roots[2] = np.nan, np.nan, 0.0
    for name in ("cooks_distance", "mdffits", "covratio", "covtrace"):
        values = getattr(own, name)
        assert np.isnan(values[1])
        assert np.isfinite(values[0])
    assert_array_equal(np.isnan(own.mdffits), [False, True, True])
    assert own.mdffits[0] == expected[0]
