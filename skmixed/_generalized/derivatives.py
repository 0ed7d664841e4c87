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

The rows are gone over once for the sums with h (`GradientSums`), which ζ is made of, and once
more for those with ζ (`HessianSums`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._equations.products import products_times
from skmixed._equations.selected_inverse import CoreInverse
from skmixed._equations.tangents import expected_information
from skmixed._equations.working_variates import Projection, Responses, project
from skmixed._generalized.modes import Mode, rows_solution
from skmixed._generalized.rows import GeneralizedLayout
from skmixed._generalized.system import (
    GeneralizedSystem,
    GradientSums,
    HessianSums,
    RowDerivatives,
    RowSlab,
    ShapeSums,
    total_of,
)
from skmixed._model.terms import Model
from skmixed._typing import FloatArray

# Rows' worth of information on a fixed effect below which there is none.
SEPARATED = 1e-6
# Share of the largest one in a combination of columns from which a column is named.
NAMED = 0.1
# Share of a column's range that is rounding.
ROUNDED = 1e-9


@dataclass(frozen=True)
class LaplaceDerivatives:
    """What the derivatives at one mode are made of.

    Attributes
    ----------
    mode : Mode
    is_exact : bool
        Whether the Hessian is asked for, or what approximates it alone.
    """

    mode: Mode
    is_exact: bool = True

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
    def projection(self) -> Projection:
        """Sums tr A, ρρ' and the average information of the entries of Σ."""
        return project(self.inverse, Responses.residual(self.mode.factor))

    @cached_property
    def _held(self) -> tuple[RowDerivatives, ...]:
        """The derivatives of rows in memory, computed once."""
        return tuple(self._over_slabs())

    def _over_slabs(self) -> Iterator[RowDerivatives]:
        inverse, mode = self.inverse if self.n_tau else None, self.mode
        for slab in mode.system.source.slabs():
            yield RowDerivatives(slab, mode.effects.eta(slab), mode.phi, inverse)

    def _rows(self) -> Iterator[RowDerivatives]:
        """Go over the rows once."""
        return iter(self._held) if self.mode.system.source.is_held else self._over_slabs()

    @cached_property
    def _passed(self) -> tuple[GradientSums, ShapeSums | None]:
        """The sums of the first pass."""
        has_shape, own, shape = bool(self.mode.system.n_shape), None, None
        for rows in self._rows():
            found = GradientSums.of(rows)
            own = found if own is None else total_of(own, found)
            if has_shape:
                of_shape = ShapeSums.of(rows)
                shape = of_shape if shape is None else total_of(shape, of_shape)
        assert own is not None
        return own, shape

    @property
    def sums(self) -> GradientSums:
        return self._passed[0]

    @property
    def of_shape(self) -> ShapeSums:
        """Sums with derivatives by φ, of a family that has a shape."""
        shape = self._passed[1]
        assert shape is not None
        return shape

    @cached_property
    def pulled(self) -> FloatArray:
        """Tc, of which ζ = ZTc, (n_random,)."""
        return rows_solution(self.mode.factor, self.sums.bent_random[:, None])[:, 0]

    @cached_property
    def left(self) -> FloatArray:
        """c̃, (n_random,)."""
        return self.sums.bent_random - self._products_times(self.pulled[:, None])[:, 0]

    def _products_times(self, columns: FloatArray) -> FloatArray:
        """Return Z'WZ times columns, (n_random, m)."""
        return products_times(self.mode.sums.products, columns)

    @cached_property
    def along(self) -> FloatArray:
        """D_aρ, (n_random, n_tau)."""
        return self.mode.system.along(self.mode.effects.scores)

    @cached_property
    def gradient(self) -> FloatArray:
        """Of −2 log L in (τ, γ, φ)."""
        system, sums = self.mode.system, self.sums
        # X'(2s + w'h − Wζ); Σ 2ℓ_φ + h'w_φ − ζ'ℓ'_φ; tr(D_aA) − ρ'D_aρ + c̃'D_aρ
        parts = [2.0 * sums.slopes + sums.bent_fixed - sums.between.T @ self.pulled]
        if system.n_shape:
            own = self.of_shape
            parts.append(np.array([2.0 * own.value + own.bent - self.pulled @ own.random]))
        if self.n_tau:
            found = self.projection
            of_linear = system.parameters.entries @ (found.trace - found.outer[:, 0, 0])
            parts.insert(0, of_linear + self.along.T @ self.left)
        return np.concatenate(parts)

    @cached_property
    def _pushed(self) -> FloatArray:
        """Z'v, (n_random, d)."""
        system, n, p = self.mode.system, self.n_tau, self.mode.system.n_fixed
        out = np.empty((system.n_random, self.n_parameters))
        out[:, :n] = self._products_times(self.along)
        out[:, n : n + p] = self.sums.between
        if system.n_shape:
            out[:, -1] = self.of_shape.random
        return out

    @cached_property
    def _response(self) -> FloatArray:
        """TZ'v, (n_random, d)."""
        return rows_solution(self.mode.factor, self._pushed)

    @cached_property
    def of_scores(self) -> FloatArray:
        """ρ', the derivatives of the scores at the mode, (n_random, d)."""
        return self._products_times(self._response) - self._pushed

    @cached_property
    def _shift(self) -> FloatArray:
        """TZ'v − D_aρ, of which η' = (0, X, 0) − Z·shift, (n_random, d)."""
        out = self._response.copy()
        out[:, : self.n_tau] -= self.along
        return out

    def _total(self, slab: RowSlab, a: int) -> FloatArray:
        """Return the change η' of rows along one parameter, (n,)."""
        j = a - self.n_tau
        out = slab.rows.times(-self._shift[:, a])
        if 0 <= j < len(slab.fixed):
            out += slab.fixed[j]
        return out

    def _along_parameters(self, random: FloatArray, fixed: FloatArray) -> FloatArray:
        """Return η'v from Z'v and X'v, (d,) or (d, m)."""
        n = self.n_tau
        out = -(self._shift.T @ random)
        out[n : n + len(fixed)] += fixed
        return out

    @cached_property
    def fixed_information(self) -> FloatArray:
        """X'V⁻¹X = X'WX − X'WZTZ'WX, (p, p)."""
        of_gamma = slice(self.n_tau, self.n_tau + self.mode.system.n_fixed)
        own = self.sums.own - self.sums.between.T @ self._response[:, of_gamma]
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
            out[-1, -1] = 2.0 * abs(self.of_shape.second)
        return out

    @cached_property
    def hessian(self) -> FloatArray:
        """Of −2 log L, exact, (d, d)."""
        return self._of_rows - self._of_traces

    @cached_property
    def approximate(self) -> FloatArray:
        """The Hessian with average information in the place of the traces, (d, d)."""
        out, n = self._of_rows.copy(), self.n_tau
        out[:n, :n] -= self.metric[:n, :n]
        return out

    @cached_property
    def _bent_sums(self) -> HessianSums:
        """The sums of the second pass."""
        out: HessianSums | None = None
        for rows in self._rows():
            found = self._bent_sums_of(rows)
            out = found if out is None else total_of(out, found)
        assert out is not None
        return out

    def _bent_sums_of(self, rows: RowDerivatives) -> HessianSums:
        slab, d, has_shape = rows.slab, self.n_parameters, bool(self.mode.system.n_shape)
        _, _, _, third, fourth = rows.of_eta
        h, zeta = rows.leverages, slab.rows.times(self.pulled)
        bend, tangents = h * fourth - zeta * third, []
        random, fixed = np.empty((len(self.pulled), d)), np.empty((len(slab.fixed), d))
        # kη'_a, and the weights' direction w'η'_a + w_φφ'_a
        for a in range(d):
            total = self._total(slab, a)
            random[:, a], fixed[:, a] = rows.sums(bend * total)
            if self.is_exact and self.n_tau:
                total *= third
                if has_shape and a == d - 1:
                    total += rows.of_shape.first[2]
                tangents.append(slab.rows.tangent(total))
        shape_random, shape_fixed = np.zeros(len(random)), np.zeros(len(fixed))
        if has_shape:
            first = rows.of_shape.first
            shape_random, shape_fixed = rows.sums(h * first[3] - zeta * first[2])
        return HessianSums(random, fixed, shape_random, shape_fixed, tuple(tangents))

    @cached_property
    def _of_rows(self) -> FloatArray:
        """All but the traces, (d, d)."""
        sums = self._bent_sums
        # 2J'' = 2G'Wη', and η''s part of log|H|, by the rows' weights
        out = 2.0 * self._of_mode + self._along_parameters(sums.random, sums.fixed)
        if self.n_tau:
            out += self._bent + self._bent.T
        if self.mode.system.n_shape:
            out += self._with_shape
        return (out + out.T) / 2.0

    @cached_property
    def _of_mode(self) -> FloatArray:
        """G'Wη' = G'WG − G'WZTZ'v, (d, d)."""
        n, p = self.n_tau, self.mode.system.n_fixed
        crossed = self._pushed.copy()
        crossed[:, n + p :] = 0.0
        out = -(crossed.T @ self._response)
        # G is ZD_aρ, X and 0
        out[:n] += self.along.T @ crossed
        out[n : n + p, :n] += crossed[:, n : n + p].T @ self.along
        out[n : n + p, n : n + p] += self.sums.own
        return out

    @cached_property
    def _bent(self) -> FloatArray:
        """c̃'D_aρ'_b, (d, d)."""
        out = np.zeros((self.n_parameters,) * 2)
        out[: self.n_tau] = self.mode.system.along(self.left).T @ self.of_scores
        return out

    @cached_property
    def _with_shape(self) -> FloatArray:
        """Rows and columns of φ that come beside those of η', (d, d)."""
        own, sums, n = self.of_shape, self._bent_sums, self.n_tau
        out = np.zeros((self.n_parameters,) * 2)
        # 2ℓ'_φ'η' once, for J, of which G'v has the other half; log|H|'s twice
        out[-1] += 2.0 * self._along_parameters(own.random, own.fixed)
        out[:n, -1] += 2.0 * self.along.T @ own.random
        out[n:-1, -1] += 2.0 * own.fixed
        crossed = self._along_parameters(sums.shape_random, sums.shape_fixed)
        out[-1] += crossed
        out[:, -1] += crossed
        out[-1, -1] += 2.0 * own.second + own.second_bent - self.pulled @ own.second_random
        return out

    @cached_property
    def _of_traces(self) -> FloatArray:
        """tr(H⁻¹H_a H⁻¹H_b), (d, d)."""
        n, d = self.n_tau, self.n_parameters
        if not n:
            return np.zeros((d, d))
        parameters = self.mode.system.parameters
        found = expected_information(self.inverse, parameters.by_factor, self._bent_sums.tangents)
        places = np.concatenate([np.arange(d), d + parameters.from_factors])
        information = found.in_order(places).information
        # Along a τ both Σ and the weights move
        out = information[:d, :d].copy()
        out[:n] += information[d:, :d]
        out[:, :n] += information[:d, d:]
        out[:n, :n] += information[d:, d:]
        return out


def separated_columns(
    found: LaplaceDerivatives, layout: GeneralizedLayout, model: Model
) -> tuple[int, ...]:
    """Return the columns of X in a combination on which next to no information is left.

    The likelihood then has no maximum. Those are named that tell the responses apart alone, and
    without such ones those that move the combination.
    """
    system = found.mode.system
    if not system.n_fixed:
        return ()
    values, vectors = np.linalg.eigh(found.fixed_information)
    # W of the average row, or rather of rows of weight 1 where weights are smaller
    n_counted = system.total_weight * system.rows_per_weight
    if float(values[0]) / layout.weight_unit * n_counted >= SEPARATED:
        return ()
    columns = np.asarray(np.linalg.inv(layout.basis))
    alone = _separating(system, columns) if model.has_intercept else []
    if alone:
        return tuple(model.fixed[layout.kept[k]] for k in alone)
    # The columns in the coordinates of X, which are orthonormal, less their means
    effects = layout.basis @ vectors[:, 0]
    if model.has_intercept and len(effects) > 1:
        mean = columns[:, 0] / np.linalg.norm(columns[:, 0])
        columns = columns - np.outer(mean, mean @ columns)
    sizes = np.abs(effects) * np.linalg.norm(columns, axis=0)
    named = np.flatnonzero(sizes >= NAMED * sizes.max())
    return tuple(model.fixed[layout.kept[k]] for k in named)


def _separating(system: GeneralizedSystem, columns: FloatArray) -> list[int]:
    """Return the columns X = (X R⁻ᵀ)F⁻¹ that alone tell the responses at ends apart.

    Those of which no value in a row with the lowest response, or an inner one, is above one in
    a row with the highest response, or an inner one; or the other way round.
    """
    p = len(columns)
    low, high = np.full((2, p), [[-np.inf], [np.inf]]), np.full((2, p), [[-np.inf], [np.inf]])
    for slab in system.source.slabs():
        x, y = columns.T @ slab.fixed, slab.response
        # The range of X in rows that are not at the upper end, and not at the lower one
        is_low = y < 1.0 if system.family.of_trials else np.ones(len(y), dtype=bool)
        for ends, is_in in ((low, is_low), (high, y > 0.0)):
            if is_in.any():
                ends[0] = np.maximum(ends[0], x[:, is_in].max(axis=1))
                ends[1] = np.minimum(ends[1], x[:, is_in].min(axis=1))
    top, bottom = np.maximum(low[0], high[0]), np.minimum(low[1], high[1])
    width, size = top - bottom, np.maximum(np.abs(top), np.abs(bottom))
    is_apart = np.maximum(high[1] - low[0], low[1] - high[0]) >= -ROUNDED * width
    return [int(k) for k in np.flatnonzero(is_apart & (width > ROUNDED * size))]
