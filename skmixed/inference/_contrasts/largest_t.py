"""Distributions of the largest |t| of several, by which p values and intervals are adjusted.

All t have one denominator S, √(χ²/df) for df degrees of freedom: the largest |t| is M/S
with the largest M of normal variables, which S does not depend on. With df = ∞ it is M.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special
from scipy import stats as distributions
from scipy.optimize import brentq

from skmixed._typing import FloatArray

# The trapezoidal rule is exact to rounding for analytic functions that vanish at both ends.
# Normal densities vanish beyond 9, and that of log S where so little probability is left.
STEP, END, NOTHING = 0.125, 9.0, 1e-17
NORMAL_NODES = np.arange(-END, END + STEP / 2, STEP)
NORMAL_WEIGHTS = STEP * np.exp(-0.5 * NORMAL_NODES**2) / np.sqrt(2.0 * np.pi)
# Squares of loadings up to which steps of STEP resolve what is integrated over their factor, and
# by how much correlations may be other than the products of the loadings.
LARGEST_LOADING, SAME = 0.9, 1e-9
# Quantiles lie between those of one t and Bonferroni's, up to rounding.
WIDER = 1e-6


class LargestT(Protocol):
    """The distribution of the largest |t|."""

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        """Return the probabilities that it exceeds x, where t has df degrees of freedom."""

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        """Return what it exceeds with probability p."""


@dataclass(frozen=True)
class BonferroniT:
    """At most what n tests have together, whatever their correlation; of one, its own."""

    n: int

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        return np.asarray(np.minimum(self.n * own_tail(x, df), 1.0))

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        return np.asarray(distributions.t.isf(p / (2.0 * self.n), df))


@dataclass(frozen=True)
class SidakT:
    """The largest of n as if they were independent."""

    n: int

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):  # of t = 0
            return np.asarray(-np.expm1(self.n * np.log1p(-own_tail(x, df))))

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        return np.asarray(distributions.t.isf(-np.expm1(np.log1p(-p) / self.n) / 2.0, df))


@dataclass(frozen=True)
class ScheffeT:
    """The largest of all linear combinations in as many dimensions: √(rank F)."""

    rank: int

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        return f_tail(x**2 / self.rank, self.rank, df)

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        f = distributions.f.isf(p, self.rank, np.where(np.isinf(df), 1.0, df))
        of_normal = distributions.chi2.isf(p, self.rank) / self.rank
        return np.asarray(np.sqrt(self.rank * np.where(np.isinf(df), of_normal, f)))


@dataclass(frozen=True)
class StudentizedRange:
    """The largest of all pairwise differences of n independent means of one variance.

    It is the studentized range divided by √2. `n` may be fractional.
    """

    n: float

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        return over_denominators(self._of_normal, x, df)

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        return solved_quantile(self, p, df, self.n * (self.n - 1) / 2)

    def _of_normal(self, x: FloatArray) -> FloatArray:
        """1 − n ∫ φ(z) [Φ(z) − Φ(z − √2 x)]ⁿ⁻¹ dz."""
        z = NORMAL_NODES
        inside = special.ndtr(z) - special.ndtr(z - np.sqrt(2.0) * x[..., None])
        inside = np.maximum(inside, 0.0)  # which rounding may leave below
        return np.asarray(1.0 - self.n * (inside ** (self.n - 1)) @ NORMAL_WEIGHTS)


@dataclass(frozen=True)
class DunnettXT:
    """The largest of n differences from a control, approximately, as emmeans does.

    An average of what n pairwise differences and n independent t have, with the weights
    (n − 1)/n and 1/n.
    """

    n: int

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        pairs = StudentizedRange((1.0 + np.sqrt(1.0 + 8.0 * self.n)) / 2.0).tail(x, df)
        share = (self.n - 1) / self.n
        return np.asarray(share * pairs + (1.0 - share) * SidakT(self.n).tail(x, df))

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        return solved_quantile(self, p, df, self.n)


@dataclass(frozen=True)
class OneFactorT:
    """The largest of n whose correlations are products λ_i λ_j, as those of Dunnett's tests.

    Given one normal variable z they are independent (Dunnett, 1955, J. Am. Stat. Assoc. 50,
    1096–1121).
    """

    loadings: FloatArray

    @staticmethod
    def of(correlation: FloatArray) -> "OneFactorT | None":
        """Return the law of a correlation matrix, or None of one that has other correlations."""
        own = correlation - np.diag(np.diagonal(correlation))
        loadings = np.zeros(len(own))
        if np.abs(own).max() > SAME:
            # λ_i² = r_ij r_ik / r_jk of the largest in a row; of two tests λ_i² = λ_j² = |r|
            i = int(np.abs(own).sum(axis=1).argmax())
            k, j = np.argsort(np.abs(own[i]))[-2:]
            square = own[i, j] * own[i, k] / (own[j, k] or np.inf)
            square = abs(own[i, j]) if len(own) == 2 else square
            if square <= 0.0:
                return None
            loadings = own[i] / np.sqrt(square)
            loadings[i] = np.sqrt(square)
        products = np.outer(loadings, loadings) * (1.0 - np.eye(len(own)))
        is_it = np.abs(own - products).max() <= SAME and (loadings**2).max() <= LARGEST_LOADING
        return OneFactorT(loadings) if is_it else None

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        return over_denominators(self._of_normal, x, df)

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        return solved_quantile(self, p, df, len(self.loadings))

    def _of_normal(self, x: FloatArray) -> FloatArray:
        """1 − ∫ φ(z) Π_i [Φ((x − λ_i z)/√(1 − λ_i²)) − Φ((−x − λ_i z)/√(1 − λ_i²))] dz."""
        inside = np.ones((*x.shape, len(NORMAL_NODES)))
        for own in self.loadings:
            shift, root = own * NORMAL_NODES, np.sqrt(1.0 - own**2)
            ends = (sign * x[..., None] - shift for sign in (1.0, -1.0))
            upper, lower = (special.ndtr(end / root) for end in ends)
            inside *= upper - lower
        return np.asarray(1.0 - inside @ NORMAL_WEIGHTS)


def own_tail(x: FloatArray, df: FloatArray) -> FloatArray:
    """Return the probabilities that one |t| exceeds x."""
    return np.asarray(2.0 * distributions.t.sf(x, df))


def f_tail(f: FloatArray, rank: int, df: FloatArray) -> FloatArray:
    """P(F > f), of df = ∞ by χ²."""
    of_f = special.fdtrc(rank, np.where(np.isinf(df), 1.0, df), f)
    return np.where(np.isinf(df), special.chdtrc(rank, rank * f), of_f)


def denominators(df: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights for the mean of a function of S, equidistant in log S."""
    if np.isinf(df):
        return np.ones(1), np.ones(1)
    first = 0.5 * np.log(distributions.chi2.ppf(NOTHING, df) / df)
    last = 0.5 * np.log(distributions.chi2.isf(NOTHING, df) / df)
    # The standard deviation of log S is about 1/√(2 df)
    step = min(STEP, 0.5 / np.sqrt(2.0 * df))
    u = np.arange(first, last + step, step)
    # (df u − ½ df e²ᵘ) is the log density but for a constant
    weights = np.exp(df * (u - 0.5 * np.expm1(2.0 * u)))
    return np.exp(u), weights / weights.sum()


def over_denominators(
    of_normal: Callable[[FloatArray], FloatArray], x: FloatArray, df: FloatArray
) -> FloatArray:
    """Return the probabilities that M/S exceeds x, of those that M exceeds something."""
    out = np.full(len(x), np.nan)
    for one in np.unique(df[~np.isnan(df)]):
        own = df == one
        nodes, weights = denominators(float(one))
        out[own] = of_normal(x[own, None] * nodes) @ weights
    return out


def solved_quantile(law: LargestT, p: float, df: FloatArray, n: float) -> FloatArray:
    """Return what the largest of `n` exceeds with probability p, by a root of its tail."""
    out = np.full(len(df), np.nan)
    for one in np.unique(df[~np.isnan(df)]):
        own = np.array([one])
        low, high = distributions.t.isf(p / (2.0 * np.array([1.0, n])), one)
        ends = float(low) * (1.0 - WIDER), float(high) * (1.0 + WIDER)
        out[df == one] = brentq(
            lambda x, own=own: float(law.tail(np.array([x]), own)[0]) - p, *ends, xtol=1e-12
        )
    return out
