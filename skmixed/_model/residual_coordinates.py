"""Coordinates of the search for the parameters φ of the covariance of the residuals.

Of a correlation for each number of steps they are partial autocorrelations π, of which each
in (−1, 1) is one of a positive definite C of all steps (Barndorff-Nielsen and Schou, 1973,
J. Multivar. Anal. 3). With the prediction a of x_k from x_{k−1}, …, x_0 and its variance v,

    ρ_{k+1} = Σ_j a_j ρ_{k−j} + π_k v,    a ← (a_j − π_k a_{k−1−j}, π_k),    v ← v(1 − π_k²).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._model.time_points import BOUNDARY, bounded
from skmixed._typing import FloatArray, IntArray

# Smallest standard deviation of a row given those before it, as a share of its own one.
LEAST = 1e-5


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
    def to_end(self) -> FloatArray:
        """Distances of those next to an end of what they may be; infinite of others, (size,).

        Where an end is infinite it is a step that leaves a fraction of what is left to it.
        """

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
    """φ itself.

    Attributes
    ----------
    own : (h, d) array
    ends : (h, d) array
        That of `to_end`, of each stratum's parameters.
    """

    own: FloatArray
    ends: FloatArray

    @property
    def size(self) -> int:
        return len(self.jacobian)

    @property
    def to_end(self) -> FloatArray:
        # The first place of each row of ∂φ
        return np.asarray(self.ends.ravel()[np.argmax(self.jacobian, axis=1)])

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
class PartialCoordinates:
    """Coordinates of correlations by lag: the partial autocorrelations π = u/√(1 + u²).

    Attributes
    ----------
    own : (h, d) array
        φ of each stratum.
    partial : OwnCoordinates
        Those of the same with u in the place of correlations.
    n_variances : int
        Parameters of the standard deviations of each stratum.
    """

    own: FloatArray
    partial: OwnCoordinates
    n_variances: int

    @property
    def size(self) -> int:
        return self.partial.size

    @property
    def to_end(self) -> FloatArray:
        return self.partial.to_end

    @cached_property
    def _jets(self) -> list["_Jet"]:
        """φ of each stratum's correlations, with the derivatives by u."""
        return [_of_partials(u[self.n_variances :]) for u in self.partial.own]

    @property
    def jacobian(self) -> FloatArray:
        n, d = self.n_variances, self.own.shape[1]
        out = np.eye(self.own.size)
        for at, jet in zip(range(n, self.own.size, d), self._jets, strict=True):
            out[at : at + d - n, at : at + d - n] = jet.first
        return np.asarray(self.partial.jacobian @ out)

    def curvature(self, gradient: FloatArray) -> FloatArray:
        n, d = self.n_variances, self.own.shape[1]
        out = np.zeros((self.own.size,) * 2)
        for at, jet in zip(range(n, self.own.size, d), self._jets, strict=True):
            place = slice(at, at + d - n)
            out[place, place] = jet.second @ gradient[place]
        return np.asarray(self.partial.jacobian @ out @ self.partial.jacobian.T)

    def moved(self, step: FloatArray) -> FloatArray:
        out = self.partial.moved(step).reshape(self.own.shape)
        for own in out:
            own[self.n_variances :] = _of_partials(own[self.n_variances :]).value
        return out.ravel()

    def step_to(self, phi: FloatArray) -> FloatArray:
        return self.partial.step_to(
            in_partials(phi.reshape(self.own.shape), self.n_variances).ravel()
        )


def in_partials(own: FloatArray, n_variances: int) -> FloatArray:
    """Return the parameters of strata, (h, d), with u in the place of those of correlations."""
    out = own.copy()
    for row in out:
        pi = partial_autocorrelations(bounded(row[n_variances:])[0])
        row[n_variances:] = pi / np.sqrt((1.0 - pi) * (1.0 + pi))
    return out


def partial_autocorrelations(rho: FloatArray) -> FloatArray:
    """Return π of the correlations at lags 1, 2, …, kept off ±1; (c,)."""
    most, prediction, variance = 1.0 - np.finfo(float).eps, np.empty(0), 1.0
    out = np.empty(len(rho))
    for k in range(len(rho)):
        # π_k = (ρ_{k+1} − Σ_j a_j ρ_{k−j})/v
        found = (rho[k] - prediction @ rho[:k][::-1]) / variance
        out[k] = np.clip(found, -most, most)
        prediction = np.append(prediction - out[k] * prediction[::-1], out[k])
        variance *= (1.0 - out[k]) * (1.0 + out[k])
    return out


@dataclass(frozen=True)
class _Jet:
    """Functions of c coordinates with their first and second derivatives.

    Attributes
    ----------
    value : (n,) array
    first : (c, n) array
    second : (c, c, n) array
    """

    value: FloatArray
    first: FloatArray
    second: FloatArray

    def __neg__(self) -> "_Jet":
        return _Jet(-self.value, -self.first, -self.second)

    def __add__(self, other: "_Jet") -> "_Jet":
        parts = self.value + other.value, self.first + other.first, self.second + other.second
        return _Jet(*parts)

    def __mul__(self, other: "_Jet") -> "_Jet":
        mixed = self.first[:, None] * other.first
        second = self.second * other.value + self.value * other.second
        first = self.first * other.value + self.value * other.first
        return _Jet(self.value * other.value, first, second + mixed + mixed.swapaxes(0, 1))

    @property
    def reversed(self) -> "_Jet":
        return _Jet(self.value[::-1], self.first[:, ::-1], self.second[:, :, ::-1])

    @property
    def sum(self) -> "_Jet":
        parts = (part.sum(axis=-1, keepdims=True) for part in (self.value, self.first, self.second))
        return _Jet(*parts)

    def followed_by(self, other: "_Jet") -> "_Jet":
        pairs = (self.value, other.value), (self.first, other.first), (self.second, other.second)
        return _Jet(*(np.concatenate(pair, axis=-1) for pair in pairs))

    def through(self, value: FloatArray, first: FloatArray, second: FloatArray) -> "_Jet":
        """Return a function of the values, given with its derivatives by them."""
        squares = self.first[:, None] * self.first
        return _Jet(value, first * self.first, first * self.second + second * squares)


def _of_partials(u: FloatArray) -> _Jet:
    """Return φ of correlations by lag, of partial autocorrelations u/√(1 + u²)."""
    c = len(u)
    one = _Jet(np.ones(1), np.zeros((c, 1)), np.zeros((c, c, 1)))
    rho = prediction = _Jet(np.empty(0), np.empty((c, 0)), np.empty((c, c, 0)))
    variance = one
    for k, (pi, slope, bend) in enumerate(zip(*bounded(u), strict=True)):
        unit = np.zeros((c, c, 1))
        unit[k, k] = 1.0
        own = _Jet(np.array([pi]), slope * unit[k], bend * unit)
        # ρ_{k+1} = Σ_j a_j ρ_{k−j} + π_k v, a ← (a_j − π_k a_{k−1−j}, π_k), v ← v(1 − π_k²)
        rho = rho.followed_by((prediction * rho.reversed).sum + own * variance)
        prediction = (prediction + -(own * prediction.reversed)).followed_by(own)
        variance = variance * (one + -(own * own))
    # φ = ρ/√(1 − ρ²)
    left = np.maximum((1.0 - rho.value) * (1.0 + rho.value), np.finfo(float).eps)
    return rho.through(rho.value * left**-0.5, left**-1.5, 3.0 * rho.value * left**-2.5)


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
    def to_end(self) -> FloatArray:
        """The diagonal entries of M next to 0; of others no end, (d,)."""
        out = np.full(self.own.shape, np.inf)
        roots = [np.linalg.norm(self._factor(phi), axis=1) for phi in self.own]
        diagonal = np.exp(self.own[:, : self.m])
        out[:, : self.m] = np.where(diagonal > BOUNDARY * np.array(roots), np.inf, diagonal)
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
