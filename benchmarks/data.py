"""Rows of the jobs: classical data sets, and simulated ones of given sizes."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.special import expit

REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
INSTEVAL = """
suppressMessages(library(lme4))
d <- InstEval
d$service <- as.numeric(as.character(d$service))
write.csv(d[c("s", "d", "dept", "service", "y")], "insteval.csv", row.names = FALSE)
"""


class NoDataError(Exception):
    """Data that come with a program that is not installed."""


def sleepstudy():
    frame = pd.read_csv(REFERENCE / "data" / "sleepstudy.csv")
    codes = pd.factorize(frame["Subject"])[0]
    return pd.DataFrame({"Days": frame["Days"], "Subject": codes, "y": frame["Reaction"]})


def insteval():
    """The 73,421 ratings of lecturers `d` by students `s`, which come with lme4."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["Rscript", "-e", INSTEVAL], cwd=folder, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            message = "InstEval comes with lme4, and R or lme4 is missing"
            raise NoDataError(message) from error
        return pd.read_csv(Path(folder, "insteval.csv"))


def numeric(rng, rows, columns):
    names = [f"x{j}" for j in range(columns)]
    return pd.DataFrame(rng.normal(size=(rows, columns)), columns=names)


def grouped(rows, groups, columns, *, slopes=0):
    """Groups with effects of standard deviation 1, and of 0.5 for slopes; residuals of 1."""
    rng = np.random.default_rng(0)
    X, group = numeric(rng, rows, columns), rng.integers(0, groups, rows)
    y = 1.0 + X.sum(axis=1).to_numpy() + rng.normal(size=groups)[group] + rng.normal(size=rows)
    for j in range(slopes):
        y += 0.5 * rng.normal(size=groups)[group] * X[f"x{j}"].to_numpy()
    return X.assign(g=group, y=y)


def schools(rows, n_schools, n_districts):
    rng = np.random.default_rng(0)
    X, school = numeric(rng, rows, 5), rng.integers(0, n_schools, rows)
    y = X.sum(axis=1) + 0.5 * rng.normal(size=n_schools)[school] + rng.normal(size=rows)
    y += 0.3 * rng.normal(size=n_districts)[school % n_districts]
    return X.assign(school=school, district=school % n_districts, y=y)


def crossed(rows, levels, columns=3):
    """Factors g0, g1, … whose levels meet at random."""
    rng = np.random.default_rng(0)
    X = numeric(rng, rows, columns)
    y = X.sum(axis=1) + rng.normal(size=rows)
    for k, count in enumerate(levels):
        X[f"g{k}"] = rng.integers(0, count, rows)
        y += 0.5 * rng.normal(size=count)[X[f"g{k}"]]
    return X.assign(y=y)


def ratings(rows, users, items):
    """Users rate items, both of a popularity that falls slowly."""
    rng = np.random.default_rng(0)
    shares = [(np.arange(q) + 10.0) ** -a for q, a in ((users, 0.7), (items, 0.9))]
    user, item = (rng.choice(len(s), rows, p=s / s.sum()) for s in shares)
    y = 3.5 + 0.4 * rng.normal(size=users)[user] + 0.5 * rng.normal(size=items)[item]
    return pd.DataFrame({"user": user, "item": item, "y": y + 0.9 * rng.normal(size=rows)})


def toenail():
    frame = pd.read_csv(REFERENCE / "generalized" / "data" / "toenail.csv")
    return frame.rename(columns={frame.columns[-1]: "y"})


def verbagg():
    frame = pd.read_csv(REFERENCE / "generalized" / "data" / "verbagg.csv.gz")
    X = pd.get_dummies(frame[["Gender", "btype", "situ"]], drop_first=True, dtype=float)
    X.columns = [str(name).replace(" ", "") for name in X.columns]
    labels = {name: pd.factorize(frame[name])[0] for name in ("id", "item")}
    return X.assign(Anger=frame["Anger"].astype(float), **labels, y=frame["y"].astype(float))


def events(rows, groups, *, slope=False, counts=False):
    rng = np.random.default_rng(0)
    X, group = numeric(rng, rows, 3), rng.integers(0, groups, rows)
    eta = -0.5 + X.to_numpy() @ np.array([0.5, -0.3, 0.2]) + rng.normal(size=groups)[group]
    if slope:
        eta += 0.4 * rng.normal(size=groups)[group] * X["x0"].to_numpy()
    y = rng.poisson(np.exp(eta)) if counts else rng.random(rows) < expit(eta)
    return X.assign(g=group, y=y.astype(float))


def trial():
    """The 8,605 rows of 1,000 patients at ten visits of R mmrm's data set bcva_data."""
    frame = pd.read_csv(REFERENCE / "residual" / "data" / "bcva.csv.gz")
    names = ["RACE", "ARMCD", "AVISIT"]
    X = pd.get_dummies(frame[names], drop_first=True, dtype=float)
    arms, visits = ([c for c in X if c.startswith(start)] for start in ("ARMCD", "AVISIT"))
    for visit in visits:
        X[f"both{visit}"] = X[arms[0]] * X[visit]
    X.columns = [f"c{k}" for k in range(X.shape[1])]
    patient = pd.factorize(frame["USUBJID"])[0]
    visit = 1 + pd.factorize(frame["AVISIT"], sort=True)[0]
    return X.assign(base=frame["BCVA_BL"], patient=patient, visit=visit, y=frame["BCVA_CHG"])


def autoregression(subjects, times, *, intercepts):
    """An AR(1) with correlation 0.5, all of variance 1, and intercepts of the subjects."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(subjects, times)) * np.sqrt(0.75)
    steps[:, 0] /= np.sqrt(0.75)
    noise = lfilter([1.0], [1.0, -0.5], steps, axis=1)
    noise += intercepts * rng.normal(size=(subjects, 1))
    X = numeric(rng, subjects * times, 2)
    subject = np.repeat(np.arange(subjects), times)
    return X.assign(
        subject=subject, time=np.tile(np.arange(times), subjects), y=X["x0"] + noise.ravel()
    )
