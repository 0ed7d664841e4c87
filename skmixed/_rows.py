"""Rows of the remaining system that belong to one eliminated stage.

After a stage is eliminated, what is left is a symmetric matrix over the later
stages of the chain and the core. Sums of products of the stage's rows, level by
level, keep that matrix's pattern: a later stage stays block-diagonal, its cells
stay where they are, and only the core is dense.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._blocks import Blocks, Stage
from skmixed._factorize import cell_positions, sum_of_products

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
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

    def times(self, small: FloatArray) -> "Rows":
        """Multiply from the left by one small matrix, (s, r), or one per level, (s, r, q)."""
        if small.ndim == 2:
            return Rows(self.stage, small @ self.cells, np.tensordot(small, self.fixed, 1))
        at_cells = np.einsum("abn,bn->an", small[:, :, self.stage.rows], self.cells)
        return Rows(self.stage, at_cells, np.einsum("abq,bqx->aqx", small, self.fixed))

    def minus(self, other: "Rows") -> "Rows":
        return Rows(self.stage, self.cells - other.cells, self.fixed - other.fixed)

    def dot(self, other: "Rows") -> FloatArray:
        """Σ over columns of the products of two sets of rows, per level, (r, s, q)."""
        out = np.einsum("aqx,bqx->abq", self.fixed, other.fixed)
        if not len(self.stage.rows):
            return out
        for row, left in zip(out, self.cells, strict=True):
            for own, right in zip(row, other.cells, strict=True):
                own += np.bincount(self.stage.rows, left * right, minlength=len(own))
        return out


@dataclass(frozen=True)
class Later:
    """The entries of a later stage in a matrix of the remaining system.

    own : (r, r, q); rows : Rows
    """

    own: FloatArray
    rows: Rows


@dataclass(frozen=True)
class Remainder:
    """A symmetric matrix over the later stages of the chain, the core and X.

    Attributes
    ----------
    stages : tuple of Later
    core : (q_core + p,) * 2 array
    """

    stages: tuple[Later, ...]
    core: FloatArray

    def plus(self, other: "Remainder", factor: float) -> "Remainder":
        return Remainder(
            tuple(_plus(a, b, factor) for a, b in zip(self.stages, other.stages, strict=True)),
            self.core + factor * other.core,
        )


def _plus(a: Later, b: Later, factor: float) -> Later:
    rows = Rows(
        a.rows.stage,
        a.rows.cells + factor * b.rows.cells,
        a.rows.fixed + factor * b.rows.fixed,
    )
    return Later(a.own + factor * b.own, rows)


def symmetric_product(blocks: Blocks, k: int, left: Rows, right: Rows) -> Remainder:
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
    return Remainder(later, core + core.T)


def _at_later(blocks: Blocks, g: int, left: Rows, right: Rows) -> Later:
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
    return Later(own, Rows(stage, cells, fixed))
