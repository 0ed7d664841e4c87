"""One or several responses beside a design."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case

from skmixed._statistics import accumulator, row_block
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.rank import working_columns
from skmixed._statistics.responses import regression_on

EPS = np.finfo(float).eps


def several(case, n, seed):
    """Responses of several sizes, the last but one far from 0, the last nearly a column."""
    rng = np.random.default_rng(seed)
    out = [10.0 ** rng.uniform(-3, 3) * rng.normal(size=case.design.n_rows) for _ in range(n)]
    near = 1e5 * case.design.columns[0] if case.design.columns else 1e5
    return [*out, 1e8 + out[0], near + rng.normal(size=case.design.n_rows)]


def assert_same_response(found, expected):
    """Those of the same rows; a frame of a response may be another one."""
    found = found.in_frame_of(expected)
    own, other = found.responses.total, expected.responses.total
    # Rounding of some hundred terms, of the columns and of y as they are.
    y = expected.response_moments.raw_squares[0]
    scale = np.sqrt(np.outer(expected.raw_squares, y))
    assert np.all(np.abs(own.with_columns - other.with_columns) <= 1e-13 * scale)
    assert_allclose(own.squares, other.squares, rtol=1e-9, atol=1e-22 * y)
    for f, g in zip(found.factors, expected.factors, strict=True):
        assert_array_equal(f.sums, g.sums)
        of_levels = scale[list(f.columns)]
        assert np.all(np.abs(f.responses - g.responses) <= 1e-13 * of_levels)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_several_at_once_are_each_alone(seed, n):
    case = random_case(seed, n_terms=2)
    responses = several(case, n, seed)
    together = accumulate(case.design.with_responses(*responses))
    assert together.responses.n_responses == len(responses)
    for k, y in enumerate(responses):
        alone = accumulate(case.design.with_responses(y))
        assert_allclose(together.total, alone.total, rtol=0, atol=1e-13 * alone.total.max())
        assert_array_equal(together.center, alone.center)
        assert_same_response(together.response(k), alone)


@pytest.mark.parametrize("size", [7, 1000])
def test_blocks_and_parts_of_several(monkeypatch, size):
    monkeypatch.setattr(accumulator, "BLOCK_ROWS", size)
    monkeypatch.setattr(row_block, "STRIPE_ROWS", 5)
    case = random_case(3, n_terms=2)
    design = case.design.with_responses(*several(case, 2, 0))
    whole, half = accumulate(design), design.n_rows // 2
    added = accumulate(design.rows(slice(0, half))) + accumulate(design.rows(slice(half, None)))
    added = added.reframed(whole.frame)
    for k, y in enumerate(design.responses):
        mean = np.average(y, weights=design.weights)
        assert_allclose(added.response_moments.mean[k], mean, rtol=1e-12, atol=1e-12)
        own, other = whole.response(k), added.response(k).in_frame_of(whole.response(k))
        assert_allclose(own.responses.total.squares, other.responses.total.squares, rtol=1e-9)


def test_a_response_near_the_columns_keeps_its_digits_and_leaves_the_design_alone():
    rng = np.random.default_rng(0)
    case = random_case(3, n_terms=1)
    n, x = case.design.n_rows, case.design.columns[0]
    noise = rng.normal(size=n)
    far, near = (accumulate(case.design.with_responses(y)) for y in (noise, 1e8 * x + noise))
    assert near.regression is None
    assert far.responses.regression is None
    assert near.responses.regression is not None
    assert_array_equal(near.total, far.total)
    # What is left of y beside x, from the rows.
    weights = np.ones(n) if case.design.weights is None else case.design.weights
    root = np.sqrt(weights)[:, None]
    columns = root * np.column_stack([np.ones(n), *case.design.columns])
    rest = (
        noise - columns @ np.linalg.lstsq(columns, root[:, 0] * noise, rcond=None)[0] / root[:, 0]
    )
    expected = (weights * rest**2).sum()
    for stats in (far, near):
        found = stats.basis.responses_around(stats.response_moments.mean).left ** 2
        # Of 16 digits y has lost 8; squares count them twice.
        assert_allclose(found, expected, rtol=1e-6)
    working = working_columns(near, case.model)
    assert working.response_regression is not None


def test_the_regression_on_dependent_columns_leaves_what_that_on_independent_ones_leaves():
    rng = np.random.default_rng(0)
    columns, responses = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    dependent = np.column_stack([columns, 1e3 * columns[:, 0] - columns[:, 2]])
    left = responses - dependent @ regression_on(dependent, responses)
    expected = responses - columns @ regression_on(columns, responses)
    assert_allclose(left, expected, atol=100 * EPS)
