"""The rows of one generalized model in the search's coordinates, and the likelihood's parts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._derivatives.parameters import Parameters
from skmixed._equations.changes import RowLayout
from skmixed._model.covariance import Covariance
from skmixed._model.family import Family
from skmixed._typing import FloatArray, Lam


@dataclass(frozen=True)
class GeneralizedSystem:
    """Rows y, X, Z with a family, in coordinates in which columns are centered and scaled.

    The parameters are Λ of each term, and (γ, φ) in one array behind them: the fixed
    effects, and the logarithm of the shape where the family has one.

    Attributes
    ----------
    family : Family
    response, weights, offset : (n,) arrays
        Weights multiply log p.
    fixed : (p, n) array
        X'.
    rows : RowLayout
        Rows of Z.
    constant : float
        What −2 log L has that depends on y and the weights alone.
    """

    family: Family
    response: FloatArray
    weights: FloatArray
    offset: FloatArray
    fixed: FloatArray
    rows: RowLayout
    constant: float

    @property
    def n_rows(self) -> int:
        return len(self.response)

    @property
    def n_fixed(self) -> int:
        return len(self.fixed)

    @cached_property
    def parameters(self) -> Parameters:
        return Parameters.of(self.rows.system)

    @property
    def structures(self) -> tuple[Covariance, ...]:
        return tuple(t.term.structure for _, t in self.rows.system.terms)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(t.size for _, t in self.rows.system.terms)

    @property
    def n_shape(self) -> int:
        """1 for a family with a shape, else 0."""
        return int(self.family.has_dispersion)

    def split(self, rest: FloatArray) -> tuple[FloatArray, float]:
        """Return γ and φ."""
        gamma = rest[: self.n_fixed]
        return gamma, float(rest[-1]) if self.n_shape else 0.0

    def derivatives(self, eta: FloatArray, phi: float, order: int) -> FloatArray:
        """Return −w log p of each row and its derivatives in η, (order + 1, n)."""
        out = self.family.derivatives(self.response, eta, phi, order)
        out *= self.weights
        return out

    def fixed_products(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return Z'WX, (n_random, p), and X'WX, (p, p)."""
        with_random = np.empty((self.rows.n_random, self.n_fixed))
        own, weighted = np.empty((self.n_fixed,) * 2), np.empty(self.n_rows)
        for j, column in enumerate(self.fixed):
            np.multiply(weights, column, out=weighted)
            with_random[:, j] = self.rows.transposed(weighted)
            own[j] = self.fixed @ weighted
        return with_random, (own + own.T) / 2.0

    def covariance_times(self, lam: Lam, scores: FloatArray) -> FloatArray:
        """Return Σρ, (n_random,)."""
        out = np.empty(len(scores))
        for place, factor in zip(self.rows.places, self.rows.system.factors, strict=True):
            own = factor.lam(lam)
            out[place] = (scores[place].reshape(factor.n_levels, -1) @ own @ own.T).ravel()
        return out

    def scores_of(self, lam: Lam, random: FloatArray) -> FloatArray:
        """Return ρ of effects b = Σρ in the span of Λ, (n_random,)."""
        out = np.empty(len(random))
        for place, factor in zip(self.rows.places, self.rows.system.factors, strict=True):
            inverse = np.linalg.pinv(factor.lam(lam))
            levels = random[place].reshape(factor.n_levels, -1)
            out[place] = (levels @ inverse.T @ inverse).ravel()
        return out

    def along(self, scores: FloatArray) -> FloatArray:
        """Return D_iρ of the direction D_i of each τ, (n_random, d)."""
        parameters = self.parameters
        out = np.zeros((len(scores), sum(map(len, parameters.directions))))
        places = {
            f.entries.start: p for f, p in zip(parameters.factors, self.rows.places, strict=True)
        }
        for (factor, _), at, own in zip(
            parameters.terms, parameters.places, parameters.directions, strict=True
        ):
            levels = scores[places[factor.entries.start]].reshape(factor.n_levels, -1)
            moved = np.einsum("qa,iab->qbi", levels, own)
            out[places[factor.entries.start], at] = moved.reshape(-1, len(own))
        return out
