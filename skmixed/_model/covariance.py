"""Covariance structures of one level's random effects, on the relative scale.

A structure says which matrices Λ_k a term may have, Cov(b_j) = σ² Λ_k Λ_k', and
how the search moves among them. A further structure is a further class and an entry in
`structures.STRUCTURES`, for which the tests of this file then run too: see
docs/covariance_structures.md. What else the package needs to know of a structure
follows from its directions.

The search moves in Λ and not in Σ = ΛΛ', so that every step stays positive
semidefinite. At a rank-deficient Λ the derivative in Λ vanishes where the one in
Σ need not; the second-order model of the search keeps the curvature of the map
Λ → ΛΛ', by which such points are left again (Burer and Monteiro, 2005, Math.
Program. 103, Prop. 4). For that the zero columns of Λ must face a free block:
hence the pivoted factor in `Full.chart`.
"""

from functools import lru_cache
from typing import Protocol

import numpy as np
import scipy.linalg

from skmixed._typing import BoolArray, Derivatives, FloatArray, IntArray

# A column of Λ that a step shrinks below this share is tried at zero. With
# d ≈ g·t in t = λ², a Newton step in t overshoots zero from a share of 2/3 on.
VANISHING = 0.5
# Below this a column is zero: its square is lost beside 1 in ΛΛ'Z'Z + I.
NOTHING = 1e-8
# Share of the largest of a factor's parameters that is rounding of 0.
ROUNDING = 1e-14


class Covariance(Protocol):
    """What the search and the results need to know of a covariance structure.

    Σ = ΛΛ' is a positive semidefinite matrix of a linear space that holds the identity,
    and with Σ any multiple of it is allowed. `LinearCovariance` is the base of those
    structures that allow every such matrix.
    """

    name: str
    is_shift_invariant: bool  # centering a slope leaves the model as it is
    is_scale_invariant: bool  # so does rescaling it
    has_traps: bool  # a search may end where it is not lowest, most so at the boundary

    def n_theta(self, size: int) -> int:
        """Count the free parameters of a term with `size` coefficients."""

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coordinates δ around Λ: a canonical factor of ΛΛ' and ∂Λ/∂δ.

        Λ is a factor that `moved` leads to, or a triangular or symmetric root.
        Columns of it that are zero stay exactly zero, in places that a step can
        fill. ∂Λ/∂δ has shape (n_theta, size, size).
        """

    def moved(self, lam: FloatArray, basis: FloatArray, step: FloatArray) -> FloatArray:
        """Return Λ at δ = `step` from a canonical factor and its ∂Λ/∂δ."""

    def curvature(self, lam: FloatArray, basis: FloatArray, slope: FloatArray) -> FloatArray:
        """Return ⟨G, ∂²(ΛΛ')/∂δ_i∂δ_j⟩ there for a symmetric G, (n_theta, n_theta)."""

    def vanished(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Set to zero what a step shrinks below `VANISHING`; `after` itself if nothing."""

    def nearest(self, covariance: FloatArray) -> FloatArray:
        """Return a factor of the allowed matrix that is near a symmetric one."""

    def admits(self, lam: FloatArray) -> bool:
        """Whether a factor that a step has led to is one of the structure."""

    def boundary_slope(self, lam: FloatArray, slope: FloatArray) -> float:
        """Return the least slope of ⟨G, Σ⟩ off the boundary, from a Λ with zero columns."""

    def directions(self, size: int) -> FloatArray:
        """Return orthogonal D_i that span the space, Σ = Σ_i τ_i D_i: (d, size, size)."""

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        """Return the τ of matrices in that space: (..., size, size) to (..., d)."""

    def theta(self, lam: FloatArray) -> FloatArray:
        """Return the parameters θ of a factor, lme4's where it has the structure: (n_theta,)."""

    def lam(self, theta: FloatArray, size: int) -> FloatArray:
        """Return the lower triangular factor with parameters θ."""


class CorrelationRoot(Protocol):
    """A model of the correlations of coefficients, by a root of their matrix."""

    def directions(self, size: int) -> FloatArray:
        """Return D_i that span the least linear space of all tC, t > 0: (d, s, s)."""

    def count(self, size: int) -> int:
        """Count the angles of `size` coefficients."""

    def root(self, angles: FloatArray, size: int) -> Derivatives:
        """Return L, (s, s), and its first and second derivatives, (n, s, s), (n, n, s, s)."""

    def angles(self, rows: FloatArray) -> FloatArray:
        """Return the angles of a factor LQ, whose rows of zeros are not known; (n,)."""

    def nearest(self, correlation: FloatArray, known: BoolArray) -> FloatArray:
        """Return angles of correlations near these, of which some coefficients' are known."""


class LinearCovariance:
    """A base for structures that allow all semidefinite matrices of a linear space.

    Their Λ is linear in δ too.
    """

    has_traps = False

    def directions(self, size: int) -> FloatArray:
        raise NotImplementedError

    def moved(self, lam: FloatArray, basis: FloatArray, step: FloatArray) -> FloatArray:
        return np.asarray(lam + np.tensordot(step, basis, 1))

    def curvature(
        self,
        lam: FloatArray,  # noqa: ARG002
        basis: FloatArray,
        slope: FloatArray,
    ) -> FloatArray:
        """2 ⟨E_i, GE_j⟩."""
        n = len(basis)
        return np.asarray(2.0 * basis.reshape(n, -1) @ (slope @ basis).reshape(n, -1).T)

    def vanished(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Set to zero the columns of Λ that a step shrinks below `VANISHING`."""
        size = np.abs(after).max(axis=0)
        least = np.maximum(VANISHING * np.abs(before).max(axis=0), NOTHING)
        gone = (size > 0) & (size < least)
        return np.where(gone, 0.0, after) if gone.any() else after

    def nearest(self, covariance: FloatArray) -> FloatArray:
        """Return the symmetric root of the nearest matrix of the space, as far as positive."""
        directions = self.directions(len(covariance))
        squares = np.einsum("iab,iab->i", directions, directions)
        coefficients = np.einsum("iab,ab->i", directions, covariance) / squares
        return symmetric_root(np.tensordot(coefficients, directions, 1))

    def admits(self, lam: FloatArray) -> bool:  # noqa: ARG002
        return True

    def boundary_slope(self, lam: FloatArray, slope: FloatArray) -> float:
        """Return the least eigenvalue of G in the null space of Σ."""
        null = np.linalg.svd(lam)[0][:, int(lam.any(axis=0).sum()) :]
        return float(np.linalg.eigvalsh(null.T @ slope @ null)[0])


@lru_cache(maxsize=64)
def lower_triangle(size: int) -> tuple[IntArray, IntArray]:
    """Return the rows and the columns of a lower triangle, row by row."""
    rows, columns = np.tril_indices(size)
    rows.flags.writeable = columns.flags.writeable = False
    return rows, columns


@lru_cache(maxsize=64)
def _symmetric_directions(size: int) -> FloatArray:
    """Return E_ab + E_ba of the lower triangle, E_aa on its diagonal, (n, size, size)."""
    rows, columns = lower_triangle(size)
    out = np.zeros((len(rows), size, size))
    out[np.arange(len(rows)), rows, columns] = 1.0
    out[np.arange(len(rows)), columns, rows] = 1.0
    out.flags.writeable = False
    return out


class Full(LinearCovariance):
    """Any positive semidefinite matrix: lme4's ``(1 + x | g)``."""

    name = "full"
    is_shift_invariant = True
    is_scale_invariant = True

    def n_theta(self, size: int) -> int:
        return size * (size + 1) // 2

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        size = len(lam)
        if size == 1:
            return np.abs(lam), np.ones((1, 1, 1))
        # Zero columns first go last, where the rotations leave them exact zeros.
        nonzero = lam[:, np.argsort(~lam.any(axis=0), kind="stable")]
        r, order = scipy.linalg.qr(nonzero.T, mode="r", pivoting=True, check_finite=False)
        canonical = np.empty_like(lam)
        canonical[order] = r.T
        rows, columns = lower_triangle(size)
        basis = np.zeros((len(rows), size, size))
        basis[np.arange(len(rows)), order[rows], columns] = 1.0
        return canonical, basis

    def directions(self, size: int) -> FloatArray:
        return _symmetric_directions(size)

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        rows, columns = lower_triangle(covariance.shape[-1])
        return covariance[..., rows, columns]

    def theta(self, lam: FloatArray) -> FloatArray:
        columns, rows = np.triu_indices(len(lam))  # lower triangle, column by column
        return lower_factor(lam)[rows, columns]

    def lam(self, theta: FloatArray, size: int) -> FloatArray:
        out = np.zeros((size, size))
        columns, rows = np.triu_indices(size)
        out[rows, columns] = theta
        return out


class Diag(LinearCovariance):
    """Independent coefficients with a variance each: lme4's ``(1 + x || g)``."""

    name = "diag"
    is_shift_invariant = False
    is_scale_invariant = True

    def n_theta(self, size: int) -> int:
        return size

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.abs(lam), self.directions(len(lam))

    def directions(self, size: int) -> FloatArray:
        out = np.zeros((size, size, size))
        out[np.arange(size), np.arange(size), np.arange(size)] = 1.0
        return out

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        return np.diagonal(covariance, axis1=-2, axis2=-1)

    def theta(self, lam: FloatArray) -> FloatArray:
        return np.abs(np.diagonal(lam))

    def lam(self, theta: FloatArray, size: int) -> FloatArray:  # noqa: ARG002
        return np.diag(theta)


class Spherical(Diag):
    """Independent coefficients with one common variance."""

    name = "spherical"
    is_scale_invariant = False

    def n_theta(self, size: int) -> int:  # noqa: ARG002
        return 1

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.abs(lam), self.directions(len(lam))

    def directions(self, size: int) -> FloatArray:
        return np.eye(size)[None]

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        return covariance[..., :1, 0]

    def theta(self, lam: FloatArray) -> FloatArray:
        return np.abs(lam[0, :1])

    def lam(self, theta: FloatArray, size: int) -> FloatArray:
        return theta[0] * np.eye(size)


class EqualCorrelation(LinearCovariance):
    """One variance and one correlation: Σ = θ₁² J + θ₂² (I − J), J = 11'/s.

    J and I − J are projections, so that Λ = [θ₁ 1/√s, θ₂ H], H Helmert's contrasts, is
    linear in θ (docs/covariance_structures.md, "Compound symmetry").
    """

    name = "compound_symmetry"
    is_shift_invariant = False  # centering x would give intercept and slope two variances
    is_scale_invariant = False  # as would scaling it

    def n_theta(self, size: int) -> int:
        return min(size, 2)  # a lone coefficient has no correlation

    def directions(self, size: int) -> FloatArray:
        mean = np.full((size, size), 1.0 / size)
        return np.stack([mean, np.eye(size) - mean])[: self.n_theta(size)]

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        first = covariance[..., 0, :]
        out = np.stack([first.sum(axis=-1), first[..., 0] - first[..., -1]], axis=-1)
        return out[..., : self.n_theta(covariance.shape[-1])]

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        basis = self._basis(len(lam))
        return np.tensordot(self.theta(lam), basis, 1), basis

    def theta(self, lam: FloatArray) -> FloatArray:
        rows = scipy.linalg.helmert(len(lam), full=True) @ lam
        lengths = np.linalg.norm(rows, axis=1)
        out = np.array([lengths[0], np.linalg.norm(lengths[1:]) / np.sqrt(max(len(lam) - 1, 1))])
        out[out <= ROUNDING * out.max()] = 0.0
        return out[: self.n_theta(len(lam))]

    def lam(self, theta: FloatArray, size: int) -> FloatArray:
        return lower_factor(np.tensordot(theta, self._basis(size), 1))

    def _basis(self, size: int) -> FloatArray:
        rotation = scipy.linalg.helmert(size, full=True).T
        out = np.zeros((self.n_theta(size), size, size))
        out[0, :, 0] = rotation[:, 0]
        out[1:, :, 1:] = rotation[:, 1:]
        return out


def has_covariances(structure: Covariance) -> bool:
    """Whether coefficients may be correlated."""
    return bool(structure.directions(2)[:, 0, 1].any())


def has_own_variances(structure: Covariance) -> bool:
    """Whether each coefficient has a variance of its own, and may be without one."""
    variances = np.diagonal(structure.directions(2), axis1=1, axis2=2)
    return int(np.linalg.matrix_rank(variances)) == 2


def is_unrestricted(structure: Covariance) -> bool:
    """Whether every covariance is allowed."""
    return structure.n_theta(3) == 6


def is_linear(structure: Covariance) -> bool:
    """Whether every semidefinite matrix of the span of its directions is allowed."""
    return structure.n_theta(3) == len(structure.directions(3))


def symmetric_root(covariance: FloatArray) -> FloatArray:
    """Return the symmetric root of the nearest semidefinite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def gradient_matrix(structure: Covariance, gradient: FloatArray, size: int) -> FloatArray:
    """Return G = ∂d/∂Σ, of the span of the D_i, with ⟨G, D_i⟩ = ∂d/∂τ_i."""
    directions = structure.directions(size)
    weights = gradient / np.einsum("iab,iab->i", directions, directions)
    return np.tensordot(weights, directions, 1)


def lower_factor(lam: FloatArray) -> FloatArray:
    """Return the lower triangular factor of ΛΛ' with a diagonal ≥ 0.

    By the QR decomposition of Λ' and not by way of ΛΛ': a small pivot keeps its
    digits, and the zero columns of a canonical Λ stay exact zeros.
    """
    if lam.shape == (1, 1):
        return np.abs(lam)
    lower: FloatArray = np.asarray(np.linalg.qr(lam.T, mode="r")).T
    return lower * np.where(np.diagonal(lower) < 0, -1.0, 1.0)
