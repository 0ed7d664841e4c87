"""Rows as users give them, to a fitted generalized model."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder, Specification
from skmixed._data.metadata import open_metadata
from skmixed._data.table import Table, check_unmasked, numeric_column
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.fitting import printer
from skmixed._fitted.messages import COLUMNS, speaking, warnings_after, warnings_before
from skmixed._generalized.fit import SearchSettings
from skmixed._generalized.rows import GeneralizedDesign, GeneralizedRows
from skmixed._model.family import Family
from skmixed._statistics.accumulator import Accumulator
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._typing import FloatArray, Message
from skmixed.exceptions import UndeterminedError, warn

AUTO = "auto"
# Coefficients of one group over which quadrature is taken at most.
MOST_COEFFICIENTS = 3
# What the messages of linear models say of their residual variance.
WORDS = replace(
    COLUMNS,
    beyond="what the distribution of y explains",
    weight_rule="A weight multiplies the log-likelihood of its row; use 0 to leave a row out.",
)


# Share of a count within which it is whole, as products with a number of trials are.
FRACTION = 1e-8


@dataclass(frozen=True)
class ResponseToModel:
    """The response of all rows, as the likelihood takes it.

    Attributes
    ----------
    family : Family
    response : (n,) array
    weights : (n,) array or None
    offset : (n,) array
    """

    family: Family
    response: FloatArray
    weights: FloatArray | None
    offset: FloatArray


def fit_model(estimator: Any, table: Table, target: ResponseToModel, groups: Any) -> None:
    """Fit an estimator to rows, and publish the results; warn last."""
    with speaking(WORDS):
        model, messages = _fitted_model(estimator, table, target, groups)
    estimator._model = model
    estimator._publish()
    for message, category in messages:
        warn(message, category)


def _fitted_model(
    estimator: Any, table: Table, target: ResponseToModel, groups: Any
) -> tuple[FittedModel, list[Message]]:
    encoder, design, offset = _learned(estimator, table, target, groups)
    accumulator = Accumulator()
    kernel.add_rows(accumulator, design, is_last=True)
    stats = kernel.products_of(accumulator)
    _check_model(encoder, stats, target.family, design)
    _check_quadrature(encoder, estimator.quadrature)
    model = encoder.model(reml=False)
    validation.check_memory(encoder, stats, model)
    examined = kernel.examined(stats, model)
    validation.check_findings(examined.findings, encoder, stats.n_rows)
    has_residual = target.family.has_dispersion
    for message, category in warnings_before(
        examined.findings, encoder, stats, has_residual=has_residual
    ):
        warn(message, category)
    given = GeneralizedDesign(design, offset, target.family)
    pure = _pure_factors(encoder, target.family, design)
    result = kernel.fit_generalized(
        replace(examined, findings=replace(examined.findings, pure=pure)),
        stats.center,
        given,
        search=SearchSettings(estimator.tol, estimator.max_iter, printer(estimator.verbose)),
        n_nodes=None if estimator.quadrature == AUTO else int(estimator.quadrature),
    )
    messages = warnings_after(result, encoder, stats, estimator.max_iter)
    dependence = kernel.dependence(stats, model, result.solution.kept)
    result = replace(result, solution=replace(result.solution, dependence=dependence))
    rows = GeneralizedRows.of(given)
    return FittedModel(encoder, stats.n_rows, result, stats, family_rows=rows), messages


def _learned(
    estimator: Any, table: Table, target: ResponseToModel, groups: Any
) -> tuple[Encoder, Design, FloatArray]:
    """Return the encoder with its levels, the plain arrays, and the offset of their rows."""
    specification = Specification(
        estimator.groups,
        estimator.random_slopes,
        estimator.fixed,
        estimator.covariance,
        estimator.fit_intercept,
    )
    metadata = open_metadata(groups, table.n_rows, is_named=estimator.groups is not None)
    planned = specification.plan(table, metadata)
    validation.check_terms(planned)
    encoder, design = planned.learn(table, metadata, target.response, target.weights)
    weights = target.weights
    return encoder, design, target.offset if weights is None else target.offset[weights > 0]


def _pure_factors(encoder: Encoder, family: Family, design: Design) -> tuple[int, ...]:
    """Return the grouping factors with random intercepts whose levels have one class each."""
    y, found = design.responses[0], []
    if family.name != "binomial" or not ((y == 0.0) | (y == 1.0)).all():
        return ()
    with_intercept = {t.factor for t in encoder.terms if t.has_intercept}
    for position in sorted(with_intercept):
        codes = design.factors[position].codes
        ones, counts = np.bincount(codes, y), np.bincount(codes)
        if ((ones == 0.0) | (ones == counts)).all():
            found.append(position)
    return tuple(found)


def _check_model(encoder: Encoder, stats: CrossProducts, family: Family, design: Design) -> None:
    """Refuse what the rows cannot determine, or numbers cannot hold."""
    validation.check_range(encoder, stats)
    validation.check_covariances(encoder, stats.n_rows)
    validation.check_factors(encoder, stats)
    is_single = family.name == "binomial" and design.weights is None
    for position, factor in enumerate(encoder.factors):
        validation.check_several_levels(factor, stats.n_rows)
        has_intercept = any(t.has_intercept for t in encoder.terms if t.factor == position)
        if is_single and has_intercept and factor.n_levels >= stats.n_rows:
            raise UndeterminedError(
                f"Grouping factor {factor.name!r} has {factor.n_levels} levels for "
                f"{stats.n_rows} samples, each of one trial: its random intercept cannot be told "
                "from chance. Group by a coarser factor."
            )


def _check_quadrature(encoder: Encoder, quadrature: Any) -> None:
    """Refuse quadrature over more dimensions than it can take."""
    if quadrature == 1:
        return
    size = sum(len(term.columns) for term in encoder.terms)
    if len(encoder.factors) > 1 or size > MOST_COEFFICIENTS:
        what = (
            f"{len(encoder.factors)} grouping factors"
            if len(encoder.factors) > 1
            else f"{size} coefficients in each group"
        )
        raise ValueError(
            f"quadrature={quadrature!r} is there for one grouping factor with at most "
            f"{MOST_COEFFICIENTS} coefficients, but the model has {what}. Use quadrature=1, "
            "Laplace's approximation."
        )


def check_parameters(estimator: Any) -> None:
    """Check the parameters that need no data."""
    if estimator.quadrature != AUTO:
        validation.check_number("quadrature", estimator.quadrature, integral=True)
    validation.check_choice("handle_unknown", estimator.handle_unknown, validation.UNKNOWN)
    validation.check_flag("fit_intercept", estimator.fit_intercept)
    validation.check_number("tol", estimator.tol)
    if not np.isfinite(estimator.tol):
        raise ValueError(f"tol={estimator.tol!r} is not finite. Give a small number.")
    validation.check_verbose(estimator.verbose)
    validation.check_number("max_iter", estimator.max_iter, integral=True)


def check_domain(response: FloatArray, family: Family, name: str) -> None:
    """Refuse responses that the family cannot have."""
    valid = family.is_valid(response)
    if not valid.all():
        row = int(np.argmin(valid))
        raise ValueError(
            f"y has {int((~valid).sum())} values that a {name} cannot model (first at row {row}: "
            f"{response[row]:g}). It takes {family.domain}."
        )


def warn_of_fractions(counts: FloatArray | None) -> None:
    """Warn where what is counted is no whole number; None counts nothing."""
    if counts is None:
        return
    rows = np.flatnonzero(np.abs(counts - np.rint(counts)) > FRACTION * np.maximum(counts, 1.0))
    if len(rows):
        warn(
            f"{len(rows)} rows count a number that is not whole (first at row {rows[0]}: "
            f"{counts[rows[0]]:g}). The likelihood is that of counts: give whole numbers, with "
            "an exposure or the number of trials beside them.",
            UserWarning,
        )


def log_exposure(exposure: Any, n_rows: int) -> FloatArray:
    """Return the logarithm of what counts are proportional to, 0 where none is given."""
    if exposure is None:
        return np.zeros(n_rows)
    check_unmasked(exposure, "exposure")
    values = np.asarray(exposure)
    if values.ndim == 0:
        values = np.full(n_rows, values)
    if values.ndim != 1:
        raise ValueError(f"exposure has shape {values.shape}. Give one number for each row.")
    numbers = numeric_column(values, "exposure", what="The argument")
    if len(numbers) != n_rows:
        raise ValueError(f"exposure has {len(numbers)} entries, but X has {n_rows} rows.")
    if not (numbers > 0).all():
        row = int(np.argmin(numbers > 0))
        raise ValueError(
            f"exposure is not positive at row {row} ({numbers[row]:g}). Leave such rows out."
        )
    return np.log(numbers)
