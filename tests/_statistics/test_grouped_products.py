"""Products within levels and cells, of columns in frames of their own."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skmixed._statistics import accumulator
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import Frame, residuals
from skmixed._statistics.grouped_products import FactorProducts, PairProducts

# Share of the second slope that the first one does not have.
NEAR = 1e-6
# Its rounding, of some ten operations on numbers up to 5, over that share.
CLOSE = 1e-8


def near_columns(rng, n):
    """A column that no factor has, and two slopes that are nearly the same."""
    x = rng.normal(size=(3, n))
    x[2] = x[1] + NEAR * x[2] + 3.0
    return tuple(x)


def near_design(seed, n=240, *, is_weighted=False):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 2.0, n) if is_weighted else None
    factors = tuple(FactorDesign(rng.permutation(n) % q, q, (0, 2, 3)) for q in (6, 4))
    return Design(near_columns(rng, n), (rng.normal(size=n),), weights, factors)


def own_rows(design, stats, k):
    """The rows f of a factor by the definition, (n, r), and the weights."""
    columns = [np.ones(design.n_rows), *design.columns]
    factor = stats.factors[k]
    rows = np.stack([columns[c] - stats.center[c] for c in factor.columns], axis=1)
    weights = np.ones(design.n_rows) if design.weights is None else design.weights
    return residuals(rows, factor.regression), weights


def assert_of_definition(stats, design):
    for k, factor in enumerate(design.factors):
        rows, weights = own_rows(design, stats, k)
        lengths = np.linalg.norm(rows, axis=0)
        assert lengths[2] < 3 * NEAR * lengths[1]
        for j, found in enumerate(stats.own_products(k)):
            own = rows[factor.codes == j]
            expected = (own * weights[factor.codes == j, None]).T @ own
            assert_allclose(
                found / np.outer(lengths, lengths),
                expected / np.outer(lengths, lengths),
                rtol=0,
                atol=CLOSE,
            )


@pytest.mark.parametrize("is_weighted", [False, True])
def test_products_keep_the_digits_of_nearly_dependent_slopes(is_weighted):
    design = near_design(0, is_weighted=is_weighted)
    stats = accumulate(design)
    assert_of_definition(stats, design)
    (pair,) = stats.pairs
    (f, weights), (g, _) = own_rows(design, stats, 0), own_rows(design, stats, 1)
    system = pair.matrix.toarray().reshape(6, 3, 4, 3)
    scale = np.outer(*(np.linalg.norm(rows, axis=0) for rows in (f, g)))
    for i in range(6):
        for j in range(4):
            cell = (design.factors[0].codes == i) & (design.factors[1].codes == j)
            expected = (f[cell] * weights[cell, None]).T @ g[cell]
            assert_allclose(system[i, :, j] / scale, expected / scale, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("stops", [(0, 120, 240), (0, 20, 40, 60, 240), (0, 235, 240)])
def test_parts_add_up_to_the_products_of_all_rows(stops, monkeypatch):
    design = near_design(1)
    parts = [accumulate(design.rows(slice(*place))) for place in pairwise(stops)]
    stats = parts[0]
    for part in parts[1:]:
        stats = stats + part
    assert_of_definition(stats, design)
    monkeypatch.setattr(accumulator, "BLOCK_ROWS", 50)
    system = accumulate(design)
    assert_of_definition(system, design)
    cells, other = system.in_frame_of(stats).pairs[0].matrix, stats.pairs[0].matrix
    scale = np.abs(other.toarray()).reshape(6, 3, 4, 3).max(axis=(0, 2))
    difference = (cells - other).toarray().reshape(6, 3, 4, 3)
    assert np.all(np.abs(difference).max(axis=(0, 2)) <= 1e3 * CLOSE * scale)


def test_columns_of_the_whole_design_may_need_a_frame_where_a_factor_has_none():
    rng = np.random.default_rng(0)
    x = near_columns(rng, 200)
    stats = accumulate(
        Design(x, (rng.normal(size=200),), None, (FactorDesign(np.arange(200) % 5, 5, (0, 1, 3)),))
    )
    assert stats.regression is not None
    assert stats.factors[0].regression is None


def test_columns_that_depend_on_others_exactly_stay_as_they_are():
    rng = np.random.default_rng(0)
    dummies = np.eye(3)[rng.integers(3, size=200)]
    factor = FactorDesign(np.arange(200) % 5, 5, (0, 1, 2, 3))
    stats = accumulate(Design(tuple(dummies.T), (rng.normal(size=200),), None, (factor,)))
    assert stats.regression is not None
    assert stats.factors[0].regression is None


def test_products_move_with_the_frames_of_their_rows():
    rng = np.random.default_rng(0)
    n, q, k = 60, 4, 3
    columns, codes = rng.normal(size=(n, k)), np.arange(n) % q
    columns[:, 0] = 1.0
    z = np.eye(q)[codes]
    frames = [
        Frame(np.array([0.0, *rng.normal(size=2)]), np.triu(rng.normal(size=(k, k)), 1) + np.eye(k))
        for _ in range(2)
    ]

    def products(frame):
        rows = frame.in_frame(columns - frame.center)
        found = np.einsum("nq,na,nb->qab", z, rows, rows)
        return FactorProducts((0, 1, 2), found, 0, np.full(q, n // q), frame.regression)

    first, second = map(products, frames)
    change = frames[0].change_to(frames[1])
    moved = first.moved(change, change, frames[1].regression)
    # A dozen operations on sums of 15 products of numbers of order 1 to 10.
    assert_allclose(moved.products, second.products, rtol=0, atol=1e-10)
    assert moved.regression is frames[1].regression

    def cells(a, b):
        f, g = (own.in_frame(columns - own.center) for own in (a, b))
        rows = [np.einsum("nq,na->nqa", z, own).reshape(n, -1) for own in (f, g)]
        return PairProducts(0, 1, sp.csr_array(rows[0].T @ rows[1]))

    pair = cells(frames[0], frames[1]).moved(change, frames[1].change_to(frames[0]))
    expected = cells(frames[1], frames[0]).matrix.toarray()
    assert_allclose(pair.matrix.toarray(), expected, rtol=0, atol=1e-10)
