"""The variance of predictions, and its degrees of freedom.

Of the mean of a row whose levels are all known it is σ²z'TC⁻¹T'z (`row_substitution`);
the effects of a level that is not among the data's, of which nothing is known but
their distribution, add σ²z_k'Σ_kz_k. All here is relative to the σ² of the
`CholeskyFactor`. By conjugate gradients the core has no factor, and z'TC⁻¹T'z is solved for.

Where further rows have changed the effects, the slopes of these variances are others.
With M and K of all rows and Φ = (X'V⁻¹X)⁻¹ of the fit's (`effects_update`), the variance
of a row is σ²[g + a'Φa], g = z'ΛM⁻¹Λ'z and a = x − K'z. `RowSlopes` gives S(z, x), the
derivative of g + a'Φ_all a, where Φ_all is that of all rows, and S_fit with the fit's.
With w = Φ_all⁻¹Φa, held fixed, the derivative is

    S(z, x − a + w) − S(0, w) + S_fit(0, a):

the first has w in the place of a, so that da adds 2w'Φ_all da = 2a'Φ da to dg, and
w'dΦ_all w, which the second takes away; the third is a'dΦ a.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._derivatives.criterion import Factor
from skmixed._derivatives.information import Information
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.conjugate_gradients import IterativeFactor, solve_columns
from skmixed._equations.layout import DesignRows, as_sparse
from skmixed._equations.row_substitution import RowSolver, RowSubstitution, SubstitutedRows
from skmixed._equations.system import System
from skmixed._typing import FloatArray
from skmixed._uncertainty.relative import Units
from skmixed._uncertainty.row_slopes import RowSlopes
from skmixed._uncertainty.small_sample import parameter_covariance, satterthwaite_df

# Degrees of freedom of a mean square of two levels.
LEAST_DF = 1.0
# Rows solved for at a time: their columns of the core are dense.
ROWS = 64


@dataclass(frozen=True)
class NewLevels:
    """Rows whose level of one factor is not among the data's.

    Attributes
    ----------
    rows : (m,) array of int
    values : (m, r) array
        The factor's columns (1, x − center).
    """

    rows: NDArray[np.intp]
    values: FloatArray

    def quadratic(self, matrix: FloatArray) -> FloatArray:
        """z'Mz, (m,), term by term: a row is the same to the bit among others."""
        out = np.zeros(len(self.rows))
        for left, row in zip(self.values.T, matrix, strict=True):
            for right, entry in zip(self.values.T, row, strict=True):
                out += entry * left * right
        return out

    def squares(self, factor: FloatArray) -> FloatArray:
        """z'ΛΛ'z, (m,), which has no cancellation."""
        out = np.zeros(len(self.rows))
        for column in self.times(factor).values.T:
            out += column**2
        return out

    def times(self, matrix: FloatArray) -> "NewLevels":
        """Multiply the values by an (r, s) matrix, term by term."""
        out = np.zeros((len(self.rows), matrix.shape[1]))
        for own, column in zip(out.T, matrix.T, strict=True):
            for value, entry in zip(self.values.T, column, strict=True):
                own += value * entry
        return NewLevels(self.rows, out)


@dataclass(frozen=True)
class PredictedRows:
    """Rows of [Z X], and for each factor of the system those at new levels."""

    design: DesignRows
    new: tuple[NewLevels, ...]

    def in_units(self, units: Units, system: System) -> "PredictedRows":
        """Return them in the units of `relative`, from the layout of the system."""
        bases = (factor.lam(units.bases) for factor in system.factors)
        new = tuple(n.times(base) for n, base in zip(self.new, bases, strict=True))
        return PredictedRows(units.rows(system, self.design), new)


def mean_variance(factorization: CholeskyFactor, rows: PredictedRows) -> FloatArray:
    """Return the variance of the error of each row's predicted mean, (n,)."""
    known = vars(factorization)
    # Laid out for rows once for a factor, as what is computed on demand
    if "_row_solver" not in known:
        known["_row_solver"] = RowSolver.of(factorization)
    solver: RowSolver = known["_row_solver"]
    return with_new_levels(factorization, solver.variance(rows.design).total, rows)


def with_new_levels(factor: Factor, known: FloatArray, rows: PredictedRows) -> FloatArray:
    """Add what levels that are not among the data's bring, to a copy."""
    out = known.copy()
    for layout, new in zip(factor.system.factors, rows.new, strict=True):
        out[new.rows] += new.squares(layout.lam(factor.lam))
    return out


def prediction_df(
    factorization: CholeskyFactor,
    rows: PredictedRows,
    variance: FloatArray,
    info: Information,
    slopes: FloatArray,
) -> FloatArray:
    """Return Satterthwaite's degrees of freedom of each row's whole variance, (n,).

    2φ²/g'Ag as for a fixed effect, where φ is proportional to σ² and all else in g
    comes from `RowSlopes` and from new levels. Not below 1, the least that a mean
    square has: a sum of mean squares has no fewer than its parts (Satterthwaite,
    1946, Biometrics Bulletin 2), only a difference does that is next to nothing. A is
    from the information `info` in the rows of the fit. `slopes` are those of known
    levels, (n, d), which are written over.
    """
    parameters = Parameters.of(factorization.system)
    parts = zip(parameters.by_factor, parameters.places_by_factor, rows.new, strict=True)
    for directions, places, new in parts:
        for i, direction in zip(places, directions, strict=True):
            slopes[new.rows, i] += new.quadratic(direction)
    slopes = np.column_stack([slopes, variance])
    covariance = parameter_covariance(info)
    return np.maximum(LEAST_DF, satterthwaite_df(variance, slopes, covariance))


def updated_slopes(fit: CholeskyFactor, all_rows: CholeskyFactor, rows: DesignRows) -> FloatArray:
    """Return ∂(g + a'Φa)/∂τ, (n, d)."""
    solver = RowSolver.of(all_rows.with_fixed_of(fit))
    # Sparse rows are multiplied one by one: a row is the same among others.
    white = as_sparse(solver.variance(rows).at_fixed)
    a = np.asarray(white @ fit.fixed.root.T)
    w = np.asarray(white @ fit.fixed.half_solve(all_rows.fixed.products))
    of_all = RowSlopes.of(all_rows)
    out = of_all.of_rows(DesignRows(rows.factors, rows.fixed - a + w))
    out -= of_all.of_rows(_fixed_alone(all_rows.system, w))
    of_fit = RowSlopes.of(fit).of_rows(_fixed_alone(fit.system, a))
    return out + of_fit


def _fixed_alone(system: System, fixed: FloatArray) -> DesignRows:
    """Return rows without random effects."""
    sizes = [factor.n_levels * factor.n_columns for factor in system.factors]
    return DesignRows(tuple(sp.csr_array((len(fixed), size)) for size in sizes), fixed)


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
