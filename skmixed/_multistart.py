"""The best of several optima: scans along scales, and searches from several starts.

With few or unlike groups the likelihood can have several optima (Gross, Drton and
Petrović, 2012, arXiv:1111.3308; Henn and Hodges, 2014, Int. Stat. Rev. 82). One
variance is scanned over its whole range. In a small system each term's scale is, at
the start and again at the end; where a scan shows a second valley, or a covariance of
few levels ends without full rank, the search is repeated from elsewhere. In large
systems two starts are compared, the moments at Λ = 0 and those within groups
(docs/mathematics.md, "Other optima").
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._blocks import Blocks
from skmixed._covariance import has_covariances, has_own_variances
from skmixed._criterion import criterion
from skmixed._dense_system import DenseSystem, DenseTerm, is_small
from skmixed._effects import effects
from skmixed._factorize import Factorization, factorize, zero_lam
from skmixed._local_model import AverageInformation
from skmixed._objective import BlockedObjective, DenseObjective
from skmixed._optimize import Ending, minimize
from skmixed._scale_scan import (
    RIDGE,
    EffectsProfile,
    Valley,
    VarianceProfile,
    valleys,
)
from skmixed._start import nearest_factor
from skmixed._trust_region import Lam
from skmixed.exceptions import FitStatus

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

# Share of the criterion by which an optimum must be lower to be another one.
BETTER = 1e-10
# Gain for which a scan's lowest point is worth a factorization before a search, whose
# first step gains as much; and after it, where nothing should be left.
WORTH, LEFT = 0.5, 1e-6
# Gain of a round of scans for which another one is worth it.
FAR = 10.0
# Rounds of scans before a search, and of scans and searches after it, at most.
MOST_ROUNDS = 3
# Effective number of levels up to which a covariance that ends without full rank is
# searched for twice. Of simulated such fits with 3 to 5 rows a level another optimum was
# better in one of a hundred with 4 to 8 levels, and in one of a thousand with 10 to 20.
FEW_LEVELS = 20.0
# Strength at which levels are taken as fixed: their effects keep six digits.
WITHIN = 1e3


@dataclass(frozen=True)
class Search:
    """Where a search ended, and what it took.

    Attributes
    ----------
    factorization : Factorization
    status : FitStatus
    n_iter : int
        Steps tried by the run that is kept.
    n_factorizations : int
        Of all runs.
    """

    factorization: Factorization
    status: FitStatus
    n_iter: int
    n_factorizations: int


def multistart(
    at_zero: Factorization,
    start: Lam,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
) -> Search:
    """Minimize the criterion over Λ, from `start` and from where else it may be lower.

    Parameters
    ----------
    at_zero : Factorization
        At Λ = 0, where it is least squares; the search ends at once if it is an exact
        fit. Its arrays are written over.
    start : tuple of (s, s) arrays
        Λ of each term, from the moments of the data.
    tol : float
        A run stops when the model predicts a decrease of at most this.
    max_iter : int
        Steps that a run tries at most.
    report : callable, optional
        Called with one line per step.
    """
    if at_zero.is_exact_fit:
        return Search(at_zero, FitStatus.EXACT_FIT, 1, 1)
    if not at_zero.blocks.stages:
        return Search(at_zero, FitStatus.LEAST_SQUARES, 1, 1)
    runs = _Runs(tol, max_iter, report)
    if is_small(at_zero.blocks):
        return _Small(at_zero, runs).search(start)
    return _Large(at_zero, runs).search(start)


@dataclass(frozen=True)
class _Runs:
    """How each run is made."""

    tol: float
    max_iter: int
    report: Callable[[str], None] | None

    def tell(self, line: str) -> None:
        if self.report is not None:
            self.report(line)


class _Small:
    """The search in a dense system."""

    def __init__(self, at_zero: Factorization, runs: _Runs) -> None:
        self.blocks, self.at_zero, self.runs = at_zero.blocks, at_zero, runs
        self.at_zero_value = criterion(at_zero)
        self.objective = DenseObjective(DenseSystem.of(at_zero.blocks))
        self.has_other_valley = False

    def search(self, start: Lam) -> Search:
        """Search from the moments, and from where a lower optimum may be."""
        best = self._run(start)
        best = self._without_gain_along_scales(best)
        if _is_lower(self.at_zero_value, best.value):
            best = self._better(best, self._run(zero_lam(self.blocks), best))
        if self.has_other_valley and not _is_identity(start):
            best = self._better(best, self._run(_identity(self.blocks), best))
        if self.has_other_valley or self._is_doubtful(best):
            best = self._better(best, self._run(self._within_start(), best, is_scanned=False))
        return Search(
            factorize(self.blocks, best.lam, reuse=self.at_zero),
            best.status,
            best.n_iter,
            self.objective.n_factorizations + 2,
        )

    def _better(self, best: Ending, other: Ending) -> Ending:
        """Return the lower end."""
        return other if _is_lower(other.value, best.value) else best

    def _run(self, start: Lam, known: Ending | None = None, *, is_scanned: bool = True) -> Ending:
        if is_scanned and np.isfinite(self.objective.evaluate(start)):
            start = self._scanned_start(start)
        ending = minimize(
            self.objective,
            start,
            tol=self.runs.tol,
            max_iter=self.runs.max_iter,
            report=self.runs.report,
            known=np.inf if known is None else known.value,
        )
        self.runs.tell(f"ended at criterion {ending.value:.6f}")
        return ending

    def _scanned_start(self, start: Lam) -> Lam:
        for _ in range(MOST_ROUNDS):
            before = self.objective.factor.value
            start = self._scanned(start, gain=WORTH, by_column=False)
            if self.objective.factor.value > before - FAR:
                return start
        return start

    def _without_gain_along_scales(self, best: Ending) -> Ending:
        """Scan the scales around an end; search on from what is lower there."""
        for _ in range(MOST_ROUNDS):
            if best.status is FitStatus.EXACT_FIT:
                return best
            if self.objective.factor.lam is not best.lam:
                self.objective.evaluate(best.lam)
            moved = self._scanned(best.lam, gain=LEFT * max(1.0, abs(best.value)), by_column=True)
            if moved is best.lam:
                return best
            ending = self._better(best, self._run(moved, is_scanned=False))
            if ending is best:
                return best
            best = ending
        return best

    def _scanned(self, lam: Lam, *, gain: float, by_column: bool) -> Lam:
        """Scan each scale in turn, at the latest factor; move where that gains enough."""
        for k, term in enumerate(self.objective.system.terms):
            for columns in _scales(term, by_column=by_column):
                moved = self._moved(k, term, columns, gain)
                if moved is not None:
                    lam = moved
        return lam

    def _moved(self, k: int, term: DenseTerm, columns: list[int], gain: float) -> Lam | None:
        """Return Λ at the lowest point along one scale, and factor there, if that gains enough."""
        factor = self.objective.factor
        strengths = factor.strengths[term.columns].reshape(term.size, -1)[:, 0]
        shape = strengths[columns] if strengths[columns].any() else np.ones(len(columns))
        levels = np.arange(term.n_levels)
        first = term.columns.start + np.asarray(columns) * term.n_levels
        own = (first[:, None] + levels).ravel()
        profile = EffectsProfile.of(
            factor, self.objective.projections, own, np.repeat(shape, term.n_levels)
        )
        found = [] if profile is None else valleys(profile)
        self.has_other_valley = self.has_other_valley or len(found) > 1
        if not found or not found[0].value < factor.value - gain:
            return None
        strengths = strengths.copy()
        strengths[columns] = np.sqrt(found[0].ratio) * shape
        vectors = term.to_white @ factor.bases[k]
        out = list(factor.lam)
        out[k] = term.white @ (vectors * strengths) @ vectors.T
        if np.isfinite(self.objective.evaluate(tuple(out))):
            return tuple(out)
        self.objective.evaluate(factor.lam)
        return None

    def _within_start(self) -> Lam:
        """Return the moments of the effects where they are taken as fixed."""
        system = self.objective.system
        value = self.objective.evaluate(tuple(WITHIN * term.white for term in system.terms))
        if not np.isfinite(value):
            return _identity(self.blocks)
        factor, out = self.objective.factor, []
        spherical = factor.strengths * factor.solution[: system.n_random]
        sigma2 = factor.residual_squares / max(self.blocks.dof, 1)
        for term, base in zip(system.terms, factor.bases, strict=True):
            own = base @ spherical[term.columns].reshape(term.size, -1)
            mean = own @ own.T / term.n_levels / sigma2
            out.append(nearest_factor(term.term.term.structure, mean))
        return tuple(out)

    def _is_doubtful(self, best: Ending) -> bool:
        """Whether a covariance of few levels ended without full rank."""
        if best.status is not FitStatus.CONVERGED:
            return True
        return any(
            has_covariances(term.term.term.structure)
            and term.size > 1
            and not lam.any(axis=0).all()
            and self._effective_levels(term) <= FEW_LEVELS
            for term, lam in zip(self.objective.system.terms, best.lam, strict=True)
        )

    def _effective_levels(self, term: DenseTerm) -> float:
        """Count the levels, each by what its rows say of the effects: (Σ t)² / Σ t²."""
        products = self.objective.system.products[term.columns, term.columns]
        by_level = products.reshape(term.size, term.n_levels, term.size, term.n_levels)
        levels = np.arange(term.n_levels)
        own = by_level[:, levels, :, levels]
        traces = np.einsum("jab,ac,bc->j", own, term.white, term.white)
        return float(traces.sum() ** 2 / (traces**2).sum())


class _Large:
    """The search by the blocked factor."""

    def __init__(self, at_zero: Factorization, runs: _Runs) -> None:
        self.blocks, self.runs = at_zero.blocks, runs
        self.at_zero_value = criterion(at_zero)
        self.objective = BlockedObjective(at_zero, AverageInformation())

    def search(self, start: Lam) -> Search:
        """Search from the best of the starts."""
        is_one = len(self.blocks.terms) == 1 and _n_theta(self.blocks) == 1
        starts = self._valleys() if is_one else [self._best_start(start)]
        best = self._run(starts[0])
        for other in starts[1:]:
            best = self._better(best, self._run(other))
        if best.status is FitStatus.CONVERGED and _is_lower(self.at_zero_value, best.value):
            best = self._better(best, self._run(zero_lam(self.blocks)))
        if self.objective.latest.lam is not best.lam:
            self.objective.evaluate(best.lam)
        return Search(
            self.objective.latest, best.status, best.n_iter, self.objective.n_factorizations + 1
        )

    def _valleys(self) -> list[Lam]:
        """Return the starts of the one variance: the lowest valley, and those as low as it."""
        profile = VarianceProfile.of(self.blocks)
        found = [Valley(np.inf, 0.0)] if profile is None else valleys(profile)
        as_low = [v for v in found if v.value <= found[0].value + RIDGE] if found else []
        ((_, term),) = self.blocks.terms
        starts: list[Lam] = [(np.sqrt(v.ratio) * np.eye(term.size),) for v in as_low]
        return starts or [_identity(self.blocks)]

    def _best_start(self, start: Lam) -> Lam:
        """Return the lower of two starts: the moments at Λ = 0, and those within groups."""
        value = self.objective.evaluate(start)
        within = self._within_start()
        if within is None:
            return start
        other = self.objective.evaluate(within)
        self.runs.tell(f"starts: criterion {value:.6f} from the moments, {other:.6f} within groups")
        return within if other < value else start

    def _within_start(self) -> Lam | None:
        blocks = self.blocks
        if not np.isfinite(self.objective.evaluate(_free(blocks))):
            return None
        latest = self.objective.latest
        spherical = effects(latest).spherical
        out: dict[int, FloatArray] = {}
        for k, factor in enumerate(blocks.factors):
            for term in factor.terms:
                own = latest.lam[term.index] @ spherical[k][term.columns]
                mean = own @ own.T / factor.n_levels / latest.sigma_squared
                out[term.index] = nearest_factor(term.term.structure, mean)
        return tuple(out[k] for k in sorted(out))

    def _run(self, start: Lam) -> Ending:
        self.objective.model = AverageInformation()
        return minimize(
            self.objective,
            start,
            tol=self.runs.tol,
            max_iter=self.runs.max_iter,
            report=self.runs.report,
        )

    def _better(self, best: Ending, other: Ending) -> Ending:
        is_lower = _is_lower(other.value, best.value)
        return other if is_lower and other.status is FitStatus.CONVERGED else best


def _is_lower(value: float, other: float) -> bool:
    """Whether a criterion is lower by more than rounding; `other` may be inf."""
    return value < other if np.isinf(other) else value < other - BETTER * max(1.0, abs(other))


def _n_theta(blocks: Blocks) -> int:
    return sum(t.term.structure.n_theta(t.size) for _, t in blocks.terms)


def _identity(blocks: Blocks) -> Lam:
    """Λ = I of each term, lme4's start."""
    return tuple(np.eye(t.size) for _, t in blocks.terms)


def _free(blocks: Blocks) -> Lam:
    """Λ at which levels are taken as fixed; columns have unit length."""
    return tuple(WITHIN * np.eye(t.size) for _, t in blocks.terms)


def _scales(term: DenseTerm, *, by_column: bool) -> list[list[int]]:
    """Return the groups of singular columns of Λ to scan.

    All at once, and with `by_column` each by itself, too, where their variances are free;
    each by itself where they are independent.
    """
    whole, single = [list(range(term.size))], [[a] for a in range(term.size)]
    structure = term.term.term.structure
    if term.size == 1 or not has_own_variances(structure):
        return whole
    if not has_covariances(structure):
        return single
    return [*whole, *single] if by_column else whole


def _is_identity(lam: Lam) -> bool:
    return all(np.array_equal(own, np.eye(len(own))) for own in lam)
