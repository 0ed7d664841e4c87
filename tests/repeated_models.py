"""Random models with a residual covariance, and the same from V in full."""

from dataclasses import replace

import numpy as np
import pandas as pd
from oracle_repeated import DenseRepeated

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance
from skmixed._model.correlation import CORRELATIONS
from skmixed._model.time_points import TimePoints
from skmixed._repeated.chains import SingleChains, SummedChains
from skmixed._repeated.layout import BlockLayout, InnerTerm, find_patterns, index_blocks
from skmixed._repeated.likelihood import RepeatedFactor

STRUCTURES = [name for name in CORRELATIONS if name != "independent"]


def simulated(seed, n_subjects=24, n_times=4, missing=0.25):
    """Rows of subjects at some of the times, in any order: a frame with x, arm, rater and y."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n_subjects), n_times)
    time = np.tile(np.arange(n_times), n_subjects)
    arm = subject % 2
    rater = rng.integers(0, 3, len(subject))
    effects = rng.normal(size=n_subjects)[subject] * 0.7 + rng.normal(size=3)[rater]
    noise = rng.normal(size=(n_subjects, n_times)).cumsum(axis=1).ravel()
    x = rng.normal(size=len(subject))
    y = 3 + x + 0.5 * arm * time + effects + noise * (1 + 0.5 * arm)
    frame = pd.DataFrame(
        {"x": x, "time": time, "arm": arm, "y": y, "subject": subject, "rater": rater}
    )
    frame["weight"] = rng.uniform(0.5, 2, len(frame))
    keep = rng.random(len(frame)) > missing
    keep[:n_times] = True
    return frame[keep].sample(frac=1, random_state=seed).reset_index(drop=True)


def fitted_model(frame, structure, *, groups=None, method="reml", weighted=False, **columns):
    """Fit y ~ x + arm + time."""
    residual = ResidualCovariance(structure, subject="subject", **{"time": "time"} | columns)
    model = MixedLinearRegressor(
        groups, fixed=["x", "arm", "time"], method=method, residual=residual
    )
    weights = frame["weight"] if weighted else None
    return model.fit(frame.drop(columns=["y", "weight"]), frame["y"], sample_weight=weights)


GROUPS = {
    "none": None,
    "subject": "subject",
    "slopes": RandomEffect("subject", "x"),
    "diag": RandomEffect("subject", "x", covariance="diag"),
    "rater": "rater",
    "both": ["subject", RandomEffect("rater", "x")],
}


def dense_of(model, lam=None):
    """V and its directions in the units of the search, at Λ and φ or those of the fit."""
    fit = model._model
    layout = fit.repeated.layout
    laid, system = layout.laid, layout.system
    *terms, phi = fit.repeated.factor.lam if lam is None else lam
    n, residual = system.n_rows, system.residual
    V, first, second = np.zeros((n, n)), [], {}
    for (columns, levels), own, structure in zip(laid.terms, terms, system.structures, strict=True):
        same = levels[:, None] == levels
        V += same * (columns @ own @ own.T @ columns.T)
        first += [same * (columns @ d @ columns.T) for d in structure.directions(len(own))]
    n_tau = len(first)
    first += [np.zeros((n, n)) for _ in range(residual.n_phi)]
    for number in np.unique(laid.subject):
        rows = np.flatnonzero(laid.subject == number)
        place = residual.of_stratum(int(laid.stratum[rows[0]]))
        at = residual.evaluate(
            phi[place],
            TimePoints(*(v[rows][None] for v in (laid.visit, laid.position, laid.covariate))),
        )
        block = np.ix_(rows, rows)
        V[block] += at.value[0]
        for k, own in enumerate(at.first[:, 0]):
            first[n_tau + place.start + k][block] = own
        d = residual.n_own
        for i in range(d):
            for j in range(i, d):
                pair = np.zeros((d, d))
                pair[i, j] = pair[j, i] = 1.0 if i == j else 0.5
                key = n_tau + place.start + i, n_tau + place.start + j
                second.setdefault(key, np.zeros((n, n)))[block] = at.mixture(pair)[0]
    fixed = laid.wide[:, system.n_outer : -1]
    return DenseRepeated(fixed, laid.wide[:, -1], V, first, second, reml=system.reml)


def blocks_of(model, kind):
    """A model with its blocks laid out in one way: a name of `KINDS`."""
    fitted = model._model.repeated
    layout = fitted.layout
    system = layout.system
    inner, start = [], 0
    outer = {term.index for term in system.outer}
    for index, (structure, size) in enumerate(zip(system.structures, system.sizes, strict=True)):
        directions = structure.directions(size)
        if index not in outer:
            inner.append(InnerTerm(index, directions, slice(start, start + len(directions))))
        start += len(directions)
    codes, offset = np.zeros(system.n_rows, dtype=int), 0
    for group in system.groups:
        codes[group.rows] = offset + group.block_of_row
        offset = int(codes[group.rows].max()) + 1
    own = BlockLayout(layout.laid, system.residual, tuple(inner), start)
    groups = KINDS[kind](own, list(index_blocks(codes, layout.laid)))
    system = replace(system, groups=tuple(groups))
    factor = RepeatedFactor.of(system, fitted.factor.lam)
    return replace(fitted, layout=replace(layout, system=system), factor=factor)


def _single(layout, parts):
    return [replace(own, products=SingleChains(own.chains)) for own in layout.chains(parts)]


def _summed(layout, parts):
    return [replace(own, products=SummedChains.of(own.chains)) for own in layout.chains(parts)]


def _patterns(layout, parts):
    inner = [term.index for term in layout.terms]
    return [
        group
        for rows in parts
        for group in layout.explicit(rows, find_patterns(rows, layout.laid, inner))
    ]


KINDS = {
    "rows": lambda layout, parts: [own for rows in parts for own in layout.explicit(rows, None)],
    "patterns": _patterns,
    "chains": _single,
    "classes": _summed,
}
# Those of residuals of Markov type.
OF_MARKOV = ("chains", "classes")
