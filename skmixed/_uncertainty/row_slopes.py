"""Derivatives of the variances of rows by the variance parameters.

For a row z of [Z X], c = TC⁻¹T'z solves the mixed-model equations with right-hand
side z, and z'c is the variance of its prediction error over σ². The weights of a
best linear unbiased prediction are optimal, so that a change of Σ counts at fixed
weights only (the envelope theorem):

    ∂(z'c)/∂τ_i = Σ_j t_j'D_i t_j,    t = z_b − (Kc)_b,    K = [Z X]'W[Z X]

over the levels j of the factor of D_i. No Σ is inverted. Along the chain, with the
matrices of `tangents` and v what a row has at a stage, the levels where v = 0
are summed up by the tangent of D_i:

    t = B'v − Cc_rest where v ≠ 0; elsewhere −Cc_rest, of which the sum over levels is −c'Dc
    c = Tv − Jc_rest,  of an earlier direction  c'Dc = (Tv)'D(Tv) + 2(Tv)'Yc_rest + c_rest'Dc_rest

with the tangents of the rest on the right. What is left is a quadratic form of
what a row has at the core and X, one matrix for each direction.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.layout import DesignRows
from skmixed._equations.row_substitution import (
    BackSubstitution,
    LaterSolution,
    RowSolver,
    TouchedLevels,
    row_parts,
)
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.tangents import SchurTangent, StageRows, StageTangent
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class RowSlopes:
    """What the derivatives of rows need, at one Λ.

    Attributes
    ----------
    solver : RowSolver
    chain : tuple of _StageSlopes
    inverse : CoreInverse
        G of the core and X.
    quadratics : list of (q_core + p,) * 2 arrays
        One for each direction, in the order of the factors.
    order : (d,) array of int
        Places of these of the parameters, which are in the model's order.
    """

    solver: RowSolver
    chain: "tuple[_StageSlopes, ...]"
    inverse: CoreInverse
    quadratics: list[FloatArray]
    order: IntArray

    @staticmethod
    def of(factorization: CholeskyFactor) -> "RowSlopes":
        """Costs a factorization for each direction, and holds a core for each."""
        parameters = Parameters.of(factorization.system)
        directions = parameters.by_factor
        chain: list[_StageSlopes] = []
        tangents: list[SchurTangent] = []
        # Each stage's A, B, C, T, and the tangents of the directions before it
        for k in range(factorization.n_stages):
            sums = StageTangent.of(factorization, k)
            chain.append(_StageSlopes(sums, directions[k], sums.met_by(tangents)))
            tangents = sums.beyond(tangents, directions[k])
        inverse = CoreInverse.of(factorization, has_fixed=True)
        # −GDG of what the tangents come to, Σ_j (I − SG)_j'D_i(I − SG)_j of the core's own
        g = inverse.whole
        quadratics = [-g @ tangent.at_core @ g for tangent in tangents]
        quadratics += inverse.quadratics(directions)
        solver, order = RowSolver.of(factorization), parameters.from_factors
        return RowSlopes(solver, tuple(chain), inverse, quadratics, order)

    @property
    def n_numbers(self) -> int:
        """Numbers of the matrices over the core and X."""
        return (1 + len(self.quadratics)) * self.inverse.whole.size

    def of_rows(self, rows: DesignRows) -> FloatArray:
        """Return ∂(z'TC⁻¹T'z)/∂τ, (n, d), part by part of the rows.

        Costs per row the number of its entries times the order of the core and X,
        for each direction; per level that occurs, the same times its cells.
        """
        out = np.empty((len(rows.fixed), len(self.quadratics)))
        for part in row_parts(rows, self.solver.factorization.system, len(self.inverse.whole)):
            out[part] = self._of_part(rows.part(part))
        return out[:, self.order]

    def _of_part(self, rows: DesignRows) -> FloatArray:
        """Σ_j t_j'D_i t_j: by the quadratic forms, then what the touched levels add."""
        found = self.solver.substitution.substituted(rows)
        out = np.empty((len(rows.fixed), len(self.quadratics)))
        for i, matrix in enumerate(self.quadratics):
            out[:, i] = found.quadratic(matrix)
        touched = self.solver.substitution.touched(found)
        back = BackSubstitution(self.solver.factorization, found.times(self.inverse.whole))
        for k in reversed(range(len(self.chain))):
            later = back.later(touched[k])
            self.chain[k].add_slopes(out, touched[k], later)
            back.solve(k, later)
        return out


@dataclass(frozen=True)
class _StageSlopes:
    """One stage: its matrices, its own directions, and D and Y of those before."""

    sums: StageTangent
    directions: FloatArray
    earlier: list[tuple[FloatArray, StageRows]]

    def add_slopes(self, out: FloatArray, here: TouchedLevels, later: LaterSolution) -> None:
        """Add to (n, d) slopes what the touched levels do.

        With c_r the solution at what is later: of own directions t'Et − (Cc_r)'E(Cc_r), t =
        B'v − Cc_r; of earlier ones −(Tv)'D(Tv) − 2(Tv)'Yc_r.
        """
        sums, n = self.sums, len(self.earlier)
        selected = here.by_row(len(out))
        elsewhere = sums.c.at(later)
        t = here.times(sums.b.transpose(1, 0, 2), here.values) - elsewhere
        # t'Et − (Cc_r)'E(Cc_r)
        for i, direction in enumerate(self.directions):
            own = _bilinear(direction[:, :, None], t) - _bilinear(direction[:, :, None], elsewhere)
            out[:, n + i] += selected @ own
        # (Tv)'D(Tv) + 2(Tv)'Yc_r
        effect = here.times(sums.t, here.values)
        for i, (tangent, rows) in enumerate(self.earlier):
            both = _bilinear(tangent[:, :, here.level], effect)
            for own, other in zip(effect, rows.at(later), strict=True):
                both += 2.0 * own * other
            out[:, i] -= selected @ both


def _bilinear(matrix: FloatArray, values: FloatArray) -> FloatArray:
    """Return v'Mv for (r, m) values and (r, r, m) matrices, (m,)."""
    out = np.zeros(values.shape[1])
    for left, row in zip(values, matrix, strict=True):
        for right, own in zip(values, row, strict=True):
            out += own * left * right
    return out
