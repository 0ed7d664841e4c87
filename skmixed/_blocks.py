"""The cross-products of one model, laid out for the factorizations of a search.

`assemble` picks from the statistics what a model uses. One grouping factor, the
one with most columns, is eliminated level by level; its arrays have the levels
last, so that the algebra of its small matrices (r × r per level) runs in long
vectors, without a loop over levels. What is left, the core, is one dense matrix
of the other factors' columns, the independent columns of X, and y; a sparse
matrix of cells couples the two.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._crossprod import CrossProducts, FactorProducts
from skmixed._design import Model, Term
from skmixed._rank import independent_columns, raw_squares, residual_floor, total_around

FloatArray = NDArray[np.float64]

# Numbers of a slab of levels, 256 KB, and its least levels, a vector worth a call.
SLAB_NUMBERS, SLAB_LEVELS = 32_768, 64


@dataclass(frozen=True)
class TermBlock:
    """One random-effects term in the search's coordinates.

    Attributes
    ----------
    term : Term
    index : int
        Position among the model's terms.
    to_block : (r, s) array
        From the search's coefficients (slopes centered and scaled where that
        leaves the model as it is) to those of the factor's columns.
    to_user : (s, s) array
        From the search's coefficients to those of the user's columns.
    start : int
        Position of the term's first column in the factor's Λ.
    """

    term: Term
    index: int
    to_block: FloatArray
    to_user: FloatArray
    start: int

    @property
    def size(self) -> int:
        return int(self.to_block.shape[1])

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + self.size)


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
    entries : slice
        The place of its Σ, row by row, among the parameters of all factors.
    """

    n_levels: int
    n_columns: int
    terms: tuple[TermBlock, ...]
    core: slice | None
    entries: slice

    def lam(self, lam: tuple[FloatArray, ...]) -> FloatArray:
        """Join the terms' Λ to that of the factor's columns, (r, s)."""
        parts = [t.to_block @ lam[t.index] for t in self.terms]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Eliminated:
    """The products of the factor that is eliminated.

    Attributes
    ----------
    products : (k, r, m, b) array
        Per-level products of the factor's r columns with m columns, in k slabs
        of b levels; the last one is filled up with zeros.
    random, fixed : (r,) and (p + 1,) arrays of int
        Where among the m columns the factor's own are, and X's and y's.
    cells : sparse (q, q_core) array or None
        Which core columns meet each level.
    values : (r, n_cells) array
        The products there, in the order of the cells.
    rows : (n_cells,) array of int
        Level of each cell.
    """

    products: FloatArray
    random: NDArray[np.intp]
    fixed: NDArray[np.intp]
    cells: sp.csr_array | None
    values: FloatArray
    rows: NDArray[np.intp]

    def with_values(self, values: FloatArray) -> sp.csr_array:
        """Return the cells holding other values, (q, q_core)."""
        assert self.cells is not None
        return sp.csr_array((values, self.cells.indices, self.cells.indptr), shape=self.cells.shape)


@dataclass(frozen=True)
class Blocks:
    """The matrix [Z X y]'W[Z X y] of one model.

    Attributes
    ----------
    core : (q_core + p + 1,) * 2 array
        Products of the columns of the factors not eliminated, of the
        independent columns of X, and of y.
    kept : tuple of int
        Positions, among the model's fixed effects, of the independent ones.
    center : (p + 1,) array
        What was subtracted from these columns and from y.
    eliminated : Eliminated or None
    factors : tuple of FactorTerms
        The eliminated one first.
    n_rows : int
    dof : int
        n − rank X for REML, n for ML: the divisor of the residual variance.
    sum_log_weights, floor : float
        `floor` is the smallest residual sum of squares that means anything.
    reml : bool
    """

    core: FloatArray
    kept: tuple[int, ...]
    center: FloatArray
    eliminated: Eliminated | None
    factors: tuple[FactorTerms, ...]
    n_rows: int
    dof: int
    sum_log_weights: float
    floor: float
    reml: bool

    @property
    def n_fixed(self) -> int:
        return len(self.kept)

    @property
    def n_core(self) -> int:
        """Columns of random effects in the core."""
        return len(self.core) - self.n_fixed - 1

    @property
    def core_factors(self) -> tuple[FactorTerms, ...]:
        return self.factors[1:]

    @property
    def terms(self) -> list[tuple[FactorTerms, TermBlock]]:
        """All terms with their factors, in the model's order."""
        pairs = [(f, t) for f in self.factors for t in f.terms]
        return sorted(pairs, key=lambda pair: pair[1].index)


def assemble(stats: CrossProducts, model: Model) -> Blocks:
    """Lay out what `model` uses of the statistics; decide the rank of X."""
    y = len(stats.center) - 1
    center = stats.center if model.has_intercept else np.zeros_like(stats.center)
    total = total_around(stats, center)
    kept = independent_columns(total, list(model.fixed), raw_squares(stats))
    used = [*(model.fixed[k] for k in kept), y]
    order = elimination_order(stats, model)
    return Blocks(
        core=_core(stats, order[1:], total[np.ix_(used, used)], center, used),
        kept=kept,
        center=center[used],
        eliminated=_eliminated(stats, order, center, used) if order else None,
        factors=_factor_terms(stats, model, order),
        n_rows=stats.n_rows,
        dof=stats.n_rows - len(kept) if model.reml else stats.n_rows,
        sum_log_weights=stats.sum_log_weights,
        floor=residual_floor(stats, total[y, y]),
        reml=model.reml,
    )


def elimination_order(stats: CrossProducts, model: Model) -> list[int]:
    """Return the model's factors, the one with most columns first."""
    used = sorted({t.factor for t in model.terms})
    return sorted(used, key=lambda k: -stats.factors[k].sums[:, :, 0].size)


def _factor_terms(stats: CrossProducts, model: Model, order: list[int]) -> tuple[FactorTerms, ...]:
    out: list[FactorTerms] = []
    core = entries = 0
    for position, k in enumerate(order):
        factor = stats.factors[k]
        r, size = len(factor.columns), factor.sums[:, :, 0].size
        out.append(
            FactorTerms(
                n_levels=len(factor.counts),
                n_columns=r,
                terms=_term_blocks(stats, model.terms, k),
                core=slice(core, core + size) if position else None,
                entries=slice(entries, entries + r * r),
            )
        )
        core += size if position else 0
        entries += r * r
    return tuple(out)


def pair_matrix(stats: CrossProducts, first: int, second: int) -> sp.csr_array:
    """Return the products of two factors' columns, (q₁·r₁, q₂·r₂)."""
    for pair in stats.pairs:
        if (pair.first, pair.second) == (first, second):
            return pair.matrix
    return pair_matrix(stats, second, first).T.tocsr()


def _core(
    stats: CrossProducts,
    factors: list[int],
    total: FloatArray,
    center: FloatArray,
    used: list[int],
) -> FloatArray:
    """Lay out the dense matrix of what is not eliminated."""
    if not factors:
        return total
    sizes = [stats.factors[k].sums[:, :, 0].size for k in factors]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    n = int(starts[-1])
    core = np.zeros((n + len(used),) * 2)
    core[n:, n:] = total
    for i, k in enumerate(factors):
        rows = slice(starts[i], starts[i + 1])
        factor = stats.factors[k]
        core[rows, rows] = _block_diagonal(factor.sums[:, :, list(factor.columns)])
        core[rows, n:] = _around(factor, stats, center)[:, :, used].reshape(sizes[i], -1)
        core[n:, rows] = core[rows, n:].T
        for j in range(i):
            columns = slice(starts[j], starts[j + 1])
            core[rows, columns] = pair_matrix(stats, k, factors[j]).toarray()
            core[columns, rows] = core[rows, columns].T
    return core


def _block_diagonal(blocks: FloatArray) -> FloatArray:
    q, r, _ = blocks.shape
    out = np.zeros((q, r, q, r))
    out[np.arange(q), :, np.arange(q)] = blocks
    return out.reshape(q * r, q * r)


def _around(factor: FactorProducts, stats: CrossProducts, center: FloatArray) -> FloatArray:
    """Move the center of the other columns, not of the factor's own."""
    shift = center - stats.center
    return factor.sums - factor.sums[:, :, :1] * shift if shift.any() else factor.sums


def _eliminated(
    stats: CrossProducts, order: list[int], center: FloatArray, used: list[int]
) -> Eliminated:
    factor = stats.factors[order[0]]
    own = list(factor.columns)
    if np.array_equal(center, stats.center):
        columns = list(dict.fromkeys([*own, *used]))
        products = _in_slabs(factor.sums, columns)
        random, fixed = ([columns.index(c) for c in part] for part in (own, used))
    else:
        # X and y are not centered here, the factor's own columns still are.
        around = _around(factor, stats, center)
        parts = [_in_slabs(factor.sums, own), _in_slabs(around, used)]
        products = np.concatenate(parts, axis=2)
        random, fixed = list(range(len(own))), list(range(len(own), len(own) + len(used)))
    cells, values, rows = _cells(stats, order, len(own))
    return Eliminated(products, np.array(random), np.array(fixed), cells, values, rows)


def _cells(
    stats: CrossProducts, order: list[int], r: int
) -> tuple[sp.csr_array | None, FloatArray, NDArray[np.intp]]:
    """Join the pairs of the eliminated factor with each other one."""
    if len(order) == 1:
        return None, np.empty((r, 0)), np.empty(0, dtype=np.intp)
    pairs = [pair_matrix(stats, order[0], k) for k in order[1:]]
    joined = sp.hstack(pairs, format="csr")
    joined.sort_indices()
    # The r rows of a level have the same cells.
    values = np.stack([joined[a::r].data for a in range(r)])
    cells = joined[::r]
    return cells, values, np.repeat(np.arange(cells.shape[0]), np.diff(cells.indptr))


def _in_slabs(sums: FloatArray, columns: list[int]) -> FloatArray:
    """Turn (q, r, m) sums to slabs with the levels last, of the columns named."""
    q, r, _ = sums.shape
    size = min(max(SLAB_NUMBERS // (r * len(columns)), SLAB_LEVELS), q)
    out = np.zeros((-(-q // size), r, len(columns), size))
    for slab, start in zip(out, range(0, q, size), strict=True):
        part = sums[start : start + size]
        slab[:, :, : len(part)] = part.transpose(1, 2, 0)[:, columns]
    return out


def _term_blocks(
    stats: CrossProducts, terms: tuple[Term, ...], factor: int
) -> tuple[TermBlock, ...]:
    blocks: list[TermBlock] = []
    for index, term in enumerate(terms):
        if term.factor == factor:
            to_user = _search_to_user(stats, term)
            to_block = _user_to_block(stats, term, stats.factors[factor]) @ to_user
            start = blocks[-1].columns.stop if blocks else 0
            blocks.append(TermBlock(term, index, to_block, to_user, start))
    return tuple(blocks)


def _search_to_user(stats: CrossProducts, term: Term) -> FloatArray:
    """Return the map from centered and scaled coefficients to the user's."""
    columns = list(term.columns)
    squares = (stats.centered_squares if term.is_centered else raw_squares(stats))[columns]
    if term.has_intercept:
        squares[columns.index(0)] = stats.sum_weights
    if not term.structure.is_scale_invariant:
        squares[:] = squares.mean()
    scale = _nearest_power_of_two(np.sqrt(squares / stats.sum_weights))
    out = np.diag(1.0 / scale)
    if term.is_centered:
        own = columns.index(0)
        slopes = [k for k in range(len(columns)) if k != own]
        out[own, slopes] = -stats.center[[columns[k] for k in slopes]] / scale[slopes]
    return out


def _nearest_power_of_two(lengths: FloatArray) -> FloatArray:
    """Round to powers of two, by which scaling is exact; 1 for a length of 0."""
    positive = np.where(lengths > 0, lengths, 1.0)
    return np.asarray(np.exp2(np.round(np.log2(positive))))


def _user_to_block(stats: CrossProducts, term: Term, factor: FactorProducts) -> FloatArray:
    """Return the map from coefficients of raw columns to those of centered ones."""
    out = np.zeros((len(factor.columns), len(term.columns)))
    for k, column in enumerate(term.columns):
        out[factor.columns.index(column), k] = 1.0
        out[0, k] += stats.center[column]
    return out
