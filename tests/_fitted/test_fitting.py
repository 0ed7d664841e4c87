"""Warnings of many fits are said once for each kind."""

import re
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from skmixed import MixedEffectsRegressor, MixedLinearRegressor, MixedPoissonRegressor
from skmixed._fitted.fitting import CountedMessages, kind_of
from skmixed.datasets import load_sleepstudy


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("Odd at row 3 of '308'", "Odd at row 17 of '31'", True),
        ("Columns 'a', 'b' and 'c' are odd", "Columns 'd' and 'e' are odd", True),
        ("It's 'a' that is the fit's", "It's 'b' that is the fit's", True),
        ("In 'O'Brien' the sd is 1.5e-3", "In 'x' the sd is -1,200.5", True),
        ("The fit's 'a' is odd", "The group's 'a' is odd", False),
        ("Column x1 is odd", "Column x2 is odd", False),
        ("Odd at row 3", "Even at row 3", False),
    ],
)
def test_texts_of_one_kind_differ_in_names_and_numbers(one, other, are_alike):
    assert (kind_of(one) == kind_of(other)) == are_alike


def test_each_kind_is_counted_by_fits():
    said = CountedMessages()
    said.take([("Odd at row 3", UserWarning), ("Odd at row 4", UserWarning)], "a")
    said.take([("Odd at row 5", UserWarning), ("Even", UserWarning)], "b")
    said.take([("Even", UserWarning), ("Even", RuntimeWarning)], "c")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said.tell(lambda count: f"In {count} of 3", lambda fit: f"{fit!r}")
    assert [(str(own.message), own.category) for own in caught] == [
        ("In 2 of 3, such as 'a': Odd at row 3", UserWarning),
        ("In 2 of 3: Even", UserWarning),
        ("In 1 of 3: Even", RuntimeWarning),
    ]


def test_a_fit_says_to_the_log_what_it_does(caplog, capsys):
    X, y = load_sleepstudy(return_X_y=True)
    MixedLinearRegressor("Subject").fit(X, y)
    assert not caplog.records
    caplog.set_level("INFO", logger="skmixed")
    model = MixedLinearRegressor("Subject").fit(X, y)
    (outcome,) = caplog.records
    assert outcome.levelname == "INFO"
    assert (
        f"steps: {model.n_iter_}, log-likelihood: {model.log_likelihood_:.10g}" in outcome.message
    )
    caplog.clear()
    caplog.set_level("DEBUG", logger="skmixed")
    MixedPoissonRegressor("Subject").fit(X, np.round(y / 10))
    MixedEffectsRegressor(LinearRegression(), "Subject").fit(X, y)
    *steps, of_turns = [(own.levelname, own.message) for own in caplog.records]
    assert (steps[0][0], of_turns[0]) == ("DEBUG", "INFO")
    assert steps[0][1].startswith("step ")
    assert re.fullmatch(r"MixedEffectsRegressor: settled; \d+ turns", of_turns[1])
    assert sum(message.startswith("MixedPoissonRegressor: ") for _, message in steps) == 1
    assert capsys.readouterr().out == ""
