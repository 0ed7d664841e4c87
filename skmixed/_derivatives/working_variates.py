"""The columns F_ab = Z_a ρ_b of all factors, projected: F'PF and what comes with it.

For a response v, ρ = Z'V⁻¹v, so that F_ab is V_abV⁻¹v with V_ab = Z E_ab Z'. With
y − Xβ̂ for v, F'PF is the average information (Gilmour, Thompson and Cullis, 1995,
Biometrics 51, equation 7); with the columns of X it is what Kenward and Roger
(1997, Biometrics 53) call Q_ij − P_iΦP_j.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.level_products import Projected, Responses, project_stage
from skmixed._equations.cholesky import Factorization
from skmixed._equations.layout import FactorLayout
from skmixed._equations.level_algebra import Span
from skmixed._equations.selected_inverse import Inverse, core_residual
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class Projection:
    """Sums over levels for c responses, over the n entries of all factors.

    Attributes
    ----------
    trace : array
        Σ_j (Z'PZ)_jj of the eliminated factors, each row by row.
    outer : (n, c, c) array
        Σ_j ρ_jρ_j': v'V⁻¹V_abV⁻¹v.
    products : (n·c, n·c) array
        F'PF; the response runs fastest.
    """

    trace: FloatArray
    outer: FloatArray
    products: FloatArray


def project(
    factorization: Factorization, selected: Inverse, responses: Responses, inverse: FloatArray
) -> Projection:
    """Project the columns of all factors.

    Parameters
    ----------
    factorization : Factorization
    selected : Inverse
        G for the traces.
    responses : Responses
    inverse : (q_core + p,) * 2 array
        G for F'PF, that of `core_inverse`.
    """
    blocks, c = factorization.blocks, len(responses.weights)
    columns = _Columns(factorization, c)
    traces, outers = [np.empty(0)], []
    for k in range(len(blocks.stages)):
        part = project_stage(factorization, k, selected, responses)
        columns.eliminate(k, part)
        traces.append(part.trace.ravel())
        outers.append(_by_entry(part.outer))
    for factor in blocks.core_factors:
        effects = responses.outer[blocks.n_chain :]
        rho = of_core_factor(factorization, factor, effects, responses.weights)
        columns.add_core(factor, rho)
        outers.append(_by_entry(np.tensordot(rho, rho, ((0,), (0,)))))
    return Projection(np.concatenate(traces), np.concatenate(outers), columns.projected(inverse))


def _by_entry(outer: FloatArray) -> FloatArray:
    """Turn (r, c, r, c) to (r², c, c)."""
    r, c, _, _ = outer.shape
    return outer.transpose(0, 2, 1, 3).reshape(r * r, c, c)


class _Columns:
    """The columns of the factors so far, as the stages are eliminated.

    products is F'V_1⁻¹F, outer and fixed are Z_c'V_1⁻¹F and X'V_1⁻¹F, with V_1 the
    covariance of the stages so far; columns of later factors are still zero.
    """

    def __init__(self, factorization: Factorization, n_responses: int) -> None:
        blocks = factorization.blocks
        size = blocks.factors[-1].entries.stop * n_responses
        self.factorization = factorization
        self.n_responses = n_responses
        self.products = np.zeros((size, size))
        self.outer = np.zeros((blocks.factors[-1].outer.stop, size))
        self.fixed = np.zeros((blocks.n_fixed, size))
        self.core: list[tuple[FactorLayout, FloatArray]] = []

    def _of(self, factor: FactorLayout) -> slice:
        own = factor.entries
        return slice(own.start * self.n_responses, own.stop * self.n_responses)

    def eliminate(self, k: int, part: Projected) -> None:
        """Take the stage out of the columns before it; add its own."""
        own = self._of(self.factorization.blocks.factors[k])
        if k:
            self._take(k, part)
        self.products[own, own] = part.within
        self.outer[:, own] += part.to_outer
        self.fixed[:, own] += part.to_fixed

    def _take(self, k: int, part: Projected) -> None:
        done, place = self.factorization.stages[k], self.factorization.blocks.factors[k]
        own, q, r = self._of(place), place.n_levels, place.n_columns
        n = own.start
        # v = Z'V_1⁻¹F at the stage, (r, n, q), and w = L⁻¹Λ'v
        here = self.outer[place.outer, :n].reshape(q, r, n).transpose(1, 2, 0)
        half = done.half_solve(here)
        # F'V⁻¹F loses w'w; the stage's own columns have ρ'(v − Z'ZΛL⁻ᵀw) with them
        flat = half.transpose(1, 0, 2).reshape(n, -1)
        self.products[:n, :n] -= flat @ flat.T
        crossed = np.einsum("bxq,anq->abxn", part.rho, done.gls_columns(here, half))
        self.products[own, :n] = crossed.reshape(-1, n)
        self.products[:n, own] = self.products[own, :n].T
        done.take_later(half, self.outer[:, :n], self.fixed[:, :n])

    def add_core(self, factor: FactorLayout, rho: FloatArray) -> None:
        """Add the columns of a factor in the core, (q, r, c) residuals ρ."""
        self.core.append((factor, rho))
        schur, n = self.factorization.schur[:-1, factor.core], self.factorization.blocks.n_core
        own, (q, r, _) = self._of(factor), rho.shape
        by_level = schur.reshape(len(schur), q, r)
        rhs = np.einsum("nqa,qbx->nabx", by_level, rho, optimize=True).reshape(len(schur), -1)
        self.outer[self.factorization.blocks.n_chain :, own] = rhs[:n]
        self.fixed[:, own] = rhs[n:]
        outer = self.outer[factor.outer].reshape(q, r, -1)
        rows = np.einsum("qbx,qan->abxn", rho, outer).reshape(-1, outer.shape[2])
        self.products[own] = rows
        self.products[:, own] = rows.T

    def projected(self, inverse: FloatArray) -> FloatArray:
        """Return F'PF, with the inverse of the core and X."""
        chain = self.factorization.blocks.n_chain
        rhs = np.concatenate([self.outer[chain:], self.fixed])
        solved = inverse @ rhs
        out = self.products - rhs.T @ solved
        for factor, rho in self.core:
            span, own = self.factorization.spans.get(factor.entries.start), self._of(factor)
            if span is not None:
                left = None
                if span.null is not None:
                    left = core_residual(self.factorization, inverse, factor).T @ rhs
                projected = in_core_span(span, solved[factor.core], left)
                rows = np.einsum("qbx,qan->abxn", rho, projected).reshape(-1, len(out))
                out[own], out[:, own] = rows, rows.T
        return out


def of_core_factor(
    factorization: Factorization, factor: FactorLayout, effects: FloatArray, weights: FloatArray
) -> FloatArray:
    """Return ρ = Z'V⁻¹ of a factor in the core, (q, r, c).

    Of c responses with weights as in `Responses`, (c, p + 1), and effects in the
    core, (q_core, c).
    """
    span = factorization.spans.get(factor.entries.start)
    if span is not None and span.null is None:
        return in_core_span(span, effects[factor.core], None)
    left = factorization.schur[factor.core] @ np.concatenate([-effects, weights.T])
    left = left.reshape(factor.n_levels, factor.n_columns, -1)
    return left if span is None else in_core_span(span, effects[factor.core], left)


def in_core_span(span: Span, solved: FloatArray, left: FloatArray | None) -> FloatArray:
    """Return Z'P of a factor in the core applied to something, (q, r, n), by `span`.

    `solved` are its effects, and `left` the difference Z'V_1⁻¹ less what they take.
    """
    r = len(span.precision)
    out = np.matmul(span.precision, solved.reshape(len(solved) // r, r, -1))
    if span.null is not None and left is not None:
        out += np.matmul(span.null, left.reshape(out.shape))
    return out
