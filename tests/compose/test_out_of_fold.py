"""Rows that are predicted out of bag."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import BaggingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import MixedEffectsRegressor
from skmixed.compose._out_of_fold import _is_out_of_bag


def made(n=90, n_groups=9):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    X["g"] = np.arange(n) % n_groups
    return X, X["a"] + rng.normal(size=n_groups)[X["g"]] + rng.normal(size=n)


def test_trees_out_of_bag_are_for_bare_forests_without_weights():
    X, y = made()
    forest = RandomForestRegressor(50, random_state=0)
    model = MixedEffectsRegressor(forest, "g", max_iter=1, tol=10.0)
    assert model.fit(X, y, sample_weight=np.ones(90)).n_regressor_fits_ == 6
    model.set_params(regressor=make_pipeline(StandardScaler(), forest))
    assert model.fit(X, y).n_regressor_fits_ == 6
    assert model.set_params(cv="oob").fit(X, y).n_regressor_fits_ == 2


@pytest.mark.parametrize("ensemble", [RandomForestRegressor, BaggingRegressor])
@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
def test_rows_in_the_samples_of_all_of_a_few_trees_are_known(ensemble):
    X, y = made()
    fitted = ensemble(n_estimators=4, oob_score=True, random_state=0).fit(X, y)
    found = _is_out_of_bag(fitted.estimators_samples_, len(X))
    # scikit-learn predicts 0 where no tree does.
    np.testing.assert_array_equal(found, fitted.oob_prediction_ != 0)
    assert 0 < found.sum() < len(X)


def test_rows_in_the_samples_of_all_trees_are_no_zeros():
    X, y = made()
    weights = np.where(np.arange(90) == 7, 1e6, 1.0)
    bag = BaggingRegressor(Ridge(), 50, random_state=0)
    model = MixedEffectsRegressor(bag, "g", cv="oob", max_iter=1, tol=10.0)
    with pytest.raises(ValueError, match="in the samples of all trees, as rows of large sample_w"):
        model.fit(X, y, sample_weight=weights)
    assert model.fit(X, y, sample_weight=np.ones(90)).n_regressor_fits_ == 2


def test_warnings_of_the_trees_are_handed_on():
    class Saying(BaggingRegressor):
        def fit(self, X, y, sample_weight=None):
            import warnings

            warnings.warn("said by the trees", stacklevel=1)
            return super().fit(X, y, sample_weight)

    X, y = made()
    model = MixedEffectsRegressor(Saying(Ridge(), 50, random_state=0), "g", tol=10.0)
    with pytest.warns(UserWarning, match="said by the trees"):
        model.fit(X, y)


def test_trees_without_samples_to_look_at_are_no_bag():
    class Silent(Ridge):
        def __init__(self, n_estimators=50, bootstrap=True, oob_score=False):
            super().__init__()
            self.n_estimators = n_estimators
            self.bootstrap = bootstrap
            self.oob_score = oob_score

    X, y = made()
    assert (
        MixedEffectsRegressor(Silent(), "g", max_iter=1, tol=10.0).fit(X, y).n_regressor_fits_ == 6
    )
