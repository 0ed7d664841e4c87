"""From rows to the estimates of a generalized model."""

from collections.abc import Callable

import numpy as np

from skmixed._derivatives.information import pseudo_inverse
from skmixed._equations.selected_inverse import level_covariances
from skmixed._estimation.fit import Estimate, Examined
from skmixed._estimation.search import Ending, trust_region_search
from skmixed._estimation.solution import FamilySolution, Solution, TermSolution, user_effects
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.modes import LinearPredictor, Mode, find_mode
from skmixed._generalized.objective import GeneralizedChart, LaplaceObjective
from skmixed._generalized.rows import GeneralizedDesign, GeneralizedLayout, lay_out_generalized
from skmixed._generalized.system import GeneralizedSystem
from skmixed._model.covariance import lower_factor
from skmixed._model.terms import Model
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus

# Standard deviations of effects at which the first and the second search start, on the link's
# scale, of columns of unit length.
STARTS = 1.0, 0.1
# The logarithm of a shape with which effects are found to start from.
START_PHI = 1.0
# Rows' worth of information on a fixed effect below which there is none.
SEPARATED = 1e-6
# Gain of a search from another start that is no rounding.
LOWER = 1e-7


def fit_generalized(
    given: Examined,
    center: FloatArray,
    design: GeneralizedDesign,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
) -> Estimate:
    """Fit a model by Laplace's approximation, whose linear system was examined."""
    layout = lay_out_generalized(given.at_zero, given.model, center, design)
    # The lowest end of the searches, each given up where it will not be lower
    objective = LaplaceObjective(layout.system)
    best: Ending | None = None
    for sd in STARTS if layout.terms else STARTS[:1]:
        known = np.inf if best is None else best.value
        end = trust_region_search(
            objective,
            start_of(layout.system, sd),
            tol=tol,
            max_iter=max_iter,
            report=report,
            known=known,
        )
        if best is None or end.value < best.value - LOWER:
            best = end
    assert best is not None
    assert np.isfinite(objective.evaluate(best.lam))
    mode = objective.mode
    return Estimate(
        solution=generalized_solution(layout, mode, given.model),
        status=FitStatus.SEPARATED if is_separated(mode) else best.status,
        n_iter=best.n_iter,
        n_factorizations=objective.n_factorizations,
        findings=given.findings,
    )


def is_separated(mode: Mode) -> bool:
    """Whether the likelihood has no maximum: next to no information is left on some effect."""
    system = mode.system
    if not system.n_fixed:
        return False
    information = LaplaceDerivatives.of(mode).fixed_information
    return float(np.linalg.eigvalsh(information)[0] * system.weights.sum()) < SEPARATED


def start_of(system: GeneralizedSystem, sd: float) -> Lam:
    """Return Λ of one standard deviation with γ at the joint mode, and φ by moments there."""
    terms = tuple(sd * np.eye(size) for size in system.sizes)
    family, phi, root = system.family, START_PHI, np.sqrt(system.weights)
    own = family.start(system.response, system.weights) - system.offset
    solved = np.linalg.lstsq(root[:, None] * system.fixed, root * own, rcond=None)
    gamma = np.asarray(solved[0], dtype=float)
    effects = LinearPredictor.of(system, terms, gamma, np.zeros(system.rows.n_random))
    # The mode of γ and b together; of which φ, where there is one, and the mode again
    for _ in range(1 + system.n_shape):
        with np.errstate(all="ignore"):
            effects = find_mode(system, terms, phi, effects, has_fixed=True).effects
        mean, gamma, last = family.mean(effects.eta), effects.gamma, phi
        phi = family.start_phi(system.response, mean, system.weights)
    return (*terms, np.append(gamma, [last] * system.n_shape))


def generalized_solution(layout: GeneralizedLayout, mode: Mode, model: Model) -> Solution:
    """Return the estimates in the user's units."""
    system, p = layout.system, layout.system.n_fixed
    # β = Fγ, with the covariance of γ from the second derivatives in all parameters
    fixed = np.zeros(len(model.fixed))
    fixed[list(layout.kept)] = layout.basis @ mode.effects.gamma
    covariance = estimates_covariance(mode)
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
        ),
    )


def estimates_covariance(mode: Mode) -> FloatArray:
    """Return the covariance of the estimates of (δ, γ, φ), by the observed information."""
    found = LaplaceDerivatives.of(mode)
    rest = mode.effects.gamma
    rest = np.append(rest, mode.phi) if mode.system.n_shape else rest
    chart = GeneralizedChart.of(mode.system, (*mode.lam, rest))
    hessian = chart.jacobian @ found.hessian @ chart.jacobian.T + chart.curvature(found.gradient)
    return 2.0 * pseudo_inverse(hessian)


def _terms(layout: GeneralizedLayout, mode: Mode) -> tuple[TermSolution, ...]:
    """Return the estimates of each term, in the model's order."""
    if not layout.terms:
        return ()
    effects = user_effects(layout.system.rows.system, mode.lam, mode.factor.effects().spherical)
    out = []
    for term, lam, own in zip(layout.terms, mode.lam, effects, strict=True):
        user = term.to_user @ lam
        theta = term.term.structure.theta(user)
        out.append(TermSolution(lower_factor(user), theta, lam, own))
    return tuple(out)
