import warnings

import numpy as np
import pandas as pd
import pytest
from generalized_models import ROOT, frame_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import PoissonRegressor

from skmixed import (
    MixedBinomialRegressor,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    RandomEffect,
)
from skmixed.exceptions import SingularFitWarning, UndeterminedError
from skmixed.inference import likelihood_ratio_test


@pytest.fixture(scope="module")
def mmmec():
    return pd.read_csv(ROOT / "data" / "mmmec.csv")


def test_deaths_by_region_are_those_of_mixedmodels_jl(mmmec):
    X = mmmec[["uvb", "region"]]
    model = MixedPoissonRegressor("region").fit(X, mmmec["deaths"], exposure=mmmec["expected"])
    # Laplace by glmmTMB and glmm; what is more comes of their optimizers
    assert -1125.199977 <= model.log_likelihood_ <= -1125.19995
    assert_allclose(model.fixed_effects_, [-0.138593, -0.034430], atol=1e-5)
    assert_allclose(model.variance_components_["sd"], [0.411923], atol=3e-6)
    rates = model.predict(X)
    counts = model.predict(X, exposure=mmmec["expected"])
    assert_allclose(counts, rates * mmmec["expected"], rtol=1e-13)
    assert_allclose(model.predict(X, exposure=2.0), 2.0 * rates, rtol=1e-13)
    assert model.score(X, mmmec["deaths"], exposure=mmmec["expected"]) > 0.9


def test_a_new_group_has_the_mean_over_groups(mmmec):
    X = mmmec[["uvb", "region"]]
    model = MixedPoissonRegressor("region").fit(X, mmmec["deaths"], exposure=mmmec["expected"])
    new = X.iloc[:3].assign(region=-1)
    plug_in = model.predict(new, include="fixed")
    variance = model.covariances_["region"].iloc[0, 0]
    assert_allclose(model.predict(new), plug_in * np.exp(variance / 2), rtol=1e-13)
    # Of a known region the mean over b given y is a little more than the value at its mode
    known, mean = model.predict(X), model.predict(X, effects="mean")
    assert ((mean > known) & (mean < 1.1 * known)).all()


def test_a_level_for_each_row_models_overdispersion():
    frame = frame_of("grouseticks")
    X = pd.get_dummies(frame["YEAR"], dtype=float)[["96", "97"]]
    X = X.assign(cHEIGHT=frame["cHEIGHT"], **{c: frame[c] for c in ("BROOD", "INDEX", "LOCATION")})
    model = MixedPoissonRegressor(["BROOD", "INDEX", "LOCATION"]).fit(X, frame["TICKS"])
    assert_allclose(model.log_likelihood_, -890.271330, atol=1e-6)
    sd = model.variance_components_["sd"]
    assert_allclose(sd, [0.750033, 0.541509, 0.528721], atol=2e-5)


def test_without_groups_it_is_poisson_regression():
    frame = frame_of("epil")
    X, y = frame[["lbase", "lage"]], frame["y"]
    own = MixedPoissonRegressor().fit(X, y)
    expected = PoissonRegressor(alpha=0.0, tol=1e-10).fit(X, y)
    assert_allclose(own.coef_, expected.coef_, rtol=1e-5)
    assert_allclose(own.predict(X), expected.predict(X), rtol=1e-5)


def test_what_makes_no_model_is_refused():
    X = [[0.0], [1.0], [2.0]]
    with pytest.raises(ValueError, match="y has 1 values that the poisson family does not have"):
        MixedPoissonRegressor().fit(X, [1, -1, 2])
    with pytest.raises(ValueError, match="exposure is not positive at row 2"):
        MixedPoissonRegressor().fit(X, [1, 1, 2], exposure=[1, 2, 0])
    with pytest.raises(ValueError, match="exposure has 2 entries, but X has 3 rows"):
        MixedPoissonRegressor().fit(X, [1, 1, 2], exposure=[1, 2])
    with pytest.raises(ValueError, match="exposure has shape"):
        MixedPoissonRegressor().fit(X, [1, 1, 2], exposure=np.ones((3, 1)))


def test_exposures_follow_rows_that_are_left_out():
    frame = frame_of("epil")
    X, exposure = frame[["lbase", "subject"]], 1.0 + np.arange(len(frame)) % 5
    weights = (np.arange(len(frame)) % 4 > 0).astype(float)
    keep = weights > 0
    own = MixedPoissonRegressor("subject")
    own = own.fit(X, frame["y"], sample_weight=weights, exposure=exposure)
    fewer = MixedPoissonRegressor("subject")
    fewer = fewer.fit(X[keep], frame["y"][keep], exposure=exposure[keep])
    assert_allclose(own.log_likelihood_, fewer.log_likelihood_, rtol=1e-12)
    assert_array_equal(own.random_effects_["subject"].index, fewer.random_effects_["subject"].index)


def test_counts_without_digits_are_refused():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=200), "g": np.repeat(np.arange(20), 10)})
    with pytest.raises(UndeterminedError, match=r"which go up to 7.41e\+15"):
        MixedPoissonRegressor("g").fit(X, (1e15 * np.exp(X["x"])).round())


def test_counts_that_are_not_whole_are_told():
    X = pd.DataFrame({"x": np.arange(20.0), "g": np.repeat(np.arange(4), 5)})
    y = np.repeat([1.0, 4.0, 2.0, 8.0], 5) + (np.arange(20) == 3) / 2
    with pytest.warns(UserWarning, match="1 rows count a number that is not whole .*row 3: 1.5"):
        MixedPoissonRegressor("g").fit(X, y)


def crossed_counts():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=150), "g": rng.integers(0, 8, 150)})
    X["h"] = rng.integers(0, 6, 150)
    effects = rng.normal(size=8)[X["g"]] + 0.7 * rng.normal(size=6)[X["h"]]
    return X, rng.poisson(np.exp(0.3 * X["x"] + 0.5 * effects))


def test_the_mean_over_effects_of_several_terms_is_that_of_their_joint_distribution():
    X, y = crossed_counts()
    model = MixedPoissonRegressor(["g", "h"]).fit(X, y)
    z = np.hstack([(X[k].to_numpy()[:, None] == np.arange(q)) for k, q in (("g", 8), ("h", 6))])
    sd = np.repeat(model.theta_, (8, 6))
    # C of the effects given y is (Z'WZ + Σ⁻¹)⁻¹ with W = μ
    given = np.linalg.inv((z * model.predict(X)[:, None]).T @ z + np.diag(sd**-2.0))
    variance = np.einsum("ni,ij,nj->n", z, given, z)
    expected = model.predict(X) * np.exp(variance / 2)
    assert_allclose(model.predict(X, effects="mean"), expected, rtol=1e-9)
    # A new h beside a known g, and g alone
    of_g = np.exp(np.diagonal(given)[X["g"]] / 2)
    new = X.assign(h=-1)
    assert_allclose(model.predict(new, effects="mean"), model.predict(new) * of_g, rtol=1e-9)
    mode, mean = (model.predict(X, include=["g"], effects=e) for e in ("mode", "mean"))
    assert_allclose(mean, mode * of_g, rtol=1e-9)
    with pytest.raises(ValueError, match="slim copy"):
        model.slim().predict(X, effects="mean")


def test_two_terms_of_one_factor_are_those_of_one_diagonal_term():
    X, y = crossed_counts()
    both = MixedPoissonRegressor("g", random_slopes="x", covariance="diag").fit(X, y)
    terms = [RandomEffect("g"), RandomEffect("g", slopes="x", intercept=False)]
    apart = MixedPoissonRegressor(terms).fit(X, y)
    # The same model, of two searches
    expected = both.predict(X, effects="mean")
    assert_allclose(apart.predict(X, effects="mean"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda model, X, y, **given: model.score(X, y, **given),
        lambda model, X, y, **given: model.sample_y(X, **given),
        lambda model, X, y, **given: model.update_groups(X, y, **given),
    ],
)
def test_a_forgotten_exposure_is_refused_where_counts_are_compared_or_drawn(call):
    X, y = crossed_counts()
    exposure = np.linspace(0.5, 2.0, len(X))
    model = MixedPoissonRegressor("g").fit(X, y, exposure=exposure)
    with pytest.raises(ValueError, match="was fitted with an exposure"):
        call(model, X, y)
    call(model, X, y, exposure=exposure)
    model.predict(X)  # rates


def test_numbers_of_nodes_that_no_rule_has_are_refused():
    X, y = crossed_counts()
    for wrong, message in ((1000, "Give at most 193"), ("adaptive", "an integer, or 'auto'")):
        with pytest.raises((TypeError, ValueError), match=message):
            MixedPoissonRegressor("g", quadrature=wrong).fit(X, y)


def counted(n=120):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=n), "g": np.arange(n) % 12})
    return X, rng.poisson(np.exp(0.3 * X["x"] + rng.normal(size=12)[X["g"]]))


def test_an_exposure_by_name_is_refused_where_numbers_are_wanted():
    X, y = counted()
    with pytest.raises(TypeError, match="exposure='days' is text"):
        MixedPoissonRegressor("g").fit(X, y, exposure="days")


def test_responses_that_are_all_at_an_end_are_refused_and_no_column_is_blamed():
    X, y = counted()
    for model, response in (
        (MixedPoissonRegressor("g"), 0 * y),
        (MixedNegativeBinomialRegressor("g"), 0 * y),
        (MixedBinomialRegressor("g"), 0.0 * y),
        (MixedBinomialRegressor("g"), 0.0 * y + 1.0),
    ):
        with pytest.raises(UndeterminedError, match=f"All values of y are {response[0]:g}, so"):
            model.fit(X, response)
    # Slopes alone may have a best value
    slopes = MixedPoissonRegressor(fixed=["x"], fit_intercept=False).fit(X, 0 * y)
    assert slopes.converged_


def test_forgotten_trials_are_named():
    X, _ = counted()
    message = r"proportions that are neither 0 nor 1 .*sample_weight, the numbers of trials"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        with pytest.warns(UserWarning, match=message):
            MixedBinomialRegressor("g").fit(X, np.arange(120) % 5 / 5.0)


def test_a_category_without_events_is_named_alone():
    X, y = counted(300)
    X = X.assign(z=np.cos(np.arange(300)), none=(np.arange(300) % 5 == 0) * 1.0)
    with pytest.warns(ConvergenceWarning, match="Values of column 'none' predict"):
        MixedPoissonRegressor("g").fit(X, y * (X["none"] == 0))


def test_poisson_s_model_is_no_special_case_inside_the_negative_binomial_one():
    X, y = counted()
    rng = np.random.default_rng(1)
    y = y + rng.poisson(3.0 * rng.gamma(0.3, 3.0, 120))
    own, varied = (
        MixedPoissonRegressor("g").fit(X, y),
        MixedNegativeBinomialRegressor("g").fit(X, y),
    )
    with pytest.raises(ValueError, match="at an infinite shape, a boundary"):
        likelihood_ratio_test(own, varied)
