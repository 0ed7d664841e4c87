"""Rows of the remaining system that belong to one eliminated stage.

After a stage is eliminated, what is left is a symmetric matrix over the later
stages of the chain and the core. Sums of products of the stage's rows, level by
level, keep that matrix's pattern: a later stage stays block-diagonal, its cells
stay where they are, and only the core is dense.

A direction of Σ carried along the elimination: the matrices of one stage.

At each stage, with S the system there,

    T = Λ(Λ'SΛ + I)⁻¹Λ',   B = I − TS,   A = SB,   J = TS_c,   C = S_c − SJ  (S_c: its rows beyond)

the stage's own direction E leaves −C'EC of the system beyond; a direction of an
earlier stage, which has reached the system as the tangent D, leaves
D_cc − (D_c − ½DJ)'J − J'(D_c − ½DJ). It meets the stage in D and Y = D_c − DJ.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import Factorization, cell_positions, sum_of_products
from skmixed._equations.elimination import EliminatedStage
from skmixed._equations.layout import Stage
from skmixed._equations.row_substitution import LaterSolution
from skmixed._equations.system import Blocks
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class StageRows:
    """A few rows for each level of a stage.

    Attributes
    ----------
    stage : Stage
    cells : (r, n_cells) array
        Entries at the stage's cells.
    fixed : (r, q, p) array
        Entries at X.
    """

    stage: Stage
    cells: FloatArray
    fixed: FloatArray

    @cached_property
    def matrices(self) -> list[sp.csr_array]:
        return [self.stage.with_values(values) for values in self.cells]

    def times(self, small: FloatArray) -> "StageRows":
        """Multiply from the left by one small matrix, (s, r), or one per level, (s, r, q)."""
        if small.ndim == 2:
            return StageRows(self.stage, small @ self.cells, np.tensordot(small, self.fixed, 1))
        at_cells = np.einsum("abn,bn->an", small[:, :, self.stage.rows], self.cells)
        return StageRows(self.stage, at_cells, np.einsum("abq,bqx->aqx", small, self.fixed))

    def at(self, later: LaterSolution) -> FloatArray:
        """Multiply the rows of touched levels by the solution at what they meet, (r, m)."""
        return later.times(self.cells, self.fixed)

    def minus(self, other: "StageRows") -> "StageRows":
        return StageRows(self.stage, self.cells - other.cells, self.fixed - other.fixed)

    def dot(self, other: "StageRows") -> FloatArray:
        """Σ over columns of the products of two sets of rows, per level, (r, s, q)."""
        out = np.einsum("aqx,bqx->abq", self.fixed, other.fixed)
        if not len(self.stage.rows):
            return out
        for row, left in zip(out, self.cells, strict=True):
            for own, right in zip(row, other.cells, strict=True):
                own += np.bincount(self.stage.rows, left * right, minlength=len(own))
        return out


@dataclass(frozen=True)
class LaterTangent:
    """The entries of a later stage in a matrix of the remaining system.

    own : (r, r, q); rows : StageRows
    """

    own: FloatArray
    rows: StageRows


@dataclass(frozen=True)
class SchurTangent:
    """A symmetric matrix over the later stages of the chain, the core and X.

    Attributes
    ----------
    stages : tuple of LaterTangent
    core : (q_core + p,) * 2 array
    """

    stages: tuple[LaterTangent, ...]
    core: FloatArray

    def plus(self, other: "SchurTangent", factor: float) -> "SchurTangent":
        return SchurTangent(
            tuple(_plus(a, b, factor) for a, b in zip(self.stages, other.stages, strict=True)),
            self.core + factor * other.core,
        )


def _plus(a: LaterTangent, b: LaterTangent, factor: float) -> LaterTangent:
    rows = StageRows(
        a.rows.stage,
        a.rows.cells + factor * b.rows.cells,
        a.rows.fixed + factor * b.rows.fixed,
    )
    return LaterTangent(a.own + factor * b.own, rows)


def symmetric_product(blocks: Blocks, k: int, left: StageRows, right: StageRows) -> SchurTangent:
    """Return left'right + right'left over what remains after stage k."""
    later = tuple(_at_later(blocks, g, left, right) for g in range(k + 1, len(blocks.stages)))
    n, p = blocks.n_core, blocks.n_fixed
    core = np.zeros((n + p, n + p))
    core[n:, n:] = np.tensordot(left.fixed, right.fixed, ((0, 1), (0, 1)))
    if n:
        at_core = [[m[:, blocks.n_chain :] for m in side.matrices] for side in (left, right)]
        core[:n, :n] = sum_of_products(*at_core)
        core[:n, n:] = sum(m.T @ f for m, f in zip(at_core[0], right.fixed, strict=True))
        core[n:, :n] = sum(m.T @ f for m, f in zip(at_core[1], left.fixed, strict=True)).T
    return SchurTangent(later, core + core.T)


def _at_later(blocks: Blocks, g: int, left: StageRows, right: StageRows) -> LaterTangent:
    """Each level of the inner stage has one cell there: levels of the outer stay apart."""
    place, stage = blocks.factors[g], blocks.stages[g]
    q, r = place.n_levels, place.n_columns
    own = np.zeros((r, r, q))
    cells = np.zeros((r, len(stage.rows)))
    fixed = np.zeros((r, q, blocks.n_fixed))
    for one, other in ((left, right), (right, left)):
        here = [m[:, place.outer] for m in one.matrices]
        products = sum(h.T @ m for h, m in zip(here, other.matrices, strict=True)).tocoo()
        inside = (products.col >= place.outer.start) & (products.col < place.outer.stop)
        at = products.row[inside], products.col[inside] - place.outer.start
        np.add.at(own, (at[0] % r, at[1] % r, at[0] // r), products.data[inside])
        outside = products.col >= place.outer.stop
        rows, columns = products.row[outside], products.col[outside]
        cells[rows % r, cell_positions(stage, rows // r, columns)] += products.data[outside]
        at_fixed = sum(h.T @ f for h, f in zip(here, other.fixed, strict=True))
        fixed += at_fixed.reshape(q, r, -1).transpose(1, 0, 2)
    return LaterTangent(own, StageRows(stage, cells, fixed))


@dataclass(frozen=True)
class StageTangent:
    """A stage's matrices of the module's docstring: small ones (r, r, q), and rows.

    Those that only other stages' directions or rows need are made when asked for.
    """

    factorization: Factorization
    k: int
    a: FloatArray
    c: StageRows

    @staticmethod
    def of(factorization: Factorization, k: int) -> "StageTangent":
        done = factorization.stages[k]
        left = np.concatenate(list(done.gls_slabs()), axis=2)[:, :, : done.n_levels]
        fixed = left[:, done.stage.fixed[:-1]].transpose(0, 2, 1)
        c = StageRows(done.stage, done.gls_cells(), fixed)
        return StageTangent(factorization, k, left[:, done.stage.random], c)

    @property
    def done(self) -> EliminatedStage:
        return self.factorization.stages[self.k]

    @cached_property
    def t(self) -> FloatArray:
        root = self.done.root
        return np.asarray(np.einsum("saq,sbq->abq", root, root))

    @cached_property
    def b(self) -> FloatArray:
        return self.done.residual_map()

    @cached_property
    def j(self) -> StageRows:
        stage = self.done.stage
        fixed = self.done.at_levels(stage.fixed[:-1]).transpose(0, 2, 1)
        return StageRows(stage, self.done.values, fixed).times(self.t)

    @cached_property
    def _at_fixed(self) -> FloatArray:
        """Sums over levels of the products of C's rows at X, (r, p, r, p)."""
        r, q, p = self.c.fixed.shape
        flat = self.c.fixed.transpose(0, 2, 1).reshape(r * p, q)
        return np.asarray((flat @ flat.T).reshape(r, p, r, p))

    def met_by(self, tangents: list[SchurTangent]) -> list[tuple[FloatArray, StageRows]]:
        """Return D, (r, r, q), and Y for directions of earlier stages."""
        here = [tangent.stages[0] for tangent in tangents]
        return [(h.own, h.rows.minus(self.j.times(h.own))) for h in here]

    def beyond(self, tangents: list[SchurTangent], own: FloatArray) -> list[SchurTangent]:
        """Return the tangents of earlier directions and of own ones, (d, r, r), beyond."""
        passed = [self._passed_on(tangent) for tangent in tangents]
        return passed + [self._left_by(direction) for direction in own]

    def _passed_on(self, tangent: SchurTangent) -> SchurTangent:
        """Eliminate the stage from an earlier direction's tangent."""
        here, *rest = tangent.stages
        half = here.rows.minus(self.j.times(0.5 * here.own))
        taken = symmetric_product(self.factorization.blocks, self.k, half, self.j)
        return SchurTangent(tuple(rest), tangent.core).plus(taken, -1.0)

    def _left_by(self, direction: FloatArray) -> SchurTangent:
        """Return the tangent of an own direction."""
        blocks = self.factorization.blocks
        if not blocks.factors[-1].outer.stop:  # nothing but X remains
            return SchurTangent((), -np.einsum("ab,axby->xy", direction, self._at_fixed))
        scaled = self.c.times(-0.5 * direction)
        return symmetric_product(blocks, self.k, scaled, self.c)
