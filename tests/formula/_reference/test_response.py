import pickle

import numpy as np
import pytest
import scipy.special as special

from skmixed import lmer
from skmixed.datasets import load_sleepstudy
from skmixed.formula._reference.response import ResponseInverse

DATA = load_sleepstudy().frame.assign(share=lambda d: d["Reaction"] / 500)
Y = np.linspace(0.2, 0.9, 15)
# The response as the formula has it → the function that it is, for y between 0 and 1
KNOWN = {
    "np.log(share)": np.log,
    "log(share)": np.log,
    "np.log2(share)": np.log2,
    "np.log10(share)": np.log10,
    "np.log1p(share)": np.log1p,
    "np.log(share + 2)": lambda y: np.log(y + 2),
    "3 * np.log(share) - 1": lambda y: 3 * np.log(y) - 1,
    "-np.log(share)": lambda y: -np.log(y),
    "np.sqrt(share)": np.sqrt,
    "np.cbrt(share)": np.cbrt,
    "np.square(share)": np.square,
    "I(share ** 0.3)": lambda y: y**0.3,
    "I(share ** -2)": lambda y: y**-2,
    "I(1 / share)": lambda y: 1 / y,
    "share / 7": lambda y: y / 7,
    "1 - share": lambda y: 1 - y,
    "np.arcsin(np.sqrt(share))": lambda y: np.arcsin(np.sqrt(y)),
    "np.arctanh(share)": np.arctanh,
    "np.arcsinh(share)": np.arcsinh,
    "np.exp(share)": np.exp,
    "np.expm1(share)": np.expm1,
}


def inverse_of(response):
    model = lmer(f"{response} ~ Days + (1 | Subject)", DATA)
    return ResponseInverse.of(model._frame.response)


@pytest.mark.parametrize("response", KNOWN)
def test_the_way_back_undoes_the_response(response):
    back, eta = inverse_of(response), KNOWN[response](Y)
    np.testing.assert_allclose(back.inverse(eta), Y, rtol=1e-13)
    h = 1e-6
    difference = (back.inverse(eta + h) - back.inverse(eta - h)) / (2 * h)
    # Rounding of the difference over h, and h² times a third derivative below 100
    np.testing.assert_allclose(back.slope(eta), difference, rtol=1e-8)
    difference = (back.slope(eta + h) - back.slope(eta - h)) / (2 * h)
    np.testing.assert_allclose(back.bend(eta), difference, rtol=1e-7, atol=1e-8)
    assert back.name == response
    again = pickle.loads(pickle.dumps(back))
    np.testing.assert_array_equal(again.inverse(eta), back.inverse(eta))


@pytest.mark.parametrize(
    ("response", "base"),
    [("np.log(share)", np.e), ("np.log2(share)", 2.0), ("-2 * np.log10(share)", 10.0**-0.5)],
)
def test_differences_of_logarithms_are_ratios(response, base):
    back = inverse_of(response)
    assert back.ratio_name == "ratio"
    np.testing.assert_allclose(back.ratio(np.array([-0.3, 1.0])), base ** np.array([-0.3, 1.0]))


@pytest.mark.parametrize("response", ["np.sqrt(share)", "np.log(share + 1)", "np.log1p(share)"])
def test_other_differences_are_none(response):
    assert inverse_of(response).ratio_name == ""


@pytest.mark.parametrize("response", ["np.log(share / 1000)", "3 * np.log(2 * share) - 1"])
def test_a_multiple_within_a_logarithm_changes_no_ratio(response):
    """Units of the response and constants cancel in differences."""
    back, function = inverse_of(response), {"n": lambda y: np.log(y), "3": lambda y: 3 * np.log(y)}
    difference = function[response[0]](0.6) - function[response[0]](0.2)
    assert back.ratio_name == "ratio"
    np.testing.assert_allclose(back.ratio(np.array([difference])), 3.0, rtol=1e-14)


def test_what_a_function_never_is_counts_as_its_nearest_value():
    root = inverse_of("np.sqrt(share)")
    np.testing.assert_array_equal(root.inverse(np.array([-1.0])), 0.0)
    arc = inverse_of("np.arcsin(np.sqrt(share))")
    np.testing.assert_allclose(arc.inverse(np.array([2.0, -0.5])), [1.0, 0.0], atol=1e-15)


def test_a_column_needs_no_way_back():
    assert inverse_of("share") is None


@pytest.mark.parametrize("response", ["np.log(share / Days1)", "np.sin(share)", "own(share)"])
def test_other_responses_are_refused(response):
    data, context = DATA.assign(Days1=DATA["Days"] + 1), {"own": special.logit}
    model = lmer(f"{response} ~ Days + (1 | Subject)", data, context=context)
    with pytest.raises(ValueError, match="the way back to the scale of the response is not known"):
        ResponseInverse.of(model._frame.response)
