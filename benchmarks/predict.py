"""Predictions against LinearRegression: a million rows, and one row at a time.

Prints ratios of times measured in one process, alternating. The bound for many
rows is 3 × LinearRegression.predict plus the hashing of the labels, which is
measured as pandas.factorize of the grouping column. BLAS runs on one thread.

    python benchmarks/predict.py [--rows 1000000]
"""

import argparse
import os
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from skmixed import MixedLinearRegressor

NUMERIC = [f"x{j}" for j in range(10)]


def alternate(calls, repeats):
    """Best time of each of several calls, run in turn."""
    best = [np.inf] * len(calls)
    for _ in range(repeats):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def make(n_rows, n_groups, rng):
    """Numeric columns side by side, and the labels as integers and as text."""
    X = pd.DataFrame(rng.normal(size=(n_rows, len(NUMERIC))), columns=NUMERIC)
    group = rng.integers(0, n_groups, n_rows)
    y = X.sum(axis=1).to_numpy() + rng.normal(size=n_groups)[group] + rng.normal(size=n_rows)
    # Slopes that vary, for the covariance matrix to have full rank.
    for name in NUMERIC[:2]:
        y += rng.normal(size=n_groups)[group] * X[name].to_numpy()
    labels = {
        "integers": group,
        "wide integers": group * 1_000_003,
        "text": pd.Series(group).astype(str).astype(object),
        "category": pd.Categorical(group),
    }
    return X, y, labels


def many_rows(X, y, labels, random_slopes, repeats=7):
    tables = {f"frame, {kind}": (X.assign(group=c), X) for kind, c in labels.items()}
    for dtype in ("float64", "float32"):
        array = X.assign(group=labels["integers"]).to_numpy(dtype=dtype, copy=True)
        array = np.ascontiguousarray(array)
        tables[f"array, {dtype}"] = array, np.ascontiguousarray(array[:, :-1])
    for kind, (own, numeric) in tables.items():
        linear = LinearRegression().fit(numeric, y)
        model = MixedLinearRegressor(-1, random_slopes=random_slopes or None)
        model.fit(own[:100_000], y[:100_000])
        column = own[:, -1] if isinstance(own, np.ndarray) else own["group"]
        ours, theirs, hashing = alternate(
            (
                lambda own=own, model=model: model.predict(own),
                lambda numeric=numeric, linear=linear: linear.predict(numeric),
                lambda column=column: pd.factorize(column),
            ),
            repeats,
        )
        print(
            f"{len(X):9,d} rows, {len(random_slopes)} slopes, {kind:20s} {ours * 1e3:8.1f} ms  "
            f"LinearRegression {theirs * 1e3:8.1f} ms  hashing {hashing * 1e3:8.1f} ms  "
            f"(ours - hashing) / LinearRegression {(ours - hashing) / theirs:5.2f}"
        )


def one_row(X, y, labels, n_groups, repeats=2_000):
    own = X.assign(group=labels["integers"])
    tables = {
        "frame": (own, X),
        "frame, text": (X.assign(group=labels["text"]), X),
        "array": (own.to_numpy(), X.to_numpy()),
    }
    for kind, (table, numeric) in tables.items():
        column = "group" if hasattr(table, "columns") else -1
        model = MixedLinearRegressor(column).fit(table, y)
        linear = LinearRegression().fit(numeric, y)
        row, plain = table[:1], numeric[:1]
        ours, theirs = alternate(
            (lambda r=row, m=model: m.predict(r), lambda r=plain, m=linear: m.predict(r)), repeats
        )
        print(
            f"one row, {n_groups:7,d} groups, {kind:12s} {ours * 1e6:8.1f} µs  "
            f"LinearRegression {theirs * 1e6:8.1f} µs  ratio {ours / theirs:5.2f}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    rng = np.random.default_rng(0)
    X, y, labels = make(rows, rows // 100, rng)
    many_rows(X, y, labels, [])
    many_rows(X, y, labels, [0, 1])
    for n_groups in (20, 10_000):
        X, y, labels = make(10 * n_groups, n_groups, rng)
        one_row(X, y, labels, n_groups)


if __name__ == "__main__":
    main()
