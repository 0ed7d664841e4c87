"""The best of several optima: scans along scales, and searches from several starts.

With few or unlike groups the likelihood can have several optima (Gross, Drton and
Petrović, 2012, arXiv:1111.3308; Henn and Hodges, 2014, Int. Stat. Rev. 82). One
variance is scanned over its whole range. In a small system each term's scale is, at
the start and again at the end; where a scan shows a second valley, or a covariance of
few levels ends without full rank, the search is repeated from elsewhere. In large
systems two starts are compared, the moments at Λ = 0 and those within groups. In both,
where the residual variance is not the same within groups, at the start and at the end,
the search is repeated from the valleys along the scale of all terms
(docs/mathematics.md, "Other optima").
"""

from collections.abc import Callable

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.dense_factor import dense_values
from skmixed._derivatives.dense_system import DenseSystem, is_small
from skmixed._derivatives.objectives import BlockedObjective
from skmixed._equations.cholesky import CholeskyFactor, zero_lam
from skmixed._equations.system import System
from skmixed._estimation.large_search import LargeSearch
from skmixed._estimation.runs import Runs, SearchReport, better, identity
from skmixed._estimation.search import Ending
from skmixed._estimation.small_search import SmallSearch
from skmixed._estimation.start import strong_starts
from skmixed._model.covariance import Covariance, has_covariances, has_own_variances
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus

# Effective number of levels up to which the optimum of a covariance, with a quantity held,
# may be elsewhere than it was. Of 150 random models with 4 to 20 levels it was in 6, with
# 7 to 13.
FEW_LEVELS = 14.0
# Factors of a Λ at which its scale is scanned.
SCALES = np.concatenate([[0.0], np.exp(np.arange(-8.0, 8.5, 0.5))])
# Rounds of scans at most, each from where the last one ended, and the gain of one for which
# another one is worth it.
MOST_ROUNDS, LEFT = 3, 1e-6


def multistart(
    at_zero: CholeskyFactor,
    likelihood: Likelihood,
    start: Lam,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
) -> SearchReport:
    """Minimize the criterion over Λ, from `start` and from where else it may be lower.

    Parameters
    ----------
    at_zero : CholeskyFactor
        At Λ = 0, where it is least squares; the search ends at once if it is an exact
        fit. Its arrays are written over.
    likelihood : Likelihood
    start : tuple of (s, s) arrays
        Λ of each term, from the moments of the data.
    tol : float
        A run stops when the model predicts a decrease of at most this.
    max_iter : int
        Steps that a run tries at most.
    report : callable, optional
        Called with one line per step.
    """
    if likelihood.is_exact_fit(at_zero):
        return SearchReport(at_zero, FitStatus.EXACT_FIT, 1, 1)
    if not at_zero.system.factors:
        return SearchReport(at_zero, FitStatus.LEAST_SQUARES, 1, 1)
    runs = Runs(tol, max_iter, report)
    if is_small(at_zero.system):
        return SmallSearch(at_zero, likelihood, runs).search(start)
    return LargeSearch(at_zero, likelihood, runs).search(start)


def lowest(
    at_zero: CholeskyFactor, likelihood: Likelihood, start: Lam, *, tol: float, max_iter: int
) -> float:
    """Return the lowest criterion that a search from any of the starts ends at.

    From the moments at Λ = 0, from 0 and I themselves, from the moments within groups
    and from the valleys along their scale: several searches' cost. The parameters are
    those of `multistart`.
    """
    runs = Runs(tol, max_iter, None)
    if is_small(at_zero.system):
        small = SmallSearch(at_zero, likelihood, runs)
        starts = [start, zero_lam(small.system), identity(small.system)]
        starts += strong_starts(small.system, start, start)
        # d at the ends of searches from moments, valleys, 0, I, and correlations next to ±1
        best = small.from_elsewhere(start, small.run(start))
        ends = [small.run(own).value for own in starts[1:]]
        return min([best.value, *ends, small.run(small.within_start(), is_scanned=False).value])
    large = LargeSearch(at_zero, likelihood, runs)
    within = large.within_start()
    starts = [start, zero_lam(large.system)]
    starts += [] if within is None else [within, *large.low_points(within)]
    starts += strong_starts(large.system, start, start)
    return min(large.run(own).value for own in starts)


def may_have_others(system: System, report: SearchReport) -> bool:
    """Whether an optimum may be elsewhere once a quantity is held at a value.

    Where a scan is not that of a single valley, or a covariance has few levels.
    """
    if any(scan.is_bent for scan in report.scans):
        return True
    if not is_small(system) or all(term.size == 1 for _, term in system.terms):
        return False
    dense = DenseSystem.of(system)
    return any(term.size > 1 and dense.effective_levels(term) <= FEW_LEVELS for term in dense.terms)


def thorough_search(objective: BlockedObjective, runs: Runs, starts: list[Lam]) -> Ending:
    """Minimize any function of Λ from all starts, and from what is low along scales.

    The latest factor is that of the end. A run is given up where it will not end lower.
    """
    best = runs.search(objective, starts[0])
    for start in starts[1:]:
        best = better(best, runs.search(objective, start, known=best.value))
    dense = DenseSystem.of(objective.system) if is_small(objective.system) else None
    for _ in range(MOST_ROUNDS):
        before = best.value
        tried = [before]
        for value, start in _low_points(objective, dense, best.lam):
            # Points of one value are one: the end itself, or Λ = 0 from several sides
            if min(abs(value - own) for own in tried) > LEFT:
                best = better(best, runs.search(objective, start, known=best.value))
            tried.append(value)
        if best.value > before - LEFT:
            break
    objective.evaluate(best.lam)
    return best


def _low_points(
    objective: BlockedObjective, dense: DenseSystem | None, lams: Lam
) -> list[tuple[float, Lam]]:
    """Return the lowest points along the scales of each term's Λ, the others held."""
    found = []
    for k, (_, term) in enumerate(objective.system.terms):
        for kept, scaled in _scalable(term.term.structure, lams[k]):
            along = [
                (*lams[:k], own, *lams[k + 1 :])
                for own in _at_scales(term.term.structure, kept, scaled)
            ]
            values = np.array([np.inf, *_values(objective, dense, k, along), np.inf])
            is_lowest = (values[1:-1] < values[2:]) & (values[1:-1] <= values[:-2])
            found += [(float(values[j + 1]), along[j]) for j in np.flatnonzero(is_lowest)]
    return found


def _at_scales(structure: Covariance, kept: FloatArray, scaled: FloatArray) -> list[FloatArray]:
    """Return kept + c scaled at each scale c, in the form that the structure allows."""
    if kept.any():
        return [structure.chart(kept + c * scaled)[0] for c in SCALES]
    own, _ = structure.chart(scaled)  # of cΛ it is c times as large
    return [c * own for c in SCALES]


def _values(
    objective: BlockedObjective, dense: DenseSystem | None, k: int, along: list[Lam]
) -> list[float]:
    """Evaluate a function at Λ that differ in term k, in one batch where that is small.

    Where rounding leaves one of them no factor, each is evaluated alone.
    """
    if dense is not None:
        try:
            batch = dense_values(dense, k, along)
        except np.linalg.LinAlgError:
            return [objective.evaluate(lam) for lam in along]
        found = [objective.model.value(own) for own in batch]
        return [own if np.isfinite(own) else np.inf for own in found]
    return [objective.evaluate(lam) for lam in along]


def _scalable(structure: Covariance, lam: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Return what is kept of Λ and what is scaled: all, I, and each singular column and effect."""
    size, none = len(lam), np.zeros_like(lam)
    out = [(none, np.eye(size)), *([(none, lam)] if lam.any() else [])]
    if size == 1 or not has_own_variances(structure):
        return out
    left, sizes, _ = np.linalg.svd(lam)
    for own in np.eye(size):
        # USU', which is diagonal where Λ is
        strengths = np.where(own * sizes > 0, sizes, 1.0)
        out.append(((left * (sizes * (1.0 - own))) @ left.T, (left * (strengths * own)) @ left.T))
        out.append((none, np.diag(own)))
    if has_covariances(structure):
        # Correlations of ±1, where the optimum of few levels often lies
        signs = np.vstack([np.ones(size), 1.0 - 2.0 * np.eye(size)[1:]])
        out += [(none, np.outer(own, np.eye(size)[0])) for own in signs]
    return out
