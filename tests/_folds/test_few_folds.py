"""Searches without each of a few folds of whole groups, beside fits to the other rows."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._derivatives.criterion import derivatives, lay_out
from skmixed._equations import products
from skmixed._equations.cholesky import factorize
from skmixed._equations.products import PartSlopes
from skmixed._equations.system import assemble
from skmixed._estimation.fit import examined, fit_system
from skmixed._folds.few_folds import (
    level_parts,
    may_search_each,
    search_all,
    search_each,
)
from skmixed._folds.selection import of_levels
from skmixed._folds.totals import FoldTotals
from skmixed._folds.whole_groups import WholeGroups
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign

FULL, DIAG, SPHERICAL = (STRUCTURES[name] for name in ("full", "diag", "spherical"))
TERMS = {
    "intercept": (Term(0, (0,), FULL),),
    "slope": (Term(0, (0, 1), FULL),),
    "two slopes": (Term(0, (0, 1, 2), FULL),),
    "diag": (Term(0, (0, 1), DIAG),),
    "spherical": (Term(0, (0, 1), SPHERICAL),),
    "two terms": (Term(0, (0,), FULL), Term(0, (1, 2), FULL)),
    "no intercept": (Term(0, (1,), FULL),),
}


class Sample:
    """Rows of groups, and folds of these."""

    def __init__(self, seed, name, *, reml=True, n_folds=5, q=150, effects=(1.0, 0.7, 0.5)):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(2, 12, q)
        codes = rng.permutation(np.repeat(np.arange(q), sizes))
        n = len(codes)
        values, own = rng.normal(size=(n, 3)) + 2.0, rng.normal(size=(q, 3)) * effects
        y = values @ [1.0, -1.0, 0.5] + rng.normal(size=n) + own[codes, 0]
        y += own[codes, 1] * values[:, 0] + own[codes, 2] * values[:, 1]
        terms = TERMS[name]
        used = tuple(sorted({0, *(c for term in terms for c in term.columns)}))
        weights = rng.uniform(50.0, 200.0, n) if seed % 2 else None
        factors = (FactorDesign(codes, q, used),)
        self.design = Design(tuple(values.T), (y,), weights, factors)
        self.model = Model((0, 1, 2, 3), terms, reml=reml)
        self.fold_of_level = rng.permutation(np.arange(q) % n_folds)
        self.fold, self.n_folds = self.fold_of_level[codes], n_folds
        self.stats = accumulate(self.design)

    def groups(self, lam=None):
        system, likelihood = lay_out(self.stats, self.model)
        totals = FoldTotals.of(self.design, self.fold, self.n_folds, self.stats)
        given = self.stats, self.model, system, likelihood, self.fold_of_level, totals
        lam = tuple(np.eye(t.size) for _, t in system.terms) if lam is None else lam
        return WholeGroups.of(*given, lam)

    def others(self, number):
        """The statistics of the rows without a fold."""
        return accumulate(self.design.picked(np.flatnonzero(self.fold != number)))

    def fit(self, stats):
        return fit_system(examined(stats, self.model), tol=1e-12, max_iter=200)

    @cached_property
    def lam(self):
        return tuple(term.search_lam for term in self.fit(self.stats).solution.terms)

    def search(self):
        groups = self.groups(self.lam)
        return search_each(groups, level_parts(groups), self.lam, tol=1e-12, max_iter=100)


def compare(sample, found):
    """Compare with fits to the other rows: the criterion, and what it is made of."""
    groups, n_worse = sample.groups(sample.lam), 0
    for number in np.flatnonzero(found.are_sure):
        stats = sample.others(number)
        stats = of_levels(stats, stats.levels)
        solution = sample.fit(stats).solution
        system, likelihood = lay_out(stats, sample.model)
        pairs = zip(groups.system.terms, system.terms, found.lams[number], strict=True)
        # Λ on the user's scale, in units of all rows, and in those of the others
        unit = np.sqrt(system.weight_unit / groups.system.weight_unit)
        lams = [
            np.linalg.solve(t.to_user, unit * own.to_user @ lam) for (_, own), (_, t), lam in pairs
        ]
        value = likelihood.value(factorize(system, tuple(lams)))
        # The fit ends where a step gains nothing, 1e-9 above the optimum
        assert value < solution.criterion + 1e-7
        n_worse += value > solution.criterion + 1e-9
        deleted = found.deleted
        beta = groups.to_user @ deleted.beta[number] + groups.offset
        # By 1e-6 of a standard error, what 1e-6 of Σ moves it by
        se = np.sqrt(np.diagonal(solution.fixed_covariance))
        assert np.abs((beta - solution.fixed) / se).max() < 3e-6
        scale = deleted.residual_squares[number] / groups.dof[number] * groups.system.weight_unit
        assert_allclose(np.sqrt(scale), solution.sigma, rtol=1e-6)
    assert n_worse == 0


@pytest.mark.parametrize(("seed", "reml"), [(0, True), (1, False)])
@pytest.mark.parametrize("name", TERMS)
def test_equal_fits_to_the_other_rows(name, reml, seed):
    sample = Sample(seed, name, reml=reml)
    found = sample.search()
    assert found.are_sure.sum() >= 4
    compare(sample, found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("effects", [(1.0, 0.0, 0.0), (1.0, 0.7, 0.0), (1.0, 0.1, 0.1)])
def test_covariances_that_are_singular_or_nearly(effects, seed):
    """Of all rows, without some folds, or of neither."""
    sample = Sample(seed, "two slopes" if seed % 3 else "slope", effects=effects, n_folds=4)
    found = sample.search()
    assert found.are_sure.sum() >= 3
    compare(sample, found)


def test_folds_that_move_far_are_not_sure():
    sample = Sample(0, "intercept", q=200)
    (y,) = sample.design.responses
    y[sample.design.factors[0].codes == np.flatnonzero(sample.fold_of_level == 2)[0]] += 60.0
    sample.stats = accumulate(sample.design)
    found = sample.search()
    assert not found.are_sure[2]
    assert found.are_sure.sum() == 4
    compare(sample, found)


def test_folds_without_which_something_is_not_determined_are_not_sure():
    """A column that one fold alone has: of X, and of Z."""
    for name in ("slope", "intercept"):
        sample = Sample(2, name)
        column = sample.design.columns[0]
        column[sample.fold != 3] = 1.0
        sample.stats = accumulate(sample.design)
        found = sample.search()
        assert not found.are_sure[3]
        compare(sample, found)


def test_small_systems_and_many_columns_are_left_to_fits():
    model = Sample(0, "slope").model
    assert may_search_each(model, 70, 2)
    assert not may_search_each(model, 50, 2)
    assert not may_search_each(model, 70, 6)
    curved = replace(model, terms=(Term(0, (0, 1), STRUCTURES["heterogeneous_compound_symmetry"]),))
    assert not may_search_each(curved, 70, 2)


@pytest.mark.parametrize("weighted", [0, 1])
@pytest.mark.parametrize("name", ["slope", "two terms"])
def test_parts_without_one_are_the_system_of_the_other_rows(name, weighted):
    sample = Sample(weighted, name)
    groups = sample.groups()
    parts = level_parts(groups)
    total = groups.unturned.sum(axis=0)
    n_rows = int(groups.counts.sum() - groups.counts[1])
    found = parts.without(1, total - groups.unturned[1], n_rows)
    stats = of_levels(sample.others(1), sample.others(1).levels).in_frame_of(sample.stats)
    expected, _ = assemble(stats, sample.model, sample.stats)
    assert found.n_rows == expected.n_rows
    lam = tuple(np.eye(t.size) for _, t in found.terms)
    own, other = factorize(found, lam), factorize(expected, lam)
    # Sums over some hundred rows in another order
    assert_allclose(own.reduced_products, other.reduced_products, rtol=1e-11, atol=1e-10)
    assert_allclose(own.logdet_z, other.logdet_z, rtol=1e-13)


def test_large_systems_without_a_part_are_not_kept(monkeypatch):
    sample = Sample(0, "slope")
    expected = sample.search()
    monkeypatch.setattr(products, "MOST_KEPT", 0)
    groups = sample.groups(sample.lam)
    parts = level_parts(groups)
    found = search_each(groups, parts, sample.lam, tol=1e-12, max_iter=100)
    assert not parts.known
    assert_array_equal(found.tau, expected.tau)


@pytest.mark.parametrize("reml", [True, False])
def test_slopes_of_parts(reml):
    """All together are the gradient; those of a level are from V, formed in full."""
    sample = Sample(1, "slope", reml=reml, q=75)
    groups = sample.groups()
    system, likelihood = groups.system, groups.likelihood
    at = factorize(system, (np.array([[0.8, 0.0], [0.3, 0.5]]),))
    found = PartSlopes.of(at, level_parts(groups), groups.order, has_fixed=reml)
    gradient = found.trace.sum(axis=0) - found.outer.sum(axis=0) / likelihood.sigma_squared(at)
    assert_allclose(gradient, derivatives(at, likelihood).gradient, rtol=1e-10)
    # r² of all rows is that without Σ, of the residuals, less what Σ takes
    v = np.append(-at.beta, 1.0)
    squares = v @ groups.unturned.sum(axis=0) @ v - found.taken.sum()
    assert_allclose(squares, at.residual_squares, rtol=1e-11)
    # One level by itself, with its part of the equations
    sigma = system.factors[0].lam(at.lam) @ system.factors[0].lam(at.lam).T
    s, b = groups.within, groups.beside @ np.linalg.inv(groups.turn)
    inside = np.linalg.inv(np.eye(2) + s @ sigma)
    q = inside @ b
    x = np.linalg.inv(at.fixed.products)
    trace = inside @ s - (q[:, :, :-1] @ x @ q[:, :, :-1].transpose(0, 2, 1) if reml else 0.0)
    rho = q @ v
    taken = np.einsum("qa,ab,qb->q", b @ v, sigma, rho)
    by_fold = [np.add.reduceat(own.reshape(len(q), -1), groups.starts) for own in (
        trace, rho[:, :, None] * rho[:, None, :], taken)]  # fmt: skip
    for own, expected in zip(
        (found.trace, found.outer, found.taken[:, None]), by_fold, strict=True
    ):
        assert_allclose(own, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("seed", "reml"), [(0, False), (1, True)])
@pytest.mark.parametrize("name", TERMS)
def test_a_search_of_all_rows_ends_near_their_fit(name, reml, seed):
    sample = Sample(seed, name, reml=reml)
    found = search_all(examined(sample.stats, sample.model), tol=1e-12, max_iter=100)
    system, likelihood = lay_out(sample.stats, sample.model)
    value = likelihood.value(factorize(system, found))
    # What is left is far below the 1 by which leaving out a fold moves a parameter
    assert value < sample.fit(sample.stats).solution.criterion + 1e-3


def test_from_the_optimum_of_the_other_method_folds_are_the_same():
    """Λ of all rows by REML is near enough for ML."""
    sample, other = (Sample(3, "slope", reml=reml) for reml in (False, True))
    groups = sample.groups(other.lam)
    found = search_each(groups, level_parts(groups), other.lam, tol=1e-12, max_iter=100)
    expected = sample.search()
    assert found.are_sure.all()
    # Of either to the rounding of Newton's last step
    for own, its in zip(found.lams, expected.lams, strict=True):
        assert_allclose(own[0] @ own[0].T, its[0] @ its[0].T, rtol=1e-6)
