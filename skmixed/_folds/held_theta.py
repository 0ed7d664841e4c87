"""Estimates of fewer rows with the relative covariance factors Λ of all, or one step from them."""

from dataclasses import replace

import numpy as np

from skmixed._derivatives.criterion import Likelihood, derivatives, lay_out
from skmixed._derivatives.parameters import Parameters
from skmixed._derivatives.trust_region import second_order
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
    factor = factorize(system, in_coordinates(like, system))
    return _estimate_of(factor, likelihood, model, like)


def estimate_after_step(
    stats: CrossProducts, model: Model, like: Estimate, of_all: System
) -> Estimate:
    """Return the estimates of some rows after one step from the Λ of all.

    The step is that of the search: by the gradient of these rows' criterion, σ² profiled out,
    and average information; in the coordinates of Λ that all rows have, on which the step of
    a covariance depends to second order. `of_all` is the system of all rows.
    """
    system, likelihood = lay_out(stats, model)
    # Λ of these rows is TΛ of all, and their D_i are TD_iT'
    turns = _turns(of_all, system)
    start = tuple(term.search_lam for term in like.solution.terms)
    factor = factorize(system, _lam_of_rows(turns, start))
    halves = [t.to_factor_columns @ own for (_, t), own in zip(system.terms, turns, strict=True)]
    own = [
        half @ t.term.structure.directions(t.size) @ half.T
        for (_, t), half in zip(system.terms, halves, strict=True)
    ]
    parameters = replace(Parameters.of(system), directions=tuple(own))
    with np.errstate(all="ignore"):
        d = derivatives(factor, likelihood).along(parameters.entries)
    chart, value = parameters.chart(start), likelihood.value(factor)
    point = second_order(chart, value, d.gradient, d.information, d.information)
    # δ = −H⁻¹g in the coordinates of Λ, and where H is not positive the best step as long
    if not point.is_usable:
        raise UndeterminedError(
            "The derivatives of the criterion at the variances of all rows overflow, so that no "
            "step leads from there. Use theta='refit'."
        )
    step, _, _ = point.step(np.inf)
    lam = _lam_of_rows(turns, chart.vanished(chart.moved(step)))
    return _estimate_of(factorize(system, lam), likelihood, model, like)


def _turns(of_all: System, system: System) -> list[FloatArray]:
    """Return T of each term, with TΛ in the coordinates of a system where Λ is in those of all."""
    unit = np.sqrt(system.weight_unit / of_all.weight_unit)
    pairs = zip(of_all.terms, system.terms, strict=True)
    return [unit * np.linalg.solve(own.to_user, t.to_user) for (_, t), (_, own) in pairs]


def _lam_of_rows(turns: list[FloatArray], lam: Lam) -> Lam:
    return tuple(np.asarray(turn @ own) for turn, own in zip(turns, lam, strict=True))


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


def in_coordinates(like: Estimate, system: System) -> Lam:
    """Return Λ of each term in the coordinates and the unit of weights of a system."""
    root_unit = float(np.sqrt(system.weight_unit))
    lams: list[FloatArray] = [term.lam for term in like.solution.terms]
    pairs = zip((term for _, term in system.terms), lams, strict=True)
    return tuple(
        np.asarray(np.linalg.solve(term.to_user, root_unit * own), dtype=np.float64)
        for term, own in pairs
    )
