"""The rows of one generalized model in the search's coordinates, and sums over these rows."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from skmixed._derivatives.parameters import Parameters
from skmixed._equations.changes import RowLayout
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.tangents import SchurTangent
from skmixed._model.binomial import DispersionDerivatives
from skmixed._model.covariance import Covariance
from skmixed._model.family import Family
from skmixed._typing import FloatArray, Lam

S = TypeVar("S")

# The largest working residual, and the least working weight: what is beyond has no digit in
# any sum, and its squares are no numbers.
FARTHEST_RESIDUAL, SMALLEST_WEIGHT = 1e100, 1e-290


def working(
    family: Family, y: FloatArray, eta: FloatArray, phi: float
) -> tuple[FloatArray, FloatArray]:
    """Return −s/W, by which a row asks η to change, and W = ∂²(−log p)/∂η², (n,) each.

    Both are finite, and W is positive, also where rounding leaves nothing of s and W.
    """
    _, slope, weight = family.derivatives(y, eta, phi, 2)
    residual = family.working_residual(y, eta, phi)
    least = np.maximum(np.abs(slope) / FARTHEST_RESIDUAL, SMALLEST_WEIGHT)
    residual = np.clip(residual, -FARTHEST_RESIDUAL, FARTHEST_RESIDUAL)
    return residual, np.maximum(weight, least)


@dataclass(frozen=True, eq=False)
class RowSlab:
    """Rows y, X, Z that are at hand together, in columns that are centered and scaled.

    Attributes
    ----------
    family : Family
    response, weights, offset : (n,) arrays
        Weights multiply log p.
    fixed : (p, n) array
        X'.
    rows : RowLayout
        Rows of Z.
    """

    family: Family
    response: FloatArray
    weights: FloatArray
    offset: FloatArray
    fixed: FloatArray
    rows: RowLayout

    @property
    def n_rows(self) -> int:
        return len(self.response)

    def fixed_part(self, gamma: FloatArray) -> FloatArray:
        """Return o + Xγ, (n,)."""
        return self.offset + gamma @ self.fixed

    def derivatives(self, eta: FloatArray, phi: float, order: int) -> FloatArray:
        """Return −w log p of each row and its derivatives in η, (order + 1, n)."""
        out = self.family.derivatives(self.response, eta, phi, order)
        out *= self.weights
        return out

    def shape_derivatives(self, eta: FloatArray, phi: float) -> DispersionDerivatives:
        """Return the derivatives of −w log p by φ."""
        own = self.family.dispersion(self.response, eta, phi)
        return DispersionDerivatives(own.first * self.weights, own.second * self.weights)

    def fixed_products(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return Z'WX, (n_random, p), and X'WX, (p, p)."""
        p = len(self.fixed)
        with_random = np.empty((self.rows.n_random, p))
        own, weighted = np.empty((p, p)), np.empty(self.n_rows)
        for j, column in enumerate(self.fixed):
            np.multiply(weights, column, out=weighted)
            with_random[:, j] = self.rows.transposed(weighted)
            own[j] = self.fixed @ weighted
        return with_random, (own + own.T) / 2.0


class SlabSource(Protocol):
    """Where the rows of a model are.

    Attributes
    ----------
    is_held : bool
        Whether all of them are in memory, as one slab.
    """

    @property
    def is_held(self) -> bool: ...

    def slabs(self) -> Iterable[RowSlab]:
        """Go over all rows, from the first one."""


@dataclass(frozen=True)
class HeldSlab:
    """Rows in memory."""

    slab: RowSlab
    is_held = True

    def slabs(self) -> Iterable[RowSlab]:
        return (self.slab,)


@dataclass(frozen=True)
class GeneralizedSystem:
    """Rows with a family, in coordinates in which columns are centered and scaled.

    The parameters are Λ of each term, and (γ, φ) in one array behind them: the fixed
    effects, and the logarithm of the shape where the family has one.

    Attributes
    ----------
    family : Family
    source : SlabSource
    layout : RowLayout
        Of no rows, which those of the source share.
    n_fixed, n_rows : int
    total_weight : float
        Σw.
    constant : float
        What −2 log L has that depends on y and the weights alone.
    """

    family: Family
    source: SlabSource
    layout: RowLayout
    n_fixed: int
    n_rows: int
    total_weight: float
    constant: float

    @cached_property
    def parameters(self) -> Parameters:
        return Parameters.of(self.layout.system)

    @property
    def rows_per_weight(self) -> float:
        """What makes weights below 1 count as rows; 1 where these are at least 1 on average."""
        return max(self.n_rows / self.total_weight, 1.0)

    @property
    def n_random(self) -> int:
        """Columns of random effects."""
        return self.layout.n_random

    @property
    def structures(self) -> tuple[Covariance, ...]:
        return tuple(t.term.structure for _, t in self.layout.system.terms)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(t.size for _, t in self.layout.system.terms)

    @property
    def n_shape(self) -> int:
        """1 for a family with a shape, else 0."""
        return int(self.family.has_dispersion)

    def split(self, rest: FloatArray) -> tuple[FloatArray, float]:
        """Return γ and φ."""
        gamma = rest[: self.n_fixed]
        return gamma, float(rest[-1]) if self.n_shape else 0.0

    def covariance_times(self, lam: Lam, scores: FloatArray) -> FloatArray:
        """Return Σρ, (n_random,)."""
        out = np.empty(len(scores))
        for place, factor in zip(self.layout.places, self.layout.system.factors, strict=True):
            own = factor.lam(lam)
            out[place] = (scores[place].reshape(factor.n_levels, -1) @ own @ own.T).ravel()
        return out

    def scores_of(self, lam: Lam, random: FloatArray) -> FloatArray:
        """Return ρ of effects b = Σρ in the span of Λ, (n_random,)."""
        out = np.empty(len(random))
        for place, factor in zip(self.layout.places, self.layout.system.factors, strict=True):
            inverse = np.linalg.pinv(factor.lam(lam))
            levels = random[place].reshape(factor.n_levels, -1)
            out[place] = (levels @ inverse.T @ inverse).ravel()
        return out

    def along(self, scores: FloatArray) -> FloatArray:
        """Return D_iρ of the direction D_i of each τ, (n_random, d)."""
        parameters = self.parameters
        out = np.zeros((len(scores), sum(map(len, parameters.directions))))
        places = {
            f.entries.start: p for f, p in zip(parameters.factors, self.layout.places, strict=True)
        }
        for (factor, _), at, own in zip(
            parameters.terms, parameters.places, parameters.directions, strict=True
        ):
            levels = scores[places[factor.entries.start]].reshape(factor.n_levels, -1)
            moved = np.einsum("qa,iab->qbi", levels, own)
            out[places[factor.entries.start], at] = moved.reshape(-1, len(own))
        return out


@dataclass(frozen=True)
class RowDerivatives:
    """Derivatives at a mode of some rows.

    Attributes
    ----------
    slab : RowSlab
    eta : (n,) array
        η at the mode.
    phi : float
    inverse : CoreInverse or None
        None without random effects.
    """

    slab: RowSlab
    eta: FloatArray
    phi: float
    inverse: CoreInverse | None

    @cached_property
    def of_eta(self) -> FloatArray:
        """ℓ, s, W, w' and w'', (5, n)."""
        return self.slab.derivatives(self.eta, self.phi, 4)

    @cached_property
    def of_shape(self) -> DispersionDerivatives:
        """Derivatives by φ, of a family that has a shape."""
        return self.slab.shape_derivatives(self.eta, self.phi)

    @cached_property
    def leverages(self) -> FloatArray:
        """h, (n,)."""
        if self.inverse is None:
            return np.zeros(self.slab.n_rows)
        return self.slab.rows.quadratics(self.inverse)

    def sums(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return Z'v, (n_random,), and X'v, (p,)."""
        return self.slab.rows.transposed(values), self.slab.fixed @ values


@dataclass(frozen=True)
class ShapeSums:
    """Sums over rows with derivatives by φ.

    Attributes
    ----------
    value, second : float
        Σℓ_φ and Σℓ_φφ.
    random, fixed : (n_random,) and (p,) arrays
        Z'ℓ'_φ and X'ℓ'_φ.
    bent, second_bent : float
        h'w_φ and h'w_φφ.
    second_random : (n_random,) array
        Z'ℓ'_φφ.
    """

    value: float
    second: float
    random: FloatArray
    fixed: FloatArray
    bent: float
    second_bent: float
    second_random: FloatArray

    @staticmethod
    def of(rows: RowDerivatives) -> "ShapeSums":
        first, second, h = rows.of_shape.first, rows.of_shape.second, rows.leverages
        random, fixed = rows.sums(first[1])
        return ShapeSums(
            value=float(first[0].sum()),
            second=float(second[0].sum()),
            random=random,
            fixed=fixed,
            bent=float(h @ first[2]),
            second_bent=float(h @ second[2]),
            second_random=rows.slab.rows.transposed(second[1]),
        )


@dataclass(frozen=True)
class GradientSums:
    """Sums over rows that the gradient is made of, and what the second derivatives need before.

    Attributes
    ----------
    slopes : (p,) array
        X's.
    between : (n_random, p) array
        Z'WX.
    own : (p, p) array
        X'WX.
    bent_random, bent_fixed : (n_random,) and (p,) arrays
        c = Z'(w'∘h) and X'(w'∘h).
    """

    slopes: FloatArray
    between: FloatArray
    own: FloatArray
    bent_random: FloatArray
    bent_fixed: FloatArray

    @staticmethod
    def of(rows: RowDerivatives) -> "GradientSums":
        _, s, w, third, _ = rows.of_eta
        slab = rows.slab
        return GradientSums(
            slab.fixed @ s, *slab.fixed_products(w), *rows.sums(third * rows.leverages)
        )


@dataclass(frozen=True)
class HessianSums:
    """Sums over rows that the second derivatives are made of, d parameters.

    Attributes
    ----------
    random, fixed : (n_random, d) and (p, d) arrays
        Z'(kη'_a) and X'(kη'_a), k = h∘w'' − ζ∘w'.
    shape_random, shape_fixed : (n_random,) and (p,) arrays
        Z' and X' of h∘w'_φ − ζ∘w_φ; 0 without a shape.
    tangents : tuple of SchurTangent
        Z'diag(w'η'_a + w_φφ'_a)Z; none where they are not asked for.
    """

    random: FloatArray
    fixed: FloatArray
    shape_random: FloatArray
    shape_fixed: FloatArray
    tangents: tuple[SchurTangent, ...]


def total_of(first: S, second: S) -> S:
    """Add two sets of sums of one class, field by field."""
    pairs = [(getattr(first, f.name), getattr(second, f.name)) for f in fields(first)]  # type: ignore[arg-type]
    return type(first)(*(_added(a, b) for a, b in pairs))


def _added(a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(own.plus(other, 1.0) for own, other in zip(a, b, strict=True))
    return a + b
