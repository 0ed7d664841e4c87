"""Which rows folds keep together, and what is said where they cannot."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.neighbors import KNeighborsRegressor

from skmixed import MixedEffectsRegressor
from skmixed.inference import coefficient_table

PARTED = "'d' is constant within the groups of 'h' .* keep the groups of 'g' whole"


class Watching(LinearRegression):
    """Keeps the index of the rows that it is trained on."""

    trained: list = []  # noqa: RUF012

    def fit(self, X, y, sample_weight=None):
        Watching.trained.append(X.index)
        return super().fit(X, y, sample_weight)


def made(g, h, seed=0):
    """Two factors, each of which a column tells apart."""
    rng = np.random.default_rng(seed)
    g, h = np.asarray(g), np.asarray(h)
    X = pd.DataFrame({"a": rng.normal(size=len(g)), "g": g, "h": h})
    X["c"], X["d"] = rng.normal(size=g.max() + 1)[g], rng.normal(size=h.max() + 1)[h]
    y = X["a"] + rng.normal(size=g.max() + 1)[g] + rng.normal(size=h.max() + 1)[h]
    return X, y + rng.normal(size=len(g))


def trained(X, y, groups, **parameters):
    """Rows that the fits of the folds were given."""
    Watching.trained = []
    MixedEffectsRegressor(Watching(), groups, max_iter=1, tol=10.0, **parameters).fit(X, y)
    return Watching.trained[:-1]


def is_whole(X, rows, factor):
    """Whether no level is partly in the rows of a fit."""
    return all(set(X[factor][own]).isdisjoint(X[factor].drop(own)) for own in rows)


@pytest.mark.parametrize("groups", [["g", "h"], ["h", "g"]])
def test_of_nested_factors_the_outer_one_is_kept_whole(groups):
    h = np.arange(400) % 40
    X, y = made(h // 5, h)  # five of h in each of the eight of g
    rows = trained(X, y, groups)
    assert len(rows) == 5
    assert is_whole(X, rows, "g")


def test_an_outer_factor_of_two_unequal_levels_is_kept_whole_too():
    h = np.arange(400) % 40
    g = (h >= 12).astype(int)
    X, y = made(g, h)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two levels have hardly a variance
        rows = trained(X, y, ["h", "g"])
    assert len(rows) == 2
    assert is_whole(X, rows, "g")


def test_levels_of_crossed_factors_that_meet_are_kept_together():
    n = np.arange(480)
    block = n % 6  # within which four of g and four of h are crossed
    X, y = made(4 * block + n // 6 % 4, 4 * block + n // 24 % 4)
    rows = trained(X, y, ["g", "h"])
    assert is_whole(X, rows, "g")
    assert is_whole(X, rows, "h")


def test_crossed_factors_that_meet_throughout_are_warned_of():
    n = np.arange(400)
    X, y = made(n % 20, n // 20)
    with pytest.warns(UserWarning, match=PARTED):
        rows = trained(X, y, ["g", "h"])
    assert is_whole(X, rows, "g")
    with pytest.warns(UserWarning, match="or keep 'd' from `regressor`"):
        assert len(trained(X, y, ["g", "h"], cv=3)) == 3
    # Not where no column tells h apart, and not where folds are given.
    assert is_whole(X, trained(X.drop(columns="d"), y, ["g", "h"]), "g")
    trained(X, y, ["g", "h"], cv=KFold(3))


def test_rows_of_weight_0_in_groups_of_their_own_hide_no_column():
    n = np.arange(400)
    X, y = made(n % 20, n // 20)
    weights = np.where(X["g"] < 2, 0.0, 1.0)
    Watching.trained = []
    model = MixedEffectsRegressor(Watching(), "g", max_iter=1, tol=10.0)
    model.fit(X.drop(columns="d"), y, sample_weight=weights)
    counted = X[weights > 0]
    rows = [own.intersection(counted.index) for own in Watching.trained[:-1]]
    assert is_whole(counted, rows, "g")
    assert model.n_iter_ == 1


def test_columns_of_a_sparse_matrix_that_tell_both_factors_apart_are_found():
    n = np.arange(400)
    X, y = made(n % 20, n // 20)
    model = MixedEffectsRegressor(LinearRegression(), [1, 2])
    with pytest.warns(UserWarning, match="'x4' is constant within the groups of 'x2'"):
        model.fit(sp.csr_array(X.to_numpy()), y)


def test_folds_that_leave_out_levels_of_both_give_the_variance_that_others_miss():
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        n = np.arange(1600)
        X, _ = made(n % 40, n // 40, seed)
        effects = rng.normal(size=(2, 40))
        effects /= effects.std(axis=1, ddof=1)[:, None]
        y = X["a"] + effects[0][X["g"]] + effects[1][X["h"]] + rng.normal(size=len(n))
        g, h = (rng.permutation(40)[X[name]] % 3 for name in "gh")
        folds = [
            (np.flatnonzero((g != i) & (h != j)), np.flatnonzero((g == i) & (h == j)))
            for i in range(3)
            for j in range(3)
        ]
        model = MixedEffectsRegressor(KNeighborsRegressor(10), ["g", "h"], cv=folds).fit(X, y)
        with pytest.warns(UserWarning, match=PARTED):
            parted = MixedEffectsRegressor(KNeighborsRegressor(10), ["g", "h"]).fit(X, y)
        assert model.n_iter_ == 1
        found.append([own.variance_components_["variance"][1] for own in (model, parted)])
    of_both, of_one = np.mean(found, axis=0)
    # 1, and the error of an f̂ that has seen no row of the level: the nearest neighbors in d are
    # of a few other levels, whose mean has a variance of a part of 1. The neighbors of the
    # same level take a part of the effect away instead: 0.7 of the former is left, and the
    # effects being of the same data, five sets tell this from 0.85.
    assert 1.0 < of_both < 1.6
    assert of_one < 0.85 * of_both


def linear(n_groups=30):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(10 * n_groups, 2)), columns=["a", "dose"])
    X["g"] = np.arange(10 * n_groups) % n_groups
    return X, X["a"] + X["dose"] + rng.normal(size=n_groups)[X["g"]] + rng.normal(size=len(X))


def test_linear_effects_are_by_the_folds_of_groups_that_are_given():
    X, y = linear()
    splitter = GroupKFold(3)
    model = MixedEffectsRegressor(LinearRegression(), "g", linear="dose", cv=splitter).fit(X, y)
    assert len(model.linear_models_) == 1
    assert model.n_regressor_fits_ == 2 * 3 + 3 * model.n_iter_ + 1
    rest = {"dose": X["dose"].to_numpy().copy(), "y": y.to_numpy().copy()}
    W = X[["a"]].to_numpy()
    for train, test in splitter.split(W, groups=X["g"]):
        for name, target in (("dose", X["dose"]), ("y", y)):
            rest[name][test] -= LinearRegression().fit(W[train], target[train]).predict(W[test])
    own = pd.DataFrame({"dose": rest["dose"], "g": X["g"]})
    of_rest = MixedEffectsRegressor(LinearRegression(), "g").fit(own, rest["y"]).mixed_model_
    linear_model = type(of_rest)("g").fit(own, rest["y"])
    expected = coefficient_table(linear_model).loc["dose", "estimate"]
    # The same least squares problem, to the tolerance of the search.
    np.testing.assert_allclose(model.linear_effects_["estimate"], expected, rtol=1e-7)
    folds = list(splitter.split(X, groups=X["g"]))
    listed = MixedEffectsRegressor(LinearRegression(), "g", linear="dose", cv=folds).fit(X, y)
    pd.testing.assert_frame_equal(listed.linear_effects_, model.linear_effects_)


def test_folds_of_rows_do_for_linear_effects_without_groups():
    X, y = linear()
    model = MixedEffectsRegressor(LinearRegression(), linear="dose", cv=KFold(3))
    table = model.fit(X[["a", "dose"]], y).linear_effects_
    assert abs(table.loc["dose", "estimate"] - 1) < 4 * table.loc["dose", "std_error"]


def test_the_table_of_linear_effects_is_computed_when_it_is_asked_for():
    X, y = linear()
    model = MixedEffectsRegressor(LinearRegression(), "g", linear="dose").fit(X, y)
    # Satterthwaite's degrees of freedom are by the information, which no fit computes.
    assert not any("information" in vars(own._model) for own in model.linear_models_)
