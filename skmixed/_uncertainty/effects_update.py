"""Random effects of further rows, with the fixed effects and variances of a fit.

With β̂, σ and Λ kept, b̂ = ΛM⁻¹Λ'Z'W(y − Xβ̂) over all rows, those of the fit and the
further ones. Then b̂ − b = δ − K(β̂ − β) with K = ΛM⁻¹Λ'Z'WX and δ ~ N(0, σ²ΛM⁻¹Λ'),
which does not depend on β̂: δ is the error of b̂ were β known, uncorrelated with every
response, and β̂ is a function of some of them. So the rows of the factor that belong
to the random effects are those of all rows, and R_x, R_xR_x' = X'V⁻¹X, is the fit's
(docs/mathematics.md, "Groups learned after the fit").
"""

from dataclasses import replace

import numpy as np
import scipy.linalg

from skmixed._equations.cholesky import factorize
from skmixed._equations.system import System, assemble
from skmixed._estimation.solution import Solution, centered_to_user, user_effects
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray


def updated(
    solution: Solution, model: Model, at_fit: CrossProducts, stats: CrossProducts
) -> Solution:
    """Return a fit's solution with the effects that all rows give.

    `at_fit` are the statistics of the fit, `stats` those of all rows, in the same
    frame and with the fit's levels first. Costs a factorization of the latter.
    """
    if not model.terms:
        return solution
    lam = tuple(term.search_lam for term in solution.terms)
    system, _ = assemble(stats, model, like=at_fit)
    done = factorize(system, lam)
    given = done.with_beta(_centered(solution, done.system, model))
    found = user_effects(given.system, given.lam, given.effects().spherical)
    terms = zip(solution.terms, found, strict=True)
    return replace(solution, terms=tuple(replace(term, effects=own) for term, own in terms))


def _centered(solution: Solution, system: System, model: Model) -> FloatArray:
    """Return β̂ of the kept columns in the coordinates of the system."""
    to_user, offset = centered_to_user(system, model)
    beta = solution.fixed[list(system.kept)] - offset
    return np.asarray(scipy.linalg.solve_triangular(to_user, beta, unit_diagonal=True))
