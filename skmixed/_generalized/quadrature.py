"""Adaptive Gauss–Hermite quadrature for one grouping factor, with its derivatives.

For level j with g(u) = Σ ℓ_i + ½u'u, the mode û and M = LL' the second derivatives there,

    −log L_j = ½ log|M| − log Σ_k ω_k exp(½ z_k'z_k − g(u_k)),    u_k = û + L⁻ᵀz_k

with the nodes z_k and weights ω_k of a standard normal (Pinheiro and Bates, 1995, J. Comput.
Graph. Stat. 4). The gradient is that of this sum, nodes that move included: with p_k the
share of node k, h = L⁻¹g_u(u_k) and S the symmetric matrix with the lower triangle of
Σ p_k z_k h',

    −log L_j' = Σ p_k ∂g(u_k) + r'û' + ⟨K, M'⟩,   r = Σ p_k g_u(u_k),   K = ½L⁻ᵀ(I − S)L⁻¹

The second derivatives are those of the integral itself, of which the nodes give the moments:
Σ p_k ∂²g − Cov_k(∂g) (Louis, 1982, J. R. Stat. Soc. B 44), at given u.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._equations.layout import FactorLayout
from skmixed._generalized.modes import Mode
from skmixed._generalized.system import GeneralizedSystem, RowSlab
from skmixed._model.binomial import STEP, BinaryLink, trapezoidal_nodes
from skmixed._model.chart import Chart
from skmixed._typing import FloatArray, IntArray

# Nodes for means over effects, for each coefficient, by the number of coefficients of a level.
NODES_OF_MEANS = {1: 121, 2: 41, 3: 25}
# A share of a node below which it changes no sum over nodes.
NOTHING = 1e-19
# |η| at which the probabilities are 0 or 1 to rounding, and halvings of where between 0 and that
# an integrand is largest, of which its width is no small share.
VANISHED, BISECTIONS = 40.0, 30


@dataclass(frozen=True)
class NormalRule:
    """Nodes and weights for the mean over a standard normal.

    Attributes
    ----------
    nodes : (k, s) array
    log_weights : (k,) array
        log ω + ½z'z.
    """

    nodes: FloatArray
    log_weights: FloatArray

    @staticmethod
    def of(n: int, size: int) -> "NormalRule":
        """Return the products of Gauss and Hermite's rule of n nodes."""
        z, weights = np.polynomial.hermite_e.hermegauss(n)
        nodes = np.stack(np.meshgrid(*[z] * size, indexing="ij"), axis=-1).reshape(-1, size)
        logs = np.log(weights / weights.sum()) + 0.5 * z**2
        total = np.sum(np.meshgrid(*[logs] * size, indexing="ij"), axis=0)
        return NormalRule(nodes, total.ravel())


@dataclass(frozen=True)
class AdaptiveQuadrature:
    """The likelihood by a rule around the modes, and its derivatives in (δ, γ, φ).

    Attributes
    ----------
    mode : Mode
    rule : NormalRule
    """

    mode: Mode
    rule: NormalRule

    @property
    def system(self) -> GeneralizedSystem:
        return self.mode.system

    @cached_property
    def slab(self) -> RowSlab:
        """All rows, which are in memory."""
        assert self.system.source.is_held
        return next(iter(self.system.source.slabs()))

    @property
    def factor(self) -> FactorLayout:
        return self.system.layout.system.factors[0]

    @property
    def codes(self) -> IntArray:
        """The level of each row, (n,)."""
        return self.slab.rows.codes[0]

    @cached_property
    def lam(self) -> FloatArray:
        """Λ of the factor's columns, (r, s)."""
        return self.factor.lam(self.mode.lam)

    @cached_property
    def spherical(self) -> FloatArray:
        """û, (q, s)."""
        return self._by_level(self.mode.effects.scores) @ self.lam

    @cached_property
    def products(self) -> FloatArray:
        """Z'WZ of each level, (q, r, r)."""
        weights = self.slab.derivatives(self.mode.effects.eta(self.slab), self.mode.phi, 2)[2]
        return self.slab.rows.own_products(0, weights).transpose(2, 0, 1)

    @cached_property
    def fixed_part(self) -> FloatArray:
        """O + Xγ, (n,)."""
        return self.slab.fixed_part(self.mode.effects.gamma)

    @cached_property
    def inverse_root(self) -> FloatArray:
        """L⁻¹, (q, s, s)."""
        size = self.lam.shape[1]
        root = np.linalg.cholesky(self.lam.T @ self.products @ self.lam + np.eye(size))
        return np.asarray(np.linalg.inv(root))

    @cached_property
    def logs(self) -> FloatArray:
        """Logarithms of the terms of the sum, (k, q)."""
        out = np.empty((len(self.rule.nodes), self.factor.n_levels))
        for row, node, log_weight in zip(out, self.rule.nodes, self.rule.log_weights, strict=True):
            u = self._at(node)
            loss = self.slab.derivatives(self._eta(u), self.mode.phi, 0)[0]
            row[:] = log_weight - self._sums(loss) - 0.5 * (u**2).sum(axis=1)
        return out

    @cached_property
    def value(self) -> float:
        """−2 log L."""
        top = self.logs.max(axis=0)
        total = top + np.log(np.exp(self.logs - top).sum(axis=0))
        return self.mode.factor.logdet_z - 2.0 * float(total.sum()) + self.system.constant

    @cached_property
    def shares(self) -> FloatArray:
        """The share p of each node in its level's sum, (k, q)."""
        out = np.exp(self.logs - self.logs.max(axis=0))
        return np.asarray(out / out.sum(axis=0))

    def _counting(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Go over the nodes whose share is no rounding, with their shares of all levels."""
        kept = np.flatnonzero(self.shares.max(axis=1) > NOTHING)
        return zip(self.rule.nodes[kept], self.shares[kept], strict=True)

    def gradient(self, chart: Chart) -> FloatArray:
        """Of −2 log L in (δ, γ, φ)."""
        slab, mode, lam, inverse = self.slab, self.mode, self.lam, self.inverse_root
        size = lam.shape[1]
        along, of_rows, of_shape, first, moments = self._node_sums()
        # S, K and κ_i = z'ΛKΛ'z, by which ⟨K, M'⟩ is a sum over rows
        symmetric = np.tril(moments) + np.tril(moments, -1).transpose(0, 2, 1)
        k = 0.5 * inverse.transpose(0, 2, 1) @ (np.eye(size) - symmetric) @ inverse
        kappa = slab.rows.own_quadratics(0, (lam @ k @ lam.T).transpose(1, 2, 0))
        eta, phi = mode.effects.eta(slab), mode.phi
        _, s, w, third = slab.derivatives(eta, phi, 3)
        # v = M⁻¹(r + Λ'Z'(w'κ)), the adjoint of the modes
        right = first + self._by_level(slab.rows.transposed(third * kappa)) @ lam
        v = np.einsum("qba,qbc,qc->qa", inverse, inverse, right)
        zeta = slab.rows.times((v @ lam.T).ravel())
        bent = kappa * third - w * zeta
        along = along + 2.0 * np.einsum("qab,bc,qcd->ad", self.products, lam, k)
        along += self._by_level(slab.rows.transposed(bent)).T @ self.spherical
        along -= self._by_level(slab.rows.transposed(s)).T @ v
        parts = [self._in_chart(along, chart), slab.fixed @ (of_rows + bent)]
        if self.system.n_shape:
            own = slab.shape_derivatives(eta, phi).first
            parts.append(np.array([of_shape + kappa @ own[2] - zeta @ own[1]]))
        return 2.0 * np.concatenate(parts)

    def _node_sums(
        self,
    ) -> tuple[FloatArray, FloatArray, float, FloatArray, FloatArray]:
        """Return sums over nodes, each with its share p.

        Σ Z's u' over all levels, (r, s); s of each row, (n,); ℓ_φ over all rows; and of each
        level g_u, (q, s), and z(L⁻¹g_u)', (q, s, s).
        """
        slab, phi, lam = self.slab, self.mode.phi, self.lam
        along, of_rows, of_shape = np.zeros_like(lam), np.zeros(slab.n_rows), 0.0
        first = np.zeros_like(self.spherical)
        moments = np.zeros_like(self.inverse_root)
        for node, share in self._counting():
            u = self._at(node)
            eta, of_row = self._eta(u), share[self.codes]
            # p Z's, and p g_u = p(Λ'Z's + u)
            slope = of_row * slab.derivatives(eta, phi, 1)[1]
            of_rows += slope
            own = self._by_level(slab.rows.transposed(slope))
            along += own.T @ u
            of_u = own @ lam + share[:, None] * u
            first += of_u
            moments += node[:, None] * np.einsum("qab,qb->qa", self.inverse_root, of_u)[:, None]
            if self.system.n_shape:
                of_shape += float(of_row @ slab.shape_derivatives(eta, phi).first[0])
        return along, of_rows, of_shape, first, moments

    def curvature(self, chart: Chart) -> tuple[FloatArray, FloatArray]:
        """Second derivatives of −2 log L in (δ, γ, φ), and their positive part, (d, d) each."""
        slab, phi = self.slab, self.mode.phi
        basis = self._basis(chart)
        n, p, d = (
            len(basis),
            self.system.n_fixed,
            len(basis) + self.system.n_fixed + self.system.n_shape,
        )
        positive, squares = np.zeros((d, d)), np.zeros((d, d))
        mean, along = np.zeros((self.factor.n_levels, d)), np.zeros_like(self.lam)
        moving = np.zeros((d, slab.n_rows))
        moving[n : n + p] = slab.fixed
        # ∂g of each level and node, and ∂²g = Σ_i w η'η'' with what φ has beside
        for node, share in self._counting():
            u, of_row = self._at(node), share[self.codes]
            eta = self._eta(u)
            _, s, w = slab.derivatives(eta, phi, 2)
            moving[:n] = [slab.rows.times((u @ own.T).ravel()) for own in basis]
            slopes = np.stack([self._sums(s * row) for row in moving], axis=1)
            positive += moving @ (of_row * w * moving).T
            if self.system.n_shape:
                own = slab.shape_derivatives(eta, phi)
                slopes[:, -1] = self._sums(own.first[0])
                crossed = moving @ (of_row * own.first[1])
                positive[-1] += crossed
                positive[:, -1] += crossed
                positive[-1, -1] += of_row @ own.second[0]
            mean += share[:, None] * slopes
            squares += slopes.T @ (share[:, None] * slopes)
            along += self._by_level(slab.rows.transposed(of_row * s)).T @ u
        positive[:n, :n] += self._map_curvature(along, chart)
        return 2.0 * (positive - squares + mean.T @ mean), 2.0 * positive

    def _map_curvature(self, along: FloatArray, chart: Chart) -> FloatArray:
        """⟨∂f/∂Λ, ∂²Λ/∂δ∂δ'⟩ of terms whose Λ is not linear in δ, by ∂f/∂Λ = 2GΛ."""
        n = sum(map(len, chart.basis))
        out, start = np.zeros((n, n)), 0
        for term, structure, lam, basis in zip(
            self.factor.terms, chart.structures, chart.lam, chart.basis, strict=True
        ):
            # G of the term's Σ
            slope = term.to_factor_columns.T @ along[:, term.columns] @ np.linalg.pinv(lam)
            slope = (slope + slope.T) / 4.0
            own = structure.curvature(lam, basis, slope)
            linear = 2.0 * np.einsum("iab,ac,jcb->ij", basis, slope, basis)
            place = slice(start, start + len(basis))
            out[place, place] = own - linear
            start += len(basis)
        return out

    def _basis(self, chart: Chart) -> list[FloatArray]:
        """∂Λ/∂δ of the factor's columns, (r, s) each."""
        out = []
        for term, basis in zip(self.factor.terms, chart.basis, strict=True):
            for own in basis:
                whole = np.zeros_like(self.lam)
                whole[:, term.columns] = term.to_factor_columns @ own
                out.append(whole)
        return out

    def _in_chart(self, along: FloatArray, chart: Chart) -> FloatArray:
        return np.array([np.vdot(own, along) for own in self._basis(chart)])

    def _at(self, node: FloatArray) -> FloatArray:
        """Return u of a node, (q, s)."""
        return self.spherical + np.einsum("qba,b->qa", self.inverse_root, node)

    def _eta(self, u: FloatArray) -> FloatArray:
        random = self.slab.rows.times((u @ self.lam.T).ravel())
        return self.fixed_part + random

    def _by_level(self, effects: FloatArray) -> FloatArray:
        return effects.reshape(self.factor.n_levels, -1)

    def _sums(self, values: FloatArray) -> FloatArray:
        """Return sums over the rows of each level, (q,)."""
        sums = np.bincount(self.codes, values, minlength=self.factor.n_levels)
        return np.asarray(sums, dtype=float)


@dataclass(frozen=True)
class ConditionalEffects:
    """The effects of the levels of the one grouping factor of a model, given the data.

    Their density is proportional to exp(−g), so that E[h(b)] = Σ_k p_k h(b_k) with the shares
    p_k of the nodes.

    Attributes
    ----------
    mode : Mode
    """

    mode: Mode

    @cached_property
    def quadrature(self) -> AdaptiveQuadrature:
        size = sum(map(len, self.mode.lam))
        return AdaptiveQuadrature(self.mode, NormalRule.of(NODES_OF_MEANS[size], size))

    def nodes(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Go over the nodes: the shares of the levels, (q,), and b_k − b̂ of all terms, (q, s)."""
        own = self.quadrature
        # b_k − b̂ = TΛL⁻ᵀz_k, with Λ of each term in its own columns of u
        rows = []
        for term in sorted(own.factor.terms, key=lambda term: term.index):
            block = np.zeros((term.size, own.lam.shape[1]))
            block[:, term.columns] = term.to_user @ self.mode.lam[term.index]
            rows.append(block)
        roots = np.einsum("ab,qcb->qac", np.concatenate(rows), own.inverse_root)
        for share, node in zip(own.shares, own.rule.nodes, strict=True):
            yield share, roots @ node


def log_averages(link: BinaryLink, eta: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the logarithms of the means of 1 − μ and of μ over N(η, variance), (2, n).

    By the trapezoidal rule around the largest value of the integrand exp(−ℓ(η + σz) − z²/2), ℓ
    the convex −log μ or −log(1 − μ), so that small means have their digits.
    """
    sd, out = np.sqrt(variance), np.empty((2, len(eta)))
    for total, end in zip(out, (0.0, 1.0), strict=True):
        y = np.full(len(eta), end)
        center = _largest_at(link, eta, sd, y)
        # The width of the integrand there, or that of the change of μ from 0 to 1, which is 1 in η
        curvature = np.maximum(link.logs(eta + sd * center, y, 2)[2], 1.0)
        sharpness = float((1.0 + variance * curvature).max())
        nodes = trapezoidal_nodes(link, sd, STEP / np.sqrt(sharpness))
        total[:] = -np.inf
        for node in nodes:
            z = center + node
            np.logaddexp(total, -link.logs(eta + sd * z, y, 0)[0] - 0.5 * z**2, out=total)
        total += np.log((nodes[1] - nodes[0]) / np.sqrt(2.0 * np.pi))
    return out


def _largest_at(link: BinaryLink, eta: FloatArray, sd: FloatArray, y: FloatArray) -> FloatArray:
    """Return z with z + σℓ'(η + σz) = 0, by bisection: on the side where ℓ falls, (n,).

    It is no farther than σ|ℓ'(η)|, nor than where ℓ' vanishes.
    """
    slope = link.logs(eta, y, 1)[1]
    farthest = np.minimum(sd * np.abs(slope), (np.abs(eta) + VANISHED) / sd)
    side = -np.sign(slope)
    near, far = np.zeros(len(eta)), farthest
    for _ in range(BISECTIONS):
        middle = 0.5 * (near + far)
        is_short = middle < sd * np.abs(link.logs(eta + sd * side * middle, y, 1)[1])
        near, far = np.where(is_short, middle, near), np.where(is_short, far, middle)
    return side * near
