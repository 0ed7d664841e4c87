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
    chol : (k, s, s, b) array
        L, lower triangular, in k slabs of b levels; empty without random effects.
    half : (k, s, m, b) array
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


@dataclass(frozen=True)
class Elimination:
    """What eliminating the random effects leaves.

    Attributes
    ----------
    chol, half : arrays
        As in `Factorization`.
    gram : (m, m) array
        H'H, what the columns lose to the random effects.
    logdet : float
        log|M|.
    """

    chol: FloatArray
    half: FloatArray
    gram: FloatArray
    logdet: float


NOTHING = Elimination(np.empty((0,) * 4), np.empty((0,) * 4), np.empty((0, 0)), 0.0)


def factorize(
    blocks: Blocks, lam: tuple[FloatArray, ...], reuse: Factorization | None = None
) -> Factorization:
    """Factor the system at Λ.

    `reuse` is a factorization of the same blocks that the caller gives up: its
    arrays over the levels are overwritten, since new ones cost as much as the
    arithmetic (first writes to fresh memory).

    Raises
    ------
    numpy.linalg.LinAlgError
        If X'V⁻¹X is not positive definite to rounding, which takes a Λ far
        beyond the data's resolution.
    """
    p = blocks.n_fixed
    if blocks.factor is None:
        eliminated, total = NOTHING, blocks.total
    else:
        eliminated = eliminate(blocks.factor, block_lam(blocks.factor, lam), reuse)
        fixed = blocks.factor.fixed
        total = blocks.total - eliminated.gram[np.ix_(fixed, fixed)]
    chol_x = np.linalg.cholesky(total[:p, :p]).astype(np.float64, copy=False)
    rhs = solve_lower(chol_x, total[:p, p])
    residual = float(total[p, p] - rhs @ rhs)
    return Factorization(
        blocks=blocks,
        lam=lam,
        chol=eliminated.chol,
        half=eliminated.half,
        chol_x=chol_x,
        rhs=rhs,
        residual_squares=max(residual, blocks.floor),
        is_exact_fit=residual <= blocks.floor,
        logdet_z=eliminated.logdet,
        logdet_x=2.0 * float(np.log(np.diagonal(chol_x)).sum()),
    )


def zero_lam(blocks: Blocks) -> tuple[FloatArray, ...]:
    """Λ = 0 of each term: the model without random effects."""
    terms = () if blocks.factor is None else blocks.factor.terms
    return tuple(np.zeros((t.size, t.size)) for t in terms)


def block_lam(factor: FactorBlock, lam: tuple[FloatArray, ...]) -> FloatArray:
    """Join the terms' Λ to that of the factor's columns, (r, s)."""
    parts = [t.to_block @ part for t, part in zip(factor.terms, lam, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def eliminate(
    factor: FactorBlock, lam: FloatArray, reuse: Factorization | None = None
) -> Elimination:
    """Eliminate the random effects, slab by slab of levels.

    Costs q·(r·s·m + s²·m + s·m²) multiplications, in vectors over the levels.
    """
    k, r, m, b = factor.products.shape
    s = lam.shape[1]
    gram, logdet = np.zeros((m, m)), 0.0
    if not lam.any():  # M = I, H = 0; pages of zeros are not touched
        chol = np.broadcast_to(np.eye(s)[:, :, None], (k, s, s, b))
        return Elimination(chol, np.zeros((k, s, m, b)), gram, logdet)
    half = np.empty((k, s, m, b)) if reuse is None else reuse.half
    chol = np.empty((k, s, s, b))
    if reuse is not None and reuse.chol.flags.writeable:
        chol = reuse.chol
    for own, part, lower in zip(factor.products, half, chol, strict=True):
        np.matmul(lam.T, own.reshape(r, m * b), out=part.reshape(s, m * b))
        lower[:] = np.matmul(lam.T, part[:, factor.random])
        lower[np.arange(s), np.arange(s)] += 1.0
        cholesky_levels(lower)
        solve_levels(lower, part)
        gram += np.matmul(part, part.transpose(0, 2, 1)).sum(axis=0)
        logdet += 2.0 * float(np.log(lower[np.arange(s), np.arange(s)]).sum())
    return Elimination(chol, half, gram, logdet)


def cholesky_levels(system: FloatArray) -> None:
    """Overwrite small matrices, (s, s, b), by their lower factors, all at once."""
    for j in range(len(system)):
        if j:
            system[j:, j] -= np.einsum("ikb,kb->ib", system[j:, :j], system[j, :j])
            system[:j, j] = 0.0
        system[j:, j] /= np.sqrt(system[j, j])


def solve_levels(chol: FloatArray, rhs: FloatArray) -> None:
    """Overwrite rhs, (s, m, b), by L⁻¹ rhs."""
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
