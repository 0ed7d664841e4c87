"""The search for Λ: a trust-region Newton method with average information.

See docs/mathematics.md, "The search".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._factorize import Factorization, factorize
from skmixed._local_model import AverageInformation, LocalModel
from skmixed._trust_region import Lam, Point
from skmixed.exceptions import FitStatus

FloatArray = NDArray[np.float64]

# Share of the predicted decrease that a step must achieve, and the one from
# which the trust region grows (Nocedal and Wright, 2006, algorithm 4.1).
ACCEPT, GROW = 0.1, 0.75
# A column of Λ that a step shrinks below this share is tried at zero. With
# d ≈ g·t in t = λ², a Newton step in t overshoots zero from a share of 2/3 on.
VANISHING = 0.5
# Below this a column is zero: its square is lost beside 1 in ΛΛ'Z'Z + I.
NOTHING = 1e-8
# Differences of the criterion below this share of it are rounding, and what of a
# predicted gain can matter: an estimate is off by the root of it, in standard errors.
ROUNDING, RESOLUTION = 1e-13, 2e-15
# Average information alone is given up where it gains less than this per step.
# No less than that where the criterion falls without bound: nothing to learn there.
SLOW, FALLING = 0.02, 0.98


@dataclass(frozen=True)
class Search:
    """Where a search ended, and what it took."""

    factorization: Factorization
    status: FitStatus
    n_iter: int
    n_factorizations: int


def minimize(
    initial: Factorization,
    start: Lam,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
    model: LocalModel | None = None,
) -> Search:
    """Minimize the criterion over Λ.

    Parameters
    ----------
    initial : Factorization
        At any Λ, mostly 0, where it is least squares; the search ends at once if it
        is an exact fit. Its arrays are written over.
    start : tuple of (s, s) arrays
        Λ of each term to start from.
    tol : float
        Stop when the model predicts a decrease of the criterion of at most this.
    max_iter : int
        Steps tried at most.
    report : callable, optional
        Called with one line per step.
    model : LocalModel, optional
        The function to minimize; None for the criterion.
    """
    if initial.is_exact_fit:
        return Search(initial, FitStatus.EXACT_FIT, 1, 1)
    if not initial.blocks.stages:
        return Search(initial, FitStatus.LEAST_SQUARES, 1, 1)
    descent = _Descent(initial, AverageInformation() if model is None else model, tol, max_iter)
    descent.report = report
    return descent.run(start)


class _Descent:
    """One run of the trust-region iteration.

    It keeps the arrays of one factorization and overwrites them by the next.
    """

    def __init__(
        self,
        initial: Factorization,
        model: LocalModel,
        tol: float,
        max_iter: int,
    ) -> None:
        self.blocks = initial.blocks
        self.latest = initial
        self.model = model
        self.tol = tol
        self.max_iter = max_iter
        self.report: Callable[[str], None] | None = None
        self.is_slow = False
        self.n_factorizations = 1
        self.n_iter = 0

    def run(self, start: Lam) -> Search:
        value = self._evaluate(start)
        if not np.isfinite(value):
            start = tuple(np.eye(len(lam)) for lam in start)
            value = self._evaluate(start)
        point = self._model(value)
        radius = np.inf
        may_vanish, before = True, np.inf
        while not self.latest.is_exact_fit:
            if self.n_iter == self.max_iter or not point.is_usable:
                return self._end_at(point, FitStatus.MAX_ITER)
            self.n_iter += 1
            step, length, is_interior = point.step(radius)
            expected = point.decrease(step)
            lam = point.moved(step)
            rate = expected / before if 0 < before < np.inf else 1.0
            self.is_slow = self.is_slow or SLOW < rate < FALLING
            if is_interior and self._is_last(point, expected, rate):
                return self._last_step(point, lam)
            trial = vanish(point.lam, lam) if may_vanish else lam
            actual = point.value - self._evaluate(trial)
            self._tell(point, radius, expected, actual)
            noise = self._noise(point.value)
            ratio = (actual + noise) / (expected + noise)
            if ratio >= ACCEPT:
                before = expected if is_interior else np.inf
                point, may_vanish = self._model(point.value - actual), True
                if ratio >= GROW:
                    radius = max(radius, 3.0 * length)
            elif trial is not lam:
                may_vanish = False
            else:
                radius = 0.25 * length
        return self._end(FitStatus.EXACT_FIT)

    def _model(self, value: float) -> Point:
        """Model the criterion around the latest Λ."""
        return self.model.point(self.latest, value, is_slow=self.is_slow)

    def _is_last(self, point: Point, expected: float, rate: float) -> bool:
        """Whether what a step leaves to gain is below the tolerance.

        Near the optimum the gain falls by a constant rate or faster from step to
        step, so that a step leaves about the rate times its own gain. What the
        criterion's own rounding hides is nothing.
        """
        rate = 1.0 if self.is_slow else min(1.0, rate)
        return expected * rate <= max(self.tol, RESOLUTION * abs(point.value))

    def _last_step(self, point: Point, lam: Lam) -> Search:
        """Take the last step, to an exact zero where it leads to zero."""
        noise = self._noise(point.value)
        vanished = vanish(point.lam, lam)
        for trial in (vanished, lam) if vanished is not lam else (lam,):
            if self._evaluate(trial) <= point.value + noise:
                return self._end(FitStatus.CONVERGED)
        return self._end_at(point, FitStatus.CONVERGED)

    def _end_at(self, point: Point, status: FitStatus) -> Search:
        self._evaluate(point.lam)
        return self._end(status)

    def _end(self, status: FitStatus) -> Search:
        return Search(self.latest, status, self.n_iter, self.n_factorizations)

    def _evaluate(self, lam: Lam) -> float:
        """Factor at Λ and return the criterion; inf beyond the data's resolution."""
        self.n_factorizations += 1
        try:
            with np.errstate(all="ignore"):  # what overflows is inf, and refused
                self.latest = factorize(self.blocks, lam, reuse=self.latest)
        except np.linalg.LinAlgError:
            return np.inf
        value = self.model.value(self.latest)
        return value if np.isfinite(value) else np.inf

    def _noise(self, value: float) -> float:
        """Return the rounding of the criterion, that of r² as a difference included."""
        squares = float(self.blocks.core[-1, -1]) / self.latest.residual_squares
        of_residual = 4.0 * np.finfo(float).eps * max(self.blocks.dof, 1) * squares
        return float(ROUNDING * (abs(value) + self.blocks.n_rows) + min(of_residual, 1.0))

    def _tell(self, point: Point, radius: float, expected: float, actual: float) -> None:
        if self.report is not None:
            self.report(
                f"step {self.n_iter}: criterion {point.value:.6f}, trust radius {radius:.3g}, "
                f"decrease {actual:.3g} of {expected:.3g} expected"
            )


def vanish(before: Lam, after: Lam) -> Lam:
    """Set to zero the columns of Λ that a step shrinks below `VANISHING`."""
    out, changed = [], False
    for old, new in zip(before, after, strict=True):
        size = np.abs(new).max(axis=0)
        gone = (size > 0) & (size < np.maximum(VANISHING * np.abs(old).max(axis=0), NOTHING))
        changed = changed or bool(gone.any())
        out.append(np.where(gone, 0.0, new))
    return tuple(out) if changed else after
