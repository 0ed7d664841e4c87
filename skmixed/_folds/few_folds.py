"""The relative covariance factors Λ without each of a few folds of whole groups.

Each fold has a search of its own, by Newton's method in the system of all rows without the
levels of the fold. It starts one step away from the Λ of all rows: the step by the parts that
the fold's levels have in the derivatives of all rows.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from skmixed._derivatives.criterion import Derivatives, Likelihood, derivatives
from skmixed._derivatives.dense_system import MOST_COLUMNS
from skmixed._derivatives.objectives import AverageInformation, BlockedObjective
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor, factorize, zero_lam
from skmixed._equations.products import LevelParts, PartSlopes
from skmixed._equations.system import System
from skmixed._equations.working_variates import FEW_COLUMNS
from skmixed._estimation.fit import Examined
from skmixed._estimation.large_search import LargeSearch
from skmixed._estimation.runs import Runs, is_lower
from skmixed._estimation.scale_scan import ScaleScan, VarianceProfile
from skmixed._estimation.search import trust_region_search
from skmixed._estimation.start import WEAK, moment_start
from skmixed._folds.sigma_model import SigmaModel, is_definite_to_rounding
from skmixed._folds.theta_of_folds import FoldEstimates
from skmixed._folds.whole_groups import Deleted, WholeGroups, pivots_of
from skmixed._model.covariance import is_linear
from skmixed._model.terms import Model
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus

# Gain of a fold's criterion from the Λ of all rows on from which on its optimum may be another
# one: a fold that moves Λ by its standard error gains about 1 for each parameter.
FAR = 10.0
# Share of a predicted gain that a step of Newton's method brings near the optimum, and steps of
# it at most.
NEARLY, MOST_STEPS = 0.5, 4
# What is left to gain of all rows where searches without a fold start: it is a step more to them.
NEAR = 1e-4
# Relative error of Σ that no score shows: densities of rows have a slope in Σ at their optimum.
CLOSE = 1e-10
# A step that is none.
TINY = 1e-100
# Error of a step of Newton's method as a multiple of its square, both relative to Σ, at least: of
# a variance that is seen without noise it is √2.
LEAST_CURVE = 4.0
# Share of a column's squares around the center of all rows that is to be left beside the columns
# before it: what a center costs that is not that of the other rows.
LEAST_PIVOT = 1e-4


def may_search_each(model: Model, n_levels: int, n_columns: int) -> bool:
    """Whether the searches of folds may start from the optimum of all rows.

    Of a model of one factor, with some levels and columns. In small systems each looks for
    other optima, along the scales of the effects.
    """
    n_effects = n_levels * sum(len(term.columns) for term in model.terms)
    structures = [term.structure for term in model.terms]
    is_plain = all(is_linear(own) and not own.has_traps for own in structures)
    return n_columns <= FEW_COLUMNS and n_effects > MOST_COLUMNS and is_plain


@dataclass(frozen=True)
class SearchedFolds(FoldEstimates):
    """Estimates without each fold, with Λ.

    Attributes
    ----------
    lams : tuple of tuples of (s, s) arrays
        Λ of each term without each fold; without meaning where that is not sure.
    """

    lams: tuple[Lam, ...]


def level_parts(groups: WholeGroups) -> LevelParts:
    """Return the levels fold by fold, of which all searches without folds are made."""
    starts = np.append(groups.starts, len(groups.fold))
    return LevelParts.of(groups.system, groups.order, starts)


def search_each(
    groups: WholeGroups, parts: LevelParts, lam: Lam, *, tol: float, max_iter: int
) -> SearchedFolds:
    """Return the estimates without each fold, from a Λ near that of all rows.

    Folds are not sure whose optimum may be another one than that next to there, or that do not
    determine Σ or β.
    """
    # Without a fold the rank of [X y] is not to be in doubt
    of_others = groups.unturned.sum(axis=0) - groups.unturned
    sure = groups.have_more_rows.copy()
    sure &= (pivots_of(of_others, sure)[1] > LEAST_PIVOT).all(axis=1)
    search, parameters = FoldSearch.of(groups, parts, lam), groups.parameters
    nowhere = FoldEnd(lam, np.eye(of_others.shape[1]), 0.0, 0.0, is_sure=False)
    ends = [nowhere] * groups.n_folds
    for number in np.flatnonzero(sure).tolist():
        # What has no factor is left to a fit, which knows where to go
        with suppress(np.linalg.LinAlgError):
            ends[number] = search.without(number, tol, max_iter)
    sure &= [end.is_sure for end in ends]
    equations = groups.turn.T @ np.stack([end.equations for end in ends]) @ groups.turn
    logdet = np.array([end.logdet for end in ends])
    deleted = Deleted.of(groups, equations, logdet, sure)
    tau = np.stack([parameters.tau(end.lam) for end in ends])
    return SearchedFolds(tau, deleted, deleted.are_sure, tuple(end.lam for end in ends))


def search_all(given: Examined, *, tol: float, max_iter: int) -> Lam | None:
    """Return a Λ near that of all rows, by Newton's method from where a fit would search from.

    None where it may not be near the one that a fit finds.
    """
    at_zero, likelihood = given.at_zero, given.likelihood
    if given.moments is None or likelihood.is_exact_fit(at_zero):
        return None
    search = LargeSearch(at_zero, likelihood, Runs(tol, max_iter, None))
    start = moment_start(at_zero, likelihood, given.moments)
    is_one = at_zero.system.n_theta == 1
    search.objective.evaluate(start if is_one else search.best_start(start))
    # A relative error e of Σ leaves e²q/4 to gain
    close = float(np.sqrt(4.0 * NEAR / at_zero.system.factors[0].n_levels))
    own = FoldDescent(search.objective, likelihood, search.parameters, close)
    value = search.objective.model.value(search.objective.latest)
    end = own.run(0.0, tol, max_iter)
    is_lowest = not (is_lower(search.at_zero_value, value - end.gained) or search.is_apart())
    return end.lam if end.is_sure and is_lowest else None


def _has_valleys(system: System, likelihood: Likelihood) -> bool:
    """Whether the criterion of one variance has another valley, or nearly one."""
    if system.n_theta > 1:
        return False
    profile = VarianceProfile.of(system, likelihood)
    return profile is None or ScaleScan.of(profile).is_bent


@dataclass(frozen=True)
class FoldEnd:
    """Where the search without a fold ended.

    Attributes
    ----------
    lam : tuple of (s, s) arrays
    equations : (p + 1, p + 1) array
        [X y]'V⁻¹[X y] of the other rows, of the system's columns.
    logdet : float
        log|V|, at the Λ that was factored last.
    gained : float
        What the criterion has fallen by since the start.
    is_sure : bool
        Whether the search has converged, with information on all of Σ.
    """

    lam: Lam
    equations: FloatArray
    logdet: float
    gained: float
    is_sure: bool


@dataclass(frozen=True)
class FoldSearch:
    """What the searches without each fold share.

    Attributes
    ----------
    groups : WholeGroups
    parts : LevelParts
    at : CholeskyFactor
        Of all rows at their Λ.
    derivatives : Derivatives
        Of all rows, in the entries of Σ.
    slopes : PartSlopes
    """

    groups: WholeGroups
    parts: LevelParts
    at: CholeskyFactor
    derivatives: Derivatives
    slopes: PartSlopes

    @staticmethod
    def of(groups: WholeGroups, parts: LevelParts, lam: Lam) -> "FoldSearch":
        """Differentiate at one Λ, level by level."""
        at, likelihood = factorize(groups.system, lam), groups.likelihood
        slopes = PartSlopes.of(at, parts, groups.order, has_fixed=likelihood.reml)
        own = derivatives(at, likelihood, is_twice=True)
        return FoldSearch(groups, parts, at, own, slopes)

    def without(self, number: int, tol: float, max_iter: int) -> FoldEnd:
        """Search without a fold."""
        groups, count = self.groups, int(self.groups.counts[number])
        likelihood = replace(groups.likelihood, dof=groups.likelihood.dof - count)
        fixed = groups.unturned.sum(axis=0) - groups.unturned[number]
        system = self.parts.without(number, fixed, groups.system.n_rows - count)
        start, gain = self._start(number, likelihood)
        at_zero = likelihood.value(factorize(system, zero_lam(system)))
        own = FoldDescent.of(system, likelihood, start)
        value = own.objective.evaluate(start)
        end = own.run(gain, tol, max_iter)
        # Weak effects have other optima, which a fit looks for
        weak = WEAK if system.n_theta > 1 else 0.0
        is_lowest = not is_lower(at_zero, value - end.gained + weak)
        is_sure = end.is_sure and is_lowest and gain + end.gained <= FAR
        return replace(end, is_sure=is_sure and not _has_valleys(system, likelihood))

    def _start(self, number: int, likelihood: Likelihood) -> tuple[Lam, float]:
        """Return Λ after a step from that of all rows, and the gain that it is to bring."""
        slopes, totals = self.slopes, self.groups.unturned[number]
        parameters = self.groups.parameters
        v = np.append(-self.at.beta, 1.0)
        # r² without what the fold has of it; ∂d = Σ_j Z'PZ − ρρ'/σ² over the other levels
        squares = self.groups.likelihood.residual_squares(self.at)
        squares -= float(v @ totals @ v - slopes.taken[number])
        trace, outer = (own.sum(axis=0) - own[number] for own in (slopes.trace, slopes.outer))
        gradient = trace - outer * likelihood.dof / squares
        share = likelihood.dof / self.groups.likelihood.dof
        along = self.derivatives.along(parameters.entries)
        model = SigmaModel.of(
            parameters, parameters.tau(self.at.lam), parameters.entries @ gradient, along, share
        )
        if not squares > 0 or model is None:
            return self.at.lam, 0.0
        lam, _, gain = model.lowest()
        return lam, gain


@dataclass(frozen=True)
class FoldDescent:
    """Newton's method in the system of the rows without a fold.

    Attributes
    ----------
    objective : BlockedObjective
    likelihood : Likelihood
    parameters : Parameters
    close : float
        The relative error of Σ where the search may end.
    """

    objective: BlockedObjective
    likelihood: Likelihood
    parameters: Parameters
    close: float = CLOSE

    @staticmethod
    def of(system: System, likelihood: Likelihood, start: Lam) -> "FoldDescent":
        parameters = Parameters.of(system)
        model = AverageInformation(likelihood, parameters)
        objective = BlockedObjective(factorize(system, start), model)
        return FoldDescent(objective, likelihood, parameters)

    def run(self, gain: float, tol: float, max_iter: int) -> FoldEnd:
        """Search from where a step has led that was to bring a gain; 0 if that is not known."""
        start = lam = self.objective.latest.lam
        value = first = self.objective.evaluate(lam)
        tau = self.parameters.tau(lam)
        before = self._relative(gain) if gain > 0 else np.inf
        for _ in range(MOST_STEPS):
            start, along = lam, self._derivatives()
            model = SigmaModel.of(self.parameters, tau, along.gradient, along)
            if model is None:
                break
            lam, tau, expected = model.lowest()
            # The step of Newton's method, relative to Σ, and E after it by its derivatives
            step = self._relative(expected)
            if _left(step, before) <= self.close:
                moved = self._moved(along, tau - model.tau)
                return self._end(lam, moved, first - value + expected, is_sure=True)
            last, value = value, self.objective.evaluate(lam)
            if not last - value >= NEARLY * expected - self.objective.noise(last):
                break
            before = step
        return self._searched(start, first, tol, max_iter)

    def _derivatives(self) -> Derivatives:
        """Differentiate at the latest Λ, in τ."""
        found = derivatives(self.objective.latest, self.likelihood, is_twice=True)
        return found.along(self.parameters.entries)

    def _relative(self, gain: float) -> float:
        """Return the step relative to Σ that brings a gain: of q levels e brings e²q/4."""
        return float(np.sqrt(4.0 * max(gain, 0.0) / self.parameters.factors[0].n_levels))

    def _moved(self, along: Derivatives, step: FloatArray) -> FloatArray:
        """Return the equations after a step in τ whose square is nothing, by their derivatives."""
        equations = self.objective.latest.reduced_products
        assert along.equations is not None
        change = (step @ along.equations).reshape(equations.shape)
        return np.asarray(equations + (change + change.T) / 2.0)

    def _searched(self, lam: Lam, first: float, tol: float, max_iter: int) -> FoldEnd:
        """Search on by the steps of a fit."""
        start = tuple(own.copy() for own in lam)  # of which the factor is made anew
        end = trust_region_search(self.objective, start, tol=tol, max_iter=max_iter)
        is_informed = is_definite_to_rounding(self._derivatives().information)
        is_sure = end.status is FitStatus.CONVERGED and is_informed
        latest = self.objective.latest
        return self._end(latest.lam, latest.reduced_products, first - end.value, is_sure=is_sure)

    def _end(self, lam: Lam, equations: FloatArray, gained: float, *, is_sure: bool) -> FoldEnd:
        latest = self.objective.latest
        is_sure = is_sure and not self.likelihood.is_exact_fit(latest)
        return FoldEnd(lam, equations, latest.logdet_z, gained, is_sure=is_sure)


def _left(step: float, before: float) -> float:
    """Return the relative error of Σ after a step of Newton's method, of those of two steps.

    It is a multiple of the square of the step; of which, the last two steps tell. Without a
    step before it is not known.
    """
    if not before < np.inf:
        return np.inf
    return step**2 * max(LEAST_CURVE, step / max(before, TINY) ** 2)
