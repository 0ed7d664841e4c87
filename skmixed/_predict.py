"""Predictions: fixed effects and BLUPs, column by column.

Columns are added one after the other and not by a matrix product, whose order of
summation depends on a row's place: a row's prediction is the same to the bit
whatever the other rows are.
"""

import numpy as np
from numpy.typing import NDArray

from skmixed._encode import Encoder, Metadata
from skmixed._solution import Solution
from skmixed._table import FloatArray, Table


def linear_predictor(
    encoder: Encoder,
    solution: Solution,
    table: Table,
    metadata: Metadata,
    included: tuple[int, ...],
    *,
    raise_unknown: bool,
) -> FloatArray:
    """Return Xβ̂ + Σ Z_k b̂_k over the included factors, (n,)."""
    columns = encoder.numeric_columns(table)
    out = np.zeros(table.n_rows)
    for column, beta in zip(encoder.fixed, solution.fixed, strict=True):
        out += beta * columns[column - 1] if column else beta
    for k in included:
        codes = encoder.factors[k].codes(table, metadata)
        if raise_unknown:
            check_known(encoder, k, codes)
        for term, estimate in zip(encoder.terms, solution.terms, strict=True):
            if term.factor == k:
                _add_effects(out, estimate.effects, codes, term.columns, columns)
    return out


def _add_effects(
    out: FloatArray,
    effects: FloatArray,
    codes: NDArray[np.intp],
    term_columns: tuple[int, ...],
    columns: tuple[FloatArray, ...],
) -> None:
    for effect, column in zip(effects, term_columns, strict=True):
        own = np.append(effect, 0.0)[codes]  # code −1, unknown: no effect
        out += own * columns[column - 1] if column else own


def check_known(encoder: Encoder, k: int, codes: NDArray[np.intp]) -> None:
    unknown = codes < 0
    if unknown.any():
        raise ValueError(
            f"{int(unknown.sum())} rows have a level of grouping factor "
            f"{encoder.factors[k].name!r} that is missing or was not seen in fit (first at row "
            f"{int(np.argmax(unknown))}). Use handle_unknown='population' to predict them without "
            "its effect."
        )
