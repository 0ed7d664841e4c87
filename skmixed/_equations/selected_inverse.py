"""The inverse of the mixed-model equations, where the gradient needs it.

G of `criterion` is dense for the core. Of the outer stages of a chain only the
entries are formed that meet a level of an inner stage: a level with itself, with
the cells it has, and with X (the selected inverse; Takahashi, Fagan and Chin,
1973, 8th PICA Conference).

Covariances of the random effects of each level, given β, σ and θ.

Of b̂ − b given the fixed effects the covariance is σ²ΛM⁻¹Λ'; the diagonal blocks
of M⁻¹ are entries of the selected inverse. They are taken in spherical
coordinates, u = Λ⁻¹b, in which terms on one factor stay apart (see
docs/mathematics.md, "The BLUP as a conditional mean").
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._equations.cholesky import Factorization, congruent, row_ranges
from skmixed._equations.elimination import EliminatedStage
from skmixed._equations.layout import FactorLayout, Stage
from skmixed._typing import FloatArray


def core_inverse(factorization: Factorization) -> FloatArray:
    """Return G = [Λ_c 0; 0 I](RR')⁻¹[Λ_c 0; 0 I]' without y, (q_core + p,) * 2."""
    inverse = inverse_of_cholesky(factorization.chol_core)
    if not factorization.n_spherical:
        return inverse
    return congruent(factorization.blocks, factorization.lam, inverse, transposed=False)


def random_inverse(factorization: Factorization) -> FloatArray:
    """Return G of the core's random effects alone, with β given, (q_core,) * 2."""
    n = factorization.n_spherical
    inverse = inverse_of_cholesky(factorization.chol_core[:n, :n])
    return congruent(factorization.blocks, factorization.lam, inverse, transposed=False)


def core_residual(
    factorization: Factorization, inverse: FloatArray, factor: FactorLayout
) -> FloatArray:
    """Return I − GS at the random effects of a factor in the core, (q_core + p, q·r).

    Its transpose is what takes [Z_c X]'V_1⁻¹ to Z'P. With G_0, G without X, at hand
    as V⁻¹ first and then X: in G itself the two cancel where Σ is large.
    """
    schur, random = factorization.schur[:-1, :-1], factorization.random_inverse
    n, own = len(inverse) if random is None else len(random), factor.core
    out = -((inverse if random is None else random) @ schur[:n, own])
    np.einsum("ii->i", out[own])[:] += 1.0
    if random is None:
        return out
    to_fixed = inverse[n:, n:] @ (schur[n:, :n] @ out)
    return np.concatenate([out + random @ (schur[:n, n:] @ to_fixed), -to_fixed])


def inverse_of_cholesky(chol: FloatArray) -> FloatArray:
    """Return (RR')⁻¹ from R, lower triangular."""
    if not len(chol):
        return chol
    lower, _ = scipy.linalg.lapack.dpotri(chol, lower=1)
    inverse = lower + lower.T  # dpotri leaves the zeros above the diagonal
    diagonal = np.arange(len(inverse))
    inverse[diagonal, diagonal] *= 0.5
    return np.asarray(inverse)


def without_fixed(inverse: FloatArray, n: int, random: FloatArray | None = None) -> FloatArray:
    """Return the inverse of the core's random effects alone, 0 for X: ML's G.

    `random` is that of `random_inverse`, where it is at hand.
    """
    out = np.zeros_like(inverse)
    if random is not None:
        out[:n, :n] = random
    elif n:
        to_fixed = inverse[:n, n:]
        out[:n, :n] = inverse[:n, :n] - to_fixed @ np.linalg.solve(inverse[n:, n:], to_fixed.T)
    return out


@dataclass(frozen=True)
class Inverse:
    """G for the outer columns and X.

    Attributes
    ----------
    core : (q_core, q_core) array
    chain : sparse (n_outer, n_outer) array or None
        The entries of the stages after the first, with each other and the core.
    to_fixed : (n_outer, p) array
    fixed : (p, p) array
        Both are 0 where the fixed effects are given.
    """

    core: FloatArray
    chain: sp.csr_array | None
    to_fixed: FloatArray
    fixed: FloatArray

    @property
    def has_fixed(self) -> bool:
        """Whether the fixed effects are unknown, and not given."""
        return bool(self.fixed.any())

    @staticmethod
    def of(factorization: Factorization, core: FloatArray) -> "Inverse":
        """Go back along the chain from the inverse of the core and X."""
        return Inverse.along(factorization, core)[0]

    @staticmethod
    def along(factorization: Factorization, core: FloatArray) -> "tuple[Inverse, ...]":
        """Return what remains after each stage."""
        blocks = factorization.blocks
        n, width = blocks.n_core, blocks.factors[-1].outer.stop
        to_fixed = np.zeros((width, blocks.n_fixed))
        to_fixed[blocks.n_chain :] = core[:n, n:]
        out = [Inverse(core[:n, :n], None, to_fixed, core[n:, n:])]
        for k in reversed(range(1, len(blocks.stages))):
            done, place = factorization.stages[k], blocks.factors[k]
            out.append(out[-1]._with_stage(done, place, blocks.n_chain))
        return tuple(reversed(out))

    def _with_stage(self, done: EliminatedStage, place: FactorLayout, n_chain: int) -> "Inverse":
        """Add the entries of a stage, with T = ΛM⁻¹Λ' per level and S_c its products later."""
        q, r, root = place.n_levels, place.n_columns, done.root
        within, at_cells, at_fixed = self.within(done, n_chain)
        # Of a level with itself T + TS_cGS_c'T, and −TS_cG at what it meets.
        own = np.einsum("as,stq,bt->abq", done.lam, done.inverse(within), done.lam, optimize=True)
        omega = np.einsum("saq,sbq->abq", root, root)
        cells = -np.einsum("abn,bn->an", omega[:, :, done.stage.rows], at_cells)
        to_fixed = self.to_fixed.copy()
        to_fixed[place.outer] = -np.einsum("abq,bqx->qax", omega, at_fixed).reshape(q * r, -1)
        chain = _chain_entries(done.stage, place, own, cells)
        if self.chain is not None:
            chain = chain + self.chain
        return Inverse(self.core, chain, to_fixed, self.fixed)

    def within(
        self, done: EliminatedStage, n_chain: int
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """S_cGS_c' per level of a stage, S_c its products with later columns and X; and S_cG."""
        stage, r = done.stage, len(done.lam)
        fixed = done.at_levels(stage.fixed[:-1]).transpose(0, 2, 1)
        at_cells, at_fixed = self.times(stage, done.values, fixed, n_chain)
        within = np.einsum("aqx,bqx->abq", at_fixed, fixed)
        for a in range(r):
            for b in range(r):
                weights = at_cells[a] * done.values[b]
                within[a, b] += np.bincount(stage.rows, weights, minlength=stage.n_levels)
        return within, at_cells, at_fixed

    def times(
        self, stage: Stage, values: FloatArray, fixed: FloatArray, n_chain: int
    ) -> tuple[FloatArray, FloatArray]:
        """[Z_c X] times G for the rows of a stage: at its cells, and at X."""
        if not len(stage.rows):
            # In the order of the rows in memory, in which their products are summed.
            return values, np.matmul(self.fixed, fixed.transpose(0, 2, 1)).transpose(0, 2, 1)
        columns = stage.cells.indices
        in_core = columns >= n_chain
        at_cells = np.einsum("rnx,nx->rn", fixed[:, stage.rows], self.to_fixed[columns])
        at_fixed = fixed @ self.fixed
        for a, own in enumerate(values):
            matrix = stage.with_values(own)
            at_fixed[a] += matrix @ self.to_fixed
            if self.chain is not None:
                at_cells[a] += (matrix @ self.chain)[stage.rows, columns]
            core = matrix[:, n_chain:]
            at_cells[a, in_core] += _sampled(
                core, self.core, stage.rows[in_core], columns[in_core] - n_chain
            )
        return at_cells, at_fixed


def _chain_entries(
    stage: Stage, place: FactorLayout, own: FloatArray, cells: FloatArray
) -> sp.csr_array:
    """Lay the entries of one stage, symmetrically, among the outer columns."""
    q, r, width = place.n_levels, place.n_columns, stage.cells.shape[1]
    first = place.outer.start
    level = first + r * np.arange(q)
    a, b = (m.ravel()[:, None] for m in np.indices((r, r)))
    rows = [(a + level).ravel(), (np.arange(r)[:, None] + first + r * stage.rows).ravel()]
    columns = [(b + level).ravel(), np.tile(stage.cells.indices, r)]
    diagonal = sp.coo_array((own.ravel(), (rows[0], columns[0])), shape=(width, width))
    beside = sp.coo_array((cells.ravel(), (rows[1], columns[1])), shape=(width, width))
    return (diagonal + beside + beside.T).tocsr()


def _sampled(
    left: sp.csr_array, right: FloatArray, rows: NDArray[np.intp], columns: NDArray[Any]
) -> FloatArray:
    """Entries of a sparse times a dense matrix, without keeping the product."""
    out = np.empty(len(rows))
    if not len(rows):
        return out
    for start, stop in row_ranges(left):
        here = slice(*np.searchsorted(rows, [start, stop]))
        product = left[start:stop] @ right
        out[here] = product[rows[here] - start, columns[here]]
    return out


def level_covariances(factorization: Factorization) -> tuple[FloatArray, ...]:
    """Return the diagonal blocks of ΛM⁻¹Λ' for each term, (q, s, s).

    In the user's coordinates and relative to the σ² of the `Factorization`; lme4's
    conditional variances (Bates et al., 2015, J. Stat. Softw. 67(1), equation 58).
    """
    blocks = factorization.blocks
    spherical = _spherical_blocks(factorization) if blocks.factors else []
    out: dict[int, FloatArray] = {}
    for factor, own in zip(blocks.factors, spherical, strict=True):
        for term in factor.terms:
            root = term.to_user @ factorization.lam[term.index]
            out[term.index] = root @ own[:, term.columns, term.columns] @ root.T
    return tuple(out[index] for index in sorted(out))


def _spherical_blocks(factorization: Factorization) -> list[FloatArray]:
    """Return the diagonal blocks of M⁻¹ for each factor of the blocks, (q, s, s).

    β is given: 0 for X in the inverse.
    """
    blocks, n = factorization.blocks, factorization.n_spherical
    random = inverse_of_cholesky(factorization.chol_core[:n, :n])
    core = np.zeros((blocks.n_core + blocks.n_fixed,) * 2)
    core[: blocks.n_core, : blocks.n_core] = (
        congruent(blocks, factorization.lam, random, transposed=False) if n else random
    )
    later = Inverse.along(factorization, core)
    out = []
    for done, inverse in zip(factorization.stages, later, strict=True):
        within, _, _ = inverse.within(done, blocks.n_chain)
        out.append(done.inverse(within).transpose(2, 0, 1))
    for factor, own in zip(blocks.core_factors, blocks.spherical_places, strict=True):
        q = factor.n_levels
        square = random[own, own].reshape(q, -1, q, (own.stop - own.start) // q)
        out.append(np.einsum("qaqb->qab", square))
    return out
