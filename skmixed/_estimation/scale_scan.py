"""The criterion along the scale of some random effects, all else held: every valley.

It is computed at every scale from one decomposition, and changes by terms in the log of
the scale that are as wide as the logistic curve, so that a grid meets every valley
(docs/mathematics.md, "Other optima").
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.dense_factor import DenseFactor
from skmixed._derivatives.objectives import DenseObjective
from skmixed._equations.system import System
from skmixed._typing import FloatArray, IntArray

# Steps of the grid in log c while effects become fixed ones, each over about four units,
# and beyond, where only r² changes, as a + b/c.
STEP, WIDE_STEP = 0.5, 1.5
# How far the grid goes beyond the range of 1/D. Below, c D is a thousandth; above, 1/c
# is lost beside the residual variance, from which it may differ by 12 digits.
BELOW, ABOVE, WIDE_ABOVE = 7.0, 7.0, 28.0
# Times the grid is made finer around the lowest point of a valley, each by 4.
REFINEMENTS = 3
# Share of the largest D below which an eigenvalue is rounding.
NOTHING = 1e-13
# Two valleys are one where no point between them is higher by this.
RIDGE = 1e-3
# Difference of the criterion that is none, where it is flat to the upper end.
FLAT = 1e-6
# Width in log D of the pools whose products are summed: r² is off by y'y times the square of
# a part of it.
POOL_WIDTH = 0.02
# Height above the least up to which a bend counts: a quantile of χ² at 99.5 %.
NEAR = 8.0
# Fall of the slope, in units of log c, after it has risen, that is a bend. Of sleepstudy,
# penicillin and dyestuff it is 0; of panels in which another optimum came up as a quantity
# was held, 0.045 and more.
BEND = 0.02


@dataclass(frozen=True)
class Valley:
    """A local minimum along the scale.

    Attributes
    ----------
    value : float
        The criterion there.
    ratio : float
        c, the factor of the effects' covariance; 0 at the lower end.
    width : float
        How far off in log c the lowest point may be.
    """

    value: float
    ratio: float
    width: float


class Profile(Protocol):
    """The criterion as a function of c."""

    @property
    def eigenvalues(self) -> FloatArray:
        """Return D: effects are free from c of 1/D on; at least one, all positive."""

    def values(self, ratios: FloatArray) -> FloatArray:
        """Return the criterion at each c; inf where rounding leaves too little of r²."""


@dataclass(frozen=True)
class ScaleScan:
    """The criterion on a grid along the scale.

    Attributes
    ----------
    grid : (n,) array
        log c.
    values : (n + 1,) array
        At c = 0 and on the grid.
    """

    grid: FloatArray
    values: FloatArray

    @staticmethod
    def of(profile: Profile) -> "ScaleScan":
        grid = _grid(profile.eigenvalues)
        return ScaleScan(grid, profile.values(np.concatenate([[0.0], np.exp(grid)])))

    @property
    def valleys(self) -> list[Valley]:
        """The local minima along c, the lowest first, to a step of the grid."""
        grid, values = self.grid, self.values
        around = np.concatenate([[np.inf], values, [np.inf]])
        lowest = np.flatnonzero((values < around[2:]) & (values <= around[:-2]) & (values < np.inf))
        found = [_valley(grid, values, _before_plateau(values, k)) for k in _apart(values, lowest)]
        return sorted(found, key=lambda valley: valley.value)

    @property
    def is_bent(self) -> bool:
        """Whether, near the least, there is another valley or what a little would make one.

        In a single valley the slope in log c falls once, from 0, and then rises.
        """
        is_finite = np.isfinite(self.values[1:])
        values, grid = self.values[1:][is_finite], self.grid[is_finite]
        if len(grid) < 2:
            return False
        slope = np.diff(values) / np.diff(grid)
        highest = np.maximum.accumulate(slope)
        lowest = np.minimum(np.minimum.accumulate(slope), 0.0)
        # Down to here from the highest slope, which was above what came before it
        first = np.searchsorted(highest, highest)
        fall = np.minimum(highest - slope, highest - lowest[first])
        least = float(self.values[np.isfinite(self.values)].min())
        is_near = 0.5 * (values[1:] + values[:-1]) <= least + NEAR
        return bool((fall[is_near] > BEND).any())


def _valley(grid: FloatArray, values: FloatArray, k: int) -> Valley:
    """Return the valley at point k, the first of which is 0."""
    if k == 0:
        return Valley(float(values[0]), 0.0, 0.0)
    is_wide = 1 < k < len(values) - 1 and grid[k] - grid[k - 1] > STEP
    width = WIDE_STEP if is_wide else STEP
    return Valley(float(values[k]), float(np.exp(grid[k - 1])), width)


def refined(profile: Profile, valley: Valley) -> Valley:
    """Close in on the lowest point of a valley, between its neighbors in the grid."""
    if not valley.ratio:
        return valley
    middle, value, width = float(np.log(valley.ratio)), valley.value, valley.width
    for _ in range(REFINEMENTS):
        finer = middle + np.linspace(-width, width, 9)
        along = profile.values(np.exp(finer))
        best = int(np.argmin(along))
        if along[best] < value:
            middle, value = float(finer[best]), float(along[best])
        width /= 4.0
    return Valley(value, float(np.exp(middle)), width)


def _least_squares(likelihood: Likelihood, total: float) -> float:
    """Return the r² from which on rounding, of a difference from y'y, hides no ridge."""
    rounding = 4.0 * float(np.finfo(float).eps) * max(likelihood.dof, 1) * total
    return max(likelihood.floor, rounding / RIDGE)


def _grid(eigenvalues: FloatArray) -> FloatArray:
    low = -np.log(eigenvalues.max()) - BELOW
    high = -np.log(eigenvalues.min()) + ABOVE
    fine = np.arange(low, high, STEP)
    return np.concatenate([fine, np.arange(fine[-1] + WIDE_STEP, high + WIDE_ABOVE, WIDE_STEP)])


def _apart(values: FloatArray, lowest: IntArray) -> list[int]:
    """Keep the lower of two minima without a ridge between them."""
    kept: list[int] = []
    for k in lowest.tolist():
        if kept and values[kept[-1] : k + 1].max() < max(values[k], values[kept[-1]]) + RIDGE:
            if values[k] < values[kept[-1]]:
                kept[-1] = k
        else:
            kept.append(k)
    return kept


def _before_plateau(values: FloatArray, k: int) -> int:
    """Return the first point from which on the criterion is as low as at the upper end."""
    if k < len(values) - 1:
        return k
    return int(np.flatnonzero(values > values[k] + FLAT)[-1]) + 1


@dataclass(frozen=True)
class EffectsProfile:
    """The scale of some columns of a dense system, around a factor.

    With P_0 that without these effects, S their strengths at c = 1, S(Z'P_0Z)S = UDU'
    and h = U'SZ'P_0y,

        d(c) = Σ log(1 + cD_i) + ν log r²(c) + …,    r²(c) = y'P_0y − Σ c h_i² / (1 + cD_i)

    by ML with D of Z'V_0⁻¹Z in the first sum. Where the factor has them at c = 1,
    S(Z'PZ)S = UD(I + D)⁻¹U' and U'SZ'Py = (I + D)⁻¹h.

    Attributes
    ----------
    eigenvalues, of_logdet : (m,) arrays
        D for the residual, and for the log-determinant.
    squares : (m,) array
        h_i².
    now : float
        c of the factor, 0 or 1.
    factor : DenseFactor
    likelihood : Likelihood
    value : float
        The criterion at the factor.
    """

    eigenvalues: FloatArray
    of_logdet: FloatArray
    squares: FloatArray
    now: float
    factor: DenseFactor
    likelihood: Likelihood
    value: float

    @staticmethod
    def of(objective: DenseObjective, own: IntArray, shape: FloatArray) -> "EffectsProfile | None":
        """Profile the columns `own` with strengths S at c = 1: those of the factor, or at 0."""
        factor, projections = objective.factor, objective.projections
        now = 1.0 if factor.strengths[own].any() else 0.0
        at = np.ix_(own, own)
        # UDU' = S(Z'P_0Z)S, and h = U'SZ'P_0y = (1 + cD)U'SZ'Py
        values, vectors = _eigen(projections.products[at], shape, now)
        is_free = values > NOTHING * max(float(values[-1]), 0.0)
        if not is_free.any():
            return None
        values = values[is_free]
        h = (vectors.T @ (shape * projections.effects[own]))[is_free] * (1.0 + now * values)
        of_logdet = values
        if not objective.likelihood.reml:
            of_logdet, _ = _eigen(projections.traces[at], shape, now)
        return EffectsProfile(
            values,
            np.maximum(of_logdet, 0.0),
            h**2,
            now,
            factor,
            objective.likelihood,
            objective.value,
        )

    def is_at(self, valley: Valley) -> bool:
        """Whether the factor is in a valley, as far as the grid tells."""
        if not self.now:
            return valley.ratio == 0.0
        return bool(valley.ratio) and abs(np.log(valley.ratio)) <= valley.width

    def values(self, ratios: FloatArray) -> FloatArray:
        factor, now = self.factor, self.now
        grown = 1.0 + np.multiply.outer(self.eigenvalues, ratios)
        # c h²/(1 + cD) less that of now, as one fraction: nothing cancels near now.
        taken = self.squares / (1.0 + now * self.eigenvalues) @ ((ratios - now) / grown)
        latest = self.likelihood.residual_squares(factor)
        squares = latest - taken
        logs = np.log1p(np.multiply.outer(self.of_logdet, ratios)).sum(axis=0)
        logs -= float(np.log1p(now * self.of_logdet).sum())
        is_defined = squares > _least_squares(self.likelihood, float(factor.products[-1, -1]))
        ratio = np.where(is_defined, squares, 1.0) / latest
        out = self.value + logs + max(self.likelihood.dof, 1) * np.log(ratio)
        return np.where(is_defined, out, np.inf)


def _eigen(products: FloatArray, shape: FloatArray, now: float) -> tuple[FloatArray, FloatArray]:
    """Return D and U from S(Z'PZ)S, at c = now."""
    shrunken = products * np.outer(shape, shape)
    values, vectors = np.linalg.eigh(shrunken)
    if not now:
        return values, vectors
    if values[-1] > 0.5:  # the digits are those of I − S(Z'PZ)S
        kept, vectors = np.linalg.eigh(np.eye(len(shape)) - shrunken)
        kept = np.maximum(kept, np.finfo(float).eps)[::-1]
        return (1.0 - kept) / kept, vectors[:, ::-1]
    return values / (1.0 - values), vectors


@dataclass(frozen=True)
class VarianceProfile:
    """The one variance of a model, from 0: all of the criterion.

    With Z_j'WZ_j = UDU' over levels j, H = U'Z_j'W[X y], and T = [X y]'W[X y],

        log|M| = Σ log(1 + cD_i),     [X y]'V⁻¹[X y] = T − Σ c / (1 + cD_i) H_i'H_i

    The sums go over pools of like D, around whose mean c / (1 + cD) is taken to first
    order.

    Attributes
    ----------
    eigenvalues, counts : (m,) arrays
        Mean D of each pool, and how many it stands for.
    squares, slopes : (m, (p + 1)²) arrays
        Σ H_i'H_i and Σ (D_i − D) H_i'H_i of each pool, for columns of unit length.
    rest : (p + 1,) * 2 array
        T, likewise.
    lengths : (p + 1,) array
        Of the columns.
    squares_of_y : float
    likelihood : Likelihood
    """

    eigenvalues: FloatArray
    counts: FloatArray
    squares: FloatArray
    slopes: FloatArray
    rest: FloatArray
    lengths: FloatArray
    squares_of_y: float
    likelihood: Likelihood

    @staticmethod
    def of(system: System, likelihood: Likelihood) -> "VarianceProfile | None":
        """Profile the variance of a system with one term of one variance."""
        ((factor, term),) = system.terms
        parts = zip(*system.level_products(0), strict=True)
        own, beside = (np.concatenate(p, axis=2)[:, :, : factor.n_levels] for p in parts)
        # UDU' = Z_j'WZ_j of each level, and H = U'Z_j'W[X y]
        if own.shape[:2] == (1, 1):
            values, beside = (
                own[0] * term.to_factor_columns[0, 0] ** 2,
                beside * term.to_factor_columns[0, 0],
            )
        else:
            own = np.einsum("ra,rsq,sb->qab", term.to_factor_columns, own, term.to_factor_columns)
            values, vectors = np.linalg.eigh(own)
            to_own = np.einsum("ra,qab->brq", term.to_factor_columns, vectors)
            beside = np.einsum("brq,rmq->bmq", to_own, beside)
            values = values.T
        rows = np.ascontiguousarray(beside.transpose(1, 0, 2)).reshape(beside.shape[1], -1)
        values = values.ravel()
        is_free = values > NOTHING * max(float(values.max()), 0.0)
        if not is_free.any():
            return None
        if not is_free.all():
            values, rows = values[is_free], rows[:, is_free]
        # Pooled, in columns of X and y of unit length
        lengths = np.sqrt(np.maximum(np.diagonal(system.fixed_products), np.finfo(float).tiny))
        pools = _pooled(values, rows / lengths[:, None])
        rest = system.fixed_products / np.outer(lengths, lengths)
        return VarianceProfile(*pools, rest, lengths, system.response_squares, likelihood)

    def values(self, ratios: FloatArray) -> FloatArray:
        likelihood, p = self.likelihood, len(self.rest) - 1
        grown = np.multiply.outer(self.eigenvalues, ratios)
        weights = ratios / (1.0 + grown)
        left = self.rest.ravel()[:, None] - self.squares.T @ weights
        left += self.slopes.T @ weights**2
        left = left.reshape(p + 1, p + 1, -1)
        logdet_x = np.full(len(ratios), 2.0 * float(np.log(self.lengths[:p]).sum()))
        is_defined = np.ones(len(ratios), dtype=bool)
        for j in range(p):  # elimination of X at all c at once
            is_defined &= left[j, j] > 0
            pivot = np.where(is_defined, left[j, j], 1.0)
            logdet_x += np.log(pivot)
            left[j + 1 :, j + 1 :] -= (left[j + 1 :, j] / pivot)[:, None] * left[j, j + 1 :]
        squares = left[p, p] * self.lengths[p] ** 2
        is_defined &= squares > _least_squares(likelihood, self.squares_of_y)
        dof = max(likelihood.dof, 1)
        out = self.counts @ np.log1p(grown) - likelihood.sum_log_weights
        out += dof * (1.0 + np.log(2.0 * np.pi * np.where(is_defined, squares, 1.0) / dof))
        return np.where(is_defined, out + logdet_x if likelihood.reml else out, np.inf)


def _pooled(
    values: FloatArray, columns: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Pool columns of like values: mean values, counts, sums of squares and their slopes."""
    logs = np.log(values)
    # Of short integers a stable sort is linear.
    pools = ((logs - logs.min()) / POOL_WIDTH).astype(np.uint16)
    order = np.argsort(pools, kind="stable")
    counts = np.bincount(pools)
    used = np.flatnonzero(counts)
    stops = np.cumsum(counts)[used]
    means = np.bincount(pools, values)[used] / counts[used]
    columns, values = columns[:, order], values[order]
    squares, slopes = [], []
    for start, stop, mean in zip([0, *stops[:-1]], stops, means, strict=True):
        part = columns[:, start:stop]
        squares.append((part @ part.T).ravel())
        slopes.append((part @ ((values[start:stop] - mean)[:, None] * part.T)).ravel())
    return means, counts[used].astype(float), np.stack(squares), np.stack(slopes)
