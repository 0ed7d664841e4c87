"""A fitted estimator as the statistics after the fit see it.

What predictions are made with: a fit, or a fit and rows given to it afterwards.

What is left of the statistics in a copy that predicts and no more.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmixed._data.encoder import Encoder
from skmixed._derivatives.probing import FixedSolution
from skmixed._equations.cholesky import Factorization, factorize
from skmixed._equations.krylov import System
from skmixed._equations.system import assemble
from skmixed._estimation.fit import Estimate
from skmixed._estimation.probed_search import FINAL_TOL
from skmixed._estimation.solution import Solution
from skmixed._fitted.checks import check_memory
from skmixed._model.coding import ModelTerm, terms_of_spec
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._uncertainty.effects_update import with_fixed_of


@dataclass(frozen=True)
class DroppedStatistics:
    """Stands for the statistics of a slim copy.

    Attributes
    ----------
    n_rows : int
    """

    n_rows: int


def check_has_statistics(estimator: Any) -> CrossProducts:
    """Return the statistics of a fitted estimator; refuse a slim copy.

    Raises
    ------
    ValueError
        If it is one.
    """
    if isinstance(estimator._stats, DroppedStatistics):
        raise ValueError(
            "The model is a slim copy, which predicts but keeps no statistics for intervals, for "
            "inference or for further rows. Use the estimator that slim() was called on, or fit "
            "again."
        )
    stats: CrossProducts = estimator._stats
    return stats


@dataclass(frozen=True)
class PredictionState:
    """A fit with the effects that rows given to `update_groups` have changed.

    Attributes
    ----------
    encoder : Encoder
        Its factors have the fit's levels, and new ones behind them.
    stats : CrossProducts or Dropped
        Of the fit's rows and the further ones, around the fit's center.
    solution : Solution
        The fit's, but for the effects.
    """

    encoder: Encoder
    stats: CrossProducts | DroppedStatistics
    solution: Solution


def serving_of(estimator: Any) -> PredictionState:
    """Return what a fitted estimator predicts with."""
    updated: PredictionState | None = vars(estimator).get("_updated")
    if updated is not None:
        return updated
    return PredictionState(estimator._encoder, estimator._stats, estimator._estimate.solution)


# Steps of conjugate gradients at most, where a fit has needed fewer.
SOLVER_STEPS = 1000


@dataclass(frozen=True)
class FittedModel:
    """The parts of a fitted estimator that its statistics are read from."""

    encoder: Encoder
    stats: CrossProducts
    estimate: Estimate

    @property
    def solution(self) -> Solution:
        return self.estimate.solution

    @property
    def model(self) -> Model:
        return self.encoder.model(reml=self.solution.reml)

    @property
    def at_fit(self) -> "FittedModel":
        """The fit alone, without rows that came after it."""
        return self

    @cached_property
    def factorization(self) -> Factorization:
        """The factorization at the optimum; a MemoryError where it has no room."""
        check_memory(self.encoder, self.stats, self.model)
        lam = tuple(term.search_lam for term in self.solution.terms)
        return factorize(assemble(self.stats, self.model), lam)

    @property
    def is_iterative(self) -> bool:
        """Whether predictions' variances are solved for, as the fit was."""
        return self.estimate.solver == "iterative"

    @cached_property
    def solved(self) -> FixedSolution:
        """The iterative engine's solution at the optimum."""
        lam = tuple(term.search_lam for term in self.solution.terms)
        system = System.of(assemble(self.stats, self.model, is_sparse=True), lam)
        return FixedSolution.of(system, tol=FINAL_TOL, max_iter=SOLVER_STEPS, start=None)


@dataclass(frozen=True)
class UpdatedModel(FittedModel):
    """A fit with rows that were given to `update_groups`.

    `encoder` and `stats` have the levels and rows of both; the estimates are the
    fit's, but for the random effects.
    """

    before: FittedModel

    @property
    def is_iterative(self) -> bool:
        return False

    @property
    def at_fit(self) -> FittedModel:
        return self.before

    @cached_property
    def of_all_rows(self) -> Factorization:
        """The factorization of all rows, as if β were estimated from all."""
        check_memory(self.encoder, self.stats, self.model)
        blocks = assemble(self.stats, self.model, like=self.at_fit.stats)
        return factorize(blocks, tuple(term.search_lam for term in self.solution.terms))

    @cached_property
    def factorization(self) -> Factorization:
        """The factorization of all rows, with β̂, σ and X'V⁻¹X of the fit."""
        return with_fixed_of(self.at_fit.factorization, self.of_all_rows)


def regressor_of(model: Any) -> Any:
    """Return the fitted MixedLinearRegressor, or the one at the end of a Pipeline.

    Raises
    ------
    TypeError
        If there is none.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    last = _last_step(model)
    if _has_formula(last):
        check_is_fitted(last)
        last = last.regressor_
    if not hasattr(type(last), "fixed_effects_"):
        raise TypeError(
            f"model is of type {type(last).__name__}. Give a fitted MixedLinearRegressor, or a "
            "Pipeline that ends in one."
        )
    check_is_fitted(last)
    return last


def fitted(model: Any) -> FittedModel:
    """Open a fitted estimator, or a Pipeline that ends in one.

    Raises
    ------
    ValueError
        If it is a slim copy, without statistics.
    """
    last = regressor_of(model)
    return FittedModel(last._encoder, check_has_statistics(last), last._estimate)


def served(model: Any) -> FittedModel:
    """Open what an estimator predicts with: the fit, or an `UpdatedModel` one.

    With rows given to `update_groups`, a row's variance from the factorization is
    that of a prediction: σ²[z'ΛM⁻¹Λ'z + (x − K'z)'(X'V⁻¹X)⁻¹(x − K'z)], with M and K
    of all rows and X'V⁻¹X of the fit's (`effects_update`).
    """
    last, at_fit = regressor_of(model), fitted(model)
    now = serving_of(last)
    if now.stats is at_fit.stats:
        return at_fit
    estimate = replace(at_fit.estimate, solution=now.solution)
    # A slim copy, which has no statistics, was refused with those of the fit.
    return UpdatedModel(now.encoder, cast(CrossProducts, now.stats), estimate, at_fit)


def before_model(model: Any, X: Any) -> tuple[Any, Any]:
    """Take X through the steps of Pipelines; return also the estimator by a formula, or None."""
    while isinstance(model, Pipeline):
        if len(model.steps) > 1:
            X = model[:-1].transform(X)
        model = model.steps[-1][1]
    return X, model if _has_formula(model) else None


def formula_of(model: Any) -> Any:
    """Return the fitted estimator by a formula that a model is or ends in, or None."""
    last = _last_step(model)
    return last if _has_formula(last) else None


def formula_terms(model: Any) -> tuple[ModelTerm, ...] | None:
    """Return the terms of the fixed part where a formula says, else None."""
    last = _last_step(model)
    if not _has_formula(last):
        return None
    fixed = last._frame.fixed
    return terms_of_spec(fixed.spec, fixed.sum.written)


def _last_step(model: Any) -> Any:
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


def _has_formula(estimator: Any) -> bool:
    """Whether an estimator makes columns of its own for the regressor that it holds."""
    return hasattr(type(estimator), "model_matrix")
