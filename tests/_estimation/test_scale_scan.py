"""The criterion along the scale of some effects is that of the factor at each scale."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulate import random_case

from skmixed._derivatives.dense_factor import factorize_dense
from skmixed._derivatives.dense_system import DenseSystem
from skmixed._derivatives.objectives import DenseObjective
from skmixed._equations.cholesky import factorize
from skmixed._estimation.large_search import POOLED
from skmixed._estimation.scale_scan import (
    EffectsProfile,
    ScaleScan,
    Valley,
    VarianceProfile,
    refined,
)

seeds = st.integers(0, 10**6)
RATIOS = np.array([1e-3, 0.3, 1.0, 5.0, 400.0])


@given(seed=seeds, n_terms=st.integers(1, 3), is_zero=st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_scale_of_one_term(seed, n_terms, is_zero):
    case = random_case(seed, n_terms=n_terms)
    system, likelihood = case.laid_out
    dense, rng = DenseSystem.of(system), np.random.default_rng(seed)
    lams = [
        t.term.structure.lam(rng.normal(size=t.term.structure.n_theta(t.size)), t.size)
        for _, t in system.terms
    ]
    if is_zero:
        lams[0] = np.zeros_like(lams[0])
    objective = DenseObjective(dense, likelihood)
    objective.evaluate(tuple(lams))
    factor = objective.factor
    term = dense.terms[0]
    own = np.arange(term.columns.start, term.columns.stop)
    shape = np.ones(len(own)) if is_zero else factor.strengths[own]
    profile = EffectsProfile.of(objective, own, shape)
    for ratio, value in zip(RATIOS, profile.values(RATIOS), strict=True):
        lams[0] = np.sqrt(ratio) * (term.white if is_zero else factor.lam[0])
        there = likelihood.value(factorize_dense(dense, tuple(lams)))
        assert value == pytest.approx(there, rel=1e-9)


@given(seed=seeds)
@example(seed=664)  # the largest difference of some hundred
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_one_variance(seed):
    case = random_case(seed, structure="spherical")
    system, likelihood = case.laid_out
    ((_, term),) = system.terms
    profile = VarianceProfile.of(system, likelihood)
    for ratio, value in zip(RATIOS, profile.values(RATIOS), strict=True):
        lam = np.sqrt(ratio) * np.eye(term.size)
        # Levels whose weights differ by some percent are pooled: half of what two points of
        # the criterion may differ by.
        there = likelihood.value(factorize(system, (lam,)))
        assert value == pytest.approx(there, abs=0.5 * POOLED)


class TwoValleys:
    """(log c − a)² (log c − b)² about two points."""

    eigenvalues = np.ones(1)

    def __init__(self, first, second):
        self.first, self.second = first, second

    def values(self, ratios):
        with np.errstate(divide="ignore"):
            t = np.maximum(np.log(ratios), -30.0)
        return (t - self.first) ** 2 * (t - self.second) ** 2 + 1e-2 * t


def test_both_of_two_valleys_are_found_and_refined():
    profile = TwoValleys(-2.0, 3.0)
    found = [refined(profile, valley) for valley in ScaleScan.of(profile).valleys]
    assert len(found) == 2
    assert found[0].value < found[1].value
    # To an eighth of a step of the grid, made finer three times.
    assert np.log(found[0].ratio) == pytest.approx(-2.0, abs=0.01)
    assert np.log(found[1].ratio) == pytest.approx(3.0, abs=0.01)


def test_the_lower_end_is_not_refined():
    assert refined(TwoValleys(0.0, 1.0), Valley(1.0, 0.0, 0.0)) == Valley(1.0, 0.0, 0.0)


class OneValley:
    """A pair of logistic curves, which fall and rise once."""

    eigenvalues = np.array([0.5, 2.0])

    def values(self, ratios):
        return 9.0 * np.log1p(ratios) - 12.0 * np.log1p(2.0 * ratios / (1.0 + ratios))


def test_what_is_not_a_single_valley_is_bent():
    assert not ScaleScan.of(OneValley()).is_bent
    assert ScaleScan.of(TwoValleys(-2.0, 0.0)).is_bent
    assert not ScaleScan(np.arange(1.0), np.array([0.0, np.inf])).is_bent
