"""Observed and expected information on the variance parameters at the optimum.

The parameters are τ, in which each term's relative covariance is Σ = Σ_i τ_i D_i in
the search's coordinates, and log σ². With V_i = Z D_i Z' and P as in `criterion`,

    ∂d/∂τ_i = tr(PV_i) − y'PV_iPy / σ²
    ∂²d/∂τ_i∂τ_j = −tr(PV_iPV_j) + 2 y'PV_iPV_jPy / σ²,    ∂²d/∂τ_i∂log σ² = y'PV_iPy / σ²

and ∂d/∂log σ² = ν − r²/σ², ∂²d/∂(log σ²)² = r²/σ². The expected second derivatives,
with V for the direction of log σ², are tr(PV_iPV_j), tr(PV_iPV) = tr(PV_i) and
tr(PVPV) = n − p (Kenward and Roger, 1997, Biometrics 53, section 2); for ML V⁻¹
takes the place of P in traces. Derived in docs/mathematics.md, "Observed information
and Satterthwaite's degrees of freedom".
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.tangents import expected_information
from skmixed._equations.working_variates import Responses, project
from skmixed._model.chart import Chart, block_diagonal
from skmixed._typing import FloatArray

# Eigenvalues of an information matrix scaled to a unit diagonal: below this
# share of the largest the data do not determine the direction.
UNDETERMINED = 1e-10
# The least of them that is told from rounding. An eigenvector is known to the rounding over
# the distance of its eigenvalue from others: LEAST / UNDETERMINED.
LEAST = 1e-16


@dataclass(frozen=True)
class Information:
    """Derivatives in (τ, log σ²).

    Attributes
    ----------
    factorization : CholeskyFactor
    parameters : Parameters
    gradient : (d + 1,) array
    observed, expected : (d + 1, d + 1) arrays
        Second derivatives of −2 log-likelihood: twice the information.
    fixed : (d, p, p) array
        X'V⁻¹V_iV⁻¹X.
    """

    factorization: CholeskyFactor
    parameters: Parameters
    gradient: FloatArray
    observed: FloatArray
    expected: FloatArray
    fixed: FloatArray

    @cached_property
    def chart(self) -> Chart:
        """Coordinates δ of the terms' Λ around the optimum."""
        return self.parameters.chart(self.factorization.lam)

    @property
    def jacobian(self) -> FloatArray:
        """∂(τ, log σ²)/∂(δ, log σ²)."""
        return block_diagonal([self.chart.jacobian, np.eye(1)])

    @property
    def hessian(self) -> FloatArray:
        """The observed second derivatives in (δ, log σ²)."""
        jacobian = self.jacobian
        out = jacobian @ self.observed @ jacobian.T
        out[:-1, :-1] += self.chart.curvature(self.gradient[:-1])
        return np.asarray(out)

    @cached_property
    def chart_covariance(self) -> FloatArray:
        """Covariance of the estimates of (δ, log σ²), where the data determine them."""
        return 2.0 * pseudo_inverse(self.hessian)


def information(
    factorization: CholeskyFactor,
    likelihood: Likelihood,
    sigma_squared: float | None = None,
) -> Information:
    """Differentiate twice, at σ̂² or another σ²; costs one factorization for each τ."""
    system, dof = factorization.system, likelihood.dof
    sigma2 = likelihood.sigma_squared(factorization) if sigma_squared is None else sigma_squared
    squares = likelihood.residual_squares(factorization) / sigma2
    parameters = Parameters.of(system)
    # σ² alone: ν − r²/σ², r²/σ² and ν
    if not system.factors:
        slope = np.array([dof - squares])
        none = np.empty((0, system.n_fixed, system.n_fixed))
        both = np.array([[squares]]), np.array([[dof]])
        return Information(factorization, parameters, slope, *both, none)
    inverse = likelihood.inverse(factorization)
    found = project(inverse, Responses.residual(factorization))
    entries = parameters.entries
    # tr(PV_i), y'PV_iPy/σ², y'PV_iPV_jPy/σ² and tr(PV_iPV_j)
    trace = entries @ found.trace
    slope = entries @ found.outer[:, 0, 0] / sigma2
    average = entries @ found.products @ entries.T / sigma2
    expected = expected_information(inverse, parameters.by_factor)
    expected = expected.in_order(parameters.from_factors)
    return Information(
        factorization=factorization,
        parameters=parameters,
        gradient=np.append(trace - slope, dof - squares),
        observed=bordered(2.0 * average - expected.information, slope, squares),
        expected=bordered(expected.information, trace, dof),
        fixed=expected.fixed,
    )


def bordered(matrix: FloatArray, border: FloatArray, corner: float) -> FloatArray:
    n = len(border)
    out = np.empty((n + 1, n + 1))  # np.block takes as long as a small factorization
    out[:n, :n], out[:n, n], out[n, :n], out[n, n] = matrix, border, border, corner
    return out


def pseudo_inverse(matrix: FloatArray, n_unbounded: int = 0) -> FloatArray:
    """Invert a symmetric matrix where it is positive, in the units of its diagonal.

    A direction without information has no variance where it is one of parameters at a
    boundary alone. The last `n_unbounded` parameters have none: a direction with a part in
    them has the variance that rounding leaves it, which is as good as infinite.
    """
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    keep = values > UNDETERMINED * values[-1]
    if n_unbounded and not keep.all():
        # Directions without information: those in the bounded parameters alone, and the others
        null = vectors[:, ~keep]
        vectors[:, ~keep] = null @ np.linalg.svd(null[-n_unbounded:])[2].T
        parts = np.linalg.norm(vectors[-n_unbounded:], axis=0)
        is_unbounded = ~keep & (parts > LEAST / UNDETERMINED)
        values = np.where(is_unbounded, np.maximum(values, LEAST * values[-1]), values)
        keep |= is_unbounded
    root = vectors[:, keep] / np.sqrt(values[keep]) / scale[:, None]
    return np.asarray(root @ root.T)
