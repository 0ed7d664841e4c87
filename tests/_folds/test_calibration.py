"""Quantiles of predictions without folds, plus or minus scores, against their definition."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmixed._folds import calibration
from skmixed._folds.calibration import Calibration, PlainRows
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term

MODEL = Model((0, 1), (Term(0, (0, 1), STRUCTURES["full"]),), reml=True)


def calibrated(rng, *, new, n_folds=7, n=60, spread=0.1, q=4):
    """A calibration with folds of unequal sizes, and rows to predict."""
    fixed = np.array([1.0, 0.5]) + spread * rng.normal(size=(n_folds, 2))
    own = Calibration(
        new=(new,),
        fixed=fixed,
        sigma=1.0 + spread * rng.random(n_folds),
        effects=(rng.normal(size=(2, 0 if new else q, n_folds)),),
        roots=(np.tril(rng.normal(size=(n_folds, 2, 2))),),
        scores=np.sort(rng.standard_exponential(n)),
        fold=rng.integers(0, n_folds, n),
        weights=np.full(n, 1.0 / (n + 1)),
    )
    m = 25
    rows = PlainRows(
        (np.ones(m), rng.normal(size=m)), (rng.integers(0, q, m),), rng.uniform(0.5, 2.0, m)
    )
    return own, rows


def by_definition(own, rows, level):
    """Each row by a sort of all values, from the formulas of the module."""
    out = []
    for x, j, w in zip(rows.columns[1], rows.codes[0], rows.weights, strict=True):
        z = np.array([1.0, x])
        center = own.fixed @ z
        variance = own.sigma**2 / w
        if own.new[0]:
            variance = variance + ((own.roots[0].transpose(0, 2, 1) @ z) ** 2).sum(axis=1)
        else:
            center = center + z @ own.effects[0][:, j]
        half = np.sqrt(variance)[own.fold] * own.scores
        ends = []
        for sign in (-1.0, 1.0):
            values = sign * center[own.fold] + half
            order = np.argsort(values)
            enough = np.cumsum(own.weights[order]) >= level - 1e-9
            ends.append(sign * (values[order][np.argmax(enough)] if enough.any() else np.inf))
        out.append(ends)
    return np.array(out)


@pytest.fixture(params=["sorted", "halved"])
def how(request, monkeypatch):
    """All scores that may count are sorted, or brackets are halved to the last value."""
    if request.param == "halved":
        monkeypatch.setattr(calibration, "MOST_SORTED", -1000)
        monkeypatch.setattr(calibration, "MOST_LEFT", -1000)
    else:
        monkeypatch.setattr(calibration, "MOST_SORTED", 1000)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.8, 0.95, 60 / 61, 0.99])
@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("new", [True, False])
@pytest.mark.usefixtures("how")
def test_is_the_quantile_of_all_values(new, spread, level):
    own, rows = calibrated(np.random.default_rng(3), new=new, spread=spread)
    # The same operations but for the order of a few sums
    np.testing.assert_allclose(own.interval(MODEL, rows, level), by_definition(own, rows, level),
                               rtol=1e-12)  # fmt: skip


@pytest.mark.usefixtures("how")
def test_weights_of_scores_that_are_tied(monkeypatch):
    monkeypatch.setattr(calibration, "CELLS", 1)  # row by row
    own, rows = calibrated(np.random.default_rng(0), new=True, n_folds=1, n=19)
    own.scores[:] = 1.0
    found = own.interval(MODEL, rows, 0.95)
    np.testing.assert_allclose(found, by_definition(own, rows, 0.95), rtol=1e-12)
    assert np.isfinite(found).all()
    assert own.is_finite_at(0.95)
    assert not own.is_finite_at(0.951)


def test_many_scores_are_halved_until_few_are_left(monkeypatch):
    """With the constants as they are; a row alone sorts no more than it is to."""
    own, rows = calibrated(np.random.default_rng(2), new=False, spread=0.3, n=20_000)
    sorted_at_once = []
    of_class = calibration.ScoresByFold._left

    def left(self, center, sd, first, counts):
        sorted_at_once.append(counts.sum(axis=1).max())
        return of_class(self, center, sd, first, counts)

    monkeypatch.setattr(calibration.ScoresByFold, "_left", left)
    found = own.interval(MODEL, rows, 0.9)
    np.testing.assert_allclose(found, by_definition(own, rows, 0.9), rtol=1e-12)
    assert max(sorted_at_once) <= calibration.MOST_LEFT + 7


@pytest.mark.usefixtures("how")
def test_a_row_is_the_same_among_others():
    own, rows = calibrated(np.random.default_rng(1), new=True, n=400)
    together = own.interval(MODEL, rows, 0.9)
    alone = [own.interval(MODEL, rows.picked(slice(k, k + 1)), 0.9) for k in range(len(together))]
    assert_array_equal(np.concatenate(alone), together)
