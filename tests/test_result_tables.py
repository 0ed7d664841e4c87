"""The tables of diagnostics and of model selection: titles, and that they say their values."""

import pandas as pd
import pytest
from printed_numbers import assert_cells_say_the_values

from skmixed import MixedLinearRegressor, ResidualCovariance
from skmixed.datasets import load_sleepstudy
from skmixed.diagnostics import group_influence, residual_correlation, subject_influence
from skmixed.inference import ResultTable
from skmixed.model_selection import MixedLinearRegressorCV, both_questions, cross_validate

X, Y = load_sleepstudy(return_X_y=True, as_frame=True)
CANDIDATES = {"random_slopes": [None, "Days"]}


def model():
    return MixedLinearRegressor("Subject").fit(X, Y)


def of_subjects():
    residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    return MixedLinearRegressor(fixed=["Days"], residual=residual).fit(X, Y)


TABLES = {
    "Influence of the levels of Subject": lambda: group_influence(model(), X, Y),
    "Influence of subjects": lambda: subject_influence(of_subjects()),
    "Correlation of Pearson residuals by lag": lambda: residual_correlation(of_subjects(), X, Y),
    "Scores of new rows of known groups, and of new groups": lambda: both_questions(
        MixedLinearRegressor("Subject"), X, Y, scoring=["r2"]
    ),
    "Cross-validation of new groups of 'Subject'": lambda: cross_validate(
        MixedLinearRegressor("Subject"), X, Y, scoring=["r2"]
    ).summary(),
    "Candidates": lambda: (
        MixedLinearRegressorCV("Subject", candidates=CANDIDATES).fit(X, Y).candidates_
    ),
}


@pytest.mark.parametrize("title", TABLES)
def test_tables_have_titles_and_say_their_values(title):
    table = TABLES[title]()
    assert type(table) is ResultTable
    assert table.title == title
    assert all(remark.endswith(".") for remark in table.remarks)
    assert max(map(len, repr(table).splitlines())) <= 80
    assert_cells_say_the_values(table)


@pytest.mark.parametrize(
    ("theta", "remark"),
    [
        ("refit", "The model is fitted without each level."),
        ("fixed", "The relative variances are those of all rows."),
        ("one_step", "The relative variances take one step of the search from those of all rows."),
    ],
)
def test_influence_says_what_becomes_of_the_variances(theta, remark):
    assert group_influence(model(), X, Y, theta=theta).remarks == (remark,)
    held = group_influence(model(), X, Y, theta="fixed", sigma="fixed")
    assert held.remarks == ("The variances are those of all rows.",)


def test_scores_of_candidates_have_two_headings():
    models = MixedLinearRegressor("Subject")
    found = cross_validate(models, X, Y, param_grid=CANDIDATES, scoring=["r2"])
    table = found.summary()
    assert isinstance(table.columns, pd.MultiIndex)
    heads = repr(table).splitlines()[1].split()
    assert heads == ["candidate", "r2", "mean", "r2", "sd", "r2", "rank"]
    assert table.attrs["question"] == found.question
    assert_cells_say_the_values(table)
