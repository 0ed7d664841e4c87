"""The system in units of the random effects themselves.

Derivatives with respect to Σ have the size of Z'PZ, and Z'V⁻¹Z = ((Z'Z)⁻¹ + Σ)⁻¹ per
level: 1 for a combination of effects without variance, 1e-7 for one whose standard
deviation is some thousand times the residual one. In the columns of the data a sum
over levels of products of these has lost the small ones before they are told apart.
So the columns of each term become ZT with TT' = S̄⁻¹ + Σ, S̄ the mean over levels of
what Z'Z is where the term is eliminated, in which T'Z'V⁻¹ZT is about the identity,
and Λ becomes E = T⁻¹Λ; those of X become XF with F'X'V⁻¹XF = I. All that does not
depend on the parametrization of Σ is the same: degrees of freedom, adjusted
covariances, errors of components.

T keeps the structure: any matrix where every covariance is allowed, a diagonal one
where the scale of each column is free, else a multiple of the identity. Derived in
docs/mathematics.md, "Units in which these are computed".
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.information import Information, information
from skmixed._equations.cholesky import Factorization, congruent, factorize
from skmixed._equations.layout import DesignRows, FactorLayout, Stage, as_sparse
from skmixed._equations.level_algebra import Span
from skmixed._equations.selected_inverse import random_inverse
from skmixed._equations.system import Blocks
from skmixed._model.covariance import is_unrestricted
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, Lam

# Least eigenvalue of S̄, scaled to a unit diagonal, that is told from 0.
COLLINEAR = 1e-12


@dataclass(frozen=True)
class Units:
    """The units of the columns of Z and X.

    Attributes
    ----------
    bases, lam : tuples of (s, s) arrays
        T and E of each term, by its index: Λ = TE.
    fixed : (p, p) array
        F, the columns of X becoming XF: β = Fβ_F.
    """

    bases: Lam
    lam: Lam
    fixed: FloatArray

    @staticmethod
    def of(factorization: Factorization) -> "Units":
        blocks = factorization.blocks
        found = {}
        for k, factor in enumerate(blocks.factors):
            products = _mean_products(factorization, k)
            for term in factor.terms:
                own = term.to_factor_columns.T @ products @ term.to_factor_columns
                found[term.index] = _unit(term, own, factorization.lam[term.index])
        parts = [found[term.index] for _, term in blocks.terms]
        fixed = factorization.fixed.inverse_root
        return Units(tuple(t for t, _ in parts), tuple(e for _, e in parts), fixed)

    def factorize(self, blocks: Blocks) -> Factorization:
        """Factorize blocks, of the same terms, in these units."""
        done = factorize(_in_units(blocks, self), self.lam)
        spans = {f.entries.start: Span.of(f.lam(self.lam)) for f in done.blocks.factors}
        stages = tuple(stage.in_span() for stage in done.stages)
        done = replace(done, spans=spans, stages=stages)
        of_core = [spans[f.entries.start] for f in done.blocks.core_factors]
        if any(s.null is not None for s in of_core):  # where Λ lacks rank
            done = replace(done, random_inverse=random_inverse(done))
        return done

    def rows(self, blocks: Blocks, rows: DesignRows) -> DesignRows:
        """Return rows of [Z X] in these units, from rows in the coordinates of the blocks."""
        factors = []
        for factor, own in zip(blocks.factors, rows.factors, strict=True):
            base, q = factor.lam(self.bases), factor.n_levels
            parts = np.broadcast_to(base, (q, *base.shape)), np.arange(q), np.arange(q + 1)
            shape = (q * base.shape[0], q * base.shape[1])
            factors.append(own @ sp.bsr_array(parts, shape=shape).tocsr())
        return DesignRows(tuple(factors), as_sparse(rows.fixed) @ self.fixed)


def _mean_products(factorization: Factorization, k: int) -> FloatArray:
    """Return S̄ of a factor's columns, (r, r)."""
    blocks, factor = factorization.blocks, factorization.blocks.factors[k]
    q, r = factor.n_levels, factor.n_columns
    if factor.core is None:
        own = factorization.stages[k].products[:, :, blocks.stages[k].random]
        return np.asarray(own.sum(axis=(0, 3)) / q)
    own = factorization.schur[factor.core, factor.core].reshape(q, r, q, r)
    return np.asarray(np.einsum("qaqb->ab", own) / q)


def _unit(
    term: TermCoordinates, products: FloatArray, lam: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return T and E of a term."""
    structure = term.term.structure
    squares = np.maximum(np.diagonal(products), 0.0)
    variances = np.einsum("ab,ab->a", lam, lam)
    if is_unrestricted(structure):
        return _rotated(products, lam)
    if not structure.is_scale_invariant:
        squares, variances = np.full((2, len(lam)), [[squares.mean()], [variances.mean()]])
    # A column of zeros has no products: any unit will do.
    total = variances + 1.0 / np.where(squares > 0.0, squares, 1.0)
    unit = np.sqrt(total)
    return np.diag(unit), lam / unit[:, None]


def _rotated(products: FloatArray, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return T and E with E diagonal: the principal components of Λ in units of S̄."""
    scale = np.sqrt(np.maximum(np.diagonal(products), 0.0))
    scale = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(products / np.outer(scale, scale))
    values = np.maximum(values, COLLINEAR * values[-1]) if values[-1] > 0 else np.ones(len(lam))
    root = np.sqrt(values)
    nonzero = lam[:, lam.any(axis=0)]  # columns of zeros stay what they are
    whole = root[:, None] * (vectors.T @ (scale[:, None] * nonzero))
    left, sizes, _ = np.linalg.svd(whole)
    sizes = np.append(sizes, np.zeros(len(lam) - len(sizes)))
    unit = np.hypot(1.0, sizes)
    base = (vectors @ (left * unit / root[:, None])) / scale[:, None]
    return base, np.diag(sizes / unit)


def _in_units(blocks: Blocks, units: Units) -> Blocks:
    """Return the blocks with columns ZT and XF."""
    factors = _factors(blocks, units.bases)
    n, base = len(blocks.stages), [f.lam(units.bases) for f in blocks.factors]
    return replace(
        blocks,
        core=_core(blocks, units),
        stages=tuple(_stage(blocks, factors, base, units.fixed, k) for k in range(n)),
        factors=factors,
    )


def _core(blocks: Blocks, units: Units) -> FloatArray:
    out = blocks.core.copy()
    if blocks.n_core:
        out = congruent(blocks, units.bases, out, transposed=True)
    fixed = slice(len(out) - 1 - blocks.n_fixed, len(out) - 1)
    out[:, fixed] = out[:, fixed] @ units.fixed
    out[fixed] = units.fixed.T @ out[fixed]
    return out


def _factors(blocks: Blocks, bases: Lam) -> tuple[FactorLayout, ...]:
    """Lay out the factors anew: a column for each coefficient of each term."""
    out: list[FactorLayout] = []
    outer = entries = in_core = 0
    for factor in blocks.factors:
        r = sum(term.size for term in factor.terms)
        size = factor.n_levels * r
        width = size if out else 0
        identity = np.eye(r)
        terms = tuple(
            replace(t, to_factor_columns=identity[:, t.columns], to_user=t.to_user @ bases[t.index])
            for t in factor.terms
        )
        core = None if factor.core is None else slice(in_core, in_core + size)
        places = slice(outer, outer + width), slice(entries, entries + r * r)
        out.append(FactorLayout(factor.n_levels, r, terms, core, *places))
        in_core += 0 if core is None else size
        outer, entries = outer + width, entries + r * r
    return tuple(out)


def _stage(
    blocks: Blocks,
    factors: tuple[FactorLayout, ...],
    unit: list[FloatArray],
    fixed: FloatArray,
    k: int,
) -> Stage:
    stage, base = blocks.stages[k], unit[k]
    n, r, m, b = stage.products.shape
    s, p = base.shape[1], len(fixed)
    change = np.zeros((m, s + p + 1))  # a column of Z may be one of X, too
    change[stage.random, :s] = base
    change[stage.fixed[:-1], s:-1] = fixed
    change[stage.fixed[-1], -1] = 1.0
    left = np.matmul(base.T, stage.products.reshape(n, r, -1)).reshape(n, s, m, b)
    products = np.matmul(change.T, left)
    places = np.arange(s + p + 1)
    cells, values = _cells(blocks, factors, unit, k)
    rows = np.repeat(np.arange(cells.shape[0]), np.diff(cells.indptr))
    return Stage(products, places[:s], places[s:], cells, values, rows)


def _cells(
    blocks: Blocks, factors: tuple[FactorLayout, ...], unit: list[FloatArray], k: int
) -> tuple[sp.csr_array, FloatArray]:
    """Return the cells of a stage, level pair by level pair, and their values."""
    stage, s = blocks.stages[k], unit[k].shape[1]
    rows, columns, values = [np.empty(0, int)], [np.empty(0, int)], [np.empty((s, 0))]
    for old, new, base in zip(
        blocks.factors[k + 1 :], factors[k + 1 :], unit[k + 1 :], strict=True
    ):
        # A pair of levels that meet has all their columns, one after the other.
        at = (stage.cells.indices >= old.outer.start) & (stage.cells.indices < old.outer.stop)
        r, t = base.shape
        level = (stage.cells.indices[at][::r] - old.outer.start) // r
        pairs = stage.values[:, at].reshape(-1, len(level), r) @ base
        rows.append(np.repeat(stage.rows[at][::r], t))
        columns.append((new.outer.start + t * level[:, None] + np.arange(t)).ravel())
        values.append(unit[k].T @ pairs.reshape(len(unit[k]), -1))
    row, column = np.concatenate(rows), np.concatenate(columns)
    order = np.lexsort((column, row))
    starts = np.searchsorted(row[order], np.arange(stage.cells.shape[0] + 1))
    parts = np.ones(len(order)), column[order], starts
    cells = sp.csr_array(parts, shape=(stage.cells.shape[0], factors[-1].outer.stop))
    return cells, np.concatenate(values, axis=1)[:, order]


@dataclass(frozen=True, eq=False)
class Relative:
    """The system at the optimum in its own units, and the information there.

    Attributes
    ----------
    units : Units
    factorization : Factorization
        In these units.
    likelihood : Likelihood
    """

    units: Units
    factorization: Factorization
    likelihood: Likelihood

    @staticmethod
    def of(factorization: Factorization, likelihood: Likelihood) -> "Relative":
        units = Units.of(factorization)
        return Relative(units, units.factorize(factorization.blocks), likelihood)

    @cached_property
    def information(self) -> Information:
        """Observed and expected information on the variance parameters, in these units."""
        return information(self.factorization, self.likelihood)
