"""The summary of a chosen model says that it was chosen, by what, and among how many."""

import pickle

import pytest

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_pastes, load_sleepstudy
from skmixed.model_selection import MixedLinearRegressorCV

GRID = {"random_slopes": [None, "Days"], "method": ["reml", "ml"]}
CAREFUL = "Tests and intervals do not count that the model was chosen."


@pytest.mark.parametrize(
    ("asked", "by"),
    [
        (
            {},
            "the mean of 'neg_log_predictive_density' over 5 splits, which ask for new groups of "
            "'Subject'",
        ),
        (
            {"scoring": "r2", "question": "known_groups", "cv": 3, "one_standard_error": True},
            "the mean of 'r2' over 3 splits, which ask for new rows of known groups of 'Subject' "
            "(the simplest within one standard error of the best)",
        ),
        ({"criterion": "bic"}, "BIC by ordinary likelihoods of all rows"),
        ({"criterion": "conditional_aic"}, "conditional AIC of all rows"),
    ],
)
def test_how_a_model_was_chosen(asked, by):
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressorCV("Subject", candidates=GRID, **asked).fit(X, y)
    best = ", ".join(f"{name}={value!r}" for name, value in model.best_params_.items())
    expected = f"Chosen of 4 candidates by {by}: {best}."
    # What was asked stays what it was
    model.set_params(criterion="aic", scoring="neg_mean_absolute_error")
    for own in (model, pickle.loads(pickle.dumps(model)), model.slim()):
        assert own.summary().notes[:2] == (expected, CAREFUL)
    assert "Chosen of 4 candidates" in str(model.summary())
    assert model.candidates_.remarks == (f"Judged by {by}.",)
    plain = model.best_estimator_.summary()
    assert str(model.summary()).startswith(str(plain).partition("The search")[0].rstrip())
    assert model.summary("normal").tests != model.summary().tests


def test_a_single_candidate_was_not_chosen():
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressorCV("Subject", random_slopes="Days").fit(X, y)
    plain = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    assert str(model.summary()) == str(plain.summary())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_candidates_without_a_score_are_counted():
    X, y = load_pastes(return_X_y=True)
    X = X.assign(all="one", row=range(len(y)))
    grid = {"groups": ["all", "row", "sample"]}
    model = MixedLinearRegressorCV(fixed=[], candidates=grid, criterion="aic").fit(X, y)
    assert model.summary().notes[0] == (
        "Chosen of 3 candidates, 2 of which have no score, by AIC by restricted likelihoods of all "
        "rows: groups='sample'."
    )
