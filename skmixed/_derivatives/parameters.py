"""The variance parameters of a system, in the model's order of terms.

Each term's relative covariance is Σ = Σ_i τ_i D_i in the search's coordinates, with the
directions D_i of its structure; the order of the factors in the system is that of
their elimination, which is another one.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._equations.layout import FactorLayout
from skmixed._equations.system import System
from skmixed._model.chart import Chart, consecutive
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, IntArray, Lam


@dataclass(frozen=True)
class Parameters:
    """τ of all terms, and what they are in the columns of the factors.

    Attributes
    ----------
    factors : tuple of FactorLayout
        In the order of the system.
    terms : tuple of (FactorLayout, TermCoordinates)
        In the model's order.
    directions : tuple of (d, r, r) arrays
        D_i of each term in the coordinates of its factor's columns.
    """

    factors: tuple[FactorLayout, ...]
    terms: tuple[tuple[FactorLayout, TermCoordinates], ...]
    directions: tuple[FloatArray, ...]

    @staticmethod
    def of(system: System) -> "Parameters":
        terms = tuple(system.terms)
        directions = tuple(
            t.to_factor_columns @ t.term.structure.directions(t.size) @ t.to_factor_columns.T
            for _, t in terms
        )
        return Parameters(system.factors, terms, directions)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Places of each term's τ."""
        return consecutive([len(own) for own in self.directions])

    @cached_property
    def entries(self) -> FloatArray:
        """The D_i as combinations of all entries of Σ, factor by factor, (d, n)."""
        size = self.factors[-1].entries.stop if self.factors else 0
        out = np.zeros((sum(map(len, self.directions)), size))
        for (factor, _), place, own in zip(self.terms, self.places, self.directions, strict=True):
            out[place, factor.entries] = own.reshape(len(own), -1)
        return out

    @cached_property
    def by_factor(self) -> tuple[FloatArray, ...]:
        """The D_i of each factor's terms, (d, r, r), in the order of the system."""
        return tuple(
            np.concatenate([self.directions[t.index] for t in factor.terms])
            for factor in self.factors
        )

    @cached_property
    def places_by_factor(self) -> tuple[IntArray, ...]:
        """Places of the τ of `by_factor`."""
        count = np.arange(sum(map(len, self.directions)))
        return tuple(
            np.concatenate([count[self.places[t.index]] for t in factor.terms])
            for factor in self.factors
        )

    @property
    def from_factors(self) -> IntArray:
        """Where each τ is among those of `by_factor`."""
        return np.argsort(np.concatenate([np.empty(0, np.intp), *self.places_by_factor]))

    def tau(self, lam: Lam) -> FloatArray:
        """Return τ of all terms' Σ = ΛΛ', (d,)."""
        pairs = zip(self.terms, lam, strict=True)
        return np.concatenate([t.term.structure.coordinates(own @ own.T) for (_, t), own in pairs])

    def chart(self, lam: Lam) -> Chart:
        """Return the coordinates δ around Λ."""
        return Chart.of(tuple(t.term.structure for _, t in self.terms), lam)
