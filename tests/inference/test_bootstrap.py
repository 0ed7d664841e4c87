import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed import MixedLinearRegressor
from skmixed._derivatives.criterion import lay_out
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import fitted
from skmixed._fitted.runtime import seed_sequence, single_threaded_blas
from skmixed.datasets import load_dyestuff2, load_pastes, load_sleepstudy
from skmixed.exceptions import ExactFitWarning, RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import confidence_intervals
from skmixed.inference._bootstrap import _Refit, bootstrap


def sleepstudy(**parameters):
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    return MixedLinearRegressor("Subject", **parameters).fit(X, y)


def all_of(samples):
    return [samples.fixed, *samples.covariances, samples.sigma, samples.converged]


def assert_same_bits(first, second):
    for one, two in zip(all_of(first), all_of(second), strict=True):
        assert_array_equal(one, two)


def test_shapes_and_scales():
    model = sleepstudy(random_slopes="Days")
    samples = bootstrap(model, 100, random_state=0)
    assert samples.fixed.shape == (100, 2)
    assert [c.shape for c in samples.covariances] == [(100, 2, 2)]
    assert samples.sigma.shape == samples.converged.shape == (100,)
    assert samples.converged.all()
    # Four standard errors of a mean of 100; those of β̂ are the fit's own.
    errors = np.sqrt(np.diag(fitted(model).solution.fixed_covariance))
    bound = 4 * errors / np.sqrt(100)
    assert np.all(np.abs(samples.fixed.mean(axis=0) - model.fixed_effects_) < bound)
    assert_allclose(samples.covariances[0], samples.covariances[0].transpose(0, 2, 1), rtol=1e-12)
    assert samples.sigma.mean() == pytest.approx(model.sigma_, rel=0.1)


def test_a_refit_ends_where_a_fit_does():
    # The data have two optima, of which the search from the moments finds the worse one.
    rng = np.random.default_rng(541)
    g, x = np.repeat(np.arange(4), 6), rng.normal(size=24)
    b = rng.standard_t(2, size=(4, 2))
    y = b[g, 0] + b[g, 1] * x + rng.normal(size=24)
    model = MixedLinearRegressor(1, random_slopes=0, method="ml").fit(np.column_stack([x, g]), y)
    parts = fitted(model)
    laid_out = lay_out(parts.stats, parts.model)
    solution, _ = kernel.refit(*laid_out, parts.model, tol=1e-12, max_iter=200)
    refit = _Refit(solution, converged=True)
    assert_allclose(refit.covariances[0], model.covariances_["x1"], rtol=1e-5)
    assert solution.sigma == pytest.approx(model.sigma_, rel=1e-6)


@pytest.mark.slow
def test_the_distribution_is_that_of_refits_to_rows():
    """Unbalanced, weighted, with a slope: rows drawn one by one, and fitted."""
    rng = np.random.default_rng(1)
    q, n, m = 12, 90, 100
    codes = np.r_[np.arange(q), rng.integers(0, q, n - q)]
    x, weights = rng.normal(size=n) + 1, rng.uniform(0.5, 4, n)
    z = np.column_stack([np.ones(n), x])
    y = 1 + x + (z * rng.normal(size=(q, 2))[codes]).sum(axis=1) + rng.normal(size=n) / weights
    X = np.column_stack([x, codes])
    model = MixedLinearRegressor(1, random_slopes=0).fit(X, y, weights)
    samples = bootstrap(model, m, random_state=0)
    ours = [
        summary(*parts)
        for parts in zip(samples.fixed, samples.covariances[0], samples.sigma, strict=True)
    ]
    solution, theirs = fitted(model).solution, []
    with single_threaded_blas(), warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        for _ in range(m):
            b = rng.normal(size=(q, 2)) @ solution.terms[0].lam.T
            noise = (z * b[codes]).sum(axis=1) + rng.normal(size=n) / np.sqrt(weights)
            again = clone(model).fit(X, z @ solution.fixed + solution.sigma * noise, weights)
            found = fitted(again).solution
            lam = found.sigma * found.terms[0].lam
            theirs.append(summary(found.fixed, lam @ lam.T, found.sigma))
    first, second = np.array(ours), np.array(theirs)
    # Differences of means and of log standard deviations of two samples of m have
    # the standard errors sd·√(2/m) and, for the normal, √(1/m); four of them.
    error = second.std(axis=0) * np.sqrt(2 / m)
    assert np.all(np.abs(first.mean(axis=0) - second.mean(axis=0)) < 4 * error)
    ratio = np.log(first.std(axis=0) / second.std(axis=0))
    assert np.all(np.abs(ratio) < 4 / np.sqrt(m))


def summary(fixed, covariance, sigma):
    """β̂, the two standard deviations, their covariance, and σ̂."""
    return [*fixed, *np.sqrt(np.diagonal(covariance)), covariance[0, 1], sigma]


def test_least_squares_is_the_textbook_s():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    model = MixedLinearRegressor().fit(X, X[:, 0] + rng.normal(size=20) + 100)
    samples, m = bootstrap(model, 2000, random_state=0), 2000
    assert samples.covariances == ()
    errors = samples.fixed - model.fixed_effects_.to_numpy()
    root = np.linalg.cholesky(fitted(model).solution.fixed_covariance)
    white = np.linalg.solve(root, errors.T)
    # Five standard errors of means and variances of standard normals.
    assert np.abs(white.mean(axis=1)).max() < 5 / np.sqrt(m)
    assert np.abs(np.cov(white) - np.eye(3)).max() < 5 * np.sqrt(2 / m)
    chi2 = scipy.stats.chi2(17, scale=model.sigma_**2 / 17)
    assert scipy.stats.kstest(samples.sigma**2, chi2.cdf).pvalue > 1e-3


def big_crossed():
    """Products of more than 1 MB, which workers read from a file."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=60_000), rng.integers(0, [15_000, 20], (60_000, 2))])
    y = rng.normal(size=15_000)[X[:, 1].astype(int)] + rng.normal(size=60_000)
    return MixedLinearRegressor([1, 2], fixed=[0]).fit(X, y)


def pastes():
    X, y = load_pastes(return_X_y=True, as_frame=True)
    return MixedLinearRegressor(["batch", "sample"]).fit(X[["batch", "sample"]], y)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "n"), [(pastes, 7), (big_crossed, 4)], ids=["nested", "larger than 1 MB"]
)
def test_the_same_bits_with_any_number_of_jobs(make, n):
    model = make()
    alone, both = (bootstrap(model, n, random_state=3, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert_same_bits(alone, both)


def test_more_samples_begin_with_the_same_ones():
    model = pastes()
    few, many = (bootstrap(model, n, random_state=1) for n in (3, 101))
    assert_array_equal(many.fixed[:3], few.fixed)


class TestRandomState:
    @pytest.mark.parametrize("make", [int, np.random.RandomState, np.random.default_rng])
    def test_same_seed_same_sequence(self, make):
        first, second = (seed_sequence(make(7)) for _ in range(2))
        assert_array_equal(first.generate_state(4), second.generate_state(4))
        assert not np.array_equal(first.generate_state(4), seed_sequence(make(8)).generate_state(4))

    def test_none_and_generators_go_on(self):
        rng = np.random.default_rng(0)
        for state in (None, rng):
            first, second = (seed_sequence(state).generate_state(4) for _ in range(2))
            assert not np.array_equal(first, second)

    @pytest.mark.parametrize(
        ("state", "kind"), [(-1, ValueError), ("x", TypeError), (1.5, TypeError)]
    )
    def test_no_seed(self, state, kind):
        with pytest.raises(kind, match=f"random_state={state!r} is no seed. Give an int"):
            bootstrap(pastes(), 2, random_state=state)


def test_singular_fits():
    X, y = load_dyestuff2(return_X_y=True, as_frame=True)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("Batch").fit(X, y)
    samples = bootstrap(model, 200, random_state=0)
    assert samples.converged.all()
    # With a variance of 0, six batches of five: P(MSB < MSW), exact zeros.
    share = scipy.stats.f(5, 24).cdf(1.0)
    zeros = np.mean(samples.covariances[0] == 0.0)
    assert abs(zeros - share) < 4 * np.sqrt(share * (1 - share) / 200)


def test_dropped_columns_keep_their_zero():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=40), np.arange(40) % 5])
    X = np.insert(X, 1, 2 * X[:, 0], axis=1)
    y = X[:, 0] + rng.normal(size=5)[np.arange(40) % 5] + rng.normal(size=40)
    with pytest.warns(RankDeficiencyWarning):
        model = MixedLinearRegressor(2, method="ml", fit_intercept=False).fit(X, y)
    samples = bootstrap(model, 60, random_state=0)
    assert not samples.fixed[:, 1].any()
    assert samples.fixed[:, 0].mean() == pytest.approx(model.coef_[0], abs=0.2)


def test_exact_fits_stay_exact():
    codes = np.arange(30) % 5
    X = np.column_stack([np.linspace(0, 1, 30), codes])
    with pytest.warns(ExactFitWarning):
        model = MixedLinearRegressor(1).fit(X, 2.0 + X[:, 0])
    samples = bootstrap(model, 10, random_state=0)
    assert samples.converged.all()
    # σ² is the floor over n − p: 1e-13 of the sum of squares of y, about 2.7.
    assert_allclose(samples.fixed, np.tile([2.0, 1.0], (10, 1)), atol=1e-6)


def test_a_pipeline_is_its_last_step():
    X, y = load_pastes(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(FunctionTransformer(), MixedLinearRegressor("batch")).fit(
        X[["batch"]], y
    )
    assert_same_bits(
        bootstrap(pipeline, 3, random_state=0), bootstrap(pipeline[-1], 3, random_state=0)
    )


def test_refits_that_do_not_converge_are_counted_once():
    model = sleepstudy(random_slopes="Days", covariance="diag").set_params(max_iter=1)
    with pytest.warns(
        ConvergenceWarning, match=r"^\d+ of 20 refits of the bootstrap stopped at max_iter=1 bef"
    ) as record:
        samples = bootstrap(model, 20, random_state=0)
    assert len(record) == 1
    assert str(record[0].message).startswith(f"{20 - samples.converged.sum()} of 20")


class TestProgress:
    def test_bar_on_request(self, capsys):
        model = pastes()
        silent = bootstrap(model, 4, random_state=0)
        assert capsys.readouterr().err == ""
        assert_same_bits(bootstrap(model, 4, random_state=0, verbose=True), silent)
        assert "bootstrap: 100%" in capsys.readouterr().err

    def test_without_tqdm(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        with pytest.raises(ImportError, match="Install it with `pip install tqdm`"):
            bootstrap(pastes(), 4, verbose=True)


class TestBadInput:
    @pytest.mark.parametrize(("n", "kind"), [(0, ValueError), (2.5, TypeError)])
    def test_number_of_samples(self, n, kind):
        with pytest.raises(kind, match=f"n_samples={n}"):
            bootstrap(pastes(), n)

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            bootstrap(MixedLinearRegressor("batch"), 4)


def test_a_backend_that_returns_all_at_the_end():
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject").fit(X, y)
    expected = confidence_intervals(model, "bootstrap", n_samples=4, random_state=0)
    with joblib.parallel_config("multiprocessing"):
        found = confidence_intervals(model, "bootstrap", n_samples=4, random_state=0, n_jobs=2)
    pd.testing.assert_frame_equal(found, expected)
