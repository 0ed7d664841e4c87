"""MixedEffectsRegressor: equivalence, honest variances, and what a user does with it."""

import pickle

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor, StackingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from skmixed import MixedEffectsRegressor, MixedLinearRegressor, RandomEffect

# Absolute, of numbers between 1 and 10: the same sums in another order, some rounding errors.
ROUNDING = 1e-13
# Absolute, of predictions: searches that see the same numbers in another order end within their
# tolerance of each other, of whose square root the estimates are no worse than this.
SEARCH = 1e-9


def made(n=400, n_groups=20, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    X["g"] = rng.permutation(np.arange(n) % n_groups)
    effects = rng.normal(size=(n_groups, 2))
    effects -= effects.mean(axis=0)  # which f would take
    f = np.sin(2 * X["a"]) + X["b"]
    y = f + effects[X["g"], 0] + 0.5 * effects[X["g"], 1] * X["a"]
    return X, (y + noise * rng.normal(size=n)).to_numpy(), f.to_numpy()


@pytest.mark.parametrize("slopes", [None, "a"])
def test_around_least_squares_in_sample_it_is_the_linear_model_by_maximum_likelihood(slopes):
    X, y, _ = made()
    linear = MixedLinearRegressor("g", random_slopes=slopes, method="ml").fit(X, y)
    model = MixedEffectsRegressor(
        LinearRegression(),
        "g",
        random_slopes=slopes,
        method="ml",
        cv="in_sample",
        tol=1e-9,
        max_iter=500,
    ).fit(X, y)
    # The turns converge linearly: the rest is of the order of the last move, 1e-9.
    pd.testing.assert_frame_equal(
        model.variance_components_, linear.variance_components_, rtol=1e-6
    )
    np.testing.assert_allclose(
        model.random_effects_["g"], linear.random_effects_["g"], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(model.predict(X), linear.predict(X), rtol=0, atol=1e-6)
    assert abs(model.intercept_) < 1e-7  # as far as the turns have come


def test_the_residual_variance_is_what_new_rows_face_and_that_of_groups_is_right():
    seeds, found = range(4), []
    for seed in seeds:
        X, y, _ = made(900, 60, seed)
        forest = RandomForestRegressor(60, min_samples_leaf=3, random_state=0)
        model = MixedEffectsRegressor(forest, "g", random_slopes="a").fit(X, y)
        new = made(900, 60, 100 + seed)
        mse = np.mean((model.predict(new[0], include="fixed") - new[2]) ** 2)
        found.append([*model.variance_components_["variance"], 1 + mse])
    intercept, slope, residual, faced = np.mean(found, axis=0)
    # Of four sets of 60 groups: standard errors of 9 % of a variance, and of 2.4 % of σ².
    assert abs(intercept - 1) < 0.25
    assert abs(slope - 0.25) < 0.08
    assert abs(residual / faced - 1) < 0.07


def test_in_sample_residuals_of_a_tree_are_too_small():
    X, y, _ = made()
    tree = DecisionTreeRegressor(max_depth=6, random_state=0)
    honest = MixedEffectsRegressor(tree, "g").fit(X, y)
    flattered = MixedEffectsRegressor(tree, "g", cv="in_sample").fit(X, y)
    # Leaves and groups take up some eighty of 400 degrees of freedom: below 0.9 for a σ of 1. Out
    # of fold the error of the tree is added, of a variance of half or more: above 1.2.
    assert flattered.sigma_ < 0.8 * honest.sigma_


def test_sixteen_fits_at_most_by_default_here_and_four_of_a_forest():
    X, y, _ = made()
    fitted = MixedEffectsRegressor(KNeighborsRegressor(), "g").fit(X, y)
    assert fitted.n_regressor_fits_ == 5 * fitted.n_iter_ + 1 <= 16
    fitted = MixedEffectsRegressor(RandomForestRegressor(60, random_state=0), "g").fit(X, y)
    assert fitted.n_regressor_fits_ == fitted.n_iter_ + 1 <= 4


def test_the_same_input_gives_the_same_bits():
    X, y, _ = made()
    model = MixedEffectsRegressor(DecisionTreeRegressor(random_state=0), "g")
    np.testing.assert_array_equal(
        model.fit(X, y).predict(X), clone(model).fit(X, y).predict(X), strict=True
    )


def test_known_groups_new_groups_and_the_fixed_part():
    X, y, _ = made()
    model = MixedEffectsRegressor(Ridge(), "g").fit(X, y)
    new = X.assign(g=1000)
    f = model.regressor_.predict(X[["a", "b"]]) + model.intercept_
    np.testing.assert_allclose(model.predict(new), f, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(model.predict(X, include="fixed"), f, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(
        model.predict(X[["a", "b"]], include="fixed"), f, rtol=0, atol=ROUNDING
    )
    effects = model.random_effects_["g"]["(Intercept)"]
    expected = f + effects[X["g"]].to_numpy()
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=ROUNDING)
    known, unknown = (np.diff(model.predict_interval(rows))[:, 0] for rows in (X, new))
    assert (known < unknown).all()
    mean, sd = model.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X))
    assert (sd > model.sigma_).all()


def test_further_rows_of_a_new_group_move_its_effect_and_nothing_else():
    X, y, _ = made()
    known = X["g"] != 3
    model = MixedEffectsRegressor(Ridge(), "g").fit(X[known], y[known])
    kept = model.predict(X[known])
    assert 3 not in model.random_effects_["g"].index
    model.update_groups(X[~known], y[~known])
    # The equations of the known groups are solved once more.
    np.testing.assert_allclose(model.predict(X[known]), kept, rtol=0, atol=10 * ROUNDING)
    rest = y[~known] - model.predict(X[~known], include="fixed")
    # One intercept, with others: its mean residual, shrunken
    shrunken = model.random_effects_["g"]["(Intercept)"][3] / rest.mean()
    tau = model.variance_components_["variance"][0]
    n = (~known).sum()
    np.testing.assert_allclose(
        shrunken, tau / (tau + model.sigma_**2 / n), rtol=0, atol=10 * ROUNDING
    )


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, polars.DataFrame, pyarrow.Table.from_pandas], ids=str
)
def test_frames_of_any_kind_reach_the_regressor_as_they_are(kind):
    X, y, _ = made(100)
    X, seen = kind(X), []

    class Watching(Ridge):
        def fit(self, X, y, sample_weight=None):
            seen.append(X)
            return super().fit(np.column_stack([X["a"], X["b"]]), y, sample_weight)

        def predict(self, X):
            return super().predict(np.column_stack([X["a"], X["b"]]))

    model = MixedEffectsRegressor(Watching(), "g").fit(X, y)
    assert {type(own) for own in seen} == {type(X)}
    assert {own.shape[1] for own in seen} == {2}
    assert model.predict(X).shape == (100,)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_matrix, sp.coo_array])
def test_sparse_matrices_stay_sparse(kind):
    X, y, _ = made(100)
    model = MixedEffectsRegressor(Ridge(), 2).fit(kind(X.to_numpy()), y)
    dense = MixedEffectsRegressor(Ridge(), 2).fit(X.to_numpy(), y)
    # Ridge solves sparse systems by conjugate gradients, to 1e-4.
    np.testing.assert_allclose(model.predict(kind(X.to_numpy())), dense.predict(X.to_numpy()), 1e-3)


def test_lists_and_arrays():
    X, y, _ = made(100)
    rows = X.assign(g=X["g"].astype(str)).to_numpy().tolist()
    of_lists = MixedEffectsRegressor(Ridge(), 2).fit(rows, list(y))
    of_frame = MixedEffectsRegressor(Ridge(), "g").fit(X, y)
    np.testing.assert_allclose(of_lists.predict(rows), of_frame.predict(X), rtol=0, atol=SEARCH)


def test_labels_beside_x_reach_the_effects_and_not_the_regressor():
    X, y, _ = made(100)
    beside = MixedEffectsRegressor(Ridge()).fit(X[["a", "b"]], y, groups=X["g"])
    within = MixedEffectsRegressor(Ridge(), "g").fit(X, y)
    assert beside.regressor_.n_features_in_ == 2
    np.testing.assert_allclose(
        beside.predict(X[["a", "b"]], groups=X["g"]), within.predict(X), rtol=0, atol=SEARCH
    )


def test_the_regressor_sees_grouping_columns_where_they_are_kept():
    X, y, _ = made(100)
    kept = MixedEffectsRegressor(Ridge(), "g", keep_groups=True).fit(X, y)
    assert list(kept.regressor_.feature_names_in_) == ["a", "b", "g"]


def test_pipelines_with_text_around_and_inside():
    X, y, _ = made(200)
    X["kind"] = np.where(X["a"] > 0, "up", "down")
    encoding = make_column_transformer((OneHotEncoder(), ["kind"]), remainder=StandardScaler())
    inside = MixedEffectsRegressor(make_pipeline(encoding, Ridge()), "g").fit(X, y)
    encoding = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["kind"]),
        ("passthrough", ["g"]),
        remainder=StandardScaler(),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    around = make_pipeline(encoding, MixedEffectsRegressor(Ridge(), "g")).fit(X, y)
    # The scale is of all rows, or of those of a fold, which differ by some hundredths; by so much
    # does the penalty of 1 beside 200 rows, a part of 1/200 of each coefficient.
    np.testing.assert_allclose(inside.predict(X), around.predict(X), atol=0.02)


def test_weights_reach_the_regressor_and_the_effects():
    X, y, _ = made(200)
    weights = np.where(X["a"] > 0, 1.0, 0.01)
    model = MixedEffectsRegressor(make_pipeline(StandardScaler(), Ridge()), "g")
    weighted = model.fit(X, y, sample_weight=weights).predict(X)
    # sin(2a) has another line on the right side than on both: predictions differ by 0.9 on average.
    assert not np.allclose(weighted, clone(model).fit(X, y).predict(X), atol=0.05)
    doubled = clone(model).fit(X, y, sample_weight=2 * weights)
    # Precisions, of which σ² is in the unit; but for what the penalty does by greater weights.
    np.testing.assert_allclose(doubled.sigma_, 2**0.5 * model.sigma_, rtol=0.02)


def test_metadata_is_routed_to_the_regressor():
    X, y, _ = made(100)
    weights = np.linspace(0.5, 2, 100)
    with config_context(enable_metadata_routing=True):
        ridge = Ridge().set_fit_request(sample_weight=True)
        model = MixedEffectsRegressor(ridge, "g").set_fit_request(sample_weight=True)
        routed = model.fit(X, y, sample_weight=weights).predict(X)
    plain = MixedEffectsRegressor(Ridge(), "g").fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(routed, plain.predict(X))


def test_searches_over_the_regressor_and_the_groups_and_cross_validation_by_groups():
    X, y, _ = made(200)
    model = MixedEffectsRegressor(Ridge(), "g")
    effects = ["g", RandomEffect("g", slopes="a"), RandomEffect("g", slopes="a", covariance="diag")]
    grid = {"regressor__alpha": [0.1, 1000.0], "groups": effects}
    search = GridSearchCV(model, grid, cv=GroupKFold(3)).fit(X, y, groups=X["g"])
    assert search.best_params_["regressor__alpha"] == 0.1
    out = cross_val_predict(model, X, y, cv=GroupKFold(5), groups=X["g"])
    assert out.shape == y.shape


def test_stacking():
    X, y, _ = made(200)
    parts = [("effects", MixedEffectsRegressor(Ridge(), "g")), ("ridge", Ridge())]
    # 0.59; the groups and b have 2 of the variance of 3.5, and the noise 1, which none predicts.
    assert StackingRegressor(parts, Ridge()).fit(X, y).score(X, y) > 0.4


def test_saved_models_predict_the_same():
    X, y, _ = made(100)
    model = MixedEffectsRegressor(make_pipeline(StandardScaler(), Ridge()), "g").fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_interval(X), model.predict_interval(X))
    skops_io = pytest.importorskip("skops.io")
    saved = skops_io.dumps(model)
    trusted = skops_io.get_untrusted_types(data=saved)
    assert all(name.startswith("skmixed.") for name in trusted), trusted
    again = skops_io.loads(saved, trusted=trusted)
    np.testing.assert_array_equal(again.predict_interval(X), model.predict_interval(X))


def test_before_fit_there_are_no_attributes():
    model = MixedEffectsRegressor(Ridge(), "g")
    for name in ("random_effects_", "variance_components_", "intercept_", "sigma_"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}' before fit"):
            getattr(model, name)
    X, y, _ = made(100)
    with pytest.raises(AttributeError, match="no linear part"):
        model.fit(X, y).linear_effects_  # noqa: B018


def test_without_groups_it_is_the_regressor_with_the_error_of_new_rows():
    X, y, _ = made(200)
    model = MixedEffectsRegressor(Ridge()).fit(X, y)
    assert model.n_iter_ == 1
    np.testing.assert_allclose(
        model.predict(X), Ridge().fit(X, y).predict(X) + model.intercept_, rtol=0, atol=ROUNDING
    )
