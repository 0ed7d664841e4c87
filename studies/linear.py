"""Designs of linear models: random intercepts and slopes, few groups, crossed factors."""

from functools import partial

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.inference import contrast, random_effects_tests
from studies import measures
from studies.study import Design

SECTION = "Linear models"
ROWS = 5
UNBALANCED = (2, 3, 4, 6, 9, 12)
FIXED = {"(Intercept)": 1.0, "treatment": 0.0, "x": 0.5, "z": 0.0}


def columns(rng, group):
    """Return a treatment of every second group, and two columns that vary within groups."""
    x, z = rng.normal(size=(2, len(group)))
    return pd.DataFrame({"treatment": group % 2, "x": x, "z": z, "group": group})


def mean_of(X, fixed=FIXED):
    return fixed["(Intercept)"] + sum(v * X[k] for k, v in fixed.items() if k in X)


def of_groups(rng, shown, n_groups, slopes):
    """Draw groups of five rows, and a further row of each and of as many new groups."""
    group = np.r_[np.repeat(np.arange(n_groups), ROWS), np.arange(2 * n_groups)]
    X, n = columns(rng, group), n_groups * ROWS
    b = rng.normal(size=(2, 2 * n_groups))
    b[1] = 0.3 * b[0] + np.sqrt(1 - 0.3**2) * b[1]
    mean = (mean_of(X) + b[0, group] + (b[1, group] * X["x"] if slopes else 0.0)).to_numpy()
    y = mean + rng.normal(size=len(group))
    model = MixedLinearRegressor("group", random_slopes="x" if slopes else None)
    shown.fitted(model.fit(X[:n], y[:n]))
    measures.fixed_effects(shown, model, FIXED)
    truth = {("group", "(Intercept)"): 1.0}
    truth |= {("group", "x"): 1.0} if slopes else {}
    methods = ("wald", "profile") if n_groups <= 20 and not slopes else ("wald",)
    measures.deviations(shown, model, truth | {("Residual", ""): 1.0}, methods)
    own = dict(zip(truth, b[:, :n_groups], strict=False))
    measures.effects(shown, model, own, "given β and variances")
    measures.predictions(shown, model, X[n:], {"mean": mean[n:], "observation": y[n:]})


def of_few(rng, shown, sd):
    """Six groups of 2 to 12 rows, of which every second is treated."""
    group = np.repeat(np.arange(len(UNBALANCED)), UNBALANCED)
    X = columns(rng, group)
    y = mean_of(X) + sd * rng.normal(size=len(UNBALANCED))[group] + rng.normal(size=len(group))
    model = shown.fitted(MixedLinearRegressor("group").fit(X, y))
    measures.fixed_effects(shown, model, FIXED, ("normal", "residual", *measures.T[1:]))
    truth = {("group", "(Intercept)"): sd, ("Residual", ""): 1.0}
    measures.deviations(shown, model, truth, ("wald", "profile") if sd == 1.0 else ("wald",))


def of_unbalanced(rng, shown):
    """24 groups of 2 to 12 rows in four sites, which do not differ."""
    group = np.repeat(np.arange(24), np.resize(UNBALANCED, 24))
    X = columns(rng, group).assign(b=group // 6 == 1, c=group // 6 == 2, d=group // 6 == 3)
    X[["b", "c", "d"]] = X[["b", "c", "d"]].astype(float)
    y = mean_of(X) + rng.normal(size=24)[group] + rng.normal(size=len(group))
    model = shown.fitted(MixedLinearRegressor("group").fit(X, y))
    measures.fixed_effects(shown, model, FIXED)
    measures.deviations(shown, model, {("group", "(Intercept)"): 1.0, ("Residual", ""): 1.0})
    sites = [{name: 1.0} for name in "bcd"]
    for ddf in measures.T:
        table = contrast(model, sites, ddf)
        shown.test("four sites alike (F)", table["p_value"].iloc[0], ddf)


def of_crossed(rng, shown):
    """15 subjects who answer to 10 items each; a treatment of subjects."""
    subject, item = np.divmod(np.arange(150), 10)
    X = columns(rng, subject).rename(columns={"group": "subject"}).assign(item=item)
    b, c = rng.normal(size=15), 0.7 * rng.normal(size=10)
    y = mean_of(X) + b[subject] + c[item] + rng.normal(size=150)
    model = shown.fitted(MixedLinearRegressor(["subject", "item"]).fit(X, y))
    measures.fixed_effects(shown, model, FIXED)
    sds = {("subject", "(Intercept)"): 1.0, ("item", "(Intercept)"): 0.7, ("Residual", ""): 1.0}
    measures.deviations(shown, model, sds)
    own = {("subject", "(Intercept)"): b, ("item", "(Intercept)"): c}
    measures.effects(shown, model, own, "given β and variances")


def of_no_variance(rng, shown):
    """20 groups of five rows that do not differ."""
    group = np.repeat(np.arange(20), ROWS)
    X = columns(rng, group)
    y = mean_of(X) + rng.normal(size=len(group))
    model = shown.fitted(MixedLinearRegressor("group").fit(X, y))
    measures.fixed_effects(shown, model, FIXED)
    measures.deviations(shown, model, {("Residual", ""): 1.0}, ("wald",))
    found = measures.variances(model)["group", "(Intercept)"]
    shown.estimate("variance of (Intercept) in group", found, 0.0)
    for boundary, by in ((True, "½χ²(0) + ½χ²(1)"), (False, "χ²(1), as ranova")):
        table = random_effects_tests(model, boundary=boundary)
        shown.test("no variance between groups", table["p_value"].iloc[1], by)


def designs():
    for slopes in (False, True):
        for n_groups in (6, 20, 100):
            yield Design(
                f"Random intercept{' and slope' if slopes else ''}, {n_groups} groups",
                SECTION,
                partial(of_groups, n_groups=n_groups, slopes=slopes),
            )
    for sd in (0.5, 1.0, 2.0):
        name = f"Six unequal groups, sd {sd:g}"
        yield Design(name, SECTION, partial(of_few, sd=sd))
    yield Design("24 unequal groups", SECTION, of_unbalanced)
    yield Design("Crossed factors", SECTION, of_crossed, 300)
    yield Design("No variance between groups", SECTION, of_no_variance)
