"""Text is sorted as R sorts it in English."""

import random

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from reference_formulas import recorded
from sklearn.metrics import roc_auc_score

from skmixed import lmer
from skmixed._data.labels import learn_levels
from skmixed.datasets import load_sleepstudy, load_toenail
from skmixed.formula import FormulaRegressor
from skmixed.formula._functions.label_order import in_order_of_r, label_key, sorted_text

SLEEP = load_sleepstudy().frame


@pytest.mark.parametrize("alphabet", recorded("labels")["sorted"])
def test_labels_of_some_alphabets_are_in_the_order_of_r(alphabet):
    expected = recorded("labels")["sorted"][alphabet]
    shuffled = random.Random(0).sample(expected, len(expected))
    assert len(expected) > 250
    assert list(sorted_text(np.array(shuffled, dtype=object))) == expected


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "A", "b", "B"],
        ["10", "9", "a"],
        ["Ab", "aC", "b"],
        ["a", "a b", "a-b", "ab"],
        ["e", "é", "f"],
        [" x", "_x", "-x", "1", "x"],
        ["co-op", "coop", "Coop"],
    ],
)
def test_rules(labels):
    assert sorted(sorted(labels), key=label_key) == labels


def test_labels_that_are_alike_keep_a_fixed_order():
    # Composed and decomposed, and with a character that does not show.
    alike = ["e\u0301", "é", "e\u00ad\u0301"]
    assert sorted(alike, key=label_key) == sorted(alike[1:] + alike[:1], key=label_key)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([2, 10, 1]),
        pd.Series([(1, "b"), (1, "A")]),
        pd.Series(pd.Categorical(["b", "A"], categories=["b", "A"])),
    ],
)
def test_other_labels_and_categories_keep_their_order(column):
    levels = learn_levels(column)[0]
    assert in_order_of_r(levels, column) is levels


def with_arms(maker=lambda frame: frame):
    arms = np.array(["b", "A", "a", "B"])[np.arange(len(SLEEP)) % 4]
    return maker(SLEEP.assign(arm=arms))


@pytest.mark.parametrize("maker", [pd.DataFrame, pl.from_pandas])
def test_the_reference_category_is_the_first_in_that_order(maker):
    model = lmer("Reaction ~ arm + (1 | Subject)", with_arms(maker))
    assert list(model.fixed_effects_.index[1:]) == ["arm[T.A]", "arm[T.b]", "arm[T.B]"]
    computed = lmer("Reaction ~ np.where(Days > 4, 'late', 'Early') + (1 | Subject)", SLEEP)
    assert computed.fixed_effects_.index[1].endswith("[T.late]")
    factors = lmer("Reaction ~ factor(np.where(Days > 4, 'a', 'B')) + (1 | Subject)", SLEEP)
    assert factors.fixed_effects_.index[1].endswith("[T.B]")


def test_classes_are_in_the_order_of_scikit_learn():
    # Its scores take the last of the sorted labels for the one that is counted.
    data = load_toenail().frame
    data["nail"] = np.where(data["severe"] == 1, "Yes", "no")
    model = FormulaRegressor("nail ~ visit + (1 | patient)", family="binomial").fit(data)
    numbers = FormulaRegressor("severe ~ visit + (1 | patient)", family="binomial").fit(data)
    assert list(model.classes_) == ["Yes", "no"]
    area = roc_auc_score(data["nail"], model.decision_function(data))
    assert_allclose(area, roc_auc_score(data["severe"], numbers.decision_function(data)))
