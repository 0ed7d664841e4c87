"""The search by the blocked factor: one variance scanned whole, or the better of two starts."""

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.objectives import AverageInformation, BlockedObjective
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor, zero_lam
from skmixed._estimation.runs import (
    Runs,
    SearchReport,
    better,
    identity,
    is_lower,
    is_trapped,
)
from skmixed._estimation.scale_scan import ScaleScan, VarianceProfile, refined
from skmixed._estimation.search import Ending
from skmixed._estimation.start import (
    APART,
    WEAK,
    are_alike,
    are_apart,
    free_lam,
    strong_starts,
    variance_within,
    within_start,
)
from skmixed._typing import Lam
from skmixed.exceptions import FitStatus

# Difference of the criterion at two points that pools of like levels may hide. Of 400
# random systems with weights the criterion of one point was off by at most 0.13.
POOLED = 0.5
# Factors of the moments within groups, which have the errors of the effects in them, at which
# the criterion is looked at: logistic curves in the log of the scale are wider than the steps.
RATIOS = np.exp(np.arange(-14.0, 1.5))


class LargeSearch:
    """The search by the blocked factor."""

    def __init__(self, at_zero: CholeskyFactor, likelihood: Likelihood, runs: Runs) -> None:
        self.system, self.likelihood, self.runs = at_zero.system, likelihood, runs
        self.parameters = Parameters.of(self.system)
        self.scans: tuple[ScaleScan, ...] = ()
        self.within: Lam | None = None
        self.variance_within = self.at_start = 0.0
        self.at_zero_value = likelihood.value(at_zero)
        self.objective = BlockedObjective(at_zero, AverageInformation(likelihood, self.parameters))

    def search(self, start: Lam) -> SearchReport:
        """Search from the best of the starts."""
        is_one = len(self.system.terms) == 1 and self.system.n_theta == 1
        starts = self._valleys() if is_one else [self.best_start(start)]
        best = self.run(starts[0])
        for other in starts[1:]:
            best = better(best, self.run(other))
        self.objective.evaluate(best.lam)
        for other in self._from_elsewhere(best.lam, start):
            best = better(best, self.run(other, best))
        # Without any variance it may be lower, where no start was
        if best.status is FitStatus.CONVERGED and is_lower(self.at_zero_value, best.value):
            best = better(best, self.run(zero_lam(self.system)))
        if is_trapped(self.system, best):
            best = better(best, self.run(identity(self.system)))
        is_other = best.value > self.at_zero_value - WEAK or is_trapped(self.system, best)
        for strong in strong_starts(self.system, best.lam, start) if is_other else ():
            best = better(best, self.run(strong, best))
        if self.objective.latest.lam is not best.lam:
            self.objective.evaluate(best.lam)
        return SearchReport(
            self.objective.latest,
            best.status,
            best.n_iter,
            self.objective.n_factorizations + 1,
            scans=self.scans,
        )

    def _valleys(self) -> list[Lam]:
        """Return the starts of the one variance: the lowest valley, and those as low as it."""
        profile = VarianceProfile.of(self.system, self.likelihood)
        found = []
        # The lowest point of each valley, to less than a step of the grid
        if profile is not None:
            self.scans = (ScaleScan.of(profile),)
            found = [refined(profile, v) for v in self.scans[0].valleys]
        least = min((valley.value for valley in found), default=np.inf)
        as_low = sorted(
            (valley for valley in found if valley.value <= least + POOLED),
            key=lambda valley: valley.value,
        )
        ((_, term),) = self.system.terms
        starts: list[Lam] = [(np.sqrt(v.ratio) * np.eye(term.size),) for v in as_low]
        return starts or [identity(self.system)]

    def _from_elsewhere(self, best: Lam, start: Lam) -> list[Lam]:
        """Return further starts, where σ² at the latest Λ tells of another optimum.

        Where effects are strong, σ² at the moments is noise, and one valley is all there is.
        """
        if self.within is None or not self.is_apart():
            return []
        at_end = self.likelihood.sigma_squared(self.objective.latest)
        found = self.low_points(self.within)
        if self.variance_within < APART * at_end:
            return [*found, start]
        found = [lam for lam in found if not are_alike(best, lam)]
        return [*found, start] if found else []

    def is_apart(self) -> bool:
        """Whether σ² at the latest Λ is not that within groups, or not that at the moments."""
        at_end = self.likelihood.sigma_squared(self.objective.latest)
        return self.within is not None and are_apart(self.variance_within, at_end, self.at_start)

    def low_points(self, lam: Lam) -> list[Lam]:
        """Return the lowest points along the one scale of Λ of all terms, the lowest first."""
        along = [tuple(np.sqrt(ratio) * own for own in lam) for ratio in RATIOS]
        values = np.array([np.inf, *map(self.objective.evaluate, along), np.inf])
        is_lowest = (values[1:-1] < values[2:]) & (values[1:-1] <= values[:-2])
        lowest = np.flatnonzero(is_lowest)
        return [along[k] for k in lowest[np.argsort(values[1:-1][lowest])]]

    def best_start(self, start: Lam) -> Lam:
        """Return the lower of two starts: the moments at Λ = 0, and those within groups."""
        self.within = within = self.within_start()
        if within is None or are_alike(start, within):
            self._evaluate_start(start)
            return start
        other = self.objective.evaluate(within)
        value = self._evaluate_start(start)
        self.runs.tell(f"starts: criterion {value:.6f} from the moments, {other:.6f} within groups")
        return within if other < value else start

    def _evaluate_start(self, start: Lam) -> float:
        """Return the criterion at the moments, and keep σ² there; 0 where it is not defined."""
        value = self.objective.evaluate(start)
        is_defined = np.isfinite(value)
        self.at_start = self.likelihood.sigma_squared(self.objective.latest) if is_defined else 0.0
        return value

    def within_start(self) -> Lam | None:
        """Return the start from the effects within groups, if there are any."""
        if not np.isfinite(self.objective.evaluate(free_lam(self.system))):
            return None
        self.variance_within = variance_within(self.objective.latest, self.likelihood)
        return within_start(self.objective.latest, self.likelihood)

    def run(self, start: Lam, known: Ending | None = None) -> Ending:
        self.objective.model = AverageInformation(self.likelihood, self.parameters)
        value = np.inf if known is None else known.value
        return self.runs.search(self.objective, start, known=value)
