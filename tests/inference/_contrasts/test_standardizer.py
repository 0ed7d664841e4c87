import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor, ResidualCovariance, glmer, lmer, mmrm
from skmixed._fitted.fitted_model import fitted
from skmixed.datasets import load_sleepstudy, load_toenail
from skmixed.exceptions import ExactFitWarning
from skmixed.inference import (
    comparisons,
    effect_sizes,
    marginal_means,
    variance_decomposition,
)
from skmixed.inference._contrasts.standardizer import STANDARDIZERS, Standardizer

DATA = load_sleepstudy().frame.assign(w=np.resize([1.0, 2.0, 0.5], 180))


def dense_df(model, data, weights):
    """2 v²/Var(v̂) of the residual and the total variance, from V in full.

    Of V = Σ_i τ_i V_i the observed information on τ is y'PV_iPV_jPy − ½ tr(PV_iPV_j) by REML.
    """
    days, subject = data["Days"].to_numpy(float), data["Subject"].to_numpy()
    same = (subject[:, None] == subject).astype(float)
    ones = np.ones(len(days))
    directions = [same, same * (days[:, None] + days), same * days[:, None] * days]
    shares = np.array([1.0, 2.0 * days.mean(), (days**2).mean(), 1.0])
    values = model.covariances_["Subject"].to_numpy()
    tau = [values[0, 0]]
    if len(values) > 1:
        tau += [values[0, 1], values[1, 1]]
    else:
        directions, shares = directions[:1], shares[[0, 3]]
    directions = [*directions, np.diag(1.0 / weights)]
    tau = np.array([*tau, model.sigma_**2])
    V = np.tensordot(tau, directions, 1)
    X, y = np.column_stack([ones, days]), data["Reaction"].to_numpy()
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    moved = [P @ d for d in directions]
    information = np.array(
        [[y @ a @ b @ P @ y - 0.5 * np.trace(a @ b) for b in moved] for a in moved]
    )
    errors = np.linalg.inv((information + information.T) / 2.0)
    total = shares @ tau
    return 2.0 * tau[-1] ** 2 / errors[-1, -1], total, 2.0 * total**2 / (shares @ errors @ shares)


@pytest.mark.parametrize("random", ["(1 | Subject)", "(Days | Subject)"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_degrees_of_freedom_are_those_of_the_observed_information(random, weights):
    model = lmer(f"Reaction ~ Days + {random}", DATA, weights=weights)
    w = DATA["w"] if weights else np.ones(len(DATA))
    residual_df, total, total_df = dense_df(model, DATA, w)
    view = fitted(model)
    residual, whole = (STANDARDIZERS[name](view) for name in ("residual", "total"))
    # The optimum is known to half the digits of the criterion
    np.testing.assert_allclose(residual.df, residual_df, rtol=1e-6)
    np.testing.assert_allclose(whole.df, total_df, rtol=1e-6)
    np.testing.assert_allclose(residual.sd, model.sigma_, rtol=1e-12)
    np.testing.assert_allclose(whole.sd, np.sqrt(total), rtol=1e-10)


@pytest.mark.parametrize(
    "formula",
    ["(Days || Subject)", "(1 | Subject) + (1 | Days)", "(Days | Subject) + (1 | Days)"],
)
def test_the_total_is_the_sum_of_the_variances(formula):
    model = lmer(f"Reaction ~ Days + {formula}", DATA, weights="w")
    parts = variance_decomposition(model)["variance"]
    found = Standardizer.of("total", None, fitted(model))
    np.testing.assert_allclose(found.sd**2, parts.drop("fixed").sum(), rtol=1e-10)
    assert 0.0 < found.df < Standardizer.of("residual", None, fitted(model)).df


def test_of_least_squares_both_have_the_residual_degrees_of_freedom():
    for reml, df in ((True, 178.0), (False, 180.0)):
        view = fitted(lmer("Reaction ~ Days", DATA, REML=reml))
        for name in STANDARDIZERS:
            found = Standardizer.of(name, None, view)
            np.testing.assert_allclose([found.sd, found.df], [view.solution.sigma, df], rtol=1e-9)


def test_units_of_a_slope_do_not_matter():
    view, other = (
        fitted(lmer("Reaction ~ Days + (Days | Subject)", DATA.assign(Days=days)))
        for days in (DATA["Days"], 1e6 + 1e-3 * DATA["Days"])
    )
    first, second = STANDARDIZERS["total"](view), STANDARDIZERS["total"](other)
    # A column at 1e9 of its standard deviations keeps seven digits
    np.testing.assert_allclose([first.sd, first.df], [second.sd, second.df], rtol=1e-4)


def test_given_numbers():
    view = fitted(lmer("Reaction ~ Days + (1 | Subject)", DATA))
    found = Standardizer.of(12, 30, view)
    assert (found.sd, found.df) == (12.0, 30.0)
    assert found.remark == "In units of a given standard deviation, 12, of 30 degrees of freedom."
    assert Standardizer.of(12.0, np.inf, None).remark.endswith("12, known.")
    assert Standardizer.of("residual", 50, view).df == 50.0


GENERALIZED = glmer("severe ~ visit + (1 | patient)", load_toenail().frame, "binomial")
REPEATED = MixedLinearRegressor(
    residual=ResidualCovariance("ar1", subject="Subject", time="Days")
).fit(*load_sleepstudy(return_X_y=True))


def test_a_model_without_residuals_has_none():
    data = pd.DataFrame({"g": list("aabbccdd"), "x": list("uvuvuvuv")})
    with pytest.warns(ExactFitWarning):
        model = lmer("y ~ x + (1 | g)", data.assign(y=1.0 * (data["x"] == "u")))
    for name in STANDARDIZERS:
        with pytest.raises(ValueError, match="The model reproduces the response: its residual"):
            Standardizer.of(name, None, fitted(model))


@pytest.mark.parametrize(
    ("sigma", "df", "model", "error", "problem"),
    [
        ("both", None, None, ValueError, "sigma='both' is not known. Choose one of 'residual'"),
        (None, None, None, TypeError, "sigma=None is of type NoneType. Give a number"),
        (-1.0, 3, None, ValueError, "sigma=-1.0 is not positive"),
        (np.inf, 3, None, ValueError, "sigma=inf is not finite"),
        (2.0, None, None, ValueError, "sigma=2.0 needs its degrees of freedom. Give df"),
        (2.0, 0, None, ValueError, "df=0 is not positive"),
        ("total", None, GENERALIZED, ValueError, "sigma='total' is of linear models"),
        ("total", 3, REPEATED, ValueError, "sigma='total' is of models without a covariance"),
        ([2.0, 3.0], 9, None, ValueError, "has a number for each value of `by`, and these"),
        ("total", None, None, ValueError, "sigma='total' is that of a model, which this table"),
    ],
)
def test_what_is_no_standard_deviation_is_refused(sigma, df, model, error, problem):
    view = None if model is None else fitted(model, has_family=True)
    with pytest.raises(error, match=problem):
        Standardizer.of(sigma, df, view)


def complete_visits(n=24, visits=("v1", "v2", "v3")):
    """Subjects of two arms with all visits, which have covariances in closed form."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(n, 1)) + rng.normal(size=(n, len(visits))) * [1.0, 2.0, 3.0]
    wide = pd.DataFrame(values, columns=list(visits)).assign(id=range(n), arm=np.resize([*"ab"], n))
    left = wide[list(visits)] - wide.groupby("arm")[list(visits)].transform("mean")
    return wide.melt(["id", "arm"], var_name="visit", value_name="y"), left.to_numpy()


def test_a_visit_with_a_standard_deviation_of_its_own_is_in_units_of_it():
    """With all visits Σ̂ is Wishart's of n − 2 degrees of freedom, as is each variance."""
    data, left = complete_visits()
    model = mmrm("y ~ arm * visit + us(visit | id)", data)
    found = Standardizer.of("residual", None, fitted(model), pd.DataFrame({"visit": ["v3", "v1"]}))
    df = len(left) - 2
    # The optimum is known to half the digits of the criterion
    np.testing.assert_allclose(found.sd**2, (left**2).sum(axis=0)[[2, 0]] / df, rtol=1e-6)
    np.testing.assert_allclose(found.df, df, rtol=1e-6)
    assert "s by visit, " in found.remark
    assert found.remark.endswith(", of 22 degrees of freedom.")


def test_compound_symmetry_has_one_standard_deviation():
    """σ² is the mean of m eigenvalues: one of n − 2 degrees of freedom, and one of the rest."""
    data, left = complete_visits()
    model = mmrm("y ~ arm * visit + cs(visit | id)", data)
    n, m = len(left) - 2, left.shape[1]
    of_means = m * (left.mean(axis=1) ** 2).sum() / n
    within = ((left**2).sum() - n * of_means) / (n * (m - 1))
    variance = (of_means + (m - 1) * within) / m
    error = 2.0 * (of_means**2 / n + (m - 1) * within**2 / n) / m**2
    found = Standardizer.of("residual", None, fitted(model))
    np.testing.assert_allclose(found.sd**2, variance, rtol=1e-6)
    np.testing.assert_allclose(found.df, 2.0 * variance**2 / error, rtol=1e-6)


def test_one_standard_deviation_for_each_value_of_by():
    within = pd.DataFrame({"visit": ["v1", "v1", "v2"]})
    for sigma in ([4.0, 5.0], {"v2": 5.0, "v1": 4.0}, pd.Series({"v1": 4.0, "v2": 5.0})):
        found = Standardizer.of(sigma, {"v1": 20, "v2": np.inf}, None, within)
        np.testing.assert_array_equal(found.sd, [4.0, 4.0, 5.0])
        np.testing.assert_array_equal(found.df, [20.0, 20.0, np.inf])
    for sigma, problem in (
        ([4.0], r"has 1 numbers, and visit has 2 values: 'v1', 'v2'\. Give one for each"),
        ({"v1": 4.0}, "has no number for 'v2' of visit"),
        ({"v1": 4.0, "v2": -1.0}, r"sigma\['v2'\]=-1.0 is not positive"),
        ([4.0, np.inf], "is not finite"),
    ):
        with pytest.raises(ValueError, match=problem):
            Standardizer.of(sigma, 9, None, within)


def test_standard_deviations_that_differ_within_a_comparison_are_no_unit():
    data, _ = complete_visits()
    model = mmrm("y ~ arm * visit + us(visit | id)", data)
    with pytest.raises(ValueError, match=r"they differ by visit\. Compare means by=\['visit'\]"):
        effect_sizes(marginal_means(model, "arm"))
    by_visit = effect_sizes(marginal_means(model, "arm", by="visit"))
    sd = np.sqrt(np.diagonal(model.residual_covariance_))
    differences = comparisons(marginal_means(model, "arm", by="visit"))["estimate"]
    np.testing.assert_allclose(by_visit["effect_size"], differences / sd, rtol=1e-12)
