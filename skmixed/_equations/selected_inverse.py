"""The inverse of the mixed-model equations, where the gradient needs it.

With S the Schur complement of the core and X, G is its inverse with the random effects
shrunken, G = [Λ_c 0; 0 I](RR')⁻¹[Λ_c 0; 0 I]'. It is dense for the core. Of the outer
stages of a chain only the entries are formed that meet a level of an inner stage: a
level with itself, with the cells it has, and with X (the selected inverse; Takahashi,
Fagan and Chin, 1973, 8th PICA Conference).

Of b̂ − b given the fixed effects and θ the covariance is σ²ΛM⁻¹Λ'; the diagonal blocks
of M⁻¹ are entries of the selected inverse. They are taken in spherical
coordinates, u = Λ⁻¹b, in which terms on one factor stay apart (see
docs/mathematics.md, "The BLUP as a conditional mean").
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import CholeskyFactor, congruent
from skmixed._equations.elimination import EliminatedStage
from skmixed._equations.layout import Cells, FactorLayout
from skmixed._equations.linear_algebra import (
    inverse_of_cholesky,
    solve_levels_transposed,
)
from skmixed._equations.system import Stage
from skmixed._model.chart import Span
from skmixed._typing import Directions, FloatArray

# Least share of the information on a random effect that lies in its own rows
# for which a difference from 1 is taken: four digits of sixteen are lost.
RESOLVED = 1e-4


@dataclass(frozen=True)
class CoreInverse:
    """G of the core and X, without y.

    Attributes
    ----------
    factorization : CholeskyFactor
    whole : (q_core + p,) * 2 array
        G.
    has_fixed : bool
        Whether traces are those of P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹, with the columns of X
        in G, or of V⁻¹, the fixed effects given.
    """

    factorization: CholeskyFactor
    whole: FloatArray
    has_fixed: bool

    @staticmethod
    def of(factorization: CholeskyFactor, *, has_fixed: bool) -> "CoreInverse":
        inverse = inverse_of_cholesky(factorization.chol_core)
        if factorization.n_spherical:
            system, lam = factorization.system, factorization.lam
            inverse = congruent(system, lam, inverse, transposed=False, is_kept=False)
        return CoreInverse(factorization, inverse, has_fixed)

    @cached_property
    def of_traces(self) -> FloatArray:
        """G for traces: with 0 for X where the fixed effects are given."""
        if self.has_fixed:
            return self.whole
        out, n = np.zeros_like(self.whole), self.factorization.system.n_core
        own = self.factorization.random_inverse
        if own is None and self.factorization.spans and n:
            own = random_inverse(self.factorization)
        if own is not None:
            out[:n, :n] = own
        elif n:
            # (S_cc)⁻¹ = G_cc − G_cX G_XX⁻¹ G_Xc
            to_fixed = self.whole[:n, n:]
            taken = to_fixed @ np.linalg.solve(self.whole[n:, n:], to_fixed.T)
            out[:n, :n] = self.whole[:n, :n] - taken
        return out

    @cached_property
    def along(self) -> "tuple[Inverse, ...]":
        """G for traces, with its entries at the chain, after each stage."""
        return Inverse.along(self.factorization, self.of_traces)

    @cached_property
    def entries(self) -> tuple[tuple[FloatArray, FloatArray], ...]:
        """G for traces of each stage: of its levels with themselves, and at its cells."""
        stages = zip(self.along, self.factorization.stages, strict=True)
        return tuple(later.entries(done)[:2] for later, done in stages)

    @cached_property
    def selected(self) -> "Inverse":
        """G for traces, with its entries at the chain, of all that the first stage leaves."""
        return self.along[0]

    def residual(self, factor: FactorLayout) -> FloatArray:
        """Return I − GS at the random effects of a factor in the core, (q_core + p, q·r)."""
        return _residual(self.factorization, self.whole, factor)

    def residual_of_traces(self) -> FloatArray:
        """Return I − GS for traces at all random effects of the core, (q_core + p, q_core).

        In the span of Λ that is G(ΛΛ')⁺ (`Span`).
        """
        inverse, spans = self.of_traces, self.factorization.spans
        n = len(inverse)
        out = np.empty((n, self.factorization.system.n_core))
        for factor in self.factorization.system.core_factors:
            span, own = spans.get(factor.entries.start), factor.core
            if span is None or span.null is not None:
                out[:, own] = _residual(self.factorization, inverse, factor)
            # G(ΛΛ')⁺ + (I − GS)(I − ΛΛ⁺)
            if span is not None:
                shape = (n, factor.n_levels, factor.n_columns)
                solved = np.matmul(inverse[:, own].reshape(shape), span.precision)
                if span.null is not None:
                    solved += np.matmul(out[:, own].reshape(shape), span.null)
                out[:, own] = solved.reshape(n, -1)
        return out

    def traces(self) -> FloatArray:
        """Return Σ_j (Z'PZ)_jj of the factors in the core, each row by row."""
        parts = [self._trace(factor) for factor in self.factorization.system.core_factors]
        return np.concatenate([np.empty(0), *(part.ravel() for part in parts)])

    def _trace(self, factor: FactorLayout) -> FloatArray:
        """Σ_j (Z'PZ)_jj of a factor in the core, (r, r)."""
        q, r, inverse = factor.n_levels, factor.n_columns, self.of_traces
        schur = self.factorization.schur[:-1, factor.core]
        lam, own = factor.lam(self.factorization.lam), _level_sum(schur[factor.core], q)
        span = self.factorization.spans.get(factor.entries.start)
        if span is not None:
            solved = inverse[factor.core].reshape(q, r, -1)
            taken = np.einsum("qan,nqb->ab", solved, schur.reshape(-1, q, r), optimize=True)
            out = span.precision @ taken
            if span.null is not None:
                left = _residual(self.factorization, inverse, factor)
                parts = (m.reshape(-1, q, r) for m in (left, schur))
                out += span.null @ np.einsum("nqa,nqb->ab", *parts, optimize=True)
            return np.asarray(out)
        if lam.shape[0] == lam.shape[1] and _resolves(lam, own / q):
            # Λ'Z'PZΛ = I − (RR')⁻¹ at the factor's effects
            root = np.linalg.inv(lam)
            shrunken = root @ _level_sum(inverse[factor.core, factor.core], q) @ root.T
            return root.T @ (q * np.eye(r) - shrunken) @ root
        parts = (m.reshape(-1, q, r) for m in (schur, inverse @ schur))
        return np.asarray(own - np.einsum("nqa,nqb->ab", *parts, optimize=True))

    def quadratics(self, directions: Directions) -> list[FloatArray]:
        """Return Σ_j (I − SG)_j'D_i(I − SG)_j over the levels j of the factors in the core.

        Matrices over the core and X, one for each of the (d, r, r) directions D_i of each
        factor, in the order of the system.
        """
        system = self.factorization.system
        pairs = zip(system.core_factors, directions[len(system.stages) :], strict=True)
        return [matrix for pair in pairs for matrix in self._quadratics(*pair)]

    def _quadratics(self, factor: FactorLayout, directions: FloatArray) -> list[FloatArray]:
        residual = -(self.factorization.schur[:-1, :-1][factor.core] @ self.whole)
        place = np.arange(len(self.whole))[factor.core]
        residual[np.arange(len(place)), place] += 1.0
        by_level = residual.reshape(factor.n_levels, factor.n_columns, -1)
        return [residual.T @ np.matmul(d, by_level).reshape(residual.shape) for d in directions]


def random_inverse(factorization: CholeskyFactor) -> FloatArray:
    """Return G of the core's random effects alone, with β given, (q_core,) * 2."""
    n = factorization.n_spherical
    inverse = inverse_of_cholesky(factorization.chol_core[:n, :n])
    return congruent(factorization.system, factorization.lam, inverse, transposed=False)


def in_spans(factorization: CholeskyFactor) -> CholeskyFactor:
    """Return the factor with products Z'V⁻¹ that have no difference in the span of Λ (`Span`).

    For systems in which ΛΛ' is about (Z'V_1⁻¹Z)⁻¹ or below; it costs a pass over the levels.
    """
    factors = factorization.system.factors
    spans = {f.entries.start: Span.of(f.lam(factorization.lam)) for f in factors}
    stages = tuple(stage.in_span() for stage in factorization.stages)
    out = replace(factorization, spans=spans, stages=stages)
    of_core = [spans[f.entries.start] for f in factorization.system.core_factors]
    if any(span.null is not None for span in of_core):  # where Λ lacks rank
        out = replace(out, random_inverse=random_inverse(out))
    return out


def _residual(
    factorization: CholeskyFactor, inverse: FloatArray, factor: FactorLayout
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


def _level_sum(matrix: FloatArray, q: int) -> FloatArray:
    """Sum the diagonal blocks of a (q·r, q·r) matrix, (r, r)."""
    r = len(matrix) // q
    return np.asarray(np.einsum("qaqb->ab", matrix.reshape(q, r, q, r)))


def _resolves(lam: FloatArray, products: FloatArray) -> bool:
    """Whether I − (RR')⁻¹ keeps its digits, being about Λ'SΛ where that is small."""
    return float(np.linalg.eigvalsh(lam.T @ products @ lam)[0]) > RESOLVED


@dataclass(frozen=True)
class Inverse:
    """G for the outer columns and X, of what one stage leaves.

    Attributes
    ----------
    cells : Cells
        Those of the stage.
    core : (q_core, q_core) array
    chain : sparse (n_outer, n_outer) array or None
        The entries of the stages after it, with each other and the core.
    to_fixed : (n_outer, p) array
    fixed : (p, p) array
        Both are 0 where the fixed effects are given.
    """

    cells: Cells
    core: FloatArray
    chain: sp.csr_array | None
    to_fixed: FloatArray
    fixed: FloatArray

    @staticmethod
    def along(factorization: CholeskyFactor, core: FloatArray) -> "tuple[Inverse, ...]":
        """Go back along the chain from the inverse of the core and X; what each stage leaves."""
        system, stages = factorization.system, factorization.stages
        n, width = system.n_core, system.factors[-1].outer.stop
        to_fixed = np.zeros((width, system.n_fixed))
        to_fixed[system.n_chain :] = core[:n, n:]
        cells = [stage.cells for stage in system.stages] or [Cells.none(0, width)]
        out = [Inverse(cells[-1], core[:n, :n], None, to_fixed, core[n:, n:])]
        for k in reversed(range(1, len(stages))):
            out.append(out[-1]._with_stage(stages[k], system.factors[k], cells[k - 1]))
        return tuple(reversed(out))

    def _with_stage(self, done: EliminatedStage, place: FactorLayout, before: Cells) -> "Inverse":
        """Add the entries of a stage, for the one before it."""
        own, cells, at_fixed = self.entries(done)
        to_fixed = self.to_fixed.copy()
        to_fixed[place.outer] = at_fixed.transpose(1, 0, 2).reshape(to_fixed[place.outer].shape)
        chain = _chain_entries(done.stage, place, own, cells)
        if self.chain is not None:
            chain = chain + self.chain
        return Inverse(before, self.core, chain, to_fixed, self.fixed)

    @cached_property
    def at_core(self) -> Any:
        """G of the core, as the products of its cells take it."""
        return self.cells.core.sampled(self.core)

    def quadratic(self, done: EliminatedStage, values: FloatArray) -> FloatArray:
        """Σ_j A'G_ccA over the levels of a stage, (r, r), for its values A = Z_c'V_1⁻¹Z."""
        squares = done.squares
        if squares is None:
            cells = self.cells.core
            return np.asarray(cells.times(self.at_core, values) @ values[:, cells.cells].T)
        # Of one column A_j = B_j v_j, B = I − ΛM⁻¹Λ'Z'Z
        weights = np.square(done.residual_map()[0, 0])
        return np.full((1, 1), squares.form(self.core, weights))

    def entries(self, done: EliminatedStage) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return G of a stage, of which this is what is later.

        With T = ΛM⁻¹Λ' per level and S_c its products later: T + TS_cGS_c'T of a level with
        itself, (r, r, q), and −TS_cG at its cells, (r, n_cells), and at X, (r, q, p).
        """
        root = done.root
        within, at_cells, at_fixed = self.within(done)
        half = np.tensordot(done.lam, done.inverse(within), axes=1)
        own = np.einsum("atq,bt->abq", half, done.lam)
        omega = np.einsum("saq,sbq->abq", root, root)
        cells = -np.einsum("abn,bn->an", omega[:, :, done.stage.cells.rows], at_cells)
        return own, cells, -np.einsum("abq,bqx->aqx", omega, at_fixed)

    def within(self, done: EliminatedStage) -> tuple[FloatArray, FloatArray, FloatArray]:
        """S_cGS_c' per level of a stage, S_c its products with later columns and X; and S_cG."""
        stage, r = done.stage, len(done.lam)
        fixed = done.at_levels(stage.fixed[:-1]).transpose(0, 2, 1)
        at_cells, at_fixed = self.times(done.values, fixed)
        within = np.einsum("aqx,bqx->abq", at_fixed, fixed)
        for a in range(r):
            for b in range(r):
                weights = at_cells[a] * done.values[b]
                within[a, b] += np.bincount(stage.cells.rows, weights, minlength=stage.n_levels)
        return within, at_cells, at_fixed

    def times(self, values: FloatArray, fixed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[Z_c X] times G for a few rows of each level: at its cells, and at X."""
        cells = self.cells
        if not len(cells):
            # In the order of the rows in memory, in which their products are summed.
            return values, np.matmul(self.fixed, fixed.transpose(0, 2, 1)).transpose(0, 2, 1)
        at_cells = np.einsum("rnx,nx->rn", fixed[:, cells.rows], self.to_fixed[cells.columns])
        at_fixed = fixed @ self.fixed
        for a, matrix in enumerate(map(cells.with_values, values)):
            at_fixed[a] += matrix @ self.to_fixed
            if self.chain is not None:
                at_cells[a] += (matrix @ self.chain)[cells.rows, cells.columns]
        if len(self.core):
            at_cells[:, cells.core.cells] += cells.core.times(self.at_core, values)
        return at_cells, at_fixed


def _chain_entries(
    stage: Stage, place: FactorLayout, own: FloatArray, cells: FloatArray
) -> sp.csr_array:
    """Lay the entries of one stage, symmetrically, among the outer columns."""
    q, r, width = place.n_levels, place.n_columns, stage.cells.width
    first = place.outer.start
    level = first + r * np.arange(q)
    a, b = (m.ravel()[:, None] for m in np.indices((r, r)))
    rows = [(a + level).ravel(), (np.arange(r)[:, None] + first + r * stage.cells.rows).ravel()]
    columns = [(b + level).ravel(), np.tile(stage.cells.columns, r)]
    diagonal = sp.coo_array((own.ravel(), (rows[0], columns[0])), shape=(width, width))
    beside = sp.coo_array((cells.ravel(), (rows[1], columns[1])), shape=(width, width))
    return (diagonal + beside + beside.T).tocsr()


def covariance_times(factorization: CholeskyFactor, columns: FloatArray) -> FloatArray:
    """Return ΛM⁻¹Λ'v of (n, m) columns v of the random effects, the first factor's first."""
    system, factors = factorization.system, factorization.system.factors
    n, m = factors[0].n_levels * factors[0].n_columns, columns.shape[1]
    out = columns.copy()
    later, none, halves = out[n:], np.empty((0, m)), []
    # w = L⁻¹Λ'v of each stage, of which H_c'w is taken from what is later
    for k, done in enumerate(factorization.stages):
        place = slice(n) if k == 0 else slice(n + factors[k].outer.start, n + factors[k].outer.stop)
        by_level = out[place].reshape(factors[k].n_levels, -1, m).transpose(1, 2, 0)
        halves.append((place, done.half_solve(by_level)))
        done.take_later(halves[-1][1], later, none)
    core = out[len(out) - system.n_core :]
    core[:] = factorization.core_solution(core)
    # And back: b = ΛL⁻ᵀ(w − H_c b_c)
    for done, (place, half) in zip(reversed(factorization.stages), reversed(halves), strict=True):
        for row, at_outer in zip(half, done.at_outer, strict=False):
            row -= (at_outer @ later).T
        solve_levels_transposed(done.chol_levels, half)
        out[place] = np.tensordot(done.lam, half, 1).transpose(2, 0, 1).reshape(-1, m)
    return out


def level_covariances(factorization: CholeskyFactor) -> tuple[FloatArray, ...]:
    """Return the diagonal blocks of ΛM⁻¹Λ' for each term, (q, s, s).

    In the user's coordinates and relative to the σ² of the `CholeskyFactor`; lme4's
    conditional variances (Bates et al., 2015, J. Stat. Softw. 67(1), equation 58).
    """
    system = factorization.system
    spherical = spherical_blocks(factorization) if system.factors else []
    out: dict[int, FloatArray] = {}
    for factor, own in zip(system.factors, spherical, strict=True):
        for term in factor.terms:
            root = term.to_user @ factorization.lam[term.index]
            out[term.index] = root @ own[:, term.columns, term.columns] @ root.T
    return tuple(out[index] for index in sorted(out))


def spherical_blocks(factorization: CholeskyFactor) -> list[FloatArray]:
    """Return the diagonal blocks of M⁻¹ for each factor of the system, (q, s, s).

    β is given: 0 for X in the inverse.
    """
    system, n = factorization.system, factorization.n_spherical
    random = inverse_of_cholesky(factorization.chol_core[:n, :n])
    core = np.zeros((system.n_core + system.n_fixed,) * 2)
    core[: system.n_core, : system.n_core] = (
        congruent(system, factorization.lam, random, transposed=False) if n else random
    )
    # Per level of a stage L⁻ᵀ(I + L⁻¹Λ'S_cGS_c'ΛL⁻ᵀ)L⁻¹
    later = Inverse.along(factorization, core)
    out = []
    for done, inverse in zip(factorization.stages, later, strict=True):
        within, _, _ = inverse.within(done)
        out.append(done.inverse(within).transpose(2, 0, 1))
    for factor, own in zip(system.core_factors, system.spherical_places, strict=True):
        q = factor.n_levels
        square = random[own, own].reshape(q, -1, q, (own.stop - own.start) // q)
        out.append(np.einsum("qaqb->qab", square))
    return out
