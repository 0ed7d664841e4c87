"""The products of Z and X themselves, without penalty: sums of them, times columns, a factor.

The factor R, R'R = [Z X]'W[Z X], is laid out as that of a fit, stage by stage and a dense
core. The matrix is singular (each factor's ones add up to the same column): pivots of zero
are passed over. Z here is that of the system: with the ones of each factor, also where no
term has them.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import scipy.linalg.lapack
from numpy.typing import NDArray

from skmixed._equations.changes import with_response
from skmixed._equations.cholesky import CholeskyFactor, eliminate_chain
from skmixed._equations.elimination import FactorRows
from skmixed._equations.layout import Cells
from skmixed._equations.linear_algebra import in_slabs, levels_last, to_slabs
from skmixed._equations.system import Stage, System
from skmixed._typing import FloatArray, IntArray

# Share of its own products that is left of a column where nothing is.
PIVOT_SHARE = 1e-12
# Numbers of all systems without a part up to which these are kept, 200 MB.
MOST_KEPT = 25_000_000


def products_of_both(a: System, b: System) -> System:
    """Return the system of the rows of two systems of one layout."""
    stages = tuple(
        replace(own, products=own.products + other.products, values=own.values + other.values)
        for own, other in zip(a.stages, b.stages, strict=True)
    )
    return replace(a, core=a.core + b.core, stages=stages)


def products_times(system: System, columns: FloatArray) -> FloatArray:
    """Return Z'WZ times columns, (n_random, m), of a system without columns of X.

    The random effects are numbered factor by factor, those of a level together.
    """
    out, m = np.zeros(columns.shape), columns.shape[1]
    n = len(columns) - (system.factors[-1].outer.stop if system.factors else 0)
    outer, to_outer = columns[n:], out[n:]
    # Of each stage a level with itself, and with its cells, both ways
    for k, (stage, f) in enumerate(zip(system.stages, system.factors, strict=False)):
        place = slice(n) if k == 0 else slice(n + f.outer.start, n + f.outer.stop)
        here = columns[place].reshape(f.n_levels, f.n_columns, m)
        own = levels_last(stage.products, f.n_levels)[:, stage.random]
        found = np.einsum("abq,qbm->qam", own, here)
        for a, values in enumerate(stage.values if len(stage.cells) else ()):
            matrix = stage.cells.with_values(values)
            found[:, a] += matrix @ outer
            to_outer += matrix.T @ here[:, a]
        out[place] += found.reshape(-1, m)
    at = slice(system.n_chain, None)
    to_outer[at] += system.core[: system.n_core, : system.n_core] @ outer[at]
    return out


@dataclass(frozen=True)
class LevelParts:
    """A system of one factor that is eliminated, its levels in parts, one behind the other.

    Attributes
    ----------
    system : System
    products : (r, m, q) array
        Those of the stage, in the order of the parts.
    starts : (F + 1,) array of int
        Where each part starts, and the last one ends.
    known : dict of int to System
        Those without a part, once they were asked for, if all of them are small.
    """

    system: System
    products: FloatArray
    starts: IntArray
    known: dict[int, System] = field(default_factory=dict)

    @staticmethod
    def of(system: System, order: IntArray, starts: IntArray) -> "LevelParts":
        """Put the levels in an order."""
        products = levels_last(system.stages[0].products, system.factors[0].n_levels)
        return LevelParts(system, np.take(products, order, axis=2), starts)

    def without(self, number: int, fixed: FloatArray, n_rows: int) -> System:
        """Return the system of the rows of all other parts, with their [X y]'W[X y]."""
        if number in self.known:
            return self.known[number]
        found = self._without(number, fixed, n_rows)
        if len(self.starts) * self.products.size <= MOST_KEPT:
            self.known[number] = found
        return found

    def _without(self, number: int, fixed: FloatArray, n_rows: int) -> System:
        first, stop = int(self.starts[number]), int(self.starts[number + 1])
        # S_j and B_j of the levels before and behind the part, in slabs of their own
        products = [self.products[:, :, :first], self.products[:, :, stop:]]
        (stage,), (factor,) = self.system.stages, self.system.factors
        q = self.products.shape[2] - (stop - first)
        b = min(stage.products.shape[3], q)
        cells = Cells.none(q, stage.cells.width)
        slabs = to_slabs(np.concatenate(products, axis=2), -(-q // b), b)
        factors = (replace(factor, n_levels=q),)
        return replace(
            self.system,
            core=fixed,
            layout=replace(self.system.layout, factors=factors, cells=(cells,)),
            stages=(replace(stage, products=slabs, cells=cells, values=stage.values),),
            n_rows=n_rows,
        )


@dataclass(frozen=True)
class PartSlopes:
    """Sums over the levels of parts, of which derivatives in the entries of Σ are made.

    Attributes
    ----------
    trace, outer : (F, r²) arrays
        Σ_j Z'PZ and Σ_j ρ_jρ_j', ρ = Z'V⁻¹(y − Xβ̂).
    taken : (F,) array
        What Σ takes off the residual sum of squares of the rows of each part.
    """

    trace: FloatArray
    outer: FloatArray
    taken: FloatArray

    @staticmethod
    def of(
        at: CholeskyFactor, parts: LevelParts, order: IntArray, *, has_fixed: bool
    ) -> "PartSlopes":
        """Sum up over each part what its levels have at one Λ, of all rows.

        `has_fixed`: as of `CoreInverse`.
        """
        ((done,), size), fixed = (at.stages, at.system.factors[0].n_columns ** 2), at.fixed
        v = np.zeros(done.products.shape[2])
        v[done.stage.fixed] = np.append(-at.beta, 1.0)
        rows = []
        for left, white in zip(done.gls_slabs(), done.half, strict=True):
            # Z'PZ = Z'V⁻¹Z − H'H with H = R_x⁻¹X'V⁻¹Z, ρρ', and |L⁻¹Λ'Z'(y − Xβ̂)|²
            trace, rho = left[:, done.stage.random], np.matmul(v, left)
            if has_fixed:
                half = np.matmul(fixed.inverse_root.T, left[:, done.stage.fixed[:-1]])
                trace = trace - np.einsum("axb,cxb->acb", half, half)
            outer, taken = rho[:, None] * rho, np.square(np.matmul(v, white)).sum(axis=0)
            flat = trace.reshape(size, -1), outer.reshape(size, -1), taken[None]
            rows.append(np.concatenate(flat))
        by_level = np.concatenate(rows, axis=1)[:, order]
        sums = np.add.reduceat(by_level, parts.starts[:-1], axis=1).T
        return PartSlopes(sums[:, :size], sums[:, size:-1], sums[:, -1])


@dataclass(frozen=True)
class SemidefiniteRows(FactorRows):
    """Rows of R where R'R are the products of a stage's columns themselves, without penalty.

    The rows have entries at the stage's own columns too, (r, r) per level.
    """

    @property
    def is_pivot(self) -> NDArray[np.bool_]:
        """Which rows are not zero, (k, r, b)."""
        return np.asarray(self.half[:, :, self.stage.random].any(axis=2))

    def times(self, own: FloatArray, outer: FloatArray, beta: FloatArray) -> FloatArray:
        """Multiply by (b; β), of which the stage's own effects are (r, q): (k, r, b)."""
        k, _, _, b = self.half.shape
        here = in_slabs(own, k, b)
        of_own = np.einsum("ksrb,krb->ksb", self.half[:, :, self.stage.random], here)
        return self.less_later(of_own, -outer, -beta)

    def transposed(self, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray | float]:
        """Multiply R' and (k, r, b): at the own columns, (k, r, b), at X, (p,), and the outer."""
        products = np.einsum("krmb,krb->kmb", self.half, v)
        q = self.stage.n_levels
        flat = v.transpose(1, 0, 2).reshape(v.shape[1], -1)[:, :q]
        at_outer = sum((m.T @ row for m, row in zip(self.at_outer, flat, strict=False)), 0.0)
        fixed = products[:, self.stage.fixed[:-1]].sum(axis=(0, 2))
        return products[:, self.stage.random], fixed, at_outer


@dataclass(frozen=True)
class Root:
    """R, by blocks.

    Vectors of its rows, here v, are lists: (k, r, b) for each stage, and the core.

    Attributes
    ----------
    system : System
    stages : tuple of SemidefiniteRows
    core : (r_core, q_core + p) array
        The rows of the core, those of its rank.
    """

    system: System
    stages: tuple[SemidefiniteRows, ...]
    core: FloatArray

    @staticmethod
    def of(system: System) -> "Root":
        """Factor the products of Z and X; costs about as much as a factorization at one Λ."""

        def one(k: int, products: FloatArray, values: FloatArray) -> SemidefiniteRows:
            return eliminate_semidefinite(system.stages[k], products, values)

        stages, schur = eliminate_chain(system, one)
        core = semidefinite_root(schur[:-1, :-1], np.diagonal(system.core)[:-1])
        return Root(system, stages, core)

    @property
    def rank(self) -> int:
        """Rank of [Z X]."""
        return len(self.core) + sum(int(np.count_nonzero(s.is_pivot)) for s in self.stages)

    def noise(self, rng: np.random.Generator) -> list[FloatArray]:
        """Draw independent standard normals for the rows of R, 0 for those of zeros."""
        stages = [rng.standard_normal(s.is_pivot.shape) * s.is_pivot for s in self.stages]
        return [*stages, rng.standard_normal(len(self.core))]

    def times(self, effects: list[FloatArray], beta: FloatArray) -> list[FloatArray]:
        """Return R(b; β), with the effects (r, q) of each factor."""
        outer = np.concatenate([np.empty(0), *(b.T.ravel() for b in effects[1:])])
        own = zip(self.stages, effects, strict=False)
        rows = [stage.times(b, outer, beta) for stage, b in own]
        return [*rows, self.core @ np.concatenate([outer[self.system.n_chain :], beta])]

    def transposed(self, v: list[FloatArray]) -> tuple[list[FloatArray], FloatArray]:
        """Return R'v: Z'Wy of each stage, (k, r, b), and [Z_c X]'Wy of the core."""
        system, at_stages = self.system, []
        outer = np.zeros(system.factors[-1].outer.stop if system.factors else 0)
        of_core = self.core.T @ v[-1]
        for i, stage in enumerate(self.stages):
            here, fixed, to_outer = stage.transposed(v[i])
            if i:  # what the rows of the stages before have there
                r, place = here.shape[1], system.factors[i].outer
                here = here + in_slabs(outer[place].reshape(-1, r).T, *here.shape[::2])
            at_stages.append(here)
            of_core[system.n_core :] += fixed
            outer += to_outer
        of_core[: system.n_core] += outer[system.n_chain :]
        return at_stages, of_core

    def residual(self, v: list[FloatArray]) -> System:
        """Return the system of y − Zb − Xβ, for v = R(b; β); y'Wy is left as it is."""
        system, (at_stages, of_core) = self.system, self.transposed(v)
        parts = zip(system.stages, at_stages, strict=True)
        rest = [stage.products[:, :, stage.fixed[-1]] - own for stage, own in parts]
        squares = float(system.core[-1, -1])
        return with_response(system, rest, system.core[:-1, -1] - of_core, squares)


def eliminate_semidefinite(
    stage: Stage, products: FloatArray, values: FloatArray
) -> SemidefiniteRows:
    """Eliminate a factor's columns as they are, row by row of R, all levels at once.

    The pivot of a level is its column with the largest share of its own products
    left, as in LAPACK's dpstrf: without that order, a pivot that should be zero
    has the rounding of all small ones before it. From a share of `PIVOT_SHARE`
    on nothing is left.
    """
    r, random, rows = len(stage.random), stage.random, stage.cells.rows
    squares = _diagonal(stage.products, random)
    left, cells = products.copy(), values.copy()
    half, cell_half = np.zeros_like(products), np.zeros_like(values)
    for j in range(r):
        # The pivot of each level, and 1 / √pivot or 0.
        share = _diagonal(left, random) / np.where(squares > 0, squares, 1.0)
        best = share.argmax(axis=1)[:, None]
        is_pivot = np.take_along_axis(share, best, axis=1) > PIVOT_SHARE
        pivot = np.take_along_axis(_diagonal(left, random), best, axis=1)
        scale = np.where(is_pivot, 1.0 / np.sqrt(np.where(is_pivot, pivot, 1.0)), 0.0)
        # Row j of R, and what it leaves: S − R_j'R_j.
        row = np.take_along_axis(left, best[:, :, None], axis=1)[:, 0]
        half[:, j] = row * scale
        own = half[:, j, random]
        left -= own[:, :, None] * half[:, j, None]
        cell_half[j] = cells[best.ravel()[rows], np.arange(len(rows))] * scale.ravel()[rows]
        cells -= own.transpose(1, 0, 2).reshape(r, -1)[:, rows] * cell_half[j]
    gram = np.matmul(half, half.transpose(0, 1, 3, 2)).sum(axis=(0, 1))
    return SemidefiniteRows(stage, half, cell_half, gram)


def _diagonal(products: FloatArray, random: NDArray[np.intp]) -> FloatArray:
    """Products of a factor's columns with themselves, (k, r, b)."""
    return products[:, np.arange(len(random)), random]


def semidefinite_root(matrix: FloatArray, squares: FloatArray) -> FloatArray:
    """Return R, (rank, n), with R'R the semidefinite matrix.

    Pivots count as in `eliminate_semidefinite`: as shares of `squares`, (n,).
    """
    n = len(matrix)
    lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
    scaled = matrix / lengths
    scaled /= lengths[:, None]
    # LAPACK compares all pivots to the tolerance but the first.
    if not n or np.diagonal(scaled).max() <= PIVOT_SHARE:
        return np.empty((0, n))
    factor, order, rank, _ = scipy.linalg.lapack.dpstrf(scaled.T, tol=PIVOT_SHARE, overwrite_a=True)
    out = np.empty((rank, n))
    out[:, order - 1] = np.triu(factor[:rank])
    return out * lengths
