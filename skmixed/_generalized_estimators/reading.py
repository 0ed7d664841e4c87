"""Rows as users give them, to a fitted generalized model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from skmixed._data.encoder import Encoder, Specification
from skmixed._data.table import check_unmasked, numeric_column
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.fitting import log_outcome, printer
from skmixed._fitted.messages import Words, speaking, warnings_after, warnings_before, words
from skmixed._fitted.reader import Intake
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._generalized.fit import MOST_NODES, TRIED_NODES, SearchSettings
from skmixed._generalized.rows import FamilySource, GeneralizedDesign, GeneralizedRows
from skmixed._model.family import Family
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._typing import FloatArray
from skmixed.exceptions import UndeterminedError, warn

AUTO = "auto"
# Coefficients of one group over which quadrature is taken at most.
MOST_COEFFICIENTS = 3
# Share of a count within which it is whole, as products with a number of trials are.
FRACTION = 1e-8


@dataclass(frozen=True)
class ResponseToModel:
    """The response of some rows, as the likelihood takes it.

    Attributes
    ----------
    response : (n,) array
    weights : (n,) array or None
    offset : (n,) array
    """

    response: FloatArray
    weights: FloatArray | None
    offset: FloatArray

    def beside(self, design: Design, family: Family) -> GeneralizedDesign:
        """Return the rows of positive weight, which a design has, with their offset."""
        keep = slice(None) if self.weights is None else self.weights > 0
        return GeneralizedDesign(design, self.offset[keep], family)


class TargetReader(Protocol):
    """What reads responses, part by part."""

    @property
    def family(self) -> Family: ...

    def read(
        self, y: Any, sample_weight: Any, exposure: Any, n_rows: int, *, part: str = ""
    ) -> ResponseToModel:
        """Check and return the response of rows; `part` says which, where they are not all."""

    def finish(self, estimator: Any) -> bool:
        """Set what was learned; return whether 1 − y is the response, of proportions y."""


class ResponseReader:
    """Reads responses that are numbers.

    Parameters
    ----------
    family : Family
    name : str
        Of the estimator.
    counted : callable
        What is counted in rows, from their response and weights; nothing of what is measured.
    """

    def __init__(
        self,
        family: Family,
        name: str,
        counted: Callable[[FloatArray, FloatArray | None], tuple[FloatArray, ...]],
    ) -> None:
        self.family, self.name, self.counted = family, name, counted
        self.n_fractions, self.first = 0, ""
        # Of the values at which a mean is at an end of its range those that all responses have
        self.ends = (0.0, 1.0)[: 2 if family.of_trials else int(family.is_counted)]
        self.has_trials = False

    def read(
        self, y: Any, sample_weight: Any, exposure: Any, n_rows: int, *, part: str = ""
    ) -> ResponseToModel:
        response = validation.check_response(y, n_rows, self.name)
        weights = validation.check_weights(sample_weight, n_rows, may_be_zero=bool(part))
        check_domain(response, self.family)
        counting = response if weights is None else response[weights > 0]
        self.ends = tuple(end for end in self.ends if (counting == end).all())
        self.has_trials = self.has_trials or sample_weight is not None
        self._count(self.counted(response, weights), part)
        return ResponseToModel(response, weights, log_exposure(exposure, n_rows))

    def finish(self, estimator: Any) -> bool:
        """Refuse responses that are all at one end; warn of numbers that are not whole."""
        if self.ends and estimator.fit_intercept:
            raise UndeterminedError(
                f"All values of {words().response_name} are {self.ends[0]:g}, so that the "
                "intercept has no finite estimate. Give rows with other responses, too."
            )
        if self.n_fractions and self.family.of_trials and not self.has_trials:
            warn(
                f"{words().response_name} has {self.n_fractions} proportions that are neither 0 "
                f"nor 1 (first at {self.first}), and {words().weights}, the numbers of trials, is "
                "missing: each row counts as one trial. Give the numbers of trials.",
                UserWarning,
            )
        elif self.n_fractions:
            warn(
                f"{self.n_fractions} rows count a number that is not whole (first at {self.first})."
                " The likelihood is that of counts: give whole numbers, with an exposure or the "
                "number of trials beside them.",
                UserWarning,
            )
        return False

    def _count(self, counted: tuple[FloatArray, ...], part: str) -> None:
        for counts in counted:
            apart = np.abs(counts - np.rint(counts))
            rows = np.flatnonzero(apart > FRACTION * np.maximum(counts, 1.0))
            if not len(rows):
                continue
            if not self.n_fractions:
                self.first = f"row {rows[0]}{' of ' * bool(part)}{part}: {counts[rows[0]]:g}"
            self.n_fractions += len(rows)
            return


def generalized_words() -> Words:
    """Return the words of what was called, where linear models have others."""
    return replace(
        words(),
        beyond=f"what the distribution of {words().response} explains",
        iterative="Use coarser factors or fewer random slopes.",
        exact="Raise max_iter.",
        unknown="by the mean over the distribution of its effect",
        weight_unit="",
        weight_rule="A weight multiplies the log-likelihood of its row; use 0 to leave a row out.",
    )


def specification(estimator: Any) -> Specification:
    """Return what the parameters of a generalized model say of the columns of X."""
    return Specification(
        estimator.groups,
        estimator.random_slopes,
        estimator.fixed,
        estimator.covariance,
        estimator.fit_intercept,
    )


def fit_model(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    groups: Any,
    exposure: Any,
    offset: FloatArray | None = None,
) -> None:
    """Fit an estimator to rows, and publish the results; warn last."""
    table, reader = estimator._open(X, y), estimator._reader()
    with speaking(generalized_words()):
        target = reader.read(y, sample_weight, exposure, table.n_rows)
        if offset is not None:
            target = replace(target, offset=target.offset + offset)
        reader.finish(estimator)
        intake = Intake(specification(estimator), type(estimator).__name__)
        design = intake.take(table, target.response, target.weights, groups, is_last=True)
        assert design is not None, "some weight is positive"
        given = target.beside(design, reader.family)
        fit_rows(estimator, intake.statistics(), given, GeneralizedRows.of(given))


def fit_rows(
    estimator: Any,
    statistics: SufficientStatistics,
    given: FamilySource,
    rows: GeneralizedRows | None,
    sample: GeneralizedDesign | None = None,
) -> None:
    """Fit an estimator to rows whose statistics are known.

    `rows` are those to keep, if any, and `sample` those to start from where not all are held.
    """
    encoder, stats, family = statistics.encoder, statistics.products, given.family
    _check_model(encoder, stats, family)
    _check_quadrature(encoder, estimator.quadrature)
    model = encoder.model(reml=False)
    validation.check_memory(encoder, stats, model)
    examined = kernel.examined(stats, model)
    validation.check_findings(examined.findings, encoder, stats.n_rows)
    has_residual = family.has_dispersion
    for message, category in warnings_before(
        examined.findings, encoder, stats, has_residual=has_residual
    ):
        warn(message, category)
    pure = _pure_factors(encoder, given)
    result = kernel.fit_generalized(
        replace(examined, findings=replace(examined.findings, pure=pure)),
        stats.center,
        given,
        search=SearchSettings(estimator.tol, estimator.max_iter, printer(estimator.verbose)),
        n_nodes=None if estimator.quadrature == AUTO else int(estimator.quadrature),
        sample=sample,
    )
    messages = warnings_after(result, encoder, stats, estimator.max_iter)
    dependence = kernel.dependence(stats, model, result.solution.kept)
    result = replace(result, solution=replace(result.solution, dependence=dependence))
    # Of rows that are not held the model knows the source, as long as it is not copied
    at_source = None
    if rows is None:
        at_source = kernel.generalized_model(stats, model, given, result.solution)
    own = encoder, stats, result, None, None, rows, at_source
    estimator._model = FittedModel.of(*own)
    estimator._publish()
    log_outcome(estimator)
    for message, category in messages:
        warn(message, category)


def _pure_factors(encoder: Encoder, given: FamilySource) -> tuple[int, ...]:
    """Return the grouping factors with random intercepts whose levels have one class each."""
    if not given.family.of_trials:
        return ()
    with_intercept = {t.factor for t in encoder.terms if t.has_intercept}
    sums = {k: np.zeros((2, encoder.factors[k].n_levels)) for k in sorted(with_intercept)}
    # Of each level the successes and the rows, until some level of each factor has both classes
    for part in given.parts() if sums else ():
        y = part.design.responses[0]
        for k, own in list(sums.items()):
            codes, n = part.design.factors[k].codes, own.shape[1]
            own += np.bincount(codes, y, n), np.bincount(codes, minlength=n)
            if ((own[0] > 0.0) & (own[0] < own[1])).any():
                del sums[k]
        if not sums or not ((y == 0.0) | (y == 1.0)).all():
            return ()
    return tuple(sums)


def _check_model(encoder: Encoder, stats: CrossProducts, family: Family) -> None:
    """Refuse what the rows cannot determine."""
    validation.check_covariances(encoder, stats.n_rows)
    validation.check_factors(encoder, stats)
    is_single = family.of_trials and stats.unweighted is None
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
    if quadrature != AUTO and int(quadrature) ** size > MOST_NODES:
        most = int(MOST_NODES ** (1.0 / size) + 1e-9)
        raise ValueError(
            f"quadrature={quadrature!r} are {int(quadrature) ** size:,} nodes for the {size} "
            f"coefficients of each group. Give at most {most}, or {AUTO!r}."
        )


def check_parameters(estimator: Any) -> None:
    """Check the parameters that need no data."""
    _check_nodes(estimator.quadrature)
    validation.check_choice("handle_unknown", estimator.handle_unknown, validation.UNKNOWN)
    validation.check_flag("fit_intercept", estimator.fit_intercept)
    validation.check_number("tol", estimator.tol)
    if not np.isfinite(estimator.tol):
        raise ValueError(f"tol={estimator.tol!r} is not finite. Give a small number.")
    validation.check_verbose(estimator.verbose)
    validation.check_number("max_iter", estimator.max_iter, integral=True)


def _check_nodes(quadrature: Any) -> None:
    """Refuse what is no number of nodes of a rule that exists."""
    if quadrature == AUTO:
        return
    if isinstance(quadrature, str):
        raise TypeError(f"quadrature={quadrature!r} is of type str. Give an integer, or {AUTO!r}.")
    validation.check_number("quadrature", quadrature, integral=True)
    if quadrature > TRIED_NODES[-1]:
        raise ValueError(
            f"quadrature={quadrature!r} is more nodes than the rule is computed for. Give at most "
            f"{TRIED_NODES[-1]}, or {AUTO!r}, which takes as many as are needed."
        )


def check_domain(response: FloatArray, family: Family) -> None:
    """Refuse responses that the family cannot have."""
    valid = family.is_valid(response)
    if not valid.all():
        row = int(np.argmin(valid))
        name, beside = family.name.replace("_", " "), ""
        if family.of_trials:
            beside = f", with the numbers of trials as {words().weights}"
        raise ValueError(
            f"{words().response_name} has {int((~valid).sum())} values that the {name} family does "
            f"not have (first at row {row}: {response[row]:g}). It takes {family.domain}{beside}."
        )


def check_exposure_given(model: FittedModel, exposure: Any) -> None:
    """Refuse rows without an exposure where the fit had one."""
    own = model.solution.family
    if exposure is None and own is not None and own.offsets[1] > 0.0:
        raise ValueError(
            "exposure=None, but the model was fitted with an exposure, on which the result "
            "depends. Pass the exposure of the rows of X."
        )


def log_exposure(exposure: Any, n_rows: int) -> FloatArray:
    """Return the logarithm of what counts are proportional to, 0 where none is given."""
    if exposure is None:
        return np.zeros(n_rows)
    if isinstance(exposure, str):
        raise TypeError(
            f"exposure={exposure!r} is text. Give the exposures themselves, a number for each row; "
            "fit_chunks takes the name of a column."
        )
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
