"""Models with one quantity held at a value: what a profile minimizes over the rest."""

from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._derivatives.criterion import Factored, Likelihood
from skmixed._derivatives.information import Information, information
from skmixed._derivatives.trust_region import Point, second_order
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.system import System
from skmixed._model.covariance import Full
from skmixed._typing import FloatArray, Lam

# What rounding may do to a correlation that is held: to its sine as a share of it, and to all.
OF_SINE, ROUNDING = 1e-6, 1e-13


class PinnedCorrelation(Full):
    """Any covariance in which two coefficients have the correlation cos(angle).

    The coefficients are multiples of combinations Kb of those of the search, so that columns
    far from 0, whose correlation is near ±1, keep their digits. After a rotation the rows of KΛ are
    (s, 0, …) and m(cos, sin, 0, …) with s, m ≥ 0: linear in the free entries. With N
    orthonormal and KN = 0,

        Λ = [K⁻(s, 0; m cos, m sin) + NC   NL],     KK⁻ = I,

    where C and the factor L are free.

    Parameters
    ----------
    a, b : int
        The two coefficients.
    angle : float
        From 0 to π.
    to_user : (s, s) array
        From the coefficients of the search to those of which a and b are two.
    """

    def __init__(self, a: int, b: int, angle: float, to_user: FloatArray) -> None:
        self.angle = angle
        self.direction = np.array([np.cos(angle), np.sin(angle)])
        lengths = np.linalg.norm(to_user[[a, b]], axis=1)
        self.rows = to_user[[a, b]] / lengths[:, None]
        self.null = np.linalg.qr(self.rows.T, mode="complete")[0][:, 2:]
        inverse = np.linalg.solve(to_user, np.eye(len(to_user))[:, [a, b]]) * lengths
        self.inverse = inverse - self.null @ (self.null.T @ inverse)

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        size, basis = len(lam), self._basis
        n_outer = len(basis)
        rotated, pair = self._rotated(lam)
        # Row b from its own direction to that of the angle, both as long
        change = np.linalg.norm(pair[1]) * self.direction - pair[1]
        rotated[:, :2] += np.outer(self.inverse[:, 1], change)
        outer = np.tensordot(basis, rotated[:, :2], 2)
        canonical = np.zeros_like(lam)
        canonical[:, :2] = np.tensordot(outer, basis, 1)
        inner, of_inner = np.empty((0, 0)), np.empty((0, 0, 0))
        if size > 2:
            inner, of_inner = super().chart(self.null.T @ rotated[:, 2:])
        canonical[:, 2:] = self.null @ inner
        out = np.zeros((n_outer + len(of_inner), size, size))
        out[:n_outer, :, :2] = basis
        out[n_outer:, :, 2:] = self.null @ of_inner
        return canonical, out

    @cached_property
    def _basis(self) -> FloatArray:
        """The directions of s, m and C in the first two columns, orthonormal: (2s − 2, s, 2)."""
        of_s = np.outer(self.inverse[:, 0], [1.0, 0.0])
        of_m = np.outer(self.inverse[:, 1], self.direction)
        pair = np.linalg.qr(np.stack([of_s.ravel(), of_m.ravel()], axis=1))[0].T
        free = np.einsum("ai,jk->ijak", self.null, np.eye(2)).reshape(-1, *of_s.shape)
        return np.concatenate([pair.reshape(2, *of_s.shape), free])

    def _rotated(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ΛQ, and the first two columns of KΛQ: lower triangular with a diagonal ≥ 0."""
        turn, upper = np.linalg.qr((self.rows @ lam).T, mode="complete")
        signs = np.where(np.diagonal(upper) < 0, -1.0, 1.0)
        turn[:, :2] *= signs
        return lam @ turn, upper[:2].T * signs

    def admits(self, lam: FloatArray) -> bool:
        """Whether Λ has the correlation; a step to negative s or m has the opposite one."""
        _, pair = self._rotated(lam)
        if pair[0, 0] <= ROUNDING * np.abs(lam).max():
            return True
        length = float(np.linalg.norm(pair[1]))
        allowed = length * (OF_SINE * self.direction[1] + ROUNDING)
        return bool((np.abs(pair[1] - length * self.direction) <= allowed).all())

    def turned(self, lam: FloatArray) -> FloatArray:
        """Return ∂Λ/∂angle."""
        cosine, sine = np.linalg.norm(self.rows[1] @ lam) * self.direction
        out = np.zeros_like(lam)
        out[:, :2] = np.outer(self.inverse[:, 1], [-sine, cosine])
        return out


class At(Factored, Protocol):
    """What a value of a model is made of at one Λ."""

    @property
    def system(self) -> System: ...

    @property
    def lam(self) -> Lam: ...


class Profiled:
    """The criterion with its observed second derivatives; σ² at its best value."""

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood

    def sigma_squared(self, factorization: At) -> float:
        return self.likelihood.sigma_squared(factorization)

    def value(self, factorization: At) -> float:
        for _, term in factorization.system.terms:
            if not term.term.structure.admits(factorization.lam[term.index]):
                return np.inf
        return self._value(factorization)

    def _value(self, factorization: At) -> float:
        return self.likelihood.value(factorization)

    def point(self, factorization: CholeskyFactor, value: float, *, is_slow: bool) -> Point:  # noqa: ARG002
        """Newton's model, with the expected information at the best σ² for a metric."""
        with np.errstate(all="ignore"):
            sigma2 = self.sigma_squared(factorization)
            info = information(factorization, self.likelihood, sigma2)
        gradient, hessian = self.reduced(info)
        border = info.expected[:-1, -1]
        metric = info.expected[:-1, :-1] - np.outer(border, border) / info.expected[-1, -1]
        return second_order(info.chart, value, gradient, hessian, metric)

    def reduced(self, info: Information) -> tuple[FloatArray, FloatArray]:
        """Take log σ² out of the derivatives in (τ, log σ²): it is at its best value."""
        border, hessian = info.observed[:-1, -1], info.observed[:-1, :-1]
        return info.gradient[:-1], hessian - np.outer(border, border) / info.observed[-1, -1]


class _GivenSigma(Profiled):
    """The likelihood at a σ² that is given by Λ."""

    def _value(self, factorization: At) -> float:
        return self.likelihood.value_at(factorization, self.sigma_squared(factorization))


class PinnedSigma(_GivenSigma):
    """σ held at a value."""

    def __init__(self, likelihood: Likelihood, sigma: float) -> None:
        super().__init__(likelihood)
        self.sigma = sigma

    def sigma_squared(self, factorization: At) -> float:  # noqa: ARG002
        return self.sigma**2

    def reduced(self, info: Information) -> tuple[FloatArray, FloatArray]:
        return info.gradient[:-1], info.observed[:-1, :-1]


class PinnedSd(_GivenSigma):
    """The sd of one coefficient held at a value: σ² = sd² / t, with t its relative variance.

    index : the term; row : its coefficient as a combination of the search's ones.
    """

    def __init__(self, likelihood: Likelihood, sd: float, index: int, row: FloatArray) -> None:
        super().__init__(likelihood)
        self.sd, self.index, self.row = sd, index, row

    def _relative(self, factorization: At) -> float:
        half = self.row @ factorization.lam[self.index]
        return float(half @ half)

    def sigma_squared(self, factorization: At) -> float:
        t = self._relative(factorization)
        return self.sd**2 / t if t > 0 else np.inf

    def reduced(self, info: Information) -> tuple[FloatArray, FloatArray]:
        """Follow log σ² = 2 log sd − log t(τ), where t is linear in τ."""
        gradient, hessian = info.gradient, info.observed
        _, term = info.parameters.terms[self.index]
        directions = term.term.structure.directions(term.size)
        first, place = np.zeros(len(gradient) - 1), info.parameters.places[self.index]
        of_row = np.einsum("a,iab,b->i", self.row, directions, self.row)
        first[place] = -of_row / self._relative(info.factorization)
        border = np.outer(hessian[:-1, -1], first)
        of_sigma = (hessian[-1, -1] + gradient[-1]) * np.outer(first, first)
        return gradient[:-1] + gradient[-1] * first, (
            hessian[:-1, :-1] + border + border.T + of_sigma
        )
