"""One run of the search, and what makes one end better than another."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Factor
from skmixed._derivatives.objectives import Objective
from skmixed._equations.system import System
from skmixed._estimation.probed_objective import FINAL_TOL
from skmixed._estimation.scale_scan import ScaleScan
from skmixed._estimation.search import PATIENCE, Ending, trust_region_search
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus

# Share of the criterion by which an optimum must be lower to be another one.
BETTER = 1e-10


@dataclass(frozen=True)
class MonteCarlo:
    """What the random signs leave uncertain.

    Attributes
    ----------
    sd_errors : tuple of (s,) arrays
        Standard errors of each term's sd's, as shares of them; NaN for an sd of 0.
    criterion_error : float
        Standard error of the criterion.
    n_probes : int
    residual : float
        Relative residual of the last solve, and whether it is what was asked for.
    condition : float
        Of the preconditioned equations.
    """

    sd_errors: tuple[FloatArray, ...]
    criterion_error: float
    n_probes: int
    residual: float
    condition: float

    @property
    def is_solved(self) -> bool:
        return self.residual <= FINAL_TOL


@dataclass(frozen=True)
class SearchReport:
    """Where a search ended, and what it took.

    Attributes
    ----------
    factor : Factor
    status : FitStatus
    n_iter : int
        Steps tried by the run that is kept.
    n_factorizations : int
        Of all runs: Λ at which the equations were solved.
    monte_carlo : MonteCarlo or None
        Of the iterative engine.
    scans : tuple of ScaleScan
        Along the scales of the random effects, where they were made.
    """

    factor: Factor
    status: FitStatus
    n_iter: int
    n_factorizations: int
    monte_carlo: MonteCarlo | None = None
    scans: tuple[ScaleScan, ...] = ()


@dataclass(frozen=True)
class Runs:
    """How each run is made: to which tolerance, and by how many steps.

    `patience` is the number of those by which a run is lower than another end, or left.
    """

    tol: float
    max_iter: int
    report: Callable[[str], None] | None
    patience: int = PATIENCE

    def search(self, objective: Objective, start: Lam, *, known: float = np.inf) -> Ending:
        """Make one; `known` is the value of another end, which it is to be lower than."""
        return trust_region_search(
            objective,
            start,
            tol=self.tol,
            max_iter=self.max_iter,
            report=self.report,
            known=known,
            patience=self.patience,
        )

    def tell(self, line: str) -> None:
        if self.report is not None:
            self.report(line)


def better(best: Ending, other: Ending) -> Ending:
    """Return the lower end; one that has not converged only for another such."""
    open_end = FitStatus.MAX_ITER
    if not is_lower(other.value, best.value):
        return best
    return best if other.status is open_end and best.status is not open_end else other


def is_lower(value: float, other: float) -> bool:
    """Whether a criterion is lower by more than rounding; `other` may be inf."""
    return value < other if np.isinf(other) else value < other - BETTER * max(1.0, abs(other))


def identity(system: System) -> Lam:
    """Λ = I of each term, lme4's start."""
    return tuple(np.eye(t.size) for _, t in system.terms)


def is_trapped(system: System, end: Ending) -> bool:
    """Whether a run ended at a boundary of some structure that may be no optimum."""
    pairs = zip(system.terms, end.lam, strict=True)
    return any(t.term.structure.has_traps and not lam.any(axis=0).all() for (_, t), lam in pairs)
