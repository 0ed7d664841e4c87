"""Rows in parts, over levels that grow in number."""

from dataclasses import replace

import numpy as np
import pytest
from fold_designs import assert_same_sums
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case

from skmixed._statistics import accumulator as accumulator_module
from skmixed._statistics import row_block
from skmixed._statistics.accumulator import Accumulator, accumulate, accumulate_parts
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import Frame


def part(design, rows):
    """Some rows; only the levels numbered so far are known."""
    own = design.rows(rows)
    n_levels = [int(f.codes[: rows.stop].max()) + 1 for f in design.factors]
    pairs = zip(own.factors, n_levels, strict=True)
    return replace(own, factors=tuple(replace(f, n_levels=q) for f, q in pairs))


def in_order_of_appearance(design):
    factors = []
    for f in design.factors:
        _, first, codes = np.unique(f.codes, return_index=True, return_inverse=True)
        factors.append(replace(f, codes=np.argsort(np.argsort(first))[codes]))
    return replace(design, factors=tuple(factors))


def assert_same(found, expected):
    found = found.in_frame_of(expected)
    scale = np.abs(expected.total).max()
    assert found.n_rows == expected.n_rows
    # Rounding of some hundred terms of the size of the squares.
    close = {"atol": 1e-12 * scale, "rtol": 0}
    assert_allclose(found.total, expected.total, **close)
    of_y, expected_of_y = found.responses.total, expected.responses.total
    y_scale = expected_of_y.squares.max()
    close_to_y = {"atol": 1e-12 * max(scale, y_scale), "rtol": 0}
    assert_allclose(of_y.with_columns, expected_of_y.with_columns, **close_to_y)
    assert_allclose(of_y.squares, expected_of_y.squares, **close_to_y)
    for f, g in zip(found.factors, expected.factors, strict=True):
        assert_array_equal(f.counts, g.counts)
        assert_allclose(f.sums, g.sums, **close)
        assert_allclose(f.responses, g.responses, **close_to_y)
    for p, q in zip(found.pairs, expected.pairs, strict=True):
        assert p.matrix.shape == q.matrix.shape
        assert_array_equal(p.matrix.indices, q.matrix.indices)
        assert_array_equal(p.matrix.indptr, q.matrix.indptr)
        assert_allclose(p.matrix.data, q.matrix.data, **close)


@given(seed=st.integers(0, 10**6), size=st.integers(1, 30), block=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_parts_with_levels_that_grow(seed, size, block):
    case = random_case(seed, n_terms=3)
    design = in_order_of_appearance(case.design)
    expected = accumulate(design)
    before, accumulator_module.BLOCK_ROWS = accumulator_module.BLOCK_ROWS, block
    try:
        accumulator = Accumulator()
        starts = range(0, design.n_rows, size)
        for start in starts:
            accumulator.add(part(design, slice(start, start + size)))
            if start == starts[len(starts) // 2]:  # continued from a copy
                accumulator = Accumulator(accumulator.products())
        assert_same(accumulator.products(), expected)
    finally:
        accumulator_module.BLOCK_ROWS = before


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_levels_numbered_anew(seed):
    case = random_case(seed, n_terms=3)
    rng = np.random.default_rng(seed)
    stats = case.stats
    sizes = [len(f.counts) + int(rng.integers(0, 4)) for f in stats.factors]
    places = [
        rng.permutation(q)[: len(f.counts)] for q, f in zip(sizes, stats.factors, strict=True)
    ]
    factors = tuple(
        FactorDesign(place[f.codes], q, f.columns)
        for f, place, q in zip(case.design.factors, places, sizes, strict=True)
    )
    assert_same(stats.aligned(places, sizes), accumulate(replace(case.design, factors=factors)))


def test_what_costs_as_much_as_the_levels_is_shared_by_as_many_rows(monkeypatch):
    rng = np.random.default_rng(0)
    q, n_parts = 1_000, 2_000
    monkeypatch.setattr(accumulator_module, "BLOCK_ROWS", 8)
    sums, seen = [], CrossProducts.plus
    monkeypatch.setattr(
        CrossProducts, "plus", lambda *a, **k: sums.append(None) or seen(*a, **k), raising=True
    )
    accumulator = Accumulator()
    for _ in range(n_parts):
        columns = (rng.normal(size=10),)
        factors = (FactorDesign(rng.integers(0, q, 10), q, (0,)),)
        accumulator.add(Design(columns, (rng.normal(size=10),), None, factors))
    assert len(sums) < 10 * n_parts / q
    assert accumulator.products().n_rows == 10 * n_parts


def test_the_center_moves_a_logarithmic_number_of_times(monkeypatch):
    monkeypatch.setattr(accumulator_module, "BLOCK_ROWS", 10)
    moves, seen = [], CrossProducts.reframed

    def counted(self, frame, *own):
        # Moves of the sum, which is what holds all levels, not of one block of it.
        if self.n_rows > 20 and not np.array_equal(frame.center, self.center):
            moves.append(frame)
        return seen(self, frame, *own)

    monkeypatch.setattr(CrossProducts, "reframed", counted)
    accumulator, n_parts = Accumulator(), 3_000
    time = 1.7e9 + np.arange(10.0 * n_parts)  # each part lies beyond all before
    for start in range(0, len(time), 10):
        own = time[start : start + 10]
        factors = (FactorDesign(np.arange(10), 10, (0, 1)),)
        accumulator.add(Design((own,), (own % 7,), None, factors))
    assert len(moves) <= np.log2(n_parts) + 1
    expected = ((time - time.mean()) ** 2).sum()
    assert_allclose(accumulator.products().centered_squares[1], expected, rtol=1e-12)


def test_cells_are_joined_a_logarithmic_number_of_times(monkeypatch):
    monkeypatch.setattr(accumulator_module, "BLOCK_ROWS", 1)
    rng = np.random.default_rng(0)
    q, n_parts = 30, 600
    joined, seen = [], accumulator_module.PairProducts.__add__

    def counted(self, other):
        joined.append(self.matrix.nnz + other.matrix.nnz)
        return seen(self, other)

    monkeypatch.setattr(accumulator_module.PairProducts, "__add__", counted)
    accumulator = Accumulator()
    for _ in range(n_parts):
        factors = tuple(FactorDesign(rng.integers(0, q, q), q, (0,)) for _ in range(2))
        accumulator.add(Design((), (rng.normal(size=q),), None, factors))
    assert accumulator.products().pairs[0].matrix.nnz == q * q
    assert sum(joined) < 3 * n_parts * q * np.log2(n_parts)


@pytest.mark.slow
def test_three_thousand_parts_far_from_zero(monkeypatch):
    rng = np.random.default_rng(1)
    x = 1e8 + rng.normal(size=(3_000, 10))
    x[0] = 0.0  # of no weight to speak of, and unlike all others
    weights = np.ones_like(x)
    weights[0] = 1e-12
    codes = np.arange(10) % 2
    factors = (FactorDesign(codes, 2, (0, 1)),)
    monkeypatch.setattr(accumulator_module, "BLOCK_ROWS", 10)
    accumulator, total = Accumulator(), None
    for k, (own, w) in enumerate(zip(x, weights, strict=True)):
        design = Design((own,), (rng.normal(size=10),), w, factors)
        accumulator.add(design)
        if k < 100:  # the same by sums of finished statistics
            total = accumulate(design) if total is None else total + accumulate(design)
    for stats, n in ((accumulator.products(), 3_000), (total, 100)):
        mean = np.average(x[:n], weights=weights[:n])
        squares = weights[:n] * (x[:n] - mean) ** 2
        assert_allclose(stats.mean[1], mean, rtol=1e-15)
        assert_allclose(stats.centered_squares[1], squares.sum(), rtol=1e-8)
        own = stats.reframed(Frame(np.array([0.0, mean]))).factors[0].sums[:, 1, 1]
        assert_allclose(own, [squares[:, ::2].sum(), squares[:, 1::2].sum()], rtol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_parts", [1, 3, row_block.FEW_PARTS, row_block.FEW_PARTS + 1])
def test_sums_of_parts_are_those_of_their_rows(n_parts, weighted, monkeypatch):
    """In blocks and stripes, of which the later ones are far from the first one's center."""
    monkeypatch.setattr(accumulator_module, "BLOCK_ROWS", 150)
    monkeypatch.setattr(row_block, "STRIPE_ROWS", 32)
    rng = np.random.default_rng(n_parts)
    n = 1000
    far = np.where(np.arange(n) < 400, 0.0, 1e4)
    columns = (rng.normal(size=n) + far, rng.normal(size=n))
    codes, part = rng.integers(0, 7, n), rng.integers(0, n_parts, n)
    weights = rng.uniform(0.5, 2.0, n) if weighted else None
    y = rng.normal(size=n) + 1e-3 * far
    design = Design(columns, (y,), weights, (FactorDesign(codes, 7, (0, 1)),))
    found = accumulate_parts(design, part, n_parts)
    assert_same_sums(found.all_rows, accumulate(design))
    center = np.append(found.all_rows.center, found.all_rows.responses.center)
    # Without weights the center has moved to that of all rows
    assert abs(center[1] - 6000) < 1000
    rows = np.column_stack([np.ones(n), *columns, y]) - center
    for k in range(n_parts):
        own, w = rows[part == k], 1.0 if weights is None else weights[part == k, None]
        # Sums around centers that are 1e4 apart
        assert_allclose(found.products[k], own.T @ (w * own), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_products_of_parts_of_unlike_sizes(seed):
    """From parts of one row each to one with most of the rows."""
    rng = np.random.default_rng(seed)
    sizes = rng.geometric(rng.choice([0.02, 0.3, 1.0]), 50)
    sizes[3] *= rng.choice([1, 500])
    part = rng.permutation(np.repeat(np.arange(50) * 3, sizes))
    rows = rng.normal(size=(len(part), 4))
    found, products = row_block.sorted_products(rows, part)
    assert_array_equal(found, np.arange(50) * 3)
    for k, own in zip(found, products, strict=True):
        assert_allclose(own, rows[part == k].T @ rows[part == k], rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("n_parts", [7, 100])
def test_levels_that_are_the_parts_have_their_products(n_parts):
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.arange(n_parts), rng.integers(0, n_parts, 900)])
    n = len(codes)
    design = Design(
        (rng.normal(size=n), rng.normal(size=n)),
        (rng.normal(size=n),),
        rng.uniform(0.5, 2.0, n),
        (FactorDesign(codes, n_parts, (0, 2)),),
    )
    assert_same_sums(accumulate_parts(design, codes, n_parts).all_rows, accumulate(design))


def test_parts_of_rows_that_ask_for_a_regression_have_no_sums():
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    near = x + 1e-9 * rng.normal(size=50)
    design = Design(
        (x, near), (rng.normal(size=50),), None, (FactorDesign(np.arange(50) % 5, 5, (0,)),)
    )
    assert accumulate_parts(design, np.arange(50) % 2, 2) is None


def test_no_rows():
    with pytest.raises(ValueError, match="No rows were added"):
        Accumulator().products()
