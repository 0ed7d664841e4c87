"""The distribution of the largest |t| of several that are correlated, in any way."""

from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.stats import qmc

from skmixed._typing import FloatArray
from skmixed.inference._contrasts.largest_t import f_tail, own_tail, solved_quantile

# Eigenvalues of a correlation matrix up to this share of the largest are none.
SINGULAR = 1e-10
# As many directions are drawn as bring the standard errors of probabilities to this, or to
# this share of the probability; but no more than this many in one replicate, or operations.
ERROR, RELATIVE_ERROR = 4e-5, 4e-4
REPLICATES, FIRST, LAST, OPERATIONS = 8, 1 << 11, 1 << 17, 4e9
# Values of m² that are held together: their mean is exact, and the rest of the second order.
BINS = 1024
# Numbers in memory at once, near to a core.
AT_ONCE = 1 << 17
# Binary digits of Sobol's points, and how many of them the table of normal quantiles has: medians
# of intervals of equal probability. Tails of 1e-4 are then right to 1e-5 of themselves.
BITS, TABLE_BITS = 30, 16
QUANTILES = special.ndtri((np.arange(1 << TABLE_BITS) + 0.5) / (1 << TABLE_BITS)).astype(np.float32)
# Normal M at which standard errors are judged: its probabilities are from 1 to 1e-6.
JUDGED = np.linspace(1.0, 5.0, 9)


@dataclass(frozen=True)
class CorrelatedT:
    """The largest of n |t| with given correlations, of a matrix of any rank.

    The normal variables are A u, with unit rows a_i of A and independent u of length ρ in a
    direction ω. The largest is ρ m(ω), m = max |a_i'ω|, and ρ²/(rank S²) has an F
    distribution that does not depend on ω: P = E_ω P(F > x²/(rank m²)). Only the mean over
    the directions is drawn (Deák, 1980, Numer. Math. 35, 35–53).

    Attributes
    ----------
    n, rank : int
        How many there are, and of how many dimensions.
    squares, shares : (bins,) arrays
        Values of m², and the shares of the directions that have them.
    error : float
        The largest standard error of probabilities up to 0.1, and of three times the larger
        ones, or what it is in units of `ERROR`.
    """

    n: int
    rank: int
    squares: FloatArray
    shares: FloatArray
    error: float = 0.0

    @staticmethod
    def of(correlation: FloatArray, seed: np.random.SeedSequence) -> "CorrelatedT":
        """Draw directions until the probabilities are known well enough."""
        sizes, vectors = np.linalg.eigh(correlation)
        has = sizes > SINGULAR * sizes[-1]
        factor = vectors[:, has] * np.sqrt(sizes[has])
        factor /= np.linalg.norm(factor, axis=1, keepdims=True)
        n, rank = factor.shape
        if rank == 1:
            return CorrelatedT(n, rank, np.ones(1), np.ones(1))
        directions = _DrawnDirections(factor, seed)
        most = min(OPERATIONS / (REPLICATES * n * rank), LAST)
        while directions.error > ERROR and directions.size < most:
            directions.double()
        return CorrelatedT(n, rank, *directions.squares, directions.error)

    def tail(self, x: FloatArray, df: FloatArray) -> FloatArray:
        found = f_tail(x[:, None] ** 2 / (self.rank * self.squares), self.rank, df[:, None])
        # Between what one of them has and what they have at most
        own = own_tail(x, df)
        return np.asarray(np.clip(found @ self.shares, own, np.minimum(self.n * own, 1.0)))

    def quantile(self, p: float, df: FloatArray) -> FloatArray:
        return solved_quantile(self, p, df, self.n)


class _DrawnDirections:
    """Replicates of directions by Sobol's sequence, each shifted by itself, and their m²."""

    def __init__(self, factor: FloatArray, seed: np.random.SeedSequence) -> None:
        n, rank = factor.shape
        # Of a copy, as spawning counts: equal families have equal directions
        own = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
        stream = np.random.default_rng(own)
        self._sequence = qmc.Sobol(rank, bits=BITS, seed=stream)
        # Shifted at random, digit by digit, each point is uniform and the set as even as before
        self._shifts = stream.integers(1 << BITS, size=(REPLICATES, rank, 1), dtype=np.uint32)
        # Of products of 7 digits m² has nearly as many
        self._factor = factor.astype(np.float32)
        self._at_once = 1 << max(int(np.log2(AT_ONCE / n)), 4)
        self._counts = np.zeros((REPLICATES, BINS))
        self._sums = np.zeros((REPLICATES, BINS))
        self.size = 0
        self._draw(FIRST)

    def double(self) -> None:
        """Draw as many again."""
        self._draw(self.size)

    def _draw(self, size: int) -> None:
        part = min(size, self._at_once)
        for _ in range(size // part):
            points = np.ldexp(self._sequence.random(part).T, BITS).astype(np.uint32)
            for k, shift in enumerate(self._shifts):
                squares = self._squares_at(QUANTILES[(points ^ shift) >> (BITS - TABLE_BITS)])
                places = np.minimum(squares * BINS, BINS - 1).astype(np.intp)
                self._counts[k] += np.bincount(places, minlength=BINS)
                self._sums[k] += np.bincount(places, squares, minlength=BINS)
        self.size += size

    def _squares_at(self, u: FloatArray) -> FloatArray:
        """Return m² of normal variables, (rank, n_points)."""
        products = self._factor @ u
        products *= products
        return np.asarray(products.max(axis=0) / np.einsum("ak,ak->k", u, u))

    @property
    def squares(self) -> tuple[FloatArray, FloatArray]:
        """Values of m² and their shares, of all replicates."""
        counts, sums = self._counts.sum(axis=0), self._sums.sum(axis=0)
        has = counts > 0
        return sums[has] / counts[has], counts[has] / counts.sum()

    @property
    def error(self) -> float:
        """The largest standard error, of large probabilities in units of their share."""
        squares = self._sums / np.maximum(self._counts, 1.0)
        squares = np.where(squares > 0, squares, 1.0)[:, None]
        tails = special.chdtrc(self._factor.shape[1], JUDGED[:, None] ** 2 / squares)
        tails = np.einsum("rjb,rb->rj", tails, self._counts / self.size)
        errors = np.std(tails, axis=0, ddof=1) / np.sqrt(REPLICATES)
        share = RELATIVE_ERROR / ERROR * tails.mean(axis=0)
        return float((errors / np.maximum(1.0, share)).max())
