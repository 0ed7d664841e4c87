"""Generalized models by formulas: R's fits, and what scikit-learn does with a model."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from generalized_models import ROOT, frame_of, reference, reference_fits
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.metrics import brier_score_loss, log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    glmer,
)
from skmixed.diagnostics import residuals
from skmixed.formula import FormulaRegressor
from skmixed.inference import anova, coefficient_table, compare, likelihood_ratio_test

# Data and model of reference fits → formula, where it is not R's to the letter, and the rest.
MODELS = {
    ("cbpp", "period"): (None, "binomial", {}),
    ("grouseticks", "olre"): (None, "poisson", {}),
    ("verbagg", "crossed"): (None, "binomial", {}),
    ("epil", "slope"): (None, "poisson", {}),
    ("epil", "negbin"): (None, "nbinom2", {}),
    ("bacteria", "probit"): (None, "binomial", {"link": "probit"}),
    ("sleepstudy_gamma", "gamma_log"): (None, "Gamma", {}),
    ("clinics", "labels"): ("answer ~ x + dose + (1 | clinic)", "binomial", {}),
    ("clinics", "counts"): (None, "binomial", {"link": "probit"}),
    ("clinics", "cloglog"): (
        "cbind(healed, trials - healed) ~ I(x**2) + sex + (x || clinic)",
        "binomial", {"link": "cloglog"},
    ),
    ("clinics", "offset"): (None, "poisson", {}),
    ("clinics", "negbin"): (None, "nbinom2", {}),
    ("clinics", "gamma"): (None, "Gamma", {}),
}  # fmt: skip


def data_of(name):
    """Return the data with factors in R's order of levels."""
    frame = frame_of(name).copy()
    for column in reference(name)["columns"]:
        if column["levels"]:
            frame[column["name"]] = pd.Categorical(frame[column["name"]], column["levels"])
    return frame


@pytest.mark.parametrize(("name", "model"), MODELS, ids=map("-".join, MODELS))
def test_formulas_of_r_give_its_fits(name, model):
    formula, family, options = MODELS[name, model]
    written = next(own for own in reference(name)["models"] if own["id"] == model)["formula"]
    own = glmer(formula or written, data_of(name), family, **options)
    best = max(reference_fits(name, model).values(), key=lambda fit: fit["logLik"])
    # R's searches end at gradients of 1e-4
    assert_allclose(own.log_likelihood_, best["logLik"], atol=1e-6)
    # R's order of terms is that of their degree
    assert_allclose(sorted(own.fixed_effects_), sorted(best["fixef"]["values"]), atol=2e-5)


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


@pytest.mark.parametrize(("n", "expected"), [(5, -625.42564658), (9, -621.38811013)])
def test_quadrature_is_that_of_r(n, expected):
    frame = pd.read_csv(ROOT / "data" / "toenail.csv")
    own = glmer("severe ~ treated * visit + (1 | patient)", frame, "binomial", quadrature=n)
    # glmer(nAGQ=n), whose modes have seven digits
    assert_allclose(own.log_likelihood_, expected, atol=1e-6)


def test_single_trials_are_those_of_the_classifier():
    frame = pd.read_csv(ROOT / "data" / "toenail.csv")
    own = glmer("severe ~ treated + visit + (1 | patient)", frame, "binomial")
    X = frame[["treated", "visit", "patient"]]
    other = MixedLogisticClassifier("patient").fit(X, frame["severe"])
    assert_allclose(own.log_likelihood_, other.log_likelihood_, rtol=1e-12)
    new = frame.iloc[:1].assign(patient=9999)
    assert_allclose(own.predict(new), other.predict_proba(new[X.columns])[:, 1], rtol=1e-6)
    assert own.score(frame) > 0.3


# Response, family and options by formula → the estimator, its response, and what fit has beside.
REACHED = {
    "counts": (
        "cbind(healed, trials - healed)", "binomial", {},
        MixedBinomialRegressor, "share", {"sample_weight": "trials"},
    ),
    "labels": ("answer", "binomial", {}, MixedLogisticClassifier, "answer", {}),
    "exposures": (
        "events", "nbinom2", {"offset": "log(days)"},
        MixedNegativeBinomialRegressor, "events", {"exposure": "days"},
    ),
    "weights": (
        "events", "poisson", {"weights": "trials"},
        MixedPoissonRegressor, "events", {"sample_weight": "trials"},
    ),
    "gamma": ("cost", "Gamma", {}, MixedGammaRegressor, "cost", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", REACHED)
def test_a_formula_reaches_the_model_of_the_estimator(name):
    response, family, options, kind, target, beside = REACHED[name]
    frame = frame_of("clinics")
    frame = frame.assign(share=frame["healed"] / frame["trials"].clip(1))
    own = glmer(f"{response} ~ x + (1 | clinic)", frame, family, **options)
    X, more = frame[["x", "clinic"]], {key: frame[name] for key, name in beside.items()}
    other = kind("clinic").fit(X, frame[target], **more)
    assert own.log_likelihood_ == other.log_likelihood_
    assert_frame_equal(coefficient_table(own), coefficient_table(other))
    for kind in ("response", "pearson", "deviance", "quantile"):
        expected = residuals(other, X, frame[target], kind, **more)
        assert_array_equal(residuals(own, frame, kind=kind), expected)
    null = glmer(f"{response} ~ 1 + (1 | clinic)", frame, family, **options)
    assert likelihood_ratio_test(null, other)["df"].iloc[-1] == 1.0
    assert_allclose(compare(own, other)["delta_aic"], 0.0, atol=0.0)


def test_anova_is_of_the_terms_of_the_formula():
    own = glmer("events ~ x * dose + (1 | clinic)", frame_of("clinics"), "poisson")
    table = anova(own)
    assert list(table.index) == ["x", "dose", "x:dose"]
    assert list(table["df"]) == [1, 2, 2]


def test_columns_that_a_prediction_does_not_use_may_be_missing():
    frame = frame_of("cbpp")
    own = glmer("cbind(incidence, healthy) ~ period + (1 | herd)", frame, "binomial")
    found = own.predict(frame[["period"]], include="fixed")
    assert_array_equal(found, own.predict(frame, include="fixed"))


def test_effects_are_those_of_the_estimators():
    frame = frame_of("epil").assign(days=14.0)
    frame["days"] += frame["period"]
    own = glmer("y ~ lage + offset(log(days)) + (1 | subject)", frame, "poisson")
    X = frame[["lage", "subject"]]
    other = MixedPoissonRegressor("subject").fit(X, frame["y"], exposure=frame["days"])
    for options in ({"effects": "mean"}, {"include": "fixed"}, {"include": ["subject"]}):
        expected = other.predict(X, exposure=frame["days"], **options)
        assert_allclose(own.predict(frame, **options), expected, rtol=1e-8)
    unknown = glmer(
        "y ~ lage + (1 | subject)", frame, "poisson", handle_unknown="error", quadrature=3
    )
    with pytest.raises(ValueError, match="unknown"):
        unknown.predict(frame.iloc[:1].assign(subject="new"))


MODELS_TO_SAVE = {
    "counts": ("cbind(healed, trials - healed) ~ dose + (1 | clinic)", "binomial"),
    "labels": ("answer ~ x + (1 | clinic/ward)", "binomial"),
    "computed": ("I(events > 2) ~ poly(x, 2) + (1 | clinic)", "binomial"),
    "offset": ("events ~ x * dose + offset(log(days)) + (x | clinic)", "nbinom2"),
}


@pytest.mark.parametrize("name", MODELS_TO_SAVE)
def test_saved_and_slim_models_and_clones_predict_the_same(name):
    formula, family = MODELS_TO_SAVE[name]
    frame = frame_of("clinics")
    own = glmer(formula, frame, family)
    again = clone(own).fit(frame)
    for other in (pickle.loads(pickle.dumps(own)), own.slim(), again):
        assert_array_equal(other.predict(frame), own.predict(frame))
        assert other.score(frame) == own.score(frame)
        assert str(other.summary()).splitlines()[:8] == str(own.summary()).splitlines()[:8]
        if family == "binomial" and name != "counts":
            assert_array_equal(other.classes_, own.classes_)
            assert_array_equal(other.predict_proba(frame)[:, 1], own.predict(frame))
    with pytest.raises(ValueError, match="slim copy"):
        coefficient_table(own.slim())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["counts", "labels"])
def test_skops_trusts_the_estimators_alone(name):
    sio = pytest.importorskip("skops.io")
    formula, family = MODELS_TO_SAVE[name]
    own = glmer(formula, frame_of("clinics"), family)
    data = sio.dumps(own)
    trusted = sio.get_untrusted_types(data=data)
    estimators = ["MixedBinomialRegressor", "RandomEffect", "formula.FormulaRegressor"]
    assert sorted(trusted) == [f"skmixed.{kind}" for kind in estimators]
    loaded = sio.loads(data, trusted=trusted)
    assert_array_equal(loaded.predict(frame_of("clinics")), own.predict(frame_of("clinics")))


@pytest.mark.parametrize("name", ["counts", "labels"])
def test_crafted_states_are_refused(name):
    formula, family = MODELS_TO_SAVE[name]
    state = glmer(formula, frame_of("clinics"), family).__getstate__()
    for key, value in {
        "classes": {"is": "column levels", "labels": {"is": "labels", "items": ["a", "b", "c"]}},
        "of_failures": {"kinds": 1},
    }.items():
        crafted = copy.deepcopy(state)
        crafted["_fit"]["frame"][key] = value
        with pytest.raises(ValueError, match="The saved model is damaged"):
            FormulaRegressor.__new__(FormulaRegressor).__setstate__(crafted)
    for family in ("poisson", None, "other"):
        with pytest.raises(ValueError, match="The saved model is damaged"):
            FormulaRegressor.__new__(FormulaRegressor).__setstate__({**state, "family": family})


def test_folds_of_frames():
    frame = frame_of("clinics").copy()
    model = FormulaRegressor("answer ~ x + (1 | clinic)", family="binomial")
    found = cross_val_predict(model, frame, frame["answer"], cv=2)
    proba = cross_val_predict(model, frame, frame["answer"], cv=2, method="predict_proba")
    assert_allclose(proba, np.column_stack([1 - found, found]), rtol=1e-12)
    frame["number"] = (frame["answer"] == "yes").astype(int)
    model.set_params(formula="number ~ x + offset(0.1 * x) + (1 | clinic)")
    for score in (roc_auc_score, log_loss, brier_score_loss):
        scores = cross_val_score(
            model, frame, frame["number"], cv=2, scoring=make_scorer(score), error_score="raise"
        )
        assert np.isfinite(scores).all()
    model = FormulaRegressor("cbind(healed, trials - healed) ~ dose + (1 | clinic)")
    search = GridSearchCV(model.set_params(family="binomial"), {"link": ["logit", "probit"]}, cv=2)
    assert search.fit(frame).best_estimator_.converged_


def test_the_summary_names_formula_family_and_success():
    frame = frame_of("clinics").assign(x=lambda rows: rows["x"].where(rows["trials"] > 0))
    own = glmer("answer ~ x + (1 | clinic)", frame, "binomial", na_action="drop", quadrature=5)
    text, n_missing = str(own.summary()), int((frame["trials"] == 0).sum())
    assert "maximum likelihood (quadrature)" in text
    assert "Nodes: 5" in text
    assert "Formula: answer ~ x + (1 | clinic)" in text
    assert "Family: binomial (logit)" in text
    assert "Success: 'yes'" in text
    assert f"{n_missing} rows with missing values were left out" in text
    html = own.summary()._repr_html_()
    assert "<code>answer ~ x + (1 | clinic)</code>" in html
    assert "binomial (logit)" in html
    counted = glmer("cbind(healed, trials - healed) ~ 1 + (1 | clinic)", frame, "binomial")
    assert "Success" not in str(counted.summary())


def test_what_is_there_for_linear_models_says_so():
    frame = frame_of("cbpp")
    own = glmer("incidence ~ period + offset(log(size)) + (1 | herd)", frame, "poisson")
    with pytest.raises(ValueError, match="ddf='normal': intervals of generalized models are nor"):
        own.predict_interval(frame, ddf="normal")
    with pytest.raises(ValueError, match="ddf='residual': tests of generalized models are normal"):
        own.summary(ddf="residual")
    assert not hasattr(own, "predict_proba")
    assert not hasattr(own, "classes_")


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
    frame = frame_of("clinics")
    own = glmer("answer ~ x + (1 | clinic)", frame, "binomial")
    answers = own.sample_y(frame, 400, effects="new")
    assert set(answers.ravel()) == {"no", "yes"}
    expected = own.predict(frame.assign(clinic="new")).mean()
    # 400 draws of the mean over twelve clinics, which has a standard deviation of 0.05
    assert abs((answers == "yes").mean() - expected) < 5 * 0.05 / np.sqrt(400)
    with pytest.raises(ValueError, match="the response is of two classes"):
        own.sample_y(frame, sample_weight=np.ones(len(frame)))


@pytest.mark.parametrize(
    ("response", "options"),
    [("cbind(incidence, size - incidence)", {}), ("incidence / size", {"weights": "size"})],
)
def test_draws_have_the_trials_that_the_rows_name(response, options):
    frame = frame_of("cbpp")
    own = glmer(f"{response} ~ period + (1 | herd)", frame, "binomial", **options)
    assert_array_equal(
        own.sample_y(frame, 20), own.sample_y(frame, 20, sample_weight=frame["size"])
    )
    more = frame.assign(size=frame["size"] * 100)
    assert own.sample_y(more, 50).std() < own.sample_y(frame, 50).std()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"exposure": "days"}, r"offset\(log\(exposure\)\) in the formula"),
        ({"REML": True}, "takes no `REML`"),
        ({"sample_weight": [1.0]}, "as `weights`"),
    ],
)
def test_words_of_others_are_told_what_they_are_here(extra, message):
    data = pd.DataFrame({"y": [1, 2, 0, 3], "x": [0.0, 1.0, 2.0, 4.0], "days": 1.0})
    with pytest.raises(TypeError, match=message):
        glmer("y ~ x", data, "poisson", **extra)


def test_an_offset_is_needed_in_predictions_too():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=60), "g": np.arange(60) % 6, "days": 2.0})
    data["y"] = rng.poisson(np.exp(0.5 * data["x"] + rng.normal(size=6)[data["g"]]))
    model = glmer("y ~ x + offset(log(days)) + (1 | g)", data, "poisson")
    with pytest.raises(ValueError, match=r"'days' is not a column .* The offset needs it, in pred"):
        model.predict(data[["x", "g"]])
    with pytest.raises(ValueError, match=r"They are 'days', 'g'\.\n"):
        model.predict(data[["days", "g"]])
