import numpy as np
import pandas as pd
import pytest
from reference_fits import read_frame
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, glmer, lmer
from skmixed.datasets import load_cake, load_cbpp, load_dyestuff2, load_sleepstudy
from skmixed.exceptions import SingularFitWarning
from skmixed.plotting import check_model

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(autouse=True)
def closed():
    from matplotlib import pyplot as plt

    yield
    plt.close("all")


def words(formula, data, **more):
    model = (glmer if "family" in more else lmer)(formula, data, **more)
    return " ".join(check_model(model, data).words)


def test_an_inner_optimum():
    found = words("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
    assert "converged" in found
    assert "No variance of random effects is 0" in found


def test_a_singular_fit_names_the_factor():
    with pytest.warns(SingularFitWarning):
        found = words("Yield ~ 1 + (1 | Batch)", load_dyestuff2().frame)
    assert "singular: some combination of the random effects of 'Batch'" in found


def test_collinear_terms_are_named():
    found = words("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
    assert "standard errors of 'recipe', 'recipe:temp' are more than √5" in found


def test_the_dispersion_of_counts_is_told():
    found = words(CBPP, load_cbpp().frame, family="binomial")
    assert "1.24 times what the distribution says (test of overdispersion: p = 0.1" in found


def test_of_two_outcomes_there_is_none_to_tell():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "x": rng.normal(size=200)})
    data["y"] = rng.random(200) < 1 / (1 + np.exp(-rng.normal(size=20)[data["g"]]))
    assert "overdispersion" not in words("y ~ x + (1 | g)", data, family="binomial")


def test_a_search_that_was_cut_off():
    frame = read_frame("sleepstudy_unbalanced")
    X = frame[["Days", "Subject"]]
    model = MixedLinearRegressor("Subject", random_slopes="Days", max_iter=1)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(X, frame["Reaction"])
    assert "did not converge" in check_model(model, X, frame["Reaction"]).words[0]
