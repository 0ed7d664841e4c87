"""What the search minimizes: the criterion, by the blocked factor or a dense one."""

from typing import Protocol

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.dense_factor import (
    DenseFactor,
    Projections,
    factorize_dense,
    project_dense,
    second_order_dense,
)
from skmixed._derivatives.quadratic_model import LocalModel
from skmixed._derivatives.trust_region import Point
from skmixed._equations.cholesky import Factorization, factorize
from skmixed._equations.dense_system import DenseSystem
from skmixed._typing import Lam

# Differences of the criterion below this share of it are rounding, and what of a
# predicted gain can matter: an estimate is off by the root of it, in standard errors.
ROUNDING, RESOLUTION = 1e-13, 2e-15
# A gain of no more than a few times the rounding of the criterion may be that.
FEW_NOISES = 4.0


class Objective(Protocol):
    """A function of Λ, its factor at the latest Λ kept.

    Attributes
    ----------
    n_factorizations : int
    """

    n_factorizations: int

    def evaluate(self, lam: Lam) -> float:
        """Factor at Λ and return the function; inf beyond the data's resolution.

        Nothing is done anew where Λ is the one that the latest factor was made from.
        """

    def point(self, value: float, *, is_slow: bool) -> Point:
        """Model the function around the latest Λ; `is_slow` where that has done badly."""

    def noise(self, value: float) -> float:
        """Return what a difference of values may be by error alone."""

    def resolution(self, value: float) -> float:
        """Return the predicted gain that is nothing."""

    def is_lost(self, gain: float) -> bool:
        """Whether a step that is predicted to gain so much is lost in the model's error."""

    def refine(self) -> bool:
        """Make the error at the latest model smaller; False where it is small enough."""

    def describe(self, value: float) -> str:
        """Say in a report of the search where it is."""

    @property
    def is_exact_fit(self) -> bool:
        """Whether r² reached its floor at the latest Λ."""


class _Exact:
    """Values and models with no error but rounding."""

    def is_lost(self, gain: float) -> bool:  # noqa: ARG002
        return False

    def refine(self) -> bool:
        return False

    def describe(self, value: float) -> str:
        return f"criterion {value:.6f}"


class BlockedObjective(_Exact):
    """The criterion, or another local model, by the blocked factor.

    The arrays of one factorization are kept, and written over by the next.
    """

    def __init__(self, initial: Factorization, model: LocalModel) -> None:
        self.blocks, self.latest, self.model = initial.blocks, initial, model
        self.n_factorizations = 0

    def evaluate(self, lam: Lam) -> float:
        if lam is not self.latest.lam:
            self.n_factorizations += 1
            try:
                with np.errstate(all="ignore"):  # what overflows is inf, and refused
                    self.latest = factorize(self.blocks, lam, reuse=self.latest)
            except np.linalg.LinAlgError:
                return np.inf
        value = self.model.value(self.latest)
        return value if np.isfinite(value) else np.inf

    def point(self, value: float, *, is_slow: bool) -> Point:
        return self.model.point(self.latest, value, is_slow=is_slow)

    def noise(self, value: float) -> float:
        likelihood = self.model.likelihood
        squares = float(self.blocks.core[-1, -1]) / likelihood.residual_squares(self.latest)
        of_residual = 4.0 * np.finfo(float).eps * max(likelihood.dof, 1) * squares
        return float(ROUNDING * (abs(value) + self.blocks.n_rows) + min(of_residual, 1.0))

    def resolution(self, value: float) -> float:
        return RESOLUTION * abs(value)

    @property
    def is_exact_fit(self) -> bool:
        return self.model.likelihood.is_exact_fit(self.latest)


class DenseObjective(_Exact):
    """The criterion by a dense factor, with exact second derivatives."""

    def __init__(self, system: DenseSystem, likelihood: Likelihood) -> None:
        self.system, self.likelihood = system, likelihood
        self.latest: DenseFactor | None = None
        self.value = np.inf
        self.n_factorizations = 0
        self._projections: Projections | None = None
        self._points: dict[bool, Point] = {}

    @property
    def factor(self) -> DenseFactor:
        """The latest factor."""
        assert self.latest is not None
        return self.latest

    @property
    def projections(self) -> Projections:
        """Those of the latest factor, made once."""
        if self._projections is None:
            with np.errstate(all="ignore"):
                self._projections = project_dense(self.factor, self.likelihood)
        return self._projections

    def evaluate(self, lam: Lam) -> float:
        if self.latest is not None and lam is self.latest.lam:
            return self.value
        self.n_factorizations += 1
        self._projections, self._points = None, {}
        try:
            with np.errstate(all="ignore"):
                self.latest = factorize_dense(self.system, lam)
                value = self.likelihood.value(self.latest)
        except np.linalg.LinAlgError:
            return np.inf
        self.value = value if np.isfinite(value) else np.inf
        return self.value

    def point(self, value: float, *, is_slow: bool) -> Point:  # noqa: ARG002
        if is_slow not in self._points:
            with np.errstate(all="ignore"):
                point = second_order_dense(
                    self.factor, self.likelihood, self.projections, is_exact=is_slow
                )
            self._points[is_slow] = point
        return self._points[is_slow]

    def noise(self, value: float) -> float:
        of_sum = 50.0 * (abs(value) + self.system.blocks.n_rows)
        return self.factor.cancellation(self.likelihood) + float(np.finfo(float).eps) * of_sum

    def resolution(self, value: float) -> float:
        cancellation = self.factor.cancellation(self.likelihood)
        return max(RESOLUTION * abs(value), FEW_NOISES * cancellation)

    @property
    def is_exact_fit(self) -> bool:
        return self.likelihood.is_exact_fit(self.factor)
