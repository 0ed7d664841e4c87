"""The one value that a fit leaves behind."""

import copy
import pickle
from dataclasses import replace

import pytest
from sklearn.base import clone

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._fitted import kernel
from skmixed._uncertainty import relative
from skmixed.datasets import load_sleepstudy
from skmixed.inference import (
    anova,
    coefficient_table,
    confidence_intervals,
    convergence,
    icc,
    random_effects_table,
    vcov,
)

X, y = load_sleepstudy(return_X_y=True)


@pytest.fixture
def model():
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)


@pytest.fixture
def calls(monkeypatch):
    """How often the kernel was called by fitted models and what they hold."""
    counts = {}

    def count(module, name):
        function = getattr(module, name)

        def counted(*args, **kwargs):
            counts[module.__name__, name] = counts.get((module.__name__, name), 0) + 1
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)

    count(kernel, "factorize")
    count(kernel, "information_at")
    count(relative, "factorize")
    count(relative, "information")
    return counts


def test_all_that_follows_a_fit_shares_one_factorization(model, calls):
    model.summary()
    coefficient_table(model)
    coefficient_table(model, "kenward-roger")
    confidence_intervals(model)
    anova(model)
    vcov(model)
    icc(model)
    random_effects_table(model)
    convergence(model)
    model.predict_interval(X)
    model.predict(X, return_std=True)
    assert calls == {
        ("skmixed._fitted.kernel", "factorize"): 1,
        ("skmixed._fitted.kernel", "information_at"): 1,  # of `convergence`
        ("skmixed._uncertainty.relative", "factorize"): 1,  # in units of the effects
        ("skmixed._uncertainty.relative", "information"): 1,
    }


def test_what_is_kept_is_neither_saved_nor_copied(model):
    before = pickle.dumps(model)
    model.summary()
    assert "factorization" in vars(model._model)
    assert pickle.dumps(model) == before
    for other in (copy.deepcopy(model), pickle.loads(before)):
        assert "factorization" not in vars(other._model)
    assert not hasattr(clone(model), "_model")


def test_an_estimator_has_one_private_attribute(model):
    # Beside the name of y, of which nothing is computed
    assert {name for name in vars(model) if name.startswith("_")} == {"_model", "_response_name"}


def test_further_rows_stand_beside_the_fit(model):
    fit = model._model
    model.update_groups(X[:5].assign(Subject="new"), y[:5])
    assert model._model.at_fit is fit
    assert fit.at_fit is fit
    assert model._model.n_rows == fit.n_rows + 5
    assert model.slim()._model.at_fit.is_slim
    assert model.fit(X, y)._model.before is None


def test_equations_without_digits_say_that_the_model_reproduces_y():
    """At variances of 1e24 times that of the residuals, beyond what a search ends at."""
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor(["Subject", RandomEffect("Days", intercept=True)], fixed=[])
    model.fit(X, y)
    own = model._model.estimate
    terms = tuple(replace(t, search_lam=1e12 * t.search_lam) for t in own.solution.terms)
    estimate = replace(own, solution=replace(own.solution, terms=terms))
    model._model = replace(model._model, estimate=estimate)
    for function in (coefficient_table, lambda own: own.predict_interval(X[:2])):
        with pytest.raises(ValueError, match="The model reproduces y, and at variances"):
            function(model)
