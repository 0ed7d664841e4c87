"""The system in other columns, with other structures, or with another response."""

from dataclasses import replace

import numpy as np

from skmixed._equations.cholesky import congruent
from skmixed._equations.layout import Cells, FactorLayout, Layout
from skmixed._equations.system import Stage, System
from skmixed._model.covariance import Full
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, Lam


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
    cells = Cells(starts, column[order], row[order], factors[-1].outer.stop)
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
