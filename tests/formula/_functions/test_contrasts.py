"""Codings of factors that are given beside the formula."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmixed import glmer, lmer
from skmixed.datasets import load_cake
from skmixed.formula import FormulaRegressor
from skmixed.formula._functions.contrasts import CODINGS
from skmixed.inference import anova

CAKE = load_cake().frame
CAKE["size"] = pd.Categorical(CAKE["temp"].astype(int).astype(str), ordered=True)
CAKE["hot"] = CAKE["temp"] > 200
CAKE["a:b"] = CAKE["recipe"]
GROUPS = " + (1 | recipe:replicate)"


def effects(formula, contrasts=None, data=CAKE):
    return lmer(f"angle ~ {formula}{GROUPS}", data, contrasts=contrasts).fixed_effects_


@pytest.mark.parametrize("coding", CODINGS)
def test_codings_are_those_that_formulas_write(coding):
    expected = effects(f"C(recipe, contr.{coding}) * temp")
    given = {"recipe": f"contr.{coding}" if coding == "SAS" else coding}
    if coding == "poly":
        data = CAKE.assign(recipe=pd.Categorical(CAKE["recipe"], ordered=True))
    else:
        data = CAKE
    found = effects("recipe * temp", given, data)
    assert_allclose(found, expected, rtol=1e-10)
    names = [name.replace(f"C(recipe, contr.{coding})", "recipe") for name in expected.index]
    assert list(found.index) == names


def test_ordered_factors_are_polynomials_as_in_r():
    found = effects("recipe + size", "R")
    assert list(found.index[3:]) == [f"size[{p}]" for p in (".L", ".Q", ".C", "^4", "^5")]
    assert_allclose(found, effects("recipe + C(size, contr.poly)"), rtol=1e-10)
    assert list(effects("recipe + size").index[3:4]) == ["size[T.185]"]
    assert list(effects("factor(size)", "R").index[1:2]) == ["factor(size)[.L]"]
    assert list(effects("0 + size", "R").index[:1]) == ["size[175]"]
    # What has a coding, or another reference, in the formula keeps it.
    assert list(effects("C(size, contr.sum)", "R").index[1:2]) == ["C(size, contr.sum)[S.175]"]
    assert list(effects("relevel(size, '185')", "R").index[1:2]) == ["relevel(size, '185')[T.175]"]


# Six correlated effects are more than the data support, which is not in question here.
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_random_coefficients_and_a_dot_have_the_coding_too():
    data = CAKE[["angle", "recipe", "size", "replicate"]]
    model = lmer("angle ~ . + (0 + size | replicate)", data, contrasts="R")
    assert list(model.random_effects_["replicate"])[:2] == ["size[175]", "size[185]"]
    assert "size[.L]" in model.fixed_effects_
    slopes = lmer("angle ~ . + (size | replicate)", data, contrasts="R")
    assert list(slopes.random_effects_["replicate"])[1:3] == ["size[.L]", "size[.Q]"]
    assert_allclose(slopes.criterion_, model.criterion_, rtol=1e-9)


def test_columns_of_every_name_and_numbers_that_are_factors():
    assert list(effects("`a:b` * temp", {"a:b": "sum"}).index[:2]) == ["(Intercept)", "a:b[S.A]"]
    model = lmer(f"angle ~ `a:b` * temp{GROUPS}", CAKE, contrasts={"a:b": "sum"})
    assert list(model.terms_) == ["`a:b`", "temp", "`a:b`:temp"]
    for name in ("temp", "factor(temp)"):
        found = effects("factor(temp)", {name: "helmert"})
        assert_allclose(found, effects("C(temp, contr.helmert)"), rtol=1e-10)
    assert list(effects("hot", {"hot": "sum"}).index) == ["(Intercept)", "hot[S.False]"]


def test_the_model_is_the_same_and_so_are_tests_of_type_3():
    formula = f"angle ~ recipe * size{GROUPS}"
    plain = lmer(formula, CAKE, REML=False)
    model = lmer(formula, CAKE, REML=False, contrasts={"recipe": "sum", "size": "poly"})
    assert_allclose(model.criterion_, plain.criterion_, rtol=1e-12)
    assert_allclose(anova(model, type=3)["F"], anova(plain, type=3)["F"], rtol=1e-6)


def test_saved_models_and_clones_keep_their_codings():
    model = lmer(f"angle ~ recipe * size{GROUPS}", CAKE, contrasts="R")
    saved = pickle.loads(pickle.dumps(model))
    # Rows to predict need no ordered type, nor all categories.
    rows = CAKE.iloc[[3, 40]].assign(size=["205", "175"])
    assert_array_equal(
        saved.predict(rows), model.predict(CAKE.iloc[[3, 40]].assign(size=["205", "175"]))
    )
    assert saved._frame.codings == {"size": "poly"}
    assert clone(model).fit(CAKE).fixed_effects_.equals(model.fixed_effects_)


def test_generalized_models_take_them():
    data = CAKE.assign(many=CAKE["angle"] > 30)
    model = glmer(f"many ~ recipe{GROUPS}", data, "binomial", contrasts={"recipe": "sum"})
    assert list(model.fixed_effects_.index[1:]) == ["recipe[S.A]", "recipe[S.B]"]


def test_other_frames_have_no_ordered_factors():
    table = pa.Table.from_pandas(CAKE.drop(columns=["a:b"]))
    assert list(effects("size", "R", table).index[1:2]) == ["size[T.185]"]


REFUSED = [
    ("recipe", {"recip": "sum"}, "contrasts names 'recip', which is not a column of the data"),
    ("recipe", {"recipe": "sums"}, "contrasts={'recipe': 'sums'} is none of 'treatment', 'sum'"),
    ("recipe", {"recipe": 3}, "contrasts={'recipe': 3} is none of 'treatment'"),
    ("recipe", {"recipe": "poly"}, "column 'recipe' has no order. Make it one by pandas.Categor"),
    ("recipe", {"size": "sum"}, "contrasts names 'size', of which the formula makes no factor"),
    ("C(recipe, contr.SAS)", {"recipe": "sum"}, "no factor that has no coding of its own"),
    ("relevel(recipe, 'B')", {"recipe": "sum"}, "no factor that has no coding of its own"),
    ("temp", {"temp": "sum"}, "contrasts names 'temp', a column of numbers. Write factor(temp)"),
    ("recipe", "sum", "contrasts='sum': give 'R' for R's codings"),
]


@pytest.mark.parametrize(("formula", "contrasts", "words"), REFUSED)
def test_what_is_no_coding_of_a_factor_is_refused(formula, contrasts, words):
    with pytest.raises(ValueError, match="contrasts") as caught:
        effects(formula, contrasts)
    assert words in str(caught.value)


def test_what_is_no_mapping_is_refused():
    with pytest.raises(TypeError, match="contrasts=3: give 'R'"):
        FormulaRegressor("angle ~ recipe", contrasts=3).fit(CAKE)


def test_a_factor_of_two_levels_has_one_polynomial():
    data = CAKE.assign(two=pd.Categorical(np.where(CAKE["hot"], "hot", "cold"), ordered=True))
    assert_allclose(effects("two", "R", data).iloc[1], effects("two", None, data).iloc[1] / 2**0.5)
