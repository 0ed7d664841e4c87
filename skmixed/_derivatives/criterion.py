"""The likelihood, its profiled criterion, and the gradient and average information of that.

Derivatives are taken with respect to the entries of the relative covariance
Σ_k = Λ_kΛ_k' of each factor, in the coordinates of its columns; the search takes
them on to its own parameters. With P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ and
ρ_k = Z_k'V⁻¹(y − Xβ̂), per level j,

    ∂d/∂Σ_k = Σ_j [ (Z_k'PZ_k)_jj − ρ_j ρ_j' / σ̂² ]                 (REML; ML: V⁻¹ for P)

and the average information of two directions S, T is that of Gilmour, Thompson
and Cullis (1995, Biometrics 51, equation 7), with σ² profiled out:

    ( F_S'P F_T − ∇r²_S ∇r²_T / r² ) / σ̂²,    F_S = Z S ρ,    ∇r²_S = −Σ_j ρ_j'Sρ_j

Both are derived in docs/mathematics.md, "The gradient" and the section after it.
Everything is read off the factor. With V_1 the covariance of the stages of the
chain so far, S = [Z_c X]'V_1⁻¹[Z_c X] the Schur complement and G its inverse with
the random effects shrunken, A'PB = A'V_1⁻¹B − A'V_1⁻¹[Z_c X] G [Z_c X]'V_1⁻¹B.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import CholeskyFactor, Effects
from skmixed._equations.linear_algebra import FixedFactor
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.system import System, assemble
from skmixed._equations.working_variates import Responses, project
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam

# From which on sparse products take less time than dense ones.
MANY_DIRECTIONS = 64


class Factored(Protocol):
    """What a likelihood reads of a factor: r², log|M| and log|X'V⁻¹X|."""

    @property
    def residual_squares(self) -> float: ...

    @property
    def logdet_z(self) -> float: ...

    @property
    def logdet_x(self) -> float: ...


class Factor(Factored, Protocol):
    """What a fit reads of the equations at one Λ, factored or solved.

    Attributes
    ----------
    system : System
    lam : tuple of (s, s) arrays
        Λ of each term.
    beta : (p,) array
        β̂ of the kept columns, in the coordinates of the system.
    fixed : FixedFactor
        The factor of X'V⁻¹X.
    """

    @property
    def system(self) -> System: ...

    @property
    def lam(self) -> Lam: ...

    @property
    def beta(self) -> FloatArray: ...

    @property
    def fixed(self) -> FixedFactor: ...

    def effects(self) -> Effects:
        """Return the best linear unbiased predictors û, and b̂."""


@dataclass(frozen=True)
class Likelihood:
    """−2 log-likelihood of Λ and σ², by ML or REML, in lme4's constants.

    Bates et al. (2015), equations 34 (ML) and 41 (REML), with prior weights.

    Attributes
    ----------
    reml : bool
    dof : int
        ν: n − rank X for REML, n for ML.
    sum_log_weights : float
        In the system's unit of weights.
    floor : float
        The smallest residual sum of squares that means anything.
    """

    reml: bool
    dof: int
    sum_log_weights: float
    floor: float

    def residual_squares(self, factor: Factored) -> float:
        """Return r², not below the floor."""
        return max(factor.residual_squares, self.floor)

    def is_exact_fit(self, factor: Factored) -> bool:
        """Whether r² reached the floor."""
        return factor.residual_squares <= self.floor

    def sigma_squared(self, factor: Factored) -> float:
        """Return the σ² with the largest likelihood, r²/ν."""
        return self.residual_squares(factor) / max(self.dof, 1)

    def value(self, factor: Factored) -> float:
        """Return the criterion, σ² profiled out."""
        dof = max(self.dof, 1)
        # log|M| − Σ log w + ν(1 + log(2πr²/ν)), and log|X'V⁻¹X| for REML
        value = factor.logdet_z - self.sum_log_weights
        value += dof * (1.0 + math.log(2.0 * math.pi * self.residual_squares(factor) / dof))
        return value + factor.logdet_x if self.reml else value

    def value_at(self, factor: Factored, sigma_squared: float) -> float:
        """Return the criterion at a σ²; inf where that is."""
        if not sigma_squared < np.inf:
            return np.inf
        value = factor.logdet_z - self.sum_log_weights
        value += self.dof * math.log(2.0 * math.pi * sigma_squared)
        value += self.residual_squares(factor) / sigma_squared
        return value + factor.logdet_x if self.reml else value

    def inverse(self, factorization: CholeskyFactor) -> CoreInverse:
        """Return G of the core and X; for the traces without X by ML."""
        return CoreInverse.of(factorization, has_fixed=self.reml)


def lay_out(
    stats: CrossProducts,
    model: Model,
    like: CrossProducts | None = None,
    *,
    is_sparse: bool = False,
) -> tuple[System, Likelihood]:
    """Lay out a model's system, as `assemble` does, and the likelihood of its parameters."""
    system, floor = assemble(stats, model, like, is_sparse=is_sparse)
    of_unit = stats.n_rows * math.log(system.weight_unit)
    likelihood = Likelihood(
        reml=model.reml,
        dof=stats.n_rows - system.n_fixed if model.reml else stats.n_rows,
        sum_log_weights=stats.sum_log_weights - of_unit,
        floor=floor,
    )
    return system, likelihood


@dataclass(frozen=True)
class Derivatives:
    """First and second derivatives in the entries of Σ, factor by factor.

    Attributes
    ----------
    gradient : (n,) array
        ∂d/∂Σ_k, each row by row.
    information : (n, n) array
        Average information of the directions E_ab.
    observed, expected : (n, n) arrays or None
        Second derivatives and their expectations, σ² profiled out, as forms in symmetric
        directions; where they are asked for.
    equations : (n, (p + 1)²) array or None
        ∂[X y]'V⁻¹[X y]/∂Σ_k, likewise.
    """

    gradient: FloatArray
    information: FloatArray
    observed: FloatArray | None = None
    expected: FloatArray | None = None
    equations: FloatArray | None = None

    def along(self, directions: FloatArray) -> "Derivatives":
        """Return the same in the coefficients of directions of the entries, (d, n).

        Of many directions, each of which has few entries, by sparse products.
        """
        few = sp.csr_array(directions) if len(directions) > MANY_DIRECTIONS else directions

        def in_directions(matrix: FloatArray) -> FloatArray:
            return np.asarray(few @ np.asarray(few @ matrix).T)

        observed, expected = (
            None if own is None else in_directions(own) for own in (self.observed, self.expected)
        )
        gradient = np.asarray(few @ self.gradient)
        equations = None if self.equations is None else np.asarray(few @ self.equations)
        information = in_directions(self.information)
        return Derivatives(gradient, information, observed, expected, equations)


def derivatives(
    factorization: CholeskyFactor, likelihood: Likelihood, *, is_twice: bool = False
) -> Derivatives:
    """Differentiate the criterion; costs one to three factorizations.

    `is_twice`: with the second derivatives, of a system that `has_expected`.
    """
    inverse, residual = likelihood.inverse(factorization), Responses.residual(factorization)
    found = project(inverse, residual, is_twice=is_twice)
    outer, sigma2 = found.outer[:, 0, 0], likelihood.sigma_squared(factorization)
    of_sigma = np.outer(outer, outer) / likelihood.residual_squares(factorization)
    gradient, information = found.trace - outer / sigma2, (found.products - of_sigma) / sigma2
    if found.expected is None or found.sandwich is None:
        return Derivatives(gradient, information)
    # −tr(PV_iPV_j) + 2 y'PV_iPV_jPy/σ² − ∇r²_i ∇r²_j/(σ² r²), and tr(PV_iPV_j) without σ²
    observed = 2.0 * information + of_sigma / sigma2 - found.expected
    expected = found.expected - np.outer(found.trace, found.trace) / max(likelihood.dof, 1)
    return Derivatives(gradient, information, observed, expected, -found.sandwich)
