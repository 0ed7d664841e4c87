"""How far fixed effects and their covariance are from those of all rows, without some of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmixed._folds.theta_of_folds import FoldEstimates
from skmixed._folds.whole_groups import WholeGroups
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class Deletion:
    """Fixed effects of all rows, and without each of some groups of rows.

    Attributes
    ----------
    beta : (p,) array
    root : (p, p) array
        R, with RR' the covariance matrix of β̂.
    betas : (J, p) array
        Without each group; NaN where its rows alone determine one of them.
    roots : (J, p, p) array
        The root of the covariance matrix of each.
    """

    beta: FloatArray
    root: FloatArray
    betas: FloatArray
    roots: FloatArray

    @property
    def changes(self) -> FloatArray:
        """β̂₍₋ⱼ₎ − β̂, (J, p)."""
        return self.betas - self.beta

    @property
    def dfbetas(self) -> FloatArray:
        """(β̂ − β̂₍₋ⱼ₎) over the standard error of β̂₍₋ⱼ₎, (J, p)."""
        return -self.changes / np.sqrt(np.square(self.roots).sum(axis=2))

    @property
    def cooks_distance(self) -> FloatArray:
        """d'(RR')⁻¹d/p with d = β̂ − β̂₍₋ⱼ₎, (J,)."""
        return self._mean_square(np.broadcast_to(self.root, self.roots.shape))

    @property
    def mdffits(self) -> FloatArray:
        """d'(RR')⁻¹d/p with the covariance of β̂₍₋ⱼ₎, (J,)."""
        return self._mean_square(self.roots)

    @property
    def covratio(self) -> FloatArray:
        """|Cov(β̂₍₋ⱼ₎)| / |Cov(β̂)|, (J,)."""
        return np.square(_determinants(self._relative))

    @property
    def covtrace(self) -> FloatArray:
        """|tr(Cov(β̂)⁻¹ Cov(β̂₍₋ⱼ₎)) − p|, (J,)."""
        return np.abs(np.square(self._relative).sum(axis=(1, 2)) - len(self.beta))

    @cached_property
    def _relative(self) -> FloatArray:
        """R⁻¹R₍₋ⱼ₎, (J, p, p)."""
        return _solved_each(np.broadcast_to(self.root, self.roots.shape), self.roots)

    def _mean_square(self, roots: FloatArray) -> FloatArray:
        white = _solved_each(roots, self.changes[:, :, None])
        return np.asarray(np.square(white).sum(axis=(1, 2)) / len(self.beta))


@dataclass(frozen=True)
class FoldSolutions:
    """What fits without each fold report, on the user's scale.

    Attributes
    ----------
    fixed : (F, p) array
        β̂ of the kept columns.
    fixed_roots : (F, p, p) array
        R, with RR' the covariance matrix of β̂.
    covariances : tuple of (F, s, s) arrays
        Of the effects of one level, term by term.
    sigma : (F,) array
    """

    fixed: FloatArray
    fixed_roots: FloatArray
    covariances: tuple[FloatArray, ...]
    sigma: FloatArray

    @staticmethod
    def of(groups: WholeGroups, found: FoldEstimates) -> "FoldSolutions":
        """Read the estimates of folds that are sure; those of others mean nothing."""
        deleted, parameters = found.deleted, groups.parameters
        scale = deleted.residual_squares / groups.dof
        # Cov(β̂) = σ²TL⁻'L⁻¹T'
        half = np.linalg.solve(deleted.root, np.broadcast_to(groups.to_user.T, deleted.root.shape))
        covariances = []
        for (_, t), place in zip(parameters.terms, parameters.places, strict=True):
            # σ²TΣT' with Σ = Σ_i τ_i D_i
            directions = t.to_user @ t.term.structure.directions(t.size) @ t.to_user.T
            relative = np.tensordot(found.tau[:, place], directions, axes=1)
            covariances.append(scale[:, None, None] * relative)
        return FoldSolutions(
            deleted.beta @ groups.to_user.T + groups.offset,
            np.sqrt(scale)[:, None, None] * half.transpose(0, 2, 1),
            tuple(covariances),
            np.sqrt(scale * groups.system.weight_unit),
        )

    def put(self, other: "FoldSolutions", where: NDArray[np.bool_]) -> None:
        """Take over the values of some folds, (F,)."""
        pairs = [(self.fixed, other.fixed), (self.fixed_roots, other.fixed_roots)]
        pairs += [*zip(self.covariances, other.covariances, strict=True)]
        for own, its in [*pairs, (self.sigma, other.sigma)]:
            own[where] = its[where]


def _solved_each(matrices: FloatArray, columns: FloatArray) -> FloatArray:
    """Solve (J, p, p) and (J, p, m); NaN of a matrix that is not finite or has no inverse."""
    out, determinant = np.full(columns.shape, np.nan), _determinants(matrices)
    known = np.isfinite(determinant) & (determinant != 0.0)
    out[known] = np.linalg.solve(matrices[known], columns[known])
    return out


def _determinants(matrices: FloatArray) -> FloatArray:
    """Return |A| of (J, p, p); NaN of one that is not finite."""
    out, known = np.full(len(matrices), np.nan), np.isfinite(matrices).all(axis=(1, 2))
    out[known] = np.linalg.det(matrices[known])
    return out
