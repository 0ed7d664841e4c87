"""First and second derivatives of Laplace's approximation, in (τ, γ, φ).

Σ = Σ_a τ_a D_a. With f = J + ½ log|I + ΣZ'WZ| at the mode, T = ΛM⁻¹Λ', A = Z'V⁻¹Z for
V = W⁻¹ + ZΣZ', h_i = z_i'Tz_i, and η' = G_a − ZTZ'v_a the change of η along a parameter,

    G = (ZD_aρ, X, 0),  v = (WG, ℓ'_φ)
    c = Z'(w'∘h),  ζ = ZTc,  c̃ = c − Z'Wζ

    ∂f/∂τ_a = ½ [tr(D_aA) − ρ'D_aρ + c̃'D_aρ]
    ∂f/∂γ   = X'(s + ½ w'∘h − ½ Wζ)
    ∂f/∂φ   = Σ ℓ_φ + ½ (h'w_φ − ζ'ℓ'_φ)

where w', w'' are derivatives of W in η. The second derivatives are those of J, G'(Wη') and
with φ; those of the weights, with k = h∘w'' − ζ∘w' for η'_aη'_b; c̃'(D_aρ'_b + D_bρ'_a); and
the traces −tr(H⁻¹H_a H⁻¹H_b), which `expected_information` has, H_a being the direction D_a
of Σ and the weights' direction Z'diag(w'η'_a + w_φφ'_a)Z. All are in units of −2 log L.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.tangents import expected_information
from skmixed._equations.working_variates import Projection, Responses, project
from skmixed._generalized.modes import Mode, rows_solution
from skmixed._model.family import DispersionDerivatives
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class LaplaceDerivatives:
    """What the derivatives at one mode are made of.

    Attributes
    ----------
    mode : Mode
    of_eta : (5, n) array
        ℓ, s, W, w' and w''.
    of_shape : DispersionDerivatives
    """

    mode: Mode
    of_eta: FloatArray
    of_shape: DispersionDerivatives

    @staticmethod
    def of(mode: Mode) -> "LaplaceDerivatives":
        system, eta = mode.system, mode.effects.eta
        own = system.family.dispersion(system.response, eta, mode.phi)
        weighted = DispersionDerivatives(own.first * system.weights, own.second * system.weights)
        return LaplaceDerivatives(mode, system.derivatives(eta, mode.phi, 4), weighted)

    @property
    def n_tau(self) -> int:
        return sum(map(len, self.mode.system.parameters.directions))

    @cached_property
    def inverse(self) -> CoreInverse:
        return CoreInverse.of(self.mode.factor, has_fixed=False)

    @cached_property
    def leverages(self) -> FloatArray:
        """h, (n,)."""
        if not self.n_tau:
            return np.zeros(self.mode.system.n_rows)
        return self.mode.system.rows.quadratics(self.inverse)

    @cached_property
    def projection(self) -> Projection:
        """Sums tr A, ρρ' and the average information of the entries of Σ."""
        return project(self.inverse, Responses.residual(self.mode.factor))

    @cached_property
    def pulled(self) -> FloatArray:
        """ζ, (n,)."""
        rows = self.mode.system.rows
        right = rows.transposed(self.of_eta[3] * self.leverages)
        return rows.times(rows_solution(self.mode.factor, right[:, None])[:, 0])

    @cached_property
    def left(self) -> FloatArray:
        """c̃, (n_random,)."""
        of_rows = self.of_eta[3] * self.leverages - self.of_eta[2] * self.pulled
        return self.mode.system.rows.transposed(of_rows)

    @cached_property
    def along(self) -> FloatArray:
        """D_aρ, (n_random, n_tau)."""
        return self.mode.system.along(self.mode.effects.scores)

    @cached_property
    def gradient(self) -> FloatArray:
        """Of −2 log L in (τ, γ, φ)."""
        system, h, zeta = self.mode.system, self.leverages, self.pulled
        _, s, w, third, _ = self.of_eta
        # X'(2s + w'h − Wζ); Σ 2ℓ_φ + h'w_φ − ζ'ℓ'_φ; tr(D_aA) − ρ'D_aρ + c̃'D_aρ
        of_gamma = system.fixed @ (2.0 * s + third * h - w * zeta)
        parts = [of_gamma]
        if system.n_shape:
            first = self.of_shape.first
            own = 2.0 * first[0].sum() + h @ first[2] - zeta @ first[1]
            parts.append(np.array([own]))
        if self.n_tau:
            found = self.projection
            of_linear = system.parameters.entries @ (found.trace - found.outer[:, 0, 0])
            parts.insert(0, of_linear + self.along.T @ self.left)
        return np.concatenate(parts)

    @cached_property
    def partial(self) -> FloatArray:
        """G', (d, n)."""
        system, n, p = self.mode.system, self.n_tau, self.mode.system.n_fixed
        out = np.zeros((n + p + system.n_shape, system.n_rows))
        out[:n] = system.rows.times(self.along)
        out[n : n + p] = system.fixed
        return out

    @cached_property
    def _pushed(self) -> FloatArray:
        """v', (d, n)."""
        out = self.of_eta[2] * self.partial
        if self.mode.system.n_shape:
            out[-1] = self.of_shape.first[1]
        return out

    @cached_property
    def _response(self) -> FloatArray:
        """(ZTZ'v)', (d, n)."""
        rows = self.mode.system.rows
        return rows.times(rows_solution(self.mode.factor, rows.transposed(self._pushed)))

    @cached_property
    def of_scores(self) -> FloatArray:
        """ρ', the derivatives of the scores at the mode, (n_random, d)."""
        return -self.mode.system.rows.transposed(self._pushed - self.of_eta[2] * self._response)

    @cached_property
    def total(self) -> FloatArray:
        """The changes η', (d, n)."""
        return self.partial - self._response

    @cached_property
    def fixed_information(self) -> FloatArray:
        """X'V⁻¹X = X'W(X − ZTZ'WX), (p, p)."""
        of_gamma = slice(self.n_tau, self.n_tau + self.mode.system.n_fixed)
        own = self.mode.system.fixed @ (self.of_eta[2] * self.total[of_gamma]).T
        return np.asarray((own + own.T) / 2.0)

    @cached_property
    def metric(self) -> FloatArray:
        """Average information on τ, 2X'V⁻¹X, and the curvature in φ: positive, (d, d)."""
        n, p = self.n_tau, self.mode.system.n_fixed
        out = np.zeros((len(self.partial),) * 2)
        # Block by block
        out[n : n + p, n : n + p] = 2.0 * self.fixed_information
        if n:
            entries = self.mode.system.parameters.entries
            out[:n, :n] = entries @ self.projection.products @ entries.T
        if self.mode.system.n_shape:
            out[-1, -1] = 2.0 * abs(self.of_shape.second[0].sum())
        return out

    @cached_property
    def hessian(self) -> FloatArray:
        """Of −2 log L, exact, (d, d)."""
        return self._of_rows - self._of_traces

    @cached_property
    def approximate(self) -> FloatArray:
        """The Hessian with average information in the place of the traces, (d, d)."""
        out = self._of_rows.copy()
        n = self.n_tau
        out[:n, :n] -= self.metric[:n, :n]
        return out

    @cached_property
    def _of_rows(self) -> FloatArray:
        """All but the traces."""
        h, zeta, total = self.leverages, self.pulled, self.total
        _, _, w, third, fourth = self.of_eta
        # 2J'' = 2G'Wη' and η''s part of log|H|, by the rows' weights
        out = 2.0 * self.partial @ (w * total).T
        out += total @ ((h * fourth - zeta * third) * total).T
        if self.n_tau:
            out += self._bent + self._bent.T
        if self.mode.system.n_shape:
            out += self._of_shape
        return (out + out.T) / 2.0

    @cached_property
    def _bent(self) -> FloatArray:
        """c̃'D_aρ'_b, (d, d)."""
        out = np.zeros((len(self.total),) * 2)
        out[: self.n_tau] = self.mode.system.along(self.left).T @ self.of_scores
        return out

    @cached_property
    def _of_shape(self) -> FloatArray:
        """Rows and columns of φ that come beside those of η', (d, d)."""
        first, second = self.of_shape.first, self.of_shape.second
        h, zeta, total = self.leverages, self.pulled, self.total
        out = np.zeros((len(total),) * 2)
        # 2ℓ'_φ'η' once, for J, of which G'v has the other half; log|H|'s twice
        out[-1] += 2.0 * total @ first[1]
        out[:, -1] += 2.0 * self.partial @ first[1]
        crossed = total @ (h * first[3] - zeta * first[2])
        out[-1] += crossed
        out[:, -1] += crossed
        out[-1, -1] += 2.0 * second[0].sum() + h @ second[2] - zeta @ second[1]
        return out

    @cached_property
    def _of_traces(self) -> FloatArray:
        """tr(H⁻¹H_a H⁻¹H_b), (d, d)."""
        system, n, d = self.mode.system, self.n_tau, len(self.total)
        if not n:
            return np.zeros((d, d))
        weights = self.of_eta[3] * self.total
        if system.n_shape:
            weights[-1] += self.of_shape.first[2]
        tangents = [system.rows.tangent(own) for own in weights]
        parameters = system.parameters
        found = expected_information(self.inverse, parameters.by_factor, tangents)
        places = np.concatenate([np.arange(d), d + parameters.from_factors])
        information = found.in_order(places).information
        # Along a τ both Σ and the weights move
        out = information[:d, :d].copy()
        out[:n] += information[d:, :d]
        out[:, :n] += information[:d, d:]
        out[:n, :n] += information[d:, d:]
        return out
