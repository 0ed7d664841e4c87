"""Weighted sums of the columns of a table, row by row.

A matrix product may add the terms of a row in an order that depends on the row's
place and on how many others there are. Here the order is that of the columns for
every row, so that a row's sum is the same to the bit whatever the other rows are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._data.table import Table, float_column
from skmixed._typing import FloatArray

# Products held at a time, which fit into the second-level cache.
SLAB = 2**16
# Rows of a slab at least, for calls to be few beside the arithmetic.
SHORTEST = 512
# NumPy adds the rows of an array one after the other, unless each is one number:
# those it adds in pairs.
NARROWEST = 8


def weighted_sum(
    table: Table, positions: Sequence[int], names: Sequence[str], weights: FloatArray
) -> FloatArray:
    """Return Σ_k weights[k] · column positions[k], (n,).

    Where a value is missing or infinite, so is the sum. A sparse table costs
    O(nnz) and is never made dense.
    """
    if sp.issparse(table.matrix):
        return _sparse_sum(table.matrix, positions, weights)
    if table.matrix is None:
        columns = [raw_column(table, j, name) for j, name in zip(positions, names, strict=True)]
        return _sum_of_columns(columns, weights, table.n_rows)
    return _sum_of_matrix(table.matrix, _as_slice(positions), weights)


def raw_column(table: Table, position: int, name: str) -> Any:
    """Return a column of numbers, of any type where the table is one array of it."""
    column = table.get(position)
    return float_column(column, name) if table.matrix is None else column


def dense_slabs(
    table: Table, positions: Sequence[int], names: Sequence[str]
) -> Iterator[tuple[slice, FloatArray]]:
    """Yield some rows of the columns at a time, as arrays of (rows, columns)."""
    step = max(SLAB // max(len(positions), 1), SHORTEST)
    columns: list[FloatArray] = []
    matrix: Any = None if table.matrix is None else table.matrix[:, _as_slice(positions)]
    is_sparse = sp.issparse(matrix)
    if is_sparse:
        matrix = matrix.tocsr()
    elif matrix is None:
        columns = [raw_column(table, j, name) for j, name in zip(positions, names, strict=True)]
    for start in range(0, table.n_rows, step):
        rows = slice(start, min(start + step, table.n_rows))
        if matrix is None:
            out = np.zeros((rows.stop - start, len(columns)))
            for k, column in enumerate(columns):
                out[:, k] = np.asarray(column[rows])
        else:
            out = matrix[rows].toarray() if is_sparse else matrix[rows]
        yield rows, np.asarray(out, dtype=np.float64)


def _sum_of_columns(columns: list[FloatArray], weights: FloatArray, n_rows: int) -> FloatArray:
    def fill(rows: slice, products: FloatArray) -> None:
        for column, weight, product in zip(columns, weights, products, strict=True):
            np.multiply(column[rows], weight, out=product)

    return _in_slabs(fill, len(weights), n_rows)


def _sum_of_matrix(
    matrix: NDArray[Any], positions: slice | NDArray[np.intp], weights: FloatArray
) -> FloatArray:
    def fill(rows: slice, products: FloatArray) -> None:
        part = matrix[rows].T[positions]
        np.multiply(part, weights[:, None], out=products, dtype=np.float64)

    return _in_slabs(fill, len(weights), len(matrix))


def _in_slabs(fill: Callable[[slice, FloatArray], None], n_columns: int, n_rows: int) -> FloatArray:
    """Sum products that `fill` lays out for some rows at a time, a column a line."""
    out = np.empty(n_rows)
    step = min(max(SLAB // max(n_columns, 1), SHORTEST), n_rows)
    products = np.zeros((n_columns, max(step, NARROWEST)))
    for start in range(0, n_rows, step):
        rows = slice(start, min(start + step, n_rows))
        size = rows.stop - start
        fill(rows, products[:, :size])
        out[rows] = products.sum(axis=0)[:size]
    return out


def _sparse_sum(matrix: Any, positions: Sequence[int], weights: FloatArray) -> FloatArray:
    """Sum a matrix stored by columns: `bincount` adds one value after the other."""
    used = matrix[:, _as_slice(positions)]
    products = used.data * np.repeat(weights, np.diff(used.indptr))
    sums = np.bincount(used.indices, weights=products, minlength=used.shape[0])
    return sums.astype(np.float64, copy=False)  # integers where nothing is stored


def _as_slice(positions: Sequence[int]) -> slice | NDArray[np.intp]:
    """Consecutive positions as a slice, which takes a view."""
    if len(positions) and positions[-1] - positions[0] + 1 == len(positions):
        return slice(positions[0], positions[-1] + 1)
    return np.asarray(positions, dtype=np.intp)
