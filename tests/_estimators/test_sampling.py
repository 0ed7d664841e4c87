"""Tolerances: over n draws the mean of a response with standard deviation s has the
error s/√n, and an entry of a covariance matrix at most √2 s²/√n (normal draws). Five of
these errors: of some thousand entries none is expected beyond, and seeds are fixed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from updates import STRUCTURES, Dense, regressor, table, updated

from skmixed import MixedLinearRegressor
from skmixed._equations.row_substitution import RowSolver
from skmixed._fitted.fitted_model import fitted
from skmixed._fitted.prediction_rows import open_rows
from skmixed.datasets import load_sleepstudy

N = 1000
ERRORS = 5.0 / np.sqrt(N)
pytestmark = pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")


def check_moments(samples, mean, covariance):
    sd = np.sqrt(np.diagonal(covariance))
    assert (np.abs(samples.mean(axis=1) - mean) < ERRORS * sd).all()
    off = np.abs(np.cov(samples) - covariance)
    assert (off < ERRORS * np.sqrt(2) * np.outer(sd, sd)).all()


def joint(dense, X):
    """Covariance of z'b + x'β given the data, for rows of known levels."""
    zl, x = dense.random(dense.X) @ dense.lam, dense.fixed(dense.X)
    m = zl.T @ (dense.weights[:, None] * zl) + np.eye(zl.shape[1])
    given_fixed = dense.lam @ np.linalg.solve(m, dense.lam.T)
    k = given_fixed @ dense.random(dense.X).T @ (dense.weights[:, None] * x)
    a = dense.fixed(X) - dense.random(X) @ k
    z = dense.random(X)
    phi = fitted(dense.model).solution.fixed_covariance
    return dense.model.sigma_**2 * z @ given_fixed @ z.T + a @ phi @ a.T


def of_new(model, X, *, missing=range(0)):
    """Covariance σ²ZΛΛ'Z' of rows whose groups are drawn anew."""
    opened, out = fitted(model), np.zeros((len(X), len(X)))
    for term, estimate in zip(opened.encoder.terms, opened.solution.terms, strict=True):
        sources = [s.name for s in opened.encoder.factors[term.factor].sources]
        labels = X.groupby(sources, dropna=False).ngroup().to_numpy()
        same = labels[:, None] == labels
        same[list(missing)] = same[:, list(missing)] = False
        np.fill_diagonal(same, True)
        names = opened.encoder.coefficient_names(term)
        columns = X.assign(**{"(Intercept)": 1.0})[names].to_numpy(dtype=float)
        scaled = model.sigma_ * columns @ estimate.lam
        out += same * (scaled @ scaled.T)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slopes", "nested slopes", "crossed slopes", "three", "diag"])
def test_known_groups_are_drawn_from_their_posterior(name):
    (X, y), w = table(0, 90), np.random.default_rng(0).uniform(0.5, 2, 90)
    model = regressor(name).fit(X, y, w)
    new, own = X.iloc[:25].assign(x1=X["x1"] + 1), np.linspace(0.5, 4, 25)
    samples = model.sample_y(new, N, sample_weight=own)
    covariance = joint(Dense(model, X, y, w), new) + np.diag(model.sigma_**2 / own)
    check_moments(samples, model.predict(new), covariance)


@pytest.mark.parametrize("name", ["slopes", "nested", "crossed"])
def test_groups_given_to_update_groups_are_known(name):
    model, dense = updated(name)
    new = dense.X.iloc[-20:]
    covariance = joint(dense, new) + model.sigma_**2 * np.eye(20)
    check_moments(model.sample_y(new, N), model.predict(new), covariance)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_new_groups_are_drawn_as_the_model_says(name):
    model = regressor(name).fit(*table(0, 90))
    X, _ = table(0, 30)
    covariance = of_new(model, X) + model.sigma_**2 * np.eye(30)
    samples = model.sample_y(X, N, effects="new")
    check_moments(samples, model.predict(X, include="fixed"), covariance)


def test_unknown_and_missing_groups_beside_known_ones():
    X, y = table(0, 90)
    model = regressor("slopes").fit(X, y)
    new = X.iloc[:12].copy()
    groups = np.array(new["g"], dtype=object)
    groups[3:6], groups[6:8], groups[8:] = 100, 101, None
    new["g"] = groups
    unknown, missing = np.arange(3, 12), np.arange(8, 12)
    covariance = joint(Dense(model, X, y, np.ones(90)), new) + model.sigma_**2 * np.eye(12)
    drawn = of_new(model, new, missing=missing)
    covariance[np.ix_(unknown, unknown)] += drawn[np.ix_(unknown, unknown)]
    check_moments(model.sample_y(new, N), model.predict(new), covariance)


def test_spread_is_the_variance_of_an_observation():
    X, y = table(0, 90)
    model = regressor("nested slopes").fit(X, y)
    opened = fitted(model)
    variance = RowSolver.of(opened.factorization).variance(open_rows(model, X).design())
    sd = np.sqrt(opened.sigma_squared * variance.total + model.sigma_**2)
    samples = model.sample_y(X, N)
    # Of a standard deviation over N normal draws, 1/√(2N) relative.
    assert_allclose(samples.std(axis=1), sd, rtol=ERRORS)


def test_least_squares():
    X, y = table(0, 90)
    X = X[["x1", "x2"]]
    model = MixedLinearRegressor().fit(X, y)
    x = np.column_stack([np.ones(90), X])
    covariance = x @ fitted(model).solution.fixed_covariance @ x.T + model.sigma_**2 * np.eye(90)
    check_moments(model.sample_y(X, N), model.predict(X), covariance)
    check_moments(
        model.sample_y(X, N, effects="new"), model.predict(X), model.sigma_**2 * np.eye(90)
    )


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning")
def test_a_dropped_column():
    X, y = table(0, 90)
    X["twice"] = 2 * X["x1"]
    model = MixedLinearRegressor("g", fixed=["x1", "x2", "twice"]).fit(X, y)
    other = MixedLinearRegressor("g", fixed=["x1", "x2"]).fit(X, y)
    # The same numbers drawn; the same model to the rounding of its search.
    assert_allclose(model.sample_y(X, 3), other.sample_y(X, 3), rtol=1e-6)


@pytest.mark.parametrize("effects", ["conditional", "new"])
def test_same_seed_same_samples(effects):
    X, y = table(0, 90)
    model = regressor("crossed slopes").fit(X, y)
    A, _ = table(1, 30, new=True)
    samples = model.sample_y(A, 5, 3, effects=effects)
    assert samples.shape == (30, 5)
    assert_array_equal(samples, model.sample_y(A, 5, 3, effects=effects))
    assert_array_equal(samples[:, :2], model.sample_y(A, 2, 3, effects=effects))
    assert_array_equal(samples[:11], model.sample_y(A[:11], 5, 3, effects=effects))
    assert not np.isin(samples, model.sample_y(A, 5, 4, effects=effects)).any()
    assert_array_equal(model.sample_y(A, effects=effects), model.sample_y(A, 1, 0, effects=effects))


def test_samples_differ_in_each_row():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    samples = model.sample_y(X, 7)
    assert len(np.unique(samples)) == samples.size


def test_any_kind_of_random_state():
    X, y = table(0, 90)
    model = regressor("intercepts").fit(X, y)
    for make in (np.random.RandomState, np.random.default_rng):
        assert_array_equal(model.sample_y(X, 2, make(5)), model.sample_y(X, 2, make(5)))


def test_groups_beside_the_columns():
    X, y = table(0, 90)
    inside = regressor("intercepts").fit(X, y)
    beside = MixedLinearRegressor().fit(X[["x1", "x2"]], y, groups=X["g"])
    assert_array_equal(inside.sample_y(X, 3), beside.sample_y(X[["x1", "x2"]], 3, groups=X["g"]))


def test_bad_parameters():
    X, y = table(0, 90)
    model = regressor("intercepts", handle_unknown="error").fit(X, y)
    with pytest.raises(ValueError, match="effects='old' is not known"):
        model.sample_y(X, effects="old")
    with pytest.raises(ValueError, match="n_samples=0 is not positive"):
        model.sample_y(X, 0)
    with pytest.raises(TypeError, match=r"n_samples=1\.5"):
        model.sample_y(X, 1.5)
    with pytest.raises(TypeError, match="random_state='one' is no seed"):
        model.sample_y(X, random_state="one")
    with pytest.raises(ValueError, match="sample_weight is 0 at row 4"):
        model.sample_y(X, sample_weight=np.r_[np.ones(4), 0.0, np.ones(85)])
    with pytest.raises(ValueError, match="not seen in fit"):
        model.sample_y(X.assign(g=99))
    assert model.sample_y(X.assign(g=99), effects="new").shape == (90, 1)


def test_a_frame_of_one_row():
    X, y = table(0, 90)
    model = regressor("three").fit(X, y)
    assert model.sample_y(X[:1], 4).shape == (1, 4)
