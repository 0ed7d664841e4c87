import pickle

import numpy as np
import pandas as pd
import pytest
from generalized_models import ROOT, frame_of, reference_fits
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

import skmixed
from skmixed import MixedLogisticClassifier, RandomEffect
from skmixed.diagnostics import influence
from skmixed.exceptions import SingularFitWarning, UndeterminedError, UnknownLevelsWarning
from skmixed.inference import convergence


@pytest.fixture(scope="module")
def toenail():
    frame = pd.read_csv(ROOT / "data" / "toenail.csv")
    return frame[["treated", "visit", "patient"]], frame["severe"]


@pytest.fixture(scope="module")
def fitted(toenail):
    return MixedLogisticClassifier("patient").fit(*toenail)


def test_toenail_is_that_of_sas_glmmml_and_admb(fitted):
    # Published in lme4's issue 289: −626.163
    assert_allclose(fitted.log_likelihood_, -626.162768, atol=1e-6)
    assert_allclose(fitted.fixed_effects_, [-1.070187, -0.700552, -0.912635], atol=2e-5)
    assert_allclose(fitted.variance_components_["sd"], [4.708412], atol=2e-5)
    assert_allclose(fitted.coef_, [[-0.700552, -0.912635, 0.0]], atol=2e-5)
    assert fitted.intercept_.shape == (1,)
    assert fitted.converged_
    assert not fitted.singular_
    assert_allclose(fitted.aic_, 2 * 626.162768 + 8, atol=2e-6)
    assert_allclose(fitted.bic_, 2 * 626.162768 + 4 * np.log(1908), atol=2e-6)


def test_a_new_patient_has_the_mean_over_patients(fitted, toenail):
    new = toenail[0].iloc[:1].assign(patient=9999)
    plug_in = fitted.predict_proba(new, include="fixed")[0, 1]
    assert_allclose(plug_in, 1 / (1 + np.exp(2.683374)), atol=1e-5)
    # The mean over N(η, σ²), by draws
    rng = np.random.default_rng(0)
    eta = -2.683374 + 4.708412 * rng.standard_normal(4_000_000)
    own = fitted.predict_proba(new)[0, 1]
    assert_allclose(own, (1 / (1 + np.exp(-eta))).mean(), atol=1e-3)
    assert_allclose(own, 0.2970, atol=5e-4)
    missing = fitted.predict_proba(new.assign(patient=np.nan))
    assert_array_equal(missing, fitted.predict_proba(new))


def test_known_groups_are_predicted_at_the_mode(fitted, toenail):
    X = toenail[0].iloc[:50]
    effects = fitted.random_effects_["patient"]["(Intercept)"]
    eta = X[["treated", "visit"]] @ fitted.coef_[0, :2] + fitted.intercept_[0]
    eta = eta.to_numpy() + effects[X["patient"]].to_numpy()
    assert_allclose(fitted.decision_function(X), eta, rtol=1e-12)
    assert_allclose(fitted.predict_proba(X)[:, 1], 1 / (1 + np.exp(-eta)), rtol=1e-12)
    # The mean over b given y, over a grid of the first patient's intercept
    mean = fitted.predict_proba(X, effects="mean")[:, 1]
    own = np.flatnonzero(X["patient"] == X["patient"].iloc[0])
    b = np.linspace(-60.0, 60.0, 20001)
    at = eta[own, None] - effects[X["patient"].iloc[0]] + b
    variance = fitted.covariances_["patient"].to_numpy()[0, 0]
    y = toenail[1].to_numpy()[own, None]
    log = (y * at - np.logaddexp(0.0, at)).sum(axis=0) - 0.5 * b**2 / variance
    expected = (1 / (1 + np.exp(-at))) @ np.exp(log) / np.exp(log).sum()
    assert_allclose(mean[own], expected, rtol=1e-6)


def test_probabilities_add_to_one_and_decide(fitted, toenail):
    X = pd.concat([toenail[0].iloc[::20], toenail[0].iloc[:9].assign(patient=-1)])
    proba, scores = fitted.predict_proba(X), fitted.decision_function(X)
    assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-15)
    assert_array_equal(fitted.predict(X), (proba[:, 1] > 0.5).astype(int))
    assert_allclose(scores, np.log(proba[:, 1] / proba[:, 0]), rtol=1e-9)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_links_give_the_likelihoods_of_glmmtmb(link):
    frame, model = frame_of("bacteria"), {"logit": "trt"}.get(link, link)
    X = pd.get_dummies(frame["trt"], dtype=float)[["drug", "drug+"]]
    X = X.assign(late=frame["late"], ID=frame["ID"])
    own = MixedLogisticClassifier("ID", link=link).fit(X, frame["y01"])
    expected = reference_fits("bacteria", model)["glmmTMB"]
    assert_allclose(own.log_likelihood_, expected["logLik"], atol=1e-6)
    scores = own.decision_function(X.assign(ID="new"))
    proba = own.predict_proba(X.assign(ID="new"))[:, 1]
    assert_allclose(scores, np.log(proba / (1 - proba)), rtol=1e-9)


@pytest.mark.parametrize(
    "labels", [["no", "yes"], [False, True], [3, 7], pd.Categorical(["a", "b"])]
)
def test_labels_of_any_kind(labels, toenail):
    X, y = toenail[0].iloc[:400], toenail[1].iloc[:400]
    expected = MixedLogisticClassifier("patient").fit(X, y)
    own = MixedLogisticClassifier("patient").fit(X, np.asarray(labels)[y])
    assert_array_equal(own.classes_, np.asarray(labels))
    assert_array_equal(own.predict(X), np.asarray(labels)[expected.predict(X)])
    assert own.log_likelihood_ == expected.log_likelihood_
    assert own.score(X, np.asarray(labels)[y]) == expected.score(X, y)


def test_without_groups_it_is_logistic_regression(toenail):
    X, y = toenail[0][["treated", "visit"]], toenail[1]
    own = MixedLogisticClassifier().fit(X, y)
    expected = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(X, y)
    assert_allclose(own.coef_, expected.coef_, rtol=1e-5)
    assert_allclose(own.intercept_, expected.intercept_, rtol=1e-5)


def test_weights_repeat_rows(toenail):
    X, y = toenail[0].iloc[:300], toenail[1].iloc[:300]
    weights = np.arange(300) % 3
    rows = np.repeat(np.arange(300), weights)
    own = MixedLogisticClassifier("patient").fit(X, y, sample_weight=weights)
    repeated = MixedLogisticClassifier("patient").fit(X.iloc[rows], y.iloc[rows])
    assert_allclose(own.log_likelihood_, repeated.log_likelihood_, rtol=1e-9)
    assert_allclose(own.coef_, repeated.coef_, rtol=1e-4)


def test_groups_beside_x_are_those_in_x(fitted, toenail):
    X, y = toenail
    own = MixedLogisticClassifier().fit(X[["treated", "visit"]], y, groups=X["patient"])
    assert own.log_likelihood_ == fitted.log_likelihood_
    proba = own.predict_proba(X[["treated", "visit"]].iloc[:5], groups=X["patient"].iloc[:5])
    assert_array_equal(proba, fitted.predict_proba(X.iloc[:5]))
    with pytest.raises(ValueError, match="The model was fitted with groups beside X"):
        own.predict(X[["treated", "visit"]])


def test_random_slopes_and_crossed_factors():
    frame = frame_of("verbagg")
    X = pd.get_dummies(frame[["Gender", "btype", "situ"]], dtype=float)
    X = X[["Gender_M", "btype_scold", "btype_shout", "situ_self"]]
    X = X.assign(Anger=frame["Anger"], id=frame["id"], item=frame["item"])
    own = MixedLogisticClassifier(["id", RandomEffect("item", "Anger")])
    with pytest.warns(SingularFitWarning, match="within 'item' is singular"):  # as glmer's
        own.fit(X, frame["y"])
    assert_allclose(own.log_likelihood_, -4073.891699, atol=1e-5)
    # A known person and a new item: z'Σz of the item alone
    rows = X.iloc[:2].assign(item="new")
    z = np.column_stack([np.ones(2), rows["Anger"]])
    variance = np.einsum("na,ab,nb->n", z, own.covariances_["item"].to_numpy(), z)
    known = own.decision_function(rows, include=["id"])
    rng = np.random.default_rng(1)
    draws = known[:, None] + np.sqrt(variance)[:, None] * rng.standard_normal((2, 2_000_000))
    assert_allclose(
        own.predict_proba(rows)[:, 1], (1 / (1 + np.exp(-draws))).mean(axis=1), atol=1e-3
    )
    # The item stays new, and the person's effect is not known exactly: nearer to a half
    mode, mean = (own.predict_proba(rows, effects=e)[:, 1] for e in ("mode", "mean"))
    assert (np.abs(mean - 0.5) < np.abs(mode - 0.5)).all()


def test_saved_models_predict_the_same_and_hold_no_rows(fitted, toenail):
    state = pickle.dumps(fitted)
    loaded = pickle.loads(state)
    assert_array_equal(loaded.predict_proba(toenail[0]), fitted.predict_proba(toenail[0]))
    assert loaded.log_likelihood_ == fitted.log_likelihood_
    assert_array_equal(loaded.classes_, fitted.classes_)
    assert b"skmixed._" not in state  # no class of a private module


def test_separated_classes_are_said_to_be():
    X = pd.DataFrame({"x": np.r_[np.arange(10.0), np.arange(20.0, 30.0)]})
    with pytest.warns(ConvergenceWarning, match="Values of column 'x' predict the responses"):
        model = MixedLogisticClassifier().fit(X, X["x"] > 15)
    assert not model.converged_
    assert model.score(X, X["x"] > 15) == 1.0


def test_the_column_that_separates_is_named():
    # Of category b all are of one class; years are far from 0 and do not separate.
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"year": rng.integers(2000, 2020, 300), "b": np.arange(300) % 5 == 0})
    X = X.assign(b=X["b"].astype(float), g=np.arange(300) // 15, z=rng.normal(size=300))
    share = 1.0 / (1.0 + np.exp(2.0 * rng.normal(size=20)))
    y = (rng.random(300) < share[X["g"]]) | (X["b"] == 1)
    with pytest.warns(ConvergenceWarning, match="Values of column 'b' predict"):
        model = MixedLogisticClassifier("g").fit(X, y)
    assert not model.converged_


def test_groups_of_one_class_each_have_no_finite_variance():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=200), "g": np.arange(200) // 10})
    with pytest.warns(ConvergenceWarning, match="within each group of 'g' are the same"):
        model = MixedLogisticClassifier("g").fit(X, X["g"] % 2)
    assert not model.converged_


def test_a_variance_of_zero_is_said_to_be():
    X = pd.DataFrame({"x": np.arange(200) % 7, "g": np.arange(200) // 10})
    with pytest.warns(SingularFitWarning, match="beyond what the distribution of y explains"):
        model = MixedLogisticClassifier("g").fit(X, np.arange(200) % 2)
    assert model.singular_
    assert model.converged_


def test_what_makes_no_model_is_refused(toenail):
    X, y = toenail[0].iloc[:40], toenail[1].iloc[:40]
    own = MixedLogisticClassifier("patient")
    with pytest.raises(ValueError, match="y has one class"):
        own.fit(X, np.zeros(40))
    with pytest.raises(ValueError, match="The type of the target is multiclass"):
        own.fit(X, np.arange(40) % 3)
    with pytest.raises(ValueError, match="A weight multiplies the log-likelihood"):
        own.fit(X, y, sample_weight=np.r_[-1.0, np.ones(39)])
    with pytest.raises(UndeterminedError, match="each of one trial"):
        own.fit(X.assign(patient=np.arange(40)), y)
    with pytest.raises(UndeterminedError, match="has a single level"):
        own.fit(X.assign(patient=1), y)
    with pytest.raises(ValueError, match="link='log' is not known"):
        MixedLogisticClassifier("patient", link="log").fit(X, y)
    with pytest.raises(TypeError, match="looks like labels of groups"):
        MixedLogisticClassifier().fit(X, y, X["patient"])
    assert not hasattr(own, "classes_")


def test_unknown_groups_are_refused_where_asked(toenail):
    model = MixedLogisticClassifier("patient", handle_unknown="error").fit(*toenail)
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        model.predict(toenail[0].iloc[:1].assign(patient=-3))


def test_the_fit_is_at_an_optimum_of_quadrature_or_laplace(fitted):
    assert convergence(fitted).is_optimum


def test_cross_validation_by_groups(toenail):
    X, y = toenail
    scores = cross_val_score(
        MixedLogisticClassifier("patient"), X, y, groups=X["patient"], cv=GroupKFold(3)
    )
    assert (scores > 0.6).all()
    assert "MixedLogisticClassifier" in skmixed.__all__


def test_logarithms_of_probabilities_are_theirs_with_all_digits(fitted, toenail):
    X = toenail[0].head(200).copy()
    X.loc[X.index[:100], "patient"] = 9999
    for effects in ("mode", "mean"):
        expected = np.log(fitted.predict_proba(X, effects=effects))
        # The larger probability has the digits of 1 − μ in its logarithm
        assert_allclose(fitted.predict_log_proba(X, effects=effects), expected, atol=1e-12)
    far = fitted.predict_log_proba(X.assign(visit=1e3), include="fixed")
    odds = fitted.decision_function(X.assign(visit=1e3), include="fixed")
    assert_allclose(far[:, 1], odds, rtol=1e-12)
    assert_allclose(far[:, 0], 0.0, atol=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("effects", ["mode", "mean"])
def test_the_log_odds_of_far_rows_are_finite_in_both_tails(link, effects):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=200), np.repeat(np.arange(20), 10)])
    y = X[:, 0] + rng.normal(size=20)[X[:, 1].astype(int)] + rng.logistic(size=200) > 0
    model = MixedLogisticClassifier(1, link=link).fit(X, y)
    far = np.array([[-300.0, 99], [300.0, 99], [-300.0, 3], [300.0, 3]])
    odds = model.decision_function(far, effects=effects)
    assert np.isfinite(odds).all()
    assert (np.abs(odds) > 100).all()
    if link == "logit":  # the probabilities of both classes have their digits
        probabilities = model.predict_proba(far, effects=effects)
        assert_allclose(np.diff(np.log(probabilities), axis=1)[:, 0], odds, rtol=1e-10)
        # log E exp(η + z) = η + v/2 where the probability is small
        variance = model.variance_components_["variance"][0]
        fixed = model.decision_function(far[:1], include="fixed")[0]
        assert_allclose(odds[0], fixed + variance / 2.0, rtol=1e-9)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_leverages_are_finite_where_the_model_foretells_a_row(link):
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.normal(size=200), np.repeat(np.arange(20), 10)])
    y = X[:, 0] + rng.normal(size=20)[X[:, 1].astype(int)] + rng.logistic(size=200) > 0
    X[5, 0], y[5] = 80.0, True
    model = MixedLogisticClassifier(1, link=link).fit(X, y)
    table = influence(model, X, y)
    assert np.isfinite(table.to_numpy(float)).all()
    assert table["leverage"].iloc[5] < 1e-6


def test_large_effects_that_laplace_alone_finds_are_refuted_by_quadrature():
    # Seven events in seven of 200 groups of 100 rows say that groups do not differ
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.normal(size=20000), np.arange(20000) % 200])
    y = np.arange(20000) < 7
    with pytest.warns(
        ConvergenceWarning, match="does not hold at these estimates.*quadrature=.auto.\\."
    ):
        model = MixedLogisticClassifier(1).fit(X, y)
    assert model.variance_components_["sd"][0] > 3.0
    with pytest.warns(SingularFitWarning):
        exact = MixedLogisticClassifier(1, quadrature="auto").fit(X, y)
    assert exact.variance_components_["sd"][0] == 0.0
    assert exact.log_likelihood_ < model.log_likelihood_ - 1.0


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_columns_that_do_not_tell_classes_apart_are_not_named(link):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=120), "g": np.arange(120) % 12})
    X["c"] = np.cos(np.arange(120))
    with pytest.warns(ConvergenceWarning, match="Values of column 'x' predict"):
        MixedLogisticClassifier("g", link=link).fit(X, X["x"] > 0.1)
    # Where only a combination does, its parts are
    with pytest.warns(ConvergenceWarning, match="Values of columns 'x', 'c' predict"):
        MixedLogisticClassifier(link=link).fit(X[["x", "c"]], X["x"] + X["c"] > 0.1)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_labels_are_told_with_their_row(missing):
    X = pd.DataFrame({"x": np.arange(40.0) % 7, "g": np.arange(40) % 5})
    y = np.array(["a", "b"], dtype=object)[np.arange(40) % 3 % 2]
    y[3] = missing
    with pytest.raises(ValueError, match=r"1 labels, first at row 3\). Leave"):
        MixedLogisticClassifier("g").fit(X, y)


def test_labels_of_another_kind_are_told_once(fitted, toenail):
    with pytest.warns(UnknownLevelsWarning) as caught:
        fitted.predict_proba(toenail[0].assign(patient="new"))
    assert len(caught) == 1


def test_advice_is_there_for_classifiers(toenail):
    X, y = toenail
    with pytest.raises(ValueError, match=r"Rescale them\.$"):
        MixedLogisticClassifier("patient").fit(X, y, sample_weight=np.full(len(y), 1e-300))
    strict = MixedLogisticClassifier("patient", handle_unknown="error").fit(X, y)
    with pytest.raises(ValueError, match="by the mean over the distribution of its effect"):
        strict.predict(X.assign(patient=99999))
