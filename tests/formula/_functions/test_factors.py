"""Factors: columns taken for one, and another reference category."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmixed import lmer
from skmixed.datasets import load_sleepstudy
from skmixed.formula._functions.factors import as_term, with_sorted_text
from skmixed.inference import anova

RNG = np.random.default_rng(0)
SLEEP = load_sleepstudy().frame
LABELS = ["a", "B", "it's", 'say "so"', "back\\slash"]
DATA = SLEEP.assign(
    f=RNG.choice(LABELS, len(SLEEP)),
    k=RNG.integers(1, 4, len(SLEEP)),
    late=SLEEP["Days"] > 4,
    size=pd.Categorical(
        RNG.choice(["low", "mid", "high"], len(SLEEP)), ["low", "mid", "high"], ordered=True
    ),
)


def model_of(code, **more):
    return lmer(f"Reaction ~ {code} + (1 | Subject)", DATA, **more)


def levels_of(model):
    return [name.rpartition("[T.")[2].rstrip("]") for name in model.fixed_effects_.index[1:]]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("relevel(f, ref='B')", ["a", "back\\slash", "it's", 'say "so"']),
        ('relevel(f, ref="it\'s")', ["a", "B", "back\\slash", 'say "so"']),
        ("relevel(f, 'say \"so\"')", ["a", "B", "back\\slash", "it's"]),
        ("relevel(f, 'back\\\\slash')", ["a", "B", "it's", 'say "so"']),
        ("relevel(factor(k), ref=2)", ["1", "3"]),
        ("relevel(factor(k), ref='2')", ["1", "3"]),
        ("relevel(factor(k, levels=[3, 2, 1]), ref=2)", ["3", "1"]),
        ("relevel(as.factor(k), ref=3)", ["1", "2"]),
        ("relevel(C(k), ref=3)", ["1", "2"]),
        ("relevel(late, ref=True)", ["False"]),
        ("relevel(size, ref='mid')", ["low", "high"]),
        ("relevel(np.where(late, 'b', 'a'), ref='b')", ["a"]),
    ],
)
def test_another_reference_comes_first_and_stays_there(code, expected):
    model = model_of(code)
    assert levels_of(model) == expected
    saved = pickle.loads(pickle.dumps(model))
    # Rows one by one have not all categories, nor the reference.
    alone = [saved.predict(DATA.iloc[[k]])[0] for k in range(12)]
    assert_array_equal(alone, model.predict(DATA)[:12])


def test_the_model_is_the_same_with_another_reference():
    first, other = model_of("f * Days"), model_of("relevel(f, ref='B') * Days")
    assert_allclose(first.criterion_, other.criterion_, rtol=1e-12)
    assert_allclose(first.predict(DATA), other.predict(DATA), rtol=1e-8)
    # At the same optimum but for the tolerance of the search.
    assert_allclose(*(anova(model, type=3)["F"] for model in (first, other)), rtol=1e-6)


def test_a_coding_of_a_factor_with_another_reference():
    model = model_of("C(relevel(factor(k), ref=3), contr.sum)")
    assert [name[-5:] for name in model.fixed_effects_.index[1:]] == ["[S.3]", "[S.1]"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("relevel(f, ref='b')", "ref='b' in relevel(…) is no category of its factor, which has"),
        ("relevel(factor(k), ref=9)", "ref=9 in relevel(…) is no category of its factor, which ha"),
        ("relevel(f)", "relevel(…) needs the category that comes first: relevel(f, ref='b')."),
        ("relevel(f, size)", "relevel(…) needs the category that comes first"),
        ("relevel(k, ref=2)", "relevel(…) is of a factor, and its column holds numbers. Write"),
        ("relevel(C(f, contr.sum), 'a')", "relevel(…) is of a factor without a coding. Code what"),
    ],
)
def test_what_is_no_reference_is_refused_with_its_place(code, words):
    with pytest.raises(ValueError, match="relevel") as caught:
        model_of(code)
    message, _, place = str(caught.value).partition("\n\n")
    assert words in message
    assert place.index("^") == place.index("relevel") + len(place.partition("\n")[0]) + 1


def test_an_unknown_reference_inside_of_a_coding_does_not_pass():
    with pytest.warns(UserWarning, match="9"):  # a category without rows has no coefficient
        model_of("C(relevel(factor(k), ref=9), contr.treatment(1))")


def test_a_category_that_was_not_there_in_fit_is_refused():
    model = model_of("relevel(factor(k), ref=2)")
    with pytest.raises(ValueError, match=r"no coefficient for the categories 9(\.0)?"):
        model.predict(DATA.head(2).assign(k=9))


def test_computed_values_are_factors_where_r_takes_them_for_such():
    text = as_term(np.array(["b", "A", "a"]))
    assert list(text.cat.categories) == ["a", "A", "b"]
    assert list(as_term(np.array([True, True])).cat.categories) == [False, True]
    numbers = np.arange(3.0)
    assert as_term(numbers) is numbers
    mixed = with_sorted_text(np.array(["b", 1], dtype=object))
    assert mixed.dtype == object
