"""One suite for all families: each is checked by its registry entry."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal

from skmixed._model.binomial import FAR, LINKS, SMALL
from skmixed._model.family import FAMILIES, LARGE_SHAPE, log_gamma_rise

# Weights of the central difference of eighth order; its error is h⁸ f⁽⁹⁾/630.
CENTRAL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
SHAPES = {False: [0.0], True: [-1.3, 0.9, np.log(LARGE_SHAPE) - 1e-9, 4.0, 9.0]}


def slope(function, x, h):
    return sum(w * (function(x + k * h) - function(x - k * h)) for k, w in CENTRAL.items()) / h


def each_family(test):
    return pytest.mark.parametrize("family", FAMILIES.values(), ids=map(str, FAMILIES))(test)


def responses(family, n, seed=3):
    rng = np.random.default_rng(seed)
    eta = rng.normal(0.2, 1.2, n)
    weights = rng.integers(1, 9, n).astype(float)
    trials = weights if family.name == "binomial" else np.ones(n)
    return family.draw(rng, eta, 0.7, trials), eta, weights


def log_densities(family, y, eta, phi, weights):
    """By SciPy's distributions, with all constants."""
    mean, shape = family.mean(eta), np.exp(phi)
    if family.name == "binomial":
        return scipy.stats.binom.logpmf(np.rint(weights * y), weights, mean)
    if family.name == "poisson":
        return scipy.stats.poisson.logpmf(y, mean)
    if family.name == "negative_binomial":
        return scipy.stats.nbinom.logpmf(y, shape, shape / (shape + mean))
    return scipy.stats.gamma.logpdf(y, shape, scale=mean / shape)


@each_family
def test_the_log_density_is_that_of_the_distribution(family):
    y, eta, weights = responses(family, 60)
    if family.name != "binomial":
        weights = np.ones(60)
    for phi in SHAPES[family.has_dispersion][:4]:
        own = weights @ family.derivatives(y, eta, phi, 0)[0] + family.constant(y, weights)
        expected = -log_densities(family, y, eta, phi, weights).sum()
        assert_allclose(own, expected, rtol=1e-11)  # SciPy's own gammaln near shape 50


@each_family
def test_without_a_shape_the_likelihood_is_linear_in_the_response(family):
    if family.has_dispersion:
        return
    y, eta, _ = responses(family, 60)
    mixed = family.derivatives(0.3 * y + 0.7 * y[::-1], eta, 0.0, 2)
    own, other = (family.derivatives(each, eta, 0.0, 2) for each in (y, y[::-1]))
    # The rounding of a sum of two
    assert_allclose(mixed, 0.3 * own + 0.7 * other, rtol=1e-12, atol=1e-13)


@each_family
def test_derivatives_in_eta_are_those_of_each_other(family):
    y, eta, _ = responses(family, 200)
    eta = np.concatenate([eta, np.linspace(-9.0, 3.0, 200)])
    y = np.concatenate([y, y])
    for phi in SHAPES[family.has_dispersion]:
        own = family.derivatives(y, eta, phi, 4)
        for order in range(4):
            expected = slope(lambda e, k=order, p=phi: family.derivatives(y, e, p, k)[k], eta, 0.02)
            scale = 1e-9 * (1.0 + np.abs(own[order]) + np.abs(own[order + 1]))
            assert (np.abs(own[order + 1] - expected) <= 50 * scale).all()
        for order in range(4):
            assert_allclose(family.derivatives(y, eta, phi, order), own[: order + 1], rtol=1e-14)


@each_family
def test_derivatives_by_the_shape(family):
    y, eta, _ = responses(family, 200)
    for phi in SHAPES[family.has_dispersion]:
        own = family.dispersion(y, eta, phi)
        expected = np.zeros((4, 200))
        if family.has_dispersion:
            expected = slope(lambda p: family.derivatives(y, eta, p, 3), phi, 0.01)
        scale = 1e-8 * (1.0 + np.abs(expected).max(axis=1, keepdims=True))
        assert (np.abs(own.first - expected) <= scale).all()
        if family.has_dispersion:
            expected = slope(lambda p: family.dispersion(y, eta, p).first[:3], phi, 0.01)
        assert (np.abs(own.second - expected[:3]) <= scale[:3] * np.exp(max(phi / 2, 0.0))).all()


@each_family
@pytest.mark.parametrize("eta", [-700.0, -40.0, 40.0, 700.0])
def test_far_linear_predictors_give_no_warnings_and_no_nan(family, eta):
    y = np.array([1.0, 0.5, 1.0])
    own = family.derivatives(y, np.full(3, eta), 0.3, 4)
    assert not np.isnan(own).any()
    assert not np.isnan(family.mean(np.array([eta]))).any()
    assert not np.isnan(family.dispersion(y, np.full(3, eta), 0.3).first).any()


@each_family
def test_information_is_not_negative(family):
    y, _, _ = responses(family, 300)
    for eta in (-30.0, -3.0, 0.0, 2.0, 20.0):
        assert (family.derivatives(y, np.full(300, eta), 0.4, 2)[2] >= 0.0).all()


@each_family
def test_draws_have_the_mean_and_the_variance(family):
    rng, n = np.random.default_rng(8), 200_000
    eta, phi = np.full(n, 0.4), 0.6
    weights = np.full(n, 4.0) if family.name == "binomial" else np.ones(n)
    y = family.draw(rng, eta, phi, weights)
    assert family.is_valid(y).all()
    mean = family.mean(eta)
    variance = family.variance(mean, phi)[0] / weights[0]
    # Four standard errors of each
    assert abs(y.mean() - mean[0]) < 4.0 * np.sqrt(variance / n)
    kurtosis = ((y - y.mean()) ** 4).mean()
    assert abs(y.var() - variance) < 4.0 * np.sqrt(kurtosis / n)


@each_family
def test_starts_are_finite_and_near_the_response(family):
    y, _, weights = responses(family, 500)
    y[: 3 if family.name != "gamma" else 0] = 0.0
    eta = family.start(y, weights)
    assert np.isfinite(eta).all()
    assert np.corrcoef(family.mean(eta), y)[0, 1] > 0.9
    assert np.isfinite(
        family.shape_by(family.shape_moments(y, family.mean(np.zeros(500)), weights))
    )


@each_family
@pytest.mark.parametrize("sd", [0.0, 0.1, 1.0, 4.7, 20.0])
def test_the_mean_over_a_normal_linear_predictor(family, sd):
    eta = np.array([-3.0, 0.0, 1.5])
    own = family.averaged(eta, np.full(3, sd**2))
    if family.link_name == "log":
        assert_allclose(own, np.exp(eta + sd**2 / 2.0), rtol=1e-14)
        return
    for k, center in enumerate(eta):
        expected, _ = scipy.integrate.quad(
            lambda z, c=center: family.mean(np.array([c + sd * z]))[0] * scipy.stats.norm.pdf(z),
            -9.0, 9.0, epsabs=1e-13, epsrel=1e-13, limit=400, points=[-center / max(sd, 0.4)],
        )  # fmt: skip
        assert_allclose(own[k], expected, atol=1e-11)


def test_the_mean_over_a_normal_depends_on_the_row_alone():
    link = LINKS["logit"]
    alone = link.averaged(np.array([0.3]), np.array([0.25]))
    with_others = link.averaged(np.array([0.3, 1.0]), np.array([0.25, 400.0]))
    assert_allclose(with_others[0], alone[0], atol=1e-13)


@pytest.mark.parametrize("name", ["logit", "probit", "cloglog"])
def test_links_are_the_inverse_of_means(name):
    eta = np.linspace(-5.0, 1.5, 40)
    # A number next to 0 among them has no digits of its own.
    assert_allclose(LINKS[name].link(LINKS[name].mean(eta)), eta, rtol=1e-12, atol=1e-14)


def test_the_far_tail_of_probit_joins_the_near_one():
    # At x the hazard is √(2/π)/erfcx(x/√2); its derivatives lose x² of the digits there.
    near, far = (LINKS["probit"].logs(np.array([x]), np.zeros(1), 4) for x in (FAR, FAR + 1e-9))
    assert_allclose(near, far, rtol=2e-6)
    x = np.array([30.0, 200.0, 700.0])
    own = LINKS["probit"].logs(x, np.zeros(3), 4)
    assert_allclose(own[1], x + 1 / x - 2 / x**3 + 10 / x**5, rtol=1e-8)
    assert_allclose(own[2], 1.0 - 1 / x**2 + 6 / x**4, rtol=1e-7)
    assert_allclose(own[3], 2 / x**3, rtol=2e-2)


def test_small_means_of_cloglog_join_the_others():
    at = np.log(SMALL)
    near, far = (LINKS["cloglog"].logs(np.array([at + d]), np.ones(1), 4) for d in (-1e-12, 1e-12))
    assert_allclose(near, far, rtol=1e-9)
    # −log μ = −η + t/2 − t²/24 …
    t = np.exp(-20.0)
    own = LINKS["cloglog"].logs(np.array([-20.0]), np.ones(1), 4)
    assert_allclose(own[:, 0], [20.0 + t / 2, -1.0 + t / 2, t / 2, t / 2, t / 2], rtol=1e-8)


def test_differences_of_log_gamma_join_at_large_shapes():
    y = np.array([0.0, 1.0, 7.0, 300.0])
    below, above = (log_gamma_rise(LARGE_SHAPE * (1 + d), y) for d in (-1e-13, 1e-13))
    for a, b in zip(below, above, strict=True):
        assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    # Γ(α + 2)/Γ(α) = α(α + 1): r' = 1 + α/(α + 1)
    value, rest, second = log_gamma_rise(1e9, np.array([2.0]))
    assert_allclose(value, np.log(1e9) + np.log(1e9 + 1.0), rtol=1e-15)
    assert_allclose(rest, 1.0 / (1e9 + 1.0), rtol=1e-9)
    assert_allclose(second, 1e9 / (1e9 + 1.0) ** 2, rtol=1e-9)


@pytest.mark.parametrize("phi", [14.0, 18.0, 25.0])
def test_derivatives_by_a_large_shape_have_no_rounding_of_the_counts(phi):
    # −log p is Poisson's less ((y − μ)² − y)/2α, but for terms of the order of 1/α²
    y, eta = np.array([0.0, 3.0, 40.0]), np.array([0.5, 1.0, 3.5])
    own, mu, small = FAMILIES["negative_binomial", "log"].dispersion(y, eta, phi), 0.0, np.exp(-phi)
    mu = np.exp(eta)
    expected = 0.5 * ((y - mu) ** 2 - y) * small
    assert_allclose(own.first[0], expected, rtol=1e-3)
    assert_allclose(own.second[0], -expected, rtol=1e-3)
    assert_allclose(own.first[1], (mu - y) * mu * small, rtol=1e-3)


@each_family
def test_tails_and_saturated_densities_are_those_of_the_distribution(family):
    y, eta, weights = responses(family, 80)
    trials = weights if family.name == "binomial" else np.ones(80)
    counts = np.rint(trials * y) if family.name == "binomial" else y
    for phi in SHAPES[family.has_dispersion][:4]:
        mean, shape = family.mean(eta), np.exp(phi)
        own = {
            "binomial": scipy.stats.binom(trials, mean),
            "poisson": scipy.stats.poisson(mean),
            "negative_binomial": scipy.stats.nbinom(shape, shape / (shape + mean)),
            "gamma": scipy.stats.gamma(shape, scale=mean / shape),
        }[family.name]
        below, above = family.tails(y, eta, phi, trials)
        last = counts if family.name == "gamma" else counts - 1.0
        assert_allclose(below, own.cdf(last), rtol=1e-9, atol=1e-15)  # of a μ next to 1
        assert_allclose(above, own.sf(counts), rtol=1e-9, atol=1e-15)
        # No mean is better than y itself, and those beside it are worse
        least = family.saturated(y, phi)
        assert (least <= family.derivatives(y, eta, phi, 0)[0] + 1e-12).all()
        inside = (y > 0.0) & ((y < 1.0) | (family.name != "binomial"))
        if family.link_name == "log":
            at = family.derivatives(y[inside], np.log(y[inside]), phi, 1)
            assert_allclose(least[inside], at[0], rtol=1e-13)
            assert_allclose(at[1], 0.0, atol=1e-10 * shape + 1e-10)


def test_the_logit_s_tails_keep_their_digits():
    """On the side of its response a row has loss and information e^−|η|, and slope ∓e^−|η|."""
    eta, y = np.array([40.0, -40.0, 200.0, -200.0]), np.array([1.0, 0.0, 1.0, 0.0])
    loss, slope, information = FAMILIES["binomial", "logit"].derivatives(y, eta, 0.0, 2)
    tail = np.exp(-np.abs(eta))
    assert_allclose(loss, tail, rtol=1e-14)
    assert_allclose(slope, -np.sign(eta) * tail, rtol=1e-14)
    assert_allclose(information, tail, rtol=1e-14)


def test_starts_do_not_depend_on_how_rows_are_laid_out():
    family, y = FAMILIES["binomial", "logit"], np.array([0.0, 1.0, 1.0])
    assert_array_equal(family.start(y, np.full(3, 4.0)), family.start(y, np.ones(3)))


@each_family
def test_working_residuals_are_slopes_over_weights_also_where_both_vanish(family):
    y, eta, _ = responses(family, 60)
    _, slope_, weight = family.derivatives(y, eta, 0.7, 2)
    assert_allclose(family.working_residual(y, eta, 0.7), -slope_ / weight, rtol=1e-9, atol=1e-12)
    # Of a response that a far η foretells the limit: neighbors tell whether it is one
    at = np.array([5.0, 12.0, 35.0, 39.0, 60.0, 690.0])
    for end, sign in ((1.0, 1.0), (0.0, -1.0)) if family.of_trials else ((0.0, -1.0),):
        if not family.is_valid(np.array([end])).all():
            continue
        found = family.working_residual(np.full(6, end), sign * at, 0.7)
        assert np.isfinite(found).all()
        assert (np.abs(np.diff(found)) <= np.abs(found[:-1])).all()
        _, slope_, weight = family.derivatives(np.full(1, end), sign * at[:1], 0.7, 2)
        assert_allclose(found[0], (-slope_ / weight)[0], rtol=1e-9)


def test_working_residuals_of_probit_are_those_of_mills_ratio():
    # φ/(1 − Φ) − x is x/(x² + 2 − …): at 40 by its asymptotic series, 1/40 − 2/40³ + 10/40⁵
    x = np.array([40.0])
    expected = 1.0 / (1.0 / x - 2.0 / x**3 + 10.0 / x**5)
    assert_allclose(LINKS["probit"].working_residual(-x, np.ones(1)), expected, rtol=1e-7)
    assert_allclose(LINKS["probit"].working_residual(x, np.zeros(1)), -expected, rtol=1e-7)
    # And of a success at +40, where s and W are 0 in floating point, 1/(g + η) is 1/η
    assert_allclose(LINKS["probit"].working_residual(x, np.ones(1)), 1.0 / x, rtol=1e-12)
