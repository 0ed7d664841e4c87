"""Labels of grouping columns: learned in fit, looked up in predict."""

from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._typing import IntArray
from skmixed.exceptions import UnknownLevelsWarning, warn

# Above this a float no longer holds every integer.
EXACT_INTEGERS = 2.0**53
# Floats of as many steps between them may have been integers next to each other.
NEIGHBORS = 4
# Rows from which looking at the range of integer labels pays.
SMALL = 1_000


@dataclass(frozen=True)
class ColumnLevels:
    """The distinct labels of one grouping column, in their order.

    Equal numbers are one label whatever their type: 308, 308.0 and
    numpy.int64(308), but not "308". Labels are hashed, never compared as text
    or cast, so that large integers stay apart.

    Attributes
    ----------
    labels : (q,) array
        Of integers, floats, dates or objects.
    """

    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def index(self) -> pd.Index:
        return _index(self.labels)

    @cached_property
    def large(self) -> "Large":
        return Large.of(self.labels)

    def __getstate__(self) -> dict[str, Any]:
        return {"labels": self.labels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def codes(self, column: Any, name: str) -> IntArray:
        """Return the level of each row, −1 where unknown or missing.

        Raises
        ------
        ValueError
            If a label is infinite, or a float that may have been several integers.

        Warns
        -----
        UnknownLevelsWarning
            If no label is known and they are of another kind than in fit.
        """
        if self.labels.dtype == np.int64 and (integers := _as_integers(column)) is not None:
            # Without a table of what occurs: one look-up a row is all there is to do.
            return self.index.get_indexer(pd.Index(integers))
        codes, uniques = factorize(column, name)
        if not len(uniques):
            return codes
        check_told_apart(Large.of(uniques), name, self.large)
        own, wanted = self.index, _index(uniques)
        if own.dtype != wanted.dtype:
            # By dtype, pandas would match numbers as floats, where large integers merge, and dates
            # with text. As objects they are hashed.
            own, wanted = (pd.Index(a, dtype=object, tupleize_cols=False) for a in (own, wanted))
        known = own.get_indexer(wanted)
        if len(uniques) and (known < 0).all() and kind_of(uniques) != kind_of(self.labels):
            warn(
                f"No label of grouping column {name!r} is known: they are {kind_of(uniques)} (such "
                f"as {uniques[0]}), but in fit they were {kind_of(self.labels)} (such as "
                f"{self.labels[0]}). Convert the column to what it was.",
                UnknownLevelsWarning,
            )
        return np.append(known, -1)[codes]


def learn_levels(column: Any, name: str = "groups") -> tuple[ColumnLevels, IntArray]:
    """Learn the labels of a column; return them with the code of each row.

    Order: that of the categories, else sorted, else of first appearance.
    A missing label has code −1.
    """
    codes, labels = factorize(column, name)
    order = None if _is_categorical(column) else _sorting(labels)
    if order is None or np.all(order[1:] > order[:-1]):
        return ColumnLevels(labels), codes
    rank = np.empty(len(order) + 1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    return ColumnLevels(labels[order]), rank[codes]


def factorize(column: Any, name: str = "groups") -> tuple[IntArray, NDArray[Any]]:
    """Return codes and distinct labels, of one type for equal numbers.

    Raises
    ------
    ValueError
        If a label is infinite, or a float that may have been several integers.
    TypeError
        If a label cannot be hashed.
    """
    codes, labels = _factorize(column)
    check_told_apart(Large.of(labels), name)
    return codes, labels


def _factorize(column: Any) -> tuple[IntArray, NDArray[Any]]:
    if _is_categorical(column):
        return _factorize_categories(column)
    column = _in_native_order(column)
    values = np.asarray(column) if getattr(column, "dtype", None) in (np.int64, np.int32) else None
    if values is not None and (span := narrow_span(values)):
        return _factorize_narrow(values, *span)
    try:
        codes, uniques = pd.factorize(column)
    except TypeError as error:
        raise TypeError(
            f"A group label cannot be hashed ({error}): each argument must be a string or a "
            "number, or another hashable label."
        ) from error
    return codes.astype(np.intp, copy=False), _canonical(uniques)


def _in_native_order(column: Any) -> Any:
    """Return numbers in the byte order of this machine, which alone pandas hashes."""
    dtype = getattr(column, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.isnative:
        return column
    return np.asarray(column).astype(dtype.newbyteorder("="))


@dataclass(frozen=True)
class Large:
    """The labels that a conversion to float may merge, beyond `EXACT_INTEGERS`.

    Attributes
    ----------
    integers, floats : (n,) array
        Those of whole types, and those that are floats already.
    """

    integers: NDArray[Any]
    floats: NDArray[np.float64]

    @staticmethod
    def of(labels: NDArray[Any]) -> "Large":
        whole, floats = labels[:0], labels[:0]
        if labels.dtype.kind in "iu":
            whole = labels
        elif labels.dtype.kind == "f":
            floats = labels
        elif labels.dtype.kind == "O" and kind_of(labels) != "text":
            whole = labels[_instances(labels, int | np.integer)]
            floats = labels[_instances(labels, float | np.floating)]
        floats = floats.astype(np.float64)
        return Large(
            whole[np.abs(whole.astype(np.float64)) >= EXACT_INTEGERS],
            floats[np.abs(floats) >= EXACT_INTEGERS],
        )


def _instances(labels: NDArray[Any], kind: Any) -> NDArray[np.bool_]:
    return np.fromiter(map(isinstance, labels, repeat(kind)), bool, len(labels))


def check_told_apart(large: Large, name: str, known: Large | None = None) -> None:
    """Refuse labels that are infinite, or floats where integers may have been.

    A float of 2**53 stands for two integers, larger ones for more. Floats among
    themselves are labels, unless they lie as close as floats can.
    """
    floats = np.sort(large.floats)
    if np.isinf(floats).any():
        raise ValueError(
            f"Grouping column {name!r} contains infinity, which is no label. Drop those rows, or "
            "make the label missing (NaN)."
        )
    integers = len(large.integers) or (known is not None and len(known.integers))
    others = len(floats) or (known is not None and len(known.floats))
    if integers and others:
        some = floats if len(floats) or known is None else known.floats
        raise ValueError(
            f"The labels of grouping column {name!r} are floats of 2**53 and more (such as "
            f"{some[0]:.17g}) beside integers. A float does not hold every such integer: an id may "
            f"have become another. {_KEEP_IDS}"
        )
    if (np.diff(floats) <= NEIGHBORS * np.spacing(np.abs(floats[:-1]))).any():
        raise ValueError(
            f"The labels of grouping column {name!r} are floats of 2**53 and more (such as "
            f"{floats[0]:.17g}), as close to each other as floats can be: ids between them have "
            f"become one. {_KEEP_IDS}"
        )


_KEEP_IDS = (
    "Keep the column whole numbers (in pandas 'Int64' where some are missing), or text, from where "
    "it is read."
)


def shown_index(labels: NDArray[Any], name: Any = None) -> pd.Index:
    """Return labels as the index of a frame that users see."""
    try:
        return pd.Index(labels, name=name)
    except UnicodeEncodeError:  # a lone surrogate, which the text type of pandas cannot hold
        return pd.Index(labels, dtype=object, name=name)


def shown_label(label: Any) -> str:
    """Return a label as messages show it."""
    if isinstance(label, tuple):
        return f"({', '.join(map(shown_label, label))})"
    return repr(label.item() if isinstance(label, np.generic) else label)


def categories_of(column: Any) -> tuple[ColumnLevels, ...]:
    """Return all categories of a categorical column in their order; of another one nothing."""
    return (ColumnLevels(_canonical(column.cat.categories)),) if _is_categorical(column) else ()


def _index(labels: NDArray[Any]) -> pd.Index:
    """Index labels as they are: text as objects, tuples as labels of one column."""
    if labels.dtype == object:
        return pd.Index(labels, dtype=object, tupleize_cols=False)
    return pd.Index(labels)


def _as_integers(column: Any) -> NDArray[np.int64] | None:
    """Return a column of whole numbers as int64, None for others."""
    dtype = getattr(column, "dtype", None)
    if not (isinstance(dtype, np.dtype) and dtype.kind in "if"):
        return None
    values = np.asarray(column)
    if dtype.kind == "i":
        return values.astype(np.int64, copy=False)
    if not (np.abs(values) < EXACT_INTEGERS).all():  # nor where one is missing
        return None
    integers = values.astype(np.int64)
    return integers if np.array_equal(integers, values) else None


def kind_of(labels: NDArray[Any]) -> str:
    """Say in a word what labels are."""
    if labels.dtype.kind in "iufb":
        return "numbers"
    if labels.dtype.kind in "mM":
        return "dates"
    inferred = pd.api.types.infer_dtype(labels, skipna=True)
    return {"string": "text", "boolean": "booleans"}.get(inferred, "objects")


def narrow_span(values: NDArray[np.integer]) -> tuple[int, int] | None:
    """Return the range of integers if a table over it is smaller than a hash."""
    if len(values) < SMALL:
        return None
    low, high = int(values.min()), int(values.max())
    return (low, high) if high - low <= 4 * len(values) else None


def _factorize_narrow(
    values: NDArray[np.integer], low: int, high: int
) -> tuple[IntArray, NDArray[np.int64]]:
    """Return codes by a table of the integers that occur, in order."""
    offsets = values - low
    occurs = np.zeros(high - low + 1, dtype=bool)
    occurs[offsets] = True
    found = np.flatnonzero(occurs)
    codes = np.empty(len(occurs), dtype=np.intp)
    codes[found] = np.arange(len(found))
    return codes[offsets], found + low


def _factorize_categories(column: pd.Series) -> tuple[IntArray, NDArray[Any]]:
    codes = np.asarray(column.cat.codes, dtype=np.intp)
    used = np.bincount(codes[codes >= 0], minlength=len(column.cat.categories)) > 0
    new = np.append(np.cumsum(used) - 1, -1)
    return new[codes], _canonical(column.cat.categories[used])


def _is_categorical(column: Any) -> bool:
    return isinstance(getattr(column, "dtype", None), pd.CategoricalDtype)


def _canonical(uniques: Any) -> NDArray[Any]:
    """Give equal labels one representation: integers where they are integral."""
    if isinstance(uniques, pd.Index | pd.api.extensions.ExtensionArray):
        dtype = uniques.dtype
        if isinstance(dtype, np.dtype) and dtype.kind in "iufMm":
            uniques = np.asarray(uniques)
        else:
            uniques = np.asarray(uniques, dtype=object)
    kind = uniques.dtype.kind
    if kind == "O":
        return _canonical_objects(uniques)
    if kind in "iu":
        fits = kind == "i" or not len(uniques) or uniques.max() <= np.iinfo(np.int64).max
        return uniques.astype(np.int64) if fits else uniques.astype(object)
    if kind == "f":
        return _integral(uniques.astype(np.float64))
    return uniques if kind in "Mm" else uniques.astype(object)


def _canonical_objects(uniques: NDArray[Any]) -> NDArray[Any]:
    inferred = pd.api.types.infer_dtype(uniques, skipna=False)
    if inferred == "integer":
        big = any(abs(int(u)) > np.iinfo(np.int64).max for u in (uniques.min(), uniques.max()))
        return uniques if big else uniques.astype(np.int64)
    if inferred in ("floating", "mixed-integer-float"):
        floats = uniques.astype(np.float64)
        exact = np.abs(floats).max(initial=0.0) < EXACT_INTEGERS
        return _integral(floats) if exact else uniques
    return uniques


def _integral(floats: NDArray[np.float64]) -> NDArray[Any]:
    whole = np.all(floats == np.round(floats)) and np.all(np.abs(floats) < EXACT_INTEGERS)
    return floats.astype(np.int64) if whole else floats


def _sorting(labels: NDArray[Any]) -> IntArray | None:
    try:
        return np.argsort(labels, kind="stable")
    except TypeError:  # labels of mixed types have no order
        return None
