"""The system in other columns, with other structures, another response, or other weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmixed._equations.cholesky import congruent
from skmixed._equations.layout import Cells, FactorLayout, Layout
from skmixed._equations.linear_algebra import levels_last, to_slabs
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.system import Stage, System, diagonal_of_blocks
from skmixed._equations.tangents import LaterTangent, SchurTangent, StageRows
from skmixed._model.chart import consecutive
from skmixed._model.covariance import Full
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, IntArray, Lam


def with_response(
    system: System, stages: list[FloatArray], of_core: FloatArray, squares: float
) -> System:
    """Put Z'Wy of each stage, [Z_c X]'Wy of the core and y'Wy in the place of those of y."""
    parts = []
    for stage, own in zip(system.stages, stages, strict=True):
        products = stage.products.copy()
        products[:, :, stage.fixed[-1]] = own
        parts.append(replace(stage, products=products))
    core = system.core.copy()
    core[:-1, -1] = core[-1, :-1] = of_core
    core[-1, -1] = squares
    return replace(system, core=core, stages=tuple(parts))


def in_columns(system: System, bases: Lam, fixed: FloatArray) -> System:
    """Return the system with columns ZT and XF.

    Parameters
    ----------
    system : System
    bases : tuple of (s, s) arrays
        T of each term, by its index.
    fixed : (p, p) array
        F.
    """
    factors = _factors(system, bases)
    n, base = len(system.stages), [f.lam(bases) for f in system.factors]
    stages = tuple(_changed_products(system, factors, base, fixed, k) for k in range(n))
    return replace(
        system,
        core=_core(system, bases, fixed),
        layout=Layout(factors, tuple(stage.cells for stage in stages)),
        stages=stages,
    )


def _core(system: System, bases: Lam, fixed: FloatArray) -> FloatArray:
    out = system.core.copy()
    if system.n_core:
        out = congruent(system, bases, out, transposed=True)
    of_fixed = slice(len(out) - 1 - system.n_fixed, len(out) - 1)
    out[:, of_fixed] = out[:, of_fixed] @ fixed
    out[of_fixed] = fixed.T @ out[of_fixed]
    return out


def _factors(system: System, bases: Lam) -> tuple[FactorLayout, ...]:
    """Lay out the factors anew: a column for each coefficient of each term."""
    out: list[FactorLayout] = []
    outer = entries = in_core = 0
    for factor in system.factors:
        # As `layout.factor_layouts`, with s columns for r: T takes the factor's place.
        r = sum(term.size for term in factor.terms)
        size = factor.n_levels * r
        width = size if out else 0
        identity = np.eye(r)
        terms = tuple(
            replace(t, to_factor_columns=identity[:, t.columns], to_user=t.to_user @ bases[t.index])
            for t in factor.terms
        )
        core = None if factor.core is None else slice(in_core, in_core + size)
        places = slice(outer, outer + width), slice(entries, entries + r * r)
        out.append(FactorLayout(factor.position, factor.n_levels, r, terms, core, *places))
        in_core += 0 if core is None else size
        outer, entries = outer + width, entries + r * r
    return tuple(out)


def _changed_products(
    system: System,
    factors: tuple[FactorLayout, ...],
    unit: list[FloatArray],
    fixed: FloatArray,
    k: int,
) -> Stage:
    stage, base = system.stages[k], unit[k]
    n, r, m, b = stage.products.shape
    s, p = base.shape[1], len(fixed)
    change = np.zeros((m, s + p + 1))  # a column of Z may be one of X, too
    change[stage.random, :s] = base
    change[stage.fixed[:-1], s:-1] = fixed
    change[stage.fixed[-1], -1] = 1.0
    left = np.matmul(base.T, stage.products.reshape(n, r, -1)).reshape(n, s, m, b)
    products = np.matmul(change.T, left)
    places = np.arange(s + p + 1)
    cells, values = _cells(system, factors, unit, k)
    return Stage(products, places[:s], places[s:], cells, values)


def _cells(
    system: System, factors: tuple[FactorLayout, ...], unit: list[FloatArray], k: int
) -> tuple[Cells, FloatArray]:
    """Return the cells of a stage, level pair by level pair, and their values."""
    stage, s = system.stages[k], unit[k].shape[1]
    rows, columns, values = [np.empty(0, int)], [np.empty(0, int)], [np.empty((s, 0))]
    for old, new, base in zip(
        system.factors[k + 1 :], factors[k + 1 :], unit[k + 1 :], strict=True
    ):
        # A pair of levels that meet has all their columns, one after the other.
        at = (stage.cells.columns >= old.outer.start) & (stage.cells.columns < old.outer.stop)
        r, t = base.shape
        level = (stage.cells.columns[at][::r] - old.outer.start) // r
        pairs = stage.values[:, at].reshape(-1, len(level), r) @ base
        rows.append(np.repeat(stage.cells.rows[at][::r], t))
        columns.append((new.outer.start + t * level[:, None] + np.arange(t)).ravel())
        values.append(unit[k].T @ pairs.reshape(len(unit[k]), -1))
    row, column = np.concatenate(rows), np.concatenate(columns)
    order = np.lexsort((column, row))
    starts = np.searchsorted(row[order], np.arange(stage.n_levels + 1))
    n_chain = factors[len(system.stages) - 1].outer.stop
    cells = Cells(starts, column[order], row[order], factors[-1].outer.stop, n_chain)
    return cells, np.concatenate(values, axis=1)[:, order]


def with_structure(system: System, index: int, structure: Full) -> System:
    """Return the system with another structure of one term."""

    def changed(term: TermCoordinates) -> TermCoordinates:
        if term.index != index:
            return term
        return replace(term, term=replace(term.term, structure=structure))

    factors = tuple(replace(f, terms=tuple(changed(t) for t in f.terms)) for f in system.factors)
    return replace(system, layout=replace(system.layout, factors=factors))


def with_pinned_effect(system: System, row: FloatArray, pivot: int, value: float) -> System:
    """Return the system of the model in which row'β = value; the pivot column goes.

    β_pivot = (value − Σ row_k β_k) / row_pivot: the other columns become
    x_k − x_pivot row_k / row_pivot, and y becomes y − x_pivot value / row_pivot.
    """
    p = system.n_fixed
    change = np.eye(p + 1)
    change[pivot, :p] -= row / row[pivot]
    change[pivot, p] = -value / row[pivot]
    change = np.delete(change, pivot, axis=1)
    # C'[X y]'W[X y]C, and with Z the same from one side
    n = system.n_core
    core = np.empty((n + p, n + p))
    core[:n, :n] = system.core[:n, :n]
    core[n:, n:] = change.T @ system.core[n:, n:] @ change
    core[:n, n:] = system.core[:n, n:] @ change
    core[n:, :n] = core[:n, n:].T
    return replace(
        system,
        core=core,
        kept=tuple(range(p - 1)),
        stages=tuple(_changed_stage(stage, change) for stage in system.stages),
    )


def _changed_stage(stage: Stage, change: FloatArray) -> Stage:
    own = stage.products[:, :, stage.random]
    fixed = np.einsum("krmb,mp->krpb", stage.products[:, :, stage.fixed], change)
    r, p = own.shape[2], fixed.shape[2]
    return replace(
        stage,
        products=np.ascontiguousarray(np.concatenate([own, fixed], axis=2)),
        random=np.arange(r),
        fixed=np.arange(r, r + p),
    )


@dataclass(frozen=True)
class RowLayout:
    """Rows of Z in a layout: their products with any weights, and what they take of others.

    Columns of random effects are numbered factor by factor, those of a level together, as
    the outer columns behind the first factor's.

    Attributes
    ----------
    system : System
        Of the same rows and layout, without columns of X.
    columns : tuple of tuples of (n,) arrays or None
        Each factor's r columns, in the order of the system; None of ones.
    codes : tuple of (n,) arrays of int
        Each row's level.
    cells : tuple of tuples of (n,) arrays of int
        For each stage and each factor after it, the cell of the row's levels, at the first
        of the later factor's columns.
    n_rows : int
    """

    system: System
    columns: tuple[tuple[FloatArray | None, ...], ...]
    codes: tuple[IntArray, ...]
    cells: tuple[tuple[IntArray, ...], ...]
    n_rows: int

    @staticmethod
    def of(like: System) -> "RowLayout":
        """Lay out no rows of the factors of a system."""
        core = like.n_core + 1
        system = replace(
            like,
            core=np.zeros((core, core)),
            kept=(),
            center=np.zeros(1),
            regression=None,
            stages=tuple(map(_without_fixed, like.stages, like.factors)),
            weight_unit=1.0,
        )
        return RowLayout(system, (), (), (), 0)

    def with_rows(
        self, columns: Sequence[FloatArray], codes: Sequence[IntArray], n_rows: int
    ) -> "RowLayout":
        """Lay out rows, of which columns and levels are given in the system's order."""
        cells, factors = [], self.system.factors
        # A later factor's r columns of one level are r cells that follow each other
        for k, pattern in enumerate(self.system.layout.cells):
            later = zip(factors[k + 1 :], codes[k + 1 :], strict=True)
            starts = [f.outer.start + own * f.n_columns for f, own in later]
            cells.append(tuple(pattern.find(codes[k], at) for at in starts))
        own = tuple(tuple(None if (c == 1.0).all() else c for c in part) for part in columns)
        return RowLayout(self.system, own, tuple(codes), tuple(cells), n_rows)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where each factor's columns are among all."""
        return consecutive([f.n_levels * f.n_columns for f in self.system.factors])

    @property
    def n_random(self) -> int:
        """Columns of random effects."""
        return self.places[-1].stop if self.places else 0

    def times(self, effects: FloatArray) -> FloatArray:
        """Return Zb, (n,)."""
        out = np.zeros(self.n_rows)
        for place, own, codes in zip(self.places, self.columns, self.codes, strict=True):
            for column, b in zip(own, effects[place].reshape(-1, len(own)).T, strict=True):
                out += _by_column(column, np.take(b, codes))
        return out

    def transposed(self, values: FloatArray) -> FloatArray:
        """Return Z'v, (n_random,)."""
        out = np.empty(self.n_random)
        for k, place in enumerate(self.places):
            sums = [self._level_sums(k, _by_column(column, values)) for column in self.columns[k]]
            out[place] = np.stack(sums, axis=1).ravel()
        return out

    def weighted(self, weights: FloatArray, response: FloatArray | None = None) -> System:
        """Return the system of Z'WZ, with Z'y of the response's products, (n_random,)."""
        n = len(self.cells)
        if response is None:
            response = np.zeros(self.n_random)
        parts = [response[own].reshape(f.n_levels, -1) for own, f in self._with_places()]
        stages = tuple(self._stage(k, weights, parts[k]) for k in range(n))
        core = np.zeros_like(self.system.core)
        # The stages, and Z_k'WZ_j and Z_k'y of the factors in the core
        for k in range(n, len(self.codes)):
            at = self.system.factors[k].core
            core[at, -1] = core[-1, at] = parts[k].ravel()
            for j in range(n, k + 1):
                core[at, self.system.factors[j].core] = self._core_block(k, j, weights)
                core[self.system.factors[j].core, at] = core[at, self.system.factors[j].core].T
        return replace(self.system, core=core, stages=stages)

    def quadratics(self, inverse: CoreInverse) -> FloatArray:
        """Return z'Tz of each row, (n,), with T = ΛM⁻¹Λ' the covariance of b."""
        out = np.zeros(self.n_rows)
        n = len(self.cells)
        for k, (own, cells) in enumerate(inverse.entries):
            out += self.own_quadratics(k, own)
            # Twice T between the stage's level and the row's levels of later factors
            for m, at in enumerate(self.cells[k], start=k + 1):
                for a, c, z in self._pairs(k, m):
                    out += 2.0 * _by_column(z, np.take(cells[a], at + c))
        core = inverse.of_traces
        for k in range(n, len(self.codes)):
            f = self.system.factors[k]
            own = core[f.core, f.core].reshape(f.n_levels, f.n_columns, f.n_levels, -1)
            out += self.own_quadratics(k, np.einsum("qaqb->abq", own))
            for j in range(n, k):
                g = self.system.factors[j]
                block = core[f.core, g.core]
                rows, columns = self.codes[k] * f.n_columns, self.codes[j] * g.n_columns
                for a, c, z in self._pairs(k, j):
                    out += 2.0 * _by_column(z, block[rows + a, columns + c])
        return out

    def own_quadratics(self, k: int, matrices: FloatArray) -> FloatArray:
        """Return z'Tz of each row, (n,), for a symmetric T of each level, (r, r, q)."""
        out = np.zeros(self.n_rows)
        for a, c, z in self._pairs(k, k):
            if c <= a:
                out += (1.0 + (c < a)) * _by_column(z, np.take(matrices[a, c], self.codes[k]))
        return out

    def tangent(self, weights: FloatArray) -> SchurTangent:
        """Return Z'DZ, the derivative of the products along one of the weights."""
        system = self.weighted(weights)
        parts = []
        for k, stage in enumerate(system.stages):
            f = system.factors[k]
            own = levels_last(stage.products, f.n_levels)[:, stage.random]
            none = np.zeros((f.n_columns, f.n_levels, 0))
            parts.append(LaterTangent(own, StageRows(stage, stage.values, none)))
        return SchurTangent(tuple(parts), system.core[:-1, :-1])

    def _with_places(self) -> Iterator[tuple[slice, FactorLayout]]:
        return zip(self.places, self.system.factors, strict=True)

    def _level_sums(self, k: int, values: FloatArray) -> FloatArray:
        n_levels = self.system.factors[k].n_levels
        return np.asarray(np.bincount(self.codes[k], values, minlength=n_levels), dtype=float)

    def _pairs(self, k: int, j: int) -> Iterator[tuple[int, int, FloatArray | None]]:
        """Yield each two columns of two factors: their numbers and their product, (n,)."""
        for a, left in enumerate(self.columns[k]):
            for c, right in enumerate(self.columns[j]):
                yield a, c, left if right is None else _by_column(left, right)

    def own_products(self, k: int, weights: FloatArray) -> FloatArray:
        """Z'WZ of a factor within each of its levels, (r, r, q)."""
        r = len(self.columns[k])
        out = np.empty((r, r, self.system.factors[k].n_levels))
        for a, left in enumerate(self.columns[k]):
            weighted = _by_column(left, weights)
            for c in range(a + 1):
                values = _by_column(self.columns[k][c], weighted)
                out[a, c] = out[c, a] = self._level_sums(k, values)
        return out

    def _stage(self, k: int, weights: FloatArray, response: FloatArray) -> Stage:
        stage, width = self.system.stages[k], self.system.stages[k].values.shape[1]
        products = np.concatenate([self.own_products(k, weights), response.T[:, None]], axis=1)
        values = np.zeros(stage.values.shape)
        for m, at in enumerate(self.cells[k], start=k + 1):
            for a, c, z in self._pairs(k, m):
                values[a] += np.bincount(at + c, _by_column(z, weights), minlength=width)
        slabs = to_slabs(products, *stage.products.shape[::3])
        return replace(stage, products=slabs, values=values)

    def _core_block(self, k: int, j: int, weights: FloatArray) -> FloatArray:
        f, g = self.system.factors[k], self.system.factors[j]
        if k == j:
            return diagonal_of_blocks(self.own_products(k, weights).transpose(2, 0, 1))
        out = np.empty((f.n_levels, f.n_columns, g.n_levels, g.n_columns))
        cell = self.codes[k] * g.n_levels + self.codes[j]
        for a, c, z in self._pairs(k, j):
            sums = np.bincount(cell, _by_column(z, weights), minlength=f.n_levels * g.n_levels)
            out[:, a, :, c] = sums.reshape(f.n_levels, g.n_levels)
        return out.reshape(f.n_levels * f.n_columns, -1)


def _by_column(column: FloatArray | None, values: FloatArray) -> FloatArray:
    """Multiply by a column, None of ones."""
    return values if column is None else column * values


def _without_fixed(stage: Stage, factor: FactorLayout) -> Stage:
    """Return a stage of the same cells with room for the products of Z and y alone."""
    k, r, _, b = stage.products.shape
    columns = np.arange(r + 1)
    return Stage(
        products=np.zeros((k, r, r + 1, b)),
        random=columns[:r],
        fixed=columns[r:],
        cells=stage.cells,
        values=np.zeros((factor.n_columns, len(stage.cells))),
    )
