"""The parametric bootstrap: refits to responses drawn from the fitted model."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from skmixed._estimation.solution import Solution
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_draws, check_jobs
from skmixed._fitted.fitted_model import FittedModel, fitted, regressor_of
from skmixed._fitted.runtime import seed_sequence
from skmixed._generalized.optimum import GeneralizedModel
from skmixed._model.terms import Model
from skmixed._repeated.fit import RepeatedModel
from skmixed._typing import FloatArray
from skmixed._uncertainty.draws import Simulator
from skmixed.exceptions import FitStatus, warn
from skmixed.inference._progress import progress

# Tasks for the workers at most, and updates of the progress bar. The products
# are handed over once a task, so that a task is many samples.
MAX_TASKS = 100
# Numbers in whose memory a seed of NumPy fits.
SEED = 64


@dataclass(frozen=True)
class Resamples:
    """Estimates from responses drawn from a fitted model, on the user's scale.

    Attributes
    ----------
    fixed : (n_samples, len(model.fixed)) array
        Fixed effects in the model's order; 0 for dropped columns.
    covariances : tuple of (n_samples, s, s) arrays
        σ²λλ' of each term, in the model's order.
    sigma : (n_samples,) array
        Residual standard deviation.
    residual : (n_samples, h, d) array or None
        The parameters of a covariance of the residuals, stratum by stratum.
    shape : (n_samples,) array or None
        The shape of a distribution that has one.
    converged : (n_samples,) array of bool
    """

    fixed: FloatArray
    covariances: tuple[FloatArray, ...]
    sigma: FloatArray
    residual: FloatArray | None
    shape: FloatArray | None
    converged: NDArray[np.bool_]


@dataclass(frozen=True)
class _Refit:
    solution: Solution
    converged: bool

    @property
    def covariances(self) -> tuple[FloatArray, ...]:
        scaled = [self.solution.sigma * term.lam for term in self.solution.terms]
        return tuple(lam @ lam.T for lam in scaled)


class _Task(Protocol):
    """What every sample is made with."""

    def refit(self, rng: np.random.Generator) -> _Refit:
        """Fit the model to a draw."""


@dataclass(frozen=True)
class _OfProducts:
    """A model of which draws are cross-products."""

    simulator: Simulator
    model: Model
    tol: float
    max_iter: int

    def refit(self, rng: np.random.Generator) -> _Refit:
        """Fit the model to a draw, as `estimate` does.

        From the moments of the draw and not from the Λ that it was drawn with: in
        balanced designs the search then takes one step instead of four.
        """
        system, likelihood = kernel.drawn_system(self.simulator, rng)
        solution, status = kernel.refit(
            system, likelihood, self.model, tol=self.tol, max_iter=self.max_iter
        )
        return _Refit(solution, status is not FitStatus.MAX_ITER)


@dataclass(frozen=True)
class _OfRows:
    """A model with a residual covariance, of which draws are responses of the rows."""

    model: RepeatedModel
    tol: float
    max_iter: int

    def refit(self, rng: np.random.Generator) -> _Refit:
        solution, status = kernel.refit_drawn(self.model, rng, tol=self.tol, max_iter=self.max_iter)
        return _Refit(solution, status is not FitStatus.MAX_ITER)


@dataclass(frozen=True)
class _OfDistribution:
    """A generalized model, of which draws are responses of the rows."""

    model: GeneralizedModel
    tol: float
    max_iter: int

    def refit(self, rng: np.random.Generator) -> _Refit:
        solution, status = kernel.refit_to_draw(
            self.model, rng, tol=self.tol, max_iter=self.max_iter
        )
        return _Refit(solution, status is not FitStatus.MAX_ITER)


def _task(view: FittedModel, tol: float, max_iter: int) -> _Task:
    """Return what refits a model."""
    if view.is_generalized:
        return _OfDistribution(_of_single_rows(view), tol, max_iter)
    if view.is_repeated:
        return _OfRows(view.repeated, tol, max_iter)
    simulator = kernel.simulator(view.factorization, view.likelihood)
    return _OfProducts(simulator, view.model, tol, max_iter)


def _of_single_rows(view: FittedModel) -> GeneralizedModel:
    """Return a generalized model with each row as often as its weight says, where that matters.

    Counts and proportions of equal rows add up, and responses of other distributions do not.
    """
    rows = view.held_rows
    if rows.weights is None or (rows.weights == 1.0).all():
        return view.generalized
    is_whole = rows.weights == np.rint(rows.weights)
    if not is_whole.all():
        first = rows.weights[np.argmin(is_whole)]
        raise ValueError(
            "The bootstrap draws each row as often as its weight says, and a weight of the fit is "
            f"{first:g}. Fit with whole weights, or use method='profile'."
        )
    return view.generalized_of(rows.repeated()) if view.family.has_dispersion else view.generalized


def bootstrap(
    model: Any,
    n_samples: int,
    *,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Resamples:
    """Refit a fitted model to `n_samples` responses drawn from it.

    The responses are y* = Xβ̂ + Zb* + ε* at the estimates of β, Λ and σ, or the residuals'
    covariance, as lme4's bootMer draws them by default. Sample i depends on `random_state`
    and i alone, whatever `n_jobs` is.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted MixedLinearRegressor or generalized model, or a Pipeline that ends in
        one; its `tol`
        and `max_iter` are the refits'.
    n_samples : int
    random_state : int, RandomState, Generator or None
        As in scikit-learn; a Generator, too, is moved on.
    n_jobs : int or None
        The number of processes, as in scikit-learn.
    verbose : bool
        Whether to show a progress bar, with tqdm.

    Returns
    -------
    Resamples
        Those that did not converge included.

    Raises
    ------
    ImportError
        If `verbose` and tqdm is not installed.
    TypeError, ValueError
        If a parameter is not as above.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If some refits did not converge.
    """
    if n_jobs is not None:
        check_jobs(n_jobs)
    regressor, parts = regressor_of(model), fitted(model, has_family=True)
    check_draws(n_samples, SEED + len(parts.encoder.fixed) + len(parts.solution.theta))
    seeds = seed_sequence(random_state).spawn(n_samples)
    run = _runner(n_jobs)
    refits: list[_Refit] = []
    with progress(n_samples, "bootstrap", "sample", verbose=verbose) as advance:
        task = _task(parts, regressor.tol, regressor.max_iter)
        size = -(-n_samples // MAX_TASKS)
        batches = (seeds[start : start + size] for start in range(0, n_samples, size))
        for batch in run(delayed(_refit_batch)(task, batch) for batch in batches):
            refits += batch
            advance(len(batch))
    _warn_unless_converged(refits, regressor.max_iter)
    return _stacked(refits)


def _runner(n_jobs: int | None) -> Parallel:
    """Return what runs the batches, one result after the other where joblib's backend can."""
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # "multiprocessing" returns all at the end
        return Parallel(n_jobs=n_jobs)


def _refit_batch(task: _Task, seeds: list[np.random.SeedSequence]) -> list[_Refit]:
    return [task.refit(np.random.default_rng(seed)) for seed in seeds]


def _stacked(refits: list[_Refit]) -> Resamples:
    terms = zip(*(refit.covariances for refit in refits), strict=True)
    solutions = [refit.solution for refit in refits]
    shapes = [np.exp(own.family.phi) for own in solutions if own.family is not None]
    phi = [own.residual.phi for own in solutions if own.residual is not None]
    return Resamples(
        fixed=np.stack([own.fixed for own in solutions]),
        covariances=tuple(np.stack(term) for term in terms),
        sigma=np.array([own.sigma for own in solutions]),
        residual=np.stack(phi) if phi else None,
        shape=np.array(shapes) if shapes else None,
        converged=np.array([refit.converged for refit in refits]),
    )


def _warn_unless_converged(refits: list[_Refit], max_iter: int) -> None:
    n = sum(not refit.converged for refit in refits)
    if n:
        warn(
            f"{n} of {len(refits)} refits of the bootstrap stopped at max_iter={max_iter} before "
            "they converged. Increase max_iter in the estimator and fit it again.",
            ConvergenceWarning,
        )
