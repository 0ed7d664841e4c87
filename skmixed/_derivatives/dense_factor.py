"""The Cholesky factor of a dense system at one Λ, and the criterion's exact derivatives.

Each term's Λ is brought to the form W U S U' with W its `white` columns, U orthogonal
and S ≥ 0 diagonal. Λ and W U S have the same ΛΛ', and in the columns ZWU, Λ is the
diagonal S: the strengths. With C the mixed-model matrix in (u, β), S·ZWU for Z, and
A = (ZWU)'W(ZWU), the projections that the derivatives are made of are, by the first
form that keeps its digits,

    Q = (ZWU)'P(ZWU) = S⁻¹(I − C⁻¹)S⁻¹ = S⁻¹ C⁻¹[S(ZWU) X]'(ZWU) = A − (ZWU)'[…] C⁻¹ […]'(ZWU)

where both strengths are large, one is, or none (docs/mathematics.md, "Small systems").
"""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.dense_system import DenseSystem
from skmixed._derivatives.trust_region import Point, absolute
from skmixed._equations.cholesky import Effects
from skmixed._equations.linear_algebra import (
    FixedFactor,
    cholesky_lower,
    inverse_of_cholesky,
    solve_lower,
)
from skmixed._equations.system import System
from skmixed._model.chart import Chart, block_diagonal
from skmixed._typing import FloatArray, Lam

# Strength from which a random effect's own rows determine it better than its variance
# does, by a hundredth: beyond it 1 − C⁻¹ has lost no more than two digits.
STRONG = 0.1


@dataclass(frozen=True)
class DenseFactor:
    """The factor at one Λ, and what it gives at once.

    Attributes
    ----------
    dense : DenseSystem
    lam : tuple of (s, s) arrays
    bases, rotations : tuples of (s, s) arrays
        W U of each term, and V with Λ = W U S V'.
    strengths : (q,) array
        The diagonal of S, of each column.
    products : (q + p + 1,) * 2 array
        [ZWU X y]'W[ZWU X y].
    scaled : (q + p + 1,) * 2 array
        The same with S(ZWU) for ZWU in the rows.
    lower : (q + p,) * 2 array
        Factor of C, lower triangular.
    solution : (q + p,) array
        (û, β̂).
    residual_squares, logdet_z, logdet_x : float
        r², log|M| and log|X'V⁻¹X|.
    """

    dense: DenseSystem
    lam: Lam
    bases: tuple[FloatArray, ...]
    rotations: tuple[FloatArray, ...]
    strengths: FloatArray
    products: FloatArray
    scaled: FloatArray
    lower: FloatArray
    solution: FloatArray
    residual_squares: float
    logdet_z: float
    logdet_x: float

    @property
    def system(self) -> System:
        return self.dense.system

    @property
    def beta(self) -> FloatArray:
        """β̂ of the kept columns, (p,)."""
        return self.solution[self.dense.n_random :]

    @property
    def fixed(self) -> FixedFactor:
        """The factor of X'V⁻¹X."""
        q = self.dense.n_random
        return FixedFactor(self.lower[q:, q:])

    def effects(self) -> Effects:
        """Return û, and b̂ = Λû."""
        of_terms = {
            term.term.index: rotation @ self.solution[term.columns].reshape(term.size, -1)
            for term, rotation in zip(self.dense.terms, self.rotations, strict=True)
        }
        spherical = tuple(
            np.concatenate([of_terms[own.index] for own in factor.terms])
            for factor in self.system.factors
        )
        return Effects.of(self.system, self.lam, spherical, self.beta)

    def cancellation(self, likelihood: Likelihood) -> float:
        """Return the rounding of the criterion where digits cancel: in r², and in C."""
        share = self.products[-1, -1] / likelihood.residual_squares(self)
        squares = self.strengths**2 * np.diagonal(self.products)[: len(self.strengths)]
        return float(np.finfo(float).eps * (4.0 * likelihood.dof * share + squares.max()))


def factorize_dense(dense: DenseSystem, lam: Lam) -> DenseFactor:
    """Factor a dense system at Λ.

    Raises
    ------
    numpy.linalg.LinAlgError
        If C is not positive definite to rounding.
    """
    q = dense.n_random
    bases, rotations, strengths = [], [], np.empty(q)
    for term in dense.terms:
        vectors, own, right = np.linalg.svd(term.to_white @ lam[term.term.index])
        bases.append(term.white @ vectors)
        rotations.append(right.T)
        strengths[term.columns] = np.repeat(own, term.n_levels)
    products = dense.changed(bases)
    half = products.copy()
    half[:q] *= strengths[:, None]
    system_matrix = half.copy()
    system_matrix[:, :q] *= strengths
    system_matrix[np.arange(q), np.arange(q)] += 1.0
    n = len(products) - 1
    chol = cholesky_lower(system_matrix[:n, :n])
    rhs = solve_lower(chol, system_matrix[:n, n])
    logs = 2.0 * np.log(np.diagonal(chol))
    return DenseFactor(
        dense,
        lam,
        tuple(bases),
        tuple(rotations),
        strengths,
        products,
        half,
        chol,
        solve_lower(chol, rhs, transposed=True),
        float(system_matrix[n, n] - rhs @ rhs),
        float(logs[:q].sum()),
        sum(logs[q:].tolist()),  # of a few numbers, in a tenth of the time of an array's sum
    )


@dataclass(frozen=True)
class DenseValue:
    """What the criterion is made of at one Λ, without the factor."""

    system: System
    lam: Lam
    residual_squares: float
    logdet_z: float
    logdet_x: float


def dense_values(dense: DenseSystem, k: int, lams: list[Lam]) -> list[DenseValue]:
    """Factor at many Λ that differ in term k alone, in one batch.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not positive definite to rounding.
    """
    own, q, first = dense.terms[k].columns, dense.n_random, lams[0]
    along = np.stack([lam[k] for lam in lams])
    maps = [lam if j != k else np.eye(len(lam)) for j, lam in enumerate(first)]
    # [ZΛ X y]'W[ZΛ X y] + I of Z, first with the other terms' Λ, then with those along k
    every = np.repeat(dense.changed(maps)[None], len(lams), axis=0)
    shape = (*along.shape[:2], -1)
    turned, rows = along.transpose(0, 2, 1), every[:, own]
    half = np.matmul(turned, rows.reshape(shape)).reshape(rows.shape)
    every[:, own], every[:, :, own] = half, half.transpose(0, 2, 1)
    inner = np.ascontiguousarray(half[:, :, own].transpose(0, 2, 1))
    every[:, own, own] = np.matmul(turned, inner.reshape(shape)).reshape(inner.shape)
    every[:, np.arange(q), np.arange(q)] += 1.0
    pivots = np.diagonal(np.linalg.cholesky(every), axis1=1, axis2=2)
    logs = 2.0 * np.log(pivots)
    sums = logs[:, :q].sum(axis=1), logs[:, q:-1].sum(axis=1)
    parts = zip(lams, (pivots[:, -1] ** 2).tolist(), *(own.tolist() for own in sums), strict=True)
    return [DenseValue(dense.system, *part) for part in parts]


@dataclass(frozen=True)
class Projections:
    """What the derivatives are made of, in the columns ZWU.

    Attributes
    ----------
    products, traces : (q, q) arrays
        Z'PZ; and the same for the traces, Z'V⁻¹Z by ML.
    effects : (q,) array
        Z'Py.
    """

    products: FloatArray
    traces: FloatArray
    effects: FloatArray


def second_order_dense(
    factor: DenseFactor, likelihood: Likelihood, projections: Projections, *, is_exact: bool
) -> Point:
    """Model the criterion to second order in steps of the terms' Λ.

    With V_i = ZΣ_iZ' for the directions Σ_i of Σ that go with the steps,

        ∂d = tr(PV_i) − y'PV_iPy/σ²
        ∂²d = −tr(PV_iPV_j) + 2 y'PV_iPV_jPy/σ² − (y'PV_iPy)(y'PV_jPy)/(νσ⁴)

    and the curvature of Λ → ΛΛ'; for ML V⁻¹ takes the place of P in the traces. Unless
    `is_exact`, the average information takes their place, y'PV_iPV_jPy/σ² for the first
    two: from afar the better guide, nearly convex. The metric is the expected information
    at a given σ², tr(PV_iPV_j), positive semidefinite to rounding.
    """
    dense, rho, q_trace = factor.dense, projections.effects, projections.traces
    sigma2 = likelihood.sigma_squared(factor)
    chart = Chart.of(tuple(t.term.term.structure for t in dense.terms), factor.lam)
    gradients, directions, curvatures = [], [], []
    for k, (term, base) in enumerate(zip(dense.terms, factor.bases, strict=True)):
        structure, lam, basis = chart.structures[k], chart.lam[k], chart.basis[k]
        s, own = term.size, term.columns
        # ∂d/∂Σ = Σ_j [(ZWU)'P(ZWU)]_jj − ρ_jρ_j'/σ², in the columns ZWU
        effects = rho[own].reshape(s, -1)
        within = q_trace[own, own].reshape(s, term.n_levels, s, term.n_levels)
        slope = np.einsum("ajbj->ab", within) - effects @ effects.T / sigma2
        # Σ_i = ∂ΛΛ' + Λ∂Λ' in these columns
        to_base = (term.to_white @ base).T @ term.to_white
        half = (to_base @ basis) @ (to_base @ lam).T
        of_sigma = half + half.transpose(0, 2, 1)
        directions.append(of_sigma)
        gradients.append(np.einsum("iab,ab->i", of_sigma, slope))
        of_lam = to_base.T @ slope @ to_base
        curvatures.append(structure.curvature(lam, basis, of_lam))
    traces, variates = _information(factor, directions, q_trace, rho)
    # y'PV_iPV_jPy/σ², less what profiling σ² out takes
    quadratic = variates @ (projections.products @ variates.T) / sigma2
    first = variates @ rho / sigma2
    profiled = 0.5 * np.outer(first, first) / max(likelihood.dof, 1)
    quadratic -= profiled
    curvature = block_diagonal(curvatures)
    size_of_curvature = block_diagonal([absolute(own) for own in curvatures])
    return Point(
        chart=chart,
        value=likelihood.value(factor),
        gradient=np.concatenate(gradients),
        hessian=(2.0 * quadratic - traces if is_exact else quadratic - profiled) + curvature,
        metric=traces + size_of_curvature,
    )


def project_dense(factor: DenseFactor, likelihood: Likelihood) -> Projections:
    """Project the columns ZWU and y; costs the inverse of C and two products."""
    n, q = len(factor.lower), factor.dense.n_random
    products = _project(factor, inverse_of_cholesky(factor.lower), n)
    effects = factor.products[:q, n] - factor.scaled[:n, :q].T @ factor.solution
    strong = factor.strengths > STRONG
    effects[strong] = factor.solution[:q][strong] / factor.strengths[strong]
    if likelihood.reml:
        return Projections(products, products, effects)
    own = inverse_of_cholesky(np.asfortranarray(factor.lower[:q, :q]))
    return Projections(products, _project(factor, own, q), effects)


def _project(factor: DenseFactor, inverse: FloatArray, n: int) -> FloatArray:
    q = factor.dense.n_random
    half = factor.scaled[:n, :q]
    # A − (ZWU)'[…]C⁻¹[…]'(ZWU); S⁻¹C⁻¹[…]'(ZWU) and S⁻¹(I − C⁻¹)S⁻¹ where S is large
    solved = inverse @ half
    out = factor.products[:q, :q] - half.T @ solved
    strong = np.flatnonzero(factor.strengths > STRONG)
    if len(strong):
        weak, size = np.flatnonzero(factor.strengths <= STRONG), factor.strengths[strong]
        mixed = solved[np.ix_(strong, weak)] / size[:, None]
        out[np.ix_(strong, weak)] = mixed
        out[np.ix_(weak, strong)] = mixed.T
        shrunken = np.eye(len(strong)) - inverse[np.ix_(strong, strong)]
        out[np.ix_(strong, strong)] = shrunken / np.outer(size, size)
    return out


def _information(
    factor: DenseFactor, directions: list[FloatArray], q_trace: FloatArray, rho: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return tr(PV_iPV_j), (n_θ, n_θ), and the working variates Σ_iρ, (n_θ, q)."""
    dense = factor.dense
    stops = np.cumsum([len(own) for own in directions])
    traces = np.empty((stops[-1], stops[-1]))
    variates = np.zeros((stops[-1], dense.n_random))
    places = [slice(stop - len(own), stop) for stop, own in zip(stops, directions, strict=True)]
    for i, (term, own) in enumerate(zip(dense.terms, directions, strict=True)):
        s, flat = term.size, own.reshape(len(own), -1)
        variates[places[i], term.columns] = (own @ rho[term.columns].reshape(s, -1)).reshape(
            len(own), -1
        )
        for j, other in enumerate(dense.terms[: i + 1]):
            # Σ_jl Q_(aj)(dl) Q_(bj)(cl), the levels j of one term and l of the other
            r, part = other.size, q_trace[term.columns, other.columns]
            pairs = part.reshape(s, term.n_levels, r, other.n_levels).transpose(0, 2, 1, 3)
            flat_pairs = pairs.reshape(s * r, -1)
            crossed = (flat_pairs @ flat_pairs.T).reshape(s, r, s, r).transpose(0, 2, 1, 3)
            block = flat @ crossed.reshape(s * s, r * r)
            block = block @ directions[j].reshape(len(directions[j]), -1).T
            traces[places[i], places[j]] = block
            traces[places[j], places[i]] = block.T
    return traces, variates
