"""The search in a small system: scans along scales, and runs from several starts."""

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.dense_system import DenseSystem, DenseTerm
from skmixed._derivatives.objectives import DenseObjective
from skmixed._equations.cholesky import CholeskyFactor, zero_lam
from skmixed._estimation.runs import (
    Runs,
    SearchReport,
    better,
    identity,
    is_lower,
    is_trapped,
)
from skmixed._estimation.scale_scan import EffectsProfile, ScaleScan, Valley, refined
from skmixed._estimation.search import Ending
from skmixed._estimation.start import (
    WEAK,
    WITHIN,
    are_apart,
    strong_starts,
    without_each,
)
from skmixed._model.covariance import has_covariances, has_own_variances, is_linear
from skmixed._typing import Lam
from skmixed.exceptions import FitStatus

# Gain for which a scan, and its lowest point, are worth their cost before a search, whose
# first step gains as much; and after it, where nothing should be left.
WORTH, LEFT = 0.5, 1e-6
# What a step of a scan's grid may hide of a valley's depth.
NEAR = 1.0
# Gain of a round of scans for which another one is worth it.
FAR = 10.0
# Rounds of scans before a search, and of scans and searches after it, at most.
MOST_ROUNDS = 3
# Steps that tidy data take at most.
FEW_STEPS = 5
# Effective number of levels up to which a covariance that ends without full rank is
# searched for twice. Of simulated such fits with 3 to 5 rows a level another optimum was
# better in one of a hundred with 4 to 8 levels, and in one of a thousand with 10 to 20.
FEW_LEVELS = 20.0


class SmallSearch:
    """The search in a dense system."""

    def __init__(self, at_zero: CholeskyFactor, likelihood: Likelihood, runs: Runs) -> None:
        self.system, self.runs = at_zero.system, runs
        self.at_zero_value = likelihood.value(at_zero)
        self.objective = DenseObjective(DenseSystem.of(at_zero.system), likelihood)
        self.has_other_valley = False
        self.scans: list[ScaleScan] = []

    def search(self, start: Lam) -> SearchReport:
        """Search from the moments, and from where a lower optimum may be."""
        at_start = self._sigma_squared(start)
        best = self.run(start)
        best = self._without_gain_along_scales(best)
        if self.system.n_theta == 1:  # the scan has been over all there is
            return self._found(best)
        if is_lower(self.at_zero_value, best.value):
            best = better(best, self.run(zero_lam(self.system), best))
        is_elsewhere = self.has_other_valley or self._has_traps(best)
        if is_elsewhere and not _is_identity(start):
            best = better(best, self.run(identity(self.system), best))
        at_end = self._sigma_squared(best.lam)
        within = self.objective.dense.variance_within()
        if are_apart(within, at_end, at_start) or self._has_traps(best):
            best = self.from_elsewhere(start, best)
        if not self._is_easy(best) or self._has_traps(best):
            fixed = self.within_start()
            is_lower_there = self.objective.evaluate(fixed) < best.value
            if is_lower_there or self.has_other_valley or self._is_doubtful(best):
                best = better(best, self.run(fixed, best, is_scanned=False))
        is_weak = best.value > self.at_zero_value - WEAK
        is_other = is_weak or self._has_traps(best)
        for strong in strong_starts(self.system, best.lam, start) if is_other else ():
            best = better(best, self.run(strong, best))
        return self._found(best)

    def _is_easy(self, best: Ending) -> bool:
        """Whether a search took few steps, met one valley, and ended inside."""
        is_inside = all(lam.any(axis=0).all() for lam in best.lam)
        return is_inside and best.n_iter <= FEW_STEPS and not self.has_other_valley

    def _found(self, best: Ending) -> SearchReport:
        self.objective.evaluate(best.lam)
        return SearchReport(
            self.objective.factor,
            best.status,
            best.n_iter,
            self.objective.n_factorizations + 1,
            scans=tuple(self.scans),
        )

    def run(self, start: Lam, known: Ending | None = None, *, is_scanned: bool = True) -> Ending:
        if known is not None:
            self.runs.tell(
                f"criterion {known.value:.6f}; the search is repeated from another start"
            )
        if is_scanned and np.isfinite(self.objective.evaluate(start)):
            start = self._scanned_start(start)
        value = np.inf if known is None else known.value
        return self.runs.search(self.objective, start, known=value)

    def _scanned_start(self, start: Lam) -> Lam:
        """ScaleScan the scales before a run, but where a step would gain little."""
        point = self.objective.point(self.objective.value, is_slow=False)
        step, _, is_interior = point.step(np.inf) if point.is_usable else (None, 0.0, False)
        if step is not None and is_interior and point.decrease(step) < WORTH:
            return start
        for _ in range(MOST_ROUNDS):
            before = self.objective.value
            start = self._scanned(start, gain=WORTH, by_column=False)
            if self.objective.value > before - FAR:
                return start
        return start

    def _without_gain_along_scales(self, best: Ending) -> Ending:
        """ScaleScan the scales around an end; search on from what is lower there."""
        for _ in range(MOST_ROUNDS):
            if best.status is FitStatus.EXACT_FIT:
                return best
            if self.objective.factor.lam is not best.lam:
                self.objective.evaluate(best.lam)
            # Λ along each scale at its lowest, and a search from there if that is lower
            moved = self._scanned(best.lam, gain=LEFT * max(1.0, abs(best.value)), by_column=True)
            if moved is best.lam:
                return best
            ending = better(best, self.run(moved, is_scanned=False))
            if ending is best:
                return best
            best = ending
        return best

    def _scanned(self, lam: Lam, *, gain: float, by_column: bool) -> Lam:
        """ScaleScan each scale in turn, at the latest factor; move where that gains enough."""
        for k, term in enumerate(self.objective.dense.terms):
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
        # The columns of these coefficients, level by level, and their strengths at c = 1
        levels = np.arange(term.n_levels)
        first = term.columns.start + np.asarray(columns) * term.n_levels
        own = (first[:, None] + levels).ravel()
        profile = EffectsProfile.of(self.objective, own, np.repeat(shape, term.n_levels))
        lowest = None if profile is None else self._lowest(profile)
        if lowest is None or not lowest.value < self.objective.value - gain:
            return None
        # Λ = W (U S U') with the strengths √c S
        strengths = strengths.copy()
        strengths[columns] = np.sqrt(lowest.ratio) * shape
        vectors = term.to_white @ factor.bases[k]
        out = list(factor.lam)
        out[k] = term.white @ (vectors * strengths) @ vectors.T
        if np.isfinite(self.objective.evaluate(tuple(out))):
            return tuple(out)
        self.objective.evaluate(factor.lam)
        return None

    def _lowest(self, profile: EffectsProfile) -> Valley | None:
        """Return the lowest point, but for the valley that the factor is in by itself."""
        scan = ScaleScan.of(profile)
        self.scans.append(scan)
        found = scan.valleys
        self.has_other_valley = self.has_other_valley or len(found) > 1
        elsewhere = [
            refined(profile, valley)
            for valley in found
            if valley.value < profile.value + NEAR and not profile.is_at(valley)
        ]
        return min(elsewhere, key=lambda valley: valley.value, default=None)

    def _sigma_squared(self, lam: Lam) -> float:
        """Return the residual variance at Λ; 0 where it is not defined."""
        value = self.objective.evaluate(lam)
        if not np.isfinite(value):
            return 0.0
        return self.objective.likelihood.sigma_squared(self.objective.factor)

    def from_elsewhere(self, start: Lam, best: Ending) -> Ending:
        """Search from the valleys of the effects within groups, of all and without each of them.

        And from the start as it is.
        """
        known, within = best, self.within_start()
        for shape in (within, *without_each(self.system, within)):
            for own in self._valleys(shape):
                best = better(best, self.run(own, best, is_scanned=False))
        best = better(best, self.run(start, best, is_scanned=False))
        return best if best is known else self._without_gain_along_scales(best)

    def _valleys(self, lam: Lam) -> list[Lam]:
        """Return the lowest points along the one scale of Λ of all terms, the lowest first."""
        if not np.isfinite(self.objective.evaluate(lam)):
            return []
        every = np.arange(self.objective.dense.n_random)
        profile = EffectsProfile.of(self.objective, every, self.objective.factor.strengths)
        if profile is None:
            return []
        self.scans.append(ScaleScan.of(profile))
        found = [refined(profile, valley) for valley in self.scans[-1].valleys if valley.ratio]
        return [tuple(np.sqrt(valley.ratio) * own for own in lam) for valley in found]

    def within_start(self) -> Lam:
        """Return the moments of the effects where they are taken as fixed."""
        dense = self.objective.dense
        value = self.objective.evaluate(tuple(WITHIN * term.white for term in dense.terms))
        if not np.isfinite(value):
            return identity(self.system)
        factor, out = self.objective.factor, []
        spherical = factor.strengths * factor.solution[: dense.n_random]
        sigma2 = self.objective.likelihood.sigma_squared(factor)
        for term, base in zip(dense.terms, factor.bases, strict=True):
            own = base @ spherical[term.columns].reshape(term.size, -1)
            mean = own @ own.T / term.n_levels / sigma2
            out.append(term.term.term.structure.nearest(mean))
        return tuple(out)

    def _is_doubtful(self, best: Ending) -> bool:
        """Whether a covariance of few levels ended without full rank, or one has traps."""
        if best.status is not FitStatus.CONVERGED:
            return True
        return self._has_traps(best) or any(
            self._has_few_levels(term) and not lam.any(axis=0).all()
            for term, lam in zip(self.objective.dense.terms, best.lam, strict=True)
        )

    def _has_traps(self, best: Ending) -> bool:
        """Whether a structure with traps ended without full rank, or has few levels."""
        return is_trapped(self.system, best) or any(
            self._has_few_levels(term) and term.term.term.structure.has_traps
            for term in self.objective.dense.terms
        )

    def _has_few_levels(self, term: DenseTerm) -> bool:
        return term.size > 1 and self.objective.dense.effective_levels(term) <= FEW_LEVELS


def _scales(term: DenseTerm, *, by_column: bool) -> list[list[int]]:
    """Return the groups of singular columns of Λ to scan.

    All at once, and with `by_column` each by itself where their variances are free; each by
    itself always where they are independent.
    """
    whole, single = [list(range(term.size))], [[a] for a in range(term.size)]
    structure = term.term.term.structure
    if term.size == 1 or not has_own_variances(structure):
        return whole
    if not has_covariances(structure):
        return single
    return single if by_column and is_linear(structure) else whole


def _is_identity(lam: Lam) -> bool:
    return all(np.array_equal(own, np.eye(len(own))) for own in lam)
