"""Designs of repeated measures: few subjects of two arms, of whom some drop out."""

from functools import partial

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor, ResidualCovariance
from skmixed.inference import confidence_intervals, contrast
from studies import measures
from studies.study import Design

SECTION = "Repeated measures"
VISITS = 4
DROP_OUT = 0.1
DDF = (
    "normal",
    "residual",
    "between-within",
    "satterthwaite",
    "kenward-roger-linear",
    "kenward-roger",
)
LAG = np.abs(np.subtract.outer(np.arange(VISITS), np.arange(VISITS)))
# Standard deviations that grow, and correlations that fall with the distance of visits.
UNSTRUCTURED = np.outer([1.0, 1.2, 1.4, 1.7], [1.0, 1.2, 1.4, 1.7]) * 0.7**LAG
TRUTHS = {
    "unstructured": UNSTRUCTURED,
    "ar1": 0.6**LAG,
    "toeplitz": np.array([1.0, 0.6, 0.5, 0.3])[LAG],
}


def trial(rng, n_subjects, covariance):
    """Return rows of subjects until they drop out: a mean by visit, and no effect of the arm."""
    noise = rng.multivariate_normal(np.zeros(VISITS), covariance, size=n_subjects)
    # A low value makes the next visits less likely.
    drops = rng.random((n_subjects, VISITS - 1)) < DROP_OUT * np.exp(-0.5 * noise[:, :-1])
    is_seen = np.column_stack([np.ones(n_subjects, bool), ~np.maximum.accumulate(drops, axis=1)])
    subject, visit = np.nonzero(is_seen)
    X = pd.DataFrame({"subject": subject, "visit": visit})
    for v in range(VISITS):
        X[f"V{v + 1}"] = 1.0 * (visit == v)
        X[f"arm, V{v + 1}"] = X[f"V{v + 1}"] * (subject % 2)
    return X, 0.5 * visit + noise[is_seen]


def of_trial(rng, shown, structure, n_subjects):
    covariance = TRUTHS[structure]
    X, y = trial(rng, n_subjects, covariance)
    fixed = [c for c in X if c not in ("subject", "visit")]
    residual = ResidualCovariance(structure, subject="subject", time="visit")
    model = MixedLinearRegressor(fixed=fixed, residual=residual, fit_intercept=False)
    model = shown.fitted(model.fit(X, y))
    truth = {f"V{VISITS}": 0.5 * (VISITS - 1), f"arm, V{VISITS}": 0.0}
    measures.fixed_effects(shown, model, truth, DDF)
    arms = [{f"arm, V{v + 1}": 1.0} for v in range(VISITS)]
    for ddf in DDF:
        shown.test("no effect of the arm (F)", contrast(model, arms, ddf)["p_value"].iloc[0], ddf)
    found = model.residual_covariance_.to_numpy()
    for i, j in ((0, 0), (VISITS - 1, VISITS - 1), (0, 1), (0, VISITS - 1)):
        shown.estimate(f"covariance of V{i + 1}, V{j + 1}", found[i, j], covariance[i, j])
    of_parameters(shown, model, covariance)


def of_parameters(shown, model, covariance):
    """Note Wald intervals of standard deviations and correlations."""
    sd = np.sqrt(np.diag(covariance))
    correlations = covariance / np.outer(sd, sd)
    for row in confidence_intervals(model, components=["sigma", "corr"]).itertuples():
        places = [int(own) for own in row.name.removeprefix("lag").replace(",", " ").split()]
        if row.component == "sigma":
            of, truth = f"sd of V{(places or [0])[0] + 1}", sd[(places or [0])[0]]
        else:
            i, j = [0, *places][-2:] if places else (0, 1)
            of, truth = f"correlation of V{i + 1}, V{j + 1}", correlations[i, j]
        shown.interval(of, row.lower, row.upper, truth, "wald")


def designs():
    for structure, n_subjects, samples in (
        ("unstructured", 20, 500),
        ("unstructured", 60, 200),
        ("ar1", 20, 500),
        ("toeplitz", 20, 300),
    ):
        observe = partial(of_trial, structure=structure, n_subjects=n_subjects)
        name = f"Covariance {structure}, {n_subjects} subjects"
        yield Design(name, SECTION, observe, samples)
