import numpy as np
import pytest
from random_families import recorded
from scipy import stats as distributions

from skmixed.inference._contrasts.correlated_t import ERROR, RELATIVE_ERROR, CorrelatedT
from skmixed.inference._contrasts.largest_t import StudentizedRange, denominators

X = np.array([0.5, 1.5, 2.2, 3.0, 4.0])


def drawn(correlation, seed=0):
    return CorrelatedT.of(np.asarray(correlation, dtype=float), np.random.SeedSequence(seed))


def pairwise(n):
    """The correlations of all differences of n independent means of one variance."""
    first, second = np.triu_indices(n, 1)
    rows = np.eye(n)[first] - np.eye(n)[second]
    return rows @ rows.T / 2.0


def assert_within_errors(found, expected):
    """Up to three standard errors, which are `ERROR` or a share of the probability."""
    assert (np.abs(found - expected) <= 3.0 * np.maximum(ERROR, RELATIVE_ERROR * expected)).all()


@pytest.mark.parametrize("n", [3, 4, 6])
@pytest.mark.parametrize("df", [3.7, 25.0, np.inf])
def test_pairwise_differences_have_the_studentized_range(n, df):
    df = np.full(len(X), df)
    law = drawn(pairwise(n))
    assert law.rank == n - 1
    assert_within_errors(law.tail(X, df), StudentizedRange(n).tail(X, df))


@pytest.mark.parametrize("df", [2.4, 11.0, np.inf])
def test_independent_tests_with_one_denominator(df):
    nodes, weights = denominators(df)
    inside = 1.0 - 2.0 * distributions.norm.sf(X[:, None] * nodes)
    expected = (1.0 - inside**4) @ weights
    assert_within_errors(drawn(np.eye(4)).tail(X, np.full(len(X), df)), expected)


@pytest.mark.parametrize("case", recorded()["mvt"], ids=lambda c: f"{c['kind']} df={c['df']}")
def test_the_tails_are_mvtnorms(case):
    df = np.full(len(case["x"]), case["df"] or np.inf)
    tail = drawn(case["correlation"]).tail(np.array(case["x"]), df)
    p, error = np.array(case["p"]), np.array(case["error"])
    assert_within_errors(tail, p + np.clip(tail - p, -error, error))
    np.testing.assert_allclose(tail, p, atol=3e-4)


def test_tests_that_are_the_same_but_for_sign_count_once():
    twice = np.array([1.0, -1.0])
    correlation = np.outer(twice, twice)
    df = np.full(len(X), 9.0)
    one = 2.0 * distributions.t.sf(X, 9.0)
    np.testing.assert_allclose(drawn(correlation).tail(X, df), one, rtol=1e-12)
    again = np.kron(pairwise(3), np.ones((2, 2)))
    assert_within_errors(drawn(again).tail(X, df), drawn(pairwise(3)).tail(X, df))


def test_seeds_repeat_and_differ_by_the_error():
    df = np.full(len(X), 8.0)
    found = np.array([drawn(pairwise(5), seed).tail(X, df) for seed in (1, 1, 2, 3)])
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    for other in found[2:]:
        assert_within_errors(other, found[0])


def test_small_tails_lie_between_that_of_one_and_the_sum():
    df = np.array([30.0])
    one = 2.0 * distributions.t.sf(9.0, 30.0)
    tail = drawn(pairwise(6)).tail(np.array([9.0]), df)
    assert one <= tail[0] <= 15 * one


def test_the_error_that_is_reached_is_told():
    assert 0.0 < drawn(pairwise(4)).error <= ERROR
    assert drawn(np.ones((2, 2))).error == 0.0


def test_twenty_means_have_probabilities_to_1e_4():
    x = np.array([3.3, 3.6, 4.0])
    df = np.full(3, 40.0)
    expected = StudentizedRange(20).tail(x, df)  # 0.16, 0.08 and 0.03
    np.testing.assert_allclose(drawn(pairwise(20)).tail(x, df), expected, atol=1.2e-4)
