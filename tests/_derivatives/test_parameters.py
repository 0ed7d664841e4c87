"""The variance parameters are those of the terms in the model's order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case

from skmixed._derivatives.parameters import Parameters


@pytest.mark.parametrize("seed", range(6))
def test_entries_and_orders(seed):
    case = random_case(seed, n_terms=4)
    factorization = case.factorized(case.lams(np.random.default_rng(seed)))
    system, parameters = factorization.system, Parameters.of(factorization.system)
    assert [t.index for _, t in parameters.terms] == list(range(4))
    # Σ of all terms on a factor is the sum over τ of its directions.
    chart = parameters.chart(factorization.lam)
    whole = chart.tau @ parameters.entries
    for factor in system.factors:
        lam = factor.lam(factorization.lam)
        shape = (factor.n_columns,) * 2
        assert_allclose(whole[factor.entries].reshape(shape), lam @ lam.T, atol=1e-10)
    # The same directions, factor by factor, and back.
    places = np.concatenate(parameters.places_by_factor)
    assert_array_equal(places[parameters.from_factors], np.arange(len(parameters.entries)))
    for factor, own, at in zip(
        system.factors, parameters.by_factor, parameters.places_by_factor, strict=True
    ):
        flat = own.reshape(len(own), -1)
        assert_array_equal(flat, parameters.entries[at, factor.entries])


def test_a_model_without_terms_has_none():
    none = Parameters((), (), ())
    assert none.entries.shape == (0, 0)
    assert len(none.from_factors) == 0
    assert none.chart(()).jacobian.shape == (0, 0)
