"""The cross-products of one model, laid out for the factorizations of a search.

`assemble` picks from the statistics what a model uses. One chain of nested
factors, that with most columns, is eliminated level by level, the inner ones
first: what an inner factor leaves of an outer one stays block-diagonal. Arrays
over levels have the levels last, so that the algebra of the small matrices
(r × r per level) runs in long vectors, without a loop over levels. What is left,
the core, is one dense matrix of the other factors' columns, the independent
columns of X, and y. The columns outside of a stage, those of later stages and of
the core, are numbered through; a sparse matrix of cells couples a stage to them.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._coordinates import TermBlock, term_blocks
from skmixed._core import Crossed, dense_core, pair_matrix, sparse_core
from skmixed._crossprod import CrossProducts
from skmixed._design import Model
from skmixed._rank import WorkingColumns, working_columns

FloatArray = NDArray[np.float64]

# Numbers of a slab of levels, 512 KB, and its least levels, a vector worth a call.
SLAB_NUMBERS, SLAB_LEVELS = 65_536, 64


@dataclass(frozen=True)
class FactorTerms:
    """The terms on one grouping factor.

    Attributes
    ----------
    n_levels, n_columns : int
        Levels q, and columns r of the factor.
    terms : tuple of TermBlock
    core : slice or None
        The factor's place in the core, level by level; None where eliminated.
    outer : slice
        Its place among the outer columns; empty for the first stage.
    entries : slice
        The place of its Σ, row by row, among the parameters of all factors.
    """

    n_levels: int
    n_columns: int
    terms: tuple[TermBlock, ...]
    core: slice | None
    outer: slice
    entries: slice

    def lam(self, lam: tuple[FloatArray, ...]) -> FloatArray:
        """Join the terms' Λ to that of the factor's columns, (r, s)."""
        parts = [t.to_block @ lam[t.index] for t in self.terms]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Stage:
    """The products of one factor that is eliminated.

    Attributes
    ----------
    products : (k, r, m, b) array
        Per-level products of the factor's r columns with m columns, in k slabs
        of b levels; the last one is filled up with zeros.
    random, fixed : (r,) and (p + 1,) arrays of int
        Where among the m columns the factor's own are, and X's and y's.
    cells : sparse (q, n_outer) array
        Which outer columns meet each level.
    values : (r, n_cells) array
        The products there, in the order of the cells.
    rows : (n_cells,) array of int
        Level of each cell.
    """

    products: FloatArray
    random: NDArray[np.intp]
    fixed: NDArray[np.intp]
    cells: sp.csr_array
    values: FloatArray
    rows: NDArray[np.intp]

    def with_values(self, values: FloatArray) -> sp.csr_array:
        """Return the cells holding other values, (q, n_outer)."""
        return sp.csr_array((values, self.cells.indices, self.cells.indptr), shape=self.cells.shape)


@dataclass(frozen=True)
class Blocks:
    """The matrix [Z X y]'W[Z X y] of one model.

    Attributes
    ----------
    core : (q_core + p + 1,) * 2 array
        Products of the columns of the factors not eliminated, of the
        independent columns of X, and of y; of X and y alone where `crossed`.
    kept : tuple of int
        Positions, among the model's fixed effects, of the independent ones.
    center : (p + 1,) array
        What was subtracted from these columns and from y.
    regression : (p + 1, p + 1) array or None
        E, unit upper triangular, of what was taken off them then: X − c = X̃E_X and
        y − c_y = ỹ + X̃γ, with γ above the last column's 1. None for the identity.
    stages : tuple of Stage
        The chain that is eliminated, inner factors first.
    factors : tuple of FactorTerms
        Those of the stages first, then those of the core.
    n_rows : int
    dof : int
        n − rank X for REML, n for ML: the divisor of the residual variance.
    sum_log_weights, floor : float
        `floor` is the smallest residual sum of squares that means anything.
    reml : bool
    weight_unit : float
        What the weights are counted in.
    crossed : Crossed or None
        The factors not eliminated, for the iterative engine.
    """

    core: FloatArray
    kept: tuple[int, ...]
    center: FloatArray
    stages: tuple[Stage, ...]
    factors: tuple[FactorTerms, ...]
    n_rows: int
    dof: int
    sum_log_weights: float
    floor: float
    reml: bool
    weight_unit: float = 1.0
    crossed: Crossed | None = None
    regression: FloatArray | None = None

    @property
    def n_fixed(self) -> int:
        return len(self.kept)

    @property
    def n_core(self) -> int:
        """Columns of random effects in the dense core."""
        return len(self.core) - self.n_fixed - 1

    @property
    def n_chain(self) -> int:
        """Outer columns that belong to stages; those of the core follow."""
        return self.factors[len(self.stages) - 1].outer.stop if self.stages else 0

    @property
    def spherical_places(self) -> list[slice]:
        """Places of the core's factors among its random effects in the coordinates of Λ."""
        sizes = [f.n_levels * sum(t.size for t in f.terms) for f in self.core_factors]
        stops = np.cumsum(sizes)
        return [slice(stop - n, stop) for n, stop in zip(sizes, stops, strict=True)]

    @property
    def core_factors(self) -> tuple[FactorTerms, ...]:
        return self.factors[len(self.stages) :]

    @property
    def terms(self) -> list[tuple[FactorTerms, TermBlock]]:
        """All terms with their factors, in the model's order."""
        pairs = [(f, t) for f in self.factors for t in f.terms]
        return sorted(pairs, key=lambda pair: pair[1].index)


def assemble(
    stats: CrossProducts,
    model: Model,
    like: CrossProducts | None = None,
    *,
    is_sparse: bool = False,
) -> Blocks:
    """Lay out what `model` uses of the statistics; decide the rank of X.

    `like` are statistics in the same frame, from which to take the unit of the
    weights, the columns of X and y, and the terms' coordinates. With `is_sparse`
    the largest factor alone is eliminated, and the core stays sparse, for the
    iterative engine.
    """
    unit = weight_unit(stats if like is None else like)
    stats = stats.in_units(unit)
    like = stats if like is None else like
    columns = working_columns(like, model)
    total = columns.total(stats)
    order = sparse_order if is_sparse else elimination_order
    chain, core = order(stats, model)
    factors = _factor_terms(stats, like, model, chain, core)
    return Blocks(
        core=total if is_sparse else dense_core(stats, core, total, columns),
        kept=columns.kept,
        center=columns.center,
        regression=columns.regression,
        stages=tuple(
            _stage(stats, k, [*chain[i + 1 :], *core], factors, columns)
            for i, k in enumerate(chain)
        ),
        factors=factors,
        n_rows=stats.n_rows,
        dof=stats.n_rows - len(columns.kept) if model.reml else stats.n_rows,
        sum_log_weights=stats.sum_log_weights,
        floor=columns.floor(stats, float(total[-1, -1])),
        reml=model.reml,
        weight_unit=unit,
        crossed=sparse_core(stats, core, columns) if is_sparse else None,
    )


def weight_unit(stats: CrossProducts) -> float:
    """Return the power of 4 nearest to the mean weight: Λ is of order 1 in that unit."""
    mean = stats.sum_weights / stats.n_rows
    return float(4.0 ** np.round(np.log2(mean) / 2.0)) if 0 < mean < np.inf else 1.0


def elimination_order(stats: CrossProducts, model: Model) -> tuple[list[int], list[int]]:
    """Return the factors of the chain to eliminate, inner first, and the others."""
    used = sorted({t.factor for t in model.terms})
    size = {k: stats.factors[k].sums[:, :, 0].size for k in used}
    chains = [_chain(stats, k, used) for k in used]
    chain = max(chains, key=lambda c: sum(size[k] for k in c), default=[])
    return chain, [k for k in used if k not in chain]


def sparse_order(stats: CrossProducts, model: Model) -> tuple[list[int], list[int]]:
    """Return the largest factor, and the others."""
    used = sorted({t.factor for t in model.terms})
    largest = max(used, key=lambda k: stats.factors[k].sums[:, :, 0].size)
    return [largest], [k for k in used if k != largest]


def _chain(stats: CrossProducts, inner: int, used: list[int]) -> list[int]:
    """Go from a factor outwards, each time to the finest factor it is nested in."""
    chain = [inner]
    while True:
        outside = [k for k in used if k not in chain and _is_nested(stats, chain[-1], k)]
        if not outside:
            return chain
        chain.append(max(outside, key=lambda k: len(stats.factors[k].counts)))


def _is_nested(stats: CrossProducts, inner: int, outer: int) -> bool:
    """Whether each level of one factor lies in a single level of another."""
    r = len(stats.factors[inner].columns), len(stats.factors[outer].columns)
    cells = pair_matrix(stats, inner, outer).nnz // (r[0] * r[1])
    return cells == len(stats.factors[inner].counts)


def _factor_terms(
    stats: CrossProducts,
    like: CrossProducts,
    model: Model,
    chain: list[int],
    core: list[int],
) -> tuple[FactorTerms, ...]:
    out: list[FactorTerms] = []
    outer = entries = in_core = 0
    for position, k in enumerate([*chain, *core]):
        factor = stats.factors[k]
        r, size = len(factor.columns), factor.sums[:, :, 0].size
        width = size if position else 0
        is_core = position >= len(chain)
        out.append(
            FactorTerms(
                n_levels=len(factor.counts),
                n_columns=r,
                terms=term_blocks(like, model.terms, k),
                core=slice(in_core, in_core + size) if is_core else None,
                outer=slice(outer, outer + width),
                entries=slice(entries, entries + r * r),
            )
        )
        in_core += size if is_core else 0
        outer += width
        entries += r * r
    return tuple(out)


def _stage(
    stats: CrossProducts,
    k: int,
    later: list[int],
    places: tuple[FactorTerms, ...],
    columns: WorkingColumns,
) -> Stage:
    factor = stats.factors[k]
    own, used = list(factor.columns), list(columns.used)
    if columns.change_from(stats) is None:
        needed = list(dict.fromkeys([*own, *used]))
        products = _in_slabs(factor.sums, needed)
        random, fixed = ([needed.index(c) for c in part] for part in (own, used))
    else:
        # X and y are not as in the statistics, the factor's own columns still are.
        parts = [stats.own_products(k), columns.with_columns_of(stats, k)]
        both = np.concatenate(parts, axis=2)
        products = _in_slabs(both, list(range(both.shape[2])))
        random, fixed = list(range(len(own))), list(range(len(own), len(own) + len(used)))
    width = places[-1].outer.stop
    cells, values = _join_cells(
        [pair_matrix(stats, k, j) for j in later], len(factor.counts), len(own), width
    )
    rows = np.repeat(np.arange(cells.shape[0]), np.diff(cells.indptr))
    return Stage(products, np.array(random), np.array(fixed), cells, values, rows)


def _join_cells(
    parts: list[sp.csr_array], q: int, r: int, width: int
) -> tuple[sp.csr_array, FloatArray]:
    """Join (q·r, …) matrices, the last ending at `width`: cells and (r, n_cells) values."""
    n = sum(part.shape[1] for part in parts)
    joined = sp.hstack([sp.csr_array((q * r, width - n)), *parts], format="csr")
    joined.sort_indices()
    # The r rows of a level have the same cells.
    return joined[::r], np.stack([joined[a::r].data for a in range(r)])


def _in_slabs(sums: FloatArray, columns: list[int]) -> FloatArray:
    """Turn (q, r, m) sums to slabs with the levels last, of the columns named."""
    q, r, _ = sums.shape
    size = min(max(SLAB_NUMBERS // (r * len(columns)), SLAB_LEVELS), q)
    out = np.zeros((-(-q // size), r, len(columns), size))
    for slab, start in zip(out, range(0, q, size), strict=True):
        part = sums[start : start + size]
        slab[:, :, : len(part)] = part.transpose(1, 2, 0)[:, columns]
    return out
