"""From rows to the estimates of a generalized model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from skmixed._derivatives.information import pseudo_inverse
from skmixed._equations.selected_inverse import level_covariances
from skmixed._estimation.fit import Estimate, Examined, examined
from skmixed._estimation.search import Ending, trust_region_search
from skmixed._estimation.solution import FamilySolution, Solution, TermSolution, user_effects
from skmixed._generalized.derivatives import LaplaceDerivatives, separated_columns
from skmixed._generalized.modes import Mode, start_of
from skmixed._generalized.objective import (
    EffectlessObjective,
    GeneralizedChart,
    LaplaceObjective,
    QuadratureObjective,
)
from skmixed._generalized.quadrature import NODES_OF_MEANS
from skmixed._generalized.rows import (
    FamilySource,
    GeneralizedDesign,
    GeneralizedLayout,
    lay_out_generalized,
)
from skmixed._generalized.system import GeneralizedSystem
from skmixed._model.covariance import lower_factor
from skmixed._model.terms import Model
from skmixed._statistics.accumulator import accumulate
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus, UndeterminedError

# Standard deviations of effects at which starts are looked for, on the link's scale, of
# columns of unit length.
STARTS = 1.0, 0.1
# What the search for the estimates of a sample leaves to gain, which only starts another one,
# and the rows for each random effect without which its variances are no better than moments.
ROUGH, FEW_ROWS = 1e-4, 5
# Levels up to which the likelihood may have several optima.
FEW_LEVELS = 14
# Standard deviation of effects, on the link's scale and of columns of unit length, from which
# on another optimum without effects is looked for.
FAR = 3.0
# Numbers of nodes tried until the log-likelihood changes by no more than this, and what a
# search may leave to gain before.
TRIED_NODES, STABLE, COARSE = (7, 13, 25, 49, 97, 193), 1e-6, 1e-3
# Nodes of all coefficients of a level together, at most: each is gone over all rows with.
MOST_NODES = 16_000
# Nodes for each coefficient, by their number, that tell whether Laplace's approximation holds.
NODES_OF_CHECK = {1: 49, 2: 25, 3: 13}
# Gain of a search from another start that is no rounding.
LOWER = 1e-7


@dataclass(frozen=True)
class SearchSettings:
    """How the search is run."""

    tol: float
    max_iter: int
    report: Callable[[str], None] | None = None

    def run(self, objective: LaplaceObjective, start: Lam, known: float = np.inf) -> Ending:
        return trust_region_search(
            objective,
            start,
            tol=self.tol,
            max_iter=self.max_iter,
            report=self.report,
            known=known,
        )


@dataclass(frozen=True)
class _Found:
    """Where searches ended, with their numbers of steps and of factorizations."""

    objective: LaplaceObjective
    end: Ending
    status: FitStatus
    n_iter: int
    n_factorizations: int
    n_nodes: int = 1
    unstable: float = 0.0
    refuted: float = 0.0


def fit_generalized(
    given: Examined,
    center: FloatArray,
    rows: FamilySource,
    *,
    search: SearchSettings,
    n_nodes: int | None = 1,
    sample: GeneralizedDesign | None = None,
) -> Estimate:
    """Fit a model whose linear system was examined.

    By Laplace's approximation, or by quadrature with more nodes than one; None are as many
    as the likelihood is stable with. `sample` are some of the rows, in memory, whose estimates
    the search then starts from.
    """
    layout = lay_out_generalized(given.at_zero, given.model, center, rows)
    # A likelihood of small weights is small, and so is what of it may be left
    search = replace(search, tol=search.tol / layout.system.rows_per_weight)
    start = None if sample is None else start_by_sample(layout, given.model, sample, search)
    found = _by_laplace(layout.system, search, start)
    at_mode = LaplaceDerivatives(found.objective.mode)
    errors = estimates_covariance(at_mode)
    if n_nodes == 1:
        found = replace(found, refuted=_refuted(found, search))
    elif layout.terms:
        found = _by_quadrature(found, search, n_nodes)
        point = found.objective.point(found.end.value, is_slow=False)
        errors = covariance_by(point.hessian, layout.system)
        at_mode = LaplaceDerivatives(found.objective.mode)
    # What the search has no part in: columns without information, and levels of one class
    separated = separated_columns(at_mode, layout, given.model)
    mode = found.objective.mode
    solution = generalized_solution(layout, mode, given.model, errors, found.n_nodes)
    assert solution.family is not None
    totals, n_passes = rows.totals, rows.n_passes
    family = replace(
        solution.family,
        offsets=totals.offsets,
        n_passes=n_passes,
        unstable=found.unstable,
        refuted=found.refuted,
    )
    return Estimate(
        solution=replace(solution, criterion=found.end.value, family=family),
        status=FitStatus.SEPARATED if separated or given.findings.pure else found.status,
        n_iter=found.n_iter,
        n_factorizations=found.n_factorizations,
        findings=replace(given.findings, separated=separated),
    )


def start_by_sample(
    layout: GeneralizedLayout, model: Model, sample: GeneralizedDesign, search: SearchSettings
) -> Lam | None:
    """Return the estimates of some of the rows; None where these do not determine them."""
    stats, factors = accumulate(sample.design), sample.design.factors
    if sample.design.n_rows < FEW_ROWS * sum(f.n_levels * len(f.columns) for f in factors):
        return None
    search = replace(search, tol=max(search.tol, ROUGH), report=None)
    try:
        own = fit_generalized(examined(stats, model), stats.center, sample, search=search)
    except (UndeterminedError, np.linalg.LinAlgError):
        return None
    solution = own.solution
    if own.status is not FitStatus.CONVERGED or solution.is_singular:
        return None
    # Λ and γ from the user's units to the coordinates of all rows
    terms = []
    for term, found in zip(layout.terms, solution.terms, strict=True):
        own_lam = np.linalg.solve(term.to_user, found.lam)
        terms.append(term.term.structure.nearest(own_lam @ own_lam.T))
    kept = solution.fixed[list(layout.kept)]
    gamma = np.linalg.solve(layout.basis, kept[:, None])[:, 0] if len(kept) else kept
    assert solution.family is not None
    return (*terms, np.append(gamma, [solution.family.phi] * layout.system.n_shape))


def _by_laplace(system: GeneralizedSystem, search: SearchSettings, start: Lam | None) -> _Found:
    """Search for the maximum of Laplace's approximation."""
    objective = LaplaceObjective(system)
    try:
        best = _lowest(objective, search, start)
    except np.linalg.LinAlgError:
        most = _largest_response(system)
        raise UndeterminedError(
            f"The likelihood has no digits at these responses, which go up to {most:.3g}: the sums "
            "that it is made of cancel. Check the responses, or fit MixedLinearRegressor to their "
            "logarithms."
        ) from None
    return _Found(objective, best, best.status, best.n_iter, objective.n_factorizations)


def _by_quadrature(found: _Found, search: SearchSettings, n_nodes: int | None) -> _Found:
    """Search on by quadrature, for None with more and more nodes until it makes no difference."""
    if n_nodes is not None:
        return _integrated(found, search, n_nodes)
    coarse = replace(search, tol=max(search.tol, COARSE))
    tried = tried_nodes(sum(found.objective.system.sizes))
    for n, more in pairwise(tried):
        found = _integrated(found, coarse, n)
        if _change(found, more) > STABLE:
            continue
        # To the end with the nodes that make no difference, if they make none there
        found = _integrated(found, search, more)
        if _change(found, n) <= STABLE:
            return found
    found = _integrated(found, search, tried[-1])
    return replace(found, unstable=_change(found, tried[-2]))


def tried_nodes(size: int) -> tuple[int, ...]:
    """Return the numbers of nodes that are tried for so many coefficients of a level."""
    return tuple(n for n in TRIED_NODES if n**size <= MOST_NODES)


def _integrated(found: _Found, search: SearchSettings, n_nodes: int) -> _Found:
    """Search with other nodes from where the last search ended, by the steps that are left."""
    objective = QuadratureObjective(found.objective.system, n_nodes)
    objective.resume(found.end.lam, found.objective.mode)
    left = replace(search, max_iter=max(search.max_iter - found.n_iter, 0))
    end = left.run(objective, found.end.lam)
    counted = found.n_factorizations + objective.n_factorizations
    return _Found(objective, end, end.status, found.n_iter + end.n_iter, counted, n_nodes)


def _change(found: _Found, n_nodes: int) -> float:
    """Return the change of the log-likelihood by other nodes, where the last search ended."""
    objective = QuadratureObjective(found.objective.system, n_nodes)
    objective.resume(found.end.lam, found.objective.mode)
    return abs(objective.value - found.end.value) / 2.0


def _refuted(found: _Found, search: SearchSettings) -> float:
    """Return how much likelier no effects are by quadrature than the end of a search; 0 if not.

    Large effects may be an optimum of Laplace's approximation alone, which is exact at Λ = 0.
    """
    system, size = found.objective.system, sum(found.objective.system.sizes)
    is_integrable = len(system.layout.system.factors) == 1 and size in NODES_OF_MEANS
    if not (is_far(found.end) and is_integrable and system.source.is_held):
        return 0.0
    objective = QuadratureObjective(system, NODES_OF_CHECK[size])
    objective.resume(found.end.lam, found.objective.mode)
    try:
        start, scores = start_of(system, 0.0)
        without = _without_effects(LaplaceObjective(system), search, start, scores)
    except np.linalg.LinAlgError:
        return 0.0
    return max(objective.value - without.value, 0.0) / 2.0


def _largest_response(system: GeneralizedSystem) -> float:
    return max(float(np.abs(slab.response).max()) for slab in system.source.slabs())


def _lowest(objective: LaplaceObjective, search: SearchSettings, known: Lam | None) -> Ending:
    """Return the lowest end of searches, each given up where it will not be lower.

    `known` is where the first one starts from, if anything is.
    """
    best: Ending | None = None
    mode: Mode | None = None
    # From what is known or by moments, and again where the likelihood may have several optima
    for sd in (*STARTS, 0.0):
        if best is not None and not _may_be_lower(objective.system, best, sd):
            continue
        end = _searched(objective, search, known if best is None else None, sd, best)
        if end is not None and (best is None or end.value < best.value - LOWER):
            best, mode = end, objective.mode
    assert best is not None
    assert mode is not None
    objective.resume(best.lam, mode)
    return best


def _searched(
    objective: LaplaceObjective,
    search: SearchSettings,
    known: Lam | None,
    sd: float,
    best: Ending | None,
) -> Ending | None:
    """Search from what is known, or from effects of that size; a failure beside a best is None."""
    value, start = np.inf if best is None else best.value, known
    try:
        if start is None:
            start, scores = start_of(objective.system, sd)
            objective.begin(start, scores)
            start = start if sd else _without_effects(objective, search, start, scores).lam
        return search.run(objective, start, value)
    except np.linalg.LinAlgError:
        if best is None:
            raise
        return None


def _without_effects(
    objective: LaplaceObjective, search: SearchSettings, start: Lam, scores: FloatArray
) -> Ending:
    """Search for γ and φ at Λ = 0, and go on from there."""
    own = EffectlessObjective(objective.system)
    own.begin(start, scores)
    end = search.run(own, start)
    objective.resume(end.lam, own.mode)
    objective.n_factorizations += own.n_factorizations
    return end


def _may_be_lower(system: GeneralizedSystem, best: Ending, sd: float) -> bool:
    """Whether a search from effects of that size may end lower."""
    return may_be_elsewhere(system, best) if sd else is_far(best)


def is_far(end: Ending) -> bool:
    """Whether effects are so large that the likelihood may have another optimum without them.

    Where few responses differ from the others, effects that reproduce these may be one optimum,
    and a distribution that has them as outliers another one.
    """
    *terms, _ = end.lam
    return any(np.linalg.norm(own, axis=1).max() > FAR for own in terms)


def may_be_elsewhere(system: GeneralizedSystem, end: Ending) -> bool:
    """Whether another search is worth it: few levels, or an end at a boundary or before one."""
    *terms, _ = end.lam
    has_few = any(f.n_levels <= FEW_LEVELS for f in system.layout.system.factors)
    is_full = all(own.any(axis=0).all() for own in terms)
    is_end = end.status is FitStatus.CONVERGED
    return bool(terms) and (has_few or not is_full or not is_end)


def generalized_solution(
    layout: GeneralizedLayout, mode: Mode, model: Model, covariance: FloatArray, n_nodes: int
) -> Solution:
    """Return the estimates in the user's units, with the covariance of those of (δ, γ, φ)."""
    system, p = layout.system, layout.system.n_fixed
    # β = Fγ, with the covariance of γ from the second derivatives in all parameters
    fixed = np.zeros(len(model.fixed))
    fixed[list(layout.kept)] = layout.basis @ mode.effects.gamma
    stop = len(covariance) - system.n_shape
    of_fixed = slice(stop - p, stop)
    values, vectors = np.linalg.eigh(covariance[of_fixed, of_fixed])
    family, has_shape = system.family, bool(system.n_shape)
    return Solution(
        fixed=fixed,
        kept=layout.kept,
        fixed_root=layout.basis @ (vectors * np.sqrt(np.maximum(values, 0.0))),
        terms=_terms(layout, mode),
        sigma=1.0,
        criterion=mode.value,
        reml=False,
        family=FamilySolution(
            family=family.name,
            link=family.link_name,
            phi=mode.phi,
            phi_error=float(np.sqrt(covariance[-1, -1])) if has_shape else float("nan"),
            has_shape=has_shape,
            covariances=level_covariances(mode.factor) if layout.terms else (),
            n_nodes=n_nodes,
        ),
    )


def estimates_covariance(found: LaplaceDerivatives) -> FloatArray:
    """Return the covariance of the estimates of (δ, γ, φ), by the observed information."""
    mode = found.mode
    rest = mode.effects.gamma
    rest = np.append(rest, mode.phi) if mode.system.n_shape else rest
    chart = GeneralizedChart.of(mode.system, (*mode.lam, rest))
    hessian = chart.jacobian @ found.hessian @ chart.jacobian.T + chart.curvature(found.gradient)
    return covariance_by(hessian, mode.system)


def covariance_by(hessian: FloatArray, system: GeneralizedSystem) -> FloatArray:
    """Return the covariance of the estimates of (δ, γ, φ), by the Hessian of −2 log L in them."""
    return 2.0 * pseudo_inverse(hessian, system.n_fixed + system.n_shape)


def _terms(layout: GeneralizedLayout, mode: Mode) -> tuple[TermSolution, ...]:
    """Return the estimates of each term, in the model's order."""
    if not layout.terms:
        return ()
    effects = user_effects(layout.system.layout.system, mode.lam, mode.factor.effects().spherical)
    out = []
    for term, lam, own in zip(layout.terms, mode.lam, effects, strict=True):
        user = term.to_user @ lam
        theta = term.term.structure.theta(user)
        out.append(TermSolution(lower_factor(user), theta, lam, own))
    return tuple(out)
