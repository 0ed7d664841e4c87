"""Estimates of fewer rows with the relative covariance factors Λ of all."""

from dataclasses import replace

import numpy as np

from skmixed._derivatives.criterion import lay_out
from skmixed._equations.cholesky import factorize
from skmixed._equations.system import System
from skmixed._estimation.fit import Estimate
from skmixed._estimation.identifiability import Identifiability
from skmixed._estimation.solution import solve
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam


def estimate_at(stats: CrossProducts, model: Model, like: Estimate) -> Estimate:
    """Return β̂, σ̂ and the effects of some rows at the Λ of other estimates of the model."""
    system, likelihood = lay_out(stats, model)
    factor = factorize(system, _in_coordinates(like, system))
    return replace(
        like,
        solution=solve(factor, likelihood, model),
        n_iter=1,
        n_factorizations=1,
        findings=Identifiability(rank=system.n_fixed),
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
