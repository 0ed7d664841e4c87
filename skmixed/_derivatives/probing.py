"""Gradient and average information by conjugate gradients and probing.

The notation is that of `criterion`. Solves with M_c give β̂, b̂ and F'PF to the
accuracy asked for. The traces need the inverse of M_c itself; with random signs w
and x = M_c⁻¹w,

    Σ_j (Z_j'V⁻¹Z_j) = Σ_j S_jj − E Σ_j (SΛx)_j (SΛw)_j'        (Hutchinson, 1990)

where the first sum, most of it, is exact, and so is what REML takes off for X.
For the eliminated factor its rows C of the system take the place of S. The signs
are drawn once, so that the gradient is a smooth function of Λ; the spread over the
probes is its Monte Carlo error.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Derivatives, Likelihood
from skmixed._equations.cholesky import Effects, Factorization
from skmixed._equations.krylov import Solved, System, solve_columns
from skmixed._equations.layout import FactorLayout
from skmixed._equations.linear_algebra import levels_last, solve_lower
from skmixed._equations.selected_inverse import Inverse
from skmixed._equations.working_variates import Projected, Responses, project_stage
from skmixed._typing import FloatArray

# Columns of a factor that are solved for instead of probed.
FEW_COLUMNS = 64


@dataclass(frozen=True)
class FixedSolution:
    """β̂ and what belongs to it, from p + 1 solves.

    Attributes
    ----------
    system : System
    solved : Solved
        M_c⁻¹Λ_c'S_c[X y].
    core_effects : (q_core, p) array
        The random effects with the columns of X as responses.
    outer : (q_core,) array
        b̂ of the core.
    core : Factorization
        Of what is left when the core is solved for: X and y.
    """

    system: System
    solved: Solved
    core_effects: FloatArray
    outer: FloatArray
    core: Factorization

    @staticmethod
    def of(
        system: System, *, tol: float, max_iter: int, start: FloatArray | None
    ) -> "FixedSolution":
        rhs = system.root.T @ system.to_fixed
        solved = solve_columns(system, rhs, tol=tol, max_iter=max_iter, start=start)
        x = solved.columns
        # b'M⁻¹b to second order in the error of x.
        taken = x.T @ rhs + rhs.T @ x - x.T @ system.times(x)
        of_fixed, p = system.of_fixed - taken, system.blocks.n_fixed
        chol = np.linalg.cholesky(of_fixed[:p, :p]) if p else np.empty((0, 0))
        half = solve_lower(chol, of_fixed[:p, p])
        beta = solve_lower(chol, half, transposed=True)
        logs = 2.0 * np.log(np.diagonal(chol))
        effects = system.root @ x
        return FixedSolution(
            system=system,
            solved=solved,
            core_effects=effects[:, :p],
            outer=effects @ np.append(-beta, 1.0),
            core=Factorization(
                blocks=system.blocks,
                lam=system.lam,
                stages=(system.done,),
                schur=of_fixed,
                chol_core=chol,
                solution=beta,
                residual_squares=float(of_fixed[p, p] - half @ half),
                logdet_z=np.nan,
                logdet_x=float(logs.sum()),
            ),
        )

    def effects(self) -> Effects:
        """Return û of all factors, and b̂ of those in the core."""
        blocks = self.system.blocks
        combine = np.append(-self.core.beta, 1.0)
        solved = self.solved.columns @ combine
        core = [
            solved[at].reshape(place.n_levels, -1).T
            for at, place in zip(blocks.spherical_places, blocks.core_factors, strict=True)
        ]
        stage, beta = self.system.done, self.core.beta
        own = stage.effects(stage.white_response, beta, self.outer)
        return Effects((own, *core), self.outer, beta)

    @property
    def root_of_fixed(self) -> FloatArray:
        """A square root of (X'V⁻¹X)⁻¹, (p, p)."""
        p = self.system.blocks.n_fixed
        return solve_lower(self.core.chol_core, np.eye(p)).T


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
    fixed: FixedSolution, likelihood: Likelihood, probes: Probes, *, tol: float, max_iter: int
) -> ProbedDerivatives:
    """Differentiate the criterion in the entries of Σ of all factors."""
    system, blocks = fixed.system, fixed.system.blocks
    solved = solve_columns(system, probes.signs, tol=tol, max_iter=max_iter, start=probes.solved)
    x, w = system.root @ solved.columns, system.root @ probes.signs
    part = _stage(fixed)
    exact, samples = [_stage_trace(fixed, likelihood)], [_stage_probes(system, x, w)]
    of_fixed = system.to_fixed[:, : blocks.n_fixed] - system.schur(fixed.core_effects)
    rows = of_fixed @ fixed.root_of_fixed
    for k, place in enumerate(blocks.core_factors):
        of_factor = _core_probes(system, k, solved.columns, probes.signs, x, w, tol, max_iter)
        exact.append(of_factor[0] - _at_x(likelihood, _levels(rows, place)))
        samples.append(of_factor[1])
    trace, of_probes = np.concatenate(exact), np.concatenate(samples)
    rho = system.to_fixed @ np.append(-fixed.core.beta, 1.0)
    rho -= system.schur(fixed.outer[:, None])[:, 0]
    outers = [part.outer[:, 0, :, 0].ravel()]
    for place in blocks.core_factors:
        own = _levels(rho[:, None], place)[:, :, 0]
        outers.append((own.T @ own).ravel())
    outer, sigma2 = np.concatenate(outers), likelihood.sigma_squared(fixed.core)
    products = _projected(fixed, part, rho, tol, max_iter)
    products -= np.outer(outer, outer) / likelihood.residual_squares(fixed.core)
    score = trace - outer / sigma2
    return ProbedDerivatives(
        Derivatives(score + of_probes.mean(axis=1), products / sigma2),
        (score[:, None] + of_probes).T,
        Probes(probes.signs, solved.columns),
    )


def _stage(fixed: FixedSolution) -> Projected:
    """Project the columns of the eliminated factor; its trace is not used."""
    blocks = fixed.system.blocks
    nothing = Inverse(
        core=np.empty((0, 0)),
        chain=None,
        to_fixed=np.zeros((len(fixed.outer), blocks.n_fixed)),
        fixed=np.zeros((blocks.n_fixed,) * 2),
    )
    weights = np.append(-fixed.core.beta, 1.0)[None]
    return project_stage(fixed.core, 0, nothing, Responses(weights, fixed.outer[:, None]))


def _stage_trace(fixed: FixedSolution, likelihood: Likelihood) -> FloatArray:
    """Σ_j A_j, less what REML takes off: N(X'V⁻¹X)⁻¹N' with N = C_X − C_cb̂_X."""
    system = fixed.system
    stage, place = system.blocks.stages[0], system.blocks.factors[0]
    left = levels_last(np.stack(list(system.done.gls_slabs())), place.n_levels)
    own = left[:, stage.random].sum(axis=2)
    at_x = left[:, stage.fixed[:-1]].transpose(2, 0, 1)
    at_x = at_x - _stage_times(system, fixed.core_effects)
    return own.ravel() - _at_x(likelihood, at_x @ fixed.root_of_fixed)


def _stage_times(system: System, columns: FloatArray) -> FloatArray:
    """C_c times (q_core, m) columns, level by level, (q, r, m)."""
    done = system.done
    matrices = map(done.stage.with_values, done.gls_cells())
    return np.stack([own @ columns for own in matrices], axis=1)


def _stage_probes(system: System, x: FloatArray, w: FloatArray) -> FloatArray:
    return -_symmetric_pairs(_stage_times(system, x), _stage_times(system, w))


def _core_probes(
    system: System,
    k: int,
    solved: FloatArray,
    signs: FloatArray,
    x: FloatArray,
    w: FloatArray,
    tol: float,
    max_iter: int,
) -> tuple[FloatArray, FloatArray]:
    """Return Σ_j (Z_j'V⁻¹Z_j) of a factor of the core: what is exact, and of each probe.

    Where the data say more of a level than Λ does, M_c⁻¹ is small and
    Λ'Z'V⁻¹ZΛ = I − M_c⁻¹ has the lesser noise; else S − SΛM_c⁻¹Λ'S. A factor of few
    levels, whose noise would average out least, has its columns solved for.
    """
    place, schur = system.blocks.core_factors[k], system.schur_blocks[k]
    lam, q = place.lam(system.lam), place.n_levels
    own = schur.sum(axis=0)
    is_square = lam.shape[0] == lam.shape[1]
    if is_square and float(np.linalg.eigvalsh(lam.T @ own @ lam)[0]) > q:
        inverse, s = np.linalg.inv(lam), lam.shape[1]
        at, n = system.blocks.spherical_places[k], signs.shape[1]
        if q * s <= FEW_COLUMNS:
            left = q * np.eye(s) - _inverse_blocks(system, at, s, tol, max_iter)
            return (inverse.T @ left @ inverse).ravel(), np.zeros((s * s, n))
        pairs = _symmetric_pairs(*(m[at].reshape(q, s, -1) for m in (solved, signs)))
        moved = np.einsum("ca,abn,bd->cdn", inverse.T, pairs.reshape(s, s, -1), inverse)
        return (q * inverse.T @ inverse).ravel(), -moved.reshape(s * s, -1)
    both = (_levels(system.schur(m), place) for m in (x, w))
    return own.ravel(), -_symmetric_pairs(*both)


def _inverse_blocks(system: System, at: slice, size: int, tol: float, max_iter: int) -> FloatArray:
    """Σ_j (M_c⁻¹)_jj of a factor, (s, s), by solves for all of its columns."""
    n = at.stop - at.start
    unit = np.zeros((system.root.shape[1], n))
    unit[at] = np.eye(n)
    x = solve_columns(system, unit, tol=tol, max_iter=max_iter).columns
    # To second order in the error of x.
    inverse = x[at] + x[at].T - x.T @ system.times(x)
    q = n // size
    return np.asarray(np.einsum("qaqb->ab", inverse.reshape(q, size, q, size)))


def _at_x(likelihood: Likelihood, rows: FloatArray) -> FloatArray:
    """Sum rows rows' over levels, (q, r, p) to (r²,); 0 for maximum likelihood."""
    q, r, p = rows.shape
    flat = rows.transpose(1, 0, 2).reshape(r, q * p)
    return (flat @ flat.T).ravel() if likelihood.reml else np.zeros(r * r)


def _levels(matrix: FloatArray, place: FactorLayout) -> FloatArray:
    """Take a factor's rows of the core, (q, r, m)."""
    return matrix[place.core].reshape(place.n_levels, place.n_columns, -1)


def _symmetric_pairs(a: FloatArray, b: FloatArray) -> FloatArray:
    """Σ_j of a_j b_j' for each probe, symmetric, (r², n)."""
    r = a.shape[1]
    out = np.einsum("qan,qbn->abn", a, b, optimize=True)
    return (0.5 * (out + out.transpose(1, 0, 2))).reshape(r * r, -1)


def _projected(
    fixed: FixedSolution, part: Projected, rho: FloatArray, tol: float, max_iter: int
) -> FloatArray:
    """F'PF of the columns F_ab = Z_a ρ_b of all factors (as `working_variates`)."""
    system, blocks = fixed.system, fixed.system.blocks
    size, first, p = blocks.factors[-1].entries.stop, blocks.factors[0].entries, blocks.n_fixed
    products = np.zeros((size, size))
    outer, at_x = np.zeros((len(fixed.outer), size)), np.zeros((p, size))
    products[first, first] = part.within
    outer[:, first], at_x[:, first] = part.to_outer, part.to_fixed
    for place in blocks.core_factors:
        q, r = place.n_levels, place.n_columns
        own = _levels(rho[:, None], place)[:, :, 0]
        columns = np.zeros((len(fixed.outer), r * r))
        spread = np.einsum("ac,qb->qacb", np.eye(r), own)  # row a of level q, column (c, b)
        columns[place.core] = spread.reshape(q * r, r * r)
        outer[:, place.entries] = system.schur(columns)
        at_x[:, place.entries] = system.to_fixed[:, :p].T @ columns
        rows = np.einsum("qb,qan->abn", own, _levels(outer, place)).reshape(r * r, size)
        products[place.entries], products[:, place.entries] = rows, rows.T
    rhs = system.root.T @ outer
    solved = solve_columns(system, rhs, tol=tol, max_iter=max_iter).columns
    left = fixed.root_of_fixed.T @ (at_x - fixed.core_effects.T @ outer)
    return products - rhs.T @ solved - left.T @ left
