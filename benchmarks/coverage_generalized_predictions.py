"""How many intervals of predictions hold what they are of: known groups, and new ones.

    python benchmarks/coverage_generalized_predictions.py

40 groups with a random intercept, of sd 1 (two classes) or 0.7 (counts), and a covariate. Of each
of 200 data sets the 95 % intervals of one new row in each known group, and in each of 40 new ones:
of the mean in the group, and of a count; and of the mean at an effect of 0. Prints shares in
percent, with their Monte Carlo errors.
"""

import warnings

import numpy as np
import pandas as pd

from skmixed import MixedLogisticClassifier, MixedPoissonRegressor
from skmixed.exceptions import SingularFitWarning

N_GROUPS, N_SETS = 40, 200
INTERCEPT, SLOPE = 0.3, 0.5
CASES = {
    "two classes": (
        MixedLogisticClassifier,
        1.0,
        lambda eta: 1.0 / (1.0 + np.exp(-eta)),
        lambda rng, mean: (rng.random(len(mean)) < mean) * 1,
    ),
    "counts": (MixedPoissonRegressor, 0.7, np.exp, lambda rng, mean: rng.poisson(mean)),
}


def held(ends, values):
    return ((ends[:, 0] <= values) & (values <= ends[:, 1])).mean()


def coverage(name, n_rows, quadrature, seed):
    """Return the shares of one data set."""
    estimator, sd, mean_of, draw = CASES[name]
    rng = np.random.default_rng([seed, n_rows, len(name)])
    group, x = np.repeat(np.arange(N_GROUPS), n_rows), rng.normal(size=N_GROUPS * n_rows)
    effects = sd * rng.normal(size=2 * N_GROUPS)
    rows = pd.DataFrame({"x": x, "group": group})
    y = draw(rng, mean_of(INTERCEPT + SLOPE * x + effects[group]))
    model = estimator("group", quadrature=quadrature).fit(rows, y)
    further, out = rng.normal(size=N_GROUPS), {}
    fixed = INTERCEPT + SLOPE * further
    for kind, of_groups in (
        ("known", np.arange(N_GROUPS)),
        ("new", N_GROUPS + np.arange(N_GROUPS)),
    ):
        asked = pd.DataFrame({"x": further, "group": of_groups})
        mean = mean_of(fixed + effects[of_groups])
        out[f"mean, {kind}"] = held(model.predict_interval(asked, of="mean"), mean)
        if name == "counts":
            out[f"count, {kind}"] = held(model.predict_interval(asked), draw(rng, mean))
    ends = model.predict_interval(asked, of="mean", include="fixed")
    return out | {"mean, effect 0": held(ends, mean_of(fixed))}


def main():
    warnings.simplefilter("ignore", SingularFitWarning)
    for name in CASES:
        for n_rows in (5, 20):
            for quadrature in (1, 15):
                found = pd.DataFrame(
                    [coverage(name, n_rows, quadrature, seed) for seed in range(N_SETS)]
                )
                error = 100.0 * found.std() / np.sqrt(N_SETS)
                shares = pd.DataFrame({"held": 100.0 * found.mean(), "error": error}).round(1)
                print(f"{name}, {n_rows} rows a group, {quadrature} nodes", shares, sep="\n")


if __name__ == "__main__":
    main()
