"""Models with one quantity held at a value: what a profile minimizes over the rest."""

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.information import Information, information
from skmixed._derivatives.trust_region import Point, second_order
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._model.covariance import Full, lower_factor
from skmixed._typing import FloatArray

# Rounding of a pinned Λ after a step, relative to its covariance.
PINNED = 1e-9


class PinnedCorrelation(Full):
    """Any covariance in which two coefficients have the correlation cos(angle).

    Rows a and b of Λ are (s, 0, …) and m(cos, sin, 0, …) with s, m ≥ 0: linear in
    the free entries.
    """

    is_shift_invariant = False

    def __init__(self, a: int, b: int, angle: float) -> None:
        self.a, self.b, self.angle = a, b, angle

    def chart(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        size = len(lam)
        rest = [k for k in range(size) if k not in (self.a, self.b)]
        order = [self.a, self.b, *rest]
        lower = lower_factor(lam[order])
        # Rows (s, 0, …) and m(cos, sin, 0, …), then those of the others
        direction = np.array([np.cos(self.angle), np.sin(self.angle)])
        lower[0, 0] = np.linalg.norm(lam[self.a])
        lower[1, :2] = np.linalg.norm(lam[self.b]) * direction
        inner, of_inner = super().chart(lower[2:, 2:]) if rest else (lower[2:, 2:], np.empty(0))
        lower[2:, 2:] = inner
        # ∂Λ/∂s, ∂Λ/∂m, the others' first two columns, and the chart of their rest
        basis = np.zeros((2 + 2 * len(rest) + len(of_inner), size, size))
        basis[0, 0, 0] = 1.0
        basis[1, 1, :2] = direction
        beside = np.arange(2 * len(rest))
        basis[2 + beside, 2 + beside // 2, beside % 2] = 1.0
        if rest:
            basis[2 + 2 * len(rest) :, 2:, 2:] = of_inner
        canonical, out = np.empty_like(lam), np.empty_like(basis)
        canonical[order], out[:, order] = lower, basis
        return canonical, out

    def admits(self, lam: FloatArray) -> bool:
        """Whether Λ has the correlation; a step to negative s or m has the opposite one."""
        canonical, _ = self.chart(lam)
        wanted, found = canonical @ canonical.T, lam @ lam.T
        return bool(np.allclose(found, wanted, rtol=0.0, atol=PINNED * np.abs(found).max()))

    def turned(self, lam: FloatArray) -> FloatArray:
        """Return ∂Λ/∂angle."""
        out = np.zeros_like(lam)
        out[self.b, 0] = -np.sin(self.angle) * np.linalg.norm(lam[self.b])
        out[self.b, 1] = np.cos(self.angle) * np.linalg.norm(lam[self.b])
        return out


class Profiled:
    """The criterion with its observed second derivatives; σ² at its best value."""

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood

    def sigma_squared(self, factorization: CholeskyFactor) -> float:
        return self.likelihood.sigma_squared(factorization)

    def value(self, factorization: CholeskyFactor) -> float:
        for _, term in factorization.system.terms:
            if not term.term.structure.admits(factorization.lam[term.index]):
                return np.inf
        return self._value(factorization)

    def _value(self, factorization: CholeskyFactor) -> float:
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

    def _value(self, factorization: CholeskyFactor) -> float:
        return self.likelihood.value_at(factorization, self.sigma_squared(factorization))


class PinnedSigma(_GivenSigma):
    """σ held at a value."""

    def __init__(self, likelihood: Likelihood, sigma: float) -> None:
        super().__init__(likelihood)
        self.sigma = sigma

    def sigma_squared(self, factorization: CholeskyFactor) -> float:  # noqa: ARG002
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

    def _relative(self, factorization: CholeskyFactor) -> float:
        half = self.row @ factorization.lam[self.index]
        return float(half @ half)

    def sigma_squared(self, factorization: CholeskyFactor) -> float:
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
