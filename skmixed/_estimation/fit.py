"""From cross-products to estimates: the kernel's one entry."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Likelihood, lay_out
from skmixed._derivatives.moments import Moments, moments
from skmixed._equations.cholesky import CholeskyFactor, factorize, zero_lam
from skmixed._equations.system import System
from skmixed._estimation.identifiability import Identifiability, examine
from skmixed._estimation.iterative import iterate
from skmixed._estimation.multistart import multistart
from skmixed._estimation.runs import MonteCarlo, SearchReport
from skmixed._estimation.solution import Solution, interpolating, solve
from skmixed._estimation.start import moment_start
from skmixed._model.terms import Model
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray
from skmixed.exceptions import FitStatus


@dataclass(frozen=True)
class Estimate:
    """A solution, how the search for it went, and what the data left open.

    The factorization is not kept: it is made again, from the statistics and the
    solution's Λ, where it is needed.
    """

    solution: Solution
    status: FitStatus
    n_iter: int
    n_factorizations: int
    findings: Identifiability
    monte_carlo: MonteCarlo | None = None

    @property
    def solver(self) -> str:
        """Which engine it was: "exact" or "iterative"."""
        return "exact" if self.monte_carlo is None else "iterative"


@dataclass(frozen=True)
class Examined:
    """A system before the search: factored at Λ = 0, with what the data cannot determine.

    Attributes
    ----------
    model : Model
    at_zero : CholeskyFactor
    likelihood : Likelihood
    moments : Moments or None
        None for a model without random effects.
    findings : Identifiability
    is_iterative : bool
        Whether its core is sparse, for the iterative engine.
    """

    model: Model
    at_zero: CholeskyFactor
    likelihood: Likelihood
    moments: Moments | None
    findings: Identifiability
    is_iterative: bool


def examined(stats: CrossProducts, model: Model, *, solver: str = "exact") -> Examined:
    """Lay out the system of a model; `solver` is "exact" or "iterative"."""
    is_iterative = solver == "iterative" and len({t.factor for t in model.terms}) > 1
    system, likelihood = lay_out(stats, model, is_sparse=is_iterative)
    at_zero = factorize(system, zero_lam(system))
    of_data = moments(at_zero) if model.terms else None
    findings = examine(at_zero, likelihood, of_data)
    return Examined(model, at_zero, likelihood, of_data, findings, is_iterative)


def fit_system(
    given: Examined,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
    before: Estimate | None = None,
    seed: int = 0,
) -> Estimate:
    """Fit the model of a system.

    The arrays of its factorization are written over. The search starts from the
    estimates `before`, of fewer rows, if there are any; `seed` is that of the random
    signs of the iterative engine.
    """
    found = search_system(
        given, tol=tol, max_iter=max_iter, report=report, before=before, seed=seed
    )
    solution = solve(found.factor, given.likelihood, given.model)
    # Of the iterative engine, too, seven digits are left at its smaller Λ.
    if found.status is FitStatus.EXACT_FIT and not given.is_iterative:
        solution = interpolating(solution, found.factor.system, found.factor.lam, given.model)
    return Estimate(
        solution=solution,
        status=found.status,
        n_iter=found.n_iter,
        n_factorizations=found.n_factorizations,
        findings=given.findings,
        monte_carlo=found.monte_carlo,
    )


def search_system(
    system: Examined,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
    before: Estimate | None = None,
    seed: int = 0,
) -> SearchReport:
    """Search for Λ, with the parameters of `fit_system`."""
    at_zero, likelihood = system.at_zero, system.likelihood
    start = None if before is None else _start_from(before, at_zero.system)
    if start is None:
        start = () if system.moments is None else moment_start(at_zero, likelihood, system.moments)
    # Each engine ends with a factor, of which the estimates are read off.
    if system.is_iterative:
        return iterate(at_zero, likelihood, start, seed=seed, max_iter=max_iter, report=report)
    return multistart(at_zero, likelihood, start, tol=tol, max_iter=max_iter, report=report)


def estimate_at_zero(stats: CrossProducts, model: Model) -> Estimate:
    """Return the estimates with variances of 0."""
    system, likelihood = lay_out(stats, model)
    at_zero = factorize(system, zero_lam(system))
    return Estimate(
        solution=solve(at_zero, likelihood, model),
        status=FitStatus.UNDETERMINED,
        n_iter=1,
        n_factorizations=1,
        findings=Identifiability(rank=system.n_fixed),
    )


def _start_from(before: Estimate, system: System) -> tuple[FloatArray, ...] | None:
    """Carry Λ over to other rows; None from a boundary, or for other terms.

    From a boundary the moments are the better start, and as cheap.
    """
    terms = [term for _, term in system.terms]
    lams = [t.lam for t in before.solution.terms]
    if before.status is not FitStatus.CONVERGED or before.solution.is_singular:
        return None
    if len(terms) != len(lams) or not all(map(_has_form, terms, lams)):
        return None
    root_unit = float(np.sqrt(system.weight_unit))
    return tuple(
        np.asarray(np.linalg.solve(term.to_user, root_unit * lam), dtype=np.float64)
        for term, lam in zip(terms, lams, strict=True)
    )


def _has_form(term: TermCoordinates, lam: FloatArray) -> bool:
    """Whether Λ is of the term's size and structure."""
    structure, size = term.term.structure, term.size
    return len(lam) == size and np.allclose(structure.lam(structure.theta(lam), size), lam)
