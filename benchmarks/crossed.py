"""The iterative solver on large crossed factors, against GPBoost's.

Users rate items, both of a popularity that falls slowly. GPBoost (pip install
gpboost) is left out where it is not installed; it runs on all cores, this package
on one. Times are of whole fits, one after the other in one run.

    python benchmarks/crossed.py [--rows 1000000] [--users 100000] [--items 20000] [--alone]
"""

import argparse
import importlib.util
import resource
import time

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor

USER_SD, ITEM_SD, RESIDUAL_SD = 0.4, 0.5, 0.9


def popular(rng, levels, rows, power):
    shares = (np.arange(levels) + 10.0) ** -power
    return rng.choice(levels, rows, p=shares / shares.sum())


def ratings(rows, users, items):
    rng = np.random.default_rng(0)
    user, item = popular(rng, users, rows, 0.7), popular(rng, items, rows, 0.9)
    y = 3.5 + USER_SD * rng.normal(size=users)[user] + ITEM_SD * rng.normal(size=items)[item]
    return pd.DataFrame({"user": user, "item": item}), y + RESIDUAL_SD * rng.normal(size=rows)


def ours(X, y):
    start = time.perf_counter()
    model = MixedLinearRegressor(["user", "item"], solver="iterative").fit(X, y)
    seconds = time.perf_counter() - start
    variances = model.variance_components_["variance"].to_numpy()
    print(
        f"skmixed {seconds:.2f} s: variances {variances.round(5)}, intercept "
        f"{model.intercept_:.5f}, {model.n_factorizations_} solutions, largest Monte Carlo error "
        f"of an sd {model.monte_carlo_errors_['sd_error'].max():.1e}, criterion "
        f"{model.criterion_:.2f} ± {model.criterion_error_:.2f}"
    )
    return seconds


def theirs(X, y):
    import gpboost

    start = time.perf_counter()
    model = gpboost.GPModel(
        group_data=X.to_numpy(), likelihood="gaussian", matrix_inversion_method="iterative"
    )
    model.fit(y=y, X=np.ones((len(y), 1)))
    seconds = time.perf_counter() - start
    variances = np.asarray(model.get_cov_pars()).ravel()[:3][[1, 2, 0]]
    print(
        f"GPBoost {seconds:.2f} s: variances {variances.round(5)}, intercept "
        f"{float(np.asarray(model.get_coef()).ravel()[0]):.5f}"
    )
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--alone", action="store_true", help="without GPBoost")
    arguments = parser.parse_args()
    X, y = ratings(arguments.rows, arguments.users, arguments.items)
    own = min(ours(X, y) for _ in range(2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak of the process {peak:.2f} GiB")
    if not arguments.alone and importlib.util.find_spec("gpboost"):
        other = theirs(X, y)
        print(f"{other / own:.1f} times faster than GPBoost")


if __name__ == "__main__":
    main()
