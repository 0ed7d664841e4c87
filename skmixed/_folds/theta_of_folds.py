"""The relative variances τ without each of many folds: one search for all of them.

Without a fold the criterion d_f(τ) has the parts of all rows less those of the fold. The
latter are exact at each fold's own τ; the former are smooth functions of τ around the τ̂ of
all rows, and are replaced by polynomials through their exact values.
"""

from dataclasses import dataclass, replace
from itertools import chain, combinations_with_replacement
from math import comb

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.stats import qmc

from skmixed._equations.cholesky import factorize
from skmixed._folds.whole_groups import Deleted, GroupEquations, WholeGroups, pivots_of
from skmixed._typing import FloatArray, IntArray, Lam

# How far τ may move from that of all rows, relative to Σ: beyond, a fold is searched by itself.
LARGEST_MOVE = 0.3
# How far the corners of a box may be, where Σ is to have full rank: at 1 it need not.
LARGEST_REACH = 0.9
# Terms of a polynomial at most, and exact values for each term.
MOST_TERMS, VALUES_PER_TERM = 1000, 2
# Relative error of a polynomial, of which the exact values have the rounding of sums.
PRECISION = 1e-12
# The error that is found at the folds that have moved most; scores have a thousandth of it.
LARGEST_ERROR = 1e-10
STEPS = 40
# What rounding leaves of an eigenvalue of 0, relative to the largest.
ROUNDING = 1e-8
# A step that changes nothing, relative to Σ: a hundredth of what scores are compared at.
NO_STEP = 1e-10


@dataclass(frozen=True)
class Polynomial:
    """[X y]'V⁻¹[X y] and log|V| of all rows, as polynomials in τ around τ̂.

    Attributes
    ----------
    center : (d,) array
        τ̂.
    axes : (d, d) array
        z = axes'(τ − τ̂) is between −1 and 1.
    reach : float
        The largest relative move in it.
    powers : (m, d) array of int
        Degrees of the Chebyshev polynomials of each term.
    coefficients : (m, (p + 1)² + 1) array
    """

    center: FloatArray
    axes: FloatArray
    reach: float
    powers: IntArray
    coefficients: FloatArray

    @staticmethod
    def of(
        groups: WholeGroups, tau: FloatArray, axes: FloatArray, reach: float, degree: int
    ) -> "Polynomial":
        """Fit polynomials of a total degree to exact values at points that fill the box."""
        d = len(tau)
        degrees = (combinations_with_replacement(range(d), n) for n in range(degree + 1))
        powers = np.array([np.bincount(own, minlength=d) for own in chain(*degrees)])
        n_points = VALUES_PER_TERM * len(powers)
        # Halton's points, as dense towards the faces as Chebyshev's
        points = -np.cos(np.pi * qmc.Halton(d, scramble=False).random(n_points))
        inverse = np.linalg.inv(axes)
        values = exact_of_all(groups, tau + points @ inverse)
        found = np.linalg.lstsq(_chebyshev_terms(points, powers), values, rcond=None)[0]
        return Polynomial(tau, axes, reach, powers, np.asarray(found, dtype=np.float64))

    @staticmethod
    def around(
        groups: WholeGroups, start: "FoldEstimates", steps: FloatArray
    ) -> "tuple[Polynomial, NDArray[np.bool_]] | None":
        """Return polynomials in a box around steps from the τ of all rows, and which are in it.

        A function with its nearest pole at a relative move of −1 has Chebyshev coefficients that
        fall by a factor m/2 for moves up to m. None where Σ is singular, or no step is small.
        """
        tau, d = start.tau[0], steps.shape[1]
        sides = _relative_directions(groups, tau)
        if sides is None:
            return None
        # The norm of L⁻¹ΔΣL⁻' of each step
        moves = np.abs(np.linalg.eigvalsh(np.tensordot(steps, sides, axes=1))).max(axis=1)
        moves = np.where(start.are_sure, moves, np.inf)
        highest = max(n for n in range(1, 40) if comb(d + n, d) <= MOST_TERMS)
        limit = min(LARGEST_MOVE, 2.0 * PRECISION ** (1.0 / highest) / 1.5)
        # Σ_i τ_i vec(L⁻¹D_iL⁻') = QRτ, so that |Rτ| is the Frobenius norm of L⁻¹ΔΣL⁻'
        root = np.transpose(np.linalg.qr(sides.reshape(d, -1).T)[1])
        while (sure := moves <= limit).any():
            axes, reach = _box_of(steps[sure] @ root)
            if reach < LARGEST_REACH:
                largest = 1.5 * float(moves[sure].max())
                degree = int(np.ceil(np.log(PRECISION) / np.log(largest / 2.0))) if largest else 2
                own = min(max(degree, 2), highest)
                return Polynomial.of(groups, tau, root @ axes, largest, own), sure
            limit *= LARGEST_REACH / reach / 2
        return None

    def is_inside(self, tau: FloatArray) -> NDArray[np.bool_]:
        """Whether each τ is in the box, (F,)."""
        return np.asarray((np.abs((tau - self.center) @ self.axes) <= 1.0).all(axis=1))

    def terms(self, tau: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the terms at τ, (F, m), and their derivatives in τ, (F, d, m)."""
        z = (tau - self.center) @ self.axes
        slopes = np.stack(
            [_chebyshev_terms(z, self.powers, along=i) for i in range(len(self.center))], axis=1
        )
        return _chebyshev_terms(z, self.powers), np.einsum("ij,fjm->fim", self.axes, slopes)

    def without(self, groups: WholeGroups, tau: FloatArray, sure: NDArray[np.bool_]) -> Deleted:
        """Return the fits without each fold at its τ."""
        found = self.terms(tau)[0] @ self.coefficients
        own = groups.equations(groups.sigma(tau)[groups.fold])
        of_folds, logdet = own.of_folds
        left = found[:, :-1].reshape(of_folds.shape) - of_folds
        return Deleted.of(groups, left, found[:, -1] - logdet, sure)

    def checked(
        self, groups: WholeGroups, tau: FloatArray, sure: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return which folds are sure: none where the farthest off have other exact values."""
        if not sure.any():
            return sure
        own = tau[sure]
        far = own[np.argsort(np.abs((own - self.center) @ self.axes).max(axis=1))[-3:]]
        found, exact = self.terms(far)[0] @ self.coefficients, exact_of_all(groups, far)
        p = groups.system.n_fixed + 1
        # Each product relative to the lengths of its two columns
        lengths = np.sqrt(np.diagonal(exact[:, :-1].reshape(-1, p, p), axis1=1, axis2=2))
        scale = (lengths[:, :, None] * lengths[:, None, :]).reshape(len(far), -1)
        error = float(np.abs((found - exact)[:, :-1] / scale).max())
        return np.zeros_like(sure) if error > LARGEST_ERROR else sure


def _box_of(moves: FloatArray) -> tuple[FloatArray, float]:
    """Return axes of a box, by half longer than the longest of some moves, and how far it goes."""
    # Along the principal axes of the moves
    _, vectors = np.linalg.eigh(moves.T @ moves)
    sizes = 1.5 * np.abs(moves @ vectors).max(axis=0)
    sizes = np.maximum(sizes, 1e-3 * max(float(sizes.max()), np.finfo(float).tiny))
    return vectors / sizes, float(np.linalg.norm(sizes))


def _chebyshev_terms(z: FloatArray, powers: IntArray, along: int = -1) -> FloatArray:
    """Return products of Chebyshev polynomials at points (n, d); differentiated `along` one."""
    degree = int(powers.max())
    out = np.ones((len(z), len(powers)))
    for i in range(z.shape[1]):
        table = chebyshev.chebvander(z[:, i], degree)
        if i == along:
            slopes = chebyshev.chebder(np.eye(degree + 1)) if degree else np.zeros((1, 1))
            table = chebyshev.chebvander(z[:, i], max(degree - 1, 0)) @ slopes
        out *= table[:, powers[:, i]]
    return out


def exact_of_all(groups: WholeGroups, taus: FloatArray) -> FloatArray:
    """Return [X y]'V⁻¹[X y] and log|V| of all rows at some τ, (n, (p + 1)² + 1)."""
    found, factor = [], None
    for tau in taus:
        # Without a core the Schur complement of the groups is that of X and y
        factor = factorize(groups.system, groups.lam(tau), factor)
        own = groups.turn.T @ factor.reduced_products @ groups.turn
        found.append(np.append(own, factor.logdet_z))
    return np.array(found)


@dataclass(frozen=True)
class FoldEstimates:
    """Estimates without each fold.

    Attributes
    ----------
    tau : (F, d) array
    deleted : Deleted
    are_sure : (F,) array of bool
        Where they are the optimum; a fold for which they are not is to be fitted by itself.
    """

    tau: FloatArray
    deleted: Deleted
    are_sure: NDArray[np.bool_]

    def none_sure(self) -> "FoldEstimates":
        """Return the same, to be fitted fold by fold."""
        return self.among(np.zeros_like(self.are_sure))

    def among(self, sure: NDArray[np.bool_]) -> "FoldEstimates":
        """Return the same, to be fitted fold by fold where others are not sure."""
        return replace(self, are_sure=self.are_sure & sure)


def at_one_tau(groups: WholeGroups, lam: Lam) -> FoldEstimates:
    """Return the estimates without each fold at the Λ of all rows."""
    tau = groups.parameters.chart(lam).tau
    own = groups.equations(groups.sigma(tau)[None])
    factor, (of_folds, logdet) = factorize(groups.system, lam), own.of_folds
    left = groups.turn.T @ factor.reduced_products @ groups.turn - of_folds
    deleted = Deleted.of(groups, left, factor.logdet_z - logdet, groups.are_separable)
    return FoldEstimates(np.tile(tau, (groups.n_folds, 1)), deleted, deleted.are_sure)


def at_own_tau(groups: WholeGroups, lam: Lam, information: FloatArray) -> FoldEstimates:
    """Return the estimates without each fold, τ estimated anew.

    `information` is that of all rows on τ, (d, d): the first second derivative.
    """
    start = at_one_tau(groups, lam)
    shares = pivots_of(information[None], np.array([True]))[1]
    if not (shares > ROUNDING).all():
        return start.none_sure()
    # The first step −H⁻¹g of each fold
    first = -first_gradient(groups, start) @ np.asarray(np.linalg.inv(information))
    box = Polynomial.around(groups, start, first)
    if box is None:
        return start.none_sure()
    polynomial, sure = box
    moved, deleted, sure = _minimized(groups, polynomial, information, sure)
    return FoldEstimates(moved, deleted, polynomial.checked(groups, moved, sure))


def first_gradient(groups: WholeGroups, start: FoldEstimates) -> FloatArray:
    """Return ∂d_f/∂τ at the τ of all rows, (F, d), from the exact derivatives of all groups."""
    weights = start.deleted.weights(groups)
    own = groups.equations(groups.sigma(start.tau[0])[None])
    # Σ_j of all groups of tr(W_f Q_j'D_iQ_j), by the products of Q with each direction
    p = own.left.shape[2]
    flat = own.left.reshape(-1, p)
    along = np.stack([flat.T @ (d @ own.left).reshape(-1, p) for d in groups.directions])
    of_all = -np.tensordot(weights, along, axes=([1, 2], [1, 2]))
    _, logdets = own.slopes(np.eye(p)[None])
    of_fold, logdet = own.slopes(weights[groups.fold])
    gradient = of_all - groups.by_fold(of_fold)
    return np.asarray(gradient + logdets.sum(axis=0) - groups.by_fold(logdet))


def _relative_directions(groups: WholeGroups, tau: FloatArray) -> FloatArray | None:
    """Return L⁻¹D_iL⁻' of each direction of the terms' Σ = LL', (d, s, s); None if one is singular.

    The terms are blocks, s coefficients in all.
    """
    terms = [t for _, t in groups.parameters.terms]
    n_coefficients = sum(t.size for t in terms)
    out, start = np.zeros((len(tau), n_coefficients, n_coefficients)), 0
    for t, place in zip(terms, groups.parameters.places, strict=True):
        # Σ_t = Σ_i τ_i D_i = LL', singular where a squared pivot is nothing of its variance
        directions = t.term.structure.directions(t.size)
        sigma = np.tensordot(tau[place], directions, axes=1)
        root, shares = pivots_of(sigma[None], np.array([True]))
        if not (shares > ROUNDING).all():
            return None
        # L⁻¹D_iL⁻'
        half = np.linalg.inv(root[0])
        own = slice(start, start + t.size)
        out[place, own, own] = half @ directions @ half.T
        start += t.size
    return out


def _minimized(
    groups: WholeGroups,
    polynomial: Polynomial,
    information: FloatArray,
    sure: NDArray[np.bool_],
) -> tuple[FloatArray, Deleted, NDArray[np.bool_]]:
    """Minimize each fold's criterion by Broyden's method; return τ, the fits, and which ended."""
    n_folds = groups.n_folds
    tau = np.tile(polynomial.center, (n_folds, 1))
    inverse = np.tile(np.linalg.inv(information), (n_folds, 1, 1))
    gradient, deleted = _gradient(groups, polynomial, tau, sure)
    for _ in range(STEPS):
        step = -np.einsum("fij,fj->fi", inverse, gradient)
        step[~sure] = 0.0
        sizes = np.abs(step @ polynomial.axes).max(axis=1)
        # A fold that leaves the box is searched by itself
        sure = sure & polynomial.is_inside(tau + step)
        tau = np.where(sure[:, None], tau + step, polynomial.center)
        before = gradient
        gradient, deleted = _gradient(groups, polynomial, tau, sure & deleted.are_sure)
        sure = sure & deleted.are_sure
        if not (sizes[sure] * polynomial.reach > NO_STEP).any():
            return tau, deleted, sure
        # H⁻¹ += (s − H⁻¹y)s'H⁻¹ / s'H⁻¹y: Broyden (1965), of each fold
        change = np.einsum("fij,fj->fi", inverse, gradient - before)
        row = np.einsum("fi,fij->fj", step, inverse)
        scale = np.einsum("fi,fi->f", step, change)
        moved = sure & (np.abs(scale) > 1e-3 * np.einsum("fi,fi->f", step, step))
        left = (step - change) / np.where(moved, scale, 1.0)[:, None]
        inverse += np.where(moved[:, None, None], left[:, :, None] * row[:, None, :], 0.0)
    return tau, deleted, sure & (sizes * polynomial.reach <= NO_STEP)


def _gradient(
    groups: WholeGroups, polynomial: Polynomial, tau: FloatArray, sure: NDArray[np.bool_]
) -> tuple[FloatArray, Deleted]:
    """Return ∂d_f/∂τ at each fold's τ, (F, d), and the fits there."""
    terms, slopes = polynomial.terms(tau)
    found = terms @ polynomial.coefficients
    own: GroupEquations = groups.equations(groups.sigma(tau)[groups.fold])
    p, (of_folds, logdet) = own.left.shape[2], own.of_folds
    left = found[:, :-1].reshape(-1, p, p) - of_folds
    deleted = Deleted.of(groups, left, found[:, -1] - logdet, sure)
    weights = deleted.weights(groups)
    # tr(W ∂E) + ∂log|V| of all rows, less those of the fold
    coefficients = weights.reshape(len(weights), -1) @ polynomial.coefficients[:, :-1].T
    coefficients += polynomial.coefficients[:, -1]
    of_all = np.einsum("fim,fm->fi", slopes, coefficients)
    of_fold, slope = own.slopes(weights[groups.fold])
    return of_all - groups.by_fold(of_fold + slope), deleted
