"""The mode of the random effects, by Newton's method on the penalized likelihood.

With ℓ_i = −w_i log p(y_i | η_i), s = ℓ' and W = ℓ'' at η = o + Xγ + Zb, the mode minimizes

    J(b) = Σ ℓ_i + ½ b'Σ⁻¹b,     b = Σρ with the scores ρ = −Z's

LinearPredictor are kept by their scores ρ, so that a singular Σ is as good as any other: a step
leads to b = T Z'W(z − Xγ), with z = η − o − s/W and T = ΛM⁻¹Λ', M = Λ'Z'WZΛ + I, and to
ρ = Z'W(z − Xγ − Zb). W is the observed information, also of links that are not canonical.

A search starts at the joint mode of γ and b, with Λ and φ by the moments there.

A step needs of the rows the sums of `Expansion` alone, so that the rows are gone over once
for each point that is tried, slab by slab.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from skmixed._equations.cholesky import CholeskyFactor, factorize
from skmixed._equations.linear_algebra import cholesky_lower, solve_lower
from skmixed._equations.products import products_of_both, products_times
from skmixed._equations.selected_inverse import covariance_times, spherical_blocks
from skmixed._equations.system import System
from skmixed._generalized.system import GeneralizedSystem, RowSlab
from skmixed._typing import FloatArray, Lam

# Squared length of a step, in standard deviations of the effects given y, after which the
# next one is rounding: Newton's method squares the length.
CLOSE = 1e-9
# Squared length of a step that may be rounding.
LOST = 1e-4
# Steps at most, and halvings of each.
MOST_STEPS, MOST_HALVINGS = 200, 40
# A rise of J below this share of it is rounding.
ROUNDING = 1e-14
# The largest linear predictor by fixed effects that is tried.
FARTHEST = 1e5

# Rounds in which a start's Λ and φ are taken from the effects, and the least variance then.
ROUNDS, LEAST = 2, 1e-2
# Squared length of a step to the joint mode that is near enough for a start, for each effect.
NEAR = 1e-3
# The logarithm of a shape with which effects are found to start from.
START_PHI = 1.0


@dataclass(frozen=True)
class LinearPredictor:
    """The linear predictor of the rows by γ and the scores ρ of the random effects.

    Attributes
    ----------
    gamma : (p,) array
    scores : (n_random,) array
        ρ.
    random : (n_random,) array
        b = Σρ.
    """

    gamma: FloatArray
    scores: FloatArray
    random: FloatArray

    @staticmethod
    def of(
        system: GeneralizedSystem, lam: Lam, gamma: FloatArray, scores: FloatArray
    ) -> "LinearPredictor":
        return LinearPredictor(gamma, scores, system.covariance_times(lam, scores))

    def eta(self, slab: RowSlab) -> FloatArray:
        """Return o + Xγ + Zb of rows, (n,)."""
        return slab.fixed_part(self.gamma) + slab.rows.times(self.random)

    @property
    def penalty(self) -> float:
        """b'Σ⁻¹b = u'u."""
        return float(self.scores @ self.random)

    def towards(self, other: "LinearPredictor", share: float) -> "LinearPredictor":
        """Return the effects at a share of the way to others."""
        if share == 1.0:
            return other
        names = [own.name for own in fields(self)]
        pairs = [(getattr(self, name), getattr(other, name)) for name in names]
        return LinearPredictor(*(a + share * (b - a) for a, b in pairs))


@dataclass(frozen=True)
class FixedSums:
    """Sums over rows of what a step of γ needs.

    Attributes
    ----------
    between : (n_random, p) array
        Z'WX.
    own : (p, p) array
        X'WX.
    right : (p,) array
        X'W(z − Xγ).
    """

    between: FloatArray
    own: FloatArray
    right: FloatArray

    def plus(self, other: "FixedSums") -> "FixedSums":
        return FixedSums(
            self.between + other.between, self.own + other.own, self.right + other.right
        )


@dataclass(frozen=True)
class Expansion:
    """Sums over rows of the likelihood's expansion around some effects.

    Attributes
    ----------
    loss : float
        Σℓ.
    right : (n_random,) array
        Z'W(z − Xγ).
    products : System
        Z'WZ, with `right` for y.
    fixed : FixedSums or None
        None where γ is given.
    """

    loss: float
    right: FloatArray
    products: System
    fixed: FixedSums | None

    @staticmethod
    def of(
        system: GeneralizedSystem, effects: LinearPredictor, phi: float, *, has_fixed: bool
    ) -> "Expansion":
        """Go over all rows once."""
        parts: Iterable[Expansion] = (
            _expanded(slab, effects, phi, has_fixed=has_fixed) for slab in system.source.slabs()
        )
        total: Expansion | None = None
        for part in parts:
            total = part if total is None else total._plus(part)
        assert total is not None
        return total

    def _plus(self, other: "Expansion") -> "Expansion":
        fixed = self.fixed
        if fixed is not None and other.fixed is not None:
            fixed = fixed.plus(other.fixed)
        products = products_of_both(self.products, other.products)
        return Expansion(self.loss + other.loss, self.right + other.right, products, fixed)


def _expanded(slab: RowSlab, effects: LinearPredictor, phi: float, *, has_fixed: bool) -> Expansion:
    """Expand the likelihood of some rows; it is infinite too far out."""
    fixed_part, random_part = slab.fixed_part(effects.gamma), slab.rows.times(effects.random)
    is_far = bool(np.abs(fixed_part).max(initial=0.0) > FARTHEST)
    fixed_part += random_part
    loss, slope, weights = slab.derivatives(fixed_part, phi, 2)
    # W(z − Xγ) = W Zb − s of each row
    right = weights * random_part - slope
    of_random = slab.rows.transposed(right)
    fixed = None
    if has_fixed:
        fixed = FixedSums(*slab.fixed_products(weights), slab.fixed @ right)
    products = slab.rows.weighted(weights, of_random)
    return Expansion(np.inf if is_far else float(loss.sum()), of_random, products, fixed)


@dataclass(frozen=True)
class Mode:
    """The likelihood at some effects, with the equations of the next step.

    Attributes
    ----------
    system : GeneralizedSystem
    lam : tuple of arrays
        Λ of each term.
    phi : float
    effects : LinearPredictor
    sums : Expansion
    factor : CholeskyFactor
        At Λ, with the weights W and Z'W(z − Xγ) for y.
    """

    system: GeneralizedSystem
    lam: Lam
    phi: float
    effects: LinearPredictor
    sums: Expansion
    factor: CholeskyFactor

    @property
    def value(self) -> float:
        """−2 log L by Laplace's approximation, if this is the mode."""
        return 2.0 * self.penalized + self.factor.logdet_z + self.system.constant

    @property
    def penalized(self) -> float:
        """J."""
        return _penalized(self.effects, self.sums)


def _penalized(effects: LinearPredictor, sums: Expansion) -> float:
    """Return J; infinite where rounding has left no digits of u'u."""
    penalty = effects.penalty
    if penalty < -ROUNDING * (1.0 + abs(sums.loss)):
        return np.inf
    return sums.loss + 0.5 * penalty


def find_mode(
    system: GeneralizedSystem,
    lam: Lam,
    phi: float,
    start: LinearPredictor,
    *,
    has_fixed: bool = False,
    close: float = CLOSE,
) -> Mode:
    """Find the mode of b at γ of the start, or with `has_fixed` that of γ and b together.

    `close` is the squared length of the last step.

    Raises
    ------
    numpy.linalg.LinAlgError
        If J is not defined at the start, its second derivatives are not positive, or no step
        leads to the mode.
    """
    effects, sums = start, Expansion.of(system, start, phi, has_fixed=has_fixed)
    length = np.inf
    # Newton's steps; the equations at the last effects are those of the value too
    for _ in range(MOST_STEPS):
        factor = factorize(sums.products, lam)
        if length <= close:
            return Mode(system, lam, phi, effects, sums, factor)
        new, before = _step(effects, sums, factor), effects
        length = _squared_length(effects, new, sums)
        effects, sums = _descended(system, phi, effects, sums, new)
        # Where no step gains, rounding alone is left to gain
        if effects is before and length <= LOST:
            return Mode(system, lam, phi, effects, sums, factor)
        if effects is before:
            break
    raise np.linalg.LinAlgError("The mode is not found.")


def _step(effects: LinearPredictor, sums: Expansion, factor: CholeskyFactor) -> LinearPredictor:
    """Solve for b with γ given, or for both: X'V⁻¹X Δγ = X'V⁻¹(z − Xγ), V⁻¹ = W − WZTZ'W."""
    fixed, gamma, right = sums.fixed, effects.gamma, sums.right
    if fixed is None:
        random = rows_solution(factor, right[:, None])[:, 0]
    else:
        # X'V⁻¹[X z − Xγ] = X'W[X z − Xγ] − X'WZTZ'W[X z − Xγ]
        p = len(gamma)
        solved = rows_solution(factor, np.column_stack([fixed.between, right]))
        products = np.column_stack([fixed.own, fixed.right]) - fixed.between.T @ solved
        root = cholesky_lower((products[:, :p] + products[:, :p].T) / 2.0)
        change = solve_lower(root, solve_lower(root, products[:, p]), transposed=True)
        # b = TZ'W(z − Xγ − XΔγ)
        random = solved[:, p] - solved[:, :p] @ change
        gamma, right = gamma + change, right - fixed.between @ change
    # ρ = Z'W(z − Xγ − Zb) at the new γ and b
    scores = right - products_times(sums.products, random[:, None])[:, 0]
    return LinearPredictor(gamma, scores, random)


def _squared_length(old: LinearPredictor, new: LinearPredictor, sums: Expansion) -> float:
    """Return Δη'WΔη + Δu'Δu of a step."""
    move, fixed = new.random - old.random, sums.fixed
    of_random = products_times(sums.products, move[:, None])[:, 0] + (new.scores - old.scores)
    out = float(move @ of_random)
    if fixed is not None:
        change = new.gamma - old.gamma
        out += float(change @ (fixed.own @ change + 2.0 * (fixed.between.T @ move)))
    return abs(out)  # negative where it is rounding


def rows_solution(factor: CholeskyFactor, columns: FloatArray) -> FloatArray:
    """Return T times columns, (n_random, m); none for a model without random effects."""
    return covariance_times(factor, columns) if len(columns) else columns


def _descended(
    system: GeneralizedSystem,
    phi: float,
    old: LinearPredictor,
    sums: Expansion,
    new: LinearPredictor,
) -> tuple[LinearPredictor, Expansion]:
    """Go to the new effects, or so much of the way that J does not rise."""
    before, share = _penalized(old, sums), 1.0
    if not np.isfinite(before):
        raise np.linalg.LinAlgError("The likelihood is not defined at the start.")
    for _ in range(MOST_HALVINGS):
        trial = old.towards(new, share)
        found = Expansion.of(system, trial, phi, has_fixed=sums.fixed is not None)
        if _penalized(trial, found) <= before + ROUNDING * (abs(before) + system.total_weight):
            return trial, found
        share /= 2.0
    return old, sums


def start_of(system: GeneralizedSystem, sd: float) -> tuple[Lam, FloatArray]:
    """Return a start at the joint mode of γ and b, with Λ and φ by the moments there; and ρ.

    Without effects, Λ = 0, where `sd` is 0.
    """
    terms = tuple(sd * np.eye(size) for size in system.sizes)
    phi, gamma = START_PHI, _regression(system)
    effects = LinearPredictor.of(system, terms, gamma, np.zeros(system.n_random))
    close = NEAR * (system.n_random + system.n_fixed)
    # Λ by the modes and their covariances; φ by what is left of y
    for _ in range(ROUNDS if terms or system.n_shape else 0):
        with np.errstate(all="ignore"):
            mode = find_mode(system, terms, phi, effects, has_fixed=True, close=close)
        terms, phi = _by_effects(mode) if sd else terms, _shape_of(mode)
        scores = system.scores_of(terms, mode.effects.random)
        effects = LinearPredictor.of(system, terms, mode.effects.gamma, scores)
    with np.errstate(all="ignore"):
        mode = find_mode(system, terms, phi, effects, has_fixed=True, close=close)
    gamma, scores = mode.effects.gamma, mode.effects.scores
    return (*terms, np.append(gamma, [phi] * system.n_shape)), scores


def _regression(system: GeneralizedSystem) -> FloatArray:
    """Return γ by weighted least squares of what η is in each row alone, (p,)."""
    p = system.n_fixed
    products = np.zeros((p, p + 1))
    # X'W[X η]
    for slab in system.source.slabs():
        own = system.family.start(slab.response, slab.weights) - slab.offset
        weighted = slab.weights * slab.fixed
        products[:, :p] += weighted @ slab.fixed.T
        products[:, p] += weighted @ own
    return np.asarray(np.linalg.solve(products[:, :p], products[:, p:])[:, 0], dtype=float)


def _shape_of(mode: Mode) -> float:
    """Return φ by what is left of y at a mode; 0 of a family without a shape."""
    system, moments = mode.system, np.zeros(2)
    if not system.n_shape:
        return 0.0
    for slab in system.source.slabs():
        mean = system.family.mean(mode.effects.eta(slab))
        moments += system.family.shape_moments(slab.response, mean, slab.weights)
    return system.family.shape_by(moments)


def _by_effects(mode: Mode) -> Lam:
    """Return Λ for which the modes have the variance that their shrinkage lets expect.

    With u the spherical modes, the mean of uu' is R^½ΣR^½ for R = I less the mean of M⁻¹
    (Schall, 1991, Biometrika 78, for one variance).
    """
    if not mode.lam:
        return ()
    out: dict[int, FloatArray] = {}
    inverses, spherical = spherical_blocks(mode.factor), mode.factor.effects().spherical
    for k, factor in enumerate(mode.system.layout.system.factors):
        for term in factor.terms:
            # ΛR^−½ mean(uu') R^−½Λ', with no variance below the least
            u, lam, at = spherical[k][term.columns], mode.lam[term.index], term.columns
            left = np.eye(len(u)) - inverses[k][:, at, at].mean(axis=0)
            values, vectors = np.linalg.eigh((left + left.T) / 2.0)
            root = (vectors / np.sqrt(np.maximum(values, LEAST))) @ vectors.T
            own = lam @ root @ (u @ u.T / u.shape[1]) @ root @ lam.T
            values, vectors = np.linalg.eigh((own + own.T) / 2.0)
            own = (vectors * np.maximum(values, LEAST)) @ vectors.T
            out[term.index] = term.term.structure.nearest(own)
    return tuple(out[k] for k in sorted(out))
