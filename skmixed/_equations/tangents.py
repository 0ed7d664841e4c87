"""A direction of Σ carried along the elimination, and the expected information.

What a stage leaves is a symmetric matrix over the later stages of the chain and the
core. Sums of products of the stage's rows, level by level, keep its pattern: a later
stage stays block-diagonal, its cells stay where they are, and only the core is dense.

At each stage, with S the system there,

    T = Λ(Λ'SΛ + I)⁻¹Λ',   B = I − TS,   A = SB,   J = TS_c,   C = S_c − SJ  (S_c: its rows beyond)

the stage's own direction E leaves −C'EC of the system beyond; a direction of an
earlier stage, which has reached the system as the tangent D, leaves
D_cc − (D_c − ½DJ)'J − J'(D_c − ½DJ). It meets the stage in D and Y = D_c − DJ.

The expected information is tr(P V_i P V_j) with V_i = Z_k D_i Z_k', minus the second
derivatives of log|V| + log|X'V⁻¹X| in the directions D_i of Σ_k, since V is linear in
them. With G the inverse of what remains, a stage adds, level by level,

    tr(AEAF) − tr(OEAF) − tr(OFAE),  O = CGC'          for two own directions
    −tr(EB'DB) + 2 tr(E B'YGC')                          for an own and an earlier one
    tr(TDTD̃) + 2 tr(T Y G Ỹ')                            for two earlier ones

Without the columns of X in G it is tr(V⁻¹ V_i V⁻¹ V_j): maximum likelihood. For what
it serves: docs/mathematics.md, "Kenward and Roger".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.elimination import EliminatedStage
from skmixed._equations.layout import FactorLayout
from skmixed._equations.row_substitution import LaterSolution
from skmixed._equations.selected_inverse import CoreInverse, Inverse
from skmixed._equations.system import Stage, System
from skmixed._equations.working_variates import of_core_factor
from skmixed._typing import Directions, FloatArray, IntArray


@dataclass(frozen=True)
class StageRows:
    """A few rows for each level of a stage.

    Attributes
    ----------
    stage : Stage
    cells : (r, n_cells) array
        Entries at the stage's cells.
    fixed : (r, q, p) array
        Entries at X.
    """

    stage: Stage
    cells: FloatArray
    fixed: FloatArray

    @cached_property
    def matrices(self) -> list[sp.csr_array]:
        return [self.stage.cells.with_values(values) for values in self.cells]

    def times(self, small: FloatArray) -> "StageRows":
        """Multiply from the left by one small matrix, (s, r), or one per level, (s, r, q)."""
        if small.ndim == 2:
            return StageRows(self.stage, small @ self.cells, np.tensordot(small, self.fixed, 1))
        at_cells = np.einsum("abn,bn->an", small[:, :, self.stage.cells.rows], self.cells)
        return StageRows(self.stage, at_cells, np.einsum("abq,bqx->aqx", small, self.fixed))

    def at(self, later: LaterSolution) -> FloatArray:
        """Multiply the rows of touched levels by the solution at what they meet, (r, m)."""
        return later.times(self.cells, self.fixed)

    def minus(self, other: "StageRows") -> "StageRows":
        return StageRows(self.stage, self.cells - other.cells, self.fixed - other.fixed)

    def dot(self, other: "StageRows") -> FloatArray:
        """Σ over columns of the products of two sets of rows, per level, (r, s, q)."""
        out = np.einsum("aqx,bqx->abq", self.fixed, other.fixed)
        if not len(self.stage.cells):
            return out
        for row, left in zip(out, self.cells, strict=True):
            for own, right in zip(row, other.cells, strict=True):
                own += np.bincount(self.stage.cells.rows, left * right, minlength=len(own))
        return out


@dataclass(frozen=True)
class LaterTangent:
    """The entries of a later stage in a matrix of the remaining system.

    own : (r, r, q); rows : StageRows
    """

    own: FloatArray
    rows: StageRows


@dataclass(frozen=True)
class SchurTangent:
    """A symmetric matrix over the later stages of the chain, the core and X.

    Attributes
    ----------
    stages : tuple of LaterTangent
    at_core : (q_core + p,) * 2 array
    """

    stages: tuple[LaterTangent, ...]
    at_core: FloatArray

    def plus(self, other: "SchurTangent", factor: float) -> "SchurTangent":
        return SchurTangent(
            tuple(_plus(a, b, factor) for a, b in zip(self.stages, other.stages, strict=True)),
            self.at_core + factor * other.at_core,
        )


def _plus(a: LaterTangent, b: LaterTangent, factor: float) -> LaterTangent:
    cells, fixed = a.rows.cells + factor * b.rows.cells, a.rows.fixed + factor * b.rows.fixed
    return LaterTangent(a.own + factor * b.own, StageRows(a.rows.stage, cells, fixed))


def symmetric_product(system: System, k: int, left: StageRows, right: StageRows) -> SchurTangent:
    """Return left'right + right'left over what remains after stage k."""
    later = tuple(_at_later(system, g, left, right) for g in range(k + 1, len(system.stages)))
    n, p = system.n_core, system.n_fixed
    core = np.zeros((n + p, n + p))
    core[n:, n:] = np.tensordot(left.fixed, right.fixed, ((0, 1), (0, 1)))
    if n and p:
        core[:n, n:] = _products_at_fixed(left, right)[system.n_chain :]
        core[n:, :n] = _products_at_fixed(right, left)[system.n_chain :].T
    core += core.T
    if n:
        core[:n, :n] = system.stages[k].cells.core.products(left.cells, right.cells)
    return SchurTangent(later, core)


def _products_at_fixed(left: StageRows, right: StageRows) -> FloatArray:
    return np.asarray(sum(m.T @ f for m, f in zip(left.matrices, right.fixed, strict=True)))


def _at_later(system: System, g: int, left: StageRows, right: StageRows) -> LaterTangent:
    """Each level of the inner stage has one cell there: levels of the outer stay apart."""
    place, stage = system.factors[g], system.stages[g]
    q, r = place.n_levels, place.n_columns
    own = np.zeros((r, r, q))
    cells = np.zeros((r, len(stage.cells)))
    fixed = np.zeros((r, q, system.n_fixed))
    for one, other in ((left, right), (right, left)):
        here = [m[:, place.outer] for m in one.matrices]  # of the stage itself
        products = sum(h.T @ m for h, m in zip(here, other.matrices, strict=True)).tocoo()
        inside = (products.col >= place.outer.start) & (products.col < place.outer.stop)
        at = products.row[inside], products.col[inside] - place.outer.start
        np.add.at(own, (at[0] % r, at[1] % r, at[0] // r), products.data[inside])
        outside = products.col >= place.outer.stop
        rows, columns = products.row[outside], products.col[outside]
        cells[rows % r, stage.cells.find(rows // r, columns)] += products.data[outside]
        at_fixed = sum(h.T @ f for h, f in zip(here, other.fixed, strict=True))
        fixed += at_fixed.reshape(q, r, -1).transpose(1, 0, 2)
    return LaterTangent(own, StageRows(stage, cells, fixed))


@dataclass(frozen=True)
class StageTangent:
    """A stage's matrices of the module's docstring: small ones (r, r, q), and rows.

    Those that only other stages' directions or rows need are made when asked for.
    """

    factorization: CholeskyFactor
    k: int
    a: FloatArray
    c: StageRows

    @staticmethod
    def of(factorization: CholeskyFactor, k: int) -> "StageTangent":
        done = factorization.stages[k]
        left = np.concatenate(list(done.gls_slabs()), axis=2)[:, :, : done.n_levels]
        fixed = left[:, done.stage.fixed[:-1]].transpose(0, 2, 1)
        c = StageRows(done.stage, done.gls_cells(), fixed)
        return StageTangent(factorization, k, left[:, done.stage.random], c)

    @property
    def done(self) -> EliminatedStage:
        return self.factorization.stages[self.k]

    @cached_property
    def t(self) -> FloatArray:
        root = self.done.root
        return np.asarray(np.einsum("saq,sbq->abq", root, root))

    @cached_property
    def b(self) -> FloatArray:
        return self.done.residual_map()

    @cached_property
    def j(self) -> StageRows:
        stage = self.done.stage
        fixed = self.done.at_levels(stage.fixed[:-1]).transpose(0, 2, 1)
        return StageRows(stage, self.done.values, fixed).times(self.t)

    @cached_property
    def _at_fixed(self) -> FloatArray:
        """Sums over levels of the products of C's rows at X, (r, p, r, p)."""
        r, q, p = self.c.fixed.shape
        flat = self.c.fixed.transpose(0, 2, 1).reshape(r * p, q)
        return np.asarray((flat @ flat.T).reshape(r, p, r, p))

    def met_by(self, tangents: list[SchurTangent]) -> list[tuple[FloatArray, StageRows]]:
        """Return D, (r, r, q), and Y for directions of earlier stages."""
        here = [tangent.stages[0] for tangent in tangents]
        return [(h.own, h.rows.minus(self.j.times(h.own))) for h in here]

    def beyond(self, tangents: list[SchurTangent], own: FloatArray) -> list[SchurTangent]:
        """Return the tangents of earlier directions and of own ones, (d, r, r), beyond."""
        passed = [self._passed_on(tangent) for tangent in tangents]
        return passed + [self._left_by(direction) for direction in own]

    def _passed_on(self, tangent: SchurTangent) -> SchurTangent:
        """Eliminate the stage from an earlier direction's tangent."""
        here, *rest = tangent.stages
        half = here.rows.minus(self.j.times(0.5 * here.own))
        taken = symmetric_product(self.factorization.system, self.k, half, self.j)
        return SchurTangent(tuple(rest), tangent.at_core).plus(taken, -1.0)

    def _left_by(self, direction: FloatArray) -> SchurTangent:
        """Return the tangent of an own direction."""
        system = self.factorization.system
        if not system.factors[-1].outer.stop:  # nothing but X remains
            return SchurTangent((), -np.einsum("ab,axby->xy", direction, self._at_fixed))
        scaled = self.c.times(-0.5 * direction)
        return symmetric_product(system, self.k, scaled, self.c)


@dataclass(frozen=True)
class Expected:
    """Expected information, and derivatives of the information on β.

    Attributes
    ----------
    information : (d, d) array
        tr(P V_i P V_j).
    fixed : (d, p, p) array
        X'V⁻¹V_iV⁻¹X.
    """

    information: FloatArray
    fixed: FloatArray

    def in_order(self, places: IntArray) -> "Expected":
        """Return the same for the parameters in another order."""
        return Expected(self.information[np.ix_(places, places)], self.fixed[places])


def expected_information(
    inverse: CoreInverse, directions: Directions, of_weights: Sequence[SchurTangent] = ()
) -> Expected:
    """Return tr(P V_i P V_j) and X'V⁻¹V_iV⁻¹X: of weights first, then factor by factor.

    Parameters
    ----------
    inverse : CoreInverse
        Of the factorization; where the fixed effects are given V⁻¹ takes the place of P.
    directions : tuple of (d, r, r) arrays
        Symmetric directions of each factor's Σ, in the order of the system.
    of_weights : sequence of SchurTangent
        Directions of the system before its first stage. Each costs a factorization.
    """
    factorization = inverse.factorization
    information = np.zeros((len(of_weights) + sum(map(len, directions)),) * 2)
    tangents = list(of_weights)
    for k, own in enumerate(directions[: len(factorization.stages)]):
        stage = StageTangent.of(factorization, k)
        inverted = _Inverted.of(stage, tangents, inverse.along[k])
        n = len(tangents)  # directions of the stages before
        here = slice(n, n + len(own))
        information[here, here] += inverted.own(own)
        if n:
            information[here, :n] += inverted.with_own(own)
            information[:n, here] = information[here, :n].T
            information[:n, :n] += inverted.among_themselves()
        tangents = stage.beyond(tangents, own)
    _add_core(information, inverse, directions, tangents)
    return Expected(information, _of_fixed(inverse, directions, tangents))


def _of_fixed(
    inverse: CoreInverse, directions: Directions, tangents: list[SchurTangent]
) -> FloatArray:
    """Return X'V⁻¹V_iV⁻¹X, (d, p, p): what the tangents come to at X.

    With U' = [−S_XcG_0  I], which takes [Z_c X]'V_1⁻¹ to X'V⁻¹, G_0 the inverse
    without X.
    """
    factorization, n_core = inverse.factorization, inverse.factorization.system.n_core
    p = factorization.system.n_fixed
    u = inverse.whole[:, n_core:] @ factorization.fixed.products
    out = [-(u.T @ tangent.at_core @ u) for tangent in tangents]
    n = len(factorization.stages)
    for factor, own in zip(factorization.system.core_factors, directions[n:], strict=True):
        zvx = of_core_factor(factorization, factor, -u[:n_core], np.eye(p, p + 1))
        out += list(np.einsum("qax,eab,qby->exy", zvx, own, zvx, optimize=True))
    return np.array(out).reshape(len(out), p, p)


@dataclass(frozen=True)
class _Inverted:
    """A stage's matrices with what the inverse of the rest makes of them.

    cg : CG; earlier : (D, Y, YG) for each direction of an earlier stage.
    """

    stage: StageTangent
    cg: StageRows
    earlier: tuple[tuple[FloatArray, StageRows, StageRows], ...]

    @staticmethod
    def of(stage: StageTangent, tangents: list[SchurTangent], inverse: Inverse) -> "_Inverted":
        def times(rows: StageRows) -> StageRows:
            return StageRows(rows.stage, *inverse.times(rows.cells, rows.fixed))

        earlier = tuple((d, y, times(y)) for d, y in stage.met_by(tangents))
        return _Inverted(stage, times(stage.c), earlier)

    def own(self, directions: FloatArray) -> FloatArray:
        r, _, q = self.stage.a.shape
        a, o = self.stage.a.reshape(r * r, q), self.cg.dot(self.stage.c).reshape(r * r, q)
        both = (a - o) @ (a - o).T - o @ o.T
        return _contracted(both.reshape(r, r, r, r), directions, directions)

    def with_own(self, directions: FloatArray) -> FloatArray:
        b = self.stage.b
        out = np.empty((len(directions), len(self.earlier)))
        for i, (d, _, yg) in enumerate(self.earlier):
            crossed = np.einsum("baq,bcq->ac", b, yg.dot(self.stage.c))
            both = np.tensordot(np.einsum("baq,bcq->acq", b, d), b, axes=([1, 2], [0, 2]))
            out[:, i] = np.einsum("eab,ab->e", directions, 2.0 * crossed - both)
        return out

    def among_themselves(self) -> FloatArray:
        t, n = self.stage.t, len(self.earlier)
        td = [np.einsum("abq,bcq->acq", t, d) for d, _, _ in self.earlier]
        out = np.empty((n, n))
        for i, (_, _, yg) in enumerate(self.earlier):
            for j, (_, y, _) in enumerate(self.earlier):
                out[i, j] = np.einsum("abq,baq->", td[i], td[j])
                out[i, j] += 2.0 * np.einsum("abq,baq->", t, yg.dot(y))
        return out


def _add_core(
    out: FloatArray, inverse: CoreInverse, directions: Directions, tangents: list[SchurTangent]
) -> None:
    """Add what the core has: traces of products of dense matrices."""
    factorization = inverse.factorization
    system, n = factorization.system, len(tangents)
    weighted = [inverse.of_traces @ tangent.at_core for tangent in tangents]  # G D
    for i in range(n):
        turned = np.ascontiguousarray(weighted[i].T)
        for j in range(i + 1):
            out[i, j] += np.vdot(turned, weighted[j])
            out[j, i] = out[i, j]
    if not system.core_factors:
        return
    schur = factorization.schur[:-1, :-1]
    b = inverse.residual_of_traces()
    places = [(f, d) for f, d in zip(system.factors, directions, strict=True) if f.core is not None]
    starts = n + np.concatenate([[0], np.cumsum([len(d) for _, d in places])])
    here = [slice(*pair) for pair in pairwise(starts)]
    for at, (f, d) in zip(here, places, strict=True):
        own = _of_factor(b, f)
        # tr(E B'DB), of few directions by BEB' once for all tangents
        few = d if len(d) < n else d[:0]
        bent = [np.tensordot(np.matmul(own, e), own, ((1, 2), (1, 2))) for e in few]
        for i, tangent in enumerate(tangents):
            values = [np.vdot(m, tangent.at_core) for m in bent]
            if not bent:
                passed = _of_factor(tangent.at_core @ b, f)  # DB
                values = np.einsum("eab,ab->e", d, np.einsum("nqa,nqb->ab", own, passed))
            out[at, i] = out[i, at] = -np.asarray(values)
    q_matrix = schur[: system.n_core] @ b  # Q = SB
    for at, (f, d) in zip(here, places, strict=True):
        for at2, (f2, d2) in zip(here, places, strict=True):
            own = _of_factor(q_matrix[f.core], f2).reshape(f.n_levels, f.n_columns, f2.n_levels, -1)
            both = np.einsum("jamd,jbmc->adbc", own, own, optimize=True)
            out[at, at2] = np.einsum("eab,fcd,adbc->ef", d, d2, both, optimize=True)


def _of_factor(matrix: FloatArray, factor: FactorLayout) -> FloatArray:
    """Take the factor's columns, level by level: (n, q, r)."""
    return matrix[:, factor.core].reshape(len(matrix), factor.n_levels, factor.n_columns)


def _contracted(sums: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Σ over levels of tr(E Q F Q), from Σ Q_ab Q_cd."""
    return np.asarray(np.einsum("fda,ead->ef", second, np.einsum("ebc,abcd->ead", first, sums)))
