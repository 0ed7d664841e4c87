"""A start for the search from moments of the data.

MINQUE with V = I as its prior (Rao, 1971, J. Multivariate Anal. 1): unbiased,
consistent, and in balanced data the analysis-of-variance estimates themselves,
which are REML's where the optimum is interior (docs/mathematics.md, "The search").
"""

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._equations.cholesky import Factorization
from skmixed._equations.moments import Moments
from skmixed._equations.system import Blocks
from skmixed._model.covariance import Covariance
from skmixed._typing import FloatArray, Lam

# Share of the variance of y below which the moments' residual variance says
# nothing: it is a difference, and may be negative.
SMALLEST_RESIDUAL_SHARE = 1e-8


def moment_start(at_zero: Factorization, likelihood: Likelihood, moments: Moments) -> Lam:
    """Return Λ of each term from the factorization at Λ = 0."""
    blocks = at_zero.blocks
    directions = symmetric_directions(blocks)
    traces = directions @ moments.zpz
    system = np.empty((len(directions) + 1,) * 2)
    system[0, 0] = blocks.n_rows - blocks.n_fixed
    system[0, 1:] = system[1:, 0] = traces
    system[1:, 1:] = directions @ moments.information @ directions.T
    residual = likelihood.residual_squares(at_zero)
    squares = np.concatenate([[residual], directions @ moments.outer])
    solution = np.linalg.lstsq(system, squares, rcond=None)[0]
    if not solution[0] > SMALLEST_RESIDUAL_SHARE * likelihood.sigma_squared(at_zero):
        return tuple(np.eye(t.size) for _, t in blocks.terms)
    return _factors(blocks, solution[1:] / solution[0])


def symmetric_directions(blocks: Blocks) -> FloatArray:
    """Directions of Σ of all terms, over the entries of all factors."""
    size = blocks.factors[-1].entries.stop
    out = []
    for factor, term in blocks.terms:
        own = (
            term.to_factor_columns
            @ term.term.structure.directions(term.size)
            @ term.to_factor_columns.T
        )
        rows = np.zeros((len(own), size))
        rows[:, factor.entries] = own.reshape(len(own), -1)
        out.append(rows)
    return np.concatenate(out)


def _factors(blocks: Blocks, coefficients: FloatArray) -> tuple[FloatArray, ...]:
    """Return the symmetric roots of the nearest semidefinite Σ of each term."""
    out, start = [], 0
    for _, term in blocks.terms:
        own = term.term.structure.directions(term.size)
        out.append(_root(np.tensordot(coefficients[start : start + len(own)], own, 1)))
        start += len(own)
    return tuple(out)


def nearest_factor(structure: Covariance, covariance: FloatArray) -> FloatArray:
    """Return the symmetric root of the nearest covariance that a structure admits."""
    directions = structure.directions(len(covariance))
    squares = np.einsum("iab,iab->i", directions, directions)
    coefficients = np.einsum("iab,ab->i", directions, covariance) / squares
    return _root(np.tensordot(coefficients, directions, 1))


def _root(covariance: FloatArray) -> FloatArray:
    """Return the symmetric root of the nearest semidefinite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
