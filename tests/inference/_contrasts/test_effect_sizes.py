import numpy as np
import pandas as pd
import pytest
from emmeans_reference import MODELS, columns_of, fitted
from random_families import means_of
from scipy import stats as distributions

from skmixed import lmer
from skmixed.datasets import load_cake, load_machines
from skmixed.inference import comparisons, effect_sizes, marginal_means, marginal_slopes

CAKE = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", load_cake().frame)


# Where means have different signs emmeans counts the error of sigma at other sizes than d.
QUESTIONS = [
    (name, k)
    for name, own in MODELS.items()
    for k, question in enumerate(own["means"])
    if "effect_sizes" in question and len(set(np.sign(question["columns"]["mean"]))) == 1
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "k"), QUESTIONS)
def test_effect_sizes_are_those_of_emmeans(name, k):
    question = MODELS[name]["means"][k]
    options = {key: question[key] or None for key in ("variables", "by", "at")}
    means = marginal_means(
        fitted(name), **options, weights=question["weights"], ddf=question["ddf"]
    )
    given = question["effect_sizes"]
    found = effect_sizes(means, sigma=given["sigma"], df=given["edf"])
    expected = columns_of(given["columns"])
    assert found["contrast"].tolist() == expected["contrast"].tolist()
    error = expected["std_error"].astype(float)
    # Two optima and their information, each to about 1e-7 of a standard error
    np.testing.assert_allclose(found["std_error"], error, rtol=1e-6)
    for column in ("effect_size", "lower", "upper"):
        own = found[column].to_numpy()
        if column != "effect_size":  # emmeans has other degrees of freedom
            df = np.array([np.inf if v is None else v for v in expected["df"]], dtype=float)
            side = -1.0 if column == "lower" else 1.0
            own = found["effect_size"] + side * distributions.t.isf(0.025, df) * error
        known = expected["estimate" if column == "effect_size" else column].astype(float)
        difference = (own - known) / error
        np.testing.assert_allclose(difference, 0.0, atol=2e-6)


def test_the_errors_are_those_of_a_ratio_of_independent_estimates():
    """δ̂ normal and σ̂² = σ²χ²/df, drawn; the delta method leaves terms of the order 1/df."""
    df, sigma, draws = 400.0, 2.0, 200_000
    rows = np.eye(2)
    means = means_of(rows, [3.0, 0.0], 0.05 * np.eye(2), 2)
    found = effect_sizes(means, sigma=sigma, df=df)
    rng = np.random.default_rng(0)
    delta = 3.0 + np.sqrt(0.1) * rng.normal(size=draws)
    d = delta / (sigma * np.sqrt(rng.chisquare(df, draws) / df))
    # Its own error by the draws is 0.002
    np.testing.assert_allclose(found["std_error"], d.std(), rtol=0.01)
    np.testing.assert_allclose(found["effect_size"], d.mean(), rtol=0.01)


def test_of_opposite_means_errors_are_those_of_the_difference():
    """A constant added to all means changes nothing."""
    covariance = np.diag([0.1, 0.2, 0.3])
    near, far = (
        effect_sizes(means_of(np.eye(3), mean, covariance, 3), sigma=2.0, df=10)
        for mean in ([-1.0, 2.0, 4.0], [9.0, 12.0, 14.0])
    )
    pd.testing.assert_frame_equal(near, far)
    d = np.array([-3.0, -5.0, -2.0]) / 2.0
    expected = np.sqrt(np.array([0.3, 0.4, 0.5]) / 4.0 + d**2 / 20.0)
    np.testing.assert_allclose(near["std_error"], expected)


def test_a_known_standard_deviation_has_no_error():
    means = marginal_means(CAKE, "recipe")
    found, plain = effect_sizes(means, sigma=5.0, df=np.inf), comparisons(means, adjust=None)
    columns = {"effect_size": "estimate", "std_error": "std_error", "lower": "lower"}
    for own, other in columns.items():
        np.testing.assert_allclose(found[own], plain[other] / 5.0)


def test_units_of_the_response_do_not_matter():
    data = load_machines().frame
    for sigma in ("residual", "total"):
        first, second = (
            effect_sizes(marginal_means(lmer(f"{y} ~ Machine + (1 | Worker)", own), "Machine"),
                         sigma=sigma)
            for y, own in (("score", data), ("points", data.assign(points=1e3 * data["score"] + 7)))
        )  # fmt: skip
        numbers = ["effect_size", "std_error", "lower", "upper"]
        np.testing.assert_allclose(first[numbers], second[numbers], rtol=1e-6)


def test_methods_are_those_of_comparisons():
    means = marginal_means(CAKE, "recipe")
    found = effect_sizes(means, "trt.vs.ctrl", reference="B", reverse=True)
    differences = comparisons(means, "trt.vs.ctrl", reference="B", reverse=True)
    assert found["contrast"].tolist() == differences["contrast"].tolist() == ["B - A", "B - C"]
    again = effect_sizes(differences)
    pd.testing.assert_frame_equal(found, again)
    assert again.title == "Effect sizes: comparisons of recipe with a control"
    twice = effect_sizes(differences, "pairwise")
    assert twice["contrast"].tolist() == ["(B - A) - (B - C)"]


def test_the_table_says_its_unit():
    means = marginal_means(CAKE, "recipe")
    found = effect_sizes(means, level=0.9)
    assert found.title == "Effect sizes: pairwise comparisons of recipe"
    assert list(found) == ["contrast", "effect_size", "std_error", "df", "lower", "upper"]
    sigma = CAKE.sigma_
    words = f"In units of the residual standard deviation, {sigma:.4g}, of 224 degrees of freedom."
    assert found.remarks[-2:] == (words, "90 % confidence intervals, not adjusted.")


def test_on_a_scale_of_logarithms_they_are_of_differences():
    """d has the scale of the model, from the means or from their ratios, and of ratios of these."""
    data = load_cake().frame
    model = lmer("np.log(angle) ~ recipe * temperature + (1 | recipe:replicate)", data)
    link, back = (marginal_means(model, "recipe", scale=s) for s in ("link", "response"))
    expected = effect_sizes(link)
    assert expected["contrast"].tolist() == ["A - B", "A - C", "B - C"]
    assert expected.remarks[0] == "On the scale of np.log(angle)."
    ratios = comparisons(back)
    assert ratios["contrast"][0] == "A / B"
    for found in (effect_sizes(back), effect_sizes(ratios)):
        pd.testing.assert_frame_equal(found, expected)
        assert found.remarks == expected.remarks
    twice = effect_sizes(ratios, {"first": [1, 0, -1], "last": {"A / B": 1, "A / C": -1}})
    assert twice["contrast"].tolist() == ["first", "last"]
    again = effect_sizes(ratios, "pairwise", reverse=True)
    assert again["contrast"][0] == "(A - C) - (A - B)"


def test_slopes_have_sizes_too():
    model = fitted("cake_covariate")
    found = effect_sizes(marginal_slopes(model, "temp", "recipe"), sigma="total")
    assert len(found) == 3


def test_a_plain_frame_is_refused():
    with pytest.raises(TypeError, match="means is a plain DataFrame"):
        effect_sizes(marginal_means(CAKE, "recipe").round(1))
