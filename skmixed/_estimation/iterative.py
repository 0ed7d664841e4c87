"""The iterative engine's way from cross-products to estimates, and when it is taken."""

from collections.abc import Callable

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.lanczos import log_determinant
from skmixed._derivatives.probing import Probes
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.conjugate_gradients import CoreOperator, LogDeterminant
from skmixed._equations.layout import elimination_order
from skmixed._equations.system import System
from skmixed._estimation.probed_objective import FIXED_TOL, ProbedObjective
from skmixed._estimation.runs import MonteCarlo, SearchReport
from skmixed._estimation.search import trust_region_search
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus

# Multiplications of an exact fit for each core³ (five factorizations with their
# inverses), and the number from which on the iterative engine is worth its noise:
# some ten seconds.
EXACT_OPERATIONS, PATIENCE = 10.0, 2e11
# Multiplications of an iterative fit for each cell: products with some twenty
# columns, back and forth, in some forty steps of conjugate gradients. A sparse
# product takes ten times as long for each.
ITERATIVE_OPERATIONS, SPARSE_COST = 2.0 * 20 * 2 * 40, 10.0
# Monte Carlo error of the criterion with which an AIC is of use, and the signs that
# are spent on it at most.
USEFUL_ERROR, MOST_SIGNS = 1.0, 128


def prefers_iterative(stats: CrossProducts, model: Model) -> bool:
    """Whether conjugate gradients take less work than a long exact fit."""
    _, core = elimination_order(stats, model)
    if not core:
        return False
    order = sum(stats.factors[k].sums[:, :, 0].size for k in core) + len(model.fixed)
    cells = sum(pair.matrix.nnz for pair in stats.pairs)
    exact = EXACT_OPERATIONS * float(order) ** 3
    return exact > PATIENCE and exact > SPARSE_COST * ITERATIVE_OPERATIONS * cells


def iterate(
    at_zero: CholeskyFactor,
    likelihood: Likelihood,
    start: Lam,
    *,
    seed: int,
    max_iter: int,
    report: Callable[[str], None] | None,
) -> SearchReport:
    """Search; the equations at the end are solved to full accuracy."""
    system = at_zero.system
    if likelihood.is_exact_fit(at_zero):
        return SearchReport(at_zero, FitStatus.EXACT_FIT, 1, 1)
    objective = ProbedObjective(system, likelihood, seed, max_iter)
    ending = trust_region_search(objective, start, tol=0.0, max_iter=max_iter, report=report)
    # β̂ and b̂ at the end, and log|M| with its error
    factor, signs = objective.solution(), objective.probes.signs
    is_solved = factor.solved.residual <= FIXED_TOL
    of_core = _log_determinant(factor.operator, signs, seed)
    monte_carlo = MonteCarlo(
        sd_errors=_sd_errors(system, objective),
        criterion_error=of_core.error,
        n_probes=signs.shape[1],
        residual=factor.solved.residual,
        condition=of_core.condition,
    )
    return SearchReport(
        factor.with_log_determinant(of_core),
        ending.status if is_solved else FitStatus.MAX_ITER,
        max(ending.n_iter, 1),
        objective.n_factorizations,
        monte_carlo,
    )


def _log_determinant(operator: CoreOperator, signs: FloatArray, seed: int) -> LogDeterminant:
    """Draw more signs until the criterion is good enough to compare models by."""
    found = log_determinant(operator, signs)
    while found.error > USEFUL_ERROR and signs.shape[1] < MOST_SIGNS:
        signs = Probes.draw(len(signs), 2 * signs.shape[1], seed).signs
        found = log_determinant(operator, signs)
    return found


def _sd_errors(system: System, objective: ProbedObjective) -> tuple[FloatArray, ...]:
    """Carry the covariance of δ over to log sd of the user's coefficients."""
    _, point, _ = objective.modeled
    covariance = objective.parameter_covariance()
    out, chart = [], point.chart
    parts = zip(system.terms, chart.lam, chart.basis, chart.places, strict=True)
    for (_, term), lam, basis, own in parts:
        root = term.to_user @ lam
        with np.errstate(divide="ignore", invalid="ignore"):
            # ∂ log sd_a = (root ∂root')_aa / sd_a²
            log_sd = np.einsum("ab,ibc,ac->ia", term.to_user, basis, root) / (root**2).sum(axis=1)
            variance = np.einsum("ia,ij,ja->a", log_sd, covariance[own, own], log_sd)
        out.append(np.sqrt(variance))
    return tuple(out)
