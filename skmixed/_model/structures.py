"""An autoregression among the coefficients of a level, and the registry of all structures."""

import numpy as np

from skmixed._model.covariance import (
    NOTHING,
    ROUNDING,
    VANISHING,
    Covariance,
    Diag,
    EqualCorrelation,
    Full,
    Spherical,
)
from skmixed._typing import FloatArray


class Autoregression:
    """Σ_ij = t² ρ^|i−j| with ρ = sin ω, |ρ| ≤ 1.

    Λ = tL(ω) with the columns sin^i ω and cos ω sin^(i−j) ω is smooth in t and ω, also
    where t or cos ω, and columns with them, are 0. The Toeplitz matrices are the least
    linear space that holds every Σ.
    """

    name = "ar1"
    is_shift_invariant = False
    is_scale_invariant = False

    def n_theta(self, size: int) -> int:
        return min(size, 2)  # a lone coefficient has no correlation

    def directions(self, size: int) -> FloatArray:
        lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        return np.stack([np.where(lag == k, 1.0, 0.0) for k in range(size)])

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        return covariance[..., 0, :]

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        t, angle = self._read(lam)
        value, first, _ = self._root(angle, len(lam))
        return t * value, np.stack([value, t * first])[: self.n_theta(len(lam))]

    def moved(self, lam: FloatArray, _basis: FloatArray, step: FloatArray) -> FloatArray:
        t, angle = self._read(lam)
        change = np.append(step, 0.0)
        return (t + change[0]) * self._root(angle + change[1], len(lam))[0]

    def curvature(self, lam: FloatArray, basis: FloatArray, slope: FloatArray) -> FloatArray:
        t, angle = self._read(lam)
        _, first, second = self._root(angle, len(lam))
        n = len(basis)
        # ∂²(ΛΛ') = 2 ∂Λ∂Λ' + 2 ∂²ΛΛ', symmetric
        of_map = np.array([[0.0, np.vdot(slope @ lam, first)], [np.vdot(slope @ lam, first), 0.0]])
        of_map[1, 1] = np.vdot(slope @ lam, t * second)
        return 2.0 * (np.einsum("iab,jab->ij", basis, slope @ basis) + of_map[:n, :n])

    def vanished(self, before: FloatArray, after: FloatArray) -> FloatArray:
        (t, angle), (old_t, old_angle) = self._read(after), self._read(before)
        if 0.0 < t < max(VANISHING * old_t, NOTHING):
            return np.zeros_like(after)
        if len(after) == 1 or not 0.0 < np.cos(angle) < max(VANISHING * np.cos(old_angle), NOTHING):
            return after
        return np.sign(np.sin(angle)) ** np.arange(len(after))[:, None] * np.eye(len(after))[0] * t

    def nearest(self, covariance: FloatArray) -> FloatArray:
        size = len(covariance)
        variance = max(float(np.diagonal(covariance).mean()), 0.0)
        beside = float(np.diagonal(covariance, 1).mean()) if size > 1 else 0.0
        rho = np.clip(beside / variance, -1.0, 1.0) if variance else 0.0
        return np.sqrt(variance) * self._root(np.arcsin(rho), size)[0]

    def admits(self, _lam: FloatArray) -> bool:
        return True

    def theta(self, lam: FloatArray) -> FloatArray:
        return np.array(self._read(lam))[: self.n_theta(len(lam))]

    def lam(self, theta: FloatArray, size: int) -> FloatArray:
        t, angle = np.append(theta, 0.0)[:2]
        lower = self._root(angle, size)[0]
        return abs(t) * lower * np.where(np.diagonal(lower) < 0, -1.0, 1.0)

    def _read(self, lam: FloatArray) -> tuple[float, float]:
        """Return t and ω of a factor."""
        t = float(np.linalg.norm(lam[0]))
        if not t or len(lam) == 1:
            return t, 0.0
        sine = float(lam[1] @ lam[0]) / t**2
        return t, float(np.arctan2(sine, np.linalg.norm(lam[1] - sine * lam[0]) / t))

    def _root(self, angle: float, size: int) -> FloatArray:
        """Return L(ω), its first and its second derivative, (3, s, s)."""
        s, c = np.sin(angle), np.cos(angle)
        if abs(c) < ROUNDING:  # of π/2 there is no closer number
            s, c = np.sign(s), 0.0
        out = np.zeros((3, size, size))
        for i in range(size):
            out[:, i, 0] = (
                s**i,
                i * _power(s, i - 1) * c,
                (i * (i - 1) * _power(s, i - 2) * c**2 - i * s**i),
            )
            for j in range(1, i + 1):
                k = i - j
                out[:, i, j] = (
                    c * s**k,
                    k * _power(s, k - 1) * c**2 - s ** (k + 1),
                    k * (k - 1) * _power(s, k - 2) * c**3 - (3 * k + 1) * s**k * c,
                )
        return out


def _power(base: float, exponent: int) -> float:
    return base**exponent if exponent >= 0 else 0.0


STRUCTURES: dict[str, Covariance] = {
    s.name: s for s in (Full(), Diag(), Spherical(), EqualCorrelation(), Autoregression())
}
