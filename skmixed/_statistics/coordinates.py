"""The search's coordinates of a term: slopes centered and scaled where that is free.

When it is: docs/mathematics.md, "Cross-products, centers and scales".
"""

from dataclasses import dataclass

import numpy as np

from skmixed._model.terms import Term
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.grouped_products import FactorProducts
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class TermCoordinates:
    """One random-effects term in the search's coordinates.

    Attributes
    ----------
    term : Term
    index : int
        Position among the model's terms.
    to_factor_columns : (r, s) array
        From the search's coefficients (slopes centered and scaled where that
        leaves the model as it is) to those of the factor's columns.
    to_user : (s, s) array
        From the search's coefficients to those of the user's columns.
    start : int
        Position of the term's first column in the factor's Λ.
    """

    term: Term
    index: int
    to_factor_columns: FloatArray
    to_user: FloatArray
    start: int

    @property
    def size(self) -> int:
        return int(self.to_factor_columns.shape[1])

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + self.size)


def term_coordinates(
    stats: CrossProducts, terms: tuple[Term, ...], factor: int
) -> tuple[TermCoordinates, ...]:
    """Lay out the terms on one factor."""
    blocks: list[TermCoordinates] = []
    for index, term in enumerate(terms):
        if term.factor == factor:
            to_user = _search_to_user(stats, term)
            to_factor_columns = _user_to_block(stats, term, stats.factors[factor]) @ to_user
            start = blocks[-1].columns.stop if blocks else 0
            blocks.append(TermCoordinates(term, index, to_factor_columns, to_user, start))
    return tuple(blocks)


def _search_to_user(stats: CrossProducts, term: Term) -> FloatArray:
    """Return the map from centered and scaled coefficients to the user's."""
    columns = list(term.columns)
    scale = _nearest_power_of_two(column_lengths(stats, term))
    out = np.diag(1.0 / scale)
    if term.is_centered:
        own = columns.index(0)
        slopes = [k for k in range(len(columns)) if k != own]
        out[own, slopes] = -stats.center[[columns[k] for k in slopes]] / scale[slopes]
    return out


def column_lengths(stats: CrossProducts, term: Term) -> FloatArray:
    """Root mean squares of a term's columns, centered where they are, (s,).

    One length for all where the scale of the columns is part of the model.
    """
    columns = list(term.columns)
    squares = (stats.centered_squares if term.is_centered else stats.raw_squares)[columns]
    if term.has_intercept:
        squares[columns.index(0)] = stats.sum_weights
    if not term.structure.is_scale_invariant:
        squares[:] = squares.mean()
    return np.asarray(np.sqrt(squares / stats.sum_weights))


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
