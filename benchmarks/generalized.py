"""Generalized models by skmixed, glmm, GPBoost, glmer and glmmTMB, side by side.

All fit the same model by Laplace's approximation, on one thread, in turn; the time is of
the fit alone, with standard errors where a program gives them, the median of several
rounds, and beside it as a multiple of scikit-learn's LogisticRegression on the same
numeric columns. Beside the time stands how far the log-likelihood that a program reports
lies from skmixed's. R needs r-cran-lme4 and r-cran-glmmtmb; the others are `pip install
glmm gpboost`. What is missing is left out, and what takes minutes unless `--slow` is given.

    python benchmarks/generalized.py [--rounds 3] [--only toenail crossed] [--slow]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from skmixed import MixedLogisticClassifier, MixedPoissonRegressor, RandomEffect
from skmixed.datasets import load_toenail

VERBAGG = Path(__file__).parents[1] / "tests" / "reference" / "generalized" / "data"
# Short fits are repeated for so long (seconds) within a round.
SHORTEST = 0.3
R_FIT = """
suppressMessages(library({package}))
d <- read.csv("data.csv", stringsAsFactors = FALSE)
for (g in c({factors})) d[[g]] <- factor(d[[g]])
start <- proc.time()["elapsed"]
m <- suppressWarnings(suppressMessages({call}({formula}, d, family = {family})))
cat(proc.time()["elapsed"] - start, sprintf("%.10f", as.numeric(logLik(m))))
"""


@dataclass(frozen=True)
class Case:
    """Data with factors, each with an intercept and `slopes` for the first one."""

    name: str
    X: pd.DataFrame
    y: np.ndarray
    fixed: tuple[str, ...]
    factors: tuple[str, ...]
    slopes: tuple[str, ...] = ()
    family: str = "binomial"
    slow: tuple[str, ...] = ()

    @property
    def formula(self):
        terms = [f"({' + '.join(('1', *self.slopes))} | {self.factors[0]})"]
        terms += [f"(1 | {g})" for g in self.factors[1:]]
        return " + ".join(["response ~ 1", *self.fixed, *terms])


def timed(fit):
    """Seconds a fit, over as many as fill `SHORTEST`, and the last result."""
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < SHORTEST:
        result, count = fit(), count + 1
    return (time.perf_counter() - start) / count, result


def fit_skmixed(case):
    first, *others = case.factors
    effects = [RandomEffect(first, slopes=case.slopes), *others]
    is_binary = case.family == "binomial"
    estimator = MixedLogisticClassifier if is_binary else MixedPoissonRegressor
    model = estimator(effects, fixed=list(case.fixed))
    seconds, _ = timed(lambda: model.fit(case.X, case.y))
    return seconds, model.log_likelihood_


def fit_without_groups(case):
    model = PoissonRegressor(alpha=0.0)
    if case.family == "binomial":
        model = LogisticRegression(C=np.inf)
    X = case.X[list(case.fixed)]
    return timed(lambda: model.fit(X, case.y))[0], np.nan


def fit_glmm(case):
    import glmm

    data = {name: case.X[name].to_numpy() for name in case.X} | {"response": case.y}
    seconds, found = timed(lambda: glmm.fit(data, case.formula, family=case.family))
    return seconds, found.loglik


def fit_gpboost(case):
    import gpboost

    slopes = {}
    if case.slopes:
        slopes = {
            "group_rand_coef_data": case.X[list(case.slopes)].to_numpy(),
            "ind_effect_group_rand_coef": [1] * len(case.slopes),
        }
    design = np.column_stack([np.ones(len(case.X)), case.X[list(case.fixed)]])
    likelihood = "bernoulli_logit" if case.family == "binomial" else "poisson"

    def fit():
        model = gpboost.GPModel(
            group_data=case.X[list(case.factors)].to_numpy(),
            likelihood=likelihood,
            num_parallel_threads=1,
            **slopes,
        )
        return model.fit(y=case.y, X=design)

    seconds, model = timed(fit)
    return seconds, -model.get_current_neg_log_likelihood()


def fit_r(package, call):
    def fit(case):
        script = R_FIT.format(
            package=package,
            call=call,
            factors=", ".join(f'"{g}"' for g in case.factors),
            formula=case.formula,
            family=case.family,
        )
        with tempfile.TemporaryDirectory() as folder:
            case.X.assign(response=case.y).to_csv(Path(folder, "data.csv"), index=False)
            Path(folder, "script.R").write_text(script)
            command = ["Rscript", "script.R"]
            found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        seconds, value = map(float, found.stdout.split())
        return seconds, value

    return fit


FITS = {
    "without groups": fit_without_groups,
    "skmixed": fit_skmixed,
    "glmm": fit_glmm,
    "GPBoost": fit_gpboost,
    "glmmTMB": fit_r("glmmTMB", "glmmTMB"),
    "glmer": fit_r("lme4", "glmer"),
}
OF_R = {"glmer": "lme4", "glmmTMB": "glmmTMB"}


def toenail():
    X, y = load_toenail(return_X_y=True)
    return Case("toenail", X, y.to_numpy(), ("treated", "visit"), ("patient",))


def verbagg():
    data = pd.read_csv(VERBAGG / "verbagg.csv.gz")
    names = ["Gender", "btype", "situ"]
    X = pd.get_dummies(data[names], drop_first=True, dtype=float)
    X = pd.concat([data[["Anger"]].astype(float), X, data[["id", "item"]]], axis=1)
    X.columns = [str(name).replace(" ", "") for name in X.columns]
    y = data["y"].to_numpy(dtype=float)
    fixed = tuple(name for name in X.columns if name not in ("id", "item"))
    return Case("VerbAgg", X, y, fixed, ("id", "item"))


def simulated(name, rows, levels, *, slopes=(), family="binomial", slow=()):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["x0", "x1", "x2"])
    eta = -0.5 + X.to_numpy() @ np.array([0.5, -0.3, 0.2])
    for k, count in enumerate(levels):
        X[f"g{k}"] = rng.integers(0, count, rows)
        eta += rng.normal(size=count)[X[f"g{k}"]] * (1.0, 0.5)[k]
    if slopes:
        eta += 0.4 * rng.normal(size=levels[0])[X["g0"]] * X[slopes[0]].to_numpy()
    y = rng.poisson(np.exp(eta)) if family == "poisson" else rng.random(rows) < expit(eta)
    factors = tuple(f"g{k}" for k in range(len(levels)))
    return Case(
        name, X, y.astype(float), ("x0", "x1", "x2"), factors, tuple(slopes), family, tuple(slow)
    )


CASES = {
    "toenail": toenail,
    "verbagg": verbagg,
    "bernoulli": lambda: simulated(
        "100,000 classes in 5,000 groups", 100_000, [5_000], slow=["glmmTMB", "glmer"]
    ),
    "slopes": lambda: simulated(
        "100,000 counts in 5,000 groups with a slope",
        100_000,
        [5_000],
        slopes=["x0"],
        family="poisson",
        slow=["glmmTMB", "glmer"],
    ),
    "crossed": lambda: simulated(
        "100,000 classes, 5,000 crossed with 1,000",
        100_000,
        [5_000, 1_000],
        slow=["glmm", "glmmTMB", "glmer"],
    ),
    "million": lambda: simulated(
        "1,000,000 classes in 100,000 groups",
        1_000_000,
        [100_000],
        slow=["glmmTMB", "glmer"],
    ),
}


def is_there(program):
    if program in OF_R:
        code = f"quit(status = !requireNamespace('{OF_R[program]}', quietly = TRUE))"
        found = shutil.which("Rscript")
        return bool(found) and not subprocess.run([found, "-e", code], check=False).returncode
    try:
        __import__({"GPBoost": "gpboost", "glmm": "glmm"}.get(program, "skmixed"))
    except ImportError:
        return False
    return True


def compare(case, rounds, *, with_slow):
    fits = {
        name: fit
        for name, fit in FITS.items()
        if is_there(name) and (with_slow or name not in case.slow)
    }
    seconds, found = {name: [] for name in fits}, {}
    for _ in range(rounds):
        for name, fit in fits.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                taken, found[name] = fit(case)
            seconds[name].append(taken)
    print(f"{case.name}: levels {[case.X[g].nunique() for g in case.factors]}")
    for name in fits:
        base = zip(seconds[name], seconds["without groups"], strict=True)
        ratio = statistics.median(a / b for a, b in base)
        print(
            f"  {name:15s} {statistics.median(seconds[name]):9.4f} s {ratio:8.1f} ×; "
            f"log-likelihood {found[name]:.6f}, {found[name] - found['skmixed']:+.1e}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--slow", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.only:
        compare(CASES[name](), arguments.rounds, with_slow=arguments.slow)


if __name__ == "__main__":
    main()
