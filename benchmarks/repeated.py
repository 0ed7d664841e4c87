"""Models with correlated residuals by skmixed and in R, side by side.

Prints the time of the fit, and of the fit with a table of Kenward and Roger's tests, beside
that of the fit alone by nlme, and of scikit-learn's LinearRegression on the same columns.
A single series is fitted by maximum likelihood, as R's `arima` does, and has Satterthwaite's
tests: nlme's `gls` would make a matrix of all its rows. All run on one thread, in turn; the
time is the median of several rounds, and the multiple the median of those of single rounds.
Beside it stands how far the criterion, −2 log-likelihood, at which R ends lies above
skmixed's. R (Debian: r-cran-nlme) is left out where it is missing, and where it takes a minute
unless `--slow` is given.

    python benchmarks/repeated.py [--rounds 5] [--only trial series] [--slow]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from sklearn.linear_model import LinearRegression

from skmixed import MixedLinearRegressor, ResidualCovariance, mmrm
from skmixed.inference import coefficient_table

BCVA = Path(__file__).parents[1] / "tests" / "reference" / "residual" / "data" / "bcva.csv.gz"
# Short fits are repeated for so long (seconds) within a round.
SHORTEST = 0.3
R_FIT = """
suppressMessages(library(nlme))
d <- read.csv("data.csv", stringsAsFactors = TRUE)
start <- proc.time()["elapsed"]
m <- {call}
seconds <- proc.time()["elapsed"] - start
cat(seconds, sprintf("%.8f", -2 * as.numeric(logLik(m))))
"""


@dataclass(frozen=True)
class Case:
    """Data, their model by skmixed, and the call that fits the same model in R."""

    name: str
    frame: pd.DataFrame
    numeric: pd.DataFrame
    response: str
    fit: Callable[[pd.DataFrame], MixedLinearRegressor]
    call: str = ""
    ddf: str = "kenward-roger"
    is_slow: bool = False


def timed(fit):
    """Seconds a fit, over as many as fill `SHORTEST`, and the last result."""
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < SHORTEST:
        result, count = fit(), count + 1
    return (time.perf_counter() - start) / count, result


def fit_without_subjects(case):
    y = case.frame[case.response]
    return timed(lambda: LinearRegression().fit(case.numeric, y))[0], np.nan


def fit_skmixed(case):
    seconds, model = timed(lambda: case.fit(case.frame))
    return seconds, model.criterion_


def fit_with_table(case):
    def fit():
        model = case.fit(case.frame)
        coefficient_table(model, case.ddf)
        return model

    seconds, model = timed(fit)
    return seconds, model.criterion_


def fit_r(case):
    with tempfile.TemporaryDirectory() as folder:
        case.frame.to_csv(Path(folder, "data.csv"), index=False)
        Path(folder, "script.R").write_text(R_FIT.format(call=case.call))
        command = ["Rscript", "script.R"]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    seconds, value = map(float, found.stdout.split())
    return seconds, value


FITS = {
    "LinearRegression": fit_without_subjects,
    "skmixed": fit_skmixed,
    "skmixed with tests": fit_with_table,
    "R": fit_r,
}


def trial():
    """The 8,605 rows of 1,000 patients at ten visits of R mmrm's data set bcva_data."""
    frame = pd.read_csv(BCVA)
    formula = "BCVA_CHG ~ BCVA_BL + RACE + ARMCD * AVISIT"
    columns = pd.get_dummies(frame[["BCVA_BL", "RACE", "ARMCD", "AVISIT"]], drop_first=True)
    return Case(
        "ten visits of 1,000 patients, unstructured",
        frame,
        columns.astype(float),
        "BCVA_CHG",
        lambda data: mmrm(f"{formula} + us(AVISIT | USUBJID)", data),
        f"gls({formula}, d, correlation = corSymm(form = ~ VISITN | USUBJID), "
        "weights = varIdent(form = ~ 1 | AVISIT))",
        is_slow=True,
    )


def million():
    """Four visits of 250,000 patients in two arms."""
    rng = np.random.default_rng(0)
    patients, visits = 250_000, 4
    X = pd.DataFrame({"x": np.repeat(rng.normal(size=patients), visits)})
    X["arm"] = np.repeat(np.arange(patients) % 2, visits).astype(float)
    visit = np.tile(np.arange(visits), patients)
    for k in range(1, visits):
        X[f"visit{k}"] = (visit == k).astype(float)
        X[f"arm_visit{k}"] = X[f"visit{k}"] * X["arm"]
    fixed = list(X)
    root = np.linalg.cholesky(0.5 + np.diag([0.5, 0.8, 1.0, 1.5]))
    noise = rng.normal(size=(patients, visits)) @ root.T
    y = X[fixed].sum(axis=1) + noise.ravel()
    X["visit"], X["patient"], X["y"] = visit, np.repeat(np.arange(patients), visits), y
    any_covariance = ResidualCovariance("unstructured", subject="patient", time="visit")
    model = MixedLinearRegressor(fixed=fixed, residual=any_covariance)
    return Case(
        "four visits of 250,000 patients, unstructured",
        X,
        X[fixed],
        "y",
        lambda data: model.fit(data, data["y"]),
    )


def autoregression(subjects, times, rng):
    """Rows of an AR(1) with ρ = 0.5 and variance 1: (subjects, times)."""
    steps = rng.normal(size=(subjects, times)) * np.sqrt(0.75)
    steps[:, 0] /= np.sqrt(0.75)
    return lfilter([1.0], [1.0, -0.5], steps, axis=1)


def intercepts():
    """Twenty times of 5,000 subjects that have an intercept each."""
    subjects, times = 5_000, 20
    rng = np.random.default_rng(0)
    noise = autoregression(subjects, times, rng) + rng.normal(size=(subjects, 1))
    X = pd.DataFrame(rng.normal(size=(subjects * times, 2)), columns=["x0", "x1"])
    X["subject"] = np.repeat(np.arange(subjects), times)
    X["time"], X["y"] = np.tile(np.arange(times), subjects), X["x0"] + noise.ravel()
    ar1 = ResidualCovariance("ar1", subject="subject", time="time")
    model = MixedLinearRegressor("subject", fixed=["x0", "x1"], residual=ar1)
    return Case(
        "twenty times of 5,000 subjects, AR(1) beside a random intercept",
        X,
        X[["x0", "x1"]],
        "y",
        lambda data: model.fit(data, data["y"]),
        "lme(y ~ x0 + x1, d, random = ~ 1 | subject, "
        "correlation = corAR1(form = ~ time | subject))",
    )


def series():
    """One series of 100,000 times."""
    rng = np.random.default_rng(0)
    noise = autoregression(1, 100_000, rng).ravel()
    X = pd.DataFrame(rng.normal(size=(len(noise), 2)), columns=["x0", "x1"])
    X["time"], X["series"], X["y"] = np.arange(len(X)), 0, X["x0"] + noise
    ar1 = ResidualCovariance("ar1", subject="series", time="time")
    model = MixedLinearRegressor(fixed=["x0", "x1"], residual=ar1, method="ml")
    return Case(
        "one series of 100,000 times, AR(1)",
        X,
        X[["x0", "x1"]],
        "y",
        lambda data: model.fit(data, data["y"]),
        'arima(d$y, c(1, 0, 0), xreg = d[c("x0", "x1")], method = "ML")',
        ddf="satterthwaite",
    )


CASES = {
    "trial": trial,
    "million": million,
    "intercepts": intercepts,
    "series": series,
}


def compare(case, rounds, *, with_slow):
    fits = dict(FITS)
    if not (case.call and shutil.which("Rscript")) or (case.is_slow and not with_slow):
        del fits["R"]
    seconds, found = {name: [] for name in fits}, {}
    for _ in range(rounds):
        for name, fit in fits.items():
            taken, found[name] = fit(case)
            seconds[name].append(taken)
    print(f"{case.name}: {len(case.frame):,} rows")
    for name in fits:
        line = f"  {name:22s} {statistics.median(seconds[name]):9.4f} s"
        for other in ("LinearRegression", "skmixed"):
            ratios = [a / b for a, b in zip(seconds[name], seconds[other], strict=True)]
            line += f" {statistics.median(ratios):9.2f} × {other}"
        if np.isfinite(found[name]):
            above = found[name] - found["skmixed"]
            line += f"; criterion {found[name]:.6f}, {above:+.1e}"
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--slow", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.only:
        compare(CASES[name](), arguments.rounds, with_slow=arguments.slow)


if __name__ == "__main__":
    main()
