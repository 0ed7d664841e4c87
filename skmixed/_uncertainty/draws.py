"""Draws of the statistics of a response from the model itself, without rows.

All that a fit reads of y are its products with Z, X and itself. Let R have the r
rows of the rank of [Z X], and R'R = [Z X]'W[Z X]. Then W^½[Z X] = QR with orthonormal
columns Q, and for y = [Z X]m + ε with m = (b; β) and ε ~ N(0, σ²W⁻¹),

    [Z X]'Wy = R'v,    y'Wy = v'v + σ²χ²,    v = Q'W^½y = Rm + σξ,

ξ ~ N(0, I_r), beside an independent χ² with n − r degrees of freedom: the part of
W^½ε outside of the span of Q. R is laid out as the factor of a fit, stage by stage
and a dense core, but without penalty. That matrix is singular (each factor's ones
add up to the same column): pivots of zero are passed over. Z here is that of the
blocks: with the ones of each factor, also where no term has them.

Draws of the fixed and random effects given the data, and given Λ and σ.

With a flat prior of β, (b, β) given y is normal around (b̂, β̂) with covariance
σ²TC⁻¹T', T = blockdiag(Λ, I) (Henderson, 1975, Biometrics 31; `row_variance`). With
C = RR' and ξ ~ N(0, I), σTR⁻ᵀξ is a draw of the deviation: a back-substitution along
the chain, as for b̂ itself.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg.lapack
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._equations.cholesky import Factorization, FactorRows, eliminate_chain, solve_lower
from skmixed._equations.layout import FactorLayout, Stage
from skmixed._equations.level_algebra import to_slabs
from skmixed._equations.random_effects import back_substituted
from skmixed._equations.system import Blocks
from skmixed._estimation.solution import centered_to_user, user_effects
from skmixed._model.terms import Model
from skmixed._statistics.rank import residual_floor
from skmixed._typing import FloatArray, Lam

# Share of its own products that is left of a column where nothing is, in semidefinite
# factorizations of products.
PIVOT_SHARE = 1e-12


@dataclass(frozen=True)
class StageRoot:
    """The rows of R of one stage, (r, q) of them.

    Attributes
    ----------
    half : (k, r, m, b) array
        Their entries at the columns of the stage's products; those at y unused.
    cells : tuple of sparse (q, n_outer) arrays
        Their entries at the outer columns, for each of the r; none without cells.
    is_pivot : (k, r, b) array of bool
        Which rows are not zero.
    """

    half: FloatArray
    cells: tuple[sp.csr_array, ...]
    is_pivot: NDArray[np.bool_]

    @staticmethod
    def of(stage: Stage, part: FactorRows) -> "StageRoot":
        return StageRoot(
            half=part.half,
            cells=tuple(stage.with_values(v) for v in part.cell_half) if len(stage.rows) else (),
            is_pivot=np.asarray(part.half[:, :, stage.random].any(axis=2)),
        )

    def times(
        self, stage: Stage, own: FloatArray, outer: FloatArray, beta: FloatArray
    ) -> FloatArray:
        """Multiply by (b; β), of which the stage's own effects are (r, q): (k, r, b)."""
        k, _, m, b = self.half.shape
        weights = np.zeros((k, m, b))
        weights[:, stage.random] += in_slabs(own, k, b)
        weights[:, stage.fixed[:-1]] += beta[:, None]
        out = np.einsum("krmb,kmb->krb", self.half, weights)
        if self.cells:
            out += in_slabs(np.stack([cells @ outer for cells in self.cells]), k, b)
        return out

    def transposed(self, v: FloatArray) -> tuple[FloatArray, FloatArray | float]:
        """Multiply R' and (k, r, b): at the products' columns, (k, m, b), and the outer ones."""
        flat = v.transpose(1, 0, 2).reshape(v.shape[1], -1)
        parts = (
            cells.T @ row[: cells.shape[0]] for cells, row in zip(self.cells, flat, strict=False)
        )
        return np.einsum("krmb,krb->kmb", self.half, v), sum(parts, 0.0)


def in_slabs(levels_last: FloatArray, k: int, b: int) -> FloatArray:
    """Turn (r, q) to slabs (k, r, b), filled up with zeros."""
    return to_slabs(levels_last[:, None], k, b)[:, :, 0]


@dataclass(frozen=True)
class Root:
    """R, by blocks.

    Vectors of its rows, here v, are lists: (k, r, b) for each stage, and the core.

    Attributes
    ----------
    blocks : Blocks
    stages : tuple of StageRoot
    core : (r_core, q_core + p) array
        The rows of the core, those of its rank.
    """

    blocks: Blocks
    stages: tuple[StageRoot, ...]
    core: FloatArray

    @staticmethod
    def of(blocks: Blocks) -> "Root":
        """Factor the products of Z and X; costs about as much as a factorization at one Λ."""

        def one(k: int, products: FloatArray, values: FloatArray) -> FactorRows:
            return eliminate_semidefinite(blocks.stages[k], products, values)

        parts, schur = eliminate_chain(blocks, one)
        core = semidefinite_root(schur[:-1, :-1], np.diagonal(blocks.core)[:-1])
        return Root(blocks, tuple(map(StageRoot.of, blocks.stages, parts)), core)

    @property
    def rank(self) -> int:
        """Rank of [Z X]."""
        return len(self.core) + sum(int(np.count_nonzero(s.is_pivot)) for s in self.stages)

    def noise(self, rng: np.random.Generator) -> list[FloatArray]:
        """Draw ξ."""
        stages = [rng.standard_normal(s.is_pivot.shape) * s.is_pivot for s in self.stages]
        return [*stages, rng.standard_normal(len(self.core))]

    def times(self, effects: list[FloatArray], beta: FloatArray) -> list[FloatArray]:
        """Return R(b; β), with the effects (r, q) of each factor."""
        outer = np.concatenate([np.empty(0), *(b.T.ravel() for b in effects[1:])])
        rows = [
            own.times(stage, b, outer, beta)
            for stage, own, b in zip(self.blocks.stages, self.stages, effects, strict=False)
        ]
        return [*rows, self.core @ np.concatenate([outer[self.blocks.n_chain :], beta])]

    def transposed(self, v: list[FloatArray]) -> tuple[list[FloatArray], FloatArray]:
        """Return R'v: Z'Wy of each stage, (k, r, b), and [Z_c X]'Wy of the core."""
        blocks, stages = self.blocks, []
        outer = np.zeros(blocks.factors[-1].outer.stop if blocks.factors else 0)
        of_core = self.core.T @ v[-1]
        for i, (stage, own) in enumerate(zip(blocks.stages, self.stages, strict=True)):
            products, to_outer = own.transposed(v[i])
            here = products[:, stage.random]
            if i:
                r, place = here.shape[1], blocks.factors[i].outer
                here = here + in_slabs(outer[place].reshape(-1, r).T, *here.shape[::2])
            stages.append(here)
            of_core[blocks.n_core :] += products[:, stage.fixed[:-1]].sum(axis=(0, 2))
            outer += to_outer
        of_core[: blocks.n_core] += outer[blocks.n_chain :]
        return stages, of_core


@dataclass(frozen=True)
class Simulator:
    """A fitted model, ready for draws of the statistics of its response.

    Attributes
    ----------
    root : Root
    lam : tuple of (s, s) arrays
        Λ of each term, in the search's coordinates.
    beta : (p,) array
        Fixed effects of the kept columns, in the coordinates of the blocks.
    sigma : float
        Residual standard deviation in the blocks' unit of weights.
    """

    root: Root
    lam: Lam
    beta: FloatArray
    sigma: float

    @staticmethod
    def of(factorization: Factorization) -> "Simulator":
        """Take the parameters of a factorization, at the optimum that is."""
        return Simulator(
            root=Root.of(factorization.blocks),
            lam=factorization.lam,
            beta=factorization.beta,
            sigma=float(np.sqrt(factorization.sigma_squared)),
        )

    def draw(self, rng: np.random.Generator) -> Blocks:
        """Draw a response; return the blocks of the data with its products for those of y.

        Costs a multiplication by R and one by R', linear in levels and cells.
        """
        blocks, root = self.root.blocks, self.root
        effects = [self._effects(factor, rng) for factor in blocks.factors]
        mean, noise = root.times(effects, self.beta), root.noise(rng)
        v = [m + self.sigma * xi for m, xi in zip(mean, noise, strict=True)]
        dof = max(blocks.n_rows - root.rank, 0)  # a rank found by rounding exceeds no rows
        rest = 2.0 * float(rng.standard_gamma(dof / 2.0))  # χ², also with 0 degrees of freedom
        squares = sum((float(np.vdot(part, part)) for part in v), self.sigma**2 * rest)
        return with_response(blocks, *root.transposed(v), squares)

    def _effects(self, factor: FactorLayout, rng: np.random.Generator) -> FloatArray:
        """Draw b of one factor, (r, q)."""
        lam = factor.lam(self.lam)
        return self.sigma * (lam @ rng.standard_normal((lam.shape[1], factor.n_levels)))


def with_response(
    blocks: Blocks, stages: list[FloatArray], of_core: FloatArray, squares: float
) -> Blocks:
    """Put Z'Wy of each stage, [Z_c X]'Wy of the core and y'Wy in the place of those of y."""
    parts = []
    for stage, own in zip(blocks.stages, stages, strict=True):
        products = stage.products.copy()
        products[:, :, stage.fixed[-1]] = own
        parts.append(replace(stage, products=products))
    core = blocks.core.copy()
    core[:-1, -1] = core[-1, :-1] = of_core
    core[-1, -1] = squares
    return replace(blocks, core=core, stages=tuple(parts), floor=_floor(blocks, core))


def _floor(blocks: Blocks, core: FloatArray) -> float:
    """Return the least residual sum of squares of y around the center of the data.

    That center is not 0 only beside an intercept, which is the first column of X.
    """
    center, ones, squares = float(blocks.center[-1]), blocks.n_core, float(core[-1, -1])
    if not center:
        return residual_floor(squares, squares)
    weight, total = float(core[ones, ones]), float(core[ones, -1])
    raw = squares + center * (2.0 * total + center * weight)
    return residual_floor(raw, squares - total**2 / weight)


def eliminate_semidefinite(stage: Stage, products: FloatArray, values: FloatArray) -> FactorRows:
    """Eliminate a factor's columns as they are, row by row of R, all levels at once.

    The pivot of a level is its column with the largest share of its own products
    left, as in LAPACK's dpstrf: without that order, a pivot that should be zero
    has the rounding of all small ones before it. From a share of `PIVOT_SHARE`
    on nothing is left.
    """
    r, random, rows = len(stage.random), stage.random, stage.rows
    squares = _diagonal(stage.products, random)
    left, cells = products.copy(), values.copy()
    half, cell_half = np.zeros_like(products), np.zeros_like(values)
    for j in range(r):
        share = _diagonal(left, random) / np.where(squares > 0, squares, 1.0)
        best = share.argmax(axis=1)[:, None]
        is_pivot = np.take_along_axis(share, best, axis=1) > PIVOT_SHARE
        row = np.take_along_axis(left, best[:, :, None], axis=1)[:, 0]
        pivot = np.take_along_axis(_diagonal(left, random), best, axis=1)
        scale = np.where(is_pivot, 1.0 / np.sqrt(np.where(is_pivot, pivot, 1.0)), 0.0)
        half[:, j] = row * scale
        own = half[:, j, random]
        left -= own[:, :, None] * half[:, j, None]
        cell_half[j] = cells[best.ravel()[rows], np.arange(len(rows))] * scale.ravel()[rows]
        cells -= own.transpose(1, 0, 2).reshape(r, -1)[:, rows] * cell_half[j]
    gram = np.matmul(half, half.transpose(0, 1, 3, 2)).sum(axis=(0, 1))
    return FactorRows(half, cell_half, gram)


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


@dataclass(frozen=True)
class Deviation:
    """A draw of (β, b) − (β̂, b̂), of the user's columns.

    Attributes
    ----------
    fixed : (p,) array
        Of the kept columns.
    effects : tuple of (s, q) arrays
        Of each term.
    """

    fixed: FloatArray
    effects: tuple[FloatArray, ...]


def draw_deviation(
    factorization: Factorization, model: Model, rng: np.random.Generator
) -> Deviation:
    """Draw one; costs a pass over levels and cells."""
    blocks, n = factorization.blocks, factorization.n_spherical
    sigma = float(np.sqrt(factorization.sigma_squared))
    chol = factorization.chol_core
    solution = solve_lower(chol, sigma * rng.standard_normal(len(chol)), transposed=True)
    to_user, _ = centered_to_user(blocks, model)
    fixed = to_user @ solution[n:]
    if not blocks.factors:
        return Deviation(fixed, ())
    shapes = [(k, s, b) for k, s, _, b in (done.chol.shape for done in factorization.stages)]
    white = [sigma * rng.standard_normal(shape) for shape in shapes]
    found = back_substituted(factorization, white, solution)
    return Deviation(fixed, user_effects(factorization, found.spherical))
