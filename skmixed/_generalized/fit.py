"""From rows to the estimates of a generalized model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from skmixed._derivatives.information import pseudo_inverse
from skmixed._equations.selected_inverse import level_covariances, spherical_blocks
from skmixed._estimation.fit import Estimate, Examined, examined
from skmixed._estimation.search import Ending, trust_region_search
from skmixed._estimation.solution import FamilySolution, Solution, TermSolution, user_effects
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.modes import LinearPredictor, Mode, find_mode
from skmixed._generalized.objective import (
    GeneralizedChart,
    LaplaceObjective,
    QuadratureObjective,
)
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
# Rounds in which a start's Λ and φ are taken from the effects, and the least variance then.
ROUNDS, LEAST = 2, 1e-2
# Squared length of a step to the joint mode that is near enough for a start, for each effect.
NEAR = 1e-3
# What the search for the estimates of a sample leaves to gain, which only starts another one,
# and the rows for each random effect without which its variances are no better than moments.
ROUGH, FEW_ROWS = 1e-4, 5
# Levels up to which the likelihood may have several optima.
FEW_LEVELS = 14
# The logarithm of a shape with which effects are found to start from.
START_PHI = 1.0
# Rows' worth of information on a fixed effect below which there is none.
SEPARATED = 1e-6
# Share of the largest one in a combination of columns from which a column is named.
NAMED = 0.1
# Numbers of nodes tried until the log-likelihood changes by no more than this, and what a
# search may leave to gain before.
TRIED_NODES, STABLE, COARSE = (7, 13, 25, 49, 97, 193), 1e-6, 1e-3
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
    start = None if sample is None else start_by_sample(layout, given.model, sample, search)
    found = _by_laplace(layout.system, search, start)
    at_mode = LaplaceDerivatives(found.objective.mode)
    errors = estimates_covariance(at_mode)
    if n_nodes != 1 and layout.terms:
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
        solution.family, offsets=totals.offsets, n_passes=n_passes, unstable=found.unstable
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
    for n, more in pairwise(TRIED_NODES):
        found = _integrated(found, coarse, n)
        if _change(found, more) > STABLE:
            continue
        # To the end with the nodes that make no difference, if they make none there
        found = _integrated(found, search, more)
        if _change(found, n) <= STABLE:
            return found
    found = _integrated(found, search, TRIED_NODES[-1])
    return replace(found, unstable=_change(found, TRIED_NODES[-2]))


def _integrated(found: _Found, search: SearchSettings, n_nodes: int) -> _Found:
    """Search with other nodes from where the last search ended."""
    objective = QuadratureObjective(found.objective.system, n_nodes)
    objective.resume(found.end.lam, found.objective.mode)
    end = search.run(objective, found.end.lam)
    counted = found.n_factorizations + objective.n_factorizations
    return _Found(objective, end, end.status, found.n_iter + end.n_iter, counted, n_nodes)


def _change(found: _Found, n_nodes: int) -> float:
    """Return the change of the log-likelihood by other nodes, where the last search ended."""
    objective = QuadratureObjective(found.objective.system, n_nodes)
    objective.resume(found.end.lam, found.objective.mode)
    return abs(objective.value - found.end.value) / 2.0


def _largest_response(system: GeneralizedSystem) -> float:
    return max(float(np.abs(slab.response).max()) for slab in system.source.slabs())


def _lowest(objective: LaplaceObjective, search: SearchSettings, known: Lam | None) -> Ending:
    """Return the lowest end of searches, each given up where it will not be lower.

    `known` is where the first one starts from, if anything is.
    """
    best: Ending | None = None
    mode: Mode | None = None
    # From what is known or by moments, and again where the likelihood may have several optima
    for sd in STARTS:
        if best is not None and not may_be_elsewhere(objective.system, best):
            break
        start, value = known, np.inf if best is None else best.value
        if start is None or best is not None:
            start, scores = start_of(objective.system, sd)
            objective.begin(start, scores)
        end = search.run(objective, start, value)
        if best is None or end.value < best.value - LOWER:
            best, mode = end, objective.mode
    assert best is not None
    assert mode is not None
    objective.resume(best.lam, mode)
    return best


def may_be_elsewhere(system: GeneralizedSystem, end: Ending) -> bool:
    """Whether another search is worth it: few levels, or an end at a boundary or before one."""
    *terms, _ = end.lam
    has_few = any(f.n_levels <= FEW_LEVELS for f in system.layout.system.factors)
    is_full = all(own.any(axis=0).all() for own in terms)
    is_end = end.status is FitStatus.CONVERGED
    return bool(terms) and (has_few or not is_full or not is_end)


def separated_columns(
    found: LaplaceDerivatives, layout: GeneralizedLayout, model: Model
) -> tuple[int, ...]:
    """Return the columns of X in a combination on which next to no information is left.

    The likelihood then has no maximum. Of the combination those are named that move it.
    """
    system = found.mode.system
    if not system.n_fixed:
        return ()
    values, vectors = np.linalg.eigh(found.fixed_information)
    if float(values[0] * system.total_weight) >= SEPARATED:
        return ()
    # The columns in the coordinates of X, which are orthonormal, less their means
    columns = np.linalg.inv(layout.basis)
    effects = layout.basis @ vectors[:, 0]
    if model.has_intercept and len(effects) > 1:
        mean = columns[:, 0] / np.linalg.norm(columns[:, 0])
        columns = columns - np.outer(mean, mean @ columns)
    sizes = np.abs(effects) * np.linalg.norm(columns, axis=0)
    named = np.flatnonzero(sizes >= NAMED * sizes.max())
    return tuple(model.fixed[layout.kept[k]] for k in named)


def start_of(system: GeneralizedSystem, sd: float) -> tuple[Lam, FloatArray]:
    """Return a start at the joint mode of γ and b, with Λ and φ by the moments there; and ρ."""
    terms = tuple(sd * np.eye(size) for size in system.sizes)
    phi, gamma = START_PHI, _regression(system)
    effects = LinearPredictor.of(system, terms, gamma, np.zeros(system.n_random))
    close = NEAR * (system.n_random + system.n_fixed)
    # Λ by the modes and their covariances; φ by what is left of y
    for _ in range(ROUNDS if terms or system.n_shape else 0):
        with np.errstate(all="ignore"):
            mode = find_mode(system, terms, phi, effects, has_fixed=True, close=close)
        terms, phi = _by_effects(mode), _shape_of(mode)
        scores = system.scores_of(terms, mode.effects.random)
        effects = LinearPredictor.of(system, terms, mode.effects.gamma, scores)
    with np.errstate(all="ignore"):
        mode = find_mode(system, terms, phi, effects, has_fixed=True, close=close)
    gamma, scores = mode.effects.gamma, mode.effects.scores
    return (*terms, np.append(gamma, [phi] * system.n_shape)), scores


def _regression(system: GeneralizedSystem) -> FloatArray:
    """Return γ by weighted least squares of what η is in each row alone, (p,)."""
    p = system.n_fixed
    products = np.zeros((p, p + 1))
    # X'W[X η]
    for slab in system.source.slabs():
        own = system.family.start(slab.response, slab.weights) - slab.offset
        weighted = slab.weights * slab.fixed
        products[:, :p] += weighted @ slab.fixed.T
        products[:, p] += weighted @ own
    return np.asarray(np.linalg.solve(products[:, :p], products[:, p:])[:, 0], dtype=float)


def _shape_of(mode: Mode) -> float:
    """Return φ by what is left of y at a mode; 0 of a family without a shape."""
    system, moments = mode.system, np.zeros(2)
    if not system.n_shape:
        return 0.0
    for slab in system.source.slabs():
        mean = system.family.mean(mode.effects.eta(slab))
        moments += system.family.shape_moments(slab.response, mean, slab.weights)
    return system.family.shape_by(moments)


def _by_effects(mode: Mode) -> Lam:
    """Return Λ for which the modes have the variance that their shrinkage lets expect.

    With u the spherical modes, the mean of uu' is R^½ΣR^½ for R = I less the mean of M⁻¹
    (Schall, 1991, Biometrika 78, for one variance).
    """
    if not mode.lam:
        return ()
    out: dict[int, FloatArray] = {}
    inverses, spherical = spherical_blocks(mode.factor), mode.factor.effects().spherical
    for k, factor in enumerate(mode.system.layout.system.factors):
        for term in factor.terms:
            # ΛR^−½ mean(uu') R^−½Λ', with no variance below the least
            u, lam, at = spherical[k][term.columns], mode.lam[term.index], term.columns
            left = np.eye(len(u)) - inverses[k][:, at, at].mean(axis=0)
            values, vectors = np.linalg.eigh((left + left.T) / 2.0)
            root = (vectors / np.sqrt(np.maximum(values, LEAST))) @ vectors.T
            own = lam @ root @ (u @ u.T / u.shape[1]) @ root @ lam.T
            values, vectors = np.linalg.eigh((own + own.T) / 2.0)
            own = (vectors * np.maximum(values, LEAST)) @ vectors.T
            out[term.index] = term.term.structure.nearest(own)
    return tuple(out[k] for k in sorted(out))


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
