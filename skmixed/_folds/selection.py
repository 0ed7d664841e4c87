"""Statistics of some levels, and of some columns, picked from those of more."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import scipy.sparse as sp

from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.grouped_products import FactorProducts, PairProducts
from skmixed._statistics.responses import ResponseTotals
from skmixed._typing import IntArray


def of_levels(stats: CrossProducts, levels: Sequence[IntArray]) -> CrossProducts:
    """Return the same sums with some levels of each factor alone, which have all rows."""
    pairs = zip(stats.factors, levels, strict=True)
    factors = tuple(replace(f, products=f.products[own], counts=f.counts[own]) for f, own in pairs)
    # Each level has the products of its rows alone: those of others go
    at = [_places_of(q, len(f.columns)) for q, f in zip(levels, factors, strict=True)]
    return replace(
        stats,
        factors=factors,
        pairs=tuple(_picked_places(p, at[p.first], at[p.second]) for p in stats.pairs),
    )


def of_columns(
    stats: CrossProducts, columns: Sequence[int], factors: Sequence[tuple[int, tuple[int, ...]]]
) -> CrossProducts:
    """Return the sums of a design with fewer columns and factors.

    `columns` are those of the design that stay, the ones first. `factors` are positions of
    the factors that stay, with the columns, numbered in the smaller design, that have a
    coefficient for each of their levels.
    """
    own, positions = list(columns), [k for k, _ in factors]
    # Rows e and responses u are centered alone, so that Σ w ee', Σ w eu and Σ w fe' are picked
    picked = tuple(_with_columns(stats.factors[k], own, its) for k, its in factors)
    of_responses = stats.responses
    plain = of_responses.unweighted
    return replace(
        stats,
        center=stats.center[own],
        total=stats.total[np.ix_(own, own)],
        responses=replace(
            of_responses,
            total=_along(of_responses.total, own),
            unweighted=None if plain is None else _along(plain, own),
        ),
        unweighted=None if stats.unweighted is None else stats.unweighted[np.ix_(own, own)],
        factors=picked,
        pairs=tuple(_picked_pair(stats, f, g, own, factors) for f, g in combinations(positions, 2)),
    )


def _along(totals: ResponseTotals, columns: list[int]) -> ResponseTotals:
    return replace(totals, with_columns=totals.with_columns[columns])


def _with_columns(
    factor: FactorProducts, columns: list[int], own: tuple[int, ...]
) -> FactorProducts:
    """Pick the products of a factor's columns with those of the design, and with responses."""
    rows = [factor.columns.index(columns[c]) for c in own]
    n = factor.products.shape[2] - factor.n_responses
    beside = [*columns, *range(n, n + factor.n_responses)]
    products = factor.products[:, rows][:, :, beside]
    return replace(factor, columns=own, products=products)


def _picked_pair(
    stats: CrossProducts,
    f: int,
    g: int,
    columns: list[int],
    factors: Sequence[tuple[int, tuple[int, ...]]],
) -> PairProducts:
    """Pick the cells of two factors, in the order in which they stay."""
    at = {k: place for place, (k, _) in enumerate(factors)}
    # Σ w f_a f_b of the columns that stay; where the factors change places, its transpose
    (found,) = (p for p in stats.pairs if {p.first, p.second} == {f, g})
    wanted = {
        k: [stats.factors[k].columns.index(columns[c]) for c in factors[at[k]][1]] for k in (f, g)
    }
    rows, others = (
        _places_of(
            np.arange(len(stats.factors[k].counts)), len(stats.factors[k].columns), wanted[k]
        )
        for k in (found.first, found.second)
    )
    picked = _picked_places(found, rows, others)
    matrix = picked.matrix if found.first == f else sp.csr_array(picked.matrix.T.tocsr())
    matrix.sort_indices()
    return PairProducts(at[f], at[g], matrix)


def _places_of(levels: IntArray, size: int, columns: list[int] | None = None) -> IntArray:
    """Return where the coefficients of levels stand, level by level."""
    own = np.arange(size) if columns is None else np.array(columns)
    return np.asarray((levels[:, None] * size + own).ravel())


def _picked_places(pair: PairProducts, rows: IntArray, columns: IntArray) -> PairProducts:
    """Pick rows and columns of the products of two factors; zeros stay."""
    matrix = pair.matrix.tocsr()[rows].tocsc()[:, columns].tocsr()
    matrix.sort_indices()
    return replace(pair, matrix=sp.csr_array(matrix))
