"""The cross-products of one model, laid out for the factorizations of a search.

`assemble` picks from the statistics what a model uses: the fixed-effects columns
that are linearly independent, and the products of the grouping factor with
them. Arrays over levels have the levels last, so that the algebra of the small
matrices (r × r per level) runs in long vectors, without a loop over levels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._crossprod import CONSTANT_SHARE, CrossProducts, FactorProducts
from skmixed._design import Model, Term

FloatArray = NDArray[np.float64]

# Squared pivot, on columns of unit length, below which a column counts as a
# combination of the columns before it.
RANK_TOLERANCE = 1e-12
# Share of y'y (centered) that rounding leaves of a residual sum of squares of 0.
EXACT_FIT_SHARE = 1e-13


# Numbers of a slab of levels, 256 KB, and its least levels, a vector worth a call.
SLAB_NUMBERS, SLAB_LEVELS = 32_768, 64


@dataclass(frozen=True)
class TermBlock:
    """One random-effects term in the search's coordinates.

    Attributes
    ----------
    term : Term
    to_block : (r, s) array
        From the search's coefficients (slopes centered and scaled where that
        leaves the model as it is) to those of the block's columns.
    to_user : (s, s) array
        From the search's coefficients to those of the user's columns.
    start : int
        Position of the term's first column in the factor's Λ.
    """

    term: Term
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
class FactorBlock:
    """One grouping factor: Z'Z per level and Z'[X y].

    Attributes
    ----------
    products : (k, r, m, b) array
        Per-level products of the factor's r columns with m columns, in k slabs
        of b levels; the last one is filled up with zeros.
    n_levels : int
    random, fixed : (r,) and (p + 1,) arrays of int
        Where among the m columns the factor's own are, and X's and y's.
    terms : tuple of TermBlock
    """

    products: FloatArray
    n_levels: int
    random: NDArray[np.intp]
    fixed: NDArray[np.intp]
    terms: tuple[TermBlock, ...]

    @property
    def n_random(self) -> int:
        """Columns of the factor, r."""
        return int(self.products.shape[1])

    @property
    def n_effects(self) -> int:
        """Columns of Λ: coefficients per level, over all terms."""
        return sum(t.size for t in self.terms)


@dataclass(frozen=True)
class Blocks:
    """The matrix [Z X y]'W[Z X y] of one model.

    Attributes
    ----------
    total : (p + 1, p + 1) array
        Products of the independent columns of X and of y.
    kept : tuple of int
        Positions, among the model's fixed effects, of the independent ones.
    center : (p + 1,) array
        What was subtracted from these columns and from y.
    factor : FactorBlock or None
    n_rows : int
    dof : int
        n − rank X for REML, n for ML: the divisor of the residual variance.
    sum_log_weights, floor : float
        `floor` is the smallest residual sum of squares that means anything.
    reml : bool
    """

    total: FloatArray
    kept: tuple[int, ...]
    center: FloatArray
    factor: FactorBlock | None
    n_rows: int
    dof: int
    sum_log_weights: float
    floor: float
    reml: bool

    @property
    def grouping(self) -> FactorBlock:
        """The factor of a model that has one."""
        assert self.factor is not None, "a model without random effects has no factor"
        return self.factor

    @property
    def n_fixed(self) -> int:
        return len(self.total) - 1


def assemble(stats: CrossProducts, model: Model) -> Blocks:
    """Lay out what `model` uses of the statistics; decide the rank of X."""
    y = len(stats.center) - 1
    fixed_center = stats.center if model.has_intercept else np.zeros_like(stats.center)
    total = _fixed_total(stats, fixed_center)
    kept = independent_columns(total, list(model.fixed), _raw_squares(stats))
    used = [*(model.fixed[k] for k in kept), y]
    n = stats.n_rows
    return Blocks(
        total=total[np.ix_(used, used)],
        kept=kept,
        center=fixed_center[used],
        factor=_factor_block(stats, model, fixed_center, used) if model.terms else None,
        n_rows=n,
        dof=n - len(kept) if model.reml else n,
        sum_log_weights=stats.sum_log_weights,
        floor=_residual_floor(stats, total[y, y]),
        reml=model.reml,
    )


def independent_columns(
    gram: FloatArray, columns: list[int], raw_squares: FloatArray
) -> tuple[int, ...]:
    """Return the positions of the first linearly independent columns, in order.

    By the pivots of a Cholesky factorization of the scaled products; a column
    whose pivot is below `RANK_TOLERANCE` is passed over.
    """
    squares = np.diagonal(gram)[columns]
    norms = np.sqrt(np.where(squares > CONSTANT_SHARE * raw_squares[columns], squares, 0.0))
    safe = np.where(norms > 0, norms, 1.0)
    scaled = gram[np.ix_(columns, columns)] / np.outer(safe, safe)
    kept: list[int] = []
    rows = np.zeros((len(columns), len(columns)))  # of the factor, one a kept column
    for j in range(len(columns)):
        done = rows[: len(kept)]
        rest = scaled[j] - done[:, j] @ done
        if norms[j] > 0 and rest[j] > RANK_TOLERANCE:
            rows[len(kept)] = rest / np.sqrt(rest[j])
            kept.append(j)
    return tuple(kept)


def _fixed_total(stats: CrossProducts, center: FloatArray) -> FloatArray:
    shift = center - stats.center
    total = stats.total - np.outer(stats.total[0], shift)
    return np.asarray(total - np.outer(shift, total[0]))


def _raw_squares(stats: CrossProducts) -> FloatArray:
    return np.diagonal(_fixed_total(stats, np.zeros_like(stats.center)))


def _residual_floor(stats: CrossProducts, y_squares: float) -> float:
    """Return the residual sum of squares that rounding leaves of an exact fit."""
    eps = np.finfo(float).eps
    rounding_of_y = float(_raw_squares(stats)[-1]) * eps**2
    return max(EXACT_FIT_SHARE * y_squares, rounding_of_y, np.finfo(float).tiny)


def _factor_block(
    stats: CrossProducts, model: Model, fixed_center: FloatArray, used: list[int]
) -> FactorBlock:
    factor = stats.factors[0]
    if model.has_intercept:
        columns = list(dict.fromkeys([*factor.columns, *used]))
        products = _in_slabs(factor.sums, columns)
    else:
        # X and y are not centered here, the factor's own columns still are.
        shift = fixed_center - stats.center
        raw = factor.sums - factor.sums[:, :, :1] * shift
        own = _in_slabs(factor.sums, list(factor.columns))
        products = np.concatenate([own, _in_slabs(raw, used)], axis=2)
        columns = [*(-1 - c for c in factor.columns), *used]
    at = {column: i for i, column in enumerate(columns)}
    own_keys = factor.columns if model.has_intercept else columns[: len(factor.columns)]
    return FactorBlock(
        products=products,
        n_levels=len(factor.counts),
        random=np.array([at[c] for c in own_keys]),
        fixed=np.array([at[c] for c in used]),
        terms=_term_blocks(stats, model.terms, factor),
    )


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
    stats: CrossProducts, terms: tuple[Term, ...], factor: FactorProducts
) -> tuple[TermBlock, ...]:
    blocks: list[TermBlock] = []
    for term in terms:
        to_user = _search_to_user(stats, term)
        to_block = _user_to_block(stats, term, factor) @ to_user
        start = blocks[-1].columns.stop if blocks else 0
        blocks.append(TermBlock(term, to_block, to_user, start))
    return tuple(blocks)


def _search_to_user(stats: CrossProducts, term: Term) -> FloatArray:
    """Return the map from centered and scaled coefficients to the user's."""
    columns = list(term.columns)
    squares = (stats.centered_squares if term.is_centered else _raw_squares(stats))[columns]
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
