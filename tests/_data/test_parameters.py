"""Parameters with parameters of their own, and what searches set of them."""

import pickle

import numpy as np
import pytest
from reference_fits import read_frame
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._data.parameters import check_choice, chosen

FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]
TERM = RandomEffect("Subject", slopes="Days", covariance="diag")


def test_parts():
    assert RandomEffect(**TERM.get_params()) == TERM
    assert TERM.set_params(slopes=()) == RandomEffect("Subject", covariance="diag")
    assert TERM.slopes == ("Days",)
    with pytest.raises(ValueError, match=r"RandomEffect has no parameter 'slope'\. It has 'gro"):
        TERM.set_params(slope="Days")


def test_a_clone_is_the_value_itself():
    assert clone(TERM) is TERM
    model = MixedLinearRegressor([TERM, "other"])
    assert clone(model).groups == [TERM, "other"]
    assert pickle.loads(pickle.dumps(TERM)) == TERM


def test_set_params_replaces_the_value():
    model = MixedLinearRegressor(TERM, method="ml")
    twin = clone(model)
    assert model.set_params(groups__slopes=[], groups__covariance=None, method="reml") is model
    assert model.groups == RandomEffect("Subject")
    assert model.method == "reml"
    assert twin.groups is TERM
    both = model.set_params(groups__slopes="Days", groups=RandomEffect("class"))
    assert both.groups == RandomEffect("class", slopes="Days")


def test_parts_of_what_has_none():
    with pytest.raises(ValueError, match="groups__slopes sets a part of groups='Subject', which"):
        MixedLinearRegressor("Subject").set_params(groups__slopes="Days")
    with pytest.raises(ValueError, match="RandomEffect has no parameter 'slope'"):
        MixedLinearRegressor(TERM).set_params(groups__slope="Days")
    with pytest.raises(ValueError, match="Invalid parameter 'group'"):
        MixedLinearRegressor(TERM).set_params(group__slopes="Days")


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (lambda model: model, ""),
        (make_pipeline, "mixedlinearregressor__"),
        (lambda model: TransformedTargetRegressor(model), "regressor__"),
    ],
)
def test_a_search_over_slopes(wrap, prefix):
    model = wrap(MixedLinearRegressor(RandomEffect("Subject")))
    grid = {f"{prefix}groups__slopes": [(), "Days"]}
    search = GridSearchCV(model, grid, error_score="raise", cv=3).fit(X, Y)
    for slopes, score in zip(((), "Days"), search.cv_results_["mean_test_score"], strict=True):
        one = GridSearchCV(
            wrap(MixedLinearRegressor(RandomEffect("Subject", slopes))), {}, cv=3
        ).fit(X, Y)
        np.testing.assert_array_equal(one.cv_results_["mean_test_score"], score)


CHOICES = ("fdr_bh", "kenward-roger", "binomial", "nbinom2", None, 3)
ALSO = {"BH": "fdr_bh", "none": None, "III": 3}


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ("fdr_bh", "fdr_bh"), ("FDR BH", "fdr_bh"), ("bh", "fdr_bh"),
        ("Kenward-Roger", "kenward-roger"),
        ("none", None), (None, None), ("iii", 3), ("3", 3), (3.0, 3),
    ],
)  # fmt: skip
def test_choices_have_any_case_and_other_words(value, choice):
    assert chosen("word", value, CHOICES, ALSO) == choice


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("binom", "Do you mean 'binomial'?"), ("kenward", "Do you mean 'kenward-roger'?"),
        ("fdrbg", "Do you mean 'fdr_bh'?"), ("nothing like it", None), (True, None), ([1], None),
        ("two", "Take both."),
    ],
)  # fmt: skip
def test_what_is_no_choice_is_refused_with_what_may_be_meant(value, advice):
    for check in (chosen, check_choice):
        with pytest.raises(ValueError, match=r"^word=.* is not known\. Choose one of ") as refused:
            check("word", value, CHOICES, ALSO, {"TWO": "Take both."})
        assert str(refused.value).endswith(f"None, 3.{f' {advice}' if advice else ''}")


def test_parameters_of_estimators_are_as_they_stand():
    """scikit-learn keeps a parameter as given, so that another case is refused, with the choice."""
    with pytest.raises(ValueError, match=r"method='REML' .* Do you mean 'reml'\?"):
        MixedLinearRegressor("Subject", method="REML").fit(X, Y)
