"""Equal rows of a generalized model, counted as one."""

from dataclasses import replace

import numpy as np
import pytest
from generalized_models import GeneralizedCase
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._generalized import pooling
from skmixed._generalized.fit import SearchSettings, fit_generalized
from skmixed._generalized.pooling import RowPool, equal_rows, pooled
from skmixed._generalized.rows import GeneralizedDesign, GeneralizedRows
from skmixed._model.family import FAMILIES


def coarse(seed, family, n=300):
    """Rows of few different values."""
    rng = np.random.default_rng(seed)
    x = [rng.integers(0, 3, n) - 0.5, rng.integers(0, 2, n) * 1.0]
    codes = [rng.integers(0, 9, n), rng.integers(0, 4, n)]
    eta = 0.3 * x[0] - 0.2 * x[1] + 0.7 * rng.normal(size=9)[codes[0]]
    eta += 0.5 * rng.normal(size=4)[codes[1]]
    weights = rng.integers(1, 4, n).astype(float)
    y = FAMILIES[family].draw(rng, eta, 0.8, weights)
    if family[0] == "gamma":
        y = np.ceil(y)
    offset = np.log(rng.integers(1, 3, n))
    terms = [(0, (0, 1), "full"), (1, (0,), "full")]
    return GeneralizedCase.of(x, codes, terms, y, family, weights, offset)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_pooled_likelihood_is_that_of_all_rows(family):
    case = coarse(0, family)
    rows = GeneralizedRows.of(replace(case.given, constant=case.given.totals.constant))
    few = pooled(rows, FAMILIES[family])
    factors = case.given.design.factors
    design = few.design(
        FAMILIES[family], [f.n_levels for f in factors], [f.columns for f in factors]
    )
    assert len(few.response) < 0.9 * len(rows.response)
    assert few.weights.sum() == pytest.approx(rows.weights.sum())
    search = SearchSettings(tol=1e-12, max_iter=200)
    found = fit_generalized(case.examined, case.stats.center, design, search=search)
    whole = case.fit()
    # Sums of the same numbers in another order
    assert found.solution.criterion == pytest.approx(whole.solution.criterion, rel=1e-11)
    errors = np.sqrt(np.diag(whole.solution.fixed_covariance))
    assert_allclose((found.solution.fixed - whole.solution.fixed) / errors, 0.0, atol=1e-6)


@pytest.mark.parametrize("family", [("binomial", "logit"), ("negative_binomial", "log")])
@pytest.mark.parametrize("n_parts", [1, 7])
def test_parts_pool_to_the_same_rows(monkeypatch, family, n_parts):
    monkeypatch.setattr(pooling, "LEAST_ROWS", 50)
    given = coarse(1, family).given
    whole = pooled(GeneralizedRows.of(given), given.family)
    pool, n = RowPool(given.family, len(whole.response)), given.design.n_rows
    for own in np.array_split(np.arange(n), n_parts):
        part = slice(own[0], own[-1] + 1)
        pool.add(GeneralizedDesign(given.design.rows(part), given.offset[part], given.family))
    found = pool.rows()
    # In the order of the first of each
    assert_array_equal(found.columns, whole.columns)
    assert_array_equal(found.levels, whole.levels)
    assert_array_equal(found.weights, whole.weights)
    assert_allclose(found.response, whole.response, rtol=1e-13)
    assert found.constant == pytest.approx(given.totals.constant, rel=1e-13)


def test_a_pool_gives_up_where_too_many_rows_differ(monkeypatch):
    monkeypatch.setattr(pooling, "LEAST_ROWS", 50)
    given = coarse(2, ("binomial", "logit")).given
    pool = RowPool(given.family, 100)
    pool.add(given)
    assert pool.is_full
    pool.add(given)
    assert pool.rows() is None
    # The totals are those of all rows
    assert pool.totals.n_rows == 2 * given.design.n_rows
    assert pool.totals.weight == 2 * given.design.weights.sum()
    assert pool.totals.constant == pytest.approx(2 * given.totals.constant, rel=1e-13)
    assert_allclose(pool.totals.offsets, 2 * given.totals.offsets, rtol=1e-13)
    assert len(pool.take_sample().response) == 100


def test_rows_that_differ_stay_as_they_are():
    given = coarse(3, ("poisson", "log"), n=5).given
    rows = GeneralizedRows.of(given)
    assert pooled(rows, given.family) is rows


def test_rows_of_one_hash_that_differ_stay_apart(monkeypatch):
    monkeypatch.setattr(pooling, "MIXERS", (np.uint64(0),))  # all hashes are 0
    columns = [np.array([1.0, 1.0, 2.0, 2.0, -0.0, 0.0]), np.array([3, 3, 3, 4, 5, 5])]
    order, starts = equal_rows(columns)
    assert_array_equal(order, np.arange(6))
    assert_array_equal(starts, [0, 2, 3, 4])


def test_zero_and_minus_zero_are_equal():
    _, starts = equal_rows([np.array([0.0, 1.0, -0.0])])
    assert len(starts) == 2
