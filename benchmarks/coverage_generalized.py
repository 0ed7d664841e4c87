"""Bias, coverage and calibration of mixed logistic and Poisson models, by simulation.

Groups of 2, 5 or 20 rows, a covariate of the rows and one of the groups, and a random
intercept of sd 1.5 (logistic) or 0.7 (Poisson); Laplace's approximation beside adaptive
quadrature. By family, rows a group and method: the bias of the coefficients and of the sd,
the share of 95 % intervals that hold them, and how predictions for groups that the fit
never saw are calibrated: the slope and the mean error of the true probability (or mean)
on the predicted one, beside those of the plug-in at an effect of 0.

    python benchmarks/coverage_generalized.py [--samples 500] [--groups 200]
"""

import argparse
import os
import warnings

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from skmixed import MixedLogisticClassifier, MixedPoissonRegressor
from skmixed.inference import coefficient_table, confidence_intervals

BETA = np.array([-1.0, 1.0, 0.5])
METHODS = {"Laplace": 1, "quadrature": "auto"}
ROWS = (2, 5, 20)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


class Logistic:
    """Bernoulli responses with a logit link."""

    name, sd, scale = "logistic", 1.5, staticmethod(logit)
    inverse = staticmethod(expit)
    estimator = MixedLogisticClassifier

    @staticmethod
    def draw(rng, mean):
        return (rng.random(len(mean)) < mean).astype(float)

    @staticmethod
    def predicted(model, X, include="all"):
        return model.predict_proba(X, include=include)[:, 1]


class Poisson:
    """Counts with a log link."""

    name, sd, scale = "Poisson", 0.7, staticmethod(np.log)
    inverse = staticmethod(np.exp)
    estimator = MixedPoissonRegressor

    @staticmethod
    def draw(rng, mean):
        return rng.poisson(mean).astype(float)

    @staticmethod
    def predicted(model, X, include="all"):
        return model.predict(X, include=include)


def rows_of(rng, n_groups, rows, first=0):
    """Covariates of rows and of groups."""
    group = np.repeat(np.arange(n_groups), rows)
    return pd.DataFrame(
        {
            "x": rng.normal(size=len(group)),
            "z": rng.integers(2, size=n_groups)[group],
            "group": first + group,
        }
    )


def linear(X):
    """Return Xβ."""
    return BETA[0] + BETA[1] * X["x"].to_numpy() + BETA[2] * X["z"].to_numpy()


def marginal(kind, eta):
    """Return the mean over the effects of groups, by a rule of 61 nodes."""
    return kind.inverse(eta[:, None] + kind.sd * NODES) @ (WEIGHTS / WEIGHTS.sum())


def calibration(kind, truth, predicted):
    """Return the slope of the truth on the predicted in units of the link, and the mean error."""
    a, b = kind.scale(predicted), kind.scale(truth)
    return np.polyfit(a, b, 1)[0], (predicted - truth).mean()


def one(kind, rng, n_groups, rows, new, truth):
    """Return what one data set gives for each method, (methods, values)."""
    X = rows_of(rng, n_groups, rows)
    effects = kind.sd * rng.normal(size=n_groups)
    y = kind.draw(rng, kind.inverse(linear(X) + effects[X["group"]]))
    out = []
    for quadrature in METHODS.values():
        model = kind.estimator("group", quadrature=quadrature).fit(X, y)
        table = coefficient_table(model)
        beta, error = table["estimate"].to_numpy(), table["std_error"].to_numpy()
        sd = float(model.variance_components_["sd"].iloc[0])
        averaged = calibration(kind, truth, kind.predicted(model, new))
        plug_in = calibration(kind, truth, kind.predicted(model, new, include="fixed"))
        held = np.abs(beta - BETA) <= 1.96 * error
        lower, upper = confidence_intervals(model, components="sd")[["lower", "upper"]].iloc[0]
        is_held = lower <= kind.sd <= upper
        out.append([*(beta - BETA), sd - kind.sd, *held, is_held, *averaged, *plug_in])
    return np.array(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--groups", type=int, default=200)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # a variance estimated as 0 is part of it
    columns = [
        *("bias b0", "bias bx", "bias bz", "bias sd"),
        *("held b0", "held bx", "held bz", "held sd"),
        *("slope", "error", "slope fixed", "error fixed"),
    ]
    for kind in (Logistic, Poisson):
        new = rows_of(np.random.default_rng(1), 5000, 1, first=10**6)
        truth = marginal(kind, linear(new))
        for rows in ROWS:
            rng = np.random.default_rng(rows)
            found = np.array(
                [one(kind, rng, given.groups, rows, new, truth) for _ in range(given.samples)]
            )
            mean, spread = found.mean(0), found.std(0) / np.sqrt(given.samples)
            print(f"\n{kind.name}, {given.groups} groups of {rows} rows, {given.samples} samples")
            frame = pd.DataFrame(mean, list(METHODS), columns)
            print(frame.round(3).to_string())
            print(pd.DataFrame(spread, list(METHODS), columns).round(4).to_string())


if __name__ == "__main__":
    main()
