import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import MixedLinearRegressor, lmer
from skmixed.datasets import load_cake, load_sleepstudy
from skmixed.diagnostics import variance_inflation
from skmixed.exceptions import RankDeficiencyWarning

CAKE = load_cake().frame


def test_values_of_performance():
    # check_collinearity of R's performance 0.10.2, after lmer with a tight optimizer
    model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)
    table = variance_inflation(model)
    expected = [133.41361007944300, 3.00000000000195, 156.51457197106424]
    # R's optimizer stops 1e-9 away from the optimum.
    assert_allclose(table["vif"], expected, rtol=1e-7)
    assert list(table.index) == ["recipe", "temp", "recipe:temp"]
    assert_allclose(table["error_factor"], table["vif"] ** (0.5 / table["n_columns"]), rtol=1e-14)
    assert_allclose(table["tolerance"] * table["vif"], 1.0, rtol=1e-14)


def test_coding_does_not_matter():
    first = lmer("angle ~ C(recipe, contr.sum) + temp + (1 | replicate)", CAKE)
    second = lmer("angle ~ recipe + temp + (1 | replicate)", CAKE)
    # Rounding of determinants.
    assert_allclose(variance_inflation(first)["vif"], variance_inflation(second)["vif"], rtol=1e-10)


def test_without_groups_it_is_the_classical_one():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(50, 3)), columns=["a", "b", "c"])
    X["c"] += 2.0 * X["a"] - X["b"]
    table = variance_inflation(MixedLinearRegressor().fit(X, rng.normal(size=50)))
    # 1/(1 − R²) of each column on the others: the diagonal of the inverse correlation matrix
    assert_allclose(table["vif"], np.diagonal(np.linalg.inv(np.corrcoef(X.T))), rtol=1e-10)


def test_a_dropped_column_has_none():
    data = CAKE.assign(double=2.0 * CAKE["temp"])
    with pytest.warns(RankDeficiencyWarning, match="double"):
        model = lmer("angle ~ recipe + temp + double + (1 | replicate)", data)
    table = variance_inflation(model)
    assert table["vif"].isna().to_list() == [False, False, True]


@pytest.mark.parametrize(
    ("formula", "terms"),
    [
        ("Reaction ~ Days", "'Days' beside the intercept"),
        ("Reaction ~ 1", "no term beside the intercept"),
        ("Reaction ~ 0 + Days", "'Days' and no intercept"),
    ],
)
def test_one_term_is_refused(formula, terms):
    model = lmer(f"{formula} + (1 | Subject)", load_sleepstudy().frame)
    with pytest.raises(ValueError, match=f"The fixed part has {terms}, and"):
        variance_inflation(model)
