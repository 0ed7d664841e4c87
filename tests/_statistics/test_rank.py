"""Dependent and nearly dependent columns of X, in every way that rows are given."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor
from skmixed.diagnostics import leverage
from skmixed.exceptions import ExactFitWarning, RankDeficiencyWarning
from skmixed.inference import coefficient_table, r2

pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.IdentifiabilityWarning"),
]
KINDS = ["affine", "low rank", "dummies", "durations", "powers", "scales", "near"]


def columns(kind, n, rng):
    x = rng.normal(size=(n, 4))
    if kind == "affine":
        return np.hstack([x, x @ rng.normal(size=(4, 3)) + [1.0, -1e3, 0.0]])
    if kind == "low rank":
        return x[:, :3] @ rng.normal(size=(3, 8))
    if kind == "dummies":
        return np.hstack([np.eye(4)[rng.integers(4, size=n)], np.eye(3)[rng.integers(3, size=n)]])
    if kind == "durations":
        start, duration = 18_000 + 10.0 ** rng.uniform(0, 4) * x[:, 0], rng.exponential(size=n)
        return np.column_stack([start, start + duration, duration])
    if kind == "powers":
        return rng.uniform(size=n)[:, None] ** np.arange(1, 15)
    if kind == "scales":
        scaled = x * 10.0 ** rng.uniform(-8, 8, 4)
        return np.column_stack([scaled, 3.0 * scaled[:, 1], scaled[:, 2] - scaled[:, 3]])
    apart = x[:, 0] + 10.0 ** rng.uniform(-7, -2) * x[:, 1]
    return np.column_stack([x[:, 0], apart, apart - x[:, 0], x[:, 2]])


def data(kind, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 200))
    X = columns(kind, n, rng)
    X = X[:, rng.permutation(X.shape[1])]
    g = rng.integers(8, size=n)
    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).assign(g=g)
    return table, rng.normal(size=8)[g] + rng.normal(size=n), rng


def svd_rank(table):
    """Of centered columns at one length, 1e-9 of the largest."""
    X = table.drop(columns="g").to_numpy()
    X = X - X.mean(axis=0)
    values = np.linalg.svd(X / np.linalg.norm(X, axis=0), compute_uv=False)
    return int((values > 1e-9 * values[0]).sum())


def kept(model):
    return np.flatnonzero(model.coef_).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=4, deadline=None)
def test_the_rank_is_that_of_an_svd_in_any_partition(kind, seed):
    table, y, rng = data(kind, seed)
    model = MixedLinearRegressor("g").fit(table, y)
    found = kept(model)
    assert len(found) == svd_rank(table)
    assert model.converged_
    cuts = np.sort(rng.integers(len(y), size=4))
    parts = [rows for rows in np.split(rng.permutation(len(y)), cuts) if len(rows)]
    chunks = MixedLinearRegressor("g").fit_chunks([(table.iloc[rows], y[rows]) for rows in parts])
    one_by_one = MixedLinearRegressor("g")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few rows do not determine a fit
        for rows in parts:
            one_by_one.partial_fit(table.iloc[rows], y[rows])
    each = [model.statistics(table.iloc[rows], y[rows]) for rows in parts]
    added = [MixedLinearRegressor("g").fit_statistics(sum(own)) for own in (each, each[::-1])]
    for other in (chunks, one_by_one, *added):
        assert kept(other) == found


def test_a_difference_beside_the_columns_that_it_is_of_costs_no_other_column():
    # x0 and x1 agree to 1e-9, x2 is their difference: it depends on them, but without it the
    # rank of the columns up to x3 would be that of the border case.
    table, y, _ = data("scales", 95143)
    assert len(kept(MixedLinearRegressor("g").fit(table, y))) == svd_rank(table) == 4


def test_the_first_columns_that_raise_the_rank_stay():
    table, y, _ = data("scales", 3)
    X = table.drop(columns="g").to_numpy()
    X = (X - X.mean(axis=0)) / np.linalg.norm(X - X.mean(axis=0), axis=0)
    ranks = [0, *(np.linalg.matrix_rank(X[:, : j + 1], tol=1e-9) for j in range(X.shape[1]))]
    assert kept(MixedLinearRegressor("g").fit(table, y)) == np.flatnonzero(np.diff(ranks)).tolist()


@pytest.mark.parametrize(("spread", "seed"), [(100, 4), (100, 3), (1000, 17)])
def test_start_end_and_duration(spread, seed):
    rng = np.random.default_rng(seed)
    g, start = np.repeat(np.arange(10), 20), 18_000 + spread * rng.normal(size=200)
    duration = np.abs(1 + 0.5 * rng.normal(size=200))
    table = pd.DataFrame({"start": start, "end": start + duration, "duration": duration, "g": g})
    y = 0.5 * duration + rng.normal(size=10)[g] + rng.normal(size=200)
    with pytest.warns(RankDeficiencyWarning, match="column 'duration' depends linearly"):
        model = MixedLinearRegressor("g").fit(table, y)
    # lme4 drops the same column.
    right = MixedLinearRegressor("g").fit(table.drop(columns="duration"), y)
    assert model.criterion_ == pytest.approx(right.criterion_, rel=1e-12)


@pytest.mark.parametrize("shift", [1.7e9, 1.7e12])
def test_times_in_two_units(shift):
    rng = np.random.default_rng(0)
    g, hours = np.repeat(np.arange(10), 20), np.sort(rng.uniform(0, 1e6, 200))
    table = pd.DataFrame({"s": shift + hours, "ms": 1e3 * (shift + hours), "g": g})
    y = 1e-6 * hours + rng.normal(size=10)[g] + rng.normal(size=200)
    assert kept(MixedLinearRegressor("g").fit(table, y)) == [0]


def nearly_the_same(seed, share, n=300):
    """(x, x + share·u) and (x, u), with u what is left beside x in 16 digits."""
    rng = np.random.default_rng(seed)
    g, x, u = np.repeat(np.arange(30), n // 30), rng.normal(size=n), rng.normal(size=n)
    z = x + share * u
    y = x + rng.normal(size=30)[g] + 0.5 * rng.normal(size=30)[g] * x + rng.normal(size=n)
    h = rng.integers(6, size=n)
    near, far = (pd.DataFrame({"x": x, "z": c, "g": g, "h": h}) for c in (z, (z - x) / share))
    return near, far, y


@pytest.mark.parametrize("share", [1e-2, 1e-4, 1e-5, 1.5e-6, 1e-7])
@pytest.mark.parametrize("seed", range(4))
def test_columns_that_agree_to_seven_digits(share, seed):
    near, far, y = nearly_the_same(seed, share)
    model = MixedLinearRegressor("g", fixed=["x", "z"], random_slopes=["x"], method="ml")
    same = model.fit(far, y).criterion_
    model.fit(near, y)
    assert model.converged_
    assert model.n_iter_ <= 8
    # The columns' rounding over what they differ by, for 300 rows.
    assert model.criterion_ == pytest.approx(same, abs=1e-9 + 1e-14 / share)


LAYOUTS = {
    "slopes": {"groups": "g", "random_slopes": ["x"]},
    "slopes of the near one": {"groups": "g", "random_slopes": ["z"]},
    "diag": {"groups": "g", "random_slopes": ["x"], "covariance": "diag"},
    "crossed": {"groups": ["g", "h"]},
    "nested": {"groups": ["g", ("g", "h")]},
    "none": {"groups": None},
}


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_everything_after_the_fit(name, is_weighted):
    """All that does not depend on the choice of columns, from both choices."""
    share, rng = 1e-5, np.random.default_rng(9)
    near, far, y = nearly_the_same(5, share)
    w = rng.uniform(0.5, 3.0, len(y)) if is_weighted else None
    further = {} if w is None else {"sample_weight": w[:7]}
    values = []
    # A slope of the near column is a slope of two others.
    both = [near, near.assign(z=near["x"] + share * far["z"])] if "near" in name else [near, far]
    for table, unit in zip(both, (1.0, 1.0 if "near" in name else share), strict=True):
        model = MixedLinearRegressor(fixed=["x", "z"], **LAYOUTS[name]).fit(table, y, w)
        tests = coefficient_table(model).loc["z"]
        found = [
            [model.criterion_ + 2.0 * np.log(unit), model.fixed_effects_["z"] / unit],
            [tests["std_error"] / unit, tests["df"], *r2(model)],
            model.predict(table, return_std=True)[1],
            model.predict(table),
            leverage(model, table, sample_weight=w),
        ]
        if LAYOUTS[name]["groups"] is not None:
            new = table[:7].assign(g=99)
            updated = model.update_groups(new, y[:7] + 3.0, **further)
            found += [updated.predict(new), updated.predict(new, return_std=True)[1]]
        values.append(np.concatenate(found))
    # Ten digits of the columns' difference are left, of which a few go in the search.
    assert_allclose(*values, rtol=1e-7, atol=1e-8)


def test_the_iterative_engine():
    near, far, y = nearly_the_same(0, 1e-5)
    model = MixedLinearRegressor(
        ["g", "h"], fixed=["x", "z"], method="ml", solver="iterative", random_state=0
    )
    values = [model.fit(table, y).criterion_ for table in (near, far)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e7, 1e10])
def test_dummies_without_an_intercept_far_from_zero(offset):
    rng = np.random.default_rng(0)
    g, f = np.repeat(np.arange(20), 20), rng.integers(3, size=400)
    y = offset + f + rng.normal(size=20)[g] + rng.normal(size=400)
    table = pd.DataFrame(np.eye(3)[f], columns=list("abc")).assign(g=g)
    one = MixedLinearRegressor("g", method="ml").fit(table.drop(columns="a"), y)
    zero = MixedLinearRegressor("g", method="ml", fit_intercept=False).fit(table, y)
    parts = np.array_split(rng.permutation(400), 7)
    each = [zero.statistics(table.iloc[rows], y[rows]) for rows in parts]
    chunks = MixedLinearRegressor("g", method="ml", fit_intercept=False).fit_statistics(sum(each))
    for model in (zero, chunks):
        # One model in other columns. The same rows in another order, around another center.
        assert model.criterion_ == pytest.approx(one.criterion_, rel=1e-12)
        assert model.sigma_ == pytest.approx(one.sigma_, rel=1e-12)
        assert_allclose(
            model.predict(table), one.predict(table.drop(columns="a")), rtol=1e-13, atol=1e-12
        )


def test_a_response_that_the_columns_nearly_reproduce():
    rng = np.random.default_rng(0)
    g, x = np.repeat(np.arange(20), 20), rng.normal(size=400)
    noise = rng.normal(size=20)[g] + rng.normal(size=400)
    table = pd.DataFrame({"x": x, "g": g})
    plain = MixedLinearRegressor("g", method="ml").fit(table, noise)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExactFitWarning)
        model = MixedLinearRegressor("g", method="ml").fit(table, noise + 1e8 * x)
    # The response has 8 digits less.
    assert model.criterion_ == pytest.approx(plain.criterion_, rel=1e-8)
    assert model.sigma_ == pytest.approx(plain.sigma_, rel=1e-8)


def test_weights_of_many_orders_of_magnitude():
    near, far, y = nearly_the_same(0, 1e-5)
    w = 10.0 ** np.random.default_rng(0).uniform(-4, 4, len(y))
    model = MixedLinearRegressor("g", fixed=["x", "z"], method="ml")
    values = [model.fit(table, y, w).criterion_ for table in (near, far)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    near["sum"] = near["x"] - 2.0 * near["z"]
    model = MixedLinearRegressor("g", fixed=["x", "z", "sum"], method="ml").fit(near, y, w)
    assert kept(model) == [0, 1]
    assert model.criterion_ == pytest.approx(values[0], rel=1e-9)


@pytest.mark.parametrize("scale", [1e-70, 1e70])
def test_columns_at_the_ends_of_the_range(scale):
    near, far, y = nearly_the_same(0, 1e-5)
    far_too = far[["x", "z"]] * scale
    table = (near[["x", "z"]] * scale).assign(d=far["z"] + 1.0, e=far["z"] - 2.0, g=near["g"])
    model = MixedLinearRegressor("g", method="ml").fit(table, y)
    same = MixedLinearRegressor("g", method="ml").fit(far_too.assign(g=near["g"]), y)
    assert kept(model) == [0, 1] or kept(model) == [0, 1, 2]
    assert model.criterion_ == pytest.approx(same.criterion_, rel=1e-9)


def test_a_sparse_matrix_of_groups_one_hot_encoded():
    rng = np.random.default_rng(0)
    g, h = rng.integers(30, size=600), rng.integers(10, size=600)
    y = rng.normal(size=30)[g] + rng.normal(size=10)[h] + rng.normal(size=600)
    X = sp.csr_array(np.hstack([np.eye(30)[g], h[:, None]]))
    model = MixedLinearRegressor(30).fit(X, y)
    assert kept(model) == list(range(29))
    fewer = X.toarray()[:, 1:]
    dense = MixedLinearRegressor(29).fit(fewer, y)
    # The same model in other columns.
    assert_allclose(model.predict(X), dense.predict(fewer), rtol=0, atol=1e-9)


def test_a_model_of_near_columns_is_saved():
    near, _, y = nearly_the_same(0, 1e-5)
    model = MixedLinearRegressor("g", fixed=["x", "z"]).fit(near, y)
    again = pickle.loads(pickle.dumps(model))
    for found, expected in zip(
        again.predict(near, return_std=True), model.predict(near, return_std=True), strict=True
    ):
        assert (found == expected).all()
    assert again.partial_fit(near, y).criterion_ == model.partial_fit(near, y).criterion_


def test_a_further_part_of_other_rows():
    """Columns that are dependent in the first rows, and not in all."""
    near, _, y = nearly_the_same(0, 1e-5)
    near.loc[:149, "z"] = 2.0 * near["x"] + 1.0
    model = MixedLinearRegressor("g", fixed=["x", "z"])
    with pytest.warns(RankDeficiencyWarning):
        model.partial_fit(near[:150], y[:150])
    model.partial_fit(near[150:], y[150:])
    whole = MixedLinearRegressor("g", fixed=["x", "z"]).fit(near, y)
    assert kept(model) == kept(whole) == [0, 1]
    assert model.criterion_ == pytest.approx(whole.criterion_, rel=1e-12)
