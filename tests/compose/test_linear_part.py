"""Linear effects beside a regressor: estimates, errors, and columns that vary between groups."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsRegressor

from skmixed import MixedEffectsRegressor, MixedLinearRegressor
from skmixed.exceptions import UndeterminedError
from skmixed.inference import coefficient_table

# Relative, of estimates: searches that see the same numbers in another order end within their
# tolerance of each other.
SEARCH = 1e-7
# Absolute, of numbers between 1 and 10: the same sums in another order, some rounding errors.
ROUNDING = 1e-12


def made(n_groups, seed=0, slopes=0.0):
    """A dose that depends on other columns by a curve, as the response does; β = 0.7."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_groups), 10)
    W = rng.uniform(-2, 2, size=(len(g), 2))
    dose = np.abs(W[:, 0]) + rng.normal(size=len(g))
    effects = rng.normal(size=(n_groups, 2))
    y = 0.7 * dose + 2 * np.abs(W[:, 0]) + W[:, 1] + effects[g, 0] + slopes * effects[g, 1] * dose
    X = pd.DataFrame({"a": W[:, 0], "b": W[:, 1], "dose": dose, "g": g})
    return X, y + rng.normal(size=len(g))


def test_what_other_columns_say_of_the_dose_is_taken_out():
    X, y = made(150)
    model = MixedEffectsRegressor(KNeighborsRegressor(15), "g", linear="dose").fit(X, y)
    table = model.linear_effects_.loc["dose"]
    # Standard error 0.027, and three of them; the linear model is off by what the curve is, 0.44
    # with a standard error of 0.033.
    assert abs(table["estimate"] - 0.7) < 3 * table["std_error"] < 0.1
    linear = coefficient_table(MixedLinearRegressor("g").fit(X, y)).loc["dose"]
    assert abs(linear["estimate"] - 0.7) > 10 * linear["std_error"]
    assert model.regressor_.n_features_in_ == 2
    assert list(model.linear_effects_.index) == ["dose"]


def test_by_least_squares_it_is_the_median_of_mixed_models_of_what_is_left_by_folds():
    X, y = made(30)
    model = MixedEffectsRegressor(LinearRegression(), "g", linear="dose", cv=3).fit(X, y)
    W, targets = X[["a", "b"]].to_numpy(), {"dose": X["dose"].to_numpy(), "y": y}
    rng, found = np.random.RandomState(0), []
    for own in model.linear_models_:
        folds = list(GroupKFold(3, shuffle=True, random_state=rng).split(W, groups=X["g"]))
        rest = {name: target.copy() for name, target in targets.items()}
        for name, target in targets.items():
            for train, test in folds:
                fitted = LinearRegression().fit(W[train], target[train])
                rest[name][test] -= fitted.predict(W[test])
        frame = pd.DataFrame({"dose": rest["dose"], "g": X["g"]})
        expected = coefficient_table(MixedLinearRegressor("g").fit(frame, rest["y"])).loc["dose"]
        row = coefficient_table(own).loc["dose"]
        np.testing.assert_allclose(row, expected, rtol=SEARCH)
        found.append(expected)
    found = pd.DataFrame(found).astype(float)
    table, beta = model.linear_effects_.loc["dose"], found["estimate"].median()
    np.testing.assert_allclose(table["estimate"], beta, rtol=SEARCH)
    variance = (found["std_error"] ** 2 + (found["estimate"] - beta) ** 2).median()
    np.testing.assert_allclose(table["std_error"], variance**0.5, rtol=SEARCH)
    assert table["lower"] < beta < table["upper"]
    np.testing.assert_allclose(table["t"], beta / variance**0.5, rtol=SEARCH)
    assert model.n_regressor_fits_ == 3 * 2 * 3 + 3 * model.n_iter_ + 1


def test_predictions_have_the_linear_part():
    X, y = made(30)
    model = MixedEffectsRegressor(LinearRegression(), "g", linear=["dose"]).fit(X, y)
    f = model.regressor_.predict(X[["a", "b"]]) + model.intercept_
    expected = f + model.linear_effects_.loc["dose", "estimate"] * X["dose"]
    np.testing.assert_allclose(model.predict(X, include="fixed"), expected, rtol=0, atol=ROUNDING)
    array = X.to_numpy()
    by_position = MixedEffectsRegressor(LinearRegression(), -1, linear=2).fit(array, y)
    np.testing.assert_allclose(by_position.predict(array), model.predict(X), atol=SEARCH)
    np.testing.assert_allclose(
        by_position.predict_interval(array), model.predict_interval(X), atol=SEARCH
    )


@pytest.mark.parametrize("beside", [False, True])
def test_a_slope_that_varies_keeps_its_column_as_it_is(beside):
    X, y = made(60, slopes=0.5)
    columns, groups = (X.drop(columns="g"), X["g"]) if beside else (X, None)
    own = MixedEffectsRegressor(
        LinearRegression(), None if beside else "g", random_slopes="dose", linear="dose"
    ).fit(columns, y, groups=groups)
    names = own.linear_models_[0].variance_components_["name"]
    assert list(names) == ["(Intercept)", "dose as given", ""]
    slope = own.linear_models_[0].variance_components_["sd"][1]
    assert 0.3 < slope < 0.7  # 0.5, with a standard error of 0.06 by 60 groups


def test_several_columns_and_the_summary():
    X, y = made(40)
    X["extra"] = np.random.default_rng(1).normal(size=len(X))
    model = MixedEffectsRegressor(LinearRegression(), "g", linear=["dose", "extra"]).fit(X, y)
    assert list(model.linear_effects_.index) == ["dose", "extra"]
    text = str(model.summary())
    assert "Linear effects:" in text
    assert " extra " in text
    assert "(Intercept)" in text.split("Linear effects:", maxsplit=1)[0]
    assert max(map(len, text.splitlines())) <= 80


def test_columns_without_an_effect_of_their_own_are_refused():
    X, y = made(30)
    model = MixedEffectsRegressor(LinearRegression(), "g", linear="extra")
    with pytest.raises(ValueError, match="'extra' of `linear` is constant"):
        model.fit(X.assign(extra=2.0), y)
    with pytest.raises(UndeterminedError, match="determine column 'extra' of `linear`"):
        model.fit(X.assign(extra=X["a"] + 2 * X["b"]), y)


def test_what_was_fitted_counts_and_not_what_a_parameter_is_now():
    X, y = made(30)
    model = MixedEffectsRegressor(LinearRegression(), "g", linear="dose").fit(X, y)
    before = model.predict(X)
    np.testing.assert_array_equal(model.set_params(linear=None).predict(X), before)
    none = MixedEffectsRegressor(LinearRegression(), "g", linear=[]).fit(X, y)
    assert none.summary().linear is None


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_a_frame_may_follow_an_array():
    X, y = made(30)
    model = MixedEffectsRegressor(LinearRegression(), 3, linear=2).fit(X.to_numpy(), y)
    np.testing.assert_allclose(model.predict(X), model.predict(X.to_numpy()), rtol=0, atol=ROUNDING)
