"""update_groups against dense computations over all rows, and what it leaves alone."""

import pickle
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from updates import STRUCTURES, Dense, regressor, table, updated

from skmixed import MixedLinearRegressor
from skmixed._equations.row_substitution import RowSolver
from skmixed._fitted.fitted_model import fitted, served
from skmixed._fitted.prediction_rows import open_rows
from skmixed.exceptions import NotEstimableWarning
from skmixed.inference import coefficient_table, random_effects_table

# Small random data; singular fits are wanted among them.
pytestmark = pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_effects_equal_a_dense_computation(name, method, is_weighted):
    updated(name, method=method, is_weighted=is_weighted)[1].check()


@given(seed=st.integers(0, 10**6), name=st.sampled_from(list(STRUCTURES)))
@settings(max_examples=25, deadline=None)
def test_any_data(seed, name):
    updated(name, seed)[1].check()


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_weights_in_any_unit(unit):
    updated("slopes", is_weighted=True, unit=unit)[1].check()


@pytest.mark.parametrize("name", ["slopes", "nested slopes", "crossed slopes"])
def test_no_intercept(name):
    updated(name, fit_intercept=False)[1].check()


@pytest.mark.parametrize("name", ["slopes", "nested", "crossed"])
def test_labels_in_any_order_and_calls_in_any_parts(name):
    (X, y), (A, a), (B, b) = (table(k, n, new=k > 0) for k, n in enumerate((90, 20, 30)))
    stepwise = regressor(name).fit(X, y).update_groups(A, a).update_groups(B, b)
    rng = np.random.default_rng(0)
    both, order = pd.concat([A, B], ignore_index=True), rng.permutation(50)
    at_once = regressor(name).fit(X, y)
    at_once.update_groups(both.iloc[order], np.concatenate([a, b])[order])
    for group, frame in stepwise.random_effects_.items():
        other = at_once.random_effects_[group].loc[frame.index]
        # Sums in another order, to rounding.
        assert_allclose(frame, other, rtol=0, atol=1e-12 * np.abs(frame).max().max())


def test_the_fit_stays_what_it_was():
    X, y = table(0, 90)
    model = regressor("crossed slopes").fit(X, y)
    names = [*("coef_", "intercept_", "sigma_", "theta_", "criterion_", "aic_", "bic_")]
    before = [getattr(model, name) for name in names]
    shown = str(model.summary()), coefficient_table(model)
    model.update_groups(*table(1, 30, new=True))
    for name, value in zip(names, before, strict=True):
        assert_array_equal(getattr(model, name), value)
    assert str(model.summary()) == shown[0]
    pd.testing.assert_frame_equal(coefficient_table(model), shown[1])
    assert fitted(model).stats.n_rows == 90


def test_nested_groups_change_within_their_outermost_one():
    X, y = table(0, 120)
    model = regressor("nested slopes").fit(X, y)
    before = {group: frame.copy() for group, frame in model.random_effects_.items()}
    A, a = table(1, 200, new=True)
    only = (A["s"] == 4) | (A["s"] == 7)  # a known one, and a new one
    model.update_groups(A[only], a[only])
    for group, frame in before.items():
        after = model.random_effects_[group].loc[frame.index]
        moved = np.abs(after - frame).max(axis=1)
        here = np.asarray(frame.index.get_level_values("s") == 4)
        # Those of other groups differ by the rounding of another center at most.
        assert moved[~here].max() < 1e-12 * np.abs(frame).max().max()
        assert moved[here].min() > 1e-6


def test_crossed_groups_change_where_they_are_connected():
    X, y = table(0, 90)
    model = regressor("crossed").fit(X, y)
    before = model.random_effects_["g"].copy()
    new = pd.DataFrame({"x1": [5.0], "x2": [0.0], "g": [99], "h": ["u"], "s": [0], "c": [0]})
    model.update_groups(new, [30.0])  # a new level of one factor with a known one of another
    assert 99 in model.random_effects_["g"].index
    moved = model.random_effects_["g"].loc[before.index] - before
    assert (np.abs(moved) > 1e-8).all(axis=None)


def test_an_inner_level_seen_in_another_outer_one():
    X, y = table(0, 120)
    X["inner"] = 10 * X["s"] + X["c"]
    model = MixedLinearRegressor(["s", "inner"], fixed=["x1", "x2"]).fit(X, y)
    A, a = table(1, 30)
    A["inner"] = X["inner"].iloc[:30].to_numpy()  # crosses the levels of s
    model.update_groups(A, a)
    rows = pd.concat([X, A], ignore_index=True)
    Dense(model, rows, np.concatenate([y, a]), np.ones(150)).check()


def test_rows_far_from_those_of_the_fit():
    (X, y), (A, a) = table(0, 90), table(1, 40, new=True)
    A["x1"] += 1e3
    model = regressor("slopes").fit(X, y).update_groups(A, a + 1e3)
    rows = pd.concat([X, A], ignore_index=True)
    Dense(model, rows, np.concatenate([y, a + 1e3]), np.ones(130)).check()


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning")
def test_columns_that_the_fit_has_dropped_stay_dropped():
    (X, y), (A, a) = table(0, 90), table(1, 40, new=True)
    for part in (X, A):
        part["twice"] = 2 * part["x1"]
    A["twice"] += np.random.default_rng(0).normal(size=40)
    model = MixedLinearRegressor("g", fixed=["x1", "x2", "twice"]).fit(X, y)
    model.update_groups(A, a)
    assert model.fixed_effects_["twice"] == 0.0
    rows, y_all = pd.concat([X, A], ignore_index=True), np.concatenate([y, a])
    reference = MixedLinearRegressor("g", fixed=["x1", "x2"]).fit(X, y).update_groups(A, a)
    Dense(reference, rows, y_all, np.ones(130)).check()
    # What was dependent in the fit is not in the further rows.
    with pytest.warns(NotEstimableWarning, match="mean of 40 rows, the first being row 90"):
        predicted = model.predict(rows)
    # The same model up to the rounding of its search.
    assert_allclose(predicted, reference.predict(rows), rtol=1e-8)


def test_no_variance_gives_no_effects():
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(6), 10)})
    y = X["x"] + np.tile(rng.normal(size=10), 6)
    with pytest.warns(UserWarning, match="variance of"):
        model = MixedLinearRegressor("g").fit(X, y)
    model.update_groups(X.assign(g=X["g"] + 3), y + 5)
    effects = model.random_effects_["g"]
    assert len(effects) == 9
    assert (effects == 0.0).all(axis=None)
    assert (random_effects_table(model)["std_error"] == 0.0).all()


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("name", STRUCTURES)
def test_variances_of_rows_follow_the_formula(name, is_weighted):
    model, dense = updated(name, is_weighted=is_weighted)
    X, _ = table(5, 60, new=True)
    X = pd.concat([X, dense.X.iloc[::7]], ignore_index=True)
    X["g"] += 3 * (np.arange(len(X)) % 2)  # some levels are still unknown
    opened = served(model)
    variance = RowSolver.of(opened.factorization).variance(open_rows(model, X).design())
    sigma2 = opened.sigma_squared
    given_fixed, of_fixed = dense.variances(X)
    # Rounding times the condition of M and X'X, some thousands.
    assert_allclose(sigma2 * variance.given_fixed, given_fixed, rtol=1e-8, atol=1e-12)
    assert_allclose(sigma2 * variance.total, given_fixed + of_fixed, rtol=1e-8)


@pytest.mark.parametrize("name", ["slopes", "nested", "crossed"])
def test_standard_errors_of_effects_are_those_of_all_rows(name):
    model, dense = updated(name)
    zl = dense.random(dense.X) @ dense.lam
    covariance = dense.lam @ np.linalg.solve(zl.T @ zl + np.eye(zl.shape[1]), dense.lam.T)
    errors = model.sigma_ * np.sqrt(np.diagonal(covariance))
    shown = random_effects_table(model)
    # As above.
    assert_allclose(shown["std_error"], errors, rtol=1e-8, atol=1e-12)
    assert_allclose(shown["estimate"], dense.found)


def test_more_rows_of_a_group_leave_a_smaller_error():
    (X, y), (A, a) = table(0, 90), table(1, 40, new=True)
    model = regressor("intercepts").fit(X, y)
    before = random_effects_table(model).set_index("level")["std_error"]
    after = random_effects_table(model.update_groups(A, a)).set_index("level")["std_error"]
    known = before.index
    assert (after[known] <= before * (1 + 1e-12)).all()
    assert after.max() < np.sqrt(model.variance_components_["variance"][0])


def test_groups_beside_the_columns():
    X, y = table(0, 90)
    A, a = table(1, 30, new=True)
    numeric = ["x1", "x2"]
    inside = regressor("intercepts").fit(X, y).update_groups(A, a)
    beside = MixedLinearRegressor().fit(X[numeric], y, groups=X["g"])
    beside.update_groups(A[numeric], a, groups=A["g"])
    assert_array_equal(inside.predict(A), beside.predict(A[numeric], groups=A["g"]))
    message = r"fitted with groups beside X \('g'\): pass groups= with the new rows"
    with pytest.raises(ValueError, match=message):
        beside.update_groups(A[numeric], a)


def test_at_the_end_of_a_pipeline():
    X, y = table(0, 90)
    A, a = table(1, 30, new=True)
    pipeline = make_pipeline(FunctionTransformer(), regressor("slopes")).fit(X, y)
    pipeline[-1].update_groups(pipeline[:-1].transform(A), a)
    alone = regressor("slopes").fit(X, y).update_groups(A, a)
    assert_array_equal(pipeline.predict(A), alone.predict(A))
    assert len(random_effects_table(pipeline)) == len(random_effects_table(alone))


def test_weight_0_leaves_a_row_out():
    (X, y), (A, a) = table(0, 90), table(1, 30, new=True)
    weights = np.r_[np.ones(20), np.zeros(10)]
    A["g"] = np.r_[A["g"][:20], np.full(10, 77)]
    model = regressor("intercepts").fit(X, y).update_groups(A, a, weights)
    other = regressor("intercepts").fit(X, y).update_groups(A[:20], a[:20])
    assert 77 not in model.random_effects_["g"].index
    # One side has sums of weights, the other counts.
    assert_allclose(model.predict(A), other.predict(A), rtol=1e-13)


def test_forgotten_by_a_fit():
    (X, y), (A, a) = table(0, 90), table(1, 30, new=True)
    model = regressor("slopes").fit(X, y).update_groups(A, a)
    plain = regressor("slopes").fit(X, y)
    assert_array_equal(model.fit(X, y).predict(A), plain.predict(A))
    model.update_groups(A, a).partial_fit(A[:5], a[:5])
    plain.partial_fit(A[:5], a[:5])
    assert_array_equal(model.predict(A), plain.predict(A))
    assert fitted(model).stats.n_rows == 95


def test_pickled():
    model, dense = updated("nested slopes")
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(dense.X), model.predict(dense.X))
    X, y = table(9, 12, new=True)
    assert_array_equal(again.update_groups(X, y).predict(X), model.update_groups(X, y).predict(X))


def test_known_groups_only_are_no_error_afterwards():
    (X, y), (A, a) = table(0, 90), table(1, 30, new=True)
    model = regressor("intercepts", handle_unknown="error").fit(X, y)
    with pytest.raises(ValueError, match="not seen in fit"):
        model.predict(A)
    assert len(model.update_groups(A, a).predict(A)) == 30


def broken(A, a):
    gap = A.astype({"g": object})
    gap.loc[gap.index[2], "g"] = None
    holes = np.array(a, dtype=float)
    holes[4] = np.nan
    return {
        "missing label": ((gap, a), "'g' has 1 missing value"),
        "response": ((A, holes), "'y' contains NaN"),
        "column": ((A.drop(columns="x2"), a), "feature names"),
        "kind": ((A.assign(g=A["g"].map(str)), a), "'g' are text"),
        "number": ((A.assign(x1=np.inf), a), "'x1' contains infinity"),
        "range": ((A.assign(x1=1e200), a), "products of them overflow"),
        "no rows": ((A[:0], a[:0]), "X has no rows, from which update_groups could learn"),
        "no rows of a list": (([], []), "X has no rows, from which update_groups could learn"),
        "length": ((A, a[:5]), "inconsistent numbers of samples"),
    }


@pytest.mark.parametrize("kind", broken(*table(1, 30, new=True)))
def test_a_failure_leaves_the_estimator_as_it_was(kind):
    (X, y), (A, a) = table(0, 90), table(1, 30, new=True)
    model = regressor("slopes").fit(X, y).update_groups(A[:9], a[:9])
    before = dict(vars(model))
    given, message = broken(A, a)[kind]
    with pytest.raises(ValueError, match=message):
        model.update_groups(*given)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


def test_without_random_effects():
    X, y = table(0, 90)
    model = MixedLinearRegressor().fit(X[["x1"]], y)
    with pytest.raises(ValueError, match="no random effects"):
        model.update_groups(X[["x1"]], y)


def test_before_fit():
    with pytest.raises(NotFittedError):
        regressor("slopes").update_groups(*table(0, 90))


def test_updates_of_several_threads_add_up():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=60), "g": np.arange(60) % 10})
    y = X["x"] + X["g"] + rng.normal(size=60)
    model = MixedLinearRegressor("g").fit(X, y)
    barrier = threading.Barrier(8)

    def update(j):
        barrier.wait(30)
        model.update_groups(X[:3].assign(g=100 + j), y[:3])

    threads = [threading.Thread(target=update, args=(j,)) for j in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(range(100, 108)) <= set(model.random_effects_["g"].index)
