"""Quantities to profile, and the interval in which the deviance rises by less than an amount.

A quantity moves, and the likelihood is maximized over the rest (`ProfiledModel`). The amount
is a quantile of χ² with one degree of freedom. The ends are found by
Newton's method on ζ = √rise, which is nearly linear (Bates and Watts, 1988,
Nonlinear Regression Analysis, section 6.1); its slope is the partial derivative
of the deviance in the quantity, since the others are at their best values.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from skmixed._derivatives.pinned import PinnedCorrelation
from skmixed._model.covariance import Covariance, has_own_variances, lower_factor
from skmixed._model.terms import Model
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.components import Components, sd_ratio

# Where the rise is within this share e of its target, one more of Newton's steps
# leaves some e²/16 of the width, since ζ is nearly linear.
CLOSE = 1e-3
# What an optimum has to be lower by than the one that was found, to be another one.
LOWER = 1e-5
# A bracket that has shrunk to this share of the distance from the best holds a
# jump: the searches on its two sides end in different minima.
COLLAPSED = 1e-9
# Values tried at most.
MAX_TRIALS = 60


class Target(Protocol):
    """A quantity to profile.

    Attributes
    ----------
    best : float
        Its maximum-likelihood estimate.
    bounds : (float, float)
    """

    @property
    def best(self) -> float: ...

    @property
    def bounds(self) -> tuple[float, float]: ...

    def guess(self, errors: float) -> float:
        """Return where the quantity may be that many standard errors from the best."""

    def at(self, value: float) -> tuple[float, float]:
        """Return the least deviance at a value, and its slope there."""

    def checked(self, value: float, found: tuple[float, float]) -> tuple[float, float]:
        """Return what `at` found at a value, or lower where a search from elsewhere ends so."""

    def at_bound(self, value: float) -> float:
        """Return the least deviance at a bound."""


def interval(target: Target, deviance: float, rise: float) -> tuple[float, float]:
    """Return the values between which the deviance rises by less than `rise`.

    Where there may be other optima, an end is looked for from value to value, and stands
    where a thorough search finds no lower one. NaN for an end that is not found, since the
    searches end in different minima.
    """
    return (
        _end(target, deviance, rise, -1.0),
        _end(target, deviance, rise, 1.0),
    )


def _end(target: Target, deviance: float, rise: float, side: float) -> float:
    bound = target.bounds[0 if side < 0 else 1]
    if target.best == bound:
        return bound
    inside, outside = target.best, np.nan
    wanted = float(np.sqrt(rise))
    value = target.guess(side * wanted)
    for _ in range(MAX_TRIALS):
        if side * (value - bound) >= 0:
            if target.at_bound(bound) - deviance <= rise:
                return bound
            outside, value = bound, 0.5 * (inside + bound)
        at, slope = target.at(value)
        if abs(at - deviance - rise) <= CLOSE * rise:
            above, (at, slope) = at, target.checked(value, (at, slope))
            # Where another optimum has taken over, values beyond may be inside
            outside = np.nan if above - at > LOWER else outside
        found = max(at - deviance, 0.0)
        # Newton's step for ζ = √(d − d̂), about linear in the value: dζ = d'/(2ζ)
        zeta = float(np.sqrt(found))
        trial = value + (wanted - zeta) * 2.0 * zeta / slope if slope * side > 0 else np.nan
        if abs(found - rise) <= CLOSE * rise and np.isfinite(trial):
            return trial
        if found < rise:
            inside = value
        else:
            outside = value
        if abs(outside - inside) <= COLLAPSED * abs(outside - target.best):
            break
        value = _next(trial, value, inside, outside, target.best, side)
    return np.nan


def _next(
    trial: float, value: float, inside: float, outside: float, best: float, side: float
) -> float:
    """Take Newton's step on ζ, or the middle where it leaves the bracket."""
    if np.isnan(outside):
        furthest = best + 4.0 * (value - best)
        return trial if side * (furthest - trial) > 0 and side * (trial - inside) > 0 else furthest
    low, high = sorted((inside, outside))
    return trial if low < trial < high else 0.5 * (inside + outside)


@dataclass(frozen=True)
class Held:
    """The least deviance with a quantity held at a value, its slope there, and Λ."""

    deviance: float
    slope: float
    lam: Lam


class ProfiledModel(Protocol):
    """A fitted model, of which quantities can be held at values.

    Attributes
    ----------
    lam : tuple of arrays
        The parameters of the search at the optimum, Λ of each term first.
    deviance : float
    errors : Components
        For first guesses of the ends; standard deviations are in units of its σ.
    is_thorough : bool
        Whether each search is from several starts.
    is_unchecked : bool
        Whether it is not, although there may be other optima.
    """

    @property
    def lam(self) -> Lam: ...

    @property
    def deviance(self) -> float: ...

    @property
    def errors(self) -> Components: ...

    @property
    def n_fixed(self) -> int:
        """The number of kept fixed effects."""

    @property
    def is_thorough(self) -> bool: ...

    @property
    def is_unchecked(self) -> bool: ...

    def thorough(self) -> "ProfiledModel":
        """Return the model with thorough searches."""

    def structure(self, term: int) -> Covariance:
        """Return the covariance structure of a term."""

    def to_user(self, term: int) -> FloatArray:
        """Return the map from the search's coefficients of a term to the user's, (s, s)."""

    def n_levels(self, term: int) -> int:
        """Return the number of levels of a term's factor."""

    def without(self, term: int, column: int) -> float:
        """Return the least deviance of the model in which one coefficient does not vary."""

    def hold_sd(self, value: float, term: int, row: FloatArray, starts: list[Lam]) -> Held:
        """Hold the sd of a combination row'b of the search's coefficients."""

    def hold_correlation(self, pinned: PinnedCorrelation, term: int, starts: list[Lam]) -> Held:
        """Hold an angle."""

    def hold_effect(self, value: float, row: FloatArray, starts: list[Lam]) -> Held:
        """Hold a combination row'β of the kept fixed effects."""

    def effect(self, row: FloatArray) -> tuple[float, float]:
        """Return the estimate of row'β and its standard error."""

    def dispersion_target(self) -> Target:
        """Return σ as a quantity to profile, or what a shape is profiled by."""

    def dispersion(self, values: FloatArray) -> FloatArray:
        """Return σ, or the shape, in the user's units at values of that quantity."""


def without_coefficient(model: Model, term: int, column: int) -> Model:
    """Return the model in which one coefficient does not vary."""
    own = model.terms[term]
    columns = tuple(c for k, c in enumerate(own.columns) if k != column)
    terms = [*model.terms]
    if columns and has_own_variances(own.structure):
        terms[term] = replace(own, columns=columns)
    else:  # it was the only one, or shares its variance with the others
        del terms[term]
    return replace(model, terms=tuple(terms))


@dataclass
class ProfilePath:
    """Where the searches of a profile have ended: Λ by value.

    The next one starts from the neighbors of its value, of which the better one
    counts: a trial far off may have ended in another minimum.
    """

    ends: list[tuple[float, Lam]]

    def around(self, value: float) -> list[tuple[float, Lam]]:
        below = [end for end in self.ends if end[0] <= value]
        above = [end for end in self.ends if end[0] > value]
        nearest = [max(below, key=_value)] if below else []
        return [*nearest, min(above, key=_value)] if above else nearest

    def add(self, value: float, lam: Lam) -> None:
        """Add an end, the first of those of its value."""
        self.ends.insert(0, (value, lam))


def _value(end: tuple[float, Lam]) -> float:
    return end[0]


@dataclass
class ModelTarget:
    """A quantity of a fitted model: what all of them have."""

    profiler: ProfiledModel

    def at(self, value: float) -> tuple[float, float]:
        raise NotImplementedError

    def checked(self, value: float, found: tuple[float, float]) -> tuple[float, float]:
        """Search thoroughly once; from then on always, where that ends lower."""
        rough = self.profiler
        if not rough.is_unchecked:
            return found
        self.profiler = rough.thorough()
        least = self.at(value)
        if least[0] > found[0] - LOWER:
            self.profiler = rough
        return least


@dataclass
class SdTarget(ModelTarget):
    """The sd of one coefficient, on the scale of the data."""

    term: int
    column: int
    bounds: tuple[float, float] = (0.0, np.inf)

    def __post_init__(self) -> None:
        self.best = float(self.profiler.errors.terms[self.term].sd[self.column])
        self._row = self.profiler.to_user(self.term)[self.column]
        self._path = ProfilePath([(self.best, self.profiler.lam)])

    def guess(self, errors: float) -> float:
        """On the log scale; where the sd is 0 the deviance is even in it."""
        error = self.profiler.errors.terms[self.term].log_sd_error[self.column]
        if np.isfinite(error):
            return self.best * sd_ratio(errors * float(error))
        variance = self.profiler.n_levels(self.term) ** -0.5 * self.profiler.errors.sigma**2
        return float(np.sqrt(errors * variance) * np.linalg.norm(self._row))

    def at(self, value: float) -> tuple[float, float]:
        starts = [self._start(value, *end) for end in self._path.around(value)]
        held = self.profiler.hold_sd(value, self.term, self._row, starts)
        self._path.add(value, held.lam)
        return held.deviance, held.slope

    def _start(self, value: float, last: float, lams: Lam) -> Lam:
        """Scale the coefficient to the value; give it a variance where it has none.

        Of b, scaled is row'b, and what the other coefficients follow of it.
        """
        out, lam = list(lams), lams[self.term]
        row, relative = self._row, value / self.profiler.errors.sigma
        structure = self.profiler.structure(self.term)
        if not has_own_variances(structure):
            out[self.term] = (
                value / last * lam
                if last > 0
                else relative / float(np.linalg.norm(row)) * np.eye(len(lam))
            )
        elif last > 0:
            # Λ + (v/v₀ − 1) a r'Λ, r'a = 1: a is one coefficient's, or Σr/r'Σr of several
            own = row @ lam
            along = _unit_along(row)
            if np.count_nonzero(row) > 1:
                along = lam @ own / (own @ own)
            out[self.term] = lam + (value / last - 1.0) * np.outer(along, own)
        else:
            change = relative * _unit_along(row)
            root = _root(lam @ lam.T + np.outer(change, change))
            out[self.term] = structure.lam(structure.theta(root), len(root))
        return tuple(out)

    def at_bound(self, value: float) -> float:  # noqa: ARG002
        return self.profiler.without(self.term, self.column)


def _unit_along(row: FloatArray) -> FloatArray:
    """Return the change of one coefficient, of the largest share, by which row'b changes by 1."""
    out, largest = np.zeros(len(row)), int(np.argmax(np.abs(row)))
    out[largest] = 1.0 / row[largest]
    return out


def _root(covariance: FloatArray) -> FloatArray:
    """Return a matrix whose square is a covariance; diagonal where that is."""
    if not (covariance - np.diag(np.diagonal(covariance))).any():
        return np.diag(np.sqrt(np.diagonal(covariance)))
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


@dataclass
class CorrelationTarget(ModelTarget):
    """The angle whose cosine is the correlation of two coefficients."""

    term: int
    a: int
    b: int
    bounds: tuple[float, float] = (0.0, float(np.pi))

    def __post_init__(self) -> None:
        errors = self.profiler.errors.terms[self.term]
        corr, self._z_error = errors.corr[self.a, self.b], errors.z_error[self.a, self.b]
        self._to_user = self.profiler.to_user(self.term)
        self.best = self._angle(corr) if np.isfinite(corr) else np.pi / 2
        self._path = ProfilePath([(self.best, self.profiler.lam)])

    def _angle(self, corr: float) -> float:
        """Return the angle between two rows of Λ, of which the cosine has few digits near ±1."""
        if not np.isfinite(self._z_error):
            return float(np.arccos(np.round(corr)))
        rows = (self._to_user @ self.profiler.lam[self.term])[[self.a, self.b]]
        cosine, sine = lower_factor(rows)[1]
        return float(np.arctan2(sine, cosine))

    def guess(self, errors: float) -> float:
        """On the scale of artanh cos(angle) = −log tan(angle/2)."""
        if not np.isfinite(self._z_error):
            return self.best + errors * 0.5
        return 2.0 * float(np.arctan(np.tan(0.5 * self.best) * np.exp(errors * self._z_error)))

    def at(self, value: float) -> tuple[float, float]:
        pinned = PinnedCorrelation(self.a, self.b, value, self._to_user)
        starts = [lam for _, lam in self._path.around(value)]
        held = self.profiler.hold_correlation(pinned, self.term, starts)
        self._path.add(value, held.lam)
        return held.deviance, held.slope

    def at_bound(self, value: float) -> float:
        return self.at(value)[0]

    def is_free(self, rise: float) -> bool:
        """Whether one of the sd's may be 0, which leaves the correlation open."""
        allowed = self.profiler.deviance + rise
        return any(self.profiler.without(self.term, k) <= allowed for k in (self.a, self.b))


@dataclass
class EffectTarget(ModelTarget):
    """A combination row'β of the kept fixed effects, in the user's columns."""

    row: FloatArray
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        self.best, self._error = self.profiler.effect(self.row)
        self._path = ProfilePath([(self.best, self.profiler.lam)])

    def guess(self, errors: float) -> float:
        return self.best + errors * self._error

    def at(self, value: float) -> tuple[float, float]:
        starts = [lam for _, lam in self._path.around(value)]
        held = self.profiler.hold_effect(value, self.row, starts)
        self._path.add(value, held.lam)
        return held.deviance, held.slope

    def at_bound(self, value: float) -> float:  # noqa: ARG002
        return np.inf
