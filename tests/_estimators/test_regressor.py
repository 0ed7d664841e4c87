"""What a fitted estimator is, says and predicts, with one grouping factor."""

import copy
import pickle
from collections.abc import Mapping

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import read_frame
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.utils.validation import check_is_fitted

from skmixed import AllExcept, MixedLinearRegressor, RandomEffect
from skmixed._data.grouping_factor import Metadata
from skmixed._data.table import open_table
from skmixed._fitted.fitting import specification
from skmixed.exceptions import FitStatus, SingularFitWarning

FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]
DAYS, SUBJECT = X[["Days"]], X["Subject"]
N = len(X)
ALTERNATING = np.tile([1.0, 2.0], N // 2)
Z = np.random.default_rng(0).normal(size=N)

# Two optima of one criterion, reached by different paths: each is known to the
# square root of the rounding errors of the criterion, 1e-13 of it.
OPTIMUM = 1e-6
# One computation in two orders of the same sums.
ROUNDING = 1e-10

FITTED = (
    *("coef_", "intercept_", "sigma_", "theta_", "criterion_", "converged_", "singular_"),
    *("status_", "n_iter_", "n_factorizations_", "n_features_in_", "feature_names_in_"),
    *("fixed_effects_", "random_effects_", "covariances_", "variance_components_"),
    *("log_likelihood_", "aic_", "bic_"),
    *("solver_", "criterion_error_", "monte_carlo_errors_"),
)


def fit(X=X, y=Y, weights=None, groups="Subject", **parameters):
    return MixedLinearRegressor(groups, **parameters).fit(X, y, weights)


@pytest.fixture(scope="module")
def intercepts():
    return fit()


@pytest.fixture(scope="module")
def slopes():
    return fit(random_slopes="Days")


# ---- attributes ------------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_no_attribute_before_fit(name):
    model = MixedLinearRegressor("Subject")
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(model, name)
    assert not hasattr(model, name)


def test_every_public_attribute_is_listed(slopes):
    shown = {name for name in dir(slopes) if name.endswith("_") and not name.startswith("_")}
    assert shown == set(FITTED)


def test_types_and_shapes(slopes):
    assert type(slopes.coef_) is np.ndarray
    assert slopes.coef_.shape == (2,)
    assert slopes.theta_.shape == (3,)
    for name in ("intercept_", "sigma_", "criterion_", "log_likelihood_", "aic_", "bic_"):
        assert isinstance(getattr(slopes, name), float), name
    for name in ("n_iter_", "n_factorizations_", "n_features_in_"):
        assert type(getattr(slopes, name)) is int, name
    for name in ("converged_", "singular_"):
        assert type(getattr(slopes, name)) is bool, name
    assert slopes.status_ == FitStatus.CONVERGED.value
    assert list(slopes.feature_names_in_) == ["Days", "Subject"]
    assert slopes.n_features_in_ == 2


def test_parameters_are_stored_untouched():
    given = ["Subject"]
    model = MixedLinearRegressor(given, random_slopes=given, fixed=given, tol=1, max_iter=2)
    assert model.groups is model.random_slopes is model.fixed is given
    assert given == ["Subject"]


def test_coefficients_are_in_the_order_of_the_columns():
    table = pd.DataFrame({"z": Z, "Subject": SUBJECT, "Days": X["Days"]})
    model = fit(table, fixed=["Days", "z"])
    assert list(model.fixed_effects_.index) == ["(Intercept)", "z", "Days"]
    z, days = model.fixed_effects_[["z", "Days"]]
    assert_array_equal(model.coef_, [z, 0.0, days])  # as scikit-learn pairs them with X


def test_no_intercept():
    model = fit(fit_intercept=False)
    assert model.intercept_ == 0.0
    assert list(model.fixed_effects_.index) == ["Days"]
    assert_array_equal(model.coef_, [model.fixed_effects_["Days"], 0.0])


def test_no_fixed_effects():
    model = fit(fixed=[], fit_intercept=False)
    assert model.fixed_effects_.shape == (0,)
    assert_array_equal(model.coef_, [0.0, 0.0])
    assert_array_equal(model.predict(X, include="fixed"), 0.0)
    # Without fixed effects REML is ML, and a group's effect its shrunken mean.
    assert model.criterion_ == fit(fixed=[], fit_intercept=False, method="ml").criterion_
    shrinkage = 10 * model.theta_[0] ** 2 / (10 * model.theta_[0] ** 2 + 1)
    means = Y.groupby(SUBJECT).mean()
    assert_allclose(model.random_effects_["Subject"]["(Intercept)"], shrinkage * means, rtol=1e-12)


def test_only_the_grouping_column():
    model = fit(X[["Subject"]])
    assert_array_equal(model.coef_, [0.0])
    # Balanced data: the fixed effect is the mean.
    assert model.intercept_ == pytest.approx(Y.mean(), rel=ROUNDING)
    assert model.n_features_in_ == 1


def test_random_effects_are_a_read_only_mapping(slopes):
    effects = slopes.random_effects_
    assert isinstance(effects, Mapping)
    assert not hasattr(effects, "__setitem__")
    assert list(effects) == list(effects.keys()) == ["Subject"]
    assert len(effects) == 1
    assert "Subject" in effects
    assert ["Subject"] not in effects
    assert repr(effects) == "RandomEffects('Subject': 18 levels)"
    with pytest.raises(KeyError, match="subject"):
        effects["subject"]
    frame = effects["Subject"]
    assert list(frame.columns) == ["(Intercept)", "Days"]
    assert list(frame.index) == sorted(SUBJECT.unique())
    assert frame.index.name == "Subject"
    frame.iloc[:] = 0.0
    assert (effects["Subject"] != 0).all(axis=None)


def test_random_effects_are_built_on_demand(slopes):
    assert vars(slopes.random_effects_).keys() == {"_encoder", "_solution"}
    names = set(vars(slopes))
    for name in FITTED:
        getattr(slopes, name)
    assert set(vars(slopes)) == names


def test_results_do_not_reach_into_the_model(slopes):
    before = pickle.dumps(slopes._model.estimate)
    for frame in (slopes.covariances_["Subject"], slopes.random_effects_["Subject"]):
        frame.iloc[:] = 0.0
    assert pickle.dumps(slopes._model.estimate) == before


def test_variance_components_of_three_coefficients():
    model = fit(X.assign(z=Z), random_slopes=["Days", "z"])
    table = model.variance_components_
    assert list(table.columns) == ["group", "name", "variance", "sd", "corr", "corr2"]
    assert list(table["group"]) == ["Subject"] * 3 + ["residual"]
    assert list(table["name"]) == ["(Intercept)", "Days", "z", ""]
    covariance = model.covariances_["Subject"]
    assert list(covariance.index) == list(covariance.columns) == ["(Intercept)", "Days", "z"]
    assert_array_equal(table["variance"], [*np.diagonal(covariance), model.sigma_**2])
    assert_array_equal(table["sd"], np.sqrt(table["variance"]))
    correlation = covariance.to_numpy() / np.outer(table["sd"][:3], table["sd"][:3])
    assert_allclose(table["corr"], [np.nan, *correlation[1:, 0], np.nan], rtol=ROUNDING)
    assert_allclose(table["corr2"], [np.nan, np.nan, correlation[2, 1], np.nan], rtol=ROUNDING)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
def test_variance_components_without_correlations(covariance):
    table = fit(random_slopes="Days", covariance=covariance).variance_components_
    assert table["corr"].isna().all()
    assert (table["variance"][0] == table["variance"][1]) == (covariance == "spherical")


def test_variance_components_of_least_squares():
    table = fit(DAYS, groups=None).variance_components_
    assert list(table["group"]) == ["residual"]
    assert list(table.columns) == ["group", "name", "variance", "sd", "corr"]


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(("covariance", "n_theta"), [("full", 3), ("diag", 2), ("spherical", 1)])
def test_information_criteria_count_parameters(covariance, n_theta, method):
    options = {"random_slopes": "Days", "covariance": covariance, "method": method}
    model = fit(weights=ALTERNATING, **options)  # n counts rows, not weights
    n_parameters = 2 + n_theta + 1
    assert len(model.theta_) == n_theta
    assert model.aic_ == pytest.approx(model.criterion_ + 2 * n_parameters, rel=1e-14)
    assert model.bic_ == pytest.approx(model.criterion_ + np.log(N) * n_parameters, rel=1e-14)
    assert model.log_likelihood_ == -model.criterion_ / 2


def test_information_criteria_at_the_boundary_count_all_parameters():
    frame = read_frame("dyestuff2")
    with pytest.warns(SingularFitWarning):
        model = fit(frame[["Batch"]], frame["Yield"], groups="Batch")
    assert model.aic_ == pytest.approx(model.criterion_ + 2 * 3, rel=1e-14)
    # lme4's values; its θ stops at 1e-4 or so, where the criterion is 3e-7 higher.
    assert model.criterion_ == pytest.approx(161.8282781, abs=1e-6)
    assert model.sigma_**2 == pytest.approx(13.8063096, abs=1e-6)
    assert_array_equal(model.theta_, [0.0])


def test_iterations():
    frame = read_frame("sleepstudy_unbalanced")
    data = frame[["Days", "Subject"]], frame["Reaction"]
    model = fit(*data, random_slopes="Days")
    assert 1 <= model.n_iter_ < model.n_factorizations_
    just_enough = fit(*data, random_slopes="Days", max_iter=model.n_iter_)
    assert just_enough.n_iter_ == model.n_iter_
    assert just_enough.criterion_ == model.criterion_


# ---- numbers ---------------------------------------------------------------


def deviations(model):
    return [*model.variance_components_["sd"]]


def test_numbers_of_sleepstudy(slopes):
    # lme4's values, to the digits given, where its search stops close enough to
    # the optimum; 1e-5 of a standard error is an error of 1e-10 in the criterion.
    assert slopes.criterion_ == pytest.approx(1743.6282720, abs=1e-6)
    assert slopes.aic_ == pytest.approx(1755.628, abs=1e-3)
    assert_allclose(slopes.fixed_effects_, [251.405105, 10.467286], atol=1e-6)
    assert_allclose(slopes.summary().fixed["Std. Error"], [6.824597, 1.545790], rtol=1e-5)
    assert_allclose(deviations(slopes), [24.7405, 5.9221, 25.5918], atol=1e-4)
    assert slopes.variance_components_["corr"][1] == pytest.approx(0.066, abs=1e-3)
    assert fit(random_slopes="Days", method="ml").criterion_ == pytest.approx(
        1751.9393445, abs=1e-6
    )


def test_numbers_of_random_intercepts(intercepts):
    assert intercepts.criterion_ == pytest.approx(1786.465085, abs=1e-6)
    assert_allclose(intercepts.variance_components_["variance"], [1378.1785, 960.4566], atol=1e-3)
    ml = fit(method="ml")
    assert ml.log_likelihood_ == pytest.approx(-897.039322, abs=1e-6)
    assert_allclose(ml.variance_components_["variance"], [1296.8700, 954.5278], atol=1e-3)


def test_residual_variance_of_ml_divides_by_n():
    model = fit(method="ml")
    residuals = Y - model.predict(X)
    effects = model.random_effects_["Subject"].to_numpy()
    # r² = ‖y − Xβ̂ − Zb̂‖² + ‖û‖², û = b̂ / θ̂.
    r_squared = (residuals**2).sum() + ((effects / model.theta_) ** 2).sum()
    assert model.sigma_**2 == pytest.approx(r_squared / N, rel=ROUNDING)


def test_reml_depends_on_the_scale_of_a_column(intercepts):
    scaled = fit(X.assign(Days=10 * X["Days"]))
    change = scaled.criterion_ - intercepts.criterion_
    assert change == pytest.approx(2 * np.log(10), abs=1e-8)
    assert scaled.criterion_ == pytest.approx(1791.070, abs=1e-3)


@pytest.mark.parametrize(("method", "value"), [("ml", -900.1770), ("reml", -896.3642)])
def test_weighted_likelihood(method, value):
    model = fit(weights=ALTERNATING, method=method)
    assert model.log_likelihood_ == pytest.approx(value, abs=1e-4)
    times_three = fit(weights=3 * ALTERNATING, method=method)
    assert times_three.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=ROUNDING)
    assert times_three.sigma_ == pytest.approx(np.sqrt(3) * model.sigma_, rel=OPTIMUM)
    assert_allclose(times_three.fixed_effects_, model.fixed_effects_, rtol=OPTIMUM)
    assert_allclose(
        times_three.covariances_["Subject"], model.covariances_["Subject"], rtol=OPTIMUM
    )


def test_weights_are_precisions_and_not_repetitions():
    weighted = fit(weights=ALTERNATING, method="ml")
    rows = np.repeat(np.arange(N), ALTERNATING.astype(int))
    repeated = fit(X.iloc[rows], Y.iloc[rows], method="ml")
    assert_allclose(deviations(weighted), [36.83, 37.25], atol=5e-3)
    assert_allclose(deviations(repeated), [37.27, 29.87], atol=5e-3)


@pytest.mark.parametrize("weights", [None, ALTERNATING])
def test_a_weight_of_zero_is_the_row_left_out(weights):
    keep = (np.arange(N) % 7 != 0) & (SUBJECT != "308").to_numpy()
    own = np.ones(N) if weights is None else weights
    zero = fit(weights=np.where(keep, own, 0.0), random_slopes="Days")
    dropped = fit(X[keep], Y[keep], None if weights is None else own[keep], random_slopes="Days")
    assert "308" not in zero.random_effects_["Subject"].index
    if weights is not None:  # else one of them is fitted with weights of 1
        assert_array_equal(zero.predict(X), dropped.predict(X))
        assert zero.bic_ == dropped.bic_
    assert zero.criterion_ == pytest.approx(dropped.criterion_, rel=ROUNDING)
    assert zero.bic_ == pytest.approx(dropped.bic_, rel=ROUNDING)
    assert_allclose(zero.predict(X), dropped.predict(X), rtol=OPTIMUM)


@pytest.mark.parametrize(
    ("days", "value"),
    [(X["Days"] * 1e9, 1785.0748), (1.6e9 + X["Days"] * 86400, 1766.3618)],
    ids=["times 1e9", "unix time"],
)
def test_slopes_of_any_scale(days, value):
    model = fit(X.assign(Days=days), random_slopes="Days")
    assert model.criterion_ == pytest.approx(value, abs=1e-4)
    assert not model.singular_


def test_a_large_response(slopes):
    shifted = fit(y=Y + 1e8, random_slopes="Days")
    # y + 1e8 has lost 8 of its 16 digits, and 1e-8 of 300 is left of y.
    assert shifted.criterion_ == pytest.approx(slopes.criterion_, abs=1e-5)
    assert_allclose(shifted.coef_, slopes.coef_, rtol=1e-6)


@pytest.mark.parametrize(("shift", "value"), [(0.0, 1743.669), (4.5, 1753.549)])
def test_a_diagonal_covariance_is_not_shift_invariant(shift, value):
    model = fit(X.assign(Days=X["Days"] - shift), random_slopes="Days", covariance="diag")
    assert model.criterion_ == pytest.approx(value, abs=1e-3)


def test_nested_labels_need_an_interaction():
    frame = read_frame("pastes")
    nested = fit(frame[["batch", "cask"]], frame["strength"], groups=[("batch", "cask")])
    with pytest.warns(SingularFitWarning):
        mistaken = fit(frame[["cask"]], frame["strength"], groups="cask")
    assert "batch:cask 30" in str(nested.summary())
    assert "cask 3\n" in str(mistaken.summary())
    # The column of both labels in one is the same factor.
    joined = fit(frame[["sample"]], frame["strength"], groups="sample")
    assert nested.criterion_ == joined.criterion_
    assert list(nested.random_effects_) == ["batch:cask"]
    effects = nested.random_effects_["batch:cask"]
    assert effects.index.names == ["batch", "cask"]
    assert_array_equal(effects, joined.random_effects_["sample"])


# ---- least squares ---------------------------------------------------------


@pytest.mark.parametrize("weights", [None, ALTERNATING])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_without_groups_it_is_linear_regression(weights, fit_intercept):
    table = DAYS.assign(z=Z, constant=3.0 if not fit_intercept else Z**2)
    model = fit(table, weights=weights, groups=None, fit_intercept=fit_intercept)
    expected = LinearRegression(fit_intercept=fit_intercept).fit(table, Y, weights)
    assert_allclose(model.coef_, expected.coef_, rtol=ROUNDING)
    assert_allclose(model.intercept_, expected.intercept_, rtol=ROUNDING)
    assert_allclose(model.predict(table), expected.predict(table), rtol=ROUNDING)
    assert model.score(table, Y) == pytest.approx(expected.score(table, Y), rel=ROUNDING)
    assert len(model.random_effects_) == len(model.covariances_) == len(model.theta_) == 0
    assert (model.n_iter_, model.status_) == (1, FitStatus.LEAST_SQUARES.value)
    assert model.converged_
    assert not model.singular_


def test_summary_without_groups_says_so():
    assert "Ordinary least squares (groups=None" in str(fit(DAYS, groups=None).summary())
    assert "Ordinary least squares" not in str(fit().summary())


# ---- predictions -----------------------------------------------------------


def test_prediction_is_fixed_effects_and_blups(slopes):
    effects = slopes.random_effects_["Subject"].loc[SUBJECT]
    fixed = slopes.intercept_ + slopes.coef_[0] * X["Days"].to_numpy()
    random = effects["(Intercept)"].to_numpy() + effects["Days"].to_numpy() * X["Days"].to_numpy()
    # The same sums, associated differently.
    assert_allclose(slopes.predict(X), fixed + random, rtol=1e-14)
    assert_allclose(slopes.predict(X, include="fixed"), fixed, rtol=1e-14)


@pytest.mark.parametrize(
    ("include", "same_as"), [(["Subject"], "all"), ([], "fixed"), ((), "fixed")]
)
def test_include(slopes, include, same_as):
    assert_array_equal(slopes.predict(X, include=include), slopes.predict(X, include=same_as))
    assert np.any(slopes.predict(X, include="fixed") != slopes.predict(X))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, "new", ""])
def test_unknown_and_missing_groups_get_the_fixed_effects(slopes, missing):
    labels = SUBJECT.to_numpy(dtype=object, copy=True)
    rows = [0, 17, 33]
    labels[rows] = missing
    found = slopes.predict(X.assign(Subject=labels))
    expected = slopes.predict(X)
    expected[rows] = slopes.predict(X, include="fixed")[rows]
    assert_array_equal(found, expected)


def test_a_prediction_does_not_depend_on_the_other_rows(slopes):
    labels = SUBJECT.to_numpy(dtype=object, copy=True)
    labels[::5], labels[::7] = "new", None
    table = X.assign(Subject=labels)
    together = slopes.predict(table)
    alone = [slopes.predict(table.iloc[[row]])[0] for row in range(N)]
    assert_array_equal(together, alone)
    assert_array_equal(slopes.predict(table[::-1]), together[::-1])
    assert_array_equal(slopes.predict(pd.concat([table] * 3)), np.tile(together, 3))


def test_output_order_is_input_order(slopes):
    order = np.random.default_rng(1).permutation(N)
    assert_array_equal(slopes.predict(X.iloc[order]), slopes.predict(X)[order])


@pytest.mark.parametrize("table", [X.iloc[:1], X.iloc[[5, 5]]])
def test_few_rows(slopes, table):
    assert_array_equal(slopes.predict(table), slopes.predict(X)[table.index])


def test_handle_unknown():
    strict = fit(handle_unknown="error")
    assert_array_equal(strict.predict(X), fit().predict(X))
    with pytest.raises(ValueError, match="1 rows have a level of grouping factor 'Subject'"):
        strict.predict(X.assign(Subject=SUBJECT.where(SUBJECT.index != 3, "new")))


def test_an_unknown_combination_of_known_labels():
    table = X.assign(half=np.where(X["Days"] < 5, "early", "late"))
    keep = ~((SUBJECT == "308") & (table["half"] == "late"))
    model = fit(table[keep], Y[keep], groups=[("Subject", "half")])
    assert len(model.random_effects_["Subject:half"]) == 35
    difference = model.predict(table) - model.predict(table, include="fixed")
    assert_array_equal(difference == 0, ~keep)


def test_score_is_that_of_the_predictions(slopes):
    residuals = Y - slopes.predict(X)
    mean = np.average(Y, weights=ALTERNATING)
    expected = 1 - (ALTERNATING * residuals**2).sum() / (ALTERNATING * (Y - mean) ** 2).sum()
    assert slopes.score(X, Y, ALTERNATING) == pytest.approx(expected, rel=ROUNDING)
    assert type(slopes.score(X, Y)) is float


# ---- terms -----------------------------------------------------------------


@pytest.mark.parametrize(
    "groups",
    [
        RandomEffect("Subject", "Days"),
        [RandomEffect("Subject", ["Days"])],
        RandomEffect(1, 0),
        RandomEffect(-1, [-2]),
    ],
)
def test_shorthand_is_the_random_effect(slopes, groups):
    model = fit(groups=groups)
    assert_array_equal(model.predict(X), slopes.predict(X))
    assert model.criterion_ == slopes.criterion_


def test_two_terms_on_a_factor_are_a_diagonal_covariance():
    terms = [RandomEffect("Subject"), RandomEffect("Subject", "Days", intercept=False)]
    double = fit(groups=terms)
    expected = fit(random_slopes="Days", covariance="diag")
    assert double.criterion_ == pytest.approx(expected.criterion_, rel=ROUNDING)
    assert_allclose(double.predict(X), expected.predict(X), rtol=OPTIMUM)
    assert list(double.random_effects_["Subject"].columns) == ["(Intercept)", "Days"]
    assert double.covariances_["Subject"].iloc[0, 1] == 0.0
    assert_allclose(double.theta_, expected.theta_, rtol=OPTIMUM)
    assert list(double.variance_components_["name"]) == ["(Intercept)", "Days", ""]


def test_terms_come_out_in_the_order_of_the_user():
    terms = [RandomEffect("Subject", "Days", intercept=False), RandomEffect("Subject")]
    model = fit(groups=terms)
    assert list(model.random_effects_["Subject"].columns) == ["Days", "(Intercept)"]
    assert list(model.variance_components_["name"]) == ["Days", "(Intercept)", ""]
    ordered = fit(groups=terms[::-1])
    assert model.criterion_ == pytest.approx(ordered.criterion_, rel=ROUNDING)
    assert_allclose(model.theta_, ordered.theta_[::-1], rtol=OPTIMUM)


def test_a_slope_without_a_fixed_effect():
    model = fit(fixed=[], random_slopes="Days")
    assert list(model.fixed_effects_.index) == ["(Intercept)"]
    assert list(model.random_effects_["Subject"].columns) == ["(Intercept)", "Days"]


# ---- metadata --------------------------------------------------------------


@pytest.mark.parametrize(("name", "key"), [("Subject", "Subject"), (None, "groups"), (7, "7")])
def test_labels_beside_the_table_have_the_series_name(intercepts, name, key):
    model = MixedLinearRegressor().fit(DAYS, Y, groups=SUBJECT.rename(name))
    assert list(model.random_effects_) == [key]
    assert model.criterion_ == intercepts.criterion_
    assert model.n_features_in_ == 1


def test_a_table_beside_has_the_columns_that_the_constructor_names(intercepts):
    beside = pd.DataFrame({"other": 0, "Subject": SUBJECT})
    model = MixedLinearRegressor("Subject").fit(DAYS, Y, groups=beside)
    assert_array_equal(model.predict(DAYS, groups=beside), intercepts.predict(X))
    interaction = MixedLinearRegressor([("Subject", "other")]).fit(DAYS, Y, groups=beside)
    assert list(interaction.random_effects_) == ["Subject:other"]
    assert interaction.criterion_ == intercepts.criterion_


def test_labels_without_a_name_are_found_by_it_in_a_table(intercepts):
    model = MixedLinearRegressor().fit(DAYS, Y, groups=SUBJECT.to_numpy())
    beside = pd.DataFrame({"other": "new", "groups": SUBJECT})
    assert_array_equal(model.predict(DAYS, groups=beside), intercepts.predict(X))


def test_mixed_labels_in_a_list_stay_mixed():
    labels = [int(s) if s < "335" else s for s in SUBJECT]
    model = MixedLinearRegressor().fit(DAYS, Y, groups=labels)
    assert {type(label) for label in model.random_effects_["groups"].index} == {int, str}


def test_groups_that_the_model_has_no_place_for():
    least_squares = MixedLinearRegressor().fit(DAYS, Y)
    with pytest.raises(ValueError, match="'Subject', but the model has no grouping factor"):
        least_squares.predict(DAYS, groups=SUBJECT)
    named = MixedLinearRegressor("Subject").fit(X, Y)
    table = SUBJECT.to_frame("class")
    with pytest.raises(ValueError, match="'class', but the model takes its grouping columns from"):
        named.predict(X, groups=table)
    with pytest.raises(ValueError, match="'class', but the constructor names grouping columns of"):
        MixedLinearRegressor("Subject").fit(X, Y, groups=table)


def test_named_labels_are_matched_by_name():
    model = MixedLinearRegressor().fit(DAYS, Y, groups=SUBJECT)
    expected = model.predict(DAYS, groups=SUBJECT)
    for other in (SUBJECT.rename("class"), SUBJECT.to_frame("class")):
        with pytest.raises(ValueError, match="'Subject' is not a column of groups, which has 'cla"):
            model.predict(DAYS, groups=other)
    for unnamed in (SUBJECT.rename(None), SUBJECT.to_numpy(), list(SUBJECT)):
        assert_array_equal(model.predict(DAYS, groups=unnamed), expected)
    unnamed = MixedLinearRegressor().fit(DAYS, Y, groups=SUBJECT.to_numpy())
    assert_array_equal(unnamed.predict(DAYS, groups=SUBJECT), expected)


@pytest.mark.parametrize("groups", ["Subject", None])
def test_tag_for_labels_in_the_table(groups):
    tags = MixedLinearRegressor(groups).__sklearn_tags__()
    assert tags.input_tags.categorical == (groups is not None)


# ---- the estimator as an object --------------------------------------------


def test_the_same_input_gives_the_same_bits():
    models = [fit(random_slopes="Days", weights=ALTERNATING) for _ in range(2)]
    first, second = (pickle.dumps([m._model.estimate.solution, m.predict(X)]) for m in models)
    assert first == second


def test_fitting_again_forgets():
    model = fit(X.assign(z=Z), random_slopes=["Days", "z"])
    again = model.set_params(random_slopes=None, groups=1).fit(X.to_numpy(dtype=object), Y)
    assert again is model
    assert not hasattr(model, "feature_names_in_")
    assert model.coef_.shape == (2,)
    assert model.criterion_ == fit().criterion_


def test_fit_does_not_touch_the_input():
    table, y, weights = X.copy(), Y.to_numpy(copy=True), ALTERNATING.copy()
    for array in (y, weights):
        array.flags.writeable = False
    fit(table, y, weights, random_slopes="Days")
    pd.testing.assert_frame_equal(table, X)


def copied(model, how):
    if how == "pickle":
        return pickle.loads(pickle.dumps(model))
    return copy.deepcopy(model) if how == "deepcopy" else copy.copy(model)


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "copy"])
def test_copies_predict_the_same(slopes, how):
    twin = copied(slopes, how)
    assert_array_equal(twin.predict(X), slopes.predict(X))
    assert str(twin.summary()) == str(slopes.summary())
    pd.testing.assert_frame_equal(
        twin.random_effects_["Subject"], slopes.random_effects_["Subject"]
    )


def test_fitting_a_copy_leaves_the_original(slopes):
    twin, before = copy.copy(slopes), slopes.predict(X)
    twin.set_params(random_slopes=None).fit(X, 2 * Y)
    assert_array_equal(slopes.predict(X), before)
    assert slopes.random_slopes == "Days"


def test_joblib(slopes, tmp_path):
    path = tmp_path / "model.joblib"
    joblib.dump(slopes, path)
    assert_array_equal(joblib.load(path).predict(X), slopes.predict(X))
    assert_array_equal(joblib.load(path, mmap_mode="r").predict(X), slopes.predict(X))


def test_the_pickle_does_not_grow_with_the_rows():
    sizes = []
    for repeats in (2, 20):
        table, y = pd.concat([X] * repeats), np.tile(Y, repeats)
        sizes.append(len(pickle.dumps(fit(table, y + np.tile(Z, repeats), random_slopes="Days"))))
    # A digit of a count more, not a row.
    assert sizes[1] - sizes[0] <= 16


def test_clone_keeps_parameters_alone(slopes):
    twin = clone(slopes)
    assert twin.get_params() == slopes.get_params()
    assert "coef_" not in vars(twin)
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(twin)
    assert_array_equal(twin.fit(X, Y).predict(X), slopes.predict(X))


def test_repr_names_the_parameters():
    assert repr(MixedLinearRegressor("g", method="ml")) == (
        "MixedLinearRegressor(groups='g', method='ml')"
    )


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose(capsys, verbose):
    frame = read_frame("sleepstudy_unbalanced")
    model = fit(
        frame[["Days", "Subject"]], frame["Reaction"], random_slopes="Days", verbose=verbose
    )
    lines = capsys.readouterr().out.splitlines()
    # The last step is taken without a trial, and may have no line.
    assert len(lines) in ((model.n_iter_ - 1, model.n_iter_) if verbose else (0,))
    assert all(line.startswith("[skmixed] step ") and "criterion" in line for line in lines)


@pytest.mark.parametrize("unit", [1e-12, 1e16])
def test_weights_in_any_unit_are_the_same_weights(unit):
    plain = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y)
    scaled = MixedLinearRegressor("Subject", random_slopes="Days")
    scaled.fit(X, Y, sample_weight=np.full(len(Y), unit))
    # The kernel counts weights in powers of 4: rounding of 1e16 / 4**27.
    assert scaled.criterion_ == pytest.approx(plain.criterion_, abs=1e-8)
    assert_allclose(scaled.sigma_, plain.sigma_ * np.sqrt(unit), rtol=1e-8)
    assert_allclose(scaled.covariances_["Subject"], plain.covariances_["Subject"], rtol=1e-6)
    assert scaled.n_iter_ == plain.n_iter_


@pytest.mark.parametrize("unit", [1e-10, 1e8])
def test_a_fixed_column_in_any_unit_gives_the_same_variances(unit):
    rng = np.random.default_rng(4)
    group = np.r_[np.arange(10), rng.integers(0, 10, 50)]
    a, b = rng.normal(size=(2, 60))
    y = 2 + a + b + rng.normal(size=10)[group] + rng.normal(size=60)
    plain, scaled = (
        MixedLinearRegressor(2).fit(np.column_stack([a, c, group]), y) for c in (b, b * unit)
    )
    assert_allclose(scaled.theta_, plain.theta_, rtol=1e-9)
    shift = 2 * np.log(unit)
    assert scaled.criterion_ - shift == pytest.approx(plain.criterion_, abs=1e-8)
    assert scaled.n_iter_ <= plain.n_iter_ + 1


def test_the_pickle_holds_no_factorization():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.integers(0, 300, 4000), "b": rng.integers(0, 200, 4000)})
    y = rng.normal(size=300)[X["a"]] + rng.normal(size=200)[X["b"]] + rng.normal(size=4000)
    model = MixedLinearRegressor(["a", "b"]).fit(X, y)
    # BLUPs, sums per level and the cells of the pairs; no dense 200 × 200 core.
    cells = len(X.drop_duplicates())
    assert len(pickle.dumps(model)) < 40 * 500 + 16 * cells + 20_000


def test_a_subclass_keeps_what_it_sets_before_fit():
    class Centered(MixedLinearRegressor):
        def fit(self, X, y, sample_weight=None, *, groups=None):
            self.mean_ = float(np.mean(y))
            return super().fit(X, y, sample_weight, groups=groups)

    assert Centered("Subject").fit(X, Y).mean_ == pytest.approx(Y.mean())


def test_summary_speaks_of_the_fit_and_not_of_parameters_set_since():
    model = MixedLinearRegressor("Subject").fit(X, Y).set_params(method="ml")
    assert "fitted by REML" in str(model.summary())


def test_large_nested_factors_have_no_dense_core():
    rng = np.random.default_rng(0)
    n = 200_000
    school = rng.integers(0, 60_000, n)
    X = pd.DataFrame({"x": rng.normal(size=n), "school": school, "district": school // 2})
    y = 1 + X["x"] + 0.7 * rng.normal(size=60_000)[school] + rng.normal(size=n)
    y += 0.5 * rng.normal(size=30_000)[school // 2]
    # A dense matrix of order 30,000 would take 7 GB and minutes.
    model = MixedLinearRegressor(["district", "school"]).fit(X, y)
    found = model.variance_components_.set_index("group")["sd"]
    # Standard errors of these standard deviations are about 0.01.
    assert_allclose(found[["school", "district"]], [0.7, 0.5], atol=0.04)
    assert model.n_factorizations_ <= 10


# ---- columns with a fixed effect -------------------------------------------

IDS = X.assign(z=Z, clinic=np.arange(len(X)) % 7, ward=np.arange(len(X)) % 5)


@pytest.mark.parametrize("fixed", [AllExcept(["clinic", "ward"]), AllExcept([-1, 3])])
@pytest.mark.parametrize(
    "groups", ["Subject", "clinic", ["Subject", "ward"], [("Subject", "ward")]]
)
def test_all_columns_except(fixed, groups):
    table = IDS.astype({"Subject": int})
    names = [] if "Subject" in str(groups) else ["Subject"]
    planned = specification(MixedLinearRegressor(groups, fixed=fixed))
    model = planned.plan(open_table(table), Metadata({}))
    assert set(model.fixed_names) == {"(Intercept)", "Days", "z", *names}


def test_exceptions_are_columns():
    with pytest.raises(ValueError, match="Excluded column 'clinics' is not a column of X"):
        fit(IDS, fixed=AllExcept("clinics"))
    with pytest.raises(TypeError, match=r"columns=1\.5 must name columns of X"):
        AllExcept(1.5)
    assert repr(AllExcept("a")) == "AllExcept(['a'])"
    assert clone(MixedLinearRegressor(fixed=AllExcept("a"))).fixed == AllExcept("a")


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_a_search_over_groups_uses_no_identifier_as_a_number():
    grid = {"groups": ["Subject", "clinic", ["Subject", "ward"]]}
    model = MixedLinearRegressor(fixed=AllExcept(["Subject", "clinic", "ward"]))
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(IDS, Y)
    assert list(search.best_estimator_.fixed_effects_.index) == ["(Intercept)", "Days", "z"]


# Clinics and wards are made up.
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize(
    "selector",
    [
        make_column_selector(dtype_include="number"),
        make_column_selector(pattern="Days|z|clinic"),
        lambda table: [name for name in table if name != "ward"],
    ],
)
def test_selected_columns(selector):
    model = fit(IDS.drop(columns="ward"), groups=["Subject", "clinic"], fixed=selector)
    assert list(model.fixed_effects_.index) == ["(Intercept)", "Days", "z"]
    chunks = [(IDS[k::2].drop(columns="ward"), Y[k::2]) for k in range(2)]
    stats = sum(model.statistics(*chunk) for chunk in chunks)
    for other in (clone(model).fit_chunks(chunks), clone(model).fit_statistics(stats)):
        assert list(other.fixed_effects_.index) == ["(Intercept)", "Days", "z"]
        assert_allclose(other.coef_, model.coef_, rtol=1e-9)


@pytest.mark.parametrize(
    ("selector", "kind", "message"),
    [
        (lambda _: 1.5, TypeError, "fixed=1.5 must name columns of X"),
        (lambda _: ["nil"], ValueError, "Fixed-effects column 'nil' is not a column of X"),
    ],
)
def test_selectors_of_no_columns(selector, kind, message):
    with pytest.raises(kind, match=message):
        fit(fixed=selector)


def test_selectors_of_features_pair_columns_with_coefficients():
    rng = np.random.default_rng(0)
    g, features = rng.integers(0, 20, 400), rng.normal(size=(400, 4))
    y = features @ [0.0, 5.0, 3.0, 0.0] + 2 * rng.normal(size=20)[g] + rng.normal(size=400)
    table = np.column_stack([features[:, :2], g, features[:, 2:]])
    selected = SelectFromModel(MixedLinearRegressor(2), threshold=1.0).fit(table, y)
    assert_array_equal(selected.get_support(), [False, True, False, True, False])
    # RFE leaves the column out whose coefficient is 0: the labels come beside X.
    found = RFE(MixedLinearRegressor(), n_features_to_select=2).fit(features, y, groups=g)
    assert_array_equal(found.support_, [False, True, True, False])


# ---- labels where weights are due ------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        SUBJECT,
        SUBJECT.astype("category"),
        SUBJECT.to_numpy(dtype=object),
        SUBJECT.astype(int),
        SUBJECT.astype(float).to_numpy(),
        list(SUBJECT.astype(int)),
        SUBJECT.to_frame(),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "statistics", "score"])
def test_labels_in_the_place_of_weights(method, labels):
    model = MixedLinearRegressor().fit(DAYS, Y)
    with pytest.raises(TypeError, match=f"third argument of {method} by position is sample_weight"):
        getattr(model, method)(DAYS, Y, labels)


def test_weights_by_position():
    expected = MixedLinearRegressor().fit(DAYS, Y, sample_weight=np.arange(1, len(Y) + 1))
    for weights in (np.arange(1, len(Y) + 1) / 2, 2.0, np.ones(len(Y))):
        MixedLinearRegressor().fit(DAYS, Y, weights)
    named = MixedLinearRegressor("Subject").fit(X, Y, np.arange(1, len(Y) + 1))
    assert named.sigma_ > 0
    halved = MixedLinearRegressor().fit(DAYS, Y, np.arange(1, len(Y) + 1) / 2)
    assert_allclose(halved.coef_, expected.coef_, rtol=1e-12)


# ---- lists are taken once ---------------------------------------------------


@pytest.mark.parametrize("parameter", ["random_slopes", "fixed"])
def test_parameters_that_a_fit_would_use_up_or_that_have_no_order(parameter):
    with pytest.raises(TypeError, match=f"{parameter} is of type list_iterator, which the"):
        fit(**{parameter: iter(["Days"])})
    for unordered in ({"Days"}, frozenset({"Days"}), {"Days": 1}):
        with pytest.raises(TypeError, match=rf"{parameter}=.*, which is no list in an order"):
            fit(**{parameter: unordered})
    for columns in (
        np.array(["Days"]),
        pd.Index(["Days"]),
        ("Days",),
        dict.fromkeys(["Days"]).keys(),
    ):
        assert list(fit(**{parameter: columns}).fixed_effects_.index) == ["(Intercept)", "Days"]


def test_included_factors_are_taken_once(slopes):
    expected = slopes.predict(X, include=["Subject"])
    assert_array_equal(slopes.predict(X, include=iter(["Subject"])), expected)
    with pytest.raises(TypeError, match=r"include=\{'Subject'\} is of type set"):
        slopes.predict(X, include={"Subject"})
