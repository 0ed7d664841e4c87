"""Predictions of the rows of each fold by the fit without it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._folds.theta_of_folds import FoldEstimates
from skmixed._folds.whole_groups import WholeGroups
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class FoldPredictor:
    """What predicts an observation of a new group by the fit without each fold.

    Attributes
    ----------
    fixed : (F, p) array
        β̂ of the user's columns.
    center : (p,) array
    root : (F, p, p) array
        L, with LL' = X'V⁻¹X of the columns less their centers.
    random_center : (r,) array
    sigma : (F, r, r) array
        Σ of the factor's columns less their centers, relative to σ².
    scale : (F,) array
        σ².
    unit : float
        That of the weights.
    """

    fixed: FloatArray
    center: FloatArray
    root: FloatArray
    random_center: FloatArray
    sigma: FloatArray
    scale: FloatArray
    unit: float

    @staticmethod
    def of(groups: WholeGroups, found: FoldEstimates) -> "FoldPredictor":
        """Read the estimates without each fold."""
        system, deleted, p = groups.system, found.deleted, groups.system.n_fixed
        # β of the user's columns, L of the system's less their centers, and σ² = r²/ν
        back = np.linalg.inv(groups.turn[:p, :p]).T
        return FoldPredictor(
            fixed=deleted.beta @ groups.to_user.T + groups.offset,
            center=system.center[:p],
            root=back @ deleted.root,
            random_center=groups.center,
            sigma=groups.sigma(found.tau),
            scale=deleted.residual_squares / groups.dof,
            unit=system.weight_unit,
        )

    @cached_property
    def _inverse(self) -> FloatArray:
        """L⁻¹, (F, p, p)."""
        return np.asarray(np.linalg.inv(self.root), dtype=np.float64)

    def mean(self, fold: IntArray, fixed: FloatArray) -> FloatArray:
        """Return x'β̂ of rows x, (b, p), of some folds, (b,)."""
        return np.asarray(np.einsum("bj,bj->b", fixed, self.fixed[fold]))

    def deviations(self, fold: IntArray, fixed: FloatArray, random: FloatArray) -> FloatArray:
        """Return the standard deviations of observations of weight 1, (b,).

        Var = σ²(z'Σz + x'(X'V⁻¹X)⁻¹x + 1), of rows x, (b, p), and z, (b, r).
        """
        half = self._inverse[fold] @ (fixed - self.center)[:, :, None]
        z = random - self.random_center
        of_effects = np.einsum("bi,bij,bj->b", z, self.sigma[fold], z)
        relative = np.square(half[:, :, 0]).sum(axis=1) + of_effects + self.unit
        return np.asarray(np.sqrt(self.scale[fold] * relative))
