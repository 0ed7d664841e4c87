"""Profiles: one quantity moves, the likelihood is maximized over the rest.

Each target is such a quantity; the ends of its interval are found by `interval_ends`.
"""

from dataclasses import dataclass, replace

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
from skmixed._equations.layout import FactorLayout
from skmixed._equations.system import System
from skmixed._estimation.fit import examined, fit_system, search_system
from skmixed._estimation.multistart import may_have_others, thorough_search
from skmixed._estimation.runs import Runs, is_lower
from skmixed._estimation.solution import Solution, centered_to_user, solve
from skmixed._model.covariance import has_own_variances, lower_factor
from skmixed._model.terms import Model
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.components import Components, TermErrors, components
from skmixed._uncertainty.relative import Relative
from skmixed._uncertainty.small_sample import unscaled_covariance

# What a search under a constraint may leave to gain: 1e-9 of a width.
TOLERANCE, MAX_ITER = 1e-8, 200
# A change of log sd beyond which 0 is a likelier end than the sd that it gives.
LARGE_CHANGE = 3.0


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
        Whether there may be other optima, so that each search is to be thorough.
    """

    stats: CrossProducts
    model: Model
    solution: Solution
    factorization: CholeskyFactor
    likelihood: Likelihood
    errors: Components
    is_doubtful: bool

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
        own = self.model.terms[term]
        columns = tuple(c for k, c in enumerate(own.columns) if k != column)
        terms = [*self.model.terms]
        if columns and has_own_variances(own.structure):
            terms[term] = replace(own, columns=columns)
        else:  # it was the only one, or shares its variance with the others
            del terms[term]
        return _fit(self.stats, replace(self.model, terms=tuple(terms))).criterion


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
    objective, runs = BlockedObjective(at_zero, model), Runs(TOLERANCE, MAX_ITER, None)
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
class _Path:
    """Where the searches of a profile have ended: Λ by value.

    The next one starts from the neighbors of its value, of which the better one
    counts: a trial far off may have ended in another minimum.
    """

    ends: list[tuple[float, Lam]]

    def around(self, value: float) -> list[tuple[float, Lam]]:
        below = [end for end in self.ends if end[0] <= value]
        above = [end for end in self.ends if end[0] > value]
        nearest = [max(below, key=_value)] if below else []
        return [*nearest, min(above, key=_value)] if above else nearest

    def add(self, value: float, found: CholeskyFactor) -> None:
        self.ends.append((value, found.lam))


def _value(end: tuple[float, Lam]) -> float:
    return end[0]


def _ratio(change: float) -> float:
    """Return an sd in units of its estimate where its log is to change that much.

    Beside 0 the log says nothing: there the variance changes in proportion, and
    downwards the bound comes first.
    """
    if change < -LARGE_CHANGE:
        return 0.0
    return float(np.exp(min(change, 1.0)) * np.sqrt(max(change, 1.0)))


@dataclass
class SigmaTarget:
    """The residual standard deviation, in the unit of the system's weights."""

    profiler: Profiler
    bounds: tuple[float, float] = (0.0, np.inf)

    def __post_init__(self) -> None:
        self.best = self.profiler.errors.sigma
        self._path = _Path([(self.best, self.profiler.lam)])

    def guess(self, errors: float) -> float:
        return self.best * _ratio(errors * self.profiler.errors.log_sigma_error)

    def at(self, value: float) -> tuple[float, float]:
        likelihood = self.profiler.likelihood
        model = PinnedSigma(likelihood, value)
        # The random effects keep their own sd.
        starts = [tuple(s / value * own for own in lam) for s, lam in self._path.around(value)]
        found = search(self.profiler.system, starts, model, is_thorough=self.profiler.is_doubtful)
        self._path.add(value, found)
        squares = likelihood.residual_squares(found)
        slope = 2.0 * (likelihood.dof / value - squares / value**3)
        return model.value(found), slope

    def at_bound(self, value: float) -> float:  # noqa: ARG002
        return np.inf


@dataclass
class SdTarget:
    """The sd of one coefficient, on the scale of the data."""

    profiler: Profiler
    term: int
    column: int
    bounds: tuple[float, float] = (0.0, np.inf)

    def __post_init__(self) -> None:
        self.best = float(self._errors.sd[self.column])
        self._path = _Path([(self.best, self.profiler.lam)])

    @property
    def _errors(self) -> TermErrors:
        return self.profiler.errors.terms[self.term]

    def guess(self, errors: float) -> float:
        """On the log scale; where the sd is 0 the deviance is even in it."""
        error = self._errors.log_sd_error[self.column]
        if np.isfinite(error):
            return self.best * _ratio(errors * float(error))
        factor, own = self._place
        variance = factor.n_levels**-0.5 * self.profiler.errors.sigma**2
        return float(np.sqrt(errors * variance) * np.linalg.norm(own.to_user[self.column]))

    @property
    def _place(self) -> tuple[FactorLayout, TermCoordinates]:
        return self.profiler.system.terms[self.term]

    def at(self, value: float) -> tuple[float, float]:
        likelihood, row = self.profiler.likelihood, self._place[1].to_user[self.column]
        model = PinnedSd(likelihood, value, self.term, row)
        starts = [self._start(value, *end) for end in self._path.around(value)]
        found = search(self.profiler.system, starts, model, is_thorough=self.profiler.is_doubtful)
        self._path.add(value, found)
        squares = likelihood.residual_squares(found) / model.sigma_squared(found)
        slope = 2.0 * (likelihood.dof - squares) / value
        return model.value(found), slope

    def _start(self, value: float, last: float, lams: Lam) -> Lam:
        """Scale the coefficient to the value; give it a variance where it has none.

        Of b, scaled is row'b, and what the other coefficients follow of it.
        """
        out, lam = list(lams), lams[self.term]
        row, relative = self._place[1].to_user[self.column], value / self.profiler.errors.sigma
        structure = self.profiler.model.terms[self.term].structure
        if not has_own_variances(structure):
            out[self.term] = (
                value / last * lam
                if last > 0
                else relative / float(np.linalg.norm(row)) * np.eye(len(lam))
            )
        elif last > 0:
            # Λ + (v/v₀ − 1) a r'Λ, r'a = 1: a is one coefficient's, or Σr/r'Σr of several
            own = row @ lam
            along = _unit_along(row)
            if np.count_nonzero(row) > 1:
                along = lam @ own / (own @ own)
            out[self.term] = lam + (value / last - 1.0) * np.outer(along, own)
        else:
            change = relative * _unit_along(row)
            root = _root(lam @ lam.T + np.outer(change, change))
            out[self.term] = structure.lam(structure.theta(root), len(root))
        return tuple(out)

    def at_bound(self, value: float) -> float:  # noqa: ARG002
        return self.profiler.without(self.term, self.column)


def _unit_along(row: FloatArray) -> FloatArray:
    """Return the change of one coefficient, of the largest share, by which row'b changes by 1."""
    out, largest = np.zeros(len(row)), int(np.argmax(np.abs(row)))
    out[largest] = 1.0 / row[largest]
    return out


def _root(covariance: FloatArray) -> FloatArray:
    """Return a matrix whose square is a covariance; diagonal where that is."""
    if not (covariance - np.diag(np.diagonal(covariance))).any():
        return np.diag(np.sqrt(np.diagonal(covariance)))
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


@dataclass
class CorrelationTarget:
    """The angle whose cosine is the correlation of two coefficients."""

    profiler: Profiler
    term: int
    a: int
    b: int
    bounds: tuple[float, float] = (0.0, float(np.pi))

    def __post_init__(self) -> None:
        errors = self.profiler.errors.terms[self.term]
        corr, self._z_error = errors.corr[self.a, self.b], errors.z_error[self.a, self.b]
        self._to_user = self.profiler.system.terms[self.term][1].to_user
        self.best = self._angle(corr) if np.isfinite(corr) else np.pi / 2
        self._path = _Path([(self.best, self.profiler.lam)])

    def _angle(self, corr: float) -> float:
        """Return the angle between two rows of Λ, of which the cosine has few digits near ±1."""
        if not np.isfinite(self._z_error):
            return float(np.arccos(np.round(corr)))
        rows = (self._to_user @ self.profiler.lam[self.term])[[self.a, self.b]]
        cosine, sine = lower_factor(rows)[1]
        return float(np.arctan2(sine, cosine))

    def guess(self, errors: float) -> float:
        """On the scale of artanh cos(angle) = −log tan(angle/2)."""
        if not np.isfinite(self._z_error):
            return self.best + errors * 0.5
        return 2.0 * float(np.arctan(np.tan(0.5 * self.best) * np.exp(errors * self._z_error)))

    def at(self, value: float) -> tuple[float, float]:
        pinned = PinnedCorrelation(self.a, self.b, value, self._to_user)
        system = with_structure(self.profiler.system, self.term, pinned)
        likelihood, model = self.profiler.likelihood, Profiled(self.profiler.likelihood)
        found = search(
            system,
            [lam for _, lam in self._path.around(value)],
            model,
            is_thorough=self.profiler.is_doubtful,
        )
        self._path.add(value, found)
        info = information(found, likelihood)
        place = info.parameters.places[self.term]
        lam, _ = pinned.chart(found.lam[self.term])
        # ∂d/∂angle = ⟨∂d/∂Σ, ∂Σ/∂angle⟩, with ∂Λ/∂angle Λ' and its transpose for the latter
        half = pinned.turned(lam) @ lam.T
        slope = pinned.coordinates(half + half.T) @ info.gradient[:-1][place]
        return model.value(found), float(slope)

    def at_bound(self, value: float) -> float:
        return self.at(value)[0]

    def is_free(self, rise: float) -> bool:
        """Whether one of the sd's may be 0, which leaves the correlation open."""
        allowed = self.profiler.deviance + rise
        return any(self.profiler.without(self.term, k) <= allowed for k in (self.a, self.b))


@dataclass
class EffectTarget:
    """A combination row'β of the kept fixed effects, in the user's columns."""

    profiler: Profiler
    row: FloatArray
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        to_user, offset = centered_to_user(self.profiler.system, self.profiler.model)
        self._row, self._offset = self.row @ to_user, float(self.row @ offset)
        self.best = float(self._row @ self.profiler.factorization.beta) + self._offset
        # The column that goes is the one beside which the others change least.
        squares = np.diagonal(self.profiler.system.fixed_products)[:-1]
        self._pivot = int(np.argmax(np.abs(self._row) / np.sqrt(squares)))
        self._path = _Path([(self.best, self.profiler.lam)])

    def guess(self, errors: float) -> float:
        at = self.profiler.factorization
        sigma2 = self.profiler.likelihood.sigma_squared(at)
        return self.best + errors * float(np.sqrt(sigma2 * self._variance(at)))

    def _variance(self, at: CholeskyFactor) -> float:
        return float(self._row @ unscaled_covariance(at) @ self._row)

    def at(self, value: float) -> tuple[float, float]:
        system, likelihood = self.profiler.system, self.profiler.likelihood
        pinned = with_pinned_effect(system, self._row, self._pivot, value - self._offset)
        starts = [lam for _, lam in self._path.around(value)]
        found = search(pinned, starts, Profiled(likelihood), is_thorough=self.profiler.is_doubtful)
        self._path.add(value, found)
        free = factorize(system, found.lam)
        distance = value - self._offset - float(self._row @ free.beta)
        variance = self._variance(free) * likelihood.sigma_squared(found)
        return likelihood.value(found), 2.0 * distance / variance

    def at_bound(self, value: float) -> float:  # noqa: ARG002
        return np.inf
