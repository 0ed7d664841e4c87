"""The mixed-model equations at one Λ without a dense core: preconditioned conjugate gradients.

The largest factor is eliminated level by level, as by `cholesky`. What is left,

    M_c = Λ_c'S_ccΛ_c + I,    S_cc = Z_c'Z_c − H'H,

is applied to blocks of vectors and never formed: its cost is that of the cells.
M_c is preconditioned by its diagonal blocks, one a level; its eigenvalues are
bounded below by 1, and between crossed factors that are well connected the blocks
leave a condition of a few units (Ghosh, Hastie and Owen, 2022, Ann. Stat. 50;
Kündig and Sigrist, 2025, arXiv:2505.09552). See docs/mathematics.md, "The iterative
engine".

The log-determinant of the mixed-model equations by stochastic Lanczos quadrature.

With D the diagonal blocks of M_c and B = D^{-1/2}M_cD^{-T/2}, log|M_c| = log|D| + tr log B,
and tr log B = E w'(log B)w for random signs w (Ubaru, Chen and Saad, 2017, SIAM J.
Matrix Anal. Appl. 38). The diagonal blocks of B are identities, so that w'(B − I)w has
mean 0: taken off, it leaves a spread of second order in the off-diagonal blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from skmixed._equations.elimination import EliminatedStage, eliminate
from skmixed._equations.system import Blocks, Crossed, sparse_diagonal
from skmixed._typing import FloatArray, Lam


@dataclass(frozen=True)
class System:
    """The equations at one Λ.

    Attributes
    ----------
    blocks : Blocks
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

    blocks: Blocks
    crossed: Crossed
    lam: Lam
    done: EliminatedStage
    root: sp.csr_array
    to_fixed: FloatArray
    of_fixed: FloatArray

    @staticmethod
    def of(blocks: Blocks, lam: Lam) -> "System":
        stage, place, crossed = blocks.stages[0], blocks.factors[0], blocks.crossed
        assert crossed is not None
        done = eliminate(stage, stage.products, stage.values, place.lam(lam))
        parts = zip(done.at_outer, done.at_fixed, strict=False)
        taken = sum((half.T @ fixed for half, fixed in parts), 0.0)
        roots = [
            sparse_diagonal(np.repeat(f.lam(lam)[None], f.n_levels, axis=0))
            for f in blocks.core_factors
        ]
        return System(
            blocks=blocks,
            crossed=crossed,
            lam=lam,
            done=done,
            root=sp.csr_array(sp.block_diag(roots, format="csr")),
            to_fixed=crossed.fixed - taken,
            of_fixed=blocks.core - done.gram[np.ix_(stage.fixed, stage.fixed)],
        )

    def schur(self, columns: FloatArray) -> FloatArray:
        """Return S_cc times (q_core, m) columns."""
        out = self.crossed.matrix @ columns
        for half in self.done.at_outer:
            out -= half.T @ (half @ columns)
        return out

    def times(self, columns: FloatArray) -> FloatArray:
        """Return M_c times (s_core, m) columns."""
        out = self.root.T @ self.schur(self.root @ columns)
        out += columns
        return out

    @cached_property
    def schur_blocks(self) -> list[FloatArray]:
        """The blocks of S_cc at each level of each factor of the core, (q, r, r)."""
        out = []
        stage = self.blocks.stages[0]
        for own, place in zip(self.crossed.own, self.blocks.core_factors, strict=True):
            r, columns = place.n_columns, stage.cells.indices
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
        for schur, place in zip(self.schur_blocks, self.blocks.core_factors, strict=True):
            lam = place.lam(self.lam)
            block = lam.T @ schur @ lam + np.eye(lam.shape[1])
            parts.append(sparse_diagonal(np.asarray(np.linalg.inv(block), dtype=float)))
        return sp.csr_array(sp.block_diag(parts, format="csr"))


@dataclass(frozen=True)
class Solved:
    """Solutions by conjugate gradients, (s_core, m), and what they took."""

    columns: FloatArray
    n_iter: int
    residual: float


def solve_columns(
    system: System,
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
    precondition = system.preconditioner
    x = np.zeros_like(rhs) if start is None else start.copy()
    r = rhs.copy() if start is None else rhs - system.times(x)
    z = precondition @ r
    p = z.copy()
    rho = _dots(r, z)
    sizes = _dots(rhs, precondition @ rhs)
    n_iter = 0
    while n_iter < max_iter and (rho > tol**2 * sizes).any():
        n_iter += 1
        q = system.times(p)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.nan_to_num(rho / _dots(p, q))
        x += step * p
        r -= step * q
        z = precondition @ r
        before, rho = rho, _dots(r, z)
        with np.errstate(divide="ignore", invalid="ignore"):
            p *= np.nan_to_num(rho / before)
        p += z
    nonzero = sizes > 0
    share = np.sqrt((rho[nonzero] / sizes[nonzero]).max(initial=0.0))
    return Solved(x, n_iter, float(share))


def _dots(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->j", a, b))


# Steps of Lanczos' process: it converges at the rate of conjugate gradients.
STEPS = 25
# Weight of an eigenvalue in a quadrature that is rounding.
NO_WEIGHT = 1e-12


@dataclass(frozen=True)
class LogDeterminant:
    """log|M_c|, its Monte Carlo standard error, and the condition of B."""

    value: float
    error: float
    condition: float


def log_determinant(system: System, signs: FloatArray) -> LogDeterminant:
    """Estimate log|M_c| from (s_core, n) signs."""
    inverse_root, log_blocks = _root_of_blocks(system)

    def times(columns: FloatArray) -> FloatArray:
        return np.asarray(inverse_root @ system.times(inverse_root.T @ columns))

    diagonal, beside, first = _lanczos(times, signs)
    size = len(signs)
    values, vectors = _eigen(diagonal, beside)
    weights = vectors[:, 0, :] ** 2
    samples = size * (weights * np.log(np.maximum(values, np.finfo(float).tiny))).sum(axis=1)
    samples -= size * (first - 1.0)
    error = float(samples.std(ddof=1) / np.sqrt(len(samples))) if len(samples) > 1 else np.nan
    seen = values[weights > NO_WEIGHT]  # others belong to no part of the sign
    condition = float(seen.max() / seen.min())
    return LogDeterminant(log_blocks + float(samples.mean()), error, condition)


def _root_of_blocks(system: System) -> tuple[sp.csr_array, float]:
    """Return the inverse Cholesky factors of the diagonal blocks, and log|D|."""
    parts, total = [], 0.0
    for schur, place in zip(system.schur_blocks, system.blocks.core_factors, strict=True):
        lam = place.lam(system.lam)
        chol = np.linalg.cholesky(lam.T @ schur @ lam + np.eye(lam.shape[1]))
        total += 2.0 * float(np.log(np.einsum("qaa->qa", chol)).sum())
        parts.append(sparse_diagonal(np.linalg.inv(chol)))
    return sp.csr_array(sp.block_diag(parts, format="csr")), total


def _lanczos(
    times: Callable[[FloatArray], FloatArray], signs: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the tridiagonal matrices of all columns, (n, steps), and w'Bw / w'w."""
    size, n = signs.shape
    steps = min(STEPS, size)
    v, before = signs / np.sqrt(size), np.zeros_like(signs)
    diagonal, beside = np.ones((n, steps)), np.zeros((n, steps - 1))
    beta = np.zeros(n)
    for k in range(steps):
        u = times(v) - beta * before
        alpha = np.einsum("ij,ij->j", u, v)
        diagonal[:, k] = alpha
        if k + 1 == steps:
            break
        u -= alpha * v
        beta = np.linalg.norm(u, axis=0)
        # An invariant subspace is found: what follows has no weight.
        beta = np.where(beta > np.finfo(float).eps * size, beta, 0.0)
        beside[:, k] = beta
        with np.errstate(divide="ignore", invalid="ignore"):
            v, before = np.nan_to_num(u / beta, posinf=0.0, neginf=0.0), v
    return diagonal, beside, diagonal[:, 0]


def _eigen(diagonal: FloatArray, beside: FloatArray) -> tuple[FloatArray, FloatArray]:
    n, steps = diagonal.shape
    matrices = np.zeros((n, steps, steps))
    k = np.arange(steps)
    matrices[:, k, k] = diagonal
    matrices[:, k[1:], k[:-1]] = matrices[:, k[:-1], k[1:]] = beside
    values, vectors = np.linalg.eigh(matrices)
    return values, vectors
