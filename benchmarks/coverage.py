"""Coverage of 95 % intervals of the fixed effects in a small unbalanced design.

Six groups of 2 to 12 rows, a treatment that varies between groups, a covariate
that varies within them; the share of simulated data sets whose interval holds the
true effect, by the degrees of freedom it uses.

    python benchmarks/coverage.py [--samples 4000]
"""

import argparse
import os
import warnings

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.inference import coefficient_table

SIZES = (2, 3, 4, 6, 9, 12)
TREATED = np.array([0, 1, 0, 1, 0, 1])
EFFECTS = {"(Intercept)": 1.0, "treatment": 0.5, "x": -0.3}
METHODS = ("normal", "residual", "satterthwaite", "kenward-roger")


def sample(rng, sd):
    group = np.repeat(np.arange(len(SIZES)), SIZES)
    X = pd.DataFrame(
        {"treatment": TREATED[group], "x": rng.normal(size=len(group)), "group": group}
    )
    y = EFFECTS["(Intercept)"] + X[["treatment", "x"]] @ [EFFECTS["treatment"], EFFECTS["x"]]
    return X, y + sd * rng.normal(size=len(SIZES))[group] + rng.normal(size=len(group))


def covers(X, y):
    model = MixedLinearRegressor("group").fit(X, y)
    tables = [coefficient_table(model, method) for method in METHODS]
    truth = np.array([EFFECTS[name] for name in tables[0].index])
    return [(t["lower"] <= truth) & (truth <= t["upper"]) for t in tables]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=4000)
    n = parser.parse_args().samples
    warnings.simplefilter("ignore")  # a variance estimated as 0 is part of it
    for sd in (0.5, 1.0, 2.0):
        rng = np.random.default_rng(0)
        shares = np.mean([covers(*sample(rng, sd)) for _ in range(n)], axis=0)
        error = np.sqrt(0.95 * 0.05 / n)
        print(f"sd of groups {sd}, residual sd 1, {n} samples (Monte Carlo error {error:.4f})")
        print(pd.DataFrame(shares, METHODS, list(EFFECTS)).round(3).to_string(), "\n")


if __name__ == "__main__":
    main()
