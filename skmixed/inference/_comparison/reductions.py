"""The models that a random-effects term less, or a summand of its coefficients less, leaves.

As lmerTest's ``ranova`` (Kuznetsova, Brockhoff and Christensen, 2017, J. Stat. Softw. 82(13)):
a term with slopes loses them one summand of its formula at a time, those that no other one
contains; any other term is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmixed._data.encoder import INTERCEPT, Encoder
from skmixed._model.coding import ModelTerm
from skmixed._model.covariance import has_covariances, has_own_variances, is_unrestricted
from skmixed._model.terms import Term
from skmixed.inference._comparison.written import WrittenTerm, slope_terms

# Share of a constant up to which what a coding does not make of it is rounding.
SPANNED = 1e-8


@dataclass(frozen=True)
class Reduction:
    """One smaller random part.

    Attributes
    ----------
    label : str
        What it has less.
    terms : tuple of Term
        What is left.
    n_boundary : int
        Variances of what was left out, and not of what is left, that are 0 in it.
    """

    label: str
    terms: tuple[Term, ...]
    n_boundary: int


@dataclass(frozen=True)
class Summand:
    """A summand of the coefficients of a random-effects term.

    Attributes
    ----------
    name : str
    factors : frozenset of str
    columns : tuple of int
        Its columns of the statistics.
    is_categorical : bool
        Whether it has categories alone.
    makes_constant : bool
        Whether a combination of its columns is 1 in all rows.
    """

    name: str
    factors: frozenset[str]
    columns: tuple[int, ...]
    is_categorical: bool = False
    makes_constant: bool = False


def reductions(model: Any, encoder: Encoder, *, reduce_terms: bool) -> list[Reduction]:
    """List the smaller random parts of a model, term by term in its order."""
    found = slope_terms(model)
    written = [None] * len(encoder.terms) if found is None else found
    pairs = enumerate(zip(encoder.terms, written, strict=True))
    return [
        own
        for place, (term, summands) in pairs
        for own in _of_term(encoder, place, _summands(encoder, term, summands), reduce_terms)
    ]


def _summands(encoder: Encoder, term: Term, written: Sequence[WrittenTerm] | None) -> list[Summand]:
    slopes = [column for column in term.columns if column]
    if written is None:
        names = [encoder.column_name(column) for column in slopes]
        pairs = zip(names, slopes, strict=True)
        return [Summand(name, frozenset([name]), (column,)) for name, column in pairs]
    out, start = [], 0
    for own in written:
        n, is_categorical = own.coded.coding.shape[1], not own.coded.numeric
        if n:
            columns = tuple(slopes[start : start + n])
            has_constant = is_categorical and _makes_constant(own.coded)
            out.append(Summand(own.coded.name, own.factors, columns, is_categorical, has_constant))
        start += n
    return out


def _makes_constant(term: ModelTerm) -> bool:
    """Whether Bv = 1 for some v: X = DB then makes D1, which is 1 in all rows."""
    ones = np.ones(term.n_indicators)
    rest = ones - term.coding @ np.linalg.lstsq(term.coding, ones, rcond=None)[0]
    return bool(np.abs(rest).max() < SPANNED)


def _of_term(
    encoder: Encoder, place: int, summands: list[Summand], reduce_terms: bool
) -> Iterator[Reduction]:
    term = encoder.terms[place]
    is_one = len(term.columns) == 1 or not reduce_terms
    if not is_one and is_unrestricted(term.structure) and summands:
        left_out = [s for s in summands if not any(s.factors < o.factors for o in summands)]
        kept = [_without(term, s, [o for o in summands if o is not s]) for s in left_out]
    elif not is_one and has_own_variances(term.structure) and not has_covariances(term.structure):
        own = (Summand(INTERCEPT, frozenset(), (0,)),) if term.has_intercept else ()
        left_out = [*own, *summands]
        kept = [tuple(c for c in term.columns if c not in s.columns) for s in left_out]
    else:
        left_out, kept = [], []
    if len(kept) < 1 or not all(kept):
        yield _less(encoder, place, (), None, summands)
        return
    for summand, columns in zip(left_out, kept, strict=True):
        yield _less(encoder, place, columns, summand, summands)


def _without(term: Term, summand: Summand, others: Sequence[Summand]) -> tuple[int, ...]:
    """Return the columns that are left: of categories without an intercept, as R codes them.

    (f | g) and (0 + f | g) are one model, which (1 | g) is part of.
    """
    rest = tuple(column for column in term.columns if column not in summand.columns)
    has_constant = 0 in rest or any(own.makes_constant for own in others)
    needs_constant = not others or any(own.is_categorical for own in others)
    if summand.makes_constant and needs_constant and not has_constant:
        return (0, *rest)
    return rest


def _less(
    encoder: Encoder,
    place: int,
    columns: tuple[int, ...],
    summand: Summand | None,
    summands: Sequence[Summand],
) -> Reduction:
    """Return the random part in which a term has other columns, or is not there."""
    term, terms = encoder.terms[place], list(encoder.terms)
    of_factor = [own for k, own in enumerate(terms) if k != place and own.factor == term.factor]
    is_covered = any(set(columns) <= set(own.columns) for own in of_factor)
    if columns and not is_covered:
        terms[place] = replace(term, columns=columns)
    else:
        del terms[place]
    label = _label(encoder, term, summands)
    label = label if summand is None else f"{summand.name} in {label}"
    n_left = 0 if is_covered else len(columns)
    return Reduction(label, tuple(terms), _n_variances(term) - n_left)


def _n_variances(term: Term) -> int:
    """Count the variances of a term that may be 0."""
    size = len(term.columns)
    return size if has_own_variances(term.structure) else min(term.structure.n_theta(size), size)


def _label(encoder: Encoder, term: Term, summands: Sequence[Summand]) -> str:
    """Write a term as lme4 does, with another covariance beside it."""
    names = ["1" if term.has_intercept else "0", *(own.name for own in summands)]
    written = " + ".join(names if len(summands) else names[:1])
    is_diagonal = has_own_variances(term.structure) and not has_covariances(term.structure)
    bar = "||" if is_diagonal and len(term.columns) > 1 else "|"
    label = f"({written} {bar} {encoder.factors[term.factor].name})"
    is_plain = is_diagonal or is_unrestricted(term.structure) or len(term.columns) == 1
    return label if is_plain else f"{label}, {term.structure.name}"
