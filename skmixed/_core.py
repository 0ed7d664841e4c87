"""The products of the factors that are not eliminated: one dense matrix, or sparse ones."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._crossprod import CrossProducts
from skmixed._rank import WorkingColumns

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Crossed:
    """Products of the columns of the factors in the core, where they stay sparse.

    Attributes
    ----------
    own : tuple of (q, r, r) arrays
        Within each level of each factor.
    matrix : sparse (q_core, q_core) array
        All of them.
    fixed : (q_core, p + 1) array
        With X and y.
    """

    own: tuple[FloatArray, ...]
    matrix: sp.csr_array
    fixed: FloatArray


def pair_matrix(stats: CrossProducts, first: int, second: int) -> sp.csr_array:
    """Return the products of two factors' columns, (q₁·r₁, q₂·r₂)."""
    for pair in stats.pairs:
        if (pair.first, pair.second) == (first, second):
            return pair.matrix
    return pair_matrix(stats, second, first).T.tocsr()


def dense_core(
    stats: CrossProducts,
    factors: list[int],
    total: FloatArray,
    columns: WorkingColumns,
) -> FloatArray:
    """Lay out the dense matrix of what is not eliminated; `total` are X's and y's products."""
    if not factors:
        return total
    sizes = [stats.factors[k].sums[:, :, 0].size for k in factors]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    n = int(starts[-1])
    core = np.zeros((n + len(total),) * 2)
    core[n:, n:] = total
    for i, k in enumerate(factors):
        rows = slice(starts[i], starts[i + 1])
        core[rows, rows] = _block_diagonal(stats.own_products(k))
        core[rows, n:] = columns.with_columns_of(stats, k).reshape(sizes[i], -1)
        core[n:, rows] = core[rows, n:].T
        for j in range(i):
            others = slice(starts[j], starts[j + 1])
            core[rows, others] = pair_matrix(stats, k, factors[j]).toarray()
            core[others, rows] = core[rows, others].T
    return core


def sparse_core(stats: CrossProducts, factors: list[int], columns: WorkingColumns) -> Crossed:
    """Lay out what is not eliminated, sparse."""
    own, p = tuple(map(stats.own_products, factors)), len(columns.used)
    fixed = [columns.with_columns_of(stats, k).reshape(-1, p) for k in factors]
    rows = [
        [
            sparse_diagonal(own[i]) if i == j else pair_matrix(stats, k, factors[j])
            for j in range(len(factors))
        ]
        for i, k in enumerate(factors)
    ]
    matrix = sp.csr_array(sp.block_array(rows, format="csr")) if rows else sp.csr_array((0, 0))
    return Crossed(own, matrix, np.concatenate([np.empty((0, p)), *fixed]))


def sparse_diagonal(blocks: FloatArray) -> sp.csr_array:
    """Lay small matrices, (q, r, s), along the diagonal."""
    q, r, s = blocks.shape
    parts = (np.ascontiguousarray(blocks), np.arange(q), np.arange(q + 1))
    return sp.bsr_array(parts, shape=(q * r, q * s)).tocsr()


def _block_diagonal(blocks: FloatArray) -> FloatArray:
    q, r, _ = blocks.shape
    out = np.zeros((q, r, q, r))
    out[np.arange(q), :, np.arange(q)] = blocks
    return out.reshape(q * r, q * r)
