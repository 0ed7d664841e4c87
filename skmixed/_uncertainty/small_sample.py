"""Small-sample inference on the fixed effects: Satterthwaite, Kenward and Roger.

Both take the degrees of freedom of L'β̂ from the variance of its estimated variance
φ = L'ΦL, Φ = σ²(X'V⁻¹X)⁻¹: with g = ∂φ/∂(variance parameters) and A the covariance
of these, 2φ² / g'Ag (Satterthwaite, 1946, Biometrics Bull. 2; Giesbrecht and Burns,
1985, Biometrics 41). Satterthwaite's method takes A from the observed second
derivatives, Kenward and Roger (1997, Biometrics 53, 983–997) from the expected ones;
they also correct Φ for the estimation of the variances (Kackar and Harville, 1984,
J. Am. Stat. Assoc. 79), and for several rows of L take the scale of F from A. Derived
in docs/mathematics.md, "Kenward and Roger", and the section before.
"""

from dataclasses import dataclass, replace

import numpy as np

from skmixed._derivatives.information import Information, bordered, pseudo_inverse
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.tangents import expected_information
from skmixed._equations.working_variates import Responses, project
from skmixed._typing import FloatArray
from skmixed._uncertainty.relative import Relative

# Degrees of freedom that differ by less are one (lmerTest's tolerance).
SAME_DF = 1e-8


@dataclass(frozen=True)
class SmallSample:
    """What the degrees of freedom of a contrast are made of.

    All for effects γ whose covariance is about σ²I. A contrast L of the effects
    β = Fγ of nearly dependent columns is taken to LF first: in LFΦF'L' the large
    numbers of FΦF' would cancel.

    Attributes
    ----------
    basis : (p, p) array
        F, from the effects γ to those of the columns of X.
    covariance : (p, p) array
        Φ / σ² of γ.
    adjusted : (p, p) array
        That of Kenward and Roger; `covariance` itself for Satterthwaite.
    slopes : (d + 1, p, p) array
        ∂Φ/∂(τ, log σ²) / σ² of γ.
    of_parameters : (d + 1, d + 1) array
        A, the covariance of the estimates of (τ, log σ²).
    """

    basis: FloatArray
    covariance: FloatArray
    adjusted: FloatArray
    slopes: FloatArray
    of_parameters: FloatArray

    def in_columns(self, transform: FloatArray) -> "SmallSample":
        """Return the same for the effects Tβ."""
        return replace(self, basis=transform @ self.basis)

    def df(self, rows: FloatArray) -> FloatArray:
        """Return the degrees of freedom of each row of LF, (k, p) to (k,)."""
        variance = np.einsum("kp,pq,kq->k", rows, self.covariance, rows)
        g = np.einsum("kp,dpq,kq->kd", rows, self.slopes, rows, optimize=True)
        return satterthwaite_df(variance, g, self.of_parameters)


def satterthwaite(at: Relative) -> SmallSample:
    """Satterthwaite's approximation, from the observed information.

    As in lmerTest (Kuznetsova, Brockhoff and Christensen, 2017, J. Stat. Softw.
    82(13)).
    """
    info, covariance = at.information, unscaled_covariance(at.factorization)
    slopes = _slopes(covariance, info.fixed)
    of_parameters = parameter_covariance(info)
    return SmallSample(at.units.fixed, covariance, covariance, slopes, of_parameters)


def parameter_covariance(info: Information) -> FloatArray:
    """Return A of (τ, log σ²) from the observed information, (d + 1, d + 1).

    In the coordinates of Λ: at the boundary the parameter drops out.
    """
    jacobian = info.jacobian
    return np.asarray(jacobian.T @ info.chart_covariance @ jacobian)


def satterthwaite_df(
    variance: FloatArray, slopes: FloatArray, of_parameters: FloatArray
) -> FloatArray:
    """Return 2φ²/g'Ag for (k,) variances φ and (k, d + 1) slopes g of them."""
    # Added one by one, and not by a matrix product: a row is the same among others.
    spread = np.zeros(len(variance))
    for left, row in zip(slopes.T, of_parameters, strict=True):
        for right, covariance in zip(slopes.T, row, strict=True):
            spread += covariance * left * right
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2.0 * variance**2 / spread)


def kenward_roger(at: Relative) -> SmallSample:
    """Kenward and Roger's approximation (1997), from REML's expected information.

    Costs, beside the information, a factorization with p right-hand sides for each
    entry of Σ.
    """
    expected, outer, products = _expected(at.factorization)
    of_parameters = 2.0 * pseudo_inverse(expected)
    covariance = unscaled_covariance(at.factorization)
    d, p = len(outer), len(covariance)
    # Σ_ij A_ij (Q_ij − P_iΦP_j): the direction of V adds nothing, since PX = 0.
    pairs = products.reshape(d, p, d, p)
    inner = np.einsum("de,dpeq->pq", of_parameters[:-1, :-1], pairs)
    adjusted = covariance + 2.0 * covariance @ inner @ covariance
    slopes = _slopes(covariance, outer)
    return SmallSample(at.units.fixed, covariance, adjusted, slopes, of_parameters)


def unscaled_covariance(factorization: CholeskyFactor) -> FloatArray:
    """Return (X'V⁻¹X)⁻¹, (p, p): Bates et al. (2015), equation 54."""
    root = factorization.fixed.inverse_root
    return root @ root.T


def _expected(at: CholeskyFactor) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return twice REML's expected information in (τ, log σ²), (d + 1, d + 1).

    And X'V⁻¹V_iV⁻¹X, (d, p, p), and X'V⁻¹V_iPV_jV⁻¹X, (d·p, d·p).
    """
    system, p = at.system, at.system.n_fixed
    dof = system.n_rows - p
    if not system.factors:
        return np.array([[dof]]), np.zeros((0, p, p)), np.zeros((0, 0))
    inverse, parameters = CoreInverse.of(at, has_fixed=True), Parameters.of(system)
    entries = parameters.entries
    found = project(inverse, Responses.fixed(inverse))
    trace = entries @ found.trace
    expected = expected_information(inverse, parameters.by_factor)
    expected = expected.in_order(parameters.from_factors)
    d, n = entries.shape
    # D_i'(F'PF)D_j with the columns of X as responses
    half = np.tensordot(entries, found.products.reshape(n, p, n * p), 1).reshape(d * p, n, p)
    products = np.einsum("en,inq->ieq", entries, half).reshape(d * p, d * p)
    return bordered(expected.information, trace, dof), expected.fixed, products


def _slopes(covariance: FloatArray, outer: FloatArray) -> FloatArray:
    """∂Φ/∂τ_i = Φ X'V⁻¹V_iV⁻¹X Φ, and Φ itself for log σ²."""
    return np.concatenate([covariance @ outer @ covariance, covariance[None]])


def satterthwaite_f(sample: SmallSample, rows: FloatArray) -> tuple[float, float]:
    """Degrees of freedom of an F test of LF γ = 0, (q, p), and the scale of F, 1.

    The principal components of L'β̂ have a t each; the degrees of freedom are those
    of the F whose expectation is that of the mean of their squares (Fai and
    Cornelius, 1996, J. Stat. Comput. Simul. 54).
    """
    _, vectors = np.linalg.eigh(rows @ sample.covariance @ rows.T)
    df = sample.df(vectors.T @ rows)
    q = len(rows)
    if q == 1 or np.ptp(df) < SAME_DF:
        return float(df.mean()), 1.0
    if (df <= 2.0).any():
        return 2.0, 1.0
    expectation = float((df / (df - 2.0)).sum())
    return 2.0 * expectation / (expectation - q), 1.0


def kenward_roger_f(sample: SmallSample, rows: FloatArray) -> tuple[float, float]:
    """Degrees of freedom and scale of Kenward and Roger's F, for LF of shape (q, p).

    Kenward and Roger (1997), section 3, with A₁ and A₂ there.
    """
    q = len(rows)
    if q == 1:
        return float(sample.df(rows)[0]), 1.0
    theta = rows.T @ np.linalg.solve(rows @ sample.covariance @ rows.T, rows)
    parts = theta @ sample.slopes
    traces = np.trace(parts, axis1=1, axis2=2)
    a1 = float(traces @ sample.of_parameters @ traces)
    a2 = float(np.einsum("de,dpq,eqp->", sample.of_parameters, parts, parts, optimize=True))
    b = (a1 + 6.0 * a2) / (2.0 * q)
    g = ((q + 1.0) * a1 - (q + 4.0) * a2) / ((q + 2.0) * a2)
    scale = 3.0 * q + 2.0 * (1.0 - g)
    c1, c2, c3 = g / scale, (q - g) / scale, (q + 2.0 - g) / scale
    a = a2 / q
    # E = 1 / (1 − a) and V = 2(1 + c₁b) / (q (1 − c₂b)²(1 − c₃b)): qV / 2E² − 1 is above / below,
    # without the ones that cancel, since df is large where it is near 0.
    below = (1.0 - c2 * b) ** 2 * (1.0 - c3 * b)
    above = c1 * b + (a * a - 2.0 * a) * (1.0 + c1 * b)
    above += c3 * b + (2.0 * c2 * b - (c2 * b) ** 2) * (1.0 - c3 * b)
    df = 4.0 + (q + 2.0) * below / above
    return float(df), float((1.0 - a) * df / (df - 2.0))
