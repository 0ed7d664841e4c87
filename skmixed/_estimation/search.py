"""The search for Λ: a trust-region Newton method.

See docs/mathematics.md, "The search".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.objectives import FEW_NOISES, Objective
from skmixed._derivatives.trust_region import Point
from skmixed._model.chart import unit_point
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus

# Share of the predicted decrease that a step must achieve, and the one from
# which the trust region grows (Nocedal and Wright, 2006, algorithm 4.1).
ACCEPT, GROW = 0.1, 0.75
# The model is given up for a better one where a step achieves less than this share of what
# it predicts, and where it gains less than this per step.
FAIR = 0.5
# No less than that where the criterion falls without bound: nothing to learn there.
SLOW, FALLING = 0.02, 0.98
# Steps that together have to gain something, or the search has ended.
STALL_STEPS = 10
# A failed step is shortened by no less and no more than these factors.
SHRINK = 0.02, 0.5
# Share of a predicted gain that is no difference.
ALIKE = 0.01
# Times the predicted gain of an unrestricted step that may remain, and the least gain
# for which another optimum is looked for.
REMAINS, MATTERS = 5.0, 1e-5
# Steps by which a repeated search is lower, or is given up.
PATIENCE = 8
# Length of a step, in units of the metric, of which a gain that is nothing is the last.
LONG = 1.0
# Radius, in units of the metric, below which no step changes the criterion.
SHORTEST = 1e-12


@dataclass(frozen=True)
class Ending:
    """Where one run of the search ended.

    Attributes
    ----------
    lam : tuple of (s, s) arrays
        The latest Λ of the objective.
    value : float
        The criterion there.
    status : FitStatus
    n_iter : int
        Steps tried.
    """

    lam: Lam
    value: float
    status: FitStatus
    n_iter: int


def trust_region_search(
    objective: Objective,
    start: Lam,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
    known: float = np.inf,
    patience: int = PATIENCE,
) -> Ending:
    """Minimize an objective over Λ; its latest factor is that of the end.

    Parameters
    ----------
    objective : Objective
    start : tuple of (s, s) arrays
        Λ of each term to start from.
    tol : float
        Stop when the model predicts a decrease of at most this.
    max_iter : int
        Steps tried at most.
    report : callable, optional
        Called with one line per step.
    known : float
        Value of another end: the run is left, not converged, where it will not end lower.
    patience : int
        Steps after which it is left unless it is lower.
    """
    return _Descent(objective, tol, max_iter, report, known, patience).run(start)


class _Descent:
    """One run of the trust-region iteration."""

    def __init__(
        self,
        objective: Objective,
        tol: float,
        max_iter: int,
        report: Callable[[str], None] | None,
        known: float,
        patience: int,
    ) -> None:
        self.objective, self.tol, self.max_iter, self.report = objective, tol, max_iter, report
        self.known, self.patience = known, patience
        self.is_slow = False
        self.n_iter = 0
        self.milestone = np.inf

    def run(self, start: Lam) -> Ending:
        point = self._begin(start)
        radius = np.inf
        may_vanish, before, is_exact_fit = True, np.inf, self.objective.is_exact_fit
        while not is_exact_fit:
            if (over := self._over(point)) is not None:
                return self._end_at(point, over)
            point, step, length, is_interior = self._resolved_step(point, radius)
            expected = point.decrease(step)
            if is_interior and self.objective.is_lost(expected):
                return self._end_at(point, FitStatus.CONVERGED)
            self.n_iter += 1
            radius = max(1.0, length) if np.isinf(radius) else radius
            lam = point.chart.moved(step)
            rate = expected / before if 0 < before < np.inf else 1.0
            self.is_slow = self.is_slow or SLOW < rate < FALLING
            if (is_interior or length >= LONG) and self._is_last(point, expected, rate):
                return self._last_step(point, lam, radius)
            if self._is_beaten(point.value, expected if is_interior else np.inf):
                return self._end_at(point, FitStatus.MAX_ITER)
            noise = self.objective.noise(point.value)  # what a gain may be by error alone
            trial = point.chart.vanished(lam) if may_vanish else lam
            actual = point.value - self.objective.evaluate(trial)
            self._tell(point, radius, expected, actual)
            ratio = (actual + noise) / (expected + noise)
            self.is_slow = self.is_slow or ratio < FAIR
            if ratio >= ACCEPT:  # taken
                before = expected if is_interior else np.inf
                is_exact_fit = self.objective.is_exact_fit
                point, may_vanish = self._model(point.value - actual), True
                if ratio >= GROW:
                    radius = max(radius, 3.0 * length)
            elif trial is not lam and not self._is_like(point, trial, expected):
                may_vanish = False  # tried again, without the zeros
            elif expected <= FEW_NOISES * noise or length < SHORTEST:
                return self._end_at(point, self._end_of_failed(point, actual))
            else:  # tried again, shortened
                radius = length * _shrinkage(float(point.gradient @ step), actual)
        return self._end(point.lam, self.objective.evaluate(point.lam), FitStatus.EXACT_FIT)

    def _begin(self, start: Lam) -> Point:
        """Model the objective at the start, or at Λ = I where it is not defined there."""
        value = self.objective.evaluate(start)
        if not np.isfinite(value):
            value = self.objective.evaluate(unit_point(start))
        return self._model(value)

    def _resolved_step(self, point: Point, radius: float) -> tuple[Point, FloatArray, float, bool]:
        """Return the step, of a model that is made more precise while the gain is lost in it."""
        step, length, is_interior = point.step(radius)
        while is_interior and self.objective.is_lost(point.decrease(step)):
            if not self.objective.refine():
                break
            point = self._model(point.value)
            step, length, is_interior = point.step(radius)
        return point, step, length, is_interior

    def _model(self, value: float) -> Point:
        """Model the objective around the latest Λ."""
        return self.objective.point(value, is_slow=self.is_slow)

    def _is_last(self, point: Point, expected: float, rate: float) -> bool:
        """Whether what a step leaves to gain is below the tolerance.

        Near the optimum the gain falls by a constant rate or faster from step to
        step, so that a step leaves about the rate times its own gain. What the
        criterion's own rounding hides is nothing.
        """
        rate = 1.0 if self.is_slow else min(1.0, rate)
        return expected * rate <= max(self.tol, self.objective.resolution(point.value))

    def _is_beaten(self, value: float, expected: float) -> bool:
        """Whether the run will not end lower than another one."""
        if value < self.known - MATTERS:
            return False
        return value - REMAINS * expected > self.known - MATTERS or self.n_iter > self.patience

    def _over(self, point: Point) -> FitStatus | None:
        """Return how the run ends without another step, if it does."""
        if self.n_iter == self.max_iter or not point.is_usable:
            return FitStatus.MAX_ITER
        return self._end_of_failed(point, 0.0) if self._has_stalled(point.value) else None

    def _has_stalled(self, value: float) -> bool:
        """Whether the last steps together gained nothing that matters."""
        if self.n_iter % STALL_STEPS:
            return False
        gained, self.milestone = self.milestone - value, value
        return self.objective.has_stalled(gained, value)

    def _end_of_failed(self, point: Point, actual: float) -> FitStatus:
        """Say how a run ends of which no step gains.

        At an optimum, unless it is beside what is not defined, or the model has more to gain
        than the objective's error hides.
        """
        step, _, _ = point.step(np.inf)
        is_end = np.isfinite(actual) and self.objective.is_hidden(point.decrease(step))
        return FitStatus.CONVERGED if is_end else FitStatus.MAX_ITER

    def _is_like(self, point: Point, trial: Lam, expected: float) -> bool:
        """Whether the model sees no difference between a step and what vanishes after it."""
        without = point.decrease(point.chart.step_to(trial))
        return abs(without - expected) <= ALIKE * abs(expected)

    def _last_step(self, point: Point, lam: Lam, radius: float) -> Ending:
        """Take the last step, to an exact zero where it leads to zero."""
        noise = self.objective.noise(point.value)
        last = self.objective.last_point(point)
        if last is not point:
            step, _, is_interior = last.step(radius)
            lam = last.chart.moved(step) if is_interior else lam
        vanished = point.chart.vanished(lam)
        for trial in (vanished, lam) if vanished is not lam else (lam,):
            value = self.objective.evaluate(trial)
            if value <= point.value + noise:
                return self._end(trial, value, FitStatus.CONVERGED)
        return self._end_at(point, FitStatus.CONVERGED)

    def _end_at(self, point: Point, status: FitStatus) -> Ending:
        return self._end(point.lam, self.objective.evaluate(point.lam), status)

    def _end(self, lam: Lam, value: float, status: FitStatus) -> Ending:
        return Ending(lam, value, status, self.n_iter)

    def _tell(self, point: Point, radius: float, expected: float, actual: float) -> None:
        if self.report is not None:
            self.report(
                f"step {self.n_iter}: {self.objective.describe(point.value)}, "
                f"trust radius {radius:.3g}, "
                f"decrease {actual:.3g} of {expected:.3g} expected"
            )


def _shrinkage(slope: float, actual: float) -> float:
    """Return the share of a failed step at which the parabola through both ends is lowest."""
    rise = -actual - slope
    share = -slope / (2.0 * rise) if 0 < rise < np.inf else 0.0
    return float(np.clip(share, *SHRINK))
