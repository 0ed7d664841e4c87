"""The lowest Σ of a model in τ, of those that are semidefinite."""

import numpy as np
import pytest
from _folds.test_few_folds import Sample
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skmixed._derivatives.criterion import Derivatives
from skmixed._derivatives.parameters import Parameters
from skmixed._folds.sigma_model import SigmaModel


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["intercept", "slope", "two slopes", "diag", "two terms"])
def test_the_lowest_covariance_of_a_quadratic_model(name, seed):
    """Against a search over all Λ, from several starts."""
    rng = np.random.default_rng(seed)
    parameters = Parameters.of(Sample(0, name).groups().system)
    lam = tuple(rng.normal(size=(t.size,) * 2) for _, t in parameters.terms)
    lam = tuple(
        t.term.structure.nearest(own @ own.T)
        for (_, t), own in zip(parameters.terms, lam, strict=True)
    )
    tau = parameters.chart(lam).tau
    half = rng.normal(size=(len(tau), len(tau) + 2))
    gradient, hessian = 5.0 * rng.normal(size=len(tau)), half @ half.T
    model = SigmaModel(parameters, tau, gradient, hessian)
    found, at, gain = model.lowest()
    assert_allclose(parameters.chart(found).tau, at, rtol=1e-9, atol=1e-9)
    assert_allclose(-model.value(at), gain, rtol=1e-12)

    def value(entries):
        parts = np.split(entries, np.cumsum([t.size**2 for _, t in parameters.terms])[:-1])
        terms = zip(parameters.terms, parts, strict=True)
        sigmas = [(t, own.reshape(t.size, t.size)) for (_, t), own in terms]
        return model.value(
            np.concatenate([t.term.structure.coordinates(s @ s.T) for t, s in sigmas])
        )

    size = sum(t.size**2 for _, t in parameters.terms)
    ends = [minimize(value, rng.normal(size=size), tol=1e-12).fun for _ in range(4)]
    assert -gain == pytest.approx(min(ends), abs=1e-6 * (1.0 + abs(gain)))


def test_a_model_without_information_is_none():
    parameters = Parameters.of(Sample(0, "diag").groups().system)
    none = np.diag([1.0, 0.0])
    flat = Derivatives(np.zeros(2), none, none, none)
    assert SigmaModel.of(parameters, np.zeros(2), np.zeros(2), flat) is None
    # Where the observed derivatives are indefinite the expected ones take their place
    saddle = Derivatives(np.zeros(2), none, np.diag([1.0, -1.0]), np.eye(2))
    own = SigmaModel.of(parameters, np.zeros(2), np.zeros(2), saddle, 0.5)
    assert_allclose(own.hessian, 0.5 * np.eye(2))
