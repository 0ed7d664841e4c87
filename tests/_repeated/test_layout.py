"""How rows are laid out: which blocks there are, and of which kind."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor, ResidualCovariance
from skmixed._repeated.explicit import ExplicitBlocks
from skmixed._repeated.layout import block_codes
from skmixed._repeated.markov import MarkovBlocks
from skmixed.exceptions import SingularFitWarning


def series(n_subjects, n, seed=0, *, missing=0.0, gaps=1):
    """Rows of an autoregression of 0.7 beside effects of subjects."""
    rng = np.random.default_rng(seed)
    noise = np.empty((n_subjects, n))
    noise[:, 0] = rng.normal(size=n_subjects)
    for t in range(1, n):
        noise[:, t] = 0.7 * noise[:, t - 1] + np.sqrt(0.51) * rng.normal(size=n_subjects)
    x = rng.normal(size=(n_subjects, n))
    y = x + noise + rng.normal(size=(n_subjects, 1))
    frame = pd.DataFrame(
        {
            "x": x.ravel(),
            "time": np.tile(np.arange(n) * gaps, n_subjects),
            "subject": np.repeat(np.arange(n_subjects), n),
        }
    )
    keep = rng.random(len(frame)) >= missing
    return frame[keep].reset_index(drop=True), y.ravel()[keep]


def fitted(X, y, structure="ar1", groups="subject"):
    residual = ResidualCovariance(structure, subject="subject", time="time")
    return MixedLinearRegressor(groups, fixed=["x"], residual=residual).fit(X, y)


def groups_of(model):
    return model._model.repeated.layout.system.groups


def test_few_patterns_are_summed_and_many_are_chains():
    complete = groups_of(fitted(*series(300, 5)))
    assert [type(own) for own in complete] == [ExplicitBlocks]
    model = fitted(*series(300, 12, missing=0.4))
    assert any(type(own) is MarkovBlocks for own in groups_of(model))
    # The others are dense, whatever their number of patterns
    dense = fitted(*series(60, 12, missing=0.4), "toeplitz", None)
    assert {type(own) for own in groups_of(dense)} == {ExplicitBlocks}


def test_every_row_is_in_one_block():
    model = fitted(*series(200, 12, missing=0.4))
    system = model._model.repeated.layout.system
    rows = np.concatenate([own.rows for own in system.groups])
    np.testing.assert_array_equal(np.sort(rows), np.arange(system.n_rows))


@pytest.mark.slow
def test_slabs_of_chains_cut_no_subject():
    n = 90_000
    subject = np.repeat(np.arange(n // 3), 3)
    rng = np.random.default_rng(0)
    time = rng.choice(2_000, size=(n // 3, 3), replace=True).cumsum(axis=1) + np.arange(3)
    X = pd.DataFrame({"subject": subject, "time": time.ravel().astype(float)})
    for k in range(12):
        X[f"x{k}"] = rng.normal(size=n)
    residual = ResidualCovariance("exponential", subject="subject", time="time")
    fixed = [name for name in X if name.startswith("x")]
    with pytest.warns(SingularFitWarning, match="the least that 'exponential' allows"):
        model = MixedLinearRegressor(fixed=fixed, residual=residual).fit(X, rng.normal(size=n))
    groups = groups_of(model)
    assert len(groups) > 1
    subjects = [np.unique(subject[own.rows]) for own in groups]
    np.testing.assert_array_equal(np.sort(np.concatenate(subjects)), np.arange(n // 3))


@pytest.mark.parametrize("is_markov", [True, False])
def test_large_groups_are_inside_of_chains(is_markov):
    group = np.repeat(np.arange(5), 200)
    crossed = np.tile(np.arange(4), 250)
    rows, levels = np.arange(1000), np.stack([group, crossed], axis=1)
    codes, inside = block_codes(rows, levels, [1, 1], is_markov=is_markov)
    assert inside == (is_markov, False)
    assert len(np.unique(codes)) == (5 if is_markov else 1000)


def test_long_series_have_the_likelihood_of_their_innovations():
    X, y = series(3, 1500)
    tracemalloc.start()
    model = fitted(X, y, groups=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A matrix of the times alone has 18 MB.
    assert peak < 10e6
    own = model.variance_components_.iloc[-1]
    rho, variance = own["corr"], own["variance"]
    D = np.column_stack([np.ones(len(y)), X["x"]])
    columns = np.column_stack([D, y]).reshape(3, 1500, 3)
    columns[:, 1:] = (columns[:, 1:] - rho * columns[:, :-1]) / np.sqrt(1 - rho**2)
    D, e = np.split(columns.reshape(-1, 3) / np.sqrt(variance), [2], axis=1)
    beta, squares, *_ = np.linalg.lstsq(D, e[:, 0], rcond=None)
    n, gram = len(y), np.linalg.slogdet(D.T @ D)[1]
    logdet = n * np.log(variance) + 3 * 1499 * np.log(1 - rho**2)
    criterion = squares[0] + logdet + gram + (n - 2) * np.log(2 * np.pi)
    assert model.criterion_ == pytest.approx(criterion, rel=1e-12)
    np.testing.assert_allclose(model.fixed_effects_, beta, rtol=1e-9)


def test_a_time_ahead_of_a_long_series_is_predicted_by_its_last_row():
    X, y = series(3, 700)
    model = fitted(X, y, groups=None)
    rho = model.variance_components_.iloc[-1]["corr"]
    ahead = pd.DataFrame({"x": 0.5, "time": [702], "subject": [1]})
    last = 2 * 700 - 1
    error = y[last] - model.predict(X[last : last + 1], include="fixed")[0]
    expected = model.predict(ahead, include="fixed")[0] + rho**3 * error
    assert model.predict(ahead)[0] == pytest.approx(expected, rel=1e-10)
