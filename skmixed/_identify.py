"""What the data cannot determine, found before the search."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._blocks import FactorBlock, TermBlock
from skmixed._criterion import Moments
from skmixed._factorize import Factorization

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
    factor = at_zero.blocks.factor
    if factor is None or moments is None:
        return Findings(rank=at_zero.blocks.n_fixed)
    # Where X alone reproduces y there is nothing left to be flat in.
    may_be_flat = at_zero.blocks.reml and not at_zero.is_exact_fit
    return Findings(
        rank=at_zero.blocks.n_fixed,
        spanned=_spanned(factor, moments) if may_be_flat else (),
        undetermined=_undetermined(at_zero.blocks.n_rows, factor),
    )


def _spanned(factor: FactorBlock, moments: Moments) -> tuple[tuple[int, int], ...]:
    own = factor.products[:, :, factor.random].sum(axis=(0, 3))
    found = []
    for k, term in enumerate(factor.terms):
        before, after = (_own_diagonal(term, m) for m in (own, moments.zpz))
        gone = np.flatnonzero((before > 0) & (after <= ROUNDING_SHARE * before))
        found += [(k, term.term.columns[a]) for a in gone]
    return tuple(found)


def _own_diagonal(term: TermBlock, matrix: FloatArray) -> FloatArray:
    return np.einsum("ra,rs,sa->a", term.to_block, matrix, term.to_block)


def _undetermined(n_rows: int, factor: FactorBlock) -> tuple[int, ...]:
    """Find terms without a unique covariance, from tr(V_a V_b) at V = I."""
    found = []
    r = factor.n_random
    squares = factor.products[:, :, factor.random].reshape(len(factor.products), r * r, -1)
    products = np.matmul(squares, squares.transpose(0, 2, 1)).sum(axis=0)  # Σ_j A_ab A_cd
    information = products.reshape((r,) * 4).transpose(1, 2, 3, 0).reshape(r * r, r * r)
    trace = squares.sum(axis=(0, 2))
    for k, term in enumerate(factor.terms):
        _, basis = term.term.structure.chart(np.eye(term.size))
        moved = np.einsum("ra,iab,sb->irs", term.to_block, basis, term.to_block)
        flat = (moved + moved.transpose(0, 2, 1)).reshape(len(basis), -1)
        full = np.empty((len(basis) + 1,) * 2)
        full[0, 0] = n_rows
        full[0, 1:] = full[1:, 0] = flat @ trace
        full[1:, 1:] = flat @ information @ flat.T
        scale = np.sqrt(np.diagonal(full))
        scaled = full / np.outer(scale, scale) if (scale > 0).all() else np.zeros_like(full)
        if np.linalg.eigvalsh(scaled)[0] <= ROUNDING_SHARE:
            found.append(k)
    return tuple(found)
