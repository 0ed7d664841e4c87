"""Designs of intervals of observations where the assumptions of the model fail."""

from functools import partial

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.model_selection import fit_conformalize
from studies.study import Design

SECTION = "Intervals for any distribution"
GROUPS, NEW = 150, 300
SIZES = (3, 15)
LEVELS = {"held at 80 %": 0.8, "held": 0.95, "held at 99 %": 0.99}


def normal(rng, size, group, x):
    del x
    return rng.normal(size=(2, len(size))), np.ones(len(group)), rng.normal(size=len(group))


def heavy_tails(rng, size, group, x):
    effects, scale, _ = normal(rng, size, group, x)
    return rng.standard_t(3, size=effects.shape), scale, rng.standard_t(3, size=len(group))


def by_column(rng, size, group, x):
    effects, _, noise = normal(rng, size, group, x)
    return effects, np.exp(0.8 * x), noise


def by_group(rng, size, group, x):
    effects, _, noise = normal(rng, size, group, x)
    return effects, np.exp(0.8 * rng.normal(size=len(size)))[group], noise


def by_size(rng, size, group, x):
    effects, _, noise = normal(rng, size, group, x)
    return effects, np.where(size == SIZES[0], 3.0, 1.0)[group], noise


CASES = {
    "Normal effects and residuals": normal,
    "Heavy tails": heavy_tails,
    "Residuals that vary with x": by_column,
    "Residuals that vary between groups": by_group,
    "Residuals that vary with the size of a group": by_size,
}


def of_case(rng, shown, case):
    """Rows to fit, then new rows of known groups, then a row of each new group."""
    size = rng.choice(SIZES, GROUPS + NEW)
    rows = np.repeat(np.arange(GROUPS), size[:GROUPS])
    n = len(rows)
    group = np.r_[rows, rng.choice(rows, NEW), np.arange(GROUPS, GROUPS + NEW)]
    x = rng.normal(size=len(group))
    effects, scale, noise = CASES[case](rng, size, group, x)
    y = 1.0 + 0.5 * x + effects[0, group] + 0.7 * effects[1, group] * x + scale * noise
    X = pd.DataFrame({"x": x, "group": group})
    model = fit_conformalize(MixedLinearRegressor("group", random_slopes="x"), X[:n], y[:n])
    shown.fitted(model)
    for kind, own in (("known", slice(n, n + NEW)), ("new", slice(n + NEW, None))):
        of = f"observation, {kind} group"
        for measure, level in LEVELS.items():
            widths = []
            for method in ("model", "conformal"):
                lower, upper = model.predict_interval(X[own], level=level, method=method).T
                shown.interval(of, lower, upper, y[own], method, measure)
                widths.append(np.mean(upper - lower))
            if level == 0.95:
                shown.add("width", of, widths[1] / widths[0], "conformal")


def designs():
    for case in CASES:
        yield Design(case, SECTION, partial(of_case, case=case), 20)
