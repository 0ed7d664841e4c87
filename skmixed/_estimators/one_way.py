"""Models of one categorical column on some rows: μ + b_j is expected, on the scale of a link."""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.special as special

from skmixed._fitted import kernel
from skmixed._generalized.fit import SearchSettings
from skmixed._generalized.rows import GeneralizedDesign
from skmixed._model.family import FAMILIES, Family
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign
from skmixed._typing import FloatArray, IntArray
from skmixed.exceptions import FitStatus

# The defaults of MixedLinearRegressor.
TOL, MAX_ITER = 1e-12, 200
# Share of the squares of y within the levels below which the limit for σ² to 0
# holds: its error is the square of that. Below the second, it is rounding.
NEARLY_NOTHING, NOTHING = 1e-8, 1e-14


@dataclass(frozen=True)
class OneWay:
    """Estimates of the expected response in each level, on the scale of the link.

    Attributes
    ----------
    mean : float
        μ̂, the expected response in a level not seen.
    levels : (q,) array
        μ̂ + b̂_j; μ̂ where a level has no rows.
    smooth : float
        The rows at μ̂ that have as much information on b_j as its distribution. Of the
        linear model, σ̂² / σ̂_b²: μ̂ + b̂_j = (n_j ȳ_j + smooth·μ̂) / (n_j + smooth).
        inf where σ̂_b² = 0.
    has_converged : bool
    is_separated : bool
        Whether every level has rows of one class alone.
    """

    mean: float
    levels: FloatArray
    smooth: float
    has_converged: bool = True
    is_separated: bool = False


class OneWayModel(Protocol):
    """A model of the expected response in the levels of one factor."""

    def overall(self, y: FloatArray) -> float:
        """Return the mean response on the scale of the link; not finite where it has none."""

    def fit(self, codes: IntArray, n_levels: int, y: FloatArray) -> OneWay | None:
        """Fit rows in these levels; None where they do not tell the levels from chance."""


@dataclass(frozen=True)
class LinearOneWay:
    """y = μ + b_j + ε, by REML or maximum likelihood."""

    reml: bool

    def overall(self, y: FloatArray) -> float:
        return float(np.mean(y))

    def fit(self, codes: IntArray, n_levels: int, y: FloatArray) -> OneWay | None:
        return one_way(codes, n_levels, y, reml=self.reml)


@dataclass(frozen=True)
class FamilyOneWay:
    """E(y | b_j) = h(μ + b_j), by Laplace's approximation.

    Attributes
    ----------
    family : Family
        One with the canonical link, without a shape.
    link : ufunc
        h⁻¹.
    most : float
        The largest response.
    """

    family: Family
    link: np.ufunc
    most: float

    def overall(self, y: FloatArray) -> float:
        with np.errstate(divide="ignore"):
            return float(self.link(np.mean(y)))

    def fit(self, codes: IntArray, n_levels: int, y: FloatArray) -> OneWay | None:
        n = np.bincount(codes, minlength=n_levels)
        used = np.flatnonzero(n)
        if len(used) <= 1 or len(used) == len(codes) or not np.isfinite(self.overall(y)):
            return None
        stats = kernel.accumulate(Design((), (y,), None, (FactorDesign(codes, n_levels, (0,)),)))
        # The rows of a level are as one of their mean, with their number as its weight.
        counts, sums = n[used].astype(float), np.bincount(codes, y, n_levels)[used]
        rows = Design((), (sums / counts,), counts, (FactorDesign(used, n_levels, (0,)),))
        given = GeneralizedDesign(rows, np.zeros(len(used)), self.family, 0.0)
        result = kernel.fit_generalized(
            kernel.examined(stats, _model(reml=False)),
            stats.center,
            given,
            search=SearchSettings(TOL, MAX_ITER),
        )
        mean, term = float(result.solution.fixed[0]), result.solution.terms[0]
        expected = self.family.mean(np.array([mean]))
        information = float(self.family.variance(expected, 0.0)[0] * term.lam[0, 0] ** 2)
        return OneWay(
            mean=mean,
            levels=mean + term.effects[0],
            smooth=1.0 / information if information > 0 else np.inf,
            has_converged=result.status is not FitStatus.MAX_ITER,
            is_separated=bool(((sums == 0) | (sums == self.most * counts)).all()),
        )


# The models of responses that have one beside the linear one.
LOGISTIC = FamilyOneWay(FAMILIES["binomial", "logit"], special.logit, 1.0)
POISSON = FamilyOneWay(FAMILIES["poisson", "log"], np.log, np.inf)


def _model(*, reml: bool) -> Model:
    return Model((0,), (Term(0, (0,), STRUCTURES["spherical"]),), reml)


def one_way(codes: IntArray, n_levels: int, y: FloatArray, *, reml: bool) -> OneWay | None:
    """Fit the linear model; None where the rows do not tell σ_b² from σ².

    That is with a single level, and with levels of one row each.
    """
    n_used = np.count_nonzero(np.bincount(codes, minlength=n_levels))
    if n_used <= 1 or n_used == len(codes):
        return None
    # In units of a power of 2, which costs no digit, squares neither overflow nor vanish.
    unit = int(np.frexp(np.abs(y).max())[1])
    y = np.ldexp(y, -unit)
    stats = kernel.accumulate(Design((), (y,), None, (FactorDesign(codes, n_levels, (0,)),)))
    found = _limit(stats, reml=reml) or _optimum(stats, reml=reml)
    return replace(found, mean=math.ldexp(found.mean, unit), levels=np.ldexp(found.levels, unit))


def _optimum(stats: CrossProducts, *, reml: bool) -> OneWay:
    result = kernel.fit_products(stats, _model(reml=reml), tol=TOL, max_iter=MAX_ITER)
    mean, term = float(result.solution.fixed[0]), result.solution.terms[0]
    ratio = float(term.lam[0, 0] ** 2)
    return OneWay(
        mean=mean,
        levels=mean + term.effects[0],
        smooth=1.0 / ratio if ratio > 0 else np.inf,
        has_converged=result.status is not FitStatus.MAX_ITER,
    )


def _limit(stats: CrossProducts, *, reml: bool) -> OneWay | None:
    """Return the limit of the optimum for σ² / σ_b² to 0, where its error is rounding.

    There σ̂² is the mean square within the levels, μ̂ and σ̂_b² are the mean and
    the variance of ȳ_j. The criterion would have no digits left: it takes the
    squares within as a difference.
    """
    factor = stats.factors[0]
    n, sums = factor.counts, factor.responses[:, 0, 0]
    has_rows = n > 0
    own = sums[has_rows] / n[has_rows]
    within = float(stats.responses.total.squares[0]) - float((n[has_rows] * own**2).sum())
    around_mean = float(stats.response_moments.centered_squares[0])
    if around_mean > 0 and within > NEARLY_NOTHING * around_mean:
        return None
    center, q = float(own.mean()), len(own)
    between = float(((own - center) ** 2).sum()) / (q - reml)
    smooth = 0.0
    if within > NOTHING * around_mean > 0 and between > 0:
        smooth = within / (stats.n_rows - q) / between
    levels = np.full(len(n), center)
    levels[has_rows] += (own - center) * (n[has_rows] / (n[has_rows] + smooth))
    origin = float(stats.responses.center[0])
    return OneWay(origin + center, origin + levels, smooth)
