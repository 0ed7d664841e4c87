"""Coverage and widths of 95 % intervals of observations where the model's assumptions fail.

By the model, and conformal, for rows of new groups and for new rows of known groups. Effects
and residuals are normal, or of heavy tails (t with three degrees of freedom); or the residual
standard deviation grows with a column, or differs between groups. Beside each share covered is
its Monte Carlo error, and the mean width in units of that by the model. The last columns are
the shares in the tenth of rows, or of groups, with the largest residual standard deviation.

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

GROUPS, ROWS, NEW = 60, 10, 200
METHODS = ("model", "conformal")


def normal(rng, group, x):
    del x
    return rng.normal(size=group.max() + 1), np.ones(len(group)), rng.normal(size=len(group))


def heavy_tails(rng, group, x):
    del x
    ones = np.ones(len(group))
    return rng.standard_t(3, size=group.max() + 1), ones, rng.standard_t(3, size=len(group))


def by_column(rng, group, x):
    return rng.normal(size=group.max() + 1), np.exp(0.8 * x), rng.normal(size=len(group))


def by_group(rng, group, x):
    del x
    n = group.max() + 1
    scale = np.exp(0.8 * rng.normal(size=n))[group]
    return rng.normal(size=n), scale, rng.normal(size=len(group))


CASES = (normal, heavy_tails, by_column, by_group)


def sample(rng, case, slopes):
    """Rows to fit, and as many others: one of each known group, and one of each new one."""
    group = np.r_[np.repeat(np.arange(GROUPS), ROWS), np.arange(GROUPS + NEW)]
    x = rng.normal(size=len(group))
    effects, scale, noise = case(rng, group, x)
    y = 1.0 + 0.5 * x + effects[group] + scale * noise
    if slopes:
        y += 0.7 * case(rng, group, x)[0][group] * x
    return pd.DataFrame({"x": x, "group": group}), y, scale


def measured(rng, case, slopes):
    """Shares covered, (methods, known and new), widths, and the shares of the largest scale."""
    X, y, scale = sample(rng, case, slopes)
    n = GROUPS * ROWS
    model = MixedLinearRegressor("group", random_slopes="x" if slopes else None)
    model = fit_conformalize(model, X[:n], y[:n])
    parts = slice(0, GROUPS), slice(GROUPS, None)
    wide = scale[n:] >= np.quantile(scale[n:], 0.9)
    out = np.empty((3, len(METHODS), 2))
    for k, method in enumerate(METHODS):
        lower, upper = model.predict_interval(X[n:], method=method).T
        held = (lower <= y[n:]) & (y[n:] <= upper)
        for j, part in enumerate(parts):
            out[:, k, j] = (
                held[part].mean(),
                (upper - lower)[part].mean(),
                held[part][wide[part]].mean() if wide[part].any() else np.nan,
            )
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=300)
    samples = parser.parse_args().samples
    warnings.simplefilter("ignore")  # a variance estimated as 0 is part of it
    print(f"{GROUPS} groups of {ROWS} rows, {samples} samples")
    for slopes in (False, True):
        for case in CASES:
            rng = np.random.default_rng(0)
            found = np.array([measured(rng, case, slopes) for _ in range(samples)])
            mean, error = np.nanmean(found, axis=0), found[:, 0].std(axis=0) / np.sqrt(samples)
            print(case.__name__, "with slopes" if slopes else "")
            for k, method in enumerate(METHODS):
                for j, which in enumerate(("known", "new")):
                    print(
                        f"  {method:10} {which:6} {mean[0, k, j]:.3f} ({error[k, j]:.3f})"
                        f"  width {mean[1, k, j] / mean[1, 0, j]:.2f}"
                        f"  largest scale {mean[2, k, j]:.3f}"
                    )


if __name__ == "__main__":
    main()
