"""Whether the rows of a saved model are those that its encoder reads."""

from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._estimation.solution import FamilySolution
from skmixed._generalized.rows import GeneralizedRows
from skmixed._model.family import FAMILIES
from skmixed._repeated.rows import RepeatedRows
from skmixed._saved.requirements import check_array, check_kind, check_numbers, require


def check_rows(encoder: Encoder, rows: Any, n: int) -> None:
    """Check the rows of a model with a residual covariance."""
    require((rows is None) == (encoder.subjects is None), "rows")
    if rows is None or encoder.subjects is None:
        return
    check_kind("rows", rows, RepeatedRows)
    _check_each_row(encoder, rows, n)
    codes = {"subject": rows.subject, "time": rows.visit, "by": rows.stratum, "power": rows.size}
    for role, own in codes.items():
        factor = getattr(encoder.subjects, role)
        check_array("subjects of rows", own, (n,), "i")
        _check_codes([own], [n if factor is None else factor.n_levels])


def check_family_rows(encoder: Encoder, rows: Any, own: FamilySolution | None, n: int) -> None:
    """Check the rows of a generalized model."""
    require((rows is None) == (own is None), "rows")
    if rows is None or own is None:
        return
    check_kind("rows", rows, GeneralizedRows)
    n_held = n if rows.constant is None else min(n, len(rows.response))  # equal ones are pooled
    check_numbers("constant", rows.constant or 0.0)
    _check_each_row(encoder, rows, n_held)
    check_array("offsets", rows.offset, (n_held,))
    require(FAMILIES[own.family, own.link].is_valid(rows.response).all(), "responses")


def _check_each_row(encoder: Encoder, rows: Any, n: int) -> None:
    """Check the columns, response, weights and levels of rows."""
    check_array("rows", rows.columns, (n, len(encoder.numeric)))
    weights = np.ones(n) if rows.weights is None else rows.weights
    for own in (rows.response, weights):
        check_array("rows", own, (n,))
    require((weights > 0).all(), "weights")
    check_array("levels of rows", rows.levels, (n, len(encoder.factors)), "i")
    _check_codes(rows.levels.T, [factor.n_levels for factor in encoder.factors])


def _check_codes(codes: Any, counts: list[int]) -> None:
    for own, count in zip(codes, counts, strict=True):
        require(not len(own) or (own.min() >= 0 and own.max() < count), "levels of rows")
