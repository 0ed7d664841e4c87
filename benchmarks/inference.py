"""Inference at size: Kenward and Roger's table beside the fit, profiles beside lme4's.

Times of the processor are measured one after the other in one run, with BLAS on one thread
for all. InstEval and lme4's profile need R with lme4 (Debian: r-cran-lme4); without R these
parts are left out.

    python -m benchmarks.inference
"""

import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

from benchmarks.data import insteval
from benchmarks.machine import best
from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.inference import coefficient_table, confidence_intervals

PROFILE = """
suppressMessages(library(lme4))
m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE)
cat(suppressMessages(sum(system.time(confint(m, quiet = TRUE))[1:2])))
"""


def run_r(script, folder):
    Path(folder, "run.R").write_text(script)
    command = ["Rscript", "run.R"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def report(name, model, X, y):
    fit = best(lambda: model.fit(X, y), 3)
    for ddf in ("satterthwaite", "kenward-roger"):
        seconds = best(lambda ddf=ddf: coefficient_table(model, ddf), 3)
        print(
            f"{name}: {ddf} {seconds:.2f} s, {seconds / fit:.2f} times the fit ({fit:.2f} s); "
            f"peak of the process {peak():.1f} GiB"
        )


def one_factor(rng):
    n, q = 1_000_000, 50_000
    X = pd.DataFrame(rng.normal(size=(n, 5)), columns=[f"x{j}" for j in range(5)])
    g = rng.integers(0, q, n)
    effects = rng.normal(size=(2, q))
    y = X.sum(axis=1) + effects[0, g] + 0.5 * effects[1, g] * X["x0"] + rng.normal(size=n)
    model = MixedLinearRegressor("g", random_slopes="x0")
    report("1,000,000 rows, 50,000 groups with a slope", model, X.assign(g=g), y)


def crossed():
    frame = insteval()
    model = MixedLinearRegressor(["s", "d", "dept"])
    report("InstEval", model, frame.drop(columns="y"), frame["y"])


def profiles():
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days", method="ml").fit(X, y)
    ours = best(lambda: confidence_intervals(model, "profile"), 5)
    with tempfile.TemporaryDirectory() as folder:
        theirs = float(run_r(PROFILE, folder))
    print(
        f"sleepstudy, profile of all six parameters: {1e3 * ours:.0f} ms, lme4 "
        f"{theirs:.2f} s, {theirs / ours:.0f} times faster"
    )


def main():
    one_factor(np.random.default_rng(0))
    if shutil.which("Rscript"):
        crossed()
        profiles()
    else:
        print("InstEval, profiles: no R")


if __name__ == "__main__":
    main()
