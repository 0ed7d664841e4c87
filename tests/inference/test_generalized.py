import numpy as np
import pytest
from generalized_models import cbpp_model, epil_model, reference_fits
from numpy.testing import assert_allclose
from scipy import stats

from skmixed.inference import anova, coefficient_table, contrast, vcov


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
