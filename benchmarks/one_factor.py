"""One grouping factor against LinearRegression on the same numeric columns.

Prints ratios of times measured in one process, alternating, and the additional
peak memory of the fit. BLAS runs on one thread for both.

    python benchmarks/one_factor.py [--rows 1000000]
"""

import argparse
import os
import threading
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy


def alternate(first, second, repeats):
    """Best time of each of two calls, run in turn."""
    times = ([], [])
    for _ in range(repeats):
        for call, seen in zip((first, second), times, strict=True):
            start = time.perf_counter()
            call()
            seen.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])


def resident_bytes():
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_during(call):
    """Additional resident memory at its peak, sampled every millisecond."""
    before, peak, done = resident_bytes(), [0], threading.Event()

    def watch():
        while not done.wait(0.001):
            peak[0] = max(peak[0], resident_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    call()
    done.set()
    thread.join()
    return max(peak[0] - before, 0)


def make(n_rows, n_groups, n_slopes, rng):
    X = pd.DataFrame(rng.normal(size=(n_rows, 10)), columns=[f"x{j}" for j in range(10)])
    group = rng.integers(0, n_groups, n_rows)
    y = X.sum(axis=1).to_numpy() + rng.normal(size=n_groups)[group] + rng.normal(size=n_rows)
    for j in range(n_slopes):
        y += 0.5 * rng.normal(size=n_groups)[group] * X[f"x{j}"].to_numpy()
    X["group"] = group
    return X, y


def report(name, model, X, y, numeric, repeats):
    peak = peak_during(lambda: model.fit(X, y))
    ours, theirs = alternate(
        lambda: model.fit(X, y), lambda: LinearRegression().fit(X[numeric], y), repeats
    )
    size = int(X.memory_usage(index=False).sum()) + y.nbytes
    print(
        f"{name:45s} {ours * 1e3:9.1f} ms  LinearRegression {theirs * 1e3:9.1f} ms  "
        f"ratio {ours / theirs:5.2f}  extra memory / input {peak / size:4.2f}  "
        f"factorizations {model.n_factorizations_}"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    rng = np.random.default_rng(0)
    numeric = [f"x{j}" for j in range(10)]
    X, y = make(rows, rows // 10, 0, rng)
    report("random intercept, rows/10 groups", MixedLinearRegressor("group"), X, y, numeric, 5)
    X, y = make(rows, rows // 20, 4, rng)
    model = MixedLinearRegressor("group", random_slopes=numeric[:4])
    report("intercept and 4 slopes, rows/20 groups", model, X, y, numeric, 3)
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject", random_slopes=["Days"])
    report("sleepstudy, Days | Subject", model, X, y, ["Days"], 200)


if __name__ == "__main__":
    main()
