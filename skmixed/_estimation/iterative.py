"""The iterative engine's way from cross-products to estimates, and when it is taken."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.lanczos import log_determinant
from skmixed._derivatives.probing import Probes
from skmixed._equations.cholesky import CholeskyFactor, zero_lam
from skmixed._equations.conjugate_gradients import CoreOperator, IterativeFactor, LogDeterminant
from skmixed._equations.layout import elimination_order
from skmixed._equations.system import System
from skmixed._estimation.probed_objective import FEWEST, FIXED_TOL, UNSOLVED, ProbedObjective
from skmixed._estimation.runs import MonteCarlo, Runs, SearchReport, identity
from skmixed._estimation.search import Ending
from skmixed._estimation.start import are_alike, free_lam, within_start
from skmixed._model.chart import Chart
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
# Steps of conjugate gradients for the effects within groups: factors that take more are
# hardly connected, and say little of each other's effects.
MOST_STEPS_WITHIN = 100


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
    """Search from the best of the starts; the equations at the end are solved to full accuracy."""
    if likelihood.is_exact_fit(at_zero):
        return SearchReport(at_zero, FitStatus.EXACT_FIT, 1, 1)
    return _IterativeSearch(at_zero, likelihood, seed, Runs(0.0, max_iter, report)).search(start)


@dataclass(frozen=True)
class _Start:
    """A Λ to start from, and the criterion there with its error; inf where it is not known."""

    lam: Lam
    value: float = np.inf
    error: float = 0.0


@dataclass(frozen=True)
class _End:
    """Where one run ended: its objective, and the criterion there with its error."""

    objective: ProbedObjective
    ending: Ending
    factor: IterativeFactor
    value: float
    error: float

    @property
    def is_open(self) -> bool:
        return self.ending.status is FitStatus.MAX_ITER

    def is_above(self, start: _Start) -> bool:
        """Whether the criterion is lower at a start, beyond the error."""
        return start.value < self.value - float(np.hypot(self.error, start.error))


class _IterativeSearch:
    """Runs from several starts, compared by the criterion and its Monte Carlo error."""

    def __init__(
        self, at_zero: CholeskyFactor, likelihood: Likelihood, seed: int, runs: Runs
    ) -> None:
        self.system, self.likelihood, self.seed, self.runs = at_zero.system, likelihood, seed, runs
        self.at_zero_value = likelihood.value(at_zero)
        self.n_factorizations = 0

    def search(self, start: Lam) -> SearchReport:
        first, *others = starts = self._starts(start)
        best = self._run(first)
        for other in others:
            best = self._better_of(best, other)
        # Without any variance it may be lower, where no start was
        if not best.is_open and self.at_zero_value < best.value - best.error:
            best = self._better_of(best, _Start(zero_lam(self.system), self.at_zero_value))
        # Where it is higher than where a search began, the steps have lost their way
        is_lost = any(best.is_above(own) for own in starts)
        return self._report(best, is_lost=is_lost)

    def _starts(self, start: Lam) -> list[_Start]:
        """Return the moments, or where those within groups are others the lowest two."""
        within = self._within_start()
        if within is None or are_alike(start, within):
            return [_Start(start)]
        measured = [self._measured(lam) for lam in (start, within, identity(self.system))]
        for name, own in zip(("the moments", "within groups", "Λ = I"), measured, strict=True):
            self.runs.tell(f"start from {name}: criterion {own.value:.6f} ± {own.error:.2g}")
        # The first is the moments, unless another is lower beyond the error
        first = measured[0]
        for own in measured[1:]:
            if own.value < first.value - np.hypot(own.error, first.error):
                first = own
        rest = [own for own in measured if own is not first and np.isfinite(own.value)]
        return [first, *sorted(rest, key=lambda own: own.value)[:1]]

    def _within_start(self) -> Lam | None:
        """Return the start from the effects within groups, if the equations are solved there."""
        free = self._solved(free_lam(self.system), min(self.runs.max_iter, MOST_STEPS_WITHIN))
        return None if free is None else within_start(free, self.likelihood)

    def _measured(self, lam: Lam) -> _Start:
        """Evaluate the criterion at a start; inf where the equations are not solved."""
        factor = self._solved(lam, self.runs.max_iter)
        if factor is None:
            return _Start(lam, np.inf)
        signs = Probes.draw(self.system.n_spherical, FEWEST, self.seed).signs
        of_core = log_determinant(factor.operator, signs)
        value = self.likelihood.value(factor.with_log_determinant(of_core))
        return _Start(lam, value, of_core.error)

    def _solved(self, lam: Lam, max_iter: int) -> IterativeFactor | None:
        """Solve at Λ, for what is compared before a search."""
        self.n_factorizations += 1
        operator = CoreOperator.of(self.system, lam)
        try:
            factor = IterativeFactor.of(operator, tol=FIXED_TOL, max_iter=max_iter, start=None)
        except np.linalg.LinAlgError:
            return None
        is_solved = factor.solved.residual <= UNSOLVED and factor.residual_squares > 0.0
        return factor if is_solved else None

    def _run(self, start: _Start, best: _End | None = None) -> _End:
        """Search from a start, that is left where it will not end lower than `best`."""
        objective = ProbedObjective(self.system, self.likelihood, self.seed, self.runs.max_iter)
        # The values of the objective are less that at the start.
        known = np.inf if best is None else best.value + best.error + start.error - start.value
        ending = self.runs.search(objective, start.lam, known=known)
        # β̂ and b̂ at the end, and log|M| with its error
        factor = objective.solution()
        of_core = _log_determinant(factor.operator, objective.probes.signs, self.seed)
        factor = factor.with_log_determinant(of_core)
        self.n_factorizations += objective.n_factorizations
        return _End(objective, ending, factor, self.likelihood.value(factor), of_core.error)

    def _better_of(self, best: _End, start: _Start) -> _End:
        """Return the lower end of two beyond the error; an open one only for another such."""
        self.runs.tell(f"criterion {best.value:.6f}; the search is repeated from another start")
        try:
            other = self._run(start, best)
        except np.linalg.LinAlgError:  # the derivatives have no digits at that start
            return best
        if other.is_open and not best.is_open:
            return best
        is_lower = other.value < best.value - np.hypot(best.error, other.error)
        return other if is_lower else best

    def _report(self, end: _End, *, is_lost: bool) -> SearchReport:
        residual, of_core = end.factor.solved.residual, end.factor.of_core
        assert of_core is not None
        # The sd's have the error of the gradient, the criterion that of log|M|
        monte_carlo = MonteCarlo(
            sd_errors=_sd_errors(self.system, end.objective),
            criterion_error=of_core.error,
            n_probes=end.objective.probes.signs.shape[1],
            residual=residual,
            condition=of_core.condition,
        )
        return SearchReport(
            end.factor,
            FitStatus.MAX_ITER if is_lost or residual > FIXED_TOL else end.ending.status,
            max(end.ending.n_iter, 1),
            self.n_factorizations,
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
    out, chart = [], cast(Chart, point.chart)
    parts = zip(system.terms, chart.lam, chart.basis, chart.places, strict=True)
    for (_, term), lam, basis, own in parts:
        root = term.to_user @ lam
        with np.errstate(divide="ignore", invalid="ignore"):
            # ∂ log sd_a = (root ∂root')_aa / sd_a²
            log_sd = np.einsum("ab,ibc,ac->ia", term.to_user, basis, root) / (root**2).sum(axis=1)
            variance = np.einsum("ia,ij,ja->a", log_sd, covariance[own, own], log_sd)
        out.append(np.sqrt(variance))
    return tuple(out)
