"""Predictions: fixed effects and BLUPs, the same to the bit for a row in any company."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._encode import Encoder, Metadata
from skmixed._rowwise import dense_slabs, raw_column, weighted_sum
from skmixed._solution import Solution
from skmixed._table import FloatArray, Table
from skmixed._threads import single_threaded_blas
from skmixed._warn import warn
from skmixed.exceptions import NotEstimableWarning

SLAB_ROWS = 2**14
# Names of columns that a warning lists.
MOST_NAMES = 5


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
    out = _fixed_part(encoder, solution.fixed, table)
    for k in included:
        codes = encoder.factors[k].codes(table, metadata)
        if raise_unknown:
            check_known(encoder, k, codes)
        parts = [
            (effects, _values(encoder, table, column))
            for term, estimate in zip(encoder.terms, solution.terms, strict=True)
            if term.factor == k
            for effects, column in zip(estimate.effects, term.columns, strict=True)
        ]
        _add_effects(out, parts, codes)
    return out


def _values(encoder: Encoder, table: Table, column: int) -> Any:
    """Values of a column, which the fixed part has found clean; None for the ones."""
    if column == 0:
        return None
    return raw_column(table, encoder.numeric[column - 1], encoder.names[column - 1])


def _add_effects(
    out: FloatArray, parts: list[tuple[FloatArray, Any]], codes: NDArray[np.intp]
) -> None:
    """Add each row's own effects, times the column if there is one; code −1 has none."""
    has_unknown = len(codes) > 0 and codes.min() < 0
    step = min(SLAB_ROWS, len(out))  # temporaries that stay in the cache
    products = np.empty(step)
    for start in range(0, len(out), max(step, 1)):
        rows = slice(start, start + step)
        own_codes, sums = codes[rows], out[rows]
        own = products[: len(sums)]
        for effects, column in parts:
            np.take(effects, own_codes, out=own, mode="clip")  # the mode without a check
            if has_unknown:
                own[own_codes < 0] = 0.0
            if column is not None:
                own *= column[rows]
            sums += own


def _fixed_part(encoder: Encoder, fixed: FloatArray, table: Table) -> FloatArray:
    """Return Xβ̂, after a check of every numeric column that the model uses."""
    weights = np.zeros(1 + len(encoder.numeric))
    weights[list(encoder.fixed)] = fixed
    # A value that is missing or infinite makes its row's sum so, also if times 0.
    with np.errstate(invalid="ignore", over="ignore"):
        out = weighted_sum(table, encoder.numeric, encoder.names, weights[1:]) + weights[0]
        is_clean = np.isfinite(out.sum())
    if not is_clean:
        encoder.numeric_columns(table)  # for the message; a mere overflow passes
    return out


def check_known(encoder: Encoder, k: int, codes: NDArray[np.intp]) -> None:
    unknown = codes < 0
    if unknown.any():
        raise ValueError(
            f"{int(unknown.sum())} rows have a level of grouping factor "
            f"{encoder.factors[k].name!r} that is missing or was not seen in fit (first at row "
            f"{int(np.argmax(unknown))}). Use handle_unknown='population' to predict them without "
            "its effect."
        )


def estimable_rows(encoder: Encoder, solution: Solution, table: Table) -> NDArray[np.bool_]:
    """Return for which rows the data of the fit determine Xβ, (n,), and warn of others.

    Costs nothing unless columns were dropped, then O(kept · dropped columns) a row.
    """
    out = np.ones(table.n_rows, dtype=bool)
    dependence = solution.dependence
    if dependence is None:
        return out
    used = [column for column in encoder.fixed if column]
    positions = [encoder.numeric[column - 1] for column in used]
    names = [encoder.names[column - 1] for column in used]
    deviating = np.zeros(len(dependence.dropped), dtype=bool)
    for rows, values in dense_slabs(table, positions, names):
        with single_threaded_blas():
            suspects = dependence.suspects(values)
            ones = np.ones((len(suspects), int(dependence.has_intercept)))
            deviates = dependence.deviates(np.column_stack([ones, values[suspects]]))
        out[rows.start + suspects] = ~deviates.any(axis=1)
        deviating |= deviates.any(axis=0)
    if not out.all():
        names = [encoder.fixed_names[k] for k in np.array(dependence.dropped)[deviating]]
        _warn_not_estimable(out, names)
    return out


def _warn_not_estimable(estimable: NDArray[np.bool_], names: list[str]) -> None:
    n_rows = int((~estimable).sum())
    listed = ", ".join(map(repr, names[:MOST_NAMES]))
    if len(names) > MOST_NAMES:
        listed += f" and {len(names) - MOST_NAMES} others"
    which = "row" if n_rows == 1 else f"{n_rows} rows, the first being row"
    warn(
        f"The data of fit do not determine the mean of {which} {int(np.argmin(estimable))}, such "
        "as that of a combination of categories that was not observed. Its prediction depends on "
        "how columns are coded, and it has no interval. Fit without the columns that were dropped "
        f"but do not depend on the others there: {listed}.",
        NotEstimableWarning,
    )
