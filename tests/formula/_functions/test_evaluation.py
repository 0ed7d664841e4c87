"""Errors of formulaic and of functions, with their place in the formula."""

import sys

import pandas as pd
import pytest

from skmixed import lmer
from skmixed.datasets import load_sleepstudy
from skmixed.formula._functions.evaluation import check_formulaic

DATA = load_sleepstudy().frame.assign(f=lambda d: d["Subject"].str[-1])


def message_of(formula):
    with pytest.raises(ValueError, match=r"\^") as caught:
        lmer(formula, DATA)
    message, _, place = str(caught.value).partition("\n\n")
    shown, below = place.split("\n")
    return message, shown[below.index("^") :]


@pytest.mark.parametrize(
    ("formula", "part"),
    [
        ("Reaction ~ Days + ns(Days, 0) + (1 | Subject)", "ns(Days, 0)"),
        ("Reaction ~ ns(Days, 2) + I(ns(Days, 0)) + (1 | Subject)", "ns(Days, 0))"),
        ("Reaction ~ Days + (ns( Days, 0) | Subject)", "ns( Days, 0) |"),
        ("Reaction ~ f:relevel(factor(f), ref='z') + (1 | Subject)", "relevel(factor(f)"),
        ("Reaction ~ Days + np.log(ns(Days, 2)) + (1 | Subject)", "np.log("),
        ("scale(0 * Reaction) ~ Days + (1 | Subject)", "scale(0"),
    ],
)
def test_errors_have_the_place_of_what_they_are_of(formula, part):
    assert message_of(formula)[1].startswith(part)


def test_functions_that_are_there_are_named_where_one_is_not():
    message, _ = message_of("Reaction ~ spline(Days) + (1 | Subject)")
    assert "'spline' is no function here. Functions are ns, bs, poly, scale, relevel" in message


def test_without_formulaic(monkeypatch):
    monkeypatch.setitem(sys.modules, "formulaic", None)
    with pytest.raises(ImportError, match="pip install formulaic"):
        check_formulaic()


def test_categories_that_levels_leave_out():
    data = pd.DataFrame({"y": range(12), "k": [1, 2, 3] * 4, "g": list("aabbccddeeff")})
    with pytest.raises(ValueError, match=r"A factor .* no coefficient for the categories 3: "):
        lmer("y ~ factor(k, levels=[1, 2]) + (1 | g)", data)
