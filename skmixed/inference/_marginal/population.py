"""Means of generalized models over the population: over the distribution of the random effects."""

from dataclasses import replace
from typing import Any

import numpy as np

from skmixed._estimation.solution import Solution
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._model.binomial import Binomial, ProbitLink, trapezoidal_nodes
from skmixed._model.family import Family
from skmixed._statistics.estimability import Dependence
from skmixed._typing import BoolArray, FloatArray
from skmixed.inference._fixed_tests import FixedTests
from skmixed.inference._marginal.averaging import averaged
from skmixed.inference._marginal.grid import ReferenceGrid
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.scale import InverseLink


def averaged_slopes(
    family: Family, eta: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the derivatives of E μ(η + √v Z) by η and by v, each (n,).

    The second is half the second derivative by η, as the density of a normal variable solves
    the heat equation.
    """
    if not isinstance(family, Binomial):
        mean = family.averaged(eta, variance)  # exp(η + v/2)
        return mean, mean / 2.0
    if isinstance(family.link, ProbitLink):
        # Of Φ(η/r), r² = 1 + v
        r = np.sqrt(1.0 + variance)
        density = np.exp(-0.5 * (eta / r) ** 2) / (np.sqrt(2.0 * np.pi) * r)
        return density, -0.5 * density * eta / r**2
    sd, back = np.sqrt(variance), InverseLink(family)
    nodes = trapezoidal_nodes(family.link, sd)
    density = np.exp(-0.5 * nodes**2)
    first, second = np.zeros(len(eta)), np.zeros(len(eta))
    for node, weight in zip(nodes, density / density.sum(), strict=True):
        slope, bend = back.derivatives(eta + node * sd)
        first += weight * slope
        second += weight * bend
    return first, second / 2.0


def link_of(family: Family, mean: FloatArray) -> FloatArray:
    """Return η(μ)."""
    with np.errstate(divide="ignore"):
        return family.link.link(mean) if isinstance(family, Binomial) else np.log(mean)


def variance_of_rows(solution: Solution, random: list[FloatArray], n: int) -> FloatArray:
    """Return the sum of z'Σz over the terms, of n rows z of a new group, (n,)."""
    out = np.zeros(n)
    for z, term in zip(random, solution.terms, strict=True):
        # Σ = σ²ΛΛ'
        out += ((z @ (solution.sigma * term.lam)) ** 2).sum(axis=1)
    return out


def population_means(
    view: FittedModel, rows: FloatArray, offset: FloatArray, random: list[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the means at cells, (n,), and what they move by along directions, (n, d).

    Along the directions the estimates of all parameters, of the variances too, have variance
    1 and no covariance: the covariance of the means is the product of the moves with
    themselves, by the delta method.

    Parameters
    ----------
    rows : (n, p) array
        Rows of X.
    offset : (n,) array
    random : list of (n, s) arrays
        Rows of Z of a new group, by term.
    """
    family, solution = view.family, view.solution
    eta = rows @ solution.fixed + offset
    slopes = kernel.estimate_slopes(view.generalized)
    variance = variance_of_rows(solution, random, len(eta))
    of_variance = np.zeros((len(eta), slopes.fixed.shape[1]))
    for z, moves in zip(random, slopes.covariances, strict=True):
        # The moves z'Σ'z of v = z'Σz
        of_variance += np.einsum("ns,ast,nt->na", z, moves, z, optimize=True)
    by_eta, by_variance = averaged_slopes(family, eta, variance)
    moved = by_eta[:, None] * (rows @ slopes.fixed) + by_variance[:, None] * of_variance
    return family.averaged(eta, variance), moved


def in_any_cell(tests: FixedTests, grid: ReferenceGrid, shares: FloatArray) -> BoolArray:
    """Return which dropped columns leave any cell of each average open, (k, d)."""
    undetermined = tests.undetermined(grid.rows).reshape(*shares.shape, -1)
    return np.asarray((undetermined & (shares != 0.0)[:, :, None]).any(axis=1))


def over_population(
    view: FittedModel,
    grid: ReferenceGrid,
    shares: FloatArray,
    own: LinearEstimates,
    undetermined: BoolArray,
) -> LinearEstimates:
    """Return means over the random effects in the place of linear functions.

    `shares`: those of the cells in each average; `undetermined`: as of `in_any_cell`.
    """
    random = grid.formula.random_rows(grid.cells)
    means, moved = population_means(view, grid.rows, grid.offset, random)
    means, moved = averaged(shares, means), averaged(shares, moved)
    is_known = np.asarray(~undetermined.any(axis=1) & np.isfinite(shares).all(axis=1))
    labels = [", ".join(map(str, cell)) for cell in own.cells.itertuples(index=False)]
    tests = _tests_of(own.tests, labels, means, moved, is_known)
    return replace(own, rows=np.eye(len(means)), offset=np.zeros(len(means)), tests=tests)


def _tests_of(
    tests: FixedTests, names: list[Any], means: FloatArray, moved: FloatArray, is_known: BoolArray
) -> FixedTests:
    """Return tests of functions of means, each a parameter of its own.

    A mean that the data do not determine, by `is_known`, is one that was dropped.
    """
    kept, dropped = (tuple(np.flatnonzero(own).tolist()) for own in (is_known, ~is_known))
    k, d = len(kept), len(dropped)
    zeros = np.zeros((k, d)), np.zeros(len(means)), np.ones(k), np.zeros(d)
    return replace(
        tests,
        names=tuple(map(str, names)),
        kept=kept,
        estimate=means[is_known],
        basis=moved[is_known],
        of_basis=np.eye(moved.shape[1]),
        residual_df=np.inf,
        has_intercept=False,
        dependence=Dependence(kept, dropped, *zeros) if d else None,
    )
