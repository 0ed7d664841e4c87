"""What the data cannot determine, found before the search."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._blocks import Blocks
from skmixed._factorize import Factorization
from skmixed._moments import Moments
from skmixed._start import symmetric_directions

FloatArray = NDArray[np.float64]

# Share of a column's squares outside the span of X, and of the largest
# eigenvalue of an information matrix scaled to a unit diagonal, below which
# nothing but rounding is left.
ROUNDING_SHARE = 1e-10


@dataclass(frozen=True)
class Findings:
    """Terms, and columns of the statistics, that have no unique variance.

    Attributes
    ----------
    rank : int
        Linearly independent columns of X.
    spanned : tuple of (term, column)
        Random coefficients whose columns lie in the span of the fixed effects:
        the REML criterion is flat in their variance.
    undetermined : tuple of int
        Terms whose covariance and the residual variance the second moments of
        the data do not tell apart.
    """

    rank: int
    spanned: tuple[tuple[int, int], ...] = ()
    undetermined: tuple[int, ...] = ()


def examine(at_zero: Factorization, moments: Moments | None) -> Findings:
    """Examine the factorization at Λ = 0, where Z'V⁻¹Z = Z'Z."""
    blocks = at_zero.blocks
    if moments is None:
        return Findings(rank=blocks.n_fixed)
    # Where X alone reproduces y there is nothing left to be flat in.
    may_be_flat = blocks.reml and not at_zero.is_exact_fit
    return Findings(
        rank=blocks.n_fixed,
        spanned=_spanned(blocks, moments) if may_be_flat else (),
        undetermined=_undetermined(blocks, moments),
    )


def _spanned(blocks: Blocks, moments: Moments) -> tuple[tuple[int, int], ...]:
    found = []
    for factor, term in blocks.terms:
        r = factor.n_columns
        own, left = (
            np.einsum("ra,rs,sa->a", term.to_block, m[factor.entries].reshape(r, r), term.to_block)
            for m in (moments.zz, moments.zpz)
        )
        gone = np.flatnonzero((own > 0) & (left <= ROUNDING_SHARE * own))
        found += [(term.index, term.term.columns[a]) for a in gone]
    return tuple(found)


def _undetermined(blocks: Blocks, moments: Moments) -> tuple[int, ...]:
    """Find terms without a unique covariance, from tr(V_a V_b) at V = I."""
    found, start = [], 0
    directions = symmetric_directions(blocks)
    for _, term in blocks.terms:
        own = directions[start : start + term.term.structure.n_theta(term.size)]
        start += len(own)
        full = np.empty((len(own) + 1,) * 2)
        full[0, 0] = blocks.n_rows
        full[0, 1:] = full[1:, 0] = own @ moments.zz
        full[1:, 1:] = own @ moments.raw @ own.T
        scale = np.sqrt(np.diagonal(full))
        scaled = full / np.outer(scale, scale) if (scale > 0).all() else np.zeros_like(full)
        if np.linalg.eigvalsh(scaled)[0] <= ROUNDING_SHARE:
            found.append(term.index)
    return tuple(found)
