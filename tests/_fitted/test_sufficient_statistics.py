"""Statistics of sets of rows that add up to those of all rows."""

import operator
import pickle
from functools import reduce

import numpy as np
import pandas as pd
import pytest
from _estimators.test_incremental import MODELS, assert_same_fit, assert_same_statistics, rows
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import skmixed
from skmixed import MixedLinearRegressor, SufficientStatistics
from skmixed.exceptions import UndeterminedError

pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.IdentifiabilityWarning"),
]


def sites(model, X, y, weights, n):
    """Statistics of n sites, as they arrive by mail."""
    for part in np.array_split(np.arange(len(y)), n):
        own = None if weights is None else weights[part]
        yield pickle.loads(pickle.dumps(model.statistics(X.iloc[part], y[part], own)))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_sites_add_up(kind, weighted):
    X, y, weights = rows(0)
    weights = weights if weighted else None
    model = MixedLinearRegressor(MODELS[kind], fixed=["x", "z"])
    whole = clone(model).fit(X, y, weights)
    for n in (2, 7):
        total = reduce(operator.add, sites(model, X, y, weights, n))
        other = clone(model).fit_statistics(total)
        assert_same_statistics(whole, other)
        assert_same_fit(whole, other, 1e-10 if kind in ("one", "none") else 1e-5)
        assert total.n_rows == len(y)
        assert list(other.feature_names_in_) == list(X.columns)
    assert not hasattr(model, "coef_")


def test_the_order_of_adding_does_not_matter():
    X, y, weights = rows(1)
    model = MixedLinearRegressor(MODELS["three ways"], fixed=["x", "z"])
    a, b, c = sites(model, X, y, weights, 3)
    fits = [clone(model).fit_statistics(s) for s in ((a + b) + c, a + (b + c), c + (b + a))]
    for other in fits[1:]:
        assert_same_statistics(fits[0], other)


def test_the_sides_of_a_sum_stay_as_they_are():
    X, y, _ = rows(2)
    model = MixedLinearRegressor(["g", "h"], fixed=["x", "z"])
    a, b = sites(model, X, y, None, 2)
    before = [f.sums.copy() for f in a.products.factors]
    first = pickle.dumps(a + b)
    assert pickle.dumps(a + b) == first
    for factor, sums in zip(a.products.factors, before, strict=True):
        assert_array_equal(factor.sums, sums)
    assert repr(a + b) == f"SufficientStatistics({len(y)} rows, g 9, h 8)"
    assert (a + b).n_levels == {"g": 9, "h": 8}


def test_other_parameters_of_the_model_on_the_same_statistics():
    X, y, _ = rows(3)
    stats = MixedLinearRegressor("g", random_slopes="x", fixed=["x", "z"]).statistics(X, y)
    for change in ({"method": "ml"}, {"covariance": "diag"}, {"fit_intercept": False}):
        parameters = {"random_slopes": "x", "fixed": ["x", "z"], **change}
        model = MixedLinearRegressor("g", **parameters)
        assert_same_fit(clone(model).fit(X, y), model.fit_statistics(stats))
    for change in ({"groups": "h"}, {"random_slopes": None}, {"fixed": ["x"]}):
        parameters = {"groups": "g", "random_slopes": "x", "fixed": ["x", "z"], **change}
        model = MixedLinearRegressor(**parameters)
        with pytest.raises(ValueError, match=r"The statistics are of numeric columns 'x', 'z' and"):
            model.fit_statistics(stats)


def test_metadata_and_positions():
    X, y, _ = rows(4)
    A, labels = X[["x", "z"]].to_numpy(), X["g"]
    model = MixedLinearRegressor()
    stats = [
        model.statistics(A[p], y[p], groups=labels[p]) for p in (slice(0, 50), slice(50, None))
    ]
    other = clone(model).fit_statistics(stats[0] + stats[1])
    assert_same_statistics(clone(model).fit(A, y, groups=labels), other)
    assert other.n_features_in_ == 2
    assert not hasattr(other, "feature_names_in_")
    assert_allclose(
        other.predict(A, groups=labels),
        clone(model).fit(A, y, groups=labels).predict(A, groups=labels),
    )


def test_partial_fit_continues_from_statistics():
    X, y, _ = rows(5)
    model = MixedLinearRegressor("g", fixed=["x", "z"])
    model.fit_statistics(model.statistics(X[:60], y[:60])).partial_fit(X[60:], y[60:])
    assert_same_statistics(clone(model).fit(X, y), model)


def test_statistics_of_many_sites_sum():
    X, y, _ = rows(8)
    model = MixedLinearRegressor("g", fixed=["x", "z"])
    parts = [model.statistics(X[i : i + 20], y[i : i + 20]) for i in range(0, len(X), 20)]
    assert_same_statistics(clone(model).fit(X, y), model.fit_statistics(sum(parts)))
    with pytest.raises(TypeError, match="unsupported operand"):
        1 + parts[0]


def test_statistics_that_do_not_add():
    X, y, _ = rows(6)
    model = MixedLinearRegressor("g", fixed="x")
    stats = model.statistics(X, y)
    with pytest.raises(ValueError, match="The statistics are of different columns: 'x', 'z', 'g'"):
        stats + model.statistics(X[["g", "x"]], y)
    with pytest.raises(ValueError, match="and 5 without names"):
        stats + MixedLinearRegressor(2, fixed=0).statistics(X.to_numpy(dtype=object), y)
    with pytest.raises(ValueError, match=r"grouping factors 'g' with .*; here are asked for"):
        stats + MixedLinearRegressor("h", fixed="x").statistics(X, y)
    with pytest.raises(ValueError, match="The labels of grouping column 'g' are text"):
        stats + model.statistics(X.assign(g=X["g"].astype(str)), y)
    with pytest.raises(TypeError, match="unsupported operand"):
        stats + 1


def test_statistics_that_are_no_model():
    X, y, _ = rows(7)
    model = MixedLinearRegressor("g", fixed="x")
    with pytest.raises(TypeError, match=r"stats is of type DataFrame\. Give SufficientStatistics"):
        model.fit_statistics(X)
    one_each = model.statistics(X[:3].assign(g=[1, 2, 3]), y[:3])
    with pytest.raises(UndeterminedError, match="3 levels for 3 samples"):
        model.fit_statistics(one_each)
    assert set(vars(model)) == set(model.get_params())
    with pytest.raises(ValueError, match="Column 'x' contains NaN"):
        model.statistics(X.assign(x=np.nan), y)
    with pytest.raises(ValueError, match="more than one term"):
        MixedLinearRegressor(["g", "g"], fixed="x").statistics(X, y)


def test_size_does_not_depend_on_the_rows():
    X, y, _ = rows(8, 1000)
    model = MixedLinearRegressor("g", fixed=["x", "z"])
    small, large = (
        len(pickle.dumps(model.statistics(X, y))),
        len(pickle.dumps(model.statistics(pd.concat([X] * 20), np.tile(y, 20)))),
    )
    assert abs(large - small) < 100
    assert skmixed.SufficientStatistics is SufficientStatistics
