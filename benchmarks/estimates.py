"""Whether programs agree: a time counts only where the estimates are those of the same model.

Three questions, each with a tolerance. Does the criterion, −2 log-likelihood, lie within 0.1 of
the reference's? Are the fixed effects those of the reference within 0.1 of their standard errors?
Are the standard deviations those of the reference to one percent? Of linear models with
independent residuals the criterion is computed here, for all programs by one function, from the
variances that they report, and the reference is the program with the least. Of other models each
program's own log-likelihood counts, and the reference is the one with which most others agree.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from benchmarks.model import RESPONSE, design, effects

CRITERION, FIXED, DEVIATIONS = 0.1, 0.1, 0.01


@dataclass(frozen=True)
class Estimates:
    """What a program has found; `covariances` has a matrix for each term."""

    fixed: list[float]
    covariances: list[list[list[float]]] = field(default_factory=list)
    variance: float | None = None
    log_likelihood: float | None = None
    std_errors: list[float] | None = None

    @property
    def deviations(self):
        """Standard deviations of all random effects, and of the residuals."""
        parts = [np.diag(np.atleast_2d(c)) for c in self.covariances]
        parts += [] if self.variance is None else [np.array([self.variance])]
        return np.sqrt(np.concatenate(parts)) if parts else np.empty(0)


def deviance(model, data, found):
    """−2 log-likelihood at the variances, with the fixed effects at their optimum."""
    blocks = []
    for term, covariance in zip(model.terms, found.covariances, strict=True):
        values, vectors = np.linalg.eigh(np.atleast_2d(covariance) / found.variance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        codes, levels = pd.factorize(data[term.factor])
        columns = term.size * codes[:, None] + np.arange(term.size)
        rows = np.repeat(np.arange(len(codes)), term.size)
        entries = (effects(term, data) @ root).ravel(), (rows, columns.ravel())
        blocks.append(sp.csr_array(entries, shape=(len(codes), term.size * len(levels))))
    z = sp.hstack(blocks, format="csc")
    y = data[RESPONSE].to_numpy()
    both = np.column_stack([design(model, data), y - y.mean()])
    lower = splu(
        sp.csc_array(z.T @ z + sp.eye_array(z.shape[1])),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    cross = z.T @ both
    inner = both.T @ both - cross.T @ lower.solve(cross)
    squares = inner[-1, -1] - inner[-1, :-1] @ np.linalg.solve(inner[:-1, :-1], inner[:-1, -1])
    logdet = np.log(np.abs(lower.U.diagonal())).sum()
    return len(y) * np.log(2 * np.pi * found.variance) + logdet + squares / found.variance


def criteria(model, data, found, *, computed):
    """−2 log-likelihood of each program: computed here, or reported; NaN where there is none."""
    if computed:
        return {name: deviance(model, data, own) for name, own in found.items()}
    return {
        name: np.nan if own.log_likelihood is None else -2 * own.log_likelihood
        for name, own in found.items()
    }


def distances(own, other, unit):
    """Largest difference of fixed effects, in `unit`, and of standard deviations, relative."""
    fixed = np.abs(np.subtract(own.fixed, other.fixed)) / unit
    first, second = own.deviations, other.deviations
    count = min(len(first), len(second))
    scale = np.maximum(second[:count], 1e-8 * max(second.max(initial=0.0), 1e-300))
    relative = np.abs(first[:count] - second[:count]) / scale
    return float(fixed.max(initial=0.0)), float(relative.max(initial=0.0))


def compare(found, value, name, other, unit):
    fixed, deviations = distances(found[name], found[other], unit)
    above = value[name] - value[other]
    is_near = np.isnan(above) or abs(above) <= CRITERION
    return {
        "criterion": None if np.isnan(above) else float(above),
        "fixed": fixed,
        "deviations": deviations,
        "agrees": bool(is_near and fixed <= FIXED and deviations <= DEVIATIONS),
    }


def agreement(model, data, found, *, computed):
    """Compare each program with the reference; returns its name, and a record for each."""
    with_errors = [own.std_errors for own in found.values() if own.std_errors]
    unit = np.array(with_errors[0]) if with_errors else np.ones(1 + len(model.fixed))
    value = criteria(model, data, found, computed=computed)
    if computed:
        reference = min(found, key=value.__getitem__)
    else:
        reference = max(
            found,
            key=lambda name: sum(compare(found, value, o, name, unit)["agrees"] for o in found),
        )
    return reference, {name: compare(found, value, name, reference, unit) for name in found}
