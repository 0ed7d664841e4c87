"""Structures of correlations with one variance or one each, and the registry of all structures.

A root L(ω) of a matrix of correlations C = LL' has rows of length 1. It is smooth in its
angles also where C lacks rank: where cos ω_k = 0. There ∂C/∂ω_k is 0, and ω_k and π − ω_k
give one C, so that no step leaves what is allowed.
"""

from typing import ClassVar

import numpy as np

from skmixed._model.covariance import (
    NOTHING,
    ROUNDING,
    VANISHING,
    CorrelationRoot,
    Covariance,
    Diag,
    EqualCorrelation,
    Full,
    Spherical,
    lower_factor,
)
from skmixed._typing import BoolArray, Derivatives, FloatArray

# A partial autocorrelation beyond this is none of a covariance, and not ±1 but for rounding.
BEYOND = 1.0 + 1e-8


class EvenRoot:
    """One correlation ρ for all pairs, on [−1/(s − 1), 1].

    C has the eigenvalue 1 + (s − 1)ρ = s sin²h for the mean of the coefficients, and
    1 − ρ = s/(s − 1) cos²h for all else: L = Q diag(√s sin h, √(s/(s−1)) cos h, …) with
    an orthogonal Q whose first column is 1/√s, and h = (ω + π/2)/2.
    """

    def directions(self, size: int) -> FloatArray:
        mean = np.full((size, size), 1.0 / size)
        return np.stack([mean, np.eye(size) - mean])[: min(size, 2)]

    def count(self, size: int) -> int:
        return min(size - 1, 1)  # a lone coefficient has no correlation

    def root(self, angles: FloatArray, size: int) -> Derivatives:
        if size == 1:
            return np.ones((1, 1)), np.empty((0, 1, 1)), np.empty((0, 0, 1, 1))
        # Householder's reflection of the first axis into the mean
        axis = np.eye(size)[0] - 1.0 / np.sqrt(size)
        q = np.eye(size) - 2.0 * np.outer(axis, axis) / (axis @ axis)
        sine, cosine = (float(own[0]) for own in snapped(0.5 * (angles + 0.5 * np.pi)))
        sine = sine if sine > ROUNDING else 0.0  # of ω = −π/2, which is an end too
        of_mean, of_rest = np.sqrt(size), np.sqrt(size / (size - 1.0))
        is_mean = np.arange(size) == 0
        value = q * np.where(is_mean, of_mean * sine, of_rest * cosine)
        first = q * np.where(is_mean, of_mean * cosine, -of_rest * sine)
        return value, 0.5 * first[None], -0.25 * value[None, None]

    def angles(self, rows: FloatArray) -> FloatArray:
        size, known = len(rows), rows[rows.any(axis=1)]
        if len(known) < 2:
            return np.zeros(self.count(size))
        # Of the known rows 1 − ρ is the mean square around their mean
        mean = known.mean(axis=0)
        rest = float(((known - mean) ** 2).sum()) / (len(known) - 1)
        squared = float(mean @ mean) if len(known) == size else 1.0 - rest * (size - 1.0) / size
        half = np.array([np.sqrt(max(squared, 0.0)), np.sqrt(rest * (size - 1.0) / size)])
        half[half <= ROUNDING] = 0.0
        return np.array([2.0 * np.arctan2(*half) - 0.5 * np.pi])

    def nearest(self, correlation: FloatArray, known: BoolArray) -> FloatArray:
        size = len(correlation)
        pairs = known[:, None] & known & ~np.eye(size, dtype=bool)
        if not pairs.any():
            return np.zeros(self.count(size))
        rho = float(correlation[pairs].mean())
        # ρ = 1 − s/(2(s − 1)) (1 − sin ω)
        sine = 1.0 - 2.0 * (1.0 - rho) * (size - 1.0) / size
        return np.arcsin(np.clip([sine], -1.0, 1.0))


class ToeplitzRoot:
    """A correlation for each difference k of the coefficients' places.

    Its partial autocorrelations are sin ω_k, each anywhere on [−1, 1]. With the orthogonal
    U = G_1 G_2 ⋯, G_k = [sin ω_k, cos ω_k; cos ω_k, −sin ω_k] in the axes k and k + 1, the
    rows of L are U^i e_1: their products depend on i − j alone.
    """

    def directions(self, size: int) -> FloatArray:
        lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        return np.stack([np.where(lag == k, 1.0, 0.0) for k in range(size)])

    def count(self, size: int) -> int:
        return size - 1

    def root(self, angles: FloatArray, size: int) -> Derivatives:
        n, (sine, cosine) = len(angles), snapped(angles)
        sine, cosine = (np.append(own, [k] * (size - 1 - n)) for own, k in ((sine, 0), (cosine, 1)))
        out = np.zeros((size, size)), np.zeros((n, size, size)), np.zeros((n, n, size, size))
        row, first, second = np.eye(size)[0], np.zeros((n, size)), np.zeros((n, n, size))
        for i in range(size):
            out[0][i], out[1][:, i], out[2][:, :, i] = row, first, second
            # U times the row before, from the right; rotations beyond it do nothing
            for k in reversed(range(min(i + 1, size - 1))):
                turn = np.array([[sine[k], cosine[k]], [cosine[k], -sine[k]]])
                turned = np.array([[cosine[k], -sine[k]], [-sine[k], -cosine[k]]])
                row, first, second = _turned((row, first, second), k, turn, turned)
        return out

    def angles(self, rows: FloatArray) -> FloatArray:
        size, lower = len(rows), lower_factor(rows)
        out = np.zeros(self.count(size))
        for k in range(1, size):
            left = lower[k - 1, k - 1]
            if left <= ROUNDING:
                break
            # U^k e_1 = known + left (sin ω_k d + cos ω_k e_k), of the angles before
            seen, axis = lower[k - 1].copy(), np.eye(size)[k - 1]
            seen[k - 1] = 0.0
            for j in reversed(range(k - 1)):
                s, c = np.sin(out[j]), np.cos(out[j])
                turn = np.array([[s, c], [c, -s]])
                seen[j : j + 2], axis[j : j + 2] = turn @ seen[j : j + 2], turn @ axis[j : j + 2]
            sine, cosine = (lower[k] - seen) @ axis, lower[k, k]
            out[k - 1] = np.arctan2(sine, cosine if cosine > ROUNDING else 0.0)
        return out

    def nearest(self, correlation: FloatArray, known: BoolArray) -> FloatArray:  # noqa: ARG002
        size = len(correlation)
        lags = [float(np.diagonal(correlation, k).mean()) for k in range(size)]
        return _partial(np.array(lags))


class GeometricRoot(ToeplitzRoot):
    """ρ^|i−j| with ρ = sin ω on [−1, 1]: partial autocorrelations beyond the first are 0."""

    def count(self, size: int) -> int:
        return min(size - 1, 1)

    def angles(self, rows: FloatArray) -> FloatArray:
        if len(rows) == 1:
            return np.empty(0)
        at = np.flatnonzero(rows.any(axis=1))
        gaps = np.diff(at)
        if not len(gaps):
            return np.zeros(1)
        k = int(gaps.argmin())
        # sin ω and cos ω of neighbors, or sin ω from the correlation sin^k ω of others
        a, b, gap = rows[at[k]], rows[at[k + 1]], int(gaps[k])
        sine = float(a @ b)
        if gap == 1:
            cosine = float(np.linalg.norm(b - sine * a))
            return np.array([np.arctan2(sine, cosine if cosine > ROUNDING else 0.0)])
        return np.arcsin([_root_of(sine, gap)])

    def nearest(self, correlation: FloatArray, known: BoolArray) -> FloatArray:
        size, at = len(correlation), np.flatnonzero(known)
        gaps = np.diff(at)
        if not len(gaps):
            return np.zeros(self.count(size))
        k = int(gaps.min())
        pairs = at[:-1][gaps == k]
        return np.arcsin([_root_of(float(correlation[pairs, pairs + k].mean()), k)])


class Correlated:
    """Σ = SCS with standard deviations S on the diagonal and Λ = SL(ω), C = LL'.

    δ is (t, ω) with S = tI, or (a, ω) with s_i = a_i² and a standard deviation for each
    coefficient. With s_i = 0 the row i of ∂Λ/∂a_i is 0 too, so that no step leads to a
    negative one.
    """

    name: str
    model: ClassVar[CorrelationRoot]
    is_shift_invariant = False
    is_scale_invariant = False
    has_traps = True  # where a size or a cosine is 0, the others' slopes are not all seen
    is_heterogeneous: ClassVar[bool] = False

    def n_theta(self, size: int) -> int:
        return self._n_sizes(size) + self.model.count(size)

    def directions(self, size: int) -> FloatArray:
        return self.model.directions(size)

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        directions = self.directions(covariance.shape[-1])
        squares = np.einsum("iab,iab->i", directions, directions)
        return np.tensordot(covariance, directions, ([-2, -1], [1, 2])) / squares

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self._chart(*self._read(lam), len(lam))

    def moved(self, lam: FloatArray, _basis: FloatArray, step: FloatArray) -> FloatArray:
        size, (roots, angles) = len(lam), self._read(lam)
        n = len(roots)
        return self._chart(roots + step[:n], angles + step[n:], size)[0]

    def curvature(self, lam: FloatArray, basis: FloatArray, slope: FloatArray) -> FloatArray:
        size, (roots, angles) = len(lam), self._read(lam)
        n, (value, first, second) = len(roots), self.model.root(angles, size)
        sizes, moved, bend = self._sizes(roots, size)
        # ∂²(ΛΛ') = 2 ∂Λ∂Λ' + 2 ∂²ΛΛ', symmetric; GΛ in the frame of L
        out = 2.0 * np.einsum("iab,jab->ij", basis, slope @ basis)
        left = slope @ (sizes[:, None] * value)
        own = np.einsum("ab,ab->a", left, value)
        out[:n, :n] += 2.0 * np.diag(bend @ own)
        mixed = 2.0 * np.einsum("ka,iab,ab->ki", moved, first, left)
        out[:n, n:] += mixed
        out[n:, :n] += mixed.T
        out[n:, n:] += 2.0 * np.einsum("a,ijab,ab->ij", sizes, second, left)
        return out

    def vanished(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Set to zero sizes and cosines that a step shrinks below `VANISHING`."""
        (roots, angles), (old_roots, old_angles) = self._read(after), self._read(before)
        size, cosine = len(after), snapped(angles)[1]
        nothing = np.sqrt(NOTHING) if self.is_heterogeneous else NOTHING
        least = np.maximum(VANISHING * old_roots, nothing)
        gone = (roots > 0.0) & (roots < least)
        edge = (cosine > 0.0) & (cosine < np.maximum(VANISHING * snapped(old_angles)[1], NOTHING))
        if not (gone.any() or edge.any()):
            return after
        at_edge = np.where(edge, np.copysign(0.5 * np.pi, angles), angles)
        return self._chart(np.where(gone, 0.0, roots), at_edge, size)[0]

    def nearest(self, covariance: FloatArray) -> FloatArray:
        size, variances = len(covariance), np.maximum(np.diagonal(covariance), 0.0)
        if not self.is_heterogeneous:
            variances = np.full(size, max(float(np.diagonal(covariance).mean()), 0.0))
        sd = np.sqrt(variances)
        known = sd > ROUNDING * sd.max()
        scale = np.where(known, sd, 1.0)
        angles = np.zeros(self.model.count(size))
        if known.any():
            angles = self.model.nearest(covariance / np.outer(scale, scale), known)
        return np.where(known, sd, 0.0)[:, None] * self.model.root(angles, size)[0]

    def admits(self, lam: FloatArray) -> bool:  # noqa: ARG002
        return True

    def boundary_slope(self, lam: FloatArray, slope: FloatArray) -> float:
        """Return half the least second derivative along the δ in which Σ has no first one."""
        lam, basis = self.chart(lam)
        slopes = basis @ lam.T
        flat = (slopes + slopes.transpose(0, 2, 1)).reshape(len(basis), -1)
        left, sizes, _ = np.linalg.svd(flat)
        n = int((sizes > ROUNDING * sizes.max()).sum())
        still = left[:, min(n, len(basis) - 1) :]
        curvature = 0.5 * self.curvature(lam, basis, slope)
        return float(np.linalg.eigvalsh(still.T @ curvature @ still)[0])

    def theta(self, lam: FloatArray) -> FloatArray:
        roots, angles = self._read(lam)
        sizes = self._sizes(roots, len(lam))[0][: len(roots)]
        return np.concatenate([sizes, angles])

    def lam(self, theta: FloatArray, size: int) -> FloatArray:
        n = self._n_sizes(size)
        return lower_factor(np.abs(theta[:n, None]) * self.model.root(theta[n:], size)[0])

    def _n_sizes(self, size: int) -> int:
        return size if self.is_heterogeneous else 1

    def _sizes(self, roots: FloatArray, size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return s, (s,), and ∂s and the second derivatives by the same root, (n, s)."""
        if self.is_heterogeneous:
            return roots**2, np.diag(2.0 * roots), 2.0 * np.eye(size)
        return np.repeat(roots, size), np.ones((1, size)), np.zeros((1, size))

    def _read(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return t or a, and ω, of a factor."""
        lengths = np.linalg.norm(lam, axis=1)
        known = lengths > ROUNDING * lengths.max()
        rows = np.where(known, 1.0, 0.0)[:, None] * lam / np.where(known, lengths, 1.0)[:, None]
        if not self.is_heterogeneous:
            return lengths[:1], self.model.angles(rows)
        return np.sqrt(np.where(known, lengths, 0.0)), self.model.angles(rows)

    def _chart(
        self, roots: FloatArray, angles: FloatArray, size: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return Λ and ∂Λ/∂δ, turned so that Λ has a zero column for each rank it lacks."""
        value, first, _ = self.model.root(angles, size)
        sizes, moved, _ = self._sizes(roots, size)
        sizes = np.where(np.abs(sizes) > ROUNDING * np.abs(sizes).max(), sizes, 0.0)
        lam = sizes[:, None] * value
        basis = np.concatenate([moved[:, :, None] * value, sizes[:, None] * first])
        if sizes.any() and not sizes.all():
            turn = np.linalg.qr(lam[sizes != 0.0].T, mode="complete")[0]
            lam, basis = lam @ turn, basis @ turn
            columns = np.abs(lam).max(axis=0)
            lam[:, columns <= ROUNDING * columns.max()] = 0.0
        return lam, basis


class Autoregression(Correlated):
    """Σ_ij = t² ρ^|i−j|, |ρ| ≤ 1."""

    name = "ar1"
    model = GeometricRoot()


class EvenlySpaced(Correlated):
    """Σ_ij = t² ρ_|i−j|: one variance and a correlation for each difference."""

    name = "toeplitz"
    model = ToeplitzRoot()


class _Heterogeneous(Correlated):
    """Σ_ij = s_i s_j C_ij: every matrix is in the least linear space that holds all of them."""

    is_scale_invariant = True
    is_heterogeneous = True

    def directions(self, size: int) -> FloatArray:
        return Full().directions(size)

    def coordinates(self, covariance: FloatArray) -> FloatArray:
        return Full().coordinates(covariance)


class HeterogeneousEqualCorrelation(_Heterogeneous):
    """Σ_ij = s_i s_j ρ, −1/(s − 1) ≤ ρ ≤ 1."""

    name = "heterogeneous_compound_symmetry"
    model = EvenRoot()


class HeterogeneousAutoregression(_Heterogeneous):
    """Σ_ij = s_i s_j ρ^|i−j|, |ρ| ≤ 1."""

    name = "heterogeneous_ar1"
    model = GeometricRoot()


def _root_of(power: float, exponent: int) -> float:
    """Return ρ on [−1, 1] of a power of it; of an even one the ρ that is positive."""
    if exponent % 2 == 0:
        power = max(power, 0.0)
    return float(np.sign(power) * min(abs(power), 1.0) ** (1.0 / exponent))


def _turned(own: Derivatives, k: int, turn: FloatArray, turned: FloatArray) -> Derivatives:
    """Return G_k times a vector and its derivatives, of which those of ω_k gain a term."""
    pair = slice(k, k + 2)
    before = [part[..., pair].copy() for part in own]
    value, first, second = (part.copy() for part in own)
    for part, old in zip((value, first, second), before, strict=True):
        part[..., pair] = old @ turn
    if k < len(first):
        # (Gx)_k = Gx_k + G'x, (Gx)_kl = Gx_kl + G'x_l, (Gx)_kk = Gx_kk + 2G'x_k − Gx
        first[k, pair] += before[0] @ turned
        second[k, :, pair] += before[1] @ turned
        second[:, k, pair] += before[1] @ turned
        second[k, k, pair] -= before[0] @ turn
    return value, first, second


def _partial(lags: FloatArray) -> FloatArray:
    """Return the angles of autocorrelations by Levinson's and Durbin's recursion.

    A partial one that is none, beyond ±1, is 0, as where no more is known of the lags.
    """
    out, ahead, left = np.zeros(len(lags) - 1), np.empty(0), 1.0
    for k in range(1, len(lags)):
        kappa = float(lags[k] - ahead @ lags[k - 1 : 0 : -1]) / left
        kappa = kappa if abs(kappa) < BEYOND else 0.0
        out[k - 1] = np.arcsin(np.clip(kappa, -1.0, 1.0))
        left *= max(1.0 - kappa**2, 0.0)
        if left <= ROUNDING:
            break
        ahead = np.append(ahead - kappa * ahead[::-1], kappa)
    return out


def snapped(angles: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sines and cosines; of π/2 no number is close enough for a cosine of 0."""
    sine, cosine = np.sin(angles), np.cos(angles)
    at_edge = np.abs(cosine) < ROUNDING
    return np.where(at_edge, np.sign(sine), sine), np.where(at_edge, 0.0, cosine)


STRUCTURES: dict[str, Covariance] = {
    s.name: s
    for s in (
        Full(),
        Diag(),
        Spherical(),
        EqualCorrelation(),
        HeterogeneousEqualCorrelation(),
        Autoregression(),
        HeterogeneousAutoregression(),
        EvenlySpaced(),
    )
}
