"""The search's coordinates of a term: slopes centered and scaled where that is free.

When it is: docs/mathematics.md, "Cross-products, centers and scales".
"""

from dataclasses import dataclass

import numpy as np

from skmixed._model.covariance import is_unrestricted
from skmixed._model.terms import Term
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.frame import Resolution, orthogonalize, solve_upper
from skmixed._statistics.grouped_products import FactorProducts, OwnColumns
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

    def to_centered(self, center: FloatArray) -> FloatArray:
        """Return the map to coefficients of the columns, centered where they may be, (s, s)."""
        out = self.to_user.copy()
        if self.term.is_centered:
            own = self.term.columns.index(0)
            out[own] += center[list(self.term.columns)] @ out
        return out

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
            to_user, to_factor_columns = _maps(stats, term)
            start = blocks[-1].columns.stop if blocks else 0
            blocks.append(TermCoordinates(term, index, to_factor_columns, to_user, start))
    return tuple(blocks)


def _maps(stats: CrossProducts, term: Term) -> tuple[FloatArray, FloatArray]:
    """Return the maps from the search's coefficients, `to_user` and `to_factor_columns`."""
    factor = stats.factors[term.factor]
    of_raw, to_user = _user_to_centered(stats, term, factor), _search_to_user(stats, term)
    if factor.regression is None:
        return to_user, of_raw @ to_user
    # Coefficients of f, d − c = fE; nothing of columns that rounding has left.
    own = OwnColumns.of(stats, factor.columns, factor.regression)
    of_raw = factor.regression @ of_raw
    of_raw[~own.independent] = 0.0
    out, lengths = of_raw @ to_user, own.lengths / np.sqrt(stats.sum_weights)
    columns = lengths[:, None] * out
    is_good = Resolution.of(columns.T @ columns, np.zeros(columns.shape[1])).is_good
    has_any_combination = term.structure.is_shift_invariant and is_unrestricted(term.structure)
    if is_good or not has_any_combination:
        return to_user, out
    return _orthogonal(of_raw, lengths)


def _orthogonal(of_raw: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the maps of a term from coefficients of orthogonal combinations of its columns.

    The columns of the user are fT, T the map `of_raw`, and f has `lengths` D and next to no
    products: with DT = QR, fTR⁻¹ is orthogonal. A column that depends on those before it
    keeps a coefficient, along which nothing changes: its combination with them is 0.
    """
    scaled = lengths[:, None] * of_raw
    norms = np.linalg.norm(scaled, axis=0)
    kept = list(orthogonalize(scaled, norms, norms).kept)
    left = [k for k in range(len(norms)) if k not in kept]
    basis, triangle = np.linalg.qr(scaled[:, kept])
    to_user = np.eye(len(norms))
    to_user[np.ix_(kept, kept)] = solve_upper(triangle, np.eye(len(kept)))
    to_user[np.ix_(kept, left)] = -solve_upper(triangle, basis.T @ scaled[:, left])
    to_user[:, left] /= np.where(norms > 0, norms, 1.0)[left]
    out = of_raw @ to_user
    out[:, left] = 0.0
    return to_user, out


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


def _user_to_centered(stats: CrossProducts, term: Term, factor: FactorProducts) -> FloatArray:
    """Return the map from coefficients of raw columns to those of centered ones."""
    out = np.zeros((len(factor.columns), len(term.columns)))
    for k, column in enumerate(term.columns):
        out[factor.columns.index(column), k] = 1.0
        out[0, k] += stats.center[column]
    return out
