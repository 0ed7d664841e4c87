"""Values seen in fit, in a saved model, and back."""

from typing import Any

import numpy as np

from skmixed._data.labels import ColumnLevels
from skmixed._saved.encoder import check_levels
from skmixed._saved.form import pack, unpack
from skmixed._saved.requirements import check_array, check_names, require
from skmixed.formula._columns import ColumnKinds
from skmixed.formula._reference.observed import ObservedValues

MEAN, LOW, HIGH = 0, 1, 2
WHAT = "values of columns"


def packed_observed(own: ObservedValues | None) -> dict[str, Any] | None:
    if own is None:
        return None
    return {
        "names": list(own.names),
        "ranges": own.ranges,
        "levels_of": list(own.levels),
        "levels": [pack(levels) for levels in own.levels.values()],
        "codes": own.codes,
        "weights": own.weights,
        "offsets": own.offsets,
    }


def unpacked_observed(
    state: Any, kinds: ColumnKinds, variables: list[str], n_offsets: int
) -> ObservedValues | None:
    """Return what was packed; None of a model that was saved without.

    Raises
    ------
    ValueError
        If it does not fit the formula.
    """
    if state is None:
        return None
    names, levels_of = tuple(state["names"]), tuple(state["levels_of"])
    check_names(names)
    check_names(levels_of)
    # A number is in the one, a factor in the other, and some numbers are in both
    require(set(names) == set(variables) - kinds.levels.keys() - kinds.dates, WHAT)
    require(len({*names}) == len(names) and len({*levels_of}) == len(levels_of), WHAT)
    factors = kinds.levels.keys() & set(variables)
    require(factors <= {*levels_of} <= factors | {*names}, WHAT)
    require(len(state["levels"]) == len(levels_of), WHAT)
    levels = dict(zip(levels_of, map(unpack, state["levels"]), strict=True))
    for name, own in levels.items():
        check_levels(own)
        require(len(own) > 0, WHAT)
        known = kinds.levels.get(name)
        require(own.labels.dtype == float if known is None else _is_among(own, known), WHAT)
    _check_ranges(state["ranges"], len(names))
    _check_combinations(state["codes"], state["weights"], [len(own) for own in levels.values()])
    offsets = state["offsets"]
    check_array(WHAT, offsets, (n_offsets,))
    require(np.isfinite(offsets).all(), WHAT)
    return ObservedValues(names, state["ranges"], levels, state["codes"], state["weights"], offsets)


def _is_among(own: ColumnLevels, known: ColumnLevels) -> bool:
    """Whether labels are some of those that the formula knows."""
    return own.labels.dtype == known.labels.dtype and bool(own.index.isin(known.index).all())


def _check_ranges(ranges: Any, n_names: int) -> None:
    check_array(WHAT, ranges, (n_names, 3))
    require((ranges[:, LOW] <= ranges[:, HIGH]).all(), WHAT)
    # Of columns without infinite values; the mean of equal numbers may be off by rounding
    ranges = ranges[np.isfinite(ranges[:, [LOW, HIGH]]).all(axis=1)]
    slack = 1e-9 * np.abs(ranges).max(axis=1, initial=0.0)
    require((ranges[:, LOW] - slack <= ranges[:, MEAN]).all(), WHAT)
    require((ranges[:, MEAN] <= ranges[:, HIGH] + slack).all(), WHAT)


def _check_combinations(codes: Any, weights: Any, sizes: list[int]) -> None:
    require(isinstance(codes, np.ndarray) and codes.ndim == 2 and len(codes) > 0, WHAT)
    check_array(WHAT, codes, (len(codes), len(sizes)), "i")
    require(((codes >= 0) & (codes < np.array(sizes, dtype=np.int64))).all(), WHAT)
    check_array(WHAT, weights, (len(codes),))
    require((np.isfinite(weights) & (weights > 0.0)).all(), WHAT)
