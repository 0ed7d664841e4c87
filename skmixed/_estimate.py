"""From cross-products to estimates: the kernel's one entry."""

from collections.abc import Callable
from dataclasses import dataclass

from skmixed._blocks import assemble
from skmixed._crossprod import CrossProducts
from skmixed._design import Model
from skmixed._factorize import factorize, zero_lam
from skmixed._identify import Findings, examine
from skmixed._moments import moments
from skmixed._optimize import minimize
from skmixed._solution import Solution, solve
from skmixed._start import moment_start
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
    findings: Findings


def estimate(
    stats: CrossProducts,
    model: Model,
    *,
    tol: float,
    max_iter: int,
    check: Callable[[Findings], None],
    report: Callable[[str], None] | None = None,
) -> Estimate:
    """Fit `model` to the statistics.

    `check` is called with the findings before the search, and may raise.
    """
    blocks = assemble(stats, model)
    at_zero = factorize(blocks, zero_lam(blocks))
    of_data = moments(at_zero) if model.terms else None
    findings = examine(at_zero, of_data)
    check(findings)
    start = moment_start(at_zero, of_data) if of_data is not None else ()
    search = minimize(at_zero, start, tol=tol, max_iter=max_iter, report=report)
    return Estimate(
        solution=solve(search.factorization, model),
        status=search.status,
        n_iter=search.n_iter,
        n_factorizations=search.n_factorizations,
        findings=findings,
    )
