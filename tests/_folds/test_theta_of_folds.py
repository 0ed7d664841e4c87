"""Estimates without each of many folds: which of them are left to fits of their own."""

import numpy as np
import pytest

from skmixed._derivatives.criterion import lay_out
from skmixed._folds.theta_of_folds import at_own_tau
from skmixed._folds.totals import FoldTotals
from skmixed._folds.whole_groups import WholeGroups
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign

Q, PER, LAM = 20, 5, (np.eye(2),)


@pytest.fixture
def groups():
    """A random intercept and slope; each group is a fold."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(Q), PER)
    x, effects = rng.normal(size=len(codes)), rng.normal(size=(Q, 2))
    y = effects[codes, 0] + effects[codes, 1] * x + rng.normal(size=len(codes))
    design = Design((x,), (y,), None, (FactorDesign(codes, Q, (0, 1)),))
    stats = accumulate(design)
    model = Model((0, 1), (Term(0, (0, 1), STRUCTURES["diag"]),), reml=True)
    system, likelihood = lay_out(stats, model)
    totals = FoldTotals.of(design, codes, Q, stats)
    return WholeGroups.of(stats, model, system, likelihood, np.arange(Q), totals, LAM)


def test_a_direction_without_information_is_left_to_fits(groups):
    assert not at_own_tau(groups, LAM, np.diag([1.0, 0.0])).are_sure.any()


def test_a_singular_covariance_is_left_to_fits(groups):
    found = at_own_tau(groups, (np.diag([1.0, 0.0]),), np.eye(2))
    assert not found.are_sure.any()
