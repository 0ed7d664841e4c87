"""Adjustment of p values and intervals to the number of tests in a family, by name.

A further one is an entry of `ADJUSTMENTS`, for which the tests of this file then run too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._typing import FloatArray, IntArray
from skmixed.inference._contrasts.correlated_t import SINGULAR, CorrelatedT
from skmixed.inference._contrasts.largest_t import (
    BonferroniT,
    DunnettXT,
    LargestT,
    OneFactorT,
    ScheffeT,
    SidakT,
    StudentizedRange,
    own_tail,
)


@dataclass(frozen=True)
class FamilyOfTests:
    """Tests that are adjusted together.

    Attributes
    ----------
    t : (k,) array
        NaN of what is not estimable. It counts all the same, as in emmeans.
    df : (k,) array
        Degrees of freedom, infinite of normal tests.
    correlation : (k, k) array
        Of the estimates; what is not estimable does not count.
    n_cells : int
        How many means are compared.
    seed : SeedSequence
        For what is drawn.
    """

    t: FloatArray
    df: FloatArray
    correlation: FloatArray
    n_cells: int
    seed: np.random.SeedSequence

    @property
    def size(self) -> int:
        return len(self.t)

    @property
    def rank(self) -> int:
        """How many of them are independent."""
        sizes = np.linalg.eigvalsh(self.estimable)
        return int((sizes > SINGULAR * sizes[-1]).sum())

    @property
    def estimable(self) -> FloatArray:
        """The correlation of those that are."""
        has = ~np.isnan(self.t)
        return self.correlation[np.ix_(has, has)]


@dataclass(frozen=True)
class Adjustment:
    """A way to adjust.

    Attributes
    ----------
    name : str
        What users call it.
    method : str
        What a remark calls it.
    largest : callable
        From a family to the distribution that intervals, and without `steps` p values
        too, are taken from.
    steps : callable or None
        From the p values of a family, all estimable or fewer, and its size to those of a
        method by steps, which has no intervals of its own.
    needs : str or None
        The one method of comparisons that it is for.
    of_one : bool
        Whether it changes a family of one.
    counts_cells : bool
        Whether a remark counts the cells, and not the comparisons.
    """

    name: str
    method: str
    largest: Callable[[FamilyOfTests], LargestT]
    steps: Callable[[FloatArray, int], FloatArray] | None = None
    needs: str | None = None
    of_one: bool = False
    counts_cells: bool = False

    def of(self, family: FamilyOfTests, level: float) -> tuple[FloatArray, FloatArray]:
        """Return the p values and the half lengths of the intervals in standard errors."""
        has = ~np.isnan(family.t)
        p, half = np.full(family.size, np.nan), np.full(family.size, np.nan)
        if not has.any():
            return p, half
        adjusts = family.size > 1 or self.of_one
        law = self.largest(family) if adjusts else BonferroniT(1)
        x, df = np.abs(family.t[has]), family.df[has]
        half[has] = law.quantile(1.0 - level, df)
        if self.steps is None or not adjusts:
            p[has] = law.tail(x, df)
        else:
            p[has] = self.steps(own_tail(x, df), family.size)
        return p, half


def _holm(p: FloatArray, n: int) -> FloatArray:
    """Holm (1979, Scand. J. Stat. 6, 65–70): from the least p value up."""
    order = np.argsort(p)
    steps = np.maximum.accumulate((n - np.arange(len(p))) * p[order])
    return _in_place(steps, order)


def _benjamini_hochberg(p: FloatArray, n: int) -> FloatArray:
    """Benjamini and Hochberg (1995, J. R. Stat. Soc. B 57, 289–300): from the largest down."""
    order = np.argsort(p)[::-1]
    steps = np.minimum.accumulate(n / np.arange(len(p), 0, -1) * p[order])
    return _in_place(steps, order)


def _in_place(steps: FloatArray, order: IntArray) -> FloatArray:
    out = np.empty(len(steps))
    out[order] = np.minimum(steps, 1.0)
    return out


def _bonferroni(family: FamilyOfTests) -> LargestT:
    return BonferroniT(family.size)


def _multivariate_t(family: FamilyOfTests) -> LargestT:
    """Exact by one integral where the correlations are products, else by drawn directions."""
    return OneFactorT.of(family.estimable) or CorrelatedT.of(family.estimable, family.seed)


# The word that users say to for no adjustment is None.
NONE = Adjustment("none", "", lambda _: BonferroniT(1))
ADJUSTMENTS = {
    adjustment.name: adjustment
    for adjustment in (
        Adjustment(
            "tukey",
            "Tukey's method",
            lambda family: StudentizedRange(family.n_cells),
            needs="pairwise",
            counts_cells=True,
        ),
        Adjustment(
            "dunnettx",
            "emmeans' approximation of Dunnett's method",
            lambda family: DunnettXT(family.size),
            needs="trt.vs.ctrl",
        ),
        Adjustment("dunnett", "Dunnett's method", _multivariate_t, needs="trt.vs.ctrl"),
        Adjustment("holm", "Holm's method", _bonferroni, steps=_holm),
        Adjustment("bonferroni", "Bonferroni's method", _bonferroni),
        Adjustment("sidak", "Šidák's method", lambda family: SidakT(family.size)),
        Adjustment(
            "scheffe", "Scheffé's method", lambda family: ScheffeT(family.rank), of_one=True
        ),
        Adjustment(
            "fdr_bh", "Benjamini and Hochberg's method", _bonferroni, steps=_benjamini_hochberg
        ),
        Adjustment("mvt", "the multivariate t distribution", _multivariate_t),
    )
}
# What p.adjust and emmeans call them
ADJUSTMENTS_OF_R = {"fdr": "fdr_bh", "BH": "fdr_bh", "none": None}
