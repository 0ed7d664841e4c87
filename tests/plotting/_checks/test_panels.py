import numpy as np
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import norm

from skmixed.plotting._checks.panels import MOST_BINS, ROOT_OF_NORMAL, binned_means


def test_the_line_of_equal_variances_is_the_mean_of_roots_of_normal_values():
    value, _ = quad(lambda z: 2.0 * np.sqrt(z) * norm.pdf(z), 0.0, 40.0)
    # Of the quadrature.
    assert_allclose(ROOT_OF_NORMAL, value, rtol=1e-8)


def test_means_of_bins_of_equal_counts():
    x = np.random.default_rng(0).permutation(np.arange(400.0))
    at, means = binned_means(x, 2.0 * x)
    assert len(at) == MOST_BINS
    assert_allclose(means, 2.0 * at)
    assert_allclose(at, 9.5 + 20.0 * np.arange(20))


def test_few_values_have_a_mean_each():
    x = np.array([1.0, 1.0, 2.0, 2.0])
    at, means = binned_means(x, np.array([0.0, 2.0, 4.0, 8.0]))
    assert_allclose(at, [1.0, 2.0])
    assert_allclose(means, [1.0, 6.0])


def test_few_rows_of_many_values_have_none():
    at, _ = binned_means(np.arange(30.0), np.arange(30.0))
    assert len(at) == 0
