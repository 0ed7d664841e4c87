"""The criterion to second order in τ, and the semidefinite Σ where that is lowest."""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Derivatives
from skmixed._derivatives.objectives import ExactObjective
from skmixed._derivatives.parameters import Parameters
from skmixed._derivatives.trust_region import Point, second_order
from skmixed._estimation.search import trust_region_search
from skmixed._folds.theta_of_folds import ROUNDING
from skmixed._folds.whole_groups import pivots_of
from skmixed._typing import FloatArray, Lam

# What is left to gain where Σ has to be semidefinite, and steps to there at most: they are cheap.
LEAST_GAIN, MOST_STEPS = 1e-13, 100


@dataclass(frozen=True)
class SigmaModel:
    """The criterion to second order in τ, g'Δτ + Δτ'HΔτ/2.

    In τ a variance leaves 0 in one step, where the criterion has a saddle in Λ.

    Attributes
    ----------
    parameters : Parameters
    tau : (d,) array
        Where Δτ is 0.
    gradient : (d,) array
    hessian : (d, d) array
        Positive definite.
    """

    parameters: Parameters
    tau: FloatArray
    gradient: FloatArray
    hessian: FloatArray

    @staticmethod
    def of(
        parameters: Parameters,
        tau: FloatArray,
        gradient: FloatArray,
        along: Derivatives,
        share: float = 1.0,
    ) -> "SigmaModel | None":
        """Take a share of the second derivatives, or of their expectations if only these will do.

        None where there is no information on some of Σ.
        """
        for hessian in (along.observed, along.expected):
            if hessian is not None and is_definite_to_rounding(hessian):
                return SigmaModel(parameters, tau, gradient, share * hessian)
        return None

    def value(self, tau: FloatArray) -> float:
        step = tau - self.tau
        return float(self.gradient @ step + 0.5 * step @ self.hessian @ step)

    def lowest(self) -> tuple[Lam, FloatArray, float]:
        """Return Λ and τ where the model is lowest, and by how much."""
        tau = self.tau - np.linalg.solve(self.hessian, self.gradient)
        terms, lams, is_inside = self.parameters.terms, [], True
        for (_, t), place in zip(terms, self.parameters.places, strict=True):
            structure = t.term.structure
            sigma = np.tensordot(tau[place], structure.directions(t.size), 1)
            chol, shares = pivots_of(sigma[None], np.array([True]))
            has_root = bool((shares > ROUNDING).all())
            lams.append(chol[0] if has_root else structure.nearest(sigma))
            is_inside &= has_root
        lam = tuple(lams)
        if not is_inside:  # the lowest Σ that is one
            objective = SigmaObjective(self)
            lam = trust_region_search(objective, lam, tol=LEAST_GAIN, max_iter=MOST_STEPS).lam
            tau = self.parameters.tau(lam)
        return lam, tau, -self.value(tau)


def is_definite_to_rounding(matrix: FloatArray) -> bool:
    """Whether no pivot of a symmetric matrix is rounding."""
    return bool((pivots_of(matrix[None], np.array([True]))[1] > ROUNDING).all())


class SigmaObjective(ExactObjective):
    """A model in τ as a function of Λ, which is cheap: no level is looked at."""

    is_exact_fit = False

    def __init__(self, model: SigmaModel) -> None:
        self.model, self.n_factorizations = model, 0
        self.lam: Lam = ()

    def evaluate(self, lam: Lam) -> float:
        self.lam = lam
        return self.model.value(self.model.parameters.tau(lam))

    def point(self, value: float, *, is_slow: bool) -> Point:  # noqa: ARG002
        chart, own = self.model.parameters.chart(self.lam), self.model
        gradient = own.gradient + own.hessian @ (chart.tau - own.tau)
        return second_order(chart, value, gradient, own.hessian, own.hessian)

    def noise(self, value: float) -> float:
        return LEAST_GAIN * (1.0 + abs(value))

    def resolution(self, value: float) -> float:
        return LEAST_GAIN * abs(value)
