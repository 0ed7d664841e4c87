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

import numpy as np

from skmixed._derivatives.criterion import Likelihood, core_traces
from skmixed._derivatives.expected import expected_information
from skmixed._derivatives.level_products import Responses
from skmixed._derivatives.working_variates import project
from skmixed._equations.cholesky import Factorization
from skmixed._equations.coordinates import TermCoordinates
from skmixed._equations.selected_inverse import Inverse, core_inverse
from skmixed._equations.system import Blocks
from skmixed._typing import FloatArray

# Eigenvalues of an information matrix scaled to a unit diagonal: below this
# share of the largest the data do not determine the direction.
UNDETERMINED = 1e-10


@dataclass(frozen=True)
class Information:
    """Derivatives in (τ, log σ²).

    Attributes
    ----------
    factorization : Factorization
    gradient : (d + 1,) array
    observed, expected : (d + 1, d + 1) arrays
        Second derivatives of −2 log-likelihood: twice the information.
    fixed : (d, p, p) array
        X'V⁻¹V_iV⁻¹X.
    """

    factorization: Factorization
    gradient: FloatArray
    observed: FloatArray
    expected: FloatArray
    fixed: FloatArray


def placed_terms(blocks: Blocks) -> list[tuple[TermCoordinates, slice]]:
    """Return the terms, factor by factor, with the places of their τ."""
    out, start = [], 0
    for factor in blocks.factors:
        for term in factor.terms:
            stop = start + len(term.term.structure.directions(term.size))
            out.append((term, slice(start, stop)))
            start = stop
    return out


def factor_directions(blocks: Blocks) -> tuple[FloatArray, ...]:
    """Return the D_i in the coordinates of each factor's columns, (d, r, r)."""
    out = []
    for factor in blocks.factors:
        parts = [
            t.to_factor_columns @ t.term.structure.directions(t.size) @ t.to_factor_columns.T
            for t in factor.terms
        ]
        out.append(np.concatenate(parts))
    return tuple(out)


def entries_of(blocks: Blocks) -> FloatArray:
    """Return the D_i as combinations of all entries of Σ, (d, n)."""
    parts = [d.reshape(len(d), -1) for d in factor_directions(blocks)]
    return block_diagonal(parts)


def information(
    factorization: Factorization,
    likelihood: Likelihood,
    sigma_squared: float | None = None,
) -> Information:
    """Differentiate twice, at σ̂² or another σ²; costs one factorization for each τ."""
    blocks, dof = factorization.blocks, likelihood.dof
    sigma2 = likelihood.sigma_squared(factorization) if sigma_squared is None else sigma_squared
    squares = likelihood.residual_squares(factorization) / sigma2
    if not blocks.factors:
        slope = np.array([dof - squares])
        none = np.empty((0, blocks.n_fixed, blocks.n_fixed))
        both = np.array([[squares]]), np.array([[dof]])
        return Information(factorization, slope, *both, none)
    inverse = core_inverse(factorization)
    trace_inverse = likelihood.trace_inverse(factorization, inverse)
    found = project(
        factorization,
        Inverse.of(factorization, trace_inverse),
        Responses.residual(factorization),
        inverse,
    )
    entries, directions = entries_of(blocks), factor_directions(blocks)
    trace = entries @ np.concatenate([found.trace, core_traces(factorization, trace_inverse)])
    slope = entries @ found.outer[:, 0, 0] / sigma2
    average = entries @ found.products @ entries.T / sigma2
    expected = expected_information(factorization, directions, inverse, trace_inverse)
    return Information(
        factorization=factorization,
        gradient=np.append(trace - slope, dof - squares),
        observed=bordered(2.0 * average - expected.information, slope, squares),
        expected=bordered(expected.information, trace, dof),
        fixed=expected.fixed,
    )


def bordered(matrix: FloatArray, border: FloatArray, corner: float) -> FloatArray:
    return np.block([[matrix, border[:, None]], [border, np.array([[corner]])]])


@dataclass(frozen=True)
class TermChart:
    """One term's coordinates: its places among τ and δ, the canonical Λ and ∂Λ/∂δ."""

    term: TermCoordinates
    tau: slice
    delta: slice
    lam: FloatArray
    basis: FloatArray


@dataclass(frozen=True)
class Chart:
    """Coordinates δ of the terms' Λ around the optimum.

    In them the boundary of Σ is no boundary: a zero column of Λ stays zero to
    first order, and its second derivative is what a positive ∂d/∂Σ makes it.

    Attributes
    ----------
    jacobian : (d, d) array
        ∂τ/∂δ, a row for each δ.
    bend : (d, d) array
        Σ_i ∂d/∂τ_i ∂²τ_i/∂δ∂δ'.
    terms : tuple of TermChart
        Each term's part, in the order of `placed_terms`.
    """

    jacobian: FloatArray
    bend: FloatArray
    terms: "tuple[TermChart, ...]"

    @staticmethod
    def of(info: Information) -> "Chart":
        jacobians, bends, charts, start = [], [], [], 0
        for term, place in placed_terms(info.factorization.blocks):
            structure = term.term.structure
            lam, basis = structure.chart(info.factorization.lam[term.index])
            steps = basis @ lam.T
            jacobians.append(structure.coordinates(steps + steps.transpose(0, 2, 1)))
            pairs = np.einsum("iab,jcb->ijac", basis, basis)
            pairs = pairs + pairs.transpose(0, 1, 3, 2)
            bends.append(structure.coordinates(pairs) @ info.gradient[place])
            charts.append(TermChart(term, place, slice(start, start + len(basis)), lam, basis))
            start += len(basis)
        return Chart(block_diagonal(jacobians), block_diagonal(bends), tuple(charts))

    def hessian(self, info: Information) -> FloatArray:
        """Return the observed second derivatives in (δ, log σ²)."""
        out = self.with_sigma @ info.observed @ self.with_sigma.T
        out[:-1, :-1] += self.bend
        return np.asarray(out)

    @property
    def with_sigma(self) -> FloatArray:
        """∂(τ, log σ²)/∂(δ, log σ²), (d + 1, d + 1)."""
        return block_diagonal([self.jacobian, np.eye(1)])


def block_diagonal(parts: list[FloatArray]) -> FloatArray:
    """Lay matrices along the diagonal; SciPy's takes as long as a small factorization."""
    shapes = np.array([part.shape for part in parts], dtype=int).reshape(-1, 2)
    out = np.zeros(shapes.sum(axis=0))
    i = j = 0
    for part, (rows, columns) in zip(parts, shapes, strict=True):
        out[i : i + rows, j : j + columns] = part
        i, j = i + rows, j + columns
    return out


def pseudo_inverse(matrix: FloatArray) -> FloatArray:
    """Invert a symmetric matrix where it is positive, in the units of its diagonal."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    keep = values > UNDETERMINED * values[-1]
    root = vectors[:, keep] / np.sqrt(values[keep]) / scale[:, None]
    return np.asarray(root @ root.T)
