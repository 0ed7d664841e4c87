"""Coverage of intervals of observations where the model's assumptions fail, by it and conformal.

Of rows of new groups, each group alike, and of new rows of known groups, which are drawn as the
rows of the data are. Effects and residuals are normal, or of heavy tails (t with three degrees
of freedom); or the residual standard deviation grows with a column that has a random slope,
differs between groups, or is larger in small groups. Beside each share covered stands its
Monte Carlo error, and the mean width at 0.95 in units of that by the model.

    python benchmarks/coverage_conformal.py [--samples 300]
"""

import argparse
import os
import warnings

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.model_selection import fit_conformalize

GROUPS, NEW = 150, 300
SIZES = (3, 15)
LEVELS = (0.8, 0.95, 0.99)
METHODS = ("model", "conformal")


def normal(rng, size, group, x):
    del x
    return rng.normal(size=(2, len(size))), np.ones(len(group)), rng.normal(size=len(group))


def heavy_tails(rng, size, group, x):
    effects, scale, _ = normal(rng, size, group, x)
    return rng.standard_t(3, size=effects.shape), scale, rng.standard_t(3, size=len(group))


def by_column(rng, size, group, x):
    effects, _, noise = normal(rng, size, group, x)
    return effects, np.exp(0.8 * x), noise


def by_group(rng, size, group, x):
    effects, _, noise = normal(rng, size, group, x)
    return effects, np.exp(0.8 * rng.normal(size=len(size)))[group], noise


def by_size(rng, size, group, x):
    effects, _, noise = normal(rng, size, group, x)
    return effects, np.where(size == SIZES[0], 3.0, 1.0)[group], noise


CASES = (normal, heavy_tails, by_column, by_group, by_size)


def sample(rng, case):
    """Rows to fit, then new rows of known groups, then a row of each new group."""
    size = rng.choice(SIZES, GROUPS + NEW)
    rows = np.repeat(np.arange(GROUPS), size[:GROUPS])
    group = np.r_[rows, rng.choice(rows, NEW), np.arange(GROUPS, GROUPS + NEW)]
    x = rng.normal(size=len(group))
    effects, scale, noise = case(rng, size, group, x)
    y = 1.0 + 0.5 * x + effects[0, group] + 0.7 * effects[1, group] * x + scale * noise
    return pd.DataFrame({"x": x, "group": group}), y, len(rows)


def measured(rng, case):
    """Shares covered, and widths, (2, levels, methods, known and new)."""
    X, y, n = sample(rng, case)
    model = fit_conformalize(MixedLinearRegressor("group", random_slopes="x"), X[:n], y[:n])
    out = np.empty((2, len(LEVELS), len(METHODS), 2))
    for i, level in enumerate(LEVELS):
        for k, method in enumerate(METHODS):
            lower, upper = model.predict_interval(X[n:], level=level, method=method).T
            held = (lower <= y[n:]) & (y[n:] <= upper)
            out[0, i, k] = held.reshape(2, NEW).mean(axis=1)
            out[1, i, k] = (upper - lower).reshape(2, NEW).mean(axis=1)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=300)
    samples = parser.parse_args().samples
    warnings.simplefilter("ignore")  # a variance estimated as 0 is part of it
    print(f"{GROUPS} groups of {SIZES[0]} or {SIZES[1]} rows, {samples} samples", flush=True)
    for case in CASES:
        rng = np.random.default_rng(0)
        found = np.array([measured(rng, case) for _ in range(samples)])
        mean, error = found.mean(axis=0), found[:, 0].std(axis=0) / np.sqrt(samples)
        for j, which in enumerate(("known", "new")):
            for k, method in enumerate(METHODS):
                shares = "  ".join(
                    f"{share:.3f} ({own:.3f})"
                    for share, own in zip(mean[0, :, k, j], error[:, k, j], strict=True)
                )
                width = mean[1, 1, k, j] / mean[1, 1, 0, j]
                print(f"{case.__name__:12} {which:6} {method:10} {shares}  {width:.2f}", flush=True)


if __name__ == "__main__":
    main()
