"""Draws of (β, b) given the data, and given Σ and the shape; fits to drawn responses.

β is normal around its estimate. Given β the effects of the levels of one grouping factor have
densities proportional to exp(−g), g(u) = Σ ℓ_i + ½u'u, from which they are drawn by rejection.
All families have convex ℓ, so that planes that touch g lie below it. With û the mode, M = QDQ' the
second derivatives there and z = √D Q'(u − û), let h(z) = g(u) − g(û), and z_k = cσ_k/√s a point
in the orthant k, σ_k = ±1. In the orthant h lies above

    w − B,   w = Σ_i p_i|z_i|,  p = σ_k∘h_z(z_k),  B = p'|z_k| − h(z_k), by the plane at z_k
    −mw,     m = max_i (−σ_i h_z(0)_i / p_i)₊, by that at 0, which is 0 where û is the mode

and so exp(−h) below exp(ε − max(0, w − (B − ε))) with ε = mB/(1 + m): of this the mass is known,
w has a density of powers and gammas, and p_i|z_i|/w is uniform on the simplex (logarithms of
concave densities of one variable: Devroye, 1986, Non-Uniform Random Variate Generation, section
VII.2). ℓ alone lies above its own plane at û too, so that exp(−h) is below a normal density of
u around û − g_u(û) with the covariance I, times exp(½|g_u(û)|²). A level takes the lesser mass.

With other models (b, β) is normal, with the covariance of Henderson's equations at the weights W
of the mode.
"""

from dataclasses import dataclass, fields, replace
from itertools import product
from math import factorial, perm

import numpy as np

from skmixed._estimation.solution import Solution, user_effects
from skmixed._generalized.fit import SearchSettings, generalized_solution, may_be_elsewhere
from skmixed._generalized.modes import LinearPredictor, Mode, find_mode, rows_solution, start_of
from skmixed._generalized.objective import GeneralizedChart
from skmixed._generalized.optimum import GeneralizedModel, of_search
from skmixed._generalized.quadrature import NODES_OF_MEANS
from skmixed._generalized.system import HeldSlab, RowSlab
from skmixed._model.family import Family
from skmixed._typing import BoolArray, FloatArray, IntArray
from skmixed._uncertainty.draws import Deviation
from skmixed.exceptions import FitStatus, UndeterminedError

# ½c² of the points of contact, by s: the height over a normal density's mode at which the
# planes leave least mass.
HEIGHTS = {1: 1.0, 2: np.sqrt(2.0), 3: 1.85}
# Squared length of the last step to a mode that envelopes are laid around, for each effect.
NEAR = 1e-3
# Standard deviation of the effects at which a second search for a draw's optimum starts.
ELSEWHERE = 1.0
# The largest logarithm of a mass, which no level has that a mode was found for.
MOST_SLACK = 500.0


def generalized_deviation(own: GeneralizedModel, rng: np.random.Generator) -> Deviation:
    """Draw the deviation of (β, b) from their estimates, given Σ and the shape."""
    return exact_deviation(own, rng) if has_exact_draws(own) else normal_deviation(own, rng)


def has_exact_draws(own: GeneralizedModel) -> bool:
    """Return whether there is one grouping factor of few coefficients, and rows in memory."""
    system, size = own.layout.system, sum(own.layout.system.sizes)
    one = len(system.layout.system.factors) == 1
    return one and size in NODES_OF_MEANS and system.source.is_held


def normal_deviation(own: GeneralizedModel, rng: np.random.Generator) -> Deviation:
    """Draw it from a normal distribution, with the covariance of Henderson's equations."""
    layout, mode, system = own.layout, own.found.mode, own.layout.system
    fixed, gamma = _drawn_fixed(own, own.fixed_root, rng)
    # b − b̂ = ΛL⁻ᵀξ − TZ'WX(γ − γ̂) for M = LL'
    moved = rows_solution(mode.factor, (own.found.sums.between @ gamma)[:, None])[:, 0]
    effects: list[FloatArray] = [np.empty((0, 0))] * len(layout.terms)
    spherical = mode.factor.solve_transposed(*mode.factor.noise(rng)).spherical
    places = zip(system.layout.system.factors, system.layout.places, spherical, strict=True)
    for factor, place, u in places:
        # T = Λ(M⁻¹Λ'): the spherical effects M⁻¹Λ'v have no part that Λ takes to 0
        u = u - np.linalg.pinv(factor.lam(mode.lam)) @ moved[place].reshape(factor.n_levels, -1).T
        for term in factor.terms:
            root = term.to_user @ mode.lam[term.index]
            effects[term.index] = root @ u[term.columns]
    return Deviation(fixed, tuple(effects))


def exact_deviation(own: GeneralizedModel, rng: np.random.Generator) -> Deviation:
    """Draw β, and the effects of the levels of one factor from their density given β."""
    at, system = own.found.mode, own.layout.system
    fixed, change = _drawn_fixed(own, own.conditional_root, rng)
    gamma = at.effects.gamma + change
    start = LinearPredictor.of(system, at.lam, gamma, at.effects.scores)
    try:
        mode = find_mode(system, at.lam, at.phi, start, close=NEAR * system.n_random)
    except np.linalg.LinAlgError as error:
        raise UndeterminedError(
            "A draw of the fixed effects lies so far out that the likelihood has no digits there: "
            "the data do not bound them, as where a column separates the classes. Use "
            "effects='new', or a model without such columns."
        ) from error
    # u of all levels, (s, q), and what they are beyond the modes of the fit
    both = [[LevelDensities.of(mode).draw(rng).T], at.factor.effects().spherical]
    new, old = (user_effects(system.layout.system, at.lam, own) for own in both)
    return Deviation(fixed, tuple(a - b for a, b in zip(new, old, strict=True)))


def _drawn_fixed(
    own: GeneralizedModel, root: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw β − β̂ of the columns kept in the fit, and return what γ changes by with it."""
    fixed = root @ rng.standard_normal(root.shape[1])
    change = np.zeros(len(own.model.fixed))
    change[list(own.layout.kept if own.before is None else own.before.layout.kept)] = fixed
    return fixed, of_search(own.layout, change)


def refit_to_draw(
    own: GeneralizedModel, rng: np.random.Generator, *, tol: float, max_iter: int
) -> tuple[Solution, FitStatus]:
    """Fit the model to responses drawn from it, with effects of all levels drawn anew.

    The search starts from the parameters that they are drawn with, and once more from
    elsewhere where the likelihood may have other optima.
    """
    layout, system = own.layout, own.layout.system
    *terms, rest = own.lam
    gamma, phi = system.split(rest)
    # b = Λu of all levels, and y of η = o + Xγ + Zb
    effects = [np.zeros(0)]
    for factor in system.layout.system.factors:
        lam = factor.lam(tuple(terms))
        effects.append((rng.standard_normal((factor.n_levels, lam.shape[1])) @ lam.T).ravel())
    random, (slab,) = np.concatenate(effects), system.source.slabs()
    eta = slab.fixed_part(gamma) + slab.rows.times(random)
    response = system.family.draw(rng, eta, phi, slab.weights)
    drawn = replace(
        system,
        source=HeldSlab(replace(slab, response=response)),
        constant=2.0 * system.family.constant(response, slab.weights),
    )
    # The lower one of two searches
    objective, search = own.objective_of(drawn), SearchSettings(tol, max_iter)
    best = search.run(objective, own.lam)
    if may_be_elsewhere(drawn, best):
        start, scores = start_of(drawn, ELSEWHERE)
        objective.begin(start, scores)
        end = search.run(objective, start, best.value)
        best = end if end.value < best.value else best
    objective.evaluate(best.lam)
    d = len(GeneralizedChart.of(drawn, best.lam).jacobian)
    found = replace(layout, system=drawn)
    no_errors = np.zeros((d, d))
    solution = generalized_solution(found, objective.mode, own.model, no_errors, own.n_nodes)
    return solution, best.status


@dataclass(frozen=True)
class RowsOfLevels:
    """The rows of some levels of a factor, whose effects alone are open.

    Attributes
    ----------
    family : Family
    phi : float
    response, weights : (n,) arrays
    eta : (n,) array
        O + Xγ.
    columns : (r, n) array
        Z' of the factor.
    codes : (n,) array of int
        The level of each.
    """

    family: Family
    phi: float
    response: FloatArray
    weights: FloatArray
    eta: FloatArray
    columns: FloatArray
    codes: IntArray

    @staticmethod
    def of(slab: RowSlab, mode: Mode) -> "RowsOfLevels":
        ones = np.ones(slab.n_rows)
        columns = [ones if column is None else column for column in slab.rows.columns[0]]
        return RowsOfLevels(
            slab.family,
            mode.phi,
            slab.response,
            slab.weights,
            slab.fixed_part(mode.effects.gamma),
            np.array(columns),
            slab.rows.codes[0],
        )

    def slopes(self, effects: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return Σℓ, (q,), and Z's, (q, r), of levels with the effects b, (q, r)."""
        q, eta = len(effects), self.eta + np.einsum("rn,nr->n", self.columns, effects[self.codes])
        loss, s = self.weights * self.family.derivatives(self.response, eta, self.phi, 1)
        of_levels = np.empty((1 + len(self.columns), q))
        for out, own in zip(of_levels, (loss, *(self.columns * s)), strict=True):
            out[:] = np.bincount(self.codes, own, minlength=q)
        return of_levels[0], of_levels[1:].T

    def taken(self, levels: BoolArray) -> "RowsOfLevels":
        """Return the rows of some of the levels, which have new numbers."""
        at = np.flatnonzero(levels[self.codes])
        number = np.cumsum(levels) - 1
        return RowsOfLevels(
            self.family,
            self.phi,
            self.response[at],
            self.weights[at],
            self.eta[at],
            self.columns[:, at],
            number[self.codes[at]],
        )


@dataclass(frozen=True)
class LevelDensities:
    """The densities exp(−g) of some levels, in the coordinates z around their modes.

    Attributes
    ----------
    rows : RowsOfLevels
    lam : (r, s) array
        Λ.
    center : (q, s) array
        û.
    root : (q, s, s) array
        Q√D⁻¹, of M = QDQ'.
    """

    rows: RowsOfLevels
    lam: FloatArray
    center: FloatArray
    root: FloatArray

    @staticmethod
    def of(mode: Mode) -> "LevelDensities":
        """Take those of all levels of the one factor at a mode, of rows in memory."""
        (slab,), (factor,) = mode.system.source.slabs(), mode.system.layout.system.factors
        lam = factor.lam(mode.lam)
        weights = slab.derivatives(mode.effects.eta(slab), mode.phi, 2)[2]
        products = slab.rows.own_products(0, weights).transpose(2, 0, 1)
        values, vectors = np.linalg.eigh(lam.T @ products @ lam + np.eye(lam.shape[1]))
        center = mode.effects.scores.reshape(factor.n_levels, -1) @ lam
        root = vectors / np.sqrt(values)[:, None]
        return LevelDensities(RowsOfLevels.of(slab, mode), lam, center, root)

    def at(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return g, (q,), and g_u, (q, s)."""
        loss, slopes = self.rows.slopes(u @ self.lam.T)
        return loss + 0.5 * (u**2).sum(axis=1), slopes @ self.lam + u

    def along(self, slopes: FloatArray) -> FloatArray:
        """Return h_z of g_u, (q, s)."""
        return np.einsum("qab,qa->qb", self.root, slopes)

    def moved(self, z: FloatArray) -> FloatArray:
        """Return u of z, (q, s)."""
        return self.center + np.einsum("qab,qb->qa", self.root, z)

    def taken(self, levels: BoolArray) -> "LevelDensities":
        rows = self.rows.taken(levels)
        return LevelDensities(rows, self.lam, self.center[levels], self.root[levels])

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Draw u of each level, (q, s)."""
        own, envelope = self, Envelope.of(self)
        out, pending = np.empty_like(self.center), np.arange(len(self.center))
        while len(pending):
            # A proposal is kept with the probability exp(−h) over the envelope there
            u, height = envelope.propose(own, rng)
            excess = own.at(u)[0] - envelope.base + height
            is_kept = rng.standard_exponential(len(u)) > excess
            out[pending[is_kept]] = u[is_kept]
            pending = pending[~is_kept]
            own, envelope = own.taken(~is_kept), envelope.taken(~is_kept)
        return out


@dataclass(frozen=True)
class Envelope:
    """What exp(−h) of some levels lies below, K = 2ˢ orthants.

    Attributes
    ----------
    base : (q,) array
        The value g(û).
    pull : (q, s) array
        The slopes g_u(û).
    slopes : (q, K, s) array
        The p of each orthant.
    slack, bends : (q, K) arrays
        ε, and B − ε, the w up to which the envelope is flat.
    parts : (q, K, s + 1) array
        The mass of each orthant below its bend, and of the gamma densities 1, …, s beyond it.
    is_normal : (q,) array of bool
        Whether the normal density has the lesser mass.
    """

    base: FloatArray
    pull: FloatArray
    slopes: FloatArray
    slack: FloatArray
    bends: FloatArray
    parts: FloatArray
    is_normal: BoolArray

    @staticmethod
    def of(own: LevelDensities) -> "Envelope":
        q, size = own.center.shape
        base, pull = own.at(own.center)
        radius, at_center = np.sqrt(2.0 * HEIGHTS[size] / size), own.along(pull)
        slopes, bends, fall = (np.empty((q, 2**size, *own)) for own in ((size,), (), (size,)))
        # p, B and −σ∘h_z(0) of each orthant
        for k, signs in enumerate(_signs(size)):
            value, slope = own.at(own.moved(radius * np.broadcast_to(signs, (q, size))))
            slopes[:, k], fall[:, k] = signs * own.along(slope), -signs * at_center
            bends[:, k] = np.maximum(radius * slopes[:, k].sum(axis=1) - (value - base), 0.0)
        # Planes that rise nowhere along some z_i bound no mass
        is_finite = (slopes > 0.0).all(axis=(1, 2))
        slopes[~is_finite] = 1.0
        m = np.maximum(fall / slopes, 0.0).max(axis=2)
        slack = bends * m / (1.0 + m)
        parts = _masses(slopes, bends - slack) * np.exp(np.minimum(slack, MOST_SLACK))[:, :, None]
        of_normal = np.exp(np.minimum(0.5 * (pull**2).sum(axis=1), MOST_SLACK))
        of_normal *= (2.0 * np.pi) ** (size / 2) / np.abs(np.linalg.det(own.root))
        is_normal = ~(is_finite & (parts.sum(axis=(1, 2)) < of_normal))
        return Envelope(base, pull, slopes, slack, bends - slack, parts, is_normal)

    def propose(
        self, own: LevelDensities, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Draw from the envelope; return u, (q, s), and the logarithm of its height there."""
        (q, size), normal = self.pull.shape, self.is_normal
        # The orthant; below its bend, or beyond it by a gamma density
        shares = self.parts.reshape(q, -1).cumsum(axis=1)
        pick = (shares < (rng.random(q) * shares[:, -1])[:, None]).sum(axis=1)
        orthant, part = np.divmod(np.minimum(pick, shares.shape[1] - 1), size + 1)
        beyond = np.where(part > 0, rng.standard_gamma(np.maximum(part, 1)), 0.0)
        inside = np.where(part > 0, 1.0, rng.random(q) ** (1.0 / size))
        slopes, slack, bend = (
            own[np.arange(q), orthant] for own in (self.slopes, self.slack, self.bends)
        )
        # p|z|/w on the simplex
        simplex = rng.standard_exponential((q, size))
        simplex /= simplex.sum(axis=1, keepdims=True)
        z = _signs(size)[orthant] * (bend * inside + beyond)[:, None] * simplex / slopes
        noise = rng.standard_normal((q, size))
        u = np.where(normal[:, None], own.center - self.pull + noise, own.moved(z))
        of_normal = 0.5 * (self.pull**2 - noise**2).sum(axis=1)
        return u, np.where(normal, of_normal, slack - beyond)

    def taken(self, levels: BoolArray) -> "Envelope":
        return Envelope(*(getattr(self, own.name)[levels] for own in fields(self)))


def _masses(slopes: FloatArray, bends: FloatArray) -> FloatArray:
    """Return the mass of exp(−max(0, w − B)) in each orthant, in parts, (q, K, s + 1).

    ∫ w^(s−1) exp(−max(0, w − B)) dw / ((s − 1)! Π p), with the integral
    Bˢ/s + Σ_i (s − 1)!/(s − i)! B^(s−i) over i = 1, …, s.
    """
    size = slopes.shape[2]
    powers = [bends**size / size]
    powers += [perm(size - 1, i - 1) * bends ** (size - i) for i in range(1, size + 1)]
    volume = slopes.prod(axis=2) * factorial(size - 1)
    return np.asarray(np.stack(powers, axis=2) / volume[:, :, None])


def _signs(size: int) -> FloatArray:
    """Return σ of each orthant, (2ˢ, s)."""
    return np.array(list(product([-1.0, 1.0], repeat=size)))
