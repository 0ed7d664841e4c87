import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._derivatives.criterion import derivatives
from skmixed._derivatives.lanczos import STEPS, log_determinant
from skmixed._derivatives.probing import Probes, probed_derivatives
from skmixed._equations.conjugate_gradients import CoreOperator, IterativeFactor, solve_columns
from skmixed._equations.system import assemble
from skmixed._estimation import iterative as iterative_module
from skmixed._estimation.iterative import prefers_iterative
from skmixed._fitted.fitted_model import fitted
from skmixed._fitted.prediction_rows import open_rows
from skmixed._uncertainty.prediction_variance import mean_variance
from skmixed.exceptions import ExactFitWarning, NormalIntervalsWarning, SingularFitWarning

seeds = st.integers(0, 10**6)


def crossed_case(seed, *, singular=False):
    """A random case with several factors, its Λ in the search's coordinates, and the system."""
    case = random_case(seed, n_terms=2 + seed % 3)
    if len({t.factor for t in case.model.terms}) < 2:
        return crossed_case(seed + 1, singular=singular)
    lams = case.lams(np.random.default_rng(seed))
    if singular:
        lams[-1][:, -1] = 0.0
    system, _ = assemble(case.stats, case.model, is_sparse=True)
    search = [
        np.linalg.solve(t.to_user, lam) for (_, t), lam in zip(system.terms, lams, strict=True)
    ]
    return case, lams, CoreOperator.of(system, tuple(search))


def all_probes(operator):
    """√n times the unit vectors, whose mean of x w' is M⁻¹ itself."""
    n = operator.root.shape[1]
    return Probes(np.sqrt(n) * np.eye(n), np.zeros((n, n)))


def by_factor(vector, factors, order):
    """Entries of each factor, symmetric, in the order of the statistics' factors."""
    place = {f.terms[0].term.factor: f for f in factors}
    parts = [vector[place[k].entries].reshape((place[k].n_columns,) * 2) for k in order]
    return np.concatenate([((m + m.T) / 2).ravel() for m in parts])


@pytest.mark.slow
@given(seed=seeds, singular=st.booleans())
@settings(max_examples=60, deadline=None)
def test_derivatives_with_all_probes_are_the_exact_ones(seed, singular):
    case, lams, operator = crossed_case(seed, singular=singular)
    exact = case.factorized(lams)
    factor = IterativeFactor.of(operator, tol=1e-13, max_iter=500, start=None)
    likelihood, probes = case.likelihood, all_probes(operator)
    found = probed_derivatives(factor, likelihood, probes, tol=1e-13, max_iter=500)
    wanted = derivatives(exact, likelihood)
    order = sorted({t.factor for t in case.model.terms})
    size = np.abs(wanted.gradient).max()
    # Solves to 1e-13 of systems of some condition 1e4, of which the gradient has products;
    # β̂, which is in them, is compared to the same 1e-6 below.
    assert_allclose(
        by_factor(found.derivatives.gradient, operator.system.factors, order),
        by_factor(wanted.gradient, exact.system.factors, order),
        atol=1e-6 * size,
    )
    assert factor.residual_squares == pytest.approx(exact.residual_squares, rel=1e-8)
    assert_allclose(factor.beta, exact.beta, rtol=1e-6, atol=1e-8)
    trace = np.trace(found.derivatives.information), np.trace(wanted.information)
    assert trace[0] == pytest.approx(trace[1], rel=1e-7)
    assert_allclose(found.samples.mean(axis=0), found.derivatives.gradient, atol=1e-9 * size)


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_the_log_determinant_with_all_probes_is_exact(seed):
    case, lams, operator = crossed_case(seed)
    assume(operator.root.shape[1] <= STEPS)
    found = log_determinant(operator, all_probes(operator).signs)
    total = operator.done.logdet + found.value
    # Lanczos' process runs to the end here, without reorthogonalization.
    assert total == pytest.approx(case.factorized(lams).logdet_z, abs=1e-4)
    assert found.condition >= 1.0


def test_solutions_solve():
    _, _, operator = crossed_case(3)
    n = operator.root.shape[1]
    rng = np.random.default_rng(0)
    rhs = np.column_stack([rng.normal(size=(n, 3)), np.zeros(n)])
    solved = solve_columns(operator, rhs, tol=1e-12, max_iter=200)
    assert_allclose(operator.times(solved.columns), rhs, atol=1e-9 * np.abs(rhs).max())
    assert not solved.columns[:, 3].any()
    again = solve_columns(operator, rhs, tol=1e-10, max_iter=200, start=solved.columns)
    assert again.n_iter == 0
    assert solve_columns(operator, rhs, tol=1e-12, max_iter=1).residual > 1e-12


def ratings(seed=0, n=12_000, users=1500, items=300, *, slopes=False):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "user": rng.integers(0, users, n),
            "item": (items * rng.random(n) ** 2).astype(int),
        }
    )
    y = 1 + X["x"] + rng.normal(size=n)
    y += 0.7 * rng.normal(size=users)[X["user"]] + 0.5 * rng.normal(size=items)[X["item"]]
    if slopes:
        y += 0.4 * rng.normal(size=items)[X["item"]] * X["x"]
    return X, y


def assert_agree(X, y, groups, sample_weight=None, **parameters):
    """Both solvers: within 3 Monte Carlo errors, which are small."""
    exact, iterative = (
        MixedLinearRegressor(groups, solver=solver, **parameters).fit(X, y, sample_weight)
        for solver in ("exact", "iterative")
    )
    sd = exact.variance_components_["sd"].to_numpy()[:-1]
    error = iterative.monte_carlo_errors_["sd_error"].to_numpy()
    off = np.abs(iterative.variance_components_["sd"].to_numpy()[:-1] - sd)
    assert (off <= 3 * error + 1e-9 * sd).all()
    assert (error < 0.01 * sd).all()
    standard_error = np.sqrt(np.diagonal(exact._model.estimate.solution.fixed_covariance))
    apart = np.abs(exact.fixed_effects_ - iterative.fixed_effects_).to_numpy()
    assert (apart < 0.01 * standard_error).all()
    assert abs(exact.criterion_ - iterative.criterion_) < 4 * iterative.criterion_error_ + 1e-3
    return exact, iterative


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_the_solvers_agree(method):
    X, y = ratings()
    exact, iterative = assert_agree(X, y, ["user", "item"], method=method)
    assert (exact.solver_, iterative.solver_) == ("exact", "iterative")
    assert iterative.converged_
    # Predictions move by the errors of the variances, far below the residual sd of 1.
    assert_allclose(exact.predict(X), iterative.predict(X), atol=2e-3)
    assert not exact.monte_carlo_errors_["sd_error"].any()
    assert exact.criterion_error_ == 0.0


def test_slopes_and_weights():
    X, y = ratings(1, slopes=True)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    assert_agree(X, y, ["user", RandomEffect("item", ["x"])], weights)


def test_three_factors():
    X, y = ratings(2)
    day = np.random.default_rng(5).integers(0, 40, len(y))
    y = y + 0.3 * np.random.default_rng(6).normal(size=40)[day]
    assert_agree(X.assign(day=day), y, ["user", "item", "day"])


def test_nested_factors_take_one_step():
    X, y = ratings(3)
    X = X.assign(town=X["user"] // 30)
    y = y + 0.6 * np.random.default_rng(1).normal(size=50)[X["town"]]
    _, iterative = assert_agree(X, y, ["user", "town"])
    # What the inner factor leaves of the outer one is diagonal: nothing is random.
    assert iterative.criterion_error_ == pytest.approx(0.0, abs=1e-8)


def test_disconnected_blocks():
    rng = np.random.default_rng(0)
    block = rng.integers(0, 20, 8000)
    X = pd.DataFrame({"a": 50 * block + rng.integers(0, 50, 8000)})
    X["b"] = 10 * block + rng.integers(0, 10, 8000)
    y = rng.normal(size=1000)[X["a"]] + 0.5 * rng.normal(size=200)[X["b"]] + rng.normal(size=8000)
    assert_agree(X, y, ["a", "b"])


def test_weakly_connected_factors():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"pupil": np.repeat(np.arange(3000), 2)})
    X["teacher"] = rng.integers(0, 400, 6000)
    y = rng.normal(size=3000)[X["pupil"]] + 0.5 * rng.normal(size=400)[X["teacher"]]
    assert_agree(X, y + rng.normal(size=6000), ["pupil", "teacher"])


def test_a_variance_of_zero_is_zero():
    X, _ = ratings(4)
    rng = np.random.default_rng(2)
    y = rng.normal(size=1500)[X["user"]] + rng.normal(size=len(X))
    with pytest.warns(SingularFitWarning):
        exact = MixedLinearRegressor(["user", "item"], solver="exact").fit(X, y)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor(["user", "item"], solver="iterative").fit(X, y)
    assert model.theta_[1] == exact.theta_[1] == 0.0
    assert model.theta_[0] == pytest.approx(exact.theta_[0], rel=1e-4)
    assert np.isnan(model.monte_carlo_errors_["sd_error"][1])


def test_the_same_seed_gives_the_same_bits():
    X, y = ratings(5, n=5000)
    fits = [
        MixedLinearRegressor(["user", "item"], solver="iterative", random_state=s).fit(X, y)
        for s in (0, 0, 1)
    ]
    assert fits[0].theta_.tobytes() == fits[1].theta_.tobytes()
    assert fits[0].theta_.tobytes() != fits[2].theta_.tobytes()
    assert_allclose(fits[0].theta_, fits[2].theta_, rtol=0.01)


def test_chunks_and_pickles():
    X, y = ratings(6, n=6000)
    model = MixedLinearRegressor(["user", "item"], solver="iterative").fit(X, y)
    parts = np.array_split(np.arange(len(y)), 5)
    chunked = MixedLinearRegressor(["user", "item"], solver="iterative").fit_chunks(
        (X.iloc[p], y.iloc[p]) for p in parts
    )
    # Levels come in another order, so that the signs are others.
    assert_allclose(chunked.theta_, model.theta_, rtol=0.01)
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.monte_carlo_errors_, model.monte_carlo_errors_)
    assert again.criterion_error_ == model.criterion_error_ > 0


def test_auto_counts_operations(monkeypatch):
    X, y = ratings(7, n=4000)
    model = MixedLinearRegressor(["user", "item"]).fit(X, y)
    assert model.solver_ == "exact"
    kernel_model = model._model.encoder.model(reml=True)
    assert not prefers_iterative(model._model.stats, kernel_model)
    monkeypatch.setattr(iterative_module, "PATIENCE", 0.0)
    monkeypatch.setattr(iterative_module, "SPARSE_COST", 0.0)
    assert prefers_iterative(model._model.stats, kernel_model)
    assert MixedLinearRegressor(["user", "item"]).fit(X, y).solver_ == "iterative"
    # A single factor has nothing to solve iteratively.
    single = MixedLinearRegressor("user", solver="iterative").fit(X, y)
    assert single.solver_ == "exact"


def test_verbose_says_which_solver(capsys):
    X, y = ratings(8, n=4000)
    MixedLinearRegressor(["user", "item"], solver="iterative", verbose=1).fit(X, y)
    out = capsys.readouterr().out
    assert "solver iterative" in out
    assert "probes" in out


def test_too_few_steps_are_told():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 400, 4000)
    second = np.where(rng.random(4000) < 0.05, rng.integers(0, 400, 4000), first)
    X = pd.DataFrame({"a": first, "b": second})
    y = 3 * rng.normal(size=400)[first] + 3 * rng.normal(size=400)[second] + rng.normal(size=4000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        MixedLinearRegressor(["a", "b"], solver="iterative", max_iter=4).fit(X, y)
    messages = [str(w.message) for w in caught if w.category is ConvergenceWarning]
    assert any("crossed factors 'a' and 'b'" in m and "condition" in m for m in messages)


def test_unknown_solvers_are_refused():
    X, y = ratings(9, n=3000)
    with pytest.raises(ValueError, match="solver='krylov' is not known"):
        MixedLinearRegressor(["user", "item"], solver="krylov").fit(X, y)


def test_standard_deviations_of_predictions_are_solved_for():
    X, y = ratings(10, n=6000, users=800, items=150, slopes=True)
    groups = ["user", RandomEffect("item", ["x"])]
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    model = MixedLinearRegressor(groups, solver="iterative").fit(X, y, weights)
    rows = X.head(150).copy()
    rows.loc[:10, "user"] = 10_000  # a new user, a known item
    rows.loc[5:15, "item"] = -1
    _, std = model.predict(rows, return_std=True)
    # The same variances from the dense factor of the same Λ.
    view = fitted(model)
    given = open_rows(model, rows)
    relative = mean_variance(view.factorization, given.predicted())
    unit = view.factorization.system.weight_unit
    dense = np.sqrt(view.sigma_squared * (relative + unit))
    assert_allclose(std, dense, rtol=1e-6)  # solves to nine digits, σ̂ to as many
    normal = model.predict_interval(rows, ddf="normal", level=0.95)
    assert_allclose(np.ptp(normal, axis=1), 2 * 1.959964 * std, rtol=1e-6)
    population = {"of": "mean", "include": "fixed", "ddf": "normal"}
    found = model.predict_interval(rows[["x"]], **population)
    given = open_rows(model, rows[["x"]], include="fixed").predicted(others_are_new=False)
    dense = np.sqrt(view.sigma_squared * mean_variance(view.factorization, given))
    assert_allclose(np.ptp(found, axis=1), 2 * 1.959964 * dense, rtol=1e-6)
    with pytest.warns(NormalIntervalsWarning, match="fitted the model, without the") as record:
        usual = model.predict_interval(rows)
    assert [r.filename for r in record] == [__file__]
    assert_array_equal(usual, normal)
    wide = model.predict_interval(rows, ddf="satterthwaite")
    assert (np.ptp(wide, axis=1) > np.ptp(normal, axis=1) * (1 - 1e-5)).all()


def test_a_constant_response_is_an_exact_fit():
    X, y = ratings(11, n=3000)
    with pytest.warns(ExactFitWarning):
        model = MixedLinearRegressor(["user", "item"], solver="iterative").fit(X, 0.0 * y + 2.0)
    assert_allclose(model.predict(X), 2.0, rtol=1e-12)
