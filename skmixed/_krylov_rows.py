"""Variances of rows of [Z X] by conjugate gradients, where the core has no factor."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._krylov import solve_columns
from skmixed._krylov_derivatives import FixedSolution
from skmixed._row_variance import DesignRows, StageFactor

FloatArray = NDArray[np.float64]

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
