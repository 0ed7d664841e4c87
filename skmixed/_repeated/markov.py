"""Blocks whose residuals are of Markov type, in operations that are linear in their rows.

With A = R⁻¹, which has entries of neighbors alone, and the random effects within blocks,

    S⁻¹ = A − AZMZ'A,    M = Λ(Λ'Z'AZΛ + I)⁻¹Λ',    log|S| = log|R| + log|Λ'Z'AZΛ + I|,

so that of each block Z'AZ and Z'AW are needed, and of all rows W'AW.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._derivatives.precision import PrecisionAt, Tridiagonal
from skmixed._model.chart import block_diagonal
from skmixed._model.residual import Residual
from skmixed._repeated.chains import (
    ChainProducts,
    ChainRows,
    ChainStratum,
    ChainTerm,
    chain_moments,
    effect_factor,
)
from skmixed._repeated.rows import LaidRows, RowsBeside, weights_beside
from skmixed._typing import FloatArray, IntArray, Lam, Moments


@dataclass(frozen=True)
class MarkovBlocks:
    """Blocks whose residuals are of Markov type.

    Attributes
    ----------
    rows : (n,) array of int
        Which rows they are, chain by chain.
    chains : ChainRows
    products : ChainProducts
    terms : tuple of ChainTerm
    strata : tuple of ChainStratum
    """

    rows: IntArray
    chains: ChainRows
    products: ChainProducts
    terms: tuple[ChainTerm, ...]
    strata: tuple[ChainStratum, ...]

    @property
    def n_entries(self) -> int:
        return self.chains.n_row_classes + 3 * self.chains.n_pair_classes

    @property
    def block_of_row(self) -> IntArray:
        """The number of the block of each row, (n,)."""
        return self.chains.block

    def at(self, residual: Residual, lam: Lam, phi: FloatArray) -> "MarkovAt":
        """Evaluate the covariance; a LinAlgError where it is not positive definite."""
        strata = tuple(s.classes.at(phi[residual.of_stratum(s.number)]) for s in self.strata)
        entries = np.empty(self.n_entries)
        for stratum, at in zip(self.strata, strata, strict=True):
            entries[stratum.entries] = at.value
        squares, within = self.products.weighted(entries[None])
        q = len(self.chains.effects)
        root = effect_factor(self.terms, lam, q)
        # Λ'Z'AZΛ + I = LL', and half = L⁻¹Λ' with M = half'half
        chol = np.linalg.cholesky(root.T @ within[0, :, :, :q] @ root + np.eye(q))
        half = np.linalg.inv(chol) @ root.T
        logdet = 2.0 * float(np.log(np.diagonal(chol, axis1=1, axis2=2)).sum())
        logdet += sum(at.logdet for at in strata)
        seen = (half @ within[0, :, :, q:]).reshape(-1, len(squares[0]))
        products = squares[0] - seen.T @ seen
        if not np.isfinite(logdet):
            raise np.linalg.LinAlgError("a covariance without a determinant")
        middle = half.transpose(0, 2, 1) @ half
        own = squares[0], within[0]
        return MarkovAt(
            self, residual, phi, strata, root @ root.T, entries, *own, middle, products, logdet
        )

    def moments(self, matrix: FloatArray, m: int) -> Iterator[Moments]:
        shape = len(self.chains.starts), len(self.chains.effects)
        zeros = np.zeros((*shape, shape[1])), np.zeros((*shape, len(matrix)))
        return chain_moments(self.strata, self.products.gram(matrix, *zeros), m)


@dataclass(frozen=True)
class MarkovAt:
    """Blocks at one Λ and φ.

    Attributes
    ----------
    blocks : MarkovBlocks
    residual : Residual
    phi : (f,) array
        φ of all strata.
    strata : tuple of PrecisionAt
    covariance : (q, q) array
        Σ of all columns of Z.
    entries : (r + 3c,) array
        Those of A = R⁻¹.
    squares : (k, k) array
        W'AW.
    within : (b, q, q + k) array
        Z'A[Z W] of each block.
    middle : (b, q, q) array
        M.
    products : (k, k) array
        W'S⁻¹W.
    logdet : float
        log|S| of all blocks.
    """

    blocks: MarkovBlocks
    residual: Residual
    phi: FloatArray
    strata: tuple[PrecisionAt, ...]
    covariance: FloatArray
    entries: FloatArray
    squares: FloatArray
    within: FloatArray
    middle: FloatArray
    products: FloatArray
    logdet: float

    @property
    def chains(self) -> ChainRows:
        return self.blocks.chains

    @cached_property
    def precision(self) -> Tridiagonal:
        """A."""
        return self.chains.matrix(self.entries)

    @property
    def of_effects(self) -> FloatArray:
        """H = Z'AZ of each block, (b, q, q)."""
        return self.within[:, :, : len(self.chains.effects)]

    @property
    def with_rows(self) -> FloatArray:
        """N = Z'AW of each block, (b, q, k)."""
        return self.within[:, :, len(self.chains.effects) :]

    @cached_property
    def fitted(self) -> FloatArray:
        """G = MN, with S⁻¹W = A(W − ZG); (b, q, k)."""
        return self.middle @ self.with_rows

    def times(self, columns: FloatArray) -> FloatArray:
        """Return S⁻¹ times columns of the rows, (n, c)."""
        seen = self.precision.times(np.ascontiguousarray(columns.T))
        effects = self.middle @ self.chains.block_products(self.chains.effects, seen)
        return (seen - self.precision.times(self.chains.of_effects(effects))).T

    def cluster_products(self, columns: FloatArray) -> FloatArray:
        """Return C'S⁻¹C of each block, for columns (n, c); (b, c, c)."""
        return self.chains.block_products(columns.T, self.times(columns).T)

    @property
    def diagonal(self) -> FloatArray:
        """The diagonal of S⁻¹, (n,)."""
        seen = self.precision.times(self.chains.effects)
        inner = self.middle[self.chains.block]
        return self.precision.diagonal - np.einsum("an,nab,bn->n", seen, inner, seen, optimize=True)

    @property
    def _row_variances(self) -> FloatArray:
        """The diagonal of R, (n,)."""
        n, pairs = self.blocks.n_entries, zip(self.blocks.strata, self.strata, strict=True)
        of_entries = [s.among(at.classes.of_rows(at.row_variances), n) for s, at in pairs]
        return np.asarray(sum(of_entries))[self.chains.row_class]

    @property
    def residual_variance(self) -> float:
        """The sum of the diagonal of R."""
        return float(self._row_variances.sum())

    @property
    def least_share(self) -> float:
        """The least variance of a row given the others of its block, as a share of its own."""
        return float((1.0 / (self._row_variances * self.diagonal)).min())

    def directions(self) -> "MarkovDirections":
        return MarkovDirections(self)

    def residual_parts(self, rows: RowsBeside, laid: LaidRows, whitened: FloatArray) -> FloatArray:
        """Return r'Py of rows beside blocks, for Py of all rows."""
        # α'RPy with r = Rα
        seen = self.precision.solve(whitened[self.blocks.rows][None])[0]
        at, weights, _ = weights_beside(rows, laid, self.blocks.rows, self.residual, self.phi)
        return np.asarray((weights * seen[at]).sum(axis=1))

    def reductions(self, rows: RowsBeside, laid: LaidRows) -> tuple[FloatArray, FloatArray]:
        """Return c'S⁻¹c and c'S⁻¹U of rows beside blocks, c = Rα + Zv their covariances."""
        known = self.blocks.rows
        at, weights, explained = weights_beside(rows, laid, known, self.residual, self.phi)
        chains, v = self.chains, np.zeros((len(rows.block), len(self.covariance)))
        for term in self.blocks.terms:
            term.lay(v, rows, laid.terms[term.index][1][known], chains.block)
        v = v @ self.covariance
        of_rows = np.einsum("mi,umi->mu", weights, chains.wide[:-1, at])
        of_effects = np.einsum("mi,qmi->mq", weights, chains.effects[:, at])
        # Z'Ac = Z'α + Hv, and c'Ac = α'Rα + 2α'Zv + v'Hv
        seen = of_effects + np.einsum("mab,mb->ma", self.of_effects[rows.block], v)
        square = explained + ((of_effects + seen) * v).sum(axis=1)
        solved = np.einsum("mab,mb->ma", self.middle[rows.block], seen)
        inner = self.with_rows[rows.block][:, :, :-1]
        left = of_rows + np.einsum("mq,mqu->mu", v - solved, inner)
        return square - (seen * solved).sum(axis=1), left


@dataclass(frozen=True)
class MarkovDirections:
    """The directions of blocks of Markov type, with A_i = ∂A/∂θ_i = −AR_iA.

    In terms of H, N, G = MN and Y = W − ZG, E = I − MH and F = HE = Z'S⁻¹Z, the rows are
    S⁻¹W = AY, and of derivatives Z'A_i[Z W] and W'A_iW are needed. Of the directions
    ZDZ' of the random effects all is known without the rows.

    Attributes
    ----------
    at : MarkovAt
    """

    at: MarkovAt

    @property
    def places(self) -> list[int]:
        blocks = self.at.blocks
        parts = [t.place for t in blocks.terms] + [s.place for s in blocks.strata]
        return [k for own in parts for k in range(own.start, own.stop)]

    @cached_property
    def _d(self) -> FloatArray:
        """D of the parameters of the random effects, (t, q, q)."""
        q = len(self.at.chains.effects)
        return np.concatenate([np.empty((0, q, q)), *(t.directions for t in self.at.blocks.terms)])

    @cached_property
    def _entries(self) -> FloatArray:
        """The entries of A_i of the parameters of the residuals, (f, r + 3c)."""
        pairs = zip(self.at.blocks.strata, self.at.strata, strict=True)
        n = self.at.blocks.n_entries
        return np.concatenate([stratum.among(at.first, n) for stratum, at in pairs])

    @cached_property
    def _weighted(self) -> tuple[FloatArray, FloatArray]:
        """W'A_iW, (f, k, k), and Z'A_i[Z W], (f, b, q, q + k)."""
        at, products, n = self.at, self.at.blocks.products, self.at.blocks.n_entries
        parts = []
        for stratum, own in zip(at.blocks.strata, at.strata, strict=True):
            exponents = stratum.among(own.classes.exponents, n)
            if np.ptp(exponents) == 0.0:  # One variance: A_i = eA
                outer = np.multiply.outer(exponents[:, 0], at.within)
                parts.append((np.multiply.outer(exponents[:, 0], at.squares), outer))
            else:
                parts.append(products.scaled(at.entries, exponents))
            parts.append(products.weighted(stratum.among(own.by_correlations, n)))
        squares, within = zip(*parts, strict=True)
        return np.concatenate(squares), np.concatenate(within)

    @property
    def _h(self) -> FloatArray:
        """H_i = Z'A_iZ, (f, b, q, q)."""
        return self._weighted[1][..., : len(self.at.chains.effects)]

    @cached_property
    def _with_y(self) -> FloatArray:
        """Z'A_iY, (f, b, q, k)."""
        return self._weighted[1][..., len(self.at.chains.effects) :] - self._h @ self.at.fitted

    @cached_property
    def _e(self) -> FloatArray:
        """E, (b, q, q)."""
        return np.eye(len(self.at.chains.effects)) - self.at.middle @ self.at.of_effects

    @cached_property
    def _f(self) -> FloatArray:
        """F, (b, q, q)."""
        return self.at.of_effects @ self._e

    @cached_property
    def _seen(self) -> FloatArray:
        """E'N = Z'S⁻¹W, (b, q, k)."""
        return self._e.transpose(0, 2, 1) @ self.at.with_rows

    def _of_errors(self, squares: FloatArray, within: FloatArray) -> FloatArray:
        """Return Y'BY from W'BW and Z'B[Z W], (f, k, k)."""
        q, fitted = len(self.at.chains.effects), self.at.fitted
        # W'BW − G'Z'BW − (Z'BY)'G
        left = np.einsum("bqk,fbql->fkl", fitted, within[..., q:], optimize=True)
        with_y = within[..., q:] - within[..., :q] @ fitted
        return squares - left - np.einsum("fbqk,bql->fkl", with_y, fitted, optimize=True)

    def traces(self) -> FloatArray:
        of_terms = np.einsum("tij,bji->t", self._d, self._f)
        of_strata = [at.logdet_first for at in self.at.strata]
        inner = np.einsum("bij,fbji->f", self.at.middle, self._h)
        return np.concatenate([of_terms, np.concatenate(of_strata) + inner])

    def products(self) -> FloatArray:
        seen = self._seen
        of_terms = np.einsum("bik,tij,bjl->tkl", seen, self._d, seen, optimize=True)
        return np.concatenate([of_terms, -self._of_errors(*self._weighted)])

    def average(self, weights: FloatArray) -> FloatArray:
        at, t = self.at, len(self._d)
        # a_i = S_iS⁻¹e of e = Wc is −RA_iYc, or ZDn for n = E'Nc
        n, by_phi = self._seen @ weights, self._with_y @ weights
        by_tau = np.einsum("tij,bj->tbi", self._d, n)
        error = weights @ at.chains.wide - at.chains.of_effects((at.fitted @ weights)[:, :, None])
        rows = np.concatenate(list(self._pushed(error[0])))
        out = np.empty((t + len(rows),) * 2)
        out[:t, :t] = np.einsum("sbi,bij,tbj->st", by_tau, self._f, by_tau, optimize=True)
        out[t:, :t] = -np.einsum("fbi,bij,tbj->ft", by_phi, self._e, by_tau, optimize=True)
        out[:t, t:] = out[t:, :t].T
        inner = np.einsum("fbi,bij,gbj->fg", by_phi, at.middle, by_phi, optimize=True)
        out[t:, t:] = rows @ at.precision.solve(rows).T - inner
        return out

    def _pushed(self, error: FloatArray) -> Iterator[FloatArray]:
        """Return A_i times a column of the rows, (n,): of s (LA + AL) times it, and of C."""
        at, chains, n = self.at, self.at.chains, self.at.blocks.n_entries
        seen = at.precision.times(error[None])[0]
        for stratum, own in zip(at.blocks.strata, at.strata, strict=True):
            exponents = stratum.among(own.classes.exponents, n)[:, : chains.n_row_classes]
            half = np.take(exponents, chains.row_class, axis=1) / 2.0
            yield half * seen + at.precision.times(half * error)
            for entries in stratum.among(own.by_correlations, n):
                yield chains.matrix(entries).times(error[None])

    def observed(self, matrix: FloatArray) -> FloatArray:
        at, t, d, f = self.at, len(self._d), self._d, self._f
        out = np.empty((t + len(self._h),) * 2)
        # −tr(DFDF) + 2tr(DFDX) with X = E'NBN'E, of two directions of random effects
        x = self._seen @ matrix @ self._seen.transpose(0, 2, 1)
        last = 2.0 * x - f
        out[:t, :t] = np.einsum("sij,bjk,tkl,bli->st", d, f, d, last, optimize=True)
        # ⟨EDE', H_i − 2Z'A_iYBN'⟩ of one
        mixed = self._with_y @ matrix
        right = self._h - 2.0 * mixed @ at.with_rows.transpose(0, 2, 1)
        sides = np.einsum("bij,tjk,blk->tbil", self._e, d, self._e, optimize=True)
        out[t:, :t] = np.einsum("tbij,fbij->ft", sides, right, optimize=True)
        out[:t, t:] = out[t:, :t].T
        # −tr(MH_iMH_j) − 2tr(M Z'A_iY B Y'A_jZ) of none
        left = at.middle @ self._h
        out[t:, t:] = -np.einsum("fbij,gbji->fg", left, left, optimize=True)
        out[t:, t:] -= 2.0 * np.einsum(
            "fbik,bij,gbjk->fg", mixed, at.middle, self._with_y, optimize=True
        )
        weights = at.blocks.products.gram(matrix, at.middle, at.fitted)
        out[t:, t:] += self._curvature(weights)
        return out

    def _curvature(self, weights: FloatArray) -> FloatArray:
        """Return ∂² log|R| and Σ_m w_m ∂²a_m over the entries a of A, (f, f)."""
        parts = [
            own.logdet_second + own.curvature(weights[stratum.entries])
            for stratum, own in zip(self.at.blocks.strata, self.at.strata, strict=True)
        ]
        return block_diagonal(parts)

    def pair_products(self, weights: FloatArray) -> FloatArray:
        own, t = weights[np.ix_(self.places, self.places)], len(self._d)
        # Σ_ij w_ij a_i'S⁻¹a_j for a_i = S_iS⁻¹W, ZDE'N or −RA_iY: first of a pair of φ
        by_tau = np.einsum("tij,bjk->tbik", self._d, self._seen, optimize=True)
        total = self._pairs_of_rows(own[t:, t:])
        mixed = np.tensordot(own[t:, t:], self._with_y, 1)
        total -= np.einsum("fbik,bij,fbjl->kl", self._with_y, self.at.middle, mixed, optimize=True)
        # then of one φ and one τ, and of two τ
        mixed = np.tensordot(own[t:, :t], by_tau, 1)
        of_both = np.einsum("fbik,bij,fbjl->kl", self._with_y, self._e, mixed, optimize=True)
        mixed = np.tensordot(own[:t, :t], by_tau, 1)
        total += np.einsum("tbik,bij,tbjl->kl", by_tau, self._f, mixed, optimize=True)
        return np.asarray(total - of_both - of_both.T)

    def _pairs_of_rows(self, weights: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij Y'A_iRA_jY, (k, k)."""
        at, chains = self.at, self.at.chains
        rows = chains.wide - chains.of_effects(at.fitted)
        total = np.zeros((len(rows), len(rows)))
        for own, mixed in zip(self._entries, weights @ self._entries, strict=True):
            right = at.precision.solve(chains.matrix(mixed).times(rows))
            total += chains.matrix(own).times(rows) @ right.T
        return total

    def second_products(self, weights: FloatArray) -> FloatArray:
        # AR_ijA = A_iRA_j + A_jRA_i − A_ij
        places = [weights[s.place, s.place] for s in self.at.blocks.strata]
        entries = np.zeros((1, self.at.blocks.n_entries))
        for stratum, own, place in zip(self.at.blocks.strata, self.at.strata, places, strict=True):
            entries[0, stratum.entries] = own.mixture(place)
        total = self._pairs_of_rows(block_diagonal(places))
        bends = self._of_errors(*self.at.blocks.products.weighted(entries))[0]
        return np.asarray(total + total.T - bends)
