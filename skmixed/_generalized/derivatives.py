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
from skmixed._equations.tangents import SchurTangent, expected_information
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
    """

    mode: Mode
    of_eta: FloatArray

    @staticmethod
    def of(mode: Mode) -> "LaplaceDerivatives":
        return LaplaceDerivatives(mode, mode.system.derivatives(mode.effects.eta, mode.phi, 4))

    @cached_property
    def of_shape(self) -> DispersionDerivatives:
        """Derivatives by φ, of a family that has a shape."""
        system = self.mode.system
        own = system.family.dispersion(system.response, self.mode.effects.eta, self.mode.phi)
        return DispersionDerivatives(own.first * system.weights, own.second * system.weights)

    @property
    def n_parameters(self) -> int:
        """Parameters d."""
        return self.n_tau + self.mode.system.n_fixed + self.mode.system.n_shape

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
    def _of_fixed(self) -> tuple[FloatArray, FloatArray]:
        """Z'WX, (n_random, p), and X'WX, (p, p)."""
        return self.mode.system.fixed_products(self.of_eta[2])

    @cached_property
    def _pushed(self) -> FloatArray:
        """Z'v, (n_random, d)."""
        system, n, p = self.mode.system, self.n_tau, self.mode.system.n_fixed
        out = np.empty((system.rows.n_random, self.n_parameters))
        out[:, :n] = system.rows.products_times(self.of_eta[2], self.along)
        out[:, n : n + p], _ = self._of_fixed
        if system.n_shape:
            out[:, -1] = system.rows.transposed(self.of_shape.first[1])
        return out

    @cached_property
    def _response(self) -> FloatArray:
        """TZ'v, (n_random, d)."""
        return rows_solution(self.mode.factor, self._pushed)

    @cached_property
    def of_scores(self) -> FloatArray:
        """ρ', the derivatives of the scores at the mode, (n_random, d)."""
        rows = self.mode.system.rows
        return rows.products_times(self.of_eta[2], self._response) - self._pushed

    @cached_property
    def _shift(self) -> FloatArray:
        """TZ'v − D_aρ, of which η' = (0, X, 0) − Z·shift, (n_random, d)."""
        out = self._response.copy()
        out[:, : self.n_tau] -= self.along
        return out

    def _total(self, a: int) -> FloatArray:
        """Return the change η' along one parameter, (n,)."""
        system, j = self.mode.system, a - self.n_tau
        out = system.rows.times(-self._shift[:, a])
        if 0 <= j < system.n_fixed:
            out += system.fixed[j]
        return out

    def _sums(self, values: FloatArray) -> FloatArray:
        """Return the sums over rows of (n,) values times η', (d,)."""
        system, n = self.mode.system, self.n_tau
        out = -(system.rows.transposed(values) @ self._shift)
        out[n : n + system.n_fixed] += system.fixed @ values
        return out

    @cached_property
    def fixed_information(self) -> FloatArray:
        """X'V⁻¹X = X'WX − X'WZTZ'WX, (p, p)."""
        of_gamma = slice(self.n_tau, self.n_tau + self.mode.system.n_fixed)
        crossed, own = self._of_fixed
        own = own - crossed.T @ self._response[:, of_gamma]
        return np.asarray((own + own.T) / 2.0)

    @cached_property
    def metric(self) -> FloatArray:
        """Average information on τ, 2X'V⁻¹X, and the curvature in φ: positive, (d, d)."""
        n, p = self.n_tau, self.mode.system.n_fixed
        out = np.zeros((self.n_parameters,) * 2)
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
        # 2J'' = 2G'Wη', and η''s part of log|H|, by the rows' weights
        out = 2.0 * self._of_mode
        _, _, _, third, fourth = self.of_eta
        bend = self.leverages * fourth - self.pulled * third
        for a in range(len(out)):
            out[a] += self._sums(bend * self._total(a))
        if self.n_tau:
            out += self._bent + self._bent.T
        if self.mode.system.n_shape:
            out += self._of_shape
        return (out + out.T) / 2.0

    @cached_property
    def _of_mode(self) -> FloatArray:
        """G'Wη' = G'WG − G'WZTZ'v, (d, d)."""
        n, p = self.n_tau, self.mode.system.n_fixed
        crossed, (_, of_fixed) = self._pushed.copy(), self._of_fixed
        crossed[:, n + p :] = 0.0
        out = -(crossed.T @ self._response)
        # G is ZD_aρ, X and 0
        out[:n] += self.along.T @ crossed
        out[n : n + p, :n] += crossed[:, n : n + p].T @ self.along
        out[n : n + p, n : n + p] += of_fixed
        return out

    @cached_property
    def _bent(self) -> FloatArray:
        """c̃'D_aρ'_b, (d, d)."""
        out = np.zeros((self.n_parameters,) * 2)
        out[: self.n_tau] = self.mode.system.along(self.left).T @ self.of_scores
        return out

    @cached_property
    def _of_shape(self) -> FloatArray:
        """Rows and columns of φ that come beside those of η', (d, d)."""
        first, second = self.of_shape.first, self.of_shape.second
        h, zeta, n, system = self.leverages, self.pulled, self.n_tau, self.mode.system
        out = np.zeros((self.n_parameters,) * 2)
        # 2ℓ'_φ'η' once, for J, of which G'v has the other half; log|H|'s twice
        out[-1] += 2.0 * self._sums(first[1])
        out[:n, -1] += 2.0 * self.along.T @ self._pushed[:, -1]
        out[n:-1, -1] += 2.0 * system.fixed @ first[1]
        crossed = self._sums(h * first[3] - zeta * first[2])
        out[-1] += crossed
        out[:, -1] += crossed
        out[-1, -1] += 2.0 * second[0].sum() + h @ second[2] - zeta @ second[1]
        return out

    @cached_property
    def _of_traces(self) -> FloatArray:
        """tr(H⁻¹H_a H⁻¹H_b), (d, d)."""
        n, d = self.n_tau, self.n_parameters
        if not n:
            return np.zeros((d, d))
        tangents, parameters = list(map(self._tangent, range(d))), self.mode.system.parameters
        found = expected_information(self.inverse, parameters.by_factor, tangents)
        places = np.concatenate([np.arange(d), d + parameters.from_factors])
        information = found.in_order(places).information
        # Along a τ both Σ and the weights move
        out = information[:d, :d].copy()
        out[:n] += information[d:, :d]
        out[:, :n] += information[:d, d:]
        out[:n, :n] += information[d:, d:]
        return out

    def _tangent(self, a: int) -> SchurTangent:
        """Return Z'diag(w'η'_a + w_φφ'_a)Z."""
        weights = self.of_eta[3] * self._total(a)
        if a == self.n_parameters - self.mode.system.n_shape:
            weights += self.of_shape.first[2]
        return self.mode.system.rows.tangent(weights)
