"""What rows of subjects must be for a residual covariance, and the messages where they are not."""

from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._data.grouping_factor import GroupingFactor
from skmixed._data.subjects import SubjectColumns
from skmixed._repeated.rows import RepeatedDesign, RepeatedRows
from skmixed._typing import IntArray


def open_repeated(encoder: Encoder, rows: RepeatedRows | None) -> RepeatedDesign:
    """Return the rows of a model with a residual covariance, checked, with their times.

    Raises
    ------
    ValueError
        If the rows do not fit the structure, or do not determine its parameters.
    """
    columns = encoder.subjects
    assert columns is not None
    if rows is None:
        raise ValueError(
            "The statistics are of a model without a residual covariance, which needs the rows. "
            "Make them with the same `residual`."
        )
    design = columns.design(rows)
    if columns.is_correlated:
        _check_strata(columns, rows)
        if columns.time is not None:
            _check_distinct(columns, rows)
        _check_sizes(columns, design)
    if columns.time is not None and design.residual.m > 1:
        _check_pairs(columns, design)
    _check_told_apart(encoder, rows)
    return design


def _label(factor: GroupingFactor | None, code: Any) -> str:
    assert factor is not None
    return _shown(factor.index[int(code)])


def _shown(label: Any) -> str:
    return repr(label.item() if isinstance(label, np.generic) else label)


def _check_strata(columns: SubjectColumns, rows: RepeatedRows) -> None:
    """Refuse subjects in two strata."""
    first = np.zeros(int(rows.subject.max()) + 1, dtype=np.intp)
    first[rows.subject] = rows.stratum
    other = np.flatnonzero(first[rows.subject] != rows.stratum)
    if len(other):
        assert columns.by is not None
        assert columns.subject is not None
        row = other[0]
        raise ValueError(
            f"Subject {_label(columns.subject, rows.subject[row])} of {columns.subject.name!r} has "
            f"rows in two strata of {columns.by.name!r}. Its residuals have one covariance: give "
            "`by` a column that is constant within subjects, or use structure='independent'."
        )


def _check_distinct(columns: SubjectColumns, rows: RepeatedRows) -> None:
    """Refuse two rows of one subject at one time."""
    assert columns.time is not None
    cells = rows.subject * np.int64(columns.time.n_levels) + rows.visit
    order = np.argsort(cells, kind="stable")
    same = np.flatnonzero(cells[order][1:] == cells[order][:-1])
    if len(same):
        assert columns.subject is not None
        a, b = order[same[0]], order[same[0] + 1]
        raise ValueError(
            f"Subject {_label(columns.subject, rows.subject[a])} of {columns.subject.name!r} has "
            f"two rows at {columns.time.name!r} = {_label(columns.time, rows.visit[a])} (rows {a} "
            f"and {b}). Give one row a subject and time; average others, or give each a subject "
            "of its own, such as subject=('patient', 'eye')."
        )


def _check_sizes(columns: SubjectColumns, design: RepeatedDesign) -> None:
    """Refuse subjects of single rows only."""
    assert columns.subject is not None
    if int(np.bincount(design.rows.subject).max()) < 2:
        raise ValueError(
            f"Each subject of {columns.subject.name!r} has one row, so that no correlation of "
            f"{columns.structure!r} is determined. Use residual=None, or a column whose labels "
            "have several rows."
        )


def _check_pairs(columns: SubjectColumns, design: RepeatedDesign) -> None:
    """Refuse visits whose variances, and pairs of them whose correlations, no row informs."""
    assert columns.time is not None
    places, m = design.places, design.residual.m
    labels = np.empty(m, dtype=object)
    labels[design.timeline.rank] = [_shown(label) for label in columns.time.index]
    seen = _met(design.rows.subject, places.visit, m)
    if columns.structure == "unstructured":
        n_subjects = int((np.bincount(design.rows.subject) > 0).sum())
        missing = np.argwhere(seen == 0)
        what = f"'unstructured' has {m * (m + 1) // 2} parameters"
        if len(missing):
            a, b = missing[0]
            raise ValueError(
                f"No subject has rows at both {labels[a]} and {labels[b]} of "
                f"{columns.time.name!r}, so that their correlation is not determined: {what}. "
                "Use a structure with fewer, such as 'toeplitz' or 'ar1'."
            )
        if n_subjects <= m:
            raise ValueError(
                f"{what} for {m} times, and there are {n_subjects} subjects. Use a structure with "
                "fewer, such as 'ar1' or 'compound_symmetry'."
            )
    if columns.correlation.time == "steps" and columns.structure == "toeplitz":
        steps = design.residual.steps
        lags = np.bincount(np.abs(steps[:, None] - steps)[seen > 0].ravel(), minlength=steps[-1])
        if (lags == 0).any():
            raise ValueError(
                f"No subject has rows {int(np.argmax(lags == 0))} steps of {columns.time.name!r} "
                "apart, so that the correlation there is not determined by 'toeplitz'. Use 'ar1' "
                "or 'exponential'."
            )


def _met(subject: IntArray, visit: IntArray, m: int) -> IntArray:
    """Return how many subjects have rows at two visits, (m, m)."""
    present = np.zeros((int(subject.max()) + 1, m))
    present[subject, visit] = 1.0
    return np.rint(present.T @ present).astype(np.intp)


def _check_told_apart(encoder: Encoder, rows: RepeatedRows) -> None:
    """Refuse a random intercept that is a part of the residuals' covariance."""
    columns = encoder.subjects
    assert columns is not None
    whole = {"compound_symmetry", "unstructured", "toeplitz"}
    if columns.structure not in whole or columns.subject is None:
        return
    for term in encoder.terms:
        is_same = _are_same(rows.levels[:, term.factor], rows.subject)
        if is_same and (term.has_intercept and len(term.columns) == 1):
            name = encoder.factors[term.factor].name
            raise ValueError(
                f"The random intercept of {name!r} is a part of {columns.structure!r} within the "
                f"same subjects, so that the two are not told apart. Leave {name!r} out of "
                "`groups`, or use 'ar1' or 'exponential'."
            )


def _are_same(first: IntArray, second: IntArray) -> bool:
    """Whether two codes divide the rows in the same way."""
    pairs = np.unique(first * (np.int64(second.max()) + 1) + second)
    return len(pairs) == len(np.unique(first)) == len(np.unique(second))
