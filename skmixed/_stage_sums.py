"""A direction of Σ carried along the elimination: the matrices of one stage.

At each stage, with S the system there,

    T = Λ(Λ'SΛ + I)⁻¹Λ',   B = I − TS,   A = SB,   J = TS_c,   C = S_c − SJ  (S_c: its rows beyond)

the stage's own direction E leaves −C'EC of the system beyond; a direction of an
earlier stage, which has reached the system as the tangent D, leaves
D_cc − (D_c − ½DJ)'J − J'(D_c − ½DJ). It meets the stage in D and Y = D_c − DJ.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmixed._factorize import Factorization
from skmixed._inverse import whitening_root
from skmixed._project import whitened, whitened_cells
from skmixed._rows import Remainder, Rows, symmetric_product
from skmixed._slabs import levels_last
from skmixed._span import Span

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class StageSums:
    """A stage's matrices of the module's docstring: small ones (r, r, q), and rows.

    Those that only other stages' directions or rows need are made when asked for.
    """

    factorization: Factorization
    k: int
    a: FloatArray
    c: Rows

    @staticmethod
    def of(factorization: Factorization, k: int) -> "StageSums":
        stage, done = factorization.blocks.stages[k], factorization.stages[k]
        q = factorization.blocks.factors[k].n_levels
        left = np.concatenate(list(whitened(stage, done)), axis=2)[:, :, :q]
        fixed = left[:, stage.fixed[:-1]].transpose(0, 2, 1)
        c = Rows(stage, whitened_cells(stage, done), fixed)
        return StageSums(factorization, k, left[:, stage.random], c)

    @cached_property
    def t(self) -> FloatArray:
        place = self.factorization.blocks.factors[self.k]
        lam = place.lam(self.factorization.lam)
        root = whitening_root(self.factorization.stages[self.k], lam)[:, :, : place.n_levels]
        return np.asarray(np.einsum("saq,sbq->abq", root, root))

    @cached_property
    def b(self) -> FloatArray:
        start = self.factorization.blocks.factors[self.k].entries.start
        own = self._products(self.c.stage.random)
        return _residual(self.t, own, self.factorization.spans.get(start))

    @cached_property
    def j(self) -> Rows:
        stage, done = self.c.stage, self.factorization.stages[self.k]
        fixed = self._products(stage.fixed[:-1]).transpose(0, 2, 1)
        return Rows(stage, done.values, fixed).times(self.t)

    @cached_property
    def _at_fixed(self) -> FloatArray:
        """Sums over levels of the products of C's rows at X, (r, p, r, p)."""
        r, q, p = self.c.fixed.shape
        flat = self.c.fixed.transpose(0, 2, 1).reshape(r * p, q)
        return np.asarray((flat @ flat.T).reshape(r, p, r, p))

    def _products(self, columns: NDArray[np.intp]) -> FloatArray:
        """Return the stage's products with some columns, (r, columns, q)."""
        q = self.factorization.blocks.factors[self.k].n_levels
        return levels_last(self.factorization.stages[self.k].products[:, :, columns], q)

    def met_by(self, tangents: list[Remainder]) -> list[tuple[FloatArray, Rows]]:
        """Return D, (r, r, q), and Y for directions of earlier stages."""
        here = [tangent.stages[0] for tangent in tangents]
        return [(h.own, h.rows.minus(self.j.times(h.own))) for h in here]

    def beyond(self, tangents: list[Remainder], own: FloatArray) -> list[Remainder]:
        """Return the tangents of earlier directions and of own ones, (d, r, r), beyond."""
        passed = [self._passed_on(tangent) for tangent in tangents]
        return passed + [self._left_by(direction) for direction in own]

    def _passed_on(self, tangent: Remainder) -> Remainder:
        """Eliminate the stage from an earlier direction's tangent."""
        here, *rest = tangent.stages
        half = here.rows.minus(self.j.times(0.5 * here.own))
        taken = symmetric_product(self.factorization.blocks, self.k, half, self.j)
        return Remainder(tuple(rest), tangent.core).plus(taken, -1.0)

    def _left_by(self, direction: FloatArray) -> Remainder:
        """Return the tangent of an own direction."""
        blocks = self.factorization.blocks
        if not blocks.factors[-1].outer.stop:  # nothing but X remains
            return Remainder((), -np.einsum("ab,axby->xy", direction, self._at_fixed))
        scaled = self.c.times(-0.5 * direction)
        return symmetric_product(blocks, self.k, scaled, self.c)


def _residual(t: FloatArray, own: FloatArray, span: Span | None) -> FloatArray:
    """Return B = I − TS, (r, r, q); in the span of Λ that is T(ΛΛ')⁺."""
    if span is not None and span.null is None:
        return np.einsum("abq,bc->acq", t, span.precision)
    out = -np.einsum("abq,bcq->acq", t, own)
    out[np.arange(len(t)), np.arange(len(t))] += 1.0
    if span is None or span.null is None:
        return out
    return np.einsum("abq,bc->acq", out, span.null) + np.einsum("abq,bc->acq", t, span.precision)
