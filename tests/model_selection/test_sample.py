"""Rows, weights and labels that do not fit each other, or the model, are refused before any fit."""

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.model_selection import (
    MixedLinearRegressorCV,
    both_questions,
    cross_validate,
    fit_conformalize,
)

X, Y = load_sleepstudy(return_X_y=True)
DAYS, SUBJECT = X[["Days"]], X["Subject"]
WEIGHTS = np.linspace(1.0, 2.0, len(Y))


def named():
    return MixedLinearRegressor("Subject")


@pytest.mark.parametrize("model", [named(), LinearRegression()])
def test_lengths(model):
    given = DAYS if isinstance(model, LinearRegression) else X
    with pytest.raises(ValueError, match=r"y has 179 values, but X has 180 rows. Give one"):
        cross_validate(model, given, Y[:-1], groups=SUBJECT)
    with pytest.raises(ValueError, match="sample_weight has 3 values, but X has 180 rows"):
        cross_validate(model, given, Y, groups=SUBJECT, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="groups column 'Subject' has 9 rows, but X has 180"):
        cross_validate(model, given, Y, groups=SUBJECT[:9])


def test_lengths_in_the_other_functions():
    for y, weights, groups, message in (
        (Y[:-1], None, None, "180.* 179|179 values"),
        (Y, np.ones(3), None, "sample_weight has 3 values, but X has 180 rows"),
        (Y, None, SUBJECT[:9], "groups column 'Subject' has 9 rows, but X has 180"),
    ):
        with pytest.raises(ValueError, match=message):
            MixedLinearRegressorCV("Subject").fit(X, y, sample_weight=weights, groups=groups)
        with pytest.raises(ValueError, match=message):
            fit_conformalize(named(), X, y, sample_weight=weights, groups=groups)


@pytest.mark.parametrize("function", [cross_validate, both_questions, fit_conformalize])
def test_what_is_no_model(function):
    with pytest.raises(
        TypeError, match=r"model is the class MixedLinearRegressor. Give an instance"
    ):
        function(MixedLinearRegressor, X, Y)
    with pytest.raises(TypeError, match="model is of type int, which has no method fit"):
        function(3, X, Y)


def test_a_pipeline_hands_nothing_on_without_routing():
    pipeline = make_pipeline(make_pipeline(MixedLinearRegressor()))
    message = (
        "model is a Pipeline, which hands groups on to no step .* Name the grouping column in the "
        r"constructor of MixedLinearRegressor, .* or call sklearn.set_config\(enable_metadata_"
        r"routing=True\), .* MixedLinearRegressor\(\).set_fit_request\(groups=True\)"
    )
    with pytest.raises(ValueError, match=message):
        cross_validate(pipeline, DAYS, Y, groups=SUBJECT)
    weighted = make_pipeline(named())
    message = "hands sample_weight on to no step .*set_fit_request.sample_weight=True"
    with pytest.raises(ValueError, match=message):
        cross_validate(weighted, X, Y, sample_weight=WEIGHTS)
    # What the messages ask for works, and forgetting it is said by scikit-learn
    asked = {"cv": GroupKFold(3), "groups": SUBJECT, "sample_weight": WEIGHTS, "scoring": "r2"}
    expected = cross_validate(named(), X, Y, **asked)["test_score"]
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError, match="set_fit_request"):
            cross_validate(weighted, X, Y, sample_weight=WEIGHTS)
        last = named().set_fit_request(sample_weight=True)
        found = cross_validate(make_pipeline(last), X, Y, **asked)["test_score"]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        last = MixedLinearRegressor().set_fit_request(groups=True, sample_weight=True)
        pipeline = make_pipeline(last.set_predict_request(groups=True))
        found = cross_validate(pipeline, DAYS, Y, **asked)["test_score"]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_an_estimator_without_weights():
    message = "sample_weight is given, but the method fit of KNeighborsRegressor does not take it"
    with pytest.raises(ValueError, match=message):
        cross_validate(KNeighborsRegressor(), DAYS, Y, groups=SUBJECT, sample_weight=WEIGHTS)
    search = GridSearchCV(LinearRegression(), {"fit_intercept": [True, False]}, cv=2)
    found = cross_validate(search, DAYS, Y, groups=SUBJECT, sample_weight=WEIGHTS, scoring="r2")
    expected = cross_validate(
        LinearRegression(), DAYS, Y, groups=SUBJECT, sample_weight=WEIGHTS, scoring="r2"
    )
    np.testing.assert_allclose(found["test_score"], expected["test_score"])
