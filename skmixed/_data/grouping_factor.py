"""Grouping factors: columns whose labels are levels, also of rows that come in parts.

Of parts a level keeps its number for good, and new ones follow behind, so that sums over
the levels of a part find their places in the sums over all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.labels import (
    EXACT_INTEGERS,
    ColumnLevels,
    Large,
    check_told_apart,
    kind_of,
    learn_levels,
    narrow_span,
    shown_index,
)
from skmixed._data.table import SparseColumn, Table
from skmixed._typing import IntArray, Labels


@dataclass(frozen=True)
class Metadata:
    """Grouping columns given beside X, by name."""

    columns: dict[str, Any]

    def rows(self, keep: NDArray[np.bool_]) -> "Metadata":
        return Metadata({name: column[keep] for name, column in self.columns.items()})


@dataclass(frozen=True)
class LabelSource:
    """Where a grouping column comes from: a position of X, or metadata."""

    name: str
    position: int | None

    def column(self, table: Table, metadata: Metadata) -> Any:
        column = metadata.columns[self.name] if self.position is None else table.get(self.position)
        return np.asarray(column) if isinstance(column, SparseColumn) else column


@dataclass(frozen=True)
class GroupingFactor:
    """One grouping factor and its levels.

    Attributes
    ----------
    sources : tuple of LabelSource
        Its column, or the columns whose interaction it is.
    levels : tuple of ColumnLevels
        One a column; empty before fit.
    cells : (q,) array or None
        Of an interaction, the combinations that occur, as mixed-radix numbers.
    """

    sources: tuple[LabelSource, ...]
    levels: tuple[ColumnLevels, ...] = ()
    cells: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        return ":".join(source.name for source in self.sources)

    @property
    def n_levels(self) -> int:
        return len(self.levels[0]) if self.cells is None else len(self.cells)

    @property
    def index(self) -> pd.Index:
        """The levels' labels, in order."""
        if self.cells is None:
            return shown_index(self.levels[0].labels, self.name)
        labels = [
            shown_index(level.labels)[c]
            for level, c in zip(self.levels, self.column_codes, strict=True)
        ]
        return pd.MultiIndex.from_arrays(labels, names=[s.name for s in self.sources])

    @property
    def column_codes(self) -> tuple[IntArray, ...]:
        """Code of each level in each of the columns."""
        if self.cells is None:
            return (np.arange(self.n_levels),)
        return np.unravel_index(self.cells, [len(level) for level in self.levels])

    def learn(
        self,
        table: Table,
        metadata: Metadata,
        rows: NDArray[np.intp] | None = None,
        role: str = "Grouping factor",
    ) -> tuple["GroupingFactor", IntArray]:
        """Learn the levels; return the factor with them, and each row's code.

        `rows` are the numbers of the rows for messages, where some were left out.
        """
        learned = [learn_levels(s.column(table, metadata), s.name) for s in self.sources]
        levels = tuple(level for level, _ in learned)
        codes = [c for _, c in learned]
        for source, code in zip(self.sources, codes, strict=True):
            _check_not_missing(source.name, code, rows, role)
        if len(codes) == 1:
            return replace(self, levels=levels), codes[0]
        cells, combined = np.unique(combine(codes, levels), return_inverse=True)
        return replace(self, levels=levels, cells=cells), combined

    def picked(self, levels: IntArray) -> "GroupingFactor":
        """Return the factor with some of its levels, in their order."""
        if self.cells is not None:
            return replace(self, cells=self.cells[levels])
        return replace(self, levels=(ColumnLevels(self.levels[0].labels[levels]),))

    @cached_property
    def _order(self) -> IntArray:
        """Of the cells: ascending after one fit, by appearance after several chunks."""
        return np.argsort(self.cells, kind="stable") if self.cells is not None else np.empty(0, int)

    def codes(self, table: Table, metadata: Metadata) -> IntArray:
        """Return the level of each row, −1 where unknown or missing."""
        codes = []
        for level, source in zip(self.levels, self.sources, strict=True):
            codes.append(level.codes(source.column(table, metadata), source.name))
        if self.cells is None:
            return codes[0]
        combined = combine(codes, self.levels)
        order = self._order
        found = np.searchsorted(self.cells, combined, sorter=order)
        at = order[np.minimum(found, len(order) - 1)]
        return np.where(self.cells[at] == combined, at, -1)


def combine(codes: list[IntArray], levels: Sequence[ColumnLevels]) -> NDArray[np.int64]:
    """Return numbers of the combinations of codes in mixed radix, −1 where one is −1."""
    if np.prod([float(len(level)) for level in levels]) >= 2.0**62:
        raise ValueError(
            f"The interaction of columns with {' × '.join(str(len(v)) for v in levels)} labels has "
            "too many combinations to number. Combine some of the columns into one beforehand."
        )
    combined = np.zeros(len(codes[0]), dtype=np.int64)
    missing = np.zeros(len(codes[0]), dtype=bool)
    for code, level in zip(codes, levels, strict=True):
        combined = combined * len(level) + code
        missing |= code < 0
    combined[missing] = -1
    return combined


def _check_not_missing(
    name: str, codes: IntArray, rows: NDArray[np.intp] | None, role: str
) -> None:
    missing = codes < 0
    if missing.any():
        first = int(np.argmax(missing))
        count = int(missing.sum())
        raise ValueError(
            f"{role} {name!r} has {count} missing value{'s' if count > 1 else ''} (first "
            f"at row {first if rows is None else rows[first]}). Drop those rows or name the "
            "missing level before fitting."
        )


# Two codes in one 64-bit integer.
_BITS, _LOW = 32, 2**32 - 1


@dataclass(frozen=True)
class _Run:
    """Distinct labels with their hash table, or a plain one for integers close together."""

    labels: Labels

    @cached_property
    def span(self) -> tuple[int, int] | None:
        if self.labels.dtype != np.int64:
            return None
        return narrow_span(self.labels)

    @cached_property
    def places(self) -> IntArray:
        """Position of each integer of the span."""
        low, high = self.span or (0, -1)
        places = np.full(high - low + 1, -1, dtype=np.intp)
        places[self.labels - low] = np.arange(len(self.labels))
        return places

    @cached_property
    def index(self) -> pd.Index:
        return _index(self.labels)

    @cached_property
    def large(self) -> Large:
        return Large.of(self.labels)

    def find(self, labels: Labels) -> IntArray:
        """Return the position of each label, −1 where it is not there."""
        if len(self.labels) == len(labels) and np.array_equal(self.labels, labels):
            return np.arange(len(labels))
        if self.span is None:
            return self.index.get_indexer(_index(labels))
        low, high = self.span
        inside = (low <= labels) & (labels <= high)
        return np.where(inside, self.places[np.where(inside, labels, low) - low], -1)


class LabelUnion:
    """Distinct labels in order of appearance.

    Kept in runs that are joined when they are of like size: a label is hashed a
    logarithmic number of times, however many parts bring new ones.
    """

    def __init__(self) -> None:
        self.runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(len(run.labels) for run in self.runs)

    @property
    def labels(self) -> Labels:
        while len(self.runs) > 1:
            self._join_last()
        return self.runs[0].labels

    def take(self, labels: Labels) -> IntArray:
        """Return the number of each label, a new one where it is new."""
        if not self.runs:
            self.runs.append(_Run(labels))
            return np.arange(len(labels))
        labels = self._in_one_type(labels)
        codes, start = np.empty(len(labels), dtype=np.intp), 0
        left = np.arange(len(labels))
        for run in self.runs:
            found = run.find(labels[left])
            known = found >= 0
            codes[left[known]] = found[known] + start
            left = left[~known]
            start += len(run.labels)
        if len(left):
            codes[left] = np.arange(start, start + len(left))
            self.runs.append(_Run(labels[left]))
            while len(self.runs) > 1 and len(self.runs[-2].labels) <= 2 * len(self.runs[-1].labels):
                self._join_last()
        return codes

    def _join_last(self) -> None:
        last, before = self.runs.pop(), self.runs.pop()
        self.runs.append(_Run(np.concatenate([before.labels, last.labels])))

    def _in_one_type(self, labels: Labels) -> Labels:
        """Return labels in a type that holds those known too; convert these to it."""
        known = self.runs[0].labels.dtype
        if labels.dtype == known:
            return labels
        wanted = _common_type([labels, *(run.labels for run in self.runs)])
        if known != wanted:
            self.runs = [_Run(_converted(run.labels, wanted)) for run in self.runs]
        return _converted(labels, wanted)


def _index(labels: Labels) -> pd.Index:
    if labels.dtype == object:  # hashed as they are: tuples are labels, and no text is inferred
        return pd.Index(labels, dtype=object, tupleize_cols=False)
    return pd.Index(labels)


def _common_type(parts: list[Labels]) -> np.dtype[Any]:
    kinds = {part.dtype.kind for part in parts}
    if kinds <= {"i", "f"} and all(
        np.abs(part.astype(np.float64)).max() < EXACT_INTEGERS for part in parts
    ):
        return np.dtype(np.float64)
    if kinds in ({"M"}, {"m"}):
        return np.result_type(*parts)
    return np.dtype(object)


def _converted(labels: Labels, wanted: np.dtype[Any]) -> Labels:
    if wanted.kind in "Mm":  # NumPy would not notice a date beyond the range
        return np.asarray(pd.Index(labels).astype(wanted))
    return labels.astype(wanted)


class FactorUnion:
    """Levels of one factor: labels, or combinations of the labels of columns."""

    def __init__(self, factor: GroupingFactor) -> None:
        self.factor = factor
        self.columns = [LabelUnion() for _ in factor.sources]
        self.kinds: list[str | None] = [None] * len(self.columns)
        # The first two columns combined, those with the third, and so on.
        self.combined = [LabelUnion() for _ in factor.sources[1:]]

    @property
    def n_levels(self) -> int:
        return len((self.combined or self.columns)[-1])

    def take(self, part: GroupingFactor) -> IntArray:
        """Return the number of each level of a part, a new one where it is new."""
        self._check_kinds(part)
        codes = [
            column.take(levels.labels)[own]
            for column, levels, own in zip(
                self.columns, part.levels, part.column_codes, strict=True
            )
        ]
        found = codes[0]
        for combined, code in zip(self.combined, codes[1:], strict=True):
            found = _take_pairs(combined, found, code)
        return found

    def joined(self) -> GroupingFactor:
        """Return the factor with all levels."""
        levels = tuple(ColumnLevels(column.labels) for column in self.columns)
        if not self.combined:
            return replace(self.factor, levels=levels)
        codes: list[IntArray] = []
        found = np.arange(self.n_levels)
        for combined in reversed(self.combined):
            keys = combined.labels[found]
            codes.insert(0, keys & _LOW)
            found = keys >> _BITS
        return replace(self.factor, levels=levels, cells=combine([found, *codes], levels))

    def _check_kinds(self, part: GroupingFactor) -> None:
        """Refuse numbers where text was, which no label could ever match."""
        for k, (source, levels) in enumerate(zip(part.sources, part.levels, strict=True)):
            for run in self.columns[k].runs:
                check_told_apart(levels.large, source.name, run.large)
            kind, before = kind_of(levels.labels), self.kinds[k]
            is_mixed = "objects" in (before, kind) and "dates" not in (before, kind)
            if before not in (None, kind) and not is_mixed:
                raise ValueError(
                    f"The labels of grouping column {source.name!r} are {kind} (such as "
                    f"{levels.labels[0]}), but in the rows before they were {before} (such as "
                    f"{self.columns[k].runs[0].labels[0]}). Convert the column to one type."
                )
            self.kinds[k] = "objects" if is_mixed else kind


def _take_pairs(union: LabelUnion, first: IntArray, second: IntArray) -> IntArray:
    """Return the numbers of pairs of codes, which a shift packs into one integer."""
    places, keys = pd.factorize((first << _BITS) | second)
    return union.take(keys)[places]
