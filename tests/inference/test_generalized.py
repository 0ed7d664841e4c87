import numpy as np
import pandas as pd
import pytest
from generalized_models import cbpp_model, epil_model, frame_of, reference_fits
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed._generalized_estimators.regressors import fit_with_offset
from skmixed.inference import (
    anova,
    coefficient_table,
    compare,
    confidence_intervals,
    contrast,
    icc,
    likelihood_ratio_test,
    profile,
    r2,
    variance_decomposition,
    vcov,
)


@pytest.mark.parametrize(
    ("own", "name"), [(epil_model, ("epil", "intercept")), (cbpp_model, ("cbpp", "period"))]
)
def test_wald_tests_are_those_of_glmer(own, name):
    *_, model = own()
    fit = reference_fits(*name)["laplace"]
    table = coefficient_table(model, level=0.9)
    assert list(table.columns) == ["estimate", "std_error", "z", "p_value", "lower", "upper"]
    # Errors of glmer come from differences of its deviance
    found = table[["estimate", "std_error"]].to_numpy()
    expected = np.array([fit["fixef"]["values"], fit["se_hessian"]]).T
    order = np.argsort(found[:, 0]), np.argsort(expected[:, 0])
    assert_allclose(found[order[0]], expected[order[1]], rtol=1e-3, atol=2e-5)
    assert_allclose(table["p_value"], 2.0 * stats.norm.sf(abs(table["z"])), rtol=1e-12)
    half = stats.norm.ppf(0.95) * table["std_error"]
    assert_allclose(table["upper"], table["estimate"] + half, rtol=1e-12)
    assert_allclose(np.diagonal(vcov(model)), table["std_error"] ** 2, rtol=1e-12)


def test_tests_of_several_effects_are_wald_tests_by_chi_squared():
    *_, model = epil_model()
    both = anova(model, {"trt": ["trt", "lbase:trt"], "age": "lage"})
    names = ["trt", "lbase:trt"]
    beta, covariance = model.fixed_effects_[names], vcov(model).loc[names, names]
    wald = beta @ np.linalg.solve(covariance, beta)
    assert list(both.columns) == ["chi2", "df", "p_value"]
    expected = [wald, 2, stats.chi2.sf(wald, 2)]
    assert_allclose(both.loc["trt"].astype(float), expected, rtol=1e-10)
    joint = contrast(model, [{"trt": 1.0}, {"lbase:trt": 1.0}])
    assert_allclose(joint.loc["joint"].astype(float), expected, rtol=1e-10)
    assert_allclose(
        both.loc["age", "chi2"], coefficient_table(model).loc["lage", "z"] ** 2, rtol=1e-10
    )


def test_what_linear_models_have_alone_is_refused():
    *_, model = epil_model()
    with pytest.raises(ValueError, match="ddf='satterthwaite' is for linear models"):
        coefficient_table(model, "satterthwaite")
    with pytest.raises(ValueError, match="robust='CR2' is for linear models"):
        coefficient_table(model, robust="CR2")
    with pytest.raises(ValueError, match="adjusted=True corrects"):
        vcov(model, adjusted=True)


def grouseticks(groups, family=MixedPoissonRegressor, **options):
    frame = frame_of("grouseticks")
    X = frame[["cHEIGHT", "BROOD", "LOCATION", "INDEX"]].assign(y96=(frame["YEAR"] == "96") * 1.0)
    return family(groups, **options).fit(X, frame["TICKS"])


FIXED = ["cHEIGHT", "y96"]
# logLik of glmmTMB(TICKS ~ cHEIGHT + y96 + (1 | BROOD), family = poisson); with (1 | LOCATION)
# too; and then without y96.
GROUSETICKS = [-995.608796631, -994.850919153, -1019.23725952]


@pytest.fixture(scope="module")
def ticks():
    return grouseticks(["BROOD", "LOCATION"], fixed=FIXED)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_likelihood_ratios_are_those_of_glmmtmb(ticks):
    smaller = grouseticks("BROOD", fixed=FIXED)
    table = likelihood_ratio_test(smaller, ticks)
    # What glmmTMB's search has left
    assert_allclose(table["log_likelihood"], GROUSETICKS[:2], atol=1e-5)
    assert table.loc["alternative", "reference"] == "½χ²(0) + ½χ²(1)"
    statistic = table.loc["alternative", "statistic"]
    half = 0.5 * stats.chi2.sf(statistic, 1)
    assert_allclose(table.loc["alternative", "p_value"], half, rtol=1e-12)
    without = grouseticks(["BROOD", "LOCATION"], fixed=["cHEIGHT"])
    table = likelihood_ratio_test(ticks, without)
    assert_allclose(table.loc["null", "log_likelihood"], GROUSETICKS[2], atol=1e-5)
    assert table.loc["alternative", "reference"] == "χ²(1)"
    alone = grouseticks(None, fixed=FIXED)
    assert likelihood_ratio_test(alone, ticks).loc["alternative", "df"] == 2


def test_distributions_of_counts_compare_by_aic(ticks):
    other = grouseticks(["BROOD", "LOCATION"], MixedNegativeBinomialRegressor, fixed=FIXED)
    table = compare({"poisson": ticks, "nbinom": other})
    assert list(table.index) == ["nbinom", "poisson"]
    assert_allclose(table.loc["nbinom", "aic"], other.aic_, rtol=1e-12)
    assert_allclose(table["bic"], [other.bic_, ticks.bic_], rtol=1e-12)
    with pytest.raises(
        ValueError, match=r"poisson \(log\) and negative binomial \(log\)\. Poisson's is"
    ):
        likelihood_ratio_test(ticks, other)
    gamma = grouseticks(None, fixed=FIXED)
    frame = frame_of("grouseticks")
    positive = MixedGammaRegressor().fit(frame[["cHEIGHT"]], frame["TICKS"] + 0.5)
    with pytest.raises(ValueError, match="whose likelihoods do not compare"):
        compare(gamma, positive)


def test_links_compare_by_aic_alone():
    frame = frame_of("bacteria")
    X = frame[["ID"]].assign(late=frame["late"] * 1.0)
    logit = MixedLogisticClassifier("ID").fit(X, frame["y01"])
    probit = MixedLogisticClassifier("ID", link="probit").fit(X, frame["y01"])
    assert len(compare(logit, probit)) == 2
    smaller = MixedLogisticClassifier("ID", fixed=[], link="probit").fit(X, frame["y01"])
    with pytest.raises(ValueError, match=r"binomial \(probit\) and binomial \(logit\)"):
        likelihood_ratio_test(smaller, logit)
    assert likelihood_ratio_test(smaller, probit).loc["alternative", "df"] == 1


def test_likelihoods_of_different_integrals_are_refused():
    X, y, model = epil_model()
    other = MixedPoissonRegressor("subject", quadrature=9, fixed=["trt"]).fit(X, y)
    for function in (likelihood_ratio_test, compare):
        with pytest.raises(ValueError, match=r"by Laplace's approximation and that of .* 9 nodes"):
            function(model, other)
    # Without random effects there is no integral
    alone = MixedPoissonRegressor(fixed=["trt"]).fit(X, y)
    assert likelihood_ratio_test(alone, other).loc["alternative", "df"] == 1


def test_models_of_other_rows_weights_or_exposures_are_refused():
    X, y, model = epil_model()
    options = {"fixed": ["trt"]}
    fewer = MixedPoissonRegressor("subject", **options).fit(X[:-4], y[:-4])
    weighted = MixedPoissonRegressor("subject", **options).fit(X, y, np.full(len(y), 2.0))
    for other in (fewer, weighted):
        with pytest.raises(ValueError, match="are fitted to different rows"):
            likelihood_ratio_test(model, other)
    exposed = MixedPoissonRegressor("subject", **options)
    exposed.fit(X, y, exposure=np.arange(len(y)) % 3 + 1.0)
    with pytest.raises(ValueError, match="have different exposures"):
        likelihood_ratio_test(model, exposed)
    assert len(compare(model, exposed)) == 2
    linear = MixedLinearRegressor("subject", **options).fit(X, y)
    with pytest.raises(ValueError, match=r"poisson \(log\) and normal, whose likelihoods do not"):
        likelihood_ratio_test(model, linear)


# Profiles of glmmTMB, confint(method="uniroot"), and the correlation of lme4's confint(glmer).
CBPP = {
    "fixed": [
        (-1.901187472, -0.947790568),
        (-1.616758339, -0.407780297),
        (-1.801001523, -0.511553626),
        (-2.500748813, -0.800758133),
    ],
    "sd": [np.exp((-1.061050574, 0.095258244))],
}
EPIL = {
    "shape": [np.exp((1.560251349, 2.496128071))],
    "sd": [np.exp((-1.043812539, -0.502228351))],
    "fixed": [
        (1.626320826, 2.051019895),
        (0.623300026, 1.144234138),
        (-0.630759057, -0.043538957),
        (-0.213661543, 1.164442249),
        (-0.288768709, 0.055043102),
        (-0.064218960, 0.741798019),
    ],
}
GAMMA = {
    "fixed": [(5.467968218, 5.600055217), (0.028896166, 0.038797377)],
    "shape": [np.exp((4.447943242, 4.883348294))],
    "sd": [np.exp((-2.402644967, -1.700809923))],
}


def intervals_of(name):
    if name == "cbpp":
        *_, model = cbpp_model()
        return confidence_intervals(model, "profile"), CBPP
    if name == "epil":
        X, y, _ = epil_model()
        X = X[["lbase", "trt", "lage", "period4", "lbase:trt", "subject"]]
        model = MixedNegativeBinomialRegressor("subject").fit(X, y)
        return confidence_intervals(model, "profile"), EPIL
    frame = frame_of("sleepstudy_gamma")
    model = MixedGammaRegressor("Subject").fit(frame[["Days", "Subject"]], frame["Reaction"])
    return confidence_intervals(model, "profile"), GAMMA


@pytest.mark.parametrize("name", ["cbpp", "epil", "gamma"])
def test_profiles_are_those_of_glmmtmb(name):
    table, expected = intervals_of(name)
    for component, limits in expected.items():
        found = table[table["component"] == component][["lower", "upper"]].to_numpy()
        # What the search of R for the ends leaves of a width
        widths = np.ptp(limits, axis=1, keepdims=True)
        assert (np.abs(found - limits) < 1e-3 * widths).all()


@pytest.mark.slow
def test_profiles_of_correlated_effects_are_those_of_lme4():
    frame = frame_of("epil")
    X, _, _ = epil_model()
    X = X.assign(period=frame["period"]).drop(columns="period4")
    model = MixedPoissonRegressor("subject", random_slopes="period").fit(X, frame["y"])
    table = confidence_intervals(model, "profile", components=["sd", "corr"])
    expected = [(0.44634056, 0.83713943), (0.09057671, 0.21602593), (-0.8133415, -0.15185008)]
    # lme4 interpolates in its profile
    assert_allclose(table[["lower", "upper"]], expected, rtol=2e-3)
    paths = profile(model, components=["corr"], level=0.95, n_points=2)
    assert_allclose(paths["value"].iloc[[0, -1]], expected[2], rtol=2e-3)
    assert_allclose(paths["zeta"].iloc[[0, 2, -1]], [-1.959964, 0.0, 1.959964], atol=1e-3)


def test_profiles_by_quadrature_hold_the_integral_itself():
    rows, y, counts, model = cbpp_model()
    options = {"quadrature": 25}
    exact = MixedBinomialRegressor("herd", **options).fit(rows, y, sample_weight=counts)
    table = confidence_intervals(exact, "profile", components=["sd", "fixed"])
    laplace = confidence_intervals(model, "profile", components=["sd", "fixed"])
    # The approximation is good here, and other than the integral
    assert_allclose(table[["lower", "upper"]], laplace[["lower", "upper"]], rtol=0.05)
    assert table["name"].iloc[1] == "(Intercept)"
    offset = np.full(len(y), table["upper"].iloc[1])
    held = MixedBinomialRegressor("herd", fit_intercept=False, **options)
    fit_with_offset(held, rows, y, counts, offset)
    rise = held.criterion_ - exact.criterion_
    # Within CLOSE² of the rise
    assert_allclose(rise, stats.chi2.ppf(0.95, 1), rtol=1e-5)


def test_wald_limits_are_normal_on_the_scale_of_logarithms():
    X, y, _ = epil_model()
    model = MixedNegativeBinomialRegressor("subject").fit(X, y)
    table = confidence_intervals(model)
    assert list(table["component"].unique()) == ["sd", "shape", "fixed"]
    table = table.set_index("component")
    half = 1.959964 * model._model.solution.family.phi_error
    shape = table.loc["shape"]
    assert_allclose(shape[["lower", "upper"]].tolist(), model.shape_ * np.exp([-half, half]))
    wald = coefficient_table(model)[["lower", "upper"]]
    assert_allclose(table.loc["fixed", ["lower", "upper"]], wald, rtol=1e-12)
    # confint(glmmTMB(...), method = "wald") on the scale of log sd
    expected = np.exp([-1.03470782, -0.50101086])
    assert_allclose(table.loc["sd", ["lower", "upper"]].tolist(), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="ddf='satterthwaite' is for linear models"):
        confidence_intervals(model, ddf="satterthwaite")


def test_shapes_may_be_infinite():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"g": np.repeat(np.arange(20), 10)})
    mean = np.exp(0.5 + 0.8 * rng.normal(size=20))[X["g"]]
    y = rng.poisson(mean * rng.gamma(8, 1 / 8, 200))
    model = MixedNegativeBinomialRegressor("g").fit(X, y)
    row = confidence_intervals(model, "profile", components="shape").loc[0]
    assert row["lower"] < model.shape_ < row["upper"] == np.inf
    poisson = MixedPoissonRegressor("g").fit(X, y)
    assert poisson.criterion_ - model.criterion_ < stats.chi2.ppf(0.95, 1)


@pytest.mark.slow
@pytest.mark.parametrize("family", [MixedPoissonRegressor, MixedGammaRegressor])
def test_bootstraps_have_the_spread_that_wald_says(family):
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"x": rng.normal(size=600), "g": np.repeat(np.arange(60), 10)})
    mean = np.exp(0.5 + 0.3 * X["x"] + 0.6 * rng.normal(size=60)[X["g"]])
    y = rng.poisson(mean) if family is MixedPoissonRegressor else mean * rng.gamma(3, 1 / 3, 600)
    model = family("g").fit(X, y)
    options = {"n_samples": 100, "random_state": 0}
    found = confidence_intervals(model, "bootstrap", **options).set_index("component")
    wald = confidence_intervals(model).set_index("component")
    width, expected = found["upper"] - found["lower"], wald["upper"] - wald["lower"]
    # Of percentiles of 100 draws; the sd is biased by some of its error
    assert_allclose(width, expected, rtol=0.4)
    assert ((found["lower"] < found["estimate"]) & (found["upper"] > found["estimate"])).all()


def test_bootstraps_draw_rows_as_often_as_they_count():
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"g": np.repeat(np.arange(30), 4)})
    y = rng.gamma(2, 1, 120) * np.exp(rng.normal(size=30))[X["g"]]
    weights = rng.integers(1, 4, 120)
    options = {"n_samples": 3, "random_state": 0}
    model = MixedGammaRegressor("g").fit(X, y, sample_weight=weights)
    at = np.repeat(np.arange(120), weights)
    repeated = MixedGammaRegressor("g").fit(X.iloc[at], y[at])
    found = [confidence_intervals(own, "bootstrap", **options) for own in (model, repeated)]
    assert_frame_equal(found[0], confidence_intervals(model, "bootstrap", **options))
    assert_allclose(found[0][["lower", "upper"]], found[1][["lower", "upper"]], rtol=1e-4)
    halved = MixedGammaRegressor("g").fit(X, y, sample_weight=weights / 2)
    with pytest.raises(ValueError, match=r"a weight of the fit is [01]\.5"):
        confidence_intervals(halved, "bootstrap", **options)


def test_separated_classes_have_no_intervals_but_walds():
    X = pd.DataFrame({"x": [0.0, 0.0, 1.0, 1.0] * 5, "g": np.repeat(np.arange(5), 4)})
    with pytest.warns(ConvergenceWarning):
        model = MixedLogisticClassifier("g").fit(X, X["x"] > 0)
    for method in ("profile", "bootstrap"):
        with pytest.raises(ValueError, match="without error, so that its effects have no"):
            confidence_intervals(model, method)


# By Nakagawa, Johnson and Schielzeth's formulas from glmmTMB's estimates.
SHARES = {
    "poisson": [0.6190276811, 0.2511375018, 0.1192599850],
    "negative_binomial": [0.6166079437, 0.2153009026, 0.2322799861],
}
OF_TICKS = [0.8307826237, 1.596871121, 0.454566716]


@pytest.mark.parametrize("name", SHARES)
def test_variances_are_those_of_nakagawa(name):
    X, y, model = epil_model()
    if name == "negative_binomial":
        model = MixedNegativeBinomialRegressor("subject").fit(X, y)
    table = variance_decomposition(model)
    assert list(table.index) == ["fixed", "subject", "distribution"]
    # What the searches have left
    assert_allclose(table["variance"], SHARES[name], rtol=2e-4)
    total = sum(SHARES[name])
    assert_allclose(r2(model)["marginal"], SHARES[name][0] / total, rtol=2e-4)
    assert_allclose(r2(model)["conditional"], sum(SHARES[name][:2]) / total, rtol=2e-4)
    adjusted = SHARES[name][1] / sum(SHARES[name][1:])
    assert_allclose(icc(model)["subject"], adjusted, rtol=2e-4)


def test_effects_of_single_rows_are_variation_of_the_distribution():
    model = grouseticks(["BROOD", "INDEX"], fixed=["cHEIGHT"])
    table = variance_decomposition(model)
    assert list(table.index) == ["fixed", "BROOD", "distribution"]
    assert_allclose(table["variance"], OF_TICKS, rtol=1e-3)
    assert list(icc(model).index) == ["BROOD"]


@pytest.mark.parametrize(
    ("link", "expected"), [("logit", np.pi**2 / 3), ("probit", 1.0), ("cloglog", np.pi**2 / 6)]
)
def test_variances_of_classes_are_those_of_the_latent_variable(link, expected):
    frame = frame_of("bacteria")
    X = frame[["ID"]].assign(late=frame["late"] * 1.0)
    model = MixedLogisticClassifier("ID", link=link).fit(X, frame["y01"])
    assert_allclose(variance_decomposition(model)["variance"].iloc[-1], expected, rtol=1e-14)
    own = model.variance_components_["variance"].iloc[0]
    assert_allclose(icc(model)["ID"], own / (own + expected), rtol=1e-12)


def test_the_mean_count_has_the_exposure_and_gamma_needs_none():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"g": np.repeat(np.arange(30), 5)})
    rate = np.exp(0.6 * rng.normal(size=30))[X["g"]]
    days = rng.uniform(1, 9, 150)
    model = MixedPoissonRegressor("g").fit(X, rng.poisson(days * rate), exposure=days)
    own = model.variance_components_["variance"].iloc[0]
    mean = days.mean() * np.exp(model.fixed_effects_.iloc[0] + own / 2)
    found = variance_decomposition(model)["variance"]
    assert_allclose(found["distribution"], np.log1p(1 / mean), rtol=1e-12)
    assert found["fixed"] == 0.0
    gamma = MixedGammaRegressor("g").fit(X, rate * rng.gamma(2, 0.5, 150))
    found = variance_decomposition(gamma)["variance"]
    assert_allclose(found["distribution"], np.log1p(1 / gamma.shape_), rtol=1e-12)
    alone = MixedPoissonRegressor().fit(days[:, None], rng.poisson(days))
    with pytest.raises(ValueError, match="The model has no grouping factor"):
        icc(alone)
    assert_allclose(*r2(alone), rtol=1e-12)
