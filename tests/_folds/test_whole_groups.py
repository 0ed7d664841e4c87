"""The equations without each fold, against the dense model of the other rows."""

from dataclasses import replace

import numpy as np
import pytest
from dense_folds import fold_case
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._estimation.fit import examined, fit_system
from skmixed._folds.deletion import FoldSolutions
from skmixed._folds.theta_of_folds import at_one_tau
from skmixed._folds.whole_groups import are_many_folds, pivots_of, whole_groups_of
from skmixed._statistics.accumulator import accumulate
from skmixed.exceptions import FitStatus

# What rounding leaves of β̂, by how far its columns are from each other: the products of the
# nearest ones, 1e-4 apart, are those of their difference.
CASES = [
    ("", {}, 1e-11),
    ("far", {}, 1e-9),
    ("weights", {}, 1e-11),
    ("collinear", {}, 1e-7),
    ("dropped", {}, 1e-11),
    ("no intercept", {}, 1e-11),
    ("", {"slopes": 2}, 1e-11),
    ("", {"structure": "diag", "reml": False}, 1e-11),
    ("", {"n_folds": 4}, 1e-11),
]


@pytest.mark.parametrize(("kind", "options", "rtol"), CASES)
def test_solutions_are_those_of_the_other_rows(kind, options, rtol):
    case = fold_case(3, kind=kind, **options)
    groups = case.groups()
    found = at_one_tau(groups, case.search_lam)
    assert found.are_sure.all()
    own = FoldSolutions.of(groups, found)
    for number in range(case.n_folds):
        dense = case.without(number).at([case.lam])
        assert_allclose(own.fixed[number], dense["beta"], rtol=rtol, atol=rtol)
        root = own.fixed_roots[number]
        assert_allclose(root @ root.T, dense["vcov"], rtol=rtol, atol=rtol * dense["vcov"].max())
        assert_allclose(own.sigma[number], dense["sigma"], rtol=1e-10)
        covariance = dense["sigma"] ** 2 * case.lam @ case.lam.T
        assert_allclose(own.covariances[0][number], covariance, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("reml", [True, False])
def test_criteria_are_those_of_the_other_rows_but_for_constants(reml):
    case = fold_case(4, reml=reml)
    groups, values, dense = case.groups(), [], []
    for size in (1.0, 0.7):
        found = at_one_tau(groups, tuple(size * own for own in case.search_lam))
        values.append(found.deleted.criterion(groups))
        models = [case.without(number) for number in range(case.n_folds)]
        dense.append([own.criterion([size * case.lam]) for own in models])
    # The rounding of dense inverses
    assert_allclose(values[0] - values[1], np.subtract(*dense), atol=1e-9)


def test_which_folds_are_separable():
    """Of one group that alone tells two columns apart nothing is left in a difference."""
    case = fold_case(5)
    assert case.groups().are_separable.all()
    a, b, _ = case.design.columns
    b[:] = np.where(case.fold == 3, b, 2.0 * a)
    again = replace(case, stats=accumulate(case.design))
    assert_array_equal(np.flatnonzero(~again.groups().are_separable), [3])


def test_which_models_have_one_search_for_all_folds():
    case = fold_case(6)
    folds = case.fold_of_level, case.totals
    found = fit_system(examined(case.stats, case.model), tol=1e-8, max_iter=100)
    both, rows = {"are_rows_predicted": False}, {"are_rows_predicted": True}
    assert whole_groups_of(case.stats, case.model, *folds, found, **rows) is not None
    assert whole_groups_of(case.stats, case.model, *folds, found, **both) is not None
    ended = replace(found, status=FitStatus.MAX_ITER)
    assert whole_groups_of(case.stats, case.model, *folds, ended, **both) is None
    none = replace(case.model, fixed=())
    found = fit_system(examined(case.stats, none), tol=1e-8, max_iter=100)
    assert whole_groups_of(case.stats, none, *folds, found, **both) is None
    term = found.solution.terms[0]
    terms = (replace(term, lam=1e9 * np.eye(2)),)
    far = replace(found, solution=replace(found.solution, terms=terms))
    assert whole_groups_of(case.stats, case.model, *folds, far, **both) is None
    for kind in ("dropped", "collinear"):
        own = fold_case(6, kind=kind)
        folds = own.fold_of_level, own.totals
        found = fit_system(examined(own.stats, own.model), tol=1e-8, max_iter=100)
        assert whole_groups_of(own.stats, own.model, *folds, found, **rows) is None
        assert whole_groups_of(own.stats, own.model, *folds, found, **both) is not None


def test_many_folds():
    assert not are_many_folds(60, 1)
    assert are_many_folds(61, 1)
    assert not are_many_folds(61, 2)


def test_pivots():
    """Matrices without a factor have no shares, and leave those of the others as they are."""
    good = np.array([[4.0, 2.0], [2.0, 2.0]])
    matrices = np.stack([good, np.ones((2, 2)), np.array([[1.0, 2.0], [2.0, 1.0]]), -good, good])
    matrices[4, 0, 1] = np.nan
    factors, shares = pivots_of(matrices, np.ones(5, dtype=bool))
    np.testing.assert_allclose(factors[0], np.linalg.cholesky(good))
    np.testing.assert_allclose(shares[0], [1.0, 0.5])
    # A matrix of rank 1 has a second pivot of rounding, if it has a factor at all
    assert (shares[1:4, 1] < 1e-15).all()
    assert not shares[4].any()
