"""The second-order model of the criterion around a Λ, by average information.

The criterion is modeled to second order in the step δ of Λ,

    d(Λ + dΛ) ≈ d + ⟨G, dΣ⟩ + ½ ⟨dΣ₁, AI dΣ₁⟩,     dΣ = ΛdΛ' + dΛΛ' + dΛdΛ',  dΣ₁ = ΛdΛ' + dΛΛ',

with G = ∂d/∂Σ exact. The term ⟨G, dΛdΛ'⟩ makes a variance go to zero, or leave
zero, as the sign of G demands; no bound is needed (see `covariance`, and
docs/mathematics.md, "The boundary").
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.linalg

from skmixed._derivatives.criterion import Derivatives, Likelihood, derivatives
from skmixed._derivatives.pinned import Profiled
from skmixed._derivatives.trust_region import Point, absolute
from skmixed._equations.cholesky import Factorization
from skmixed._equations.coordinates import TermCoordinates
from skmixed._equations.system import Blocks
from skmixed._typing import FloatArray

# Parameters, and columns of the core, up to which the observed second derivatives, a
# factorization's cost each, are taken where average information does badly; beyond, what
# the steps teach of them.
FEW_PARAMETERS, SMALL_CORE = 20, 300
# A secant update whose denominator is a smaller share is left out.
SKIP = 1e-8


class LocalModel(Protocol):
    """What the search minimizes.

    Attributes
    ----------
    likelihood : Likelihood
    """

    likelihood: Likelihood

    def value(self, factorization: Factorization) -> float:
        """Return the function at a Λ; inf where it is not defined."""

    def point(self, factorization: Factorization, value: float, *, is_slow: bool) -> Point:
        """Model the function around that Λ; `is_slow` where the model has done badly."""


class AverageInformation:
    """The criterion, by average information as long as that does well.

    Then by the observed second derivatives, or, of many parameters, by what the steps
    have taught of them.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood
        self.secant: Secant | None = None

    def value(self, factorization: Factorization) -> float:
        return self.likelihood.value(factorization)

    def point(self, factorization: Factorization, value: float, *, is_slow: bool) -> Point:
        if is_slow and _is_cheap_to_observe(factorization.blocks):
            return Profiled(self.likelihood).point(factorization, value, is_slow=True)
        with np.errstate(all="ignore"):
            d = derivatives(factorization, self.likelihood)
        sigma = all_entries(factorization)
        if self.secant is None:
            self.secant = Secant(sigma, d.gradient, np.zeros_like(d.information))
        else:
            self.secant = self.secant.after(sigma, d, learns=is_slow)
        return second_order(factorization, value, d, self.secant.correction)


def _is_cheap_to_observe(blocks: Blocks) -> bool:
    n_parameters = sum(t.term.structure.n_theta(t.size) for _, t in blocks.terms)
    return n_parameters <= FEW_PARAMETERS and blocks.n_core <= SMALL_CORE


@dataclass(frozen=True)
class Secant:
    """What the average information misses of the Hessian, learned from steps.

    A symmetric rank-one correction (Nocedal and Wright, 2006, equation 6.24) in
    the entries of Σ, in which the gradients of different steps compare: with it
    the model reproduces the change of the gradient over the last step. Where
    the data stray from the model, average information alone converges slowly.
    """

    sigma: FloatArray
    gradient: FloatArray
    correction: FloatArray

    def after(self, sigma: FloatArray, d: Derivatives, *, learns: bool) -> "Secant":
        """Take in the derivatives at one more Σ."""
        step = sigma - self.sigma
        missing = d.gradient - self.gradient - (d.information + self.correction) @ step
        along = float(missing @ step)
        correction = self.correction
        if learns and abs(along) > SKIP * float(np.linalg.norm(missing) * np.linalg.norm(step)):
            correction = correction + np.outer(missing, missing) / along
        return Secant(sigma, d.gradient, correction)


def all_entries(factorization: Factorization) -> FloatArray:
    """Return the entries of Σ of all factors, each row by row."""
    lams = [factor.lam(factorization.lam) for factor in factorization.blocks.factors]
    return np.concatenate([(lam @ lam.T).ravel() for lam in lams])


def second_order(
    factorization: Factorization, value: float, d: Derivatives, correction: FloatArray
) -> Point:
    """Carry the derivatives in Σ over to steps of the terms' Λ."""
    canonical, bases, flat = chart_directions(factorization)
    bends = []
    for (factor, term), basis in zip(factorization.blocks.terms, bases, strict=True):
        slope = d.gradient[factor.entries].reshape((factor.n_columns,) * 2)
        bends.append(_bend(term, basis, slope))
    information = flat @ d.information @ flat.T
    bend = scipy.linalg.block_diag(*bends)
    return Point(
        lam=canonical,
        value=value,
        basis=bases,
        gradient=flat @ d.gradient,
        hessian=information + flat @ correction @ flat.T + bend,
        metric=information + absolute(bend),
    )


def chart_directions(
    factorization: Factorization,
) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...], FloatArray]:
    """Return each term's canonical Λ and ∂Λ/∂δ, and ∂Σ/∂δ over all entries, (n_θ, n)."""
    blocks = factorization.blocks
    canonical, bases, directions = [], [], []
    for factor, term in blocks.terms:
        lam, basis = term.term.structure.chart(factorization.lam[term.index])
        half_steps = np.einsum(
            "ra,iab,sb->irs", term.to_factor_columns, basis, term.to_factor_columns @ lam
        )
        rows = np.zeros((len(basis), blocks.factors[-1].entries.stop))
        rows[:, factor.entries] = (half_steps + half_steps.transpose(0, 2, 1)).reshape(
            len(basis), -1
        )
        canonical.append(lam)
        bases.append(basis)
        directions.append(rows)
    return tuple(canonical), tuple(bases), np.concatenate(directions)


def _bend(term: TermCoordinates, basis: FloatArray, slope: FloatArray) -> FloatArray:
    """Return 2 ⟨G_k, E_i E_j'⟩: the curvature of Λ → ΛΛ'."""
    own = term.to_factor_columns.T @ slope @ term.to_factor_columns
    return np.asarray(2.0 * np.einsum("iab,ac,jcb->ij", basis, own, basis, optimize=True))
