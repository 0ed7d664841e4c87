"""The mode of the random effects, by Newton's method on the penalized likelihood.

With ℓ_i = −w_i log p(y_i | η_i), s = ℓ' and W = ℓ'' at η = o + Xγ + Zb, the mode minimizes

    J(b) = Σ ℓ_i + ½ b'Σ⁻¹b,     b = Σρ with the scores ρ = −Z's

LinearPredictor are kept by their scores ρ, so that a singular Σ is as good as any other: a step
leads to b = T Z'W(z − Xγ), with z = η − o − s/W and T = ΛM⁻¹Λ', M = Λ'Z'WZΛ + I, and to
ρ = Z'W(z − Xγ − Zb). W is the observed information, also of links that are not canonical.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from skmixed._equations.cholesky import CholeskyFactor, factorize
from skmixed._equations.linear_algebra import cholesky_lower, solve_lower
from skmixed._equations.selected_inverse import covariance_times
from skmixed._generalized.system import GeneralizedSystem
from skmixed._typing import FloatArray, Lam

# Squared length of a step, in standard deviations of the effects given y, after which the
# next one is rounding: Newton's method squares the length.
CLOSE = 1e-9
# Steps at most, and halvings of each.
MOST_STEPS, MOST_HALVINGS = 200, 40
# A rise of J below this share of it is rounding.
ROUNDING = 1e-14


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
    fixed_part, random_part : (n,) arrays
        o + Xγ, and Zb.
    """

    gamma: FloatArray
    scores: FloatArray
    random: FloatArray
    fixed_part: FloatArray
    random_part: FloatArray

    @staticmethod
    def of(
        system: GeneralizedSystem, lam: Lam, gamma: FloatArray, scores: FloatArray
    ) -> "LinearPredictor":
        random = system.covariance_times(lam, scores)
        fixed_part = system.offset + gamma @ system.fixed
        return LinearPredictor(gamma, scores, random, fixed_part, system.rows.times(random))

    @cached_property
    def eta(self) -> FloatArray:
        return self.fixed_part + self.random_part

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
class Mode:
    """The likelihood at some effects, with the equations of the next step.

    Attributes
    ----------
    system : GeneralizedSystem
    lam : tuple of arrays
        Λ of each term.
    phi : float
    effects : LinearPredictor
    derivatives : (3, n) array
        ℓ, s and W.
    factor : CholeskyFactor
        At Λ, with the weights W and Z'W(z − Xγ) for y.
    """

    system: GeneralizedSystem
    lam: Lam
    phi: float
    effects: LinearPredictor
    derivatives: FloatArray
    factor: CholeskyFactor

    @property
    def value(self) -> float:
        """−2 log L by Laplace's approximation, if this is the mode."""
        return 2.0 * self.penalized + self.factor.logdet_z + self.system.constant

    @property
    def penalized(self) -> float:
        """J."""
        return _penalized(self.effects, self.derivatives)


def _penalized(effects: LinearPredictor, derivatives: FloatArray) -> float:
    return float(derivatives[0].sum()) + 0.5 * effects.penalty


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
        If J is not defined at the start, or its second derivatives are not positive.
    """
    effects, derivatives = start, system.derivatives(start.eta, phi, 2)
    is_close = False
    # Newton's steps; the equations at the last effects are those of the value too
    for _ in range(MOST_STEPS):
        weights, right = derivatives[2], _right_side(effects, derivatives)
        of_random = system.rows.transposed(right)
        factor = factorize(system.rows.weighted(weights, of_random), lam)
        if is_close:
            break
        step = _joint_step if has_fixed else _step
        new = step(effects, system, factor, weights, right, of_random)
        move = new.eta - effects.eta
        of_penalty = (new.scores - effects.scores) @ (new.random - effects.random)
        is_close = float(move @ (weights * move) + of_penalty) <= close
        effects, derivatives = _descended(system, phi, effects, derivatives, new)
    return Mode(system, lam, phi, effects, derivatives, factor)


def _right_side(effects: LinearPredictor, derivatives: FloatArray) -> FloatArray:
    """W(z − Xγ) = W Zb − s of each row."""
    return derivatives[2] * effects.random_part - derivatives[1]


def _step(
    effects: LinearPredictor,
    system: GeneralizedSystem,
    factor: CholeskyFactor,
    weights: FloatArray,
    right: FloatArray,
    right_side: FloatArray,
) -> LinearPredictor:
    """Solve for b with γ given, from W(z − Xγ) and Z' of it."""
    rows = system.rows
    random = rows_solution(factor, right_side[:, None])[:, 0]
    random_part = rows.times(random)
    scores = rows.transposed(right - weights * random_part)
    return LinearPredictor(effects.gamma, scores, random, effects.fixed_part, random_part)


def _joint_step(
    effects: LinearPredictor,
    system: GeneralizedSystem,
    factor: CholeskyFactor,
    weights: FloatArray,
    right: FloatArray,
    right_side: FloatArray,
) -> LinearPredictor:
    """Solve for γ and b: X'V⁻¹X Δγ = X'V⁻¹(z − Xγ), V⁻¹ = W − WZTZ'W."""
    rows, p = system.rows, system.n_fixed
    # X'V⁻¹[X z − Xγ] = X'W[X z − Xγ] − X'WZTZ'W[X z − Xγ]
    crossed, own = system.fixed_products(weights)
    solved = rows_solution(factor, np.column_stack([crossed, right_side]))
    products = np.column_stack([own, system.fixed @ right]) - crossed.T @ solved
    root = cholesky_lower((products[:, :p] + products[:, :p].T) / 2.0)
    change = solve_lower(root, solve_lower(root, products[:, p]), transposed=True)
    # b = TZ'W(z − Xγ − XΔγ), and ρ = Z'V⁻¹ of the same
    random = solved[:, p] - solved[:, :p] @ change
    moved, random_part = change @ system.fixed, rows.times(random)
    scores = rows.transposed(right - weights * (moved + random_part))
    gamma = effects.gamma + change
    return LinearPredictor(gamma, scores, random, effects.fixed_part + moved, random_part)


def rows_solution(factor: CholeskyFactor, columns: FloatArray) -> FloatArray:
    """Return T times columns, (n_random, m); none for a model without random effects."""
    return covariance_times(factor, columns) if len(columns) else columns


def _descended(
    system: GeneralizedSystem,
    phi: float,
    old: LinearPredictor,
    derivatives: FloatArray,
    new: LinearPredictor,
) -> tuple[LinearPredictor, FloatArray]:
    """Go to the new effects, or so much of the way that J does not rise."""
    before, share = _penalized(old, derivatives), 1.0
    if not np.isfinite(before):
        raise np.linalg.LinAlgError("The likelihood is not defined at the start.")
    for _ in range(MOST_HALVINGS):
        trial = old.towards(new, share)
        found = system.derivatives(trial.eta, phi, 2)
        if _penalized(trial, found) <= before + ROUNDING * (abs(before) + system.n_rows):
            return trial, found
        share /= 2.0
    return old, derivatives
