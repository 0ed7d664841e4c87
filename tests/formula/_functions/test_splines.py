"""Splines have R's columns, on the rows they learned from and beyond."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_formulas import bases, columns_of, error_of, learned

from skmixed import lmer
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import ExtrapolationWarning
from skmixed.formula._functions.splines import bs

X = np.random.default_rng(0).uniform(0, 10, 60)
SLEEP = load_sleepstudy().frame


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.ExtrapolationWarning")
@pytest.mark.parametrize("own", bases("ns", "bs"), ids=lambda own: own["code"])
def test_columns_are_those_of_r(own):
    # R's numbers are recorded with 15 digits, of which columns that are differences lose some.
    columns = learned(own["code"], own["x"])
    assert error_of(columns(own["x"]).to_numpy(float), own["columns"]) < 1e-10
    assert error_of(columns(own["new"]).to_numpy(float), own["new_columns"]) < 1e-10
    expected = [f"[{k + 1}]" for k in range(len(own["columns"][0]))]
    assert [name[name.rindex("[") :] for name in columns(own["x"])] == expected


def test_natural_splines_are_straight_beyond_their_knots_and_smooth_at_them():
    columns = learned("ns(x, df=4)", X)
    beyond = np.array([10, 11, 12, 15, 20.0]) - 10 + X.max()
    values = columns(beyond).to_numpy(float)
    slopes = np.diff(values, axis=0) / np.diff(beyond)[:, None]
    assert_allclose(slopes, slopes[[0]].repeat(4, axis=0), rtol=1e-10)
    step = 1e-4
    near = columns(X.max() + step * np.arange(-1, 2)).to_numpy(float)
    # The slope does not jump: the second difference is that of a curve of third degree.
    assert np.abs(np.diff(near, 2, axis=0)).max() < 1e-2 * step**2 * 100


def test_splines_with_an_intercept_add_up_to_one():
    found = columns_of("bs(x, df=6, intercept=True)", X)
    assert_allclose(found.sum(axis=1), 1.0, rtol=1e-13)


def test_what_is_learned_does_not_depend_on_the_rows_to_predict():
    columns = learned("ns(x, df=3)", X)
    whole = columns(X).to_numpy(float)
    for k in range(3):
        assert_array_equal(columns(X[[k]]).to_numpy(float), whole[[k]])


def test_knots_that_are_computed_from_the_data_are_those_of_the_fit():
    columns = learned("ns(x, knots=np.quantile(x, [0.3, 0.7]))", X)
    assert_array_equal(columns(X[:5]).to_numpy(float), columns(X).to_numpy(float)[:5])


def test_missing_values_are_reported_by_the_column_that_has_them():
    frame = SLEEP.assign(z=SLEEP["Days"].replace(0, -1.0))
    with pytest.raises(ValueError, match=r"Column 'ns\(np.log\(z\), 2\)\[1\]' contains NaN \(18 "):
        lmer("Reaction ~ ns(np.log(z), 2) + (1 | Subject)", frame)


def test_an_intercept_takes_the_place_of_the_last_column():
    both = lmer("Reaction ~ bs(Days, df=4, intercept=True) + (1 | Subject)", SLEEP)
    alone = lmer("Reaction ~ 0 + bs(Days, df=4, intercept=True) + (1 | Subject)", SLEEP)
    assert [name[-3:] for name in both.fixed_effects_.index[1:]] == ["[1]", "[2]", "[3]"]
    assert len(alone.fixed_effects_) == 4
    assert_allclose(both.predict(SLEEP), alone.predict(SLEEP), rtol=1e-7)  # the search's tolerance


def test_polynomials_go_on_with_a_warning_at_the_users_line():
    model = lmer("Reaction ~ bs(Days, df=3) + (0 + bs(Days, df=3) | Subject)", SLEEP)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict(SLEEP.head(3).assign(Days=[9, 14, 15]))
    assert [w.category for w in caught] == [ExtrapolationWarning]
    assert caught[0].filename == __file__
    assert str(caught[0].message).startswith(
        "bs(…) has 2 values beyond its boundary knots, 0 and 9, such as 14: its polynomials go on"
    )


def test_rows_outside_of_given_boundary_knots_do_not_count_for_the_quantiles():
    inside = X[(X >= 1) & (X <= 8)]
    with pytest.warns(ExtrapolationWarning):
        found = columns_of("bs(x, df=5, boundary_knots=[1, 8])", X, inside)
    assert_allclose(found, columns_of("bs(x, df=5, boundary_knots=[8, 1])", inside), atol=1e-14)


def test_what_formulaics_splines_have_learned_is_read():
    from formulaic.transforms import basis_spline

    state = {}
    expected = basis_spline(X, df=5, _state=state)
    found = bs(X[:9], df=5, _state=state)
    assert list(found) == list(expected)
    for k in found:
        assert_allclose(found[k], expected[k][:9], atol=1e-14)


def test_words_of_formulaic_are_taken_by_its_own_function():
    names = learned("bs(x, df=4, include_intercept=True)", X)(X).columns
    assert [name[-3:] for name in names] == ["[0]", "[1]", "[2]", "[3]"]
    columns = learned("bs(x, df=4, extrapolation='clip')", X)
    assert_array_equal(columns([X.max(), 99.0]).nunique(), 1)


FEW = pd.Series([0.0] * 8 + [1, 2, 3])
REFUSED = [
    ("ns(x, 0)", X, "df=0 in ns(…): give a whole number from 1 on."),
    ("ns(x, df=1, intercept=True)", X, "df=1 in ns(…): give a whole number from 2 on."),
    ("ns(x, df=2.5)", X, "df=2.5 in ns(…): give a whole number"),
    ("ns(x, df='three')", X, "df='three' in ns(…): give a whole number"),
    ("bs(x, df=2)", X, "df=2 in bs(…): give a whole number from 3 on."),
    ("bs(x, degree=0)", X, "degree=0 in bs(…): give a whole number from 1 on."),
    ("ns(x, knots=[2, 20])", X, "knots=[2, 20] in ns(…): 20 is not between the boundary knots, "),
    ("ns(x, knots=['a'])", X, "knots=['a'] in ns(…): it is a list of numbers, such as [2, 5]."),
    ("ns(x, df=3, knots=[2])", X, "df=3 and knots=[2] in ns(…) both say where its knots are."),
    ("ns(x, boundary_knots=[2])", X, "boundary_knots=[2] in ns(…): they are two different numbers"),
    ("ns(x, 3, boundary_knots=[20, 30])", X, "no value lies between the boundary knots 20 and 30."),
    ("ns(x, intercept='no')", X, "intercept='no' in ns(…): give True or False."),
    ("ns(x, 3)", FEW, "its knots are quantiles, of which some are at an end of the range, 0 or 3"),
    ("ns(x, 2)", np.ones(9), "ns(…) is of a column with the one value 1. Leave it out"),
    ("ns(x, 2)", ["a", "b"], "ns(…) is of numbers, and has values such as 'a'. Make numbers of"),
    ("ns(poly(x, 2), 2)", X, "ns(…) is of one column of numbers."),
    (
        "bs(x, intercept=True, lower_bound=0)",
        X,
        "bs(…) has lower_bound of formulaic beside intercept or boundary_knots of R.",
    ),
]


@pytest.mark.parametrize(("code", "x", "words"), REFUSED, ids=[own[0] for own in REFUSED])
def test_what_makes_no_spline_is_refused_with_its_place(code, x, words):
    with pytest.raises(ValueError, match="…") as caught:
        learned(code, x)
    message, _, place = str(caught.value).partition("\n\n")
    assert words in message
    assert place == f"    ~ 0 + {code}\n          ^"
