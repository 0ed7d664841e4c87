"""What rows of subjects must be for a residual covariance, and the messages where they are not."""

from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._data.grouping_factor import GroupingFactor
from skmixed._data.labels import shown_label
from skmixed._data.subjects import SubjectColumns
from skmixed._estimation.solution import ResidualSolution
from skmixed._fitted.fitted_model import FittedModel
from skmixed._repeated.prediction import NewRows
from skmixed._repeated.rows import RepeatedDesign, RepeatedRows
from skmixed._typing import BoolArray, FloatArray, IntArray
from skmixed.exceptions import UndeterminedError

# Parameters of a correlation with one variance.
FEWEST = 2
# Rows that a parameter needs at least.
LEAST_ROWS = 2
# What to do with parameters that the rows do not determine.
FEWER = "Use a structure with fewer parameters, such as 'toeplitz' or 'ar1'."


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
    _check_counts(columns, design)
    _check_sizes(columns, design)
    parts = [(rows.stratum == k, columns.in_stratum(k)) for k in range(columns.n_strata)]
    every = [(np.ones(rows.n_rows, dtype=bool), "")] if columns.shared_correlation else parts
    for own, where in parts:
        _check_variances(columns, design, own, where)
    for own, where in every:
        _check_correlations(columns, design, own, where)
    _check_told_apart(encoder, rows)
    return design


def check_further_rows(encoder: Encoder, own: ResidualSolution, rows: RepeatedRows) -> None:
    """Check the rows of a fit and those that came after it.

    Raises
    ------
    ValueError
        If a subject has two strata, two rows at one time, or more rows than its correlation
        is possible for, or the variances are those of the fitted values.
    """
    columns = encoder.subjects
    assert columns is not None
    if columns.has_fitted_power:
        raise ValueError(
            "Variances are a power of the fitted values, which further rows would change. Fit to "
            "all rows, or name a column in power=."
        )
    if columns.is_correlated:
        _check_strata(columns, rows)
        if columns.time is not None:
            _check_distinct(columns, rows)
        counts = np.bincount(rows.subject)[rows.subject]
        _check_numbers(columns, own, rows.subject, rows.stratum, counts)


def check_beside(fitted: FittedModel, rows: NewRows) -> None:
    """Refuse rows that a subject of the fit cannot have beside its own."""
    columns, own, known = fitted.encoder.subjects, fitted.solution.residual, fitted.rows
    assert columns is not None
    assert own is not None
    assert known is not None
    at = np.flatnonzero((rows.subject >= 0) & (fitted.repeated_predictor.same(rows) < 0))
    subject = rows.subject[at]
    counts = np.bincount(known.subject)[subject] + 1
    _check_numbers(columns, own, subject, rows.stratum[at], counts)


def _check_numbers(
    columns: SubjectColumns,
    own: ResidualSolution,
    subject: IntArray,
    stratum: IntArray,
    n_rows: IntArray,
) -> None:
    """Refuse subjects with more rows than have correlations as they were estimated."""
    model = own.model
    most = [model.correlation.most_rows(model.split(phi)[1], model.m) for phi in own.phi]
    beyond = np.flatnonzero(n_rows > np.array(most)[stratum])
    if len(beyond):
        assert columns.subject is not None
        k = beyond[0]
        raise ValueError(
            f"Subject {_label(columns.subject, subject[k])} of {columns.subject.name!r} would have "
            f"{n_rows[k]} rows, and the correlations of {columns.structure!r} that were estimated "
            f"are possible among {most[stratum[k]]:.0f} rows at most. Fit to all rows, or predict "
            "with include='fixed'."
            + " Without `time` each row to predict is a further one."
            * (columns.time is None)
        )


def _label(factor: GroupingFactor | None, code: Any) -> str:
    assert factor is not None
    return shown_label(factor.index[int(code)])


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


def _check_counts(columns: SubjectColumns, design: RepeatedDesign) -> None:
    """Refuse more parameters than there are rows to determine them."""
    residual, n = design.residual, design.rows.n_rows
    most = columns.correlation.most_times or n
    if residual.m > most or residual.n_free * LEAST_ROWS > n:
        times = f" for {residual.m} times" if columns.time is not None else ""
        strata = f" in {columns.n_strata} strata" if columns.by is not None else ""
        cure = "Fit to more rows, or use residual=None."
        if residual.n_free > FEWEST:
            cure = (
                "Use a structure with fewer parameters, such as 'ar1' or 'exponential', with "
                "heterogeneous=False and without by= and power=."
            )
        raise UndeterminedError(
            f"{columns.structure!r} has {residual.n_free} parameters{times}{strata}, and there are "
            f"{n} rows. {cure}"
        )


def _check_sizes(columns: SubjectColumns, design: RepeatedDesign) -> None:
    """Refuse sizes that are all alike, of which any power is the same."""
    if columns.power is not None and len(alike := design.strata_of_one_size):
        where = columns.in_stratum(alike[0])
        raise UndeterminedError(
            f"Column {columns.power.name!r} has one size in all rows{where}, so that the power "
            "of power= is not determined. Leave power= out, or name a column whose sizes differ."
        )


def _check_variances(
    columns: SubjectColumns, design: RepeatedDesign, own: BoolArray, where: str
) -> None:
    """Refuse visits whose variances no two rows inform."""
    m = design.residual.m
    if columns.time is None or not columns.variance.is_of_visits or m == 1:
        return
    few = np.flatnonzero(np.bincount(design.places.visit[own], minlength=m) < 2)
    if len(few):
        raise UndeterminedError(
            f"There are not two rows at {_times(columns, design)[few[0]]} of "
            f"{columns.time.name!r}{where}, so that its variance is not determined. {FEWER} Or "
            "leave that time out."
        )


def _times(columns: SubjectColumns, design: RepeatedDesign) -> Any:
    """Return the labels of times in their order, as messages show them, (m,)."""
    assert columns.time is not None
    labels = np.empty(design.residual.m, dtype=object)
    labels[design.timeline.rank] = [shown_label(label) for label in columns.time.index]
    return labels


def _check_correlations(
    columns: SubjectColumns, design: RepeatedDesign, own: BoolArray, where: str
) -> None:
    """Refuse rows that do not determine the parameters of correlations."""
    counts = np.bincount(design.rows.subject[own], minlength=1)
    if columns.is_correlated and int(counts.max()) < 2:
        assert columns.subject is not None
        raise UndeterminedError(
            f"Each subject of {columns.subject.name!r} has one row{where}, so that no correlation "
            f"of {columns.structure!r} is determined. Use residual=None, or a column whose labels "
            "have several rows."
        )
    if columns.correlation.absorbs_intercept and np.count_nonzero(counts) == 1:
        assert columns.subject is not None
        raise UndeterminedError(
            f"All rows{where} are of one subject of {columns.subject.name!r}, so that the mean and "
            f"what {columns.structure!r} says they have in common are not told apart. Use "
            "residual=None, or 'ar1' or 'exponential'."
        )
    if columns.time is not None and design.residual.m > 1:
        _check_pairs(columns, design, own, where)


def _check_pairs(
    columns: SubjectColumns, design: RepeatedDesign, own: BoolArray, where: str
) -> None:
    """Refuse pairs of visits whose correlations no row informs."""
    assert columns.time is not None
    m, subject = design.residual.m, design.rows.subject[own]
    name, labels = columns.time.name, _times(columns, design)
    if not (columns.correlation.is_any or columns.correlation.is_by_lag):
        return
    seen = _met(subject, design.places.visit[own], m)
    if columns.correlation.is_any:
        missing, n_subjects = np.argwhere(seen == 0), np.count_nonzero(np.bincount(subject))
        what = f"{columns.structure!r} has {m * (m + 1) // 2} parameters"
        if len(missing):
            a, b = missing[0]
            raise UndeterminedError(
                f"No subject{where} has rows at both {labels[a]} and {labels[b]} of {name!r}, so "
                f"that their correlation is not determined: {what}. {FEWER}"
            )
        if n_subjects <= m:
            raise UndeterminedError(
                f"{what} for {m} times, and there are {n_subjects} subjects{where}. {FEWER}"
            )
    if columns.correlation.is_by_lag:
        steps = design.residual.steps
        lags = np.bincount(
            np.abs(steps[:, None] - steps)[seen > 0].ravel(), minlength=steps[-1] + 1
        )
        if (lags == 0).any():
            raise UndeterminedError(
                f"No subject{where} has rows {int(np.argmax(lags == 0))} steps of {name!r} apart, "
                f"so that the correlation there is not determined by {columns.structure!r}. Use "
                "'ar1' or 'exponential'."
            )


def _met(subject: IntArray, visit: IntArray, m: int) -> IntArray:
    """Return how many subjects have rows at two visits, (m, m)."""
    present = np.zeros((int(subject.max()) + 1, m))
    present[subject, visit] = 1.0
    return np.rint(present.T @ present).astype(np.intp)


def _check_told_apart(encoder: Encoder, rows: RepeatedRows) -> None:
    """Refuse random effects that are a part of the residuals' covariance."""
    columns = encoder.subjects
    assert columns is not None
    if not columns.correlation.absorbs_intercept or columns.subject is None:
        return
    for term in encoder.terms:
        slopes = [c for c in term.columns if c]
        # Of any covariance of the times every effect that they determine is a part
        is_part = not slopes or (
            columns.correlation.is_any
            and all(_are_of_times(rows.columns[:, c - 1], rows.visit) for c in slopes)
        )
        if is_part and _are_same(rows.levels[:, term.factor], rows.subject):
            name = encoder.factors[term.factor].name
            raise ValueError(
                f"The random effects of {name!r} are a part of {columns.structure!r} within the "
                f"same subjects, so that the two are not told apart. Leave {name!r} out of "
                "`groups`, or use 'ar1' or 'exponential'."
            )


def _are_of_times(column: FloatArray, visit: IntArray) -> bool:
    """Whether a column has one value at each time."""
    first = np.zeros(int(visit.max()) + 1)
    first[visit] = column
    return bool((first[visit] == column).all())


def _are_same(first: IntArray, second: IntArray) -> bool:
    """Whether two codes divide the rows in the same way."""
    pairs = np.unique(first * (np.int64(second.max()) + 1) + second)
    return len(pairs) == len(np.unique(first)) == len(np.unique(second))


def residual_structure(subjects: SubjectColumns | None, own: ResidualSolution | None) -> str:
    """Return the residuals' covariance in words, with the number of its parameters."""
    if subjects is None or own is None:
        return ""
    parts = [f"{'heterogeneous ' * subjects.heterogeneous}{subjects.structure}"]
    by = "variances by" if subjects.shared_correlation else "by"
    for role, factor in (("within", subjects.subject), ("in", subjects.time), (by, subjects.by)):
        if factor is not None:
            count = "" if role == "in" else f" ({factor.n_levels:,})"
            parts.append(f"{role} {factor.name}{count}")
    if "power" in own.of_sizes:
        what = "fitted" if subjects.power is None else subjects.power.name
        powers = ", ".join(f"{power:.3f}" for power in own.of_sizes["power"])
        parts.append(f"with σ·|{what}|^δ, δ = {powers}")
    n = own.model.n_free
    return f"{' '.join(parts)}, {n} parameter{'s' * (n != 1)}"
