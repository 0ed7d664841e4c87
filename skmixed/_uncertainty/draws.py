"""Draws of the statistics of a response from the model itself, without rows.

All that a fit reads of y are its products with Z, X and itself. Let R have the r
rows of the rank of [Z X], and R'R = [Z X]'W[Z X]. Then W^½[Z X] = QR with orthonormal
columns Q, and for y = [Z X]m + ε with m = (b; β) and ε ~ N(0, σ²W⁻¹),

    [Z X]'Wy = R'v,    y'Wy = v'v + σ²χ²,    v = Q'W^½y = Rm + σξ,

ξ ~ N(0, I_r), beside an independent χ² with n − r degrees of freedom: the part of
W^½ε outside of the span of Q. R is that of `semidefinite`.

Draws of the fixed and random effects given the data, and given Λ and σ.

With a flat prior of β, (b, β) given y is normal around (b̂, β̂) with covariance
σ²TC⁻¹T', T = blockdiag(Λ, I) (Henderson, 1975, Biometrics 31; `row_substitution`). With
C = RR' and ξ ~ N(0, I), σTR⁻ᵀξ is a draw of the deviation: a back-substitution along
the chain, as for b̂ itself.
"""

from dataclasses import dataclass, replace

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._equations.changes import with_response
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.layout import FactorLayout
from skmixed._equations.semidefinite import Root
from skmixed._equations.system import System
from skmixed._estimation.solution import centered_to_user, user_effects
from skmixed._model.terms import Model
from skmixed._typing import FloatArray, Lam


@dataclass(frozen=True)
class Simulator:
    """A fitted model, ready for draws of the statistics of its response.

    Attributes
    ----------
    root : Root
    likelihood : Likelihood
    lam : tuple of (s, s) arrays
        Λ of each term, in the search's coordinates.
    beta : (p,) array
        Fixed effects of the kept columns, in the coordinates of the system.
    sigma : float
        Residual standard deviation in the system's unit of weights.
    """

    root: Root
    likelihood: Likelihood
    lam: Lam
    beta: FloatArray
    sigma: float

    @staticmethod
    def of(factorization: CholeskyFactor, likelihood: Likelihood) -> "Simulator":
        """Take the parameters of a factorization, at the optimum that is."""
        return Simulator(
            root=Root.of(factorization.system),
            likelihood=likelihood,
            lam=factorization.lam,
            beta=factorization.beta,
            sigma=float(np.sqrt(likelihood.sigma_squared(factorization))),
        )

    def draw(self, rng: np.random.Generator) -> tuple[System, Likelihood]:
        """Draw a response; return the system with its products for those of y, and its likelihood.

        Costs a multiplication by R and one by R', linear in levels and cells.
        """
        system, root = self.root.system, self.root
        effects = [self._effects(factor, rng) for factor in system.factors]
        mean, noise = root.times(effects, self.beta), root.noise(rng)
        v = [m + self.sigma * xi for m, xi in zip(mean, noise, strict=True)]
        dof = max(system.n_rows - root.rank, 0)  # a rank found by rounding exceeds no rows
        rest = 2.0 * float(rng.standard_gamma(dof / 2.0))  # χ², also with 0 degrees of freedom
        squares = sum((float(np.vdot(part, part)) for part in v), self.sigma**2 * rest)
        drawn = with_response(system, *root.transposed(v), squares)
        return drawn, replace(self.likelihood, floor=drawn.floor)

    def _effects(self, factor: FactorLayout, rng: np.random.Generator) -> FloatArray:
        """Draw b of one factor, (r, q)."""
        lam = factor.lam(self.lam)
        return self.sigma * (lam @ rng.standard_normal((lam.shape[1], factor.n_levels)))


@dataclass(frozen=True)
class Deviation:
    """A draw of (β, b) − (β̂, b̂), of the user's columns.

    Attributes
    ----------
    fixed : (p,) array
        Of the kept columns.
    effects : tuple of (s, q) arrays
        Of each term.
    """

    fixed: FloatArray
    effects: tuple[FloatArray, ...]


def draw_deviation(
    factorization: CholeskyFactor, model: Model, sigma: float, rng: np.random.Generator
) -> Deviation:
    """Draw one, with σ in the system's unit of weights; costs a pass over levels and cells."""
    stages, core = factorization.noise(rng)
    drawn = factorization.solve_transposed([sigma * own for own in stages], sigma * core)
    to_user, _ = centered_to_user(factorization.system, model)
    effects = user_effects(factorization.system, factorization.lam, drawn.spherical)
    return Deviation(to_user @ drawn.fixed, effects)
