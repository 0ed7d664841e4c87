"""Likelihood profiles against those found by direct minimization (tests/reference)."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import Reference, references
from scipy.stats import chi2
from simulate import random_case

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._derivatives.information import information
from skmixed._derivatives.pinned import (
    PinnedCorrelation,
    PinnedSd,
    PinnedSigma,
    Profiled,
)
from skmixed._derivatives.trust_region import Point
from skmixed._equations.changes import with_pinned_effect
from skmixed._equations.cholesky import factorize
from skmixed._fitted.fitted_model import fitted
from skmixed._uncertainty import profile as profile_module
from skmixed._uncertainty.components import components
from skmixed._uncertainty.profile import Profiler, SigmaTarget, search
from skmixed._uncertainty.relative import Relative
from skmixed._uncertainty.targets import EffectTarget, SdTarget, interval
from skmixed.inference import confidence_intervals, profile

ML = [r for single in (True, False) for r in references(single_factor=single) if r.method == "ml"]
# Six variances and correlations take seconds: of one model twice, in other columns, the standard
# deviations and the correlations once. The others are those of any model.
PARTS = {
    "machines-random_machine-ml": ["sd"],
    "machines-random_machine_cells-ml": ["corr"],
}
RISE = float(chi2.ppf(0.95, 1))


def recorded_name(row):
    if row.component == "fixed":
        return row.name
    if row.component == "sigma":
        return "sigma"
    return f"{row.component}_{row.name}|{row.group}"


@pytest.mark.slow
@pytest.mark.parametrize("reference", ML, ids=str)
def test_intervals_are_those_of_direct_minimization(reference):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular and rank-deficient ones: asserted elsewhere
        model = reference.fitted()
        wanted = PARTS.get(str(reference))
        table = confidence_intervals(model, "profile", components=wanted).dropna(subset="lower")
    record = reference.fit["confint_profile_direct"]
    found = {recorded_name(row): row for row in table.itertuples(index=False, name="Row")}
    is_wanted = [wanted is None or _component(name) in wanted for name in record["names"]]
    names = [_ours(name, found) for name in np.array(record["names"])[is_wanted]]
    assert names
    ours = np.array([[found[n].lower, found[n].upper] for n in names])
    theirs = np.column_stack([record["lower"], record["upper"]]).astype(float)[is_wanted]
    # Both searches leave some 1e-6 of the rise: 5e-7 of a width. Near 0 the deviance is a function
    # of the variance, which is then known to that share of the width squared.
    width = np.ptp(theirs, axis=1, keepdims=True)
    is_sd = np.array([[_component(n) == "sd"] for n in np.array(record["names"])[is_wanted]])
    is_near = np.abs(ours - theirs) < 1e-6 * width
    assert (is_near | is_sd & (np.abs(ours**2 - theirs**2) < 1e-6 * width**2)).all()


def _component(name):
    kinds = {"cor_": "corr", "sd_": "sd", "sigma": "sigma"}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), "fixed")


def _ours(name, found):
    """Correlations are named by the later coefficient first, there."""
    if not name.startswith("cor_"):
        return name
    pair, group = name.removeprefix("cor_").split("|")
    wanted = sorted(pair.split("."))
    return next(n for n in found if n.endswith(f"|{group}") and _pair(n) == wanted)


def _pair(name):
    return sorted(name.removeprefix("corr_").split("|")[0].split(", "))


@pytest.mark.parametrize("seed", range(12))
def test_models_under_a_constraint_have_exact_derivatives(seed):
    """Gradient and Hessian against differences of the value, at random points."""
    rng = np.random.default_rng(seed)
    case = random_case(seed, n_terms=1 + seed % 3, structure="full", reml=False)
    lams = [lam + 0.5 * np.eye(len(lam)) for lam in case.lams(rng)]
    fac = case.factorized(lams)
    size = fac.lam[0].shape[0]
    likelihood = case.likelihood
    pinned_sd = PinnedSd(likelihood, 0.7, 0, rng.normal(size=size))
    for model in (Profiled(likelihood), PinnedSigma(likelihood, 1.3), pinned_sd):
        point = model.point(fac, 0.0, is_slow=False)
        assert isinstance(point, Point)
        step = 1e-4 * rng.normal(size=len(point.gradient))

        def value(scale, model=model, point=point, step=step):
            return model.value(factorize(fac.system, point.chart.moved(scale * step)))

        d = [value(s) for s in (-2, -1, 0, 1, 2)]
        # Differences of order h⁴; what is left is rounding of the criterion, 1e-12 / 1e-4.
        first = (8 * (d[3] - d[1]) - (d[4] - d[0])) / 12
        second = (16 * (d[3] + d[1]) - (d[4] + d[0]) - 30 * d[2]) / 12
        scale = np.abs(point.gradient * step).sum()
        assert point.gradient @ step == pytest.approx(first, abs=1e-6 * scale + 1e-11)
        size2 = np.abs(step) @ np.abs(point.hessian) @ np.abs(step)
        assert step @ point.hessian @ step == pytest.approx(second, abs=1e-3 * size2 + 1e-10)


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2, np.pi])
def test_a_pinned_correlation_stays(size, angle):
    rng = np.random.default_rng(size)
    to_user = rng.normal(size=(size, size))
    pinned = PinnedCorrelation(size - 1, 0, angle, to_user)
    lam, basis = pinned.chart(rng.normal(size=(size, size)))
    assert len(basis) == size * (size + 1) // 2 - 1
    moved = lam + np.tensordot(0.01 * rng.normal(size=len(basis)), basis, 1)
    covariance = to_user @ moved @ moved.T @ to_user.T
    corr = covariance[0, -1] / np.sqrt(covariance[0, 0] * covariance[-1, -1])
    # Rounding of a product of two unit vectors.
    assert corr == pytest.approx(np.cos(angle), abs=1e-14)
    assert pinned.admits(moved)
    again = to_user @ pinned.chart(moved)[0]
    assert_allclose(again @ again.T, covariance, rtol=1e-12, atol=1e-12)
    signs = np.ones((size, 1))
    signs[0] = -1.0
    negative = np.linalg.solve(to_user, signs * (to_user @ lam))
    # The sign of an uncorrelated coefficient is free where nothing else is tied to it.
    assert pinned.admits(negative) == (angle == np.pi / 2)
    if size > 2 and angle in (0.0, np.pi):
        return  # the rows of Λ may part in any direction
    h = 1e-6
    turned = PinnedCorrelation(size - 1, 0, angle + h, to_user).chart(lam)[0]
    half = h * pinned.turned(lam) @ lam.T
    # What the second derivative adds, and the rounding of what has a condition of some tens.
    assert_allclose(turned @ turned.T - lam @ lam.T, half + half.T, atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_a_pinned_effect_is_least_squares_with_an_offset(seed):
    case = random_case(seed, n_terms=1 + seed % 3, reml=False)
    lams = case.lams(np.random.default_rng(seed))
    fac = case.factorized(lams)
    v_inv = case.oracle.at(lams)["V_inv"]
    p, n = fac.system.n_fixed, len(case.oracle.y)
    center = fac.system.center if case.model.has_intercept else 0 * fac.system.center
    X, y = case.oracle.X - center[:-1], case.oracle.y - center[-1]
    if case.model.has_intercept:
        X[:, 0] = 1.0
    row = np.random.default_rng(seed).normal(size=p)
    system = with_pinned_effect(fac.system, row, 1, 0.8)
    found = factorize(system, fac.lam)
    # Minimize (y − Xβ)'V⁻¹(y − Xβ) with row'β = 0.8, by Lagrange's equations.
    system = np.block([[X.T @ v_inv @ X, row[:, None]], [row, np.zeros((1, 1))]])
    beta = np.linalg.solve(system, np.append(X.T @ v_inv @ y, 0.8))[:p]
    residual = y - X @ beta
    assert found.residual_squares == pytest.approx(residual @ v_inv @ residual, rel=1e-8)
    assert n == case.likelihood.dof


def test_slopes_of_profiles_are_their_derivatives():
    reference = Reference("sleepstudy", "random_slope", "ml")
    view = fitted(reference.fitted())
    profiler = Profiler.of(view.stats, view.model)
    targets = [
        (SdTarget(profiler, 0, 0), 30.0),
        (SdTarget(profiler, 0, 1), 4.0),
        (EffectTarget(profiler, np.array([1.0, 0.0])), 240.0),
        (EffectTarget(profiler, np.array([1.0, 9.0])), 360.0),
    ]
    for target, value in targets:
        h = 1e-3 * value
        up, down = target.at(value + h)[0], target.at(value - h)[0]
        # Second-order differences of searches that leave 1e-8.
        assert target.at(value)[1] == pytest.approx((up - down) / (2 * h), rel=1e-4)


def test_the_interval_of_a_prediction_is_one_of_its_effects():
    reference = Reference("sleepstudy", "random_slope", "ml")
    view = fitted(reference.fitted())
    profiler = Profiler.of(view.stats, view.model)
    low, high = interval(EffectTarget(profiler, np.array([1.0, 9.0])), profiler.deviance, RISE)
    assert low < view.solution.fixed @ [1, 9] < high


def test_errors_of_components_are_those_of_the_delta_method():
    """Against second differences of the deviance in (log sd, z, log σ) themselves."""
    reference = Reference("sleepstudy", "random_slope", "ml")
    view = fitted(reference.fitted())
    fac, likelihood = view.factorization, view.likelihood
    found = components(Relative.of(fac, likelihood))
    own = found.terms[0]
    at = np.array([*np.log(own.sd), np.arctanh(own.corr[1, 0]), np.log(found.sigma)])

    def deviance(t):
        sd, rho, sigma = np.exp(t[:2]), np.tanh(t[2]), np.exp(t[3])
        user = np.array([[sd[0], 0], [rho * sd[1], np.sqrt(1 - rho**2) * sd[1]]]) / sigma
        term = fac.system.terms[0][1]
        return PinnedSigma(likelihood, sigma).value(
            factorize(fac.system, (np.linalg.solve(term.to_user, user),))
        )

    h, eye = 1e-3, np.eye(4)
    hessian = np.array(
        [
            [
                deviance(at + h * (a + b))
                - deviance(at + h * (a - b))
                - deviance(at - h * (a - b))
                + deviance(at - h * (a + b))
                for a in eye
            ]
            for b in eye
        ]
    ) / (4 * h * h)
    errors = np.sqrt(np.diagonal(2 * np.linalg.inv(hessian)))
    # Differences with steps of 1e-3 on a log scale: 1e-5.
    assert_allclose(
        [*own.log_sd_error, own.z_error[1, 0], found.log_sigma_error], errors, rtol=1e-4
    )


def test_the_chart_s_hessian_is_that_of_the_criterion_at_the_boundary_too():
    case = random_case(5, structure="full", reml=True, n_terms=2)
    lams = case.lams(np.random.default_rng(5))
    lams[0][:] = 0.0
    fac = case.factorized(lams)
    info = information(fac, case.likelihood)
    hessian = info.hessian
    assert np.isfinite(hessian).all()
    assert_allclose(hessian, hessian.T, atol=1e-9 * np.abs(hessian).max())


def _barely_varying():
    """A crossed design whose second sd is estimated just above 0."""
    rng = np.random.default_rng(8)
    g, c = rng.permutation(np.arange(100) % 9), rng.integers(0, 6, 100)
    x, slope = rng.normal(5, 3, 100), rng.normal(0, 0.5, 9)
    y = x + slope[g] * x + 2 * rng.normal(size=100)
    y = y - (np.bincount(g, y) / np.bincount(g))[g] + 0.01 * rng.normal(size=100)
    return np.column_stack([g, c, x]), y


def test_the_end_above_an_sd_near_zero_is_found_in_a_few_searches():
    """Its log has a standard error of 13: a first guess of exp(2 · 13) is far off."""
    X, y = _barely_varying()
    model = MixedLinearRegressor([0, 1], fixed=[2], method="ml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular in the first factor
        view = fitted(model.fit(X, y))
    profiler = Profiler.of(view.stats, view.model)
    assert profiler.errors.terms[1].log_sd_error[0] > 10
    tried = []

    class Counted(SdTarget):
        def at(self, value):
            tried.append(value)
            return super().at(value)

    _, high = interval(Counted(profiler, 1, 0), profiler.deviance, RISE)
    assert len(tried) < 15
    rise = SdTarget(profiler, 1, 0).at(high)[0] - profiler.deviance
    # The last of Newton's steps leaves less than 1e-6 of the rise; the searches 1e-8.
    assert rise == pytest.approx(RISE, rel=1e-5)


class Curve:
    """A target with a known profile, (value − 1)², that jumps where one is given."""

    best, bounds = 1.0, (-np.inf, np.inf)

    def __init__(self, jump=np.inf):
        self.jump = jump

    def guess(self, errors):
        return self.best + 0.3 * errors

    def at(self, value):
        return (value - 1) ** 2 + 5.0 * (value > self.jump), 2 * (value - 1)

    def checked(self, value, found):
        return found

    def at_bound(self, value):
        return np.inf


def test_an_end_beyond_a_jump_of_the_profile_is_nan():
    root = np.sqrt(RISE)
    assert interval(Curve(), 0.0, RISE) == pytest.approx((1 - root, 1 + root), rel=1e-12)
    low, high = interval(Curve(jump=2.0), 0.0, RISE)
    assert low == pytest.approx(1 - root, rel=1e-12)
    assert np.isnan(high)


def test_a_search_starts_from_the_better_of_two_ends():
    """Of which the first, far off, comes first."""
    view = fitted(Reference("sleepstudy", "random_slope", "ml").fitted())
    profiler = Profiler.of(view.stats, view.model)
    far = tuple(1e3 * lam for lam in profiler.lam)
    model = Profiled(profiler.likelihood)
    best = search(profiler.system, [far, profiler.lam], model)
    alone = search(profiler.system, [profiler.lam], model)
    # Not merely the same minimum: the same steps to it.
    assert_array_equal(best.lam[0], alone.lam[0])


def _unlike_groups(seed):
    """A few large groups that are alike, and small ones that deviate: two valleys."""
    rng = np.random.default_rng(seed)
    n_large, n_small = rng.integers(2, 5), rng.integers(2, 12)
    sizes = np.r_[rng.integers(20, 80, n_large), rng.integers(1, 4, n_small)]
    g = np.repeat(np.arange(len(sizes)), sizes)
    large = rng.normal(size=n_large) * 0.02
    effects = np.r_[large, rng.normal(size=n_small) * rng.choice([1, 2, 3])]
    x = rng.normal(size=len(g))
    return g, x, effects[g] + 0.5 * x + rng.normal(size=len(g))


class OneVariance:
    """The deviance of y ~ x + (1 | g) with a quantity held, on a grid of the one variance."""

    RATIOS = np.concatenate([[0.0], np.exp(np.arange(-20.0, 25.0, 0.005))])

    def __init__(self, g, x, y):
        columns = np.column_stack([np.ones(len(y)), x, y])
        sums, n = np.zeros((g.max() + 1, 3)), np.bincount(g)
        np.add.at(sums, g, columns)
        # log|V| and [X y]'V⁻¹[X y] at each ratio
        grown = 1.0 + np.multiply.outer(self.RATIOS, n)
        taken = np.einsum("tj,ja,jb->tab", self.RATIOS[:, None] / grown, sums, sums)
        self.logdet, self.left = np.log(grown).sum(axis=1), columns.T @ columns - taken
        self.n = len(y)

    def least(self, kind, value=None):
        left, n = self.left, self.n
        if kind in (0, 1):  # an effect held
            a, b = kind, 1 - kind
            squares = left[:, 2, 2] - 2 * value * left[:, a, 2] + value**2 * left[:, a, a]
            squares -= (left[:, b, 2] - value * left[:, b, a]) ** 2 / left[:, b, b]
        else:
            beta = np.linalg.solve(left[:, :2, :2], left[:, :2, 2:])
            squares = left[:, 2, 2] - np.einsum("ta,tak->t", left[:, 2, :2], beta)
        with np.errstate(divide="ignore"):
            of_sd = np.inf if value is None else value**2 / self.RATIOS
        variance = {"sigma": value and value**2, "sd": of_sd}.get(kind, squares / n)
        with np.errstate(invalid="ignore"):
            return np.nanmin(self.logdet + n * np.log(2 * np.pi * variance) + squares / variance)


@pytest.mark.parametrize("seed", [1, 25, 81, 111, 135, 157])
def test_profiles_are_of_the_lowest_optimum_at_each_value(seed):
    """Of which another one takes over on the way to a limit."""
    g, x, y = _unlike_groups(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular
        model = MixedLinearRegressor("g").fit(pd.DataFrame({"x": x, "g": g}), y)
    table = confidence_intervals(model, "profile")
    exact = OneVariance(g, x, y)
    best = exact.least("free")
    for kind, row in zip(["sd", "sigma", 0, 1], table.itertuples(index=False), strict=True):
        for limit in (row.lower, row.upper):
            if limit > 0 or kind != "sd":
                # The grid is off by up to a step where an sd is held, less elsewhere.
                assert exact.least(kind, limit) - best == pytest.approx(RISE, rel=2e-3)


@pytest.mark.parametrize(
    ("seed", "kind", "side"), [(1009, "sigma", 0), (1084, "sd", 1)], ids=["sigma", "sd"]
)
def test_slopes_of_few_groups_are_searched_for_from_elsewhere(seed, kind, side):
    """A panel whose slopes differ within and between groups; limits were 1 to 3 % too far in."""
    rng = np.random.default_rng(seed)
    q, n = rng.integers(5, 12), rng.integers(3, 9)
    g, m = np.repeat(np.arange(q), n), rng.normal(size=q) * rng.choice([0.5, 1, 3])
    within = rng.normal(size=q * n) * rng.choice([0.3, 1])
    x = m[g] + within
    y = 1 + rng.normal() * within * 2 + rng.normal() * m[g] * 2
    y += (rng.normal(size=q) * rng.choice([0, 0.3]))[g] * x
    y += rng.normal(size=q * n) * rng.choice([0.3, 1])
    model = MixedLinearRegressor("g", random_slopes="x", method="ml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular
        view = fitted(model.fit(pd.DataFrame({"x": x, "g": g}), y))
    profiler = Profiler.of(view.stats, view.model)
    assert profiler.is_doubtful
    target = SigmaTarget(profiler) if kind == "sigma" else SdTarget(profiler, 0, 1)
    limit = interval(target, profiler.deviance, RISE)[side]
    assert target.profiler.is_thorough  # since a first limit had a lower optimum
    row = profiler.system.terms[0][1].to_user[1]
    model = {
        "sigma": PinnedSigma(profiler.likelihood, limit),
        "sd": PinnedSd(profiler.likelihood, limit, 0, row),
    }[kind]
    shapes = [np.eye(2), np.outer([1, 1], [1, 0]), np.outer([1, -1], [1, 0])]
    ends = [
        model.value(search(profiler.system, [(c * shape,)], model))
        for c in (0.1, 1.0, 10.0, 100.0)
        for shape in shapes
    ]
    assert min(ends) - profiler.deviance == pytest.approx(RISE, rel=1e-5)


@pytest.mark.parametrize("method", ["profile", "wald"])
@pytest.mark.parametrize("rows", [200, 60])  # 60 of 5 levels: from several starts
def test_correlations_of_columns_far_from_0_keep_their_limits(method, rows):
    """The angle between the effects falls as the distance from 0 grows."""
    rng = np.random.default_rng(1)
    group, x = np.arange(rows) % (20 if rows == 200 else 5), rng.normal(size=rows)
    effects = rng.normal(size=(20, 2))[group]
    y = 1 + 0.5 * x + effects[:, 0] + effects[:, 1] * x + rng.normal(size=rows)

    def angles(distance):
        X = pd.DataFrame({"x": x + distance, "g": group})
        model = MixedLinearRegressor("g", random_slopes="x").fit(X, y)
        row = confidence_intervals(model, method, components="corr").iloc[0]
        return distance * np.sqrt(2 * (1 + np.array([row.lower, row.estimate, row.upper])))

    far, further = angles(1e4), angles(1e6)
    # By the mean of the slopes over the distance, 1e-4.
    assert_allclose(angles(1e3), far, rtol=1e-3)
    # The squares are 2 distance² (1 + r): r itself is rounded to 2^-53, and Σ before it.
    assert_allclose(further**2, far**2, rtol=4e-3, atol=2 * 1e6**2 * np.finfo(float).eps)


def _equal_effects():
    """Six groups of which intercept and slope deviate alike, and a fit with a slope for each."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(6), 6), rng.normal(size=36)
    y = rng.normal(size=6)[g] * (1.0 + x) + rng.normal(size=6)[g] * x + 0.5 * rng.normal(size=36)
    return pd.DataFrame({"x": x, "g": g}), y


def test_independent_coefficients_stay_independent_in_searches_from_elsewhere():
    """As those of terms of their own, which are searched for from one start; lme4's limits."""
    X, y = _equal_effects()
    one = MixedLinearRegressor("g", random_slopes="x", covariance="diag", fixed=["x"]).fit(X, y)
    terms = [RandomEffect("g"), RandomEffect("g", "x", intercept=False)]
    two = MixedLinearRegressor(terms, fixed=["x"]).fit(X, y)
    profiler = Profiler.of(fitted(one).stats, fitted(one).model)
    assert profiler.is_doubtful
    found = [confidence_intervals(m, "profile")[["lower", "upper"]].to_numpy() for m in (one, two)]
    # Ends are found to some 1e-6 of a width.
    assert_allclose(found[0], found[1], rtol=1e-5)


def test_an_end_is_searched_for_from_elsewhere_once():
    """And where that ends no lower, values on the way to it have been one search each."""
    X, y = _equal_effects()
    view = fitted(MixedLinearRegressor("g", random_slopes="x", fixed=["x"]).fit(X, y))
    profiler = Profiler.of(view.stats, view.model)
    assert profiler.is_doubtful
    tried = []

    class Counted(SigmaTarget):
        def at(self, value):
            tried.append(self.profiler.is_thorough)
            return super().at(value)

    target = Counted(profiler)
    ends = interval(target, profiler.deviance, RISE)
    assert sum(tried) == 2
    assert len(tried) > 4
    thorough = interval(SigmaTarget(profiler.thorough()), profiler.deviance, RISE)
    # Newton's steps from other values on the way leave some 1e-7 of a width.
    assert_allclose(ends, thorough, rtol=1e-6)
    # What is searched for again at a value counts from then on
    (value, _), again = target._path.ends[0], (np.eye(2),)
    target._path.add(value, again)
    assert target._path.around(value)[0][1] is again


def test_models_without_a_coefficient_are_fitted_once(monkeypatch):
    X, y = _equal_effects()
    made = []
    own = profile_module.fit_system
    monkeypatch.setattr(
        profile_module, "fit_system", lambda *args, **kw: made.append(args) or own(*args, **kw)
    )
    model = MixedLinearRegressor("g", random_slopes="x", fixed=["x"]).fit(X, y)
    confidence_intervals(model, "profile", components="corr")
    profile(model, components="corr", n_points=1)
    assert len(made) == 4  # without the intercept and without the slope, for either table


def test_a_search_from_elsewhere_is_not_given_up_on_a_long_way():
    """Of weighted rows in few groups: the lower optimum is more than eight steps from any start."""
    rng = np.random.default_rng(65)
    q, n = rng.integers(4, 15), rng.integers(3, 9)
    g = np.repeat(np.arange(q), n)
    means = rng.normal(size=q) * rng.choice([0.5, 1, 3])
    within = rng.normal(size=q * n) * rng.choice([0.3, 1])
    x = means[g] + within
    z = rng.normal(size=q * n) + rng.choice([0, 2]) * rng.normal(size=q)[g]
    y = 1 + rng.normal() * within * 2 + rng.normal() * means[g] * 2 + rng.normal() * z
    y += (rng.normal(size=q) * rng.choice([0, 0.3, 1]))[g] * x
    y += (rng.normal(size=q) * rng.choice([0, 0.3, 1]))[g] * z
    y += (rng.normal(size=q) * rng.choice([0, 0.5, 2]))[g] + rng.normal(size=q * n) * rng.choice(
        [0.3, 1]
    )
    rng.integers(0, 6, q * n)
    weights = rng.choice([0.2, 1, 5], q * n)
    model = MixedLinearRegressor("g", random_slopes="x", fixed=["x"], method="ml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular
        view = fitted(model.fit(pd.DataFrame({"x": x, "g": g}), y, sample_weight=weights))
    profiler = Profiler.of(view.stats, view.model)
    target = SdTarget(profiler, 0, 1)
    # Along the first optimum the deviance has risen enough at 1.57; the other one is lower there
    assert target.at(1.6)[0] - profiler.deviance > RISE
    high = interval(target, profiler.deviance, RISE)[1]
    assert high > 4.0
    # As of searches from other starts.
    row = profiler.system.terms[0][1].to_user[1]
    model = PinnedSd(profiler.likelihood, high, 0, row)
    ends = [search(profiler.system, [(c * np.eye(2),)], model) for c in (0.1, 1.0, 10.0)]
    least = min(model.value(end) for end in ends)
    assert least - profiler.deviance == pytest.approx(RISE, rel=1e-5)
