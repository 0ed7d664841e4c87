"""Steps of the search: a quadratic model around a point, and its best step."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.optimize
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from skmixed._typing import FloatArray, Lam

# Smallest eigenvalue of the trust region's metric, as a share of its largest.
RIDGE = 1e-10
# Share of the lowest eigenvalue up to which another one is equal to it.
TIED = 1e-10
# Rows from which on the blocks of a matrix are worth looking for.
MANY = 64


class Coordinates(Protocol):
    """Coordinates around a point of the search, as `Chart` has them around a Λ."""

    @property
    def lam(self) -> Lam:
        """The point, in its canonical form."""

    @property
    def jacobian(self) -> FloatArray:
        """Derivatives of the parameters by the coordinates, a row for each coordinate."""

    def curvature(self, gradient: FloatArray) -> FloatArray:
        """Return Σ_i g_i times the second derivatives of the parameters by the coordinates."""

    def moved(self, step: FloatArray) -> Lam:
        """Return the point at coordinates `step`."""

    def step_to(self, lam: Lam) -> FloatArray:
        """Return the nearest step that leads to a point."""

    def vanished(self, after: Lam) -> Lam:
        """Set to zero what a step shrinks much; `after` itself where that is nothing."""


@dataclass(frozen=True)
class Point:
    """The criterion at a canonical Λ, with its second-order model around it, in δ."""

    chart: Coordinates
    value: float
    gradient: FloatArray
    hessian: FloatArray
    metric: FloatArray

    @property
    def lam(self) -> Lam:
        return self.chart.lam

    @property
    def is_usable(self) -> bool:
        """Whether there is a model to step by, beyond rounding."""
        is_finite = np.isfinite(self.gradient).all() and np.isfinite(self.hessian).all()
        has_scale = not self.gradient.any() or np.diagonal(self.metric).max() > 0
        return bool(is_finite and has_scale)

    @cached_property
    def _principal(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The Hessian's eigenvalues in units of the metric; the gradient there, and back to δ."""
        values, vectors = np.linalg.eigh(self.metric)
        largest = max(float(values[-1]), np.finfo(float).tiny)
        scale = vectors / np.sqrt(np.maximum(values, RIDGE * largest))
        values, vectors = np.linalg.eigh(scale.T @ self.hessian @ scale)
        n = int((values <= values[0] + TIED * abs(values[0])).sum())
        if values[0] < 0.0 and n > 1:
            vectors = np.hstack([self._with_first_of_ties(scale, vectors[:, :n]), vectors[:, n:]])
        return values, vectors.T @ (scale.T @ self.gradient), scale @ vectors

    def _with_first_of_ties(self, scale: FloatArray, vectors: FloatArray) -> FloatArray:
        """Turn eigenvectors of one eigenvalue, so that rounding does not choose the first.

        Where several variances are 0 and all are to grow, the curvature is −1 by each of them
        in units of the metric M, the gradient is 0, and a step along the first eigenvector is a
        step along any. The first is the one nearest to Σ e_i/√M_ii, by which all coordinates
        grow alike.
        """
        if (vectors.T @ (scale.T @ self.gradient)).any():
            return vectors
        units = 1.0 / np.sqrt(np.maximum(np.diagonal(self.metric), np.finfo(float).tiny))
        towards = vectors.T @ (scale.T @ (self.metric @ units))
        length = float(np.linalg.norm(towards))
        if length <= TIED:
            return vectors
        # Householder's reflection of e_1 to it
        mirror = towards / length
        mirror[0] += np.copysign(1.0, mirror[0])
        return vectors - np.outer(vectors @ mirror, 2.0 / (mirror @ mirror) * mirror)

    def step(self, radius: float) -> tuple[FloatArray, float, bool]:
        """Return the best step within the radius, its length, and if it is inside."""
        values, gradient, to_delta = self._principal
        step, is_interior = trust_region_step(values, gradient, radius)
        return to_delta @ step, float(np.linalg.norm(step)), is_interior

    def decrease(self, step: FloatArray) -> float:
        return float(-(self.gradient @ step + 0.5 * step @ self.hessian @ step))


def second_order(
    chart: Coordinates,
    value: float,
    gradient: FloatArray,
    hessian: FloatArray,
    metric: FloatArray,
) -> Point:
    """Carry derivatives in τ, and a metric there, over to steps δ of the terms' Λ."""
    jacobian, curvature = chart.jacobian, chart.curvature(gradient)
    return Point(
        chart=chart,
        value=value,
        gradient=jacobian @ gradient,
        hessian=jacobian @ hessian @ jacobian.T + curvature,
        metric=jacobian @ metric @ jacobian.T + absolute(curvature),
    )


def absolute(matrix: FloatArray) -> FloatArray:
    """Return the symmetric matrix with the absolute eigenvalues, block by block of many rows.

    The curvature of Λ ↦ ΛΛ' couples the entries of one column of Λ only.
    """
    if len(matrix) <= MANY:
        values, vectors = np.linalg.eigh(matrix)
        return (vectors * np.abs(values)) @ vectors.T
    out = np.zeros_like(matrix)
    n_blocks, labels = connected_components(sp.csr_array(matrix != 0), directed=False)
    for block in range(n_blocks):
        own = np.flatnonzero(labels == block)
        values, vectors = np.linalg.eigh(matrix[np.ix_(own, own)])
        out[np.ix_(own, own)] = (vectors * np.abs(values)) @ vectors.T
    return out


def trust_region_step(values: FloatArray, g: FloatArray, radius: float) -> tuple[FloatArray, bool]:
    """Minimize the quadratic model within the radius; say if in its interior.

    In the eigenvectors of the Hessian, whose eigenvalues ascend (Nocedal and Wright,
    2006, section 4.3), the hard case included: at a saddle the direction of negative
    curvature.
    """
    if not np.isfinite(radius):  # the first step: twice the step of the metric alone
        radius = max(1.0, 2.0 * float(np.linalg.norm(g)))
    flat = np.finfo(float).eps * len(g) * max(float(np.abs(values).max()), 1e-300)
    if values[0] > flat:
        step = -g / values
        if np.linalg.norm(step) <= radius:
            return step, True
    shift = _secular_root(values, g, radius, flat)
    step = -g / np.maximum(values + shift, flat)
    length = float(np.linalg.norm(step))
    if length > radius:  # near the hard case the root has no digits to spare
        step *= radius / length
    missing = radius**2 - min(length, radius) ** 2
    if values[0] < -flat and missing > 0:
        step[0] = -np.copysign(np.sqrt(missing + step[0] ** 2), g[0])
    return step, False


def _secular_root(values: FloatArray, g: FloatArray, radius: float, flat: float) -> float:
    """Find the shift at which the step has the length of the radius."""
    low = max(0.0, -float(values[0])) + flat

    def excess(shift: float) -> float:
        return 1.0 / radius - 1.0 / max(float(np.linalg.norm(g / (values + shift))), 1e-300)

    if excess(low) <= 0:
        return low
    high = (low + float(np.linalg.norm(g)) / radius) * (1 + 1e-9)
    if not excess(high) < 0:  # rounding, where the values dwarf what is added to them
        return high
    return float(scipy.optimize.brentq(excess, low, high, xtol=np.finfo(float).tiny))
