"""FittedModel: the one value that a fit leaves behind, and how it is reached from estimators."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmixed._data.encoder import Encoder
from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.information import Information
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.conjugate_gradients import IterativeFactor
from skmixed._equations.system import System, weight_unit
from skmixed._estimation.fit import Estimate
from skmixed._estimation.solution import Solution
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_memory
from skmixed._fitted.messages import FEW_ROWS, words
from skmixed._folds.calibration import Calibration
from skmixed._generalized.optimum import GeneralizedModel
from skmixed._generalized.rows import GeneralizedRows
from skmixed._model.coding import ModelTerm, terms_of_spec
from skmixed._model.family import FAMILIES, Family
from skmixed._model.terms import Model
from skmixed._repeated.fit import RepeatedModel
from skmixed._repeated.prediction import RepeatedPredictor
from skmixed._repeated.rows import RepeatedRows
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import Lam
from skmixed._uncertainty.relative import Relative


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model: what a fit has learned, and what follows from that.

    The factorization and what else is computed on demand is kept as long as the
    object, and neither copied nor saved with it.

    Attributes
    ----------
    encoder : Encoder
        The columns that the model uses, and the labels of its levels.
    n_rows : int
        Rows that the statistics are of.
    estimate : Estimate
    products : CrossProducts or None
        The statistics; None in a slim copy.
    before : FittedModel or None
        The fit itself, where its effects are of other sums than its own: with the rows that
        `update_groups` was given, or of another response. `encoder` and `products` then have
        the levels and rows of all, around the fit's center; other estimates are the fit's.
    rows : RepeatedRows or None
        Of a model with a residual covariance, its rows; None in a slim copy.
    family_rows : GeneralizedRows or None
        Of a generalized model, its rows; None in a slim copy, and where they were too many.
    calibrations : tuple of Calibration
        Of conformal intervals, if any.
    """

    encoder: Encoder
    n_rows: int
    estimate: Estimate
    products: CrossProducts | None
    before: "FittedModel | None" = None
    rows: RepeatedRows | None = None
    family_rows: GeneralizedRows | None = None
    calibrations: tuple[Calibration, ...] = ()

    @staticmethod
    def of(
        encoder: Encoder,
        products: CrossProducts,
        estimate: Estimate,
        rows: RepeatedRows | None = None,
        repeated: RepeatedModel | None = None,
        family_rows: GeneralizedRows | None = None,
        generalized: GeneralizedModel | None = None,
    ) -> "FittedModel":
        """Return the model of a fit, with its rows and their layout where it has kept them."""
        model = FittedModel(encoder, products.n_rows, estimate, products, None, rows, family_rows)
        laid_out = {"repeated": repeated, "generalized": generalized}
        vars(model).update({k: own for k, own in laid_out.items() if own is not None})
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is computed on demand."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def slim(self) -> "FittedModel":
        """Return the model without its statistics."""
        before = None if self.before is None else self.before.slim()
        estimate, residual = self.estimate, self.solution.residual
        if residual is not None:
            solution = replace(self.solution, residual=replace(residual, log_sizes=None))
            estimate = replace(estimate, solution=solution)
        slim = replace(self, products=None, before=before, rows=None, family_rows=None)
        return replace(slim, estimate=estimate)

    def with_rows(
        self,
        encoder: Encoder,
        products: CrossProducts,
        solution: Solution,
        rows: RepeatedRows | None = None,
        family_rows: GeneralizedRows | None = None,
    ) -> "FittedModel":
        """Return the fit with the levels, sums and effects of all rows, further ones too."""
        estimate = replace(self.at_fit.estimate, solution=solution)
        own = encoder, products.n_rows, estimate, products, self.at_fit
        return FittedModel(*own, rows, family_rows)

    @property
    def at_fit(self) -> "FittedModel":
        """The fit alone, without rows that came after it."""
        return self if self.before is None else self.before

    @property
    def has_further_rows(self) -> bool:
        """Whether rows came after the fit."""
        return self.n_rows > self.at_fit.n_rows

    @property
    def is_slim(self) -> bool:
        return self.products is None

    @property
    def stats(self) -> CrossProducts:
        """The statistics.

        Raises
        ------
        ValueError
            If the model is a slim copy, which has none.
        """
        if self.products is None:
            raise ValueError(
                "The model is a slim copy, which predicts but keeps no statistics for intervals, "
                "for inference or for further rows. Use the estimator that slim() was called on, "
                "or fit again."
            )
        return self.products

    def check_has_statistics(self) -> None:
        """Raise the error of `stats` for a slim copy."""
        _ = self.stats

    @property
    def solution(self) -> Solution:
        return self.estimate.solution

    @property
    def model(self) -> Model:
        return self.encoder.model(reml=self.solution.reml)

    @property
    def is_iterative(self) -> bool:
        """Whether predictions' variances are solved for, as the fit was."""
        return self.before is None and self.estimate.solver == "iterative"

    @property
    def _lam(self) -> Lam:
        return tuple(term.search_lam for term in self.solution.terms)

    @property
    def is_repeated(self) -> bool:
        """Whether the residuals have a covariance of their own."""
        return self.solution.residual is not None

    @property
    def has_correlated_rows(self) -> bool:
        """Whether residuals of the rows of a subject are correlated."""
        return self.encoder.subjects is not None and self.encoder.subjects.is_correlated

    def needs_rows(self, include: Any) -> bool:
        """Whether a prediction is made beside the rows of the fit; a slim copy only if it must."""
        must = self.has_correlated_rows and isinstance(include, str) and include == "all"
        return self.is_repeated and (must or not self.is_slim)

    @property
    def has_fitted_power(self) -> bool:
        """Whether standard deviations of residuals are a power of the fitted values."""
        return self.encoder.subjects is not None and self.encoder.subjects.has_fitted_power

    @property
    def is_generalized(self) -> bool:
        """Whether the response has another distribution than the normal one."""
        return self.solution.family is not None

    @property
    def family(self) -> Family:
        """The distribution of the response of a generalized model."""
        own = self.solution.family
        assert own is not None
        return FAMILIES[own.family, own.link]

    @cached_property
    def generalized(self) -> GeneralizedModel:
        """The rows of a generalized model, laid out at its optimum."""
        return self.generalized_of(self.held_rows)

    @property
    def held_rows(self) -> GeneralizedRows:
        """The rows of a generalized model, where they are in memory."""
        if self.family_rows is None:
            raise ValueError(
                "This needs the rows of the fit. They were too many to hold, and the source that "
                "gave them is not part of a saved copy. Raise max_held_rows in fit_chunks."
            )
        return self.family_rows

    def generalized_of(self, rows: GeneralizedRows) -> GeneralizedModel:
        """Lay out rows that are those of the fit, or as many of them as their weights say."""
        stats, encoder = self.stats, self.encoder
        n_levels = [factor.n_levels for factor in encoder.factors]
        columns = [encoder.factor_columns(k) for k in range(len(n_levels))]
        design = rows.design(self.family, n_levels, columns)
        if self.before is not None:
            return kernel.generalized_with_rows(self.before.generalized, stats, self.model, design)
        return kernel.generalized_model(stats, self.model, design, self.solution)

    @cached_property
    def repeated(self) -> RepeatedModel:
        """The rows of a model with a residual covariance, laid out at its optimum."""
        stats, subjects = self.stats, self.encoder.subjects
        if self.rows is None or subjects is None or not self.is_repeated:
            raise ValueError(FEW_ROWS)
        if self.before is not None:
            before = self.before.repeated
            design = subjects.design(self.rows, like=before.design.residual)
            return kernel.repeated_with_rows(before, design)
        design = subjects.design(self.rows)
        return kernel.repeated_model(stats, self.model, design, self.solution)

    @cached_property
    def repeated_predictor(self) -> RepeatedPredictor:
        """What predicts rows by those of the fit."""
        return RepeatedPredictor(self.repeated)

    @cached_property
    def _laid_out(self) -> tuple[System, Likelihood]:
        assert not self.is_repeated, "its equations are those of the blocks of rows"
        assert not self.is_generalized, "its equations depend on the mode of the effects"
        check_memory(self.encoder, self.stats, self.model)
        like = None if self.before is None else self.before.stats
        return kernel.lay_out(self.stats, self.model, like)

    @property
    def system(self) -> System:
        """The system that the search's coordinates of the terms are those of."""
        return self.repeated.at_zero.system if self.is_repeated else self._laid_out[0]

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood that the fit has maximized."""
        return self.at_fit._laid_out[1]

    @property
    def sigma_squared(self) -> float:
        """The residual variance in the system's unit of weights."""
        return self.solution.sigma**2 / weight_unit(self.at_fit.stats)

    @cached_property
    def of_all_rows(self) -> CholeskyFactor:
        """The factorization of all rows at the optimum, as if β were estimated from all.

        Raises
        ------
        MemoryError
            If it has no room.
        ValueError
            If the model reproduces y, and its equations have no digits left.
        """
        try:
            return kernel.factorize(self._laid_out[0], self._lam)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"The model reproduces {words().response}, and at variances so much larger than "
                "that of the residuals the equations have no digits for standard errors and "
                "intervals. Predictions and effects are there; check that no column determines it."
            ) from error

    @cached_property
    def factorization(self) -> CholeskyFactor:
        """The factorization at the optimum, with β̂, σ and X'V⁻¹X of the fit."""
        own, before = self.of_all_rows, self.before
        return own if before is None else kernel.with_fixed_of(own, before.factorization)

    @cached_property
    def information(self) -> Information:
        """The information on the variance parameters at the optimum, in the search's columns."""
        return kernel.information_at(self.factorization, self.likelihood)

    @cached_property
    def relative(self) -> Relative:
        """The system at the optimum in its own units, for degrees of freedom and errors."""
        return kernel.relative(self.factorization, self.likelihood)

    @cached_property
    def solved(self) -> IterativeFactor:
        """The iterative engine's factor at the optimum."""
        return kernel.solved(self.stats, self.model, self._lam)


def regressor_of(model: Any) -> Any:
    """Return the fitted MixedLinearRegressor, or the one at the end of a Pipeline.

    Raises
    ------
    TypeError
        If there is none.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    last = last_step(model)
    if _has_formula(last):
        check_is_fitted(last)
        last = last.regressor_
    if not hasattr(type(last), "fixed_effects_"):
        raise TypeError(
            f"model is of type {type(last).__name__}. Give a fitted MixedLinearRegressor, such as "
            "the mixed_model_ of a MixedEffectsRegressor, or a Pipeline that ends in one."
        )
    check_is_fitted(last)
    return last


def fitted(model: Any, *, has_family: bool = False) -> FittedModel:
    """Return the fit of an estimator, or of a Pipeline that ends in one.

    `has_family`: whether the caller knows what to do with a generalized model.

    Raises
    ------
    ValueError
        If it is a slim copy, without statistics, or a generalized model.
    """
    return served(model, has_family=has_family).at_fit


def served(model: Any, *, has_family: bool = False) -> FittedModel:
    """Return what an estimator predicts with: the fit, and rows given to `update_groups`.

    With such rows, a row's variance from the factorization is that of a prediction:
    σ²[z'ΛM⁻¹Λ'z + (x − K'z)'(X'V⁻¹X)⁻¹(x − K'z)], with M and K of all rows and X'V⁻¹X
    of the fit's (`effects_update`). Raises what `fitted` does.
    """
    found: FittedModel = regressor_of(model)._model
    if found.is_generalized and not has_family:
        raise no_family()
    found.check_has_statistics()
    return found


def no_family() -> ValueError:
    """Return the error to raise of what is not there for generalized models."""
    return ValueError(
        "What was called is for linear mixed models, not for generalized ones. For these there are "
        "summary, skmixed.inference but for conditional_aic, residuals, overdispersion_test, "
        "leverage, influence, displays, predictions, sample_y and update_groups."
    )


def before_model(model: Any, X: Any) -> tuple[Any, Any]:
    """Take X through the steps of Pipelines; return also the estimator by a formula, or None."""
    while isinstance(model, Pipeline):
        if len(model.steps) > 1:
            X = model[:-1].transform(X)
        model = model.steps[-1][1]
    return X, model if _has_formula(model) else None


def formula_of(model: Any) -> Any:
    """Return the fitted estimator by a formula that a model is or ends in, or None."""
    last = last_step(model)
    return last if _has_formula(last) else None


def formula_terms(model: Any) -> tuple[ModelTerm, ...] | None:
    """Return the terms of the fixed part where a formula says, else None."""
    estimator = formula_of(model)
    if estimator is None:
        return None
    fitted(estimator, has_family=True)  # what is not fitted is told first
    return terms_of_spec((own := estimator._frame.fixed).spec, own.sum.written)


def last_step(model: Any) -> Any:
    """Return an estimator, or the one at the end of a Pipeline."""
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


def _has_formula(estimator: Any) -> bool:
    """Whether an estimator makes columns of its own for the regressor that it holds."""
    return hasattr(type(estimator), "model_matrix")
