"""Families, links and responses of generalized models by formulas, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from generalized_models import frame_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.multiclass import OneVsRestClassifier

from skmixed import MixedLogisticClassifier, glmer, lmer
from skmixed.exceptions import SingularFitWarning
from skmixed.formula import FormulaRegressor


def clinics(**columns):
    frame = frame_of("clinics")
    return frame.assign(recovered=frame["answer"] == "yes", **columns)


def fitted(response, frame, **options):
    return glmer(f"{response} ~ x + (1 | clinic)", frame, "binomial", **options)


CLASSES = {
    "labels": ("answer", ["no", "yes"]),
    "booleans": ("recovered", [False, True]),
    "numbers": ("number", [0, 1]),
    "computed": ("(answer == 'yes')", [0, 1]),
    "categories": ("category", ["no", "yes"]),
}


@pytest.mark.parametrize("name", CLASSES)
def test_responses_of_two_classes(name):
    response, classes = CLASSES[name]
    frame = clinics()
    frame["number"] = frame["recovered"].astype(int)
    frame["category"] = pd.Categorical(frame["answer"], ["maybe", "no", "yes"])
    own = fitted(response, frame)
    other = MixedLogisticClassifier("clinic").fit(frame[["x", "clinic"]], frame["answer"])
    assert own.classes_.tolist() == classes
    assert_allclose(own.log_likelihood_, other.log_likelihood_, rtol=1e-12)
    expected = other.predict_proba(frame[["x", "clinic"]])
    assert_allclose(own.predict_proba(frame), expected, rtol=1e-6)
    # Of given effects and of new ones
    for rows in (frame, frame.assign(clinic="new")):
        odds = other.decision_function(rows[["x", "clinic"]])
        assert_allclose(own.decision_function(rows), odds, rtol=1e-6)
    assert own.score(frame) > 0.1


def test_the_order_of_categories_says_which_is_the_success():
    frame = clinics(reverse=lambda rows: pd.Categorical(rows["answer"], ["yes", "no"]))
    own, other = fitted("reverse", frame), fitted("answer", frame)
    assert own.classes_.tolist() == ["yes", "no"]
    assert_allclose(own.fixed_effects_, -other.fixed_effects_, rtol=1e-6)
    given = FormulaRegressor("~ x + (1 | clinic)", family="binomial")
    given.fit(frame, pd.Categorical(frame["answer"], ["yes", "no"]))
    assert given.classes_.tolist() == ["yes", "no"]


def test_a_fit_to_proportions_has_no_classes():
    frame = clinics()
    model = FormulaRegressor("~ x + (1 | clinic)", family="binomial")
    assert hasattr(model, "predict_proba")
    model.fit(frame, frame["answer"])
    assert model.classes_.tolist() == ["no", "yes"]
    odds = model.decision_function(frame)
    assert_allclose(1 / (1 + np.exp(-odds)), model.predict(frame), rtol=1e-12)
    model.fit(frame, frame["healed"] / frame["trials"].clip(1), sample_weight=frame["trials"])
    assert not hasattr(model, "classes_")
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model, "decision_function")


def test_more_classes_are_told_one_by_one():
    frame = clinics()
    with pytest.raises(ValueError, match=r"'dose' has 3 labels \('high', 'low', 'mid'\)") as error:
        glmer("dose ~ x + (1 | clinic)", frame, "binomial")
    assert "sklearn.multiclass.OneVsRestClassifier" in str(error.value)
    assert "I(dose == 'high') ~ …" in str(error.value)
    model = FormulaRegressor("~ x + sex + events", family="binomial")
    several = OneVsRestClassifier(model).fit(frame, frame["dose"])
    assert several.predict_proba(frame).shape == (len(frame), 3)
    one = glmer("I(dose == 'low') ~ x + sex + events", frame, "binomial")
    assert_allclose(several.estimators_[1].predict(frame), one.predict(frame), rtol=1e-6)


def test_rows_without_trials_do_not_count():
    frame = clinics()
    assert (frame["trials"] == 0).any()
    formula = "cbind(healed, trials - healed) ~ x + (1 | clinic)"
    own = glmer(formula, frame, "binomial")
    other = glmer(formula, frame[frame["trials"] > 0], "binomial")
    assert_allclose(own.log_likelihood_, other.log_likelihood_, rtol=1e-12)
    assert_allclose(own.score(frame), other.score(frame[frame["trials"] > 0]), rtol=1e-8)
    assert own.score(frame) != own.score(frame, sample_weight=np.ones(len(frame)))


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries(library):
    made = pytest.importorskip(library)
    frame = clinics()
    table = made.from_pandas(frame) if library == "polars" else made.Table.from_pandas(frame)
    assert_array_equal(
        fitted("answer", table).predict(table), fitted("answer", frame).predict(frame)
    )


def test_missing_counts_are_left_out_where_asked():
    frame = clinics(healed=lambda rows: rows["healed"].where(rows["x"] < 1))
    formula = "cbind(healed, trials - healed) ~ x + (1 | clinic)"
    with pytest.raises(ValueError, match="Column 'healed' contains missing values"):
        glmer(formula, frame, "binomial")
    own = glmer(formula, frame, "binomial", na_action="drop")
    assert own.n_dropped_ == int(frame["healed"].isna().sum())
    other = glmer(formula, frame[frame["x"] < 1], "binomial")
    assert_allclose(own.log_likelihood_, other.log_likelihood_, rtol=1e-12)
    assert_allclose(own.score(frame), other.score(frame[frame["x"] < 1]), rtol=1e-8)


MEANT = {
    "logistic": "'binomial'",
    "binomal": "'binomial'",
    "nbinom1": "'negative_binomial'",
    "Poisson": "'poisson'",
    "GAMMA": "'gamma'",
    "gaussian": "For a normal response use skmixed.lmer",
}


@pytest.mark.parametrize("word", MEANT)
def test_families_spelled_otherwise(word):
    with pytest.raises(ValueError, match=f"family='{word}' is not known.*{MEANT[word]}"):
        glmer("events ~ x + (1 | clinic)", clinics(), word)
    with pytest.raises(ValueError, match="is not known"):
        FormulaRegressor("events ~ x", family=word).fit(clinics())


COUNTS = "cbind(healed, trials - healed)"
# Response, family and options → what is wrong.
REFUSED = {
    "family of another kind": ("events", 3, {}, ValueError, "family=3 is not known"),
    "R's word": ("events", None, {"family": "beta"}, TypeError, "multiple values"),
    "no link": ("events", "poisson", {"link": "probit"}, ValueError,
                "link='probit' is none of the poisson family. It has 'log'"),
    "link": ("answer", "binomial", {"link": "cauchit"}, ValueError,
             "It has 'logit', 'probit', 'cloglog'"),
    "nAGQ": ("answer", "binomial", {"nAGQ": 3}, TypeError, "nAGQ=3 is `quadrature` here"),
    "method": ("answer", "binomial", {"method": "ml"}, TypeError, "by maximum likelihood"),
    "one part": ("cbind(healed)", "binomial", {}, ValueError, "cbind has two parts"),
    "three parts": ("cbind(healed, x, 1)", "binomial", {}, ValueError, "cbind has two parts"),
    "empty part": ("cbind(healed, )", "binomial", {}, ValueError, "cbind has two parts"),
    "part of more": ("cbind(healed, x) / 2", "binomial", {}, ValueError, "no function here"),
    "negative": ("cbind(healed, healed - trials)", "binomial", {}, ValueError,
                 r"cbind\(…\) has -\d for 'healed - trials' at row"),
    "text": ("cbind(healed, sex)", "binomial", {}, ValueError, "'sex'.*is not numeric"),
    "name": ("cbind(healed, tried)", "binomial", {}, ValueError,
             "'tried' is not a column(.|\n)*     {13}\\^"),
    "no trials": ("cbind(healed * 0, trials * 0)", "binomial", {}, ValueError,
                  "has no trial in any row"),
    "weights": (COUNTS, "binomial", {"weights": "trials"}, ValueError, "both give trials"),
    "numbers": (COUNTS, "binomial", {"weights": np.ones(240)}, ValueError, "both give trials"),
    "short": ("answer", "binomial", {"weights": np.ones(3)}, ValueError, "weights has 3 entries"),
    "offset": (COUNTS, "binomial", {"offset": np.ones(3)}, TypeError, "offset is of type ndarray"),
    "log of 0": ("events", "poisson", {"offset": "log(trials)"}, ValueError,
                 r"The offset 'log\(trials\)' contains infinity"),
    "counted": (COUNTS, "poisson", {}, ValueError, "of the binomial family, not of 'poisson'"),
    "one label": ("same", "binomial", {}, ValueError, "'same' has one label, 'a'"),
    "dates": ("day", "binomial", {}, ValueError, "The response 'day'.*is not numeric"),
    "counts": ("healed", "binomial", {}, ValueError,
               "healed has .* the binomial family .*with the numbers of trials as weights"),
    "nothing is 0": ("events", "Gamma", {}, ValueError, "the gamma family does not have"),
    "residual": ("events", "poisson", {"residual": 3}, TypeError, "residual=3 is of type int"),
    "nodes": ("answer", "binomial", {"quadrature": 0}, ValueError, "quadrature=0 is not positive"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_model_is_refused(what):
    response, family, options, kind, message = REFUSED[what]
    frame = clinics(same="a", day=pd.Timestamp("2020-01-01"))
    family = (family,) if "family" not in options else ("poisson",)
    with pytest.raises(kind, match=message):
        glmer(f"{response} ~ x + (1 | clinic)", frame, *family, **options)


def test_what_belongs_to_another_model_is_refused():
    frame = clinics()
    with pytest.raises(ValueError, match="of the binomial family, not of a normal one"):
        lmer(f"{COUNTS} ~ x + (1 | clinic)", frame)
    with pytest.raises(ValueError, match="belong to a generalized model"):
        FormulaRegressor("events ~ x + (1 | clinic)", link="log").fit(frame)
    with pytest.raises(TypeError, match="formula is of type int"):
        glmer(3, frame, "poisson")
    own = fitted("answer", frame)
    with pytest.raises(ValueError, match="'answer' has 'perhaps' at row 0, which is none of the"):
        own.score(frame.assign(answer="perhaps"))
    with pytest.raises(ValueError, match="effects='median' is not known"):
        own.predict(frame, effects="median")
    counted = FormulaRegressor(f"{COUNTS} ~ x", family="binomial")
    with pytest.raises(ValueError, match="y is given, but the formula computes its response"):
        counted.fit(frame, frame["healed"])


def test_counts_that_are_not_whole_are_told():
    frame = clinics()
    with pytest.warns(UserWarning, match="rows count a number that is not whole"):
        glmer("cbind(healed / 2, trials) ~ x + (1 | clinic)", frame, "binomial")
    with pytest.warns(UserWarning, match="rows count a number that is not whole"):
        glmer("cbind(healed, trials / 2) ~ x + (1 | clinic)", frame, "binomial")


def test_messages_speak_of_formulas():
    frame = clinics(even=lambda rows: np.arange(len(rows)) % 2)
    with pytest.warns(SingularFitWarning, match="what the distribution of the response explains"):
        glmer("even ~ 1 + (1 | clinic)", frame, "binomial")
