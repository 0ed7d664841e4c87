"""Small fitted models of every kind, to be saved."""

import numpy as np
import pandas as pd
from repeated_models import simulated

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
)

rng = np.random.default_rng(0)
ROW = np.arange(60)
X = pd.DataFrame({"x": rng.normal(size=60), "g": ROW % 10, "h": (ROW * 7 + ROW // 10) % 10})
Y = X["x"] + rng.normal(size=10)[X["g"]] + rng.normal(size=10)[X["h"]] + rng.normal(size=60)
COUNTS = rng.poisson(2, 60)
CLASSES = np.where(Y + rng.logistic(size=60) > 0, "yes", "no")
REPEATED = simulated(0).drop(columns="weight")
REPEATED["size"] = np.exp(REPEATED["x"])


def repeated(structure, groups=None, **columns):
    """Fit y ~ x + arm + time, far from 0."""
    named = {"subject": "subject", "time": "time"} | columns
    residual = ResidualCovariance(structure, **named)
    model = MixedLinearRegressor(groups, fixed=["x", "arm", "time"], residual=residual)
    return model.fit(REPEATED.drop(columns="y"), 10 + REPEATED["y"])


MODELS = {
    "no effects": lambda: MixedLinearRegressor().fit(X.assign(twice=2 * X["x"]), Y),
    "crossed": lambda: MixedLinearRegressor(["g", "h"]).fit(X, Y),
    "weighted": lambda: MixedLinearRegressor(RandomEffect("g", "x")).fit(X, Y, 1 + X["h"]),
    "structured": lambda: MixedLinearRegressor(
        RandomEffect("g", slopes=["x", "h"], covariance="ar1")
    ).fit(X, Y),
    "iterative": lambda: MixedLinearRegressor(["g", "h"], solver="iterative").fit(X, Y),
    "updated": lambda: MixedLinearRegressor("g").fit(X[:50], Y[:50]).update_groups(X[50:], Y[50:]),
    "slim": lambda: MixedLinearRegressor("g").fit(X, Y).slim(),
    "ar1": lambda: repeated("ar1", "rater"),
    "strata": lambda: repeated("exponential", by="arm", shared_correlation=True),
    "unstructured": lambda: repeated("unstructured"),
    "toeplitz": lambda: repeated("toeplitz", heterogeneous=True),
    "compound symmetry": lambda: repeated("compound_symmetry", time=None),
    "power": lambda: repeated("gaussian", power="size"),
    "fitted": lambda: repeated("independent", "subject", time=None, power="fitted(.)"),
    "logistic": lambda: MixedLogisticClassifier("g").fit(X, CLASSES),
    "poisson": lambda: MixedPoissonRegressor([RandomEffect("g", "x"), "h"]).fit(X, COUNTS),
    "negative binomial": lambda: MixedNegativeBinomialRegressor("g").fit(X, COUNTS),
    "gamma": lambda: MixedGammaRegressor("g", quadrature=5).fit(X, np.exp(Y)),
    "binomial": lambda: MixedBinomialRegressor("g").fit(
        X, COUNTS.clip(0, 8) / 8, sample_weight=np.full(60, 8)
    ),
    "separated": lambda: MixedLogisticClassifier("g").fit(
        X.assign(z=CLASSES == "yes").astype(float), CLASSES
    ),
}


def rows_of(model):
    """The rows that a model of these was fitted to."""
    for frame in (X, REPEATED.drop(columns="y")):
        if list(model.feature_names_in_) == list(frame.columns):
            return frame
    more = {"z": CLASSES == "yes", "twice": 2 * X["x"]}
    return X.assign(**{n: v for n, v in more.items() if n in model.feature_names_in_}).astype(float)
