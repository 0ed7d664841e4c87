"""The rows of the random effects: laid out once, for one response after the other."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmixed._data.table import Table
from skmixed._estimation.fit import Estimate
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_memory
from skmixed._fitted.fitting import check_determined, estimate_from, fit_statistics, specification
from skmixed._fitted.reader import Intake
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._statistics.design import Design
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class EffectRows:
    """Rows with their levels and slopes, which each new response finds in place.

    Attributes
    ----------
    mixed : MixedLinearRegressor
        Whose parameters say what the random effects are; fitted by `fit` alone.
    given : SufficientStatistics
        Of the rows with the first response.
    design : Design
        Rows of positive weight.
    counted : (n_counted,) array of int
        Which rows of X those are.
    n_rows : int
        Rows of X.
    """

    mixed: Any
    given: SufficientStatistics
    design: Design
    counted: IntArray
    n_rows: int

    @staticmethod
    def of(
        mixed: Any, table: Table, response: FloatArray, weights: FloatArray | None, groups: Any
    ) -> "EffectRows":
        """Lay out the rows of X.

        Raises
        ------
        ValueError
            If they have no labels, or no weight.
        """
        intake = Intake(specification(mixed), type(mixed).__name__)
        design = intake.take(table, response, weights, groups, is_last=True)
        if design is None:
            raise ValueError("There are no rows of positive weight.")
        given = intake.statistics()
        is_counted = np.ones(table.n_rows, dtype=bool) if weights is None else weights > 0
        return EffectRows(mixed, given, design, np.flatnonzero(is_counted), table.n_rows)

    def statistics(self, response: FloatArray) -> SufficientStatistics:
        """Return the statistics of the rows with another response, (n,)."""
        design = self.design.with_responses(np.ascontiguousarray(response[self.counted]))
        return replace(self.given, products=kernel.accumulate(design))

    def estimate(self, response: FloatArray, before: Estimate | None) -> Estimate:
        """Return estimates for another response, (n,), from those for one before it."""
        given = self.statistics(response)
        return fit_statistics(self.mixed, given, before=before, may_wait=False, is_again=True)[0]

    def fit(self, response: FloatArray) -> None:
        """Fit `mixed` to a response, (n,), and say what there is to say."""
        estimate_from(self.mixed, self.statistics(response))

    def check(self) -> None:
        """Refuse rows that do not determine the variances."""
        check_determined(self.mixed, self.given)

    def check_memory(self) -> None:
        """Refuse what `predict_effects` has no room for: it factorizes the equations."""
        encoder, method = self.given.encoder, self.mixed.method
        check_memory(encoder, self.given.products, encoder.model(reml=method == "reml"))

    def predict_effects(self, response: FloatArray) -> None:
        """Take other effects into the fitted `mixed`: those that a response, (n,), gives.

        The variances and the intercept stay.
        """
        fit = self.mixed._model
        stats = self.statistics(response).products.in_frame_of(fit.stats)
        solution = kernel.updated(fit.solution, fit.model, fit.stats, stats)
        self.mixed._model = fit.with_rows(fit.encoder, stats, solution)

    def effects(self, estimate: Estimate, without: Collection[int] = frozenset()) -> FloatArray:
        """Return Zb̂ of all factors but some, (n,); 0 for rows of weight 0."""
        own = np.zeros(self.design.n_rows)
        terms = zip(self.given.encoder.terms, estimate.solution.terms, strict=True)
        for term, found in terms:
            if term.factor in without:
                continue
            codes = self.design.factors[term.factor].codes
            for b, column in zip(found.effects, term.columns, strict=True):
                own += b[codes] * (self.design.columns[column - 1] if column else 1.0)
        out = np.zeros(self.n_rows)
        out[self.counted] = own
        return out
