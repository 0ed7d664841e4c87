"""Regression splines with R's bases: natural cubic splines `ns`, and B-splines `bs`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import BSpline

from skmixed._typing import FloatArray
from skmixed.exceptions import ExtrapolationWarning, warn
from skmixed.formula._functions.refusal import FunctionError, numbers_of, truth, whole_number

CUBIC = 3


@dataclass(frozen=True)
class Basis:
    """B-splines of one degree over a range.

    Attributes
    ----------
    degree : int
    lower, upper : float
        The boundary knots.
    knots : (n_knots,) array
        All of them: those at the ends as often as the order of the polynomials.
    """

    degree: int
    lower: float
    upper: float
    knots: FloatArray

    @staticmethod
    def within(degree: int, lower: float, upper: float, knots: FloatArray) -> "Basis":
        """Return the splines with some knots between those of the boundary."""
        ends = [np.repeat(end, degree + 1) for end in (lower, upper)]
        return Basis(degree, lower, upper, np.concatenate([ends[0], np.sort(knots), ends[1]]))

    @staticmethod
    def of(state: dict[str, Any], degree: int) -> "Basis":
        """Return what was learned, in formulaic's words for it."""
        knots = np.asarray(state["knots"], dtype=np.float64)
        return Basis(degree, float(state["lower_bound"]), float(state["upper_bound"]), knots)

    @property
    def state(self) -> dict[str, Any]:
        return {
            "lower_bound": self.lower,
            "upper_bound": self.upper,
            "knots": self.knots.tolist(),
        }

    def is_outside(self, x: FloatArray) -> Any:
        return (x < self.lower) | (x > self.upper)

    def at(self, x: FloatArray, derivative: int = 0) -> FloatArray:
        """Return the splines, (n, n_splines); beyond the range the polynomials of its ends."""
        splines = np.eye(len(self.knots) - self.degree - 1)
        return np.asarray(BSpline(self.knots, splines, self.degree)(x, nu=derivative))

    def natural_at(self, x: FloatArray) -> FloatArray:
        """Return the splines, straight lines beyond the range."""
        inside = np.clip(x, self.lower, self.upper)
        out, beyond = self.at(inside), self.is_outside(x)
        if beyond.any():
            out[beyond] += (x - inside)[beyond, None] * self.at(inside[beyond], 1)
        return out


def ns(
    x: Any,
    df: Any = None,
    knots: Any = None,
    intercept: Any = False,
    boundary_knots: Any = None,
    *,
    _state: dict[str, Any],
) -> Any:
    """Natural cubic splines, as R's ``splines::ns``: straight lines beyond the boundary knots."""
    values, intercept = numbers_of("ns", x), truth("ns", "intercept", intercept)
    if "knots" not in _state:
        question = _Question("ns", CUBIC, df, knots, boundary_knots, 1 + intercept)
        _state.update(question.learned(values).state)
    basis = Basis.of(_state, CUBIC)
    first = 0 if intercept else 1
    # No curvature at the ends: what the two rows of second derivatives span is left out.
    curvature = basis.at(np.array([basis.lower, basis.upper]), 2)[:, first:]
    free = np.linalg.qr(curvature.T, mode="complete")[0][:, 2:]
    return _columns(basis.natural_at(values)[:, first:] @ free, intercept)


def bs(
    x: Any,
    df: Any = None,
    knots: Any = None,
    degree: Any = CUBIC,
    intercept: Any = False,
    boundary_knots: Any = None,
    *,
    _state: dict[str, Any],
    **words: Any,
) -> Any:
    """B-splines, as R's ``splines::bs``, or with `words` of formulaic's as its function."""
    if words:
        return _formulaic_bs(x, df, knots, degree, (intercept, boundary_knots), words, _state)
    values, intercept = numbers_of("bs", x), truth("bs", "intercept", intercept)
    degree = whole_number("bs", "degree", degree, 1)
    if "knots" not in _state:
        question = _Question("bs", degree, df, knots, boundary_knots, degree + intercept)
        _state.update(question.learned(values).state)
    basis = Basis.of(_state, degree)
    _warn_outside(basis, values)
    return _columns(basis.at(values)[:, 0 if intercept else 1 :], intercept)


@dataclass(frozen=True)
class _Question:
    """What a formula asks of splines.

    Attributes
    ----------
    function : str
    degree : int
    df, knots, boundary : object
        As given.
    least : int
        The degrees of freedom without knots between those of the boundary.
    """

    function: str
    degree: int
    df: Any
    knots: Any
    boundary: Any
    least: int

    def learned(self, x: FloatArray) -> Basis:
        """Learn knots from a column, whose missing values do not count."""
        x = x[np.isfinite(x)]
        lower, upper = self._ends(x)
        if self.df is not None and self.knots is not None:
            raise FunctionError(
                self.function,
                f"df={self.df!r} and knots={self.knots!r} in {self.function}(…) both say where "
                "its knots are. Leave one out.",
            )
        if self.knots is not None:
            return Basis.within(self.degree, lower, upper, self._given(lower, upper))
        inside = x[(x >= lower) & (x <= upper)]
        return Basis.within(self.degree, lower, upper, self._quantiles(inside, lower, upper))

    def _ends(self, x: FloatArray) -> tuple[float, float]:
        if self.boundary is not None:
            ends = self._floats("boundary_knots", self.boundary)
            if len(ends) != 2 or ends[0] == ends[1]:
                raise FunctionError(
                    self.function,
                    f"boundary_knots={self.boundary!r} in {self.function}(…): they are two "
                    "different numbers, the ends of the range.",
                )
            return float(ends.min()), float(ends.max())
        if not len(x) or x.min() == x.max():
            what = f"the one value {x[0]:g}" if len(x) else "no value"
            raise FunctionError(
                self.function,
                f"{self.function}(…) is of a column with {what}. Leave it out of the formula.",
            )
        return float(x.min()), float(x.max())

    def _given(self, lower: float, upper: float) -> FloatArray:
        knots = self._floats("knots", self.knots)
        outside = knots[(knots <= lower) | (knots >= upper)]
        if len(outside):
            raise FunctionError(
                self.function,
                f"knots={self.knots!r} in {self.function}(…): {outside[0]:g} is not between the "
                f"boundary knots, {lower:g} and {upper:g}. Leave it out, or give boundary_knots=.",
            )
        return knots

    def _quantiles(self, inside: FloatArray, lower: float, upper: float) -> FloatArray:
        if self.df is None:
            return np.empty(0)
        n_knots = whole_number(self.function, "df", self.df, self.least) - self.least
        if n_knots and not len(inside):
            raise FunctionError(
                self.function,
                f"df={self.df!r} in {self.function}(…): no value lies between the boundary knots "
                f"{lower:g} and {upper:g}. Give others.",
            )
        if not n_knots:
            return np.empty(0)
        knots = np.quantile(inside, np.linspace(0.0, 1.0, n_knots + 2)[1:-1])
        if knots[0] <= lower or knots[-1] >= upper:
            raise FunctionError(
                self.function,
                f"df={self.df!r} in {self.function}(…): its knots are quantiles, of which some are "
                f"at an end of the range, {lower:g} or {upper:g}, which many rows have. Give "
                "knots= between the ends, or a smaller df=.",
            )
        return knots

    def _floats(self, name: str, given: Any) -> FloatArray:
        try:
            values = np.atleast_1d(np.asarray(given, dtype=np.float64))
        except (TypeError, ValueError):
            values = np.array([np.nan])
        if values.ndim != 1 or not np.isfinite(values).all():
            raise FunctionError(
                self.function,
                f"{name}={given!r} in {self.function}(…): it is a list of numbers, such as [2, 5].",
            )
        return values


def _columns(matrix: FloatArray, spans_intercept: bool) -> Any:
    """Return columns numbered from 1, of which the last is left out beside an intercept."""
    from formulaic.materializers.types import FactorValues

    return FactorValues(
        {k + 1: matrix[:, k] for k in range(matrix.shape[1])},
        kind="numerical",
        spans_intercept=spans_intercept,
        drop_field=matrix.shape[1],
        format="{name}[{field}]",
        encoded=False,
    )


def _warn_outside(basis: Basis, x: FloatArray) -> None:
    outside = x[basis.is_outside(x)]
    if len(outside):
        count = "1 value" if len(outside) == 1 else f"{len(outside):,} values"
        warn(
            f"bs(…) has {count} beyond its boundary knots, {basis.lower:g} and {basis.upper:g}, "
            f"such as {outside[0]:g}: its polynomials go on there, and soon far away. ns(…) goes "
            "on in straight lines; boundary_knots= says what the range is.",
            ExtrapolationWarning,
        )


def _formulaic_bs(
    x: Any,
    df: Any,
    knots: Any,
    degree: Any,
    own: tuple[Any, Any],
    words: dict[str, Any],
    state: dict[str, Any],
) -> Any:
    from formulaic.transforms import basis_spline

    if own != (False, None):
        raise FunctionError(
            "bs",
            f"bs(…) has {', '.join(words)} of formulaic beside intercept or boundary_knots of R. "
            "Take the words of one.",
        )
    return basis_spline(x, df=df, knots=knots, degree=degree, **words, _state=state)
