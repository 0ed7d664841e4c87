"""Blocks of rows that are independent of each other but for outer random effects.

A block holds the subjects, and the levels of grouping factors, that share rows. Its
covariance S = R + Σ_k Z_k Σ_k Z_k' is explicit. Blocks with one pattern of times, strata
and Z share it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skmixed._model.residual import Residual, ResidualAt
from skmixed._model.time_points import TimePoints
from skmixed._repeated.products import BlockProducts
from skmixed._typing import BoolArray, FloatArray, Lam


@dataclass(frozen=True)
class BlockTerm:
    """A random-effects term inside of blocks.

    Attributes
    ----------
    index : int
        Position among the model's terms.
    columns : (b, n, s) array
        Z, a row's own coefficients.
    directions : (d, s, s) array
        Those of Σ.
    place : slice
        Places of its τ among the parameters.
    same : (b, n, n) array of bool, or None
        Which rows are of one level; None where all of a block are.
    """

    index: int
    columns: FloatArray
    directions: FloatArray
    place: slice
    same: BoolArray | None

    def covariance(self, matrices: FloatArray) -> FloatArray:
        """Return ZΣZ' of the blocks for matrices Σ, (d, s, s) to (d, b, n, n)."""
        out = (self.columns @ matrices[:, None]) @ self.columns.transpose(0, 2, 1)
        return out if self.same is None else out * self.same


@dataclass(frozen=True)
class Stratum:
    """The rows of blocks that belong to one stratum.

    Attributes
    ----------
    place : slice
        Places of its φ among the parameters.
    number : int
    same : (b, n, n) array of bool, or None
        Which pairs are of one subject of the stratum; None where all are.
    """

    place: slice
    number: int
    same: BoolArray | None

    def masked(self, matrices: FloatArray) -> FloatArray:
        return matrices if self.same is None else matrices * self.same


@dataclass(frozen=True)
class BlockGroup:
    """Patterns of blocks of one number of rows.

    Attributes
    ----------
    places : TimePoints
        Of shape (b, n).
    counts : (b,) array
        How many blocks each pattern has.
    terms : tuple of BlockTerm
    strata : tuple of Stratum
    products : BlockProducts
    """

    places: TimePoints
    counts: FloatArray
    terms: tuple[BlockTerm, ...]
    strata: tuple[Stratum, ...]
    products: BlockProducts

    def at(self, residual: Residual, lam: Lam, phi: FloatArray) -> "BlocksAt":
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
        return BlocksAt(self, own, inverse, float(self.counts @ logdet))


@dataclass(frozen=True)
class BlocksAt:
    """Blocks at one Λ and φ.

    Attributes
    ----------
    group : BlockGroup
    residuals : tuple of ResidualAt
        Of each stratum.
    inverse : (b, n, n) array
        A = S⁻¹.
    logdet : float
        log|S| of all blocks.
    """

    group: BlockGroup
    residuals: tuple[ResidualAt, ...]
    inverse: FloatArray
    logdet: float

    def _strata(self) -> Iterator[tuple[Stratum, ResidualAt]]:
        return zip(self.group.strata, self.residuals, strict=True)

    def directions(self) -> tuple[list[int], FloatArray]:
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
