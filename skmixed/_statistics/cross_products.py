"""Weighted cross-products of the columns: the statistics that a fit reads.

Over rows i with weights w_i and columns d_0 = 1, d_1 … d_m of a design, a
`CrossProducts` holds Σ w ee' in total, for rows e' with (d − c)' = e'E, and for each
grouping factor and level Σ w fe' for rows f of the factor's own columns. The
center c is near the mean, and E takes off columns their regression on others that
they nearly depend on, so that no digits are lost to either; f is that of the factor's
columns among themselves. Beside them stand the
products of one or several responses with the same columns (`responses`). Everything
a fit computes is a function of these sums; their size does not depend on the number of
rows (see docs/mathematics.md, "Cross-products, centers and scales").
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy.sparse as sp

from skmixed._statistics.frame import Frame
from skmixed._statistics.grouped_products import (
    FactorProducts,
    PairProducts,
    own_regression,
)
from skmixed._statistics.responses import ResponseFrame
from skmixed._statistics.row_sums import RowSums, common_frame, common_response_frame
from skmixed._typing import FloatArray, IntArray, Regressions


@dataclass(frozen=True)
class CrossProducts(RowSums):
    """Cross-products of all rows seen: over all rows, within levels and within cells.

    Attributes
    ----------
    factors : tuple of FactorProducts
    pairs : tuple of PairProducts
        Of each two factors, in the order (0, 1), (0, 2), (1, 2) …
    """

    factors: tuple[FactorProducts, ...] = ()
    pairs: tuple[PairProducts, ...] = ()

    @property
    def has_plain_frame(self) -> bool:
        """Whether the columns and the responses are as they are, but for their centers."""
        return self.regression is None and self.responses.regression is None

    @property
    def levels(self) -> tuple[IntArray, ...]:
        """The levels of each factor that have rows."""
        return tuple(np.flatnonzero(factor.counts) for factor in self.factors)

    @property
    def own_regressions(self) -> Regressions:
        """The regressions of the factors' own columns."""
        return tuple(f.regression for f in self.factors)

    def own_products(self, k: int) -> FloatArray:
        """Σ w ff' of factor k, per level, (q, r, r)."""
        factor = self.factors[k]
        if self.regression is None:
            return factor.sums[:, :, list(factor.columns)]
        products = factor.sums @ self.frame.of_own_columns(factor.columns, factor.regression)
        return np.asarray((products + products.transpose(0, 2, 1)) / 2.0)

    def response(self, k: int) -> "CrossProducts":
        """Return the same products with one of the responses."""
        own = np.array([k])
        return replace(
            self,
            responses=self.responses.picked(own),
            factors=tuple(f.with_responses(f.responses[:, :, own]) for f in self.factors),
        )

    def column_products(self, k: int) -> FloatArray:
        """Σ w (d_a − c_a)(d_b − c_b) for the columns of factor k, per level, (q, r, r)."""
        own = self.factors[k].regression
        return self.own_products(k) if own is None else own.T @ self.own_products(k) @ own

    def reframed(self, frame: Frame, own: Regressions | None = None) -> Self:
        """Return the same sums in another frame of the design, where the responses stay u.

        `own` are the regressions of the factors' columns: by default as they are, but none
        in a frame of the design without one.
        """
        # The frames of the factors' columns, d_O − c_O = fE_O, before and after
        if own is None:
            has_own = frame.regression is not None
            own = tuple(f.regression if has_own else None for f in self.factors)
        old = [f.frame(self.center) for f in self.factors]
        factors = zip(self.factors, own, strict=True)
        new = [replace(f, regression=e).frame(frame.center) for f, e in factors]
        if self.frame.is_same(frame) and all(map(Frame.is_same, old, new)):
            return self
        # e to eM − s, and f to fM − s
        rows, moves = self.frame.change_to(frame), list(map(Frame.change_to, old, new))
        return replace(
            super().reframed(frame),
            factors=tuple(
                f.moved(rows, move, e) for f, move, e in zip(self.factors, moves, own, strict=True)
            ),
            pairs=tuple(p.moved(moves[p.first], moves[p.second]) for p in self.pairs),
        )

    def with_responses_in(self, frame: ResponseFrame) -> Self:
        """Return the same sums with the responses in another frame."""
        delta = self.responses.frame.change_to(frame, len(self.center))
        if delta is None:
            return self
        factors = tuple(f.with_responses_moved(delta) for f in self.factors)
        return replace(super().with_responses_in(frame), factors=factors)

    def in_frame_of(self, other: "CrossProducts") -> Self:
        """Return the same sums in the frames of others."""
        moved = self.reframed(other.frame, other.own_regressions)
        return moved.with_responses_in(other.responses.frame)

    def is_in_frame_of(self, other: "CrossProducts") -> bool:
        """Whether the columns, the responses and the factors' columns are in the same frames."""
        pairs = zip(self.factors, other.factors, strict=True)
        return (
            self.frame.is_same(other.frame)
            and self.responses.frame.is_same(other.responses.frame)
            and all(f.frame(self.center).is_same(g.frame(other.center)) for f, g in pairs)
        )

    def aligned(self, places: Sequence[IntArray], n_levels: Sequence[int]) -> "CrossProducts":
        """Return the same sums with each factor's levels numbered anew."""
        sizes = [len(f.columns) for f in self.factors]
        # Each factor's sums by its own numbers, those of a pair by both.
        return replace(
            self,
            factors=tuple(
                f.aligned(own, q) for f, own, q in zip(self.factors, places, n_levels, strict=True)
            ),
            pairs=tuple(
                p.aligned(
                    (places[p.first], places[p.second]),
                    (n_levels[p.first], n_levels[p.second]),
                    (sizes[p.first], sizes[p.second]),
                )
                for p in self.pairs
            ),
        )

    def in_units(self, unit: float) -> "CrossProducts":
        """Return the sums for weights in another unit."""
        if unit == 1.0:
            return self
        total = self.responses.total.in_units(unit)
        return replace(
            self,
            sum_log_weights=self.sum_log_weights - self.n_rows * float(np.log(unit)),
            total=self.total / unit,
            responses=replace(self.responses, total=total),
            factors=tuple(replace(f, products=f.products / unit) for f in self.factors),
            pairs=tuple(replace(p, matrix=sp.csr_array(p.matrix / unit)) for p in self.pairs),
        )

    def __add__(self, other: "CrossProducts") -> "CrossProducts":
        return self.plus(other)

    def plus(self, other: "CrossProducts", *, overwrite: bool = False) -> "CrossProducts":
        """Add the sums of further rows on the same columns.

        Levels have the same numbers on both sides (see `aligned`); one side may
        lack the last ones. Both sides move to a frame that serves all rows: in
        either side's own one, the columns of a small or unrepresentative side
        would cost digits. With `overwrite` the sums per level may be added in the
        arrays of either side.
        """
        frame = common_frame(self.over_rows(), other.over_rows())
        rows = self.over_rows().reframed(frame).plus_rows(other.over_rows().reframed(frame))
        own = tuple(own_regression(rows, f.columns, f.regression) for f in self.factors)
        a, b = self.reframed(frame, own), other.reframed(frame, own)
        of_responses = common_response_frame(a.over_rows(), b.over_rows())
        a, b = a.with_responses_in(of_responses), b.with_responses_in(of_responses)
        return a.plus_in_frame(b, overwrite=overwrite)

    def plus_in_frame(self, other: "CrossProducts", *, overwrite: bool) -> "CrossProducts":
        """Add the sums of further rows, which are in the same frame."""
        pairs = zip(self.factors, other.factors, strict=True)
        return replace(
            self.plus_rows(other),
            factors=tuple(own.plus(its, overwrite=overwrite) for own, its in pairs),
            pairs=tuple(p + q for p, q in zip(self.pairs, other.pairs, strict=True)),
        )
