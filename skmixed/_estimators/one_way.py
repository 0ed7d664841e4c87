"""The one-way model y = μ + b_j + ε of one categorical column, on some rows."""

import math
from dataclasses import dataclass, replace

import numpy as np

from skmixed._fitted import kernel
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
    """Estimates of the expected response in each level.

    Attributes
    ----------
    mean : float
        μ̂, the expected response in a level not seen.
    levels : (q,) array
        μ̂ + b̂_j, on the scale of y; μ̂ where a level has no rows.
    smooth : float
        σ̂² / σ̂_b²: the rows that μ̂ counts for beside a level's own, as
        μ̂ + b̂_j = (n_j ȳ_j + smooth·μ̂) / (n_j + smooth). inf where σ̂_b² = 0.
    has_converged : bool
    """

    mean: float
    levels: FloatArray
    smooth: float
    has_converged: bool = True


def one_way(codes: IntArray, n_levels: int, y: FloatArray, *, reml: bool) -> OneWay | None:
    """Fit the model; None where the rows do not tell σ_b² from σ².

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
    model = Model((0,), (Term(0, (0,), STRUCTURES["spherical"]),), reml)
    result = kernel.fit_products(stats, model, tol=TOL, max_iter=MAX_ITER)
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
