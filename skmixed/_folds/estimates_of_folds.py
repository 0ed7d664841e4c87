"""Estimates without each of many folds, τ held, estimated anew, or after one step of the search."""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from skmixed._derivatives.criterion import derivatives
from skmixed._derivatives.trust_region import RIDGE
from skmixed._equations.cholesky import CholeskyFactor, factorize
from skmixed._estimation.fit import Estimate
from skmixed._folds.held_theta import in_coordinates
from skmixed._folds.theta_of_folds import (
    FoldEstimates,
    Polynomial,
    at_one_tau,
    at_own_tau,
    first_gradient,
)
from skmixed._folds.whole_groups import WholeGroups
from skmixed._model.chart import Chart
from skmixed._model.covariance import has_own_variances, is_linear
from skmixed._typing import FloatArray, Lam

# Scales of Σ at which the criterion is looked at, beside its optimum.
SCALES = (0.0, *np.exp([*range(-10, 0), *range(1, 11)]).tolist())
# How much more a fold may change the criterion, and a difference that is one.
SPARE, LOWER = 10.0, 1e-6


def estimate_folds(groups: WholeGroups, of_all: Estimate, theta: str) -> FoldEstimates:
    """Return the estimates without each fold, by those of all rows.

    `theta` is "refit", "fixed" or "one_step": whether τ is estimated anew, that of all rows, or
    that after one step from there. All are to be fitted fold by fold where a singular Σ, or a
    structure with correlations that are no linear functions of τ, has it move otherwise.
    """
    lam = in_coordinates(of_all, groups.system)
    if theta == "fixed":
        return at_one_tau(groups, lam)
    terms = groups.parameters.terms
    if of_all.solution.is_singular or not all(is_linear(t.term.structure) for _, t in terms):
        return at_one_tau(groups, lam).none_sure()
    if theta == "one_step":
        return after_step(groups, groups.parameters.chart(lam))
    factor = factorize(groups.system, lam)
    along = derivatives(factor, groups.likelihood).along(groups.parameters.entries)
    found = at_own_tau(groups, lam, along.information)
    # Fits with more coefficients than rows say so
    found = found.among(groups.have_more_rows)
    return found.among(~_are_lower_elsewhere(groups, factor, found))


def _are_lower_elsewhere(
    groups: WholeGroups, at: CholeskyFactor, found: FoldEstimates
) -> NDArray[np.bool_]:
    """Whether the criterion without a fold is lower at other scales of Σ than where it is, (F,).

    A single group can turn the lower one of two optima of all rows into the higher one.
    """
    likelihood, own = groups.likelihood, found.deleted.criterion(groups)
    out, value = np.zeros(groups.n_folds, dtype=bool), likelihood.value(at)
    # What leaving out a fold may lower the criterion by is what is left of its part there: of a
    # smaller Σ up to its Σ w(y − x'β̂)²/σ², twice, of a larger one what log|V| grows by
    squares = groups.totals[:, -1, -1] / likelihood.sigma_squared(at)
    of_squares, size = 2.0 * float(squares.max()), groups.within.shape[1]
    factor = None
    for scale, lam in _along_scales(groups, at.lam):
        factor = factorize(groups.system, lam, factor)
        most = size * np.log(scale) if scale > 1.0 else of_squares
        if likelihood.value(factor) < value + most + SPARE:
            there = at_one_tau(groups, lam).deleted
            out |= there.are_sure & (there.criterion(groups) < own - LOWER)
    return out


def _along_scales(groups: WholeGroups, lams: Lam) -> Iterator[tuple[float, Lam]]:
    """Yield Λ with the covariance of a term, or a principal one of its parts, times a scale."""
    for k, (_, t) in enumerate(groups.parameters.terms):
        left, sizes, _ = np.linalg.svd(lams[k])
        parts = [np.ones(t.size)]
        if t.size > 1 and has_own_variances(t.term.structure):
            parts += [*np.eye(t.size)]
        for part, scale in product(parts, SCALES):
            own = left * (sizes * np.where(part > 0, np.sqrt(scale), 1.0))
            yield scale, (*lams[:k], own, *lams[k + 1 :])


def after_step(groups: WholeGroups, chart: Chart) -> FoldEstimates:
    """Return the estimates without each fold after one step of the search around one Λ.

    The step is −H⁻¹g in δ, by the gradient and the average information of the other rows.
    Folds whose step is another one, longer or from a model without a minimum, are not sure.
    """
    start = at_one_tau(groups, chart.lam)
    # Of folds that are not sure to begin with the derivatives mean nothing
    gradient = np.where(start.are_sure[:, None], first_gradient(groups, start), 0.0)
    information = np.where(start.are_sure[:, None, None], _information_of_folds(groups, start), 0.0)
    steps, inside = _chart_steps(chart, gradient, information)
    terms = zip(chart.structures, chart.lam, chart.basis, chart.places, strict=True)
    # τ of (Λ + dΛ)(Λ + dΛ)'
    ends = [(own, own.moved(lam, basis, steps[:, at])) for own, lam, basis, at in terms]
    taus = [own.coordinates(lam @ lam.transpose(0, 2, 1)) for own, lam in ends]
    tau = np.concatenate(taus, axis=1)
    box = Polynomial.around(groups, start.among(inside), tau - start.tau)
    if box is None:
        return start.none_sure()
    polynomial, sure = box
    tau = np.where(sure[:, None], tau, polynomial.center)
    deleted = polynomial.without(groups, tau, sure)
    return FoldEstimates(tau, deleted, polynomial.checked(groups, tau, deleted.are_sure))


def _information_of_folds(groups: WholeGroups, start: FoldEstimates) -> FloatArray:
    """Return the average information on τ without each fold at the Λ of all rows, (F, d, d).

    It is (F'PF − ∇r²∇r²'/r²)/σ², F_i = Z_jD_iρ_j of the groups that are left, with
    ρ_j = Q_jv the residuals Z_j'V⁻¹(y − Xβ̂) of these.
    """
    deleted, p = start.deleted, groups.system.n_fixed
    own = groups.equations(groups.sigma(start.tau[0])[None])
    v = np.concatenate([-deleted.beta, np.ones((groups.n_folds, 1))], axis=1)
    # Σ_j Q_j'D_iQ_j and Σ_j Q_j'D_iZ_j'V⁻¹Z_jD_kQ_j over all groups
    turned = np.stack([d @ own.left for d in groups.directions])
    flat = own.left.reshape(-1, p + 1)
    first = np.stack([flat.T @ one.reshape(flat.shape) for one in turned])
    inside = [(own.inside @ one).reshape(flat.shape) for one in turned]
    second = np.stack([[one.reshape(flat.shape).T @ b for b in inside] for one in turned])
    # The same of the groups of each fold, times v
    rho = (own.left @ v[groups.fold][:, :, None])[:, :, 0]
    columns = np.stack([rho @ d.T for d in groups.directions], axis=1)
    beside = columns @ own.left
    squares = columns @ own.inside @ columns.transpose(0, 2, 1)
    # F'V⁻¹[X y]v and F'V⁻¹F without the fold
    with_rows = np.einsum("iab,fb->fia", first, v) - groups.by_fold(beside)
    of_all = np.einsum("fa,ikab,fb->fik", v, second, v, optimize=True)
    # Less F'V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹F, and what is along ∇r²
    half = np.linalg.solve(deleted.root, with_rows[:, :, :p].transpose(0, 2, 1))
    products = of_all - groups.by_fold(squares) - half.transpose(0, 2, 1) @ half
    outer = np.einsum("fia,fa->fi", with_rows, v)
    r2 = deleted.residual_squares[:, None, None]
    scale = (groups.dof / deleted.residual_squares)[:, None, None]
    return np.asarray((products - outer[:, :, None] * outer[:, None, :] / r2) * scale)


def _chart_steps(
    chart: Chart, gradient: FloatArray, information: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return −H⁻¹g of each fold in δ, (F, n), and where it is the first step of a search."""
    # In δ the gradient is Jg, and the Hessian JHJ' + Σ_i g_i ∂²τ_i/∂δ∂δ'
    jacobian, d = chart.jacobian, gradient.shape[1]
    curvatures = np.stack([chart.curvature(own) for own in np.eye(d)])
    curvature = np.tensordot(gradient, curvatures, axes=1)
    slope, inner = gradient @ jacobian.T, jacobian @ information @ jacobian.T
    values, vectors = np.linalg.eigh(curvature)
    metric = inner + (vectors * np.abs(values)[:, None, :]) @ vectors.transpose(0, 2, 1)
    # The eigenvalues of the Hessian in units of the metric, and the length of the step there
    values, vectors = np.linalg.eigh(metric)
    least = RIDGE * np.maximum(values[:, -1:], np.finfo(float).tiny)
    scale = vectors / np.sqrt(np.maximum(values, least))[:, None, :]
    values, vectors = np.linalg.eigh(scale.transpose(0, 2, 1) @ (inner + curvature) @ scale)
    principal = scale @ vectors
    along = np.einsum("fij,fi->fj", principal, slope)
    flat = np.finfo(float).eps * len(chart.jacobian) * np.abs(values).max(axis=1)
    inside = values[:, 0] > flat
    step = -along / np.where(inside[:, None], values, 1.0)
    radius = np.maximum(1.0, 2.0 * np.linalg.norm(along, axis=1))
    inside &= np.linalg.norm(step, axis=1) <= radius
    return np.einsum("fij,fj->fi", principal, step), inside
