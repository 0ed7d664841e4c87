"""Slopes of the variances of predictions whose effects further rows have changed.

With M and K of all rows and Φ = (X'V⁻¹X)⁻¹ of the fit's (`_given_fixed`), the variance
of a row is σ²[g + a'Φa], g = z'ΛM⁻¹Λ'z and a = x − K'z. `RowSlopes` gives S(z, x), the
derivative of g + a'Φ_all a, where Φ_all is that of all rows, and S_fit with the fit's.
With w = Φ_all⁻¹Φa, held fixed, the derivative is

    S(z, x − a + w) − S(0, w) + S_fit(0, a):

the first has w in the place of a, so that da adds 2w'Φ_all da = 2a'Φ da to dg, and
w'dΦ_all w, which the second takes away; the third is a'dΦ a.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._blocks import Blocks
from skmixed._factorize import Factorization, solve_lower
from skmixed._given_fixed import with_fixed_of
from skmixed._prediction_variance import places_of_parameters
from skmixed._row_slopes import RowSlopes
from skmixed._row_variance import DesignRows, RowSolver, as_sparse

FloatArray = NDArray[np.float64]


def updated_slopes(fit: Factorization, all_rows: Factorization, rows: DesignRows) -> FloatArray:
    """Return ∂(g + a'Φa)/∂τ, (n, d), in the order of all rows' factors."""
    solver = RowSolver.of(with_fixed_of(fit, all_rows))
    # Sparse rows are multiplied one by one: a row is the same among others.
    white = as_sparse(solver.variance(rows).at_fixed)
    a = np.asarray(white @ fit.chol_x.T)
    w = np.asarray(white @ solve_lower(fit.chol_x, all_rows.chol_x @ all_rows.chol_x.T))
    of_all = RowSlopes.of(all_rows)
    out = of_all.of_rows(DesignRows(rows.factors, rows.fixed - a + w))
    out -= of_all.of_rows(_fixed_alone(all_rows.blocks, w))
    of_fit = RowSlopes.of(fit).of_rows(_fixed_alone(fit.blocks, a))
    return out + of_fit[:, places_of_parameters(all_rows.blocks, fit.blocks)[:-1]]


def _fixed_alone(blocks: Blocks, fixed: FloatArray) -> DesignRows:
    """Return rows without random effects."""
    sizes = [factor.n_levels * factor.n_columns for factor in blocks.factors]
    return DesignRows(tuple(sp.csr_array((len(fixed), size)) for size in sizes), fixed)
