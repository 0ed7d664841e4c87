"""Designs of MixedEffectsRegressor: a forest, boosted trees, and a linear effect beside f."""

from functools import partial

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression

from skmixed import MixedEffectsRegressor
from studies import measures
from studies.study import Design

SECTION = "Any regressor beside random effects"
GROUPS, ROWS = 60, 15
REGRESSORS = {
    "a linear model": LinearRegression(),
    "a forest": RandomForestRegressor(50, min_samples_leaf=5, max_features=0.5, random_state=0),
    "boosted trees": HistGradientBoostingRegressor(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=10, random_state=0
    ),
}


def curve(X):
    return 2 * np.sin(X["x0"]) + X["x1"] ** 2 + X["x2"].abs()


def of_groups(rng, shown, regressor):
    """60 groups of 15 rows, a further row of each and of as many new groups."""
    group = np.r_[np.repeat(np.arange(GROUPS), ROWS), np.arange(2 * GROUPS)]
    n = GROUPS * ROWS
    X = pd.DataFrame(rng.normal(size=(len(group), 3)), columns=["x0", "x1", "x2"])
    X["group"] = group
    b = rng.normal(size=2 * GROUPS)
    f = X[["x0", "x1", "x2"]].sum(axis=1) if regressor == "a linear model" else curve(X)
    mean = (f + b[group]).to_numpy()
    y = mean + rng.normal(size=len(group))
    model = MixedEffectsRegressor(REGRESSORS[regressor], "group").fit(X[:n], y[:n])
    shown.fitted(model)
    found = measures.variances(model)
    shown.estimate("variance of (Intercept) in group", found["group", "(Intercept)"], 1.0)
    off = np.mean((model.predict(X[n:], include="fixed") - f[n:]) ** 2)
    name = "variance of residuals, less the mean square error of f"
    shown.estimate(name, found["Residual", ""] - off, 1.0)
    measures.predictions(shown, model, X[n:], {"observation": y[n:]}, by="model")


def of_linear(rng, shown, regressor):
    """Draw a dose that two curves of other columns explain by half, beside these curves."""
    group = np.repeat(np.arange(GROUPS), ROWS)
    X = pd.DataFrame(rng.normal(size=(len(group), 3)), columns=["x0", "x1", "x2"])
    dose = (np.sin(X["x0"]) + X["x1"].abs()) + rng.normal(size=len(group))
    b = rng.normal(size=GROUPS)[group]
    y = 0.7 * dose + curve(X) + b + rng.normal(size=len(group))
    X = X.assign(dose=dose, group=group)
    model = MixedEffectsRegressor(REGRESSORS[regressor], "group", linear="dose").fit(X, y)
    row = shown.fitted(model).linear_effects_.loc["dose"]
    shown.estimate("linear effect of the dose", row["estimate"], 0.7)
    shown.interval("linear effect of the dose", row["lower"], row["upper"], 0.7, "model")


def designs():
    for regressor, samples in zip(REGRESSORS, (200, 200, 25), strict=True):
        name = f"Around {regressor}"
        yield Design(name, SECTION, partial(of_groups, regressor=regressor), samples)
    observe = partial(of_linear, regressor="boosted trees")
    yield Design("A linear effect beside boosted trees", SECTION, observe, 30)
