"""Coverage of 95 % prediction intervals, of known groups and of new ones.

Groups of five rows, a covariate with a random slope or without, between-group sd
as large as the residual one. The share of intervals that hold the mean of a row or a
new observation, over simulated data sets, by the degrees of freedom of t; beside it
the Monte Carlo error.

    python benchmarks/coverage_predictions.py [--samples 1000]
"""

import argparse
import os
import warnings

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor

ROWS = 5
GROUPS = (6, 20, 100)
METHODS = ("normal", "satterthwaite")
KINDS = [(of, known) for of in ("mean", "observation") for known in ("known", "new")]


def sample(rng, n_groups, slopes):
    """Rows of known groups to fit, one row of each known and of as many new groups."""
    group = np.r_[np.repeat(np.arange(n_groups), ROWS), np.arange(2 * n_groups)]
    X = pd.DataFrame({"x": rng.normal(size=len(group)), "group": group})
    b = rng.normal(size=(2, 2 * n_groups))[:, group]
    mean = 1.0 + 0.5 * X["x"] + b[0] + (b[1] * X["x"] if slopes else 0.0)
    y = mean + rng.normal(size=len(group))
    return X, mean, y, n_groups * ROWS


def covered(rng, n_groups, slopes):
    """Shares covered, (methods, kinds)."""
    X, mean, y, n = sample(rng, n_groups, slopes)
    model = MixedLinearRegressor("group", random_slopes=["x"] if slopes else None)
    model.fit(X[:n], y[:n])
    out = []
    for ddf in METHODS:
        row = []
        for of, truth in (("mean", mean), ("observation", y)):
            lower, upper = model.predict_interval(X[n:], of=of, ddf=ddf).T
            held = (lower <= truth[n:]) & (truth[n:] <= upper)
            row += [held[:n_groups].mean(), held[n_groups:].mean()]
        out.append(row)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=1000)
    samples = parser.parse_args().samples
    warnings.simplefilter("ignore")  # a variance estimated as 0 is part of it
    for slopes in (False, True):
        print("random intercept and slope" if slopes else "random intercept")
        for n_groups in GROUPS:
            rng = np.random.default_rng(0)
            shares = np.array([covered(rng, n_groups, slopes) for _ in range(samples)])
            error = shares.std(axis=0) / np.sqrt(samples)
            cells = [
                [f"{m:.3f} ({e:.3f})" for m, e in zip(*row, strict=True)]
                for row in zip(shares.mean(axis=0), error, strict=True)
            ]
            columns = pd.MultiIndex.from_tuples(KINDS)
            print(f"{n_groups} groups, {samples} samples")
            print(pd.DataFrame(cells, METHODS, columns).to_string(), "\n", flush=True)


if __name__ == "__main__":
    main()
