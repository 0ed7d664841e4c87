"""What a fit reports: estimates at the optimum, on the user's scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Factor, Likelihood
from skmixed._equations.system import System
from skmixed._model.covariance import lower_factor
from skmixed._model.terms import Model
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.estimability import Dependence
from skmixed._statistics.frame import residuals
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class TermSolution:
    """Estimates of one random-effects term.

    Attributes
    ----------
    lam : (s, s) array
        Relative covariance factor, lower triangular: Cov(b_j) = σ² lam lam'.
    theta : (n_theta,) array
        lme4's parameters of `lam`.
    search_lam : (s, s) array
        The same factor in the search's coordinates, where its zero columns are
        exact.
    effects : (s, q) array
        BLUPs b̂, on the scale of y per unit of the column.
    """

    lam: FloatArray
    theta: FloatArray
    search_lam: FloatArray
    effects: FloatArray

    @property
    def is_singular(self) -> bool:
        """Whether the covariance lacks rank, judged on scaled columns."""
        return not has_full_rank(self.search_lam)


def has_full_rank(search_lam: FloatArray) -> bool:
    """Whether no column of a canonical Λ is zero."""
    return bool(search_lam.any(axis=0).all())


@dataclass(frozen=True)
class Solution:
    """Estimates at the optimum.

    Attributes
    ----------
    fixed : (len(model.fixed),) array
        Fixed effects in the model's order; 0 for dropped columns.
    kept : tuple of int
        Positions of the columns that were not dropped.
    fixed_root : (p, p) array
        R, with RR' the covariance matrix of the estimates of the kept columns.
    terms : tuple of TermSolution
    sigma : float
        Residual standard deviation.
    criterion : float
    reml : bool
        Which criterion it is.
    dependence : Dependence or None
        How the dropped columns depend on the kept ones; None where none was dropped,
        and in models saved before it was kept.
    """

    fixed: FloatArray
    kept: tuple[int, ...]
    fixed_root: FloatArray
    terms: tuple[TermSolution, ...]
    sigma: float
    criterion: float
    reml: bool
    dependence: Dependence | None = None

    @property
    def fixed_covariance(self) -> FloatArray:
        """Covariance matrix of the estimates of the kept columns, (p, p)."""
        return self.fixed_root @ self.fixed_root.T

    @property
    def theta(self) -> FloatArray:
        return np.concatenate([np.empty(0), *(t.theta for t in self.terms)])

    @property
    def n_parameters(self) -> int:
        """Count the rank of X, all of θ, also at the boundary, and σ."""
        return len(self.kept) + len(self.theta) + 1

    @property
    def is_singular(self) -> bool:
        return any(t.is_singular for t in self.terms)


def solve(factor: Factor, likelihood: Likelihood, model: Model) -> Solution:
    """Read the estimates off the factor at the optimum."""
    system = factor.system
    to_user, offset = centered_to_user(system, model)
    fixed = np.zeros(len(model.fixed))
    fixed[list(system.kept)] = to_user @ factor.beta + offset
    root_unit = float(np.sqrt(system.weight_unit))
    effects = user_effects(factor, factor.effects().spherical) if system.factors else ()
    root = factor.fixed.half_solve(to_user.T)
    sigma = float(np.sqrt(likelihood.sigma_squared(factor)))
    # σ̂R_x⁻¹ of the user's columns is the root of Cov(β̂); Λ is in the unit of weights.
    return Solution(
        fixed=fixed,
        kept=system.kept,
        fixed_root=sigma * root.T,
        terms=tuple(
            _term_solution(t, factor.lam[t.index], own, root_unit)
            for (_, t), own in zip(system.terms, effects, strict=True)
        ),
        sigma=sigma * root_unit,
        criterion=likelihood.value(factor),
        reml=likelihood.reml,
    )


def centered_to_user(system: System, model: Model) -> tuple[FloatArray, FloatArray]:
    """Undo the centering and the regression of X and y: user's β = T β + offset."""
    p = system.n_fixed
    to_user, offset = np.eye(p), np.zeros(p)
    if model.has_intercept:
        to_user[0, 1:] = -system.center[1:p]
        offset[0] = system.center[p]
    if system.regression is not None:
        to_user = residuals(to_user, system.regression[:p, :p])
        offset += to_user @ system.regression[:p, p]
    return to_user, offset


def user_effects(factor: Factor, spherical: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Turn spherical effects of each factor to those of each term, of the user's columns."""
    system = factor.system
    places = {t.index: (k, t) for k, f in enumerate(system.factors) for t in f.terms}
    return tuple(
        t.to_user @ factor.lam[index] @ spherical[k][t.columns]
        for index, (k, t) in sorted(places.items())
    )


def _term_solution(
    term: TermCoordinates, lam: FloatArray, own: FloatArray, root_unit: float
) -> TermSolution:
    user = term.to_user @ lam
    return TermSolution(
        lam=lower_factor(user / root_unit),
        theta=term.term.structure.theta(user / root_unit),
        search_lam=lam,
        effects=own,
    )
