import pickle

import numpy as np
import pandas as pd
import pytest
from generalized_models import ROOT, frame_of, reference, reference_fits
from numpy.testing import assert_allclose, assert_array_equal

from skmixed import MixedLogisticClassifier, glmer
from skmixed.formula import FormulaRegressor

# Formula and family of the reference fits, in R's words.
FORMULAS = {
    ("cbpp", "period"): ("cbind(incidence, healthy) ~ period + (1 | herd)", "binomial", {}),
    ("grouseticks", "olre"): (
        "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)", "poisson", {},
    ),
    ("verbagg", "crossed"): (
        "y ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", "binomial", {},
    ),
    ("epil", "slope"): (
        "y ~ lbase * trt + lage + period + (period | subject)", "poisson", {},
    ),
    ("epil", "negbin"): ("y ~ lbase * trt + lage + period4 + (1 | subject)", "nbinom2", {}),
    ("bacteria", "probit"): ("y01 ~ trt + late + (1 | ID)", "binomial", {"link": "probit"}),
    ("sleepstudy_gamma", "gamma_log"): ("Reaction ~ Days + (1 | Subject)", "Gamma", {}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "model"), FORMULAS, ids=map("-".join, FORMULAS))
def test_formulas_of_r_give_its_fits(name, model):
    formula, family, options = FORMULAS[name, model]
    frame = frame_of(name).copy()
    for column in reference(name)["columns"]:
        if column["levels"]:
            frame[column["name"]] = pd.Categorical(frame[column["name"]], column["levels"])
    own = glmer(formula, frame, family, **options)
    best = max(reference_fits(name, model).values(), key=lambda fit: fit["logLik"])
    assert_allclose(own.log_likelihood_, best["logLik"], atol=1e-5)
    # R's order of terms is that of their degree
    assert_allclose(sorted(own.fixed_effects_), sorted(best["fixef"]["values"]), rtol=1e-3)


def test_offsets_are_exposures():
    frame = pd.read_csv(ROOT / "data" / "mmmec.csv")
    own = glmer("deaths ~ uvb + offset(np.log(expected)) + (1 | region)", frame, "poisson")
    assert_allclose(own.log_likelihood_, -1125.19996, atol=2e-5)
    beside = glmer("deaths ~ uvb + (1 | region)", frame, "poisson", offset="np.log(expected)")
    assert_allclose(beside.log_likelihood_, own.log_likelihood_, rtol=1e-12)
    counts = own.predict(frame)
    rates = own.predict(frame.assign(expected=1.0))
    assert_allclose(counts, rates * frame["expected"], rtol=1e-12)
    new = own.predict(frame.iloc[:2].assign(region=-1))
    plug_in = own.predict(frame.iloc[:2].assign(region=-1), include="fixed")
    variance = own.covariances_["region"].iloc[0, 0]
    assert_allclose(new, plug_in * np.exp(variance / 2), rtol=1e-12)


def test_trials_by_cbind_and_by_weights_are_one_model():
    frame = frame_of("cbpp")
    own = glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", frame, "binomial")
    frame = frame.assign(share=frame["incidence"] / frame["size"])
    other = glmer("share ~ period + (1 | herd)", frame, "binomial", weights="size")
    assert_allclose(own.log_likelihood_, other.log_likelihood_, rtol=1e-12)
    assert_allclose(own.predict(frame), other.predict(frame), rtol=1e-8)
    by_quadrature = glmer(
        "cbind(incidence, healthy) ~ period + (1 | herd)", frame, "binomial", quadrature=25
    )
    assert_allclose(by_quadrature.log_likelihood_, -91.983369, atol=1e-6)
    assert by_quadrature.n_nodes_ == 25


def test_single_trials_are_those_of_the_classifier():
    frame = pd.read_csv(ROOT / "data" / "toenail.csv")
    own = glmer("severe ~ treated + visit + (1 | patient)", frame, "binomial")
    X = frame[["treated", "visit", "patient"]]
    other = MixedLogisticClassifier("patient").fit(X, frame["severe"])
    assert_allclose(own.log_likelihood_, other.log_likelihood_, rtol=1e-12)
    new = frame.iloc[:1].assign(patient=9999)
    assert_allclose(own.predict(new), other.predict_proba(new[X.columns])[:, 1], rtol=1e-6)
    assert own.score(frame) > 0.3


def test_saved_models_predict_the_same():
    frame = frame_of("epil")
    own = glmer("y ~ lbase * trt + (1 | subject)", frame, "nbinom2")
    loaded = pickle.loads(pickle.dumps(own))
    assert_array_equal(loaded.predict(frame), own.predict(frame))
    assert loaded.shape_ == own.shape_


def test_what_makes_no_model_is_refused():
    frame = frame_of("cbpp")
    with pytest.raises(ValueError, match="family='gaussian' is not known"):
        glmer("incidence ~ period + (1 | herd)", frame, "gaussian")
    with pytest.raises(ValueError, match="cbind has two parts"):
        glmer("cbind(incidence) ~ period + (1 | herd)", frame, "binomial")
    with pytest.raises(ValueError, match="both give trials"):
        glmer("cbind(incidence, healthy) ~ 1 + (1 | herd)", frame, "binomial", weights="size")
    with pytest.raises(ValueError, match="link='probit' is not known"):
        glmer("incidence ~ period + (1 | herd)", frame, "poisson", "probit")
    with pytest.raises(TypeError, match="nAGQ=3 is `quadrature` here"):
        glmer("incidence ~ period + (1 | herd)", frame, "poisson", nAGQ=3)
    with pytest.raises(TypeError, match="formula is of type int"):
        glmer(3, frame, "poisson")
    with pytest.raises(ValueError, match="belong to a generalized model"):
        FormulaRegressor("incidence ~ period + (1 | herd)", link="log").fit(frame)


def test_what_is_there_for_linear_models_says_so():
    frame = frame_of("cbpp")
    own = glmer("incidence ~ period + (1 | herd)", frame, "poisson")
    with pytest.raises(ValueError, match="return_std is there for linear models"):
        own.predict(frame, return_std=True)
    with pytest.raises(ValueError, match="predict_interval is there for linear models"):
        own.predict_interval(frame)


def test_responses_are_drawn_with_the_offset_and_the_trials():
    frame = pd.read_csv(ROOT / "data" / "mmmec.csv")
    own = glmer("deaths ~ uvb + offset(np.log(expected)) + (1 | region)", frame, "poisson")
    counts = own.sample_y(frame, 200)
    expected = own.predict(frame)
    # Five errors of a mean of 200 draws that vary a little more than Poisson's
    assert (abs(counts.mean(axis=1) - expected) < 7.0 * np.sqrt((expected + 1) / 200)).all()
    assert_array_equal(counts, np.rint(counts))
    with pytest.raises(ValueError, match="sample_weight is for numbers of trials"):
        own.sample_y(frame, sample_weight=np.ones(len(frame)))
    frame = frame_of("cbpp")
    own = glmer("cbind(incidence, healthy) ~ period + (1 | herd)", frame, "binomial")
    shares = own.sample_y(frame, 3, sample_weight=frame["size"])
    cases = shares * frame["size"].to_numpy()[:, None]
    assert_allclose(cases, np.rint(cases), atol=1e-12)
