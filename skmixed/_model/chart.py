"""Coordinates of the search: δ of all terms' covariances around one Λ, and of residuals' φ."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._model.covariance import Covariance, gradient_matrix
from skmixed._typing import BoolArray, FloatArray, IntArray, Lam

# Smallest standard deviation of a visit given those before it, as a share of its own one.
LEAST = 1e-5
# Share below which it is 0 for inference.
BOUNDARY = 1e-3


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


class ResidualCoordinates(Protocol):
    """Coordinates of the search around parameters φ of all strata.

    Attributes
    ----------
    own : (h, d) array
        φ of each stratum.
    """

    @property
    def own(self) -> FloatArray: ...

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def is_free(self) -> BoolArray:
        """Which are not at a boundary; (size,)."""

    @property
    def jacobian(self) -> FloatArray:
        """∂φ by them, a row for each, (size, h·d)."""

    def curvature(self, gradient: FloatArray) -> FloatArray:
        """Return Σ_i g_i ∂²φ_i, (size, size)."""

    def moved(self, step: FloatArray) -> FloatArray:
        """Return φ at a step."""

    def step_to(self, phi: FloatArray) -> FloatArray:
        """Return the step that leads to φ."""


@dataclass(frozen=True)
class OwnCoordinates:
    """φ itself."""

    own: FloatArray

    @property
    def size(self) -> int:
        return len(self.jacobian)

    @property
    def is_free(self) -> BoolArray:
        return np.ones(self.size, dtype=bool)

    @property
    def jacobian(self) -> FloatArray:
        return np.eye(self.own.size)

    def curvature(self, gradient: FloatArray) -> FloatArray:  # noqa: ARG002
        return np.zeros((self.size, self.size))

    def moved(self, step: FloatArray) -> FloatArray:
        return np.asarray(self.own.ravel() + step @ self.jacobian)

    def step_to(self, phi: FloatArray) -> FloatArray:
        # Each column of ∂φ' is 0 and 1, and none has a place in common with another
        jacobian = self.jacobian
        return np.asarray(jacobian @ (phi - self.own.ravel()) / jacobian.sum(axis=1))


@dataclass(frozen=True)
class SharedCorrelation(OwnCoordinates):
    """φ of strata whose first `n_variances` parameters are their own, and whose others are one."""

    n_variances: int

    @property
    def jacobian(self) -> FloatArray:
        h, d = self.own.shape
        n, unit = self.n_variances, np.eye(h * d).reshape(h, d, -1)
        return np.concatenate([unit[:, :n].reshape(h * n, -1), unit[:, n:].sum(axis=0)])


@dataclass(frozen=True)
class CholeskyCoordinates:
    """Coordinates of any covariance: the entries of its Cholesky factor.

    An unstructured R = MM' with M = diag(s)L has an optimum with a diagonal entry of M that
    is 0 where few subjects have the same visits: there log s and L, whose rows are those of
    M over s, are infinite. The entries of M are not.

    Attributes
    ----------
    own : (h, d) array
        φ of each stratum.
    m : int
        The number of visits.
    """

    own: FloatArray
    m: int

    @property
    def size(self) -> int:
        return self.own.size

    @property
    def _row(self) -> IntArray:
        """The row of M of each entry below the diagonal."""
        return np.tril_indices(self.m, -1)[0]

    @property
    def is_free(self) -> BoolArray:
        """Which coordinates are no diagonal entry of M that is 0, or next to it; (d,)."""
        out = np.ones(self.own.shape, dtype=bool)
        roots = [np.linalg.norm(self._factor(phi), axis=1) for phi in self.own]
        out[:, : self.m] = np.exp(self.own[:, : self.m]) > BOUNDARY * np.array(roots)
        return out.ravel()

    @property
    def jacobian(self) -> FloatArray:
        """∂φ/∂M, a row for each coordinate, (d, d)."""
        out = np.eye(self.own.size)
        m, row, n = self.m, self._row, self.own.shape[1]
        below = m + np.arange(len(row))
        # ∂ log s_a/∂M_aa = 1/s_a, ∂φ_ab/∂M_ab = 1/s_a, ∂φ_ab/∂M_aa = −φ_ab/s_a
        for at, phi in zip(range(0, self.own.size, n), self.own, strict=True):
            inverse = np.exp(-phi[:m])
            out[at : at + n, at : at + n] = np.diag(np.append(inverse, inverse[row]))
            out[at + row, at + below] = -phi[m:] * inverse[row]
        return out

    def curvature(self, gradient: FloatArray) -> FloatArray:
        """Return Σ_i g_i ∂²φ_i/∂M∂M', (d, d)."""
        out = np.zeros((self.own.size,) * 2)
        m, row, n = self.m, self._row, self.own.shape[1]
        below = m + np.arange(len(row))
        # ∂² log s_a = −1/s_a², ∂²φ_ab = 2φ_ab/s_a² in M_aa, −1/s_a² in M_aa and M_ab
        for at, phi in zip(range(0, self.own.size, n), self.own, strict=True):
            squares, g = np.exp(-2.0 * phi[:m]), gradient[at : at + n]
            sums = np.bincount(row, phi[m:] * g[m:], m)
            diagonal = at + np.arange(m)
            out[diagonal, diagonal] = squares * (2.0 * sums - g[:m])
            mixed = -squares[row] * g[m:]
            out[at + row, at + below] = out[at + below, at + row] = mixed
        return out

    def moved(self, step: FloatArray) -> FloatArray:
        """Return φ at coordinates `step`."""
        steps = step.reshape(self.own.shape)
        return np.concatenate(
            [
                self._parameters(self._factor(phi) + self._laid(own))
                for phi, own in zip(self.own, steps, strict=True)
            ]
        )

    def step_to(self, phi: FloatArray) -> FloatArray:
        """Return the step that leads to φ."""
        others = phi.reshape(self.own.shape)
        rows, columns = np.tril_indices(self.m, -1)
        moves = [self._factor(b) - self._factor(a) for a, b in zip(self.own, others, strict=True)]
        return np.concatenate([np.append(np.diagonal(d), d[rows, columns]) for d in moves])

    def _laid(self, entries: FloatArray) -> FloatArray:
        """Return a lower triangle of its diagonal and the rows below it, (m, m)."""
        out = np.diag(entries[: self.m])
        out[np.tril_indices(self.m, -1)] = entries[self.m :]
        return out

    def _factor(self, phi: FloatArray) -> FloatArray:
        """Return M, (m, m)."""
        unit = np.append(np.ones(self.m), phi[self.m :])
        return np.exp(phi[: self.m, None]) * self._laid(unit)

    def _parameters(self, factor: FloatArray) -> FloatArray:
        """Return φ of a lower triangle, whose columns may have either sign."""
        factor = factor * np.where(np.diagonal(factor) < 0, -1.0, 1.0)
        least = LEAST * np.linalg.norm(factor, axis=1)
        s = np.maximum(np.diagonal(factor), np.maximum(least, np.finfo(float).tiny))
        below = (factor / s[:, None])[np.tril_indices(self.m, -1)]
        return np.append(np.log(s), below)


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
