"""The interval in which the deviance has risen from its minimum by less than an amount.

The amount is a quantile of χ² with one degree of freedom. The ends are found by
Newton's method on ζ = √rise, which is nearly linear (Bates and Watts, 1988,
Nonlinear Regression Analysis, section 6.1); its slope is the partial derivative
of the deviance in the quantity, since the others are at their best values.
"""

from typing import Protocol

import numpy as np

# Where the rise is within this share e of its target, one more of Newton's steps
# leaves some e²/16 of the width, since ζ is nearly linear.
CLOSE = 1e-3
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

    def at_bound(self, value: float) -> float:
        """Return the least deviance at a bound."""


def interval(target: Target, deviance: float, rise: float) -> tuple[float, float]:
    """Return the values between which the deviance rises by less than `rise`.

    NaN for an end that is not found, where the searches end in different minima.
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
