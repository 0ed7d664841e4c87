"""The expected information on the variance components, tr(P V_i P V_j).

With V_i = Z_k D_i Z_k' the entries are minus the second derivatives of
log|V| + log|X'V⁻¹X| in the directions D_i of Σ_k, since V is linear in them. They
are taken along the elimination, with the matrices of `tangents`. With G the
inverse of what remains, a stage adds, level by level,

    tr(AEAF) − tr(OEAF) − tr(OFAE),  O = CGC'          for two own directions
    −tr(EB'DB) + 2 tr(E B'YGC')                          for an own and an earlier one
    tr(TDTD̃) + 2 tr(T Y G Ỹ')                            for two earlier ones

Without the columns of X in G it is tr(V⁻¹ V_i V⁻¹ V_j): maximum likelihood. For what
it serves: docs/mathematics.md, "Kenward and Roger".
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skmixed._equations.cholesky import Factorization
from skmixed._equations.layout import FactorLayout
from skmixed._equations.selected_inverse import Inverse, core_residual
from skmixed._equations.tangents import SchurTangent, StageRows, StageTangent
from skmixed._equations.working_variates import of_core_factor
from skmixed._typing import Directions, FloatArray, IntArray


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
    factorization: Factorization,
    directions: Directions,
    inverse: FloatArray,
    trace_inverse: FloatArray,
) -> Expected:
    """Return tr(P V_i P V_j) and X'V⁻¹V_iV⁻¹X, factor by factor.

    Parameters
    ----------
    factorization : Factorization
    directions : tuple of (d, r, r) arrays
        Symmetric directions of each factor's Σ, in the order of the blocks.
    inverse : (q_core + p,) * 2 array
        That of `core_inverse`.
    trace_inverse : (q_core + p,) * 2 array
        The same for P; with ``without_fixed`` V⁻¹ takes its place.

    Notes
    -----
    Costs d factorizations. A direction of an inner factor is carried along as a
    matrix of the remaining system, so that memory is d times that of the core.
    """
    blocks = factorization.blocks
    total = sum(len(d) for d in directions)
    information = np.zeros((total, total))
    remaining = Inverse.along(factorization, trace_inverse)
    tangents: list[SchurTangent] = []
    for k, own in enumerate(directions[: len(blocks.stages)]):
        stage = StageTangent.of(factorization, k)
        inverted = _Inverted.of(stage, tangents, remaining[k])
        n = len(tangents)
        here = slice(n, n + len(own))
        information[here, here] += inverted.own(own)
        if n:
            information[here, :n] += inverted.with_own(own)
            information[:n, here] = information[here, :n].T
            information[:n, :n] += inverted.among_themselves()
        tangents = stage.beyond(tangents, own)
    information += _of_core(factorization, directions, trace_inverse, tangents)
    return Expected(information, _of_fixed(factorization, directions, inverse, tangents))


def _of_fixed(
    factorization: Factorization,
    directions: Directions,
    inverse: FloatArray,
    tangents: list[SchurTangent],
) -> FloatArray:
    """Return X'V⁻¹V_iV⁻¹X, (d, p, p): what the tangents come to at X.

    With U' = [−S_XcG_0  I], which takes [Z_c X]'V_1⁻¹ to X'V⁻¹, G_0 the inverse
    without X.
    """
    p, chol = factorization.blocks.n_fixed, factorization.chol_x
    u = inverse[:, len(inverse) - p :] @ (chol @ chol.T)
    out = [-(u.T @ tangent.core @ u) for tangent in tangents]
    n = len(factorization.stages)
    for factor, own in zip(factorization.blocks.core_factors, directions[n:], strict=True):
        zvx = of_core_factor(factorization, factor, -u[: len(inverse) - p], np.eye(p, p + 1))
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
        n_chain = stage.factorization.blocks.n_chain
        earlier = [(d, y, _times_inverse(y, inverse, n_chain)) for d, y in stage.met_by(tangents)]
        return _Inverted(stage, _times_inverse(stage.c, inverse, n_chain), tuple(earlier))

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
            summed = 2.0 * crossed - np.einsum("baq,bcq,cdq->ad", b, d, b, optimize=True)
            out[:, i] = np.einsum("eab,ab->e", directions, summed)
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


def _times_inverse(rows: StageRows, inverse: Inverse, n_chain: int) -> StageRows:
    """Return rows·G at the same cells and at X."""
    return StageRows(rows.stage, *inverse.times(rows.stage, rows.cells, rows.fixed, n_chain))


def _of_core(
    factorization: Factorization,
    directions: Directions,
    inverse: FloatArray,
    tangents: list[SchurTangent],
) -> FloatArray:
    """Add what the core has: traces of products of dense matrices."""
    blocks, n = factorization.blocks, len(tangents)
    total = sum(len(d) for d in directions)
    out = np.zeros((total, total))
    weighted = [inverse @ tangent.core for tangent in tangents]
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = out[j, i] = np.vdot(weighted[i], weighted[j].T)
    if not blocks.core_factors:
        return out
    schur = factorization.schur[:-1, :-1]
    b = _core_residual(factorization, inverse)
    places = [(f, d) for f, d in zip(blocks.factors, directions, strict=True) if f.core is not None]
    starts = n + np.concatenate([[0], np.cumsum([len(d) for _, d in places])])
    here = [slice(*pair) for pair in pairwise(starts)]
    for i, tangent in enumerate(tangents):
        passed = tangent.core @ b
        for at, (f, d) in zip(here, places, strict=True):
            blocks_of = np.einsum("nqa,nqb->ab", *(_of_factor(m, f) for m in (b, passed)))
            out[at, i] = out[i, at] = -np.einsum("eab,ab->e", d, blocks_of)
    q_matrix = schur[: blocks.n_core] @ b
    for at, (f, d) in zip(here, places, strict=True):
        for at2, (f2, d2) in zip(here, places, strict=True):
            own = _of_factor(q_matrix[f.core], f2).reshape(f.n_levels, f.n_columns, f2.n_levels, -1)
            both = np.einsum("jamd,jbmc->adbc", own, own, optimize=True)
            out[at, at2] = np.einsum("eab,fcd,adbc->ef", d, d2, both, optimize=True)
    return out


def _core_residual(factorization: Factorization, inverse: FloatArray) -> FloatArray:
    """Return I − GS at the random effects of the core, (q_core + p, q_core).

    In the span of Λ that is G(ΛΛ')⁺ (`span`).
    """
    n = len(inverse)
    out = np.empty((n, factorization.blocks.n_core))
    for factor in factorization.blocks.core_factors:
        span, own = factorization.spans.get(factor.entries.start), factor.core
        if span is None or span.null is not None:
            out[:, own] = core_residual(factorization, inverse, factor)
        if span is not None:
            shape = (n, factor.n_levels, factor.n_columns)
            solved = np.matmul(inverse[:, own].reshape(shape), span.precision)
            if span.null is not None:
                solved += np.matmul(out[:, own].reshape(shape), span.null)
            out[:, own] = solved.reshape(n, -1)
    return out


def _of_factor(matrix: FloatArray, factor: FactorLayout) -> FloatArray:
    """Take the factor's columns, level by level: (n, q, r)."""
    return matrix[:, factor.core].reshape(len(matrix), factor.n_levels, factor.n_columns)


def _contracted(sums: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Σ over levels of tr(E Q F Q), from Σ Q_ab Q_cd."""
    return np.asarray(np.einsum("fda,ead->ef", second, np.einsum("ebc,abcd->ead", first, sums)))
