"""The turns: where they end, and whose effects are taken from the response."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from skmixed import MixedEffectsRegressor


class Overshooting(RegressorMixin, BaseEstimator):
    """A multiple of the mean response of the rows with the same number in `c`."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y):
        self.mean_ = np.mean(y)
        self.means_ = pd.Series(np.asarray(y)).groupby(X["c"].to_numpy()).mean()
        return self

    def predict(self, X):
        own = self.means_.reindex(X["c"]).fillna(self.mean_).to_numpy()
        return self.mean_ + self.factor * (own - self.mean_)


@pytest.mark.parametrize("factor", [-3.0, -1.5, 2.5])
def test_turns_that_lead_away_end_with_a_warning(factor):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"c": np.arange(200) % 20, "g": np.arange(200) % 20})
    y = rng.normal(size=20)[X["g"]] + rng.normal(size=200)
    # Folds of rows by a column that tells groups apart: f takes up the effects, times the factor
    folds = list(KFold(5, shuffle=True, random_state=0).split(X))
    model = MixedEffectsRegressor(Overshooting(factor), "g", cv=folds)
    with pytest.warns(ConvergenceWarning, match=r"After 3 turns .* more than in the turn before"):
        model.fit(X, y)
    assert not model.converged_
    assert model.n_iter_ == 3


@pytest.mark.parametrize("n_groups", [5, 60])
def test_effects_that_only_jitter_have_settled(n_groups):
    n = 10 * max(n_groups, 6)
    tree = DecisionTreeRegressor(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        for seed in range(8):
            rng = np.random.default_rng(seed)
            X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"]).assign(
                g=np.arange(n) % n_groups
            )
            y = np.sin(2 * X["a"]) + rng.normal(size=n_groups)[X["g"]] + rng.normal(size=n)
            assert MixedEffectsRegressor(tree, "g", max_iter=30).fit(X, y).converged_


def crossed(seed):
    """Sites, which a column tells apart, crossed with days whose effects are large."""
    rng = np.random.default_rng(seed)
    n, sites, days = 800, rng.normal(size=40), rng.normal(size=20)
    days *= 4 / days.std(ddof=1)  # so that its variance is 16 in each set of data
    X = pd.DataFrame({"a": rng.uniform(-2, 2, n), "site": np.repeat(np.arange(40), 20)})
    X["day"], X["c"] = rng.integers(0, 20, n), rng.uniform(-2, 2, 40)[X["site"]]
    f = np.sin(2 * X["a"]) + X["c"] / 2
    mean = f + sites[X["site"]] + days[X["day"]]
    return X, mean + rng.normal(size=n), mean


def test_effects_of_a_crossed_factor_are_taken_out_while_folds_keep_the_other_one_whole():
    found = []
    for seed in range(6):
        X, y, mean = crossed(seed)
        model = MixedEffectsRegressor(KNeighborsRegressor(15), ["site", "day"]).fit(X, y)
        assert model.n_iter_ > 1
        error = np.mean((model.predict(X) - mean) ** 2)
        found.append([*model.variance_components_["variance"], error])
    of_sites, of_days, residual, error = np.mean(found, axis=0)
    # f̂ has an error of 0.12 to 0.14; after one turn, on y with the days in it, the residual
    # variance is 1.9, and that of days 0.4 too large with a standard error of 0.15. The mean of six
    # residual variances of 800 rows has one of 0.03, that of days 0.1, that of sites 0.1.
    assert abs(residual - 1 - error) < 0.1
    assert abs(of_days - 16) < 0.3
    assert abs(of_sites - 1.15) < 0.35
