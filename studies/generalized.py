"""Designs of generalized models: two classes, counts, and counts of extra variance."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from skmixed import (
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed.inference import confidence_intervals, random_effects_tests
from studies import measures
from studies.study import Design

SECTION = "Generalized models"
FIXED = {"(Intercept)": -0.5, "x": 1.0, "treatment": 0.0}
METHODS = {"Laplace": 1, "quadrature": "auto"}
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
SHAPE = 2.0


@dataclass(frozen=True)
class Family:
    """A distribution, its link, and the standard deviation of the groups' intercepts."""

    estimator: type
    sd: float
    inverse: object
    link: object
    draw: object
    is_count: bool = True


FAMILIES = {
    "two classes": Family(
        MixedLogisticClassifier,
        1.5,
        expit,
        logit,
        lambda rng, mean: 1.0 * (rng.random(len(mean)) < mean),
        False,
    ),
    "Poisson counts": Family(
        MixedPoissonRegressor, 0.7, np.exp, np.log, lambda rng, mean: 1.0 * rng.poisson(mean)
    ),
    "negative binomial counts": Family(
        MixedNegativeBinomialRegressor,
        0.7,
        np.exp,
        np.log,
        lambda rng, mean: 1.0 * rng.negative_binomial(SHAPE, SHAPE / (SHAPE + mean)),
    ),
}


def columns(rng, group):
    """Return a column of the rows, and a treatment of every second group."""
    return pd.DataFrame({"x": rng.normal(size=len(group)), "treatment": group % 2, "group": group})


def linear(X):
    return sum(v * X.get(k, 1.0) for k, v in FIXED.items()).to_numpy()


def predicted(model, X, include="all"):
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X, include=include)[:, 1]
    return model.predict(X, include=include)


def of_groups(rng, shown, family, n_groups, rows, methods=tuple(METHODS)):
    """Draw groups of as many rows, a further row of each and of as many new groups."""
    own, total = FAMILIES[family], n_groups * rows
    group = np.r_[np.repeat(np.arange(n_groups), rows), np.arange(2 * n_groups)]
    X = columns(rng, group)
    b = own.sd * rng.normal(size=2 * n_groups)
    mean = own.inverse(linear(X) + b[group])
    y = own.draw(rng, mean)
    truths = {"mean": mean[total:]} | ({"observation": y[total:]} if own.is_count else {})
    for method in methods:
        model = own.estimator("group", quadrature=METHODS[method])
        shown.fitted(model.fit(X[:total], y[:total]))
        of_model(shown, model, own, b[:n_groups], method)
        measures.predictions(shown, model, X[total:], truths, by=method)
        calibration(shown, model, own, X[total + n_groups :], method)


def of_model(shown, model, own, b, method):
    measures.fixed_effects(shown, model, FIXED, (None,), by=method)
    key = ("group", "(Intercept)")
    name, sd = "sd of (Intercept) in group", np.sqrt(measures.variances(model)[key])
    shown.estimate(name, sd, own.sd, method)
    lower, upper = confidence_intervals(model, components=["sd"])[["lower", "upper"]].iloc[0]
    shown.interval(name, lower, upper, own.sd, method)
    measures.effects(shown, model, {key: b}, method)
    if own.estimator is MixedNegativeBinomialRegressor:
        shown.estimate("1/shape", 1.0 / model.shape_, 1.0 / SHAPE, method)
        table = confidence_intervals(model, components=["shape"])
        shown.interval("shape", *table[["lower", "upper"]].iloc[0], SHAPE, method)


def calibration(shown, model, own, new, method):
    """Note the slope of the true mean of new groups on the predicted one, both linked."""
    truth = own.inverse(linear(new)[:, None] + own.sd * NODES) @ (WEIGHTS / WEIGHTS.sum())
    for include, name in (("all", "averaged over groups"), ("fixed", "at an effect of 0")):
        found = predicted(model, new, include)
        slope = np.polyfit(own.link(found), own.link(truth), 1)[0]
        shown.add("slope", f"new groups, {name}", slope, method)
        shown.add("bias", f"mean of new groups, {name}", np.mean(found) - np.mean(truth), method)


def of_no_variance(rng, shown, family):
    """40 groups of five rows that do not differ."""
    own, group = FAMILIES[family], np.repeat(np.arange(40), 5)
    X = columns(rng, group)
    y = own.draw(rng, own.inverse(linear(X)))
    for method, quadrature in METHODS.items():
        model = shown.fitted(own.estimator("group", quadrature=quadrature).fit(X, y))
        measures.fixed_effects(shown, model, FIXED, (None,), by=method)
        table = random_effects_tests(model)
        shown.test("no variance between groups", table["p_value"].iloc[1], method)


def of_profiles(rng, shown, family):
    """Profiles beside Wald intervals, by quadrature."""
    own, group = FAMILIES[family], np.repeat(np.arange(30), 8)
    X = columns(rng, group)
    y = own.draw(rng, own.inverse(linear(X) + own.sd * rng.normal(size=30)[group]))
    model = shown.fitted(own.estimator("group", quadrature=15).fit(X, y))
    names = {**{("fixed", k): v for k, v in FIXED.items()}, ("sd", "(Intercept)"): own.sd}
    for method in ("wald", "profile"):
        table = confidence_intervals(model, method, components=["fixed", "sd"])
        for row in table.itertuples():
            of = f"β({row.name})" if row.component == "fixed" else "sd of (Intercept) in group"
            shown.interval(of, row.lower, row.upper, names[row.component, row.name], method)


def designs():
    for family, n_groups, rows, samples in (
        ("two classes", 12, 10, 200),
        ("two classes", 100, 2, 200),
        ("two classes", 100, 5, 200),
        ("two classes", 100, 20, 200),
        ("Poisson counts", 12, 10, 200),
        ("Poisson counts", 100, 5, 200),
        ("negative binomial counts", 12, 10, 100),
        ("negative binomial counts", 100, 5, 200),
    ):
        observe = partial(of_groups, family=family, n_groups=n_groups, rows=rows)
        name = f"{family[0].upper()}{family[1:]}, {n_groups} groups of {rows}"
        yield Design(name, SECTION, observe, samples)
    own = partial(of_profiles, family="two classes")
    yield Design("Two classes, profiles", SECTION, own, 60)
    own = partial(of_no_variance, family="two classes")
    yield Design("Two classes, no variance between groups", SECTION, own, 200)
