"""Columns less their regression on others, and which of them are independent."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._statistics import accumulator
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import (
    Frame,
    Resolution,
    added_factors,
    factor_of_rows,
    orthogonalize,
    residuals,
    semidefinite_factor,
    solve_upper,
)

EPS = np.finfo(float).eps


def lengths(rows):
    return np.linalg.norm(rows, axis=0)


def orthogonalized(rows):
    """Those of centered rows, with the ones beside them."""
    factor = factor_of_rows(np.column_stack([np.ones(len(rows)), rows - rows.mean(axis=0)]))
    return orthogonalize(factor, lengths(factor[1:]), lengths(factor))


def near(rng, n, share):
    """Columns of which the third is the sum of the others but for a share of it."""
    x = rng.normal(size=(n, 3)) * 10.0 ** rng.uniform(-3, 3, 3)
    x[:, 2] = x[:, 0] / x[:, 0].std() + x[:, 1] / x[:, 1].std() + share * x[:, 2] / x[:, 2].std()
    return x


@given(seed=st.integers(0, 10**6), share=st.floats(1e-8, 1e-2))
@settings(max_examples=30, deadline=None)
def test_rows_come_back_to_their_own_rounding(seed, share):
    rows = near(np.random.default_rng(seed), 50, share)
    found = orthogonalize(factor_of_rows(rows), lengths(rows), lengths(rows))
    left = residuals(rows, found.regression)
    # Six operations a number, whatever the coefficients.
    assert_allclose(left @ found.regression, rows, rtol=0, atol=6 * EPS * np.abs(rows).max())
    # What is left of the third column is that of least squares, to the rounding of
    # the columns over its size.
    coefficients = np.linalg.lstsq(rows[:, :2] / lengths(rows[:, :2]), rows[:, 2], rcond=None)[0]
    expected = rows[:, 2] - rows[:, :2] / lengths(rows[:, :2]) @ coefficients
    assert_allclose(lengths(left)[2], np.linalg.norm(expected), rtol=100 * EPS / share)


def test_columns_far_from_each_other_stay_as_they_are():
    rows = np.random.default_rng(0).normal(size=(100, 5))
    found = orthogonalize(factor_of_rows(rows), lengths(rows), lengths(rows))
    assert found.kept == (0, 1, 2, 3, 4)
    assert found.regression is None


def smooth(name, n, p, rng):
    if name == "hilbert":
        return 1.0 / (np.arange(1, n + 1)[:, None] + np.arange(p))
    return np.sort(rng.uniform(size=n))[:, None] ** np.arange(1, p + 1)


@pytest.mark.parametrize("name", ["hilbert", "powers"])
@pytest.mark.parametrize("seed", range(5))
def test_the_rank_is_that_of_singular_values(name, seed):
    rng = np.random.default_rng(seed)
    rows = smooth(name, 200, 15, rng)[:, rng.permutation(15)]
    found = orthogonalized(rows)
    scaled = rows - rows.mean(axis=0)
    scaled /= lengths(scaled)
    ranks = [0]
    for j in range(15):
        values = np.linalg.svd(scaled[:, : j + 1], compute_uv=False)
        ranks.append(int((values > 1e-9 * np.linalg.norm(scaled, 2)).sum()))
    # 0 are the ones; the columns behind them that raise the rank.
    expected = 1 + np.flatnonzero(np.diff(ranks))
    assert_array_equal(found.kept[1:], expected)


def test_a_column_of_rounding_is_dependent():
    rng = np.random.default_rng(0)
    start = 1.7e9 + 1e3 * rng.normal(size=300)  # 2.4e-7 apart
    duration = rng.exponential(size=300)
    rows = np.column_stack([np.ones(300), start, start + duration, duration])
    raw = lengths(rows)
    rows[:, 1:] -= rows[:, 1:].mean(axis=0)
    factor = factor_of_rows(rows)
    assert orthogonalize(factor, lengths(factor), raw).kept == (0, 1, 2)


def test_resolved_is_what_keeps_twelve_digits():
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(2, 100_000))
    for share, expected in ((0.03, True), (0.003, False)):
        rows = np.column_stack([x, x + share * u])
        assert Resolution.of(rows.T @ rows, np.zeros(2)).is_good == expected
    # Equal columns, and those that have nothing but rounding.
    rows = np.column_stack([x, x])
    assert not Resolution.of(rows.T @ rows, np.zeros(2)).is_good
    assert Resolution.of(rows.T @ rows, np.array([0.0, np.inf])).is_good
    # Products that overflowed tell nothing.
    stats = accumulate(design(rows, u))
    assert replace(stats, total=np.full((3, 3), np.inf)).resolved()[0]


def test_the_factor_of_singular_products():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 5)) * 10.0 ** np.arange(-4, 6, 2)
    rows = np.column_stack([rows, np.zeros(50)])
    factor = semidefinite_factor(rows.T @ rows)
    assert_array_equal(factor, np.triu(factor))
    # Products to rounding, at the lengths of the columns.
    scale = np.where(lengths(rows) > 0, lengths(rows), 1.0)
    assert_allclose(
        factor.T @ factor / np.outer(scale, scale),
        rows.T @ rows / np.outer(scale, scale),
        atol=1e-14,
    )


def test_factors_add_up_to_that_of_all_rows():
    rows = np.random.default_rng(0).normal(size=(10_000, 4)) * [1.0, 1e-5, 1e5, 1.0]
    added = added_factors(factor_of_rows(rows[:3]), factor_of_rows(rows[3:]))
    expected = np.linalg.qr(rows, mode="r")
    # Rounding of sums over 10,000 rows.
    assert_allclose(np.abs(added), np.abs(expected), rtol=1e-11, atol=1e-11 * lengths(rows).min())


def test_a_change_of_frame_and_back():
    rng = np.random.default_rng(0)
    first = Frame(rng.normal(size=4), np.triu(rng.normal(size=(4, 4)), 1) + np.eye(4))
    second = Frame(rng.normal(size=4), np.triu(rng.normal(size=(4, 4)), 1) + np.eye(4))
    rows = rng.normal(size=(20, 4))
    here = first.in_frame(rows - first.center)
    change, shift = first.change_to(second)
    # A dozen operations on numbers of order 1 to 10.
    assert_allclose(here @ change - shift, second.in_frame(rows - second.center), atol=1e-13)
    assert first.change_to(Frame(first.center + 1.0, first.regression))[0] is None


def design(rows, y, q=5, weights=None):
    codes = np.arange(len(rows)) % q
    return Design(tuple(rows.T), (y,), weights, (FactorDesign(codes, q, (0, 1)),))


@pytest.mark.parametrize("is_weighted", [False, True])
def test_sums_in_a_frame_are_those_of_the_definition(is_weighted):
    rng = np.random.default_rng(0)
    rows, y = near(rng, 200, 1e-6), rng.normal(size=200)
    w = rng.uniform(0.5, 2.0, 200) if is_weighted else None
    stats = accumulate(design(rows, y, weights=w))
    assert stats.regression is not None
    table = np.column_stack([np.ones(200), rows]) - stats.center
    left, weights = residuals(table, stats.regression), np.ones(200) if w is None else w
    scale = np.outer(lengths(left), lengths(left))
    # The rounding of the rows over what is left of the third column.
    close = {"rtol": 0, "atol": 1e-9}
    assert_allclose(stats.total / scale, (left * weights[:, None]).T @ left / scale, **close)
    if is_weighted:
        assert_allclose(stats.unweighted / scale, left.T @ left / scale, **close)
    plain = (table * weights[:, None]).T @ table
    assert_allclose(stats.of_columns, plain, rtol=0, atol=1e-12 * plain.max())
    own = table[:, :2]
    for j in range(5):
        of_level = weights * (np.arange(200) % 5 == j)
        expected = (own * of_level[:, None]).T @ own
        assert_allclose(stats.own_products(0)[j], expected, rtol=1e-10, atol=1e-9)


def test_blocks_that_need_no_frame_have_none():
    rng = np.random.default_rng(0)
    stats = accumulate(design(rng.normal(size=(200, 3)) + 100.0, rng.normal(size=200)))
    assert stats.regression is None
    assert (stats + stats).regression is None


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_block_that_the_first_ones_do_not_prepare_for(order, monkeypatch):
    """Near dependence in some blocks only, and another one in each."""
    monkeypatch.setattr(accumulator, "BLOCK_ROWS", 100)
    rng = np.random.default_rng(0)
    parts = [near(rng, 100, 1e-6) / 1e3, near(rng, 100, 1e-6) * [1e-3, 1e-3, -1e-3]]
    rows = np.concatenate([parts[k] for k in order])
    y = rng.normal(size=200)
    stats = accumulate(design(rows, y))
    separate = accumulate(design(rows[:100], y[:100])) + accumulate(design(rows[100:], y[100:]))
    for own in (stats, separate):
        factor = own.factor_around(own.center)
        table = np.column_stack([np.ones(200), rows]) - own.center
        expected = np.abs(np.linalg.qr(table, mode="r"))
        # That of a QR of all rows, column by column.
        assert_allclose(
            np.abs(np.linalg.qr(factor, mode="r")), expected, rtol=0, atol=1e-13 * expected.max()
        )
        left = np.abs(np.diagonal(np.linalg.qr(factor, mode="r")))
        assert_allclose(left, np.diagonal(expected), rtol=1e-8)


def test_a_singular_triangle_is_no_silent_answer():
    with pytest.raises(np.linalg.LinAlgError, match="zero at place 1"):
        solve_upper(np.array([[1.0, 2.0], [0.0, 0.0]]), np.ones(2))
