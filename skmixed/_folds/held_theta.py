"""Estimates of fewer rows with the relative covariance factors Λ of all, or one step from them."""

from dataclasses import replace

import numpy as np

from skmixed._derivatives.criterion import Likelihood, lay_out
from skmixed._derivatives.objectives import AverageInformation
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor, factorize
from skmixed._equations.system import System
from skmixed._estimation.fit import Estimate
from skmixed._estimation.identifiability import Identifiability
from skmixed._estimation.solution import solve
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import UndeterminedError


def estimate_at(stats: CrossProducts, model: Model, like: Estimate) -> Estimate:
    """Return β̂, σ̂ and the effects of some rows at the Λ of other estimates of the model."""
    system, likelihood = lay_out(stats, model)
    factor = factorize(system, _in_coordinates(like, system))
    return _estimate_of(factor, likelihood, model, like)


def estimate_after_step(stats: CrossProducts, model: Model, like: Estimate) -> Estimate:
    """Return the estimates of some rows after one step from the Λ of others.

    The step is that of the search: by the gradient of these rows' criterion, σ² profiled out,
    and average information.
    """
    system, likelihood = lay_out(stats, model)
    factor = factorize(system, _in_coordinates(like, system))
    criterion = AverageInformation(likelihood, Parameters.of(system))
    point = criterion.point(factor, criterion.value(factor), is_slow=False)
    # δ = −H⁻¹g in the coordinates of Λ, and where H is not positive the best step as long
    if not point.is_usable:
        raise UndeterminedError(
            "The derivatives of the criterion at the variances of all rows overflow, so that no "
            "step leads from there. Use theta='refit'."
        )
    step, _, _ = point.step(np.inf)
    lam = point.chart.vanished(point.chart.moved(step))
    return _estimate_of(factorize(system, lam), likelihood, model, like)


def _estimate_of(
    factor: CholeskyFactor, likelihood: Likelihood, model: Model, like: Estimate
) -> Estimate:
    """Read the estimates off a factor."""
    return replace(
        like,
        solution=solve(factor, likelihood, model),
        n_iter=1,
        n_factorizations=1,
        findings=Identifiability(rank=factor.system.n_fixed),
        monte_carlo=None,
    )


def _in_coordinates(like: Estimate, system: System) -> Lam:
    """Return Λ of each term in the coordinates and the unit of weights of a system."""
    root_unit = float(np.sqrt(system.weight_unit))
    lams: list[FloatArray] = [term.lam for term in like.solution.terms]
    pairs = zip((term for _, term in system.terms), lams, strict=True)
    return tuple(
        np.asarray(np.linalg.solve(term.to_user, root_unit * own), dtype=np.float64)
        for term, own in pairs
    )
