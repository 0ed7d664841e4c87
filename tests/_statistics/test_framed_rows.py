"""Rows that are reduced again with other weights and responses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case

from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.framed_rows import CellPattern, FramedRows

KINDS = ["positive", "integer", "some of them 0"]


def weights_of(kind, n, rng):
    if kind == "positive":
        return 10.0 ** rng.uniform(-3, 3, n)
    weights = rng.integers(int(kind == "integer"), 4, n).astype(float)
    weights[0] = 1.0
    return weights


def afresh(design, weights, *responses):
    """The statistics of the rows of positive weight, reduced as if none had been before."""
    rows = weights > 0
    return accumulate(
        Design(
            tuple(x[rows] for x in design.columns),
            tuple(y[rows] for y in responses),
            weights[rows],
            tuple(replace(f, codes=f.codes[rows]) for f in design.factors),
        )
    )


def assert_same(found, expected):
    """To the rounding of some hundred terms, of the columns and of y as they are."""
    found = found.in_frame_of(expected)
    assert found.n_rows == expected.n_rows
    assert found.sum_log_weights == pytest.approx(expected.sum_log_weights, abs=1e-9)
    for own, other in ((found, expected), (found.counted_once(), expected.counted_once())):
        lengths = np.sqrt(other.raw_squares)
        of_y = np.sqrt(other.response_moments.raw_squares)
        assert np.all(np.abs(own.total - other.total) <= 1e-12 * np.outer(lengths, lengths))
        mine, its = own.responses.total, other.responses.total
        scale = np.outer(lengths, of_y)
        assert np.all(np.abs(mine.with_columns - its.with_columns) <= 1e-12 * scale)
        assert np.all(np.abs(mine.squares - its.squares) <= 1e-12 * of_y**2)
    lengths = np.concatenate([np.sqrt(expected.raw_squares), of_y])
    for f, g in zip(found.factors, expected.factors, strict=True):
        assert_array_equal(f.counts, g.counts)
        scale = np.outer(np.sqrt(expected.raw_squares)[list(f.columns)], lengths)
        assert np.all(np.abs(f.products - g.products) <= 1e-12 * scale)
    size = expected.raw_squares.max()
    for p, q in zip(found.pairs, expected.pairs, strict=True):
        # Cells of no weight stay in the pattern.
        assert_allclose(p.matrix.toarray(), q.matrix.toarray(), rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), n_terms=st.integers(0, 3))
@example(seed=688, n_terms=0)  # the rows of positive weight leave the columns dependent
@settings(max_examples=25, deadline=None)
def test_other_weights_and_another_response(kind, seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    rng = np.random.default_rng(seed)
    design, n = case.design, case.design.n_rows
    first = accumulate(replace(design, weights=rng.uniform(0.5, 2.0, n)))
    rows = FramedRows.of(design, first)
    for _ in range(2):  # nothing is left of the weights before
        weights, y = weights_of(kind, n, rng), 50.0 + rng.normal(size=n)
        assert_same(rows.reweighted(weights, y), afresh(design, weights, y))


def near(rng, n):
    x = rng.normal(size=n)
    return np.column_stack([1e4 + x, x + 1e-5 * rng.normal(size=n), rng.normal(size=n)])


@pytest.mark.parametrize("slopes", [(0, 1, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_of_the_first_weights_serves_others(kind, slopes):
    """Columns far from 0, and near each other, and a response near them."""
    rng = np.random.default_rng(0)
    n, columns = 400, near(rng, 400)
    codes = rng.integers(0, 8, n), rng.integers(0, 5, n)
    factors = (FactorDesign(codes[0], 8, (0, 2)), FactorDesign(codes[1], 5, slopes))
    first, z = rng.uniform(0.1, 1.0, n), 1e5 * columns[:, 2] + rng.normal(size=n)
    design = Design(tuple(columns.T), (z,), first, factors)
    rows, weights = FramedRows.of(design, accumulate(design)), weights_of(kind, n, rng)
    found, expected = rows.reweighted(weights, z), afresh(design, weights, z)
    assert found.regression is not None
    assert (found.factors[1].regression is not None) == (2 in slopes)
    assert found.responses.regression is not None
    assert_same(found, expected)
    # The digits of what is left of y beside the columns: 5 of them are gone.
    left = [s.basis.responses_around(s.responses.center).left for s in (found, expected)]
    assert_allclose(*left, rtol=1e-9)
    spread = np.diagonal(expected.factor_around(expected.mean))
    assert_allclose(np.diagonal(found.factor_around(expected.mean)), spread, rtol=1e-7)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_other_responses_leave_the_products_of_the_design(seed, n):
    case = random_case(seed, n_terms=2)
    rng = np.random.default_rng(seed)
    columns = case.design.columns or (np.zeros(case.design.n_rows),)
    responses = [1e6 * (k % 3) + rng.normal(size=case.design.n_rows) for k in range(n)]
    responses[-1] = 1e4 * columns[0] + responses[-1]
    stats = case.stats
    found = FramedRows.of(case.design, stats).with_responses(stats, *responses)
    assert found.total is stats.total
    assert found.responses.n_responses == n
    for k in {0, n // 2, n - 1}:
        alone = accumulate(case.design.with_responses(responses[k]))
        assert_same(found.response(k), alone)


def test_rows_in_another_frame_are_refused():
    case, other = random_case(1), random_case(2)
    rows = FramedRows.of(case.design, case.stats)
    with pytest.raises(ValueError, match="another frame"):
        rows.with_responses(other.stats, case.design.responses[0])


@given(seed=st.integers(0, 10**6), sizes=st.tuples(st.integers(1, 3), st.integers(1, 3)))
@settings(max_examples=25, deadline=None)
def test_cells_have_their_sums(seed, sizes):
    rng = np.random.default_rng(seed)
    n, q = int(rng.integers(1, 60)), rng.integers(1, 9, 2)
    codes = [rng.integers(0, own, n) for own in q]
    factors = [
        FactorDesign(c, int(own), tuple(range(r)))
        for c, own, r in zip(codes, q, sizes, strict=True)
    ]
    values = [rng.normal(size=(n, r)) for r in sizes]
    found = CellPattern.of(*factors).products(*(list(x.T) for x in values))
    expected = np.zeros((q[0] * sizes[0], q[1] * sizes[1]))
    for i in range(n):
        rows, columns = (slice(c[i] * r, (c[i] + 1) * r) for c, r in zip(codes, sizes, strict=True))
        expected[rows, columns] += np.outer(values[0][i], values[1][i])
    assert found.has_sorted_indices
    assert found.nnz == len({*zip(*codes, strict=True)}) * sizes[0] * sizes[1]
    assert_allclose(found.toarray(), expected, rtol=0, atol=1e-13)
