import numpy as np
import pandas as pd
import pytest
from terms_reference import CASES, fitted

from skmixed import lmer
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference import joint_tests, marginal_means
from skmixed.inference._marginal.averaging import averaging_weights
from skmixed.inference._marginal.grid import ReferenceGrid, reference_of
from skmixed.inference._marginal.grid_request import GridRequest
from skmixed.inference._marginal.nesting import nested_factors, nested_shares


def nested_data():
    """Three levels of f, with two, three and four levels of c within, and halves of c within c."""
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"f": rng.choice(["a", "b", "c"], 240), "h": rng.choice(["u", "v"], 240)})
    size = data["f"].map({"a": 2, "b": 3, "c": 4})
    data["c"] = data["f"] + (rng.integers(100, size=240) % size).astype(str)
    data["d"] = data["c"] + rng.choice(["x", "y"], 240)
    data["same"] = data["f"] + "!"
    data["x"] = rng.normal(size=240)
    effects = dict(zip(sorted(data["d"].unique()), rng.normal(size=30), strict=False))
    return data.assign(g=np.arange(240) % 9, y=data["d"].map(effects) + rng.normal(size=240))


NESTED = nested_data().assign(y=lambda d: d["y"] + d["g"])


@pytest.fixture(scope="module")
def nested_model():
    with pytest.warns(RankDeficiencyWarning):
        return lmer("y ~ f + c + d + same + h + x + (1 | g)", NESTED)


def test_nested_factors_are_found(nested_model):
    grid = ReferenceGrid.of(reference_of(nested_model), GridRequest.of("h", None, None))
    own = {name: set(outers) for name, outers in nested_factors(grid).items()}
    assert own == {"c": {"f", "same"}, "d": {"c", "f", "same"}}


@pytest.mark.parametrize("variables", [["f"], ["h"], ["c"], ["f", "h"], []])
def test_levels_within_a_level_count_alike(nested_model, variables):
    asked = GridRequest.of(variables, None, {"same": ["a!", "b!", "c!"]})
    grid = ReferenceGrid.of(reference_of(nested_model), asked)
    shares = averaging_weights(grid, "equal")
    cells = grid.cells.assign(
        share=shares.ravel(), target=np.arange(len(grid.cells)) // shares.shape[1]
    )
    there = cells["share"] > 0
    # The cells that count are those whose nested levels occur together
    seen = set(map(tuple, NESTED[["f", "same", "c", "d"]].drop_duplicates().to_numpy()))
    found = set(map(tuple, cells.loc[there, ["f", "same", "c", "d"]].to_numpy()))
    assert found == seen
    for _, own in cells[there].groupby("target"):
        # Each level within the same level of the outer ones has the same share
        for outer, inner in (("f", "c"), ("c", "d")):
            sums = own.groupby([outer, inner])["share"].sum()
            spread = sums.groupby(outer).agg(["min", "max"])
            np.testing.assert_allclose(spread["min"], spread["max"], rtol=1e-12)
        f = own.groupby("f")["share"].sum()
        np.testing.assert_allclose(f, 1.0 / len(f), rtol=1e-12)


def test_nested_levels_count_by_their_rows(nested_model):
    asked = GridRequest.of(["f"], None, None)
    grid = ReferenceGrid.of(reference_of(nested_model), asked)
    cells = grid.cells.assign(share=averaging_weights(grid, "proportional").ravel())
    for level, own in cells.groupby("f"):
        rows = NESTED[NESTED["f"] == level]
        found = own.groupby("d")["share"].sum()
        expected = rows["d"].value_counts(normalize=True).reindex(found.index, fill_value=0.0)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_means_of_nested_designs_are_determined(nested_model):
    found = marginal_means(nested_model, "f")
    assert found["mean"].notna().all()
    assert "c is nested in f and same." in found.remarks[0]
    # Of the cells within the level, alike
    within = NESTED[["f", "same", "c", "d"]].drop_duplicates()
    cells = within.merge(NESTED[["h"]].drop_duplicates(), how="cross")
    cells = cells.assign(x=NESTED["x"].mean(), g=0)
    cells["fit"] = nested_model.predict(cells, include="fixed")
    expected = cells.groupby(["f", "c"])["fit"].mean().groupby("f").mean()
    np.testing.assert_allclose(found["mean"], expected, rtol=1e-11)


def test_levels_within_several_factors_are_divided_by_their_number_in_all_at_once():
    # One, four, three and two levels of c in the cells of d and e
    cells = np.repeat([0, 1, 2, 3], [1, 4, 3, 2])
    pairs = {"d": np.eye(2, dtype=bool)[cells // 2], "e": np.eye(2, dtype=bool)[cells % 2]}
    shares = nested_shares(("d", "e", "c"), (2, 2, 10), {"c": pairs}, {"d"})
    np.testing.assert_allclose(shares.sum(axis=2), np.ones((2, 2)), rtol=1e-15)
    alone = shares[cells // 2, cells % 2, np.arange(10)]
    np.testing.assert_allclose(alone, 1.0 / np.repeat([1, 4, 3, 2], [1, 4, 3, 2]), rtol=1e-15)


MEANS = [formula for formula, own in CASES.items() if "mean_of" in own]
# Variances of lme4's search have about half the digits of the criterion
SEARCHED = 2e-5


@pytest.mark.parametrize("formula", MEANS)
def test_means_are_those_of_emmeans(formula):
    expected = CASES[formula]
    found = marginal_means(fitted(formula), expected["mean_of"])
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=SEARCHED)
    np.testing.assert_allclose(found["std_error"], expected["std_error"], rtol=SEARCHED)


@pytest.mark.parametrize("formula", CASES)
def test_joint_tests_are_those_of_emmeans(formula):
    expected = CASES[formula]
    found = joint_tests(fitted(formula))
    assert found["term"].tolist() == expected["term"]
    np.testing.assert_array_equal(found["df_num"], expected["df_num"])
    np.testing.assert_allclose(found["F"], expected["F"], rtol=SEARCHED)
