"""Linear models without each level of a grouping factor, from the rows of the fit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd

from skmixed._estimation.fit import Estimate
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.fitting import CountedMessages, fit_statistics
from skmixed._fitted.messages import dropped
from skmixed._fitted.results import covariance_of
from skmixed._fitted.sufficient_statistics import SufficientStatistics, without_fold
from skmixed._folds.deletion import Deletion, FoldSolutions
from skmixed._model.terms import Model
from skmixed._typing import Message
from skmixed.diagnostics._fit_rows import FitRows
from skmixed.exceptions import warn


class Way(Protocol):
    """A way from the statistics without a level to estimates."""

    def __call__(self, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
        """Return the estimates, and what they have to say."""


@dataclass
class LeftOut:
    """Estimates without each of J levels; NaN where there are none.

    Attributes
    ----------
    fitted : FittedModel
        Of all rows.
    levels : pandas.Index
    found : FoldSolutions
        Of the columns that the fit to all rows has kept; NaN where other columns are kept.
    messages : CountedMessages
        What the fits have to say.
    errors : dict of int to ValueError
    """

    fitted: FittedModel
    levels: pd.Index
    found: FoldSolutions
    messages: CountedMessages = field(default_factory=CountedMessages)
    errors: dict[int, ValueError] = field(default_factory=dict)

    @staticmethod
    def empty(fitted: FittedModel, levels: pd.Index) -> "LeftOut":
        """Return one without estimates."""
        n, p = len(levels), len(fitted.solution.kept)
        sizes = [len(term.lam) for term in fitted.solution.terms]
        shapes = [(n, p), (n, p, p), *((n, s, s) for s in sizes), (n,)]
        fixed, roots, *covariances, sigma = (np.full(shape, np.nan) for shape in shapes)
        return LeftOut(fitted, levels, FoldSolutions(fixed, roots, tuple(covariances), sigma))

    def take(self, j: int, make: Callable[[], tuple[Estimate, list[Message]]]) -> None:
        """Take the estimates without a level, or the error of their fit."""
        try:
            estimate, messages = make()
        except ValueError as error:
            self.errors[j] = error
            return
        self.messages.take(messages, j)
        own, whole, found = estimate.solution, self.fitted.solution, self.found
        is_same = own.kept == whole.kept
        found.fixed[j] = own.fixed[list(whole.kept)] if is_same else np.nan
        found.fixed_roots[j] = own.fixed_root if is_same else np.nan
        found.sigma[j] = own.sigma
        for term, covariances in zip(own.terms, found.covariances, strict=True):
            covariances[j] = covariance_of(term.lam, own.sigma)

    def tell(self) -> None:
        """Say what the fits had to say, once; raise what all of them have raised."""
        n, name = len(self.levels), " and ".join(map(str, self.levels.names))
        if len(self.errors) == n:
            raise self.errors[0]
        self.messages.tell(
            lambda count: f"Without {count} of {n} levels of {name!r}",
            lambda number: repr(self.levels[number]),
        )
        if self.errors:
            first = min(self.errors)
            warn(
                f"Without {len(self.errors)} of {n} levels of {name!r} there is no fit, and their "
                f"results are NaN. The first, without {self.levels[first]!r}: {self.errors[first]}",
                UserWarning,
            )

    def deletion(self, *, is_sigma_held: bool) -> Deletion:
        """Return the fixed effects; their covariances are at the σ of all rows if that is held."""
        whole, found = self.fitted.solution, self.found
        roots = found.fixed_roots
        if is_sigma_held:
            roots = roots * (whole.sigma / found.sigma)[:, None, None]
        return Deletion(whole.fixed[list(whole.kept)], whole.fixed_root, found.fixed, roots)


def left_out(regressor: Any, fitted: FittedModel, rows: FitRows, k: int, theta: str) -> LeftOut:
    """Estimate without each level of factor k; `theta` is a name of `WAYS`."""
    out = LeftOut.empty(fitted, rows.encoder.factors[k].index)
    way = WAYS[theta](regressor, fitted)
    for j, given in _beyond_one_search(out, rows, theta) or enumerate(rows.without_each(k)):
        out.take(j, partial(way, given))
    out.tell()
    return out


def _beyond_one_search(
    out: LeftOut, rows: FitRows, theta: str
) -> Iterator[tuple[int, SufficientStatistics]] | None:
    """Estimate by one search for all levels, where they are many of the only factor.

    Return the levels of which that is not sure, with the statistics without each; None
    where levels are not left out together.
    """
    n, encoder, fitted = len(out.levels), rows.encoder, out.fitted
    if not kernel.are_many_folds(n, len(encoder.factors)):
        return None
    totals, every = rows.totals(), np.arange(n)
    groups = kernel.whole_groups_of(
        rows.stats, fitted.model, every, totals, fitted.estimate, are_rows_predicted=False
    )
    if groups is None:
        return None
    found = kernel.estimate_folds(groups, fitted.estimate, theta)
    out.found.put(kernel.fold_solutions(groups, found), found.are_sure)
    given = rows.given
    return (
        (j, without_fold(given, totals, j, every[every != j]))
        if groups.are_separable[j]
        else (j, rows.without(0, j))
        for j in np.flatnonzero(~found.are_sure).tolist()
    )


def _refit(regressor: Any, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
    estimate, _, messages = fit_statistics(
        regressor, given, before=None, may_wait=False, is_again=True
    )
    return estimate, messages


def _held(fitted: FittedModel, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
    own = kernel.estimate_at(given.products, _model(fitted, given), fitted.estimate)
    return own, _lost(fitted, own, given)


def _stepped(fitted: FittedModel, given: SufficientStatistics) -> tuple[Estimate, list[Message]]:
    like = fitted.estimate, fitted.system
    own = kernel.estimate_after_step(given.products, _model(fitted, given), *like)
    return own, _lost(fitted, own, given)


def _lost(fitted: FittedModel, own: Estimate, given: SufficientStatistics) -> list[Message]:
    """Name the columns that depend on others, where all rows tell more of them apart."""
    is_same = own.solution.kept == fitted.solution.kept
    return [] if is_same else list(dropped(own, given.encoder))


def _model(fitted: FittedModel, given: SufficientStatistics) -> Model:
    model = given.encoder.model(reml=fitted.solution.reml)
    validation.check_memory(given.encoder, given.products, model)
    return model


# By the name of `theta`: of the regressor, whose parameters a fit has, and of the fit.
WAYS: dict[str, Callable[[Any, FittedModel], Way]] = {
    "refit": lambda regressor, _: partial(_refit, regressor),
    "fixed": lambda _, fitted: partial(_held, fitted),
    "one_step": lambda _, fitted: partial(_stepped, fitted),
}
