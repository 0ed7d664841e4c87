"""A direction of Σ carried along the elimination: the matrices of one stage.

At each stage, with S the system there,

    T = Λ(Λ'SΛ + I)⁻¹Λ',   B = I − TS,   A = SB,   J = TS_c,   C = S_c − SJ  (S_c: its rows beyond)

the stage's own direction E leaves −C'EC of the system beyond; a direction of an
earlier stage, which has reached the system as the tangent D, leaves
D_cc − (D_c − ½DJ)'J − J'(D_c − ½DJ). It meets the stage in D and Y = D_c − DJ.
"""

from dataclasses import dataclass

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
    """A stage's matrices of the module's docstring: small ones (r, r, q), and rows."""

    factorization: Factorization
    k: int
    t: FloatArray
    b: FloatArray
    a: FloatArray
    j: Rows
    c: Rows

    @staticmethod
    def of(factorization: Factorization, k: int) -> "StageSums":
        blocks = factorization.blocks
        stage, done, place = blocks.stages[k], factorization.stages[k], blocks.factors[k]
        q = place.n_levels
        products = levels_last(done.products, q)
        span = factorization.spans.get(place.entries.start)
        left = levels_last(np.stack(list(whitened(stage, done, span))), q)
        root = whitening_root(done, place.lam(factorization.lam))[:, :, :q]
        t = np.einsum("saq,sbq->abq", root, root)
        fixed = stage.fixed[:-1]
        c = Rows(stage, whitened_cells(stage, done, span), left[:, fixed].transpose(0, 2, 1))
        rows = Rows(stage, done.values, products[:, fixed].transpose(0, 2, 1))
        b = _residual(t, products[:, stage.random], span)
        return StageSums(factorization, k, t, b, left[:, stage.random], rows.times(t), c)

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
        scaled = self.c.times(-0.5 * direction)
        return symmetric_product(self.factorization.blocks, self.k, scaled, self.c)


def _residual(t: FloatArray, own: FloatArray, span: Span | None) -> FloatArray:
    """Return B = I − TS, (r, r, q); in the span of Λ that is T(ΛΛ')⁺."""
    if span is not None and span.null is None:
        return np.einsum("abq,bc->acq", t, span.precision)
    out = -np.einsum("abq,bcq->acq", t, own)
    out[np.arange(len(t)), np.arange(len(t))] += 1.0
    if span is None or span.null is None:
        return out
    return np.einsum("abq,bc->acq", out, span.null) + np.einsum("abq,bc->acq", t, span.precision)
