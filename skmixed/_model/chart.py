"""Coordinates of the search around one Λ, and the span of a Λ."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._model.covariance import Covariance, gradient_matrix
from skmixed._typing import FloatArray, Lam


def unit_point(point: Lam) -> Lam:
    """Return Λ = I of each term, and 0 of the parameters behind these, which are vectors."""
    return tuple(np.eye(len(own)) if own.ndim == 2 else np.zeros_like(own) for own in point)


@dataclass(frozen=True)
class Chart:
    """Coordinates δ of the terms' Λ.

    In them the boundary of Σ is no boundary: a zero column of Λ stays zero to first
    order, and its second derivative is what a positive ∂d/∂Σ makes it. With τ the
    coordinates of Σ in the span of each structure's directions, a function of τ has in
    δ the gradient Jg and the Hessian JHJ' + Σ_i g_i ∂²τ_i/∂δ∂δ', J = ∂τ/∂δ.

    Attributes
    ----------
    structures : tuple of Covariance
    lam : tuple of (s, s) arrays
        The canonical factors.
    basis : tuple of (n, s, s) arrays
        ∂Λ/∂δ.
    """

    structures: tuple[Covariance, ...]
    lam: Lam
    basis: tuple[FloatArray, ...]

    @staticmethod
    def of(structures: tuple[Covariance, ...], lam: Lam) -> "Chart":
        pairs = [s.chart(own) for s, own in zip(structures, lam, strict=True)]
        return Chart(structures, tuple(c for c, _ in pairs), tuple(b for _, b in pairs))

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Places of each term's δ."""
        return consecutive([len(own) for own in self.basis])

    @cached_property
    def tau(self) -> FloatArray:
        """τ of all terms."""
        return np.concatenate([s.coordinates(lam @ lam.T) for s, lam, _ in self._terms()])

    @cached_property
    def jacobian(self) -> FloatArray:
        """∂τ/∂δ, a row for each δ."""
        parts = []
        for structure, lam, basis in self._terms():
            steps = basis @ lam.T
            parts.append(structure.coordinates(steps + steps.transpose(0, 2, 1)))
        return block_diagonal(parts)

    def curvature(self, gradient: FloatArray) -> FloatArray:
        """Return Σ_i g_i ∂²τ_i/∂δ∂δ' for a gradient in τ."""
        parts, start = [], 0
        for structure, lam, basis in self._terms():
            size = len(lam)
            stop = start + len(structure.directions(size))
            slope = gradient_matrix(structure, gradient[start:stop], size)
            parts.append(structure.curvature(lam, basis, slope))
            start = stop
        return block_diagonal(parts)

    def moved(self, step: FloatArray) -> Lam:
        """Return Λ at δ = `step`."""
        return tuple(
            structure.moved(lam, basis, step[place])
            for (structure, lam, basis), place in zip(self._terms(), self.places, strict=True)
        )

    def step_to(self, lam: Lam) -> FloatArray:
        """Return the step that leads to Λ, of those that the basis allows the nearest."""
        parts = []
        for own, basis, end in zip(self.lam, self.basis, lam, strict=True):
            squares = np.einsum("iab,iab->i", basis, basis)
            along = np.einsum("iab,ab->i", basis, end - own)
            parts.append(along / np.where(squares > 0.0, squares, 1.0))
        return np.concatenate(parts)

    def vanished(self, after: Lam) -> Lam:
        """Set to zero what of Λ a step shrinks much; `after` itself where that is nothing."""
        parts = zip(self.structures, self.lam, after, strict=True)
        out = tuple(structure.vanished(old, new) for structure, old, new in parts)
        is_same = all(new is old for new, old in zip(out, after, strict=True))
        return after if is_same else out

    def _terms(self) -> Iterator[tuple[Covariance, FloatArray, FloatArray]]:
        return zip(self.structures, self.lam, self.basis, strict=True)


def consecutive(sizes: list[int]) -> tuple[slice, ...]:
    """Return the places of parts that follow each other."""
    stops = np.cumsum([0, *sizes]).tolist()
    return tuple(map(slice, stops[:-1], stops[1:]))


def block_diagonal(parts: list[FloatArray]) -> FloatArray:
    """Lay matrices along the diagonal; SciPy's takes as long as a small factorization."""
    shapes = np.array([part.shape for part in parts], dtype=int).reshape(-1, 2)
    out = np.zeros(shapes.sum(axis=0))
    i = j = 0
    for part, (rows, columns) in zip(parts, shapes, strict=True):
        out[i : i + rows, j : j + columns] = part
        i, j = i + rows, j + columns
    return out


@dataclass(frozen=True)
class Span:
    """The span of one factor's Λ, and what lies outside it: matrices, (s, s) each.

    From M = Λ'SΛ + I follows Λ'(I − SΛM⁻¹Λ') = M⁻¹Λ': with P_Λ = ΛΛ⁺

        Z'V⁻¹ = Λ⁺' M⁻¹Λ'Z' + (I − P_Λ)(Z' − SΛM⁻¹Λ'Z'),    S = Z'Z

    In the span of Λ the first term is all there is, and has no difference in it. As a
    difference, Z' − SΛM⁻¹Λ'Z' keeps as many digits fewer as Λ'SΛ has: seven where a
    standard deviation is a thousand times the residual one.

    Attributes
    ----------
    inverse, precision : arrays
        Λ⁺' and (ΛΛ')⁺.
    null : array or None
        I − ΛΛ⁺; None where Λ has full rank.
    """

    inverse: FloatArray
    precision: FloatArray
    null: FloatArray | None

    @staticmethod
    def of(lam: FloatArray) -> "Span":
        left, sizes, right = np.linalg.svd(lam)
        # A direction that is left out is no worse off: there Λ'SΛ is below rounding.
        keep = sizes > np.finfo(float).eps * sizes[0]
        inverse = (left[:, keep] / sizes[keep]) @ right[keep]
        null = None if keep.all() else np.eye(len(lam)) - left[:, keep] @ left[:, keep].T
        return Span(inverse, inverse @ inverse.T, null)
