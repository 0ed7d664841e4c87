import numpy as np
import pytest

from skmixed._model.family import FAMILIES
from skmixed.inference._marginal.scale import InverseLink, Scale

ETA = np.linspace(-4.0, 3.0, 29)


@pytest.mark.parametrize("own", FAMILIES.values(), ids=lambda own: f"{own.name}-{own.link_name}")
def test_slope_and_bend_are_the_derivatives_of_the_mean(own):
    back, h = InverseLink(own), 1e-5
    difference = (back.inverse(ETA + h) - back.inverse(ETA - h)) / (2 * h)
    # The difference errs by h² times the third derivative, and by rounding over h
    np.testing.assert_allclose(back.slope(ETA), difference, rtol=1e-8, atol=1e-10)
    difference = (back.slope(ETA + h) - back.slope(ETA - h)) / (2 * h)
    np.testing.assert_allclose(back.bend(ETA), difference, rtol=1e-8, atol=1e-10)


def test_slopes_keep_their_digits_far_out():
    back = InverseLink(FAMILIES["binomial", "logit"])
    eta = np.array([-40.0, 40.0])
    np.testing.assert_allclose(back.slope(eta), np.exp(-40.0), rtol=1e-14)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (("binomial", "logit"), "odds_ratio"),
        (("poisson", "log"), "ratio"),
        (("binomial", "probit"), ""),
    ],
)
def test_differences_are_ratios_of_logarithms(family, name):
    back = InverseLink(FAMILIES[family])
    assert back.ratio_name == name
    if name == "ratio":
        mean = back.inverse(ETA)
        np.testing.assert_allclose(back.ratio(ETA[3:4] - ETA[0]), mean[3] / mean[0], rtol=1e-14)
    elif name:
        odds = back.inverse(ETA) / (1 - back.inverse(ETA))
        np.testing.assert_allclose(back.ratio(ETA[3:4] - ETA[0]), odds[3] / odds[0], rtol=1e-13)


def test_the_usual_scale_is_that_of_the_link():
    assert Scale() == Scale("link", None)
