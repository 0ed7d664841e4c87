import numpy as np
import pandas as pd
import pytest
from emmeans_reference import MODELS, fitted, rows_of
from oracle_generalized import DenseGeneralized
from scipy import integrate
from scipy import stats as distributions

from skmixed import glmer
from skmixed._model.family import FAMILIES
from skmixed.exceptions import NotEstimableWarning, RankDeficiencyWarning
from skmixed.inference import marginal_means
from skmixed.inference._marginal.population import averaged_slopes, link_of

ETA = np.array([-3.0, -0.5, 0.0, 0.8, 4.0])
VARIANCE = np.array([0.0, 0.3, 1.0, 4.0, 9.0])


@pytest.mark.parametrize("own", FAMILIES.values(), ids=lambda own: f"{own.name}-{own.link_name}")
def test_slopes_of_averages_are_their_derivatives(own):
    by_eta, by_variance = averaged_slopes(own, ETA, VARIANCE + 0.1)
    h = 1e-5
    for found, step in ((by_eta, (h, 0.0)), (by_variance, (0.0, h))):
        ahead, back = (
            own.averaged(ETA + sign * step[0], VARIANCE + 0.1 + sign * step[1])
            for sign in (1.0, -1.0)
        )
        # Central differences: h² of a third derivative, and rounding over h
        np.testing.assert_allclose(found, (ahead - back) / (2 * h), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("own", FAMILIES.values(), ids=lambda own: f"{own.name}-{own.link_name}")
def test_the_link_undoes_the_mean(own):
    eta = np.minimum(ETA, 2.0)  # from which cloglog's mean is 1 less a rounding or two
    np.testing.assert_allclose(link_of(own, own.mean(eta)), eta, rtol=1e-11, atol=1e-14)


def integrated(family, eta, sd):
    def part(z):
        return family.mean(np.array([eta + sd * z]))[0] * distributions.norm.pdf(z)

    return integrate.quad(part, -12, 12, epsabs=1e-13, epsrel=1e-12, limit=200)[0]


def test_means_integrate_over_intercepts_and_slopes():
    model = fitted("clinics_events")
    found = marginal_means(model, "dose", at={"x": 1.5, "sex": "m"}, scale="population")
    link = marginal_means(model, "dose", at={"x": 1.5, "sex": "m"})["mean"]
    z = np.array([1.0, 1.5])
    sd = np.sqrt(z @ model.covariances_["clinic"].to_numpy() @ z)
    expected = [integrated(FAMILIES["poisson", "log"], eta, sd) for eta in link]
    np.testing.assert_allclose(found["mean"], expected, rtol=1e-10)


def test_averages_are_of_responses():
    model = fitted("clinics_events")
    each = marginal_means(model, ["dose", "sex"], scale="population")
    over = marginal_means(model, "dose", scale="population")
    np.testing.assert_allclose(over["mean"], each.groupby("dose")["mean"].mean(), rtol=1e-12)


def cbpp():
    own = MODELS["cbpp"]
    return fitted("cbpp"), rows_of(own)


def test_standard_errors_count_those_of_the_variance():
    """By numerical derivatives of the likelihood that the oracle computes, and of means."""
    model, data = cbpp()
    family = FAMILIES["binomial", "logit"]
    trials = (data["incidence"] + data["healthy"]).to_numpy(dtype=float)
    x = np.column_stack([np.ones(len(data)), *(data["period"] == k for k in "234")]).astype(float)
    codes = pd.factorize(data["herd"])[0]
    z = np.ones((len(data), 1))
    y = data["incidence"].to_numpy() / trials
    dense = DenseGeneralized(family, y, trials, np.zeros(len(data)), x, ((z, codes, 15),))

    def criterion(p):
        return dense.criterion((np.array([[p[4]]]),), p[:4], 0.0)

    p = np.append(model.fixed_effects_, np.sqrt(model.covariances_["herd"].to_numpy()[0, 0]))
    steps = 2e-3 * np.eye(5)
    hessian = np.array(
        [
            [
                sum(s * t * criterion(p + s * a + t * b) for s in (1, -1) for t in (1, -1))
                for b in steps
            ]
            for a in steps
        ]
    ) / (4 * 2e-3**2)
    covariance = np.linalg.inv(hessian / 2.0)

    def means(p):
        eta = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]) @ p[:4]
        return np.array([integrated(family, own, p[4]) for own in eta])

    slopes = np.array([(means(p + a) - means(p - a)) / 4e-3 for a in steps]).T
    expected = np.sqrt(np.einsum("kp,pq,kq->k", slopes, covariance, slopes))
    found = marginal_means(model, "period", scale="population")
    np.testing.assert_allclose(found["mean"], means(p), rtol=1e-9)
    # Differences of second order: h² = 4e-6 times fourth derivatives
    np.testing.assert_allclose(found["std_error"], expected, rtol=2e-5)


def test_errors_of_a_model_without_variances_are_those_of_the_response():
    data = rows_of(MODELS["cbpp"])
    model = glmer("cbind(incidence, healthy) ~ period", data, "binomial")
    found, response = (
        marginal_means(model, "period", scale=own) for own in ("population", "response")
    )
    for column in ("mean", "std_error", "lower", "upper"):
        np.testing.assert_allclose(found[column], response[column], rtol=1e-9)


def test_limits_stay_within_what_means_may_be():
    model, _ = cbpp()
    found = marginal_means(model, "period", scale="population", level=1 - 1e-9)
    assert (found["lower"] > 0.0).all()
    assert (found["upper"] < 1.0).all()
    assert ((found["lower"] < found["mean"]) & (found["mean"] < found["upper"])).all()
    assert np.isinf(found["df"]).all()


def test_the_means_are_parameters_of_their_own():
    model, _ = cbpp()
    found = marginal_means(model, "period", scale="population")
    own = found.estimates
    np.testing.assert_array_equal(own.rows, np.eye(4))
    np.testing.assert_allclose(own.tests.estimate, found["mean"], rtol=1e-14)
    np.testing.assert_allclose(np.sqrt(np.diag(own.tests.covariance)), found["std_error"])
    assert found.scale.back is None
    assert found.remarks[0].startswith("Means of the response over the random effects")


def test_a_variable_of_random_slopes_alone_counts():
    data = rows_of(MODELS["clinics_events"])
    model = glmer("events ~ dose + (x | clinic)", data, "poisson")
    at_0, at_2 = (
        marginal_means(model, "dose", at={"x": x}, scale="population")["mean"] for x in (0, 2)
    )
    S = model.covariances_["clinic"].to_numpy()
    moved = np.exp((np.array([1, 2]) @ S @ np.array([1, 2]) - S[0, 0]) / 2)
    np.testing.assert_allclose(at_2, moved * at_0, rtol=1e-12)
    with pytest.raises(ValueError, match="'x', which has random coefficients alone"):
        marginal_means(model, "dose", at={"x": 0})


def test_means_over_a_cell_without_rows_are_nan():
    data = rows_of(MODELS["clinics_events"])
    data = data[~((data["dose"] == "mid") & (data["sex"] == "f"))]
    with pytest.warns(RankDeficiencyWarning):
        model = glmer("events ~ dose * sex + (1 | clinic)", data, "poisson")
    with pytest.warns(NotEstimableWarning, match="the means at dose='mid'"):
        found = marginal_means(model, "dose", scale="population")
    assert found["mean"].isna().tolist() == [level == "mid" for level in found["dose"]]
    own = found.estimates
    assert own.is_estimable.tolist() == [level != "mid" for level in found["dose"]]
    # Differences of those that are known are determined
    rows = np.array([[1.0 if known else 0.0 for known in own.is_estimable]])
    assert not own.tests.undetermined(rows).any()
    assert own.tests.undetermined(np.ones((1, 3))).any()


def test_a_mean_of_1_to_all_digits_has_itself_as_limits():
    data = pd.DataFrame({"x": np.tile([0.0, 1.0, 2.0, 3.0], 30), "g": np.repeat(range(12), 10)})
    rng = np.random.default_rng(0)
    eta = -1.0 + data["x"] + rng.normal(size=12)[data["g"]]
    data["y"] = (rng.uniform(size=120) < 1 / (1 + np.exp(-eta))).astype(float)
    model = glmer("y ~ x + (1 | g)", data, "binomial", "probit")
    found = marginal_means(model, "x", at={"x": [1, 300]}, scale="population")
    assert found.loc[1, ["mean", "lower", "upper"]].tolist() == [1.0, 1.0, 1.0]
    assert found.loc[0, "lower"] < found.loc[0, "mean"] < found.loc[0, "upper"]
