"""The search's coordinates of a term, also of slopes that nearly depend on each other."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracle import DenseModel

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._derivatives.pinned import PinnedCorrelation
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.coordinates import term_coordinates
from skmixed._statistics.design import Design, FactorDesign


def statistics(seed, share, columns=(0, 1, 2), n=120):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, n))
    x[1] = 2.0 * x[0] + share * x[1] + 1.0
    design = Design(
        tuple(x), (rng.normal(size=n),), None, (FactorDesign(np.arange(n) % 5, 5, columns),)
    )
    return design, accumulate(design)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
@pytest.mark.parametrize("columns", [(0, 1, 2), (2, 0, 1), (1, 2), (2, 1), (2,)])
@pytest.mark.parametrize("share", [1e-3, 1e-6])
def test_coefficients_are_those_of_the_users_columns(name, columns, share):
    design, stats = statistics(0, share)
    term = Term(0, columns, STRUCTURES[name])
    (own,) = term_coordinates(stats, (term,), 0)
    rows = np.column_stack([np.ones(design.n_rows), *design.columns])
    frame = stats.factors[0].frame(stats.center)
    f = frame.in_frame(rows - frame.center)
    found = f @ own.to_factor_columns
    # The rounding of the columns times the coefficients that cancel.
    assert_allclose(found, rows[:, columns] @ own.to_user, rtol=0, atol=1e-13 / share)
    gram = found.T @ found / design.n_rows
    if name == "full":
        assert np.linalg.cond(gram) < 20  # without the intercept slopes are not centered
    else:
        assert_array_equal(own.to_user, np.diag(np.diagonal(own.to_user)))


def test_slopes_far_from_each_other_stay_apart():
    _, stats = statistics(0, 1.0)
    assert stats.factors[0].regression is None
    (own,) = term_coordinates(stats, (Term(0, (1, 2), STRUCTURES["full"]),), 0)
    assert_array_equal(own.to_user, np.diag(np.diagonal(own.to_user)))


def data(seed, share, q=12, m=10):
    """Rows with two slopes, and with the orthogonal ones that these are made of."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(q), m)
    a, e = rng.normal(size=(2, q * m))
    near = a + share * e
    apart = (near - a) / share  # exactly what was added to a
    b = rng.normal(size=(q, 3)) @ [[1.0, 0.3, 0.2], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]]
    y = 1.0 + 0.5 * a + b[g, 0] + b[g, 1] * a + b[g, 2] * e + rng.normal(size=q * m)
    first = pd.DataFrame({"g": g, "h": rng.permutation(q * m) % 7, "x": a, "z": near})
    return first, first.assign(z=apart), y


def model(**parameters):
    slopes = RandomEffect("g", slopes=["x", "z"], **parameters)
    return MixedLinearRegressor([slopes, "h"], fixed=["x"])


def fitted(X, y, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some are singular
        return model(**parameters).fit(X, y)


@given(seed=st.integers(0, 10**6), digits=st.floats(1, 8), q=st.sampled_from([12, 60]))
@example(seed=0, digits=7.5, q=60)
@example(seed=0, digits=7.5, q=12)
@settings(max_examples=12, deadline=None)
def test_nearly_dependent_slopes_are_orthogonal_ones(seed, digits, q):
    """A full covariance is one of any combinations of the slopes."""
    share = 10.0**-digits
    near, apart, y = data(seed, share, q=q)
    first, second = fitted(near, y), fitted(apart, y)
    assert first.converged_
    assert second.converged_
    # The rounding of the slopes over what tells them apart, of a criterion of some hundreds.
    close = {"rtol": 1e-11 + 1e-16 / share, "atol": 0}
    assert_allclose(first.criterion_, second.criterion_, **close)
    means, sds = first.predict(near, return_std=True)
    expected, expected_sds = second.predict(apart, return_std=True)
    # Searches end where the criterion is flat to its own tolerance: at its root.
    assert_allclose(means, expected, rtol=0, atol=1e-4)
    assert_allclose(sds, expected_sds, rtol=1e-4)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
@pytest.mark.parametrize("share", [1e-4, 1e-7])
def test_slopes_that_may_not_be_combined_have_their_own_criterion(covariance, share):
    X, _, y = data(1, share)
    found = fitted(X, y, covariance=covariance)
    columns = np.column_stack([np.ones(len(X)), X["x"], X["z"]])
    terms = [(X["g"], 12, columns), (X["h"], 7, np.ones((len(X), 1)))]
    dense = DenseModel(columns[:, :2], y, [(np.asarray(g), q, z) for g, q, z in terms])
    lams = [term.lam for term in found._model.solution.terms]
    assert_allclose(dense.at(lams)["criterion"], found.criterion_, rtol=1e-10)


def test_a_correlation_that_is_held_is_one_of_the_users_columns():
    """Of slopes whose correlation has a meaning where they nearly depend on each other."""
    _, stats = statistics(0, 1e-6)
    (own,) = term_coordinates(stats, (Term(0, (0, 1, 2), STRUCTURES["full"]),), 0)
    held = PinnedCorrelation(1, 2, 1.0, own.to_user)
    lam, _ = held.chart(np.random.default_rng(0).normal(size=(3, 3)))
    _, first, second = own.to_user @ lam
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    # The combination that tells the slopes apart is 1e6 times as large as they are.
    assert cosine == pytest.approx(np.cos(1.0), abs=1e-9)


@pytest.mark.parametrize("share", [1e-4, 1e-7])
def test_parts_of_the_rows_give_the_same_fit(share):
    X, _, y = data(2, share)
    whole, parts = fitted(X, y), [(X[k : k + 17], y[k : k + 17]) for k in range(0, len(y), 17)]
    chunks = model().fit_chunks(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few rows
        grown = model()
        for part in parts:
            grown.partial_fit(*part)
    for other in (chunks, grown, pickle.loads(pickle.dumps(grown))):
        assert_allclose(other.criterion_, whole.criterion_, rtol=1e-11 + 1e-16 / share)
        assert_allclose(other.predict(X), whole.predict(X), rtol=0, atol=1e-4)
