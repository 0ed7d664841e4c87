"""Predictions of the rows of each fold by the fit without it, and the squares of their errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._folds.theta_of_folds import FoldEstimates
from skmixed._folds.totals import FoldTotals
from skmixed._folds.whole_groups import WholeGroups
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, IntArray

# Relative error of a sum of squares that rounding may leave.
DIGITS = 1e-11


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


def squares_around(
    stats: CrossProducts, beta: FloatArray, effects: Sequence[FloatArray]
) -> tuple[float, float]:
    """Return Σ w (y − d'β − Σ_k z_k'b_k)² and Σ w (y − ȳ)² over the rows of statistics.

    `beta`, (k,), are coefficients of the columns d of the design, the ones first; `effects`,
    (q, r) of each factor, those of its own columns within each level.
    """
    own = stats.responses
    # y − d'β = u + e'δ, with δ = γ − Eβ and what the centers leave at the ones
    delta = own.full_regression[:, 0] - stats.frame.coefficients(beta)
    delta[0] += own.center[0] - stats.center @ beta
    left = own.total.moved(stats.total, delta[:, None])
    found = float(left.squares[0])
    of_rows = [_of_own_rows(stats, k, b) for k, b in enumerate(effects)]
    for k, b in enumerate(of_rows):
        # − 2 b'Z'(y − d'β) + b'Z'Zb of each factor
        factor = stats.factors[k]
        beside = factor.responses[:, :, 0] + factor.sums @ delta
        found -= 2.0 * float((b * beside).sum())
        found += float(np.einsum("qi,qij,qj->", b, stats.own_products(k), b))
    for pair in stats.pairs:
        # + 2 b_f'Z_f'Z_gb_g of each two
        first, second = of_rows[pair.first].ravel(), of_rows[pair.second].ravel()
        found += 2.0 * float(first @ (pair.matrix @ second))
    around_mean = stats.response_moments.centered_squares[0]
    return max(found, 0.0), float(around_mean)


def squares_of_folds(
    groups: WholeGroups, found: FoldEstimates, totals: FoldTotals
) -> tuple[FloatArray, FloatArray] | None:
    """Return Σ w (y − x'β̂)² and Σ w (y − ȳ)² over the rows of each fold, (F,) each.

    β̂ is that without the fold. None where sums of a fold that is sure have too few digits;
    totals are in a frame that has centers alone.
    """
    unit, beta = groups.system.weight_unit, found.deleted.beta
    v = np.concatenate([-beta, np.ones((len(beta), 1))], axis=1)
    # v'Tv of rows [x y], v = (−β̂, 1), and y'y − (1'y)²/1'1 of those around a center
    left = unit * np.einsum("fa,fab,fb->f", v, groups.totals, v)
    size = unit * np.einsum("fa,fab,fb->f", *map(np.abs, (v, groups.totals, v)))
    y, ones, both = (totals.products[:, a, b] for a, b in ((-1, -1), (0, 0), (0, -1)))
    around_mean = y - both**2 / ones
    rounding = 8.0 * np.finfo(float).eps
    enough = (rounding * size <= DIGITS * left) & (rounding * y <= DIGITS * around_mean)
    return (left, around_mean) if enough[found.are_sure].all() else None


def _of_own_rows(stats: CrossProducts, k: int, effects: FloatArray) -> FloatArray:
    """Return the coefficients of a factor's rows f with the same z'b, (q, r): d − c = fE."""
    frame = stats.factors[k].frame(stats.center)
    out = frame.coefficients(effects.T).T.copy()
    out[:, 0] += effects @ frame.center
    return np.asarray(out)
