"""Whether the rows of a saved model are those that its encoder reads."""

from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._data.subjects import CODES, SubjectColumns
from skmixed._estimation.solution import FamilySolution, ResidualSolution
from skmixed._generalized.rows import GeneralizedRows
from skmixed._model.family import FAMILIES
from skmixed._repeated.rows import RepeatedRows
from skmixed._saved.requirements import check_array, check_kind, check_numbers, require

# The logarithm of the largest double.
LARGEST = 710.0


def check_rows(encoder: Encoder, rows: Any, n: int) -> None:
    """Check the rows of a model with a residual covariance."""
    require((rows is None) == (encoder.subjects is None), "rows")
    if rows is None or encoder.subjects is None:
        return
    check_kind("rows", rows, RepeatedRows)
    check_kind("weights", rows.weights, np.ndarray)
    _check_each_row(encoder, rows, n)
    columns = encoder.subjects
    for role, factor, code in zip(CODES, columns.roles, CODES.values(), strict=True):
        own = getattr(rows, code)
        check_array("subjects of rows", own, (n,), "i")
        # Without a column each row is a subject, and all are of one time, stratum and size
        n_alone = n if role == "subject" else 1
        _check_codes([own], [n_alone if factor is None else factor.n_levels])
        require(factor is None or np.bincount(own, minlength=factor.n_levels).all(), "labels")
    if columns.is_correlated:
        _check_subjects(columns, rows)


def _check_subjects(columns: SubjectColumns, rows: RepeatedRows) -> None:
    """Check that correlated rows of a subject are of one stratum, each of a time of its own."""
    of_subject = np.zeros(int(rows.subject.max()) + 1, dtype=np.intp)
    of_subject[rows.subject] = rows.stratum
    require((of_subject[rows.subject] == rows.stratum).all(), "strata of subjects")
    if columns.time is not None:
        cells = rows.subject * np.int64(columns.time.n_levels) + rows.visit
        require(len(np.unique(cells)) == len(cells), "times of subjects")


def check_sizes(encoder: Encoder, own: ResidualSolution | None, n: int | None) -> None:
    """Check the fitted values that standard deviations are a power of; a slim copy has none."""
    sizes, columns = None if own is None else own.log_sizes, encoder.subjects
    has_power = columns is not None and own is not None and columns.has_fitted_power
    require((sizes is not None) == (has_power and n is not None), "fitted values")
    if sizes is not None and n is not None:
        check_array("fitted values", sizes, (n,))
        require((np.abs(sizes) < LARGEST).all(), "fitted values")


def check_family_rows(encoder: Encoder, rows: Any, own: FamilySolution | None, n: int) -> None:
    """Check the rows of a generalized model; those that were read in each step are not there."""
    require(rows is None or own is not None, "rows")
    require(rows is not None or own is None or own.n_passes > 1, "rows")
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
    counts = [factor.n_levels for factor in encoder.factors]
    _check_codes(rows.levels.T, counts)
    for own, count in zip(rows.levels.T, counts, strict=True):
        require(len(own) == 0 or np.bincount(own, minlength=count).all(), "levels of rows")


def _check_codes(codes: Any, counts: list[int]) -> None:
    for own, count in zip(codes, counts, strict=True):
        require(not len(own) or (own.min() >= 0 and own.max() < count), "levels of rows")
