"""What parts of a saved model are required to be, and the error where they are not.

A file may have been damaged, or made to do damage: what compiled code reads by
indices is checked to be inside of its arrays, and every array to have the shape that
the encoder asks for, before anything is computed with it.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp


class DamagedModelError(ValueError):
    """A saved model that cannot be read."""


def damaged(what: str) -> DamagedModelError:
    """Return the error to raise of a saved model that cannot be read."""
    return DamagedModelError(f"The saved model is damaged: {what}. Save it again, or fit anew.")


def require(is_so: Any, what: str) -> None:
    """Refuse a saved model of which something is not so."""
    if not is_so:
        raise damaged(f"its {what} do not fit the rest")


def check_kind(what: str, value: Any, kind: Any) -> None:
    require(isinstance(value, kind), what)


def check_array(what: str, array: Any, shape: tuple[int, ...], kinds: str = "f") -> None:
    """Check an array of a shape and of kinds of numbers; those with a point are doubles."""
    check_kind(what, array, np.ndarray)
    require(array.shape == shape and array.dtype.kind in kinds and array.dtype.isnative, what)
    require(array.dtype.kind != "f" or kinds != "f" or array.dtype == np.float64, what)


def check_counts(what: str, *counts: Any) -> None:
    require(all(type(count) is int and 0 < count < 2**62 for count in counts), what)


def check_numbers(what: str, *numbers: Any) -> None:
    """Check finite numbers."""
    require(all(type(number) is float and np.isfinite(number) for number in numbers), what)


def check_names(names: Any) -> None:
    check_kind("names of columns", names, tuple)
    require(all(type(name) is str for name in names), "names of columns")


def check_positions(what: str, positions: Any, end: Any) -> None:
    """Check a tuple of distinct integers from 0 up to `end`."""
    check_kind(what, positions, tuple)
    require(all(type(k) is int and 0 <= k < end for k in positions), what)
    require(len(set(positions)) == len(positions), what)


def is_finite_matrix(matrix: Any) -> bool:
    """Whether it is a sparse matrix of finite numbers, as `unpack` returns it."""
    is_matrix = isinstance(matrix, sp.csr_array) and matrix.dtype == np.float64
    return is_matrix and bool(np.isfinite(matrix.data).all())
