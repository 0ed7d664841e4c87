"""Sums of squares of rows around predictions, from their products alone."""

from collections.abc import Sequence

import numpy as np

from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray


def squares_around(
    stats: CrossProducts, beta: FloatArray, effects: Sequence[FloatArray]
) -> tuple[float, float]:
    """Return Σ w (y − d'β − Σ_k z_k'b_k)² and Σ w (y − ȳ)² over the rows of statistics.

    `beta`, (k,), are coefficients of the columns d of the design, the ones first; `effects`,
    (q, r) of each factor, those of its own columns within each level.
    """
    own = stats.responses
    # y − d'β = u + e'δ, with δ = γ − Eβ and what the centers leave at the ones
    delta = own.full_regression[:, 0] - stats.frame.coefficients(beta)
    delta[0] += own.center[0] - stats.center @ beta
    left = own.total.moved(stats.total, delta[:, None])
    found = float(left.squares[0])
    of_rows = [_of_own_rows(stats, k, b) for k, b in enumerate(effects)]
    for k, b in enumerate(of_rows):
        # − 2 b'Z'(y − d'β) + b'Z'Zb of each factor
        factor = stats.factors[k]
        beside = factor.responses[:, :, 0] + factor.sums @ delta
        found -= 2.0 * float((b * beside).sum())
        found += float(np.einsum("qi,qij,qj->", b, stats.own_products(k), b))
    for pair in stats.pairs:
        # + 2 b_f'Z_f'Z_gb_g of each two
        first, second = of_rows[pair.first].ravel(), of_rows[pair.second].ravel()
        found += 2.0 * float(first @ (pair.matrix @ second))
    around_mean = stats.response_moments.centered_squares[0]
    return max(found, 0.0), float(around_mean)


def _of_own_rows(stats: CrossProducts, k: int, effects: FloatArray) -> FloatArray:
    """Return the coefficients of a factor's rows f with the same z'b, (q, r): d − c = fE."""
    frame = stats.factors[k].frame(stats.center)
    out = frame.coefficients(effects.T).T.copy()
    out[:, 0] += effects @ frame.center
    return np.asarray(out)
