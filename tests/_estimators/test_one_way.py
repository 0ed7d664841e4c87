"""The one-way model: the dense oracle, lme4, and the limit without residual."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracle import DenseModel
from reference_fits import references

from skmixed._estimators.one_way import NEARLY_NOTHING, one_way
from skmixed._model.structures import STRUCTURES

# Optima of a smooth function, found to a few roundings of the criterion.
OPTIMUM = 1e-6

ONE_WAY = [r for r in references(single_factor=True) if r.model == "one_way"]


def simulate(seed, *, ratio=1.0, q=8, n=40):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(q), rng.integers(0, q, n - q)]).astype(np.intp)
    return codes, 3.0 + ratio * rng.normal(size=q)[codes] + rng.normal(size=n)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_dense_oracle(seed, reml):
    codes, y = simulate(seed, ratio=(0.0, 0.5, 3.0)[seed % 3])
    result = one_way(codes, 8, y, reml=reml)
    ones = np.ones((len(y), 1))
    dense = DenseModel(ones, y, [(codes, 8, ones)], reml=reml)
    lam = np.array([[result.smooth**-0.5]])
    found = dense.at([lam])
    # The levels at the estimated ratio are exact; the ratio is an optimum.
    assert_allclose(result.mean, found["beta"][0], rtol=1e-10)
    assert_allclose(result.levels, found["beta"][0] + found["effects"][0][:, 0], rtol=1e-10)
    best = dense.minimum([1], [STRUCTURES["full"]], [np.array([t]) for t in (0.01, 1.0, 3.0)])
    assert found["criterion"] <= best + 1e-8


def test_there_are_reference_fits():
    assert {r.dataset for r in ONE_WAY} >= {"dyestuff", "dyestuff2", "rail"}


@pytest.mark.parametrize("reference", ONE_WAY, ids=str)
def test_lme4(reference):
    group = reference.terms[0]["group"]
    levels, codes = np.unique(reference.frame[group].astype(str), return_inverse=True)
    y = reference.y.to_numpy(float)
    result = one_way(codes, len(levels), y, reml=reference.method == "reml")
    fit = reference.fit
    mean, effects = fit["fixef"]["values"][0], fit["ranef"][0]
    by_level = dict(zip(effects["levels"], np.ravel(effects["values"]), strict=True))
    assert_allclose(result.mean, mean, rtol=OPTIMUM)
    assert_allclose(result.levels, [mean + by_level[v] for v in levels], rtol=OPTIMUM)
    assert_allclose(1 / result.smooth, fit["theta"][0] ** 2, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_means_are_shrunken_as_if_by_further_rows(seed):
    codes, y = simulate(seed)
    result = one_way(codes, 8, y, reml=True)
    n = np.bincount(codes)
    expected = (np.bincount(codes, y) + result.smooth * result.mean) / (n + result.smooth)
    assert_allclose(result.levels, expected, rtol=1e-10)


def test_levels_without_rows_get_the_mean_and_change_nothing():
    codes, y = simulate(0)
    plain = one_way(codes, 8, y, reml=True)
    result = one_way(codes + 1, 11, y, reml=True)
    assert_allclose(result.levels[1:9], plain.levels, rtol=1e-10)
    assert_array_equal(result.levels[[0, 9, 10]], result.mean)


def test_no_variance_between():
    y = np.tile([1.0, 2.0, 6.0], 4)
    result = one_way(np.repeat(np.arange(4), 3), 4, y, reml=True)
    assert result.smooth == np.inf
    assert_allclose(result.levels, 3.0, rtol=1e-14)


@pytest.mark.parametrize("codes", [[0, 0, 0], [2, 1, 0], [1], []], ids=str)
def test_nothing_to_tell_the_variances_apart(codes):
    codes = np.array(codes, dtype=np.intp)
    assert one_way(codes, 3, np.arange(len(codes), dtype=float), reml=True) is None


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_y_constant_within_levels(offset):
    codes = np.array([0, 0, 0, 1, 1, 3])
    values = offset + np.array([1.0, 2.0, np.nan, 6.0])
    result = one_way(codes, 4, values[codes], reml=True)
    assert result.smooth == 0.0
    # μ̂ is the mean over levels, not over rows.
    assert_allclose(result.mean, offset + 3.0, rtol=1e-14)
    assert_allclose(result.levels, offset + np.array([1.0, 2.0, 3.0, 6.0]), rtol=1e-14)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 / 3, -1e-300])
def test_y_constant(value):
    result = one_way(np.arange(30) % 4, 4, np.full(30, value), reml=True)
    assert result.smooth == 0.0
    assert_allclose(result.levels, value, rtol=1e-14)


@pytest.mark.parametrize("reml", [True, False])
def test_the_limit_continues_the_optimum(reml):
    """On both sides of the switch the estimates follow the same law."""
    rng = np.random.default_rng(0)
    codes = np.arange(60) % 7
    b, e = rng.normal(size=7), rng.normal(size=60)
    found = []
    for share in (NEARLY_NOTHING * 4, NEARLY_NOTHING / 4):
        size = share**0.5
        result = one_way(codes, 7, b[codes] + size * e, reml=reml)
        own = np.bincount(codes, b[codes] + size * e) / np.bincount(codes)
        shrinkage = (result.levels - result.mean) / (own - result.mean)
        assert_allclose(1 - shrinkage, result.smooth / np.bincount(codes), rtol=1e-4)
        found.append(result.smooth / share)
    # The ratio depends on the share to first order in it (1e-8), on the sampling of e with b in
    # ȳ_j by its root, and the optimum is good to that root too.
    assert_allclose(found[0], found[1], rtol=2e-3)


@pytest.mark.parametrize("power", [-900, -300, 300, 900])
def test_any_scale_of_y(power):
    """A power of 2 changes no digit, also where squares would overflow or vanish."""
    codes, y = simulate(1)
    plain = one_way(codes, 8, y, reml=True)
    scaled = one_way(codes, 8, np.ldexp(y, power), reml=True)
    assert_array_equal(scaled.levels, np.ldexp(plain.levels, power))
    assert scaled.smooth == plain.smooth


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    ratio=st.sampled_from([0.0, 0.3, 1.0, 100.0, 1e6]),
    noise=st.sampled_from([0.0, 1e-7, 1.0]),
    offset=st.sampled_from([0.0, -5.0, 1e8]),
    reml=st.booleans(),
)
def test_levels_lie_within_the_data(seed, ratio, noise, offset, reml):
    rng = np.random.default_rng(seed)
    q, n = int(rng.integers(2, 12)), int(rng.integers(3, 30))
    codes = rng.integers(0, q, n)
    y = ratio * rng.normal(size=q)[codes] + noise * rng.normal(size=n) + offset
    result = one_way(codes, q, y, reml=reml)
    if result is None:
        return
    slack = 1e-9 * max(1.0, np.abs(y).max())
    assert result.has_converged
    assert result.levels.min() >= y.min() - slack
    assert result.levels.max() <= y.max() + slack
    assert result.smooth >= 0
