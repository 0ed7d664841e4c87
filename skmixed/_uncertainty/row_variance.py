"""Variances of rows of [Z X], for predictions and leverages.

With C the mixed-model matrix of [ZΛ X] and T = blockdiag(Λ, I), σ²TC⁻¹T' is the
joint covariance of (b̂ − b, β̂) (Henderson, 1975, Biometrics 31; Bates et al., 2015, J.
Stat. Softw. 67(1), equation 53; docs/mathematics.md, "The variance of predictions"). A
row z of [Z X], which need not occur in the data, has

    z'TC⁻¹T'z = ‖R⁻¹T'z‖²,    C = RR',

a forward substitution with the factor of `Factorization`, stage by stage: of a
row's entries v at a stage, w = L⁻¹Λ'v is left, and H'w is taken from its entries
at the later columns. Nothing is inverted per row, a singular Λ is no exception,
and a sum of squares has no cancellation. Rows meet sparse factors only, so that a
row's variance is the same to the bit whatever the other rows are.

Variances of rows of [Z X] by conjugate gradients, where the core has no factor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._derivatives.probing import FixedSolution
from skmixed._equations.cholesky import Factorization, solve_lower
from skmixed._equations.krylov import solve_columns
from skmixed._equations.level_algebra import levels_first
from skmixed._equations.selected_inverse import whitening_root
from skmixed._equations.system import Blocks
from skmixed._typing import FloatArray

# Numbers of a dense array over a part of the rows, 32 MB.
PART_NUMBERS = 2**22


@dataclass(frozen=True)
class DesignRows:
    """Rows of [Z X] in the coordinates of `Blocks`.

    Attributes
    ----------
    factors : tuple of sparse (n, q·r) arrays
        In the order of the blocks; level by level the factor's columns, (1, x −
        center). A row without entries has no effect of the factor.
    fixed : (n, p) array
        The kept columns of X, centered.
    """

    factors: tuple[sp.csr_array, ...]
    fixed: FloatArray

    def part(self, rows: NDArray[np.intp] | slice) -> "DesignRows":
        return DesignRows(tuple(f[rows] for f in self.factors), self.fixed[rows])


def factor_rows(codes: NDArray[np.intp], values: FloatArray, n_levels: int) -> sp.csr_array:
    """Lay (n, r) values at the levels of the rows, none where the code is −1: (n, q·r)."""
    (n, r), known = values.shape, codes >= 0
    if not known.all():
        codes, values = codes[known], values[known]
    index: Any = np.int32 if max(n, n_levels) * r < 2**31 else np.int64
    columns = codes.astype(index)[:, None] * r + np.arange(r, dtype=index)
    starts = np.concatenate([[0], np.cumsum(known * r)]).astype(index)
    return sp.csr_array((values.ravel(), columns.ravel(), starts), shape=(n, n_levels * r))


@dataclass(frozen=True)
class RowVariance:
    """Variances of rows, relative to the σ² of the `Factorization`.

    Attributes
    ----------
    given_fixed : (n,) array
        z_b'ΛM⁻¹Λ'z_b: that of the random part, were β known.
    at_fixed : (n, p) array
        a = R_x⁻¹(x − X'V⁻¹ZΛΛ'z_b), where R_xR_x' = X'V⁻¹X. Its square is what not
        knowing β adds. For row i of the data X'V⁻¹e_i = w_i R_x a.
    """

    given_fixed: FloatArray
    at_fixed: FloatArray

    @property
    def total(self) -> FloatArray:
        """z'TC⁻¹T'z, (n,)."""
        return self.given_fixed + _squares(self.at_fixed)


@dataclass(frozen=True)
class StageFactor:
    """The factor's columns of one stage.

    root : sparse (q·r, q·s), ΛL⁻ᵀ; chain, core : sparse (q·s, …), H at the later
    stages and at the core; fixed : (q·s, p), H_X R_x⁻ᵀ.
    """

    root: sp.csr_array
    chain: sp.csr_array
    core: sp.csr_array
    fixed: FloatArray

    @staticmethod
    def of(factorization: Factorization, k: int, of_fixed: FloatArray) -> "StageFactor":
        blocks, done = factorization.blocks, factorization.stages[k]
        stage, q = blocks.stages[k], blocks.factors[k].n_levels
        root = whitening_root(done, blocks.factors[k].lam(factorization.lam))[:, :, :q]
        s, r, _ = root.shape
        parts = (np.ascontiguousarray(root.transpose(2, 1, 0)), np.arange(q), np.arange(q + 1))
        rows = stage.rows * s + np.arange(s)[:, None]
        cells = sp.coo_array(
            (done.cell_half.ravel(), (rows.ravel(), np.tile(stage.cells.indices, s))),
            shape=(q * s, stage.cells.shape[1]),
        ).tocsr()
        half = levels_first(done.half[:, :, stage.fixed[:-1]], q)
        return StageFactor(
            root=sp.bsr_array(parts, shape=(q * r, q * s)).tocsr(),
            chain=cells[:, : blocks.n_chain],
            core=cells[:, blocks.n_chain :],
            fixed=half.transpose(1, 0, 2).reshape(q * s, -1) @ of_fixed,
        )

    def taken(self, white: sp.csr_array, core: FloatArray) -> FloatArray:
        """Return H'w times the inverse factor of core and X, (n, s_core + p)."""
        n = self.core.shape[1]
        if not n:
            return np.asarray(white @ self.fixed)
        # The product over all columns would be as large as levels × core.
        used, at = np.unique(white.indices, return_inverse=True)
        product = self.core[used] @ core[:n]
        product[:, core.shape[1] - self.fixed.shape[1] :] += self.fixed[used]
        parts = (white.data, at, white.indptr)
        return np.asarray(sp.csr_array(parts, shape=(white.shape[0], len(used))) @ product)


@dataclass(frozen=True)
class RowSolver:
    """The factor at one Λ, laid out for rows.

    Attributes
    ----------
    blocks : Blocks
    stages : tuple of StageFactor or None
        None where Λ = 0.
    core : (q_core + p, s_core + p) array
        TR⁻ᵀ of the core and X.
    """

    blocks: Blocks
    stages: tuple[StageFactor | None, ...]
    core: FloatArray

    @staticmethod
    def of(factorization: Factorization) -> "RowSolver":
        """Costs a third of the core's order cubed, and the size of the factor."""
        chol, s = factorization.chol_core, factorization.n_spherical
        upper = solve_lower(chol, np.eye(len(chol))).T
        core = np.concatenate([factorization.from_spherical(upper[:s]), upper[s:]])
        return RowSolver(
            blocks=factorization.blocks,
            stages=tuple(
                None if done.is_zero else StageFactor.of(factorization, k, upper[s:, s:])
                for k, done in enumerate(factorization.stages)
            ),
            core=np.ascontiguousarray(core),
        )

    def variance(self, rows: DesignRows) -> RowVariance:
        """Return the variances, part by part of the rows.

        A part holds a dense array of 32 MB. Costs per row the order of the core
        and X times the number of entries; per level that occurs, the same times
        its cells.
        """
        n, p = rows.fixed.shape
        given, at_fixed = np.empty(n), np.empty((n, p))
        s = self.core.shape[1] - p
        for part in row_parts(rows, self.blocks, self.core.shape[1]):
            chain_squares, dense = self._whiten(rows.part(part))
            given[part] = chain_squares + _squares(dense[:, :s])
            at_fixed[part] = dense[:, s:]
        return RowVariance(given, at_fixed)

    def _whiten(self, rows: DesignRows) -> tuple[FloatArray, FloatArray]:
        """Return ‖w‖² over the stages, (n,), and w of the core and X, (n, s_core + p)."""
        n_stages, n = len(self.stages), len(rows.fixed)
        squares = np.zeros(n)
        dense = joined([*rows.factors[n_stages:], as_sparse(rows.fixed)]) @ self.core
        left = joined([*rows.factors[1:n_stages], sp.csr_array((n, 0))])
        for k, stage in enumerate(self.stages):
            if stage is None:
                continue
            own = left[:, self.blocks.factors[k].outer] if k else rows.factors[0]
            white = own @ stage.root
            squares += _with_data(white, np.square(white.data)) @ np.ones(white.shape[1])
            if k + 1 < n_stages:
                left = left - white @ stage.chain
            dense -= stage.taken(white, self.core)
        return squares, np.asarray(dense)


def row_parts(rows: DesignRows, blocks: Blocks, width: int) -> Iterator[NDArray[np.intp] | slice]:
    """Cut the rows, those of one level next to each other where that saves work.

    A dense array over a part has `width` columns.
    """
    n, n_stages, step = len(rows.fixed), len(blocks.stages), max(1, PART_NUMBERS // max(width, 16))
    order = None
    if blocks.n_core and n_stages and n > step:
        order = np.lexsort([_first_columns(f) for f in rows.factors[:n_stages]])
    for start in range(0, n, step):
        part = slice(start, start + step)
        yield part if order is None else order[part]


def _squares(rows: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))


def joined(parts: list[sp.csr_array]) -> sp.csr_array:
    return parts[0] if len(parts) == 1 else sp.csr_array(sp.hstack(parts, format="csr"))


def as_sparse(dense: FloatArray) -> sp.csr_array:
    """Keep all entries, so that rows are multiplied one by one."""
    n, p = dense.shape
    index: Any = np.int32 if n * max(p, 1) < 2**31 else np.int64
    columns, starts = np.tile(np.arange(p, dtype=index), n), np.arange(n + 1, dtype=index) * p
    return sp.csr_array((dense.ravel(), columns, starts), shape=(n, p))


def _with_data(matrix: sp.csr_array, data: FloatArray) -> sp.csr_array:
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _first_columns(matrix: sp.csr_array) -> NDArray[np.intp]:
    """First column of each row, −1 where it is empty."""
    starts = matrix.indptr[:-1]
    columns = np.append(matrix.indices, -1)[starts]
    return np.where(np.diff(matrix.indptr) > 0, columns, -1)


# Rows solved for at a time: their columns of the core are dense.
ROWS = 64


def solved_variance(
    fixed: FixedSolution, rows: DesignRows, *, tol: float, max_iter: int
) -> FloatArray:
    """Return z'TC⁻¹T'z of each row, (n,), as `RowSolver` does.

    A solve for each row, some at a time; the result is good to the solves'
    tolerance, and to that depends on the rows solved with.
    """
    starts = range(0, len(rows.fixed), ROWS)
    parts = [rows.part(slice(start, start + ROWS)) for start in starts]
    found = [_part(fixed, part, tol, max_iter) for part in parts]
    return np.concatenate([np.empty(0), *found])


def _part(fixed: FixedSolution, rows: DesignRows, tol: float, max_iter: int) -> FloatArray:
    system, p = fixed.system, fixed.system.blocks.n_fixed
    core = sp.csr_array(sp.hstack(rows.factors[1:], format="csr"))
    left, squares = rows.fixed, np.zeros(len(rows.fixed))
    if not system.done.is_zero:
        stage = StageFactor.of(fixed.core, 0, np.eye(p))
        white = rows.factors[0] @ stage.root
        squares += np.asarray(white.multiply(white).sum(axis=1)).ravel()
        core = core - white @ stage.core
        left = left - white @ stage.fixed
    rhs = system.root.T @ core.T.toarray()
    solved = solve_columns(system, rhs, tol=tol, max_iter=max_iter).columns
    squares += np.einsum("ij,ij->j", rhs, solved)
    left = left - (system.to_fixed[:, :p].T @ (system.root @ solved)).T
    return squares + ((left @ fixed.root_of_fixed) ** 2).sum(axis=1)
