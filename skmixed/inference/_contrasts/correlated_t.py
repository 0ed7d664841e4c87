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
# Numbers in memory at once.
AT_ONCE = 1 << 22
# Of this many bits are the points of Sobol's sequence.
SMALLEST = 2.0**-31
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
    """Replicates of directions by Sobol's sequence, each scrambled by itself, and their m²."""

    def __init__(self, factor: FloatArray, seed: np.random.SeedSequence) -> None:
        # Not spawned, which would count: equal families have equal directions
        keys = [(*seed.spawn_key, k) for k in range(REPLICATES)]
        seeds = [np.random.SeedSequence(seed.entropy, spawn_key=key) for key in keys]
        streams = [np.random.default_rng(own) for own in seeds]
        self._factor = factor
        self._sequences = [qmc.Sobol(factor.shape[1], seed=stream) for stream in streams]
        self._counts = np.zeros((REPLICATES, BINS))
        self._sums = np.zeros((REPLICATES, BINS))
        self.size = 0
        self._draw(FIRST)

    def double(self) -> None:
        """Draw as many again."""
        self._draw(self.size)

    def _draw(self, size: int) -> None:
        part = min(size, 1 << int(np.log2(max(AT_ONCE // len(self._factor), 1))))
        for k, sequence in enumerate(self._sequences):
            for _ in range(size // part):
                u = special.ndtri(np.clip(sequence.random(part), SMALLEST, 1.0 - SMALLEST))
                squares = ((u @ self._factor.T) ** 2).max(axis=1) / np.einsum("ia,ia->i", u, u)
                places = np.minimum((squares * BINS).astype(np.intp), BINS - 1)
                self._counts[k] += np.bincount(places, minlength=BINS)
                self._sums[k] += np.bincount(places, squares, minlength=BINS)
        self.size += size

    @property
    def squares(self) -> tuple[FloatArray, FloatArray]:
        """Values of m² and their shares, of all replicates."""
        counts, sums = self._counts.sum(axis=0), self._sums.sum(axis=0)
        has = counts > 0
        return sums[has] / counts[has], counts[has] / counts.sum()

    @property
    def error(self) -> float:
        """The largest standard error, of large probabilities in units of their share."""
        rank = self._factor.shape[1]
        squares = self._sums / np.maximum(self._counts, 1.0)
        squares = np.where(squares > 0, squares, 1.0)[:, None]
        tails = special.chdtrc(rank, JUDGED[:, None] ** 2 / squares)
        tails = np.einsum("rjb,rb->rj", tails, self._counts / self.size)
        errors = np.std(tails, axis=0, ddof=1) / np.sqrt(REPLICATES)
        share = RELATIVE_ERROR / ERROR * tails.mean(axis=0)
        return float((errors / np.maximum(1.0, share)).max())
