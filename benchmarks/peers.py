"""The same models by skmixed, lme4, statsmodels, GPBoost and MERF, side by side.

Every program fits by maximum likelihood, which all of them know; the times are of
the fit alone, all on one thread, in turn, the median of several rounds. Beside the
time stands how far the deviance at a program's estimates lies above that of
skmixed: computed here, by one function, from the variances that each program
reports. lme4 needs R (Debian: r-cran-lme4), and InstEval comes from there; the
others are `pip install statsmodels gpboost merf`. What is missing is left out.

GPBoost's intercepts and slopes are independent: it is compared with skmixed's fit
of the same model. MERF runs its default of 20 iterations, with a linear model for
the fixed part. statsmodels and MERF take one grouping factor.

    python benchmarks/peers.py [--rounds 3] [--only sleepstudy]
"""

import argparse
import logging
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

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.linalg import splu
from sklearn.linear_model import LinearRegression

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.datasets import load_sleepstudy

# Short fits are repeated for so long (seconds) within a round.
SHORTEST = 0.3
R_FIT = """
suppressMessages(library(lme4))
d <- read.csv("data.csv", stringsAsFactors = FALSE)
for (g in c({factors})) d[[g]] <- factor(d[[g]])
invisible(lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE))
k <- 0; start <- proc.time()["elapsed"]
repeat {{
  m <- suppressMessages(lmer({formula}, d, REML = FALSE))
  k <- k + 1; seconds <- (proc.time()["elapsed"] - start) / k
  if (seconds * k > {shortest}) break
}}
v <- VarCorr(m)[c({factors})]
cat(seconds, sigma(m)^2, unlist(lapply(v, as.numeric)))
"""
INSTEVAL = """
suppressMessages(library(lme4))
d <- InstEval
d$service <- as.numeric(as.character(d$service))
write.csv(d[c("s", "d", "dept", "service", "y")], "insteval.csv", row.names = FALSE)
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
    programs: tuple[str, ...] = ("lme4", "statsmodels", "GPBoost", "MERF")

    @property
    def design(self):
        """Columns of the fixed effects, the intercept first: (n, p)."""
        return np.column_stack([np.ones(len(self.X)), self.X[list(self.fixed)]])

    def effects(self, factor):
        """Columns of one factor's coefficients: (n, s)."""
        slopes = self.slopes if factor == self.factors[0] else ()
        return np.column_stack([np.ones(len(self.X)), *(self.X[x] for x in slopes)])


def deviance(case, covariances, variance):
    """−2 log-likelihood at a program's variances, the fixed effects at their optimum."""
    blocks = []
    for factor, covariance in zip(case.factors, covariances, strict=True):
        values, vectors = np.linalg.eigh(np.atleast_2d(covariance) / variance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        codes, levels = pd.factorize(case.X[factor])
        effects, size = case.effects(factor) @ root, len(root)
        columns = size * codes[:, None] + np.arange(size)
        rows = np.repeat(np.arange(len(codes)), size)
        shape = (len(codes), size * len(levels))
        blocks.append(sp.csr_array((effects.ravel(), (rows, columns.ravel())), shape=shape))
    z = sp.hstack(blocks, format="csc")
    both = np.column_stack([case.design, case.y - case.y.mean()])
    lower = splu(
        sp.csc_array(z.T @ z + sp.eye_array(z.shape[1])),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    inner = both.T @ both - (z.T @ both).T @ lower.solve(z.T @ both)
    squares = inner[-1, -1] - inner[-1, :-1] @ np.linalg.solve(inner[:-1, :-1], inner[:-1, -1])
    n = len(case.y)
    logdet = np.log(np.abs(lower.U.diagonal())).sum()
    return n * np.log(2 * np.pi * variance) + logdet + squares / variance


def timed(fit):
    """Seconds a fit, over as many as fill `SHORTEST`, and the last result."""
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < SHORTEST:
        result, count = fit(), count + 1
    return (time.perf_counter() - start) / count, result


def fit_skmixed(case, covariance="full"):
    first, *others = case.factors
    effects = [RandomEffect(first, slopes=case.slopes, covariance=covariance), *others]
    model = MixedLinearRegressor(effects, fixed=list(case.fixed), method="ml")
    seconds, _ = timed(lambda: model.fit(case.X, case.y))
    found = model.covariances_
    return seconds, [found[g].to_numpy() for g in case.factors], model.sigma_**2


def fit_independent(case):
    return fit_skmixed(case, "diag")


def fit_lme4(case):
    terms = [f"({' + '.join(('1', *case.slopes))} | {case.factors[0]})"]
    terms += [f"(1 | {g})" for g in case.factors[1:]]
    script = R_FIT.format(
        factors=", ".join(f'"{g}"' for g in case.factors),
        formula=" + ".join(["response ~ 1", *case.fixed, *terms]),
        shortest=SHORTEST,
    )
    with tempfile.TemporaryDirectory() as folder:
        case.X.assign(response=case.y).to_csv(Path(folder, "data.csv"), index=False)
        numbers = run_r(script, folder)
    seconds, variance, *entries = map(float, numbers.split())
    sizes = [case.effects(g).shape[1] for g in case.factors]
    parts = np.split(np.array(entries), np.cumsum(np.square(sizes))[:-1])
    return seconds, [p.reshape(s, s) for p, s in zip(parts, sizes, strict=True)], variance


def run_r(script, folder):
    Path(folder, "script.R").write_text(script)
    call = ["Rscript", "script.R"]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, check=True).stdout


def fit_statsmodels(case):
    from statsmodels.api import MixedLM

    groups, exog_re = case.X[case.factors[0]].to_numpy(), case.effects(case.factors[0])
    seconds, found = timed(
        lambda: MixedLM(case.y, case.design, groups=groups, exog_re=exog_re).fit(reml=False)
    )
    return seconds, [found.cov_re], found.scale


def fit_gpboost(case):
    import gpboost

    groups, slopes = case.X[list(case.factors)].to_numpy(), None
    if case.slopes:
        slopes = {
            "group_rand_coef_data": case.X[list(case.slopes)].to_numpy(),
            "ind_effect_group_rand_coef": [1] * len(case.slopes),
        }

    def fit():
        model = gpboost.GPModel(
            group_data=groups, likelihood="gaussian", num_parallel_threads=1, **(slopes or {})
        )
        return model.fit(y=case.y, X=case.design)

    seconds, model = timed(fit)
    variance, *others = np.asarray(model.get_cov_pars()).ravel().tolist()
    # Variances of all intercepts, then those of the slopes.
    intercepts, rest = others[: len(case.factors)], others[len(case.factors) :]
    first = np.diag([intercepts[0], *rest])
    return seconds, [first, *intercepts[1:]], variance


def fit_merf(case):
    from merf import MERF

    logging.disable(logging.CRITICAL)
    groups, effects = case.X[case.factors[0]], case.effects(case.factors[0])
    features = case.X[list(case.fixed)]
    seconds, found = timed(lambda: MERF(LinearRegression()).fit(features, effects, groups, case.y))
    return seconds, [found.D_hat_history[-1]], float(found.sigma2_hat_history[-1])


FITS = {
    "lme4": fit_lme4,
    "statsmodels": fit_statsmodels,
    "GPBoost": fit_gpboost,
    "MERF": fit_merf,
}


def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return Case("sleepstudy", X, y.to_numpy(), ("Days",), ("Subject",), ("Days",))


def simulated(name, rows, groups, programs):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["x0", "x1", "x2"])
    group = rng.integers(0, groups, rows)
    y = 1.0 + X.sum(axis=1).to_numpy() + rng.normal(size=groups)[group]
    y += 0.5 * rng.normal(size=groups)[group] * X["x0"].to_numpy() + rng.normal(size=rows)
    X["g"] = group
    return Case(name, X, y, ("x0", "x1", "x2"), ("g",), ("x0",), programs)


def insteval():
    with tempfile.TemporaryDirectory() as folder:
        run_r(INSTEVAL, folder)
        data = pd.read_csv(Path(folder, "insteval.csv"))
    X, y = data.drop(columns="y"), data["y"].to_numpy(dtype=float)
    return Case("InstEval", X, y, ("service",), ("s", "d", "dept"), (), ("lme4", "GPBoost"))


def is_there(program):
    if program == "lme4":
        return bool(shutil.which("Rscript"))
    try:
        __import__(program.lower())
    except ImportError:
        return False
    return True


def compare(case, rounds):
    fits = {"skmixed": fit_skmixed}
    if case.slopes and "GPBoost" in case.programs:
        fits["skmixed, independent"] = fit_independent
    fits |= {name: FITS[name] for name in case.programs if is_there(name)}
    seconds, found = {name: [] for name in fits}, {}
    for _ in range(rounds):
        for name, fit in fits.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                taken, *found[name] = fit(case)
            seconds[name].append(taken)
    print(
        f"{case.name}: {len(case.X):,} rows, levels {[case.X[g].nunique() for g in case.factors]}"
    )
    for name in fits:
        other = "skmixed, independent" if name == "GPBoost" and case.slopes else "skmixed"
        above = deviance(case, *found[name]) - deviance(case, *found[other])
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds[other], strict=True))
        print(
            f"  {name:21s} {statistics.median(seconds[name]):9.4f} s  {ratio:8.1f} × {other}; "
            f"deviance {deviance(case, *found[name]):.6f}, {above:+.1e}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=["sleepstudy", "500", "5000", "insteval"])
    arguments = parser.parse_args()
    every = ("lme4", "statsmodels", "GPBoost", "MERF")
    cases = {
        "sleepstudy": sleepstudy,
        "500": lambda: simulated("500 groups with a slope", 10_000, 500, every),
        "5000": lambda: simulated("5,000 groups with a slope", 100_000, 5_000, every[:3]),
        "insteval": insteval,
    }
    for name in arguments.only:
        if name != "insteval" or shutil.which("Rscript"):
            compare(cases[name](), arguments.rounds)


if __name__ == "__main__":
    main()
