"""Standard deviations and correlations of the random effects, with their errors.

On the scales on which they are nearest to normal: log sd, Fisher's z of a
correlation, and log σ (Pinheiro and Bates, 2000, Mixed-Effects Models in S and
S-PLUS, section 2.4.3), by the delta method from the observed information.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skmixed._typing import FloatArray
from skmixed._uncertainty.relative import Relative

# Sine of the angle between two coefficients up to which their correlation is ±1. Columns
# 1e8 standard deviations from 0 leave 1e-8.
NO_ANGLE = 1e-10

# A change of log sd beyond which 0 is a likelier end than the sd that it gives.
LARGE_CHANGE = 3.0


@dataclass(frozen=True)
class TermErrors:
    """One term's components, in the user's columns.

    Attributes
    ----------
    sd : (s,) array
        On the scale of the data.
    corr : (s, s) array
        NaN beside an sd of 0.
    log_sd_error, z_error : (s,) and (s, s) arrays
        Standard errors of log sd and of artanh corr; NaN on the boundary.
    """

    sd: FloatArray
    corr: FloatArray
    log_sd_error: FloatArray
    z_error: FloatArray


@dataclass(frozen=True)
class Components:
    """Terms in the model's order, and σ in the unit of the system's weights."""

    terms: tuple[TermErrors, ...]
    sigma: float
    log_sigma_error: float


def components(at: Relative) -> Components:
    """Return the components at the optimum and their standard errors."""
    info = at.information
    covariance, chart = info.chart_covariance, info.chart
    sigma = float(np.sqrt(at.likelihood.sigma_squared(at.factorization)))
    last = len(covariance) - 1
    parts = zip(info.parameters.terms, chart.lam, chart.basis, chart.places, strict=True)
    terms = []
    for (_, term), lam, basis, place in parts:
        # The covariance of a term's δ and log σ²
        own = [*range(place.start, place.stop), last]
        joint = covariance[np.ix_(own, own)]
        terms.append(term_errors(term.to_user @ lam, term.to_user @ basis, joint, sigma))
    return Components(
        terms=tuple(terms),
        sigma=sigma,
        log_sigma_error=0.5 * float(np.sqrt(covariance[-1, -1])),
    )


def total_variance(at: Relative, roots: Sequence[FloatArray], unit: float) -> tuple[float, float]:
    """Return the total variance Σ_k tr(R_kΣ_kR_k') + σ², and the standard error of its log sd.

    R_k'R_k is the mean over the rows of zz' of each term in the model's order, in the user's
    columns; `unit` is σ² of a row of weight 1 over that of the system.
    """
    info = at.information
    chart = info.chart
    total, slopes = unit, np.zeros(len(info.chart_covariance))
    parts = zip(info.parameters.terms, chart.lam, chart.basis, chart.places, roots, strict=True)
    for (_, term), lam, basis, place, root in parts:
        # tr(RΛΛ'R') and its derivatives 2 tr(R ∂Λ Λ'R'), relative to σ² of the system
        factor, moved = root @ (term.to_user @ lam), root @ (term.to_user @ basis)
        total += float(np.sum(factor**2))
        slopes[place] = 2.0 * np.einsum("iab,ab->i", moved, factor)
    slopes /= total
    slopes[-1] = 1.0  # of log σ², which all of it is multiplied by
    variance = total * at.likelihood.sigma_squared(at.factorization)
    return variance, 0.5 * float(np.sqrt(slopes @ info.chart_covariance @ slopes))


def term_errors(
    factor: FloatArray, moved: FloatArray, joint: FloatArray, sigma: float
) -> TermErrors:
    """Return the errors from Λ, ∂Λ/∂δ and the covariance of (δ, log σ²)."""
    variance = np.einsum("ab,ab->a", factor, factor)
    with np.errstate(divide="ignore", invalid="ignore"):
        # ∂ log sd_a = (∂ΛΛ')_aa / (ΛΛ')_aa, and ½ for log σ²; ∂ atanh r of each two
        relative = 2.0 * np.einsum("iab,ab->ia", moved, factor) / variance
        log_sd = np.concatenate([0.5 * relative, np.full((1, len(variance)), 0.5)])
        corr, sine, z = _correlations(factor, moved)
        z_error = np.sqrt(np.einsum("iab,ij,jab->ab", z, joint[:-1, :-1], z))
        log_sd_error = np.sqrt(np.einsum("ia,ij,ja->a", log_sd, joint, log_sd))
    return TermErrors(
        sd=sigma * np.sqrt(variance),
        corr=np.clip(corr, -1.0, 1.0),
        log_sd_error=np.where(variance > 0, log_sd_error, np.nan),
        z_error=np.where(sine > NO_ANGLE, z_error, np.nan),
    )


def _correlations(
    factor: FloatArray, moved: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the correlations and their sines, (s, s), and derivatives of artanh, (d, s, s).

    With unit rows e_a of Λ, corr = e_a'e_b, and r_ba = e_b − corr e_a has the length
    √(1 − corr²): d corr = r_ba'de_a + r_ab'de_b, where near ±1 nothing cancels.
    """
    length = np.sqrt(np.einsum("ab,ab->a", factor, factor))[:, None]
    unit, turned = factor / length, moved / length
    corr = unit @ unit.T
    # r[a, b] is what e_b has beside e_a.
    rest = unit[None] - corr[:, :, None] * unit[:, None]
    half = np.einsum("iac,abc->iab", turned, rest)
    squares = np.einsum("abc,abc->ab", rest, rest)
    return corr, np.sqrt(squares), (half + half.transpose(0, 2, 1)) / squares


def sd_ratio(change: float) -> float:
    """Return an sd in units of its estimate where its log is to change that much.

    Beside 0 the log says nothing: there the variance changes in proportion, and
    downwards the bound comes first.
    """
    if change < -LARGE_CHANGE:
        return 0.0
    return float(np.exp(min(change, 1.0)) * np.sqrt(max(change, 1.0)))
