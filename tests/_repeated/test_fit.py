"""Draws of the rows of a fit, and fits to them, against V in full and fits to their rows."""

import numpy as np
import pytest
from repeated_models import dense_of, fitted_model, simulated

from skmixed import RandomEffect
from skmixed._repeated.fit import drawn_response, refit_drawn
from skmixed.exceptions import FitStatus

N = 2000
# The error of a covariance over n normal draws is at most √2 s²/√n; five of them.
ERRORS = 5.0 * np.sqrt(2.0 / N)
GROUPS = {
    "none": None,
    "outer": "rater",
    "both": ["rater", RandomEffect("subject", "x", intercept=False)],
}


@pytest.fixture(scope="module", params=GROUPS)
def model(request):
    frame = simulated(3, n_subjects=30)
    slopes = 2.0 * np.random.default_rng(1).normal(size=30)[frame["subject"]]
    frame = frame.assign(y=frame["y"] + slopes * frame["x"] + 2.0 * frame["rater"])
    return frame, fitted_model(frame, "ar1", groups=GROUPS[request.param], weighted=True)


def test_responses_have_the_covariance_of_the_model(model):
    own, dense = model[1]._model.repeated, dense_of(model[1])
    draws = np.array([drawn_response(own, np.random.default_rng(k)) for k in range(N)])
    sd = np.sqrt(np.diagonal(dense.V))
    off = np.abs(np.cov(draws.T) - dense.V) / np.outer(sd, sd)
    assert off.max() < ERRORS
    assert (np.abs(draws.mean(axis=0) - dense.X @ dense.beta) < 5.0 / np.sqrt(N) * sd).all()


def test_a_refit_is_the_fit_to_the_rows_drawn(model):
    frame, fit = model
    own = fit._model.repeated
    layout, root = own.layout, np.sqrt(frame["weight"])
    response = drawn_response(own, np.random.default_rng(5))
    solution, status = refit_drawn(own, np.random.default_rng(5), tol=1e-12, max_iter=100)
    assert status is FitStatus.CONVERGED
    drawn = frame["y"] + layout.residual_scale / root * (response - layout.laid.wide[:, -1])
    groups = fit.groups
    other = fitted_model(frame.assign(y=drawn), "ar1", groups=groups, weighted=True)
    assert solution.criterion == pytest.approx(other.criterion_, abs=1e-7)
    # Where the criterion is this close, estimates agree to the root of it in standard errors.
    np.testing.assert_allclose(solution.fixed, other.fixed_effects_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(solution.sigma, other.sigma_, rtol=1e-4)
