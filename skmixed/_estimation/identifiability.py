"""What the data cannot determine, found before the search."""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.moments import Moments
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.layout import FactorLayout
from skmixed._equations.system import System
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, Pair

# Share of a column's squares outside the span of X, and of the largest
# eigenvalue of an information matrix scaled to a unit diagonal, below which
# nothing but rounding is left.
ROUNDING_SHARE = 1e-10


@dataclass(frozen=True)
class Identifiability:
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
    apart : tuple of (term, column, column)
        Coefficients whose covariance nothing in the data informs, since no level
        has both.
    separated : tuple of int
        Columns with a fixed effect of which a combination has no finite estimate.
    pure : tuple of int
        Grouping factors with levels that have one class each, whose variance has none.
    """

    rank: int
    spanned: tuple[tuple[int, int], ...] = ()
    undetermined: tuple[int, ...] = ()
    apart: tuple[Pair, ...] = ()
    separated: tuple[int, ...] = ()
    pure: tuple[int, ...] = ()


def examine(
    at_zero: CholeskyFactor, likelihood: Likelihood, moments: Moments | None
) -> Identifiability:
    """Examine the factorization at Λ = 0, where Z'V⁻¹Z = Z'Z."""
    system = at_zero.system
    if moments is None:
        return Identifiability(rank=system.n_fixed)
    # Where X alone reproduces y there is nothing left to be flat in.
    may_be_flat = likelihood.reml and not likelihood.is_exact_fit(at_zero)
    undetermined, apart = _undetermined(system, moments)
    return Identifiability(
        rank=system.n_fixed,
        spanned=_spanned(system, moments) if may_be_flat else (),
        undetermined=undetermined,
        apart=apart,
    )


def _spanned(system: System, moments: Moments) -> tuple[tuple[int, int], ...]:
    found = []
    for factor, term in system.terms:
        r = factor.n_columns
        # Σ_j (Z'WZ)_jj and Σ_j (Z'PZ)_jj of each coefficient's column
        own, left = (
            np.einsum(
                "ra,rs,sa->a",
                term.to_factor_columns,
                m[factor.entries].reshape(r, r),
                term.to_factor_columns,
            )
            for m in (moments.zz, moments.zpz)
        )
        gone = np.flatnonzero((own > 0) & (left <= ROUNDING_SHARE * own))
        found += [(term.index, term.term.columns[a]) for a in gone]
    return tuple(found)


def _undetermined(system: System, moments: Moments) -> tuple[tuple[int, ...], tuple[Pair, ...]]:
    """Find terms without unique variances, and covariances, from tr(V_a V_b) at V = I."""
    terms, pairs, parameters = [], [], Parameters.of(system)
    for (factor, term), place in zip(parameters.terms, parameters.places, strict=True):
        own = parameters.entries[place]
        full = np.empty((len(own) + 1,) * 2)
        full[0, 0] = system.n_rows
        full[0, 1:] = full[1:, 0] = own @ moments.zz
        full[1:, 1:] = own @ moments.raw @ own.T
        d = term.term.structure.directions(term.size)
        size = np.einsum("iab,a,b->i", d**2, *[_variance_sizes(factor, term, moments)] * 2)
        informed = np.diagonal(full)[1:] > ROUNDING_SHARE * size
        # Two coefficients that no level has both of: their covariance is in no row.
        apart = ~informed & (size > 0) & ~np.diagonal(d, axis1=1, axis2=2).any(axis=1)
        pairs += [_pair(term, direction) for direction in d[apart]]
        if not informed[~apart].all() or _is_singular(full[np.ix_(*[np.r_[True, ~apart]] * 2)]):
            terms.append(term.index)
    return tuple(terms), tuple(pairs)


def _variance_sizes(factor: FactorLayout, term: TermCoordinates, moments: Moments) -> FloatArray:
    """Return √tr(V_aa V_aa) of each coefficient, (s,): no covariance has more."""
    raw = moments.raw[factor.entries, factor.entries]
    columns = term.to_factor_columns.T
    squares = np.einsum("sa,sb->sab", columns, columns).reshape(len(columns), -1)
    return np.sqrt(np.maximum(np.einsum("si,ij,sj->s", squares, raw, squares), 0.0))


def _pair(term: TermCoordinates, direction: FloatArray) -> Pair:
    first, second = np.argwhere(np.triu(direction))[0]
    return term.index, term.term.columns[first], term.term.columns[second]


def _is_singular(matrix: FloatArray) -> bool:
    scale = np.sqrt(np.diagonal(matrix))
    return bool(np.linalg.eigvalsh(matrix / np.outer(scale, scale))[0] <= ROUNDING_SHARE)
