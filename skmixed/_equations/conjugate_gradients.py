"""The mixed-model equations at one Λ without a dense core: preconditioned conjugate gradients.

The largest factor is eliminated level by level, as by `cholesky`. What is left,

    M_c = Λ_c'S_ccΛ_c + I,    S_cc = Z_c'Z_c − H'H,

is applied to blocks of vectors and never formed: its cost is that of the cells.
M_c is preconditioned by its diagonal blocks, one a level; its eigenvalues are
bounded below by 1, and between crossed factors that are well connected the blocks
leave a condition of a few units (Ghosh, Hastie and Owen, 2022, Ann. Stat. 50;
Kündig and Sigrist, 2025, arXiv:2505.09552). See docs/mathematics.md, "The iterative
engine".
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import Effects
from skmixed._equations.elimination import EliminatedStage, eliminate
from skmixed._equations.layout import FactorLayout
from skmixed._equations.linear_algebra import FixedFactor, solve_lower
from skmixed._equations.system import Crossed, System, sparse_diagonal
from skmixed._equations.working_variates import Projected, Responses, project_stage
from skmixed._typing import FloatArray, Lam

# Share of a bound of eigenvalues that is below them beyond rounding.
BELOW = 0.9


@dataclass(frozen=True)
class CoreOperator:
    """M_c and what goes with it, at one Λ.

    Attributes
    ----------
    system : System
        With a sparse core.
    lam : tuple of (s, s) arrays
    done : EliminatedStage
        Of the largest factor.
    root : sparse (q_core, s_core) array
        Λ_c.
    to_fixed : (q_core, p + 1) array
        S_c[X y].
    of_fixed : (p + 1, p + 1) array
        [X y]'V_1⁻¹[X y].
    """

    system: System
    crossed: Crossed
    lam: Lam
    done: EliminatedStage
    root: sp.csr_array
    to_fixed: FloatArray
    of_fixed: FloatArray

    @staticmethod
    def of(system: System, lam: Lam) -> "CoreOperator":
        stage, place, crossed = system.stages[0], system.factors[0], system.crossed
        assert crossed is not None
        done = eliminate(stage, stage.products, stage.values, place.lam(lam))
        # H_c'H_X, which the eliminated factor takes from Z_c'[X y]
        parts = zip(done.at_outer, done.at_fixed, strict=False)
        taken = sum((half.T @ fixed for half, fixed in parts), 0.0)
        roots = [
            sparse_diagonal(np.repeat(f.lam(lam)[None], f.n_levels, axis=0))
            for f in system.core_factors
        ]
        return CoreOperator(
            system=system,
            crossed=crossed,
            lam=lam,
            done=done,
            root=sp.csr_array(sp.block_diag(roots, format="csr")),
            to_fixed=crossed.fixed - taken,
            of_fixed=system.core - done.gram[np.ix_(stage.fixed, stage.fixed)],
        )

    @property
    def size(self) -> int:
        """Order of M_c, s_core."""
        return int(self.root.shape[1])

    @property
    def factors(self) -> tuple[FactorLayout, ...]:
        """The factors of the core."""
        return self.system.core_factors

    @property
    def places(self) -> list[slice]:
        """Their places among the columns of M_c."""
        return self.system.spherical_places

    def times_products(self, columns: FloatArray) -> FloatArray:
        """Return S_cc times (q_core, m) columns."""
        out = self.crossed.matrix @ columns
        for half in self.done.at_outer:
            out -= half.T @ (half @ columns)
        return out

    def times(self, columns: FloatArray) -> FloatArray:
        """Return M_c times (s_core, m) columns."""
        out = self.root.T @ self.times_products(self.root @ columns)
        out += columns
        return out

    @cached_property
    def schur_blocks(self) -> list[FloatArray]:
        """The blocks of S_cc at each level of each factor of the core, (q, r, r)."""
        out = []
        stage = self.system.stages[0]
        for own, place in zip(self.crossed.own, self.system.core_factors, strict=True):
            r, columns = place.n_columns, stage.cells.columns
            inside = (columns >= place.outer.start) & (columns < place.outer.stop)
            # The r cells of a pair of levels lie side by side.
            level = (columns[inside][::r] - place.outer.start) // r
            values = self.done.cell_half[:, inside].reshape(len(self.done.cell_half), -1, r)
            squares = np.einsum("sna,snb->abn", values, values).reshape(r * r, -1)
            taken = [np.bincount(level, row, minlength=place.n_levels) for row in squares]
            out.append(own - np.stack(taken, axis=1).reshape(-1, r, r))
        return out

    @cached_property
    def preconditioner(self) -> sp.csr_array:
        """The inverse of these blocks, (s_core, s_core)."""
        parts = []
        for schur, place in zip(self.schur_blocks, self.system.core_factors, strict=True):
            lam = place.lam(self.lam)
            block = lam.T @ schur @ lam + np.eye(lam.shape[1])
            parts.append(sparse_diagonal(np.asarray(np.linalg.inv(block), dtype=float)))
        return sp.csr_array(sp.block_diag(parts, format="csr"))

    def blocks(self) -> "DiagonalBlocks":
        """Factor the diagonal blocks D of M_c."""
        parts, total, largest = [], 0.0, 1.0
        for schur, place in zip(self.schur_blocks, self.system.core_factors, strict=True):
            lam = place.lam(self.lam)
            block = lam.T @ schur @ lam + np.eye(lam.shape[1])
            chol = np.linalg.cholesky(block)
            total += 2.0 * float(np.log(np.einsum("qaa->qa", chol)).sum())
            largest = max(largest, float(np.einsum("qaa->q", block).max()))
            parts.append(sparse_diagonal(np.linalg.inv(chol)))
        root = sp.csr_array(sp.block_diag(parts, format="csr"))
        return DiagonalBlocks(root, total, BELOW / largest)


@dataclass(frozen=True)
class DiagonalBlocks:
    """The diagonal blocks D of M_c, one a level.

    Attributes
    ----------
    inverse_root : sparse (s_core, s_core) array
        The inverse of their lower Cholesky factors.
    log_determinant : float
    least_inverse : float
        Less than the smallest eigenvalue of D⁻¹, and so of D^{-1/2}M_cD^{-T/2} too.
    """

    inverse_root: sp.csr_array
    log_determinant: float
    least_inverse: float


@dataclass(frozen=True)
class Solved:
    """Solutions by conjugate gradients, (s_core, m), and what they took."""

    columns: FloatArray
    n_iter: int
    residual: float


def solve_columns(
    operator: CoreOperator,
    rhs: FloatArray,
    *,
    tol: float,
    max_iter: int,
    start: FloatArray | None = None,
) -> Solved:
    """Solve M_c x = b for all columns at once.

    Each column has its own conjugate gradients (Hestenes and Stiefel, 1952), all
    share the products with M_c. Stops when every residual is at most `tol` times
    its right-hand side, in the norm of the preconditioner.
    """
    precondition = operator.preconditioner
    x = np.zeros_like(rhs) if start is None else start.copy()
    r = rhs.copy() if start is None else rhs - operator.times(x)
    z = precondition @ r
    p = z.copy()
    rho = _dots(r, z)
    sizes = _dots(rhs, precondition @ rhs)
    n_iter = 0
    while n_iter < max_iter and (rho > tol**2 * sizes).any():
        n_iter += 1
        q = operator.times(p)
        # α = r'z / p'M_cp; x + αp and r − αM_cp
        with np.errstate(all="ignore"):
            step = np.nan_to_num(rho / _dots(p, q))
        x += step * p
        r -= step * q
        z = precondition @ r
        before, rho = rho, _dots(r, z)
        # p ← z + p (r'z) / (r'z before)
        with np.errstate(all="ignore"):
            p *= np.nan_to_num(rho / before)
        p += z
    nonzero = sizes > 0
    share = np.sqrt((rho[nonzero] / sizes[nonzero]).max(initial=0.0))
    return Solved(x, n_iter, float(share))


def _dots(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->j", a, b))


@dataclass(frozen=True)
class LogDeterminant:
    """log|M_c|, its Monte Carlo standard error, and the condition of B."""

    value: float
    error: float
    condition: float


@dataclass(frozen=True)
class IterativeFactor:
    """β̂, b̂ and what belongs to them at one Λ, from p + 1 solves.

    Attributes
    ----------
    operator : CoreOperator
    solved : Solved
        M_c⁻¹Λ_c'S_c[X y].
    core_effects : (q_core, p) array
        The random effects of the core with the columns of X as responses.
    fixed : FixedFactor
        The factor of X'V⁻¹X.
    beta : (p,) array
        β̂ of the kept columns, centered as in `System`.
    residual_squares : float
        r².
    of_core : LogDeterminant or None
        log|M_c|, where it has been estimated.
    """

    operator: CoreOperator
    solved: Solved
    core_effects: FloatArray
    fixed: FixedFactor
    beta: FloatArray
    residual_squares: float
    of_core: LogDeterminant | None = None

    @staticmethod
    def of(
        operator: CoreOperator, *, tol: float, max_iter: int, start: FloatArray | None
    ) -> "IterativeFactor":
        """Solve for X and y; `tol` and `max_iter` are those of `solve_columns`.

        Raises
        ------
        numpy.linalg.LinAlgError
            If what the solves leave of X'V⁻¹X is not positive definite.
        """
        rhs = operator.root.T @ operator.to_fixed
        solved = solve_columns(operator, rhs, tol=tol, max_iter=max_iter, start=start)
        x = solved.columns
        # b'M⁻¹b to second order in the error of x.
        taken = x.T @ rhs + rhs.T @ x - x.T @ operator.times(x)
        of_fixed, p = operator.of_fixed - taken, operator.system.n_fixed
        fixed = FixedFactor(np.linalg.cholesky(of_fixed[:p, :p]) if p else np.empty((0, 0)))
        half = fixed.half_solve(of_fixed[:p, p])
        return IterativeFactor(
            operator=operator,
            solved=solved,
            core_effects=operator.root @ x[:, :p],
            fixed=fixed,
            beta=solve_lower(fixed.root, half, transposed=True),
            residual_squares=float(of_fixed[p, p] - half @ half),
        )

    @property
    def system(self) -> System:
        return self.operator.system

    @property
    def lam(self) -> Lam:
        return self.operator.lam

    @property
    def stages(self) -> tuple[EliminatedStage, ...]:
        """The one stage that is eliminated."""
        return (self.operator.done,)

    @property
    def logdet_z(self) -> float:
        """log|M|, which has a Monte Carlo error; it has to be estimated first."""
        assert self.of_core is not None
        return self.operator.done.logdet + self.of_core.value

    @property
    def logdet_x(self) -> float:
        return self.fixed.logdet

    @property
    def residual_weights(self) -> FloatArray:
        """The combination y − Xβ̂ of the columns of X and y, (p + 1,)."""
        return np.append(-self.beta, 1.0)

    @property
    def outer(self) -> FloatArray:
        """b̂ of the core, (q_core,)."""
        return np.asarray(self.operator.root @ self.solved.columns @ self.residual_weights)

    def project_stage(self) -> Projected:
        """Project the columns of the eliminated factor, of y − Xβ̂; without traces."""
        responses = Responses(self.residual_weights[None], self.outer[:, None])
        return project_stage(self.system, self.operator.done, 0, responses)

    def with_log_determinant(self, of_core: LogDeterminant) -> "IterativeFactor":
        return replace(self, of_core=of_core)

    def effects(self) -> Effects:
        """Return û of all factors, and b̂ of those in the core."""
        system, outer = self.system, self.outer
        solved = self.solved.columns @ self.residual_weights
        core = [
            solved[at].reshape(place.n_levels, -1).T
            for at, place in zip(system.spherical_places, system.core_factors, strict=True)
        ]
        stage = self.operator.done
        own = stage.effects(stage.white_response, self.beta, outer)
        return Effects((own, *core), outer, self.beta)
