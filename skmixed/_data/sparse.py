"""Columns of a sparse X: made dense where they are read, a piece at a time."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray


class SparseColumn:
    """One column of a sparse matrix, or consecutive rows of one.

    Stands for its array wherever NumPy takes an array-like. A slice is another
    SparseColumn, so that what goes over the rows in stripes has a stripe of it
    in memory and no more.

    Parameters
    ----------
    rows : (nnz,) array
        Rows of the stored values, ascending and distinct.
    values : (nnz,) array
    n_rows : int
    """

    def __init__(self, rows: NDArray[np.integer], values: NDArray[Any], n_rows: int) -> None:
        self.rows, self.values, self._first, self._n_rows = rows, values, 0, n_rows

    def __len__(self) -> int:
        return self._n_rows

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "SparseColumn":
        """Take consecutive rows, or those of a mask."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(self._n_rows)
            ends = self._first + np.array([start, stop])
            a, b = np.searchsorted(self.rows, ends)
            out = SparseColumn(self.rows[a:b], self.values[a:b], stop - start)
            out._first = int(ends[0])
            return out
        at = self.rows - self._first
        kept = rows[at]
        return SparseColumn(np.cumsum(rows)[at[kept]] - 1, self.values[kept], int(rows.sum()))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A sparse column becomes an array only by a copy.")
        out = np.zeros(self._n_rows, dtype=dtype or self.values.dtype)
        out[self.rows - self._first] = self.values
        return out

    def astype(self, dtype: DTypeLike) -> "SparseColumn":
        out = SparseColumn(self.rows, self.values.astype(dtype, copy=False), self._n_rows)
        out._first = self._first
        return out


def by_columns(X: Any) -> Any:
    """Return a sparse matrix as a csc_array, rows ascending, each entry once.

    Costs O(nnz); X itself is left as it is.
    """
    columns = sp.csc_array(X)
    if not columns.has_canonical_format:
        columns = columns.copy()
        columns.sum_duplicates()
    return columns


def sparse_column(columns: Any, position: int) -> SparseColumn:
    own = slice(*columns.indptr[position : position + 2])
    return SparseColumn(columns.indices[own], columns.data[own], columns.shape[0])
