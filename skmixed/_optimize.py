"""The search for Λ: a trust-region Newton method with average information.

At each Λ the criterion is modeled to second order in the step δ of Λ,

    d(Λ + dΛ) ≈ d + ⟨G, dΣ⟩ + ½ ⟨dΣ₁, AI dΣ₁⟩,     dΣ = ΛdΛ' + dΛΛ' + dΛdΛ',  dΣ₁ = ΛdΛ' + dΛΛ',

with G = ∂d/∂Σ exact. The term ⟨G, dΛdΛ'⟩ makes a variance go to zero, or leave
zero, as the sign of G demands; no bound is needed (see `_covariance`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray

from skmixed._coordinates import TermBlock
from skmixed._criterion import Derivatives, criterion, derivatives
from skmixed._factorize import Factorization, factorize
from skmixed.exceptions import FitStatus

FloatArray = NDArray[np.float64]
Lam = tuple[FloatArray, ...]

# Share of the predicted decrease that a step must achieve, and the one from
# which the trust region grows (Nocedal and Wright, 2006, algorithm 4.1).
ACCEPT, GROW = 0.1, 0.75
# A column of Λ that a step shrinks below this share is tried at zero. With
# d ≈ g·t in t = λ², a Newton step in t overshoots zero from a share of 2/3 on.
VANISHING = 0.5
# Below this a column is zero: its square is lost beside 1 in ΛΛ'Z'Z + I.
NOTHING = 1e-8
# Differences of the criterion below this share of it are rounding, and what of a
# predicted gain can matter: an estimate is off by the root of it, in standard errors.
ROUNDING, RESOLUTION = 1e-13, 2e-15
# A secant update whose denominator is a smaller share is left out.
SKIP = 1e-8
# Average information alone is given up where it gains less than this per step.
# No less than that where the criterion falls without bound: nothing to learn there.
SLOW, FALLING = 0.02, 0.9
# Smallest eigenvalue of the trust region's metric, as a share of its largest.
RIDGE = 1e-10


@dataclass(frozen=True)
class Search:
    """Where a search ended, and what it took."""

    factorization: Factorization
    status: FitStatus
    n_iter: int
    n_factorizations: int


@dataclass(frozen=True)
class _Point:
    """The criterion at a canonical Λ, with its second-order model around it."""

    lam: Lam
    value: float
    basis: tuple[FloatArray, ...]
    gradient: FloatArray
    hessian: FloatArray
    metric: FloatArray

    @property
    def is_finite(self) -> bool:
        """Whether there is a model to step by."""
        return bool(np.isfinite(self.gradient).all() and np.isfinite(self.hessian).all())

    def moved(self, step: FloatArray) -> Lam:
        out, start = [], 0
        for lam, basis in zip(self.lam, self.basis, strict=True):
            out.append(lam + np.tensordot(step[start : start + len(basis)], basis, 1))
            start += len(basis)
        return tuple(out)

    def step(self, radius: float) -> tuple[FloatArray, float, bool]:
        """Return the best step within the radius, its length, and if it is inside."""
        values, vectors = np.linalg.eigh(self.metric)
        largest = max(float(values[-1]), np.finfo(float).tiny)
        scale = vectors / np.sqrt(np.maximum(values, RIDGE * largest))
        hessian = scale.T @ self.hessian @ scale
        step, is_interior = trust_region_step(scale.T @ self.gradient, hessian, radius)
        return scale @ step, float(np.linalg.norm(step)), is_interior

    def decrease(self, step: FloatArray) -> float:
        return float(-(self.gradient @ step + 0.5 * step @ self.hessian @ step))


def minimize(
    at_zero: Factorization,
    start: Lam,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
) -> Search:
    """Minimize the criterion over Λ.

    Parameters
    ----------
    at_zero : Factorization
        At Λ = 0: least squares.
    start : tuple of (s, s) arrays
        Λ of each term to start from.
    tol : float
        Stop when the model predicts a decrease of the criterion of at most this.
    max_iter : int
        Steps tried at most.
    report : callable, optional
        Called with one line per step.
    """
    if at_zero.is_exact_fit:
        return Search(at_zero, FitStatus.EXACT_FIT, 1, 1)
    if not at_zero.blocks.stages:
        return Search(at_zero, FitStatus.LEAST_SQUARES, 1, 1)
    return _Descent(at_zero, tol, max_iter, report).run(start)


class _Descent:
    """One run of the trust-region iteration.

    It keeps the arrays of one factorization and overwrites them by the next.
    """

    def __init__(
        self,
        at_zero: Factorization,
        tol: float,
        max_iter: int,
        report: Callable[[str], None] | None,
    ) -> None:
        self.blocks = at_zero.blocks
        self.latest = at_zero
        self.tol = tol
        self.max_iter = max_iter
        self.report = report
        self.secant: Secant | None = None
        self.is_slow = False
        self.n_factorizations = 1
        self.n_iter = 0

    def run(self, start: Lam) -> Search:
        value = self._evaluate(start)
        if not np.isfinite(value):
            start = tuple(np.eye(len(lam)) for lam in start)
            value = self._evaluate(start)
        point = self._model(value)
        radius = np.inf
        may_vanish, before = True, np.inf
        while not self.latest.is_exact_fit:
            if self.n_iter == self.max_iter or not point.is_finite:
                return self._end_at(point, FitStatus.MAX_ITER)
            self.n_iter += 1
            step, length, is_interior = point.step(radius)
            expected = point.decrease(step)
            lam = point.moved(step)
            rate = expected / before if 0 < before < np.inf else 1.0
            self.is_slow = self.is_slow or SLOW < rate < FALLING
            if is_interior and self._is_last(point, expected, rate):
                return self._last_step(point, lam)
            trial = _vanish(point.lam, lam) if may_vanish else lam
            actual = point.value - self._evaluate(trial)
            self._tell(point, radius, expected, actual)
            noise = self._noise(point.value)
            ratio = (actual + noise) / (expected + noise)
            if ratio >= ACCEPT:
                before = expected if is_interior else np.inf
                point, may_vanish = self._model(point.value - actual), True
                if ratio >= GROW:
                    radius = max(radius, 3.0 * length)
            elif trial is not lam:
                may_vanish = False
            else:
                radius = 0.25 * length
        return self._end(FitStatus.EXACT_FIT)

    def _model(self, value: float) -> _Point:
        """Model the criterion around the latest Λ, with what the steps taught."""
        with np.errstate(all="ignore"):
            d = derivatives(self.latest)
        sigma = all_entries(self.latest)
        if self.secant is None:
            self.secant = Secant(sigma, d.gradient, np.zeros_like(d.information))
        else:
            self.secant = self.secant.after(sigma, d, learns=self.is_slow)
        return second_order(self.latest, value, d, self.secant.correction)

    def _is_last(self, point: _Point, expected: float, rate: float) -> bool:
        """Whether what a step leaves to gain is below the tolerance.

        Near the optimum the gain falls by a constant rate or faster from step to
        step, so that a step leaves about the rate times its own gain. What the
        criterion's own rounding hides is nothing.
        """
        rate = 1.0 if self.is_slow else min(1.0, rate)
        return expected * rate <= max(self.tol, RESOLUTION * abs(point.value))

    def _last_step(self, point: _Point, lam: Lam) -> Search:
        """Take the last step, to an exact zero where it leads to zero."""
        noise = self._noise(point.value)
        vanished = _vanish(point.lam, lam)
        for trial in (vanished, lam) if vanished is not lam else (lam,):
            if self._evaluate(trial) <= point.value + noise:
                return self._end(FitStatus.CONVERGED)
        return self._end_at(point, FitStatus.CONVERGED)

    def _end_at(self, point: _Point, status: FitStatus) -> Search:
        self._evaluate(point.lam)
        return self._end(status)

    def _end(self, status: FitStatus) -> Search:
        return Search(self.latest, status, self.n_iter, self.n_factorizations)

    def _evaluate(self, lam: Lam) -> float:
        """Factor at Λ and return the criterion; inf beyond the data's resolution."""
        self.n_factorizations += 1
        try:
            with np.errstate(all="ignore"):  # what overflows is inf, and refused
                self.latest = factorize(self.blocks, lam, reuse=self.latest)
        except np.linalg.LinAlgError:
            return np.inf
        value = criterion(self.latest)
        return value if np.isfinite(value) else np.inf

    def _noise(self, value: float) -> float:
        """Return the rounding of the criterion, that of r² as a difference included."""
        squares = float(self.blocks.core[-1, -1]) / self.latest.residual_squares
        of_residual = 4.0 * np.finfo(float).eps * max(self.blocks.dof, 1) * squares
        return float(ROUNDING * (abs(value) + self.blocks.n_rows) + min(of_residual, 1.0))

    def _tell(self, point: _Point, radius: float, expected: float, actual: float) -> None:
        if self.report is not None:
            self.report(
                f"step {self.n_iter}: criterion {point.value:.6f}, trust radius {radius:.3g}, "
                f"decrease {actual:.3g} of {expected:.3g} expected"
            )


@dataclass(frozen=True)
class Secant:
    """What the average information misses of the Hessian, learned from steps.

    A symmetric rank-one correction (Nocedal and Wright, 2006, equation 6.24) in
    the entries of Σ, in which the gradients of different steps compare: with it
    the model reproduces the change of the gradient over the last step. Where
    the data stray from the model, average information alone converges slowly.
    """

    sigma: FloatArray
    gradient: FloatArray
    correction: FloatArray

    def after(self, sigma: FloatArray, d: Derivatives, *, learns: bool) -> "Secant":
        """Take in the derivatives at one more Σ."""
        step = sigma - self.sigma
        missing = d.gradient - self.gradient - (d.information + self.correction) @ step
        along = float(missing @ step)
        correction = self.correction
        if learns and abs(along) > SKIP * float(np.linalg.norm(missing) * np.linalg.norm(step)):
            correction = correction + np.outer(missing, missing) / along
        return Secant(sigma, d.gradient, correction)


def all_entries(factorization: Factorization) -> FloatArray:
    """Return the entries of Σ of all factors, each row by row."""
    lams = [factor.lam(factorization.lam) for factor in factorization.blocks.factors]
    return np.concatenate([(lam @ lam.T).ravel() for lam in lams])


def second_order(
    factorization: Factorization, value: float, d: Derivatives, correction: FloatArray
) -> _Point:
    """Carry the derivatives in Σ over to steps of the terms' Λ."""
    canonical, bases, directions, bends = [], [], [], []
    for factor, term in factorization.blocks.terms:
        lam, basis = term.term.structure.chart(factorization.lam[term.index])
        half_steps = np.einsum("ra,iab,sb->irs", term.to_block, basis, term.to_block @ lam)
        rows = np.zeros((len(basis), len(d.gradient)))
        rows[:, factor.entries] = (half_steps + half_steps.transpose(0, 2, 1)).reshape(
            len(basis), -1
        )
        slope = d.gradient[factor.entries].reshape((factor.n_columns,) * 2)
        canonical.append(lam)
        bases.append(basis)
        directions.append(rows)
        bends.append(_bend(term, basis, slope))
    flat = np.concatenate(directions)
    information = flat @ d.information @ flat.T
    bend = scipy.linalg.block_diag(*bends)
    return _Point(
        lam=tuple(canonical),
        value=value,
        basis=tuple(bases),
        gradient=flat @ d.gradient,
        hessian=information + flat @ correction @ flat.T + bend,
        metric=information + _absolute(bend),
    )


def _bend(term: TermBlock, basis: FloatArray, slope: FloatArray) -> FloatArray:
    """Return 2 ⟨G_k, E_i E_j'⟩: the curvature of Λ → ΛΛ'."""
    own = term.to_block.T @ slope @ term.to_block
    return np.asarray(2.0 * np.einsum("iab,ac,jcb->ij", basis, own, basis, optimize=True))


def _absolute(matrix: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.abs(values)) @ vectors.T


def trust_region_step(
    gradient: FloatArray, hessian: FloatArray, radius: float
) -> tuple[FloatArray, bool]:
    """Minimize the quadratic model within the radius; say if in its interior.

    By the eigenvalues of the Hessian (Nocedal and Wright, 2006, section 4.3),
    the hard case included: at a saddle the direction of negative curvature.
    """
    values, vectors = np.linalg.eigh(hessian)
    g = vectors.T @ gradient
    if not np.isfinite(radius):  # the first step: twice the step of the metric alone
        radius = max(1.0, 2.0 * float(np.linalg.norm(g)))
    flat = np.finfo(float).eps * len(g) * max(float(np.abs(values).max()), 1e-300)
    if values[0] > flat:
        step = -g / values
        if np.linalg.norm(step) <= radius:
            return vectors @ step, True
    shift = _secular_root(values, g, radius, flat)
    step = -g / np.maximum(values + shift, flat)
    length = float(np.linalg.norm(step))
    if length > radius:  # near the hard case the root has no digits to spare
        step *= radius / length
    missing = radius**2 - min(length, radius) ** 2
    if values[0] < -flat and missing > 0:
        step[0] = -np.copysign(np.sqrt(missing + step[0] ** 2), g[0])
    return vectors @ step, False


def _secular_root(values: FloatArray, g: FloatArray, radius: float, flat: float) -> float:
    """Find the shift at which the step has the length of the radius."""
    low = max(0.0, -float(values[0])) + flat

    def excess(shift: float) -> float:
        return 1.0 / radius - 1.0 / max(float(np.linalg.norm(g / (values + shift))), 1e-300)

    if excess(low) <= 0:
        return low
    high = (low + float(np.linalg.norm(g)) / radius) * (1 + 1e-9)
    return float(scipy.optimize.brentq(excess, low, high, xtol=np.finfo(float).tiny))


def _vanish(before: Lam, after: Lam) -> Lam:
    """Set to zero the columns of Λ that a step shrinks below `VANISHING`."""
    out, changed = [], False
    for old, new in zip(before, after, strict=True):
        size = np.abs(new).max(axis=0)
        gone = (size > 0) & (size < np.maximum(VANISHING * np.abs(old).max(axis=0), NOTHING))
        changed = changed or bool(gone.any())
        out.append(np.where(gone, 0.0, new))
    return tuple(out) if changed else after
