from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case

from skmixed._statistics import accumulator, row_block
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign


def dense(case, center):
    """The sums from their definition, y the last column."""
    d = case.design
    w = np.ones(d.n_rows) if d.weights is None else d.weights
    table = np.column_stack([np.ones(d.n_rows), *d.columns, *d.responses]) - center
    factor = d.factors[0]
    sums = np.zeros((factor.n_levels, len(factor.columns), table.shape[1]))
    for i, code in enumerate(factor.codes):
        sums[code] += w[i] * np.outer(table[i, list(factor.columns)], table[i])
    return (table * w[:, None]).T @ table, sums, table.T @ table


def joined(stats):
    """The products of columns and response in one matrix."""
    own = stats.responses.total
    return np.block([[stats.total, own.with_columns], [own.with_columns.T, np.diag(own.squares)]])


def part(design, rows):
    return Design(
        tuple(c[rows] for c in design.columns),
        tuple(y[rows] for y in design.responses),
        None if design.weights is None else design.weights[rows],
        tuple(replace(f, codes=f.codes[rows]) for f in design.factors),
    )


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_sums_are_those_of_the_definition(seed):
    case = random_case(seed)
    stats = case.stats
    total, sums, unweighted = dense(case, np.append(stats.center, stats.responses.center))
    # Rounding of n terms of the size of the squares.
    close, factor = {"rtol": 0, "atol": 1e-12 * np.abs(total).max()}, stats.factors[0]
    assert_allclose(joined(stats), total, **close)
    assert_allclose(np.concatenate([factor.sums, factor.responses], axis=2), sums, **close)
    plain = joined(stats.counted_once())
    assert_allclose(plain, unweighted, atol=1e-12 * np.abs(unweighted).max())
    assert_array_equal(stats.factors[0].counts, np.bincount(case.design.factors[0].codes))


@given(seed=st.integers(0, 10**6), cut=st.integers(1, 5), second=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_any_partition_adds_up(seed, cut, second):
    case = random_case(seed)
    d = case.design
    rows = np.array_split(np.random.default_rng(seed).permutation(d.n_rows), [cut, cut + second])
    parts = [accumulate(part(d, r)) for r in rows]
    whole, added = accumulate(d), parts[0] + parts[1] + parts[2]
    moved = added.in_frame_of(whole)
    scale = np.abs(joined(whole)).max()
    assert_allclose(joined(moved), joined(whole), atol=1e-11 * scale)
    plain = joined(whole.counted_once())
    assert_allclose(joined(moved.counted_once()), plain, atol=1e-11 * np.abs(plain).max())
    assert_allclose(moved.factors[0].sums, whole.factors[0].sums, atol=1e-11 * scale)
    found, expected = moved.factors[0].responses, whole.factors[0].responses
    assert_allclose(found, expected, atol=1e-11 * scale)
    assert added.n_rows == whole.n_rows
    assert added.sum_log_weights == pytest.approx(whole.sum_log_weights, abs=1e-11)


def test_blocks_and_sorting_leave_the_sums_alone(monkeypatch):
    case = random_case(3)
    whole = case.stats
    monkeypatch.setattr(accumulator, "BLOCK_ROWS", 8)
    monkeypatch.setattr(row_block, "STRIPE_ROWS", 3)
    small = case.stats.in_frame_of(whole)
    assert_allclose(joined(small), joined(whole), atol=1e-12 * np.abs(joined(whole)).max())
    assert_allclose(small.factors[0].sums, whole.factors[0].sums, atol=1e-11)


@pytest.mark.parametrize("first", ["unrepresentative", "light"])
def test_a_first_block_far_off_costs_no_digits(monkeypatch, first):
    rng = np.random.default_rng(0)
    n = 4_000
    x = 1e8 + rng.normal(size=n)
    weights = np.ones(n)
    if first == "unrepresentative":
        x[:64] -= 1e8
    else:
        x[:64] -= 1e6
        weights[:64] = 1e-12
    codes = rng.integers(0, 5, n)
    monkeypatch.setattr(accumulator, "BLOCK_ROWS", 64)
    design = Design((x,), (rng.normal(size=n),), weights, (FactorDesign(codes, 5, (0, 1)),))
    stats = accumulate(design)
    exact = np.average(x, weights=weights)
    squares = (weights * (x - exact) ** 2).sum()
    # Digits: those of the columns as they are given, 1e8 · 2e-16 per entry.
    assert_allclose(stats.centered_squares[1], squares, rtol=1e-8)
    rest = slice(64, None)
    own = stats.factors[0].sums[:, 1, 1].sum() - stats.total[1, 1]
    assert abs(own) <= 1e-10 * stats.total[1, 1]
    assert_allclose(stats.mean[1], exact, rtol=1e-15)
    assert np.isfinite(stats.total).all()
    assert weights[rest].sum() == n - 64


def test_a_constant_column_has_no_variance():
    rng = np.random.default_rng(1)
    n = 1_000
    constants = [np.full(n, v) for v in (0.1, 1e9 / 3, -7.0, 0.0)]
    design = Design(tuple(constants), (rng.normal(size=n),), rng.uniform(0.1, 2, n), ())
    assert_array_equal(accumulate(design).centered_squares[1:], 0.0)
