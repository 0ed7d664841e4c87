"""Generalized models with a quantity held at a value: the likelihood is maximized over the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from skmixed._derivatives.pinned import PinnedCorrelation
from skmixed._equations.changes import with_structure
from skmixed._estimation.fit import examined
from skmixed._estimation.search import Ending, trust_region_search
from skmixed._generalized.fit import (
    LOWER,
    SearchSettings,
    fit_generalized,
    may_be_elsewhere,
)
from skmixed._generalized.modes import start_of
from skmixed._generalized.objective import GeneralizedChart
from skmixed._generalized.optimum import MAX_ITER, TOLERANCE, GeneralizedModel
from skmixed._generalized.pinned import (
    Constraint,
    HeldByStructure,
    HeldCombination,
    HeldVariance,
    PinnedObjective,
)
from skmixed._generalized.rows import FamilySource
from skmixed._generalized.system import GeneralizedSystem
from skmixed._model.chart import Chart
from skmixed._model.covariance import Covariance
from skmixed._model.family import FAMILIES, FARTHEST
from skmixed._model.terms import Model
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.components import Components, sd_ratio
from skmixed._uncertainty.targets import (
    Held,
    ModelTarget,
    ProfilePath,
    Target,
    without_coefficient,
)

# Standard deviations of the effects at which a thorough search starts too.
STARTS = 1.0, 0.1
# Values of a quantity on one side of its estimate at which the searches from elsewhere end no
# lower than that from the neighbor, after which they are left out.
AGREED = 2


@dataclass
class GeneralizedProfiler:
    """The fit that profiles of a generalized model start from.

    Attributes
    ----------
    own : GeneralizedModel
        At the optimum.
    deviance : float
    is_thorough : bool
        Whether each search is from several starts, since there may be other optima.
    """

    own: GeneralizedModel
    deviance: float
    is_thorough: bool
    _without: dict[tuple[int, int], float] = field(default_factory=dict)
    _agreed: dict[tuple[Any, ...], int] = field(default_factory=dict)

    @staticmethod
    def of(fitted: GeneralizedModel) -> "GeneralizedProfiler":
        objective = fitted.objective_of(fitted.layout.system)
        end = SearchSettings(TOLERANCE, MAX_ITER).run(objective, fitted.lam)
        is_thorough = may_be_elsewhere(fitted.layout.system, end)
        return GeneralizedProfiler(replace(fitted, lam=end.lam), end.value, is_thorough)

    @property
    def lam(self) -> Lam:
        return self.own.lam

    @property
    def system(self) -> GeneralizedSystem:
        return self.own.layout.system

    @property
    def errors(self) -> Components:
        return self.own.components

    @property
    def n_fixed(self) -> int:
        return self.system.n_fixed

    @property
    def is_unchecked(self) -> bool:
        return False

    def thorough(self) -> "GeneralizedProfiler":
        return replace(self, is_thorough=True)

    def structure(self, term: int) -> Covariance:
        return self.system.structures[term]

    def to_user(self, term: int) -> FloatArray:
        return self.own.layout.terms[term].to_user

    def n_levels(self, term: int) -> int:
        return self.system.layout.system.terms[term][0].n_levels

    def without(self, term: int, column: int) -> float:
        if (term, column) not in self._without:
            model = without_coefficient(self.own.model, term, column)
            self._without[term, column] = self._least(model, self.own.rows)
        return self._without[term, column]

    def limit(self) -> float:
        """Return the least deviance of the family that this one is with an infinite shape."""
        name = self.system.family.limit_name
        if not name:
            return np.inf
        family = FAMILIES[name, self.system.family.link_name]
        return self._least(self.own.model, self.own.rows.with_family(family))

    def _least(self, model: Model, rows: FamilySource) -> float:
        stats = self.own.stats
        found = fit_generalized(
            examined(stats, model),
            stats.center,
            rows,
            search=SearchSettings(TOLERANCE, MAX_ITER),
            n_nodes=self.own.n_nodes,
        )
        return found.solution.criterion

    def hold_sd(self, value: float, term: int, row: FloatArray, starts: list[Lam]) -> Held:
        way = "sd", term, row.tobytes(), bool(value > np.linalg.norm(row @ self.lam[term]))
        found, objective = self._search(self.system, HeldVariance(term, row, value), starts, way)
        # c = v², dc = 2v dv
        return Held(found.value, 2.0 * value * objective.multiplier(found.lam), found.lam)

    def hold_correlation(self, pinned: PinnedCorrelation, term: int, starts: list[Lam]) -> Held:
        layout = self.system.layout
        layout = replace(layout, system=with_structure(layout.system, term, pinned))
        system = replace(self.system, layout=layout)
        a, b = pinned.rows @ self.lam[term]
        is_above = float(a @ b) > np.cos(pinned.angle) * np.linalg.norm(a) * np.linalg.norm(b)
        way = "correlation", term, pinned.rows.tobytes(), bool(is_above)
        found, objective = self._search(system, HeldByStructure(), starts, way)
        # The derivative along ∂Λ/∂angle alone
        *terms, rest = found.lam
        lams = [pinned.chart(own)[0] if k == term else own for k, own in enumerate(terms)]
        basis = [np.zeros((0, *own.shape)) for own in lams]
        basis[term] = pinned.turned(lams[term])[None]
        chart = GeneralizedChart(Chart(system.structures, tuple(lams), tuple(basis)), rest)
        slope = float(objective.objective.gradient(chart)[0])
        return Held(found.value, slope, found.lam)

    def hold_effect(self, value: float, row: FloatArray, starts: list[Lam]) -> Held:
        return self._hold_combination(self._of_search(row), value, starts)

    def hold_phi(self, value: float, starts: list[Lam]) -> Held:
        """Hold the logarithm of the shape."""
        row = np.zeros(self.n_fixed + 1)
        row[-1] = 1.0
        return self._hold_combination(row, value, starts)

    def _hold_combination(self, row: FloatArray, value: float, starts: list[Lam]) -> Held:
        way = "combination", row.tobytes(), bool(value > row @ self.lam[-1])
        found, objective = self._search(self.system, HeldCombination(row, value), starts, way)
        return Held(found.value, objective.multiplier(found.lam), found.lam)

    def effect(self, row: FloatArray) -> tuple[float, float]:
        own = self._of_search(row)
        variance = own[: self.n_fixed] @ self.own.fixed_covariance @ own[: self.n_fixed]
        return float(own @ self.lam[-1]), float(np.sqrt(variance))

    def _of_search(self, row: FloatArray) -> FloatArray:
        """Return row'β as a combination of (γ, φ)."""
        return np.append(row @ self.own.layout.basis, np.zeros(self.system.n_shape))

    def dispersion_target(self) -> Target:
        return ShapeTarget(self)

    def dispersion(self, values: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(values**-2.0)

    def _search(
        self,
        system: GeneralizedSystem,
        constraint: Constraint,
        starts: Sequence[Lam],
        way: tuple[Any, ...],
    ) -> tuple[Ending, PinnedObjective]:
        """Return the lowest end of the searches, of which the objective has its mode.

        `way` is the quantity that is held, and the side of the estimate where it is.
        """
        objective = PinnedObjective(self.own.objective_of(system), constraint)
        near = [_kept(system, constraint, own) for own in (*starts, self.lam)]
        best = _run(objective, min(near, key=objective.evaluate))
        # From elsewhere too, each given up where it will not be lower, until none has been
        near_value, n_agreed = best.value, self._agreed.get(way, 0)
        for start in self._elsewhere if self.is_thorough and n_agreed < AGREED else ():
            own = _kept(system, constraint, start)
            if np.isfinite(objective.evaluate(own)):
                end = _run(objective, own, best.value)
                best = end if end.value < best.value else best
        self._agreed[way] = n_agreed + 1 if best.value >= near_value - LOWER else 0
        objective.evaluate(best.lam)
        return best, objective

    @cached_property
    def _elsewhere(self) -> list[Lam]:
        return [start_of(self.system, sd)[0] for sd in STARTS]


def _kept(system: GeneralizedSystem, constraint: Constraint, lam: Lam) -> Lam:
    """Return parameters near these in the form of the structures, that keep a constraint."""
    return constraint.restored(GeneralizedChart.of(system, lam).lam)


def _run(objective: PinnedObjective, start: Lam, known: float = np.inf) -> Ending:
    return trust_region_search(objective, start, tol=TOLERANCE, max_iter=MAX_ITER, known=known)


@dataclass
class ShapeTarget(ModelTarget):
    """u = exp(−φ/2) of the shape exp φ: 0 is the family without it, as Poisson's.

    It is the coefficient of variation of what the shape describes. An estimate beyond
    `FARTHEST` is at that end.
    """

    profiler: GeneralizedProfiler
    bounds: tuple[float, float] = (0.0, np.inf)

    def __post_init__(self) -> None:
        phi, has_limit = self.profiler.lam[-1][-1], bool(self.profiler.system.family.limit_name)
        self.best = 0.0 if has_limit and phi > FARTHEST else float(np.exp(-0.5 * phi))
        self._path = ProfilePath([(self.best, self.profiler.lam)])

    def guess(self, errors: float) -> float:
        if not self.best:
            return float(np.sqrt(errors) * self.profiler.system.n_rows**-0.25)
        return self.best * sd_ratio(errors * self.profiler.errors.log_sigma_error)

    def at(self, value: float) -> tuple[float, float]:
        starts = [lam for _, lam in self._path.around(value)]
        held = self.profiler.hold_phi(-2.0 * float(np.log(value)), starts)
        self._path.add(value, held.lam)
        return held.deviance, -2.0 * held.slope / value

    def at_bound(self, value: float) -> float:  # noqa: ARG002
        return self.profiler.limit()
