"""Gradient and average information by conjugate gradients and probing.

Solves with M_c give β̂, b̂ and F'PF to the accuracy asked for. The traces of the gradient
need the inverse of M_c itself; with random signs w and x = M_c⁻¹w,

    Σ_j (Z_j'V⁻¹Z_j) = Σ_j S_jj − E Σ_j (SΛx)_j (SΛw)_j'        (Hutchinson, 1990)

where the first sum, most of it, is exact, and so is what REML takes off for X.
For the eliminated factor its rows C of the system take the place of S.
The signs are drawn once, so that the gradient is a smooth function of Λ; the spread over
the probes is its Monte Carlo error.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Derivatives, Likelihood
from skmixed._equations.conjugate_gradients import CoreOperator, IterativeFactor, solve_columns
from skmixed._equations.working_variates import Projected
from skmixed._typing import FloatArray

# Columns of a factor that are solved for instead of probed.
FEW_COLUMNS = 64
# What the data say of a level beside what Λ does, and one by it, between which the two ways
# to probe the traces go over into each other. Beyond it one has 16 times the noise.
SPAN = 4.0


@dataclass(frozen=True)
class Probes:
    """Random signs and their solutions, (s_core, n_probes)."""

    signs: FloatArray
    solved: FloatArray

    @staticmethod
    def draw(size: int, n: int, seed: int) -> "Probes":
        # One probe after the other, so that more of them begin with the same.
        drawn = np.random.default_rng(seed).integers(0, 2, (n, size))
        signs: FloatArray = np.ascontiguousarray(2.0 * drawn.T - 1.0, dtype=np.float64)
        return Probes(signs, np.zeros_like(signs))


@dataclass(frozen=True)
class ProbedDerivatives:
    """Derivatives, the traces of each probe, and the probes as solved here.

    samples : (n_probes, n) array
        The gradient that each probe alone would give.
    """

    derivatives: Derivatives
    samples: FloatArray
    probes: Probes

    def along(self, directions: FloatArray) -> "ProbedDerivatives":
        """Return the same in the coefficients of directions of the entries, (d, n)."""
        samples = self.samples @ directions.T
        return ProbedDerivatives(self.derivatives.along(directions), samples, self.probes)


def probed_derivatives(
    factor: IterativeFactor, likelihood: Likelihood, probes: Probes, *, tol: float, max_iter: int
) -> ProbedDerivatives:
    """Differentiate the criterion in the entries of Σ of all factors."""
    signs = probes.signs
    solved = solve_columns(
        factor.operator, signs, tol=tol, max_iter=max_iter, start=probes.solved
    ).columns
    trace, of_probes = probed_traces(
        factor, signs, solved, has_fixed=likelihood.reml, tol=tol, max_iter=max_iter
    )
    outer, products = residual_products(factor, tol=tol, max_iter=max_iter)
    # Σ_j [(Z'PZ)_jj − ρ_jρ_j'/σ̂²], and (F'PF − ∇r²∇r²'/r²)/σ̂²
    sigma2 = likelihood.sigma_squared(factor)
    products -= np.outer(outer, outer) / likelihood.residual_squares(factor)
    score = trace - outer / sigma2
    return ProbedDerivatives(
        Derivatives(score + of_probes.mean(axis=1), products / sigma2),
        (score[:, None] + of_probes).T,
        Probes(signs, solved),
    )


def probed_traces(
    factor: IterativeFactor,
    signs: FloatArray,
    solved: FloatArray,
    *,
    has_fixed: bool,
    tol: float,
    max_iter: int,
) -> tuple[FloatArray, FloatArray]:
    """Return Σ_j (Z_j'PZ_j) of all factors: what is exact, (n,), and of each probe, (n, n_probes).

    Parameters
    ----------
    factor : IterativeFactor
    signs, solved : (s_core, n_probes) arrays
        w, and x = M_c⁻¹w.
    has_fixed : bool
        Whether P has the columns of X; else V⁻¹ takes its place.
    tol, max_iter
        For the factors of which all columns are solved for.
    """
    operator, p = factor.operator, factor.system.n_fixed
    x, w = operator.root @ solved, operator.root @ signs
    exact = [_stage_trace(factor, has_fixed=has_fixed)]
    samples = [-_symmetric_pairs(operator.done.gls_times(x), operator.done.gls_times(w))]
    # N(X'V⁻¹X)⁻¹N' with N = S_cX − S_cc b̂_X, that REML takes off
    of_fixed = operator.to_fixed[:, :p] - operator.times_products(factor.core_effects)
    rows = of_fixed @ factor.fixed.inverse_root
    for k, place in enumerate(operator.factors):
        own, noise = _core_traces(operator, k, solved, signs, tol, max_iter)
        exact.append(own - _sum_of_squares(place.take(rows)) if has_fixed else own)
        samples.append(noise)
    return np.concatenate(exact), np.concatenate(samples)


def _stage_trace(factor: IterativeFactor, *, has_fixed: bool) -> FloatArray:
    """Σ_j A_j, less what REML takes off: N(X'V⁻¹X)⁻¹N' with N = C_X − C_cb̂_X."""
    operator = factor.operator
    own, at_x = operator.done.gls_products()
    if not has_fixed:
        return own.ravel()
    at_x = at_x - operator.done.gls_times(factor.core_effects)
    return np.asarray(own.ravel() - _sum_of_squares(at_x @ factor.fixed.inverse_root))


def _core_traces(
    operator: CoreOperator,
    k: int,
    solved: FloatArray,
    signs: FloatArray,
    tol: float,
    max_iter: int,
) -> tuple[FloatArray, FloatArray]:
    """Return Σ_j (Z_j'V⁻¹Z_j) of a factor of the core: what is exact, and of each probe.

    Where the data say more of a level than Λ does, M_c⁻¹ is small and
    Λ'Z'V⁻¹ZΛ = I − M_c⁻¹ has the lesser noise; else S − SΛM_c⁻¹Λ'S. In between the one
    goes over into the other, so that the gradient is continuous in Λ.
    """
    place, schur = operator.factors[k], operator.schur_blocks[k]
    own = schur.sum(axis=0)
    share = _share_of_inverse(place.lam(operator.lam), own / place.n_levels)
    # (1 − u) (S − SΛM_c⁻¹Λ'S) + u Λ⁻ᵀ(I − M_c⁻¹)Λ⁻¹
    exact, noise = np.zeros(own.size), np.zeros((own.size, signs.shape[1]))
    if share < 1.0:
        x, w = (place.take(operator.times_products(operator.root @ m)) for m in (solved, signs))
        exact += (1.0 - share) * own.ravel()
        noise -= (1.0 - share) * _symmetric_pairs(x, w)
    if share > 0.0:
        left, of_probes = _traces_of_inverse(operator, k, solved, signs, tol, max_iter)
        exact += share * left
        noise += share * of_probes
    return exact, noise


def _share_of_inverse(lam: FloatArray, mean: FloatArray) -> float:
    """Return the share of I − M_c⁻¹ in the traces, from 0 to 1 as a smooth function of Λ.

    Of t, the harmonic mean of the eigenvalues of Λ'S̄Λ: what the data say of a level
    beside what Λ does.
    """
    if lam.shape[0] != lam.shape[1]:
        return 0.0
    values = np.linalg.eigvalsh(lam.T @ mean @ lam)
    if not values[0] > 0.0:
        return 0.0
    t = 1.0 / float((1.0 / values).mean())
    # 3u² − 2u³ with u from 0 to 1 as log t goes over its span
    u = float(np.clip(0.5 + 0.5 * np.log(t) / np.log(SPAN), 0.0, 1.0))
    return u * u * (3.0 - 2.0 * u)


def _traces_of_inverse(
    operator: CoreOperator,
    k: int,
    solved: FloatArray,
    signs: FloatArray,
    tol: float,
    max_iter: int,
) -> tuple[FloatArray, FloatArray]:
    """Return the traces from Λ⁻ᵀ(qI − Σ_j (M_c⁻¹)_jj)Λ⁻¹, as `_core_traces` does.

    A factor of few levels, whose noise would average out least, has its columns solved for.
    """
    place, at, n = operator.factors[k], operator.places[k], signs.shape[1]
    lam, q = place.lam(operator.lam), place.n_levels
    inverse, s = np.linalg.inv(lam), lam.shape[1]
    if q * s <= FEW_COLUMNS:
        left = q * np.eye(s) - _inverse_blocks(operator, at, s, tol, max_iter)
        return (inverse.T @ left @ inverse).ravel(), np.zeros((s * s, n))
    # Σ_j x_jw_j' of each probe
    pairs = _symmetric_pairs(*(m[at].reshape(q, s, -1) for m in (solved, signs)))
    moved = np.einsum("ca,abn,bd->cdn", inverse.T, pairs.reshape(s, s, -1), inverse)
    return (q * inverse.T @ inverse).ravel(), -moved.reshape(s * s, -1)


def _inverse_blocks(
    operator: CoreOperator, at: slice, size: int, tol: float, max_iter: int
) -> FloatArray:
    """Σ_j (M_c⁻¹)_jj of a factor, (s, s), by solves for all of its columns."""
    n = at.stop - at.start
    unit = np.zeros((operator.size, n))
    unit[at] = np.eye(n)
    x = solve_columns(operator, unit, tol=tol, max_iter=max_iter).columns
    # To second order in the error of x.
    inverse = x[at] + x[at].T - x.T @ operator.times(x)
    q = n // size
    return np.asarray(np.einsum("qaqb->ab", inverse.reshape(q, size, q, size)))


def _sum_of_squares(rows: FloatArray) -> FloatArray:
    """Sum rows rows' over levels, (q, r, p) to (r²,)."""
    q, r, p = rows.shape
    flat = rows.transpose(1, 0, 2).reshape(r, q * p)
    return np.asarray((flat @ flat.T).ravel())


def _symmetric_pairs(a: FloatArray, b: FloatArray) -> FloatArray:
    """Σ_j of a_j b_j' for each probe, symmetric, (r², n)."""
    r = a.shape[1]
    out = np.einsum("qan,qbn->abn", a, b, optimize=True)
    return (0.5 * (out + out.transpose(1, 0, 2))).reshape(r * r, -1)


def residual_products(
    factor: IterativeFactor, *, tol: float, max_iter: int
) -> tuple[FloatArray, FloatArray]:
    """Return Σ_j ρ_jρ_j', (n,), and F'PF, (n, n), of F_ab = Z_a ρ_b of all factors.

    With ρ = Z'V⁻¹(y − Xβ̂), as `working_variates.project` does; `tol` and `max_iter` are
    those of the solves.
    """
    operator, weights = factor.operator, factor.residual_weights
    rho = operator.to_fixed @ weights
    rho -= operator.times_products(factor.outer[:, None])[:, 0]
    part = factor.project_stage()
    outers = [part.outer[:, 0, :, 0].ravel()]
    for place in operator.factors:
        own = place.take(rho[:, None])[:, :, 0]
        outers.append((own.T @ own).ravel())
    return np.concatenate(outers), _projected_products(factor, part, rho, tol, max_iter)


def _projected_products(
    factor: IterativeFactor, part: Projected, rho: FloatArray, tol: float, max_iter: int
) -> FloatArray:
    """F'PF of the columns F_ab = Z_a ρ_b of all factors (as `working_variates`)."""
    operator, system = factor.operator, factor.system
    size, first, p = system.factors[-1].entries.stop, system.factors[0].entries, system.n_fixed
    products = np.zeros((size, size))
    outer, at_x = np.zeros((len(rho), size)), np.zeros((p, size))
    products[first, first] = part.within
    outer[:, first], at_x[:, first] = part.to_outer, part.to_fixed
    for place in operator.factors:
        q, r = place.n_levels, place.n_columns
        own = place.take(rho[:, None])[:, :, 0]
        spread = np.einsum("ac,qb->qacb", np.eye(r), own)  # row a of level q, column (c, b)
        columns = place.put(spread.reshape(q * r, r * r), len(rho))
        outer[:, place.entries] = operator.times_products(columns)
        at_x[:, place.entries] = operator.to_fixed[:, :p].T @ columns
        rows = np.einsum("qb,qan->abn", own, place.take(outer)).reshape(r * r, size)
        products[place.entries], products[:, place.entries] = rows, rows.T
    rhs = operator.root.T @ outer
    solved = solve_columns(operator, rhs, tol=tol, max_iter=max_iter).columns
    left = factor.fixed.inverse_root.T @ (at_x - factor.core_effects.T @ outer)
    return products - rhs.T @ solved - left.T @ left
