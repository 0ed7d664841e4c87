"""A fitted generalized model: its rows, laid out, and the derivatives at the optimum."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._equations.linear_algebra import cholesky_lower, solve_lower
from skmixed._estimation.fit import examined
from skmixed._estimation.solution import Solution
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.modes import rows_solution
from skmixed._generalized.objective import LaplaceObjective
from skmixed._generalized.rows import GeneralizedDesign, GeneralizedLayout, lay_out_generalized
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.draws import Deviation


@dataclass(frozen=True)
class GeneralizedModel:
    """A fitted generalized model.

    Attributes
    ----------
    model : Model
    layout : GeneralizedLayout
    lam : tuple of arrays
        Λ of each term, and (γ, φ).
    """

    model: Model
    layout: GeneralizedLayout
    lam: Lam

    @staticmethod
    def of(
        stats: CrossProducts, model: Model, design: GeneralizedDesign, solution: Solution
    ) -> "GeneralizedModel":
        at_zero = examined(stats, model).at_zero
        layout = lay_out_generalized(at_zero, model, stats.center, design)
        assert solution.family is not None
        own = solution.fixed[list(layout.kept)]
        gamma = np.linalg.solve(layout.basis, own[:, None])[:, 0] if len(own) else own
        rest = np.append(gamma, [solution.family.phi] * layout.system.n_shape)
        lam = tuple(term.search_lam for term in solution.terms)
        return GeneralizedModel(model, layout, (*lam, rest))

    @cached_property
    def found(self) -> LaplaceDerivatives:
        """The mode of the effects and the derivatives there."""
        objective = LaplaceObjective(self.layout.system)
        objective.evaluate(self.lam)
        return LaplaceDerivatives(objective.mode)

    @cached_property
    def fixed_root(self) -> FloatArray:
        """The Cholesky factor of X'V⁻¹X, (p, p)."""
        return cholesky_lower(self.found.fixed_information)


def generalized_deviation(own: GeneralizedModel, rng: np.random.Generator) -> Deviation:
    """Draw the deviation of (β, b) from their estimates, given Σ and the shape.

    Normal, with the covariance of Henderson's equations at the weights W of the mode.
    """
    layout, mode, system = own.layout, own.found.mode, own.layout.system
    # γ − γ̂ = R⁻ᵀξ for X'V⁻¹X = RR'; b − b̂ = ΛL⁻ᵀξ − TZ'WX(γ − γ̂) for M = LL'
    fixed = np.zeros(0)
    if system.n_fixed:
        numbers = rng.standard_normal(system.n_fixed)
        fixed = solve_lower(own.fixed_root, numbers, transposed=True)
    moved = rows_solution(mode.factor, (own.found.sums.between @ fixed)[:, None])[:, 0]
    effects: list[FloatArray] = [np.empty((0, 0))] * len(layout.terms)
    spherical = mode.factor.solve_transposed(*mode.factor.noise(rng)).spherical
    places = zip(system.layout.system.factors, system.layout.places, spherical, strict=True)
    for factor, place, u in places:
        b = factor.lam(mode.lam) @ u - moved[place].reshape(factor.n_levels, -1).T
        for term in factor.terms:
            effects[term.index] = term.to_user @ b[term.columns]
    return Deviation(layout.basis @ fixed, tuple(effects))
