"""Draws of effects given the data, against integrals of their density over fine grids.

The trapezoidal rule converges geometrically: the grids are exact to 1e-7 and less. Over N draws
a mean has the error sd/√N, and a share at most 1/√4N; five of these errors are allowed, of which
none is expected beyond among some hundred numbers. A normal deviation is linear in the numbers
drawn: unit vectors in their place give its root.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from generalized_models import GeneralizedCase, random_generalized
from numpy.testing import assert_allclose
from unit_noise import UnitNoise

from skmixed import MixedLogisticClassifier
from skmixed._generalized.draws import (
    Envelope,
    LevelDensities,
    exact_deviation,
    generalized_deviation,
    has_exact_draws,
    normal_deviation,
)
from skmixed._generalized.optimum import GeneralizedModel
from skmixed._model.family import FAMILIES
from skmixed.datasets import load_toenail

N = 10_000
POINTS = {1: 2001, 2: 161, 3: 61}
PROBABILITIES = np.array([0.02, 0.2, 0.5, 0.8, 0.98])


def few_rows(family, size, q=6, n=24, seed=3):
    """Levels of four rows with large effects: their densities are far from normal."""
    rng = np.random.default_rng(seed)
    codes, x = np.arange(n) % q, rng.normal(size=(2, n))
    z = np.array([np.ones(n), *x])[:size]
    eta = -0.5 + 0.5 * x[0] + (1.5 * rng.normal(size=(size, q))[:, codes] * z).sum(axis=0)
    weights = rng.integers(1, 4, n).astype(float) if family[0] == "binomial" else None
    own = np.ones(n) if weights is None else weights
    y = FAMILIES[family].draw(rng, eta, 0.8, own)
    terms = [(0, (0, 1, 2)[:size], "full")]
    return GeneralizedCase.of([*x], [codes], terms, y, family, weights)


def densities(case, size, sd=1.5):
    """At the parameters that the rows were drawn with, so that no variance is 0."""
    lam = sd * (np.eye(size) + 0.3 * np.tril(np.ones((size, size)), -1))
    system = case.layout.system
    own = GeneralizedModel(
        case.model,
        case.layout,
        (lam, np.append(np.full(system.n_fixed, -0.1), [0.8] * system.n_shape)),
        1,
        case.stats,
        case.given,
    )
    return LevelDensities.of(own.found.mode)


def repeated(own, times):
    """Each level many times, so that one draw of all is many draws of each."""
    rows, q = own.rows, len(own.center)
    codes = (rows.codes + q * np.arange(times)[:, None]).ravel()
    names = ("response", "weights", "eta")
    arrays = {name: np.tile(getattr(rows, name), times) for name in names}
    rows = replace(rows, columns=np.tile(rows.columns, times), codes=codes, **arrays)
    center, root = np.tile(own.center, (times, 1)), np.tile(own.root, (times, 1, 1))
    return replace(own, rows=rows, center=center, root=root)


def on_grid(own, level, middle, spread):
    """Points u, (k, s), and their probabilities, of one level, ten spreads around a middle."""
    size = own.lam.shape[1]
    steps = np.linspace(-10.0, 10.0, POINTS[size])
    axes = [m + steps * sd for m, sd in zip(middle, spread, strict=True)]
    u = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, size)
    rows, at = own.rows, np.flatnonzero(own.rows.codes == level)
    log = -0.5 * (u**2).sum(axis=1)
    for i in at:
        eta = rows.eta[i] + u @ own.lam.T @ rows.columns[:, i]
        y = np.full(len(u), rows.response[i])
        log -= rows.weights[i] * rows.family.derivatives(y, eta, rows.phi, 0)[0]
    p = np.exp(log - log.max())
    return u, p / p.sum()


def check_draws(own, drawn):
    """Compare draws, (N, q, s), of all levels with their densities."""
    for level in range(drawn.shape[1]):
        u, p = on_grid(own, level, drawn[:, level].mean(axis=0), drawn[:, level].std(axis=0))
        mean, size = p @ u, u.shape[1]
        errors = 5.0 / np.sqrt(len(drawn))
        sd = np.sqrt(p @ (u - mean) ** 2)
        assert (np.abs(drawn[:, level].mean(axis=0) - mean) < errors * sd).all()
        for a, c in product(range(size), repeat=2):
            values = (u[:, a] - mean[a]) * (u[:, c] - mean[c])
            found = (drawn[:, level, a] - mean[a]) * (drawn[:, level, c] - mean[c])
            spread = np.sqrt(p @ values**2 - (p @ values) ** 2)
            assert abs(found.mean() - p @ values) < errors * spread
        # Shares below points between those of the grid, where sums of p are the integral
        for a in range(size):
            points, at = np.unique(u[:, a], return_inverse=True)
            below = np.cumsum(np.bincount(at.ravel(), p))
            ends = (points[1:] + points[:-1]) / 2.0
            near = np.searchsorted(below, PROBABILITIES).clip(0, len(ends) - 1)
            found = (drawn[:, level, a, None] < ends[near]).mean(axis=0)
            # Sums up to an end have the midpoint rule's error, h²/24 of the density's slope
            step = (points[1] - points[0]) / sd[a]
            assert (np.abs(found - below[near]) < errors / 2.0 + step**2 / 12.0).all()


@pytest.mark.parametrize(
    ("size", "family"),
    [
        *product((1, 2), FAMILIES),
        # Three coefficients are drawn as two are, whatever the family
        *product((3,), [("binomial", "logit"), ("negative_binomial", "log")]),
    ],
    ids=str,
)
def test_effects_have_their_density(family, size):
    n = {1: N, 2: N, 3: N // 4}[size]
    own = densities(few_rows(family, size, q=3, n=24 if size == 3 else 12), size)
    drawn = repeated(own, n).draw(np.random.default_rng(size))
    check_draws(own, drawn.reshape(n, -1, size))


@pytest.mark.parametrize("size", [1, 2])
def test_the_center_needs_not_be_the_mode(size):
    own = densities(few_rows(("binomial", "logit"), size), size)
    away = replace(own, center=own.moved(np.full((6, size), 0.4)))
    assert (Envelope.of(away).slack > 0.02).any(axis=1).all()
    drawn = repeated(away, N).draw(np.random.default_rng(4))
    check_draws(own, drawn.reshape(N, -1, size))


@pytest.mark.parametrize("is_normal", [False, True])
def test_no_envelope_is_below_the_density(is_normal):
    own = densities(few_rows(("binomial", "logit"), 2), 2)
    envelope = replace(Envelope.of(own), is_normal=np.full(6, is_normal))
    rng = np.random.default_rng(1)
    for _ in range(200):
        u, height = envelope.propose(own, rng)
        # Rounding of g
        assert (own.at(u)[0] - envelope.base + height).min() > -1e-12


def test_a_level_without_information_is_normal():
    case = few_rows(("poisson", "log"), 2)
    own = densities(case, 2, sd=0.0)
    assert Envelope.of(own).is_normal.all()
    drawn = repeated(own, N).draw(np.random.default_rng(2)).reshape(N, -1)
    assert_allclose(np.cov(drawn.T), np.eye(12), atol=5.0 * np.sqrt(2.0 / N))


def model_of(case, **options):
    solution = case.fit(**options).solution
    return GeneralizedModel.of(case.stats, case.model, case.given, solution)


@pytest.mark.parametrize("n_nodes", [1, 9])
def test_fixed_effects_have_the_curvature_of_the_likelihood(n_nodes):
    case = random_generalized(4, ("negative_binomial", "log"), shape=(12,))
    own = model_of(case, n_nodes=n_nodes)
    objective, (lam, rest) = own.objective_of(own.layout.system), own.lam
    # β = Fγ: steps of one standard deviation along each column of the root are of size 1
    steps = np.linalg.solve(own.layout.basis, own.conditional_root)

    def value(step):
        return objective.evaluate((lam, rest + np.append(step, 0.0))) / 2.0

    h = 0.05
    at = [value(h * s) + value(-h * s) - 2.0 * value(0.0 * s) for s in steps.T]
    # Differences of second order: h²/12 of fourth derivatives, below 1 here
    assert_allclose(np.array(at) / h**2, 1.0, atol=1e-3)
    pair = steps[:, 0] + steps[:, 1]
    assert_allclose(
        (value(h * pair) + value(-h * pair) - 2.0 * value(0.0 * pair)) / h**2, 2.0, atol=4e-3
    )


def test_many_rows_a_level_make_them_normal():
    case, n = random_generalized(4, ("poisson", "log"), shape=(3,), n=1500), 300
    own = model_of(case)
    found = []
    for draw in (exact_deviation, normal_deviation):
        rng = np.random.default_rng(0)
        draws = [draw(own, rng) for _ in range(n)]
        found.append(np.array([np.append(d.effects[0].ravel(), d.fixed) for d in draws]))
    exact, normal = found
    sd = normal.std(axis=0)
    # Both have errors; and the effects of levels go with the fixed ones
    assert (np.abs(exact.mean(axis=0) - normal.mean(axis=0)) < 5.0 * sd * np.sqrt(2.0 / n)).all()
    assert_allclose(exact.std(axis=0) / sd, 1.0, atol=5.0 / np.sqrt(n))
    assert_allclose(np.corrcoef(exact.T), np.corrcoef(normal.T), atol=5.0 * np.sqrt(2.0 / n))


def test_which_models_have_exact_draws():
    assert has_exact_draws(model_of(random_generalized(4, ("poisson", "log"), shape=(12,))))
    two = model_of(random_generalized(4, ("poisson", "log"), shape=(12, 5)))
    assert not has_exact_draws(two)
    first = generalized_deviation(two, np.random.default_rng(1))
    second = normal_deviation(two, np.random.default_rng(1))
    assert_allclose(first.fixed, second.fixed, rtol=0)


def joint_covariance(case, solution, weights):
    """Of (b, β): the inverse of [Z X]'W[Z X] + diag(Σ⁻¹, 0), in the user's columns."""
    oracle, lams = case.oracle, [term.lam for term in solution.terms]
    rooted = np.concatenate([oracle.root(lams), oracle.x], axis=1)
    c = rooted.T @ (weights[:, None] * rooted)
    n = rooted.shape[1] - oracle.x.shape[1]
    c[np.arange(n), np.arange(n)] += 1.0
    back, start = np.eye(len(c)), 0
    for (_, _, q), lam in zip(oracle.terms, lams, strict=True):
        for _ in range(q):
            stop = start + len(lam)
            back[start:stop, start:stop] = lam
            start = stop
    return back @ np.linalg.solve(c, back.T)


@pytest.mark.parametrize(
    ("structure", "nested"),
    [("full", False), ("diag", True), ("spherical", False), ("compound_symmetry", True)],
)
@pytest.mark.parametrize(
    "family", [("binomial", "logit"), ("poisson", "log"), ("negative_binomial", "log")]
)
def test_deviations_have_the_covariance_of_the_mixed_model_equations(family, nested, structure):
    case = random_generalized(4, family, nested=nested, structure=structure)
    solution = case.fit().solution
    own = GeneralizedModel.of(case.stats, case.model, case.given, solution)
    counter = UnitNoise(-1)
    normal_deviation(own, counter)
    rows = []
    for position in range(counter.n_drawn):
        draw = normal_deviation(own, UnitNoise(position))
        rows.append(np.concatenate([*(e.T.ravel() for e in draw.effects), draw.fixed]))
    root = np.array(rows).T
    oracle, phi = case.oracle, solution.family.phi
    eta = oracle.offset + oracle.x @ solution.fixed
    for (z, codes, _), term in zip(oracle.terms, solution.terms, strict=True):
        eta = eta + (z * term.effects[:, codes].T).sum(axis=1)
    weights = oracle.minus_log_density(eta, phi, 2)[2]
    expected = joint_covariance(case, solution, weights)
    # Two exact computations, of which one has the columns as they are
    assert_allclose(root @ root.T, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def test_predictive_checks_of_small_groups_hold():
    X, y = load_toenail(return_X_y=True)
    model = MixedLogisticClassifier("patient", quadrature=25).fit(X, y)
    shares = (model.sample_y(X, 300) == model.classes_[1]).mean(axis=0)
    # Σ(y − E[μ|y]) = 0 at the estimates; the error of β̂ changes the mean by its square alone
    observed = np.mean(np.asarray(y) == model.classes_[1])
    assert abs(shares.mean() - observed) < 5.0 * shares.std() / np.sqrt(300)
