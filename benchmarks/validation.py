"""Cross-validation by groups from statistics, beside scikit-learn's loop of fits.

Prints, for data of several sizes, CPU times as multiples of one fit in the same run, and the
largest difference of a fold's score from that of the loop: of leave-one-group-out, θ refitted and
held, of five folds, and of five folds for eight candidates; and of what leaving out each group
changes.

    python benchmarks/validation.py [--large]
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from sklearn import model_selection as sk
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from skmixed import MixedLinearRegressor
from skmixed.diagnostics import group_influence
from skmixed.model_selection import cross_validate

SCORES = ("r2", "neg_mean_squared_error")
GRID = {"method": ["reml", "ml"], "random_slopes": [None, "x0", ["x0", "x1"], "x1"]}
# Splits of the loop that are timed, of which it has one for each group.
LOOP_SPLITS = 40


def make_rows(n_groups, n_rows, n_columns, seed=0):
    """Rows of groups with random intercepts and slopes of the first column."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.arange(n_rows) % n_groups)
    values, effects = rng.normal(size=(n_rows, n_columns)), rng.normal(size=(n_groups, 2))
    y = values.sum(axis=1) + effects[group, 0] + effects[group, 1] * values[:, 0]
    X = pd.DataFrame(values, columns=[f"x{j}" for j in range(n_columns)]).assign(group=group)
    return X, y + rng.normal(size=n_rows)


def cpu(function, times=1):
    """Return the least CPU time of some calls, and the last result."""
    best = np.inf
    for _ in range(times):
        start = time.process_time()
        found = function()
        best = min(best, time.process_time() - start)
    return best, found


def run(n_groups, n_rows, n_columns):
    """Print the figures of one data set."""
    X, y = make_rows(n_groups, n_rows, n_columns)
    model, cv = MixedLinearRegressor("group", random_slopes="x0"), LeaveOneGroupOut()
    times = 3 if n_rows < 100_000 else 1
    fit, _ = cpu(lambda: model.fit(X, y), 3)
    refit, found = cpu(lambda: cross_validate(model, X, y, cv=cv, scoring=SCORES), times)
    held, _ = cpu(lambda: cross_validate(model, X, y, cv=cv, scoring=SCORES, theta="fixed"), times)
    five, of_five = cpu(lambda: cross_validate(model, X, y, cv=5, scoring=SCORES), times)
    grid, _ = cpu(lambda: cross_validate(model, X, y, cv=5, scoring=SCORES, param_grid=GRID))
    print(f"{n_rows} rows, {n_groups} groups, {n_columns} columns: one fit {1e3 * fit:.1f} ms")
    print(f"  leave-one-group-out {refit / fit:.1f} fits, θ held {held / fit:.1f} fits")
    print(f"  five folds {five / fit:.1f} fits, of eight candidates {grid / fit:.1f} fits")
    ways = ("refit", "one_step", "fixed")
    of_groups = [cpu(lambda way=w: group_influence(model, X, y, theta=way), times)[0] for w in ways]
    shown = ", ".join(f"{w} {own / fit:.1f} fits" for w, own in zip(ways, of_groups, strict=True))
    print(f"  influence of each group: {shown}")
    groups = {"groups": X["group"], "cv": GroupKFold(5)}
    loop, expected = cpu(lambda: sk.cross_validate(model, X, y, scoring=SCORES, **groups))
    difference = max(np.abs(of_five[f"test_{s}"] - expected[f"test_{s}"]).max() for s in SCORES)
    print(f"  scikit-learn's loop of five folds {loop / fit:.1f} fits, difference {difference:.0e}")
    if n_rows < 100_000:
        step = max(n_groups // LOOP_SPLITS, 1)
        splits = list(cv.split(X, y, X["group"]))[::step]
        loop, expected = cpu(lambda: sk.cross_validate(model, X, y, cv=splits, scoring=SCORES))
        all_groups = loop / len(splits) * n_groups
        own = {s: found[f"test_{s}"][::step] for s in SCORES}
        difference = max(np.abs(own[s] - expected[f"test_{s}"]).max() for s in SCORES)
        print(f"  its leave-one-group-out {all_groups / fit:.0f} fits, difference {difference:.0e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="a million rows, too")
    sizes = [(160, 7_185, 2), (2_000, 50_000, 4)]
    if parser.parse_args().large:
        sizes.append((10_000, 1_000_000, 10))
    warnings.simplefilter("ignore")
    for size in sizes:
        run(*size)
