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

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.dense_system import is_small
from skmixed._equations.cholesky import Factorization, zero_lam
from skmixed._estimation.large_search import LargeSearch
from skmixed._estimation.runs import Runs, SearchReport, identity
from skmixed._estimation.small_search import SmallSearch
from skmixed._typing import Lam
from skmixed.exceptions import FitStatus


def multistart(
    at_zero: Factorization,
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
    at_zero : Factorization
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
    if not at_zero.blocks.factors:
        return SearchReport(at_zero, FitStatus.LEAST_SQUARES, 1, 1)
    runs = Runs(tol, max_iter, report)
    if is_small(at_zero.blocks):
        return SmallSearch(at_zero, likelihood, runs).search(start)
    return LargeSearch(at_zero, likelihood, runs).search(start)


def lowest(
    at_zero: Factorization, likelihood: Likelihood, start: Lam, *, tol: float, max_iter: int
) -> float:
    """Return the lowest criterion that a search from any of the starts ends at.

    From the moments at Λ = 0, from 0 and I themselves, and from the moments within
    groups: several searches' cost. The parameters are those of `multistart`.
    """
    runs = Runs(tol, max_iter, None)
    if is_small(at_zero.blocks):
        small = SmallSearch(at_zero, likelihood, runs)
        starts = [start, zero_lam(small.blocks), identity(small.blocks)]
        ends = [small.run(own).value for own in starts]
        return min([*ends, small.run(small.within_start(), is_scanned=False).value])
    large = LargeSearch(at_zero, likelihood, runs)
    within = large.within_start()
    starts = [start, zero_lam(large.blocks), *([] if within is None else [within])]
    return min(large.run(own).value for own in starts)
