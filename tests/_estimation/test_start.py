"""The start of the search from moments."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor
from skmixed._derivatives.moments import moments
from skmixed._estimation.fit import examined
from skmixed._estimation.start import moment_start


def many_slopes(size, q=40, m=25):
    """Rows with more coefficients than their moments are positive definite for."""
    rng = np.random.default_rng(0)
    g, x = np.repeat(np.arange(q), m), rng.normal(size=(q * m, size - 1))
    shares = np.geomspace(1.0, 1e-2, size)
    b = rng.normal(size=(q, size)) * shares
    y = b[g, 0] + (b[g, 1:] * x).sum(axis=1) + rng.normal(size=q * m)
    X = pd.DataFrame(x, columns=[f"x{k}" for k in range(size - 1)]).assign(g=g)
    return X, y


def start_of(X, y):
    slopes = [name for name in X.columns if name != "g"]
    model = MixedLinearRegressor("g", random_slopes=slopes, fixed=[])
    stats = model.statistics(X, y)
    system = examined(stats.products, stats.encoder.model(reml=True))
    (lam,) = moment_start(system.at_zero, system.likelihood, moments(system.at_zero))
    return lam


@pytest.mark.parametrize("size", [6, 15])
def test_of_many_coefficients_no_direction_is_missing(size):
    lam = start_of(*many_slopes(size))
    sizes = np.linalg.svd(lam, compute_uv=False) ** 2
    # At least 0.3 of the mean, of which the least ones themselves are a part.
    assert sizes.min() > 0.2 * sizes.mean()


def test_of_few_coefficients_moments_are_the_start():
    lam = start_of(*many_slopes(5, q=8, m=10))
    assert np.linalg.matrix_rank(lam) < 5


def test_a_start_of_full_rank_ends_at_a_covariance_without():
    X, y = many_slopes(8, q=12, m=20)
    model = MixedLinearRegressor("g", random_slopes=list(X.columns[:-1]), fixed=[])
    with pytest.warns(UserWarning, match="singular"):
        model.fit(X, y)
    assert model.converged_
    assert model.singular_
    (term,) = model._model.solution.terms
    assert_allclose(term.search_lam[:, ~term.search_lam.any(axis=0)], 0.0, atol=0)
