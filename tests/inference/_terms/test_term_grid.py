import numpy as np
import pytest

from skmixed import MixedLinearRegressor, lmer
from skmixed.datasets import load_cake, load_sleepstudy
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference._terms.term_grid import grid_of_terms

CAKE = load_cake().frame


def grid_of(model, by=None, at=None):
    return grid_of_terms(model, by, at, None, None)[0]


def test_numbers_are_one_below_and_one_above_their_mean():
    model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)
    own = grid_of(model)
    assert own.names == ["recipe", "temp"]
    assert own.cells["temp"].unique().tolist() == [199.0, 201.0]
    assert len(own.cells) == 6
    assert own.remarks == ("At the mean ± 1: temp.",)


def test_values_that_are_given_and_factors_have_their_own():
    model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", CAKE)
    own = grid_of(model, "temp", {"temp": [180, 220]})
    assert own.by == ("temp",)
    assert own.cells["temp"].unique().tolist() == [180.0, 220.0]
    assert own.remarks == ()


def test_offsets_are_left_out():
    data = CAKE.assign(base=CAKE["temp"] / 100.0)
    model = lmer("angle ~ recipe + temp + offset(temp / 100) + (1 | recipe:replicate)", data)
    assert not grid_of(model).offset.any()


def test_columns_that_are_not_finite_there_are_refused():
    data = load_sleepstudy().frame
    data["share"] = (data["Days"] + 1.0) / 20.0
    model = lmer("Reaction ~ np.log(share) + (1 | Subject)", data)
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="not finite one below and one above the mean of 'share'"),
    ):
        grid_of(model)
    assert np.isfinite(grid_of(model, at={"share": [0.1, 0.4]}).rows).all()


def test_factors_that_are_nested_in_others():
    data = CAKE.assign(batch=CAKE["recipe"] + (CAKE["replicate"].astype(int) % 3).astype(str))
    with pytest.warns(RankDeficiencyWarning):
        model = lmer("angle ~ recipe + batch + temp + (1 | recipe:replicate)", data)
    own, nesting = grid_of_terms(model, None, {"recipe": ["C", "A"]}, None, None)
    assert list(nesting) == ["batch"]
    assert list(nesting["batch"]) == ["recipe"]
    expected = np.zeros((9, 2), dtype=bool)
    expected[6:, 0] = expected[:3, 1] = True
    np.testing.assert_array_equal(nesting["batch"]["recipe"], expected)
    assert own.remarks == ("At the mean ± 1: temp.", "batch is nested in recipe.")


def test_models_without_a_formula_or_without_terms_are_refused():
    X, y = load_sleepstudy(return_X_y=True)
    with pytest.raises(TypeError, match="The model is a MixedLinearRegressor by columns"):
        grid_of(MixedLinearRegressor("Subject").fit(X, y))
    model = lmer("Reaction ~ 1 + (1 | Subject)", load_sleepstudy().frame)
    with pytest.raises(ValueError, match="The fixed part has no variable: there is"):
        grid_of(model)
