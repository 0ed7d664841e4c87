"""What is computed for the packages above the kernel: each function on one BLAS thread.

The one place that limits the threads (`runtime`): a function of the kernel that multiplies
or factors matrices is called by its name here, or in a function that is made of several,
so that threads are limited once for all of them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from skmixed._derivatives import criterion, information
from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.moments import moments
from skmixed._equations import cholesky, selected_inverse
from skmixed._equations.cholesky import CholeskyFactor, zero_lam
from skmixed._equations.conjugate_gradients import CoreOperator, IterativeFactor
from skmixed._equations.layout import DesignRows
from skmixed._equations.row_substitution import RowSolver, RowVariance
from skmixed._equations.system import System, assemble
from skmixed._estimation import fit, multistart
from skmixed._estimation.fit import Estimate
from skmixed._estimation.probed_objective import FINAL_TOL
from skmixed._estimation.solution import Solution, centered_to_user, solve
from skmixed._estimation.start import moment_start
from skmixed._fitted.runtime import single_threaded_blas
from skmixed._folds import (
    estimates_of_folds,
    few_folds,
    held_theta,
    predictions,
    selection,
    whole_groups,
)
from skmixed._folds.calibration import Calibration
from skmixed._folds.deletion import FoldSolutions
from skmixed._folds.predictions import FoldPredictor
from skmixed._folds.products import FoldPart
from skmixed._folds.totals import FoldTotals
from skmixed._generalized import draws as _generalized_draws
from skmixed._generalized import fit as _generalized_fit
from skmixed._generalized import optimum as _generalized_optimum
from skmixed._generalized.optimum import GeneralizedModel
from skmixed._generalized.profile import GeneralizedProfiler
from skmixed._model.terms import Model
from skmixed._repeated import coordinates
from skmixed._repeated import fit as _repeated_fit
from skmixed._repeated import small_sample as _repeated_sample
from skmixed._repeated.derivatives import RepeatedInformation
from skmixed._repeated.likelihood import RepeatedFactor
from skmixed._repeated.prediction import RepeatedPredictor
from skmixed._repeated.rows import RepeatedDesign
from skmixed._repeated.small_sample import REPEATED_SAMPLES, RobustSample
from skmixed._statistics import accumulator, frame
from skmixed._statistics.accumulator import Accumulator
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._statistics.estimability import Dependence
from skmixed._typing import FloatArray, IntArray, Lam
from skmixed._uncertainty import components as _components
from skmixed._uncertainty import draws, effects_update, prediction_variance, targets
from skmixed._uncertainty import hypotheses as _hypotheses
from skmixed._uncertainty.draws import Simulator
from skmixed._uncertainty.fitted_values import FittedValues
from skmixed._uncertainty.prediction_variance import PredictedRows
from skmixed._uncertainty.profile import Profiler
from skmixed._uncertainty.relative import Relative
from skmixed._uncertainty.small_sample import SmallSample
from skmixed._uncertainty.targets import ProfiledModel
from skmixed.exceptions import FitStatus

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# Steps of conjugate gradients at most, where a fit has needed fewer.
SOLVER_STEPS = 1000


def _on_one_thread(function: Callable[P, T]) -> Callable[P, T]:
    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        with single_threaded_blas():
            return function(*args, **kwargs)

    return limited


# Generalized models.
fit_generalized = _on_one_thread(_generalized_fit.fit_generalized)
generalized_model = _on_one_thread(GeneralizedModel.of)
generalized_with_rows = _on_one_thread(GeneralizedModel.with_rows)
generalized_effects = _on_one_thread(GeneralizedModel.with_effects)
refit_generalized = _on_one_thread(GeneralizedModel.refitted)
refit_to_draw = _on_one_thread(_generalized_draws.refit_to_draw)
estimate_slopes = _on_one_thread(_generalized_optimum.EstimateSlopes.of)
generalized_components = _on_one_thread(lambda own: own.components)
working_model = _on_one_thread(lambda own: own.working)
search_end = _on_one_thread(_generalized_optimum.SearchEnd.of)
generalized_deviation = _on_one_thread(_generalized_draws.generalized_deviation)
# Models with a covariance of the residuals.
fit_repeated = _on_one_thread(_repeated_fit.fit_repeated)
repeated_model = _on_one_thread(_repeated_fit.RepeatedModel.of)
repeated_with_rows = _on_one_thread(_repeated_fit.RepeatedModel.with_rows)
repeated_effects = _on_one_thread(_repeated_fit.RepeatedModel.with_effects)
rows_in_frame = _on_one_thread(coordinates.rows_in_frame)
correction = _on_one_thread(RepeatedPredictor.correction)
left_out = _on_one_thread(RepeatedPredictor.left_out)
normalized = _on_one_thread(RepeatedPredictor.normalized)
residual_sampler = _on_one_thread(RepeatedPredictor.residual_sampler)
refit_drawn = _on_one_thread(_repeated_fit.refit_drawn)
repeated_deviation = _on_one_thread(_repeated_fit.repeated_deviation)
repeated_variance = _on_one_thread(RepeatedPredictor.variance)


@_on_one_thread
def refit_repeated(
    stats: CrossProducts, model: Model, design: RepeatedDesign, *, tol: float, max_iter: int
) -> Estimate:
    """Fit a model with a residual covariance to the rows of another fit."""
    given = fit.examined(stats, model)
    found = _repeated_fit.fit_repeated(given, stats.center, design, tol=tol, max_iter=max_iter)
    return found[0]


robust_sample = _on_one_thread(_repeated_sample.robust_sample)
cluster_influence = _on_one_thread(_repeated_sample.cluster_influence)
row_influence = _on_one_thread(RepeatedPredictor.influence)
effect_covariances = _on_one_thread(_repeated_sample.effect_covariances)
repeated_components = _on_one_thread(_repeated_sample.repeated_components)


@_on_one_thread
def repeated_information(factor: RepeatedFactor) -> RepeatedInformation:
    """Return the derivatives at an optimum, computed."""
    info = RepeatedInformation.of(factor)
    _ = info.errors
    return info


@_on_one_thread
def repeated_sample(method: str, model: _repeated_fit.RepeatedModel) -> SmallSample:
    """Return what degrees of freedom are made of, by the name of the method."""
    return REPEATED_SAMPLES[method](model)


# From rows to statistics.
accumulate = _on_one_thread(accumulator.accumulate)
dependence = _on_one_thread(Dependence.of)
residuals = _on_one_thread(frame.residuals)


@_on_one_thread
def add_rows(sums: Accumulator, design: Design, *, is_last: bool) -> None:
    """Take in rows; the last ones need not be copied."""
    (sums.add_last if is_last else sums.add)(design)


@_on_one_thread
def products_of(sums: Accumulator) -> CrossProducts:
    """Return the products of all rows taken in."""
    return sums.products()


@_on_one_thread
def with_rows(
    stats: CrossProducts, design: Design, places: Sequence[IntArray], n_levels: Sequence[int]
) -> CrossProducts:
    """Return the products with those of further rows, in the frame that they are in."""
    further = accumulator.accumulate(design).in_frame_of(stats).aligned(places, n_levels)
    return (stats + further).in_frame_of(stats)


@_on_one_thread
def deviating(own: Dependence, values: FloatArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return rows of X that the data may not determine, and in which dropped columns, (k, d)."""
    suspects = own.suspects(values)
    ones = np.ones((len(suspects), int(own.has_intercept)))
    return suspects, own.deviates(np.column_stack([ones, values[suspects]]))


@_on_one_thread
def deviating_columns(
    own: Dependence, stats: CrossProducts, fixed: Sequence[int]
) -> NDArray[np.bool_]:
    """Return the dropped columns in which rows that were summed up deviate, (d,)."""
    return own.deviate_somewhere(stats.factor_around(np.zeros_like(stats.center))[:, list(fixed)])


# From statistics to estimates.
examined = _on_one_thread(fit.examined)
fit_system = _on_one_thread(fit.fit_system)
estimate_at_zero = _on_one_thread(fit.estimate_at_zero)
estimate_at = _on_one_thread(held_theta.estimate_at)
estimate_after_step = _on_one_thread(held_theta.estimate_after_step)
fold_part = _on_one_thread(FoldPart.of)
fold_totals = _on_one_thread(FoldTotals.of)
totals_with_all_rows = _on_one_thread(FoldTotals.with_all_rows)
without_fold = _on_one_thread(FoldTotals.without)
fold_predictor = _on_one_thread(FoldPredictor.of)
fold_means = _on_one_thread(FoldPredictor.mean)
fold_deviations = _on_one_thread(FoldPredictor.deviations)
are_many_folds = _on_one_thread(whole_groups.are_many_folds)
whole_groups_of = _on_one_thread(whole_groups.whole_groups_of)
estimate_folds = _on_one_thread(estimates_of_folds.estimate_folds)
fold_solutions = _on_one_thread(FoldSolutions.of)
level_parts = _on_one_thread(few_folds.level_parts)
search_all = _on_one_thread(few_folds.search_all)
may_search_each = _on_one_thread(few_folds.may_search_each)
search_each = _on_one_thread(few_folds.search_each)
squares_of_folds = _on_one_thread(predictions.squares_of_folds)


squares_around = _on_one_thread(predictions.squares_around)
of_levels = _on_one_thread(selection.of_levels)
of_columns = _on_one_thread(selection.of_columns)
updated = _on_one_thread(effects_update.updated)


@_on_one_thread
def fit_products(stats: CrossProducts, model: Model, *, tol: float, max_iter: int) -> Estimate:
    """Fit a model whose findings need no check."""
    return fit.fit_system(fit.examined(stats, model), tol=tol, max_iter=max_iter)


@_on_one_thread
def refit(
    system: System, likelihood: Likelihood, model: Model, *, tol: float, max_iter: int
) -> tuple[Solution, FitStatus]:
    """Fit a model to a system of a drawn response, from the moments of the draw."""
    at_zero = cholesky.factorize(system, zero_lam(system))
    start = moment_start(at_zero, likelihood, moments(at_zero)) if model.terms else ()
    search = multistart.multistart(at_zero, likelihood, start, tol=tol, max_iter=max_iter)
    return solve(search.factor, likelihood, model), search.status


@_on_one_thread
def lowest(system: System, likelihood: Likelihood, *, tol: float, max_iter: int) -> float:
    """Return the lowest criterion that searches from several starts end at."""
    at_zero = cholesky.factorize(system, zero_lam(system))
    start = moment_start(at_zero, likelihood, moments(at_zero))
    return multistart.lowest(at_zero, likelihood, start, tol=tol, max_iter=max_iter)


# At the optimum.
lay_out = _on_one_thread(criterion.lay_out)
factorize = _on_one_thread(cholesky.factorize)
with_fixed_of = _on_one_thread(CholeskyFactor.with_fixed_of)
information_at = _on_one_thread(information.information)
relative = _on_one_thread(Relative.of)
components = _on_one_thread(_components.components)
total_variance = _on_one_thread(_components.total_variance)
fitted_values = _on_one_thread(FittedValues.of)
level_covariances = _on_one_thread(selected_inverse.level_covariances)


@_on_one_thread
def solved(stats: CrossProducts, model: Model, lam: Lam) -> IterativeFactor:
    """Return the iterative engine's factor at Λ."""
    system, _ = assemble(stats, model, is_sparse=True)
    operator = CoreOperator.of(system, lam)
    return IterativeFactor.of(operator, tol=FINAL_TOL, max_iter=SOLVER_STEPS, start=None)


@_on_one_thread
def small_sample(
    method: Callable[[Relative], SmallSample], at: Relative, system: System, model: Model
) -> SmallSample:
    """Return what degrees of freedom are made of, in the user's columns."""
    to_user, _ = centered_to_user(system, model)
    return method(at).in_columns(to_user)


@_on_one_thread
def df(sample: SmallSample | RobustSample, rows: FloatArray) -> FloatArray:
    """Return the degrees of freedom of the t test of each row of LF, (k, p) to (k,)."""
    return sample.df(rows)


@_on_one_thread
def joint_df(
    method: Callable[[Any, FloatArray], tuple[float, float]],
    sample: SmallSample | RobustSample,
    rows: FloatArray,
) -> tuple[float, float]:
    """Return the degrees of freedom of the F test of the rows of LF, and the scale of F."""
    return method(sample, rows)


# Of rows.
mean_variance = _on_one_thread(prediction_variance.mean_variance)


@_on_one_thread
def solved_mean_variance(at: IterativeFactor, rows: PredictedRows) -> FloatArray:
    """Return what `mean_variance` does, by a solve for each row."""
    known = prediction_variance.solved_variance(
        at, rows.design, tol=FINAL_TOL, max_iter=SOLVER_STEPS
    )
    return prediction_variance.with_new_levels(at, known, rows)


@_on_one_thread
def prediction_df(
    at: Relative, system: System, rows: PredictedRows, variance: FloatArray, *, is_updated: bool
) -> FloatArray:
    """Return Satterthwaite's degrees of freedom of rows' variances, (n,).

    `system` are of all rows, and `is_updated` if they are more than those of the fit.
    """
    rows = rows.in_units(at.units, system)
    all_rows = at.factorization
    if is_updated:
        all_rows = at.units.factorize(system)
        slopes = prediction_variance.updated_slopes(at.factorization, all_rows, rows.design)
    else:
        slopes = at.row_slopes().of_rows(rows.design)
    return prediction_variance.prediction_df(all_rows, rows, variance, at.information, slopes)


@_on_one_thread
def row_variance(at: CholeskyFactor, rows: DesignRows) -> RowVariance:
    """Return the variance of each row's prediction, relative to σ²."""
    return RowSolver.of(at).variance(rows)


@_on_one_thread
def fixed_changes(at: CholeskyFactor, model: Model, at_fixed: FloatArray) -> FloatArray:
    """Return a'R_x⁻¹ in the user's columns for rows a of `RowVariance.at_fixed`, (p, n)."""
    to_user, _ = centered_to_user(at.system, model)
    return np.asarray(at_fixed @ at.fixed.half_solve(to_user.T)).T


# Inference and draws.
conformal_interval = _on_one_thread(Calibration.interval)
with_scores = _on_one_thread(Calibration.with_scores)
put_all_folds = _on_one_thread(Calibration.put_all)
root_of_rows = _on_one_thread(_hypotheses.root_of_rows)
root_of_information = _on_one_thread(_hypotheses.root_of_information)
hypotheses = _on_one_thread(_hypotheses.hypotheses)
deletions = _on_one_thread(_hypotheses.deletions)
interval = _on_one_thread(targets.interval)
simulator = _on_one_thread(Simulator.of)
draw_deviation = _on_one_thread(draws.draw_deviation)


@_on_one_thread
def drawn_system(own: Simulator, rng: np.random.Generator) -> tuple[System, Likelihood]:
    """Draw the system of a response, and its likelihood."""
    return own.draw(rng)


@_on_one_thread
def times_lam(lam: FloatArray, spherical: FloatArray) -> FloatArray:
    """Return λu of each level, (s, q), from u, (q, s)."""
    return np.asarray(lam @ spherical.T)


@_on_one_thread
def profiles(
    stats: CrossProducts, model: Model, rows: Iterable[R], trace: Callable[[ProfiledModel, R], T]
) -> list[T]:
    """Return what `trace` reads off the likelihood's profile of each parameter."""
    profiler = Profiler.of(stats, model)
    return [trace(profiler, row) for row in rows]


@_on_one_thread
def generalized_profiles(
    fitted: GeneralizedModel, rows: Iterable[R], trace: Callable[[ProfiledModel, R], T]
) -> list[T]:
    """Return what `profiles` does, of a generalized model."""
    profiler = GeneralizedProfiler.of(fitted)
    return [trace(profiler, row) for row in rows]
