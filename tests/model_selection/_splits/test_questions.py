"""Which question splits ask."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold, KFold

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_penicillin, load_sleepstudy
from skmixed.model_selection import both_questions, cross_validate
from skmixed.model_selection._splits.groups import groups_of
from skmixed.model_selection._splits.questions import question_of
from skmixed.model_selection._splits.splitters import splits_of


def test_groups_without_rows_that_count_are_new():
    X, y = load_sleepstudy(return_X_y=True)
    model, cv = MixedLinearRegressor("Subject"), KFold(5, shuffle=True, random_state=0)
    weights = np.where(X["Subject"].isin(["308", "309"]), 0.0, 1.0)
    found = cross_validate(model, X, y, cv=cv, sample_weight=weights, scoring="r2")
    assert found.question == (
        "new rows of known groups of 'Subject' (89%) and new groups (11%)"  # 2 of 18
    )
    with pytest.raises(ValueError, match=r"without training rows of positive weight\. Give cv"):
        cross_validate(model, X, y, cv=cv, sample_weight=weights, question="known_groups")
    found = cross_validate(
        model, X, y, sample_weight=weights, question="known_groups", return_predictions=True
    )
    assert found.question == "new rows of known groups of 'Subject'"
    assert np.isnan(found["predictions"]).sum() == 20


def test_the_question_of_splits():
    X, y = load_penicillin(return_X_y=True)
    model = MixedLinearRegressor(["plate", "sample"], fixed=[])

    def asked(cv, groups=None, model=model):
        own = groups_of([model], X, groups)
        return question_of(splits_of(cv, None, X, y, own), own)

    assert asked(KFold(3, shuffle=True, random_state=0)) == "known_groups"
    assert asked(GroupKFold(3), X["plate"]) == "new_groups"
    assert asked(5, model=MixedLinearRegressor(fixed=[])) is None
    with pytest.raises(ValueError, match="are crossed"):
        asked(halves := [(np.arange(99), np.arange(99, len(y)))])
    # Of the 45 test rows 3 are of the plate of which 3 rows are in training
    with pytest.raises(ValueError, match=r"known groups of 'plate' \(7%\) and of new ones \(93%\)"):
        asked(halves, X["plate"])


def test_both_questions_without_groups():
    X = pd.DataFrame({"x": np.arange(20.0)})
    with pytest.raises(ValueError, match="the model names no grouping column of X"):
        both_questions(MixedLinearRegressor(), X, X["x"])


def test_groups_that_are_no_factor_are_named_too():
    X, y = load_penicillin(return_X_y=True)
    model, rows = MixedLinearRegressor("sample", fixed=[]), X[["sample"]]
    found = both_questions(model, rows, y, groups=X["plate"], scoring=["r2"])
    known = "new rows of known groups of 'sample'; "
    assert list(found.index) == [
        f"{known}new rows of known groups of 'plate'",
        f"{known}new groups of 'plate'",
    ]
    # The same groups by another name are one thing
    labels = pd.factorize(X["sample"])[0]
    found = both_questions(model, rows, y, groups=labels, n_splits=3, scoring="r2")
    assert list(found.index) == ["new rows of known groups of 'sample'", "new groups of 'sample'"]
