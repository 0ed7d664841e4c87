"""Every model of the reference fits, at full precision.

Tolerances: both sides are optima of a smooth function, found to a few rounding
errors of the criterion (1e-12 relative here, 1e-8 by lme4 with Newton steps on
numerical derivatives), so that estimates agree to the square root of that.
"""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference_fits import INTERCEPT, references

from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning

SINGLE = references(single_factor=True)
SEVERAL = references(single_factor=False)
ALL = SINGLE + SEVERAL


@pytest.fixture(scope="module")
def fits():
    """Each reference model, fitted once."""
    seen = {}

    def fit(reference):
        if str(reference) not in seen:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SingularFitWarning)
                warnings.simplefilter("ignore", RankDeficiencyWarning)
                seen[str(reference)] = reference.fitted()
        return seen[str(reference)]

    return fit


def standard_errors(model):
    return np.sqrt(np.diagonal(model._model.estimate.solution.fixed_covariance))


def test_there_are_references():
    assert len(SINGLE) >= 50
    assert len(SEVERAL) >= 12
    assert {r.dataset for r in SINGLE} >= {"sleepstudy_weighted", "sleepstudy_rank_deficient"}


@pytest.mark.parametrize("reference", ALL, ids=str)
def test_design_is_that_of_r(reference):
    design = reference.record["design"]
    kept = [c for c in design["fixed_columns"] if c != INTERCEPT]
    first = int(INTERCEPT in design["fixed_columns"])
    sums = reference.X()[kept].to_numpy(float).sum(axis=0)
    assert_allclose(sums, np.array(design["X_column_sums"])[first:], atol=1e-9)


@pytest.mark.parametrize("reference", ALL, ids=str)
def test_criterion_is_the_optimum(fits, reference):
    model = fits(reference)
    # Within 1e-6 of the best known value, or lower; a proper minimum is not much
    # lower than lme4's after its Newton refinement.
    assert model.criterion_ <= reference.best_criterion + 1e-6
    assert model.criterion_ >= reference.best_criterion - 1e-4
    assert model.log_likelihood_ == pytest.approx(-model.criterion_ / 2)
    assert_allclose(model.aic_, reference.fit["AIC"], atol=1e-4)
    assert_allclose(model.bic_, reference.fit["BIC"], atol=1e-4)
    assert model.converged_
    assert model.n_factorizations_ <= 10


@pytest.mark.parametrize("reference", ALL, ids=str)
def test_fixed_effects(fits, reference):
    model, fit = fits(reference), reference.fit
    estimates = model.fixed_effects_[list(fit["fixef"]["names"])]
    assert_allclose((estimates.to_numpy() - fit["fixef"]["values"]) / fit["se"], 0.0, atol=1e-5)
    assert_allclose(standard_errors(model), fit["se"], rtol=1e-4)
    dropped = set(reference.fixed_columns) - set(fit["fixef"]["names"])
    assert (len(dropped) > 0) == (reference.dataset == "sleepstudy_rank_deficient")
    assert (model.fixed_effects_[list(dropped)] == 0.0).all()


@pytest.mark.parametrize("reference", ALL, ids=str)
def test_variance_components(fits, reference):
    model, fit = fits(reference), reference.fit
    assert_allclose(model.sigma_, fit["sigma"], rtol=1e-4)
    assert model.singular_ == fit["is_singular"]
    for group in model.covariances_:
        terms = [v for v in fit["varcorr"] if v["group"] == group]
        expected = [np.array(v["cov"], dtype=float) for v in terms]
        found, start = model.covariances_[group].to_numpy(), 0
        for covariance in expected:
            own = slice(start, start + len(covariance))
            scale = np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
            assert_allclose(found[own, own], covariance, atol=1e-4 * scale.max() + 1e-12)
            start = own.stop
        assert start == len(found)
    theta = np.array(fit["theta"])
    # At a rank-deficient optimum several θ give one covariance.
    if not fit["is_singular"]:
        assert_allclose(model.theta_, theta, atol=1e-4 * np.abs(theta).max())


@pytest.mark.parametrize("reference", ALL, ids=str)
def test_blups(fits, reference):
    model, fit = fits(reference), reference.fit
    for expected in fit["ranef"]:
        frame = model.random_effects_[expected["group"]]
        labels = [":".join(i) if isinstance(i, tuple) else str(i) for i in frame.index]
        frame = frame.set_axis(labels).loc[expected["levels"]]
        values = np.array(expected["values"], dtype=float).reshape(frame.shape)
        sd = np.sqrt(np.diagonal(model.covariances_[expected["group"]]))
        assert_allclose(frame.to_numpy(), values, atol=1e-4 * sd.max() + 1e-9)


@pytest.mark.parametrize("reference", ALL, ids=str)
def test_predictions(fits, reference):
    model, predict = fits(reference), reference.fit["predict"]
    X = reference.X().iloc[np.array(predict["rows"]) - 1]
    tolerance = 1e-5 * model.sigma_
    assert_allclose(model.predict(X), predict["conditional"], atol=tolerance)
    assert_allclose(model.predict(X, include="fixed"), predict["population"], atol=tolerance)
    for case in predict["new_levels"]:
        new = X.iloc[: len(case["values"])].assign(**dict.fromkeys(case["new_in"], "NEW_LEVEL"))
        assert_allclose(model.predict(new), case["values"], atol=tolerance)


def test_schools_agree_with_analysis_of_variance(fits):
    reference = next(r for r in SINGLE if r.dataset == "toy_schools" and r.method == "reml")
    model = fits(reference)
    y, school = reference.y.to_numpy(), reference.X()["school"]
    means = reference.y.groupby(school).mean()
    within = ((y - means[school].to_numpy()) ** 2).sum() / (12 - 3)
    between = 4 * ((means - y.mean()) ** 2).sum() / (3 - 1)
    # Balanced and interior: REML is the analysis of variance (Searle et al.,
    # 1992, section 3.8); equal to rounding.
    assert_allclose(model.sigma_**2, within, rtol=1e-8)
    assert_allclose(model.covariances_["school"].iloc[0, 0], (between - within) / 4, rtol=1e-6)


def test_a_new_cask_of_a_known_batch_keeps_the_batch():
    reference = next(r for r in SEVERAL if r.model == "nested" and r.dataset == "pastes")
    model = reference.fitted()
    X = reference.X().iloc[:1].assign(cask="never seen")
    # lme4's number, to the digits it is given in.
    assert model.predict(X)[0] == pytest.approx(60.854, abs=5e-4)
    batch, cask = (model.random_effects_[g] for g in ("batch", "cask:batch"))
    assert (len(batch), len(cask)) == (10, 30)
    assert model.predict(X, include=["cask:batch"])[0] == pytest.approx(model.intercept_)
