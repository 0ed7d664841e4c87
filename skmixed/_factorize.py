"""The Cholesky factorization of the mixed-model equations at one Λ.

With index 1 for the eliminated factor and c for the core (the other factors),
and M_1 = Λ_1'Z_1'Z_1Λ_1 + I = LL' per level, the factor of the whole system is

    [ L            0    ]      H = L⁻¹Λ_1'Z_1'[Z_c X y]
    [ (HΛ_c)'  R        ]      RR' = [ Λ_c'S_ccΛ_c + I   Λ_c'S_cX ],   S = [Z_c X y]'[Z_c X y] − H'H
                                     [ S_XcΛ_c           S_XX     ]

(Bates et al., 2015, J. Stat. Softw. 67(1), equations 18, 23 and 24, with the
random effects in two parts.) S is kept in the coordinates of the columns
themselves, free of Λ_c. A `Factorization` is a value: nothing in it changes when
another Λ is tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._blocks import Blocks, Eliminated

FloatArray = NDArray[np.float64]
Lam = tuple[FloatArray, ...]

# Multiplications of a dense symmetric product in the time of one of a sparse
# product, on one core.
SPARSE_COST = 200


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
        L⁻¹Λ'Z'[…] for every column of the eliminated factor's products.
    cell_half : (s, n_cells) array
        L⁻¹Λ'Z'Z_c, in the order of the cells.
    schur : (q_core + p + 1,) * 2 array
        S above.
    chol_core : (s_core + p,) * 2 array
        R, lower triangular.
    solution : (s_core + p,) array
        The spherical effects of the core and the fixed effects β̂ of the kept
        columns, centered as in `Blocks`.
    residual_squares : float
        The penalized residual sum of squares r², not below the floor.
    is_exact_fit : bool
        Whether r² reached the floor.
    logdet_z, logdet_x : float
        log|M| and log|X'V⁻¹X|.
    """

    blocks: Blocks
    lam: Lam
    chol: FloatArray
    half: FloatArray
    cell_half: FloatArray
    schur: FloatArray
    chol_core: FloatArray
    solution: FloatArray
    residual_squares: float
    is_exact_fit: bool
    logdet_z: float
    logdet_x: float

    @property
    def sigma_squared(self) -> float:
        return self.residual_squares / max(self.blocks.dof, 1)

    @property
    def n_spherical(self) -> int:
        """Columns of the core's random effects in the coordinates of Λ."""
        return len(self.solution) - self.blocks.n_fixed

    @property
    def beta(self) -> FloatArray:
        """Fixed effects of the kept columns, (p,)."""
        return self.solution[self.n_spherical :]

    @property
    def chol_x(self) -> FloatArray:
        """Factor of X'V⁻¹X, lower triangular, (p, p)."""
        return self.chol_core[self.n_spherical :, self.n_spherical :]

    @property
    def residual_weights(self) -> FloatArray:
        """What to combine [Z_c X y] by for y − Xβ̂ − Z_c b̂_c, (q_core + p + 1,)."""
        effects = self.from_spherical(self.solution[: self.n_spherical, None])[:, 0]
        return np.concatenate([-effects, -self.beta, [1.0]])

    def from_spherical(self, rows: FloatArray) -> FloatArray:
        """Multiply by Λ_c: (s_core, k) to (q_core, k)."""
        return _apply(self.blocks, self.lam, rows, transposed=False)


def _apply(blocks: Blocks, lam: Lam, rows: FloatArray, *, transposed: bool) -> FloatArray:
    parts, start = [], 0
    for factor in blocks.core_factors:
        own = factor.lam(lam)
        own = own.T if transposed else own
        size = factor.n_levels * own.shape[1]
        part = rows[start : start + size].reshape(factor.n_levels, own.shape[1], -1)
        parts.append(np.matmul(own, part).reshape(factor.n_levels * own.shape[0], -1))
        start += size
    return np.concatenate(parts) if parts else np.empty((0, rows.shape[1]))


@dataclass(frozen=True)
class Elimination:
    """What eliminating a factor leaves: see `Factorization`; gram is H'H, (m, m)."""

    chol: FloatArray
    half: FloatArray
    gram: FloatArray
    logdet: float


def factorize(blocks: Blocks, lam: Lam, reuse: Factorization | None = None) -> Factorization:
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
    stage, cell_half, schur = _eliminate_first(blocks, lam, reuse)
    system = _core_system(blocks, lam, schur)
    n, p = len(system) - 1, blocks.n_fixed
    chol = _cholesky(system[:n, :n])
    rhs = solve_lower(chol, system[:n, n])
    residual = float(system[n, n] - rhs @ rhs)
    logs = 2.0 * np.log(np.diagonal(chol))
    return Factorization(
        blocks=blocks,
        lam=lam,
        chol=stage.chol,
        half=stage.half,
        cell_half=cell_half,
        schur=schur,
        chol_core=chol,
        solution=solve_lower(chol, rhs, transposed=True),
        residual_squares=max(residual, blocks.floor),
        is_exact_fit=residual <= blocks.floor,
        logdet_z=stage.logdet + float(logs[: n - p].sum()),
        logdet_x=float(logs[n - p :].sum()),
    )


def zero_lam(blocks: Blocks) -> Lam:
    """Λ = 0 of each term: the model without random effects."""
    return tuple(np.zeros((t.size, t.size)) for _, t in blocks.terms)


def _eliminate_first(
    blocks: Blocks, lam: Lam, reuse: Factorization | None
) -> tuple[Elimination, FloatArray, FloatArray]:
    """Eliminate the first factor; return its stage, its cells and the Schur complement."""
    first = blocks.eliminated
    if first is None:
        nothing = Elimination(np.empty((0,) * 4), np.empty((0,) * 4), np.empty((0, 0)), 0.0)
        return nothing, np.empty((0, 0)), blocks.core
    own = blocks.factors[0].lam(lam)
    stage = eliminate(first, own, reuse)
    n = blocks.n_core
    schur = blocks.core.copy()
    schur[n:, n:] -= stage.gram[np.ix_(first.fixed, first.fixed)]
    cell_half = np.zeros((own.shape[1], len(first.rows)))
    if n and own.any():
        cell_half = _eliminate_cells(first, own, stage.chol)
        halves = [first.with_values(values) for values in cell_half]
        schur[:n, :n] -= sum_of_squares(halves)
        fixed = levels_first(stage.half[:, :, first.fixed], halves[0].shape[0])
        schur[:n, n:] -= sum(h.T @ f for h, f in zip(halves, fixed, strict=True))
        schur[n:, :n] = schur[:n, n:].T
    return stage, cell_half, schur


def eliminate(
    first: Eliminated, lam: FloatArray, reuse: Factorization | None = None
) -> Elimination:
    """Eliminate a factor's effects, slab by slab of levels.

    Costs q·(r·s·m + s²·m + s·m²) multiplications, in vectors over the levels.
    """
    k, r, m, b = first.products.shape
    s = lam.shape[1]
    gram, logdet = np.zeros((m, m)), 0.0
    if not lam.any():  # M = I, H = 0; pages of zeros are not touched
        chol = np.broadcast_to(np.eye(s)[:, :, None], (k, s, s, b))
        return Elimination(chol, np.zeros((k, s, m, b)), gram, logdet)
    half = np.empty((k, s, m, b)) if reuse is None else reuse.half
    chol = np.empty((k, s, s, b))
    if reuse is not None and reuse.chol.flags.writeable:
        chol = reuse.chol
    for own, part, lower in zip(first.products, half, chol, strict=True):
        np.matmul(lam.T, own.reshape(r, m * b), out=part.reshape(s, m * b))
        lower[:] = np.matmul(lam.T, part[:, first.random])
        lower[np.arange(s), np.arange(s)] += 1.0
        cholesky_levels(lower)
        solve_levels(lower, part)
        gram += np.matmul(part, part.transpose(0, 2, 1)).sum(axis=0)
        logdet += 2.0 * float(np.log(lower[np.arange(s), np.arange(s)]).sum())
    return Elimination(chol, half, gram, logdet)


def _eliminate_cells(first: Eliminated, lam: FloatArray, chol: FloatArray) -> FloatArray:
    """Return L⁻¹Λ'Z'Z_c in the order of the cells, (s, n_cells)."""
    half = lam.T @ first.values
    for j in range(len(half)):
        for i in range(j):
            half[j] -= chol[:, j, i].ravel()[first.rows] * half[i]
        half[j] /= chol[:, j, j].ravel()[first.rows]
    return half


def sum_of_squares(halves: list[sp.csr_array]) -> FloatArray:
    """Sum h'h over sparse matrices h, as a dense matrix, by the cheaper product."""
    if prefers_sparse(halves[0]):
        return np.asarray(sum((h.T @ h) for h in halves).toarray())
    out = np.zeros((halves[0].shape[1],) * 2)
    for start, stop in row_ranges(halves[0]):
        for h in halves:
            dense = h[start:stop].toarray()
            out += dense.T @ dense
    return out


def prefers_sparse(matrix: sp.csr_array) -> bool:
    """Whether m'm costs less as a sparse product than as a dense one."""
    per_row = np.diff(matrix.indptr).astype(float)
    rows, columns = matrix.shape
    return SPARSE_COST * float(per_row @ per_row) < rows * float(columns) ** 2


def row_ranges(matrix: sp.csr_array) -> Iterator[tuple[int, int]]:
    """Cut rows so that a part takes 32 MB as a dense matrix."""
    rows, columns = matrix.shape
    step = max(1, 2**22 // columns)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _core_system(blocks: Blocks, lam: Lam, schur: FloatArray) -> FloatArray:
    """Return [Λ_c X y]'S[Λ_c X y], with the identity added to the random effects."""
    if not blocks.n_core:
        return schur
    system = congruent(blocks, lam, schur, transposed=True)
    random = np.arange(len(system) - len(schur) + blocks.n_core)
    system[random, random] += 1.0
    return system


def congruent(blocks: Blocks, lam: Lam, matrix: FloatArray, *, transposed: bool) -> FloatArray:
    """Return TST' for a symmetric matrix, with T = [Λ_c 0; 0 I] or its transpose."""
    lams = [factor.lam(lam) for factor in blocks.core_factors]
    if all(own.shape == (1, 1) for own in lams):
        scale = np.ones(len(matrix))
        for factor, own in zip(blocks.core_factors, lams, strict=True):
            scale[factor.core] = own[0, 0]
        out = matrix * scale
        out *= scale[:, None]
        return out
    shape = [own.shape[0 if transposed else 1] for own in lams]
    n = sum(f.n_levels * k for f, k in zip(blocks.core_factors, shape, strict=True))
    left = np.concatenate([_apply(blocks, lam, matrix[:n], transposed=transposed), matrix[n:]])
    right = np.ascontiguousarray(left.T)
    return np.concatenate([_apply(blocks, lam, right[:n], transposed=transposed), right[n:]])


def levels_first(slabs: FloatArray, n_levels: int) -> FloatArray:
    """Turn (k, s, m, b) slabs to (s, q, m)."""
    k, s, m, b = slabs.shape
    return slabs.transpose(1, 0, 3, 2).reshape(s, k * b, m)[:, :n_levels]


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


def _cholesky(system: FloatArray) -> FloatArray:
    if not len(system):
        return system
    return np.asarray(scipy.linalg.cholesky(system, lower=True, check_finite=False))


def solve_lower(chol: FloatArray, rhs: FloatArray, *, transposed: bool = False) -> FloatArray:
    """Solve with a lower triangular matrix, or with its transpose."""
    if not len(chol):
        return rhs
    return np.asarray(
        scipy.linalg.solve_triangular(
            chol, rhs, lower=True, trans=1 if transposed else 0, check_finite=False
        )
    )
