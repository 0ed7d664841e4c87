"""Several grouping factors, against lme4 and LinearRegression.

InstEval (three crossed factors, 73,421 rows) and lme4's time on it need R with
lme4 (Debian: r-cran-lme4); without R that part is left out. Times are measured
one after the other in one run, with BLAS on one thread for all.

    python benchmarks/several_factors.py [--ratings]
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from skmixed import MixedLinearRegressor

LMER = """
suppressMessages(library(lme4))
d <- InstEval
d$service <- as.numeric(as.character(d$service))
write.csv(data.frame(s = d$s, d = d$d, dept = d$dept, service = d$service, y = d$y),
          "insteval.csv", row.names = FALSE)
t <- min(sapply(1:2, function(i) system.time(
    m <<- lmer(y ~ service + (1 | s) + (1 | d) + (1 | dept), d))["elapsed"]))
cat(t, format(REMLcrit(m), digits = 15))
"""


def best(call, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def insteval():
    if not shutil.which("Rscript"):
        print("InstEval: no R")
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "fit.R").write_text(LMER)
        run = subprocess.run(
            ["Rscript", "fit.R"], cwd=folder, capture_output=True, text=True, check=True
        )
        data = pd.read_csv(Path(folder, "insteval.csv"))
    theirs, criterion = map(float, run.stdout.split())
    X, y = data.drop(columns="y"), data["y"]
    model = MixedLinearRegressor(["s", "d", "dept"])
    ours = best(lambda: model.fit(X, y), 5)
    print(
        f"InstEval: {ours:.3f} s, lme4 {theirs:.2f} s, {theirs / ours:.1f} times faster; criterion "
        f"{model.criterion_:.7f}, lme4 {criterion:.7f}; factorizations {model.n_factorizations_}"
    )


def nested(rng):
    n, school = 300_000, rng.integers(0, 20_000, 300_000)
    X = pd.DataFrame(rng.normal(size=(n, 5)), columns=[f"x{j}" for j in range(5)])
    y = X.sum(axis=1) + 0.5 * rng.normal(size=20_000)[school] + rng.normal(size=n)
    y += 0.3 * rng.normal(size=500)[school % 500]
    numeric = list(X.columns)
    X = X.assign(school=school, district=school % 500)
    model = MixedLinearRegressor(["school", "district"])
    ours = best(lambda: model.fit(X, y), 7)
    theirs = best(lambda: LinearRegression().fit(X[numeric], y), 7)
    print(
        f"20,000 schools in 500 districts, 300,000 rows: {ours:.3f} s, LinearRegression "
        f"{theirs:.3f} s, ratio {ours / theirs:.2f}; factorizations {model.n_factorizations_}"
    )


def ratings(rng):
    """The dimensions of MovieLens 1M, with popularity that falls slowly."""
    n, users, items = 1_000_000, 6_040, 3_706
    shares = [(np.arange(q) + 10.0) ** -a for q, a in ((users, 0.7), (items, 0.9))]
    user, item = (rng.choice(len(s), n, p=s / s.sum()) for s in shares)
    y = 3.5 + 0.4 * rng.normal(size=users)[user] + 0.5 * rng.normal(size=items)[item]
    y += 0.9 * rng.normal(size=n)
    model = MixedLinearRegressor(["user", "item"])
    seconds = best(lambda: model.fit(pd.DataFrame({"user": user, "item": item}), y), 1)
    print(
        f"{users} users × {items} items, 1,000,000 rows: {seconds:.1f} s; factorizations "
        f"{model.n_factorizations_}"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ratings", action="store_true", help="the large crossed case as well")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    insteval()
    nested(rng)
    if arguments.ratings:
        ratings(rng)


if __name__ == "__main__":
    main()
