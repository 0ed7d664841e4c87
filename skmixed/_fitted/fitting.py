"""From an estimator's parameters and statistics to estimates, or a reason to wait."""

import logging
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sklearn.utils import check_random_state

from skmixed._callbacks import telling_callbacks
from skmixed._data.encoder import Specification
from skmixed._estimation.fit import Estimate, Examined
from skmixed._estimation.iterative import prefers_iterative
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.messages import dropped, waiting, warnings_after, warnings_before
from skmixed._fitted.subject_checks import open_repeated
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._model.terms import Model
from skmixed._repeated.fit import RepeatedModel
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import Lam, Message
from skmixed.exceptions import UndeterminedError, warn

E = TypeVar("E")
# What a search does at level DEBUG, how it ended at INFO.
LOGGER = logging.getLogger("skmixed")


def committed(estimator: E, change: Callable[[Any], object]) -> E:
    """Apply a change to a copy that is not fitted, and take its state over.

    A failure, or an interrupt, leaves the estimator as it was. The copy has its
    parameters, requests and what else it was given, such as by a subclass.
    """
    own = type(estimator).__new__(type(estimator))
    set_by_fit = own.set_by_fit  # type: ignore[attr-defined]
    own.__dict__.update((k, v) for k, v in vars(estimator).items() if k not in set_by_fit)
    change(own)
    estimator.__dict__ = own.__dict__
    return estimator


def committed_fit(
    estimator: E, change: Callable[[Any], object], X: Any, y: Any, **metadata: Any
) -> E:
    """Apply the change that a fit to rows is, as `committed`, and tell the callbacks."""
    return committed(estimator, telling_callbacks(change, X, y, **metadata))


def specification(estimator: Any) -> Specification:
    """Return what the parameters say of the columns of X."""
    return Specification(
        estimator.groups,
        estimator.random_slopes,
        estimator.fixed,
        estimator.covariance,
        estimator.fit_intercept,
        estimator.residual,
    )


def estimate_from(estimator: Any, given: SufficientStatistics, *, may_wait: bool = False) -> None:
    """Fit an estimator to the statistics of rows, and publish the results; warn last.

    `may_wait`: whether rows that do not determine the variances will do.
    """
    before = estimator._model.at_fit.estimate if "_model" in vars(estimator) else None
    result, repeated, messages = fit_statistics(estimator, given, before=before, may_wait=may_wait)
    # Rows given to update_groups are not among these.
    own = given.encoder, given.products, result, given.rows, repeated
    estimator._model = FittedModel.of(*own)
    estimator._publish()
    log_outcome(estimator)
    for message, category in messages:
        warn(message, category)


def estimate_at(estimator: Any, given: SufficientStatistics, like: Estimate) -> None:
    """Estimate all but Λ, which is that of other estimates, from the statistics of rows."""
    encoder, stats = given.encoder, given.products
    model = encoder.model(reml=estimator.method == "reml")
    result = _with_dependence(kernel.estimate_at(stats, model, like), stats, model)
    estimator._model = FittedModel.of(encoder, stats, result)
    estimator._publish()
    for message, category in dropped(result, encoder):
        warn(message, category)


def fit_statistics(
    parameters: Any,
    given: SufficientStatistics,
    *,
    before: Estimate | None,
    may_wait: bool,
    is_again: bool = False,
) -> tuple[Estimate, RepeatedModel | None, list[Message]]:
    """Fit the model that an estimator's parameters ask for; return its warnings too.

    And of a model with a residual covariance its rows, laid out at the optimum.

    What is to be said before the search is, so that it can be stopped.

    `before` are the estimates of fewer rows, or of another response. Rows that do not
    determine the variances raise an `UndeterminedError`, or, if the caller may wait for
    more of them, give the estimates at variances of 0. `is_again`: whether the rows had
    another response before, and what they are like was said.
    """
    encoder, stats = given.encoder, given.products
    model = encoder.model(reml=parameters.method == "reml")
    repeated = None
    try:
        result, repeated = _search(parameters, given, model, before, is_again=is_again)
    except UndeterminedError as error:
        if not may_wait:
            raise
        result, messages = kernel.estimate_at_zero(stats, model), [waiting(encoder, error)]
    else:
        messages = warnings_after(result, encoder, stats, parameters.max_iter)
    return _with_dependence(result, stats, model), repeated, messages


def _with_dependence(result: Estimate, stats: CrossProducts, model: Model) -> Estimate:
    """Return estimates that know how the dropped columns depend on the others."""
    dependence = kernel.dependence(stats, model, result.solution.kept)
    return replace(result, solution=replace(result.solution, dependence=dependence))


def _search(
    parameters: Any,
    given: SufficientStatistics,
    model: Model,
    before: Estimate | None,
    *,
    is_again: bool,
) -> tuple[Estimate, RepeatedModel | None]:
    encoder, stats = given.encoder, given.products
    design = None if encoder.subjects is None else open_repeated(encoder, given.rows)
    report = printer(parameters.verbose)
    solver = "exact" if design is not None else _solver(parameters, stats, model)
    system = _checked_system(given, model, solver)
    if report is not None and len(encoder.factors) > 1:
        report(f"solver {solver}")
    if not is_again:
        for message, category in warnings_before(system.findings, encoder, stats):
            warn(message, category)
    if design is not None:
        validation.check_has_residuals(system)
        return kernel.fit_repeated(
            system,
            stats.center,
            design,
            tol=parameters.tol,
            max_iter=parameters.max_iter,
            report=report,
            before=before,
        )
    found = kernel.fit_system(
        system,
        tol=parameters.tol,
        max_iter=parameters.max_iter,
        report=report,
        before=before,
        seed=_seed(parameters.random_state) if solver == "iterative" else 0,
    )
    return found, None


def search_alone(parameters: Any, given: SufficientStatistics) -> tuple[Lam | None, list[Message]]:
    """Search for a Λ near that of a model, from which those without folds are searched for.

    Return it with what the statistics have to say; None where a fit may find another one.
    """
    encoder, stats = given.encoder, given.products
    system = _checked_system(given, encoder.model(reml=parameters.method == "reml"), "exact")
    said = warnings_before(system.findings, encoder, stats)
    how = {"tol": parameters.tol, "max_iter": parameters.max_iter}
    return kernel.search_all(system, **how), said


def check_determined(parameters: Any, given: SufficientStatistics) -> None:
    """Refuse, without a search, what a fit to the statistics would refuse before its own."""
    model = given.encoder.model(reml=parameters.method == "reml")
    _checked_system(given, model, _solver(parameters, given.products, model))


def _checked_system(given: SufficientStatistics, model: Model, solver: str) -> Examined:
    """Lay out the equations of a model that the rows determine."""
    encoder, stats = given.encoder, given.products
    validation.check_covariances(encoder, stats.n_rows)
    validation.check_levels(encoder, stats)
    validation.check_factors(encoder, stats)
    if solver == "exact":
        validation.check_memory(encoder, stats, model)
    system = kernel.examined(stats, model, solver=solver)
    validation.check_findings(system.findings, encoder, stats.n_rows)
    return system


def _solver(parameters: Any, stats: CrossProducts, model: Model) -> str:
    if parameters.solver != "auto":
        return str(parameters.solver)
    return "iterative" if prefers_iterative(stats, model) else "exact"


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))


def printer(verbose: int) -> Callable[[str], None] | None:
    """Return what prints and logs a line per step of the search, if that is wanted."""
    if not LOGGER.isEnabledFor(logging.DEBUG):
        return (lambda line: print(f"[skmixed] {line}")) if verbose else None

    def report(line: str) -> None:
        LOGGER.debug("%s", line)
        if verbose:
            print(f"[skmixed] {line}")

    return report


def log_outcome(estimator: Any) -> None:
    """Log how a search has ended, at level INFO."""
    if LOGGER.isEnabledFor(logging.INFO):
        name, status = type(estimator).__name__, estimator.status_.rstrip(".")
        found = f"steps: {estimator.n_iter_}, log-likelihood: {estimator.log_likelihood_:.10g}"
        LOGGER.info("%s: %s; %s", name, status, found)


@dataclass
class CountedMessages:
    """What several fits have to say: each kind once, with the number of fits that say it.

    Texts that differ in names and numbers alone are of one kind.

    Attributes
    ----------
    texts : dict
        For a kind and a class its texts, by the fits that say them.
    """

    texts: dict[Message, dict[Hashable, str]] = field(default_factory=dict)

    def take(self, messages: Iterable[Message], fit: Hashable) -> None:
        """Take in what a fit says, by whatever tells it from the others."""
        for text, category in messages:
            self.texts.setdefault((kind_of(text), category), {}).setdefault(fit, text)

    def tell(self, where: Callable[[int], str], name_of: Callable[[Any], str]) -> None:
        """Warn: `where` says how many fits say it, `name_of` which one is the example."""
        for (_, category), own in self.texts.items():
            first, text = next(iter(own.items()))
            example = "" if len(set(own.values())) == 1 else f", such as {name_of(first)}"
            warn(f"{where(len(own))}{example}: {text}", category)


def kind_of(text: str) -> str:
    """Return a message without the names and numbers in it."""
    return _LIST.sub("_", _NAME.sub("_", text))


# Names in quotes, which apostrophes are not, and numbers.
_NAME = re.compile(r"(?<!\w)'.*?'(?!\w)|(?<!\w)\".*?\"(?!\w)|(?<!\w)-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?")
_LIST = re.compile(r"_((, | and |, and )_)+")
