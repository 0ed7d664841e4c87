"""Blocks whose covariance S = R + Σ_k Z_kΣ_kZ_k' is explicit.

A block holds the subjects, and the levels of grouping factors, that share rows. Blocks with
one pattern of times, strata and Z share S. With A = S⁻¹, S_i = ∂S/∂θ_i and rows W, the
derivatives of the likelihood need sums over blocks of

    tr(AS_i),  W'AS_iAW,  tr(AS_iAS_j),  tr(AS_iAS_jA WBW'),  ⟨A − AWBW'A, ∂²S⟩.

The S_i are explicit, or, where S is a submatrix of one matrix over all visits, given by
the derivatives of that: then the sums run over pairs of visits, whatever the number of
patterns, and of parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._model.residual import Residual, ResidualAt
from skmixed._model.time_points import TimePoints
from skmixed._repeated.blocks import (
    BlockIndex,
    BlockProducts,
    BlockTerm,
    Stratum,
    block_moments,
    residual_covariance,
)
from skmixed._repeated.likelihood import Directions
from skmixed._repeated.rows import LaidRows, RowsBeside
from skmixed._typing import FloatArray, IntArray, Lam, Moments

# Numbers of one matrix over rows to predict.
SLAB_NUMBERS = 2**18


@dataclass(frozen=True)
class ExplicitBlocks:
    """Patterns of blocks of one number of rows.

    Attributes
    ----------
    index : BlockIndex
    places : TimePoints
        Of shape (b, n).
    counts : (b,) array
        How many blocks each pattern has.
    terms : tuple of BlockTerm
    strata : tuple of Stratum
    products : BlockProducts
    """

    index: BlockIndex
    places: TimePoints
    counts: FloatArray
    terms: tuple[BlockTerm, ...]
    strata: tuple[Stratum, ...]
    products: BlockProducts

    @property
    def rows(self) -> IntArray:
        """Which rows they are, block by block."""
        return self.index.rows.ravel()

    @property
    def block_of_row(self) -> IntArray:
        """The number of the block of each row."""
        n_blocks, n = self.index.rows.shape
        return np.repeat(np.arange(n_blocks), n)

    def at(self, residual: Residual, lam: Lam, phi: FloatArray) -> "ExplicitAt":
        """Evaluate the covariance; a LinAlgError where it is not positive definite."""
        own = tuple(
            residual.evaluate(phi[residual.of_stratum(s.number)], self.places) for s in self.strata
        )
        total = sum(s.masked(at.value) for s, at in zip(self.strata, own, strict=True))
        for term in self.terms:
            factor = lam[term.index]
            total = total + term.covariance((factor @ factor.T)[None])[0]
        root = np.linalg.cholesky(total)
        logdet = 2.0 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
        half = np.linalg.inv(root)
        inverse = half.transpose(0, 2, 1) @ half
        return ExplicitAt(self, residual, lam, phi, own, inverse, float(self.counts @ logdet))

    def moments(self, matrix: FloatArray, m: int) -> Iterator[Moments]:
        places = self.places if m > 1 else self.places.without_visits
        squares = self.products.gram(matrix)
        return block_moments(places, self.counts, self.strata, squares, m)


@dataclass(frozen=True)
class ExplicitAt:
    """Blocks at one Λ and φ.

    Attributes
    ----------
    group : ExplicitBlocks
    residual : Residual
    lam : tuple of arrays
        Λ of each term.
    phi : (f,) array
        φ of all strata.
    residuals : tuple of ResidualAt
        Of each stratum.
    inverse : (b, n, n) array
        A = S⁻¹.
    logdet : float
        log|S| of all blocks.
    """

    group: ExplicitBlocks
    residual: Residual
    lam: Lam
    phi: FloatArray
    residuals: tuple[ResidualAt, ...]
    inverse: FloatArray
    logdet: float

    @cached_property
    def products(self) -> FloatArray:
        """W'AW, (k, k)."""
        return self.group.products.quadratic(self.inverse[None])[0]

    def times(self, columns: FloatArray) -> FloatArray:
        """Return A times columns of the rows, (b·n, c)."""
        index = self.group.index
        own = columns.reshape(*index.rows.shape, -1)
        return np.asarray(self.inverse[index.pattern] @ own).reshape(columns.shape)

    def cluster_products(self, columns: FloatArray) -> FloatArray:
        """Return C'AC of each block, for columns (b·n, c); (b, c, c)."""
        shape = self.group.index.rows.shape
        own, seen = columns.reshape(*shape, -1), self.times(columns).reshape(*shape, -1)
        return own.transpose(0, 2, 1) @ seen

    @property
    def diagonal(self) -> FloatArray:
        """The diagonal of A, of each row."""
        own = np.diagonal(self.inverse, axis1=1, axis2=2)
        return own[self.group.index.pattern].ravel()

    @property
    def _row_variances(self) -> FloatArray:
        """The diagonal of R, (b, n)."""
        own = [np.diagonal(s.masked(at.value), axis1=1, axis2=2) for s, at in self._strata()]
        return np.asarray(sum(own))

    @property
    def residual_variance(self) -> float:
        """The sum of the diagonal of R."""
        return float(self.group.counts @ self._row_variances.sum(axis=1))

    @property
    def least_share(self) -> float:
        """The least variance of a row given the others of its block, as a share of its own."""
        own = np.diagonal(self.inverse, axis1=1, axis2=2)
        return float((1.0 / (self._row_variances * own)).min())

    def _strata(self) -> Iterator[tuple[Stratum, ResidualAt]]:
        return zip(self.group.strata, self.residuals, strict=True)

    def matrices(self) -> tuple[list[int], FloatArray]:
        """Return which parameters S depends on, and ∂S by each, (d, b, n, n)."""
        places: list[int] = []
        parts = []
        for term in self.group.terms:
            places += range(term.place.start, term.place.stop)
            parts.append(term.covariance(term.directions))
        for stratum, at in self._strata():
            places += range(stratum.place.start, stratum.place.stop)
            parts.append(stratum.masked(at.first))
        return places, np.concatenate(parts)

    def curvature(self, weights: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Return Σ W ∂²S/∂φ∂φ' of each stratum, for symmetric weights, (b, n, n)."""
        for stratum, at in self._strata():
            yield stratum.place, at.curvature(stratum.masked(weights))

    def mixture(self, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²S/∂φ_i∂φ_j for w over all parameters; (b, n, n)."""
        parts = [s.masked(at.mixture(pairs[s.place, s.place])) for s, at in self._strata()]
        return np.asarray(sum(parts))

    def slope(self, seen: FloatArray) -> FloatArray:
        """Return A − AWBW'A of AWBW'A, summed over the blocks of each pattern."""
        return self.group.counts[:, None, None] * self.inverse - seen

    def directions(self) -> Directions:
        """Return the directions in the form that takes fewer operations."""
        group, residual = self.group, self.residual
        is_of_visits = (
            not group.terms
            and len(group.strata) == 1
            and group.strata[0].same is None
            and residual.is_of_visits_alone
        )
        # b·d·n³ + b·d²·n² operations against b·m⁴
        if is_of_visits and residual.m**2 <= residual.n_own * group.places.shape[1]:
            stratum = group.strata[0]
            phi = self.phi[residual.of_stratum(stratum.number)]
            whole = residual.evaluate(phi, residual.all_visits)
            return VisitDirections(self, stratum.place, whole)
        places, matrices = self.matrices()
        return ExplicitDirections(self, places, self.inverse @ matrices)

    def residual_parts(self, rows: RowsBeside, laid: LaidRows, whitened: FloatArray) -> FloatArray:
        """Return r'Py of rows beside blocks, for Py of all rows."""
        out = np.zeros(len(rows.block))
        for part, own in self._in_slabs(rows):
            known = self.group.index.rows[own.block]
            covariance = residual_covariance(self.residual, self.phi, own, known, laid)
            out[part] = (covariance * whitened[known]).sum(axis=1)
        return out

    def reductions(self, rows: RowsBeside, laid: LaidRows) -> tuple[FloatArray, FloatArray]:
        """Return c'Ac and c'AU of rows beside blocks, c their covariances with these."""
        square, left = (
            np.zeros(len(rows.block)),
            np.zeros((len(rows.block), laid.wide.shape[1] - 1)),
        )
        for part, own in self._in_slabs(rows):
            known = self.group.index.rows[own.block]
            # R for rows of the same subject, and z'Σz for rows of the same level
            covariance = residual_covariance(self.residual, self.phi, own, known, laid)
            for term in self.group.terms:
                columns, levels = laid.terms[term.index]
                z, level = own.terms[term.index]
                factor = self.lam[term.index]
                of_rows = np.einsum("bs,bxs->bx", z @ (factor @ factor.T), columns[known])
                covariance += (levels[known] == level[:, None]) * of_rows
            pattern = self.group.index.pattern[own.block]
            solved = np.einsum("bxy,by->bx", self.inverse[pattern], covariance)
            square[part] = (covariance * solved).sum(axis=1)
            left[part] = np.einsum("bx,bxu->bu", solved, laid.wide[known][:, :, :-1])
        return square, left

    def _in_slabs(self, rows: RowsBeside) -> Iterator[tuple[slice, RowsBeside]]:
        """Return rows whose covariances with their blocks have room."""
        step = max(SLAB_NUMBERS // self.group.index.rows.shape[1], 1)
        for start in range(0, len(rows.block), step):
            part = slice(start, start + step)
            yield part, rows.taken(part)


@dataclass(frozen=True)
class ExplicitDirections:
    """Directions as matrices of the blocks.

    Attributes
    ----------
    at : ExplicitAt
    places : list of int
    left : (d, b, n, n) array
        AS_i.
    """

    at: ExplicitAt
    places: list[int]
    left: FloatArray

    def traces(self) -> FloatArray:
        return np.trace(self.left, axis1=2, axis2=3) @ self.at.group.counts

    def products(self) -> FloatArray:
        return self.at.group.products.quadratic(self.left @ self.at.inverse)

    def average(self, weights: FloatArray) -> FloatArray:
        gram = self.at.group.products.gram(np.outer(weights, weights))
        return self._pairs(self.at.inverse @ gram)

    def observed(self, matrix: FloatArray) -> FloatArray:
        # −tr(AS_iAS_j) + 2tr(AS_iAS_jA WBW'), and of second derivatives of S
        seen = self.at.inverse @ self.at.group.products.gram(matrix)
        last, diagonal = 2.0 * seen, np.arange(seen.shape[1])
        last[:, diagonal, diagonal] -= self.at.group.counts[:, None]
        out, number = self._pairs(last), {place: k for k, place in enumerate(self.places)}
        for place, bend in self.at.curvature(self.at.slope(seen @ self.at.inverse)):
            own = slice(number[place.start], number[place.start] + len(bend))
            out[own, own] += bend
        return out

    def _pairs(self, last: FloatArray) -> FloatArray:
        """Σ tr(AS_i AS_j M) for M, (b, n, n)."""
        d = len(self.left)
        right = (self.left @ last).reshape(d, -1)
        return self.left.transpose(0, 1, 3, 2).reshape(d, -1) @ right.T

    def pair_products(self, weights: FloatArray) -> FloatArray:
        mixed = np.tensordot(weights[np.ix_(self.places, self.places)], self.left, 1)
        middle = (self.left @ mixed).sum(axis=0) @ self.at.inverse
        return self.at.group.products.quadratic(middle[None])[0]

    def second_products(self, weights: FloatArray) -> FloatArray:
        middle = self.at.inverse @ self.at.mixture(weights) @ self.at.inverse
        return self.at.group.products.quadratic(middle[None])[0]


@dataclass(frozen=True)
class VisitDirections:
    """Directions of one covariance of all visits, of which blocks have submatrices.

    Attributes
    ----------
    at : ExplicitAt
    place : slice
        Places of the parameters of the stratum.
    whole : ResidualAt
        R of a subject with all visits.
    """

    at: ExplicitAt
    place: slice
    whole: ResidualAt

    @property
    def places(self) -> list[int]:
        return list(range(self.place.start, self.place.stop))

    @cached_property
    def _first(self) -> FloatArray:
        """J_i, (d, m·m)."""
        return self.whole.first.reshape(len(self.places), -1)

    @property
    def _m(self) -> int:
        return self.whole.places.shape[1]

    @property
    def _visits(self) -> TimePoints:
        return self.at.group.places

    def _embedded(self, matrices: FloatArray) -> FloatArray:
        """Lay matrices of the blocks, (b, n, n), in those of all visits, (b, m, m)."""
        visit, m = self._visits.visit, self._m
        out = np.zeros((len(matrices), m, m))
        out[np.arange(len(matrices))[:, None, None], visit[:, :, None], visit[:, None, :]] = (
            matrices
        )
        return out

    @cached_property
    def _inverse(self) -> FloatArray:
        """A of the blocks among all visits, (b, m·m)."""
        return self._embedded(self.at.inverse).reshape(len(self.at.inverse), -1)

    @cached_property
    def _outer(self) -> FloatArray:
        """Σ A ww' A for all pairs of visits, (m·m, k·k)."""
        group = self.at.group
        found = group.products.sandwich(self.at.inverse, self._visits.visit, self._m)
        return found.reshape(self._m**2, -1)

    def _squared(self, entries: FloatArray) -> FloatArray:
        k = round(self._outer.shape[1] ** 0.5)
        return (entries @ self._outer).reshape(-1, k, k)

    def traces(self) -> FloatArray:
        return self._first @ (self.at.group.counts @ self._inverse)

    def products(self) -> FloatArray:
        return self._squared(self._first)

    def average(self, weights: FloatArray) -> FloatArray:
        seen = self._seen(np.outer(weights, weights))
        return self._pairs(self._embedded(seen).reshape(len(seen), -1))

    def observed(self, matrix: FloatArray) -> FloatArray:
        seen = self._seen(matrix)
        last = 2.0 * self._embedded(seen).reshape(len(seen), -1)
        last -= self.at.group.counts[:, None] * self._inverse
        slope = self._visits.laid(self.at.slope(seen), self._m)
        return self._pairs(last) + self.whole.curvature(slope[None])

    def _seen(self, matrix: FloatArray) -> FloatArray:
        """AWBW'A for symmetric B, (k, k); (b, n, n)."""
        return self.at.inverse @ self.at.group.products.gram(matrix) @ self.at.inverse

    def _pairs(self, last: FloatArray) -> FloatArray:
        """Σ tr(J_i A J_j Y) for Y, (b, m·m)."""
        m = self._m
        # Σ_b A_bc Y_da, as a matrix of pairs ab and cd
        sums = (self._inverse.T @ last).reshape(m, m, m, m)
        middle = sums.transpose(3, 0, 1, 2).reshape(m * m, m * m)
        return self._first @ middle @ self._first.T

    def pair_products(self, weights: FloatArray) -> FloatArray:
        m, inverse = self._m, self.at.inverse
        # Σ_ij w_ij J_i[a, b] J_j[c, d], applied to each A_bc
        pairs = self._first.T @ weights[self.place, self.place] @ self._first
        pairs = pairs.reshape(m, m, m, m).transpose(1, 2, 0, 3).reshape(m * m, m * m)
        mixed = (self._inverse @ pairs).reshape(-1, m, m)
        visit = self._visits.visit
        own = mixed[np.arange(len(mixed))[:, None, None], visit[:, :, None], visit[:, None, :]]
        return self.at.group.products.quadratic((inverse @ own @ inverse)[None])[0]

    def second_products(self, weights: FloatArray) -> FloatArray:
        mixture = self.whole.mixture(weights[self.place, self.place])
        return self._squared(mixture.reshape(1, -1))[0]
