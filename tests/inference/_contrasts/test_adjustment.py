import numpy as np
import pytest
from scipy import stats as distributions

from skmixed.inference._contrasts.adjustment import ADJUSTMENTS, NONE, FamilyOfTests

SEED = np.random.SeedSequence(0)


def family(t, df=12.0, correlation=None, n_cells=3):
    t = np.array(t, dtype=float)
    correlation = np.eye(len(t)) if correlation is None else correlation
    return FamilyOfTests(t, np.full(len(t), df), correlation, n_cells, SEED)


def p_of(name, own):
    return ADJUSTMENTS[name].of(own, 0.95)[0]


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_adjusted_p_values_are_larger_and_keep_the_order(name):
    own = family([0.3, -2.9, 1.7, -2.2, 4.0, 0.9])
    p = p_of(name, own)
    plain = NONE.of(own, 0.95)[0]
    assert (p >= plain).all()
    assert (p <= 1.0).all()
    order = np.argsort(plain)
    assert (np.diff(p[order]) >= 0).all()


@pytest.mark.parametrize("name", [name for name in ADJUSTMENTS if not ADJUSTMENTS[name].steps])
def test_intervals_and_p_values_agree(name):
    """An interval of level 1 − p ends at 0."""
    own = family([2.4, 2.8, 1.9])  # at most 1 by all
    p = p_of(name, own)
    for k in range(3):
        half = ADJUSTMENTS[name].of(own, 1.0 - p[k])[1]
        np.testing.assert_allclose(half[k], own.t[k], rtol=1e-7)


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_a_family_of_one_is_not_adjusted(name):
    found = ADJUSTMENTS[name].of(family([2.1], n_cells=2), 0.9)
    expected = [2.0 * distributions.t.sf(2.1, 12.0), distributions.t.isf(0.05, 12.0)]
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_what_is_not_estimable_is_nan_and_counts_as_in_emmeans(name):
    own = family([2.4, np.nan, 1.9])
    p, half = ADJUSTMENTS[name].of(own, 0.95)
    assert np.isnan([p[1], half[1]]).all()
    assert not np.isnan([*p[[0, 2]], *half[[0, 2]]]).any()
    nothing = ADJUSTMENTS[name].of(family([np.nan, np.nan]), 0.95)
    assert np.isnan(nothing).all()


def test_holm_counts_what_is_not_estimable():
    p = np.array([2.0 * distributions.t.sf(t, 12.0) for t in (2.4, 1.9)])
    found = p_of("holm", family([2.4, np.nan, 1.9]))
    np.testing.assert_allclose(found[[0, 2]], [3 * p[0], max(3 * p[0], 2 * p[1])], rtol=1e-12)


def test_benjamini_and_hochberg_is_scipys():
    own = family([2.4, 0.3, 1.9, 3.3, 3.3])
    plain = NONE.of(own, 0.95)[0]
    expected = distributions.false_discovery_control(plain)
    np.testing.assert_allclose(p_of("fdr_bh", own), expected, rtol=1e-12)


def test_intervals_of_methods_by_steps_are_bonferronis():
    own = family([2.4, 0.3, 1.9])
    for name in ("holm", "fdr_bh"):
        half = ADJUSTMENTS[name].of(own, 0.95)[1]
        np.testing.assert_allclose(half, ADJUSTMENTS["bonferroni"].of(own, 0.95)[1])


def test_scheffe_counts_dimensions():
    rows = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)], [-0.5, np.sqrt(0.75)]])
    own = family([2.4, 0.3, 1.9], correlation=rows @ rows.T)
    assert own.rank == 2
    expected = distributions.f.sf(own.t**2 / 2, 2, 12)
    np.testing.assert_allclose(p_of("scheffe", own), expected, rtol=1e-12)


def test_infinite_degrees_of_freedom_are_normal():
    own = family([2.4, 0.3, 1.9], df=np.inf)
    many = family([2.4, 0.3, 1.9], df=1e8)
    for name in ADJUSTMENTS:
        # Tails of t and normal ones differ by x⁴/4df of themselves; more degrees of freedom are
        # less exact in SciPy 1.13.
        np.testing.assert_allclose(p_of(name, own), p_of(name, many), rtol=1e-6)


def test_degrees_of_freedom_are_those_of_each_comparison():
    own = FamilyOfTests(np.array([2.0, 2.0]), np.array([3.0, 300.0]), np.eye(2), 2, SEED)
    for name in ADJUSTMENTS:
        p = p_of(name, own)
        assert p[0] > p[1]
