"""The iterative engine's starts: where the criterion has two valleys, it ends in the lower one."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor
from skmixed._derivatives.criterion import lay_out
from skmixed._equations.cholesky import factorize
from skmixed.exceptions import SingularFitWarning


def panels(seed):
    """Panels with one slope between groups and another within, crossed with a second factor."""
    random = np.random.default_rng(seed)
    q, rows = int(random.integers(30, 150)), int(random.integers(3, 12))
    n, k = q * rows, int(random.integers(10, 40))
    a, b = np.repeat(np.arange(q), rows), random.integers(0, k, n)
    means = random.normal(size=q) * random.uniform(2, 8)
    x = means[a] + random.uniform(0.2, 1) * random.normal(size=n)
    within, between = random.uniform(-2, 2, 2)
    y = within * (x - means[a]) + between * means[a]
    y += random.choice([0.1, 0.3, 1.0]) * random.normal(size=q)[a]
    y += random.choice([0.1, 1]) * random.normal(size=k)[b]
    y += random.uniform(0.3, 2) * random.normal(size=n)
    return pd.DataFrame({"x": x, "a": a, "b": b}), y


def few_large_groups(seed):
    """Few large groups that are alike beside small ones that deviate."""
    random = np.random.default_rng(seed)
    large, small = int(random.integers(2, 8)), int(random.integers(5, 60))
    k, size = int(random.integers(10, 40)), int(random.integers(50, 300))
    sizes = np.r_[np.full(large, size), np.full(small, int(random.integers(1, 4)))]
    a = np.repeat(np.arange(large + small), sizes)
    b = random.integers(0, k, len(a))
    effects = 0.02 * random.normal(size=large), random.uniform(1, 6) * random.normal(size=small)
    y = np.concatenate(effects)[a] + random.choice([0.05, 0.5]) * random.normal(size=k)[b]
    y += random.normal(size=len(a))
    return pd.DataFrame({"x": random.normal(size=len(a)), "a": a, "b": b}), y


def criterion_at_the_end(model):
    """The criterion at the Λ that a fit ended at, without a Monte Carlo error."""
    given = model._model
    system, likelihood = lay_out(given.stats, given.encoder.model(reml=True))
    root_unit = np.sqrt(system.weight_unit)
    lam = tuple(
        np.linalg.solve(term.to_user, root_unit * found.lam)
        for (_, term), found in zip(system.terms, given.estimate.solution.terms, strict=True)
    )
    return likelihood.value(factorize(system, lam))


# From the moments alone they ended 12 to 446 above the optimum.
@pytest.mark.parametrize(
    ("data", "seed"),
    [
        *((panels, seed) for seed in (27, 31, 43, 54)),
        *((few_large_groups, seed) for seed in (2, 12, 15, 23)),
    ],
)
def test_of_two_valleys_the_lower_one_is_found(data, seed):
    frame, y = data(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        exact, found = (
            MixedLinearRegressor(["a", "b"], fixed=["x"], solver=solver, random_state=seed).fit(
                frame, y
            )
            for solver in ("exact", "iterative")
        )
    # Above by what the error of the gradient costs, less than the criterion's own.
    assert criterion_at_the_end(found) < exact.criterion_ + max(found.criterion_error_, 0.01)


def test_an_end_above_its_start_is_not_called_converged():
    """Two factors of nearly the same levels and a third: the probes lead to a false root."""
    random = np.random.default_rng(3)
    a = random.integers(0, 100, 900)
    b = a.copy()
    b[:3] = random.integers(0, 100, 3)
    x, c = random.normal(size=900), random.integers(0, 30, 900)
    y = x + 5 * random.normal(size=100)[a] + random.normal(size=900)
    frame = pd.DataFrame({"x": x, "a": a, "b": b, "c": c})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact, found = (
            MixedLinearRegressor(["a", "b", "c"], fixed=["x"], solver=solver, random_state=3).fit(
                frame, y
            )
            for solver in ("exact", "iterative")
        )
    off = criterion_at_the_end(found) - exact.criterion_
    assert off < max(found.criterion_error_, 0.01) or not found.converged_


def test_where_the_starts_are_alike_there_is_one_run(capsys):
    random = np.random.default_rng(0)
    a, b = random.integers(0, 600, 12_000), random.integers(0, 200, 12_000)
    frame = pd.DataFrame({"a": a, "b": b})
    y = 0.7 * random.normal(size=600)[a] + 0.5 * random.normal(size=200)[b]
    y += random.normal(size=len(y))
    MixedLinearRegressor(["a", "b"], solver="iterative", verbose=1).fit(frame, y)
    out = capsys.readouterr().out
    assert out.count("step 1:") == 1
    assert "start from" not in out
