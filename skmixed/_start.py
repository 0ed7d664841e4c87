"""A start for the search from moments of the data.

MINQUE with V = I as its prior (Rao, 1971, J. Multivariate Anal. 1): unbiased,
consistent, and in balanced data the analysis-of-variance estimates themselves,
which are REML's where the optimum is interior.
"""

import numpy as np
from numpy.typing import NDArray

from skmixed._blocks import FactorBlock
from skmixed._criterion import Moments
from skmixed._factorize import Factorization

FloatArray = NDArray[np.float64]

# Share of the variance of y below which the moments' residual variance says
# nothing: it is a difference, and may be negative.
SMALLEST_RESIDUAL_SHARE = 1e-8


def moment_start(at_zero: Factorization, moments: Moments) -> tuple[FloatArray, ...]:
    """Return Λ of each term from the factorization at Λ = 0."""
    blocks, factor = at_zero.blocks, at_zero.blocks.grouping
    bases = [_symmetric_basis(factor, k) for k in range(len(factor.terms))]
    directions = np.concatenate(bases).reshape(-1, factor.n_random**2)
    information = moments.information.reshape(directions.shape[1], -1)
    traces = directions @ moments.zpz.ravel()
    system = np.block(
        [
            [np.array([[float(blocks.n_rows - blocks.n_fixed)]]), traces[None]],
            [traces[:, None], directions @ information @ directions.T],
        ]
    )
    squares = np.concatenate([[at_zero.residual_squares], directions @ moments.outer.ravel()])
    solution = np.linalg.lstsq(system, squares, rcond=None)[0]
    if not solution[0] > SMALLEST_RESIDUAL_SHARE * at_zero.sigma_squared:
        return tuple(np.eye(t.size) for t in factor.terms)
    return _factors(factor, solution[1:] / solution[0])


def _symmetric_basis(factor: FactorBlock, k: int) -> FloatArray:
    """Directions of Σ of one term, in the coordinates of the factor's columns."""
    term = factor.terms[k]
    _, basis = term.term.structure.chart(np.eye(term.size))
    moved = np.einsum("ra,iab,sb->irs", term.to_block, basis, term.to_block)
    return np.asarray((moved + moved.transpose(0, 2, 1)) / 2)


def _factors(factor: FactorBlock, coefficients: FloatArray) -> tuple[FloatArray, ...]:
    """Return the symmetric roots of the nearest semidefinite Σ of each term."""
    out, start = [], 0
    for term in factor.terms:
        _, basis = term.term.structure.chart(np.eye(term.size))
        sigma = np.tensordot(coefficients[start : start + len(basis)], basis, 1)
        values, vectors = np.linalg.eigh((sigma + sigma.T) / 2)
        out.append((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
        start += len(basis)
    return tuple(out)
