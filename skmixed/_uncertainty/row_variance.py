"""Variances of rows of [Z X] by conjugate gradients, where the core has no factor.

As by `row_substitution`, but for the core: there z'TC⁻¹T'z is solved for.
"""

import numpy as np

from skmixed._equations.conjugate_gradients import IterativeFactor, solve_columns
from skmixed._equations.layout import DesignRows
from skmixed._equations.row_substitution import RowSubstitution, SubstitutedRows
from skmixed._typing import FloatArray

# Rows solved for at a time: their columns of the core are dense.
ROWS = 64


def solved_variance(
    factor: IterativeFactor, rows: DesignRows, *, tol: float, max_iter: int
) -> FloatArray:
    """Return z'TC⁻¹T'z of each row, (n,), as `RowSolver` does.

    A solve for each row, some at a time; the result is good to the solves'
    tolerance, and to that depends on the rows solved with.
    """
    substitution = RowSubstitution.of(factor)
    starts = range(0, len(rows.fixed), ROWS)
    parts = [rows.part(slice(start, start + ROWS)) for start in starts]
    found = [_solved(factor, substitution.substituted(part), tol, max_iter) for part in parts]
    return np.concatenate([np.empty(0), *found])


def _solved(
    factor: IterativeFactor, rows: SubstitutedRows, tol: float, max_iter: int
) -> FloatArray:
    """Add to ‖w‖² of the stage v'Λ_cM_c⁻¹Λ_c'v of the core, and what not knowing β adds."""
    operator, p = factor.operator, factor.system.n_fixed
    rhs = operator.root.T @ rows.at_core.T.toarray()
    solved = solve_columns(operator, rhs, tol=tol, max_iter=max_iter).columns
    at_fixed = rows.fixed - (operator.to_fixed[:, :p].T @ (operator.root @ solved)).T
    squares = rows.squares + np.einsum("ij,ij->j", rhs, solved)
    return np.asarray(squares + ((at_fixed @ factor.fixed.inverse_root) ** 2).sum(axis=1))
