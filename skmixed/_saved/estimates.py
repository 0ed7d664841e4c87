"""Whether the estimates of a saved model are those of its encoder's model."""

from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._estimation.identifiability import Identifiability
from skmixed._estimation.runs import MonteCarlo
from skmixed._estimation.solution import FamilySolution, ResidualSolution, Solution
from skmixed._model.family import FAMILIES
from skmixed._model.residual import Residual
from skmixed._saved.requirements import (
    check_array,
    check_counts,
    check_kind,
    check_numbers,
    check_positions,
    require,
)
from skmixed._statistics.estimability import Dependence
from skmixed._typing import FloatArray
from skmixed.exceptions import FitStatus

# Numbers whose squares are finite.
LARGEST_ROOT = 1e150


def check_estimate(encoder: Encoder, estimate: Any) -> None:
    _check_solution(encoder, estimate.solution)
    check_kind("status", estimate.status, FitStatus)
    # While rows are waited for there is no residual covariance yet
    has_one = encoder.subjects is not None and estimate.status is not FitStatus.UNDETERMINED
    require((estimate.solution.residual is not None) == has_one, "residual covariance")
    counts = (estimate.n_iter, estimate.n_factorizations)
    require(all(type(count) is int and count >= 0 for count in counts), "number of steps")
    findings, n_terms = estimate.findings, len(encoder.terms)
    check_kind("findings", findings, Identifiability)
    check_positions("findings", findings.undetermined, n_terms)
    check_positions("findings", findings.separated, 1 + len(encoder.numeric))
    check_positions("findings", findings.pure, len(encoder.factors))
    for own in (findings.spanned, findings.apart):
        check_kind("findings", own, tuple)
    for term, *columns in (*findings.spanned, *findings.apart):
        check_positions("findings", (term,), n_terms)
        check_positions("findings", tuple(columns), 1 + len(encoder.numeric))
    if estimate.monte_carlo is not None:
        _check_monte_carlo(encoder, estimate.monte_carlo)


def _check_monte_carlo(encoder: Encoder, found: Any) -> None:
    check_kind("Monte Carlo errors", found, MonteCarlo)
    numbers = (found.criterion_error, found.residual, found.condition)
    require(all(type(number) is float for number in numbers), "Monte Carlo errors")
    require(len(found.sd_errors) == len(encoder.terms), "Monte Carlo errors")
    for errors, term in zip(found.sd_errors, encoder.terms, strict=True):
        check_array("Monte Carlo errors", errors, (len(term.columns),))


def _check_solution(encoder: Encoder, solution: Any) -> None:
    check_kind("estimates", solution, Solution)
    p = len(encoder.fixed)
    check_array("fixed effects", solution.fixed, (p,))
    _check_sizes("fixed effects", solution.fixed)
    check_positions("fixed effects", solution.kept, p)
    check_array("covariances", solution.fixed_root, (len(solution.kept),) * 2)
    _check_dependence(solution.dependence, solution.kept, p)
    _check_residual(encoder, solution.residual)
    _check_family(encoder, solution.family)
    check_numbers("estimates", solution.sigma)
    is_criterion = type(solution.criterion) is float and type(solution.reml) is bool
    require(0 <= solution.sigma < LARGEST_ROOT and is_criterion, "estimates")
    require(len(solution.terms) == len(encoder.terms), "random effects")
    for own, term in zip(solution.terms, encoder.terms, strict=True):
        s, q = len(term.columns), encoder.factors[term.factor].n_levels
        for lam in (own.lam, own.search_lam):
            check_array("covariance factors", lam, (s, s))
            _check_sizes("covariance factors", lam)
        check_array("random effects", own.effects, (s, q))
        _check_sizes("random effects", own.effects)
        check_array("covariance parameters", own.theta, (term.structure.n_theta(s),))


def _check_sizes(what: str, values: FloatArray) -> None:
    """Check that numbers are finite, and their squares."""
    require((np.abs(values) < LARGEST_ROOT).all(), what)


def _check_dependence(dependence: Any, kept: tuple[int, ...], p: int) -> None:
    """Check which columns of X were dropped, and what they are combinations of."""
    if dependence is None:
        return
    check_kind("dropped columns", dependence, Dependence)
    check_positions("dropped columns", dependence.dropped, p)
    check_positions("kept columns", dependence.kept, p)
    require(dependence.kept == kept, "kept columns")
    require({*kept, *dependence.dropped} == set(range(p)), "dropped columns")
    n_kept, n_dropped = len(kept), p - len(kept)
    require(len(dependence.dropped) == n_dropped, "dropped columns")
    check_array("combinations of columns", dependence.weights, (n_kept, n_dropped))
    check_array("centers of columns", dependence.center, (p,))
    check_array("scales of columns", dependence.scale, (n_kept,))
    check_array("scales of columns", dependence.floor, (n_dropped,))


def _check_residual(encoder: Encoder, residual: Any) -> None:
    """Check the estimates of a residual covariance."""
    subjects = encoder.subjects
    if residual is None:
        return
    require(subjects is not None, "residual covariance")
    assert subjects is not None
    check_kind("residual covariance", residual, ResidualSolution)
    names = subjects.correlation.name, subjects.variance.name
    require((residual.correlation, residual.variance) == names, "residual covariance")
    flags = subjects.shared_correlation, subjects.is_plane
    own = residual.has_shared_correlation, residual.is_plane
    require(all(a is b for a, b in zip(own, flags, strict=True)), "residual covariance")
    check_array("times", residual.steps, (len(residual.steps),), "i")
    require(len(residual.steps) > 0 and (np.diff(residual.steps) > 0).all(), "times")
    require(residual.steps[0] >= 0 and residual.steps[-1] < 2**31, "times")
    if subjects.time is not None:
        require(np.array_equal(residual.steps, subjects.timeline().steps), "times")
    check_array("residual covariance", residual.phi, (subjects.n_strata, residual.model.n_own))
    require(np.isfinite(residual.phi).all(), "residual covariance")
    check_positions("residual covariance", residual.at_end, subjects.n_strata)
    with np.errstate(all="ignore"):
        for phi in residual.phi:
            _check_parameters(residual.model, phi)


def _check_parameters(model: Residual, phi: FloatArray) -> None:
    """Check those of one stratum: standard deviations, and what is shown of correlations."""
    sd = model.sd(phi, model.all_visits).ravel()
    shown = model.correlation.shown(model.split(phi)[1], model.m)
    values = np.abs([*sd, *(1.0 / sd), *shown.values()])
    require((values < LARGEST_ROOT).all(), "residual covariance")


def _check_family(encoder: Encoder, own: Any) -> None:
    """Check what a generalized model has in the place of a residual variance."""
    if own is None:
        return
    check_kind("family", own, FamilySolution)
    require((own.family, own.link) in FAMILIES, "family")
    require(own.has_shape is FAMILIES[own.family, own.link].has_dispersion, "family")
    check_numbers("family", own.phi)
    require(type(own.phi_error) is float, "family")
    check_counts("number of nodes", own.n_nodes, own.n_passes)
    check_array("offsets", own.offsets, (4,))
    check_numbers("number of nodes", own.unstable)
    check_numbers("likelihood by nodes", own.refuted)
    require(len(own.covariances) == len(encoder.terms), "covariances of effects")
    for covariances, term in zip(own.covariances, encoder.terms, strict=True):
        s, q = len(term.columns), encoder.factors[term.factor].n_levels
        check_array("covariances of effects", covariances, (q, s, s))
