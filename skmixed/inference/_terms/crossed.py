"""Effects of factors over cells that are all their combinations, or those of nested factors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from skmixed._typing import FloatArray, IntArray, Nesting
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.nesting import nested_shares

# Share of the terms of a sum up to which the sum is 0.
ROUNDING = 1e-10


@dataclass(frozen=True)
class CrossedCells:
    """Linear functions over all combinations of the values of some factors.

    Attributes
    ----------
    names : tuple of str
        The factors.
    rows : (n₁, …, n_m, p) array
        L at each combination.
    nesting : Nesting
        Factors that are nested in others, and which of their levels are in which.
    """

    names: tuple[str, ...]
    rows: FloatArray
    nesting: Nesting = field(default_factory=dict)

    @staticmethod
    def of(own: LinearEstimates, nesting: Nesting | None = None) -> "CrossedCells":
        """Lay out the rows of a table, with levels in the order of their first appearance.

        Raises
        ------
        ValueError
            If a combination is not there.
        """
        codes = [pd.factorize(own.cells[name])[0] for name in own.names]
        shape = tuple(int(code.max()) + 1 for code in codes)
        if int(np.prod(shape)) != len(own.cells):
            raise ValueError(
                f"The table has {len(own.cells)} of {int(np.prod(shape))} combinations of "
                f"{', '.join(map(repr, own.names))}: terms are tested over all of them. Give one "
                "with all, or hypothesis='zero'."
            )
        rows = np.zeros((*shape, own.rows.shape[1]))
        rows[tuple(codes)] = own.rows
        return CrossedCells(tuple(own.names), rows, nesting or {})

    def effects(self, within: Mapping[str, int]) -> dict[str, FloatArray]:
        """Return the effects that are there, by their terms, those of fewer factors first.

        `within`: the place of the value that some factors are held at. An interaction is not
        there where one of some of its factors is not. A nested factor has effects within the
        levels of the others alone, with these.
        """
        free = [name for name in self.names if name not in within]
        found: dict[tuple[str, ...], FloatArray] = {}
        for k in range(1, len(free) + 1):
            for factors in combinations(free, k):
                parts = [p for p in combinations(factors, k - 1) if p and self._is_term(p, within)]
                if self._is_term(factors, within) and all(part in found for part in parts):
                    rows = self.effect(factors, within)
                    rows = rows[rows.any(axis=1)]  # also those that are NaN
                    if len(rows):
                        found[factors] = rows
        return {":".join(factors): rows for factors, rows in found.items()}

    def _is_term(self, factors: Sequence[str], within: Mapping[str, int]) -> bool:
        """Whether all that its factors are nested in is in a term, or held."""
        return all(set(self.nesting.get(name, ())) <= {*factors, *within} for name in factors)

    def effect(self, factors: Sequence[str], within: Mapping[str, int]) -> FloatArray:
        """Return the differences of differences of some factors, means over the others; (q, p).

        Consecutive ones, of which all others are combinations, and of nested factors within
        each level of the others. Rounding is 0.
        """
        means, sizes = self._means(factors, within)
        found = []
        for place, axes in self._parts(factors, within):
            out, size = means[place], sizes[place]
            for axis, levels in enumerate(axes):
                first, last = levels[:-1], levels[1:]
                out = out.take(last, axis) - out.take(first, axis)
                size = size.take(last, axis) + size.take(first, axis)
            out = np.where(np.abs(out) <= ROUNDING * size, 0.0, out)
            found.append(out.reshape(-1, out.shape[-1]))
        return np.concatenate(found)

    def differences(self, within: Mapping[str, int]) -> FloatArray:
        """Return all differences of consecutive cells that may be there, (n − 1, p)."""
        is_there = nested_shares(self.names, self._shape, self.nesting, (), alike=False)
        held = self._held(within)
        return np.diff(self.rows[held][is_there[held] > 0.0], axis=0)

    def _means(
        self, factors: Sequence[str], within: Mapping[str, int]
    ) -> tuple[FloatArray, FloatArray]:
        """Return the means of L over the other factors, and of |L|, in the shape of `factors`.

        Of nested factors over the levels within each level of the others, alike.
        """
        shares = nested_shares(self.names, self._shape, self.nesting, {*factors, *within})
        held = self._held(within)
        rows, shares = self.rows[held], shares[held][..., None]
        rest = [name for name in self.names if name not in within]
        axes = tuple(k for k, name in enumerate(rest) if name not in factors)
        with np.errstate(invalid="ignore"):  # of cells that cannot be there
            shares = shares / shares.sum(axis=axes, keepdims=True)
        return (rows * shares).sum(axis=axes), (np.abs(rows) * shares).sum(axis=axes)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.rows.shape[:-1]

    def _held(self, within: Mapping[str, int]) -> tuple[Any, ...]:
        return tuple(within.get(name, slice(None)) for name in self.names)

    def _parts(
        self, factors: Sequence[str], within: Mapping[str, int]
    ) -> Iterator[tuple[tuple[Any, ...], list[IntArray]]]:
        """Return each combination of levels that factors are nested in, and what varies there.

        That is a place in the means of `factors`, and for each factor that is left the levels
        that are in it.
        """
        n_levels = dict(zip(self.names, self._shape, strict=True))
        outer = [n for n in factors if any(n in self.nesting.get(own, ()) for own in factors)]
        for levels in product(*(range(n_levels[name]) for name in outer)):
            held = {**within, **dict(zip(outer, levels, strict=True))}
            axes = []
            for name in factors:
                is_in = np.ones(n_levels[name], dtype=bool)
                for other, pairs in self.nesting.get(name, {}).items():
                    is_in &= pairs[:, held[other]]
                if name not in outer:
                    axes.append(np.flatnonzero(is_in))
            yield tuple(held[name] if name in outer else slice(None) for name in factors), axes
