"""The functions of formulas in models: the fits of lmer with the same formulas."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_formulas import data_of, recorded

from skmixed import lmer
from skmixed.datasets import load_sleepstudy
from skmixed.formula._functions.table import check_context, namespace, own_functions
from skmixed.inference import anova, coefficient_table

MODELS = recorded("models")["models"]
SLEEP = load_sleepstudy().frame


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.ExtrapolationWarning")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize("own", MODELS, ids=lambda own: own["id"])
def test_fits_are_those_of_lmer(own):
    data = data_of(own)
    contrasts = "R" if own["id"] == "ordered" else own.get("contrasts") or None
    model = lmer(own["formula"], data, contrasts=contrasts)
    assert_allclose(model.criterion_, own["criterion"], rtol=1e-12)
    table = coefficient_table(model)
    # R's search ends within 1e-7 of the variances; Satterthwaite's method is not in question.
    assert_allclose(table["estimate"], own["fixed"], rtol=1e-6)
    assert_allclose(table["std_error"], own["errors"], rtol=1e-6)
    assert_allclose(model.sigma_, own["sigma"], rtol=1e-6)
    assert_allclose(model.predict(data)[[0, 4, 8]], own["fitted"], rtol=1e-6)
    rows = data.iloc[[0, 4, 8]]
    assert_allclose(model.predict(rows, include="fixed"), own["population"], rtol=1e-6)
    for expected in own["anova"]:
        found = anova(model, type=expected["type"])
        assert len(found) == np.size(expected["F"])
        assert_allclose(found["F"], np.ravel(expected["F"]), rtol=2e-6)
        assert_array_equal(found["df_num"], np.ravel(expected["df"]))


def test_arguments_may_be_written_as_in_r():
    formula = "Reaction ~ ns(Days, knots = {}, {}=c(0, 9)) + (1 | Subject)"
    r = lmer(formula.format("c(2, 5)", "Boundary.knots "), SLEEP)
    python = lmer(formula.format("[2, 5]", "boundary_knots"), SLEEP)
    assert_array_equal(r.fixed_effects_, python.fixed_effects_)
    assert r.fixed_effects_.index[1] == "ns(Days, knots=c(2, 5), Boundary.knots=c(0, 9))[1]"
    assert list(r.terms_) == ["ns(Days, knots=c(2, 5), Boundary.knots=c(0, 9))"]
    named = lmer("Reaction ~ ns(x=Days, knots=[2, 5]) + (poly(x=Days, degree=1) | Subject)", SLEEP)
    assert_allclose(named.predict(SLEEP.head(2)), named.predict(SLEEP)[:2], rtol=0)


def test_columns_of_the_names_of_functions_and_values_are_columns():
    data = SLEEP.assign(ns=SLEEP["Days"], c=SLEEP["Days"] ** 2, TRUE=1.0 * (SLEEP["Days"] > 4))
    model = lmer("Reaction ~ ns + c + TRUE + ns(ns, df=2):I(TRUE) + (1 | Subject)", data)
    assert list(model.fixed_effects_.index[1:4]) == ["ns", "c", "TRUE"]


def test_the_context_comes_first():
    model = lmer("Reaction ~ ns(Days) + (1 | Subject)", SLEEP, context={"ns": np.sqrt})
    assert list(model.model_matrix(SLEEP.head(2))["ns(Days)"]) == [0.0, 1.0]
    assert namespace({"poly": np.abs}, is_new=True)["poly"] is np.abs
    assert own_functions() is own_functions()


def test_what_is_no_context_is_refused():
    with pytest.raises(TypeError, match=r"context=\['a'\] is of type list. Give a mapping"):
        check_context(["a"])


@pytest.mark.parametrize(
    "code",
    [
        "ns(scale(Days), 2)",
        "poly(scale(Days), 2)",
        "center(bs(Days, df=3))",
        "scale(poly(Days, 2))",
    ],
)
def test_functions_of_functions_keep_what_each_has_learned(code):
    model = lmer(f"Reaction ~ {code} + (1 | Subject)", SLEEP)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = [model.predict(SLEEP.iloc[[k]])[0] for k in range(4)]
    assert_array_equal(alone, model.predict(SLEEP)[:4])


def test_chunks_of_new_rows_have_the_columns_of_all():
    formula = "Reaction ~ ns(Days, 3) + scale(Days):poly(Days, 2) + (bs(Days, df=3) || Subject)"
    model = lmer(formula, SLEEP)
    whole = model.model_matrix(SLEEP)
    parts = [model.model_matrix(SLEEP.iloc[k : k + 7]) for k in range(0, len(SLEEP), 7)]
    pd.testing.assert_frame_equal(pd.concat(parts), whole, check_exact=True)
