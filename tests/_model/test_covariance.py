import doctest
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from oracle import DenseModel
from simulate import random_case

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._estimation.fit import examined, fit_system
from skmixed._model.covariance import (
    has_covariances,
    has_own_variances,
    is_linear,
    is_unrestricted,
    lower_factor,
)
from skmixed._model.structures import STRUCTURES, Autoregression
from skmixed.exceptions import SingularFitWarning
from skmixed.inference import (
    coefficient_table,
    confidence_intervals,
    convergence,
    likelihood_ratio_test,
    profile,
)

PAGE = Path(__file__).parents[2] / "docs" / "covariance_structures.md"


def structure_of_the_tutorial():
    """The compound symmetry that docs/covariance_structures.md builds."""
    examples = doctest.DocTestParser().get_examples(PAGE.read_text(encoding="utf-8"))
    names = {}
    for example in examples:
        if example.source.startswith(("import ", "from ", "class ")):
            exec(example.source, names)
        if example.source.startswith("class "):
            break
    return names["CompoundSymmetry"]()


TIED = structure_of_the_tutorial()
ALL = [*STRUCTURES.values(), TIED]
every_structure = pytest.mark.parametrize("structure", ALL, ids=lambda s: s.name)
sizes = pytest.mark.parametrize("size", [1, 2, 4])


@every_structure
@sizes
def test_theta_and_factor_are_inverse(structure, size):
    theta = np.abs(np.random.default_rng(0).normal(size=structure.n_theta(size)))
    lam = structure.lam(theta, size)
    assert_allclose(lam, np.tril(lam))
    assert_allclose(structure.theta(lam), theta, rtol=1e-14)


@every_structure
@sizes
def test_directions_are_orthogonal_and_hold_the_identity(structure, size):
    directions = structure.directions(size)
    assert directions.shape[1:] == (size, size)
    # The least linear space that holds every Σ may have more dimensions than they.
    assert len(directions) >= structure.n_theta(size)
    assert_array_equal(directions, directions.transpose(0, 2, 1))
    products = np.einsum("iab,jab->ij", directions, directions)
    assert_allclose(products, np.diag(np.diagonal(products)), atol=1e-15)
    tau = structure.coordinates(np.eye(size))
    assert_allclose(np.tensordot(tau, directions, 1), np.eye(size), atol=1e-15)


@every_structure
@sizes
def test_coordinates_are_those_of_the_directions(structure, size):
    tau = np.random.default_rng(0).normal(size=(2, 3, len(structure.directions(size))))
    covariances = np.tensordot(tau, structure.directions(size), 1)
    assert_allclose(structure.coordinates(covariances), tau, rtol=1e-13)


@every_structure
@sizes
def test_chart_keeps_the_covariance_and_spans_its_directions(structure, size):
    rng = np.random.default_rng(1)
    lam = structure.lam(rng.normal(size=structure.n_theta(size)), size)
    canonical, basis = structure.chart(lam)
    assert_allclose(canonical @ canonical.T, lam @ lam.T, atol=1e-14)
    assert len(basis) == structure.n_theta(size)
    directions = np.einsum("iab,cb->iac", basis, canonical)
    flat = (directions + directions.transpose(0, 2, 1)).reshape(len(basis), -1)
    assert np.linalg.matrix_rank(flat) == len(basis)


@every_structure
@sizes
def test_no_step_along_the_chart_leaves_the_structure(structure, size):
    rng = np.random.default_rng(2)
    lam = structure.lam(np.abs(rng.normal(size=structure.n_theta(size))), size)
    for root in (lam, np.real(scipy.linalg.sqrtm(lam @ lam.T))):
        canonical, basis = structure.chart(root)
        assert_allclose(canonical @ canonical.T, lam @ lam.T, atol=1e-13)
        moved = structure.moved(canonical, basis, rng.normal(size=len(basis)))
        assert structure.admits(moved)
        tau = structure.coordinates(moved @ moved.T)
        allowed = np.tensordot(tau, structure.directions(size), 1)
        assert_allclose(moved @ moved.T, allowed, atol=1e-13)
        again = structure.lam(structure.theta(moved), size)
        assert_allclose(again @ again.T, allowed, atol=1e-13)


@every_structure
@sizes
@pytest.mark.parametrize("is_zero", [False, True])
def test_a_chart_s_derivatives_are_those_of_its_steps(structure, size, is_zero):
    rng = np.random.default_rng(4)
    theta = np.abs(rng.normal(size=structure.n_theta(size)))
    lam, basis = structure.chart(structure.lam(theta * (not is_zero), size))
    step, slope = rng.normal(size=len(basis)), rng.normal(size=(size, size))
    slope = slope + slope.T

    def value(h):
        moved = structure.moved(lam, basis, h * step)
        return np.vdot(slope, moved @ moved.T)

    assert_allclose(structure.moved(lam, basis, 0.0 * step), lam, atol=1e-15)
    d = [value(h) for h in (-2e-3, -1e-3, 0.0, 1e-3, 2e-3)]
    first = (8 * (d[3] - d[1]) - (d[4] - d[0])) / 12e-3
    second = (16 * (d[3] + d[1]) - (d[4] + d[0]) - 30 * d[2]) / 12e-6
    # Differences of order h⁴; what is left is rounding over h and h².
    expected = 2 * np.einsum("i,iab,ab->", step, basis, slope @ lam)
    assert expected == pytest.approx(first, abs=1e-9)
    curvature = structure.curvature(lam, basis, slope)
    assert_allclose(curvature, curvature.T, atol=1e-14)
    assert step @ curvature @ step == pytest.approx(second, abs=1e-7)


@every_structure
@sizes
def test_the_nearest_of_an_allowed_covariance_is_itself(structure, size):
    theta = np.abs(np.random.default_rng(5).normal(size=structure.n_theta(size)))
    lam = structure.lam(theta, size)
    found = structure.nearest(lam @ lam.T)
    assert_allclose(found @ found.T, lam @ lam.T, atol=1e-13)
    # Of one without any positive part there is none but 0.
    assert not structure.nearest(-np.eye(size)).any()


@every_structure
@sizes
def test_what_shrinks_much_vanishes(structure, size):
    theta = np.abs(np.random.default_rng(6).normal(size=structure.n_theta(size)))
    before, _ = structure.chart(structure.lam(theta, size))
    assert structure.vanished(before, before) is before
    assert not structure.vanished(before, 0.1 * before).any()
    found = structure.vanished(before, 0.1 * before)
    assert structure.admits(found)


@every_structure
@sizes
def test_zero_columns_stay_exact(structure, size):
    theta = np.abs(np.random.default_rng(3).normal(size=structure.n_theta(size)))
    canonical, basis = structure.chart(structure.lam(theta, size))
    assert not structure.chart(np.zeros((size, size)))[0].any()
    for own in basis:
        lam = np.where(own.any(axis=0), 0.0, canonical)  # as when the search lets it vanish
        near = structure.nearest(lam @ lam.T)
        if not np.allclose(near @ near.T, lam @ lam.T, atol=1e-12):
            continue  # no covariance of the structure, to which no step leads
        found, _ = structure.chart(lam)
        assert (found == 0.0).all(axis=0).sum() >= (lam == 0.0).all(axis=0).sum()
        assert_allclose(found @ found.T, lam @ lam.T, atol=1e-14)


def test_what_follows_from_the_directions():
    facts = {s.name: (has_covariances(s), has_own_variances(s), is_unrestricted(s)) for s in ALL}
    assert facts == {
        "full": (True, True, True),
        "diag": (False, True, False),
        "spherical": (False, False, False),
        "compound_symmetry": (True, False, False),
        "cs": (True, False, False),
        "ar1": (True, False, False),
        "toeplitz": (True, False, False),
        "heterogeneous_compound_symmetry": (True, True, False),
        "heterogeneous_ar1": (True, True, False),
    }
    nonlinear = {s.name for s in ALL if not is_linear(s)}
    assert nonlinear == {"ar1", "heterogeneous_ar1", "heterogeneous_compound_symmetry"}


def test_theta_of_full_is_in_the_order_of_lme4():
    lam = STRUCTURES["full"].lam(np.arange(1.0, 7.0), 3)
    assert_array_equal(lam, [[1, 0, 0], [2, 4, 0], [3, 5, 6]])


def test_chart_of_a_singular_factor_has_exact_zero_columns_last_and_frees_them():
    full = STRUCTURES["full"]
    root = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.5, 0.0, 3.0]])
    canonical, basis = full.chart(root)
    assert_array_equal(canonical[:, 2], 0.0)
    assert_allclose(canonical @ canonical.T, root @ root.T, atol=1e-14)
    # The zero column can grow in the direction that the other columns miss.
    null = np.linalg.svd(canonical.T)[2][-1]
    reach = max(abs(null @ b[:, 2]) for b in basis)
    assert reach > 0.1


def test_lower_factor_keeps_a_rank_deficiency_exact():
    lam = np.array([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0], [-1.0, 1.0, 0.0]])
    rotated = lam @ np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1.0]])
    lower = lower_factor(rotated)
    assert_allclose(lower @ lower.T, lam @ lam.T, atol=1e-13)
    assert_allclose(lower, np.tril(lower))
    assert lower[2, 2] == 0.0
    assert (np.diagonal(lower) >= 0).all()


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(STRUCTURES, TIED.name, TIED)


CORRELATED = ["ar1", "toeplitz", "heterogeneous_compound_symmetry", "heterogeneous_ar1"]


@pytest.mark.parametrize("name", ["cs", "compound_symmetry", *CORRELATED])
@pytest.mark.parametrize("seed", range(2))
def test_a_new_structure_reaches_the_oracle_s_minimum(registered, seed, name):
    case = random_case(seed, structure=name, n_terms=1 + seed % 2)
    structures = [t.structure for t in case.model.terms]
    shapes = [len(t.columns) for t in case.model.terms]
    found = fit_system(examined(case.stats, case.model), tol=1e-12, max_iter=200)
    n = sum(s.n_theta(k) for s, k in zip(structures, shapes, strict=True))
    starts = [np.full(n, value) for value in (0.1, 1.0)]
    # L-BFGS-B with numerical derivatives stops 1e-6 short.
    least = case.oracle.minimum(shapes, structures, starts)
    assert found.solution.criterion <= least + 1e-6
    at = case.oracle.criterion([t.lam for t in found.solution.terms])
    assert found.solution.criterion == pytest.approx(at, abs=1e-8)


def definition(name, sd, rho, size):
    """Σ of standard deviations and correlations, by definition."""
    lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    corr = {
        "ar1": lambda: rho[0] ** lag,
        "heterogeneous_ar1": lambda: rho[0] ** lag,
        "heterogeneous_compound_symmetry": lambda: np.where(lag == 0, 1.0, rho[0]),
        "toeplitz": lambda: np.append(1.0, rho)[lag],
    }[name]()
    return np.outer(sd, sd) * corr


@pytest.mark.parametrize("name", CORRELATED)
@pytest.mark.parametrize("zeros", [[], [1], [0, 3]])
def test_a_structure_of_correlations_holds_its_definition(name, zeros):
    structure, sd = STRUCTURES[name], np.array([2.0, 0.5, 1.0, 3.0])
    if not structure.is_heterogeneous:
        sd = np.full(4, 0.0 if zeros else 2.0)
    sd[zeros] = 0.0
    for rho in ([0.6, 0.1, -0.3], [-0.2, 0.5, 0.1]):
        wanted = definition(name, sd, rho, 4)
        lam = structure.nearest(wanted)
        assert_allclose(lam @ lam.T, wanted, atol=1e-13)
        canonical, basis = structure.chart(lam)
        assert_allclose(canonical @ canonical.T, wanted, atol=1e-13)
        # A zero column for each rank that it lacks, and no slope off it
        assert (canonical == 0.0).all(axis=0).sum() == 4 - np.linalg.matrix_rank(wanted)
        assert len(basis) == structure.n_theta(4)
        if structure.is_heterogeneous:
            assert not basis[zeros].any()
        again = structure.lam(structure.theta(canonical), 4)
        assert_allclose(again @ again.T, wanted, atol=1e-13)


@pytest.mark.parametrize("name", CORRELATED)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_correlation_at_its_end_lacks_rank_exactly_and_is_left_by_a_step(name, sign):
    structure, n = STRUCTURES[name], 4
    sizes = [1.0, 2.0, 0.5, 1.5][: n if structure.is_heterogeneous else 1]
    theta = np.append(sizes, np.full(structure.n_theta(n) - len(sizes), 0.1))
    theta[len(sizes)] = sign * (0.5 * np.pi - 0.1)
    before = structure.chart(structure.lam(theta, n))[0]
    theta[len(sizes)] = sign * (0.5 * np.pi - 0.01)
    after = structure.vanished(before, structure.lam(theta, n))
    rank = np.linalg.matrix_rank(after)
    assert rank < n
    assert (after == 0.0).all(axis=0).sum() == n - rank
    canonical, basis = structure.chart(after)
    assert_array_equal(canonical == 0.0, after == 0.0)
    step = np.zeros(len(basis))
    step[len(sizes)] = 0.3
    assert np.linalg.matrix_rank(structure.moved(canonical, basis, step)) == n


def test_correlations_by_lags_are_any_that_are_a_covariance():
    rng = np.random.default_rng(0)
    for _ in range(5):
        partial = np.arcsin(rng.uniform(-1, 1, 5))
        lam = STRUCTURES["toeplitz"].lam(np.append(1.0, partial), 6)
        lags = (lam @ lam.T)[0]
        assert_allclose(lam @ lam.T, scipy.linalg.toeplitz(lags), atol=1e-14)
        # The partial autocorrelation is the last coefficient of the regression on those before
        for k in range(1, 6):
            last = scipy.linalg.solve_toeplitz(lags[:k], lags[1 : k + 1])[-1]
            assert last == pytest.approx(np.sin(partial[k - 1]), abs=1e-9)


@pytest.fixture
def tasks():
    """A negative correlation, beyond what a sum of variances has."""
    rng = np.random.default_rng(1)
    effort = rng.normal(size=(30, 3))
    effort -= effort.mean(axis=1, keepdims=True)
    frame = pd.DataFrame({"team": np.repeat(np.arange(30), 6), "task": np.tile([0, 1, 2], 60)})
    frame = frame.join(pd.get_dummies(frame["task"], prefix="t", dtype=float))
    return frame, effort[frame["team"], frame["task"]] + 0.5 * rng.normal(size=180)


def shares(covariance):
    effect = RandomEffect("team", ["t_0", "t_1", "t_2"], intercept=False, covariance=covariance)
    return MixedLinearRegressor(effect, fixed=[])


def test_a_new_structure_is_reported_as_others_are(registered, tasks):
    with pytest.warns(SingularFitWarning, match="a correlation of -1 or 1"):
        model = shares("cs").fit(*tasks)
    assert model.singular_
    assert model.theta_[0] == 0.0
    assert_allclose(model.variance_components_["corr"][1:3], -0.5, rtol=1e-12)
    found = convergence(model)
    assert found.is_optimum
    assert list(found.boundary.iloc[0][["rank", "size"]]) == [2, 3]
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(tasks[0]), model.predict(tasks[0]))


def test_a_new_structure_has_its_place_among_nested_models(registered, tasks):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        spherical, tied, full = (shares(s).fit(*tasks) for s in ("spherical", "cs", "full"))
        none = MixedLinearRegressor(fixed=[]).fit(tasks[0][["t_0"]], tasks[1])
    last = likelihood_ratio_test(spherical, tied).iloc[1]
    assert (last["df"], last["reference"]) == (1, "χ²(1)")
    assert likelihood_ratio_test(tied, full).iloc[1]["df"] == 4
    # Two eigenvalues are 0 at once.
    assert "conservative" in likelihood_ratio_test(none, tied).iloc[1]["reference"]
    diag = shares("diag").fit(*tasks)
    with pytest.raises(ValueError, match=r"within 'team' \(cs\) of model0"):
        likelihood_ratio_test(tied, diag)


def test_tied_correlations_have_no_profile(registered, tasks):
    with pytest.warns(SingularFitWarning):
        model = shares("cs").fit(*tasks)
    for function in (profile, lambda m: confidence_intervals(m, "profile")):
        with pytest.raises(ValueError, match="The correlations of covariance='cs' are tied"):
            function(model)
    table = confidence_intervals(model, "profile", components="sd")
    assert (table["lower"] < table["estimate"]).all()
    assert len(set(table["upper"].round(8))) == 1


@pytest.mark.parametrize(("rho", "method"), [(0.7, "reml"), (-0.5, "ml"), (0.0, "reml")])
def test_an_autoregression_is_fitted_and_reported_by_the_blocked_factor(registered, rho, method):
    rng = np.random.default_rng(3)
    n_groups, size = 50, 4
    codes = np.repeat(np.arange(n_groups), 7)
    columns = rng.normal(size=(len(codes), size))
    lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    effects = rng.normal(size=(n_groups, size)) @ np.linalg.cholesky(1.0 * rho**lag).T
    y = (columns * effects[codes]).sum(axis=1) + rng.normal(size=len(codes))
    names = ["a", "b", "c", "d"]
    X = pd.DataFrame(columns, columns=names).assign(g=codes)
    effect = RandomEffect("g", names, intercept=False, covariance="ar1")
    model = MixedLinearRegressor(effect, fixed=["a"], method=method).fit(X, y)
    fixed = np.column_stack([np.ones(len(y)), columns[:, 0]])
    oracle = DenseModel(fixed, y, [(codes, n_groups, columns)], reml=method == "reml")
    least = oracle.minimum([size], [Autoregression()], [np.array([1.0, 0.3])])
    # L-BFGS-B with numerical derivatives stops 1e-6 short.
    assert model.criterion_ == pytest.approx(least, abs=2e-6)
    corr = model.covariances_["g"].to_numpy() / model.covariances_["g"].iloc[0, 0]
    assert_allclose(corr, corr[0, 1] ** lag, atol=1e-12)
    assert corr[0, 1] == pytest.approx(rho, abs=0.15)
    found = convergence(model)
    assert found.is_optimum
    assert len(found.eigenvalues) == 3
    # By the delta method from the curvature of the deviance in (t, ω, log σ²).
    errors = confidence_intervals(model, components="sd")
    assert (errors["lower"] < errors["estimate"]).all()
    assert len(set(errors["upper"].round(8))) == 1
    table = coefficient_table(model)
    assert (table["df"] > 10.0).all()
