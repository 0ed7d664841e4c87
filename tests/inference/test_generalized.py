import numpy as np
import pytest
from generalized_models import cbpp_model, epil_model, frame_of, reference_fits
from numpy.testing import assert_allclose
from scipy import stats

from skmixed import (
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed.inference import (
    anova,
    coefficient_table,
    compare,
    contrast,
    likelihood_ratio_test,
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
    with pytest.raises(ValueError, match=r"poisson \(log\) and negative binomial \(log\): neither"):
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
