"""Polynomials and standardized columns have R's numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_formulas import bases, columns_of, error_of, learned

from skmixed.formula._functions.polynomials import LEARNING, poly

X = np.random.default_rng(0).normal(5, 2, 40)


@pytest.mark.parametrize("own", bases("poly", "scale"), ids=lambda own: own["code"])
def test_columns_are_those_of_r(own):
    columns = learned(own["code"], own["x"])
    # R's numbers are recorded with 15 digits, and polynomials of years near 2000 lose some.
    assert error_of(columns(own["x"]).to_numpy(float), own["columns"]) < 1e-10
    assert error_of(columns(own["new"]).to_numpy(float), own["new_columns"]) < 1e-10


def test_polynomials_are_orthonormal():
    found = columns_of("poly(x, 5)", X)
    assert_allclose(found.T @ found, np.eye(5), atol=1e-10)
    assert_allclose(found.sum(axis=0), 0.0, atol=1e-10)


def test_powers_are_named_by_their_exponents():
    found = learned("poly(x, 3, raw=TRUE)", X)(X)
    assert list(found) == [f"poly(x, 3, raw=TRUE)[{k}]" for k in (1, 2, 3)]
    assert_array_equal(found.to_numpy(float), X[:, None] ** [1, 2, 3])


def test_powers_of_models_that_counted_from_0_keep_their_names():
    new, old = {}, {}
    poly(X, 2, True, _state=new, _context={LEARNING: True})
    found = poly(X, 2, True, _state=new, _context={LEARNING: False})
    before = poly(X, 2, True, _state=old, _context={LEARNING: False})
    assert found.__formulaic_metadata__.column_names == ("1", "2")
    assert before.__formulaic_metadata__.column_names == ("0", "1")


def test_standardized_columns():
    found = columns_of("scale(x)", X)[:, 0]
    assert_allclose([found.mean(), found.std(ddof=1)], [0, 1], atol=1e-13)
    assert_allclose(columns_of("scale(x)", X, [X.mean()]), 0.0, atol=1e-13)


CONSTANT = np.full(9, 0.1)  # whose mean is another number, to rounding
REFUSED = [
    ("poly(x, 0)", X, "degree=0 in poly(…): give a whole number from 1 on."),
    ("poly(x, 2.5)", X, "degree=2.5 in poly(…): give a whole number from 1 on."),
    ("poly(x, 3)", [1, 2, 3, 3], "degree=3 in poly(…): its column has 3 distinct values, through"),
    ("poly(x, 2, raw=1)", X, "raw=1 in poly(…): give True or False."),
    ("poly(x)", list("ab"), "poly(…) is of numbers, and has values such as 'a'. Make numbers of"),
    ("scale(x)", CONSTANT, "scale(…) is of a column with the one value 0.1, which has no standard"),
    ("scale(x, center=False)", np.zeros(4), "scale(…) is of a column with the one value 0,"),
    ("scale(x, center=3)", np.full(4, 3.0), "scale(…) is of a column with the one value 3,"),
    ("scale(x, x)", X, "center=(a column) in scale(…): give True, False or a number."),
    ("scale(x, scale='sd')", X, "scale='sd' in scale(…): give True, False or a number."),
    ("scale(x)", list("ab"), "scale(…) is of numbers, and has values such as 'a'."),
]


@pytest.mark.parametrize(("code", "x", "words"), REFUSED, ids=[own[0] for own in REFUSED])
def test_what_makes_no_columns_is_refused_with_its_place(code, x, words):
    with pytest.raises(ValueError, match="…") as caught:
        learned(code, x)
    message, _, place = str(caught.value).partition("\n\n")
    assert words in message
    assert place == f"    ~ 0 + {code}\n          ^"


def test_a_constant_column_may_be_scaled_about_another_center():
    assert_allclose(columns_of("scale(x, center=False)", np.full(5, 2.0)), np.sqrt(4 / 5))


def test_several_columns_are_scaled_each():
    found = columns_of("scale(np.column_stack([x, x ** 2]))", X)
    assert_allclose(found.std(axis=0, ddof=1), 1.0, rtol=1e-12)
    with pytest.raises(ValueError, match="one value 1, which has no standard deviation"):
        columns_of("scale(np.column_stack([x, 0 * x + 1]))", X)
