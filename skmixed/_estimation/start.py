"""A start for the search from moments of the data.

MINQUE with V = I as its prior (Rao, 1971, J. Multivariate Anal. 1): unbiased,
consistent, and in balanced data the analysis-of-variance estimates themselves,
which are REML's where the optimum is interior (docs/mathematics.md, "The search").
"""

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.moments import Moments
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, Lam

# Share of the variance of y below which the moments' residual variance says
# nothing: it is a difference, and may be negative.
SMALLEST_RESIDUAL_SHARE = 1e-8
# Coefficients of a term from which on each direction has at the start some share of the mean
# variance. With 10, 20 and 40 random slopes and some 50 rows in each of 50 to 200 levels the
# search took 10, 18 and 32 steps instead of 17, 44 and 95.
MANY_COEFFICIENTS, LEAST_SHARE = 6, 0.3


def moment_start(at_zero: CholeskyFactor, likelihood: Likelihood, moments: Moments) -> Lam:
    """Return Λ of each term from the factorization at Λ = 0."""
    system = at_zero.system
    parameters = Parameters.of(system)
    directions = parameters.entries
    traces = directions @ moments.zpz
    # [n − p, tr(PV_i); tr(PV_i), tr(PV_iPV_j)] (σ², σ²τ) = (y'Py, y'PV_iPy)
    equations = np.empty((len(directions) + 1,) * 2)
    equations[0, 0] = system.n_rows - system.n_fixed
    equations[0, 1:] = equations[1:, 0] = traces
    equations[1:, 1:] = directions @ moments.information @ directions.T
    residual = likelihood.residual_squares(at_zero)
    squares = np.concatenate([[residual], directions @ moments.outer])
    solution = np.linalg.lstsq(equations, squares, rcond=None)[0]
    if not solution[0] > SMALLEST_RESIDUAL_SHARE * likelihood.sigma_squared(at_zero):
        return tuple(np.eye(t.size) for _, t in system.terms)
    tau = solution[1:] / solution[0]
    return tuple(
        _near(t, np.tensordot(tau[place], t.term.structure.directions(t.size), 1))
        for (_, t), place in zip(parameters.terms, parameters.places, strict=True)
    )


def _near(term: TermCoordinates, covariance: FloatArray) -> FloatArray:
    """Return Λ near moments; of many coefficients one that no direction is missing from.

    Of them moments are indefinite, and from a zero variance of a direction the search gets
    off one direction a step: it has no gradient there.
    """
    if term.size >= MANY_COEFFICIENTS:
        values, vectors = np.linalg.eigh(covariance)
        least = LEAST_SHARE * float(np.maximum(values, 0.0).mean())
        covariance = (vectors * np.maximum(values, least)) @ vectors.T
    return term.term.structure.nearest(covariance)
