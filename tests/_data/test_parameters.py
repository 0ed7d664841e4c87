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
