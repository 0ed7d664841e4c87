"""A small system as one dense matrix, where calls cost more than arithmetic.

The columns of Z lie term by term, in the model's order, within a term coefficient by
coefficient, and within a coefficient level by level, so that Λ of a term acts on its
rows as one product. Behind them are the independent columns of X, and y.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._equations.linear_algebra import cholesky_lower, solve_lower
from skmixed._equations.system import System
from skmixed._model.covariance import has_own_variances, is_unrestricted
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray

# Columns of random effects up to which the dense factor and its derivatives cost less
# than the calls of the blocked ones, about a millisecond.
MOST_COLUMNS = 120
# Share of a term's largest mean square below which that of a direction is rounding: the
# columns depend on each other there, and no level has an effect.
NOTHING = 1e-12
# Pivot that is kept of a column of unit length that depends on those before it, and the largest
# one that is taken for such a one.
PIVOT, DEPENDENT = 1e-10, 1e-8


@dataclass(frozen=True)
class DenseTerm:
    """One term of a dense system.

    Attributes
    ----------
    term : TermCoordinates
    n_levels : int
    columns : slice
        Its s·q columns among those of Z.
    white : (s, s) array
        Coefficients of columns whose mean products within a level are the identity, as
        far as maps that leave the structure as it is can make them: diagonal ones
        unless every covariance is allowed.
    to_white : (s, s) array
        Its inverse; both are 0 in directions in which the columns depend on each other.
    """

    term: TermCoordinates
    n_levels: int
    columns: slice
    white: FloatArray
    to_white: FloatArray

    @property
    def size(self) -> int:
        return self.term.size


@dataclass(frozen=True)
class DenseSystem:
    """The matrix [Z X y]'W[Z X y] of a small model.

    Attributes
    ----------
    products : (q + p + 1,) * 2 array
    terms : tuple of DenseTerm
    n_random : int
        Columns q of Z.
    system : System
        What it was made from.
    """

    products: FloatArray
    terms: tuple[DenseTerm, ...]
    n_random: int
    system: System

    @staticmethod
    def of(system: System) -> "DenseSystem":
        joined, starts = system.full()
        half, columns = _of_terms(system, joined, starts)
        products, _ = _of_terms(system, np.ascontiguousarray(half.T), starts)
        terms = tuple(
            _dense_term(products, term, factor.n_levels, own)
            for (factor, term), own in zip(system.terms, columns, strict=True)
        )
        return DenseSystem(products, terms, columns[-1].stop, system)

    def changed(self, maps: list[FloatArray]) -> FloatArray:
        """Return the products for Z times a matrix for each term, (s, s)."""
        half = self._half(maps, self.products)
        return self._half(maps, np.ascontiguousarray(half.T))

    def effective_levels(self, term: DenseTerm) -> float:
        """Count the levels, each by what its rows say of the effects: (Σ t)² / Σ t²."""
        products = self.products[term.columns, term.columns]
        by_level = products.reshape(term.size, term.n_levels, term.size, term.n_levels)
        levels = np.arange(term.n_levels)
        own = by_level[:, levels, :, levels]
        traces = np.einsum("jab,ac,bc->j", own, term.white, term.white)
        return float(traces.sum() ** 2 / (traces**2).sum())

    def variance_within(self) -> float:
        """Return σ² where levels are taken as fixed; 0 where no degrees of freedom are left."""
        squares = np.diagonal(self.products)
        least = np.zeros(len(squares))
        for term in self.terms:  # of a level whose values of a slope are all 0 rounding is left
            largest = squares[term.columns].reshape(term.size, -1).max(axis=1)
            least[term.columns] = np.repeat(NOTHING * largest, term.n_levels)
        is_there = squares > least
        lengths = np.sqrt(np.where(is_there, squares, 1.0))
        scaled = np.where(np.outer(is_there, is_there), self.products, 0.0)
        scaled /= np.outer(lengths, lengths)
        n = len(scaled) - 1
        # A column of zeros, or that depends on those before it, keeps a pivot, and is not counted
        scaled[np.arange(n), np.arange(n)] = is_there[:n] + PIVOT
        chol = cholesky_lower(scaled[:n, :n])
        rhs = solve_lower(chol, scaled[:n, n])
        dof = self.system.n_rows - int(np.count_nonzero(np.diagonal(chol) ** 2 > DEPENDENT))
        left = max(float(scaled[n, n] - rhs @ rhs), 0.0) * float(lengths[n]) ** 2
        return left / dof if dof > 0 else 0.0

    def _half(self, maps: list[FloatArray], rows: FloatArray) -> FloatArray:
        out = rows.copy()
        for own, term in zip(maps, self.terms, strict=True):
            part = rows[term.columns].reshape(term.size, -1)
            np.matmul(own.T, part, out=out[term.columns].reshape(term.size, -1))
        return out


def is_small(system: System) -> bool:
    """Whether the dense matrix is the cheaper one to search with."""
    columns = sum(f.n_levels * t.size for f, t in system.terms)
    return 0 < columns <= MOST_COLUMNS and not system.is_sparse


def _of_terms(
    system: System, rows: FloatArray, starts: list[int]
) -> tuple[FloatArray, list[slice]]:
    """Turn rows of the factors' columns to those of the terms; return their places too."""
    parts, places, stop = [], [], 0
    for factor, term in system.terms:
        k = system.factors.index(factor)
        own = rows[starts[k] : starts[k + 1]].reshape(factor.n_levels, factor.n_columns, -1)
        part = np.einsum("ca,jcn->ajn", term.to_factor_columns, own).reshape(-1, rows.shape[1])
        parts.append(part)
        places.append(slice(stop, stop + len(part)))
        stop += len(part)
    return np.concatenate([*parts, rows[starts[-1] :]]), places


def _dense_term(products: FloatArray, term: TermCoordinates, q: int, own: slice) -> DenseTerm:
    s, structure = term.size, term.term.structure
    mean = np.einsum("ajbj->ab", products[own, own].reshape(s, q, s, q)) / q
    if is_unrestricted(structure):
        squares, vectors = np.linalg.eigh(mean)
    else:
        squares, vectors = np.diagonal(mean), np.eye(s)
        if not has_own_variances(structure):
            squares = np.full(s, squares.mean())
    lengths = np.sqrt(np.where(squares > NOTHING * squares.max(), squares, 0.0))
    inverses = np.divide(1.0, lengths, out=np.zeros(s), where=lengths > 0)
    return DenseTerm(term, q, own, vectors * inverses, (vectors * lengths).T)
