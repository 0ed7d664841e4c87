"""Hypotheses of types I, II and III about the terms of a model.

They are estimable functions of the overparametrized model, with an indicator for
each combination of categories (Goodnight, 1978, SAS Technical Report R-101; SAS/STAT
User's Guide, "The Four Types of Estimable Functions"), and so do not depend on how
factors are coded. A forward sweep of D'D, the columns in the order (those that have
to be 0, the term's, those of terms that contain it), leaves the rows of D that belong
to the term; see docs/mathematics.md, "Tests of terms".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, qr

from skmixed._model.coding import ModelTerm
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.estimability import Dependence
from skmixed._statistics.frame import RANK_TOLERANCE
from skmixed._typing import FloatArray, IntArray

# Share of a column's length up to which what is left of it is rounding, since it depends
# on others. The kept columns of X are independent by more than `RANK_TOLERANCE`.
DEPENDENT = RANK_TOLERANCE / 10


def hypotheses(
    terms: Sequence[ModelTerm], root: FloatArray, kind: int, *, by_information: bool = False
) -> dict[str, FloatArray]:
    """Return L of each term but the intercept, (q, n_fixed); q = 0 if none is estimable.

    `root` is R with R'R = X'X, from `root_of_rows`. The rows of L are then those of lmerTest
    for its default coding, since Satterthwaite's degrees of freedom depend a little on
    how a hypothesis is divided into rows. Or R is from `root_of_information`, and type II leaves
    out all terms with further variables, as car does. Costs a sweep for each term.
    """
    coding = block_diag(*(term.coding for term in terms))
    swept = root @ indicators_by_columns(terms)
    lengths = _lengths(swept, terms)
    stops = np.cumsum([term.n_indicators for term in terms])
    places = [np.arange(stop - t.n_indicators, stop) for t, stop in zip(terms, stops, strict=True)]
    if sum(not term.is_intercept for term in terms) == 1:
        kind = 1  # one hypothesis by any type, which lmerTest divides into rows so
    out = {}
    for k, term in enumerate(terms):
        if term.is_intercept:
            continue
        is_behind = [
            other.has_all_of(term) if by_information and kind == 2 else other.contains(term)
            for other in terms
        ]
        others = [j for j in range(len(terms)) if j != k and not is_behind[j]]
        zero = [places[j] for j in (range(k) if kind == 1 else others)]
        before = np.concatenate([np.empty(0, dtype=np.intp), *zero])
        own = places[k][_order(term, terms)]
        # With nothing behind types II and III are one.
        is_orthogonal = kind == 3 or (kind == 2 and not any(is_behind))
        rows = _rows(swept, lengths, before, own, is_orthogonal=is_orthogonal)
        out[term.name] = rows @ coding
    return out


@dataclass(frozen=True)
class TermDeletion:
    """What a model without one of its terms is.

    Attributes
    ----------
    rows : (q, n_fixed) array
        L, with Lβ = 0 where the other terms make Xβ; q = 0 if they make all of it.
    fixed : tuple of int or None
        Columns whose span is the model without it; None if there are none.
    needs_intercept : bool
        Whether these go with a column of ones, which the model has not.
    """

    rows: FloatArray
    fixed: tuple[int, ...] | None
    needs_intercept: bool = False


def deletions(
    terms: Sequence[ModelTerm], names: Sequence[str], root: FloatArray, kept: Sequence[int]
) -> dict[str, TermDeletion]:
    """Return what the model without each of these terms is.

    `root` is R with R'R = X'X, from `root_of_rows`, and `kept` the columns that were not
    dropped. Costs an orthogonalization for each term.
    """
    swept = root @ indicators_by_columns(terms)
    of_columns, of_indicators = (
        np.repeat(np.arange(len(terms)), sizes)
        for sizes in ([t.coding.shape[1] for t in terms], [t.n_indicators for t in terms])
    )
    # D1 of each term with categories alone: 1 in all rows
    ones = {
        k: swept[:, of_indicators == k].sum(axis=1)
        for k, term in enumerate(terms)
        if term.categories and not term.numeric
    }
    lengths, out = _lengths(swept, terms), {}
    for k, term in enumerate(terms):
        if term.name in names:
            others = of_indicators != k
            # D of the other terms: what Xβ = Rβ is without this one
            span = _span(swept[:, others], lengths[others])
            own = [j for j in kept if of_columns[j] == k]
            rest = np.flatnonzero(of_columns != k)
            constant = next((column for j, column in ones.items() if j != k), None)
            rows = _deleted_rows(root, span, kept, own)
            out[term.name] = TermDeletion(rows, *_spanning(root, span, rest, constant))
    return out


def _deleted_rows(
    root: FloatArray, span: FloatArray, kept: Sequence[int], own: Sequence[int]
) -> FloatArray:
    """Return L, (q, n_fixed), of a term with the columns `own`, from the span without it.

    Its rows are orthonormal over the kept columns, as those of lmerTest's ``drop1``.
    """
    q = len(root) - span.shape[1]
    rows = np.zeros((q, root.shape[1]))
    if q == len(own):
        rows[np.arange(q), own] = 1.0
    elif q:  # N'R with N'span = 0, of fewer functions than the term has columns
        complement = np.linalg.qr(span, mode="complete")[0][:, span.shape[1] :]
        rows[:, list(kept)] = np.linalg.qr(root[:, list(kept)].T @ complement)[0].T
    return rows


def _spanning(
    root: FloatArray, span: FloatArray, rest: IntArray, constant: FloatArray | None
) -> tuple[tuple[int, ...] | None, bool]:
    """Return the columns of a `TermDeletion`, and whether they need a column of ones.

    `rest` are those of the other terms, whose span is within the one that is wanted.
    """
    columns = root[:, rest]
    for beside in (None, constant):
        tried = columns if beside is None else np.column_stack([columns, beside])
        # As many dimensions as the span has
        if _span(tried, np.linalg.norm(tried, axis=0)).shape[1] == span.shape[1]:
            return tuple(rest.tolist()), beside is not None
    return None, False


def root_of_rows(stats: CrossProducts, model: Model, kept: tuple[int, ...]) -> FloatArray:
    """Return R with R'R = X'X over the rows, each counted once, (n_kept, n_fixed).

    From the triangular factor of the rows, which has the means in its first row alone:
    they cost no digits.
    """
    plain = stats.counted_once()
    used = [model.fixed[k] for k in kept]
    rows = plain.factor_around(np.zeros_like(plain.center))[:, used]
    root = np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
    dependence = Dependence.of(stats, model, kept)
    return root if dependence is None else root @ dependence.rows


def root_of_information(basis: FloatArray, dependence: Dependence | None) -> FloatArray:
    """Return R with R'R the inverse of the covariance of the kept effects, (n_kept, n_fixed).

    `basis` is F with FF' that covariance: R = F⁻¹, with the columns of the dropped effects.
    """
    root = np.asarray(np.linalg.inv(basis), dtype=np.float64)
    return root if dependence is None else root @ dependence.rows


def indicators_by_columns(terms: Sequence[ModelTerm]) -> FloatArray:
    """Return C with D = XC, (n_fixed, n_indicators): the inverse of the codings X = DB.

    The columns of X span the same functions of categories and numbers as the
    indicators do, so that C is a projection, here in the products G of the indicators
    over all combinations of categories and independent standardized numbers. Terms of
    different numbers are orthogonal there.
    """
    blocks = [[np.zeros((t.coding.shape[1], u.n_indicators)) for u in terms] for t in terms]
    for numeric in {term.numeric for term in terms}:
        own = [k for k, term in enumerate(terms) if term.numeric == numeric]
        gram = np.block([[_products(terms[a], terms[b]) for b in own] for a in own])
        coding = block_diag(*(terms[k].coding for k in own))
        # (B'GB)⁻¹B'G, by least squares where a coding is singular
        half = coding.T @ gram
        found = np.linalg.lstsq(half @ coding, half, rcond=None)[0]
        rows = np.cumsum([0, *(terms[k].coding.shape[1] for k in own)])
        columns = np.cumsum([0, *(terms[k].n_indicators for k in own)])
        for i, a in enumerate(own):
            for j, b in enumerate(own):
                blocks[a][b] = found[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
    return np.block(blocks)


def _products(a: ModelTerm, b: ModelTerm) -> FloatArray:
    """Return the mean products of the indicators of two terms."""
    out = np.zeros((a.n_indicators, b.n_indicators))
    if a.numeric != b.numeric:
        return out
    out += 1.0
    shared = {axis.name for axis in a.axes} & {axis.name for axis in b.axes}
    for axis in a.axes:
        if axis.name in shared:
            out *= a.places(axis.name)[:, None] == b.places(axis.name)
        out /= axis.size if axis.has_categories else 1
    for axis in b.axes:
        out /= axis.size if axis.has_categories and axis.name not in shared else 1
    return out


def _lengths(columns: FloatArray, terms: Sequence[ModelTerm]) -> FloatArray:
    """Return for each indicator the length of the longest that has the same numbers.

    Rounding is measured by it: an empty cell has a column of nothing else.
    """
    own = np.linalg.norm(columns, axis=0)
    keys = [(term.numeric, place) for term in terms for place in term.numeric_places()]
    longest: dict[object, float] = {}
    for key, length in zip(keys, own.tolist(), strict=True):
        longest[key] = max(longest.get(key, 0.0), length)
    return np.array([longest[key] for key in keys])


def _order(term: ModelTerm, terms: Sequence[ModelTerm]) -> IntArray:
    """Order a term's indicators as pivots: first those that R's default coding keeps.

    It leaves out a factor's first category where the term without the factor is in the
    model, as the constant is in effect: the first factor makes up for it.
    """
    nothing: frozenset[str] = frozenset()
    present = {(nothing, nothing), *((t.categories, t.numeric) for t in terms)}
    left_out = np.zeros(term.n_indicators, dtype=np.intp)
    for axis in term.axes:
        if axis.has_categories and (term.categories - {axis.name}, term.numeric) in present:
            left_out += term.places(axis.name) == 0
    return np.argsort(left_out, kind="stable")


def _rows(
    root: FloatArray, lengths: FloatArray, before: IntArray, own: IntArray, *, is_orthogonal: bool
) -> FloatArray:
    """Return the estimable functions of a term, rows over all indicators.

    They are 0 in the columns `before`. Types I and II: the rows of the swept D'D, their
    pivots 1. Type III, `is_orthogonal`: those that have an identity at the pivots and
    are orthogonal to all estimable functions that are 0 in `own` too.
    """
    span = _span(root[:, before], lengths[before])
    # Swept by the columns before, then by the term's own: pivots of 1, or an identity
    rest = root - _projected(root, span)
    basis, pivots = _pivots(rest, own, lengths)
    rows: FloatArray = basis.T @ rest
    if not is_orthogonal:
        rows = rows / rows[np.arange(len(pivots)), pivots][:, None]
    else:
        rows = np.asarray(np.linalg.solve(rows[:, pivots], rows), dtype=np.float64)
        behind = rest - _projected(rest, basis)
        behind[:, [*before, *own]] = 0.0
        n_left = len(root) - span.shape[1] - len(pivots)
        _, _, functions = np.linalg.svd(behind, full_matrices=False)
        rows = rows - _projected(rows.T, functions[:n_left].T).T
    rows[:, before] = 0.0
    return rows


def _projected(columns: FloatArray, basis: FloatArray) -> FloatArray:
    return np.asarray(basis @ (basis.T @ columns))


def _span(columns: FloatArray, lengths: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the span of columns."""
    if not columns.size:
        return np.empty((len(columns), 0))
    unit = columns / np.where(lengths > 0, lengths, 1.0)
    basis, triangle, _ = qr(unit, mode="economic", pivoting=True)
    return np.asarray(basis[:, np.abs(np.diagonal(triangle)) > DEPENDENT])


def _pivots(rest: FloatArray, own: IntArray, lengths: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return an orthonormal basis of some columns, and the first ones that span it."""
    basis: FloatArray = np.empty((len(rest), 0))
    pivots: list[np.intp] = []
    for column in own:
        left = rest[:, column] - _projected(rest[:, column], basis)
        left -= _projected(left, basis)  # once more, for what rounding has left
        length = np.linalg.norm(left)
        if length > DEPENDENT * lengths[column]:
            basis = np.column_stack([basis, left / length])
            pivots.append(column)
    return basis, np.array(pivots, dtype=np.intp)
