"""From cross-products to estimates: the kernel's one entry."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._blocks import assemble
from skmixed._crossprod import CrossProducts
from skmixed._design import Model
from skmixed._factorize import factorize
from skmixed._identify import Findings, examine
from skmixed._optimize import Search, minimize
from skmixed._solution import Solution, solve

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A solution, how the search for it went, and what the data left open."""

    solution: Solution
    search: Search
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
    zero = (
        ()
        if blocks.factor is None
        else tuple(np.zeros((t.size, t.size)) for t in blocks.factor.terms)
    )
    at_zero = factorize(blocks, zero)
    findings = examine(at_zero)
    check(findings)
    search = minimize(at_zero, tol=tol, max_iter=max_iter, report=report)
    return Estimate(solve(search.factorization, model), search, findings)
