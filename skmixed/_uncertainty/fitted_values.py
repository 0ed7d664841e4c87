"""How the fitted values follow the responses: ŷ = Xβ̂ + Zb̂, and its residuals.

With P as in `criterion`, ŷ = y − W⁻¹Py. Both Py and the estimates of the variances depend on y.
At the optimum ∂d/∂(τ, log σ²) = 0 for all y, so that with the second derivatives H

    ∂(τ, log σ²)/∂y' = (2/σ²) H⁻¹ [F y]'P,    F_i = V_iPy,    ∂ŷ/∂τ_i = W⁻¹PF_i,

and tr(∂ŷ/∂y') = n − tr(W⁻¹P) + (2/σ²) Σ_i Σ_a (H⁻¹)_ia M_ai. M = [F y]'PW⁻¹P[F y] are the
products of the conditional residuals of y and of the F_i as responses of the same model, which
are combinations of the columns of Z: all is read off sums of products. Where variances are 0
the coordinates δ of Λ leave them there (Greven and Kneib, 2010, Biometrika 97, section 3;
docs/mathematics.md, "The fitted values").
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.information import Information
from skmixed._equations.changes import with_response
from skmixed._equations.cholesky import CholeskyFactor, Effects, factorize
from skmixed._equations.products import Root
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.system import System
from skmixed._equations.working_variates import Responses, project
from skmixed._typing import FloatArray
from skmixed._uncertainty.relative import Relative


@dataclass(frozen=True)
class FittedValues:
    """What ŷ takes of y.

    Attributes
    ----------
    df : float
        tr(∂ŷ/∂y'), the variances estimated.
    df_halved : float
        The same with half of the part by which σ² follows y, as cAIC4 has it.
    df_held : float
        The same with the variances held: the trace of the hat matrix.
    residual_squares : float
        (y − ŷ)'W(y − ŷ), in the system's unit of weights.
    """

    df: float
    df_halved: float
    df_held: float
    residual_squares: float

    @staticmethod
    def of(at: Relative) -> "FittedValues":
        """Differentiate at an optimum; costs some factorizations for each variance parameter."""
        factor, p = at.factorization, float(at.factorization.system.n_fixed)
        squares = at.likelihood.residual_squares(factor)
        if not factor.system.factors:
            return FittedValues(p, p, p, squares)
        # n − tr(W⁻¹P) = p + Σ τ_i tr(PV_i), since P(W⁻¹ + Σ τ_iV_i)P = P
        info = at.information
        inverse = CoreInverse.of(factor, has_fixed=True)
        trace = project(inverse, Responses.residual(factor)).trace
        held = p + float(info.chart.tau @ (info.parameters.entries @ trace))
        # (2/σ²) Σ_i Σ_a (H⁻¹)_ia M_ai in (δ, log σ²)
        products, jacobian = products_of_residuals(info), info.jacobian
        moved = info.chart_covariance * (jacobian @ products @ jacobian.T)
        sigma2 = at.likelihood.sigma_squared(factor)
        by_tau, by_sigma = moved[:-1, :-1].sum() / sigma2, moved[:-1, -1].sum() / sigma2
        df, halved = held + float(by_tau + by_sigma), held + float(by_tau + 0.5 * by_sigma)
        return FittedValues(df, halved, held, float(products[-1, -1]))


def products_of_residuals(info: Information) -> FloatArray:
    """Return M, the products of the conditional residuals of the F_i and of y, (d + 1, d + 1)."""
    factor = info.factorization
    system, root, own = factor.system, Root.of(factor.system), factor.effects()
    # Z'W(y − ŷ) = Z'Py = ρ of each factor, (r, q)
    residual = root.residual(root.times(_random(factor, own), own.fixed))
    rho = [_response_products(residual, k) for k in range(len(system.factors))]
    rows, with_y = [], []
    for columns in _working_columns(info, rho):
        # F = Zγ as the response: its residuals are Z(γ − b) − Xβ
        v = root.times(columns, np.zeros(system.n_fixed))
        squares = sum(float(np.vdot(part, part)) for part in v)
        fit = factorize(with_response(system, *root.transposed(v), squares), factor.lam)
        found = fit.effects()
        left = [g - b for g, b in zip(columns, _random(fit, found), strict=True)]
        parts = root.times(left, -found.fixed)
        rows.append(np.concatenate([part.ravel() for part in parts]))
        # X'Py = 0, so that with y it is (γ − b)'ρ
        with_y.append(sum(float(np.vdot(a, r)) for a, r in zip(left, rho, strict=True)))
    out = np.empty((len(rows) + 1, len(rows) + 1))
    out[:-1, :-1] = np.array(rows) @ np.array(rows).T
    out[-1, :-1] = out[:-1, -1] = with_y
    # r² = (y − ŷ)'W(y − ŷ) + û'û
    out[-1, -1] = factor.residual_squares - sum(float(np.vdot(u, u)) for u in own.spherical)
    return out


def _random(factor: CholeskyFactor, effects: Effects) -> list[FloatArray]:
    """Return b = Λu of each factor, (r, q)."""
    pairs = zip(factor.system.factors, effects.spherical, strict=True)
    return [f.lam(factor.lam) @ u for f, u in pairs]


def _working_columns(info: Information, rho: list[FloatArray]) -> Iterator[list[FloatArray]]:
    """Yield γ of each factor, (r, q), with F_i = Zγ: D_iρ at the factor of τ_i."""
    parameters = info.parameters
    for (factor, _), directions in zip(parameters.terms, parameters.directions, strict=True):
        at = parameters.factors.index(factor)
        for direction in directions:
            yield [direction @ own if k == at else np.zeros_like(own) for k, own in enumerate(rho)]


def _response_products(system: System, k: int) -> FloatArray:
    """Return the products of factor k's columns with the response, (r, q)."""
    parts = [at_fixed[:, -1] for _, at_fixed in system.level_products(k)]
    return np.concatenate(parts, axis=1)[:, : system.factors[k].n_levels]
