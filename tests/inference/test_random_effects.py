import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from reference_fits import references
from scipy.stats import norm
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._equations.selected_inverse import level_covariances
from skmixed._fitted.fitted_model import fitted
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import random_effects_table, singularity

REFERENCES = [r for single in (True, False) for r in references(single_factor=single)]


def fit(reference):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return reference.fitted()


@pytest.fixture(scope="module")
def sleepstudy():
    return load_sleepstudy(return_X_y=True, as_frame=True)


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_conditional_variances_are_lme4_s(reference):
    model = fit(reference)
    opened, table = fitted(model), random_effects_table(model)
    covariances = level_covariances(opened.factorization)
    sigma2, encoder = opened.sigma_squared, opened.encoder
    for expected in reference.fit["ranef"]:
        k = [f.name for f in encoder.factors].index(expected["group"])
        labels = [":".join(map(str, np.atleast_1d(i))) for i in encoder.factors[k].index]
        order = [labels.index(label) for label in expected["levels"]]
        own = [c for c, t in zip(covariances, encoder.terms, strict=True) if t.factor == k]
        assert expected["cond_var_terms"] is not None or len(labels) > 40
        for found, wanted in zip(own, expected["cond_var_terms"] or [], strict=False):
            wanted = np.array(wanted["cond_var"], dtype=float).reshape(found.shape)
            sd = np.sqrt(np.diagonal(wanted, axis1=1, axis2=2).max(axis=0))
            # Smooth functions of θ, on which the two searches agree to about 1e-7.
            atol = 1e-6 * np.outer(sd, sd) + 1e-12
            assert (np.abs(sigma2 * found[order] - wanted) <= atol).all()
        of_table = table[table["group"] == expected["group"]]["std_error"].to_numpy()
        variances = [sigma2 * np.diagonal(c, axis1=1, axis2=2) for c in own]
        assert_allclose(of_table, np.sqrt(np.concatenate(variances, axis=1)).ravel())


def test_table(sleepstudy):
    X, y = sleepstudy
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    table = random_effects_table(model, level=0.9)
    assert list(table) == ["group", "level", "name", "estimate", "std_error", "lower", "upper"]
    wide = table.pivot_table(index="level", columns="name", values="estimate")
    blups = model.random_effects_["Subject"]
    assert_allclose(wide[list(blups)].to_numpy(), blups.to_numpy(), rtol=0)
    half = norm.ppf(0.95) * table["std_error"]
    assert_allclose(table["upper"] - table["estimate"], half, rtol=1e-10)
    assert_allclose(table["estimate"] - table["lower"], half, rtol=1e-10)


def test_terms_on_one_factor_and_interactions():
    reference = next(r for r in REFERENCES if r.model == "nested" and r.dataset == "pastes")
    model = fit(reference)
    table = random_effects_table(model)
    assert list(table["group"].unique()) == list(model.random_effects_)
    assert set(table["level"][table["group"] == "cask:batch"]) == set(
        model.random_effects_["cask:batch"].index
    )
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    apart = [RandomEffect("Subject"), RandomEffect("Subject", slopes="Days", intercept=False)]
    together = MixedLinearRegressor("Subject", random_slopes="Days", covariance="diag").fit(X, y)
    # The same model: what differs is where the searches stop.
    pd.testing.assert_frame_equal(
        random_effects_table(MixedLinearRegressor(apart).fit(X, y)),
        random_effects_table(together),
        rtol=1e-5,
    )


def test_no_random_effects(sleepstudy):
    X, y = sleepstudy
    model = MixedLinearRegressor(fixed="Days").fit(X, y)
    assert random_effects_table(model).shape == (0, 7)
    assert singularity(model).shape == (0, 7)


def test_effects_without_variance_have_no_error():
    model = fit(next(r for r in REFERENCES if r.dataset == "dyestuff2"))
    table = random_effects_table(model)
    assert (table[["estimate", "std_error", "lower", "upper"]] == 0.0).all(axis=None)
    found = singularity(model)
    assert found["is_zero"].tolist() == [True]
    assert found["sd"].tolist() == [0.0]
    assert found[["share", "cumulative"]].isna().all(axis=None)


def test_components_are_those_of_the_covariance_of_scaled_columns(sleepstudy):
    X, y = sleepstudy
    days = X["Days"]
    standard = X.assign(Days=(days - days.mean()) / days.std(ddof=0))
    for weights in (None, np.full(len(y), 1e4)):
        for data in (X, standard, X.assign(Days=1.6e9 + 86400 * days)):
            model = MixedLinearRegressor("Subject", random_slopes="Days")
            found = singularity(model.fit(data, y, sample_weight=weights))
            assert not found["is_zero"].any()
            assert_allclose(found["share"].sum(), 1.0)
            assert found["cumulative"].iloc[-1] == pytest.approx(1.0)
            if data is X:
                first = found
            # Equal up to where the search stops, 1e-6 of θ.
            assert_allclose(found["sd"], first["sd"], rtol=1e-5)
            if data is standard:
                lam = model._model.estimate.solution.terms[0].lam
                assert_allclose(found["sd"], np.linalg.svd(lam, compute_uv=False), rtol=1e-10)


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_singular_fits_have_a_zero_component(reference):
    model = fit(reference)
    found = singularity(model)
    assert found["is_zero"].any() == model.singular_
    assert (found["sd"][~found["is_zero"]] > 0.0).all()


def test_pipelines_and_messages(sleepstudy):
    X, y = sleepstudy
    model = make_pipeline(MixedLinearRegressor("Subject")).fit(X, y)
    assert len(random_effects_table(model)) == 18
    with pytest.raises(ValueError, match=r"level=95 is not between 0 and 1\. For 95 % give 0\.95"):
        random_effects_table(model, level=95)
    with pytest.raises(TypeError, match="level='95 %' is of type str"):
        random_effects_table(model, level="95 %")
    with pytest.raises(TypeError, match="model is of type LinearRegression"):
        singularity(LinearRegression())
