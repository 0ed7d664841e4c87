"""Where the optimum is at a variance of zero: skmixed against statsmodels.

Data without differences between groups (ten groups of six rows): more than half of
the random-intercept fits and nearly all of those with a random slope are singular.
Counted among them: fits of statsmodels that stop higher in the REML criterion, that
return a fixed intercept of 0 and an infinite likelihood (statsmodels#10239), and
that raise; by its default sequence of optimizers and by "lbfgs" alone.

    python benchmarks/boundary.py [--datasets 100]
"""

import argparse
import os
import warnings
from collections import Counter

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

from skmixed import MixedLinearRegressor


def data(rng):
    x = rng.normal(size=60)
    return pd.DataFrame(
        {"g": np.repeat(np.arange(10), 6), "x": x, "y": 1 + 2 * x + rng.normal(size=60)}
    )


def judge(frame, formula, method, criterion):
    """What there is to say of one fit of statsmodels."""
    try:
        found = smf.mixedlm("y ~ x", frame, groups="g", re_formula=formula).fit(method=method)
    except np.linalg.LinAlgError:
        return ["raised"]
    above = -2 * found.llf - criterion
    facts = {
        "higher by 0.01": above > 0.01,
        "higher by 0.1": above > 0.1,
        "higher by 0.01 and converged=True": above > 0.01 and found.converged,
        "infinite likelihood": np.isinf(found.llf),
        "infinite likelihood and converged=True": np.isinf(found.llf) and found.converged,
    }
    return [name for name, is_so in facts.items() if is_so]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--datasets", type=int, default=100)
    n_datasets = parser.parse_args().datasets
    warnings.simplefilter("ignore")
    for name, slopes, formula in (("intercept", None, None), ("slope", ["x"], "~x")):
        rng, counts, singular = np.random.default_rng(0), {None: Counter(), "lbfgs": Counter()}, 0
        for _ in range(n_datasets):
            frame = data(rng)
            model = MixedLinearRegressor("g", random_slopes=slopes)
            model.fit(frame[["x", "g"]], frame["y"])
            if not model.singular_:
                continue
            singular += 1
            for method, count in counts.items():
                count.update(judge(frame, formula, method, model.criterion_))
        print(f"random {name}: {singular} of {n_datasets} fits are singular")
        for method, count in counts.items():
            print(f"  statsmodels, {method or 'default'}: {dict(count)}")


if __name__ == "__main__":
    main()
