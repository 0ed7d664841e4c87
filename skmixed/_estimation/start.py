"""Starts for the search: from moments of the data, and from the effects within groups.

MINQUE with V = I as its prior (Rao, 1971, J. Multivariate Anal. 1): unbiased,
consistent, and in balanced data the analysis-of-variance estimates themselves,
which are REML's where the optimum is interior (docs/mathematics.md, "The search").
"""

import numpy as np

from skmixed._derivatives.criterion import Factor, Likelihood
from skmixed._derivatives.moments import Moments
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.system import System
from skmixed._model.covariance import has_own_variances
from skmixed._model.time_points import power
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, Lam

# Share of the variance of y below which the moments' residual variance says
# nothing: it is a difference, and may be negative.
SMALLEST_RESIDUAL_SHARE = 1e-8
# Coefficients of a term from which on each direction has at the start some share of the mean
# variance. With 10, 20 and 40 random slopes and some 50 rows in each of 50 to 200 levels the
# search took 10, 18 and 32 steps instead of 17, 44 and 95.
MANY_COEFFICIENTS, LEAST_SHARE = 6, 0.3
# Strength at which levels are taken as fixed: their effects keep six digits.
WITHIN = 1e3
# By how much effects lower the criterion at most to be weak ones: other correlations of them may
# fit as well.
WEAK = 20.0
# Correlation next to 1.
STRONG = 0.995
# Ratio of variances up to which two starts are taken for the same.
ALIKE = 4.0
# Variances up to which the search is repeated without each of them.
FEW_VARIANCES = 4
# Share of one residual variance up to which another one is not the same.
APART = 0.75


def moment_start(at_zero: CholeskyFactor, likelihood: Likelihood, moments: Moments) -> Lam:
    """Return Λ of each term from the factorization at Λ = 0."""
    system = at_zero.system
    parameters = Parameters.of(system)
    directions = parameters.entries
    traces = directions @ moments.zpz
    # [n − p, tr(PV_i); tr(PV_i), tr(PV_iPV_j)] (σ², σ²τ) = (y'Py, y'PV_iPy)
    equations = np.empty((len(directions) + 1,) * 2)
    equations[0, 0] = system.n_rows - system.n_fixed
    equations[0, 1:] = equations[1:, 0] = traces
    equations[1:, 1:] = directions @ moments.information @ directions.T
    residual = likelihood.residual_squares(at_zero)
    squares = np.concatenate([[residual], directions @ moments.outer])
    solution = np.linalg.lstsq(equations, squares, rcond=None)[0]
    if not solution[0] > SMALLEST_RESIDUAL_SHARE * likelihood.sigma_squared(at_zero):
        return tuple(np.eye(t.size) for _, t in system.terms)
    tau = solution[1:] / solution[0]
    return tuple(
        _near(t, np.tensordot(tau[place], t.term.structure.directions(t.size), 1))
        for (_, t), place in zip(parameters.terms, parameters.places, strict=True)
    )


def free_lam(system: System) -> Lam:
    """Λ at which levels are taken as fixed; columns have unit length."""
    return tuple(WITHIN * np.eye(t.size) for _, t in system.terms)


def are_apart(within: float, at_end: float, at_start: float) -> bool:
    """Whether σ² at an end is more than within groups, or another one than at a start of moments.

    Then another optimum may take for residuals what this one takes for effects, or the reverse.
    """
    return within < APART * at_end or min(at_end, at_start) < APART * max(at_end, at_start)


def variance_within(free: CholeskyFactor, likelihood: Likelihood) -> float:
    """Return σ² at Λ of `free_lam`: r² by its degrees of freedom, or a little more than that.

    0 where none are left.
    """
    system = free.system
    dof = system.n_rows - system.n_fixed - free.effect_columns()
    return likelihood.residual_squares(free) / dof if dof > 0 else 0.0


def within_start(free: Factor, likelihood: Likelihood) -> Lam:
    """Return Λ of each term from the effects at Λ of `free_lam`, those within groups."""
    spherical, sigma2 = free.effects().spherical, likelihood.sigma_squared(free)
    out: dict[int, FloatArray] = {}
    for k, factor in enumerate(free.system.factors):
        for term in factor.terms:
            own = free.lam[term.index] @ spherical[k][term.columns]
            mean = own @ own.T / factor.n_levels / sigma2
            out[term.index] = term.term.structure.nearest(mean)
    return tuple(out[k] for k in sorted(out))


def strong_starts(system: System, lam: Lam, moments: Lam) -> list[Lam]:
    """Return starts with correlations next to ±1 of each structure that has traps, others as in Λ.

    There lies the optimum of few levels, or of weak effects, that have one correlation.
    """
    out = []
    for k, (_, term) in enumerate(system.terms):
        structure, own = term.term.structure, lam[k]
        if term.size == 1 or not structure.has_traps:
            continue
        # Standard deviations of Λ, or of the moments where one is 0, or of I
        found = (np.linalg.norm(root, axis=1) for root in (own, moments[k], np.eye(term.size)))
        sd = next(sizes for sizes in found if sizes.all())
        steps = np.abs(np.subtract.outer(np.arange(term.size), np.arange(term.size)))
        for rho in (STRONG, -STRONG):
            near = structure.nearest(np.outer(sd, sd) * power(rho, steps))
            out.append((*lam[:k], near, *lam[k + 1 :]))
    return out


def without_each(system: System, lam: Lam) -> list[Lam]:
    """Return Λ without each coefficient that has a variance of its own, of few of them."""
    out = []
    for k, (_, term) in enumerate(system.terms):
        structure = term.term.structure
        own = has_own_variances(structure)
        for kept in 1.0 - np.eye(term.size) if own else np.zeros((1, term.size)):
            rest = lam[k] * kept[:, None]
            out.append((*lam[:k], structure.nearest(rest @ rest.T), *lam[k + 1 :]))
    return out if 1 < len(out) <= FEW_VARIANCES else []


def are_alike(first: Lam, second: Lam) -> bool:
    """Whether the variances of two starts agree within a factor: the same valley's."""
    for one, other in zip(first, second, strict=True):
        variances = np.stack([(one**2).sum(axis=1), (other**2).sum(axis=1)])
        if not (variances.max(axis=0) < ALIKE * variances.min(axis=0)).all():
            return False
    return True


def _near(term: TermCoordinates, covariance: FloatArray) -> FloatArray:
    """Return Λ near moments; of many coefficients one that no direction is missing from.

    Of them moments are indefinite, and from a zero variance of a direction the search gets
    off one direction a step: it has no gradient there.
    """
    if term.size >= MANY_COEFFICIENTS:
        values, vectors = np.linalg.eigh(covariance)
        least = LEAST_SHARE * float(np.maximum(values, 0.0).mean())
        covariance = (vectors * np.maximum(values, least)) @ vectors.T
    return term.term.structure.nearest(covariance)
