"""What is shown of a residual covariance, against R itself, and its derivatives by differences."""

import numpy as np
import pytest

from skmixed._model.correlation import CORRELATIONS
from skmixed._model.residual import VARIANCES, Residual
from skmixed._model.residual_parameters import shown_parameters

STEPS = np.array([0, 1, 2, 4])
# Central differences: the square of the step, 1e-5, and rounding over it.
DIFFERENCE = 1e-7


@pytest.fixture(params=[(c, v) for c in CORRELATIONS for v in VARIANCES], ids="-".join)
def residual(request):
    correlation, variance = request.param
    return Residual(CORRELATIONS[correlation], VARIANCES[variance], STEPS, 1)


@pytest.fixture
def own(residual):
    return 0.3 * np.random.default_rng(5).normal(size=residual.n_own) + 0.2


def values(residual, own):
    return np.array([shown.value for shown in shown_parameters(residual, own)])


def test_slopes_are_those_of_differences(residual, own):
    steps = 1e-5 * np.eye(len(own))
    found = [(values(residual, own + h) - values(residual, own - h)) / 2e-5 for h in steps]
    slopes = np.array([shown.slope for shown in shown_parameters(residual, own)])
    np.testing.assert_allclose(slopes, np.array(found).T, atol=DIFFERENCE)


def test_they_are_those_of_the_covariance(residual, own):
    covariance = residual.evaluate(own, residual.all_visits).value[0]
    sd = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sd, sd)
    for shown in shown_parameters(residual, own):
        if shown.component == "sigma":
            k = shown.key[0] - 1 if shown.key else 0
            # A power of 1 is that at the covariate 0 of all visits.
            assert shown.value == pytest.approx(sd[k], rel=1e-14)
        if shown.component == "corr" and len(shown.key) == 2:
            a, b = shown.key
            assert shown.value == pytest.approx(correlation[a - 1, b - 1], abs=1e-14)
        if shown.component == "corr" and len(shown.key) < 2:
            lag = shown.key[0] if shown.key else 1
            pairs = np.argwhere(np.abs(STEPS[:, None] - STEPS) == lag)
            for a, b in pairs:
                assert shown.value == pytest.approx(correlation[a, b], abs=1e-14)
        if shown.component == "range":
            near = np.exp(-((1.0 / shown.value) ** residual.correlation.exponent))
            assert near == pytest.approx(correlation[0, 1], rel=1e-13)
