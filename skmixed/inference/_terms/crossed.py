"""Effects of factors over cells that are all their combinations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from skmixed._typing import FloatArray, IntArray
from skmixed.inference._marginal.linear_estimates import LinearEstimates

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
    """

    names: tuple[str, ...]
    rows: FloatArray

    @staticmethod
    def of(own: LinearEstimates, names: Sequence[str], places: IntArray) -> "CrossedCells":
        """Lay out the rows of some places of a table.

        Raises
        ------
        ValueError
            If a combination is not there.
        """
        cells = own.cells.iloc[places]
        codes = [pd.factorize(cells[name])[0] for name in names]
        shape = tuple(int(code.max()) + 1 for code in codes)
        if int(np.prod(shape)) != len(cells):
            raise ValueError(
                f"The table has {len(cells)} of {int(np.prod(shape))} combinations of "
                f"{', '.join(map(repr, names))}: terms are tested over all of them. Give one with "
                "all, or hypothesis='zero'."
            )
        rows = np.zeros((*shape, own.rows.shape[1]))
        rows[tuple(codes)] = own.rows[places]
        return CrossedCells(tuple(names), rows)

    def effect(self, factors: Sequence[str]) -> FloatArray:
        """Return the differences of differences of some factors, means over the others; (q, p).

        Consecutive ones, of which all others are combinations. Rounding is 0.
        """
        out, sizes = self.rows, np.abs(self.rows)
        for axis, name in enumerate(self.names):
            if name in factors:
                out = np.diff(out, axis=axis)
                first, last = (np.delete(sizes, k, axis=axis) for k in (0, -1))
                sizes = first + last
            else:
                out, sizes = (part.mean(axis=axis, keepdims=True) for part in (out, sizes))
        out = np.where(np.abs(out) <= ROUNDING * sizes, 0.0, out)
        return np.asarray(out.reshape(-1, out.shape[-1]))

    def effects(self) -> dict[str, FloatArray]:
        """Return the effects that are there, by their terms, those of fewer factors first.

        An interaction is not there where one of some of its factors is not.
        """
        found: dict[tuple[str, ...], FloatArray] = {}
        for k in range(1, len(self.names) + 1):
            for factors in combinations(self.names, k):
                parts = combinations(factors, k - 1) if k > 1 else ()
                if all(part in found for part in parts):
                    rows = self.effect(factors)
                    rows = rows[rows.any(axis=1)]
                    if len(rows):
                        found[factors] = rows
        return {":".join(factors): rows for factors, rows in found.items()}

    def differences(self) -> FloatArray:
        """Return all differences of consecutive cells, (n − 1, p)."""
        return np.diff(self.rows.reshape(-1, self.rows.shape[-1]), axis=0)
