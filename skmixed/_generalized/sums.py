"""Derivatives of rows at a mode, and their sums over rows, which add up slab by slab."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.tangents import SchurTangent
from skmixed._generalized.modes import Mode
from skmixed._generalized.system import RowSlab
from skmixed._model.binomial import DispersionDerivatives
from skmixed._typing import FloatArray

S = TypeVar("S")


@dataclass(frozen=True)
class RowDerivatives:
    """Derivatives at a mode of some rows.

    Attributes
    ----------
    slab : RowSlab
    mode : Mode
    inverse : CoreInverse or None
        None without random effects.
    """

    slab: RowSlab
    mode: Mode
    inverse: CoreInverse | None

    @cached_property
    def of_eta(self) -> FloatArray:
        """ℓ, s, W, w' and w'', (5, n)."""
        return self.slab.derivatives(self.eta, self.mode.phi, 4)

    @cached_property
    def eta(self) -> FloatArray:
        """η, (n,)."""
        return self.mode.effects.eta(self.slab)

    @cached_property
    def of_shape(self) -> DispersionDerivatives:
        """Derivatives by φ, of a family that has a shape."""
        return self.slab.shape_derivatives(self.eta, self.mode.phi)

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
