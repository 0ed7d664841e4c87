"""Products of the rows of subjects: summed over those of one pattern, or row by row.

The columns of the rows are w = [Z X y]. All that the likelihood needs of them are
Σ_ab c_ab Σ w_a w_b' for coefficients c of pairs of rows, and Σ w_a'Bw_b for every pair.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skmixed._typing import FloatArray, IntArray

# Rows that are gathered at a time.
PART = 2**14


class BlockProducts(Protocol):
    """Products of pairs of rows within blocks of n rows, of b patterns."""

    def quadratic(self, coefficients: FloatArray) -> FloatArray:
        """Return Σ c_ab w_a w_b' over all pairs, (c, b, n, n) to (c, k, k)."""

    def gram(self, matrix: FloatArray) -> FloatArray:
        """Return Σ w_a'Bw_b over the blocks of each pattern, (k, k) to (b, n, n)."""

    def sandwich(self, matrices: FloatArray, visit: IntArray, m: int) -> FloatArray:
        """Return Σ (Aw)_a (Aw)_b' over all pairs of m visits, for A, (b, n, n); (m, m, k, k)."""


@dataclass(frozen=True)
class SummedProducts:
    """Sums over the blocks of each pattern.

    Attributes
    ----------
    sums : (b, n, n, k, k) array
        Σ w_a w_b'.
    """

    sums: FloatArray

    @staticmethod
    def of(wide: FloatArray, rows: IntArray, starts: list[int]) -> "SummedProducts":
        """Add up blocks, (N, n), pattern by pattern; each begins at one of the starts."""
        n, k = rows.shape[1], wide.shape[1]
        ends, step = [*starts[1:], len(rows)], max(PART // n, 1)
        sums = np.empty((len(starts), n, n, k, k))
        for out, start, end in zip(sums, starts, ends, strict=True):
            total: FloatArray = np.zeros((n * k, n * k))
            for at in range(start, end, step):
                own = wide[rows[at : min(at + step, end)]].reshape(-1, n * k)
                total += own.T @ own
            out[...] = total.reshape(n, k, n, k).transpose(0, 2, 1, 3)
        return SummedProducts(sums)

    def quadratic(self, coefficients: FloatArray) -> FloatArray:
        b, n, _, k, _ = self.sums.shape
        entries = coefficients.reshape(-1, b * n * n)
        return np.asarray(entries @ self.sums.reshape(b * n * n, k * k)).reshape(-1, k, k)

    def gram(self, matrix: FloatArray) -> FloatArray:
        b, n, _, k, _ = self.sums.shape
        return np.asarray(self.sums.reshape(b * n * n, k * k) @ matrix.ravel()).reshape(b, n, n)

    def sandwich(self, matrices: FloatArray, visit: IntArray, m: int) -> FloatArray:
        b, n, _, k, _ = self.sums.shape
        # A times the first index of the sums, then times the second
        half = (matrices @ self.sums.reshape(b, n, n * k * k)).reshape(b, n, n, k * k)
        both = matrices @ half.transpose(0, 2, 1, 3).reshape(b, n, n * k * k)
        both = both.reshape(b, n, n, k, k).transpose(0, 2, 1, 3, 4)
        out = np.zeros((m, m, k, k))
        np.add.at(out, (visit[:, :, None], visit[:, None, :]), both)
        return out


@dataclass(frozen=True)
class RowProducts:
    """The rows themselves: as many patterns as blocks.

    Attributes
    ----------
    rows : (b, n, k) array
    """

    rows: FloatArray

    def quadratic(self, coefficients: FloatArray) -> FloatArray:
        k = self.rows.shape[2]
        flat = self.rows.reshape(-1, k)
        out = np.empty((len(coefficients), k, k))
        for own, matrix in zip(out, coefficients, strict=True):
            own[...] = flat.T @ (matrix @ self.rows).reshape(-1, k)
        return out

    def gram(self, matrix: FloatArray) -> FloatArray:
        return (self.rows @ matrix) @ self.rows.transpose(0, 2, 1)

    def sandwich(self, matrices: FloatArray, visit: IntArray, m: int) -> FloatArray:
        b, _, k = self.rows.shape
        laid = np.zeros((b, m, k))
        laid[np.arange(b)[:, None], visit] = matrices @ self.rows
        flat = laid.reshape(b, m * k)
        return (flat.T @ flat).reshape(m, k, m, k).transpose(0, 2, 1, 3)
