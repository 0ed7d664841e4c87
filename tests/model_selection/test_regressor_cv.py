"""A model chosen among candidates is the one that fits to the rows show to be the best."""

import copy
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance
from skmixed.datasets import load_orthodont, load_pastes, load_penicillin, load_sleepstudy
from skmixed.diagnostics import influence
from skmixed.exceptions import SingularFitWarning
from skmixed.inference import coefficient_table, compare, conditional_aic, confidence_intervals
from skmixed.model_selection import MixedLinearRegressorCV, Validation, cross_validate

WEIGHTS = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)
REASON = "weights are precisions as in lme4: doubling a weight is not repeating a row"
# The checks make up data without regard to what a model needs of them.
MADE_UP = [
    *("RankDeficiencyWarning", "NotEstimableWarning", "ExactFitWarning", "SingularFitWarning"),
]
SLEEP = {"random_slopes": [None, "Days"], "fixed": [[], ["Days"]]}


def of_made_up_data(test):
    for warning in MADE_UP:
        test = pytest.mark.filterwarnings(f"ignore::skmixed.exceptions.{warning}")(test)
    test = pytest.mark.filterwarnings("ignore:The labels of grouping column:UserWarning")(test)
    return pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")(test)


@of_made_up_data
@pytest.mark.parametrize("check", WEIGHTS)
def test_weights_repeat_rows_in_least_squares(check):
    """All other checks are of the class, whatever the candidates: see below."""
    candidates = {"method": ["reml", "ml"]}
    estimator = MixedLinearRegressorCV(candidates=candidates, one_standard_error=True)
    getattr(estimator_checks, check)("MixedLinearRegressorCV", estimator)


@of_made_up_data
@parametrize_with_checks(
    [MixedLinearRegressorCV(cv=KFold(2), candidates={"groups": [None, -1]})],
    expected_failed_checks=lambda _: dict.fromkeys(WEIGHTS, REASON),
)
def test_grouped(estimator, check):
    check(estimator)


def sleepstudy():
    return load_sleepstudy(return_X_y=True)


def chosen(X, y, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return MixedLinearRegressorCV(*args, **kwargs).fit(X, y)


@pytest.mark.parametrize("cv", [GroupKFold(4), KFold(4, shuffle=True, random_state=0)], ids=str)
@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "neg_log_predictive_density"])
def test_it_is_the_best_of_the_cross_validation(cv, scoring):
    X, y = sleepstudy()
    model = chosen(X, y, "Subject", candidates=SLEEP, cv=cv, scoring=scoring)
    plain = MixedLinearRegressor("Subject")
    found = cross_validate(plain, X, y, cv=cv, scoring=scoring, param_grid=SLEEP)
    assert isinstance(model.cv_results_, Validation)
    assert model.cv_results_.question == found.question
    for key, own in found.items():
        if key.startswith(("split", "mean_test", "std_test")):
            assert_array_equal(model.cv_results_[key], own)
    best = found["mean_test_score"].max()
    assert_allclose(model.best_score_, best, rtol=1e-8)  # ties go to the simpler one
    assert model.best_params_ == found["params"][model.best_index_]


def test_it_is_the_fitted_model():
    X, y = sleepstudy()
    model = MixedLinearRegressorCV("Subject", candidates=SLEEP).fit(X, y)
    fitted = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    assert model.best_params_ == {"random_slopes": "Days", "fixed": ["Days"]}
    # Sums over folds are added in another order; the criterion is flat at the optimum
    close = {"rtol": 1e-7}
    assert_allclose(model.theta_, fitted.theta_, **close)
    assert_allclose(model.criterion_, fitted.criterion_, rtol=1e-12)
    assert_allclose(model.predict(X), fitted.predict(X), **close)
    assert_allclose(model.predict_interval(X), fitted.predict_interval(X), **close)
    assert_allclose(model.sample_y(X, 2), fitted.sample_y(X, 2), **close)
    assert_allclose(model.score(X, y), fitted.score(X, y), **close)
    chosen = model.summary()
    assert chosen.notes[2:] == fitted.summary().notes
    assert str(replace(chosen, notes=chosen.notes[2:])) == str(fitted.summary())
    for table in (coefficient_table, confidence_intervals, lambda m: influence(m, X, y)):
        pd.testing.assert_frame_equal(table(model), table(fitted), **close)
    pd.testing.assert_frame_equal(
        model.random_effects_["Subject"], fitted.random_effects_["Subject"], **close
    )
    more = X[:3].assign(Subject="new")
    updated = [m.update_groups(more, y[:3]).predict(more) for m in (model, fitted)]
    assert_allclose(*updated, **close)


def test_the_chosen_model_by_itself():
    X, y = sleepstudy()
    model = MixedLinearRegressorCV("Subject", candidates=SLEEP, tol=1e-10).fit(X, y)
    own = model.best_estimator_
    assert repr(own) == repr(
        MixedLinearRegressor("Subject", fixed=["Days"], random_slopes="Days", tol=1e-10)
    )
    assert_array_equal(own.predict(X), model.predict(X))
    own.partial_fit(X[:5], y[:5])
    assert model._model.n_rows == len(y) == own._model.n_rows - 5


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("criterion", ["aic", "bic"])
def test_information_criteria_are_those_of_compare(criterion, method):
    X, y = sleepstudy()
    grid = {"random_slopes": [None, "Days"], "covariance": ["full", "diag"]}
    model = chosen(X, y, "Subject", method=method, candidates=grid, criterion=criterion)
    fits = [
        MixedLinearRegressor("Subject", method=method, random_slopes=own, covariance=shape).fit(
            X, y
        )
        for shape in ("full", "diag")
        for own in (None, "Days")
    ]
    table = compare(*fits).sort_index()
    assert_allclose(model.candidates_["score"], -table[criterion], rtol=1e-10)
    assert_array_equal(model.candidates_["n_parameters"], table["n_parameters"])
    assert model.best_score_ == model.candidates_["score"].max()
    with pytest.raises(AttributeError, match="not chosen by cross-validation"):
        model.cv_results_  # noqa: B018


def test_conditional_aic():
    X, y = sleepstudy()
    model = chosen(X, y, "Subject", candidates=SLEEP, criterion="conditional_aic")
    fits = [
        MixedLinearRegressor("Subject", fixed=fixed, random_slopes=own).fit(X, y)
        for fixed in ([], ["Days"])
        for own in (None, "Days")
    ]
    expected = [-conditional_aic(own)["caic"] for own in fits]
    assert_allclose(model.candidates_["score"], expected, rtol=1e-8)
    assert model.best_index_ == np.argmax(expected)


def test_different_fixed_parts_are_compared_by_maximum_likelihood():
    X, y = sleepstudy()
    model = chosen(X, y, "Subject", candidates=SLEEP, criterion="aic")
    assert model._choice["how"] == "AIC by ordinary likelihoods of all rows"
    ml = MixedLinearRegressor("Subject", method="ml", random_slopes="Days").fit(X, y)
    assert_allclose(model.best_score_, -ml.aic_, rtol=1e-12)
    assert "REML" in model.summary().title
    single = chosen(X, y, "Subject", criterion="bic")
    assert_allclose(single.best_score_, -MixedLinearRegressor("Subject").fit(X, y).bic_, rtol=1e-12)


def test_of_equal_candidates_the_simpler_one_is_chosen():
    X, y = sleepstudy()
    grid = {"random_slopes": ["Days", None], "method": ["ml", "reml"]}
    model = MixedLinearRegressorCV("Subject", candidates=grid, scoring="neg_mean_squared_error")
    # In balanced data, new groups are predicted by least squares whatever the random effects
    model.fit(X, y)
    assert model.candidates_["score"].std() < 1e-6
    assert model.best_params_ == {"random_slopes": None, "method": "ml"}


def test_one_standard_error():
    X, y = sleepstudy()
    options = {"candidates": SLEEP, "question": "known_groups"}
    best = MixedLinearRegressorCV("Subject", **options).fit(X, y)
    near = MixedLinearRegressorCV("Subject", **options, one_standard_error=True).fit(X, y)
    table, splits = best.candidates_, best.cv_results_
    scores = np.array([splits[f"split{k}_test_score"] for k in range(5)])
    difference = scores - scores[:, [best.best_index_]]
    expected = difference.std(axis=0, ddof=1) / np.sqrt(5)
    assert_allclose(table["standard_error"], expected, rtol=1e-12)
    assert_allclose(table["difference"], difference.mean(axis=0), atol=1e-12)
    within = table[-table["difference"] <= table["standard_error"]]
    assert best.best_params_ == {"random_slopes": "Days", "fixed": ["Days"]}
    assert near.candidates_["n_parameters"].iloc[near.best_index_] == within["n_parameters"].min()
    assert near.best_params_ == {"random_slopes": "Days", "fixed": []}


def test_groups_as_candidates():
    X, y = load_pastes(return_X_y=True)
    grid = {"groups": [None, "batch", "sample", ["batch", "sample"]]}
    options = {"fixed": [], "candidates": grid}
    model = chosen(X, y, question="known_groups", **options)
    assert list(model.random_effects_) == ["batch", "sample"]
    assert model.best_params_ == {"groups": ["batch", "sample"]}
    # The outermost of all factors is left out
    found = chosen(X, y, **options).cv_results_
    assert found.question == "new groups of 'batch'; new groups of 'sample'"


def test_parts_of_a_random_effect():
    X, y = sleepstudy()
    grid = {"groups__slopes": [(), "Days"]}
    model = MixedLinearRegressorCV(RandomEffect("Subject"), candidates=grid).fit(X, y)
    assert model.best_params_ == {"groups__slopes": "Days"}
    assert model.best_estimator_.groups == RandomEffect("Subject", slopes="Days")


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_correlated_residuals_as_candidates():
    X, y = load_orthodont(return_X_y=True)
    X = X.drop(columns="Sex")
    grid = {
        "residual": [None, ResidualCovariance("ar1", subject="Subject", time="age")],
        "fixed": [["age"]],
    }
    model = MixedLinearRegressorCV("Subject", candidates=grid, criterion="aic").fit(X, y)
    fits = [MixedLinearRegressor("Subject", fixed=["age"], residual=r) for r in grid["residual"]]
    assert_allclose(model.candidates_["score"], [-m.fit(X, y).aic_ for m in fits], rtol=1e-9)
    by_cv = MixedLinearRegressorCV("Subject", candidates=grid, cv=2).fit(X, y)
    assert_array_equal(by_cv.candidates_["n_parameters"], [4, 5])


@pytest.mark.parametrize("criterion", ["cv", "aic"])
def test_weights(criterion):
    X, y = sleepstudy()
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    weights[::7] = 0.0
    model = MixedLinearRegressorCV("Subject", candidates=SLEEP, criterion=criterion)
    model.fit(X, y, sample_weight=weights)
    fitted = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y, sample_weight=weights)
    assert model.best_params_["random_slopes"] == "Days"
    assert_allclose(model.theta_, fitted.theta_, rtol=1e-7)


def test_groups_beside_the_columns():
    X, y = sleepstudy()
    plain = MixedLinearRegressorCV("Subject", candidates={"fit_intercept": [True, False]}).fit(X, y)
    beside = MixedLinearRegressorCV(candidates={"fit_intercept": [True, False]})
    beside.fit(X[["Days"]], y, groups=X["Subject"])
    assert_allclose(beside.candidates_["score"], plain.candidates_["score"], rtol=1e-9)
    assert_allclose(beside.predict(X[["Days"]], groups=X["Subject"]), plain.predict(X), rtol=1e-9)


def test_groups_say_which_are_left_out():
    X, y = load_penicillin(return_X_y=True)
    model = MixedLinearRegressorCV(["plate", "sample"], fixed=[], cv=3)
    with pytest.raises(ValueError, match="'plate' and 'sample' of the model are crossed"):
        model.fit(X, y)
    model.fit(X, y, groups=X["plate"])
    assert model.cv_results_.question == (
        "new groups of 'plate'; new rows of known groups of 'sample'"
    )


def test_it_is_an_estimator_of_scikit_learn():
    X, y = sleepstudy()
    model = MixedLinearRegressorCV("Subject", candidates={"random_slopes": [None, "Days"]})
    scores = cross_val_score(model, X, y, groups=X["Subject"], cv=GroupKFold(3))
    plain = MixedLinearRegressor("Subject", random_slopes="Days")
    expected = cross_val_score(plain, X, y, groups=X["Subject"], cv=GroupKFold(3))
    assert_allclose(scores, expected, rtol=1e-7)
    scaler = make_column_transformer(
        (StandardScaler(), ["Days"]), remainder="passthrough", verbose_feature_names_out=False
    )
    steps = make_pipeline(scaler.set_output(transform="pandas"), clone(model))
    assert_allclose(steps.fit(X, y).score(X, y), plain.fit(X, y).score(X, y))
    assert_allclose(coefficient_table(steps)["p_value"].iloc[1], 3.26e-6, rtol=1e-2)  # lmerTest's
    outer = GridSearchCV(model, {"criterion": ["aic", "cv"], "method": ["reml", "ml"]}, cv=2)
    assert outer.fit(X, y).best_estimator_.best_params_ == {"random_slopes": "Days"}
    assert clone(model).set_params(groups=RandomEffect("Subject"), groups__slopes="Days").groups


def test_groups_are_left_to_the_splitter_with_routing():
    X, y = sleepstudy()
    with sklearn.config_context(enable_metadata_routing=True):
        named = MixedLinearRegressorCV(candidates=[{"groups": ["Subject"]}, {"method": ["ml"]}])
        assert named.get_metadata_routing().fit.requests["groups"] is False
        assert MixedLinearRegressorCV().get_metadata_routing().fit.requests["groups"] is None
        model = MixedLinearRegressorCV("Subject", candidates=SLEEP)
        params = {"groups": X["Subject"]}
        scores = cross_val_score(model, X, y, params=params, cv=GroupKFold(2))
        assert np.isfinite(scores).all()
        requesting = MixedLinearRegressorCV().set_fit_request(groups=True)
        requesting = requesting.set_score_request(groups=True)
        cv = KFold(3, shuffle=True, random_state=0)
        scores = cross_val_score(requesting, X[["Days"]], y, params=params, cv=cv)
        assert scores.min() > 0.4


@pytest.mark.parametrize("criterion", ["cv", "bic"])
def test_it_is_saved(criterion):
    X, y = sleepstudy()
    model = MixedLinearRegressorCV("Subject", candidates=SLEEP, criterion=criterion).fit(X, y)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), model.slim()):
        assert_array_equal(other.predict(X), model.predict(X))
        assert other.best_params_ == model.best_params_
        pd.testing.assert_frame_equal(other.candidates_, model.candidates_)
    assert_array_equal(model.slim().best_estimator_.predict(X), model.predict(X))


def test_it_is_saved_by_skops():
    io = pytest.importorskip("skops.io")
    X, y = sleepstudy()
    model = MixedLinearRegressorCV("Subject", candidates=SLEEP).fit(X, y)
    data = io.dumps(model)
    trusted = ["skmixed.model_selection.MixedLinearRegressorCV"]
    assert io.get_untrusted_types(data=data) == trusted
    other = io.loads(data, trusted=trusted)
    assert_array_equal(other.predict(X), model.predict(X))
    assert repr(other.cv_results_) == repr(model.cv_results_)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_index_", 4),
        ("best_index_", "0"),
        ("_choice", None),
        ("_choice", {}),
        *(("params", own) for own in (None, [], [{}], [1, 2, 3, 4])),
        *(("score", own) for own in (None, np.zeros(3))),
        *(("splits", own) for own in ("x", np.zeros((3, 5)))),
        ("how", 1),
        ("by", 1),
    ],
)
def test_a_damaged_choice_is_not_loaded(name, value):
    X, y = sleepstudy()
    state = MixedLinearRegressorCV("Subject", candidates=SLEEP, cv=2).fit(X, y).__getstate__()
    state["_choice"] = dict(state["_choice"])
    (state if name in state else state["_choice"])[name] = value
    with pytest.raises(ValueError, match="The saved model is damaged"):
        MixedLinearRegressorCV.__new__(MixedLinearRegressorCV).__setstate__(state)


def test_a_choice_without_words_is_loaded():
    """As one is that was saved before they were kept."""
    X, y = sleepstudy()
    model = MixedLinearRegressorCV("Subject", candidates=SLEEP, cv=2).fit(X, y)
    state = model.__getstate__()
    state["_choice"] = {key: own for key, own in state["_choice"].items() if key != "by"}
    other = MixedLinearRegressorCV.__new__(MixedLinearRegressorCV)
    other.__setstate__(state)
    pd.testing.assert_frame_equal(other.candidates_, model.candidates_)
    assert "Chosen of 4 candidates by 2 splits, from sums over" in other.summary().notes[0]


def test_candidates_that_cannot_be_fitted_are_not_chosen():
    X, y = sleepstudy()
    X = X.assign(all="one")
    grid = {"groups": ["all", "Subject"]}
    for criterion in ("cv", "aic"):
        model = MixedLinearRegressorCV(
            fixed=["Days"], candidates=grid, criterion=criterion, cv=KFold(3, shuffle=True)
        )
        with pytest.warns(FitFailedWarning) as caught:
            model.fit(X, y)
        assert "1 of 2 candidates cannot be fitted to all rows" in str(caught[0].message)
        assert "The first (groups='all'): Grouping factor" in str(caught[0].message)
        assert len(caught) == 1 + (criterion == "cv")
        assert model.best_params_ == {"groups": "Subject"}
        assert_array_equal(model.candidates_["n_parameters"], [0, 4])
        assert_array_equal(np.isnan(model.candidates_["score"]), [True, False])
        assert_array_equal(model.candidates_["rank"], [2, 1])
    with pytest.raises(ValueError, match="'all' has a single level"):
        MixedLinearRegressorCV("all", fixed=["Days"], cv=KFold(3)).fit(X, y)


def test_warnings_of_the_chosen_model_are_said():
    X, _ = sleepstudy()
    equal = np.where(X["Days"] % 2, 1.0, -1.0)  # of all subjects, whose variance is 0
    model = MixedLinearRegressorCV("Subject", fixed=[], criterion="aic")
    with pytest.warns(SingularFitWarning) as caught:
        model.fit(X, equal)
    assert len(caught) == 1


def test_verbose(capsys):
    X, y = sleepstudy()
    MixedLinearRegressorCV("Subject", candidates=SLEEP, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "[skmixed] candidate 2 of 4: fixed=[], random_slopes='Days'"
    assert len(lines) == 4


def test_messages():
    X, y = sleepstudy()

    def refused(match, error=ValueError, **kwargs):
        model = MixedLinearRegressorCV("Subject", **kwargs)
        with pytest.raises(error, match=match):
            model.fit(X, y)
        assert not [name for name in vars(model) if name.endswith("_")]

    refused("candidates names 'tol', in which they cannot differ", candidates={"tol": [1.0]})
    refused("has no candidate", candidates=[])
    refused("Parameter grid should be a dict or a list", candidates=3, error=TypeError)
    refused(
        "'wic' is not known. Choose one of 'cv', 'aic', 'bic', 'conditional_aic'", criterion="wic"
    )
    refused("one_standard_error=True with criterion='aic'", criterion="aic",
            one_standard_error=True)  # fmt: skip
    refused("one_standard_error=1", one_standard_error=1, error=TypeError)
    refused("question='both'", question="both")
    refused("is not one score", scoring=["r2"], error=TypeError)
    refused("split 0 trains on rows of the group", question="new_groups",
            cv=KFold(3, shuffle=True, random_state=0))  # fmt: skip
    refused("'nobody' is not a column", candidates={"groups": ["nobody"]})
    with pytest.raises(NotFittedError):
        MixedLinearRegressorCV().predict(X)
    for name in ("best_estimator_", "candidates_", "cv_results_", "theta_"):
        assert not hasattr(MixedLinearRegressorCV(), name)


def test_leave_one_group_out_without_a_group_factor():
    """Candidates without groups are judged by the same splits."""
    X, y = sleepstudy()
    grid = {"groups": [None, "Subject"]}
    model = MixedLinearRegressorCV(fixed=["Days"], candidates=grid, cv=LeaveOneGroupOut())
    assert model.fit(X, y).best_params_ == {"groups": "Subject"}
    assert model.cv_results_.question == "new groups of 'Subject'"
