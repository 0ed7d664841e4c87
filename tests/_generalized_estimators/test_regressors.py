import pickle

import numpy as np
import pandas as pd
import pytest
from generalized_models import ROOT, frame_of, reference_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import ExactFitWarning, SingularFitWarning


@pytest.fixture(scope="module")
def cbpp():
    frame = frame_of("cbpp")
    X = pd.get_dummies(frame["period"], dtype=float)[["2", "3", "4"]].assign(herd=frame["herd"])
    return X, frame["incidence"] / frame["size"], frame["size"]


def test_proportions_of_trials_are_those_of_lme4(cbpp):
    X, y, size = cbpp
    model = MixedBinomialRegressor("herd").fit(X, y, sample_weight=size)
    assert_allclose(model.log_likelihood_, -92.026282, atol=1e-6)
    assert_allclose(model.fixed_effects_, [-1.398532, -0.992332, -1.128671, -1.580314], atol=2e-6)
    assert_allclose(model.variance_components_["sd"], [0.642261], atol=2e-6)
    proportions = model.predict(X)
    assert ((proportions > 0) & (proportions < 1)).all()
    assert model.score(X, y, sample_weight=size) > 0.3
    with pytest.raises(ValueError, match="It takes proportions between 0 and 1"):
        model.fit(X, 2 * y + 0.5, sample_weight=size)


def test_proportions_and_single_trials_are_one_model(cbpp):
    X, y, size = cbpp
    trials = np.repeat(np.arange(len(X)), size)
    number = np.arange(len(trials)) - np.repeat(np.cumsum(size) - size, size)
    single = (number < np.rint(y * size).to_numpy()[trials]).astype(int)
    own = MixedBinomialRegressor("herd").fit(X, y, sample_weight=size)
    other = MixedLogisticClassifier("herd").fit(X.iloc[trials], single)
    assert_allclose(own.fixed_effects_, other.fixed_effects_, rtol=1e-6)
    # The likelihoods differ by the binomial coefficients
    from scipy.special import binom

    constant = np.log(binom(size, np.rint(y * size))).sum()
    assert_allclose(own.log_likelihood_ - constant, other.log_likelihood_, rtol=1e-10)


@pytest.mark.parametrize("quadrature", [25, "auto"])
def test_quadrature_gives_the_likelihood_itself(cbpp, quadrature):
    X, y, size = cbpp
    model = MixedBinomialRegressor("herd", quadrature=quadrature).fit(X, y, sample_weight=size)
    assert_allclose(model.log_likelihood_, -91.983369, atol=1e-6)
    assert_allclose(model.variance_components_["sd"], [0.647519], atol=2e-6)
    assert_allclose(model.fixed_effects_, [-1.399230, -0.991404, -1.127819, -1.579470], atol=5e-6)
    assert model.n_nodes_ == 25
    assert pickle.loads(pickle.dumps(model)).n_nodes_ == 25


def test_toenail_by_quadrature():
    frame = pd.read_csv(ROOT / "data" / "toenail.csv")
    X = frame[["treated", "visit", "patient"]]
    model = MixedLogisticClassifier("patient", quadrature=100).fit(X, frame["severe"])
    assert_allclose(model.log_likelihood_, -623.065747, atol=2e-6)
    assert_allclose(model.fixed_effects_, [-0.132489, -0.506327, -0.899658], atol=1e-5)
    assert_allclose(model.variance_components_["sd"], [4.115356], atol=1e-5)
    auto = MixedLogisticClassifier("patient", quadrature="auto").fit(X, frame["severe"])
    assert abs(auto.log_likelihood_ - model.log_likelihood_) < 2e-6
    assert auto.n_nodes_ > 13


def test_negative_binomial_is_that_of_glmmtmb():
    frame = frame_of("epil")
    treated = (frame["trt"] == "progabide").astype(float)
    X = frame[["lbase", "lage", "period4", "subject"]].assign(
        treated=treated, both=treated * frame["lbase"]
    )
    model = MixedNegativeBinomialRegressor("subject").fit(X, frame["y"])
    expected = reference_fits("epil", "negbin")["glmmTMB"]
    assert_allclose(model.log_likelihood_, expected["logLik"], atol=1e-6)
    assert_allclose(model.shape_, expected["dispersion"], rtol=1e-3)
    assert_allclose(model.aic_, 2 * (8 - model.log_likelihood_), rtol=1e-12)
    poisson = MixedPoissonRegressor("subject").fit(X, frame["y"])
    assert model.log_likelihood_ > poisson.log_likelihood_ + 30
    assert not hasattr(poisson, "shape_")
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.shape_ == model.shape_
    assert_array_equal(loaded.predict(X), model.predict(X))


def test_counts_that_vary_as_poisson_s_end_near_it():
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"x": rng.normal(size=300), "g": np.arange(300) % 20})
    y = rng.binomial(40, 0.1 * np.exp(0.1 * X["x"]))  # less than Poisson's variance
    with pytest.warns(SingularFitWarning, match="vary no more than Poisson's"):
        own = MixedNegativeBinomialRegressor().fit(X[["x"]], y)
    poisson = MixedPoissonRegressor().fit(X[["x"]], y)
    assert own.converged_
    assert own.shape_ > 1e3
    assert_allclose(own.log_likelihood_, poisson.log_likelihood_, atol=1e-4)
    assert_allclose(own.coef_, poisson.coef_, rtol=1e-3)


def test_gamma_is_that_of_glmmtmb():
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedGammaRegressor("Subject").fit(X, y)
    expected = reference_fits("sleepstudy_gamma", "gamma_log")["glmmTMB"]
    assert_allclose(model.log_likelihood_, expected["logLik"], atol=1e-6)
    assert_allclose(model.fixed_effects_, expected["fixef"]["values"], rtol=1e-6)
    assert_allclose(model.shape_, expected["dispersion"] ** -2.0, rtol=1e-4)
    with pytest.raises(ValueError, match="It takes positive numbers"):
        model.fit(X, y - y.min())
    new = model.predict(X.iloc[:2].assign(Subject="0"))
    plug_in = model.predict(X.iloc[:2], include="fixed")
    assert_allclose(new, plug_in * np.exp(model.covariances_["Subject"].iloc[0, 0] / 2))


@pytest.mark.parametrize("sd", [0.0, 1e-9, 1e-6])
def test_gamma_without_noise_is_an_exact_fit(sd):
    rng = np.random.default_rng(0)
    groups, x = np.repeat(np.arange(10), 8), rng.normal(size=80)
    log_y = 0.3 * x + rng.normal(size=10)[groups] + sd * rng.normal(size=80)
    model = MixedGammaRegressor("g")
    with pytest.warns(ExactFitWarning, match="The model reproduces y"):
        model.fit(pd.DataFrame({"x": x, "g": groups}), np.exp(log_y))
    # The search stops where y varies by less than 5e-5 of its mean
    assert_allclose(model.coef_, [0.3, 0.0], atol=5e-5)
    assert_allclose(np.log(model.predict(pd.DataFrame({"x": x, "g": groups}))), log_y, atol=3e-4)
    assert 0.0 < model.shape_**-0.5 < 5e-5


def test_quadrature_without_digits_is_told():
    rng = np.random.default_rng(0)
    groups, x = np.repeat(np.arange(60), 12), rng.normal(size=720)
    eta = 30.0 * rng.normal(size=60)[groups] + 15.0 * x
    y = (rng.random(720) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    X = pd.DataFrame({"x": x, "g": groups})
    with pytest.warns(ConvergenceWarning, match="changes by 0.001 with the last ones of 193 nodes"):
        model = MixedLogisticClassifier("g", quadrature="auto").fit(X, y)
    assert model.converged_
    assert model.n_nodes_ == 193


def test_quadrature_over_too_much_is_refused(cbpp):
    X, y, size = cbpp
    crossed = X.assign(other=np.arange(len(X)) % 5)
    with pytest.raises(ValueError, match="but the model has 2 grouping factors"):
        MixedBinomialRegressor(["herd", "other"], quadrature=5).fit(crossed, y, size)
    model = MixedBinomialRegressor("herd", random_slopes=["2", "3", "4"], quadrature=5)
    with pytest.raises(ValueError, match="but the model has 4 coefficients"):
        model.fit(X, y, sample_weight=size)
    with pytest.raises(TypeError, match="quadrature='many' is of type str"):
        MixedBinomialRegressor("herd", quadrature="many").fit(X, y, sample_weight=size)
    with pytest.raises(ValueError, match="quadrature=0 is not positive"):
        MixedBinomialRegressor("herd", quadrature=0).fit(X, y, sample_weight=size)


def test_steps_are_those_of_all_searches_together():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=200), np.arange(200) % 20])
    y = rng.poisson(np.exp(0.3 * X[:, 0] + rng.normal(size=20)[np.arange(200) % 20]))
    full = MixedPoissonRegressor(1, quadrature="auto").fit(X, y)
    for max_iter in (1, full.n_iter_ - 1):
        model = MixedPoissonRegressor(1, quadrature="auto", max_iter=max_iter)
        with pytest.warns(ConvergenceWarning, match=f"did not converge in {max_iter} steps. Raise"):
            model.fit(X, y)
        assert model.n_iter_ == max_iter
        assert "at max_iter" in model.status_


@pytest.mark.parametrize(("size", "most"), [(2, 126), (3, 25)])
def test_nodes_of_several_coefficients_are_bounded_together(size, most):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(90, 2)), np.arange(90) % 9])
    y = rng.poisson(np.exp(0.3 * X[:, 0]))
    model = MixedPoissonRegressor(2, random_slopes=list(range(size - 1)), quadrature=most + 1)
    message = f"{(most + 1) ** size:,} nodes for the {size} coefficients .* at most {most}, or"
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
