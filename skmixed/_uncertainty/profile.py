"""Linear models with a quantity held at a value: the likelihood is maximized over the rest."""

from dataclasses import dataclass, field, replace

import numpy as np

from skmixed._derivatives.criterion import Likelihood, lay_out
from skmixed._derivatives.information import information
from skmixed._derivatives.objectives import BlockedObjective, LocalModel
from skmixed._derivatives.pinned import (
    PinnedCorrelation,
    PinnedSd,
    PinnedSigma,
    Profiled,
)
from skmixed._equations.changes import with_pinned_effect, with_structure
from skmixed._equations.cholesky import CholeskyFactor, factorize, zero_lam
from skmixed._equations.system import System
from skmixed._estimation.fit import examined, fit_system, search_system
from skmixed._estimation.multistart import may_have_others, thorough_search
from skmixed._estimation.runs import Runs, is_lower
from skmixed._estimation.solution import Solution, centered_to_user, solve
from skmixed._model.covariance import Covariance
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.components import Components, components, sd_ratio
from skmixed._uncertainty.relative import Relative
from skmixed._uncertainty.small_sample import unscaled_covariance
from skmixed._uncertainty.targets import (
    Held,
    ModelTarget,
    ProfilePath,
    Target,
    without_coefficient,
)

# What a search under a constraint may leave to gain: 1e-9 of a width.
TOLERANCE, MAX_ITER = 1e-8, 200


@dataclass
class Profiler:
    """The maximum-likelihood fit that profiles start from.

    Attributes
    ----------
    stats, model : CrossProducts, Model
        The model by ML.
    solution : Solution
    factorization : CholeskyFactor
    likelihood : Likelihood
    errors : Components
        For first guesses of the ends.
    is_doubtful : bool
        Whether there may be other optima once a quantity is held.
    is_thorough : bool
        Whether each search is from several starts.
    """

    stats: CrossProducts
    model: Model
    solution: Solution
    factorization: CholeskyFactor
    likelihood: Likelihood
    errors: Components
    is_doubtful: bool
    is_thorough: bool = False
    _without: dict[tuple[int, int], float] = field(default_factory=dict)

    @staticmethod
    def of(stats: CrossProducts, model: Model) -> "Profiler":
        model = replace(model, reml=False)
        examined_system = examined(stats, model)
        found = search_system(examined_system, tol=TOLERANCE, max_iter=MAX_ITER)
        solution = solve(found.factor, examined_system.likelihood, model)
        lam = tuple(t.search_lam for t in solution.terms)
        system, likelihood = lay_out(stats, model)
        factorization = factorize(system, lam)
        errors = components(Relative.of(factorization, likelihood))
        is_doubtful = may_have_others(system, found)
        return Profiler(stats, model, solution, factorization, likelihood, errors, is_doubtful)

    @property
    def system(self) -> System:
        return self.factorization.system

    @property
    def deviance(self) -> float:
        return self.solution.criterion

    @property
    def lam(self) -> Lam:
        """Λ in the search's coordinates, in which the columns' digits are kept."""
        return self.factorization.lam

    def without(self, term: int, column: int) -> float:
        """Return the least deviance of the model in which one coefficient does not vary."""
        if (term, column) not in self._without:
            model = without_coefficient(self.model, term, column)
            self._without[term, column] = _fit(self.stats, model).criterion
        return self._without[term, column]

    @property
    def n_fixed(self) -> int:
        return len(self.solution.kept)

    @property
    def is_unchecked(self) -> bool:
        return self.is_doubtful and not self.is_thorough

    def thorough(self) -> "Profiler":
        return replace(self, is_thorough=True)

    def structure(self, term: int) -> Covariance:
        return self.model.terms[term].structure

    def to_user(self, term: int) -> FloatArray:
        return self.system.terms[term][1].to_user

    def n_levels(self, term: int) -> int:
        return self.system.terms[term][0].n_levels

    def hold_sd(self, value: float, term: int, row: FloatArray, starts: list[Lam]) -> Held:
        model = PinnedSd(self.likelihood, value, term, row)
        found = self._search(self.system, starts, model)
        squares = self.likelihood.residual_squares(found) / model.sigma_squared(found)
        slope = 2.0 * (self.likelihood.dof - squares) / value
        return Held(model.value(found), slope, found.lam)

    def hold_correlation(self, pinned: PinnedCorrelation, term: int, starts: list[Lam]) -> Held:
        model = Profiled(self.likelihood)
        found = self._search(with_structure(self.system, term, pinned), starts, model)
        info = information(found, self.likelihood)
        # ∂d/∂angle = ⟨∂d/∂Σ, ∂Σ/∂angle⟩, with ∂Λ/∂angle Λ' and its transpose for the latter
        lam, _ = pinned.chart(found.lam[term])
        half = pinned.turned(lam) @ lam.T
        gradient = info.gradient[:-1][info.parameters.places[term]]
        slope = float(pinned.coordinates(half + half.T) @ gradient)
        return Held(model.value(found), slope, found.lam)

    def hold_effect(self, value: float, row: FloatArray, starts: list[Lam]) -> Held:
        own, offset = self._centered(row)
        # The column that goes is the one beside which the others change least.
        squares = np.diagonal(self.system.fixed_products)[:-1]
        pivot = int(np.argmax(np.abs(own) / np.sqrt(squares)))
        pinned = with_pinned_effect(self.system, own, pivot, value - offset)
        found = self._search(pinned, starts, Profiled(self.likelihood))
        free = factorize(self.system, found.lam)
        distance = value - offset - float(own @ free.beta)
        variance = self._variance(free, own) * self.likelihood.sigma_squared(found)
        return Held(self.likelihood.value(found), 2.0 * distance / variance, found.lam)

    def hold_sigma(self, value: float, starts: list[Lam]) -> Held:
        """Hold σ, in the unit of the system's weights."""
        model = PinnedSigma(self.likelihood, value)
        found = self._search(self.system, starts, model)
        squares = self.likelihood.residual_squares(found)
        slope = 2.0 * (self.likelihood.dof / value - squares / value**3)
        return Held(model.value(found), slope, found.lam)

    def effect(self, row: FloatArray) -> tuple[float, float]:
        (own, offset), at = self._centered(row), self.factorization
        variance = self.likelihood.sigma_squared(at) * self._variance(at, own)
        return float(own @ at.beta) + offset, float(np.sqrt(variance))

    def dispersion_target(self) -> Target:
        return SigmaTarget(self)

    def dispersion(self, values: FloatArray) -> FloatArray:
        return float(np.sqrt(self.system.weight_unit)) * values

    def _search(self, system: System, starts: list[Lam], model: LocalModel) -> CholeskyFactor:
        return search(system, starts, model, is_thorough=self.is_thorough)

    def _centered(self, row: FloatArray) -> tuple[FloatArray, float]:
        """Return row'β as a combination of the effects of the system's columns, and a constant."""
        to_user, offset = centered_to_user(self.system, self.model)
        return row @ to_user, float(row @ offset)

    @staticmethod
    def _variance(at: CholeskyFactor, row: FloatArray) -> float:
        return float(row @ unscaled_covariance(at) @ row)


def _fit(stats: CrossProducts, model: Model) -> Solution:
    return fit_system(examined(stats, model), tol=TOLERANCE, max_iter=MAX_ITER).solution


def search(
    system: System, lams: list[Lam], model: LocalModel, *, is_thorough: bool = False
) -> CholeskyFactor:
    """Minimize from the best of some Λ in the system's coordinates; return the factorization.

    From all of them, and from elsewhere, with `is_thorough`.
    """
    zero = zero_lam(system)
    at_zero = factorize(system, zero)
    if not system.terms:
        return at_zero
    value_at_zero = model.value(at_zero)
    objective = BlockedObjective(at_zero, model)
    # Of few levels optima are found after more steps than fits wait for
    runs = Runs(TOLERANCE, MAX_ITER, None, patience=MAX_ITER)
    starts = [_charted(system, lam) for lam in lams]
    if is_thorough:
        thorough_search(objective, runs, starts)
        return objective.latest
    # The best start is evaluated last, or once more; Λ = 0 is where others may end
    start = min(starts, key=objective.evaluate) if len(starts) > 1 else starts[0]
    best = runs.search(objective, start)
    if is_lower(value_at_zero, best.value):
        runs.search(objective, zero)
    return objective.latest


def _charted(system: System, lams: Lam) -> Lam:
    """Return Λ in the form that its structures allow."""
    parts = zip(system.terms, lams, strict=True)
    return tuple(term.term.structure.chart(lam)[0] for (_, term), lam in parts)


@dataclass
class SigmaTarget(ModelTarget):
    """The residual standard deviation, in the unit of the system's weights."""

    profiler: Profiler
    bounds: tuple[float, float] = (0.0, np.inf)

    def __post_init__(self) -> None:
        self.best = self.profiler.errors.sigma
        self._path = ProfilePath([(self.best, self.profiler.lam)])

    def guess(self, errors: float) -> float:
        return self.best * sd_ratio(errors * self.profiler.errors.log_sigma_error)

    def at(self, value: float) -> tuple[float, float]:
        # The random effects keep their own sd.
        around = self._path.around(value)
        held = self.profiler.hold_sigma(
            value, [tuple(s / value * own for own in lam) for s, lam in around]
        )
        self._path.add(value, held.lam)
        return held.deviance, held.slope

    def at_bound(self, value: float) -> float:  # noqa: ARG002
        return np.inf
