"""Coefficients of each level: from its own rows, and from all."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import FittedModel
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.frame import Frame
from skmixed._statistics.responses import ResponseFrame
from skmixed._typing import FloatArray
from skmixed.plotting._axes import coefficients

# Least eigenvalue of a level's scaled products at which its own fit is determined.
DETERMINED = 1e-10


@dataclass(frozen=True)
class Pooling:
    """Coefficients of the levels of one factor, (q, s) frames, and of all, (s,)."""

    none: pd.DataFrame
    partial: pd.DataFrame
    complete: pd.Series


def pooling(opened: FittedModel, k: int) -> Pooling:
    """Fit each level of factor k by itself, given all other effects.

    Least squares of y less the other columns' fixed effects and the other factors'
    random effects, from the per-level cross-products. Given these the BLUPs are
    matrix-weighted means of the level's own fit and the fixed effects.
    """
    encoder, names = opened.encoder, coefficients(opened.encoder, k)
    fixed = dict(zip(opened.model.fixed, opened.solution.fixed, strict=True))
    terms = [i for i, term in enumerate(encoder.terms) if term.factor == k]
    columns = [c for i in terms for c in encoder.terms[i].columns]
    complete = np.array([fixed.get(c, 0.0) for c in columns])
    effects = np.concatenate([opened.solution.terms[i].effects for i in terms]).T
    index = encoder.factors[k].index
    return Pooling(
        none=pd.DataFrame(_own_fits(opened, k, columns), index=index, columns=names),
        partial=pd.DataFrame(complete + effects, index=index, columns=names),
        complete=pd.Series(complete, index=names),
    )


def _own_fits(opened: FittedModel, k: int, columns: list[int]) -> FloatArray:
    """Return the least-squares coefficients of each level, NaN where not determined."""
    # With an intercept of its own a level's columns can be centered.
    stats = _framed(opened.stats, is_centered=0 in columns)
    rows = [stats.factors[k].columns.index(c) for c in columns]
    sums = stats.factors[k].sums[:, rows]
    rhs = stats.factors[k].responses[:, rows, 0]
    rhs -= sums @ _other_fixed_effects(opened, stats, set(columns))
    rhs -= _of_other_factors(opened, stats, k)[:, rows]
    gram = sums[:, :, columns]
    size = np.sqrt(np.einsum("qaa->qa", gram))
    size = np.where(size > 0.0, size, 1.0)
    scaled = gram / (size[:, :, None] * size[:, None, :])
    known = np.linalg.eigvalsh(scaled)[:, 0] > DETERMINED
    out = np.full(rhs.shape, np.nan)
    out[known] = np.linalg.solve(scaled[known], (rhs / size)[known][..., None])[..., 0]
    out /= size
    if 0 in columns:
        center = stats.responses.center[0]
        out[:, columns.index(0)] += center - _offset(opened, stats, columns, out)
    return out


def _framed(stats: CrossProducts, *, is_centered: bool) -> CrossProducts:
    """Return the products of the columns and of y as they are, or around their centers."""
    if not is_centered:
        nowhere = np.zeros_like(stats.center), np.zeros_like(stats.responses.center)
        return stats.reframed(Frame(nowhere[0])).with_responses_in(ResponseFrame(nowhere[1]))
    own = stats.responses.center
    return stats.reframed(Frame(stats.center)).with_responses_in(ResponseFrame(own))


def _other_fixed_effects(opened: FittedModel, stats: CrossProducts, own: set[int]) -> FloatArray:
    """Return the coefficients of the columns with other fixed effects, (k,)."""
    out = np.zeros(len(stats.center))
    for column, beta in zip(opened.model.fixed, opened.solution.fixed, strict=True):
        if column not in own:
            out[column] = beta
    return out


def _offset(
    opened: FittedModel, stats: CrossProducts, columns: list[int], own: FloatArray
) -> FloatArray:
    """Return x̄'b of a level's own slopes and of the other fixed effects, (q,)."""
    others = sum(
        beta * stats.center[c]
        for c, beta in zip(opened.model.fixed, opened.solution.fixed, strict=True)
        if c not in columns
    )
    slopes = [j for j, c in enumerate(columns) if c]
    return others + own[:, slopes] @ stats.center[[columns[j] for j in slopes]]


def _of_other_factors(opened: FittedModel, stats: CrossProducts, k: int) -> FloatArray:
    """Return Z_k'W Σ Z_g b̂_g over the other factors, (q, r)."""
    own = stats.factors[k]
    out = np.zeros(own.sums.shape[:2])
    for pair in stats.pairs:
        if k in (pair.first, pair.second):
            other, matrix = (
                (pair.second, pair.matrix) if pair.first == k else (pair.first, pair.matrix.T)
            )
            out += (matrix @ _centered_effects(opened, stats, other).ravel()).reshape(out.shape)
    return out


def _centered_effects(opened: FittedModel, stats: CrossProducts, g: int) -> FloatArray:
    """Return a factor's BLUPs as coefficients of (1, x − center), (q, r)."""
    columns = stats.factors[g].columns
    out = np.zeros((opened.encoder.factors[g].n_levels, len(columns)))
    for term, solution in zip(opened.encoder.terms, opened.solution.terms, strict=True):
        if term.factor == g:
            for column, effect in zip(term.columns, solution.effects, strict=True):
                out[:, columns.index(column)] += effect
                out[:, 0] += stats.center[column] * effect  # 0 for the ones
    return out
