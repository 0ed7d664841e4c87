"""The Cholesky factorization of the mixed-model equations at one Λ.

With M = Λ'Z'ZΛ + I = LL' per level, the factor of the whole system is

    [ L          0    ]        H = L⁻¹Λ'Z'[X y]
    [ H'   R_X        ]        R_X R_X' = X'X − H_X'H_X = X'V⁻¹X

(Bates et al., 2015, J. Stat. Softw. 67(1), equations 18, 23 and 24). A
`Factorization` is a value: nothing in it changes when another Λ is tried.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from skmixed._blocks import Blocks, FactorBlock

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Factorization:
    """The blocked Cholesky factor at one Λ, and what it gives at once.

    Attributes
    ----------
    blocks : Blocks
    lam : tuple of (s, s) arrays
        Λ of each term, in the search's coordinates.
    chol : (s, s, q) array
        L, lower triangular; s = 0 without random effects.
    half : (s, m, q) array
        L⁻¹Λ'Z'[…] for every column of the factor's products.
    chol_x : (p, p) array
        R_X, lower triangular.
    rhs : (p,) array
        R_X⁻¹ of the reduced right-hand side.
    residual_squares : float
        The penalized residual sum of squares r², not below the floor.
    is_exact_fit : bool
        Whether r² reached the floor.
    logdet_z, logdet_x : float
        log|M| and log|X'V⁻¹X|.
    """

    blocks: Blocks
    lam: tuple[FloatArray, ...]
    chol: FloatArray
    half: FloatArray
    chol_x: FloatArray
    rhs: FloatArray
    residual_squares: float
    is_exact_fit: bool
    logdet_z: float
    logdet_x: float

    @property
    def sigma_squared(self) -> float:
        return self.residual_squares / max(self.blocks.dof, 1)

    @property
    def beta(self) -> FloatArray:
        """Fixed effects of the kept columns, centered as in `Blocks`, (p,)."""
        return np.asarray(solve_lower(self.chol_x, self.rhs, transposed=True))


def factorize(blocks: Blocks, lam: tuple[FloatArray, ...]) -> Factorization:
    """Factor the system at Λ.

    Raises
    ------
    numpy.linalg.LinAlgError
        If X'V⁻¹X is not positive definite to rounding, which takes a Λ far
        beyond the data's resolution.
    """
    p = blocks.n_fixed
    if blocks.factor is None:
        chol, half, logdet_z, total = np.empty((0, 0, 0)), np.empty((0, 0, 0)), 0.0, blocks.total
    else:
        chol, half, logdet_z = eliminate(blocks.factor, block_lam(blocks.factor, lam))
        fixed = blocks.factor.fixed
        total = blocks.total - _gram(half)[np.ix_(fixed, fixed)]
    chol_x = np.linalg.cholesky(total[:p, :p])
    rhs = solve_lower(chol_x, total[:p, p])
    residual = float(total[p, p] - rhs @ rhs)
    return Factorization(
        blocks=blocks,
        lam=lam,
        chol=chol,
        half=half,
        chol_x=chol_x,
        rhs=rhs,
        residual_squares=max(residual, blocks.floor),
        is_exact_fit=residual <= blocks.floor,
        logdet_z=logdet_z,
        logdet_x=2.0 * float(np.log(np.diagonal(chol_x)).sum()),
    )


def block_lam(factor: FactorBlock, lam: tuple[FloatArray, ...]) -> FloatArray:
    """Join the terms' Λ to that of the factor's columns, (r, s)."""
    parts = [t.to_block @ part for t, part in zip(factor.terms, lam, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def eliminate(factor: FactorBlock, lam: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Eliminate the random effects: L, L⁻¹Λ'Z'[…] and log|M|.

    Costs q·(r·s·m + s²·m) multiplications, in vectors over the q levels.
    """
    r, m, q = factor.products.shape
    s = lam.shape[1]
    half = (lam.T @ factor.products.reshape(r, m * q)).reshape(s, m, q)
    system = np.matmul(lam.T, half[:, factor.random])
    system[np.arange(s), np.arange(s)] += 1.0
    chol = cholesky_levels(system)
    solve_levels(chol, half)
    logs = np.log(np.einsum("aaq->aq", chol))
    if factor.multiplicity is not None:
        logs *= factor.multiplicity
    return chol, half, 2.0 * float(logs.sum())


def cholesky_levels(system: FloatArray) -> FloatArray:
    """Factor q small matrices at once: (s, s, q) in, lower factors out."""
    s = len(system)
    chol = np.zeros_like(system)
    for j in range(s):
        column = system[j:, j] - np.einsum("ikq,kq->iq", chol[j:, :j], chol[j, :j])
        chol[j:, j] = column / np.sqrt(column[0])
    return chol


def solve_levels(chol: FloatArray, rhs: FloatArray) -> None:
    """Overwrite rhs, (s, m, q), by L⁻¹ rhs, level by level."""
    for j in range(len(chol)):
        for k in range(j):
            rhs[j] -= chol[j, k] * rhs[k]
        rhs[j] /= chol[j, j]


def solve_lower(chol: FloatArray, rhs: FloatArray, *, transposed: bool = False) -> FloatArray:
    """Solve with a lower triangular matrix, or with its transpose."""
    if not len(chol):
        return rhs
    return np.asarray(
        scipy.linalg.solve_triangular(
            chol, rhs, lower=True, trans=1 if transposed else 0, check_finite=False
        )
    )


def _gram(half: FloatArray) -> FloatArray:
    """Σ over effects and levels of the products of the m columns, (m, m)."""
    return np.asarray(np.matmul(half, half.transpose(0, 2, 1)).sum(axis=0))
